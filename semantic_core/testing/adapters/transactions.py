"""Checks of transactions, savepoints and lost connections: committed changes are indexed, and
changes that were rolled back are not.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, Undone, scenario
from semantic_core.testing.check import expect, same, skip


@scenario()
def a_saved_row_is_indexed_after_its_commit(bench: Bench) -> None:
    """With sync="inline" the index has a created, changed or deleted row as soon as the statement
    returns.
    """
    index = bench.index(sync="inline")
    bench.create("article", id=1, title="Loops", content="repeat a block")
    same(bench.texts(index), {"1": "Loops|repeat a block"}, "the index after a create")
    bench.update("article", 1, content="repeat it again")
    same(bench.texts(index), {"1": "Loops|repeat it again"}, "the index after an update")
    bench.delete("article", 1)
    same(bench.texts(index), {}, "the index after a delete")


@scenario()
def a_rollback_leaves_nothing_behind(bench: Bench) -> None:
    """Rows of a transaction that is rolled back are in no index and leave no pending change."""
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    with bench.rolled_back():
        bench.articles(3)
        bench.update("article", 1, content="never was")
        bench.delete("article", 2)
    same(bench.pending_changes(), 0, "pending changes after a rollback")
    same(bench.settled(index), {"1": "t1|text 1", "2": "t2|text 2"}, "the index after a rollback")


@scenario(Capability.SAVEPOINTS)
def a_savepoint_rolls_back_alone(bench: Bench) -> None:
    """An inner transaction that is rolled back takes its changes along. Changes of the outer
    transaction stay.
    """
    index = bench.index()
    with bench.transaction():
        bench.articles(1)
        try:
            with bench.transaction():
                bench.articles(2)
                bench.update("article", 1, content="never was")
                raise Undone
        except Undone:
            bench.articles(3)
    same(bench.settled(index), {"1": "t1|text 1", "3": "t3|text 3"}, "the index")


@scenario(Capability.SAVEPOINTS)
def an_outer_rollback_takes_inner_commits_along(bench: Bench) -> None:
    """An outer transaction that is rolled back takes along the changes of an inner one that was
    committed. The next transaction has none of them.
    """
    index = bench.index()
    with bench.rolled_back(), bench.transaction(), bench.transaction():
        bench.articles(1)
    with bench.transaction(), bench.transaction():
        bench.articles(2)
    same(bench.settled(index), {"2": "t2|text 2"}, "the index")


@scenario()
def nothing_is_indexed_before_the_commit(bench: Bench) -> None:
    """With sync="inline" the index changes after the commit only, because an open transaction may
    still be rolled back.
    """
    index = bench.index(sync="inline")
    if index.same_transaction:
        skip("The index is in the same database and rolls back with the rows.")
    with bench.transaction():
        bench.articles(1)
        bench.update("article", 1, content="changed")
        same(bench.texts(index), {}, "the index within the transaction")
    same(bench.texts(index), {"1": "t1|changed"}, "the index after the commit")
    with bench.rolled_back():
        bench.update("article", 1, content="never was")
    same(bench.texts(index), {"1": "t1|changed"}, "the index after a rollback")


@scenario(Capability.SAVEPOINTS)
def a_released_savepoint_is_no_commit(bench: Bench) -> None:
    """With sync="inline" the end of an inner transaction changes no index, because the outer one
    may still be rolled back.
    """
    index = bench.index(sync="inline")
    if index.same_transaction:
        skip("The index is in the same database and rolls back with the rows.")
    with bench.rolled_back():
        with bench.transaction():
            bench.articles(1)
        same(bench.texts(index), {}, "the index after an inner transaction")
    same(bench.texts(index), {}, "the index after the rollback")
    with bench.transaction():
        try:
            with bench.transaction():
                bench.articles(2)
                raise Undone
        except Undone:
            bench.articles(3)
        same(bench.texts(index), {}, "the index after an inner rollback")
    same(bench.texts(index), {"3": "t3|text 3"}, "the index after the commit")


@scenario(Capability.CRASH)
def a_lost_connection_is_a_rollback(bench: Bench) -> None:
    """A connection or a process that ends between save and commit leaves neither a row nor a
    pending change. Later writes are indexed.
    """
    index = bench.index()
    bench.articles(1)

    def work() -> None:
        bench.articles(2)
        bench.update("article", 1, content="never was")

    bench.harness.crash(work)
    same(bench.settled(index), {"1": "t1|text 1"}, "the index after the crash")
    bench.articles(2)
    same(bench.settled(index), {"1": "t1|text 1", "2": "t2|text 2"}, "the index after a new write")


@scenario()
def a_commit_does_not_fail_because_of_the_index(bench: Bench) -> None:
    """A store that fails stops no save and no transaction. The changes stay pending, and the status
    has the reason.
    """
    index = bench.index(sync="inline")
    if index.same_transaction:
        skip("The index is in the same database and fails with it.")
    with bench.broken(index.core.store, "replace", "the disk is full"):
        bench.articles(1)
        with bench.transaction():
            bench.articles(2)
        same(bench.texts(index), {}, "the index")
        status = index.status()
        same(status.waiting, 2, "pending changes")
        reason = status.last_error
        expect(
            "the disk is full" in reason,
            f"last_error: expected the reason of the store, found {reason!r}.",
        )
    bench.articles(3)
    texts = {"1": "t1|text 1", "2": "t2|text 2", "3": "t3|text 3"}
    same(bench.texts(index), texts, "the index when the store works again")
