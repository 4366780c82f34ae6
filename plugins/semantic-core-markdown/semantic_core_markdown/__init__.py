"""Markdown for Semantic Core: cut along its structure, found with its headings,
described by its front matter.

Takes documents of media type ``text/markdown`` (or ``text/x-markdown``); leaves all others to
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from semantic_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from semantic_core.types import Chunk, Document

__all__ = ["MEDIA_TYPES", "semantic_context", "semantic_describe", "semantic_split"]

SEMANTIC_CORE_API = 1
MEDIA_TYPES = frozenset({"text/markdown", "text/x-markdown"})
"""What is taken for Markdown; parameters behind a semicolon do not matter."""


@hookimpl
def semantic_describe(document: Document) -> Document | None:
    """Metadata, title and language from the front matter;
    the first heading of level 1 as title if there is none else.
    """
    if not _is_ours(document):
        return None
    from semantic_core_markdown.metadata import describe

    return describe(document)


@hookimpl
def semantic_split(document: Document, max_chars: int) -> Sequence[Chunk] | None:
    """Chunks along headings and blocks.

    [] for a document of nothing but front matter and white space.
    """
    if not _is_ours(document):
        return None
    from semantic_core.types import Chunk, ChunkId
    from semantic_core_markdown.sections import pieces

    return [
        Chunk(
            id=ChunkId(document.ref, position),
            text=document.text[piece.start : piece.end],
            start=piece.start,
            end=piece.end,
            kind=piece.kind,
            headings=piece.headings,
            metadata=piece.metadata,
        )
        for position, piece in enumerate(pieces(document.text, max_chars))
    ]


@hookimpl
def semantic_context(document: Document, chunks: Sequence[Chunk]) -> Sequence[str] | None:
    """Title, heading path and text."""
    if not _is_ours(document):
        return None
    from semantic_core_markdown.passages import passages

    return passages(document.title, chunks)


def _is_ours(document: Document) -> bool:
    return document.media_type.partition(";")[0].strip().lower() in MEDIA_TYPES
