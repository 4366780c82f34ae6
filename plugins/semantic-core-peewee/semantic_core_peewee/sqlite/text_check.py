"""Whether the full-text index holds what the passages say: every passage is analysed again and
compared.

Tested by tests/sqlite/test_maintenance.py and tests/sqlite/test_repair.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_core_peewee.sqlite.text_segments import (
    CHUNKS,
    SEGMENTS,
    ChunkText,
    Postings,
    analysed,
    batches,
    check_analyser,
    read_columns,
    read_tail,
    signed,
    state_of,
    whole,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser
    from semantic_core_peewee.sqlite.pool import View

_MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd number that spreads bits: 2^64 divided by the golden ratio."""
_Row = tuple[int, int, int, int]
"""Document, home, length, and the sum of what it contains."""


def problems(view: View, analyser: Analyser) -> Iterator[str]:
    """What is wrong with the full-text index, a line each. Reads all of it, and all passages.

    Raises AnalyserMismatch, StoreCorrupt.
    """
    state = state_of(view)
    if not state.analyser:
        return  # it is made by the first search
    check_analyser(state, analyser)
    held = dict[int, _Row]()
    for columns, postings in _parts(view):
        for chunk, row in _rows(columns, postings):
            if chunk in held:
                yield f"chunk {chunk}: it is in the full-text index twice"
            held[chunk] = row
    dead = "select chunk from semantic_index_text_dead where generation = ?"
    notes = view.raw.execute(dead, (view.generation,)).fetchall()
    for (chunk,) in notes:
        held.pop(chunk, None)
    chunks = 0
    terms = 0
    words: Counter[tuple[str, int]] = Counter()
    rows = (ChunkText(*row) for row in view.raw.execute(CHUNKS, (view.generation,)))
    for batch in batches(rows):
        found = analysed(analyser, batch)
        words.update({(word, signed(key)): count for word, key, count in found.words})
        for chunk, row in _rows(found.columns, found.postings):
            chunks += 1
            terms += row[2]
            if held.pop(chunk, None) != row:
                yield f"chunk {chunk}: its words are not those of the full-text index"
    for chunk in held:
        yield f"chunk {chunk}: it is in the full-text index but not there"
    if (state.chunks, state.terms, state.dead) != (chunks, terms, len(notes)):
        yield (
            f"the full-text index counts {state.chunks:,} chunks, {state.terms:,} words and "
            f"{state.dead:,} dead chunks; there are {chunks:,}, {terms:,} and {len(notes):,}"
        )
    counted = "select word, term, chunks from semantic_index_text_word where generation = ?"
    wrong = 0
    for word, term, count in view.raw.execute(counted, (view.generation,)):
        wrong += words.pop((word, term), 0) != count
    if wrong or words:
        yield f"{wrong + len(words):,} words of the full-text index are counted wrongly"


def _parts(view: View) -> Iterator[tuple[NDArray[Any], Postings]]:
    """(columns, postings) of every segment, then of the tail."""
    for id, _, blocks in view.raw.execute(SEGMENTS, (view.generation,)).fetchall():
        yield read_columns(view, id)[0], whole(view, id, blocks)
    yield read_tail(view, state_of(view).sealed)


def _rows(columns: NDArray[Any], postings: Postings) -> Iterator[tuple[int, _Row]]:
    """Each chunk with what is known of it."""
    ends: NDArray[np.int64] = postings.ends.astype(np.int64)
    sizes: NDArray[np.int64] = np.diff(ends, prepend=np.int64(0))
    keys = np.repeat(postings.keys, sizes)
    mixed = (keys ^ (postings.counts.astype(np.uint64) << np.uint64(32))) * _MIX
    sums = np.zeros(len(columns), dtype=np.uint64)
    np.add.at(sums, postings.rows.astype(np.intp), mixed ^ (mixed >> np.uint64(29)))
    for (chunk, *about), total in zip(columns.tolist(), sums.tolist(), strict=True):
        yield chunk, (*about, total)
