"""Search: filters are applied before the limit, there is one hit for each document, and the answer
says how it was made.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Sequence
from math import exp
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import (
    Chunk,
    ChunkId,
    Document,
    Ranking,
    Ref,
    SearchHit,
    SearchRequest,
    SemanticCore,
    _search,
    hookimpl,
)
from semantic_core._memory.store import MemoryStore
from semantic_core.errors import (
    EmbedderError,
    EmbedderUnavailable,
    FilterInvalid,
    InputError,
    QueryTooLarge,
)
from semantic_core.testing import HashEmbedder
from semantic_core.types import Mode


def opened(*plugins: object, documents: Sequence[Document] = (), **options: Any) -> SemanticCore:
    embedder = HashEmbedder()
    core = SemanticCore(
        store=MemoryStore(embedder.space), embedder=embedder, plugins=plugins, **options
    )
    core.ingest(documents)
    return core


def note(key: str, text: str, collection: str = "notes", **fields: Any) -> Document:
    return Document(Ref(collection, key), text, **fields)


def keys(results: Sequence[SearchHit]) -> list[str]:
    return [hit.ref.key for hit in results]


ANIMALS = [
    note(
        "walrus",
        "A walrus rests on the ice with long tusks.",
        title="Walrus",
        metadata={"sea": True},
    ),
    note(
        "otter",
        "An otter floats on its back and cracks shells.",
        title="Otter",
        metadata={"sea": True},
    ),
    note("mole", "A mole digs tunnels under the lawn.", title="Mole", metadata={"sea": False}),
]


def test_a_hit_carries_all_a_person_wants_to_see() -> None:
    hit = opened(documents=ANIMALS).search("tusks on the ice")[0]
    assert (hit.ref, hit.position, hit.title) == (Ref("notes", "walrus"), 0, "Walrus")
    assert hit.text == "A walrus rests on the ice with long tusks."
    assert (hit.start, hit.end, hit.kind, hit.headings) == (0, len(hit.text), "text", ())
    assert hit.ranks == {"vector": 1, "words": 1}
    assert set(hit.scores) == {"vector", "words"}
    assert hit.metadata == {"sea": True}


def test_every_step_is_timed() -> None:
    timings = opened(documents=ANIMALS).search("ice").timings
    assert {"embed", "retrieve", "fuse", "fetch", "total"} <= set(timings)
    assert all(spent >= 0 for spent in timings.values())
    assert timings["total"] >= max(timings["retrieve"], timings["embed"])


def test_each_mode_uses_its_retrievers_only() -> None:
    core = opened(documents=ANIMALS)
    assert set(core.search("tusks", mode="text")[0].ranks) == {"words"}
    assert set(core.search("tusks", mode="vector")[0].ranks) == {"vector"}
    asked = core.embedder.calls
    core.search("tusks", mode="text")
    assert core.embedder.calls == asked


def test_filters_and_collections_hold_before_the_limit() -> None:
    near = [
        note(f"near{number}", "walrus tusks ice", metadata={"sea": True}) for number in range(150)
    ]
    far = [
        note("far", "a walrus, perhaps", metadata={"sea": False}),
        note("other", "walrus", collection="blog"),
    ]
    core = opened(documents=[*near, *far])
    for mode in ("hybrid", "vector", "text"):
        assert keys(core.search("walrus tusks ice", mode=mode, where={"sea": False})) == ["far"]
        assert keys(core.search("walrus tusks ice", mode=mode, collections=["blog"])) == ["other"]
        assert keys(core.search("walrus tusks ice", mode=mode, collections=[])) == []


def test_a_document_appears_once_with_its_best_passage_and_the_limit_is_still_filled() -> None:
    long = note("long", "\n\n".join(f"walrus number {number} " + "x" * 40 for number in range(300)))
    core = opened(documents=[long, *ANIMALS], max_chars=60)
    results = core.search("walrus number 7", limit=3)
    assert keys(results)[0] == "long"
    assert len(results) == 3
    assert len(set(keys(results))) == 3
    chunks = core.search_chunks("walrus number 7", limit=20)
    assert keys(chunks).count("long") > 15
    assert chunks[0].position == results[0].position


def test_pages_follow_one_another_without_gap_or_double() -> None:
    core = opened(
        documents=[
            note(f"{number:03}", f"walrus {'ice ' * (number % 7)}{number}") for number in range(60)
        ]
    )
    whole = keys(core.search("walrus ice", limit=60))
    pages = [
        key
        for offset in range(0, 60, 7)
        for key in keys(core.search("walrus ice", limit=7, offset=offset))
    ]
    assert pages == whole
    assert len(set(whole)) == 60
    assert keys(core.search("walrus", limit=10, offset=1_000)) == []


words_of_notes = st.lists(
    st.sampled_from(["walrus", "ice", "tusk", "otter", "the"]), min_size=1, max_size=6
)


@settings(max_examples=25, deadline=None)
@given(
    notes=st.lists(st.lists(words_of_notes, min_size=1, max_size=3), min_size=1, max_size=60),
    query=words_of_notes.map(" ".join),
    mode=st.sampled_from(["hybrid", "vector", "text"]),
    slices=st.lists(st.tuples(st.integers(0, 70), st.integers(1, 70)), min_size=1, max_size=6),
    whole_documents=st.booleans(),
)
def test_every_page_is_a_slice_of_one_answer(
    notes: list[list[list[str]]],
    query: str,
    mode: Mode,
    slices: list[tuple[int, int]],
    whole_documents: bool,
) -> None:
    """With looks so shallow that pages lie in several of them: whatever is asked for,
    hits and scores are the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_search, "DEPTHS", (3, 7, 20, 1_000))
        core = opened(
            documents=[
                note(
                    f"{number:02}",
                    "\n\n".join(" ".join(chunk).ljust(50, ".") for chunk in chunks),
                    title=" ".join(chunks[0]),
                )
                for number, chunks in enumerate(notes)
            ],
            max_chars=50,
        )
        search = core.search if whole_documents else core.search_chunks
        whole = search(query, mode=mode, limit=1_000).hits
        assert len({hit.ref if whole_documents else hit.id for hit in whole}) == len(whole)
        assert [hit.score for hit in whole] == sorted((hit.score for hit in whole), reverse=True)
        for offset, limit in slices:
            assert (
                search(query, mode=mode, limit=limit, offset=offset).hits
                == whole[offset : offset + limit]
            )


def test_every_page_is_a_slice_of_one_answer_however_deep() -> None:
    core = opened(
        documents=[
            note(f"{number:04}", f"walrus {'ice ' * (number % 7)}{number}") for number in range(600)
        ]
    )
    for mode in ("hybrid", "vector", "text"):
        whole = core.search("walrus ice 77", mode=mode, limit=600).hits
        assert len({hit.ref for hit in whole}) == 600
        for offset, limit in ((0, 10), (99, 2), (140, 300), (290, 20), (590, 100)):
            hits = core.search("walrus ice 77", mode=mode, limit=limit, offset=offset).hits
            assert hits == whole[offset : offset + limit]


def test_pages_of_what_a_reranker_leaves_fit_together() -> None:
    class Picky:
        """Turns what it is shown around, and takes every third away."""

        shown: ClassVar[list[int]] = []

        @hookimpl(wrapper=True)
        def semantic_rerank(self, request: SearchRequest) -> Any:
            hits = yield
            self.shown.append(len(hits))
            return [hit for hit in reversed(hits) if int(hit.ref.key) % 3]

    core = opened(
        Picky(), documents=[note(f"{number:03}", f"walrus {number}") for number in range(170)]
    )
    whole = keys(core.search("walrus", limit=170))
    assert len(whole) == sum(number % 3 > 0 for number in range(170))
    for offset, limit in ((0, 10), (30, 10), (33, 40), (90, 50), (0, 113)):
        assert (
            keys(core.search("walrus", limit=limit, offset=offset))
            == whole[offset : offset + limit]
        )
    Picky.shown.clear()
    core.search("walrus", limit=10)
    assert Picky.shown == [50]


def test_an_answer_ends_where_a_reranker_leaves_nothing() -> None:
    class Strict:
        shown = 0

        @hookimpl
        def semantic_rerank(self, hits: Sequence[SearchHit]) -> list[SearchHit]:
            Strict.shown += 1
            return []

    core = opened(
        Strict(), documents=[note(f"{number:03}", f"walrus {number}") for number in range(170)]
    )
    assert len(core.search("walrus", limit=10)) == 0
    assert Strict.shown == 1


ORDERS = [
    note(f"{number}", f"Order A{number}17: a bike for Anna, paid by card.")
    for number in range(1_000, 1_150)
]


def test_the_only_document_with_an_identifier_comes_first() -> None:
    core = opened(documents=ORDERS)
    for number in range(1_000, 1_150, 10):
        results = core.search(f"A{number}17", limit=3)
        assert keys(results)[0] == f"{number}"
        assert results[0].score > results[1].score


def test_a_document_called_like_the_query_comes_first_whatever_case_and_signs() -> None:
    titles = ["json.dumps", "json.dump", "json.loads", "git-commit", "grep(1)", "sort"]
    about = [
        note(title, f"What {title.upper()} does, in a few words.", title=title) for title in titles
    ]
    talk = [
        note(
            f"talk{number}",
            f"json dumps json loads git commit grep sort {'and so on ' * (number % 5)}",
            title="Talk",
        )
        for number in range(150)
    ]
    core = opened(documents=[*talk, *about])
    asked = {
        "json.dumps": "json.dumps",
        "JSON dumps": "json.dumps",
        "git  commit": "git-commit",
        "Sort": "sort",
    }
    for query, title in {**asked, "grep": "grep(1)", "grep 1": "grep(1)"}.items():
        results = core.search(query, limit=3)
        assert results[0].title == title
        assert results[0].ranks["title"] == 1


def docstrings(*modules: str) -> Iterator[tuple[str, str]]:
    """(name, docstring) of everything in these modules of the standard library that has one."""
    for module in modules:
        tree = ast.parse(Path(str(importlib.util.find_spec(module).origin)).read_text("utf-8"))  # type: ignore[union-attr]
        for node in ast.walk(tree):
            said = (
                ast.get_docstring(node)
                if isinstance(node, ast.FunctionDef | ast.ClassDef)
                else None
            )
            if said:
                yield f"{module}.{node.name}", said  # type: ignore[attr-defined]


def test_every_title_of_real_documents_finds_them_first_as_typed_and_in_plain_words() -> None:
    named = dict(
        docstrings(
            "argparse", "shutil", "tarfile", "threading", "textwrap", "json.decoder", "pathlib"
        )
    )
    assert len(named) > 200
    core = opened(documents=[note(name, said[:600], title=name) for name, said in named.items()])

    def plain(name: str) -> str:
        return " ".join(re.findall(r"[^\W_]+", name.lower()))

    for name in list(named)[::5]:
        for query in (name, plain(name)):
            assert plain(core.search(query, limit=1)[0].title) == plain(name)


def test_scores_of_a_hybrid_answer_are_between_0_and_1_with_any_number_of_retrievers() -> None:
    core = opened(documents=ANIMALS)
    for query in ("zebra", "walrus", "the ice", "Walrus"):
        results = core.search(query)
        assert (results.mode, len(results)) == ("hybrid", 3)
        assert all(0 <= hit.score <= 1 for hit in results)
    nearest = core.search("zebra", mode="vector")[0]
    assert nearest.score == pytest.approx(max(0.0, nearest.scores["vector"]) ** 2)
    found = core.search("walrus", mode="text")[0]
    full = core.store.full_score("walrus")  # type: ignore[attr-defined]
    assert found.score == pytest.approx(1 - exp(-found.scores["words"] / full))


def test_a_store_that_scores_no_given_chunks_is_searched_all_the_same() -> None:
    class Scoreless(MemoryStore):
        score = titled = None  # type: ignore[assignment]

    embedder = HashEmbedder()
    core = SemanticCore(store=Scoreless(embedder.space), embedder=embedder, plugins=[])
    core.ingest(ORDERS)
    results = core.search("A109017")
    assert (keys(results)[0], results.degraded) == ("1090", False)
    assert len(core.search("bike", limit=150)) == 150


def test_an_embedder_that_fails_is_answered_for_by_words_and_it_is_said() -> None:
    core = opened(documents=ANIMALS)
    core.embedder.fail_with = EmbedderUnavailable("no network")
    results = core.search("walrus")
    assert (results.mode, results.degraded, keys(results)) == ("text", True, ["walrus"])
    assert "no network" in results.reason
    core.embedder.fail_with = RuntimeError("boom")
    assert "RuntimeError: boom" in core.search("walrus", mode="vector").reason


def test_a_store_without_words_answers_by_meaning_and_says_so() -> None:
    class Wordless:
        """A store that finds no words: all but `words` of a MemoryStore."""

        def __init__(self, inner: MemoryStore) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            if name == "words":
                raise AttributeError(name)
            return getattr(self._inner, name)

    embedder = HashEmbedder()
    core = SemanticCore(store=Wordless(MemoryStore(embedder.space)), embedder=embedder, plugins=[])  # type: ignore[arg-type]
    core.ingest(ANIMALS)
    results = core.search("walrus on ice")
    assert (results.mode, results.degraded, results.reason) == (
        "vector",
        True,
        "this store has no full-text search",
    )
    assert core.search("walrus on ice", mode="vector").degraded is False
    with pytest.raises(InputError, match="has no full-text search"):
        core.search("walrus", mode="text")
    embedder.fail_with = EmbedderUnavailable("no network")
    with pytest.raises(EmbedderError, match="no network"):
        core.search("walrus")


def test_a_retriever_that_raises_is_left_out_and_named() -> None:
    class Broken:
        @hookimpl
        def semantic_retrieve(self, request: SearchRequest) -> Ranking:
            raise RuntimeError("graph is down")

    results = opened(Broken(), documents=ANIMALS).search("walrus tusks")
    assert keys(results)[0] == "walrus"
    assert results.degraded
    assert "Broken" in results.reason
    assert "graph is down" in results.reason


def test_a_further_retriever_takes_part_in_the_order() -> None:
    class Pinned:
        @hookimpl
        def semantic_retrieve(self, request: SearchRequest) -> Ranking:
            return Ranking("pinned", (ChunkId(Ref("notes", "mole"), 0),), (1.0,))

    results = opened(Pinned(), documents=ANIMALS).search("walrus", limit=3)
    assert {hit.ref.key: hit.ranks.get("pinned") for hit in results}["mole"] == 1


def test_a_reranker_sees_more_than_the_limit_and_decides() -> None:
    seen: list[int] = []

    class Backwards:
        @hookimpl(wrapper=True)
        def semantic_rerank(self, request: SearchRequest) -> Any:
            hits = yield
            seen.append(len(hits))
            return sorted(hits, key=lambda hit: hit.ref.key, reverse=True)

    core = opened(
        Backwards(), documents=[note(f"{number:02}", f"walrus {number}") for number in range(30)]
    )
    assert keys(core.search("walrus", limit=2)) == ["29", "28"]
    assert seen == [30]


def test_no_hit_is_an_empty_answer_not_an_error() -> None:
    assert len(opened().search("walrus")) == 0
    results = opened(documents=ANIMALS).search("zebra", mode="text")
    assert (len(results), results.degraded) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"query": "  \n"}, InputError, "The query is empty"),
        ({"query": 5}, InputError, "The query must be a str, got int"),
        ({"query": "\ud800"}, InputError, "lone surrogate"),
        ({"query": "x" * 200_000}, QueryTooLarge, "the most is 100,000"),
        (
            {"mode": "semantic"},
            InputError,
            "mode must be one of hybrid, vector, text, got 'semantic'",
        ),
        ({"limit": 0}, InputError, "limit must be a whole number from 1, got 0"),
        ({"limit": 1.5}, InputError, "limit must be"),
        ({"limit": True}, InputError, "limit must be"),
        ({"limit": None}, InputError, "limit must be"),
        ({"limit": 2**63}, QueryTooLarge, "offset \\+ limit"),
        ({"offset": -1}, InputError, "offset must be"),
        ({"where": "lang=en"}, FilterInvalid, "where must be a mapping"),
        ({"where": {"year": {"approx": 5}}}, FilterInvalid, "unknown operator 'approx'"),
        ({"collections": "notes"}, InputError, "collections must be a list"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    core = opened(documents=ANIMALS)
    with pytest.raises(kind, match=message):
        core.search(**{"query": "walrus", **arguments})


HOSTILE = [
    '"',
    "'",
    "a OR b",
    "NEAR(",
    "title:x",
    "-a",
    "*",
    "^",
    "C++",
    "e-mail",
    "don't",
    "why?",
    "a/b",
    ")(",
    "\0",
    "%",
    "🦭",
]


@pytest.mark.parametrize("query", HOSTILE)
def test_any_text_is_a_legal_query(query: str) -> None:
    core = opened(documents=ANIMALS)
    assert core.search(query).degraded is False


def test_a_context_window_gives_the_neighbours_in_order() -> None:
    core = opened(
        documents=[
            note("1", "\n\n".join(f"paragraph {number} " + "x" * 40 for number in range(6)))
        ],
        max_chars=60,
    )
    hit = core.search_chunks("paragraph 3", mode="text", limit=6)[0]
    middle = ChunkId(Ref("notes", "1"), 3)
    assert [stored.chunk.id.position for stored in core.context_window(middle)] == [2, 3, 4]
    assert [
        stored.chunk.id.position for stored in core.context_window(middle, before=0, after=9)
    ] == [3, 4, 5]
    assert [
        stored.chunk.id.position for stored in core.context_window(ChunkId(Ref("notes", "1"), 0))
    ] == [0, 1]
    assert core.context_window(hit, before=0, after=0)[0].chunk.text == hit.text
    assert core.context_window(ChunkId(Ref("notes", "1"), 6)) == []
    assert core.context_window(ChunkId(Ref("notes", "gone"), 0)) == []
    with pytest.raises(InputError, match="before must be"):
        core.context_window(hit, before=-1)


def test_the_snapshot_of_a_search_is_one_state() -> None:
    class Meddler:
        """Removes a document between retrieving and fetching, as another writer would."""

        core: SemanticCore

        @hookimpl(wrapper=True)
        def semantic_fuse(self, rankings: Sequence[Ranking]) -> Any:
            import threading

            thread = threading.Thread(target=self.core.remove, args=(Ref("notes", "walrus"),))
            thread.start()
            thread.join(timeout=10)
            return (yield)

    meddler = Meddler()
    core = opened(meddler, documents=ANIMALS)
    meddler.core = core
    assert keys(core.search("walrus tusks"))[0] == "walrus"
    assert "walrus" not in keys(core.search("walrus tusks"))


def test_chunks_of_code_say_so() -> None:
    class Code:
        @hookimpl
        def semantic_split(self, document: Document) -> list[Chunk]:
            text = document.text
            return [
                Chunk(
                    ChunkId(document.ref, 0),
                    text,
                    0,
                    len(text),
                    kind="code",
                    metadata={"language": "python"},
                )
            ]

    core = opened(Code(), documents=[note("1", "for x in y: pass")])
    assert core.search("for x")[0].kind == "code"
