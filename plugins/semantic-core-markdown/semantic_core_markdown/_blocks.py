"""The blocks a Markdown text is made of, by line, and what its headings say."""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

import attrs

from semantic_core_markdown._front_matter import body_start

if TYPE_CHECKING:
    from markdown_it.token import Token

    from semantic_core_markdown._rules import BlockParser

BlockKind = Literal["heading", "rule", "paragraph", "html", "text", "code", "table", "list"]

HEADING_CHARS = 200
"""Longest heading, in characters; what is more is cut off, since it stands in front of every passage below it."""
_READ_CHARS = 1_000
"""How much of a heading is read for markup: enough for HEADING_CHARS, and a bound on what nested brackets can cost."""
_MAX_BRACKETS = 20
"""Most opening brackets of a heading that is read for markup; finding their partners costs their number squared."""
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
_LINE_END = re.compile(r"\r\n?|\n")
_MARKUP = re.compile(r"[\\`*_~\[\]<>&!]")
_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]*\}\s*\Z")
_UNRESOLVED = re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]")
_LANGUAGE = re.compile(r"\{?\s*(?:\{?code(?:-block|-cell)?\}\s*)?\.?([\w+#./-]+)")


@attrs.define
class Block:
    """Lines `first` up to but not including `last`. level: of a heading. says: a heading in Markdown, or a fence's language.

    inside: the blocks within a quote, a list or an item; [] where nothing was looked into.
    """

    kind: BlockKind
    first: int
    last: int
    level: int = 0
    says: str = ""
    inside: list[Block] = attrs.field(factory=list)


@attrs.frozen
class Outline:
    """A text by its structure.

    lines: where each line begins, and as the last one where the text ends. blocks: those at the top, in order.
    references: what links of the form ``[text][name]`` point to.
    """

    lines: list[int]
    blocks: list[Block]
    references: dict[str, Any]


@cache
def _parser() -> BlockParser:
    from semantic_core_markdown._rules import BlockParser

    return BlockParser()


def outline(text: str, end: int | None = None) -> Outline:
    """The structure of a text behind its front matter, or of what stands before `end` (which begins a line)."""
    begin = body_start(text)
    after_mark = begin + text.startswith("\ufeff", begin)
    body = text[after_mark:end]
    lines = line_starts(body, after_mark)
    lines[0] = begin
    references: dict[str, Any] = {}
    return Outline(lines, _tree(_parser().parse(body, references), len(lines) - 1), references)


def line_starts(body: str, offset: int) -> list[int]:
    """Where each line begins as markdown-it counts them: LF, CR LF and CR end one, nothing else does. Last: the end."""
    if "\r" in body:
        starts = [offset, *(offset + match.end() for match in _LINE_END.finditer(body))]
    else:
        starts = list(accumulate((len(line) + 1 for line in body.split("\n")), initial=offset))
        starts.pop()
    starts.append(offset + len(body))
    return starts


def _tree(tokens: list[Token], lines: int) -> list[Block]:
    top: list[Block] = []
    open_blocks = [top]
    opened: list[Block] = []
    for token in tokens:
        if token.nesting < 0:
            open_blocks.pop()
        elif token.type == "inline":  # only headings have one, and it follows at once
            opened[-1].says = token.content
        elif token.map:
            block = Block(_KINDS[token.type], token.map[0], min(token.map[1], lines))
            if block.kind == "heading":
                block.level = int(token.tag[1:])
            elif token.type == "fence":
                block.says = language(token.info)
            open_blocks[-1].append(block)
            if token.nesting > 0:
                open_blocks.append(block.inside)
                opened.append(block)
    return top


def language(info: str) -> str:
    """The language the words behind a fence name, in lower case; "" if they name none."""
    found = _LANGUAGE.match(unescape(info.strip()[: 2 * LANGUAGE_CHARS]))
    return found[1].lower()[:LANGUAGE_CHARS] if found else ""


def plain(markdown: str, references: dict[str, Any] | None = None) -> str:
    """A heading as a person reads it: one line without markup, of at most HEADING_CHARS characters."""
    text = _ATTRIBUTES.sub("", markdown[:_READ_CHARS])
    if _MARKUP.search(text) and text.count("[") <= _MAX_BRACKETS:
        tokens: list[Token] = []
        parser = _parser()
        parser.inline.parse(text, parser, references if references is not None else {}, tokens)
        text = _UNRESOLVED.sub(r"\1", "".join(_words(tokens)))
    text = " ".join(text.split())
    return text if len(text) <= HEADING_CHARS else f"{text[: HEADING_CHARS - 1].rstrip()}…"


def _words(tokens: list[Token]) -> list[str]:
    words = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif token.children:
            words += _words(token.children)
        elif token.type == "html_inline":
            words.append(" " if token.content.startswith("<br") else "")
        else:
            words.append(token.content)
    return words
