"""What of a row is indexed, and which rows: values, callables, conditions, soft deletion,
several indexes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from semantic_core.errors import ConfigError
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, fail, raises, same


@scenario()
def text_title_and_metadata_come_from_their_fields(bench: Bench) -> None:
    """The title is the title, source fields are the text in their order,
    metadata has the names of its fields.
    """
    index = bench.index(
        source_fields=["content", "stars"], title_field="title", metadata_fields=["stars", "author"]
    )
    bench.create("author", id=3, name="Ann")
    bench.create("article", id=1, title="Loops", content="repeat a block", stars=4, author_id=3)
    bench.settle(index)
    document = bench.held(index)["1"]
    same((document.title, document.text), ("Loops", "repeat a block\n\n4"), "title and text")
    same(dict(document.metadata), {"stars": 4, "author": 3}, "metadata")


@scenario()
def metadata_can_have_names_of_its_own(bench: Bench) -> None:
    """A mapping names each metadata value; a callable gives it."""
    fields: dict[str, Any] = {"rating": "stars", "loud": lambda row: str(row.title).upper()}
    index = bench.index(source_fields=["content"], metadata_fields=fields)
    bench.create("article", id=1, title="Loops", content="x", stars=4)
    bench.settle(index)
    same(dict(bench.held(index)["1"].metadata), {"rating": 4, "loud": "LOOPS"}, "metadata")


@scenario()
def none_is_nothing(bench: Bench) -> None:
    """Fields without a value add nothing; a row without any text is no failure,
    one of a title only is found by it.
    """
    index = bench.index(metadata_fields=["stars", "author", "deleted_at"])
    bench.create("article", id=1, title=None, content="only text")
    bench.create("article", id=2, title="only a title", content=None)
    bench.create("article", id=3, title=None, content=None)
    bench.settle(index)
    held = bench.held(index)
    same(
        (held["1"].title, held["1"].text),
        ("", "only text"),
        "title and text of a row without a title",
    )
    same(
        (held["2"].title, held["2"].text),
        ("only a title", "only a title"),
        "title and text of a row without content",
    )
    same(dict(held["1"].metadata), {}, "metadata of fields that are None")
    bench.update("article", 3, content="now there is some", stars=1)
    bench.update("article", 1, content=None, title="turned")
    bench.settle(index)
    held = bench.held(index)
    same(
        (held["3"].text, dict(held["3"].metadata)),
        ("now there is some", {"stars": 1}),
        "a row that got its values",
    )
    same((held["1"].title, held["1"].text), ("turned", "turned"), "a row that lost its text")


@scenario()
def values_that_are_no_text_are_written_out(bench: Bench) -> None:
    """Numbers, flags and times can be searched and asked for; metadata keeps numbers as numbers."""
    index = bench.index(
        source_fields=["content", "deleted_at"], metadata_fields=["stars", "hidden", "deleted_at"]
    )
    moment = datetime(2024, 5, 6, 7, 8, 9)
    bench.create("article", id=1, content="x", stars=7, hidden=True, deleted_at=moment)
    bench.settle(index)
    document = bench.held(index)["1"]
    same(document.text, f"x\n\n{moment.isoformat()}", "text with a time")
    same(document.metadata["deleted_at"], moment.isoformat(), "a time in metadata")
    same(
        (document.metadata["stars"], bool(document.metadata["hidden"])),
        (7, True),
        "a number and a flag in metadata",
    )


@scenario()
def a_callable_reads_what_it_likes(bench: Bench) -> None:
    """A callable is given the row; without watch_fields,
    a change of any column has it asked again.
    """
    index = bench.index(source_fields=[lambda row: f"{row.title} has {row.stars} stars"])
    bench.create("article", id=1, title="Loops", stars=3)
    same(bench.settled(index), {"1": "Loops has 3 stars"}, "the index")
    bench.update("article", 1, stars=5)
    same(
        bench.settled(index),
        {"1": "Loops has 5 stars"},
        "the index after a column changed that nobody named",
    )


@scenario()
def watched_fields_are_all_that_is_listened_to(bench: Bench) -> None:
    """With watch_fields a callable is asked again when one of those changed,
    and for nothing else.
    """
    index = bench.index(source_fields=[lambda row: f"{row.stars} stars"], watch_fields=["stars"])
    bench.articles(1, stars=3)
    bench.settle(index)
    bench.update("article", 1, content="changed", title="changed")
    same(bench.tickets(), 0, "tickets of other columns")
    bench.update("article", 1, stars=4)
    same(bench.settled(index), {"1": "4 stars"}, "the index")


@scenario()
def a_condition_is_evaluated_when_the_change_is_processed(bench: Bench) -> None:
    """What counts is whether the row qualifies then, not when it was written."""
    index = bench.index(condition=lambda row: (row.stars or 0) > 2, watch_fields=["stars"])
    bench.articles(1, stars=1)
    bench.update("article", 1, stars=5)
    bench.articles(2, stars=5)
    bench.update("article", 2, stars=1)
    same(bench.settled(index), {"1": "t1|text 1"}, "the index")


@scenario()
def a_row_comes_and_goes_with_its_condition(bench: Bench) -> None:
    """A row that no longer qualifies leaves the index, and is back when it does;
    so through a bulk change.
    """
    index = bench.index(condition=lambda row: not row.hidden, watch_fields=["hidden"])
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
    """A row counts as deleted while its soft_delete field is true: a date, or a flag."""
    index = bench.index(soft_delete="deleted_at")
    flagged = bench.index(soft_delete="hidden", collection="flagged", core=index.core)
    bench.articles(1, 2, hidden=False)
    bench.update("article", 1, deleted_at=datetime(2024, 1, 2, 3, 4, 5))
    bench.update("article", 2, hidden=True)
    same(sorted(bench.settled(index)), ["2"], "keys of the index that asks for the date")
    same(sorted(bench.settled(flagged)), ["1"], "keys of the index that asks for the flag")
    bench.update("article", 1, deleted_at=None)
    bench.delete("article", 2)
    same(
        sorted(bench.settled(index)), ["1"], "keys after one came back and one was deleted for good"
    )
    same(sorted(bench.settled(flagged)), ["1"], "keys of the other index")


@scenario()
def a_default_filter_hides_no_row(bench: Bench) -> None:
    """Rows that the ORM's default filter leaves out are rows like any other,
    in the index and in its results.
    """
    index = bench.index()
    bench.articles(1, hidden=True)
    bench.articles(2, hidden=False)
    same(sorted(bench.settled(index)), ["1", "2"], "keys in the index")
    same(sorted(row.id for row in index.search("text")), [1, 2], "ids of the rows that are found")
    bench.update("article", 2, hidden=True, content="hidden now")
    same(bench.settled(index)["2"], "t2|hidden now", "a row that the filter hides from now on")
    expect(index.verify().sound, "verify: expected a sound index.")


@scenario()
def several_indexes_of_a_model_go_their_own_way(bench: Bench) -> None:
    """Each has its collection, its fields and its condition;
    a change that matters to one is worked off by that one.
    """
    index = bench.index()
    titles = bench.index(name="titles", source_fields=["title"], core=index.core)
    starred = bench.index(
        collection="starred",
        condition=lambda row: bool(row.stars),
        watch_fields=["stars"],
        core=index.core,
    )
    bench.articles(1, 2)
    for each in (index, titles, starred):
        bench.settle(each)
    same(
        titles.declaration.collection,
        f"{index.declaration.collection}.titles",
        "the collection of the one called titles",
    )
    same(
        (len(bench.held(index)), bench.texts(titles), bench.texts(starred)),
        (2, {"1": "t1", "2": "t2"}, {}),
        "the three",
    )
    bench.update("article", 1, content="changed")
    same(
        (index.status().waiting, titles.status().waiting, starred.status().waiting),
        (1, 0, 1),
        "waiting changes of each",
    )
    bench.update("article", 2, stars=1)
    same(bench.settled(starred), {"2": "t2|text 2"}, "the one with a condition")
    titles.uninstall()
    bench.delete("article", 1)
    same(sorted(bench.settled(index)), ["2"], "the first, after another one was uninstalled")


@scenario()
def a_field_that_does_not_exist_is_reported(bench: Bench) -> None:
    """A mistyped field is a ConfigError with the nearest name, before anything is changed."""
    with raises(ConfigError, "an index of a field that is not there"):
        bench.index(source_fields=["contnt"])
    try:
        bench.index(source_fields=["contnt"])
    except ConfigError as error:
        expect("content" in str(error), f"expected the nearest name in the message, got: {error}")
    else:
        fail("expected ConfigError.")
