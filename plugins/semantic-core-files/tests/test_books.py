"""Books: chapters in the order of reading."""

from __future__ import annotations

from typing import Any

import pytest
from making import book

from semantic_core.errors import FileUnreadable


def test_chapters_follow_the_order_of_reading(read: Any) -> None:
    (document,) = read("buch.epub", book())
    assert document.text == (
        "# Erstes Kapitel\n\nEs war Nacht.\n\n# Zweites Kapitel\n\nEr blieb & schwieg.\n"
    )
    assert (document.title, document.language) == ("Das Buch", "de")
    assert document.metadata == {
        "author": "Ann Ä",
        "published": "2020-01-02",
        "keywords": ("Reise",),
    }


def test_a_protected_chapter_is_refused_and_a_protected_font_is_not(read: Any) -> None:
    listed = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<e:CipherReference xmlns:e="http://www.w3.org/2001/04/xmlenc#" URI="{}"/></encryption>'
    )
    font = book(extra={"META-INF/encryption.xml": listed.format("OPS/font.otf")})
    assert len(read("x.epub", font)) == 1
    chapter = book(extra={"META-INF/encryption.xml": listed.format("OPS/eins.xhtml")})
    with pytest.raises(FileUnreadable, match="is encrypted"):
        read("x.epub", chapter)


def test_a_book_without_chapters_is_refused(read: Any) -> None:
    empty = book(extra={"OPS/book.opf": "<package><manifest/><spine/></package>"})
    with pytest.raises(FileUnreadable, match="names no chapter"):
        read("x.epub", empty)
