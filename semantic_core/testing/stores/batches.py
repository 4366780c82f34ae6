"""Checks of the ledger of batch jobs (`BatchQueue`): which job holds a passage, what becomes of it,
and what it costs.

Tested by tests/contracts/test_queue_bites.py and tests/contracts/test_contract.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from itertools import count
from typing import Any

import attrs
import numpy as np

from semantic_core._jobs import LONGEST_HOLD, PICO, BatchJob, JobStatus, Rate, Rest
from semantic_core.errors import TenantRequired, VectorInvalid
from semantic_core.protocols import BatchQueue
from semantic_core.testing.check import Check, expect, fail, only, raises, same, same_fields, skip
from semantic_core.testing.job_embedder import SHAPES, Shape
from semantic_core.testing.stores.samples import (
    SPACE,
    OpenStore,
    fingerprint_of,
    fingerprints_of,
    item,
    numbered,
    pending_in,
    put,
    vector_of,
    vectors_of,
    waiting_in,
)
from semantic_core.testing.stores.schedules import Plan, embedder, play_all
from semantic_core.testing.stores.writes import BAD_VECTORS
from semantic_core.types import ChunkId, Ref

RATE = Rate("2026-01-31", "kit", "batch", 0.5, 3 * PICO // 1_000, "USD")
"""Half a token a character, three thousandths of a dollar a token."""


def ledger_of(store: Any) -> BatchQueue:
    """The store as a `BatchQueue`; skips the rule for a store without it."""
    if isinstance(store, BatchQueue):
        return store
    return skip("This store has no batch jobs (it is no BatchQueue).")


def job_of(id: str, now: float = 100.0) -> BatchJob:
    """A new job."""
    return BatchJob(id, f"job {id}", created_at=now, updated_at=now)


def sent(queue: BatchQueue, id: str, *, limit: int = 10, now: float = 100.0) -> BatchJob:
    """A job that holds up to `limit` pending passages and was submitted to its provider."""
    job = queue.open_job(job_of(id, now), limit)
    if job is None:
        fail("open_job: expected a job with the pending passages, found None.")
    noted = queue.note_job(id, now, status="SUBMITTED", provider_job=f"provider/{id}")
    expect(noted, "note_job of a new job: expected True, found False.")
    return job


def closed(
    queue: BatchQueue, id: str, status: JobStatus, now: float, *, rest: Rest, error: str = ""
) -> bool:
    """Whether `close_job` with three attempts closes this job."""
    return queue.close_job(id, status, now, error=error, rest=rest, attempts=3)


def held_by(queue: BatchQueue, id: str) -> list[str]:
    """The passages that a job holds, in order."""
    return [passage for _, _, passage in queue.passages_of(id, -1, 1_000)]


def statuses(queue: BatchQueue, ids: list[ChunkId]) -> list[str]:
    """The status of each chunk, without its reason; "" for a chunk that does not exist."""
    return [state[0] if state else "" for state in queue.chunk_states(ids)]


def taken(queue: BatchQueue, *collections: str) -> list[str]:
    """The passages that `take` gives of these collections; of all, if none is named."""
    given = queue.take(9, 0.0, 9.0, collections=collections or None)
    return list(given.passages.values())


def tokens_in(queue: BatchQueue) -> int:
    """The tokens in the ledger."""
    return sum(cost.tokens for cost in queue.costs())


@Check
def a_job_holds_what_has_waited_longest(open_store: OpenStore) -> None:
    """A job that is opened with a limit holds the oldest pending passages, equal ones once, and
    counts them. `extend_job` adds more until none is pending.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        same(queue.open_job(job_of("none"), 5), None, "open_job when nothing is pending")
        same(queue.job("none"), None, "a job without passages, in the ledger")
        put(
            store,
            item("b", "one", "two", "one", vectors=False),
            item("a", "two", "three", "four", vectors=False),
        )
        put(store, item("c", "ready"))
        same(queue.waiting(10, 0.0), 4, "waiting: passages that a job could hold")
        same(queue.waiting(3, 0.0), 3, "waiting, counted up to 3")
        job = queue.open_job(job_of("j"), 2)
        same(job, attrs.evolve(job_of("j"), sent=2, characters=6), "open_job with limit 2")
        same(held_by(queue, "j"), ["one", "two"], "passages the job holds")
        named = queue.held("j", fingerprints_of("one", "two", "three", "never seen"))
        same(named, frozenset(fingerprints_of("one", "two")), "held: of four passages, by the job")
        same(queue.held("none", fingerprints_of("one")), frozenset(), "held by no job")
        same(waiting_in(queue), ["one", "two", "one", "two", "three", "four"], "chunks that wait")
        same(queue.waiting(10, 0.0), 2, "waiting: passages that another job could hold")
        same(queue.waiting_size(), (2, 9), "waiting_size: passages and their characters")
        same_fields(queue.extend_job("j", 1), "extend_job with limit 1", sent=3)
        same(held_by(queue, "j"), ["one", "two", "three"], "passages the extended job holds")
        same_fields(queue.extend_job("j", 10), "extend_job with limit 10", sent=4)
        same(queue.extend_job("j", 10), None, "extend_job when nothing is pending")
        same(queue.jobs(), [queue.job("j")], "jobs in the ledger")


@Check
def what_a_job_holds_is_nobody_elses(open_store: OpenStore) -> None:
    """No other job gets a passage that a job holds, even if a new document has it too, or its
    document is removed and written again.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        sent(queue, "first")
        put(store, item("2", "two", "three", vectors=False))
        store.remove([Ref("notes", "1")])
        put(store, item("1", "one", vectors=False))
        same(queue.waiting(10, 0.0), 1, "waiting: passages that another job could hold")
        sent(queue, "second")
        same(held_by(queue, "second"), ["three"], "passages the second job holds")
        same(queue.open_job(job_of("third"), 10), None, "open_job for a third job")
        same(sorted(held_by(queue, "first")), ["one", "two"], "passages the first job holds")


@Check
def a_job_may_leave_collections_out(open_store: OpenStore) -> None:
    """`except_collections` leaves out the passages of these collections."""
    fast = ["fast"]
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(
            store,
            item(Ref("slow", "1"), "one", vectors=False),
            item(Ref("fast", "1"), "two", vectors=False),
        )
        same(queue.waiting(9, 0.0, except_collections=fast), 1, "waiting without a collection")
        job = queue.open_job(job_of("j"), 9, except_collections=fast)
        same_fields(job, "open_job without a collection", sent=1)
        job = queue.extend_job("j", 9, except_collections=fast)
        same(job, None, "extend_job when only the collection left out is pending")
        same(held_by(queue, "j"), ["one"], "passages the job holds")
        same(taken(queue, "slow"), [], "take of the collection whose passage the job holds")
        same(taken(queue, "fast"), ["two"], "take of the collection left out")


@Check
def an_equal_passage_is_paid_by_whoever_has_waited_longest(open_store: OpenStore) -> None:
    """A passage of several documents belongs to the one that was written first: `take` names its
    owner, and the result of a job is charged to it.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        for collection in ("b", "a", "c"):
            put(store, item(Ref(collection, "1"), "the same", vectors=False))
        given = queue.take(9, 0.0, 9.0)
        owner = {fingerprint_of("the same"): ("", "b")}
        same(dict(given.owners), owner, "take: owners")
        queue.release(given.token)
        sent(queue, "j")
        queue.settle("j", vectors_of("the same"), {}, RATE, 1.0)
        cost = only(queue.costs(), "costs")
        same_fields(cost, "costs", collection="b", passages=1)


@Check
def passages_come_page_by_page(open_store: OpenStore) -> None:
    """`passages_of` gives pages without gap or overlap. It leaves out passages that no chunk has
    any more, and goes on after them.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        for key in range(7):
            put(store, item(str(key), f"passage {key}", vectors=False))
        sent(queue, "j")
        store.remove([Ref("notes", "2"), Ref("notes", "3")])
        put(store, item("x", "passage 6"))
        found = list(_pages(queue, "j", 2))
        same(found, ["passage 0", "passage 1", "passage 4", "passage 5"], "passages of all pages")
        same(list(queue.passages_of("nobody", -1, 5)), [], "passages_of a job that does not exist")


def _pages(queue: BatchQueue, job: str, limit: int) -> Iterator[str]:
    """The passages of a job, read page by page."""
    page = queue.passages_of(job, -1, limit)
    while page:
        size = len(page)
        expect(size <= limit, f"passages_of: expected at most {limit} passages, found {size}.")
        for _, fingerprint, passage in page:
            same(fingerprint, fingerprint_of(passage), f"passages_of: fingerprint of {passage!r}")
            yield passage
        page = queue.passages_of(job, page[-1][0], limit)


@Check
def a_result_is_settled_once(open_store: OpenStore) -> None:
    """`settle` gives a result to every chunk of a passage that the job holds, once. It ignores
    results for passages that the job does not hold.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        first = item("1", "one", "two", vectors=False)
        second = item("2", "two", "three", vectors=False)
        put(store, first, second)
        sent(queue, "j", limit=2)
        results = vectors_of("one", "two", "three", "never seen")
        same(queue.settle("j", results, {}, None, 1.0), 2, "settle")
        same(queue.settle("j", results, {}, None, 2.0), 0, "settle again")
        settled = queue.settle("nobody", vectors_of("three"), {}, None, 2.0)
        same(settled, 0, "settle for a job that does not exist")
        same(pending_in(store, first.ids), [False, False], "pending: first document")
        same(pending_in(store, second.ids), [False, True], "pending: second document")
        similarity = float(store.similarity(second.ids[:1], vector_of("two"))[0])
        expect(
            similarity > 0.999,
            f"similarity to the vector of its passage: expected 1, found {similarity}.",
        )
        same_fields(queue.job("j"), "the job", succeeded=2, failed=0)
        same(held_by(queue, "j"), [], "passages the job holds")
        sent(queue, "k")
        both = vectors_of("three"), {fingerprint_of("three"): "no"}
        same(queue.settle("k", *both, None, 3.0), 1, "settle with a vector and a failure")
        same_fields(queue.job("k"), "the job with both", succeeded=1, failed=0)
        same(pending_in(store, second.ids), [False, False], "pending: second document, with both")
        same(len(queue.given_up()), 0, "failed chunks after a vector and a failure")


@Check
def a_failure_is_stored_with_its_reason(open_store: OpenStore) -> None:
    """A passage that failed has the status FAILED and the reason. No job gets it again before
    `retry`.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "good", "bad", vectors=False))
        sent(queue, "j")
        failed = {fingerprint_of("bad"): "too long"}
        same(queue.settle("j", vectors_of("good"), failed, None, 1.0), 2, "settle")
        same_fields(queue.job("j"), "the job", succeeded=1, failed=1)
        ids = item("1", "good", "bad").ids
        states = [("READY", ""), ("FAILED", "too long")]
        same(list(queue.chunk_states(ids)), states, "chunk_states")
        failure = only(queue.given_up(), "given_up")
        same_fields(failure, "given_up", what=str(ids[1]), reason="too long")
        same(queue.waiting_size(), (0, 0), "waiting_size: without a failed passage")
        same(queue.waiting(9, 1.0), 0, "waiting: passages that a job could hold")
        same(queue.open_job(job_of("next"), 9), None, "open_job when only a failed passage is left")
        same(queue.retry("another"), 0, "retry of a job that does not exist")
        same(queue.retry("j"), 1, "retry")
        same(queue.retry("j"), 0, "retry again")
        same(queue.waiting(9, 1.0), 1, "passages that wait after retry")
        put(store, item("2", "bad too", vectors=False))
        sent(queue, "k")
        queue.settle("k", {}, dict.fromkeys(fingerprints_of("bad", "bad too"), "no"), None, 2.0)
        oldest = only(queue.given_up(1), "given_up, at most one")
        same_fields(oldest, "given_up, the oldest", what=str(ids[1]))
        store.remove([Ref("notes", "2")])
        same(queue.retry(), 1, "retry of two failed passages, one of which was removed")


@Check
def whoever_holds_a_refused_passage_can_give_it_up(open_store: OpenStore) -> None:
    """`settle` accepts the token of `hold` and `take` in place of a job: a passage refused outside
    a job has the status FAILED and the reason. A passage that somebody else holds is left alone.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        passages = "good", "bad", "theirs"
        put(store, item("1", *passages, vectors=False))
        bad, theirs = fingerprints_of("bad", "theirs")
        queue.hold([theirs], 0.0, 9.0)
        token = queue.take(9, 0.0, 9.0).token
        same(queue.held(token, [bad, theirs]), frozenset([bad]), "held: of two passages, by take")
        why = {bad: "too long", theirs: "not mine"}
        same(queue.settle(token, vectors_of("good"), why, None, 1.0), 2, "settle")
        states = [("READY", ""), ("FAILED", "too long"), ("SUBMITTED", "")]
        same(list(queue.chunk_states(item("1", *passages).ids)), states, "chunk_states")
        token, _ = queue.hold([], 2.0, 9.0, token)
        queue.release(token)
        same(queue.waiting(9, 2.0), 0, "waiting: without a failed passage, before retry")
        same(queue.retry(), 1, "retry")
        same(queue.settle(token, vectors_of("bad"), {}, None, 3.0), 0, "settle after release")


@Check
def a_bad_result_settles_nothing(open_store: OpenStore) -> None:
    """`settle` with one invalid vector raises VectorInvalid and settles none of the others."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        sent(queue, "j")
        for what, bad in BAD_VECTORS.items():
            with raises(VectorInvalid, f"settle with a vector {what}"):
                queue.settle("j", {**vectors_of("one"), fingerprint_of("two"): bad}, {}, RATE, 1.0)
            same_fields(queue.job("j"), f"the job after a vector {what}", succeeded=0)
            same(store.stats().pending, 2, f"pending chunks after a vector {what}")
            same(len(queue.costs()), 0, f"costs after a vector {what}")
        same(held_by(queue, "j"), ["one", "two"], "passages the job holds")


@Check
def a_late_result_finds_no_taker(open_store: OpenStore) -> None:
    """If a text is edited or removed while its job runs, the new text is pending, and the result
    changes nothing.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "old text", vectors=False), item("2", "removed", vectors=False))
        sent(queue, "j")
        edited = item("1", "new text", vectors=False)
        put(store, edited)
        store.remove([Ref("notes", "2")])
        states = list(queue.chunk_states(edited.ids))
        same(states, [("PENDING", "")], "state of the new text")
        same(queue.settle("j", vectors_of("old text", "removed"), {}, None, 1.0), 2, "settle")
        states = list(queue.chunk_states(edited.ids))
        same(states, [("PENDING", "")], "state of the new text after the result")
        same_fields(store.stats(), "stats", documents=1, pending=1)
        known = store.known(fingerprints_of("old text", "removed"))
        same(dict(known), {}, "known of the texts that are gone")


@Check
def a_job_ends_once(open_store: OpenStore) -> None:
    """`close_job` ends a job once and releases the passages it still holds. A job that has ended
    does not change any more.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        nothing = closed(queue, "nobody", "FAILED", 1.0, rest="free")
        same(nothing, False, "close_job of a job that does not exist")
        sent(queue, "j")
        same(closed(queue, "j", "COMPLETED", 5.0, rest="free"), True, "close_job")
        again = closed(queue, "j", "FAILED", 6.0, error="late", rest="fail")
        same(again, False, "close_job again")
        same(queue.note_job("j", 7.0, error="late"), False, "note_job of a closed job")
        same(queue.settle("j", vectors_of("one"), {}, None, 8.0), 0, "settle for a closed job")
        job = queue.job("j")
        same_fields(job, "the closed job", status="COMPLETED", error="", ended_at=5.0)
        same(queue.waiting(9, 8.0), 2, "waiting: passages that a job could hold again")
        same(queue.jobs(cleaned=False), [job], "jobs that the provider still has")
        queue.clean_job("j", 9.0)
        same(list(queue.jobs(cleaned=False)), [], "jobs that the provider has after clean_job")
        same(queue.jobs(["COMPLETED"]), [queue.job("j")], "jobs with the status COMPLETED")
        same(list(queue.jobs(["FAILED", "CREATED"])), [], "jobs with another status")


@Check
def what_comes_back_without_a_result_is_tried_so_often(open_store: OpenStore) -> None:
    """With rest="again" the passages of a closed job are pending again; after `attempts` jobs
    without a result they fail. With rest="fail" they fail at once. A job closed with rest="free"
    does not count.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        waiting = item("1", "one", vectors=False)
        put(store, waiting)
        again = ("PENDING", "")
        for number, wanted in enumerate([again, again, ("FAILED", "nothing came")], 1):
            job = sent(queue, str(number)).id
            closed(queue, job, "COMPLETED", 1.0, error="nothing came", rest="again")
            states = list(queue.chunk_states(waiting.ids))
            same(states, [wanted], f"state after {number} jobs without a result")
            if wanted == again:
                closed(queue, sent(queue, f"free {number}").id, "FAILED", 1.0, rest="free")
                states = list(queue.chunk_states(waiting.ids))
                same(states, [again], "state after one more job that does not count")
        queue.retry()
        sent(queue, "last")
        closed(queue, "last", "FAILED", 1.0, error="it is gone", rest="fail")
        states = list(queue.chunk_states(waiting.ids))
        same(states, [("FAILED", "it is gone")], "state after a job that was lost")


@Check
def a_vector_ends_what_failed_before(open_store: OpenStore) -> None:
    """After a result, the failures of a passage are forgotten: if it waits again, it has all its
    attempts.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        waiting = item("1", "one", vectors=False)
        for round in ("first", "second"):
            put(store, waiting)
            for number in range(2):
                job = sent(queue, f"{round} {number}").id
                closed(queue, job, "COMPLETED", 1.0, error="nothing came", rest="again")
                states = list(queue.chunk_states(waiting.ids))
                same(states, [("PENDING", "")], f"state in the {round} round")
            sent(queue, f"{round} good")
            queue.settle(f"{round} good", vectors_of("one"), {}, None, 1.0)
            store.remove([Ref("notes", "1")])


@Check
def one_bad_passage_is_found_by_halving(open_store: OpenStore) -> None:
    """With rest="halve" jobs hold half as many passages after each failure from the second on,
    until the passage that makes them fail is alone.
    """
    for place in (5, 8):
        with closing(open_store(SPACE, f"bad passage {place}")) as store:
            _halve(store, numbered("passage", 9), place)


def _halve(store: Any, passages: list[str], place: int) -> None:
    """Jobs fail as long as they hold the passage at this place."""
    queue = ledger_of(store)
    put(store, item("1", *passages, vectors=False))
    for number in range(40):
        job = queue.open_job(job_of(str(number)), 100)
        if job is None:
            break
        queue.note_job(job.id, 1.0, status="SUBMITTED", provider_job=f"provider/{number}")
        held = held_by(queue, job.id)
        if number == 2:
            same(job.sent, 5, "passages of the job after the second failure")
        if passages[place] in held:
            closed(queue, job.id, "FAILED", 1.0, error="bad request", rest="halve")
        else:
            queue.settle(job.id, vectors_of(*held), {}, None, 1.0)
            closed(queue, job.id, "COMPLETED", 1.0, rest="again")
    states = queue.chunk_states(item("1", *passages).ids)
    wanted = [("READY", "")] * len(passages)
    wanted[place] = ("FAILED", "bad request")
    same(list(states), wanted, "states after halving")
    expect(number <= 12, f"Halving 9 passages: expected at most 12 jobs, found {number}.")


@Check
def a_halved_job_is_not_extended_beyond_its_half(open_store: OpenStore) -> None:
    """`extend_job` keeps the limit that halving gave to a job, however many passages are asked
    for.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", *numbered("passage", 9), vectors=False))
        for id in ("first", "second"):
            closed(queue, sent(queue, id).id, "FAILED", 1.0, error="bad request", rest="halve")
        same_fields(queue.open_job(job_of("half"), 2), "open_job with limit 2", sent=2)
        same_fields(queue.extend_job("half", 2), "extend_job with limit 2", sent=4)
        same_fields(queue.extend_job("half", 100), "extend_job with limit 100", sent=5)
        same(queue.extend_job("half", 100), None, "extend_job of a job with half of the passages")


@Check
def a_new_job_is_one_submitters(open_store: OpenStore) -> None:
    """One owner has the lease of a job until it ends. The provider's name of a job does not change
    once it is known, and a status never goes back.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", vectors=False))
        queue.open_job(attrs.evolve(job_of("j"), owner="ann", leased_until=50.0), 5)

        def leased(owner: str, now: float, until: float) -> bool:
            return queue.lease_job("j", owner, now, until)

        same(leased("bob", 49.0, 99.0), False, "lease_job of another owner while the lease runs")
        same(leased("ann", 49.0, 60.0), True, "lease_job of the same owner")
        same(leased("bob", 60.0, 99.0), True, "lease_job of another owner after the lease")
        queue.note_job("j", 60.0, leased_until=60.0)
        same(leased("eve", 60.0, 99.0), True, "lease_job after a lease that was ended")
        queue.note_job("j", 60.0, leased_until=60.0)
        same(leased("bob", 60.0, 99.0), True, "lease_job after another one that was ended")
        same(leased("ann", 61.0, 99.0), False, "lease_job of the first owner, too late")
        noted = queue.note_job("j", 1.0, status="SUBMITTED", provider_job="p/1", tokens=7)
        same(noted, True, "note_job with the provider's name")
        noted = queue.note_job("j", 2.0, provider_job="p/2", error="?")
        same(noted, False, "note_job with another provider's name")
        same(leased("ann", 200.0, 300.0), False, "lease_job of a job that was submitted")
        noted = queue.note_job("j", 3.0, status="PROCESSING", answered_at=3.0)
        same(noted, True, "note_job with a later status")
        queue.note_job("j", 4.0, answered_at=0.0, error="")
        same_fields(queue.job("j"), "the job after its time was reset", answered_at=0.0)
        queue.note_job("j", 4.0, answered_at=3.0)
        same(queue.note_job("j", 4.0, status="SUBMITTED"), True, "note_job with an older status")
        same_fields(
            queue.job("j"),
            "the job",
            status="PROCESSING",
            provider_job="p/1",
            submitted_at=1.0,
            tokens=7,
            error="",
            updated_at=4.0,
        )


@Check
def a_job_that_was_never_sent_can_be_dropped(open_store: OpenStore) -> None:
    """`drop_job` removes a CREATED job and releases its passages. It does not remove a job that the
    provider knows, which gets no more passages and no lease either. A job without a provider's name
    cannot be COMPLETED.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", vectors=False))
        queue.open_job(job_of("j"), 5)
        unsent = closed(queue, "j", "COMPLETED", 1.0, rest="free")
        same(unsent, False, "close_job with COMPLETED before it was submitted")
        same(queue.drop_job("j"), True, "drop_job")
        same(queue.drop_job("j"), False, "drop_job again")
        same(queue.job("j"), None, "the dropped job")
        sent(queue, "k")
        same(queue.drop_job("k"), False, "drop_job of a submitted job")
        put(store, item("2", "two", vectors=False))
        for id in ("k", "nobody"):
            same(queue.extend_job(id, 5), None, f"extend_job of {id}, which is no new job")
            leased = queue.lease_job(id, "ann", 1.0, 9.0)
            same(leased, False, f"lease_job of {id}, which is no new job")
        same(held_by(queue, "k"), ["one"], "passages the submitted job holds")


@Check
def what_is_being_embedded_is_held_for_a_time(open_store: OpenStore) -> None:
    """`hold` and `take` give a passage to one caller at a time, until it is released or the time is
    over. No job gets it meanwhile.
    """
    two = fingerprint_of("two")
    new = fingerprint_of("new")
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", vectors=False))
        asked = fingerprints_of("one", "new")
        token, mine = queue.hold(asked, 10.0, 20.0)
        same(mine, frozenset(asked), "hold")
        _, others = queue.hold(asked, 11.0, 20.0)
        same(others, frozenset(), "hold of another caller")
        again = queue.hold([new], 11.0, 30.0, token)
        same(again, (token, frozenset([new])), "hold again with the token")
        same(queue.waiting(9, 12.0), 1, "waiting while one passage is held")
        same(queue.waiting(9, 30.0), 2, "waiting after the time is over")
        given = queue.take(9, 12.0, 40.0)
        same(dict(given.passages), {two: "two"}, "take: passages")
        same(dict(given.owners), {two: ("", "notes")}, "take: owners")
        found = statuses(queue, item("1", "one", "two").ids)
        same(found, ["SUBMITTED", "SUBMITTED"], "chunk_states of held passages")
        job = queue.open_job(job_of("j", 13.0), 9)
        same(job, None, "open_job while all passages are held")
        queue.release(given.token)
        later = queue.take(9, 14.0, 15.0)
        same(list(later.passages.values()), ["two"], "take after the release")
        late = queue.open_job(job_of("late", 50.0), 9)
        same_fields(late, "open_job after all times are over", sent=2)
        queue.release(token)
        same(held_by(queue, "late"), ["one", "two"], "passages the job holds after a late release")
        same(dict(queue.take(9, 60.0, 70.0).passages), {}, "take while a job holds all passages")
        from_jobs = queue.take(9, 60.0, 70.0, from_jobs=True)
        same(len(from_jobs.passages), 2, "take with from_jobs")
        same(held_by(queue, "late"), [], "passages the job holds afterwards")


@Check
def a_vector_that_came_another_way_counts(open_store: OpenStore) -> None:
    """A passage that a job holds may get its vector with another document. Then it is READY, is not
    sent, and the result of the job does not change it.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        waiting = item("1", "one", "two", vectors=False)
        put(store, waiting)
        sent(queue, "j")
        put(store, item("2", "one"))
        same(statuses(queue, waiting.ids), ["READY", "SUBMITTED"], "chunk_states")
        same(held_by(queue, "j"), ["two"], "passages to be sent")
        wrong = {fingerprint_of("one"): vector_of("something else")}
        same(queue.settle("j", wrong, {}, None, 1.0), 1, "settle")
        similarity = float(store.similarity(waiting.ids[:1], vector_of("one"))[0])
        expect(
            similarity > 0.999,
            f"similarity to the vector it had: expected 1, found {similarity}.",
        )
        stats = queue.queue_stats()
        same_fields(stats, "queue_stats", ready=2, pending=0, submitted=1, failed=0)
        same_fields(stats, "queue_stats when nothing is pending", passages=0, oldest_at=0.0)
        put(store, item("3", "three", "four", "three", vectors=False))
        stats = queue.queue_stats()
        same_fields(stats, "queue_stats of equal passages", pending=3, passages=2)
        expect(stats.oldest_at > 0.0, f"oldest_at: expected a time, found {stats.oldest_at}.")


@Check
def what_results_cost_is_written_down_once(open_store: OpenStore) -> None:
    """`settle` adds every passage with a result to the costs of its day, tenant, collection, model
    and tier, once. Failures cost nothing.
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
        costs = queue.costs()
        same(len(costs), 2, "number of costs")
        of_a, of_b = costs
        day = "2026-01-31"
        same_fields(of_a, "costs of a", day=day, collection="a", passages=2, tokens=25)
        same_fields(of_b, "costs of b", day=day, collection="b", passages=1, tokens=20)
        same(of_a.amount, Decimal("0.075"), "costs of a: amount")
        same(of_b.amount, Decimal("0.06"), "costs of b: amount")
        later = attrs.evolve(RATE, day="2026-02-01", tier="interactive")
        queue.charge(later, {("", "a"): (3, 7)})
        queue.charge(later, {("", "a"): (1, 1)})
        cost = only(queue.costs("2026-02-01"), "costs of February")
        same_fields(cost, "costs of February", tier="interactive", passages=4, tokens=8)
        same(len(queue.costs("2026-01-01", "2026-01-31")), 2, "number of costs of January")
        store.remove([Ref("a", "1"), Ref("b", "1")])
        same(len(queue.costs()), 3, "number of costs after a removal")


@Check
def what_is_held_by_a_clock_that_was_wrong_is_free(open_store: OpenStore) -> None:
    """A hold or a lease that would last longer than `LONGEST_HOLD` counts as ended. So a worker
    whose clock was days ahead blocks no other.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        days = 5 * 86_400.0
        put(store, item("1", "one", "two", vectors=False))
        one, two = fingerprints_of("one", "two")
        queue.hold([one], 100.0, 100.0 + LONGEST_HOLD)
        same(queue.waiting(9, 100.0), 1, "waiting beside the longest hold")
        given = queue.take(9, 100.0, 400.0)
        same(list(given.passages.values()), ["two"], "take beside the longest hold")
        queue.hold([one, two], days, days + 300.0)
        same(queue.waiting(9, 1_000.0), 2, "waiting beside a hold from the future")
        _, held = queue.hold([two], 1_000.0, 1_300.0)
        same(held, frozenset([two]), "hold beside a hold from the future")
        queue.open_job(job_of("j", 9_000.0), 9)
        queue.lease_job("j", "ahead", days, days + 3_600.0)
        leased = queue.lease_job("j", "ann", 9_000.0, 12_600.0)
        same(leased, True, "lease_job beside a lease from the future")
        leased = queue.lease_job("j", "bob", 9_000.0, 12_600.0)
        same(leased, False, "lease_job beside a lease that runs")


@Check
def what_a_provider_counted_is_what_is_charged(open_store: OpenStore) -> None:
    """`settle` charges the tokens that the provider counted, also for a passage that failed. A
    vector whose tokens were not counted costs by its characters. The job has the sum.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "x" * 20, "y" * 10, "z" * 40, "w", vectors=False))
        sent(queue, "j")
        good = vectors_of("x" * 20, "z" * 40)
        bad = fingerprints_of("y" * 10, "w")
        counted = {fingerprint_of("x" * 20): 7, bad[0]: 3, fingerprint_of("of another"): 100}
        for _ in range(2):
            queue.settle("j", good, dict.fromkeys(bad, "no"), RATE, 1.0, counted)
        cost = only(queue.costs(), "costs")
        same_fields(cost, "costs", passages=3, tokens=30)
        same_fields(queue.job("j"), "the job", paid=3, paid_tokens=30)


@Check
def what_a_job_costs_is_set_and_not_added(open_store: OpenStore) -> None:
    """`pay_job` sets the costs of a job to a sum, higher or lower than before, as often as it is
    called. The difference belongs to no collection.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "x" * 20, "y" * 10, vectors=False))
        sent(queue, "j")
        queue.settle("j", vectors_of("x" * 20), {}, RATE, 1.0, {fingerprint_of("x" * 20): 7})
        for passages, tokens in ((2, 12), (2, 12), (2, 11)):
            queue.pay_job("j", RATE, passages, tokens)
            same_fields(queue.job("j"), "the job", paid=passages, paid_tokens=tokens)
            same(tokens_in(queue), tokens, "tokens in the ledger")
        owners = {cost.collection: (cost.passages, cost.tokens) for cost in queue.costs()}
        same(owners, {"notes": (1, 7), "": (1, 4)}, "passages and tokens by collection")
        queue.pay_job("none", RATE, 9, 9)
        same(tokens_in(queue), 11, "tokens in the ledger after pay_job of no job")


@Check
def a_job_that_was_given_up_can_go_on(open_store: OpenStore) -> None:
    """`reopen_job` gives a FAILED job the status PROCESSING, and the passages that failed with it
    and that nobody else holds meanwhile. It does nothing for any other job.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", "three", "four", vectors=False))
        put(store, item("2", "five", vectors=False), item("3", "moved", vectors=False))
        sent(queue, "j")
        same(queue.reopen_job("j", 2.0, RATE, 0, 0), False, "reopen_job of an open job")
        queue.settle("j", vectors_of("one"), {}, RATE, 1.0)
        queue.pay_job("j", RATE, 4, 9)
        queue.note_job("j", 1.0, cancelled_at=1.0, answered_at=1.0)
        closed(queue, "j", "FAILED", 2.0, error="gone", rest="fail")
        queue.clean_job("j", 2.0)
        store.remove([Ref("notes", "2"), Ref("notes", "3")])
        put(store, item(Ref("others", "1"), "moved", vectors=False))
        queue.fill(vectors_of("two"))
        token, _ = queue.hold(fingerprints_of("three"), 3.0, 9.0)
        same(queue.reopen_job("j", 3.0, RATE, 1, 2), True, "reopen_job")
        job = queue.job("j")
        what = "the reopened job"
        same_fields(job, what, status="PROCESSING", ended_at=0.0, answered_at=0.0, cleaned=False)
        same_fields(job, what, cancelled_at=0.0, submitted_at=100.0)
        same_fields(job, what, paid=1, paid_tokens=2)
        same(tokens_in(queue), 2, "tokens in the ledger")
        same(held_by(queue, "j"), ["four", "moved"], "passages the reopened job holds")
        same(len(queue.given_up()), 0, "failed chunks after reopen_job")
        queue.release(token)
        failure = only(queue.given_up(), "given_up after the hold of another passage")
        same_fields(failure, "given_up", what="notes/1#2", reason="gone")
        same(queue.settle("j", vectors_of("four"), {}, RATE, 4.0), 1, "settle")
        closed(queue, "j", "FAILED", 4.0, error="cancelled", rest="free")
        same(statuses(queue, [ChunkId(Ref("others", "1"), 0)]), ["PENDING"], "state of the rest")
        nothing = queue.reopen_job("none", 5.0, RATE, 1, 1)
        same(nothing, False, "reopen_job of a job that does not exist")
        put(store, item("3", "six", vectors=False))
        queue.open_job(job_of("unsent"), 9)
        closed(queue, "unsent", "FAILED", 5.0, error="no", rest="fail")
        unsent = queue.reopen_job("unsent", 6.0, RATE, 1, 1)
        same(unsent, False, "reopen_job of a job that was never submitted")


@Check
def tenants_share_jobs_and_see_their_own(open_store: OpenStore) -> None:
    """A job holds passages of all tenants. Each tenant has its own numbers of chunks by state, and
    its own costs.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        queue = ledger_of(store)
        for owner, passages in (("ann", ["one", "two"]), ("bob", ["three"])):
            put(store, item(Ref("notes", "1", owner), *passages, vectors=False))
        same(sent(queue, "j").sent, 3, "passages of the job")
        queue.settle("j", vectors_of("one", "three"), {fingerprint_of("two"): "no"}, RATE, 1.0)
        counts: dict[str | None, tuple[int, int]] = {"ann": (1, 1), "bob": (1, 0), None: (2, 1)}
        for tenant, wanted in counts.items():
            stats = queue.queue_stats(tenant)
            found = stats.ready, stats.failed
            same(found, wanted, f"queue_stats of {tenant}: ready and failed")
        same([cost.tenant for cost in queue.costs()], ["ann", "bob"], "tenants of the costs")
        with raises(TenantRequired, "chunk_states without a tenant"):
            queue.chunk_states([ChunkId(Ref("notes", "1"), 0)])
        with raises(TenantRequired, "queue_stats of the tenant ''"):
            queue.queue_stats("")


@Check
def two_who_flush_at_once_share_the_queue(open_store: OpenStore) -> None:
    """Jobs that threads open at the same time never hold the same passage, and leave none out."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        numbers = count()
        jobs: list[BatchJob] = []
        put(store, item("1", *numbered("passage", 60), vectors=False))

        def flush() -> None:
            while True:
                job = queue.open_job(job_of(f"{next(numbers)}"), 4)
                if job is None:
                    return
                jobs.append(job)

        threads = [threading.Thread(target=flush) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held: list[str] = []
        for job in jobs:
            held += held_by(queue, job.id)
        same(len(held), 60, "passages that the jobs hold")
        same(len(set(held)), 60, "different passages that the jobs hold")
        same(sum(job.sent for job in jobs), 60, "sum of `sent` of the jobs")


@Check
def many_passages_keep_their_order_and_their_vectors(open_store: OpenStore) -> None:
    """A job with hundreds of passages, settled in pages and in another order, gives each chunk its
    own vector.
    """
    passages = numbered("passage", 300)
    whole = item("1", *passages, vectors=False)
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, whole)
        sent(queue, "j", limit=1_000)
        same(held_by(queue, "j"), passages, "passages the job holds, in order")
        shuffled = np.random.default_rng(5).permutation(passages).tolist()
        for start in range(0, 300, 70):
            page = shuffled[start : start + 70]
            queue.settle("j", vectors_of(*page), {}, RATE, 1.0)
        for id, passage in zip(whole.ids, passages, strict=True):
            similarity = float(store.similarity([id], vector_of(passage))[0])
            expect(
                similarity >= 0.999,
                f"similarity of {id} to its own vector: expected 1, found {similarity}.",
            )
        paid = sum(cost.passages for cost in queue.costs())
        same(paid, 300, "passages paid for")


SCHEDULES: tuple[Plan, ...] = (
    (),
    ((7, "crash"),),
    ((12, "crash"),),
    ((19, "crash"),),
    ((31, "crash"),),
    ((52, "crash"),),
    ((5, "jobs"),),
    ((14, "jobs"),),
    ((22, "jobs"),),
    ((9, "stall"),),
    ((17, "stall"),),
    ((6, "embed"),),
    ((11, "crash"), (30, "crash")),
)
"""Some of the plans that the stores of the product are tested with."""


@Check
def no_crash_loses_a_passage(open_store: OpenStore) -> None:
    """A worker may die at any call, and another worker may run between any two calls: no vector is
    wrong, and no passage is lost, stuck or paid for twice.
    """
    numbers = count()

    def opened() -> Any:
        store = open_store(embedder().space, f"schedules {next(numbers)}")
        ledger_of(store)
        return store

    plans: list[tuple[Plan, Shape]] = []
    for number, plan in enumerate(SCHEDULES):
        plans.append((plan, SHAPES[number % len(SHAPES)]))
    play_all(opened, plans)
