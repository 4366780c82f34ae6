"""An index of models is always up to date: whatever happens to the rows, it has the rows that are
committed.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import pytest
from mini import Database, MiniAdapter, Model

from semantic_core import Document, IngestReport, Ref, SemanticCore, _search
from semantic_core._memory.store import MemoryStore
from semantic_core.batch import BatchRules
from semantic_core.errors import (
    ConfigError,
    EmbedderUnavailable,
    FilterInvalid,
    InputError,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
)
from semantic_core.orm import (
    Relation,
    SemanticIndex,
    Table,
    bind_declared,
    declare,
    processing,
    results,
    sync,
)
from semantic_core.orm.comparison import Lease, RowComparison
from semantic_core.orm.migrations import remove_triggers
from semantic_core.testing import HashEmbedder, JobEmbedder


class Shelf:
    """A database with authors and articles, and a core that keeps an index of the articles."""

    def __init__(
        self,
        path: Path,
        *,
        embedder: Any = None,
        backfill: Any = None,
        store: Any = "memory",
        **said: Any,
    ) -> None:
        self.db = db = Database(path / "app.db")
        self.core = SemanticCore(store=store, embedder=embedder or HashEmbedder(), plugins=[])
        db.run("CREATE TABLE IF NOT EXISTS author (id INTEGER PRIMARY KEY, name TEXT)")
        db.run(
            "CREATE TABLE IF NOT EXISTS article (id INTEGER PRIMARY KEY, title TEXT, content TEXT, "
            "stars INTEGER DEFAULT 0, draft INTEGER DEFAULT 0, author_id INTEGER REFERENCES author "
            "(id) ON DELETE CASCADE)"
        )

        class Author(Model):
            table = "author"
            fields = {"id": int, "name": str}

        class Article(Model):
            table = "article"
            fields = {
                "id": int,
                "title": str,
                "content": str,
                "stars": int,
                "draft": int,
                "author_id": int,
            }
            links = {"author": (Author, "author_id", "id")}
            search = SemanticIndex(
                **{
                    "source_fields": ["title", "content"],
                    "metadata_fields": ["author", "author.name"],
                    "condition": lambda row: not row.draft,
                    "watch_fields": ["draft"],
                    "sync": "inline",
                    **said,
                }
            )

        Author.db = Article.db = db
        self.Author, self.Article = Author, Article
        self.adapters = bind_declared(MiniAdapter, self.core, db=db, backfill=backfill)

    def indexed(self) -> dict[str, str]:
        """Key -> text of every document there is."""
        found = {}
        for summary in self.core.documents(limit=1000):
            document = self.core.get(summary.ref)
            assert document is not None
            found[document.ref.key] = f"{document.title}|{document.text}"
        return found


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What is declared within the test is forgotten afterwards."""
    before = list(SemanticIndex._declared)
    yield
    SemanticIndex._declared[:] = before


def test_a_saved_row_is_found_and_comes_back_as_an_instance(shelf: Shelf) -> None:
    shelf.Author.create(id=3, name="Ann")
    shelf.Article.create(id=1, title="Loops", content="for and while repeat a block", author_id=3)
    shelf.Article.create(id=2, title="Files", content="with closes a file", author_id=None)
    found = shelf.Article.search("repeat a block", limit=5)
    assert [row.id for row in found][0] == 1
    assert found[0].title == "Loops"
    assert found[0].search_hit is found.hits[0]
    assert found[0].search_hit.metadata == {"author": 3, "author.name": "Ann"}
    assert [row.id for row in shelf.Article.search("block file", where={"author": 3})] == [1]
    assert [
        row.id for row in shelf.Article.search("block file", where={"author": shelf.Author(id=3)})
    ] == [1]


def test_what_is_rolled_back_was_never_there(shelf: Shelf) -> None:
    with pytest.raises(ZeroDivisionError), shelf.db.transaction():
        shelf.Article.create(id=1, title="Ghost", content="never was")
        raise ZeroDivisionError
    assert shelf.indexed() == {}
    with shelf.db.transaction():
        shelf.Article.create(id=1, title="Kept", content="is there")
        with pytest.raises(ZeroDivisionError), shelf.db.transaction():
            shelf.Article.create(id=2, title="Ghost", content="never was")
            raise ZeroDivisionError
    assert shelf.indexed() == {"1": "Kept|is there"}


def test_a_core_with_batch_jobs_submits_what_has_no_vector() -> None:
    embedder = JobEmbedder()
    with SemanticCore(store="memory", embedder=embedder, plugins=[]) as core:
        core.batch_manager.rules = BatchRules(flush_size=1)
        core.ingest([Document(Ref("notes", "1"), "a text")], mode="async")
        assert processing.embed_pending(core) == IngestReport()
        assert len(embedder.jobs) == 1 and not embedder.tokens_billed


def test_a_store_with_tenants_wants_an_index_with_a_tenant(tmp_path: Path) -> None:
    Note = note_model(Database(tmp_path / "app.db"))
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[], multi_tenant=True)
    with pytest.raises(ConfigError, match="names no field for the tenant"):
        core.bind(Note, adapter=MiniAdapter, source_fields=["body"])


def test_a_commit_of_more_changes_than_one_claim_takes_is_indexed_whole(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "BATCH", 3)
    with shelf.db.transaction():
        for id in range(1, 9):
            shelf.Article.create(id=id, title="t", content=str(id))
    assert shelf.indexed() == {str(id): f"t|{id}" for id in range(1, 9)}


def test_bulk_and_raw_statements_are_seen(shelf: Shelf) -> None:
    shelf.db.run(
        "INSERT INTO article (id, title, content) VALUES (1, 'a', 'one'), (2, 'b', "
        "'two'), (3, 'c', 'three')"
    )
    shelf.db.run("UPDATE article SET content = content || '!' WHERE id < 3")
    shelf.db.run("DELETE FROM article WHERE id = 2")
    shelf.db.run("UPDATE article SET id = 9 WHERE id = 3")
    assert shelf.indexed() == {"1": "a|one!", "9": "c|three"}


def test_a_related_row_that_changes_reindexes_its_own(shelf: Shelf) -> None:
    shelf.Author.create(id=1, name="Ann")
    shelf.Article.create(id=1, title="a", content="one", author_id=1)
    shelf.db.run("UPDATE author SET name = 'Bea'")
    assert [row.id for row in shelf.Article.search("one", where={"author.name": "Bea"})] == [1]
    shelf.db.run("DELETE FROM author")
    assert shelf.indexed() == {}


def test_a_condition_is_evaluated_when_the_change_is_processed(shelf: Shelf) -> None:
    shelf.Article.create(id=1, title="a", content="one", draft=1)
    assert shelf.indexed() == {}
    shelf.db.run("UPDATE article SET draft = 0")
    assert shelf.indexed() == {"1": "a|one"}
    shelf.db.run("UPDATE article SET draft = 1")
    assert shelf.indexed() == {}


def test_an_unmapped_edit_costs_nothing(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    shelf = Shelf(tmp_path, embedder=embedder)
    shelf.Article.create(id=1, title="a", content="one")
    shelf.db.run("UPDATE article SET stars = 5")
    shelf.db.run("UPDATE article SET content = content")
    assert shelf.Article.search.status().waiting == 0
    assert shelf.db.run("SELECT count(*) FROM semantic_outbox") == [(0,)]


def test_rows_that_were_there_before_are_noted_and_indexed_on_demand(tmp_path: Path) -> None:
    db = Database(tmp_path / "app.db")
    db.run("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)")
    db.run("INSERT INTO note VALUES (1, 'an old one'), (2, 'another old one')")

    class Note(Model):
        table = "note"
        fields = {"id": int, "body": str}
        search = SemanticIndex(["body"])

    Note.db = db
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    bind_declared(MiniAdapter, core, db=db, backfill="off")
    assert Note.search.status().backfill == 2
    steps: list[Any] = []
    report = Note.search.reindex(progress=steps.append, batch=1)
    assert report.added == 2 and steps[-1].total == 2
    assert Note.search.status().backfill == 0
    assert [row.id for row in Note.search("another")][0] == 2


def test_no_worker_takes_rows_from_the_report_of_a_reindex(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        shelf.Article.create(id=number, title=f"t{number}", content="walrus")
    shelf.Article.search.sync()
    taken: list[bool] = []
    begin = RowComparison.begin

    def begun(comparison: RowComparison, why: str) -> None:
        begin(comparison, why)
        taken.append(Lease(comparison._agreement).take())  # as a worker does, from now on

    monkeypatch.setattr(RowComparison, "begin", begun)
    assert shelf.Article.search.reindex().unchanged == 2
    assert taken == [False]


def test_verify_finds_unnoticed_changes_and_repair_indexes_them(shelf: Shelf) -> None:
    for number in range(1, 6):
        shelf.Article.create(id=number, title=f"t{number}", content=f"text {number}")
    assert shelf.Article.search.verify().sound
    shelf.Article.search.uninstall()
    shelf.db.run("DELETE FROM article WHERE id = 1")
    shelf.db.run("UPDATE article SET content = 'changed' WHERE id = 2")
    shelf.db.run("INSERT INTO article (id, title, content) VALUES (7, 'new', 'row')")
    found = shelf.Article.search.verify()
    assert (found.rows, found.missing, found.stale, found.ghosts) == (5, 1, 1, 1)
    assert sorted(found.keys) == [
        ("ghosts", "article/1"),
        ("missing", "article/7"),
        ("stale", "article/2"),
    ]
    shelf.Article.search.repair()
    found = shelf.Article.search.verify()
    assert (found.missing, found.stale, found.ghosts) == (0, 0, 0)
    assert not found.sound and "triggers on article are missing" in found.comparing
    shelf.Article.search.install(backfill="now")
    assert shelf.Article.search.verify().sound


def test_the_limit_is_filled_though_rows_are_gone(shelf: Shelf) -> None:
    for number in range(1, 21):
        shelf.Article.create(id=number, title=f"t{number}", content="a common text")
    with shelf.Article.search.pause():
        shelf.db.run("DELETE FROM article WHERE id % 2 = 0")
        found = shelf.Article.search("common text", limit=8)
        assert len(found) == 8 and all(row.id % 2 for row in found)
        later = shelf.Article.search("common text", limit=8, offset=8)
        assert len(later) == 2 and not {row.id for row in found} & {row.id for row in later}
    assert len(shelf.indexed()) == 10


def emptied(shelf: Shelf, count: int) -> list[int]:
    """An index of so many rows that were deleted unseen, and of a worse one that is there: id 0.
    Gets the number of hits each search of the core asks for.
    """
    with shelf.db.transaction():
        shelf.Article.create(id=0, title="t", content="a common text and many more words")
        for number in range(count):
            shelf.Article.create(id=number + 1, title="t", content="a common text")
    shelf.Article.search.uninstall(forget=False)
    shelf.db.run("DELETE FROM article WHERE id > 0")
    asked: list[int] = []
    search = shelf.core.search
    shelf.core.search = lambda *args, **options: (  # type: ignore[method-assign]
        asked.append(options["limit"]) or search(*args, **options)  # type: ignore[func-returns-value]
    )
    return asked


def test_rows_that_went_unseen_cost_a_few_larger_looks_and_are_not_met_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_GONE", 100)
    monkeypatch.setattr(results, "LEAST_PAGE", 20)
    asked = emptied(shelf, 400)
    monkeypatch.setattr(shelf.Article.search.coordinator.worker, "wake", lambda: None)
    found = shelf.Article.search("a common text", limit=5, mode="text")
    assert asked == [5, 20, 80] and found.degraded and "more than 105 documents" in found.reason
    shelf.core.sync()
    assert len(shelf.indexed()) == 401 - 105
    for _ in range(3):
        shelf.Article.search("a common text", limit=5, mode="text")
        shelf.core.sync()
    asked.clear()
    found = shelf.Article.search("a common text", limit=5, mode="text")
    assert [row.id for row in found] == [0] and asked == [5]


def test_rows_that_went_unseen_never_make_a_search_ask_for_more_than_may_be_asked_for(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_LIMIT", 100)
    monkeypatch.setattr(_search, "MAX_LIMIT", 100)
    asked = emptied(shelf, 150)
    found = shelf.Article.search("a common text", limit=60, mode="text")
    assert asked == [60, 40] and found.degraded


def test_an_embedder_that_is_away_stops_nothing(tmp_path: Path) -> None:
    class Away(HashEmbedder):
        def embed_documents(self, passages: Any) -> Any:
            raise EmbedderUnavailable("offline")

        def embed_query(self, text: str) -> Any:
            raise EmbedderUnavailable("offline")

    shelf = Shelf(tmp_path, embedder=Away())
    shelf.Article.create(id=1, title="Loops", content="repeat a block")
    found = shelf.Article.search("repeat", fresh=True)
    assert [row.id for row in found] == [1] and found.degraded and found.waiting == 0


def test_a_failing_row_waits_alone_and_is_listed(tmp_path: Path) -> None:
    shelf = Shelf(
        tmp_path,
        source_fields=["title", lambda row: 10 // row.stars and row.content],
        watch_fields=None,
    )
    shelf.Article.create(id=1, title="bad", content="divides by nothing", stars=0)
    shelf.Article.create(id=2, title="good", content="fine", stars=1)
    assert set(shelf.indexed()) == {"2"}
    status = shelf.Article.search.status()
    assert status.waiting == 1
    shelf.db.run("UPDATE article SET stars = 2 WHERE id = 1")
    assert set(shelf.indexed()) == {"1", "2"}


def test_an_index_in_the_background_follows(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, sync="background")
    try:
        for number in range(30):
            shelf.Article.create(id=number + 1, title="t", content=f"text {number}")
        found = shelf.Article.search("text", limit=30, fresh=True)
        assert len(found) == 30
    finally:
        shelf.core.close()


def test_a_process_that_ends_waits_for_what_its_worker_is_in_the_middle_of(tmp_path: Path) -> None:
    program = """
import sys, threading
from pathlib import Path
from test_base import Shelf
from semantic_core.testing import HashEmbedder, JobEmbedder

begun = threading.Event()

class Slow(HashEmbedder):
    def embed_documents(self, passages):
        begun.set()
        threading.Event().wait(0.5)
        Path(sys.argv[1], "done").touch()
        return super().embed_documents(passages)

shelf = Shelf(Path(sys.argv[1]), sync="background", embedder=Slow())
shelf.Article.create(id=1, title="t", content="text")
begun.wait(30)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "done").exists()


def test_commits_of_threads_that_write_at_the_same_time_are_all_noticed(shelf: Shelf) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 10):
            shelf.Article.create(id=number, title="t", content=f"text {number}")
        shelf.db.close()

    threads = [threading.Thread(target=write, args=(100 * number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shelf.core.sync()
    assert len(shelf.indexed()) == 40 and shelf.Article.search.verify().sound


def test_a_field_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no field 'contnt'.*Did you mean 'content'"):
        Shelf(tmp_path, source_fields=["title", "contnt"])


def test_a_field_need_be_no_attribute_of_the_class(tmp_path: Path) -> None:
    """Where fields are on rows alone, as in ORMs that keep them in a registry."""
    Note = note_model(Database(tmp_path / "app.db"))
    delattr(Note, "body")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    index = core.bind(Note, adapter=MiniAdapter, source_fields=["body"], sync="inline")
    Note.create(id=1, body="Beans climb.")
    assert [row.body for row in index.search("beans")] == ["Beans climb."]
    with pytest.raises(ConfigError, match=r"no field 'bodi'.*Did you mean 'body'"):
        core.bind(Note, adapter=MiniAdapter, name="other", source_fields=["bodi"])


@pytest.mark.parametrize("path", ["shout", "author.shout", "author.nothing.name"])
def test_what_triggers_cannot_watch_has_to_be_named(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "shout", property(lambda row: row.title.upper()), raising=False)
    with pytest.raises(ConfigError, match=f"Article.{path} is no column.*watch_fields"):
        Shelf(tmp_path, metadata_fields=[path], watch_fields=None, condition=None)


def test_a_where_names_metadata_fields_only(shelf: Shelf) -> None:
    with pytest.raises(FilterInvalid, match="'stars' is no metadata field"):
        shelf.Article.search("x", where={"stars": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": "5"},
        {"limit": True},
        {"limit": None},
        {"offset": -1},
        {"offset": "1"},
    ],
)
def test_a_limit_that_is_none_is_refused(shelf: Shelf, wrong: Any) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))} must be a whole number"):
        shelf.Article.search("loops", **wrong)


def test_a_tenant_is_found_in_either_spelling_of_its_uuid(tmp_path: Path) -> None:
    class Note(Model):
        table = "note"
        fields = {"id": int, "owner": UUID, "body": str}
        search = SemanticIndex(["body"], tenant="owner", sync="inline")

    owner = UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
    Note.db = Database(tmp_path / "app.db")
    Note.db.run("CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT, body TEXT)")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), multi_tenant=True, plugins=[])
    bind_declared(MiniAdapter, core, db=Note.db)
    Note.create(id=1, owner=owner.hex, body="a plan")  # as some databases write one
    for spelled in (owner, str(owner), owner.hex):
        assert [row.id for row in Note.search("plan", tenant=spelled)] == [1]
    Note.db.close()


def test_an_index_that_is_not_bound_says_what_to_call() -> None:
    class Loose(Model):
        table = "loose"
        fields = {"id": int, "body": str}
        search = SemanticIndex(["body"])

    with pytest.raises(ConfigError, match="init_database"):
        Loose.search("x")


def test_each_model_that_inherits_a_declaration_has_its_own_index(tmp_path: Path) -> None:
    db = Database(tmp_path / "app.db")
    for name in ("cat", "dog"):
        db.run(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, name TEXT)")

    class Animal(Model):
        search = SemanticIndex(["name"], sync="inline")

    class Cat(Animal):
        table = "cat"
        fields = {"id": int, "name": str}

    class Dog(Animal):
        table = "dog"
        fields = {"id": int, "name": str}

    Cat.db = Dog.db = db
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    assert len(bind_declared(MiniAdapter, core, db=db)) == 2
    Cat.create(id=1, name="Tom")
    Dog.create(id=1, name="Tom")
    assert [type(row) for row in Cat.search("Tom")] == [Cat]
    assert core.documents().total == 2


@pytest.mark.parametrize("tenant", ["owner", lambda row: row.owner], ids=["field", "callable"])
def test_rows_of_tenants_are_kept_apart_and_move_with_them(tmp_path: Path, tenant: Any) -> None:
    db = Database(tmp_path / "app.db")
    db.run("CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT, body TEXT)")

    class Note(Model):
        table = "note"
        fields = {"id": int, "owner": str, "body": str}
        search = SemanticIndex(["body"], tenant=tenant, sync="inline")

    Note.db = db
    core = SemanticCore(store="memory", embedder=HashEmbedder(), multi_tenant=True, plugins=[])
    bind_declared(MiniAdapter, core, db=db)
    Note.create(id=1, owner="acme", body="the plan")
    Note.create(id=2, owner="beta", body="the plan")
    assert [row.id for row in Note.search("plan", tenant="acme")] == [1]
    db.run("UPDATE note SET owner = 'beta' WHERE id = 1")
    assert [row.id for row in Note.search("plan", tenant="acme")] == []
    assert sorted(row.id for row in Note.search("plan", tenant="beta")) == [1, 2]
    db.run("DELETE FROM note WHERE id = 1")
    db.run("UPDATE note SET owner = NULL WHERE id = 2")
    assert core.tenant("beta").documents().total == 0 and core.tenant("acme").documents().total == 0
    assert Note.search.verify().sound


def test_an_index_bound_to_another_core_leaves_the_first_one(shelf: Shelf) -> None:
    other = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    assert bind_declared(MiniAdapter, shelf.core, db=shelf.db) == shelf.adapters
    bind_declared(MiniAdapter, other, db=shelf.db)
    shelf.Article.create(id=1, title="a", content="one")
    assert shelf.indexed() == {} and other.documents().total == 1


def test_an_index_may_join_and_leave_while_changes_of_others_are_processed(shelf: Shelf) -> None:
    coordinator = shelf.adapters[0].coordinator
    going_through = coordinator.adapters.items()
    other = shelf.core.bind(
        shelf.Article, adapter=MiniAdapter, name="other", source_fields=["title"], sync="manual"
    )
    assert set(dict(going_through)) == {"article"} and set(coordinator.adapters) == {
        "article",
        "article.other",
    }
    coordinator.leave(other)
    assert set(coordinator.adapters) == {"article"}


def test_a_closed_core_notices_no_more_commits(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.core.close()
    shelf.Article.create(id=1, title="a", content="one")
    assert not caplog.records
    assert shelf.db.run("SELECT count(*) FROM semantic_outbox") == [(1,)]


def test_a_row_of_a_title_only_is_found_by_it(shelf: Shelf) -> None:
    shelf.Article.create(id=1, title="Loops", content="")
    shelf.Article.create(id=2, title="Files", content=None)
    assert [row.id for row in shelf.Article.search("loops", mode="text")] == [1]
    assert shelf.Article.search.verify().sound


def note_model(db: Database, name: str = "Note") -> Any:
    """A model without an index, as another package may have it, and its table."""
    model: Any = type(
        name, (Model,), {"table": name.lower(), "fields": {"id": int, "body": str}, "db": db}
    )
    db.run(f"CREATE TABLE {name.lower()} (id INTEGER PRIMARY KEY, body TEXT)")
    return model


def test_an_index_is_declared_on_somebody_elses_model(tmp_path: Path) -> None:
    db = Database(tmp_path / "app.db")
    Note, Memo = note_model(db), note_model(db, "Memo")
    declare(Note, source_fields=["body"])
    declare(Memo, SemanticIndex(["body"]), name="semantic")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    assert {adapter.model for adapter in bind_declared(MiniAdapter, core, db=db)} == {Note, Memo}
    Note.create(id=1, body="how loops work")
    Memo.create(id=1, body="how files work")
    assert [row.body for row in Note.search("loops")] == ["how loops work"]
    assert [row.body for row in Memo.semantic("files")] == ["how files work"]
    assert Memo.semantic.declaration.collection == "memo.semantic"


def test_what_cannot_be_declared_is_told(tmp_path: Path) -> None:
    Note = note_model(Database(tmp_path / "app.db"))
    with pytest.raises(ConfigError, match="'body' already") as caught:
        declare(Note, source_fields=["body"], name="body")
    assert 'name="semantic"' in caught.value.hint
    with pytest.raises(ConfigError, match="'create' already"):  # an inherited one
        declare(Note, source_fields=["body"], name="create")
    with pytest.raises(ConfigError, match="a SemanticIndex, or the arguments of one"):
        declare(Note)
    with pytest.raises(ConfigError, match="a SemanticIndex, or the arguments of one"):
        declare(Note, SemanticIndex(["body"]), title_field="body")
    with pytest.raises(ConfigError, match="model class"):
        declare("Note", source_fields=["body"])  # type: ignore[arg-type]
    declare(Note, source_fields=["body"])
    with pytest.raises(ConfigError, match="'search' already"):
        declare(Note, source_fields=["body"])


def test_bind_touches_no_database_when_told_so(tmp_path: Path) -> None:
    db = Database(tmp_path / "app.db")
    db.close()

    class Note(Model):
        table = "note"
        fields = {"id": int, "body": str}

    Note.db = db
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    index = core.bind(Note, adapter=MiniAdapter, install=False, source_fields=["body"])
    assert not db.path.exists()
    db.run("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)")
    index.install()
    Note.create(id=1, body="how loops work")
    assert [row.body for row in index.search("loops")] == ["how loops work"]


class Sharing(MiniAdapter):
    """A model with `joined` has rows of its parent's table, too, as in joined inheritance."""

    def inspect(self, model: Any) -> Table:
        table = super().inspect(model)
        joined = getattr(model, "joined", None)
        return attrs.evolve(table, bases=(Relation(joined, "id", "id"),)) if joined else table


@pytest.mark.parametrize(("children", "wanted"), [(None, "PO"), (True, "PJO"), (False, "P")])
def test_which_children_have_an_index_of_their_own(
    tmp_path: Path, children: Any, wanted: str
) -> None:
    """P is the parent, J has its rows in the parent's table too,
    O has a table of its own and nothing of the parent's.
    """
    db = Database(tmp_path / "app.db")

    class P(Model):
        table = "p"
        fields = {"id": int, "body": str}
        search = SemanticIndex(["body"], children=children)

    class J(P):
        table = "j"
        joined = P

    class O(P):  # noqa: E742 - as in the docstring
        table = "o"

    P.db = db
    for name in "pjo":
        db.run(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, body TEXT)")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    for _ in range(2):  # the second call changes nothing
        bound = bind_declared(Sharing, core, db=db)
        assert "".join(adapter.model.__name__ for adapter in bound) == wanted
    P.create(id=1, body="how loops work")
    for model in (P, J, O):
        if model.__name__ in wanted:
            assert model.search.model is model
        else:
            with pytest.raises(
                ConfigError, match=r"no index of its own: its rows are found through P\.search"
            ):
                model.search("loops")


def test_an_index_on_an_abstract_model_is_one_of_each_child(tmp_path: Path) -> None:
    db = Database(tmp_path / "app.db")

    class Base(Model):
        search = SemanticIndex(["body"], children=False)

    class Note(Base):
        table = "note"
        fields = {"id": int, "body": str}

    class Memo(Base):
        table = "memo"
        fields = {"id": int, "body": str}

    Note.db = Memo.db = db
    for name in ("note", "memo"):
        db.run(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, body TEXT)")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    assert {adapter.model for adapter in bind_declared(MiniAdapter, core, db=db)} == {Note, Memo}


def test_children_are_true_false_or_none() -> None:
    with pytest.raises(ConfigError, match="children must be"):
        SemanticIndex(["body"], children="all")  # type: ignore[arg-type]


def test_a_restored_database_is_noticed_while_another_thread_has_the_comparison_of_rows(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, backfill="off")  # so that no thread notices it first
    shelf.Article.create(id=1, title="Kept", content="is in the copy")
    with closing(sqlite3.connect(":memory:")) as copy:
        shelf.db.raw.backup(copy)
        shelf.Article.create(id=2, title="Later", content="is not")
        lease = Lease(shelf.adapters[0].coordinator.agreement)
        assert lease.take()
        copy.backup(shelf.db.raw)
    assert "restored" in shelf.adapters[0].coordinator.agree()
    lease.leave()
    shelf.core.sync()
    assert shelf.indexed() == {"1": "Kept|is in the copy"}


@pytest.mark.parametrize("when", ["never made", "dropped"])
def test_an_index_without_a_table_keeps_no_other_from_being_compared(
    tmp_path: Path, when: str
) -> None:
    db = Database(tmp_path / "app.db")

    class First(Model):
        table = "first"
        fields = {"id": int, "body": str}
        search = SemanticIndex(["body"])

    class Second(Model):
        table = "second"
        fields = {"id": int, "body": str}
        search = SemanticIndex(["body"])

    First.db = Second.db = db
    db.run("CREATE TABLE second (id INTEGER PRIMARY KEY, body TEXT)")
    db.run("INSERT INTO second VALUES (1, 'how loops work')")
    if when == "dropped":
        db.run("CREATE TABLE first (id INTEGER PRIMARY KEY, body TEXT)")
        db.run("INSERT INTO first VALUES (1, 'how loops work')")
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        bind_declared(MiniAdapter, core, db=db, backfill="off")
        if when == "dropped":
            db.run("DROP TABLE first")
        core.sync()
        assert [row.id for row in Second.search("loops")] == [1]
        db.run("CREATE TABLE IF NOT EXISTS first (id INTEGER PRIMARY KEY, body TEXT)")
        db.run("INSERT INTO first VALUES (2, 'loops again')")
        for index in (First.search, Second.search):
            index.install(backfill="now")
        assert [row.id for row in First.search("loops")] == [2]


# --- an answer says what it lacks -----------------------------------------------------------------


def test_triggers_that_went_are_said_and_put_back_at_the_next_commit(shelf: Shelf) -> None:
    """Another program removed them, which this process does not notice by itself."""
    index = shelf.Article.search
    shelf.Article.create(id=1, title="Kept", content="walrus")
    assert not index("walrus").degraded
    with closing(sqlite3.connect(shelf.db.path)) as other:
        remove_triggers(lambda sql, params: other.execute(sql, params).fetchall(), "sqlite")
        other.execute("INSERT INTO article (id, title, content) VALUES (2, 'Unseen', 'walrus')")
        other.commit()
    found = index("walrus")
    assert [row.id for row in found] == [1]
    assert found.degraded and "triggers on article are missing" in found.reason
    assert "init_database()" in found.reason
    assert not index.verify().sound
    shelf.Article.create(id=3, title="Heard", content="walrus")
    shelf.core.sync()
    found = index("walrus", fresh=True, timeout=30)
    assert {row.id for row in found} == {1, 2, 3} and not found.degraded
    assert index.verify().sound


def test_changes_are_left_to_processes_that_have_the_declaration_installed_last(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, forgotten: None
) -> None:
    """During a deployment an older process runs on: what it would write is of the wrong kind."""
    store = MemoryStore(HashEmbedder().space)
    old = Shelf(tmp_path, store=store, source_fields=["title"])
    old.Article.create(id=1, title="Loops", content="walrus")
    new = Shelf(tmp_path, store=store)
    new.core.sync()
    assert [row.id for row in new.Article.search("walrus")] == [1]
    old.Article.create(id=2, title="Files", content="walrus")
    old.Article.create(id=3, title="Sets", content="walrus")
    found = old.Article.search("walrus", fresh=True)
    assert found.degraded and "another declaration" in found.reason and found.waiting == 2
    assert "restart this process" in found.reason
    assert caplog.text.count("Its changes wait for a process that has that declaration") == 1
    assert not old.Article.search.verify().sound
    assert old.Article.search.sync().failed == ()
    found = new.Article.search("walrus", fresh=True, timeout=30)
    assert {row.id for row in found} == {1, 2, 3} and not found.degraded
    assert new.Article.search.verify().sound
    old.Article.search.reindex()  # whoever asks for it has it
    assert "declaration" in new.Article.search("walrus").reason


def test_rows_that_were_found_and_cannot_be_read_are_said(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model has a column the table has not yet: a migration was forgotten."""
    for number in (1, 2):
        shelf.Article.create(id=number, title=f"t{number}", content="walrus")

    def where(*args: Any) -> Any:
        raise sqlite3.OperationalError("no such column: subtitle")

    monkeypatch.setattr(shelf.Article, "where", where)
    found = shelf.Article.search("walrus")
    assert not len(found) and found.degraded
    assert "2 rows found cannot be read: " in found.reason
    assert "no such column: subtitle" in found.reason


def test_an_outbox_that_is_not_there_is_said_by_everything(shelf: Shelf) -> None:
    index = shelf.Article.search
    shelf.Article.create(id=1, title="a", content="walrus")
    for trigger in index._capture.existing():
        shelf.db.raw.execute(f'DROP TRIGGER "{trigger}"')
    shelf.db.raw.execute("DROP TABLE semantic_outbox")
    shelf.db.raw.execute("INSERT INTO article (id, content) VALUES (2, 'walrus')")
    for fresh in (False, True):
        found = index("walrus", fresh=fresh)
        assert found.degraded and "not installed" in found.reason
    verified = index.verify()
    assert not verified.sound and "not installed" in verified.comparing
    index.install(backfill="now")
    assert {row.id for row in index("walrus")} == {1, 2} and index.verify().sound


def test_a_store_that_refuses_is_said_and_logged_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.Article.create(id=1, title="a", content="walrus")

    def refuse(*args: Any) -> Any:
        raise StoreReadOnly("The store is read-only.", hint="Look at its rights.")

    with monkeypatch.context() as patch:
        patch.setattr(shelf.core.store, "replace", refuse)
        for number in (2, 3, 4):
            shelf.Article.create(id=number, title="b", content="walrus")
        found = shelf.Article.search("walrus")
    assert found.waiting and found.degraded and "The store is read-only" in found.reason
    told = [record for record in caplog.records if "Look at its rights." in record.message]
    assert len([record for record in told if record.message.startswith("Pending")]) == 1
    assert not any(record.exc_info for record in told)
    assert len(shelf.Article.search("walrus", fresh=True, timeout=30)) == 4


def test_a_condition_that_lets_in_other_rows_is_taken_up(tmp_path: Path) -> None:
    db = Database(tmp_path / "app.db")
    db.run("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)")
    db.run("INSERT INTO note VALUES (1, 'public'), (2, 'secret')")
    store: Any = "memory"
    for condition, keys in (
        (lambda row: row.body == "public", ["1"]),
        (lambda row: row.body == "secret", ["2"]),
        (lambda row: row.body, ["1", "2"]),
    ):  # each is a process of its own

        class Note(Model):
            table = "note"
            fields = {"id": int, "body": str}

        Note.db = db
        core = SemanticCore(store=store, embedder=HashEmbedder(), plugins=[])
        index = MiniAdapter.bind(
            Note, core, source_fields=["body"], condition=condition, watch_fields=["body"]
        )
        index.install(backfill="now")
        assert sorted(summary.ref.key for summary in core.documents()) == keys
        assert index.verify().sound
        index.coordinator.stop()
        store = core.store


def test_freshen_processes_what_is_pending(shelf: Shelf) -> None:
    index = shelf.Article.search
    with index.pause():
        shelf.Article.create(id=1, title="t", content="walrus")
        assert index.status().waiting == 1
        assert index.freshen() == 0
        assert [row.id for row in index("walrus", mode="text")] == [1]


def test_a_commit_waits_a_tenth_of_a_second_at_most_and_a_fresh_search_no_longer_than_it_may(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so long once: the commits after it are spared an index that another one holds."""
    asked: list[float] = []

    @contextmanager
    def waiting(seconds: float) -> Iterator[None]:
        asked.append(seconds)
        yield

    def refuse(*args: Any, **options: Any) -> Any:
        raise StoreBusy("another process has been writing all the time")

    monkeypatch.setattr(sync, "REST", 1e9)
    monkeypatch.setattr(shelf.core.store, "waiting_at_most", waiting, raising=False)
    monkeypatch.setattr(shelf.core.store, "replace", refuse)
    monkeypatch.setattr(shelf.Article.search.coordinator.worker, "wake", lambda: None)
    for number in range(3):
        shelf.Article.create(id=number + 1, title="t", content="text")
    assert len(asked) == 1 and asked[0] <= 0.1
    found = shelf.Article.search("text", fresh=True, timeout=0.05)
    assert found.waiting == 3 and found.degraded and "another process" in found.reason
    assert len(asked) > 1 and max(asked[1:]) <= 0.05


def test_while_the_index_fails_a_commit_tries_one_change_and_all_that_wait_once_it_works(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    works = shelf.core.store.replace

    def full(given: Any, *args: Any, **options: Any) -> Any:
        tried.append(len(given))
        raise StoreFull("there is no space left")

    monkeypatch.setattr(sync, "PATIENCE", 1e9)  # however slow this machine is
    monkeypatch.setattr(shelf.core.store, "replace", full)
    for number in range(20):
        shelf.Article.create(id=number + 1, title="t", content="text")
    assert tried == [1] * 20
    assert shelf.Article.search.status().waiting == 20
    monkeypatch.setattr(shelf.core.store, "replace", works)
    shelf.Article.create(id=99, title="t", content="text")
    assert len(shelf.indexed()) == 21


def test_an_adapter_that_cannot_be_closed_keeps_no_store_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path)
    closed: list[str] = []

    def close() -> None:
        closed.append("adapter")
        raise ConnectionResetError("the server is gone")

    def close_store() -> None:
        closed.append("store")

    monkeypatch.setattr(shelf.adapters[0], "close", close)
    monkeypatch.setattr(shelf.core.store, "close", close_store)
    shelf.core.close()
    assert closed == ["adapter", "store"]
    assert "could not be closed" in caplog.text and "the server is gone" in caplog.text
