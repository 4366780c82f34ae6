"""What a removed index left in a database: it is listed and can be removed; at once if its table is
gone, too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mini import Database, MiniAdapter, Model

from semantic_core import SemanticCore
from semantic_core.cli import cli
from semantic_core.orm import SemanticIndex, bind_declared, follow_leftovers
from semantic_core.orm.databases import OrphanedOutbox
from semantic_core.orm.leftovers import forget, leftovers
from semantic_core.testing import HashEmbedder
from semantic_core.types import Document, Ref


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "app.db")
    for table in ("note", "other"):
        database.run(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, body TEXT)")
    yield database
    database.close()


@pytest.fixture
def core() -> Iterator[SemanticCore]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        yield core


@pytest.fixture(autouse=True)
def _forget_models() -> Iterator[None]:
    declared = list(SemanticIndex._declared)
    yield
    SemanticIndex._declared[:] = declared


def model(db: Database, name: str, *, indexed: bool = True) -> Any:
    """A model on a table, as one version of an application has it."""

    class Note(Model):
        table = name
        fields = {"id": int, "body": str}
        if indexed:
            search = SemanticIndex(["body"], sync="inline")

    Note.db = db
    return Note


def start(db: Database, core: SemanticCore, *models: Any) -> Any:
    """A process of that version: its models alone are declared."""
    SemanticIndex._declared[:] = [
        entry for entry in SemanticIndex._declared if entry[0]() in models
    ]
    for _, _, index in SemanticIndex._declared:
        index._bound.clear()
    db.committed.clear()
    db.before.clear()
    process = SemanticCore(
        store=core.store, embedder=HashEmbedder(), analyser=core.analyser, plugins=[]
    )
    coordinator = bind_declared(MiniAdapter, process, db=db)[0].coordinator
    coordinator.sync()
    return coordinator


def triggers_on(db: Database, table: str) -> int:
    return db.run(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", [table]
    )[0][0]


def test_a_renamed_table_takes_its_index_along_and_leaves_nothing(
    db: Database, core: SemanticCore
) -> None:
    note = model(db, "note")
    start(db, core, note)
    note.create(id=1, body="lion")
    db.close()
    db.raw.execute("ALTER TABLE note RENAME TO memo")  # by a program that knows nothing of us
    coordinator = start(db, core, model(db, "memo"))
    assert (triggers_on(db, "memo"), leftovers(coordinator)) == (3, [])
    assert dict(core.stats().collections) == {"memo": 1}
    db.run("UPDATE memo SET body = 'tiger'")
    assert db.run("SELECT count(*) FROM semantic_outbox") == [(0,)]


def test_a_dropped_table_takes_everything_of_its_index_along(
    db: Database, core: SemanticCore
) -> None:
    note, other = model(db, "note"), model(db, "other")
    start(db, core, note, other)
    note.create(id=1, body="lion")
    db.close()
    db.raw.execute("DROP TABLE note")
    coordinator = start(db, core, other)
    assert leftovers(coordinator) == []
    assert dict(core.stats().collections) == {}


def test_an_index_taken_out_of_the_code_is_told_of_and_can_be_forgotten(
    db: Database, core: SemanticCore, caplog: pytest.LogCaptureFixture
) -> None:
    note, other = model(db, "note"), model(db, "other")
    start(db, core, note, other)
    note.create(id=1, body="lion")
    coordinator = start(db, core, other)
    assert "semantic-core outbox forget note" in caplog.text
    db.run("UPDATE note SET body = 'tiger'")
    (left,) = leftovers(coordinator)
    assert (left.collection, left.table, left.table_there) == ("note", "note", True)
    assert (left.triggers, left.pending, left.documents) == (3, 1, 1)
    done = forget(coordinator, "note")
    assert (done.triggers, done.pending, done.documents) == (3, 1, 1)
    assert (leftovers(coordinator), triggers_on(db, "note"), triggers_on(db, "other")) == ([], 0, 3)
    db.run("UPDATE note SET body = 'bear'")
    assert db.run("SELECT count(*) FROM semantic_outbox") == [(0,)]


def test_an_index_in_a_core_of_its_own_is_not_left_of_anything(
    db: Database, core: SemanticCore
) -> None:
    note, other = model(db, "note"), model(db, "other")
    own = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    note.__dict__["search"]._core = own
    coordinator = start(db, core, note, other)
    assert leftovers(next(each for each in own.followers)) == []  # type: ignore[arg-type]
    assert (
        leftovers(coordinator),
        [each.declaration.collection for each in SemanticIndex.bound()],
    ) == (
        [],
        ["note", "other"],
    )
    own.close()


def test_an_index_of_another_database_loses_no_documents(db: Database, tmp_path: Path) -> None:
    """The copy of a database, whose models declare nothing any more, and the same index."""
    index = str(tmp_path / "index.db")
    note = model(db, "note")
    with SemanticCore(store="sqlite", embedder=HashEmbedder(), path=index) as core:
        start(db, core, note)
        note.create(id=1, body="lion")
        db.run("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(tmp_path / "app.db", tmp_path / "copy.db")
        copy = Database(tmp_path / "copy.db")
        SemanticIndex._declared.clear()
        process = SemanticCore(
            store=core.store, embedder=HashEmbedder(), analyser=core.analyser, plugins=[]
        )
        follow_leftovers(process, copy.run, "sqlite", database=copy)
        left = next(each for each in process.followers if isinstance(each, OrphanedOutbox))
        assert [(each.triggers, each.documents) for each in leftovers(left)] == [(3, 0)]
        assert (forget(left, "note").triggers, dict(core.stats().collections)) == (3, {"note": 1})
        copy.close()


def test_where_no_index_is_declared_any_more_a_warning_names_the_command(
    db: Database, core: SemanticCore, caplog: pytest.LogCaptureFixture
) -> None:
    nothing = follow_leftovers(core, db.run, "sqlite", database=db)
    assert (nothing, nothing.core, core.followers) == ([], None, ())
    note = model(db, "note")
    start(db, core, note)
    note.create(id=1, body="lion")
    SemanticIndex._declared.clear()
    process = SemanticCore(store=core.store, embedder=HashEmbedder(), plugins=[])
    for _ in range(2):
        assert follow_leftovers(lambda: process, db.run, "sqlite", database=db).core is process
    assert len(process.followers) == 1
    assert "semantic-core outbox forget note" in caplog.text


def test_triggers_whose_outbox_was_dropped_can_be_forgotten(
    db: Database, core: SemanticCore
) -> None:
    note = model(db, "note")
    start(db, core, note)
    db.raw.execute("DROP TABLE semantic_outbox")
    SemanticIndex._declared.clear()
    process = SemanticCore(store=core.store, embedder=HashEmbedder(), plugins=[])
    follow_leftovers(process, db.run, "sqlite", database=db)
    (left,) = process.followers
    assert [each.triggers for each in leftovers(left)] == [3]  # type: ignore[arg-type]
    assert forget(left, "note").triggers == 3  # type: ignore[arg-type]
    db.run("INSERT INTO note VALUES (1, 'lion')")


def test_documents_nobody_fed_by_a_model_are_left_alone(db: Database, core: SemanticCore) -> None:
    core.ingest(Document(Ref("letters", "1"), "written by hand"))
    coordinator = start(db, core, model(db, "other"))
    assert (leftovers(coordinator), dict(core.stats().collections)) == ([], {"letters": 1})


def test_a_name_with_quotes_is_read_from_its_triggers(db: Database, core: SemanticCore) -> None:
    db.run("""CREATE TABLE "it's" (id INTEGER PRIMARY KEY, body TEXT)""")
    odd, other = model(db, "it's"), model(db, "other")
    start(db, core, odd, other)
    coordinator = start(db, core, other)
    db.run("DELETE FROM semantic_state WHERE collection <> ''")
    assert [each.collection for each in leftovers(coordinator)] == ["it's"]


APP = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from mini import Database, MiniAdapter, Model
from semantic_core import SemanticCore
from semantic_core.orm import SemanticIndex, bind_declared, follow_leftovers
from semantic_core.testing import HashEmbedder

db = Database(Path({path!r}))

class Other(Model):
    table, fields = "other", {{"id": int, "body": str}}
    search = SemanticIndex(["body"])

Other.db = db

def core():
    made = SemanticCore(store="sqlite", embedder=HashEmbedder(), path={index!r})
    bind_declared(MiniAdapter, made, db=db)
    return made

def nothing():
    made = SemanticCore(store="sqlite", embedder=HashEmbedder(), path={index!r})
    return follow_leftovers(made, db.run, "sqlite", database=db)
"""


def application(folder: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> str:
    """The name of a module with the application as it is after a deployment: it can be imported
    while the test lasts, and nothing is declared before that.
    """
    SemanticIndex._declared.clear()
    name = f"{prefix}_{folder.name.replace('-', '_')}"
    here, path, index = Path(__file__).parent, folder / "app.db", folder / "index.db"
    source = APP.format(here=str(here), path=str(path), index=str(index))
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return name


def test_the_command_line_shows_and_forgets_what_is_left(
    db: Database, tmp_path: Path, monkeypatch: Any
) -> None:
    index = str(tmp_path / "index.db")
    note = model(db, "note")
    with SemanticCore(store="sqlite", embedder=HashEmbedder(), path=index) as core:
        core.ingest(Document(Ref("letters", "1"), "written by hand"))
        start(db, core, note)
        note.create(id=1, body="lion")
    name = application(tmp_path, monkeypatch, "app")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, [*arguments, "--app", f"{name}:core"])

    status = run("outbox", "status")
    assert status.exit_code == 1
    assert "left of note, which no model declares: 3 triggers on note" in status.output
    assert "belong to no model: letters (1 document)" in status.output
    answer = json.loads(run("outbox", "status", "--json").stdout)
    assert [each["collection"] for each in answer["left"]] == ["note"]
    assert answer["fed_by_no_model"] == {"letters": 1}
    assert "declared by a model" in run("outbox", "forget", "other", "--yes").output
    done = run("outbox", "forget", "note", "--yes")
    assert "Removed 3 triggers, 0 pending changes and 1 document of note." in done.output
    assert run("outbox", "forget", "note", "--yes").exit_code == 1
    assert run("outbox", "status").exit_code == 0
    assert "Removed 3 triggers." in run("outbox", "remove-triggers").output


def test_the_command_line_forgets_the_last_index_of_an_application(
    db: Database, tmp_path: Path, monkeypatch: Any
) -> None:
    index = str(tmp_path / "index.db")
    note = model(db, "note")
    with SemanticCore(store="sqlite", embedder=HashEmbedder(), path=index) as core:
        start(db, core, note)
        note.create(id=1, body="lion")
    name = application(tmp_path, monkeypatch, "last")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, [*arguments, "--app", f"{name}:nothing"])

    status = run("outbox", "status")
    assert status.exit_code == 1 and "No model of this application has an index." in status.output
    assert "left of note, which no model declares: 3 triggers on note" in status.output
    assert f"outbox forget note --app {name}:nothing" in " ".join(status.output.split())
    for command in (["worker", "--once"], ["verify"], ["reindex"]):
        done = run(*command)
        assert done.exit_code == 2 and "semantic-core outbox status" in done.stderr
    assert "note, which no model declares: 3 triggers left" in run("doctor").output
    done = run("outbox", "forget", "note", "--yes")
    assert "Removed 3 triggers, 0 pending changes and 1 document of note." in done.output
    assert run("outbox", "status").exit_code == 0


def test_an_application_that_gives_an_empty_list_is_told_what_that_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"empty_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text("core = []\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(cli, ["outbox", "status", "--app", f"{name}:core"])
    assert done.exit_code == 2 and "no model declares one" in done.stderr
    assert "SemanticIndex" in done.stderr
