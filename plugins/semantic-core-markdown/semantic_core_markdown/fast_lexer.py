"""The fast lexer: regular expressions for top-level blocks that are unambiguous.

Lines must end in LF, and nothing may be open where a block begins. What a pattern does not match is
only slower, because the parser reads it; what it matches must be what markdown-it finds there.
Quantifiers are possessive, so that every text takes linear time.

Tested by tests/test_outline.py and tests/test_linear_time.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise

from semantic_core_markdown.blocks import Block, language, parsed, within
from semantic_core_markdown.headings import without_marks
from semantic_core_markdown.markdown_it_rules import makes_table

# Lists of which every line begins an item of the same kind, is indented as far as the item's text,
# or is blank. Nothing of such an item is open after it. So its end can be found without its
# content, which is parsed only when it is needed.

MARK = (
    r"(?P<indent>[ ]{0,3})(?:(?P<bullet>[-+*])|(?P<number>[0-9]{1,9})(?P<dot>[.)]))"
    r"(?P<space>[ ]{1,4})(?=\S)"
)
"""The marker of an item, followed by text."""
INTERRUPTS = (
    r"\#{1,6}(?:[ \t\n]|\Z) | `{3,}+[^`\n]*+(?:\n|\Z) | ~~~ | (?:[-+*]|1[.)])[ ]+\S | > | <!--"
)
"""The beginning of a line that ends a paragraph, and therefore a list item."""

_BLANK = r"(?:\n[ \t]*+(?=\n))*+"
_MARK = re.compile(MARK)
_AFTER_ITEMS = re.compile(rf"\n?+(?P<blank>(?:[ \t]*+\n)*+)(?P<item>{MARK})?+")
_INTERRUPTED = re.compile(INTERRUPTS, re.VERBOSE)
_UNSURE = re.compile(r"[ \t]|(?:[-+*]|[0-9]{1,9}[.)])(?:[ \t\n]|\Z)")
"""What may continue the list: an indent, an empty item, code, or a thematic break."""
_INDENT = re.compile(r"\ufeff?+([ ]*+)")


def read_list(source: str, mark: re.Match[str]) -> Block | None:
    """The list that begins with this marker; None if its end is ambiguous."""
    kind = mark.group("indent", "bullet", "dot")
    start = mark.start("list")
    at = start
    while True:
        digits = len(mark["number"] or "")
        pattern = _items_like(len(kind[0]), kind[1] or kind[2], digits, len(mark["space"]))
        items = pattern.match(source, at)
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
        complete = after["blank"] or at == len(source) or _INTERRUPTED.match(source, at)
        ends = bool(complete) and not _UNSURE.match(source, at)
    return Block("list", start, at, within=_items) if ends else None


@cache
def _items_like(indent: int, mark: str, digits: int, spaces: int) -> re.Pattern[str]:
    """Items with the same marker and width, whose lines are indented as far as their text."""
    width = indent + digits + len(mark) + spaces
    margin = f"[ ]{{{width}}}"
    if width <= 4:
        margin = rf"(?:{margin}|[ ]{{0,3}}\t)"
    inside = rf"{margin}[ \t]*+[^ \t\n][^\n]*+"
    mark = re.escape(mark)
    no_rule = "" if digits else rf"(?!{mark}(?:[ \t]*+{mark}){{2,}}+[ \t]*+(?:\n|\Z))"
    first = rf"[ ]{{{indent}}}{no_rule}[0-9]{{{digits}}}{mark}[ ]{{{spaces}}}(?=\S)[^\n]*+"
    item = rf"{first}(?:{_BLANK}\n{inside})*+"
    return re.compile(rf"{item}(?:{_BLANK}\n{item})*+")


def _items(text: str, block: Block) -> list[Block]:
    """The items of a list that `read_list` found."""
    indent = _INDENT.match(text, block.start)
    item = _item_behind(len(indent[1]) if indent else 0)
    starts = [block.start]
    starts += [line.end() for line in item.finditer(text, block.start, block.end)]
    starts.append(block.end)
    return [Block("list", start, end, within=_within_item) for start, end in pairwise(starts)]


@cache
def _item_behind(indent: int) -> re.Pattern[str]:
    return re.compile(rf"\n(?=[ ]{{{indent}}}[^ \t\n])")


def _within_item(text: str, block: Block) -> list[Block]:
    """The blocks in an item.

    It is parsed after another item, because at the top its first line could begin a table.
    """
    start = block.start + text.startswith("\ufeff", block.start)
    mark = _MARK.match(text, start)
    other = f"{mark[0] if mark else '- '}x\n"
    parsed_list = parsed(other + text[start : block.end], start - len(other))[0]
    item = parsed_list.inside(text)[1]
    return item.inside(text)


_PLAIN = r"[^\s\#>*+\-_`~<=|:\[0-9]"
"""The first character of a line that can only be text."""
_WORDS = (
    r"\#(?!\#{0,5}(?:[ \t\n]|\Z)) | \*{1,2}+(?=[^\s*]) | _{1,2}+(?=[^\s_]) | `{1,2}+(?=[^\s`]) | "
    r"~{1,2}+(?=[^\s~])| <[A-Za-z][A-Za-z0-9.+\-]*+[:@] | [+](?=\S) | -(?=[^\s\-|:]) | "
    r"[0-9]++(?:[.)](?=\S)|(?![.)]))"
    r"| [|:][|:\- \t]*+[^|:\- \t\n]"
)
"""The same for characters that can also begin another block, except a delimiter row."""
_NO_DEFINITION = r"\[[^\[\]\\\n]*+(?:\[|\](?!:))"
_NO_TABLE = r"(?![^\n|]*+\|[^\n]*+\n[ \t]*+[|:\-][|:\- \t]*+(?:\n|\Z))"
_INDENTED = r"(?:[ ]{4}|[ ]{0,3}\t)[ \t]*+[^ \t\n][^\n]*+"
_BLANK_NEXT = r"(?=[ \t]*+(?:\n|\Z))"
_GOES_ON = rf"""
    [^\n]*+ (?:\n(?:[ ]{{0,3}}(?:{_PLAIN}|\[|{_WORDS})[^\n]*+|{_INDENTED}))*+ \n?+
    (?: (?P<underline>[ ]{{0,3}}(?:=++|-++)[ \t]*+(?:\n|\Z)) | {_BLANK_NEXT} | (?={INTERRUPTS}) )
"""
"""The rest of a paragraph, or of a heading with a line of ``=`` or ``-`` below it."""

BLOCK = re.compile(
    rf"""
    (?:[ \t]*+\n)*+
    (?:
      (?P<heading> [ ]{{0,3}}(?P<marks>\#{{1,6}})(?=[ \t\n]|\Z){_NO_TABLE}(?P<says>[^\n]*+)\n?+ )
    | (?P<paragraph> [ ]{{0,3}}(?:{_PLAIN}|{_NO_DEFINITION}|{_WORDS}){_GOES_ON} )
    | (?P<rule> [ ]{{0,3}}(?P<dash>[*_-])[ \t]*+(?:(?P=dash)[ \t]*+){{2,}}+(?:\n|\Z) )
    | (?P<list> {MARK}{_NO_TABLE} )
    | (?P<fence> [ ]{{0,3}}(?P<ticks>`{{3,}}+(?![^`\n]*+`)|~{{3,}}+){_NO_TABLE}(?P<info>[^\n]*+) )
    | (?P<comment> [ ]{{0,3}}<!--{_NO_TABLE} )
    | (?P<html> [ ]{{0,3}}(?=<){_NO_TABLE} )
    | (?P<quote> (?:[ ]{{0,3}}>[^\n]*+(?:\n|\Z))++ {_BLANK_NEXT} )
    | (?P<definition>
        (?: [ ]{{0,3}}\[[ \t]*+[^\s\[\]\\|][^\[\]\\\n|]*+\]:[ \t]++[^\s\x00-\x20\x7f<()\\|]++
            (?:[ \t]++"[^"\\\n|]*+")?+[ \t]*+(?:\n|\Z)(?![ \t]*["'(]) )++ )
    | (?P<code> {_INDENTED}(?: (?:\n[ \t]*+(?=\n))*+ \n{_INDENTED} )*+ \n?+ )
    | (?P<table> [ ]{{0,3}}(?=[^ \t\n])(?P<head>[^\n|]*+\|[^\n]*+)
        \n[ ]{{0,3}}(?P<dashes>[|:\-][|:\- \t]*+)(?=\n|\Z)
        (?:\n[ ]{{0,3}}(?:{_PLAIN}|[\[|:]|{_WORDS})[^\n]*+)*+ \n?+ {_BLANK_NEXT} )
    | (?P<end> [ \t]*+\Z )
    )
    """,
    re.VERBOSE,
)
"""The next block after blank lines, or link definitions, or the end, by the name of the group."""
_TEXT_GOES_ON = re.compile(_GOES_ON, re.VERBOSE)
_BLANK_LINE = re.compile(r"\n(?=[ \t]*+(?:\n|\Z))")
_SPACES = (
    "\t\n\v\f\r \xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
"""White space that CommonMark removes from a heading."""
_MARKS = "> \t\n-+*0123456789.)"


def _heading(source: str, found: re.Match[str]) -> Block:
    return Block(
        "heading",
        *found.span("heading"),
        len(found["marks"]),
        without_marks(found["says"]).strip(_SPACES),
    )


def _paragraph(source: str, found: re.Match[str]) -> Block | None:
    return _text(source, found.start("paragraph"), found)


def _text(source: str, start: int, found: re.Match[str]) -> Block | None:
    """A paragraph, or a heading if it is underlined."""
    end = found.end()
    line = found.start("underline")
    if line < 0:
        return Block("paragraph", start, end)
    says = source[start:line].strip()
    level = 1 if "=" in source[line:end] else 2
    # Dashes may also make it a table.
    return None if level == 2 and "|" in says else Block("heading", start, end, level, says)


def _fence(source: str, found: re.Match[str]) -> Block:
    closing = _closing(found["ticks"]).search(source, found.end())
    return Block(
        "code",
        found.start("fence"),
        closing.end() if closing else len(source),
        says=language(found["info"]),
    )


@lru_cache(maxsize=32)
def _closing(ticks: str) -> re.Pattern[str]:
    return re.compile(rf"\n[ ]{{0,3}}{ticks}{ticks[0]}*+[ \t]*+(?:\n|\Z)")


def _comment(source: str, found: re.Match[str]) -> Block:
    start = found.start("comment")
    closing = source.find("-->", start)
    return Block("html", start, _line_behind(source, closing) if closing >= 0 else len(source))


def _html(source: str, found: re.Match[str]) -> Block | None:
    from markdown_it.rules_block.html_block import HTML_SEQUENCES

    start = found.start("html")
    tag = source.index("<", start)
    line = source[tag : _line_behind(source, tag)].removesuffix("\n")
    for opens, closes, _ in HTML_SEQUENCES:
        if opens.search(line):
            closing = (_BLANK_LINE if closes.search("") else closes).search(source, tag)
            return Block(
                "html", start, _line_behind(source, closing.start()) if closing else len(source)
            )
    goes_on = _TEXT_GOES_ON.match(source, tag)
    return _text(source, start, goes_on) if goes_on else None


def _line_behind(source: str, at: int) -> int:
    """Where the line after the one at `at` begins."""
    return source.find("\n", at) + 1 or len(source)


def _quote(source: str, found: re.Match[str]) -> Block | None:
    start, end = found.span("quote")
    last = source[max(start, source.rfind("\n", start, end - 1)) : end]
    # If its last line is blank, or only markers, the quote may include blank lines.
    return Block("text", start, end, within=within) if last.strip(_MARKS) else None


def _table(source: str, found: re.Match[str]) -> Block | None:
    if not makes_table(found["head"], found["dashes"]):
        return None
    return Block("table", *found.span("table"))


def _rule(source: str, found: re.Match[str]) -> Block:
    return Block("rule", *found.span("rule"))


def _code(source: str, found: re.Match[str]) -> Block:
    return Block("code", *found.span("code"))


READERS: dict[str, Callable[[str, re.Match[str]], Block | None]] = {
    "heading": _heading,
    "paragraph": _paragraph,
    "rule": _rule,
    "list": read_list,
    "fence": _fence,
    "comment": _comment,
    "html": _html,
    "quote": _quote,
    "code": _code,
    "table": _table,
}
"""Functions from a match of BLOCK to a block, by group; None means that the parser decides."""
