"""What an index that is gone leaves behind: shown, and taken away;
at once where its table is gone too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mini import Database, MiniAdapter, Model

from semantic_core import SemanticCore
from semantic_core.cli import cli
from semantic_core.orm import SemanticIndex, bind_declared
from semantic_core.orm._leftovers import forget, leftovers
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
    process = SemanticCore(store=core.store, embedder=HashEmbedder(), plugins=[])
    hub = bind_declared(MiniAdapter, process, db=db)[0].hub
    hub.sync()
    return hub


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
    hub = start(db, core, model(db, "memo"))
    assert (triggers_on(db, "memo"), leftovers(hub)) == (3, [])
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
    hub = start(db, core, other)
    assert leftovers(hub) == []
    assert dict(core.stats().collections) == {}


def test_an_index_taken_out_of_the_code_is_told_of_and_can_be_forgotten(
    db: Database, core: SemanticCore, caplog: pytest.LogCaptureFixture
) -> None:
    note, other = model(db, "note"), model(db, "other")
    start(db, core, note, other)
    note.create(id=1, body="lion")
    hub = start(db, core, other)
    assert "semantic-core outbox forget note" in caplog.text
    db.run("UPDATE note SET body = 'tiger'")
    (left,) = leftovers(hub)
    assert (left.collection, left.table, left.table_there) == ("note", "note", True)
    assert (left.triggers, left.pending, left.documents) == (3, 1, 1)
    done = forget(hub, "note")
    assert (done.triggers, done.pending, done.documents) == (3, 1, 1)
    assert (leftovers(hub), triggers_on(db, "note"), triggers_on(db, "other")) == ([], 0, 3)
    db.run("UPDATE note SET body = 'bear'")
    assert db.run("SELECT count(*) FROM semantic_outbox") == [(0,)]


def test_documents_nobody_fed_by_a_model_are_left_alone(db: Database, core: SemanticCore) -> None:
    core.ingest(Document(Ref("letters", "1"), "written by hand"))
    hub = start(db, core, model(db, "other"))
    assert (leftovers(hub), dict(core.stats().collections)) == ([], {"letters": 1})


def test_a_name_with_quotes_is_read_from_its_triggers(db: Database, core: SemanticCore) -> None:
    db.run("""CREATE TABLE "it's" (id INTEGER PRIMARY KEY, body TEXT)""")
    odd, other = model(db, "it's"), model(db, "other")
    start(db, core, odd, other)
    hub = start(db, core, other)
    db.run("DELETE FROM semantic_state WHERE collection <> ''")
    assert [each.collection for each in leftovers(hub)] == ["it's"]


APP = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from mini import Database, MiniAdapter, Model
from semantic_core import SemanticCore
from semantic_core.orm import SemanticIndex, bind_declared
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
"""


def test_the_command_line_shows_and_forgets_what_is_left(
    db: Database, tmp_path: Path, monkeypatch: Any
) -> None:
    index = str(tmp_path / "index.db")
    note = model(db, "note")
    with SemanticCore(store="sqlite", embedder=HashEmbedder(), path=index) as core:
        core.ingest(Document(Ref("letters", "1"), "written by hand"))
        start(db, core, note)
        note.create(id=1, body="lion")
    SemanticIndex._declared.clear()
    name = f"app_{tmp_path.name.replace('-', '_')}"
    source = APP.format(here=str(Path(__file__).parent), path=str(tmp_path / "app.db"), index=index)
    (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, [*arguments, "--app", f"{name}:core"])

    status = run("outbox", "status")
    assert status.exit_code == 1
    assert "left of note, which no index declares: 3 triggers on note" in status.output
    assert "fed by no model here: letters (1 document)" in status.output
    answer = json.loads(run("outbox", "status", "--json").stdout)
    assert [each["collection"] for each in answer["left"]] == ["note"]
    assert answer["fed_by_no_model"] == {"letters": 1}
    assert "declared by a model" in run("outbox", "forget", "other", "--yes").output
    done = run("outbox", "forget", "note", "--yes")
    assert "Removed 3 triggers, 0 pending changes and 1 document of note." in done.output
    assert run("outbox", "forget", "note", "--yes").exit_code == 1
    assert run("outbox", "status").exit_code == 0
    assert "Removed 3 triggers." in run("outbox", "remove-triggers").output
