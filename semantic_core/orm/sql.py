"""`Sql`: one database connection with its dialect, on which the outbox runs its statements.

Outbox, consumers, triggers and keyset paging receive an `Sql` value and have no other access to the
application's database.

Tested by tests/orm/test_outbox.py, tests/orm/test_triggers.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import attrs

from semantic_core.orm.dialects import (
    check_dialect,
    identifier,
    placeholder_of,
    table_identifier,
    table_query,
    upsert,
)
from semantic_core.orm.tables import Dialect, Execute

CHUNK = 200
"""Rows, or keys, that one statement names at most. With four parameters each they stay below 999,
the limit of old SQLite libraries.
"""

Item = TypeVar("Item")


@attrs.frozen
class Sql:
    """A function that runs SQL, with the dialect of its database.

    execute: runs one statement with its parameters and returns its rows, [] where there are none.
    Without parameters it runs the statement as it is written. dialect: "sqlite", "postgresql" or
    "mysql"; ConfigError for any other. placeholder: how the driver marks a parameter; "" means "?"
    on SQLite and "%s" elsewhere. param: the placeholder of one parameter.

    It has no state: threads may share it as far as they may share ``execute``.
    """

    execute: Execute
    dialect: Dialect = attrs.field(converter=check_dialect)
    placeholder: str = ""
    param: str = attrs.field(init=False)

    @param.default
    def _usual_param(self) -> str:
        return self.placeholder or placeholder_of(self.dialect)

    def params(self, count: int) -> str:
        """The placeholders of several parameters, with commas between them."""
        return ", ".join([self.param] * count)

    def rows_of_params(self, columns: int, rows: int) -> str:
        """The placeholders of a VALUES clause."""
        return ", ".join([f"({self.params(columns)})"] * rows)

    def column(self, name: str) -> str:
        """A column's name, quoted, for a statement with parameters."""
        return self.escaped(identifier(self.dialect, name))

    def table(self, name: str) -> str:
        """A table's name, quoted, for a statement with parameters."""
        return self.escaped(table_identifier(self.dialect, name))

    def escaped(self, sql: str) -> str:
        """SQL for a statement with parameters. Drivers that use percent signs for parameters take a
        doubled one for a literal one.
        """
        return sql.replace("%", "%%") if "%" in self.param else sql

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None if there is no row."""
        rows = self.execute(sql, params)
        return rows[0][0] if rows else None

    def values(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        """The first column of all rows."""
        return [row[0] for row in self.execute(sql, params)]

    def upsert(
        self, table: str, columns: Sequence[str], updated: Sequence[str], values: Sequence[Any]
    ) -> None:
        """Insert a row into one of the outbox's tables. If its key exists, give the `updated`
        columns of that row the new values.
        """
        self.execute(upsert(self.dialect, table, columns, updated, self.param), values)

    def has_table(self, name: str) -> bool:
        """Whether there is a table or view of this name."""
        sql, params = table_query(self.dialect, name, self.param)
        return bool(self.value(sql, params))


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    chunk = list(islice(iterator, size))
    while chunk:
        yield chunk
        chunk = list(islice(iterator, size))
