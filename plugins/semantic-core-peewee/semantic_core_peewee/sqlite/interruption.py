"""Uses that end by themselves when an exception cuts them off between two steps.

A signal handler may raise after any step of Python (a time limit, Ctrl-C in a notebook): also after
a counter was raised or a lock taken, and before the block that would undo it has begun. So nothing
is counted here. Whoever uses something is an object that only the ``with`` statement keeps; once it
is gone, its use is over, whether or not its end was called.

Tested by tests/trust/test_interruption.py.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any

LOOK = 0.05
"""Seconds between two looks whether whoever is waited for is still there."""
ENDING = 5.0
"""Seconds a use may take to undo what it has begun, before others take it to be cut off."""


class Use:
    """One use, from the beginning of a ``with`` block to its end; for one block only.

    begin: makes it known. end: undoes what `begin` did, or a part of it; may be called twice, and
    be cut off, too, so whoever comes next looks for what it has left. thread: whose it is. over:
    whether the block has ended.
    """

    _ended = True

    def __init__(self, begin: Callable[[Use], Any], end: Callable[[Use], None]) -> None:
        self._begin = begin
        self._end = end
        self.thread = threading.get_ident()
        self._pid = os.getpid()
        self.over = self._ended = False

    def __enter__(self) -> None:
        try:
            self._begin(self)
        except BaseException:
            self.finish()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over = True  # first: a frame of what cuts this off may keep it for long
        self.finish()

    def finish(self) -> None:
        """End it, if it has not ended."""
        self.over = True
        if not self._ended:
            self._end(self)
            self._ended = True

    def __del__(self) -> None:
        if not self._ended and self._pid == os.getpid():  # in a forked child all is new
            self.finish()


def is_on(known: weakref.ref[Use]) -> bool:
    """Whether a use has begun and is not over."""
    use = known()
    return use is not None and not use.over


class Uses:
    """The uses of something by one thread that have begun and are not over."""

    def __init__(self) -> None:
        self._begun: list[weakref.ref[Use]] = []

    def add(self, use: Use) -> None:
        """One more."""
        self._begun = [*(each for each in self._begun if is_on(each)), weakref.ref(use)]

    def __len__(self) -> int:
        return sum(map(is_on, self._begun))


class Sole:
    """What one at a time may have, of all threads."""

    def __init__(self) -> None:
        self._guard = threading.RLock()  # a signal handler may come in between
        self._holder: weakref.ref[Use] | None = None
        self._id = 0  # of the holder, which at its very end has no weak reference any more
        self._gate = threading.Lock()  # closed while somebody has it, as far as is known

    def use(self, patience: float) -> Use:
        """A block that has it, if it could be had within so many seconds: see `has`."""
        return Use(lambda use: self.take(use, patience), self.give_back)

    def take(self, use: Use, patience: float) -> bool:
        """Wait for it, at most so many seconds; whether `use` has it now. A thread that has it
        already, by another use, does not wait for itself.
        """
        until = monotonic() + patience
        ending = 0
        ending_since = 0.0
        while True:
            with self._guard:
                holder = None if self._holder is None else self._holder()
                if holder is None or self._was_cut_off(holder, use, ending, ending_since):
                    self._gate.acquire(blocking=False)
                    self._holder = weakref.ref(use)
                    self._id = id(use)
                    return True
            if holder.thread == use.thread:
                return False
            if holder.over and ending != id(holder):
                ending = id(holder)
                ending_since = monotonic()
            del holder  # nobody but its block keeps a use
            left = until - monotonic()
            if left <= 0:
                return False
            self._gate.acquire(timeout=min(left, LOOK))

    def _was_cut_off(self, holder: Use, use: Use, ending: int, since: float) -> bool:
        """Whether its block has ended, and what it had to undo goes on no more: its own thread has
        gone on, or has taken very long.
        """
        if not holder.over:
            return False
        waited = ending == id(holder) and monotonic() - since > ENDING
        return holder.thread == use.thread or waited

    def give_back(self, use: Use) -> None:
        """Let others have it; nothing if `use` has it not."""
        with self._guard:
            if self.has(use):
                self._holder = None
                with suppress(RuntimeError):  # a signal handler had it in between: it is open
                    self._gate.release()

    def has(self, use: Use) -> bool:
        """Whether it is `use` that has it, which may be ending for good."""
        return self._holder is not None and self._id == id(use)
