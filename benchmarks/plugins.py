"""What plugins that do nothing cost a search: the same queries on the same index, in turn, without
plugins and with one of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks._measure import Timing, per_query
from benchmarks._report import Figure, Report, Target, timed
from benchmarks._workbench import GivenVectors, Workbench
from semantic_core import Ranking, SearchRequest, SearchResults, SemanticCore, hookimpl

ROUNDS = 3
CHEAP = Target("<=", 1.05)
"""Of a whole search; two runs of one thing differ by as much."""


class Retriever:
    """Finds nothing."""

    @hookimpl
    def semantic_retrieve(self, request: SearchRequest) -> Ranking:
        return Ranking("nothing")


class Reranker:
    """Leaves the order as it is."""

    @hookimpl
    def semantic_rerank(self, hits: Any) -> Any:
        return list(hits)


class Middleware:
    """Passes every request on."""

    @hookimpl
    def semantic_search_middleware(self) -> Callable[..., SearchResults]:
        return self.passes

    def passes(self, request: SearchRequest, search: Any) -> SearchResults:
        return search(request)  # type: ignore[no-any-return]


class Restriction:
    """Hides nothing."""

    @hookimpl
    def semantic_restrict(self, context: Mapping[str, Any]) -> None:
        return None


class Listener:
    """Listens and does nothing."""

    @hookimpl
    def semantic_event(self, event: object) -> None:
        return None


KINDS: Mapping[str, list[Any]] = {
    "no plugin": [],
    "a retriever": [Retriever()],
    "a reranker": [Reranker()],
    "a middleware": [Middleware()],
    "a restriction": [Restriction()],
    "a listener": [Listener()],
    "one of each": [Retriever(), Reranker(), Middleware(), Restriction(), Listener()],
}
WARM = "(reads what the others find in memory)"
WARM_AGAIN = "(the same, where the order is turned around)"
"""Not counted: the first search for a query in a round takes longer than the others."""
RERANKED = ("a reranker", "one of each")


def run(bench: Workbench) -> Report:
    """The median of a hybrid search without the embedder, and the ratio to it with plugins."""
    with bench.open(bench.index.path) as core:
        queries = bench.queries
        vectors = {query: core.embedder.embed_query(query) for query in queries}
        given = GivenVectors(core.embedder.space, vectors)
        calls: dict[str, Callable[[str], Any]] = {}
        for kind, plugins in {WARM: [], **KINDS, WARM_AGAIN: []}.items():
            one = SemanticCore(store=core.store, embedder=given, plugins=plugins)
            calls[kind] = one.search
        timings = per_query(calls, queries, bench.rounds(ROUNDS))
    plain = timings["no plugin"]
    figures = [timed("search, hybrid without the embedder, no plugin", plain)]
    for kind in KINDS:
        if kind != "no plugin":
            figures.append(_ratio(kind, timings[kind], plain))
    return Report(tuple(figures), {"queries": len(queries)}, ())


def _ratio(kind: str, timing: Timing, plain: Timing) -> Figure:
    more = (timing.median - plain.median) * 1e6
    note = f"{more:+.0f} us at the median"
    target: Target | None = CHEAP
    if kind in RERANKED:
        target = None
        note += "; rerankers get 50 hits, and so many passages are read"
    return Figure(f"with {kind}", timing.median / plain.median, "x", target=target, note=note)
