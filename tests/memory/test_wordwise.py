"""Words compared as the store in memory does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core._memory.wordwise import (
    as_written,
    each_is_there,
    edits,
    most_frequent,
    stand_together,
)

SHORT = st.text("abc", max_size=5)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("", "", 0),
        ("search", "search", 0),
        ("search", "serach", 1),
        ("search", "serch", 1),
        ("search", "searchh", 1),
        ("search", "saerhc", 2),
        ("", "ab", 2),
        ("ca", "abc", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_edits_are_counted(one, other, apart):
    assert edits(one, other) == edits(other, one) == apart


def neighbours(word: str) -> set[str]:
    """Every word of these letters one edit away, and the word itself."""
    found = {word}
    for place in range(len(word) + 1):
        found |= {word[:place] + letter + word[place:] for letter in "abc"}
        if place < len(word):
            found.add(word[:place] + word[place + 1 :])
            found |= {word[:place] + letter + word[place + 1 :] for letter in "abc"}
        if place + 1 < len(word):
            found.add(word[:place] + word[place + 1] + word[place] + word[place + 2 :])
    return found


@given(SHORT, SHORT)
def test_one_edit_is_one_change(one, other):
    assert (edits(one, other) <= 1) == (other in neighbours(one))


def test_words_stand_together_in_order():
    words = ["to", "be", "or", "not", "to", "bear"]
    assert stand_together(words, ["not", "to"], prefix=False)
    assert stand_together(words, ["to", "be"], prefix=False)
    assert not stand_together(words, ["not", "be"], prefix=False)
    assert not stand_together(words, ["not", "to", "be"], prefix=False)
    assert stand_together(words, ["not", "to", "be"], prefix=True)
    assert not stand_together(words, ["no", "to"], prefix=True)
    assert not stand_together(words, [], prefix=False)
    assert not stand_together([], ["to"], prefix=True)


def test_each_word_is_somewhere():
    words = ["or", "bear"]
    assert each_is_there(words, ["bear", "or"], prefix=False)
    assert not each_is_there(words, ["be", "or"], prefix=False)
    assert each_is_there(words, ["or", "be"], prefix=True)
    assert not each_is_there(words, ["be", "or"], prefix=True)


def test_metadata_is_compared_as_it_is_written():
    assert as_written(("a", "b c")) == ["a", "b c"]
    assert as_written("Ann") == ["Ann"]
    assert as_written(2020) == ["2020"]
    assert as_written(True) == ["true"]


def test_the_most_frequent_word_is_first():
    from collections import Counter

    counts = Counter({"b": 2, "c": 5, "a": 2})
    assert most_frequent(counts, 5) == [("c", 5), ("a", 2), ("b", 2)]
    assert most_frequent(counts, 1) == [("c", 5)]
    assert most_frequent(counts, -1) == []
