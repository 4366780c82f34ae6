"""Lists that can be told at a glance: every line begins an item of the same kind, is indented as
far as its text, or blank.

Whatever such an item holds, nothing of it is left open behind it. So what is in it need not be
known to find its end, and is read only when somebody asks.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from semantic_core_markdown._blocks import Block, parsed

MARK = (
    r"(?P<indent>[ ]{0,3})(?:(?P<bullet>[-+*])|(?P<number>[0-9]{1,9})(?P<dot>[.)]))"
    r"(?P<space>[ ]{1,4})(?=\S)"
)
"""What an item begins with, and that there is something behind it."""
INTERRUPTS = (
    r"\#{1,6}(?:[ \t\n]|\Z) | `{3,}+[^`\n]*+(?:\n|\Z) | ~~~ | (?:[-+*]|1[.)])[ ]+\S | > | <!--"
)
"""What ends a paragraph by standing in the next line, and so whatever an item ends with."""

_BLANK = r"(?:\n[ \t]*+(?=\n))*+"
_MARK = re.compile(MARK)
_AFTER_ITEMS = re.compile(rf"\n?+(?P<blank>(?:[ \t]*+\n)*+)(?P<item>{MARK})?+")
_INTERRUPTED = re.compile(INTERRUPTS, re.VERBOSE)
_UNSURE = re.compile(r"[ \t]|(?:[-+*]|[0-9]{1,9}[.)])(?:[ \t\n]|\Z)")
"""What may go on with the list: an indent, an item that is empty, code, or a thematic break."""
_INDENT = re.compile(r"\ufeff?+([ ]*+)")


def read_list(source: str, mark: re.Match[str]) -> Block | None:
    """The list that begins with this mark; None if it is not sure where it ends."""
    kind = mark.group("indent", "bullet", "dot")
    start = at = mark.start("list")
    while True:
        items = _items_like(
            len(kind[0]), kind[1] or kind[2], len(mark["number"] or ""), len(mark["space"])
        ).match(source, at)
        after = items and _AFTER_ITEMS.match(source, items.end())
        if not after:
            return None
        at = after.end("blank")
        if not after["item"] or after.group("indent", "bullet", "dot") != kind:
            break
        mark = after
    if after["item"]:
        ends = after.group("bullet", "dot") != kind[1:]
    else:
        ends = bool(
            after["blank"] or at == len(source) or _INTERRUPTED.match(source, at)
        ) and not _UNSURE.match(source, at)
    return Block("list", start, at, within=_items) if ends else None


@cache
def _items_like(indent: int, mark: str, digits: int, spaces: int) -> re.Pattern[str]:
    """Items with the same mark and width, and nothing that is indented less than
    what is in them.
    """
    width = indent + digits + len(mark) + spaces
    inside = (
        r"(?:[ ]{%d}|[ ]{0,3}\t)" if width <= 4 else "[ ]{%d}"
    ) % width + r"[ \t]*+[^ \t\n][^\n]*+"
    mark = re.escape(mark)
    no_rule = "" if digits else rf"(?!{mark}(?:[ \t]*+{mark}){{2,}}+[ \t]*+(?:\n|\Z))"
    first = rf"[ ]{{{indent}}}{no_rule}[0-9]{{{digits}}}{mark}[ ]{{{spaces}}}(?=\S)[^\n]*+"
    item = rf"{first}(?:{_BLANK}\n{inside})*+"
    return re.compile(rf"{item}(?:{_BLANK}\n{item})*+")


def _items(text: str, block: Block) -> list[Block]:
    indent = _INDENT.match(text, block.start)
    item = _item_behind(len(indent[1]) if indent else 0)
    starts = [
        block.start,
        *[line.end() for line in item.finditer(text, block.start, block.end)],
        block.end,
    ]
    return [Block("list", start, end, within=_within_item) for start, end in pairwise(starts)]


@cache
def _item_behind(indent: int) -> re.Pattern[str]:
    return re.compile(rf"\n(?=[ ]{{{indent}}}[^ \t\n])")


def _within_item(text: str, block: Block) -> list[Block]:
    """What is in an item, read behind another one:
    at the top its first line may be that of a table.
    """
    start = block.start + text.startswith("\ufeff", block.start)
    mark = _MARK.match(text, start)
    other = f"{mark[0] if mark else '- '}x\n"
    return (
        parsed(other + text[start : block.end], start - len(other))[0].inside(text)[1].inside(text)
    )
