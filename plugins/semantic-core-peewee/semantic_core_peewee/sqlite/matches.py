"""All documents that a search finds: how many there are, their metadata by value, and their order
by a field of it.

Which documents hold a word is asked of the full-text index here, in `holding`, and nowhere else.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semantic_core.types import FacetCount, Ref
from semantic_core_peewee.sqlite.records import of_rows
from semantic_core_peewee.sqlite.selective_scopes import numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semantic_core.types import Scope
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.text_search import TextIndex

_IN_SCOPE = "select group_concat(d.id) from semantic_index_document as d where {}"
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


def holding(
    view: View, index: TextIndex, text: str | None, scope: Scope, clause: Clause
) -> NDArray[np.int64]:
    """The documents in scope that hold any of the words of the text, all in scope for None.

    Raises InputError, QueryTooLarge.
    """
    if text is None:
        return numbers(view.raw.execute(_IN_SCOPE.format(clause.sql), clause.values).get)
    return index.documents(view, text, scope, clause)


def facets(
    view: View, documents: NDArray[np.int64], fields: Mapping[str, int]
) -> dict[str, list[FacetCount]]:
    """See `Facets.facets`."""
    listed = json.dumps(documents.tolist())
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
    documents: NDArray[np.int64],
    *,
    field: str,
    descending: bool,
    limit: int,
    offset: int,
) -> Sequence[Ref]:
    """See `FieldOrder.ordered`."""
    listed = json.dumps(documents.tolist())
    choose, way = ("max", "desc") if descending else ("min", "asc")
    sql = _ORDERED.format(choose=choose, way=way)
    return _refs(view.raw.execute(sql, (listed, view.generation, field, limit, offset)).fetchall())


@of_rows
def _refs(rows: Sequence[tuple[str, str, str]]) -> list[Ref]:
    return [Ref(collection, key, tenant) for tenant, collection, key in rows]
