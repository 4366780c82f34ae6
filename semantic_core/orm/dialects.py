"""The SQL that differs between SQLite, PostgreSQL and MySQL or MariaDB: quoting, text forms,
comparisons, and the tables of the outbox.

Names of tables and columns come from models: they are quoted and never trusted. Values and keys are
parameters. No statement here contains a percent sign of its own, which drivers that use percent
signs for parameters would misread.

Tested by tests/orm/test_outbox.py, tests/orm/test_triggers.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from semantic_core.errors import ConfigError, InputError
from semantic_core.orm.tables import DIALECTS, Dialect

OUTBOX = "semantic_outbox"
"""Table of the pending changes."""
PLACES = "semantic_places"
"""Table of the tenants that each row has a document at, where no column of its table names them."""
CONSUMERS = "semantic_consumers"
"""Table of the indexes that read the outbox, and how far each has acknowledged its changes."""
SUBSCRIPTIONS = "semantic_subscriptions"
"""Table of the collections that each index reads."""
STATE = "semantic_state"
"""Table of named values per collection. Created last: when it exists, all tables exist."""
TABLES = (OUTBOX, PLACES, CONSUMERS, SUBSCRIPTIONS, STATE)
KEYS = {
    OUTBOX: ("id",),
    PLACES: ("address",),
    CONSUMERS: ("consumer",),
    SUBSCRIPTIONS: ("collection", "consumer"),
    STATE: ("collection", "name"),
}
"""Primary keys of these tables. The address of a place is a hash of collection, key and tenant, and
its `owner` one of collection and key: the names themselves are too long for indexes of MySQL.
"""

CREATE_LOCK = 0x5E3A_0B0C
"""Key of the PostgreSQL advisory lock that is held while tables or triggers are created."""

_PLAIN = re.compile(r"[A-Za-z0-9 _.:/-]*")


def check_dialect(dialect: Dialect) -> Dialect:
    """The dialect itself. Raises ConfigError if it is not supported."""
    if dialect not in DIALECTS:
        raise ConfigError(
            f"The dialect must be one of {', '.join(DIALECTS)}, got {dialect!r}.",
            hint='MariaDB is "mysql".',
        )
    return dialect


def placeholder_of(dialect: Dialect) -> str:
    """The usual parameter placeholder of drivers for this database."""
    return "?" if dialect == "sqlite" else "%s"


def identifier(dialect: Dialect, name: str) -> str:
    """A name, quoted. Raises InputError for an empty name and for one with a NUL character."""
    if not name or "\0" in name:
        raise InputError(f"A table or column must have a name without NUL, got {name!r}.")
    quote = "`" if dialect == "mysql" else '"'
    return quote + name.replace(quote, quote * 2) + quote


def split_name(dialect: Dialect, name: str) -> tuple[str, str]:
    """(schema, table) of a table's name; schema is "" if the name has none.

    On SQLite a dot is part of the name.
    """
    schema, dot, table = name.partition(".")
    return (schema, table) if dot and dialect != "sqlite" else ("", name)


def table_identifier(dialect: Dialect, name: str) -> str:
    """A table's name, quoted, with its schema where it has one."""
    return ".".join(identifier(dialect, part) for part in split_name(dialect, name) if part)


def literal(dialect: Dialect, text: str) -> str:
    """A validated name as a string literal, independent of the server's backslash settings.

    Values and keys are parameters instead.
    """
    if dialect == "mysql" and not _PLAIN.fullmatch(text):
        return f"_utf8mb4 0x{text.encode().hex()}"
    doubled = text.replace("'", "''")
    if dialect == "postgresql" and "\\" in text:
        return "E'" + doubled.replace("\\", "\\\\") + "'"
    return f"'{doubled}'"


def as_text(dialect: Dialect, value: str) -> str:
    """An expression for the text form of a value, as the database casts it; bytes become hex."""
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
    """An expression for the row_key of a row: the text of its key, or a JSON array of texts for a
    composite key. row: OLD, NEW or an alias.
    """
    texts = [as_text(dialect, f"{row}.{identifier(dialect, column)}") for column in columns]
    if len(texts) == 1:
        return texts[0]
    joined = ", ".join(texts)
    if dialect == "postgresql":
        return f"CAST(json_build_array({joined}) AS text)"
    return f"json_array({joined})" if dialect == "sqlite" else f"JSON_ARRAY({joined})"


def tenant_text(dialect: Dialect, row: str, column: str | None) -> str:
    """An expression for the tenant of a row; "" if no column names it or the column is NULL."""
    if column is None:
        return "''"
    return f"COALESCE({as_text(dialect, f'{row}.{identifier(dialect, column)}')}, '')"


def differs(dialect: Dialect, columns: Iterable[str], old: str = "OLD") -> str:
    """A condition: at least one of these columns differs between the row `old` and NEW.

    Values are compared by their bytes, since a collation may call different values equal.
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
    """The statements that create the outbox's tables. Each may run again, also concurrently.

    first: number of the first pending change. The column ``mark`` of a pending change is a random
    number. It distinguishes the change from one of the same number in a copy, or an older state, of
    this database. ``consumer`` is "" while the change belongs to no index in particular.
    """
    if dialect == "sqlite":
        return _sqlite_layout(first)
    if dialect == "mysql":
        return _mysql_layout(first)
    statements = ";\n".join(_postgresql_layout(first))
    return [locked(f"{statements};")]


def locked(body: str) -> str:
    """Statements of PL/pgSQL as one atomic statement, which one session runs at a time."""
    inner = f"BEGIN\nPERFORM pg_advisory_xact_lock({CREATE_LOCK});\n{body}\nEND"
    return f"DO {dollar_quoted(inner)}"


def dollar_quoted(body: str) -> str:
    """A body of PL/pgSQL as a string constant, whatever names the body contains."""
    tag = "$body$"
    number = 0
    while tag in body:
        number += 1
        tag = f"$body{number}$"
    return f"{tag}\n{body}\n{tag}"


def _sqlite_layout(first: int) -> list[str]:
    return [
        (
            f"CREATE TABLE IF NOT EXISTS {OUTBOX} ("
            "id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "collection TEXT NOT NULL, "
            "row_key TEXT NOT NULL, "
            "tenant TEXT NOT NULL DEFAULT '', "
            "consumer TEXT NOT NULL DEFAULT '', "
            "mark INTEGER NOT NULL DEFAULT (abs(random() / 1024)), "
            "attempts INTEGER NOT NULL DEFAULT 0, "
            "ready_at REAL NOT NULL DEFAULT 0, "
            "claim TEXT NOT NULL DEFAULT '', "
            "aborted INTEGER NOT NULL DEFAULT 0, "
            "error TEXT NOT NULL DEFAULT '', "
            "created_at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0))"
        ),
        (
            f"INSERT INTO sqlite_sequence (name, seq) SELECT '{OUTBOX}', {first - 1} "
            f"WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{OUTBOX}')"
        ),
        (
            f"CREATE INDEX IF NOT EXISTS {OUTBOX}_waiting "
            f"ON {OUTBOX} (consumer, id) WHERE aborted = 0"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {PLACES} ("
            "address TEXT NOT NULL PRIMARY KEY, "
            "owner TEXT NOT NULL, "
            "collection TEXT NOT NULL, "
            "row_key TEXT NOT NULL, "
            "tenant TEXT NOT NULL, "
            "stamp INTEGER NOT NULL) WITHOUT ROWID"
        ),
        f"CREATE INDEX IF NOT EXISTS {PLACES}_owner ON {PLACES} (owner)",
        (
            f"CREATE TABLE IF NOT EXISTS {CONSUMERS} ("
            "consumer TEXT NOT NULL PRIMARY KEY, "
            "location TEXT NOT NULL, "
            "acknowledged INTEGER NOT NULL, "
            "mark INTEGER NOT NULL, "
            "seen_at REAL NOT NULL, "
            "kept_for REAL NOT NULL) WITHOUT ROWID"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {SUBSCRIPTIONS} ("
            "collection TEXT NOT NULL, "
            "consumer TEXT NOT NULL, "
            "PRIMARY KEY (collection, consumer)) WITHOUT ROWID"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {STATE} ("
            "collection TEXT NOT NULL, "
            "name TEXT NOT NULL, "
            "value TEXT NOT NULL, "
            "PRIMARY KEY (collection, name)) WITHOUT ROWID"
        ),
    ]


def _postgresql_layout(first: int) -> list[str]:
    return [
        (
            f"CREATE TABLE IF NOT EXISTS {OUTBOX} ("
            f"id bigint GENERATED BY DEFAULT AS IDENTITY (START WITH {first}) PRIMARY KEY, "
            "collection text NOT NULL, "
            "row_key text NOT NULL, "
            "tenant text NOT NULL DEFAULT '', "
            "consumer text NOT NULL DEFAULT '', "
            "mark bigint NOT NULL DEFAULT CAST(random() * 9007199254740991 AS bigint), "
            "attempts integer NOT NULL DEFAULT 0, "
            "ready_at double precision NOT NULL DEFAULT 0, "
            "claim text NOT NULL DEFAULT '', "
            "aborted smallint NOT NULL DEFAULT 0, "
            "error text NOT NULL DEFAULT '', "
            "created_at double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()))"
        ),
        (
            f"CREATE INDEX IF NOT EXISTS {OUTBOX}_waiting "
            f"ON {OUTBOX} (consumer, id) WHERE aborted = 0"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {PLACES} ("
            "address text PRIMARY KEY, "
            "owner text NOT NULL, "
            "collection text NOT NULL, "
            "row_key text NOT NULL, "
            "tenant text NOT NULL, "
            "stamp bigint NOT NULL)"
        ),
        f"CREATE INDEX IF NOT EXISTS {PLACES}_owner ON {PLACES} (owner)",
        (
            f"CREATE TABLE IF NOT EXISTS {CONSUMERS} ("
            "consumer text PRIMARY KEY, "
            "location text NOT NULL, "
            "acknowledged bigint NOT NULL, "
            "mark bigint NOT NULL, "
            "seen_at double precision NOT NULL, "
            "kept_for double precision NOT NULL)"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {SUBSCRIPTIONS} ("
            "collection text NOT NULL, "
            "consumer text NOT NULL, "
            "PRIMARY KEY (collection, consumer))"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {STATE} ("
            "collection text NOT NULL, "
            "name text NOT NULL, "
            "value text NOT NULL, "
            "PRIMARY KEY (collection, name))"
        ),
    ]


def _mysql_layout(first: int) -> list[str]:
    kind = "ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return [
        (
            f"CREATE TABLE IF NOT EXISTS {OUTBOX} ("
            "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, "
            "collection VARCHAR(500) NOT NULL, "
            "row_key TEXT NOT NULL, "
            "tenant TEXT NOT NULL, "
            "consumer VARCHAR(64) NOT NULL DEFAULT '', "
            "mark BIGINT NOT NULL DEFAULT (FLOOR(RAND() * 9007199254740991)), "
            "attempts INT NOT NULL DEFAULT 0, "
            "ready_at DOUBLE NOT NULL DEFAULT 0, "
            "claim CHAR(32) NOT NULL DEFAULT '', "
            "aborted TINYINT NOT NULL DEFAULT 0, "
            "error VARCHAR(500) NOT NULL DEFAULT '', "
            "created_at DOUBLE NOT NULL DEFAULT (UNIX_TIMESTAMP(NOW(6))), "
            f"INDEX {OUTBOX}_waiting (aborted, consumer, id), "
            f"INDEX {OUTBOX}_claim (claim)) AUTO_INCREMENT = {first} {kind}"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {PLACES} ("
            "address CHAR(64) NOT NULL PRIMARY KEY, "
            "owner CHAR(64) NOT NULL, "
            "collection VARCHAR(500) NOT NULL, "
            "row_key TEXT NOT NULL, "
            "tenant TEXT NOT NULL, "
            "stamp BIGINT NOT NULL, "
            f"INDEX {PLACES}_owner (owner)) {kind}"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {CONSUMERS} ("
            "consumer VARCHAR(64) NOT NULL PRIMARY KEY, "
            "location TEXT NOT NULL, "
            "acknowledged BIGINT NOT NULL, "
            "mark BIGINT NOT NULL, "
            "seen_at DOUBLE NOT NULL, "
            f"kept_for DOUBLE NOT NULL) {kind}"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {SUBSCRIPTIONS} ("
            "collection VARCHAR(500) NOT NULL, "
            "consumer VARCHAR(64) NOT NULL, "
            f"PRIMARY KEY (collection, consumer)) {kind}"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {STATE} ("
            "collection VARCHAR(500) NOT NULL, "
            "name VARCHAR(200) NOT NULL, "
            "value TEXT NOT NULL, "
            f"PRIMARY KEY (collection, name)) {kind}"
        ),
    ]


def outbox_tables_query(dialect: Dialect, param: str) -> str:
    """A query that counts the tables of the outbox. Its parameters are their names."""
    names = ", ".join([param] * len(TABLES))
    if dialect == "sqlite":
        return f"SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ({names})"
    schema = "current_schema()" if dialect == "postgresql" else "DATABASE()"
    return (
        f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {schema} "
        f"AND table_name IN ({names})"
    )


def table_query(dialect: Dialect, name: str, param: str) -> tuple[str, list[str]]:
    """A query, with its parameters, that counts the tables and views of this name: 0 or 1."""
    if dialect == "sqlite":
        sql = (
            "SELECT COUNT(*) FROM sqlite_master WHERE type IN ('table', 'view') "
            f"AND lower(name) = lower({param})"
        )
        return sql, [name]
    if dialect == "postgresql":
        sql = (
            f"SELECT COUNT(*) FROM (SELECT to_regclass({param}) AS found) AS looked "
            "WHERE found IS NOT NULL"
        )
        return sql, [table_identifier(dialect, name)]
    of_name, params = _mysql_table(name, param)
    return f"SELECT COUNT(*) FROM information_schema.tables WHERE {of_name}", params


def without_triggers_query(dialect: Dialect, name: str, param: str) -> tuple[str, list[str]]:
    """A query, with its parameters, that gives 1 if no trigger fires on a table of this name: for
    a view, and for a virtual table of SQLite.
    """
    if dialect == "sqlite":
        virtual = "substr(upper(sql), 1, 14) = 'CREATE VIRTUAL'"
        sql = (
            f"SELECT COUNT(*) FROM sqlite_master WHERE lower(name) = lower({param}) "
            f"AND type IN ('table', 'view') AND (type = 'view' OR {virtual})"
        )
        return sql, [name]
    if dialect == "postgresql":
        sql = (
            f"SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass({param}) "
            "AND relkind IN ('v', 'm')"
        )
        return sql, [table_identifier(dialect, name)]
    of_name, params = _mysql_table(name, param)
    sql = (
        f"SELECT COUNT(*) FROM information_schema.tables WHERE {of_name} "
        "AND table_type IN ('VIEW', 'SYSTEM VIEW')"
    )
    return sql, params


def _mysql_table(name: str, param: str) -> tuple[str, list[str]]:
    """A condition on information_schema.tables, with its parameters: the table of this name."""
    schema, table = split_name("mysql", name)
    if schema:
        return f"table_schema = {param} AND table_name = {param}", [schema, table]
    return f"table_schema = DATABASE() AND table_name = {param}", [table]


def upsert(
    dialect: Dialect, table: str, columns: Sequence[str], updated: Sequence[str], param: str
) -> str:
    """A statement that inserts a row, or gives the `updated` columns of the row with the same key
    the new values. A stamp never gets smaller.
    """
    on_conflict = f"ON CONFLICT ({', '.join(KEYS[table])}) DO UPDATE SET"
    if dialect == "mysql":
        on_conflict = "ON DUPLICATE KEY UPDATE"
    larger = "max" if dialect == "sqlite" else "GREATEST"
    assignments: list[str] = []
    for column in updated:
        new = f"VALUES({column})" if dialect == "mysql" else f"excluded.{column}"
        if column == "stamp":
            new = f"{larger}({table}.stamp, {new})"
        assignments.append(f"{column} = {new}")
    params = ", ".join([param] * len(columns))
    insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({params})"
    return f"{insert} {on_conflict} {', '.join(assignments)}"
