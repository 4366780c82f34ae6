"""Events of a model's index: after the commit of the rows, and never for what was rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import SemanticIndex, init_database

from semantic_core import hookimpl
from semantic_core.events import Removed, Written
from semantic_core.protocols import Transactional
from semantic_core.testing import HashEmbedder

PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "off"}


class Oops(Exception):
    """What goes wrong in an application."""


class Listener:
    """Keeps the keys it hears of, with a mark before each: + added, * updated, - removed."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.in_transaction: list[bool] = []
        self.database: Any = None

    @hookimpl
    def semantic_event(self, event: object) -> None:
        if isinstance(event, Written):
            self.heard += [f"+{ref.key}" for ref in event.added]
            self.heard += [f"*{ref.key}" for ref in event.updated]
        elif isinstance(event, Removed):
            self.heard += [f"-{ref.key}" for ref in event.refs]
        else:
            return
        self.in_transaction.append(bool(self.database.in_transaction()))

    def since(self) -> list[str]:
        heard = self.heard
        self.heard = []
        return heard


class Desk:
    """Notes with an index, in the same file or in a file of its own."""

    def __init__(self, folder: Path, same_file: bool) -> None:
        self.listener = Listener()
        self.db = APSWDatabase(str(folder / "app.db"), pragmas=PRAGMAS, timeout=10)
        self.listener.database = self.db

        class Note(peewee.Model):
            title = peewee.CharField()
            search = SemanticIndex(["title"])

            class Meta:
                database = self.db

        self.Note = Note
        self.db.create_tables([Note])
        self.core = init_database(
            self.db,
            same_file=same_file,
            embedder=HashEmbedder(),
            plugins=["peewee", "sqlite", self.listener],
        )


@pytest.fixture(params=["same file", "own file"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, request.param == "same file")
    yield made
    assert not any(made.listener.in_transaction)
    made.core.close()
    made.db.close()


def test_rows_are_announced_after_their_commit(desk: Desk) -> None:
    row = desk.Note.create(title="loops")
    assert desk.listener.since() == [f"+{row.id}"]
    row.title = "lists"
    row.save()
    assert desk.listener.since() == [f"*{row.id}"]
    with desk.db.atomic():
        second = desk.Note.create(title="second")
        desk.Note.create(title="third")
        assert desk.listener.since() == []
    assert sorted(desk.listener.since()) == [f"+{second.id}", f"+{second.id + 1}"]
    desk.Note.delete().where(desk.Note.id == row.id).execute()
    assert desk.listener.since() == [f"-{row.id}"]
    desk.Note.insert_many([{"title": "many"}] * 3).execute()
    assert len(desk.listener.since()) == 3
    desk.db.execute_sql("update note set title = 'raw' where id = ?", (second.id,))
    assert desk.listener.since() == [f"*{second.id}"]


def test_what_was_rolled_back_is_not_announced(desk: Desk) -> None:
    with pytest.raises(Oops), desk.db.atomic():
        desk.Note.create(title="never")
        desk.Note.search("never", mode="text")
        raise Oops
    assert desk.listener.since() == []
    kept = desk.Note.create(title="kept")
    assert desk.listener.since() == [f"+{kept.id}"]


def test_what_a_search_indexed_within_the_transaction_is_announced_after_it(desk: Desk) -> None:
    with desk.db.atomic():
        row = desk.Note.create(title="loops")
        desk.Note.search("loops", mode="text")
        assert desk.listener.since() == []
    assert f"+{row.id}" in desk.listener.since()
    with pytest.raises(Oops), desk.db.atomic():
        row.delete_instance()
        desk.Note.search("loops", mode="text")
        raise Oops
    assert desk.listener.since() == []


def test_what_a_savepoint_undid_is_not_announced(desk: Desk) -> None:
    with desk.db.atomic():
        first = desk.Note.create(title="first")
        with pytest.raises(Oops), desk.db.atomic():
            undone = desk.Note.create(title="undone")
            desk.Note.search("undone", mode="text")
            raise Oops
    heard = desk.listener.since()
    assert f"+{first.id}" in heard and f"+{undone.id}" not in heard


def test_only_a_store_in_the_applications_transaction_waits_for_it(
    tmp_path: Path, desk: Desk
) -> None:
    assert isinstance(desk.core.store, Transactional) is (
        getattr(desk.core.store, "database", None) is not None
    )
    if not isinstance(desk.core.store, Transactional):
        return
    called: list[str] = []
    call: Callable[[], None] = lambda: called.append("now")  # noqa: E731
    desk.core.store.after_commit(call)
    assert called == ["now"]
