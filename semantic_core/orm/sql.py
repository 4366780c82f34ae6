"""`Sql`: one database connection with its dialect, on which the outbox runs its statements.

Outbox, consumers, triggers and keyset paging receive an `Sql` value and have no other access to the
application's database.

Tested by tests/orm/test_outbox.py, tests/orm/test_triggers.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import wraps
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

_SLOT = "\0"
"""Stands for a parameter until its number is known. No statement can contain it otherwise:
`identifier` refuses names with it, and databases texts.
"""

Item = TypeVar("Item")


@attrs.frozen
class Sql:
    """A function that runs SQL, with the dialect of its database.

    execute: runs one statement with its parameters and returns its rows, [] where there are none.
    Without parameters it runs the statement as it is written. dialect: "sqlite", "postgresql" or
    "mysql"; ConfigError for any other. placeholder: how the driver marks a parameter; "" means "?"
    on SQLite and "%s" elsewhere. One with a 1 in it is numbered: "$1" gives $1, $2, $3, and so do
    ":1", ":p1" and "%(p1)s"; for the latter two `by_name` makes the mapping that drivers want.
    param: what stands for one parameter in statements for the ``execute`` of this object, and for
    functions that `numbered` made.

    It has no state: threads may share it as far as they may share ``execute``.
    """

    _given: Execute = attrs.field(alias="execute")
    dialect: Dialect = attrs.field(converter=check_dialect)
    placeholder: str = ""
    param: str = attrs.field(init=False)
    execute: Execute = attrs.field(init=False, eq=False, repr=False)

    @param.default
    def _usual_param(self) -> str:
        return _SLOT if "1" in self._style else self._style

    @execute.default
    def _numbering(self) -> Execute:
        return self.numbered(self._given)

    @property
    def _style(self) -> str:
        """The placeholder of the first parameter."""
        return self.placeholder or placeholder_of(self.dialect)

    def numbered(self, execute: Execute) -> Execute:
        """The same function for statements with the placeholders of this object. A function whose
        placeholders have no numbers is returned as it is.
        """
        if self.param != _SLOT:
            return execute

        @wraps(execute)
        def run(sql: str, params: Sequence[Any]) -> Sequence[Sequence[Any]]:
            return execute(self._with_numbers(sql), params)

        return run

    def _with_numbers(self, sql: str) -> str:
        first, *others = sql.split(_SLOT)
        parts = [first]
        for number, text in enumerate(others, 1):
            parts += (self._style.replace("1", str(number)), text)
        return "".join(parts)

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
        return sql.replace("%", "%%") if "%" in self._style else sql

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


def by_name(params: Sequence[Any], prefix: str = "p") -> dict[str, Any]:
    """Parameters as drivers with named placeholders want them: {"p1": ..., "p2": ...} for the
    placeholder ":p1" or "%(p1)s". prefix: what stands before the number.
    """
    return {f"{prefix}{number}": value for number, value in enumerate(params, 1)}


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    chunk = list(islice(iterator, size))
    while chunk:
        yield chunk
        chunk = list(islice(iterator, size))
