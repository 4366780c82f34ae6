"""JobEmbedder: a stand-in for an embedder that takes batch jobs and costs money,
with a provider that does as it is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from itertools import count
from typing import Literal

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
SHAPES: tuple[Shape, ...] = (
    "whole", "shuffled", "doubled", "partial", "errors", "foreign", "cut", "invalid", "gone",
    "late", "busy",
)  # fmt: skip
"""How the results of a job may come back, see `JobEmbedder.finish`."""
CHARACTERS_A_TOKEN = 4
SENT = ("SUBMITTED", "PROCESSING")


@attrs.define
class ProviderJob:
    """A job as its provider sees it. passages: by fingerprint, as they came.
    reads: how often its results were asked for.
    """

    name: str
    passages: dict[str, str]
    state: JobState = JobState("SUBMITTED", "PENDING")
    shape: Shape = "whole"
    reads: int = 0


class JobEmbedder(HashEmbedder):
    """A `BatchEmbedder` that is `Metered`: the vectors of `HashEmbedder`,
    jobs that end when you say so, and a bill.

    jobs: at the provider, by its own name of each. billed: how often each passage was paid for, in
    a job or interactively.
    tokens_billed: by tier, those of queries too. characters_a_token: by which it bills, whatever it
    estimates. refused: passages a call is refused for, unpaid; spoiled: those that get
    a vector that is none, paid. job_limit: passages one job takes; more are refused (InputError).
    enqueued_limit: tokens of all jobs under way; more are refused (EmbedderThrottled).
    poison: a job with one of these passages fails whole. jobs_set_up: False makes every method of
    jobs raise ConfigError. before: called with the name of each method of jobs, and may raise; it
    is how faults are put in.
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
        self.before: Callable[[str], None] = lambda method: None
        self._numbers = count(1)

    @property
    def currency(self) -> str:
        """USD."""
        return "USD"

    def price(self, tier: PriceTier) -> Decimal:
        """A dollar a million tokens, half of it in a job."""
        return Decimal("1") if tier == "interactive" else Decimal("0.5")

    def tokens(self, passages: Sequence[str]) -> int:
        """A quarter of the characters, each passage rounded up."""
        return sum(-(-len(passage) // CHARACTERS_A_TOKEN) for passage in passages)

    def seconds(self, passages: int, tokens: int) -> float:
        """A tenth of a second a call."""
        return -(-passages // self.batch_size) / 10

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder.embed_documents`. Paid for at once."""
        if self.refused & set(passages):
            raise EmbedderError("One of the texts is refused.")
        vectors = super().embed_documents(passages)
        vectors[[passage in self.spoiled for passage in passages]] = np.nan
        self.billed.update(passages)
        self._bill("interactive", passages)
        return vectors

    def embed_query(self, text: str) -> Vector:
        """See `Embedder.embed_query`. Paid for at once, each time."""
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
        under_way = [there.passages for there in self.jobs.values() if there.state.status in SENT]
        enqueued = sum(self.tokens(list(each.values())) for each in (*under_way, given))
        if self.enqueued_limit is not None and enqueued > self.enqueued_limit:
            raise EmbedderThrottled("429 RESOURCE_EXHAUSTED, too many tokens are enqueued.")
        job = f"jobs/{next(self._numbers)}"
        self.jobs[job] = ProviderJob(name, given)
        return job

    def find(self, name: str) -> str | None:
        """See `BatchEmbedder.find`."""
        self._ready("find")
        found = [job for job, there in self.jobs.items() if there.name == name]
        good = [job for job in found if self.jobs[job].state.status != "FAILED"]
        return next(iter(good or found), None)

    def state(self, job: str) -> JobState:
        """See `BatchEmbedder.state`."""
        self._ready("state")
        return self._there(job).state

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """See `BatchEmbedder.results`. In the shape the job was finished with."""
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
        """See `BatchEmbedder.cancel`. A job that has not ended ends at once, without results."""
        self._ready("cancel")
        there = self._there(job)
        if there.state.status in SENT:
            there.state = JobState("FAILED", "CANCELLED")

    def clean_up(self, job: str) -> None:
        """See `BatchEmbedder.clean_up`."""
        self._ready("clean_up")
        self.jobs.pop(job, None)

    def start(self) -> None:
        """Begin to work at every job that waits."""
        for there in self.jobs.values():
            if there.state.status == "SUBMITTED":
                there.state = JobState("PROCESSING", "RUNNING")

    def finish(self, shape: Shape = "whole", *, job: str | None = None) -> int:
        """End the jobs that run (or this one), and bill what succeeded; how many jobs ended.

        shape: of the results. "doubled": every line twice. "partial": every other one is missing.
        "errors": every other one failed. "foreign": lines of other jobs in between. "cut": the
        first reading breaks off. "invalid": every other vector is none. "gone": the provider has
        lost them. "late": they cannot be read the first two times. "busy": every other one failed
        in passing.
        """
        ended = 0
        for name, there in self.jobs.items():
            if (job is None or job == name) and there.state.status in SENT:
                ended += 1
                if self.poison & set(there.passages.values()):
                    there.state = JobState(
                        "FAILED", "FAILED", "One of the requests cannot be read."
                    )
                    continue
                there.shape = shape
                step = 2 if shape in ("partial", "errors", "busy") else 1
                good = list(there.passages.values())[::step]
                there.state = JobState(
                    "COMPLETED", "SUCCEEDED", succeeded=len(good), has_results=True
                )
                self.billed.update(good)
                self.tokens_billed["batch"] += sum(map(self.counted, good))
        return ended

    def expire(self) -> None:
        """Let every job that runs end without results, and without a bill."""
        for there in self.jobs.values():
            if there.state.status in SENT:
                there.state = JobState("FAILED", "EXPIRED", "It took too long.")

    def counted(self, passage: str) -> int:
        """Tokens a passage is billed for."""
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

    def _lines(self, there: ProviderJob) -> Iterator[tuple[str, Vector | Exception]]:
        lines: list[tuple[str, Vector | Exception]] = [
            (fingerprint, self._vector(passage)) for fingerprint, passage in there.passages.items()
        ]
        if there.shape == "shuffled":
            lines = [*lines[1::2], *lines[::2]][::-1]
        elif there.shape == "doubled":
            lines = [*lines, *lines[::-1]]
        elif there.shape == "partial":
            lines = lines[::2]
        elif there.shape in ("errors", "busy"):
            error = (
                EmbedderError("It was refused.")
                if there.shape == "errors"
                else EmbedderUnavailable("14 UNAVAILABLE")
            )
            lines = [(name, error if place % 2 else one) for place, (name, one) in enumerate(lines)]
        elif there.shape == "foreign":
            lines = [*((f"{name[::-1]}", self._vector("of another")) for name, _ in lines), *lines]
        elif there.shape == "invalid":
            bad = np.full(self.space.dimensions, np.nan, dtype=np.float32)
            lines = [(name, bad if place % 2 else one) for place, (name, one) in enumerate(lines)]
        for place, line in enumerate(lines):
            if there.shape == "cut" and there.reads == 1 and place >= len(lines) // 2:
                raise EmbedderUnavailable("The answer broke off.")
            yield line
