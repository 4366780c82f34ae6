"""A provider of batch jobs for the kit's histories and schedules that is the real embedder, over
real connections to `FakeEmbeddings`. Every request is a step, before and after which a process may
die.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring

from semantic_core import Space
from semantic_core.batch import JobState
from semantic_core.testing import FakeEmbeddings, TurningClock

DIMENSIONS = 8
HOUR = 3_600.0
KEPT = 48 * HOUR
ACCOUNTS = ("one", "two")
SHAPES = {"cut": "whole", "late": "whole", "gone": "whole"}
"""Shapes of results that are made otherwise than by a shape of the service's."""
SENT = ("validating", "in_progress", "finalizing", "cancelling")

Step = Callable[[str, Any], "Callable[[], None]"]
"""Called before each request, with its path and the embedder's name for the account; what it
returns is called after the answer.
"""


def no_step(path: str, request: Any) -> Callable[[], None]:
    return lambda: None


class Stepping(httpx2.BaseTransport):
    """Sends by another transport, with a step before and after each request."""

    def __init__(self, inner: httpx2.BaseTransport, provider: FakedProvider) -> None:
        self.inner = inner
        self.provider = provider

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        after = self.provider.step(request.url.path, request)
        response = self.inner.handle_request(request)
        after()
        return response

    def close(self) -> None:
        self.inner.close()


class FakedJob:
    """A job as `semantic_core.testing.job_embedder.ProviderJob` shows it."""

    def __init__(self, job: Any) -> None:
        self.name = job.name
        self.passages = job.passages
        self.state = JobState("PROCESSING" if job.status in SENT else "COMPLETED")


class FakedProvider:
    """What `JobEmbedder` and the kit's `Provider` are to histories, made of the real embedder."""

    is_local = False
    space = Space("small", DIMENSIONS, "retrieval", settings={"form": "1"})

    def __init__(self, choice: random.Random | None = None) -> None:
        self.service = FakeEmbeddings(DIMENSIONS).start()
        self.service.file_seconds = KEPT
        if choice is not None:
            self.service.characters_a_token = choice.choice((2, 3, 5))
            self.service.enqueued_limit = choice.choice((None, None, 20, 50))
        for account in ACCOUNTS:
            self.service.accounts[self.key(account)] = account
        self.account = "one"
        self.time = 1_000_000.0
        self.step: Step = no_step
        self._begun: dict[str, float] = {}
        self.paid: dict[str, int] = {}
        self.lost: set[str] = set()
        self._clock = TurningClock(0.0).clock
        self._embedders = {account: self._opened(account) for account in ACCOUNTS}

    @staticmethod
    def key(account: str) -> str:
        return f"sk-of-account-{account}-0123456789"

    def _opened(self, account: str) -> OpenAIEmbedder:
        made = OpenAIEmbedder(
            OpenAIKeyring(self.key(account)),
            base_url=self.service.url,
            model="small",
            dimensions=DIMENSIONS,
            price={"interactive": 1, "batch": 0.5},
            clock=self._clock,
        )
        for service in (made._service, made.batch_client()._service):
            transport: Any = service._http.get()._transport
            transport._inner = Stepping(transport._inner, self)
        return made

    def close(self) -> None:
        for embedder in self._embedders.values():
            embedder.close()
        self.service.stop()

    # What an embedder has

    @property
    def embedder(self) -> OpenAIEmbedder:
        return self._embedders[self.account]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedders[self.account], name)

    @property
    def _meter(self) -> Any:
        return self.embedder.meter.blocks

    @_meter.setter
    def _meter(self, blocks: Any) -> None:
        for embedder in self._embedders.values():
            embedder.meter.blocks = blocks

    def metered(self) -> Any:
        return self.embedder.metered()

    def now(self) -> float:
        return self.time

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        return self.embedder.submit(passages, name)

    # What a test asks and does

    @property
    def blind(self) -> bool:
        return bool(self.service._plans["job"])

    @blind.setter
    def blind(self, value: bool) -> None:
        self.service._plans["job"].clear()
        if value:
            self.service.misbehave("job", "not_found")

    @property
    def jobs(self) -> dict[str, FakedJob]:
        """Those of which anything is left: a job with no files was removed."""
        state = self.service.state
        found = {}
        for job in self.service.jobs:
            files = (job.input_file, job.output_file, job.error_file)
            if job.status in SENT or any(file in state.files for file in files):
                found[job.id] = FakedJob(job)
        return found

    @property
    def begun(self) -> dict[str, float]:
        """When each job was created."""
        return {job.id: self._begun.setdefault(job.id, self.time) for job in self.service.jobs}

    @property
    def billed(self) -> Counter[str]:
        billed: Counter[str] = Counter()
        for bill in list(self.service.state.bills.values()):
            billed.update(bill.passages)
        for text in [text for text in billed if text.startswith("question ")]:
            del billed[text]
        return billed

    @property
    def tokens_billed(self) -> Counter[str]:
        bills = self.service.state.bills.values()
        return Counter(
            interactive=sum(bill.tokens for bill in bills),
            batch=sum(bill.job_tokens for bill in bills),
        )

    def _vector(self, text: str) -> list[float]:
        return self.service.state.vector(text, DIMENSIONS)

    def start(self) -> None:
        self.service.start_jobs()

    def expire(self) -> None:
        self.service.finish(status="expired")

    def finish(self, shape: str = "whole", *, job: str | None = None) -> int:
        ended = 0
        for one in self.service.jobs:
            if job not in (None, one.id) or one.status not in SENT:
                continue
            before = self.tokens_billed["batch"]
            ended += self.service.finish(one.id, shape=SHAPES.get(shape, shape))  # type: ignore[arg-type]
            self.paid[one.id] = self.tokens_billed["batch"] - before
            if shape == "gone":
                for file in (one.output_file, one.error_file):
                    self.service.state.files.pop(file or "", None)
        if ended and shape == "cut":
            self.service.misbehave("download", "cut_body")
        if ended and shape == "late":
            self.service.late_results = 2
        return ended

    def go_on(self, hours: float) -> list[str]:
        """Advance the clock; returns the passages whose results were removed since."""
        _ = self.begun  # before time goes by
        self.time += hours * HOUR
        state = self.service.state
        there = {job.id for job in self.service.jobs if job.output_file in state.files}
        self.service.turn(hours)
        passages: list[str] = []
        for job in self.service.jobs:
            if job.id in there and job.output_file not in state.files:
                self.lost.add(job.id)
                passages += job.passages.values()
        return passages


@contextmanager
def closing(providers: Sequence[FakedProvider]) -> Iterator[None]:
    try:
        yield
    finally:
        for provider in providers:
            provider.close()
