"""When the next call may be sent: `Pace`, a limit per minute, and pauses that the service asks for.

The clock is a parameter, so that tests do not wait.

Tested by tests/remote/test_pacing.py.
"""

from __future__ import annotations

from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from semantic_core.remote.clock import Clock
from semantic_core.remote.errors import RateLimited
from semantic_core.remote.keys import Secret

MINUTE: Final = 60.0
TICK: Final = 1e-3
"""Seconds that are too short to wait for."""
BURST: Final = 1 / 6
"""The share of a minute's limit that may be sent at once; the rest is spread evenly."""
SPREAD: Final = 0.5
"""The share of a pause over which the waiting calls are spread when it ends."""
LEAST_SPREAD: Final = 1.0
LONGEST_SPREAD: Final = 30.0
"""Bounds of that time, in seconds."""


class Allowance:
    """A limit per minute for requests or tokens (a token bucket); 0 for no limit.

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


_silences: WeakValueDictionary[tuple[Secret | None, str, Clock], Silence] = WeakValueDictionary()
_silences_lock = Lock()


def silence_of(secret: Secret | None, base_url: str, clock: Clock) -> Silence:
    """The pause that everything in this process with this key and address shares.

    secret: None for a service without keys.
    """
    with _silences_lock:
        return _silences.setdefault((secret, base_url, clock), Silence(clock))


class Pace:
    """Decides when the next call may be sent.

    A thread that waits blocks no other thread. What counts as a request is for the caller to say:
    some services count each text of a call. silence: a pause shared with others; without it, the
    pace has its own. hint: the advice of the error that the limit makes.
    """

    def __init__(
        self,
        clock: Clock,
        requests_per_minute: int,
        tokens_per_minute: int,
        silence: Silence | None = None,
        hint: str = "Embed less at a time.",
    ) -> None:
        self._clock = clock
        self._lock = Lock()
        self._requests = Allowance(requests_per_minute, clock.now())
        self._tokens = Allowance(tokens_per_minute, clock.now())
        self.silence = silence or Silence(clock)
        self._hint = hint

    @property
    def burst_requests(self) -> float | None:
        """Most requests of a call that does not exceed a burst; None without a limit."""
        return self._requests.burst if self._requests.per_minute else None

    @property
    def burst_tokens(self) -> float | None:
        """Most tokens of a call that does not exceed a burst; None without a limit."""
        return self._tokens.burst if self._tokens.per_minute else None

    def seconds(self, requests: int, tokens: int) -> float:
        """Minimum seconds for this many requests and tokens."""
        return max(self._requests.seconds(requests), self._tokens.seconds(tokens))

    def turn(self, requests: int, tokens: int, until: float, what: str) -> None:
        """Wait until a call of this size may be sent, and count it.

        Raises RateLimited, without counting it, if that is after `until`.
        """
        while True:
            with self._lock:
                now = self._clock.now()
                wait = max(
                    self.silence.wait(until),
                    self._requests.wait(requests, now),
                    self._tokens.wait(tokens, now),
                )
                if wait <= TICK:
                    self._requests.take(requests)
                    self._tokens.take(tokens)
                    return
            if now + wait > until:
                raise RateLimited(
                    f"{what}: the rate limit allows the next call in {wait:.1f} seconds, which is "
                    "longer than it may wait.",
                    hint=self._hint,
                    retry_after=wait,
                )
            self._clock.sleep(wait)
