"""The vectors in an answer: as numbers or as base64, in any order, matched by their index.

Tested by tests/test_faults.py and tests/test_embedder.py.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semantic_core.remote import AnswerInvalid, vector_of

if TYPE_CHECKING:
    from semantic_core.types import Vector

_NOT_MATCHED = "Nothing of this answer was used: vectors and texts cannot be matched."


def embeddings_in(body: object, count: int, what: str) -> list[object]:
    """What stands for the vector of each text, in the order of the texts.

    count: of the texts. Raises AnswerInvalid for another number of vectors, and for indexes that
    are not those of the texts. An answer without any index has the order of the texts.
    """
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, list) or not all(isinstance(one, Mapping) for one in data):
        raise AnswerInvalid(f"{what}: wanted a list of vectors, got something else.")
    if len(data) != count:
        raise AnswerInvalid(f"{what}: wanted {count} vectors, got {len(data)}.", hint=_NOT_MATCHED)
    indexes = [one.get("index") for one in data]
    if set(indexes) == {None}:
        return [one.get("embedding") for one in data]
    placed = {}
    for index, one in zip(indexes, data, strict=True):
        placed[index] = one.get("embedding")
    if set(placed) != set(range(count)):
        raise AnswerInvalid(
            f"{what}: wanted the indexes 0 to {count - 1}, got others.", hint=_NOT_MATCHED
        )
    return [placed[place] for place in range(count)]


def vector_in(embedding: object, dimensions: int, what: str) -> Vector:
    """The vector as float32 of shape (dimensions,), of length 1. Raises AnswerInvalid."""
    values: Any = _unpacked(embedding, what) if isinstance(embedding, str) else embedding
    if isinstance(values, Sequence) and values and len(values) != dimensions:
        raise AnswerInvalid(
            f"{what}: wanted {dimensions} numbers, got {len(values)}.",
            hint="The option dimensions must be the length of the model's vectors.",
        )
    return vector_of(values, dimensions, what)


def _unpacked(text: str, what: str) -> list[float]:
    """The numbers in base64 of float32 values, little-endian."""
    import numpy as np

    try:
        raw = base64.b64decode(text, validate=True)
        values: list[float] = np.frombuffer(raw, dtype="<f4").tolist()
    except (binascii.Error, ValueError) as error:
        raise AnswerInvalid(f"{what}: the numbers are not valid base64.") from error
    return values
