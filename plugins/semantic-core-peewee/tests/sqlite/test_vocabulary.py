"""The words of one file: those of a scope, as they are written there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import vocabulary

from semantic_core.filters import Filter
from semantic_core.testing.stores.samples import SPACE, item, put
from semantic_core.types import Ref, Scope

SHOWN = Scope(filter=Filter.parse({"shown": True}))


def words(pairs):
    return [word for word, _ in pairs]


def test_words_are_given_as_they_are_written_and_not_as_their_stems(stemmed):
    put(stemmed, item("1", "searching"), item("2", "Searches, searches"), item("3", "searches"))
    assert list(stemmed.words_like("sear", 5, Scope())) == [("searches", 2), ("searching", 1)]
    assert words(stemmed.words_near("serching", 2, 5, Scope())) == ["searching", "searches"] or (
        words(stemmed.words_near("serching", 2, 5, Scope())) == ["searching"]
    )


def test_a_form_that_only_a_hidden_document_has_is_not_told(stemmed):
    put(
        stemmed,
        item("1", "searching", metadata={"shown": True}),
        item("2", "searches", metadata={"shown": False}),
    )
    assert words(stemmed.words_like("sear", 5, SHOWN)) == ["searching"]
    assert words(stemmed.words_near("searchess", 1, 5, SHOWN)) == []
    assert words(stemmed.words_near("searchess", 1, 5, Scope())) == ["searches"]
    assert stemmed.word_counts(["searches", "absent"], SHOWN) == {"searches": 1, "absent": 0}


def test_a_scope_with_few_words_is_looked_through(tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "MOST_TRIED", 3)
    with_words = SqliteStore(SPACE, tmp_path / "index.db")
    for number in range(5):
        put(with_words, *(item(f"{number}{copy}", f"zor{number}x") for copy in range(5 - number)))
    put(with_words, item(Ref("blog", "1"), "zor2x"), item(Ref("blog", "2"), "zor4x"))
    found = with_words.words_like("zor", 9, Scope(collections=("blog",)))
    assert words(found) == ["zor2x"]
    with_words.close()


def test_words_of_the_next_state_are_near(stemmed):
    put(stemmed, item("1", "zorbak"))
    assert words(stemmed.words_near("zorbek", 1, 5, Scope())) == ["zorbak"]
    put(stemmed, item("2", "zorbuk"))
    assert words(stemmed.words_near("zorbek", 1, 5, Scope())) == ["zorbak", "zorbuk"]
    assert words(stemmed.words_near("z" * 100, 2, 5, Scope())) == []


spelled = st.text(st.sampled_from("abcdé漢\ud800 \u0661z"), max_size=6)


@given(st.lists(spelled, min_size=1), spelled, st.sampled_from([1, 2]))
def test_no_word_that_is_near_is_left_out_before_it_is_compared(every, word, distance):
    near = [other for other in every if OSA.distance(word, other) <= distance]
    left = vocabulary.WordList.of(every).alike(word, distance)
    assert [other for other in left if OSA.distance(word, other) <= distance] == near


def test_most_words_are_left_out_before_they_are_compared():
    every = [f"{one}{two}{three}" for one in "abcdef" for two in "ghijkl" for three in "mnopqr"]
    assert len(vocabulary.WordList.of(every).alike("agm", 1)) < len(every) / 10
