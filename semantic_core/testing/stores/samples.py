"""Documents, entries and vectors the store checks are written with,
and the comparison with brute force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from semantic_core.protocols import Store, TextSearch, VectorQueue
from semantic_core.testing.check import expect, same, skip
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ranking, Ref, Scope, Space, Vector

SPACE = Space("kit", 8, settings={"made": "by hand"})
EVERYTHING = Scope()
CLOSE_ENOUGH = 1e-5
"""How far a score may be from the cosine in float64, and how near two scores are one."""


class OpenStore(Protocol):
    """How the kit opens the store to be checked.

    The same name opens the same store again; another name is another, empty store.
    """

    def __call__(self, space: Space, name: str = ..., *, multi_tenant: bool = ...) -> Any: ...


class Item(NamedTuple):
    """What `Store.replace` takes of one document."""

    document: Document
    entries: list[Entry]

    @property
    def ref(self) -> Ref:
        return self.document.ref

    @property
    def ids(self) -> list[ChunkId]:
        return [entry.chunk.id for entry in self.entries]

    @property
    def vectors(self) -> dict[ChunkId, Vector]:
        """Of the entries that have one."""
        return {entry.chunk.id: entry.vector for entry in self.entries if entry.vector is not None}


def unit(*numbers: float) -> Vector:
    """The vector that points there."""
    given = np.array(numbers, dtype=np.float64)
    vector: Vector = (given / np.sqrt((given * given).sum())).astype(np.float32)
    return vector


def axis(number: int) -> Vector:
    """The vector along one axis of SPACE."""
    return unit(*(float(place == number) for place in range(SPACE.dimensions)))


def vector_of(passage: str) -> Vector:
    """The one vector of a passage: any direction, always the same."""
    seed = int.from_bytes(blake2b(passage.encode(), digest_size=8).digest(), "big")
    return unit(*np.random.default_rng(seed).normal(size=SPACE.dimensions))


def fingerprint_of(passage: str) -> str:
    """The one fingerprint of a passage."""
    return blake2b(passage.encode(), digest_size=16).hexdigest()


def item(
    ref: Ref | str,
    *passages: str,
    vectors: bool | Sequence[Vector] = True,
    title: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Item:
    """A document made of these passages, a chunk each.

    ref: a key alone is one of the collection "notes". vectors: those given, one per passage; True:
    `vector_of` each;
    False: none, they are still to be embedded.
    """
    where = Ref("notes", ref) if isinstance(ref, str) else ref
    entries: list[Entry] = []
    start = 0
    for position, passage in enumerate(passages):
        chunk = Chunk(ChunkId(where, position), passage, start, start + len(passage))
        vector = (
            vectors[position]
            if not isinstance(vectors, bool)
            else vector_of(passage)
            if vectors
            else None
        )
        entries.append(Entry(chunk, passage, fingerprint_of(passage), vector))
        start += len(passage) + 2
    return Item(
        Document(where, "\n\n".join(passages), title=title, metadata=metadata or {}), entries
    )


def put(store: Store, *items: Item, **stamps: Any) -> list[str]:
    """Replace these documents; the outcomes."""
    return [outcome for _, outcome in store.replace(list(items), **stamps).outcomes]


def finder_of_words(store: Any) -> TextSearch:
    """The store as a finder of words; skips one that finds none."""
    return (
        store
        if isinstance(store, TextSearch)
        else skip("This store finds no words (it is no TextSearch).")
    )


def queue_of(store: Any) -> VectorQueue:
    """The store as a queue of passages; skips one that keeps none."""
    return (
        store
        if isinstance(store, VectorQueue)
        else skip("This store keeps no queue (it is no VectorQueue).")
    )


def with_word(store: Any, word: str, scope: Scope = EVERYTHING) -> set[ChunkId]:
    """All chunks in which the store finds this word."""
    return set(finder_of_words(store).words(word, 1_000, scope).ids)


def exact(value: Any) -> Any:
    """A record as plain values in which ``1``, ``1.0`` and ``True`` differ."""
    if isinstance(value, Document):
        parts = (value.ref, value.text, value.title, value.media_type, value.language)
        return *parts, exact(value.metadata)
    if isinstance(value, Chunk):
        return (
            value.id,
            value.text,
            value.start,
            value.end,
            value.kind,
            tuple(value.headings),
            exact(value.metadata),
        )
    if isinstance(value, Mapping):
        return tuple(sorted((key, type(held).__name__, held) for key, held in value.items()))
    return value


def cosines(vectors: Mapping[ChunkId, Vector], query: Vector) -> dict[ChunkId, float]:
    """Brute force, in float64; equal vectors have equal bits."""

    def cosine(vector: NDArray[Any]) -> float:
        held = vector.astype(np.float64)
        asked = query.astype(np.float64)
        return float(
            (held * asked).sum() / np.sqrt((held * held).sum()) / np.sqrt((asked * asked).sum())
        )

    return {id: cosine(vector) for id, vector in vectors.items()}


def agrees(ranking: Ranking, truth: Mapping[ChunkId, float], limit: int, what: str) -> None:
    """Fail unless the ranking is the best `limit` of the true scores.

    Scores may be off, and near scores change places, by CLOSE_ENOUGH; equal ones stand in the order
    of their ids.
    """
    same(len(ranking), min(limit, len(truth)), f"{what}: number of hits")
    same(len(set(ranking.ids)), len(ranking), f"{what}: different hits")
    for id, score in zip(ranking.ids, ranking.scores, strict=True):
        expect(id in truth, f"{what}: {id} must not be found.")
        expect(-1.0 <= score <= 1.0, f"{what}: {id}: wanted a score from -1 to 1, got {score!r}.")
        expect(
            abs(score - truth[id]) <= CLOSE_ENOUGH,
            f"{what}: {id}: wanted {truth[id]}, got {score}.",
        )
    scores = list(ranking.scores)
    expect(scores == sorted(scores, reverse=True), f"{what}: wanted the best first, got {scores}.")
    listed = set(ranking.ids)
    if ranking.ids:
        least = min(truth[id] for id in ranking.ids)
        missed = [id for id in truth if id not in listed and truth[id] > least + CLOSE_ENOUGH]
        expect(not missed, f"{what}: {missed[:3]} are nearer than what was found, and were not.")
    equals: defaultdict[float, list[ChunkId]] = defaultdict(list)
    for id in sorted(truth):
        equals[truth[id]].append(id)
    for ids in equals.values():
        found = [id for id in ranking.ids if id in ids] if len(ids) > 1 else []
        same(found, ids[: len(found)], f"{what}: order of equal scores")


def contents(store: Any, *items: Item) -> dict[str, Any]:
    """All there is to see of these documents and of the store,
    so that two moments can be compared.
    """
    ids = sorted({id for each in items for id in each.ids})
    entries = [entry for each in items for entry in each.entries]
    seen: dict[str, Any] = {
        "get": [exact(store.get(each.ref)) for each in items],
        "documents": [
            attrs.asdict(summary) for summary in store.documents(EVERYTHING, limit=1_000)
        ],
        "fetch": [
            (exact(found.chunk), found.title, exact(found.metadata), found.pending)
            for found in store.fetch(ids)
        ],
        "known": {
            name: vector.tolist()
            for name, vector in store.known({e.fingerprint for e in entries}).items()
        },
        "nearest": store.nearest(axis(0), 1_000, EVERYTHING),
        "similarity": np.nan_to_num(store.similarity(ids, axis(0)), nan=9.0).tolist(),
        "stats": attrs.asdict(store.stats(), filter=attrs.filters.exclude("bytes", "details")),
    }
    if isinstance(store, TextSearch):
        words = sorted({word for entry in entries for word in entry.passage.split()})
        seen["words"] = {word: store.words(word, 1_000, EVERYTHING) for word in words}
    if isinstance(store, VectorQueue):
        seen["pending"] = dict(store.pending(1_000))
    return seen
