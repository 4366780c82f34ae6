"""No silent difference: whatever happens to a database and its indexes, an answer is right, or says that it may not be."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from history_world import play

HISTORIES = int(os.environ.get("SEMANTIC_CORE_HISTORIES", "250"))
"""Random histories each of these tests plays; the long run has many more."""
HOSTS = st.sampled_from(["a", "a", "b", "c"])
IDS = st.integers(1, 4)
MEMORY = Path("/dev/shm")  # noqa: S108 - files that need not outlive the test, where there is such a place


def steps() -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """What may happen, in any order; writes and workers most often."""
    writes = st.tuples(
        st.just("write"),
        HOSTS,
        st.sampled_from(["save", "save", "delete", "many", "raw", "tag", "rollback", "other program"]),
        IDS,
    )
    work = st.tuples(st.just("sync"), HOSTS, st.sampled_from([None, None, 1, 2]))
    crash = st.tuples(st.just("crash"), HOSTS, st.sampled_from(["store before", "store after", "done", "claim"]))
    rare = st.one_of(
        crash,
        st.tuples(st.just("restart"), HOSTS),
        st.tuples(st.just("restore"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("restore_index"), HOSTS, HOSTS),
        st.tuples(st.just("lose_index"), HOSTS),
        st.tuples(st.just("leave"), HOSTS),
        st.tuples(st.just("shift"), st.sampled_from([-400.0, -1.0, 0.5, 8.0, 400.0])),
        st.tuples(st.just("migrate")),
    )
    copies = st.one_of(st.tuples(st.just("back_up")), st.tuples(st.just("back_up_index"), HOSTS))
    step = st.one_of(writes, writes, writes, work, work, copies, rare, st.tuples(st.just("look")))
    return st.lists(step, min_size=4, max_size=24)


def told(history: list[tuple[Any, ...]]) -> list[str]:
    """What was wrong after a history, played in a folder of its own."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None, prefix="semantic-history-"))
    try:
        return play(folder, history)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps())
def test_no_history_ends_in_a_silent_difference(history: list[tuple[Any, ...]]) -> None:
    assert told(history) == []
