"""What an adapter offers around a search: completion of what somebody types, and rows like one row.

Tested by tests/orm/test_suggestions.py and tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from semantic_core._search import MAX_LIMIT
from semantic_core._validation import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semantic_core.types import Ref, SearchHit, SearchResults

Live = Callable[["Sequence[SearchHit]", dict[str, Exception]], Mapping["Ref", Any]]
"""The rows of hits, by ref; see `BaseORMAdapter`."""


class LiveHits:
    """The rows and hits of a search, without documents whose row is gone.

    find: the search, given the number of hits. live: reads their rows. limit: how many rows are
    wanted; hits without a row are made up for.
    """

    def __init__(self, find: Callable[[int], SearchResults], live: Live, limit: int) -> None:
        self.rows: list[Any] = []
        self.hits: list[SearchHit] = []
        unreadable: dict[str, Exception] = {}
        page = limit
        while True:
            self.results = find(page)
            started = perf_counter()
            rows = live(self.results.hits, unreadable)
            spent = (perf_counter() - started) * 1000
            kept = [hit for hit in self.results.hits if hit.ref in rows][:limit]
            if len(kept) >= limit or len(self.results) < page or page >= MAX_LIMIT // 2:
                break
            page = min(page * 4, MAX_LIMIT // 2)
        self.hits = kept
        self.rows = [rows[hit.ref] for hit in kept]
        self.timings = {**self.results.timings, "rows": spent}
        reasons = [self.results.reason]
        if unreadable:
            error = next(iter(unreadable.values()))
            counted = "1 row" if len(unreadable) == 1 else f"{len(unreadable):,} rows"
            reasons.append(f"{counted} found cannot be read: {one_line(error)}")
        self.reason = "; ".join(filter(None, reasons))
