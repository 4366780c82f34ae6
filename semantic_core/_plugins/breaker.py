"""A circuit breaker: a retriever that fails again and again is not asked for a while.

Tested by tests/plugins/test_time_limits.py.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic

FAILURES = 3
"""Failures in a row after which a retriever is not asked for a while."""
PAUSE = 30.0
"""Seconds until it is asked again, by one search."""


class CircuitBreaker:
    """Whether one retriever may be asked, by how its last calls went.

    It is safe to share between threads. clock: seconds, as `time.monotonic` returns them.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._last = ""
        self._next_try = 0.0

    def may_ask(self) -> bool:
        """Whether to ask it now. While it is left out, True once every PAUSE seconds: whoever gets
        it tries for all.
        """
        if self._failures < FAILURES:
            return True
        with self._lock:
            now = self._clock()
            if now < self._next_try:
                return False
            self._next_try = now + PAUSE
            return True

    def worked(self) -> None:
        """It answered."""
        if self._failures:
            with self._lock:
                self._failures = 0

    def failed(self, why: str) -> None:
        """It did not answer, or not as it should. why: as in the reason of a search."""
        with self._lock:
            self._failures += 1
            self._last = why
            self._next_try = self._clock() + PAUSE

    @property
    def reason(self) -> str:
        """Why it is not asked."""
        return (
            f"not asked, because it failed {FAILURES} times in a row; it is tried again every "
            f"{PAUSE:.0f} s (the last time: {self._last})"
        )
