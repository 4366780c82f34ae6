"""Middleware around a search: it may narrow, rewrite and combine, and never widen an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import (
    Document,
    Filter,
    Ref,
    SearchHit,
    SearchRequest,
    SearchResults,
    SemanticCore,
    hookimpl,
)
from semantic_core._plugins.middleware import within
from semantic_core.errors import AccessRefused, HookFailed, QueryTooLarge, StoreMisuse
from semantic_core.testing import HashEmbedder
from semantic_core.types import Scope

Run = Callable[[SearchRequest], SearchResults]
TENANTS = ("acme", "other")
LANGUAGES = ("en", "de")
COLLECTIONS = ("notes", "mails")


class Around:
    """A plugin whose middleware is the function it is made with."""

    def __init__(self, function: Callable[[SearchRequest, Run], Any], name: str = "around") -> None:
        self._function = function
        self.__name__ = name

    @hookimpl
    def semantic_search_middleware(self) -> Callable[[SearchRequest, Run], Any]:
        return self._function


def documents(tenant: str = "") -> list[Document]:
    made = []
    for collection in COLLECTIONS:
        for number in range(6):
            made.append(
                Document(
                    Ref(collection, f"{number}", tenant),
                    f"beans climb pole number {number} in {collection} of {tenant or 'us'}",
                    metadata={"lang": LANGUAGES[number % 2], "number": number},
                )
            )
    return made


def opened(*plugins: Any) -> SemanticCore:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=plugins)
    core.ingest(documents())
    return core


def shared(*plugins: Any) -> SemanticCore:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=plugins, multi_tenant=True)
    for tenant in TENANTS:
        core.tenant(tenant).ingest(documents(tenant))
    return core


def keys(results: Sequence[SearchHit]) -> list[tuple[str, str]]:
    return [(hit.ref.collection, hit.ref.key) for hit in results]


def test_a_middleware_that_passes_the_request_on_changes_nothing() -> None:
    plain = opened().search("beans", limit=5)
    seen: list[SearchRequest] = []

    def passes(request: SearchRequest, search: Run) -> SearchResults:
        seen.append(request)
        return search(request)

    answer = opened(Around(passes)).search("beans", limit=5, context={"user": "ann"})
    assert keys(answer) == keys(plain) and not answer.degraded
    assert [hit.score for hit in answer] == [hit.score for hit in plain]
    assert seen[0].context == {"user": "ann"}
    assert seen[0].vector is None  # nothing is embedded for a search that may never happen
    assert answer.timings["middleware around"] <= answer.timings["total"]


def test_the_first_in_order_is_the_outermost() -> None:
    order: list[str] = []

    def noting(name: str) -> Around:
        def runs(request: SearchRequest, search: Run) -> SearchResults:
            order.append(f"{name} in")
            results = search(request)
            order.append(f"{name} out")
            return results

        return Around(runs, name)

    opened(noting("b"), noting("a")).search("beans")
    assert order == ["a in", "b in", "b out", "a out"]


def test_a_search_may_be_rewritten_and_is_embedded_anew() -> None:
    def rewrites(request: SearchRequest, search: Run) -> SearchResults:
        return search(attrs.evolve(request, text="beans climb pole number 3 in mails of us"))

    assert keys(opened(Around(rewrites)).search("?!"))[0] == ("mails", "3")


def test_several_searches_can_be_combined() -> None:
    def twice(request: SearchRequest, search: Run) -> SearchResults:
        first = search(attrs.evolve(request, text="number 1", limit=2))
        second = search(attrs.evolve(request, text="number 4", limit=2))
        seen = {hit.ref for hit in first}
        more = tuple(hit for hit in second if hit.ref not in seen)
        return attrs.evolve(first, hits=(*first.hits, *more)[: request.limit])

    answer = opened(Around(twice)).search("1 or 4", limit=4)
    assert {key for _, key in keys(answer)} == {"1", "4"}


def test_a_vector_that_a_middleware_gives_is_the_one_that_is_searched_with() -> None:
    vector = HashEmbedder().embed_query("beans climb pole number 5 in notes of us")

    def gives(request: SearchRequest, search: Run) -> SearchResults:
        return search(attrs.evolve(request, vector=vector))

    answer = opened(Around(gives)).search("anything", mode="vector", limit=1)
    assert keys(answer) == [("notes", "5")]


def test_a_middleware_may_answer_by_itself_and_its_hits_are_read_anew() -> None:
    """A cache may hold a text that is not the text any more, and documents that are gone."""
    cache: list[SearchResults] = []

    def remembers(request: SearchRequest, search: Run) -> SearchResults:
        if not cache:
            cache.append(search(request))
        return cache[0]

    core = opened(Around(remembers))
    assert len(core.search("beans climb", limit=3)) == 3
    first, second, third = (hit.ref for hit in cache[0])
    core.ingest(Document(first, "beans sleep", title="New", metadata={"lang": "fr"}))
    core.remove(second)
    again = core.search("beans climb", limit=3)
    assert [hit.ref for hit in again] == [first, third]
    assert (again[0].text, again[0].title, again[0].metadata) == (
        "beans sleep",
        "New",
        {"lang": "fr"},
    )
    assert again[0].updated_at > cache[0][0].updated_at
    narrowed = core.search("beans climb", limit=3, where={"lang": "fr"})
    assert [hit.ref for hit in narrowed] == [first]
    assert narrowed.degraded
    assert "plugin around: semantic_search_middleware: hits that where leaves" in narrowed.reason


WIDER = {
    "no filter": lambda scope: attrs.evolve(scope, filter=Filter()),
    "another filter": lambda scope: attrs.evolve(scope, filter=Filter.parse({"lang": "de"})),
    "all collections": lambda scope: attrs.evolve(scope, collections=None),
    "another collection": lambda scope: attrs.evolve(scope, collections=("mails",)),
    "a new scope": lambda scope: Scope(scope.tenant),
}


@pytest.mark.parametrize("widen", WIDER.values(), ids=WIDER)
def test_an_inner_search_cannot_see_more_than_the_request(widen: Callable[[Scope], Scope]) -> None:
    def widens(request: SearchRequest, search: Run) -> SearchResults:
        return search(attrs.evolve(request, scope=widen(request.scope)))

    core = shared(Around(widens)).tenant("acme")
    answer = core.search("beans", limit=50, where={"lang": "en"}, collections=["notes"])
    allowed = {("notes", "0"), ("notes", "2"), ("notes", "4")}
    assert set(keys(answer)) <= allowed
    assert all(hit.ref.tenant == "acme" for hit in answer)


def test_another_tenant_is_refused() -> None:
    def strays(request: SearchRequest, search: Run) -> SearchResults:
        return search(attrs.evolve(request, scope=Scope("other")))

    with pytest.raises(HookFailed, match="'around' raised .*wanted the tenant of the request"):
        shared(Around(strays)).tenant("acme").search("beans")


def test_hits_of_another_tenant_are_left_out_and_the_plugin_is_named() -> None:
    stolen = shared().tenant("other").search("beans", limit=3)

    def smuggles(request: SearchRequest, search: Run) -> SearchResults:
        return stolen

    answer = shared(Around(smuggles)).tenant("acme").search("beans")
    assert not answer.hits and answer.degraded
    assert answer.reason == (
        "plugin around: semantic_search_middleware: hits of another tenant were left out"
    )


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_nothing_outside_the_request_gets_out_whatever_a_middleware_answers(data: Any) -> None:
    """Hostile middleware mixes hits of everything it can reach, with scopes of its own."""
    plain = CORE
    everything: list[SearchHit] = []
    for tenant in TENANTS:
        everything += plain.tenant(tenant).search("beans", limit=20).hits
    scopes = st.builds(
        Scope,
        st.just("acme"),
        st.none() | st.lists(st.sampled_from(COLLECTIONS), max_size=2).map(tuple),
        st.sampled_from([Filter(), *(Filter.parse({"lang": one}) for one in LANGUAGES)]),
    )
    hits = tuple(data.draw(st.lists(st.sampled_from(everything), max_size=8, unique=True)))
    scope = data.draw(scopes)
    mixes = data.draw(st.booleans())

    def hostile(request: SearchRequest, search: Run) -> SearchResults:
        inner = search(attrs.evolve(request, scope=scope))
        if not mixes:
            return attrs.evolve(inner, hits=hits)
        refs = {hit.ref for hit in inner}
        return attrs.evolve(inner, hits=(*inner.hits, *(h for h in hits if h.ref not in refs)))

    where = data.draw(st.sampled_from([None, {"lang": "en"}, {"number": {"gte": 3}}]))
    collections = data.draw(st.none() | st.lists(st.sampled_from(COLLECTIONS), max_size=2))
    core = SemanticCore(store=plain.store, embedder=plain.embedder, plugins=[Around(hostile)])
    answer = core.tenant("acme").search("beans", limit=50, where=where, collections=collections)
    allowed = Filter.parse(where)
    for hit in answer:
        assert hit.ref.tenant == "acme"
        assert collections is None or hit.ref.collection in collections
        assert allowed.matches(hit.metadata)


CORE = shared()


def raises_late(request: SearchRequest, search: Run) -> SearchResults:
    search(request)
    raise LookupError("the permission database is down")


def answers_twice(request: SearchRequest, search: Run) -> SearchResults:
    results = search(request)
    return attrs.evolve(results, hits=results.hits + results.hits)


def answers_more(request: SearchRequest, search: Run) -> SearchResults:
    return search(attrs.evolve(request, limit=9))


FAULTS: dict[str, tuple[Any, str]] = {
    "raises": (raises_late, "'around' raised in semantic_search_middleware: LookupError: the perm"),
    "exits": (lambda request, search: exit(3), "'around' raised .* SystemExit"),
    "nothing": (lambda request, search: None, "wanted SearchResults, got NoneType"),
    "a list": (lambda request, search: list(search(request)), "wanted SearchResults, got list"),
    "no hits": (
        lambda request, search: attrs.evolve(search(request), hits=("x",)),
        "wanted SearchHits, got str",
    ),
    "hits twice": (answers_twice, "wanted each document once, got one twice, at place 4"),
    "too many": (answers_more, "wanted at most 3 hits, got 9"),
    "no request": (lambda request, search: search("beans"), "wanted a SearchRequest, got 'beans'"),
    "no function": (None, "wanted a function, got str"),
}


@pytest.mark.parametrize(("function", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_ends_the_search_and_names_the_plugin(function: Any, fault: str) -> None:
    core = opened(Around(function or "no function"), Around(lambda one, two: two(one), "healthy"))
    with pytest.raises(HookFailed, match=fault) as caught:
        core.search("beans", limit=3)
    assert "'around'" in caught.value.message
    assert "Nothing is shown" in caught.value.hint


def test_a_hook_that_raises_when_it_is_asked_for_its_middleware_ends_every_search() -> None:
    class Broken:
        @hookimpl
        def semantic_search_middleware(self) -> None:
            raise OSError("no key")

    core = opened(Broken())
    assert core.get(Ref("notes", "1")) is not None
    with pytest.raises(HookFailed, match="'Broken' raised in semantic_search_middleware: OSError"):
        core.search("beans")


def test_what_the_search_itself_raises_is_raised_as_it_is() -> None:
    def asks_too_much(request: SearchRequest, search: Run) -> SearchResults:
        return search(attrs.evolve(request, limit=1_000_000))

    with pytest.raises(QueryTooLarge):
        opened(Around(asks_too_much)).search("beans")
    core = opened(Around(lambda request, search: search(request)))
    core.store.close()
    with pytest.raises(StoreMisuse, match="closed"):
        core.search("beans")


def test_a_refusal_is_raised_as_it_is() -> None:
    def refuses(request: SearchRequest, search: Run) -> SearchResults:
        raise AccessRefused("Not for you.")

    with pytest.raises(AccessRefused, match="Not for you"):
        opened(Around(refuses)).search("beans")


def test_none_takes_no_part() -> None:
    class Off:
        @hookimpl
        def semantic_search_middleware(self) -> None:
            return None

    assert len(opened(Off()).search("beans", limit=3)) == 3


def test_passages_of_one_document_may_all_be_hits_of_a_search_for_passages() -> None:
    text = "\n\n".join(f"Beans climb pole {number}. " + "x" * 60 for number in range(4))
    core = SemanticCore(
        store="memory",
        embedder=HashEmbedder(),
        max_chars=100,
        plugins=[Around(lambda request, search: search(request))],
    )
    core.ingest(Document(Ref("notes", "long"), text))
    assert len(core.search_chunks("beans")) == 4
    assert len(core.search("beans")) == 1


scopes = st.builds(
    Scope,
    st.just("acme"),
    st.none() | st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple),
    st.lists(
        st.sampled_from([Filter.parse({key: value}) for key in "xy" for value in (1, 2)]),
        max_size=2,
    ).map(lambda parts: Filter(tuple(c for part in parts for c in part.conditions))),
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(scopes, scopes)
def test_the_part_within_is_within_both(inner: Scope, outer: Scope) -> None:
    part = within(inner, outer)
    for scope in (inner, outer):
        assert set(scope.filter.conditions) <= set(part.filter.conditions)
        if scope.collections is not None:
            assert part.collections is not None
            assert set(part.collections) <= set(scope.collections)
