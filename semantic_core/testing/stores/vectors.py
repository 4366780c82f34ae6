"""Checks of vector search: the nearest vectors are found exactly, whatever their length and order,
and they are the ones that were written.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any

import attrs
import numpy as np

from semantic_core.errors import VectorInvalid
from semantic_core.protocols import ChunkVectors
from semantic_core.testing.check import Check, expect, same, skip
from semantic_core.testing.stores.samples import (
    CLOSE_ENOUGH,
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    agrees,
    axis,
    cosines,
    fingerprints_of,
    ids_of,
    item,
    numbered,
    put,
    unit,
    vector_of,
)
from semantic_core.types import ChunkId, Ref, Vector


def chunk_vectors_of(store: Any) -> ChunkVectors:
    """The store as a `ChunkVectors`; skips the rule for a store without it."""
    if isinstance(store, ChunkVectors):
        return store
    return skip("This store does not give the vectors of chunks (it is no ChunkVectors).")


@Check
def nearest_equals_brute_force(open_store: OpenStore) -> None:
    """`nearest` finds what a comparison with every vector finds, whatever the limit. Scores are
    cosines, the highest is the first.
    """
    items: list[Item] = []
    vectors: dict[ChunkId, Vector] = {}
    for number in range(80):
        ref = Ref("b" if number % 3 else "a", str(number))
        passages = numbered(f"passage {number}", number % 4)
        items.append(item(ref, *passages))
        vectors |= items[-1].vectors
    with closing(open_store(SPACE)) as store:
        put(store, *items)
        for number in range(6):
            query = vector_of(f"query {number}")
            truth = cosines(vectors, query)
            for limit in (0, 1, 7, 40, 1_000):
                ranking = store.nearest(query, limit, EVERYTHING)
                same(ranking.source, "vector", "source of the ranking")
                agrees(ranking, truth, limit, f"nearest to query {number}, limit {limit}")
        ten = store.nearest(axis(0), 10, EVERYTHING).ids
        twenty = store.nearest(axis(0), 20, EVERYTHING).ids
        same(ten, twenty[:10], "nearest with limit 10, and the first 10 with limit 20")


@Check
def opposite_and_equal_are_the_ends(open_store: OpenStore) -> None:
    """A vector equal to the query has the score 1 and is the first. The opposite vector has the
    score -1 and is the last. No score is outside of these.
    """
    across = item("2", "across", vectors=[axis(3)])
    with closing(open_store(SPACE)) as store:
        for vector in (vector_of("any"), unit(0.1, 0.7, 0.3, 0.2, 0.9, 0.4, 0.6, 0.8), axis(0)):
            ends = item("1", "equal", "other way", vectors=[vector, -vector])
            put(store, ends, across)
            ranking = store.nearest(vector, 10, EVERYTHING)
            agrees(ranking, cosines({**ends.vectors, **across.vectors}, vector), 10, "nearest")
            same([ranking.ids[0], ranking.ids[-1]], ends.ids, "the first hit and the last")
            similarity = store.similarity(ends.ids, vector)
            expect(
                np.abs(similarity - [1, -1]).max() <= CLOSE_ENOUGH,
                f"similarity: expected [1, -1], found {similarity}.",
            )


@Check
def equal_scores_stand_in_the_order_of_ids(open_store: OpenStore) -> None:
    """Equal scores are sorted by ChunkId, positions as numbers. The order of writing does not
    matter, and the limit cuts the sorted list.
    """
    twin = vector_of("twin")
    refs = [Ref("b", "1"), Ref("a", "2"), Ref("a", "10"), Ref("a", "1"), Ref("B", "1")]
    passages = numbered("twin", 12)
    items = [item(ref, *passages, vectors=[twin] * 12) for ref in refs]
    wanted = sorted(ids_of(items))
    with closing(open_store(SPACE)) as store:
        for each in items:
            put(store, each)
        for limit in (1, 13, 59, 100):
            for query in (twin, vector_of("another way")):
                found = store.nearest(query, limit, EVERYTHING).ids
                same(list(found), wanted[:limit], f"order of equal scores, limit {limit}")


@Check
def vectors_of_another_length_rank_by_direction(open_store: OpenStore) -> None:
    """A vector whose length is not 1 raises VectorInvalid, or counts by its direction alone. The
    same is true of a query.
    """
    lengths = (1.0, 5.0, 0.01, 300.0, 1.001, 0.5)
    straight = item("1", *(f"direction {length}" for length in lengths))
    longer: list[Vector] = []
    for vector, length in zip(straight.vectors.values(), lengths, strict=True):
        longer.append((vector * length).astype(np.float32))
    query = vector_of("query")
    long_query = (query * 7).astype(np.float32)
    truth = cosines(straight.vectors, query)
    with closing(open_store(SPACE)) as store:
        with suppress(VectorInvalid):
            put(store, item("1", *straight.passages, vectors=longer))
            ranking = store.nearest(query, 10, EVERYTHING)
            agrees(ranking, truth, 10, "nearest among vectors of several lengths")
        put(store, straight)
        with suppress(VectorInvalid):
            ranking = store.nearest(long_query, 10, EVERYTHING)
            agrees(ranking, truth, 10, "nearest to a query of length 7")


@Check
def similarity_is_exact_and_in_order(open_store: OpenStore) -> None:
    """`similarity` gives one float32 per id, in the order of the ids. It is NaN for a chunk that
    does not exist or has no vector.
    """
    there = item("1", "one", "two", "three")
    waiting = item("2", "waiting", vectors=False)
    query = vector_of("query")
    truth = cosines(there.vectors, query)
    nowhere = ChunkId(Ref("notes", "no"), 0), ChunkId(there.ref, 7)
    one, two, three = there.ids
    ids = [three, nowhere[0], one, waiting.ids[0], nowhere[1], two]
    wanted = np.array([truth[three], np.nan, truth[one], np.nan, np.nan, truth[two]])
    with closing(open_store(SPACE)) as store:
        put(store, there, waiting)
        found = store.similarity(ids, query)
        same(found.dtype, np.dtype(np.float32), "similarity: dtype")
        same(found.shape, (6,), "similarity: shape")
        fits = np.allclose(found, wanted, atol=CLOSE_ENOUGH, rtol=0, equal_nan=True)
        expect(fits, f"similarity: expected {wanted}, found {found}.")
        same(store.similarity([], query).shape, (0,), "similarity without ids: shape")


@Check
def vectors_of_chunks_are_those_of_their_passages(open_store: OpenStore) -> None:
    """`vectors` gives a row of float32 for each id, in the order of the ids: the vector that was
    written, as a copy. The row is NaN for a chunk that does not exist or has no vector. Within a
    snapshot, whatever was searched for before makes no difference.
    """
    there = item("1", "one", "two", "three")
    waiting = item("2", "waiting", vectors=False)
    one, two, three = there.ids
    ids = [three, ChunkId(Ref("notes", "no"), 0), one, waiting.ids[0], one, ChunkId(there.ref, 7)]
    nothing = np.full(SPACE.dimensions, np.nan)
    passages = vector_of("three"), vector_of("one")
    wanted = np.array([passages[0], nothing, passages[1], nothing, passages[1], nothing])

    def agree(store: Any, what: str) -> None:
        found = store.vectors(ids)
        same(found.dtype, np.dtype(np.float32), f"{what}: dtype")
        same(found.shape, wanted.shape, f"{what}: shape")
        fits = np.allclose(found, wanted, atol=CLOSE_ENOUGH, rtol=0, equal_nan=True)
        expect(fits, f"{what}: expected {wanted}, found {found}.")
        found[:] = 0.0

    with closing(open_store(SPACE)) as store:
        chunk_vectors_of(store)
        put(store, there, waiting)
        agree(store, "vectors")
        agree(store, "vectors once more, after the caller changed what it got")
        with store.snapshot():
            store.nearest(vector_of("one"), 1, EVERYTHING)
            agree(store, "vectors after a search in the same snapshot")
        same(store.vectors([]).shape, (0, SPACE.dimensions), "vectors without ids: shape")
        put(store, item("1", "two", "one", "three"))
        found = store.vectors([one, two])
        swapped = np.array([vector_of("two"), vector_of("one")])
        fits = np.allclose(found, swapped, atol=CLOSE_ENOUGH, rtol=0)
        expect(fits, f"vectors after an update: expected {swapped}, found {found}.")


@Check
def known_vectors_are_those_handed_over(open_store: OpenStore) -> None:
    """`known` gives the vectors that were written, as copies of the store's own. Writing them again
    changes nothing.
    """
    first = item("1", "one", "two")
    second = item("2", "two", "waiting", vectors=False)
    given = np.array(vector_of("one"))
    first.entries[0] = attrs.evolve(first.entries[0], vector=given)
    names = fingerprints_of("one", "two", "waiting", "never")
    with closing(open_store(SPACE)) as store:
        put(store, first, second)
        given[:] = 0.0
        known = store.known(names)
        same(set(known), set(names[:2]), "known fingerprints")
        for name, passage in zip(names, ("one", "two"), strict=False):
            vector = known[name]
            wanted = vector_of(passage)
            what = f"known vector of {passage!r}"
            same(vector.dtype, np.dtype(np.float32), f"{what}: dtype")
            same(vector.shape, (SPACE.dimensions,), f"{what}: shape")
            fits = np.allclose(vector, wanted, atol=1e-6, rtol=0)
            expect(fits, f"{what}: expected {wanted}, found {vector}.")
        back = [attrs.evolve(entry, vector=known[entry.fingerprint]) for entry in first.entries]
        outcome = put(store, Item(first.document, back))
        same(outcome, ["unchanged"], "outcome of writing the known vectors again")
        same(dict(store.known([])), {}, "known without fingerprints")
