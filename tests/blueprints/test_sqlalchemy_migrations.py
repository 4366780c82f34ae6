"""Alembic beside an index: what autogenerate sees, what an upgrade may do,
and binding before the first upgrade.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import databases as servers
import pytest
from alchemy_engines import engine_of
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from blueprint_helpers import held
from sqlalchemy import Column, Engine, ForeignKey, String, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy_adapter import SemanticIndex, init_database

from semantic_core import SemanticCore
from semantic_core.orm.migrations import include_name, include_object
from semantic_core.testing import HashEmbedder


class Base(DeclarativeBase):
    pass


class Writer(Base):
    __tablename__ = "writer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))


class Paper(Base):
    __tablename__ = "paper"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(String(100))
    writer_id: Mapped[int | None] = mapped_column(ForeignKey("writer.id"), index=True)
    writer: Mapped[Writer | None] = relationship()

    search = SemanticIndex(["body", "writer.name"], sync="inline")


@pytest.fixture(params=["sqlite3", "postgresql", "mysql"])
def empty(request: pytest.FixtureRequest, open_database: Callable[[str], Any]) -> Iterator[Engine]:
    """An engine on a database without any table."""
    engine = engine_of(servers, open_database(request.param))
    yield engine
    engine.dispose()


@pytest.fixture
def core() -> Iterator[SemanticCore]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        yield core


def drift(engine: Engine, **options: Any) -> list[Any]:
    """What autogenerate would write; the default schema of the server's tests is not the one of
    the connection.
    """
    with engine.connect() as connection:
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
        )


def add(engine: Engine, *rows: Any) -> None:
    with Session(engine) as session:
        session.add_all(rows)
        session.commit()


def test_autogenerate_sees_nothing_of_ours(empty: Engine, core: SemanticCore) -> None:
    Base.metadata.create_all(empty)
    init_database(empty, core, base=Base)
    assert [each for each in drift(empty) if "semantic_" in str(each)], (
        "without the helper our tables are drift"
    )
    assert drift(empty, include_name=include_name) == []
    assert drift(empty, include_object=include_object) == []


def test_an_upgrade_that_drops_the_outbox_fails_no_write_and_the_next_start_heals(
    empty: Engine, core: SemanticCore, caplog: pytest.LogCaptureFixture
) -> None:
    Base.metadata.create_all(empty)
    init_database(empty, core, base=Base)
    add(empty, Paper(id=1, body="before"))
    with empty.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        for table in ("semantic_outbox", "semantic_places", "semantic_state"):
            operations.drop_table(table)
    assert "init_database" in caplog.text
    add(empty, Paper(id=2, body="unseen"))
    with empty.begin() as connection:
        connection.execute(text("UPDATE paper SET body = 'changed' WHERE id = 1"))
    assert "Traceback" not in caplog.text
    init_database(empty, core, base=Base)
    core.sync()
    assert held(Paper.search) == {"1": "changed", "2": "unseen"}
    assert Paper.search.verify().sound


def test_a_program_that_binds_nothing_may_drop_the_outbox_too(
    empty: Engine, core: SemanticCore
) -> None:
    """``alembic upgrade`` loads the models, and so the blueprint,
    but nobody calls init_database there.
    """
    Base.metadata.create_all(empty)
    init_database(empty, core, base=Base)
    other = engine_of(servers, _address(empty))
    with other.begin() as connection:
        connection.execute(text("DROP TABLE semantic_outbox"))
    other.dispose()
    add(empty, Paper(id=1, body="written"))
    init_database(empty, core, base=Base)
    core.sync()
    assert held(Paper.search) == {"1": "written"}


def test_batch_operations_make_tables_anew_and_the_index_follows(
    empty: Engine, core: SemanticCore
) -> None:
    Base.metadata.create_all(empty)
    init_database(empty, core, base=Base)
    add(empty, Paper(id=1, body="before", writer=Writer(id=1, name="Ann")))
    with empty.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("paper", recreate="auto") as batch:
            batch.add_column(Column("lang", String(10), nullable=False, server_default="en"))
        with operations.batch_alter_table("paper", recreate="auto") as batch:
            batch.drop_column("lang")
        operations.rename_table("paper", "article")
        operations.rename_table("article", "paper")
        connection.execute(text("UPDATE paper SET body = 'within'"))
    assert Paper.search.status().capturing
    with empty.begin() as connection:
        connection.execute(text("UPDATE writer SET name = 'Bea'"))
    core.sync()
    assert held(Paper.search) == {"1": "within\n\nBea"}
    assert Paper.search.verify().sound


def test_an_application_may_bind_before_its_first_upgrade(
    empty: Engine, core: SemanticCore
) -> None:
    init_database(empty, core, base=Base)
    assert Paper.search.status().last_error == "the table is not there yet"
    assert "semantic_outbox" not in inspect(empty).get_table_names()
    with empty.begin() as connection:
        Base.metadata.create_all(connection)
    add(empty, Paper(id=1, body="first"))
    assert Paper.search.status().capturing
    assert held(Paper.search) == {"1": "first"}


def _address(engine: Engine) -> Any:
    """The database of an engine, as the tests name it."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            return servers.Database(
                "postgresql", connection.execute(text("SELECT current_schema()")).scalar_one()
            )
    kind = "sqlite3" if engine.dialect.name == "sqlite" else "mysql"
    return servers.Database(kind, engine.url.database)
