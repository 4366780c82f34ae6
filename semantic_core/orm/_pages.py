"""The rows of a table by their keys, page after page in key order, with keys in their text form."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from semantic_core.orm._dialects import key_text, literal, split_name, table_identifier, tenant_text
from semantic_core.orm._statements import Statements
from semantic_core.orm._tables import Table

_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("integer", "tinyint", "smallint", "mediumint", "int", "bigint", "year"), int),
    **dict.fromkeys(("real", "float", "double"), float),
    "decimal": Decimal,
    **dict.fromkeys(
        ("blob", "binary", "varbinary", "tinyblob", "mediumblob", "longblob"), bytes.fromhex
    ),
}
"""Per type of a column (SQLite: of its values), what makes of a key's text a value that compares as
the column does.
"""


class Pages(Statements):
    """Keyset paging: never OFFSET over the table,
    and rows that come or go meanwhile move no page.
    """

    def count(self, table: Table) -> int:
        """How many rows the table has."""
        return int(self._value(f"SELECT COUNT(*) FROM {self._plain_table(table)}"))

    def keyless(self, table: Table) -> int:
        """How many of them have a key that names nothing, as SQLite allows: NULL, which is on no
        page, or bytes in a column of text, by which no row is found.
        """
        conditions = [f"t0.{self._name(column)} IS NULL" for column in table.key_columns]
        if self._dialect == "sqlite":
            conditions += [
                f"typeof(t0.{self._name(table.columns[attribute])}) = 'blob'"
                for attribute, parse in table.key.items()
                if _is_text(parse)
            ]
        without = " OR ".join(conditions)
        return int(
            self._value(f"SELECT COUNT(*) FROM {self._plain_table(table)} t0 WHERE {without}")
        )

    def page(self, table: Table, after: str | None, limit: int) -> list[str]:
        """Up to `limit` keys, as tickets have them, in the table's key order;
        after: the last key of the page before.
        """
        where, params = self._between(table, after, None)
        rows = self._execute(
            f"SELECT {self._key(table)} FROM {self._table(table.name)} t0 {where} "
            f"ORDER BY {self._order(table)} LIMIT {self._mark}",
            [*params, limit],
        )
        return [str(row[0]) for row in rows]

    def _order(self, table: Table) -> str:
        """The key columns, by their table: a name alone would be that of the text form,
        which sorts otherwise.
        """
        return ", ".join(f"t0.{self._name(column)}" for column in table.key_columns)

    def _tenants_of(self, table: Table, column: str) -> str:
        """A query, without parameters, for the tenants that have rows."""
        return (
            f"SELECT DISTINCT {tenant_text(self._dialect, 't0', column)} FROM "
            f"{self._plain_table(table)} t0"
        )

    def _plain_table(self, table: Table) -> str:
        return table_identifier(self._dialect, table.name)

    def _key(self, table: Table) -> str:
        return self._formatted(key_text(self._dialect, "t0", table.key_columns))

    def _tenant(self, column: str | None) -> str:
        return self._formatted(tenant_text(self._dialect, "t0", column))

    def _between(self, table: Table, after: str | None, last: str | None) -> tuple[str, list[Any]]:
        """A WHERE for the keys after `after` up to and with `last`, None for no bound,
        and its parameters.
        """
        conditions = [f"t0.{self._name(column)} IS NOT NULL" for column in table.key_columns]
        params: list[Any] = []
        for key, comparison in ((after, ">"), (last, "<=")):
            if key is not None:
                marks, values = self._bound(table, key)
                conditions.append(f"({self._order(table)}) {comparison} ({', '.join(marks)})")
                params += values
        return f"WHERE {' AND '.join(conditions)}", params

    def _bound(self, table: Table, key: str) -> tuple[list[str], list[Any]]:
        """A key as marks and values that compare as its columns do, not as text."""
        columns = table.key_columns
        texts = [key] if len(columns) == 1 else json.loads(key)
        types = [self._type(table, column) for column in columns]
        if self._dialect == "postgresql":
            return [f"CAST(CAST({self._mark} AS text) AS {kind})" for kind in types], texts
        return [self._mark] * len(columns), [
            _FROM_TEXT.get(kind, str)(text) for kind, text in zip(types, texts, strict=True)
        ]

    def _type(self, table: Table, column: str) -> str:
        """The type of a key column, in words of the database."""
        if self._dialect == "sqlite":
            name = self._name(column)
            sql = (
                f"SELECT typeof({name}) FROM {self._table(table.name)} ORDER BY {name} DESC LIMIT 1"
            )
            return str(self._value(sql))
        if self._dialect == "postgresql":
            where = self._formatted(literal(self._dialect, self._plain_table(table)))
            sql = (
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
                f"WHERE attrelid = CAST({where} AS regclass) AND attname = {self._mark}"
            )
            return str(self._value(sql, [column]))
        schema, name = split_name(self._dialect, table.name)
        sql = (
            "SELECT data_type FROM information_schema.columns "
            f"WHERE table_schema = COALESCE({self._mark}, DATABASE()) AND table_name = "
            f"{self._mark} AND column_name = {self._mark}"
        )
        return str(self._value(sql, [schema or None, name, column])).lower()


def _is_text(parse: Callable[[str], Any]) -> bool:
    """Whether a key parsed so is text, also where it looks like bytes in hex."""
    try:
        return isinstance(parse("0" * 32), str)
    except Exception:  # noqa: BLE001 - parsers are the ORM's own, and so is what they raise
        return False
