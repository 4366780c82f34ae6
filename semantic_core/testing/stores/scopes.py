"""Where to look: filters, collections and tenants, all of them held before the limit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from semantic_core.errors import TenantRefused, TenantRequired
from semantic_core.filters import Filter
from semantic_core.protocols import TextScores, TextSearch, TitleSearch
from semantic_core.testing.check import Check, expect, raises, same
from semantic_core.testing.stores.samples import (
    SPACE,
    Item,
    OpenStore,
    axis,
    exact,
    item,
    put,
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
    """Collections and filter take nothing from the limit,
    however many nearer chunks lie outside of them.
    """
    outside = [
        item(Ref("noise", str(number)), "near", vectors=[NEAR], metadata={"draft": False})
        for number in range(150)
    ]
    drafts = [
        item(f"draft{number}", "near", vectors=[NEAR], metadata={"draft": True})
        for number in range(150)
    ]
    inside = [
        item(f"inside{number}", "far", vectors=[FAR], metadata={"draft": False})
        for number in range(3)
    ]
    wanted = tuple(sorted(id for each in inside for id in each.ids))
    with closing(open_store(SPACE)) as store:
        put(store, *outside, *drafts, *inside)
        notes = Scope(collections=("notes",), filter=Filter.parse({"draft": False}))
        for limit in (1, 3, 10):
            same(
                store.nearest(axis(0), limit, notes).ids,
                wanted[:limit],
                f"nearest within the scope, limit {limit}",
            )
        both = Scope(collections=("noise", "notes"), filter=Filter.parse({"draft": {"ne": True}}))
        same(
            len(store.nearest(axis(0), 1_000, both)), 153, "nearest in two collections, but drafts"
        )
        page = store.documents(notes, 1, 1)
        same(
            ([each.ref for each in page], page.total),
            ([wanted[1].ref], 3),
            "documents within the scope",
        )


@Check
def no_collection_means_nothing(open_store: OpenStore) -> None:
    """``collections=()`` finds nothing, None everything, an unknown one nothing;
    names are compared exactly.
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
            same(
                (len(store.documents(scope)), store.documents(scope).total),
                (size, size),
                f"documents in {collections}",
            )
            if isinstance(store, TextSearch):
                same(len(with_word(store, "zorbak", scope)), size, f"words in {collections}")


@Check
def every_operator_means_what_it_says(open_store: OpenStore) -> None:
    """All operators, over text, numbers, booleans and lists, agree with `Filter.matches`."""
    values: list[Any] = [*STRINGS, *NUMBERS, True, False, [], ["en"], ["de", "en"], [""], ["1"]]
    items = [
        item(f"{number:02}", f"zorbak {number}", metadata={"k": value, "n": 1})
        for number, value in enumerate(values)
    ]
    items += [item("missing", "zorbak", metadata={"n": 1}), item("none", "zorbak")]
    wanted: list[dict[str, Any]] = [{"k": value} for value in [*STRINGS, *NUMBERS, True, False]]
    wanted += [
        {"k": {word: value}}
        for word in ("gt", "gte", "lt", "lte")
        for value in ("", "de", "é", "\uffee", 0, 0.3, 2**53, -(2**63))
    ]
    wanted += [{"k": {"ne": value}} for value in ("en", 1, True, 0.5)]
    wanted += [
        {"k": {word: several}}
        for word in ("in", "not_in")
        for several in ([], ["en", 1, True], [2**53, 0.3, "é"])
    ]
    wanted += [
        {"k": {"exists": True}},
        {"k": {"exists": False}},
        {"k": {"gte": 0, "lt": 2}},
        {"k": "en", "n": 1},
        {"k": "en", "n": 2},
        {},
    ]
    with closing(open_store(SPACE)) as store:
        put(store, *items)
        for where in wanted:
            finds_what_matches(store, items, where, None)


def finds_what_matches(
    store: Any, items: list[Item], where: dict[str, Any], collections: tuple[str, ...] | None
) -> None:
    """Fail unless `documents`, `nearest` and `words` find what the filter lets through.

    Every passage says "zorbak".
    """
    filter = Filter.parse(where)
    scope = Scope(collections=collections, filter=filter)
    wanted = {each.ref for each in items if filter.matches(each.document.metadata)}
    page = store.documents(scope, limit=1_000)
    metadata_of = {each.ref: dict(each.document.metadata) for each in items}
    wrong = {summary.ref for summary in page} ^ wanted
    differing = [metadata_of[ref] for ref in sorted(wrong)][:3]
    expect(not wrong, f"where={where!r}: documents and Filter.matches differ on {differing}.")
    same(page.total, len(wanted), f"total of where={where!r}")
    found = {id.ref for id in store.nearest(axis(0), 1_000, scope).ids}
    same(found, wanted, f"nearest with where={where!r}")
    if isinstance(store, TextSearch):
        same(
            {id.ref for id in with_word(store, "zorbak", scope)},
            wanted,
            f"words with where={where!r}",
        )


def _calls(store: Any, tenant: str) -> dict[str, Callable[[], object]]:
    """Every call that names a tenant."""
    each = item(Ref("notes", "1", tenant), "zorbak")
    scope = Scope(tenant=tenant)
    calls: dict[str, Callable[[], object]] = {
        "replace": lambda: put(store, each),
        "remove": lambda: store.remove([each.ref]),
        "nearest": lambda: store.nearest(axis(0), 10, scope),
        "similarity": lambda: store.similarity(each.ids, axis(0)),
        "fetch": lambda: store.fetch(each.ids),
        "get": lambda: store.get(each.ref),
        "documents": lambda: store.documents(scope),
        "stats": lambda: store.stats(tenant),
    }
    if isinstance(store, TextSearch):
        calls["words"] = lambda: store.words("zorbak", 10, scope)
    if isinstance(store, TextScores):
        calls["score"] = lambda: store.score(each.ids, "zorbak")
    if isinstance(store, TitleSearch):
        calls["titled"] = lambda: store.titled("zorbak", 10, scope)
    return calls


@Check
def a_multi_tenant_store_wants_a_tenant(open_store: OpenStore) -> None:
    """Every call without a tenant raises TenantRequired,
    and a batch with one such document changes nothing.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        same(store.multi_tenant, True, "multi_tenant")
        put(store, item(Ref("notes", "1", "acme"), "zorbak"))
        for what, call in _calls(store, "").items():
            with raises(TenantRequired, f"{what} without a tenant"):
                call()
        with raises(TenantRequired, "replace with one document of no tenant"):
            put(
                store,
                item(Ref("notes", "2", "acme"), "good"),
                item(Ref("notes", "3"), "of no tenant"),
            )
        with raises(TenantRequired, "remove with one ref of no tenant"):
            store.remove([Ref("notes", "1", "acme"), Ref("notes", "3")])
        same(store.stats().documents, 1, "documents of all tenants")
        for call in _calls(store, "acme").values():
            call()


@Check
def a_single_tenant_store_refuses_a_tenant(open_store: OpenStore) -> None:
    """Every call with a tenant raises TenantRefused,
    and a batch with one such document changes nothing.
    """
    with closing(open_store(SPACE)) as store:
        same(store.multi_tenant, False, "multi_tenant")
        put(store, item("1", "zorbak"))
        for what, call in _calls(store, "acme").items():
            with raises(TenantRefused, f"{what} with a tenant"):
                call()
        with raises(TenantRefused, "replace with one document of a tenant"):
            put(store, item("2", "good"), item(Ref("notes", "3", "acme"), "of a tenant"))
        with raises(TenantRefused, "remove with one ref of a tenant"):
            store.remove([Ref("notes", "1"), Ref("notes", "3", "acme")])
        same(store.stats().documents, 1, "documents")


@Check
def tenants_never_meet(open_store: OpenStore) -> None:
    """Equal collections, keys, vectors and words in two tenants: each reads, counts,
    changes and removes its own alone.
    """
    tenants = {"acme": "zorbak", "Acme": "velquon", "acme ": "tirefok"}
    items = {
        tenant: item(
            Ref("notes", "5", tenant),
            f"canary {word}",
            f"shared words {word}",
            vectors=[axis(0), vector_of(word)],
            title=word,
        )
        for tenant, word in tenants.items()
    }
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        put(store, *items.values())
        for tenant, mine in items.items():
            scope = Scope(tenant=tenant)
            same(exact(store.get(mine.ref)), exact(mine.document), f"get of {tenant!r}")
            same(
                [found.chunk for found in store.fetch(mine.ids)],
                [entry.chunk for entry in mine.entries],
                f"fetch of {tenant!r}",
            )
            same(
                set(store.nearest(axis(0), 100, scope).ids), set(mine.ids), f"nearest of {tenant!r}"
            )
            same(
                [summary.ref for summary in store.documents(scope)],
                [mine.ref],
                f"documents of {tenant!r}",
            )
            same(store.documents(scope).total, 1, f"total of {tenant!r}")
            expect(
                store.similarity(mine.ids[1:], vector_of(tenants[tenant]))[0] > 0.999,
                f"similarity of {tenant!r} is not its own.",
            )
            stats = store.stats(tenant)
            same(
                (stats.documents, stats.chunks, dict(stats.collections)),
                (1, 2, {"notes": 1}),
                f"stats of {tenant!r}",
            )
            if isinstance(store, TextSearch):
                for other, word in tenants.items():
                    found = {id.ref.tenant for id in store.words(word, 100, scope).ids}
                    same(
                        found,
                        {tenant} if other == tenant else set(),
                        f"words of {other!r} asked by {tenant!r}",
                    )
                same(
                    {id.ref.tenant for id in store.words("canary", 1, scope).ids},
                    {tenant},
                    f"a shared word asked by {tenant!r}",
                )
        same(
            (store.stats().documents, dict(store.stats().collections)),
            (3, {"notes": 3}),
            "stats for the operator",
        )
        same(
            store.documents(Scope(tenant="nobody")).total, 0, "documents of a tenant that has none"
        )
        put(store, item(Ref("notes", "5", "acme"), "another text"))
        same(
            exact(store.get(items["Acme"].ref)),
            exact(items["Acme"].document),
            "another tenant's document after an update",
        )
        same(
            store.remove([Ref("notes", "5", "acme"), Ref("notes", "6", "Acme")]),
            1,
            "documents removed",
        )
        same(
            [store.stats(tenant).chunks for tenant in items],
            [0, 2, 2],
            "chunks of each tenant after one removed its own",
        )


@Check
def the_tenant_holds_before_the_limit(open_store: OpenStore) -> None:
    """A small tenant gets its full answer, however many nearer chunks and better words
    the others have.
    """
    others = [
        item(Ref("notes", str(number), f"other{number % 3}"), "zorbak zorbak", vectors=[NEAR])
        for number in range(300)
    ]
    mine = [
        item(Ref("notes", str(number), "small"), "zorbak and other words", vectors=[FAR])
        for number in range(4)
    ]
    wanted = [each.ids[0] for each in mine]
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        put(store, *others, *mine)
        scope = Scope(tenant="small")
        for limit in (1, 4, 10):
            same(
                list(store.nearest(axis(0), limit, scope).ids),
                wanted[:limit],
                f"nearest of a small tenant, limit {limit}",
            )
            if isinstance(store, TextSearch):
                same(
                    len(store.words("zorbak", limit, scope)),
                    min(4, limit),
                    f"words of a small tenant, limit {limit}",
                )
        numbers = store.similarity([ChunkId(Ref("notes", "9", "small"), 0)], axis(0))
        expect(
            np.isnan(numbers).all(),
            f"similarity: wanted NaN for a key only others have, got {numbers}.",
        )
        same(store.stats("small").chunks, 4, "chunks of the small tenant")


@Check
def the_last_document_of_the_newest_home_goes(open_store: OpenStore) -> None:
    """When the tenant, or the collection, that came last removes its last document,
    every other is searched as before.
    """
    passages = [f"passage {number}" for number in range(1_200)]
    for multi_tenant in (True, False):
        name, tenants = ("tenants", ("first", "last")) if multi_tenant else ("collections", ("",))
        with closing(open_store(SPACE, name, multi_tenant=multi_tenant)) as store:
            mine = item(Ref("notes", "1", tenants[0]), *passages)
            newest = item(Ref("newest", "1", tenants[-1]), "the only one")
            put(store, mine, newest)
            scope = Scope(tenants[0], ("notes",))
            wanted = store.nearest(axis(0), 10, scope)
            same(len(wanted), 10, "nearest while the newest is there")
            same(store.remove([newest.document.ref]), 1, "documents removed")
            for where in (scope, Scope(tenants[0])):
                same(
                    store.nearest(axis(0), 10, where),
                    wanted,
                    f"nearest after the last of the {name} had gone",
                )
            there = Scope(tenants[-1], ("newest",))
            same(len(store.nearest(axis(0), 10, there)), 0, "nearest where nothing is left")
            put(store, newest)
            same(len(store.nearest(axis(0), 10, there)), 1, "nearest where one came again")
