"""`Breaker`: after repeated failures no call is made for a while, then one test call.

Tested by tests/remote/test_pacing.py.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from semantic_core.remote.clock import Clock
from semantic_core.remote.errors import ServiceResting

FAILURES: Final = 5
"""Failures in a row after which the service is not called for a while."""
REST: Final = 30.0
"""Seconds without calls the first time; twice as long each time the test call fails."""
LONGEST_REST: Final = 300.0


class Breaker:
    """A circuit breaker: after repeated failures no call is made for a while, then one test call.

    If the test call succeeds, all calls continue.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._rest = REST
        self._closed_until = 0.0
        self._probing = False

    def enter(self, what: str) -> bool:
        """Begin a call, which must end with `leave`; whether it is the test call.

        Raises ServiceResting while no call is to be made.
        """
        with self._lock:
            if self._failures < FAILURES:
                return False
            wait = self._closed_until - self._clock.now()
            if wait <= 0 and not self._probing:
                self._probing = True
                return True
        next_step = "a test call is in progress"
        if wait > 0:
            next_step = f"the next attempt is in {wait:.0f} seconds"
        raise ServiceResting(
            f"{what}: the service failed {self._failures} times in a row; {next_step}.",
            hint="Full-text search works in the meantime; pending passages are embedded later.",
            retry_after=max(0.0, wait),
        )

    def leave(self, probe: bool, well: bool | None) -> None:
        """End a call. probe: the result of `enter`. well: whether the service works, if known."""
        with self._lock:
            if probe:
                self._probing = False
            if well:
                self._failures = 0
                self._rest = REST
            elif well is False:
                self._failures += 1
                if probe:
                    self._rest = min(self._rest * 2, LONGEST_REST)
                if probe or self._failures == FAILURES:
                    self._closed_until = self._clock.now() + self._rest
