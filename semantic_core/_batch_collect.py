"""Collecting: what jobs have become is asked, and their results are given to whoever still waits
for them, page by page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeGuard

from semantic_core._batch_rules import ENDED, MOST_JOBS, SENT, Desk, logger, told
from semantic_core._jobs import OPEN, BatchJob, JobState, JobStatus, Rest
from semantic_core._vectors import checked_vectors
from semantic_core.errors import (
    ConfigError,
    EmbeddingInvalid,
    JobLost,
    SemanticCoreError,
    StoreError,
)

if TYPE_CHECKING:
    from semantic_core.types import Vector


class Collecting:
    """Follows jobs to their end.

    Whatever happens in between, a second run does what is left to do, and nothing twice.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def poll(self, jobs: Iterable[BatchJob]) -> list[BatchJob]:
        """Look at these jobs; as they are afterwards.

        An error a later look may mend is noted in the job.
        """
        return [self._polled(job) for job in jobs]

    def clean(self) -> None:
        """Have providers forget the jobs that have ended.

        What cannot be removed now is tried again another time, until patience ends: providers
        remove what is old themselves.
        """
        desk = self._desk
        for job in desk.queue.jobs(ENDED, limit=MOST_JOBS, cleaned=False):
            if self._is_lost(job):  # its results may still turn up there
                logger.warning("Job %s is lost; %s is left as it is.", job.id, job.provider_job)
                desk.queue.clean_job(job.id, desk.clock())
                continue
            try:
                self._forget(job.provider_job)
                # Left by one who was silent for longer than his lease, submitted all the same, and
                # died.
                twin = desk.embedder.find(job.name)
                if twin is not None and twin != job.provider_job:
                    logger.warning(
                        "Job %s was submitted by two at once; %s is cancelled.", job.id, twin
                    )
                    self._forget(twin)
            except (ConfigError, StoreError):
                raise
            except SemanticCoreError as error:
                logger.warning(
                    "What the provider keeps of job %s could not be removed: %s", job.id, error
                )
                if desk.clock() - job.ended_at <= desk.rules.patience:
                    continue
            desk.queue.clean_job(job.id, desk.clock())

    def _forget(self, provider_job: str) -> None:
        """Have the provider end and remove a job."""
        embedder = self._desk.embedder
        try:
            if embedder.state(provider_job).status in SENT:
                embedder.cancel(provider_job)
            embedder.clean_up(provider_job)
        except JobLost:
            logger.debug("%s is gone already.", provider_job)

    def cancel(self, job: BatchJob) -> None:
        """Ask the provider to end it.

        Raises EmbedderError; it is then asked again with every `poll`.
        """
        try:
            self._desk.embedder.cancel(job.provider_job)
        except JobLost as error:
            self._doubt(self._desk.again(job), error)

    def _polled(self, job: BatchJob) -> BatchJob:
        try:
            self._look(job)
        except (ConfigError, StoreError):
            raise
        except JobLost as error:
            self._doubt(self._desk.again(job), error)
        except SemanticCoreError as error:
            self._desk.queue.note_job(job.id, self._desk.clock(), error=told(error))
            self._give_up_in_time(self._desk.again(job))
        return self._desk.again(job)

    def _doubt(self, job: BatchJob, error: JobLost) -> None:
        """What a provider once does not know may be there all the same: with another key,
        or a little later. It is lost when that lasts.
        """
        if self._was_cancelled(job):
            self._close(job, "FAILED", told(error), "free")
            return
        desk = self._desk
        since = job.answered_at or desk.clock()
        desk.queue.note_job(job.id, desk.clock(), error=told(error), answered_at=since)
        self._give_up_in_time(desk.again(job))

    def _look(self, job: BatchJob) -> None:
        desk = self._desk
        state = desk.embedder.state(job.provider_job)
        if state.status == "COMPLETED" or state.has_results:
            if not job.answered_at:
                desk.queue.note_job(
                    job.id, desk.clock(), status="PROCESSING", answered_at=desk.clock()
                )
                job = desk.again(job)
            self._collect(job, state)
        elif state.status == "FAILED":
            rest: Rest = "again" if state.expired else "halve"
            self._close(job, "FAILED", _reason(state), "free" if self._was_cancelled(job) else rest)
        else:
            desk.queue.note_job(
                job.id, desk.clock(), status=state.status, error="", answered_at=0.0
            )
            if job.cancelled_at:
                self.cancel(job)
            self._give_up_in_time(desk.again(job))

    def _collect(self, job: BatchJob, state: JobState) -> None:
        """Settle every result, then end the job.

        Results that break off are read again from the beginning.
        """
        desk = self._desk
        rate, passing = desk.till.rate_of(job), ""
        for page in _pages(desk.embedder.results(job.provider_job), desk.rules.page):
            vectors, failures = self._checked(page)
            desk.queue.settle(job.id, vectors, failures, rate, desk.clock())
            passing = next(map(told, filter(_may_pass, page.values())), passing)
        job = desk.again(job)
        paid = max(0, (state.succeeded or 0) - job.succeeded)  # and nobody waited for it any more
        if state.status == "COMPLETED":
            left = job.waiting
            told_of = f"{left:,} of {job.sent:,} passages got no vector of it" if left else ""
            why = f": {passing}" if passing else "."
            self._close(job, "COMPLETED", told_of and told_of + why, "again", paid=paid)
        elif state.status == "FAILED":
            rest: Rest = "free" if self._was_cancelled(job) else "again"
            self._close(job, "FAILED", _reason(state), rest, paid=paid)

    def _checked(
        self, page: dict[str, Vector | Exception]
    ) -> tuple[dict[str, Vector], dict[str, str]]:
        """(vectors of length 1, why there are none) of a page of results."""
        failures = {
            name: told(result)
            for name, result in page.items()
            if isinstance(result, Exception) and not _may_pass(result)
        }
        given = {name: result for name, result in page.items() if not isinstance(result, Exception)}
        space = self._desk.embedder.space
        try:
            return dict(
                zip(given, checked_vectors(list(given.values()), len(given), space), strict=True)
            ), failures
        except EmbeddingInvalid:
            vectors: dict[str, Vector] = {}
            for name, vector in given.items():
                try:
                    vectors[name] = checked_vectors([vector], 1, space)[0]
                except EmbeddingInvalid as error:
                    failures[name] = told(error)
            return vectors, failures

    def _give_up_in_time(self, job: BatchJob) -> None:
        """Cancel a job that takes too long, and later end it here;
        end one whose results cannot be had.
        """
        rules, now = self._desk.rules, self._desk.clock()
        if job.status not in OPEN:
            return
        if job.answered_at:
            if now - job.answered_at > rules.patience:
                hours = (now - job.answered_at) / 3_600
                why = (
                    f"Its results could not be fetched for {hours:.0f} h: "
                    f"{job.error or 'no reason given'}"
                )
                told_of = f"{why} They may have been paid for."
                self._close(job, "FAILED", told_of, "fail", paid=job.waiting)
        elif not job.cancelled_at and now - job.submitted_at > rules.deadline:
            self._desk.queue.note_job(job.id, now, cancelled_at=now)
            self.cancel(job)
        elif (
            job.cancelled_at
            and now - job.cancelled_at > rules.grace
            and now - job.submitted_at > rules.grace
        ):
            hours = (now - job.submitted_at) / 3_600
            rest: Rest = "free" if self._was_cancelled(job) else "again"
            self._close(
                job,
                "FAILED",
                f"It had not ended after {hours:.0f} h, although it was cancelled.",
                rest,
            )

    def _was_cancelled(self, job: BatchJob) -> bool:
        """Whether a person did, and not the deadline."""
        return (
            bool(job.cancelled_at)
            and job.cancelled_at - job.submitted_at <= self._desk.rules.deadline
        )

    def _is_lost(self, job: BatchJob) -> bool:
        """Whether it was given up although it may have results."""
        late = job.ended_at - job.answered_at > self._desk.rules.patience
        return job.status == "FAILED" and bool(job.answered_at) and late

    def _close(
        self, job: BatchJob, status: JobStatus, error: str, rest: Rest, *, paid: int = 0
    ) -> None:
        """End a job. paid: passages of it that were paid for and settled nothing."""
        desk = self._desk
        closed = desk.queue.close_job(
            job.id, status, desk.clock(), error=error, rest=rest, attempts=desk.rules.attempts
        )
        if closed and paid:
            desk.till.charge_in_vain(job, paid)


def _may_pass(result: Vector | Exception) -> TypeGuard[Exception]:
    """Whether a result is an error that another try may mend."""
    return isinstance(result, Exception) and getattr(result, "retryable", False) is True


def _pages(
    results: Iterator[tuple[str, Vector | Exception]], size: int
) -> Iterator[dict[str, Vector | Exception]]:
    """Results by fingerprint, some at a time.

    Of two of one passage the first counts, a vector before a failure.
    """
    page: dict[str, Vector | Exception] = {}
    for name, result in results:
        if name not in page or (
            isinstance(page[name], Exception) and not isinstance(result, Exception)
        ):
            page[name] = result
        if len(page) >= size:
            yield page
            page = {}
    if page:
        yield page


def _reason(state: JobState) -> str:
    return (
        " ".join(filter(None, (state.told, state.reason)))
        or "It failed; the provider gave no reason."
    )
