"""Coverage falls from 1 to 0 with the number of tokens per word, and with letters of scripts that a
model does not know.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.coverage import MOST_WORDS, SCRIPTS, coverage_of, words_of


@pytest.mark.parametrize(
    ("tokens", "share"),
    [([1, 1], 1.0), ([2, 2], 1.0), ([2, 3], 0.5), ([3, 3], 0.0), ([1, 3], 1.0), ([9, 9], 0.0)],
)
def test_it_is_1_up_to_two_tokens_a_word_and_0_from_three(tokens: list[int], share: float) -> None:
    assert coverage_of(zip(["alpha", "beta"], tokens, strict=True)) == share


def test_a_text_without_letters_is_covered() -> None:
    assert coverage_of([]) == 1.0
    for text in ("", " ", "12:30", "😀 ---", "\0"):
        assert words_of(text) == []


def test_letters_of_an_unknown_script_are_not_covered_however_few_tokens_they_are() -> None:
    words = [("search", 1), ("поиск!"[:5], 1)]
    assert coverage_of(words) == 1.0
    assert coverage_of(words, ["Latin"]) == pytest.approx(6 / 11)
    assert coverage_of(words, ["Latin", "Cyrillic"]) == 1.0
    assert coverage_of(words, ["Thai"]) == 0.0


def test_words_are_runs_of_letters_and_scripts_without_spaces_stand_apart() -> None:
    assert words_of("Don't PANIC: node_js 3.14") == ["don", "t", "panic", "node", "js"]
    assert words_of("用Python写代码") == ["用", "python", "写代码"]


def test_where_no_spaces_tell_words_apart_a_word_has_two_letters() -> None:
    assert coverage_of([("存储在关闭时保留", 8)], ["Han"]) == 1.0
    assert coverage_of([("存储在关闭时保留", 10)], ["Han"]) == 0.5
    assert coverage_of([("хранилищем", 10)], ["Cyrillic"]) == 0.0
    assert coverage_of([("存", 1)], ["Han"]) == 1.0


def test_as_many_words_are_looked_at_as_a_passage_has() -> None:
    assert len(words_of("word " * 10_000)) == MOST_WORDS


@pytest.mark.parametrize(
    ("script", "letters"),
    [
        ("Latin", "aZéßłẞığ"),
        ("Cyrillic", "аЯёіќ"),
        ("Arabic", "بيةپگ"),
        ("Hangul", "한국ᄀ"),
        ("Han", "漢字々𠮷"),
        ("Kana", "ひカーｶ"),
        ("Thai", "กฮโ"),
    ],
)
def test_each_letter_is_of_one_script(script: str, letters: str) -> None:
    for letter in letters:
        assert [name for name in SCRIPTS if coverage_of([(letter, 1)], [name]) == 1.0] == [script]


@given(
    st.lists(st.tuples(st.text(st.characters(categories=["L"]), min_size=1), st.integers(0, 20))),
    st.none() | st.sets(st.sampled_from(sorted(SCRIPTS)), min_size=1),
)
def test_it_is_a_share_and_more_tokens_never_cover_more(
    words: list[tuple[str, int]], scripts: set[str] | None
) -> None:
    share = coverage_of(words, scripts)
    assert 0 <= share <= 1
    assert coverage_of([(word, tokens + 1) for word, tokens in words], scripts) <= share
