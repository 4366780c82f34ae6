"""How long a job may take, how often it is tried, and what a manager and its parts share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import attrs

from semantic_core._costs import CostTracker
from semantic_core._jobs import BatchJob, JobStatus
from semantic_core._validation import clip
from semantic_core.errors import ConfigError
from semantic_core.protocols import BatchEmbedder, BatchQueue

logger = logging.getLogger("semantic_core.batch")

MOST_JOBS = 10_000
"""Jobs looked after at a time."""
UNSENT: tuple[JobStatus, ...] = ("CREATED",)
SENT: tuple[JobStatus, ...] = ("SUBMITTED", "PROCESSING")
FAILED: tuple[JobStatus, ...] = ("FAILED",)
ENDED: tuple[JobStatus, ...] = ("COMPLETED", "FAILED")
FIRST_PAUSE = 60.0
LONGEST_PAUSE = 3_600.0
"""Seconds before a job is submitted again: doubled from the first to the longest."""
LATER = "later"
THROTTLED = "throttled"
OTHER_KEY = "another key"
"""Owners of a job nobody submits just now: its provider is away, or takes no more for now, or it
was begun with another key.
"""


@attrs.frozen
class BatchRules:
    """What is put into a job, and when one is given up. Times in seconds.

    job_size, job_tokens: passages, and tokens, in a job, at most; without job_tokens as many as the
    embedder says, see `BatchEmbedder`. open_jobs: jobs under way at a time, at most. flush_size,
    flush_after: `BatchManager.work` submits once so many passages wait, or one has waited for so
    long. attempts: jobs a passage may be in in vain before it is given up. lease: how long whoever
    submits a job may be silent before somebody else takes it over; longer than any one call to the
    provider.
    deadline: after which a job that has not ended is cancelled; grace: and how long later it is
    given up. patience: how long results of a finished job are asked for before it is given up.
    poll: between two rounds of `BatchManager.work`. page: passages read, or results written, at a
    time: one transaction, and all that is in memory of a job of any size.
    claim_page: passages claimed at a time; other writers wait.
    """

    job_size: int = 50_000
    job_tokens: int | None = None
    open_jobs: int = 50
    flush_size: int = 1_000
    flush_after: float = 3_600.0
    attempts: int = 3
    lease: float = 3_600.0
    deadline: float = 72 * 3_600.0
    grace: float = 24 * 3_600.0
    patience: float = 48 * 3_600.0
    poll: float = 30.0
    page: int = 2_000
    claim_page: int = 20_000

    @classmethod
    def of(cls, given: object) -> BatchRules:
        """Rules of what settings say: the fields as a table; None or {} for those there are.

        Raises ConfigError.
        """
        if given is None or isinstance(given, BatchRules):
            return given or cls()
        known = attrs.fields_dict(cls)
        if not isinstance(given, Mapping) or not set(given) <= set(known):
            raise ConfigError(f"batch must be a table with {', '.join(known)}, got {clip(given)}.")
        for name, value in given.items():
            kinds = (int, float) if isinstance(known[name].default, float) else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:
                wanted = "a whole number" if kinds == (int,) else "a number"
                raise ConfigError(f"batch: {name} must be {wanted} above 0, got {clip(value)}.")
        return cls(**given)


@attrs.frozen
class BatchContext:
    """What submitting and collecting work with.

    host_clock: by which passages are held and jobs are leased, as by all processes of a machine.
    Jobs are judged by `clock`.
    """

    queue: BatchQueue
    embedder: BatchEmbedder
    till: CostTracker
    rules: BatchRules
    host_clock: Callable[[], float]

    def clock(self) -> float:
        """Seconds since 1970, by the provider's clock where it tells it."""
        now = provider_now(self.embedder)
        return now if isinstance(now, float) else self.host_clock()

    @property
    def knows_time(self) -> bool:
        """Whether times can be judged: a provider that tells the time has told it."""
        return provider_now(self.embedder) is not None

    @property
    def account(self) -> str:
        """What jobs are submitted with; "" where that is not told."""
        return str(getattr(self.embedder, "account", ""))

    def is_anothers(self, job: BatchJob) -> bool:
        """Whether the job was submitted with another account than the one there is now."""
        return bool(job.account) and job.account != self.account

    def again(self, job: BatchJob) -> BatchJob:
        """The job as it is now."""
        return self.queue.job(job.id) or job


def provider_now(embedder: object) -> object:
    """Seconds since 1970 by its provider's clock; None while that is not known, "" where it is
    never told.
    """
    now = getattr(embedder, "now", None)
    return now() if callable(now) else ""
