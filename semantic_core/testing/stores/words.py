"""Checks of full-text search (`TextSearch`): any text is a query, every word that is there is
found, and none that is gone.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

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
    fingerprint_of,
    is_best_first,
    item,
    items_of,
    keys_of,
    numbered,
    put,
    refs_in,
    refs_of,
    text_search_of,
    with_word,
)
from semantic_core.testing.strategies import ODD_TEXTS, texts
from semantic_core.types import Scope

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
    " ".join(numbered("word", 500)),
    "x" * 100_000,
)
"""Queries that are syntax to some search engine, or too long for it."""


SYLLABLES = "bdfgklmnprstvz"
"""Beginnings of words that no analysis makes one."""


@Check
def a_word_finds_its_chunks(open_store: OpenStore) -> None:
    """`words` finds every chunk that contains any of the words, and no other. Upper and lower case
    are the same. The source of the ranking is "words", its best score is the first.
    """
    items = [
        item("1", "zorbak velquon", "velquon alone"),
        item("2", "tirefok here", "nothing to find"),
        item("3", "ПОИСК Éclair"),
    ]
    with closing(open_store(SPACE)) as store:
        search = text_search_of(store)
        put(store, *items)
        one, two, three = items
        same(with_word(store, "zorbak"), {one.ids[0]}, "zorbak")
        same(with_word(store, "ZORBAK"), {one.ids[0]}, "ZORBAK")
        same(with_word(store, "velquon"), set(one.ids), "velquon")
        found = with_word(store, "tirefok zorbak absent")
        same(found, {one.ids[0], two.ids[0]}, "any of three words")
        same(with_word(store, "поиск"), set(three.ids), "поиск")
        same(with_word(store, "éclair"), set(three.ids), "éclair")
        same(with_word(store, "absent"), set(), "a word that is nowhere")
        ranking = search.words("velquon zorbak", 10, EVERYTHING)
        same(ranking.source, "words", "source of the ranking")
        is_best_first(ranking, "words")


@Check
def what_fits_better_stands_first(open_store: OpenStore) -> None:
    """A chunk with both words is before one with a single word, a rare word before a common one, a
    short passage before a long one. A better match has a higher score.
    """
    items: list[Item] = []
    for number in range(6):
        items.append(item(f"common{number}", f"velquon among others {number}"))
    for number in range(30):
        items.append(item(f"other{number}", f"nothing of it {number}"))
    with closing(open_store(SPACE)) as store:
        search = text_search_of(store)
        put(
            store,
            *items,
            item("rare", "zorbak among others 9"),
            item("both", "zorbak velquon among 9"),
        )
        put(
            store,
            item("short", "tirefok in here"),
            item("long", "tirefok in here" + " and more of other things" * 40),
        )
        ranking = search.words("velquon zorbak", 20, EVERYTHING)
        best_two = keys_of(ranking)[:2]
        same(best_two, ["both", "rare"], "the best two for a common and a rare word")
        first, second, third = ranking.scores[:3]
        expect(
            first > second > third,
            f"words: expected falling scores, found {ranking.scores}.",
        )
        keys = keys_of(search.words("tirefok", 20, EVERYTHING))
        same(keys, ["short", "long"], "a short passage and a long one")
        best = search.words("velquon zorbak", 3, EVERYTHING)
        same(best.ids, ranking.ids[:3], "limit 3")
        same(search.words("velquon", 0, EVERYTHING).ids, (), "limit 0")


@Check
def any_text_is_a_legal_query(open_store: OpenStore) -> None:
    """Nothing in a query is syntax. No text raises an error, and none finds a word that is not in
    it. Words between other characters are found.
    """
    with closing(open_store(SPACE)) as store:
        search = text_search_of(store)
        put(store, item("1", "zorbak"), item("2", "velquon"))
        for query in HOSTILE:
            found = set(keys_of(search.words(query, 10, EVERYTHING)))
            mentioned: set[str] = set()
            for key, word in (("1", "zorbak"), ("2", "velquon")):
                if word in query:
                    mentioned.add(key)
            what = f"words({query[:40]!r})"
            expect(
                found <= mentioned,
                f"{what}: expected documents among {mentioned}, found {found}.",
            )
            plain = query.strip('"()*^+-{} ') == "zorbak"
            if plain or query.startswith(("zorbak ", "NOT ", "NEAR(")):
                same(found, mentioned, what)
        try:
            search.words("zorbak \ud800", 10, EVERYTHING)
        except TextInvalid as error:
            expect(str(error), "The error for a query with a lone surrogate has no message.")

        @examples(60)
        @given(texts())
        def answers(query: str) -> None:
            ranking = search.words(query, 10, EVERYTHING)
            hits = len(ranking)
            expect(hits <= 2, f"words({query!r}): expected at most 2 hits, found {hits}.")

        answers()


@Check
def no_words_no_hits(open_store: OpenStore) -> None:
    """A query without a word finds nothing, and so does any query in an empty store."""
    with closing(open_store(SPACE)) as store:
        search = text_search_of(store)
        same(search.words("zorbak", 10, EVERYTHING).ids, (), "an empty store")
        put(store, item("1", "zorbak . , ! ? - / \" ' ( )"), item("2", ""))
        for query in ("", " ", "\t\n", "!", "...", "?!", '"', "'", "-", "( )", "/"):
            same(search.words(query, 10, EVERYTHING).ids, (), f"words({query!r})")


@Check
def changed_words_are_not_found(open_store: OpenStore) -> None:
    """After an update the words of the new version are found, and those that only the old version
    had are not. After a removal none of them is found.
    """
    old_words = [f"{syllable}orbak" for syllable in SYLLABLES]
    new_words = [f"{syllable}elquon" for syllable in SYLLABLES]
    old = item("1", " ".join(old_words), " ".join(old_words[1:]), " ".join(old_words[2:]))
    new = item("1", " ".join(new_words), old_words[0])
    with closing(open_store(SPACE)) as store:
        text_search_of(store)
        put(store, old, item("2", "beside zorbakon"))
        put(store, new)
        found = with_word(store, old_words[0])
        same(found, {new.ids[1]}, "an old word that is in the new version too")
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
    """Full-text search finds a passage before it has a vector, and afterwards too."""
    with closing(open_store(SPACE)) as store:
        text_search_of(store)
        waiting = item("1", "zorbak waits", vectors=False)
        put(store, waiting)
        same(with_word(store, "zorbak"), set(waiting.ids), "before it has a vector")
        put(store, item("1", "zorbak waits"))
        same(with_word(store, "zorbak"), set(waiting.ids), "after it has a vector")


@Check
def the_passage_is_searched(open_store: OpenStore) -> None:
    """Full-text search is over the passage of an entry, which has title and headings too. It is not
    over the text of the chunk.
    """
    with closing(open_store(SPACE)) as store:
        text_search_of(store)
        document, (entry,) = item("1", "zorbak")
        id = entry.chunk.id

        def found_by(passage: str) -> Item:
            fingerprint = fingerprint_of(passage)
            changed = attrs.evolve(entry, passage=passage, fingerprint=fingerprint)
            return Item(document, [changed])

        put(store, found_by("Velquon > Tirefok\nzorbak"))
        for word in ("zorbak", "velquon", "tirefok"):
            same(with_word(store, word), {id}, f"{word}, which is in the passage")
        put(store, found_by("only this"))
        same(with_word(store, "zorbak"), set(), "a word of the text that is not in the passage")
        same(with_word(store, "only"), {id}, "a word of the passage that is not in the text")


@Check
def words_keep_to_their_scope(open_store: OpenStore) -> None:
    """Collections and filter apply before the limit: better matches outside do not count."""
    published = {"draft": False}
    better = "zorbak " * 5
    outside = items_of(refs_of("noise", 30), better, metadata=published)
    drafts = items_of(numbered("draft", 30), better, metadata={"draft": True})
    longer = "zorbak" + " and other words" * 20
    inside = items_of(numbered("inside", 3), longer, metadata=published)
    scope = Scope(collections=("notes",), filter=Filter.parse(published))
    with closing(open_store(SPACE)) as store:
        search = text_search_of(store)
        put(store, *outside, *drafts, *inside)
        found = search.words("zorbak", 3, scope).ids
        wanted = {each.ref for each in inside}
        same(refs_in(found), wanted, "documents found within the scope")
        same(len(search.words("zorbak", 5, scope)), 3, "number of hits within the scope")
        same(search.words("zorbak", 3, Scope(collections=())).ids, (), "hits in no collection")


@Check
def the_same_question_has_the_same_answer(open_store: OpenStore) -> None:
    """`words` gives the same ranking when it is called again. A smaller limit gives the beginning
    of the ranking, also where scores are equal.
    """
    with closing(open_store(SPACE)) as store:
        search = text_search_of(store)
        items: list[Item] = []
        for number in range(50):
            items.append(item(f"{number * 7 % 50:02}", "zorbak velquon"))
        for number in range(9):
            items.append(item(f"long{number % 3}{number}", "zorbak" + " other" * number))
        put(store, *items)
        whole = search.words("zorbak", 1_000, EVERYTHING)
        same(len(whole), 59, "number of hits")
        for limit in (59, 1, 7, 30, 50, 51):
            for _ in range(3):
                beginning = search.words("zorbak", limit, EVERYTHING)
                same(beginning.ids, whole.ids[:limit], f"the first {limit} hits")
