"""Texts keep their order, their beginnings and every character on the way into a column."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from semantic_core_postgres.texts import LONGEST_TERM, decoded, encoded, term_of

TEXTS = st.text(st.sampled_from("\x00\x01\x02\x03ab\u20ac\U0010ffff"))


@given(TEXTS)
@example("\x00\x01")
@example("\x01\x00")
def test_a_text_comes_back(text: str) -> None:
    assert "\x00" not in encoded(text)
    assert decoded(encoded(text)) == text


@given(TEXTS, TEXTS)
def test_the_order_of_two_texts_stays(one: str, other: str) -> None:
    assert (encoded(one) < encoded(other)) == (one < other)


@given(TEXTS, TEXTS)
def test_the_beginning_of_a_text_stays_its_beginning(one: str, other: str) -> None:
    assert encoded(one).startswith(encoded(other)) == one.startswith(other)


@given(st.text(), st.text(min_size=1))
def test_long_terms_with_one_beginning_stay_apart(beginning: str, end: str) -> None:
    long = "x" * LONGEST_TERM + beginning
    assert term_of(long) != term_of(long + end)
    assert len(term_of(long + end)) < 2 * LONGEST_TERM
