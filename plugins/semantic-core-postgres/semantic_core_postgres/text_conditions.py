"""Conditions on the words of documents: which documents hold a term, as a part of the scope.

The full-text index says which passages contain the words of a term; where their order, their form
or their place matters, the texts of these passages and documents are read.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from semantic_core.analysis import WordAnalyser
from semantic_core.marking import TextWord, as_compared, exact_pattern, places_of, text_words
from semantic_core.query_syntax import FIELDS, HEADINGS, TEXT, TITLE
from semantic_core_postgres.filters import Clause, of_listed
from semantic_core_postgres.matches import values_of, with_value
from semantic_core_postgres.records import address_of
from semantic_core_postgres.texts import LAST, LONGEST_SURFACE, decoded, encoded, legal, term_of

if TYPE_CHECKING:
    from semantic_core.query_syntax import TextConditions, TextTerm
    from semantic_core.types import Ref
    from semantic_core_postgres.pool import View
    from semantic_core_postgres.text_search import TextIndex

READ_AT_ONCE = 500
"""Documents or chunks whose texts are read by one statement."""

BEGINNING = """select surface, whole, term from {s}.word
    where tenant = %s and surface >= %s and surface < %s"""
_WITH_TERMS = """select p.chunk, p.document
    from {s}.posting as p
    where p.tenant = %s and p.term = any(%s::text[])"""
_OF_SEVERAL = """select c.document from {s}.chunk as c
    where c.tenant = %s and c.document = any(%s::bigint[]) and c.position = 1"""
_FROM_DOCUMENTS = "from {s}.document as d where d.tenant = %s and d.id = any(%s::bigint[])"
_TEXTS = {
    TITLE: f"select d.id, d.title {_FROM_DOCUMENTS}",
    TEXT: f"select d.id, d.text {_FROM_DOCUMENTS}",
    HEADINGS: """select c.document, c.headings from {s}.chunk as c
        where c.tenant = %s and c.document = any(%s::bigint[])""",
}
_PASSAGES = """select c.document, c.passage from {s}.chunk as c
    where c.tenant = %s and c.id = any(%s::bigint[])"""
_IDS = """select d.id, d.address from {s}.document as d
    where d.tenant = %s and d.address = any(%s::bytea[]) and d.present"""

Chunks = dict[int, int]
"""The document of each of some chunks."""


@attrs.frozen
class WordChunks:
    """The chunks that contain a word: those that certainly do, and those that contain a word of the
    same term, and maybe this one.
    """

    sure: Chunks
    doubtful: Chunks = attrs.field(factory=dict)

    @property
    def every(self) -> Chunks:
        """All of them."""
        return self.sure | self.doubtful


def with_words(view: View, clause: Clause, conditions: TextConditions, index: TextIndex) -> Clause:
    """The clause of those documents in scope that meet the conditions as well."""
    found = _documents(view, clause, conditions, index)
    return of_listed(clause.tenant, sorted(found))


def met(
    view: View, refs: Sequence[Ref], conditions: TextConditions, index: TextIndex
) -> frozenset[Ref]:
    """Those of these documents that meet the conditions."""
    by_tenant: dict[str, dict[bytes, Ref]] = {}
    for ref in refs:
        by_tenant.setdefault(encoded(ref.tenant), {})[address_of(ref)] = ref
    meeting = set()
    for tenant, addresses in by_tenant.items():
        ids = {id: bytes(address) for id, address in view.rows(_IDS, (tenant, list(addresses)))}
        for id in _documents(view, of_listed(tenant, list(ids)), conditions, index):
            meeting.add(addresses[ids[id]])
    return frozenset(meeting)


def _documents(
    view: View, clause: Clause, conditions: TextConditions, index: TextIndex
) -> set[int]:
    """The documents in scope that meet the conditions."""
    lookup = _Lookup(view, clause, index)
    wanted: set[int] | None = None
    for group in conditions.required:
        held: set[int] = set()
        for term in group:
            held |= lookup.documents(term)
        wanted = held if wanted is None else wanted & held
    found = lookup.in_scope(wanted)
    for term in conditions.excluded:
        found -= lookup.documents(term)
    return found


class _Lookup:
    """Finds the documents that hold terms, in one scope."""

    def __init__(self, view: View, clause: Clause, index: TextIndex) -> None:
        self._view = view
        self._clause = clause
        self._index = index

    def in_scope(self, documents: Iterable[int] | None) -> set[int]:
        """Those of these documents that are in scope; None for all."""
        sql = f"select d.id from {{s}}.document as d where {self._clause.sql}"
        values = self._clause.values
        if documents is not None:
            sql += " and d.id = any(%s::bigint[])"
            values = (*values, list(documents))
        return {id for (id,) in self._view.rows(sql, values)}

    def documents(self, term: TextTerm) -> set[int]:
        """The documents in scope that hold the term, and maybe others out of scope."""
        pattern = exact_pattern(term.text, prefix=term.prefix)
        words = text_words(self._index.analyser.query_tokens(term.text), term.text)
        if pattern is None or not words:
            return set()
        if term.field and term.field not in FIELDS:
            return self._with_value(term, pattern)
        held = [self._containing(word) for word in words[:-1]]
        held.append(self._beginning(words[-1]) if term.prefix else self._containing(words[-1]))
        if term.field:
            return self._in_field(held, term, pattern, words)
        if len(words) > 1:
            return self._together(held, pattern)
        only = held[0]
        if term.exact and not term.prefix:
            only = WordChunks({}, only.every)
        certain = set(only.sure.values())
        doubtful = {
            chunk: document for chunk, document in only.doubtful.items() if document not in certain
        }
        return certain | self._matching_chunks(doubtful, pattern)

    def _containing(self, word: TextWord) -> WordChunks:
        return WordChunks(self._with_terms({term_of(term) for term in word.terms}))

    def _beginning(self, word: TextWord) -> WordChunks:
        """The chunks with a word that begins so. A term whose own spelling begins so belongs to
        words that do; of another one, and of a word whose end is not stored, the words have to be
        looked at.
        """
        begun = legal(word.surface[:LONGEST_SURFACE])
        is_whole = len(word.surface) <= LONGEST_SURFACE
        sure: set[str] = set()
        doubtful: set[str] = set()
        is_plain = isinstance(self._index.analyser, WordAnalyser)
        asked = (self._clause.tenant, begun, begun + LAST)
        for surface, whole, term in self._view.rows(BEGINNING, asked):
            is_sure = is_whole and (is_plain or (whole and term == surface))
            (sure if is_sure else doubtful).add(term)
        return WordChunks(self._with_terms(sure), self._with_terms(doubtful - sure))

    def _with_terms(self, terms: Iterable[str]) -> Chunks:
        listed = sorted(terms)
        if not listed:
            return {}
        among, values = self._clause.among("p.document")
        asked = (self._clause.tenant, listed, *values)
        return dict(self._view.rows(f"{_WITH_TERMS}{among}", asked))

    def _together(self, held: Sequence[WordChunks], pattern: re.Pattern[str]) -> set[int]:
        """The documents in which the words stand one after the other: in a passage that has all of
        them, or across two passages.
        """
        every = [each.every for each in held]
        shared = {chunk: every[0][chunk] for chunk in set(every[0]).intersection(*every[1:])}
        found = self._matching_chunks(shared, pattern)
        spread = set(every[0].values())
        for each in every[1:]:
            spread &= set(each.values())
        listed = self._view.rows(_OF_SEVERAL, (self._clause.tenant, list(spread - found)))
        several = self.in_scope([id for (id,) in listed])
        return found | _matching(self._texts(_TEXTS[TEXT], several), pattern)

    def _matching_chunks(self, chunks: Chunks, pattern: re.Pattern[str]) -> set[int]:
        """The documents of those chunks in scope whose passage matches."""
        there = self.in_scope(set(chunks.values()))
        wanted = [chunk for chunk, document in chunks.items() if document in there]
        return _matching(self._texts(_PASSAGES, wanted), pattern)

    def _in_field(
        self,
        held: Sequence[WordChunks],
        term: TextTerm,
        pattern: re.Pattern[str],
        wanted: Sequence[TextWord],
    ) -> set[int]:
        """The documents in scope that have the words in a field, as they are written, or else in
        another form.
        """
        candidates = set(held[0].every.values())
        for each in held[1:]:
            candidates &= set(each.every.values())
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
        return found

    def _texts(self, sql: str, numbers: Iterable[int]) -> Iterator[tuple[int, str]]:
        """The (document, text) of these documents or chunks."""
        listed = sorted(numbers)
        for start in range(0, len(listed), READ_AT_ONCE):
            asked = (self._clause.tenant, listed[start : start + READ_AT_ONCE])
            for id, text in self._view.rows(sql, asked):
                yield id, decoded(text)

    def _with_value(self, term: TextTerm, pattern: re.Pattern[str]) -> set[int]:
        """The documents with a value of the metadata key in which the words stand."""
        tenant = self._clause.tenant
        found: set[int] = set()
        for kind, value in values_of(self._view, tenant, term.field):
            if pattern.search(as_compared(decoded(value))):
                found |= set(with_value(self._view, tenant, term.field, kind, value))
        return found


def _matching(texts: Iterable[tuple[int, str]], pattern: re.Pattern[str]) -> set[int]:
    """The documents with a text that matches."""
    return {id for id, text in texts if pattern.search(as_compared(text))}


def _other_form(wanted: Sequence[TextWord]) -> re.Pattern[str]:
    """Finds what may be another form of the first of these words: analysing every text takes long.
    Forms of a word in Latin letters begin alike.
    """
    first = wanted[0].surface
    if not first.isascii():
        return re.compile("")
    return re.compile(rf"(?<![^\W_]){re.escape(first[:2])}")
