"""Vectors that are still to come: paid for once, waited for by name,
and refused where their text is gone.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import attrs
import numpy as np

from semantic_core.errors import VectorInvalid
from semantic_core.protocols import VectorQueue
from semantic_core.testing.check import Check, expect, raises, same
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
    item,
    put,
    queue_of,
    vector_of,
)
from semantic_core.testing.stores.writes import BAD_VECTORS
from semantic_core.types import Ref


@Check
def a_known_vector_is_used(open_store: OpenStore) -> None:
    """An entry without a vector takes the one known for its fingerprint,
    and one that waited takes it when it comes.
    """
    with closing(open_store(SPACE)) as store:
        first = item("1", "paid for", "its tail")
        twin = item("2", "paid for", "not yet", vectors=False)
        put(store, first)
        put(store, twin)
        found = [each.pending for each in store.fetch(twin.ids)]
        same(
            found,
            [False, True],
            "pending, of a document with a passage another one has a vector for",
        )
        ranking = store.nearest(vector_of("paid for"), 2, EVERYTHING)
        agrees(ranking, {first.ids[0]: 1.0, twin.ids[0]: 1.0}, 2, "chunks of the passage paid for")
        put(store, item("3", "not yet"))
        found = [each.pending for each in store.fetch(twin.ids)]
        same(found, [False, False], "pending, after its vector came with another document")


@Check
def vectors_are_known_by_fingerprint_alone(open_store: OpenStore) -> None:
    """The same passage under another fingerprint is another one: it has no vector of the first,
    and takes none that comes for it. Tenants have fingerprints of their own, so nothing tells one
    what another holds.
    """
    names = fingerprint_of("held by two"), fingerprint_of("held by two, as the other names it")
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        theirs, mine = (
            _named(item(Ref("notes", "1", tenant), "held by two", vectors=vectors), name)
            for tenant, vectors, name in (("theirs", True, names[0]), ("mine", False, names[1]))
        )
        put(store, theirs)
        put(store, mine)
        same(set(store.known(names)), {names[0]}, "known, of two names of one passage")
        same([each.pending for each in store.fetch(mine.ids)], [True], "pending, of the second")
        queue: object = store
        if isinstance(queue, VectorQueue):
            queue.fill({names[0]: vector_of("held by two")})
            found = [each.pending for each in store.fetch(mine.ids)]
            same(found, [True], "pending, of the second, after the first was filled")
            same(list(queue.pending(10)), [names[1]], "names that are pending")


def _named(one: Item, name: str) -> Item:
    """The item with its only passage under this fingerprint."""
    return one._replace(entries=[attrs.evolve(entry, fingerprint=name) for entry in one.entries])


@Check
def an_update_keeps_the_vectors_it_had(open_store: OpenStore) -> None:
    """A new version without vectors takes those its old version had for the same passages,
    wherever they stand now.
    """
    old = item("1", "paid for", "its tail", "left out")
    new = item("1", "in front", "paid for", vectors=False)
    with closing(open_store(SPACE)) as store:
        put(store, old)
        same(put(store, new), ["updated"], "outcome")
        same([each.pending for each in store.fetch(new.ids)], [True, False], "pending")
        query = vector_of("paid for")
        agrees(store.nearest(query, 10, EVERYTHING), {new.ids[1]: 1.0}, 10, "nearest")
        same(
            set(store.known([fingerprint_of("left out")])),
            set(),
            "known, of a passage the new version has not",
        )


@Check
def a_passage_without_a_vector_waits(open_store: OpenStore) -> None:
    """No vector yet: not found by meaning, similarity NaN, marked and counted as pending,
    once in the queue.
    """
    ready = item("1", "ready")
    waiting = item("2", "same", "same", "other", vectors=False)
    with closing(open_store(SPACE)) as store:
        put(store, ready, waiting)
        same(
            store.nearest(vector_of("same"), 10, EVERYTHING).ids,
            tuple(ready.ids),
            "what vectors find",
        )
        expect(
            np.isnan(store.similarity(waiting.ids, axis(0))).all(),
            "similarity: wanted NaN for every pending chunk.",
        )
        same(
            [found.pending for found in store.fetch([*ready.ids, *waiting.ids])],
            [False, True, True, True],
            "pending",
        )
        same((store.stats().chunks, store.stats().pending), (4, 3), "chunks and pending ones")
        if isinstance(store, VectorQueue):
            same(
                dict(store.pending(10)),
                {fingerprint_of(each): each for each in ("same", "other")},
                "passages wanted",
            )


@Check
def the_queue_is_oldest_first(open_store: OpenStore) -> None:
    """`pending(limit)` gives the passages that have waited longest, at most `limit` of them."""
    with closing(open_store(SPACE)) as store:
        queue = queue_of(store)
        for key in ("c", "a", "b"):
            put(store, item(key, f"first of {key}", f"second of {key}", vectors=False))
        wanted = [f"{part} of {key}" for key in ("c", "a", "b") for part in ("first", "second")]
        for limit in (0, 1, 3, 6, 100):
            same(list(queue.pending(limit).values()), wanted[:limit], f"pending({limit})")
        store.remove([Ref("notes", "c")])
        same(list(queue.pending(2).values()), wanted[2:4], "pending after a removal")


@Check
def fill_gives_a_vector_to_all_who_wait(open_store: OpenStore) -> None:
    """`fill` reaches every chunk of the fingerprint, in every document, by name and not by place;
    and says how many.
    """
    items = [
        item("1", "same", "one", vectors=False),
        item("2", "two", "same", vectors=False),
        item("3", "three", vectors=False),
    ]
    passages = ["three", "same", "one"]  # another order than theirs, and one of them is not filled
    with closing(open_store(SPACE)) as store:
        queue = queue_of(store)
        put(store, *items)
        same(
            queue.fill({fingerprint_of(passage): vector_of(passage) for passage in passages}),
            4,
            "chunks filled",
        )
        filled = {
            entry.chunk.id: vector_of(entry.passage)
            for each in items
            for entry in each.entries
            if entry.passage != "two"
        }
        for passage in passages:
            query = vector_of(passage)
            agrees(
                store.nearest(query, 10, EVERYTHING),
                cosines(filled, query),
                10,
                f"nearest to {passage!r}",
            )
        same(dict(queue.pending(10)), {fingerprint_of("two"): "two"}, "passages still wanted")
        same(
            set(store.known([fingerprint_of(p) for p in ("same", "two")])),
            {fingerprint_of("same")},
            "known",
        )
        same(store.stats().pending, 1, "chunks still pending")
        same(queue.fill({}), 0, "chunks filled by nothing")


@Check
def a_late_vector_changes_nothing(open_store: OpenStore) -> None:
    """A vector finds no taker if its text was replaced or removed,
    or if there is a vector already.
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
        late = {
            fingerprint_of(passage): axis(5)
            for passage in ("first text", "removed", "ready", "never")
        }
        same(queue.fill(late), 0, "chunks filled by late vectors")
        same(contents(store, *now), before, "everything after late vectors")


@Check
def a_bad_vector_fills_nothing(open_store: OpenStore) -> None:
    """`fill` with one vector that means nothing raises VectorInvalid,
    and fills none of the others.
    """
    waiting: list[Any] = ["one", "two"]
    with closing(open_store(SPACE)) as store:
        queue = queue_of(store)
        put(store, item("1", *waiting, vectors=False))
        for what, bad in BAD_VECTORS.items():
            with raises(VectorInvalid, f"fill with a vector {what}"):
                queue.fill({fingerprint_of("one"): vector_of("one"), fingerprint_of("two"): bad})
            same(store.stats().pending, 2, f"chunks pending after a vector {what}")
