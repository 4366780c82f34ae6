"""Quantized vectors in memory, and how they are scanned.

There is one version per state of the file. A version never changes, so threads scan it without a
lock while another thread makes the next. Versions share blocks: new slots go behind the last one,
and a slot that is given up only loses its number in the next version's `chunks`. A vector takes its
dimensions and 28 bytes.

The file holds signed codes; here they are shifted by SHIFT and unsigned: where the processor has no
AVX-512, simsimd multiplies such bytes in two thirds of the time.

Tested by tests/sqlite/test_vector_search.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import simsimd

from semantic_core_peewee.sqlite.pool import Sole, Use, View
from semantic_core_peewee.sqlite.segments import (
    HIGHEST,
    State,
    segments_since,
    slot_type,
    state_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]
    Rows = NDArray[np.intp]

CODES = "codes"
"""The name under which a transaction keeps the version of its state."""
PATIENCE = 60.0
"""Seconds a search waits for another one that makes a version."""
KEPT_VERSIONS = 4
"""Versions that stay in memory, for readers that see a slightly older state."""

SHIFT = 128
"""Added to every code: from -127..127 to 1..255."""
HUGE_PAGE = 2 * 1024**2
"""Bytes."""

Homes = Mapping[str, Mapping[str, int]]
"""tenant -> collection -> number of the home."""


@attrs.frozen(eq=False)
class QuantizedBlock:
    """The columns of up to `Tuning.block` slots, shared by versions.

    A column never changes where a slot was taken. sums: see `shifted`.
    """

    codes: NDArray[np.uint8]
    sums: NDArray[np.float32]
    scales: NDArray[np.float32]
    documents: NDArray[np.int64]
    homes: NDArray[np.int32]

    @classmethod
    def empty(cls, size: int, dimensions: int) -> QuantizedBlock:
        """A block of so many slots, none of which is taken."""
        return cls(
            _aligned(size * dimensions).reshape(size, dimensions),
            np.empty(size, dtype=np.float32),
            np.empty(size, dtype=np.float32),
            np.empty(size, dtype=np.int64),
            np.empty(size, dtype=np.int32),
        )

    def memory(self, taken: int) -> int:
        """Bytes held by so many slots."""
        columns: tuple[NDArray[Any], ...] = (
            self.codes,
            self.sums,
            self.scales,
            self.documents,
            self.homes,
        )
        return sum(taken * column.nbytes // len(column) for column in columns if len(column))


def shifted(codes: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(codes without a sign, SHIFT times the sum of each row of these): with c' = c + SHIFT and
    likewise q', dot(q, c) = dot(q', c') - SHIFT sum(c') - SHIFT sum(q') + SHIFT^2 dimensions."""
    unsigned = codes.view(np.uint8) ^ np.uint8(SHIFT)
    return unsigned, (SHIFT * unsigned.sum(axis=1, dtype=np.int32)).astype(np.float32)


def _aligned(size: int) -> NDArray[np.uint8]:
    """Bytes that begin where a huge page may, so that the system can give some:
    5 % of a scan is looking up small ones.
    """
    room = np.empty(size + HUGE_PAGE, dtype=np.uint8)
    start = -room.ctypes.data % HUGE_PAGE
    return room[start : start + size]


@attrs.frozen(eq=False)
class QuantizedVectors:
    """All slots of one state.

    chunks: per block, the number of the chunk in each slot; 0 where there is none any more. kept:
    what is worth remembering as long as this version is searched.
    """

    generation: int
    state: State
    blocks: tuple[QuantizedBlock, ...]
    chunks: tuple[NDArray[np.int64], ...]
    homes: Homes
    block_size: int
    kept: dict[Any, Any] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return self.state.slots

    def taken(self, block: int) -> int:
        """How many slots of a block are taken."""
        return min(self.block_size, self.state.slots - block * self.block_size)

    def column(self, name: str) -> NDArray[Any]:
        """One column ("documents" or "homes") of all slots, end to end."""
        held = [
            getattr(block, name)[: self.taken(number)] for number, block in enumerate(self.blocks)
        ]
        return np.concatenate(held) if held else np.zeros(0, dtype=np.int64)

    def chunks_at(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """The chunks in these slots, which ascend; 0 for dead ones."""
        blocks, places = np.divmod(rows, self.block_size)
        found = np.empty(len(rows), dtype=np.int64)
        for number in range(len(self.chunks)):
            here = blocks == number
            found[here] = self.chunks[number][places[here]]
        return found

    def chunk_numbers(self) -> NDArray[np.int64]:
        """The chunk of every slot, end to end; 0 for dead ones."""
        held = [chunks[: self.taken(number)] for number, chunks in enumerate(self.chunks)]
        return np.concatenate(held) if held else np.zeros(0, dtype=np.int64)


class CodeCache:
    """The versions this process holds.

    Made and brought up on demand, from within a read transaction.
    """

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._versions: deque[QuantizedVectors] = deque(maxlen=KEPT_VERSIONS)
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._at_work = Sole()

    @property
    def memory(self) -> int:
        """Bytes held, each block once, as far as the latest version takes it."""
        sizes: dict[int, int] = {}
        for codes in tuple(self._versions):
            for number, block in enumerate(codes.blocks):
                sizes[id(block)] = block.memory(codes.taken(number))
            for column in codes.chunks:
                sizes[id(column)] = column.nbytes
        return sum(sizes.values())

    @property
    def loaded(self) -> bool:
        """Whether there is any version."""
        return bool(self._versions)

    def forget(self) -> None:
        """Give the memory back."""
        with self._turn():
            self._versions.clear()

    def at(self, view: View, state: State) -> QuantizedVectors | None:
        """The slots as this transaction sees them.

        None if it sees an older state than this process holds, and within a signal handler that
        interrupted the making of a version.
        """
        with self._turn() as mine:
            if not mine:
                return None
            for version in self._versions:
                if version.generation == view.generation and version.state == state:
                    return version
            latest = self._versions[-1] if self._versions else None
            if (
                latest is not None
                and latest.generation == view.generation
                and state.changes < latest.state.changes
            ):
                return None
            follows = latest is not None and (latest.generation, latest.state.epoch) == (
                view.generation,
                state.epoch,
            )
            if not follows:
                self._versions.clear()  # the old layout goes first: both need not fit into memory
            made = self._advanced(view, state, latest if follows else None)
            self._versions.append(made)
            return made

    def _turn(self) -> Use:
        if self._pid != os.getpid():
            self._begin()  # forked while another thread was at work: it will never end
        return self._at_work.use(PATIENCE)

    def _advanced(
        self, view: View, state: State, latest: QuantizedVectors | None
    ) -> QuantizedVectors:
        blocks = list(latest.blocks) if latest else []
        chunks = list(latest.chunks) if latest else []
        held = latest.state.slots if latest else 0
        segment = view.tuning.segment
        size = view.tuning.block
        while len(blocks) * size < state.slots:
            blocks.append(QuantizedBlock.empty(size, self._dimensions))
            chunks.append(np.zeros(size, dtype=np.int64))
        # Columns no other version sees.
        own = set(range(held // size + 1 if latest else 0, len(blocks)))
        for number, slots in segments_since(
            view, self._dimensions, latest.state.changes if latest else -1
        ):
            place, first = divmod(number * segment, size)
            if place not in own:
                there = chunks[place][: held - place * size]
                # What is not written takes no memory: so not just a copy.
                chunks[place] = np.zeros(size, dtype=np.int64)
                chunks[place][: len(there)] = there
                own.add(place)
            chunks[place][first : first + segment] = slots["chunk"]
            fresh = max(0, held - number * segment)
            taken = min(segment, state.slots - number * segment)
            if fresh < taken:
                _copy(blocks[place], slot_type(self._dimensions), slots, first, fresh, taken)
        return QuantizedVectors(
            view.generation, state, tuple(blocks), tuple(chunks), homes_of(view), size
        )


def _copy(
    block: QuantizedBlock,
    kind: np.dtype[Any],
    slots: NDArray[Any],
    first: int,
    fresh: int,
    taken: int,
) -> None:
    into = slice(first + fresh, first + taken)
    block.codes[into], block.sums[into] = shifted(slots["code"][fresh:taken])
    block.scales[into] = slots["scale"][fresh:taken]
    block.documents[into] = slots["document"][fresh:taken]
    block.homes[into] = slots["home"][fresh:taken]


def homes_of(view: View) -> Homes:
    """The homes there are in this transaction."""
    found: dict[str, dict[str, int]] = {}
    rows = view.raw.execute(
        "select tenant, collection, id from semantic_index_home where generation = ?",
        (view.generation,),
    )
    for tenant, collection, id in rows:
        found.setdefault(tenant, {})[collection] = id
    return found


def current_state(view: View) -> State:
    """The state this transaction sees, asked once."""
    state: State | None = view.kept.get("slots")
    if state is None:
        state = view.kept["slots"] = state_of(view)
    return state


# Scanning: a rough score of every slot, and the slots that may be among the best.
#
# A rough score is a cosine divided by the query's step, which all scores of one scan share. It
# differs from the true one by rounding alone, whose standard deviation is known (a uniform error of
# one step has deviation step / sqrt(12)); what is left out is further away than `SIGMAS` of it.

SIGMAS = 5.0
"""Standard deviations of rounding that are allowed for."""
NEVER = np.float32(-1e30)
"""Score of a slot that may not be found."""
_COLUMNS = 2_048
"""Columns scores are laid out in to find the best of them: many more than are wanted."""

WIDEST = 32_768
"""Columns of codes multiplied at once: simsimd adds up in 32 bits,
and 255 * 255 of more would not fit.
"""


class Query:
    """A query of length 1 as codes, see `shifted`. step: what one unit of them is worth.
    shift: its part of every dot.
    """

    def __init__(self, vector: NDArray[np.float64]) -> None:
        self.step = float(np.abs(vector).max()) / HIGHEST
        self.codes, sums = shifted(np.rint(vector / self.step).astype(np.int8)[None])
        self.shift = float(sums[0]) - SHIFT * SHIFT * len(vector)

    def deviation(self, step: float) -> float:
        """How far a vector of this scale is from its rough score, in units of a cosine."""
        return math.hypot(self.step, step) / math.sqrt(12.0)

    def rough(self, cosine: float, step: float) -> float:
        """The lowest rough score a vector of at least this cosine,
        and of at most this scale, can have.
        """
        return (cosine - SIGMAS * self.deviation(step)) / self.step


_SPARE_ROOM = 65_536
"""Scores there is room for beyond those asked for, so that a growing store seldom allocates."""
_own = threading.local()


def _room(count: int) -> Scores:
    """Memory of this thread for so many scores, good until it asks again:
    fresh pages cost as much as the scores.
    """
    room: Scores | None = getattr(_own, "room", None)
    if room is None or len(room) < count:
        room = _own.room = np.empty(count + _SPARE_ROOM, dtype=np.float32)
    return room[:count]


def score(
    query: Query, codes: NDArray[np.uint8], sums: Scores, scales: Scores, into: Scores
) -> None:
    """Rough cosines of these codes over the query's step, written to `into`."""
    if len(codes):
        np.subtract(_dots(query.codes, codes), sums, out=into)
        into -= np.float32(query.shift)
        # Of a damaged scale: what it misleads to is compared exactly.
        with np.errstate(over="ignore", invalid="ignore"):
            into *= scales


def _dots(query: NDArray[np.uint8], codes: NDArray[np.uint8]) -> Scores:
    if query.shape[1] > WIDEST:
        return _dots(query[:, :WIDEST], codes[:, :WIDEST]) + _dots(
            query[:, WIDEST:], codes[:, WIDEST:]
        )
    # No `out=`: simsimd's loses a reference to None per call, and the interpreter ends after some
    # thousands.
    dots: Scores = np.asarray(
        simsimd.cdist(query, codes, metric="dot", dtype="uint8", out_dtype="float32")
    )[0]
    return dots


def score_all(
    query: Query, codes: QuantizedVectors, sums: Sequence[Scores] | None = None
) -> Scores:
    """Rough scores of all slots, NEVER where a slot is dead;
    in memory this thread uses again at its next scan.

    sums: to be taken, block by block, instead of those the codes have.
    """
    scores = _room(len(codes))
    for number, block in enumerate(codes.blocks):
        taken = codes.taken(number)
        start = number * codes.block_size
        into = scores[start : start + taken]
        of_block = block.sums[:taken] if sums is None else sums[number]
        score(query, block.codes[:taken], of_block, block.scales[:taken], into)
    if codes.state.dead:
        scores[_dead(codes)] = NEVER
    return scores


def score_rows(query: Query, codes: QuantizedVectors, rows: Rows) -> Scores:
    """Rough scores of these slots, in their order; `rows` ascend."""
    scores = np.empty(len(rows), dtype=np.float32)
    ends = np.searchsorted(rows, np.arange(1, len(codes.blocks) + 1) * codes.block_size)
    start = 0
    for number, end in enumerate(ends.tolist()):
        if end > start:
            inside = rows[start:end] - number * codes.block_size
            block = codes.blocks[number]
            score(
                query,
                block.codes[inside],
                block.sums[inside],
                block.scales[inside],
                scores[start:end],
            )
        start = end
    return scores


def streamed(
    view: View, dimensions: int, state: State, query: Query
) -> tuple[QuantizedVectors, Scores]:
    """The scores of all slots, and the slots without their codes,
    which pass through memory once.
    """
    scores = np.full(state.slots, NEVER, dtype=np.float32)
    blocks: list[QuantizedBlock] = []
    chunks: list[NDArray[np.int64]] = []
    for start, slots in _runs(view, dimensions):
        taken = slots[: max(0, state.slots - start)]
        codes, sums = shifted(taken["code"])
        scales = np.ascontiguousarray(taken["scale"])
        score(query, codes, sums, scales, scores[start : start + len(taken)])
        chunks.append(np.ascontiguousarray(slots["chunk"]))
        homes = np.ascontiguousarray(slots["home"])
        documents = np.ascontiguousarray(slots["document"])
        blocks.append(QuantizedBlock(codes[:0], sums[:0], scales, documents, homes))
    codes_of_none = QuantizedVectors(
        view.generation, state, tuple(blocks), tuple(chunks), homes_of(view), view.tuning.block
    )
    if state.dead:
        scores[_dead(codes_of_none)] = NEVER
    return codes_of_none, scores


def _runs(view: View, dimensions: int) -> Iterator[tuple[int, NDArray[Any]]]:
    segment = view.tuning.segment
    run: list[NDArray[Any]] = []
    first = 0
    for number, slots in segments_since(view, dimensions, -1):
        run.append(slots)
        if (number + 1) * segment % view.tuning.block == 0:
            yield first, np.concatenate(run)
            run = []
            first = (number + 1) * segment
    if run:
        yield first, np.concatenate(run)


def _dead(codes: QuantizedVectors) -> Rows:
    found: Rows | None = codes.kept.get("dead")
    if found is None:
        found = codes.kept["dead"] = np.flatnonzero(codes.chunk_numbers() == 0)
    return found


def largest_step(codes: QuantizedVectors) -> float:
    """The coarsest scale of any slot."""
    found: float | None = codes.kept.get("step")
    if found is None:
        found = 0.0
        for number, block in enumerate(codes.blocks):
            count = codes.taken(number)
            if count:
                found = max(found, float(block.scales[:count].max()))
        codes.kept["step"] = found
    return found


def best(scores: Scores, count: int, slack: float) -> tuple[Rows, float]:
    """(the places, ascending, of all that score at most `slack` less than the `count`-th best; that
    bound).

    What scores NEVER is not among them; the bound is NEVER if there are fewer than `count` others.
    """
    if len(scores) <= max(count, 1):
        return np.flatnonzero(scores > NEVER), float(NEVER)
    places = _promising(scores, count, slack)
    inside = scores if places is None else scores[places]
    edge = max(nth(inside, count) - slack, float(NEVER))
    chosen = np.flatnonzero(inside >= edge if edge > NEVER else inside > NEVER)
    return chosen if places is None else places[chosen], edge


def _promising(scores: Scores, count: int, slack: float) -> Rows | None:
    """The places of all that `best` may choose, and of few others, ascending;
    None if looking for them saves nothing.

    The scores are laid out in columns. As many columns as are wanted have their best at or above a
    score; so have at least as many places, and no other column holds anything that is better.
    """
    rows = len(scores) // _COLUMNS
    if rows < 4 or 8 * count > _COLUMNS:
        return None
    tops = scores[: rows * _COLUMNS].reshape(rows, _COLUMNS).max(axis=0)
    rest = scores[rows * _COLUMNS :]
    np.maximum(tops[: len(rest)], rest, out=tops[: len(rest)])
    columns = np.flatnonzero(tops >= nth(tops, count) - slack)
    places: Rows = (columns + np.arange(0, len(scores), _COLUMNS)[:, None]).ravel()
    return places[: np.searchsorted(places, len(scores))]


def nth(scores: Scores, count: int) -> float:
    """The `count`-th best score."""
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])
