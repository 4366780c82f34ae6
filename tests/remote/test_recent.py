"""Vectors used last are held in memory; a query asked by many at once is asked for once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from semantic_core.remote import Queries, Recent
from semantic_core.types import Vector


def test_those_used_last_are_held() -> None:
    recent: Recent[int] = Recent(3)
    for name, value in (("a", 1), ("b", 2), ("c", 3)):
        recent.put(name, value)
    assert recent.get("a") == 1
    recent.put("d", 4)
    assert [recent.get(name) for name in "abcd"] == [1, None, 3, 4] and len(recent) == 3
    recent.pop("a")
    recent.pop("a")
    assert recent.get("a") is None


def test_a_query_is_made_once_by_many_threads_and_nobody_changes_anothers_vector() -> None:
    queries, made = Queries(10), []
    barrier = threading.Barrier(6)
    rows: list[Vector] = []

    def make() -> Vector:
        made.append(1)
        return np.ones(4, dtype=np.float32)

    def ask() -> None:
        barrier.wait(10)
        rows.append(queries.get("key", make))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1 and len({id(row) for row in rows}) == 6
    rows[0][:] = 0
    assert queries.get("key", make).sum() == 4 and len(made) == 1


def test_a_failure_is_raised_and_not_remembered() -> None:
    queries = Queries(10)

    def fail() -> Vector:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            queries.get("key", fail)
    assert queries.get("key", lambda: np.ones(1, dtype=np.float32)).sum() == 1
