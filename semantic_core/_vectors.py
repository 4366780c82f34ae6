"""Checks the vectors of an embedder, and brings them to the form that everything else relies on.

Tested by tests/kernel/test_vectors.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semantic_core._validation import clip
from semantic_core.errors import EmbeddingInvalid

if TYPE_CHECKING:
    from semantic_core.types import Space, Vector, Vectors

MIN_NORM = 1e-6
"""A shorter vector has no direction; divided by its length, it could be similar to anything."""
NORM_TOLERANCE = 1e-3
"""Rows whose length differs less from 1 are not changed, bit for bit."""


def checked_vectors(given: object, count: int, space: Space) -> Vectors:
    """The vectors as float32 of shape (count, dimensions), finite, rows of length 1; else
    EmbeddingInvalid.
    """
    import numpy as np

    try:
        vectors = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise EmbeddingInvalid(
            f"{space.model}: wanted numbers of shape ({count}, "
            f"{space.dimensions}), got {clip(given)}."
        ) from error
    if vectors.shape != (count, space.dimensions):
        raise EmbeddingInvalid(
            f"{space.model}: wanted vectors of shape ({count}, {space.dimensions}), got "
            f"{vectors.shape}.",
            hint="Nothing was stored from this answer, because its vectors cannot be assigned.",
        )
    if count == 0:
        return vectors
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(norms).all() or norms.min() < MIN_NORM:
        row = int(np.argmax(~np.isfinite(norms) | (norms < MIN_NORM)))
        raise EmbeddingInvalid(
            f"{space.model}: vector {row} of {count} is not finite, or its length is nearly 0."
        )
    if np.abs(norms - 1.0).max() <= NORM_TOLERANCE:
        return vectors
    unit: Vectors = (vectors / norms[:, None]).astype(np.float32)
    return unit


def checked_vector(given: object, space: Space) -> Vector:
    """The vector as float32 of shape (dimensions,), finite, of length 1; else EmbeddingInvalid."""
    import numpy as np

    if np.ndim(given) != 1:  # type: ignore[arg-type]
        raise EmbeddingInvalid(
            f"{space.model}: wanted a vector of shape ({space.dimensions},), got {clip(given)}."
        )
    row: Vector = checked_vectors([given], 1, space)[0]
    return row
