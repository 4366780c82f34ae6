"""`Clock`: the time and the chance that everything here works by, so that tests need not wait.

Tested by tests/remote/test_pacing.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import SystemRandom

import attrs


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
