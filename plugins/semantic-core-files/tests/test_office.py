"""Office documents: their structure as Markdown, their properties as metadata."""

from __future__ import annotations

from typing import Any

import pytest
from making import (
    CELLS,
    slide_show,
    word_document,
    word_entries,
    word_paragraph,
    workbook,
    zipped,
)
from semantic_core_files.archives import Archive
from semantic_core_files.office import properties, relations
from semantic_core_files.parts import FileSource

from semantic_core.errors import FileUnreadable

STATED = {"author": "Ann Ä", "created": "2024-01-31T09:30:00+00:00", "keywords": ("a", "b")}


def test_a_word_document_keeps_headings_tables_and_quotes(read: Any) -> None:
    (document,) = read("bericht.docx", word_document())
    assert document.text == (
        "# Jahresbericht\n\nDer Umsatz stieg um 12 %.\n\n## Kosten\n\neingefügt\n\n"
        "| Jahr | Betrag |\n|---|---|\n| 2023 | 7\\|8 |\n\n> Ende gut.\n"
    )
    assert (document.title, document.language) == ("Bericht", "de-DE")
    assert document.metadata == STATED


def test_a_word_document_without_a_title_has_that_of_its_heading(read: Any) -> None:
    entries = word_entries(word_paragraph("Kopf", "h1") + word_paragraph("x"))
    (document,) = read("a.docx", zipped(entries))
    assert document.title == "Kopf"
    entries = word_entries(word_paragraph("x"))
    (document,) = read("a.docx", zipped(entries))
    assert document.title == "a"


def test_slides_become_headings_in_their_order(read: Any) -> None:
    (document,) = read("plan.pptx", slide_show())
    assert document.text == (
        "## Slide 1: Plan\n\n- Erstens\n  - darunter\n- Zweitens\n\nNotes:\n\nSprich langsam.\n\n"
        "## Slide 2: Zahlen\n\n| Jahr | Wert |\n|---|---|\n| 2024 | 7 |\n"
    )
    assert document.title == "Planung"
    assert document.metadata == {**STATED, "slides": 2}


def test_visible_sheets_become_tables_below_their_names(read: Any) -> None:
    (document,) = read("kunden.xlsx", workbook())
    assert document.text == (
        "## Kunden\n\n| Name | Seit | Umsatz |\n|---|---|---|\n"
        "| Bär \\| Söhne | 2020-05-01 | 1234.5 |\n| Ärzte |  | 10 |\n"
    )
    assert document.title == "kunden"
    assert document.metadata == {**STATED, "sheets": ("Kunden",)}


def test_a_sheet_may_have_one_cell_far_away(read: Any) -> None:
    far = '<row r="9"><c r="Z9" t="inlineStr"><is><t>far</t></is></c></row>'
    (document,) = read("x.xlsx", workbook({"S": CELLS + far}))
    assert "| far |" in document.text


def test_too_many_cells_are_refused_by_sheet(read: Any) -> None:
    corner = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    with pytest.raises(FileUnreadable):
        read("x.xlsx", workbook({"S": CELLS + corner}))


def test_relations_lead_to_entries_of_the_archive_only() -> None:
    archive = Archive(FileSource(slide_show(), "x.pptx"), "presentation")
    found = relations(archive, "ppt/slides/slide9.xml")
    assert found == {"n": ("notesSlide", "ppt/notesSlides/notesSlide1.xml")}
    assert relations(archive, "ppt/none.xml") == {}
    title, fields, language = properties(archive)
    assert (title, fields["author"], language) == ("Planung", "Ann Ä", "de-DE")
