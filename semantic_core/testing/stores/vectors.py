"""Vectors: the nearest are found exactly, whatever their length and order,
and are the ones handed over.
"""

from __future__ import annotations

from contextlib import closing, suppress

import attrs
import numpy as np

from semantic_core.errors import VectorInvalid
from semantic_core.testing.check import Check, expect, same
from semantic_core.testing.stores.samples import (
    CLOSE_ENOUGH,
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    agrees,
    axis,
    cosines,
    fingerprint_of,
    item,
    put,
    unit,
    vector_of,
)
from semantic_core.types import ChunkId, Ref


@Check
def nearest_equals_brute_force(open_store: OpenStore) -> None:
    """`nearest` finds what comparing with every vector finds, whatever the limit; bigger is better,
    scores are cosines.
    """
    items = [
        item(
            Ref("b" if number % 3 else "a", str(number)),
            *(f"passage {number} {part}" for part in range(number % 4)),
        )
        for number in range(80)
    ]
    vectors = {id: vector for each in items for id, vector in each.vectors.items()}
    with closing(open_store(SPACE)) as store:
        put(store, *items)
        for number in range(6):
            query = vector_of(f"query {number}")
            truth = cosines(vectors, query)
            for limit in (0, 1, 7, 40, 1_000):
                ranking = store.nearest(query, limit, EVERYTHING)
                same(ranking.source, "vector", "source")
                agrees(ranking, truth, limit, f"nearest to query {number}, limit {limit}")
        same(
            store.nearest(axis(0), 10, EVERYTHING).ids,
            store.nearest(axis(0), 20, EVERYTHING).ids[:10],
            "a smaller limit",
        )


@Check
def opposite_and_equal_are_the_ends(open_store: OpenStore) -> None:
    """The vector itself scores 1 and stands first, the opposite one -1 and stands last;
    nothing lies outside.
    """
    across = item("2", "across", vectors=[axis(3)])
    with closing(open_store(SPACE)) as store:
        for vector in (vector_of("any"), unit(0.1, 0.7, 0.3, 0.2, 0.9, 0.4, 0.6, 0.8), axis(0)):
            ends = item("1", "equal", "other way", vectors=[vector, -vector])
            put(store, ends, across)
            ranking = store.nearest(vector, 10, EVERYTHING)
            agrees(ranking, cosines({**ends.vectors, **across.vectors}, vector), 10, "nearest")
            same((ranking.ids[0], ranking.ids[-1]), tuple(ends.ids), "the first and the last")
            similarity = store.similarity(ends.ids, vector)
            expect(
                np.abs(similarity - [1, -1]).max() <= CLOSE_ENOUGH,
                f"similarity: wanted [1, -1], got {similarity}.",
            )


@Check
def equal_scores_stand_in_the_order_of_ids(open_store: OpenStore) -> None:
    """Ties are sorted by ChunkId, positions as numbers, whatever the order of writing,
    and at the limit too.
    """
    twin = vector_of("twin")
    refs = [Ref("b", "1"), Ref("a", "2"), Ref("a", "10"), Ref("a", "1"), Ref("B", "1")]
    items = [
        item(ref, *(f"twin {part}" for part in range(12)), vectors=[twin] * 12) for ref in refs
    ]
    wanted = sorted(id for each in items for id in each.ids)
    with closing(open_store(SPACE)) as store:
        for each in items:
            put(store, each)
        for limit in (1, 13, 59, 100):
            for query in (twin, vector_of("another way")):
                same(
                    list(store.nearest(query, limit, EVERYTHING).ids),
                    wanted[:limit],
                    f"ties, limit {limit}",
                )


@Check
def vectors_of_another_length_rank_by_direction(open_store: OpenStore) -> None:
    """A vector that is not of length 1 is refused, or counts by its direction alone;
    so does a query.
    """
    lengths = (1.0, 5.0, 0.01, 300.0, 1.001, 0.5)
    straight = item("1", *(f"direction {length}" for length in lengths))
    longer = [
        (vector * length).astype(np.float32)
        for vector, length in zip(straight.vectors.values(), lengths, strict=True)
    ]
    query = vector_of("query")
    truth = cosines(straight.vectors, query)
    with closing(open_store(SPACE)) as store:
        with suppress(VectorInvalid):
            put(store, item("1", *(entry.passage for entry in straight.entries), vectors=longer))
            agrees(
                store.nearest(query, 10, EVERYTHING),
                truth,
                10,
                "nearest among vectors of many lengths",
            )
        put(store, straight)
        with suppress(VectorInvalid):
            agrees(
                store.nearest((query * 7).astype(np.float32), 10, EVERYTHING),
                truth,
                10,
                "nearest to a longer query",
            )


@Check
def similarity_is_exact_and_in_order(open_store: OpenStore) -> None:
    """`similarity`: one float32 per id, in the order asked;
    NaN for no such chunk and for one without a vector.
    """
    there = item("1", "one", "two", "three")
    waiting = item("2", "waiting", vectors=False)
    query = vector_of("query")
    truth = cosines(there.vectors, query)
    ids = [
        there.ids[2],
        ChunkId(Ref("notes", "no"), 0),
        there.ids[0],
        waiting.ids[0],
        ChunkId(there.ref, 7),
        there.ids[1],
    ]
    with closing(open_store(SPACE)) as store:
        put(store, there, waiting)
        got = store.similarity(ids, query)
        same((got.dtype, got.shape), (np.dtype(np.float32), (6,)), "dtype and shape")
        wanted = np.array([truth.get(id, np.nan) for id in ids])
        fits = np.allclose(got, wanted, atol=CLOSE_ENOUGH, rtol=0, equal_nan=True)
        expect(fits, f"similarity: wanted {wanted}, got {got}.")
        same(store.similarity([], query).shape, (0,), "shape for no ids")


@Check
def known_vectors_are_those_handed_over(open_store: OpenStore) -> None:
    """`known` gives the vectors themselves, its own copies of them;
    handing them back changes nothing.
    """
    first = item("1", "one", "two")
    second = item("2", "two", "waiting", vectors=False)
    given = np.array(vector_of("one"))
    first.entries[0] = attrs.evolve(first.entries[0], vector=given)
    names = [fingerprint_of(passage) for passage in ("one", "two", "waiting", "never")]
    with closing(open_store(SPACE)) as store:
        put(store, first, second)
        given[:] = 0.0
        known = store.known(names)
        same(set(known), set(names[:2]), "fingerprints known")
        for name, passage in zip(names, ("one", "two"), strict=False):
            vector = known[name]
            wanted = vector_of(passage)
            same(
                (vector.dtype, vector.shape),
                (np.dtype(np.float32), (SPACE.dimensions,)),
                f"dtype and shape of {passage!r}",
            )
            expect(
                np.allclose(vector, wanted, atol=1e-6, rtol=0),
                f"known {passage!r}: wanted {wanted}, got {vector}.",
            )
        back = [attrs.evolve(entry, vector=known[entry.fingerprint]) for entry in first.entries]
        same(
            put(store, Item(first.document, back)),
            ["unchanged"],
            "outcome of handing the known vectors back",
        )
        same(dict(store.known([])), {}, "known of nothing")
