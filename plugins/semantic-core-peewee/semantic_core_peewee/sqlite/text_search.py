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
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semantic_core.errors import InputError, QueryTooLarge
from semantic_core.types import ChunkId, Ranking, Scope
from semantic_core_peewee.sqlite.ids import chunk_ids, numbers_of
from semantic_core_peewee.sqlite.quantized import current_state as vector_state
from semantic_core_peewee.sqlite.selective_scopes import few_documents, in_scope, numbers
from semantic_core_peewee.sqlite.text_index import (
    Alternatives,
    Holding,
    Scored,
    TextCache,
    TextVersion,
    current_state,
)
from semantic_core_peewee.sqlite.text_segments import check_analyser, key_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View

    Inside = Callable[[NDArray[np.intp]], NDArray[np.bool_]]
    """Tells for each row whether it is in scope."""

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
COMMON = 0.5
"""A word in more than this part of all passages weighs next to nothing."""
MOST_COMMON = 4
"""Words that are looked for where nearly every passage holds each word of the query: the rarest."""
_KEPT_SCOPES = 8
"""Scopes whose documents stay in memory, per state of the file."""


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
        found = [np.zeros(0, dtype=np.intp)]
        found += [version.rows_with(view, (key,)) for key in keys]
        return _admitted(version, np.unique(np.concatenate(found)), None)

    def holders(self, view: View, version: TextVersion, key: int) -> int:
        """How many living rows contain this term."""
        return version.holders(view, (key,))

    def words(self, view: View, text: str, limit: int, scope: Scope, clause: Clause) -> Ranking:
        """The best `limit` chunks in scope that contain any of the words, by BM25; equal scores by
        ChunkId, see `Tuning.most_equal`.
        """
        version = self._cache.at(view)
        terms = self._terms(view, version, text)
        if not terms or limit <= 0:
            return Ranking(SOURCE)
        scored = [_scored(view, version, term) for term in terms]
        inside, check = _scope(view, version, scope, clause)

        def best(most: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
            if check is None:
                return self._best(version, scored, most, inside)
            return self._checked(view, version, scored, most, inside, check)

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
        rows = [version.rows_with(view, term.word) for term in terms]
        inside = rows_in_scope(view, version, scope, clause)
        found = _admitted(version, np.unique(np.concatenate(rows)), inside)
        documents: NDArray[np.int64] = np.unique(version.column("document", found))
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
        at the end is left out.
        """
        keys: defaultdict[int, set[int]] = defaultdict(set)
        for token in self.analyser.query_tokens(text[: LOOKED_AT + 1]):
            if token.end <= LOOKED_AT:
                keys[token.position].add(key_of(token.term))
        return Counter(tuple(sorted(terms)) for terms in keys.values())

    def _best(
        self, version: TextVersion, scored: Sequence[Scored], limit: int, inside: Inside | None
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """(rows, scores) of the best `limit` rows that are alive and inside, best first; equal ones
        in the order of their rows.
        """
        size = len(version)
        sums = self._take_sums(size)
        for part in scored:
            np.add.at(sums, part.rows, part.scores)
        least = _threshold(version, scored, sums, limit, inside)
        if sum(len(part.rows) for part in scored) > size // 3:
            # To look at every row once costs less than at some of them several times.
            every = np.flatnonzero(sums[:size] >= (least or LEAST_SCORE))
            rows = _admitted(version, every, inside)
            scores = sums[rows]
            sums[:size] = 0.0
        else:
            found = [part.rows[sums[part.rows] >= least] for part in scored]
            rows = _admitted(version, np.unique(np.concatenate(found)), inside)
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
        inside: Inside | None,
        clause: Clause,
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """As `_best`, of the rows whose documents meet the conditions: the best are looked up, more
        of them until they are enough; and where that is many, all documents in scope are listed.
        """
        asked = view.tuning.scope_factor * limit
        while asked <= view.tuning.checked_share * len(version):
            rows, scores = self._best(version, scored, asked, inside)
            documents = np.unique(version.column("document", rows))
            meeting = np.isin(
                version.column("document", rows), in_scope(view, clause, documents.tolist())
            )
            if np.count_nonzero(meeting) >= limit or len(rows) < asked:
                return rows[meeting][:limit], scores[meeting][:limit]
            asked *= 4
        listed = _listed(view, clause)
        return self._best(version, scored, limit, _both(inside, _of_documents(version, listed)))


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
    """BM25 of every row that contains the word; remembered for its version."""
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


def _threshold(
    version: TextVersion,
    scored: Sequence[Scored],
    sums: NDArray[np.float64],
    limit: int,
    inside: Inside | None,
) -> float:
    """A score that at least `limit` rows reach: that of the rows of one term, the one that weighs
    most of those that enough rows contain. 0 if there is no such term.
    """
    for part in sorted(scored, key=lambda one: -one.weight):
        if len(part.rows) < limit:
            continue
        rows = _admitted(version, part.rows, inside)
        if len(rows) >= limit:
            return float(np.partition(sums[rows], len(rows) - limit)[len(rows) - limit])
    return 0.0


def _admitted(
    version: TextVersion, rows: NDArray[np.intp], inside: Inside | None
) -> NDArray[np.intp]:
    """Those of these rows that are alive and inside."""
    if version.alive is not None:
        rows = rows[version.alive[rows]]
    return rows if inside is None else rows[inside(rows)]


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


# Scopes.


def rows_in_scope(view: View, version: TextVersion, scope: Scope, clause: Clause) -> Inside | None:
    """Which rows are in scope, as a test of rows; None if all are."""
    inside, check = _scope(view, version, scope, clause)
    if check is None:
        return inside
    return _both(inside, _of_documents(version, _listed(view, check)))


def _scope(
    view: View, version: TextVersion, scope: Scope, clause: Clause
) -> tuple[Inside | None, Clause | None]:
    """Which rows are in scope, and what is still to be checked of their documents; None for all,
    and for nothing.
    """
    inside = _in_homes(view, version, scope)
    if clause.listed is not None:
        return _of_documents(version, clause.listed), None
    if not scope.filter:
        return inside, None
    # Metadata may change while no word does: the state of the vectors changes with every document.
    key = (vector_state(view), clause.sql, clause.values)
    kept: dict[Any, NDArray[np.int64] | None] = version.kept.setdefault("scopes", {})
    if key not in kept:
        few = few_documents(view, clause, len(version))
        listed = None if few is None else np.sort(np.array(few, dtype=np.int64))
        while len(kept) >= _KEPT_SCOPES:
            kept.pop(next(iter(kept)), None)
        kept[key] = listed
        if listed is None:
            return inside, clause
    documents = kept[key]
    if documents is None:
        # Asked for again in the same state: to list them all pays.
        documents = kept[key] = _listed(view, clause)
    return _both(inside, _of_documents(version, documents)), None


def _listed(view: View, clause: Clause) -> NDArray[np.int64]:
    """The documents in scope, ascending."""
    sql = f"select group_concat(d.id) from semantic_index_document as d where {clause.sql}"
    return np.sort(numbers(view.raw.execute(sql, clause.values).get))


def _of_documents(version: TextVersion, documents: NDArray[np.int64]) -> Inside:
    """Whether a row belongs to one of these documents, which ascend."""

    def inside(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        of_rows = version.column("document", rows)
        if not len(documents):
            return np.zeros(len(rows), dtype=bool)
        places = np.searchsorted(documents, of_rows)
        found: NDArray[np.bool_] = documents.take(places, mode="clip") == of_rows
        return found

    return inside


def _in_homes(view: View, version: TextVersion, scope: Scope) -> Inside | None:
    """Whether a row is in the tenant's collections that are asked for; None if all rows are."""
    sql = "select id, collection from semantic_index_home where generation = ? and tenant = ?"
    wanted = []
    for id, collection in view.raw.execute(sql, (view.generation, scope.tenant)).fetchall():
        if scope.collections is None or collection in scope.collections:
            wanted.append(id)
    homes = version.homes
    if homes.issubset(wanted):
        return None
    table = np.zeros(max(homes) + 1, dtype=bool)
    table[[home for home in wanted if home < len(table)]] = True
    return lambda rows: table[version.column("home", rows)]


def _both(one: Inside | None, other: Inside) -> Inside:
    if one is None:
        return other
    return lambda rows: one(rows) & other(rows)
