"""What a Markdown document says of itself."""

from __future__ import annotations

import re

import attrs

from semantic_core.types import Document
from semantic_core_markdown._blocks import outline, plain
from semantic_core_markdown._front_matter import body_start, front_matter, language_tag

_MAYBE_TITLE = re.compile(
    r"(?:\A|(?<=[\r\n\ufeff]))"
    r" {0,3}(?:#(?=[ \t])[^\r\n]*|=+[ \t]*(?![^\r\n]))(?:\r\n?|\n|\Z)"
    r"(?:[^\r\n]*(?:\r\n?|\n|\Z))?"  # the next line, which may make a table of it
)


def describe(document: Document) -> Document:
    """The document with what was found; what the caller gave stays as it is. The same object if nothing was added."""
    said = front_matter(document.text)
    metadata = {**said, **document.metadata}
    title = document.title
    if not title.strip():
        named = said.get("title")
        title = " ".join(str(named).split()) if isinstance(named, str | int | float) else ""
        title = title or first_heading(document.text)
    language = document.language or language_tag(said.get("language")) or language_tag(said.get("lang"))
    if title == document.title and language == document.language and metadata == document.metadata:
        return document
    return attrs.evolve(document, title=title, language=language, metadata=metadata)


def first_heading(text: str) -> str:
    """The first heading of level 1 at the top, as plain text; "" if there is none.

    Whether a line is a heading depends on all before it and nothing behind it, so no more is parsed than that: each try
    reads at least twice as far as the one before.
    """
    begin = body_start(text)
    tried = last = begin
    for candidate in _MAYBE_TITLE.finditer(text, begin):
        last = candidate.end()
        if last - begin >= 2 * (tried - begin):
            tried = last
            if found := _first_heading(text, tried):
                return found
    return _first_heading(text, last) if last > tried else ""


def _first_heading(text: str, end: int) -> str:
    structure = outline(text, end)
    said = (
        plain(block.says, structure.references) for block in structure.blocks if block.kind == "heading" and block.level == 1
    )
    return next(filter(None, said), "")
