"""Blocks of a Markdown text, and the parser that finds them.

Tested by tests/test_outline.py and tests/test_grammar.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html import unescape
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from markdown_it.token import Token

    from semantic_core_markdown.markdown_it_rules import BlockParser

BlockKind = Literal["heading", "rule", "paragraph", "html", "text", "code", "table", "list"]

LANGUAGE_CHARS = 40
"""Longest name of a fence's language, in characters."""

_KINDS: dict[str, BlockKind] = {
    "heading_open": "heading",
    "hr": "rule",
    "paragraph": "paragraph",
    "html_block": "html",
    "blockquote_open": "text",
    "fence": "code",
    "code_block": "code",
    "table": "table",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "list",
}
LINE_END = re.compile(r"\r\n?|\n")
_LANGUAGE = re.compile(r"\{?\s*(?:\{?code(?:-block|-cell)?\}\s*)?\.?([\w+#./-]+)")


@attrs.define
class Block:
    """A block: text[start:end], whole lines.

    level: of a heading. says: the Markdown of a heading, the language of a fence, or the first row
    of a table once it was needed. within: the blocks inside a quote, a list or an item, or a
    function that finds them; use `inside`.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    says: str = ""
    within: list[Block] | Callable[[str, Block], list[Block]] = attrs.field(factory=list)

    def inside(self, text: str) -> list[Block]:
        """The blocks inside a quote, a list or an item of this text; [] for other blocks."""
        if not isinstance(self.within, list):
            self.within = self.within(text, self)
        return self.within


@cache
def parser() -> BlockParser:
    """The shared parser, which has no state."""
    from semantic_core_markdown.markdown_it_rules import BlockParser

    return BlockParser()


def parsed(source: str, offset: int = 0, references: dict[str, Any] | None = None) -> list[Block]:
    """Parse the top-level blocks of a text that begins at `offset` of another text.

    Link definitions are added to `references`.
    """
    lines = line_starts(source, offset)
    top: list[Block] = []
    open_blocks: list[list[Block]] = [top]
    last = top
    for token in parser().parse(source, references):
        if token.nesting < 0:
            open_blocks.pop()
        elif token.type == "inline":  # only headings have one, and it follows at once
            last[-1].says = token.content
        elif token.map:
            block = _block(token, lines)
            last = open_blocks[-1]
            last.append(block)
            if token.nesting > 0:
                inner: list[Block] = []
                block.within = inner
                open_blocks.append(inner)
    return top


def _block(token: Token, lines: list[int]) -> Block:
    first, last = token.map or (0, 0)
    block = Block(_KINDS[token.type], lines[first], lines[min(last, len(lines) - 1)])
    if block.kind == "heading":
        block.level = int(token.tag[1:])
    elif token.type == "fence":
        block.says = language(token.info)
    return block


def within(text: str, block: Block) -> list[Block]:
    """Parse the blocks inside a list or a quote: its items, or its content."""
    start = block.start + text.startswith("\ufeff", block.start)
    return parsed(text[start : block.end], start)[0].inside(text)


def line_starts(source: str, offset: int = 0) -> list[int]:
    """The beginning of each line, and the end of the text.

    As in markdown-it, only LF, CR LF and CR end a line.
    """
    if "\r" in source:
        starts = [offset, *[offset + match.end() for match in LINE_END.finditer(source)]]
    else:
        lengths = [len(line) + 1 for line in source.split("\n")]
        starts = list(accumulate(lengths, initial=offset))
        starts.pop()
    starts.append(offset + len(source))
    return starts


def language(info: str) -> str:
    """The language in the info string of a fence, in lower case; "" if there is none."""
    found = _LANGUAGE.match(unescape(info.strip()[: 2 * LANGUAGE_CHARS]))
    return found[1].lower()[:LANGUAGE_CHARS] if found else ""
