"""`Calls`: runs the calls to one service, with a rate limit, retries and a circuit breaker.

Tested by tests/remote/test_calls.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from semantic_core.errors import SemanticCoreError
from semantic_core.remote.breaker import Breaker
from semantic_core.remote.clock import Clock
from semantic_core.remote.errors import (
    AnswerInvalid,
    QuotaExhausted,
    RateLimited,
    ServiceDown,
    ServiceTimeout,
    is_quotable,
    never_arrived,
)
from semantic_core.remote.extra import require_extra
from semantic_core.remote.pacing import Pace, Silence

if TYPE_CHECKING:
    from tenacity import RetryCallState

Answer = TypeVar("Answer")

FailureOf = Callable[[Exception, str, float], SemanticCoreError | None]
"""Our error for one that a call raised; None for a bug of ours, which has to stay visible.

Called with the error, what was being done (the subject of a sentence), and the present time in
seconds since 1970.
"""

ATTEMPTS: Final = 5
"""Failed attempts after which the error is raised. A request to wait does not count."""
ANSWER_ATTEMPTS: Final = 2
"""Attempts after which an invalid answer is an error; each attempt may be billed."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Seconds between two attempts: random, up to a bound that doubles each time."""


@attrs.frozen
class Size:
    """The requests and tokens of a call, which count against the limits per minute."""

    requests: int = 0
    tokens: int = 0


class Calls:
    """Runs the calls of one service object, which share the rate limit and the circuit breaker.

    failure_of: maps errors to ours; the classes it answers with decide whether a call is repeated.
    Safe to use from several threads.
    """

    def __init__(self, clock: Clock, pace: Pace, breaker: Breaker, failure_of: FailureOf) -> None:
        require_extra()
        self.clock = clock
        self.pace = pace
        self._breaker = breaker
        self._failure_of = failure_of

    def run(
        self,
        what: str,
        call: Callable[[], Answer],
        *,
        patience: float,
        size: Size = Size(),
        again: bool = True,
    ) -> Answer:
        """The result of `call`, after as many attempts as it needs.

        what: subject of an error message. patience: most seconds, including all waiting. again:
        whether a call that failed, but may have been processed, is repeated; one that never arrived
        always is. A pause that the service asks for is observed before the next call. Raises the
        classes of `errors`, and lets bugs of ours through unchanged.
        """
        from tenacity import Retrying

        until = self.clock.now() + patience
        attempts = _Attempts(self.clock, self.pace.silence, until, again=again)

        def wait_for_turn(state: RetryCallState) -> None:
            self.pace.turn(size.requests, size.tokens, until, what)

        retrying = Retrying(
            before=wait_for_turn,
            retry=attempts.may_follow,
            wait=attempts.wait_before,
            sleep=self._sleep,
        )
        answer: Answer = retrying(self._once, what, call)
        return answer

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.clock.sleep(seconds)

    def _once(self, what: str, call: Callable[[], Answer]) -> Answer:
        probe = self._breaker.enter(what)
        well: bool | None = None
        try:
            answer = call()
            well = True
            return answer
        except Exception as raw:
            error = self._failure_of(raw, what, self.clock.wall())
            if error is not None:
                well = not isinstance(error, ServiceDown | ServiceTimeout)
            if error is None or error is raw:
                raise
            raise error from (raw if is_quotable(raw) else None)
        finally:
            self._breaker.leave(probe, well)


class _Attempts:
    """Decides after a failed attempt of one call whether another follows, and when.

    until: the end of the caller's patience. again: see `Calls.run`.
    """

    def __init__(self, clock: Clock, silence: Silence, until: float, *, again: bool) -> None:
        self._clock = clock
        self._silence = silence
        self._until = until
        self._again = again
        self._failed = 0
        self._throttled = 0
        self._invalid = 0
        self._wait = 0.0

    def may_follow(self, state: RetryCallState) -> bool:
        """Whether another attempt follows this one; `wait_before` then says when."""
        error = state.outcome.exception() if state.outcome is not None else None
        self._wait = 0.0
        if isinstance(error, ServiceDown | ServiceTimeout):
            return self._after_failure(error)
        if isinstance(error, RateLimited) and not isinstance(error, QuotaExhausted):
            return self._after_throttling(error)
        if isinstance(error, AnswerInvalid):
            self._invalid += 1
            self._wait = self._backoff(self._invalid)
            return self._invalid < ANSWER_ATTEMPTS and self._again and self._in_time(self._wait)
        return False

    def wait_before(self, state: RetryCallState) -> float:
        """Seconds before the next attempt, without those of a pause that all observe."""
        return self._wait

    def _after_failure(self, error: ServiceDown | ServiceTimeout) -> bool:
        self._failed += 1
        self._wait = max(self._backoff(self._failed), error.retry_after or 0.0)
        repeatable = self._again or never_arrived(error.__cause__)
        return self._failed < ATTEMPTS and repeatable and self._in_time(self._wait)

    def _after_throttling(self, error: RateLimited) -> bool:
        """Begin a pause for everything with this key.

        It is a little longer than the service asks, or longer each time if the service names none.
        A call that must not be repeated creates a job. It is refused because of the jobs in
        progress, so a short pause does not help unless the service names one.
        """
        self._throttled += 1
        named = error.retry_after
        if named is None and not self._again:
            return False
        if named is None:
            seconds = self._backoff(self._throttled + 1)
        else:
            seconds = named + self._backoff(self._throttled - 1)
        self._silence.begin(seconds)
        return self._in_time(seconds)

    def _in_time(self, wait: float) -> bool:
        return self._clock.now() + wait <= self._until

    def _backoff(self, times: int) -> float:
        """A random wait, so that calls that failed together do not retry together."""
        return self._clock.between(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0**times))
