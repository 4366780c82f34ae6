"""The commands for an application's models: how many changes are pending, and how they are
processed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semantic_core.cli import cli

APP = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from mini import Database, MiniAdapter, Model
from semantic_core import SemanticCore
from semantic_core.orm import SemanticIndex, bind_declared
from semantic_core.testing import HashEmbedder

db = Database(Path({path!r}))
db.run("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, body TEXT, size INTEGER)")

class Note(Model):
    table = "note"
    fields = {{"id": int, "body": str, "size": int}}
    db = db
    search = SemanticIndex([lambda row: row.body if row.size else 1 // 0], sync="manual")

def core():
    core = SemanticCore(store="sqlite", embedder=HashEmbedder(), path={index!r})
    bind_declared(MiniAdapter, core, db=db)
    for adapter in core.followers:
        if hasattr(adapter, "outbox"):
            adapter.outbox._max_attempts = 1
    return core

nothing = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
"""


class Application:
    """A module in a folder of its own, and the command line run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"app_{folder.name.replace('-', '_')}"
        source = APP.format(
            folder=str(Path(__file__).parents[1] / "orm"),
            path=str(folder / "app.db"),
            index=str(folder / "index.db"),
        )
        (folder / f"{self.name}.py").write_text(textwrap.dedent(source))

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--app", f"{self.name}:core"])

    def json(self, *arguments: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.run(*arguments, "--json").stdout)
        return found

    def write(self, sql: str) -> None:
        import sqlite3

        with sqlite3.connect(self.folder / "app.db") as raw:
            raw.execute(sql)
        raw.close()


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Application(tmp_path)


def test_a_worker_that_runs_once_processes_what_is_pending(application: Application) -> None:
    assert application.run("outbox", "status").exit_code == 0
    application.write("INSERT INTO note VALUES (1, 'one', 1), (2, 'two', 1)")
    status = application.json("outbox", "status")
    assert status["path"] == str(application.folder / "index.db")
    assert status["indexes"][0]["waiting"] == 2  # type: ignore[index]
    done = application.run("worker", "--once")
    assert done.exit_code == 0 and "2 added" in done.stdout
    assert application.json("outbox", "status")["indexes"][0]["waiting"] == 0  # type: ignore[index]


WAIT_FOR_THREADS = """\
    for follower in core.followers:
        thread = follower.worker._thread
        if thread is not None:
            thread.join()
    return core
"""


def test_a_worker_that_runs_once_does_and_reports_everything_itself(
    application: Application,
) -> None:
    module = application.folder / f"{application.name}.py"
    source = module.read_text().replace('sync="manual"', 'sync="inline"')
    module.write_text(source.replace("    return core\n", WAIT_FOR_THREADS))
    application.write("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT, size INTEGER)")
    application.write("INSERT INTO note VALUES (1, 'one', 1), (2, 'two', 0)")
    done = application.run("worker", "--once")
    assert (done.exit_code, done.stdout) == (1, "1 added, 1 failed\n")
    again = application.run("worker", "--once")
    assert (again.exit_code, again.stdout) == (1, "nothing to do\n")
    assert "note: 1 change given up; see: semantic-core outbox status." in again.stderr
    application.write("UPDATE note SET body = 'new', size = 1")
    assert application.run("worker", "--once").stdout == "1 added, 1 updated\n"
    assert application.run("worker", "--once").stdout == "nothing to do\n"


def test_a_worker_that_runs_once_says_which_changes_pause_after_a_failure(
    application: Application,
) -> None:
    module = application.folder / f"{application.name}.py"
    longer = "_base_delay = 300\n            adapter.outbox._random = lambda: 1.0"
    module.write_text(module.read_text().replace("_max_attempts = 1", longer))
    application.write("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT, size INTEGER)")
    application.write("INSERT INTO note VALUES (1, 'one', 1), (2, 'two', 0)")
    application.run("worker", "--once")
    again = application.run("worker", "--once")
    assert (again.exit_code, again.stdout) == (1, "nothing to do\n")
    assert "note: 1 change pending after a failure; see: semantic-core outbox" in again.stderr


def test_a_change_that_was_given_up_is_listed_retried_and_dropped(application: Application) -> None:
    application.run("outbox", "status")
    application.write("INSERT INTO note VALUES (1, 'one', 0)")
    assert application.run("worker", "--once").exit_code == 1
    status = application.run("outbox", "status")
    assert (
        status.exit_code == 1
        and "given up: note/1 after 1 attempt: ZeroDivisionError" in status.stderr
    )
    assert application.json("outbox", "retry") == {"retried": 1}
    application.write("UPDATE note SET size = 1")
    assert application.run("worker", "--once").exit_code == 0
    application.write("INSERT INTO note VALUES (2, 'two', 0)")
    application.run("worker", "--once")
    assert application.run("outbox", "drop", "--yes").stdout == "Dropped 1 change.\n"


def test_verify_finds_what_differs_and_reindex_and_repair_correct_it(
    application: Application,
) -> None:
    application.run("outbox", "status")
    application.write("INSERT INTO note VALUES (1, 'one', 1), (2, 'two', 1)")
    application.run("worker", "--once")
    application.write("DELETE FROM note WHERE id = 1")
    application.write("DELETE FROM semantic_outbox")
    found = application.run("verify")
    assert found.exit_code == 1 and "1 row, 1 without a row" in found.stdout
    assert application.run("verify", "--repair").exit_code == 0
    assert application.json("verify")["note"]["sound"] is True  # type: ignore[index]
    assert "1 unchanged" in application.run("reindex", "--restart").stdout


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("", "needs an application"),
        ("nowhere", "MODULE:NAME"),
        ("no_such_module_here:core", "no module 'no_such_module_here'"),
        ("json:nothing", "json has no 'nothing'"),
        ("json:dumps.__name__", "not a SemanticCore"),
    ],
)
def test_an_application_that_cannot_be_found_is_one_clear_line(app: str, said: str) -> None:
    done = CliRunner().invoke(cli, ["outbox", "status", "--app", app])
    assert done.exit_code == 2 and said in done.stderr and "Traceback" not in done.stderr


WRONG = {
    "1 / 0": ("cannot be imported: ZeroDivisionError: division by zero", "line 4"),
    "import no_such_library": (
        "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'",
        "line 4",
    ),
    "def (": ("cannot be imported: SyntaxError", "line 4"),
    "from json import nothing_at_all": (
        "cannot be imported: ImportError: cannot import name 'nothing_at_all'",
        "line 4",
    ),
    "import json; json.loads('x')": ("cannot be imported: JSONDecodeError", "line 4"),
    "class ImproperlyConfigured(Exception): pass\nraise ImproperlyConfigured('no settings')": (
        "no settings",
        "django.setup()",
    ),
    "def core(): return {}['core']": ("fails when it is called: KeyError: 'core'", "line 4"),
    "from semantic_core.errors import ConfigError\n"
    "raise ConfigError('No table yet.', hint='Migrate.')": (
        "error: No table yet.",
        "Migrate.",
    ),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_in_the_application_is_told_as_its_own(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error, and the line of the application it comes from;
    never a request to report it here.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = f"wrong_{abs(hash((line, tmp_path.name)))}"
    (tmp_path / f"{module}.py").write_text(f"# An application.\n\n\n{line}\n")
    done = CliRunner().invoke(cli, ["outbox", "status", "--app", f"{module}:core"])
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2 and "report it" not in said
    for part in WRONG[line]:
        assert part in said


def test_a_traceback_of_the_application_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMANTIC_CORE_DEBUG", "1")
    (tmp_path / "wrong_with_traceback.py").write_text("import json\njson.loads('x')\n")
    done = CliRunner().invoke(cli, ["outbox", "status", "--app", "wrong_with_traceback:core"])
    assert "raise JSONDecodeError" in done.stderr and "line 2" in done.stderr


@pytest.fixture
def copied(application: Application) -> Application:
    """A copy of the whole application, index and all, while the original is there."""
    application.run("outbox", "status")
    application.write("INSERT INTO note VALUES (1, 'one', 1), (2, 'two', 1)")
    application.run("worker", "--once")
    folder = application.folder / "copied"
    folder.mkdir()
    application.write(f"VACUUM INTO '{folder / 'app.db'}'")
    shutil.copy(application.folder / "index.db", folder)
    copy = Application(folder)
    copy.name = f"copy_of_{application.name}"
    (folder / f"app_{folder.name}.py").rename(application.folder / f"{copy.name}.py")
    return copy


def test_an_index_that_is_kept_in_memory_is_told_as_one_and_is_not_left_of_anything(
    copied: Application,
) -> None:
    status = copied.run("outbox", "status")
    said = " ".join(status.output.split())
    assert status.exit_code == 0, said
    assert "note is in memory" in said and "is that of another database" in said
    assert "Path of the index" not in said and "left of" not in said
    answer = copied.json("outbox", "status")
    assert [each["collection"] for each in answer["indexes"]] == ["note"]  # type: ignore[attr-defined]
    assert (answer["left"], answer["path"], answer["fed_by_no_model"]) == ([], None, {})
    assert str(copied.folder.parent / "app.db") in answer["in_memory"]["note"]  # type: ignore[index]


def test_an_index_that_is_kept_in_memory_is_not_forgotten_as_one_nobody_declares(
    copied: Application,
) -> None:
    done = copied.run("outbox", "forget", "note", "--yes")
    assert done.exit_code == 2 and "declared by a model" in done.stderr
    assert "Removed 3 triggers." in copied.run("outbox", "remove-triggers").output


def test_commands_work_on_an_index_that_is_kept_in_memory(copied: Application) -> None:
    verified = copied.run("verify")
    assert verified.exit_code == 1 and "2 rows, 2 missing" in verified.stdout
    reindexed = copied.run("reindex")
    assert reindexed.exit_code == 0 and "note: 2 added" in reindexed.stdout
    worked = copied.run("worker", "--once")
    assert worked.exit_code == 0 and "2 added" in worked.stdout
    for done in (verified, reindexed, worked):
        assert "note is in memory" in done.stderr


def test_doctor_looks_at_the_indexes_of_an_application(application: Application) -> None:
    application.run("outbox", "status")
    application.write("INSERT INTO note VALUES (1, 'one', 0)")
    found = application.run("doctor")
    said = " ".join(found.stdout.split())
    assert "note of Note: 1 change pending" in said and str(application.folder) in said
    application.run("worker", "--once")
    found = application.run("doctor")
    said = " ".join(found.stdout.split())
    assert found.exit_code == 1 and "note: 1 change given up" in said
    assert f"semantic-core outbox status --app {application.name}:core" in said


def test_doctor_of_a_named_file_does_not_ask_the_application_of_the_environment(
    application: Application,
) -> None:
    application.run("outbox", "status")
    app = f"{application.name}:core"
    index = str(application.folder / "index.db")
    both = CliRunner().invoke(cli, ["doctor", "--db", index, "--app", app])
    assert both.exit_code == 2 and "Omit --db" in both.stderr
    environment = {"SEMANTIC_CORE_APP": "no_such_module_here:core"}
    named = CliRunner().invoke(cli, ["doctor", "--db", index], env=environment)
    assert "no_such_module_here" not in named.output


def test_doctor_says_of_an_index_in_memory_why_it_is_there(copied: Application) -> None:
    said = " ".join(copied.run("doctor").stdout.split())
    assert "note is in memory: the index at" in said


def test_an_application_without_models_says_what_to_call(application: Application) -> None:
    done = CliRunner().invoke(cli, ["worker", "--once", "--app", f"{application.name}:nothing"])
    assert done.exit_code == 2 and "init_database" in done.stderr


def test_an_index_that_is_not_there_is_told_with_those_that_are(application: Application) -> None:
    done = application.run("verify", "--index", "notes")
    assert done.exit_code == 2 and "There is no index 'notes'." in done.stderr
    assert "hint: The indexes of this application: note." in done.stderr


def test_a_worker_ends_at_sigterm_and_leaves_nothing_half_done(application: Application) -> None:
    application.run("outbox", "status")
    command = [
        sys.executable,
        "-m",
        "semantic_core.cli",
        "worker",
        "--interval",
        "0.05",
        "--app",
        f"{application.name}:core",
    ]
    environment = {**os.environ, "PYTHONPATH": str(application.folder)}
    worker = subprocess.Popen(
        command, cwd=application.folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        application.write("INSERT INTO note VALUES (1, 'one', 1)")
        for _ in range(200):
            if application.json("outbox", "status")["indexes"][0]["waiting"] == 0:  # type: ignore[index]
                break
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=30)
    finally:
        worker.kill()
    assert worker.returncode == 0 and "Stopped after the current batch." in said
    assert application.json("verify")["note"]["sound"] is True  # type: ignore[index]
