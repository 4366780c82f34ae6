"""Reads books (EPUB): their chapters in the order of reading.

Tested by tests/test_books.py.
"""

from __future__ import annotations

import posixpath
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from semantic_core.errors import FileUnreadable
from semantic_core_files.archives import Archive, encrypted
from semantic_core_files.dates import iso_date
from semantic_core_files.encodings import markup_text
from semantic_core_files.markdown_text import joined
from semantic_core_files.office import children, first, local
from semantic_core_files.parts import FilePart, FileSource, check_size, part_of
from semantic_core_files.web_pages import markup_body

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = frozenset({"application/xhtml+xml", "text/html"})
_FIELDS = {
    "creator": "author",
    "date": "published",
    "publisher": "publisher",
    "description": "description",
    "identifier": "identifier",
    "subject": "keywords",
}
"""What a book says about itself, and the field of metadata that it becomes."""


def read(source: FileSource) -> list[FilePart]:
    """The book as one document. Raises FileUnreadable for what is no book, or a protected one."""
    archive = Archive(source, "EPUB book")
    package = _package(archive)
    root = archive.xml(package)
    folder = posixpath.dirname(package)
    items: dict[str, str] = {}
    manifest = first(root, "manifest")
    for item in manifest if manifest is not None else ():
        is_page = item.get("media-type") in _PAGES
        if is_page and "nav" not in (item.get("properties") or "").split():
            items[item.get("id") or ""] = unquote(item.get("href") or "")
    blocks: list[str] = []
    chars = 0
    spine = first(root, "spine")
    protected = _protected(archive)
    read_already: set[str] = set()
    for entry in spine if spine is not None else ():
        reference = entry.get("idref") or ""
        if reference not in items:
            continue
        name = posixpath.normpath(posixpath.join(folder, items[reference]))
        if name in read_already or not archive.has(name):
            continue
        if name in protected:
            raise encrypted(source)
        read_already.add(name)
        page = FileSource(archive.read(name), f"{source.name}: {posixpath.basename(name)}")
        if page.data.strip():
            blocks.append(markup_body(source, markup_text(page, "chapter")))
            chars += len(blocks[-1])
            check_size(source, chars)
    if not read_already:
        raise FileUnreadable(
            f"{source.name!r} is no EPUB book: it names no chapter that is in it.",
            hint="It may be cut short; fetch it again.",
        )
    title, fields, language = _described(first(root, "metadata"))
    return [
        part_of(
            source,
            joined([block.rstrip("\n") for block in blocks]),
            title=title or source.stem,
            metadata=fields,
            language=language,
        )
    ]


def _package(archive: Archive) -> str:
    """The name of the file that lists the chapters."""
    for element in archive.xml(_CONTAINER).iter():
        if local(element) == "rootfile" and element.get("full-path"):
            return unquote(element.get("full-path") or "")
    raise FileUnreadable(
        f"{archive.source.name!r} is no EPUB book: {_CONTAINER} names no package.",
        hint="It may be cut short; fetch it again.",
    )


def _protected(archive: Archive) -> set[str]:
    """Entries that are encrypted: fonts often are, in books that anyone may read."""
    root = archive.xml_or_none(_ENCRYPTION)
    if root is None:
        return set()
    return {
        unquote(element.get("URI") or "")
        for element in root.iter()
        if local(element) == "CipherReference"
    }


def _described(root: Element | None) -> tuple[str, dict[str, object], str]:
    title = ""
    language = ""
    fields: dict[str, object] = {}
    keywords: list[str] = []
    if root is None:
        return title, fields, language
    for name in ("title", "language"):
        for element in children(root, name):
            text = (element.text or "").strip()
            if name == "title" and not title:
                title = text
            elif name == "language" and not language:
                language = text
    for element in root:
        field = _FIELDS.get(local(element))
        text = (element.text or "").strip()
        if not field or not text:
            continue
        if field == "keywords":
            keywords.append(text)
        elif field not in fields:
            fields[field] = iso_date(text) if field == "published" else text
    fields["keywords"] = keywords[:100]
    return title, fields, language
