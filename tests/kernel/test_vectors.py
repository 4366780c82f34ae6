"""The vectors of an embedder are checked before they are used."""

from __future__ import annotations

import numpy as np
import pytest

from semantic_core import Space
from semantic_core._vectors import checked_vector, checked_vectors
from semantic_core.errors import EmbeddingInvalid

SPACE = Space("m", 3)


def test_rows_are_brought_to_length_one() -> None:
    vectors = checked_vectors([[3.0, 0.0, 4.0], [0.0, 1e-3, 0.0]], 2, SPACE)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])


def test_rows_of_length_one_are_left_bit_for_bit() -> None:
    unit = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    unit /= np.linalg.norm(unit)
    assert checked_vectors(unit, 1, SPACE).tobytes() == unit.tobytes()


@pytest.mark.parametrize(
    ("given", "count", "reason"),
    [
        ([[1.0, 0.0, 0.0]], 2, r"wanted vectors of shape \(2, 3\), got \(1, 3\)"),
        ([[1.0, 0.0]], 1, r"got \(1, 2\)"),
        ([1.0, 0.0, 0.0], 1, r"got \(3,\)"),
        ([[1.0, 0.0, 0.0], [1.0, float("nan"), 0.0]], 2, "vector 1 of 2 is not finite"),
        ([[float("inf"), 0.0, 0.0]], 1, "vector 0 of 1"),
        ([[0.0, 0.0, 0.0]], 1, "its length is nearly 0"),
        ([[1e-23, 0.0, 0.0]], 1, "its length is nearly 0"),
        ("nonsense", 1, "got 'nonsense'"),
        (None, 1, "got"),
    ],
)
def test_anything_else_is_refused_and_says_what_came(
    given: object, count: int, reason: str
) -> None:
    with pytest.raises(EmbeddingInvalid, match=reason):
        checked_vectors(given, count, SPACE)


def test_no_passage_gives_no_row() -> None:
    assert checked_vectors(np.zeros((0, 3)), 0, SPACE).shape == (0, 3)


def test_a_query_vector_is_a_single_row() -> None:
    assert np.allclose(checked_vector([0.0, 2.0, 0.0], SPACE), [0.0, 1.0, 0.0])
    with pytest.raises(EmbeddingInvalid, match=r"wanted a vector of shape \(3,\)"):
        checked_vector([[0.0, 2.0, 0.0]], SPACE)
