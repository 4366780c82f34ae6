"""Checks of documents made of several rows: foreign keys in both directions, many-to-many tables,
cascades and inheritance.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, only, same, same_fields

NAMES = {"1": "Ann", "2": "Ann", "3": "Bea", "4": "Bea", "5": None}
"""The author's name of each article of `signed`."""


def signed(bench: Bench) -> BaseORMAdapter:
    """An index of articles with the names of their authors: two authors with two articles each, and
    one article without an author.
    """
    index = bench.index(
        source_fields=["content", "author.name"], metadata_fields=["author", "author.name"]
    )
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    for id, author in ((1, 1), (2, 1), (3, 2), (4, 2), (5, None)):
        bench.create("article", id=id, title=f"t{id}", content=f"text {id}", author_id=author)
    bench.settle(index)
    return index


def names(bench: Bench, index: BaseORMAdapter) -> dict[str, object]:
    """The author's name of each article by key, after all pending changes were processed. Fails
    unless it is the same in text and metadata.
    """
    bench.settle(index)
    found: dict[str, object] = {}
    for key, document in bench.held(index).items():
        name = document.metadata.get("author.name")
        wanted = [f"text {key}", name] if name else [f"text {key}"]
        same(document.text.split("\n\n"), wanted, f"the text of article {key}")
        found[key] = name
    return found


@scenario(Capability.RELATED)
def a_path_reads_through_a_foreign_key(bench: Bench) -> None:
    """A dotted path gives the value of the related row, and nothing without a related row."""
    index = signed(bench)
    same(names(bench, index), NAMES, "names of the authors")
    same(index.related, ("author",), "related: paths to fetch with the rows")


@scenario(Capability.RELATED)
def a_related_row_is_one_thing_though_it_can_be_iterated_over(bench: Bench) -> None:
    """A related row may be iterable, as pydantic models are. A path goes through it like any other
    row, and in metadata it is its key.
    """

    def items(author: Any) -> Iterator[tuple[str, Any]]:
        return iter([("id", author.id), ("name", author.name)])

    with bench.given("author", "__iter__", items):
        index = signed(bench)
        same(names(bench, index), NAMES, "names of the authors")
        same(bench.held(index)["1"].metadata["author"], 1, "the author in metadata")


@scenario(Capability.RELATED)
def a_related_row_is_no_manager_though_it_has_the_methods_of_one(bench: Bench) -> None:
    """A related row may have ``all()`` and ``filter()``, as the rows of some ORMs do. It is a row
    nevertheless, for fields and callables.
    """

    def nothing(*_: object) -> list[object]:
        return []

    with bench.given("author", "all", nothing), bench.given("author", "filter", nothing):
        index = bench.index(
            source_fields=["content", "author.name", author_of],
            metadata_fields={"author": "author", "name": "author.name"},
            watch_fields=["author.name"],
        )
        bench.create("author", id=1, name="Ann")
        bench.articles(1, author_id=1)
        bench.settle(index)
        document = bench.held(index)["1"]
        same(document.text.split("\n\n")[:2], ["text 1", "Ann"], "the text of the article")
        same(dict(document.metadata), {"author": 1, "name": "Ann"}, "metadata of the article")


def author_of(article: Any) -> Any:
    """The related row itself."""
    return article.author


@scenario(Capability.RELATED)
def a_related_row_that_changes_reaches_its_own(bench: Bench) -> None:
    """When an author is renamed, the articles of this author are indexed again, each once, and no
    others.
    """
    index = signed(bench)
    bench.update("author", 1, name="Eve")
    same(index.status().waiting, 2, "pending changes")
    found = names(bench, index)
    same(found, {**NAMES, "1": "Eve", "2": "Eve"}, "names after one author was renamed")
    bench.update("author", 1, name=None)
    found = names(bench, index)
    same(found, {**NAMES, "1": None, "2": None}, "names after one author lost the name")


@scenario(Capability.RELATED, Capability.SQL)
def a_related_change_past_the_orm_is_seen(bench: Bench) -> None:
    """A plain statement that renames authors has their articles indexed again, unless it is rolled
    back.
    """
    index = signed(bench)
    with bench.rolled_back():
        bench.sql("UPDATE kit_author SET name = 'Never'")
    same(bench.pending_changes(), 0, "pending changes after a rollback")
    bench.sql("UPDATE kit_author SET name = 'All'")
    wanted = {"1": "All", "2": "All", "3": "All", "4": "All", "5": None}
    same(names(bench, index), wanted, "names after all authors were renamed")


@scenario(Capability.RELATED)
def a_related_edit_of_another_field_costs_nothing(bench: Bench) -> None:
    """A change of an author that concerns no article gives no pending change: of a field that no
    article reads, or of an author without articles.
    """
    index = signed(bench)
    bench.update("author", 1, mentor_id=2)
    bench.create("author", id=9, name="Nobody's")
    bench.update("author", 9, name="Still nobody's")
    bench.delete("author", 9)
    same(index.status().waiting, 0, "pending changes")


@scenario(Capability.RELATED)
def a_row_that_moves_to_another_author_takes_its_name(bench: Bench) -> None:
    """A changed foreign key has the row indexed again. Afterwards only changes of the new author
    concern it.
    """
    index = signed(bench)
    bench.update("article", 1, author_id=2)
    bench.update("article", 3, author_id=None)
    bench.update("article", 5, author_id=1)
    moved = {"1": "Bea", "2": "Ann", "3": None, "4": "Bea", "5": "Ann"}
    same(names(bench, index), moved, "names after articles got other authors")
    same(bench.held(index)["1"].metadata["author"], 2, "the author's key in metadata")
    bench.update("author", 1, name="Eve")
    found = names(bench, index)
    same(found, {**moved, "2": "Eve", "5": "Eve"}, "names after the old author was renamed")


@scenario()
def a_foreign_key_that_changes_is_seen(bench: Bench) -> None:
    """If an index reads only the key of the author, a changed foreign key alone is a change."""
    index = bench.index(metadata_fields=["author"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    bench.articles(1, author_id=1)
    bench.settle(index)
    bench.update("article", 1, author_id=2)
    bench.settle(index)
    same(dict(bench.held(index)["1"].metadata), {"author": 2}, "metadata")


@scenario(Capability.RELATED)
def a_path_may_have_two_steps(bench: Bench) -> None:
    """A path may be as long as ``author.mentor.name``. The articles are indexed again when the
    mentor changes, or when the author gets another one.
    """
    index = bench.index(source_fields=["content"], metadata_fields=["author.mentor.name"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea", mentor_id=1)
    bench.create("author", id=3, name="Cas")
    bench.articles(1, author_id=2)
    bench.articles(2, author_id=3)

    def mentors() -> list[object]:
        bench.settle(index)
        held = bench.held(index)
        return [held[key].metadata.get("author.mentor.name") for key in ("1", "2")]

    same(mentors(), ["Ann", None], "names of the mentors")
    bench.update("author", 1, name="Eve")
    same(mentors(), ["Eve", None], "names after a mentor was renamed")
    bench.update("author", 3, mentor_id=2)
    same(mentors(), ["Eve", "Bea"], "names after an author got a mentor")
    bench.update("article", 1, author_id=1)
    same(mentors(), [None, "Bea"], "names after an article got another author")


@scenario()
def deleting_an_author_takes_its_articles_along(bench: Bench) -> None:
    """Rows that the ORM deletes because of a foreign key leave the index."""
    index = bench.index(metadata_fields=["author"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    bench.articles(1, 2, author_id=1)
    bench.articles(3, author_id=2)
    bench.settle(index)
    with bench.rolled_back():
        bench.delete("author", 2)
    bench.delete("author", 1)
    same(sorted(bench.settled(index)), ["3"], "keys in the index")


@scenario(Capability.CASCADE)
def a_cascade_of_the_database_is_seen(bench: Bench) -> None:
    """Rows that the database itself deletes with their author leave the index, though the ORM does
    not see the deletion.
    """
    index = bench.index(metadata_fields=["author"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    bench.articles(1, 2, author_id=1)
    bench.articles(3, author_id=2)
    bench.articles(4)
    bench.settle(index)
    bench.sql("DELETE FROM kit_author WHERE id = 1")
    same(sorted(bench.settled(index)), ["3", "4"], "keys in the index")
    bench.sql("DELETE FROM kit_author")
    same(sorted(bench.settled(index)), ["4"], "keys in the index after all authors went")


@scenario(Capability.CASCADE, Capability.RELATED)
def a_reference_the_database_clears_is_seen(bench: Bench) -> None:
    """ON DELETE SET NULL changes a foreign key. Rows that read through it are indexed again."""
    index = bench.index("author", metadata_fields=["mentor", "mentor.name"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea", mentor_id=1)
    bench.settle(index)
    same(dict(bench.held(index)["2"].metadata), {"mentor": 1, "mentor.name": "Ann"}, "metadata")
    bench.sql("DELETE FROM kit_author WHERE id = 1")
    bench.settle(index)
    held = bench.held(index)
    same(sorted(held), ["2"], "keys in the index")
    same(dict(held["2"].metadata), {}, "metadata after the mentor was deleted")


@scenario(Capability.TO_MANY)
def many_related_rows_are_read_through_their_other_side(bench: Bench) -> None:
    """An author may be indexed with the titles of the articles. The author is indexed again when an
    article is added, renamed or deleted, or gets another author.
    """
    index = bench.index("author", source_fields=["name", "articles.title"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")

    def titles() -> dict[str, list[str]]:
        texts = bench.settled(index)
        return {key: sorted(text.split()[1:]) for key, text in texts.items()}

    bench.articles(1, 2, author_id=1)
    same(titles(), {"1": ["t1", "t2"], "2": []}, "titles after two were added")
    bench.update("article", 1, title="renamed")
    same(titles(), {"1": ["renamed", "t2"], "2": []}, "titles after one was renamed")
    bench.update("article", 1, author_id=2)
    same(titles(), {"1": ["t2"], "2": ["renamed"]}, "titles after one moved")
    bench.delete("article", 2)
    same(titles(), {"1": [], "2": ["renamed"]}, "titles after one was deleted")
    bench.update("article", 1, content="no author reads it")
    same(index.status().waiting, 0, "pending changes after an edit that no author reads")


def tagged(bench: Bench) -> BaseORMAdapter:
    """An index of articles with the names of their tags: 1 has red and blue, 2 has blue, 3 has
    none.
    """
    index = bench.index(source_fields=["content", "tags.name"], metadata_fields=["tags"])
    bench.articles(1, 2, 3)
    for id, name in ((1, "red"), (2, "blue"), (3, "green")):
        bench.create("tag", id=id, name=name)
    for id, article, tag in ((1, 1, 1), (2, 1, 2), (3, 2, 2)):
        bench.create("tagging", id=id, article_id=article, tag_id=tag)
    return index


def noted(bench: Bench) -> set[str]:
    """The keys of rows with a pending change. Some databases record a row twice."""
    return {str(row[0]) for row in bench.sql("SELECT row_key FROM semantic_outbox")}


def tags(bench: Bench, index: BaseORMAdapter) -> dict[str, list[str]]:
    """The names of the tags of each article by key, after all pending changes were processed."""
    found: dict[str, list[str]] = {}
    for key, text in bench.settled(index).items():
        _, _, tag_names = text.partition("\n\n")
        found[key] = sorted(tag_names.split())
    return found


@scenario(Capability.MANY_TO_MANY)
def a_path_leads_through_a_table_between(bench: Bench) -> None:
    """The path ``tags.name`` gives the names of all tags of an article. Metadata has their keys."""
    index = tagged(bench)
    found = tags(bench, index)
    same(found, {"1": ["blue", "red"], "2": ["blue"], "3": []}, "names of tags")
    keys: Any = bench.held(index)["1"].metadata["tags"]
    same(sorted(keys), ["1", "2"], "tags in metadata")
    same(index.related, (), "related: paths to fetch with the rows")
    bench.is_sound(index)


@scenario(Capability.MANY_TO_MANY)
def what_is_tagged_or_no_longer_is_indexed_again(bench: Bench) -> None:
    """A row of the joining table that is added, changed or deleted has its article indexed again,
    and no other.
    """
    index = tagged(bench)
    bench.settle(index)
    bench.create("tagging", id=4, article_id=3, tag_id=3)
    same(noted(bench), {"3"}, "articles with a pending change after one was tagged")
    same(tags(bench, index)["3"], ["green"], "tags of the article that had none")
    bench.update("tagging", 3, article_id=3)
    same(noted(bench), {"2", "3"}, "articles with a pending change after a tag moved")
    same(tags(bench, index)["2"], [], "tags of the article that lost the tag")
    bench.delete("tagging", 4)
    same(tags(bench, index)["3"], ["blue"], "tags after one was removed")
    with bench.rolled_back():
        bench.delete("tagging", 3)
    same(bench.pending_changes(), 0, "pending changes after a rollback")


@scenario(Capability.MANY_TO_MANY)
def a_tag_that_changes_reaches_what_it_is_on(bench: Bench) -> None:
    """When a tag is renamed or deleted, its articles are indexed again, and no others."""
    index = tagged(bench)
    bench.settle(index)
    bench.update("tag", 3, name="unused")
    same(noted(bench), set(), "articles with a pending change after an unused tag was renamed")
    bench.update("tag", 1, name="crimson")
    same(noted(bench), {"1"}, "articles with a pending change after a tag was renamed")
    same(tags(bench, index)["1"], ["blue", "crimson"], "tags of the article that has it")
    bench.delete("tag", 2)
    same(tags(bench, index), {"1": ["crimson"], "2": [], "3": []}, "tags after one was deleted")
    bench.is_sound(index)


@scenario(Capability.MANY_TO_MANY, Capability.SQL)
def what_is_tagged_past_the_orm_is_seen(bench: Bench) -> None:
    """Tags that statements past the ORM add, rename and delete have their articles indexed again,
    also by cascades of the database.
    """
    index = tagged(bench)
    bench.settle(index)
    bench.sql("INSERT INTO kit_tagging (id, article_id, tag_id) VALUES (9, 3, 1)")
    same(tags(bench, index)["3"], ["red"], "tags of the article that had none")
    bench.sql("UPDATE kit_tag SET name = 'all' WHERE id IN (1, 3)")
    same(tags(bench, index)["3"], ["all"], "tags after renaming")
    bench.sql("DELETE FROM kit_tag WHERE id = 1")
    same(tags(bench, index), {"1": ["blue"], "2": ["blue"], "3": []}, "tags after one was deleted")


@scenario(Capability.MANY_TO_MANY)
def the_other_side_of_many_to_many_can_be_read_too(bench: Bench) -> None:
    """A tag is indexed with the titles of its articles."""
    index = bench.index("tag", source_fields=["name", "articles.title"])
    bench.articles(1, 2)
    bench.create("tag", id=1, name="red")
    for article in (1, 2):
        bench.create("tagging", id=article, article_id=article, tag_id=1)
    bench.settle(index)
    same(sorted(bench.held(index)["1"].text.split()), ["red", "t1", "t2"], "the text of a tag")
    bench.update("article", 1, title="renamed")
    bench.delete("article", 2)
    text = bench.settled(index)["1"]
    same(text.split(), ["red", "renamed"], "the text after a change of its articles")


@scenario(Capability.INHERITANCE)
def a_change_in_the_parents_table_is_seen(bench: Bench) -> None:
    """A book has its title in the table of media. A change in either table has the book indexed
    again.
    """
    index = bench.index("book")
    bench.create("book", id=1, title="Loops", blurb="repeat a block")
    bench.create("book", id=2, title="Files", blurb="with closes them")
    texts = {"1": "Loops|repeat a block", "2": "Files|with closes them"}
    same(bench.settled(index), texts, "the index")
    bench.update("book", 1, blurb="over and over")
    bench.sql("UPDATE kit_media SET title = 'Directories' WHERE id = 2")
    texts = {"1": "Loops|over and over", "2": "Directories|with closes them"}
    same(bench.settled(index), texts, "the index after changes")
    found = only(index.search("directories", limit=1), "rows found")
    fields = {"id": 2, "title": "Directories", "blurb": "with closes them"}
    same_fields(found, "the row found", **fields)
    is_book = isinstance(found, bench.model("book"))
    expect(is_book, f"the row found: expected a book, found {found!r}.")


@scenario(Capability.INHERITANCE)
def parent_and_child_have_indexes_of_their_own(bench: Bench) -> None:
    """A book is a medium too: it enters both indexes, changes in both and leaves both."""
    media = bench.index("media")
    books = bench.index("book", core=media.core)
    bench.create("media", id=1, title="A record")
    bench.create("book", id=2, title="A book", blurb="to read")
    same(bench.settled(media), {"1": "A record", "2": "A book"}, "the index of media")
    same(bench.settled(books), {"2": "A book|to read"}, "the index of books")
    bench.update("book", 2, title="A novel")
    texts = {"1": "A record", "2": "A novel"}
    same(bench.settled(media), texts, "the index of media after a change")
    same(bench.settled(books), {"2": "A novel|to read"}, "the index of books after a change")
    bench.delete("book", 2)
    same(bench.settled(media), {"1": "A record"}, "the index of media after a deletion")
    same(bench.settled(books), {}, "the index of books after a deletion")
