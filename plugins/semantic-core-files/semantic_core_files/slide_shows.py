"""Reads PowerPoint presentations (PPTX): a heading for each slide, its text, tables and notes.

Tested by tests/test_office.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from semantic_core_files import markdown_text
from semantic_core_files.archives import Archive
from semantic_core_files.office import (
    children,
    first,
    local,
    properties,
    relation_id,
    relations,
)
from semantic_core_files.parts import FilePart, FileSource, one_line, part_of

_PRESENTATION = "ppt/presentation.xml"
_TITLES = frozenset({"title", "ctrTitle"})
_NO_TEXT = frozenset({"dt", "ftr", "sldNum", "hdr", "sldImg"})
"""Placeholders for date, footer, number, header and the picture of a slide."""
_DEEPEST = 6
"""Bullets are indented up to this level."""


def read(source: FileSource) -> list[FilePart]:
    """The presentation as one document, in the order of its slides; hidden slides too, because
    they are part of the file. Raises FileUnreadable for what is no presentation.
    """
    archive = Archive(source, "PowerPoint presentation")
    root = archive.xml(_PRESENTATION)
    targets = relations(archive, _PRESENTATION)
    title, fields, language = properties(archive)
    blocks: list[str] = []
    count = 0
    slides = first(root, "sldIdLst")
    for slide in slides if slides is not None else ():
        _, name = targets.get(relation_id(slide), ("", ""))
        if not archive.has(name):
            continue
        count += 1
        blocks += _slide(archive, name, count)
    fields["slides"] = count
    return [
        part_of(
            source,
            markdown_text.joined(blocks),
            title=title if title != "PowerPoint Presentation" and title else source.stem,
            metadata=fields,
            language=language,
        )
    ]


def _slide(archive: Archive, name: str, number: int) -> list[str]:
    tree = first(archive.xml(name), "cSld", "spTree")
    title = ""
    blocks: list[str] = []
    for shape in _shapes(tree):
        kind = _placeholder(shape)
        if kind in _NO_TEXT:
            continue
        if kind in _TITLES and not title:
            title = one_line(_plain(shape))
            continue
        blocks += _blocks(shape)
    heading = f"Slide {number}: {title}" if title else f"Slide {number}"
    notes: list[str] = []
    for kind, target in relations(archive, name).values():
        if kind == "notesSlide" and archive.has(target):
            for shape in _shapes(first(archive.xml(target), "cSld", "spTree")):
                if _placeholder(shape) not in _NO_TEXT:
                    notes += _blocks(shape)
    if notes:
        notes.insert(0, "Notes:")
    return [markdown_text.heading(2, heading), *blocks, *notes]


def _shapes(tree: Element | None) -> Iterator[Element]:
    """The shapes of a slide, in the order of its reading; groups are opened."""
    if tree is None:
        return
    waiting = list(reversed(list(tree)))
    while waiting:
        element = waiting.pop()
        name = local(element)
        if name in ("sp", "graphicFrame", "pic"):
            yield element
        elif name in ("grpSp", "AlternateContent", "Choice"):
            waiting.extend(reversed(list(element)))


def _placeholder(shape: Element) -> str:
    """The kind of a placeholder, such as "title"; "" for any other shape."""
    for properties_of in ("nvSpPr", "nvGraphicFramePr", "nvPicPr"):
        found = first(shape, properties_of, "nvPr", "ph")
        if found is not None:
            return found.get("type") or "body"
    return ""


def _blocks(shape: Element) -> list[str]:
    if local(shape) == "pic":
        described = first(shape, "nvPicPr", "cNvPr")
        text = described.get("descr") if described is not None else None
        return [markdown_text.paragraph(one_line(text, 1_000))] if text else []
    body = first(shape, "txBody")
    if body is not None:
        return [_text(body, is_list=_placeholder(shape) in ("body", "obj"))]
    blocks: list[str] = []
    for element in shape.iter():
        if local(element) == "tbl":
            rows = []
            for row in children(element, "tr"):
                rows.append([_plain(cell) for cell in children(row, "tc")])
            blocks.append(markdown_text.table(rows))
    return blocks


def _text(body: Element, *, is_list: bool) -> str:
    """The paragraphs of a shape; of the body of a slide as a list, if there are several."""
    paragraphs: list[tuple[int, str]] = []
    for paragraph in children(body, "p"):
        text = _runs(paragraph)
        if text:
            settings = first(paragraph, "pPr")
            stated = settings.get("lvl", "0") if settings is not None else "0"
            level = int(stated) if stated.isdecimal() and len(stated) < 4 else 0
            paragraphs.append((min(level, _DEEPEST), text))
    if not is_list or len(paragraphs) < 2:
        return "\n\n".join(markdown_text.paragraph(text) for _, text in paragraphs)
    lines = []
    for level, text in paragraphs:
        lines.append(f"{'  ' * level}- {one_line(text, 100_000)}")
    return "\n".join(lines)


def _runs(paragraph: Element) -> str:
    pieces = []
    for element in paragraph.iter():
        if local(element) == "t":
            pieces.append(element.text or "")
        elif local(element) == "br":
            pieces.append("\n")
    return "".join(pieces).strip()


def _plain(element: Element) -> str:
    """All text in an element, paragraphs divided by spaces."""
    found = [_runs(paragraph) for paragraph in element.iter() if local(paragraph) == "p"]
    return " ".join(text for text in found if text)
