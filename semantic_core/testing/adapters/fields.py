"""Checks of what is indexed of a row, and of which rows are indexed: fields, callables, conditions,
soft deletion, several indexes of a model.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from semantic_core.errors import ConfigError
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same, same_fields


def loud_title(row: Any) -> str:
    """The title of an article in upper case."""
    return str(row.title).upper()


def rating(row: Any) -> str:
    """A text with the title and the stars of an article."""
    return f"{row.title} has {row.stars} stars"


def stars(row: Any) -> str:
    """A text with the stars of an article."""
    return f"{row.stars} stars"


def has_stars(row: Any) -> bool:
    """Whether an article has a star."""
    return bool(row.stars)


def has_three_stars(row: Any) -> bool:
    """Whether an article has three stars or more."""
    return (row.stars or 0) > 2


def is_visible(row: Any) -> bool:
    """Whether an article is not hidden."""
    return not row.hidden


@scenario()
def text_title_and_metadata_come_from_their_fields(bench: Bench) -> None:
    """The title comes from the title field and the text from the source fields, in their order.
    Metadata has the names of its fields.
    """
    index = bench.index(
        source_fields=["content", "stars"], title_field="title", metadata_fields=["stars", "author"]
    )
    bench.create("author", id=3, name="Ann")
    bench.create("article", id=1, title="Loops", content="repeat a block", stars=4, author_id=3)
    bench.settle(index)
    document = bench.held(index)["1"]
    same_fields(document, "the document", title="Loops", text="repeat a block\n\n4")
    same(dict(document.metadata), {"stars": 4, "author": 3}, "metadata")


@scenario()
def metadata_can_have_names_of_its_own(bench: Bench) -> None:
    """A mapping gives each metadata value a name. The value comes from a field or a callable."""
    fields: dict[str, Any] = {"rating": "stars", "loud": loud_title}
    index = bench.index(source_fields=["content"], metadata_fields=fields)
    bench.create("article", id=1, title="Loops", content="x", stars=4)
    bench.settle(index)
    same(dict(bench.held(index)["1"].metadata), {"rating": 4, "loud": "LOOPS"}, "metadata")


@scenario()
def none_is_nothing(bench: Bench) -> None:
    """Fields that are None add nothing. A row without any text is no failure, and the title of a
    row without other text is its text.
    """
    index = bench.index(metadata_fields=["stars", "author", "deleted_at"])
    bench.create("article", id=1, title=None, content="only text")
    bench.create("article", id=2, title="only a title", content=None)
    bench.create("article", id=3, title=None, content=None)
    bench.settle(index)
    held = bench.held(index)
    same_fields(held["1"], "the document of a row without a title", title="", text="only text")
    text = "only a title"
    same_fields(held["2"], "the document of a row without content", title=text, text=text)
    same(dict(held["1"].metadata), {}, "metadata of fields that are None")
    bench.update("article", 3, content="now there is some", stars=1)
    bench.update("article", 1, content=None, title="turned")
    bench.settle(index)
    held = bench.held(index)
    same(held["3"].text, "now there is some", "text of a row after it got its values")
    same(dict(held["3"].metadata), {"stars": 1}, "metadata of a row after it got its values")
    same_fields(held["1"], "a row that lost its text", title="turned", text="turned")


@scenario()
def values_that_are_no_text_are_written_out(bench: Bench) -> None:
    """In source fields numbers, flags and times become text. In metadata numbers stay numbers."""
    index = bench.index(
        source_fields=["content", "deleted_at"], metadata_fields=["stars", "hidden", "deleted_at"]
    )
    moment = datetime(2024, 5, 6, 7, 8, 9)
    bench.create("article", id=1, content="x", stars=7, hidden=True, deleted_at=moment)
    bench.settle(index)
    document = bench.held(index)["1"]
    same(document.text, f"x\n\n{moment.isoformat()}", "text with a time")
    same(document.metadata["deleted_at"], moment.isoformat(), "a time in metadata")
    same(document.metadata["stars"], 7, "a number in metadata")
    same(bool(document.metadata["hidden"]), True, "a boolean in metadata")


@scenario()
def a_callable_reads_what_it_likes(bench: Bench) -> None:
    """A callable gets the row. Without watch_fields a change of any column calls it again."""
    index = bench.index(source_fields=[rating])
    bench.create("article", id=1, title="Loops", stars=3)
    same(bench.settled(index), {"1": "Loops has 3 stars"}, "the index")
    bench.update("article", 1, stars=5)
    same(bench.settled(index), {"1": "Loops has 5 stars"}, "the index after another column changed")


@scenario()
def watched_fields_are_all_that_is_listened_to(bench: Bench) -> None:
    """With watch_fields a callable is called again when one of these fields changes, and for no
    other change.
    """
    index = bench.index(source_fields=[stars], watch_fields=["stars"])
    bench.articles(1, stars=3)
    bench.settle(index)
    bench.update("article", 1, content="changed", title="changed")
    same(bench.pending_changes(), 0, "pending changes of other columns")
    bench.update("article", 1, stars=4)
    same(bench.settled(index), {"1": "4 stars"}, "the index")


@scenario()
def a_condition_is_evaluated_when_the_change_is_processed(bench: Bench) -> None:
    """The condition is evaluated when a change is processed, not when the row is written."""
    index = bench.index(condition=has_three_stars, watch_fields=["stars"])
    bench.articles(1, stars=1)
    bench.update("article", 1, stars=5)
    bench.articles(2, stars=5)
    bench.update("article", 2, stars=1)
    same(bench.settled(index), {"1": "t1|text 1"}, "the index")


@scenario()
def a_row_comes_and_goes_with_its_condition(bench: Bench) -> None:
    """A row leaves the index when it no longer meets the condition, and comes back when it does,
    also by a change of many rows.
    """
    index = bench.index(condition=is_visible, watch_fields=["hidden"])
    bench.articles(1, 2, hidden=False)
    same(sorted(bench.settled(index)), ["1", "2"], "keys while both qualify")
    bench.update("article", 1, hidden=True)
    same(sorted(bench.settled(index)), ["2"], "keys after one was hidden")
    bench.sql("UPDATE kit_article SET hidden = TRUE")
    same(sorted(bench.settled(index)), [], "keys after all were hidden")
    bench.update("article", 1, hidden=False)
    same(bench.settled(index), {"1": "t1|text 1"}, "the index after one came back")


@scenario()
def soft_deleted_rows_leave_and_come_back(bench: Bench) -> None:
    """A row counts as deleted while its soft_delete field is a date or true."""
    index = bench.index(soft_delete="deleted_at")
    flagged = bench.index(soft_delete="hidden", collection="flagged", core=index.core)
    bench.articles(1, 2, hidden=False)
    bench.update("article", 1, deleted_at=datetime(2024, 1, 2, 3, 4, 5))
    bench.update("article", 2, hidden=True)
    same(sorted(bench.settled(index)), ["2"], "keys of the index with a date")
    same(sorted(bench.settled(flagged)), ["1"], "keys of the index with a boolean")
    bench.update("article", 1, deleted_at=None)
    bench.delete("article", 2)
    keys = sorted(bench.settled(index))
    same(keys, ["1"], "keys after a row came back and another was deleted")
    same(sorted(bench.settled(flagged)), ["1"], "keys of the other index")


@scenario()
def a_default_filter_hides_no_row(bench: Bench) -> None:
    """Rows that the ORM's default filter hides are in the index and in search results like all
    others.
    """
    index = bench.index()
    bench.articles(1, hidden=True)
    bench.articles(2, hidden=False)
    same(sorted(bench.settled(index)), ["1", "2"], "keys in the index")
    found = [row.id for row in index.search("text")]
    same(sorted(found), [1, 2], "ids of the rows that search gives")
    bench.update("article", 2, hidden=True, content="hidden now")
    same(bench.settled(index)["2"], "t2|hidden now", "a row that the filter hides after a change")
    bench.is_sound(index)


@scenario()
def several_indexes_of_a_model_go_their_own_way(bench: Bench) -> None:
    """Each index of a model has its own collection, fields and condition. A change is pending only
    for the indexes that it concerns.
    """
    index = bench.index()
    titles = bench.index(name="titles", source_fields=["title"], core=index.core)
    options: dict[str, Any] = {"condition": has_stars, "watch_fields": ["stars"]}
    starred = bench.index(collection="starred", core=index.core, **options)
    bench.articles(1, 2)
    for each in (index, titles, starred):
        bench.settle(each)
    collection = f"{index.declaration.collection}.titles"
    same(titles.declaration.collection, collection, "collection of the index `titles`")
    same(len(bench.held(index)), 2, "documents of the first index")
    same(bench.texts(titles), {"1": "t1", "2": "t2"}, "the index of titles")
    same(bench.texts(starred), {}, "the index with a condition")
    bench.update("article", 1, content="changed")
    same(index.status().waiting, 1, "pending changes of the first index")
    same(titles.status().waiting, 0, "pending changes of the index of titles")
    same(starred.status().waiting, 1, "pending changes of the index with a condition")
    bench.update("article", 2, stars=1)
    same(bench.settled(starred), {"2": "t2|text 2"}, "the index with a condition")
    titles.uninstall()
    bench.delete("article", 1)
    keys = sorted(bench.settled(index))
    same(keys, ["2"], "keys of the first index after another one was uninstalled")


@scenario()
def a_field_that_does_not_exist_is_reported(bench: Bench) -> None:
    """A field that does not exist raises ConfigError, which suggests the nearest name, before
    anything changes.
    """
    with raises(ConfigError, "an index with a mistyped field"):
        bench.index(source_fields=["contnt"])
    message = ""
    try:
        bench.index(source_fields=["contnt"])
    except ConfigError as error:
        message = str(error)
    expect("content" in message, f"ConfigError: expected the field `content`, found: {message!r}")
