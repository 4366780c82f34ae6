"""Every crash and every preemption of a worker, at every call: on the store in memory,
alone and in pairs.

With ``SEMANTIC_CORE_SOAK=n`` so many times as many pairs; 150 plays all of them.
"""

from __future__ import annotations

import os
from itertools import islice

import pytest

from semantic_core._embedding import embed_pending
from semantic_core._memory.store import MemoryStore
from semantic_core.batch import BatchManager
from semantic_core.testing.check import SOAK
from semantic_core.testing.job_embedder import SHAPES
from semantic_core.testing.stores import schedules
from semantic_core.testing.stores.schedules import (
    double_plans,
    embedder,
    play,
    play_all,
    single_plans,
)

PAIRS = 150
"""Of each shape, evenly spread; there are about twenty thousand."""


def opened() -> MemoryStore:
    return MemoryStore(embedder().space)


def spread(plans, count: int):
    """So many of them, evenly."""
    every = list(plans)
    return list(islice(every, 0, None, max(1, len(every) // count)))


@pytest.fixture(autouse=True)
def quiet_log(caplog):
    caplog.set_level("ERROR", logger="semantic_core.batch")


@pytest.mark.slow
@pytest.mark.parametrize("happening", ["crash, or the answer is lost", "jobs", "stall", "embed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_happens_once_no_passage_is_lost_wrong_stuck_or_paid_for_twice(shape, happening):
    quiet = play(opened(), (), shape, 0)
    assert quiet.faults == ()
    plans = [(plan, shape) for plan in single_plans(quiet) if plan[0][1] in happening]
    assert play_all(opened, plans, fresh=1) >= quiet.points > 90


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_happens_twice_no_passage_is_lost_wrong_stuck_or_paid_for_twice(shape):
    pairs = spread(
        double_plans(play(opened(), (), shape, 0)), PAIRS * int(os.environ.get(SOAK, "1"))
    )
    assert play_all(opened, ((plan, shape) for plan in pairs), fresh=1) >= PAIRS


@pytest.mark.slow
@pytest.mark.parametrize("happening", ["crash, or the answer is lost", "jobs", "stall", "embed"])
def test_the_same_holds_where_the_provider_is_full(happening, monkeypatch):
    def full():
        provider = embedder()
        provider.enqueued_limit = 5  # tokens: two passages
        return provider

    monkeypatch.setattr(schedules, "embedder", full)
    monkeypatch.setattr(schedules, "ROUNDS", 20)
    quiet = play(opened(), (), "whole", 0)
    assert quiet.faults == ()
    plans = [(plan, "whole") for plan in single_plans(quiet) if plan[0][1] in happening]
    assert play_all(opened, plans, fresh=1) >= quiet.points > 90


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["find", "double", "claims", "fingerprints", "resume"])
def test_a_protocol_with_one_step_left_out_is_found_out(broken, monkeypatch):
    """What the schedules are for: each of these is a way batch jobs are written by hand."""
    from semantic_core.batch import submit
    from semantic_core.testing import JobEmbedder

    if broken == "find":  # submit again after a crash without asking
        monkeypatch.setattr(JobEmbedder, "find", lambda self, name: None)
    elif broken == "double":  # one who was overtaken leaves his job at the provider
        monkeypatch.setattr(JobEmbedder, "cancel", lambda self, job: None)
        monkeypatch.setattr(
            JobEmbedder,
            "clean_up",
            lambda self, job: self.jobs.pop(job) if self._ended(job) else None,
        )
        monkeypatch.setattr(
            JobEmbedder,
            "_ended",
            lambda self, job: job in self.jobs and self.jobs[job].reads,
            raising=False,
        )
    elif broken == "claims":  # embed what waits without looking who has it
        monkeypatch.setattr(
            BatchManager, "embed", lambda self: embed_pending(self._store, self._embedder)
        )
    elif broken == "fingerprints":  # results in the order they were asked for
        lines = JobEmbedder._lines

        def by_place(self, there):
            return zip(there.passages, (vector for _, vector in lines(self, there)), strict=False)

        monkeypatch.setattr(JobEmbedder, "_lines", by_place)
    else:  # what was not sent is nobody's
        monkeypatch.setattr(submit.Submission, "resume", lambda self: [])
    with pytest.raises(AssertionError):
        for shape in ("whole", "shuffled"):
            quiet = play(opened(), (), shape, 0)
            assert quiet.faults == ()
            play_all(opened, ((plan, shape) for plan in single_plans(quiet)), fresh=1)
