"""The analyser without a language, and analysing many texts at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core.analysis import WordAnalyser, analyse, folded
from semantic_core.protocols import Analyser, BulkAnalyser

ANALYSER = WordAnalyser()


class OneByOne:
    """The same analyser without its fast way."""

    identity = ANALYSER.identity
    tokens = staticmethod(ANALYSER.tokens)
    query_tokens = staticmethod(ANALYSER.query_tokens)


def terms(text: str) -> list[str]:
    return [token.term for token in ANALYSER.tokens(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("-- .. __", []),
        ("Loops, and LOOPS", ["loops", "and", "loops"]),
        ("Café CAFE\u0301", ["cafe", "cafe"]),
        ("Straße", ["strasse"]),
        ("ёлка й", ["елка", "и"]),
        ("snake_case x2", ["snake", "case", "x2"]),
        ("हिन्दी", [folded("हिन्दी")]),
    ],
)
def test_terms_are_the_folded_words(text: str, wanted: list[str]) -> None:
    assert terms(text) == wanted


@settings(deadline=None)
@given(st.text())
def test_tokens_say_where_their_words_stand(text: str) -> None:
    tokens = ANALYSER.tokens(text)
    assert [token.position for token in tokens] == list(range(len(tokens)))
    for token in tokens:
        assert token.term == folded(text[token.start : token.end])
        assert token.term


@pytest.mark.parametrize("analyser", [ANALYSER, OneByOne()], ids=["fast", "one by one"])
@settings(deadline=None)  # numpy is imported
@given(st.lists(st.text(max_size=20)))
def test_texts_analysed_together_have_the_terms_they_have_alone(
    analyser: Analyser, texts: list[str]
) -> None:
    together = analyse(analyser, texts, [None] * len(texts))
    start = 0
    for text, count in zip(texts, together.counts, strict=True):
        numbers = together.terms[start : start + count]
        assert [together.vocabulary[number].term for number in numbers] == terms(text)
        start += count
    assert start == len(together.terms)
    assert len(set(together.vocabulary)) == len(together.vocabulary)


def test_there_is_a_fast_way_and_one_for_analysers_that_have_none() -> None:
    assert isinstance(ANALYSER, BulkAnalyser)
    assert isinstance(OneByOne(), Analyser)
    assert not isinstance(OneByOne(), BulkAnalyser)
