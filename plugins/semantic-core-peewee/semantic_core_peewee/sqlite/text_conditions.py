"""Conditions on the words of documents: which documents hold a term, as a part of the scope.

The index of words says which documents may hold a term; where the order of words, their form or
their place matters, the texts of these documents are read.

Tested by tests/sqlite/test_text_conditions.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from semantic_core.analysis import WordAnalyser
from semantic_core.marking import TextWord, places_of, text_words
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
    wanted = text_words(analyser.query_tokens(term.text), term.text)
    if not wanted:
        return set()
    if term.field and term.field not in FIELDS:
        return _with_value(view, term, wanted, analyser)
    candidates, certain = _candidates(view, split(view.raw, term.text, WORDS), term)
    if certain >= candidates:
        return candidates
    doubtful = in_scope(view, clause, sorted(candidates - certain))
    found = set(certain)
    for id, texts in _texts(view, doubtful, term.field):
        words = (text_words(analyser.tokens(text), text) for text in texts)
        if _stands(wanted, words, term):
            found.add(id)
    return found


def _candidates(view: View, words: Sequence[str], term: TextTerm) -> tuple[set[int], set[int]]:
    """The documents whose passages hold every word, and those of them that need no further look.

    The words are as the tokenizer of the index splits them.
    """
    if not words:
        return set(), set()
    whole = list(words[:-1] if term.prefix else words)
    sets = [_holding(view, quoted(word)) for word in dict.fromkeys(whole)]
    sure: set[int] = set()
    if term.prefix:
        sure, maybe = _beginning(view, words[-1])
        sets.append(sure | maybe)
    found = reduce(set.intersection, sets)
    is_certain = not term.field and len(words) == 1 and (term.prefix or not term.exact)
    if not is_certain:
        return found, set()
    return found, sure if term.prefix else found


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
