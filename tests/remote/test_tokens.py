"""Tokens are estimated by kind of character; packing and cutting keep to the estimate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.remote import TokenRule, packed

RULE = TokenRule(latin_word=7, latin_piece=4.0, other_piece=2.0, dense=1.0, digit=0.5, sure=0.9)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 1),
        ("bread", 1),
        ("bread and butter", 3),
        ("internationalization", 5),
        ("хлеб", 2),
        ("図書館", 3),
        ("2026", 2),
        ("a\n\nb", 3),
        ("x = 5;", 4),
        ("😀", 2),
    ],
)
def test_the_estimate_goes_by_the_kind_of_character(text: str, tokens: int) -> None:
    assert RULE.tokens(text) == tokens


@given(st.text(max_size=400), st.integers(1, 60))
def test_a_shortened_text_is_a_beginning_and_short_enough(text: str, most: int) -> None:
    cut = RULE.shortened(text, most)
    assert text.startswith(cut) and (cut or not text)
    assert len(cut.encode()) <= most or RULE.tokens(cut) <= max(1, int(most * 0.9)) or len(cut) == 1


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 9), st.integers(1, 80))
def test_packs_hold_everything_in_order_and_no_more_than_they_may(
    costs: list[int], items: int, tokens: int
) -> None:
    runs = list(packed(costs, items, tokens))
    assert [place for run in runs for place in run] == list(range(len(costs)))
    for run in runs:
        assert len(run) <= items
        assert len(run) == 1 or sum(costs[place] for place in run) <= tokens
