"""Checks of the queue of passages without a vector: each is embedded once, `fill` finds it by its
fingerprint, and a vector whose text is gone changes nothing.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import attrs
import numpy as np

from semantic_core.errors import VectorInvalid
from semantic_core.protocols import VectorQueue
from semantic_core.testing.check import Check, expect, raises, same, same_fields
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    agrees,
    axis,
    contents,
    cosines,
    fingerprint_of,
    fingerprints_of,
    item,
    pending_in,
    put,
    queue_of,
    vector_of,
    vectors_of,
    waiting_in,
)
from semantic_core.testing.stores.writes import BAD_VECTORS
from semantic_core.types import Ref


@Check
def a_known_vector_is_used(open_store: OpenStore) -> None:
    """An entry without a vector gets the one that is known for its fingerprint. A pending entry
    gets the vector that a later document has for its fingerprint.
    """
    with closing(open_store(SPACE)) as store:
        first = item("1", "paid for", "its tail")
        twin = item("2", "paid for", "not yet", vectors=False)
        put(store, first)
        put(store, twin)
        pending = pending_in(store, twin.ids)
        same(pending, [False, True], "pending: a passage with a known vector, and a new one")
        ranking = store.nearest(vector_of("paid for"), 2, EVERYTHING)
        agrees(ranking, {first.ids[0]: 1.0, twin.ids[0]: 1.0}, 2, "nearest to the known passage")
        put(store, item("3", "not yet"))
        pending = pending_in(store, twin.ids)
        same(pending, [False, False], "pending: after the vector came with another document")


@Check
def vectors_are_known_by_fingerprint_alone(open_store: OpenStore) -> None:
    """The same passage under another fingerprint is another passage: it has no vector of the first,
    and gets none that comes for it. Tenants have fingerprints of their own, so none of them learns
    what another one has stored.
    """
    passage = "held by two"
    first, second = fingerprints_of(passage, "held by two, as the other names it")
    theirs = _named(item(Ref("notes", "1", "theirs"), passage), first)
    mine = _named(item(Ref("notes", "1", "mine"), passage, vectors=False), second)
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        put(store, theirs)
        put(store, mine)
        same(set(store.known([first, second])), {first}, "known of two fingerprints of a passage")
        same(pending_in(store, mine.ids), [True], "pending: the second fingerprint")
        queue: object = store
        if isinstance(queue, VectorQueue):
            queue.fill({first: vector_of(passage)})
            pending = pending_in(store, mine.ids)
            same(pending, [True], "pending: the second fingerprint, after a vector for the first")
            waiting = [chunk.fingerprint for chunk in queue.pending(10)]
            same(waiting, [second], "fingerprints that are pending")


def _named(one: Item, name: str) -> Item:
    """The item with its only passage under this fingerprint."""
    (entry,) = one.entries
    return one._replace(entries=[attrs.evolve(entry, fingerprint=name)])


@Check
def an_update_keeps_the_vectors_it_had(open_store: OpenStore) -> None:
    """A new version without vectors gets the vectors that the old version had for the same
    passages, whatever their positions.
    """
    old = item("1", "paid for", "its tail", "left out")
    new = item("1", "in front", "paid for", vectors=False)
    with closing(open_store(SPACE)) as store:
        put(store, old)
        same(put(store, new), ["updated"], "outcome of the new version")
        same(
            pending_in(store, new.ids), [True, False], "pending: a new passage, and one from before"
        )
        query = vector_of("paid for")
        agrees(store.nearest(query, 10, EVERYTHING), {new.ids[1]: 1.0}, 10, "nearest")
        known = store.known(fingerprints_of("left out"))
        same(set(known), set(), "known of a passage that the new version does not have")


@Check
def a_passage_without_a_vector_waits(open_store: OpenStore) -> None:
    """Vector search does not find a passage without a vector, and its similarity is NaN. It is
    marked and counted as pending, and is in the queue, as what was written.
    """
    ready = item("1", "ready")
    waiting = item("2", "same", "same", "other", vectors=False)
    with closing(open_store(SPACE)) as store:
        put(store, ready, waiting)
        nearest = store.nearest(vector_of("same"), 10, EVERYTHING)
        same(nearest.ids, tuple(ready.ids), "chunks found by nearest")
        similarity = store.similarity(waiting.ids, axis(0))
        expect(
            np.isnan(similarity).all(),
            f"similarity of pending chunks: expected NaN, found {similarity}.",
        )
        pending = pending_in(store, [*ready.ids, *waiting.ids])
        same(pending, [False, True, True, True], "pending: one chunk with a vector, three without")
        same_fields(store.stats(), "stats", chunks=4, pending=3)
        if isinstance(store, VectorQueue):
            queued: list[Any] = []
            for chunk in store.pending(10):
                queued.append((chunk.id, chunk.passage, chunk.fingerprint))
            wanted = list(zip(waiting.ids, waiting.passages, waiting.fingerprints, strict=True))
            same(queued, wanted, "chunks in the queue")


@Check
def the_queue_is_oldest_first(open_store: OpenStore) -> None:
    """`pending(limit)` gives the chunks that have waited longest, at most `limit` of them."""
    with closing(open_store(SPACE)) as store:
        queue = queue_of(store)
        wanted: list[str] = []
        for key in ("c", "a", "b"):
            passages = f"first of {key}", f"second of {key}"
            put(store, item(key, *passages, vectors=False))
            wanted += passages
        for limit in (0, 1, 3, 6, 100):
            same(waiting_in(queue, limit), wanted[:limit], f"pending({limit})")
        store.remove([Ref("notes", "c")])
        same(waiting_in(queue, 2), wanted[2:4], "pending after a removal")


@Check
def the_queue_is_read_page_by_page(open_store: OpenStore) -> None:
    """`pending(limit, after)` gives the chunks after a place, without gap or overlap, also of
    equal passages and of all tenants. Places stay while chunks wait; what begins to wait comes
    last.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        queue = queue_of(store)
        for owner in ("ann", "bob"):
            put(store, item(Ref("notes", "1", owner), f"of {owner}", "same", "same", vectors=False))
        first = queue.pending(1)
        same([chunk.passage for chunk in first], ["of ann"], "the first page")
        expect(first[0].place >= 0, f"place: expected at least 0, found {first[0].place}.")
        put(store, item(Ref("notes", "2", "ann"), "late", vectors=False))
        found: list[Any] = []
        page = first
        while page:
            expect(len(page) <= 2, f"pending(2): expected at most 2 chunks, found {len(page)}.")
            found += page
            expect(len(found) <= 7, f"pending: expected 7 chunks on all pages, found {found}.")
            page = queue.pending(2, page[-1].place)
        same(found, list(queue.pending(10)), "chunks of all pages")
        tenants = [chunk.id.ref.tenant for chunk in found]
        same(tenants, ["ann"] * 3 + ["bob"] * 3 + ["ann"], "tenants of the chunks")
        places = [chunk.place for chunk in found]
        same(places, sorted(set(places)), "places, in order")
        queue.fill(vectors_of("same"))
        left = [found[0], found[3], found[6]]
        same(list(queue.pending(10)), left, "chunks that still wait after fill")


@Check
def fill_gives_a_vector_to_all_who_wait(open_store: OpenStore) -> None:
    """`fill` gives a vector to every chunk with its fingerprint, in every document. It goes by
    fingerprint and not by position, and returns the number of chunks.
    """
    first = item("1", "same", "one", vectors=False)
    second = item("2", "two", "same", vectors=False)
    third = item("3", "three", vectors=False)
    passages = ["three", "same", "one"]  # another order than in the documents, and without "two"
    filled = {
        first.ids[0]: vector_of("same"),
        first.ids[1]: vector_of("one"),
        second.ids[1]: vector_of("same"),
        third.ids[0]: vector_of("three"),
    }
    with closing(open_store(SPACE)) as store:
        queue = queue_of(store)
        put(store, first, second, third)
        same(queue.fill(vectors_of(*passages)), 4, "chunks filled")
        for passage in passages:
            query = vector_of(passage)
            ranking = store.nearest(query, 10, EVERYTHING)
            agrees(ranking, cosines(filled, query), 10, f"nearest to {passage!r}")
        same(waiting_in(queue), ["two"], "passages still in the queue")
        known = store.known(fingerprints_of("same", "two"))
        same(set(known), {fingerprint_of("same")}, "known of a filled passage and a pending one")
        same(store.stats().pending, 1, "chunks still pending")
        same(queue.fill({}), 0, "chunks filled by no vectors")


@Check
def a_late_vector_changes_nothing(open_store: OpenStore) -> None:
    """`fill` ignores a vector whose text was replaced or removed meanwhile, or that has a vector
    already.
    """
    with closing(open_store(SPACE)) as store:
        queue = queue_of(store)
        put(
            store,
            item("1", "first text", vectors=False),
            item("2", "removed", vectors=False),
            item("3", "ready"),
        )
        put(store, item("1", "newer text", vectors=False))
        store.remove([Ref("notes", "2")])
        now = [item("1", "newer text"), item("3", "ready")]
        before = contents(store, *now)
        names = fingerprints_of("first text", "removed", "ready", "never")
        same(queue.fill(dict.fromkeys(names, axis(5))), 0, "chunks filled by late vectors")
        same(contents(store, *now), before, "contents of the store after late vectors")


@Check
def a_bad_vector_fills_nothing(open_store: OpenStore) -> None:
    """`fill` with one invalid vector raises VectorInvalid and stores none of the others."""
    with closing(open_store(SPACE)) as store:
        queue = queue_of(store)
        put(store, item("1", "one", "two", vectors=False))
        for what, bad in BAD_VECTORS.items():
            with raises(VectorInvalid, f"fill with a vector {what}"):
                queue.fill({fingerprint_of("one"): vector_of("one"), fingerprint_of("two"): bad})
            same(store.stats().pending, 2, f"chunks pending after fill with a vector {what}")
