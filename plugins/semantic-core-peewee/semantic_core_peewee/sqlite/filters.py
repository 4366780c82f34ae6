"""A scope as SQL: conditions on the table of documents, called ``d``, with every value bound.

The text of a condition depends on the number of values and their kinds, never on the values.

Tested by tests/sqlite/test_filters.py and tests/trust/test_tenants.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import attrs

from semantic_core.errors import FilterInvalid, InputError, TenantRefused, TenantRequired
from semantic_core.filters import Condition, Filter, kind
from semantic_core.types import Ref, Scope

MOST_VALUES = 32_700
"""Values all conditions of one scope may bind; SQLite takes 32,766 in one statement,
a search needs a few itself.
"""

_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_HELD = "select a.document from semantic_index_attribute as a where a.generation = ? and a.key = ?"


Bound = tuple[str, tuple[Any, ...]]
"""SQL, and the values of its question marks in order."""


@attrs.frozen
class Clause:
    """A condition and its values, in the order of its question marks.

    narrows: whether it asks for more than the tenant. each: the same condition, written so that it
    is cheap for a few documents; `sql` is cheap for all of them. sources: queries that each return
    the ids of all documents in scope, and of others. collections: the names it asks for, if it asks
    for nothing else.
    """

    sql: str
    values: tuple[Any, ...]
    narrows: bool
    each: Bound
    sources: tuple[Bound, ...]
    collections: tuple[str, ...] = ()


def check_tenant(tenant: object, multi_tenant: bool) -> str:
    """The tenant itself, if a store of this kind may be asked for it."""
    if not isinstance(tenant, str):
        raise InputError(f"A tenant must be a str, got {type(tenant).__name__}.")
    if multi_tenant and not tenant:
        raise TenantRequired(
            "This store keeps tenants apart: wanted a tenant, got none.", hint="Name one."
        )
    if tenant and not multi_tenant:
        raise TenantRefused(
            f"This store knows no tenants: wanted none, got {tenant!r}.", hint="Leave it out."
        )
    return tenant


def compile_scope(scope: Scope, generation: int) -> Clause:
    """The documents of this generation that are in scope."""
    parts = ["d.generation = ?", "d.tenant = ?"]
    values = [generation, scope.tenant]
    named: list[str] = []
    if scope.collections is not None:
        named = [name for name in scope.collections if _may_be_a_name(name)]
        parts.append("d.collection in (select j.value from json_each(?) as j)")
        values.append(json.dumps(named))
    each = list(parts)
    of_each = list(values)
    sources = [
        (
            f"select d.id from semantic_index_document as d where {' and '.join(parts)}",
            tuple(values),
        )
    ]
    for condition in _checked(scope.filter).conditions:
        absent, held, bound = _condition(condition)
        bound = [generation if value is _GENERATION else value for value in bound]
        values += bound
        of_each += bound
        documents = " union all ".join(held) or _NOTHING
        exists = [f"exists ({source} and a.document = d.id)" for source in held]
        any_of_them = " or ".join(exists) or "0"
        if absent:
            parts.append(f"d.id not in ({documents})")
            each.append(f"not ({any_of_them})")
        else:
            parts.append(f"d.id in ({documents})")
            each.append(f"({any_of_them})")
            sources.insert(0, (documents, tuple(bound)))
    if len(values) > MOST_VALUES:
        raise FilterInvalid(
            f"where binds {len(values):,} values, the most is {MOST_VALUES:,}.",
            hint="Ask in several steps.",
        )
    alone = () if scope.filter else tuple(named)
    one_by_one = (" and ".join(each), tuple(of_each))
    return Clause(
        " and ".join(parts), tuple(values), len(parts) > 2, one_by_one, tuple(sources), alone
    )


def narrowed(clause: Clause, documents: Collection[int], *, without: bool = False) -> Clause:
    """The documents of the clause that are among these, given by id. without: that are not."""
    select = "select j.value from json_each(?) as j"
    listed = json.dumps(sorted(documents))
    condition = f"d.id {'not ' if without else ''}in ({select})"
    # The plus keeps SQLite from going through all of the list for each document.
    one_by_one = (f"{clause.each[0]} and +{condition}", (*clause.each[1], listed))
    sources = clause.sources if without else ((select, (listed,)), *clause.sources)
    return Clause(
        f"{clause.sql} and {condition}", (*clause.values, listed), True, one_by_one, sources
    )


_GENERATION: Any = object()
_NOTHING = "select null where 0"


def _condition(condition: Condition) -> tuple[bool, list[str], list[Any]]:
    """(whether it asks for the documents these selects do not return, selects of ids, their
    values).
    """
    held = [_GENERATION, condition.key]
    if condition.operator == "exists":
        return not condition.values[0], [_HELD], held
    if condition.operator in _COMPARISONS:
        sign = _COMPARISONS[condition.operator]
        value = condition.values[0]
        return False, [f"{_HELD} and a.kind = ? and a.value {sign} ?"], [*held, kind(value), value]
    by_kind: dict[str, list[Any]] = {}
    for value in condition.values:
        by_kind.setdefault(kind(value), []).append(value)
    asked = []
    bound = []
    for name, values in sorted(by_kind.items()):
        asked.append(f"{_HELD} and a.kind = ? and a.value in ({', '.join('?' * len(values))})")
        bound += [*held, name, *values]
    return condition.operator == "not_in", asked, bound


def _checked(filter: Filter) -> Filter:
    """The filter, if SQLite can bind its values; a filter made by hand may hold anything."""
    for condition in filter.conditions:
        for value in (condition.key, *condition.values):
            if not isinstance(value, str | int | float):
                raise FilterInvalid(f"A filter compares str, bool, int and float, got {value!r}.")
    return filter


def _may_be_a_name(name: object) -> bool:
    """Whether a collection can have this name; what no Ref accepts is in no store."""
    try:
        Ref(name, "-")  # type: ignore[arg-type]
    except InputError:
        return False
    return True


def attributes(metadata: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """(key, kind, value) of everything a condition can ask of this metadata."""
    rows: list[tuple[str, str, Any]] = []
    for key, held in metadata.items():
        if not isinstance(held, tuple):
            rows.append((key, kind(held), held))
        elif held:
            rows += [(key, "text", item) for item in dict.fromkeys(held)]
        else:
            rows.append((key, "empty", ""))
    return rows
