"""The codes of all vectors in this process's memory, one version per state of the file.

A version never changes once it is there, so threads scan it without a lock while another thread
adds the next. Versions share blocks: new slots go behind the last one, a slot that is given up only
loses its number in the next version's `chunks`. Memory per vector: its dimensions and 28 bytes.

The file holds codes with a sign; here they lie shifted by SHIFT, without one: where the processor
has no AVX-512, simsimd multiplies such bytes in two thirds of the time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from semantic_core_peewee._slots import SEGMENT, State, segments_since, slot_type, state_of
from semantic_core_peewee._uses import Sole, Use

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee._pool import View

CODES = "codes"
"""What a transaction keeps the version of its state as, once it has one."""
PATIENCE = 60.0
"""Seconds a search waits for another one that makes a version."""
KEPT_VERSIONS = 4
"""Versions a reader that is a little behind can still be served from."""
BLOCK = 256 * SEGMENT
"""Slots of a block: room is set aside in pieces of this, and nothing is ever copied to grow. Fewer
and larger pieces are scanned faster; what is not taken of one is never touched, so the system gives
no memory for it."""

SHIFT = 128
"""Added to every code: from -127..127 to 1..255."""
HUGE_PAGE = 2 * 1024**2
"""Bytes."""

Homes = Mapping[str, Mapping[str, int]]
"""tenant -> collection -> number of the home."""


@attrs.frozen(eq=False)
class Block:
    """Up to BLOCK slots, shared by versions.

    A column never changes where a slot was taken. sums: see `shifted`.
    """

    codes: NDArray[np.uint8]
    sums: NDArray[np.float32]
    scales: NDArray[np.float32]
    documents: NDArray[np.int64]
    homes: NDArray[np.int32]

    @classmethod
    def empty(cls, dimensions: int) -> Block:
        """A block no slot of which is taken."""
        return cls(
            _aligned(BLOCK * dimensions).reshape(BLOCK, dimensions),
            np.empty(BLOCK, dtype=np.float32),
            np.empty(BLOCK, dtype=np.float32),
            np.empty(BLOCK, dtype=np.int64),
            np.empty(BLOCK, dtype=np.int32),
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
        return sum(taken * column.nbytes // BLOCK for column in columns)


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
class Codes:
    """All slots of one state. chunks: per block, the number of the chunk in each slot,
    0 where there is none any more.

    kept: whatever is worth keeping as long as this version is searched.
    """

    generation: int
    state: State
    blocks: tuple[Block, ...]
    chunks: tuple[NDArray[np.int64], ...]
    homes: Homes
    kept: dict[Any, Any] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return self.state.slots

    def taken(self, block: int) -> int:
        """How many slots of a block are taken."""
        return min(BLOCK, self.state.slots - block * BLOCK)

    def column(self, name: str) -> NDArray[Any]:
        """One column ("documents" or "homes") of all slots, end to end."""
        held = [
            getattr(block, name)[: self.taken(number)] for number, block in enumerate(self.blocks)
        ]
        return np.concatenate(held) if held else np.zeros(0, dtype=np.int64)

    def chunks_at(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """The chunks in these slots, which ascend; 0 for dead ones."""
        blocks, places = np.divmod(rows, BLOCK)
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
        self._versions: deque[Codes] = deque(maxlen=KEPT_VERSIONS)
        self._begin()

    def _begin(self) -> None:
        self._pid, self._at_work = os.getpid(), Sole()

    @property
    def memory(self) -> int:
        """Bytes held, each block once, as far as the latest version takes it."""
        blocks = {
            id(block): block.memory(codes.taken(number))
            for codes in tuple(self._versions)
            for number, block in enumerate(codes.blocks)
        }
        chunks = {
            id(column): column.nbytes for codes in tuple(self._versions) for column in codes.chunks
        }
        return sum(blocks.values()) + sum(chunks.values())

    @property
    def loaded(self) -> bool:
        """Whether there is any version."""
        return bool(self._versions)

    def forget(self) -> None:
        """Give the memory back."""
        with self._turn():
            self._versions.clear()

    def at(self, view: View, state: State) -> Codes | None:
        """The slots as this transaction sees them;
        None if it is too far behind of what this process holds, and within a signal handler that
        came in between while they were made.
        """
        turn = self._turn()
        with turn:
            if not self._at_work.has(turn):
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

    def _advanced(self, view: View, state: State, latest: Codes | None) -> Codes:
        blocks = list(latest.blocks) if latest else []
        chunks = list(latest.chunks) if latest else []
        held = latest.state.slots if latest else 0
        while len(blocks) * BLOCK < state.slots:
            blocks.append(Block.empty(self._dimensions))
            chunks.append(np.zeros(BLOCK, dtype=np.int64))
        # Columns no other version sees.
        own = set(range(held // BLOCK + 1 if latest else 0, len(blocks)))
        for number, slots in segments_since(
            view, self._dimensions, latest.state.changes if latest else -1
        ):
            place, first = divmod(number * SEGMENT, BLOCK)
            if place not in own:
                there = chunks[place][: held - place * BLOCK]
                # What is not written takes no memory: so not just a copy.
                chunks[place] = np.zeros(BLOCK, dtype=np.int64)
                chunks[place][: len(there)] = there
                own.add(place)
            chunks[place][first : first + SEGMENT] = slots["chunk"]
            fresh = max(0, held - number * SEGMENT)
            taken = min(SEGMENT, state.slots - number * SEGMENT)
            if fresh < taken:
                _copy(blocks[place], slot_type(self._dimensions), slots, first, fresh, taken)
        return Codes(view.generation, state, tuple(blocks), tuple(chunks), homes_of(view))


def _copy(
    block: Block, kind: np.dtype[Any], slots: NDArray[Any], first: int, fresh: int, taken: int
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
        "select tenant, collection, id from home where generation = ?", (view.generation,)
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
