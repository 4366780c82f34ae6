"""Answers have an upper size, and say where they were cut."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_mcp.answers import ToolAnswer
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.limits import LEAST_CHARS, MOST_COLLECTIONS, REACH, Limits
from semantic_core_mcp.tools import Tools

from semantic_core import Document, Ref, SemanticCore
from semantic_core.testing import HashEmbedder

LONG = "Beans climb the wall. " * 2_000


def tools_of(documents: list[Document], **limits: int) -> Tools:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    core.ingest(documents)
    return Tools(VisibleIndex(core, shown=["lang"]), attrs.evolve(Limits(), **limits))


def texts_of(answer: ToolAnswer) -> int:
    """The characters of documents in the data of an answer."""
    return sum(len(hit["text"]) for hit in answer.data["hits"])


documents = st.lists(
    st.tuples(
        st.text("abc é\n", max_size=900),
        st.text("tuv w", max_size=300),
        st.text("k/ж", min_size=1, max_size=300),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda made: made[2],
)


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(LEAST_CHARS, 4_000), st.integers(100, 900), st.integers(1, 8))
def test_no_answer_is_longer_than_the_operator_allows(
    made: list[tuple[str, str, str]], most: int, per_hit: int, limit: int
) -> None:
    written = [
        Document(Ref("notes", key), f"beans {text}", title=title, metadata={"lang": "x" * 900})
        for text, title, key in made
    ]
    tools = tools_of(written, answer_chars=most, hit_chars=per_hit, hits=8)
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        answer = tools.call("search", {"query": "beans", "limit": limit, "offset": offset})
        assert not answer.failed, answer.text
        assert len(answer.text) <= most
        assert texts_of(answer) <= most
        assert all(len(hit["text"]) <= per_hit for hit in answer.data["hits"])
        assert answer.data["hits"]
        seen += [hit["key"] for hit in answer.data["hits"]]
        offset = answer.data["next_offset"]
    assert sorted(seen) == sorted(document.ref.key for document in written)
    for document in written:
        identity = {"collection": "notes", "key": document.ref.key}
        parts = []
        start: int | None = 0
        while start is not None:
            answer = tools.call("get", {**identity, "start": start})
            assert not answer.failed, answer.text
            assert len(answer.text) <= most
            parts.append(answer.data["text"])
            start = answer.data["next_start"]
        assert "".join(parts) == document.text
        around = {**identity, "position": 0, "before": 5, "after": 5}
        answer = tools.call("context", around)
        assert not answer.failed, answer.text
        assert len(answer.text) <= most
        assert answer.data["passages"][0]["position"] == 0


def test_a_passage_that_was_cut_says_so() -> None:
    tools = tools_of([Document(Ref("notes", "1"), LONG)], hit_chars=300)
    answer = tools.call("search", {"query": "beans"})
    (hit,) = answer.data["hits"]
    assert hit["cut"] is True
    assert LONG.startswith(hit["text"][:20])
    whole = hit["end"] - hit["start"]
    assert f"[cut: {len(hit['text'])} of {whole:,} characters]" in answer.text


def test_a_document_comes_in_parts() -> None:
    tools = tools_of([Document(Ref("notes", "1"), LONG)])
    first = tools.call("get", {"collection": "notes", "key": "1"})
    assert (first.data["cut"], first.data["characters"]) == (True, len(LONG))
    assert f"call get again with start={first.data['next_start']}]" in first.text
    past = tools.call("get", {"collection": "notes", "key": "1", "start": len(LONG)})
    assert past.failed
    assert (
        past.text
        == f"start must be below {len(LONG):,}, the length of the text, got {len(LONG):,}."
    )


def test_hits_and_their_depth_are_limited() -> None:
    tools = tools_of([Document(Ref("notes", str(n)), f"beans {n}") for n in range(300)], hits=7)
    assert len(tools.call("search", {"query": "beans"}).data["hits"]) == 7
    over = tools.call("search", {"query": "beans", "limit": 8})
    assert over.text == "limit must be a whole number from 1 to 7, got 8."
    last = tools.call("search", {"query": "beans", "limit": 7, "offset": REACH - 7})
    assert len(last.data["hits"]) == 7
    deep = tools.call("search", {"query": "beans", "limit": 7, "offset": REACH - 6})
    assert deep.failed
    assert deep.text.startswith(f"offset + limit must be at most {REACH}, got {REACH + 1}.")


def test_many_collections_are_cut_and_it_is_said() -> None:
    many = [Document(Ref(f"c{n:03}", "1"), "beans") for n in range(MOST_COLLECTIONS + 1)]
    answer = tools_of(many).call("list_collections", {})
    assert len(answer.data["collections"]) == MOST_COLLECTIONS
    assert answer.data["cut"] is True
    assert answer.text.endswith("[cut: there are more collections]")
    answer = tools_of(many, answer_chars=LEAST_CHARS).call("list_collections", {})
    assert len(answer.text) <= LEAST_CHARS
    assert 0 < len(answer.data["collections"]) < MOST_COLLECTIONS
    assert answer.data["cut"] is True


@pytest.mark.parametrize("count", [1, 2])
def test_what_was_not_cut_does_not_say_so(count: int) -> None:
    few = [Document(Ref("notes", str(n)), f"beans {n}") for n in range(count)]
    tools = tools_of(few)
    answer = tools.call("search", {"query": "beans"})
    assert "cut" not in answer.text and "more hits" not in answer.text
    assert answer.data["next_offset"] is None
    assert "cut" not in tools.call("get", {"collection": "notes", "key": "0"}).text
