"""The content of a page as Markdown: headings, lists, tables, code and quotes stay what they are.

Links become their text, pictures their description; bold and italic type is dropped, because no
search looks for it.

Tested by tests/test_web_pages.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from semantic_core_files import markdown_text
from semantic_core_files.html_tree import AROUND, AROUND_ROLES, NO_CONTENT, PageTable, Tree
from semantic_core_files.parts import words

if TYPE_CHECKING:
    from semantic_core_files.html_tree import Node

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_INLINE = words(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark q s samp "
    "small span strike strong sub sup time tt u var wbr br nobr math ruby"
)
_LISTS = frozenset({"ul", "ol"})
_SPACES = re.compile(r"\s+")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CODE_CLASS = re.compile(r"(?:^|\s)(?:language|lang|highlight|brush|sourceCode)[-: ]\s*([\w+#.]+)")
_NO_LANGUAGE = frozenset({"default", "none", "text", "plain", "plaintext", "notranslate"})
_MARKS_HEADING = re.compile(r"\b(?:headerlink|copiable-(?:link|anchor)|anchor-link|heading-link)\b")
"""Classes of the small links beside a heading, which lead to the heading itself."""
_AROUND_CLASS = re.compile(
    r"(?:^|\s)(?:nav-panel|navheader|navfooter|breadcrumbs?|skip-link|sr-only|visually-hidden)(?:\s|$)"
)
"""Classes of links around the content, in the pages of Texinfo, DocBook and Bootstrap."""
_DEEPEST = 8
"""Lists and quotes are indented up to this depth."""
_WIDEST = 60
"""Most columns that a cell may span; more are a mistake."""
_PILCROWS = frozenset({"¶", "#", "🔗", "§", ""})


@attrs.define
class _Prefix:
    """What stands before the lines of a list item or a quote: `first` once, then `rest`."""

    first: str
    rest: str
    is_item: bool = False
    is_used: bool = False


@attrs.define
class _List:
    is_ordered: bool
    number: int = 1
    has_items: bool = False


@attrs.define
class _Grid:
    """A table of data while it is read."""

    outer_inline: list[str]
    rows: list[list[str]] = attrs.field(factory=list)
    row: list[str] | None = None
    in_cell: bool = False
    across: int = 1
    down: int = 1
    below: dict[int, tuple[int, str]] = attrs.field(factory=dict)
    """Cells that reach into the next rows: column to (rows left, text)."""


def markdown(tree: Tree, *, whole: bool) -> str:
    """The Markdown of a page's content. whole: also what surrounds the content, such as menus."""
    writer = _Writer(tree.tables, whole)
    writer.read(tree.root)
    return writer.text()


class _Writer:
    def __init__(self, tables: dict[int, PageTable], whole: bool) -> None:
        self._tables = tables
        self._whole = whole
        self._out: list[str] = []
        self._inline: list[str] = []
        self._prefixes: list[_Prefix] = []
        self._lists: list[_List] = []
        self._grids: list[_Grid] = []
        self._code_marks: list[tuple[list[str], int]] = []
        self._pre: list[str] | None = None
        self._language = ""
        self._articles = 0

    def text(self) -> str:
        """What was written, with a newline at the end; "" if the page has no text."""
        self._flush()
        body = "\n".join(self._out).strip("\n")
        return f"{body}\n" if body else ""

    def read(self, root: Node) -> None:
        """Write the content of a node. The depth of the tree is no matter: nothing recurses."""
        above: list[Node] = []
        node = root
        while node is not None:
            child = None
            if node.is_text_node:
                self._add_text(node.text_content or "")
            elif node.is_element_node and (node is root or self._is_wanted(node)):
                self._enter(node)
                child = node.first_child
                if child is None:
                    self._leave(node)
            if child is not None:
                above.append(node)
                node = child
                continue
            following = node.next if above else None
            while following is None and above:
                node = above.pop()
                self._leave(node)
                following = node.next if above else None
            node = following

    def _is_wanted(self, node: Node) -> bool:
        tag = node.tag
        if tag in NO_CONTENT:
            return False
        given = node.attributes
        if not given:
            return self._whole or tag not in AROUND or (self._articles > 0 and tag != "nav")
        if "hidden" in given or given.get("aria-hidden") == "true":
            return False
        if _HIDDEN_STYLE.search(given.get("style") or ""):
            return False
        if tag == "a" and _MARKS_HEADING.search(given.get("class") or ""):
            return False
        if self._whole:
            return True
        if given.get("role") in AROUND_ROLES or _AROUND_CLASS.search(given.get("class") or ""):
            return False
        return tag not in AROUND or (self._articles > 0 and tag != "nav")

    def _enter(self, node: Node) -> None:
        tag = node.tag
        if self._pre is not None:
            if tag == "br":
                self._pre.append("\n")
            elif tag == "code" and not self._language:
                self._language = _language_of(node)
            return
        if tag in _INLINE:
            self._enter_inline(node, tag)
            return
        if tag == "article" or tag == "main":
            self._articles += 1
        if self._grids and self._grids[-1].in_cell:
            self._inline.append(" ")
            return
        if self._grids and tag in ("tr", "td", "th"):
            self._enter_grid(node, tag)
            return
        self._flush()
        if tag == "pre":
            self._pre = []
            self._language = _language_of(node)
            if not self._language and node.parent is not None:
                self._language = _language_of(node.parent)
        elif tag == "table" and self._is_data(node):
            self._grids.append(_Grid(self._inline))
            self._inline = []
        elif tag in _LISTS:
            start = node.attributes.get("start") or "1"
            number = int(start) if start.isdecimal() and len(start) < 9 else 1
            self._lists.append(_List(tag == "ol", number))
        elif tag == "li":
            self._enter_item()
        elif tag == "blockquote":
            self._push(_Prefix("> ", "> "))

    def _enter_inline(self, node: Node, tag: str) -> None:
        if tag == "br":
            self._inline.append(" " if self._in_cell() else "\n")
        elif tag == "img":
            described = node.attributes.get("alt") or ""
            self._inline.append(_SPACES.sub(" ", described))
        elif tag == "code" or tag == "tt" or tag == "samp" or tag == "kbd":
            self._inline.append("")
            self._code_marks.append((self._inline, len(self._inline)))

    def _enter_item(self) -> None:
        marker = "- "
        if self._lists:
            current = self._lists[-1]
            if current.is_ordered:
                marker = f"{current.number}. "
                current.number += 1
        self._push(_Prefix(marker, " " * len(marker), is_item=True))

    def _push(self, prefix: _Prefix) -> None:
        if len(self._prefixes) >= _DEEPEST:
            prefix = _Prefix("", "", is_item=prefix.is_item)
        self._prefixes.append(prefix)

    def _enter_grid(self, node: Node, tag: str) -> None:
        grid = self._grids[-1]
        if tag == "tr":
            self._end_row(grid)
            grid.row = []
            return
        if grid.row is None:
            grid.row = []
        self._fill_from_above(grid)
        grid.in_cell = True
        grid.across = _span(node.attributes.get("colspan"))
        grid.down = _span(node.attributes.get("rowspan"))
        self._inline = []

    def _leave(self, node: Node) -> None:
        tag = node.tag
        if self._pre is not None:
            if tag == "pre":
                raw = "".join(self._pre)
                self._pre = None
                self._emit(markdown_text.code(raw, self._language))
            return
        if tag in _INLINE:
            if tag == "code" or tag == "tt" or tag == "samp" or tag == "kbd":
                self._leave_code()
            return
        if tag == "article" or tag == "main":
            self._articles -= 1
        if self._grids:
            self._leave_in_grid(node, tag)
            return
        if tag in _HEADINGS:
            self._flush_heading(_HEADINGS[tag])
            return
        self._flush()
        if tag in _LISTS and self._lists:
            self._lists.pop()
        elif tag in ("li", "blockquote"):
            self._prefixes.pop()

    def _leave_code(self) -> None:
        inline, start = self._code_marks.pop()
        if inline is not self._inline or start > len(inline):
            return
        written = "".join(inline[start:])
        plain = written.strip()
        if plain and "`" not in plain and "\n" not in plain:
            before = written[: len(written) - len(written.lstrip())]
            after = written[len(written.rstrip()) :]
            del inline[start:]
            inline.append(f"{before}`{plain}`{after}")

    def _leave_in_grid(self, node: Node, tag: str) -> None:
        grid = self._grids[-1]
        if tag == "td" or tag == "th":
            self._end_cell(grid)
        elif tag == "tr":
            self._end_row(grid)
        elif tag == "caption" and not grid.in_cell:
            self._flush()
        elif tag == "table":
            self._end_row(grid)
            self._grids.pop()
            self._inline = grid.outer_inline
            self._emit(markdown_text.table(grid.rows))
        elif grid.in_cell:
            self._inline.append(" ")

    def _end_cell(self, grid: _Grid) -> None:
        if not grid.in_cell or grid.row is None:
            return
        grid.in_cell = False
        cell = " ".join("".join(self._inline).split())
        self._inline = []
        for number in range(grid.across):
            shown = cell if number == 0 else ""
            if grid.down > 1:
                grid.below[len(grid.row)] = (grid.down - 1, shown)
            grid.row.append(shown)

    def _end_row(self, grid: _Grid) -> None:
        if grid.row is None:
            return
        self._end_cell(grid)
        self._fill_from_above(grid)
        grid.rows.append(grid.row)
        grid.row = None

    def _fill_from_above(self, grid: _Grid) -> None:
        """Add cells of earlier rows that reach down to the next place of this row."""
        row = grid.row
        while row is not None and len(row) in grid.below:
            left, text = grid.below.pop(len(row))
            if left > 1:
                grid.below[len(row)] = (left - 1, text)
            row.append(text)

    def _in_cell(self) -> bool:
        return bool(self._grids) and self._grids[-1].in_cell

    def _is_data(self, node: Node) -> bool:
        found = self._tables.get(node.mem_id)
        if found is None or found.is_layout:
            return False
        return found.rows > 1 and found.cells > found.rows

    def _add_text(self, text: str) -> None:
        if self._pre is not None:
            self._pre.append(text)
        elif text:
            self._inline.append(_SPACES.sub(" ", text))

    def _flush(self) -> None:
        """End the paragraph that is being read."""
        text = self._taken()
        if text:
            self._emit(markdown_text.paragraph(text))

    def _flush_heading(self, level: int) -> None:
        text = self._taken()
        if text in _PILCROWS:
            return
        if self._prefixes:
            self._emit(markdown_text.paragraph(text))
        else:
            self._emit(markdown_text.heading(level, text))

    def _taken(self) -> str:
        if not self._inline:
            return ""
        raw = "".join(self._inline)
        self._inline.clear()
        lines = []
        for line in raw.split("\n"):
            single = _SPACES.sub(" ", line).strip()
            if single:
                lines.append(single)
        return "\n".join(lines)

    def _emit(self, block: str) -> None:
        """Write a block, with what its lists and quotes put before it."""
        if not block:
            return
        begins_item = bool(self._prefixes) and not self._prefixes[-1].is_used
        begins_item = begins_item and self._prefixes[-1].is_item
        follows_item = len(self._lists) > 1 or bool(self._lists and self._lists[-1].has_items)
        if self._out and not (begins_item and follows_item):
            self._out.append("".join(self._rest()).rstrip())
        if begins_item and self._lists:
            self._lists[-1].has_items = True
        for number, line in enumerate(block.split("\n")):
            before = self._first() if number == 0 else self._rest()
            self._out.append(f"{''.join(before)}{line}".rstrip())

    def _first(self) -> list[str]:
        shown = []
        for prefix in self._prefixes:
            shown.append(prefix.rest if prefix.is_used else prefix.first)
            prefix.is_used = True
        return shown

    def _rest(self) -> list[str]:
        return [prefix.rest if prefix.is_used else "" for prefix in self._prefixes]


def _language_of(node: Node) -> str:
    """The programming language of code, from its class; "" if it names none."""
    found = _CODE_CLASS.search(node.attributes.get("class") or "")
    if not found or found[1].lower() in _NO_LANGUAGE:
        return ""
    return found[1].lower()


def _span(value: str | None) -> int:
    text = (value or "").strip()
    return min(max(int(text), 1), _WIDEST) if text.isdecimal() and len(text) < 6 else 1
