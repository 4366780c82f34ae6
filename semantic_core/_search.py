"""Search: query -> vector -> candidates of every retriever -> one order -> a page of hits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count, islice
from math import ceil, inf
from time import perf_counter
from typing import TYPE_CHECKING

import attrs

from semantic_core._no_embedder import WordsOnly
from semantic_core._plugins.builtin import SOURCE
from semantic_core._validation import check_count, check_unicode, clip
from semantic_core._vectors import checked_vector
from semantic_core.errors import (
    EmbedderError,
    InputError,
    QueryTooLarge,
    SemanticCoreError,
    is_interruption,
)
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
    from semantic_core._costs import CostTracker
    from semantic_core._plugins.host import Plugins
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Vector


# The order of everything one search can reach, worked out from the top as far as it is asked for.
#
# It is made in looks of fixed depths. What a look finds that those before did not see stands behind
# all of theirs, in the order fusion gives it. How deep a look goes never depends on the page that
# is wanted: so every page is a slice of one order, whatever retrievers and fusion do, as long as
# they answer the same question alike.

LOOKS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
"""Candidates each retriever gives at most, look by look. A document of more chunks than the last
may crowd out others.
"""


@attrs.frozen
class Placed:
    """A chunk in its place. ranks, scores: of the retrievers that listed it in the
    look that found it.
    """

    id: ChunkId
    score: float
    ranks: Mapping[str, int]
    scores: Mapping[str, float]


class Order:
    """The order of one request. per_document: the best chunk of each document;
    otherwise every chunk.

    timed: gives a context in which the step of that name is timed. reasons: why retrievers were
    left out, each once. spent: seconds by plugin that retrieves.
    """

    def __init__(
        self,
        request: SearchRequest,
        plugins: Plugins,
        store: Store,
        timed: Callable[[str], AbstractContextManager[None]],
        *,
        per_document: bool,
    ) -> None:
        self.reasons: list[str] = []
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._request = request
        self._plugins = plugins
        self._store = store
        self._timed = timed
        self._per_document = per_document
        self._placed: list[Placed] = []
        self._further = self._all()

    def first(self, wanted: int) -> Sequence[Placed]:
        """The first so many; fewer only if there are no more."""
        self._placed += islice(self._further, max(0, wanted - len(self._placed)))
        return self._placed[:wanted]

    def _all(self) -> Iterator[Placed]:
        """Every one, look by look; a look is made when it is needed."""
        seen: set[ChunkId | Ref] = set()
        lowest = inf
        for depth in LOOKS:
            look = self._look(depth)
            ceiling = lowest  # what a later look finds never stands above by its score
            for id, score in zip(look.fused.ids, look.fused.scores, strict=True):
                key = id.ref if self._per_document else id
                if key not in seen:
                    seen.add(key)
                    placed = look.placed(id, min(score, ceiling))
                    lowest = min(lowest, placed.score)
                    yield placed
            if look.saw_everything:
                return

    def _look(self, depth: int) -> _Look:
        request = attrs.evolve(self._request, pool=depth)
        with self._timed("retrieve"):
            found = self._plugins.retrieve(request, self._store)
        self.reasons += [reason for reason in found.reasons if reason not in self.reasons]
        for plugin, spent in found.spent.items():
            self.spent[plugin] += spent
        rankings = [ranking for ranking in found.rankings if len(ranking)]
        fused = Ranking(SOURCE)
        if rankings:
            with self._timed("fuse"):
                fused = self._plugins.fuse(request, rankings, self._store)
        return _Look(fused, rankings, found.saw_everything)


class _Look:
    """What one look found. saw_everything: no retriever has more to give."""

    def __init__(self, fused: Ranking, rankings: Sequence[Ranking], saw_everything: bool) -> None:
        self.fused = fused
        self.saw_everything = saw_everything
        self._places = [
            (ranking, dict(zip(ranking.ids, count(), strict=False))) for ranking in rankings
        ]

    def placed(self, id: ChunkId, score: float) -> Placed:
        """A chunk of the order, with what each retriever that listed it said."""
        ranks: dict[str, int] = {}
        scores: dict[str, float] = {}
        for ranking, places in self._places:
            place = places.get(id)
            if place is not None:
                ranks[ranking.source] = place + 1
                scores[ranking.source] = ranking.scores[place]
        return Placed(id, score, ranks, scores)


RERANKED = 50
"""Hits a reranker is shown at once: always the same ones, whatever page is wanted."""
MAX_LIMIT = 10_000
"""Most hits one search may reach, offset included."""
MAX_QUERY = 100_000
"""Longest query, in characters."""


class Search:
    """One search. per_document: the best chunk of each document;
    otherwise every chunk for itself.
    """

    def __init__(
        self,
        plugins: Plugins,
        store: Store,
        embedder: Embedder,
        till: CostTracker,
        *,
        per_document: bool,
    ) -> None:
        self._plugins = plugins
        self._store = store
        self._embedder = embedder
        self._till = till
        self._per_document = per_document
        self._reasons: list[str] = []
        self._timings: defaultdict[str, float] = defaultdict(float)

    def run(self, text: str, *, scope: Scope, mode: Mode, limit: int, offset: int) -> SearchResults:
        """The answer.

        Raises InputError for a query, mode, limit or offset that cannot be meant; StoreError;
        TenantRequired; EmbedderError where words cannot stand in for an embedder that fails;
        HookFailed for a fusion or a reranker that fails.
        """
        _check(text, mode, limit, offset)
        with self._timed("total"):
            with self._timed("embed"):
                vector, used = self._vector(text, mode, scope)
            request = SearchRequest(text, scope, used, limit, offset, LOOKS[0], vector)
            hits = self._answer(request, offset + limit)
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

    def _vector(self, text: str, mode: Mode, scope: Scope) -> tuple[Vector | None, Mode]:
        """The query's vector, if one is wanted and can be had,
        and the mode that is then possible.
        """
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
            asked = self._till.embed_query(text, scope.tenant, _only(scope.collections))
            return checked_vector(asked, self._embedder.space), mode
        except Exception as error:  # third-party code; the answer says what happened
            if is_interruption(error):
                raise
            reason = (
                str(error)
                if isinstance(error, SemanticCoreError)
                else f"{type(error).__name__}: {error}"
            )
            if not finds_words:
                raise EmbedderError(f"The query could not be embedded: {reason}") from error
            self._reasons.append(
                f"the query could not be embedded ({reason}); answered by words alone"
            )
            return None, "text"

    def _answer(self, request: SearchRequest, count: int) -> list[SearchHit]:
        """The first so many hits; fewer only if there are no more."""
        order = Order(
            request, self._plugins, self._store, self._timed, per_document=self._per_document
        )
        if self._plugins.reranks:
            hits = self._reranked(request, order, count)
        else:
            hits = [hit for block in self._blocks(order, 0, count, count) for hit in block]
        self._reasons += [reason for reason in order.reasons if reason not in self._reasons]
        self._timings.update({f"retrieve by {name}": spent for name, spent in order.spent.items()})
        return hits

    def _reranked(self, request: SearchRequest, order: Order, count: int) -> list[SearchHit]:
        """The first so many of what rerankers make of every block,
        up to one of which they leave nothing.

        What they see of a block never depends on the page, so pages of what they leave fit
        together.
        Usually all blocks are fetched at once; if hits were taken away, more are, in a later
        snapshot.
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
        left, reasons = self._plugins.rerank(request, block)
        self._reasons += [reason for reason in reasons if reason not in self._reasons]
        return left

    def _blocks(self, order: Order, start: int, stop: int, size: int) -> list[list[SearchHit]]:
        """The hits from one place to another, in blocks of a size that begin at `start`;
        all of one state.
        """
        with self._store.snapshot():
            placed = order.first(stop)[start:]
            with self._timed("fetch"):
                firsts = range(0, len(placed), size)
                return [self._hits(placed[first : first + size]) for first in firsts]

    def _hits(self, placed: Sequence[Placed]) -> list[SearchHit]:
        """What the store has of these chunks; one that is not there is left out."""
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
                )
            )
        return hits


def _only(collections: Sequence[str] | None) -> str:
    """The collection, if it is one."""
    return collections[0] if collections is not None and len(collections) == 1 else ""


def _check(text: object, mode: object, limit: object, offset: object) -> None:
    if not check_unicode("The query", text).strip():
        raise InputError("The query is empty.", hint="Say what to look for.")
    if len(str(text)) > MAX_QUERY:
        raise QueryTooLarge(
            f"The query has {len(str(text)):,} characters, the most is {MAX_QUERY:,}."
        )
    if mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}, got {clip(mode)}.")
    reach = check_count("limit", limit, 1) + check_count("offset", offset)
    if reach > MAX_LIMIT:
        raise QueryTooLarge(f"offset + limit is {reach:,}, the most is {MAX_LIMIT:,}.")
