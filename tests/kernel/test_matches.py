"""Total, facets and order of a search: what they count in each mode, with every kind of store, and
what is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from semantic_core import Document, Ref, SemanticCore, hookimpl
from semantic_core import _matches as matches
from semantic_core._memory.store import MemoryStore
from semantic_core.errors import InputError
from semantic_core.testing import HashEmbedder
from semantic_core.types import SearchHit

WITH_WORD = 12
"""Documents that hold the word "loop", of 20."""


def fill(core: SemanticCore) -> SemanticCore:
    for number in range(20):
        text = "a loop repeats" if number < WITH_WORD else "a file is open"
        metadata: dict[str, Any] = {"year": 2020 + number % 4, "author": f"a{number % 3}"}
        if number == 5:
            del metadata["year"]
        long = "\n\n".join([f"{text} {'and more ' * 30}"] * (3 if number == 2 else 1))
        core.ingest(Document(Ref("notes", f"{number:02}"), long, metadata=metadata))
    return core


@pytest.fixture(params=["memory", "sqlite"])
def core(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SemanticCore]:
    path = {"path": tmp_path / "index.db"} if request.param == "sqlite" else {}
    with SemanticCore(
        store=request.param, embedder=HashEmbedder(), plugins=["sqlite"], max_chars=200, **path
    ) as core:
        yield fill(core)


def test_what_the_total_is_in_each_mode(core: SemanticCore) -> None:
    totals = {}
    for mode in ("text", "hybrid", "vector"):
        found = core.search("loop", mode=mode, total=True, limit=3)  # type: ignore[arg-type]
        totals[mode] = (found.total, found.total_is_exact)
        assert "count" in found.timings
    assert totals == {"text": (12, True), "hybrid": (12, False), "vector": (20, False)}
    assert core.search("loop", limit=3).total is None
    assert core.search("absent", mode="text", total=True).total == 0


def test_pages_of_a_text_search_have_exactly_the_total(core: SemanticCore) -> None:
    found = core.search("loop open", mode="text", total=True, limit=100)
    assert (len(found), found.total) == (20, 20)


def test_with_a_least_score_the_total_is_what_pages_list(core: SemanticCore) -> None:
    for mode in ("text", "hybrid", "vector"):
        everything = core.search("loop", mode=mode, limit=100)  # type: ignore[arg-type]
        scores = [hit.score for hit in everything]
        least = sorted(scores)[len(scores) // 2]
        if least <= 0:
            continue
        listed = core.search("loop", mode=mode, limit=100, min_score=least)  # type: ignore[arg-type]
        found = core.search(
            "loop",
            mode=mode,
            limit=2,
            min_score=least,
            total=True,
            facets=["author"],  # type: ignore[arg-type]
        )
        assert (found.total, found.total_is_exact) == (len(listed), True)
        authors = [hit.metadata["author"] for hit in listed]
        assert dict(found.facets["author"]) == {name: authors.count(name) for name in set(authors)}


def test_facets_are_of_all_pages(core: SemanticCore) -> None:
    found = core.search("loop", mode="text", facets={"year": 2, "author": 9}, limit=1, offset=5)
    assert list(found.facets) == ["year", "author"]
    assert list(found.facets["year"]) == [(2020, 3), (2022, 3)]
    assert list(found.facets["author"]) == [("a0", 4), ("a1", 4), ("a2", 4)]
    assert found.facets["author"][0].documents == 4
    everything = core.search("loop", mode="vector", facets=["author"])
    assert sum(number for _, number in everything.facets["author"]) == 20


def test_order_by_a_field_lists_what_holds_a_word(core: SemanticCore) -> None:
    for order_by in ("year", "-year"):
        pages = [
            hit
            for offset in range(0, 15, 5)
            for hit in core.search("loop", order_by=order_by, limit=5, offset=offset)
        ]
        years = [hit.metadata.get("year") for hit in pages]
        assert len({hit.ref for hit in pages}) == len(pages) == WITH_WORD
        assert years[-1] is None
        held = [year for year in years if year is not None]
        assert held == sorted(held, reverse=order_by.startswith("-"))
    found = core.search("loop", order_by="year", limit=50)
    assert found.mode == "text"
    assert all(hit.score > 0 and "loop" in hit.text for hit in found)
    best = core.search("loop", mode="text", limit=50)
    assert {hit.ref: hit.id for hit in found} == {hit.ref: hit.id for hit in best}


def test_all_passages_or_the_best_one(core: SemanticCore) -> None:
    best = core.search("loop", mode="text", limit=50)
    every = core.search("loop", mode="text", limit=50, passages="all")
    assert len(best) == WITH_WORD < len(every)
    chunks = core.search_chunks("loop", mode="text", limit=50)
    assert [hit.id for hit in every] == [hit.id for hit in chunks]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total": 1}, "total must be True or False"),
        ({"facets": "author"}, "facets must be names"),
        ({"facets": 7}, "facets must be names"),
        ({"facets": {"author": 0}}, "from 1 to 1,000"),
        ({"facets": [""]}, "metadata key"),
        ({"facets": [f"f{number}" for number in range(33)]}, "the most is 32"),
        ({"order_by": 7}, "order_by must be a field"),
        ({"order_by": "-"}, "metadata key"),
        ({"order_by": "year", "mode": "vector"}, "every document has a distance"),
        ({"order_by": "year", "passages": "all"}, "order_by lists documents"),
        ({"passages": "some"}, "passages must be"),
    ],
)
def test_what_is_refused(core: SemanticCore, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        core.search("loop", **options)


class WithoutCounts(MemoryStore):
    """A store that searches words and does nothing further."""

    count = facets = ordered = None  # type: ignore[assignment]


class WithoutWords(MemoryStore):
    """A store without full-text search."""

    words = None  # type: ignore[assignment]


def test_a_store_that_cannot_count_is_read_as_far_as_that_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedder = HashEmbedder()
    with SemanticCore(store=WithoutCounts(embedder.space), embedder=embedder, plugins=[]) as core:
        fill(core)
        found = core.search("loop", mode="text", total=True)
        assert (found.total, found.total_is_exact) == (WITH_WORD, True)
        monkeypatch.setattr(matches, "MOST_READ", 5)
        bounded = core.search("loop", mode="text", total=True)
        assert (bounded.total, bounded.total_is_exact) == (5, False)
        with pytest.raises(InputError, match="no facets"):
            core.search("loop", facets=["year"])
        with pytest.raises(InputError, match="cannot order by a field"):
            core.search("loop", order_by="year")


def test_a_store_without_words_counts_what_is_in_scope() -> None:
    embedder = HashEmbedder()
    with SemanticCore(store=WithoutWords(embedder.space), embedder=embedder, plugins=[]) as core:
        fill(core)
        found = core.search("loop", total=True)
        assert (found.mode, found.total, found.total_is_exact) == ("vector", 20, False)


class Hides:
    """A reranker that leaves out a document."""

    @hookimpl
    def semantic_rerank(self, hits: Sequence[SearchHit]) -> Sequence[SearchHit]:
        return [hit for hit in hits if hit.ref.key != "03"]


def test_a_reranker_leaves_out_hits_of_an_order_and_the_total_is_not_exact() -> None:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[Hides()]) as core:
        fill(core)
        found = core.search("loop", order_by="year", limit=50, total=True)
        assert len(found) == WITH_WORD - 1
        assert "03" not in {hit.ref.key for hit in found}
        assert (found.total, found.total_is_exact) == (WITH_WORD, False)
        parts = [core.search("loop", order_by="year", limit=4, offset=at) for at in (0, 4, 8)]
        assert [hit.ref for part in parts for hit in part] == [hit.ref for hit in found]
