"""Each step of a ranking by itself: what it raises, what it leaves alone, and its limits."""

from __future__ import annotations

from math import exp, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core._plugins import ranking_steps as steps

finite = st.floats(-100, 100)
shares = st.floats(0, 1)


def unit(*values: float) -> list[float]:
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


def test_words_are_trusted_by_the_square_of_the_part_that_was_found() -> None:
    assert steps.trust_in_words(6.0, 4.0) == pytest.approx(2.25)
    assert steps.trust_in_words(4.0, 4.0) == 1.0


def test_words_count_at_least_as_much_as_vectors() -> None:
    assert steps.trust_in_words(1.0, 4.0) == 1.0
    assert steps.trust_in_words(1.0, 0.0) == 1.0
    assert steps.trust_in_words(nan, 4.0) == 1.0


def test_vectors_have_half_of_the_score_if_the_query_is_covered_and_a_fifth_if_not() -> None:
    assert [steps.vector_share(coverage) for coverage in (-1, 0, 0.5, 1, 2)] == pytest.approx(
        [0.2, 0.2, 0.35, 0.5, 0.5]
    )


def test_a_passage_shares_the_best_score_of_its_document_and_the_best_keeps_its_own() -> None:
    assert steps.shared_by_document([4.0, 0.0, 3.0], [0, 0, 1]) == [4.0, 2.0, 3.0]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 4)), min_size=1, max_size=30))
def test_sharing_lowers_nothing_and_raises_nothing_above_the_best_of_its_document(
    candidates: list[tuple[float, int]],
) -> None:
    scores = [score for score, _ in candidates]
    documents = [document for _, document in candidates]
    for place, value in enumerate(steps.shared_by_document(scores, documents)):
        of_document = [score for score, number in candidates if number == documents[place]]
        assert scores[place] <= value + 1e-9
        assert value <= max(of_document) + 1e-9


def test_a_boost_multiplies_by_its_weight_where_the_field_contains_all_words() -> None:
    assert steps.boosted([2.0, 2.0, 2.0, 0.0], [1.0, 0.5, 0.0, 1.0], 3) == [6.0, 4.0, 2.0, 0.0]


def test_the_best_of_different_documents_are_fed_back() -> None:
    assert steps.first_of_documents([0.1, 0.9, 0.8, 0.7], [5, 3, 3, 4], 2) == [1, 3]
    assert steps.first_of_documents([0.1], [0], 5) == [0]


def test_feedback_moves_the_query_towards_the_mean_of_the_best() -> None:
    vectors = np.array([unit(0, 1), unit(0, 1), [nan, nan]])
    moved = steps.query_after_feedback(np.array([1.0, 0.0]), vectors, [0, 1, 2], 0.5)
    assert moved.tolist() == pytest.approx([1.0, 0.5])


def test_without_a_vector_among_the_best_the_query_stays() -> None:
    query = np.array([1.0, 0.0])
    moved = steps.query_after_feedback(query, np.array([[nan, nan]]), [0], 0.5)
    assert moved.tolist() == query.tolist()


def test_cosines_do_not_depend_on_the_length_of_the_query() -> None:
    vectors = np.array([unit(1, 1), unit(-1, 0), [nan, nan]])
    found = steps.cosines_of(vectors, np.array([3.0, 0.0]))
    assert found[:2] == pytest.approx([0.5**0.5, -1.0])
    assert np.isnan(found[2])


def test_a_candidate_like_the_best_is_raised_towards_them() -> None:
    vectors = np.array([unit(1, 0.1), unit(1, 0), unit(-1, 0.1), unit(-1, 0)])
    total = [3.0, 1.0, 1.1, 0.0]
    raised = steps.raised_by_neighbours(total, vectors, [0, 1, 2, 3], 0.5)
    assert raised[1] == pytest.approx(2.0)
    assert raised[0] == 3.0
    assert raised[3] == pytest.approx(0.55)


def test_passages_of_the_same_document_do_not_raise_each_other() -> None:
    vectors = np.array([unit(1, 0.1), unit(1, 0), unit(-1, 0)])
    total = [3.0, 1.0, 0.0]
    assert steps.raised_by_neighbours(total, vectors, [0, 0, 1], 0.5) == total


def test_a_candidate_without_vector_is_neither_raised_nor_raises() -> None:
    vectors = np.array([unit(1, 0.1), [nan, nan], unit(1, 0), unit(-1, 0)])
    raised = steps.raised_by_neighbours([9.0, 3.0, 1.0, 0.0], vectors, [0, 1, 2, 3], 0.5)
    assert raised[:2] == [9.0, 3.0]
    assert raised[2] == pytest.approx(5.0)
    alone = np.array([[nan, nan], [nan, nan]])
    assert steps.raised_by_neighbours([1.0, 2.0], alone, [0, 1], 0.5) == [1.0, 2.0]


@given(st.lists(finite, min_size=1, max_size=80), st.integers(0, 2**32 - 1), shares)
def test_neighbours_lower_nobody_and_nobody_overtakes_the_best(
    total: list[float], seed: int, part: float
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(total), 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    documents = [number // 2 for number in range(len(total))]
    raised = steps.raised_by_neighbours(total, vectors, documents, part)
    for before, after in zip(total, raised, strict=True):
        assert before <= after + 1e-9
        assert after <= max(total) + 1e-9


def test_who_answers_by_meaning_words_or_title_is_relevant() -> None:
    values = steps.relevance([1.0, 0.0, 0.0, 0.0, -1.0, nan], [0, 9e9, 0, 0, 0, 0], 1.0, [0.0] * 6)
    assert values == pytest.approx([1, 1, 0, 0, 0, 0])
    assert steps.relevance([0.0], [0.0], 1.0, [1.0]) == [1.0]
    both = steps.relevance([0.5], [1.0], 1.0, [0.0])
    assert both == pytest.approx([1 - 0.75 * exp(-1)])
    assert steps.relevance([0.5], [7.0], 0.0, [0.0]) == pytest.approx([0.25])


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 50), shares), min_size=1, max_size=20))
def test_relevance_is_from_0_to_1_and_grows_with_each_evidence(
    candidates: list[tuple[float, float, float]],
) -> None:
    cosines, words, titles = (list(values) for values in zip(*candidates, strict=True))
    values = steps.relevance(cosines, words, 5.0, titles)
    assert all(0 <= value <= 1 for value in values)
    better = steps.relevance(
        [min(1.0, cosine + 0.1) for cosine in cosines],
        [score + 1 for score in words],
        5.0,
        [min(1.0, title + 0.1) for title in titles],
    )
    assert all(more >= less - 1e-12 for less, more in zip(values, better, strict=True))


def test_neighbours_that_rise_get_their_mean() -> None:
    assert steps.falling([0.9, 0.2, 0.4, 0.1]) == pytest.approx([0.9, 0.3, 0.3, 0.1])
    assert steps.falling([0.0, 0.3, 0.9]) == pytest.approx([0.4, 0.4, 0.4])
    assert steps.falling([]) == []


@given(st.lists(shares, min_size=1, max_size=40))
def test_what_falls_is_left_alone_and_anything_else_falls_afterwards(values: list[float]) -> None:
    fitted = steps.falling(values)
    assert all(left >= right for left, right in zip(fitted, fitted[1:], strict=False))
    assert sum(fitted) == pytest.approx(sum(values), abs=1e-9)
    in_order = sorted(values, reverse=True)
    assert steps.falling(in_order) == pytest.approx(in_order)
