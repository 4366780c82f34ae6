"""Full-text search: BM25 over the posting lists of the index, exactly as SQLite's FTS5 computes it.

A query becomes terms by the analyser that made the index, so it is never read as syntax. How rare a
term is (its weight) is counted over the whole store, all tenants together; which chunks are found
is not.

Tested by tests/sqlite/test_text_search.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semantic_core.errors import InputError, QueryTooLarge
from semantic_core.types import ChunkId, Ranking, Scope
from semantic_core_peewee.sqlite.ids import chunk_ids, numbers_of
from semantic_core_peewee.sqlite.remembered import Remembered
from semantic_core_peewee.sqlite.selective_scopes import in_scope
from semantic_core_peewee.sqlite.text_index import (
    Alternatives,
    Holding,
    Scored,
    TextCache,
    TextVersion,
    current_state,
    distinct,
)
from semantic_core_peewee.sqlite.text_scopes import marks_of_documents, row_scope, rows_in_scope
from semantic_core_peewee.sqlite.text_segments import check_analyser, key_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View

    Best = tuple[NDArray[np.intp], NDArray[np.float64]]
    """Rows, and their scores, best first."""

SOURCE = "words"
K1 = 1.2
"""BM25: how soon a repeated word stops counting; the value of FTS5."""
B = 0.75
"""BM25: how much a long passage pays for its length; the value of FTS5."""
LEAST_IDF = 1e-6
"""Weight of a word in more than half of the passages; the value of FTS5."""
LEAST_SCORE = 1e-300
"""Less than any row scores that contains a word."""
MOST_TERMS = 32
"""Distinct words that are looked for, the rarest ones."""
MOST_REPEATS = 3
"""How often a word that is repeated in the query counts, at most."""
LOOKED_AT = 2_000
"""Characters of a query that are looked at."""
LONGEST_QUERY = 100_000
"""Characters a query may have at all."""
MOST_READ = 100
"""Queries whose words are remembered."""
COMMON = 0.5
"""A word in more than this part of all passages weighs next to nothing."""
MOST_COMMON = 4
"""Words that are looked for where nearly every passage holds each word of the query: the rarest."""


class Term(NamedTuple):
    """A word that is looked for. word: its terms, which are alternatives: a chunk contains the word
    as often as it contains any of them. holders: how many chunks contain it. times: how often it
    counts.
    """

    word: Alternatives
    holders: int
    times: int


class TextIndex:
    """The full-text search of one store. budget: bytes of posting lists in memory."""

    def __init__(self, analyser: Analyser, budget: int) -> None:
        self.analyser = analyser
        self._cache = TextCache(budget)
        self._sums = threading.local()
        self._read: Remembered[Counter[Alternatives]] = Remembered(MOST_READ)

    @property
    def memory(self) -> int:
        """Bytes held in memory."""
        return self._cache.memory

    def forget(self) -> None:
        """Give that memory back."""
        self._cache.forget()

    def is_built(self, view: View) -> bool:
        """Whether there is an index, or nothing to index. Raises AnalyserMismatch."""
        state = current_state(view)
        check_analyser(state, self.analyser)
        some = "select exists (select 1 from semantic_index_chunk where generation = ?)"
        return bool(state.analyser) or not view.raw.execute(some, (view.generation,)).get

    def version(self, view: View) -> TextVersion:
        """The index as this transaction sees it."""
        return self._cache.at(view)

    def rows_with(self, view: View, version: TextVersion, keys: Iterable[int]) -> NDArray[np.intp]:
        """The living rows that contain at least one of these terms, ascending. keys: their hashes,
        see `text_segments.key_of`.
        """
        return version.rows_with_any(view, [(key,) for key in keys])

    def keys_of(self, word: str) -> frozenset[int]:
        """The hashes of all terms of a word in a query."""
        return frozenset(chain.from_iterable(self._asked(word)))

    def holders(self, view: View, version: TextVersion, keys: Iterable[int]) -> int:
        """How many living rows contain at least one of these terms; remembered."""
        return version.holders(view, tuple(sorted(keys)))

    def words(self, view: View, text: str, limit: int, scope: Scope, clause: Clause) -> Ranking:
        """The best `limit` chunks in scope that contain any of the words, by BM25; equal scores by
        ChunkId, see `Tuning.most_equal`.
        """
        version = self._cache.at(view)
        terms = self._terms(view, version, text)
        if not terms or limit <= 0:
            return Ranking(SOURCE)
        scored = [_scored(view, version, term) for term in terms]
        marks, to_check = row_scope(view, version, scope, clause)
        if marks is not None:
            scored = [part.within(marks) for part in scored]

        def best(most: int) -> Best:
            if to_check is None:
                return self._best(version, scored, most)
            return self._checked(view, version, scored, most, to_check)

        most = limit + view.tuning.spare_rows
        rows, scores = best(most)
        if len(rows) == most and scores[-1] == scores[limit - 1]:
            # The last score is shared by more than were asked for.
            rows, scores = best(limit + view.tuning.most_equal)
        return _ranking(view, version, rows, scores, limit)

    def score(self, view: View, ids: Sequence[ChunkId], text: str) -> NDArray[np.float64]:
        """BM25 of each of these chunks: 0 without any of the words, NaN if it is gone."""
        version = self._cache.at(view)
        terms = self._terms(view, version, text)
        scores = np.full(len(ids), np.nan, dtype=np.float64)
        numbers = numbers_of(view, ids)
        places = [place for place, number in enumerate(numbers) if number is not None]
        chunks = np.array([number for number in numbers if number is not None], dtype=np.int64)
        rows = version.rows_of(chunks)
        total = np.zeros(len(places))
        for term in terms:
            found = _scored(view, version, term)
            if len(found.rows):
                there = np.searchsorted(found.rows, rows)
                is_there = found.rows.take(there, mode="clip") == rows
                total += np.where(is_there, found.scores.take(there, mode="clip"), 0.0)
        scores[places] = total
        return scores

    def full_score(self, view: View, text: str) -> float:
        """BM25 of a passage of average length that contains every word of the text once.

        A word none of whose terms is in any chunk counts with the weight of a term in none.
        """
        version = self._cache.at(view)
        terms = self._terms(view, version, text)
        count = version.state.chunks
        full = sum(term.times * idf_of(term.holders, count) for term in terms)
        there = {term.word for term in terms}
        for word, times in self._asked(text).items():
            if word not in there and not version.holders(view, word):
                full += min(times, MOST_REPEATS) * idf_of(0, count)
        return full

    def documents(self, view: View, text: str, scope: Scope, clause: Clause) -> NDArray[np.int64]:
        """The documents in scope that contain any of the words, ascending.

        Raises InputError, QueryTooLarge.
        """
        version = self._cache.at(view)
        terms = self._terms(view, version, text)
        if not terms:
            return np.zeros(0, dtype=np.int64)
        found = version.rows_with_any(view, [term.word for term in terms])
        marks = rows_in_scope(view, version, scope, clause)
        if marks is not None:
            found = found[marks[found]]
        documents: NDArray[np.int64] = distinct(version.column("document", found))
        return documents

    def _terms(self, view: View, version: TextVersion, text: str) -> list[Term]:
        """The terms that are looked for; [] if there is none. Raises InputError, QueryTooLarge.

        Without those that nearly every passage contains, unless there are no others; and the rarest
        of too many.
        """
        check_query(text)
        terms = []
        for word, times in self._asked(text).items():
            holders = version.holders(view, word)
            if holders:
                terms.append(Term(word, holders, min(times, MOST_REPEATS)))
        count = version.state.chunks
        if count >= view.tuning.few_passages:
            rare = [term for term in terms if term.holders <= COMMON * count]
            terms = rare or sorted(terms, key=lambda term: term.holders)[:MOST_COMMON]
        if len(terms) > MOST_TERMS:
            terms = sorted(terms, key=lambda term: term.holders)[:MOST_TERMS]
        return terms

    def _asked(self, text: str) -> Counter[Alternatives]:
        """The words of what is looked at of a query, with how often each is there; one cut in half
        at the end is left out. Remembered, since a search asks several times.
        """
        looked_at = text[: LOOKED_AT + 1]
        query = (self.analyser.identity, looked_at)
        read = self._read.get(query)
        if read is None:
            keys: defaultdict[int, set[int]] = defaultdict(set)
            for token in self.analyser.query_tokens(looked_at):
                if token.end <= LOOKED_AT:
                    keys[token.position].add(key_of(token.term))
            read = Counter(tuple(sorted(terms)) for terms in keys.values())
            self._read.keep(query, read)
        return read

    def _best(self, version: TextVersion, scored: Sequence[Scored], limit: int) -> Best:
        """(rows, scores) of the best `limit` rows, best first; equal ones in the order of their
        rows. scored: of what is in scope.
        """
        size = len(version)
        sums = self._take_sums(size)
        for part in scored:
            np.add.at(sums, part.rows, part.scores)
        least = _threshold(scored, sums, limit)
        if sum(len(part.rows) for part in scored) > size // 3:
            # To look at every row once costs less than at some of them several times.
            rows = np.flatnonzero(sums[:size] >= (least or LEAST_SCORE))
            scores = sums[rows]
            sums[:size] = 0.0
        else:
            rows = version.united([part.rows[sums[part.rows] >= least] for part in scored])
            scores = sums[rows]
            for part in scored:
                sums[part.rows] = 0.0
        self._sums.free = sums
        order = np.lexsort((rows, -scores))[:limit]
        return rows[order], scores[order]

    def _take_sums(self, size: int) -> NDArray[np.float64]:
        """A zero for each row. What is cut off while it uses them does not give them back."""
        sums: NDArray[np.float64] | None = getattr(self._sums, "free", None)
        self._sums.free = None
        if sums is None or len(sums) < size:
            sums = np.zeros(size + size // 8)
        return sums

    def _checked(
        self,
        view: View,
        version: TextVersion,
        scored: Sequence[Scored],
        limit: int,
        clause: Clause,
    ) -> Best:
        """As `_best`, of the rows whose documents meet the conditions: the best are looked up, more
        of them until they are enough; and where that is many, all documents in scope are listed.
        """
        asked = view.tuning.scope_factor * limit
        while asked <= view.tuning.checked_share * len(version):
            rows, scores = self._best(version, scored, asked)
            documents = distinct(version.column("document", rows))
            meeting = np.isin(
                version.column("document", rows), in_scope(view, clause, documents.tolist())
            )
            if np.count_nonzero(meeting) >= limit or len(rows) < asked:
                return rows[meeting][:limit], scores[meeting][:limit]
            asked *= 4
        marks = marks_of_documents(view, version, clause)
        return self._best(version, [part.within(marks) for part in scored], limit)


def check_query(text: object) -> None:
    """Raises InputError for what is no text,
    QueryTooLarge for a text that is too long for a query.
    """
    if not isinstance(text, str):
        raise InputError(f"A query must be a str, got {type(text).__name__}.")
    if len(text) > LONGEST_QUERY:
        raise QueryTooLarge(
            f"A query has {len(text):,} characters, the most is {LONGEST_QUERY:,}.",
            hint="Ask for what matters in it.",
        )


def idf_of(holding: int, passages: int) -> float:
    """The weight of a word that so many of so many passages contain, as FTS5 computes it."""
    idf = math.log((passages - holding + 0.5) / (holding + 0.5)) if holding <= passages else 0.0
    return idf if idf > 0 else LEAST_IDF


def _scored(view: View, version: TextVersion, term: Term) -> Scored:
    """BM25 of every living row that contains the word; remembered for its version."""
    found = version.scored.get(term.word)
    if found is None:
        weight = idf_of(term.holders, version.state.chunks) * (K1 + 1.0)
        held, behind = version.holding_word(view, term.word)
        parts = [_impacts(held, version.sealed.rows.length, version.average)]
        if len(behind.rows):
            parts.append(_impacts(behind, version.tail.rows.length, version.average))
        scores = np.concatenate(parts)
        scores *= weight
        found = Scored(version.rows_with(view, term.word), scores, weight)
        if version.alive is not None:
            found = found.within(version.alive)
        version.scored.keep(term.word, found, found.memory)
    if term.times == 1:
        return found
    return Scored(found.rows, found.scores * term.times, found.weight * term.times)


def _impacts(held: Holding, lengths: NDArray[np.int32], average: float) -> NDArray[np.float64]:
    """BM25 of rows without its weight: count / (count + k1 * (1 - b + b * length / average))."""
    counts = held.counts.astype(np.float64)
    whole = lengths[held.rows] * (K1 * B / (average or 1.0))
    whole += K1 * (1.0 - B)
    whole += counts
    counts /= whole
    return counts


def _threshold(scored: Sequence[Scored], sums: NDArray[np.float64], limit: int) -> float:
    """A score that at least `limit` rows reach: that of the rows of one term, the one that weighs
    most of those that enough rows contain. 0 if there is no such term.
    """
    for part in sorted(scored, key=lambda one: -one.weight):
        count = len(part.rows)
        if count >= limit:
            return float(np.partition(sums[part.rows], count - limit)[count - limit])
    return 0.0


def _ranking(
    view: View,
    version: TextVersion,
    rows: NDArray[np.intp],
    scores: NDArray[np.float64],
    limit: int,
) -> Ranking:
    """The first `limit` of these, equal scores in the order of their ids: in blocks of
    `Tuning.most_equal`, those written first before the others.
    """
    if len(rows) > limit:
        wanted = int(np.count_nonzero(scores >= scores[limit - 1]))
        rows = rows[:wanted]
        scores = scores[:wanted]
    chunks = version.chunks_of(rows).tolist()
    ids = chunk_ids(view, chunks)
    if len(ids) < len(chunks):
        there = [place for place, chunk in enumerate(chunks) if chunk in ids]
        scores = scores[there]
        chunks = [chunks[place] for place in there]
    placed = [ids[chunk] for chunk in chunks]
    for first, last in _equal_runs(scores):
        for start in range(first, last, view.tuning.most_equal):
            stop = min(last, start + view.tuning.most_equal)
            placed[start:stop] = sorted(placed[start:stop])
    return Ranking(SOURCE, tuple(placed[:limit]), tuple(scores[:limit].tolist()))


def _equal_runs(scores: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Where several neighbours have one score: (first, behind the last)."""
    edges = np.flatnonzero(scores[1:] != scores[:-1]) + 1
    firsts = np.append(0, edges)
    lasts = np.append(edges, len(scores))
    several = lasts - firsts > 1
    return list(zip(firsts[several].tolist(), lasts[several].tolist(), strict=True))
