"""What the kernel does itself, as plugins that answer last.

What a default does, any plugin can do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from semantic_core._fusion import fuse_scores
from semantic_core._memory import open_memory
from semantic_core._text import passages, split_text
from semantic_core.hookspecs import hookimpl
from semantic_core.protocols import Store, TextScores, TextSearch, TitleSearch

if TYPE_CHECKING:
    from semantic_core.types import (
        Chunk,
        ChunkId,
        Document,
        Ranking,
        SearchHit,
        SearchRequest,
    )

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


class VectorLane:
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
    """Adds standardised scores, once every candidate has its true score in each lane.

    Hits stay so.
    """

    @hookimpl(trylast=True)
    def semantic_fuse(
        self, request: SearchRequest, rankings: Sequence[Ranking], store: Store
    ) -> Ranking:
        """See `fuse_scores`. In text and vector mode a lane that is alone comes back as it is."""
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
    """What the lane of a ranking gives candidates it did not list; None if that cannot be known."""
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
        ("core.vector", VectorLane()),
        ("core.words", WordLane()),
        ("core.title", TitleLane()),
        ("core.fusion", ScoreFusion()),
    )
