"""Reads PDF files with pdfium: the text of each page below a heading that names the page.

A PDF has no paragraphs and no headings, only lines at places; its bookmarks become the headings.

Tested by tests/test_pdf_files.py.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from semantic_core.errors import FileUnreadable
from semantic_core_files import limits, markdown_text
from semantic_core_files.archives import encrypted
from semantic_core_files.dates import pdf_date
from semantic_core_files.encodings import check_not_empty, wrong_format
from semantic_core_files.parts import FilePart, FileSource, check_size, one_line, part_of

if TYPE_CHECKING:
    Pdf = Any
    """A document of pypdfium2."""

_HEAD_BYTES = 1_024
"""Readers of PDF look for the beginning in so many bytes."""
_PASSWORD_ERROR = 4
"""FPDF_ERR_PASSWORD."""
_PAGE_LEVEL = 6
"""Level of the heading of a page: below all bookmarks."""
_SHORTEST_DOUBLED = 8
"""A shorter title that repeats itself may be a word that does."""
_DEEPEST = 4
"""Bookmarks below this level are not used."""
_HYPHEN = re.compile("[\x02\ufffe\u00ad]\\s*\r?\n?")
"""A hyphen at which pdfium found a word divided between lines."""
_NO_TITLE = re.compile(
    r"^(?:untitled|microsoft (?:word|powerpoint|excel) - .*|.*\.(?:docx?|indd|tex|dvi|pptx?|qxd))$",
    re.IGNORECASE,
)
"""Titles that programs leave behind, which say nothing."""
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b")
_FEWEST_PAGES = 4
"""Fewer pages do not show which lines repeat."""
_EDGE_LINES = 2
"""Lines at the top and at the bottom of a page that may be running ones."""
_FIELDS = {"Author": "author", "Subject": "subject"}
_DATES = {"CreationDate": "created", "ModDate": "modified"}


def read(source: FileSource) -> list[FilePart]:
    """The PDF as one document. Raises FileUnreadable for what is no PDF, is protected by a
    password, has too many pages, or has pictures only.
    """
    import pypdfium2

    check_not_empty(source)
    if b"%PDF-" not in source.data[:_HEAD_BYTES]:
        raise wrong_format(source, "PDF file")
    try:
        document = pypdfium2.PdfDocument(source.data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_ERROR or "password" in str(error).lower():
            raise encrypted(source) from error
        raise FileUnreadable(
            f"{source.name!r} is a broken PDF file: {str(error).rstrip('.')}.",
            hint="It may be cut short; fetch it again.",
        ) from error
    count = len(document)
    if count > limits.MAX_PAGES:
        raise FileUnreadable(
            f"{source.name!r} has {count:,} pages, the most is {limits.MAX_PAGES:,}.",
            hint="Split it into several files.",
        )
    bookmarks = _bookmarks(document)
    pages: list[list[str]] = []
    chars = 0
    failed: list[str] = []
    for number in range(count):
        try:
            text = _page_text(document, number)
        except pypdfium2.PdfiumError:
            failed.append(str(number + 1))
            text = ""
        chars += len(text)
        check_size(source, chars)
        pages.append([line.strip() for line in text.split("\n")])
    blocks: list[str] = []
    for number, lines in enumerate(without_running_lines(pages)):
        blocks += _page(lines, number, bookmarks.get(number, []))
    if not chars:
        raise _without_text(source, count, failed)
    title, fields = _described(document)
    fields["pages"] = count
    fields["unreadable_pages"] = failed
    return [
        part_of(source, markdown_text.joined(blocks), title=title or source.stem, metadata=fields)
    ]


def _page_text(document: Pdf, number: int) -> str:
    page = document[number]
    try:
        text_page = page.get_textpage()
        try:
            raw = text_page.get_text_bounded()
        finally:
            text_page.close()
    finally:
        page.close()
    return _HYPHEN.sub("", raw).replace("\r\n", "\n").strip()


def without_running_lines(pages: list[list[str]]) -> list[list[str]]:
    """The lines of the pages without what stands at the top or bottom of many: page numbers, the
    title of the book. Of those that differ only by numbers, the first one stays.
    """
    if len(pages) < _FEWEST_PAGES:
        return pages
    counts: Counter[str] = Counter()
    for lines in pages:
        counts.update({_shape(lines[place]) for place in _edges(lines)})
    running = set()
    for shape, count in counts.items():
        if shape and count >= max(_FEWEST_PAGES, len(pages) // 3):
            running.add(shape)
    seen: set[str] = set()
    kept: list[list[str]] = []
    for lines in pages:
        dropped = set()
        for place in _edges(lines):
            shape = _shape(lines[place])
            if shape in running and shape in seen:
                dropped.add(place)
            elif shape in running:
                seen.add(shape)
        kept.append([line for place, line in enumerate(lines) if place not in dropped])
    return kept


def _edges(lines: list[str]) -> set[int]:
    """The places of the first and last lines of a page."""
    last = len(lines)
    return {*range(min(_EDGE_LINES, last)), *range(max(0, last - _EDGE_LINES), last)}


def _shape(line: str) -> str:
    """A line with all its numbers as 0, for comparison."""
    return _NUMBER.sub("0", " ".join(line.split()).casefold())


def _page(lines: list[str], number: int, bookmarks: list[tuple[int, str]]) -> list[str]:
    """The blocks of a page; [] for a page without text. A bookmark whose title is a line of the
    page becomes the heading at this line, another one the heading at the top.
    """
    page_heading = markdown_text.heading(_PAGE_LEVEL, f"Page {number + 1}")
    if not any(lines):
        return []
    places: list[tuple[int, int, str]] = []
    begin = 0
    # Where two sections begin and neither is found, the text of the page may belong to either.
    elsewhere = 0 if len(bookmarks) == 1 else len(lines)
    lost: list[tuple[int, int, str]] = []
    for level, title in bookmarks:
        heading = markdown_text.heading(level, title)
        at, length = _place(lines, title, begin)
        if at < 0:
            lost.append((elsewhere, 0, heading))
        else:
            places.append((at, length, heading))
            begin = at + length
    places += lost
    blocks: list[str] = []
    done = 0
    for at, length, heading in places:
        before = "\n".join(lines[done:at]).strip()
        if before:
            if not blocks or blocks[-1].startswith("#"):
                blocks.append(page_heading)
            blocks.append(markdown_text.paragraph(before))
        blocks.append(heading)
        done = at + length
    rest = "\n".join(lines[done:]).strip()
    if rest or not blocks:
        blocks += [page_heading, markdown_text.paragraph(rest)]
    return blocks


def _place(lines: list[str], title: str, begin: int) -> tuple[int, int]:
    """The first of the lines that are the title of a bookmark, and how many they are; (-1, 0) if
    the page has no such lines.
    """
    wanted = _bare(title)
    for at in range(begin, len(lines)):
        joined = ""
        for length in range(1, 4):
            if at + length > len(lines):
                break
            joined += _bare(lines[at + length - 1])
            is_same = joined == wanted or re.sub(r"^[\d.]+", "", joined) == wanted
            if joined and is_same:
                return at, length
    return -1, 0


def _bare(text: str) -> str:
    return "".join(text.split()).casefold()


def _bookmarks(document: Pdf) -> dict[int, list[tuple[int, str]]]:
    """For each page, counted from 0, the level and title of the bookmarks that lead to it."""
    found: dict[int, list[tuple[int, str]]] = {}
    for number, bookmark in enumerate(document.get_toc(max_depth=_DEEPEST)):
        if number >= limits.MAX_BOOKMARKS:
            break
        target = bookmark.get_dest()
        page = target.get_index() if target is not None else None
        title = _single(one_line(bookmark.get_title(), 300))
        if page is not None and title:
            found.setdefault(page, []).append((bookmark.level + 1, title))
    return found


def _single(title: str) -> str:
    """A title without the repetition that Chromium writes: "1. 1. BeansBeans" is "1. Beans"."""
    if len(title) < _SHORTEST_DOUBLED:
        return title
    pieces: list[str] = []
    at = 0
    rest = f"{title} "
    while at < len(title):
        for length in range(3, (len(rest) - at) // 2 + 1):
            piece = rest[at : at + length]
            if rest.startswith(piece, at + length):
                pieces.append(piece)
                at += 2 * length
                break
        else:
            return title
    return "".join(pieces).strip()


def _described(document: Pdf) -> tuple[str, dict[str, object]]:
    stated = document.get_metadata_dict(skip_empty=True)
    title = one_line(stated.get("Title", ""))
    if _NO_TITLE.match(title):
        title = ""
    fields: dict[str, object] = {}
    for name, field in _FIELDS.items():
        fields[field] = stated.get(name, "")
    for name, field in _DATES.items():
        fields[field] = pdf_date(stated.get(name, ""))
    words = re.split(r"[,;]", stated.get("Keywords", ""))
    fields["keywords"] = [word.strip() for word in words][:100]
    return title, fields


def _without_text(source: FileSource, count: int, failed: list[str]) -> FileUnreadable:
    if len(failed) == count:
        return FileUnreadable(
            f"{source.name!r} is a broken PDF file: none of its {count} pages can be read.",
            hint="It may be cut short; fetch it again.",
        )
    return FileUnreadable(
        f"{source.name!r} has {count} pages without any text: they are pictures.",
        hint="Recognise its text first, for example with ocrmypdf.",
    )
