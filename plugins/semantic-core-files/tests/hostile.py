"""Files that attack a reader, or are damaged: each with what its refusal says."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

from making import (
    CELLS,
    MESSAGE,
    PAGE,
    book,
    message,
    pdf,
    report,
    slide_show,
    word_document,
    word_entries,
    word_paragraph,
    workbook,
    zipped,
)
from semantic_core_files import limits

LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)
LOCAL_FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
MULTIPART = b"From: a@b\nContent-Type: multipart/mixed; boundary=b\n\n"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def _word(prolog: str = "", body: str = "") -> bytes:
    entries = word_entries(body or word_paragraph("x"))
    entries["word/document.xml"] = f"{prolog}{entries['word/document.xml']!s}"
    return zipped(entries)


def _bomb() -> bytes:
    """An archive with an entry of zeros, a thousand times smaller than what it expands to."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.xhtml", b"\0" * (limits.RATIO_FROM + 1_000_000))
    return buffer.getvalue()


def _large_entries(size: int, count: int) -> bytes:
    """An archive whose entries expand to so much, by its own word."""
    data = bytearray(zipped({f"{number}.xml": "x" for number in range(count)}))
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 24 : at + 28] = size.to_bytes(4, "little")
        at = data.find(b"PK\x01\x02", at + 4)
    return bytes(data)


def _many_entries() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(limits.MAX_ENTRIES + 1):
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    return buffer.getvalue()


def _lying_archive() -> bytes:
    """An archive that says that an entry is small."""
    data = bytearray(zipped({"[Content_Types].xml": "x" * 5_000, "a": "b"}))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + place
        data[at : at + 4] = (5).to_bytes(4, "little")
    return bytes(data)


def _encrypted_archive() -> bytes:
    data = bytearray(word_document())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def _deep_message() -> bytes:
    lines = [b"From: a@b\nSubject: x\n"]
    for number in range(limits.MAX_MIME_NESTING + 5):
        lines.append(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number))
    return b"".join(lines)


def _endless_message() -> bytes:
    lines = [b"From: a@b\nSubject: x\n"]
    for number in range(2_000):
        lines.append(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number))
    return b"".join(lines)


def _pages_in_a_circle() -> bytes:
    """A PDF whose tree of pages contains itself."""
    return report().replace(b"/Kids [4 0 R 6 0 R]", b"/Kids [2 0 R 2 0 R]")


def _claims_a_million_pages() -> bytes:
    return report().replace(b"/Count 2 >>", b"/Count 9999999 >>", 1)


def _far_cell() -> bytes:
    corner = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return workbook({"S": CELLS + corner})


def _deep_json() -> bytes:
    return b'{"a": 1}\n' + b"[" * 100_000 + b"]" * 100_000 + b"\n"


def _nested_xml(depth: int) -> str:
    return f"{'<a>' * depth}{'</a>' * depth}"


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "empty page": ("x.html", lambda: b"", "is empty"),
    "empty pdf": ("x.pdf", lambda: b"", "is empty"),
    "empty book": ("x.epub", lambda: b" \n", "is empty"),
    "zeros as a table": ("x.csv", lambda: b"\0" * 500, "is empty"),
    "pdf as a page": ("x.html", report, "begins like a PDF file"),
    "page as pdf": ("x.pdf", lambda: PAGE, "is no PDF file"),
    "picture as a document": ("x.docx", lambda: b"\x89PNG\r\n\x1a\n" * 9, "like a PNG picture"),
    "archive as a table": ("x.csv", word_document, "begins like a ZIP archive"),
    "program as mail": ("x.eml", lambda: b"\x7fELF" + b"\0" * 99, "begins like a program"),
    "slides as a document": ("x.docx", slide_show, "could not be read|is a broken"),
    "document as slides": ("x.pptx", word_document, "has no 'ppt/presentation.xml'"),
    "document as a workbook": ("x.xlsx", word_document, "is no workbook"),
    "document as a book": ("x.epub", word_document, "has no 'META-INF/container.xml'"),
    "zip bomb": ("x.docx", lambda: _large_entries(400_000_000, 1), "expands to 400,000,000 bytes"),
    "zip bomb of many": ("x.xlsx", lambda: _large_entries(4_000_000, 90), "expands to 360,000,000"),
    "zip bomb by ratio": ("x.epub", _bomb, "times its size"),
    "many entries": ("x.pptx", _many_entries, "entries, the most is 20,000"),
    "lying archive": ("x.docx", _lying_archive, "is a broken Word document"),
    "cut archive": ("x.docx", lambda: word_document()[:-60], "is a broken Word document"),
    "encrypted archive": ("x.docx", _encrypted_archive, "is encrypted"),
    "encrypted document": (
        "x.docx",
        lambda: OLE + b"\0" * 500 + "EncryptedPackage".encode("utf-16-le"),
        "is encrypted",
    ),
    "encrypted workbook": (
        "x.xlsx",
        lambda: OLE + b"\0" * 500 + "EncryptedPackage".encode("utf-16-le"),
        "is encrypted",
    ),
    "old document as docx": ("x.docx", lambda: OLE + b"\1" * 900, "old or encrypted Office"),
    "broken old workbook": ("x.xls", lambda: OLE + b"\1" * 900, "is no workbook"),
    "billion laughs": ("x.docx", lambda: _word(LAUGHS), "declares the entity 'a'"),
    "billion laughs in utf-16": (
        "x.xlsx",
        lambda: zipped({"xl/workbook.xml": (LAUGHS + "<x>&c;</x>").encode("utf-16")}),
        "declares the entity 'a'",
    ),
    "entity of a file": (
        "x.pptx",
        lambda: zipped({"ppt/presentation.xml": f"{LOCAL_FILE}<x>&a;</x>"}),
        "declares the entity 'a'",
    ),
    "entity in a book": (
        "x.epub",
        lambda: book(extra={"META-INF/container.xml": f"{LOCAL_FILE}<x>&a;</x>"}),
        "declares the entity 'a'",
    ),
    "deep xml": (
        "x.docx",
        lambda: _word(body=_nested_xml(100_000)),
        "nested deeper than 250",
    ),
    "broken xml": ("x.docx", lambda: _word(body="<w:p>"), "has broken XML in 'word/document.xml'"),
    "deep page": ("x.html", lambda: b"<div>" * 200_000, "nested deeper than 1,000"),
    "deep tables": ("x.html", lambda: b"<table><tr><td>" * 5_000, "nested deeper than 1,000"),
    "deep chapter": (
        "x.epub",
        lambda: book(extra={"OPS/eins.xhtml": "<b>" * 50_000}),
        "nested deeper than 1,000",
    ),
    "deep message": ("x.eml", _deep_message, "nested deeper than 30"),
    "endless message": ("x.eml", _endless_message, "nested"),
    "message in messages": (
        "x.eml",
        lambda: b"Subject: x\nContent-Type: message/rfc822\n\n" * 3_000,
        "nested|broken",
    ),
    "deep json": ("x.jsonl", _deep_json, "deeper than 100 in line 2"),
    "json in one piece": ("x.jsonl", lambda: b'{\n"a": 1\n}', "no JSON in line 1"),
    "number of many digits": ("x.jsonl", lambda: b'{"a": ' + b"9" * 100_000 + b"}", "line 1"),
    "endless field": ("x.csv", lambda: b'a\n"' + b"x" * 11_000_000, "no table at line"),
    "million columns": ("x.csv", lambda: b"a," * 1_000_000 + b"\n1\n", "columns, the most is"),
    "protected pdf": ("x.pdf", lambda: pdf([["x"]], encrypt=True), "is encrypted"),
    "pdf without text": ("x.pdf", lambda: pdf([[]]), "1 pages without any text"),
    "pdf of many pages": (
        "x.pdf",
        lambda: pdf([["x"]] * (limits.MAX_PAGES + 1)),
        "has 5,001 pages, the most is 5,000",
    ),
    "pdf in a circle": ("x.pdf", _pages_in_a_circle, "broken PDF|none of its"),
    "beginning of a pdf": ("x.pdf", lambda: report()[:200], "is a broken PDF file"),
    "pdf of noise": ("x.pdf", lambda: b"%PDF-1.7\n" + bytes(range(256)) * 50, "is a broken PDF"),
    "far cell": ("x.xlsx", _far_cell, "cells|memory|ended the process"),
    "mailbox of noise": ("x.mbox", lambda: b"\xff" * 1_000, "is no mailbox"),
    "message as a mailbox": ("x.mbox", lambda: message(1), "is no mailbox"),
    "message of noise": ("x.eml", lambda: bytes(range(128, 256)) * 10, "is no e-mail message"),
    "utf-16 cut in half": ("x.html", lambda: "<p>x".encode("utf-16")[:-1], "UTF-16"),
    "binary code": ("x.py", lambda: b"\0\1\2" * 100, "is no source code"),
    "binary text": ("x.rst", lambda: b"abc\0def", "is no reStructuredText file"),
    "too large": ("x.csv", lambda: b"a" * (limits.MAX_FILE_BYTES + 1), "bytes, the most is"),
    "too much text": (
        "x.jsonl",
        lambda: b'{"a": "' + b"word " * 4_200_000 + b'"}',
        "characters of text, the most",
    ),
}
"""What it is: name, content, and a pattern for its refusal."""

BEARABLE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "unclosed paragraphs": ("x.html", lambda: b"<p>word" * 50_000),
    "long attribute": ("x.html", lambda: b"<p title='" + b"x" * 2_000_000 + b"'>word</p>"),
    "table of wide cells": (
        "x.html",
        lambda: b"<table>" + b"<tr><td colspan=99999 rowspan=99999>x<td>y" * 300 + b"</table>",
    ),
    "many lists": ("x.html", lambda: b"<ul><li>word" * 400),
    "unclosed comment": ("x.html", lambda: b"<p>word<!--" + b"x" * 1_000_000),
    "quotes": ("x.eml", lambda: b"From: a@b\n\n" + b">" * 100_000 + b" word\nword\n"),
    "long header": ("x.eml", lambda: b"From: a@b\nSubject: " + b"x" * 500_000 + b"\n\nword"),
    "many recipients": (
        "x.eml",
        lambda: b"From: a@b\nTo: " + b"a@b.example, " * 5_000 + b"\n\nword",
    ),
    "many parts": (
        "x.eml",
        lambda: MULTIPART + b"--b\n\nword\n" * 5_000,
    ),
    "half a message": ("x.eml", lambda: MESSAGE[:1_000]),
    "many boundaries": ("x.mbox", lambda: b"From a\nFrom: a@b\nSubject: word\n\nword\n\n" * 3_000),
    "delimiters": ("x.csv", lambda: b"word\n" + b",;|\t" * 1_000),
    "quotes in a table": ("x.csv", lambda: b"a,b\n" + b'"""word""",' * 4_000),
    "marks": ("x.rst", lambda: b"`*_|:" * 40_000 + b"\nword"),
    "titles": ("x.rst", lambda: b"word\n====\n" * 20_000),
    "nothing but brackets": ("x.py", lambda: b"(" * 300_000 + b"word"),
    "one long line": ("x.js", lambda: b"function word(){" * 60_000),
    "many pages": ("x.pdf", lambda: pdf([["word"]] * 1_000)),
    "pdf of a million pages": ("x.pdf", _claims_a_million_pages),
    "many bookmarks": ("x.pdf", lambda: pdf([["word"]], bookmarks=[("a", 0)] * 3_000)),
    "slow numbers": ("x.csv", lambda: b"a\n" + b"9" * 200_000 + b"\nword"),
}
"""Odd files that are read all the same, in a few seconds."""
