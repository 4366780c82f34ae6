"""Words: any text is a query, every word that is there is found, none that is gone."""

from __future__ import annotations

from contextlib import closing

import attrs
from hypothesis import given

from semantic_core.errors import TextInvalid
from semantic_core.filters import Filter
from semantic_core.testing.check import Check, examples, expect, same
from semantic_core.testing.stores.samples import (
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
from semantic_core.testing.strategies import ODD_TEXTS, texts
from semantic_core.types import Ref, Scope

HOSTILE = (
    *ODD_TEXTS,
    *(
        '"',
        "'",
        '""',
        '"zorbak',
        'zorbak"',
        "(",
        ")",
        "(zorbak",
        "zorbak)",
        "*",
        "zorbak*",
        "^zorbak",
        "+",
        "-",
        "- zorbak",
    ),
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


@Check
def a_word_finds_its_chunks(open_store: OpenStore) -> None:
    """Every chunk that holds any of the words, and no other; upper and lower case are one;
    source "words", best first.
    """
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
        same(
            with_word(store, "tirefok zorbak absent"),
            {one.ids[0], two.ids[0]},
            "any of three words",
        )
        same(with_word(store, "поиск"), set(three.ids), "поиск")
        same(with_word(store, "éclair"), set(three.ids), "éclair")
        same(with_word(store, "absent"), set(), "a word that is nowhere")
        ranking = finder.words("velquon zorbak", 10, EVERYTHING)
        same(ranking.source, "words", "source")
        scores = list(ranking.scores)
        expect(
            scores == sorted(scores, reverse=True), f"words: wanted the best first, got {scores}."
        )


@Check
def what_fits_better_stands_first(open_store: OpenStore) -> None:
    """Both words before one, a rare word before a common one, a short passage before a long one;
    bigger is better.
    """
    common = [item(f"common{number}", f"velquon among others {number}") for number in range(6)]
    others = [item(f"other{number}", f"nothing of it {number}") for number in range(30)]
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(
            store,
            *common,
            *others,
            item("rare", "zorbak among others 9"),
            item("both", "zorbak velquon among 9"),
        )
        put(
            store,
            item("short", "tirefok in here"),
            item("long", "tirefok in here" + " and more of other things" * 40),
        )
        ranking = finder.words("velquon zorbak", 20, EVERYTHING)
        same(
            [id.ref.key for id in ranking.ids[:2]],
            ["both", "rare"],
            "the best two for a common and a rare word",
        )
        expect(
            ranking.scores[0] > ranking.scores[1] > ranking.scores[2],
            f"words: wanted falling scores, got {ranking.scores}.",
        )
        same(
            [id.ref.key for id in finder.words("tirefok", 20, EVERYTHING).ids],
            ["short", "long"],
            "short before long",
        )
        best = finder.words("velquon zorbak", 3, EVERYTHING)
        same(best.ids, ranking.ids[:3], "limit 3")
        same(finder.words("velquon", 0, EVERYTHING).ids, (), "limit 0")


@Check
def any_text_is_a_legal_query(open_store: OpenStore) -> None:
    """Nothing in a query is syntax: no text raises, none finds what it does not say,
    and words beside signs are found.
    """
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, item("1", "zorbak"), item("2", "velquon"))
        for query in HOSTILE:
            found = {id.ref.key for id in finder.words(query, 10, EVERYTHING).ids}
            mentioned = {
                key for key, word in {"1": "zorbak", "2": "velquon"}.items() if word in query
            }
            expect(found <= mentioned, f"{query[:40]!r}: found {found}, but says {mentioned}.")
            if query.strip('"()*^+-{} ') == "zorbak" or query.startswith(
                ("zorbak ", "NOT ", "NEAR(")
            ):
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
    """After an update none of the old words is found, after a removal none at all;
    the new ones are, at once.
    """
    old_words = [f"{syllable}orbak" for syllable in "bdfgklmnprstvz"]
    new_words = [f"{syllable}elquon" for syllable in "bdfgklmnprstvz"]
    old = item("1", *(" ".join(old_words[place:]) for place in range(3)))
    new = item("1", " ".join(new_words), old_words[0])
    with closing(open_store(SPACE)) as store:
        finder_of_words(store)
        put(store, old, item("2", "beside zorbakon"))
        put(store, new)
        same(
            with_word(store, old_words[0]),
            {new.ids[1]},
            "an old word that is in the new version too",
        )
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
    """Words are those of the passage, which has the title and headings as well;
    not of the chunk's text beside it.
    """
    with closing(open_store(SPACE)) as store:
        finder_of_words(store)
        document, (entry,) = item("1", "zorbak")

        def found_by(passage: str) -> Item:
            return Item(
                document,
                [attrs.evolve(entry, passage=passage, fingerprint=fingerprint_of(passage))],
            )

        put(store, found_by("Velquon > Tirefok\nzorbak"))
        for word in ("zorbak", "velquon", "tirefok"):
            same(with_word(store, word), {entry.chunk.id}, word)
        put(store, found_by("only this"))
        same(with_word(store, "zorbak"), set(), "a word of the text that is not in the passage")
        same(
            with_word(store, "only"),
            {entry.chunk.id},
            "a word of the passage that is not in the text",
        )


@Check
def words_keep_to_their_scope(open_store: OpenStore) -> None:
    """Collections and filter hold before the limit: better hits outside of them take no place."""
    outside = [
        item(Ref("noise", str(number)), "zorbak " * 5, metadata={"draft": False})
        for number in range(30)
    ]
    drafts = [
        item(f"draft{number}", "zorbak " * 5, metadata={"draft": True}) for number in range(30)
    ]
    inside = [
        item(f"inside{number}", "zorbak" + " and other words" * 20, metadata={"draft": False})
        for number in range(3)
    ]
    scope = Scope(collections=("notes",), filter=Filter.parse({"draft": False}))
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, *outside, *drafts, *inside)
        same(
            {id.ref for id in finder.words("zorbak", 3, scope).ids},
            {each.ref for each in inside},
            "within the scope",
        )
        same(len(finder.words("zorbak", 5, scope)), 3, "number of hits within the scope")
        same(finder.words("zorbak", 3, Scope(collections=())).ids, (), "in no collection")


@Check
def the_same_question_has_the_same_answer(open_store: OpenStore) -> None:
    """Asked again, `words` gives the same; a smaller limit gives the beginning of it,
    equal scores too.
    """
    with closing(open_store(SPACE)) as store:
        finder = finder_of_words(store)
        put(store, *(item(f"{number * 7 % 50:02}", "zorbak velquon") for number in range(50)))
        put(
            store,
            *(
                item(f"long{number % 3}{number}", "zorbak" + " other" * number)
                for number in range(9)
            ),
        )
        whole = finder.words("zorbak", 1_000, EVERYTHING)
        same(len(whole), 59, "number of hits")
        for limit in (59, 1, 7, 30, 50, 51):
            for _ in range(3):
                beginning = finder.words("zorbak", limit, EVERYTHING)
                same(beginning.ids, whole.ids[:limit], f"the first {limit}")
