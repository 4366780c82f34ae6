"""Random histories of a store: after any sequence of calls, every answer is that of `MemoryStore`.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import count
from operator import attrgetter
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
    fetched,
    fingerprint_of,
    item,
    vector_of,
    vectors_of,
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
"""Most chunks of a document."""


@attrs.frozen
class Draft:
    """A document to be written. place: index into the addresses of the history, modulo their
    number; metadata: index into METADATA.
    """

    place: int
    passages: tuple[str, ...]
    title: str
    metadata: int

    def item(self, refs: Sequence[Ref], *, vectors: bool) -> Item:
        """The document as `Store.replace` takes it."""
        ref = refs[self.place % len(refs)]
        metadata = METADATA[self.metadata]
        return item(ref, *self.passages, vectors=vectors, title=self.title, metadata=metadata)


@attrs.frozen
class Write:
    """Call `replace` with these documents. vectors: whether they have their vectors. stamp: of all
    of them; None for none.

    A batch without vectors has one document, so that the moment at which a store looks up known
    vectors does not matter.
    """

    drafts: tuple[Draft, ...]
    vectors: bool
    stamp: int | None


@attrs.frozen
class Remove:
    """Call `remove` with the addresses at these places. stamp: of all of them; None for none."""

    places: tuple[int, ...]
    stamp: int | None


@attrs.frozen
class Fill:
    """Call `fill` with the vectors of these passages, pending or not, if the store is a
    `VectorQueue`.
    """

    passages: tuple[str, ...]


@attrs.frozen
class Reopen:
    """Close the store and open it again, if it is persistent."""


def _histories() -> st.SearchStrategy[list[Any]]:
    places = st.integers(0, len(COLLECTIONS) * len(KEYS) * len(TENANTS) - 1)
    stamps = st.sampled_from([None, 1, 2, 3])
    passages = st.lists(st.sampled_from(PASSAGES), max_size=CHUNKS).map(tuple)
    titles = st.sampled_from(["", "Title"])
    kinds = st.integers(0, len(METADATA) - 1)
    drafts = st.builds(Draft, places, passages, titles, kinds)
    several = st.lists(drafts, min_size=1, max_size=3, unique_by=attrgetter("place")).map(tuple)
    ready = st.builds(Write, several, st.just(True), stamps)
    waiting = st.builds(Write, st.tuples(drafts), st.just(False), stamps)
    removed = st.lists(places, min_size=1, max_size=2).map(tuple)
    removals = st.builds(Remove, removed, stamps)
    filled = st.lists(st.sampled_from(PASSAGES), min_size=1, max_size=4, unique=True).map(tuple)
    fills = st.builds(Fill, filled)
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
    """Apply each step to the store and to a `MemoryStore`, and fail where an answer differs."""
    tenants = TENANTS if multi_tenant else ("",)
    refs: list[Ref] = []
    for tenant in tenants:
        refs += _refs_of_tenant(tenant)
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
            _same_answers(store, oracle, _refs_of_tenant(tenant), tenant)


def _refs_of_tenant(tenant: str) -> list[Ref]:
    refs: list[Ref] = []
    for collection in COLLECTIONS:
        for key in KEYS:
            refs.append(Ref(collection, key, tenant))
    return refs


def _apply(store: Any, step: Any, refs: Sequence[Ref]) -> object:
    if isinstance(step, Write):
        items: dict[Ref, Item] = {}
        for draft in step.drafts:
            written = draft.item(refs, vectors=step.vectors)
            items[written.ref] = written
        return store.replace(items.values(), _stamps(list(items), step.stamp)).outcomes
    if isinstance(step, Remove):
        gone = [refs[place % len(refs)] for place in step.places]
        return store.remove(gone, _stamps(gone, step.stamp))
    return store.fill(vectors_of(*step.passages))


def _stamps(refs: Sequence[Ref], stamp: int | None) -> dict[Ref, int] | None:
    return None if stamp is None else dict.fromkeys(refs, stamp)


def _counts(store: Any, tenants: Sequence[str]) -> object:
    counts: list[Any] = []
    for tenant in (None, *tenants):
        stats = store.stats() if tenant is None else store.stats(tenant)
        counts.append((stats.documents, stats.chunks, stats.pending, dict(stats.collections)))
    return counts


def _same_answers(store: Any, oracle: MemoryStore, refs: Sequence[Ref], tenant: str) -> None:
    ids: list[ChunkId] = []
    for position in range(CHUNKS + 1):
        for ref in reversed(refs):
            ids.append(ChunkId(ref, position))
    for ref in refs:
        same(exact(store.get(ref)), exact(oracle.get(ref)), f"get({ref})")
    same(fetched(store, ids), fetched(oracle, ids), "fetch")
    names = {fingerprint_of(passage): passage for passage in PASSAGES}
    known = store.known(list(names))
    wanted = oracle.known(list(names))
    same(set(known), set(wanted), f"known fingerprints of {names}")
    for name, vector in wanted.items():
        near = np.allclose(known[name], vector, atol=1e-6)
        what = f"known vector of {names[name]!r}"
        expect(near, f"{what}: expected {vector}, found {known[name]}.")
    if isinstance(store, VectorQueue):
        same(_queue(store), _queue(oracle), "pending")
    query = vector_of("another query")
    similarity = store.similarity(ids, query)
    truth = oracle.similarity(ids, query)
    near = np.allclose(similarity, truth, atol=CLOSE_ENOUGH, equal_nan=True)
    expect(near, f"similarity: expected {truth}, found {similarity}.")
    for place, scope in enumerate(_scopes(tenant)):
        same(_listed(store, scope), _listed(oracle, scope), f"documents, {scope}")
        full = oracle.nearest(query, 1_000, scope)
        scores = dict(zip(full.ids, full.scores, strict=True))
        limit = (100, 2)[place % 2]
        ranking = store.nearest(query, limit, scope)
        agrees(ranking, scores, limit, f"nearest, limit {limit}, {scope}")
        if isinstance(store, TextSearch):
            for word in WORDS if place == 0 else WORDS[:1]:
                found = store.words(word, 100, scope)
                right = oracle.words(word, 100, scope)
                same(set(found.ids), set(right.ids), f"words({word!r}), {scope}")


def _queue(store: VectorQueue) -> object:
    """The pending chunks, without their order: an update may keep a place or give a new one."""
    rows: list[Any] = []
    for chunk in store.pending(100):
        rows.append((chunk.id, chunk.fingerprint, chunk.passage))
    return sorted(rows)


def _scopes(tenant: str) -> list[Scope]:
    filters = [Filter.parse(where) for where in WHERES]
    scopes = [Scope(tenant, filter=filter) for filter in filters]
    for collections in (("a",), (), ("b", "a")):
        scopes.append(Scope(tenant, collections))
    scopes.append(Scope(tenant, ("a",), filters[1]))
    return scopes


def _listed(store: Any, scope: Scope) -> object:
    page = store.documents(scope, 1, 4)
    rows: list[Any] = []
    for each in page:
        counts = each.characters, each.chunks, each.pending
        rows.append((each.ref, each.title, exact(each.metadata), *counts))
    return rows, page.total


def history_check(*, persistent: bool, histories: int) -> Check:
    """The check that plays `histories` random histories. persistent: whether a history may close
    the store and open it again.
    """

    def any_history_ends_as_in_memory(open_store: OpenStore) -> None:
        """After any sequence of writes, removals, late vectors and reopenings, every answer of the
        store is that of `MemoryStore`.
        """
        numbers = count()

        @examples(histories)
        @given(st.booleans(), _histories())
        def ends_the_same(multi_tenant: bool, history: list[Any]) -> None:
            name = f"history{next(numbers)}"
            _play(open_store, name, multi_tenant, history, persistent=persistent)

        ends_the_same()

    return Check(any_history_ends_as_in_memory)
