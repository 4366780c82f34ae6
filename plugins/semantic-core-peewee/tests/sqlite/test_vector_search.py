"""Vector search: exact, up to date in every thread and process, and safe from invalid vectors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import quantized, segments

from semantic_core import ChunkId, Filter, Ref, Scope, Space
from semantic_core.errors import VectorInvalid

WIDE = Space("wide", 32)
MANY = 1_500
"""More chunks than are scored without reading all vectors into memory."""


def exactly(vectors: dict[ChunkId, Any], query: Any, limit: int) -> list[tuple[ChunkId, float]]:
    """Brute force in float64, rounded as the store rounds; ties in order of id."""
    asked = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))

    def cosine(held: Any) -> float:
        wide = held.astype(np.float64)
        return float(np.float32((wide * asked).sum() / np.sqrt((wide * wide).sum())))

    scored = [(id, cosine(held)) for id, held in vectors.items()]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:limit]


def fill(
    store: SqliteStore, item: Callable[..., Any], count: int, **options: Any
) -> dict[ChunkId, Any]:
    """Documents with drawn vectors, every third one twice; what is in the store then."""
    drawn = np.random.default_rng(1).normal(size=(count, WIDE.dimensions)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn[::3] = drawn[0]
    items = [
        item(
            f"{number:05d}",
            f"passage {number}",
            vectors=[row],
            metadata={"even": number % 2 == 0, "n": number},
            **options,
        )
        for number, row in enumerate(drawn)
    ]
    store.replace(items)
    return {entries[0].chunk.id: entries[0].vector for _, entries in items}


@pytest.mark.parametrize("count", [200, MANY], ids=["scored in SQL", "scored in memory"])
def test_the_nearest_are_the_nearest(
    count: int, open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(space=WIDE)
    vectors = fill(store, item, count)
    made = np.random.default_rng(2)
    queries = [
        *made.normal(size=(4, WIDE.dimensions)).astype(np.float32),
        *list(vectors.values())[:3],
    ]
    for query in queries:
        for limit in (1, 10, count // 3, count + 5):
            ranking = store.nearest(query, limit, Scope())
            wanted = exactly(vectors, query, limit)
            assert [id.ref.key for id in ranking.ids] == [id.ref.key for id, _ in wanted]
            assert ranking.scores == pytest.approx([score for _, score in wanted], abs=1e-6)
            assert max(ranking.scores) <= 1.0
            assert store.similarity(ranking.ids, query).tolist() == list(ranking.scores)


def test_filters_and_collections_hold_before_the_limit(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(space=WIDE)
    here, there = fill(store, item, MANY), fill(store, item, MANY // 5, collection="other")
    query = next(iter(here.values()))
    for where, keep in (
        ({"even": True}, lambda number: number % 2 == 0),
        ({"n": {"lt": 30}}, lambda number: number < 30),
        ({"n": {"gte": MANY}}, lambda number: False),
    ):
        for collections, vectors in (
            (None, {**here, **there}),
            (("other",), there),
            (("notes", "other"), {**here, **there}),
            ((), {}),
        ):
            kept = {id: held for id, held in vectors.items() if keep(int(id.ref.key))}
            ranking = store.nearest(query, 20, Scope("", collections, Filter.parse(where)))
            assert list(ranking.ids) == [id for id, _ in exactly(kept, query, 20)], (
                where,
                collections,
            )


def test_a_damaged_scale_lets_nothing_into_a_scope(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(space=WIDE)
    vectors = fill(store, item, MANY)
    even = Scope(filter=Filter.parse({"even": True}))
    query = vectors[ChunkId(Ref("notes", "00001"), 0)]
    for scope in (Scope(), even):
        store.nearest(query, 5, scope)
    (codes,) = store._vectors._cache._versions
    for damaged in (-1.0, 0.0, float("inf")):
        codes.blocks[0].scales[1:MANY:20] = damaged
        assert all(int(id.ref.key) % 2 == 0 for id in store.nearest(query, 5, even).ids)


def test_every_answer_has_what_was_committed_before_it(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store, other = open_store(), open_store()
    store.replace([item(f"{number:05d}", f"filling {number}") for number in range(MANY)])

    def first(name: str) -> tuple[str, float]:
        ranking = store.nearest(vector(name), 1, Scope())
        return ranking.ids[0].ref.key, round(ranking.scores[0], 5)

    assert first("filling 7") == ("00007", 1.0)
    for number in range(20):
        other.replace([item("fresh", f"fresh {number}")])
        assert first(f"fresh {number}") == ("fresh", 1.0)
        assert first(f"fresh {number - 1}")[1] < 1.0
    other.replace([item("late", "late one", vectors=False)])
    assert first("late one")[1] < 1.0
    other.fill({item("x", "late one")[1][0].fingerprint: vector("late one")})
    assert first("late one") == ("late", 1.0)
    other.replace([item("late", "late one", vectors=[vector("another")])])
    assert first("another") == ("late", 1.0)
    other.remove([Ref("notes", "late"), Ref("notes", "fresh")])
    assert first("another")[1] < 1.0
    other.replace([item("moved", "fresh 3", collection="elsewhere")])
    assert (
        store.nearest(vector("fresh 3"), 1, Scope(collections=("elsewhere",))).ids[0].ref.key
        == "moved"
    )


def test_many_changes_leave_the_answers_exact(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store, writer = open_store(space=WIDE), open_store(space=WIDE)
    vectors = fill(store, item, MANY)
    query = np.random.default_rng(5).normal(size=WIDE.dimensions).astype(np.float32)
    made = np.random.default_rng(6)
    for _ in range(12):
        gone = [id for id in vectors if made.random() < 0.2]
        writer.remove([id.ref for id in gone])
        for id in gone:
            del vectors[id]
        drawn = made.normal(size=(40, WIDE.dimensions)).astype(np.float32)
        items = [
            item(f"n{made.integers(400)}", f"new {n} {made.random()}", vectors=[row])
            for n, row in enumerate(drawn)
        ]
        writer.replace(items)
        vectors |= {entries[0].chunk.id: entries[0].vector for _, entries in items}
        assert list(store.nearest(query, 25, Scope()).ids) == [
            id for id, _ in exactly(vectors, query, 25)
        ]


def test_a_reader_far_behind_catches_up(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store, writer = open_store(), open_store()
    writer.replace([item(f"{number:05d}", f"filling {number}") for number in range(MANY)])
    assert store.nearest(vector("filling 3"), 1, Scope()).ids[0].ref.key == "00003"
    for start in range(0, 1_200, 10):
        writer.remove([Ref("notes", f"{number:05d}") for number in range(start, start + 10)])
    writer.replace([item("00003", "filling 1400")])
    assert store.nearest(vector("filling 3"), 1, Scope()).scores[0] < 0.999
    assert [id.ref.key for id in store.nearest(vector("filling 1400"), 2, Scope()).ids] == [
        "00003",
        "01400",
    ]
    assert len(store.nearest(vector("x"), 5_000, Scope())) == MANY - 1_200 + 1


def test_an_old_state_is_answered_exactly_while_others_run_ahead(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store = open_store()
    store.replace([item(f"{number:05d}", f"filling {number}") for number in range(MANY)])
    store.nearest(vector("filling 1"), 1, Scope())
    before = store.nearest(vector("filling 1"), 50, Scope())

    def run_ahead() -> None:
        for number in range(12):
            store.replace([item("00001", f"other {number}")])
            assert store.nearest(vector(f"other {number}"), 1, Scope()).ids[0].ref.key == "00001"

    with store.snapshot():
        thread = threading.Thread(target=run_ahead)
        thread.start()
        thread.join()
        assert store.nearest(vector("filling 1"), 50, Scope()) == before
        with store.snapshot():
            assert store.nearest(vector("filling 1"), 50, Scope()) == before
    assert store.nearest(vector("filling 1"), 50, Scope()) != before


def test_a_commit_of_another_process_is_in_the_next_answer(
    store: SqliteStore,
    item: Callable[..., Any],
    vector: Callable[[str], Any],
    process: Callable[..., Any],
) -> None:
    store.replace([item(f"{number:05d}", f"filling {number}") for number in range(MANY)])
    store.nearest(vector("x"), 1, Scope())
    other = process(
        """
        store = SqliteStore(SPACE, path, durability="normal")
        for line in sys.stdin:
            store.replace([item_of("theirs", line.strip())])
            found = store.nearest(vector_of("mine " + line.strip()), 1, Scope())
            print(line.strip(), found.ids[0].ref.key, flush=True)
        """
    )
    for number in range(20):
        store.replace([item("mine", f"mine theirs {number}")])
        print(f"theirs {number}", file=other.stdin, flush=True)
        assert other.stdout.readline().strip() == f"theirs {number} mine"
        assert store.nearest(vector(f"theirs {number}"), 1, Scope()).ids[0].ref.key == "theirs"
        assert store.words(f"theirs {number}", 1, Scope()).ids[0].ref.key in ("theirs", "mine")


POISON = {
    "tiny": np.full(8, 1e-23, dtype=np.float32),
    "zero": np.zeros(8, dtype=np.float32),
    "NaN": np.array([np.nan, *[0.1] * 7], dtype=np.float32),
    "infinite": np.array([np.inf, *[0.1] * 7], dtype=np.float32),
    "too large": np.full(8, 1e200),
    "short": np.ones(7, dtype=np.float32),
    "long": np.ones(9, dtype=np.float32),
    "flat": np.ones((1, 8), dtype=np.float32),
    "complex": np.ones(8, dtype=np.complex64),
    "text": "not a vector",
    "words": ["a"] * 8,
    "nothing": [None] * 8,
    "ragged": [[1.0], [1.0, 2.0]],
    "true": [True] * 8,
    "number": 3,
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_invalid_vectors_are_neither_stored_nor_accepted_as_queries(
    poison: Any, store: SqliteStore, item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store.replace([item("good", "good"), item("waiting", "waiting", vectors=False)])
    with pytest.raises(VectorInvalid):
        store.replace([item("fine", "fine"), item("bad", "bad", vectors=[poison])])
    with pytest.raises(VectorInvalid):
        store.fill({"x": vector("x"), item("x", "waiting")[1][0].fingerprint: poison})
    with pytest.raises(VectorInvalid):
        store.nearest(poison, 1, Scope())
    with pytest.raises(VectorInvalid):
        store.similarity([], poison)
    assert [summary.ref.key for summary in store.documents(Scope())] == ["good", "waiting"]
    assert [chunk.passage for chunk in store.pending(9)] == ["waiting"]
    assert [id.ref.key for id in store.nearest(vector("good"), 9, Scope()).ids] == ["good"]


def test_nothing_may_be_missing_in_fill(store: SqliteStore, item: Callable[..., Any]) -> None:
    with pytest.raises(VectorInvalid, match="None"):
        store.fill({"x": None})  # type: ignore[dict-item]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(
    numbers=st.lists(st.floats(-1e30, 1e30), min_size=8, max_size=8),
    kind=st.sampled_from(["f2", "f4", "f8", "i4", "list"]),
)
def test_any_vector_of_some_length_is_kept_with_length_one(
    numbers: list[float], kind: str, store: SqliteStore, item: Callable[..., Any]
) -> None:
    with np.errstate(all="ignore"):
        given_vector: Any = numbers if kind == "list" else np.clip(numbers, -1e4, 1e4).astype(kind)
        length = float(np.linalg.norm(np.asarray(given_vector, dtype=np.float64)))
    one = item("1", "any", vectors=[given_vector])
    if not np.isfinite(length) or length <= 1e-6:
        with pytest.raises(VectorInvalid):
            store.replace([one])
        return
    store.remove([Ref("notes", "1")])
    store.replace([one])
    kept = store.known([one[1][0].fingerprint])[one[1][0].fingerprint]
    assert (
        kept.dtype == np.float32 and abs(float(np.linalg.norm(kept.astype(np.float64))) - 1) <= 1e-6
    )
    assert store.replace([one]).outcomes[0][1] == "unchanged"
    assert store.replace([item("1", "any", vectors=[kept])]).outcomes[0][1] == "unchanged"
    assert store.nearest(given_vector, 1, Scope()).scores[0] == pytest.approx(1.0, abs=1e-6)


def test_vectors_lie_in_the_file_as_float32(
    store: SqliteStore, item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store.replace([item("1", "one"), item("2", "two", vectors=False)])
    connection = apsw.Connection(str(store.path))
    rows = connection.execute(
        "select typeof(vector), vector from semantic_index_chunk order by id"
    ).fetchall()
    connection.close()
    assert rows == [("blob", vector("one").astype("<f4").tobytes()), ("null", None)]


def test_codes_are_read_one_segment_after_the_other(store: SqliteStore) -> None:
    connection = apsw.Connection(str(store.path))
    plan = [
        line
        for *_, line in connection.execute(f"explain query plan {segments.SEGMENTS_SINCE}", (1, -1))
    ]
    connection.close()
    assert plan and not any("B-TREE" in line for line in plan), plan


@pytest.mark.parametrize("dimensions", [1, 64, 768, 40_000])
def test_codes_without_a_sign_multiply_as_those_with_one_do(dimensions: int) -> None:
    chance = np.random.default_rng(dimensions)
    codes = chance.integers(-127, 128, (50, dimensions), dtype=np.int8)
    codes[0] = 127  # the largest products there can be
    scales = chance.random(50, dtype=np.float32)
    query = quantized.Query(np.full(dimensions, 1 / np.sqrt(dimensions)))
    scores = np.empty(50, dtype=np.float32)
    quantized.score(query, *quantized.shifted(codes), scales, scores)
    exact = codes.astype(np.int64).sum(axis=1) * 127 * scales.astype(np.float64)
    assert np.abs(scores - exact).max() <= 1e-6 * 255 * 255 * dimensions, (
        "off by more than float32 rounds"
    )
