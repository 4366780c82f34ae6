"""Scopes of few documents, found without looking at all of them; and scopes that are asked again, remembered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_core_peewee._codes import current_state

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee._pool import View
    from semantic_core_peewee._scope import Clause
    from semantic_core_peewee._slots import State

SELECTIVE = 0.02
"""Part of the chunks below which the documents of a scope are few."""
FEW_DOCUMENTS = 1_000
"""Documents that are always few."""
MOST_REMEMBERED = 4
"""Scopes whose chunks are remembered: eight bytes each for every chunk in them."""


WORTH_KNOWING = 4
"""Times a scope is asked for in one state before its chunks are listed, which takes a few times as long as a search."""


class KnownScopes:
    """The chunks in scopes that are asked again and again while nothing changes; safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[Any, int | NDArray[np.int64]] = {}

    def chunks(self, view: View, clause: Clause) -> NDArray[np.int64] | None:
        """The rows of `chunk` in scope, ascending; None while this state has seldom been asked for them."""
        key = (view.generation, current_state(view), clause.sql, clause.values)
        found = self._known.get(key, 0)
        if isinstance(found, int):
            found = self._listed(view, clause) if found + 1 >= WORTH_KNOWING else found + 1
        # Put anew rather than changed, so no lock is needed: what another thread adds meanwhile is asked for once more.
        others = {other: held for other, held in self._known.items() if other != key}
        self._known = dict([*others.items(), (key, found)][-MOST_REMEMBERED:])
        return None if isinstance(found, int) else found

    def _listed(self, view: View, clause: Clause) -> NDArray[np.int64]:
        sql = f"""select c.id from document as d cross join chunk as c indexed by chunk_place
            where c.document = d.id and {clause.sql} order by c.id"""  # noqa: S608 - question marks only
        return np.array([id for (id,) in view.raw.execute(sql, clause.values)], dtype=np.int64)


def few_documents(view: View, clause: Clause, state: State) -> list[int] | None:
    """The documents in scope, if one of its conditions alone leaves few; else None."""
    most = int(max(FEW_DOCUMENTS, SELECTIVE * state.slots))
    for source, values in clause.sources:
        ids = view.raw.execute(f"select * from ({source}) limit ?", (*values, most + 1)).fetchall()  # noqa: S608 - ours
        if len(ids) <= most:
            sql = f"""select d.id from json_each(?) as j cross join document as d
                where d.id = j.value and {clause.each[0]}"""  # noqa: S608 - question marks only
            rows = view.raw.execute(sql, (json.dumps([id for (id,) in ids]), *clause.each[1]))
            return [id for (id,) in rows]
    return None
