"""What every test of the Markdown plugin starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import semantic_core_markdown

from semantic_core import Document, Ref
from semantic_core.types import Chunk

Split = Callable[..., list[Chunk]]


def markdown(text: str, **given: object) -> Document:
    """A Markdown document with this text."""
    return Document(Ref("notes", "1"), text, media_type="text/markdown", **given)  # type: ignore[arg-type]


def checked_split(text: str, max_chars: int = 1_000) -> list[Chunk]:
    """The chunks of a Markdown text, after what must hold for any of them: numbers, offsets, order,
    limit, no blanks.
    """
    chunks = semantic_core_markdown.semantic_split(document=markdown(text), max_chars=max_chars)
    end = 0
    for position, chunk in enumerate(chunks):
        assert chunk.id.position == position
        assert chunk.text == text[chunk.start : chunk.end]
        assert end <= chunk.start < chunk.end <= len(text)
        assert len(chunk.text) <= max_chars
        assert chunk.text.strip()
        end = chunk.end
    return chunks


@pytest.fixture(scope="session")
def split() -> Split:
    """`checked_split`."""
    return checked_split


@pytest.fixture(scope="session")
def document() -> Callable[..., Document]:
    """`markdown`."""
    return markdown


@pytest.fixture(scope="session")
def lost() -> Callable[[str, list[Chunk], int], str]:
    """What of a text, from an offset on, is neither white space nor in a chunk."""

    def find(text: str, chunks: list[Chunk], begin: int = 0) -> str:
        gaps, end = [], begin
        for chunk in chunks:
            gaps.append(text[end : chunk.start])
            end = chunk.end
        return "".join("".join([*gaps, text[end:]]).split())

    return find


@pytest.fixture(scope="session")
def torture() -> str:
    """A Markdown file with every case that has lost text somewhere."""
    return (Path(__file__).parent / "torture.md").read_text("utf-8")
