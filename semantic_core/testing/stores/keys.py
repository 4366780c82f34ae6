"""Checks of scopes with keys: only the documents of these keys are looked at, before the limit.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.filters import Filter
from semantic_core.protocols import TextSearch, TitleSearch
from semantic_core.testing.check import Check, examples, same
from semantic_core.testing.stores.samples import (
    SPACE,
    Item,
    OpenStore,
    agrees,
    axis,
    cosines,
    ids_of,
    item,
    items_of,
    listed,
    numbered,
    put,
    refs_in,
    refs_of,
    unit,
    vector_of,
)
from semantic_core.types import Ref, Scope

NEAR = unit(1.0, 0.01, *[0.0] * (SPACE.dimensions - 2))
FAR = unit(1.0, 1.0, *[0.0] * (SPACE.dimensions - 2))
MANY = 20_000
"""Keys that one scope asks for, most of which no document has."""


def keys_in(**keys: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The keys of a scope, by collection."""
    return {name: frozenset(those) for name, those in keys.items()}


def finds_exactly(store: Any, scope: Scope, wanted: set[Ref], what: str) -> None:
    """Fail unless every search finds the documents that are wanted and no other.

    Each document must contain and be called "zorbak".
    """
    same(set(listed(store, scope)), wanted, f"documents {what}")
    same(store.documents(scope, 0, 0).total, len(wanted), f"total of documents {what}")
    found = store.nearest(axis(0), 10_000, scope).ids
    same(refs_in(found), wanted, f"nearest {what}")
    if isinstance(store, TextSearch):
        found = store.words("zorbak", 10_000, scope).ids
        same(refs_in(found), wanted, f"words {what}")
    if isinstance(store, TitleSearch):
        found = store.titled("zorbak", 10_000, scope).ids
        same(refs_in(found), wanted, f"titled {what}")


def _named(ref: Ref | str, metadata: Mapping[str, Any] | None = None) -> Item:
    return item(ref, "zorbak", title="zorbak", metadata=metadata)


@Check
def keys_hold_before_the_limit(open_store: OpenStore) -> None:
    """Only the documents of these keys are found, however many nearer chunks and better matches
    others have.
    """
    others = items_of(refs_of("notes", 300), "zorbak zorbak", vector=NEAR)
    mine = items_of(numbered("mine", 4), "zorbak and other words", vector=FAR)
    wanted = sorted(ids_of(mine))
    with closing(open_store(SPACE)) as store:
        put(store, *others, *mine)
        scope = Scope(keys=keys_in(notes=[*numbered("mine", 4), "absent"]))
        for limit in (1, 3, 10):
            found = store.nearest(axis(0), limit, scope).ids
            same(list(found), wanted[:limit], f"nearest of given keys, limit {limit}")
            if isinstance(store, TextSearch):
                found = store.words("zorbak", limit, scope).ids
                same(list(found), wanted[:limit], f"words of given keys, limit {limit}")
        page = store.documents(scope, 1, 2)
        same([each.ref for each in page], [id.ref for id in wanted[1:3]], "documents of given keys")
        same(page.total, 4, "total of documents of given keys")


@Check
def keys_are_of_their_collection(open_store: OpenStore) -> None:
    """A key is looked at in its collection alone, a collection without keys not at all; ``{}`` and
    empty sets find nothing, None finds everything. Keys are compared exactly.
    """
    refs = [Ref(collection, key) for collection in ("a", "b", "A") for key in ("1", "2", "01")]
    cases: list[tuple[Any, set[Ref]]] = [
        (None, set(refs)),
        ({}, set()),
        (keys_in(a=[]), set()),
        (keys_in(a=["1"]), {Ref("a", "1")}),
        (keys_in(a=["1", "2"], b=["01"]), {Ref("a", "1"), Ref("a", "2"), Ref("b", "01")}),
        (keys_in(a=["1 ", " 1", "1.0", "%", ""], c=["1"]), set()),
    ]
    with closing(open_store(SPACE)) as store:
        put(store, *map(_named, refs))
        for keys, wanted in cases:
            finds_exactly(store, Scope(keys=keys), wanted, f"with keys {keys}")
            within = {ref for ref in wanted if ref.collection == "a"}
            scope = Scope(collections=("a", "c"), keys=keys)
            finds_exactly(store, scope, within, f"in one collection, with keys {keys}")


@Check
def keys_and_filter_both_hold(open_store: OpenStore) -> None:
    """A document is found if its key is asked for and its metadata matches the filter."""
    items: list[Item] = []
    for key, draft in product(map(str, range(40)), (True, False)):
        items.append(_named(f"{key} {draft}", {"draft": draft}))
    keys = keys_in(notes=[f"{number} {draft}" for number in range(5) for draft in (True, False)])
    with closing(open_store(SPACE)) as store:
        put(store, *items)
        for where in ({"draft": False}, {"draft": {"ne": True}}, {"draft": {"exists": False}}):
            filter = Filter.parse(where)
            wanted = set()
            for each in items:
                if each.ref.key in keys["notes"] and filter.matches(each.document.metadata):
                    wanted.add(each.ref)
            for _ in range(3):  # a store may remember a scope that is asked for again
                scope = Scope(filter=filter, keys=keys)
                finds_exactly(store, scope, wanted, f"with keys and where={where}")


@Check
def any_number_of_keys_can_be_asked_for(open_store: OpenStore) -> None:
    """There is no limit on the number of keys, nor on what is in them."""
    odd = ['"', "'", "\\", ",", "[1]", "é", "\U0001f600", "a" * 500, "%_", "?", "NULL"]
    with closing(open_store(SPACE)) as store:
        put(store, *map(_named, [*odd, "left out"]))
        many = [*map(str, range(MANY)), *odd]
        wanted = {Ref("notes", key) for key in odd}
        finds_exactly(store, Scope(keys=keys_in(notes=many)), wanted, "with many keys")
        for key in odd:
            scope = Scope(keys=keys_in(notes=[key]))
            finds_exactly(store, scope, {Ref("notes", key)}, f"with the key {key[:9]!r}")


@Check
def keys_of_a_tenant_are_its_own(open_store: OpenStore) -> None:
    """Keys find documents of the scope's tenant alone, and those of another tenant never."""
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        for tenant in ("acme", "Acme"):
            put(store, *map(_named, refs_of("notes", 3, tenant=tenant)))
        put(store, _named(Ref("notes", "9", "Acme")))
        keys = keys_in(notes=["1", "2", "9", json.dumps(["1", "2"])])
        for tenant, wanted in (("acme", "12"), ("Acme", "129"), ("other", "")):
            refs = {Ref("notes", key, tenant) for key in wanted}
            finds_exactly(store, Scope(tenant, keys=keys), refs, f"of {tenant!r} with keys")


@Check
def keys_follow_every_write(open_store: OpenStore) -> None:
    """The same keys find a document as soon as it is written, and not after its removal."""
    scope = Scope(keys=keys_in(notes=["1", "2", "3"]))
    with closing(open_store(SPACE)) as store:
        put(store, _named("1"), _named("4"))
        finds_exactly(store, scope, {Ref("notes", "1")}, "with keys")
        put(store, _named("2"), _named("5"))
        finds_exactly(store, scope, {Ref("notes", "1"), Ref("notes", "2")}, "after a write")
        store.remove([Ref("notes", "1"), Ref("notes", "5")])
        finds_exactly(store, scope, {Ref("notes", "2")}, "after a removal")
        put(store, _named("1"))
        finds_exactly(store, scope, {Ref("notes", "1"), Ref("notes", "2")}, "after its return")


@Check
def random_keys_agree_with_brute_force(open_store: OpenStore) -> None:
    """For random keys the nearest chunks are those of brute force over their documents."""
    items = [item(str(number), f"zorbak {number}", f"more {number}") for number in range(60)]
    with closing(open_store(SPACE)) as store:
        put(store, *items)

        @examples(40)
        @given(st.sets(st.integers(0, 70)), st.integers(1, 30))
        def agree(numbers: set[int], limit: int) -> None:
            scope = Scope(keys=keys_in(notes=map(str, numbers)))
            query = vector_of(f"query {limit}")
            scores = {}
            for each in items:
                if int(each.ref.key) in numbers:
                    scores.update(cosines(each.vectors, query))
            ranking = store.nearest(query, limit, scope)
            agrees(ranking, scores, limit, f"nearest of {len(numbers)} keys, limit {limit}")

        agree()
