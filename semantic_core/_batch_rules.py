"""How long a job may take, how often it is tried, and what a manager and its parts share."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from semantic_core._jobs import BatchJob, JobStatus
from semantic_core._till import Till
from semantic_core.errors import SemanticCoreError
from semantic_core.protocols import BatchEmbedder, BatchQueue

logger = logging.getLogger("semantic_core.batch")

MOST_JOBS = 10_000
"""Jobs looked after at a time."""
UNSENT: tuple[JobStatus, ...] = ("CREATED",)
SENT: tuple[JobStatus, ...] = ("SUBMITTED", "PROCESSING")
ENDED: tuple[JobStatus, ...] = ("COMPLETED", "FAILED")
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3_600.0
"""Seconds before a job is submitted again: doubled from the first to the longest."""


@attrs.frozen
class BatchRules:
    """What is put into a job, and when one is given up. Times in seconds.

    job_size: passages in a job, at most. attempts: jobs a passage may be in in vain before it is
    given up. lease: how long whoever submits a job may be silent before somebody else takes it
    over; longer than any one call to the provider.
    deadline: after which a job that has not ended is cancelled; grace: and how long later it is
    given up. patience: how long results of a finished job are asked for before it is given up.
    poll: between two rounds of `BatchManager.work`. page: passages read, or results written, at a
    time: one transaction, and all that is in memory of a job of any size.
    claim_page: passages claimed at a time; other writers wait.
    """

    job_size: int = 50_000
    attempts: int = 3
    lease: float = 3_600.0
    deadline: float = 72 * 3_600.0
    grace: float = 24 * 3_600.0
    patience: float = 48 * 3_600.0
    poll: float = 30.0
    page: int = 2_000
    claim_page: int = 20_000


@attrs.frozen
class Desk:
    """What submitting and collecting work with."""

    queue: BatchQueue
    embedder: BatchEmbedder
    till: Till
    rules: BatchRules
    clock: Callable[[], float]

    def again(self, job: BatchJob) -> BatchJob:
        """The job as it is now."""
        return self.queue.job(job.id) or job


def told(error: BaseException) -> str:
    """An error in words for the ledger."""
    return (
        str(error) if isinstance(error, SemanticCoreError) else f"{type(error).__name__}: {error}"
    )
