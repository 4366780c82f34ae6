"""Checks of failures: rows that cannot be indexed, and stores and databases that fail. Changes stay
pending, are reported and tried again, and do not stop others.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from typing import Any

from semantic_core.errors import StoreError
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same, same_fields

TRIES = 30
"""More than a pending change is tried before it is aborted."""


def twelfth(row: Any) -> str:
    """A text that cannot be made for a row without a star."""
    return f"{12 // row.stars} of twelve"


def dividing(bench: Bench) -> BaseORMAdapter:
    """An index in which a row without a star raises ZeroDivisionError."""
    return bench.index(source_fields=[twelfth], watch_fields=["stars"])


def says_why(error: str, what: str) -> None:
    """Fail unless this text has the reason why a row of `dividing` failed."""
    expect("ZeroDivision" in error, f"{what}: expected ZeroDivisionError, found {error!r}.")


def given_up(bench: Bench, index: BaseORMAdapter) -> None:
    """Process pending changes until none is tried any more."""
    for _ in range(TRIES):
        index.sync()
        bench.time_passes()
    same(index.status().waiting, 0, f"pending changes after {TRIES} tries")


@scenario()
def a_row_that_fails_stops_no_other(bench: Bench) -> None:
    """A row that fails stays pending with its reason. Other rows, in the same batch and later, are
    indexed.
    """
    index = dividing(bench)
    bench.articles(1, stars=4)
    bench.articles(2, stars=0)
    bench.articles(3, stars=6)
    report = index.sync()
    same(len(report.failed), 1, "failures in the report")
    says_why(report.failed[0].reason, "reason in the report")
    same(bench.texts(index), {"1": "3 of twelve", "3": "2 of twelve"}, "the index")
    status = index.status()
    same(status.waiting, 1, "pending changes")
    says_why(status.last_error, "last_error of the status")
    bench.articles(4, stars=12)
    index.sync()
    same(sorted(bench.texts(index)), ["1", "3", "4"], "keys in the index after another change")


@scenario()
def a_row_that_failed_is_tried_again(bench: Bench) -> None:
    """A row that failed is tried again after a pause, or at once if it changes."""
    index = dividing(bench)
    bench.articles(1, stars=0)
    index.sync()
    bench.sql("UPDATE kit_article SET stars = 3")
    same(bench.settled(index), {"1": "4 of twelve"}, "the index after the row changed")
    bench.time_passes()
    same(bench.settled(index), {"1": "4 of twelve"}, "the index after the pause")
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def a_row_that_keeps_failing_is_given_up_and_listed(bench: Bench) -> None:
    """After many tries a pending change is aborted: it is counted, listed with its reason and not
    tried again. It does not stop others.
    """
    index = dividing(bench)
    bench.articles(1, stars=0)
    bench.articles(2, stars=1)
    given_up(bench, index)
    same(index.status().aborted, 1, "aborted changes")
    (change,) = index.coordinator.outbox.aborted({index.declaration.collection})
    same(change.key, "1", "key of the aborted change")
    says_why(change.error, "error of the aborted change")
    tries = change.attempts
    expect(tries > 1, f"attempts of the aborted change: expected more than 1, found {tries}.")
    same(sorted(bench.texts(index)), ["2"], "keys in the index")


@scenario()
def an_aborted_change_can_be_retried_or_dropped(bench: Bench) -> None:
    """`retry` processes an aborted change again when its cause is gone. `drop` removes it."""
    fixed: list[bool] = []

    def text(row: Any) -> str:
        return "fine" if fixed else twelfth(row)

    index = bench.index(source_fields=[text], watch_fields=[])
    bench.articles(1, 2, stars=0)
    given_up(bench, index)
    same(index.status().aborted, 2, "aborted changes")
    outbox = index.coordinator.outbox
    name = index.declaration.collection
    first, second = outbox.aborted({name})
    same(outbox.drop([second.number], {name}), 1, "changes that were dropped")
    fixed.append(True)
    same(outbox.retry(collections={name}), 1, "changes that are tried again")
    same(bench.settled(index), {first.key: "fine"}, "the index")
    same_fields(index.status(), "status", aborted=0, waiting=0)
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def a_row_that_was_given_up_gets_another_chance_when_it_changes(bench: Bench) -> None:
    """A later change of the row is a pending change of its own, and is processed."""
    index = dividing(bench)
    bench.articles(1, stars=0)
    given_up(bench, index)
    bench.update("article", 1, stars=2)
    same(bench.settled(index), {"1": "6 of twelve"}, "the index")


@scenario()
def rows_that_cannot_be_read_are_read_later(bench: Bench) -> None:
    """A database that fails to read the rows costs one try. No change is lost, and no document is
    removed.
    """
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
    """A sync raises the error of the store. The changes stay pending, and the next sync processes
    them at once.
    """
    index = bench.index()
    bench.articles(1, 2)
    with (
        bench.broken(index.core.store, "replace", "the disk is full"),
        raises(StoreError, "a sync"),
    ):
        index.sync()
    same(index.status().waiting, 2, "pending changes")
    same(sorted(bench.settled(index)), ["1", "2"], "keys in the index")


@scenario()
def an_embedder_that_fails_half_way_costs_nothing_twice(bench: Bench) -> None:
    """Vectors that a provider gave before it failed are stored. The other passages are pending, and
    their changes do not count as failed.
    """
    index = bench.index(source_fields=["content"])
    bench.embedder.fail_after = 1
    with bench.transaction():
        bench.articles(*range(1, 41))
    index.sync()
    wanted = {str(id): f"text {id}" for id in range(1, 41)}
    same(bench.texts(index), wanted, "the index while the provider fails")
    same_fields(index.status(), "status", waiting=0, aborted=0)
    pending = index.core.store.stats().pending
    expect(pending > 0, "pending passages after the failure: expected some, found none.")
    bench.embedder.fail_after = None
    index.core.embed_pending()
    same(index.core.store.stats().pending, 0, "pending passages when the provider works again")
    embedded = sorted(bench.embedder.texts)
    same(embedded, sorted(wanted.values()), "passages that were embedded, once each")


@scenario()
def an_invalid_pending_change_stops_no_other(bench: Bench) -> None:
    """A pending change with an invalid key, whoever wrote it, fails alone."""
    index = bench.index()
    name = index.declaration.collection
    index.coordinator.outbox.add(name, ["not a number"])
    bench.articles(1)
    index.sync()
    same(bench.texts(index), {"1": "t1|text 1"}, "the index")
    same(index.status().waiting, 1, "pending changes")


@scenario()
def a_row_that_fails_keeps_its_old_document(bench: Bench) -> None:
    """A row whose text cannot be made any more keeps its old document until it can. A deleted row
    is removed nevertheless.
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
