"""The lane of words: FTS5 and BM25.

A query is split by the tokenizer that made the index, so it is never read as syntax.

How rare a word is (its weight) is counted over the whole store, all tenants together; which chunks
are found is not.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any

import apsw
import numpy as np

from semantic_core.errors import InputError, QueryTooLarge
from semantic_core.types import ChunkId, Ranking
from semantic_core_peewee._codes import current_state
from semantic_core_peewee._few import SELECTIVE, Known, few_documents
from semantic_core_peewee._ids import chunk_ids
from semantic_core_peewee._pool import View
from semantic_core_peewee._scope import Clause
from semantic_core_peewee._tokens import WORDS, as_bytes, stem_of
from semantic_core_peewee._word_counts import COMMON, FEW_PASSAGES, WordCounts
from semantic_core_peewee._word_lists import Row, likely, quoted

SOURCE = "words"
MOST_TERMS = 32
"""Distinct words that are looked for, the rarest ones:
each costs a walk over all passages that hold it.
"""
MOST_REPEATS = 3
"""How often a word that is repeated in the query counts, at most."""
LOOKED_AT = 2_000
"""Characters of a query that are looked at."""
LONGEST_QUERY = 100_000
"""Characters a query may have at all."""
MOST_EQUAL = 1_000
"""Passages of one score that are put in the order of their ids. Of more, those with the lowest
numbers, which were written first, are the first so many, and so on: to order them all, all their
ids would have to be read.
"""
MOST_COMMON = 4
"""Words that are looked for where nearly every passage holds each word of the query: the rarest."""
_SPARE = 16
"""Rows asked for beyond the limit, to see whether the last score is shared."""
_ONE_BY_ONE = 0.1
"""Part of all passages up to which the best are checked one by one for being in scope."""
_TRIED = 3
"""How many times more are looked at in case most of them are in scope."""

_LAYER = "select rowid as id, bm25(words) as score from words where words match ?"
_EVERYWHERE = ("", "")
_CHUNKS = """select c.id from json_each(?) as j cross join chunk as c indexed by chunk_place
    where c.document = j.value order by c.id"""
_LISTED = (
    "",
    (
        "and +{chunk} in (select c.id from json_each(?) as j cross join chunk as c "
        "where c.document = j.value)"
    ),
)
# The plus keeps SQLite from looking up every document of the scope for every match.
_JOINED = (
    "cross join chunk as c indexed by chunk_owner",
    "and c.id = {chunk} and +c.document in (select d.id from document as d where {scope})",
)
_BETWEEN = """select exists (select 1 from document as d
    where d.generation = ? and d.tenant = ? and d.collection > ? and d.collection < ?)"""
_AFTER = (
    "select exists (select 1 from document as d where d.generation = ? and d.tenant = ? "
    "and d.collection > ?)"
)
_MOST_NAMED = 16
"""Collections a search may name to be looked at for whether they are all there are."""


def words(view: View, text: str, limit: int, scope: Clause, counts: WordCounts) -> Ranking:
    """The best `limit` chunks in scope that hold any of the words, by BM25;
    equal scores by ChunkId, see `MOST_EQUAL`.
    """
    layers = terms_of(view, text, counts)
    if not layers or limit <= 0:
        return Ranking(SOURCE)
    most = limit + _SPARE
    find = _finder(view, layers, most, scope, counts)
    rows = find(most)
    if len(rows) == most and rows[-1][1] == rows[limit - 1][1]:
        # The last score is shared by more than were asked for.
        rows = find(limit + MOST_EQUAL)
    edge = rows[min(limit, len(rows)) - 1][1] if rows else 0.0
    return _ranking(view, [row for row in rows if row[1] <= edge], limit)


def _ranking(view: View, rows: Sequence[Row], limit: int) -> Ranking:
    """The first `limit` of these, given by score and number of the chunk."""
    ids = chunk_ids(view, [chunk for chunk, _ in rows])
    placed: list[tuple[float, ChunkId]] = []
    for score, equal in groupby(rows, key=itemgetter(1)):
        found = [ids[chunk] for chunk, _ in equal if chunk in ids]
        for start in range(0, len(found), MOST_EQUAL):
            block = sorted(found[start : start + MOST_EQUAL])
            placed += zip(repeat(0.0 - score), block)
    scores, ranked = zip(*placed[:limit], strict=True) if placed else ((), ())
    return Ranking(SOURCE, ranked, scores)


def _finder(
    view: View, layers: Sequence[Sequence[str]], first: int, scope: Clause, counts: WordCounts
) -> Callable[[int], list[Row]]:
    """How to ask for the best so many: the cheapest way for as much as is in scope.

    Few documents: their chunks are listed. A scope that is asked again: the best of all are
    compared with what is known to be in it. Most of the documents: the best of all are checked one
    by one, more of them where words are remembered. Otherwise every chunk that holds a word is
    looked up.
    """
    count = passages(view)
    words = [word for layer in layers for word in layer]
    found = counts.lists.found(view, words, counts.of(view, words, count, stem_of), count)

    def rows(limit: int, where: tuple[str, str], *values: Any) -> list[Row]:
        sql = _statement(len(layers), *where, scope.sql)
        asked_for = (" OR ".join(map(quoted, layer)) for layer in layers)
        return view.raw.execute(sql, (*asked_for, *values, limit)).fetchall()  # type: ignore[no-any-return]

    def everywhere(limit: int) -> list[Row]:
        return rows(limit, _EVERYWHERE) if found is None else found.best(limit)

    if _is_everything(view, scope):
        return everywhere
    known = counts.scopes.chunks(view, scope)
    if known is not None and found is not None:
        return lambda limit: found.best(limit, known, count)
    if known is None or len(known) <= SELECTIVE * count:
        few = few_documents(view, scope, current_state(view))
        if few is not None:
            listed = json.dumps(few)
            if found is None:
                return lambda limit: rows(limit, _LISTED, listed)
            chunks = Known([chunk for (chunk,) in view.raw.execute(_CHUNKS, (listed,))])
            return lambda limit: found.best(limit, chunks, count)
    if known is not None:
        return lambda limit: _known_among(everywhere, known, limit, count)
    passing: list[Row] = []
    seen, asked = 0, _TRIED * first

    def find(limit: int) -> list[Row]:
        nonlocal seen, asked
        while len(passing) < limit and seen < asked:
            if seen and (found is None or asked > _ONE_BY_ONE * count):
                return rows(limit, _JOINED, *scope.values)
            best = everywhere(asked)
            passing.extend(_in_scope(view, best[seen:], scope))
            seen, asked = asked, asked * 4
            if len(best) < seen:
                asked = seen  # those were all
        return passing[:limit]

    return find


def _known_among(
    best: Callable[[int], list[Row]], known: Known, limit: int, passages: int
) -> list[Row]:
    """The best `limit` of these chunks: of as many of all as are likely to hold them,
    else of more.
    """
    if not len(known):
        return []
    asked = likely(limit, len(known), passages)
    while True:
        rows = best(asked)
        are_known = known.holds(np.array([chunk for chunk, _ in rows], dtype=np.int64))
        inside = [row for row, is_known in zip(rows, are_known, strict=True) if is_known]
        if len(inside) >= limit or len(rows) < asked:
            return inside[:limit]
        asked *= 4


def _statement(layers: int, join: str, condition: str, scope: str) -> str:
    """The best rows of so many FTS5 expressions, whose scores are added."""
    if layers == 1:
        chunk, score, source, start = "words.rowid", "bm25(words)", "words", "words match ?"
    else:
        added = " union all ".join([_LAYER] * layers)
        source = f"(select id, sum(score) as score from ({added}) group by id) as found"  # noqa: S608 - our own text
        chunk, score, start = "found.id", "found.score", "1"
    condition = condition.format(chunk=chunk, scope=scope)
    return (
        f"select {chunk}, {score} as score from {source} {join} where {start} {condition} "  # noqa: S608
        f"order by score, {chunk} limit ?"
    )


def _in_scope(view: View, rows: list[Row], scope: Clause) -> list[Row]:
    # Question marks only.
    sql = f"""select c.id from json_each(?) as j cross join chunk as c indexed by chunk_owner
        cross join document as d where c.id = j.value and d.id = c.document and {scope.each[0]}"""  # noqa: S608
    inside = {
        chunk
        for (chunk,) in view.raw.execute(
            sql, (json.dumps([chunk for chunk, _ in rows]), *scope.each[1])
        )
    }
    return [row for row in rows if row[0] in inside]


def _is_everything(view: View, scope: Clause) -> bool:
    """Whether every document is in scope, so that looking each one up can be spared."""
    if scope.narrows and not scope.collections:
        return False
    ends = view.raw.execute(
        """select (select generation || ' ' || tenant from document order by generation, tenant
        limit 1), (select generation || ' ' || tenant from document order by generation desc,
        tenant desc limit 1)"""
    ).get
    if set(ends) != {"{} {}".format(*scope.values[:2])}:
        return False
    return not scope.collections or _are_all(view, scope)


def _are_all(view: View, scope: Clause) -> bool:
    """Whether no collection lies before, between or behind those that are asked for:
    a look into an index for each.
    """
    names = sorted(set(scope.collections))
    if len(names) > _MOST_NAMED:
        return False
    where, before = scope.values[:2], ""
    for name in names:
        if view.raw.execute(_BETWEEN, (*where, before, name)).get:
            return False
        before = name
    return not view.raw.execute(_AFTER, (*where, before)).get


def terms_of(view: View, text: str, counts: WordCounts) -> list[list[str]]:
    """The words that are looked for, in layers whose scores are to be added; [] if there is none.

    A repeated word stands in as many of them as it counts; or several times in one, which is the
    same and faster as long as there are few (FTS5 takes a time of words times occurrences). Raises
    InputError, QueryTooLarge.
    """
    check_query(text)
    asked = Counter(_tokens(view.raw, text))
    terms = _worth(view, list(asked), counts)
    layers = [
        [term for term in terms if asked[term] >= least] for least in range(1, MOST_REPEATS + 1)
    ]
    if sum(map(len, layers)) <= MOST_TERMS:
        layers = [[term for layer in layers for term in layer]]
    return [layer for layer in layers if layer]


def _worth(view: View, terms: list[str], counts: WordCounts) -> list[str]:
    """The terms that are looked for: without those nearly every passage holds, unless there are
    no others; and the rarest of too many.
    """
    count = passages(view)
    if len(terms) <= MOST_TERMS and count < FEW_PASSAGES:
        return terms
    held = counts.of(view, terms, count, stem_of)
    if count >= FEW_PASSAGES:
        rare = [term for term in terms if held[term] <= COMMON * count]
        terms = rare or sorted(terms, key=lambda term: held[term])[:MOST_COMMON]
    # One that no passage holds is no use: it goes behind all others.
    return (
        sorted(terms, key=lambda term: held[term] or sys.maxsize)[:MOST_TERMS]
        if len(terms) > MOST_TERMS
        else terms
    )


def passages(view: View) -> int:
    """How many passages there are, those without a vector aside."""
    state = current_state(view)
    return state.slots - state.dead


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


def _tokens(raw: Any, text: str) -> list[str]:
    """The words in what is looked at of a query; one cut in half at the end is left out."""
    looked_at = len(as_bytes(text[:LOOKED_AT]))
    found = raw.fts5_tokenizer(*WORDS)(
        as_bytes(text[: LOOKED_AT + 1]), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False
    )
    return [token for _, end, token in found if end <= looked_at]
