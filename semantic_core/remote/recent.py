"""`Recent` and `Queries`: the vectors used last, held in memory.

Tested by tests/remote/test_recent.py and plugins/semantic-core-gemini/tests/test_embedder.py.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from semantic_core.remote.extra import require_extra

if TYPE_CHECKING:
    from cachetools import LRUCache

    from semantic_core.types import Vector

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """A cache of the most recently used values. Safe to use from several threads.

    most: number of values. It holds vectors of queries, and of passages that were paid for in a
    run that failed.
    """

    def __init__(self, most: int) -> None:
        require_extra()
        from cachetools import LRUCache

        self._lock = Lock()
        self._values: LRUCache[str, Value] = LRUCache(most)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        """The value, which becomes the most recently used; None if there is none."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: str, value: Value) -> None:
        """Add a value, and drop the least recently used ones."""
        with self._lock:
            self._values[key] = value

    def pop(self, key: str) -> None:
        """Remove the value if there is one."""
        with self._lock:
            self._values.pop(key, None)


class Queries:
    """A cache of query vectors.

    Threads that ask for the same query at the same time share one call, which is paid for once.
    """

    def __init__(self, most: int) -> None:
        self._recent: Recent[Vector] = Recent(most)
        self._lock = Lock()
        self._in_progress: dict[str, Future[Vector]] = {}

    def get(self, key: str, make: Callable[[], Vector]) -> Vector:
        """A copy of the vector; `make` creates it if no other thread is creating it.

        An error of `make` is raised in all threads that wait for it.
        """
        known = self._recent.get(key)
        if known is not None:
            return known.copy()
        with self._lock:
            pending = self._in_progress.get(key)
            if pending is None:
                mine = self._in_progress[key] = Future()
        if pending is not None:
            return pending.result().copy()
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
                self._in_progress.pop(key, None)
