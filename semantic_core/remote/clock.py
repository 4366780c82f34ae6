"""`Clock`: the time and the chance that everything here works by, so that tests need not wait.
`ServiceClock`: the time of a service.

Tested by tests/remote/test_pacing.py and tests/remote/test_clock.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import httpx2


@attrs.frozen
class Clock:
    """Time and chance, which tests replace.

    now: a monotonic clock, in seconds. wall: seconds since 1970. sleep: waits. between: a random
    number from low to high.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    between: Callable[[float, float], float] = SystemRandom().uniform


class ServiceClock:
    """The clock of a service, as its answers tell it. Deadlines of batch jobs are measured by it.

    clock: tells the time that has passed since the last answer.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reading: tuple[float, float] | None = None

    def hear(self, response: httpx2.Response) -> None:
        """Remember the date of an answer, if it has one."""
        with suppress(ValueError, TypeError):
            told = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
            self._reading = (told, self._clock.now())

    def time(self) -> float | None:
        """Seconds since 1970 by the service's clock; None before its first answer."""
        if self._reading is None:
            return None
        told, at = self._reading
        return told + self._clock.now() - at

    def wall(self) -> float:
        """The same; before the first answer by the clock of this computer."""
        told = self.time()
        return self._clock.wall() if told is None else told
