"""Mistakes that an index fed by SQLAlchemy's events makes, and that the blueprint does not make."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from alchemy_models import Article, Author, Note, Parcel
from blueprint_helpers import held
from sqlalchemy import Engine, delete, event, insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy_adapter import SQLAlchemyAdapter

from semantic_core import SemanticCore
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing import HashEmbedder

BindTo = Callable[..., BaseORMAdapter]


# --- 24: an update, a delete, None and numbers, keys of one type ----------------------------------


def test_an_update_replaces_and_a_delete_removes(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    with Session(engine) as session:
        row = Article(id=1, title="Loops", content="repeat a block")
        session.add(row)
        session.commit()
        assert held(index) == {"1": "repeat a block"}
        row.content = "repeat it again"
        session.commit()
        assert held(index) == {"1": "repeat it again"}
        session.delete(row)
        session.commit()
    assert held(index) == {}


def test_none_and_numbers_are_texts_and_filters_take_keys_and_rows(
    engine: Engine, bind_to: BindTo
) -> None:
    index = bind_to(
        engine, source_fields=["content", "stars", "deleted_at"], metadata_fields=["author"]
    )
    author = Author(id=3, name="Ann")
    with Session(engine, expire_on_commit=False) as session:
        session.add_all(
            [Article(id=1, stars=5, author=author), Article(id=2, deleted_at=datetime(2024, 5, 6))]
        )
        session.commit()
    assert held(index) == {"1": "5", "2": "2024-05-06T00:00:00"}
    assert (
        [row.id for row in index("5", where={"author": 3})]
        == [row.id for row in index("5", where={"author": author})]
        == [1]
    )


# --- 25: weak references --------------------------------------------------------------------------


@pytest.mark.parametrize("capture", ["triggers", "events"])
def test_an_index_nobody_refers_to_still_notices_commits(capture: Any, engine: Engine) -> None:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        options = {"adapter": SQLAlchemyAdapter, "adapter_options": {"engine": engine}}
        core.bind(Note, **options, source_fields=["body"], capture=capture, sync="inline")
        gc.collect()
        with Session(engine) as session, session.begin():
            session.add(Note(id=1, body="heard"))
        assert [hit.ref.key for hit in core.search("heard")] == ["1"]
        for follower in core.followers:
            for index in follower.adapters.values():
                index.uninstall()


# --- 26: rollback, bulk and Core statements, an embedder within a transaction, a delete that fails


@pytest.mark.parametrize("capture", ["triggers", "events"])
def test_a_rollback_leaves_nothing_in_the_index(
    capture: Any, engine: Engine, bind_to: BindTo
) -> None:
    index = bind_to(engine, capture=capture)
    with Session(engine) as session:
        session.add(Article(id=1, content="flushed and rolled back"))
        session.flush()
        session.rollback()
        session.add(Article(id=2, content="committed"))
        session.commit()
        session.get_one(Article, 2).content = "changed and rolled back"
        session.flush()
    assert held(index) == {"2": "committed"}
    assert index.status().waiting == 0


def test_a_savepoint_that_is_released_is_no_commit(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    with Session(engine) as session:
        with session.begin_nested():
            session.add(Article(id=1, content="released"))
        assert held(index) == {}
        session.rollback()
        with session.begin_nested():
            session.add(Article(id=2, content="released too"))
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            session.add(Article(id=3, content="rolled back alone"))
            session.flush()
            raise ZeroDivisionError
        assert held(index) == {}
        session.commit()
    assert held(index) == {"2": "released too"}


def test_statements_without_an_event_are_seen(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    with Session(engine) as session, session.begin():
        session.execute(
            insert(Article), [{"id": number, "content": f"bulk {number}"} for number in range(1, 6)]
        )
        session.bulk_save_objects([Article(id=6, content="bulk 6")])
        session.bulk_insert_mappings(Article, [{"id": 7, "content": "bulk 7"}])
    assert sorted(held(index)) == list("1234567")
    with Session(engine) as session, session.begin():
        session.execute(update(Article).where(Article.id < 3).values(content="updated"))
        session.bulk_update_mappings(Article, [{"id": 3, "content": "mapped"}])
        session.execute(delete(Article).where(Article.id.in_([4, 5])))
        session.connection().execute(Article.__table__.delete().where(Article.id == 6))
        session.execute(text("UPDATE kit_article SET content = 'by hand' WHERE id = 7"))
    assert held(index) == {"1": "updated", "2": "updated", "3": "mapped", "7": "by hand"}


def test_a_commit_of_core_is_processed_with_the_next(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    with engine.begin() as connection:
        connection.execute(insert(Article).values(id=1, content="by a connection"))
    assert (held(index), index.status().waiting) == ({}, 1)
    assert [row.id for row in index("by a connection", fresh=True)] == [1]
    with engine.begin() as connection:
        connection.execute(update(Article).values(content="changed by a connection"))
    with Session(engine) as session, session.begin():
        session.add(Note(id=1, body="nothing to do with it"))
    assert held(index) == {"1": "changed by a connection"}


def test_nothing_is_embedded_while_a_transaction_is_open(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    opened: list[int] = []
    seen: list[int] = []
    this_thread = threading.get_ident()

    def checked_out(*_: Any) -> None:
        if threading.get_ident() == this_thread:  # a worker thread may compare rows meanwhile
            opened.append(1)

    def checked_in(*_: Any) -> None:
        if threading.get_ident() == this_thread:
            opened.pop()

    event.listen(engine, "checkout", checked_out)
    event.listen(engine, "checkin", checked_in)
    embed = index.core.embedder.embed_documents

    def embed_documents(passages: Any) -> Any:
        seen.append(len(opened))
        return embed(passages)

    index.core.embedder.embed_documents = embed_documents
    with Session(engine) as session:
        session.add(Article(id=1, content="waits for the commit"))
        session.flush()
        assert seen == []
        session.commit()
    assert seen == [0], "a connection was out of the pool"


def test_a_delete_that_fails_leaves_the_row_in_the_index(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    with Session(engine) as session:
        row = Article(id=1, content="stays")
        session.add(row)
        session.commit()
        session.delete(row)
        session.add_all([Note(id=1), Note(id=2)])
        session.flush()
        with pytest.raises(IntegrityError):
            session.execute(insert(Note).values(id=1))
        session.rollback()
    assert [found.id for found in index("stays", fresh=True)] == [1]


def test_a_failure_of_the_index_is_no_failure_of_the_commit(
    engine: Engine, bind_to: BindTo
) -> None:
    index = bind_to(engine, source_fields=[lambda row: f"{1 // row.stars}"], watch_fields=["stars"])
    with Session(engine) as session:
        session.add(Article(id=1, stars=0))
        session.commit()
    assert "ZeroDivisionError" in index.status().last_error


def test_a_scoped_session_is_a_session(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine)
    session = scoped_session(sessionmaker(engine))
    session.add(Article(id=1, content="scoped"))
    session.commit()
    assert held(index) == {"1": "scoped"}
    session.add(Article(id=2, content="never"))
    session.remove()
    assert held(index) == {"1": "scoped"}


# --- 27: rows that are gone take no place; keys of two models -------------------------------------


def test_rows_that_are_gone_cost_no_place_in_the_answer(engine: Engine, bind_to: BindTo) -> None:
    index = bind_to(engine, sync="manual")
    with Session(engine) as session:
        session.add_all(
            Article(id=number, content=f"one of many {number}") for number in range(1, 21)
        )
        session.commit()
        index.sync()
        best = [row.id for row in index("one of many", limit=10)]
        session.execute(delete(Article).where(Article.id.in_(best[:8])))
        session.commit()
        found = index("one of many", limit=5)
    assert len(found) == 5
    assert not {row.id for row in found} & set(best[:8])


def test_equal_keys_of_two_models_are_two_documents(engine: Engine, bind_to: BindTo) -> None:
    articles, notes = bind_to(engine), bind_to(engine, Note, source_fields=["body"])
    with Session(engine) as session, session.begin():
        session.add_all(
            [Article(id=1, content="an article about tides"), Note(id=1, body="a note about tides")]
        )
    assert [type(row) for row in articles("tides")] == [Article]
    assert [type(row) for row in notes("tides")] == [Note]
    with Session(engine) as session, session.begin():
        session.execute(delete(Note))
    assert [row.content for row in articles("tides")] == ["an article about tides"]


def test_a_uuid_is_found_by_its_usual_text(engine: Engine, bind_to: BindTo) -> None:
    from uuid import UUID

    index = bind_to(engine, Parcel, source_fields=["content"])
    with Session(engine) as session, session.begin():
        session.add(Parcel(id=UUID(int=7), content="by its key"))
    assert [(row.id, row.search_hit.ref.key) for row in index("key")] == [
        (UUID(int=7), str(UUID(int=7)))
    ]
