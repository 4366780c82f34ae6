"""Migrations with an index in place: Peewee's own tools, plain SQL, other programs.

No table is ever lost.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import peewee
import psycopg
import pytest
from playhouse.migrate import MySQLMigrator, PostgresqlMigrator, SqliteMigrator, migrate
from semantic_core_peewee import PeeweeAdapter, migrating

from semantic_core.orm import bind_declared
from semantic_core.orm.migrations import remove_triggers

MIGRATORS = {"sqlite": SqliteMigrator, "postgresql": PostgresqlMigrator, "mysql": MySQLMigrator}
RELATED = {"source_fields": ["title", "content", "author.name"], "metadata_fields": ["author"]}


def steps_of(migrator: Any) -> dict[str, Callable[[], list[Any]]]:
    """Per kind of change the operations that make it, and what it leaves of the models unharmed."""
    column = (
        peewee.TextField(default="en")
        if isinstance(migrator, SqliteMigrator)
        else peewee.CharField(default="en")
    )
    return {
        "add a column that is not null": lambda: [migrator.add_column("article", "lang", column)],
        "drop a column that is read": lambda: [
            migrator.add_column("article", "old_title", peewee.CharField(null=True)),
            migrator.drop_column("article", "old_title"),
        ],
        "rename a column and back": lambda: [
            migrator.rename_column("article", "title", "headline"),
            migrator.rename_column("article", "headline", "title"),
        ],
        "rename a column of a related table and back": lambda: [
            migrator.rename_column("author", "name", "called"),
            migrator.rename_column("author", "called", "name"),
        ],
        "rename a table and back": lambda: [
            migrator.rename_table("article", "paper"),
            migrator.rename_table("paper", "article"),
        ],
        "rename a related table and back": lambda: [
            migrator.rename_table("author", "writer"),
            migrator.rename_table("writer", "author"),
        ],
        "allow null": lambda: [migrator.drop_not_null("article", "title")],
        "change a type": lambda: [
            migrator.alter_column_type("article", "title", peewee.TextField())
        ],
    }


STEPS = list(steps_of(None))


@pytest.mark.parametrize("atomic", [False, True], ids=["each committed", "atomic"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "kind",
    [
        "sqlite3",
        "apsw",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("postgresql", "mysql")),
    ],
)
def test_a_migration_loses_neither_tables_nor_changes(
    kind: str, step: str, atomic: bool, open_database: Any, new_shelf: Callable[..., Any]
) -> None:
    shelf = new_shelf(open_database(kind), **RELATED)
    ann = shelf.Author.create(name="Ann")
    shelf.Article.create(title="Loops", content="repeat", author=ann)
    migrator = MIGRATORS["sqlite" if kind in ("sqlite3", "apsw") else kind](shelf.db)
    with shelf.db.atomic() if atomic else nullcontext():
        migrate(*steps_of(migrator)[step]())
        shelf.db.execute_sql("UPDATE article SET content = 'within the migration'")
    assert shelf.Article.search.status().capturing
    shelf.db.execute_sql("UPDATE author SET name = 'Bea'")
    shelf.core.sync()
    assert list(shelf.indexed().values()) == ["Loops|within the migration\n\nBea"]
    assert shelf.Article.search.verify().sound


def test_a_migration_that_is_rolled_back_leaves_the_triggers(one_shelf: Any) -> None:
    one_shelf.Article.create(title="Loops")
    before = one_shelf.Article.search._capture.existing()
    with one_shelf.db.atomic() as transaction:
        migrate(
            SqliteMigrator(one_shelf.db).add_column(
                "article", "lang", peewee.TextField(default="en")
            )
        )
        transaction.rollback()
    assert one_shelf.Article.search._capture.existing() == before
    one_shelf.Article.create(title="Lists")
    assert one_shelf.find("lists", limit=1) == ["Lists"]


def test_an_outbox_that_is_dropped_fails_no_write_and_comes_back(
    shelf: Any, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.Article.create(title="Loops")
    shelf.db.execute_sql("DROP TABLE semantic_outbox")
    shelf.Article.create(title="Lists")
    shelf.Article.update(title="Rings").where(shelf.Article.title == "Loops").execute()
    assert "init_database" in caplog.text
    bind_declared(PeeweeAdapter, shelf.core, database=shelf.db)
    shelf.core.sync()
    assert sorted(title.partition("|")[0] for title in shelf.indexed().values()) == [
        "Lists",
        "Rings",
    ]
    assert shelf.Article.search.verify().sound


def test_within_migrating_no_trigger_of_the_database_is_left(shelf: Any) -> None:
    shelf.Article.create(title="Loops")
    with migrating(shelf.db):
        assert not shelf.Article.search.status().capturing
        shelf.Article.update(title="Rings").execute()
    assert shelf.Article.search.status().capturing
    shelf.core.sync()
    assert [text.partition("|")[0] for text in shelf.indexed().values()] == ["Rings"]


def test_one_index_knows_how_to_stand_back_too(one_shelf: Any) -> None:
    with one_shelf.Article.search.migrating():
        assert one_shelf.Article.search._capture.existing() == set()
        one_shelf.Article.create(title="Loops")
    one_shelf.core.sync()
    assert one_shelf.find("loops") == ["Loops"]


APP = """
import peewee, sys
from semantic_core_peewee import SemanticIndex, init_database
db = peewee.SqliteDatabase("app.db")
class Author(peewee.Model):
    name = peewee.TextField()
    class Meta: database = db
class Post(peewee.Model):
    title = peewee.TextField()
    author = peewee.ForeignKeyField(Author)
    search = SemanticIndex(["title", "author.name"])
    class Meta: database = db
def start():
    db.create_tables([Author, Post])
    init_database(db, store="memory")
"""


@pytest.mark.slow
def test_a_program_that_knows_nothing_of_an_index_loses_no_table_and_is_told_what_to_do(
    tmp_path: Path,
) -> None:
    """`playhouse.migrate` in a process of its own, on the bare file: it cannot be kept from
    failing, but may be helped.
    """
    (tmp_path / "shop_app.py").write_text(APP, encoding="utf-8")

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    made = run(
        "import shop_app as a; a.start(); a.Post.create(title='Loops', "
        "author=a.Author.create(name='Ann'))"
    )
    assert made.returncode == 0, made.stderr
    bare = (
        "import peewee; from playhouse.migrate import SqliteMigrator, migrate; db = "
        "peewee.SqliteDatabase('app.db')\n"
        "m = SqliteMigrator(db); lang = peewee.TextField(default='en')\n"
        "with m.migration_context(): migrate(m.add_column('post', 'lang', lang))"
    )
    assert "no such table" in run(bare).stderr
    connection = sqlite3.connect(tmp_path / "app.db")
    assert connection.execute("SELECT count(*) FROM post").fetchone() == (1,), (
        "it was rolled back whole"
    )
    connection.close()
    command = [
        sys.executable,
        "-m",
        "semantic_core.cli",
        "outbox",
        "remove-triggers",
        "--app",
        "shop_app:start_core",
    ]
    (tmp_path / "shop_app.py").write_text(
        APP + "def start_core():\n    return init_database(db, store='memory')\n"
    )
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ triggers", done.stdout)
    assert run(bare).returncode == 0
    again = run("import shop_app as a; a.start(); print(a.Post.search.status().capturing)")
    assert again.stdout.strip() == "True", again.stderr


@pytest.fixture
def on_postgresql(open_database: Any, new_shelf: Callable[..., Any]) -> Iterator[tuple[Any, Any]]:
    """A shelf on PostgreSQL, and the connection of another program."""
    shelf = new_shelf(open_database("postgresql"))
    shelf.Article.create(title="Loops", content="repeat")
    shelf.core.sync()
    other = psycopg.connect(shelf.db.connection().info.dsn, autocommit=True)
    yield shelf, other
    other.close()


def test_what_was_written_while_triggers_were_disabled_is_found_when_they_come_back(
    on_postgresql: Any,
) -> None:
    shelf, other = on_postgresql
    other.execute("ALTER TABLE article DISABLE TRIGGER ALL")
    other.execute("UPDATE article SET title = 'Ladders'")
    assert not shelf.Article.search.status().capturing
    assert shelf.Article.search.install()
    assert shelf.Article.search.status().capturing
    shelf.core.sync()
    assert list(shelf.indexed().values()) == ["Ladders|repeat"]


UNSEEN = {
    "as a replica": (
        "SET session_replication_role = replica",
        "UPDATE article SET title = 'Ladders'",
    ),
    "disabled for a while": (
        "ALTER TABLE article DISABLE TRIGGER ALL",
        "UPDATE article SET title = 'Ladders'",
        "ALTER TABLE article ENABLE TRIGGER ALL",
    ),
}


@pytest.mark.parametrize("statements", UNSEEN.values(), ids=UNSEEN)
def test_what_no_trigger_saw_is_found_by_verify_and_indexed_by_repair(
    on_postgresql: Any, statements: tuple[str, ...]
) -> None:
    shelf, other = on_postgresql
    for statement in statements:
        other.execute(statement)
    assert not shelf.Article.search.verify().sound
    shelf.Article.search.repair()
    assert shelf.Article.search.verify().sound
    assert list(shelf.indexed().values()) == ["Ladders|repeat"]


@pytest.mark.parametrize(
    "change", ["ALTER COLUMN title TYPE varchar(300)", "DROP COLUMN title CASCADE"]
)
def test_another_program_alters_a_column_that_is_read_once_the_triggers_are_away(
    on_postgresql: Any, change: str
) -> None:
    shelf, other = on_postgresql
    if "TYPE" in change:
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="used in a trigger"):
            other.execute(f"ALTER TABLE article {change}")
    remove_triggers(other.execute, "postgresql")
    other.execute(f"ALTER TABLE article {change}")
    assert not shelf.Article.search.status().capturing
    other.execute("UPDATE article SET content = 'again'")
