"""Checks with several workers, some slow and some that have ended: no change is lost, and an older
state never replaces a newer one.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

import threading
import time
from functools import partial

from semantic_core.orm import BaseORMAdapter, PendingChange, SqlOutbox
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import same

LONG_AGO = 3_600.0
"""Seconds. A lease that began so long ago is over."""


def claimed(index: BaseORMAdapter, limit: int, *, seconds_ago: float = 0.0) -> list[PendingChange]:
    """Pending changes claimed by a worker that does not process them."""

    def clock() -> float:
        return time.time() - seconds_ago

    outbox = SqlOutbox(index.sql, clock=clock)
    return outbox.claim(limit, collections={index.declaration.collection})


@scenario()
def an_older_state_never_wins(bench: Bench) -> None:
    """A slow worker that read a row before it changed does not replace the newer state that another
    worker wrote meanwhile.
    """
    index = bench.index()

    def faster() -> None:
        bench.update("article", 1, content="the newer state")
        bench.settle(index)

    bench.articles(1)
    bench.embedder.meanwhile = faster
    bench.settle(index)
    same(bench.texts(index), {"1": "t1|the newer state"}, "the index")
    same(bench.settled(index), {"1": "t1|the newer state"}, "the index after another sync")


@scenario()
def a_removed_row_is_not_put_back(bench: Bench) -> None:
    """A slow worker that read a row before it was deleted does not add it again."""
    index = bench.index()

    def faster() -> None:
        bench.delete("article", 1)
        bench.settle(index)

    bench.articles(1)
    bench.embedder.meanwhile = faster
    bench.settle(index)
    same(bench.texts(index), {}, "the index")
    bench.is_sound(index)


@scenario()
def a_row_that_came_back_is_not_removed(bench: Bench) -> None:
    """A slow worker that found a row deleted does not remove the row that another worker indexed
    meanwhile.
    """
    index = bench.index()
    bench.articles(1)
    bench.settle(index)

    def faster() -> None:
        bench.articles(1, content="came back")
        bench.settle(index)

    bench.delete("article", 1)
    bench.articles(2)
    bench.embedder.meanwhile = faster
    bench.settle(index)
    same(bench.texts(index), {"1": "t1|came back", "2": "t2|text 2"}, "the index")


@scenario()
def a_change_made_during_the_work_is_not_lost(bench: Bench) -> None:
    """A row that changes after a worker read it has another pending change, which stays when the
    worker is done.
    """
    index = bench.index()
    bench.articles(1, 2)
    changed = partial(bench.update, "article", 1, content="changed meanwhile")
    bench.embedder.meanwhile = changed
    index.sync(2)
    same(index.status().waiting, 1, "pending changes")
    same(bench.settled(index), {"1": "t1|changed meanwhile", "2": "t2|text 2"}, "the index")


@scenario()
def the_pending_changes_of_a_dead_worker_come_back(bench: Bench) -> None:
    """A worker that ended in the middle of a batch holds its pending changes until the lease is
    over. Then another worker processes them.
    """
    index = bench.index()
    bench.articles(1, 2, 3)
    dead = claimed(index, 2, seconds_ago=LONG_AGO)
    same(len(dead), 2, "pending changes that the dead worker had claimed")
    bench.articles(4)
    same(sorted(bench.settled(index)), ["1", "2", "3", "4"], "keys in the index")
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def what_a_dead_worker_had_written_is_no_harm(bench: Bench) -> None:
    """If a worker ends after it wrote and before it was done, its changes are processed again. That
    changes nothing.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    calls = bench.embedder.calls
    index.changed(*index.load([1, 2]))
    dead = claimed(index, 5, seconds_ago=LONG_AGO)
    same(len(dead), 2, "pending changes that the dead worker had claimed")
    report = bench.settle(index)
    same(report.unchanged, 2, "unchanged documents")
    same(bench.embedder.calls, calls, "calls of the embedder")


@scenario()
def what_another_worker_holds_is_left_to_it(bench: Bench) -> None:
    """Pending changes that a worker has just claimed are counted as taken. Other workers process
    only the others.
    """
    index = bench.index()
    bench.articles(1, 2, 3)
    held = claimed(index, 1)
    same(index.status().taken, 1, "pending changes that are taken")
    same(len(bench.settled(index)), 2, "documents of the other changes")
    index.coordinator.outbox.give_back([change.number for change in held])
    same(len(bench.settled(index)), 3, "documents after the change was given back")


@scenario(Capability.THREADS)
def threads_that_write_at_once_are_all_heard(bench: Bench) -> None:
    """All rows that four threads write at the same time are indexed, in transactions or not."""
    beginnings = (100, 200, 300, 400)
    index = bench.index(source_fields=["content"])

    def writer(first: int) -> None:
        for id in range(first, first + 8, 2):
            bench.articles(id)
            with bench.transaction():
                bench.articles(id + 1)
                bench.update("article", id, content=f"twice {id}")

    bench.in_threads(*(partial(writer, first) for first in beginnings))
    wanted: dict[str, str] = {}
    for first in beginnings:
        for id in range(first, first + 8, 2):
            wanted[str(id)] = f"twice {id}"
            wanted[str(id + 1)] = f"text {id + 1}"
    same(bench.settled(index), wanted, "the index")


@scenario(Capability.THREADS)
def two_workers_share_the_work(bench: Bench) -> None:
    """Two workers that run at the same time process every change, and each change once."""
    index = bench.index(source_fields=["content"])
    with bench.transaction():
        bench.articles(*range(1, 61))

    def worker() -> None:
        for _ in range(200):
            if not index.status().waiting:
                return
            index.sync(7)

    bench.in_threads(worker, worker)
    wanted = {str(id): f"text {id}" for id in range(1, 61)}
    same(bench.settled(index), wanted, "the index")
    embedded = sorted(bench.embedder.texts)
    same(embedded, sorted(wanted.values()), "passages that were embedded, once each")


@scenario(Capability.THREADS)
def writers_and_workers_do_not_stop_each_other(bench: Bench) -> None:
    """Rows that change while a worker runs are in the index as they are in the table in the end."""
    index = bench.index(source_fields=["content"])
    bench.articles(*range(1, 6))
    finished = threading.Event()

    def writer() -> None:
        try:
            for number in range(30):
                id = number % 5 + 1
                if number % 7 == 6:
                    bench.delete("article", id)
                    bench.articles(id, content=f"new {number}")
                else:
                    bench.update("article", id, content=f"version {number}")
        finally:
            finished.set()

    def worker() -> None:
        while not finished.is_set():
            index.sync(3)

    bench.in_threads(writer, worker)
    bench.settle(index)
    rows = {str(id): content for id, content in bench.sql("SELECT id, content FROM kit_article")}
    same(bench.texts(index), rows, "the index, and the rows")


@scenario(Capability.CONCURRENT)
def a_transaction_that_commits_late_is_not_missed(bench: Bench) -> None:
    """A long transaction may commit a change that is older than changes that were processed
    meanwhile. It is processed too.
    """
    index = bench.index()
    bench.articles(2)
    bench.settle(index)
    written = threading.Event()
    go_on = threading.Event()

    def slow() -> None:
        with bench.transaction():
            bench.articles(1)
            bench.update("article", 2, content="from the slow one")
            written.set()
            go_on.wait(30)

    def fast() -> None:
        try:
            written.wait(30)
            bench.articles(3)
            bench.settle(index)
            same(sorted(bench.texts(index)), ["2", "3"], "keys before the slow transaction ends")
        finally:
            go_on.set()

    bench.in_threads(slow, fast)
    wanted = {"1": "t1|text 1", "2": "t2|from the slow one", "3": "t3|text 3"}
    same(bench.settled(index), wanted, "the index in the end")
