"""Checks of ``among``: a search is limited to the rows of a query, to given rows or to given keys;
and of the totals, facets and pages of a search on a model.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any
from uuid import UUID

from semantic_core.errors import InputError
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same
from semantic_core.types import Mode

ROWS = 40
"""Articles of a shelf."""
MODES: tuple[Mode, ...] = ("hybrid", "text", "vector")


def shelf(bench: Bench, **options: Any) -> BaseORMAdapter:
    """An index of ROWS articles that all have the same text. The author of an article is 1 for even
    ids and 2 for odd ones; its stars are the last digit of its id.
    """
    index = bench.index(metadata_fields=["author", "stars"], **options)
    bench.create("author", id=1, name="Ann")
    bench.create("author", id=2, name="Bea")
    with bench.transaction():
        for id in range(1, ROWS + 1):
            row = {"title": f"t{id}", "content": "a common text", "stars": id % 10}
            bench.create("article", id=id, author_id=1 + id % 2, **row)
    bench.settle(index)
    return index


def ids_of(rows: Iterable[Any]) -> list[int]:
    """The ids of these rows, ascending."""
    return sorted(row.id for row in rows)


def even(limit: int = ROWS) -> list[int]:
    """The ids of the articles of author 1, up to `limit` of all."""
    return list(range(2, limit + 1, 2))


@scenario(Capability.QUERY)
def among_a_query_are_its_rows(bench: Bench) -> None:
    """A search among a query finds rows of that query and no others, in every mode and in rank
    order, and before the limit; ``where`` holds as well. An empty query finds nothing.
    """
    index = shelf(bench)
    article = bench.model("article")
    for mode in MODES:
        mine = bench.harness.query(article, author_id=1)
        found = index.search("common text", among=mine, limit=100, mode=mode)
        same(ids_of(found), even(), f"ids among a query, {mode}")
        scores = [row.search_hit.score for row in found]
        same(scores, sorted(scores, reverse=True), f"scores among a query, {mode}")
        few = bench.harness.query(article, author_id=1, stars=4)
        found = index.search("common text", among=few, limit=2, mode=mode)
        same(len(found), 2, f"number of rows among a query with limit 2, {mode}")
        expect(
            set(ids_of(found)) <= {4, 14, 24, 34},
            f"search among a query, {mode}: found other rows, {ids_of(found)}.",
        )
        both = index.search("common text", among=mine, where={"stars": 6}, mode=mode)
        same(ids_of(both), [6, 16, 26, 36], f"ids among a query and where, {mode}")
        nobody = bench.harness.query(article, author_id=1, stars=3)
        same(len(index.search("common text", among=nobody, mode=mode)), 0, "rows of no query")


@scenario()
def among_rows_and_keys_are_those(bench: Bench) -> None:
    """A search is limited to given rows or primary keys, in a list, a set or a generator, as values
    or as text; an empty list finds nothing, None limits nothing.
    """
    index = shelf(bench)
    rows = list(index.search("common text", where={"stars": 7}))
    several: list[tuple[Any, list[int]]] = [
        ([3, 5, 999], [3, 5]),
        ({3, 5}, [3, 5]),
        ((id for id in (8, 8, 9)), [8, 9]),
        (["10", 11], [10, 11]),
        (rows, [7, 17, 27, 37]),
        ([*rows[:1], 1], sorted([rows[0].id, 1])),
        ([row.search_hit.ref.key for row in rows], [7, 17, 27, 37]),
        ([], []),
        (set(), []),
        (None, list(range(1, ROWS + 1))),
    ]
    for among, wanted in several:
        found = index.search("common text", among=among, limit=100)
        same(ids_of(found), wanted, f"ids among {among!r:.60}")


@scenario()
def among_what_is_no_row_is_refused(bench: Bench) -> None:
    """Rows of another model, and what can be no primary key, raise InputError, which names the
    model. They are never taken for keys.
    """
    index = shelf(bench)
    author = bench.create("author", id=3, name="Cid")
    for wrong in ("12", 12, [author], [None], [True], [b"1"], [(1, 2)], [object()], ["x"]):
        with raises(InputError, f"search among {wrong!r:.40}"):
            index.search("common text", among=wrong)
    try:
        index.search("common text", among=[author])
    except InputError as error:
        name = bench.model("article").__name__
        expect(name in str(error), f"among a row of another model: {error} does not say {name}.")


@scenario(Capability.QUERY)
def among_a_query_of_another_model_is_refused(bench: Bench) -> None:
    """A query for rows of another model raises InputError, even if it gives no row."""
    index = shelf(bench)
    for values in ({"id": 1}, {"id": 99}):
        other = bench.harness.query(bench.model("author"), **values)
        with raises(InputError, "search among a query of another model"):
            index.search("common text", among=other)


@scenario(Capability.QUERY)
def among_follows_the_database(bench: Bench) -> None:
    """Which rows a query has is asked when the search runs. Rows that are not indexed yet are not
    found, and rows that are gone are not either.
    """
    index = shelf(bench)
    article = bench.model("article")
    query = bench.harness.query(article, stars=4)
    bench.create("article", id=54, title="t54", content="a common text", stars=4, author_id=1)
    bench.sql("DELETE FROM kit_article WHERE id = 14")
    found = index.search("common text", among=query, limit=100)
    same(ids_of(found), [4, 24, 34], "ids before the changes are processed")
    bench.settle(index)
    query = bench.harness.query(article, stars=4)
    same(ids_of(index.search("common text", among=query)), [4, 24, 34, 54], "ids afterwards")


@scenario(Capability.QUERY, Capability.COMPOSITE_KEY)
def among_takes_composite_keys(bench: Bench) -> None:
    """A query, tuples, and rows of a model with a composite key."""
    index = bench.index("seat")
    for hall, number in product(("a", "b"), (1, 2, 3)):
        bench.create("seat", hall=hall, number=number, label="a common text")
    bench.settle(index)

    def places(among: Any) -> list[tuple[str, int]]:
        found = index.search("common text", among=among, limit=100)
        return sorted((row.hall, row.number) for row in found)

    mine = bench.harness.query(bench.model("seat"), hall="b")
    same(places(mine), [("b", 1), ("b", 2), ("b", 3)], "seats among a query")
    same(places([("a", 1), ["b", 3], ("c", 1)]), [("a", 1), ("b", 3)], "seats among tuples")
    rows = list(index.search("common text", limit=2))
    same(places(rows), sorted((row.hall, row.number) for row in rows), "seats among rows")


@scenario(Capability.QUERY, Capability.TEXT_KEY)
def among_takes_text_keys(bench: Bench) -> None:
    """Keys of text are compared to the letter."""
    index = bench.index("page")
    for slug in ("a", "A", "a b", "12"):
        bench.create("page", slug=slug, body="a common text")
    bench.settle(index)

    def slugs(among: Any) -> list[str]:
        return sorted(row.slug for row in index.search("common text", among=among))

    same(slugs(bench.harness.query(bench.model("page"), slug="A")), ["A"], "pages among a query")
    same(slugs(["a", "a b", " 12"]), ["a", "a b"], "pages among keys")


@scenario(Capability.QUERY, Capability.UUID_KEY)
def among_takes_uuids(bench: Bench) -> None:
    """A UUID is a key in any spelling."""
    index = bench.index("parcel")
    uuids = [UUID(int=number) for number in (1, 2, 3, 255)]
    for uuid in uuids:
        bench.create("parcel", id=uuid, content="a common text")
    bench.settle(index)

    def found(among: Any) -> list[UUID]:
        rows = index.search("common text", among=among)
        return sorted(UUID(str(row.id)) for row in rows)

    mine = bench.harness.query(bench.model("parcel"), id=uuids[1])
    same(found(mine), uuids[1:2], "parcels among a query")
    spelled = [uuids[0], str(uuids[2]).upper(), uuids[3].hex]
    same(found(spelled), [uuids[0], *uuids[2:]], "parcels among spellings of UUIDs")


@scenario(Capability.QUERY)
def among_keeps_tenants_apart(bench: Bench) -> None:
    """A query that has rows of every tenant finds those of the tenant that is named, and neither
    total nor facets count others.
    """
    index = bench.index("note", tenant="owner", metadata_fields=["owner"])
    for id in range(1, 11):
        bench.create("note", id=id, owner=f"o{id % 2}", body="a common text")
    bench.settle(index)
    everything = bench.harness.query(bench.model("note"))
    for among in (everything, range(1, 11)):
        found = index.search(
            "common text", among=among, tenant="o1", total=True, facets=["owner"], mode="text"
        )
        same(ids_of(found), [1, 3, 5, 7, 9], "ids of the tenant")
        same(found.total, 5, "total of the tenant")
        same(list(found.facets["owner"]), [("o1", 5)], "facets of the tenant")
        pages = index.pages("common text", among=list(range(1, 11)), tenant="o1")
        same(pages.count(), 5, "count of pages of the tenant")


@scenario()
def totals_and_facets_are_of_all_pages(bench: Bench) -> None:
    """total and facets count all rows that hold a word of the query, whatever the page; with among
    and where only those.
    """
    index = shelf(bench)
    bench.articles(100, stars=1)
    bench.settle(index)
    for limit, offset in ((1, 0), (5, 10), (10, 90)):
        found = index.search(
            "common", mode="text", limit=limit, offset=offset, total=True, facets=["author"]
        )
        same((found.total, found.total_is_exact), (ROWS, True), f"total at {offset}")
        same(list(found.facets["author"]), [(1, ROWS // 2), (2, ROWS // 2)], f"facets at {offset}")
    part = index.search(
        "common", mode="text", total=True, facets={"stars": 2}, among=[4, 14, 5, 6, 100]
    )
    same(part.total, 4, "total among keys")
    same(list(part.facets["stars"]), [(4, 2), (5, 1)], "facets among keys")
    asked = index.search("common", limit=1)
    same((asked.total, dict(asked.facets)), (None, {}), "total and facets that nobody asked for")
    for options in ({"facets": ["nothing"]}, {"order_by": "nothing"}):
        with raises(InputError, f"search with {options}"):
            index.search("common", **options)


@scenario()
def an_order_by_a_field_is_of_all_rows(bench: Bench) -> None:
    """order_by sorts all rows that hold a word of the query, up or down, over all pages."""
    index = shelf(bench)
    for order_by, start in (("stars", 0), ("-stars", 9)):
        rows = [
            *index.search("common text", order_by=order_by, limit=15),
            *index.search("common text", order_by=order_by, limit=100, offset=15),
        ]
        stars = [row.stars for row in rows]
        same(stars, sorted(stars, reverse=bool(start)), f"stars, ordered by {order_by}")
        same(ids_of(rows), list(range(1, ROWS + 1)), f"ids, ordered by {order_by}")


@scenario(Capability.QUERY)
def pages_fit_together(bench: Bench) -> None:
    """Pages have a number and slices, of all rows or among a query, each row once."""
    index = shelf(bench)
    query = bench.harness.query(bench.model("article"), author_id=1)
    for mode in MODES:
        pages = index.pages("common text", mode=mode, among=query)
        same((len(pages), pages.count()), (ROWS // 2, ROWS // 2), f"number of rows, {mode}")
        parts = [*pages[0:7], *pages[7:14], *pages[14:50]]
        same(ids_of(parts), even(), f"ids on three pages, {mode}")
        same(ids_of(pages), even(), f"ids of all pages, {mode}")
        same(list(pages[ROWS:]), [], f"after the end, {mode}")
        same(pages[3].id, parts[3].id, f"the fourth row, {mode}")
