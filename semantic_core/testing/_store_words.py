"""Words: any text is a query, every word that is there is found, none that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import attrs
import numpy as np
from hypothesis import given

from semantic_core.errors import TextInvalid
from semantic_core.filters import Filter
from semantic_core.protocols import TextScores, TitleSearch
from semantic_core.testing._check import Check, examples, expect, same, skip
from semantic_core.testing._samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    finder_of_words,
    fingerprint_of,
    item,
    put,
    with_word,
)
from semantic_core.testing._strategies import ODD_TEXTS, texts
from semantic_core.types import ChunkId, Ref, Scope

HOSTILE = (
    *ODD_TEXTS,
    *('"', "'", '""', '"zorbak', 'zorbak"', "(", ")", "(zorbak", "zorbak)", "*", "zorbak*", "^zorbak", "+", "-", "- zorbak"),
    *(
        "AND",
        "OR",
        "NOT",
        "NEAR",
        "zorbak AND",
        "NOT zorbak",
        "NEAR(zorbak",
        "NEAR(zorbak velquon, 5)",
        "zorbak OR",
        "{zorbak",
    ),
    *(
        "C++",
        "C#",
        "node.js",
        "e-mail",
        "don't",
        "why?",
        "a/b",
        "a:b",
        "passage:zorbak",
        "rowid:1",
        "text : zorbak",
        "50%",
        "@x",
    ),
    *(
        "\\",
        "\\'",
        ";",
        "--",
        "/* */",
        "[a]",
        "a\nb",
        "\x00zorbak",
        "zorbak\x00",
        "́",
        "½",
        "٣",
        "_",
        "__",
        "...",
        "!?",
        "&|!<->",
    ),
    "zorbak " * 3_000,
    " ".join(f"word{number}" for number in range(500)),
    "x" * 100_000,
)
"""Queries that are syntax to some engine, or too much for it."""

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
    same((numbers.shape, numbers.dtype), ((len(ids),), np.dtype(np.float64)), f"{what}: shape and type")
    for id, number in zip(ids, numbers.tolist(), strict=True):
        wanted = listed.get(id, 0.0)
        close = abs(number - wanted) <= ROUNDING * wanted
        expect(close, f"{what}: {id}: words gives {wanted}, score {number}.")


@Check
def a_word_finds_its_chunks(open_store: OpenStore) -> None:
    """Every chunk that holds any of the words, and no other; upper and lower case are one; source "words", best first."""
    items = [
        item("1", "zorbak velquon", "velquon alone"),
        item("2", "tirefok here", "nothing to find"),
        item("3", "ПОИСК Éclair"),
    ]
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, *items)
        one, two, three = items
        same(with_word(store, "zorbak"), {one.ids[0]}, "zorbak")
        same(with_word(store, "ZORBAK"), {one.ids[0]}, "ZORBAK")
        same(with_word(store, "velquon"), set(one.ids), "velquon")
        same(with_word(store, "tirefok zorbak absent"), {one.ids[0], two.ids[0]}, "any of three words")
        same(with_word(store, "поиск"), set(three.ids), "поиск")
        same(with_word(store, "éclair"), set(three.ids), "éclair")
        same(with_word(store, "absent"), set(), "a word that is nowhere")
        ranking = finder.words("velquon zorbak", 10, EVERYTHING)
        same(ranking.source, "words", "source")
        scores = list(ranking.scores)
        expect(scores == sorted(scores, reverse=True), f"words: wanted the best first, got {scores}.")


@Check
def what_fits_better_stands_first(open_store: OpenStore) -> None:
    """Both words before one, a rare word before a common one, a short passage before a long one; bigger is better."""
    common = [item(f"common{number}", f"velquon among others {number}") for number in range(6)]
    others = [item(f"other{number}", f"nothing of it {number}") for number in range(30)]
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, *common, *others, item("rare", "zorbak among others 9"), item("both", "zorbak velquon among 9"))
        put(store, item("short", "tirefok in here"), item("long", "tirefok in here" + " and more of other things" * 40))
        ranking = finder.words("velquon zorbak", 20, EVERYTHING)
        same([id.ref.key for id in ranking.ids[:2]], ["both", "rare"], "the best two for a common and a rare word")
        expect(
            ranking.scores[0] > ranking.scores[1] > ranking.scores[2], f"words: wanted falling scores, got {ranking.scores}."
        )
        same([id.ref.key for id in finder.words("tirefok", 20, EVERYTHING).ids], ["short", "long"], "short before long")
        best = finder.words("velquon zorbak", 3, EVERYTHING)
        same(best.ids, ranking.ids[:3], "limit 3")
        same(finder.words("velquon", 0, EVERYTHING).ids, (), "limit 0")


@Check
def any_text_is_a_legal_query(open_store: OpenStore) -> None:
    """Nothing in a query is syntax: no text raises, none finds what it does not say, and words beside signs are found."""
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, item("1", "zorbak"), item("2", "velquon"))
        for query in HOSTILE:
            found = {id.ref.key for id in finder.words(query, 10, EVERYTHING).ids}
            mentioned = {key for key, word in {"1": "zorbak", "2": "velquon"}.items() if word in query}
            expect(found <= mentioned, f"{query[:40]!r}: found {found}, but says {mentioned}.")
            if query.strip('"()*^+-{} ') == "zorbak" or query.startswith(("zorbak ", "NOT ", "NEAR(")):
                same(found, mentioned, f"{query[:40]!r}")
        try:
            finder.words("zorbak \ud800", 10, EVERYTHING)
        except TextInvalid as refusal:
            expect(str(refusal), "A query with a lone surrogate may be refused, with a message.")

        @examples(60)
        @given(texts())
        def answers(query: str) -> None:
            ranking = finder.words(query, 10, EVERYTHING)
            expect(len(ranking) <= 2, f"{query!r}: wanted at most 2 hits, got {len(ranking)}.")

        answers()


@Check
def no_words_no_hits(open_store: OpenStore) -> None:
    """A query without a word in it finds nothing, and so does any query in an empty store."""
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        same(finder.words("zorbak", 10, EVERYTHING).ids, (), "an empty store")
        put(store, item("1", "zorbak . , ! ? - / \" ' ( )"), item("2", ""))
        for query in ("", " ", "\t\n", "!", "...", "?!", '"', "'", "-", "( )", "/"):
            same(finder.words(query, 10, EVERYTHING).ids, (), f"{query!r}")


@Check
def changed_words_are_not_found(open_store: OpenStore) -> None:
    """After an update none of the old words is found, after a removal none at all; the new ones are, at once."""
    old_words = [f"{syllable}orbak" for syllable in "bdfgklmnprstvz"]
    new_words = [f"{syllable}elquon" for syllable in "bdfgklmnprstvz"]
    old = item("1", *(" ".join(old_words[place:]) for place in range(3)))
    new = item("1", " ".join(new_words), old_words[0])
    with closing(open_store(SPACE)) as store:
        finder_of_words(store)
        put(store, old, item("2", "beside zorbakon"))
        put(store, new)
        same(with_word(store, old_words[0]), {new.ids[1]}, "an old word that is in the new version too")
        for word in old_words[1:]:
            same(with_word(store, word), set(), f"{word}, only in the old version")
        for word in new_words:
            same(with_word(store, word), {new.ids[0]}, f"{word}, of the new version")
        store.remove([new.ref])
        for word in (*old_words, *new_words):
            same(with_word(store, word), set(), f"{word} after the removal")
        put(store, old)
        for word in old_words[3:]:
            same(with_word(store, word), set(old.ids), f"{word} after it was added again")


@Check
def words_need_no_vector(open_store: OpenStore) -> None:
    """A passage is found by its words before it has a vector, and no less afterwards."""
    with closing(open_store(SPACE)) as store:
        finder_of_words(store)
        waiting = item("1", "zorbak waits", vectors=False)
        put(store, waiting)
        same(with_word(store, "zorbak"), set(waiting.ids), "before it has a vector")
        put(store, item("1", "zorbak waits"))
        same(with_word(store, "zorbak"), set(waiting.ids), "after it has one")


@Check
def the_passage_is_searched(open_store: OpenStore) -> None:
    """Words are those of the passage, which has the title and headings as well; not of the chunk's text beside it."""
    with closing(open_store(SPACE)) as store:
        finder_of_words(store)
        document, (entry,) = item("1", "zorbak")

        def found_by(passage: str) -> Item:
            return Item(document, [attrs.evolve(entry, passage=passage, fingerprint=fingerprint_of(passage))])

        put(store, found_by("Velquon > Tirefok\nzorbak"))
        for word in ("zorbak", "velquon", "tirefok"):
            same(with_word(store, word), {entry.chunk.id}, word)
        put(store, found_by("only this"))
        same(with_word(store, "zorbak"), set(), "a word of the text that is not in the passage")
        same(with_word(store, "only"), {entry.chunk.id}, "a word of the passage that is not in the text")


@Check
def words_keep_to_their_scope(open_store: OpenStore) -> None:
    """Collections and filter hold before the limit: better hits outside of them take no place."""
    outside = [item(Ref("noise", str(number)), "zorbak " * 5, metadata={"draft": False}) for number in range(30)]
    drafts = [item(f"draft{number}", "zorbak " * 5, metadata={"draft": True}) for number in range(30)]
    inside = [item(f"inside{number}", "zorbak" + " and other words" * 20, metadata={"draft": False}) for number in range(3)]
    scope = Scope(collections=("notes",), filter=Filter.parse({"draft": False}))
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, *outside, *drafts, *inside)
        same({id.ref for id in finder.words("zorbak", 3, scope).ids}, {each.ref for each in inside}, "within the scope")
        same(len(finder.words("zorbak", 5, scope)), 3, "number of hits within the scope")
        same(finder.words("zorbak", 3, Scope(collections=())).ids, (), "in no collection")


@Check
def the_same_question_has_the_same_answer(open_store: OpenStore) -> None:
    """Asked again, `words` gives the same; a smaller limit gives the beginning of it, equal scores too."""
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, *(item(f"{number * 7 % 50:02}", "zorbak velquon") for number in range(50)))
        put(store, *(item(f"long{number % 3}{number}", "zorbak" + " other" * number) for number in range(9)))
        whole = finder.words("zorbak", 1_000, EVERYTHING)
        same(len(whole), 59, "number of hits")
        for limit in (59, 1, 7, 30, 50, 51):
            for _ in range(3):
                beginning = finder.words("zorbak", limit, EVERYTHING)
                same(beginning.ids, whole.ids[:limit], f"the first {limit}")


@Check
def a_score_is_what_words_gives(open_store: OpenStore) -> None:
    """`score` gives each chunk the number `words` does, 0 to one without any of the words; in the order asked.

    Now, and not as of some earlier state: how rare a word is changes with every write.
    """
    items = [item(f"both{number}", "zorbak velquon" + " more" * number) for number in range(4)]
    items += [item(f"many{number}", "velquon " * number, f"tirefok {number}") for number in range(1, 6)]
    items += [item(Ref("blog", "1"), "zorbak elsewhere"), item("waits", "zorbak waits", vectors=False)]
    items += [item(f"other{number}", f"nothing of it {number}") for number in range(30)]
    queries = ("zorbak", "velquon zorbak", "Velquon velquon tirefok", "absent zorbak", "absent", "...", "")
    with closing(open_store(SPACE)) as store:
        scorer_of(store)
        put(store, *items)
        ids = [id for each in items for id in each.ids]
        for query in queries:
            scores_as_words_does(store, query, ids, f"{query!r}")
            scores_as_words_does(store, query, [*ids[::-3], ids[0], ids[0]], f"{query!r}, some of them")
        same(store.score([], "zorbak").shape, (0,), "shape of no scores")
        put(store, item("other0", "zorbak " * 3), item("both1", "velquon now"))
        store.remove([Ref("notes", "many4"), Ref("notes", "waits")])
        there = [id for id in ids if id.ref.key not in ("many4", "waits")]
        for query in queries:
            scores_as_words_does(store, query, there, f"{query!r} after changes")


@Check
def a_chunk_that_is_gone_has_no_score(open_store: OpenStore) -> None:
    """NaN where there is no such chunk, also of a document that is there, or was; the others have theirs."""
    mine = item("1", "zorbak here", "and zorbak")
    with closing(open_store(SPACE)) as store:
        scorer = scorer_of(store)
        put(store, mine, item("2", "zorbak"), item("3", "velquon"))
        asked = [ChunkId(mine.ref, 9), mine.ids[0], ChunkId(Ref("notes", "never"), 0), mine.ids[1]]
        same(np.isnan(scorer.score(asked, "zorbak")).tolist(), [True, False, True, False], "which are NaN")
        same(np.isnan(scorer.score(asked, "...")).tolist(), [True, False, True, False], "without a word")
        put(store, item("1", "zorbak here"))
        store.remove([Ref("notes", "2")])
        asked = [*mine.ids, ChunkId(Ref("notes", "2"), 0)]
        same(np.isnan(scorer.score(asked, "zorbak")).tolist(), [False, True, True], "which are NaN now")


@Check
def any_text_can_be_scored(open_store: OpenStore) -> None:
    """What is a legal query for `words` is one for `score`, and both agree."""
    items = [item("1", "zorbak"), item("2", "velquon é ½ ٣ x"), *(item(f"x{n}", f"other {n}") for n in range(6))]
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
    """The title, whatever its case, punctuation and spaces, and its beginning; by the first chunk, once."""
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
        same(found("Zorbak"), [("lone", 0, 1.0), ("long", 0, 0.333)], "a title and the beginning of one")
        same(found("Zorbak", 1), [("lone", 0, 1.0)], "limit 1")
        same(found("Zorbak", 0), [], "limit 0")
        same(found("zorbak velquon"), [("long", 0, 0.667)], "two words of three")
        for query in ("dumps", "velquon", "zorbak tirefok", "zorbak velquon tirefok more", "absent", "", "...", '"'):
            same(found(query), [], f"{query!r}")


@Check
def titles_keep_to_their_scope(open_store: OpenStore) -> None:
    """Collections and filter hold before the limit, and equal titles stand in the order of their ids."""
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
    """After an update the old title is not found and the new one is, at once; after a removal neither."""
    with closing(open_store(SPACE)) as store:
        finder = finder_of_titles(store)
        put(store, _named("1", "Zorbak"), _named("2", "Zorbak"))
        put(store, _named("1", "Velquon"))
        same([id.ref.key for id in finder.titled("zorbak", 10, EVERYTHING).ids], ["2"], "the old title")
        same([id.ref.key for id in finder.titled("velquon", 10, EVERYTHING).ids], ["1"], "the new title")
        put(store, item("1", "Velquon is the first word, and no title"))
        same(finder.titled("velquon", 10, EVERYTHING).ids, (), "a title that was taken away")
        store.remove([Ref("notes", "2")])
        same(finder.titled("zorbak", 10, EVERYTHING).ids, (), "after the removal")
