"""What comes back from an embedder: checked and brought to the one form everything
inside relies on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semantic_core._validation import clip
from semantic_core.errors import EmbeddingInvalid

if TYPE_CHECKING:
    from semantic_core.types import Space, Vector, Vectors

MIN_NORM = 1e-6
"""A vector shorter than this has no direction;
dividing by its length would let it rank anywhere.
"""
NORM_TOLERANCE = 1e-3
"""How far from 1 the length of a row may be; closer rows are left as they are, bit for bit."""


def checked_vectors(given: object, count: int, space: Space) -> Vectors:
    """float32 of shape (count, dimensions), finite, rows of length 1;
    EmbeddingInvalid says what came instead.
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
            (
                f"{space.model}: wanted vectors of shape ({count}, {space.dimensions}), got "
                f"{vectors.shape}."
            ),
            hint="Vectors are never matched by guess; nothing was stored from this answer.",
        )
    if count == 0:
        return vectors
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(norms).all() or norms.min() < MIN_NORM:
        row = int(np.argmax(~np.isfinite(norms) | (norms < MIN_NORM)))
        raise EmbeddingInvalid(
            f"{space.model}: vector {row} of {count} is not finite, or of no length."
        )
    if np.abs(norms - 1.0).max() <= NORM_TOLERANCE:
        return vectors
    unit: Vectors = (vectors / norms[:, None]).astype(np.float32)
    return unit


def checked_vector(given: object, space: Space) -> Vector:
    """float32 of shape (dimensions,), finite, of length 1;
    EmbeddingInvalid says what came instead.
    """
    import numpy as np

    if np.ndim(given) != 1:  # type: ignore[arg-type]
        raise EmbeddingInvalid(
            f"{space.model}: wanted a vector of shape ({space.dimensions},), got {clip(given)}."
        )
    row: Vector = checked_vectors([given], 1, space)[0]
    return row
