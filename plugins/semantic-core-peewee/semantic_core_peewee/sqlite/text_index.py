"""The full-text index as a process sees it: versions, one per state of the file, and the lists of
terms that were asked for.

A version never changes, so threads search it without a lock while another thread makes the next
one, which reads only what was written since. Lists of terms are shared by versions and limited in
bytes; the least recently used go first. Nothing but the columns of all rows, 24 bytes each, has to
be in memory.

Tested by tests/sqlite/test_text_search.py and tests/sqlite/test_text_segments.py.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import numpy as np

from semantic_core_peewee.sqlite.pool import Sole, Use, View
from semantic_core_peewee.sqlite.remembered import Remembered
from semantic_core_peewee.sqlite.text_segments import (
    COLUMNS,
    SEGMENTS,
    Postings,
    Segment,
    TextState,
    is_first,
    read_columns,
    read_tail,
    state_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATIENCE = 60.0
"""Seconds a search waits for another one that makes a version."""
KEPT_VERSIONS = 4
"""Versions that stay in memory, for readers that see a slightly older state."""
OVERHEAD = 300
"""Bytes a list takes that holds nothing."""
SCORED_PART = 4
"""What words score may take one of so many parts of the budget; their lists have the others."""
MOST_LIVING = 100_000
"""Words whose number of rows a version remembers."""
SPARSE = 32
"""Rows are sorted, rather than marked in a table of all, if they are fewer than one of so many."""
_NO_PLACES = np.zeros(0, dtype=np.intp)
_STATE = "text"
_DEAD = """select id, chunk
    from semantic_index_text_dead
    where generation = ? and id > ?
    order by id"""


class RowColumns(NamedTuple):
    """The columns of rows, in the order of their chunks. length: how many terms each has."""

    chunk: NDArray[np.int64]
    document: NDArray[np.int64]
    home: NDArray[np.int32]
    length: NDArray[np.int32]

    @classmethod
    def of(cls, parts: Sequence[NDArray[Any]]) -> RowColumns:
        """Of rows as segments hold them, part after part."""
        every = np.concatenate([NO_ROWS, *parts])
        return cls(*(np.ascontiguousarray(every[name]) for name in cls._fields))

    def followed_by(self, other: RowColumns) -> RowColumns:
        """These, and the others behind them."""
        return RowColumns(
            np.concatenate([self.chunk, other.chunk]),
            np.concatenate([self.document, other.document]),
            np.concatenate([self.home, other.home]),
            np.concatenate([self.length, other.length]),
        )

    def places_of(self, chunks: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where each of these chunks is; -1 where it is not."""
        if not len(self.chunk):
            return np.full(len(chunks), -1, dtype=np.intp)
        places = np.searchsorted(self.chunk, chunks)
        found: NDArray[np.intp] = np.where(
            self.chunk.take(places, mode="clip") == chunks, places, -1
        )
        return found


NO_ROWS = np.zeros(0, dtype=COLUMNS)


class Holding(NamedTuple):
    """The rows that contain a term, ascending, and how often each does."""

    rows: NDArray[np.int32]
    counts: NDArray[Any]

    @property
    def memory(self) -> int:
        """Bytes it takes, with about what Python adds."""
        return OVERHEAD + self.rows.nbytes + self.counts.nbytes


Alternatives = tuple[int, ...]
"""The hashes of the terms of a word, which are alternatives; ascending."""
NOWHERE = Holding(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.uint8))
"""Of a term that no row contains."""


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Each of these numbers once, ascending. ``numpy.unique`` hashes them, which takes several
    times longer for numbers that are nearly in order.
    """
    ordered = np.sort(values)
    return ordered[is_first(ordered)]


def together(parts: Sequence[Holding]) -> Holding:
    """The rows that are in any of these, and how often in all of them."""
    parts = [part for part in parts if len(part.rows)]
    if len(parts) < 2:
        return parts[0] if parts else NOWHERE
    rows, places = np.unique(np.concatenate([part.rows for part in parts]), return_inverse=True)
    counts = np.concatenate([part.counts for part in parts])
    return Holding(rows, np.bincount(places, weights=counts).astype(np.uint32))


class TermLists:
    """Lists of terms over the segments of one layout. Each covers the segments there were when it
    was asked for; later ones are read when it is asked for again. Safe to share between threads.

    budget: bytes of all lists.
    """

    def __init__(self, budget: int) -> None:
        self._lists: Remembered[tuple[int, Holding]] = Remembered(budget)

    @property
    def budget(self) -> int:
        """Bytes that the lists may take."""
        return self._lists.budget

    @property
    def memory(self) -> int:
        """Bytes that they take."""
        return self._lists.memory

    def of_word(
        self, view: View, segments: Sequence[Segment], rows: int, word: Alternatives
    ) -> Holding:
        """What contains any of the terms of this word; see `of`."""
        if len(word) == 1:
            return self.of(view, segments, rows, word[0])
        covered, held = self._lists.get(word) or (0, NOWHERE)
        if covered != rows:
            held = together([self.of(view, segments, rows, key) for key in word])
            self._lists.keep(word, (rows, held), held.memory)
        return held

    def of(self, view: View, segments: Sequence[Segment], rows: int, key: int) -> Holding:
        """What contains this term in these segments, which have so many rows."""
        covered, held = self._lists.get((key,)) or (0, NOWHERE)
        if covered > rows:  # of a later version
            end = int(np.searchsorted(held.rows, rows))
            return Holding(held.rows[:end], held.counts[:end])
        if covered < rows:
            held = _extended(view, segments, covered, key, held)
            self._lists.keep((key,), (rows, held), held.memory)
        return held


def _extended(
    view: View, segments: Sequence[Segment], covered: int, key: int, held: Holding
) -> Holding:
    """The list with what the segments behind so many rows add."""
    wanted = np.uint64(key)
    rows: list[NDArray[Any]] = [held.rows]
    counts = [held.counts]
    starts = [0]
    for segment in segments:
        if segment.start < covered:
            continue
        found = segment.postings(view, wanted)
        if found is not None:
            rows.append(found[0])
            counts.append(found[1])
            starts.append(segment.start)
    if len(rows) == 1:
        return held
    every = np.concatenate(rows, dtype=np.int32)
    every += np.repeat(np.array(starts, dtype=np.int32), [len(part) for part in rows])
    return Holding(every, np.concatenate(counts))


class Scored(NamedTuple):
    """What the rows that contain a word score for it, if it is asked for once. weight: the most
    that a row can score.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float64]
    weight: float

    def within(self, marks: NDArray[np.bool_]) -> Scored:
        """What is marked of this. marks: of all rows."""
        marked = marks[self.rows]
        return Scored(self.rows[marked], self.scores[marked], self.weight)

    @property
    def memory(self) -> int:
        """Bytes it takes, with about what Python adds."""
        return OVERHEAD + self.rows.nbytes + self.scores.nbytes


@attrs.frozen(eq=False)
class Sealed:
    """All segments of a version. kept: what is worth remembering as long as they are searched."""

    segments: tuple[Segment, ...]
    rows: RowColumns
    lists: TermLists
    kept: dict[Any, Any] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self.rows.chunk)


@attrs.frozen(eq=False)
class Tail:
    """The rows behind the segments. parts: the postings of the rows that came together, with the
    number of rows before them; all are put together when there are many parts.
    """

    rows: RowColumns
    parts: tuple[tuple[int, Postings], ...] = ()

    def __len__(self) -> int:
        return len(self.rows.chunk)

    def holding(self, key: int) -> Holding:
        """The rows of the tail that contain this term."""
        wanted = np.uint64(key)
        rows = []
        counts = []
        for first, (keys, ends, every, often) in self.parts:
            place = int(np.searchsorted(keys, wanted))
            if place < len(keys) and keys[place] == wanted:
                part = slice(int(ends[place - 1]) if place else 0, int(ends[place]))
                rows.append(every[part] + first)
                counts.append(often[part])
        if not rows:
            return NOWHERE
        return Holding(np.concatenate(rows).astype(np.int32), np.concatenate(counts))


@attrs.frozen(eq=False)
class TextVersion:
    """The index in one state. Rows are numbered through all segments, then through the tail, in the
    order of their chunks.

    alive: whether each row is there still; None if all are. dead: the rows that are not, ascending.
    last_dead: the latest note of a dead chunk that was read. scored: of words that were looked for,
    what their rows score in this version; living: how many rows contain a word. kept: what else is
    worth remembering as long as this version is searched.
    """

    generation: int
    state: TextState
    sealed: Sealed
    tail: Tail
    dead: NDArray[np.int64]
    alive: NDArray[np.bool_] | None
    last_dead: int
    scored: Remembered[Scored]
    living: dict[Alternatives, int] = attrs.field(factory=dict)
    kept: dict[Any, Any] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self.sealed) + len(self.tail)

    @property
    def columns(self) -> tuple[RowColumns, RowColumns]:
        """The columns of all rows: of the segments, then of the tail."""
        return self.sealed.rows, self.tail.rows

    @property
    def average(self) -> float:
        """Terms a chunk has, on average; 0 without any chunk."""
        return self.state.terms / self.state.chunks if self.state.chunks > 0 else 0.0

    @property
    def homes(self) -> frozenset[int]:
        """The homes of all rows, dead ones among them; remembered."""
        found: frozenset[int] | None = self.kept.get("homes")
        if found is None:
            sealed: frozenset[int] | None = self.sealed.kept.get("homes")
            if sealed is None:
                sealed = frozenset(distinct(self.sealed.rows.home).tolist())
                self.sealed.kept["homes"] = sealed
            found = sealed.union(self.tail.rows.home.tolist())
            self.kept["homes"] = found
        return found

    def holding(self, view: View, key: int) -> tuple[Holding, Holding]:
        """What contains this term, dead rows among them: of the segments, and of the tail, whose
        rows are counted from its own first one.
        """
        held = NOWHERE
        if len(self.sealed):
            held = self.sealed.lists.of(view, self.sealed.segments, len(self.sealed), key)
        return held, self.tail.holding(key)

    def holding_word(self, view: View, word: Alternatives) -> tuple[Holding, Holding]:
        """What contains any term of this word, as `holding` returns it."""
        held = NOWHERE
        if len(self.sealed):
            segments = self.sealed.segments
            held = self.sealed.lists.of_word(view, segments, len(self.sealed), word)
        return held, together([self.tail.holding(key) for key in word])

    def rows_with(self, view: View, word: Alternatives) -> NDArray[np.intp]:
        """The rows that contain any term of this word, dead ones among them, ascending."""
        held, behind = self.holding_word(view, word)
        if not len(behind.rows):
            return held.rows.astype(np.intp)
        return np.concatenate([held.rows, behind.rows + len(self.sealed)], dtype=np.intp)

    def rows_with_any(self, view: View, words: Iterable[Alternatives]) -> NDArray[np.intp]:
        """The living rows that contain at least one of these words, ascending."""
        parts = [self.rows_with(view, word) for word in words]
        parts = [part for part in parts if len(part)]
        return self.living_of(self.united(parts))

    def united(self, parts: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
        """Every row of these parts once, ascending, as each part is."""
        if len(parts) == 1:
            return parts[0]
        every = np.concatenate([_NO_PLACES, *parts])
        if len(every) < len(self) // SPARSE:
            return distinct(every)
        is_there = np.zeros(len(self), dtype=bool)
        is_there[every] = True
        return np.flatnonzero(is_there)

    def living_of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of these rows that are alive."""
        return rows if self.alive is None else rows[self.alive[rows]]

    def holders(self, view: View, word: Alternatives) -> int:
        """How many living rows contain any term of this word; remembered."""
        count = self.living.get(word)
        if count is None:
            count = self._living_of(*self.holding_word(view, word))
            if len(self.living) < MOST_LIVING:
                self.living[word] = count
        return count

    def _living_of(self, held: Holding, behind: Holding) -> int:
        """How many of these rows, as `holding` returns them, are alive."""
        count = len(held.rows) + len(behind.rows)
        if self.alive is None or not count:
            return count
        if len(behind.rows):
            gone = ~self.alive[len(self.sealed) :][behind.rows]
            count -= int(np.count_nonzero(gone))
        dead = self.dead[: np.searchsorted(self.dead, len(self.sealed))]
        if not len(held.rows):
            return count
        if len(dead) < len(held.rows) // 8:
            places = np.searchsorted(held.rows, dead)
            return count - int(np.count_nonzero(held.rows.take(places, mode="clip") == dead))
        return count - int(np.count_nonzero(~self.alive[held.rows]))

    def rows_of(self, chunks: NDArray[np.int64]) -> NDArray[np.intp]:
        """The row of each of these chunks; -1 where it is not there any more."""
        rows = self.sealed.rows.places_of(chunks)
        behind = self.tail.rows.places_of(chunks)
        rows = np.where(behind >= 0, behind + len(self.sealed), rows)
        if self.alive is not None and len(rows):
            rows[(rows >= 0) & ~self.alive[rows]] = -1
        return rows

    def chunks_of(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """The chunks in these rows."""
        return self.column("chunk", rows)

    def column(self, name: str, rows: NDArray[np.intp]) -> NDArray[Any]:
        """A column of these rows."""
        sealed = getattr(self.sealed.rows, name)
        behind = getattr(self.tail.rows, name)
        found = np.empty(len(rows), dtype=sealed.dtype)
        is_behind = rows >= len(self.sealed)
        found[~is_behind] = sealed[rows[~is_behind]]
        found[is_behind] = behind[rows[is_behind] - len(self.sealed)]
        return found


class TextCache:
    """The versions that this process holds, made and brought up on demand from within a read
    transaction. budget: bytes of lists of terms.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._versions: deque[TextVersion] = deque(maxlen=KEPT_VERSIONS)
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._at_work = Sole()

    @property
    def memory(self) -> int:
        """Bytes that the latest version holds, about."""
        if not self._versions:
            return 0
        latest = self._versions[-1]
        lists = latest.sealed.lists.memory + latest.scored.memory
        return len(latest) * COLUMNS.itemsize + lists

    def forget(self) -> None:
        """Give the memory back."""
        with self._turn():
            self._versions.clear()

    def at(self, view: View) -> TextVersion:
        """The index as this transaction sees it."""
        state = current_state(view)
        with self._turn() as mine:
            if not mine:  # a signal handler interrupted the making of a version
                return self._read(view, state)
            for version in self._versions:
                if version.generation == view.generation and version.state == state:
                    return version
            latest = self._versions[-1] if self._versions else None
            if latest is None or latest.generation != view.generation:
                made = self._read(view, state)
            elif state.changes < latest.state.changes:
                return self._read(view, state)
            elif state.layout != latest.state.layout:
                self._versions.clear()  # the old layout goes first: both need not fit into memory
                made = self._read(view, state)
            else:
                made = _advanced(view, state, latest)
            for version in self._versions:
                version.scored.forget()
            self._versions.append(made)
            return made

    def _turn(self) -> Use:
        if self._pid != os.getpid():
            # Forked while another thread was at work, which will never end, nor give a lock back.
            self._versions.clear()
            self._begin()
        return self._at_work.use(PATIENCE)

    def _read(self, view: View, state: TextState) -> TextVersion:
        """A version that knows nothing of others."""
        sealed = _more_segments(
            view,
            Sealed((), RowColumns.of([]), TermLists(self._budget - self._budget // SCORED_PART)),
        )
        nothing = np.zeros(0, dtype=np.int64)
        return _version(view, state, sealed, Tail(RowColumns.of([])), nothing, 0)


def current_state(view: View) -> TextState:
    """The state this transaction sees, asked once."""
    state: TextState | None = view.kept.get(_STATE)
    if state is None:
        state = view.kept[_STATE] = state_of(view)
    return state


def _advanced(view: View, state: TextState, latest: TextVersion) -> TextVersion:
    """A later version of the same layout."""
    sealed = latest.sealed
    tail = latest.tail
    if state.sealed != latest.state.sealed:
        sealed = _more_segments(view, sealed)
        tail = Tail(RowColumns.of([]))
    return _version(view, state, sealed, tail, latest.chunks_of(latest.dead), latest.last_dead)


def _version(
    view: View,
    state: TextState,
    sealed: Sealed,
    tail: Tail,
    gone: NDArray[np.int64],
    last_dead: int,
) -> TextVersion:
    """The version of this state. tail: what is known of it. gone: chunks known to be dead, up to
    the note `last_dead`.
    """
    tail = _more_tail(view, tail, state.sealed)
    notes = view.raw.execute(_DEAD, (view.generation, last_dead)).fetchall()
    if notes:
        gone = np.append(gone, np.array([chunk for _, chunk in notes], dtype=np.int64))
        last_dead = notes[-1][0]
    alive = None
    dead = np.zeros(0, dtype=np.int64)
    scored: Remembered[Scored] = Remembered(sealed.lists.budget // (SCORED_PART - 1))
    version = TextVersion(view.generation, state, sealed, tail, dead, alive, last_dead, scored)
    rows = version.rows_of(gone)
    dead = distinct(rows[rows >= 0])
    if not len(dead):
        return version
    alive = np.ones(len(version), dtype=bool)
    alive[dead] = False
    return attrs.evolve(version, dead=dead, alive=alive)


def _more_segments(view: View, sealed: Sealed) -> Sealed:
    """With the segments that were added since."""
    known = {segment.id for segment in sealed.segments}
    segments = list(sealed.segments)
    added = []
    start = len(sealed)
    for id, count, _ in view.raw.execute(SEGMENTS, (view.generation,)).fetchall():
        if id in known:
            continue
        rows, directory = read_columns(view, id)
        segments.append(Segment(id, start, count, directory))
        added.append(rows)
        start += count
    return Sealed(tuple(segments), sealed.rows.followed_by(RowColumns.of(added)), sealed.lists)


MOST_PARTS = 8
"""Parts of a tail that are searched one by one."""


def _more_tail(view: View, tail: Tail, sealed: int) -> Tail:
    """With the rows that were added since."""
    last = int(tail.rows.chunk[-1]) if len(tail) else sealed
    columns, postings = read_tail(view, last)
    if not len(columns):
        return tail
    if len(tail.parts) < MOST_PARTS:
        parts = (*tail.parts, (len(tail), postings))
        return Tail(tail.rows.followed_by(RowColumns.of([columns])), parts)
    columns, postings = read_tail(view, sealed)
    return Tail(RowColumns.of([columns]), ((0, postings),))
