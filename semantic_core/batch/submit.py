"""Submitting: a job is in the ledger before its provider hears of it,
and is looked for there before it is sent again.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping
from typing import Never
from uuid import uuid4

import attrs

from semantic_core._jobs import OPEN, BatchJob, Rest
from semantic_core.batch.context import (
    FIRST_PAUSE,
    LATER,
    LONGEST_PAUSE,
    MOST_JOBS,
    OTHER_KEY,
    SENT,
    THROTTLED,
    UNSENT,
    BatchContext,
    logger,
    told,
)
from semantic_core.errors import (
    BudgetSpent,
    ConfigError,
    EmbedderThrottled,
    EmbedderUnavailable,
    InputError,
    JobLost,
    SemanticCoreError,
    StoreBusy,
    StoreError,
)

NAME = "semantic-core-"
"""What the names of all our jobs begin with, so that nobody else's is ever taken for one."""

SAMPLE = 100
"""Passages whose tokens are counted to see how many make a job."""


class Submission:
    """Puts passages that wait into jobs.

    Raises ConfigError before any work if the embedder is not set up for jobs.
    """

    def __init__(self, desk: BatchContext) -> None:
        self._desk = desk
        self._size = desk.rules.job_size

    def flush(
        self, least: int, job_size: int, without: Collection[str], *, force: bool
    ) -> list[BatchJob]:
        """Submit all that waits, if that are at least so many, in as many jobs as may be under way.

        A job that could not be sent now says so in its error.
        """
        queue = self._desk.queue
        now = self._desk.host_clock()
        self._size = self._likely_size(job_size)
        done = self.resume()
        waiting = queue.waiting(max(least, 1), now, except_collections=without)
        if not waiting or waiting < least or any(map(self._is_held_up, done)):
            return done
        full = [job for job in queue.jobs(UNSENT, limit=MOST_JOBS) if job.owner == THROTTLED]
        if full:
            return [*done, *full]
        name = self._new_name()
        self._desk.embedder.find(name)  # no key, no service: said before anything is held
        while self._may_open() and (job := self._opened(name, self._size, without)) is not None:
            name = self._new_name()
            try:
                sent = self._submit(job, force=force)
            except _TooLarge as large:
                self._size = large.size
                continue
            if sent is not None:
                done.append(sent)
            if sent is None or sent.status == "CREATED":
                break
        return done

    def resume(self) -> list[BatchJob]:
        """Take over the jobs nobody submits any more: whoever did has died,
        or was told to come again later.
        """
        taken = []
        for job in self._desk.queue.jobs(UNSENT, limit=MOST_JOBS):
            # It can be divided now; a single passage that is refused has to wait.
            if job.owner == THROTTLED and job.sent > 1 and not self._others_under_way(job):
                self._end_pause(job)
            if job.owner == OTHER_KEY and not self._desk.is_anothers(job):
                self._end_pause(job)
            leased = self._leased(job)
            if leased is not None:
                taken.append(self._resumed(leased))
        return [job for job in taken if self._desk.queue.job(job.id) is not None]

    def send_anew(self, job: BatchJob) -> BatchJob:
        """Adopt the job if it is at the provider, else end it: it is not wanted any more, even if
        another key may have submitted it.
        """
        self._end_pause(job)
        leased = self._leased(job)
        return self._desk.again(job) if leased is None else self._resumed(leased, given_up=True)

    @staticmethod
    def _new_name() -> str:
        return f"{NAME}{uuid4()}"

    def _likely_size(self, size: int) -> int:
        """Passages a job has, at most, if they are like those that have waited longest."""
        most = self._most_tokens()
        sample = list(self._desk.queue.pending(SAMPLE).values()) if most else []
        tokens = self._desk.till.tokens(sample)
        return min(size, max(1, (most or 0) * len(sample) // tokens)) if tokens else size

    def _most_tokens(self) -> int | None:
        """Tokens a job may have; None for any number."""
        desk = self._desk
        return desk.rules.job_tokens or getattr(desk.embedder, "job_tokens", None)

    def _may_open(self) -> bool:
        """Whether one more job may be under way."""
        most = self._desk.rules.open_jobs
        return len(self._desk.queue.jobs(OPEN, limit=most)) < most

    def _others_under_way(self, job: BatchJob) -> bool:
        """Whether the provider works at another job of ours: then it may take more later."""
        return any(other.id != job.id for other in self._desk.queue.jobs(SENT, limit=2))

    def _end_pause(self, job: BatchJob) -> None:
        """Let a job that waits for its next try be anybody's."""
        if job.owner in (LATER, THROTTLED, OTHER_KEY):
            self._desk.queue.note_job(
                job.id, self._desk.host_clock(), leased_until=self._desk.host_clock()
            )

    def _opened(self, name: str, size: int, without: Collection[str]) -> BatchJob | None:
        queue = self._desk.queue
        now = self._desk.host_clock()
        id = name.removeprefix(NAME)
        opened = queue.open_job(
            BatchJob(
                id,
                name,
                created_at=now,
                updated_at=now,
                owner=uuid4().hex,
                leased_until=now + self._desk.rules.lease,
                account=self._desk.account,
            ),
            min(size, self._desk.rules.claim_page),
            except_collections=without,
        )
        while opened is not None and opened.sent < size:
            grown = queue.extend_job(
                id, min(self._desk.rules.claim_page, size - opened.sent), except_collections=without
            )
            if grown is None:
                break
            opened = grown
        return opened

    def _is_held_up(self, job: BatchJob) -> bool:
        """Whether the provider has not taken it, and would take no other either."""
        return job.status == "CREATED" and not self._desk.is_anothers(job)

    def _leased(self, job: BatchJob) -> BatchJob | None:
        owner = uuid4().hex
        now = self._desk.host_clock()
        until = now + self._desk.rules.lease
        if not self._desk.queue.lease_job(job.id, owner, now, until):
            return None
        return attrs.evolve(self._desk.again(job), owner=owner, leased_until=until)

    def _resumed(self, job: BatchJob, *, given_up: bool = False) -> BatchJob:
        """The job, submitted if it has not been. given_up: by somebody who was told of the other
        key.

        Never raises what a later try may mend: it is noted.
        """
        try:
            there = self._desk.embedder.find(job.name)
            if there is not None:
                self._measured(job)
                return self._recorded(job, there)
            if job.cancelled_at and (given_up or not self._desk.is_anothers(job)):
                return self._ended(job, "Cancelled before it was submitted.", "free")
            if self._desk.is_anothers(job):
                return self._postponed(job, _of_another(job), OTHER_KEY)
            return self._submit(job, force=True) or self._desk.again(job)
        except _TooLarge as large:
            self._size = min(self._size, large.size)
            return job
        except (ConfigError, StoreError):
            raise
        except SemanticCoreError as error:
            return self._postponed(job, error)

    def _submit(self, job: BatchJob, *, force: bool) -> BatchJob | None:
        """The job as it is afterwards; None if it is there no more,
        for nobody waits for its passages. Raises _TooLarge for one that is dissolved.
        """
        desk = self._desk
        try:
            tokens = self._measured(job)
            self._check_size(job, tokens, force=force)
            desk.till.check(tokens, "batch", force=force, job=job.id)
            passages = JobPassages(desk, job)
            if not passages.any():
                desk.queue.drop_job(job.id)
                return None
            if job.account != desk.account:
                desk.queue.note_job(job.id, desk.host_clock(), account=desk.account)
            return self._recorded(job, desk.embedder.submit(passages, job.name))
        except _Overtaken:
            return desk.again(job)
        except (BudgetSpent, ConfigError):
            desk.queue.drop_job(job.id)
            raise
        except StoreError:
            raise
        except InputError as error:
            return self._ended(job, told(error), "halve")
        except EmbedderThrottled as error:
            return self._refused_for_now(job, error)
        except SemanticCoreError as error:
            postponed = self._postponed(job, error)
            if not error.retryable:
                raise
            return postponed

    def _check_size(self, job: BatchJob, tokens: int, *, force: bool) -> None:
        """Dissolve a job of more tokens than one may have, or than the budget still allows."""
        desk = self._desk
        most = self._most_tokens() or tokens
        left = desk.till.left("batch", force=force, job=job.id)
        allowed = most if left is None else min(most, left)
        if tokens <= allowed:
            return
        size = job.sent * allowed // tokens
        if size == 0 and allowed == most:
            size = 1  # a passage cannot be divided
        if 0 < size < job.sent:  # of 0 the till says why
            self._dissolve(job, size)

    def _refused_for_now(self, job: BatchJob, error: EmbedderThrottled) -> BatchJob:
        """A job its provider takes when others have ended; if there are none, it is too large."""
        if self._others_under_way(job) or job.sent == 1:
            # It was not taken: any key may submit it the next time.
            self._desk.queue.note_job(job.id, self._desk.host_clock(), account="")
            return self._postponed(job, error, THROTTLED)
        try:
            there = self._desk.embedder.find(job.name)
        except SemanticCoreError as unknown:
            return self._postponed(job, unknown)
        if there is not None:
            return self._recorded(job, there)
        logger.info("Job %s is too large for now: %s", job.id, error)
        self._dissolve(job, job.sent // 2)

    def _dissolve(self, job: BatchJob, size: int) -> Never:
        self._desk.queue.drop_job(job.id)
        raise _TooLarge(size)

    def _measured(self, job: BatchJob) -> int:
        """The tokens of a job, about; counted once."""
        desk = self._desk
        if job.tokens or desk.till.prices is None:
            return job.tokens
        tokens = sum(
            desk.till.tokens([passage for _, _, passage in page])
            for page in JobPassages(desk, job).pages()
        )
        desk.queue.note_job(job.id, desk.host_clock(), tokens=tokens)
        return tokens

    def _recorded(self, job: BatchJob, provider_job: str) -> BatchJob:
        desk = self._desk
        noted = desk.queue.note_job(
            job.id,
            desk.clock(),
            status="SUBMITTED",
            provider_job=provider_job,
            error="",
            account=desk.account,
        )
        now = desk.again(job)
        if not noted and now.provider_job != provider_job:
            logger.warning(
                "Job %s was submitted by two at once, or ended meanwhile; %s is cancelled.",
                job.id,
                provider_job,
            )
            try:
                desk.embedder.cancel(provider_job)
                desk.embedder.clean_up(provider_job)
            except JobLost:
                logger.info("%s is gone already.", provider_job)
        return now

    def _postponed(self, job: BatchJob, error: SemanticCoreError, owner: str = LATER) -> BatchJob:
        now = self._desk.host_clock()
        tries = job.tries + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries - 1, 10))
        self._desk.queue.note_job(job.id, now, tries=tries, error=told(error), leased_until=now)
        self._desk.queue.lease_job(job.id, owner, now, now + pause)
        return self._desk.queue.job(job.id) or attrs.evolve(job, error=told(error))

    def _ended(self, job: BatchJob, error: str, rest: Rest) -> BatchJob:
        desk = self._desk
        desk.queue.close_job(
            job.id, "FAILED", desk.clock(), error=error, rest=rest, attempts=desk.rules.attempts
        )
        return desk.again(job)


def _of_another(job: BatchJob) -> EmbedderUnavailable:
    return EmbedderUnavailable(
        f"Job {job.id[:8]} was begun with another key, and may have been submitted with it.",
        hint=f"Use that key, or give the job up: semantic-core queue cancel {job.id[:8]}.",
    )


class _TooLarge(Exception):
    """The job is dissolved. size: passages one may have."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class _Overtaken(StoreBusy):
    """Somebody else submits the job by now."""


class JobPassages(Mapping[str, str]):
    """The passages of a job by fingerprint, read from the store while they are iterated;
    each page renews the lease.
    """

    def __init__(self, desk: BatchContext, job: BatchJob) -> None:
        self._desk = desk
        self._job = job

    def pages(self) -> Iterator[list[tuple[int, str, str]]]:
        """(place, fingerprint, passage), some at a time."""
        last = -1
        while True:
            now = self._desk.host_clock()
            if not self._desk.queue.lease_job(
                self._job.id, self._job.owner, now, now + self._desk.rules.lease
            ):
                raise _Overtaken(
                    f"Somebody else took job {self._job.id} over.",
                    hint="Nothing is lost: it is theirs.",
                )
            page = list(self._desk.queue.passages_of(self._job.id, last, self._desk.rules.page))
            if not page:
                return
            yield page
            last = page[-1][0]

    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._desk.queue.passages_of(self._job.id, -1, 1))

    def __getitem__(self, name: str) -> str:
        for fingerprint, passage in self.items():
            if fingerprint == name:
                return passage
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (fingerprint for fingerprint, _ in self.items())

    def __len__(self) -> int:
        return self._job.sent

    def items(self) -> ItemsView[str, str]:
        """In one pass, from the first to the last."""
        return _Items(self)


class _Items(ItemsView[str, str]):
    _mapping: JobPassages

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (
            (fingerprint, passage)
            for page in self._mapping.pages()
            for _, fingerprint, passage in page
        )
