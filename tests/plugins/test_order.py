"""The order in which plugins are asked, as guides/hooks.md describes it: each statement of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from semantic_core import Document, Ref, SemanticCore, hookimpl
from semantic_core._plugins.host import Plugins
from semantic_core.testing import HashEmbedder

DOCUMENT = Document(Ref("notes", "1"), "Beans climb.")


def plugin(name: str, hook: str, function: Callable[..., Any], **marks: Any) -> SimpleNamespace:
    return SimpleNamespace(__name__=name, **{hook: hookimpl(**marks)(function)})


def describing(asked: list[str], name: str, **marks: Any) -> SimpleNamespace:
    """A plugin that notes that it was asked, and answers nothing."""

    def describe(document: Document) -> None:
        asked.append(name)

    return plugin(name, "semantic_describe", describe, **marks)


def test_plugins_are_asked_in_order_of_their_names_and_the_kernel_last() -> None:
    asked: list[str] = []
    loaded = Plugins.load([describing(asked, name) for name in ("c", "a", "Z", "b")])
    loaded.describe(DOCUMENT)
    assert asked == ["Z", "a", "b", "c"]
    names = [info.name for info in loaded.infos]
    assert names[:4] == ["Z", "a", "b", "c"] and names[4].startswith("core.")


def test_tryfirst_and_trylast_change_the_place_and_names_decide_among_equals() -> None:
    asked: list[str] = []
    marks: dict[str, dict[str, bool]] = {
        "a": {"trylast": True},
        "b": {"trylast": True},
        "c": {},
        "d": {},
        "e": {"tryfirst": True},
        "f": {"tryfirst": True},
    }
    plugins = [describing(asked, name, **marks[name]) for name in "dfabec"]
    Plugins.load(plugins).describe(DOCUMENT)
    assert asked == ["e", "f", "c", "d", "a", "b"]


def test_even_a_plugin_that_is_asked_last_is_asked_before_the_kernel() -> None:
    def split(document: Document) -> list[Any]:
        return []

    last = plugin("z", "semantic_split", split, trylast=True)
    assert Plugins.load([last]).split(DOCUMENT, 100) == []
    assert len(Plugins.load([]).split(DOCUMENT, 100)) == 1


@pytest.mark.parametrize(
    ("first", "outermost"), [({}, "a"), ({"trylast": True}, "b"), ({"tryfirst": True}, "a")]
)
def test_wrappers_run_around_all_others_and_the_first_is_the_outermost(
    first: dict[str, bool], outermost: str
) -> None:
    steps: list[str] = []

    def wrapper(name: str, **marks: Any) -> SimpleNamespace:
        def wraps() -> Iterator[None]:
            steps.append(f"{name} in")
            answer = yield
            steps.append(f"{name} out")
            return answer

        return plugin(name, "semantic_describe", wraps, wrapper=True, **marks)

    asked = describing(steps, "0 asked", tryfirst=True)
    Plugins.load([wrapper("b"), asked, wrapper("a", **first)]).describe(DOCUMENT)
    inner = "b" if outermost == "a" else "a"
    assert steps == [
        f"{outermost} in",
        f"{inner} in",
        "0 asked",
        f"{inner} out",
        f"{outermost} out",
    ]


@pytest.mark.parametrize(("marks", "order"), [({}, "cba"), ({"tryfirst": True}, "bac")])
def test_the_first_reranker_in_order_has_the_last_word(marks: dict[str, bool], order: str) -> None:
    asked: list[str] = []

    def reranker(name: str, **marks: Any) -> SimpleNamespace:
        def rerank(hits: Any) -> Any:
            asked.append(name)
            return hits

        return plugin(name, "semantic_rerank", rerank, **marks)

    core = SemanticCore(
        store="memory",
        embedder=HashEmbedder(),
        plugins=[reranker("b"), reranker("c", **marks), reranker("a")],
    )
    core.ingest(DOCUMENT)
    core.search("beans")
    assert asked == list(order)


def test_the_first_middleware_in_order_is_the_outermost() -> None:
    steps: list[str] = []

    def middleware(name: str, **marks: Any) -> SimpleNamespace:
        def around(request: Any, search: Any) -> Any:
            steps.append(name)
            return search(request)

        return plugin(name, "semantic_search_middleware", lambda: around, **marks)

    core = SemanticCore(
        store="memory",
        embedder=HashEmbedder(),
        plugins=[middleware("b"), middleware("a"), middleware("c", tryfirst=True)],
    )
    core.search("beans")
    assert steps == ["c", "a", "b"]


def test_events_and_retrievers_are_asked_in_the_same_order() -> None:
    steps: list[str] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: steps.append(name)

    plugins: list[object] = []
    for name in ("b", "a"):
        plugins += [
            plugin(f"{name} retriever", "semantic_retrieve", note(f"{name} retriever")),
            plugin(f"{name} event", "semantic_event", note(f"{name} event")),
        ]
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=plugins)
    core.search("beans")
    assert steps == ["a retriever", "b retriever", "a event", "b event"]


def test_a_hook_of_a_later_release_is_passed_over_if_it_is_optional() -> None:
    asked: list[str] = []
    both = describing(asked, "both")
    both.semantic_in_a_later_release = hookimpl(optionalhook=True)(lambda something_new: None)
    loaded = Plugins.load([both])
    loaded.describe(DOCUMENT)
    assert asked == ["both"] and loaded.infos[0].status == "ok"


def test_the_order_holds_for_a_plugin_that_is_dropped_later() -> None:
    asked: list[str] = []
    loaded = Plugins.load([describing(asked, name) for name in "cab"])
    loaded.describe(DOCUMENT)
    loaded._dispatch.drop("b")
    loaded.describe(DOCUMENT)
    assert asked == ["a", "b", "c", "a", "c"]
