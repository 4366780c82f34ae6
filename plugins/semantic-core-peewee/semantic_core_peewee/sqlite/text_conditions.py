"""Conditions on the words of documents: which documents hold a term, as a part of the scope.

The full-text index says which passages contain the words of a term; where their order, their form
or their place matters, the texts of these passages and documents are read.

Tested by tests/sqlite/test_text_conditions.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semantic_core.analysis import WordAnalyser
from semantic_core.marking import (
    TextWord,
    as_compared,
    exact_pattern,
    places_of,
    text_words,
)
from semantic_core.query_syntax import FIELDS, HEADINGS, TEXT, TITLE
from semantic_core_peewee.sqlite import revisions
from semantic_core_peewee.sqlite.filters import Clause, of_listed
from semantic_core_peewee.sqlite.selective_scopes import in_scope, numbers
from semantic_core_peewee.sqlite.text_index import distinct
from semantic_core_peewee.sqlite.text_segments import key_of, unsigned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.query_syntax import TextConditions, TextTerm
    from semantic_core.types import Ref
    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.text_index import TextVersion
    from semantic_core_peewee.sqlite.text_search import TextIndex

    Documents = NDArray[np.int64]
    """Ids of documents, ascending."""

READ_AT_ONCE = 500
"""Documents or chunks whose texts are read by one statement."""
_KEPT = 8
"""Conditions whose documents stay in memory, per state of the index."""
BEHIND = "\U0010ffff"
"""Sorts behind everything a word may begin with."""

BEGINNING = """select word, term
    from semantic_index_text_word
    where generation = ? and word between ? and ?"""
_IN_SCOPE = "select group_concat(d.id) from semantic_index_document as d where {}"
_OF_SEVERAL = """select group_concat(c.document)
    from json_each(?) as j
    cross join semantic_index_chunk as c indexed by semantic_index_chunk_place
    where c.document = j.value and c.position = 1"""
_FROM_DOCUMENTS = """from json_each(?) as j
    cross join semantic_index_document as d
    where d.id = j.value"""
_FROM_CHUNKS_OF = """from json_each(?) as j
    cross join semantic_index_chunk as c
    where c.document = j.value"""
_TEXTS = {
    TITLE: f"select d.id, d.title {_FROM_DOCUMENTS}",
    TEXT: f"select d.id, d.text {_FROM_DOCUMENTS}",
    HEADINGS: f"select c.document, c.headings {_FROM_CHUNKS_OF}",
}
_PASSAGES = """select c.document, c.passage
    from json_each(?) as j
    cross join semantic_index_chunk as c
    where c.id = j.value"""
_VALUES = """select distinct a.kind, a.value
    from semantic_index_attribute as a
    where a.generation = ? and a.key = ?"""
_WITH_VALUE = """select group_concat(a.document)
    from semantic_index_attribute as a
    where a.generation = ? and a.key = ? and a.kind = ? and a.value = ?"""
_IDS = """select j.key, d.id
    from json_each(?) as j
    cross join semantic_index_document as d
    where d.generation = ?
    and d.tenant = j.value ->> 0 and d.collection = j.value ->> 1 and d.key = j.value ->> 2"""


class _Rows(NamedTuple):
    """The rows of the index that contain a word: those that certainly do, and those that contain a
    word of the same term, and maybe this one.
    """

    sure: NDArray[np.intp]
    doubtful: NDArray[np.intp]

    @property
    def every(self) -> NDArray[np.intp]:
        """All of them, ascending."""
        rows: NDArray[np.intp] = np.union1d(self.sure, self.doubtful)
        return rows


def with_words(view: View, clause: Clause, conditions: TextConditions, index: TextIndex) -> Clause:
    """The clause of those documents in scope that meet the conditions as well."""
    version = index.version(view)
    kept: dict[Any, Clause] = version.kept.setdefault("conditions", {})
    revision = revisions.get(view, revisions.WHOLE_STORE)
    key = (revision, conditions, clause.sql, clause.values)
    found = kept.get(key) if clause.listed is None else None
    if found is None:
        found = of_listed(_documents(view, version, clause, conditions, index))
        while len(kept) >= _KEPT:
            kept.pop(next(iter(kept)), None)
        if clause.listed is None:
            kept[key] = found
    return found


def _documents(
    view: View,
    version: TextVersion,
    clause: Clause,
    conditions: TextConditions,
    index: TextIndex,
) -> Documents:
    """The documents in scope that meet the conditions."""
    holds = _Lookup(view, version, clause, index)
    wanted: Documents | None = None
    for group in conditions.required:
        held = _union(holds.documents(term) for term in group)
        wanted = held if wanted is None else np.intersect1d(wanted, held)
    left_out = _union(holds.documents(term) for term in conditions.excluded)
    if wanted is None:
        wanted = clause.listed
    if wanted is None:
        every = numbers(view.raw.execute(_IN_SCOPE.format(clause.sql), clause.values).get)
        return np.setdiff1d(every, left_out)
    return holds.in_scope(np.setdiff1d(wanted, left_out))


def met(
    view: View, refs: Sequence[Ref], conditions: TextConditions, index: TextIndex
) -> frozenset[Ref]:
    """Those of these documents that meet the conditions."""
    named = json.dumps([(ref.tenant, ref.collection, ref.key) for ref in refs])
    ids: dict[int, int] = dict(view.raw.execute(_IDS, (named, view.generation)))
    these = of_listed(distinct(np.array(list(ids.values()), dtype=np.int64)))
    found = with_words(view, these, conditions, index).listed
    kept = set() if found is None else set(found.tolist())
    return frozenset(refs[place] for place, id in ids.items() if id in kept)


class _Lookup:
    """Finds the documents that hold terms, in one scope and one state of the index. Every value is
    bound.
    """

    def __init__(self, view: View, version: TextVersion, clause: Clause, index: TextIndex) -> None:
        self._view = view
        self._version = version
        self._clause = clause
        self._index = index

    def in_scope(self, documents: Documents) -> Documents:
        """Those of these documents that are in scope."""
        if self._clause.listed is not None:
            return np.intersect1d(documents, self._clause.listed)
        return np.sort(np.array(in_scope(self._view, self._clause, documents.tolist()), np.int64))

    def documents(self, term: TextTerm) -> Documents:
        """The documents in scope that hold the term, and maybe others out of scope."""
        pattern = exact_pattern(term.text, prefix=term.prefix)
        words = text_words(self._index.analyser.query_tokens(term.text), term.text)
        if pattern is None or not words:
            return _NONE
        if term.field and term.field not in FIELDS:
            return self._with_value(term, pattern)
        rows = [self._containing(word) for word in words[:-1]]
        rows.append(self._beginning(words[-1]) if term.prefix else self._containing(words[-1]))
        if term.field:
            return self._in_field(rows, term, pattern, words)
        if len(words) > 1:
            return self._together(rows, pattern)
        only = rows[0]
        if term.exact and not term.prefix:
            only = _Rows(_NO_ROWS, only.every)
        certain = self._of_rows(only.sure)
        doubtful = np.setdiff1d(only.doubtful, only.sure)
        return np.union1d(certain, self._matching_rows(doubtful, pattern))

    def _containing(self, word: TextWord) -> _Rows:
        keys = [key_of(term) for term in word.terms]
        return _Rows(self._index.rows_with(self._view, self._version, keys), _NO_ROWS)

    def _beginning(self, word: TextWord) -> _Rows:
        """The rows with a word that begins so. A term whose own spelling begins so belongs to words
        that do; of another one, the words have to be looked at.
        """
        bound = (self._view.generation, word.surface, word.surface + BEHIND)
        sure: set[int] = set()
        doubtful: set[int] = set()
        is_plain = isinstance(self._index.analyser, WordAnalyser)
        for spelled, term in self._view.raw.execute(BEGINNING, bound).fetchall():
            key = unsigned(term)
            (sure if is_plain or key == key_of(spelled) else doubtful).add(key)
        rows_with = self._index.rows_with
        return _Rows(
            rows_with(self._view, self._version, sorted(sure)),
            rows_with(self._view, self._version, sorted(doubtful - sure)),
        )

    def _of_rows(self, rows: NDArray[np.intp]) -> Documents:
        documents: Documents = distinct(self._version.column("document", rows))
        return documents

    def _together(self, rows: Sequence[_Rows], pattern: re.Pattern[str]) -> Documents:
        """The documents in which the words stand one after the other: in a passage that has all of
        them, or across two passages.
        """
        every = [each.every for each in rows]
        found = self._matching_rows(reduce(np.intersect1d, every), pattern)
        spread = reduce(np.intersect1d, map(self._of_rows, every))
        spread = np.setdiff1d(spread, found)
        listed = json.dumps(spread.tolist())
        several = distinct(numbers(self._view.raw.execute(_OF_SEVERAL, (listed,)).get))
        across = _matching(self._texts(_TEXTS[TEXT], self.in_scope(several)), pattern)
        return np.union1d(found, across)

    def _matching_rows(self, rows: NDArray[np.intp], pattern: re.Pattern[str]) -> Documents:
        """The documents of those rows in scope whose passage matches."""
        documents = self._version.column("document", rows)
        there = np.isin(documents, self.in_scope(distinct(documents)))
        chunks = self._version.chunks_of(rows[there])
        return _matching(self._texts(_PASSAGES, chunks), pattern)

    def _in_field(
        self,
        rows: Sequence[_Rows],
        term: TextTerm,
        pattern: re.Pattern[str],
        wanted: Sequence[TextWord],
    ) -> Documents:
        """The documents in scope that have the words in a field, as they are written, or else in
        another form.
        """
        candidates = reduce(np.intersect1d, [self._of_rows(each.every) for each in rows])
        other_form = _other_form(wanted)
        analyser = self._index.analyser
        found = set()
        for id, text in self._texts(_TEXTS[term.field], self.in_scope(candidates)):
            for part in json.loads(text or "[]") if term.field == HEADINGS else (text,):
                compared = as_compared(part)
                if pattern.search(compared):
                    found.add(id)
                elif not term.exact and other_form.search(compared):
                    present = text_words(analyser.tokens(part), part)
                    if any(True for _ in places_of(wanted, present, prefix=term.prefix)):
                        found.add(id)
        return np.array(sorted(found), dtype=np.int64)

    def _texts(self, sql: str, numbers: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
        """The (document, text) of these documents or chunks."""
        for start in range(0, len(numbers), READ_AT_ONCE):
            listed = json.dumps(numbers[start : start + READ_AT_ONCE].tolist())
            yield from self._view.raw.execute(sql, (listed,)).fetchall()

    def _with_value(self, term: TextTerm, pattern: re.Pattern[str]) -> Documents:
        """The documents with a value of the metadata key in which the words stand."""
        asked = (self._view.generation, term.field)
        found = [_NONE]
        for kind, value in self._view.raw.execute(_VALUES, asked).fetchall():
            text = ("true" if value else "false") if kind == "bool" else str(value)
            if pattern.search(as_compared(text)):
                listed = self._view.raw.execute(_WITH_VALUE, (*asked, kind, value)).get
                found.append(numbers(listed))
        return distinct(np.concatenate(found))


_NONE: Documents = np.zeros(0, dtype=np.int64)
_NO_ROWS: NDArray[np.intp] = np.zeros(0, dtype=np.intp)


def _union(several: Iterable[Documents]) -> Documents:
    return distinct(np.concatenate([_NONE, *several]))


def _matching(texts: Iterable[tuple[int, str]], pattern: re.Pattern[str]) -> Documents:
    """The documents with a text that matches."""
    found = {id for id, text in texts if pattern.search(as_compared(text))}
    return np.array(sorted(found), dtype=np.int64)


def _other_form(wanted: Sequence[TextWord]) -> re.Pattern[str]:
    """Finds what may be another form of the first of these words: analysing every text takes long.
    Forms of a word in Latin letters begin alike.
    """
    first = wanted[0].surface
    if not first.isascii():
        return re.compile("")
    return re.compile(rf"(?<![^\W_]){re.escape(first[:2])}")
