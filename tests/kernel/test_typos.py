"""Words that no document has: what was meant, and what somebody who types may want to type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core import Document, Ref, Scope, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core._typos import MOST_CHECKED, TYPOS, corrected
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import InputError
from semantic_core.query_syntax import parse_query
from semantic_core.testing import HashEmbedder
from semantic_core.testing.strategies import texts

NOTES = {
    "1": ("Searching lists", "A list comprehension is a loop that searches."),
    "2": ("Search engines", "An engine for search, with postgres connection pools."),
    "3": ("Pools", "A connection is expensive, a connection pool is not."),
}


def opened(*plugins: object, store: Any = None, **options: Any) -> SemanticCore:
    embedder = HashEmbedder()
    made = (store or MemoryStore)(embedder.space, **options)
    return SemanticCore(store=made, embedder=embedder, plugins=plugins)


@pytest.fixture(scope="module")
def core() -> SemanticCore:
    core = opened()
    for key, (title, text) in NOTES.items():
        core.ingest(Document(Ref("notes", key), text, title, metadata={"secret": key == "3"}))
    return core


def meant(core: SemanticCore, query: str, **options: Any) -> str | None:
    return core.search(query, **options).did_you_mean


def test_a_word_that_no_document_has_is_replaced_by_a_near_one(core):
    assert meant(core, "conection") == "connection"
    assert meant(core, "Postgers Connections, PSOTGRES!") == "Postgres Connection, POSTGRES!"
    assert meant(core, "connection pool") is None
    assert meant(core, "walrus") is None


def test_short_words_and_numbers_are_not_corrected(core):
    assert meant(core, "lst") is None
    assert meant(core, "lisst") == "list"
    assert meant(core, "comprehenzjon") == "comprehension"
    assert meant(core, "serahc") is None
    assert meant(core, "p0stgres") is None


def test_the_signs_of_the_syntax_stay(core):
    found = core.search('title:serch "list comprehnsion" -conection', syntax="query")
    assert found.did_you_mean == 'title:search "list comprehension" -conection'
    assert meant(core, "conec* serch", syntax="query") == "conec* search"
    assert meant(core, "secret:tru serch", syntax="query", fields=["secret"]) == "secret:tru search"


def test_what_a_query_excludes_is_known_all_the_same(core):
    assert meant(core, "connection -pools -pool", syntax="query") is None


def test_a_search_can_correct_at_once_and_says_so(core):
    found = core.search("conection pol", typos="correct", mode="text")
    assert (found.query, found.corrected, found.did_you_mean) == (
        "conection pol",
        "connection pol",
        None,
    )
    assert [hit.ref.key for hit in found] == ["3", "2"]
    assert "<mark>connection</mark>" in found[1].highlight()
    assert found.timings["correct"] >= 0
    right = core.search("connection", typos="correct")
    assert right.corrected is None


def test_typos_can_be_ignored(core):
    assert meant(core, "conection", typos="ignore") is None
    assert meant(core, "conection", mode="vector") is None
    assert not core.search("conection", typos="ignore", mode="text")


def test_a_text_is_no_query_to_correct(core):
    text = " ".join(f"word{chr(97 + number)}x" for number in range(MOST_CHECKED)) + " conection"
    assert meant(core, text) is None


@pytest.mark.parametrize("option", [{"typos": "maybe"}, {"syntax": "lucene"}, {"fields": "lang"}])
def test_an_option_that_is_none_is_refused(core, option):
    with pytest.raises(InputError, match=next(iter(option))):
        core.search("word", **option)


def test_a_store_that_does_not_know_its_words_corrects_nothing():
    class Bare:
        """A store without words."""

    query = parse_query("conection")
    assert corrected(query, Bare(), Scope(), WordAnalyser()) is None  # type: ignore[arg-type]


def test_words_of_documents_that_are_not_shown_are_not_suggested():
    class NoSecrets:
        @hookimpl
        def semantic_restrict(self, context):
            return {"secret": False}

    core = opened(NoSecrets())
    core.ingest(Document(Ref("notes", "1"), "open words", metadata={"secret": False}))
    core.ingest(Document(Ref("notes", "2"), "hidden zorbak", "Zorbak", metadata={"secret": True}))
    assert meant(core, "zorbek") is None
    assert core.complete("zor") == ()
    assert core.complete("op")[0].text == "open"
    everything = core.unrestricted()
    assert meant(everything, "zorbek") == "zorbak"
    assert [each.text for each in everything.complete("zor")] == ["Zorbak"]


def test_words_of_another_tenant_or_collection_are_not_suggested():
    core = opened(multi_tenant=True)
    core.ingest(
        Document(Ref("notes", "1", "ann"), "zorbak"),
        Document(Ref("notes", "1", "bob"), "velquon"),
        Document(Ref("blog", "1", "bob"), "tirefok"),
    )
    bob = core.tenant("bob")
    assert meant(bob, "zorbek") is None
    assert bob.complete("zor") == ()
    assert meant(bob, "velquan") == "velquon"
    assert meant(bob, "velquan", collections=["blog"]) is None
    assert bob.complete("velq", collections=["blog"]) == ()


def offered(core: SemanticCore, text: str, **options: Any) -> list[tuple[str, str]]:
    return [(each.kind, each.text) for each in core.complete(text, **options)]


def test_titles_and_words_are_completed(core):
    assert offered(core, "sear") == [
        ("title", "Search engines"),
        ("title", "Searching lists"),
        ("word", "search"),
        ("word", "searches"),
        ("word", "searching"),
    ]
    assert offered(core, "search en") == [
        ("title", "Search engines"),
        ("word", "search engine"),
    ]
    first = core.complete("Connec")[0]
    assert (first.text, first.kind, first.documents, first.ref) == ("Connection", "word", 2, None)
    assert core.complete("search e")[0].ref == Ref("notes", "2")


def test_titles_leave_room_for_words(core):
    assert offered(core, "sear", limit=2) == [("title", "Search engines"), ("word", "search")]
    assert offered(core, "sear", limit=1) == [("title", "Search engines")]


def test_nothing_is_completed_where_no_word_is_typed(core):
    for text in ("", " ", "...", "absent", "x" * 2_000):
        assert core.complete(text) == ()
    assert offered(core, "pools ") == [("title", "Pools")]


def test_completions_are_of_the_scope(core):
    assert offered(core, "pool", where={"secret": True}) == [("title", "Pools"), ("word", "pool")]
    assert offered(core, "pool", where={"secret": False}) == [("word", "pools")]


@given(texts(max_size=60), st.integers(1, 5))
def test_any_text_can_be_completed_and_corrected(text, limit):
    core = opened()
    core.ingest(Document(Ref("notes", "1"), "word", text[:50]))
    assert len(core.complete(text, limit=limit)) <= limit
    for typos in TYPOS:
        if text.strip():
            core.search(text, syntax="query", typos=typos)


def test_bad_input_is_refused(core):
    bad: Sequence[dict[str, Any]] = ({"limit": 0}, {"limit": 1_000}, {"collections": "notes"})
    for options in bad:
        with pytest.raises(InputError):
            core.complete("sear", **options)
    with pytest.raises(InputError):
        core.complete(5)  # type: ignore[arg-type]
