"""Classes of characters, and the one spelling of a term."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_core_languages.characters import CODES, classes, classes_of, lowered, plain


def term(word: str) -> str:
    return plain(lowered(word))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café", "CAFE\u0301"),
        ("Straße", "STRASSE"),
        ("ёлка", "ЕЛКА"),
        ("İstanbul", "istanbul"),
        ("ısı", "isi"),
        ("Ελλάδα", "ελλαδα"),
        ("ＡＢＣ１", "abc1"),
        ("٣٤", "34"),
        ("אָלֶף", "אלף"),
        ("مُحَمَّـد", "محمد"),
        ("إيمان", "ايمان"),
        ("کتاب", "كتاب"),
        ("Łódź", "lodz"),
        ("co\u00adoperate", "cooperate"),
        ("don\u2019t", "dont"),
    ],
)
def test_two_spellings_are_one_term(one: str, other: str) -> None:
    assert term(one) == term(other) != ""


@pytest.mark.parametrize(("one", "other"), [("мой", "мои"), ("की", "का"), ("が", "か"), ("ї", "і")])
def test_letters_that_differ_stay_apart(one: str, other: str) -> None:
    assert term(one) != term(other)


def test_every_letter_and_digit_is_in_a_class_of_words() -> None:
    table = classes()
    assert table.shape == (CODES,)
    for code in range(sys.maxunicode + 1):
        if chr(code).isalnum():
            assert table[code], hex(code)
        elif unicodedata.category(chr(code)) in ("Zs", "Cc", "Cs", "Cn", "Sm", "So"):
            assert not table[code] or chr(code) in "+", hex(code)


@given(st.text(max_size=50))
def test_each_character_has_one_class(text: str) -> None:
    assert len(classes_of(text)) == len(text)


@given(st.text(max_size=10))
def test_a_term_spelled_again_is_the_same(word: str) -> None:
    assert plain(plain(lowered(word))) == plain(lowered(word))
