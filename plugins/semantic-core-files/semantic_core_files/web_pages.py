"""Reads web pages: HTML and XHTML.

Tested by tests/test_web_pages.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semantic_core_files import html_markdown, html_tree
from semantic_core_files.dates import iso_date
from semantic_core_files.encodings import markup_text
from semantic_core_files.parts import FilePart, FileSource, one_line, part_of

if TYPE_CHECKING:
    from semantic_core_files.html_tree import Node

_META = {
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "dcterms.creator": "author",
    "description": "description",
    "og:description": "description",
    "dc.description": "description",
    "keywords": "keywords",
    "article:published_time": "published",
    "datepublished": "published",
    "date": "published",
    "dc.date": "published",
    "dcterms.date": "published",
    "dcterms.created": "published",
    "article:modified_time": "modified",
    "datemodified": "modified",
    "dcterms.modified": "modified",
    "og:site_name": "site",
}
"""Names in <meta>, and the field that they become."""
_DATES = frozenset({"published", "modified"})


def read(source: FileSource) -> list[FilePart]:
    """The page as one document. Raises FileUnreadable for what is no page."""
    text = markup_text(source, "web page")
    tree = html_tree.parse(source, text, whole=False)
    body = html_markdown.markdown(tree, whole=False)
    if not body:  # everything is in what usually surrounds the content
        tree = html_tree.parse(source, text, whole=True)
        body = html_markdown.markdown(tree, whole=True)
    head = tree.parser.root
    metadata = _metadata(head)
    return [
        part_of(
            source,
            body,
            title=_title(head, body) or source.stem,
            metadata=metadata,
            language=_language(head),
        )
    ]


def markup_body(source: FileSource, text: str) -> str:
    """All the content of markup, as Markdown: of a chapter, or of the text of a message."""
    return html_markdown.markdown(html_tree.parse(source, text, whole=True), whole=True)


def heading_of(body: str) -> str:
    """The first heading of level 1 in Markdown; "" if there is none before other headings."""
    for line in body.split("\n"):
        if line.startswith("# "):
            return line[2:].strip()
        if line.startswith("#"):
            return ""
    return ""


def _title(root: Node, body: str) -> str:
    """The title of a page, without the name of the site if the first heading shows which part that
    is.
    """
    found = root.css_first("title") if root is not None else None
    title = one_line(found.text()) if found is not None else ""
    first = heading_of(body)
    if not title:
        for meta in root.css("meta[property='og:title']") if root is not None else ():
            title = one_line(meta.attributes.get("content") or "")
    if first and (not title or first.casefold() in title.casefold()):
        return first
    return title


def _metadata(root: Node) -> dict[str, object]:
    fields: dict[str, object] = {}
    if root is None:
        return fields
    for meta in root.css("meta"):
        given = meta.attributes
        name = given.get("name") or given.get("property") or given.get("itemprop") or ""
        field = _META.get(name.lower())
        value = one_line(given.get("content") or "", 2_000)
        if field is None or not value or field in fields:
            continue
        if field in _DATES:
            value = iso_date(value)
        if field == "keywords":
            fields[field] = [word.strip() for word in value.split(",")][:100]
        elif value:
            fields[field] = value
    for link in root.css("link[rel='canonical']"):
        address = link.attributes.get("href") or ""
        if address.startswith(("http://", "https://")):
            fields["url"] = address
    return fields


def _language(root: Node) -> str:
    if root is None:
        return ""
    given = root.attributes
    return given.get("lang") or given.get("xml:lang") or ""
