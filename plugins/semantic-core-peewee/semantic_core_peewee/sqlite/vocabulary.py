"""The words of the documents in a scope, for completion and typing errors: `Vocabulary`.

The table of words counts all tenants together. So a word is given only if a passage in scope
contains its term; and where several words share a term, only if one of these passages has the word
itself.

Tested by tests/sqlite/test_vocabulary.py and tests/sqlite/test_contract.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semantic_core.analysis import WordAnalyser, folded
from semantic_core.marking import as_compared, exact_pattern, text_words
from semantic_core_peewee.sqlite.text_conditions import BEGINNING, BEHIND
from semantic_core_peewee.sqlite.text_segments import unsigned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.text_index import TextVersion
    from semantic_core_peewee.sqlite.text_scopes import Marks
    from semantic_core_peewee.sqlite.text_search import TextIndex

MOST_TRIED = 2_000
"""Words, the most frequent ones of the whole store, that are looked for in a scope."""
MOST_LOOKED_AT = 200
"""Passages that are read to see whether a word is in one of them, and not only its term."""
LONGEST_WORD = 64
"""Letters of the longest word that has near ones."""
_WORDS = "vocabulary"

_BEGINNING = f"""select word, sum(chunks) as chunks, json_group_array(term)
    from ({BEGINNING.replace("word, term", "word, term, chunks")})
    group by word
    order by chunks desc, word
    limit ?"""
_EVERY = """select group_concat(word, ' ')
    from (select distinct word from semantic_index_text_word where generation = ?)"""
_WITH_TERMS = """select word, sum(chunks), json_group_array(term)
    from json_each(?) as j
    cross join semantic_index_text_word as w
    where w.generation = ? and w.word = j.value
    group by word"""
_PASSAGES = """select c.passage
    from json_each(?) as j
    cross join semantic_index_chunk as c
    where c.id = j.value"""


class _KnownWord(NamedTuple):
    """A word of the table. chunks: that contain it, in the whole store. keys: of its terms."""

    word: str
    chunks: int
    keys: tuple[int, ...]


class WordList(NamedTuple):
    """Words, with what tells most of them from a given word at once. lengths: in letters. letters:
    a bit for each letter that a word has; far letters of Unicode share one.
    """

    words: Sequence[str]
    lengths: NDArray[np.intp]
    letters: NDArray[np.uint64]

    @classmethod
    def of(cls, words: Sequence[str]) -> WordList:
        """Of these words, at least one."""
        lengths = np.array(list(map(len, words)), dtype=np.intp)
        spelled = "".join(f"{word} " for word in words)
        codes = np.frombuffer(spelled.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        bits = np.uint64(1) << (codes % 64).astype(np.uint64)
        ends = np.cumsum(lengths + 1) - 1
        bits[ends] = 0  # the blanks between
        return cls(words, lengths, np.bitwise_or.reduceat(bits, ends - lengths))

    def alike(self, word: str, distance: int) -> list[str]:
        """Those that may be so many edits away from a word: an edit changes the length by one at
        most, and the letters by two.
        """
        one = WordList.of([word])
        may_be = np.abs(self.lengths - one.lengths) <= distance
        may_be &= np.bitwise_count(self.letters ^ one.letters) <= 2 * distance
        return [self.words[place] for place in np.flatnonzero(may_be).tolist()]


class ScopedWords:
    """The words of one scope in one state of the index. marks: which rows are in scope; None for
    all.
    """

    def __init__(
        self, view: View, index: TextIndex, version: TextVersion, marks: Marks | None
    ) -> None:
        self._view = view
        self._index = index
        self._version = version
        self._marks = marks

    def counts(self, words: Collection[str]) -> dict[str, int]:
        """See `Vocabulary.word_counts`: how many passages in scope contain a form of each word."""
        found = {}
        for word in words:
            keys = self._index.keys_of(word)
            if self._marks is None:
                found[word] = self._index.holders(self._view, self._version, keys)
            else:
                found[word] = len(self._rows(keys))
        return found

    def like(self, beginning: str, limit: int) -> list[tuple[str, int]]:
        """See `Vocabulary.words_like`."""
        begun = folded(beginning)
        if not begun or limit <= 0:
            return []
        bound = (self._view.generation, begun, begun + BEHIND)
        wanted = limit if self._marks is None else MOST_TRIED
        rows = self._view.raw.execute(_BEGINNING, (*bound, wanted)).fetchall()
        return _most_frequent(self._there(map(_known_word, rows)))[:limit]

    def near(self, word: str, distance: int, limit: int) -> list[tuple[str, int]]:
        """See `Vocabulary.words_near`."""
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        wanted = folded(word)
        if not wanted or limit <= 0 or len(wanted) > LONGEST_WORD:
            return []
        alike = self._every().alike(wanted, distance)
        matches = extract(wanted, alike, scorer=OSA.distance, score_cutoff=distance, limit=None)
        by_distance: dict[int, list[str]] = {}
        for found, apart, _ in matches:
            if apart:
                by_distance.setdefault(int(apart), []).append(found)
        answer: list[tuple[str, int]] = []
        for _, those in sorted(by_distance.items()):
            if len(answer) < limit:
                asked = (json.dumps(those), self._view.generation)
                rows = self._view.raw.execute(_WITH_TERMS, asked).fetchall()
                answer += _most_frequent(self._there(map(_known_word, rows)))
        return answer[:limit]

    def _every(self) -> WordList:
        """All words of the store, read once for each state of the index."""
        words: WordList | None = self._version.kept.get(_WORDS)
        if words is None:
            listed = self._view.raw.execute(_EVERY, (self._view.generation,)).get
            words = self._version.kept[_WORDS] = WordList.of((listed or "").split(" "))
        return words

    def _there(self, spelled: Iterable[_KnownWord]) -> Iterator[tuple[str, int]]:
        """Those of these words that are in scope, with the number of passages."""
        for each in spelled:
            if self._marks is None:
                yield each.word, each.chunks
                continue
            rows = self._rows(each.keys)
            if len(rows) and self._is_written(each.word, rows):
                yield each.word, len(rows)

    def _rows(self, keys: Collection[int]) -> NDArray[np.intp]:
        """The rows in scope that contain one of these terms."""
        rows = self._index.rows_with(self._view, self._version, keys)
        return rows if self._marks is None else rows[self._marks[rows]]

    def _is_written(self, word: str, rows: NDArray[np.intp]) -> bool:
        """Whether one of these rows, which contain its term, has the word itself."""
        if isinstance(self._index.analyser, WordAnalyser):
            return True
        pattern = exact_pattern(word)
        chunks = self._version.chunks_of(rows[:MOST_LOOKED_AT]).tolist()
        for (passage,) in self._view.raw.execute(_PASSAGES, (json.dumps(chunks),)).fetchall():
            if pattern is not None and pattern.search(as_compared(passage)):
                return True
            words = text_words(self._index.analyser.tokens(passage), passage)
            if any(word == present.surface or word in present.terms for present in words):
                return True
        return False


def _known_word(row: tuple[str, int, str]) -> _KnownWord:
    word, chunks, terms = row
    return _KnownWord(word, chunks, tuple(unsigned(term) for term in json.loads(terms)))


def _most_frequent(found: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(found, key=_rank)


def _rank(pair: tuple[str, int]) -> tuple[int, str]:
    word, count = pair
    return (-count, word)
