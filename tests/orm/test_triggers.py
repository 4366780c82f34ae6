"""Every row whose mapped value or key changes gets a pending change, whatever wrote it,
and no other row does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic_core.errors import ConfigError, InputError
from semantic_core.orm.migrations import triggers
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import Join, RelatedSpec, Table, TriggerSpec
from semantic_core.orm.triggers import Capture

AUTHOR = Join("author", "author_id", "id")
COMPANY = Join("company", "company_id", "id")
COMMENTS = Join("comment", "id", "article_id")
BLOG = Join("blog", "blog_id", "id")

ARTICLE = Table(
    name="article",
    key={"id": int},
    columns={
        name: name for name in ("id", "title", "body", "views", "tenant", "author_id", "blog_id")
    },
)
PLAIN = TriggerSpec("article", ARTICLE, columns=("title", "body"), tenant="tenant")
DEEP = attrs.evolve(
    PLAIN,
    related=(
        RelatedSpec((AUTHOR,), ("name",)),
        RelatedSpec((AUTHOR, COMPANY), ("city",)),
        RelatedSpec((COMMENTS,), ("text",)),
    ),
)

SCHEMA = """
CREATE TABLE company (id INTEGER PRIMARY KEY, city VARCHAR(40), size INTEGER);
CREATE TABLE author (id INTEGER PRIMARY KEY, name VARCHAR(40), age INTEGER, company_id INTEGER,
  FOREIGN KEY (company_id) REFERENCES company (id) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE blog (id INTEGER PRIMARY KEY);
CREATE TABLE article (id INTEGER PRIMARY KEY, title VARCHAR(40), body TEXT, views INTEGER,
  tenant VARCHAR(40), author_id INTEGER, blog_id INTEGER, slug VARCHAR(40) UNIQUE,
  FOREIGN KEY (author_id) REFERENCES author (id) ON DELETE SET NULL ON UPDATE CASCADE,
  FOREIGN KEY (blog_id) REFERENCES blog (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE person (id INTEGER PRIMARY KEY);
CREATE TABLE comment (id INTEGER PRIMARY KEY, article_id INTEGER, text VARCHAR(40), likes INTEGER,
  person_id INTEGER,
  FOREIGN KEY (article_id) REFERENCES article (id) ON DELETE CASCADE ON UPDATE CASCADE,
  FOREIGN KEY (person_id) REFERENCES person (id) ON DELETE CASCADE);
INSERT INTO company VALUES (1, 'Oslo', 5), (2, 'Bonn', 6);
INSERT INTO author VALUES (1, 'Ada', 30, 1), (2, 'Bob', 40, 1), (3, 'Cem', 50, 2);
INSERT INTO blog VALUES (1), (2);
INSERT INTO person VALUES (1);
INSERT INTO article VALUES (1, 'one', 'x', 0, 'acme', 1, 1, 's1'),
  (2, 'two', 'y', 0, 'acme', 1, 1, 's2'),
  (3, 'three', 'z', 0, 'other', 2, 2, 's3'), (4, 'four', NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO comment VALUES (1, 1, 'good', 0, 1), (2, 1, 'bad', 0, NULL), (3, 3, 'so so', 0, NULL)
"""


class Site:
    """A database with authors, articles and comments,
    and what the triggers of a watch noted in it.
    """

    def __init__(self, database: Any, *watches: TriggerSpec, schema: str = SCHEMA) -> None:
        self.database, self.dialect = database, database.dialect
        self.connection = database.connect()
        for statement in schema.split(";"):
            if statement.strip():
                self.connection.execute(statement)
        self.outbox = SqlOutbox(Sql(self.connection.run, self.dialect))
        self.outbox.create()
        self.captures = [self.capture(watch) for watch in watches]
        for capture in self.captures:
            capture.install()

    def capture(self, spec: TriggerSpec) -> Capture:
        return Capture(Sql(self.connection.run, self.dialect), spec)

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        result: list[tuple[Any, ...]] = self.connection.execute(sql, params)
        return result

    def noted(self, sql: str = "", params: Sequence[Any] = ()) -> set[tuple[str, str]]:
        """(key, tenant) of the pending changes a statement left."""
        if sql:
            self.execute(sql, params)
        changes = self.outbox.claim(10_000)
        self.outbox.done([change.number for change in changes])
        return {(change.key, change.tenant) for change in changes}

    def keys(self, sql: str, params: Sequence[Any] = ()) -> set[str]:
        return {key for key, _ in self.noted(sql, params)}

    def triggers(self) -> set[str]:
        sql = {
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
            "postgresql": "SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid "
            "WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace",
            "mysql": (
                "SELECT trigger_name FROM information_schema.triggers "
                "WHERE trigger_schema = DATABASE()"
            ),
        }[self.dialect]
        return {row[0] for row in self.execute(sql)}


@pytest.fixture(scope="module", params=["sqlite3", "apsw", "postgresql", "mysql"])
def plain_site(request: pytest.FixtureRequest, keep_database: Any) -> Site:
    return Site(keep_database(request.param), PLAIN)


@pytest.fixture
def plain(plain_site: Site) -> Iterator[Site]:
    """A site of every kind in turn; what the test does to it is rolled back."""
    plain_site.execute("BEGIN")
    yield plain_site
    plain_site.execute("ROLLBACK")


@pytest.fixture(scope="module", params=["sqlite3", "postgresql", "mysql"])
def deep_site(request: pytest.FixtureRequest, keep_database: Any) -> Site:
    return Site(keep_database(request.param), DEEP)


@pytest.fixture
def deep(deep_site: Site) -> Iterator[Site]:
    """A site that watches related rows too, of every dialect in turn;
    what the test does to it is rolled back.
    """
    deep_site.execute("BEGIN")
    yield deep_site
    deep_site.execute("ROLLBACK")


# --- own rows -------------------------------------------------------------------------------------


def test_an_insert_is_noted_whoever_makes_it(plain: Site) -> None:
    assert plain.noted("INSERT INTO article (id, title, tenant) VALUES (7, 'a', 'acme')") == {
        ("7", "acme")
    }
    assert plain.noted("INSERT INTO article (id, title) SELECT id + 100, title FROM article") == {
        (str(key + 100), "") for key in (1, 2, 3, 4, 7)
    }


def test_an_update_of_a_mapped_column_is_noted(plain: Site) -> None:
    assert plain.noted("UPDATE article SET title = 'new' WHERE id = 1") == {("1", "acme")}
    assert plain.noted("UPDATE article SET body = NULL") == {
        ("1", "acme"),
        ("2", "acme"),
        ("3", "other"),
    }
    assert plain.noted("UPDATE article SET body = 'text' WHERE id = 4") == {("4", "")}


def test_an_unmapped_column_costs_no_change(plain: Site) -> None:
    assert (
        plain.noted("UPDATE article SET views = views + 1, slug = NULL, author_id = NULL") == set()
    )


def test_the_same_value_costs_no_change(plain: Site) -> None:
    assert (
        plain.noted("UPDATE article SET title = title, body = body, id = id, tenant = tenant")
        == set()
    )
    assert plain.noted("UPDATE article SET title = 'one' WHERE id = 1") == set()


def test_a_delete_is_noted(plain: Site) -> None:
    assert plain.noted("DELETE FROM article WHERE id = 2") == {("2", "acme")}
    assert plain.noted("DELETE FROM article") == {("1", "acme"), ("3", "other"), ("4", "")}


def test_a_change_of_the_key_is_noted_for_both_keys(plain: Site) -> None:
    assert plain.noted("UPDATE article SET id = 20 WHERE id = 2") == {("2", "acme"), ("20", "acme")}


def test_a_change_of_the_tenant_is_noted_for_both_tenants(plain: Site) -> None:
    assert plain.noted("UPDATE article SET tenant = 'other' WHERE id = 1") == {
        ("1", "acme"),
        ("1", "other"),
    }
    assert plain.noted("UPDATE article SET tenant = NULL WHERE id = 3") == {
        ("3", "other"),
        ("3", ""),
    }


def test_an_upsert_is_noted_as_what_it_does(plain: Site) -> None:
    sql = "INSERT INTO article (id, title, tenant) VALUES (?, ?, 'acme') "
    sql += (
        "ON DUPLICATE KEY UPDATE title = VALUES(title)"
        if plain.dialect == "mysql"
        else "ON CONFLICT (id) DO UPDATE SET title = excluded.title"
    )
    assert plain.noted(sql, [1, "new"]) == {("1", "acme")}
    assert plain.noted(sql, [50, "new"]) == {("50", "acme")}
    assert plain.noted(sql, [50, "new"]) == set()


@pytest.mark.parametrize("kind", ["sqlite3", "apsw", "mysql"])
def test_a_row_that_a_replace_evicts_is_noted(open_database: Any, kind: str) -> None:
    site = Site(open_database(kind), PLAIN)
    assert site.noted("REPLACE INTO article (id, title, slug) VALUES (3, 'new', 's1')") == {
        ("1", "acme"),
        ("3", "other"),
        ("3", ""),
    }


NEVER_NEW = RelatedSpec((attrs.evolve(AUTHOR, inserts=False),), ("name",))


@pytest.mark.parametrize("kind", ["sqlite3", "apsw"])
def test_what_is_evicted_is_noted_however_it_is_written(open_database: Any, kind: str) -> None:
    site = Site(open_database(kind), attrs.evolve(PLAIN, related=(NEVER_NEW,)))
    site.execute("CREATE UNIQUE INDEX title ON article (title COLLATE NOCASE) WHERE views >= 0")
    site.captures[0] = site.capture(attrs.evolve(PLAIN, related=(NEVER_NEW,)))
    site.captures[0].install()
    assert site.execute("PRAGMA recursive_triggers") == [(0,)]
    assert site.noted("UPDATE OR REPLACE article SET slug = 's1' WHERE id = 2") >= {("1", "acme")}
    assert site.noted("REPLACE INTO article (id, title, views) VALUES (9, 'THREE', 0)") >= {
        ("3", "other")
    }
    renamed = site.keys("INSERT OR REPLACE INTO author (id, name) VALUES (1, 'renamed')")
    assert renamed == {"2"}
    assert site.noted("INSERT INTO author (id, name) VALUES (77, 'of no article')") == set()
    assert site.noted("UPDATE article SET slug = 'free' WHERE id = 2") == set()


def test_a_rolled_back_write_leaves_no_change(database: Any) -> None:
    plain = Site(database, PLAIN)
    plain.execute("BEGIN")
    plain.execute("UPDATE article SET title = 'a' WHERE id = 1")
    plain.execute("SAVEPOINT one")
    plain.execute("UPDATE article SET title = 'b' WHERE id = 2")
    plain.execute("ROLLBACK TO SAVEPOINT one")
    plain.execute("COMMIT")
    assert plain.noted() == {("1", "acme")}
    plain.execute("BEGIN")
    plain.execute("DELETE FROM article")
    plain.execute("ROLLBACK")
    assert plain.noted() == set()


def test_a_truncate_asks_for_the_whole_collection(open_database: Any) -> None:
    site = Site(open_database("postgresql"), DEEP)
    assert site.noted("TRUNCATE comment") == {("1", "acme"), ("3", "other")}
    assert ("", "") in site.noted("TRUNCATE article CASCADE")


PARTITIONED = """
CREATE TABLE article (id INTEGER, title VARCHAR(40), body TEXT, tenant VARCHAR(40),
  PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE a_first PARTITION OF article FOR VALUES FROM (1) TO (10);
CREATE TABLE a_second PARTITION OF article FOR VALUES FROM (10) TO (20);
INSERT INTO article VALUES (1, 'one', 'x', 'acme'), (11, 'eleven', 'y', 'acme')
"""


def test_rows_of_partitions_are_noted_whichever_table_is_written(open_database: Any) -> None:
    site = Site(open_database("postgresql"), PLAIN, schema=PARTITIONED)
    assert site.keys("UPDATE a_first SET title = 'two'") == {"1"}
    assert site.keys("INSERT INTO article VALUES (2, 'two', 'y', 'acme')") == {"2"}
    assert site.keys("TRUNCATE a_second") == set()  # a limit, told on the page of known limits
    assert site.keys("TRUNCATE article") == {""}
    assert {each.table for each in triggers(site.connection.run, "postgresql")} == {"article"}


@pytest.mark.parametrize(
    ("disable", "schema"),
    [
        ("ALTER TABLE article DISABLE TRIGGER ALL", SCHEMA),
        ("ALTER TABLE article DISABLE TRIGGER USER", PARTITIONED),
        ("ALTER TABLE a_second DISABLE TRIGGER USER", PARTITIONED),
        ("ALTER TABLE article ENABLE REPLICA TRIGGER {name}", SCHEMA),
    ],
    ids=["all", "partitioned", "one_partition", "replica"],
)
def test_disabled_triggers_are_missed_and_made_to_fire_again(
    open_database: Any, disable: str, schema: str
) -> None:
    site = Site(open_database("postgresql"), PLAIN, schema=schema)
    (capture,) = site.captures
    update = next(name for name in capture.existing() if "_update_" in name)
    site.execute(disable.format(name=update))
    assert not capture.installed() and update not in capture.existing()
    assert capture.install() and capture.installed() and not capture.install()
    assert site.keys("UPDATE article SET title = title || '!'") >= {"1"}


def test_triggers_that_fire_always_are_left_as_they_are(open_database: Any) -> None:
    site = Site(open_database("postgresql"), PLAIN)
    (capture,) = site.captures
    for name in capture.existing():
        site.execute(f"ALTER TABLE article ENABLE ALWAYS TRIGGER {name}")
    assert capture.installed() and not capture.install()
    site.execute("SET session_replication_role = replica")
    assert site.keys("UPDATE article SET title = 'new' WHERE id = 1") == {"1"}


EQUAL = [
    ("word", "Word"),
    ("word", "wörd"),
    ("word", "word "),
    ("1", "1.0"),
    ("", None),
    (None, ""),
    ("a", "a\u0301"),
]


def test_what_a_collation_calls_equal_is_still_a_change(engine: Any) -> None:
    collation = {
        "sqlite": "COLLATE NOCASE",
        "mysql": "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        "postgresql": "COLLATE loose",
    }[engine.dialect]
    if engine.dialect == "postgresql":
        engine.connect().execute(
            "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', "
            "deterministic = false)"
        )
    site = Site(
        engine, schema=f"CREATE TABLE note (id INTEGER PRIMARY KEY, text VARCHAR(40) {collation})"
    )
    table = Table(name="note", key={"id": int}, columns={"id": "id", "text": "text"})
    site.capture(TriggerSpec("note", table, columns=("text",))).install()
    for first, second in EQUAL:
        site.noted("DELETE FROM note")
        site.noted("INSERT INTO note VALUES (1, ?)", [first])
        assert site.noted("UPDATE note SET text = ?", [second]) == {("1", "")}, (first, second)
        assert site.noted("UPDATE note SET text = ?", [second]) == set(), (first, second)


TYPES: dict[str, list[tuple[str, str, str]]] = {
    "sqlite": [
        ("", "1", "1.0"), ("BLOB", "x'00ff'", "x'00fe'"), ("", "'1'", "1"), ("REAL", "1.5", "1.25"),
    ],
    "postgresql": [
        ("jsonb", "'{\"a\": 1}'", "'{\"a\": 2}'"), ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
        ("point", "'(1,2)'", "'(1,3)'"),
        ("bytea", r"'\x00ff'", r"'\x00fe'"), ("text[]", "'{a,b}'", "'{a,c}'"),
        ("double precision", "1e300", "1.5e300"),
        ("numeric", "1.0", "1.00"),
        ("timestamptz", "'2024-01-01 00:00:00.000001+00'", "'2024-01-01 00:00:00.000002+00'"),
        ("uuid", "'00000000-0000-0000-0000-000000000001'", "NULL"), ("tsvector", "'a'", "'b'"),
        ("boolean", "true", "false"),
    ],
    "mysql": [
        ("JSON", "'{\"a\": 1}'", "'{\"a\": 2}'"), ("VARBINARY(9)", "x'00ff'", "x'00fe'"),
        ("BIT(9)", "b'1'", "b'101'"),
        ("DECIMAL(9,2)", "1.10", "1.20"),
        ("DATETIME(6)", "'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'"),
        ("POINT", "POINT(1, 2)", "POINT(1, 3)"), ("DOUBLE", "1e300", "1.5e300"),
        ("BLOB", "x'00'", "x''"),
        ("ENUM('a', 'b')", "'a'", "'b'"),
        ("VARCHAR(9) CHARACTER SET latin1", "'e'", "'é'"),
        ("BIGINT", "9007199254740992", "9007199254740993"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["sqlite3", "postgresql", "mysql"])
def test_columns_of_every_type_are_compared(open_database: Any, kind: str) -> None:
    site = Site(open_database(kind), schema="")
    for number, (column, first, second) in enumerate(TYPES[site.dialect]):
        name = f"kind{number}"
        site.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, value {column})")
        table = Table(name=name, key={"id": int}, columns={"id": "id", "value": "value"})
        site.capture(TriggerSpec(name, table, columns=("value",))).install()
        assert site.noted(f"INSERT INTO {name} VALUES (1, {first})") == {("1", "")}
        assert site.noted(f"UPDATE {name} SET value = {first}") == set(), column
        assert site.noted(f"UPDATE {name} SET value = {second}") == {("1", "")}, column
        assert site.noted(f"UPDATE {name} SET value = NULL, id = 2") == {("1", ""), ("2", "")}


def test_keys_have_the_text_of_the_database_and_bytes_that_of_their_hex(engine: Any) -> None:
    kinds: dict[str, list[tuple[str, str, str]]] = {
        "sqlite": [("TEXT", "'a''b'", "a'b"), ("BLOB", "x'00FF'", "00ff"), ("INTEGER", "-5", "-5")],
        "postgresql": [
            (
                "uuid",
                "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ),
            ("bytea", r"'\x00FF'", r"\x00ff"),
            ("bigint", "9223372036854775807", "9223372036854775807"),
        ],
        "mysql": [
            ("BINARY(2)", "x'00FF'", "00ff"),
            ("VARCHAR(9) CHARACTER SET latin1", "'é'", "é"),
            ("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615"),
            ("DATETIME(6)", "'2024-01-02 03:04:05.000006'", "2024-01-02 03:04:05.000006"),
        ],
    }
    site = Site(engine, schema="")
    for number, (column, value, text) in enumerate(kinds[site.dialect]):
        name = f"kind{number}"
        site.execute(f"CREATE TABLE {name} (id {column} NOT NULL PRIMARY KEY)")
        site.capture(
            TriggerSpec(name, Table(name=name, key={"id": str}, columns={"id": "id"}))
        ).install()
        assert site.noted(f"INSERT INTO {name} VALUES ({value})") == {(text, "")}


@pytest.mark.parametrize("kind", ["sqlite3", "apsw"])
def test_a_row_whose_key_is_null_breaks_no_write_and_is_not_noted(
    open_database: Any, kind: str
) -> None:
    """SQLite lets a primary key be NULL that is no integer: the application's own writes go on."""
    site = Site(
        open_database(kind),
        schema="CREATE TABLE shelf (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE page (slug TEXT PRIMARY KEY, title TEXT, shelf_id INTEGER)",
    )
    table = Table(
        name="page",
        key={"slug": str},
        columns={name: name for name in ("slug", "title", "shelf_id")},
    )
    shelf = RelatedSpec((Join("shelf", "shelf_id", "id"),), columns=("name",))
    site.capture(TriggerSpec("page", table, columns=("title",), related=(shelf,))).install()
    assert site.noted("INSERT INTO page VALUES (NULL, 'one', 1), ('two', 'two', 1)") == {
        ("two", "")
    }
    assert site.noted("INSERT INTO shelf VALUES (1, 'a')") == {("two", "")}
    assert site.noted("UPDATE shelf SET name = 'b'") == {("two", "")}
    assert site.noted("UPDATE page SET title = title || '!'") == {("two", "")}
    assert site.noted("UPDATE page SET slug = 'one' WHERE slug IS NULL") == {("one", "")}
    assert site.noted("UPDATE page SET slug = NULL WHERE slug = 'two'") == {("two", "")}
    assert site.noted("DELETE FROM page") == {("one", "")}


def test_a_composite_key_is_a_json_array_of_texts(database: Any) -> None:
    import json

    site = Site(
        database,
        schema=(
            "CREATE TABLE pair (one INTEGER, two VARCHAR(40), text VARCHAR(9), "
            "PRIMARY KEY (two, one))"
        ),
    )
    table = Table(
        name="pair",
        key={"two": str, "one": int},
        columns={"one": "one", "two": "two", "text": "text"},
    )
    site.capture(TriggerSpec("pair", table, columns=("text",))).install()
    odd = 'it\'s "odd" \\ é'

    def noted(sql: str, params: Sequence[Any]) -> list[list[str]]:
        return sorted(json.loads(key) for key in site.keys(sql, params))

    assert noted("INSERT INTO pair VALUES (?, ?, 'a')", [1, odd]) == [[odd, "1"]]
    assert noted("UPDATE pair SET one = ? WHERE one = ?", [2, 1]) == [[odd, "1"], [odd, "2"]]
    assert noted("UPDATE pair SET text = ? WHERE one = ?", ["b", 2]) == [[odd, "2"]]


ODD = "or\"der's `t%s ?\\ ünï;--"


def test_odd_names_of_tables_columns_and_collections_are_only_names(database: Any) -> None:
    quoted = database.quoted
    name = ODD[:-1] + "x" if database.dialect == "mysql" else ODD
    site = Site(database, schema="")
    column, key = quoted("co%l'\"`?"), quoted("select")
    other = quoted("p'arent\"`%")
    # no parameters: these statements hold marks in their names
    site.connection.run(f"CREATE TABLE {other} ({key} INTEGER PRIMARY KEY, {column} VARCHAR(20))")
    site.connection.run(
        f"CREATE TABLE {quoted(name)} ({key} INTEGER PRIMARY KEY, {column} VARCHAR(20), up INTEGER)"
    )
    table = Table(
        name=name, key={"id": int}, columns={"id": "select", "text": "co%l'\"`?", "up": "up"}
    )
    watch = TriggerSpec(
        "'; DROP TABLE x; -- \" \\ %s $body$ é",
        table,
        columns=("co%l'\"`?",),
        tenant="co%l'\"`?",
        related=(RelatedSpec((Join("p'arent\"`%", "up", "select"),), ("co%l'\"`?",)),),
    )
    assert site.capture(watch).install()
    site.connection.run(f"INSERT INTO {other} VALUES (1, 'p')")
    site.connection.run(f"INSERT INTO {quoted(name)} VALUES (7, 'a', 1)")
    (change,) = site.outbox.claim(10)
    assert (change.collection, change.key, change.tenant) == (watch.collection, "7", "a")
    site.outbox.done([change.number])
    site.connection.run(f"UPDATE {other} SET {column} = 'q'")
    assert site.noted() == {("7", "a")}
    assert not site.capture(watch).install()
    site.capture(watch).remove()
    assert site.triggers() == set()


def test_a_table_in_a_schema_is_watched_from_another(open_database: Any) -> None:
    database = open_database("postgresql")
    home, away = database.address, f"{database.address}_x"
    site = Site(
        database,
        schema=(
            f"CREATE SCHEMA {away}; CREATE TABLE {away}.note (id integer PRIMARY KEY, text text)"
        ),
    )
    try:
        table = Table(name=f"{away}.note", key={"id": int}, columns={"id": "id", "text": "text"})
        capture = site.capture(TriggerSpec("note", table, columns=("text",)))
        assert capture.install()
        assert capture.installed()
        site.execute("SET search_path = pg_catalog")
        site.execute(f"INSERT INTO {away}.note VALUES (1, 'a')")
        site.execute(f"SET search_path = {home}")
        assert site.noted() == {("1", "")}
        capture.remove()
        assert not capture.installed()
    finally:
        site.execute(f"DROP SCHEMA {away} CASCADE")


def test_a_role_that_may_write_the_table_needs_no_right_to_the_outbox(open_database: Any) -> None:
    database = open_database("postgresql")
    site = Site(database, DEEP)
    role = database.address + "_role"
    site.execute(f"CREATE ROLE {role}")
    try:
        site.execute(f"GRANT USAGE ON SCHEMA {database.address} TO {role}")
        site.execute(f"GRANT SELECT, UPDATE ON author TO {role}")
        site.execute(f"SET ROLE {role}")
        site.execute(
            "CREATE TEMP TABLE semantic_outbox (collection text, row_key text, "
            "tenant text, lane int)"
        )
        site.execute("UPDATE author SET name = 'new' WHERE id = 1")
        site.execute("DROP TABLE pg_temp.semantic_outbox")
        site.execute("RESET ROLE")
        assert site.noted() == {("1", "acme"), ("2", "acme")}
    finally:
        site.execute("RESET ROLE")
        site.execute(f"DROP OWNED BY {role}")
        site.execute(f"DROP ROLE {role}")


# --- related rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("UPDATE author SET name = 'Ann' WHERE id = 1", {"1", "2"}),
        ("UPDATE author SET name = name, age = age + 1", set()),
        ("UPDATE author SET name = 'Ann'", {"1", "2", "3"}),
        ("UPDATE company SET city = 'Rome' WHERE id = 1", {"1", "2", "3"}),
        ("UPDATE company SET city = 'Rome' WHERE id = 2", set()),
        ("UPDATE company SET size = 9", set()),
        ("UPDATE author SET company_id = 2 WHERE id = 2", {"3"}),
        ("UPDATE article SET author_id = 3 WHERE id = 4", {"4"}),
        ("DELETE FROM company WHERE id = 1", {"1", "2", "3"}),
        ("DELETE FROM author WHERE id = 2", {"3"}),
        ("INSERT INTO comment (id, article_id, text) VALUES (9, 2, 'new')", {"2"}),
        ("INSERT INTO comment (id, text) VALUES (9, 'new')", set()),
        ("UPDATE comment SET text = 'new' WHERE id = 3", {"3"}),
        ("UPDATE comment SET likes = 5", set()),
        ("UPDATE comment SET article_id = 2 WHERE id = 1", {"1", "2"}),
        ("UPDATE comment SET article_id = NULL WHERE id = 1", {"1"}),
        ("DELETE FROM comment WHERE id = 2", {"1"}),
        ("DELETE FROM person WHERE id = 1", {"1"}),
        ("UPDATE author SET id = 10 WHERE id = 1", {"1", "2"}),
        ("UPDATE company SET id = 10 WHERE id = 2", set()),
        ("INSERT INTO author (id, name) VALUES (9, 'new')", set()),
    ],
)
def test_a_change_of_related_rows_is_noted_for_those_it_belongs_to(
    deep: Site, sql: str, wanted: set[str]
) -> None:
    assert deep.keys(sql) == wanted


def test_changes_of_related_changes_name_the_tenant_of_the_row(deep: Site) -> None:
    assert deep.noted("UPDATE company SET city = 'Rome' WHERE id = 1") == {
        ("1", "acme"),
        ("2", "acme"),
        ("3", "other"),
    }


def test_a_cascade_is_noted(engine: Any) -> None:
    site = Site(engine, PLAIN)
    assert site.noted("DELETE FROM blog WHERE id = 1") == {("1", "acme"), ("2", "acme")}
    assert site.noted("DELETE FROM author") == set()


def test_a_parent_that_comes_after_its_rows_is_noted(open_database: Any) -> None:
    database = open_database("sqlite3")
    site = Site(database, DEEP)
    site.execute("PRAGMA foreign_keys = OFF")
    assert site.keys("UPDATE article SET author_id = 77 WHERE id = 4") == {"4"}
    assert site.keys("INSERT INTO author (id, name) VALUES (77, 'late')") == {"4"}
    assert site.keys("DELETE FROM author WHERE id = 77") == {"4"}


def test_an_enforced_foreign_key_spares_the_look_at_new_parents(engine: Any) -> None:
    enforced = attrs.evolve(
        PLAIN, related=(RelatedSpec((attrs.evolve(AUTHOR, inserts=False),), ("name",)),)
    )
    site = Site(engine, enforced)
    (capture,) = site.captures
    assert not [
        sql
        for sql in capture.statements()
        if "AFTER INSERT ON" in sql and "author" in sql.split("INSERT ON")[1].split()[0]
    ]
    assert site.keys("UPDATE author SET name = 'new' WHERE id = 2") == {"3"}


INHERITED = """
CREATE TABLE place (id INTEGER PRIMARY KEY, name VARCHAR(40), note VARCHAR(40));
CREATE TABLE restaurant (place_id INTEGER PRIMARY KEY, menu VARCHAR(40),
  FOREIGN KEY (place_id) REFERENCES place (id) ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO place VALUES (1, 'a', ''), (2, 'b', ''), (3, 'no restaurant', '');
INSERT INTO restaurant VALUES (1, 'soup'), (2, 'fish')
"""


def test_tables_of_parents_in_joined_inheritance_are_watched(engine: Any) -> None:
    table = Table(
        name="restaurant", key={"place_id": int}, columns={"place_id": "place_id", "menu": "menu"}
    )
    watch = TriggerSpec(
        "restaurant",
        table,
        ("menu",),
        related=(RelatedSpec((Join("place", "place_id", "id"),), ("name",)),),
    )
    site = Site(engine, watch, schema=INHERITED)
    assert site.keys("UPDATE place SET name = 'new'") == {"1", "2"}
    assert site.keys("UPDATE place SET note = 'new'") == set()
    assert site.keys("UPDATE restaurant SET menu = 'new' WHERE place_id = 2") == {"2"}
    assert site.keys("UPDATE place SET id = 20 WHERE id = 2") == {"2", "20"}
    assert site.keys("DELETE FROM place WHERE id IN (1, 3)") == {"1"}
    site.execute("INSERT INTO place VALUES (4, 'c', '')")
    assert site.keys("INSERT INTO restaurant VALUES (4, 'cake')") == {"4"}


TREE = """
CREATE TABLE node (id INTEGER PRIMARY KEY, name VARCHAR(40), up INTEGER,
  FOREIGN KEY (up) REFERENCES node (id) ON DELETE CASCADE);
INSERT INTO node VALUES (1, 'root', NULL), (5, 'other', NULL);
INSERT INTO node VALUES (2, 'child', 1);
INSERT INTO node VALUES (3, 'grandchild', 2);
INSERT INTO node VALUES (4, 'great-grandchild', 3)
"""


def test_a_table_related_to_itself_is_watched_on_both_sides(engine: Any) -> None:
    table = Table(name="node", key={"id": int}, columns={"id": "id", "name": "name", "up": "up"})
    up = Join("node", "up", "id")
    site = Site(
        engine,
        TriggerSpec("node", table, ("name",), related=(RelatedSpec((up, up), ("name",)),)),
        schema=TREE,
    )
    assert site.keys("UPDATE node SET name = 'new' WHERE id = 1") == {"1", "3"}
    assert site.keys("UPDATE node SET up = 5 WHERE id = 2") == {"2", "3"}
    site.noted("UPDATE node SET up = 1 WHERE id = 2")
    assert site.keys("DELETE FROM node WHERE id = 1") == {"1", "2", "3", "4"}


# --- install, upgrade, remove ---------------------------------------------------------------------


def test_installed_twice_nothing_changes(engine: Any) -> None:
    site = Site(engine)
    capture = site.capture(DEEP)
    assert not capture.installed()
    assert capture.install() is True
    there = site.triggers()
    assert capture.installed()
    assert capture.install() is False
    assert site.capture(DEEP).install() is False
    assert site.triggers() == there
    assert all(
        len(name) <= 63 and name.startswith("semantic_") and name.endswith(capture.version)
        for name in there
    )


def test_a_changed_declaration_replaces_the_triggers(engine: Any) -> None:
    site = Site(engine, DEEP)
    before = site.triggers()
    changed = site.capture(attrs.evolve(PLAIN, columns=("title", "views")))
    assert changed.version != site.captures[0].version
    assert not changed.installed()
    assert changed.install() is True
    assert not site.captures[0].installed()
    assert not before & site.triggers()
    assert site.keys("UPDATE article SET views = 5 WHERE id = 1") == {"1"}
    assert site.keys("UPDATE article SET body = 'new'") == set()
    assert site.keys("UPDATE author SET name = 'new'") == set()


def test_triggers_of_a_table_made_anew_are_missed_and_made_again(engine: Any) -> None:
    site = Site(engine, schema="CREATE TABLE note (id INTEGER PRIMARY KEY, text VARCHAR(9))")
    table = Table(name="note", key={"id": int}, columns={"id": "id", "text": "text"})
    capture = site.capture(TriggerSpec("note", table, ("text",)))
    capture.install()
    site.execute("DROP TABLE note")
    site.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text VARCHAR(9))")
    assert not capture.installed()
    assert capture.install() is True
    assert site.keys("INSERT INTO note VALUES (1, 'a')") == {"1"}


def test_several_collections_on_one_table_keep_out_of_each_others_way(engine: Any) -> None:
    second = attrs.evolve(PLAIN, collection="article titles", columns=("title",), tenant=None)
    site = Site(engine, PLAIN, second)
    site.execute("UPDATE article SET title = 'new' WHERE id = 1")
    changes = {(change.collection, change.key, change.tenant) for change in site.outbox.claim(10)}
    assert changes == {("article", "1", "acme"), ("article titles", "1", "")}
    site.captures[0].remove()
    assert site.captures[1].installed()
    site.execute("UPDATE article SET title = 'newer' WHERE id = 2")
    assert {(change.collection, change.key) for change in site.outbox.claim(10)} == {
        ("article titles", "2")
    }


def test_removed_triggers_leave_nothing(engine: Any) -> None:
    site = Site(engine, DEEP)
    site.captures[0].remove()
    assert site.triggers() == set()
    assert site.noted("DELETE FROM article") == set()
    site.captures[0].remove()
    if site.dialect == "postgresql":
        assert (
            site.execute(
                "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            )
            == []
        )


def test_everything_watches_every_column_of_the_table(engine: Any) -> None:
    site = Site(engine, TriggerSpec("article", ARTICLE, everything=True))
    assert site.keys("UPDATE article SET views = 7 WHERE id = 2") == {"2"}
    assert site.keys("UPDATE article SET blog_id = NULL WHERE id = 1") == {"1"}
    assert site.keys("UPDATE article SET views = views") == set()


def test_triggers_that_could_not_work_are_refused_before_any_is_made(engine: Any) -> None:
    site = Site(engine)
    wrong = [
        attrs.evolve(PLAIN, columns=("title", "nope")),
        attrs.evolve(PLAIN, tenant="nope"),
        attrs.evolve(PLAIN, table=attrs.evolve(ARTICLE, name="nope")),
        attrs.evolve(PLAIN, related=(RelatedSpec((AUTHOR,), ("nope",)),)),
        attrs.evolve(
            PLAIN, related=(RelatedSpec((AUTHOR, Join("nope", "company_id", "id")), ("city",)),)
        ),
    ]
    for watch in wrong:
        with pytest.raises(ConfigError, match=r"nope.*Migrate") as caught:
            site.capture(watch).install()
        assert caught.value.__cause__ is not None
    assert site.triggers() == set()
    site.execute("INSERT INTO article (id) VALUES (50)")


def test_views_are_refused_before_any_trigger_is_made(engine: Any) -> None:
    site = Site(engine)
    site.execute("CREATE VIEW shown AS SELECT * FROM article")
    site.execute("CREATE VIEW writer AS SELECT * FROM author")
    of_view = attrs.evolve(PLAIN, table=attrs.evolve(ARTICLE, name="shown"))
    through_view = attrs.evolve(
        PLAIN, related=(RelatedSpec((attrs.evolve(AUTHOR, table="writer"),), ("name",)),)
    )
    for watch, name in ((of_view, "shown"), (through_view, "writer")):
        with pytest.raises(ConfigError, match=f"{name} is a view") as caught:
            site.capture(watch).install()
        assert "events" in (caught.value.hint or "")
    assert site.triggers() == set()
    assert site.capture(PLAIN).install()


def test_a_virtual_table_of_sqlite_is_refused(open_database: Any) -> None:
    site = Site(open_database("sqlite3"))
    site.execute("create virtual table Words using fts5(id, title, body, tenant)")
    with pytest.raises(ConfigError, match="words is a view or a virtual table"):
        site.capture(attrs.evolve(PLAIN, table=attrs.evolve(ARTICLE, name="words"))).install()
    assert site.triggers() == set()


def test_without_an_outbox_there_are_no_triggers(engine: Any) -> None:
    site = Site(engine)
    site.execute("DROP TABLE semantic_outbox")
    with pytest.raises(ConfigError, match="create"):
        site.capture(PLAIN).install()
    assert site.triggers() == set()


@pytest.mark.parametrize("collection", ["", "line\nbreak", "x" * 501])
def test_a_collection_that_is_no_name_is_refused(collection: str) -> None:
    with pytest.raises(InputError):
        Capture(Sql(lambda sql, params: [], "sqlite"), attrs.evolve(PLAIN, collection=collection))


def test_a_table_of_another_mysql_database_is_refused(open_database: Any) -> None:
    site = Site(open_database("mysql"))
    with pytest.raises(ConfigError, match="another database"):
        site.capture(
            attrs.evolve(PLAIN, table=attrs.evolve(ARTICLE, name="test.article"))
        ).install()
    same = attrs.evolve(PLAIN, table=attrs.evolve(ARTICLE, name=f"{site.database.address}.article"))
    assert site.capture(same).install()
    assert site.keys("UPDATE article SET title = 'new' WHERE id = 1") == {"1"}


def test_many_may_install_at_once(engine: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    site = Site(engine)
    connections = [engine.connect() for _ in range(6)]
    barrier = Barrier(6)

    def install(connection: Any) -> None:
        barrier.wait()
        Capture(Sql(connection.run, engine.dialect), DEEP).install()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(install, connections))
    assert site.capture(DEEP).installed()
    assert site.capture(DEEP).install() is False
    assert len(site.triggers()) == len(site.capture(DEEP).statements())


def test_the_statements_are_shown_as_they_are_run(engine: Any) -> None:
    ran: list[str] = []
    site = Site(engine)

    def execute(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        ran.append(sql)
        result: list[tuple[Any, ...]] = site.connection.run(sql, params)
        return result

    capture = Capture(Sql(execute, engine.dialect), DEEP)
    shown = capture.statements()
    assert site.triggers() == set()
    capture.install()
    assert [sql for sql in ran if "TRIGGER" in sql] == shown
    assert "%" not in "".join(shown)


# --- random histories -----------------------------------------------------------------------------

ids = st.integers(1, 5)
texts = st.sampled_from(["a", "A", "a ", "b", None])


def statement(
    sql: str, *values: st.SearchStrategy[Any]
) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(sql), st.tuples(*values))


STATEMENTS = st.one_of(
    statement(
        "INSERT INTO article (id, title, tenant, author_id, blog_id) VALUES (?, ?, ?, ?, ?)",
        ids,
        texts,
        texts,
        ids,
        ids,
    ),
    statement("UPDATE article SET title = ?, views = ? WHERE id >= ?", texts, ids, ids),
    statement("UPDATE article SET tenant = ? WHERE id = ?", texts, ids),
    statement("UPDATE article SET id = ? WHERE id = ?", ids, ids),
    statement(
        "UPDATE article SET author_id = ?, body = ? WHERE id <= ?",
        st.one_of(st.none(), ids),
        texts,
        ids,
    ),
    statement("UPDATE article SET views = ?", ids),
    statement("DELETE FROM article WHERE id = ?", ids),
    statement(
        "INSERT INTO author (id, name, company_id) VALUES (?, ?, ?)",
        ids,
        texts,
        st.one_of(st.none(), ids),
    ),
    statement("UPDATE author SET name = ? WHERE id <= ?", texts, ids),
    statement(
        "UPDATE author SET company_id = ?, age = ? WHERE id = ?",
        st.one_of(st.none(), ids),
        ids,
        ids,
    ),
    statement("UPDATE author SET id = ? WHERE id = ?", ids, ids),
    statement("DELETE FROM author WHERE id = ?", ids),
    statement("INSERT INTO company (id, city) VALUES (?, ?)", ids, texts),
    statement("UPDATE company SET city = ? WHERE id >= ?", texts, ids),
    statement("UPDATE company SET id = ? WHERE id = ?", ids, ids),
    statement("DELETE FROM company WHERE id = ?", ids),
    statement(
        "INSERT INTO comment (id, article_id, text, person_id) VALUES (?, ?, ?, ?)",
        ids,
        ids,
        texts,
        ids,
    ),
    statement("UPDATE comment SET text = ?, likes = ? WHERE id = ?", texts, ids, ids),
    statement("UPDATE comment SET article_id = ? WHERE id = ?", st.one_of(st.none(), ids), ids),
    statement("UPDATE comment SET id = ? WHERE id = ?", ids, ids),
    statement("DELETE FROM comment WHERE id >= ?", ids),
    statement("INSERT INTO person VALUES (?)", ids),
    statement("DELETE FROM person WHERE id = ?", ids),
    statement("INSERT INTO blog VALUES (?)", ids),
    statement("UPDATE blog SET id = ? WHERE id = ?", ids, ids),
    statement("DELETE FROM blog WHERE id = ?", ids),
)

DOCUMENTS = """
SELECT article.id, article.tenant, article.title, article.body, author.name, company.city
FROM article LEFT JOIN author ON author.id = author_id LEFT JOIN company ON company.id = company_id
"""
TABLES = ("comment", "article", "author", "company", "blog", "person")


def documents(site: Site) -> dict[tuple[str, str], tuple[Any, ...]]:
    """By (key, tenant), all a document is made of."""
    comments: dict[Any, list[str]] = {}
    for article, text in site.execute("SELECT article_id, text FROM comment ORDER BY id"):
        comments.setdefault(article, []).append(repr(text))
    return {
        (str(key), tenant or ""): (*rest, *sorted(comments.get(key, ())))
        for key, tenant, *rest in site.execute(DOCUMENTS)
    }


@contextmanager
def refused(site: Site) -> Iterator[None]:
    """A statement that breaks a constraint has changed nothing, and left no pending change."""
    before = documents(site)
    try:
        yield
    except Exception as error:
        if (
            "onstraint" not in str(error)
            and "Duplicate" not in str(error)
            and "uplicate key" not in str(error)
        ):
            raise
        assert documents(site) == before
        assert site.noted() == set()


EXAMPLES = {"sqlite3": 120, "postgresql": 40, "mysql": 40}


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXAMPLES)
def test_whatever_is_written_changes_name_every_row_whose_document_differs(
    open_database: Any, kind: str
) -> None:
    site = Site(open_database(kind), DEEP)
    fill = [sql for sql in SCHEMA.split(";") if "INSERT" in sql]

    @settings(max_examples=EXAMPLES[kind], deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(STATEMENTS, min_size=1, max_size=6))
    def play(history: list[tuple[str, tuple[Any, ...]]]) -> None:
        for table in TABLES:
            site.execute(f"DELETE FROM {table}")
        for sql in fill:
            site.execute(sql)
        site.noted()
        for sql, params in history:
            before = documents(site)
            with refused(site):
                site.execute(sql, params)
            after = documents(site)
            changed = {
                address
                for address in before.keys() | after.keys()
                if before.get(address) != after.get(address)
            }
            noted = site.noted()
            assert changed <= noted, (sql, params)
            if "SET views" in sql or sql.startswith(("INSERT INTO person", "INSERT INTO blog")):
                assert noted == set(), (sql, params)

    play()
