"""Rows that cannot be indexed, stores and databases that fail: kept, told, tried again,
and in nobody's way.
"""

from __future__ import annotations

from semantic_core.errors import StoreError
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same

TRIES = 30
"""More than any ticket is tried before it is aborted."""


def dividing(bench: Bench) -> BaseORMAdapter:
    """An index whose text is 12 divided by the stars of a row:
    one without a star cannot be indexed.
    """
    return bench.index(
        source_fields=[lambda row: f"{12 // row.stars} of twelve"], watch_fields=["stars"]
    )


def given_up(bench: Bench, index: BaseORMAdapter) -> None:
    """Work off until nothing is tried any more."""
    for _ in range(TRIES):
        index.sync()
        bench.time_passes()
    same(index.status().waiting, 0, f"changes that wait after {TRIES} tries")


@scenario()
def a_row_that_fails_stops_no_other(bench: Bench) -> None:
    """A poisoned row waits with its reason; those around it,
    in the same batch and later, are indexed.
    """
    index = dividing(bench)
    bench.articles(1, stars=4)
    bench.articles(2, stars=0)
    bench.articles(3, stars=6)
    report = index.sync()
    same(
        (len(report.failed), "ZeroDivision" in report.failed[0].reason),
        (1, True),
        "failures, and whether it says why",
    )
    same(bench.texts(index), {"1": "3 of twelve", "3": "2 of twelve"}, "the index")
    status = index.status()
    same(
        (status.waiting, "ZeroDivision" in status.last_error),
        (1, True),
        "what waits, and whether it says why",
    )
    bench.articles(4, stars=12)
    index.sync()
    same(sorted(bench.texts(index)), ["1", "3", "4"], "keys in the index after another change")


@scenario()
def a_row_that_failed_is_tried_again(bench: Bench) -> None:
    """Once its pause is over; or at once, if the row changes."""
    index = dividing(bench)
    bench.articles(1, stars=0)
    index.sync()
    bench.sql("UPDATE kit_article SET stars = 3")
    same(bench.settled(index), {"1": "4 of twelve"}, "the index after the row changed")
    bench.time_passes()
    same(bench.settled(index), {"1": "4 of twelve"}, "the index after the pause")
    same(bench.tickets(), 0, "tickets that are left")


@scenario()
def a_row_that_keeps_failing_is_given_up_and_listed(bench: Bench) -> None:
    """After many tries its ticket is aborted: counted, listed with its reason, tried no more,
    and in nobody's way.
    """
    index = dividing(bench)
    bench.articles(1, stars=0)
    bench.articles(2, stars=1)
    given_up(bench, index)
    same(index.status().aborted, 1, "aborted tickets")
    (ticket,) = index.coordinator.outbox.aborted({index.declaration.collection})
    same(
        (ticket.key, "ZeroDivision" in ticket.error),
        ("1", True),
        "its key, and whether it says why",
    )
    expect(ticket.attempts > 1, f"expected more than one try, found {ticket.attempts}.")
    same(sorted(bench.texts(index)), ["2"], "keys in the index")


@scenario()
def an_aborted_change_can_be_retried_or_dropped(bench: Bench) -> None:
    """Once the cause is mended, `retry` has it done; `drop` forgets it."""
    fixed: list[bool] = []
    index = bench.index(
        source_fields=[lambda row: "fine" if fixed else str(1 // 0)], watch_fields=[]
    )
    bench.articles(1, 2)
    given_up(bench, index)
    same(index.status().aborted, 2, "aborted tickets")
    outbox = index.coordinator.outbox
    name = index.declaration.collection
    first, second = outbox.aborted({name})
    same(outbox.drop([second.number], {name}), 1, "tickets that were dropped")
    fixed.append(True)
    same(outbox.retry(collections={name}), 1, "tickets that are tried again")
    same(bench.settled(index), {first.key: "fine"}, "the index")
    status = index.status()
    same(
        (status.aborted, status.waiting, bench.tickets()),
        (0, 0, 0),
        "aborted, waiting and all tickets",
    )


@scenario()
def a_row_that_was_given_up_gets_another_chance_when_it_changes(bench: Bench) -> None:
    """A later change of the row is a ticket of its own."""
    index = dividing(bench)
    bench.articles(1, stars=0)
    given_up(bench, index)
    bench.update("article", 1, stars=2)
    same(bench.settled(index), {"1": "6 of twelve"}, "the index")


@scenario()
def rows_that_cannot_be_read_are_read_later(bench: Bench) -> None:
    """A database that fails to give the rows costs a try; nothing is lost and nothing removed."""
    index = bench.index()
    bench.articles(1)
    bench.settle(index)
    bench.update("article", 1, content="changed")
    with bench.broken(index, "load", "the connection is gone"):
        report = index.sync()
        same(len(report.failed), 1, "failures")
    same(bench.texts(index), {"1": "t1|text 1"}, "the index meanwhile")
    bench.time_passes()
    same(bench.settled(index), {"1": "t1|changed"}, "the index later")


@scenario()
def a_store_that_fails_loses_nothing(bench: Bench) -> None:
    """A sync that the store stops raises, and the changes are there for the next one, at once."""
    index = bench.index()
    bench.articles(1, 2)
    with (
        bench.broken(index.core.store, "replace", "the disk is full"),
        raises(StoreError, "a sync"),
    ):
        index.sync()
    same(index.status().waiting, 2, "changes that wait")
    same(sorted(bench.settled(index)), ["1", "2"], "keys in the index")


@scenario()
def an_embedder_that_fails_half_way_costs_nothing_twice(bench: Bench) -> None:
    """What a provider gave before it failed is kept; the rest waits as pending vectors,
    not as failed changes.
    """
    index = bench.index(source_fields=["content"])
    bench.embedder.fail_after = 1
    with bench.transaction():
        bench.articles(*range(1, 41))
    index.sync()
    same(
        (len(bench.texts(index)), index.status().waiting, index.status().aborted),
        (40, 0, 0),
        "documents and tickets",
    )
    expect(index.core.store.stats().pending > 0, "expected some passages to be pending.")
    bench.embedder.fail_after = None
    index.core.embed_pending()
    same(index.core.store.stats().pending, 0, "pending passages once the provider is back")
    same(
        sorted(bench.embedder.texts),
        sorted(f"text {id}" for id in range(1, 41)),
        "passages that were embedded, once each",
    )


@scenario()
def an_invalid_pending_change_stops_no_other(bench: Bench) -> None:
    """A key that is none, whoever wrote it, fails alone."""
    index = bench.index()
    name = index.declaration.collection
    index.coordinator.outbox.add(name, ["not a number"])
    bench.articles(1)
    index.sync()
    same(bench.texts(index), {"1": "t1|text 1"}, "the index")
    same(index.status().waiting, 1, "changes that wait")


@scenario()
def a_row_that_fails_keeps_its_old_document(bench: Bench) -> None:
    """A row whose text cannot be made any more keeps its old document until it can;
    a deleted one is gone.
    """
    index = dividing(bench)
    bench.articles(1, 2, stars=1)
    bench.settle(index)
    bench.update("article", 1, stars=0)
    bench.update("article", 2, stars=0)
    bench.delete("article", 2)
    index.sync()
    same(bench.texts(index), {"1": "12 of twelve"}, "the index while the row fails")
    bench.update("article", 1, stars=12)
    same(bench.settled(index), {"1": "1 of twelve"}, "the index when it can be made again")
