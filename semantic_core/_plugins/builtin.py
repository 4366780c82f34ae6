"""What the kernel does itself, as plugins that answer last.

What a default does, any plugin can do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import exp, isfinite, nan, sqrt
from operator import add
from typing import TYPE_CHECKING

from semantic_core._memory.store import open_memory
from semantic_core._text import passages, split_text
from semantic_core.hookspecs import hookimpl
from semantic_core.protocols import Store, TextScores, TextSearch, TitleSearch
from semantic_core.types import ChunkId, Ranking

if TYPE_CHECKING:
    from semantic_core.types import (
        Chunk,
        ChunkId,
        Document,
        Ranking,
        SearchHit,
        SearchRequest,
    )


# One ranking out of several.

SOURCE = "fused"
"""Source of a ranking made of several."""
TITLE = "title"
"""Source of the ranking of documents by their titles; see `protocols.TitleSearch`."""

DIGITS = 9
"""Decimals of a sum of z-scores that count: a store may add up one score in another order when it
is asked again, and what differs by rounding alone must not change places from page to page."""


TrueScores = Callable[[Ranking, Sequence[ChunkId]], Sequence[float] | None]
"""What a retriever gives candidates that its ranking does not list, NaN for one it cannot score;
None if it can score none of them.
"""


def candidates(rankings: Sequence[Ranking]) -> list[ChunkId]:
    """Every id of any ranking, once, in order of first appearance."""
    return list(dict.fromkeys(chain.from_iterable(ranking.ids for ranking in rankings)))


def no_scores(ranking: Ranking, others: Sequence[ChunkId]) -> None:
    """No retriever can score what it did not list."""


def fuse_scores(rankings: Sequence[Ranking], true_scores: TrueScores = no_scores) -> Ranking:
    """Sum of z-scores: each retriever's scores over all candidates are brought to mean 0 and
    deviation 1, then added. Keeps how clear-cut a retriever is, which ranks alone throw away
    (standardised CombSUM: Fox and Shaw 1994; Wu, Crestani and Bi 2006).

    rankings: retrievers of equal weight, at least one. true_scores: asked once for each retriever
    that did not list every candidate. A NaN is replaced by the retriever's lowest score. A
    retriever that cannot score others: see `_unlisted`.

    A ranking called "title" is no retriever among others: its score, from 0 to 1, adds that part of
    the distance between the best and the worst of all candidates; those of score 1, called exactly
    like the query, come last to it, so they stand before all that are not.

    The sum is shown through the logistic function: a score lies in [0, 1], and 0.5 is the middle of
    the candidates. Ties by title, then by ChunkId.
    """
    ids = candidates(rankings)
    places = {id: place for place, id in enumerate(ids)}
    total = [0.0] * len(ids)
    named = [0.0] * len(ids)
    for ranking in rankings:
        listed = [places[id] for id in ranking.ids]
        if ranking.source == TITLE:
            for place, score in zip(listed, ranking.scores, strict=True):
                named[place] = min(1.0, max(0.0, score))
        else:
            values = _standardised(_scores(ranking, listed, ids, true_scores))
            total = list(map(add, total, values))
    total = [round(value, DIGITS) for value in total]
    if any(named):
        total = _lifted(total, [share if share < 1 else 0.0 for share in named])
        total = _lifted(total, [share if share == 1 else 0.0 for share in named])
    order = sorted(range(len(ids)), key=lambda place: (-total[place], -named[place], ids[place]))
    return Ranking(
        SOURCE,
        tuple([ids[place] for place in order]),
        tuple([_logistic(total[place]) for place in order]),
    )


def _lifted(total: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Each raised by that share of the distance between the best and the worst; at 1,
    at least to the best.
    """
    best = max(total)
    spread = best - min(total)
    lifted = [value + share * spread for value, share in zip(total, shares, strict=True)]
    return [
        max(best, value) if share == 1 else value
        for value, share in zip(lifted, shares, strict=True)
    ]


def _scores(
    retriever: Ranking, listed: Sequence[int], ids: Sequence[ChunkId], true_scores: TrueScores
) -> list[float]:
    """What a retriever gives each candidate. listed: the places in `ids` of those it lists."""
    scores = [nan] * len(ids)
    for place, score in zip(listed, retriever.scores, strict=True):
        scores[place] = score
    if len(listed) == len(ids):
        return scores
    others = sorted(set(range(len(ids))).difference(listed))
    found = true_scores(retriever, [ids[place] for place in others])
    if found is None:
        found = [_unlisted(retriever)] * len(others)
    for place, score in zip(others, found, strict=True):
        scores[place] = score
    lowest = min(filter(isfinite, scores), default=0.0)
    return [score if isfinite(score) else lowest for score in scores]


def _unlisted(retriever: Ranking) -> float:
    """What counts for a candidate that a retriever did not list and cannot score: always less than
    what it listed. 0 where all it listed is above 0; else as far below its lowest as its best is
    above.
    """
    lowest = min(retriever.scores)
    highest = max(retriever.scores)
    if lowest > 0:
        return 0.0
    return lowest - ((highest - lowest) or 1.0)


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -700 else 0.0


def _standardised(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    if deviation < 1e-12 * max(1.0, abs(mean)):  # all alike: this retriever has nothing to say
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]


VECTOR = "vector"
"""Source of the rankings by meaning; stores name them so."""
WORDS = "words"
"""Source of the rankings by words; stores name them so."""


class PlainText:
    """Cuts any text at paragraphs, sentences, words; title and headings are its context."""

    @hookimpl(trylast=True)
    def semantic_describe(self, document: Document) -> Document:
        """Nothing to read in plain text."""
        return document

    @hookimpl(trylast=True)
    def semantic_split(self, document: Document, max_chars: int) -> Sequence[Chunk]:
        """See `split_text`."""
        return split_text(document, max_chars)

    @hookimpl(trylast=True)
    def semantic_context(self, document: Document, chunks: Sequence[Chunk]) -> Sequence[str]:
        """See `passages`."""
        return passages(document, chunks)


class VectorRetriever:
    """Finds by meaning."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The nearest chunks; None in text mode and for a query without a vector."""
        if request.mode == "text" or request.vector is None:
            return None
        return store.nearest(request.vector, request.pool, request.scope)


class WordLane:
    """Finds by words."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The chunks with the words; None in vector mode and for a store that finds no words."""
        if request.mode == "vector" or not isinstance(store, TextSearch):
            return None
        return store.words(request.text, request.pool, request.scope)


class TitleLane:
    """Finds documents by what they are called."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The documents whose title is the query or begins with it; None outside of hybrid mode,
        for a store that does not search titles, and where there is no such document."""
        if request.mode != "hybrid" or not isinstance(store, TitleSearch):
            return None
        found = store.titled(request.text, request.pool, request.scope)
        return found if len(found) else None


class ScoreFusion:
    """Adds standardised scores, once every candidate has its true score in each retriever.

    Hits stay so.
    """

    @hookimpl(trylast=True)
    def semantic_fuse(
        self, request: SearchRequest, rankings: Sequence[Ranking], store: Store
    ) -> Ranking:
        """See `fuse_scores`. In text and vector mode a single ranking comes back as it is."""
        if len(rankings) == 1 and request.mode != "hybrid":
            return rankings[0]

        def true_scores(ranking: Ranking, others: Sequence[ChunkId]) -> Sequence[float] | None:
            return _true_scores(ranking, others, request, store)

        return fuse_scores(rankings, true_scores)

    @hookimpl(trylast=True)
    def semantic_rerank(
        self, request: SearchRequest, hits: Sequence[SearchHit]
    ) -> Sequence[SearchHit]:
        """The hits as they are."""
        return hits


def _true_scores(
    ranking: Ranking, others: Sequence[ChunkId], request: SearchRequest, store: Store
) -> Sequence[float] | None:
    """What the retriever of a ranking gives candidates it did not list; None if that cannot be
    known.
    """
    if ranking.source == VECTOR and request.vector is not None:
        return _numbers(store.similarity(others, request.vector))
    if ranking.source == WORDS and len(ranking) < request.pool:
        return [0.0] * len(others)  # it listed all that hold any of the words
    if ranking.source == WORDS and isinstance(store, TextScores):
        return _numbers(store.score(others, request.text))
    return None


def _numbers(scores: Iterable[float]) -> list[float]:
    """Numbers of Python: adding those of numpy takes longer."""
    return list(map(float, scores))


class Memory:
    """The store for first steps and tests: gone when the process ends."""

    @hookimpl(trylast=True)
    def semantic_stores(self) -> Mapping[str, Callable[..., Store]]:
        """{"memory": a MemoryStore}."""
        return {"memory": open_memory}


def default_plugins() -> tuple[tuple[str, object], ...]:
    """(name, plugin) of everything the kernel does itself."""
    return (
        ("core.memory", Memory()),
        ("core.text", PlainText()),
        ("core.vector", VectorRetriever()),
        ("core.words", WordLane()),
        ("core.title", TitleLane()),
        ("core.fusion", ScoreFusion()),
    )
