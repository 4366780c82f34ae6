"""What a search tells of all documents that it finds, page or no page: their number, their facets,
and their order by a field.

Tested by tests/kernel/test_matches.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import attrs

from semantic_core._validation import check_count, check_metadata_key, clip
from semantic_core.errors import InputError
from semantic_core.protocols import Facets, FieldOrder, TextCounts, TextSearch
from semantic_core.types import ChunkId, FacetCount, Ref, Scope, SearchRequest

if TYPE_CHECKING:
    from semantic_core.protocols import Store

FACET_VALUES = 20
"""Values of a facet, where no number is given."""
MOST_FACET_VALUES = 1_000
"""Most values of one facet."""
MOST_FACETS = 32
"""Most facets of one search."""
MOST_READ = 10_000
"""Passages that are read to count documents, in a store that does not count them."""


class Total(NamedTuple):
    """A number of documents. is_exact: see `SearchResults.total_is_exact`."""

    documents: int
    is_exact: bool


def total_of(request: SearchRequest, store: Store) -> Total:
    """The number of documents that a search finds, see `SearchResults.total`.

    A store that cannot count is asked for its first passages; if there are more, the number is not
    exact.
    """
    if request.mode == "vector" or not isinstance(store, TextSearch):
        return Total(store.documents(request.scope, 0, 0).total, False)
    is_text = request.mode == "text"
    if isinstance(store, TextCounts):
        return Total(store.count(request.text, request.scope), is_text)
    ranking = store.words(request.text, MOST_READ, request.scope)
    documents = {id.ref for id in ranking.ids}
    return Total(len(documents), is_text and len(ranking) < MOST_READ)


def facets_of(request: SearchRequest, store: Store) -> Mapping[str, Sequence[FacetCount]]:
    """The facets of all documents that `total_of` counts. Raises InputError for a store without
    facets.
    """
    if not isinstance(store, Facets):
        raise InputError("This store has no facets.", hint="Leave facets out.")
    text = None if request.mode == "vector" else request.text
    found = store.facets(text, request.scope, request.facets)
    return {field: tuple(found[field]) for field in request.facets}


def only_these(request: SearchRequest, refs: Iterable[Ref]) -> SearchRequest:
    """The request for exactly these documents, which it has found already: all of them count."""
    scope = attrs.evolve(request.scope, keys=_by_collection(refs))
    return attrs.evolve(request, scope=scope, mode="vector")


def _by_collection(refs: Iterable[Ref]) -> Mapping[str, frozenset[str]]:
    keys: dict[str, set[str]] = {}
    for ref in refs:
        keys.setdefault(ref.collection, set()).add(ref.key)
    return {name: frozenset(held) for name, held in keys.items()}


def checked_facets(facets: object) -> Mapping[str, int]:
    """How many values of each field are wanted. facets: names of fields, or {name: number}; None
    for none. Raises InputError.
    """
    if facets is None:
        return {}
    if isinstance(facets, str | bytes) or not isinstance(facets, Iterable):
        raise InputError(f'facets must be names of fields, such as ["author"], got {clip(facets)}.')
    wanted: dict[str, int] = {}
    numbers = facets if isinstance(facets, Mapping) else dict.fromkeys(facets, FACET_VALUES)
    for field, number in numbers.items():
        name = check_metadata_key(field)
        wanted[name] = check_count(f"facets[{name!r}]", number, 1, MOST_FACET_VALUES)
    if len(wanted) > MOST_FACETS:
        raise InputError(f"facets names {len(wanted)} fields, the most is {MOST_FACETS}.")
    return wanted


def checked_order(order_by: object) -> str:
    """The field to order by, with "-" before it for the reverse; "" for None. Raises InputError."""
    if order_by is None:
        return ""
    if not isinstance(order_by, str):
        raise InputError(
            f'order_by must be a field, such as "created" or "-created", got {clip(order_by)}.'
        )
    check_metadata_key(order_by.removeprefix("-"))
    return order_by


class FoundPassage(NamedTuple):
    """A passage that stands for its document, with its full-text score."""

    id: ChunkId
    score: float


def by_field(request: SearchRequest, store: Store, limit: int, offset: int) -> list[FoundPassage]:
    """The documents that hold a word of the query, in the order that the request names, each by its
    best passage. Raises InputError for a store without such an order.
    """
    if not isinstance(store, FieldOrder) or not isinstance(store, TextSearch):
        raise InputError("This store cannot order by a field.", hint="Leave order_by out.")
    field = request.order_by.removeprefix("-")
    descending = request.order_by.startswith("-")
    refs = store.ordered(
        request.text, request.scope, field, descending=descending, limit=limit, offset=offset
    )
    best = _best_passages(request.text, refs, request.scope, store)
    return [best[ref] for ref in refs if ref in best]


def _best_passages(
    text: str, refs: Sequence[Ref], scope: Scope, store: TextSearch
) -> Mapping[Ref, FoundPassage]:
    these = attrs.evolve(scope, keys=_by_collection(refs))
    best: dict[Ref, FoundPassage] = {}
    limit = max(100, 10 * len(refs))
    while len(best) < len(refs):
        ranking = store.words(text, limit, these)
        for id, score in zip(ranking.ids, ranking.scores, strict=True):
            best.setdefault(id.ref, FoundPassage(id, score))
        if len(ranking) < limit:
            break
        limit *= 10  # some have many passages
    return best
