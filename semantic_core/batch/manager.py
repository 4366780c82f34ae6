"""`BatchManager`, which is ``core.batch_manager``: the queue of pending passages, and batch jobs.

Tested by tests/batch/test_manager.py and tests/kernel/test_costs.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from semantic_core._costs import SAMPLE, CostTracker, MeteredEmbedder
from semantic_core._embedding import embed_pending
from semantic_core._jobs import (
    OPEN,
    BatchJob,
    Budget,
    ChunkStatus,
    Cost,
    Estimate,
    Freshness,
    JobStatus,
    QueueStats,
)
from semantic_core._validation import check_count, clip
from semantic_core.batch.collect import Collecting
from semantic_core.batch.context import (
    FAILED,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_JOBS,
    SENT,
    UNSENT,
    BatchContext,
    BatchRules,
    logger,
)
from semantic_core.batch.submit import Submission
from semantic_core.errors import (
    ConfigError,
    EmbedderError,
    EmbedderUnavailable,
    InputError,
    StoreError,
)
from semantic_core.protocols import BatchEmbedder, BatchQueue

if TYPE_CHECKING:
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import ChunkId, Failure, IngestMode

AUTO_PASSAGES = 1_000
"""Passages that an ingest in mode "auto" embeds at once if its collection has no freshness."""
PROBE = "semantic-core-probe"
"""A name that no job has. Looking it up shows whether batch jobs are set up."""


def _ignore(passages: int) -> None:
    """Nobody wants to know how many passages got a vector."""


class BatchManager:
    """The queue of passages without a vector, and the batch jobs that embed them.

    One per store; safe to share between threads. Several processes may call every method at once,
    and again after any crash.

    ledger: who holds which passage, and what it cost; None for the store itself, if it is a
    `BatchQueue`, else for none. goals: freshness by collection, "" for all others. rules: sizes and
    deadlines. cost_tracker: prices, budget and costs. filled: called with the number of passages
    that got a vector, once it is stored. clock: seconds since 1970; ticks: seconds of a monotonic
    clock.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        *,
        ledger: BatchQueue | None = None,
        goals: Mapping[str, Freshness] | None = None,
        budget: Budget | None = None,
        rules: BatchRules | None = None,
        filled: Callable[[int], None] = _ignore,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._filled = filled
        self._clock = clock
        self._ticks = ticks
        self._goals = dict(goals or {})
        self.rules = rules or BatchRules()
        # Checked once, because checks of a protocol are slow for an ingest of one document.
        self.ledger = store if ledger is None and isinstance(store, BatchQueue) else ledger
        self.cost_tracker = CostTracker(self.ledger, embedder, budget or Budget(), clock)
        self._provider = embedder if isinstance(embedder, BatchEmbedder) else None
        self._paid = self._provider is not None or self.cost_tracker.prices is not None
        self._takes_jobs: bool | None = None
        self._polled_at = -math.inf
        self._pause = 0.0
        self._paused_until = -math.inf

    @property
    def takes_jobs(self) -> bool:
        """Whether batch jobs are possible: the store has a ledger, and the embedder supports batch
        jobs and is set up for them.

        Asks the provider once. Raises EmbedderUnavailable if it does not answer.
        """
        if self._takes_jobs is None:
            able = self.ledger is not None and self._provider is not None
            if able:
                try:
                    self._context().embedder.find(PROBE)
                except ConfigError:
                    able = False
            self._takes_jobs = able
        return self._takes_jobs

    def flush_queue(
        self, min_size: int = 10, force: bool = False, *, job_size: int | None = None
    ) -> tuple[BatchJob, ...]:
        """Submit all pending passages, in jobs of at most `job_size`. Returns the jobs, () if
        fewer than `min_size` passages are pending.

        A job is smaller if the provider accepts less at the moment, or the budget allows less.
        Passages stay pending if `BatchRules.open_jobs` jobs are open.

        force: submit fewer passages too, and those of collections with a shorter freshness, and
        exceed the soft budget. A job that could not be submitted has the status CREATED and the
        reason as its error; a later call of this or of `sync_status` submits it. Raises ConfigError
        if the embedder does not support batch jobs or has no key for them, BudgetSpent,
        EmbedderError, StoreError.
        """
        check_count("min_size", min_size)
        size = self.rules.job_size if job_size is None else check_count("job_size", job_size, 1)
        least = min(1, min_size) if force else min_size
        without = () if force else self._fast()
        made = Submission(self._context()).flush(least, size, without, force=force)
        few = not made and self._queue().waiting(1, self._clock())
        if few and not self.takes_jobs:  # report it now, and not when there are enough
            self._context().embedder.find(PROBE)
        return tuple(made)

    def sync_status(self) -> tuple[BatchJob, ...]:
        """Ask the provider for the state of open jobs, and store the results of those that are
        done. Returns the jobs as they are now.

        An error that may pass is stored in the job. Raises ConfigError, StoreError.
        """
        queue = self._queue()
        if not queue.jobs(OPEN, limit=1) and not queue.jobs(limit=1, cleaned=False):
            return ()
        context = self._context()
        collecting = Collecting(context)
        adopted = self._adopted(collecting)
        unsent = [*queue.jobs(UNSENT, limit=MOST_JOBS), *Submission(context).resume()]
        polled = collecting.poll(queue.jobs(SENT, limit=MOST_JOBS))
        collecting.clean()
        self._note_throttling(collecting.throttled)
        touched = {job.id: queue.job(job.id) for job in (*adopted, *unsent, *polled)}
        return tuple(job for job in touched.values() if job is not None)

    def _note_throttling(self, jobs: int) -> None:
        """Begin a pause, longer each time, if jobs failed because the provider was full."""
        if jobs:
            self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
            self._paused_until = self._ticks() + self._pause
        elif self._ticks() >= self._paused_until + self._pause:
            self._pause = 0.0

    def work(self, min_size: int | None = None) -> tuple[BatchJob, ...]:
        """One round of everything a worker does: collect results, embed collections with a short
        freshness, submit the other passages. Returns the jobs that changed.

        It may be called every second; if batch jobs are possible, it does something every 30
        seconds (`BatchRules.poll`). Fewer than `min_size` passages (None: `BatchRules.flush_size`)
        are submitted when the oldest has been pending for an hour (`BatchRules.flush_after`). If
        batch jobs are not possible, it embeds all passages. After a job that failed because its
        provider was full, it submits nothing for a minute, for longer each time, at most an hour.
        Raises EmbedderError, BudgetSpent, StoreError.
        """
        if not self.takes_jobs:
            self.embed()
            return ()
        if self._ticks() - self._polled_at < self.rules.poll:
            return ()
        self._polled_at = self._ticks()
        collected = self.sync_status()
        fast = self._fast()
        if fast:
            self.embed(collections=fast)
        if self._ticks() < self._paused_until:
            return collected
        waited = self._clock() - (self.queue_stats().oldest_at or self._clock())
        enough = self.rules.flush_size if min_size is None else min_size
        least = 1 if waited >= self.rules.flush_after else enough
        flushed = Submission(self._context()).flush(least, self.rules.job_size, fast, force=False)
        return tuple({job.id: job for job in (*collected, *flushed)}.values())

    def embed(
        self,
        limit: int | None = None,
        *,
        from_jobs: bool = False,
        collections: Collection[str] | None = None,
    ) -> int:
        """Embed pending passages now, without a batch job. Returns how many chunks got a vector.

        See `SemanticCore.embed_pending`.
        """
        if self.ledger is None:
            return embed_pending(self._store, self._embedder, limit, filled_some=self._filled)
        if not self._paid and not from_jobs and not self.ledger.waiting(1, self._clock()):
            return 0  # to take passages is to write
        metered = self._metered(self.ledger)
        try:
            return embed_pending(
                self.ledger,
                metered,
                limit,
                take=partial(metered.take, from_jobs=from_jobs, collections=collections),
                done=metered.release,
                filled_some=self._filled,
                give_up=metered.give_up,
            )
        finally:
            metered.release()

    def metered_embedder(self) -> MeteredEmbedder | None:
        """An embedder for one run that pays for no passage twice; None if nothing is paid for."""
        if not self._paid or self.ledger is None:
            return None
        return self._metered(self.ledger)

    def _metered(self, ledger: BatchQueue) -> MeteredEmbedder:
        return MeteredEmbedder(ledger, self._embedder, self.cost_tracker, self._clock)

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """Chunks by state, of this tenant (None: of all), and jobs by status."""
        return self._queue().queue_stats(tenant)

    def jobs(
        self, statuses: Collection[JobStatus] | None = None, *, limit: int = 100
    ) -> Sequence[BatchJob]:
        """The latest jobs of these statuses (None: of all), oldest first."""
        return self._queue().jobs(statuses, limit=check_count("limit", limit, 1))

    @property
    def results_kept(self) -> float | None:
        """For how many seconds the provider stores the results of a job; None if it is unknown."""
        kept = getattr(self._embedder, "results_kept", None)
        return float(kept) if isinstance(kept, int | float) else None

    def job(self, id: str) -> BatchJob:
        """The job of this id, or of the only one that begins so. Raises InputError."""
        exact = self._queue().job(id)
        if exact is not None:
            return exact
        jobs = self._queue().jobs(limit=MOST_JOBS) if id else ()
        near = [job for job in jobs if job.id.startswith(id)]
        if len(near) != 1:
            what = f"{len(near)} jobs begin" if near else "No job begins"
            raise InputError(
                f"{what} with {clip(id)}.", hint="`semantic-core queue status` lists them."
            )
        return near[0]

    def cancel(self, job: str | BatchJob) -> BatchJob:
        """Cancel a job. Returns the job as it is now.

        Results that it already has may have to be paid, and are still collected; its other passages
        are pending again. A job that has ended does not change. Raises InputError for an unknown
        job, and EmbedderError; the job is then cancelled later.
        """
        context = self._context()
        now = context.clock()
        current = self.job(job if isinstance(job, str) else job.id)
        if current.status in OPEN and not current.cancelled_at:
            self._queue().note_job(current.id, now, cancelled_at=now)
        if current.status == "CREATED":
            return Submission(context).adopt_or_end(current)
        if current.status in OPEN:
            Collecting(context).cancel(current)
        return context.again(current)

    def retry(self, job: str | None = None) -> int:
        """Make passages that were given up pending again (of this job; None: of all). Returns how
        many.

        They are paid for again. But a lost job that its provider knows again is continued instead,
        with its passages.
        """
        self.adopt_lost()
        return self._queue().retry(None if job is None else self.job(job).id)

    def adopt_lost(self) -> tuple[BatchJob, ...]:
        """Continue the jobs that were given up as lost and that their provider knows again. Returns
        them as they are now. `sync_status` and `retry` do this, too. Raises StoreError.
        """
        lost = self._queue().jobs(FAILED, limit=1, cleaned=False)
        if self._provider is None or not lost:
            return ()
        return tuple(self._adopted(Collecting(self._context())))

    @staticmethod
    def _adopted(collecting: Collecting) -> list[BatchJob]:
        try:
            return collecting.adopt_lost()
        except (ConfigError, EmbedderError) as error:
            logger.warning("Lost jobs could not be searched for: %s", error)
            return []

    def chunk_states(self, ids: Sequence[ChunkId]) -> Sequence[tuple[ChunkStatus, str] | None]:
        """The state of each chunk, READY, PENDING, SUBMITTED or FAILED, with the reason; None for
        a chunk that is not there.
        """
        return self._queue().chunk_states(ids)

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """Chunks in the state FAILED, each with its reason."""
        return self._queue().given_up(check_count("limit", limit, 1))

    def costs(self, since: str = "", until: str = "9") -> Sequence[Cost]:
        """The costs from one day (ISO 8601, UTC) to another, by day, tenant, collection, model and
        tier. Queries have the tier "query"; those of this process are included up to now.
        """
        self.cost_tracker.write_queries()
        return self._queue().costs(since, until)

    def close(self) -> None:
        """Store the costs of queries. A failure is logged, and the store is closed all the same."""
        try:
            self.cost_tracker.write_queries()
        except StoreError as error:
            logger.warning("The costs of the last queries could not be stored: %s", error)

    def estimate(self) -> Estimate:
        """The tokens, costs and time to embed all pending passages.

        Tokens are estimated from the characters, with the ratio of the first thousand passages.
        """
        queue = self._queue()
        return self.cost_tracker.estimate(
            *queue.waiting_size(), [chunk.passage for chunk in queue.pending(SAMPLE)]
        )

    def estimate_like(self, passages: int) -> Estimate:
        """The same for this many passages, if they are like those that are pending."""
        queue = self._queue()
        there, characters = queue.waiting_size()
        sample = [chunk.passage for chunk in queue.pending(SAMPLE)]
        return self.cost_tracker.estimate(
            passages, round(characters * passages / max(1, there)), sample
        )

    def leaves(self, mode: IngestMode) -> Callable[[str, int], bool]:
        """Which passages an ingest of this mode leaves without a vector, see `_ingest.Ingest`."""
        if mode == "async":
            return _leave_all
        if mode == "sync":
            return _leave_none

        def later(collection: str, embedding: int) -> bool:
            goal = self._goals.get(collection, self._goals.get(""))
            if goal is not None:
                return goal != "now"
            return embedding > AUTO_PASSAGES and self._takes_jobs_probably()

        return later

    def _takes_jobs_probably(self) -> bool:
        """Whether batch jobs are possible; an unavailable embedder may support them later."""
        try:
            return self.takes_jobs
        except EmbedderUnavailable:
            return True

    def _fast(self) -> list[str]:
        """The collections whose freshness is too short for batch jobs."""
        fast: set[str] = set()
        slow: set[str] = set()
        for name, goal in self._goals.items():
            (slow if goal == "24h" else fast).add(name)
        if self._goals.get("", "24h") == "24h":
            return sorted(fast - {""})
        return sorted(set(self._store.stats().collections) - slow)

    def _queue(self) -> BatchQueue:
        if self.ledger is None:
            raise ConfigError(
                f"{type(self._store).__name__} keeps no ledger of batch jobs.",
                hint='Name a file for one: ledger="jobs.ledger".',
            )
        return self.ledger

    def _context(self) -> BatchContext:
        if self._provider is None:
            raise ConfigError(
                f"{type(self._embedder).__name__} does not support batch jobs.",
                hint="core.embed_pending() embeds pending passages; the embedders gemini and "
                "openai support batch jobs.",
            )
        return BatchContext(
            self._queue(),
            self._provider,
            self.cost_tracker,
            self.rules,
            self._clock,
            self._filled,
        )


def _leave_all(collection: str, embedding: int) -> bool:
    return True


def _leave_none(collection: str, embedding: int) -> bool:
    return False
