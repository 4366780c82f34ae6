"""A call is repeated where that helps, within the patience of its caller. On a clock that tests
turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx2
import pytest

from semantic_core.errors import EmbedderError, SemanticCoreError
from semantic_core.remote import (
    AnswerInvalid,
    Breaker,
    Calls,
    KeyRefused,
    Pace,
    QuotaExhausted,
    RateLimited,
    ServiceDown,
    ServiceResting,
    ServiceTimeout,
    Size,
    connection_failure,
    never_arrived,
    quoted,
    raised_in,
    seconds_named,
)
from semantic_core.remote.calls import ANSWER_ATTEMPTS, ATTEMPTS
from semantic_core.testing import TurningClock

WHAT = "A call"


def failure_of(error: Exception, what: str, wall: float) -> SemanticCoreError | None:
    if isinstance(error, SemanticCoreError):
        return error
    return connection_failure(error, what)


class Office:
    """Calls on a clock, and answers that a test chooses."""

    def __init__(self, share: float = 1.0, requests_per_minute: int = 0) -> None:
        self.turning = TurningClock(share)
        pace = Pace(self.turning.clock, requests_per_minute, 0)
        self.calls = Calls(self.turning.clock, pace, Breaker(self.turning.clock), failure_of)
        self.answers: list[Exception] = []
        self.asked = 0

    def call(self) -> str:
        self.asked += 1
        if self.answers:
            raise self.answers.pop(0)
        return "an answer"

    def run(self, *errors: Exception, patience: float = 600.0, again: bool = True) -> str:
        self.answers = list(errors)
        return self.calls.run(WHAT, self.call, patience=patience, size=Size(1, 1), again=again)


def down(retry_after: float | None = None) -> ServiceDown:
    return ServiceDown("It is down.", retry_after=retry_after)


def test_a_call_that_works_is_made_once() -> None:
    office = Office()
    assert office.run() == "an answer" and office.asked == 1 and office.turning.slept == []


def test_failures_are_retried_after_waits_that_grow_and_then_raised() -> None:
    office = Office()
    assert office.run(*[down()] * (ATTEMPTS - 1)) == "an answer"
    assert office.turning.slept == [2.0, 4.0, 8.0, 16.0]
    office = Office(share=0.0)
    with pytest.raises(ServiceDown):
        office.run(*[down()] * 50)
    assert office.asked == ATTEMPTS and office.turning.slept == []


def test_a_failure_with_a_named_wait_waits_so_long() -> None:
    office = Office(share=0.0)
    office.run(down(11))
    assert office.turning.slept == [11]


def test_a_request_to_wait_is_no_failure_and_holds_for_all() -> None:
    office = Office(share=0.0)
    limited = [RateLimited("Wait.", retry_after=7.0) for _ in range(3 * ATTEMPTS)]
    assert office.run(*limited) == "an answer"
    assert sum(office.turning.slept) == 7.0 * 3 * ATTEMPTS


def test_nothing_outlasts_the_patience_of_the_caller() -> None:
    errors = (down(), down(20.0), RateLimited("Wait.", retry_after=20.0), AnswerInvalid("Odd."))
    for error in errors:
        office = Office()
        with pytest.raises(type(error)):
            office.run(*[error] * 200, patience=10)
        assert office.turning.now() - 1_000 <= 10


def test_the_turn_of_a_call_counts_against_its_patience() -> None:
    office = Office(requests_per_minute=60)
    for _ in range(10):
        office.run()
    with pytest.raises(RateLimited, match="longer than it may wait"):
        office.run(patience=0.1)
    assert office.asked == 10, "nothing was sent"


def test_an_invalid_answer_is_asked_for_once_more() -> None:
    office = Office()
    assert office.run(AnswerInvalid("Odd.")) == "an answer"
    with pytest.raises(AnswerInvalid):
        office.run(*[AnswerInvalid("Odd.")] * 9)
    assert office.asked == 2 + ANSWER_ATTEMPTS


@pytest.mark.parametrize("error", [KeyRefused("No."), QuotaExhausted("Spent.", retry_after=5)])
def test_what_stays_is_not_retried(error: EmbedderError) -> None:
    office = Office()
    with pytest.raises(type(error)):
        office.run(error, error)
    assert office.asked == 1


def test_a_call_that_must_not_be_repeated_is_repeated_only_if_it_never_arrived() -> None:
    for error, asked in (
        (httpx2.ReadTimeout("No answer."), 1),
        (httpx2.ConnectError("Nobody there."), 2),
        (RateLimited("Full."), 1),
        (RateLimited("Later.", retry_after=3.0), 2),
        (AnswerInvalid("Odd."), 1),
    ):
        office = Office()
        if asked == 1:
            with pytest.raises(SemanticCoreError):
                office.run(error, again=False)
        else:
            assert office.run(error, again=False) == "an answer"
        assert office.asked == asked, error


def test_a_mistake_of_ours_is_neither_mapped_nor_repeated() -> None:
    office = Office()
    with pytest.raises(ZeroDivisionError):
        office.run(ZeroDivisionError("ours"), ZeroDivisionError("ours"))
    assert office.asked == 1


def test_an_interruption_ends_the_call() -> None:
    office = Office()

    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        office.calls.run(WHAT, interrupted, patience=60)


def test_the_error_of_the_client_is_the_cause() -> None:
    office = Office(share=0.0)
    with pytest.raises(ServiceTimeout, match="A call: no answer in time") as raised:
        office.run(*[httpx2.ReadTimeout("slow")] * 9)
    assert isinstance(raised.value.__cause__, httpx2.ReadTimeout)


def test_after_five_failures_one_of_many_threads_tries() -> None:
    office = Office(share=0.0)
    with pytest.raises(ServiceDown):
        office.run(*[down()] * ATTEMPTS)
    office.turning.turn(30)
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        assert go_on.wait(10)
        return "works again"

    answers: list[str] = []
    probe = threading.Thread(
        target=lambda: answers.append(office.calls.run(WHAT, slow, patience=60))
    )
    probe.start()
    assert inside.wait(10)
    for _ in range(3):
        with pytest.raises(ServiceResting, match="a test call is in progress"):
            office.run()
    go_on.set()
    probe.join(10)
    assert answers == ["works again"] and office.run() == "an answer"


@pytest.mark.parametrize(
    ("named", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("9999999", 86_400.0),
        ("soon", None),
        ("", None),
        ("Mon, 99 Foo 9999", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(named: str, seconds: float | None) -> None:
    assert seconds_named({"retry-after": named}, wall=10.0) == seconds


def test_a_quote_is_one_line_and_short() -> None:
    assert quoted("a\n  b\t c") == "a b c" and quoted(None) == ""
    assert len(quoted("x" * 5_000)) == 301


def test_errors_of_others_are_told_from_ours() -> None:
    makers: list[tuple[Callable[[], object], bool]] = [
        (lambda: httpx2.Request("GET", 5), True),  # type: ignore[arg-type]
        (lambda: [][1], False),
    ]
    for make, theirs in makers:
        with pytest.raises((TypeError, IndexError)) as raised:
            make()
        assert raised_in(raised.value, ("httpx2",)) is theirs
    assert not never_arrived(ValueError()) and not never_arrived(None)
