"""Scopes of few documents, found without looking at all of them;
and scopes that are asked again, remembered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_core_peewee.sqlite.quantized import current_state

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.segments import State

MOST_REMEMBERED = 4
"""Scopes whose chunks are remembered: about ten bytes each for every chunk in them."""


_GAPS = 64
"""Gaps between the numbers of chunks, on average,
up to which a table of all numbers is worth its memory.
"""


class Known:
    """Chunks that are known to be in scope, ascending."""

    def __init__(self, chunks: Sequence[int] | NDArray[np.int64]) -> None:
        self.chunks = np.asarray(chunks, dtype=np.int64)
        self._table: NDArray[np.bool_] | None = None
        if len(chunks) and 0 <= self.chunks[0] <= self.chunks[-1] <= _GAPS * len(chunks):
            self._table = np.zeros(int(self.chunks[-1]) + 2, dtype=bool)
            self._table[self.chunks] = True

    def __len__(self) -> int:
        return len(self.chunks)

    def holds(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of these are among them."""
        return (
            among(self.chunks, numbers)
            if self._table is None
            else self._table.take(numbers, mode="clip")
        )


def among(ascending: NDArray[np.int64], numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of these numbers are among those that ascend; `np.isin` cannot know that they do,
    and takes longer.
    """
    if not len(ascending):
        return np.zeros(len(numbers), dtype=bool)
    held: NDArray[np.bool_] = (
        ascending.take(np.searchsorted(ascending, numbers), mode="clip") == numbers
    )
    return held


class KnownScopes:
    """The chunks in scopes that are asked again and again while nothing changes;
    safe to share between threads.
    """

    def __init__(self) -> None:
        self._known: dict[Any, int | Known] = {}

    def chunks(self, view: View, clause: Clause) -> Known | None:
        """The rows of `chunk` in scope, ascending;
        None while this state has seldom been asked for them.
        """
        key = (view.generation, current_state(view), clause.sql, clause.values)
        found = self._known.get(key, 0)
        if isinstance(found, int):
            found += 1
            if found >= view.tuning.list_scope_after:
                found = self._listed(view, clause)
        # Put anew rather than changed, so no lock is needed: what another thread adds meanwhile is
        # asked for once more.
        others = {other: held for other, held in self._known.items() if other != key}
        self._known = dict([*others.items(), (key, found)][-MOST_REMEMBERED:])
        return None if isinstance(found, int) else found

    def _listed(self, view: View, clause: Clause) -> Known:
        sql = f"""select group_concat(c.id) from semantic_index_document as d
            cross join semantic_index_chunk as c indexed by semantic_index_chunk_place
            where c.document = d.id and {clause.sql}"""
        return Known(np.sort(numbers(view.raw.execute(sql, clause.values).get)))


def few_documents(view: View, clause: Clause, state: State) -> list[int] | None:
    """The documents in scope, if one of its conditions alone leaves few; else None."""
    tuning = view.tuning
    most = int(max(tuning.few_documents, tuning.selective * state.slots))
    for source, values in clause.sources:
        ids = view.raw.execute(f"select * from ({source}) limit ?", (*values, most + 1)).fetchall()
        if len(ids) <= most:
            sql = f"""select d.id from json_each(?) as j cross join semantic_index_document as d
                where d.id = j.value and {clause.each[0]}"""
            rows = view.raw.execute(sql, (json.dumps([id for (id,) in ids]), *clause.each[1]))
            return [id for (id,) in rows]
    return None


def numbers(listed: str | None) -> NDArray[np.int64]:
    """What ``group_concat`` of whole numbers gives; none for None.

    Many in one row: to step through rows is to give Python's lock away at each.
    """
    if not listed:
        return np.zeros(0, dtype=np.int64)
    return np.fromstring(listed, dtype=np.int64, sep=",")
