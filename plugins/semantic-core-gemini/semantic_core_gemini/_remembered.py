"""Vectors remembered for a while: of queries, and of passages that were paid for in a call that
failed later on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from semantic_core.types import Vector

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values used last, at most so many. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._values: OrderedDict[str, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        """The value, which now counts as used last; None if it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: str, value: Value) -> None:
        """Keep it; whatever was used longest ago goes."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def pop(self, key: str) -> None:
        """Forget it, if it is there."""
        with self._lock:
            self._values.pop(key, None)


class Queries:
    """Vectors of queries.

    Who asks for one that is just being made waits for it: it is paid for once.
    """

    def __init__(self, most: int) -> None:
        self._recent: Recent[Vector] = Recent(most)
        self._lock = Lock()
        self._coming: dict[str, Future[Vector]] = {}

    def get(self, key: str, make: Callable[[], Vector]) -> Vector:
        """A copy of the vector; `make` makes it if it is neither here nor coming.

        An error is raised for all who wait.
        """
        known = self._recent.get(key)
        if known is not None:
            return known.copy()
        with self._lock:
            coming = self._coming.get(key)
            if coming is None:
                mine = self._coming[key] = Future()
        if coming is not None:
            return coming.result().copy()
        try:
            vector = make()
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            self._recent.put(key, vector)
            mine.set_result(vector)
            return vector.copy()
        finally:
            with self._lock:
                self._coming.pop(key, None)
