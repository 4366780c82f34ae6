"""What outbox and triggers run their SQL through: one connection's `execute`, one dialect,
one mark for parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from semantic_core.orm._dialects import check_dialect, identifier, placeholder_of, table_identifier
from semantic_core.orm._tables import Dialect, Execute

CHUNK = 200
"""Rows, or keys, one statement names at most; four parameters each stay below the 999 that old
SQLite libraries take.
"""

Item = TypeVar("Item")


class Statements:
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
