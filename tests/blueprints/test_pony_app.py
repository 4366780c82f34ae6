"""An application with Pony ORM: sessions and their identity maps stay as they are, and the index
has the rows as they are now.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pony.orm import (
    Database,
    LongStr,
    Optional,
    PrimaryKey,
    Required,
    Set,
    commit,
    db_session,
    delete,
    flush,
    select,
)
from pony.orm.core import DatabaseSessionIsOver, local
from pony_adapter import PonyAdapter, SemanticIndex, init_database

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.testing import HashEmbedder


class Library:
    """A database with entities, and an index."""

    def __init__(self, file: str, core: SemanticCore) -> None:
        db = Database()

        class Author(db.Entity):  # type: ignore[name-defined, misc]
            id = PrimaryKey(int, auto=True)
            name = Required(str)
            articles = Set("Article")
            friends = Set("Author", reverse="friends")
            search = SemanticIndex(["name", "friends.name"], sync="inline")

        class Tag(db.Entity):  # type: ignore[name-defined, misc]
            name = Required(str)
            articles = Set("Article")

        class Article(db.Entity):  # type: ignore[name-defined, misc]
            title = Required(str)
            content = Optional(LongStr)
            author = Optional(Author)
            tags = Set(Tag)
            search = SemanticIndex(
                ["title", "content", "author.name", "tags.name"],
                metadata_fields=["author", "tags"],
                sync="inline",
            )

        class Essay(Article):
            subject = Optional(str)

        self.db, self.Author, self.Tag, self.Article = db, Author, Tag, Article
        self.Essay = Essay
        db.bind("sqlite", file, create_db=True)
        db.generate_mapping(create_tables=True)
        self.adapters = init_database(db, core)

    def found(self, query: str) -> list[str]:
        return sorted(row.title for row in self.Article.search(query, mode="text"))

    def close(self) -> None:
        for adapter in self.adapters:
            adapter.uninstall()
        self.db.disconnect()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        library = Library(str(tmp_path / "library.db"), core)
        yield library
        library.close()


def test_rows_are_found_once_their_session_has_committed(library: Library) -> None:
    with db_session:
        ann = library.Author(name="Ann")
        library.Article(title="Tides", content="water", author=ann, tags=[library.Tag(name="sea")])
        flush()
        assert library.found("tides") == []
    assert library.found("tides") == library.found("ann") == library.found("sea") == ["Tides"]
    with pytest.raises(ZeroDivisionError), db_session:
        library.Article(title="Ghost")
        flush()
        _ = 1 // 0
    assert library.found("ghost") == []
    with db_session:
        library.Author[1].name = "Bea"
        library.Article[1].tags.clear()
    assert library.found("bea") == ["Tides"] and library.found("sea") == []
    with db_session:
        delete(article for article in library.Article)
    assert library.found("tides") == [] and library.Article.search.verify().sound


def test_a_session_goes_on_as_it_was_after_a_search(library: Library) -> None:
    with db_session:
        library.Article(title="Tides", content="water")
    with db_session:
        mine = library.Article[1]
        assert library.found("water") == ["Tides"]
        assert library.Article[1] is mine
        mine.title = "Moon"
        commit()
        assert library.found("moon") == ["Moon"] and library.found("tides") == []
        mine.title = "Sun"
    assert library.found("sun") == ["Sun"]


def test_the_index_has_rows_as_they_are_and_not_as_a_session_holds_them(library: Library) -> None:
    """Another thread changes a row that this session has read."""
    with db_session:
        library.Article(title="Tides", content="water")
    with db_session:
        held = library.Article[1]
        assert held.title == "Tides"

        @db_session
        def change() -> None:
            library.Article[1].title = "Moon"

        def work() -> None:
            change()
            library.db.disconnect()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
        assert held.title == "Tides"
        assert library.found("moon") == ["Moon"]
        assert library.Article.search.verify().sound


def test_an_object_found_outside_of_a_transaction_is_detached(library: Library) -> None:
    with db_session:
        author = library.Author(name="Ann")
        library.Article(title="Tides", content="long text", author=author)
    (row,) = library.Article.search("tides")
    assert (row.title, row.content, row.author.id) == ("Tides", "long text", 1)
    with pytest.raises(DatabaseSessionIsOver):
        list(row.tags)
    with db_session:
        assert library.Article[row.id].author.name == "Ann"


def test_within_a_transaction_the_objects_are_those_of_its_session(library: Library) -> None:
    with db_session:
        library.Article(title="Tides", content="water")
    with db_session:
        library.Article(title="New")
        flush()
        (row,) = library.Article.search("tides", mode="text")
        assert row is library.Article[1]
        row.content = "about the moon"
    assert library.found("moon") == ["Tides"]


def test_what_was_put_aside_is_put_back_after_an_error(library: Library) -> None:
    with db_session:
        library.Article(title="Tides")
        commit()
        before = (local.db_session, local.db2cache, local.db_context_counter)
        with pytest.raises(Exception, match="no such table"):
            library.Article.search.execute("SELECT * FROM nowhere")
        assert before == (local.db_session, local.db2cache, local.db_context_counter)
        assert select(article.title for article in library.Article)[:] == ["Tides"]


def test_a_symmetric_relation_is_read_from_both_sides(library: Library) -> None:
    with db_session:
        ann = library.Author(name="Ann")
        ann.friends.add(library.Author(name="Bea"))
    found = library.Author.search("bea", mode="text")
    assert sorted(row.name for row in found) == ["Ann", "Bea"]
    with db_session:
        library.Author[2].name = "Cem"
    assert len(library.Author.search("cem", mode="text")) == 2
    assert library.Author.search.verify().sound


def test_derived_entities_are_found_through_the_first_one(library: Library) -> None:
    with db_session:
        library.Essay(title="On tides", subject="water")
    (row,) = library.Article.search("tides", mode="text")
    assert isinstance(row, library.Essay)
    with pytest.raises(ConfigError, match="found through Article"):
        library.Essay.search("tides")


def test_an_entity_whose_key_is_another_entity_is_refused(tmp_path: Path) -> None:
    db = Database()

    class Person(db.Entity):  # type: ignore[name-defined, misc]
        passport = Optional("Passport")

    class Passport(db.Entity):  # type: ignore[name-defined, misc]
        person = PrimaryKey(Person)
        number = Required(str)

    db.bind("sqlite", str(tmp_path / "x.db"), create_db=True)
    db.generate_mapping(create_tables=True)
    options: dict[str, Any] = {"adapter": PonyAdapter, "adapter_options": {"db": db}}
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    with core, pytest.raises(ConfigError, match="key of Passport is another entity"):
        core.bind(Passport, source_fields=["number"], **options)
    db.disconnect()


def test_a_database_in_memory_is_indexed_in_its_thread() -> None:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        library = Library(":memory:", core)
        assert not library.Article.search.shared_by_threads
        with db_session:
            library.Article(title="Tides", content="water")
        assert library.found("water") == ["Tides"]
        library.close()


def test_without_a_core_the_index_is_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")
    core = PonyAdapter.usual_core(db=_bound(tmp_path))
    assert (tmp_path / "place.db.semantic.db").exists()
    core.close()


def _bound(folder: Path) -> Database:
    db = Database()
    db.bind("sqlite", str(folder / "place.db"), create_db=True)
    return db
