"""Jobs and money in random histories with crashes, on the SQLite file;
`tests/batch/test_histories.py` plays more of them.
"""

from __future__ import annotations

from itertools import count

import pytest
from figures import SOAK, record
from samples import quick_folder
from semantic_core_peewee import SqliteStore

from semantic_core.testing.job_histories import SPACE, play_histories

pytestmark = pytest.mark.slow

HISTORIES = 80


def test_in_any_history_nothing_is_lost_or_paid_for_twice_and_the_ledger_is_the_bill(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL", logger="semantic_core.batch")
    numbers = count()
    with quick_folder() as folder:

        def opened() -> SqliteStore:
            return SqliteStore(SPACE, folder / f"{next(numbers)}.db", durability="normal")

        totals = play_histories(opened, range(1_000_000, 1_000_000 + HISTORIES * SOAK))
    assert totals["crashes"] > HISTORIES / 4
    record("batch_histories", **totals, lost=0, off=0)
