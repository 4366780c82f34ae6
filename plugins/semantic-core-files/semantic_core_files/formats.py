"""Which reader reads which files, by suffix and by media type.

Light: the modules that read are imported when a file is read.

Tested by tests/test_formats.py.
"""

from __future__ import annotations

from importlib import import_module

import attrs

from semantic_core_files.parts import FilePart, FileSource
from semantic_core_files.programming_languages import BY_MEDIA_TYPE, BY_SUFFIX

CODE = "code"
"""The format that is read in this process: it is only decoded."""


@attrs.frozen
class Format:
    """A format. name: how it is called in this package. reader: module and function, such as
    "mail:read". suffixes, media_types: the files that are read with it.
    """

    name: str
    reader: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]


_WORD = "application/vnd.openxmlformats-officedocument"

FORMATS = (
    Format(
        "page",
        "web_pages:read",
        (".html", ".htm", ".xhtml"),
        ("text/html", "application/xhtml+xml"),
    ),
    Format("pdf", "pdf_files:read", (".pdf",), ("application/pdf",)),
    Format(
        "word",
        "word_documents:read",
        (".docx", ".docm"),
        (f"{_WORD}.wordprocessingml.document",),
    ),
    Format(
        "slides",
        "slide_shows:read",
        (".pptx", ".pptm"),
        (f"{_WORD}.presentationml.presentation",),
    ),
    Format(
        "workbook",
        "workbooks:read",
        (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
        (
            f"{_WORD}.spreadsheetml.sheet",
            "application/vnd.ms-excel",
            "application/vnd.oasis.opendocument.spreadsheet",
        ),
    ),
    Format("book", "books:read", (".epub",), ("application/epub+zip",)),
    Format("message", "mail:read", (".eml",), ("message/rfc822",)),
    Format("mailbox", "mail:read_mailbox", (".mbox",), ("application/mbox",)),
    Format("csv", "rows:read_csv", (".csv",), ("text/csv",)),
    Format("tsv", "rows:read_tsv", (".tsv", ".tab"), ("text/tab-separated-values",)),
    Format(
        "json lines",
        "rows:read_json_lines",
        (".jsonl", ".ndjson"),
        ("application/jsonl", "application/x-ndjson"),
    ),
    Format("rst", "restructured_text:read", (".rst",), ("text/x-rst", "text/prs.fallenstein.rst")),
    Format(CODE, "source_code:read", tuple(BY_SUFFIX), tuple(BY_MEDIA_TYPE)),
)
BY_NAME = {found.name: found for found in FORMATS}
_BY_SUFFIX = {suffix: found.name for found in FORMATS for suffix in found.suffixes}
_BY_TYPE = {kind: found.name for found in FORMATS for kind in found.media_types}


def keys() -> dict[str, str]:
    """The name of the format for each suffix and media type."""
    return {**_BY_SUFFIX, **_BY_TYPE}


def format_of(suffix: str, media_type: str) -> str | None:
    """The name of the format of a file, by its suffix, else by its media type; None if it has
    none.
    """
    return _BY_SUFFIX.get(suffix.lower()) or _BY_TYPE.get(media_type.lower())


def read_here(name: str, source: FileSource) -> list[FilePart]:
    """Read a file in this process. name: of its format. Raises FileUnreadable."""
    module, _, function = BY_NAME[name].reader.partition(":")
    reader = getattr(import_module(f"semantic_core_files.{module}"), function)
    parts: list[FilePart] = reader(source)
    return parts
