"""How often the service is asked, and when it is left alone.

Time is handed in, so tests never wait.
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
"""Seconds that are not worth waiting for, and too few to be told apart by adding them up."""
BURST: Final = 1 / 6
"""Part of a minute's allowance that may go out at once; the rest follows evenly:
no minute holds more than it may.
"""
FAILURES: Final = 5
"""Failures in a row after which the service is left alone."""
REST: Final = 30.0
"""Seconds it is left alone for the first time; twice as long each time the probe fails."""
LONGEST_REST: Final = 300.0
SPREAD: Final = 0.5
"""Part of a pause over which those who waited for its end set out, each at a time of its own."""
LEAST_SPREAD: Final = 1.0
LONGEST_SPREAD: Final = 30.0
"""Seconds, likewise."""


@attrs.frozen
class Clock:
    """now: seconds that only grow. wall: seconds since 1970. sleep: waits.
    between: a number from low to high, at random.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    between: Callable[[float, float], float] = SystemRandom().uniform


class Allowance:
    """So much a minute, for one thing that is counted; 0 allows any amount.

    In any minute at most `per_minute` goes out, plus what one call takes beyond `burst`.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self.burst = max(1.0, per_minute * BURST)
        self._rate = max(per_minute - self.burst, BURST) / MINUTE
        self._left = self.burst
        self._at = now

    def wait(self, amount: float, now: float) -> float:
        """Seconds until that much may go out."""
        if not self.per_minute:
            return 0.0
        self._left = min(self.burst, self._left + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (min(amount, self.burst) - self._left) / self._rate)

    def take(self, amount: float) -> None:
        """It goes out; more than is left is owed, and waited for by who comes next."""
        self._left -= amount

    def seconds(self, amount: float) -> float:
        """How long so much takes, once the first burst is out."""
        return max(0.0, amount - self.burst) / self._rate if self.per_minute else 0.0


class Silence:
    """A pause the service asked for. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._until = float("-inf")
        self._spread = 0.0

    def begin(self, seconds: float) -> None:
        """Nothing goes out for so long."""
        until = self._clock.now() + seconds
        with self._lock:
            if until > self._until:
                self._until = until
                self._spread = min(LONGEST_SPREAD, max(LEAST_SPREAD, seconds * SPREAD))

    def wait(self, until: float) -> float:
        """Seconds until it is over for the one who asks, 0 if it is: not the same for any two, so
        that not all come back at one instant. until: when the waiting must end, if it can.
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
    """The pause of everything in this process that uses that key at that address."""
    with _silences_lock:
        return _silences.setdefault((secret, base_url, clock), Silence(clock))


class Pace:
    """When the next call may go out.

    Who waits holds nothing: other keys, and other threads, go on. silence: the pause it keeps,
    which others may share; without it, one of its own.
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
        """Most texts a call should have, so that none waits for more than a burst;
        None: any number.
        """
        return self._texts.burst if self._texts.per_minute else None

    @property
    def burst_tokens(self) -> float | None:
        """Most tokens a call should have, likewise."""
        return self._tokens.burst if self._tokens.per_minute else None

    def seconds(self, texts: int, tokens: int) -> float:
        """How long so much takes, at least."""
        return max(self._texts.seconds(texts), self._tokens.seconds(tokens))

    def turn(self, texts: int, tokens: int, until: float, what: str) -> None:
        """Wait until a call of that size may go out.

        Raises RateLimited if that is after `until`; then nothing is taken.
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
                    (
                        f"{what}: the next call may go out in {wait:.1f} seconds, which is longer "
                        "than it may wait."
                    ),
                    hint=(
                        "Ask for less at a time, or raise texts_per_minute and tokens_per_minute "
                        "if the key allows more."
                    ),
                    retry_after=wait,
                )
            self._clock.sleep(wait)


class Breaker:
    """Leaves a service alone that fails again and again, then lets one call try.

    If that is well, all go on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._rest = REST
        self._closed_until = 0.0
        self._probing = False

    def enter(self, what: str) -> bool:
        """Before a call, which must be followed by `leave`:
        whether this call is the one that tries.

        Raises ServiceResting while the service is left alone.
        """
        with self._lock:
            if self._failures < FAILURES:
                return False
            wait = self._closed_until - self._clock.now()
            if wait <= 0 and not self._probing:
                self._probing = True
                return True
        told = (
            f"another try comes in {wait:.0f} seconds" if wait > 0 else "one call is trying it now"
        )
        raise ServiceResting(
            f"{what}: the service failed {self._failures} times in a row; {told}.",
            hint="Words answer meanwhile; what waits for a vector gets it later.",
            retry_after=max(0.0, wait),
        )

    def leave(self, probe: bool, well: bool | None) -> None:
        """After a call. probe: what `enter` said. well: whether the service does its work;
        None if the call did not tell.
        """
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
