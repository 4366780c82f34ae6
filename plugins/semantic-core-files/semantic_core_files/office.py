"""What the formats of Office have in common: relations between parts, and the core properties.

Tested by tests/test_office.py.
"""

from __future__ import annotations

import posixpath
from xml.etree.ElementTree import Element

from semantic_core_files.archives import Archive
from semantic_core_files.dates import iso_date

_CORE = "docProps/core.xml"
_FIELDS = {
    "creator": "author",
    "subject": "subject",
    "description": "description",
    "keywords": "keywords",
    "created": "created",
    "modified": "modified",
}
"""Core properties, and the field of metadata that each becomes."""
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_ID = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"


def local(element: Element) -> str:
    """The name of an element without its namespace, which differs between editions."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> list[Element]:
    """The children of that name."""
    return [child for child in element if local(child) == name]


def first(element: Element | None, *path: str) -> Element | None:
    """The first element at the end of a path of names; None if there is none."""
    found = element
    for name in path:
        if found is None:
            return None
        found = next((child for child in found if local(child) == name), None)
    return found


def relation_id(element: Element) -> str:
    """The id of the relation that an element names; "" if it names none."""
    return element.get(_ID) or element.get(_STRICT_ID) or ""


def relations(archive: Archive, name: str) -> dict[str, tuple[str, str]]:
    """What the relations of a part lead to: id to (kind, name of an entry); external ones are left
    out.
    """
    folder, file = posixpath.split(name)
    root = archive.xml_or_none(posixpath.join(folder, "_rels", f"{file}.rels"))
    found: dict[str, tuple[str, str]] = {}
    if root is None:
        return found
    for relation in root:
        target = relation.get("Target") or ""
        if relation.get("TargetMode") == "External" or not target:
            continue
        path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
        kind = (relation.get("Type") or "").rpartition("/")[2]
        found[relation.get("Id") or ""] = (kind, path)
    return found


def properties(archive: Archive) -> tuple[str, dict[str, object], str]:
    """Title, metadata and language of a document; "", {} and "" if it states none."""
    root = archive.xml_or_none(_CORE)
    title = ""
    language = ""
    fields: dict[str, object] = {}
    if root is None:
        return title, fields, language
    for element in root:
        text = (element.text or "").strip()
        name = local(element)
        if not text:
            continue
        if name == "title":
            title = text
        elif name == "language":
            language = text
        elif name == "keywords":
            words = text.replace(";", ",").split(",")
            fields["keywords"] = [word.strip() for word in words][:100]
        elif name in ("created", "modified"):
            fields[name] = iso_date(text)
        elif name in _FIELDS:
            fields[_FIELDS[name]] = text
    return title, fields, language
