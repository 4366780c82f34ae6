"""Calls stay within the rate limit, and pause while the service fails.

On a clock that tests turn.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.remote import (
    Breaker,
    Pace,
    RateLimited,
    Secret,
    ServiceResting,
    silence_of,
)
from semantic_core.remote.breaker import FAILURES, LONGEST_REST, REST
from semantic_core.remote.pacing import SPREAD
from semantic_core.testing import TurningClock

FOREVER = float("inf")


@given(
    limits=st.tuples(st.integers(1, 5_000), st.integers(1, 100_000)),
    calls=st.lists(
        st.tuples(st.integers(1, 100), st.integers(1, 20_000), st.floats(0, 30)),
        min_size=1,
        max_size=60,
    ),
)
def test_no_minute_holds_more_than_it_may(
    limits: tuple[int, int], calls: list[tuple[int, int, float]]
) -> None:
    turning = TurningClock()
    pace = Pace(turning.clock, *limits)
    went: list[tuple[float, int, int]] = []
    for texts, tokens, idle in calls:
        texts = min(texts, int(pace.burst_requests or 1))
        tokens = min(tokens, int(pace.burst_tokens or 1))
        turning.turn(idle)
        pace.turn(texts, tokens, FOREVER, "A call")
        went.append((turning.now(), texts, tokens))
    for start, _, _ in went:
        minute = [(texts, tokens) for at, texts, tokens in went if start <= at < start + 60]
        assert sum(texts for texts, _ in minute) <= max(limits[0], 1) + 1
        assert sum(tokens for _, tokens in minute) <= max(limits[1], 1) + 1


@given(st.integers(10, 5_000), st.integers(50, 400))
def test_the_pace_is_most_of_what_is_allowed(limit: int, calls: int) -> None:
    turning = TurningClock()
    pace = Pace(turning.clock, limit, 0)
    start = turning.now()
    for _ in range(calls):
        pace.turn(1, 10**9, FOREVER, "A call")
    spent = turning.now() - start
    assert spent <= 60 * calls / limit * 1.25 + 1
    assert abs(spent - pace.seconds(calls, 0)) <= 60 / (limit * 5 / 6) + 1e-6


def test_without_limits_nothing_waits() -> None:
    turning = TurningClock()
    pace = Pace(turning.clock, 0, 0)
    for _ in range(1_000):
        pace.turn(100, 20_000, turning.now(), "A call")
    assert turning.slept == [] and pace.burst_requests is None and pace.burst_tokens is None
    assert pace.seconds(10**9, 10**12) == 0.0


def test_who_would_wait_too_long_is_told_and_takes_nothing() -> None:
    turning = TurningClock()
    pace = Pace(turning.clock, 60, 0)
    pace.turn(10, 0, FOREVER, "A call")
    for _ in range(5):
        with pytest.raises(RateLimited, match="longer than it may wait") as raised:
            pace.turn(10, 0, turning.now() + 5, "A call")
        assert 11 < (raised.value.retry_after or 0) < 13
    turning.turn(12)
    pace.turn(10, 0, turning.now(), "A call")
    assert turning.slept == []


def test_a_silence_holds_for_everyone_with_the_key() -> None:
    turning = TurningClock()
    pace = Pace(turning.clock, 0, 0)
    pace.silence.begin(7)
    pace.silence.begin(3)
    pace.turn(1, 1, FOREVER, "A call")
    assert turning.slept == [7 + 7 * SPREAD]


def test_those_who_waited_for_the_end_of_a_pause_do_not_come_back_together() -> None:
    waits = []
    for place in range(8):
        turning = TurningClock(share=place / 8)
        pace = Pace(turning.clock, 0, 0)
        pace.silence.begin(3)
        pace.turn(1, 1, FOREVER, "A call")
        waits += turning.slept
    assert len(set(waits)) == 8
    assert min(waits) == 3 and 4 < max(waits) <= 3 + 3 * SPREAD


def test_waiting_after_a_pause_does_not_outlast_patience() -> None:
    turning = TurningClock()
    pace = Pace(turning.clock, 0, 0)
    pace.silence.begin(7)
    pace.turn(1, 1, turning.now() + 7.5, "A query")
    assert turning.slept == [7.5]


def test_a_pause_is_one_for_a_key_at_an_address() -> None:
    clock, other = TurningClock().clock, TurningClock().clock
    silence = silence_of(Secret("a-key"), "https://here", clock)
    assert silence_of(Secret("a-key"), "https://here", clock) is silence
    for key, address, time in (
        ("another", "https://here", clock),
        ("a-key", "https://there", clock),
        ("a-key", "https://here", other),
    ):
        assert silence_of(Secret(key), address, time) is not silence


def fail(breaker: Breaker) -> None:
    breaker.leave(breaker.enter("A call"), False)


def test_a_service_that_fails_again_and_again_is_left_alone() -> None:
    turning = TurningClock()
    breaker = Breaker(turning.clock)
    for _ in range(FAILURES):
        fail(breaker)
    with pytest.raises(ServiceResting, match="5 times in a row") as raised:
        breaker.enter("A call")
    assert raised.value.retry_after == REST and raised.value.retryable


def test_one_call_tries_and_the_others_wait_for_it() -> None:
    turning = TurningClock()
    breaker = Breaker(turning.clock)
    for _ in range(FAILURES):
        fail(breaker)
    turning.turn(REST)
    probe = breaker.enter("A call")
    assert probe is True
    with pytest.raises(ServiceResting, match="a test call is in progress"):
        breaker.enter("Another call")
    breaker.leave(probe, True)
    assert breaker.enter("A call") is False


def test_it_rests_longer_each_time_the_probe_fails_up_to_a_limit() -> None:
    turning = TurningClock()
    breaker = Breaker(turning.clock)
    for _ in range(FAILURES):
        fail(breaker)
    rests = []
    for _ in range(6):
        with pytest.raises(ServiceResting) as raised:
            breaker.enter("A call")
        rests.append(raised.value.retry_after)
        turning.turn(rests[-1] or 0)
        fail(breaker)
    assert rests == [30, 60, 120, 240, LONGEST_REST, LONGEST_REST]
    turning.turn(LONGEST_REST)
    breaker.leave(breaker.enter("A call"), True)
    for _ in range(FAILURES):
        fail(breaker)
    with pytest.raises(ServiceResting) as raised:
        breaker.enter("A call")
    assert raised.value.retry_after == REST, "a recovery starts afresh"


def test_failures_in_between_do_not_count_together() -> None:
    turning = TurningClock()
    breaker = Breaker(turning.clock)
    for _ in range(20):
        for _ in range(FAILURES - 1):
            fail(breaker)
        breaker.leave(breaker.enter("A call"), True)


def test_a_probe_that_ends_without_telling_lets_another_try() -> None:
    turning = TurningClock()
    breaker = Breaker(turning.clock)
    for _ in range(FAILURES):
        fail(breaker)
    turning.turn(REST)
    breaker.leave(breaker.enter("A call"), None)
    assert breaker.enter("Another call") is True


def test_a_late_answer_to_an_old_call_does_not_end_the_probe() -> None:
    turning = TurningClock()
    breaker = Breaker(turning.clock)
    old = breaker.enter("An old call")
    for _ in range(FAILURES):
        fail(breaker)
    turning.turn(REST)
    assert breaker.enter("A probe") is True
    breaker.leave(old, False)
    with pytest.raises(ServiceResting, match="a test call is in progress"):
        breaker.enter("Another call")
