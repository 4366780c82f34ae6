"""The blocks a Markdown text is made of, as the parser tells them."""

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
"""Longest name of a language in a fence."""

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
    """The lines from `start` up to but not including `end`. level: of a heading. says: a heading in
    Markdown, a fence's language, or a table's first row once somebody asked for it.

    within: the blocks within a quote, a list or an item, as `inside` gives them; or what finds them
    in the text.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    says: str = ""
    within: list[Block] | Callable[[str, Block], list[Block]] = attrs.field(factory=list)

    def inside(self, text: str) -> list[Block]:
        """The blocks within a quote, a list or an item of this text;
        [] where nothing is looked into.
        """
        if not isinstance(self.within, list):
            self.within = self.within(text, self)
        return self.within


@cache
def parser() -> BlockParser:
    """The one parser: it keeps nothing of what it reads."""
    from semantic_core_markdown.markdown_it_rules import BlockParser

    return BlockParser()


def parsed(source: str, offset: int = 0, references: dict[str, Any] | None = None) -> list[Block]:
    """The blocks at the top of a text that begins at `offset` of another.

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
    """The blocks within one that is all of its lines: a list's items, what is in a quote."""
    start = block.start + text.startswith("\ufeff", block.start)
    return parsed(text[start : block.end], start)[0].inside(text)


def line_starts(source: str, offset: int = 0) -> list[int]:
    """Where each line begins as markdown-it counts them: LF, CR LF and CR end one,
    nothing else does. Last: the end.
    """
    if "\r" in source:
        starts = [offset, *(offset + match.end() for match in LINE_END.finditer(source))]
    else:
        starts = list(accumulate((len(line) + 1 for line in source.split("\n")), initial=offset))
        starts.pop()
    starts.append(offset + len(source))
    return starts


def language(info: str) -> str:
    """The language the words behind a fence name, in lower case; "" if they name none."""
    found = _LANGUAGE.match(unescape(info.strip()[: 2 * LANGUAGE_CHARS]))
    return found[1].lower()[:LANGUAGE_CHARS] if found else ""
