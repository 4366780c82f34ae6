"""PDF: text by page, with bookmarks as headings, so that a hit says where it is."""

from __future__ import annotations

from typing import Any

import pytest
from making import pdf, report
from semantic_core_files.pdf_files import without_running_lines
from semantic_core_markdown import semantic_split

from semantic_core.errors import FileUnreadable

WANTED = """\
# 1. Einleitung

###### Page 1

Der erste Absatz steht hier.
\\# keine Überschrift

###### Page 2

Noch davor.

# 2. Methoden

###### Page 2

Wir haben gemessen.
"""


def test_pages_and_bookmarks_become_headings(read: Any) -> None:
    (document,) = read("bericht.pdf", report())
    assert document.text == WANTED
    assert document.title == "Messbericht"
    assert document.metadata == {
        "author": "Ann",
        "created": "2024-01-31T09:30:00+01:00",
        "pages": 2,
    }


def test_every_chunk_of_a_pdf_says_its_page(read: Any) -> None:
    pages = [[f"This is line {line} of page {page}." for line in range(30)] for page in range(3)]
    (document,) = read("x.pdf", pdf(pages))
    chunks = semantic_split(document, 400)
    assert chunks is not None and len(chunks) > 6
    for chunk in chunks:
        assert chunk.headings[-1].startswith("Page ")
        number = int(chunk.headings[-1].removeprefix("Page "))
        assert f"of page {number - 1}." in chunk.text


def test_bookmarks_that_are_not_on_their_page_take_no_text_of_others(read: Any) -> None:
    pages = [["first text"], ["second text"]]
    (document,) = read("x.pdf", pdf(pages, bookmarks=[("A", 0), ("B", 0)]))
    assert document.text == (
        "###### Page 1\n\nfirst text\n\n# A\n\n# B\n\n###### Page 2\n\nsecond text\n"
    )
    (document,) = read("x.pdf", pdf(pages, bookmarks=[("A", 0), ("B", 1)]))
    assert document.text.startswith("# A\n\n###### Page 1\n\nfirst text\n\n# B\n")


def test_lines_at_the_edge_of_many_pages_are_kept_once() -> None:
    pages = [["The Book", "x", f"text {page} end", "y", f"Page {page}"] for page in range(8)]
    kept = without_running_lines(pages)
    assert kept[0] == pages[0]
    assert [lines[0] for lines in kept[1:]] == [f"text {number} end" for number in range(1, 8)]
    assert without_running_lines(pages[:3]) == pages[:3]


def test_lines_within_pages_are_kept_however_often_they_repeat() -> None:
    pages = [[f"a{page}x", f"b{page}x", "same", f"{page}c", f"{page}d"] for page in "pqrstu"]
    assert without_running_lines(pages) == pages


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("Microsoft Word - a.doc", "x"),
        ("untitled", "x"),
        ("a.tex", "x"),
        ("Good title", "Good title"),
    ],
)
def test_titles_that_programs_leave_behind_are_none(read: Any, title: str, wanted: str) -> None:
    (document,) = read("x.pdf", pdf([["text"]], info={"Title": title}))
    assert document.title == wanted


def test_a_pdf_without_text_says_so(read: Any) -> None:
    with pytest.raises(FileUnreadable, match="2 pages without any text.*ocrmypdf"):
        read("x.pdf", pdf([[], []]))


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("1. 1. BeansBeans", "1. Beans"),
        ("Beans and peasBeans and peas", "Beans and peas"),
        ("2.1. 2.1. Sowing in MaySowing in May", "2.1. Sowing in May"),
        ("bonbon", "bonbon"),
        ("Beans Beans and peas", "Beans Beans and peas"),
    ],
)
def test_titles_that_a_browser_wrote_twice_are_read_once(
    read: Any, title: str, wanted: str
) -> None:
    (document,) = read("x.pdf", pdf([["text"]], bookmarks=[(title, 0)]))
    assert document.text.startswith(f"# {wanted}\n")
