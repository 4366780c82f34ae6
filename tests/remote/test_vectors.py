"""A vector of an answer is checked and brought to length 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semantic_core.remote import AnswerInvalid, vector_of


@pytest.mark.parametrize("values", [[3.0, 4.0], (3, 4), np.array([3.0, 4.0])])
def test_a_vector_has_length_one(values: Any) -> None:
    vector = vector_of(values, 2, "An answer")
    assert vector.dtype == np.float32 and vector.tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    "values",
    [
        None,
        "ab",
        5,
        [],
        [1.0],
        [1.0, 2.0, 3.0],
        [float("nan"), 1.0],
        [float("inf"), 1.0],
        [0.0, 0.0],
        [1e-9, 0.0],
        ["much", "more"],
        [None, 1.0],
        [[1.0], [2.0]],
        [1e300, 1e300],
        [10**400, 1.0],
    ],
)
def test_what_is_no_vector_is_refused(values: Any) -> None:
    with pytest.raises(AnswerInvalid, match="An answer: wanted"):
        vector_of(values, 2, "An answer")
