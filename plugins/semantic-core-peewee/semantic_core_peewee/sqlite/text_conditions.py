"""Conditions on the words of documents: which documents hold a term, as a part of the scope.

The index of words says which documents may hold a term; where the order of words, their form or
their place matters, the texts of these documents are read.

Tested by tests/sqlite/test_text_conditions.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from semantic_core.analysis import WordAnalyser
from semantic_core.marking import (
    TextWord,
    as_compared,
    exact_pattern,
    places_of,
    text_words,
)
from semantic_core.query_syntax import FIELDS, HEADINGS, TEXT, TITLE
from semantic_core_peewee.sqlite.filters import Clause, narrowed
from semantic_core_peewee.sqlite.selective_scopes import in_scope, numbers
from semantic_core_peewee.sqlite.word_cache import WORDS, quoted, split, stem_of

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser
    from semantic_core.query_syntax import TextConditions, TextTerm
    from semantic_core.types import Ref
    from semantic_core_peewee.sqlite.pool import View

SHORTEST_STEM = 3
"""Fewest letters of a stem under which longer words may be indexed, for a prefix that is longer
than the stem of its words.
"""
LONG = 7
"""Letters from which on so few words begin so that those which begin almost so may be read, too."""
READ_AT_ONCE = 500
"""Documents whose texts are read by one statement."""

_ANALYSER = WordAnalyser()

_HOLDING = """select group_concat(c.document)
    from semantic_index_words
    cross join semantic_index_chunk as c indexed by semantic_index_chunk_owner
    where semantic_index_words match ? and c.id = semantic_index_words.rowid
    and c.generation = ?"""
_OF_SEVERAL = """select group_concat(c.document)
    from json_each(?) as j
    cross join semantic_index_chunk as c indexed by semantic_index_chunk_place
    where c.document = j.value and c.position = 1"""
_OF_DOCUMENT = """select d.id, {column}
    from json_each(?) as j
    cross join semantic_index_document as d
    where d.id = j.value"""
_OF_CHUNKS = """select c.document, {column}
    from json_each(?) as j
    cross join semantic_index_chunk as c
    where c.document = j.value"""
_COLUMNS = {TITLE: "d.title", TEXT: "d.text", HEADINGS: "c.headings", "": "c.passage"}
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


def with_words(view: View, clause: Clause, conditions: TextConditions) -> Clause:
    """The clause of those documents that meet the conditions as well."""
    for group in conditions.required:
        held: set[int] = set()
        for term in group:
            held |= documents_with(view, clause, term, _ANALYSER)
        clause = narrowed(clause, held)
    left_out: set[int] = set()
    for term in conditions.excluded:
        left_out |= documents_with(view, clause, term, _ANALYSER)
    return narrowed(clause, left_out, without=True) if left_out else clause


def met(view: View, refs: Sequence[Ref], conditions: TextConditions) -> frozenset[Ref]:
    """Those of these documents that meet the conditions."""
    named = json.dumps([(ref.tenant, ref.collection, ref.key) for ref in refs])
    ids: dict[int, int] = dict(view.raw.execute(_IDS, (named, view.generation)))
    select = "select j.value from json_each(?) as j"
    listed = json.dumps(sorted(ids.values()))
    condition = (f"d.id in ({select})", (listed,))
    these = Clause(*condition, True, condition, ((select, (listed,)),))
    clause = with_words(view, these, conditions)
    kept = set(in_scope(view, clause, list(ids.values())))
    return frozenset(refs[place] for place, id in ids.items() if id in kept)


def documents_with(view: View, clause: Clause, term: TextTerm, analyser: Analyser) -> set[int]:
    """The documents in scope that hold the term, and maybe others out of scope. Every value is
    bound.
    """
    pattern = exact_pattern(term.text, prefix=term.prefix)
    words = split(view.raw, term.text, WORDS)
    if pattern is None or not words:
        return set()
    if term.field and term.field not in FIELDS:
        return _with_value(view, term, pattern)
    certain, doubtful = _candidates(view, words, term)
    found = set(certain)
    wanted = text_words(analyser.query_tokens(term.text), term.text)
    other_form = _other_form(wanted)
    for field in (term.field,) if term.field else ("", TEXT):
        left = doubtful - found
        if field == TEXT and not term.field:  # what is in no passage may be across two of them
            left = _of_several(view, left) if len(words) > 1 else set()
        if not left:
            continue
        for id, text in _texts(view, in_scope(view, clause, sorted(left)), field):
            if id in found:
                continue
            compared = as_compared(text)
            if pattern.search(compared):
                found.add(id)
            elif term.field and not term.exact and other_form.search(compared):
                present = text_words(analyser.tokens(text), text)
                if any(True for _ in places_of(wanted, present, prefix=term.prefix)):
                    found.add(id)
    return found


def _other_form(wanted: Sequence[TextWord]) -> re.Pattern[str]:
    """Finds what may be another form of the first of these words: analysing every text takes long.
    Forms of a word in Latin letters begin alike.
    """
    first = wanted[0].surface if wanted else ""
    if not first.isascii():
        return re.compile("")
    return re.compile(rf"(?<![^\W_]){re.escape(first[:2])}")


def _candidates(view: View, words: Sequence[str], term: TextTerm) -> tuple[set[int], set[int]]:
    """The documents that hold the term by the index alone, and those whose texts have to be read.

    words: as the tokenizer of the index splits them.
    """
    sets = [_holding(view, quoted(word)) for word in dict.fromkeys(words[:-1])]
    if term.prefix:
        sure, maybe = _beginning(view, words[-1])
    else:
        sure, maybe = _holding(view, quoted(words[-1])), set()
    found = reduce(set.intersection, sets, sure | maybe)
    if term.field or (term.exact and not term.prefix and len(words) == 1):
        return set(), found
    if len(words) == 1:
        return sure, maybe - sure
    if term.prefix:
        return set(), found
    together = _holding(view, quoted(" ".join(words)))
    if not term.exact:
        return together, found - together
    # Without the phrase in a passage, it can only stand across two of them.
    return set(), together | _of_several(view, found - together)


def _of_several(view: View, documents: set[int]) -> set[int]:
    """Those of these documents that have more than one passage."""
    listed = view.raw.execute(_OF_SEVERAL, (json.dumps(sorted(documents)),)).get
    return set(numbers(listed).tolist())


def _beginning(view: View, begun: str) -> tuple[set[int], set[int]]:
    """The documents with a word that begins so, and those that may have one: the index has stems,
    and a word may be longer than its stem.
    """
    is_stem = stem_of(view.raw, begun) == begun and not begun.endswith("i")  # "happi" of happy
    sure = _holding(view, f"{quoted(begun)} *") if is_stem else set()
    doubtful = [quoted(begun[:end]) for end in range(SHORTEST_STEM, len(begun))]
    if not is_stem:
        doubtful.append(f"{quoted(begun[:-1] or begun)} *")
    elif len(begun) >= LONG:
        doubtful.append(
            f"{quoted(begun[:-2])} *"
        )  # "sensibil" of sensibility, whose stem is sensibl
    maybe = _holding(view, " OR ".join(doubtful)) if doubtful else set()
    return sure, maybe


def _holding(view: View, expression: str) -> set[int]:
    """The documents with a passage that fits an expression of FTS5, made of quoted words."""
    listed = view.raw.execute(_HOLDING, (expression, view.generation)).get
    return set(numbers(listed).tolist())


def _texts(view: View, documents: Sequence[int], field: str) -> Iterator[tuple[int, str]]:
    """The texts of a field of these documents: (document, text); of "", their passages."""
    of = _OF_DOCUMENT if field in (TITLE, TEXT) else _OF_CHUNKS
    sql = of.format(column=_COLUMNS[field])
    for start in range(0, len(documents), READ_AT_ONCE):
        listed = json.dumps(documents[start : start + READ_AT_ONCE])
        for id, text in view.raw.execute(sql, (listed,)).fetchall():
            if field != HEADINGS:
                yield id, text
                continue
            for heading in json.loads(text or "[]"):
                yield id, heading


def _with_value(view: View, term: TextTerm, pattern: re.Pattern[str]) -> set[int]:
    """The documents with a value of the metadata key in which the words stand."""
    asked = (view.generation, term.field)
    found: set[int] = set()
    for kind, value in view.raw.execute(_VALUES, asked).fetchall():
        text = ("true" if value else "false") if kind == "bool" else str(value)
        if pattern.search(as_compared(text)):
            listed = view.raw.execute(_WITH_VALUE, (*asked, kind, value)).get
            found.update(numbers(listed).tolist())
    return found
