"""Checks of what a store tells of all documents that a search finds: their number (`TextCounts`),
their metadata (`Facets`) and their order by a field (`FieldOrder`).

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.filters import Filter, kind
from semantic_core.protocols import Facets, FieldOrder, TextCounts
from semantic_core.testing.check import Check, examples, expect, same, skip
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    item,
    numbered,
    put,
    refs_in,
    refs_of,
    text_search_of,
)
from semantic_core.testing.stores.words import HOSTILE
from semantic_core.testing.strategies import texts
from semantic_core.types import Ref, Scope

_SCOPES: Mapping[str, Scope] = {
    "everything": EVERYTHING,
    "one collection": Scope(collections=("notes",)),
    "no collection": Scope(collections=()),
    "a filter": Scope(filter=Filter.parse({"year": {"gte": 2020}})),
    "collection and filter": Scope("", ("blog",), Filter.parse({"draft": False})),
    "keys": Scope(keys={"notes": frozenset({"both0", "years", "absent"})}),
}
_QUERIES = ("zorbak", "velquon zorbak", "Velquon absent", "absent", "...", "")


def _items() -> list[Item]:
    """Documents with words, several passages, and metadata of every kind."""
    items: list[Item] = []
    for number in range(4):
        metadata = {"year": 2019 + number % 3, "draft": number % 2 == 0}
        items.append(item(f"both{number}", "zorbak velquon", "zorbak again", metadata=metadata))
    for ref in refs_of("blog", 5):
        items.append(item(ref, "velquon", metadata={"year": 2020.0, "draft": False}))
    items.append(item("years", "zorbak", metadata={"year": "2020", "tags": ["b", "a", "b"]}))
    items.append(item("flag", "zorbak", metadata={"year": True, "tags": []}))
    items.append(item("waits", "velquon waits", vectors=False, metadata={"tags": ["a"]}))
    for key in numbered("other", 20):
        items.append(item(key, f"nothing of it {key}", metadata={"year": 2020}))
    return items


def counts_of(store: Any) -> TextCounts:
    """The store as a `TextCounts`; skips the rule for a store without it."""
    text_search_of(store)
    if isinstance(store, TextCounts):
        return store
    return skip("This store does not count the documents of a query (it is no TextCounts).")


def _facets_of(store: Any) -> Facets:
    text_search_of(store)
    if isinstance(store, Facets):
        return store
    return skip("This store has no facets (it is no Facets).")


def _order_of(store: Any) -> FieldOrder:
    text_search_of(store)
    if isinstance(store, FieldOrder):
        return store
    return skip("This store has no order by a field (it is no FieldOrder).")


def found_by(store: Any, text: str | None, scope: Scope) -> set[Ref]:
    """The documents in scope that `words` finds for the text; None: all in scope."""
    if text is None:
        return {summary.ref for summary in store.documents(scope, limit=10_000)}
    return refs_in(store.words(text, 10_000, scope).ids)


@Check
def a_count_is_what_words_finds(open_store: OpenStore) -> None:
    """`count` is the number of different documents that `words` finds in scope without a limit, at
    once after every write, and 0 without a word.
    """
    items = _items()
    with closing(open_store(SPACE)) as store:
        counts = counts_of(store)
        same(counts.count("zorbak", EVERYTHING), 0, "count in an empty store")

        def agree(when: str) -> None:
            for (name, scope), query in product(_SCOPES.items(), _QUERIES):
                wanted = len(found_by(store, query, scope))
                same(counts.count(query, scope), wanted, f"count of {query!r} in {name}{when}")

        put(store, *items)
        same(
            counts.count("zorbak", EVERYTHING), 6, "documents with the word in one or two passages"
        )
        agree("")
        put(store, item("other 1", "zorbak now"), item("both1", "velquon", "alone"))
        store.remove([Ref("notes", "both2"), Ref("blog", "3")])
        same(counts.count("zorbak", EVERYTHING), 5, "documents with the word after changes")
        agree(" after changes")


@Check
def a_count_has_no_limit(open_store: OpenStore) -> None:
    """`count` counts thousands of documents, of one passage or many."""
    with closing(open_store(SPACE)) as store:
        counts = counts_of(store)
        put(store, *[item(ref, "zorbak one") for ref in refs_of("notes", 2_500)])
        put(store, item("long", *numbered("zorbak", 50)), item("other", "velquon"))
        same(counts.count("zorbak", EVERYTHING), 2_501, "documents with the word")
        same(counts.count("velquon zorbak", EVERYTHING), 2_502, "documents with either word")


@Check
def any_text_can_be_counted(open_store: OpenStore) -> None:
    """Every query of `words` is a query of `count`."""
    with closing(open_store(SPACE)) as store:
        counts = counts_of(store)
        put(store, item("1", "zorbak"), item("2", "velquon é ½ ٣ x"), item("3", "other"))

        def agree(query: str) -> None:
            wanted = len(found_by(store, query, EVERYTHING))
            same(counts.count(query, EVERYTHING), wanted, f"count of {query[:40]!r}")

        for query in HOSTILE:
            agree(query)
        examples(40)(given(texts())(agree))()


@Check
def facets_count_every_document(open_store: OpenStore) -> None:
    """`facets` counts all documents of a search by each value of a field: the most frequent first,
    equal numbers in order of the value. ``1``, ``True`` and ``"1"`` are three values, and each item
    of a list counts once.
    """
    with closing(open_store(SPACE)) as store:
        facets = _facets_of(store)
        put(store, *_items())
        found = facets.facets("zorbak", EVERYTHING, {"year": 10, "tags": 10, "none": 10})
        expected = [(2019, 2), (True, 1), (2020, 1), (2021, 1), ("2020", 1)]
        same(_typed(found["year"]), _typed(expected), "facets of numbers, a boolean and a text")
        same(list(found["tags"]), [("a", 1), ("b", 1)], "facets of lists")
        same(list(found["none"]), [], "facets of a field that no document has")
        fewer = facets.facets("zorbak", EVERYTHING, {"year": 2})
        same(_typed(fewer["year"]), _typed(expected[:2]), "the two most frequent values")
        same(dict(facets.facets("zorbak", EVERYTHING, {})), {}, "facets of no field")
        for (name, scope), query in product(_SCOPES.items(), (*_QUERIES, None)):
            refs = found_by(store, query, scope)
            numbers = facets.facets(query, scope, {"year": 100, "tags": 100, "draft": 100})
            for field in numbers:
                right = _counted(store, refs, field)
                what = f"facets of {field!r} for {query!r} in {name}"
                same(_typed(numbers[field]), _typed(right), what)


def _counted(store: Any, refs: set[Ref], field: str) -> list[tuple[Any, int]]:
    """The values of a field with their numbers, by brute force."""
    counts: dict[tuple[str, Any], int] = {}
    for ref in refs:
        held = store.get(ref).metadata.get(field, ())
        items = held if isinstance(held, tuple) else (held,)
        for key in {(kind(value), value) for value in items}:
            counts[key] = counts.get(key, 0) + 1
    ordered = sorted(counts, key=lambda key: (-counts[key], key))
    return [(key[1], counts[key]) for key in ordered]


def _typed(pairs: Sequence[tuple[Any, int]]) -> list[tuple[str, Any, int]]:
    """Values with their numbers, in which ``1``, ``True`` and ``"1"`` differ."""
    return [(kind(value), value, number) for value, number in pairs]


@Check
def an_order_by_field_is_exact(open_store: OpenStore) -> None:
    """`ordered` lists all documents of a search by a field, up or down: booleans, numbers, text;
    those without the field last; equal ones by Ref. Pages are slices of one order.
    """
    with closing(open_store(SPACE)) as store:
        order = _order_of(store)
        put(store, *_items())
        for (name, scope), query in product(_SCOPES.items(), (*_QUERIES, None)):
            refs = found_by(store, query, scope)
            for field, descending in product(("year", "tags", "draft", "none"), (False, True)):
                wanted = _sorted(store, refs, field, descending=descending)
                what = f"ordered by {'-' * descending}{field} for {query!r} in {name}"

                page = partial(order.ordered, query, scope, field, descending=descending)
                same(list(page(limit=1_000, offset=0)), wanted, what)
                same(
                    list(page(limit=3, offset=2)), wanted[2:5], f"{what}: three after the first two"
                )
                same(list(page(limit=0, offset=0)), [], f"{what}: limit 0")
                same(list(page(limit=5, offset=1_000)), [], f"{what}: after the end")


def _sorted(store: Any, refs: set[Ref], field: str, *, descending: bool) -> list[Ref]:
    """The documents by a field, by brute force."""
    held: dict[Ref, tuple[str, Any]] = {}
    for ref in refs:
        value = store.get(ref).metadata.get(field, ())
        items = [(kind(item), item) for item in (value if isinstance(value, tuple) else (value,))]
        if items:
            held[ref] = max(items) if descending else min(items)
    within = sorted(sorted(held), key=lambda ref: held[ref], reverse=descending)
    return [*within, *sorted(refs - held.keys())]


@Check
def totals_follow_every_write(open_store: OpenStore) -> None:
    """After an update of metadata alone, facets and order are those of the new values; a removed
    document counts no more.
    """
    with closing(open_store(SPACE)) as store:
        facets = _facets_of(store)
        put(store, item("1", "zorbak", metadata={"n": 1}), item("2", "zorbak", metadata={"n": 2}))
        put(store, item("1", "zorbak", metadata={"n": 3}))
        found = facets.facets("zorbak", EVERYTHING, {"n": 9})
        same(list(found["n"]), [(2, 1), (3, 1)], "facets after an update of metadata")
        store.remove([Ref("notes", "2")])
        found = facets.facets("zorbak", EVERYTHING, {"n": 9})
        same(list(found["n"]), [(3, 1)], "facets after a removal")
        put(store, item("0", "zorbak", metadata={"n": 4}))
        if isinstance(store, FieldOrder):
            listed = store.ordered("zorbak", EVERYTHING, "n", descending=True, limit=9)
            same([ref.key for ref in listed], ["0", "1"], "order after an update of metadata")


@Check
def totals_keep_tenants_apart(open_store: OpenStore) -> None:
    """Numbers, facets and order of one tenant hold nothing of another, whatever the keys."""
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        counts = counts_of(store)
        for number, tenant in enumerate(("acme", "Acme", "other")):
            items = []
            for ref in refs_of("notes", number + 1, tenant=tenant):
                items.append(item(ref, "zorbak", metadata={"who": tenant}))
            put(store, *items)
        keys = {"notes": frozenset(map(str, range(9)))}
        for number, tenant in enumerate(("acme", "Acme", "other")):
            for scope in (Scope(tenant), Scope(tenant, keys=keys)):
                same(counts.count("zorbak", scope), number + 1, f"count of {tenant!r}")
                if isinstance(store, Facets):
                    found = store.facets("zorbak", scope, {"who": 9})
                    same(list(found["who"]), [(tenant, number + 1)], f"facets of {tenant!r}")
                if isinstance(store, FieldOrder):
                    listed = store.ordered("zorbak", scope, "who", descending=False, limit=9)
                    expect(
                        [ref.tenant for ref in listed] == [tenant] * (number + 1),
                        f"ordered of {tenant!r}: found {list(listed)}.",
                    )


_VALUES = st.sampled_from([1, 1.0, 2, True, False, "1", "a", "b", ["a", "b"], []])


@Check
def totals_of_random_documents(open_store: OpenStore) -> None:
    """For random documents and scopes, number, facets and order are those of brute force."""
    with closing(open_store(SPACE)) as store:
        counts = counts_of(store)

        @examples(40)
        @given(
            st.lists(st.tuples(st.sampled_from("abcdef"), _VALUES, st.booleans()), max_size=8),
            st.sets(st.sampled_from("abcdefg")),
        )
        def agree(rows: list[tuple[str, Any, bool]], keys: set[str]) -> None:
            store.remove([Ref("notes", key) for key in "abcdef"])
            for key, value, has_word in rows:
                put(store, item(key, "zorbak" if has_word else "other", metadata={"k": value}))
            for scope in (EVERYTHING, Scope(keys={"notes": frozenset(keys)})):
                refs = found_by(store, "zorbak", scope)
                same(counts.count("zorbak", scope), len(refs), f"count in {scope.keys}")
                if isinstance(store, Facets):
                    found = store.facets("zorbak", scope, {"k": 99})["k"]
                    same(_typed(found), _typed(_counted(store, refs, "k")), "facets")
                if isinstance(store, FieldOrder):
                    listed = store.ordered("zorbak", scope, "k", descending=True, limit=99)
                    same(list(listed), _sorted(store, refs, "k", descending=True), "ordered")

        agree()
