"""Numbers from the service, checked and brought to length 1."""

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
"""A vector shorter than this has no direction."""


def vector_of(values: Any, dimensions: int, what: str) -> Vector:
    """float32 of shape (dimensions,), of length 1.

    The service brings only its full size to length 1; here all are.

    Raises AnswerInvalid for another size, for what is not a finite number, and for a vector of no
    length.
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
            f"{what}: wanted finite numbers that point somewhere, got {length} as their length."
        )
    return (wide / length).astype(np.float32)


# Vectors remembered for a while: of queries, and of passages that were paid for in a call that
# failed later on.

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values used last, at most so many. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
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
