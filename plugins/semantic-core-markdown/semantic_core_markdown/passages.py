"""What a chunk is embedded with."""

from __future__ import annotations

import re
from collections.abc import Sequence

from semantic_core.types import Chunk
from semantic_core_markdown.headings import HEADING_CHARS, plain, without_marks

CONTEXT_CHARS = 200
"""Longest title, and longest path of headings, in front of a passage;
more would drown what the passage says.
"""

_ATX = re.compile(r"\ufeff*+ {0,3}#{1,6}[ \t]+([^\n]*)")
_UNDERLINED = re.compile(r"\ufeff*+((?:[^\n]*\n){1,4}?) {0,3}(?:=++|-++)[ \t]*+\r*+(?:\n|\Z)")
"""A heading with a line below it, of at most four lines."""
_CHANGES_LETTERS = re.compile(r"[\[<&{]")
"""What begins markup that has letters of its own."""


def passages(title: str, chunks: Sequence[Chunk]) -> list[str]:
    """For each chunk title, heading path, and text, each on a line of its own; what the text begins
    with, or says already, not twice.

    A later part of a table is given the table's first row.
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
            if above is not headings:  # the chunks of a section share theirs
                headings = above
                keys = [
                    known.get(heading) or known.setdefault(heading, _key(heading))
                    for heading in headings
                ]
            said = _said(chunk.text)
            if said and said in keys:
                above = headings[: keys.index(said)]
            if title and keys[0] == title_key:
                first = title_line if above else ""
                above = above[1:]
        lines = [first, _path(above), str(chunk.metadata.get("header", "")), chunk.text]
        made.append("\n".join([line for line in lines if line]))
    return made


def _said(text: str) -> str:
    """The key of the heading a text begins with; "" if there is none."""
    if found := _ATX.match(text):
        heading = without_marks(found[1].rstrip("\r"))
    elif found := _UNDERLINED.match(text):
        heading = found[1][:-1].replace("\n", " ")
    else:
        return ""
    return _key(
        plain(heading)
        if len(heading) > HEADING_CHARS or _CHANGES_LETTERS.search(heading)
        else heading
    )


def _key(heading: str) -> str:
    """What two spellings of one heading share: its letters and digits."""
    return "".join(filter(str.isalnum, heading)).casefold()


def _clip(line: str) -> str:
    return line if len(line) <= CONTEXT_CHARS else f"{line[: CONTEXT_CHARS - 1]}…"


def _path(headings: tuple[str, ...]) -> str:
    """The path on one line, without its outermost parts where it would be too long:
    the inner ones say more.
    """
    line = ""
    for heading in reversed(headings):
        longer = f"{heading} > {line}" if line else heading
        if line and len(longer) > CONTEXT_CHARS:
            break
        line = longer
    return _clip(line)
