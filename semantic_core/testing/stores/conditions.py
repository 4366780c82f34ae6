"""Checks of conditions on the words of documents (`TextFilter`): what a search box demands is in
every document that is found, and what it excludes in none.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.filters import Filter
from semantic_core.protocols import TextFilter, TextSearch, TitleSearch
from semantic_core.query_syntax import TextConditions, TextTerm
from semantic_core.testing.check import Check, examples, expect, same, skip
from semantic_core.testing.stores.samples import (
    SPACE,
    Item,
    OpenStore,
    axis,
    item,
    items_of,
    keys_of,
    numbered,
    put,
    refs_of,
)
from semantic_core.testing.stores.words import HOSTILE
from semantic_core.testing.strategies import texts
from semantic_core.types import Ref, Scope

WORDS = ("zorbak", "velquon", "tirefok", "murdip")
"""Words that no analysis makes shorter, and none of which begins as another."""


def text_filter_of(store: Any) -> TextFilter:
    """The store as a `TextFilter`; skips the rule for a store without it."""
    if isinstance(store, TextFilter):
        return store
    return skip("This store applies no conditions on words (it is no TextFilter).")


def required(*terms: TextTerm) -> TextConditions:
    """The conditions that each of these terms is in a document."""
    return TextConditions(tuple((term,) for term in terms))


def excluded(*terms: TextTerm) -> TextConditions:
    """The conditions that none of these terms is in a document."""
    return TextConditions(excluded=terms)


def passing(store: Any, conditions: TextConditions, scope: Scope = Scope()) -> list[str]:  # noqa: B008
    """The keys of the documents that pass, as `documents` lists them.

    Fails if another method lets other documents pass.
    """
    narrowed = attrs.evolve(scope, text=conditions)
    every = [summary.ref for summary in store.documents(scope, limit=1_000)]
    listed = [summary.ref for summary in store.documents(narrowed, limit=1_000)]
    met = store.meeting(every, conditions)
    same(sorted(met), listed, f"meeting({conditions})")
    ids = store.nearest(axis(0), 1_000, narrowed).ids
    have_vectors = {id.ref for id in store.nearest(axis(0), 1_000, scope).ids}
    same({id.ref for id in ids}, have_vectors & set(listed), f"nearest within {conditions}")
    for word in WORDS:
        if isinstance(store, TextSearch):
            holding = {id.ref for id in store.words(word, 1_000, scope).ids}
            found = {id.ref for id in store.words(word, 1_000, narrowed).ids}
            same(found, holding & set(listed), f"words({word!r}) within {conditions}")
        if isinstance(store, TitleSearch):
            called = {id.ref for id in store.titled(word, 1_000, scope).ids}
            found = {id.ref for id in store.titled(word, 1_000, narrowed).ids}
            same(found, called & set(listed), f"titled({word!r}) within {conditions}")
    same(store.documents(narrowed, limit=0).total, len(listed), f"documents within {conditions}")
    return [ref.key for ref in listed]


@Check
def conditions_hold_for_documents(open_store: OpenStore) -> None:
    """A document is found if any of its passages has what is required, also by another passage, and
    is not found if any of them has what is excluded. Of a group one term is enough. Every method
    that takes a scope keeps to it.
    """
    items = [
        item("both", "zorbak velquon"),
        item("far", "zorbak here", "velquon there"),
        item("one", "zorbak alone"),
        item("other", "Velquon alone"),
        item("none", "murdip"),
        item("waits", "zorbak waits", vectors=False),
    ]
    zorbak = TextTerm("zorbak")
    velquon = TextTerm("VELQUON")
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)
        put(store, *items)
        same(passing(store, required(zorbak)), ["both", "far", "one", "waits"], "with zorbak")
        same(passing(store, required(zorbak, velquon)), ["both", "far"], "with both words")
        either = TextConditions(((zorbak, velquon),))
        same(passing(store, either), ["both", "far", "one", "other", "waits"], "with either word")
        same(passing(store, excluded(velquon)), ["none", "one", "waits"], "without velquon")
        mixed = TextConditions(((zorbak,),), (velquon,))
        same(passing(store, mixed), ["one", "waits"], "with one word and without the other")
        same(passing(store, required(TextTerm("absent"))), [], "with a word that is nowhere")
        everything = sorted(each.ref.key for each in items)
        same(passing(store, excluded(TextTerm("absent"))), everything, "without a word nowhere")
        same(passing(store, TextConditions()), everything, "without conditions")
        same(passing(store, required(TextTerm("..."))), [], "with a term that has no word")
        gone = store.meeting([Ref("notes", "never")], excluded(zorbak))
        same(gone, frozenset(), "meeting, for a document that does not exist")


@Check
def words_of_a_phrase_stand_together(open_store: OpenStore) -> None:
    """The words of a term stand one after the other and in this order, in a passage or across two
    passages of the text; punctuation and white space between them make no difference.
    """
    items = [
        item("across", "tirefok zorbak", "velquon murdip"),
        item("apart", "zorbak murdip velquon"),
        item("dotted", "see Zorbak.\n\n  (velquon!)"),
        item("far", "velquon", "zorbak"),
        item("near", "the zorbak velquon it is"),
        item("repeated", "zorbak zorbak velquon"),
        item("swapped", "velquon zorbak"),
    ]
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)
        put(store, *items)
        together = ["across", "dotted", "near", "repeated"]
        for text in ("zorbak velquon", " ZORBAK   velquon ", "zorbak-velquon", "zorbak. Velquon"):
            for exact in (True, False):
                term = TextTerm(text, exact=exact)
                same(passing(store, required(term)), together, f"required {term}")
                others = sorted({each.ref.key for each in items} - set(together))
                same(passing(store, excluded(term)), others, f"excluded {term}")
        longer = TextTerm("zorbak velquon it", exact=True)
        same(passing(store, required(longer)), ["near"], "three words")
        twice = TextTerm("zorbak zorbak", exact=True)
        same(passing(store, required(twice)), ["repeated"], "a word twice")


@Check
def a_prefix_is_the_beginning_of_a_word(open_store: OpenStore) -> None:
    """A prefix fits every word that begins so, itself included, and no word in which it stands
    elsewhere. In a phrase it is the last word of it.
    """
    items = [
        item("inside", "azorbak"),
        item("long", "zorbakvel murdip"),
        item("other", "zotirefok"),
        item("phrase", "murdip zorbakvel"),
        item("whole", "Zorbak"),
    ]
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)
        put(store, *items)
        for text in ("zorb", "ZORBA", "zorbak"):
            found = passing(store, required(TextTerm(text, prefix=True)))
            same(found, ["long", "phrase", "whole"], f"{text}*")
        found = passing(store, required(TextTerm("zo", prefix=True)))
        same(found, ["long", "other", "phrase", "whole"], "zo*")
        same(passing(store, required(TextTerm("zorb"))), [], "zorb, which is no whole word")
        found = passing(store, required(TextTerm("murdip zo", prefix=True, exact=True)))
        same(found, ["phrase"], "a phrase that ends with a prefix")
        found = passing(store, excluded(TextTerm("zorb", prefix=True)))
        same(found, ["inside", "other"], "without words that begin so")
        endless = "velq" * 60
        put(store, item("endless", f"{endless}a"), item("other end", f"{endless}b"))
        found = passing(store, required(TextTerm("velqvelq", prefix=True)))
        same(found, ["endless", "other end"], "the beginning of a word of 241 letters")
        found = passing(store, required(TextTerm(f"{endless}a", prefix=True)))
        same(found, ["endless"], "a prefix of 241 letters")


@Check
def a_field_is_where_a_term_stands(open_store: OpenStore) -> None:
    """A term with a field stands in the title, in a heading, in the text, or in a value of this
    metadata key, written as text; of a list, in one of its items.
    """

    def titled(key: str, title: str, text: str, **metadata: Any) -> Item:
        document, (entry,) = item(key, text, title=title, metadata=metadata)
        return Item(document, [attrs.evolve(entry, passage=f"{title}\n{text}")])

    headed, (entry,) = item("headed", "murdip below")
    chunk = attrs.evolve(entry.chunk, headings=("Tirefok", "Velquon zorbak"))
    under = attrs.evolve(
        entry, chunk=chunk, passage="Tirefok > Velquon zorbak\nmurdip below", fingerprint="f" * 32
    )
    items = [
        Item(headed, [under]),
        titled("list", "murdip", "murdip", tag=["tirefok", "velquon zorbak"]),
        titled("number", "murdip", "murdip", year=2020, draft=True),
        titled("real", "murdip", "murdip", year=1.0),
        titled("text", "murdip", "velquon zorbak"),
        titled("title", "Velquon zorbak", "murdip", tag="tirefok"),
    ]
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)
        put(store, *items)

        def found(field: str, text: str, **how: bool) -> list[str]:
            return passing(store, required(TextTerm(text, field=field, **how)))

        same(found("", "zorbak"), ["headed", "text", "title"], "anywhere")
        for text in ("zorbak", "velquon zorbak"):
            same(found("title", text), ["title"], f"title:{text}")
            same(found("text", text), ["text"], f"text:{text}")
            same(found("headings", text), ["headed"], f"headings:{text}")
            same(found("tag", text), ["list"], f"tag:{text}")
        same(found("tag", "tirefok"), ["list", "title"], "tag:tirefok")
        same(found("tag", "tirefok velquon"), [], "two items of a list")
        same(found("tag", "TIRE", prefix=True), ["list", "title"], "tag:TIRE*")
        same(found("year", "2020"), ["number"], "a number")
        same(found("year", "202"), [], "the beginning of a number")
        same(found("year", "202", prefix=True), ["number"], "the beginning of a number, as prefix")
        same(found("year", "1.0"), ["real"], "a whole number that was given as a real one")
        same(found("draft", "true"), ["number"], "a bool")
        same(found("absent", "zorbak"), [], "a key that nothing has")
        without = passing(store, excluded(TextTerm("zorbak", field="title")))
        same(without, ["headed", "list", "number", "real", "text"], "without a word in the title")


@Check
def conditions_apply_before_the_limit(open_store: OpenStore) -> None:
    """Better matches that do not meet the conditions do not count, together with collections and
    filter.
    """
    published = {"draft": False}
    better = "zorbak " * 5
    longer = "zorbak velquon" + " and other words" * 20
    items = [
        *items_of(numbered("noise", 30), better, metadata=published),
        *items_of(refs_of("blog", 30), f"{better} velquon", metadata=published),
        *items_of(numbered("draft", 30), f"{better} velquon", metadata={"draft": True}),
        *items_of(numbered("inside", 3), longer, metadata=published),
    ]
    scope = Scope(
        collections=("notes",),
        filter=Filter.parse(published),
        text=required(TextTerm("velquon")),
    )
    inside = numbered("inside", 3)
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)
        put(store, *items)
        same(keys_of(store.nearest(axis(0), 3, scope)), inside, "nearest")
        if isinstance(store, TextSearch):
            same(keys_of(store.words("zorbak", 3, scope)), inside, "words")
        same([each.ref.key for each in store.documents(scope, limit=3)], inside, "documents")
        same(passing(store, scope.text, attrs.evolve(scope, text=TextConditions())), inside, "all")


@Check
def conditions_know_the_present_words(open_store: OpenStore) -> None:
    """After an update the new words count and the old ones do not; after a removal none does."""
    zorbak = required(TextTerm("zorbak velquon", exact=True))
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)
        put(store, item("1", "zorbak velquon"), item("2", "murdip"))
        same(passing(store, zorbak), ["1"], "before")
        put(store, item("1", "velquon zorbak"), item("2", "zorbak velquon"))
        same(passing(store, zorbak), ["2"], "after an update")
        store.remove([Ref("notes", "2")])
        same(passing(store, zorbak), [], "after a removal")


@Check
def conditions_keep_tenants_apart(open_store: OpenStore) -> None:
    """Only documents of the tenant of the scope are found, whatever the conditions."""
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        text_filter_of(store)
        for tenant, text in (("ann", "zorbak velquon"), ("bob", "zorbak murdip")):
            put(store, item(Ref("notes", tenant, tenant), text))
        for tenant, other in (("ann", "bob"), ("bob", "ann")):
            scope = Scope(tenant)
            for conditions in (required(TextTerm("zorbak")), excluded(TextTerm("tirefok"))):
                found = passing(store, conditions, scope)
                same(found, [tenant], f"documents of {tenant}, not of {other}")


@Check
def any_text_is_a_legal_term(open_store: OpenStore) -> None:
    """Nothing in a term is syntax, and no text raises an error."""
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)
        put(store, item("1", "murdip"))

        def answers(text: str, prefix: bool, exact: bool, field: str) -> None:
            term = TextTerm(text, prefix=prefix, exact=exact, field=field)
            with_it = passing(store, required(term))
            without = passing(store, excluded(term))
            expect(
                sorted(with_it + without) == ["1"],
                f"{term!r}: expected the document with it or without it, found {with_it} and "
                f"{without}.",
            )

        for text in HOSTILE:
            answers(text[:2_000], False, True, "")
            answers(text[:2_000], True, False, "title")

        @examples(40)
        @given(
            texts(max_size=60), st.booleans(), st.booleans(), st.sampled_from(("", "text", "k'y"))
        )
        def any_text(text: str, prefix: bool, exact: bool, field: str) -> None:
            answers(text[:2_000], prefix, exact, field)

        any_text()


@Check
def conditions_agree_with_reading_every_document(open_store: OpenStore) -> None:
    """Random conditions let those documents pass that have the words."""
    passages = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)
    documents = st.lists(st.lists(passages, min_size=1, max_size=2), min_size=1, max_size=5)
    terms = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2)
    groups = st.lists(st.lists(terms, min_size=1, max_size=2), max_size=2)
    with closing(open_store(SPACE)) as store:
        text_filter_of(store)

        @examples(40)
        @given(documents, groups, st.lists(terms, max_size=2))
        def agrees(
            texts: Sequence[Sequence[Sequence[str]]],
            wanted: Sequence[Sequence[Sequence[str]]],
            without: Sequence[Sequence[str]],
        ) -> None:
            store.remove([summary.ref for summary in store.documents(Scope(), limit=1_000)])
            expected = []
            for number, parts in enumerate(texts):
                put(store, item(str(number), *map(" ".join, parts)))
                running = f" {' '.join(' '.join(part) for part in parts)} "

                def has(words: Sequence[str], running: str = running) -> bool:
                    return f" {' '.join(words)} " in running

                meets = all(any(map(has, group)) for group in wanted)
                if meets and not any(map(has, without)):
                    expected.append(str(number))
            conditions = TextConditions(
                tuple(tuple(_term(words) for words in group) for group in wanted),
                tuple(_term(words) for words in without),
            )
            same(passing(store, conditions), expected, f"documents within {conditions}")

        agrees()


def _term(words: Sequence[str]) -> TextTerm:
    return TextTerm(" ".join(words), exact=len(words) > 1)
