"""One ranking out of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, isfinite, nan, sqrt

from semantic_core.types import ChunkId, Ranking

SOURCE = "fused"
"""Source of a ranking made of several."""


def candidates(rankings: Sequence[Ranking]) -> list[ChunkId]:
    """Every id of any ranking, once, in order of first appearance."""
    return list(dict.fromkeys(id for ranking in rankings for id in ranking.ids))


def fuse_scores(rankings: Sequence[Ranking], exact: Mapping[str, Mapping[ChunkId, float]]) -> Ranking:
    """Sum of z-scores: each lane's scores over all candidates are brought to mean 0 and deviation 1, then added.

    rankings: lanes of equal weight. exact: per source, scores of candidates the lane itself did not list; where there is
    none (or NaN) a candidate gets the lane's lowest. Keeps how clear-cut a lane is, which ranks alone throw away
    (standardised CombSUM: Fox and Shaw 1994; Wu, Crestani and Bi 2006). The sum is shown through the logistic function, so a
    score lies in [0, 1] and 0.5 is the middle of the candidates. Ties by ChunkId. One lane comes back as it is.
    """
    if len(rankings) == 1:
        return rankings[0]
    ids = candidates(rankings)
    places = {id: place for place, id in enumerate(ids)}
    total = [0.0] * len(ids)
    for ranking in rankings:
        scores = [nan] * len(ids)
        for id, score in exact.get(ranking.source, {}).items():
            if id in places:
                scores[places[id]] = score
        for id, score in zip(ranking.ids, ranking.scores, strict=True):
            scores[places[id]] = score
        lowest = min(filter(isfinite, scores), default=0.0)
        values = _standardised([score if isfinite(score) else lowest for score in scores])
        total = [before + value for before, value in zip(total, values, strict=True)]
    order = sorted(range(len(ids)), key=lambda place: (-total[place], ids[place]))
    return Ranking(SOURCE, tuple(ids[place] for place in order), tuple(_logistic(total[place]) for place in order))


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -700 else 0.0


def _standardised(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    if deviation < 1e-12 * max(1.0, abs(mean)):  # all alike: this lane has nothing to say
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]
