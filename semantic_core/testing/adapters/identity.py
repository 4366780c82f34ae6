"""Checks of the identity of index and database: an index or a database that is new, lost or
restored from a copy is detected, and the index is corrected.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from functools import partial

from semantic_core._memory.store import MemoryStore
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, none_failed, scenario
from semantic_core.testing.check import expect, same, skip

FIELDS = ["content"]


@scenario()
def an_index_that_is_lost_is_filled_again(bench: Bench) -> None:
    """A new index on a database that had another one: search results report the rows that are
    missing, and a worker indexes them.
    """
    index = bench.index(source_fields=FIELDS)
    bench.articles(1, 2, 3)
    bench.settle(index)
    new = bench.index(core=bench.core(), source_fields=FIELDS)
    if new.coordinator.agreement.consumer == index.coordinator.agreement.consumer:
        skip("The index is a part of the database, and is not lost without it.")
    answer = new.search("text", limit=10)
    same(answer.degraded, True, "degraded, of the first results")
    reason = answer.reason
    expect("3 of 3 rows" in reason, f"reason: expected `3 of 3 rows`, found {reason!r}.")
    same(new.status().backfill, 3, "rows of the backfill")
    same(bench.settled(new), {"1": "text 1", "2": "text 2", "3": "text 3"}, "the new index")
    same(new.search("text", limit=10).degraded, False, "degraded, after the backfill")


@scenario()
def two_indexes_get_every_change(bench: Bench) -> None:
    """Two hosts may have an index of one database. Every change reaches both indexes, whichever
    host or program made it.
    """
    one = bench.index(source_fields=FIELDS)
    bench.articles(1)
    bench.settle(one)
    two = bench.index(core=bench.core(), source_fields=FIELDS)
    bench.settle(two)
    bench.articles(2)
    bench.settle(one)
    bench.update("article", 1, content="changed")
    bench.settle(two)
    bench.delete("article", 2)
    bench.articles(3)
    wanted = {"1": "changed", "3": "text 3"}
    same(bench.settled(one), wanted, "the first index")
    same(bench.settled(two), wanted, "the second index")
    bench.is_sound(one, "verify of the first index")
    bench.is_sound(two, "verify of the second index")
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def an_index_put_back_from_a_copy_is_noticed(bench: Bench) -> None:
    """If the index is restored to an older state, the first search results are degraded, and a
    worker corrects the index.
    """
    index = bench.index(source_fields=FIELDS)
    store = index.core.store
    if not isinstance(store, MemoryStore):
        skip("This check can restore a store in memory only.")
    bench.articles(1, 2)
    bench.settle(index)
    older = store._state
    bench.update("article", 1, content="changed")
    bench.delete("article", 2)
    bench.settle(index)
    store._state = older
    expect(
        index.search("text", limit=10).degraded,
        "degraded, of the first results of a restored index: expected True, found False.",
    )
    same(bench.settled(index), {"1": "changed"}, "the index in the end")
    bench.is_sound(index)


@scenario(Capability.SQL)
def a_database_put_back_is_noticed(bench: Bench) -> None:
    """If the database is restored to an older state, the first search results give the reason. New
    edits are indexed at once, and a worker corrects the rest.
    """
    index = bench.index(source_fields=FIELDS)
    bench.articles(1, 2, 3)
    bench.settle(index)
    before = bench.sql("SELECT consumer, acknowledged, mark FROM semantic_consumers")
    bench.update("article", 1, content="lost edit")
    bench.update("article", 2, content="lost edit, too")
    bench.settle(index)
    index._capture.remove()
    bench.sql("UPDATE kit_article SET content = 'text 1' WHERE id = 1")
    bench.sql("UPDATE kit_article SET content = 'text 2' WHERE id = 2")
    index._capture.install()
    bench.sql("DELETE FROM semantic_outbox")
    for consumer, acknowledged, mark in before:
        bench.sql(
            f"UPDATE semantic_consumers SET acknowledged = {int(acknowledged)}, mark = {int(mark)} "  # noqa: S608 - our own
            f"WHERE consumer = '{consumer}'"
        )
    answer = index.search("lost", limit=10)
    expect(
        answer.degraded and "restored" in answer.reason,
        f"reason of degraded results: expected `restored`, found {answer.reason!r}.",
    )
    same(index.verify().sound, False, "verify before a worker ran: sound")
    bench.update("article", 1, content="a new edit")
    texts = {"1": "a new edit", "2": "text 2", "3": "text 3"}
    same(bench.settled(index), texts, "the index in the end")
    bench.is_sound(index)


@scenario()
def what_the_stamps_say_stops_no_repair(bench: Bench) -> None:
    """`repair`, `reindex` from the start and a new change write what the rows contain, even if
    documents have larger stamps than any change.
    """
    index = bench.index(source_fields=FIELDS)
    bench.articles(1, 2)
    bench.settle(index)
    store = index.core.store

    def remove_with_large_stamps() -> int:
        refs = bench.refs(index)
        epoch = index.coordinator.agreement.position.epoch
        store.remove(refs, dict.fromkeys(refs, (epoch << 40) + 2**39))
        return epoch

    for correct in (index.repair, partial(index.reindex, resume=False)):
        remove_with_large_stamps()
        none_failed(correct(), "repair or reindex")
        same(bench.texts(index), {"1": "text 1", "2": "text 2"}, "the index afterwards")
        bench.is_sound(index)
    epoch = remove_with_large_stamps()
    for id in (1, 2):
        bench.update("article", id, content=f"changed {id}")
    none_failed(index.sync(), "sync")
    same(bench.texts(index), {"1": "changed 1", "2": "changed 2"}, "the index after a change")
    same(index.coordinator.agreement.position.epoch, epoch + 1, "the epoch after a change")
