"""Checks of scopes: filters, collections and tenants all apply before the limit.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from semantic_core.errors import TenantRefused, TenantRequired
from semantic_core.filters import Filter
from semantic_core.protocols import (
    ChunkVectors,
    Facets,
    FieldOrder,
    TextCounts,
    TextScale,
    TextScores,
    TextSearch,
    TitleSearch,
)
from semantic_core.testing.check import Check, expect, raises, same, same_fields
from semantic_core.testing.stores.samples import (
    SPACE,
    Item,
    OpenStore,
    axis,
    chunks_in,
    exact,
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
    with_word,
)
from semantic_core.testing.strategies import NUMBERS, STRINGS
from semantic_core.types import ChunkId, Ref, Scope

NEAR = unit(1.0, 0.01, *[0.0] * (SPACE.dimensions - 2))
FAR = unit(1.0, 1.0, *[0.0] * (SPACE.dimensions - 2))


@Check
def the_scope_holds_before_the_limit(open_store: OpenStore) -> None:
    """Collections and filter apply before the limit, however many nearer chunks are outside of
    them.
    """
    published = {"draft": False}
    outside = items_of(refs_of("noise", 150), "near", vector=NEAR, metadata=published)
    drafts = items_of(numbered("draft", 150), "near", vector=NEAR, metadata={"draft": True})
    inside = items_of(numbered("inside", 3), "far", vector=FAR, metadata=published)
    wanted = tuple(sorted(ids_of(inside)))
    with closing(open_store(SPACE)) as store:
        put(store, *outside, *drafts, *inside)
        notes = Scope(collections=("notes",), filter=Filter.parse(published))
        for limit in (1, 3, 10):
            found = store.nearest(axis(0), limit, notes).ids
            same(found, wanted[:limit], f"nearest within the scope, limit {limit}")
        no_drafts = Filter.parse({"draft": {"ne": True}})
        both = Scope(collections=("noise", "notes"), filter=no_drafts)
        found = store.nearest(axis(0), 1_000, both)
        same(len(found), 153, "nearest in two collections without drafts")
        page = store.documents(notes, 1, 1)
        same([each.ref for each in page], [wanted[1].ref], "documents within the scope")
        same(page.total, 3, "total of documents within the scope")


@Check
def no_collection_means_nothing(open_store: OpenStore) -> None:
    """``collections=()`` finds nothing and None finds everything. An unknown collection finds
    nothing. Names are compared exactly.
    """
    with closing(open_store(SPACE)) as store:
        put(store, item(Ref("a", "1"), "zorbak"), item(Ref("b", "1"), "zorbak"))
        sizes = {
            (): 0,
            None: 2,
            ("a",): 1,
            ("a", "b"): 2,
            ("a", "a"): 1,
            ("A",): 0,
            ("c",): 0,
            ("%",): 0,
        }
        for collections, size in sizes.items():
            scope = Scope(collections=collections)
            same(len(store.nearest(axis(0), 10, scope)), size, f"nearest in {collections}")
            page = store.documents(scope)
            same(len(page), size, f"documents in {collections}")
            same(page.total, size, f"total of documents in {collections}")
            if isinstance(store, TextSearch):
                same(len(with_word(store, "zorbak", scope)), size, f"words in {collections}")


@Check
def every_operator_means_what_it_says(open_store: OpenStore) -> None:
    """All filter operators, over text, numbers, booleans and lists, agree with `Filter.matches`."""
    items: list[Item] = []
    values: list[Any] = [*STRINGS, *NUMBERS, True, False, [], ["en"], ["de", "en"], [""], ["1"]]
    for number, value in enumerate(values):
        metadata = {"k": value, "n": 1}
        items.append(item(f"{number:02}", f"zorbak {number}", metadata=metadata))
    items += [item("missing", "zorbak", metadata={"n": 1}), item("none", "zorbak")]
    with closing(open_store(SPACE)) as store:
        put(store, *items)
        for where in _wheres():
            finds_what_matches(store, items, where, None)


@Check
def a_list_that_matches_twice_is_found_once(open_store: OpenStore) -> None:
    """A document whose list meets a condition with several of its items is found once, by vector
    search and full-text search, and counted once.
    """
    both = item("both", "zorbak one", metadata={"readers": ["ann", "staff"]})
    ann = item("ann", "zorbak two", metadata={"readers": ["ann"]})
    others = [
        item(Ref("noise", f"{number}"), f"zorbak {number}", metadata={"readers": ["bob"]})
        for number in range(30)
    ]
    wheres: list[dict[str, Any]] = [
        {"readers": {"in": ["ann", "staff", "nobody"]}},
        {"readers": {"gte": "ann"}, "readers ": {"exists": False}},
        {"readers": {"exists": True, "ne": "bob"}},
    ]
    with closing(open_store(SPACE)) as store:
        put(store, *others, both, ann)
        for where in wheres:
            scope = Scope(collections=("notes",), filter=Filter.parse(where))
            for asked in (scope, Scope(filter=Filter.parse({"readers": ["ann", "staff"]}))):
                what = f"with {where}"
                page = store.documents(asked)
                same([each.ref.key for each in page], ["ann", "both"], f"documents {what}")
                same(page.total, 2, f"total of documents {what}")
                found = store.nearest(vector_of("zorbak one"), 10, asked).ids
                same(sorted(id.ref.key for id in found), ["ann", "both"], f"nearest {what}")
                if isinstance(store, TextSearch):
                    found = store.words("zorbak", 10, asked).ids
                    same(sorted(id.ref.key for id in found), ["ann", "both"], f"words {what}")


def _wheres() -> list[dict[str, Any]]:
    """Every operator on the metadata key ``k``, with operands of every kind."""
    conditions: list[Any] = [*STRINGS, *NUMBERS, True, False]
    for word in ("gt", "gte", "lt", "lte"):
        for value in ("", "de", "é", "\uffee", 0, 0.3, 2**53, -(2**63)):
            conditions.append({word: value})
    for other in ("en", 1, True, 0.5):
        conditions.append({"ne": other})
    for word in ("in", "not_in"):
        for several in ([], ["en", 1, True], [2**53, 0.3, "é"]):
            conditions.append({word: several})
    conditions += [{"exists": True}, {"exists": False}, {"gte": 0, "lt": 2}]
    wheres: list[dict[str, Any]] = [{"k": condition} for condition in conditions]
    return [*wheres, {"k": "en", "n": 1}, {"k": "en", "n": 2}, {}]


def finds_what_matches(
    store: Any, items: list[Item], where: dict[str, Any], collections: tuple[str, ...] | None
) -> None:
    """Fail unless `documents`, `nearest` and `words` find the documents that match the filter.

    The word "zorbak" must be in every passage.
    """
    filter = Filter.parse(where)
    scope = Scope(collections=collections, filter=filter)
    wanted: set[Ref] = set()
    wrong: list[dict[str, Any]] = []
    page = store.documents(scope, limit=1_000)
    refs = {summary.ref for summary in page}
    for each in items:
        metadata = each.document.metadata
        if filter.matches(metadata):
            wanted.add(each.ref)
        if filter.matches(metadata) != (each.ref in refs):
            wrong.append(dict(metadata))
    expect(not wrong, f"where={where!r}: documents and Filter.matches differ on {wrong[:3]}.")
    same(refs, wanted, f"documents with where={where!r}")
    same(page.total, len(wanted), f"total of documents with where={where!r}")
    nearest = store.nearest(axis(0), 1_000, scope)
    same(refs_in(nearest.ids), wanted, f"nearest with where={where!r}")
    if isinstance(store, TextSearch):
        found = with_word(store, "zorbak", scope)
        same(refs_in(found), wanted, f"words with where={where!r}")


def _calls(store: Any, tenant: str) -> dict[str, Callable[[], object]]:
    """Every call that names a tenant, by method."""
    each = item(Ref("notes", "1", tenant), "zorbak")
    scope = Scope(tenant=tenant)
    calls: dict[str, Callable[[], object]] = {
        "replace": partial(put, store, each),
        "remove": partial(store.remove, [each.ref]),
        "nearest": partial(store.nearest, axis(0), 10, scope),
        "similarity": partial(store.similarity, each.ids, axis(0)),
        "fetch": partial(store.fetch, each.ids),
        "get": partial(store.get, each.ref),
        "documents": partial(store.documents, scope),
        "stats": partial(store.stats, tenant),
    }
    if isinstance(store, TextSearch):
        calls["words"] = partial(store.words, "zorbak", 10, scope)
    if isinstance(store, TextScores):
        calls["score"] = partial(store.score, each.ids, "zorbak")
    if isinstance(store, TextScale):
        calls["full_score"] = partial(store.full_score, "zorbak", tenant)
    if isinstance(store, ChunkVectors):
        calls["vectors"] = partial(store.vectors, each.ids)
    if isinstance(store, TextCounts):
        calls["count"] = partial(store.count, "zorbak", scope)
    if isinstance(store, Facets):
        calls["facets"] = partial(store.facets, "zorbak", scope, {"k": 1})
    if isinstance(store, FieldOrder):
        calls["ordered"] = partial(store.ordered, "", scope, "k", descending=False, limit=1)
    if isinstance(store, TitleSearch):
        calls["titled"] = partial(store.titled, "zorbak", 10, scope)
    return calls


@Check
def a_multi_tenant_store_wants_a_tenant(open_store: OpenStore) -> None:
    """In a multi-tenant store every call without a tenant raises TenantRequired, and a batch with
    one document without a tenant changes nothing.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        same(store.multi_tenant, True, "multi_tenant")
        put(store, item(Ref("notes", "1", "acme"), "zorbak"))
        for what, call in _calls(store, "").items():
            with raises(TenantRequired, f"{what} without a tenant"):
                call()
        good = item(Ref("notes", "2", "acme"), "good")
        with raises(TenantRequired, "replace with one document without a tenant"):
            put(store, good, item(Ref("notes", "3"), "of no tenant"))
        with raises(TenantRequired, "remove with one address without a tenant"):
            store.remove([Ref("notes", "1", "acme"), Ref("notes", "3")])
        same(store.stats().documents, 1, "documents of all tenants")
        for call in _calls(store, "acme").values():
            call()


@Check
def a_single_tenant_store_refuses_a_tenant(open_store: OpenStore) -> None:
    """In a single-tenant store every call with a tenant raises TenantRefused, and a batch with one
    document of a tenant changes nothing.
    """
    with closing(open_store(SPACE)) as store:
        same(store.multi_tenant, False, "multi_tenant")
        put(store, item("1", "zorbak"))
        for what, call in _calls(store, "acme").items():
            with raises(TenantRefused, f"{what} with a tenant"):
                call()
        with raises(TenantRefused, "replace with one document of a tenant"):
            put(store, item("2", "good"), item(Ref("notes", "3", "acme"), "of a tenant"))
        with raises(TenantRefused, "remove with one address of a tenant"):
            store.remove([Ref("notes", "1"), Ref("notes", "3", "acme")])
        same(store.stats().documents, 1, "documents")


@Check
def tenants_never_meet(open_store: OpenStore) -> None:
    """Two tenants may have equal collections, keys, vectors and words. Each reads, counts, changes
    and removes its own documents alone.
    """
    tenants = {"acme": "zorbak", "Acme": "velquon", "acme ": "tirefok"}
    items: dict[str, Item] = {}
    for tenant, word in tenants.items():
        passages = f"canary {word}", f"shared words {word}"
        vectors = [axis(0), vector_of(word)]
        ref = Ref("notes", "5", tenant)
        items[tenant] = item(ref, *passages, vectors=vectors, title=word)
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        put(store, *items.values())
        for tenant, mine in items.items():
            _reads_its_own(store, mine, tenants[tenant])
            if isinstance(store, TextSearch):
                _finds_its_own(store, tenant, tenants)
        stats = store.stats()
        same(stats.documents, 3, "stats without a tenant: documents")
        same(dict(stats.collections), {"notes": 3}, "stats without a tenant: collections")
        total = store.documents(Scope(tenant="nobody")).total
        same(total, 0, "documents of a tenant that has none")
        put(store, item(Ref("notes", "5", "acme"), "another text"))
        other = items["Acme"]
        found = exact(store.get(other.ref))
        same(found, exact(other.document), "another tenant's document after an update")
        removed = store.remove([Ref("notes", "5", "acme"), Ref("notes", "6", "Acme")])
        same(removed, 1, "documents removed")
        chunks = [store.stats(tenant).chunks for tenant in items]
        same(chunks, [0, 2, 2], "chunks of each tenant after one removed its own")


def _reads_its_own(store: Any, mine: Item, word: str) -> None:
    """Fail unless every method reads this tenant's only document, and nothing else."""
    tenant = mine.ref.tenant
    scope = Scope(tenant=tenant)
    same(exact(store.get(mine.ref)), exact(mine.document), f"get of {tenant!r}")
    same(chunks_in(store, mine.ids), mine.chunks, f"fetch of {tenant!r}")
    nearest = store.nearest(axis(0), 100, scope)
    same(set(nearest.ids), set(mine.ids), f"nearest of {tenant!r}")
    same(listed(store, scope), [mine.ref], f"documents of {tenant!r}")
    same(store.documents(scope).total, 1, f"total of documents of {tenant!r}")
    similarity = store.similarity(mine.ids[1:], vector_of(word))[0]
    expect(
        similarity > 0.999,
        f"similarity of {tenant!r}: expected 1 for its own vector, found {similarity}.",
    )
    stats = store.stats(tenant)
    same_fields(stats, f"stats of {tenant!r}", documents=1, chunks=2)
    same(dict(stats.collections), {"notes": 1}, f"stats of {tenant!r}: collections")


def _finds_its_own(store: TextSearch, tenant: str, tenants: dict[str, str]) -> None:
    """Fail unless full-text search of this tenant finds its own chunks alone. tenants: the word of
    each.
    """
    scope = Scope(tenant=tenant)
    for other, word in tenants.items():
        found = {ref.tenant for ref in refs_in(store.words(word, 100, scope).ids)}
        wanted = {tenant} if other == tenant else set()
        same(found, wanted, f"words: tenants that {tenant!r} finds by the word of {other!r}")
    found = {ref.tenant for ref in refs_in(store.words("canary", 1, scope).ids)}
    same(found, {tenant}, f"words: tenants that {tenant!r} finds by a word that all have")


@Check
def the_tenant_holds_before_the_limit(open_store: OpenStore) -> None:
    """A small tenant gets all of its hits, however many nearer chunks and better matches the other
    tenants have.
    """
    others: list[Item] = []
    for number in range(300):
        ref = Ref("notes", str(number), f"other{number % 3}")
        others.append(item(ref, "zorbak zorbak", vectors=[NEAR]))
    keys = refs_of("notes", 4, tenant="small")
    mine = items_of(keys, "zorbak and other words", vector=FAR)
    wanted = ids_of(mine)
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        put(store, *others, *mine)
        scope = Scope(tenant="small")
        for limit in (1, 4, 10):
            nearest = store.nearest(axis(0), limit, scope)
            what = f"of a small tenant, limit {limit}"
            same(list(nearest.ids), wanted[:limit], f"nearest {what}")
            if isinstance(store, TextSearch):
                hits = len(store.words("zorbak", limit, scope))
                same(hits, min(4, limit), f"number of hits of words {what}")
        numbers = store.similarity([ChunkId(Ref("notes", "9", "small"), 0)], axis(0))
        expect(
            np.isnan(numbers).all(),
            f"similarity for a key that only others have: expected NaN, found {numbers}.",
        )
        same(store.stats("small").chunks, 4, "chunks of the small tenant")


@Check
def the_last_document_of_the_newest_namespace_goes(open_store: OpenStore) -> None:
    """The tenant, or the collection, that came last may remove its last document: all others are
    searched as before.
    """
    with closing(open_store(SPACE, "tenants", multi_tenant=True)) as store:
        _loses_its_newest(store, "first", "last", "tenant")
    with closing(open_store(SPACE, "collections", multi_tenant=False)) as store:
        _loses_its_newest(store, "", "", "collection")


def _loses_its_newest(store: Any, first: str, last: str, what: str) -> None:
    """Fail unless search goes on after the newest tenant or collection lost its only document."""
    mine = item(Ref("notes", "1", first), *numbered("passage", 1_200))
    newest = item(Ref("newest", "1", last), "the only one")
    put(store, mine, newest)
    scope = Scope(first, ("notes",))
    wanted = store.nearest(axis(0), 10, scope)
    same(len(wanted), 10, f"hits of nearest before the newest {what} goes")
    same(store.remove([newest.ref]), 1, "documents removed")
    for where in (scope, Scope(first)):
        found = store.nearest(axis(0), 10, where)
        same(found, wanted, f"nearest after the newest {what} lost its last document")
    there = Scope(last, ("newest",))
    same(len(store.nearest(axis(0), 10, there)), 0, f"hits in a {what} without documents")
    put(store, newest)
    same(len(store.nearest(axis(0), 10, there)), 1, f"hits in a {what} with a document again")
