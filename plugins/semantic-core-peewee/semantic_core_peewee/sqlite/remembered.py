"""`Remembered`: the values that were used last, within a limit.

Tested by tests/sqlite/test_remembered.py.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Remembered(Generic[V]):
    """Values by key, of a limited size in all: the least recently used go first, but for the latest
    one. Safe to share between threads.

    budget: the limit, in whatever the sizes of the values count. memory: what they take of it.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.memory = 0
        self._lock = threading.RLock()  # a signal handler may come in between
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        """The value of a key, if it is known."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def keep(self, key: Hashable, value: V, size: int = 1) -> None:
        """Remember a value of this size."""
        with self._lock:
            before = self._values.pop(key, None)
            if before is not None:
                self.memory -= before[1]
            self._values[key] = (value, size)
            self.memory += size
            while self.memory > self.budget and len(self._values) > 1:
                _, (_, oldest) = self._values.popitem(last=False)
                self.memory -= oldest

    def forget(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._values.clear()
            self.memory = 0
