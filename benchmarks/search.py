"""Search of an index of 100,000 chunks: every kind of search with the same queries, in turn,
and what it misses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any
from zlib import crc32

import numpy as np

from benchmarks._measure import Timing, clocked, per_query
from benchmarks._report import Figure, Report, Target, timed
from benchmarks._workbench import (
    BUCKETS,
    HALF,
    ONE_PERCENT,
    PER_DOCUMENT,
    GivenVectors,
    Index,
    Workbench,
    least_scores,
    recall,
)
from semantic_core import ChunkId, Ref, Scope, SemanticCore
from semantic_core.filters import Filter

ROUNDS = 2
LIMIT = 10
POOL = 100
"""The most candidates that each retriever gives to a hybrid search."""
NOT_SLOWER = Target("<=", 1.05)
"""A filter costs nothing, but for what two runs of one thing differ by."""
Call = Callable[[str], Any]


def run(bench: Workbench) -> Report:
    """Median and 99th percentile of every kind of search, filtered, and of one tenant;
    recall against exact float32.
    """
    index, queries = bench.index, bench.queries
    with bench.open(index.path) as core:
        vectors = {query: core.embedder.embed_query(query) for query in queries}
        given = GivenVectors(core.embedder.space, vectors)
        bare = SemanticCore(store=core.store, embedder=given)
        first = clocked(lambda: core.search(queries[0]))()
        calls = _calls(core, bare, vectors, len(index.passages))
        timings = per_query(calls, queries, bench.rounds(ROUNDS))
        figures = [
            timed("first hybrid search after opening", Timing((first,))),
            *_figures(timings),
            *_filtered(calls, queries, bench.rounds(ROUNDS)),
            _once_each(bench, given, queries),
            *_steps(bare, queries),
            *_found(bare, index, queries, vectors),
        ]
        size = core.stats().bytes
    figures += _tenants(bench, queries)
    data = {
        "chunks": len(index.passages),
        "real_chunks": bench.real_passages,
        "queries": len(queries),
        "index_mb": round(size / 1e6, 1),
        "built_chunks_per_s": round(len(index.passages) / index.seconds),
    }
    notes = [
        "Queries are headings of the corpus, so words find a lot. "
        "The kinds of search take turns within each query, so its words are "
        "searched again and again."
    ]
    if bench.real_passages < len(index.passages):
        notes.append(
            f"{len(index.passages) - bench.real_passages:,} chunks are "
            "splices of two real passages."
        )
    return Report(tuple(figures), data, (*notes, *bench.corpus.notes()))


def _calls(
    core: SemanticCore, bare: SemanticCore, vectors: Mapping[str, Any], chunks: int
) -> dict[str, Call]:
    """Every way to ask, by what it is called in the report."""
    store: Any = core.store
    scopes = {
        "1 %": Scope(filter=Filter.parse(ONE_PERCENT)),
        "50 %": Scope(filter=Filter.parse(HALF)),
    }
    calls: dict[str, Call] = {
        "store: nearest 10": lambda query: store.nearest(vectors[query], LIMIT, Scope()),
        "store: nearest 100": lambda query: store.nearest(vectors[query], POOL, Scope()),
        "store: words 100": lambda query: store.words(query, POOL, Scope()),
        "search, words": partial(bare.search, mode="text"),
        "search, vector": partial(bare.search, mode="vector"),
        "search, hybrid without the embedder": bare.search,
        "search, hybrid end to end": core.search,
        "fetch of 10 chunks": partial(_fetched, store, chunks),
    }
    for share, where in (("1 %", ONE_PERCENT), ("50 %", HALF)):
        calls[f"store: nearest 10, filter {share}"] = partial(
            _nearest, store, vectors, scopes[share]
        )
        calls[f"search, words, filter {share}"] = partial(bare.search, mode="text", where=where)
        calls[f"search, hybrid without the embedder, filter {share}"] = partial(
            bare.search, where=where
        )
    return calls


def _nearest(store: Any, vectors: Mapping[str, Any], scope: Scope, query: str) -> Any:
    return store.nearest(vectors[query], LIMIT, scope)


def _fetched(store: Any, chunks: int, query: str) -> Any:
    """Ten chunks of as many documents, others for each query."""
    rows = [(crc32(query.encode()) + place * 104_729) % chunks for place in range(LIMIT)]
    return store.fetch(
        [ChunkId(Ref("bench", str(row // PER_DOCUMENT)), row % PER_DOCUMENT) for row in rows]
    )


def _figures(timings: Mapping[str, Timing]) -> list[Figure]:
    targets = {"search, hybrid without the embedder": Target("<=", 10.0)}
    return [timed(name, timing, target=targets.get(name)) for name, timing in timings.items()]


def _filtered(calls: Mapping[str, Call], queries: Sequence[str], rounds: int) -> Iterator[Figure]:
    """What a filter costs.

    Only two take turns. Among many, most would read what the unfiltered search reads next.
    """
    for plain in ("store: nearest 10", "search, words", "search, hybrid without the embedder"):
        for share in ("1 %", "50 %"):
            filtered = f"{plain}, filter {share}"
            timings = per_query({name: calls[name] for name in (plain, filtered)}, queries, rounds)
            yield Figure(
                f"{filtered}, of unfiltered",
                timings[filtered].ratio(timings[plain]),
                "x",
                target=NOT_SLOWER,
            )


def _once_each(bench: Workbench, given: GivenVectors, queries: Sequence[str]) -> Figure:
    """Hybrid searches of a store just opened, none of which was made before;
    its codes are in memory.
    """
    with bench.open(bench.index.path) as core:
        bare = SemanticCore(store=core.store, embedder=given)
        bare.search(queries[0], mode="vector")
        timing = Timing(
            tuple(clocked(lambda query=query: bare.search(query))() for query in queries)
        )
    return timed(
        "search, hybrid without the embedder, each query once", timing, target=Target("<=", 10.0)
    )


def _steps(bare: SemanticCore, queries: Sequence[str]) -> list[Figure]:
    """Where a hybrid search says that its time went, on average."""
    answers = [bare.search(query).timings for query in queries]
    steps = [step for step in answers[0] if step != "total"]
    return [
        Figure(f"hybrid, step: {step}", fmean(answer.get(step, 0.0) for answer in answers), "ms")
        for step in steps
    ]


def _found(
    bare: SemanticCore, index: Index, queries: Sequence[str], vectors: Mapping[str, Any]
) -> list[Figure]:
    """Recall of the vector search, also filtered, and whether a filtered search gives as many
    hits as there are.
    """
    asked = np.array([vectors[query] for query in queries])
    keys = np.arange(len(index.passages)) // PER_DOCUMENT
    wanted: tuple[tuple[str, Mapping[str, Any] | None, Any], ...] = (
        ("all", None, np.ones(len(keys), dtype=bool)),
        ("filter 1 %", ONE_PERCENT, keys % BUCKETS == ONE_PERCENT["bucket"]),
        ("filter 50 %", HALF, keys % 2 == 0),
    )
    figures = []
    for name, where, allowed in wanted:
        rows = np.flatnonzero(allowed)
        limit = min(LIMIT, len(rows))
        if not limit:
            continue
        least = least_scores(asked, index.vectors[rows], limit)
        scope = Scope(filter=Filter.parse(where))
        shares = []
        for query, bound in zip(queries, least, strict=True):
            found = [index.row(id) for id in bare.store.nearest(vectors[query], limit, scope).ids]
            legal = [row for row in found if allowed[row]]
            shares.append(recall(legal, vectors[query], index.vectors, bound, limit))
        figures.append(
            Figure(
                f"recall@10 of the vector search, {name}",
                fmean(shares),
                "of 1",
                target=Target(">=", 1.0),
            )
        )
        counts = [len(bare.search(query, where=where)) for query in queries]
        figures.append(Figure(f"hits of a hybrid search, {name}", fmean(counts), "of 10"))
    return figures


def _tenants(bench: Workbench, queries: Sequence[str]) -> list[Figure]:
    """The same index spread over tenants, asked by one that has 1 %."""
    index = bench.shared_index
    with bench.open(index.path) as core:
        vectors = {query: core.embedder.embed_query(query) for query in queries}
        bare = SemanticCore(
            store=core.store, embedder=GivenVectors(core.embedder.space, vectors)
        ).tenant("tenant-7")
        if not bare.stats().chunks:
            return []
        calls: dict[str, Call] = {
            "tenant of 1 %: search, vector": partial(bare.search, mode="vector"),
            "tenant of 1 %: search, words": partial(bare.search, mode="text"),
            "tenant of 1 %: search, hybrid without the embedder": bare.search,
        }
        return [
            timed(name, timing)
            for name, timing in per_query(calls, queries, bench.rounds(ROUNDS)).items()
        ]
