"""One ranking out of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, isfinite, nan, sqrt

from semantic_core.types import ChunkId, Ranking

SOURCE = "fused"
"""Source of a ranking made of several."""
TITLE = "title"
"""Source of the ranking of documents by their titles; see `protocols.TitleSearch`."""

DIGITS = 9
"""Decimals of a sum of z-scores that count: a store may add up one score in another order when it
is asked again, and what differs by rounding alone must not change places from page to page."""


def candidates(rankings: Sequence[Ranking]) -> list[ChunkId]:
    """Every id of any ranking, once, in order of first appearance."""
    return list(dict.fromkeys(id for ranking in rankings for id in ranking.ids))


def fuse_scores(
    rankings: Sequence[Ranking], exact: Mapping[str, Mapping[ChunkId, float]]
) -> Ranking:
    """Sum of z-scores: each lane's scores over all candidates are brought to mean 0 and deviation
    1, then added. Keeps how clear-cut a lane is, which ranks alone throw away (standardised
    CombSUM:
    Fox and Shaw 1994; Wu, Crestani and Bi 2006).

    rankings: lanes of equal weight, at least one. exact: per source, the true scores of candidates
    the lane did not list. Where there is none for one of them, or NaN, it gets the lane's lowest. A
    source that is not in `exact` cannot score others: see `_unlisted`.

    A ranking called "title" is no lane among others: its score, from 0 to 1, adds that part of the
    distance between the best and the worst of all candidates; those of score 1, called exactly like
    the query, come last to it, so they stand before all that are not.

    The sum is shown through the logistic function: a score lies in [0, 1], and 0.5 is the middle of
    the candidates. Ties by title, then by ChunkId.
    """
    ids = candidates(rankings)
    lanes = [ranking for ranking in rankings if ranking.source != TITLE]
    total = [0.0] * len(ids)
    for lane in lanes:
        values = _standardised(_scores(lane, ids, exact.get(lane.source)))
        total = [before + value for before, value in zip(total, values, strict=True)]
    total = [round(value, DIGITS) for value in total]
    titles = {id: score for lane in rankings if lane.source == TITLE for id, score in _pairs(lane)}
    named = [min(1.0, max(0.0, titles.get(id, 0.0))) for id in ids]
    total = _lifted(total, [share if share < 1 else 0.0 for share in named])
    total = _lifted(total, [share if share == 1 else 0.0 for share in named])
    order = sorted(range(len(ids)), key=lambda place: (-total[place], -named[place], ids[place]))
    return Ranking(
        SOURCE,
        tuple(ids[place] for place in order),
        tuple(_logistic(total[place]) for place in order),
    )


def _lifted(total: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Each raised by that share of the distance between the best and the worst; at 1,
    at least to the best.
    """
    best = max(total)
    spread = best - min(total)
    lifted = [value + share * spread for value, share in zip(total, shares, strict=True)]
    return [
        max(best, value) if share == 1 else value
        for value, share in zip(lifted, shares, strict=True)
    ]


def _scores(
    lane: Ranking, ids: Sequence[ChunkId], exact: Mapping[ChunkId, float] | None
) -> list[float]:
    """What a lane gives each of these candidates."""
    listed = dict(_pairs(lane))
    lowest = min(filter(isfinite, listed.values()), default=0.0)
    if exact is None:
        return [listed.get(id, _unlisted(lane)) for id in ids]
    known = {**exact, **listed}
    scores = [known.get(id, nan) for id in ids]
    lowest = min(filter(isfinite, scores), default=lowest)
    return [score if isfinite(score) else lowest for score in scores]


def _unlisted(lane: Ranking) -> float:
    """What counts for a candidate that a lane did not list and cannot score: always less than what
    it listed. 0 where all it listed is above 0; else as far below its lowest as its best is above.
    """
    lowest, highest = min(lane.scores), max(lane.scores)
    if lowest > 0:
        return 0.0
    return lowest - ((highest - lowest) or 1.0)


def _pairs(ranking: Ranking) -> zip[tuple[ChunkId, float]]:
    return zip(ranking.ids, ranking.scores, strict=True)


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -700 else 0.0


def _standardised(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    if deviation < 1e-12 * max(1.0, abs(mean)):  # all alike: this lane has nothing to say
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]
