"""An index and an outbox recognise each other, whatever several processes do to both at the same
time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic_core.orm import agreement
from semantic_core.orm.agreement import Agreement
from semantic_core.orm.consumers import Consumers
from semantic_core.orm.dialects import TABLES
from semantic_core.orm.outbox import PendingChange, SqlOutbox
from semantic_core.orm.sql import Sql

PROCESSES = 3


class Process:
    """One of several that process the same outbox, without a lease: what one does in a step."""

    def __init__(self, connection: Any, index: Any) -> None:
        self.outbox = SqlOutbox(Sql(connection.run, "sqlite"))
        self.agreement = Agreement(index, Consumers(Sql(connection.run, "sqlite")))
        self.agreement.index = index
        self._changes: list[PendingChange] = []
        self._wrote = False

    def step(self) -> None:
        """Take changes; write to the index; or report the write to the outbox, and delete them."""
        if not self._changes:
            self._changes = self.outbox.claim(2, lease=False)
        elif not self._wrote:
            newest = self._changes[-1]
            with self.agreement.writing(lambda: (newest.number, newest.mark)):
                self._wrote = True
        else:
            self.agreement.acknowledge()
            self.outbox.done([change.number for change in self._changes])
            self._changes, self._wrote = [], False


@pytest.fixture(scope="module")
def kept(keep_database: Any) -> Any:
    """A database with an outbox in it."""
    made = keep_database("sqlite3")
    SqlOutbox(Sql(made.connect().run, made.dialect)).create()
    return made


steps = st.one_of(st.none(), st.integers(0, PROCESSES - 1), st.integers(0, PROCESSES - 1))


@pytest.mark.parametrize(
    "history",
    [
        # 0 and 1 look at one change; 0 is done with it, and so is 2 with the next, before 1 writes.
        [None, 0, 1, 0, 0, None, 2, 2, 2, 1],
        [None, 0, 1, None, 2, 0, 2, 2, 0, 1],
    ],
)
def test_a_slow_process_that_speaks_of_an_old_change_again_is_no_restore(
    kept: Any, monkeypatch: pytest.MonkeyPatch, history: list[int | None]
) -> None:
    monkeypatch.setattr(agreement, "PAUSE", 0.0)
    _play(kept, history)


def test_processes_at_work_on_one_outbox_are_never_taken_for_a_restore(
    kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "PAUSE", 0.0)

    @settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.lists(steps, min_size=8, max_size=40))
    def play(history: list[int | None]) -> None:
        _play(kept, history)

    play()


@pytest.mark.parametrize("registered", [1, 2, 3])
def test_of_two_that_begin_at_once_one_begins_and_both_agree(
    kept: Any, monkeypatch: pytest.MonkeyPatch, registered: int
) -> None:
    """The other one writes to the index between our look and our beginning, and to the outbox
    before our look of this number.
    """
    connection = kept.connect()
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")
    index = agreement.ProcessCheckpoints()
    mine, other = Process(connection, index).agreement, Process(connection, index).agreement
    looks = 0
    reports: list[Callable[[], None]] = []
    register = other.consumers.register

    def later(*registration: Any) -> None:
        reports.append(lambda: register(*registration))

    def look() -> Any:
        nonlocal looks
        looks += 1
        if looks == 2 + registered:
            for report in reports:
                report()
        seen = type(mine)._look(mine)
        if looks == 2:
            with monkeypatch.context() as patch:
                patch.setattr(other.consumers, "register", later)
                assert other.check() == agreement.FIRST_TIME
        return seen

    monkeypatch.setattr(mine, "_look", look)
    monkeypatch.setattr(agreement, "PAUSE", 0.0)
    assert mine.check() == ""
    assert other.check() == "" and mine.epoch == other.epoch
    connection.close()


def _play(kept: Any, history: list[int | None]) -> None:
    """None: the application commits a change. A number: a step of that process."""
    connection = kept.connect()
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")
    index = agreement.ProcessCheckpoints()
    observer = Process(connection, index)
    assert observer.agreement.check() == agreement.FIRST_TIME
    processes = [Process(connection, index) for _ in range(PROCESSES)]
    for number, step in enumerate(history):
        if step is None:
            observer.outbox.add("article", [str(number)])
        else:
            processes[step].step()
        assert observer.agreement.check() == "", history[: number + 1]
    connection.close()
