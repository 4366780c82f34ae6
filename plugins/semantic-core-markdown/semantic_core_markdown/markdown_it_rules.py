"""Faster block rules for markdown-it, without what only rendering needs.

A splitter needs to know which lines are a paragraph or a table, but not what is in a cell or a
link. These rules find the same lines as those of markdown-it (a test compares them), but create no
token for each cell, read a paragraph only once, and do not ask every rule whether it interrupts a
line that begins with a letter.

Tested by tests/test_grammar.py and tests/test_linear_time.py.
"""

from __future__ import annotations

from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.rules_block import (
    StateBlock,
    fence,
    heading,
    hr,
    html_block,
    list_block,
    reference,
)
from markdown_it.rules_block import blockquote as markdown_it_quote

# Tables


def makes_table(head: str, dashes: str) -> bool:
    """Whether two lines without indent begin a table.

    The second one must be a delimiter row with as many columns as the first has cells.
    """
    columns = _columns(dashes)
    return columns > 0 and columns == _cells(head)


def _columns(line: str) -> int:
    """The number of columns of a delimiter row; 0 for any other line."""
    if len(line) < 2 or line.strip("|-: \t") or (line[0] == "-" and line[1] in " \t"):
        return 0
    cells = [cell.strip(" \t") for cell in line.split("|")]
    if not cells[0]:
        del cells[0]
    if cells and not cells[-1]:
        del cells[-1]
    return len(cells) if all(map(_is_delimiter, cells)) else 0


def _is_delimiter(cell: str) -> bool:
    dashes = cell.removeprefix(":").removesuffix(":")
    return bool(dashes) and not dashes.strip("-")


def _cells(line: str) -> int:
    """The number of cells of a header row; 0 if it has no bar. A bar after a backslash is text."""
    line = line.strip()
    if "|" not in line:
        return 0
    bars = line.count("|") - line.count("\\|")
    return bars + 1 - line.startswith("|") - (line.endswith("|") and not line.endswith("\\|"))


Rule = Callable[[StateBlock, int, int, bool], bool]

MAX_DEPTH = 32
"""Deepest nesting of quotes, lists and items that is parsed.

markdown-it stops at 20 and loses the rest of the document. Here the deeper lines belong to the
block that contains them, and the rest of the document is parsed.
"""
MAX_LAZY = 16
"""Most lines of a quote without its marker, except those that continue a paragraph."""

_DELIMITS = frozenset("|-:")
"""The characters with which the second line of a table can begin."""


class BlockParser(MarkdownIt):
    """markdown-it without inline content, and with addresses as they are written."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"maxNesting": 2 * MAX_DEPTH})
        self.enable(["table", "strikethrough"]).disable("lheading")
        self.core.ruler.enableOnly(["normalize", "block"])
        self.block.ruler.before("table", "by_first_char", by_first_char)
        self.block.ruler.at("table", table, {"alt": ["paragraph", "reference"]})
        self.block.ruler.at("paragraph", paragraph)
        self.block.ruler.at(
            "blockquote", quote, {"alt": ["paragraph", "reference", "blockquote", "list"]}
        )
        for ruler in (self.core.ruler, self.block.ruler, self.inline.ruler, self.inline.ruler2):
            ruler.getRules("")  # sorts the rules now, because that is not thread-safe

    def normalizeLink(self, url: str) -> str:
        """The address itself, because it is not rendered."""
        return url

    def validateLink(self, url: str) -> bool:
        """True, because nothing is rendered."""
        return True


def first_char(state: StateBlock, line: int) -> str:
    """The first character of a line after its indent; "" for a blank line."""
    at = state.bMarks[line] + state.tShift[line]
    return state.src[at] if at < state.eMarks[line] else ""


def by_first_char(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Apply only the rules for blocks that can begin with the first character of the line.

    Indented code and tables are left to their own rules.
    """
    if state.level >= MAX_DEPTH:
        state.line = start + 1
        return True
    if state.is_code_block(start) or first_char(state, start + 1) in _DELIMITS:
        return False
    for rule in _BEGINS.get(first_char(state, start), ()):
        if rule(state, start, end, False):
            return True
    return paragraph(state, start, end, False)


def _interrupted(state: StateBlock, line: int, end: int) -> bool:
    """Whether a block begins at this line that ends a paragraph."""
    if _begins_block(state, line, end):
        return True
    return first_char(state, line + 1) in _DELIMITS and table(state, line, end, True)


def _begins_block(state: StateBlock, line: int, end: int) -> bool:
    """Whether a block other than a table begins at this line within a paragraph or a table."""
    for rule in _INTERRUPTS.get(first_char(state, line), ()):
        if rule(state, line, end, True):
            return True
    return False


def paragraph(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A paragraph, or a heading if a line of ``=`` or ``-`` follows; the last rule of all."""
    indent = state.blkIndent
    line = start + 1
    level = 0
    last = state.lineMax
    outer = state.parentType
    state.parentType = "paragraph"
    while line < last:
        first = first_char(state, line)
        if not first:
            break
        depth = state.sCount[line]
        if depth - indent > 3:  # a lazy continuation line, whatever it contains
            line += 1
            continue
        if (first == "=" or first == "-") and depth >= indent and line < end:
            underline = _line(state, line).rstrip(" \t")
            if not underline.strip(first):
                level = 1 if first == "=" else 2
                break
        # A negative indent marks a line that the enclosing quote has already claimed.
        if depth >= 0 and _interrupted(state, line, last):
            break
        line += 1
    state.parentType = outer
    state.line = line + 1 if level else line
    if level:
        opened = state.push("heading_open", f"h{level}", 1)
        opened.map = [start, state.line]
        inline = state.push("inline", "", 0)
        inline.content = state.getLines(start, line, indent, False).strip()
        state.push("heading_close", f"h{level}", -1)
    else:
        state.push("paragraph", "p", 0).map = [start, state.line]
    return True


def quote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A quote as in markdown-it, but with at most MAX_LAZY lines without its marker.

    markdown-it collects lines without the marker before it finds out that they are not part of the
    quote. In a text that alternates between ``> ``` `` and a plain line, it would read all lines to
    the end for each quote.
    """
    if silent or first_char(state, start) != ">":
        return markdown_it_quote(state, start, end, silent)
    lazy = 0
    line = start + 1
    while line < end and lazy <= MAX_LAZY:
        first = first_char(state, line)
        if not first:
            break
        lazy += first != ">"
        line += 1
    return markdown_it_quote(state, start, line if lazy > MAX_LAZY else end, silent)


def table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A table: a header row, a delimiter row with as many columns, and rows, as a single token."""
    if (
        start + 2 > end
        or first_char(state, start + 1) not in _DELIMITS
        or state.sCount[start + 1] < state.blkIndent
    ):
        return False
    if state.is_code_block(start) or state.is_code_block(start + 1):
        return False
    if not makes_table(_line(state, start), _line(state, start + 1)):
        return False
    if silent:
        return True
    outer = state.parentType
    state.parentType = "table"
    line = start + 2
    while line < end and state.sCount[line] >= state.blkIndent:
        if not _line(state, line).strip() or state.is_code_block(line):
            break
        if _begins_block(state, line, end):
            break
        line += 1
    state.parentType = outer
    state.line = line
    state.push("table", "table", 0).map = [start, line]
    return True


def _line(state: StateBlock, line: int) -> str:
    """The text of a line, without its indent."""
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


_INTERRUPTS: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys("`~", (fence,)),
    **dict.fromkeys("*-", (hr, list_block)),
    **dict.fromkeys("+0123456789", (list_block,)),
    ">": (quote,),
    "_": (hr,),
    "<": (html_block,),
    "#": (heading,),
}
"""The rules for blocks that can interrupt a paragraph, by the first character of a line."""
_BEGINS = {**_INTERRUPTS, "[": (reference,)}
