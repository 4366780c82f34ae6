"""Quantized vectors in the file: int8 codes in segments of a fixed number of slots, written in the
transaction of their chunks.

A chunk with a vector owns one slot. Slots are taken in order and never twice, so what a process
holds of a slot stays true. A slot that is given up is zeroed and counts as dead until `_laid_out`
moves the others together. All of this is derived data: `rebuild` makes it from the table of chunks.

A code is the vector divided by its scale, and rounded. With scale = largest absolute number / 127,
dot(vector, query) is about scale * scale of the query * dot(code, code of the query).

Tested by tests/sqlite/test_vector_search.py and tests/sqlite/test_repair.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semantic_core.storage import STORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee.sqlite.pool import View

MOST_DEAD = 0.25
"""Part of the slots that may be dead before the living are moved together."""
_AT_ONCE = 4_096
"""Vectors that are quantized at once."""
HIGHEST = 127
"""Largest absolute value of a code."""

_STATE = "select changes, epoch, slots, dead from semantic_index_vector_state where generation = ?"
_KEEP_STATE = """insert into semantic_index_vector_state (generation, changes, epoch, slots, dead)
    values (?, ?, ?, ?, ?)
    on conflict do update
    set changes = excluded.changes, epoch = excluded.epoch,
    slots = excluded.slots, dead = excluded.dead"""
_ADD_SEGMENT = "insert into semantic_index_segment (generation, number, slots) values (?, ?, ?)"
_TOUCH_SEGMENT = (
    "replace into semantic_index_segment_change (generation, number, change) values (?, ?, ?)"
)
_GIVE_UP = """delete from semantic_index_slot
    where generation = ? and chunk in (select j.value from json_each(?) as j)
    returning place"""
SEGMENTS_SINCE = """select s.number, s.slots
    from semantic_index_segment_change as c
    cross join semantic_index_segment as s
    where c.generation = ? and c.change > ? and s.generation = c.generation
    and s.number = c.number
    order by c.number"""
"""In the order of an index: to sort them would be to hold all codes in memory once more."""
VECTORS = """select c.id, c.document, h.id, c.vector
    from semantic_index_chunk as c
    cross join semantic_index_document as d
    cross join semantic_index_home as h
    where c.generation = ? and c.vector is not null and d.id = c.document
    and h.generation = d.generation and h.tenant = d.tenant
    and h.collection = d.collection
    order by c.id"""


class State(NamedTuple):
    """How far the slots are. changes: transactions that changed anything.
    epoch: times all slots were laid out again.

    slots: taken so far. dead: of these, given up.
    """

    changes: int = 0
    epoch: int = 0
    slots: int = 0
    dead: int = 0


def slot_type(dimensions: int) -> np.dtype[Any]:
    """How a slot lies in a segment; all of it is zero while it is not taken."""
    fields = [
        ("chunk", "<i8"),
        ("document", "<i8"),
        ("home", "<i4"),
        ("scale", "<f4"),
        ("code", "i1", (dimensions,)),
    ]
    return np.dtype(fields)


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(codes, scales) of rows that are not zero; shapes (n, dimensions) and (n,).

    Of a damaged row they mean nothing.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = (np.abs(vectors).max(axis=1) / np.float32(HIGHEST)).astype(np.float32)
        return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def state_of(view: View) -> State:
    """The state this transaction sees; one row of a small table,
    so it may be asked before every search.
    """
    row = view.raw.execute(_STATE, (view.generation,)).fetchone()
    return State(*row) if row else State()


class Added(NamedTuple):
    """A chunk whose vector is to be scanned. home: see `home_of`. vector: bytes as stored."""

    chunk: int
    document: int
    home: int
    vector: bytes


def home_of(view: View, tenant: str, collection: str) -> int:
    """The number of this (tenant, collection); made if there is none."""
    values = (view.generation, tenant, collection)
    found = view.raw.execute(
        "select id from semantic_index_home where generation = ? and tenant = ? and collection = ?",
        values,
    ).get
    if found is None:
        made = """insert into semantic_index_home (generation, tenant, collection)
            values (?, ?, ?)
            returning id"""
        found = view.raw.execute(made, values).get
    return int(found)


def write(view: View, dimensions: int, added: Sequence[Added], dropped: Collection[int]) -> None:
    """Write what one transaction changes: `dropped` chunks lose their slots, `added` ones get
    theirs.

    A chunk whose vector changed is in both. Chunks without a slot may be dropped.
    """
    state = state_of(view)
    state = state._replace(changes=state.changes + 1)
    touched: set[int] = set()
    if dropped:
        state = state._replace(dead=state.dead + _give_up(view, dimensions, dropped, touched))
    for block in blocks_of(added):
        state = _take(view, dimensions, state, block, touched)
    view.raw.executemany(
        _TOUCH_SEGMENT, [(view.generation, number, state.changes) for number in sorted(touched)]
    )
    if state.dead > max(view.tuning.few_dead, MOST_DEAD * state.slots):
        state = _laid_out(view, dimensions, state, list(_living(view, dimensions)))
    view.raw.execute(_KEEP_STATE, (view.generation, *state))


def close_gaps(view: View, dimensions: int) -> None:
    """Move the living slots together, however few are dead."""
    state = state_of(view)
    if state.dead:
        moved = state._replace(changes=state.changes + 1)
        state = _laid_out(view, dimensions, moved, list(_living(view, dimensions)))
        view.raw.execute(_KEEP_STATE, (view.generation, *state))


def rebuild(view: View, dimensions: int) -> None:
    """Rebuild everything from the chunks and documents, whatever is there now."""
    generation = (view.generation,)
    view.raw.execute("delete from semantic_index_home where generation = ?", generation)
    view.raw.execute(
        """insert into semantic_index_home (generation, tenant, collection)
            select distinct generation, tenant, collection
            from semantic_index_document
            where generation = ?""",
        generation,
    )
    state = state_of(view)
    rows = (Added(*row) for row in view.raw.execute(VECTORS, generation))
    blocks = (slots_of(block, dimensions) for block in blocks_of(rows))
    state = _laid_out(view, dimensions, state._replace(changes=state.changes + 1), blocks)
    view.raw.execute(_KEEP_STATE, (view.generation, *state))


def segments_since(view: View, dimensions: int, change: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """(number, slots) of every segment changed after this change, in order of number."""
    kind = slot_type(dimensions)
    rows = view.raw.execute(SEGMENTS_SINCE, (view.generation, change))
    for number, slots in rows:
        yield number, np.frombuffer(slots, dtype=kind)


def blocks_of(rows: Iterable[Added]) -> Iterator[list[Added]]:
    """The rows, some at a time."""
    remaining = iter(rows)
    block = list(islice(remaining, _AT_ONCE))
    while block:
        yield block
        block = list(islice(remaining, _AT_ONCE))


def slots_of(added: Sequence[Added], dimensions: int) -> NDArray[Any]:
    """The slots these chunks get."""
    slots = np.zeros(len(added), dtype=slot_type(dimensions))
    slots["chunk"], slots["document"], slots["home"], blobs = zip(*added, strict=True)
    vectors = np.frombuffer(b"".join(blobs), dtype=STORED).reshape(len(added), dimensions)
    slots["code"], slots["scale"] = quantised(vectors)
    return slots


def _take(
    view: View, dimensions: int, state: State, added: Sequence[Added], touched: set[int]
) -> State:
    slots = slots_of(added, dimensions)
    size = view.tuning.segment
    place = state.slots
    _map(view, slots, place)
    done = 0
    while done < len(slots):
        number, offset = divmod(place + done, size)
        piece = slots[done : done + size - offset]
        if offset:
            _write_slots(view, number, offset, piece)
        else:
            _add_segment(view, number, piece)
        touched.add(number)
        done += len(piece)
    return state._replace(slots=place + len(slots))


def _map(view: View, slots: NDArray[Any], place: int) -> None:
    rows = [
        (view.generation, chunk, place + number)
        for number, chunk in enumerate(slots["chunk"].tolist())
    ]
    view.raw.executemany(
        "insert into semantic_index_slot (generation, chunk, place) values (?, ?, ?)", rows
    )


def _add_segment(view: View, number: int, piece: NDArray[Any]) -> None:
    data = piece.tobytes() + bytes((view.tuning.segment - len(piece)) * piece.dtype.itemsize)
    view.raw.execute(_ADD_SEGMENT, (view.generation, number, data))


def _write_slots(view: View, number: int, offset: int, piece: NDArray[Any]) -> None:
    """Over the empty slots of a segment, so that only the pages they lie on are written."""
    with _open_segment(view, number) as blob:
        blob.seek(offset * piece.dtype.itemsize)
        blob.write(piece.tobytes())


def _open_segment(view: View, number: int) -> Any:
    """The slots of a segment as a blob that can be written in place."""
    sql = "select id from semantic_index_segment where generation = ? and number = ?"
    row = int(view.raw.execute(sql, (view.generation, number)).get)
    return view.raw.blob_open("main", "semantic_index_segment", "slots", row, True)


def _give_up(view: View, dimensions: int, chunks: Collection[int], touched: set[int]) -> int:
    listed = json.dumps(sorted(chunks))
    given_up = view.raw.execute(_GIVE_UP, (view.generation, listed)).fetchall()
    by_segment: dict[int, list[int]] = {}
    for (place,) in given_up:
        number, offset = divmod(place, view.tuning.segment)
        by_segment.setdefault(number, []).append(offset)
    size = slot_type(dimensions).itemsize
    for number, offsets in by_segment.items():
        with _open_segment(view, number) as blob:
            for offset in offsets:
                blob.seek(offset * size)
                # The code, too: it reveals nearly as much as the vector did.
                blob.write(bytes(size))
    touched.update(by_segment)
    return len(given_up)


def _living(view: View, dimensions: int) -> Iterator[NDArray[Any]]:
    for _, slots in segments_since(view, dimensions, -1):
        yield slots[slots["chunk"] > 0].copy()


def _laid_out(view: View, dimensions: int, state: State, blocks: Iterable[NDArray[Any]]) -> State:
    """These slots, and no others, in as few segments as hold them."""
    every = list(blocks)
    for table in (
        "semantic_index_segment",
        "semantic_index_segment_change",
        "semantic_index_slot",
    ):
        view.raw.execute(f"delete from {table} where generation = ?", (view.generation,))
    slots = np.concatenate(every) if every else np.zeros(0, dtype=slot_type(dimensions))
    size = view.tuning.segment
    numbers = range(-(-len(slots) // size))
    for number in numbers:
        _add_segment(view, number, slots[number * size : (number + 1) * size])
    view.raw.executemany(
        _TOUCH_SEGMENT, [(view.generation, number, state.changes) for number in numbers]
    )
    _map(view, slots, 0)
    return state._replace(epoch=state.epoch + 1, slots=len(slots), dead=0)
