"""The words of the documents in a scope, for completion and typing errors: `Vocabulary`.

The table of words has every word that was ever written. So a word is given only if a passage in
scope contains its term; and where several words share a term, only if one of these passages has the
word itself.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from semantic_core.analysis import WordAnalyser, folded
from semantic_core.marking import as_compared, exact_pattern, text_words
from semantic_core_postgres.text_conditions import BEGINNING
from semantic_core_postgres.texts import LAST, LONGEST_SURFACE, decoded, legal

if TYPE_CHECKING:
    from semantic_core_postgres.filters import Clause
    from semantic_core_postgres.pool import View
    from semantic_core_postgres.text_search import TextIndex

MOST_LOOKED_AT = 200
"""Passages that are read to see whether a word is in one of them, and not only its term."""
_NEAR = """select surface, term from {s}.word
    where tenant = %s and whole and length(surface) between %s and %s"""
_COUNTS = """select p.term, count(*) from {s}.posting as p
    where p.tenant = %s and p.term = any(%s::text[])"""
_SOME = """select c.passage from {s}.posting as p
    join {s}.chunk as c on c.tenant = p.tenant and c.id = p.chunk
    where p.tenant = %s and p.term = any(%s::text[])"""


class ScopedWords:
    """The words of one scope."""

    def __init__(self, view: View, index: TextIndex, clause: Clause) -> None:
        self._view = view
        self._index = index
        self._clause = clause
        self._among, self._in_scope = clause.among("p.document")

    def counts(self, words: Collection[str]) -> dict[str, int]:
        """See `Vocabulary.word_counts`: how many passages in scope contain a form of each word."""
        found = {}
        for word in words:
            terms = {term for asked in self._index.asked(word) for term in asked}
            if not terms:
                found[word] = 0
                continue
            rows = self._view.row(
                f"""select count(distinct p.chunk) from {{s}}.posting as p
                    where p.tenant = %s and p.term = any(%s::text[]){self._among}""",
                (self._clause.tenant, sorted(terms), *self._in_scope),
            )
            found[word] = int(rows[0]) if rows else 0
        return found

    def like(self, beginning: str, limit: int) -> list[tuple[str, int]]:
        """See `Vocabulary.words_like`."""
        begun = folded(beginning)
        if not begun or limit <= 0:
            return []
        spelled = legal(begun)
        found = self._view.rows(BEGINNING, (self._clause.tenant, spelled, spelled + LAST))
        rows = [(surface, term) for surface, whole, term in found if whole]
        return self._most_frequent(_terms_of(rows), limit)

    def near(self, word: str, distance: int, limit: int) -> list[tuple[str, int]]:
        """See `Vocabulary.words_near`."""
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        wanted = folded(word)
        if not wanted or limit <= 0 or len(wanted) > LONGEST_SURFACE:
            return []
        lengths = (max(1, len(wanted) - distance), 2 * (len(wanted) + distance))
        terms = _terms_of(self._view.rows(_NEAR, (self._clause.tenant, *lengths)))
        matches = extract(
            wanted, list(terms), scorer=OSA.distance, score_cutoff=distance, limit=None
        )
        by_distance: defaultdict[int, list[str]] = defaultdict(list)
        for found, apart, _ in matches:
            if apart:
                by_distance[int(apart)].append(found)
        answer: list[tuple[str, int]] = []
        for _, those in sorted(by_distance.items()):
            if len(answer) < limit:
                left = limit - len(answer)
                answer += self._most_frequent({one: terms[one] for one in those}, left)
        return answer

    def _most_frequent(
        self, words: Mapping[str, Collection[str]], limit: int
    ) -> list[tuple[str, int]]:
        """The most frequent of these words in scope. words: with the terms of each."""
        every = sorted({term for terms in words.values() for term in terms})
        if not every:
            return []
        counts = dict(
            self._view.rows(
                f"{_COUNTS}{self._among} group by p.term",
                (self._clause.tenant, every, *self._in_scope),
            )
        )
        ranked = []
        for word, terms in words.items():
            count = sum(counts.get(term, 0) for term in terms)
            if count:
                ranked.append((-count, word))
        answer: list[tuple[str, int]] = []
        for count, word in sorted(ranked):
            if len(answer) == limit:
                break
            if self._is_written(word, words[word]):
                answer.append((word, -count))
        return answer

    def _is_written(self, word: str, terms: Collection[str]) -> bool:
        """Whether a passage in scope that contains its term has the word itself."""
        if isinstance(self._index.analyser, WordAnalyser):
            return True
        pattern = exact_pattern(word)
        rows = self._view.rows(
            f"{_SOME}{self._among} limit %s",
            (self._clause.tenant, sorted(terms), *self._in_scope, MOST_LOOKED_AT),
        )
        for (spelled,) in rows:
            passage = decoded(spelled)
            if pattern is not None and pattern.search(as_compared(passage)):
                return True
            words = text_words(self._index.analyser.tokens(passage), passage)
            if any(word == present.surface or word in present.terms for present in words):
                return True
        return False


def _terms_of(rows: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """The terms of each word."""
    terms: defaultdict[str, set[str]] = defaultdict(set)
    for surface, term in rows:
        terms[decoded(surface)].add(term)
    return dict(terms)
