"""Ledgers of batch jobs broken on purpose, and the check of the kit that catches each."""

from __future__ import annotations

import time
from operator import attrgetter
from typing import Any

import attrs
import pytest
from mutants import CaughtBy, opener

from semantic_core._memory.queue import Claim, LedgerDraft, LedgerState, MemoryJobLedger
from semantic_core._memory.store import MemoryStore
from semantic_core.testing import store_checks
from semantic_core.testing.check import checks_in
from semantic_core.testing.stores import batches

caught_by = CaughtBy()
CHECKS = {str(check): check for check in store_checks(persistent=True)}
UNTOLD: dict[str, int] = {}


class Shelf(MemoryStore):
    """A MemoryStore that stays on a shelf when closed."""

    shelf: dict[str, Any] = {}

    def __init__(self, space, path, *, multi_tenant=False):
        super().__init__(space, multi_tenant=multi_tenant)
        self._path = path
        self._state = self.shelf.get(path, self._state)

    def close(self):
        self.shelf.setdefault(self._path, self.kept())
        super().close()

    def kept(self):
        return self._state


@caught_by("jobs_outlive_the_process")
class LedgerForgotten(Shelf):
    def kept(self):
        return attrs.evolve(self._state, ledger=LedgerState())


class OtherLedger(MemoryStore):
    """A MemoryStore with a broken ledger."""

    ledger = MemoryJobLedger

    def __init__(self, space, **options):
        super().__init__(space, **options)
        self._ledger = self.ledger(self._contents())


@caught_by("a_job_holds_what_has_waited_longest")
class NewestFirst(OtherLedger):
    class ledger(MemoryJobLedger):
        def free(self, draft, without):
            return dict(reversed(super().free(draft, without).items()))


@caught_by("a_job_holds_what_has_waited_longest")
class PendingWithoutThoseOfJobs(MemoryStore):
    def pending(self, limit, after=-1):
        chunks = super().pending(10**6, after)
        return [one for one in chunks if one.fingerprint not in self._state.ledger.claims][:limit]


@caught_by("a_job_holds_what_has_waited_longest")
class EverythingIsHeld(OtherLedger):
    class ledger(MemoryJobLedger):
        def held(self, holder, fingerprints):
            return frozenset(fingerprints)


@caught_by("what_a_job_holds_is_nobody_elses")
class ClaimsGoWithTheText(MemoryStore):
    """What is edited away and comes back is paid for a second time."""

    def remove(self, refs, stamps=None):
        gone = super().remove(refs, stamps)
        with self._ledger.changing() as draft:
            draft.release(draft.claims.keys() - self._ledger.without_vector().keys())
        return gone


@caught_by("a_job_may_leave_collections_out")
class CollectionsIgnored(OtherLedger):
    class ledger(MemoryJobLedger):
        def free(self, draft, without):
            return super().free(draft, ())


@caught_by("an_equal_passage_is_paid_by_whoever_has_waited_longest")
class LatestPays(OtherLedger):
    class ledger(MemoryJobLedger):
        def without_vector(self):
            chunks = {}
            for name, oldest in super().without_vector().items():
                equal = [one for one in self.contents.chunks() if one.entry.fingerprint == name]
                chunks[name] = max(equal, key=attrgetter("number"))._replace(number=oldest.number)
            return chunks


@caught_by("passages_come_page_by_page")
class EmptyPageTooEarly(MemoryStore):
    """A page is cut first, and what nobody wants is left out of it then."""

    def passages_of(self, job, after=-1, limit=1_000):
        held = [
            claim.number
            for name, claim in self._ledger.state().claims.items()
            if claim.holder == job and claim.number > after
        ]
        return [
            row for row in super().passages_of(job, after, 1_000) if row[0] in sorted(held)[:limit]
        ]


@caught_by("a_result_is_settled_once")
class SettlesForAnyone(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        return max(self.fill(vectors), super().settle(job, vectors, failures, rate, now, tokens))


@caught_by("a_result_is_settled_once")
class FailureBesideItsVectorCounts(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        settled = super().settle(job, vectors, failures, rate, now, tokens)
        both = vectors.keys() & failures.keys()
        with self._ledger.changing() as draft:
            if job in draft.jobs:
                there = draft.jobs[job]
                draft.jobs[job] = attrs.evolve(there, failed=there.failed + len(both))
        return settled


@caught_by("a_failure_is_stored_with_its_reason")
class FailuresTriedForEver(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        settled = super().settle(job, vectors, failures, rate, now, tokens)
        with self._ledger.changing() as draft:
            for name in failures:
                draft.troubles.pop(name, None)
        return settled


@caught_by("whoever_holds_a_refused_passage_can_give_it_up")
class SettlesForJobsOnly(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        return super().settle(job, vectors, failures, rate, now, tokens) if self.job(job) else 0


@caught_by("a_new_job_is_one_submitters")
class ZeroIsNothing(MemoryStore):
    """A time that is taken back stays."""

    def note_job(self, job, now, **fields):
        return super().note_job(job, now, **{name: one or None for name, one in fields.items()})


@caught_by("a_bad_result_settles_nothing")
class SettlesOneByOne(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        settle = super().settle
        return sum(
            settle(job, {name: vector}, {}, rate, now) for name, vector in vectors.items()
        ) + settle(job, {}, failures, rate, now)


@caught_by("a_late_result_finds_no_taker")
class ResultsByPlace(MemoryStore):
    """A result goes to the chunk its passage stood in, whatever stands there now."""

    places: dict[str, Any] = {}

    def open_job(self, job, limit, *, except_collections=()):
        self.places = {
            name: chunk.entry.chunk.id for name, chunk in self._ledger.without_vector().items()
        }
        return super().open_job(job, limit, except_collections=except_collections)

    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        standing = {chunk.entry.chunk.id: chunk.entry.fingerprint for chunk in self._chunks()}
        there = {standing.get(self.places.get(name)): vector for name, vector in vectors.items()}
        self.fill({name: vector for name, vector in there.items() if name})
        return super().settle(job, vectors, failures, rate, now, tokens)


@caught_by("a_job_ends_once")
class EndsTwice(MemoryStore):
    def close_job(self, job, status, now, **named):
        if not super().close_job(job, status, now, **named) and self.job(job):
            with self._ledger.changing() as draft:
                draft.jobs[job] = attrs.evolve(draft.jobs[job], status=status, error=named["error"])
            return True
        return self.job(job) is not None


@caught_by("a_job_ends_once")
class HoldsForEver(MemoryStore):
    def close_job(self, job, status, now, **named):
        held = {
            name: claim
            for name, claim in self._ledger.state().claims.items()
            if claim.holder == job
        }
        ended = super().close_job(job, status, now, **named)
        with self._ledger.changing() as draft:
            draft.claims |= held
        return ended


@caught_by("what_comes_back_without_a_result_is_tried_so_often")
class TriedWithoutEnd(MemoryStore):
    def close_job(self, job, status, now, **named):
        return super().close_job(job, status, now, **{**named, "attempts": 1_000})


@caught_by("what_comes_back_without_a_result_is_tried_so_often")
class LostOnesPaidAgain(MemoryStore):
    def close_job(self, job, status, now, **named):
        return super().close_job(
            job, status, now, **{**named, "rest": named["rest"].replace("fail", "again")}
        )


@caught_by("a_failure_is_stored_with_its_reason")
class RetryCountsWhatIsGone(MemoryStore):
    def retry(self, job=None):
        troubles = self._ledger.state().troubles.values()
        super().retry(job)
        return sum(trouble.failed and job in (None, trouble.job) for trouble in troubles)


@caught_by("a_failure_is_stored_with_its_reason")
class GivenUpNewestFirst(MemoryStore):
    def given_up(self, limit=100):
        return super().given_up(1_000)[::-1][:limit]


@caught_by("a_failure_is_stored_with_its_reason")
class FailuresAreNotCounted(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        settled = super().settle(job, vectors, failures, rate, now, tokens)
        with self._ledger.changing() as draft:
            if job in draft.jobs:
                draft.jobs[job] = attrs.evolve(draft.jobs[job], failed=0)
        return settled


@caught_by("what_comes_back_without_a_result_is_tried_so_often")
class EveryJobCountsAsATry(MemoryStore):
    def close_job(self, job, status, now, **named):
        rest = named["rest"].replace("free", "again")
        return super().close_job(job, status, now, **{**named, "rest": rest})


@caught_by("a_vector_ends_what_failed_before")
class FailuresAreNeverForgotten(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        before = self._ledger.state().troubles
        settled = super().settle(job, vectors, failures, rate, now, tokens)
        with self._ledger.changing() as draft:
            draft.troubles = {**before, **draft.troubles}
        return settled


@caught_by("one_bad_passage_is_found_by_halving")
class NeverHalves(MemoryStore):
    """The good ones are given up with the bad one."""

    def close_job(self, job, status, now, **named):
        return super().close_job(
            job, status, now, **{**named, "rest": named["rest"].replace("halve", "again")}
        )


@caught_by("one_bad_passage_is_found_by_halving")
class LastSuspectForgotten(OtherLedger):
    class ledger(MemoryJobLedger):
        def free(self, draft, without):
            suspects = [name for name in self.without_vector() if draft.most_of(name)]
            alone = len(suspects) == len(self.without_vector()) == 1
            return {} if alone else super().free(draft, without)


@caught_by("a_halved_job_is_not_extended_beyond_its_half")
class EachExtensionHasTheLimit(OtherLedger):
    class ledger(MemoryJobLedger):
        def _grown(self, draft, job, limit, without):
            most, sent = draft.most[job], draft.jobs[job].sent
            if most is not None:
                draft.most[job] = most + sent
                for name in self.free(draft, without):
                    trouble = draft.troubles[name]
                    draft.troubles[name] = trouble._replace(most=most + sent)
            return super()._grown(draft, job, limit, without)


@caught_by("a_new_job_is_one_submitters")
class LeaseForEveryone(MemoryStore):
    def lease_job(self, job, owner, now, until):
        return super().lease_job(
            job, owner, max(now, self._ledger.state().jobs[job].leased_until), until
        )


@caught_by("a_new_job_is_one_submitters")
class LastNameWins(MemoryStore):
    def note_job(self, job, now, *, status=None, provider_job=None, **fields):
        with self._ledger.changing() as draft:
            draft.jobs[job] = attrs.evolve(
                draft.jobs[job], provider_job=provider_job or draft.jobs[job].provider_job
            )
        return super().note_job(job, now, status=status, **fields)


@caught_by("a_new_job_is_one_submitters")
class StatusGoesBack(MemoryStore):
    def note_job(self, job, now, *, status=None, **fields):
        noted = super().note_job(job, now, status=status, **fields)
        with self._ledger.changing() as draft:
            if noted and status:
                draft.jobs[job] = attrs.evolve(draft.jobs[job], status=status)
        return noted


@caught_by("a_job_that_was_never_sent_can_be_dropped")
class ExtendsWhatWasSent(MemoryStore):
    def extend_job(self, job, limit, *, except_collections=()):
        if self.job(job) is None:
            return None
        with self._ledger.changing() as draft:
            return self._ledger._grown(draft, job, limit, except_collections)


@caught_by("a_job_that_was_never_sent_can_be_dropped")
class DropsWhatWasSent(MemoryStore):
    def drop_job(self, job):
        there = self.job(job)
        with self._ledger.changing() as draft:
            draft.release(draft.held_by(job))
            draft.jobs.pop(job, None)
        return there is not None


@caught_by("what_is_being_embedded_is_held_for_a_time")
class HoldsBothAtOnce(MemoryStore):
    def hold(self, fingerprints, now, until, token=""):
        token, _ = super().hold(fingerprints, now, until, token)
        return token, frozenset(fingerprints)


@caught_by("what_is_being_embedded_is_held_for_a_time")
class HeldUntilTheEnd(MemoryStore):
    """A process that died keeps its passages for ever."""

    def hold(self, fingerprints, now, until, token=""):
        return super().hold(fingerprints, now, float("inf"), token)


@caught_by("what_is_being_embedded_is_held_for_a_time")
class ReleaseTakesFromJobs(MemoryStore):
    def release(self, token):
        with self._ledger.changing() as draft:
            draft.release(
                {
                    name
                    for name, claim in draft.claims.items()
                    if claim.holder == token or claim.until is None
                }
            )


@caught_by("a_vector_that_came_another_way_counts")
class EqualPassagesCountEach(MemoryStore):
    def queue_stats(self, tenant=None):
        stats = super().queue_stats(tenant)
        return attrs.evolve(stats, passages=stats.pending)


@caught_by("a_vector_that_came_another_way_counts")
class SentAlthoughReady(MemoryStore):
    def passages_of(self, job, after=-1, limit=1_000):
        passages = {chunk.entry.fingerprint: chunk.entry.passage for chunk in self._chunks()}
        held = [
            (claim.number, name)
            for name, claim in self._ledger.state().claims.items()
            if claim.holder == job
        ]
        return [
            (place, name, passages[name])
            for place, name in sorted(held)
            if place > after and name in passages
        ][:limit]


@caught_by("a_vector_that_came_another_way_counts")
class ResultsReplaceVectors(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        documents = {
            ref: attrs.evolve(
                kept,
                rows=tuple(
                    attrs.evolve(
                        row,
                        entry=attrs.evolve(
                            row.entry, vector=vectors.get(row.entry.fingerprint, row.entry.vector)
                        ),
                    )
                    for row in kept.rows
                ),
            )
            for ref, kept in self._state.documents.items()
        }
        settled = super().settle(job, vectors, failures, rate, now, tokens)
        self._state = attrs.evolve(self._state, documents=documents)
        return settled


@caught_by("what_results_cost_is_written_down_once")
class EveryReadingIsCharged(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        settled = super().settle(job, vectors, failures, rate, now, tokens)
        if rate is not None and not settled:
            self.charge(rate, {("", "a"): (1, 1)})
        return settled


@caught_by("what_results_cost_is_written_down_once")
class OnlyTheLastPassageOfAnAccountIsCharged(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        last = {}
        for ref, kept in self._state.documents.items():
            for row in kept.rows:
                if row.entry.fingerprint in vectors:
                    last[ref.tenant, ref.collection] = row.entry.fingerprint
        charged = {name: vectors[name] for name in last.values()}
        others = {name: vectors[name] for name in vectors.keys() - charged.keys()}
        settled = super().settle(job, charged, {}, rate, now, tokens)
        return settled + super().settle(job, others, failures, None, now, tokens)


@caught_by("what_is_held_by_a_clock_that_was_wrong_is_free")
class AnyHoldCounts(MemoryStore):
    def hold(self, fingerprints, now, until, token=""):
        latest = [
            c.until for c in self._ledger.state().claims.values() if c.until and c.until > now
        ]
        return super().hold(fingerprints, max(latest, default=now + 1) - 1, until, token)


@caught_by("what_is_held_by_a_clock_that_was_wrong_is_free")
class AnyLeaseCounts(MemoryStore):
    def lease_job(self, job, owner, now, until):
        there = self._ledger.state().jobs[job]
        if there.leased_until > now and there.owner not in ("", owner):
            return False
        return super().lease_job(job, owner, now, until)


@caught_by("what_a_provider_counted_is_what_is_charged")
class EstimatesAreCharged(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        return super().settle(job, vectors, failures, rate, now)


@caught_by("what_a_provider_counted_is_what_is_charged")
class WhatOthersWaitForIsCharged(MemoryStore):
    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        settled = super().settle(job, vectors, failures, rate, now, tokens)
        if rate is not None and tokens.keys() - vectors.keys() - failures.keys():
            self.charge(rate, {("", ""): (1, 100)})
        return settled


@caught_by("what_a_job_costs_is_set_and_not_added")
class PaidAgainEachTime(MemoryStore):
    def pay_job(self, job, rate, passages, tokens):
        if self.job(job) is not None:
            self.charge(rate, {("", ""): (passages, tokens)})


@caught_by("what_a_job_costs_is_set_and_not_added")
class PaidUpwardsOnly(MemoryStore):
    def pay_job(self, job, rate, passages, tokens):
        there = self.job(job)
        if there is not None and tokens > there.paid_tokens:
            super().pay_job(job, rate, passages, tokens)


@caught_by("a_job_that_was_given_up_can_go_on")
class GoesOnWithNothing(MemoryStore):
    def reopen_job(self, job, now, rate, passages, tokens):
        with self._ledger.changing() as draft:
            kept = draft.troubles
            draft.troubles = {}
        reopened = super().reopen_job(job, now, rate, passages, tokens)
        with self._ledger.changing() as draft:
            draft.troubles = kept
        return reopened


@caught_by("a_job_that_was_given_up_can_go_on")
class GoesOnWithinItsCollections(OtherLedger):
    class ledger(MemoryJobLedger):
        def reopen_job(self, job, now, rate, passages, tokens):
            reopened = super().reopen_job(job, now, rate, passages, tokens)
            with self.changing() as draft:
                for name, claim in list(draft.claims.items()):
                    if claim.owner != ("", "notes") and claim.until is None:
                        del draft.claims[name]
            return reopened


@caught_by("a_job_that_was_given_up_can_go_on")
class GoesOnUnforgiven(MemoryStore):
    def reopen_job(self, job, now, rate, passages, tokens):
        before = self._ledger.state().troubles
        reopened = super().reopen_job(job, now, rate, passages, tokens)
        with self._ledger.changing() as draft:
            draft.troubles = dict(before)
        return reopened


@caught_by("a_job_that_was_given_up_can_go_on")
class StaysCancelled(MemoryStore):
    def reopen_job(self, job, now, rate, passages, tokens):
        before = self.job(job)
        reopened = super().reopen_job(job, now, rate, passages, tokens)
        if reopened:
            self.note_job(job, now, cancelled_at=before.cancelled_at)
        return reopened


@caught_by("a_job_that_was_given_up_can_go_on")
class EstimatesStay(MemoryStore):
    def reopen_job(self, job, now, rate, passages, tokens):
        return super().reopen_job(job, now, None, passages, tokens)


@caught_by("a_job_that_was_given_up_can_go_on")
class GoesOnWithWhatOthersHold(MemoryStore):
    def reopen_job(self, job, now, rate, passages, tokens):
        with self._ledger.changing() as draft:
            draft.claims = {n: claim for n, claim in draft.claims.items() if claim.until is None}
        return super().reopen_job(job, now, rate, passages, tokens)


@caught_by("a_job_that_was_given_up_can_go_on")
class ForgivesWhatOthersHold(MemoryStore):
    def reopen_job(self, job, now, rate, passages, tokens):
        reopened = super().reopen_job(job, now, rate, passages, tokens)
        with self._ledger.changing() as draft:
            draft.troubles = {}
        return reopened


@caught_by("what_results_cost_is_written_down_once")
class CostsGoWithTheTexts(MemoryStore):
    def remove(self, refs, stamps=None):
        with self._ledger.changing() as draft:
            draft.costs = {}
        return super().remove(refs, stamps)


@caught_by("tenants_share_jobs_and_see_their_own")
class StatsOfEveryone(MemoryStore):
    def queue_stats(self, tenant=None):
        super().queue_stats(tenant)
        return super().queue_stats(None)


@caught_by("two_who_flush_at_once_share_the_queue")
class LooksThenHolds(MemoryStore):
    """What waits is looked up before the ledger is locked."""

    def open_job(self, job, limit, *, except_collections=()):
        free = list(self._ledger.free(LedgerDraft(self._ledger.state()), ()).items())[:limit]
        time.sleep(0.001)
        with self._ledger.changing() as draft:
            if not free:
                return None
            draft.jobs[job.id], draft.most[job.id] = attrs.evolve(job, sent=len(free)), None
            draft.claims |= {
                name: Claim(job.id, chunk.number, chunk.owner, 1, None) for name, chunk in free
            }
            return draft.jobs[job.id]


@caught_by("many_passages_keep_their_order_and_their_vectors")
class ResultsInOrderOfTheirNames(MemoryStore):
    """What many a bulk update does: names and vectors are put together anew,
    each in an order of its own.
    """

    def settle(self, job, vectors, failures, rate, now, tokens=UNTOLD):
        names = sorted(vectors) if len(vectors) > 20 else list(vectors)
        return super().settle(
            job, dict(zip(names, vectors.values(), strict=True)), failures, rate, now
        )


@caught_by("no_crash_loses_a_passage")
class UnsentJobsForgotten(MemoryStore):
    """A worker that died between the ledger and the provider leaves passages nobody asks for."""

    def jobs(self, statuses=None, *, limit=100, cleaned=None):
        return [
            job for job in super().jobs(statuses, limit=limit, cleaned=cleaned) if job.provider_job
        ]


@pytest.mark.parametrize(
    "check", [CHECKS[name] for name in sorted(set(caught_by.values()))], ids=str
)
def test_the_store_mutants_are_made_from_is_sound(check):
    check(opener(Shelf))


@pytest.mark.parametrize("mutant", caught_by, ids=lambda mutant: mutant.__name__)
def test_a_broken_ledger_is_caught(mutant):
    with pytest.raises(AssertionError):
        CHECKS[caught_by[mutant]](opener(mutant))


def test_every_check_of_the_ledger_has_a_mutant():
    assert {str(check) for check in checks_in(batches)} | {"jobs_outlive_the_process"} == set(
        caught_by.values()
    )
