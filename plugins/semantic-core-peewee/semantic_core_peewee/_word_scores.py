"""What the lane of words gives chunks that somebody else found: the same number, without a search.

FTS5 gives BM25 to what it walks over, and to look up a few chunks it walks over all that hold a
word. So the number is worked out here, by the formula FTS5 uses, from what is cheap to have: the
lists of words that are remembered; else the passages themselves, split as the index splits them,
with counts of the whole index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from semantic_core_peewee._errors import altered
from semantic_core_peewee._ids import numbers_of, rows_of
from semantic_core_peewee._tokens import STEMS, split, stem_of
from semantic_core_peewee._word_lists import K1, B, idf_of, totals_of
from semantic_core_peewee._words import terms_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import ChunkId
    from semantic_core_peewee._pool import View
    from semantic_core_peewee._word_counts import WordCounts


def scores_of(
    view: View, ids: Sequence[ChunkId], text: str, counts: WordCounts
) -> NDArray[np.float64]:
    """BM25 of each of these chunks for the words of a text: 0 without any of them,
    NaN if it is gone.
    """
    scores = np.full(len(ids), np.nan, dtype=np.float64)
    asked = Counter(word for layer in terms_of(view, text, counts) for word in layer)
    lists = counts.lists.remembered(view, asked)
    if len(lists) < len(asked):
        weighed = _Weighed.of(view, asked, counts)
        for place, passage in rows_of(view, ids, "c.passage", of_document=False):
            scores[place] = weighed.score(split(view.raw, passage, STEMS))
        return scores
    numbers = numbers_of(view, ids)
    places = [place for place, number in enumerate(numbers) if number is not None]
    chunks = np.array([number for number in numbers if number is not None], dtype=np.int64)
    total = np.zeros(len(places))
    for word, times in asked.items():
        total -= times * lists[word].scores_of(chunks)  # FTS5 has it that smaller is better
    scores[places] = total
    return scores


@attrs.frozen(eq=False)
class _Weighed:
    """The words of a query. weights: idf by stem, as often as it is asked for.
    average: words a passage has.
    """

    weights: Mapping[str, float]
    average: float

    @classmethod
    def of(cls, view: View, asked: Mapping[str, int], counts: WordCounts) -> _Weighed:
        """The words asked for, each so many times."""
        passages, words = totals_of(view)
        holders = counts.exact(view, list(asked), stem_of)
        weights: dict[str, float] = {}
        for word, times in asked.items():
            stem = stem_of(view.raw, word)
            weights[stem] = weights.get(stem, 0.0) + times * idf_of(holders[word], passages)
        return cls(weights, words / max(1, passages))

    def score(self, passage: Sequence[str]) -> float:
        """BM25 of a passage, given its words as the index spells them."""
        found = Counter(word for word in passage if word in self.weights)
        if not found:
            return 0.0
        if not self.average:
            raise altered("The index of words")
        length = K1 * (1 - B + B * len(passage) / self.average)
        weighed = [(self.weights[word], times) for word, times in found.items()]
        return sum(weight * times * (K1 + 1) / (times + length) for weight, times in weighed)
