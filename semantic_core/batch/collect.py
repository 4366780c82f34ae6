"""Collects batch jobs: asks the provider for their state, and stores their results page by page.

Tested by tests/batch/test_manager.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeGuard

from semantic_core._jobs import OPEN, BatchJob, JobState, JobStatus, Rest
from semantic_core._metering import Spent
from semantic_core._validation import described
from semantic_core._vectors import checked_vectors
from semantic_core.batch.context import ENDED, FAILED, MOST_JOBS, SENT, BatchContext, logger
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
    """Follows batch jobs to their end.

    After any interruption, a second run does the rest, and nothing twice. throttled: how many jobs
    failed because too much was in progress at the provider.
    """

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self.throttled = 0
        self._refused: list[tuple[BatchJob, JobState]] = []

    def poll(self, jobs: Iterable[BatchJob]) -> list[BatchJob]:
        """Ask for the state of these jobs. Returns them as they are afterwards.

        An error that may pass is stored in the job.
        """
        polled = [self._polled(job) for job in jobs]
        if self._refused:
            self._end_refused()
            polled = [self._context.again(job) for job in polled]
        return polled

    def _end_refused(self) -> None:
        """End the jobs that failed because too much was in progress at the provider.

        If another job is in progress, there will be room for them. Else they are too large, unless
        they have a single passage.
        """
        context = self._context
        refused = {job.id for job, _ in self._refused}
        sent = context.queue.jobs(SENT, limit=len(refused) + 1)
        has_others = any(other.id not in refused for other in sent)
        for job, state in self._refused:
            rest: Rest = "free" if has_others or job.sent == 1 else "halve"
            if self._was_cancelled(job):
                rest = "free"
            self._close(job, "FAILED", _reason(state), rest)
        self._refused = []

    def adopt_lost(self) -> list[BatchJob]:
        """Continue the jobs that were given up as lost and that their provider knows again.

        Returns them as they are then. Raises EmbedderError.
        """
        context = self._context
        adopted = []
        for job in context.queue.jobs(FAILED, limit=MOST_JOBS, cleaned=False):
            there = self._is_lost(job) and self._is_there(job)
            if there and context.cost_tracker.reopen(job, context.clock()):
                logger.warning("Job %s is known to its provider again; it is continued.", job.id)
                adopted.append(self._polled(context.again(job)))
        return adopted

    def _is_there(self, job: BatchJob) -> bool:
        """Whether the provider knows a job, and its results, if there are any, can be read."""
        embedder = self._context.embedder
        try:
            state = self._state(job)
            if state.status == "COMPLETED" or state.has_results:
                return next(embedder.results(job.provider_job), None) is not None
            return True
        except (EmbedderUnavailable, JobLost) as error:
            logger.info("Job %s is still lost: %s", job.id, error)
            return False

    def clean(self) -> None:
        """Delete ended jobs at the provider.

        A job that cannot be deleted now is tried again later, until `BatchRules.patience` is over:
        providers delete old jobs themselves.
        """
        context = self._context
        for job in context.queue.jobs(ENDED, limit=MOST_JOBS, cleaned=False):
            late = context.clock() - job.ended_at > context.rules.patience
            if late and context.is_anothers(job):
                continue  # deleted with its own key, once that is in use again
            if self._is_lost(job):  # its results may still become available
                if late:
                    logger.warning("Job %s is lost; %s is left as it is.", job.id, job.provider_job)
                    context.queue.clean_job(job.id, context.clock())
                continue
            try:
                self._forget(job, job.provider_job)
                # Left by a process that was silent for longer than its lease, submitted the job
                # all the same, and died.
                twin = context.embedder.find(job.name)
                if twin == job.provider_job and not late:  # listed after it was deleted
                    continue
                if twin is not None and twin != job.provider_job:
                    logger.warning(
                        "Job %s was submitted twice at once; %s is cancelled.", job.id, twin
                    )
                    self._forget(job, twin)
            except (ConfigError, StoreError):
                raise
            except SemanticCoreError as error:
                logger.warning("Job %s could not be deleted at its provider: %s", job.id, error)
                if not late:
                    continue
            context.queue.clean_job(job.id, context.clock())

    def _forget(self, job: BatchJob, provider_job: str) -> None:
        """Cancel and delete a job, or its twin, at the provider.

        The cost of results that are not needed any more is stored too.
        """
        context = self._context
        try:
            state = context.embedder.state(provider_job)
            if state.status in SENT:
                context.embedder.cancel(provider_job)
                state = context.embedder.state(provider_job)
            own = provider_job == job.provider_job
            settled = own and job.status == "COMPLETED" and (state.succeeded or 0) <= job.paid
            # After a job was given up, only an estimate of its cost is stored.
            if state.succeeded and not settled:
                spent, _ = self._read(provider_job, state, _ignore)
                pay = context.cost_tracker.pay_job if own else context.cost_tracker.charge_twin
                pay(job, spent, state.succeeded or 0)
            context.embedder.clean_up(provider_job)
        except JobLost as error:
            if context.is_anothers(job):
                raise _of_another(job) from error
            logger.debug("%s is gone already.", provider_job)

    def cancel(self, job: BatchJob) -> None:
        """Ask the provider to cancel a job.

        Raises EmbedderError; every `poll` asks again then.
        """
        try:
            self._context.embedder.cancel(job.provider_job)
        except JobLost as error:
            now = self._context.again(job)
            if self._context.is_anothers(now):  # it continues there, and may have to be paid
                paid = now.paid + now.waiting
                self._close(now, "FAILED", described(_of_another(now)), "free", paid=paid)
            else:
                self._doubt(now, error)

    def _polled(self, job: BatchJob) -> BatchJob:
        try:
            self._look(job)
        except (ConfigError, StoreError):
            raise
        except JobLost as error:
            self._doubt(self._context.again(job), error)
        except SemanticCoreError as error:
            self._context.queue.note_job(job.id, self._context.clock(), error=described(error))
            self._give_up_unseen(self._context.again(job))
        return self._context.again(job)

    def _doubt(self, job: BatchJob, error: JobLost) -> None:
        """Handle a job that its provider does not know: it may have another key, or be known again
        a little later. The job is lost if that lasts.
        """
        context = self._context
        if context.is_anothers(job):
            context.queue.note_job(job.id, context.clock(), error=described(_of_another(job)))
            return
        if self._was_cancelled(job) and not self._may_be_listed(job):
            self._close(job, "FAILED", described(error), "free")
            return
        since = job.answered_at or context.clock()
        context.queue.note_job(job.id, context.clock(), error=described(error), answered_at=since)
        self._give_up_unseen(context.again(job))

    def _may_be_listed(self, job: BatchJob) -> bool:
        """Whether a job that its provider does not know is found by its name."""
        try:
            return self._context.embedder.find(job.name) is not None
        except EmbedderUnavailable as error:
            logger.info("Whether job %s is lost is unknown for now: %s", job.id, error)
            return True

    def _state(self, job: BatchJob) -> JobState:
        """The provider's state of a job. Raises JobLost if it is neither known nor found by its
        name.
        """
        try:
            return self._context.embedder.state(job.provider_job)
        except JobLost as error:
            if not self._context.is_anothers(job) and self._may_be_listed(job):
                raise EmbedderUnavailable(
                    f"The provider lists job {job.provider_job}, and does not know it now.",
                    hint="Nothing needs to be done: the next round asks again.",
                ) from error
            raise

    def _look(self, job: BatchJob) -> None:
        context = self._context
        state = self._state(job)
        if state.status == "COMPLETED" or state.has_results:
            # Only from here on its results are late. An answer in between that did not know the job
            # does not count.
            if not job.answered_at or job.status == "SUBMITTED":
                context.queue.note_job(
                    job.id, context.clock(), status="PROCESSING", answered_at=context.clock()
                )
                job = context.again(job)
            self._collect(job, state)
        elif state.status == "FAILED":
            rest: Rest = "again" if state.expired else "halve"
            if state.throttled:
                self.throttled += 1
                self._refused.append((job, state))
                return
            cancelled = self._was_cancelled(job)
            paid = state.succeeded or 0
            self._close(job, "FAILED", _reason(state), "free" if cancelled else rest, paid=paid)
        else:
            context.queue.note_job(
                job.id, context.clock(), status=state.status, error="", answered_at=0.0
            )
            if job.cancelled_at:
                self.cancel(job)
            self._give_up_in_time(context.again(job))

    def _collect(self, job: BatchJob, state: JobState) -> None:
        """Store every result, then end the job.

        If the results break off, they are read again from the beginning.
        """
        context = self._context
        rate = context.cost_tracker.rate_of(job)

        def settle(page: Page, tokens: Mapping[str, int]) -> None:
            vectors, failures = self._checked(page)
            context.queue.settle(job.id, vectors, failures, rate, context.clock(), tokens)
            context.filled(len(vectors))

        spent, passing = self._read(job.provider_job, state, settle)
        job = context.again(job)
        context.cost_tracker.pay_job(
            job, spent, state.succeeded or 0
        )  # including results that are not needed any more
        if state.status == "COMPLETED":
            left = job.waiting
            why = f": {passing}" if passing else "."
            error = f"{left:,} of {job.sent:,} passages got no vector from it{why}" if left else ""
            self._close(job, "COMPLETED", error, "again")
        elif state.status == "FAILED":
            rest: Rest = "free" if self._was_cancelled(job) else "again"
            self._close(job, "FAILED", _reason(state), rest)

    def _read(
        self, provider_job: str, state: JobState, use: Callable[[Page, Mapping[str, int]], None]
    ) -> tuple[Spent, str]:
        """Read all results, page by page. Returns what they cost, as far as the provider reports
        it, and the last reason for a missing result that may pass.

        use: called with each page, and with the tokens of its passages.
        """
        context = self._context
        whole = Spent()
        passing = ""
        if not state.has_results and state.status != "COMPLETED":
            return whole, passing
        counted: set[str] = set()
        with context.cost_tracker.metered() as spent:
            results = _with_tokens(context.embedder.results(provider_job), spent, counted)
            for page, tokens in _pages(results, context.rules.page):
                use(page, tokens)
                whole.passages += len(tokens)
                whole.tokens += sum(tokens.values())
                for result in filter(_may_pass, page.values()):
                    passing = described(result)
                    break
        return whole, passing

    def _checked(self, page: Page) -> tuple[dict[str, Vector], dict[str, str]]:
        """(vectors of length 1, reasons for missing ones) of a page of results, by fingerprint."""
        given: dict[str, Vector] = {}
        failures: dict[str, str] = {}
        for name, result in page.items():
            if not isinstance(result, Exception):
                given[name] = result
            elif not _may_pass(result):
                failures[name] = described(result)
        space = self._context.embedder.space
        vectors: dict[str, Vector] = {}
        try:
            rows = checked_vectors(list(given.values()), len(given), space)
            vectors.update(zip(given, rows, strict=True))
        except EmbeddingInvalid:
            for name, vector in given.items():
                try:
                    vectors[name] = checked_vectors([vector], 1, space)[0]
                except EmbeddingInvalid as error:
                    failures[name] = described(error)
        return vectors, failures

    def _give_up_unseen(self, job: BatchJob) -> None:
        """End a job whose results could not be fetched for `BatchRules.patience`; and one whose
        state is unknown, that long after it should have ended.
        """
        rules = self._context.rules
        now = self._context.clock()
        if job.status not in OPEN or not self._context.knows_time:
            return
        if not job.answered_at:
            if now - job.submitted_at > self._context.deadline + rules.grace:
                self._context.queue.note_job(job.id, now, answered_at=now)
        elif now - job.answered_at > rules.patience:
            hours = (now - job.answered_at) / 3_600
            why = (
                f"Its results could not be fetched for {hours:.0f} h: "
                f"{job.error or 'no reason given'}"
            )
            error = f"{why} They may have been paid for."
            paid = job.paid + job.waiting
            self._close(job, "FAILED", error, "fail", paid=paid, lost=True)

    def _give_up_in_time(self, job: BatchJob) -> None:
        """Cancel a job that takes too long by the provider's clock, and end it later."""
        rules = self._context.rules
        now = self._context.clock()
        if job.status not in OPEN:
            return
        if not job.cancelled_at and now - job.submitted_at > self._context.deadline:
            self._context.queue.note_job(job.id, now, cancelled_at=now)
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
        """Whether a person cancelled the job, and not the deadline."""
        return (
            bool(job.cancelled_at) and job.cancelled_at - job.submitted_at <= self._context.deadline
        )

    def _is_lost(self, job: BatchJob) -> bool:
        """Whether the job was given up although it may have results."""
        late = job.ended_at - job.answered_at > self._context.rules.patience
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
        """End a job. paid: passages of it that were paid for, or may have been, if they are more
        than its results. lost: it may have results, see `_is_lost`.
        """
        context = self._context
        if job.answered_at and not lost:
            context.queue.note_job(job.id, context.clock(), answered_at=0.0)
        if paid:
            context.cost_tracker.pay_job(job, Spent(), paid)
        context.queue.close_job(
            job.id, status, context.clock(), error=error, rest=rest, attempts=context.rules.attempts
        )


def _may_pass(result: Vector | Exception) -> TypeGuard[Exception]:
    """Whether a result is an error that may pass."""
    return isinstance(result, Exception) and getattr(result, "retryable", False) is True


def _of_another(job: BatchJob) -> EmbedderUnavailable:
    return EmbedderUnavailable(
        f"It was submitted with another key, and this key does not see {job.provider_job}.",
        hint=f"Use that key, or give the job up: semantic-core queue cancel {job.id[:8]}.",
    )


def _ignore(page: Page, tokens: Mapping[str, int]) -> None:
    """Use of results that are only read for what they cost."""


def _with_tokens(
    results: Iterator[tuple[str, Vector | Exception]], spent: Spent | None, counted: set[str]
) -> Iterator[tuple[str, Vector | Exception, int]]:
    """Results with their tokens; 0 if they are not reported, or were before.

    spent: grows as results come. counted: passages whose tokens were reported.
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
    """(results, tokens) by fingerprint, page by page.

    If a passage has two results, the first counts, but a vector replaces a failure.
    """
    page: Page = {}
    tokens: dict[str, int] = {}
    for name, result, cost in results:
        if cost:
            tokens[name] = cost
        replaces_failure = not isinstance(result, Exception) and isinstance(
            page.get(name), Exception
        )
        if name not in page or replaces_failure:
            page[name] = result
        if len(page) >= size:
            yield page, tokens
            page = {}
            tokens = {}
    if page:
        yield page, tokens


def _reason(state: JobState) -> str:
    parts = [part for part in (state.told, state.reason) if part]
    return " ".join(parts) or "It failed; the provider gave no reason."
