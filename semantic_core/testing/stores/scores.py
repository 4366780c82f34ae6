"""Scores of given chunks by words, and titles: what puts the one right document first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
from hypothesis import given

from semantic_core.filters import Filter
from semantic_core.protocols import TextScores, TitleSearch
from semantic_core.testing.check import Check, examples, expect, same, skip
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    finder_of_words,
    item,
    put,
)
from semantic_core.testing.stores.words import HOSTILE
from semantic_core.testing.strategies import texts
from semantic_core.types import ChunkId, Ref, Scope

ROUNDING = 1e-6
"""Part by which a score by words may differ from one that was worked out in another order."""


def scorer_of(store: Any) -> TextScores:
    """The store as one that scores given chunks; skips one that does not."""
    finder_of_words(store)
    if isinstance(store, TextScores):
        return store
    return skip("This store scores no given chunks (it is no TextScores).")


def finder_of_titles(store: Any) -> TitleSearch:
    """The store as a finder of titles; skips one that finds none."""
    if isinstance(store, TitleSearch):
        return store
    return skip("This store finds no titles (it is no TitleSearch).")


def scores_as_words_does(store: Any, query: str, ids: Sequence[ChunkId], what: str) -> None:
    """Fail unless `score` gives these chunks what `words` does, and 0 to those it does not list."""
    ranking = store.words(query, 1_000, EVERYTHING)
    listed = dict(zip(ranking.ids, ranking.scores, strict=True))
    numbers = store.score(ids, query)
    same(
        (numbers.shape, numbers.dtype),
        ((len(ids),), np.dtype(np.float64)),
        f"{what}: shape and type",
    )
    for id, number in zip(ids, numbers.tolist(), strict=True):
        wanted = listed.get(id, 0.0)
        close = abs(number - wanted) <= ROUNDING * wanted
        expect(close, f"{what}: {id}: words gives {wanted}, score {number}.")


@Check
def a_score_is_what_words_gives(open_store: OpenStore) -> None:
    """`score` gives each chunk the number `words` does, 0 to one without any of the words;
    in the order asked.

    Now, and not as of some earlier state: how rare a word is changes with every write.
    """
    items = [item(f"both{number}", "zorbak velquon" + " more" * number) for number in range(4)]
    items += [
        item(f"many{number}", "velquon " * number, f"tirefok {number}") for number in range(1, 6)
    ]
    items += [
        item(Ref("blog", "1"), "zorbak elsewhere"),
        item("waits", "zorbak waits", vectors=False),
    ]
    items += [item(f"other{number}", f"nothing of it {number}") for number in range(30)]
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
        scorer_of(store)
        put(store, *items)
        ids = [id for each in items for id in each.ids]
        for query in queries:
            scores_as_words_does(store, query, ids, f"{query!r}")
            scores_as_words_does(
                store, query, [*ids[::-3], ids[0], ids[0]], f"{query!r}, some of them"
            )
        same(store.score([], "zorbak").shape, (0,), "shape of no scores")
        put(store, item("other0", "zorbak " * 3), item("both1", "velquon now"))
        store.remove([Ref("notes", "many4"), Ref("notes", "waits")])
        there = [id for id in ids if id.ref.key not in ("many4", "waits")]
        for query in queries:
            scores_as_words_does(store, query, there, f"{query!r} after changes")


@Check
def a_chunk_that_is_gone_has_no_score(open_store: OpenStore) -> None:
    """NaN where there is no such chunk, also of a document that is there, or was;
    the others have theirs.
    """
    mine = item("1", "zorbak here", "and zorbak")
    with closing(open_store(SPACE)) as store:
        scorer = scorer_of(store)
        put(store, mine, item("2", "zorbak"), item("3", "velquon"))
        asked = [ChunkId(mine.ref, 9), mine.ids[0], ChunkId(Ref("notes", "never"), 0), mine.ids[1]]
        same(
            np.isnan(scorer.score(asked, "zorbak")).tolist(),
            [True, False, True, False],
            "which are NaN",
        )
        same(
            np.isnan(scorer.score(asked, "...")).tolist(),
            [True, False, True, False],
            "without a word",
        )
        put(store, item("1", "zorbak here"))
        store.remove([Ref("notes", "2")])
        asked = [*mine.ids, ChunkId(Ref("notes", "2"), 0)]
        same(
            np.isnan(scorer.score(asked, "zorbak")).tolist(),
            [False, True, True],
            "which are NaN now",
        )


@Check
def any_text_can_be_scored(open_store: OpenStore) -> None:
    """What is a legal query for `words` is one for `score`, and both agree."""
    items = [
        item("1", "zorbak"),
        item("2", "velquon é ½ ٣ x"),
        *(item(f"x{n}", f"other {n}") for n in range(6)),
    ]
    ids = [id for each in items for id in each.ids]
    with closing(open_store(SPACE)) as store:
        scorer_of(store)
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
    """A document of this title, whose first passage begins with it."""
    return item(key, f"{title}\nsome text", *more, title=title, **fields)


@Check
def a_title_finds_its_document(open_store: OpenStore) -> None:
    """The title, whatever its case, punctuation and spaces, and its beginning;
    by the first chunk, once.
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
        finder = finder_of_titles(store)
        same(finder.titled("zorbak", 10, EVERYTHING).ids, (), "an empty store")
        put(store, *items)

        def found(query: str, limit: int = 10) -> list[tuple[str, int, float]]:
            ranking = finder.titled(query, limit, EVERYTHING)
            same(ranking.source, "title", "source")
            pairs = zip(ranking.ids, ranking.scores, strict=True)
            return [(id.ref.key, id.position, round(score, 3)) for id, score in pairs]

        for query in ("json.dumps", "JSON  dumps", "json-dumps!", " json\ndumps "):
            same(found(query), [("json", 0, 1.0)], f"{query!r}")
        same(found("grep"), [("grep", 0, 0.5)], "the beginning of a title")
        same(
            found("Zorbak"),
            [("lone", 0, 1.0), ("long", 0, 0.333)],
            "a title and the beginning of one",
        )
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
            same(found(query), [], f"{query!r}")


@Check
def titles_keep_to_their_scope(open_store: OpenStore) -> None:
    """Collections and filter hold before the limit,
    and equal titles stand in the order of their ids.
    """
    outside = [_named(Ref("noise", f"{n}"), "Zorbak", metadata={"draft": False}) for n in range(30)]
    drafts = [_named(f"draft{n}", "Zorbak", metadata={"draft": True}) for n in range(30)]
    inside = [_named(f"inside{n}", "Zorbak", metadata={"draft": False}) for n in (2, 0, 1)]
    scope = Scope(collections=("notes",), filter=Filter.parse({"draft": False}))
    with closing(open_store(SPACE)) as store:
        finder = finder_of_titles(store)
        put(store, *outside, *drafts, *inside)
        wanted = [ChunkId(Ref("notes", f"inside{n}"), 0) for n in range(3)]
        for limit in (1, 2, 3, 10):
            same(list(finder.titled("zorbak", limit, scope).ids), wanted[:limit], f"limit {limit}")
        same(finder.titled("zorbak", 3, Scope(collections=())).ids, (), "in no collection")


@Check
def changed_titles_are_not_found(open_store: OpenStore) -> None:
    """After an update the old title is not found and the new one is, at once;
    after a removal neither.
    """
    with closing(open_store(SPACE)) as store:
        finder = finder_of_titles(store)
        put(store, _named("1", "Zorbak"), _named("2", "Zorbak"))
        put(store, _named("1", "Velquon"))
        same(
            [id.ref.key for id in finder.titled("zorbak", 10, EVERYTHING).ids],
            ["2"],
            "the old title",
        )
        same(
            [id.ref.key for id in finder.titled("velquon", 10, EVERYTHING).ids],
            ["1"],
            "the new title",
        )
        put(store, item("1", "Velquon is the first word, and no title"))
        same(finder.titled("velquon", 10, EVERYTHING).ids, (), "a title that was taken away")
        store.remove([Ref("notes", "2")])
        same(finder.titled("zorbak", 10, EVERYTHING).ids, (), "after the removal")
