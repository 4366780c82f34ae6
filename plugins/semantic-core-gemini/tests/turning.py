"""A clock that tests control: sleeping takes no time, and is recorded."""

from __future__ import annotations

import threading
import time

from semantic_core_gemini import Clock


class Turning:
    """clock: to be handed in. slept: every wait, in seconds.
    share: which part of a random wait is taken, 0 to 1.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.slept: list[float] = []
        self.share = share
        self._now = 1_000.0
        self._lock = threading.Lock()
        self.clock = Clock(now=self.now, wall=time.time, sleep=self.sleep, between=self.between)

    def now(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += seconds

    def turn(self, seconds: float) -> None:
        """Let time go by."""
        with self._lock:
            self._now += seconds

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.share
