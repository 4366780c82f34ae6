"""Files for the tests, made of nothing but bytes: of each format the smallest real one."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPES = "application/vnd.openxmlformats-officedocument"


def zipped(entries: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive, with the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 6))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def core_properties(title: str = "") -> str:
    """The core properties of an Office document."""
    return (
        f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
        f"<dc:title>{title}</dc:title><dc:creator>Ann Ä</dc:creator>"
        "<dc:language>de-DE</dc:language><cp:keywords>a; b</cp:keywords>"
        "<dcterms:created>2024-01-31T09:30:00Z</dcterms:created></cp:coreProperties>"
    )


def _types(**parts: str) -> str:
    lines = [f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in parts.items()]
    return (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{"".join(lines)}</Types>'
    )


def relations(**targets: tuple[str, str]) -> str:
    """Relations of a part: id=(kind, target)."""
    lines = [
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    ]
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(lines)}</Relationships>'


def word_entries(body: str, *, title: str = "") -> dict[str, str | bytes]:
    """The entries of a Word document with this body."""
    return {
        "[Content_Types].xml": _types(
            **{"word/document.xml": f"{_TYPES}.wordprocessingml.document.main+xml"}
        ),
        "_rels/.rels": relations(r1=("officeDocument", "word/document.xml")),
        "docProps/core.xml": core_properties(title),
        "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
        "word/styles.xml": (
            f'<w:styles xmlns:w="{_WORD}">'
            '<w:style w:type="paragraph" w:styleId="h1"><w:name w:val="heading 1"/></w:style>'
            '<w:style w:type="paragraph" w:styleId="h2"><w:name w:val="heading 2"/></w:style>'
            '<w:style w:type="paragraph" w:styleId="q"><w:name w:val="Quote"/></w:style>'
            "</w:styles>"
        ),
        "word/_rels/document.xml.rels": relations(s=("styles", "styles.xml")),
    }


def word_paragraph(text: str, style: str = "") -> str:
    """A paragraph of a Word document."""
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{styled}<w:r><w:t>{text}</w:t></w:r></w:p>"


def word_table(rows: Sequence[Sequence[str]]) -> str:
    """A table of a Word document."""
    lines = []
    for row in rows:
        cells = "".join(f"<w:tc>{word_paragraph(cell)}</w:tc>" for cell in row)
        lines.append(f"<w:tr>{cells}</w:tr>")
    return f"<w:tbl>{''.join(lines)}</w:tbl>"


def word_document() -> bytes:
    """A Word document with headings, a quote, deleted text and a table."""
    body = (
        word_paragraph("Jahresbericht", "h1")
        + word_paragraph("Der Umsatz stieg um 12 %.")
        + word_paragraph("Kosten", "h2")
        + "<w:p><w:del><w:r><w:delText>gestrichen</w:delText></w:r></w:del>"
        + "<w:ins><w:r><w:t>eingefügt</w:t></w:r></w:ins></w:p>"
        + word_table([["Jahr", "Betrag"], ["2023", "7|8"]])
        + word_paragraph("Ende gut.", "q")
    )
    return zipped(word_entries(body, title="Bericht"))


def _shape(kind: str, paragraphs: Sequence[tuple[int, str]]) -> str:
    lines = [
        f'<a:p><a:pPr lvl="{level}"/><a:r><a:t>{text}</a:t></a:r></a:p>'
        for level, text in paragraphs
    ]
    placeholder = f'<p:ph type="{kind}"/>' if kind else ""
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x"/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr>'
        f"<p:txBody>{''.join(lines)}</p:txBody></p:sp>"
    )


def _slide(kind: str, shapes: str) -> str:
    return (
        f'<p:{kind} xmlns:p="{_SLIDES}" xmlns:a="{_DRAWING}"><p:cSld><p:spTree>{shapes}'
        f"</p:spTree></p:cSld></p:{kind}>"
    )


def slide_show() -> bytes:
    """A presentation of two slides, whose files are in another order than the slides."""
    cells = "".join(
        f"<a:tr>{''.join(f'<a:tc><a:txBody><a:p><a:r><a:t>{cell}</a:t></a:r></a:p></a:txBody></a:tc>' for cell in row)}</a:tr>"  # noqa: E501
        for row in (("Jahr", "Wert"), ("2024", "7"))
    )
    table = f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{cells}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"  # noqa: E501
    bullets = _shape("body", [(0, "Erstens"), (1, "darunter"), (0, "Zweitens")])
    return zipped(
        {
            "[Content_Types].xml": _types(),
            "docProps/core.xml": core_properties("Planung"),
            "ppt/presentation.xml": (
                f'<p:presentation xmlns:p="{_SLIDES}" xmlns:r="{_OFFICE}"><p:sldIdLst>'
                '<p:sldId id="1" r:id="a"/><p:sldId id="2" r:id="b"/></p:sldIdLst></p:presentation>'
            ),
            "ppt/_rels/presentation.xml.rels": relations(
                a=("slide", "slides/slide9.xml"), b=("slide", "slides/slide1.xml")
            ),
            "ppt/slides/slide1.xml": _slide("sld", _shape("title", [(0, "Zahlen")]) + table),
            "ppt/slides/slide9.xml": _slide(
                "sld", _shape("ctrTitle", [(0, "Plan")]) + bullets + _shape("sldNum", [(0, "17")])
            ),
            "ppt/slides/_rels/slide9.xml.rels": relations(
                n=("notesSlide", "../notesSlides/notesSlide1.xml")
            ),
            "ppt/notesSlides/notesSlide1.xml": _slide(
                "notes", _shape("body", [(0, "Sprich langsam.")])
            ),
        }
    )


def workbook(sheets: Mapping[str, str] | None = None, *, hidden: Sequence[str] = ()) -> bytes:
    """A workbook; sheets: the XML of the rows by the name of the sheet."""
    given = sheets if sheets is not None else {"Kunden": CELLS, "Geheim": CELLS}
    hidden = hidden if sheets is not None else ("Geheim",)
    listed = []
    targets: dict[str, tuple[str, str]] = {"s": ("styles", "styles.xml")}
    entries: dict[str, str | bytes] = {}
    types = {"xl/workbook.xml": f"{_TYPES}.spreadsheetml.sheet.main+xml"}
    for number, (name, rows) in enumerate(given.items(), 1):
        state = ' state="hidden"' if name in hidden else ""
        listed.append(f'<sheet name="{name}" sheetId="{number}"{state} r:id="r{number}"/>')
        targets[f"r{number}"] = ("worksheet", f"worksheets/sheet{number}.xml")
        entries[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{_SHEETS}"><sheetData>{rows}</sheetData></worksheet>'
        )
        types[f"xl/worksheets/sheet{number}.xml"] = f"{_TYPES}.spreadsheetml.worksheet+xml"
    return zipped(
        {
            "[Content_Types].xml": _types(**types),
            "_rels/.rels": relations(r1=("officeDocument", "xl/workbook.xml")),
            "docProps/core.xml": core_properties(),
            "xl/workbook.xml": (
                f'<workbook xmlns="{_SHEETS}" xmlns:r="{_OFFICE}"><sheets>{"".join(listed)}'
                "</sheets></workbook>"
            ),
            "xl/_rels/workbook.xml.rels": relations(**targets),
            "xl/styles.xml": (
                f'<styleSheet xmlns="{_SHEETS}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/>'
                "</cellXfs></styleSheet>"
            ),
            **entries,
        }
    )


CELLS = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>Name</t></is></c>'
    '<c r="B1" t="inlineStr"><is><t>Seit</t></is></c>'
    '<c r="C1" t="inlineStr"><is><t>Umsatz</t></is></c></row>'
    '<row r="2"><c r="A2" t="inlineStr"><is><t>Bär | Söhne</t></is></c>'
    '<c r="B2" s="1"><v>43952</v></c><c r="C2"><v>1234.5</v></c></row>'
    '<row r="3"><c r="A3" t="inlineStr"><is><t>Ärzte</t></is></c><c r="C3"><v>10</v></c></row>'
)


def book(*, extra: Mapping[str, str | bytes] | None = None) -> bytes:
    """A book of two chapters, whose files are in another order than the chapters."""
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": (
                '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
                '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
            ),
            "OPS/book.opf": (
                '<package xmlns="http://www.idpf.org/2007/opf" '
                'xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
                "<dc:title>Das Buch</dc:title>"
                "<dc:creator>Ann Ä</dc:creator><dc:language>de</dc:language>"
                "<dc:date>2020-01-02</dc:date><dc:subject>Reise</dc:subject></metadata><manifest>"
                '<item id="n" href="nav.xhtml" properties="nav" '
                'media-type="application/xhtml+xml"/>'
                '<item id="a" href="zw%20ei.xhtml" media-type="application/xhtml+xml"/>'
                '<item id="b" href="eins.xhtml" media-type="application/xhtml+xml"/></manifest>'
                '<spine><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine>'
                "</package>"
            ),
            "OPS/nav.xhtml": "<html><body><nav>Inhalt</nav></body></html>",
            "OPS/zw ei.xhtml": _chapter("Zweites Kapitel", "Er blieb &amp; schwieg."),
            "OPS/eins.xhtml": _chapter("Erstes Kapitel", "Es war Nacht."),
            **(extra or {}),
        }
    )


def _chapter(title: str, text: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head>'
        f"<body><h1>{title}</h1><p>{text}</p></body></html>"
    )


def pdf(
    pages: Sequence[Sequence[str]],
    *,
    info: Mapping[str, str] | None = None,
    bookmarks: Sequence[tuple[str, int]] = (),
    encrypt: bool = False,
) -> bytes:
    """A PDF. pages: the lines of each. bookmarks: title and page, from 0."""
    font = 3
    first = 4
    objects: dict[int, bytes] = {
        font: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    }
    kids = []
    for number, lines in enumerate(pages):
        page = first + 2 * number
        kids.append(f"{page} 0 R")
        drawn = ["BT /F1 12 Tf 72 770 Td 16 TL"]
        for line in lines:
            escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
            drawn.append(f"({escaped}) Tj T*")
        content = zlib.compress("\n".join([*drawn, "ET"]).encode("cp1252"))
        objects[page] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {page + 1} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>"
        ).encode()
        objects[page + 1] = (
            f"<< /Length {len(content)} /Filter /FlateDecode >>\nstream\n".encode()
            + content
            + b"\nendstream"
        )
    after = first + 2 * len(pages)
    outline = ""
    if bookmarks:
        last = after + len(bookmarks)
        outline = f" /Outlines {after} 0 R"
        objects[after] = (
            f"<< /Type /Outlines /First {after + 1} 0 R /Last {last} 0 R /Count {len(bookmarks)} >>"
        ).encode()
        for number, (title, page) in enumerate(bookmarks, after + 1):
            following = f" /Next {number + 1} 0 R" if number < last else ""
            before = f" /Prev {number - 1} 0 R" if number > after + 1 else ""
            objects[number] = (
                f"<< /Title ({title}) /Parent {after} 0 R{before}{following} "
                f"/Dest [{first + 2 * page} 0 R /Fit] >>"
            ).encode("cp1252")
        after = last + 1
    objects[1] = f"<< /Type /Catalog /Pages 2 0 R{outline} >>".encode()
    objects[2] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(pages)} >>".encode()
    trailer = "/Root 1 0 R"
    if info:
        fields = " ".join(f"/{name} ({value})" for name, value in info.items())
        objects[after] = f"<< {fields} >>".encode("cp1252")
        trailer += f" /Info {after} 0 R"
        after += 1
    if encrypt:
        objects[after] = (
            f"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -3904 /O <{'ab' * 32}> "
            f"/U <{'cd' * 32}> >>"
        ).encode()
        trailer += f" /Encrypt {after} 0 R /ID [<{'12' * 16}> <{'12' * 16}>]"
        after += 1
    written = bytearray(b"%PDF-1.7\n")
    places = []
    for number in range(1, after):
        places.append(len(written))
        written += f"{number} 0 obj\n".encode() + objects[number] + b"\nendobj\n"
    start = len(written)
    written += f"xref\n0 {after}\n0000000000 65535 f \n".encode()
    for place in places:
        written += f"{place:010} 00000 n \n".encode()
    written += f"trailer\n<< /Size {after} {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(written)


def report() -> bytes:
    """A PDF of two pages, with bookmarks."""
    return pdf(
        [
            ["1. Einleitung", "Der erste Absatz steht hier.", "# keine Überschrift"],
            ["Noch davor.", "2. Methoden", "Wir haben gemessen."],
        ],
        info={
            "Title": "Messbericht",
            "Author": "Ann",
            "CreationDate": "D:20240131093000+01'00'",
        },
        bookmarks=[("1. Einleitung", 0), ("2. Methoden", 1)],
    )


MESSAGE = """\
From: =?utf-8?q?J=C3=B6rg?= <joerg@Example.org>
To: ann@example.org, "Bob, B." <bob@example.org>
Cc: carl@example.org
Subject: =?utf-8?q?Zahlen_f=C3=BCr_Mai?=
Date: Fri, 31 May 2024 09:30:00 +0200
Message-ID: <2@example.org>
In-Reply-To: <1@example.org>
References: <0@example.org> <1@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Hallo Ann,

> Kommst du?

Ja, um drei. Die Zahlen hängen an.

On Thu, 30 May 2024, Ann wrote:
> Schickst du die Zahlen?
> Danke.

--\x20
Jörg, Abteilung 7
--inner
Content-Type: text/html; charset=utf-8

<p>Die andere Fassung.</p>
--inner--
--outer
Content-Type: text/csv
Content-Disposition: attachment; filename*=utf-8''Zahlen%20%C3%BC.csv

id,betrag
a,7
b,8
--outer
Content-Type: image/png
Content-Disposition: attachment; filename="bild.png"
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--outer--
""".encode()


def message(
    number: int, *, body: str = "", reply_to: int | None = None, message_id: bool = True
) -> bytes:
    """A plain message."""
    lines = [
        f"From: Person {number} <p{number}@example.org>",
        "To: list@example.org",
        f"Subject: Message {number}",
        f"Date: Fri, 31 May 2024 09:{number % 60:02}:00 +0000",
    ]
    if message_id:
        lines.append(f"Message-ID: <{number}@example.org>")
    if reply_to is not None:
        lines.append(f"In-Reply-To: <{reply_to}@example.org>")
    lines += ["Content-Type: text/plain; charset=utf-8", "", body or f"This is text {number}.", ""]
    return "\n".join(lines).encode()


def mailbox(messages: Sequence[bytes]) -> bytes:
    """A mailbox of these messages."""
    written = []
    for each in messages:
        quoted = re.sub(rb"(?m)^(>*From )(?!:)", rb">\1", each)
        written.append(b"From p@example.org Fri May 31 09:00:00 2024\n" + quoted + b"\n")
    return b"".join(written)


PAGE = """\
<!doctype html><html lang="de-DE"><head><title>Der Titel &mdash; Seite</title>
<meta name=author content="Jörg Ä"><meta name=keywords content="a, b">
<meta property="article:published_time" content="2024-05-01T10:00:00Z">
<link rel=canonical href="https://example.org/titel"><style>p { color: red }</style></head>
<body><nav><a href=x>Startseite</a></nav><header><h1>Seite</h1></header><main>
<h1>Der Titel<a class=headerlink href="#x">&para;</a></h1>
<p>Ein <b>fetter</b> Text<br># keine Überschrift</p>
<ul><li>eins<ul><li>eins-a</li></ul></li><li>zwei</li></ul><ol start=3><li>drei<li>vier</ol>
<table><tr><th>Name<th>Wert</tr><tr><td rowspan=2>a|b<td>1</tr><tr><td>2</tr></table>
<pre><code class="language-python">def f():
    return 1
</code></pre><blockquote><p>Zitat mit <code>x = 1</code></p></blockquote>
<table><tr><td><h2>Spalte</h2><p>links</p></td><td><p>rechts</p></td></tr></table>
<img alt="Ein Bild" src=x.png><p hidden>versteckt</p></main><footer>Impressum</footer></body></html>
""".encode()

RST = b"""\
==========
The manual
==========

:Author: Ann
:Date: 2024-01-31

Intro with ``code``, a :ref:`link <target>` and `a site <https://example.org>`_.

.. comment that nobody reads

First part
----------

.. note:: Be careful.

Example::

    def f():
        return 1

.. code-block:: python

   x = 2

- one
- two
"""

TABLE = "id;name;preis\n007;Äpfel;1.50\n008;Birnen;2.00\n".encode()
LINES = b'{"id": 1, "title": "Eins", "tags": ["a", "b"], "who": {"name": "Ann"}}\n[1, 2]\n'
CODE = b'''\
"""What this is."""

import os


# Adds.
@cache
def add(a, b):
    """def not_a_definition():"""
    return a + b


class Reader:
    """Reads."""

    def read(self):
        return os.name

    async def later(self):
        return 2


if __name__ == "__main__":
    print(add(1, 2))
'''

SAMPLES: dict[str, tuple[bytes, list[str]]] = {
    "seite.html": (PAGE, ["Der Titel", "Ein fetter Text", "eins-a", "def f()", "Zitat", "rechts"]),
    "bericht.pdf": (report(), ["Einleitung", "Der erste Absatz", "Methoden", "gemessen"]),
    "bericht.docx": (word_document(), ["Jahresbericht", "Umsatz", "Kosten", "2023", "Ende gut."]),
    "plan.pptx": (slide_show(), ["Plan", "Erstens", "darunter", "langsam", "Zahlen", "2024"]),
    "kunden.xlsx": (workbook(), ["Kunden", "Name", "Söhne", "2020-05-01", "1234.5"]),
    "buch.epub": (book(), ["Erstes Kapitel", "Es war Nacht.", "Zweites", "blieb & schwieg"]),
    "post.eml": (MESSAGE, ["Hallo Ann", "Ja, um drei.", "betrag: 7"]),
    "post.mbox": (mailbox([message(1), message(2)]), ["text 1", "text 2"]),
    "preise.csv": (TABLE, ["Äpfel", "Birnen"]),
    "preise.tsv": (TABLE.replace(b";", b"\t"), ["Äpfel", "Birnen"]),
    "zeilen.jsonl": (LINES, ["Eins", "a, b", "Ann", "[1, 2]"]),
    "handbuch.rst": (RST, ["The manual", "Intro", "First part", "Be careful", "def f()", "two"]),
    "code.py": (CODE, ["What this is", "def add", "class Reader", "later", "__main__"]),
}
"""One file of each format, and what is in it in the order of reading."""
