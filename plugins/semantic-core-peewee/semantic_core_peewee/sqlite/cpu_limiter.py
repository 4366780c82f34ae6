"""A limit on searching threads: as many of this process at a time as there are cores, in the order
in which they came.

A vector or full-text search uses a core for milliseconds, and takes and releases Python's lock all
the while. More searches at once than there are cores finish no sooner: each waits for Python's lock
after every step, also those that came first, and a writer among them waits the longest.

Tested by tests/sqlite/test_cpu_limiter.py.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

PATIENCE = 10.0
"""Seconds a thread waits at most; then it goes on without a turn."""


class Turns:
    """So many turns at a time.

    Whoever waits gets one in the order of coming, those in the middle of something first.
    """

    def __init__(self, most: int, patience: float = PATIENCE) -> None:
        self._most = most
        self._patience = patience
        self._mine = threading.local()
        self.begin()

    def begin(self) -> None:
        """Nobody has a turn, nobody waits: in a new process, where the threads that did are not."""
        self._lock = threading.RLock()  # a signal handler may come in between
        self._holders: set[int] = set()
        self._first: deque[_Waiting] = deque()
        self._others: deque[_Waiting] = deque()

    @property
    def had(self) -> int:
        """How many have a turn."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._first) + len(self._others)

    @contextmanager
    def one(self, *, first: bool = False) -> Iterator[None]:
        """Wait for a turn, and have it. first: before all that wait, for a thread others wait for.
        Within it, another one of the same thread is had at once."""
        if getattr(self._mine, "has", False):
            yield
            return
        try:
            self._take(first)
            self._mine.has = True
            yield
        finally:
            self._mine.has = False
            self._give_back()

    def _take(self, first: bool) -> None:
        mine = _Waiting(threading.get_ident(), threading.Lock())
        with self._lock:
            if mine.thread in self._holders:
                # What interrupted the thread the last time kept it from giving its turn back.
                return
            if len(self._holders) < self._most:
                self._holders.add(mine.thread)
                return
            mine.called.acquire()
            (self._first if first else self._others).append(mine)
        if not mine.called.acquire(timeout=self._patience):
            self._leave_line(mine.thread)

    def _give_back(self) -> None:
        """Also after an error while it waited, or of a thread that went on without a turn."""
        me = threading.get_ident()
        self._leave_line(me)
        with self._lock:
            self._holders.discard(me)
            while len(self._holders) < self._most and self.waiting:
                called = (self._first or self._others).popleft()
                self._holders.add(called.thread)
                called.called.release()

    def _leave_line(self, thread: int) -> None:
        with self._lock:
            self._first = deque(each for each in self._first if each.thread != thread)
            self._others = deque(each for each in self._others if each.thread != thread)


class _Waiting(NamedTuple):
    """A thread that waits until it is called. called: locked until then."""

    thread: int
    called: threading.Lock


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


turns = Turns(cores())
"""Those of this process, whatever stores it has open."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=turns.begin)
