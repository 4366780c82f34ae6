"""The steps of a ranking, each a pure function of the scores and vectors of the candidates.

A list has one value for each candidate, in the same order everywhere; higher is better. The order
of the steps, and what they get from a store, is in `fusion`.

Tested by tests/plugins/test_ranking_steps.py and tests/plugins/test_fusion.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isfinite, sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from semantic_core.types import Vector, Vectors

EQUAL_PARTS: Final = 0.5
"""Part of a score that its document, or its neighbours, have in it: as much as its own."""
FED_BACK: Final = 5
"""Documents whose best candidate says what a query means."""
FEEDBACK: Final = 0.5
"""Weight of their mean vector beside that of the query."""
SMOOTHED: Final = 50
"""Best candidates among which neighbours are looked for."""
NEIGHBOURS: Final = 5
"""Nearest candidates that raise one."""
TENTH: Final = 10
"""Of so many candidates, or documents, one is taken for good, or for near: in a small index the
best five may be all there are.
"""
LEAST_WEIGHT: Final = 0.2
"""Share of vector search in a query that its embedder does not cover at all; one half if it covers
the query well."""


def standardised(values: Sequence[float]) -> list[float]:
    """The z-scores of values: mean 0, deviation 1; all 0 if the values are equal."""
    mean = sum(values) / len(values)
    squares = [(value - mean) ** 2 for value in values]
    deviation = sqrt(sum(squares) / len(values))
    if deviation < 1e-12 * max(1.0, abs(mean)):
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]


def logistic(value: float) -> float:
    """1 / (1 + exp(-value)), from 0 to 1."""
    return 1 / (1 + exp(-value)) if value > -700 else 0.0


def vector_share(coverage: float) -> float:
    """The part that vector search has in the score of a query, the rest is full-text search's.

    coverage: how well the embedder covers the query, from 0 to 1. An embedder that splits words
    into letters knows little of their meaning, so that its vectors say little.
    """
    return LEAST_WEIGHT + (0.5 - LEAST_WEIGHT) * min(1.0, max(0.0, coverage))


def trust_in_words(best: float, full: float) -> float:
    """How often full-text search counts, for one time that vector search does; at least 1.

    best: the highest full-text score of any candidate. full: the score of a passage of average
    length that contains each word of the query once (`TextScale`); 0 if that is not known.

    z-scores do not show whether a retriever found what was asked for or only the least bad. The
    quotient of the two does: where a passage contains all that was asked for, the words say
    precisely what is wanted; where the best contains a part of it only, the meaning has to help.
    It is squared as the variance that it explains is, since scores are best combined by inverse
    variance.
    """
    if full <= 0 or not isfinite(best):
        return 1.0
    return max(1.0, (best / full) ** 2)


def shared_by_document(scores: Sequence[float], documents: Sequence[int]) -> list[float]:
    """Half a passage's full-text score and half the highest of its document among the candidates.

    documents: the number of each candidate's document. The best passage by words keeps its score,
    and the passage beside it, which the vectors may prefer, is not treated as if its document
    contained none of the words. For documents that are scored by their best passage see Dai and
    Callan, "Deeper Text Understanding for IR with Contextual Neural Language Modeling" (2019),
    MaxP.
    """
    best: dict[int, float] = {}
    for score, document in zip(scores, documents, strict=True):
        best[document] = max(score, best.get(document, score))
    shared = []
    for score, document in zip(scores, documents, strict=True):
        shared.append((1 - EQUAL_PARTS) * score + EQUAL_PARTS * best[document])
    return shared


def boosted(scores: Sequence[float], shares: Sequence[float], weight: float) -> list[float]:
    """Full-text scores raised where a field contains words of the query.

    shares: the part of the query's words that the field of each candidate contains, from 0 to 1.
    With all of them the score counts `weight` times.
    """
    pairs = zip(scores, shares, strict=True)
    return [score * (1 + (weight - 1) * share) for score, share in pairs]


def first_of_documents(total: Sequence[float], documents: Sequence[int], count: int) -> list[int]:
    """The places of the best candidate of each of the `count` best documents, best first."""
    found: dict[int, int] = {}
    for place in sorted(range(len(total)), key=lambda place: -total[place]):
        found.setdefault(documents[place], place)
        if len(found) == count:
            break
    return list(found.values())


def cosines_of(vectors: Vectors, query: Vector) -> list[float]:
    """The cosine of each row to a vector, from -1 to 1; NaN for a row of NaN."""
    import numpy as np

    exact = np.asarray(query, dtype=np.float64)
    scores = vectors @ (exact / np.linalg.norm(exact))
    clipped: list[float] = np.clip(scores, -1.0, 1.0).tolist()
    return clipped


def query_after_feedback(
    query: Vector, vectors: Vectors, best: Sequence[int], weight: float
) -> Vector:
    """The query moved towards its best candidates: query + weight * mean of their vectors.

    best: their places; those without a vector, which are NaN, are left out. Rocchio, "Relevance
    Feedback in Information Retrieval" (1971), with the best candidates in place of judged ones, as
    in Buckley, Salton and Allan, "Automatic Retrieval with Locality Information Using SMART"
    (1992). Only the candidates are scored again, no second search is made.
    """
    import numpy as np

    rows = vectors[list(best)]
    rows = rows[np.isfinite(rows[:, :1]).ravel()]
    if not len(rows):
        return query
    moved: Vector = np.asarray(query, dtype=np.float64) + weight * rows.mean(axis=0)
    return moved


def raised_by_neighbours(
    total: Sequence[float],
    vectors: Vectors,
    documents: Sequence[int],
    part: float,
    count: int,
) -> list[float]:
    """Scores in which each of the best candidates is raised towards those most like it.

    A candidate whose `count` nearest candidates, of other documents, have a higher score on average
    is raised by `part` of the difference; none is lowered. So nothing overtakes the best of all,
    and a passage that is like no other keeps its place. Alike is what points in the same direction
    from the middle of all candidates.

    The cluster hypothesis: what is alike answers the same questions (Jardine and van Rijsbergen,
    "The use of hierarchic clustering in information retrieval", 1971); regularised scores: Diaz,
    "Regularizing ad hoc retrieval scores" (2005), which lowers as well.
    """
    import numpy as np

    values = np.array(total, dtype=np.float64)
    best = np.argsort(-values, kind="stable")[:SMOOTHED]
    known = np.isfinite(vectors[:, 0])
    if count < 1 or len(best) < 2 or not known.any():
        return list(total)
    all_known = bool(known.all())
    middle = (vectors if all_known else vectors[known]).mean(axis=0)
    rows = vectors[best] - middle
    if not all_known:
        rows = np.nan_to_num(rows)
    rows /= np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), 1e-12)
    alike = np.einsum("ik,jk->ij", rows, rows)  # so few take longer to share among processors
    of_document = np.asarray(documents)[best]
    alike[of_document[:, None] == of_document[None, :]] = 0.0
    np.maximum(alike, 0.0, out=alike)
    count = min(count, len(best))
    nearest = np.argpartition(alike, -count, axis=1)[:, -count:]
    weights = np.take_along_axis(alike, nearest, axis=1)
    own = values[best]
    sums = weights.sum(axis=1)
    means = (weights * own[nearest]).sum(axis=1) / np.maximum(sums, 1e-12)
    values[best] += part * np.where(sums > 1e-12, np.maximum(means - own, 0.0), 0.0)
    raised: list[float] = values.tolist()
    return raised


def raised_by(total: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Each value raised by its share of the distance between the best and the worst; with share 1,
    at least to the best.
    """
    best = max(total)
    spread = best - min(total)
    raised = []
    for value, share in zip(total, shares, strict=True):
        higher = value + share * spread
        raised.append(max(best, higher) if share == 1 else higher)
    return raised


def relevance(
    cosines: Sequence[float], words: Sequence[float], full: float, titles: Sequence[float]
) -> list[float]:
    """How well each candidate answers the query, from 0 to 1, whatever the other candidates are.

    It is 1 - (1 - meaning) * (1 - wording) * (1 - title): it answers by meaning, by its words or by
    its title, each independent of the others. meaning: the square of the cosine, the part of the
    query's vector that the direction of the passage explains; 0 for a cosine below 0. wording:
    1 - exp(-words / full), which is 0 without any of the words, 0.63 for all of them in a passage
    of average length, and higher if they are repeated or in a short passage. title: the part of the
    title that the query covers.

    words: the full-text scores. full: see `trust_in_words`; if it is 0, words do not count.
    """
    import numpy as np

    meaning = np.clip(np.nan_to_num(np.asarray(cosines, dtype=np.float64)), 0.0, 1.0) ** 2
    found = np.maximum(np.asarray(words, dtype=np.float64), 0.0)
    missing = np.exp(-found / full) if full > 0 else np.ones(len(found))
    untitled = 1.0 - np.clip(np.asarray(titles, dtype=np.float64), 0.0, 1.0)
    values: list[float] = (1.0 - (1.0 - meaning) * missing * untitled).tolist()
    return values


def falling(values: Sequence[float]) -> list[float]:
    """The values that do not rise and are closest to these, by least squares.

    Neighbours that rise are replaced by their mean, until none rises: the algorithm of pool
    adjacent violators (Ayer et al., "An Empirical Distribution Function for Sampling with
    Incomplete Information", 1955).
    """
    sums: list[float] = []
    counts: list[int] = []
    for value in values:
        total = value
        count = 1
        while sums and sums[-1] * count < total * counts[-1]:
            total += sums.pop()
            count += counts.pop()
        sums.append(total)
        counts.append(count)
    fitted: list[float] = []
    lowest = float("inf")
    for total, count in zip(sums, counts, strict=True):
        lowest = min(lowest, total / count)
        fitted += [lowest] * count
    return fitted
