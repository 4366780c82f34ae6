"""The store in memory, beyond the contract: it is the reference for others, so it must be right
itself.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from inspect import signature
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core._memory.store import (
    K1,
    LEAST_IDF,
    MOST_REPEATS,
    MOST_WORDS,
    B,
    MemoryStore,
    open_memory,
)
from semantic_core.errors import TenantRefused, TenantRequired, VectorInvalid
from semantic_core.protocols import Store, TextSearch, VectorQueue
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref, Scope, Space

SPACE = Space("test", 4)
EVERYTHING = Scope()


def unit(*numbers: float) -> np.ndarray:
    vector = np.array(numbers, dtype=np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def written(
    store: MemoryStore, *passages: str, tenant: str = "", vector: np.ndarray | None = None
) -> list[ChunkId]:
    """A document for each passage, named by its place; the chunks."""
    ids = []
    for place, passage in enumerate(passages):
        ref = Ref("notes", f"{place:03}", tenant)
        entry = Entry(
            Chunk(ChunkId(ref, 0), passage, 0, len(passage)), passage, f"{place:032x}", vector
        )
        store.replace([(Document(ref, passage), [entry])])
        ids.append(entry.chunk.id)
    return ids


def scores(store: MemoryStore, query: str) -> dict[str, float]:
    ranking = store.words(query, 1_000, EVERYTHING)
    return {id.ref.key: score for id, score in zip(ranking.ids, ranking.scores, strict=True)}


def fts5(passages: list[str], query: list[str]) -> dict[str, float]:
    """What SQLite's own BM25 gives, bigger is better."""
    connection = sqlite3.connect(":memory:")
    try:
        try:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5(passage)")
        except sqlite3.OperationalError:
            pytest.skip("This Python's SQLite was built without FTS5.")
        connection.executemany(
            "INSERT INTO words(rowid, passage) VALUES (?, ?)", enumerate(passages, start=1)
        )
        match = " OR ".join(f'"{word}"' for word in query)
        rows = connection.execute(
            "SELECT rowid, bm25(words) FROM words WHERE words MATCH ?", (match,)
        )
        return {f"{rowid - 1:03}": -rank for rowid, rank in rows}
    finally:
        connection.close()


words = st.sampled_from(["apple", "pear", "plum", "fig", "quince", "cherry"])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.lists(words, max_size=12).map(" ".join), min_size=1, max_size=8),
    st.lists(words, min_size=1, max_size=3),
)
def test_words_are_scored_as_sqlite_scores_them(passages, query):
    store = MemoryStore(SPACE)
    written(store, *passages)
    assert scores(store, " ".join(query)) == pytest.approx(fts5(passages, query), rel=1e-9)


def test_the_constants_of_bm25_are_those_of_the_literature_and_of_fts5():
    assert (K1, B, LEAST_IDF) == (1.2, 0.75, 1e-6)


def test_a_word_of_most_passages_weighs_next_to_nothing_but_is_found():
    store = MemoryStore(SPACE)
    written(store, "common", "common", "common")
    assert list(scores(store, "common").values()) == pytest.approx([LEAST_IDF] * 3)


def test_a_repeated_query_word_counts_up_to_three_times():
    store = MemoryStore(SPACE)
    written(store, "apple", "pear", "plum", "fig")
    once = scores(store, "apple")["000"]
    for times in (2, 3, 4, 500):
        assert scores(store, "apple " * times)["000"] == pytest.approx(
            once * min(times, MOST_REPEATS)
        )


def test_words_beyond_the_first_thirty_two_different_ones_are_not_looked_for():
    store = MemoryStore(SPACE)
    written(store, "inside", "outside")
    filling = [f"filler{number}" for number in range(MOST_WORDS - 1)]
    assert set(scores(store, " ".join([*filling, "inside", "outside"]))) == {"000"}
    assert set(scores(store, " ".join([*filling, "filler0 " * 50, "inside", "outside"]))) == {"000"}


@pytest.mark.parametrize(
    ("passage", "query", "found"),
    [
        ("Straße", "STRASSE", True),
        ("snake_case", "case", True),
        ("snake_case", "snake_case", True),
        ("don't", "don", True),
        ("item42", "42", False),
        ("running", "run", False),
        ("_", "_", False),
        ("日本語", "日本語", True),
    ],
)
def test_words_are_casefolded_runs_of_letters_and_digits_and_not_stemmed(passage, query, found):
    store = MemoryStore(SPACE)
    written(store, passage)
    assert bool(scores(store, query)) is found


def test_word_weights_are_counted_within_the_tenant():
    alone, beside = MemoryStore(SPACE, multi_tenant=True), MemoryStore(SPACE, multi_tenant=True)
    for store in (alone, beside):
        written(store, "apple pear", "plum", "fig", tenant="acme")
    written(beside, *["apple"] * 20, tenant="zeta")
    scope = Scope(tenant="acme")
    assert alone.words("apple", 10, scope) == beside.words("apple", 10, scope)


def test_equal_scores_have_equal_bits_at_any_size():
    store = MemoryStore(Space("odd", 67))
    vector = np.random.default_rng(1).normal(size=67).astype(np.float32)
    ids = written(store, *map(str, range(50)), vector=vector)
    ranking = store.nearest(vector[::-1].copy(), 100, EVERYTHING)
    assert (list(ranking.ids), len(set(ranking.scores))) == (ids, 1)


def test_a_vector_near_length_one_is_kept_bit_for_bit_and_another_one_is_scaled():
    store = MemoryStore(SPACE)
    kept = unit(1, 2, 3, 4)
    written(store, "kept", vector=kept)
    assert store.known([f"{0:032x}"])[f"{0:032x}"].tobytes() == kept.tobytes()
    written(store, "scaled", vector=kept * 3)
    assert np.allclose(store.known([f"{0:032x}"])[f"{0:032x}"], kept, atol=1e-7)


def test_what_known_gives_is_a_copy():
    store = MemoryStore(SPACE)
    written(store, "text", vector=unit(1, 0, 0, 0))
    store.known([f"{0:032x}"])[f"{0:032x}"][:] = 0
    assert store.nearest(unit(1, 0, 0, 0), 1, EVERYTHING).scores == (1.0,)


@pytest.mark.parametrize(
    ("vector", "got"),
    [
        (np.ones(3), "got shape (3,)"),
        (np.ones((1, 4)), "got shape (1, 4)"),
        (np.array([1, np.nan, 0, 0]), "got NaN or infinity"),
        (np.array([1, -np.inf, 0, 0]), "got NaN or infinity"),
        (np.zeros(4), "got length 0"),
        (np.full(4, 1e-23), "got length 2e-23"),
    ],
)
def test_a_refused_vector_is_told_what_was_wanted(vector, got):
    with pytest.raises(VectorInvalid) as refusal:
        MemoryStore(SPACE).nearest(vector, 1, EVERYTHING)
    assert str(refusal.value) == (
        f"wanted a vector of 4 finite numbers and some length, {got}. This store has vectors of "
        "test (4 dimensions)."
    )


def test_tenancy_is_refused_in_words():
    with pytest.raises(TenantRequired, match="wanted a tenant, got none"):
        MemoryStore(SPACE, multi_tenant=True).get(Ref("notes", "1"))
    with pytest.raises(TenantRefused, match="wanted none, got 'acme'"):
        MemoryStore(SPACE).get(Ref("notes", "1", "acme"))


def test_a_snapshot_keeps_nobody_waiting():
    store = MemoryStore(SPACE)
    written(store, "before")
    with store.snapshot():
        writer = threading.Thread(
            target=written, args=(store, "after", "and one more"), daemon=True
        )
        writer.start()
        writer.join(10)
        assert not writer.is_alive()
        assert [summary.characters for summary in store.documents(EVERYTHING)] == [len("before")]
    assert store.documents(EVERYTHING).total == 2


def test_the_factory_offers_an_empty_store_with_one_documented_option():
    assert list(signature(open_memory).parameters) == ["space", "multi_tenant"]
    assert get_type_hints(open_memory, include_extras=True)["multi_tenant"].__metadata__
    for option, many in ((None, False), (False, False), (True, True)):
        store = open_memory(SPACE, multi_tenant=option)
        assert (store.multi_tenant, store.space, store.stats().documents) == (many, SPACE, 0)
        assert (
            isinstance(store, Store)
            and isinstance(store, TextSearch)
            and isinstance(store, VectorQueue)
        )


def test_it_is_imported_without_numpy():
    code = "import semantic_core._memory.store, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
