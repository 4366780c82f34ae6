"""Jobs and money in random histories with crashes at every call, on the store in memory.

With ``SEMANTIC_CORE_SOAK=n`` so many times as many.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from semantic_core import _costs
from semantic_core._memory.store import MemoryStore
from semantic_core._metering import Meter
from semantic_core.batch import collect
from semantic_core.batch.context import BatchContext
from semantic_core.testing import job_histories
from semantic_core.testing.check import SOAK
from semantic_core.testing.job_histories import SPACE, play_histories

HISTORIES = 150
SOME = 600
"""In so many histories each defect is met, one of them here."""
KNOWN = (12, 32, 7, 95, 119, 230, 363)
"""Those that are played first: each meets a defect."""


def opened() -> MemoryStore:
    return MemoryStore(SPACE)


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="semantic_core.batch")


@pytest.mark.slow
def test_in_any_history_nothing_is_lost_or_paid_for_twice_and_the_ledger_is_the_bill() -> None:
    totals = play_histories(opened, range(HISTORIES * int(os.environ.get(SOAK, "1"))))
    assert totals["crashes"] > HISTORIES / 4 and totals["twice"] > 0


DEFECTS: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    "estimates are charged": lambda patch: patch.setattr(Meter, "paid", lambda *_: None),
    "jobs are charged for what they settle": lambda patch: patch.setattr(
        _costs.CostTracker, "pay_job", lambda *_: None
    ),
    "queries are free": lambda patch: patch.setattr(
        _costs.CostTracker, "_note_query", lambda *_: None
    ),
    "jobs of another key are lost": lambda patch: patch.setattr(
        BatchContext, "is_anothers", lambda *_: False
    ),
    "one answer says that a job is gone": lambda patch: patch.setattr(
        collect.Collecting, "_may_be_listed", lambda *_: False
    ),
    "lost jobs stay lost": lambda patch: patch.setattr(
        collect.Collecting, "adopt_lost", lambda *_: []
    ),
    "holds of a wrong clock last": lambda patch: patch.setattr(
        "semantic_core._memory.queue.LONGEST_HOLD", float("inf")
    ),
    "this machine's clock ends jobs": lambda patch: patch.setattr(
        "semantic_core.batch.context.provider_now", lambda embedder: ""
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_protocol_with_one_step_left_out_is_found_out(
    defect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_histories, "ROUNDS", 50)
    DEFECTS[defect](monkeypatch)
    with pytest.raises(AssertionError):
        play_histories(opened, (*KNOWN, *range(SOME)))
