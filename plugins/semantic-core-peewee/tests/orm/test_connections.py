"""A thread's connection is left as it was found: open where the application has opened it,
closed where it has not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import peewee
import pytest
from playhouse.apsw_ext import APSWDatabase
from playhouse.pool import PooledSqliteDatabase
from semantic_core_peewee import PeeweeAdapter, SemanticIndex, init_database

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.testing import HashEmbedder

SETTINGS: dict[str, Any] = {"embedder": HashEmbedder(), "plugins": ["peewee", "sqlite"]}


@pytest.fixture(params=("sqlite3", "apsw", "postgresql"))
def closed(request: pytest.FixtureRequest, open_database: Callable[..., Any]) -> Iterator[Any]:
    """A database nobody has opened, as at the start of a web application."""
    db = open_database(request.param)
    if not db.is_closed():
        db.close()
    yield db
    if not db.is_closed():
        db.close()


def note_of(db: Any, name: str = "Note", *, declared: bool = True) -> Any:
    """A model whose table is there; the connection is closed again."""

    class Note(peewee.Model):
        body = peewee.TextField()
        if declared:
            search = SemanticIndex(["body"])

        class Meta:
            database = db
            table_name = name.lower()

    Note.__name__ = name
    with db.connection_context():
        db.create_tables([Note])
        Note.create(body="how loops work")
    return Note


EVERYTHING: dict[str, Callable[[Any, SemanticCore], object]] = {
    "search": lambda Note, core: list(Note.search("loops")),
    "search(fresh=True)": lambda Note, core: list(Note.search("loops", fresh=True)),
    "status": lambda Note, core: Note.search.status(),
    "sync": lambda Note, core: Note.search.sync(),
    "core.sync": lambda Note, core: core.sync(),
    "verify": lambda Note, core: Note.search.verify(),
    "reindex": lambda Note, core: Note.search.reindex(),
    "repair": lambda Note, core: Note.search.repair(),
    "install": lambda Note, core: Note.search.install(),
    "init_database again": lambda Note, core: init_database(Note._meta.database),
    "changed": lambda Note, core: Note.search.changed(Note(id=1)),
    "uninstall": lambda Note, core: Note.search.uninstall(),
}


def test_whatever_is_called_leaves_the_connection_as_it_was(closed: Any) -> None:
    Note = note_of(closed)
    with init_database(closed, **SETTINGS) as core:
        assert closed.is_closed()
        for name, call in EVERYTHING.items():
            call(Note, core)
            assert closed.is_closed(), name
        closed.connect()  # what a web application does before each request
        for name, call in EVERYTHING.items():
            call(Note, core)
            assert not closed.is_closed(), name


def test_it_is_closed_after_an_error_too(closed: Any) -> None:
    class Missing(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"])

        class Meta:
            database = closed

    with pytest.raises(ConfigError, match="no table"):
        init_database(closed, **SETTINGS)
    assert closed.is_closed()
    closed.connect()
    with pytest.raises(ConfigError, match="no table"):
        init_database(closed, **SETTINGS)
    assert not closed.is_closed()


def test_bind_leaves_it_closed(closed: Any) -> None:
    Note = note_of(closed, declared=False)
    with SemanticCore(store="memory", **SETTINGS) as core:
        index = core.bind(Note, adapter=PeeweeAdapter, source_fields=["body"])
        assert closed.is_closed()
        core.sync()
        assert [note.body for note in index.search("loops")] == [
            "how loops work"
        ] and closed.is_closed()


def test_a_thread_that_only_searches_keeps_no_connection(closed: Any) -> None:
    Note = note_of(closed)
    left_open = []

    def look() -> None:
        list(Note.search("loops"))
        left_open.append(not closed.is_closed())

    with init_database(closed, **SETTINGS):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert left_open == [False]


def test_an_index_in_the_same_file_leaves_it_closed(tmp_path: Any) -> None:
    db = APSWDatabase(str(tmp_path / "app.db"), pragmas={"journal_mode": "wal"})
    Note = note_of(db)
    with init_database(db, same_file=True, **SETTINGS) as core:
        assert db.is_closed()
        core.sync()
        assert len(Note.search("loops")) == 1 and db.is_closed()


def test_a_database_that_opens_nothing_by_itself_is_served(tmp_path: Any) -> None:
    db = peewee.SqliteDatabase(tmp_path / "app.db", autoconnect=False)
    Note = note_of(db)
    with init_database(db, **SETTINGS) as core:
        core.sync()
        assert [note.body for note in Note.search("loops")] == ["how loops work"]
        assert db.is_closed()


def test_a_pool_has_its_connection_back(tmp_path: Any) -> None:
    db = PooledSqliteDatabase(tmp_path / "app.db", max_connections=1, timeout=1)
    Note = note_of(db)
    with init_database(db, **SETTINGS) as core:
        core.sync()
        assert len(Note.search("loops")) == 1
        assert db._in_use == {}


def test_rows_looked_at_one_by_one_share_one_connection(closed: Any) -> None:
    Note = note_of(closed)
    opened = []
    connect = closed.connect
    with init_database(closed, **SETTINGS) as core:
        closed.connect = lambda *args, **options: (
            opened.append(threading.get_ident()) or connect(*args, **options)
        )
        core.sync()
        Note.search("loops")
        closed.connect = connect
    assert opened.count(threading.get_ident()) == 2  # others are of the thread that compares rows
