"""What the index must know about a Peewee database and a model's table: names, keys and relations.

Tested by tests/orm/test_models.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import peewee

from semantic_core.errors import ConfigError
from semantic_core.orm import Column, Dialect, Relation, Table, Through, build_table, table_name

# --- databases ------------------------------------------------------------------------------------

_DIALECTS: tuple[tuple[type, Dialect], ...] = (
    (peewee.SqliteDatabase, "sqlite"),
    (peewee.PostgresqlDatabase, "postgresql"),
    (peewee.MySQLDatabase, "mysql"),
)
_UNSUPPORTED = {
    (
        "playhouse.sqliteq",
        "SqliteQueueDatabase",
    ): "it writes in a thread of its own and has no transactions",
    ("playhouse.pwasyncio", "AsyncDatabaseMixin"): "it works inside an event loop only",
    ("playhouse.cockroachdb", "CockroachDatabase"): "CockroachDB has triggers of another kind",
}
"""Database classes that cannot be followed: module and class, and the reason."""


def plain_database(database: Any) -> Any:
    """The database itself, without the proxies around it.

    Raises ConfigError if the proxy is not initialised, the database has no name yet, or its class
    cannot be followed.
    """
    while isinstance(database, peewee.Proxy):
        database = database.obj
    if not isinstance(database, peewee.Database):
        got = "an uninitialised proxy or none" if database is None else type(database).__name__
        raise ConfigError(
            f"Wanted a Peewee database, got {got}.",
            hint="Initialise it first: proxy.initialize(database).",
        )
    for (module, name), reason in _UNSUPPORTED.items():
        # Not imported for this: if nobody has imported the module, it is not one of its classes.
        unsupported = getattr(sys.modules.get(module), name, None)
        if unsupported is not None and isinstance(database, unsupported):
            raise ConfigError(
                f"{type(database).__name__} cannot keep an index: {reason}.",
                hint="Use a plain database class.",
            )
    if database.deferred:
        raise ConfigError("The database has no name yet.", hint="Call database.init(...) first.")
    return database


def dialect_of(database: peewee.Database) -> Dialect:
    """The SQL dialect of a database. Raises ConfigError if triggers cannot be written in it."""
    for database_class, dialect in _DIALECTS:
        if isinstance(database, database_class):
            return dialect
    raise ConfigError(
        f"{type(database).__name__} is none of SQLite, PostgreSQL, MySQL and MariaDB."
    )


def database_of(model: Any) -> Any:
    """The database a model is bound to, without its proxies; None if there is none yet."""
    database = model._meta.database
    while isinstance(database, peewee.Proxy):
        database = database.obj
    return database


def is_private(database: Any) -> bool:
    """Whether each connection has a database of its own: SQLite in memory."""
    if not isinstance(database, peewee.SqliteDatabase):
        return False
    name = str(database.database)
    if name in (":memory:", ""):
        return True
    return ":memory:" in name and "cache=shared" not in name


def file_of(database: Any) -> str:
    """The absolute path of a SQLite database's file, whose name may be a URI."""
    name = os.fsdecode(database.database)
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    return os.path.abspath(name)


def is_there(database: Any, model: Any) -> bool:
    """Whether the table, or view, of a model exists."""
    meta = model._meta
    if dialect_of(database) == "postgresql":
        # to_regclass searches the schemas of the search path, as a statement would.
        quoted = [_quoted(part) for part in (meta.schema, meta.table_name) if part]
        found = database.execute_sql("SELECT to_regclass(%s)", (".".join(quoted),))
        return found.fetchone()[0] is not None
    if database.table_exists(meta.table_name, schema=meta.schema):
        return True
    views = [view.name for view in database.get_views(schema=meta.schema)]
    return meta.table_name in views


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


# --- the table of a model -------------------------------------------------------------------------


def table_of(model: Any, dialect: Dialect) -> Table:
    """The table of a model, as `BaseORMAdapter.inspect` returns it.

    Raises ConfigError for a table that cannot be indexed, see `build_table` and `table_name`.
    """
    meta = model._meta
    relations: dict[str, Relation] = {}
    for field in meta.sorted_fields:
        if isinstance(field, peewee.ForeignKeyField):
            relations[field.name] = _foreign_key(field)
    for field, other in meta.backrefs.items():
        # Peewee makes no attribute for the other side if the name is one of these marks.
        if field.backref and field.backref not in ("+", "!"):
            relations.setdefault(field.backref, _foreign_key(field).reversed(other))
    for name, field in meta.manytomany.items():
        relations.setdefault(name, _many_to_many(field, dialect))
    return build_table(
        table_name(meta.table_name, meta.schema, dialect=dialect),
        [_column(field) for field in meta.sorted_fields],
        key=[field.safe_name for field in key_fields(model)],
        relations=relations,
    )


def key_fields(model: Any) -> list[Any]:
    """The fields of the primary key, in its order; none for a model without one."""
    meta = model._meta
    if isinstance(meta.primary_key, peewee.CompositeKey):
        return [meta.fields[name] for name in meta.primary_key.field_names]
    return [meta.primary_key] if meta.primary_key else []


def _foreign_key(field: Any) -> Relation:
    return Relation(field.rel_model, field.column_name, field.rel_field.column_name)


def _many_to_many(field: Any, dialect: Dialect) -> Relation:
    # The table in the middle may have several foreign keys to one model. Peewee's own accessor
    # takes the first, and so does this.
    middle = field.through_model._meta
    own = middle.model_refs[field.model][0]
    theirs = middle.model_refs[field.rel_model][0]
    name = table_name(middle.table_name, middle.schema, dialect=dialect)
    through = Through(name, own.column_name, theirs.column_name)
    return Relation(
        field.rel_model, own.rel_field.column_name, theirs.rel_field.column_name, through
    )


# --- columns, and keys as text --------------------------------------------------------------------


def _column(field: Any) -> Column:
    target = field
    while isinstance(target, peewee.ForeignKeyField):  # its values are those of what it points at
        target = target.rel_field
    return Column(field.safe_name, field.column_name, _python_type(target), _parser(target))


def _python_type(field: Any) -> type:
    if isinstance(field, peewee.UUIDField | peewee.BinaryUUIDField):
        return UUID
    if isinstance(field, peewee.BlobField):
        return bytes
    if isinstance(field, peewee.BooleanField):
        return bool
    if isinstance(field, peewee.IPField | peewee.TimestampField):
        return object  # stored as integers, which they are not in Python
    return int if isinstance(field, peewee.IntegerField) else object


def _parser(field: Any) -> Callable[[str], Any] | None:
    """What makes a key of its text; None for types whose text always reads the same."""
    if isinstance(field, peewee.IPField):
        return partial(_parse_address, field)
    if isinstance(field, peewee.TimestampField):
        return partial(_parse_timestamp, field)
    if _python_type(field) is not object:
        return None
    parser: Callable[[str], Any] = field.python_value
    return parser


def _parse_address(field: Any, text: str) -> Any:
    """text: as Python writes an address, or the integer the database has."""
    return text if "." in text else field.python_value(int(text))


def _parse_timestamp(field: Any, text: str) -> Any:
    """text: as Python writes a datetime, or the integer the database has."""
    return field.python_value(int(text)) if text.isdigit() else datetime.fromisoformat(text)
