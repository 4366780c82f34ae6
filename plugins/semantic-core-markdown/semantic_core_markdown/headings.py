"""What a heading says, without its markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semantic_core_markdown.blocks import parser

if TYPE_CHECKING:
    from markdown_it.token import Token

HEADING_CHARS = 200
"""Longest heading, in characters; what is more is cut off,
since it stands in front of every passage below it.
"""
_READ_CHARS = 1_000
"""How much of a heading is read for markup: enough for HEADING_CHARS,
and a bound on what nested brackets can cost.
"""
_MAX_BRACKETS = 20
"""Most opening brackets of a heading that is read for markup;
finding their partners costs their number squared.
"""

_MARKUP = re.compile(r"[\\`*_~\[<]|&[#A-Za-z]")
_CODE = r"`(?![\s`])[^`]+(?<!\s)`(?!`)"
_ADDRESS = r"\]\([^\s\x00-\x20\x7f()<>\\`]+\)"
_SIMPLE = re.compile(
    rf"(?:[^\\`*_~\[\]<&!]|!(?!\[)|&(?![#A-Za-z])|{_CODE}|\[(?:[^\\`*_~\[\]<&!]|"
    rf"{_CODE})++{_ADDRESS})*+"
)
"""Words, code, and links to plain addresses that have words and code for a text."""
_LINK = re.compile(rf"({_CODE})|\[|{_ADDRESS}")
_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]*\}\s*\Z")
_UNRESOLVED = re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]")


def plain(markdown: str, references: Callable[[], dict[str, Any]] = dict) -> str:
    """A heading as a person reads it: one line without markup, of at most HEADING_CHARS characters.

    references: gives what links of the form ``[text][name]`` point to; asked for only if there may
    be such a link.
    """
    text = markdown[:_READ_CHARS]
    if "}" in text:
        text = _ATTRIBUTES.sub("", text)
    if _MARKUP.search(text) and text.count("[") <= _MAX_BRACKETS:
        if _SIMPLE.fullmatch(text):
            text = _LINK.sub(_code, text)
        else:
            tokens: list[Token] = []
            reader = parser()
            reader.inline.parse(text, reader, references() if "[" in text else {}, tokens)
            text = "".join(_words(tokens))
        if "[" in text:
            text = _UNRESOLVED.sub(r"\1", text)
    text = " ".join(text.split())
    return text if len(text) <= HEADING_CHARS else f"{text[: HEADING_CHARS - 1].rstrip()}…"


def without_marks(line: str) -> str:
    """What stands on the line of a heading, without the number signs at its end."""
    words = line.rstrip(" \t")
    if words.endswith("#") and (before := words.rstrip("#"))[-1:] in (" ", "\t"):
        return before
    return words


def _code(found: re.Match[str]) -> str:
    return found[0][1:-1] if found[1] else ""


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
