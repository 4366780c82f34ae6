"""What the kernel does itself, as plugins that answer last. What a default does, any plugin can do instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from semantic_core._fusion import candidates, fuse_scores
from semantic_core._memory import open_memory
from semantic_core._text import passages, split_text
from semantic_core.hookspecs import hookimpl
from semantic_core.protocols import Store, TextSearch

if TYPE_CHECKING:
    from semantic_core.types import Chunk, Document, Ranking, SearchHit, SearchRequest

VECTOR = "vector"
"""Source of the rankings by meaning; stores name them so."""


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


class ScoreFusion:
    """Adds standardised scores; candidates of other lanes get their exact similarity first. Hits stay in that order."""

    @hookimpl(trylast=True)
    def semantic_fuse(self, request: SearchRequest, rankings: Sequence[Ranking], store: Store) -> Ranking:
        """See `fuse_scores`."""
        exact: dict[str, Mapping[object, float]] = {}
        for ranking in rankings:
            if ranking.source == VECTOR and request.vector is not None and len(rankings) > 1:
                listed = set(ranking.ids)
                others = [id for id in candidates(rankings) if id not in listed]
                similarity = store.similarity(others, request.vector)
                exact[VECTOR] = dict(zip(others, map(float, similarity), strict=True))
        return fuse_scores(rankings, exact)  # type: ignore[arg-type]

    @hookimpl(trylast=True)
    def semantic_rerank(self, request: SearchRequest, hits: Sequence[SearchHit]) -> Sequence[SearchHit]:
        """The hits as they are."""
        return hits


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
        ("core.fusion", ScoreFusion()),
    )
