"""Searches with the syntax of search boxes: what is demanded holds for every retriever and hit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from semantic_core import (
    ChunkId,
    Document,
    Ranking,
    Ref,
    SearchHit,
    SearchRequest,
    SemanticCore,
    hookimpl,
)
from semantic_core._memory.store import MemoryStore
from semantic_core._search import QueryReading
from semantic_core.errors import InputError, TextInvalid
from semantic_core.testing import HashEmbedder
from semantic_core.types import MODES

NOTES = {
    "list": "A list comprehension is a loop.",
    "swap": "Comprehension of a list, and of Java.",
    "java": "Java loops, and the spring boot framework.",
    "db": "Postgres connection pools in Python.",
}


def opened(*plugins: object, **options: Any) -> SemanticCore:
    embedder = HashEmbedder()
    core = SemanticCore(
        store=MemoryStore(embedder.space), embedder=embedder, plugins=plugins, **options
    )
    for key, text in NOTES.items():
        core.ingest(Document(Ref("notes", key), text, key.title(), metadata={"lang": f"{key[0]}n"}))
    return core


@pytest.fixture(scope="module")
def core() -> Iterator[SemanticCore]:
    yield opened()


def keys(found: Any) -> set[str]:
    return {hit.ref.key for hit in found}


@pytest.mark.parametrize("mode", MODES)
def test_conditions_hold_in_every_mode(core, mode):
    def found(query: str) -> set[str]:
        return keys(core.search(query, mode=mode, syntax="query", fields=["lang"]))

    assert found('"list comprehension"') == {"list"}
    assert found('loops "list comprehension"') == {"list"}
    assert found('java -"spring boot"') <= {"swap", "list", "db"}
    assert "java" not in found('java -"spring boot"')
    assert found('comprehension "java"') == {"swap", "java"}
    assert found("postgres OR spring") == {"db", "java"}
    assert found("title:java java") == {"java"}
    assert found("pools lang:dn") == {"db"}
    assert found('"absent words"') == set()


def test_a_query_without_signs_is_the_same_in_both_syntaxes(core):
    for query in ("list comprehension", "http://x.org", "12:30 c:\\x - *", 'it is 5" wide'):
        plain = core.search(query)
        read = core.search(query, syntax="query")
        assert plain.hits == read.hits
        assert plain.query == read.query == query


def test_signs_are_words_by_default(core):
    assert keys(core.search('"list comprehension" -java', mode="text")) == {"list", "swap", "java"}


def test_a_prefix_alone_is_answered_by_meaning(core):
    assert keys(core.search("postg*", syntax="query")) == {"db"}


def test_a_query_of_exclusions_alone_finds_nothing_and_says_why(core):
    found = core.search("-java", syntax="query")
    assert (len(found), found.degraded, found.query) == (0, True, "-java")
    assert "only what to leave out" in found.reason


def test_chunks_are_searched_in_the_same_way(core):
    assert keys(core.search_chunks('"list comprehension"', syntax="query")) == {"list"}
    assert core.search_chunks("conection", typos="suggest").did_you_mean == "connection"


def test_a_store_without_conditions_says_so():
    class Plain:
        """A store that applies no conditions: everything else is passed on."""

        def __init__(self, store: MemoryStore) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            if name in ("meeting", "word_counts"):
                raise AttributeError(name)
            return getattr(self._store, name)

    whole = opened()
    core = SemanticCore(
        store=Plain(whole.store),  # type: ignore[arg-type]
        embedder=whole.embedder,
        plugins=(),
    )
    assert keys(core.search("list comprehension", syntax="query")) == set(NOTES)
    with pytest.raises(InputError, match="Plain applies no conditions on words"):
        core.search('"list comprehension"', syntax="query")
    assert keys(core.search('"list comprehension"'))


def test_bad_queries_are_refused_as_ever(core):
    for query in ("", " ", 5, None):
        with pytest.raises(InputError):
            core.search(query, syntax="query")
    with pytest.raises(TextInvalid):
        core.search('"a \ud800"', syntax="query")


def test_options_of_reading_are_checked():
    for bad in ({"syntax": "sql"}, {"typos": 1}, {"fields": "lang"}, {"fields": [5]}):
        with pytest.raises(InputError):
            QueryReading(**bad)


def test_a_retriever_of_a_plugin_keeps_to_the_conditions():
    class Everything:
        @hookimpl
        def semantic_retrieve(self, request, store):
            ids = tuple(ChunkId(Ref("notes", key), 0) for key in NOTES)
            return Ranking("everything", ids, tuple(map(float, range(len(ids), 0, -1))))

    found = opened(Everything()).search('"list comprehension"', syntax="query")
    assert keys(found) == {"list"}
    assert found[0].ranks["everything"] == 1
    assert not found.degraded


def test_middleware_keeps_to_the_conditions():
    class Adds:
        """Adds a hit, and asks for everything."""

        @hookimpl
        def semantic_search_middleware(self):
            def around(request: SearchRequest, search: Any) -> Any:
                wide = attrs.evolve(
                    request, scope=attrs.evolve(request.scope, text=type(request.scope.text)())
                )
                results = search(wide)
                extra = attrs.evolve(results.hits[0], ref=Ref("notes", "java"), score=0.0)
                return attrs.evolve(results, hits=(*results.hits, extra))

            return around

    found = opened(Adds()).search('"list comprehension"', syntax="query")
    assert keys(found) == {"list"}
    assert "without the words that the query demands" in found.reason


def test_middleware_that_changes_the_text_is_what_is_searched_for():
    class Changes:
        @hookimpl
        def semantic_search_middleware(self):
            return lambda request, search: search(attrs.evolve(request, text="postgres"))

    found = opened(Changes()).search('pools "python"', syntax="query", mode="text")
    assert (found.query, keys(found)) == ("postgres", {"db"})
    assert found[0].highlight() == "<mark>Postgres</mark> connection pools in Python."


def test_a_hit_is_marked_cut_and_explained(core):
    hit = core.search('pools "connection pools" -java', syntax="query")[0]
    assert [hit.text[start:end] for start, end in hit.matches()] == ["connection pools"]
    assert hit.snippet() == "Postgres <mark>connection pools</mark> in Python."
    assert hit.highlight(before="[", after="]", escape=False).count("[") == 1
    by_title = core.search("java")[0]
    assert by_title.highlight("title") == "<mark>Java</mark>"
    lines = by_title.explain()
    assert lines[0].startswith("vector: rank ")
    assert "words found: java" in lines
    assert "in the title: java" in lines
    half = core.search("postgres walrus")[0].explain()
    assert {"words found: postgres", "words not found: walrus"} <= set(half)
    for call in (lambda: hit.highlight("body"), lambda: hit.snippet(max_chars=3)):
        with pytest.raises(InputError):
            call()


def test_texts_of_documents_bring_no_tags_into_a_page():
    core = opened()
    evil = '<img src=x onerror="alert(1)"> walrus </mark><script>'
    core.ingest(Document(Ref("notes", "evil"), evil, title="<b>walrus</b>"))
    hit = core.search("walrus img script")[0]
    for html in (hit.highlight(), hit.highlight("title"), hit.snippet(), hit.snippet(max_chars=20)):
        left = html.replace("<mark>", "").replace("</mark>", "")
        assert not set(left) & set("<>\"'")
        assert hasattr(html, "__html__")


def test_a_hit_that_no_search_made_has_no_marks():
    hit = SearchHit(Ref("notes", "1"), 0, "T", (), "a < b", 0, 5, 1.0, {"words": 1}, {"words": 2.0})
    assert hit.matches() == ()
    assert hit.highlight() == hit.snippet() == "a &lt; b"
    assert hit.explain() == ("words: rank 1, score 2.000",)


def test_equal_hits_are_equal_whoever_marks_them(core):
    one = core.search("list")[0]
    other = core.search("list", syntax="query")[0]
    assert one == other
    assert hash(one) == hash(other)
