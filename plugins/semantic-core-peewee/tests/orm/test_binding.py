"""`init_database` can be called once at start-up, and again at any time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peewee
import pytest
from click.testing import CliRunner
from playhouse.apsw_ext import APSWDatabase
from playhouse.sqliteq import SqliteQueueDatabase
from semantic_core_peewee import PeeweeAdapter, SemanticIndex, init_database

import semantic_core.orm
from semantic_core import SemanticCore
from semantic_core.cli import cli
from semantic_core.errors import ConfigError, ProviderNotFound
from semantic_core.testing import HashEmbedder

Make = Callable[..., Any]
SETTINGS: dict[str, Any] = {"plugins": ["peewee", "sqlite"]}


@pytest.fixture(autouse=True)
def nothing_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable says anything."""
    monkeypatch.chdir(tmp_path)
    for name in ("PATH", "STORE", "EMBEDDER", "CONFIG"):
        monkeypatch.delenv(f"SEMANTIC_CORE_{name}", raising=False)


@pytest.fixture
def started() -> Iterator[Callable[..., SemanticCore]]:
    """`init_database` with an embedder that needs no model; what it makes is closed in the end."""
    cores: list[SemanticCore] = []

    def start(db: Any, *arguments: Any, **options: Any) -> SemanticCore:
        cores.append(init_database(db, *arguments, **options))
        return cores[-1]

    yield start
    for core in cores:
        core.close()


def note_of(db: Any, name: str = "Note", **said: Any) -> Any:
    """A model with an index, and its table."""

    class Note(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"], **said)

        class Meta:
            database = db
            table_name = name.lower()

    Note.__name__ = name
    db.create_tables([Note])
    return Note


def test_the_two_lines_are_all_there_is(
    db: Any, started: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # on a server, the index lies in the working folder
    Note = note_of(db)
    core = started(db, embedder=HashEmbedder(), **SETTINGS)
    Note.create(body="how loops work")
    assert [note.body for note in Note.search("loops")] == ["how loops work"]
    assert core.store.path == Path(f"{db.database}.semantic.db")
    assert SemanticIndex is semantic_core.orm.SemanticIndex


def test_calling_it_again_costs_nothing_and_binds_what_is_new(db: Any, started: Make) -> None:
    first = note_of(db)
    core = started(db, embedder=HashEmbedder(), **SETTINGS)
    adapter = first.search
    second = note_of(db, "Memo")
    with pytest.raises(ConfigError, match="not bound"):
        second.search("x")
    assert started(db) is core and first.search is adapter
    second.create(body="words")
    assert [row.body for row in second.search("words")] == ["words"]
    with pytest.raises(ConfigError, match="other settings"):
        init_database(db, embedder=HashEmbedder())


def test_a_closed_core_is_followed_by_another_one(db: Any, started: Make) -> None:
    Note = note_of(db)
    first = started(db, embedder=HashEmbedder(), **SETTINGS)
    Note.create(body="one")
    first.close()
    Note.create(body="two, while nobody listens")
    second = started(db, embedder=HashEmbedder(), **SETTINGS)
    assert second is not first
    assert len(Note.search("one two", fresh=True)) == 2
    Note.create(body="three")
    assert len(Note.search("one two three")) == 3 and Note.search.verify().sound


def test_threads_that_start_at_once_share_one_core(db: Any, started: Make) -> None:
    Note = note_of(db)
    embedder, found = HashEmbedder(), []

    def start() -> None:
        found.append(started(db, embedder=embedder, **SETTINGS))
        db.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(core) for core in found}) == 1 and len(found) == 6
    assert Note.search.status().capturing and Note.search.core is found[0]


@pytest.mark.slow
def test_processes_that_start_at_once_do_not_hurt_each_other(db: Any, tmp_path: Path) -> None:
    Note = note_of(db)
    db.close()
    code = textwrap.dedent(f"""
        import peewee, sys
        from semantic_core_peewee import SemanticIndex, init_database
        from semantic_core.testing import HashEmbedder
        db = peewee.SqliteDatabase(
            {str(db.database)!r}, pragmas={{"journal_mode": "wal"}}, timeout=30
        )
        class Note(peewee.Model):
            body = peewee.TextField()
            search = SemanticIndex(["body"])
            class Meta:
                database = db
        core = init_database(db, embedder=HashEmbedder(), plugins=["peewee", "sqlite"])
        for number in range(5):
            Note.create(body=f"words of {{sys.argv[1]}} {{number}}")
        core.close()
    """)
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], stderr=subprocess.PIPE, cwd=tmp_path)
        for n in range(2)
    ]
    assert [process.communicate()[1].decode() for process in started] == ["", ""]
    with init_database(db, embedder=HashEmbedder(), plugins=["peewee", "sqlite"]) as core:
        core.sync()
        assert core.documents().total == 10 and Note.search.verify().sound


def test_the_configuration_says_where_the_index_is(
    db: Any, started: Make, tmp_path: Path, monkeypatch: Any
) -> None:
    note_of(db)
    monkeypatch.setenv("SEMANTIC_CORE_PATH", str(tmp_path / "elsewhere.db"))
    core = started(db, embedder=HashEmbedder(), **SETTINGS)
    assert core.store.path == tmp_path / "elsewhere.db"


def test_an_argument_says_it_louder(
    db: Any, started: Make, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_PATH", str(tmp_path / "elsewhere.db"))
    core = started(db, path=tmp_path / "here.db", embedder=HashEmbedder(), **SETTINGS)
    assert core.store.path == tmp_path / "here.db"


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_server_has_its_index_beside_the_package_of_its_models(
    kind: str, open_database: Make, started: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever folder the process is started in, a cron job's or a shell's."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / f"blog_{kind}").mkdir(parents=True)
    elsewhere.mkdir()
    (project / f"blog_{kind}" / "__init__.py").touch()
    monkeypatch.syspath_prepend(project)
    monkeypatch.chdir(elsewhere)
    import_module(f"blog_{kind}")
    db = open_database(kind)
    Note = note_of(db)
    Note.__module__ = f"blog_{kind}.models"
    core = started(db, embedder=HashEmbedder(), **SETTINGS)
    assert core.store.path == project / f"{db.database}.semantic.db"
    assert not list(elsewhere.iterdir())
    Note.create(body="words")
    assert len(Note.search("words")) == 1


@pytest.mark.parametrize("kind", [peewee.SqliteDatabase, APSWDatabase])
def test_a_database_in_memory_has_its_index_there(kind: Any, started: Make) -> None:
    db = kind(":memory:")
    Note = note_of(db)
    core = started(db, embedder=HashEmbedder(), **SETTINGS)
    Note.create(body="words")
    assert len(Note.search("words")) == 1 and type(core.store).__name__ == "MemoryStore"
    db.close()


def test_in_memory_there_is_no_other_thread_to_do_it(started: Make) -> None:
    db = peewee.SqliteDatabase(":memory:")
    Note = note_of(db, sync="background")
    with pytest.raises(ConfigError, match="in memory"):
        started(db, embedder=HashEmbedder(), **SETTINGS)
    assert Note._meta.database is db
    db.close()


def test_a_file_may_be_spelled_as_a_uri(tmp_path: Path, started: Make) -> None:
    db = peewee.SqliteDatabase(f"file:{tmp_path}/an%20app.db?mode=rwc", uri=True)
    note_of(db)
    assert (
        started(db, embedder=HashEmbedder(), **SETTINGS).store.path
        == tmp_path / "an app.db.semantic.db"
    )
    db.close()


def test_an_index_may_name_a_core_of_its_own(db: Any, started: Make, new_core: Make) -> None:
    own, given = new_core(), new_core()
    Mine, Theirs = note_of(db, "Mine", core=own), note_of(db, "Theirs")
    assert started(db, given) is given
    Mine.create(body="mine")
    Theirs.create(body="theirs")
    assert own.documents().total == 1 and given.documents().total == 1
    Parts = note_of(db, "Parts", store="memory", embedder=HashEmbedder())
    started(db, given)
    Parts.create(body="parts")
    assert Parts.search.core not in (own, given) and len(Parts.search("parts")) == 1
    Parts.search.core.close()


def test_a_database_whose_last_index_is_gone_is_told_of_and_cleared_by_a_command(
    db: Any, started: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Note = note_of(db)
    core = started(db, embedder=HashEmbedder(), **SETTINGS)
    Note.create(body="a lion")
    core.close()
    monkeypatch.setattr(SemanticIndex, "_declared", [])
    shop = SimpleNamespace(start=lambda: init_database(db, embedder=HashEmbedder(), **SETTINGS))
    monkeypatch.setitem(sys.modules, "shop_without_an_index", shop)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, [*arguments, "--app", "shop_without_an_index:start"])

    status = run("outbox", "status")
    assert status.exit_code == 1 and "left of note, which no model declares" in status.output
    assert "semantic-core outbox forget note" in caplog.text
    Note.create(body="a tiger")
    assert run("worker", "--once").exit_code == 2
    done = run("outbox", "forget", "note", "--yes")
    assert "Removed 3 triggers, 1 pending change and 1 document of note." in done.output
    assert run("outbox", "status").exit_code == 0
    Note.create(body="a bear")
    assert db.execute_sql("SELECT count(*) FROM semantic_outbox").fetchone()[0] == 0


def test_a_database_without_an_index_gets_no_tables(db: Any, started: Make) -> None:
    started(db, embedder=HashEmbedder(), **SETTINGS)
    assert db.get_tables() == []


def test_models_of_another_database_are_left_alone(
    open_database: Make, started: Make, new_core: Make
) -> None:
    one, two = open_database("sqlite3"), open_database("apsw")
    here, there = note_of(one, "Here"), note_of(two, "There")
    started(one, new_core())
    with pytest.raises(ConfigError, match="not bound"):
        there.search("x")
    started(two, new_core())
    here.create(body="words")
    there.create(body="words")
    assert len(here.search("words")) == len(there.search("words")) == 1


def test_a_model_that_moves_to_another_database_is_followed_there(
    open_database: Make, started: Make, new_core: Make
) -> None:
    one, two = open_database("sqlite3"), open_database("sqlite3")
    Note, core = note_of(one), new_core()
    started(one, core)
    with two.bind_ctx([Note]):
        two.create_tables([Note])
        started(two, core)
        Note.create(body="in the second")
        assert [note.body for note in Note.search("second")] == ["in the second"]


def test_a_model_without_a_table_says_what_to_do(db: Any, new_core: Make) -> None:
    class Note(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"])

        class Meta:
            database = db

    with pytest.raises(ConfigError, match=r"no table 'note' yet.*create_tables\(\[Note\]\)"):
        init_database(db, new_core())
    init_database(db, new_core(), install=False)
    db.create_tables([Note])
    assert Note.search.install() and Note.search.status().capturing


def test_what_is_no_database_to_follow_says_why(tmp_path: Path, new_core: Make) -> None:
    queue = SqliteQueueDatabase(str(tmp_path / "q.db"), autostart=False)
    for database, why in [
        (peewee.DatabaseProxy(), "uninitialised"),
        (None, "Wanted a Peewee database"),
        (sqlite3.connect(":memory:"), "got Connection"),
        (peewee.SqliteDatabase(None), "no name yet"),
        (queue, "no transactions"),
    ]:
        with pytest.raises(ConfigError, match=why):
            init_database(database, new_core())


def test_a_core_and_settings_for_one_contradict_each_other(db: Any, core: Any) -> None:
    for options in ({"same_file": True}, {"path": "x.db"}):
        with pytest.raises(ConfigError, match="not both"):
            init_database(db, core, **options)


def test_a_core_finds_the_adapter_by_itself(db: Any) -> None:
    class Note(peewee.Model):
        body = peewee.TextField()

        class Meta:
            database = db

    db.create_tables([Note])
    with SemanticCore(
        store="memory", embedder=HashEmbedder(), plugins=["peewee", "sqlite"]
    ) as core:
        bound = core.bind(Note, source_fields=["body"])
        assert isinstance(bound, PeeweeAdapter)
        Note.create(body="words")
        assert len(bound("words")) == 1
        with pytest.raises(ProviderNotFound, match="No installed plugin serves"):
            core.bind(dict, source_fields=["body"])


@pytest.mark.parametrize("made", ["before the index", "after it"])
def test_the_triggers_of_an_application_are_not_made_to_set_themselves_off(
    db: Any, core: Any, made: str
) -> None:
    Note = note_of(db)
    touched = (
        "CREATE TRIGGER touched AFTER UPDATE ON note BEGIN UPDATE note SET body = NEW.body || '!' "
        "WHERE id = NEW.id; END"
    )
    if made == "before the index":
        db.execute_sql(touched)
    init_database(db, core)
    if made == "after it":
        db.execute_sql(touched)
    Note.create(body="a")
    Note.update(body="b").execute()
    assert Note.get().body == "b!" and db.pragma("recursive_triggers") == 0
    assert Note.search.verify().sound


def test_a_row_that_replace_evicts_is_gone_from_the_index(db: Any, core: Any) -> None:
    class Page(peewee.Model):
        slug = peewee.CharField(unique=True)
        search = SemanticIndex(["slug"])

        class Meta:
            database = db

    db.create_tables([Page])
    init_database(db, core)
    Page.create(id=1, slug="home")
    Page.replace(id=2, slug="home").execute()
    assert [summary.ref.key for summary in core.documents()] == ["2"]
