"""MemoryQueue: what MemoryStore is as a `BatchQueue`, and the reference for it.

A state is never changed, only replaced.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
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
from semantic_core.types import ChunkId, Entry, Failure

if TYPE_CHECKING:
    from semantic_core.types import Vector

_FORWARD: Mapping[JobStatus, int] = {status: place for place, status in enumerate(STATUSES)}


class Chunked(NamedTuple):
    """A chunk as the queue sees it. number: grows with age.
    since: when its document was written, ISO 8601.
    """

    number: int
    entry: Entry
    since: str

    @property
    def owner(self) -> tuple[str, str]:
        """(tenant, collection)."""
        return self.entry.chunk.id.ref.tenant, self.entry.chunk.id.ref.collection


class Claim(NamedTuple):
    """holder: of a job its id, else a token. until: when it ends by itself; None for a job's."""

    holder: str
    number: int
    owner: tuple[str, str]
    characters: int
    until: float | None


class Trouble(NamedTuple):
    """A passage that was in jobs in vain. most: passages a job it is in may hold;
    None for any number.
    """

    job: str
    attempts: int
    failed: bool
    error: str
    most: int | None = None


@attrs.frozen(eq=False)
class Queue:
    """All there is. jobs: in order of their opening. most: kind of a job, see `Trouble`. costs:
    (passages, tokens, amount)."""

    jobs: Mapping[str, BatchJob] = attrs.field(factory=dict)
    most: Mapping[str, int | None] = attrs.field(factory=dict)
    claims: Mapping[str, Claim] = attrs.field(factory=dict)
    troubles: Mapping[str, Trouble] = attrs.field(factory=dict)
    costs: Mapping[tuple[Any, ...], tuple[int, int, int]] = attrs.field(factory=dict)


class _Draft:
    """A queue being changed."""

    def __init__(self, queue: Queue) -> None:
        self.jobs = dict(queue.jobs)
        self.most = dict(queue.most)
        self.claims = dict(queue.claims)
        self.troubles = dict(queue.troubles)
        self.costs = dict(queue.costs)

    def held_by(self, holder: str) -> dict[str, Claim]:
        """Its claims in its own order."""
        held = [(name, claim) for name, claim in self.claims.items() if claim.holder == holder]
        return dict(sorted(held, key=lambda each: (each[1].number, each[0])))

    def let_go(self, names: Collection[str]) -> None:
        self.claims = {name: claim for name, claim in self.claims.items() if name not in names}

    def expire(self, now: float) -> None:
        self.let_go(
            {
                name
                for name, claim in self.claims.items()
                if claim.until is not None and not now < claim.until <= now + LONGEST_HOLD
            }
        )

    def charge(self, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        for (tenant, collection), (count, tokens) in spent.items():
            key = (rate.day, tenant, collection, rate.model, rate.tier, rate.currency)
            before = self.costs.get(key, (0, 0, 0))
            self.costs[key] = (
                before[0] + count,
                before[1] + tokens,
                before[2] + tokens * rate.pico,
            )

    def pay(self, job: str, rate: Rate, passages: int, tokens: int) -> None:
        there = self.jobs.get(job)
        if there is not None and (there.paid, there.paid_tokens) != (passages, tokens):
            self.charge(rate, {("", ""): (passages - there.paid, tokens - there.paid_tokens)})
            self.jobs[job] = attrs.evolve(there, paid=passages, paid_tokens=tokens)


class MemoryQueue:
    """The members of `BatchQueue` but for `pending` and `fill`, which are the store's.

    See there.
    """

    _writing: threading.RLock

    if TYPE_CHECKING:  # what the store gives

        def _queue(self) -> Queue: ...
        def _put_queue(self, queue: Queue) -> None: ...
        def _chunks(self) -> list[Chunked]: ...
        def _entries(self, ids: Sequence[ChunkId]) -> list[Entry | None]: ...
        def _as_kept(self, vector: Vector) -> Vector: ...
        def fill(self, vectors: Mapping[str, Vector]) -> int: ...
        def pending(self, limit: int) -> Mapping[str, str]: ...

    @contextmanager
    def _changing(self) -> Iterator[_Draft]:
        """A draft that becomes the state unless the block raises."""
        with self._writing:
            draft = _Draft(self._queue())
            yield draft
            self._put_queue(
                Queue(draft.jobs, draft.most, draft.claims, draft.troubles, draft.costs)
            )

    def bulk_update_vectors(self, vectors: Mapping[str, Vector]) -> int:
        """`VectorQueue.fill` under the name users know."""
        return self.fill(vectors)

    def _waiting(self) -> dict[str, Chunked]:
        """The oldest chunk of each passage without a vector."""
        found: dict[str, Chunked] = {}
        for chunk in sorted(self._chunks(), key=lambda chunk: chunk.number):
            if chunk.entry.vector is None:
                found.setdefault(chunk.entry.fingerprint, chunk)
        return found

    def _free(self, queue: Queue | _Draft, without: Collection[str]) -> dict[str, Chunked]:
        """Those of them a job could hold."""
        return {
            name: chunk
            for name, chunk in self._waiting().items()
            if name not in queue.claims
            and not (name in queue.troubles and queue.troubles[name].failed)
            and chunk.owner[1] not in without
        }

    def waiting(self, limit: int, now: float, *, except_collections: Collection[str] = ()) -> int:
        """See `BatchQueue.waiting`."""
        draft = _Draft(self._queue())
        draft.expire(now)
        return min(limit, len(self._free(draft, except_collections)))

    def waiting_size(self) -> tuple[int, int]:
        """See `BatchQueue.waiting_size`."""
        passages = self.pending(len(self._waiting()))
        return len(passages), sum(map(len, passages.values()))

    def open_job(
        self, job: BatchJob, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.open_job`."""
        with self._changing() as draft:
            draft.expire(job.created_at)
            limits = {name: _most(draft, name) for name in self._free(draft, except_collections)}
            if not limits:
                return None
            most = None if None in limits.values() else max(filter(None, limits.values()))
            draft.jobs[job.id], draft.most[job.id] = job, most
            return self._grown(draft, job.id, limit, except_collections)

    def extend_job(
        self, job: str, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.extend_job`."""
        with self._changing() as draft:
            before = draft.jobs.get(job)
            grown = (
                None
                if before is None or before.status != "CREATED"
                else self._grown(draft, job, limit, except_collections)
            )
            return grown if grown != before else None

    def _grown(self, draft: _Draft, job: str, limit: int, without: Collection[str]) -> BatchJob:
        most = draft.most[job]
        room = limit if most is None else min(limit, most - draft.jobs[job].sent)
        free = {
            name: chunk
            for name, chunk in self._free(draft, without).items()
            if _most(draft, name) == most
        }
        for name, chunk in list(free.items())[: max(0, room)]:
            draft.claims[name] = Claim(
                job, chunk.number, chunk.owner, len(chunk.entry.passage), None
            )
        held = draft.held_by(job)
        characters = sum(claim.characters for claim in held.values())
        draft.jobs[job] = attrs.evolve(draft.jobs[job], sent=len(held), characters=characters)
        return draft.jobs[job]

    def passages_of(
        self, job: str, after: int = -1, limit: int = 1_000
    ) -> Sequence[tuple[int, str, str]]:
        """See `BatchQueue.passages_of`."""
        waiting = self._waiting()
        held = _Draft(self._queue()).held_by(job)
        page = [
            (claim.number, name)
            for name, claim in held.items()
            if claim.number > after and name in waiting
        ]
        return [(number, name, waiting[name].entry.passage) for number, name in page[:limit]]

    def jobs(
        self,
        statuses: Collection[JobStatus] | None = None,
        *,
        limit: int = 100,
        cleaned: bool | None = None,
    ) -> Sequence[BatchJob]:
        """See `BatchQueue.jobs`."""
        found = [
            job
            for job in self._queue().jobs.values()
            if (statuses is None or job.status in statuses) and cleaned in (None, job.cleaned)
        ]
        return found[max(0, len(found) - limit) :]

    def job(self, id: str) -> BatchJob | None:
        """See `BatchQueue.job`."""
        return self._queue().jobs.get(id)

    def lease_job(self, job: str, owner: str, now: float, until: float) -> bool:
        """See `BatchQueue.lease_job`."""
        latest = now + max(2 * (until - now), LONGEST_HOLD)
        with self._changing() as draft:
            there = draft.jobs.get(job)
            if (
                there is None
                or there.status != "CREATED"
                or (there.owner not in ("", owner) and now < there.leased_until <= latest)
            ):
                return False
            draft.jobs[job] = attrs.evolve(there, owner=owner, leased_until=until, updated_at=now)
            return True

    def note_job(
        self, job: str, now: float, *, status: JobStatus | None = None, **fields: Any
    ) -> bool:
        """See `BatchQueue.note_job`."""
        given = {name: value for name, value in fields.items() if value is not None}
        with self._changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status not in OPEN:
                return False
            if (
                given.get("provider_job", there.provider_job) != there.provider_job
                and there.provider_job
            ):
                return False
            if status is not None:
                given["submitted_at"] = there.submitted_at or now
                given["status"] = max(status, there.status, key=lambda each: _FORWARD[each])
            draft.jobs[job] = attrs.evolve(there, **given, updated_at=now)
            return True

    def settle(
        self,
        job: str,
        vectors: Mapping[str, Vector],
        failures: Mapping[str, str],
        rate: Rate | None,
        now: float,
        tokens: Mapping[str, int] = {},
    ) -> int:
        """See `BatchQueue.settle`."""
        checked = {name: self._as_kept(vector) for name, vector in vectors.items()}
        with self._writing:
            held = _Draft(self._queue()).held_by(job)
            good = {name: vector for name, vector in checked.items() if name in held}
            bad = {name: why for name, why in failures.items() if name in held and name not in good}
            self.fill(good)
            with self._changing() as draft:
                draft.let_go({*good, *bad})
                for name in good:
                    draft.troubles.pop(name, None)
                for name, why in bad.items():
                    draft.troubles[name] = Trouble(job, 1, True, why)
                if job in draft.jobs:
                    there = draft.jobs[job]
                    succeeded = there.succeeded + len(good)
                    failed = there.failed + len(bad)
                    draft.jobs[job] = attrs.evolve(
                        there, succeeded=succeeded, failed=failed, updated_at=now
                    )
                if rate is not None:
                    paid = {name: claim for name, claim in held.items() if name in good}
                    paid |= {name: held[name] for name in bad if name in tokens}
                    self._charge_results(draft, job, rate, paid, tokens)
        return len(good) + len(bad)

    @staticmethod
    def _charge_results(
        draft: _Draft, job: str, rate: Rate, paid: Mapping[str, Claim], tokens: Mapping[str, int]
    ) -> None:
        counts: Counter[tuple[str, str]] = Counter(claim.owner for claim in paid.values())
        told = Counter[tuple[str, str]]()
        untold = Counter[tuple[str, str]]()
        for name, claim in paid.items():
            if name in tokens:
                told[claim.owner] += tokens[name]
            else:
                untold[claim.owner] += claim.characters
        spent = {
            owner: (count, told[owner] + round(untold[owner] * rate.tokens_per_character))
            for owner, count in counts.items()
        }
        draft.charge(rate, spent)
        if job in draft.jobs:
            there = draft.jobs[job]
            draft.jobs[job] = attrs.evolve(
                there,
                paid=there.paid + len(paid),
                paid_tokens=there.paid_tokens + sum(sum_ for _, sum_ in spent.values()),
            )

    def pay_job(self, job: str, rate: Rate, passages: int, tokens: int) -> None:
        """See `BatchQueue.pay_job`."""
        with self._changing() as draft:
            draft.pay(job, rate, passages, tokens)

    def reopen_job(
        self, job: str, now: float, rate: Rate | None, passages: int, tokens: int
    ) -> bool:
        """See `BatchQueue.reopen_job`."""
        with self._changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status != "FAILED" or not there.provider_job:
                return False
            waiting = self._waiting()
            for name, trouble in list(draft.troubles.items()):
                if trouble.job == job and trouble.failed and name in waiting:
                    chunk = waiting[name]
                    size = len(chunk.entry.passage)
                    claim = Claim(job, chunk.number, chunk.owner, size, None)
                    if draft.claims.setdefault(name, claim) is claim:
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
        with self._changing() as draft:
            there = draft.jobs.get(job)
            if (
                there is None
                or there.status not in OPEN
                or (status == "COMPLETED" and not there.provider_job)
            ):
                return False
            ended = attrs.evolve(there, status=status, error=error, ended_at=now, updated_at=now)
            draft.jobs[job] = attrs.evolve(ended, cleaned=not there.provider_job)
            held = draft.held_by(job)
            draft.let_go(held)
            for name in held if rest != "free" else ():
                draft.troubles[name] = _troubled(
                    draft.troubles.get(name), there, error, rest, attempts
                )
            return True

    def clean_job(self, job: str, now: float) -> None:
        """See `BatchQueue.clean_job`."""
        with self._changing() as draft:
            if job in draft.jobs:
                draft.jobs[job] = attrs.evolve(draft.jobs[job], cleaned=True, updated_at=now)

    def drop_job(self, job: str) -> bool:
        """See `BatchQueue.drop_job`."""
        with self._changing() as draft:
            there = draft.jobs.get(job)
            if there is None or there.status != "CREATED" or there.provider_job:
                return False
            draft.let_go(draft.held_by(job))
            del draft.jobs[job], draft.most[job]
            return True

    def hold(
        self, fingerprints: Collection[str], now: float, until: float, token: str = ""
    ) -> tuple[str, frozenset[str]]:
        """See `BatchQueue.hold`."""
        token = token or uuid4().hex
        with self._changing() as draft:
            draft.expire(now)
            for name, claim in draft.held_by(token).items():
                draft.claims[name] = claim._replace(until=until)
            for name in fingerprints:
                draft.claims.setdefault(name, Claim(token, 0, ("", ""), 0, until))
            return token, frozenset(
                name for name in fingerprints if draft.claims[name].holder == token
            )

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
        with self._changing() as draft:
            draft.expire(now)
            theirs = {
                name: claim
                for name, claim in draft.claims.items()
                if from_jobs and claim.until is None
            }
            draft.let_go(theirs)
            free = self._free(draft, ())
            mine = [
                name
                for name, chunk in free.items()
                if collections is None or chunk.owner[1] in collections
            ]
            taken = {name: free[name] for name in mine[:limit]}
            draft.claims |= theirs | {name: Claim(token, 0, ("", ""), 0, until) for name in taken}
        passages = {name: chunk.entry.passage for name, chunk in taken.items()}
        return Held(token, passages, {name: chunk.owner for name, chunk in taken.items()})

    def release(self, token: str) -> None:
        """See `BatchQueue.release`."""
        with self._changing() as draft:
            draft.let_go(
                {name for name, claim in draft.held_by(token).items() if claim.until is not None}
            )

    def retry(self, job: str | None = None) -> int:
        """See `BatchQueue.retry`."""
        with self._changing() as draft:
            waiting = self._waiting()
            draft.troubles = {
                name: trouble for name, trouble in draft.troubles.items() if name in waiting
            }
            again = [
                name
                for name, trouble in draft.troubles.items()
                if trouble.failed and job in (None, trouble.job)
            ]
            for name in again:
                del draft.troubles[name]
            return len(again)

    def chunk_states(self, ids: Sequence[ChunkId]) -> Sequence[tuple[ChunkStatus, str] | None]:
        """See `BatchQueue.chunk_states`."""
        queue = self._queue()
        return [None if entry is None else _state(queue, entry) for entry in self._entries(ids)]

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """See `BatchQueue.given_up`."""
        states = [
            (chunk, _state(self._queue(), chunk.entry))
            for chunk in sorted(self._chunks(), key=lambda c: c.number)
        ]
        failed = [(chunk, why) for chunk, (state, why) in states if state == "FAILED"]
        return [Failure(str(chunk.entry.chunk.id), "FAILED", why) for chunk, why in failed[:limit]]

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """See `BatchQueue.queue_stats`."""
        queue = self._queue()
        mine = [chunk for chunk in self._chunks() if tenant is None or chunk.owner[0] == tenant]
        counts = Counter(_state(queue, chunk.entry)[0] for chunk in mine)
        pending = [chunk for chunk in mine if _state(queue, chunk.entry)[0] == "PENDING"]
        oldest = min(pending, key=lambda chunk: chunk.number, default=None)
        return QueueStats(
            ready=counts["READY"],
            pending=counts["PENDING"],
            submitted=counts["SUBMITTED"],
            failed=counts["FAILED"],
            passages=len({chunk.entry.fingerprint for chunk in pending}),
            oldest_at=datetime.fromisoformat(oldest.since).timestamp() if oldest else 0.0,
            jobs={
                status: sum(job.status == status for job in queue.jobs.values())
                for status in STATUSES
            },
        )

    def charge(self, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """See `BatchQueue.charge`."""
        with self._changing() as draft:
            draft.charge(rate, spent)

    def costs(self, since: str = "", until: str = "9") -> Sequence[Cost]:
        """See `BatchQueue.costs`."""
        return [
            Cost(
                day,
                tenant,
                collection,
                model,
                tier,
                passages,
                tokens,
                Decimal(amount) / PICO,
                currency,
            )
            for (day, tenant, collection, model, tier, currency), (
                passages,
                tokens,
                amount,
            ) in sorted(self._queue().costs.items())
            if since <= day <= until
        ]


def _most(draft: _Draft, name: str) -> int | None:
    return draft.troubles[name].most if name in draft.troubles else None


def _troubled(
    before: Trouble | None, job: BatchJob, error: str, rest: Rest, attempts: int
) -> Trouble:
    """What becomes of a passage a job ended without settling."""
    times = before.attempts + 1 if before else 1
    most = before.most if before else None
    if rest == "halve" and times >= 2 and job.sent > 1:
        most = (job.sent + 1) // 2
    failed = {"fail": True, "halve": times >= 2 and job.sent == 1, "again": times >= attempts}[rest]
    return Trouble(job.id, times, failed, error or "No result came back.", most)


def _state(queue: Queue, entry: Entry) -> tuple[ChunkStatus, str]:
    if entry.vector is not None:
        return "READY", ""
    if entry.fingerprint in queue.claims:
        return "SUBMITTED", ""
    trouble = queue.troubles.get(entry.fingerprint)
    return ("FAILED", trouble.error) if trouble is not None and trouble.failed else ("PENDING", "")
