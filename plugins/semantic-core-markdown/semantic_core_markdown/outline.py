"""The top-level blocks of a Markdown text, most of them found without a parser.

Between two top-level blocks nothing is open, so the next block can be recognised by its first
lines. The fast lexer finds those that are unambiguous. Otherwise markdown-it parses the lines up
to a place where nothing can be open any more. Both give the same blocks; a test compares them.

Tested by tests/test_outline.py and tests/test_linear_time.py.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Generator, Iterator
from typing import Any

from semantic_core_markdown.blocks import LINE_END, Block, line_starts, parsed, within
from semantic_core_markdown.fast_lexer import BLOCK, READERS

_NOTHING_OPEN = re.compile(r"\n[ \t]*+\n(?=[^\s0-9*+-])")
"""A blank line, then no indent or list marker: only a fence or HTML can continue here."""
_AFTER = "x"
"""A paragraph appended to what is parsed: if the parser finds it, nothing was open before it."""
_BLANK_LINES = re.compile(r"(?:[ \t]*+\n)*+")


class Outline:
    """The blocks of a text, from the line that begins at `begin`."""

    def __init__(self, text: str, begin: int = 0) -> None:
        self._text = text
        self._begin = begin
        self._references: dict[str, Any] | None = None

    def blocks(self) -> Iterator[Block]:
        """The top-level blocks, in order, found as they are asked for.

        Between them are only blank lines and link definitions.
        """
        text = self._text
        begin = self._begin
        after_mark = begin + text.startswith("\ufeff", begin)
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
        found = _with_any_line_ends(text, after_mark) if "\r" in text else _blocks(text, after_mark)
        return found if begin == after_mark else _with_mark(found, begin)

    def references(self) -> dict[str, Any]:
        """The targets of links such as ``[text][name]``, wherever in the text they are defined."""
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
    """Include the byte order mark in the first block; it does not change the kind of the block."""
    for block in found:
        if block.start == begin + 1:
            block.start = begin
        yield block


def _with_any_line_ends(text: str, at: int) -> Iterator[Block]:
    """The blocks of a text with other line ends than LF, found in a copy with LF."""
    source = LINE_END.sub("\n", text[at:])
    ours = line_starts(source)
    theirs = line_starts(text[at:], at)

    def moved(block: Block) -> Block:
        """The block with the positions of the original text."""
        block.start = theirs[bisect_left(ours, block.start)]
        block.end = theirs[bisect_left(ours, block.end)]
        if isinstance(block.within, list):
            block.within = [moved(part) for part in block.within]
        else:
            block.within = within
        return block

    return map(moved, _blocks(source, 0))


def _blocks(source: str, at: int) -> Iterator[Block]:
    """The top-level blocks from `at` on, where nothing is open. All lines end in LF."""
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
    """The blocks from `at` to a place where nothing is open, by markdown-it; returns that place."""
    blank = _BLANK_LINES.match(source, at)
    at = blank.end() if blank else at
    found = _NOTHING_OPEN.search(source, at)
    while found:
        stop = found.end()
        blocks = parsed(source[at:stop] + _AFTER, at)
        if blocks[-1].start == stop:
            yield from blocks[:-1]
            return stop
        # Twice as far each time, so that all attempts together take linear time.
        found = _NOTHING_OPEN.search(source, at + 2 * (stop - at))
    yield from parsed(source[at:], at)
    return len(source)
