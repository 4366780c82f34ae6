"""A worker may die before any request to the service and any call to the store; an answer may be
lost, or another worker may run there. No passage is lost or paid for twice.

The plans and the judgement are those of the kernel's kit; the provider is the real embedder over
real connections. With ``SEMANTIC_CORE_SOAK=n`` so many times as many plans; 100 plays all of them.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from providers import ACCOUNTS, FakedProvider

from semantic_core._memory.store import MemoryStore
from semantic_core.testing import job_histories
from semantic_core.testing.check import SOAK
from semantic_core.testing.stores import schedules

SHAPES = (
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
)
PLANS = 5
"""Of each shape, evenly spread."""
HISTORIES = 8
TIMES = int(os.environ.get(SOAK, "1"))


class SteppingWorld(schedules.World):
    """A world in which every request is a point, too."""

    def __init__(self, store: Any, embedder: Any, *rest: Any) -> None:
        super().__init__(store, embedder, *rest)
        embedder.step = self.request

    def request(self, path: str, request: Any) -> Callable[[], None]:
        lost = self.point(True)

        def after() -> None:
            if lost:
                raise httpx2.ReadError("No answer came.")

        return after


class Providers:
    """Makes providers, of which only the latest is open."""

    def __init__(self) -> None:
        self.current: FakedProvider | None = None
        self.paid: Counter[int] = Counter()

    def __call__(self, *choice: random.Random) -> FakedProvider:
        self.close()
        self.current = FakedProvider(*choice)
        return self.current

    def close(self) -> None:
        if self.current is not None:
            self.paid.update(self.current.billed.values())
            self.current.close()
            self.current = None


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Providers]:
    made = Providers()
    monkeypatch.setattr(schedules, "embedder", made)
    monkeypatch.setattr(schedules, "World", SteppingWorld)
    monkeypatch.setattr(job_histories, "Provider", made)
    logging.disable(logging.CRITICAL)
    yield made
    logging.disable(logging.NOTSET)
    made.close()


def opened() -> MemoryStore:
    return MemoryStore(FakedProvider.space)


def spread(plans: list[Any], count: int) -> list[Any]:
    return plans[:: max(1, len(plans) // count)]


@pytest.mark.parametrize("shape", SHAPES)
def test_wherever_a_worker_dies_or_an_answer_is_lost_nothing_is_lost_or_paid_for_twice(
    shape: Any, providers: Providers
) -> None:
    quiet = schedules.play(opened(), (), shape, 0)
    assert quiet.faults == () and len(quiet.provider_points) > 40
    plans = [(plan, shape) for plan in schedules.single_plans(quiet)]
    deaths = [plan for plan in plans if plan[0][0][1] in ("crash", "lost")]
    meetings = [plan for plan in plans if plan[0][0][1] in ("jobs", "stall")]
    chosen = spread(deaths, PLANS * TIMES) + spread(meetings, PLANS // 3 * TIMES)
    assert schedules.play_all(opened, chosen, fresh=1) >= PLANS
    if shape not in schedules.CONSENTED:
        providers.close()
        assert set(providers.paid) == {1}, "some passage was paid for twice"


class SteppingHistory(job_histories.History):
    """A history in which every request is a step, too, of the process that makes it."""

    def __init__(self, store: Any, seed: int) -> None:
        super().__init__(store, seed)
        self.provider.step = self.request  # type: ignore[attr-defined]

    def request(self, path: str, request: Any) -> Callable[[], None]:
        about_jobs = not path.endswith("/embeddings")
        [process] = [one for one in self.processes if one.meter is self.provider._meter]
        happening = self.point(process, job=about_jobs)
        self.provider._meter = process.meter  # another process may have run meanwhile
        before = process._at_once()

        def after() -> None:
            if happening == "lost":
                raise httpx2.ReadError("No answer came.")
            if happening == "after":
                process.paid += process._at_once() - before
                process.embedded += embedded_in(request)
                process.die()

        return after


def embedded_in(request: Any) -> list[str]:
    """The texts that a request wants embedded."""
    if not request.url.path.endswith("/embeddings"):
        return []
    import json

    given = json.loads(request.read())["input"]
    return [given] if isinstance(given, str) else list(given)


def test_in_any_history_nothing_is_lost_or_paid_for_twice_and_the_ledger_is_the_bill(
    providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_histories, "History", SteppingHistory)
    monkeypatch.setattr(job_histories, "LAST_POINT", 50)
    totals = job_histories.play_histories(opened, range(HISTORIES * TIMES))
    assert totals["histories"] == HISTORIES * TIMES and totals["crashes"] > 1


def test_the_play_finds_out_an_embedder_that_does_not_look_for_its_job(
    providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakedProvider, "find", lambda self, name: None, raising=False)
    quiet = schedules.play(opened(), (), "whole", 0)
    plans = [(plan, "whole") for plan in schedules.single_plans(quiet) if plan[0][1] == "crash"]
    with pytest.raises(AssertionError, match="paid twice|double|orphan"):
        schedules.play_all(opened, plans, fresh=1)


def test_two_accounts_of_a_provider_do_not_see_each_others_jobs(providers: Providers) -> None:
    provider = providers()
    job = provider.submit({"k": "text"}, "a job")
    provider.account = ACCOUNTS[1]
    assert provider.embedder.find("a job") is None
    provider.account = ACCOUNTS[0]
    assert provider.embedder.find("a job") == job
