"""`Permissions` and its hook: each user sees their documents, and a fault shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import ChunkId, Document, Ref, SearchHit, SemanticCore, hookimpl
from semantic_core.errors import AccessRefused, FilterInvalid, HookFailed, InputError
from semantic_core.permissions import Permissions
from semantic_core.testing import HashEmbedder

ANN = {"user": "ann"}
BOB = {"user": "bob"}


def opened(*plugins: Any, count: int = 1_000, every: int = 100) -> SemanticCore:
    """Documents of which one in `every` can be read by ann, and the others by bob."""
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=plugins)
    documents = []
    for number in range(count):
        reader = "ann" if number % every == 0 else "bob"
        documents.append(
            Document(
                Ref("notes", f"{number}"),
                f"beans number {number}\n\n" + "They climb. " * 30,
                metadata={"readers": [reader, "staff"] if number % 2 else [reader]},
            )
        )
    core.ingest(documents)
    return core


class Restricting:
    """A plugin with this function as its hook."""

    def __init__(self, function: Callable[..., Any], name: str = "restricting") -> None:
        self._function = function
        self.__name__ = name

    @hookimpl
    def semantic_restrict(self, context: Mapping[str, Any]) -> Any:
        return self._function(context)


def test_ten_readable_documents_of_a_thousand_are_ten_hits() -> None:
    core = opened(Permissions())
    answer = core.search("beans number 77", limit=10, context=ANN)
    assert len(answer) == 10 and not answer.degraded
    assert all("ann" in hit.metadata["readers"] for hit in answer)
    assert core.documents(context=ANN).total == 10
    assert core.get(Ref("notes", "1"), context=ANN) is None
    assert core.get(Ref("notes", "1"), context=BOB) is not None
    assert core.context_window(ChunkId(Ref("notes", "1"), 0), context=ANN) == []
    assert core.context_window(ChunkId(Ref("notes", "1"), 0), context=BOB)


def test_a_group_and_everyone_count_as_readers() -> None:
    core = opened(Permissions(everyone="*"), count=20, every=10)
    core.ingest(Document(Ref("notes", "public"), "beans", metadata={"readers": ["*"]}))
    core.ingest(Document(Ref("notes", "nobody"), "beans"))
    assert core.documents(context=ANN).total == 3
    assert core.documents(context={**ANN, "groups": ["staff"]}).total == 2 + 10 + 1
    assert core.get(Ref("notes", "nobody"), context=ANN) is None


CALLS: dict[str, Callable[..., Any]] = {
    "search": lambda core, **more: core.search("beans", **more),
    "search_chunks": lambda core, **more: core.search_chunks("beans", **more),
    "get": lambda core, **more: core.get(Ref("notes", "1"), **more),
    "documents": lambda core, **more: core.documents(**more),
    "context_window": lambda core, **more: core.context_window(
        ChunkId(Ref("notes", "1"), 0), **more
    ),
}
NAMELESS: dict[str, Any] = {
    "nothing": {},
    "another key": {"usr": "ann"},
    "None": {"user": None},
    "no name": {"user": ""},
    "a number": {"user": 7},
    "True": {"user": True},
    "a list with None": {"user": ["ann", None]},
    "a mapping": {"user": {"name": "ann"}},
}


@pytest.mark.parametrize("context", NAMELESS.values(), ids=NAMELESS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_who_does_not_say_who_asks_gets_nothing(call: Any, context: Mapping[str, Any]) -> None:
    core = opened(Permissions(), count=4, every=2)
    with pytest.raises(AccessRefused, match="Nothing is shown"):
        call(core, context=context)
    with pytest.raises(AccessRefused, match="Nothing is shown"):
        call(core)


def down(context: Mapping[str, Any]) -> None:
    raise ConnectionError("the permission database is down")


FAULTS: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (down, "raised in semantic_restrict: ConnectionError: the permission database"),
    "True": (lambda context: True, "broke the contract of semantic_restrict.*got bool"),
    "a list": (lambda context: ["ann"], "broke the contract of semantic_restrict.*got list"),
    "an operator": (lambda context: {"a": {"like": 1}}, "unknown operator 'like'"),
    "exits": (lambda context: exit(1), "raised in semantic_restrict: SystemExit"),
}


@pytest.mark.parametrize(("function", "fault"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_fault_shows_nothing_and_names_the_plugin(call: Any, function: Any, fault: str) -> None:
    healthy = Restricting(lambda context: {"readers": "ann"}, "healthy")
    core = opened(Restricting(function, "faulty"), healthy, count=4, every=2)
    with pytest.raises(HookFailed, match=fault) as caught:
        call(core, context=ANN)
    assert "'faulty'" in caught.value.message and "Nothing is shown" in caught.value.hint


def test_the_conditions_of_all_plugins_hold() -> None:
    plugins = [
        Permissions(),
        Restricting(lambda context: {"readers": "staff"}, "b"),
        Restricting(lambda context: None, "c"),
    ]
    core = opened(*plugins, count=20, every=5)
    assert {hit.ref.key for hit in core.search("beans", limit=20, context=ANN)} == {"5", "15"}
    where = {"readers": "nobody"}
    assert core.documents(context=ANN, where=where).total == 0


def test_maintenance_reads_everything_within_its_tenant() -> None:
    core = opened(Permissions(), count=20)
    assert core.unrestricted().documents().total == 20
    assert len(core.unrestricted().search("beans", limit=20)) == 20
    shared = SemanticCore(
        store="memory", embedder=HashEmbedder(), plugins=[Permissions()], multi_tenant=True
    )
    for tenant in ("acme", "other"):
        shared.tenant(tenant).ingest(Document(Ref("notes", "1"), "beans"))
    for client in (shared.tenant("acme").unrestricted(), shared.unrestricted().tenant("acme")):
        assert client.documents().total == 1
    core.unrestricted().close()
    assert core.documents(context=BOB).total == 19  # closing it closed nothing


def test_a_rule_decides_and_a_missing_key_is_a_refusal() -> None:
    def rule(context: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return None if context["role"] == "admin" else {"readers": context["user"]}

    core = opened(Permissions(rule=rule), count=20, every=10)
    assert core.documents(context={"role": "admin"}).total == 20
    assert core.documents(context={"role": "guest", **ANN}).total == 2
    with pytest.raises(AccessRefused, match="'role' is not in the context.*--as role=NAME"):
        core.documents(context=ANN)


def test_what_is_no_context_is_refused() -> None:
    core = opened(count=2)
    for wrong in ("ann", ["ann"], {1: "ann"}):
        with pytest.raises(InputError, match="context must be a mapping"):
            core.search("beans", context=wrong)  # type: ignore[arg-type]


def test_a_plugin_cannot_change_the_context() -> None:
    def changes(context: dict[str, Any]) -> None:
        context["user"] = "bob"

    mine = dict(ANN)
    with pytest.raises(HookFailed, match="mappingproxy"):
        opened(Restricting(changes), count=2).search("beans", context=mine)
    assert mine == ANN


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InputError, match="who must name"):
        Permissions(who=())
    with pytest.raises(InputError, match="everyone must be a name"):
        Permissions(everyone=7)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rule must be a function"):
        Permissions(rule="ann")  # type: ignore[arg-type]
    with pytest.raises((InputError, FilterInvalid)):
        Permissions("")


names = st.sampled_from(["ann", "bob", "cy", "staff", "*"])


class Careless:
    """Retriever, reranker and middleware that look at nothing but the query."""

    def __init__(self, stolen: list[SearchHit]) -> None:
        self._stolen = stolen

    @hookimpl
    def semantic_retrieve(self, request: Any) -> Any:
        from semantic_core import Ranking

        ids = tuple(hit.id for hit in self._stolen)[: request.pool]
        return Ranking("careless", ids, tuple(float(-place) for place in range(len(ids))))

    @hookimpl
    def semantic_search_middleware(self) -> Any:
        def adds(request: Any, search: Any) -> Any:
            import attrs

            found = search(request)
            refs = {hit.ref for hit in found}
            more = [hit for hit in self._stolen if hit.ref not in refs]
            return attrs.evolve(found, hits=(*found.hits, *more)[: request.limit])

        return adds


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.lists(names, max_size=3, unique=True), min_size=1, max_size=12),
    names,
    st.lists(names, max_size=2),
    st.integers(1, 12),
)
def test_no_other_plugin_shows_more_than_a_user_may_see(
    readers: list[list[str]], user: str, groups: list[str], limit: int
) -> None:
    plain = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    for number, names_of in enumerate(readers):
        metadata = {"readers": names_of} if names_of else {}
        plain.ingest(Document(Ref("notes", f"{number}"), f"beans {number}", metadata=metadata))
    everything = list(plain.search("beans", limit=50))
    core = SemanticCore(
        store=plain.store,
        embedder=plain.embedder,
        plugins=[Permissions(everyone="*"), Careless(everything)],
    )
    asked = {"user": user, "groups": groups}
    mine = {user, *groups, "*"}
    allowed = {f"{number}" for number, named in enumerate(readers) if mine & set(named)}
    answer = core.search("beans", limit=limit, context=asked)
    assert {hit.ref.key for hit in answer} <= allowed
    assert len(answer) == min(limit, len(allowed))
    assert core.documents(context=asked).total == len(allowed)
