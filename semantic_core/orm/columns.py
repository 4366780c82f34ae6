"""From a model of an ORM to the `Table` behind it: what every adapter's `inspect` is written with.

An adapter lists the columns of a model as `Column` records, and `build_table` does the rest: it
finds out how the text of a key becomes a value again, which columns hold UUIDs, and refuses tables
that cannot be indexed. `table_name` and `dialect_named` do the same for the name of a table and
for the name an ORM has for its database.

Tested by tests/orm/test_columns.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import attrs

from semantic_core.errors import ConfigError
from semantic_core.orm.tables import DIALECTS, Dialect, Relation, Table

Parser = Callable[[str], Any]
"""Makes the value of a key from its text; raises if the text is of no such value."""

_OTHER_NAMES: Mapping[str, Dialect] = {"mariadb": "mysql", "postgres": "postgresql"}
_TRUE = frozenset({"1", "t", "true"})


@attrs.frozen
class Column:
    """One column of a model's table.

    attribute: the attribute of an instance that holds the raw value; for a foreign key, the one
    that holds the other row's key ("author_id", not "author").
    name: the name of the column in the database.
    python_type: the Python type of its values; for a foreign key, that of the key it points at;
    ``object`` if the ORM does not say. Columns of UUIDs must say ``UUID``.
    parse: makes a value of the column from its text; None takes `parser_for` of `python_type`. It
    is used for columns of the primary key only.
    """

    attribute: str
    name: str
    python_type: type = object
    parse: Parser | None = None


def build_table(
    name: str,
    columns: Iterable[Column],
    *,
    key: Sequence[str],
    relations: Mapping[str, Relation] | None = None,
    bases: Iterable[Relation] = (),
    part: str = "",
) -> Table:
    """The `Table` that `BaseORMAdapter.inspect` returns.

    name: of the table, see `table_name`. columns: all columns of this table. key: the attributes of
    the primary key, in its order. relations, bases, part: as `Table` has them. Raises ConfigError
    if there is no primary key, or if the key holds bytes.
    """
    by_attribute = {column.attribute: column for column in columns}
    if not key:
        raise ConfigError(
            f"The table {name!r} has no primary key, so its rows cannot be identified.",
            hint="Give the model a primary key.",
        )
    parsers = {}
    for attribute in key:
        column = by_attribute[attribute]
        if column.parse is None and issubclass(column.python_type, bytes):
            raise ConfigError(
                f"The key of the table {name!r} is bytes, and a document's key is text.",
                hint="Use a UUID, an integer or a text as the primary key.",
            )
        parsers[attribute] = column.parse or parser_for(column.python_type)
    names = {}
    uuids: Any = set()  # mypy does not follow the converters of attrs
    for column in by_attribute.values():
        names[column.attribute] = column.name
        if column.python_type is UUID:
            uuids.add(column.name)
    parents: Any = bases
    return Table(name, parsers, names, relations or {}, parents, part, uuids)


def parser_for(python_type: type) -> Parser:
    """What makes a value of this type from its text, as databases and Python write it.

    Dates and times are read from ISO 8601; booleans from "1", "t" or "true"; UUIDs also from the
    hex digits of their bytes. Any other type is called with the text; ``object`` leaves it as it
    is.
    """
    if python_type is object:
        return str
    if python_type is UUID:
        return _uuid
    if python_type is bool:
        return _boolean
    parser: Parser = getattr(python_type, "fromisoformat", python_type)
    return parser


def _uuid(text: str) -> UUID:
    # PostgreSQL writes the text of a bytes column with "\x" before it.
    return UUID(text.removeprefix("\\x"))


def _boolean(text: str) -> bool:
    return text.lower() in _TRUE


def table_name(name: str, schema: str | None = None, *, dialect: Dialect) -> str:
    """The name of a table as `Table` and `Through` want it: "schema.table", or the plain name.

    schema: None or "" for the schema of the connection. Raises ConfigError for names that triggers
    cannot use: on SQLite a schema, which is another file there; elsewhere a dot within a name.
    """
    if dialect == "sqlite":
        if schema not in (None, "", "main"):
            raise ConfigError(
                f"The table {name!r} is in the attached database {schema!r}, which triggers of "
                "this database cannot reach.",
                hint="Open that file as a database of its own.",
            )
        return name
    if "." in name or "." in (schema or ""):
        raise ConfigError(
            f"The table {name!r} has a dot in its name, or its schema has one, and a dot separates "
            "the schema from the table.",
            hint="Rename the table. Give its schema separately, as your ORM has it.",
        )
    return f"{schema}.{name}" if schema else name


def dialect_named(name: str) -> Dialect:
    """The dialect that an ORM calls so: "mariadb" is "mysql". Raises ConfigError for others."""
    lowered = name.lower()
    dialect = _OTHER_NAMES.get(lowered)
    if dialect is not None:
        return dialect
    for known in DIALECTS:
        if lowered == known:
            return known
    raise ConfigError(
        f"An index cannot follow a database of the kind {name!r}.",
        hint="Databases that work: SQLite, PostgreSQL, MySQL, MariaDB.",
    )
