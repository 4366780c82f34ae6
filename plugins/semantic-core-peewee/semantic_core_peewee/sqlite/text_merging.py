"""Making one segment of several, so that a search looks into few, and dead chunks leave the file.

It is done beside the writers: what a merged segment holds is worked out in a read transaction, and
written in small pieces, each in a transaction of its own; nobody reads it before the last one. Two
processes that merge the same segments see each other, and what a process left that ended in between
is removed by the next.

Tested by tests/sqlite/test_text_merging.py.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semantic_core.errors import SemanticCoreError, StoreBusy, StoreMisuse
from semantic_core_peewee.sqlite.text_segments import (
    BLOCK,
    MOST_ROWS,
    PostingBlock,
    Postings,
    add_blocks,
    begin_segment,
    block_numbers,
    blocks_of,
    drop_segments,
    keep_state,
    new_segment,
    read_columns,
    state_of,
    whole,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee.sqlite.pool import Pool, View

log = logging.getLogger(__name__)

PIECE = 1024**2
"""Bytes of blocks that one transaction writes or removes: the others wait for so many."""
ABANDONED = 600.0
"""Seconds after which an unfinished segment is taken to be left by a process that ended."""
_MOST_DEAD = 0.25
"""Part of a segment's rows that may be dead."""
_FULL = 0.75
"""A segment with more rows than this part of the most is not merged any more."""
REPLACED = -1
"""In place of the time a segment was begun: it is not read any more, and to be removed."""

_SEGMENTS = """select id, first, last, count, blocks, building
    from semantic_index_text_segment
    where generation = ?
    order by first, id"""
_DEAD = """select id, chunk
    from semantic_index_text_dead
    where generation = ? and chunk between ? and ?"""
_DROP_DEAD = """delete from semantic_index_text_dead
    where generation = ? and chunk between ? and ? and id <= ?"""
_MARK = "update semantic_index_text_segment set building = ? where id = ?"


class _Listed(NamedTuple):
    """A segment. building: 0, when it was begun, or REPLACED."""

    id: int
    first: int
    last: int
    rows: int
    blocks: int
    building: int


class _Merged(NamedTuple):
    """What is to be written in place of `sources`. columns: of the rows that are left. last_dead:
    the latest of the notes of dead chunks that were left out.
    """

    sources: tuple[_Listed, ...]
    columns: NDArray[Any]
    blocks: list[PostingBlock]
    last_dead: int


def due(sizes: Sequence[int], smallest: int, factor: int) -> slice | None:
    """Which neighbours are to be merged, of segments with so many rows, in order; None if none are.

    Segments are of one class up to the smallest size times the factor, of the next one up to that
    times the factor, and so on. `factor` neighbours of a class are merged, with those of smaller
    classes between and behind them. So a row is written again about once for each class.
    """
    least = 0
    limit = smallest * factor
    full = int(MOST_ROWS * _FULL)
    while least <= full:
        start = 0
        for place in range(len(sizes) + 1):
            if place < len(sizes) and sizes[place] < min(limit, full + 1):
                continue
            run = sizes[start:place]
            if sum(size >= least for size in run) >= factor:
                return _as_fits(sizes, start, place)
            start = place + 1
        least = limit
        limit *= factor
    return None


def _as_fits(sizes: Sequence[int], start: int, stop: int) -> slice | None:
    """The first of these that one segment has room for; None if there is none for two."""
    rows = 0
    for place in range(start, stop):
        rows += sizes[place]
        if rows > MOST_ROWS:
            return slice(start, place) if place - start > 1 else None
    return slice(start, stop)


class Merger:
    """Merges the segments of one store, in a thread that ends when nothing is left to do."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a signal handler may come in between
        self._thread: threading.Thread | None = None

    def wake(self, *, inline: bool) -> None:
        """Merge what is due: in a thread if none is at work, or here."""
        if inline:
            self.run()
            return
        self._in_this_process()
        with self._lock:
            at_work = self._thread is not None and self._thread.is_alive()
            if self._closed or at_work:
                return
            self._thread = threading.Thread(
                target=self._quietly, name="semantic-core merge", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Let the thread end, and wait for it."""
        self._in_this_process()
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _in_this_process(self) -> None:
        if self._pid != os.getpid():
            self._begin()  # forked: the thread is not here, and its lock may never be given back

    def _quietly(self) -> None:
        try:
            self.run()
        except (StoreBusy, StoreMisuse):
            return  # others write, or the store was closed: the next segment tries again
        except SemanticCoreError as error:
            log.warning(
                "Segments of the full-text index were not merged; it is whole, and tried again "
                "later: %s",
                error,
            )

    def run(self) -> None:
        """Merge until nothing is due."""
        while not self._closed and self._step():
            pass

    def _step(self) -> bool:
        """One merge; False if none is due, or another process is at it."""
        self._clean()
        merged = self._pool.read(_worked_out)
        if merged is None:
            return False
        id = self._pool.write(_begin, merged)
        if id is None:
            return False
        number = 0
        for piece in _pieces(merged.blocks):
            if self._closed:
                return False
            self._pool.write(add_blocks, id, number, piece)
            number += len(piece)
        if not self._pool.write(_finish, id, merged):
            return False
        self._clean()
        return True

    def _clean(self) -> None:
        """Remove what is not read any more, in pieces."""
        while self._pool.read(_leftovers):
            self._pool.write(_remove_some)


def _listed(view: View) -> list[_Listed]:
    rows = view.raw.execute(_SEGMENTS, (view.generation,)).fetchall()
    return [_Listed(*row) for row in rows]


def is_due(view: View) -> bool:
    """Whether anything is to be merged or removed."""
    listed = _listed(view)
    return _run_of(view, listed) is not None or any(one.building == REPLACED for one in listed)


def _run_of(view: View, listed: Sequence[_Listed]) -> tuple[_Listed, ...] | None:
    """The segments to merge; None if there are none, or somebody merges already."""
    now = time.time()
    if any(one.building > 0 and now - one.building < ABANDONED for one in listed):
        return None
    read = [one for one in listed if not one.building]
    tuning = view.tuning
    run = due([one.rows for one in read], tuning.tail, tuning.merge_factor)
    if run is not None:
        return tuple(read[run])
    if state_of(view).dead > tuning.tail:
        for one in read:
            dead = view.raw.execute(_DEAD, (view.generation, one.first, one.last)).fetchall()
            if len(dead) > _MOST_DEAD * one.rows:
                return (one,)
    return None


def _worked_out(view: View) -> _Merged | None:
    """What is due now, worked out; None if nothing is."""
    run = _run_of(view, _listed(view))
    if run is None:
        return None
    dead = view.raw.execute(_DEAD, (view.generation, run[0].first, run[-1].last)).fetchall()
    gone = np.array([chunk for _, chunk in dead], dtype=np.int64)
    columns = []
    postings = []
    for one in run:
        columns.append(read_columns(view, one.id)[0])
        postings.append(whole(view, one.id, one.blocks))
    left, merged = merged_postings(columns, postings, gone)
    blocks = list(blocks_of(merged)) if len(merged.keys) else []
    return _Merged(run, left, blocks, max((id for id, _ in dead), default=0))


def merged_postings(
    columns: Sequence[NDArray[Any]], parts: Sequence[Postings], gone: NDArray[np.int64]
) -> tuple[NDArray[Any], Postings]:
    """(columns, postings) of several segments as one, without the chunks that are gone."""
    every = np.concatenate(columns)
    left = ~np.isin(every["chunk"], gone)
    number = np.cumsum(left) - 1
    first_rows = np.cumsum([0, *map(len, columns)])
    first_places = np.cumsum([0, *(len(part.rows) for part in parts)])
    keys = np.concatenate([part.keys for part in parts])
    stops = [part.ends.astype(np.int64) for part in parts]
    sizes = np.concatenate([np.diff(ends, prepend=0) for ends in stops])
    starts = np.concatenate(
        [ends + first for ends, first in zip(stops, first_places, strict=False)]
    )
    starts -= sizes
    rows = np.concatenate(
        [part.rows.astype(np.int64) + first for part, first in zip(parts, first_rows, strict=False)]
    )
    counts = np.concatenate([part.counts for part in parts])
    order = np.argsort(keys, kind="stable")
    sizes = sizes[order]
    written = np.cumsum(sizes)
    places = np.repeat(starts[order] - (written - sizes), sizes) + np.arange(len(rows))
    every_key = np.repeat(keys[order], sizes)
    rows = rows[places]
    kept = left[rows]
    every_key = every_key[kept]
    ends = np.flatnonzero(np.diff(every_key, append=every_key[-1:] ^ np.uint64(1))) + 1
    postings = Postings(every_key[ends - 1], ends, number[rows[kept]], counts[places][kept])
    return every[left], postings


def _pieces(blocks: Sequence[PostingBlock]) -> list[list[PostingBlock]]:
    pieces: list[list[PostingBlock]] = []
    size = PIECE
    for block in blocks:
        if size >= PIECE:
            pieces.append([])
            size = 0
        pieces[-1].append(block)
        size += len(block.data)
    return pieces


def _begin(view: View, merged: _Merged) -> int | None:
    """Announce the merged segment; its number, or None if its sources are not the same any more,
    or somebody else is at them.
    """
    listed = _listed(view)
    now = time.time()
    if any(one.building > 0 and now - one.building < ABANDONED for one in listed):
        return None
    for one in listed:
        if one.building > 0:
            view.raw.execute(_MARK, (REPLACED, one.id))
    if not set(merged.sources) <= set(listed):
        return None
    id = new_segment(view)
    if len(merged.columns):
        begin_segment(view, id, merged.columns, merged.blocks, building=True)
        view.raw.execute(_MARK, (max(1, int(now)), id))
    return id


def _finish(view: View, id: int, merged: _Merged) -> bool:
    """Read the merged segment in place of its sources; False if these were replaced meanwhile."""
    listed = _listed(view)
    begun = not len(merged.columns) or any(one.id == id and one.building > 0 for one in listed)
    if not begun or not set(merged.sources) <= set(listed):
        view.raw.execute(_MARK, (REPLACED, id))
        return False
    view.raw.execute(_MARK, (0, id))
    for source in merged.sources:
        view.raw.execute(_MARK, (REPLACED, source.id))
    reach = (merged.sources[0].first, merged.sources[-1].last)
    view.raw.execute(_DROP_DEAD, (view.generation, *reach, merged.last_dead))
    gone = view.raw.changes()
    state = state_of(view)
    state = state._replace(
        changes=state.changes + 1, layout=state.layout + 1, dead=state.dead - gone
    )
    keep_state(view, state)
    return True


_LEFTOVER = """select id, blocks
    from semantic_index_text_segment
    where building = ?
    limit 1"""
_SOME_BLOCKS = """delete from semantic_index_text_block
    where id in (select id
        from semantic_index_text_block
        where id between ? and ?
        limit ?)"""


def _leftovers(view: View) -> bool:
    return view.raw.execute(_LEFTOVER, (REPLACED,)).get is not None


def _remove_some(view: View) -> None:
    """Remove some blocks of a segment that is not read any more; all of it with the last ones."""
    found = view.raw.execute(_LEFTOVER, (REPLACED,)).fetchone()
    if found is None:
        return
    first, last = block_numbers(found[0])
    view.raw.execute(_SOME_BLOCKS, (first, last, PIECE // BLOCK))
    if not view.raw.changes():
        drop_segments(view, [found[0]])
