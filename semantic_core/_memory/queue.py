"""`MemoryJobLedger`: the batch jobs of a `MemoryStore`, and the reference for `BatchQueue`.

A state of the ledger never changes; a write replaces it.

Tested by tests/batch/test_manager.py and tests/contracts/test_queue_bites.py.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import attrs

from semantic_core._jobs import (
    LONGEST_HOLD,
    OPEN,
    PICO,
    STATUSES,
    BatchJob,
    ChunkStatus,
    Cost,
    Held,
    JobStatus,
    QueueStats,
    Rate,
    Rest,
)
from semantic_core.types import Entry, Failure

if TYPE_CHECKING:
    from semantic_core.types import Vector

_FORWARD: Mapping[JobStatus, int] = {status: place for place, status in enumerate(STATUSES)}


class Chunked(NamedTuple):
    """A chunk as the ledger sees it. number: grows with every chunk that is written. since: when
    its document was written, ISO 8601.
    """

    number: int
    entry: Entry
    since: str

    @property
    def owner(self) -> tuple[str, str]:
        """(tenant, collection)."""
        return self.entry.chunk.id.ref.tenant, self.entry.chunk.id.ref.collection


class Claim(NamedTuple):
    """Who embeds a passage. holder: the id of a job, or a token. until: when the claim ends by
    itself; None for the claim of a job.
    """

    holder: str
    number: int
    owner: tuple[str, str]
    characters: int
    until: float | None


class Trouble(NamedTuple):
    """A passage whose jobs failed. job: the last of them. failed: whether the passage is given up.
    most: most passages of its next job; None for no limit.
    """

    job: str
    attempts: int
    failed: bool
    error: str
    most: int | None = None


@attrs.frozen(eq=False)
class LedgerState:
    """Everything in the ledger.

    jobs: in the order in which they were opened. most: the limit of each job, see `Trouble`. costs:
    (passages, tokens, amount).
    """

    jobs: Mapping[str, BatchJob] = attrs.field(factory=dict)
    most: Mapping[str, int | None] = attrs.field(factory=dict)
    claims: Mapping[str, Claim] = attrs.field(factory=dict)
    troubles: Mapping[str, Trouble] = attrs.field(factory=dict)
    costs: Mapping[tuple[Any, ...], tuple[int, int, int]] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Contents:
    """What a ledger uses of its store.

    writing: the lock of all writes. read, write: the state of the ledger, which is part of the
    state of the store. chunks: all chunks. fill: gives stored passages their vectors. checked: a
    vector as it is stored; VectorInvalid if it cannot be.
    """

    writing: threading.RLock
    read: Callable[[], LedgerState]
    write: Callable[[LedgerState], None]
    chunks: Callable[[], list[Chunked]]
    fill: Callable[[Mapping[str, Vector]], int]
    checked: Callable[[Vector], Vector]


class LedgerDraft:
    """A state of the ledger that is being changed."""

    def __init__(self, state: LedgerState) -> None:
        self.jobs = dict(state.jobs)
        self.most = dict(state.most)
        self.claims = dict(state.claims)
        self.troubles = dict(state.troubles)
        self.costs = dict(state.costs)

    def state(self) -> LedgerState:
        """The changed state."""
        return LedgerState(self.jobs, self.most, self.claims, self.troubles, self.costs)

    def held_by(self, holder: str) -> dict[str, Claim]:
        """The claims of a holder, by fingerprint, in the order of their chunks."""
        held = []
        for name, claim in self.claims.items():
            if claim.holder == holder:
                held.append((claim.number, name))
        return {name: self.claims[name] for _, name in sorted(held)}

    def most_of(self, name: str) -> int | None:
        """Most passages of the next job with this passage; None for no limit."""
        trouble = self.troubles.get(name)
        return None if trouble is None else trouble.most

    def is_given_up(self, name: str) -> bool:
        """Whether this passage is not embedded any more."""
        trouble = self.troubles.get(name)
        return trouble is not None and trouble.failed

    def release(self, names: Collection[str]) -> None:
        """End the claims of these passages."""
        for name in names:
            self.claims.pop(name, None)

    def expire(self, now: float) -> None:
        """End the claims whose time is over, or that a wrong clock made too long."""
        for name, claim in list(self.claims.items()):
            if claim.until is not None and not now < claim.until <= now + LONGEST_HOLD:
                del self.claims[name]

    def charge(self, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Add costs: (passages, tokens) by (tenant, collection)."""
        for (tenant, collection), (count, tokens) in spent.items():
            key = (rate.day, tenant, collection, rate.model, rate.tier, rate.currency)
            counts, all_tokens, amount = self.costs.get(key, (0, 0, 0))
            self.costs[key] = (counts + count, all_tokens + tokens, amount + tokens * rate.pico)

    def pay(self, job: str, rate: Rate, passages: int, tokens: int) -> None:
        """Set what a job cost; the difference is charged."""
        there = self.jobs.get(job)
        if there is not None and (there.paid, there.paid_tokens) != (passages, tokens):
            self.charge(rate, {("", ""): (passages - there.paid, tokens - there.paid_tokens)})
            self.jobs[job] = attrs.evolve(there, paid=passages, paid_tokens=tokens)

    def pay_results(
        self, job: str, rate: Rate, paid: Mapping[str, Claim], tokens: Mapping[str, int]
    ) -> None:
        """Charge the results of these passages. tokens: of those that are known; the others are
        estimated from their characters.
        """
        counts = Counter[tuple[str, str]]()
        known = Counter[tuple[str, str]]()
        characters = Counter[tuple[str, str]]()
        for name, claim in paid.items():
            counts[claim.owner] += 1
            if name in tokens:
                known[claim.owner] += tokens[name]
            else:
                characters[claim.owner] += claim.characters
        spent = {}
        total = 0
        for owner, count in counts.items():
            estimated = round(characters[owner] * rate.tokens_per_character)
            spent[owner] = (count, known[owner] + estimated)
            total += known[owner] + estimated
        self.charge(rate, spent)
        there = self.jobs.get(job)
        if there is not None:
            self.jobs[job] = attrs.evolve(
                there, paid=there.paid + len(paid), paid_tokens=there.paid_tokens + total
            )


class MemoryJobLedger:
    """The methods of `BatchQueue`; see there. `MemoryStore` has one and passes calls on."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents

    @contextmanager
    def changing(self) -> Iterator[LedgerDraft]:
        """A draft that becomes the state unless the block raises."""
        with self.contents.writing:
            draft = LedgerDraft(self.state())
            yield draft
            self.contents.write(draft.state())

    def state(self) -> LedgerState:
        """The state that this thread reads."""
        return self.contents.read()

    def without_vector(self) -> dict[str, Chunked]:
        """The oldest chunk of each passage without a vector, by fingerprint, oldest first."""
        chunks: dict[str, Chunked] = {}
        for chunk in sorted(self.contents.chunks(), key=attrgetter("number")):
            if chunk.entry.vector is None:
                chunks.setdefault(chunk.entry.fingerprint, chunk)
        return chunks

    def free(self, draft: LedgerDraft, without: Collection[str]) -> dict[str, Chunked]:
        """Those of them that a new job could have. without: collections to leave out."""
        free = {}
        for name, chunk in self.without_vector().items():
            claimed = name in draft.claims
            if not claimed and not draft.is_given_up(name) and chunk.owner[1] not in without:
                free[name] = chunk
        return free

    def waiting(self, limit: int, now: float, *, except_collections: Collection[str] = ()) -> int:
        """See `BatchQueue.waiting`."""
        draft = LedgerDraft(self.state())
        draft.expire(now)
        return min(limit, len(self.free(draft, except_collections)))

    def waiting_size(self) -> tuple[int, int]:
        """See `BatchQueue.waiting_size`."""
        draft = LedgerDraft(self.state())
        sizes = []
        for name, chunk in self.without_vector().items():
            claim = draft.claims.get(name)
            in_job = claim is not None and claim.until is None
            if not in_job and not draft.is_given_up(name):
                sizes.append(len(chunk.entry.passage))
        return len(sizes), sum(sizes)

    def open_job(
        self, job: BatchJob, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.open_job`."""
        with self.changing() as draft:
            draft.expire(job.created_at)
            limits = set(map(draft.most_of, self.free(draft, except_collections)))
            if not limits:
                return None
            draft.jobs[job.id] = job
            draft.most[job.id] = None if None in limits else max(filter(None, limits))
            return self._grown(draft, job.id, limit, except_collections)

    def extend_job(
        self, job: str, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.extend_job`."""
        with self.changing() as draft:
            before = draft.jobs.get(job)
            if before is None or before.status != "CREATED":
                return None
            grown = self._grown(draft, job, limit, except_collections)
            return grown if grown != before else None

    def _grown(
        self, draft: LedgerDraft, job: str, limit: int, without: Collection[str]
    ) -> BatchJob:
        """The job with up to `limit` more passages: those with the same limit."""
        most = draft.most[job]
        room = limit if most is None else min(limit, most - draft.jobs[job].sent)
        for name, chunk in self.free(draft, without).items():
            if room <= 0:
                break
            if draft.most_of(name) == most:
                draft.claims[name] = _claim_of_job(job, chunk)
                room -= 1
        held = draft.held_by(job)
        characters = sum(claim.characters for claim in held.values())
        draft.jobs[job] = attrs.evolve(draft.jobs[job], sent=len(held), characters=characters)
        return draft.jobs[job]

    def passages_of(
        self, job: str, after: int = -1, limit: int = 1_000
    ) -> Sequence[tuple[int, str, str]]:
        """See `BatchQueue.passages_of`."""
        waiting = self.without_vector()
        page = []
        for name, claim in LedgerDraft(self.state()).held_by(job).items():
            if claim.number > after and name in waiting:
                page.append((claim.number, name, waiting[name].entry.passage))
        return page[:limit]

    def jobs(
        self,
        statuses: Collection[JobStatus] | None = None,
        *,
        limit: int = 100,
        cleaned: bool | None = None,
    ) -> Sequence[BatchJob]:
        """See `BatchQueue.jobs`."""
        jobs = []
        for job in self.state().jobs.values():
            of_status = statuses is None or job.status in statuses
            if of_status and cleaned in (None, job.cleaned):
                jobs.append(job)
        return jobs[max(0, len(jobs) - limit) :]

    def job(self, id: str) -> BatchJob | None:
        """See `BatchQueue.job`."""
        return self.state().jobs.get(id)

    def lease_job(self, job: str, owner: str, now: float, until: float) -> bool:
        """See `BatchQueue.lease_job`."""
        latest = now + max(2 * (until - now), LONGEST_HOLD)
        with self.changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status != "CREATED":
                return False
            if there.owner not in ("", owner) and now < there.leased_until <= latest:
                return False
            draft.jobs[job] = attrs.evolve(there, owner=owner, leased_until=until, updated_at=now)
            return True

    def note_job(
        self, job: str, now: float, *, status: JobStatus | None = None, **fields: Any
    ) -> bool:
        """See `BatchQueue.note_job`."""
        given = {name: value for name, value in fields.items() if value is not None}
        with self.changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status not in OPEN:
                return False
            provider_job = given.get("provider_job", there.provider_job)
            if there.provider_job and provider_job != there.provider_job:
                return False
            if status is not None:
                given["submitted_at"] = there.submitted_at or now
                given["status"] = max(status, there.status, key=_FORWARD.__getitem__)
            draft.jobs[job] = attrs.evolve(there, **given, updated_at=now)
            return True

    def settle(
        self,
        job: str,
        vectors: Mapping[str, Vector],
        failures: Mapping[str, str],
        rate: Rate | None,
        now: float,
        tokens: Mapping[str, int],
    ) -> int:
        """See `BatchQueue.settle`."""
        checked = {name: self.contents.checked(vector) for name, vector in vectors.items()}
        with self.contents.writing:
            held = LedgerDraft(self.state()).held_by(job)
            good = {}
            paid = {}
            for name, vector in checked.items():
                if name in held:
                    good[name] = vector
                    paid[name] = held[name]
            bad = {}
            for name, why in failures.items():
                if name in held and name not in good:
                    bad[name] = why
                    if name in tokens:
                        paid[name] = held[name]
            self.contents.fill(good)
            with self.changing() as draft:
                draft.release([*good, *bad])
                for name in good:
                    draft.troubles.pop(name, None)
                for name, why in bad.items():
                    draft.troubles[name] = Trouble(job, 1, True, why)
                there = draft.jobs.get(job)
                if there is not None:
                    draft.jobs[job] = attrs.evolve(
                        there,
                        succeeded=there.succeeded + len(good),
                        failed=there.failed + len(bad),
                        updated_at=now,
                    )
                if rate is not None:
                    draft.pay_results(job, rate, paid, tokens)
        return len(good) + len(bad)

    def pay_job(self, job: str, rate: Rate, passages: int, tokens: int) -> None:
        """See `BatchQueue.pay_job`."""
        with self.changing() as draft:
            draft.pay(job, rate, passages, tokens)

    def reopen_job(
        self, job: str, now: float, rate: Rate | None, passages: int, tokens: int
    ) -> bool:
        """See `BatchQueue.reopen_job`."""
        with self.changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status != "FAILED" or not there.provider_job:
                return False
            waiting = self.without_vector()
            for name, trouble in list(draft.troubles.items()):
                given_up = trouble.job == job and trouble.failed and name in waiting
                if given_up and name not in draft.claims:
                    draft.claims[name] = _claim_of_job(job, waiting[name])
                    del draft.troubles[name]
            draft.jobs[job] = attrs.evolve(
                there,
                status="PROCESSING",
                ended_at=0.0,
                answered_at=0.0,
                cancelled_at=0.0,
                cleaned=False,
                updated_at=now,
            )
            if rate is not None:
                draft.pay(job, rate, passages, tokens)
            return True

    def close_job(
        self, job: str, status: JobStatus, now: float, *, error: str, rest: Rest, attempts: int
    ) -> bool:
        """See `BatchQueue.close_job`."""
        with self.changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status not in OPEN:
                return False
            if status == "COMPLETED" and not there.provider_job:
                return False
            draft.jobs[job] = attrs.evolve(
                there,
                status=status,
                error=error,
                ended_at=now,
                updated_at=now,
                cleaned=not there.provider_job,
            )
            held = draft.held_by(job)
            draft.release(held)
            if rest != "free":
                for name in held:
                    before = draft.troubles.get(name)
                    draft.troubles[name] = _troubled(before, there, error, rest, attempts)
            return True

    def clean_job(self, job: str, now: float) -> None:
        """See `BatchQueue.clean_job`."""
        with self.changing() as draft:
            if job in draft.jobs:
                draft.jobs[job] = attrs.evolve(draft.jobs[job], cleaned=True, updated_at=now)

    def drop_job(self, job: str) -> bool:
        """See `BatchQueue.drop_job`."""
        with self.changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status != "CREATED" or there.provider_job:
                return False
            draft.release(draft.held_by(job))
            del draft.jobs[job]
            del draft.most[job]
            return True

    def hold(
        self, fingerprints: Collection[str], now: float, until: float, token: str
    ) -> tuple[str, frozenset[str]]:
        """See `BatchQueue.hold`."""
        token = token or uuid4().hex
        with self.changing() as draft:
            draft.expire(now)
            for name, claim in draft.held_by(token).items():
                draft.claims[name] = claim._replace(until=until)
            held = set()
            for name in fingerprints:
                claim = draft.claims.setdefault(name, _claim_of_run(token, until))
                if claim.holder == token:
                    held.add(name)
            return token, frozenset(held)

    def take(
        self,
        limit: int,
        now: float,
        until: float,
        *,
        from_jobs: bool = False,
        collections: Collection[str] | None = None,
    ) -> Held:
        """See `BatchQueue.take`."""
        token = uuid4().hex
        with self.changing() as draft:
            draft.expire(now)
            of_jobs = {}
            for name, claim in draft.claims.items():
                if from_jobs and claim.until is None:
                    of_jobs[name] = claim
            draft.release(of_jobs)
            taken: dict[str, Chunked] = {}
            for name, chunk in self.free(draft, ()).items():
                wanted = collections is None or chunk.owner[1] in collections
                if wanted and len(taken) < limit:
                    taken[name] = chunk
            draft.claims |= of_jobs
            for name in taken:
                draft.claims[name] = _claim_of_run(token, until)
        passages = {name: chunk.entry.passage for name, chunk in taken.items()}
        return Held(token, passages, {name: chunk.owner for name, chunk in taken.items()})

    def held(self, holder: str, fingerprints: Collection[str]) -> frozenset[str]:
        """See `BatchQueue.held`."""
        return frozenset(LedgerDraft(self.state()).held_by(holder).keys() & set(fingerprints))

    def release(self, token: str) -> None:
        """See `BatchQueue.release`."""
        with self.changing() as draft:
            held = draft.held_by(token)
            draft.release([name for name, claim in held.items() if claim.until is not None])

    def retry(self, job: str | None = None) -> int:
        """See `BatchQueue.retry`."""
        with self.changing() as draft:
            waiting = self.without_vector()
            count = 0
            for name, trouble in list(draft.troubles.items()):
                again = trouble.failed and job in (None, trouble.job)
                if again or name not in waiting:
                    del draft.troubles[name]
                if again and name in waiting:
                    count += 1
            return count

    def state_of(self, entry: Entry) -> tuple[ChunkStatus, str]:
        """The status of a chunk, and why it failed; "" for another status."""
        state = self.state()
        trouble = state.troubles.get(entry.fingerprint)
        if entry.vector is not None:
            return "READY", ""
        if entry.fingerprint in state.claims:
            return "SUBMITTED", ""
        if trouble is not None and trouble.failed:
            return "FAILED", trouble.error
        return "PENDING", ""

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """See `BatchQueue.given_up`."""
        failures = []
        for chunk in sorted(self.contents.chunks(), key=attrgetter("number")):
            status, why = self.state_of(chunk.entry)
            if status == "FAILED":
                failures.append(Failure(str(chunk.entry.chunk.id), status, why))
        return failures[:limit]

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """See `BatchQueue.queue_stats`."""
        counts = Counter[ChunkStatus]()
        pending = []
        for chunk in self.contents.chunks():
            if tenant is None or chunk.owner[0] == tenant:
                status, _ = self.state_of(chunk.entry)
                counts[status] += 1
                if status == "PENDING":
                    pending.append(chunk)
        oldest = min(pending, key=attrgetter("number"), default=None)
        of_status = Counter(job.status for job in self.state().jobs.values())
        return QueueStats(
            ready=counts["READY"],
            pending=counts["PENDING"],
            submitted=counts["SUBMITTED"],
            failed=counts["FAILED"],
            passages=len({chunk.entry.fingerprint for chunk in pending}),
            oldest_at=datetime.fromisoformat(oldest.since).timestamp() if oldest else 0.0,
            jobs={status: of_status[status] for status in STATUSES},
        )

    def charge(self, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """See `BatchQueue.charge`."""
        with self.changing() as draft:
            draft.charge(rate, spent)

    def costs(self, since: str = "", until: str = "9") -> Sequence[Cost]:
        """See `BatchQueue.costs`."""
        costs = []
        for key, (passages, tokens, amount) in sorted(self.state().costs.items()):
            day, tenant, collection, model, tier, currency = key
            if since <= day <= until:
                exact = Decimal(amount) / PICO
                costs.append(
                    Cost(day, tenant, collection, model, tier, passages, tokens, exact, currency)
                )
        return costs


def _claim_of_job(job: str, chunk: Chunked) -> Claim:
    return Claim(job, chunk.number, chunk.owner, len(chunk.entry.passage), None)


def _claim_of_run(token: str, until: float) -> Claim:
    return Claim(token, 0, ("", ""), 0, until)


def _troubled(
    before: Trouble | None, job: BatchJob, error: str, rest: Rest, attempts: int
) -> Trouble:
    """What becomes of a passage whose job ended without a result for it."""
    times = before.attempts + 1 if before else 1
    most = before.most if before else None
    if rest == "halve":
        failed = times >= 2 and job.sent == 1
        if times >= 2 and job.sent > 1:
            most = (job.sent + 1) // 2
    else:
        failed = rest == "fail" or times >= attempts
    return Trouble(job.id, times, failed, error or "No result came back.", most)
