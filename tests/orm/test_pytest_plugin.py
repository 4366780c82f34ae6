"""The fixtures for the tests of applications: an index that is always up to date, also within a
transaction that is rolled back, and that is put back afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini import Database, MiniAdapter, Model

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError, EmbedderUnavailable, InputError
from semantic_core.orm import SemanticIndex, bind_declared
from semantic_core.testing import Check, HashEmbedder, SettledCore, SimilarEmbedder, embedder_checks


class App:
    """An application: a database, models, and start-up code that binds their indexes to a
    core of its own.
    """

    def __init__(self, folder: Path, **said: Any) -> None:
        self.db = Database(folder / "app.db")
        self.db.run("CREATE TABLE article (id INTEGER PRIMARY KEY, title TEXT, content TEXT)")
        self.db.run("CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT, body TEXT)")

        class Article(Model):
            table = "article"
            fields = {"id": int, "title": str, "content": str}
            search = SemanticIndex(
                **{"source_fields": ["title", "content"], "sync": "inline", **said}
            )

        self.Article = Article
        Article.db = self.db
        self.core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])

    def start(self, core: SemanticCore | None = None) -> None:
        bind_declared(MiniAdapter, core or self.core, db=self.db)

    def found(self, query: str, **options: Any) -> list[int]:
        return [row.id for row in self.Article.search(query, **options)]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Asked for before `semantic_test_core`, it has started before a test begins,
    as applications have.
    """
    made = App(tmp_path)
    made.start()
    yield made
    made.core.close()
    made.db.close()


class Undone(Exception):
    """Rolls a block back."""


# --- the index ------------------------------------------------------------------------------------


def test_rows_are_found_as_soon_as_they_are_written(
    app: App, semantic_test_core: SettledCore
) -> None:
    app.Article.create(id=1, title="Loops", content="repeat a block")
    assert app.found("repeating blocks", limit=1) == [1]
    app.db.run("UPDATE article SET content = 'open a file'")
    assert app.Article.search("open a file", limit=1)[0].search_hit.text.endswith("open a file")
    app.db.run("DELETE FROM article")
    assert app.found("open a file") == [] and semantic_test_core.documents().total == 0


def test_rows_are_found_within_a_transaction_that_never_commits(
    app: App, semantic_test_core: SettledCore
) -> None:
    with pytest.raises(Undone), app.db.transaction():
        app.Article.create(id=1, title="Loops", content="repeat a block")
        assert app.found("repeat") == [1]
        with app.db.transaction():
            app.Article.create(id=2, title="Files", content="open and close")
        assert sorted(app.found("open repeat")) == [1, 2]
        raise Undone
    assert app.found("repeat") == [] and semantic_test_core.documents().total == 0


def test_a_savepoint_that_is_rolled_back_takes_what_was_found_in_it(
    app: App, semantic_test_core: SettledCore
) -> None:
    with app.db.transaction():
        app.Article.create(id=1, title="Loops", content="the first state")
        app.Article.create(id=2, title="Files", content="stays")
        assert len(app.found("state")) == 2
        with pytest.raises(Undone), app.db.transaction():
            app.db.run("DELETE FROM article WHERE id = 2")
            app.Article.create(id=3, title="Ghost", content="never was")
            app.db.run("UPDATE article SET content = 'never was' WHERE id = 1")
            assert sorted(app.found("never was")) == [1, 3]
            raise Undone
        held = {summary.ref.key: summary.ref for summary in semantic_test_core.documents()}
        assert sorted(held) == ["1", "2"]
        document = semantic_test_core.get(held["1"])
        assert document is not None and document.text == "the first state"
        # Its pending change has a number that was used.
        app.db.run("UPDATE article SET content = 'a later state' WHERE id = 1")
        document = semantic_test_core.get(held["1"])
        assert document is not None and document.text == "a later state"


def test_rows_that_were_there_before_the_test_are_in_the_index(
    app: App, request: pytest.FixtureRequest
) -> None:
    app.Article.create(id=1, title="Seed", content="of a session's fixture")
    app.core.sync()
    request.getfixturevalue("semantic_test_core")
    assert app.found("seed") == [1]


def test_an_index_in_the_background_starts_no_thread(
    tmp_path: Path, semantic_test_core: SettledCore
) -> None:
    import threading

    before = threading.active_count()
    app = App(tmp_path, sync="background", collection="behind")
    app.start(semantic_test_core)
    app.Article.create(id=1, title="Loops", content="repeat a block")
    assert app.found("repeat") == [1] and threading.active_count() == before
    app.db.close()


def test_asking_in_any_way_settles_first(app: App, semantic_test_core: SettledCore) -> None:
    core = semantic_test_core
    app.Article.create(id=1, title="Loops", content="repeat a block")
    assert core.stats().documents == 1
    app.Article.create(id=2, title="Loops", content="repeat a block")
    assert core.documents().total == 2
    app.Article.create(id=3, title="Loops", content="repeat a block")
    assert len(core.search_chunks("repeat")) == 3
    app.Article.create(id=4, title="Loops", content="repeat a block")
    assert core.sync().added == 1 and core.settle().added == 0
    assert app.Article.search.verify().sound


def test_an_application_that_starts_within_the_test_gets_the_core_of_the_test(
    tmp_path: Path, semantic_test_core: SettledCore
) -> None:
    app = App(tmp_path, collection="late")
    app.start(semantic_test_core)
    app.Article.create(id=1, title="Loops", content="repeat a block")
    assert (
        app.found("repeat") == [1] and semantic_test_core.documents(collections=["late"]).total == 1
    )
    app.db.close()


# --- bindings -------------------------------------------------------------------------------------


def inner(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest of its own on a file with these tests."""
    (folder / "mini.py").write_text((Path(__file__).parent / "mini.py").read_text("utf-8"), "utf-8")
    (folder / "test_inner.py").write_text(textwrap.dedent(tests), "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        *options,
        "test_inner.py",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


APPLICATION = """
    import pytest
    from mini import Database, MiniAdapter, Model
    from semantic_core import SemanticCore
    from semantic_core.orm import SemanticIndex, bind_declared
    from pathlib import Path

    db = Database(Path("app.db"))
    db.run("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, owner TEXT, body TEXT)")

    class Note(Model):
        table = "note"
        fields = {"id": int, "owner": str, "body": str}
        db = db
"""


@pytest.mark.slow
def test_bindings_are_put_back_between_tests(tmp_path: Path) -> None:
    done = inner(
        tmp_path,
        APPLICATION
        + """
        search = SemanticIndex(["body"], sync="inline")

    @pytest.fixture(scope="session", autouse=True)
    def started(semantic_session_core):
        bind_declared(MiniAdapter, semantic_session_core, db=db)
        return semantic_session_core

    @pytest.fixture(autouse=True)
    def rolled_back():
        with pytest.raises(ZeroDivisionError), db.transaction():
            yield
            raise ZeroDivisionError

    def test_first(semantic_test_core, started):
        Note.create(id=1, body="the first one")
        assert [row.body for row in Note.search("first")] == ["the first one"]
        assert Note.search.core is semantic_test_core is not started

    def test_second(semantic_test_core):
        assert list(Note.search("first")) == [] and semantic_test_core.documents().total == 0

    def test_without_the_fixture(started):
        assert Note.search.core is started
        Note.create(id=1, body="found by the core of the session")
        assert len(Note.search("session")) == 1
    """,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.slow
def test_an_index_bound_in_a_test_is_not_bound_after_it(tmp_path: Path) -> None:
    done = inner(
        tmp_path,
        APPLICATION
        + """
        search = SemanticIndex(["body"], sync="inline", tenant="owner")

    def test_first(semantic_test_core):
        bind_declared(MiniAdapter, semantic_test_core, db=db)
        Note.create(id=1, owner="acme", body="the plan")
        assert [row.id for row in Note.search("plan", tenant="acme")] == [1]
        assert len(Note.search("plan", tenant="beta")) == 0

    def test_second():
        from semantic_core.errors import ConfigError
        with pytest.raises(ConfigError, match="not bound"):
            Note.search("plan", tenant="acme")

    def test_third(semantic_test_core, pytestconfig):
        assert semantic_test_core.store.multi_tenant
        assert pytestconfig.getini("semantic_multi_tenant") is False
    """,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_plugin_is_found_and_loads_nothing_heavy(tmp_path: Path) -> None:
    done = inner(
        tmp_path,
        """
        import sys

        HEAVY = ("numpy", "hypothesis", "peewee", "apsw", "semantic_core.core", "semantic_core.orm")

        def test_light():
            assert "semantic_core.testing.pytest_plugin" in sys.modules
            assert not [name for name in HEAVY if name in sys.modules]
        """,
        "-p",
        "no:hypothesispytest",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_binding_that_was_there_is_there_again(app: App, request: pytest.FixtureRequest) -> None:
    from semantic_core.testing.settled import rebound

    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as other:
        with rebound(SettledCore(SimilarEmbedder())):
            assert isinstance(app.Article.search.core, SettledCore)
            app.Article.create(id=1, title="Loops", content="repeat a block")
            assert app.core.documents().total == 0
        assert app.Article.search.core is app.core
        app.Article.create(id=2, title="Files", content="open and close")
        assert sorted(app.found("open repeat")) == [1, 2]  # its own core processes what was left
        with rebound(SettledCore(SimilarEmbedder())):
            pass
        app.start(other)
        assert app.Article.search.core is other


def test_an_index_that_is_not_bound_says_so(
    tmp_path: Path, semantic_test_core: SettledCore
) -> None:
    app = App(tmp_path)
    with pytest.raises(ConfigError, match="not bound"):
        app.found("anything")
    app.db.close()


# --- the embedder ---------------------------------------------------------------------------------


@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_the_similar_embedder_keeps_the_contract(check: Check) -> None:
    check(SimilarEmbedder)


def nearness(first: str, second: str) -> float:
    embedder = SimilarEmbedder()
    return float(np.dot(embedder.embed_query(first), embedder.embed_query(second)))


@pytest.mark.parametrize(
    ("near", "nearer_than"),
    [
        (("watering tomatoes", "Water the tomato in the morning"), "catch an exception"),
        (("organisation", "organization"), "orchestra"),
        (("databse conection", "database connection"), "bread and butter"),
        (("he runs faster", "running fast"), "let the dough rest"),
        (("Rechnungsnummer", "Nummer der Rechnung"), "Schifffahrt"),
        (("\u0434\u043e\u043c\u0430", "\u0434\u043e\u043c"), "\u0440\u0435\u043a\u0430"),
    ],
)
def test_similar_strings_are_near(near: tuple[str, str], nearer_than: str) -> None:
    assert nearness(*near) > 0.15 > 2 * nearness(near[0], nearer_than)


def test_a_provider_that_throttles_leaves_words_to_search_by(
    app: App, semantic_test_core: SettledCore, semantic_embedder: SimilarEmbedder
) -> None:
    with semantic_embedder.failing("rate_limit"):
        app.Article.create(id=1, title="Loops", content="repeat a block")
        found = app.Article.search("repeat")
        assert [row.id for row in found] == [1] and found.degraded
        assert "429" in semantic_test_core.last_failure
        assert semantic_test_core.store.stats().pending == 1
    assert [row.id for row in app.Article.search("repeating blocks", mode="vector")] == [1]
    assert semantic_test_core.last_failure == "" and semantic_test_core.store.stats().pending == 0


def test_a_provider_that_answers_half_is_not_believed(
    app: App, semantic_test_core: SettledCore, semantic_embedder: SimilarEmbedder
) -> None:
    for number in range(1, 5):
        app.Article.create(id=number, title="Loops", content=f"repeat a block {number}")
    with semantic_embedder.failing("half"):
        assert len(app.found("repeat", mode="text")) == 4
        assert semantic_test_core.last_failure and semantic_test_core.store.stats().pending == 4
    assert len(app.found("repeat", mode="vector")) == 4


def test_failing_begins_after_as_many_calls_as_were_asked_for() -> None:
    embedder = SimilarEmbedder()
    with embedder.failing("timeout", after=1):
        assert len(embedder.embed_documents(["one", "two"])) == 2
        with pytest.raises(EmbedderUnavailable, match="in time"):
            embedder.embed_documents(["three"])
        with pytest.raises(EmbedderUnavailable):
            embedder.embed_query("three")
    assert len(embedder.embed_documents(["three"])) == 1 and embedder.texts == [
        "one",
        "two",
        "three",
    ]
    with pytest.raises(InputError, match="how must be one of"), embedder.failing("sometimes"):  # type: ignore[arg-type]
        pass
