"""Search gives rows: in the order of the ranking, as they are now, as many as were asked for."""

from __future__ import annotations

from typing import Any

from semantic_core.errors import EmbedderUnavailable, FilterInvalid
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same

TOPICS = {
    1: ("Loops", "for and while repeat a block"),
    2: ("Files", "open a file and close it"),
    3: ("Errors", "raise and catch an exception"),
    4: ("Tomatoes", "water them in the morning"),
}


def library(bench: Bench, **said: Any) -> BaseORMAdapter:
    """An index of four articles about four things, by two authors, with one to four stars."""
    index = bench.index(metadata_fields=["author", "stars"], **said)
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    for id, (title, content) in TOPICS.items():
        bench.create("article", id=id, title=title, content=content, stars=id, author_id=2 - id % 2)
    bench.settle(index)
    return index


def common(bench: Bench, count: int, **said: Any) -> BaseORMAdapter:
    """An index of so many articles that all have the same text."""
    index = bench.index(**said)
    with bench.transaction():
        for id in range(1, count + 1):
            bench.create("article", id=id, title=f"t{id}", content="a common text", stars=0)
    bench.settle(index)
    return index


@scenario()
def rows_come_back_in_the_order_of_the_ranking(bench: Bench) -> None:
    """Instances of the model, best first, in the order the core ranks their documents;
    each with its hit.
    """
    index = library(bench)
    for query in ("repeat a block", "close a file", "catch an exception", "water in the morning"):
        found = index.search(query)
        ranked = [
            hit.ref.key
            for hit in index.core.search(query, collections=[index.declaration.collection])
        ]
        same([str(row.id) for row in found], ranked, f"ids found for {query!r}")
        same([row.search_hit for row in found], list(found.hits), "search_hit of each row")
        same([hit.ref.key for hit in found.hits], ranked, "hits")
        expect(
            all(isinstance(row, bench.model("article")) for row in found),
            "wanted instances of the model.",
        )
    best = index.search("repeat a block", limit=1)
    same(
        [(row.id, row.title, row.content, row.stars) for row in best],
        [(1, *TOPICS[1], 1)],
        "the best row",
    )
    same(best[0].search_hit.metadata, {"author": 1, "stars": 1}, "metadata of its hit")


@scenario()
def a_row_that_takes_its_own_fields_only_has_its_hit(bench: Bench) -> None:
    """A model may refuse attributes it does not know, as those of pydantic do: its rows are found,
    each with its hit.
    """
    index = library(bench)
    setting: Any = bench.model("article").__setattr__

    def own_fields_only(row: Any, name: str, value: object) -> None:
        if name == "search_hit":
            raise ValueError(f"{type(row).__name__} has no field {name!r}")
        setting(row, name, value)

    with bench.given("article", "__setattr__", own_fields_only):
        found = index.search("repeat a block")
        same([row.search_hit for row in found], list(found.hits), "search_hit of each row")


@scenario()
def an_index_that_is_called_searches(bench: Bench) -> None:
    """``Model.search(...)`` and ``Model.search.search(...)`` are the same."""
    index = library(bench)
    same([row.id for row in index("water in the morning", limit=1)], [4], "ids found")


@scenario()
def the_limit_is_filled_though_rows_are_gone(bench: Bench) -> None:
    """Rows that were deleted since are left out, and the next best come instead;
    the second page goes on where it ended.
    """
    index = common(bench, 20)
    bench.sql("DELETE FROM kit_article WHERE id < 13")
    found = index.search("common text", limit=5)
    later = index.search("common text", limit=5, offset=5)
    same((len(found), len(later)), (5, 3), "rows of the first and of the second page")
    same(sorted(row.id for row in (*found, *later)), list(range(13, 21)), "ids of both pages")
    same(len(index.search("common text", limit=5, offset=8)), 0, "rows of the third page")


@scenario()
def rows_that_no_longer_qualify_are_left_out(bench: Bench) -> None:
    """What the condition says of the row as it is now counts,
    also before its change is worked off.
    """
    index = common(bench, 10, condition=lambda row: not row.stars, watch_fields=["stars"])
    bench.sql("UPDATE kit_article SET stars = 1 WHERE id < 8")
    same(sorted(row.id for row in index.search("common text", limit=3)), [8, 9, 10], "ids found")


@scenario()
def rows_come_as_they_are_now(bench: Bench) -> None:
    """An instance has the values of now, whatever the index knows."""
    index = library(bench)
    bench.update("article", 1, stars=99, content="for and while repeat")
    (row,) = index.search("repeat", limit=1)
    same((row.id, row.stars, row.content), (1, 99, "for and while repeat"), "the row")


@scenario()
def where_takes_a_key_or_an_instance(bench: Bench) -> None:
    """A foreign key is asked for by the key it holds, or by the instance it points at;
    other fields by their values.
    """
    index = library(bench)
    author = bench.create("author", id=3, name="Cas")
    bench.create("article", id=5, title="Loops", content="repeat again", stars=5, author_id=3)
    bench.settle(index)

    def ids(where: dict[str, Any]) -> list[int]:
        return sorted(row.id for row in index.search("repeat a file in the morning", where=where))

    same(ids({"author": 2}), [2, 4], "ids of one author, by key")
    same(ids({"author": author}), [5], "ids of one author, by instance")
    same(ids({"author": {"in": [1, author]}}), [1, 3, 5], "ids of two authors")
    same(ids({"stars": {"gte": 3}}), [3, 4, 5], "ids with three stars and more")
    same(ids({"stars": {"gte": 3}, "author": 1}), [3], "ids of both conditions")


@scenario()
def where_holds_before_the_limit(bench: Bench) -> None:
    """A condition that only bad matches meet still fills the limit."""
    index = library(bench)
    found = index.search("for and while repeat a block", limit=2, where={"author": 2})
    same(sorted(row.id for row in found), [2, 4], "ids found")


@scenario()
def where_names_metadata_only(bench: Bench) -> None:
    """A field that is no metadata field is a FilterInvalid, never an empty answer."""
    index = library(bench)
    asked: list[dict[str, Any]] = [{"hidden": True}, {"star": 1}, {"author.name": "Ann"}]
    for where in asked:
        with raises(FilterInvalid, f"where={where}"):
            index.search("x", where=where)


@scenario()
def a_fresh_search_knows_what_was_committed(bench: Bench) -> None:
    """``fresh=True`` works off what waits before it answers; without it the changes still wait."""
    index = library(bench)
    bench.create("article", id=9, title="Bread", content="let the dough rest")
    same([row.id for row in index.search("dough", mode="text")], [], "ids found by words before")
    found = index.search("dough", mode="text", fresh=True)
    same(
        ([row.id for row in found], found.waiting),
        ([9], 0),
        "ids found with fresh=True, and waiting changes",
    )


@scenario()
def words_are_fresh_while_the_embedder_is_away(bench: Bench) -> None:
    """An embedder that fails stops nothing: texts are found by their words at once,
    by meaning once it is back.
    """
    index = library(bench)
    bench.embedder.fail_with = EmbedderUnavailable("the provider is down")
    bench.create("article", id=9, title="Bread", content="let the dough rest")
    bench.update("article", 1, content="recursion calls itself")
    found = index.search("dough", limit=1, fresh=True)
    same(
        ([row.id for row in found], found.degraded, found.waiting),
        ([9], True, 0),
        "ids, whether degraded, and waiting",
    )
    same(
        [row.id for row in index.search("recursion", limit=1)], [1], "ids found for the changed row"
    )
    same(
        (index.status().waiting, index.status().aborted),
        (0, 0),
        "changes that wait, and that were given up",
    )
    bench.embedder.fail_with = None
    expect(
        index.core.embed_pending() >= 2,
        "embed_pending: wanted the passages of both rows to be filled.",
    )
    same(
        [row.id for row in index.search("let the dough rest", mode="vector", limit=1)],
        [9],
        "ids found by meaning",
    )


@scenario()
def an_index_of_no_rows_finds_nothing(bench: Bench) -> None:
    """An empty table, and a table whose documents have no row any more, give an empty answer."""
    index = bench.index()
    same(len(index.search("anything")), 0, "rows of an empty table")
    bench.articles(1, 2)
    bench.settle(index)
    bench.sql("DELETE FROM kit_article")
    same(len(index.search("text")), 0, "rows of a table that was emptied")
