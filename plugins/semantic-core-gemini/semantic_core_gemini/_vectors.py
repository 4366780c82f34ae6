"""Numbers from the service, checked and brought to length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
