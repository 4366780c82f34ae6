"""One ranking out of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from math import exp, isfinite, nan, sqrt
from operator import add

from semantic_core.types import ChunkId, Ranking

SOURCE = "fused"
"""Source of a ranking made of several."""
TITLE = "title"
"""Source of the ranking of documents by their titles; see `protocols.TitleSearch`."""

DIGITS = 9
"""Decimals of a sum of z-scores that count: a store may add up one score in another order when it
is asked again, and what differs by rounding alone must not change places from page to page."""


TrueScores = Callable[[Ranking, Sequence[ChunkId]], Sequence[float] | None]
"""What a lane gives candidates that its ranking does not list, NaN for one it cannot score; None if
it can score none of them."""


def candidates(rankings: Sequence[Ranking]) -> list[ChunkId]:
    """Every id of any ranking, once, in order of first appearance."""
    return list(dict.fromkeys(chain.from_iterable(ranking.ids for ranking in rankings)))


def no_scores(ranking: Ranking, others: Sequence[ChunkId]) -> None:
    """No lane can score what it did not list."""


def fuse_scores(rankings: Sequence[Ranking], true_scores: TrueScores = no_scores) -> Ranking:
    """Sum of z-scores: each lane's scores over all candidates are brought to mean 0 and deviation
    1, then added. Keeps how clear-cut a lane is, which ranks alone throw away (standardised
    CombSUM:
    Fox and Shaw 1994; Wu, Crestani and Bi 2006).

    rankings: lanes of equal weight, at least one. true_scores: asked once for each lane that did
    not list every candidate. A NaN is replaced by the lane's lowest score. A lane that cannot score
    others: see `_unlisted`.

    A ranking called "title" is no lane among others: its score, from 0 to 1, adds that part of the
    distance between the best and the worst of all candidates; those of score 1, called exactly like
    the query, come last to it, so they stand before all that are not.

    The sum is shown through the logistic function: a score lies in [0, 1], and 0.5 is the middle of
    the candidates. Ties by title, then by ChunkId.
    """
    ids = candidates(rankings)
    places = {id: place for place, id in enumerate(ids)}
    total = [0.0] * len(ids)
    named = [0.0] * len(ids)
    for ranking in rankings:
        listed = [places[id] for id in ranking.ids]
        if ranking.source == TITLE:
            for place, score in zip(listed, ranking.scores, strict=True):
                named[place] = min(1.0, max(0.0, score))
        else:
            values = _standardised(_scores(ranking, listed, ids, true_scores))
            total = list(map(add, total, values))
    total = [round(value, DIGITS) for value in total]
    if any(named):
        total = _lifted(total, [share if share < 1 else 0.0 for share in named])
        total = _lifted(total, [share if share == 1 else 0.0 for share in named])
    order = sorted(range(len(ids)), key=lambda place: (-total[place], -named[place], ids[place]))
    return Ranking(
        SOURCE,
        tuple([ids[place] for place in order]),
        tuple([_logistic(total[place]) for place in order]),
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
    lane: Ranking, listed: Sequence[int], ids: Sequence[ChunkId], true_scores: TrueScores
) -> list[float]:
    """What a lane gives each candidate. listed: the places in `ids` of those it lists."""
    scores = [nan] * len(ids)
    for place, score in zip(listed, lane.scores, strict=True):
        scores[place] = score
    if len(listed) == len(ids):
        return scores
    others = sorted(set(range(len(ids))).difference(listed))
    found = true_scores(lane, [ids[place] for place in others])
    if found is None:
        found = [_unlisted(lane)] * len(others)
    for place, score in zip(others, found, strict=True):
        scores[place] = score
    lowest = min(filter(isfinite, scores), default=0.0)
    return [score if isfinite(score) else lowest for score in scores]


def _unlisted(lane: Ranking) -> float:
    """What counts for a candidate that a lane did not list and cannot score: always less than what
    it listed. 0 where all it listed is above 0; else as far below its lowest as its best is above.
    """
    lowest, highest = min(lane.scores), max(lane.scores)
    if lowest > 0:
        return 0.0
    return lowest - ((highest - lowest) or 1.0)


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -700 else 0.0


def _standardised(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    if deviation < 1e-12 * max(1.0, abs(mean)):  # all alike: this lane has nothing to say
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]
