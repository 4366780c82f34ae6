"""`SemanticCore`: names and objects, tenants, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from semantic_core import ChunkId, Document, Ref, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core.errors import (
    ConfigError,
    InputError,
    ProviderNotFound,
    StoreMisuse,
    TenantRefused,
    TenantRequired,
)
from semantic_core.testing import HashEmbedder, JobEmbedder
from semantic_core.types import IngestMode


def opened(multi_tenant: bool = False, **options: Any) -> SemanticCore:
    embedder = HashEmbedder()
    store = MemoryStore(embedder.space, multi_tenant=multi_tenant)
    return SemanticCore(store=store, embedder=embedder, plugins=[], **options)


def note(key: str, text: str, tenant: str = "") -> Document:
    return Document(Ref("notes", key, tenant), text)


def test_documents_come_back_as_they_went_in_until_they_are_removed() -> None:
    core = opened()
    document = Document(
        Ref("notes", "1"),
        "walrus",
        title="W",
        metadata={"sea": True, "tags": ["a", "b"]},
        language="en",
    )
    core.ingest(document)
    assert core.get(Ref("notes", "1")) == document
    assert core.remove(Ref("notes", "1"), Ref("notes", "2")) == 1
    assert core.get(Ref("notes", "1")) is None
    assert len(core.search("walrus")) == 0


def test_documents_are_listed_in_order_with_their_total() -> None:
    core = opened()
    core.ingest(note(str(number), "x") for number in range(5))
    page = core.documents(offset=1, limit=2)
    assert ([item.ref.key for item in page], page.total) == (["1", "2"], 5)


class Locked(HashEmbedder):
    """An embedder that takes keys."""

    def __init__(self, keyring: object = None) -> None:
        super().__init__(8)
        self.keyring = keyring


def offering(**embedders: Callable[..., Any]) -> Any:
    class Offers:
        @hookimpl
        def semantic_embedders(self) -> Any:
            return embedders

    return Offers()


def test_keys_are_handed_to_the_embedder_that_takes_keys() -> None:
    keys = object()
    plugins = [offering(locked=Locked, open=HashEmbedder)]
    core = SemanticCore(store="memory", keys=keys, plugins=plugins)
    assert isinstance(core.embedder, Locked) and core.embedder.keyring is keys
    core = SemanticCore(store="memory", embedder="locked", keys=keys, plugins=plugins)
    assert isinstance(core.embedder, Locked) and core.embedder.keyring is keys
    core = SemanticCore.from_config(store="memory", keys=keys, plugins=plugins)
    assert isinstance(core.embedder, Locked) and core.embedder.keyring is keys


class Ring:
    """The keys of one of several embedders."""


class Ringed(Locked):
    def __init__(self, keyring: Ring | None = None) -> None:
        super().__init__(keyring)


def test_of_several_embedders_that_take_keys_the_class_of_the_keys_says_which() -> None:
    plugins = [offering(locked=Locked, ringed=Ringed)]
    core = SemanticCore(store="memory", keys=Ring(), plugins=plugins)
    assert isinstance(core.embedder, Ringed)
    with pytest.raises(ConfigError, match="Several embedders take keys, and str does not tell"):
        SemanticCore(store="memory", keys="secret", plugins=plugins)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedder": "open"}, "'open' takes no keys; of those installed locked does"),
        ({"embedder": None}, "here is none"),
        ({"embedder": HashEmbedder()}, "given as an object"),
        ({"embedder": "locked", "embedder_options": {"keyring": 1}}, "a keyring in embedder_opt"),
    ],
)
def test_keys_an_embedder_cannot_take_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SemanticCore(
            store="memory",
            keys=object(),
            plugins=[offering(locked=Locked, open=HashEmbedder)],
            **options,
        )


def test_rules_of_batch_jobs_are_settings() -> None:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[], batch={"job_size": 7})
    assert core.batch_manager.rules.job_size == 7
    with pytest.raises(ConfigError, match="batch must be a table with job_size"):
        SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[], batch={"size": 7})


def test_a_store_by_name_takes_its_options() -> None:
    with SemanticCore(
        store="memory", embedder=HashEmbedder(), multi_tenant=True, plugins=[]
    ) as core:
        assert core.store.multi_tenant


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ProviderNotFound, match="memori"):
        SemanticCore(store="memori", embedder=HashEmbedder(), plugins=[])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda core: core.documents(limit=True), "limit must be a whole number from 0, got True."),
        (lambda core: core.documents(limit=-1), "limit must be a whole number from 0, got -1."),
        (lambda core: core.documents(offset=1.0), "offset must be a whole number from 0, got 1.0."),
        (lambda core: core.embed_pending(True), "limit must be a whole number from 0, got True."),
        (lambda core: core.embed_pending("5"), "limit must be a whole number from 0, got '5'."),
        (
            lambda core: core.search("x", limit=True),
            "limit must be a whole number from 1, got True.",
        ),
        (
            lambda core: core.search("x", offset=False),
            "offset must be a whole number from 0, got False.",
        ),
        (
            lambda core: core.context_window(ChunkId(Ref("notes", "1"), 0), after=True),
            "after must be a whole number from 0 to 1,000, got True.",
        ),
        (
            lambda core: core.context_window("notes/1#0"),
            "Wanted a hit or a ChunkId, got 'notes/1#0'.",
        ),
        (
            lambda core: opened(max_chars=True),
            "max_chars must be a whole number from 50 to 2,000, got True.",
        ),
        (
            lambda core: SemanticCore(
                store="memory", embedder=HashEmbedder(), multi_tenant="no", plugins=[]
            ),
            "multi_tenant must be True, False or None, got 'no'.",
        ),
    ],
)
def test_a_number_of_another_kind_is_refused_where_it_is_passed(
    call: Callable[[SemanticCore], object], message: str
) -> None:
    core = opened()
    core.ingest(note("1", "walrus"))
    with pytest.raises(InputError) as refusal:
        call(core)
    assert refusal.value.message == message


def test_options_for_an_object_are_refused() -> None:
    embedder = HashEmbedder()
    with pytest.raises(InputError, match="The store is given as an object; path"):
        SemanticCore(store=MemoryStore(embedder.space), embedder=embedder, path="x.db", plugins=[])
    with pytest.raises(InputError, match="embedder_options"):
        SemanticCore(store="memory", embedder=embedder, embedder_options={"a": 1}, plugins=[])


@pytest.mark.parametrize("wrong", [49, 10**9, True, "100"])
def test_a_chunk_size_the_embedder_cannot_read_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="max_chars must be a whole number from 50 to"):
        opened(max_chars=wrong)


def test_a_file_becomes_a_document(tmp_path: Path) -> None:
    path = tmp_path / "loops.txt"
    path.write_text("for and while repeat a block")
    core = opened()
    assert core.ingest_file(path, metadata={"lang": "en"}).added == 1
    hit = core.search("repeat a block", where={"lang": "en"})[0]
    assert (hit.ref, hit.title, hit.metadata["path"]) == (
        Ref("files", path.as_posix()),
        "loops",
        path.as_posix(),
    )
    assert core.ingest_file(path, key="loops", collection="notes").added == 1


def test_a_tenant_sees_its_own_and_need_not_name_itself() -> None:
    core = opened(multi_tenant=True)
    acme, globex = core.tenant("acme"), core.tenant("globex")
    acme.ingest(note("1", "walrus of acme"))
    globex.ingest(note("1", "walrus of globex"))
    assert [hit.text for hit in acme.search("walrus")] == ["walrus of acme"]
    assert acme.get(Ref("notes", "1")).text == "walrus of acme"  # type: ignore[union-attr]
    assert acme.search("walrus")[0].ref == Ref("notes", "1", "acme")
    assert acme.documents().total == acme.stats().documents == 1
    assert core.stats(all_tenants=True).documents == 2
    assert acme.remove(Ref("notes", "1")) == 1
    assert globex.stats().documents == 1


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_no_report_tells_a_tenant_what_another_holds(
    tmp_path: Path, store: str, mode: IngestMode
) -> None:
    place = {"path": tmp_path / "all.db"} if store == "sqlite" else {}
    with SemanticCore(store=store, embedder=JobEmbedder(), multi_tenant=True, **place) as core:
        victim, spy = core.tenant("victim"), core.tenant("spy")
        victim.ingest(note("1", "held by both"))
        told = []
        for number, text in enumerate(("held by both", "held by nobody")):
            report = spy.ingest(note(str(number), text), mode=mode)
            counts = (report.added, report.chunks, report.embedded, report.reused, report.pending)
            queue = attrs.evolve(core.batch_manager.queue_stats("spy"), oldest_at=0.0)
            told.append((counts, queue, spy.stats().pending))
            spy.remove(Ref("notes", str(number)))
        assert told[0] == told[1]
        own = [spy.ingest(note(key, "its own")) for key in ("2", "3")]
        assert [(report.embedded, report.reused) for report in own] == [(1, 0), (0, 1)]
        spent = {each.tenant: each.passages for each in core.batch_manager.costs()}
        assert spent == {"victim": 1, "spy": 3 if mode == "sync" else 1}


def test_what_waits_with_one_tenant_is_not_filled_by_another() -> None:
    core = opened(multi_tenant=True)
    victim, spy = core.tenant("victim"), core.tenant("spy")
    spy.ingest(note("1", "held by both"), mode="async")
    victim.ingest(note("1", "held by both"))
    assert spy.stats().pending == 1
    assert core.embed_pending() == 1
    assert spy.stats().pending == 0


def test_a_multi_tenant_store_answers_no_call_without_a_tenant() -> None:
    core = opened(multi_tenant=True)
    for call in (
        lambda: core.search("x"),
        lambda: core.search_chunks("x"),
        lambda: core.documents(),
        lambda: core.stats(),
        lambda: core.get(Ref("notes", "1")),
        lambda: core.remove(Ref("notes", "1")),
        lambda: core.ingest(note("1", "x")),
        lambda: core.context_window(_id()),
    ):
        with pytest.raises(TenantRequired):
            call()


def test_a_client_of_one_tenant_refuses_refs_of_another() -> None:
    acme = opened(multi_tenant=True).tenant("acme")
    for call in (
        lambda: acme.get(Ref("notes", "1", "globex")),
        lambda: acme.remove(Ref("notes", "1", "globex")),
        lambda: acme.ingest(note("1", "x", tenant="globex")),
        lambda: acme.tenant("globex"),
    ):
        with pytest.raises(TenantRefused, match="acme"):
            call()
    assert acme.tenant("acme").search("x").hits == ()


def test_a_single_tenant_store_has_no_clients_for_tenants() -> None:
    with pytest.raises(TenantRefused, match="multi_tenant=True"):
        opened().tenant("acme")
    with pytest.raises(TenantRefused):
        opened().ingest(note("1", "x", tenant="acme"))


@pytest.mark.parametrize("name", ["", "a\nb", 5])
def test_a_tenant_has_a_proper_name(name: Any) -> None:
    with pytest.raises(InputError):
        opened(multi_tenant=True).tenant(name)


def test_closing_the_client_of_a_tenant_leaves_the_index_open() -> None:
    core = opened(multi_tenant=True)
    with core.tenant("acme") as acme:
        acme.ingest(note("1", "x"))
    assert core.stats(all_tenants=True).documents == 1
    core.close()
    core.close()
    with pytest.raises(StoreMisuse):
        core.stats(all_tenants=True)


def test_the_repr_says_what_it_is() -> None:
    core = opened(multi_tenant=True)
    assert repr(core.tenant("acme")).startswith("<SemanticCore MemoryStore, ")
    assert "tenant='acme'" in repr(core.tenant("acme"))


def _id() -> Any:
    from semantic_core import ChunkId

    return ChunkId(Ref("notes", "1"), 0)
