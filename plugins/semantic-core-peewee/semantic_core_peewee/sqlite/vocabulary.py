"""The words that the index knows, as people write them: for completion, typing errors, and
prefixes.

The list of words is that of the whole store. A word is given only if it is in a document in scope;
where its terms stand for other words as well, the texts in scope are read to see that.

Tested by tests/sqlite/test_vocabulary.py and tests/sqlite/test_contract.py.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from semantic_core.analysis import analyse, folded
from semantic_core_peewee.sqlite.text_segments import key_of, signed, unsigned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.text_search import Scoped, TextIndex

FEW_ROWS = 300
"""Passages of a scope up to which its words are taken from the passages themselves."""
MOST_LOOKED_AT = 2_000
"""Words of the whole store that are looked at to find those of a scope, the most frequent first."""
MOST_READ = 200
"""Passages that are read to see whether a word is in one of them."""
_BEHIND = "\U0010ffff"
"""Sorts behind everything a word may begin with."""
_BEGINNING = """select word, term, chunks
    from semantic_index_text_word
    where generation = ? and word between ? and ?
    order by chunks desc, word"""
_SURFACES = """select word
    from semantic_index_text_word indexed by semantic_index_text_word_term
    where generation = ? and term = ?"""
_OF_LENGTH = """select word, term, chunks
    from semantic_index_text_word
    where generation = ? and length(word) between ? and ?"""
_PASSAGES = """select c.passage, d.language
    from json_each(?) as j
    cross join semantic_index_chunk as c
    cross join semantic_index_document as d
    where c.id = j.value and d.id = c.document"""


class Known(NamedTuple):
    """A word of the store. keys: of the terms it is indexed under. chunks: that contain it."""

    word: str
    keys: tuple[int, ...]
    chunks: int


def beginning(view: View, begun: str) -> list[Known]:
    """The words of the store that begin so, the most frequent first."""
    first = folded(begun)
    if not first:
        return []
    rows = view.raw.execute(_BEGINNING, (view.generation, first, first + _BEHIND))
    return _known(rows)


def surfaces_of(view: View, key: int) -> list[str]:
    """The words that are indexed under this term."""
    return [word for (word,) in view.raw.execute(_SURFACES, (view.generation, signed(key)))]


def _known(rows: Iterable[tuple[str, int, int]]) -> list[Known]:
    """Rows of the table as words; one may be in it under several terms."""
    keys: dict[str, list[int]] = defaultdict(list)
    chunks: Counter[str] = Counter()
    for word, term, count in rows:
        keys[word].append(unsigned(term))
        chunks[word] = max(chunks[word], count)
    return [Known(word, tuple(keys[word]), count) for word, count in chunks.most_common()]


def word_counts(
    view: View, index: TextIndex, words: Collection[str], scoped: Scoped
) -> dict[str, int]:
    """See `Vocabulary.word_counts`; of passages."""
    counts = {}
    for word in words:
        terms = {token.term for token in index.analyser.query_tokens(word)}
        rows = index.rows_with(view, [key_of(term) for term in terms], scoped)
        counts[word] = len(rows)
    return counts


def words_like(
    view: View, index: TextIndex, begun: str, limit: int, scoped: Scoped
) -> list[tuple[str, int]]:
    """See `Vocabulary.words_like`; counts passages."""
    first = folded(begun)
    if not first or limit <= 0:
        return []
    few = _words_of_few(view, index, scoped)
    if few is not None:
        found = [(word, count) for word, count in few.items() if word.startswith(first)]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:limit]
    known = beginning(view, first)
    if scoped.is_everything:
        best = sorted(known, key=lambda one: (-one.chunks, one.word))[:limit]
        return [(one.word, one.chunks) for one in best]
    found = list(_in_scope(view, index, known[:MOST_LOOKED_AT], scoped))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:limit]


def words_near(
    view: View, index: TextIndex, word: str, distance: int, limit: int, scoped: Scoped
) -> list[tuple[str, int]]:
    """See `Vocabulary.words_near`; counts passages."""
    wanted = folded(word)
    if not wanted or limit <= 0:
        return []
    few = _words_of_few(view, index, scoped)
    if few is not None:
        known = [Known(one, (), count) for one, count in few.items()]
    else:
        lengths = (len(wanted) - distance, len(wanted) + distance)
        known = _known(view.raw.execute(_OF_LENGTH, (view.generation, *lengths)))
    by_word = {one.word: one for one in known}
    near = process.extract(
        wanted, list(by_word), scorer=OSA.distance, score_cutoff=distance, limit=None
    )
    edits = {one: int(far) for one, far, _ in near if one != wanted}
    nearest = sorted(edits, key=lambda one: (edits[one], -by_word[one].chunks, one))
    candidates = [by_word[one] for one in nearest]
    if few is not None or scoped.is_everything:
        found = [(one.word, one.chunks) for one in candidates]
    else:
        found = list(_in_scope(view, index, candidates[:MOST_LOOKED_AT], scoped))
    return sorted(found, key=lambda pair: (edits[pair[0]], -pair[1], pair[0]))[:limit]


def _in_scope(
    view: View, index: TextIndex, known: Sequence[Known], scoped: Scoped
) -> Iterator[tuple[str, int]]:
    """Those of these words that are in a passage in scope, each with how many have it or another
    word of its terms.
    """
    for one in known:
        rows = index.rows_with(view, one.keys, scoped)
        if not len(rows):
            continue
        alone = all(surfaces_of(view, key) == [one.word] for key in one.keys)
        if alone or _is_written(view, index, one.word, scoped.version.chunks_of(rows)):
            yield one.word, len(rows)


def _is_written(view: View, index: TextIndex, word: str, chunks: NDArray[np.int64]) -> bool:
    """Whether one of the first of these passages has the word as it is written."""
    return word in _words_in(view, index, chunks[:MOST_READ])


def _words_of_few(view: View, index: TextIndex, scoped: Scoped) -> Mapping[str, int] | None:
    """The words of all passages in scope with the number of passages that have each, if those are
    few; else None.
    """
    if scoped.is_everything:
        return None
    rows = index.rows_in(view, scoped, FEW_ROWS)
    if rows is None:
        return None
    return _words_in(view, index, scoped.version.chunks_of(rows))


def _words_in(view: View, index: TextIndex, chunks: NDArray[np.int64]) -> Counter[str]:
    """In how many of these passages each word is."""
    rows: list[Any] = view.raw.execute(_PASSAGES, (json.dumps(chunks.tolist()),)).fetchall()
    found = analyse(index.analyser, [row[0] for row in rows], [row[1] for row in rows])
    counts: Counter[str] = Counter()
    start = 0
    for size in found.counts.tolist():
        numbers = np.unique(found.terms[start : start + size]).tolist()
        counts.update({found.vocabulary[number].surface for number in numbers})
        start += size
    return counts
