"""The tree of a page: parsed as browsers do, and the part of it that is its content.

Tested by tests/test_web_pages.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core.errors import FileUnreadable
from semantic_core_files import limits
from semantic_core_files.parts import FileSource, words

if TYPE_CHECKING:
    Node = Any
    """A node of selectolax's tree, which has no types of its own."""

NO_CONTENT = words(
    "script style template noscript svg iframe object embed canvas audio video map head title "
    "select option button textarea input datalist rt rp"
)
"""Elements that are never read."""
AROUND = frozenset({"nav", "header", "footer", "aside", "dialog", "menu"})
"""Elements that surround the content of a page, when they are not part of an article."""
AROUND_ROLES = words(
    "navigation banner contentinfo complementary search menu menubar toolbar dialog alertdialog "
    "tablist"
)
"""The same by role; these are left out within an article too."""
STRUCTURE = words("h1 h2 h3 h4 h5 h6 ul ol dl pre blockquote table figure")
"""A table whose cells have any of these inside is there for the layout of the page."""

_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title)\b.*?(?:</\1\s*>|\Z)|<(/?)([a-zA-Z][\w:-]*)",
    re.DOTALL | re.IGNORECASE,
)
_CLOSED_BY_OTHERS = words(
    "p li dt dd tr td th thead tbody tfoot option optgroup colgroup rt rp html head body "
    "area base br col embed hr img input link meta param source track wbr"
)
"""Elements that need no end tag, or have none."""


@attrs.define
class PageTable:
    """What decides whether a table has rows of data or lays out a page."""

    is_layout: bool = False
    cells: int = 0
    rows: int = 0


@attrs.frozen
class Tree:
    """A parsed page. root: where its content begins. tables: by the identity of their node."""

    parser: Node
    root: Node
    tables: dict[int, PageTable]


def parse(source: FileSource, text: str, *, whole: bool) -> Tree:
    """The tree of a page. whole: read all of it, as of a book or a message; otherwise the content
    without what surrounds it. Raises FileUnreadable for elements that are nested too deeply.
    """
    from selectolax.lexbor import LexborHTMLParser

    _check_nesting(source, text)
    parser = LexborHTMLParser(text)
    tables: dict[int, PageTable] = {}
    mains: list[Node] = []
    articles: list[Node] = []
    open_tables: list[PageTable] = []
    body = parser.body if parser.body is not None else parser.root
    for node, is_start in _steps(source, body):
        tag = node.tag
        if tag == "table":
            if not is_start:
                open_tables.pop()
                continue
            if open_tables:
                open_tables[-1].is_layout = True
            table = PageTable(node.attributes.get("role") in ("presentation", "none"))
            tables[node.mem_id] = table
            open_tables.append(table)
        elif not is_start:
            continue
        elif open_tables and tag in STRUCTURE:
            open_tables[-1].is_layout = True
        elif open_tables and tag in ("td", "th"):
            open_tables[-1].cells += 1
        elif open_tables and tag == "tr":
            open_tables[-1].rows += 1
        elif tag == "main" or node.attributes.get("role") == "main":
            mains.append(node)
        elif tag == "article":
            articles.append(node)
    root = body
    if not whole and len(mains) == 1:
        root = mains[0]
    elif not whole and not mains and len(articles) == 1:
        root = articles[0]
    return Tree(parser, root, tables)


def _steps(source: FileSource, root: Node) -> Iterator[tuple[Node, bool]]:
    """Every element of a tree twice: at its start (True) and at its end (False)."""
    above: list[Node] = []
    node = root
    while node is not None:
        is_element = node.is_element_node
        child = node.first_child if is_element else None
        if is_element:
            yield node, True
        if child is not None:
            above.append(node)
            if len(above) > limits.MAX_HTML_NESTING:
                raise _too_deep(source)
            node = child
            continue
        if is_element:
            yield node, False
        following = node.next if above else None
        while following is None and above:
            node = above.pop()
            yield node, False
            following = node.next if above else None
        node = following


def _check_nesting(source: FileSource, text: str) -> None:
    """Refuse what the parser would need hours for: its time grows with the square of the depth."""
    depth = 0
    for found in _TAG.finditer(text):
        name = found[3]
        if not name or name.lower() in _CLOSED_BY_OTHERS:
            continue
        depth = max(0, depth - 1) if found[2] else depth + 1
        if depth > 2 * limits.MAX_HTML_NESTING:
            raise _too_deep(source)


def _too_deep(source: FileSource) -> FileUnreadable:
    return FileUnreadable(
        f"{source.name!r} has elements nested deeper than {limits.MAX_HTML_NESTING:,}.",
        hint="No browser shows such a page; leave it out.",
    )
