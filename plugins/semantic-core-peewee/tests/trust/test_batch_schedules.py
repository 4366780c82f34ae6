"""Batch jobs under crashes and preemptions, on the SQLite file;
`tests/batch/test_schedules.py` plays more of them.
"""

from __future__ import annotations

from itertools import count, islice

import pytest
from figures import part, record
from samples import quick_folder
from semantic_core_peewee import SqliteStore

from semantic_core.testing.job_embedder import SHAPES
from semantic_core.testing.stores.schedules import (
    double_plans,
    embedder,
    play,
    play_all,
    single_plans,
)

pytestmark = pytest.mark.slow

SINGLES, PAIRS = 75, 35
"""Of each shape of results, evenly spread; see `figures.part`."""


@pytest.mark.parametrize("shape", SHAPES)
def test_no_schedule_makes_a_vector_wrong_or_a_passage_lost_stuck_or_paid_for_twice(shape, caplog):
    caplog.set_level("ERROR", logger="semantic_core.batch")
    numbers = count()
    with quick_folder() as folder:

        def opened() -> SqliteStore:
            return SqliteStore(
                embedder().space, folder / f"{next(numbers)}.db", durability="normal"
            )

        store = opened()
        quiet = play(store, (), shape, 0)
        store.close()
        assert quiet.faults == ()
        plans = []
        for every, wanted in (
            (list(single_plans(quiet)), part(SINGLES)),
            (list(double_plans(quiet)), part(PAIRS)),
        ):
            plans += islice(every, 0, None, max(1, len(every) // wanted))
        played = play_all(opened, ((plan, shape) for plan in plans))
    assert played >= part(SINGLES) + part(PAIRS)
    record(f"batch-{shape}", schedules=played, points=quiet.points, faults=0)
