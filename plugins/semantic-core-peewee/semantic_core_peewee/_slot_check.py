"""Slots against the vectors they were made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from semantic_core_peewee._slots import (
    SEGMENT,
    VECTORS,
    Added,
    blocks_of,
    segments_since,
    slots_of,
    state_of,
)

if TYPE_CHECKING:
    from semantic_core_peewee._pool import View


def disagreements(view: View, dimensions: int) -> Iterator[str]:
    """Where slots and vectors do not agree, each in a line. Reads all of both."""
    state, held, dead = state_of(view), dict[int, tuple[int, int, bytes]](), 0
    for number, slots in segments_since(view, dimensions, -1):
        for offset, slot in enumerate(slots[: max(0, state.slots - number * SEGMENT)]):
            dead += int(slot["chunk"] == 0)
            if slot["chunk"]:
                held[int(slot["chunk"])] = (
                    number * SEGMENT + offset,
                    int(slot["document"]),
                    slot.tobytes(),
                )
    places = dict(
        view.raw.execute("select chunk, place from slot where generation = ?", (view.generation,))
    )
    if dead != state.dead or len(held) + dead != state.slots:
        yield (
            f"{state.slots:,} slots of which {state.dead:,} dead were noted, but {len(held):,} are "
            f"taken and {dead:,} dead"
        )
    for block in blocks_of(Added(*row) for row in view.raw.execute(VECTORS, (view.generation,))):
        for one, slot in zip(block, slots_of(block, dimensions), strict=True):
            place, _, data = held.pop(one.chunk, (None, 0, b""))
            if place is None or places.pop(one.chunk, None) != place:
                yield f"chunk {one.chunk}: its vector cannot be found by scanning"
            elif data != slot.tobytes():
                yield f"chunk {one.chunk}: its slot is not the one of its vector"
    for chunk in (*held, *places):
        yield f"chunk {chunk}: it has a slot but no vector"
