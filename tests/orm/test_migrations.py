"""Which statements make triggers step aside, what Alembic is told, and what a trigger does without
its outbox.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from semantic_core.orm.migrations import (
    changes_tables,
    include_name,
    include_object,
    make_way,
    remove_triggers,
    triggers,
)
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import Join, RelatedSpec, Table, TriggerSpec
from semantic_core.orm.triggers import Capture

TABLE = Table(
    name="article", key={"id": int}, columns={name: name for name in ("id", "title", "author_id")}
)
WATCH = TriggerSpec(
    "article",
    TABLE,
    ("title",),
    related=(RelatedSpec((Join("author", "author_id", "id"),), ("name",)),),
)
SCHEMA = (
    "CREATE TABLE author (id INTEGER PRIMARY KEY, name VARCHAR(40))",
    "CREATE TABLE article (id INTEGER PRIMARY KEY, title VARCHAR(40), author_id INTEGER)",
    "CREATE TABLE elsewhere (id INTEGER PRIMARY KEY)",
    "INSERT INTO author VALUES (1, 'Ann')",
    "INSERT INTO article VALUES (1, 'one', 1)",
)
MAKE_WAY = (
    "ALTER TABLE article RENAME TO paper",
    'ALTER TABLE "article" DROP COLUMN title',
    "alter table main.article\n rename column title to headline",
    "DROP TABLE author",
    "DROP TABLE IF EXISTS `author`",
    'ALTER TABLE "article__tmp" RENAME TO "article"',
    "RENAME TABLE article TO paper",
    "ALTER TABLE IF EXISTS ONLY [article] ALTER COLUMN title TYPE text",
    "  DROP TABLE elsewhere, article",
    "DROP TABLE semantic_outbox",
    "ALTER TABLE semantic_state RENAME TO other_state",
)
LEAVE_ALONE = (
    "SELECT 1",
    "INSERT INTO article VALUES (2, 'DROP TABLE article', 1)",
    "ALTER TABLE elsewhere RENAME TO nowhere",
    "DROP TABLE elsewhere",
    "ALTER TABLE article ADD COLUMN lang VARCHAR(5)",
    "DROP INDEX article_title",
    "DROP VIEW article",
    "CREATE TABLE semantic_outbox2 (id INTEGER)",
    "DROP TRIGGER semantic_12345678_insert_12345678",
    "DROP TABLE semantic_outbox_of_mine",
    "",
)


@pytest.fixture(params=["sqlite3", "apsw", "postgresql", "mysql"])
def site(request: pytest.FixtureRequest, open_database: Any) -> Any:
    """Tables with their triggers, on every kind of database in turn."""
    database = open_database(request.param)
    connection = database.connect()
    for statement in SCHEMA:
        connection.execute(statement)
    outbox = SqlOutbox(Sql(connection.run, database.dialect))
    outbox.create()
    capture = Capture(Sql(connection.run, database.dialect), WATCH)
    capture.install()
    return SimpleNamespace(
        connection=connection, dialect=database.dialect, outbox=outbox, capture=capture
    )


@pytest.mark.parametrize("sql", MAKE_WAY)
def test_triggers_make_way_for_what_they_would_break_or_be_broken_by(site: Any, sql: str) -> None:
    make_way(sql, site.connection.run, site.dialect)
    assert triggers(site.connection.run, site.dialect) == []


@pytest.mark.parametrize("sql", LEAVE_ALONE)
def test_they_stay_for_any_other_statement(site: Any, sql: str) -> None:
    before = site.capture.existing()
    assert not make_way(sql, site.connection.run, site.dialect)
    assert site.capture.existing() == before


def test_only_changes_of_tables_that_are_not_ours_bring_them_back(site: Any) -> None:
    assert make_way("DROP TABLE author", site.connection.run, site.dialect)
    site.capture.install()
    assert not make_way("DROP TABLE semantic_outbox", site.connection.run, site.dialect), (
        "init_database does that"
    )
    assert changes_tables("DROP TABLE author")
    assert not changes_tables("DROP TABLE semantic_outbox")


def test_all_triggers_are_found_with_their_table_and_removed(site: Any) -> None:
    found = triggers(site.connection.run, site.dialect)
    assert {each.name for each in found} == site.capture.existing()
    assert {each.table for each in found} == {"article", "author"}
    assert sorted(remove_triggers(site.connection.run, site.dialect)) == sorted(
        each.name for each in found
    )
    assert remove_triggers(site.connection.run, site.dialect) == []


def test_a_trigger_whose_outbox_is_gone_fails_no_write_and_goes_on_when_it_is_back(
    site: Any,
) -> None:
    """Whoever dropped it, and however; SQLite has no way to say so,
    and there the triggers have to go first.
    """
    if site.dialect == "sqlite":
        pytest.skip("see make_way")
    site.connection.execute("DROP TABLE semantic_outbox")
    site.connection.execute("INSERT INTO article VALUES (2, 'two', 1)")
    site.connection.execute("UPDATE article SET title = 'changed' WHERE id = 1")
    site.connection.execute("UPDATE author SET name = 'Bea'")
    site.connection.execute("DELETE FROM article WHERE id = 2")
    assert site.connection.execute("SELECT id, title FROM article") == [(1, "changed")]
    site.outbox.create()
    site.connection.execute("UPDATE author SET name = 'Cem'")
    assert [change.key for change in site.outbox.claim(10)] == ["1"]


def test_a_related_table_may_be_written_though_the_own_one_is_gone(site: Any) -> None:
    if site.dialect == "sqlite":
        pytest.skip("see make_way")
    site.connection.execute("DROP TABLE article")
    site.connection.execute("UPDATE author SET name = 'Bea'")
    assert site.connection.execute("SELECT name FROM author") == [("Bea",)]


def test_alembic_is_told_to_leave_our_tables_and_their_indexes_alone() -> None:
    assert include_name("article", "table", {"schema_name": None})
    assert not include_name("semantic_outbox", "table", {"schema_name": None})
    assert not include_name("semantic_places_owner", "index", {"table_name": "semantic_places"})
    assert include_name("semantic_title", "index", {"table_name": "article"})
    assert include_name(None, "schema", {})
    ours, yours = SimpleNamespace(name="semantic_state"), SimpleNamespace(name="article")
    index = SimpleNamespace(name="x", table=ours)
    assert not include_object(ours, "semantic_state", "table", True, None)
    assert not include_object(index, "x", "index", True, None)
    assert include_object(yours, "article", "table", True, None)
    assert include_object(ours, "semantic_state", "table", False, None), (
        "a model of yours may be called anything"
    )
