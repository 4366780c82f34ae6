"""What the lane of words gives chunks that somebody else found: the same number, without a search.

FTS5 gives BM25 to what it walks over, and to look up a few chunks it walks over all that hold a word. So
the number is worked out here, by the formula FTS5 uses, from what is cheap to have: the lists of words that
are remembered; else the passages themselves, split as the index splits them, with counts of the whole index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import TYPE_CHECKING

import attrs
import numpy as np

from semantic_core_peewee._errors import altered
from semantic_core_peewee._ids import numbers_of, rows_of
from semantic_core_peewee._words import STEMS, split, stem_of, terms_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import ChunkId
    from semantic_core_peewee._pool import View
    from semantic_core_peewee._word_counts import WordCounts
    from semantic_core_peewee._word_lists import WordList

K1 = 1.2
"""BM25: how soon a repeated word stops counting; fixed in FTS5."""
B = 0.75
"""BM25: how much a long passage pays for its length; fixed in FTS5."""
LEAST_IDF = 1e-6
"""Weight of a word in more than half of the passages; fixed in FTS5."""

_AVERAGES = "select block from words_data where id = 1"
"""Row of FTS5 with the number of passages, then of the words in them, as integers of varying length."""
_BYTES_OF_A_NUMBER = 9
"""Bytes an integer of varying length has at most; its last byte then counts whole."""


def scores_of(view: View, ids: Sequence[ChunkId], text: str, counts: WordCounts) -> NDArray[np.float64]:
    """BM25 of each of these chunks for the words of a text: 0 without any of them, NaN if it is gone."""
    scores = np.full(len(ids), np.nan, dtype=np.float64)
    asked = Counter(word for layer in terms_of(view, text, counts) for word in layer)
    lists = counts.lists.remembered(view, asked)
    if len(lists) < len(asked):
        weighed = _Weighed.of(view, asked, counts)
        for place, passage in rows_of(view, ids, "c.passage", of_document=False):
            scores[place] = weighed.score(split(view.raw, passage, STEMS))
        return scores
    numbers = numbers_of(view, ids)
    places = [place for place, id in enumerate(ids) if id in numbers]
    chunks = np.array([numbers[ids[place]] for place in places], dtype=np.int64)
    total = np.zeros(len(places))
    for word, times in asked.items():
        total += times * _listed(lists[word], chunks)
    scores[places] = total
    return scores


def _listed(words: WordList, chunks: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a word gives these chunks; bigger is better."""
    if not len(words.chunks):
        return np.zeros(len(chunks))
    places = np.minimum(np.searchsorted(words.chunks, chunks), len(words.chunks) - 1)
    scores = -words.values[words.places[places]]
    return np.where(words.chunks[places] == chunks, scores, 0.0)


@attrs.frozen(eq=False)
class _Weighed:
    """The words of a query. weights: idf by stem, as often as it is asked for. average: words a passage has."""

    weights: Mapping[str, float]
    average: float

    @classmethod
    def of(cls, view: View, asked: Mapping[str, int], counts: WordCounts) -> _Weighed:
        """The words asked for, each so many times."""
        passages, words = _totals(view)
        holders = counts.exact(view, list(asked), stem_of)
        weights: dict[str, float] = {}
        for word, times in asked.items():
            held = holders[word]
            idf = log((passages - held + 0.5) / (held + 0.5)) if held <= passages else 0.0
            stem = stem_of(view.raw, word)
            weights[stem] = weights.get(stem, 0.0) + times * max(LEAST_IDF, idf)
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


def _totals(view: View) -> tuple[int, int]:
    """How many passages the index of words has, and how many words they have together."""
    block = view.raw.execute(_AVERAGES).get
    numbers = _numbers(block) if isinstance(block, bytes) else []
    if not numbers:
        return 0, 0
    if len(numbers) != 2:
        raise altered("The index of words")
    return numbers[0], numbers[1]


def _numbers(block: bytes) -> list[int]:
    """The integers of varying length in a row of FTS5: seven bits a byte, the high bit says that more follow."""
    numbers: list[int] = []
    value, read = 0, 0
    for byte in block:
        read += 1
        if read == _BYTES_OF_A_NUMBER:
            value, more = value << 8 | byte, False
        else:
            value, more = value << 7 | byte & 0x7F, byte >= 0x80
        if not more:
            numbers.append(value)
            value, read = 0, 0
    return numbers
