"""Mapped classes of every kind, connections of every kind, sessions of every kind,
and migrations.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from alchemy_engines import engine_of, with_savepoints
from alchemy_models import Article, Author, Base, Note, Seat
from blueprint_helpers import held
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    StaticPool,
    String,
    Table,
    create_engine,
    event,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy_adapter import SQLAlchemyAdapter, init_database

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError, StoreMisuse
from semantic_core.orm import BaseORMAdapter, SemanticIndex
from semantic_core.orm.databases import databases_of
from semantic_core.orm.leftovers import forget
from semantic_core.orm.migrations import triggers
from semantic_core.testing import HashEmbedder

BindTo = Callable[..., BaseORMAdapter]


class Trial(DeclarativeBase):
    """Of models the kit has none of."""


class Owner(Trial):
    __tablename__ = "trial_owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


class Animal(Trial):
    __tablename__ = "trial_animal"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(50))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("trial_owner.id"))
    owner: Mapped[Owner | None] = relationship()


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}
    tricks: Mapped[str | None] = mapped_column(String(50))


class Horse(Animal):
    __tablename__ = "trial_horse"
    __mapper_args__ = {"polymorphic_identity": "horse"}
    id: Mapped[int] = mapped_column(ForeignKey("trial_animal.id"), primary_key=True)
    races: Mapped[str] = mapped_column(String(50))


class Reading(Trial):
    __tablename__ = "trial_reading"
    sensor: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    words: Mapped[str] = mapped_column(String(50))


@pytest.fixture
def trial(engine: Engine) -> Iterator[Engine]:
    """The engine, with the tables of `Trial`."""
    Trial.metadata.create_all(engine)
    yield engine
    Trial.metadata.drop_all(engine)


def saved(engine: Engine, *rows: Any) -> None:
    with Session(engine) as session, session.begin():
        session.add_all(rows)


def test_children_in_their_parents_table_are_indexed_alone(trial: Engine, bind_to: BindTo) -> None:
    dogs = bind_to(trial, Dog, source_fields=["name", "tricks"])
    assert dogs.declaration.collection == "trial_animal.Dog"
    everyone = bind_to(trial, Animal, source_fields=["name"])
    saved(trial, Dog(id=1, name="Rex", tricks="rolls"), Animal(id=2, name="Tom"))
    assert held(dogs) == {"1": "Rex\n\nrolls"}
    assert held(everyone) == {"1": "Rex", "2": "Tom"}
    assert {type(row) for row in everyone("Rex Tom")} == {Dog, Animal}
    with Session(trial) as session, session.begin():
        session.delete(session.get_one(Dog, 1))
    assert (held(dogs), held(everyone)) == ({}, {"2": "Tom"})


def test_children_with_a_table_of_their_own_read_their_parents(
    trial: Engine, bind_to: BindTo
) -> None:
    index = bind_to(
        trial, Horse, source_fields=["name", "races"], metadata_fields=["owner", "owner.name"]
    )
    saved(trial, Horse(id=1, name="Bella", races="two", owner=Owner(id=5, name="Ann")))
    assert held(index) == {"1": "Bella\n\ntwo"}
    (hit,) = index("Bella", where={"owner": 5}).hits
    assert hit.metadata == {"owner": 5, "owner.name": "Ann"}
    with Session(trial) as session, session.begin():
        session.get_one(Owner, 5).name = "Bea"
        session.get_one(Horse, 1).name = "Luna"
    assert [row.name for row in index("Luna", where={"owner.name": "Bea"})] == ["Luna"]


def test_composite_keys_come_back_as_rows(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine, Seat, source_fields=["label"])
    saved(
        engine,
        *(
            Seat(hall=hall, number=number, label="by the aisle")
            for hall in "AB"
            for number in (1, 2)
        ),
    )
    assert sorted((row.hall, row.number) for row in index("aisle")) == [
        ("A", 1),
        ("A", 2),
        ("B", 1),
        ("B", 2),
    ]


def test_dates_and_times_may_be_parts_of_a_key(trial: Engine, bind_to: BindTo) -> None:
    index = bind_to(trial, Reading, source_fields=["words"])
    at = datetime(2024, 5, 6, 7, 8, 9)
    saved(
        trial,
        *(Reading(sensor=n, day=date(2024, 5, n), at=at, words=f"warm {n}") for n in range(1, 6)),
    )
    (row,) = index("warm 3", limit=1)
    assert (row.sensor, row.day, row.at) == (3, date(2024, 5, 3), at)
    index.reindex(batch=2)
    assert index.verify().sound


def test_a_base_of_ones_own_says_which_models_are_bound(engine: Engine) -> None:
    assert SQLAlchemyAdapter.serves(Article, base=Base, engine=engine)
    assert not SQLAlchemyAdapter.serves(Dog, base=Base, engine=engine)
    assert not SQLAlchemyAdapter.serves(dict, engine=engine)
    assert not SQLAlchemyAdapter.serves(Base, engine=engine)


def test_init_database_binds_what_is_declared(engine: Engine) -> None:
    class Own(DeclarativeBase):
        pass

    class Memo(Own):
        __tablename__ = "kit_note"
        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[str | None]
        search = SemanticIndex(["body"], sync="inline")

    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        (index,) = init_database(engine, core, base=Own)
        saved(engine, Memo(id=1, body="declared"))
        assert [row.body for row in Memo.search("declared")] == ["declared"]
        index.uninstall()


# --- connections ----------------------------------------------------------------------------------


def small(kind: str, open_database: Callable[[str], Any], servers: Any) -> Engine:
    """An engine that has one connection, and waits no second for another."""
    engine = engine_of(servers, open_database(kind), pool_size=1, max_overflow=0, pool_timeout=0.5)
    Base.metadata.create_all(engine)
    return engine


@pytest.mark.parametrize("kind", ["sqlite3", "postgresql", "mysql"])
def test_a_pool_of_one_connection_is_enough(
    kind: str, open_database: Any, servers: Any, bind_to: BindTo
) -> None:
    engine = small(kind, open_database, servers)
    index = bind_to(engine, source_fields=["content", "author.name"])
    with Session(engine) as session:
        session.add(Article(id=1, content="first", author=Author(id=1, name="Ann")))
        session.commit()
        assert held(index) == {"1": "first\n\nAnn"}
        session.get_one(Author, 1).name = "Bea"
        session.flush()
        (row,) = index("first", fresh=True)
        assert (row.id, row.author.name, index.in_transaction) == (1, "Bea", True), (
            "it looks through the open transaction"
        )
        with pytest.raises(StoreMisuse, match="open transaction"):
            index.sync()
        session.commit()
    assert held(index) == {"1": "first\n\nBea"}
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE kit_article SET content = 'by a connection'")
        assert len(index("first")) == 1
    assert [row.content for row in index("connection", fresh=True)] == ["by a connection"]
    assert not index.in_transaction
    assert index.reindex().unchanged == 1
    assert index.verify().sound
    index.uninstall()
    engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite3", "postgresql", "mysql"])
def test_tenants_that_only_rows_tell_need_one_connection_too(
    kind: str, open_database: Any, servers: Any
) -> None:
    engine = small(kind, open_database, servers)
    with SemanticCore(
        store="memory", embedder=HashEmbedder(), plugins=[], multi_tenant=True
    ) as core:
        options = {
            "adapter": SQLAlchemyAdapter,
            "adapter_options": {"engine": engine},
            "sync": "inline",
        }
        index = core.bind(
            Note,
            source_fields=["body"],
            tenant=lambda row: row.owner,
            watch_fields=["owner"],
            **options,
        )
        saved(
            engine,
            Note(id=1, owner="acme", body="the plan"),
            Note(id=2, owner="beta", body="the other plan"),
        )
        assert [row.id for row in index("plan", tenant="acme")] == [1]
        with Session(engine) as session, session.begin():
            session.get_one(Note, 1).owner = "beta"
        assert (len(index("plan", tenant="acme")), len(index("plan", tenant="beta"))) == (0, 2)
        index.uninstall()
    engine.dispose()


def test_a_database_in_memory_with_one_connection_for_all(bind_to: BindTo) -> None:
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    index = bind_to(engine)
    saved(engine, Article(id=1, content="in memory"))
    with Session(engine) as session:
        session.add(Article(id=2, content="not committed"))
        session.flush()
        assert [row.id for row in index("in memory", limit=1)] == [1]
        assert index.status().waiting == 1
        session.rollback()
    assert (held(index), index.status().waiting) == ({"1": "in memory"}, 0), (
        "a search commits nothing of others"
    )
    engine.dispose()


def test_an_unfinished_session_elsewhere_does_not_count(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    forgotten = Session(engine)
    forgotten.execute(select(Note.id)).all()
    assert index.in_transaction
    forgotten.close()
    assert not index.in_transaction
    del forgotten
    dropped = Session(engine)
    dropped.execute(select(Note.id)).all()
    del dropped
    gc.collect()
    assert not index.in_transaction


# --- instances ------------------------------------------------------------------------------------


def test_rows_that_are_found_can_be_read_and_joined_to_a_session(
    engine: Engine, bind_to: BindTo
) -> None:
    index = bind_to(engine, source_fields=["content", "author.mentor.name"])
    mentor = Author(id=1, name="Ann")
    saved(
        engine,
        Article(id=1, content="found", stars=3, author=Author(id=2, name="Bea", mentor=mentor)),
    )
    (row,) = index("found")
    assert (row.stars, row.author.name, row.search_hit.ref.key) == (3, "Bea", "1")
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    with Session(engine) as session:
        mine = session.merge(row, load=False)
        assert not statements
        assert mine.author.mentor.name == "Ann"
        mine.content = "changed"
        session.commit()
    assert held(index) == {"1": "changed\n\nAnn"}


def test_related_rows_are_read_with_their_own_in_one_query(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine, source_fields=["content", "author.name"], sync="manual")
    saved(
        engine,
        *(
            Article(id=n, content="text", author=Author(id=n, name=f"author {n}"))
            for n in range(1, 30)
        ),
    )
    read = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda *given: read.append(given[2]) if "kit_author" in given[2] else None,
    )
    index.sync()
    assert len(read) == 1
    assert held(index)["7"] == "text\n\nauthor 7"


# --- asyncio --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite3", "postgresql"])
def test_an_async_session_is_captured_by_triggers(
    kind: str, open_database: Any, servers: Any
) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    database = open_database(kind)
    plain = engine_of(servers, database)
    Base.metadata.create_all(plain)
    if kind == "sqlite3":
        url, arguments = plain.url.set(drivername="sqlite+aiosqlite"), {"timeout": 30}
    else:
        url, arguments = (
            plain.url.set(drivername="postgresql+asyncpg"),
            {"server_settings": {"search_path": database.address}},
        )

    async def story(index: BaseORMAdapter) -> list[int]:
        engine = create_async_engine(url, connect_args=arguments)
        async with AsyncSession(engine) as session:
            session.add(Article(id=1, content="by an async session"))
            await session.commit()
            session.add(Article(id=2, content="never by an async session"))
            await session.flush()
            await session.rollback()
        found = await asyncio.to_thread(index, "async session", fresh=True, timeout=30)
        async with AsyncSession(engine) as session:
            mine = [await session.merge(row, load=False) for row in found]
            assert [row.content for row in mine] == ["by an async session"]
        await engine.dispose()
        return [row.id for row in found]

    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        options = {"adapter": SQLAlchemyAdapter, "adapter_options": {"engine": plain}}
        index = core.bind(Article, source_fields=["content"], sync="background", **options)
        assert asyncio.run(story(index)) == [1]
        assert index.coordinator.worker._thread is not None, (
            "a commit of an async session wakes the worker"
        )
        by_hand = core.bind(
            Article, source_fields=["title"], collection="titles", sync="manual", **options
        )
        core.sync()
        assert (list(held(index)), index.status().waiting, by_hand.status().waiting) == (
            ["1"],
            0,
            0,
        )
        index.uninstall()
        by_hand.uninstall()
    plain.dispose()


# --- migrations -----------------------------------------------------------------------------------


def test_a_batch_migration_of_alembic_drops_triggers_and_install_brings_them_back(
    tmp_path: Path, bind_to: BindTo
) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    engine = with_savepoints(create_engine(f"sqlite:///{tmp_path / 'rows.db'}"))
    Base.metadata.create_all(engine)
    index = bind_to(engine, source_fields=["content", "author.name"])
    saved(
        engine,
        Article(id=1, content="before"),
        Article(id=2, content="goes", author=Author(id=1, name="Ann")),
    )
    index.uninstall(forget=False)
    with (
        engine.begin() as connection,
        Operations.context(MigrationContext.configure(connection)) as migration,
    ):
        with migration.batch_alter_table("kit_article", recreate="always") as table:
            table.alter_column("title", type_=String(300))
        connection.exec_driver_sql("UPDATE kit_article SET content = 'by a migration' WHERE id = 1")
        connection.exec_driver_sql("DELETE FROM kit_article WHERE id = 2")
    assert not index.status().capturing
    assert index.install()
    index.sync()
    assert (held(index), index.status().capturing) == ({"1": "by a migration"}, True)
    saved(engine, Article(id=3, content="after"))
    assert sorted(held(index)) == ["1", "3"]
    index.uninstall()
    engine.dispose()


def test_rows_of_children_are_found_through_the_parents_index(trial: Engine) -> None:
    """Dogs are rows of the table of animals, horses have one of their own beside it;
    a parrot's rows are its own alone.
    """

    class Beast(DeclarativeBase):
        pass

    class Pet(Beast):
        __tablename__ = "pet"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "pet"}
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20))
        name: Mapped[str] = mapped_column(String(50))
        search = SemanticIndex(["name"], sync="inline")

    class Puppy(Pet):
        __mapper_args__ = {"polymorphic_identity": "puppy"}

    class Pony(Pet):
        __tablename__ = "pony"
        __mapper_args__ = {"polymorphic_identity": "pony"}
        id: Mapped[int] = mapped_column(ForeignKey("pet.id"), primary_key=True)

    class Parrot(Pet):
        __tablename__ = "parrot"
        __mapper_args__ = {"concrete": True, "polymorphic_identity": "parrot"}
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20))
        name: Mapped[str] = mapped_column(String(50))

    Beast.metadata.create_all(trial)
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        bound = init_database(trial, core, base=Beast)
        try:
            assert [index.model for index in bound] == [Pet, Parrot]
            saved(trial, Pet(id=1, name="Tom"), Puppy(id=2, name="Rex"), Pony(id=3, name="Bella"))
            saved(trial, Parrot(id=1, kind="parrot", name="Polly"))
            assert {type(row) for row in Pet.search("Tom Rex Bella")} == {Pet, Puppy, Pony}
            assert [type(row) for row in Parrot.search("Polly")] == [Parrot]
            assert held(Pet.search) == {"1": "Tom", "2": "Rex", "3": "Bella"}
            with pytest.raises(ConfigError, match=r"found through Pet\.search"):
                Puppy.search("Rex")
        finally:
            for index in bound:
                index.uninstall()
            Beast.metadata.drop_all(trial)


def test_a_plain_table_between_is_followed(trial: Engine, bind_to: BindTo) -> None:
    class Linked(DeclarativeBase):
        pass

    between = Table(
        "trial_song_singer",
        Linked.metadata,
        Column("song", ForeignKey("trial_song.id", ondelete="CASCADE"), primary_key=True),
        Column("singer", ForeignKey("trial_singer.id", ondelete="CASCADE"), primary_key=True),
    )

    class Singer(Linked):
        __tablename__ = "trial_singer"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(50))

    class Song(Linked):
        __tablename__ = "trial_song"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(50))
        singers: Mapped[list[Singer]] = relationship(secondary=between)

    Linked.metadata.create_all(trial)
    index = bind_to(trial, Song, source_fields=["name", "singers.name"])
    try:
        with Session(trial) as session:
            ann, song = Singer(id=1, name="Ann"), Song(id=1, name="Loops")
            session.add_all([ann, song])
            session.commit()
            song.singers.append(ann)
            session.commit()
            assert held(index) == {"1": "Loops\n\nAnn"}
            ann.name = "Eve"
            session.commit()
            assert held(index) == {"1": "Loops\n\nEve"}
            song.singers.remove(ann)
            session.commit()
            assert held(index) == {"1": "Loops"} and index.verify().sound
    finally:
        index.uninstall()
        Linked.metadata.drop_all(trial)


# --- what cannot be followed, and what is left of an index ----------------------------------------


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_table_with_a_dot_in_its_name_is_refused(
    kind: str, open_database: Callable[[str], Any], servers: Any
) -> None:
    class Dotted(DeclarativeBase):
        pass

    class Page(Dotted):
        __tablename__ = "no.te"
        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[str] = mapped_column(String(50))

    engine = engine_of(servers, open_database(kind))
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        options = {"adapter": SQLAlchemyAdapter, "adapter_options": {"engine": engine}}
        with pytest.raises(ConfigError, match="a dot in its name"):
            core.bind(Page, source_fields=["body"], **options)
    engine.dispose()


def test_a_table_in_another_file_is_refused_on_sqlite(tmp_path: Path) -> None:
    class Attached(DeclarativeBase):
        pass

    class Page(Attached):
        __tablename__ = "page"
        __table_args__ = {"schema": "other"}
        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[str]

    engine = create_engine(f"sqlite:///{tmp_path / 'rows.db'}")
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        options = {"adapter": SQLAlchemyAdapter, "adapter_options": {"engine": engine}}
        with pytest.raises(ConfigError, match="attached database 'other'"):
            core.bind(Page, source_fields=["body"], **options)
    engine.dispose()


def test_what_the_last_index_of_a_database_left_is_logged_and_can_be_removed(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The next version of the application declares no index any more."""

    class Own(DeclarativeBase):
        pass

    class Memo(Own):
        __tablename__ = "kit_note"
        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[str | None]
        search = SemanticIndex(["body"], sync="manual")

    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        init_database(engine, core, base=Own)
    declared = SemanticIndex._declared
    declared[:] = [entry for entry in declared if entry[0]() is not Memo]

    class Next(DeclarativeBase):
        pass

    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        bound = init_database(engine, core, base=Next)
        assert (list(bound), bound.core) == ([], core)
        assert "semantic-core outbox forget kit_note" in caplog.text
        (left,) = databases_of(core)
        forget(left, "kit_note")
        database = SQLAlchemyAdapter.for_database(engine=engine)
        assert triggers(database.execute, database.dialect) == []


def test_a_database_that_never_had_an_index_needs_no_core(tmp_path: Path) -> None:
    class Empty(DeclarativeBase):
        pass

    engine = create_engine(f"sqlite:///{tmp_path / 'rows.db'}")
    assert init_database(engine, base=Empty).core is None
    engine.dispose()
