"""What bytes are: which format they begin like, and what text they are.

Tested by tests/test_encodings.py.
"""

from __future__ import annotations

import codecs
import re

from semantic_core.errors import FileUnreadable
from semantic_core_files.parts import FileSource

_BEGINNINGS = (
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive, such as an Office document or a book"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or encrypted Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"{\\rtf", "an RTF document"),
    (b"SQLite format 3\0", "a SQLite database"),
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_XML_DECLARED = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})")
_HEAD = 4_096
"""Bytes of a page in which its encoding is declared, four times what browsers look at."""


def check_not_empty(source: FileSource) -> None:
    """Raise FileUnreadable if there is nothing in the file."""
    if not source.data.strip(b"\0 \t\r\n"):
        raise FileUnreadable(f"{source.name!r} is empty.", hint="Leave it out, or fetch it again.")


def looks_like(data: bytes) -> str:
    """What the first bytes belong to, such as "a PDF file"; "" if they are not known."""
    for beginning, what in _BEGINNINGS:
        if data.startswith(beginning):
            return what
    return ""


def wrong_format(source: FileSource, wanted: str) -> FileUnreadable:
    """The error for a file that is not of the wanted format, such as "PDF file"."""
    what = looks_like(source.data)
    if what:
        return FileUnreadable(
            f"{source.name!r} is no {wanted}: it begins like {what}.",
            hint="Give it the suffix of what it is.",
        )
    return FileUnreadable(
        f"{source.name!r} is no {wanted}: it begins with {source.data[:8]!r}.",
        hint="Check that it was copied completely, and that its suffix is right.",
    )


def text_of(source: FileSource, wanted: str, *, may_be_empty: bool = False) -> str:
    """The text of a file: UTF-8, UTF-16 or UTF-32 with a byte order mark, else Windows-1252.

    wanted: what the file should be, for the message. Raises FileUnreadable if it is binary, or
    empty and may not be.
    """
    if may_be_empty and not source.data.strip():
        return ""
    return _decoded(source, wanted, "")


def markup_text(source: FileSource, wanted: str, declared: str = "") -> str:
    """The text of a page, in the encoding that it declares, as browsers do. declared: the encoding
    that came with the page, which counts more.
    """
    head = source.data[:_HEAD]
    found = _DECLARED.search(head) or _XML_DECLARED.match(head)
    named = declared or (found[1].decode("ascii") if found else "")
    return _decoded(source, wanted, named)


def decoded(data: bytes, named: str) -> str:
    """Bytes as text: in the encoding that is named, else UTF-8, else Windows-1252."""
    for name in (named, "utf-8"):
        codec = _codec(name)
        if codec is None:
            continue
        try:
            return data.decode(codec)
        except (UnicodeError, ValueError):
            continue
    return data.decode("cp1252", "replace")


def _decoded(source: FileSource, wanted: str, named: str) -> str:
    check_not_empty(source)
    data = source.data
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeError as error:
                raise FileUnreadable(
                    f"{source.name!r} begins as {encoding.upper()} and is not: {error}.",
                    hint="Save it again as UTF-8.",
                ) from error
    if looks_like(data) or b"\0" in data:
        raise wrong_format(source, wanted)
    return decoded(data, named)


def _codec(name: str) -> str | None:
    """The codec of that name for text; None if there is none. Latin-1 means Windows-1252, as in
    browsers.
    """
    if not name:
        return None
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if codec.name in ("iso8859-1", "ascii"):
        return "cp1252" if codec.name == "iso8859-1" else "utf-8"
    # Others, such as "hex", do not make text; UTF-7 hides markup.
    if not getattr(codec, "_is_text_encoding", True) or codec.name == "utf-7":
        return None
    return codec.name
