"""Search: query -> vector -> candidates of every retriever -> one order -> a page of hits.

Tested by tests/kernel/test_search.py, tests/plugins/test_retrievers.py and
tests/plugins/test_rerankers.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain, count, islice
from math import ceil, inf
from time import perf_counter
from typing import TYPE_CHECKING

import attrs

from semantic_core._matches import Total, by_field, facets_of, only_these, total_of
from semantic_core._no_embedder import WordsOnly
from semantic_core._plugins.fusion import FUSED, WORDS, words_relevance
from semantic_core._plugins.ranking_steps import falling
from semantic_core._typos import TYPOS, corrected
from semantic_core._validation import (
    check_count,
    check_metadata_key,
    check_score,
    check_unicode,
    clip,
    described,
)
from semantic_core._vectors import checked_vector
from semantic_core.errors import (
    EmbedderError,
    InputError,
    QueryTooLarge,
    is_interruption,
)
from semantic_core.marking import QueryMarker
from semantic_core.protocols import CoversTexts, TextFilter, TextSearch
from semantic_core.query_syntax import SYNTAXES, parse_query
from semantic_core.types import (
    MODES,
    ChunkId,
    FacetCount,
    Mode,
    Ranking,
    Ref,
    SearchHit,
    SearchRequest,
    SearchResults,
)

if TYPE_CHECKING:
    from semantic_core._costs import CostTracker
    from semantic_core._plugins.host import Plugins
    from semantic_core._typos import Typos
    from semantic_core.protocols import Analyser, Embedder, Store
    from semantic_core.query_syntax import Syntax
    from semantic_core.types import Vector


DEPTHS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
"""Most candidates of each retriever, pass by pass. A document with more chunks than the last may
displace others.
"""


@attrs.frozen
class Placed:
    """A chunk in the order of a search. ranks, scores: by source of the rankings that list it.
    parts: by step of the fusion, see `SearchHit.parts`.
    """

    id: ChunkId
    score: float
    ranks: Mapping[str, int]
    scores: Mapping[str, float]
    parts: Mapping[str, float] = attrs.field(factory=dict)


class Order:
    """The order of everything that one search can reach, computed from the top as far as needed.

    It is computed in passes of fixed depths. Chunks that a pass finds and earlier passes did not
    come after all earlier ones, in the order of the fusion. The depth of a pass does not depend on
    the page that is wanted, so every page is a slice of one order, whatever retrievers and fusion
    do, if they give the same answer to the same request.

    It ends before the first chunk with a score below `SearchRequest.min_score`, since scores do not
    rise.

    per_document: only the best chunk of each document; otherwise every chunk. timed: returns a
    context that times the step of that name. reasons: why retrievers were left out, each once.
    seconds: by plugin that retrieves. fusing: seconds by step of the fusion.
    """

    def __init__(
        self,
        request: SearchRequest,
        plugins: Plugins,
        store: Store,
        embedder: Embedder,
        timed: Callable[[str], AbstractContextManager[None]],
        *,
        per_document: bool,
    ) -> None:
        self.reasons: list[str] = []
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.fusing: defaultdict[str, float] = defaultdict(float)
        self._request = request
        self._plugins = plugins
        self._store = store
        self._embedder = embedder
        self._timed = timed
        self._per_document = per_document
        self._placed: list[Placed] = []
        self._further = self._all()

    def first(self, wanted: int) -> Sequence[Placed]:
        """The first chunks, this many; fewer only if there are no more."""
        self._placed += islice(self._further, max(0, wanted - len(self._placed)))
        return self._placed[:wanted]

    def _all(self) -> Iterator[Placed]:
        """Every chunk, pass by pass; a pass runs when it is needed."""
        seen: set[ChunkId | Ref] = set()
        lowest = inf
        least = self._request.min_score or -inf  # scores of a plugin may be below 0
        for depth in DEPTHS:
            candidates = self._candidates(depth)
            ceiling = lowest  # the scores of a later pass are not above those of an earlier one
            for id, score in zip(candidates.fused.ids, candidates.fused.scores, strict=True):
                key = id.ref if self._per_document else id
                if key not in seen:
                    seen.add(key)
                    placed = candidates.placed(id, min(score, ceiling))
                    lowest = min(lowest, placed.score)
                    if lowest < least:
                        return
                    yield placed
            if candidates.saw_everything:
                return

    def _candidates(self, depth: int) -> _Candidates:
        request = attrs.evolve(self._request, pool=depth)
        with self._timed("retrieve"):
            retrieved = self._plugins.retrieve(request, self._store, self._embedder, self.seconds)
        _add_new(self.reasons, retrieved.reasons)
        for plugin, seconds in retrieved.seconds.items():
            self.seconds[plugin] += seconds
        rankings = list(filter(len, retrieved.rankings))
        fused = Ranking(FUSED)
        if rankings:
            with self._timed("fuse"):
                fused = self._plugins.fuse(request, rankings, self._store)
            for step, seconds in fused.seconds.items():
                self.fusing[step] += seconds
        return _Candidates(fused, rankings, retrieved.saw_everything)


class _Candidates:
    """The candidates of one pass. saw_everything: no retriever has more candidates."""

    def __init__(self, fused: Ranking, rankings: Sequence[Ranking], saw_everything: bool) -> None:
        self.fused = fused
        self._fused_places = dict(zip(fused.ids, count(), strict=False)) if fused.parts else {}
        self.saw_everything = saw_everything
        self._places = []
        for ranking in rankings:
            places = dict(zip(ranking.ids, count(), strict=False))
            self._places.append((ranking, places))

    def placed(self, id: ChunkId, score: float) -> Placed:
        """A chunk of the order, with its rank and score by each retriever that listed it."""
        ranks: dict[str, int] = {}
        scores: dict[str, float] = {}
        for ranking, places in self._places:
            place = places.get(id)
            if place is not None:
                ranks[ranking.source] = place + 1
                scores[ranking.source] = ranking.scores[place]
        at = self._fused_places.get(id, 0)
        parts = {step: values[at] for step, values in self.fused.parts.items()}
        return Placed(id, score, ranks, scores, parts)


RERANKED = 50
"""Hits that a reranker gets at once: always the same ones, whatever page is wanted."""
MAX_LIMIT = 10_000
"""Most hits that one search may reach, including the offset."""
_ONLY_EXCLUDED = "the query says only what to leave out, so there is nothing to look for"
MAX_QUERY = 100_000
"""Longest query, in characters."""


@attrs.frozen
class QueryReading:
    """How a query is read; see `SemanticCore.search`. Raises InputError."""

    syntax: Syntax = "plain"
    fields: Sequence[str] = ()
    typos: Typos = "suggest"

    def __attrs_post_init__(self) -> None:
        for name, value, known in (
            ("syntax", self.syntax, SYNTAXES),
            ("typos", self.typos, TYPOS),
        ):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {clip(value)}.")
        if isinstance(self.fields, str):
            raise InputError(f"fields must be a list of names, got the str {self.fields!r}.")
        for field in self.fields:
            check_metadata_key(field)


class Search:
    """The searches of one client. per_document: only the best chunk of each document; otherwise
    every chunk. analyser: splits queries and texts into words where they are marked or corrected.
    """

    def __init__(
        self,
        plugins: Plugins,
        store: Store,
        embedder: Embedder,
        cost_tracker: CostTracker,
        analyser: Analyser,
        *,
        per_document: bool,
    ) -> None:
        self._plugins = plugins
        self._store = store
        self._per_document = per_document
        self._analyser = analyser
        self._new_search = partial(
            _OneSearch,
            plugins,
            store,
            embedder,
            cost_tracker,
            analyser,
            per_document=per_document,
        )

    def read(self, request: SearchRequest, reading: QueryReading) -> SearchResults:
        """The results of a request whose text is the query as it was typed.

        Raises InputError for a query with conditions if the store does not apply them; else as
        `run`.
        """
        request = self._as_read(request, request.text, reading)
        _check(request)
        started = perf_counter()
        better = None
        if reading.typos != "ignore" and request.mode != "vector":
            better = corrected(request.query, self._store, request.scope, self._analyser)
        spent = round((perf_counter() - started) * 1000, 3)
        if better is None:
            return self.run(request)
        if reading.typos == "suggest":
            results = attrs.evolve(self.run(request), did_you_mean=better)
        else:
            typed = request.query.typed
            results = self.run(self._as_read(request, better, reading))
            results = attrs.evolve(results, query=typed, corrected=better)
        total = round(results.timings.get("total", 0.0) + spent, 3)
        return attrs.evolve(results, timings={**results.timings, "correct": spent, "total": total})

    def _as_read(self, request: SearchRequest, typed: str, reading: QueryReading) -> SearchRequest:
        """The request with this query as it is understood, and its conditions in the scope."""
        if reading.syntax == "plain" or not isinstance(typed, str):
            return attrs.evolve(request, text=typed)
        query = parse_query(typed, syntax=reading.syntax, fields=reading.fields)
        if query.conditions and not isinstance(self._store, TextFilter):
            raise InputError(
                f"{type(self._store).__name__} applies no conditions on words, and the query has "
                f"some: {clip(typed)}.",
                hint='Use syntax="plain", or a store that is a TextFilter.',
            )
        scope = attrs.evolve(request.scope, text=query.conditions)
        return attrs.evolve(request, text=query.words, parsed=query, scope=scope)

    def run(self, request: SearchRequest) -> SearchResults:
        """The results, with the middleware of plugins around the search itself.

        Raises InputError for an invalid query, mode, limit or offset; StoreError; TenantRequired;
        EmbedderError for an embedder that fails if the store has no full-text search; HookFailed
        for middleware, a fusion or a reranker that fails.
        """
        _check(request)
        started = perf_counter()
        results = self._plugins.search(
            request, self._once, self._store, per_document=self._per_document
        )
        total = round((perf_counter() - started) * 1000, 3)
        return attrs.evolve(results, timings={**results.timings, "total": total})

    def _once(self, request: SearchRequest) -> SearchResults:
        """The results without middleware."""
        _check(request)
        return self._new_search().run(request)


class _OneSearch:
    """One search, which runs once."""

    def __init__(
        self,
        plugins: Plugins,
        store: Store,
        embedder: Embedder,
        cost_tracker: CostTracker,
        analyser: Analyser,
        *,
        per_document: bool,
    ) -> None:
        self._plugins = plugins
        self._store = store
        self._embedder = embedder
        self._analyser = analyser
        self._cost_tracker = cost_tracker
        self._per_document = per_document
        self._reasons: list[str] = []
        self._timings: defaultdict[str, float] = defaultdict(float)
        self._order: Order | None = None

    def run(self, request: SearchRequest) -> SearchResults:
        """See `Search.run`."""
        offset = request.offset
        limit = request.limit
        total = Total(0, False)
        facets: Mapping[str, Sequence[FacetCount]] = {}
        if not request.text.strip():
            return SearchResults(
                request.query.typed,
                (),
                request.mode,
                True,
                _ONLY_EXCLUDED,
                total=0 if request.total else None,
                total_is_exact=request.total,
            )
        with self._timed("total"):
            with self._timed("embed"):
                vector, used = self._vector(request)
            request = attrs.evolve(
                request,
                mode=used,
                pool=DEPTHS[0],
                vector=vector,
                coverage=self._coverage(request.text, used),
            )
            hits = self._answer(request, offset + limit)
            if request.total or request.facets:
                with self._store.snapshot():
                    total, facets = self._of_all(request)
        return SearchResults(
            query=request.query.typed,
            hits=tuple(hits[offset : offset + limit]),
            mode=used,
            degraded=bool(self._reasons),
            reason="; ".join(self._reasons),
            timings={step: round(spent * 1000, 3) for step, spent in self._timings.items()},
            total=total.documents if request.total else None,
            total_is_exact=total.is_exact,
            facets=facets,
        )

    def _of_all(self, request: SearchRequest) -> tuple[Total, Mapping[str, Sequence[FacetCount]]]:
        """Total and facets of all documents, as far as they were asked for. The total is not exact
        if a plugin may leave some of them out.

        With a least score these are the documents that reach it, as far as a search reaches.
        """
        total = Total(0, False)
        listed: Sequence[Placed] = ()
        if request.min_score and self._order is not None:
            listed = self._order.first(MAX_LIMIT + 1)
            request = only_these(request, [one.id.ref for one in listed])
        facets: Mapping[str, Sequence[FacetCount]] = {}
        if request.total:
            with self._timed("count"):
                if request.min_score and self._order is not None:
                    documents = len({one.id.ref for one in listed})
                    total = Total(documents, len(listed) <= MAX_LIMIT)
                else:
                    total = total_of(request, self._store)
                    total = total._replace(is_exact=total.is_exact and not request.min_score)
                total = total._replace(is_exact=total.is_exact and not self._plugins.reranks)
        if request.facets:
            with self._timed("facets"):
                facets = facets_of(request, self._store)
        return total, facets

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self._timings[step] += perf_counter() - started

    def _vector(self, request: SearchRequest) -> tuple[Vector | None, Mode]:
        """The query's vector, if the mode needs one and the embedder answers, and the mode that is
        possible with it. A vector that middleware has given is used as it is.
        """
        mode = request.mode
        if request.order_by:  # only what holds a word is listed, so meaning has no say in it
            if mode == "vector":
                raise InputError(
                    "In a vector search every document has a distance, and none can be left out: "
                    "order_by would list them all.",
                    hint='Use mode="text" or "hybrid", which list documents with a word.',
                )
            mode = "text"
        has_text_search = isinstance(self._store, TextSearch)
        if not has_text_search and mode != "vector":
            if mode == "text":
                raise InputError("This store has no full-text search.", hint='Use mode="vector".')
            self._reasons.append("this store has no full-text search")
            mode = "vector"
        if mode == "text":
            return None, mode
        if isinstance(self._embedder, WordsOnly):
            if mode == "vector":
                raise InputError(
                    "This index has no embedder, so there is only full-text search.",
                    hint='Use mode="text", or create an index with an embedder.',
                )
            return None, "text"
        if request.vector is not None:
            return checked_vector(request.vector, self._embedder.space), mode
        scope = request.scope
        try:
            vector = self._cost_tracker.embed_query(
                request.text, scope.tenant, _only(scope.collections)
            )
            return checked_vector(vector, self._embedder.space), mode
        except Exception as error:  # third-party code; the results report the reason
            if is_interruption(error):
                raise
            reason = described(error)
            if not has_text_search:
                raise EmbedderError(f"The query could not be embedded: {reason}") from error
            self._reasons.append(
                f"the query could not be embedded ({reason}); answered by full-text search alone"
            )
            return None, "text"

    def _coverage(self, text: str, used: Mode) -> float:
        """How well the embedder covers the query; 1 if it does not say, or it does not matter."""
        if used != "hybrid" or not isinstance(self._embedder, CoversTexts):
            return 1.0
        try:
            return float(self._embedder.coverage([text])[0])
        except Exception as error:  # third-party code; the results report the reason
            if is_interruption(error):
                raise
            self._reasons.append(f"the coverage of the query is unknown ({described(error)})")
            return 1.0

    def _answer(self, request: SearchRequest, count: int) -> list[SearchHit]:
        """The first hits, this many; fewer only if there are no more."""
        self._marker = QueryMarker(request.query, self._analyser)
        request = attrs.evolve(request, marker=self._marker)
        if request.order_by:
            return self._by_field(request, count)
        order = Order(
            request,
            self._plugins,
            self._store,
            self._embedder,
            self._timed,
            per_document=self._per_document,
        )
        self._order = order
        if self._plugins.reranks:
            hits = self._reranked(request, order, count)
        else:
            hits = list(chain.from_iterable(self._blocks(order, 0, count, count)))
        _add_new(self._reasons, order.reasons)
        for plugin, seconds in order.seconds.items():
            self._timings[f"retrieve by {plugin}"] = seconds
        for step, seconds in order.fusing.items():
            self._timings[f"fuse by {step}"] = seconds
        return hits

    def _by_field(self, request: SearchRequest, count: int) -> list[SearchHit]:
        """The first hits in the order of a field, this many, without those that rerankers leave
        out; a reranker does not change the order.
        """
        hits: list[SearchHit] = []
        start = 0
        size = RERANKED if self._plugins.reranks else count
        while len(hits) < count:
            with self._store.snapshot():
                with self._timed("retrieve"):
                    found = by_field(request, self._store, size, start)
                scores = words_relevance([one.score for one in found], request, self._store)
                placed = []
                for one, score in zip(found, scores, strict=True):
                    if score >= request.min_score:
                        placed.append(Placed(one.id, score, {}, {WORDS: one.score}))
                with self._timed("fetch"):
                    block = self._hits(placed)
            if self._plugins.reranks and block:
                with self._timed("rerank"):
                    left = {hit.id: hit for hit in self._reranked_block(request, block)}
                block = [left[hit.id] for hit in block if hit.id in left]
            hits += block
            if len(found) < size:
                break
            start += size
        return hits

    def _reranked(self, request: SearchRequest, order: Order, count: int) -> list[SearchHit]:
        """The first hits, this many, that rerankers leave of every block, up to a block of which
        they leave none.

        The blocks do not depend on the page, so pages fit together. Usually all blocks are fetched
        at once; if hits were removed, more blocks are fetched in a later snapshot.
        """
        hits: list[SearchHit] = []
        start = 0
        while len(hits) < count:
            stop = start + ceil((count - len(hits)) / RERANKED) * RERANKED
            blocks = self._blocks(order, start, stop, RERANKED)
            for block in filter(None, blocks):
                with self._timed("rerank"):
                    left = self._reranked_block(request, block)
                if not left:
                    return hits
                hits += left
            if len(order.first(stop)) < stop:
                return hits
            start = stop
        return hits

    def _reranked_block(self, request: SearchRequest, block: list[SearchHit]) -> list[SearchHit]:
        left, reasons = self._plugins.rerank(request, block, self._store)
        _add_new(self._reasons, reasons)
        if request.order_by:
            return left
        scores = falling([hit.score for hit in left])
        return [
            hit if hit.score == score else attrs.evolve(hit, score=score)
            for hit, score in zip(left, scores, strict=True)
        ]

    def _blocks(self, order: Order, start: int, stop: int, size: int) -> list[list[SearchHit]]:
        """The hits from `start` to `stop`, in blocks of this size, all of one state."""
        with self._store.snapshot():
            placed = order.first(stop)[start:]
            with self._timed("fetch"):
                firsts = range(0, len(placed), size)
                return [self._hits(placed[first : first + size]) for first in firsts]

    def _hits(self, placed: Sequence[Placed]) -> list[SearchHit]:
        """The hits of these chunks; a chunk that is not in the store is left out."""
        by_id = {one.id: one for one in placed}
        hits = []
        for stored in self._store.fetch([one.id for one in placed]):
            chunk = stored.chunk
            one = by_id[chunk.id]
            hits.append(
                SearchHit(
                    ref=chunk.id.ref,
                    position=chunk.id.position,
                    title=stored.title,
                    headings=chunk.headings,
                    text=chunk.text,
                    start=chunk.start,
                    end=chunk.end,
                    score=one.score,
                    ranks=one.ranks,
                    scores=one.scores,
                    kind=chunk.kind,
                    metadata=stored.metadata,
                    updated_at=stored.updated_at,
                    parts=one.parts,
                    marker=self._marker,
                )
            )
        return hits


def _add_new(reasons: list[str], more: Sequence[str]) -> None:
    """Add the reasons that are not in the list yet."""
    for reason in more:
        if reason not in reasons:
            reasons.append(reason)


def _only(collections: Sequence[str] | None) -> str:
    """The collection, if there is only one; else ""."""
    return collections[0] if collections is not None and len(collections) == 1 else ""


def _check(request: SearchRequest) -> None:
    check_unicode("The query", request.text)
    text = request.query.typed
    if not text.strip():
        raise InputError("The query is empty.", hint="Write what to search for.")
    if len(text) > MAX_QUERY:
        raise QueryTooLarge(f"The query has {len(text):,} characters, the most is {MAX_QUERY:,}.")
    if request.mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}, got {clip(request.mode)}.")
    check_score("min_score", request.min_score)
    reach = check_count("limit", request.limit, 1) + check_count("offset", request.offset)
    if reach > MAX_LIMIT:
        raise QueryTooLarge(f"offset + limit is {reach:,}, the most is {MAX_LIMIT:,}.")
