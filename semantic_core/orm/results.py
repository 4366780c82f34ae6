"""`ModelResults`: the rows that a search found, in the order of the ranking; and how the rows of
hits are read, from one model or several.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, Generic, TypeVar, overload

import attrs

from semantic_core._search import MAX_LIMIT
from semantic_core._validation import one_line
from semantic_core.types import FacetCount, Mode, Ref, SearchHit, SearchResults

T = TypeVar("T")

HIT = "search_hit"
"""The attribute of a found instance that holds its `SearchHit`."""
MOST_GONE = 2_000
"""Documents without a row that one search skips at most. Beyond that the answer is degraded."""
LEAST_PAGE = 200
"""The smallest page of further hits, once some hits turned out to have no row."""


@attrs.frozen
class ModelResults(Sequence[T], Generic[T]):
    """The instances that a search found, best first.

    Each instance has its `SearchHit` as ``search_hit``; ``hits`` has them in the same order.
    mode, degraded, reason, timings, did_you_mean, corrected: as in `SearchResults`. timings has the
    entry "rows" as well: the milliseconds spent on reading rows. waiting: pending changes of this
    collection when the search began; 0 after a successful ``fresh=True``.

    total, total_is_exact, facets: as in `SearchResults`. They are numbers of the index, so they
    count rows that were deleted a moment ago until that change is processed.
    """

    query: str
    rows: tuple[T, ...]
    hits: tuple[SearchHit, ...]
    mode: Mode
    degraded: bool = False
    reason: str = ""
    waiting: int | None = None
    timings: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    total: int | None = None
    total_is_exact: bool = False
    facets: Mapping[str, Sequence[FacetCount]] = attrs.field(factory=dict, hash=False)
    did_you_mean: str | None = None
    corrected: str | None = None

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)


def with_hit(instance: Any, hit: SearchHit) -> Any:
    """Set the hit on an instance and return the instance.

    An instance that takes no further attributes stays unchanged: `ModelResults.hits` has the hit.
    """
    try:
        setattr(instance, HIT, hit)
    except Exception:  # noqa: BLE001
        # Frozen models, and models that accept their own fields only, raise whatever they like.
        with suppress(AttributeError, TypeError):  # a class with slots
            object.__setattr__(instance, HIT, hit)
    return instance


Unreadable = dict[str, Exception]
"""The error of each row that the ORM failed to read, by key."""
Live = Callable[[Sequence[SearchHit], Unreadable], Mapping[Ref, Any]]
"""The rows of hits of one model, as far as they exist and belong into the index."""
Find = Callable[[int, int], SearchResults]
"""The hits of a search, given limit and offset."""


@attrs.frozen
class FoundRows:
    """The rows of the first hits, best first, and their hits in the same order.

    first: the results that the search began with. gone: of documents without a row. reasons: why
    there are fewer rows than there might be. timings: milliseconds by step, of all searches.
    """

    rows: Sequence[Any]
    hits: Sequence[SearchHit]
    first: SearchResults
    gone: Sequence[Ref]
    reasons: Sequence[str]
    timings: Mapping[str, float]

    def results(
        self, offset: int, more_reasons: Sequence[str] = (), waiting: int | None = None
    ) -> ModelResults[Any]:
        """The rows after the first `offset`, each with its hit."""
        rows = self.rows[offset:]
        hits = self.hits[offset:]
        best: dict[int, SearchHit] = {}
        for instance, hit in zip(rows, hits, strict=True):
            # With passages="all" a row has several hits, the best one first.
            with_hit(instance, best.setdefault(id(instance), hit))
        reason = "; ".join(filter(None, [*more_reasons, *self.reasons]))
        first = self.first
        return ModelResults(
            first.query,
            tuple(rows),
            tuple(hits),
            first.mode,
            bool(reason),
            reason,
            waiting=waiting,
            timings=self.timings,
            total=first.total,
            total_is_exact=first.total_is_exact,
            facets=first.facets,
            did_you_mean=first.did_you_mean,
            corrected=first.corrected,
        )


def found_rows(find: Find, live_of: Mapping[str, Live], size: int) -> FoundRows:
    """The rows of the best `size` hits that have a row; further hits are read where some have none.

    live_of: by collection, how its rows are read.
    """
    rows: list[Any] = []
    hits: list[SearchHit] = []
    gone: list[Ref] = []
    unreadable: dict[str, Unreadable] = {name: {} for name in live_of}
    reasons: list[str] = []
    timings = {"rows": 0.0}
    seen = 0
    page = size
    first: SearchResults | None = None
    while True:
        found = find(page, seen)
        first = first or found
        started = perf_counter()
        live = _live_rows(found.hits, live_of, unreadable)
        timings["rows"] += (perf_counter() - started) * 1000
        for name, value in found.timings.items():
            timings[name] = timings.get(name, 0.0) + value
        for hit in found.hits:
            if hit.ref in live:
                rows.append(live[hit.ref])
                hits.append(hit)
            elif hit.ref.key not in unreadable[hit.ref.collection]:
                gone.append(hit.ref)
        seen += len(found)
        if len(rows) >= size or len(found) < page:
            break
        # Some hits have no row: continue with a larger page.
        page = min(max(page * 4, LEAST_PAGE), MAX_LIMIT - seen)
        if page < 1 or len(gone) >= MOST_GONE:
            reasons.append(
                f"more than {len(gone):,} documents found have no row any more, "
                "so fewer rows are given"
            )
            break
    errors = [error for those in unreadable.values() for error in those.values()]
    if errors:
        error = errors[0]
        counted = "1 row" if len(errors) == 1 else f"{len(errors):,} rows"
        reasons.append(f"{counted} found cannot be read: {one_line(error)}")
    reasons.append(found.reason)
    return FoundRows(rows[:size], hits[:size], first, gone, reasons, timings)


def _live_rows(
    hits: Sequence[SearchHit],
    live_of: Mapping[str, Live],
    unreadable: Mapping[str, Unreadable],
) -> Mapping[Ref, Any]:
    """The rows of these hits, with one query for each model."""
    by_collection: dict[str, list[SearchHit]] = {}
    for hit in hits:
        by_collection.setdefault(hit.ref.collection, []).append(hit)
    found: dict[Ref, Any] = {}
    for collection, those in by_collection.items():
        found.update(live_of[collection](those, unreadable[collection]))
    return found
