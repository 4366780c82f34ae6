"""`TurningClock`, a clock that tests control: sleeping takes no time, and is recorded.

Tested by tests/remote/test_pacing.py.
"""

from __future__ import annotations

import threading
import time

from semantic_core.remote import Clock


class TurningClock:
    """Time for an embedder that calls a service, see `semantic_core.remote.Clock`.

    clock: to be handed in. slept: every wait, in seconds. share: which part of a random wait is
    taken, 0 to 1. Safe to use from several threads.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.slept: list[float] = []
        self.share = share
        self._now = 1_000.0
        self._lock = threading.Lock()
        self.clock = Clock(now=self.now, wall=time.time, sleep=self._sleep, between=self._between)

    def now(self) -> float:
        """Seconds on this clock."""
        with self._lock:
            return self._now

    def turn(self, seconds: float) -> None:
        """Let time go by."""
        with self._lock:
            self._now += seconds

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += seconds

    def _between(self, low: float, high: float) -> float:
        return low + (high - low) * self.share
