"""Unit vectors: vectors are checked and scaled to length 1 before they are stored, and compared so
that equal vectors give equal bits.

A single vector that is not finite, or of almost no length, would be first in every result; so none
is stored.

Tested by tests/kernel/test_storage.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_core.errors import VectorInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Vector

MIN_NORM = 1e-6
"""A vector must be longer than this: one shorter has no direction."""
UNIT_TOLERANCE = 1e-6
"""A vector this close to length 1 is stored bit for bit,
so what was read can be written back unchanged.
"""
STORED = np.dtype("<f4")
"""How the numbers of a vector are stored."""
_BLOCK = 1_024
"""Vectors compared at once."""


def as_stored(vectors: Sequence[object], dimensions: int) -> list[bytes | None]:
    """The bytes to store for each: little-endian float32 of length 1; None stays None.

    Raises VectorInvalid.
    """
    stored: list[bytes | None] = []
    for start in range(0, len(vectors), _BLOCK):
        stored += _block_as_stored(vectors[start : start + _BLOCK], dimensions)
    return stored


def _block_as_stored(vectors: Sequence[object], dimensions: int) -> list[bytes | None]:
    given = [vector for vector in vectors if vector is not None]
    if not given:
        return [None] * len(vectors)
    rows = _rows(given, dimensions)
    exact = rows.astype(np.float64)
    lengths = _lengths(exact)
    off = np.abs(lengths - 1.0) > UNIT_TOLERANCE
    if off.any():
        exact[off] /= lengths[off, None]
        rows = exact
    data = rows.astype(STORED, copy=False).tobytes()
    size = dimensions * STORED.itemsize
    blobs: list[bytes | None] = []
    for start in range(0, len(data), size):
        blobs.append(data[start : start + size])
    if len(blobs) == len(vectors):
        return blobs
    remaining = iter(blobs)
    return [None if vector is None else next(remaining) for vector in vectors]


def stored_by_name(vectors: Mapping[str, object], dimensions: int) -> dict[str, bytes]:
    """The bytes to store for vectors by fingerprint. Raises VectorInvalid, also for None."""
    stored = {}
    checked = as_stored(list(vectors.values()), dimensions)
    for name, blob in zip(vectors, checked, strict=True):
        if blob is None:
            raise VectorInvalid(
                "Vectors are wanted, got None.", hint="Leave out what has none yet."
            )
        stored[name] = blob
    return stored


def as_query(vector: object, dimensions: int) -> NDArray[np.float64]:
    """float64 of length 1. Raises VectorInvalid."""
    given = _numbers(vector, dimensions)
    with np.errstate(over="ignore", invalid="ignore"):
        # One by itself, before every search: half the time of `_lengths`.
        length = float(np.sqrt(given @ given))
    return given / _length(length)


def from_blob(blob: bytes) -> Vector:
    """A writable float32 vector of its own."""
    return np.frombuffer(blob, dtype=STORED).astype(np.float32)


def cosines(rows: NDArray[np.float32], query: NDArray[np.float64]) -> Vector:
    """Cosine of each row and a query of length 1, in [-1, 1].

    Summed in float64 row by row, so a result does not depend on where the row stands; then rounded
    to float32.
    """
    scores = np.empty(len(rows), dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):  # of a damaged vector: NaN
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK].astype(np.float64)
            lengths = np.sqrt((block * block).sum(axis=1))
            block *= query
            scores[start : start + _BLOCK] = block.sum(axis=1) / lengths
    np.minimum(scores, 1.0, out=scores)
    return np.maximum(scores, -1.0, out=scores)


_HINT = "An embedder gives finite float32 numbers, as many as its space says."


def _rows(vectors: Sequence[object], dimensions: int) -> NDArray[Any]:
    """The vectors, one per row, if each has the right shape and holds real numbers."""
    if all(
        type(vector) is np.ndarray and vector.dtype == STORED and vector.shape == (dimensions,)
        for vector in vectors
    ):
        return np.concatenate(vectors).reshape(len(vectors), dimensions)  # type: ignore[arg-type]
    return np.stack([_numbers(vector, dimensions) for vector in vectors])


def _numbers(vector: object, dimensions: int) -> NDArray[np.float64]:
    """The vector as float64, if it has the right shape and holds real numbers."""
    try:
        given: NDArray[Any] = np.asarray(vector)
    except (TypeError, ValueError) as error:
        raise VectorInvalid(
            f"A vector holds {dimensions} numbers, got {type(vector).__name__}.", hint=_HINT
        ) from error
    if given.dtype.kind not in "fiu":
        raise VectorInvalid(
            f"A vector holds {dimensions} real numbers, got {given.dtype}.", hint=_HINT
        )
    if given.shape != (dimensions,):
        raise VectorInvalid(f"A vector has shape ({dimensions},), got {given.shape}.", hint=_HINT)
    return given.astype(np.float64)


def _lengths(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length of each row, which must have one."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    _length(float(lengths.max()))  # either is NaN if any is
    _length(float(lengths.min()))
    return lengths


def _length(length: float) -> float:
    """The length itself, if a vector may have it."""
    if not math.isfinite(length):
        raise VectorInvalid(
            "A vector must be finite, got NaN, infinity or numbers too large.", hint=_HINT
        )
    if length <= MIN_NORM:
        raise VectorInvalid(
            f"A vector must be longer than {MIN_NORM:g}, got length {length:.3g}.", hint=_HINT
        )
    return length
