"""The blocks of a text as they are weighed against each other: what says something by itself,
what goes with others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from semantic_core.types import Kind
from semantic_core_markdown._blocks import LINE_END, Block

SOLID_LINES = 3
"""Code and tables of this many lines or more, fences included, are not mixed with text."""
LEAD_CHARS = 200
"""Longest paragraph that stays, when it ends in a colon, with the code,
table or list it introduces.
"""
TINY_CHARS = 100
"""Text shorter than this goes with the code or table before or behind it: alone it would be found
for what its headings say, and then not say it."""

_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][\w-]*(?:\s[^>]*)?>", re.DOTALL)


@attrs.define
class Unit:
    """A block, or what is left of one, with its place in the text.

    light: nothing by itself (a heading, a thematic break, an anchor, a comment). solid: not to be
    mixed with text.
    leads: introduces what follows.
    """

    block: Block
    start: int
    end: int
    kind: Kind = "text"
    light: bool = False
    solid: bool = False
    leads: bool = False


def units_of(text: str, at: int, blocks: Iterable[Block]) -> Iterator[Unit]:
    """The blocks at the top, and between them the lines that are none:
    link reference definitions.
    """
    for block in blocks:
        if at < block.start and (between := _unit(text, Block("text", at, block.start))):
            yield between
        at = block.end
        if unit := _unit(text, block):
            yield unit
    if at < len(text) and (behind := _unit(text, Block("text", at, len(text)))):
        yield behind


def _unit(text: str, block: Block) -> Unit | None:
    """The block with its place; None if there is nothing but white space."""
    kind, start = block.kind, block.start
    said = text[start : block.end].rstrip()
    if not said:
        return None
    end = start + len(said)
    if kind == "heading" or kind == "rule":
        return Unit(block, start, end, light=True)
    if kind == "list":
        return Unit(block, start, end, "list")
    if kind == "code" or kind == "table":
        return Unit(block, start, end, kind, solid=_lines(said) >= SOLID_LINES)
    if kind == "text" or len(said) > LEAD_CHARS:
        return Unit(block, start, end)
    if said[0] == "<":
        return Unit(block, start, end, light=not _TAG.sub("", said).strip())
    return Unit(
        block, start, end, leads=kind == "paragraph" and said.rstrip("*_").endswith((":", "："))
    )


def _lines(said: str) -> int:
    return 1 + (said.count("\n") if "\r" not in said else len(LINE_END.findall(said)))
