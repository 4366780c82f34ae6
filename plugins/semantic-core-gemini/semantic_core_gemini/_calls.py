"""One call to the service: paced, tried again where that helps, given up in time,
and with one kind of error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from semantic_core_gemini._failures import failure_of, is_quotable, never_arrived
from semantic_core_gemini._pace import Breaker, Clock, Pace
from semantic_core_gemini.errors import (
    AnswerInvalid,
    QuotaExhausted,
    RateLimited,
    ServiceDown,
    ServiceTimeout,
)

Answer = TypeVar("Answer")

ATTEMPTS: Final = 5
"""Calls made in vain before a failure is passed on.
Being told to wait is no failure and is not counted.
"""
ANSWER_ATTEMPTS: Final = 2
"""Calls made before an answer that is none is passed on: each may be paid for."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Seconds between two tries: at random between 0 and a bound that doubles from the first
to the longest.
"""


@attrs.frozen
class Size:
    """How much a call asks for: texts and tokens count against the minute's allowance."""

    texts: int = 0
    tokens: int = 0


class Calls:
    """The calls of one service object.

    clock: what time is. pace, breaker: shared by all these calls.
    """

    def __init__(self, clock: Clock, pace: Pace, breaker: Breaker) -> None:
        self.clock, self.pace, self._breaker = clock, pace, breaker

    def run(
        self,
        what: str,
        call: Callable[[], Answer],
        *,
        patience: float,
        size: Size = Size(),
        again: bool = True,
    ) -> Answer:
        """What `call` answers.

        what: subject of the message if it fails. patience: seconds, all waiting taken together.
        A pause the service asks for is waited for where the next call takes its turn.
        again: whether a call that may have been done although it failed is made once more; one that
        never arrived always is.
        Raises classes of `errors`, and whatever is a mistake of ours.
        """
        until = self.clock.now() + patience
        failed = throttled = invalid = 0
        while True:
            self.pace.turn(size.texts, size.tokens, until, what)
            try:
                return self._once(what, call)
            except Exception as raw:
                error = failure_of(raw, what, self.clock.wall())
                if error is None:
                    raise
                if isinstance(error, ServiceDown | ServiceTimeout):
                    failed += 1
                    stop = failed >= ATTEMPTS or not (again or never_arrived(raw))
                    wait = self._backoff(failed)
                    if error.retry_after is not None:
                        wait = max(wait, error.retry_after)
                elif isinstance(error, RateLimited) and not isinstance(error, QuotaExhausted):
                    throttled += 1
                    # What is not to be done twice is refused for what is under way, not for its
                    # pace; if no pause is named, a short one does not help.
                    stop = not again and error.retry_after is None
                    wait = 0.0 if stop else self._pause(error.retry_after, throttled)
                    if not stop and self.clock.now() + wait <= until:
                        continue
                elif isinstance(error, AnswerInvalid):
                    invalid += 1
                    stop = invalid >= ANSWER_ATTEMPTS or not again
                    wait = self._backoff(invalid)
                else:
                    stop, wait = True, 0.0
                if stop or self.clock.now() + wait > until:
                    if error is raw:
                        raise
                    raise error from (raw if is_quotable(raw) else None)
            self.clock.sleep(wait)

    def _once(self, what: str, call: Callable[[], Answer]) -> Answer:
        probe = self._breaker.enter(what)
        well: bool | None = None
        try:
            answer = call()
            well = True
            return answer
        except Exception as raw:
            error = failure_of(raw, what, self.clock.wall())
            if error is not None:
                well = not isinstance(error, ServiceDown | ServiceTimeout)
            raise
        finally:
            self._breaker.leave(probe, well)

    def _backoff(self, times: int) -> float:
        """Full jitter: anything from no wait to all of it,
        so that many who failed together do not come back together.
        """
        return self.clock.between(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0**times))

    def _pause(self, named: float | None, times: int) -> float:
        """How long everyone with this key waits at least: what the service named and a little more,
        else longer each time.
        """
        seconds = self._backoff(times + 1) if named is None else named + self._backoff(times - 1)
        self.pace.silence.begin(seconds)
        return seconds
