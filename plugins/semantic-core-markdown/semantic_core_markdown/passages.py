"""The passage of a chunk: what is embedded and indexed for full-text search.

Tested by tests/test_passages.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from semantic_core.types import Chunk
from semantic_core_markdown.headings import HEADING_CHARS, plain, without_marks

CONTEXT_CHARS = 200
"""Longest title, and longest path of headings, before the text of a passage, in characters."""

_ATX = re.compile(r"\ufeff*+ {0,3}#{1,6}[ \t]+([^\n]*)")
_UNDERLINED = re.compile(r"\ufeff*+((?:[^\n]*\n){1,4}?) {0,3}(?:=++|-++)[ \t]*+\r*+(?:\n|\Z)")
"""A heading of at most four lines with a line of ``=`` or ``-`` below it."""
_CHANGES_LETTERS = re.compile(r"[\[<&{]")
"""The beginning of markup that contains letters."""


def passages(title: str, chunks: Sequence[Chunk]) -> list[str]:
    """Title, heading path and text of each chunk, each on a line of its own.

    A heading with which the text begins is not repeated, nor is the title if it is also the first
    heading. A later part of a table also has the table's first row.
    """
    title = " ".join(title.split())
    title_key = _key(title)
    title_line = _clip(title)
    headings: tuple[str, ...] = ()
    keys: list[str] = []
    known: dict[str, str] = {}
    made = []
    for chunk in chunks:
        first = title_line
        above = chunk.headings
        if above:
            if above is not headings:  # the chunks of a section share the same tuple
                headings = above
                for heading in headings:
                    if heading not in known:
                        known[heading] = _key(heading)
                keys = [known[heading] for heading in headings]
            first_key = _first_heading_key(chunk.text)
            if first_key and first_key in keys:
                above = headings[: keys.index(first_key)]
            if title and keys[0] == title_key:
                first = title_line if above else ""
                above = above[1:]
        lines = [first, _path(above), str(chunk.metadata.get("header", "")), chunk.text]
        made.append("\n".join(filter(None, lines)))
    return made


def _first_heading_key(text: str) -> str:
    """The key of the heading with which a text begins; "" if it begins with none."""
    atx = _ATX.match(text)
    underlined = None if atx else _UNDERLINED.match(text)
    if atx:
        heading = without_marks(atx[1].rstrip("\r"))
    elif underlined:
        heading = underlined[1][:-1].replace("\n", " ")
    else:
        return ""
    if len(heading) > HEADING_CHARS or _CHANGES_LETTERS.search(heading):
        heading = plain(heading)
    return _key(heading)


def _key(heading: str) -> str:
    """The letters and digits of a heading, in lower case, to compare two spellings of it."""
    return "".join(filter(str.isalnum, heading)).casefold()


def _clip(line: str) -> str:
    """The line, cut to CONTEXT_CHARS characters."""
    return line if len(line) <= CONTEXT_CHARS else f"{line[: CONTEXT_CHARS - 1]}…"


def _path(headings: tuple[str, ...]) -> str:
    """The headings on one line; the outer ones are left out if it would be too long."""
    line = ""
    for heading in reversed(headings):
        longer = f"{heading} > {line}" if line else heading
        if line and len(longer) > CONTEXT_CHARS:
            break
        line = longer
    return _clip(line)
