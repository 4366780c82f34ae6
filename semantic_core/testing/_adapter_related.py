"""Rows that are made of other rows too: foreign keys, their other sides, cascades, parents' tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from semantic_core.orm import BaseORMAdapter
from semantic_core.testing._adapter_harness import Capability
from semantic_core.testing._adapter_kit import Bench, scenario
from semantic_core.testing._check import expect, same


def signed(bench: Bench) -> BaseORMAdapter:
    """An index of articles with their author's name; two authors with two articles each, and one article of nobody."""
    index = bench.index(source_fields=["content", "author.name"], metadata_fields=["author", "author.name"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    for id, author in ((1, 1), (2, 1), (3, 2), (4, 2), (5, None)):
        bench.create("article", id=id, title=f"t{id}", content=f"text {id}", author_id=author)
    bench.settle(index)
    return index


def names(bench: Bench, index: BaseORMAdapter) -> dict[str, object]:
    """Per key the author's name, once all is worked off; it must be the same in text and metadata."""
    bench.settle(index)
    found: dict[str, object] = {key: document.metadata.get("author.name") for key, document in bench.held(index).items()}
    for key, document in bench.held(index).items():
        wanted = [f"text {key}", *filter(None, [found[key]])]
        same(document.text.split("\n\n"), wanted, f"the text of article {key}")
    return found


@scenario(Capability.RELATED)
def a_path_reads_through_a_foreign_key(bench: Bench) -> None:
    """A dotted path gives the related row's value, and nothing where there is no related row."""
    index = signed(bench)
    same(names(bench, index), {"1": "Ann", "2": "Ann", "3": "Bea", "4": "Bea", "5": None}, "names")
    same(index.related, ("author",), "paths worth fetching along")


@scenario(Capability.RELATED)
def a_related_row_is_one_thing_though_it_can_be_iterated_over(bench: Bench) -> None:
    """A row may be iterable, as those of pydantic are: a path goes through it, and in metadata it is its key."""

    def items(author: Any) -> Iterator[tuple[str, Any]]:
        return iter([("id", author.id), ("name", author.name)])

    with bench.given("author", "__iter__", items):
        index = signed(bench)
        same(names(bench, index), {"1": "Ann", "2": "Ann", "3": "Bea", "4": "Bea", "5": None}, "names")
        same(bench.held(index)["1"].metadata["author"], 1, "the author in metadata")


@scenario(Capability.RELATED)
def a_related_row_that_changes_reaches_its_own(bench: Bench) -> None:
    """A renamed author has its own articles indexed anew, each once, and no others."""
    index = signed(bench)
    bench.update("author", 1, name="Eve")
    same(index.status().waiting, 2, "changes that wait")
    same(names(bench, index), {"1": "Eve", "2": "Eve", "3": "Bea", "4": "Bea", "5": None}, "names")
    bench.update("author", 1, name=None)
    same(names(bench, index), {"1": None, "2": None, "3": "Bea", "4": "Bea", "5": None}, "names after one was taken away")


@scenario(Capability.RELATED, Capability.SQL)
def a_related_change_past_the_orm_is_seen(bench: Bench) -> None:
    """So does an author that a plain statement renames; one that is rolled back does not."""
    index = signed(bench)
    with bench.rolled_back():
        bench.sql("UPDATE kit_author SET name = 'Never'")
    same(bench.tickets(), 0, "tickets after a rollback")
    bench.sql("UPDATE kit_author SET name = 'All'")
    same(names(bench, index), {"1": "All", "2": "All", "3": "All", "4": "All", "5": None}, "names")


@scenario(Capability.RELATED)
def a_related_edit_of_another_field_costs_nothing(bench: Bench) -> None:
    """A change of an author that no article reads leaves no ticket; so does an author without articles."""
    index = signed(bench)
    bench.update("author", 1, mentor_id=2)
    bench.create("author", id=9, name="Nobody's")
    bench.update("author", 9, name="Still nobody's")
    bench.delete("author", 9)
    same(index.status().waiting, 0, "changes that wait")


@scenario(Capability.RELATED)
def a_row_that_moves_to_another_author_takes_its_name(bench: Bench) -> None:
    """A foreign key that changes is a change; from then on only the new author's renaming matters."""
    index = signed(bench)
    bench.update("article", 1, author_id=2)
    bench.update("article", 3, author_id=None)
    bench.update("article", 5, author_id=1)
    moved = {"1": "Bea", "2": "Ann", "3": None, "4": "Bea", "5": "Ann"}
    same(names(bench, index), moved, "names")
    same(bench.held(index)["1"].metadata["author"], 2, "the author's key in metadata")
    bench.update("author", 1, name="Eve")
    same(names(bench, index), {**moved, "2": "Eve", "5": "Eve"}, "names after the old author was renamed")


@scenario()
def a_foreign_key_that_changes_is_seen(bench: Bench) -> None:
    """Where only the author's key is asked for, a move alone is a change."""
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
    """author.mentor.name: a change of the mentor, or of who it is, reaches the articles."""
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

    same(mentors(), ["Ann", None], "mentors' names")
    bench.update("author", 1, name="Eve")
    same(mentors(), ["Eve", None], "mentors' names after one was renamed")
    bench.update("author", 3, mentor_id=2)
    same(mentors(), ["Eve", "Bea"], "mentors' names after one was found")
    bench.update("article", 1, author_id=1)
    same(mentors(), [None, "Bea"], "mentors' names after an article moved")


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
    same(sorted(bench.settled(index)), ["3"], "keys left")


@scenario(Capability.CASCADE)
def a_cascade_of_the_database_is_seen(bench: Bench) -> None:
    """Rows that the database deletes with their author, without a word to the ORM, leave the index."""
    index = bench.index(metadata_fields=["author"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    bench.articles(1, 2, author_id=1)
    bench.articles(3, author_id=2)
    bench.articles(4)
    bench.settle(index)
    bench.sql("DELETE FROM kit_author WHERE id = 1")
    same(sorted(bench.settled(index)), ["3", "4"], "keys left")
    bench.sql("DELETE FROM kit_author")
    same(sorted(bench.settled(index)), ["4"], "keys left after all authors went")


@scenario(Capability.CASCADE, Capability.RELATED)
def a_reference_the_database_clears_is_seen(bench: Bench) -> None:
    """ON DELETE SET NULL changes rows: who read through the reference is indexed anew."""
    index = bench.index("author", metadata_fields=["mentor", "mentor.name"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea", mentor_id=1)
    bench.settle(index)
    same(dict(bench.held(index)["2"].metadata), {"mentor": 1, "mentor.name": "Ann"}, "metadata")
    bench.sql("DELETE FROM kit_author WHERE id = 1")
    bench.settle(index)
    held = bench.held(index)
    same((sorted(held), dict(held["2"].metadata)), (["2"], {}), "keys, and metadata of the one that is left")


@scenario(Capability.TO_MANY)
def many_related_rows_are_read_through_their_other_side(bench: Bench) -> None:
    """An author is indexed with its articles' titles: when one is added, renamed, moved or deleted, so is the author."""
    index = bench.index("author", source_fields=["name", "articles.title"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")

    def titles() -> dict[str, list[str]]:
        bench.settle(index)
        return {key: sorted(document.text.split()[1:]) for key, document in bench.held(index).items()}

    bench.articles(1, 2, author_id=1)
    same(titles(), {"1": ["t1", "t2"], "2": []}, "titles after two were added")
    bench.update("article", 1, title="renamed")
    same(titles(), {"1": ["renamed", "t2"], "2": []}, "titles after one was renamed")
    bench.update("article", 1, author_id=2)
    same(titles(), {"1": ["t2"], "2": ["renamed"]}, "titles after one moved")
    bench.delete("article", 2)
    same(titles(), {"1": [], "2": ["renamed"]}, "titles after one was deleted")
    bench.update("article", 1, content="nobody reads it")
    same(index.status().waiting, 0, "changes that wait after an edit no author reads")


@scenario(Capability.INHERITANCE)
def a_change_in_the_parents_table_is_seen(bench: Bench) -> None:
    """A book keeps its title in the table of media: a change in either table has the book indexed anew."""
    index = bench.index("book")
    bench.create("book", id=1, title="Loops", blurb="repeat a block")
    bench.create("book", id=2, title="Files", blurb="with closes them")
    same(bench.settled(index), {"1": "Loops|repeat a block", "2": "Files|with closes them"}, "the index")
    bench.update("book", 1, blurb="over and over")
    bench.sql("UPDATE kit_media SET title = 'Directories' WHERE id = 2")
    same(bench.settled(index), {"1": "Loops|over and over", "2": "Directories|with closes them"}, "the index after changes")
    found = index.search("directories", limit=1)
    same([(row.id, row.title, row.blurb) for row in found], [(2, "Directories", "with closes them")], "what is found")
    expect(isinstance(found[0], bench.model("book")), "what is found: wanted a book.")


@scenario(Capability.INHERITANCE)
def parent_and_child_have_indexes_of_their_own(bench: Bench) -> None:
    """A book is a medium too: both indexes follow it, and both let it go."""
    media = bench.index("media")
    books = bench.index("book", core=media.core)
    bench.create("media", id=1, title="A record")
    bench.create("book", id=2, title="A book", blurb="to read")
    same(bench.settled(media), {"1": "A record", "2": "A book"}, "the index of media")
    same(bench.settled(books), {"2": "A book|to read"}, "the index of books")
    bench.update("book", 2, title="A novel")
    same(bench.settled(media), {"1": "A record", "2": "A novel"}, "the index of media after a change")
    same(bench.settled(books), {"2": "A novel|to read"}, "the index of books after a change")
    bench.delete("book", 2)
    same((bench.settled(media), bench.settled(books)), ({"1": "A record"}, {}), "both after the book was deleted")
