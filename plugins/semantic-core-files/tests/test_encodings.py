"""Bytes become the text that they were."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_files.encodings import decoded, looks_like, markup_text, text_of
from semantic_core_files.parts import FileSource

from semantic_core.errors import FileUnreadable


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]), min_size=1))
def test_unicode_is_read_as_it_was_written(text: str) -> None:
    if not text.strip("\0 \t\r\n") or looks_like(text.encode()):
        return
    assert text_of(FileSource(text.encode(), "x"), "table") == text
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert text_of(FileSource(text.encode(encoding), "x"), "table") == text


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    for read in (text_of, markup_text):
        try:
            assert isinstance(read(FileSource(data, "x"), "table"), str)
        except FileUnreadable as error:
            assert error.hint


def test_windows_text_is_read_where_utf_8_fails() -> None:
    assert text_of(FileSource("für „x“".encode("cp1252"), "x"), "table") == "für „x“"
    assert decoded(b"\x81", "") == "\ufffd"


@pytest.mark.parametrize("name", ["hex", "rot13", "utf-7", "none-such", "idna", "\0", "base64"])
def test_names_that_are_no_encodings_of_text_are_ignored(name: str) -> None:
    assert decoded("für".encode(), name) == "für"


def test_a_binary_file_is_named_for_what_it_is() -> None:
    with pytest.raises(FileUnreadable, match="'x' is no table: it begins like a PDF file"):
        text_of(FileSource(b"%PDF-1.7", "x"), "table")
    with pytest.raises(FileUnreadable, match="'x' is no table: it begins with b'a"):
        text_of(FileSource(b"a\0b", "x"), "table")
