"""Full-text search: FTS5 and BM25.

A query is split by the tokenizer that made the index, so it is never read as syntax.

How rare a word is (its weight) is counted over the whole store, all tenants together; which chunks
are found is not.

Tested by tests/sqlite/test_word_search.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import apsw
import attrs
import numpy as np

from semantic_core.errors import InputError, QueryTooLarge
from semantic_core.types import ChunkId, Ranking
from semantic_core_peewee.sqlite.errors import altered
from semantic_core_peewee.sqlite.filters import Clause
from semantic_core_peewee.sqlite.ids import best_first, chunk_ids, numbers_of, rows_of
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.quantized import current_state
from semantic_core_peewee.sqlite.selective_scopes import (
    Known,
    KnownScopes,
    among,
    chunks_of,
    few_documents,
)
from semantic_core_peewee.sqlite.word_cache import (
    K1,
    STEMS,
    WORDS,
    B,
    Row,
    WordLists,
    as_bytes,
    idf_of,
    likely,
    quoted,
    split,
    stem_of,
    totals_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import ChunkId
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View


# How many passages hold a word, remembered by the process:
# asking FTS5 walks over all of them each time.

DRIFT = 0.1
"""Part by which the number of passages may change before what was counted is counted again."""
MOST_KEPT = 100_000
"""Words remembered."""
COMMON = 0.5
"""A word in more than this part of all passages weighs next to nothing (its idf is clamped to 1e-6)
and costs the most.
"""


class WordCounts:
    """Counts of one store; safe to share between threads. scopes,
    lists: what else its full-text search remembers.
    """

    def __init__(self) -> None:
        self.scopes = KnownScopes()
        self.lists = WordLists()
        self._lock = threading.RLock()  # a signal handler may come in between
        self._passages = 0
        self._generation = -1
        self._counts: dict[str, int] = {}
        self._state: Any = None
        self._exact: dict[str, int] = {}

    def of(self, view: View, words: Sequence[str], passages: int) -> Mapping[str, int]:
        """In how many of so many passages each word is,
        give or take what has changed since it was counted.
        """
        with self._lock:
            moved = abs(passages - self._passages) > DRIFT * self._passages
            if moved or view.generation != self._generation or len(self._counts) > MOST_KEPT:
                self._counts = {}
                self._passages = passages
                self._generation = view.generation
            counts = self._counts
        exact = self._of_state(view)
        for word in words:
            if word not in counts:
                counts[word] = exact[word] = _counted(view, word)
        return counts

    def exact(self, view: View, words: Sequence[str]) -> Mapping[str, int]:
        """In how many passages of this very state each word is."""
        counts = self._of_state(view)
        for word in words:
            if word not in counts:
                counts[word] = _counted(view, word)
        return counts

    def _of_state(self, view: View) -> dict[str, int]:
        """What was counted in this state; to be added to."""
        state = (view.generation, current_state(view))
        with self._lock:
            if state != self._state or len(self._exact) > MOST_KEPT:
                self._state = state
                self._exact = {}
            return self._exact


def _counted(view: View, word: str) -> int:
    """In how many passages the word is; asks FTS5."""
    sql = "select doc from temp.semantic_index_word_count where term = ?"
    return view.raw.execute(sql, (stem_of(view.raw, word),)).get or 0


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
MOST_COMMON = 4
"""Words that are looked for where nearly every passage holds each word of the query: the rarest."""

_LAYER = """select rowid as id, bm25(semantic_index_words) as score
    from semantic_index_words
    where semantic_index_words match ?"""
_EVERYWHERE = ("", "")
_CHUNKS = """select c.id
    from json_each(?) as j
    cross join semantic_index_chunk as c indexed by semantic_index_chunk_place
    where c.document = j.value
    order by c.id"""
_LISTED = (
    "",
    (
        "and +{chunk} in (select c.id from json_each(?) as j cross join semantic_index_chunk as c "
        "where c.document = j.value)"
    ),
)
_AMONG = ("", "and +{chunk} in (select j.value from json_each(?) as j)")
# The plus keeps SQLite from looking up every document of the scope for every match.
_JOINED = (
    "cross join semantic_index_chunk as c indexed by semantic_index_chunk_owner",
    """and c.id = {chunk}
        and +c.document in (select d.id
            from semantic_index_document as d
            where {scope})""",
)
_BETWEEN = """select exists (select 1
        from semantic_index_document as d
        where d.generation = ? and d.tenant = ? and d.collection > ?
        and d.collection < ?)"""
_AFTER = (
    "select exists (select 1 from semantic_index_document as d where d.generation = ? "
    "and d.tenant = ? "
    "and d.collection > ?)"
)
_MOST_NAMED = 16
"""Collections a search may name to be looked at for whether they are all there are."""


def words(view: View, text: str, limit: int, scope: Clause, counts: WordCounts) -> Ranking:
    """The best `limit` chunks in scope that hold any of the words, by BM25;
    equal scores by ChunkId, see `Tuning.most_equal`.
    """
    layers = terms_of(view, text, counts)
    if not layers or limit <= 0:
        return Ranking(SOURCE)
    most = limit + view.tuning.spare_rows
    find = _finder(view, layers, most, scope, counts)
    rows = find(most)
    if len(rows) == most and rows[-1][1] == rows[limit - 1][1]:
        # The last score is shared by more than were asked for.
        rows = find(limit + view.tuning.most_equal)
    edge = rows[min(limit, len(rows)) - 1][1] if rows else 0.0
    return _ranking(view, [row for row in rows if row[1] <= edge], limit)


def _ranking(view: View, rows: Sequence[Row], limit: int) -> Ranking:
    """The first `limit` of these, given by score and number of the chunk."""
    ids = chunk_ids(view, [chunk for chunk, _ in rows])
    most_equal = view.tuning.most_equal
    placed: list[tuple[float, ChunkId]] = []
    for score, equal in groupby(rows, key=itemgetter(1)):
        found = [ids[chunk] for chunk, _ in equal if chunk in ids]
        for start in range(0, len(found), most_equal):
            block = sorted(found[start : start + most_equal])
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
    found = counts.lists.found(view, words, counts.of(view, words, count), count)

    def rows(limit: int, where: tuple[str, str], *values: Any) -> list[Row]:
        sql = _statement(len(layers), *where, scope.sql)
        asked_for = (" OR ".join(map(quoted, layer)) for layer in layers)
        return view.raw.execute(sql, (*asked_for, *values, limit)).fetchall()  # type: ignore[no-any-return]

    def everywhere(limit: int) -> list[Row]:
        return rows(limit, _EVERYWHERE) if found is None else found.best(limit)

    if _is_everything(view, scope):
        return everywhere
    if scope.listed is not None:
        inside = Known(chunks_of(view, scope.listed))
        if found is not None:
            return lambda limit: found.best(limit, inside, count)
        if len(inside) > view.tuning.selective * count:
            return lambda limit: _known_among(everywhere, inside, limit, count)
        listed_chunks = json.dumps(inside.chunks.tolist())
        return lambda limit: rows(limit, _AMONG, listed_chunks)
    known = counts.scopes.chunks(view, scope)
    if known is not None and found is not None:
        return lambda limit: found.best(limit, known, count)
    if known is None or len(known) <= view.tuning.selective * count:
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
    seen = 0
    asked = view.tuning.scope_factor * first

    def find(limit: int) -> list[Row]:
        nonlocal seen, asked
        while len(passing) < limit and seen < asked:
            if seen and (found is None or asked > view.tuning.checked_share * count):
                return rows(limit, _JOINED, *scope.values)
            best = everywhere(asked)
            passing.extend(_in_scope(view, best[seen:], scope))
            seen = asked
            asked = asked * 4
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
        chunk = "semantic_index_words.rowid"
        score = "bm25(semantic_index_words)"
        source = "semantic_index_words"
        start = "semantic_index_words match ?"
    else:
        added = " union all ".join([_LAYER] * layers)
        source = f"(select id, sum(score) as score from ({added}) group by id) as found"
        chunk = "found.id"
        score = "found.score"
        start = "1"
    condition = condition.format(chunk=chunk, scope=scope)
    return (
        f"select {chunk}, {score} as score from {source} {join} where {start} {condition} "
        f"order by score, {chunk} limit ?"
    )


def _in_scope(view: View, rows: list[Row], scope: Clause) -> list[Row]:
    sql = f"""select c.id
        from json_each(?) as j
        cross join semantic_index_chunk as c indexed by semantic_index_chunk_owner
        cross join semantic_index_document as d
        where c.id = j.value and d.id = c.document and {scope.each[0]}"""
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
        """select (select generation || ' ' || tenant
                from semantic_index_document
                order by generation, tenant limit 1),
            (select generation || ' ' || tenant
                from semantic_index_document
                order by generation desc, tenant desc limit 1)"""
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
    where = scope.values[:2]
    before = ""
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
    if len(terms) <= MOST_TERMS and count < view.tuning.few_passages:
        return terms
    held = counts.of(view, terms, count)
    if count >= view.tuning.few_passages:
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


# Full-text scores of given chunks: the same numbers that a search returns, without one.
#
# FTS5 gives BM25 to what it walks over, and to look up a few chunks it walks over all that hold a
# word. So the number is computed here, by the formula FTS5 uses, from what is cheap to have: the
# lists of words that are remembered; else the passages themselves, split as the index splits them,
# with counts of the whole index.


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
        holders = counts.exact(view, list(asked))
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
            raise altered("The full-text index")
        length = K1 * (1 - B + B * len(passage) / self.average)
        weighed = [(self.weights[word], times) for word, times in found.items()]
        return sum(weight * times * (K1 + 1) / (times + length) for weight, times in weighed)


# Title search. Titles are found in the full-text index: a passage begins with the title of its
# document.

TITLE_SOURCE = "title"
MOST_WORDS = 8
"""Words of a title that are looked for in the index; the others are compared with the title itself.
A passage has no more than the beginning of a long title."""

FEW = 200
"""Chunks whose titles are looked at without asking the index for those that begin so."""

_BEGINNING = (
    "from semantic_index_words cross join semantic_index_chunk as c "
    "cross join semantic_index_document as d where semantic_index_words match ? "
    "and c.id = semantic_index_words.rowid"
)
_HOLDING = """from json_each(?) as j
    cross join semantic_index_chunk as c
    cross join semantic_index_document as d
    where c.id = j.value"""
_TITLES = "c.position = 0 and d.id = c.document and"


def titled(view: View, text: str, limit: int, scope: Clause, counts: WordCounts) -> Ranking:
    """The documents in scope whose title begins with the text, each by its first chunk; of the
    first `Tuning.most_titles` that may be called so.

    Raises InputError, QueryTooLarge.
    """
    check_query(text)
    asked = split(view.raw, text, WORDS) if len(text) <= LOOKED_AT else []
    if not asked or limit <= 0:
        return Ranking(TITLE_SOURCE)
    scores: dict[int, float] = {}
    rows = _candidates(view, asked[:MOST_WORDS], scope, counts)
    for chunk, title in rows:
        words = split(view.raw, title, WORDS)
        if words[: len(asked)] == asked:
            scores[chunk] = len(asked) / len(words)
    return best_first(TITLE_SOURCE, chunk_ids(view, scores), scores, limit)


def _candidates(
    view: View, asked: Sequence[str], scope: Clause, counts: WordCounts
) -> Sequence[tuple[int, str]]:
    """(chunk, title) of documents in scope that may be called so,
    by their first chunk.
    """
    remembered = counts.lists.remembered(view, asked).values()
    holding = _in_all([one.held.chunks for one in remembered])
    if holding is None:
        source = _BEGINNING
        value = _expression(view, asked, counts)
    else:
        source = _HOLDING
        value = json.dumps(holding.tolist())
    condition, values = scope.each
    sql = f"select c.id, d.title {source} and {_TITLES} {condition} limit ?"
    return view.raw.execute(sql, (value, *values, view.tuning.most_titles)).fetchall()  # type: ignore[no-any-return]


def _in_all(lists: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """The chunks in all of these lists, which ascend, if they are few; None if they are many, or
    there is no list.
    """
    if not lists:
        return None
    chunks, *others = sorted(lists, key=len)
    for other in others:
        chunks = chunks[among(other, chunks)]
    return chunks if len(chunks) <= FEW else None


def _expression(view: View, asked: Sequence[str], counts: WordCounts) -> str:
    """What FTS5 is asked for: passages that begin with the first word and hold the rarest. A phrase
    of all of them finds fewer, but takes twice as long.
    """
    held = counts.of(view, asked, passages(view))
    rarest = min(asked, key=lambda word: held[word])
    begins = f"^ {quoted(asked[0])}"
    return begins if rarest == asked[0] else f"{quoted(rarest)} AND {begins}"
