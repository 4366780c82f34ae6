"""Submits batch jobs: from pending passages to a job at the provider.

A job is in the ledger before it is submitted, and it is searched for at the provider before it is
submitted again.

Tested by tests/batch/test_manager.py and tests/kernel/test_costs.py.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping
from typing import Never
from uuid import uuid4

import attrs

from semantic_core._jobs import OPEN, BatchJob, Rest
from semantic_core._validation import described
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
"""The names of all our jobs begin with this, so that no other job is taken for one of ours."""

SAMPLE = 100
"""Passages whose tokens are counted to estimate how many passages fit into a job."""


class Submission:
    """Submits pending passages in batch jobs.

    Raises ConfigError before it does anything if the embedder is not set up for batch jobs.
    """

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._size = context.rules.job_size

    def flush(
        self, least: int, job_size: int, without: Collection[str], *, force: bool
    ) -> list[BatchJob]:
        """Submit all pending passages, in as many jobs as may be open. Returns the jobs.

        least: submit nothing if fewer passages are pending. job_size: most passages of a job.
        without: collections to leave out. force: exceed the soft budget. A job that could not be
        submitted has the reason as its error.
        """
        queue = self._context.queue
        now = self._context.host_clock()
        self._size = self._likely_size(self._context.stricter(job_size, "job_items"))
        done = self.resume()
        waiting = queue.waiting(max(least, 1), now, except_collections=without)
        if not waiting or waiting < least or any(map(self._is_held_up, done)):
            return done
        full = [job for job in queue.jobs(UNSENT, limit=MOST_JOBS) if job.owner == THROTTLED]
        if full:
            return [*done, *full]
        name = self._new_name()
        self._context.embedder.find(name)  # raises without key or service, before any claim
        while self._size > 0 and self._may_open():
            job = self._opened(name, self._size, without)
            if job is None:
                break
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
        """Take over the jobs that no process submits any more, because it died, or because the
        next try is due.
        """
        taken = []
        for job in self._context.queue.jobs(UNSENT, limit=MOST_JOBS):
            # It can be divided now; a refused job of a single passage has to wait.
            if job.owner == THROTTLED and job.sent > 1 and not self._others_under_way(job):
                self._end_pause(job)
            if job.owner == OTHER_KEY and not self._context.is_anothers(job):
                self._end_pause(job)
            leased = self._leased(job)
            if leased is not None:
                taken.append(self._resumed(leased))
        return [job for job in taken if self._context.queue.job(job.id) is not None]

    def adopt_or_end(self, job: BatchJob) -> BatchJob:
        """Adopt a cancelled job if the provider knows it, else end it, even if it may have been
        submitted with another key.
        """
        self._end_pause(job)
        leased = self._leased(job)
        return self._context.again(job) if leased is None else self._resumed(leased, given_up=True)

    @staticmethod
    def _new_name() -> str:
        return f"{NAME}{uuid4()}"

    def _likely_size(self, size: int) -> int:
        """Most passages of a job, if all are like those that have been pending longest."""
        most = self._context.job_tokens
        if not most:
            return size
        sample = [chunk.passage for chunk in self._context.queue.pending(SAMPLE)]
        tokens = self._context.cost_tracker.tokens(sample)
        return min(size, max(1, most * len(sample) // tokens)) if tokens else size

    def _may_open(self) -> bool:
        """Whether one more job may be open."""
        most = self._context.open_jobs
        room = self._room("")
        has_room = room is None or room > 0
        return has_room and len(self._context.queue.jobs(OPEN, limit=most)) < most

    def _room(self, job: str) -> int | None:
        """How many tokens this job may have beside the other open jobs; None for no limit."""
        most = self._context.open_tokens
        if most is None:
            return None
        others = self._context.queue.jobs(OPEN, limit=MOST_JOBS)
        return most - sum(other.tokens for other in others if other.id != job)

    def _others_under_way(self, job: BatchJob) -> bool:
        """Whether the provider processes another job of ours; then it may accept more later."""
        sent = self._context.queue.jobs(SENT, limit=2)
        return any(other.id != job.id for other in sent)

    def _end_pause(self, job: BatchJob) -> None:
        """End the pause before a job's next try, so that any process may submit it."""
        if job.owner in (LATER, THROTTLED, OTHER_KEY):
            self._context.queue.note_job(
                job.id, self._context.host_clock(), leased_until=self._context.host_clock()
            )

    def _opened(self, name: str, size: int, without: Collection[str]) -> BatchJob | None:
        queue = self._context.queue
        now = self._context.host_clock()
        id = name.removeprefix(NAME)
        opened = queue.open_job(
            BatchJob(
                id,
                name,
                created_at=now,
                updated_at=now,
                owner=uuid4().hex,
                leased_until=now + self._context.rules.lease,
                account=self._context.account,
            ),
            min(size, self._context.rules.claim_page),
            except_collections=without,
        )
        while opened is not None and opened.sent < size:
            grown = queue.extend_job(
                id,
                min(self._context.rules.claim_page, size - opened.sent),
                except_collections=without,
            )
            if grown is None:
                break
            opened = grown
        return opened

    def _is_held_up(self, job: BatchJob) -> bool:
        """Whether the provider has not accepted the job, and would accept no other either."""
        return job.status == "CREATED" and not self._context.is_anothers(job)

    def _leased(self, job: BatchJob) -> BatchJob | None:
        owner = uuid4().hex
        now = self._context.host_clock()
        until = now + self._context.rules.lease
        if not self._context.queue.lease_job(job.id, owner, now, until):
            return None
        return attrs.evolve(self._context.again(job), owner=owner, leased_until=until)

    def _resumed(self, job: BatchJob, *, given_up: bool = False) -> BatchJob:
        """The job, submitted if it has not been. given_up: end the job even if it may have been
        submitted with another key.

        An error that may pass is not raised, but stored in the job.
        """
        try:
            there = self._context.embedder.find(job.name)
            if there is not None:
                self._measured(job)
                return self._recorded(job, there)
            if job.cancelled_at and (given_up or not self._context.is_anothers(job)):
                return self._ended(job, "Cancelled before it was submitted.", "free")
            if self._context.is_anothers(job):
                return self._postponed(job, _of_another(job), OTHER_KEY)
            return self._submit(job, force=True) or self._context.again(job)
        except _TooLarge as large:
            self._size = min(self._size, large.size)
            return job
        except (ConfigError, StoreError):
            raise
        except SemanticCoreError as error:
            return self._postponed(job, error)

    def _submit(self, job: BatchJob, *, force: bool) -> BatchJob | None:
        """Submit a job. Returns it as it is afterwards, None if none of its passages is pending any
        more and it was deleted. Raises _TooLarge for one that is dissolved.
        """
        context = self._context
        try:
            tokens = self._measured(job)
            self._check_size(job, tokens, force=force)
            context.cost_tracker.check(tokens, "batch", force=force, job=job.id)
            passages = JobPassages(context, job)
            if not passages.any():
                context.queue.drop_job(job.id)
                return None
            if job.account != context.account:
                context.queue.note_job(job.id, context.host_clock(), account=context.account)
            return self._recorded(job, context.embedder.submit(passages, job.name))
        except _Overtaken:
            return context.again(job)
        except (BudgetSpent, ConfigError):
            context.queue.drop_job(job.id)
            raise
        except StoreError:
            raise
        except InputError as error:
            return self._ended(job, described(error), "halve")
        except EmbedderThrottled as error:
            return self._refused_for_now(job, error)
        except SemanticCoreError as error:
            postponed = self._postponed(job, error)
            if not error.retryable:
                raise
            return postponed

    def _check_size(self, job: BatchJob, tokens: int, *, force: bool) -> None:
        """Dissolve a job with more tokens than a job may have, or than the budget allows."""
        context = self._context
        most = context.job_tokens or tokens
        room = self._room(job.id)
        if room is not None and tokens > room:
            self._fit_beside_others(job, tokens, room)
        left = context.cost_tracker.left("batch", force=force, job=job.id)
        allowed = most if left is None else min(most, left)
        if tokens <= allowed:
            return
        size = job.sent * allowed // tokens
        if size == 0 and allowed == most:
            size = 1  # a passage cannot be divided
        if 0 < size < job.sent:  # for 0, the cost tracker raises BudgetSpent
            self._dissolve(job, size)

    def _fit_beside_others(self, job: BatchJob, tokens: int, room: int) -> None:
        """Dissolve a job that has more tokens than there is room for beside the other open jobs. A
        passage that is too large alone is left to the provider.
        """
        size = job.sent * max(room, 0) // tokens
        if room == self._context.open_tokens:  # there are no others
            size = max(size, 1)
        if size < job.sent:
            self._dissolve(job, size)

    def _refused_for_now(self, job: BatchJob, error: EmbedderThrottled) -> BatchJob:
        """Handle a job that the provider accepts only when others have ended; if there are none, it
        is too large.
        """
        if self._others_under_way(job) or job.sent == 1:
            # It was not accepted, so any key may submit it the next time.
            self._context.queue.note_job(job.id, self._context.host_clock(), account="")
            return self._postponed(job, error, THROTTLED)
        try:
            there = self._context.embedder.find(job.name)
        except SemanticCoreError as unknown:
            return self._postponed(job, unknown)
        if there is not None:
            return self._recorded(job, there)
        logger.info("Job %s is too large for now: %s", job.id, error)
        self._dissolve(job, job.sent // 2)

    def _dissolve(self, job: BatchJob, size: int) -> Never:
        self._context.queue.drop_job(job.id)
        raise _TooLarge(size)

    def _measured(self, job: BatchJob) -> int:
        """The estimated tokens of a job; counted once."""
        context = self._context
        if job.tokens or context.cost_tracker.prices is None:
            return job.tokens
        tokens = 0
        for page in JobPassages(context, job).pages():
            tokens += context.cost_tracker.tokens([passage for _, _, passage in page])
        context.queue.note_job(job.id, context.host_clock(), tokens=tokens)
        return tokens

    def _recorded(self, job: BatchJob, provider_job: str) -> BatchJob:
        context = self._context
        context.queue.note_job(
            job.id,
            context.clock(),
            status="SUBMITTED",
            provider_job=provider_job,
            error="",
            account=context.account,
        )
        now = context.again(job)
        if now.provider_job != provider_job:
            logger.warning(
                "Job %s was submitted twice at once, or ended meanwhile; %s is cancelled.",
                job.id,
                provider_job,
            )
            try:
                context.embedder.cancel(provider_job)
                context.embedder.clean_up(provider_job)
            except JobLost:
                logger.info("%s is gone already.", provider_job)
        return now

    def _postponed(self, job: BatchJob, error: SemanticCoreError, owner: str = LATER) -> BatchJob:
        now = self._context.host_clock()
        tries = job.tries + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries - 1, 10))
        self._context.queue.note_job(
            job.id, now, tries=tries, error=described(error), leased_until=now
        )
        self._context.queue.lease_job(job.id, owner, now, now + pause)
        return self._context.queue.job(job.id) or attrs.evolve(job, error=described(error))

    def _ended(self, job: BatchJob, error: str, rest: Rest) -> BatchJob:
        context = self._context
        context.queue.close_job(
            job.id,
            "FAILED",
            context.clock(),
            error=error,
            rest=rest,
            attempts=context.rules.attempts,
        )
        return context.again(job)


def _of_another(job: BatchJob) -> EmbedderUnavailable:
    return EmbedderUnavailable(
        f"Job {job.id[:8]} was begun with another key, and may have been submitted with it.",
        hint=f"Use that key, or give the job up: semantic-core queue cancel {job.id[:8]}.",
    )


class _TooLarge(Exception):
    """The job is dissolved. size: most passages that a job may have; 0 if none may be submitted."""

    def __init__(self, size: int) -> None:
        self.size = size


class _Overtaken(StoreBusy):
    """Another process submits the job by now."""


class JobPassages(Mapping[str, str]):
    """The passages of a job by fingerprint, read from the store while they are iterated. Each page
    renews the lease.
    """

    def __init__(self, context: BatchContext, job: BatchJob) -> None:
        self._context = context
        self._job = job

    def pages(self) -> Iterator[list[tuple[int, str, str]]]:
        """(place, fingerprint, passage), page by page."""
        last = -1
        while True:
            now = self._context.host_clock()
            if not self._context.queue.lease_job(
                self._job.id, self._job.owner, now, now + self._context.rules.lease
            ):
                raise _Overtaken(
                    f"Another process took over job {self._job.id}.",
                    hint="Nothing needs to be done: that process submits it.",
                )
            page = list(
                self._context.queue.passages_of(self._job.id, last, self._context.rules.page)
            )
            if not page:
                return
            yield page
            last = page[-1][0]

    def any(self) -> bool:
        """Whether at least one passage is still pending."""
        return bool(self._context.queue.passages_of(self._job.id, -1, 1))

    def __getitem__(self, name: str) -> str:
        for fingerprint, passage in self.items():
            if fingerprint == name:
                return passage
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for fingerprint, _ in self.items():
            yield fingerprint

    def __len__(self) -> int:
        return self._job.sent

    def items(self) -> ItemsView[str, str]:
        """(fingerprint, passage), in one pass from the first to the last."""
        return _Items(self)


class _Items(ItemsView[str, str]):
    _mapping: JobPassages

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for page in self._mapping.pages():
            for _, fingerprint, passage in page:
                yield fingerprint, passage
