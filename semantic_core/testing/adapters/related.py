"""Rows that are made of other rows too: foreign keys, their other sides, cascades,
parents' tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, same


def signed(bench: Bench) -> BaseORMAdapter:
    """An index of articles with their author's name; two authors with two articles each,
    and one article of nobody.
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
    """Per key the author's name, once all is worked off;
    it must be the same in text and metadata.
    """
    bench.settle(index)
    found: dict[str, object] = {
        key: document.metadata.get("author.name") for key, document in bench.held(index).items()
    }
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
    """A row may be iterable, as those of pydantic are: a path goes through it,
    and in metadata it is its key.
    """

    def items(author: Any) -> Iterator[tuple[str, Any]]:
        return iter([("id", author.id), ("name", author.name)])

    with bench.given("author", "__iter__", items):
        index = signed(bench)
        same(
            names(bench, index),
            {"1": "Ann", "2": "Ann", "3": "Bea", "4": "Bea", "5": None},
            "names",
        )
        same(bench.held(index)["1"].metadata["author"], 1, "the author in metadata")


@scenario(Capability.RELATED)
def a_related_row_that_changes_reaches_its_own(bench: Bench) -> None:
    """A renamed author has its own articles indexed anew, each once, and no others."""
    index = signed(bench)
    bench.update("author", 1, name="Eve")
    same(index.status().waiting, 2, "pending changes")
    same(names(bench, index), {"1": "Eve", "2": "Eve", "3": "Bea", "4": "Bea", "5": None}, "names")
    bench.update("author", 1, name=None)
    same(
        names(bench, index),
        {"1": None, "2": None, "3": "Bea", "4": "Bea", "5": None},
        "names after one was taken away",
    )


@scenario(Capability.RELATED, Capability.SQL)
def a_related_change_past_the_orm_is_seen(bench: Bench) -> None:
    """So does an author that a plain statement renames; one that is rolled back does not."""
    index = signed(bench)
    with bench.rolled_back():
        bench.sql("UPDATE kit_author SET name = 'Never'")
    same(bench.tickets(), 0, "pending changes after a rollback")
    bench.sql("UPDATE kit_author SET name = 'All'")
    same(names(bench, index), {"1": "All", "2": "All", "3": "All", "4": "All", "5": None}, "names")


@scenario(Capability.RELATED)
def a_related_edit_of_another_field_costs_nothing(bench: Bench) -> None:
    """A change of an author that no article reads leaves no ticket;
    so does an author without articles.
    """
    index = signed(bench)
    bench.update("author", 1, mentor_id=2)
    bench.create("author", id=9, name="Nobody's")
    bench.update("author", 9, name="Still nobody's")
    bench.delete("author", 9)
    same(index.status().waiting, 0, "pending changes")


@scenario(Capability.RELATED)
def a_row_that_moves_to_another_author_takes_its_name(bench: Bench) -> None:
    """A foreign key that changes is a change;
    from then on only the new author's renaming matters.
    """
    index = signed(bench)
    bench.update("article", 1, author_id=2)
    bench.update("article", 3, author_id=None)
    bench.update("article", 5, author_id=1)
    moved = {"1": "Bea", "2": "Ann", "3": None, "4": "Bea", "5": "Ann"}
    same(names(bench, index), moved, "names")
    same(bench.held(index)["1"].metadata["author"], 2, "the author's key in metadata")
    bench.update("author", 1, name="Eve")
    same(
        names(bench, index),
        {**moved, "2": "Eve", "5": "Eve"},
        "names after the old author was renamed",
    )


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
    same(sorted(bench.settled(index)), ["3"], "keys in the index")


@scenario(Capability.CASCADE)
def a_cascade_of_the_database_is_seen(bench: Bench) -> None:
    """Rows that the database deletes with their author, without a word to the ORM,
    leave the index.
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
    """ON DELETE SET NULL changes rows: who read through the reference is indexed anew."""
    index = bench.index("author", metadata_fields=["mentor", "mentor.name"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea", mentor_id=1)
    bench.settle(index)
    same(dict(bench.held(index)["2"].metadata), {"mentor": 1, "mentor.name": "Ann"}, "metadata")
    bench.sql("DELETE FROM kit_author WHERE id = 1")
    bench.settle(index)
    held = bench.held(index)
    same(
        (sorted(held), dict(held["2"].metadata)),
        (["2"], {}),
        "keys, and metadata of the one that is left",
    )


@scenario(Capability.TO_MANY)
def many_related_rows_are_read_through_their_other_side(bench: Bench) -> None:
    """An author is indexed with its articles' titles: when one is added, renamed, moved or deleted,
    so is the author.
    """
    index = bench.index("author", source_fields=["name", "articles.title"])
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")

    def titles() -> dict[str, list[str]]:
        bench.settle(index)
        return {
            key: sorted(document.text.split()[1:]) for key, document in bench.held(index).items()
        }

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


def tagged(bench: Bench) -> BaseORMAdapter:
    """An index of articles with their tags' names; 1 has red and blue, 2 has blue, 3 has none."""
    index = bench.index(source_fields=["content", "tags.name"], metadata_fields=["tags"])
    bench.articles(1, 2, 3)
    for id, name in ((1, "red"), (2, "blue"), (3, "green")):
        bench.create("tag", id=id, name=name)
    for id, article, tag in ((1, 1, 1), (2, 1, 2), (3, 2, 2)):
        bench.create("tagging", id=id, article_id=article, tag_id=tag)
    return index


def noted(bench: Bench) -> set[str]:
    """The keys of the rows that are noted; some databases note one twice."""
    return {str(row[0]) for row in bench.sql("SELECT row_key FROM semantic_outbox")}


def tags(bench: Bench, index: BaseORMAdapter) -> dict[str, list[str]]:
    """Per key the names of its tags, once all is worked off."""
    bench.settle(index)
    return {
        key: sorted(document.text.split("\n\n", 1)[1:])
        for key, document in sorted(bench.held(index).items())
    }


@scenario(Capability.MANY_TO_MANY)
def a_path_leads_through_a_table_between(bench: Bench) -> None:
    """tags.name: the names of all tags of an article; in metadata their keys."""
    index = tagged(bench)
    found = {key: sorted(" ".join(names).split()) for key, names in tags(bench, index).items()}
    same(found, {"1": ["blue", "red"], "2": ["blue"], "3": []}, "names of tags")
    same(sorted(bench.held(index)["1"].metadata["tags"]), ["1", "2"], "tags in metadata")  # type: ignore[arg-type]
    same(index.related, (), "paths worth fetching along")
    bench.is_sound(index)


@scenario(Capability.MANY_TO_MANY)
def what_is_tagged_or_no_longer_is_indexed_again(bench: Bench) -> None:
    """A row of the table between that comes, changes or goes is a change of its article,
    and of no other.
    """
    index = tagged(bench)
    bench.settle(index)
    bench.create("tagging", id=4, article_id=3, tag_id=3)
    same(noted(bench), {"3"}, "articles that are noted after one was tagged")
    same(tags(bench, index)["3"], ["green"], "tags of the one that had none")
    bench.update("tagging", 3, article_id=3)
    same(noted(bench), {"2", "3"}, "articles that are noted after a tag moved")
    same(tags(bench, index)["2"], [], "tags of the one it moved from")
    bench.delete("tagging", 4)
    same(tags(bench, index)["3"], ["blue"], "tags after one was taken away")
    with bench.rolled_back():
        bench.delete("tagging", 3)
    same(bench.tickets(), 0, "pending changes after a rollback")


@scenario(Capability.MANY_TO_MANY)
def a_tag_that_changes_reaches_what_it_is_on(bench: Bench) -> None:
    """A renamed tag has its articles indexed anew, and no others; a deleted one leaves them."""
    index = tagged(bench)
    bench.settle(index)
    bench.update("tag", 3, name="unused")
    same(noted(bench), set(), "articles that are noted after a tag was renamed that none has")
    bench.update("tag", 1, name="crimson")
    same(noted(bench), {"1"}, "articles that are noted after a tag of one was renamed")
    same(
        sorted(" ".join(tags(bench, index)["1"]).split()),
        ["blue", "crimson"],
        "tags of the one that has it",
    )
    bench.delete("tag", 2)
    same(tags(bench, index), {"1": ["crimson"], "2": [], "3": []}, "tags after one was deleted")
    bench.is_sound(index)


@scenario(Capability.MANY_TO_MANY, Capability.SQL)
def what_is_tagged_past_the_orm_is_seen(bench: Bench) -> None:
    """So do statements that go past the ORM, cascades of the database among them."""
    index = tagged(bench)
    bench.settle(index)
    bench.sql("INSERT INTO kit_tagging (id, article_id, tag_id) VALUES (9, 3, 1)")
    same(tags(bench, index)["3"], ["red"], "tags of the one that had none")
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
    bench.settle(index)
    same(
        bench.held(index)["1"].text.split(),
        ["red", "renamed"],
        "the text after a change of its articles",
    )


@scenario(Capability.INHERITANCE)
def a_change_in_the_parents_table_is_seen(bench: Bench) -> None:
    """A book keeps its title in the table of media:
    a change in either table has the book indexed anew.
    """
    index = bench.index("book")
    bench.create("book", id=1, title="Loops", blurb="repeat a block")
    bench.create("book", id=2, title="Files", blurb="with closes them")
    same(
        bench.settled(index),
        {"1": "Loops|repeat a block", "2": "Files|with closes them"},
        "the index",
    )
    bench.update("book", 1, blurb="over and over")
    bench.sql("UPDATE kit_media SET title = 'Directories' WHERE id = 2")
    same(
        bench.settled(index),
        {"1": "Loops|over and over", "2": "Directories|with closes them"},
        "the index after changes",
    )
    found = index.search("directories", limit=1)
    same(
        [(row.id, row.title, row.blurb) for row in found],
        [(2, "Directories", "with closes them")],
        "what is found",
    )
    expect(isinstance(found[0], bench.model("book")), "what is found: expected a book.")


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
    same(
        bench.settled(media), {"1": "A record", "2": "A novel"}, "the index of media after a change"
    )
    same(bench.settled(books), {"2": "A novel|to read"}, "the index of books after a change")
    bench.delete("book", 2)
    same(
        (bench.settled(media), bench.settled(books)),
        ({"1": "A record"}, {}),
        "both after the book was deleted",
    )
