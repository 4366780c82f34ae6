"""Conditions on the words of documents: which documents hold a term, as a part of the scope.

The index of words says which documents may hold a term; where the order of words, their form or
their place matters, the texts of these documents are read.

Tested by tests/sqlite/test_text_conditions.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_core.marking import TextWord, places_of, text_words
from semantic_core.query_syntax import FIELDS, HEADINGS, TEXT, TITLE
from semantic_core_peewee.sqlite.filters import Clause, of_listed
from semantic_core_peewee.sqlite.selective_scopes import in_scope, numbers
from semantic_core_peewee.sqlite.text_segments import key_of
from semantic_core_peewee.sqlite.vocabulary import beginning, surfaces_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser
    from semantic_core.query_syntax import TextConditions, TextTerm
    from semantic_core.types import Ref
    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.text_search import TextIndex

READ_AT_ONCE = 500
"""Documents whose texts are read by one statement."""

_TEXTS = """select d.id, d.title, d.text
    from json_each(?) as j
    cross join semantic_index_document as d
    where d.id = j.value"""
_PARTS = """select c.document, {column}
    from json_each(?) as j
    cross join semantic_index_chunk as c
    where c.document = j.value"""
_VALUES = """select a.document, a.kind, a.value
    from semantic_index_attribute as a
    where a.generation = ? and a.key = ?"""
_IDS = """select j.key, d.id
    from json_each(?) as j
    cross join semantic_index_document as d
    where d.generation = ?
    and d.tenant = j.value ->> 0 and d.collection = j.value ->> 1 and d.key = j.value ->> 2"""


def with_words(view: View, index: TextIndex, clause: Clause, conditions: TextConditions) -> Clause:
    """The clause of those documents that meet the conditions as well."""
    found = clause.listed
    for group in conditions.required:
        within = clause if found is None else of_listed(found)
        held = np.unique(
            np.concatenate([documents_with(view, index, within, term) for term in group])
        )
        found = _sorted(in_scope(view, within, held.tolist()))
    if found is None:
        sql = f"select group_concat(d.id) from semantic_index_document as d where {clause.sql}"
        found = np.sort(numbers(view.raw.execute(sql, clause.values).get))
    for term in conditions.excluded:
        left_out = documents_with(view, index, of_listed(found), term)
        found = np.setdiff1d(found, left_out, assume_unique=True)
    return of_listed(found)


def met(
    view: View, index: TextIndex, refs: Sequence[Ref], conditions: TextConditions
) -> frozenset[Ref]:
    """Those of these documents that meet the conditions."""
    named = json.dumps([(ref.tenant, ref.collection, ref.key) for ref in refs])
    ids: dict[int, int] = dict(view.raw.execute(_IDS, (named, view.generation)))
    these = of_listed(_sorted(set(ids.values())))
    clause = with_words(view, index, these, conditions)
    kept = set() if clause.listed is None else set(clause.listed.tolist())
    return frozenset(refs[place] for place, id in ids.items() if id in kept)


def documents_with(
    view: View, index: TextIndex, clause: Clause, term: TextTerm
) -> NDArray[np.int64]:
    """The documents in scope that contain the term, and maybe others out of scope; ascending. Every
    value is bound.
    """
    analyser = index.analyser
    wanted = text_words(analyser.query_tokens(term.text), term.text)
    if not wanted:
        return _sorted(())
    if term.field and term.field not in FIELDS:
        return _sorted(_with_value(view, term, wanted, analyser))
    candidates, certain = _candidates(view, index, wanted, term)
    doubtful = np.setdiff1d(candidates, certain, assume_unique=True)
    if not len(doubtful):
        return certain
    found = set(certain.tolist())
    for id, texts in _texts(view, in_scope(view, clause, doubtful.tolist()), term.field):
        words = (text_words(analyser.tokens(text), text) for text in texts)
        if _stands(wanted, words, term):
            found.add(id)
    return _sorted(found)


def _sorted(ids: Collection[int]) -> NDArray[np.int64]:
    return np.array(sorted(ids), dtype=np.int64)


def _candidates(
    view: View, index: TextIndex, wanted: Sequence[TextWord], term: TextTerm
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The documents whose passages contain every word, and those of them that need no further look;
    both ascending.
    """
    found: NDArray[np.int64] | None = None
    sure = _sorted(())
    for place, word in enumerate(wanted):
        begins = term.prefix and place == len(wanted) - 1
        keys = {key_of(one) for one in word.terms}
        if begins:
            for known in beginning(view, word.surface):
                keys.update(known.keys)
        held = index.documents_with(view, sorted(keys))
        found = held if found is None else np.intersect1d(found, held, assume_unique=True)
        if len(wanted) == 1 and not term.field:
            certain = [key for key in keys if _is_certain(view, key, word, term)]
            sure = index.documents_with(view, sorted(certain))
    return (_sorted(()) if found is None else found), sure


def _is_certain(view: View, key: int, word: TextWord, term: TextTerm) -> bool:
    """Whether every word that is indexed under this key is what is wanted."""
    if not term.exact and key in {key_of(one) for one in word.terms}:
        return True
    surfaces = surfaces_of(view, key)
    if term.prefix:
        return bool(surfaces) and all(one.startswith(word.surface) for one in surfaces)
    return surfaces == [word.surface]


def _texts(view: View, documents: Sequence[int], field: str) -> Iterator[tuple[int, list[str]]]:
    """The texts in which a term has to stand, of each of these documents."""
    for start in range(0, len(documents), READ_AT_ONCE):
        listed = json.dumps(documents[start : start + READ_AT_ONCE])
        texts: dict[int, list[str]] = {}
        if field != HEADINGS:
            for id, title, text in view.raw.execute(_TEXTS, (listed,)):
                texts[id] = [title if field == TITLE else text]
        if field not in (TITLE, TEXT):
            column = "c.headings" if field == HEADINGS else "c.passage"
            for id, part in view.raw.execute(_PARTS.format(column=column), (listed,)):
                parts = json.loads(part or "[]") if field == HEADINGS else [part]
                texts.setdefault(id, []).extend(parts)
        yield from texts.items()


def _with_value(
    view: View, term: TextTerm, wanted: Sequence[TextWord], analyser: Analyser
) -> set[int]:
    """The documents with a value of the metadata key in which the words stand."""
    by_value: dict[tuple[str, Any], list[int]] = {}
    for id, kind, value in view.raw.execute(_VALUES, (view.generation, term.field)):
        by_value.setdefault((kind, value), []).append(id)
    found: set[int] = set()
    for (kind, value), documents in by_value.items():
        text = ("true" if value else "false") if kind == "bool" else str(value)
        words = text_words(analyser.tokens(text), text)
        if _stands(wanted, [words], term):
            found.update(documents)
    return found


def _stands(
    wanted: Sequence[TextWord], texts: Iterable[Sequence[TextWord]], term: TextTerm
) -> bool:
    """Whether the words stand one after the other in one of these texts."""
    for words in texts:
        for _ in places_of(wanted, words, exact=term.exact, prefix=term.prefix):
            return True
    return False
