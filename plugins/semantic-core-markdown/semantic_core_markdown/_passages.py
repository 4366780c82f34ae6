"""What a chunk is embedded with."""

from __future__ import annotations

import re

from semantic_core.types import Chunk
from semantic_core_markdown._blocks import plain

CONTEXT_CHARS = 200
"""Longest title, and longest path of headings, in front of a passage; more would drown what the passage says."""

_ATX = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
_SETEXT_LINES = 4
"""How many lines of an underlined heading are looked at."""


def passage(title: str, chunk: Chunk) -> str:
    """Title, heading path, and text, each on a line of its own; what the text begins with, or says already, not twice.

    A later part of a table is given the table's first row.
    """
    above = chunk.headings[: _said(chunk)] if chunk.headings else ()
    title = " ".join(title.split())
    if title and chunk.headings and _key(chunk.headings[0]) == _key(title):
        title, above = title if above else "", above[1:]
    lines = [_clip(title), _path(above), str(chunk.metadata.get("header", "")), chunk.text]
    return "\n".join(line for line in lines if line)


def _said(chunk: Chunk) -> int:
    """How many headings of the path stand above the text without being in it."""
    lines = chunk.text.lstrip("\ufeff").split("\n", _SETEXT_LINES + 1)[: _SETEXT_LINES + 1]
    heading = ""
    if found := _ATX.fullmatch(lines[0].rstrip("\r")):
        heading = found[1]
    else:
        for number, line in enumerate(lines[1:], 1):
            if _UNDERLINE.fullmatch(line.rstrip("\r")):
                heading = " ".join(lines[:number])
                break
    key = _key(plain(heading))
    for number, above in enumerate(chunk.headings):
        if key and _key(above) == key:
            return number
    return len(chunk.headings)


def _key(heading: str) -> str:
    """What two spellings of one heading share: its letters and digits."""
    return "".join(filter(str.isalnum, heading)).casefold()


def _clip(line: str) -> str:
    return line if len(line) <= CONTEXT_CHARS else f"{line[: CONTEXT_CHARS - 1]}…"


def _path(headings: tuple[str, ...]) -> str:
    """The path on one line, without its outermost parts where it would be too long: the inner ones say more."""
    line = ""
    for heading in reversed(headings):
        longer = f"{heading} > {line}" if line else heading
        if line and len(longer) > CONTEXT_CHARS:
            break
        line = longer
    return _clip(line)
