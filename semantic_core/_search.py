"""Search: query -> vector -> candidates of every lane -> one ranking -> hits, in one state of the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from attrs import evolve

from semantic_core._checks import check_count, check_unicode, clip
from semantic_core._vectors import checked_vector
from semantic_core._words_only import WordsOnly
from semantic_core.errors import EmbedderError, HookFailed, InputError, QueryTooLarge, SemanticCoreError
from semantic_core.protocols import TextSearch
from semantic_core.types import (
    MODES,
    ChunkId,
    Mode,
    Ranking,
    Ref,
    Scope,
    SearchHit,
    SearchRequest,
    SearchResults,
)

if TYPE_CHECKING:
    from semantic_core._plugins import Plugins
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Vector

POOL = 100
"""Candidates each lane gives, at least. Fusion looks at these; deeper pages use a deeper pool."""
MAX_POOL = 100_000
"""Deepest pool; one document of more chunks than this may crowd out others."""
POOL_GROWTH = 4
"""How many times deeper the lanes are asked when their candidates are of too few documents."""
RERANK_POOL = 50
"""Hits a reranker is shown, at least."""
MAX_LIMIT = 10_000
"""Most hits one search may reach, offset included."""
MAX_QUERY = 100_000
"""Longest query, in characters."""


class Search:
    """One search. per_document: the best chunk of each document; otherwise every chunk for itself."""

    def __init__(self, plugins: Plugins, store: Store, embedder: Embedder, *, per_document: bool) -> None:
        self._plugins, self._store, self._embedder, self._per_document = plugins, store, embedder, per_document
        self._reasons: list[str] = []
        self._timings: defaultdict[str, float] = defaultdict(float)

    def run(self, text: str, *, scope: Scope, mode: Mode, limit: int, offset: int) -> SearchResults:
        """The answer.

        Raises InputError for a query, mode, limit or offset that cannot be meant; StoreError; TenantRequired; EmbedderError
        where words cannot stand in for an embedder that fails.
        """
        _check(text, mode, limit, offset)
        with self._timed("total"):
            with self._timed("embed"):
                vector, used = self._vector(text, mode)
            shown = max(offset + limit, RERANK_POOL if self._plugins.reranks else 0)
            with self._store.snapshot():
                request, rankings, order = self._ranked(
                    SearchRequest(text, scope, used, limit, offset, max(POOL, shown), vector), shown
                )
                with self._timed("fetch"):
                    hits = self._hits(order, rankings)
            with self._timed("rerank"):
                hits = self._reranked(request, hits)
        return SearchResults(
            query=text,
            hits=tuple(hits[offset : offset + limit]),
            mode=used,
            degraded=bool(self._reasons),
            reason="; ".join(self._reasons),
            timings={step: round(spent * 1000, 3) for step, spent in self._timings.items()},
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self._timings[step] += perf_counter() - started

    def _vector(self, text: str, mode: Mode) -> tuple[Vector | None, Mode]:
        """The query's vector, if one is wanted and can be had, and the mode that is then possible."""
        finds_words = isinstance(self._store, TextSearch)
        if not finds_words and mode != "vector":
            if mode == "text":
                raise InputError("This store does not search words.", hint='Use mode="vector".')
            self._reasons.append("this store does not search words")
            mode = "vector"
        if mode == "text":
            return None, mode
        if isinstance(self._embedder, WordsOnly):
            if mode == "vector":
                raise InputError(
                    "This index has no embedder, so it finds words only.",
                    hint='Use mode="text", or make an index with an embedder.',
                )
            return None, "text"
        try:
            return checked_vector(self._embedder.embed_query(text), self._embedder.space), mode
        except Exception as error:  # third-party code; the answer says what happened
            reason = str(error) if isinstance(error, SemanticCoreError) else f"{type(error).__name__}: {error}"
            if not finds_words:
                raise EmbedderError(f"The query could not be embedded: {reason}") from error
            self._reasons.append(f"the query could not be embedded ({reason}); answered by words alone")
            return None, "text"

    def _ranked(self, request: SearchRequest, shown: int) -> tuple[SearchRequest, list[Ranking], Ranking]:
        """The lanes' rankings and the one made of them: at least `shown` long if there is so much to find."""
        while True:
            with self._timed("retrieve"):
                rankings, reasons = self._plugins.retrieve(request, self._store)
            exhausted = all(len(ranking) < request.pool for ranking in rankings)
            rankings = [ranking for ranking in rankings if len(ranking)]
            with self._timed("fuse"):
                fused = self._plugins.fuse(request, rankings, self._store) if rankings else Ranking("nothing")
                order = _best_of_each_document(fused) if self._per_document else fused
            if len(order) >= shown or exhausted or request.pool >= MAX_POOL:
                self._reasons += [reason for reason in reasons if reason not in self._reasons]
                return request, rankings, _first(order, shown)
            request = evolve(request, pool=request.pool * POOL_GROWTH)

    def _hits(self, order: Ranking, rankings: Sequence[Ranking]) -> list[SearchHit]:
        places = {
            ranking.source: {id: (place, score) for place, (id, score) in enumerate(_pairs(ranking), 1)}
            for ranking in rankings
        }
        scores = dict(_pairs(order))
        hits = []
        for stored in self._store.fetch(order.ids):
            chunk = stored.chunk
            found = {source: place[chunk.id] for source, place in places.items() if chunk.id in place}
            hits.append(
                SearchHit(
                    ref=chunk.id.ref,
                    position=chunk.id.position,
                    title=stored.title,
                    headings=chunk.headings,
                    text=chunk.text,
                    start=chunk.start,
                    end=chunk.end,
                    score=scores[chunk.id],
                    ranks={source: place for source, (place, _) in found.items()},
                    scores={source: score for source, (_, score) in found.items()},
                    kind=chunk.kind,
                    metadata=stored.metadata,
                )
            )
        return hits

    def _reranked(self, request: SearchRequest, hits: list[SearchHit]) -> list[SearchHit]:
        if not self._plugins.reranks:
            return hits
        try:
            return self._plugins.rerank(request, hits)
        except HookFailed as error:
            self._reasons.append(str(error))
            return hits


def _best_of_each_document(ranking: Ranking) -> Ranking:
    best: dict[Ref, tuple[ChunkId, float]] = {}
    for id, score in _pairs(ranking):
        best.setdefault(id.ref, (id, score))
    return Ranking(ranking.source, tuple(id for id, _ in best.values()), tuple(score for _, score in best.values()))


def _first(ranking: Ranking, count: int) -> Ranking:
    return Ranking(ranking.source, ranking.ids[:count], ranking.scores[:count])


def _pairs(ranking: Ranking) -> Iterator[tuple[ChunkId, float]]:
    return zip(ranking.ids, ranking.scores, strict=True)


def _check(text: object, mode: object, limit: object, offset: object) -> None:
    if not check_unicode("The query", text).strip():
        raise InputError("The query is empty.", hint="Say what to look for.")
    if len(str(text)) > MAX_QUERY:
        raise QueryTooLarge(f"The query has {len(str(text)):,} characters, the most is {MAX_QUERY:,}.")
    if mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}, got {clip(mode)}.")
    reach = check_count("limit", limit, 1) + check_count("offset", offset)
    if reach > MAX_LIMIT:
        raise QueryTooLarge(f"offset + limit is {reach:,}, the most is {MAX_LIMIT:,}.")
