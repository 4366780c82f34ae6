"""Checks of the words that a store knows (`Vocabulary`): those of the scope and no others, the most
frequent first.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.filters import Filter
from semantic_core.protocols import Vocabulary
from semantic_core.testing.check import Check, examples, expect, same, skip
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    item,
    put,
    text_search_of,
)
from semantic_core.testing.stores.words import HOSTILE
from semantic_core.testing.strategies import texts
from semantic_core.types import Ref, Scope


def vocabulary_of(store: Any) -> Vocabulary:
    """The store as a `Vocabulary`; skips the rule for a store without it."""
    text_search_of(store)
    if isinstance(store, Vocabulary):
        return store
    return skip("This store does not tell its words (it is no Vocabulary).")


def _words_of(pairs: Any) -> list[str]:
    return [word for word, _ in pairs]


def _several(word: str, count: int) -> list[Item]:
    return [item(f"{word}{number}", f"{word} murdip") for number in range(count)]


@Check
def words_are_completed(open_store: OpenStore) -> None:
    """`words_like` gives the words that begin so, the most frequent first, itself included;
    equally frequent ones by code point. A smaller limit gives the beginning of the list.
    """
    with closing(open_store(SPACE)) as store:
        words = vocabulary_of(store)
        same(list(words.words_like("zor", 10, EVERYTHING)), [], "an empty store")
        put(store, *_several("zorbak", 2), *_several("zorvel", 5), *_several("zorak", 2))
        put(store, item("in", "azorbak zobak"), item("zor", "Zor"))
        found = list(words.words_like("zor", 10, EVERYTHING))
        same(found, [("zorvel", 5), ("zorak", 2), ("zorbak", 2), ("zor", 1)], "words_like('zor')")
        same(_words_of(words.words_like("ZORB", 10, EVERYTHING)), ["zorbak"], "words_like('ZORB')")
        same(_words_of(words.words_like("zorbak", 10, EVERYTHING)), ["zorbak"], "a whole word")
        for limit in (0, 1, 3):
            same(list(words.words_like("zor", limit, EVERYTHING)), found[:limit], f"limit {limit}")
        for nothing in ("", "absent", "orbak", "*", "zor*"):
            same(list(words.words_like(nothing, 10, EVERYTHING)), [], f"words_like({nothing!r})")


@Check
def words_with_a_typing_error_are_found(open_store: OpenStore) -> None:
    """`words_near` gives the words at most so many edits away, the nearest first, then the most
    frequent, without the word itself. Two neighbours that changed places are one edit.
    """
    with closing(open_store(SPACE)) as store:
        words = vocabulary_of(store)
        same(list(words.words_near("zorbak", 2, 10, EVERYTHING)), [], "an empty store")
        put(store, *_several("zorbka", 3), *_several("zorak", 2), *_several("zorbakk", 2))
        put(store, *_several("zorbuk", 1), *_several("horbak", 1), *_several("zobakel", 9))
        put(store, *_several("zorbak", 4), *_several("zarbuk", 6), *_several("tirefok", 6))
        near = ["zorbka", "zorak", "zorbakk", "horbak", "zorbuk"]
        found = words.words_near("Zorbak", 1, 10, EVERYTHING)
        same(_words_of(found), near, "one edit from zorbak")
        farther = [*near, "zarbuk"]
        same(_words_of(words.words_near("zorbak", 2, 10, EVERYTHING)), farther, "two edits")
        same(_words_of(words.words_near("zorbak", 2, 3, EVERYTHING)), near[:3], "limit 3")
        same(list(words.words_near("zorbak", 2, 0, EVERYTHING)), [], "limit 0")
        same(_words_of(words.words_near("tirfeko", 2, 10, EVERYTHING)), ["tirefok"], "two swaps")
        same(list(words.words_near("murdipelon", 2, 10, EVERYTHING)), [], "nothing near")


@Check
def words_are_counted_as_search_finds_them(open_store: OpenStore) -> None:
    """`word_counts` is 0 for the words by which full-text search finds nothing, and only for
    those.
    """
    with closing(open_store(SPACE)) as store:
        words = vocabulary_of(store)
        put(store, *_several("zorbak", 3), item("other", "velquon"))
        asked = ["zorbak", "ZORBAK", "murdip", "velquon", "absent", "zorba"]
        counts = words.word_counts(asked, EVERYTHING)
        same(set(counts), set(asked), "the words that were counted")
        for word in asked:
            found = bool(len(store.words(word, 1, EVERYTHING)))
            same(counts[word] > 0, found, f"word_counts: whether {word!r} is counted")
        same(counts["zorbak"], 3, "documents with zorbak")
        store.remove([Ref("notes", f"zorbak{number}") for number in range(3)])
        same(words.word_counts(["zorbak"], EVERYTHING), {"zorbak": 0}, "after the removal")
        same(list(words.words_like("zor", 10, EVERYTHING)), [], "words_like after the removal")
        same(list(words.words_near("zorbek", 2, 9, EVERYTHING)), [], "words_near after it")


@Check
def words_out_of_scope_are_not_told(open_store: OpenStore) -> None:
    """A word that is only in documents of another tenant or collection, or in such that the filter
    leaves out, is not given, and does not count.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        words = vocabulary_of(store)
        shown = {"secret": False}
        put(
            store,
            item(Ref("notes", "1", "ann"), "zorbak velquon", metadata=shown),
            item(Ref("notes", "2", "ann"), "zorbal tirefok", metadata={"secret": True}),
            item(Ref("blog", "3", "ann"), "zorbam", metadata=shown),
            item(Ref("notes", "4", "bob"), "zorban", metadata=shown),
            item(Ref("notes", "5", "bob"), "zorbak", metadata=shown),
        )
        narrow = Scope("ann", ("notes",), Filter.parse(shown))
        scopes: tuple[tuple[Scope, list[str]], ...] = (
            (narrow, ["zorbak"]),
            (Scope("ann", ("notes",)), ["zorbak", "zorbal"]),
            (Scope("ann"), ["zorbak", "zorbal", "zorbam"]),
            (Scope("bob"), ["zorbak", "zorban"]),
            (Scope("ann", ()), []),
            (Scope("cid"), []),
        )
        every = ["zorbak", "zorbal", "zorbam", "zorban"]
        for scope, wanted in scopes:
            same(_words_of(words.words_like("zor", 10, scope)), wanted, f"words_like in {scope}")
            near = words.words_near("zorbax", 1, 10, scope)
            same(_words_of(near), wanted, f"words_near in {scope}")
            counts = words.word_counts(every, scope)
            counted = [word for word in every if counts[word]]
            same(counted, wanted, f"word_counts in {scope}")
            first = _words_of(words.words_like("zor", 1, scope))
            same(first, wanted[:1], f"words_like in {scope}, limit 1")


@Check
def any_text_has_near_words(open_store: OpenStore) -> None:
    """No text raises an error, and none finds a word that is not there."""
    with closing(open_store(SPACE)) as store:
        words = vocabulary_of(store)
        put(store, item("1", "zorbak"))

        def answers(text: str) -> None:
            for found in (
                words.words_like(text, 5, EVERYTHING),
                words.words_near(text, 2, 5, EVERYTHING),
            ):
                expect(
                    _words_of(found) in ([], ["zorbak"]),
                    f"{text[:40]!r}: expected no other word than zorbak, found {found}.",
                )
            counts = words.word_counts([text], EVERYTHING)
            same(list(counts), [text], "word_counts: words")

        for text in HOSTILE:
            answers(text[:500])

        @examples(40)
        @given(st.one_of(texts(max_size=30), st.text("zorbak", max_size=8)))
        def any_text(text: str) -> None:
            answers(text[:500])

        any_text()
