"""The rules of batch jobs, `BatchRules`, and what submitting and collecting share, `BatchContext`.

Tested by tests/batch/test_manager.py.
"""

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
"""Jobs read from the ledger at a time."""
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
"""Owners of a job that is not submitted now: its provider is unavailable, or accepts no more at the
moment, or the job was begun with another key.
"""


@attrs.frozen
class BatchRules:
    """The size of batch jobs, and when a job is given up. Times are in seconds.

    What the provider allows is asked of the embedder, see `BatchEmbedder`; where both give a limit,
    the stricter one counts, but job_tokens takes precedence. job_size, job_tokens: most passages
    and most tokens of a job. open_jobs: most jobs that are open at a time. flush_size,
    flush_after: `BatchManager.work` submits when this many passages are pending, or one has been
    pending for this long. attempts: how many jobs may fail for a passage before it is given up.
    lease: how long the process that submits a job may be silent before another takes the job over;
    longer than any one call to the provider.
    deadline: a job that has not ended after this time is cancelled; grace: and given up this much
    later. patience: how long the results of a finished job are requested before it is given up.
    poll: time between two rounds of `BatchManager.work`. page: passages read, or results written,
    at a time; a page is one transaction, and no more of a job is in memory.
    claim_page: passages claimed at a time, while other writers wait.
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
        """The rules of a setting, which is a table of these fields; None or {} for the defaults.

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
    """What submitting and collecting share.

    host_clock: seconds since 1970, the clock of this machine, for claims of passages and leases of
    jobs. The age of a job is measured with `clock`. filled: called with the number of passages that
    got a vector, once it is stored.
    """

    queue: BatchQueue
    embedder: BatchEmbedder
    cost_tracker: CostTracker
    rules: BatchRules
    host_clock: Callable[[], float]
    filled: Callable[[int], None]

    def clock(self) -> float:
        """Seconds since 1970, by the provider's clock if it is known."""
        now = provider_now(self.embedder)
        return now if isinstance(now, float) else self.host_clock()

    @property
    def knows_time(self) -> bool:
        """Whether the age of a job is known: the provider has no clock, or reported its time."""
        return provider_now(self.embedder) is not None

    @property
    def open_jobs(self) -> int:
        """Most jobs that may be open."""
        return self.stricter(self.rules.open_jobs, "open_jobs")

    @property
    def job_tokens(self) -> int | None:
        """Most tokens of a job; None for no limit."""
        return self.rules.job_tokens or self._allowed("job_tokens")

    @property
    def open_tokens(self) -> int | None:
        """Most tokens of all open jobs; None for no limit."""
        return self._allowed("open_tokens")

    @property
    def deadline(self) -> float:
        """Seconds after which a job that has not ended is cancelled."""
        allowed = self._allowed("job_seconds")
        return self.rules.deadline if allowed is None else min(self.rules.deadline, allowed)

    def stricter(self, limit: int, attribute: str) -> int:
        """This limit, or that of the provider if it is smaller."""
        allowed = self._allowed(attribute)
        return limit if allowed is None else min(limit, allowed)

    def _allowed(self, attribute: str) -> int | None:
        """A limit that the embedder gives; None if it gives none."""
        value = getattr(self.embedder, attribute, None)
        return int(value) if isinstance(value, int | float) and value > 0 else None

    @property
    def account(self) -> str:
        """The account that jobs are submitted with; "" if it is unknown."""
        return str(getattr(self.embedder, "account", ""))

    def is_anothers(self, job: BatchJob) -> bool:
        """Whether the job was submitted with another account than the current one."""
        return bool(job.account) and job.account != self.account

    def again(self, job: BatchJob) -> BatchJob:
        """The job as it is now."""
        return self.queue.job(job.id) or job


def provider_now(embedder: object) -> object:
    """Seconds since 1970 by the provider's clock; None while it is unknown, "" for an embedder
    whose provider does not report its time.
    """
    now = getattr(embedder, "now", None)
    return now() if callable(now) else ""
