"""Random histories: whatever is done, in whatever order, every answer is that of `MemoryStore`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import count
from typing import Any

import attrs
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semantic_core._memory.store import MemoryStore
from semantic_core.filters import Filter
from semantic_core.protocols import TextSearch, VectorQueue
from semantic_core.testing.check import Check, examples, expect, same
from semantic_core.testing.stores.samples import (
    CLOSE_ENOUGH,
    SPACE,
    Item,
    OpenStore,
    agrees,
    exact,
    fingerprint_of,
    item,
    vector_of,
)
from semantic_core.types import ChunkId, Ref, Scope

WORDS = ("zorbak", "velquon", "tirefok", "gorvax")
PASSAGES = (*WORDS, "", "zorbak velquon")
METADATA: tuple[dict[str, Any], ...] = (
    {},
    {"n": 1},
    {"n": True},
    {"n": 1.5, "tags": ["a", "b"]},
    {"tags": []},
)
WHERES: tuple[dict[str, Any], ...] = (
    {},
    {"n": 1},
    {"n": {"ne": 1}},
    {"tags": "a"},
    {"tags": {"exists": True}},
    {"n": {"lt": 2}},
)
COLLECTIONS = ("a", "b")
KEYS = ("1", "10")
TENANTS = ("acme", "zeta")
CHUNKS = 3


@attrs.frozen
class Draft:
    """A document to be written, of whatever tenant the history is played for."""

    place: int
    passages: tuple[str, ...]
    title: str
    metadata: int

    def item(self, refs: Sequence[Ref], *, vectors: bool) -> Item:
        """What `Store.replace` takes."""
        return item(
            refs[self.place % len(refs)],
            *self.passages,
            vectors=vectors,
            title=self.title,
            metadata=METADATA[self.metadata],
        )


@attrs.frozen
class Write:
    """Replace these documents.

    A batch without vectors holds one, so it does not matter when known ones are looked up.
    """

    drafts: tuple[Draft, ...]
    vectors: bool
    stamp: int | None


@attrs.frozen
class Remove:
    """Remove the documents at these places."""

    places: tuple[int, ...]
    stamp: int | None


@attrs.frozen
class Fill:
    """Hand over the vectors of these passages, waited for or not; if there is a queue."""

    passages: tuple[str, ...]


@attrs.frozen
class Reopen:
    """Close the store and open it again, if it is one that stays."""


def _histories() -> st.SearchStrategy[list[Any]]:
    places = st.integers(0, len(COLLECTIONS) * len(KEYS) * len(TENANTS) - 1)
    stamps = st.sampled_from([None, 1, 2, 3])
    passages = st.lists(st.sampled_from(PASSAGES), max_size=CHUNKS).map(tuple)
    drafts = st.builds(
        Draft, places, passages, st.sampled_from(["", "Title"]), st.integers(0, len(METADATA) - 1)
    )
    several = st.lists(drafts, min_size=1, max_size=3, unique_by=lambda draft: draft.place).map(
        tuple
    )
    ready = st.builds(Write, several, st.just(True), stamps)
    waiting = st.builds(Write, st.tuples(drafts), st.just(False), stamps)
    removals = st.builds(Remove, st.lists(places, min_size=1, max_size=2).map(tuple), stamps)
    fills = st.builds(
        Fill, st.lists(st.sampled_from(PASSAGES), min_size=1, max_size=4, unique=True).map(tuple)
    )
    steps = st.one_of(ready, ready, waiting, waiting, removals, fills, st.builds(Reopen))
    return st.lists(steps, min_size=5, max_size=14)


def _play(
    open_store: OpenStore,
    name: str,
    multi_tenant: bool,
    history: Sequence[Any],
    *,
    persistent: bool,
) -> None:
    tenants = TENANTS if multi_tenant else ("",)
    refs = [
        Ref(collection, key, tenant)
        for tenant in tenants
        for collection in COLLECTIONS
        for key in KEYS
    ]
    options = {"multi_tenant": True} if multi_tenant else {}
    oracle = MemoryStore(SPACE, multi_tenant=multi_tenant)
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(SPACE, name, **options)))
        for step in history:
            if isinstance(step, Reopen):
                if persistent:
                    store.close()
                    store = stack.enter_context(closing(open_store(SPACE, name, **options)))
                continue
            if isinstance(step, Fill) and not isinstance(store, VectorQueue):
                continue
            same(_apply(store, step, refs), _apply(oracle, step, refs), f"result of {step}")
            same(_counts(store, tenants), _counts(oracle, tenants), f"counts after {step}")
        for tenant in tenants:
            _same_answers(store, oracle, [ref for ref in refs if ref.tenant == tenant], tenant)


def _apply(store: Any, step: Any, refs: Sequence[Ref]) -> object:
    if isinstance(step, Write):
        items = {
            each.ref: each
            for each in (draft.item(refs, vectors=step.vectors) for draft in step.drafts)
        }
        return store.replace(items.values(), _stamps(list(items), step.stamp)).outcomes
    if isinstance(step, Remove):
        gone = [refs[place % len(refs)] for place in step.places]
        return store.remove(gone, _stamps(gone, step.stamp))
    return store.fill({fingerprint_of(passage): vector_of(passage) for passage in step.passages})


def _stamps(refs: Sequence[Ref], stamp: int | None) -> dict[Ref, int] | None:
    return None if stamp is None else dict.fromkeys(refs, stamp)


def _counts(store: Any, tenants: Sequence[str]) -> object:
    stats = [store.stats(), *(store.stats(tenant) for tenant in tenants)]
    return [(each.documents, each.chunks, each.pending, dict(each.collections)) for each in stats]


def _same_answers(store: Any, oracle: MemoryStore, refs: Sequence[Ref], tenant: str) -> None:
    ids = [ChunkId(ref, position) for position in range(CHUNKS + 1) for ref in reversed(refs)]
    for ref in refs:
        same(exact(store.get(ref)), exact(oracle.get(ref)), f"get({ref})")
    same(_fetched(store, ids), _fetched(oracle, ids), "fetch")
    names = {fingerprint_of(passage): passage for passage in PASSAGES}
    known = store.known(list(names))
    wanted = oracle.known(list(names))
    same(
        {names[name] for name in known},
        {names[name] for name in wanted},
        "passages whose vectors are known",
    )
    for name in wanted:
        expect(
            np.allclose(known[name], wanted[name], atol=1e-6),
            f"known vector of {names[name]!r} is not the one it was given.",
        )
    if isinstance(store, VectorQueue):
        same(dict(store.pending(100)), dict(oracle.pending(100)), "pending")
    query = vector_of("another query")
    similarity = store.similarity(ids, query)
    truth = oracle.similarity(ids, query)
    near = np.allclose(similarity, truth, atol=CLOSE_ENOUGH, equal_nan=True)
    expect(near, f"similarity: wanted {truth}, got {similarity}.")
    for place, scope in enumerate(_scopes(tenant)):
        same(_listed(store, scope), _listed(oracle, scope), f"documents, {scope}")
        full = oracle.nearest(query, 1_000, scope)
        scores = dict(zip(full.ids, full.scores, strict=True))
        limit = (100, 2)[place % 2]
        agrees(
            store.nearest(query, limit, scope), scores, limit, f"nearest, limit {limit}, {scope}"
        )
        if isinstance(store, TextSearch):
            for word in WORDS if place == 0 else WORDS[:1]:
                found = set(store.words(word, 100, scope).ids)
                same(
                    found, set(oracle.words(word, 100, scope).ids), f"chunks with {word!r}, {scope}"
                )


def _scopes(tenant: str) -> list[Scope]:
    filters = [Filter.parse(where) for where in WHERES]
    within = [Scope(tenant, collections) for collections in (("a",), (), ("b", "a"))]
    return [
        *(Scope(tenant, filter=filter) for filter in filters),
        *within,
        Scope(tenant, ("a",), filters[1]),
    ]


def _fetched(store: Any, ids: Sequence[ChunkId]) -> object:
    return [
        (exact(found.chunk), found.title, exact(found.metadata), found.pending)
        for found in store.fetch(ids)
    ]


def _listed(store: Any, scope: Scope) -> object:
    page = store.documents(scope, 1, 4)
    told = [
        (each.ref, each.title, exact(each.metadata), each.characters, each.chunks, each.pending)
        for each in page
    ]
    return told, page.total


def history_check(*, persistent: bool, histories: int) -> Check:
    """The check that plays so many; persistent: whether a history may close the store
    and open it again.
    """

    def any_history_ends_as_in_memory(open_store: OpenStore) -> None:
        """After any sequence of writes, removals, late vectors and reopenings,
        every answer is the reference store's.
        """
        numbers = count()

        @examples(histories)
        @given(st.booleans(), _histories())
        def ends_the_same(multi_tenant: bool, history: list[Any]) -> None:
            _play(
                open_store, f"history{next(numbers)}", multi_tenant, history, persistent=persistent
            )

        ends_the_same()

    return Check(any_history_ends_as_in_memory)
