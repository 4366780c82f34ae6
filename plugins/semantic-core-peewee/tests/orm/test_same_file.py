"""The index in the application's own file: one transaction writes rows and documents."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import peewee
import pytest
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import SemanticIndex, init_database
from semantic_core_peewee.sqlite.same_file import SameFileStore
from semantic_core_peewee.sqlite.tuning import DEFAULT

from semantic_core import Document, Ref, Scope, SemanticCore, Space
from semantic_core.errors import (
    ConfigError,
    EmbedderUnavailable,
    SpaceMismatch,
    StoreBusy,
    StoreMisuse,
)
from semantic_core.testing import HashEmbedder

PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "off"}


class Oops(Exception):
    """What goes wrong in an application."""


class Desk:
    """Notes in a file, with their index in it."""

    def __init__(self, path: Path, **said: Any) -> None:
        self.path = path
        self.db = APSWDatabase(str(path), pragmas=PRAGMAS, timeout=10)
        self.embedder = HashEmbedder()

        class Document(peewee.Model):  # a table the store has one of, too
            title = peewee.CharField()
            body = peewee.TextField(default="")
            search = SemanticIndex(["title", "body"], **said)

            class Meta:
                database = self.db

        self.Document = Document
        self.db.create_tables([Document])
        self.core = init_database(
            self.db, same_file=True, embedder=self.embedder, plugins=["peewee", "sqlite"]
        )

    def find(self, query: str, **options: Any) -> list[str]:
        return [row.title for row in self.Document.search(query, **options)]

    def keys(self) -> list[str]:
        return [summary.ref.key for summary in self.core.documents(limit=1_000)]

    def close(self) -> None:
        self.core.close()
        self.db.close()


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**said: Any) -> Desk:
        made.append(Desk(tmp_path / "app.db", **said))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(new_desk: Callable[..., Desk]) -> Desk:
    return new_desk()


def test_there_is_one_file_and_the_index_is_in_it(desk: Desk) -> None:
    row = desk.Document.create(title="Loops", body="for and while repeat a block")
    assert desk.Document.get_by_id(row.id).title == "Loops"
    assert desk.find("repeat a block") == ["Loops"]
    assert sorted(file.name for file in desk.path.parent.iterdir()) == [
        "app.db",
        "app.db-shm",
        "app.db-wal",
    ]
    assert desk.core.stats().pending == 0
    assert desk.Document.search.verify().sound


def test_a_search_finds_by_words_what_its_own_transaction_wrote(desk: Desk) -> None:
    with desk.db.atomic():
        row = desk.Document.create(title="Loops", body="for and while repeat a block")
        assert desk.find("while", mode="text") == ["Loops"]
        assert desk.find("while") == ["Loops"]
        row.body = "a list is read"
        row.save()
        assert desk.find("while", mode="text") == [] and desk.find("list", mode="text") == ["Loops"]
        desk.Document.insert_many([{"title": f"t{n}", "body": "many"} for n in range(50)]).execute()
        assert len(desk.find("many", limit=100, mode="text")) == 50
        desk.Document.delete().where(desk.Document.title.startswith("t")).execute()
        assert desk.find("many", mode="text") == []
        assert desk.embedder.calls == 0
    assert (
        desk.find("list") == ["Loops"]
        and desk.core.stats().pending == 0
        and desk.embedder.calls == 1
    )


def test_row_words_and_change_are_committed_together(desk: Desk) -> None:
    elsewhere = apsw.Connection(str(desk.path))
    counts = (
        "SELECT (SELECT count(*) FROM document), (SELECT count(*) FROM semantic_index_document), "
        "(SELECT ifnull(sum(chunks), 0) FROM semantic_index_text_word WHERE word = 'while'), "
        "(SELECT count(*) FROM semantic_outbox)"
    )
    desk.embedder.fail_with = EmbedderUnavailable("offline")
    seen = []
    desk.db.connection().set_commit_hook(
        lambda: seen.append(elsewhere.execute(counts).get) or False
    )
    with desk.db.atomic():
        desk.Document.create(title="Loops", body="while")
    desk.db.connection().set_commit_hook(None)
    assert seen[0] == (0, 0, 0, 0)
    assert elsewhere.execute(counts).get == (1, 1, 1, 0)
    assert all(each == (1, 1, 1, 0) for each in seen[1:])
    desk.Document.create(title="More", body="while")  # a statement of its own is a transaction too
    assert elsewhere.execute(counts).get == (2, 2, 2, 0)
    elsewhere.close()


def test_a_rollback_takes_it_all_along(desk: Desk) -> None:
    desk.Document.create(title="kept", body="is there")
    with pytest.raises(Oops), desk.db.atomic():
        desk.Document.create(title="ghost", body="never was")
        desk.Document.update(body="overwritten").where(desk.Document.title == "kept").execute()
        assert desk.find("never", mode="text") == ["ghost"]
        assert desk.find("overwritten", mode="text") == ["kept"]
        raise Oops
    assert desk.find("never", mode="text") == [] and desk.find("is there", mode="text") == ["kept"]
    assert (
        len(desk.keys()) == 1
        and desk.Document.search.verify().sound
        and desk.core.store.check() == []
    )


def test_a_savepoint_takes_its_own_along(desk: Desk) -> None:
    with desk.db.atomic():
        desk.Document.create(title="outer", body="words")
        with pytest.raises(Oops), desk.db.atomic():
            desk.Document.create(title="inner", body="words")
            assert sorted(desk.find("words", mode="text")) == ["inner", "outer"]
            raise Oops
        assert desk.find("words", mode="text") == ["outer"]
        assert desk.find("words") == ["outer"]
    assert desk.find("words") == ["outer"] and desk.Document.search.verify().sound


def test_what_was_seen_in_a_transaction_is_not_remembered_after_its_rollback(desk: Desk) -> None:
    """What is committed gets the numbers of what was rolled back, for a chunk and for the state,
    with another vector.
    """
    # In so large a scope, vectors are in memory from the first search on.
    others = [{"title": f"nut {number}"} for number in range(DEFAULT.few_chunks)]
    desk.Document.insert_many(others).execute()
    fruits = ["apples", "pears", "plums", "cherries"]
    desk.Document.insert_many([{"title": fruit} for fruit in fruits]).execute()
    scope = Scope(collections=["document"])

    def nearest(fruit: str, limit: int) -> list[str]:
        found = desk.core.store.nearest(desk.embedder.embed_query(fruit), limit, scope)
        return [id.ref.key for id in found.ids]

    for fruit, other in zip(fruits, reversed(fruits), strict=True):
        before = nearest(fruit, 1)
        with pytest.raises(Oops), desk.db.atomic():
            ghost = desk.Document.create(title=other)  # its vector is known: it needs no embedder
            assert len(desk.find(other)) > 1 and str(ghost.id) in nearest(other, 2)
            raise Oops
        row = desk.Document.create(title=fruit)
        assert row.id == ghost.id
        assert sorted(nearest(fruit, 2)) == sorted([*before, str(row.id)])
        row.delete_instance()
    assert desk.Document.search.verify().sound


def test_a_transaction_by_hand_counts_as_well(desk: Desk) -> None:
    desk.db.execute_sql("BEGIN")
    desk.Document.create(title="in SQL", body="words")
    assert desk.find("words", mode="text") == ["in SQL"]
    desk.db.execute_sql("ROLLBACK")
    assert desk.keys() == []
    with desk.db.manual_commit():
        desk.db.begin()
        desk.Document.create(title="by hand", body="words")
        desk.db.commit()
    assert desk.find("words") == ["by hand"]
    desk.db.execute_sql("BEGIN")
    desk.Document.create(title="and again", body="words")
    desk.db.execute_sql("COMMIT")
    assert len(desk.keys()) == 2 and desk.core.stats().pending == 0


def test_other_threads_see_what_is_committed_and_nothing_else(desk: Desk) -> None:
    desk.Document.create(title="old", body="words")
    found: list[list[str]] = []

    def look() -> None:
        found.append(desk.find("words"))
        desk.db.close()

    with desk.db.atomic():
        desk.Document.create(title="new", body="words")
        assert sorted(desk.find("words")) == ["new", "old"]
        _in_thread(look)
    _in_thread(look)
    assert found[0] == ["old"] and sorted(found[1]) == ["new", "old"]


def _in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_commits_of_all_threads_are_noticed(desk: Desk) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 8):
            with desk.db.atomic("IMMEDIATE"):
                desk.Document.create(title=f"t{number}", body="words")
        desk.db.close()

    threads = [threading.Thread(target=write, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.core.sync()
    assert (
        len(desk.keys()) == 32
        and desk.Document.search.verify().sound
        and desk.core.stats().pending == 0
    )


def test_words_that_cannot_be_written_never_fail_the_commit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("the index is away")

    with monkeypatch.context() as patch:
        patch.setattr(desk.core.store, "replace", broken)
        with desk.db.atomic():
            desk.Document.create(title="a", body="words")
        assert desk.Document.select().count() == 1 and desk.keys() == []
        assert desk.Document.search.status().waiting == 1
    desk.core.sync()
    assert len(desk.keys()) == 1


def test_a_transaction_of_very_many_rows_leaves_the_rest_for_after_it(
    new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semantic_core_peewee.adapter.MOST_AT_ONCE", 10)
    desk = new_desk(sync="background")
    with desk.db.atomic():
        desk.Document.insert_many([{"title": f"t{n}"} for n in range(25)]).execute()
    assert len(desk.find("t1", fresh=True, limit=100)) and len(desk.keys()) == 25


def test_work_by_hand_and_paused_work_are_left(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(sync="manual")
    with desk.db.atomic():
        desk.Document.create(title="a", body="words")
        assert desk.find("words", mode="text") == []
    assert desk.keys() == []
    desk.core.sync()
    assert desk.find("words") == ["a"]


def test_the_index_is_there_again_after_a_restart(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk()
    desk.Document.create(title="a", body="words")
    desk.close()
    again = new_desk()
    assert again.find("words") == ["a"]
    again.Document.create(title="b", body="words")
    assert sorted(again.find("words")) == ["a", "b"]
    assert again.Document.search.status().backfill == 0


def test_the_store_can_be_cared_for_where_it_is(desk: Desk) -> None:
    for number in range(5):
        desk.Document.create(title=f"t{number}", body="words")
    store = desk.core.store
    assert store.check() == [] and store.repair() == []
    store.compact()
    assert len(desk.find("words")) == 5 and desk.Document.select().count() == 5
    with pytest.raises(StoreMisuse, match="a part of"):
        store.backup(desk.path.with_name("copy.db"))
    with desk.db.atomic(), pytest.raises(StoreMisuse):
        store.compact()


@pytest.mark.parametrize("kind", [peewee.SqliteDatabase, peewee.PostgresqlDatabase])
def test_another_library_on_the_file_is_refused_with_the_reason(kind: Any, tmp_path: Path) -> None:
    db = kind(str(tmp_path / "app.db"))
    with pytest.raises(StoreMisuse, match=f"is a {kind.__name__}.*locks.*APSWDatabase"):
        init_database(db, same_file=True, embedder=HashEmbedder(), plugins=["peewee", "sqlite"])


def test_the_standard_library_cannot_open_the_file_meanwhile(desk: Desk) -> None:
    with pytest.raises(StoreMisuse, match="sqlite3 must not open it"):
        sqlite3.connect(desk.path)
    desk.core.close()
    sqlite3.connect(desk.path).close()


def test_a_file_the_standard_library_has_open_is_refused(tmp_path: Path) -> None:
    first = sqlite3.connect(tmp_path / "app.db")
    first.execute("create table t (x)")
    db = APSWDatabase(str(tmp_path / "app.db"), pragmas=PRAGMAS)
    with pytest.raises(StoreMisuse, match="another SQLite library"):
        init_database(db, same_file=True, embedder=HashEmbedder(), plugins=["peewee", "sqlite"])
    first.close()
    db.close()


def test_what_cannot_be_in_the_same_file_says_what_to_do(tmp_path: Path) -> None:
    space = Space("hash", 64)
    with pytest.raises(StoreMisuse, match="no file to share"):
        SameFileStore(space, APSWDatabase(":memory:"))
    plain = APSWDatabase(str(tmp_path / "plain.db"))
    with pytest.raises(StoreMisuse, match="write-ahead log.*journal_mode"):
        SameFileStore(space, plain)
    good = APSWDatabase(str(tmp_path / "good.db"), pragmas=PRAGMAS)
    with good.atomic(), pytest.raises(StoreMisuse, match="transaction open"):
        SameFileStore(space, good)
    SameFileStore(space, good).close()
    with pytest.raises(SpaceMismatch):
        SameFileStore(Space("other", 64), good)
    with pytest.raises(StoreMisuse, match="single-tenant"):
        SameFileStore(space, good, multi_tenant=True)
    with pytest.raises(ConfigError, match="space must be"):
        SameFileStore("hash", good)  # type: ignore[arg-type]
    good.close()
    plain.close()


def test_tenants_are_kept_apart_here_too(tmp_path: Path) -> None:
    db = APSWDatabase(str(tmp_path / "app.db"), pragmas=PRAGMAS)

    class Note(peewee.Model):
        owner = peewee.CharField()
        body = peewee.TextField()
        search = SemanticIndex(["body"], tenant="owner")

        class Meta:
            database = db

    db.create_tables([Note])
    with init_database(
        db, same_file=True, multi_tenant=True, embedder=HashEmbedder(), plugins=["peewee", "sqlite"]
    ) as core:
        with db.atomic():
            note = Note.create(owner="acme", body="the plan")
            assert [row.id for row in Note.search("plan", tenant="acme", mode="text")] == [note.id]
            assert list(Note.search("plan", tenant="beta", mode="text")) == []
            note.owner = "beta"
            note.save()
            assert list(Note.search("plan", tenant="acme", mode="text")) == []
        assert [row.id for row in Note.search("plan", tenant="beta")] == [note.id]
        assert core.tenant("acme").documents().total == 0
    db.close()


def test_a_core_that_is_handed_over_may_hold_the_store(tmp_path: Path) -> None:
    db = APSWDatabase(str(tmp_path / "app.db"), pragmas=PRAGMAS)
    embedder = HashEmbedder()

    class Note(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"])

        class Meta:
            database = db

    db.create_tables([Note])
    store = SameFileStore(embedder.space, db)
    with SemanticCore(store=store, embedder=embedder, plugins=[]) as core:
        assert init_database(db, core) is core
        with db.atomic():
            Note.create(body="one transaction")
            assert [row.body for row in Note.search("transaction", mode="text")] == [
                "one transaction"
            ]
    db.close()


def test_another_writer_is_waited_for_and_then_told_of(desk: Desk) -> None:
    other = apsw.Connection(str(desk.path))
    other.execute("begin immediate")
    desk.db.connection().set_busy_timeout(0)
    with pytest.raises(peewee.OperationalError):
        desk.Document.create(title="a", body="words")
    with desk.db.atomic(), pytest.raises(StoreBusy):
        desk.core.ingest(Document(Ref("document", "1"), "text"))
    other.execute("rollback")
    other.close()
    desk.Document.create(title="b", body="words")
    assert desk.find("words") == ["b"]
