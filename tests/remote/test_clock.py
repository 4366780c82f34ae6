"""The time of a service is what its answers say, carried on by our own clock."""

from __future__ import annotations

import httpx2
import pytest

from semantic_core.remote import ServiceClock
from semantic_core.testing import TurningClock


def answer(date: str | None) -> httpx2.Response:
    return httpx2.Response(200, headers={} if date is None else {"Date": date})


def test_before_the_first_answer_it_is_unknown_and_the_computers_own_serves() -> None:
    turning = TurningClock()
    clock = ServiceClock(turning.clock)
    assert clock.time() is None
    assert abs(clock.wall() - turning.clock.wall()) < 60


def test_after_an_answer_it_goes_on_from_what_that_said() -> None:
    turning = TurningClock()
    clock = ServiceClock(turning.clock)
    clock.hear(answer("Thu, 01 Jan 1970 00:01:40 GMT"))
    assert clock.time() == clock.wall() == 100
    turning.turn(25)
    assert clock.time() == 125
    clock.hear(answer("Thu, 01 Jan 1970 00:01:50 GMT"))
    assert clock.time() == 110


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Jan 1970 00:00:00 GMT"])
def test_an_answer_without_a_date_changes_nothing(date: str | None) -> None:
    clock = ServiceClock(TurningClock().clock)
    clock.hear(answer(date))
    assert clock.time() is None
    clock.hear(answer("Thu, 01 Jan 1970 00:01:40 GMT"))
    clock.hear(answer(date))
    assert clock.time() == 100
