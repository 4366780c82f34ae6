"""A scope as SQL: conditions on the table of documents, called ``d``, with every value bound.

The text of a condition depends on the number of values and their kinds, never on the values.

Tested by tests/sqlite/test_filters.py and tests/trust/test_tenants.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core.errors import FilterInvalid, InputError
from semantic_core.filters import Condition, Filter, kind
from semantic_core.types import Ref, Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    for nothing else. listed: the ids of all documents in scope, ascending, if they were looked up;
    None if not.
    """

    sql: str
    values: tuple[Any, ...]
    narrows: bool
    each: Bound
    sources: tuple[Bound, ...]
    collections: tuple[str, ...] = ()
    listed: NDArray[np.int64] | None = attrs.field(default=None, eq=False, repr=False)


def compile_scope(scope: Scope, generation: int) -> Clause:
    """The documents of this generation that are in scope."""
    parts = ["d.generation = ?", "d.tenant = ?"]
    values = [generation, scope.tenant]
    named: list[str] = []
    if scope.collections is not None:
        named = [name for name in scope.collections if is_collection_name(name)]
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


def of_listed(documents: NDArray[np.int64]) -> Clause:
    """The clause of these documents, given by id in ascending order."""
    listed = json.dumps(documents.tolist())
    select = "select j.value from json_each(?) as j"
    condition = (f"d.id in ({select})", (listed,))
    return Clause(*condition, True, condition, ((select, (listed,)),), listed=documents)


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


def is_collection_name(name: object) -> bool:
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
