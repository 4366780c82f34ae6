"""Documents, entries and vectors that the store checks are written with, and the comparison with
brute force.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
"""How far a score may be from the cosine in float64. Scores nearer to each other count as equal."""


class OpenStore(Protocol):
    """How the kit opens the store to be checked.

    The same name opens the same store again; another name opens another, empty store.
    """

    def __call__(self, space: Space, name: str = ..., *, multi_tenant: bool = ...) -> Any: ...


class Item(NamedTuple):
    """What `Store.replace` takes for one document."""

    document: Document
    entries: list[Entry]

    @property
    def ref(self) -> Ref:
        """The address of the document."""
        return self.document.ref

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks of the entries, in order."""
        return [entry.chunk for entry in self.entries]

    @property
    def ids(self) -> list[ChunkId]:
        """The chunk ids of the entries, in order."""
        return [entry.chunk.id for entry in self.entries]

    @property
    def passages(self) -> list[str]:
        """The passages of the entries, in order."""
        return [entry.passage for entry in self.entries]

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprints of the entries, in order."""
        return [entry.fingerprint for entry in self.entries]

    @property
    def vectors(self) -> dict[ChunkId, Vector]:
        """The vectors of the entries that have one, by chunk id."""
        found: dict[ChunkId, Vector] = {}
        for entry in self.entries:
            if entry.vector is not None:
                found[entry.chunk.id] = entry.vector
        return found


def unit(*numbers: float) -> Vector:
    """The vector of length 1 in this direction."""
    given = np.array(numbers, dtype=np.float64)
    vector: Vector = (given / np.sqrt((given * given).sum())).astype(np.float32)
    return vector


def axis(number: int) -> Vector:
    """The vector along one axis of SPACE."""
    numbers = [0.0] * SPACE.dimensions
    numbers[number] = 1.0
    return unit(*numbers)


def vector_of(passage: str) -> Vector:
    """The vector of a passage: any direction, always the same."""
    seed = int.from_bytes(blake2b(passage.encode(), digest_size=8).digest(), "big")
    return unit(*np.random.default_rng(seed).normal(size=SPACE.dimensions))


def fingerprint_of(passage: str) -> str:
    """The fingerprint of a passage."""
    return blake2b(passage.encode(), digest_size=16).hexdigest()


def fingerprints_of(*passages: str) -> list[str]:
    """The fingerprints of these passages, in order."""
    return [fingerprint_of(passage) for passage in passages]


def vectors_of(*passages: str) -> dict[str, Vector]:
    """The vectors of these passages by fingerprint."""
    return {fingerprint_of(passage): vector_of(passage) for passage in passages}


def numbered(text: str, count: int) -> list[str]:
    """`count` texts: "text 0", "text 1" and so on."""
    return [f"{text} {number}" for number in range(count)]


def item(
    ref: Ref | str,
    *passages: str,
    vectors: bool | Sequence[Vector] = True,
    title: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Item:
    """A document made of these passages, one chunk each.

    ref: a key alone is one of the collection "notes". vectors: one per passage; True stands for
    `vector_of` each passage, False for none: the passages still have to be embedded.
    """
    where = Ref("notes", ref) if isinstance(ref, str) else ref
    entries: list[Entry] = []
    start = 0
    for position, passage in enumerate(passages):
        chunk = Chunk(ChunkId(where, position), passage, start, start + len(passage))
        vector: Vector | None = None
        if not isinstance(vectors, bool):
            vector = vectors[position]
        elif vectors:
            vector = vector_of(passage)
        entries.append(Entry(chunk, passage, fingerprint_of(passage), vector))
        start += len(passage) + 2
    document = Document(where, "\n\n".join(passages), title=title, metadata=metadata or {})
    return Item(document, entries)


def items_of(
    keys: Iterable[Ref | str],
    passage: str,
    *,
    vector: Vector | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Item]:
    """A document for each key, all with the same passage. vector: by default `vector_of` it."""
    vectors = True if vector is None else [vector]
    return [item(key, passage, vectors=vectors, metadata=metadata) for key in keys]


def refs_of(collection: str, count: int, *, tenant: str = "") -> list[Ref]:
    """`count` addresses of a collection, with the keys "0", "1" and so on."""
    return [Ref(collection, str(number), tenant) for number in range(count)]


def ids_of(items: Iterable[Item]) -> list[ChunkId]:
    """The chunk ids of all these items, in order."""
    ids: list[ChunkId] = []
    for each in items:
        ids += each.ids
    return ids


def put(store: Store, *items: Item, **stamps: Any) -> list[str]:
    """Write these documents with `replace`; returns the outcomes."""
    return [outcome for _, outcome in store.replace(list(items), **stamps).outcomes]


def text_search_of(store: Any) -> TextSearch:
    """The store as a `TextSearch`; skips the rule for a store without it."""
    if isinstance(store, TextSearch):
        return store
    return skip("This store has no full-text search (it is no TextSearch).")


def waiting_in(queue: VectorQueue, limit: int = 1_000) -> list[str]:
    """The passages of the chunks that `pending(limit)` gives, in order."""
    return [chunk.passage for chunk in queue.pending(limit)]


def queue_of(store: Any) -> VectorQueue:
    """The store as a `VectorQueue`; skips the rule for a store without it."""
    if isinstance(store, VectorQueue):
        return store
    return skip("This store has no queue of passages to embed (it is no VectorQueue).")


def with_word(store: Any, word: str, scope: Scope = EVERYTHING) -> set[ChunkId]:
    """The ids of all chunks in which the store finds this word."""
    return set(text_search_of(store).words(word, 1_000, scope).ids)


def chunks_in(store: Any, ids: Sequence[ChunkId]) -> list[Chunk]:
    """The chunks that `fetch` gives for these ids, in order."""
    return [found.chunk for found in store.fetch(ids)]


def pending_in(store: Any, ids: Sequence[ChunkId]) -> list[bool]:
    """Whether each of the chunks that `fetch` gives for these ids is pending, in order."""
    return [found.pending for found in store.fetch(ids)]


def listed(store: Any, scope: Scope = EVERYTHING) -> list[Ref]:
    """The addresses of the documents that `documents` lists, in order."""
    return [summary.ref for summary in store.documents(scope)]


def keys_of(ranking: Ranking) -> list[str]:
    """The keys of the documents in a ranking, best first."""
    return [id.ref.key for id in ranking.ids]


def refs_in(ids: Iterable[ChunkId]) -> set[Ref]:
    """The addresses of the documents that these chunks are of."""
    return {id.ref for id in ids}


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


def exact_chunks(chunks: Iterable[Chunk]) -> list[Any]:
    """These chunks as plain values, see `exact`."""
    return [exact(chunk) for chunk in chunks]


def fetched(store: Any, ids: Sequence[ChunkId]) -> list[Any]:
    """What `fetch` gives for these ids, as plain values, see `exact`."""
    rows: list[Any] = []
    for found in store.fetch(ids):
        rows.append((exact(found.chunk), found.title, exact(found.metadata), found.pending))
    return rows


def cosine(vector: NDArray[Any], query: NDArray[Any]) -> float:
    """The cosine of two vectors, in float64; equal vectors have equal bits."""
    held = vector.astype(np.float64)
    asked = query.astype(np.float64)
    lengths = np.sqrt((held * held).sum()), np.sqrt((asked * asked).sum())
    return float((held * asked).sum() / lengths[0] / lengths[1])


def cosines(vectors: Mapping[ChunkId, Vector], query: Vector) -> dict[ChunkId, float]:
    """The cosine of every vector with the query, by brute force."""
    return {id: cosine(vector, query) for id, vector in vectors.items()}


def agrees(ranking: Ranking, truth: Mapping[ChunkId, float], limit: int, what: str) -> None:
    """Fail unless the ranking has the best `limit` of the true scores.

    Scores may differ from the truth by CLOSE_ENOUGH, and scores that near to each other may change
    places. Equal scores must be in the order of their ids. what: names the call in messages.
    """
    same(len(ranking), min(limit, len(truth)), f"{what}: number of hits")
    same(len(set(ranking.ids)), len(ranking), f"{what}: number of different hits")
    for id, score in zip(ranking.ids, ranking.scores, strict=True):
        expect(id in truth, f"{what}: {id} must not be found.")
        expect(-1.0 <= score <= 1.0, f"{what}: {id}: expected a score from -1 to 1, found {score}.")
        expect(
            abs(score - truth[id]) <= CLOSE_ENOUGH,
            f"{what}: {id}: expected the score {truth[id]}, found {score}.",
        )
    is_best_first(ranking, what)
    _misses_nothing(ranking, truth, what)
    _breaks_ties_by_id(ranking, truth, what)


def is_best_first(ranking: Ranking, what: str) -> None:
    """Fail unless no score of the ranking is higher than the one before it."""
    scores = list(ranking.scores)
    in_order = sorted(scores, reverse=True)
    expect(scores == in_order, f"{what}: expected the best score first, found {scores}.")


def _misses_nothing(ranking: Ranking, truth: Mapping[ChunkId, float], what: str) -> None:
    if not ranking.ids:
        return
    listed_ids = set(ranking.ids)
    least = min(truth[id] for id in ranking.ids)
    for id, score in truth.items():
        missed = id not in listed_ids and score > least + CLOSE_ENOUGH
        expect(
            not missed,
            f"{what}: {id} has the score {score} and is missing; {least} is in the ranking.",
        )


def _breaks_ties_by_id(ranking: Ranking, truth: Mapping[ChunkId, float], what: str) -> None:
    equals: defaultdict[float, list[ChunkId]] = defaultdict(list)
    for id in sorted(truth):
        equals[truth[id]].append(id)
    found: defaultdict[float, list[ChunkId]] = defaultdict(list)
    for id in ranking.ids:
        found[truth[id]].append(id)
    for score, ids in found.items():
        same(ids, equals[score][: len(ids)], f"{what}: order of the ids with the score {score}")


def contents(store: Any, *items: Item) -> dict[str, Any]:
    """All that a store shows of itself and of these documents, so that two states can be
    compared.
    """
    ids = sorted(set(ids_of(items)))
    documents: list[Any] = []
    fingerprints: set[str] = set()
    words: set[str] = set()
    for each in items:
        documents.append(exact(store.get(each.ref)))
        fingerprints.update(each.fingerprints)
        for passage in each.passages:
            words.update(passage.split())
    known = store.known(fingerprints)
    summaries = store.documents(EVERYTHING, limit=1_000)
    seen: dict[str, Any] = {
        "get": documents,
        "documents": [attrs.asdict(summary) for summary in summaries],
        "fetch": fetched(store, ids),
        "known": {name: vector.tolist() for name, vector in known.items()},
        "nearest": store.nearest(axis(0), 1_000, EVERYTHING),
        "similarity": np.nan_to_num(store.similarity(ids, axis(0)), nan=9.0).tolist(),
        "stats": attrs.asdict(store.stats(), filter=attrs.filters.exclude("bytes", "details")),
    }
    if isinstance(store, TextSearch):
        seen["words"] = {word: store.words(word, 1_000, EVERYTHING) for word in sorted(words)}
    if isinstance(store, VectorQueue):
        seen["pending"] = store.pending(1_000)
    return seen
