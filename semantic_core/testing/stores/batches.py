"""The ledger of batch jobs: who holds a passage, what becomes of it, and what it cost.

See `BatchQueue`.
"""

from __future__ import annotations

import threading
from contextlib import closing
from decimal import Decimal
from itertools import count
from typing import Any

import attrs
import numpy as np

from semantic_core._jobs import LONGEST_HOLD, PICO, BatchJob, Rate
from semantic_core.errors import TenantRequired, VectorInvalid
from semantic_core.protocols import BatchQueue
from semantic_core.testing.check import Check, expect, raises, same, skip
from semantic_core.testing.job_embedder import SHAPES
from semantic_core.testing.stores.samples import (
    SPACE,
    OpenStore,
    fingerprint_of,
    item,
    put,
    vector_of,
)
from semantic_core.testing.stores.schedules import Plan, embedder, play_all
from semantic_core.testing.stores.writes import BAD_VECTORS
from semantic_core.types import ChunkId, Ref

RATE = Rate("2026-01-31", "kit", "batch", 0.5, 3 * PICO // 1_000, "USD")
"""Half a token a character, three thousandths of a dollar a token."""


def ledger_of(store: Any) -> BatchQueue:
    """The store as a keeper of jobs; skips one that keeps none."""
    return (
        store
        if isinstance(store, BatchQueue)
        else skip("This store keeps no batch jobs (it is no BatchQueue).")
    )


def job_of(id: str, now: float = 100.0) -> BatchJob:
    """A new job."""
    return BatchJob(id, f"job {id}", created_at=now, updated_at=now)


def names_of(*passages: str) -> list[str]:
    """Their fingerprints."""
    return [fingerprint_of(passage) for passage in passages]


def vectors_of(*passages: str) -> dict[str, Any]:
    """Their vectors by fingerprint."""
    return {fingerprint_of(passage): vector_of(passage) for passage in passages}


def sent(queue: BatchQueue, id: str, *, limit: int = 10, now: float = 100.0) -> BatchJob:
    """A job that holds what waits, and is at its provider."""
    job = queue.open_job(job_of(id, now), limit)
    assert job is not None
    expect(
        queue.note_job(id, now, status="SUBMITTED", provider_job=f"provider/{id}"),
        "note_job of a new job gave False.",
    )
    return job


def held_by(queue: BatchQueue, id: str) -> list[str]:
    """The passages a job holds, in its order."""
    return [passage for _, _, passage in queue.passages_of(id, -1, 1_000)]


@Check
def a_job_holds_what_has_waited_longest(open_store: OpenStore) -> None:
    """A job opened with a limit holds the oldest passages, equal ones once, counts them,
    and grows until none waits.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        same(queue.open_job(job_of("none"), 5), None, "a job of nothing")
        same(queue.job("none"), None, "a job of nothing, in the ledger")
        put(
            store,
            item("b", "one", "two", "one", vectors=False),
            item("a", "two", "three", "four", vectors=False),
        )
        put(store, item("c", "ready"))
        same(queue.waiting(10, 0.0), 4, "passages a job could hold")
        same(queue.waiting(3, 0.0), 3, "passages a job could hold, counted up to 3")
        job = queue.open_job(job_of("j"), 2)
        same(job, attrs.evolve(job_of("j"), sent=2, characters=6), "the job")
        same(held_by(queue, "j"), ["one", "two"], "passages held")
        same(list(queue.pending(10).values()), ["three", "four"], "passages still wanted")
        same(queue.waiting(10, 0.0), 2, "passages another job could hold")
        same(queue.waiting_size(), (2, 9), "passages that wait, and their characters")
        grown = queue.extend_job("j", 1)
        same(
            (grown and grown.sent, held_by(queue, "j")),
            (3, ["one", "two", "three"]),
            "the job, grown",
        )
        same([job.sent for job in [queue.extend_job("j", 10)] if job], [4], "the job, grown again")
        same(queue.extend_job("j", 10), None, "growing when nothing waits")
        same(queue.jobs(), [queue.job("j")], "the ledger")


@Check
def what_a_job_holds_is_nobody_elses(open_store: OpenStore) -> None:
    """A held passage is no other job's, also where it comes again with a new document,
    or goes and comes back.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        sent(queue, "first")
        put(store, item("2", "two", "three", vectors=False))
        store.remove([Ref("notes", "1")])
        put(store, item("1", "one", vectors=False))
        same(list(queue.pending(10).values()), ["three"], "passages still wanted")
        sent(queue, "second")
        same(held_by(queue, "second"), ["three"], "passages of the second job")
        same(queue.open_job(job_of("third"), 10), None, "a third job")
        same(sorted(held_by(queue, "first")), ["one", "two"], "passages of the first job")


@Check
def a_job_may_leave_collections_out(open_store: OpenStore) -> None:
    """`except_collections` leaves the passages of these collections to others."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(
            store,
            item(Ref("slow", "1"), "one", vectors=False),
            item(Ref("fast", "1"), "two", vectors=False),
        )
        same(queue.waiting(9, 0.0, except_collections=["fast"]), 1, "passages a job could hold")
        same(
            [
                job.sent
                for job in [queue.open_job(job_of("j"), 9, except_collections=["fast"])]
                if job
            ],
            [1],
            "sent",
        )
        same(
            queue.extend_job("j", 9, except_collections=["fast"]),
            None,
            "growing when only the others wait",
        )
        same(held_by(queue, "j"), ["one"], "passages held")
        same(
            list(queue.take(9, 0.0, 9.0, collections=["slow"]).passages.values()),
            [],
            "taken of a collection",
        )
        same(
            list(queue.take(9, 0.0, 9.0, collections=["fast"]).passages.values()),
            ["two"],
            "taken of another",
        )


@Check
def passages_come_page_by_page(open_store: OpenStore) -> None:
    """Pages follow each other without gap or overlap; what no text wants any more is left out,
    and does not end them.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        for key in range(7):
            put(store, item(str(key), f"passage {key}", vectors=False))
        sent(queue, "j")
        store.remove([Ref("notes", "2"), Ref("notes", "3")])
        put(store, item("x", "passage 6"))
        found = []
        last = -1
        while page := queue.passages_of("j", last, 2):
            expect(len(page) <= 2, f"passages_of(limit=2) gave {len(page)}.")
            same(
                [fingerprint_of(passage) for _, _, passage in page],
                [name for _, name, _ in page],
                "names of a page",
            )
            found += [passage for _, _, passage in page]
            last = page[-1][0]
        same(found, ["passage 0", "passage 1", "passage 4", "passage 5"], "all pages")
        same(list(queue.passages_of("nobody", -1, 5)), [], "pages of a job that is not there")


@Check
def a_result_is_settled_once(open_store: OpenStore) -> None:
    """Results reach every chunk of a passage the job holds, once;
    what it does not hold is left alone.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        items = [item("1", "one", "two", vectors=False), item("2", "two", "three", vectors=False)]
        put(store, *items)
        sent(queue, "j", limit=2)
        results = vectors_of("one", "two", "three", "never seen")
        same(queue.settle("j", results, {}, None, 1.0), 2, "settled")
        same(queue.settle("j", results, {}, None, 2.0), 0, "settled again")
        same(
            queue.settle("nobody", vectors_of("three"), {}, None, 2.0),
            0,
            "settled for a job that is not there",
        )
        same(
            [chunk.pending for each in items for chunk in store.fetch(each.ids)],
            [False, False, False, True],
            "pending",
        )
        same(
            float(store.similarity([items[1].ids[0]], vector_of("two"))[0]) > 0.999,
            True,
            "the vector of its passage",
        )
        job = queue.job("j")
        same(
            (job and job.succeeded, job and job.failed, held_by(queue, "j")), (2, 0, []), "the job"
        )


@Check
def a_failure_is_kept_with_its_reason(open_store: OpenStore) -> None:
    """A passage without a result is FAILED, says why, is not tried again by itself,
    and waits again after `retry`.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "good", "bad", vectors=False))
        sent(queue, "j")
        same(
            queue.settle("j", vectors_of("good"), {fingerprint_of("bad"): "too long"}, None, 1.0),
            2,
            "settled",
        )
        ids = item("1", "good", "bad").ids
        same(list(queue.chunk_states(ids)), [("READY", ""), ("FAILED", "too long")], "states")
        same(
            [(one.what, one.reason) for one in queue.given_up()],
            [(str(ids[1]), "too long")],
            "given up",
        )
        same((dict(queue.pending(9)), queue.waiting(9, 1.0)), ({}, 0), "what waits")
        same(queue.open_job(job_of("next"), 9), None, "a job of what failed")
        same((queue.retry("another"), queue.retry("j"), queue.retry("j")), (0, 1, 0), "retry")
        same(list(queue.pending(9).values()), ["bad"], "what waits after retry")


@Check
def whoever_holds_a_refused_passage_can_give_it_up(open_store: OpenStore) -> None:
    """`settle` takes the token of `hold` and `take`: a passage refused outside a job is FAILED with
    its reason, one somebody else holds is left alone."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "good", "bad", "theirs", vectors=False))
        good, bad, theirs = map(fingerprint_of, ("good", "bad", "theirs"))
        queue.hold([theirs], 0.0, 9.0)
        token = queue.take(9, 0.0, 9.0).token
        why = {bad: "too long", theirs: "not mine"}
        same(queue.settle(token, vectors_of("good"), why, None, 1.0), 2, "settled")
        states = [("READY", ""), ("FAILED", "too long"), ("SUBMITTED", "")]
        same(list(queue.chunk_states(item("1", "good", "bad", "theirs").ids)), states, "states")
        token, _ = queue.hold([], 2.0, 9.0, token)
        queue.release(token)
        same((bad in queue.pending(9), queue.retry()), (False, 1), "bad waits, and retry")
        same(queue.settle(token, vectors_of("bad"), {}, None, 3.0), 0, "settled after release")


@Check
def a_bad_result_settles_nothing(open_store: OpenStore) -> None:
    """A vector that means nothing raises VectorInvalid, and none of the others is settled."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        before = sent(queue, "j")
        for what, bad in BAD_VECTORS.items():
            with raises(VectorInvalid, f"settle with a vector {what}"):
                queue.settle("j", {**vectors_of("one"), fingerprint_of("two"): bad}, {}, RATE, 1.0)
            now = queue.job("j")
            same(
                (now and now.succeeded, store.stats().pending, len(queue.costs())),
                (0, 2, 0),
                f"after one {what}",
            )
        same(held_by(queue, "j"), ["one", "two"], f"what {before.id} holds")


@Check
def a_late_result_finds_no_taker(open_store: OpenStore) -> None:
    """Text edited or removed while its job runs: the new text waits,
    and the result changes nothing.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "old text", vectors=False), item("2", "removed", vectors=False))
        sent(queue, "j")
        edited = item("1", "new text", vectors=False)
        put(store, edited)
        store.remove([Ref("notes", "2")])
        same(list(queue.chunk_states(edited.ids)), [("PENDING", "")], "state of the new text")
        same(queue.settle("j", vectors_of("old text", "removed"), {}, None, 1.0), 2, "settled")
        same(
            list(queue.chunk_states(edited.ids)),
            [("PENDING", "")],
            "state of the new text after the result",
        )
        same(
            (store.stats().documents, store.stats().pending), (1, 1), "documents and pending chunks"
        )
        same(dict(store.known(names_of("old text", "removed"))), {}, "known")


@Check
def a_job_ends_once(open_store: OpenStore) -> None:
    """`close_job` lets go of what is left, once; a job that has ended is not changed any more."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        same(
            queue.close_job("nobody", "FAILED", 1.0, error="", rest="free", attempts=3),
            False,
            "closing no job",
        )
        sent(queue, "j")
        same(
            queue.close_job("j", "COMPLETED", 5.0, error="", rest="free", attempts=3),
            True,
            "closing",
        )
        same(
            queue.close_job("j", "FAILED", 6.0, error="late", rest="fail", attempts=3),
            False,
            "closing again",
        )
        same(queue.note_job("j", 7.0, error="late"), False, "noting")
        same(queue.settle("j", vectors_of("one"), {}, None, 8.0), 0, "settled")
        job = queue.job("j")
        same(
            (job and job.status, job and job.error, job and job.ended_at),
            ("COMPLETED", "", 5.0),
            "the job",
        )
        same(list(queue.pending(9).values()), ["one", "two"], "what waits again")
        same([one.id for one in queue.jobs(cleaned=False)], ["j"], "jobs the provider still keeps")
        queue.clean_job("j", 9.0)
        same(list(queue.jobs(cleaned=False)), [], "jobs the provider still keeps, after cleaning")
        same([one.id for one in queue.jobs(["COMPLETED"])], ["j"], "jobs completed")
        same(list(queue.jobs(["FAILED", "CREATED"])), [], "other jobs")


@Check
def what_comes_back_without_a_result_is_tried_so_often(open_store: OpenStore) -> None:
    """rest="again": passages wait again, until they were in `attempts` jobs in vain;
    "fail" gives them up at once.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        waiting = item("1", "one", vectors=False)
        put(store, waiting)
        for attempt, wanted in enumerate(
            [("PENDING", ""), ("PENDING", ""), ("FAILED", "nothing came")]
        ):
            sent(queue, str(attempt))
            queue.close_job(
                str(attempt), "COMPLETED", 1.0, error="nothing came", rest="again", attempts=3
            )
            same(list(queue.chunk_states(waiting.ids)), [wanted], f"state after {attempt + 1} jobs")
        queue.retry()
        sent(queue, "last")
        queue.close_job("last", "FAILED", 1.0, error="it is gone", rest="fail", attempts=3)
        same(
            list(queue.chunk_states(waiting.ids)),
            [("FAILED", "it is gone")],
            "state after a job that was lost",
        )


@Check
def one_bad_passage_is_found_by_halving(open_store: OpenStore) -> None:
    """rest="halve": from the second failure of the whole on, jobs hold half as many,
    until the bad one is alone.
    """
    passages = [f"passage {number}" for number in range(9)]
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", *passages, vectors=False))
        for number in range(40):
            job = queue.open_job(job_of(str(number)), 100)
            if job is None:
                break
            queue.note_job(job.id, 1.0, status="SUBMITTED", provider_job=f"provider/{number}")
            held = held_by(queue, job.id)
            if "passage 5" in held:
                queue.close_job(
                    job.id, "FAILED", 1.0, error="bad request", rest="halve", attempts=3
                )
            else:
                queue.settle(job.id, vectors_of(*held), {}, None, 1.0)
                queue.close_job(job.id, "COMPLETED", 1.0, error="", rest="again", attempts=3)
        states = queue.chunk_states(item("1", *passages).ids)
        wanted = [
            ("FAILED", "bad request") if number == 5 else ("READY", "") for number in range(9)
        ]
        same(list(states), wanted, "states after halving")
        expect(number <= 12, f"halving 9 passages took {number} jobs.")


@Check
def a_new_job_is_one_submitters(open_store: OpenStore) -> None:
    """A lease is one owner's until it ends; a provider's name once known stays;
    a status goes forward only.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", vectors=False))
        queue.open_job(attrs.evolve(job_of("j"), owner="ann", leased_until=50.0), 5)
        same(queue.lease_job("j", "bob", 49.0, 99.0), False, "another's lease while the first runs")
        same(queue.lease_job("j", "ann", 49.0, 60.0), True, "the same owner's lease")
        same(queue.lease_job("j", "bob", 60.0, 99.0), True, "another's lease after the first")
        queue.note_job("j", 60.0, leased_until=60.0)
        same(queue.lease_job("j", "eve", 60.0, 99.0), True, "a lease after one that was ended")
        queue.note_job("j", 60.0, leased_until=60.0)
        same(queue.lease_job("j", "bob", 60.0, 99.0), True, "a lease after that")
        same(queue.lease_job("j", "ann", 61.0, 99.0), False, "the first one's, who is late")
        same(
            queue.note_job("j", 1.0, status="SUBMITTED", provider_job="p/1", tokens=7),
            True,
            "noting its name",
        )
        same(queue.note_job("j", 2.0, provider_job="p/2", error="?"), False, "noting another name")
        same(
            queue.lease_job("j", "ann", 200.0, 300.0), False, "a lease of a job that was submitted"
        )
        same(
            queue.note_job("j", 3.0, status="PROCESSING", answered_at=3.0),
            True,
            "noting that it runs",
        )
        queue.note_job("j", 4.0, answered_at=0.0, error="")
        same(getattr(queue.job("j"), "answered_at", None), 0.0, "a time that is taken back")
        queue.note_job("j", 4.0, answered_at=3.0)
        same(queue.note_job("j", 4.0, status="SUBMITTED"), True, "noting an older status")
        job = queue.job("j")
        expect(job is not None, "job gave None for a job that is there.")
        seen = job and (
            job.status,
            job.provider_job,
            job.submitted_at,
            job.tokens,
            job.error,
            job.updated_at,
        )
        same(seen, ("PROCESSING", "p/1", 1.0, 7, "", 4.0), "the job")


@Check
def a_job_that_was_never_sent_can_be_dropped(open_store: OpenStore) -> None:
    """`drop_job` forgets a CREATED job and lets go of what it held; not one the provider knows.

    COMPLETED wants a name.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", vectors=False))
        queue.open_job(job_of("j"), 5)
        same(
            queue.close_job("j", "COMPLETED", 1.0, error="", rest="free", attempts=3),
            False,
            "completing it unsent",
        )
        same(
            (queue.drop_job("j"), queue.drop_job("j"), queue.job("j")),
            (True, False, None),
            "dropping",
        )
        sent(queue, "k")
        same(
            (queue.drop_job("k"), held_by(queue, "k")),
            (False, ["one"]),
            "dropping one that was sent",
        )


@Check
def what_is_being_embedded_is_held_for_a_time(open_store: OpenStore) -> None:
    """`hold` and `take` give a passage to one at a time, until released or the time is over;
    jobs keep off meanwhile.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        token, mine = queue.hold(names_of("one", "new"), 10.0, 20.0)
        same(mine, frozenset(names_of("one", "new")), "held")
        same(queue.hold(names_of("one", "new"), 11.0, 20.0)[1], frozenset(), "held by another")
        same(
            queue.hold(names_of("new"), 11.0, 30.0, token),
            (token, frozenset(names_of("new"))),
            "held again",
        )
        same(
            (queue.waiting(9, 12.0), queue.waiting(9, 30.0)),
            (1, 2),
            "passages a job could hold, then and later",
        )
        taken = queue.take(9, 12.0, 40.0)
        same(
            (dict(taken.passages), dict(taken.owners)),
            ({fingerprint_of("two"): "two"}, {fingerprint_of("two"): ("", "notes")}),
            "taken",
        )
        same(
            [state and state[0] for state in queue.chunk_states(item("1", "one", "two").ids)],
            ["SUBMITTED"] * 2,
            "states",
        )
        same(queue.open_job(job_of("j", 13.0), 9), None, "a job of what is being embedded")
        queue.release(taken.token)
        same(list(queue.take(9, 14.0, 15.0).passages.values()), ["two"], "taken after the release")
        late = queue.open_job(job_of("late", 50.0), 9)
        same(late and late.sent, 2, "a job after all times are over")
        queue.release(token)
        same(held_by(queue, "late"), ["one", "two"], "what the job holds after a late release")
        same(dict(queue.take(9, 60.0, 70.0).passages), {}, "taken beside a job")
        same(len(queue.take(9, 60.0, 70.0, from_jobs=True).passages), 2, "taken from a job")
        same(held_by(queue, "late"), [], "what the job holds then")


@Check
def a_vector_that_came_another_way_counts(open_store: OpenStore) -> None:
    """READY before all else: a held passage whose vector came with another document is not sent,
    and stays as it is.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        waiting = item("1", "one", "two", vectors=False)
        put(store, waiting)
        sent(queue, "j")
        put(store, item("2", "one"))
        same(
            [state and state[0] for state in queue.chunk_states(waiting.ids)],
            ["READY", "SUBMITTED"],
            "states",
        )
        same(held_by(queue, "j"), ["two"], "passages to be sent")
        wrong = {fingerprint_of("one"): vector_of("something else")}
        same(queue.settle("j", wrong, {}, None, 1.0), 1, "settled")
        same(
            float(store.similarity(waiting.ids[:1], vector_of("one"))[0]) > 0.999,
            True,
            "the vector it had",
        )
        stats = queue.queue_stats()
        same(
            (stats.ready, stats.pending, stats.submitted, stats.failed),
            (2, 0, 1, 0),
            "chunks by state",
        )


@Check
def what_results_cost_is_written_down_once(open_store: OpenStore) -> None:
    """The ledger grows by every passage that was settled, per day, tenant, collection, model and
    tier; and not by failures or repeats.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(
            store,
            item(Ref("a", "1"), "x" * 20, "y" * 10, "w" * 30, vectors=False),
            item(Ref("b", "1"), "z" * 40, vectors=False),
        )
        sent(queue, "j")
        for _ in range(2):
            vectors = vectors_of("x" * 20, "w" * 30, "z" * 40)
            queue.settle("j", vectors, {fingerprint_of("y" * 10): "no"}, RATE, 1.0)
        found = [
            (cost.day, cost.collection, cost.passages, cost.tokens, cost.amount)
            for cost in queue.costs()
        ]
        wanted = [
            ("2026-01-31", "a", 2, 25, Decimal("0.075")),
            ("2026-01-31", "b", 1, 20, Decimal("0.06")),
        ]
        same(found, wanted, "costs")
        queue.charge(attrs.evolve(RATE, day="2026-02-01", tier="interactive"), {("", "a"): (3, 7)})
        queue.charge(attrs.evolve(RATE, day="2026-02-01", tier="interactive"), {("", "a"): (1, 1)})
        same(
            [(cost.tier, cost.passages, cost.tokens) for cost in queue.costs("2026-02-01")],
            [("interactive", 4, 8)],
            "later",
        )
        same(len(queue.costs("2026-01-01", "2026-01-31")), 2, "costs of January")
        store.remove([Ref("a", "1"), Ref("b", "1")])
        same(len(queue.costs()), 3, "costs of what was removed")


@Check
def what_is_held_by_a_clock_that_was_wrong_is_free(open_store: OpenStore) -> None:
    """A hold, or a lease, that would last longer than anybody's (`LONGEST_HOLD`) counts as ended:
    one whose clock was days ahead blocks nobody.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        days = 5 * 86_400.0
        put(store, item("1", "one", "two", vectors=False))
        queue.hold(names_of("one"), 100.0, 100.0 + LONGEST_HOLD)
        same(queue.waiting(9, 100.0), 1, "passages a job could hold beside a long hold")
        same(list(queue.take(9, 100.0, 400.0).passages.values()), ["two"], "taken beside it")
        queue.hold(names_of("one", "two"), days, days + 300.0)
        same(queue.waiting(9, 1_000.0), 2, "passages a job could hold beside an impossible hold")
        same(queue.hold(names_of("two"), 1_000.0, 1_300.0)[1], frozenset(names_of("two")), "held")
        queue.open_job(job_of("j", 9_000.0), 9)
        queue.lease_job("j", "ahead", days, days + 3_600.0)
        same(queue.lease_job("j", "ann", 9_000.0, 12_600.0), True, "a lease beside it")
        same(queue.lease_job("j", "bob", 9_000.0, 12_600.0), False, "a lease beside one that runs")


@Check
def what_a_provider_counted_is_what_is_charged(open_store: OpenStore) -> None:
    """`tokens` go into the ledger as they are, a vector or not; a vector that is not in it costs by
    its characters; and the job says what was paid for it.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "x" * 20, "y" * 10, "z" * 40, "w", vectors=False))
        sent(queue, "j")
        good = vectors_of("x" * 20, "z" * 40)
        bad = names_of("y" * 10, "w")
        told = {fingerprint_of("x" * 20): 7, bad[0]: 3, fingerprint_of("of another"): 100}
        for _ in range(2):
            queue.settle("j", good, dict.fromkeys(bad, "no"), RATE, 1.0, told)
        same([(cost.passages, cost.tokens) for cost in queue.costs()], [(3, 30)], "costs")
        job = queue.job("j")
        same(job and (job.paid, job.paid_tokens), (3, 30), "what was paid for the job")


@Check
def what_a_job_costs_is_set_and_not_added(open_store: OpenStore) -> None:
    """`pay_job` brings the ledger to what a job cost all together, up or down, as often as it is
    called; the difference is nobody's.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "x" * 20, "y" * 10, vectors=False))
        sent(queue, "j")
        queue.settle("j", vectors_of("x" * 20), {}, RATE, 1.0, {fingerprint_of("x" * 20): 7})
        for passages, tokens in ((2, 12), (2, 12), (2, 11)):
            queue.pay_job("j", RATE, passages, tokens)
            job = queue.job("j")
            same(job and (job.paid, job.paid_tokens), (passages, tokens), "what was paid")
            total = sum(cost.tokens for cost in queue.costs())
            same(total, tokens, "tokens in the ledger")
        owners = {cost.collection: (cost.passages, cost.tokens) for cost in queue.costs()}
        same(owners, {"notes": (1, 7), "": (1, 4)}, "whose they are")
        queue.pay_job("none", RATE, 9, 9)
        same(sum(cost.tokens for cost in queue.costs()), 11, "after a job that is not there")


@Check
def a_job_that_was_given_up_can_go_on(open_store: OpenStore) -> None:
    """`reopen_job` makes a FAILED job PROCESSING, with what was given up with it and is nobody
    else's by now; no other job.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", "three", "four", vectors=False))
        put(store, item("2", "five", vectors=False))
        sent(queue, "j")
        same(queue.reopen_job("j", 2.0, RATE, 0, 0), False, "reopening an open job")
        queue.settle("j", vectors_of("one"), {}, RATE, 1.0)
        queue.pay_job("j", RATE, 4, 9)
        queue.close_job("j", "FAILED", 2.0, error="gone", rest="fail", attempts=3)
        queue.clean_job("j", 2.0)
        store.remove([Ref("notes", "2")])
        queue.fill(vectors_of("two"))
        queue.hold(names_of("three"), 3.0, 9.0)
        same(queue.reopen_job("j", 3.0, RATE, 1, 2), True, "reopening")
        job = queue.job("j")
        wanted = ("PROCESSING", 0.0, 0.0, False)
        found = job and (job.status, job.ended_at, job.answered_at, job.cleaned)
        same(found, wanted, "the job")
        same(job and (job.paid, job.paid_tokens), (1, 2), "what was paid for it")
        same(sum(cost.tokens for cost in queue.costs()), 2, "tokens in the ledger")
        same(held_by(queue, "j"), ["four"], "passages held")
        same(len(queue.given_up()), 0, "chunks that are held and given up")
        same(queue.settle("j", vectors_of("four"), {}, RATE, 4.0), 1, "results settled")
        same(queue.reopen_job("none", 5.0, RATE, 1, 1), False, "reopening a job that is not there")
        put(store, item("3", "six", vectors=False))
        queue.open_job(job_of("unsent"), 9)
        queue.close_job("unsent", "FAILED", 5.0, error="no", rest="fail", attempts=3)
        same(
            queue.reopen_job("unsent", 6.0, RATE, 1, 1),
            False,
            "reopening a job that was never submitted",
        )


@Check
def tenants_share_jobs_and_see_their_own(open_store: OpenStore) -> None:
    """Jobs are of all tenants; chunks by state, and what a passage cost, are each one's own."""
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        queue = ledger_of(store)
        for owner, passages in (("ann", ["one", "two"]), ("bob", ["three"])):
            put(store, item(Ref("notes", "1", owner), *passages, vectors=False))
        same(sent(queue, "j").sent, 3, "passages of a job")
        queue.settle("j", vectors_of("one", "three"), {fingerprint_of("two"): "no"}, RATE, 1.0)
        counts: dict[str | None, tuple[int, int]] = {"ann": (1, 1), "bob": (1, 0), None: (2, 1)}
        for tenant, wanted in counts.items():
            stats = queue.queue_stats(tenant)
            same((stats.ready, stats.failed), wanted, f"ready and failed of {tenant}")
        same([cost.tenant for cost in queue.costs()], ["ann", "bob"], "whose costs there are")
        with raises(TenantRequired, "chunk_states without a tenant"):
            queue.chunk_states([ChunkId(Ref("notes", "1"), 0)])
        with raises(TenantRequired, "queue_stats of no tenant"):
            queue.queue_stats("")


@Check
def two_who_flush_at_once_share_the_queue(open_store: OpenStore) -> None:
    """Threads that open jobs at the same time never hold one passage twice, and leave none out."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        numbers = count()
        jobs = list[BatchJob]()
        put(store, item("1", *(f"passage {number}" for number in range(60)), vectors=False))

        def flush() -> None:
            while (job := queue.open_job(job_of(f"{next(numbers)}"), 4)) is not None:
                jobs.append(job)

        threads = [threading.Thread(target=flush) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held = [passage for job in jobs for passage in held_by(queue, job.id)]
        same((len(held), len(set(held))), (60, 60), "passages held, and different ones")
        same(sum(job.sent for job in jobs), 60, "passages in all jobs, as each was told")


@Check
def many_passages_keep_their_order_and_their_vectors(open_store: OpenStore) -> None:
    """A job of hundreds of passages, settled in another order and in pages,
    gives each chunk its own vector.
    """
    passages = [f"passage {number}" for number in range(300)]
    whole = item("1", *passages, vectors=False)
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, whole)
        sent(queue, "j", limit=1_000)
        same(held_by(queue, "j"), passages, "passages, in order")
        order = np.random.default_rng(5).permutation(300).tolist()
        for start in range(0, 300, 70):
            queue.settle(
                "j",
                vectors_of(*(passages[place] for place in order[start : start + 70])),
                {},
                RATE,
                1.0,
            )
        off = [
            id
            for id, passage in zip(whole.ids, passages, strict=True)
            if store.similarity([id], vector_of(passage))[0] < 0.999
        ]
        same(off, [], "chunks with another's vector")
        same(sum(cost.passages for cost in queue.costs()), 300, "passages paid for")


SCHEDULES: tuple[Plan, ...] = (
    (),
    *(((number, "crash"),) for number in (7, 12, 19, 31, 52)),
    *(((number, "jobs"),) for number in (5, 14, 22)),
    *(((number, "stall"),) for number in (9, 17)),
    ((6, "embed"),),
    ((11, "crash"), (30, "crash")),
)
"""Some of those the stores that come with the product are tried with."""


@Check
def no_crash_loses_a_passage(open_store: OpenStore) -> None:
    """Whenever a worker dies, or another comes in between: no vector wrong, no passage lost,
    stuck or paid for twice.
    """
    numbers = count()

    def opened() -> Any:
        store = open_store(embedder().space, f"schedules {next(numbers)}")
        ledger_of(store)
        return store

    play_all(
        opened, ((plan, SHAPES[number % len(SHAPES)]) for number, plan in enumerate(SCHEDULES))
    )
