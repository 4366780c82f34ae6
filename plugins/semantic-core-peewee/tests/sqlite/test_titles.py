"""Documents are found by how their titles begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite.tuning import Tuning

from semantic_core import ChunkId, Document, Ref, Scope, SemanticCore
from semantic_core.filters import Filter
from semantic_core.testing import HashEmbedder


def test_titles_are_found_by_their_first_words(open_store: Callable[..., SqliteStore]) -> None:
    embedder = HashEmbedder()
    store = open_store(space=embedder.space)
    titles = {
        "json.dumps": "Serialize obj",
        "JSON dumps and loads": "Both",
        "a b c d e f g h i j k l": "Many words",
        "a b c d e f g h other": "Others",
        " ".join(f"long{number}" for number in range(60)): "More than a passage shows of a title",
        "Éclair": "Sweet",
        "漢字": "Signs",
    }
    with SemanticCore(store=store, embedder=embedder) as core:
        core.ingest(
            Document(Ref("notes", title), text, title=title) for title, text in titles.items()
        )
        core.ingest(
            Document(Ref("notes", f"x{n}"), "json dumps a b c d " * 9, title="X")
            for n in range(300)
        )
        for title in titles:
            asked = title.upper().replace(".", "  ")
            assert store.titled(asked, 1, Scope()).ids == (ChunkId(Ref("notes", title), 0),)
            assert store.titled(asked, 1, Scope()).scores == (1.0,)
        assert store.titled("eclair", 5, Scope()).ids == (ChunkId(Ref("notes", "Éclair"), 0),)
        assert store.titled("json dump", 5, Scope()).ids == ()
        assert len(store.titled("x", 1_000, Scope())) == 300
        assert store.titled("x", 7, Scope()).ids == store.titled("x", 300, Scope()).ids[:7]
        assert store.titled("x" * 5_000, 7, Scope()).ids == ()
        core.ingest(Document(Ref("notes", "Éclair"), "Sweet", title="Cake"))
        core.remove(Ref("notes", "漢字"))
        assert store.titled("eclair", 5, Scope()).ids == store.titled("漢字", 5, Scope()).ids == ()
        assert len(store.titled("cake", 5, Scope())) == 1
        assert store.check() == []


def test_of_what_may_be_called_like_a_query_few_titles_are_looked_at(
    open_store: Callable[..., SqliteStore],
) -> None:
    """Those in scope that are shortest."""
    embedder = HashEmbedder()
    store = open_store(space=embedder.space, tuning=Tuning(most_titles=10))
    SemanticCore(store=store, embedder=embedder).ingest(
        Document(
            Ref("notes", f"{n:03d}"),
            "text",
            title="River" + " bank" * (n < 100),
            metadata={"even": n % 2 == 0},
        )
        for n in range(500)
    )
    even = Scope(filter=Filter.parse({"even": True}))
    assert [id.ref.key for id in store.titled("river", 4, even).ids] == ["100", "102", "104", "106"]
    assert len(store.titled("river", 100, even)) == 10


def test_a_title_without_words_is_never_found(store: SqliteStore, item: Callable[..., Any]) -> None:
    document, entries = item("1", "text")
    import attrs

    store.replace([(attrs.evolve(document, title="***"), entries)])
    assert store.titled("***", 5, Scope()).ids == ()
    assert store.check() == []
