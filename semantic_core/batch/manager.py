"""Batch jobs: texts that can wait for their vectors go to the provider together, at half the price.

`BatchManager` is ``core.batch_manager``. The records are for those who write an embedder that takes
jobs (`JobState`) or a store that keeps their ledger.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
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
    StoreMisuse,
)
from semantic_core.protocols import BatchEmbedder, BatchQueue

if TYPE_CHECKING:
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import ChunkId, Failure, IngestMode

AUTO_PASSAGES = 1_000
"""Passages an ingest in mode "auto" embeds at once where no freshness is asked for."""
PROBE = "semantic-core-probe"
"""A name no job has, asked for to see whether jobs are set up."""


class BatchManager:
    """The queue of passages that wait for their vectors, and the jobs made of them.

    One per store; safe to share.

    goals: freshness by collection, "" for all others. rules: sizes and deadlines. clock: seconds
    since 1970; ticks: seconds of a clock nobody sets. Every method may be called by several
    processes at once, and again after any crash.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        *,
        goals: Mapping[str, Freshness] | None = None,
        budget: Budget | None = None,
        rules: BatchRules | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._clock = clock
        self._ticks = ticks
        self._goals = dict(goals or {})
        self.rules = rules or BatchRules()
        self.till = CostTracker(store, embedder, budget or Budget(), clock)
        # Asked once: whether a thing keeps a protocol is a slow question, and an ingest of one
        # document asks, too.
        self._ledger = store if isinstance(store, BatchQueue) else None
        self._provider = embedder if isinstance(embedder, BatchEmbedder) else None
        self._paid = self._provider is not None or self.till.prices is not None
        self._takes_jobs: bool | None = None
        self._polled_at = -math.inf

    @property
    def takes_jobs(self) -> bool:
        """Whether jobs are possible here: a store with a ledger,
        and an embedder that takes jobs and is set up for them.

        Asks the provider once in the life of this object. Raises EmbedderUnavailable if it does not
        answer.
        """
        if self._takes_jobs is None:
            able = self._ledger is not None and self._provider is not None
            if able:
                try:
                    self._desk().embedder.find(PROBE)
                except ConfigError:
                    able = False
            self._takes_jobs = able
        return self._takes_jobs

    def flush_queue(
        self, min_size: int = 10, force: bool = False, *, job_size: int | None = None
    ) -> tuple[BatchJob, ...]:
        """Submit every passage that waits, in jobs of at most `job_size`; the jobs,
        () if fewer than `min_size` wait.

        A job is smaller where the provider takes less for now, or the budget allows less; what is
        over the jobs that may be under way (`BatchRules.open_jobs`) waits.

        force: also fewer, those of collections that are to be fresh sooner, and past the soft
        budget. A job that could not be sent now is CREATED, with the reason as its error, and is
        sent by a later call of this or of `sync_status`. Raises ConfigError if the embedder takes
        no jobs or has no key for them, BudgetSpent, EmbedderError, StoreError.
        """
        check_count("min_size", min_size)
        size = self.rules.job_size if job_size is None else check_count("job_size", job_size, 1)
        least = min(1, min_size) if force else min_size
        without = () if force else self._fast()
        made = Submission(self._desk()).flush(least, size, without, force=force)
        few = not made and self._queue().waiting(1, self._clock())
        if few and not self.takes_jobs:  # said now, and not when there are enough
            self._desk().embedder.find(PROBE)
        return tuple(made)

    def sync_status(self) -> tuple[BatchJob, ...]:
        """Ask how the open jobs are, and give the results of those that are done to whoever waits;
        the jobs as they are now.

        What a later call may mend is noted in a job's error. Raises ConfigError, StoreError.
        """
        queue = self._queue()
        if not queue.jobs(OPEN, limit=1) and not queue.jobs(limit=1, cleaned=False):
            return ()
        desk = self._desk()
        collecting = Collecting(desk)
        found = self._adopted(collecting)
        unsent = [*queue.jobs(UNSENT, limit=MOST_JOBS), *Submission(desk).resume()]
        polled = collecting.poll(queue.jobs(SENT, limit=MOST_JOBS))
        collecting.clean()
        touched = {job.id: queue.job(job.id) for job in (*found, *unsent, *polled)}
        return tuple(job for job in touched.values() if job is not None)

    def work(self, min_size: int | None = None) -> tuple[BatchJob, ...]:
        """One round of everything a worker does: collect, embed what is to be fresh soon, submit
        the rest; the jobs touched.

        May be called every second: where jobs are possible it does something twice a minute
        (`BatchRules.poll`). Fewer than `min_size` passages (None: `BatchRules.flush_size`) are
        submitted once the oldest has waited for an hour (`BatchRules.flush_after`). Without jobs,
        all is embedded. Raises EmbedderError, BudgetSpent, StoreError.
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
        waited = self._clock() - (self.queue_stats().oldest_at or self._clock())
        enough = self.rules.flush_size if min_size is None else min_size
        least = 1 if waited >= self.rules.flush_after else enough
        flushed = Submission(self._desk()).flush(least, self.rules.job_size, fast, force=False)
        return tuple({job.id: job for job in (*collected, *flushed)}.values())

    def embed(
        self,
        limit: int | None = None,
        *,
        from_jobs: bool = False,
        collections: Collection[str] | None = None,
    ) -> int:
        """Embed what waits now, interactively; how many chunks were filled.

        See `SemanticCore.embed_pending`.
        """
        metered = self.metered_embedder()
        if metered is None:
            give_up = self._give_up if self._ledger is not None else None
            return embed_pending(self._store, self._embedder, limit, give_up=give_up)
        try:
            take = metered.take
            return embed_pending(
                self._store,
                metered,
                limit,
                take=lambda count: take(count, from_jobs=from_jobs, collections=collections),
                done=metered.release,
                give_up=metered.give_up,
            )
        finally:
            metered.release()

    def _give_up(self, why: Mapping[str, str]) -> None:
        MeteredEmbedder(self._queue(), self._embedder, self.till, self._clock).give_up(why)

    def metered_embedder(self) -> MeteredEmbedder | None:
        """What a run embeds through, so that nothing is paid for twice;
        None where nothing is paid.
        """
        if not self._paid or self._ledger is None:
            return None
        return MeteredEmbedder(self._ledger, self._embedder, self.till, self._clock)

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
        """Seconds the provider keeps results for once a job is done; None where it is not told."""
        kept = getattr(self._embedder, "results_kept", None)
        return float(kept) if isinstance(kept, int | float) else None

    def job(self, id: str) -> BatchJob:
        """The job of this id, or of the only one that begins so. Raises InputError."""
        found = self._queue().job(id)
        if found is not None:
            return found
        near = [job for job in self._queue().jobs(limit=MOST_JOBS) if id and job.id.startswith(id)]
        if len(near) != 1:
            what = f"{len(near)} jobs begin" if near else "No job begins"
            raise InputError(
                f"{what} with {clip(id)}.", hint="`semantic-core queue status` lists them."
            )
        return near[0]

    def cancel(self, job: str | BatchJob) -> BatchJob:
        """End a job; as it is now.

        What it has done may have to be paid, and is still collected; the rest waits again.

        One that has ended stays as it is. Raises InputError for no such job, EmbedderError; it is
        then cancelled later.
        """
        desk = self._desk()
        now = desk.clock()
        found = self.job(job if isinstance(job, str) else job.id)
        if found.status in OPEN and not found.cancelled_at:
            self._queue().note_job(found.id, now, cancelled_at=now)
        if found.status == "CREATED":
            return Submission(desk).send_anew(found)
        if found.status in OPEN:
            Collecting(desk).cancel(found)
        return desk.again(found)

    def retry(self, job: str | None = None) -> int:
        """Let passages that were given up wait again (of this job; None: all); how many.

        They are paid for again; but a job that was lost and is there again goes on instead, with
        its passages.
        """
        self.adopt_lost()
        return self._queue().retry(None if job is None else self.job(job).id)

    def adopt_lost(self) -> tuple[BatchJob, ...]:
        """Go on with the jobs that were given up as lost, and are at their provider after all; as
        they are now. `sync_status` and `retry` do this, too. Raises StoreError.
        """
        lost = self._queue().jobs(FAILED, limit=1, cleaned=False)
        if self._provider is None or not lost:
            return ()
        return tuple(self._adopted(Collecting(self._desk())))

    @staticmethod
    def _adopted(collecting: Collecting) -> list[BatchJob]:
        try:
            return collecting.adopt_lost()
        except (ConfigError, EmbedderError) as error:
            logger.warning("Lost jobs could not be looked for: %s", error)
            return []

    def chunk_states(self, ids: Sequence[ChunkId]) -> Sequence[tuple[ChunkStatus, str] | None]:
        """READY, PENDING, SUBMITTED or FAILED, and why, of each chunk;
        None for one that is not there.
        """
        return self._queue().chunk_states(ids)

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """Chunks of the state FAILED, each with its reason."""
        return self._queue().given_up(check_count("limit", limit, 1))

    def costs(self, since: str = "", until: str = "9") -> Sequence[Cost]:
        """What was spent from one day (ISO 8601, UTC) to another, by day, tenant, collection,
        model and tier. Queries are in the tier "query", those of this process up to now.
        """
        self.till.write_queries()
        return self._queue().costs(since, until)

    def close(self) -> None:
        """Write down what queries cost. Where that cannot be done it is said in the log: the store
        is closed all the same.
        """
        try:
            self.till.write_queries()
        except StoreError as error:
            logger.warning("What the last queries cost is not written down: %s", error)

    def estimate(self) -> Estimate:
        """What embedding all that waits takes: tokens by characters,
        as many as the first thousand passages have.
        """
        queue = self._queue()
        return self.till.estimate(*queue.waiting_size(), list(queue.pending(SAMPLE).values()))

    def estimate_like(self, passages: int) -> Estimate:
        """What embedding so many passages takes, if they are like those that wait."""
        queue = self._queue()
        there, characters = queue.waiting_size()
        sample = list(queue.pending(SAMPLE).values())
        return self.till.estimate(passages, round(characters * passages / max(1, there)), sample)

    def leaves(self, mode: IngestMode) -> Callable[[str, int], bool]:
        """Which passages an ingest of this mode leaves without a vector, see `_ingest.Ingest`."""
        if mode != "auto":
            return lambda collection, embedding: mode == "async"

        def later(collection: str, embedding: int) -> bool:
            goal = self._goals.get(collection, self._goals.get(""))
            if goal is not None:
                return goal != "now"
            return embedding > AUTO_PASSAGES and self._takes_jobs_probably()

        return later

    def _takes_jobs_probably(self) -> bool:
        """An embedder that is away may take them when it is back."""
        try:
            return self.takes_jobs
        except EmbedderUnavailable:
            return True

    def _fast(self) -> list[str]:
        """Collections jobs are too slow for."""
        soon = [name for name, goal in self._goals.items() if name and goal != "24h"]
        if self._goals.get("", "24h") == "24h":
            return soon
        slow = {name for name, goal in self._goals.items() if goal == "24h"}
        return sorted(set(self._store.stats().collections) - slow)

    def _queue(self) -> BatchQueue:
        if self._ledger is None:
            raise StoreMisuse(
                f"{type(self._store).__name__} keeps no ledger of batch jobs.",
                hint='The stores "sqlite" and "memory" do.',
            )
        return self._ledger

    def _desk(self) -> BatchContext:
        if self._provider is None:
            raise ConfigError(
                f"{type(self._embedder).__name__} takes no batch jobs.",
                hint="core.embed_pending() embeds what waits; the embedder gemini takes jobs.",
            )
        return BatchContext(self._queue(), self._provider, self.till, self.rules, self._clock)
