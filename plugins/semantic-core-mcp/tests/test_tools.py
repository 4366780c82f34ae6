"""What the tools answer, and what they say when something is missing or goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from semantic_core_mcp.answers import FEWER, PARTLY
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.tools import AWAY, BROKEN, HIDDEN, NO_DOCUMENT, NO_PASSAGE, Tools

from semantic_core import Document, Ref, SemanticCore, hookimpl
from semantic_core.errors import (
    AccessRefused,
    EmbedderUnavailable,
    SemanticCoreError,
    StoreBusy,
    StoreCorrupt,
)
from semantic_core.testing import HashEmbedder

NOTES = """# Garden

## Beans

Beans climb the wall. They want water in the morning.

## Carrots

Carrots are sown where they will stay.
"""


class Fails:
    """A plugin that raises while it searches, as if it knew a secret."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    def semantic_rerank(self, hits: Sequence[Any]) -> Sequence[Any]:
        raise self.error

    @hookimpl
    def semantic_restrict(self, context: Any) -> None:
        if isinstance(self.error, AccessRefused):
            raise self.error


class Away(HashEmbedder):
    """An embedder whose service does not answer."""

    away = False

    def embed_query(self, text: str) -> np.ndarray:
        if self.away:
            raise EmbedderUnavailable("https://embed.internal:8443 refused token s3cr3t.")
        return super().embed_query(text)


def tools_of(
    *plugins: object, embedder: HashEmbedder | None = None, report: Any = None, **more: Any
) -> Tools:
    core = SemanticCore(
        store="memory", embedder=embedder or HashEmbedder(), plugins=["markdown", *plugins]
    )
    core.ingest(
        Document(
            Ref("notes", "garden.md"),
            NOTES,
            media_type="text/markdown",
            metadata={"lang": "en", "salary": 7},
        ),
        Document(Ref("mails", "1"), "The wall is high.", title="A wall"),
    )
    lines: list[str] = []
    return Tools(VisibleIndex(core, **more), report=report or lines.append)


def test_a_hit_says_where_it_is_from() -> None:
    answer = tools_of().call("search", {"query": "beans want water", "mode": "text"})
    (hit,) = answer.data["hits"]
    assert hit["uri"] == "semantic-core://documents/notes/garden.md"
    assert (hit["collection"], hit["key"], hit["title"]) == ("notes", "garden.md", "Garden")
    assert hit["headings"] == "Garden > Beans"
    assert NOTES[hit["start"] : hit["end"]] == hit["text"]
    assert (hit["row"], hit["metadata"], hit["cut"]) == (None, {}, False)
    assert answer.text.splitlines()[:3] == [
        "1. Garden",
        "   semantic-core://documents/notes/garden.md",
        f"   passage {hit['position']}, characters {hit['start']}-{hit['end']}, in Garden > Beans",
    ]
    assert "score" not in hit, "a score of words depends on documents that others may see"


def test_around_a_hit_are_its_neighbours_in_order() -> None:
    tools = tools_of()
    (hit,) = tools.call("search", {"query": "beans want water", "mode": "text"}).data["hits"]
    given = {"collection": "notes", "key": "garden.md", "position": hit["position"]}
    around = tools.call("context", {**given, "before": 0, "after": 1})
    assert [each["position"] for each in around.data["passages"]] == [
        hit["position"],
        hit["position"] + 1,
    ]
    assert "Carrots are sown" in around.text
    alone = tools.call("context", {**given, "before": 0, "after": 0})
    assert [each["text"] for each in alone.data["passages"]] == [hit["text"]]


def test_a_document_is_read_with_its_text_and_its_facts() -> None:
    answer = tools_of().call("get", {"collection": "notes", "key": "garden.md"})
    assert answer.data["text"] == NOTES
    assert answer.data["media_type"] == "text/markdown"
    assert answer.text.endswith(NOTES.rstrip())


def test_only_metadata_that_the_operator_shows_is_shown_and_filtered_by() -> None:
    closed = tools_of()
    assert "where" not in [each.name for each in closed.tools["search"].parameters]
    refused = closed.call("search", {"query": "beans", "where": {"salary": 7}})
    assert refused.text.startswith("There is no argument 'where'")
    tools = tools_of(shown=["lang"])
    answer = tools.call("search", {"query": "beans wall", "where": {"lang": "en"}})
    assert [hit["metadata"] for hit in answer.data["hits"]] == [{"lang": "en"}]
    assert "   lang: en\n" in answer.text
    assert "salary" not in answer.text
    for where in ({"salary": 7}, {"lang": "en", "salary": {"gte": 1}}):
        answer = tools.call("search", {"query": "beans", "where": where})
        assert answer.text == "where can name lang, got 'salary'."
    document = tools.call("get", {"collection": "notes", "key": "garden.md"})
    assert document.data["metadata"] == {"lang": "en"}


def test_collections_are_listed_with_what_is_in_them() -> None:
    answer = tools_of().call("list_collections", {})
    assert answer.text == "mails: 1 document\nnotes: 1 document"
    assert answer.data["collections"] == [
        {"name": "mails", "documents": 1, "model": None},
        {"name": "notes", "documents": 1, "model": None},
    ]
    narrow = tools_of(collections=["notes"]).call("list_collections", {})
    assert narrow.text == "notes: 1 document"


def test_nothing_found_is_no_error() -> None:
    answer = tools_of().call("search", {"query": "zeppelin", "mode": "text"})
    assert (answer.failed, answer.text, answer.data["hits"]) == (False, "Nothing was found.", [])


def test_what_is_not_there_is_told_with_where_to_find_what_is() -> None:
    tools = tools_of()
    assert tools.call("get", {"collection": "notes", "key": "x"}).text == NO_DOCUMENT
    given = {"collection": "notes", "key": "garden.md", "position": 99}
    assert tools.call("context", given).text == NO_PASSAGE


def test_an_answer_of_words_alone_says_so_and_the_operator_gets_the_reason() -> None:
    lines: list[str] = []
    embedder = Away()
    tools = tools_of(embedder=embedder, report=lines.append)
    assert tools.call("search", {"query": "beans"}).data["degraded"] is False
    embedder.away = True
    answer = tools.call("search", {"query": "beans"})
    assert (answer.data["degraded"], answer.data["mode"]) == (True, "text")
    assert answer.text.startswith(f"{FEWER}\n1. Garden")
    assert "embed.internal" not in f"{answer.text} {answer.data}"
    assert any("embed.internal" in line for line in lines)


def test_a_plugin_that_fails_without_hiding_anything_is_told_in_general() -> None:
    class Orders:
        @hookimpl(orders_only=True)
        def semantic_rerank(self, hits: Sequence[Any]) -> Sequence[Any]:
            raise RuntimeError("/srv/models/secret.bin")

    answer = tools_of(Orders()).call("search", {"query": "beans"})
    assert answer.data["remark"] == PARTLY
    assert answer.text.startswith(PARTLY)
    assert "secret.bin" not in f"{answer.text} {answer.data}"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreBusy("/srv/index.db is locked by pid 7."), AWAY),
        (StoreCorrupt("/srv/index.db holds two rows 7."), BROKEN),
        (RuntimeError("password=s3cr3t\nTraceback"), BROKEN),
        (AccessRefused("'user' is not in the context of acme."), HIDDEN),
    ],
)
def test_an_error_is_one_line_without_what_is_inside(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    tools = tools_of(report=lines.append)

    def search(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(VisibleIndex, "search", search)
    answer = tools.call("search", {"query": "beans"})
    assert (answer.failed, answer.text, answer.data) == (True, told, {})
    (line,) = lines
    assert line.startswith(f"search: {type(error).__name__}: ")
    assert "Traceback" not in line


def test_a_reranker_that_may_hide_something_and_fails_shows_nothing() -> None:
    answer = tools_of(Fails(RuntimeError("s3cr3t"))).call("search", {"query": "beans"})
    assert (answer.failed, answer.text) == (True, BROKEN)


def test_without_whoever_asks_nothing_is_shown_and_the_operator_is_told_at_once() -> None:
    tools = tools_of(Fails(AccessRefused("Say who asks.")))
    for name, given in (
        ("search", {"query": "beans"}),
        ("get", {"collection": "notes", "key": "garden.md"}),
        ("context", {"collection": "notes", "key": "garden.md", "position": 0}),
        ("list_collections", {}),
    ):
        answer = tools.call(name, given)
        assert (answer.failed, answer.text, answer.data) == (True, HIDDEN, {})
    with pytest.raises(AccessRefused, match="Say who asks"):
        tools._index.check()


def test_a_query_that_no_store_takes_is_told_with_the_reason() -> None:
    class Refuses:
        @hookimpl
        def semantic_search_middleware(self) -> Any:
            return lambda request, search: search(request)

    tools = tools_of(Refuses())
    answer = tools.call("search", {"query": "\x00" * 5})
    assert isinstance(answer.text, str) and "\n" not in answer.text.split("1. ")[0].strip("\n")
    assert issubclass(StoreBusy, SemanticCoreError)
