"""The kernel's own plugins, which answer last: any other plugin can answer instead.

They read text files, split plain text, write passages, retrieve by vectors, full text and titles,
and offer the store in memory and the analyser of words. `fusion` merges the rankings.

Tested by tests/contracts/test_reader_bites.py and tests/kernel/test_search.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from semantic_core._memory.store import open_memory
from semantic_core._plugins.fusion import ScoreFusion
from semantic_core._text import passages, split_text
from semantic_core.analysis import WORD_ANALYSER, WordAnalyser
from semantic_core.hookspecs import hookimpl
from semantic_core.protocols import Analyser, Store, TextSearch, TitleSearch

if TYPE_CHECKING:
    from semantic_core.types import Chunk, Document, FileContent, Ranking, SearchRequest

TEXTS = (".txt", ".text", ".rst", "text/plain")
"""Suffixes and the media type of files that are read as plain text."""
MARKDOWNS = (".md", ".markdown", ".mdown", "text/markdown")
"""Suffixes and the media type of Markdown, which a plugin for it reads and splits better."""

Reader = Callable[["FileContent"], "Document"]


def default_plugins() -> tuple[tuple[str, object], ...]:
    """(name, plugin) of everything that the kernel does itself."""
    return (
        ("core.memory", Memory()),
        ("core.text", PlainText()),
        ("core.analysis", Analysis()),
        ("core.vector", VectorRetriever()),
        ("core.words", TextRetriever()),
        ("core.title", TitleRetriever()),
        ("core.fusion", ScoreFusion()),
    )


class Memory:
    """Offers the store for first steps and tests, which is gone when the process ends."""

    @hookimpl(trylast=True)
    def semantic_stores(self) -> Mapping[str, Callable[..., Store]]:
        """{"memory": a MemoryStore}."""
        return {"memory": open_memory}


class Analysis:
    """Offers the analyser of words, which knows no language."""

    @hookimpl(trylast=True)
    def semantic_analysers(self) -> Mapping[str, Callable[..., Analyser]]:
        """{"words": a WordAnalyser}."""
        return {WORD_ANALYSER: word_analyser}


def word_analyser(languages: Sequence[str]) -> WordAnalyser:
    """The `WordAnalyser`, whatever the languages are."""
    return WordAnalyser()


class PlainText:
    """Reads text files; splits any text at paragraphs, sentences and words; title and headings are
    its context.
    """

    @hookimpl(trylast=True)
    def semantic_readers(self) -> Mapping[str, Reader]:
        """See `read_text` and `read_markdown`."""
        return {**dict.fromkeys(TEXTS, read_text), **dict.fromkeys(MARKDOWNS, read_markdown)}

    @hookimpl(trylast=True)
    def semantic_describe(self, document: Document) -> Document:
        """The document itself: plain text has no front matter."""
        return document

    @hookimpl(trylast=True)
    def semantic_split(self, document: Document, max_chars: int) -> Sequence[Chunk]:
        """See `split_text`."""
        return split_text(document, max_chars)

    @hookimpl(trylast=True)
    def semantic_context(self, document: Document, chunks: Sequence[Chunk]) -> Sequence[str]:
        """See `passages`."""
        return passages(document, chunks)


def read_text(file: FileContent) -> Document:
    """The document of a text file. Its title is the name of the file; its media type the one that
    the caller gave, if that is one of text.
    """
    given = file.media_type.startswith("text/")
    media_type = file.media_type if given else "text/plain"
    return file.document(file.text(), title=file.stem, media_type=media_type)


def read_markdown(file: FileContent) -> Document:
    """The document of a Markdown file, without a title: that is in the text."""
    return file.document(file.text(), media_type="text/markdown")


class VectorRetriever:
    """Vector search."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The nearest chunks; None in text mode and for a query without a vector."""
        if request.mode == "text" or request.vector is None:
            return None
        return store.nearest(request.vector, request.pool, request.scope)


class TextRetriever:
    """Full-text search."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The chunks that contain words of the query; None in vector mode and for a store without
        full-text search.
        """
        if request.mode == "vector" or not isinstance(store, TextSearch):
            return None
        return store.words(request.text, request.pool, request.scope)


class TitleRetriever:
    """Search of documents by their titles."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The documents whose title is the query or begins with it; None outside of hybrid mode,
        for a store that does not search titles, and if there is no such document."""
        if request.mode != "hybrid" or not isinstance(store, TitleSearch):
            return None
        ranking = store.titled(request.text, request.pool, request.scope)
        return ranking if len(ranking) else None
