"""The rate limit, pauses that the service asks for, and the circuit breaker.

The clock is a parameter, so that tests do not wait.

Tested by tests/test_pace.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import SystemRandom
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

import attrs

from semantic_core_gemini.errors import RateLimited, ServiceResting
from semantic_core_gemini.keys import Secret

MINUTE: Final = 60.0
TICK: Final = 1e-3
"""Seconds that are too short to wait for."""
BURST: Final = 1 / 6
"""The share of a minute's limit that may be sent at once; the rest is spread evenly."""
FAILURES: Final = 5
"""Failures in a row after which the service is not called for a while."""
REST: Final = 30.0
"""Seconds without calls the first time; twice as long each time the test call fails."""
LONGEST_REST: Final = 300.0
SPREAD: Final = 0.5
"""The share of a pause over which the waiting calls are spread when it ends."""
LEAST_SPREAD: Final = 1.0
LONGEST_SPREAD: Final = 30.0
"""Bounds of that time, in seconds."""


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


class Allowance:
    """A limit per minute for texts or tokens (a token bucket); 0 for no limit.

    In any minute at most `per_minute` is sent, plus what one call needs beyond `burst`.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self.burst = max(1.0, per_minute * BURST)
        self._rate = max(per_minute - self.burst, BURST) / MINUTE
        self._left = self.burst
        self._at = now

    def wait(self, amount: float, now: float) -> float:
        """Seconds until this amount may be sent."""
        if not self.per_minute:
            return 0.0
        self._left = min(self.burst, self._left + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (min(amount, self.burst) - self._left) / self._rate)

    def take(self, amount: float) -> None:
        """Count an amount as sent; what exceeds the rest delays the next call."""
        self._left -= amount

    def seconds(self, amount: float) -> float:
        """Seconds that this amount takes, of which the first burst is sent at once."""
        if not self.per_minute:
            return 0.0
        return max(0.0, amount - self.burst) / self._rate


class Silence:
    """A pause that the service asked for. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._until = float("-inf")
        self._spread = 0.0

    def begin(self, seconds: float) -> None:
        """Begin a pause of this many seconds, unless a longer one has begun."""
        until = self._clock.now() + seconds
        with self._lock:
            if until > self._until:
                self._until = until
                self._spread = min(LONGEST_SPREAD, max(LEAST_SPREAD, seconds * SPREAD))

    def wait(self, until: float) -> float:
        """Seconds until the caller may continue; 0 if there is no pause.

        They differ at random, so that not all callers continue at the same moment. until: the time
        by which the caller should continue, if that is possible.
        """
        with self._lock:
            left = self._until - self._clock.now()
            spread = self._spread
        if left <= TICK:
            return 0.0
        room = max(0.0, until - self._clock.now() - left)
        return left + self._clock.between(0.0, min(spread, room))


_silences: WeakValueDictionary[tuple[Secret, str, Clock], Silence] = WeakValueDictionary()
_silences_lock = Lock()


def silence_of(secret: Secret, base_url: str, clock: Clock) -> Silence:
    """The pause that everything in this process with this key and address shares."""
    with _silences_lock:
        return _silences.setdefault((secret, base_url, clock), Silence(clock))


class Pace:
    """Decides when the next call may be sent.

    A thread that waits blocks no other thread. silence: a pause shared with others; without it, the
    pace has its own.
    """

    def __init__(
        self,
        clock: Clock,
        texts_per_minute: int,
        tokens_per_minute: int,
        silence: Silence | None = None,
    ) -> None:
        self._clock = clock
        self._lock = Lock()
        self._texts = Allowance(texts_per_minute, clock.now())
        self._tokens = Allowance(tokens_per_minute, clock.now())
        self.silence = silence or Silence(clock)

    @property
    def burst_texts(self) -> float | None:
        """Most texts of a call that does not exceed a burst; None without a limit."""
        return self._texts.burst if self._texts.per_minute else None

    @property
    def burst_tokens(self) -> float | None:
        """Most tokens of a call that does not exceed a burst; None without a limit."""
        return self._tokens.burst if self._tokens.per_minute else None

    def seconds(self, texts: int, tokens: int) -> float:
        """Minimum seconds for this many texts and tokens."""
        return max(self._texts.seconds(texts), self._tokens.seconds(tokens))

    def turn(self, texts: int, tokens: int, until: float, what: str) -> None:
        """Wait until a call of this size may be sent, and count it.

        Raises RateLimited, without counting it, if that is after `until`.
        """
        while True:
            with self._lock:
                now = self._clock.now()
                wait = max(
                    self.silence.wait(until),
                    self._texts.wait(texts, now),
                    self._tokens.wait(tokens, now),
                )
                if wait <= TICK:
                    self._texts.take(texts)
                    self._tokens.take(tokens)
                    return
            if now + wait > until:
                raise RateLimited(
                    f"{what}: the rate limit allows the next call in {wait:.1f} seconds, which is "
                    "longer than it may wait.",
                    hint=(
                        "Embed less at a time, or raise texts_per_minute and tokens_per_minute "
                        "if the key allows more."
                    ),
                    retry_after=wait,
                )
            self._clock.sleep(wait)


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
