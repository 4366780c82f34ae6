"""The plain text of a heading, without its markup.

Tested by tests/test_sections.py and tests/test_properties.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semantic_core_markdown.blocks import parser

if TYPE_CHECKING:
    from markdown_it.token import Token

HEADING_CHARS = 200
"""Longest heading, in characters. It is cut, because it is part of every passage below it."""
_READ_CHARS = 1_000
"""Characters of a heading that are read for markup, to bound the time for nested brackets."""
_MAX_BRACKETS = 20
"""Most opening brackets of a heading that is read for markup.

The time for matching brackets is quadratic in their number.
"""

_MARKUP = re.compile(r"[\\`*_~\[<]|&[#A-Za-z]")
_CODE = r"`(?![\s`])[^`]+(?<!\s)`(?!`)"
_ADDRESS = r"\]\([^\s\x00-\x20\x7f()<>\\`]+\)"
_SIMPLE = re.compile(
    rf"(?:[^\\`*_~\[\]<&!]|!(?!\[)|&(?![#A-Za-z])|{_CODE}|\[(?:[^\\`*_~\[\]<&!]|"
    rf"{_CODE})++{_ADDRESS})*+"
)
"""A heading of only words, code, and links with plain addresses and texts of words and code."""
_LINK = re.compile(rf"({_CODE})|\[|{_ADDRESS}")
_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]*\}\s*\Z")
_UNRESOLVED = re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]")


def plain(markdown: str, references: Callable[[], dict[str, Any]] = dict) -> str:
    """A heading as one line without markup, of at most HEADING_CHARS characters.

    references: returns the targets of links such as ``[text][name]``; called only if there may be
    such a link.
    """
    text = markdown[:_READ_CHARS]
    if "}" in text:
        text = _ATTRIBUTES.sub("", text)
    if _MARKUP.search(text) and text.count("[") <= _MAX_BRACKETS:
        if _SIMPLE.fullmatch(text):
            text = _LINK.sub(_code_text, text)
        else:
            tokens: list[Token] = []
            reader = parser()
            reader.inline.parse(text, reader, references() if "[" in text else {}, tokens)
            text = "".join(_token_texts(tokens))
        if "[" in text:
            text = _UNRESOLVED.sub(r"\1", text)
    text = " ".join(text.split())
    return text if len(text) <= HEADING_CHARS else f"{text[: HEADING_CHARS - 1].rstrip()}…"


def without_marks(line: str) -> str:
    """The line of a heading, without the number signs at its end."""
    words = line.rstrip(" \t")
    before = words.rstrip("#")
    closed = before != words and before[-1:] in (" ", "\t")
    return before if closed else words


def _code_text(found: re.Match[str]) -> str:
    """The text of inline code; "" for the brackets and the address of a link."""
    return found[0][1:-1] if found[1] else ""


def _token_texts(tokens: list[Token]) -> list[str]:
    """The plain text of each inline token."""
    words = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif token.children:
            words += _token_texts(token.children)
        elif token.type == "html_inline":
            words.append(" " if token.content.startswith("<br") else "")
        else:
            words.append(token.content)
    return words
