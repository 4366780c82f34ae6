"""What stores have in common: vectors, arguments, checkpoints that advance, and job ledgers."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from semantic_core import Ref
from semantic_core.errors import InputError, TenantRefused, TenantRequired, VectorInvalid
from semantic_core.storage import (
    MOST_INT,
    STORED,
    Advances,
    OfLedger,
    as_query,
    as_stored,
    changed,
    check_count,
    check_ids,
    check_ref,
    check_stamps,
    check_tenant,
    cosines,
    errors_of_changes,
    from_blob,
    spent_by_owner,
    stored_by_name,
)
from semantic_core.types import ChunkId

REF = Ref("notes", "1")


def test_a_unit_vector_is_stored_bit_for_bit() -> None:
    vector = np.array([0.6, 0.8], dtype=np.float32)
    (blob, nothing, scaled) = as_stored([vector, None, [30, 40]], 2)
    assert blob == vector.tobytes()
    assert nothing is None
    assert scaled is not None
    assert np.linalg.norm(from_blob(scaled)) == pytest.approx(1.0)
    assert np.frombuffer(blob, dtype=STORED).tolist() == vector.tolist()


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [1.0], [[1.0, 2.0]], "ab", [1e-7, 0.0]]
)
def test_a_vector_without_direction_is_refused(vector: Any) -> None:
    with pytest.raises(VectorInvalid):
        as_stored([vector], 2)
    with pytest.raises(VectorInvalid):
        as_query(vector, 2)


def test_vectors_by_name_are_all_there() -> None:
    assert set(stored_by_name({"a": [1, 0], "b": [0, 1]}, 2)) == {"a", "b"}
    with pytest.raises(VectorInvalid, match="got None"):
        stored_by_name({"a": None}, 2)


def test_a_cosine_does_not_depend_on_the_place_of_its_row() -> None:
    rows = np.random.default_rng(3).standard_normal((3_000, 24)).astype(np.float32)
    query = as_query(rows[7], 24)
    scores = cosines(rows, query)
    assert scores[7] == 1.0
    for place in (0, 7, 1_023, 1_024, 2_999):
        assert cosines(rows[place : place + 1], query)[0] == scores[place]


def test_arguments_come_back_as_they_are() -> None:
    assert check_tenant("acme", True) == "acme"
    assert check_tenant("", False) == ""
    assert check_count("limit", 5) == 5
    assert check_count("limit", MOST_INT * 4) <= MOST_INT
    assert check_ref(REF, False) is REF
    assert check_ids([ChunkId(REF, 0)], False) == [ChunkId(REF, 0)]
    assert check_stamps(None) == {}
    assert check_stamps({REF: -5}) == {REF: -5}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: check_tenant("", True), TenantRequired),
        (lambda: check_tenant("acme", False), TenantRefused),
        (lambda: check_tenant(None, False), InputError),
        (lambda: check_count("limit", -1), InputError),
        (lambda: check_count("limit", True), InputError),
        (lambda: check_ref("notes/1", False), InputError),
        (lambda: check_ref(REF, True), TenantRequired),
        (lambda: check_ids(["notes/1#0"], False), InputError),  # type: ignore[list-item]
        (lambda: check_ids([ChunkId(REF, 0)], True), TenantRequired),
        (lambda: check_stamps({REF: 2**63}), InputError),
        (lambda: check_stamps({REF: True}), InputError),
    ],
)
def test_arguments_of_another_kind_are_refused(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


def test_checkpoints_advance_in_their_thread_and_block_alone() -> None:
    advances = Advances()
    seen = []
    with advances.within("a", lambda _: "1"):
        with advances.within("b", lambda _: "2"):
            assert [source for source, _ in advances.of_thread()] == ["a", "b"]
            other = threading.Thread(target=lambda: seen.append(advances.of_thread()))
            other.start()
            other.join()
        assert [source for source, _ in advances.of_thread()] == ["a"]
    assert advances.of_thread() == ()
    assert seen == [()]


def test_an_error_of_a_change_is_raised_as_it_was() -> None:
    error = KeyError("mine")

    def fails(_: str | None) -> str:
        raise error

    with pytest.raises(KeyError) as raised, errors_of_changes():
        changed(fails, None)
    assert raised.value is error
    assert changed(lambda before: f"{before}!", "a") == "a!"


def test_a_store_passes_calls_on_to_its_ledger() -> None:
    class Ledger:
        def twice(self, number: int) -> int:
            """Two times."""
            return 2 * number

    class Store:
        twice = OfLedger(Ledger.twice)

        def __init__(self) -> None:
            self._ledger = Ledger()

    assert Store().twice(4) == 8
    assert Store.twice is Ledger.twice


def test_tokens_that_were_not_counted_are_estimated_from_characters() -> None:
    paid = {"a": ("x", 40), "b": ("x", 80), "c": ("y", 8)}
    assert spent_by_owner(paid, {"a": 3}, 0.25) == {"x": (2, 23), "y": (1, 2)}
