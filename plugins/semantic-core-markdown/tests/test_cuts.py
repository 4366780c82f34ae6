"""Where a text is cut that is too long for one chunk."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_markdown.text_splitting import cut


def pieces(text: str, limit: int, *, prose: bool = True) -> list[str]:
    return [text[start:end] for start, end in cut(text, 0, len(text), limit, prose=prose)]


def test_prose_is_cut_behind_sentences_with_what_closes_them() -> None:
    text = (
        'He said "Go on." Then he left (it was late). "Why?" she asked. Nobody knew '
        "the answer to that one."
    )
    assert pieces(text, 60) == [
        'He said "Go on." Then he left (it was late). "Why?"',
        "she asked. Nobody knew the answer to that one.",
    ]


def test_sentences_of_languages_without_spaces_are_seen() -> None:
    text = "これは最初の文です。これは二番目の文です。これは三番目の文です。これは四番目の文です。"
    assert all(piece.endswith("。") for piece in pieces(text, 25))


def test_without_sentences_prose_is_cut_between_words() -> None:
    text = "word " * 100
    assert {word for piece in pieces(text, 33) for word in piece.split()} == {"word"}


def test_a_word_is_not_cut_while_there_is_a_space_in_reach() -> None:
    text = "a " + "x" * 45 + " b " + "y" * 45 + " c"
    assert [word for piece in pieces(text, 50) for word in piece.split()] == text.split()


def test_lines_are_cut_at_line_ends_and_keep_their_indent() -> None:
    text = "".join(f"    line {number}\n" for number in range(30))
    assert all(
        line.startswith("    line")
        for piece in pieces(text, 100, prose=False)
        for line in piece.split("\n")
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
def test_lines_are_cut_at_blank_lines_first(ending) -> None:
    text = f"{ending}{ending}".join([ending.join(["one two"] * 6)] * 5)
    assert pieces(text, 80, prose=False) == [ending.join(["one two"] * 6)] * 5


def test_pieces_are_about_equally_long() -> None:
    lengths = [len(piece) for piece in pieces("word " * 220, 1_000)]
    assert len(lengths) == 2
    assert min(lengths) > 400


@pytest.mark.parametrize(
    "character",
    [
        "e\u0301\u0323",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "👍🏽",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "\u1112\u1161\u11ab",
        "\u0915\u093e",
    ],
    ids=ascii,
)
def test_what_is_drawn_as_one_character_is_not_cut(character) -> None:
    for limit in range(20, 34):
        assert {piece.replace(character, "") for piece in pieces(character * 100, limit)} == {""}


def test_endless_marks_are_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 1_000
    assert all(len(piece) <= 100 for piece in pieces(text, 100))
    assert "".join(pieces(text, 100)) == text


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300), st.integers(1, 60), st.booleans())
def test_pieces_cover_the_text_in_order_and_fit(text, limit, prose) -> None:
    end = 0
    for start, stop in cut(text, 0, len(text), limit, prose=prose):
        assert end <= start < stop <= start + limit
        assert text[end:start].strip() == ""
        end = stop
    assert text[end:].strip() == ""


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet=st.characters(categories=["Lo", "Ll", "Mn", "Mc"]), min_size=1, max_size=200),
    st.integers(40, 60),
)
def test_a_mark_stays_with_its_letter(text, limit) -> None:
    for start, _ in list(cut(text, 0, len(text), limit, prose=True))[1:]:
        run = [
            unicodedata.category(char)[0] == "M" for char in text[max(0, start - 33) : start + 1]
        ]
        assert not run[-1] or all(run[1:])
