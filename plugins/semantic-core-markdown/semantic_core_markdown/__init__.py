"""Markdown for Semantic Core: reads its files, splits along headings and blocks, and reads front
matter.

It handles documents of media type ``text/markdown`` (or ``text/x-markdown``). Rooms: `sections`
(blocks to chunks), `outline` (a text as blocks), `fast_lexer` and `markdown_it_rules` (two ways to
find blocks), `blocks`, `text_splitting` (a long block in parts), `headings`, `passages` (what is
embedded), `metadata` (front matter and title).

Tested by tests/test_contract.py and tests/test_sections.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from semantic_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from semantic_core.types import Chunk, Document, FileContent

__all__ = [
    "MEDIA_TYPES",
    "SUFFIXES",
    "read",
    "semantic_context",
    "semantic_describe",
    "semantic_readers",
    "semantic_split",
]

SEMANTIC_CORE_API = 1
MEDIA_TYPES = frozenset({"text/markdown", "text/x-markdown"})
"""Media types of Markdown; parameters after a semicolon are ignored."""
SUFFIXES = (".md", ".markdown", ".mdown")
"""How the names of Markdown files end."""


@hookimpl
def semantic_readers() -> Mapping[str, Callable[[FileContent], Document]]:
    """Read files ending in one of SUFFIXES as Markdown."""
    return dict.fromkeys([*SUFFIXES, *sorted(MEDIA_TYPES)], read)


def read(file: FileContent) -> Document:
    """The document of a Markdown file; title and metadata are in its text. Raises FileUnreadable
    for a file that is binary or in another encoding than UTF-8.
    """
    return file.document(file.text(), media_type="text/markdown")


@hookimpl
def semantic_describe(document: Document) -> Document | None:
    """Read metadata, title and language from the front matter; None for another media type.

    Without a title there, the first heading of level 1 is the title.
    """
    if not _is_markdown(document):
        return None
    from semantic_core_markdown.metadata import describe

    return describe(document)


@hookimpl
def semantic_split(document: Document, max_chars: int) -> Sequence[Chunk] | None:
    """Split along headings and blocks; None for another media type.

    [] for a document that has only front matter and white space.
    """
    if not _is_markdown(document):
        return None
    from semantic_core.types import Chunk, ChunkId
    from semantic_core_markdown.sections import pieces

    chunks = []
    for position, piece in enumerate(pieces(document.text, max_chars)):
        chunk = Chunk(
            id=ChunkId(document.ref, position),
            text=document.text[piece.start : piece.end],
            start=piece.start,
            end=piece.end,
            kind=piece.kind,
            headings=piece.headings,
            metadata=piece.metadata,
        )
        chunks.append(chunk)
    return chunks


@hookimpl
def semantic_context(document: Document, chunks: Sequence[Chunk]) -> Sequence[str] | None:
    """Return title, heading path and text of each chunk; None for another media type."""
    if not _is_markdown(document):
        return None
    from semantic_core_markdown.passages import passages

    return passages(document.title, chunks)


def _is_markdown(document: Document) -> bool:
    return document.media_type.partition(";")[0].strip().lower() in MEDIA_TYPES
