"""Vectors: checking and normalising what the service answers, and remembering vectors.

Tested by tests/test_embedder.py and tests/test_faults.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from semantic_core_gemini.errors import AnswerInvalid

if TYPE_CHECKING:
    from semantic_core.types import Vector


LEAST_LENGTH = 1e-6
"""A vector shorter than this counts as zero."""


def vector_of(values: Any, dimensions: int, what: str) -> Vector:
    """The vector as float32 of shape (dimensions,), normalised to length 1.

    The service normalises only vectors of its full size. what: subject of an error message. Raises
    AnswerInvalid for another number of dimensions, numbers that are not finite, and a zero vector.
    """
    import numpy as np

    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise AnswerInvalid(f"{what}: wanted {dimensions} numbers, got none.")
    if len(values) != dimensions:
        raise AnswerInvalid(f"{what}: wanted {dimensions} numbers, got {len(values)}.")
    try:
        wide = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        wide = np.full(dimensions, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        length = float(np.sqrt(wide @ wide)) if wide.shape == (dimensions,) else float("nan")
    if not LEAST_LENGTH <= length < float("inf"):
        raise AnswerInvalid(
            f"{what}: wanted finite numbers that are not all 0, got a vector of length {length}."
        )
    return (wide / length).astype(np.float32)


Value = TypeVar("Value")


class Recent(Generic[Value]):
    """A cache of the most recently used values. Safe to use from several threads.

    most: number of values. It holds vectors of queries, and of passages that were paid for in a
    run that failed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._values: OrderedDict[str, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        """The value, which becomes the most recently used; None if there is none."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: str, value: Value) -> None:
        """Add a value, and drop the least recently used ones."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

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
