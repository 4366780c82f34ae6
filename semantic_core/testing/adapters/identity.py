"""Index and database know each other: one that is lost, new, a copy, or put back is noticed,
and made right.
"""

from __future__ import annotations

from semantic_core._memory.store import MemoryStore
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, same, skip

FIELDS = ["content"]


@scenario()
def an_index_that_is_lost_is_filled_again(bench: Bench) -> None:
    """A new index on a database that had one: answers say that rows wait,
    and a worker brings them in.
    """
    index = bench.index(source_fields=FIELDS)
    bench.articles(1, 2, 3)
    bench.settle(index)
    new = bench.index(core=bench.core(), source_fields=FIELDS)
    if new.coordinator.agreement.consumer == index.coordinator.agreement.consumer:
        skip("The index is a part of the database, and is not lost without it.")
    answer = new.search("text", limit=10)
    same(
        (answer.degraded, "3 of 3 rows" in answer.reason),
        (True, True),
        "whether the first answer says what waits",
    )
    same(new.status().backfill, 3, "rows that wait")
    same(bench.settled(new), {"1": "text 1", "2": "text 2", "3": "text 3"}, "the new index")
    same(new.search("text", limit=10).degraded, False, "whether an answer is degraded afterwards")


@scenario()
def two_indexes_get_every_change(bench: Bench) -> None:
    """Two hosts on one database: whatever either of them, or another program,
    writes reaches the index of both.
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
    same((bench.settled(one), bench.settled(two)), (wanted, wanted), "what the two indexes hold")
    same((one.verify().sound, two.verify().sound), (True, True), "whether they are sound")
    same(bench.tickets(), 0, "tickets that are left")


@scenario()
def an_index_put_back_from_a_copy_is_noticed(bench: Bench) -> None:
    """An older state of the index in its place: the first answer says so,
    and a worker makes it right.
    """
    index = bench.index(source_fields=FIELDS)
    store = index.core.store
    if not isinstance(store, MemoryStore):
        skip("Only a store in memory can be put back here.")
    bench.articles(1, 2)
    bench.settle(index)
    older = store._state
    bench.update("article", 1, content="changed")
    bench.delete("article", 2)
    bench.settle(index)
    store._state = older
    expect(
        index.search("text", limit=10).degraded,
        "expected the first answer of an older index to be degraded.",
    )
    same(bench.settled(index), {"1": "changed"}, "the index in the end")
    same(index.verify().sound, True, "whether it is sound")


@scenario(Capability.SQL)
def a_database_put_back_is_noticed(bench: Bench) -> None:
    """An older state of the database under a newer index: the first answer says so, new edits win
    at once, and a worker makes the rest right."""
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
        f"expected an answer that says why, found {answer.reason!r}.",
    )
    same(index.verify().sound, False, "whether it is sound before a worker was there")
    bench.update("article", 1, content="a new edit")
    same(
        bench.settled(index),
        {"1": "a new edit", "2": "text 2", "3": "text 3"},
        "the index in the end",
    )
    same(index.verify().sound, True, "whether it is sound in the end")


@scenario()
def what_the_stamps_say_stops_no_repair(bench: Bench) -> None:
    """Documents with stamps from nowhere, larger than any:
    repair and a reindex from the start write what the rows say.
    """
    index = bench.index(source_fields=FIELDS)
    bench.articles(1, 2)
    bench.settle(index)
    store = index.core.store
    for mend in (index.repair, lambda: index.reindex(resume=False)):
        refs = [document.ref for document in bench.held(index).values()]
        epoch = index.coordinator.agreement.position.epoch
        store.remove(refs, dict.fromkeys(refs, (epoch << 40) + 2**39))
        report = mend()
        same([failure.reason for failure in report.failed], [], "failures of mending")
        same(bench.texts(index), {"1": "text 1", "2": "text 2"}, "the index after mending")
        same(index.verify().sound, True, "whether it is sound")
