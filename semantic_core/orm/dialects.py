"""What differs between the SQL of SQLite, PostgreSQL and MySQL or MariaDB: quoting, text forms,
comparison, our tables.

Names of tables and columns come from models, so they are quoted and never trusted; values and keys
go in as parameters. No statement here holds a percent sign of its own, so none is misread by a
driver that formats with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Any, TypeVar

from semantic_core.errors import ConfigError, InputError
from semantic_core.orm.tables import DIALECTS, Dialect, Execute

OUTBOX = "semantic_outbox"
"""Table of the tickets."""
PLACES = "semantic_places"
"""Table of where rows were put, for tenants that are no column of the table."""
CONSUMERS = "semantic_consumers"
"""Table of the indexes that read the outbox, and how far each has acknowledged what it read."""
SUBSCRIPTIONS = "semantic_subscriptions"
"""Table of which collections each of them reads."""
STATE = "semantic_state"
"""Table of what a collection has to remember. Made last: when it is there, all are."""
TABLES = (OUTBOX, PLACES, CONSUMERS, SUBSCRIPTIONS, STATE)
KEYS = {
    OUTBOX: ("id",),
    PLACES: ("address",),
    CONSUMERS: ("consumer",),
    SUBSCRIPTIONS: ("collection", "consumer"),
    STATE: ("collection", "name"),
}
"""Primary keys of our tables. A place's is a hash of collection, key and tenant, `owner` one of
collection and key: the names themselves are longer than MySQL indexes."""

CREATE_LOCK = 0x5E3A_0B0C
"""Key of the PostgreSQL advisory lock that those who make or change our objects hold,
one at a time.
"""

_PLAIN = re.compile(r"[A-Za-z0-9 _.:/-]*")


def check_dialect(dialect: Dialect) -> Dialect:
    """The dialect itself; ConfigError if it is none of ours."""
    if dialect not in DIALECTS:
        raise ConfigError(
            f"The dialect must be one of {', '.join(DIALECTS)}, got {dialect!r}.",
            hint='MariaDB is "mysql".',
        )
    return dialect


def placeholder_of(dialect: Dialect) -> str:
    """How drivers of this database usually mark a parameter."""
    return "?" if dialect == "sqlite" else "%s"


def identifier(dialect: Dialect, name: str) -> str:
    """A name, quoted. InputError if no database could have it."""
    if not name or "\0" in name:
        raise InputError(f"A table or column must have a name without NUL, got {name!r}.")
    mark = "`" if dialect == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def split_name(dialect: Dialect, name: str) -> tuple[str, str]:
    """(schema, table) of a table's name; schema is "" where none is given.

    On SQLite a dot is part of the name.
    """
    schema, dot, table = name.partition(".")
    return (schema, table) if dot and dialect != "sqlite" else ("", name)


def table_identifier(dialect: Dialect, name: str) -> str:
    """A table's name, quoted, with its schema where it has one."""
    return ".".join(identifier(dialect, part) for part in split_name(dialect, name) if part)


def literal(dialect: Dialect, text: str) -> str:
    """A validated name as a string literal, whatever the server's settings say of backslashes.

    Never for values or keys.
    """
    if dialect == "mysql" and not _PLAIN.fullmatch(text):
        return f"_utf8mb4 0x{text.encode().hex()}"
    doubled = text.replace("'", "''")
    if dialect == "postgresql" and "\\" in text:
        return "E'" + doubled.replace("\\", "\\\\") + "'"
    return f"'{doubled}'"


def as_text(dialect: Dialect, value: str) -> str:
    """An expression for the text form of a value, as the database casts it; bytes in hex,
    so that they are text at all.
    """
    if dialect == "sqlite":
        return (
            f"CASE typeof({value}) WHEN 'blob' THEN lower(hex({value})) ELSE "
            f"CAST({value} AS TEXT) END"
        )
    if dialect == "postgresql":
        return f"CAST({value} AS text)"
    text = f"CAST({value} AS CHAR CHARACTER SET utf8mb4)"
    return f"IF(CHARSET(CONCAT({value})) = 'binary', LOWER(HEX({value})), {text})"


def key_text(dialect: Dialect, row: str, columns: Sequence[str]) -> str:
    """An expression for the row_key of a row (OLD, NEW or an alias): the text of its key,
    or a JSON array of several.
    """
    texts = [as_text(dialect, f"{row}.{identifier(dialect, column)}") for column in columns]
    if len(texts) == 1:
        return texts[0]
    joined = ", ".join(texts)
    if dialect == "postgresql":
        return f"CAST(json_build_array({joined}) AS text)"
    return f"json_array({joined})" if dialect == "sqlite" else f"JSON_ARRAY({joined})"


def tenant_text(dialect: Dialect, row: str, column: str | None) -> str:
    """An expression for the tenant of a row; "" where no column names it or the column is null."""
    if column is None:
        return "''"
    return f"COALESCE({as_text(dialect, f'{row}.{identifier(dialect, column)}')}, '')"


def differs(dialect: Dialect, columns: Iterable[str], old: str = "OLD") -> str:
    """A condition: some of these columns of OLD, or of that row, and NEW differ, to the byte,
    whatever the collation calls equal.
    """
    return " OR ".join(_differs(dialect, identifier(dialect, column), old) for column in columns)


def _differs(dialect: Dialect, column: str, row: str) -> str:
    old = f"{row}.{column}"
    new = f"NEW.{column}"
    if dialect == "sqlite":
        return f"({old} IS NOT {new} COLLATE BINARY OR typeof({old}) <> typeof({new}))"
    if dialect == "postgresql":
        return f'(CAST({old} AS text) COLLATE "C" IS DISTINCT FROM CAST({new} AS text) COLLATE "C")'
    return f"NOT ({old} <=> {new} AND CAST({old} AS BINARY) <=> CAST({new} AS BINARY))"


def layout(dialect: Dialect, first: int) -> list[str]:
    """The statements that make our tables; each may be run again, and by several at once.

    first: number of the first ticket. A ticket's ``mark`` is a random number: it tells this ticket
    from another of the same number in a copy, or an older state, of this database. Its ``consumer``
    is "" as long as no index has it for itself.
    """
    if dialect == "sqlite":
        return _sqlite_layout(first)
    if dialect == "mysql":
        return _mysql_layout(first)
    return [locked("\n".join(f"{statement};" for statement in _postgresql_layout(first)))]


def locked(body: str) -> str:
    """Statements of PL/pgSQL as one statement,
    run by one session at a time and together or not at all.
    """
    inner = f"BEGIN\nPERFORM pg_advisory_xact_lock({CREATE_LOCK});\n{body}\nEND"
    return f"DO {dollar_quoted(inner)}"


def dollar_quoted(body: str) -> str:
    """A body of PL/pgSQL as a string constant, whatever names are in it."""
    tag = next(tag for tag in (f"$body{number or ''}$" for number in count()) if tag not in body)
    return f"{tag}\n{body}\n{tag}"


def _sqlite_layout(first: int) -> list[str]:
    return [
        f"CREATE TABLE IF NOT EXISTS {OUTBOX} (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "collection TEXT NOT NULL, row_key TEXT NOT NULL, tenant TEXT NOT NULL DEFAULT '', "
        "consumer TEXT NOT NULL DEFAULT '', "
        "mark INTEGER NOT NULL DEFAULT (abs(random() / 1024)), "
        "attempts INTEGER NOT NULL DEFAULT 0, ready_at REAL NOT NULL DEFAULT 0, "
        "claim TEXT NOT NULL DEFAULT '', aborted INTEGER NOT NULL DEFAULT 0, "
        "error TEXT NOT NULL DEFAULT '', "
        "created_at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0))",
        f"INSERT INTO sqlite_sequence (name, seq) SELECT '{OUTBOX}', {first - 1} "
        f"WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{OUTBOX}')",
        f"CREATE INDEX IF NOT EXISTS {OUTBOX}_waiting ON {OUTBOX} (consumer, id) WHERE aborted = 0",
        f"CREATE TABLE IF NOT EXISTS {PLACES} (address TEXT NOT NULL PRIMARY KEY, "
        "owner TEXT NOT NULL, "
        "collection TEXT NOT NULL, row_key TEXT NOT NULL, tenant TEXT NOT NULL, "
        "stamp INTEGER NOT NULL) WITHOUT ROWID",
        f"CREATE INDEX IF NOT EXISTS {PLACES}_owner ON {PLACES} (owner)",
        f"CREATE TABLE IF NOT EXISTS {CONSUMERS} (consumer TEXT NOT NULL PRIMARY KEY, "
        "location TEXT NOT NULL, acknowledged INTEGER NOT NULL, mark INTEGER NOT NULL, "
        "seen_at REAL NOT NULL, kept_for REAL NOT NULL) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {SUBSCRIPTIONS} (collection TEXT NOT NULL, "
        "consumer TEXT NOT NULL, PRIMARY KEY (collection, consumer)) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {STATE} (collection TEXT NOT NULL, name TEXT NOT NULL, "
        "value TEXT NOT NULL, PRIMARY KEY (collection, name)) WITHOUT ROWID",
    ]


def _postgresql_layout(first: int) -> list[str]:
    return [
        f"CREATE TABLE IF NOT EXISTS {OUTBOX} (id bigint GENERATED BY DEFAULT AS IDENTITY (START "
        f"WITH {first}) PRIMARY KEY, collection text NOT NULL, row_key text NOT NULL, "
        "tenant text NOT NULL DEFAULT '', "
        "consumer text NOT NULL DEFAULT '', mark bigint NOT NULL DEFAULT CAST(random() * "
        "9007199254740991 AS bigint), attempts integer NOT NULL DEFAULT 0, "
        "ready_at double precision NOT NULL DEFAULT 0, claim text NOT NULL DEFAULT '', "
        "aborted smallint NOT NULL DEFAULT 0, error text NOT NULL DEFAULT '', "
        "created_at double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()))",
        f"CREATE INDEX IF NOT EXISTS {OUTBOX}_waiting ON {OUTBOX} (consumer, id) WHERE aborted = 0",
        f"CREATE TABLE IF NOT EXISTS {PLACES} (address text PRIMARY KEY, owner text NOT NULL, "
        "collection text NOT NULL, row_key text NOT NULL, tenant text NOT NULL, "
        "stamp bigint NOT NULL)",
        f"CREATE INDEX IF NOT EXISTS {PLACES}_owner ON {PLACES} (owner)",
        f"CREATE TABLE IF NOT EXISTS {CONSUMERS} (consumer text PRIMARY KEY, "
        "location text NOT NULL, "
        "acknowledged bigint NOT NULL, mark bigint NOT NULL, "
        "seen_at double precision NOT NULL, kept_for double precision NOT NULL)",
        f"CREATE TABLE IF NOT EXISTS {SUBSCRIPTIONS} (collection text NOT NULL, "
        "consumer text NOT NULL, PRIMARY KEY (collection, consumer))",
        f"CREATE TABLE IF NOT EXISTS {STATE} (collection text NOT NULL, name text NOT NULL, "
        "value text NOT NULL, PRIMARY KEY (collection, name))",
    ]


def _mysql_layout(first: int) -> list[str]:
    kind = "ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return [
        f"CREATE TABLE IF NOT EXISTS {OUTBOX} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, "
        "collection VARCHAR(500) NOT NULL, row_key TEXT NOT NULL, tenant TEXT NOT NULL, "
        "consumer VARCHAR(64) NOT NULL DEFAULT '', mark BIGINT NOT NULL DEFAULT (FLOOR(RAND() * "
        "9007199254740991)), attempts INT NOT NULL DEFAULT 0, ready_at DOUBLE NOT NULL DEFAULT 0, "
        "claim CHAR(32) NOT NULL DEFAULT '', aborted TINYINT NOT NULL DEFAULT 0, "
        "error VARCHAR(500) NOT NULL DEFAULT '', "
        "created_at DOUBLE NOT NULL DEFAULT (UNIX_TIMESTAMP(NOW(6))), "
        f"INDEX {OUTBOX}_waiting (aborted, consumer, id), INDEX {OUTBOX}_claim (claim)) "
        f"AUTO_INCREMENT = {first} {kind}",
        f"CREATE TABLE IF NOT EXISTS {PLACES} (address CHAR(64) NOT NULL PRIMARY KEY, "
        "owner CHAR(64) NOT NULL, collection VARCHAR(500) NOT NULL, row_key TEXT NOT NULL, "
        f"tenant TEXT NOT NULL, stamp BIGINT NOT NULL, INDEX {PLACES}_owner (owner)) {kind}",
        f"CREATE TABLE IF NOT EXISTS {CONSUMERS} (consumer VARCHAR(64) NOT NULL PRIMARY KEY, "
        "location TEXT NOT NULL, acknowledged BIGINT NOT NULL, mark BIGINT NOT NULL, "
        f"seen_at DOUBLE NOT NULL, kept_for DOUBLE NOT NULL) {kind}",
        f"CREATE TABLE IF NOT EXISTS {SUBSCRIPTIONS} (collection VARCHAR(500) NOT NULL, "
        f"consumer VARCHAR(64) NOT NULL, PRIMARY KEY (collection, consumer)) {kind}",
        f"CREATE TABLE IF NOT EXISTS {STATE} (collection VARCHAR(500) NOT NULL, "
        f"name VARCHAR(200) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (collection, name)) {kind}",
    ]


def tables_there(dialect: Dialect, mark: str) -> str:
    """A query that counts our tables in the schema that is looked at;
    its parameters are their names.
    """
    names = ", ".join([mark] * len(TABLES))
    if dialect == "sqlite":
        return f"SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ({names})"
    here = "current_schema()" if dialect == "postgresql" else "DATABASE()"
    return (
        f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {here} "
        f"AND table_name IN ({names})"
    )


def table_there(dialect: Dialect, name: str, mark: str) -> tuple[str, list[str]]:
    """A query, with its parameters, that gives how many tables or views of this name there are:
    0 or 1.
    """
    if dialect == "sqlite":
        return (
            (
                "SELECT COUNT(*) FROM sqlite_master WHERE type IN ('table', 'view') "
                f"AND lower(name) = lower({mark})"
            ),
            [name],
        )
    if dialect == "postgresql":
        quoted = table_identifier(dialect, name)
        return (
            (
                f"SELECT COUNT(*) FROM (SELECT to_regclass({mark}) AS found) AS looked "
                "WHERE found IS NOT NULL"
            ),
            [quoted],
        )
    schema, table = split_name(dialect, name)
    here = mark if schema else "DATABASE()"
    sql = (
        f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {here} "
        f"AND table_name = {mark}"
    )
    return sql, [schema, table] if schema else [table]


def has_no_rows_of_its_own(dialect: Dialect, name: str, mark: str) -> tuple[str, list[str]]:
    """A query, with its parameters, that gives 1 for a view, and for a virtual table of SQLite:
    no trigger fires there.
    """
    if dialect == "sqlite":
        virtual = "substr(upper(sql), 1, 14) = 'CREATE VIRTUAL'"
        of_name = f"lower(name) = lower({mark}) AND type IN ('table', 'view')"
        return (
            f"SELECT COUNT(*) FROM sqlite_master WHERE {of_name} AND (type = 'view' OR {virtual})",
            [name],
        )
    if dialect == "postgresql":
        quoted = table_identifier(dialect, name)
        return (
            (
                f"SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass({mark}) "
                "AND relkind IN ('v', 'm')"
            ),
            [quoted],
        )
    schema, table = split_name(dialect, name)
    here = mark if schema else "DATABASE()"
    of_name = f"table_schema = {here} AND table_name = {mark}"
    sql = (
        f"SELECT COUNT(*) FROM information_schema.tables WHERE {of_name} "
        "AND table_type IN ('VIEW', 'SYSTEM VIEW')"
    )
    return sql, [schema, table] if schema else [table]


def upsert(
    dialect: Dialect, table: str, columns: Sequence[str], kept: Sequence[str], mark: str
) -> str:
    """A statement that puts a row, or gives the one that is there the new values of `kept`;
    a stamp never gets smaller.
    """
    insert = (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"
    )
    if dialect == "mysql":
        new = {column: f"VALUES({column})" for column in kept}
        larger = "GREATEST"
        there = "ON DUPLICATE KEY UPDATE"
    else:
        new = {column: f"excluded.{column}" for column in kept}
        larger = "max" if dialect == "sqlite" else "GREATEST"
        there = f"ON CONFLICT ({', '.join(column for column in KEYS[table])}) DO UPDATE SET"
    if "stamp" in new:
        new["stamp"] = f"{larger}({table}.stamp, {new['stamp']})"
    return f"{insert} {there} {', '.join(f'{column} = {value}' for column, value in new.items())}"


# What outbox and triggers run their SQL through: one connection's `execute`, one dialect,
# one mark for parameters.

CHUNK = 200
"""Rows, or keys, one statement names at most; four parameters each stay below the 999 that old
SQLite libraries take.
"""

Item = TypeVar("Item")


class SqlStatements:
    """SQL for one database.

    Keeps no state, so threads may share it as far as they may share `execute`.
    """

    def __init__(self, execute: Execute, dialect: Dialect, placeholder: str = "") -> None:
        self._execute = execute
        self._dialect = check_dialect(dialect)
        self._mark = placeholder or placeholder_of(dialect)

    def _marks(self, count: int) -> str:
        return ", ".join([self._mark] * count)

    def _name(self, column: str) -> str:
        """A column, quoted, for a statement with parameters:
        drivers that format take a doubled percent sign for one.
        """
        return self._formatted(identifier(self._dialect, column))

    def _table(self, name: str) -> str:
        return self._formatted(table_identifier(self._dialect, name))

    def _formatted(self, sql: str) -> str:
        return sql.replace("%", "%%") if "%" in self._mark else sql

    def _value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None if there is no row."""
        rows = self._execute(sql, params)
        return rows[0][0] if rows else None


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
