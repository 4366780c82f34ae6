"""Fusion: one ranking from several, which preserves how clear each of them was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core import ChunkId, Ranking, Ref
from semantic_core._plugins.fusion import Evidence, fuse_scores

IDS = [ChunkId(Ref("c", f"{number:03}"), 0) for number in range(30)]


def ranking(source: str, **scores: float) -> Ranking:
    order = sorted(scores.items(), key=lambda item: -item[1])
    return Ranking(
        source,
        tuple(ChunkId(Ref("c", key), 0) for key, _ in order),
        tuple(score for _, score in order),
    )


def known(**scores: Mapping[ChunkId, float]) -> Evidence:
    """The scores of retrievers that can score what they did not return."""

    def true_scores(ranking: Ranking, others: Sequence[ChunkId]) -> list[float] | None:
        if ranking.source not in scores:
            return None
        return [scores[ranking.source].get(id, nan) for id in others]

    return Evidence(true_scores)


def keys(fused: Ranking) -> list[str]:
    return [id.ref.key for id in fused.ids]


def test_a_single_retriever_keeps_its_order_and_is_shown_between_0_and_1() -> None:
    fused = fuse_scores([ranking("other", a=-0.01, b=-0.03)])
    assert keys(fused) == ["a", "b"]
    assert fused.scores == pytest.approx((1 / (1 + exp(-1)), 1 / (1 + exp(1))))


def test_a_score_says_how_well_a_candidate_answers_whatever_the_others_are() -> None:
    for cosine, others in ((0.9, {"b": 0.8}), (0.9, {"b": 0.1, "c": 0.05}), (0.2, {"b": 0.1})):
        fused = fuse_scores([ranking("vector", a=cosine, **others)])
        assert fused.scores[0] == pytest.approx(cosine**2)


def test_words_count_by_the_part_of_the_query_that_was_found() -> None:
    rankings = [ranking("words", a=8.0, b=2.0, c=0.0)]
    full = fuse_scores(rankings, Evidence(full=8.0)).scores
    assert full == pytest.approx((1 - exp(-1), 1 - exp(-0.25), 0.0))
    little = fuse_scores(rankings, Evidence(full=80.0)).scores
    assert little == pytest.approx((1 - exp(-0.1), 1 - exp(-0.025), 0.0))


def test_candidates_whose_order_differs_from_their_scores_share_the_mean() -> None:
    """The title decides that b is first, though a answers better."""
    rankings = [ranking("vector", a=0.8, b=0.0, c=0.0), ranking("title", b=0.999)]
    fused = fuse_scores([*rankings, ranking("words", a=1.0, b=0.9, c=0.0)], Evidence(full=1.0))
    assert list(fused.scores) == sorted(fused.scores, reverse=True)


def test_the_more_of_the_query_a_passage_contains_the_more_its_words_count() -> None:
    """a is best by its words, b by its meaning."""
    rankings = [
        ranking("vector", b=0.9, c=0.5, d=0.4, a=0.3),
        ranking("words", a=6.0, c=3.0, d=2.0, b=1.5),
    ]
    assert keys(fuse_scores(rankings, Evidence(full=60.0)))[0] == "b"
    assert keys(fuse_scores(rankings, Evidence(full=3.0)))[0] == "a"


def test_vectors_of_a_query_that_the_embedder_does_not_cover_count_less() -> None:
    rankings = [
        ranking("vector", b=0.9, c=0.5, d=0.4, a=0.3),
        ranking("words", a=6.0, c=3.0, d=2.0, b=1.5),
    ]
    assert keys(fuse_scores(rankings, Evidence(full=60.0, coverage=1.0)))[0] == "b"
    assert keys(fuse_scores(rankings, Evidence(full=60.0, coverage=0.0)))[0] == "a"


def test_a_retriever_that_returns_one_candidate_counts_more_than_the_noise_of_the_other() -> None:
    vector = Ranking("vector", tuple(IDS), tuple(1 - number / 100 for number in range(30)))
    for score in (7.5, 0.0, -3.0):
        only = Ranking("words", (IDS[-1],), (score,))
        assert fuse_scores([vector, only]).ids[0] == IDS[-1]
        assert (
            fuse_scores([vector, only], known(words=dict.fromkeys(IDS[:-1], score - 1))).ids[0]
            == IDS[-1]
        )


def test_equal_candidates_of_a_retriever_come_before_those_it_did_not_return() -> None:
    vector = Ranking("vector", tuple(IDS), tuple(1 - number / 100 for number in range(30)))
    equal = Ranking("other", (IDS[-2], IDS[-1]), (0.0, 0.0))
    assert fuse_scores([vector, equal]).ids[:2] == (IDS[-2], IDS[-1])


def test_what_a_retriever_returns_counts_more_than_what_it_does_not_return() -> None:
    for shift in (0.0, -1.5, -9.0):
        one = ranking("other", a=1.0 + shift, b=0.5 + shift)
        beside = ranking("vector", b=0.5, c=0.5, a=0.5)
        assert keys(fuse_scores([one, beside])) == ["a", "b", "c"]


def test_what_is_called_like_the_query_comes_first_whatever_the_retrievers_say() -> None:
    rankings = [
        ranking("vector", a=0.9, b=0.8, c=0.1, d=0.0),
        ranking("words", a=30.0, b=9.0, d=2.0, c=1.0),
    ]
    fused = fuse_scores([*rankings, ranking("title", c=1.0, d=0.5)])
    assert keys(fused)[0] == "c"
    assert fused.scores[0] >= fused.scores[1]
    both = fuse_scores([*rankings, ranking("title", c=1.0, d=1.0)])
    assert set(keys(both)[:2]) == {"c", "d"}
    begun = fuse_scores([*rankings, ranking("title", d=0.999, c=1.0)])
    assert keys(begun)[0] == "c"


def test_the_beginning_of_a_title_counts_for_as_much_as_it_is_of_it() -> None:
    rankings = [ranking("vector", a=1.0, b=0.9, c=0.0), ranking("words", a=1.0, b=0.9, c=0.0)]
    place = [
        keys(fuse_scores([*rankings, ranking("title", c=share)])).index("c")
        for share in (0.1, 0.95, 1.0)
    ]
    assert place == [2, 1, 0]


def test_what_both_retrievers_rank_high_wins() -> None:
    fused = fuse_scores(
        [ranking("vector", a=0.9, b=0.8, c=0.1), ranking("words", b=9.0, c=8.0, d=1.0)]
    )
    assert keys(fused)[0] == "b"


def test_a_clear_winner_beats_a_narrow_one() -> None:
    words = ranking("words", a=20.0, b=2.0, c=1.9, d=1.8)
    vector = ranking("vector", b=0.52, a=0.51, c=0.50, d=0.49)
    assert keys(fuse_scores([vector, words]))[0] == "a"


def test_a_candidate_of_the_other_retriever_gets_its_exact_score() -> None:
    rankings = [ranking("vector", a=0.9, b=0.5), ranking("words", c=9.0, b=1.0)]
    without = fuse_scores(rankings)
    exact = fuse_scores(rankings, known(vector={ChunkId(Ref("c", "c"), 0): 0.89}))
    assert keys(exact)[0] == "c"
    assert (
        dict(zip(keys(exact), exact.scores, strict=True))["c"]
        > dict(zip(keys(without), without.scores, strict=True))["c"]
    )


def test_a_candidate_without_any_score_counts_as_the_lowest_of_the_retriever() -> None:
    rankings = [ranking("vector", a=0.9, b=0.5), ranking("words", c=9.0, b=1.0)]
    unknown = fuse_scores(rankings, known(vector={ChunkId(Ref("c", "c"), 0): nan}))
    assert unknown == fuse_scores(rankings, known(vector={ChunkId(Ref("c", "c"), 0): 0.5}))


def test_a_retriever_with_equal_scores_only_decides_nothing() -> None:
    fused = fuse_scores([ranking("vector", a=0.5, b=0.5), ranking("words", b=2.0, a=1.0)])
    assert keys(fused) == ["b", "a"]


def test_what_differs_by_rounding_alone_is_equal() -> None:
    vector = ranking("vector", b=0.5, a=0.5, c=0.1)
    for noise in (-1e-15, 0.0, 1e-15):
        assert keys(fuse_scores([vector, ranking("words", b=1.0 + noise, a=1.0, c=0.5)])) == [
            "a",
            "b",
            "c",
        ]


def test_equal_scores_are_ordered_by_chunk() -> None:
    fused = fuse_scores([ranking("vector", b=0.5, a=0.5), ranking("words", b=1.0, a=1.0)])
    assert keys(fused) == ["a", "b"]


def test_the_only_candidate_of_retrievers_of_plugins_stands_in_the_middle() -> None:
    assert fuse_scores([ranking("one", a=0.1), ranking("other", a=3.0)]).scores == (0.5,)


scores = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(scores, scores, st.randoms())
def test_the_result_holds_every_candidate_once_best_first_with_finite_scores(  # type: ignore[no-untyped-def]
    left: list[float], right: list[float], random
) -> None:
    rankings = []
    for source, values in (("vector", left), ("words", right)):
        ids = random.sample(IDS, len(values))
        rankings.append(Ranking(source, tuple(ids), tuple(sorted(values, reverse=True))))
    fused = fuse_scores(rankings)
    assert sorted(fused.ids) == sorted({*rankings[0].ids, *rankings[1].ids})
    assert list(fused.scores) == sorted(fused.scores, reverse=True)
    assert all(0 <= score <= 1 for score in fused.scores)


@given(scores, st.floats(0.1, 100), st.floats(-100, 100))
def test_the_unit_and_the_zero_of_a_retrievers_scores_do_not_matter(
    values: list[float], unit: float, zero: float
) -> None:
    values = sorted({round(value, 3) for value in values}, reverse=True)
    ids = tuple(IDS[: len(values)])
    other = Ranking(
        "other", tuple(reversed(ids)), tuple(float(number) for number in range(len(ids), 0, -1))
    )
    plain = fuse_scores([Ranking("one", ids, tuple(values)), other])
    scaled = fuse_scores(
        [Ranking("one", ids, tuple(value * unit + zero for value in values)), other]
    )
    by_id = dict(zip(scaled.ids, scaled.scores, strict=True))
    for id, score in zip(plain.ids, plain.scores, strict=True):
        assert by_id[id] == pytest.approx(score, abs=1e-3)
