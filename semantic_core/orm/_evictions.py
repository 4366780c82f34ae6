"""The rows REPLACE evicts on SQLite, which fires no delete trigger for them unless
``PRAGMA recursive_triggers`` is on. It also lets triggers set themselves off, and is the
application's: so a row that is in the way of another is noted before.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import attrs

from semantic_core.orm._dialects import differs, identifier
from semantic_core.orm._tables import Execute


@attrs.frozen
class Unique:
    """Columns of which a table holds each combination once.

    collations: how each is compared; "" for the number a table of SQLite is ordered by.
    """

    columns: tuple[str, ...]
    collations: tuple[str, ...]

    def matches(self, row: str) -> str:
        """A condition: this row is in the way of NEW."""
        compared = zip(self.columns, self.collations, strict=True)
        return " AND ".join(
            f"{row}.{_name(column)} = NEW.{_name(column)}"
            + (f" COLLATE {_name(collation)}" if collation else "")
            for column, collation in compared
        )

    def decides(self, columns: Iterable[str]) -> bool:
        """Whether rows that match cannot differ in these columns."""
        exact = {
            column
            for column, collation in zip(self.columns, self.collations, strict=True)
            if collation in ("", "BINARY")
        }
        return exact.issuperset(columns)

    @property
    def changes(self) -> str:
        """A condition: an update gives one of these columns another value."""
        return f"({differs('sqlite', self.columns)})"


def uniques(execute: Execute, mark: str, table: str) -> tuple[Unique, ...]:
    """What a table of SQLite holds once: its key, and its unique indexes; () if it is not there.

    Of a partial index all rows are meant: that notes more, never fewer. One of an expression is
    left out.
    """
    key = [
        str(name)
        for (name,) in execute(
            f"SELECT name FROM pragma_table_info({mark}) WHERE pk > 0 ORDER BY pk", [table]
        )
    ]
    rows = execute(
        "SELECT l.name, x.name, x.coll FROM pragma_index_list("
        f'{mark}) AS l JOIN pragma_index_xinfo(l.name) AS x WHERE l."unique" AND x."key" '
        "ORDER BY l.name, x.seqno",
        [table],
    )
    found = {} if not key else {tuple(key): Unique(tuple(key), ("",) * len(key))}
    for _, group in groupby(rows, lambda row: row[0]):
        columns, collations = zip(*(each[1:] for each in group), strict=True)
        if None not in columns:
            found[columns] = Unique(columns, collations)
    return tuple(found.values())


def _name(name: str) -> str:
    return identifier("sqlite", name)
