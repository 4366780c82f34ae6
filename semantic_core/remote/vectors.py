"""`vector_of`: checks and normalises a vector that the service answered.

Tested by tests/remote/test_vectors.py and plugins/semantic-core-gemini/tests/test_faults.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semantic_core.remote.errors import AnswerInvalid

if TYPE_CHECKING:
    from semantic_core.types import Vector

LEAST_LENGTH = 1e-6
"""A vector shorter than this counts as zero."""


def vector_of(values: Any, dimensions: int, what: str) -> Vector:
    """The vector as float32 of shape (dimensions,), normalised to length 1.

    Services do not normalise all vectors, such as shortened ones. what: subject of an error
    message. Raises AnswerInvalid for another number of dimensions, numbers that are not finite, and
    a zero vector.
    """
    import numpy as np

    is_array = isinstance(values, np.ndarray)
    is_list = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    if not (is_array or is_list):
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
