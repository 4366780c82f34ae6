"""Full-text search: BM25 over the rows of the index, with the numbers of SQLite's FTS5.

A query becomes terms by the analyser that made the index, so it is never read as syntax. How rare a
word is (its weight) is counted over the chunks of the tenant.

Tested by tests/test_contract.py and tests/test_searching.py.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semantic_core.errors import InputError, QueryTooLarge
from semantic_core.types import ChunkId, Ranking, Ref
from semantic_core_postgres import totals
from semantic_core_postgres.read import rows_of
from semantic_core_postgres.text_index import check_analyser
from semantic_core_postgres.texts import decoded, term_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser
    from semantic_core_postgres.filters import Clause
    from semantic_core_postgres.pool import View

SOURCE = "words"
K1 = 1.2
"""BM25: how soon a repeated word stops counting; the value of FTS5."""
B = 0.75
"""BM25: how much a long passage pays for its length; the value of FTS5."""
LEAST_IDF = 1e-6
"""Weight of a word in more than half of the passages; the value of FTS5."""
MOST_TERMS = 32
"""Distinct words that are looked for, the rarest ones."""
MOST_REPEATS = 3
"""How often a word that is repeated in the query counts, at most."""
LOOKED_AT = 2_000
"""Characters of a query that are looked at."""
LONGEST_QUERY = 100_000
"""Characters a query may have at all."""

Alternatives = tuple[str, ...]
"""The terms of a word: a chunk contains the word as often as it contains any of them."""

_HOLDERS = """select a.word, count(distinct p.chunk)
    from unnest(%s::int[], %s::text[]) as a (word, term)
    join {s}.posting as p on p.tenant = %s and p.term = a.term
    group by a.word"""
# The sum is taken in the order of the words, so that a chunk has the same score in every query.
_SCORES = f"""select h.chunk, min(h.document) as document, min(h.position) as position,
        sum(w.weight * h.count * {K1 + 1}
            / (h.count + {K1} * ({1 - B} + {B} * h.length / %s::float8)) order by h.word) as score
    from (
        select a.word, p.chunk, min(p.document) as document, min(p.position) as position,
            sum(p.count)::float8 as count, min(p.length) as length
        from unnest(%s::int[], %s::text[]) as a (word, term)
        join {{s}}.posting as p on p.tenant = %s and p.term = a.term
        {{among}}
        group by a.word, p.chunk) as h
    join unnest(%s::int[], %s::float8[]) as w (word, weight) on w.word = h.word
    group by h.chunk"""


class Term(NamedTuple):
    """A word that is looked for. weight: what one occurrence counts, without its chunk."""

    word: Alternatives
    weight: float


class TextIndex:
    """The full-text search of one store."""

    def __init__(self, analyser: Analyser) -> None:
        self.analyser = analyser

    def words(self, view: View, text: str, limit: int, clause: Clause) -> Ranking:
        """The best `limit` chunks in scope that contain any of the words, by BM25; equal scores in
        the order of ChunkId.
        """
        terms, average = self._terms(view, text, clause.tenant)
        if not terms or limit <= 0:
            return Ranking(SOURCE)
        scored, values = _scores(terms, average, clause.tenant)
        scope = ""
        if clause.narrows:
            scope = f"where s.document in (select d.id from {{s}}.document as d where {clause.sql})"
            values = [*values, *clause.values]
        rows = view.rows(
            f"""select d.collection, d.key, b.position, b.score, d.tenant
                from (select s.* from ({scored}) as s {scope}
                    order by s.score desc fetch first %s rows with ties) as b
                join {{s}}.document as d on d.tenant = %s and d.id = b.document""",
            (*values, limit, clause.tenant),
        )
        best = []
        for collection, key, position, score, tenant in rows:
            ref = Ref(decoded(collection), decoded(key), decoded(tenant))
            best.append((-score, ChunkId(ref, position)))
        best.sort()
        best = best[:limit]
        return Ranking(SOURCE, tuple([id for _, id in best]), tuple([-score for score, _ in best]))

    def score(self, view: View, ids: Sequence[ChunkId], text: str) -> NDArray[np.float64]:
        """BM25 of each of these chunks: 0 without any of the words, NaN if it is gone."""
        scores = np.full(len(ids), np.nan, dtype=np.float64)
        by_tenant: defaultdict[str, dict[int, list[int]]] = defaultdict(dict)
        for place, tenant, chunk in rows_of(view, ids, "c.tenant, c.id"):
            scores[place] = 0.0
            by_tenant[tenant].setdefault(chunk, []).append(place)
        if not by_tenant:
            self._terms(view, text, "")
        for tenant, places in by_tenant.items():
            terms, average = self._terms(view, text, tenant)
            if not terms:
                continue
            scored, values = _scores(terms, average, tenant, list(places))
            for chunk, _, _, score in view.rows(scored, values):
                scores[places[chunk]] = score
        return scores

    def full_score(self, view: View, text: str, tenant: str) -> float:
        """BM25 of a passage of average length that contains every word of the text once.

        A word none of whose terms is in any chunk counts with the weight of a term in none.
        """
        terms, _ = self._terms(view, text, tenant)
        count = totals.of(view, tenant).chunks
        full = sum(term.weight for term in terms)
        there = {term.word for term in terms}
        asked = self.asked(text)
        missing = [word for word in asked if word not in there]
        holders = _holders(view, missing, tenant)
        for word in missing:
            if word not in holders:
                full += min(asked[word], MOST_REPEATS) * idf_of(0, count)
        return full

    def documents(self, view: View, text: str, clause: Clause) -> list[int]:
        """The documents in scope that contain any of the words, ascending.

        Raises InputError, QueryTooLarge.
        """
        terms, _ = self._terms(view, text, clause.tenant)
        spelled = sorted({one for term in terms for one in term.word})
        if not spelled:
            return []
        found = view.rows(
            f"""select d.id from {{s}}.document as d where {clause.sql} and d.id in (
                select p.document from {{s}}.posting as p
                where p.tenant = %s and p.term = any(%s::text[]))
                order by d.id""",
            (*clause.values, clause.tenant, spelled),
        )
        return [id for (id,) in found]

    def asked(self, text: str) -> Counter[Alternatives]:
        """The words of what is looked at of a query, with how often each is there; one cut in half
        at the end is left out.
        """
        terms: defaultdict[int, set[str]] = defaultdict(set)
        for token in self.analyser.query_tokens(text[: LOOKED_AT + 1]):
            if token.end <= LOOKED_AT:
                terms[token.position].add(term_of(token.term))
        return Counter(tuple(sorted(each)) for each in terms.values())

    def _terms(self, view: View, text: str, tenant: str) -> tuple[list[Term], float]:
        """The words that are looked for, [] if there is none; and the average length of a chunk.

        Raises InputError, QueryTooLarge, AnalyserMismatch.
        """
        check_query(text)
        check_analyser(view, self.analyser)
        asked = self.asked(text)
        holders = _holders(view, list(asked), tenant)
        if not holders:
            return [], 1.0
        chunks, length = totals.of(view, tenant)
        terms = []
        for word in sorted(holders, key=lambda word: (holders[word], word))[:MOST_TERMS]:
            times = min(asked[word], MOST_REPEATS)
            terms.append(Term(word, times * idf_of(holders[word], chunks)))
        terms.sort()
        return terms, max(length, 1) / max(chunks, 1)


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


def _listed(words: Sequence[Alternatives]) -> tuple[list[int], list[str]]:
    """The terms of these words, with the number of the word of each."""
    numbers = []
    terms = []
    for number, word in enumerate(words):
        for term in word:
            numbers.append(number)
            terms.append(term)
    return numbers, terms


def _holders(view: View, words: Sequence[Alternatives], tenant: str) -> dict[Alternatives, int]:
    """How many chunks of the tenant contain each of these words; those in none are left out."""
    if not words:
        return {}
    numbers, terms = _listed(words)
    found = view.rows(_HOLDERS, (numbers, terms, tenant))
    return {words[number]: count for number, count in found}


def _scores(
    terms: Sequence[Term], average: float, tenant: str, chunks: list[int] | None = None
) -> tuple[str, list[object]]:
    """A query of (chunk, document, position, score), and its values. chunks: only these."""
    numbers, spelled = _listed([term.word for term in terms])
    values: list[object] = [average, numbers, spelled, tenant]
    among = ""
    if chunks is not None:
        among = "where p.chunk = any(%s::bigint[])"
        values.append(chunks)
    values += [list(range(len(terms))), [term.weight for term in terms]]
    return _SCORES.replace("{among}", among), values
