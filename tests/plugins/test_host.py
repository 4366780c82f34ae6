"""The plugins of one core: called in order, checked once, and one that fails is named."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import (
    Chunk,
    ChunkId,
    Document,
    Ranking,
    Ref,
    Scope,
    SearchHit,
    SearchRequest,
    Space,
    hookimpl,
)
from semantic_core._memory.store import MemoryStore
from semantic_core._plugins.host import Plugins
from semantic_core._plugins.records import OptionInfo
from semantic_core.errors import (
    ConfigError,
    HookFailed,
    PluginBroken,
    PluginConflict,
    ProviderNotFound,
    StoreBusy,
    StoreForeign,
)
from semantic_core.testing import HashEmbedder

SPACE = Space("hash", 64)
REF = Ref("notes", "1")
DOCUMENT = Document(REF, "one two three")
A, B, C = (ChunkId(REF, position) for position in range(3))
REQUEST = SearchRequest("what", Scope(), "hybrid", limit=5, offset=0, pool=3)
STORE = MemoryStore(SPACE)
EMBEDDER = HashEmbedder()


def plugin(name: str = "probe", **hooks: Callable[..., Any]) -> Any:
    """A plugin module of that name with these functions as its hooks."""
    module = ModuleType(name)
    for hook, function in hooks.items():
        setattr(
            module,
            hook,
            hookimpl(function) if not hasattr(function, "semantic_core_impl") else function,
        )
    return module


def hit(id: ChunkId, text: str = "") -> SearchHit:
    return SearchHit(id.ref, id.position, "", (), text, 0, len(text), 1.0, {}, {})


def chunk(start: int, end: int, /, position: int = 0, **changes: Any) -> Chunk:
    made = Chunk(ChunkId(REF, position), DOCUMENT.text[start:end], start, end)
    return attrs.evolve(made, **changes)


def test_the_first_in_order_of_name_answers_and_the_kernel_answers_last() -> None:
    asked: list[str] = []

    def asks(name: str, answer: object = None) -> Callable[..., Any]:
        def semantic_describe(document: Document) -> Any:
            asked.append(name)
            return answer

        return semantic_describe

    plugins = [plugin(name, semantic_describe=asks(name)) for name in ("c", "a", "d")]
    plugins.append(plugin("b", semantic_describe=hookimpl(asks("b"), trylast=True)))
    plugins.append(plugin("z", semantic_describe=hookimpl(asks("z"), tryfirst=True)))
    loaded = Plugins.load(plugins)
    assert loaded.describe(DOCUMENT) == DOCUMENT
    assert asked == ["z", "a", "c", "d", "b"]
    assert [info.name for info in loaded.infos][:5] == ["a", "b", "c", "d", "z"]
    assert all(info.origin == "built in" for info in loaded.infos[5:])
    asked.clear()
    Plugins.load([*plugins, plugin("bb", semantic_describe=asks("bb", DOCUMENT))]).describe(
        DOCUMENT
    )
    assert asked == ["z", "a", "bb"]


def test_each_core_has_its_own_plugins() -> None:
    one = Plugins.load([plugin("one", semantic_split=lambda document: [])])
    other = Plugins.load([])
    assert one.split(DOCUMENT, 50) == []
    assert len(other.split(DOCUMENT, 50)) == 1


def test_a_plugin_takes_the_parameters_it_needs() -> None:
    seen: list[object] = []

    def by_name(*, max_chars: int) -> None:
        seen.append(max_chars)

    def by_place(max_chars: int, document: Document, /) -> None:
        seen.append((max_chars, document))

    def with_default(max_chars: int = 7) -> None:
        seen.append(max_chars)

    def with_rest(document: Document, *rest: object, **more: object) -> None:
        seen.append((document, rest, more))

    hooks = (by_name, by_place, with_default, with_rest, lambda: seen.append("none"))
    Plugins.load(
        [plugin(f"p{place}", semantic_split=hook) for place, hook in enumerate(hooks)]
    ).split(DOCUMENT, 60)
    assert seen == [60, (60, DOCUMENT), 60, (DOCUMENT, (), {}), "none"]


def test_a_class_is_made_an_object_and_methods_see_it() -> None:
    class Counting:
        def __init__(self) -> None:
            self.count = 0

        @hookimpl
        def semantic_split(self, document: Document) -> Sequence[Chunk]:
            self.count += 1
            return [chunk(0, self.count)]

    loaded = Plugins.load([Counting])
    assert [loaded.split(DOCUMENT, 50)[0].end for _ in range(3)] == [1, 2, 3]


def test_plugins_that_are_equal_or_cannot_be_hashed_are_kept_apart() -> None:
    class Equal:
        __hash__ = None  # type: ignore[assignment]

        def __init__(self, name: str) -> None:
            self.__name__ = name

        def __eq__(self, other: object) -> bool:
            return True

        @hookimpl
        def semantic_retrieve(self) -> Ranking:
            return Ranking(self.__name__)

    rankings, reasons, *_ = Plugins.load([Equal("one"), Equal("two")]).retrieve(
        REQUEST, STORE, EMBEDDER
    )
    assert {"one", "two"} <= {ranking.source for ranking in rankings}
    assert not reasons


# Wrappers


def wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    return hookimpl(function, wrapper=True)


def reranking(*plugins: Any) -> list[ChunkId]:
    hits, _ = Plugins.load(plugins).rerank(REQUEST, [hit(A), hit(B), hit(C)], STORE)
    return [found.id for found in hits]


def describing(*plugins: Any) -> str:
    return Plugins.load(plugins).describe(DOCUMENT).title


def test_a_wrapper_gets_what_all_others_made_and_has_the_last_word() -> None:
    seen: list[object] = []

    @wrapper
    def outer(hits: Sequence[SearchHit]) -> Iterator[None]:
        seen.append(len(hits))
        answer = yield
        seen.append([found.id for found in answer])
        return answer[:1]

    @wrapper
    def inner() -> Iterator[None]:
        return list(reversed((yield)))

    assert reranking(plugin("a", semantic_rerank=outer), plugin("b", semantic_rerank=inner)) == [C]
    assert seen == [3, [C, B, A]]


def test_a_wrapper_may_change_its_list_in_place_without_touching_the_callers() -> None:
    @wrapper
    def sorts() -> Iterator[None]:
        hits = yield
        hits.reverse()
        return hits

    hits = [hit(A), hit(B)]
    ordered, _ = Plugins.load([plugin(semantic_rerank=sorts)]).rerank(REQUEST, hits, STORE)
    assert [found.id for found in ordered] == [B, A]
    assert [found.id for found in hits] == [A, B]


def test_a_wrapper_may_answer_for_one_that_failed_and_sees_its_very_error() -> None:
    class Own(Exception):
        pass

    def fails() -> None:
        raise Own("inside")

    @wrapper
    def rescues(document: Document) -> Iterator[None]:
        try:
            return (yield)
        except Own as error:
            assert str(error) == "inside"
            return attrs.evolve(document, title="rescued")

    told = describing(plugin("a", semantic_describe=rescues), plugin("b", semantic_describe=fails))
    assert told == "rescued"


def test_whoever_raised_in_a_chain_is_named() -> None:
    @wrapper
    def passes() -> Iterator[None]:
        return (yield)

    @wrapper
    def cleans_up() -> Iterator[None]:
        try:
            return (yield)
        finally:
            closed.append(True)

    @wrapper
    def raises_before() -> Iterator[None]:
        raise OSError("before")
        yield

    @wrapper
    def raises_after() -> Iterator[None]:
        yield
        raise OSError("after")

    @wrapper
    def replaces() -> Iterator[None]:
        try:
            return (yield)
        except ValueError as error:
            raise LookupError("instead") from error

    def fails() -> None:
        raise ValueError("inner")

    def stops() -> None:
        raise StopIteration("odd")

    closed: list[bool] = []
    around = [
        plugin("around", semantic_describe=passes),
        plugin("between", semantic_describe=cleans_up),
    ]
    for name, function, told in (
        ("guilty", fails, "ValueError: inner"),
        ("guilty", raises_before, "OSError: before"),
        ("guilty", raises_after, "OSError: after"),
        ("stopper", stops, "StopIteration: odd"),
    ):
        with pytest.raises(
            HookFailed, match=f"Plugin '{name}' raised in semantic_describe of notes/1: {told}"
        ) as failure:
            describing(*around, plugin(name, semantic_describe=function))
        assert f"{type(failure.value.__cause__).__name__}: {failure.value.__cause__}" == told
    assert closed == [True] * 4
    with pytest.raises(
        HookFailed,
        match="Plugin 'inner' raised in semantic_describe of notes/1: LookupError: instead",
    ):
        describing(
            *around,
            plugin("inner", semantic_describe=replaces),
            plugin("other", semantic_describe=fails),
        )


def test_a_wrapper_that_yields_twice_or_never_is_named() -> None:
    @wrapper
    def twice() -> Iterator[None]:
        yield
        yield

    @wrapper
    def never() -> Iterator[None]:
        if REQUEST.limit < 0:
            yield
        return []

    with pytest.raises(
        HookFailed, match="Plugin 'probe' raised .*: RuntimeError: its wrapper has a second yield"
    ):
        reranking(plugin(semantic_rerank=twice))
    with pytest.raises(
        HookFailed,
        match="Plugin 'probe' raised .*: RuntimeError: its wrapper returned before its yield",
    ):
        reranking(plugin(semantic_rerank=never))


def test_the_one_whose_answer_is_wrong_is_named_even_behind_a_wrapper() -> None:
    @wrapper
    def passes() -> Iterator[None]:
        return (yield)

    @wrapper
    def doubles_in_place() -> Iterator[None]:
        hits = yield
        hits.append(hits[0])
        return hits

    def invents() -> list[SearchHit]:
        return [hit(ChunkId(REF, 99))]

    with pytest.raises(
        HookFailed, match="Plugin 'guilty' broke the contract of semantic_rerank: .* got another at"
    ):
        reranking(
            plugin("around", semantic_rerank=passes), plugin("guilty", semantic_rerank=invents)
        )
    with pytest.raises(
        HookFailed, match="Plugin 'guilty' broke the contract .* wanted each hit once"
    ):
        reranking(
            plugin("around", semantic_rerank=passes),
            plugin("guilty", semantic_rerank=doubles_in_place),
        )


def test_a_person_may_interrupt_any_hook_and_wrappers_clean_up() -> None:
    cleaned: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    @wrapper
    def swallows() -> Iterator[None]:
        try:
            return (yield)
        except BaseException:  # noqa: BLE001 - what a bad wrapper does
            return []
        finally:
            cleaned.append("up")

    hooks = dict.fromkeys(("semantic_retrieve", "semantic_rerank", "semantic_split"), interrupted)
    loaded = Plugins.load([plugin("inner", **hooks), plugin("outer", semantic_rerank=swallows)])
    for call in (
        lambda: loaded.retrieve(REQUEST, STORE, EMBEDDER),
        lambda: loaded.rerank(REQUEST, [], STORE),
        lambda: loaded.split(DOCUMENT, 50),
    ):
        with pytest.raises(KeyboardInterrupt):
            call()
    assert cleaned == ["up"]


@pytest.mark.parametrize(
    "error",
    [ValueError("v"), SystemExit(2), GeneratorExit(), RecursionError("deep"), MemoryError()],
)
def test_any_error_of_a_hook_names_the_plugin_and_the_document(error: BaseException) -> None:
    def fails() -> None:
        raise error

    loaded = Plugins.load(
        [plugin("guilty", semantic_split=fails, semantic_context=fails, semantic_describe=fails)]
    )
    for hook, call in {
        "semantic_split": lambda: loaded.split(DOCUMENT, 50),
        "semantic_context": lambda: loaded.context(DOCUMENT, []),
        "semantic_describe": lambda: loaded.describe(DOCUMENT),
    }.items():
        with pytest.raises(
            HookFailed, match=f"Plugin 'guilty' raised in {hook} of notes/1: {type(error).__name__}"
        ) as found:
            call()
        assert found.value.__cause__ is error


def test_endless_recursion_in_a_plugin_is_its_failure_alone() -> None:
    def endless(document: Document) -> Any:
        return endless(document)

    with pytest.raises(HookFailed, match="RecursionError"):
        Plugins.load([plugin(semantic_split=endless)]).split(DOCUMENT, 50)


# What a hook answers


@pytest.mark.parametrize(
    ("chunks", "fault"),
    [
        ("text", "wanted a list of Chunk, got str"),
        (iter([]), "wanted a list of Chunk, got list_iterator"),
        (["text"], "chunk 0: wanted a Chunk, got str"),
        ([chunk(0, 3, 1)], "chunk 0: wanted id notes/1#0, got ChunkId"),
        ([chunk(0, 3), chunk(4, 7)], "chunk 1: wanted id notes/1#1"),
        ([chunk(0, 3, id=ChunkId(Ref("notes", "2"), 0))], "chunk 0: wanted id notes/1#0"),
        ([chunk(0, 3, text="One")], "chunk 0: wanted the document's characters 0 to 3, got 'One'"),
        ([chunk(0, 3, start=-13, end=3)], "chunk 0: wanted 0 <= start <= end <= 13, got (-13, 3)"),
        ([chunk(0, 13, end=14)], "chunk 0: wanted 0 <= start <= end <= 13, got (0, 14)"),
        ([chunk(0, 3, start=0.0)], "chunk 0: wanted 0 <= start <= end <= 13, got (0.0, 3)"),
        ([chunk(0, 3, start=False)], "chunk 0: wanted 0 <= start <= end <= 13, got (False, 3)"),
        ([chunk(0, 3, id=ChunkId(REF, False))], "chunk 0: wanted id notes/1#0, got ChunkId("),
        ([chunk(4, 7), chunk(0, 3, 1)], "chunk 1: wanted 4 <= start <= end <= 13, got (0, 3)"),
        ([chunk(0, 13)], "chunk 0: wanted at most 10 characters, got 13"),
        (
            [chunk(0, 3, kind="poem")],
            "chunk 0: wanted one of the kinds text, code, table, list, got 'poem'",
        ),
        (
            [chunk(0, 3, headings=["One"])],
            "chunk 0: wanted a tuple of str as headings, got ['One']",
        ),
    ],
)
def test_chunks_that_break_the_contract_are_refused_with_plugin_hook_and_document(
    chunks: Any, fault: str
) -> None:
    loaded = Plugins.load([plugin("cutter", semantic_split=lambda: chunks)])
    with pytest.raises(HookFailed) as failure:
        loaded.split(DOCUMENT, 10)
    assert str(failure.value).startswith(
        f"Plugin 'cutter' broke the contract of semantic_split of notes/1: {fault}"
    )


def test_overlapping_chunks_and_none_at_all_are_fine() -> None:
    cuts = (chunk(0, 7), chunk(0, 3, 1), chunk(2, 9, 2))
    assert Plugins.load([plugin(semantic_split=lambda: cuts)]).split(DOCUMENT, 10) == list(cuts)
    assert Plugins.load([plugin(semantic_split=lambda document: [])]).split(DOCUMENT, 10) == []


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40), st.data())
def test_no_chunk_with_a_wrong_place_passes(text: str, data: st.DataObject) -> None:
    document = Document(REF, text)
    start = data.draw(st.integers(-2, len(text) + 2))
    end = data.draw(st.integers(-2, len(text) + 2))
    told = data.draw(st.sampled_from([text[start:end], text, "", text[:1]]))
    loaded = Plugins.load(
        [plugin(semantic_split=lambda: [Chunk(ChunkId(REF, 0), told, start, end)])]
    )
    honest = 0 <= start <= end <= len(text) and text[start:end] == told and len(told) <= 20
    try:
        loaded.split(document, 20)
        assert honest
    except HookFailed:
        assert not honest


@pytest.mark.parametrize(
    ("passages", "fault"),
    [
        ("ab", "wanted a list of str, got str"),
        (["a"], "wanted 2 passages, one per chunk, got 1"),
        (["a", None], "passage 1 must be a str, got NoneType: None"),
        (["a", "\ud800"], "passage 1 holds a lone surrogate"),
    ],
)
def test_passages_that_break_the_contract_are_refused(passages: Any, fault: str) -> None:
    loaded = Plugins.load([plugin("writer", semantic_context=lambda: passages)])
    with pytest.raises(
        HookFailed,
        match=f"Plugin 'writer' broke the contract of semantic_context of notes/1: {fault}",
    ):
        loaded.context(DOCUMENT, [chunk(0, 3), chunk(4, 7, 1)])


def test_a_context_plugin_cannot_change_the_chunks() -> None:
    def greedy(chunks: list[Chunk]) -> list[str]:
        return [str(chunks.pop()) for _ in range(2)]

    chunks = [chunk(0, 3), chunk(4, 7, 1)]
    Plugins.load([plugin(semantic_context=greedy)]).context(DOCUMENT, chunks)
    assert len(chunks) == 2


@pytest.mark.parametrize(
    ("described", "fault"),
    [
        ("title", "wanted a Document, got str"),
        (Document(Ref("notes", "2"), DOCUMENT.text), "wanted the same ref and text, got others"),
        (Document(REF, "other"), "wanted the same ref and text, got others"),
    ],
)
def test_a_description_may_not_change_ref_or_text(described: Any, fault: str) -> None:
    loaded = Plugins.load([plugin("reader", semantic_describe=lambda: described)])
    with pytest.raises(
        HookFailed,
        match=f"Plugin 'reader' broke the contract of semantic_describe of notes/1: {fault}",
    ):
        loaded.describe(DOCUMENT)


def test_a_description_fills_in_the_rest() -> None:
    titled = Document(REF, DOCUMENT.text, title="Numbers", language="en")
    assert Plugins.load([plugin(semantic_describe=lambda: titled)]).describe(DOCUMENT) == titled


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ([A], "wanted a Ranking, got list"),
        (Ranking(""), "wanted a source that names it, got ''"),
        (Ranking("vector"), "another plugin gave a ranking of the source 'vector' already"),
        (
            Ranking("x", (A, B, C, ChunkId(REF, 3)), (4, 3, 2, 1)),
            "wanted at most 3 candidates, got 4",
        ),
        (Ranking("x", (A, A), (2, 1)), "wanted each id once, got one twice, at place 2"),
        (Ranking("x", (A,), (float("nan"),)), "wanted finite scores, got nan at place 1"),
        (Ranking("x", (A,), ("1",)), "wanted finite scores, got '1' at place 1"),  # type: ignore[arg-type]
        (Ranking("x", ("a",), (1.0,)), "wanted ChunkIds, got str"),  # type: ignore[arg-type]
        (Ranking("x", (ChunkId("notes", 0),), (1.0,)), "wanted ChunkIds, got ChunkId"),  # type: ignore[arg-type]
        (Ranking("x", (ChunkId(REF, "0"),), (1.0,)), "wanted ChunkIds, got ChunkId"),  # type: ignore[arg-type]
        (
            Ranking("x", (A, B), (0.1, 0.9)),
            "wanted the best first and bigger scores for better ones",
        ),
    ],
)
def test_a_retriever_that_breaks_the_contract_is_left_out_with_its_reason(
    answer: Any, fault: str
) -> None:
    plugins = [
        plugin("wrong", semantic_retrieve=lambda: answer),
        plugin("other", semantic_retrieve=lambda: Ranking("other", (A,), (1,))),
    ]
    rankings, reasons, *_ = Plugins.load(plugins).retrieve(
        attrs.evolve(REQUEST, vector=HashEmbedder().embed_query("x")), STORE, EMBEDDER
    )
    assert {ranking.source for ranking in rankings} == {"vector", "words", "other"}
    assert len(reasons) == 1 and reasons[0].startswith(f"plugin wrong: semantic_retrieve: {fault}")


def test_a_retriever_that_raises_silences_nobody() -> None:
    def fails() -> None:
        raise SystemExit("no network")

    plugins = [
        plugin("a", semantic_retrieve=fails),
        plugin("b", semantic_retrieve=lambda: Ranking("b", (A,), (1,))),
    ]
    rankings, reasons, *_ = Plugins.load(plugins).retrieve(REQUEST, STORE, EMBEDDER)
    assert [ranking.source for ranking in rankings] == ["words", "b"]
    assert reasons == ["plugin a: SystemExit: no network"]


class BusyStore(MemoryStore):
    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        raise StoreBusy("Someone writes.")


def test_when_the_kernels_own_retrieval_fails_and_nobody_else_finds_the_error_itself_comes_through() -> (  # noqa: E501
    None
):
    store = BusyStore(SPACE)
    with pytest.raises(StoreBusy):
        Plugins.load([plugin("quiet", semantic_retrieve=lambda: None)]).retrieve(
            REQUEST, store, EMBEDDER
        )
    rankings, reasons, *_ = Plugins.load(
        [plugin("b", semantic_retrieve=lambda: Ranking("b"))]
    ).retrieve(REQUEST, store, EMBEDDER)
    assert [ranking.source for ranking in rankings] == ["b"]
    assert reasons == ["plugin core.words: StoreBusy: Someone writes."]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ([A], "wanted a Ranking, got list"),
        (
            Ranking("f", (C,), (1.0,)),
            "wanted ids of the rankings it was given, got another at place 1",
        ),
        (Ranking("f", (A, A), (1.0, 0.5)), "wanted each id once, got one twice, at place 2"),
        (Ranking("f", (A,), (float("inf"),)), "wanted finite scores, got inf at place 1"),
    ],
)
def test_a_fusion_that_breaks_the_contract_is_refused(answer: Any, fault: str) -> None:
    loaded = Plugins.load([plugin("fuser", semantic_fuse=lambda: answer)])
    with pytest.raises(
        HookFailed, match=f"Plugin 'fuser' broke the contract of semantic_fuse: {fault}"
    ):
        loaded.fuse(REQUEST, [Ranking("a", (A,), (1,)), Ranking("b", (B,), (1,))], STORE)


def test_a_fusion_may_leave_candidates_out_and_choose_its_own_order() -> None:
    fused = Ranking("f", (B, A), (0.1, 0.9))
    loaded = Plugins.load([plugin(semantic_fuse=lambda: fused)])
    assert (
        loaded.fuse(REQUEST, [Ranking("a", (A, C), (2, 1)), Ranking("b", (B,), (1,))], STORE)
        == fused
    )


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (iter([]), "wanted a list of SearchHit, got list_iterator"),
        ([A], "wanted SearchHits, got ChunkId"),
        ([hit(C)], "wanted hits it was given, got another at place 1"),
        ([hit(A), hit(A, "again")], "wanted each hit once, got one twice, at place 2"),
    ],
)
def test_a_reranker_that_breaks_the_contract_is_refused(answer: Any, fault: str) -> None:
    loaded = Plugins.load([plugin("judge", semantic_rerank=lambda: answer)])
    with pytest.raises(
        HookFailed, match=f"Plugin 'judge' broke the contract of semantic_rerank: {fault}"
    ):
        loaded.rerank(REQUEST, [hit(A), hit(B)], STORE)


def test_only_a_plugin_that_is_not_the_kernels_makes_it_rerank() -> None:
    assert Plugins.load([]).reranks is False
    assert Plugins.load([plugin(semantic_split=lambda: None)]).reranks is False
    assert Plugins.load([plugin(semantic_rerank=lambda: None)]).reranks is True


def test_what_a_plugin_provides_is_told_by_kind() -> None:
    hooks = {
        "semantic_stores": lambda: {"b": MemoryStore, "a": MemoryStore},
        "semantic_embedders": lambda: None,
        "semantic_split": lambda: None,
        "semantic_retrieve": lambda: None,
        "semantic_fuse": lambda: None,
        "semantic_rerank": lambda: None,
    }
    info = Plugins.load([plugin("all", **hooks)]).infos[0]
    assert info.hooks == tuple(hooks)
    assert info.provides == {
        "store": ("a", "b"),
        "splitter": ("all",),
        "retriever": ("all",),
        "fusion": ("all",),
        "reranker": ("all",),
    }


# Stores and embedders


def offering(name: str = "probe", **embedders: Any) -> Any:
    return plugin(name, semantic_embedders=lambda: embedders)


def make(
    dimensions: Annotated[int, "numbers per vector"] = 64, *, batch_size: int = 32
) -> HashEmbedder:
    return HashEmbedder(dimensions, batch_size=batch_size)


def test_a_provider_is_made_with_its_options() -> None:
    loaded = Plugins.load(
        [offering(tiny=make), plugin("s", semantic_stores=lambda: {"mine": MemoryStore})]
    )
    embedder = loaded.create_embedder("tiny", {"dimensions": 16, "batch_size": 4})
    assert (embedder.space.dimensions, embedder.batch_size) == (16, 4)
    store = loaded.create_store("mine", embedder.space, {"multi_tenant": True})
    assert (store.space, store.multi_tenant) == (embedder.space, True)


def test_options_are_read_from_the_factory_without_running_or_importing_anything() -> None:
    def sample(
        space: Space,
        path: Annotated[str, "where it lives"] = "x.db",
        wait: Annotated[NotImported | None, "seconds", "at most"] = None,  # type: ignore[name-defined]  # noqa: F821
        secret_token: str = "tell-nobody",  # noqa: S107 - that it is not shown is the test
        *,
        key_variable: str = "MY_KEY",
        given: Annotated[ApiSecret, "whose"] = "tell-nobody",  # type: ignore[name-defined]  # noqa: F821
        plain=(),  # type: ignore[no-untyped-def]
        model: Annotated[int, 5],
        **rest: Any,
    ) -> Any:
        raise AssertionError("was run")

    loaded = Plugins.load([plugin(semantic_stores=lambda: {"sample": sample})])
    assert loaded.options_of("store", "sample") == (
        OptionInfo("path", "str", "'x.db'", "where it lives"),
        OptionInfo("wait", "NotImported | None", "None", "seconds at most"),
        OptionInfo("secret_token", "str", "'***'", ""),
        OptionInfo("key_variable", "str", "'MY_KEY'", ""),
        OptionInfo("given", "ApiSecret", "'***'", "whose"),
        OptionInfo("plain", "", "()", ""),
        OptionInfo("model", "int", "required", ""),
    )


def test_options_of_evaluated_annotations_and_of_builtins_are_read_too() -> None:
    def evaluated(size=1):  # type: ignore[no-untyped-def]
        return None

    evaluated.__annotations__ = {"size": Annotated[int, "how many"]}
    loaded = Plugins.load(
        [
            offering(
                evaluated=evaluated, builtin=dict, partial=__import__("functools").partial(make, 8)
            )
        ]
    )
    assert loaded.options_of("embedder", "evaluated") == (
        OptionInfo("size", "int", "1", "how many"),
    )
    assert loaded.options_of("embedder", "builtin") == ()
    assert [option.name for option in loaded.options_of("embedder", "partial")] == ["batch_size"]


def test_an_unknown_or_missing_option_is_refused_with_those_there_are() -> None:
    def needs(model: str) -> Any:
        raise AssertionError("was run")

    loaded = Plugins.load([offering(tiny=make, needs=needs)])
    with pytest.raises(
        ConfigError,
        match="no option 'dimension'. Did you mean 'dimensions'.* are: dimensions, batch_size",
    ):
        loaded.create_embedder("tiny", {"dimension": 3})
    with pytest.raises(ConfigError, match="'needs' needs the option 'model'"):
        loaded.create_embedder("needs", {})
    with pytest.raises(ConfigError, match="The store 'memory' has no option 'space'"):
        loaded.create_store("memory", SPACE, {"space": SPACE})


def test_a_factory_with_open_options_takes_any() -> None:
    loaded = Plugins.load([offering(open=lambda **options: HashEmbedder(**options))])
    assert loaded.create_embedder("open", {"dimensions": 8}).space.dimensions == 8


def test_what_is_made_must_keep_the_protocol() -> None:
    class NoSpace(HashEmbedder):
        space = "hash"  # type: ignore[assignment]

    class Trap(HashEmbedder):
        @property
        def space(self) -> Space:
            raise OSError("no model")

    loaded = Plugins.load(
        [offering("guilty", wrong=lambda: object(), none=lambda: None, text=NoSpace, trap=Trap)]
    )
    for name, told in {
        "wrong": "Plugin 'guilty' made no embedder as 'wrong': object has no .*embed_documents",
        "none": "made no embedder as 'none': NoneType has no",
        "text": "made no embedder as 'text': its space must be a Space, got str",
        "trap": "Plugin 'guilty' raised while it made the embedder 'trap': OSError: no model",
    }.items():
        with pytest.raises(HookFailed, match=told):
            loaded.create_embedder(name, {})


def test_errors_of_the_product_pass_and_others_name_the_plugin() -> None:
    def foreign(space: Space) -> Any:
        raise StoreForeign("not ours")

    def exits(space: Space) -> Any:
        sys.exit("usage")

    def lacks(space: Space) -> Any:
        import no_such_library.part  # noqa: F401

    def interrupted(space: Space) -> Any:
        raise KeyboardInterrupt

    stores = {"foreign": foreign, "exits": exits, "lacks": lacks, "interrupted": interrupted}
    loaded = Plugins.load([plugin("guilty", semantic_stores=lambda: stores)])
    for name, kind, told in (
        ("foreign", StoreForeign, "not ours"),
        (
            "exits",
            HookFailed,
            "Plugin 'guilty' raised while it made the store 'exits': SystemExit: usage",
        ),
        (
            "lacks",
            PluginBroken,
            (
                "needs the module 'no_such_library', which is not installed. pip "
                "install no_such_library"
            ),
        ),
        ("interrupted", KeyboardInterrupt, "^$"),
    ):
        with pytest.raises(kind, match=told):
            loaded.create_store(name, SPACE, {})


def test_an_unknown_provider_is_refused_with_those_there_are_and_what_installs_it() -> None:
    loaded = Plugins.load([offering(tiny=make)])
    with pytest.raises(
        ProviderNotFound,
        match="No plugin offers an embedder named 'tny'; there is: tiny. Did you mean 'tiny'",
    ):
        loaded.create_embedder("tny", {})
    with pytest.raises(
        ProviderNotFound,
        match=re.escape('there is: memory. pip install "semantic-core-kernel[local]"'),
    ):
        loaded.create_store("sqlite", SPACE, {})
    with pytest.raises(
        ProviderNotFound, match=re.escape('pip install "semantic-core-kernel[gemini]"')
    ):
        loaded.create_embedder("gemini", {})
    with pytest.raises(ProviderNotFound, match="That is the name of a store"):
        loaded.create_embedder("memory", {})
    with pytest.raises(ProviderNotFound, match="there is: none"):
        Plugins.load([]).options_of("embedder", "tiny")


def test_two_providers_of_one_name_are_both_refused_and_the_rest_of_their_plugins_works() -> None:
    one = plugin(
        "one",
        semantic_embedders=lambda: {"same": make, "mine": make},
        semantic_split=lambda document: [],
    )
    two = plugin("two", semantic_embedders=lambda: {"same": make})
    loaded = Plugins.load([one, two])
    infos = {info.name: info for info in loaded.infos}
    for name, other in (("one", "two"), ("two", "one")):
        assert infos[name].status == "conflict"
        assert infos[name].cause == (
            f"its embedder 'same' is not used, because {other} (given) offers one of that name, too"
        )
        assert infos[name].remedy == f"Leave {other} or {name} out."
    assert infos["one"].provides == {"embedder": ("mine",), "splitter": ("one",)}
    with pytest.raises(
        PluginConflict,
        match=re.escape("More than one plugin offers the embedder 'same': one (given) and two"),
    ):
        loaded.create_embedder("same", {})
    assert loaded.create_embedder("mine", {}).space == SPACE
    assert loaded.split(DOCUMENT, 50) == []


def test_a_provider_of_the_kernel_cannot_be_taken_over() -> None:
    thief = plugin("thief", semantic_stores=lambda: {"memory": lambda space: None})
    loaded = Plugins.load([thief])
    assert isinstance(loaded.create_store("memory", SPACE, {}), MemoryStore)
    assert loaded.infos[0].status == "conflict"
    assert loaded.infos[0].cause == (
        "its store 'memory' is not used, because that name belongs to core.memory "
        "(semantic-core-kernel)"
    )
    assert loaded.infos[0].remedy == "Leave thief out, or let it offer another name."


@pytest.mark.parametrize(
    ("offer", "fault"),
    [
        (["tiny"], "semantic_embedders: wanted {name: factory}, got list"),
        ({1: make}, "semantic_embedders: wanted a name as key, got 1"),
        ({" ": make}, "semantic_embedders: wanted a name as key, got ' '"),
        ({"tiny": 5}, "semantic_embedders: wanted a factory for 'tiny', got int"),
        (ValueError("no"), "semantic_embedders: ValueError: no"),
        (SystemExit("no"), "semantic_embedders: SystemExit: no"),
    ],
)
def test_an_offer_that_is_none_keeps_the_plugin_out(offer: Any, fault: str) -> None:
    def semantic_embedders() -> Any:
        if isinstance(offer, BaseException):
            raise offer
        return offer

    with pytest.raises(
        PluginBroken, match=re.escape(f"The plugin 'guilty' cannot take part: {fault}")
    ):
        Plugins.load([plugin("guilty", semantic_embedders=semantic_embedders)])


def test_the_kernel_offers_nothing_itself_but_the_memory_store() -> None:
    provided: list[Mapping[str, tuple[str, ...]]] = [
        info.provides for info in Plugins.load([]).infos
    ]
    assert [offer["store"] for offer in provided if "store" in offer] == [("memory",)]
    assert not [offer for offer in provided if "embedder" in offer]


# Tracing, threads


def test_a_trace_tells_each_call_with_plugin_arguments_and_answer_and_never_a_whole_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError

    def fails() -> None:
        raise ValueError("z" * 500)

    @wrapper
    def passes() -> Iterator[None]:
        return [*(yield)]

    hooks = {"semantic_split": lambda: None, "semantic_retrieve": fails, "semantic_rerank": passes}
    monkeypatch.setenv("SEMANTIC_CORE_TRACE", "1")
    loaded = Plugins.load([plugin("probe", **hooks)])
    capsys.readouterr()
    loaded.split(Document(REF, "y" * 500), 500)
    loaded.retrieve(REQUEST, Unprintable(), EMBEDDER)  # type: ignore[arg-type]
    loaded.rerank(REQUEST, [hit(A, "y" * 500)], STORE)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [line.partition("(")[0] for line in lines] == [
        "semantic_split probe",
        "semantic_split core.text",
        "semantic_retrieve probe",
        "semantic_retrieve core.vector",
        "semantic_retrieve core.words",
        "semantic_retrieve core.title",
        "semantic_rerank core.fusion",
        "semantic_rerank probe",
    ]
    assert lines[0].startswith("semantic_split probe(document=Document(ref=Ref(collection='notes'")
    assert re.search(r", max_chars=500\) -> None \(\d+\.\d ms\)$", lines[0])
    assert all(re.search(r" \(\d+\.\d ms\)$", line) for line in lines)
    assert "-> [Chunk(" in lines[1]
    assert "store=<Unprintable>, embedder=" in lines[2]
    assert "-> raised ValueError: zzz" in lines[2]
    assert "y" * 60 not in err and "z" * 60 not in err
    monkeypatch.setenv("SEMANTIC_CORE_TRACE", "0")
    Plugins.load([plugin("probe", **hooks)]).split(DOCUMENT, 50)
    assert capsys.readouterr().err == ""


def test_hooks_may_be_called_from_several_threads_and_from_within_each_other() -> None:
    holder = SimpleNamespace()

    def nested(document: Document, max_chars: int) -> Any:
        if document.ref.key.startswith("inner"):
            return None
        inner = holder.plugins.split(
            Document(Ref("notes", f"inner{document.ref.key}"), document.text), max_chars
        )
        return [attrs.evolve(one, id=ChunkId(document.ref, one.id.position)) for one in inner]

    holder.plugins = Plugins.load([plugin(semantic_split=nested)])

    def split(number: int) -> list[ChunkId]:
        return [
            one.id
            for one in holder.plugins.split(Document(Ref("notes", str(number)), "word " * 40), 50)
        ]

    with ThreadPoolExecutor(8) as pool:
        for number, ids in enumerate(pool.map(split, range(64))):
            assert ids == [ChunkId(Ref("notes", str(number)), place) for place in range(len(ids))]
            assert len(ids) > 1


def test_loading_given_plugins_does_not_look_at_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(os.environ, "SEMANTIC_CORE_PLUGINS", "no-such-plugin")
    assert [
        info.origin
        for info in Plugins.load([offering(tiny=make)]).infos
        if info.origin != "built in"
    ] == ["given"]
