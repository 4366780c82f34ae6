"""Several workers, slow ones and dead ones: no change is lost, and an older state never wins."""

from __future__ import annotations

import threading
import time

from semantic_core.orm import BaseORMAdapter, PendingChange, SqlOutbox
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, same

LONG_AGO = 3_600.0
"""Seconds since a worker that died took its tickets: any lease is over by then."""


def claimed(index: BaseORMAdapter, limit: int, *, seconds_ago: float = 0.0) -> list[PendingChange]:
    """Tickets taken by a worker that never came back to them."""
    outbox = SqlOutbox(
        index.execute,
        index.dialect,
        placeholder=index.placeholder,
        clock=lambda: time.time() - seconds_ago,
    )
    return outbox.claim(limit, collections={index.declaration.collection})


@scenario()
def an_older_state_never_wins(bench: Bench) -> None:
    """A slow worker that read a row before it changed is too late when it writes:
    another one has been faster.
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
    """A slow worker that read a row before it was deleted puts nothing back."""
    index = bench.index()

    def faster() -> None:
        bench.delete("article", 1)
        bench.settle(index)

    bench.articles(1)
    bench.embedder.meanwhile = faster
    bench.settle(index)
    same(bench.texts(index), {}, "the index")
    expect(index.verify().sound, "verify: expected a sound index.")


@scenario()
def a_row_that_came_back_is_not_removed(bench: Bench) -> None:
    """A slow worker that saw a row gone does not remove the one that another worker has
    put there since.
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
    """What changes after a worker read it has a ticket of its own,
    which stays when the worker is done.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.embedder.meanwhile = lambda: bench.update("article", 1, content="changed meanwhile")
    index.sync(2)
    same(index.status().waiting, 1, "changes that wait")
    same(bench.settled(index), {"1": "t1|changed meanwhile", "2": "t2|text 2"}, "the index")


@scenario()
def the_pending_changes_of_a_dead_worker_come_back(bench: Bench) -> None:
    """A worker that died in the middle of a batch holds its tickets until the lease ends;
    then another does them.
    """
    index = bench.index()
    bench.articles(1, 2, 3)
    dead = claimed(index, 2, seconds_ago=LONG_AGO)
    same(len(dead), 2, "tickets the dead worker had taken")
    bench.articles(4)
    same(sorted(bench.settled(index)), ["1", "2", "3", "4"], "keys in the index")
    same(bench.tickets(), 0, "tickets that are left")


@scenario()
def what_a_dead_worker_had_written_is_no_harm(bench: Bench) -> None:
    """A worker that died after it wrote and before it was done: the work is done again,
    and changes nothing.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    calls = bench.embedder.calls
    index.changed(*index.load([1, 2]))
    dead = claimed(index, 5, seconds_ago=LONG_AGO)
    same(len(dead), 2, "tickets the dead worker had taken")
    report = bench.settle(index)
    same(
        (report.unchanged, bench.embedder.calls),
        (2, calls),
        "unchanged documents, and calls of the embedder",
    )


@scenario()
def what_another_worker_holds_is_left_to_it(bench: Bench) -> None:
    """Tickets that were taken a moment ago are counted as taken and done by nobody else;
    others go on around them.
    """
    index = bench.index()
    bench.articles(1, 2, 3)
    held = claimed(index, 1)
    same(index.status().taken, 1, "tickets that are taken")
    same(len(bench.settled(index)), 2, "documents of the other two")
    index.coordinator.outbox.give_back([ticket.number for ticket in held])
    same(len(bench.settled(index)), 3, "documents once it was given back")


@scenario(Capability.THREADS)
def threads_that_write_at_once_are_all_heard(bench: Bench) -> None:
    """Rows that four threads write at the same time, in transactions and without,
    are all indexed.
    """
    index = bench.index(source_fields=["content"])

    def writer(first: int) -> None:
        for id in range(first, first + 8, 2):
            bench.articles(id)
            with bench.transaction():
                bench.articles(id + 1)
                bench.update("article", id, content=f"twice {id}")

    bench.in_threads(*(lambda first=first: writer(first) for first in (100, 200, 300, 400)))
    wanted: dict[str, str] = {}
    for first in (100, 200, 300, 400):
        for id in range(first, first + 8, 2):
            wanted |= {str(id): f"twice {id}", str(id + 1): f"text {id + 1}"}
    same(bench.settled(index), wanted, "the index")


@scenario(Capability.THREADS)
def two_workers_share_the_work(bench: Bench) -> None:
    """Two that work off at the same time do each change once between them, and leave none."""
    index = bench.index(source_fields=["content"])
    with bench.transaction():
        bench.articles(*range(1, 61))

    def worker() -> None:
        for _ in range(200):
            if not index.status().waiting:
                return
            index.sync(7)

    bench.in_threads(worker, worker)
    same(bench.settled(index), {str(id): f"text {id}" for id in range(1, 61)}, "the index")
    same(
        sorted(bench.embedder.texts),
        sorted(f"text {id}" for id in range(1, 61)),
        "passages that were embedded",
    )


@scenario(Capability.THREADS)
def writers_and_workers_do_not_stop_each_other(bench: Bench) -> None:
    """Rows that change while a worker works are in the end as they are in the table."""
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
    """A change whose ticket is older than those worked off meanwhile,
    because its transaction took longer, is done too.
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
