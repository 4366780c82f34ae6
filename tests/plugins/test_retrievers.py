"""The candidates of a plugin's retriever are limited to the scope (tenant, collections, ``where``),
and removed chunks take no place in an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from semantic_core import (
    ChunkId,
    Document,
    Ranking,
    Ref,
    SearchRequest,
    SemanticCore,
    StoredChunk,
    hookimpl,
)
from semantic_core._memory.store import MemoryStore
from semantic_core.testing import HashEmbedder


class Service:
    """Answers what the function gives, whatever the scope."""

    def __init__(self, find: Callable[[SearchRequest], Sequence[ChunkId]]) -> None:
        self.find = find

    @hookimpl
    def semantic_retrieve(self, request: SearchRequest) -> Ranking:
        ids = tuple(self.find(request))[: request.pool]
        return Ranking("service", ids, tuple(float(-place) for place in range(len(ids))))


class CountingStore(MemoryStore):
    fetched = 0

    def fetch(self, ids: Sequence[ChunkId]) -> list[StoredChunk]:
        self.fetched += len(ids)
        return super().fetch(ids)


def opened(
    find: Callable[[SearchRequest], Sequence[ChunkId]], *documents: Document, **options: Any
) -> SemanticCore:
    embedder = HashEmbedder()
    store = CountingStore(embedder.space, **options)
    core = SemanticCore(store=store, embedder=embedder, plugins=[Service(find)])
    for document in documents:
        door = core.tenant(document.ref.tenant) if document.ref.tenant else core
        door.ingest(document)
    return core


def keys(results: Any) -> list[str]:
    return [hit.ref.key for hit in results]


def note(key: str, text: str = "The beans climb.", collection: str = "notes", **more: Any) -> Any:
    tenant = more.pop("tenant", "")
    return Document(Ref(collection, key, tenant), text, **more)


def first(*documents: Document) -> Callable[[SearchRequest], Sequence[ChunkId]]:
    return lambda request: [ChunkId(document.ref, 0) for document in documents]


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_nothing_of_another_tenant_is_found_by_a_retriever(mode: Any) -> None:
    mine, theirs = note("mine", tenant="acme"), note("theirs", "Peas.", tenant="other")
    core = opened(first(theirs, mine), mine, theirs, multi_tenant=True)
    results = core.tenant("acme").search("beans climb", mode=mode)
    assert keys(results) == ["mine"]
    assert results.degraded
    assert results.reason == (
        "plugin Service: semantic_retrieve: wanted ids within the scope, got some of another tenant"
    )
    assert "other" not in results.reason.replace("another", "")


def test_nothing_of_another_collection_is_found_by_a_retriever() -> None:
    note_, mail = note("note"), note("mail", collection="mails")
    core = opened(first(mail, note_), note_, mail)
    results = core.search("beans climb", collections=["notes"])
    assert keys(results) == ["note"]
    assert results.reason.endswith("wanted ids within the scope, got some of another collection")
    empty = core.search("beans climb", collections=["nothing"])
    assert (keys(empty), empty.degraded) == ([], True)
    assert not core.search("beans climb").degraded


@pytest.mark.parametrize(
    "where", [{"secret": False}, {"secret": {"ne": True}}, {"year": {"gte": 3}}]
)
def test_where_holds_for_what_a_retriever_finds(where: Any) -> None:
    shown = note("open", metadata={"secret": False, "year": 5})
    hidden = note("secret", "Peas.", metadata={"secret": True, "year": 1})
    core = opened(first(hidden, shown), shown, hidden)
    results = core.search("beans climb", where=where)
    assert keys(results) == ["open"]
    assert results.reason == (
        "plugin Service: semantic_retrieve: wanted ids within the scope, "
        "got some that where leaves out"
    )
    assert results[0].ranks["service"] == 1
    assert not core.search("beans climb").degraded


def test_ids_that_are_gone_cost_no_hits() -> None:
    """The service behind a retriever lags: ten hits asked for are ten hits, on every page."""
    documents = [note(f"{number:02}") for number in range(50)]
    ghosts = [ChunkId(Ref("notes", f"gone{number}"), 0) for number in range(40)]
    real = [ChunkId(document.ref, 0) for document in documents]

    def lags(request: SearchRequest) -> Sequence[ChunkId]:
        mixed = [*ghosts[:20], *real[:5], *ghosts[20:]]
        return [*mixed, ChunkId(documents[0].ref, 7)]

    core = opened(lags, *documents)
    for mode in ("hybrid", "vector", "text"):
        whole = core.search("beans climb", mode=mode, limit=100)
        assert sorted(keys(whole)) == sorted(document.ref.key for document in documents)
        for offset in (0, 10, 40):
            page = core.search("beans climb", mode=mode, limit=10, offset=offset)
            assert page.hits == whole.hits[offset : offset + 10]
            assert len(page) == 10
        assert not whole.degraded
        assert {hit.ranks.get("service") for hit in whole} == {None, 1, 2, 3, 4, 5}


def test_a_retriever_that_returns_only_removed_chunks_is_asked_for_more() -> None:
    documents = [note(f"{number:03}", "Peas." + " x" * number) for number in range(120)]
    ghosts = [ChunkId(Ref("notes", f"gone{number}"), 0) for number in range(100)]
    real = [ChunkId(document.ref, 0) for document in documents]
    core = opened(lambda request: [*ghosts, *real], *documents)
    found = core.search("zebra", mode="text", limit=50)
    assert keys(found) == [document.ref.key for document in documents[:50]]


def test_the_time_of_each_retriever_is_reported_by_its_plugin() -> None:
    core = opened(first(note("note")), note("note"))
    timings = core.search("beans climb").timings
    assert 0 <= timings["retrieve by Service"] <= timings["retrieve"]
    assert not any("core." in step for step in timings)


def test_only_what_the_kernel_did_not_find_itself_is_looked_up() -> None:
    documents = [note(f"{number:02}") for number in range(30)]
    core = opened(first(*documents), *documents)
    core.search("beans climb", limit=5)
    assert core.store.fetched == 5  # type: ignore[attr-defined]


def test_a_retriever_may_search_for_another_text_with_the_embedder_of_the_index() -> None:
    """As a plugin does that writes an answer and looks for passages like it."""

    class Imagines:
        @hookimpl
        def semantic_retrieve(
            self, request: SearchRequest, store: MemoryStore, embedder: HashEmbedder
        ) -> Ranking:
            vector = embedder.embed_query("sailing boats on the lake")
            found = store.nearest(vector, request.pool, request.scope)
            return Ranking("imagined", found.ids, found.scores)

    embedder = HashEmbedder()
    core = SemanticCore(store=MemoryStore(embedder.space), embedder=embedder, plugins=[Imagines()])
    core.ingest(
        Document(Ref("notes", "boats"), "sailing boats on the lake"),
        Document(Ref("notes", "trains"), "a train on its rails"),
    )
    [hit] = core.search("weekend", limit=1)
    assert hit.ref.key == "boats" and hit.ranks["imagined"] == 1
