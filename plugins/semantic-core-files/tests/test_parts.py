"""What comes out of a reader can be stored, whatever was in the file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_files import limits
from semantic_core_files.parts import FileSource, language_tag, one_line, part_name, part_of

from semantic_core import Document, Ref
from semantic_core.errors import FileUnreadable

SOURCE = FileSource(b"", "a.b.txt")
ANY_VALUE = st.one_of(
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.text()),
    st.binary(),
    st.characters(categories=["Cs"]),
)


def test_a_name_has_a_stem_and_a_suffix() -> None:
    assert (SOURCE.stem, SOURCE.suffix) == ("a.b", ".txt")
    assert (FileSource(b"", "X.PDF").stem, FileSource(b"", "X.PDF").suffix) == ("X", ".pdf")
    for name in ("x", ".hidden", ""):
        assert (FileSource(b"", name).stem, FileSource(b"", name).suffix) == (name, "")


@settings(deadline=None)
@given(st.text(), st.text(), st.dictionaries(st.text(), ANY_VALUE), st.text())
def test_whatever_was_found_can_be_stored(
    text: str, title: str, metadata: dict[str, object], language: str
) -> None:
    part = part_of(SOURCE, text, title=title, metadata=metadata, language=language)
    document = Document(
        Ref("a", "b"), part.text, part.title, part.media_type, part.metadata, part.language
    )
    assert "\r" not in document.text
    assert len(document.title.splitlines()) <= 1


@settings(deadline=None)
@given(st.text(), st.text())
def test_names_of_parts_can_be_keys(name: str, other: str) -> None:
    label = part_name(name)
    assert 0 < len(label) <= limits.MAX_NAME_CHARS
    Ref("files", f"x#{label}")
    assert part_name(other, {label}) != label


def test_long_names_of_parts_stay_different() -> None:
    assert part_name("a" * 1_000 + "b") != part_name("a" * 1_000 + "c")


def test_fields_of_the_kernel_are_left_to_it() -> None:
    part = part_of(SOURCE, "", metadata={"path": "x", "parts": 1, "part_of": "y", "rest": True})
    assert part.metadata == {"path_": "x", "parts_": 1, "part_of_": "y", "rest": True}


def test_empty_fields_are_left_out_and_numbers_kept() -> None:
    found = {"a": "", "b": [], "c": None, "d": float("nan"), "e": 0, "f": False, "g": 2**70, "": 1}
    assert part_of(SOURCE, "", metadata=found).metadata == {"e": 0, "f": False, "g": str(2**70)}


@pytest.mark.parametrize(
    ("given_value", "wanted"),
    [
        ("en", "en"),
        ("de_AT", "de-AT"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("", None),
        ("x y", None),
        ("english", None),
    ],
)
def test_only_language_tags_are_languages(given_value: str, wanted: str | None) -> None:
    assert language_tag(given_value) == wanted


def test_titles_are_one_line_and_short() -> None:
    assert one_line(" a\n\u2028b\x00\ud800 ") == "a b"
    assert len(one_line("x" * 1_000)) == 500


def test_too_much_text_is_refused() -> None:
    with pytest.raises(FileUnreadable, match="20,000,001 characters of text"):
        part_of(SOURCE, "x" * (limits.MAX_TEXT_CHARS + 1))
