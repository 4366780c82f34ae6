"""Which slots are in scope: tenant and collections from the slots themselves,
filters from the table of documents.

A filter that lets few documents through is turned into rows of slots. One that lets many through
is, the first time, checked on the candidates of a scan instead; asked again in the same state, it
is worth its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from semantic_core_peewee._codes import Block, Codes
from semantic_core_peewee._few import few_documents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Scope
    from semantic_core_peewee._pool import View
    from semantic_core_peewee._scope import Clause

GATHER_BELOW = 0.1
"""Part of the slots below which it is cheaper to gather them first than to score all and choose."""
MOST_KEPT = 8
"""Scopes whose rows are kept per state of the file."""

_KEPT = "scopes"


@attrs.frozen(eq=False)
class Matching:
    """The slots in scope. rows: which, ascending, if they are few. inside: if they are not, whether
    each is; without both, all are. sums: with `inside`, those of every block (see
    `_codes.shifted`), but infinite outside: a scan that takes these scores minus infinity there.
    clause: still to be checked on candidates; None if not. share: part of the slots that are in
    scope, about.
    """

    rows: NDArray[np.intp] | None = None
    inside: NDArray[np.bool_] | None = None
    sums: tuple[NDArray[np.float32], ...] | None = None
    clause: Clause | None = None
    share: float = 1.0

    def slots(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """The slots in scope at these places of the scores:
        all scores belong to `rows` if there are any.
        """
        if self.inside is not None:
            # Again: whatever a damaged scale makes of infinity, it is not in scope.
            return places[self.inside[places]]
        return places if self.rows is None else self.rows[places]


def matching(view: View, codes: Codes, scope: Scope, clause: Clause) -> Matching:
    """What of this state is in scope."""
    # Not the filter itself: in Python, one that asks for 1 equals one that asks for True.
    key = (clause.sql, clause.values)
    kept: dict[Any, Matching | None] = codes.kept.setdefault(_KEPT, {})
    found = kept.get(key)
    if found is None:
        found = _matching(view, codes, scope, clause, again=key in kept)
        while len(kept) >= MOST_KEPT:
            kept.pop(next(iter(kept)), None)
        kept[key] = found if found.clause is None else None
    return found


def _matching(view: View, codes: Codes, scope: Scope, clause: Clause, *, again: bool) -> Matching:
    homes = codes.homes.get(scope.tenant, {})
    wanted = [
        number
        for name, number in homes.items()
        if scope.collections is None or name in scope.collections
    ]
    everywhere = len(wanted) == sum(map(len, codes.homes.values()))
    # As far as any slot says: one that was given up still names its home, which may be gone.
    last_home = int(codes.column("homes").max(initial=0))
    allowed = _table([number for number in wanted if number <= last_home], last_home)
    if not scope.filter:
        return Matching() if everywhere else _matched(codes, lambda block: allowed[block.homes])
    ids = _every_document(view, clause) if again else few_documents(view, clause, codes.state)
    if ids is None:
        within = Matching() if everywhere else _matched(codes, lambda block: allowed[block.homes])
        return attrs.evolve(within, clause=clause, share=within.share / 2)
    last = int(codes.column("documents").max(initial=0))
    # Numbers with wide gaps: a table of them would be mostly empty.
    if last > 64 * len(codes) + 4_096:
        listed = np.array(ids, dtype=np.int64)
        return _matched(codes, lambda block: np.isin(block.documents, listed))
    documents = _table([id for id in ids if id <= last], last)
    return _matched(codes, lambda block: documents[block.documents])


def _every_document(view: View, clause: Clause) -> list[int]:
    sql = f"select d.id from document as d where {clause.sql}"  # noqa: S608 - question marks only
    return [id for (id,) in view.raw.execute(sql, clause.values)]


def _table(numbers: list[int], last: int) -> NDArray[np.bool_]:
    table = np.zeros(last + 1, dtype=bool)
    table[numbers] = True
    return table


def _matched(codes: Codes, inside: Callable[[Block], NDArray[np.bool_]]) -> Matching:
    found = [np.zeros(0, dtype=bool)]
    for number, block in enumerate(codes.blocks):
        taken = codes.taken(number)
        mask = inside(
            attrs.evolve(block, documents=block.documents[:taken], homes=block.homes[:taken])
        )
        found.append(mask & (codes.chunks[number][:taken] > 0))
    whole = np.concatenate(found)
    share = float(np.count_nonzero(whole)) / max(1, len(whole))
    if share < GATHER_BELOW:
        return Matching(np.flatnonzero(whole), share=share)
    ends = np.cumsum([codes.taken(number) for number in range(len(codes.blocks))])[:-1]
    masks = zip(codes.blocks, np.split(whole, ends), strict=True)
    # To subtract other numbers costs nothing; to choose by a mask, whose branches nobody can
    # predict, as much as the scan.
    sums = tuple(
        np.where(mask, block.sums[: len(mask)], np.float32(np.inf))
        for block, mask in masks
        if len(block.sums)
    )
    return Matching(inside=whole, sums=sums, share=share)
