"""Checks of scores of given chunks (`TextScores`), of their scale (`TextScale`), and of search by
title (`TitleSearch`).

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
from hypothesis import given

from semantic_core.filters import Filter
from semantic_core.protocols import TextScale, TextScores, TitleSearch
from semantic_core.testing.check import Check, examples, expect, same, skip
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    ids_of,
    item,
    keys_of,
    numbered,
    put,
    refs_of,
    text_search_of,
)
from semantic_core.testing.stores.words import HOSTILE
from semantic_core.testing.strategies import texts
from semantic_core.types import ChunkId, Ref, Scope

ROUNDING = 1e-6
"""Relative difference of two scores that were added up in another order."""


def text_scores_of(store: Any) -> TextScores:
    """The store as a `TextScores`; skips the rule for a store without it."""
    text_search_of(store)
    if isinstance(store, TextScores):
        return store
    return skip("This store does not score given chunks (it is no TextScores).")


def text_scale_of(store: Any) -> TextScale:
    """The store as a `TextScale`; skips the rule for a store without it."""
    text_scores_of(store)
    if isinstance(store, TextScale):
        return store
    return skip("This store does not know full scores (it is no TextScale).")


def title_search_of(store: Any) -> TitleSearch:
    """The store as a `TitleSearch`; skips the rule for a store without it."""
    if isinstance(store, TitleSearch):
        return store
    return skip("This store has no search by title (it is no TitleSearch).")


def scores_as_words_does(store: Any, query: str, ids: Sequence[ChunkId], what: str) -> None:
    """Fail unless `score` gives these chunks the scores of `words`, and 0 to those that are not in
    its ranking.
    """
    ranking = store.words(query, 1_000, EVERYTHING)
    listed = dict(zip(ranking.ids, ranking.scores, strict=True))
    numbers = store.score(ids, query)
    same(numbers.shape, (len(ids),), f"score for {what}: shape")
    same(numbers.dtype, np.dtype(np.float64), f"score for {what}: dtype")
    for id, number in zip(ids, numbers.tolist(), strict=True):
        wanted = listed.get(id, 0.0)
        close = abs(number - wanted) <= ROUNDING * wanted
        expect(close, f"score for {what}: {id}: expected {wanted} as in words, found {number}.")


@Check
def a_score_is_what_words_gives(open_store: OpenStore) -> None:
    """`score` gives each chunk the score that `words` gives it, and 0 to a chunk without any of the
    words, in the order of the ids.

    Scores are those of the present state: how rare a word is changes with every write.
    """
    items: list[Item] = []
    for number in range(4):
        items.append(item(f"both{number}", "zorbak velquon" + " more" * number))
    for number in range(1, 6):
        items.append(item(f"many{number}", "velquon " * number, f"tirefok {number}"))
    items.append(item(Ref("blog", "1"), "zorbak elsewhere"))
    items.append(item("waits", "zorbak waits", vectors=False))
    for number in range(30):
        items.append(item(f"other{number}", f"nothing of it {number}"))
    queries = (
        "zorbak",
        "velquon zorbak",
        "Velquon velquon tirefok",
        "absent zorbak",
        "absent",
        "...",
        "",
    )
    with closing(open_store(SPACE)) as store:
        text_scores_of(store)
        put(store, *items)
        ids = ids_of(items)
        some = [*ids[::-3], ids[0], ids[0]]
        for query in queries:
            scores_as_words_does(store, query, ids, f"{query!r}")
            scores_as_words_does(store, query, some, f"{query!r}, some of the ids")
        same(store.score([], "zorbak").shape, (0,), "score without ids: shape")
        put(store, item("other0", "zorbak " * 3), item("both1", "velquon now"))
        gone = {Ref("notes", "many4"), Ref("notes", "waits")}
        store.remove(gone)
        there = [id for id in ids if id.ref not in gone]
        for query in queries:
            scores_as_words_does(store, query, there, f"{query!r} after changes")


@Check
def a_chunk_that_is_gone_has_no_score(open_store: OpenStore) -> None:
    """`score` is NaN for a chunk that does not exist, whether its document does or not. Other
    chunks have a score.
    """
    mine = item("1", "zorbak here", "and zorbak")
    with closing(open_store(SPACE)) as store:
        scores = text_scores_of(store)

        def missing(ids: Sequence[ChunkId], query: str) -> list[bool]:
            return [bool(missing) for missing in np.isnan(scores.score(ids, query))]

        put(store, mine, item("2", "zorbak"), item("3", "velquon"))
        nowhere = ChunkId(mine.ref, 9), ChunkId(Ref("notes", "never"), 0)
        asked = [nowhere[0], mine.ids[0], nowhere[1], mine.ids[1]]
        wanted = [True, False, True, False]
        same(missing(asked, "zorbak"), wanted, "score: which chunks have NaN")
        same(missing(asked, "..."), wanted, "score without a word: which chunks have NaN")
        put(store, item("1", "zorbak here"))
        store.remove([Ref("notes", "2")])
        asked = [*mine.ids, ChunkId(Ref("notes", "2"), 0)]
        found = missing(asked, "zorbak")
        same(found, [False, True, True], "score after an update: which chunks have NaN")


@Check
def a_full_score_is_that_of_an_average_passage_with_every_word(open_store: OpenStore) -> None:
    """`full_score` is the score that `words` gives to a passage of average length which contains
    each word once. A word that is repeated in the text counts as often as in `words`; one that no
    passage contains counts as well. It is 0 for a text without words.
    """
    items = [item("both", "zorbak velquon aa bb"), item("one", "zorbak cc dd ee")]
    for number in range(30):
        items.append(item(f"other{number}", f"nothing of it {number}"))
    both = items[0].ids
    with closing(open_store(SPACE)) as store:
        text_scale_of(store)
        put(store, *items)

        def close(text: str, wanted: float) -> None:
            found = store.full_score(text)
            fits = abs(found - wanted) <= ROUNDING * wanted
            expect(fits, f"full_score({text!r}): expected {wanted}, found {found}.")

        for text in ("zorbak", "zorbak velquon", "Velquon velquon zorbak"):
            close(text, float(store.score(both, text)[0]))
        close("zorbak velquon", store.full_score("zorbak") + store.full_score("velquon"))
        expect(
            store.full_score("zorbak absent") > store.full_score("zorbak velquon"),
            "full_score: a word that no passage contains must count more than any other.",
        )
        for text in ("", "...", '"'):
            same(store.full_score(text), 0.0, f"full_score({text!r})")
        before = store.full_score("velquon")
        put(store, *(item(f"more{number}", "velquon aa bb cc") for number in range(5)))
        expect(
            store.full_score("velquon") < before,
            "full_score: a word that became less rare must count less.",
        )


@Check
def any_text_can_be_scored(open_store: OpenStore) -> None:
    """Every query of `words` is a query of `score`, and both give the same scores."""
    items = [item("1", "zorbak"), item("2", "velquon é ½ ٣ x")]
    for number in range(6):
        items.append(item(f"x{number}", f"other {number}"))
    ids = ids_of(items)
    with closing(open_store(SPACE)) as store:
        text_scores_of(store)
        put(store, *items)
        for query in HOSTILE:
            scores_as_words_does(store, query, ids, f"{query[:40]!r}")

        @examples(60)
        @given(texts())
        def agree(query: str) -> None:
            put(store, item("1", f"zorbak {query[:50]}"))
            scores_as_words_does(store, query, ids, f"{query!r}")

        agree()


def _named(key: Ref | str, title: str, *more: str, **fields: Any) -> Item:
    """A document with this title; its first passage begins with the title."""
    return item(key, f"{title}\nsome text", *more, title=title, **fields)


@Check
def a_title_finds_its_document(open_store: OpenStore) -> None:
    """`titled` finds a document by its title, whatever the case, punctuation and spaces, and by the
    beginning of its title. It gives the first chunk of the document, once.
    """
    items = [
        _named("json", "json.dumps", "json.dumps\nmore of it"),
        _named("grep", "grep(1)"),
        _named("long", "Zorbak velquon tirefok"),
        _named("lone", "Zorbak"),
        item("text", "json dumps everywhere, and zorbak"),
        item("bare", "zorbak without a title"),
    ]
    with closing(open_store(SPACE)) as store:
        search = title_search_of(store)
        same(search.titled("zorbak", 10, EVERYTHING).ids, (), "an empty store")
        put(store, *items)

        def found(query: str, limit: int = 10) -> list[tuple[str, int, float]]:
            ranking = search.titled(query, limit, EVERYTHING)
            same(ranking.source, "title", "source of the ranking")
            hits: list[tuple[str, int, float]] = []
            for id, score in zip(ranking.ids, ranking.scores, strict=True):
                hits.append((id.ref.key, id.position, round(score, 3)))
            return hits

        for query in ("json.dumps", "JSON  dumps", "json-dumps!", " json\ndumps "):
            same(found(query), [("json", 0, 1.0)], f"titled({query!r})")
        same(found("grep"), [("grep", 0, 0.5)], "the beginning of a title")
        both = [("lone", 0, 1.0), ("long", 0, 0.333)]
        same(found("Zorbak"), both, "a title and the beginning of another one")
        same(found("Zorbak", 1), [("lone", 0, 1.0)], "limit 1")
        same(found("Zorbak", 0), [], "limit 0")
        same(found("zorbak velquon"), [("long", 0, 0.667)], "two words of three")
        for query in (
            "dumps",
            "velquon",
            "zorbak tirefok",
            "zorbak velquon tirefok more",
            "absent",
            "",
            "...",
            '"',
        ):
            same(found(query), [], f"titled({query!r})")


@Check
def titles_keep_to_their_scope(open_store: OpenStore) -> None:
    """Collections and filter apply before the limit, and equal titles are in the order of their
    ids.
    """
    published = {"draft": False}
    items: list[Item] = []
    for ref in refs_of("noise", 30):
        items.append(_named(ref, "Zorbak", metadata=published))
    for key in numbered("draft", 30):
        items.append(_named(key, "Zorbak", metadata={"draft": True}))
    for key in ("inside2", "inside0", "inside1"):
        items.append(_named(key, "Zorbak", metadata=published))
    wanted = sorted(ids_of(items[-3:]))
    scope = Scope(collections=("notes",), filter=Filter.parse(published))
    with closing(open_store(SPACE)) as store:
        search = title_search_of(store)
        put(store, *items)
        for limit in (1, 2, 3, 10):
            found = search.titled("zorbak", limit, scope).ids
            same(list(found), wanted[:limit], f"titled within the scope, limit {limit}")
        nothing = search.titled("zorbak", 3, Scope(collections=()))
        same(nothing.ids, (), "titled in no collection")


@Check
def changed_titles_are_not_found(open_store: OpenStore) -> None:
    """After an update the new title is found at once, and the old one is not. After a removal
    neither is found.
    """
    with closing(open_store(SPACE)) as store:
        search = title_search_of(store)

        def found(query: str) -> list[str]:
            return keys_of(search.titled(query, 10, EVERYTHING))

        put(store, _named("1", "Zorbak"), _named("2", "Zorbak"))
        put(store, _named("1", "Velquon"))
        same(found("zorbak"), ["2"], "documents found by the old title")
        same(found("velquon"), ["1"], "documents found by the new title")
        put(store, item("1", "Velquon is the first word, and no title"))
        same(found("velquon"), [], "documents found by a title that was taken away")
        store.remove([Ref("notes", "2")])
        same(found("zorbak"), [], "documents found after the removal")
