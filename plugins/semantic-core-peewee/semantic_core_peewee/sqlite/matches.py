"""All documents that a search finds: how many there are, their metadata by value, and their order
by a field of it.

Which documents hold a word is asked of the full-text index here, in `holding`, and nowhere else.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_core.types import FacetCount, Ref
from semantic_core_peewee.sqlite.records import of_rows
from semantic_core_peewee.sqlite.selective_scopes import numbers
from semantic_core_peewee.sqlite.word_cache import quoted
from semantic_core_peewee.sqlite.word_search import WordCounts, terms_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View

_KEPT = "matches"
_HOLDING = """select group_concat(distinct c.document)
    from semantic_index_words
    cross join semantic_index_chunk as c indexed by semantic_index_chunk_owner
    where semantic_index_words match ? and c.id = semantic_index_words.rowid"""
_IN_SCOPE = "select group_concat(d.id) from semantic_index_document as d where {}"
_AMONG = """select group_concat(d.id)
    from semantic_index_document as d
    where d.id in (select j.value from json_each(?) as j) and {}"""
_FACETS = """select a.kind, a.value, count(*) as documents
    from semantic_index_attribute as a
    where a.generation = ? and a.key = ? and a.kind <> 'empty'
    and a.document in (select j.value from json_each(?) as j)
    group by a.kind, a.value
    order by documents desc, a.kind, a.value limit ?"""
_ORDERED = """select d.tenant, d.collection, d.key
    from json_each(?) as j
    cross join semantic_index_document as d
    left join (select a.document, a.kind, {choose}(a.value) as value
        from semantic_index_attribute as a
        where a.generation = ? and a.key = ? and a.kind <> 'empty'
        group by a.document) as held on held.document = d.id
    where d.id = j.value
    order by held.document is null, held.kind {way}, held.value {way}, d.collection, d.key
    limit ? offset ?"""


def holding(view: View, text: str | None, scope: Clause, counts: WordCounts) -> NDArray[np.int64]:
    """The documents in scope that hold any of the words of the text, all in scope for None.

    Raises InputError, QueryTooLarge.
    """
    if text is None and scope.listed is not None:
        return scope.listed
    if text is None:
        return numbers(view.raw.execute(_IN_SCOPE.format(scope.sql), scope.values).get)
    # Total, facets and order of one search ask for the same.
    kept: dict[object, NDArray[np.int64]] = view.kept.setdefault(_KEPT, {})
    key = (text, scope.sql, scope.values)
    if key not in kept:
        kept[key] = _holding(view, text, scope, counts)
    return kept[key]


def _holding(view: View, text: str, scope: Clause, counts: WordCounts) -> NDArray[np.int64]:
    layers = terms_of(view, text, counts)
    if not layers:
        return numbers(None)
    terms = dict.fromkeys(term for layer in layers for term in layer)
    expression = " OR ".join(map(quoted, terms))
    listed = view.raw.execute(_HOLDING, (expression,)).get
    if scope.listed is not None:
        found: NDArray[np.int64] = np.intersect1d(numbers(listed), scope.listed)
        return found
    values = (f"[{listed or ''}]", *scope.values)
    return numbers(view.raw.execute(_AMONG.format(scope.sql), values).get)


def count(view: View, text: str, scope: Clause, counts: WordCounts) -> int:
    """How many documents in scope hold any of the words."""
    return len(holding(view, text, scope, counts))


def facets(
    view: View, text: str | None, scope: Clause, fields: Mapping[str, int], counts: WordCounts
) -> dict[str, list[FacetCount]]:
    """See `Facets.facets`."""
    listed = json.dumps(holding(view, text, scope, counts).tolist())
    found: dict[str, list[FacetCount]] = {}
    for field, limit in fields.items():
        rows = view.raw.execute(_FACETS, (view.generation, field, listed, limit))
        found[field] = [_facet(*row) for row in rows]
    return found


def _facet(kind: str, value: Any, documents: int) -> FacetCount:
    """A value as metadata has it, since SQLite knows no booleans, with its number."""
    return FacetCount(bool(value) if kind == "bool" else value, documents)


def ordered(
    view: View,
    text: str | None,
    scope: Clause,
    field: str,
    counts: WordCounts,
    *,
    descending: bool,
    limit: int,
    offset: int,
) -> Sequence[Ref]:
    """See `FieldOrder.ordered`."""
    listed = json.dumps(holding(view, text, scope, counts).tolist())
    choose, way = ("max", "desc") if descending else ("min", "asc")
    sql = _ORDERED.format(choose=choose, way=way)
    return _refs(view.raw.execute(sql, (listed, view.generation, field, limit, offset)).fetchall())


@of_rows
def _refs(rows: Sequence[tuple[str, str, str]]) -> list[Ref]:
    return [Ref(collection, key, tenant) for tenant, collection, key in rows]
