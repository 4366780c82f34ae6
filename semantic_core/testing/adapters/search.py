"""Checks of search on a model: it gives rows in the order of the ranking, as they are at present,
and as many as were asked for.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from semantic_core.errors import EmbedderUnavailable, FilterInvalid, InputError
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same, same_fields

TOPICS = {
    1: ("Loops", "for and while repeat a block"),
    2: ("Files", "open a file and close it"),
    3: ("Errors", "raise and catch an exception"),
    4: ("Tomatoes", "water them in the morning"),
}


def ids_of(rows: Iterable[Any]) -> list[int]:
    """The ids of these rows, in order."""
    return [row.id for row in rows]


def library(bench: Bench, **options: Any) -> BaseORMAdapter:
    """An index of four articles on four topics, by two authors, with one to four stars."""
    index = bench.index(metadata_fields=["author", "stars"], **options)
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    for id, (title, content) in TOPICS.items():
        author = 2 - id % 2
        row = {"id": id, "title": title, "content": content, "stars": id}
        bench.create("article", author_id=author, **row)
    bench.settle(index)
    return index


def common(bench: Bench, count: int, **options: Any) -> BaseORMAdapter:
    """An index of `count` articles that all have the same text."""
    index = bench.index(**options)
    with bench.transaction():
        for id in range(1, count + 1):
            bench.create("article", id=id, title=f"t{id}", content="a common text", stars=0)
    bench.settle(index)
    return index


def without_stars(row: Any) -> bool:
    """Whether an article has no star."""
    return not row.stars


@scenario()
def rows_come_back_in_the_order_of_the_ranking(bench: Bench) -> None:
    """Search gives instances of the model, best first, in the order in which the core ranks their
    documents. Each has its hit as ``search_hit``.
    """
    index = library(bench)
    article = bench.model("article")
    for query in ("repeat a block", "close a file", "catch an exception", "water in the morning"):
        found = index.search(query)
        hits = index.core.search(query, collections=[index.declaration.collection])
        ranked = [hit.ref.key for hit in hits]
        same([str(id) for id in ids_of(found)], ranked, f"ids of the rows found for {query!r}")
        same([hit.ref.key for hit in found.hits], ranked, f"keys of the hits for {query!r}")
        _have_their_hits(found)
        for row in found:
            expect(
                isinstance(row, article),
                f"search: expected an instance of {article.__name__}, found {row!r}.",
            )
    best = index.search("repeat a block", limit=1)
    same(len(best), 1, "number of rows with limit 1")
    title, content = TOPICS[1]
    same_fields(best[0], "the best row", id=1, title=title, content=content, stars=1)
    same(best[0].search_hit.metadata, {"author": 1, "stars": 1}, "metadata of the best hit")


def _have_their_hits(found: Any) -> None:
    """Fail unless each row has its hit."""
    hits = [row.search_hit for row in found]
    same(hits, list(found.hits), "search_hit of each row")


@scenario()
def a_query_is_read_as_people_type_it(bench: Bench) -> None:
    """With ``syntax="query"`` a search demands quoted words, leaves out those with a minus, and
    reads a field before a colon; without it the same signs are words. What was meant by a word with
    a typing error is told.
    """
    index = library(bench)

    def found(query: str, **options: Any) -> list[int]:
        return sorted(ids_of(index.search(query, **options)))

    same(found('"while repeat" block', syntax="query"), [1], "rows with the exact words")
    same(found("and -close -raise -while", syntax="query"), [4], "rows without some words")
    same(found("file stars:3", syntax="query"), [3], "rows with a value of a metadata field")
    same(found("title:errors exception", syntax="query"), [3], "rows with a word in the title")
    everything = found('"while repeat" block -while')
    same(everything, [1, 2, 3, 4], "rows of a search that reads no syntax")
    results = index.search("exceptoin", typos="correct")
    if results.corrected is not None:
        same(results.corrected, "exception", "the corrected query")
        same(index.search("exceptoin").did_you_mean, "exception", "did_you_mean")
        same(results[0].id, 3, "the first row for the corrected query")


@scenario()
def rows_like_a_row_are_found(bench: Bench) -> None:
    """`similar` gives the rows that are most like a row, without itself and without rows that are
    gone, as many as were asked for; a row that is not in the index is refused.
    """
    index = common(bench, 4)
    bench.create("article", id=9, title="t9", content="water them in the morning", stars=0)
    bench.settle(index)
    rows = {row.id: row for row in index.search("common text", limit=10)}
    found = index.similar(rows[1], limit=3)
    same(sorted(ids_of(found)), [2, 3, 4], "the rows most like the first one")
    same([row.search_hit.ref.key for row in found], [hit.ref.key for hit in found.hits], "hits")
    with index.pause():
        bench.delete("article", 2)
        found = index.similar(rows[1], limit=3)
        same(sorted(ids_of(found)), [3, 4, 9], "the same after one of them was deleted")
    bench.settle(index)
    with raises(InputError, "similar, for a row that is not in the index"):
        index.similar(rows[2])
    same(index.complete("commo")[:1] and index.complete("commo")[0].text, "common", "completion")


@scenario()
def a_row_that_takes_its_own_fields_only_has_its_hit(bench: Bench) -> None:
    """A model may refuse attributes that are no fields, as pydantic models do. Its rows are found,
    and each has its hit.
    """
    index = library(bench)
    setting: Any = bench.model("article").__setattr__

    def own_fields_only(row: Any, name: str, value: object) -> None:
        if name == "search_hit":
            raise ValueError(f"{type(row).__name__} has no field {name!r}")
        setting(row, name, value)

    with bench.given("article", "__setattr__", own_fields_only):
        _have_their_hits(index.search("repeat a block"))


@scenario()
def an_index_that_is_called_searches(bench: Bench) -> None:
    """``Model.search(...)`` and ``Model.search.search(...)`` are the same."""
    index = library(bench)
    same(ids_of(index("water in the morning", limit=1)), [4], "ids found")


@scenario()
def the_limit_is_filled_though_rows_are_gone(bench: Bench) -> None:
    """Search leaves out rows that were deleted since they were indexed, and gives the next best
    rows in their place. The second page begins where the first one ended.
    """
    index = common(bench, 20)
    bench.sql("DELETE FROM kit_article WHERE id < 13")
    first = index.search("common text", limit=5)
    second = index.search("common text", limit=5, offset=5)
    third = index.search("common text", limit=5, offset=8)
    sizes = len(first), len(second), len(third)
    same(sizes, (5, 3, 0), "number of rows on each page")
    same(sorted(ids_of([*first, *second])), list(range(13, 21)), "ids on the first two pages")


@scenario()
def rows_that_no_longer_qualify_are_left_out(bench: Bench) -> None:
    """Search applies the condition to the row as it is at present, even before its change is
    processed.
    """
    index = common(bench, 10, condition=without_stars, watch_fields=["stars"])
    bench.sql("UPDATE kit_article SET stars = 1 WHERE id < 8")
    found = index.search("common text", limit=3)
    same(sorted(ids_of(found)), [8, 9, 10], "ids found")


@scenario()
def rows_come_as_they_are_now(bench: Bench) -> None:
    """Search gives instances with the present values of the row, not with those of the index."""
    index = library(bench)
    bench.update("article", 1, stars=99, content="for and while repeat")
    (row,) = index.search("repeat", limit=1)
    same_fields(row, "the row", id=1, stars=99, content="for and while repeat")


@scenario()
def where_takes_a_key_or_an_instance(bench: Bench) -> None:
    """``where`` accepts the key or the instance of a related row for a foreign key, and values for
    other fields.
    """
    index = library(bench)
    author = bench.create("author", id=3, name="Cas")
    bench.create("article", id=5, title="Loops", content="repeat again", stars=5, author_id=3)
    bench.settle(index)

    def ids(where: dict[str, Any]) -> list[int]:
        return sorted(ids_of(index.search("repeat a file in the morning", where=where)))

    same(ids({"author": 2}), [2, 4], "ids of one author, by key")
    same(ids({"author": author}), [5], "ids of one author, by instance")
    same(ids({"author": {"in": [1, author]}}), [1, 3, 5], "ids of two authors")
    same(ids({"stars": {"gte": 3}}), [3, 4, 5], "ids with three stars or more")
    same(ids({"stars": {"gte": 3}, "author": 1}), [3], "ids that match both conditions")


@scenario()
def where_holds_before_the_limit(bench: Bench) -> None:
    """``where`` applies before the limit: matches outside of it do not count."""
    index = library(bench)
    found = index.search("for and while repeat a block", limit=2, where={"author": 2})
    same(sorted(ids_of(found)), [2, 4], "ids found")


@scenario()
def where_names_metadata_only(bench: Bench) -> None:
    """A field in ``where`` that is no metadata field raises FilterInvalid. It never gives an empty
    answer.
    """
    index = library(bench)
    asked: list[dict[str, Any]] = [{"hidden": True}, {"star": 1}, {"author.name": "Ann"}]
    for where in asked:
        with raises(FilterInvalid, f"where={where}"):
            index.search("x", where=where)


@scenario()
def a_fresh_search_knows_what_was_committed(bench: Bench) -> None:
    """``fresh=True`` processes pending changes before it searches. Without it they stay pending."""
    index = library(bench)
    bench.create("article", id=9, title="Bread", content="let the dough rest")
    same(ids_of(index.search("dough", mode="text")), [], "ids found without fresh=True")
    found = index.search("dough", mode="text", fresh=True)
    same(ids_of(found), [9], "ids found with fresh=True")
    same(found.waiting, 0, "pending changes after fresh=True")


@scenario()
def full_text_search_is_fresh_while_the_embedder_is_unavailable(bench: Bench) -> None:
    """An embedder that fails stops no indexing. Full-text search finds the new texts at once, and
    vector search finds them when the embedder works again.
    """
    index = library(bench)
    bench.embedder.fail_with = EmbedderUnavailable("the provider is down")
    bench.create("article", id=9, title="Bread", content="let the dough rest")
    bench.update("article", 1, content="recursion calls itself")
    found = index.search("dough", limit=1, fresh=True)
    same(ids_of(found), [9], "ids found while the embedder fails")
    same_fields(found, "results while the embedder fails", degraded=True, waiting=0)
    same(ids_of(index.search("recursion", limit=1)), [1], "ids found for the changed row")
    same_fields(index.status(), "status", waiting=0, aborted=0)
    bench.embedder.fail_with = None
    embedded = index.core.embed_pending()
    expect(
        embedded >= 2,
        f"embed_pending: expected the passages of both rows, found {embedded} passages.",
    )
    found = index.search("let the dough rest", mode="vector", limit=1)
    same(ids_of(found), [9], "ids found by vector search")


@scenario()
def an_index_of_no_rows_finds_nothing(bench: Bench) -> None:
    """Search gives an empty answer for an empty table, and for a table whose indexed rows were all
    deleted.
    """
    index = bench.index()
    same(len(index.search("anything")), 0, "rows of an empty table")
    bench.articles(1, 2)
    bench.settle(index)
    bench.sql("DELETE FROM kit_article")
    same(len(index.search("text")), 0, "rows of a table that was emptied")
