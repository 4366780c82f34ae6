"""All documents that a search finds: how many there are, their metadata by value, and their order
by a field of it.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from semantic_core.types import FacetCount, Ref
from semantic_core_postgres.filters import EMPTY, spelled
from semantic_core_postgres.texts import decoded

if TYPE_CHECKING:
    from semantic_core_postgres.filters import Clause
    from semantic_core_postgres.pool import View
    from semantic_core_postgres.text_search import TextIndex

_WRITTEN = "coalesce(written, value)"
_FACETS = """select a.kind, a.value, a.number, count(distinct a.document) as documents
    from {s}.attribute as a
    where a.tenant = %s and a.key = %s and a.kind <> 'empty' and a.document = any(%s::bigint[])
    group by a.kind, a.value, a.number
    order by documents desc, a.kind, a.number, a.value limit %s"""
_ORDERED = """select d.tenant, d.collection, d.key
    from {s}.document as d
    left join lateral (
        select a.kind, a.number, a.value from {s}.attribute as a
        where a.tenant = d.tenant and a.document = d.id and a.key = %s and a.kind <> 'empty'
        order by a.kind WAY, a.number WAY, a.value WAY limit 1) as held on true
    where d.tenant = %s and d.id = any(%s::bigint[])
    order by held.kind is null, held.kind WAY, held.number WAY, held.value WAY,
        d.collection, d.key
    limit %s offset %s"""


def holding(view: View, index: TextIndex, text: str | None, clause: Clause) -> list[int]:
    """The documents in scope that hold any of the words of the text, all in scope for None.

    Raises InputError, QueryTooLarge.
    """
    if text is not None:
        return index.documents(view, text, clause)
    found = view.rows(f"select d.id from {{s}}.document as d where {clause.sql}", clause.values)
    return [id for (id,) in found]


def facets(
    view: View, tenant: str, documents: Sequence[int], fields: Mapping[str, int]
) -> dict[str, list[FacetCount]]:
    """See `Facets.facets`."""
    found = {}
    for field, limit in fields.items():
        rows = view.rows(_FACETS, (tenant, spelled(field), list(documents), limit))
        found[field] = [_facet(*row) for row in rows]
    return found


def _facet(kind: str, value: str | None, number: Decimal | None, documents: int) -> FacetCount:
    """A value as metadata has it, with its number."""
    if kind == "bool":
        return FacetCount(bool(number), documents)
    if number is None:
        return FacetCount(decoded(value or ""), documents)
    return FacetCount(number_of(number), documents)


def number_of(number: Decimal) -> int | float:
    """A number as metadata has it; 1 for 1.0, which is the same value."""
    is_whole = number == number.to_integral_value()
    return int(number) if is_whole and abs(number) < 2**63 else float(number)


def ordered(
    view: View,
    tenant: str,
    documents: Sequence[int],
    *,
    field: str,
    descending: bool,
    limit: int,
    offset: int,
) -> list[Ref]:
    """See `FieldOrder.ordered`."""
    sql = _ORDERED.replace("WAY", "desc" if descending else "asc")
    values = (spelled(field), tenant, list(documents), limit, offset)
    refs = []
    for of_tenant, collection, key in view.rows(sql, values):
        refs.append(Ref(decoded(collection), decoded(key), decoded(of_tenant)))
    return refs


def values_of(view: View, tenant: str, field: str) -> list[tuple[str, str]]:
    """Every different (kind, value) that a metadata field has: as people write it, and as the
    columns spell it.
    """
    return view.rows(
        f"""select distinct kind, {_WRITTEN} from {{s}}.attribute
            where tenant = %s and key = %s and kind <> %s""",
        (tenant, spelled(field), EMPTY),
    )


def with_value(view: View, tenant: str, field: str, kind: str, value: str) -> list[int]:
    """The documents whose metadata field has this value, see `values_of`."""
    found = view.rows(
        f"""select document from {{s}}.attribute
            where tenant = %s and key = %s and kind = %s and {_WRITTEN} = %s""",
        (tenant, spelled(field), kind, value),
    )
    return [id for (id,) in found]
