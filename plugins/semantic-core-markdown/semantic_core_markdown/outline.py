"""A text by its blocks, most of them found without a parser.

Between two blocks at the top nothing is open, so each can be told by the lines it begins with; and
most lines cannot be anything but what they look like. Where that is not sure, the lines up to a
place where nothing can be open any more go to markdown-it: its word is the truth (a test compares
the two).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Generator, Iterator
from typing import Any

from semantic_core_markdown.blocks import LINE_END, Block, line_starts, parsed, within
from semantic_core_markdown.fast_lexer import BLOCK, READERS

_NOTHING_OPEN = re.compile(r"\n[ \t]*+\n(?=[^\s0-9*+-])")
"""Behind a blank line a line without indent or a list's mark:
only a fence or HTML can go on here.
"""
_AFTER = "x"
"""A paragraph behind what is parsed: if the parser finds it, nothing was open."""
_BLANK_LINES = re.compile(r"(?:[ \t]*+\n)*+")


class Outline:
    """A text by its structure, from the line that begins at `begin`."""

    def __init__(self, text: str, begin: int = 0) -> None:
        self._text = text
        self._begin = begin
        self._references: dict[str, Any] | None = None

    def blocks(self) -> Iterator[Block]:
        """Those at the top, in order, found as they are asked for.

        Between them are blank lines and link definitions.
        """
        text = self._text
        begin = self._begin
        after_mark = begin + text.startswith("\ufeff", begin)
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
        found = _with_any_line_ends(text, after_mark) if "\r" in text else _blocks(text, after_mark)
        return found if begin == after_mark else _with_mark(found, begin)

    def references(self) -> dict[str, Any]:
        """What links of the form ``[text][name]`` point to, wherever in the text it is defined."""
        if self._references is None:
            self._references = {}
            at = self._begin
            for block in self.blocks():
                self._collect(at, block.start)
                if block.kind in ("text", "list"):
                    self._collect(block.start, block.end)
                at = block.end
            self._collect(at, len(self._text))
        return self._references

    def _collect(self, start: int, end: int) -> None:
        if self._text.find("]:", start, end) >= 0:
            parsed(self._text[start:end].removeprefix("\ufeff"), references=self._references)


def _with_mark(found: Iterator[Block], begin: int) -> Iterator[Block]:
    """A byte order mark is of the first line, and does not count for what the line is."""
    for block in found:
        if block.start == begin + 1:
            block.start = begin
        yield block


def _with_any_line_ends(text: str, at: int) -> Iterator[Block]:
    """The blocks of a text whose lines do not all end in LF, found in one whose lines do."""
    source = LINE_END.sub("\n", text[at:])
    ours = line_starts(source)
    theirs = line_starts(text[at:], at)

    def moved(block: Block) -> Block:
        block.start, block.end = (
            theirs[bisect_left(ours, block.start)],
            theirs[bisect_left(ours, block.end)],
        )
        block.within = (
            [moved(part) for part in block.within] if isinstance(block.within, list) else within
        )
        return block

    return map(moved, _blocks(source, 0))


def _blocks(source: str, at: int) -> Iterator[Block]:
    """The blocks at the top of what stands behind `at`, where nothing is open.

    All lines end in LF.
    """
    while True:
        found = BLOCK.match(source, at)
        kind = found.lastgroup if found else None
        if kind == "end":
            return
        if found and kind == "definition":
            at = found.end()
            continue
        block = READERS[kind](source, found) if found and kind else None
        if block:
            at = block.end
            yield block
        else:
            at = yield from _parsed_blocks(source, at)


def _parsed_blocks(source: str, at: int) -> Generator[Block, None, int]:
    """The blocks from `at` to where nothing is open, as markdown-it tells them; where that is."""
    blank = _BLANK_LINES.match(source, at)
    at = blank.end() if blank else at
    far = 0
    while found := _NOTHING_OPEN.search(source, at + far):
        stop = found.end()
        blocks = parsed(source[at:stop] + _AFTER, at)
        if blocks[-1].start == stop:
            yield from blocks[:-1]
            return stop
        far = 2 * (stop - at)
    yield from parsed(source[at:], at)
    return len(source)
