"""Collecting: what jobs have become is asked, and their results are given to whoever still waits
for them, page by page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeGuard

from semantic_core._jobs import OPEN, BatchJob, JobState, JobStatus, Rest
from semantic_core._metering import Spent
from semantic_core._vectors import checked_vectors
from semantic_core.batch.context import ENDED, FAILED, MOST_JOBS, SENT, BatchContext, logger, told
from semantic_core.errors import (
    ConfigError,
    EmbedderUnavailable,
    EmbeddingInvalid,
    JobLost,
    SemanticCoreError,
    StoreError,
)

if TYPE_CHECKING:
    from semantic_core.types import Vector


Page = dict[str, "Vector | Exception"]
"""Results by fingerprint."""


class Collecting:
    """Follows jobs to their end.

    Whatever happens in between, a second run does what is left to do, and nothing twice.
    """

    def __init__(self, desk: BatchContext) -> None:
        self._desk = desk

    def poll(self, jobs: Iterable[BatchJob]) -> list[BatchJob]:
        """Look at these jobs; as they are afterwards.

        An error a later look may mend is noted in the job.
        """
        return [self._polled(job) for job in jobs]

    def adopt_lost(self) -> list[BatchJob]:
        """Go on with the jobs that were given up as lost and are there again; as they are then.

        Raises EmbedderError.
        """
        desk = self._desk
        found = []
        for job in desk.queue.jobs(FAILED, limit=MOST_JOBS, cleaned=False):
            there = self._is_lost(job) and self._is_there(job)
            if there and desk.till.reopen(job, desk.clock()):
                logger.warning("Job %s is at its provider after all; it goes on.", job.id)
                found.append(self._polled(desk.again(job)))
        return found

    def _is_there(self, job: BatchJob) -> bool:
        """Whether its provider knows a job, and its results, if it has any, can be read."""
        embedder = self._desk.embedder
        try:
            state = self._state(job)
            if state.status == "COMPLETED" or state.has_results:
                return next(embedder.results(job.provider_job), None) is not None
            return True
        except (EmbedderUnavailable, JobLost) as error:
            logger.info("Job %s is still lost: %s", job.id, error)
            return False

    def clean(self) -> None:
        """Have providers forget the jobs that have ended.

        What cannot be removed now is tried again another time, until patience ends: providers
        remove what is old themselves.
        """
        desk = self._desk
        for job in desk.queue.jobs(ENDED, limit=MOST_JOBS, cleaned=False):
            late = desk.clock() - job.ended_at > desk.rules.patience
            if late and desk.is_anothers(job):
                continue  # that key removes it, when it is there again
            if self._is_lost(job):  # its results may still turn up there
                if late:
                    logger.warning("Job %s is lost; %s is left as it is.", job.id, job.provider_job)
                    desk.queue.clean_job(job.id, desk.clock())
                continue
            try:
                self._forget(job, job.provider_job)
                # Left by one who was silent for longer than his lease, submitted all the same, and
                # died.
                twin = desk.embedder.find(job.name)
                if twin == job.provider_job and not late:  # listed all the same
                    continue
                if twin is not None and twin != job.provider_job:
                    logger.warning(
                        "Job %s was submitted by two at once; %s is cancelled.", job.id, twin
                    )
                    self._forget(job, twin)
            except (ConfigError, StoreError):
                raise
            except SemanticCoreError as error:
                logger.warning(
                    "What the provider keeps of job %s could not be removed: %s", job.id, error
                )
                if not late:
                    continue
            desk.queue.clean_job(job.id, desk.clock())

    def _forget(self, job: BatchJob, provider_job: str) -> None:
        """Have the provider end and remove a job, or its twin.

        What it cost although nobody waited for it any more is written down.
        """
        desk = self._desk
        try:
            state = desk.embedder.state(provider_job)
            if state.status in SENT:
                desk.embedder.cancel(provider_job)
                state = desk.embedder.state(provider_job)
            own = provider_job == job.provider_job
            settled = own and job.status == "COMPLETED" and (state.succeeded or 0) <= job.paid
            if state.succeeded and not settled:  # of one that was given up an estimate was charged
                told, _ = self._read(provider_job, state, lambda page, tokens: None)
                pay = desk.till.pay_job if own else desk.till.charge_twin
                pay(job, told, state.succeeded or 0)
            desk.embedder.clean_up(provider_job)
        except JobLost as error:
            if desk.is_anothers(job):
                raise _of_another(job) from error
            logger.debug("%s is gone already.", provider_job)

    def cancel(self, job: BatchJob) -> None:
        """Ask the provider to end it.

        Raises EmbedderError; it is then asked again with every `poll`.
        """
        try:
            self._desk.embedder.cancel(job.provider_job)
        except JobLost as error:
            now = self._desk.again(job)
            if self._desk.is_anothers(now):  # it goes on where it is, and may have to be paid
                paid = now.paid + now.waiting
                self._close(now, "FAILED", told(_of_another(now)), "free", paid=paid)
            else:
                self._doubt(now, error)

    def _polled(self, job: BatchJob) -> BatchJob:
        try:
            self._look(job)
        except (ConfigError, StoreError):
            raise
        except JobLost as error:
            self._doubt(self._desk.again(job), error)
        except SemanticCoreError as error:
            self._desk.queue.note_job(job.id, self._desk.clock(), error=told(error))
            self._give_up_unseen(self._desk.again(job))
        return self._desk.again(job)

    def _doubt(self, job: BatchJob, error: JobLost) -> None:
        """What a provider once does not know may be there all the same: with another key,
        or a little later. It is lost when that lasts.
        """
        desk = self._desk
        if desk.is_anothers(job):
            desk.queue.note_job(job.id, desk.clock(), error=told(_of_another(job)))
            return
        if self._was_cancelled(job) and not self._may_be_listed(job):
            self._close(job, "FAILED", told(error), "free")
            return
        since = job.answered_at or desk.clock()
        desk.queue.note_job(job.id, desk.clock(), error=told(error), answered_at=since)
        self._give_up_unseen(desk.again(job))

    def _may_be_listed(self, job: BatchJob) -> bool:
        """Whether a job its provider does not know is found by its name all the same."""
        try:
            return self._desk.embedder.find(job.name) is not None
        except EmbedderUnavailable as error:
            logger.info("Whether job %s is gone cannot be said now: %s", job.id, error)
            return True

    def _state(self, job: BatchJob) -> JobState:
        """Where the job is. Raises JobLost if it is neither known nor found by its name."""
        try:
            return self._desk.embedder.state(job.provider_job)
        except JobLost as error:
            if not self._desk.is_anothers(job) and self._may_be_listed(job):
                raise EmbedderUnavailable(
                    f"The provider lists job {job.provider_job}, and does not know it just now.",
                    hint="Nothing needs to be done: it is asked again.",
                ) from error
            raise

    def _look(self, job: BatchJob) -> None:
        desk = self._desk
        state = self._state(job)
        if state.status == "COMPLETED" or state.has_results:
            # What one answer in between did not know was no result that could not be fetched.
            if not job.answered_at or job.status == "SUBMITTED":
                desk.queue.note_job(
                    job.id, desk.clock(), status="PROCESSING", answered_at=desk.clock()
                )
                job = desk.again(job)
            self._collect(job, state)
        elif state.status == "FAILED":
            rest: Rest = "again" if state.expired else "halve"
            cancelled = self._was_cancelled(job)
            paid = state.succeeded or 0
            self._close(job, "FAILED", _reason(state), "free" if cancelled else rest, paid=paid)
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
        rate = desk.till.rate_of(job)

        def settle(page: Page, tokens: Mapping[str, int]) -> None:
            vectors, failures = self._checked(page)
            desk.queue.settle(job.id, vectors, failures, rate, desk.clock(), tokens)

        spent, passing = self._read(job.provider_job, state, settle)
        job = desk.again(job)
        desk.till.pay_job(job, spent, state.succeeded or 0)  # also what nobody waited for any more
        if state.status == "COMPLETED":
            left = job.waiting
            told_of = f"{left:,} of {job.sent:,} passages got no vector of it" if left else ""
            why = f": {passing}" if passing else "."
            self._close(job, "COMPLETED", told_of and told_of + why, "again")
        elif state.status == "FAILED":
            rest: Rest = "free" if self._was_cancelled(job) else "again"
            self._close(job, "FAILED", _reason(state), rest)

    def _read(
        self, provider_job: str, state: JobState, use: Callable[[Page, Mapping[str, int]], None]
    ) -> tuple[Spent, str]:
        """Read all results, some at a time: what they cost as far as the provider tells, and the
        last reason that may pass why there is none. use: called with each page, and what each of
        its passages cost.
        """
        desk = self._desk
        whole = Spent()
        passing = ""
        if not state.has_results and state.status != "COMPLETED":
            return whole, passing
        counted: set[str] = set()
        with desk.till.metered() as spent:
            results = _told(desk.embedder.results(provider_job), spent, counted)
            for page, tokens in _pages(results, desk.rules.page):
                use(page, tokens)
                whole.passages += len(tokens)
                whole.tokens += sum(tokens.values())
                passing = next(map(told, filter(_may_pass, page.values())), passing)
        return whole, passing

    def _checked(self, page: Page) -> tuple[dict[str, Vector], dict[str, str]]:
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

    def _give_up_unseen(self, job: BatchJob) -> None:
        """End a job whose results cannot be had for longer than patience lasts; or that cannot even
        be looked at, that much later than it should have ended.
        """
        rules = self._desk.rules
        now = self._desk.clock()
        if job.status not in OPEN or not self._desk.knows_time:
            return
        if not job.answered_at:
            if now - job.submitted_at > rules.deadline + rules.grace:
                self._desk.queue.note_job(job.id, now, answered_at=now)
        elif now - job.answered_at > rules.patience:
            hours = (now - job.answered_at) / 3_600
            why = (
                f"Its results could not be fetched for {hours:.0f} h: "
                f"{job.error or 'no reason given'}"
            )
            told_of = f"{why} They may have been paid for."
            paid = job.paid + job.waiting
            self._close(job, "FAILED", told_of, "fail", paid=paid, lost=True)

    def _give_up_in_time(self, job: BatchJob) -> None:
        """Cancel a job that takes too long, as its provider says, and later end it here."""
        rules = self._desk.rules
        now = self._desk.clock()
        if job.status not in OPEN:
            return
        if not job.cancelled_at and now - job.submitted_at > rules.deadline:
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
        self,
        job: BatchJob,
        status: JobStatus,
        error: str,
        rest: Rest,
        *,
        paid: int = 0,
        lost: bool = False,
    ) -> None:
        """End a job. paid: passages of it that were paid for, or may have been, where more than
        those that settled something. lost: it may have results, see `_is_lost`.
        """
        desk = self._desk
        if job.answered_at and not lost:
            desk.queue.note_job(job.id, desk.clock(), answered_at=0.0)
        if paid:
            desk.till.pay_job(job, Spent(), paid)
        desk.queue.close_job(
            job.id, status, desk.clock(), error=error, rest=rest, attempts=desk.rules.attempts
        )


def _may_pass(result: Vector | Exception) -> TypeGuard[Exception]:
    """Whether a result is an error that another try may mend."""
    return isinstance(result, Exception) and getattr(result, "retryable", False) is True


def _of_another(job: BatchJob) -> EmbedderUnavailable:
    return EmbedderUnavailable(
        f"It was submitted with another key, and this key does not see {job.provider_job}.",
        hint=f"Use that key, or give the job up: semantic-core queue cancel {job.id[:8]}.",
    )


def _told(
    results: Iterator[tuple[str, Vector | Exception]], spent: Spent | None, counted: set[str]
) -> Iterator[tuple[str, Vector | Exception, int]]:
    """Results with their tokens; 0 where that is not told, or was before.

    spent: grows as results come. counted: of which passages it was told.
    """
    before = 0
    for name, result in results:
        tokens = 0
        if spent is not None:
            tokens = spent.tokens - before
            before = spent.tokens
        if name in counted:
            tokens = 0
        elif tokens:
            counted.add(name)
        yield name, result, tokens


def _pages(
    results: Iterator[tuple[str, Vector | Exception, int]], size: int
) -> Iterator[tuple[Page, dict[str, int]]]:
    """(results, tokens) by fingerprint, some at a time.

    Of two of one passage the first counts, a vector before a failure.
    """
    page: Page = {}
    tokens: dict[str, int] = {}
    for name, result, cost in results:
        if cost:
            tokens[name] = cost
        if name not in page or (
            isinstance(page[name], Exception) and not isinstance(result, Exception)
        ):
            page[name] = result
        if len(page) >= size:
            yield page, tokens
            page = {}
            tokens = {}
    if page:
        yield page, tokens


def _reason(state: JobState) -> str:
    return (
        " ".join(filter(None, (state.told, state.reason)))
        or "It failed; the provider gave no reason."
    )
