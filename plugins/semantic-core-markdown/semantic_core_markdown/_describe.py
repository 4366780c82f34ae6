"""What a Markdown document says of itself."""

from __future__ import annotations

import re

import attrs

from semantic_core.types import Document
from semantic_core_markdown._front_matter import body_start, front_matter, language_tag
from semantic_core_markdown._headings import plain
from semantic_core_markdown._outline import Outline

_MAYBE_TITLE = re.compile(r"(?:\A|[\r\n\ufeff]) {0,3}(?:#[ \t]|=+[ \t]*(?:[\r\n]|\Z))")
"""A text without this has no heading of level 1."""


def describe(document: Document) -> Document:
    """The document with what was found; what the caller gave stays as it is.

    The same object if nothing was added.
    """
    said = front_matter(document.text)
    metadata = {**said, **document.metadata}
    title = document.title
    if not title.strip():
        named = said.get("title")
        title = " ".join(str(named).split()) if isinstance(named, str | int | float) else ""
        title = title or first_heading(document.text)
    language = (
        document.language or language_tag(said.get("language")) or language_tag(said.get("lang"))
    )
    if title == document.title and language == document.language and metadata == document.metadata:
        return document
    return attrs.evolve(document, title=title, language=language, metadata=metadata)


def first_heading(text: str) -> str:
    """The first heading of level 1 at the top that says anything, as plain text;
    "" if there is none.
    """
    begin = body_start(text)
    if not _MAYBE_TITLE.search(text, max(0, begin - 1)):
        return ""
    structure = Outline(text, begin)
    said = (
        plain(block.says, structure.references) for block in structure.blocks() if block.level == 1
    )
    return next(filter(None, said), "")
