"""Rerankers: a hit that one of them removed stays removed, whichever other one fails; a reranker
that fails ends the search, unless it is marked as one that only orders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import attrs
import pytest

from semantic_core import ChunkId, Document, Ref, SearchHit, SemanticCore, hookimpl
from semantic_core.errors import HookFailed, PluginBroken
from semantic_core.testing import HashEmbedder

DOCUMENTS = [
    Document(Ref("notes", "open"), "Beans climb.", metadata={"secret": False}),
    Document(Ref("notes", "also"), "Beans climb high.", metadata={"secret": False}),
    Document(Ref("notes", "secret"), "Beans climb poles.", metadata={"secret": True}),
]
Hits = Sequence[SearchHit]


def opened(*plugins: object) -> SemanticCore:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=plugins)
    core.ingest(DOCUMENTS)
    return core


def found(core: SemanticCore) -> set[str]:
    return {hit.ref.key for hit in core.search("beans climb")}


def named(name: str, function: Callable[..., Any], **marks: Any) -> Any:
    """A plugin of that name whose reranker this is."""

    class Plugin:
        __name__ = name
        semantic_rerank = staticmethod(hookimpl(**marks)(function))

    return Plugin()


def permitted(hits: Hits) -> list[SearchHit]:
    return [hit for hit in hits if not hit.metadata["secret"]]


def permitted_of_the_rest() -> Any:
    hits = yield
    return [hit for hit in hits if not hit.metadata["secret"]]


def raises(hits: Hits) -> list[SearchHit]:
    raise ConnectionError("nobody there")


def raises_at_once() -> Any:
    raise ConnectionError("nobody there")
    yield


def raises_afterwards() -> Any:
    yield
    raise ConnectionError("nobody there")


def forgets(hits: Hits) -> None:
    """Has no return."""


def doubles(hits: Hits) -> list[SearchHit]:
    return [*hits, *hits]


def invents(hits: Hits) -> list[SearchHit]:
    return [*hits, attrs.evolve(hits[0], position=99)]


def returns_oddities(hits: Hits) -> list[SearchHit]:
    return [attrs.evolve(hits[0], ref=[])]


def backwards(hits: Hits) -> list[SearchHit]:
    return list(reversed(hits))


FAILS = [
    (raises, {}),
    (raises_at_once, {"wrapper": True}),
    (raises_afterwards, {"wrapper": True}),
    (forgets, {}),
    (doubles, {}),
    (invents, {}),
    (returns_oddities, {}),
]
failing = pytest.mark.parametrize(
    ("function", "marks"), FAILS, ids=[function.__name__ for function, _ in FAILS]
)


@failing
@pytest.mark.parametrize("name", ["a", "z"])
def test_a_reranker_that_fails_is_an_error_and_no_answer(
    function: Callable[..., Any], marks: dict[str, Any], name: str
) -> None:
    core = opened(named(name, function, **marks), named("m", backwards))
    with pytest.raises(HookFailed, match=f"'{name}'.* semantic_rerank") as failure:
        core.search("beans climb")
    assert "orders_only" in failure.value.hint


@failing
@pytest.mark.parametrize("name", ["a", "z"])
@pytest.mark.parametrize("filters", [(permitted, {}), (permitted_of_the_rest, {"wrapper": True})])
def test_one_that_only_orders_may_fail_and_what_others_left_out_stays_out(
    function: Callable[..., Any], marks: dict[str, Any], name: str, filters: Any
) -> None:
    core = opened(
        named(name, function, **marks, orders_only=True), named("m", filters[0], **filters[1])
    )
    results = core.search("beans climb")
    assert {hit.ref.key for hit in results} == {"open", "also"}
    assert results.degraded
    assert f"'{name}'" in results.reason
    assert results.reason.count("semantic_rerank") == 1


def test_one_that_says_it_only_orders_takes_nothing_away() -> None:
    results = opened(named("m", permitted, orders_only=True)).search("beans climb")
    assert len(results) == 3
    assert "wanted all hits it was given, got 2 of 3" in results.reason


def test_one_that_only_orders_and_works_is_no_less_of_an_answer() -> None:
    plain = opened().search("beans climb").hits
    results = opened(named("m", backwards, orders_only=True)).search("beans climb")
    assert [hit.id for hit in results] == [hit.id for hit in reversed(plain)]
    assert (results.degraded, results.reason) == (False, "")


def test_every_reranker_is_asked_in_any_order() -> None:
    """One that is no wrapper does not silence another."""

    def not_also(hits: Hits) -> list[SearchHit]:
        return [hit for hit in hits if hit.ref.key != "also"]

    parts = [
        (permitted, {}),
        (not_also, {}),
        (backwards, {}),
        (permitted_of_the_rest, {"wrapper": True}),
    ]
    for order in permutations(parts):
        core = opened(
            *[named(name, one, **marks) for name, (one, marks) in zip("abcd", order, strict=True)]
        )
        assert found(core) == {"open"}


def test_nobody_brings_back_what_another_left_out() -> None:
    """Not a wrapper, which was shown them early; not one that kept hits of another search."""
    kept: list[SearchHit] = []

    def returns_what_it_was_given(hits: Hits) -> Any:
        yield
        return list(hits)

    def adds_in_place() -> Any:
        hits = yield
        hits += kept
        return hits

    kept += opened().search("beans climb")
    for function in (returns_what_it_was_given, adds_in_place):
        for marks in ({}, {"orders_only": True}):
            core = opened(named("a", function, wrapper=True, **marks), named("z", permitted))
            if marks:
                assert found(core) == {"open", "also"}
                continue
            with pytest.raises(HookFailed, match="Plugin 'a' broke the contract"):
                core.search("beans climb")


def test_nobody_answers_for_a_filter_that_failed() -> None:
    def rescues(hits: Hits) -> Any:
        try:
            return (yield)
        except BaseException:  # noqa: BLE001 - what a careless wrapper does
            return list(hits)

    for marks in ({}, {"orders_only": True}):
        core = opened(named("a", rescues, wrapper=True, **marks), named("z", raises))
        with pytest.raises(HookFailed, match="Plugin 'z' raised in semantic_rerank: Connection"):
            core.search("beans climb")


def test_a_reranker_that_spoils_its_list_before_it_fails_spoils_nothing() -> None:
    def spoils(hits: list[SearchHit]) -> None:
        hits.clear()
        raise ConnectionError("nobody there")

    for name in ("a", "z"):
        core = opened(named(name, spoils, orders_only=True), named("m", permitted))
        assert found(core) == {"open", "also"}


def test_only_a_reranker_can_say_that_it_only_orders() -> None:
    class Splitter:
        @hookimpl(orders_only=True)
        def semantic_split(self, document: Document) -> None:
            return None

    with pytest.raises(PluginBroken, match="orders_only is for semantic_rerank"):
        opened(Splitter())


def test_a_reranker_may_read_what_is_around_a_hit() -> None:
    class Complete:
        """Puts documents of several passages first."""

        @hookimpl(orders_only=True)
        def semantic_rerank(self, hits: Any, store: Any) -> Any:
            def is_short(hit: Any) -> bool:
                return not store.fetch([ChunkId(hit.ref, 1)])

            return sorted(hits, key=is_short)

    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[Complete()], max_chars=60)
    long = "Beans climb poles in summer.\n\n" + "They need water and sun every day. " * 3
    core.ingest(
        Document(Ref("notes", "short"), "Beans climb poles."), Document(Ref("notes", "long"), long)
    )
    answer = core.search("Beans climb poles.", mode="text")
    assert [hit.ref.key for hit in answer] == ["long", "short"] and not answer.degraded
