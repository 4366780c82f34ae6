"""Searches of scopes large and small: by the index of pgvector and without it, and by words."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from postgres_server import Opener
from semantic_core_postgres import PostgresStore
from semantic_core_postgres.vector_search import EFFORTS, VectorSearch

from semantic_core import Scope, Space
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import AnalyserMismatch
from semantic_core.filters import Filter
from semantic_core.testing.check import Check, checks_in
from semantic_core.testing.stores import scopes, vectors
from semantic_core.testing.stores.samples import SPACE, item
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref

DIMENSIONS = 32
ROWS = 1_500
BY_INDEX = attrs.evolve(EFFORTS["usual"], few_chunks=-1)
"""Even a handful of chunks is searched by the index."""


def by_index(store: PostgresStore) -> PostgresStore:
    """The store, with every search by the index."""
    store._vectors = VectorSearch(store.space.dimensions, BY_INDEX)
    return store


@pytest.mark.parametrize("check", checks_in(vectors, scopes), ids=str)
def test_searches_by_the_index_keep_the_contract(check: Check, opener: Opener) -> None:
    def opened(space: Space, name: str = "index", **options: object) -> PostgresStore:
        return by_index(opener(space, name, **options))

    check(opened)


def test_the_limit_is_filled_at_every_selectivity(opener: Opener) -> None:
    random = np.random.default_rng(5)
    points = random.standard_normal((ROWS, DIMENSIONS)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    store = opener(Space("random", DIMENSIONS))
    batch = []
    for number, point in enumerate(points):
        ref = Ref("all", f"{number:05}")
        chunk = Chunk(ChunkId(ref, 0), "text", 0, 4)
        entry = Entry(chunk, "text", f"{number:032x}", point)
        batch.append((Document(ref, "text", metadata={"n": number}), [entry]))
    store.replace(batch)
    wholly = store._vectors
    for below in (ROWS, ROWS // 10, ROWS // 50, 12, 0):
        scope = Scope(filter=Filter.parse({"n": {"lt": below}}))
        recalls = []
        for query in random.standard_normal((5, DIMENSIONS)).astype(np.float32):
            store._vectors = wholly
            exact = store.nearest(query, 10, scope)
            by_index(store)
            found = store.nearest(query, 10, scope)
            assert len(found.ids) == len(exact.ids) == min(10, below)
            assert list(found.scores) == sorted(found.scores, reverse=True)
            if below:
                recalls.append(len(set(found.ids) & set(exact.ids)) / len(exact.ids))
        assert not recalls or np.mean(recalls) >= 0.9


def test_another_process_with_another_analyser_is_told(opener: Opener) -> None:
    class Other(WordAnalyser):
        @property
        def identity(self) -> str:
            return "other 1"

    store = opener(SPACE)
    other = opener(SPACE)
    store.replace([item(Ref("notes", "1"), "zorbak")])
    store.reanalyse(Other())
    with pytest.raises(AnalyserMismatch):
        other.replace([item(Ref("notes", "2"), "velquon")])
    with pytest.raises(AnalyserMismatch):
        other.words("zorbak", 5, Scope())
    other.use_analyser(Other())
    assert len(other.words("zorbak", 5, Scope()).ids) == 1


def test_words_are_weighed_within_their_tenant(opener: Opener) -> None:
    store = opener(SPACE, multi_tenant=True)
    for number in range(5):
        store.replace([item(Ref("notes", f"{number}", "acme"), "zorbak velquon")])
    before = store.words("zorbak", 5, Scope("acme")).scores
    for number in range(20):
        store.replace([item(Ref("notes", f"{number}", "zeta"), "zorbak")])
    assert store.words("zorbak", 5, Scope("acme")).scores == before
