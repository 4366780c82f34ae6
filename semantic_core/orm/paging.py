"""`KeysetPages`: the rows of one table in the order of their keys, a page at a time.

Keyset paging never uses OFFSET. A page begins after the last key of the one before, so it costs the
same at the end of a table as at its beginning, and rows that are inserted or deleted meanwhile move
no page.

Tested by tests/orm/test_outbox.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from semantic_core.orm.dialects import (
    key_text,
    literal,
    split_name,
    table_identifier,
    tenant_text,
)
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import Table

_INTEGERS = ("integer", "tinyint", "smallint", "mediumint", "int", "bigint", "year")
_FLOATS = ("real", "float", "double")
_BYTES = ("blob", "binary", "varbinary", "tinyblob", "mediumblob", "longblob")

_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(_FLOATS, float),
    **dict.fromkeys(_BYTES, bytes.fromhex),
    "decimal": Decimal,
}
"""Per column type (on SQLite: type of the values), what converts the text of a key into a value
that compares as the column does. Any other type compares as text.
"""


class KeysetPages:
    """The keys of one table, in key order. A key has its text form, as pending changes have it."""

    def __init__(self, sql: Sql, table: Table) -> None:
        self._sql = sql
        self._table = table

    def count(self) -> int:
        """The number of rows of the table."""
        return int(self._sql.value(f"SELECT COUNT(*) FROM {self._plain_table}"))

    def count_without_key(self) -> int:
        """The number of rows whose key identifies no row, which SQLite allows: NULL, or bytes in a
        column of text. A row with a NULL key is on no page; one with bytes is found by no query.
        """
        conditions: list[str] = []
        for attribute, parse in self._table.key.items():
            column = self._sql.column(self._table.columns[attribute])
            conditions.append(f"t0.{column} IS NULL")
            if self._sql.dialect == "sqlite" and _parses_text(parse):
                conditions.append(f"typeof(t0.{column}) = 'blob'")
        without = " OR ".join(conditions)
        query = f"SELECT COUNT(*) FROM {self._plain_table} t0 WHERE {without}"
        return int(self._sql.value(query))

    def page(self, after: str | None, limit: int) -> list[str]:
        """Up to `limit` keys. after: the last key of the page before; None for the first page."""
        where, params = self._after(after)
        key = self._sql.escaped(key_text(self._sql.dialect, "t0", self._table.key_columns))
        keys = self._sql.values(
            f"SELECT {key} FROM {self._sql.table(self._table.name)} t0 {where} "
            f"ORDER BY {self._order} LIMIT {self._sql.param}",
            [*params, limit],
        )
        return list(map(str, keys))

    def tenants(self, column: str) -> list[str]:
        """The names of the tenants that this column of the rows holds, as text."""
        tenant = tenant_text(self._sql.dialect, "t0", column)
        return self._sql.values(f"SELECT DISTINCT {tenant} FROM {self._plain_table} t0")

    @property
    def _plain_table(self) -> str:
        """The table's name for a statement without parameters."""
        return table_identifier(self._sql.dialect, self._table.name)

    @property
    def _order(self) -> str:
        """The key columns with their table: a bare name would mean the text form in the SELECT
        list, which sorts differently.
        """
        return ", ".join(self._key_columns)

    @property
    def _key_columns(self) -> list[str]:
        return [f"t0.{self._sql.column(column)}" for column in self._table.key_columns]

    def _after(self, key: str | None) -> tuple[str, list[Any]]:
        """A WHERE clause for the keys after `key` (None: for all), with its parameters."""
        conditions = [f"{column} IS NOT NULL" for column in self._key_columns]
        params: list[Any] = []
        if key is not None:
            bound, params = self._bound(key)
            conditions.append(f"({self._order}) > ({bound})")
        return f"WHERE {' AND '.join(conditions)}", params

    def _bound(self, key: str) -> tuple[str, list[Any]]:
        """A key as placeholders and parameters that compare as its columns do, not as text."""
        columns = self._table.key_columns
        texts = [key] if len(columns) == 1 else json.loads(key)
        types = [self._type(column) for column in columns]
        param = self._sql.param
        if self._sql.dialect == "postgresql":
            casts = [f"CAST(CAST({param} AS text) AS {kind})" for kind in types]
            return ", ".join(casts), texts
        values: list[Any] = []
        for kind, text in zip(types, texts, strict=True):
            convert = _FROM_TEXT.get(kind, str)
            values.append(convert(text))
        return self._sql.params(len(columns)), values

    def _type(self, column: str) -> str:
        """The type of a key column, as the database names it."""
        sql = self._sql
        if sql.dialect == "sqlite":
            name = sql.column(column)
            table = sql.table(self._table.name)
            largest = f"SELECT typeof({name}) FROM {table} ORDER BY {name} DESC LIMIT 1"
            return str(sql.value(largest))
        if sql.dialect == "postgresql":
            where = sql.escaped(literal(sql.dialect, self._plain_table))
            query = (
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
                f"WHERE attrelid = CAST({where} AS regclass) AND attname = {sql.param}"
            )
            return str(sql.value(query, [column]))
        schema, name = split_name(sql.dialect, self._table.name)
        query = (
            "SELECT data_type FROM information_schema.columns "
            f"WHERE table_schema = COALESCE({sql.param}, DATABASE()) "
            f"AND table_name = {sql.param} AND column_name = {sql.param}"
        )
        return str(sql.value(query, [schema or None, name, column])).lower()


def _parses_text(parse: Callable[[str], Any]) -> bool:
    """Whether the keys that `parse` gives are text, even for a text that looks like hex."""
    try:
        return isinstance(parse("0" * 32), str)
    except Exception:  # noqa: BLE001 - the ORM's parsers may raise anything
        return False
