"""What a Peewee model says of its table: names, keys, foreign keys from both sides;
and of its database.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import peewee

from semantic_core.errors import ConfigError
from semantic_core.orm import Dialect, Relation, Table, Through

_DIALECTS: tuple[tuple[type, Dialect], ...] = (
    (peewee.SqliteDatabase, "sqlite"),
    (peewee.PostgresqlDatabase, "postgresql"),
    (peewee.MySQLDatabase, "mysql"),
)
_OTHER_ROADS = {
    (
        "playhouse.sqliteq",
        "SqliteQueueDatabase",
    ): "it writes in a thread of its own and has no transactions",
    ("playhouse.pwasyncio", "AsyncDatabaseMixin"): "it works inside an event loop only",
    ("playhouse.cockroachdb", "CockroachDatabase"): "its triggers are not spoken here",
}
"""Databases that cannot be followed: module, class, why."""
_UUIDS = (peewee.UUIDField, peewee.BinaryUUIDField)
_TRUE = {"1", "t", "true"}


def plain_database(database: Any) -> Any:
    """The database itself, out of its proxies.

    Raises ConfigError if there is none yet, or none that can be followed.
    """
    while isinstance(database, peewee.Proxy):
        database = database.obj
    if not isinstance(database, peewee.Database):
        got = "an uninitialised proxy or none" if database is None else type(database).__name__
        raise ConfigError(
            f"Wanted a Peewee database, got {got}.",
            hint="Initialise it first: proxy.initialize(database).",
        )
    for (module, name), why in _OTHER_ROADS.items():
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(database, kind):
            raise ConfigError(
                f"{type(database).__name__} cannot keep an index: {why}.",
                hint="Use a plain database class.",
            )
    if database.deferred:
        raise ConfigError("The database has no name yet.", hint="Call database.init(...) first.")
    return database


def dialect_of(database: peewee.Database) -> Dialect:
    """The SQL it speaks. Raises ConfigError."""
    for kind, dialect in _DIALECTS:
        if isinstance(database, kind):
            return dialect
    raise ConfigError(
        f"{type(database).__name__} is none of SQLite, PostgreSQL, MySQL and MariaDB."
    )


def database_of(model: Any) -> Any:
    """The database a model is bound to, out of its proxies; None if there is none yet."""
    database = model._meta.database
    while isinstance(database, peewee.Proxy):
        database = database.obj
    return database


def is_there(database: Any, model: Any) -> bool:
    """Whether the model's table, or view, exists."""
    meta = model._meta
    if dialect_of(database) == "postgresql":  # as a statement would find it, by the search path
        parts = [part.replace('"', '""') for part in (meta.schema, meta.table_name) if part]
        quoted = ".".join(f'"{part}"' for part in parts)
        return database.execute_sql("SELECT to_regclass(%s)", (quoted,)).fetchone()[0] is not None
    return bool(database.table_exists(meta.table_name, schema=meta.schema)) or any(
        view.name == meta.table_name for view in database.get_views(schema=meta.schema)
    )


def is_private(database: Any) -> bool:
    """Whether every connection has a database of its own: SQLite in memory."""
    if not isinstance(database, peewee.SqliteDatabase):
        return False
    name = str(database.database)
    return name in (":memory:", "") or (":memory:" in name and "cache=shared" not in name)


def file_of(database: Any) -> str:
    """The path of a SQLite database's file, which may be spelled as a URI."""
    name = os.fsdecode(database.database)
    return os.path.abspath(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def table_of(model: Any, dialect: Dialect) -> Table:
    """The record of a model's table. Raises ConfigError for what cannot be followed: no key, a key
    of bytes, a schema of SQLite, on other databases a name with a dot."""
    meta = model._meta
    if dialect == "sqlite" and meta.schema not in (None, "main"):
        raise ConfigError(
            (
                f"{model.__name__} lives in the attached database {meta.schema!r}, which triggers "
                "of this one cannot reach."
            ),
            hint="Open that file as a database of its own.",
        )
    fields: list[Any] = list(meta.sorted_fields)
    relations = {
        field.name: Relation(field.rel_model, field.column_name, field.rel_field.column_name)
        for field in fields
        if isinstance(field, peewee.ForeignKeyField)
    }
    for field, other in meta.backrefs.items():
        if field.backref and field.backref not in ("+", "!"):
            relations.setdefault(
                field.backref, Relation(other, field.rel_field.column_name, field.column_name)
            )
    for name, field in meta.manytomany.items():
        relations.setdefault(name, _many_to_many(field, dialect))
    return Table(
        name=_name_of(meta, dialect),
        key={field.safe_name: _parser(model, field) for field in key_fields(model)},
        columns={field.safe_name: field.column_name for field in fields},
        relations=relations,
        uuids={field.column_name for field in fields if isinstance(_target(field), _UUIDS)},
    )


def _name_of(meta: Any, dialect: Dialect) -> str:
    if "." in meta.table_name and dialect != "sqlite":
        raise ConfigError(
            f"{meta.model.__name__} has the table {meta.table_name!r}, and a dot in its name "
            "would be taken for the end of a schema's.",
            hint='Rename the table; a schema is said by itself: class Meta: schema = "...".',
        )
    schema = meta.schema if dialect != "sqlite" else None
    return f"{schema}.{meta.table_name}" if schema else str(meta.table_name)


def _many_to_many(field: Any, dialect: Dialect) -> Relation:
    """The foreign keys are chosen as Peewee's own accessor chooses them."""
    between = field.through_model._meta
    here = between.model_refs[field.model][0]
    there = between.model_refs[field.rel_model][0]
    through = Through(_name_of(between, dialect), here.column_name, there.column_name)
    return Relation(
        field.rel_model, here.rel_field.column_name, there.rel_field.column_name, through
    )


def key_fields(model: Any) -> list[Any]:
    """The fields of the primary key, in order. Raises ConfigError if there are none."""
    key = model._meta.primary_key
    if not key:
        raise ConfigError(
            f"{model.__name__} has no primary key, so its rows cannot be told apart.",
            hint="Give it one, or a CompositeKey.",
        )
    return (
        [model._meta.fields[name] for name in key.field_names]
        if isinstance(key, peewee.CompositeKey)
        else [key]
    )


def _target(field: Any) -> Any:
    """The field itself; of a foreign key, what it points at in the end."""
    while isinstance(field, peewee.ForeignKeyField):
        field = field.rel_field
    return field


def _parser(model: Any, field: Any) -> Callable[[str], Any]:
    """What makes the key's value of its text, as the database casts it or as Python writes it."""
    field = _target(field)
    if isinstance(field, _UUIDS):
        return lambda text: UUID(text.removeprefix("\\x"))
    if isinstance(field, peewee.BlobField):
        raise ConfigError(
            f"The key of {model.__name__} is bytes, and a document's key is text.",
            hint="Use a UUIDField.",
        )
    read: Callable[[Any], Any] = field.python_value
    if isinstance(field, peewee.BooleanField):
        return lambda text: text.lower() in _TRUE
    if isinstance(field, peewee.IPField):
        return lambda text: text if "." in text else read(int(text))
    if isinstance(field, peewee.TimestampField):
        return lambda text: read(int(text)) if text.isdigit() else datetime.fromisoformat(text)
    return int if isinstance(field, peewee.IntegerField) else read
