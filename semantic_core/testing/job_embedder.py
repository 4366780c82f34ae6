"""`JobEmbedder`, a stand-in for an embedder that takes batch jobs and costs money. The test decides
what its provider does.

Tested by tests/contracts/test_batch_embedder_bites.py and tests/batch/test_manager.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from itertools import count
from typing import Literal, get_args

import attrs
import numpy as np

from semantic_core._jobs import JobState, PriceTier, Use
from semantic_core._metering import Meter, Spent
from semantic_core.errors import (
    ConfigError,
    EmbedderError,
    EmbedderThrottled,
    EmbedderUnavailable,
    InputError,
    JobLost,
)
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.types import Vector, Vectors

Shape = Literal[
    "whole",
    "shuffled",
    "doubled",
    "partial",
    "errors",
    "foreign",
    "cut",
    "invalid",
    "gone",
    "late",
    "busy",
]
SHAPES: tuple[Shape, ...] = get_args(Shape)
"""How the results of a job may come back, see `JobEmbedder.finish`."""
CHARACTERS_A_TOKEN = 4
SENT = ("SUBMITTED", "PROCESSING")
"""Statuses of a job that has not ended."""


Line = tuple[str, Vector | Exception]
"""A fingerprint and its result."""


def nothing_happens(method: str) -> None:
    """The default of `JobEmbedder.before`."""


@attrs.define
class ProviderJob:
    """A job as its provider sees it. passages: by fingerprint, in order. reads: how often its
    results were read.
    """

    name: str
    passages: dict[str, str]
    state: JobState = JobState("SUBMITTED", "PENDING")
    shape: Shape = "whole"
    reads: int = 0


class JobEmbedder(HashEmbedder):
    """A `BatchEmbedder` that is `Metered`: it has the vectors of `HashEmbedder`, jobs that end when
    the test calls `finish`, and a bill.

    job_limit: passages in a job at most; more raise InputError.

    jobs: the jobs at the provider, by the provider's names. billed: how often each passage was paid
    for, in a job or interactively. tokens_billed: by tier, those of queries too.

    Attributes to set: characters_a_token, by which the provider bills, whatever the estimate.
    refused, passages for which a call raises EmbedderError and costs nothing. spoiled, passages
    that get an invalid vector and cost something. enqueued_limit, tokens of all jobs that have not
    ended; more raise EmbedderThrottled. poison, passages that make their whole job fail.
    jobs_set_up; with False every method for jobs raises ConfigError. before, called with the name
    of each method for jobs; it may raise, to inject an error.
    """

    def __init__(
        self,
        dimensions: int = 64,
        *,
        batch_size: int = 32,
        max_chars: int = 2_000,
        job_limit: int = 1_000_000,
    ) -> None:
        super().__init__(dimensions, batch_size=batch_size, max_chars=max_chars)
        self.jobs: dict[str, ProviderJob] = {}
        self.billed: Counter[str] = Counter()
        self.tokens_billed: Counter[Use] = Counter()
        self.characters_a_token = CHARACTERS_A_TOKEN
        self._meter = Meter()
        self.job_limit = job_limit
        self.enqueued_limit: int | None = None
        self.poison: set[str] = set()
        self.refused: set[str] = set()
        self.spoiled: set[str] = set()
        self.jobs_set_up = True
        self.before: Callable[[str], None] = nothing_happens
        self._numbers = count(1)

    @property
    def currency(self) -> str:
        """USD."""
        return "USD"

    def price(self, tier: PriceTier) -> Decimal:
        """One dollar a million tokens, and half a dollar in a job."""
        return Decimal("1") if tier == "interactive" else Decimal("0.5")

    def tokens(self, passages: Sequence[str]) -> int:
        """A quarter of the characters, rounded up for each passage."""
        return sum(-(-len(passage) // CHARACTERS_A_TOKEN) for passage in passages)

    def seconds(self, passages: int, tokens: int) -> float:
        """A tenth of a second a call."""
        return -(-passages // self.batch_size) / 10

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder.embed_documents`. Billed at once."""
        if self.refused & set(passages):
            raise EmbedderError("One of the texts is refused.")
        vectors = super().embed_documents(passages)
        for place, passage in enumerate(passages):
            if passage in self.spoiled:
                vectors[place] = np.nan
        self.billed.update(passages)
        self._bill("interactive", passages)
        return vectors

    def embed_query(self, text: str) -> Vector:
        """See `Embedder.embed_query`. Billed at once."""
        vector = super().embed_query(text)
        self._bill("query", [text])
        return vector

    def metered(self) -> AbstractContextManager[Spent]:
        """See `Metered.metered`."""
        return self._meter.metered()

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """See `BatchEmbedder.submit`."""
        self._ready("submit")
        given: dict[str, str] = {}
        for fingerprint, passage in passages.items():
            given[fingerprint] = passage
            if len(given) > self.job_limit:
                raise InputError(f"A job takes at most {self.job_limit} passages.")
        if not given:
            raise InputError("A job needs at least one passage.")
        enqueued = self.tokens(list(given.values()))
        for there in self.jobs.values():
            if there.state.status in SENT:
                enqueued += self.tokens(list(there.passages.values()))
        if self.enqueued_limit is not None and enqueued > self.enqueued_limit:
            raise EmbedderThrottled("429 RESOURCE_EXHAUSTED, too many tokens are enqueued.")
        job = f"jobs/{next(self._numbers)}"
        self.jobs[job] = ProviderJob(name, given)
        return job

    def find(self, name: str) -> str | None:
        """See `BatchEmbedder.find`."""
        self._ready("find")
        failed: str | None = None
        for job, there in self.jobs.items():
            if there.name != name:
                continue
            if there.state.status != "FAILED":
                return job
            failed = failed or job
        return failed

    def state(self, job: str) -> JobState:
        """See `BatchEmbedder.state`."""
        self._ready("state")
        return self._there(job).state

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """See `BatchEmbedder.results`. They have the shape that `finish` got."""
        self._ready("results")
        there = self._there(job)
        there.reads += 1
        if there.shape == "late" and there.reads < 3:
            raise EmbedderUnavailable("The results are not there yet.")
        if there.shape == "gone":
            raise JobLost("The results were removed.")
        for name, result in self._lines(there):
            passage = there.passages.get(name)
            if passage is not None and not isinstance(result, Exception):
                self._meter.paid(1, self.counted(passage))
            yield name, result

    def cancel(self, job: str) -> None:
        """See `BatchEmbedder.cancel`. A job that has not ended fails at once, without results."""
        self._ready("cancel")
        there = self._there(job)
        if there.state.status in SENT:
            there.state = JobState("FAILED", "CANCELLED")

    def clean_up(self, job: str) -> None:
        """See `BatchEmbedder.clean_up`."""
        self._ready("clean_up")
        self.jobs.pop(job, None)

    def start(self) -> None:
        """Let the provider begin with every submitted job."""
        for there in self.jobs.values():
            if there.state.status == "SUBMITTED":
                there.state = JobState("PROCESSING", "RUNNING")

    def finish(self, shape: Shape = "whole", *, job: str | None = None) -> int:
        """End all jobs that have not ended, or only this one, and bill the results; returns the
        number of jobs that ended.

        shape: of the results. "whole": all, in order. "shuffled": in another order. "doubled":
        every result twice. "partial": every other one is missing. "errors": every other one is an
        error. "foreign": results of other jobs in between. "cut": the first reading breaks off.
        "invalid": every other vector is invalid. "gone": the provider has lost them. "late": the
        first two readings fail. "busy": every other one is a temporary error.
        """
        ended = 0
        for name, there in self.jobs.items():
            if job in (None, name) and there.state.status in SENT:
                ended += 1
                self._finish(there, shape)
        return ended

    def _finish(self, there: ProviderJob, shape: Shape) -> None:
        if self.poison & set(there.passages.values()):
            there.state = JobState("FAILED", "FAILED", "One of the requests cannot be read.")
            return
        there.shape = shape
        step = 2 if shape in ("partial", "errors", "busy") else 1
        good = list(there.passages.values())[::step]
        there.state = JobState("COMPLETED", "SUCCEEDED", succeeded=len(good), has_results=True)
        self.billed.update(good)
        self.tokens_billed["batch"] += sum(map(self.counted, good))

    def expire(self) -> None:
        """Let every job that has not ended fail, without results and without a bill."""
        for there in self.jobs.values():
            if there.state.status in SENT:
                there.state = JobState("FAILED", "EXPIRED", "It took too long.")

    def counted(self, passage: str) -> int:
        """The tokens that are billed for a passage."""
        return -(-len(passage) // self.characters_a_token)

    def _bill(self, tier: Use, passages: Sequence[str]) -> None:
        tokens = sum(map(self.counted, passages))
        self.tokens_billed[tier] += tokens
        self._meter.paid(len(passages), tokens)

    def _ready(self, method: str) -> None:
        if not self.jobs_set_up:
            raise ConfigError("Batch jobs need a key of their own.")
        self.before(method)

    def _there(self, job: str) -> ProviderJob:
        if job not in self.jobs:
            raise JobLost(f"There is no job {job!r}.")
        return self.jobs[job]

    def _lines(self, there: ProviderJob) -> Iterator[Line]:
        lines: list[Line] = []
        foreign: list[Line] = []
        for fingerprint, passage in there.passages.items():
            lines.append((fingerprint, self._vector(passage)))
            foreign.append((fingerprint[::-1], self._vector("of another")))
        if there.shape == "shuffled":
            lines = [*lines[1::2], *lines[::2]][::-1]
        elif there.shape == "doubled":
            lines = [*lines, *lines[::-1]]
        elif there.shape == "partial":
            lines = lines[::2]
        elif there.shape == "errors":
            lines = _every_other(lines, EmbedderError("It was refused."))
        elif there.shape == "busy":
            lines = _every_other(lines, EmbedderUnavailable("14 UNAVAILABLE"))
        elif there.shape == "foreign":
            lines = [*foreign, *lines]
        elif there.shape == "invalid":
            invalid = np.full(self.space.dimensions, np.nan, dtype=np.float32)
            lines = _every_other(lines, invalid)
        for place, line in enumerate(lines):
            if there.shape == "cut" and there.reads == 1 and place >= len(lines) // 2:
                raise EmbedderUnavailable("The answer broke off.")
            yield line


def _every_other(lines: Sequence[Line], instead: Vector | Exception) -> list[Line]:
    """These lines with another result in every second one."""
    changed = list(lines)
    for place in range(1, len(lines), 2):
        fingerprint, _ = lines[place]
        changed[place] = (fingerprint, instead)
    return changed
