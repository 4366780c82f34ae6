"""Which words of a passage are marked as words of the query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.cli._render import fold, matches, stem, wanted, words


def marked(query: str, text: str) -> list[str]:
    return [text[start:end] for start, end in matches(wanted(query), text)]


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("repeating", "A loop repeats; repeat, repeated.", ["repeats", "repeat", "repeated"]),
        ("run", "running runs, runner ran", ["running", "runs"]),
        ("queries", "One query, many QUERIES", ["query", "QUERIES"]),
        ("use", "using it, used, uses", ["using", "used", "uses"]),
        ("class", "classes of a class", ["classes", "class"]),
        ("cafe", "Le Café, cafe\u0301s", ["Café", "cafe\u0301s"]),
        ("STRASSE", "die Straße", ["Straße"]),
        ("file", "read_file and file2", ["file"]),
        ("日本", "これは日本語です。日本!", ["日本", "日本"]),
        ("повтор", "Повтор и повторы", ["Повтор"]),
    ],
)
def test_forms_of_a_word_are_marked(query: str, text: str, expected: list[str]) -> None:
    assert marked(query, text) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [("sing", "s sings singing"), ("need", "nee"), ("status", "stat"), ("bed", "b")],
)
def test_short_words_are_not_cut_to_nothing(query: str, text: str) -> None:
    assert text.split()[0] not in marked(query, text)


def test_small_words_are_marked_only_when_there_are_no_others() -> None:
    assert marked("how to repeat", "how to repeat this") == ["repeat"]
    assert marked("to be or not to be", "To be is to do") == ["To", "be", "to"]


def test_accents_belong_to_their_word() -> None:
    text = "cafe\u0301 au lait"
    assert [text[start:end] for start, end in words(text)] == ["cafe\u0301", "au", "lait"]


@given(st.text(max_size=60), st.text(max_size=200))
def test_marks_are_whole_words_in_order_and_inside_the_text(query: str, text: str) -> None:
    end = 0
    for start, stop in matches(wanted(query), text):
        assert end <= start < stop <= len(text)
        end = stop


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=20))
def test_a_word_always_marks_itself(word: str) -> None:
    assert marked(word, f"before, {word}, after")


@pytest.mark.parametrize(
    ("one", "other"), [("ℌ", "h"), ("ﬁle", "FILE"), ("Ⅷ", "viii"), ("Ω", "ω"), ("İ", "i")]
)
def test_case_accents_and_typography_are_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_forms_share_a_stem() -> None:
    assert len({stem(word) for word in ("stop", "stops", "stopped", "stopping")}) == 1
    assert len({stem(word) for word in ("apply", "applies", "applied", "applying")}) == 1
