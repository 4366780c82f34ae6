"""``among`` of a search in a core: refs, mappings and keys; what is refused; and that tenants,
restrictions and middleware hold within it.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import attrs
import pytest

from semantic_core import Document, Ref, SemanticCore, hookimpl
from semantic_core.errors import InputError, TenantRefused
from semantic_core.testing import HashEmbedder
from semantic_core.types import ChunkId, Ranking, SearchResults


@pytest.fixture
def core() -> Iterator[SemanticCore]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        for collection in ("notes", "blog"):
            for number in range(6):
                metadata = {"odd": bool(number % 2)}
                ref = Ref(collection, str(number))
                core.ingest(Document(ref, "a loop repeats", metadata=metadata))
        yield core


def keys(results: SearchResults) -> list[str]:
    return sorted(f"{hit.ref.collection}/{hit.ref.key}" for hit in results)


@pytest.mark.parametrize("mode", ["hybrid", "text", "vector"])
def test_refs_mappings_and_keys_are_the_only_candidates(core: SemanticCore, mode: str) -> None:
    refs = [Ref("notes", "1"), Ref("blog", "2"), Ref("notes", "absent")]
    asked = [
        (refs, ["blog/2", "notes/1"]),
        (iter(refs), ["blog/2", "notes/1"]),
        ({"notes": ["1", 3], "blog": {"4"}}, ["blog/4", "notes/1", "notes/3"]),
        ({"notes": (str(number) for number in range(2))}, ["notes/0", "notes/1"]),
        ([], []),
        ({}, []),
        ({"notes": []}, []),
    ]
    for among, wanted in asked:
        found = core.search("loop", among=among, limit=20, mode=mode, total=True)
        assert keys(found) == wanted
        if mode == "text":
            assert (found.total, found.total_is_exact) == (len(wanted), True)
    chunks = core.search_chunks("loop", among=[Ref("notes", "1")], mode=mode)
    assert keys(chunks) == ["notes/1"]


def test_keys_alone_are_of_the_collection_that_is_named(core: SemanticCore) -> None:
    for among in (["1", "2"], {1, 2}, (key for key in "12")):
        found = core.search("loop", among=among, collections=["notes"], limit=20)
        assert keys(found) == ["notes/1", "notes/2"]
    listed = core.documents(among=["1", UUID(int=3)], collections=["blog"])
    assert [page.ref.key for page in listed] == ["1"]
    with_where = core.search(
        "loop",
        among={"notes": list("0123")},
        where={"odd": True},
        limit=20,
    )
    assert keys(with_where) == ["notes/1", "notes/3"]


@pytest.mark.parametrize(
    ("among", "collections", "message"),
    [
        (["1"], None, "one collection"),
        (["1"], ["notes", "blog"], "one collection"),
        ("12", ["notes"], "several refs or keys"),
        (12, ["notes"], "several refs or keys"),
        ({"notes": "12"}, None, "several refs or keys"),
        ([1.5], ["notes"], "a str, an int or a UUID"),
        ([True], ["notes"], "a str, an int or a UUID"),
        ([None], ["notes"], "a str, an int or a UUID"),
        ([["1"]], ["notes"], "a str, an int or a UUID"),
        ([Ref("notes", "1"), "2"], ["notes"], "a str, an int or a UUID"),
        ({7: ["1"]}, None, "collection"),
    ],
)
def test_what_is_refused(
    core: SemanticCore, among: object, collections: list[str] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        core.search("loop", among=among, collections=collections)  # type: ignore[arg-type]


def test_keys_reach_no_other_tenant() -> None:
    with SemanticCore(
        store="memory", embedder=HashEmbedder(), plugins=[], multi_tenant=True
    ) as core:
        for tenant in ("acme", "other"):
            for number in range(4):
                document = Document(Ref("notes", str(number)), "a loop", metadata={"of": tenant})
                core.tenant(tenant).ingest(document)
        acme = core.tenant("acme")
        found = acme.search(
            "loop",
            among={"notes": ["0", "1", "9"]},
            mode="text",
            total=True,
            facets=["of"],
        )
        assert {hit.ref.tenant for hit in found} == {"acme"}
        assert found.total == 2
        assert dict(found.facets) == {"of": (("acme", 2),)}
        ordered = acme.search("loop", order_by="of", limit=20)
        assert {hit.ref.tenant for hit in ordered} == {"acme"} and len(ordered) == 4
        with pytest.raises(TenantRefused):
            acme.search("loop", among=[Ref("notes", "1", "other")])


class OddOnly:
    """A plugin that shows documents with odd numbers only."""

    @hookimpl
    def semantic_restrict(self, context: dict[str, object]) -> dict[str, object]:
        return {} if context.get("user") == "boss" else {"odd": True}


class Elsewhere:
    """A plugin whose retriever ignores the scope."""

    @hookimpl
    def semantic_retrieve(self) -> Ranking:
        ids = [ChunkId(Ref("notes", str(number)), 0) for number in range(6)]
        return Ranking("elsewhere", tuple(ids), tuple(float(6 - number) for number in range(6)))


class Widens:
    """A plugin whose middleware asks for more than it was asked for."""

    @hookimpl
    def semantic_search_middleware(self) -> object:
        def middleware(request, run):  # type: ignore[no-untyped-def]
            return run(attrs.evolve(request, scope=attrs.evolve(request.scope, keys=None)))

        return middleware


def filled(*plugins: object) -> SemanticCore:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=list(plugins))
    for number in range(6):
        metadata = {"odd": bool(number % 2), "n": number}
        core.ingest(Document(Ref("notes", str(number)), "a loop repeats", metadata=metadata))
    return core


def test_a_restriction_holds_for_totals_facets_and_order() -> None:
    with filled(OddOnly()) as core:
        among = {"notes": list("0123")}
        found = core.search(
            "loop", among=among, mode="text", total=True, facets=["n", "odd"], limit=20
        )
        assert keys(found) == ["notes/1", "notes/3"]
        assert found.total == 2
        assert dict(found.facets) == {"n": ((1, 1), (3, 1)), "odd": ((True, 2),)}
        for mode in ("hybrid", "vector"):
            hidden = core.search("loop", mode=mode, total=True, facets=["n"])  # type: ignore[arg-type]
            assert hidden.total == 3
            assert [value for value, _ in hidden.facets["n"]] == [1, 3, 5]
        assert keys(core.search("loop", order_by="-n", limit=20)) == [
            "notes/1",
            "notes/3",
            "notes/5",
        ]
        assert core.documents(among=among).total == 2
        boss = core.search("loop", mode="text", total=True, context={"user": "boss"})
        assert boss.total == 6


def test_a_retriever_of_a_plugin_adds_nothing_from_outside() -> None:
    with filled(Elsewhere()) as core:
        found = core.search("loop", among={"notes": ["2"]}, limit=20)
        assert keys(found) == ["notes/2"]
        assert "with a key that was not asked for" in found.reason


def test_middleware_cannot_reach_other_keys() -> None:
    with filled(Widens()) as core:
        found = core.search("loop", among={"notes": ["2"]}, limit=20, total=True, mode="text")
        assert (keys(found), found.total) == (["notes/2"], 1)
