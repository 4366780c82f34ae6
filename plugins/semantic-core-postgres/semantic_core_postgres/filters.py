"""A scope as SQL: conditions on the table of documents, called ``d``, with every value bound.

The text of a condition depends on the number of values and their kinds, never on the values. A
value that is a text is compared by its first characters first, because that is what an index
can hold.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from semantic_core.errors import FilterInvalid
from semantic_core.filters import Condition, kind
from semantic_core.types import Scope
from semantic_core_postgres.texts import INDEXED_VALUE, legal

COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
TEXT = "text"
EMPTY = "empty"
"""The kind of an empty list."""


@attrs.frozen
class Clause:
    """A condition on documents and its values, in the order of their marks.

    narrows: whether it asks for more than the tenant.
    """

    tenant: str
    sql: str
    values: tuple[Any, ...]
    narrows: bool = True

    def among(self, column: str) -> tuple[str, tuple[Any, ...]]:
        """A condition that a column names a document in scope, and its values; an empty one if
        every document of the tenant is.
        """
        if not self.narrows:
            return "", ()
        listed = f"select d.id from {{s}}.document as d where {self.sql}"
        return f" and {column} in ({listed})", self.values


def compile_scope(scope: Scope) -> Clause:
    """The documents in scope, without its conditions on words."""
    tenant = spelled(scope.tenant)
    parts = ["d.tenant = %s", "d.present"]
    values: list[Any] = [tenant]
    if scope.collections is not None:
        parts.append("d.collection = any(%s::text[])")
        values.append([spelled(name) for name in scope.collections])
    if scope.keys is not None:
        collections = []
        keys = []
        for collection, named in scope.keys.items():
            for key in named:
                collections.append(spelled(collection))
                keys.append(spelled(key))
        parts.append(
            "(d.collection, d.key) in (select k.collection, k.key "
            "from unnest(%s::text[], %s::text[]) as k (collection, key))"
        )
        values += [collections, keys]
    for condition in scope.filter.conditions:
        text, bound = _condition(condition)
        parts.append(text)
        values += bound
    return Clause(tenant, " and ".join(parts), tuple(values), len(parts) > 2)


def of_listed(tenant: str, documents: Sequence[int]) -> Clause:
    """The clause of these documents, given by id."""
    sql = "d.tenant = %s and d.present and d.id = any(%s::bigint[])"
    return Clause(tenant, sql, (tenant, list(documents)))


def spelled(text: object) -> str:
    """A text of a condition as the columns spell it. What no column can hold is in none of them.

    Raises FilterInvalid.
    """
    if not isinstance(text, str):
        raise FilterInvalid(f"A scope names texts, got {text!r}.")
    return legal(text)


_EXISTS = (
    "exists (select 1 from {s}.attribute as a "
    "where a.tenant = d.tenant and a.document = d.id and a.key = %s"
)


def _condition(condition: Condition) -> tuple[str, list[Any]]:
    """The SQL of a condition, and its values."""
    key = spelled(condition.key)
    if condition.operator == "exists":
        text = f"{_EXISTS})"
        return (text if condition.values[0] else f"not {text}"), [key]
    if condition.operator in COMPARISONS:
        sign = COMPARISONS[condition.operator]
        value = _bound(condition.values[0])
        if isinstance(value, str):
            loose = sign if sign.endswith("=") else f"{sign}="
            text = (
                f"{_EXISTS} and a.kind = %s and left(a.value, {INDEXED_VALUE}) {loose} "
                f"left(%s, {INDEXED_VALUE}) "
                f"and a.value {sign} %s)"
            )
            return text, [key, TEXT, value, value]
        text = f"{_EXISTS} and a.kind = %s and a.number {sign} %s)"
        return text, [key, kind(condition.values[0]), value]
    by_kind: dict[str, list[Any]] = {}
    for wanted in condition.values:
        by_kind.setdefault(kind(wanted), []).append(_bound(wanted))
    asked = []
    bound: list[Any] = []
    for name, values in sorted(by_kind.items()):
        if name == TEXT:
            asked.append(
                f"{_EXISTS} and a.kind = %s and left(a.value, {INDEXED_VALUE}) = any(%s::text[]) "
                "and a.value = any(%s::text[]))"
            )
            bound += [key, name, [value[:INDEXED_VALUE] for value in values], values]
        else:
            asked.append(f"{_EXISTS} and a.kind = %s and a.number = any(%s::numeric[]))")
            bound += [key, name, values]
    any_of_them = f"({' or '.join(asked)})" if asked else "false"
    return (f"not {any_of_them}" if condition.operator == "not_in" else any_of_them), bound


def _bound(value: object) -> str | Decimal:
    """A value as the table has it: a text, or an exact number."""
    if isinstance(value, str):
        return spelled(value)
    if isinstance(value, bool | int | float):
        return Decimal(value)
    raise FilterInvalid(f"A filter compares str, bool, int and float, got {value!r}.")


Attribute = tuple[str, str, str | None, Decimal | None, str | None]
"""(key, kind, value, number, written): the columns of a row, without its document."""


def attributes(metadata: Mapping[str, Any]) -> list[Attribute]:
    """Everything that a condition can ask of this metadata."""
    rows: list[Attribute] = []
    for key, held in metadata.items():
        name = spelled(key)
        if isinstance(held, tuple):
            if not held:
                rows.append((name, EMPTY, "", None, None))
            rows += [(name, TEXT, spelled(item), None, None) for item in dict.fromkeys(held)]
        elif isinstance(held, str):
            rows.append((name, TEXT, spelled(held), None, None))
        else:
            rows.append((name, kind(held), None, Decimal(held), str(held).lower()))
    return rows
