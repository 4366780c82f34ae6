"""Block rules for markdown-it: where its own spend their time on what only rendering needs.

A splitter wants to know which lines are a paragraph or a table, never what is in a cell or a link.
These rules find the same lines as markdown-it's (a test compares them) without a token per cell,
without reading a paragraph twice, and without asking every rule whether it interrupts a line that
begins with a letter.
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

# What makes a table of two lines.


def makes_table(head: str, dashes: str) -> bool:
    """Whether the second line, without its indent,
    is a row of dashes with as many columns as the first has cells.
    """
    columns = _columns(dashes)
    return columns > 0 and columns == _cells(head)


def _columns(line: str) -> int:
    """How many columns a delimiter row has; 0 if it is none."""
    if len(line) < 2 or line.strip("|-: \t") or (line[0] == "-" and line[1] in " \t"):
        return 0
    cells = [cell.strip(" \t") for cell in line.split("|")]
    if not cells[0]:
        del cells[0]
    if cells and not cells[-1]:
        del cells[-1]
    return len(cells) if all(_is_delimiter(cell) for cell in cells) else 0


def _is_delimiter(cell: str) -> bool:
    dashes = cell.removeprefix(":").removesuffix(":")
    return bool(dashes) and not dashes.strip("-")


def _cells(line: str) -> int:
    """How many cells a header row has; 0 if it has no bar. A bar behind a backslash is text."""
    line = line.strip()
    if "|" not in line:
        return 0
    bars = line.count("|") - line.count("\\|")
    return bars + 1 - line.startswith("|") - (line.endswith("|") and not line.endswith("\\|"))


Rule = Callable[[StateBlock, int, int, bool], bool]

MAX_DEPTH = 32
"""Deepest nesting of quotes, lists and items that is looked into. markdown-it itself gives up at 20
and swallows the rest of the document then; here the lines below are left to what they stand in, and
the document goes on."""
MAX_LAZY = 16
"""Most lines of a quote that may go without its mark, but for those that go on with a paragraph."""

_DELIMITS = frozenset("|-:")
"""How the second line of a table begins."""


class BlockParser(MarkdownIt):
    """markdown-it that stops at blocks and takes addresses as they are written."""

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
            ruler.getRules("")  # sorts them, which is not safe to do from several threads at once

    def normalizeLink(self, url: str) -> str:
        """The address itself: nobody follows it."""
        return url

    def validateLink(self, url: str) -> bool:
        """Whether it may be rendered: it never is."""
        return True


def first_char(state: StateBlock, line: int) -> str:
    """The first character of a line that is not an indent; "" if there is none."""
    at = state.bMarks[line] + state.tShift[line]
    return state.src[at] if at < state.eMarks[line] else ""


def by_first_char(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Whatever begins here, asking only the rules for what begins so.

    Leaves indented code and tables to their own rules.
    """
    if state.level >= MAX_DEPTH:
        state.line = start + 1
        return True
    if state.is_code_block(start) or first_char(state, start + 1) in _DELIMITS:
        return False
    rules = _BEGINS.get(first_char(state, start), ())
    return any(rule(state, start, end, False) for rule in rules) or paragraph(
        state, start, end, False
    )


def _interrupted(state: StateBlock, line: int, end: int) -> bool:
    """Whether something begins at this line that ends a paragraph."""
    if any(rule(state, line, end, True) for rule in _INTERRUPTS.get(first_char(state, line), ())):
        return True
    return first_char(state, line + 1) in _DELIMITS and table(state, line, end, True)


def paragraph(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """What no other rule wants: a paragraph, or a heading if a line of ``=`` or ``-`` follows.

    Never silent.
    """
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
        if depth - indent > 3:  # a lazy continuation, whatever is there
            line += 1
            continue
        if (first == "=" or first == "-") and depth >= indent and line < end:
            underline = _line(state, line).rstrip(" \t")
            if not underline.strip(first):
                level = 1 if first == "=" else 2
                break
        # Below zero: a line the quote around it has already looked at and kept.
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
    """A quote as markdown-it finds it, by looking no further ahead than MAX_LAZY lines
    without a mark.

    It gathers unmarked lines first and finds out later that they are not of the quote: in a text of
    ``> ``` `` and a plain line by turns, all lines to the end for each quote.
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
    """A row, a line of dashes with as many columns, and rows: one token for all of it."""
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
        if any(
            rule(state, line, end, True) for rule in _INTERRUPTS.get(first_char(state, line), ())
        ):
            break
        line += 1
    state.parentType = outer
    state.line = line
    state.push("table", "table", 0).map = [start, line]
    return True


def _line(state: StateBlock, line: int) -> str:
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
"""By the first character of a line, what may begin there in the middle of a paragraph."""
_BEGINS = {**_INTERRUPTS, "[": (reference,)}
