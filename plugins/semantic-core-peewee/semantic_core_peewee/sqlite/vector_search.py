"""Vector search: the nearest vectors in a scope, exactly.

The quantized vectors are scanned first (see `quantized`); the most promising are then compared in
float64 with what the file holds. If the worst of the result is not further from what was left out
than rounding explains, more are compared, so the result is exact. The scope is applied before
anything is chosen.

Tested by tests/sqlite/test_vector_search.py and tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from semantic_core.storage import STORED, as_query, cosines
from semantic_core.types import ChunkId, Ranking
from semantic_core_peewee.sqlite.errors import altered
from semantic_core_peewee.sqlite.ids import best_first, chunk_ids, numbers_of, rows_of
from semantic_core_peewee.sqlite.quantized import (
    CODES,
    NEVER,
    CodeCache,
    QuantizedBlock,
    QuantizedVectors,
    Query,
    best,
    current_state,
    largest_step,
    nth,
    score_all,
    score_rows,
    streamed,
)
from semantic_core_peewee.sqlite.records import check_vector
from semantic_core_peewee.sqlite.remembered import Remembered
from semantic_core_peewee.sqlite.segments import State, slot_type
from semantic_core_peewee.sqlite.selective_scopes import few_documents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Scope, Vector, Vectors
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View


# The slots in scope. Tenant and collections are read from the slots themselves, filters from the
# table of documents. A filter that leaves few documents is turned into rows of slots. One that
# leaves many is, the first time, checked on the candidates of a scan; when it is asked for again in
# the same state, its rows are worth their time.

GATHER_BELOW = 0.1
"""Part of the slots below which it is faster to gather them first than to score all of them."""
MOST_KEPT = 8
"""Scopes whose rows stay in memory, per state of the file."""

_KEPT = "scopes"


@attrs.frozen(eq=False)
class Matching:
    """The slots in scope.

    rows: which, ascending, if they are few. inside: whether each is, if they are many. Without
    both, all are. sums: with `inside`, those of every block (see `quantized.shifted`), but infinite
    outside, so that a scan scores minus infinity there. clause: still to be checked on candidates;
    None if nothing is. share: about which part of the slots is in scope.
    """

    rows: NDArray[np.intp] | None = None
    inside: NDArray[np.bool_] | None = None
    sums: tuple[NDArray[np.float32], ...] | None = None
    clause: Clause | None = None
    share: float = 1.0

    def slots(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """The slots at these places of the scores, which belong to `rows` if there are any."""
        if self.inside is not None:
            # Checked again, because a damaged scale may turn infinity into any number.
            return places[self.inside[places]]
        return places if self.rows is None else self.rows[places]


def matching(view: View, codes: QuantizedVectors, scope: Scope, clause: Clause) -> Matching:
    """The slots of this state that are in scope; remembered if that is worth it."""
    if clause.listed is not None:  # its documents are many numbers, and rarely the same ones again
        return _matching(view, codes, scope, clause, again=False)
    # Not the filter itself: in Python, one that asks for 1 equals one that asks for True.
    key = (clause.sql, clause.values)
    remembered: Remembered[Matching] = codes.kept.setdefault(_KEPT, Remembered(MOST_KEPT))
    found = remembered.get(key)
    if found is None or found.clause is not None:
        found = _matching(view, codes, scope, clause, again=found is not None)
        remembered.keep(key, found)
    return found


def _matching(
    view: View, codes: QuantizedVectors, scope: Scope, clause: Clause, *, again: bool
) -> Matching:
    if not scope.filter and clause.listed is None:
        return _in_homes(codes, scope)
    ids: Sequence[int] | NDArray[np.int64] | None = clause.listed
    if ids is None:
        ids = _every_document(view, clause) if again else few_documents(view, clause, len(codes))
    if ids is None:
        within = _in_homes(codes, scope)
        return attrs.evolve(within, clause=clause, share=within.share / 2)
    last = int(codes.column("documents").max(initial=0))
    # Where the numbers have wide gaps, a table of them would be mostly empty.
    if last > 64 * len(codes) + 4_096:
        listed = np.array(ids, dtype=np.int64)

        def is_listed(block: QuantizedBlock) -> NDArray[np.bool_]:
            return np.isin(block.documents, listed)

        return _matched(codes, is_listed)
    return _matched(codes, partial(_looked_up, _table(ids, last), "documents"))


def _in_homes(codes: QuantizedVectors, scope: Scope) -> Matching:
    """The slots of the tenant's collections that are asked for, whatever the filter."""
    wanted = []
    for name, number in codes.homes.get(scope.tenant, {}).items():
        if scope.collections is None or name in scope.collections:
            wanted.append(number)
    if len(wanted) == sum(map(len, codes.homes.values())):
        return Matching()
    # A slot that was given up still names its home, which may be gone: so not the last of `homes`.
    last = int(codes.column("homes").max(initial=0))
    return _matched(codes, partial(_looked_up, _table(wanted, last), "homes"))


def _looked_up(table: NDArray[np.bool_], column: str, block: QuantizedBlock) -> NDArray[np.bool_]:
    """Whether the table has the number that each slot of a block has in this column."""
    found: NDArray[np.bool_] = table[getattr(block, column)]
    return found


def _every_document(view: View, clause: Clause) -> list[int]:
    sql = f"select d.id from semantic_index_document as d where {clause.sql}"
    return [id for (id,) in view.raw.execute(sql, clause.values)]


def _table(numbers: Sequence[int] | NDArray[np.int64], last: int) -> NDArray[np.bool_]:
    """A table from 0 to `last` in which these numbers are True; larger ones are left out."""
    table = np.zeros(last + 1, dtype=bool)
    inside = np.asarray(numbers, dtype=np.int64)
    table[inside[inside <= last]] = True
    return table


def _matched(
    codes: QuantizedVectors, inside: Callable[[QuantizedBlock], NDArray[np.bool_]]
) -> Matching:
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
    # To subtract other sums costs nothing; to choose by a mask, whose branches the processor cannot
    # predict, costs as much as the scan.
    sums = []
    for block, mask in masks:
        if len(block.sums):
            sums.append(np.where(mask, block.sums[: len(mask)], np.float32(np.inf)))
    return Matching(inside=whole, sums=tuple(sums), share=share)


SOURCE = "vector"
SPARE = 8
"""Slots looked at beyond those wanted where a filter is checked on them,
and as many as an eighth of them.
"""

_IN_SCOPE = """from semantic_index_document as d
    cross join semantic_index_chunk as c
    where c.document = d.id and"""
_HELD = "select c.vector, c.id, c.fingerprint, c.vector_crc from json_each(?) as j"
_ANY = "cross join semantic_index_chunk as c where c.id = j.value and c.vector is not null"
_IN = """cross join semantic_index_chunk as c
    cross join semantic_index_document as d
    where c.id = j.value and c.vector is not null and d.id = c.document and"""
Found = tuple[list[Any], "Vector"]
"""Rows of _HELD, and their exact scores."""


VECTORS = "vectors"
"""What the last search of a transaction compared: the bytes of a vector by the chunk's number."""
MOST_HELD = 1_000
"""Vectors that are held for the rest of a transaction; more would take much memory."""


class Behind(Exception):
    """This transaction sees an older state than the process has in memory; a newer transaction can
    be served at once.
    """


class VectorIndex:
    """Nearest neighbours and exact similarities of one store.

    budget: bytes of quantized vectors it may hold in memory; above, every search reads them from
    the file.
    """

    def __init__(self, dimensions: int, budget: int) -> None:
        self._dimensions = dimensions
        self._budget = budget
        self._slot_bytes = slot_type(dimensions).itemsize
        self._cache = CodeCache(dimensions)

    @property
    def memory(self) -> int:
        """Bytes held for vectors."""
        return self._cache.memory

    def forget(self) -> None:
        """Give that memory back."""
        self._cache.forget()

    def query(self, vector: object) -> NDArray[np.float64]:
        """The query as it is compared. Raises VectorInvalid."""
        return as_query(vector, self._dimensions)

    def nearest(
        self,
        view: View,
        query: NDArray[np.float64],
        limit: int,
        scope: Scope,
        clause: Clause,
        *,
        patient: bool,
    ) -> Ranking:
        """The best `limit` chunks in scope; equal scores by ChunkId.

        patient: score an older state in SQL rather than raise Behind.
        """
        if limit <= 0:
            return Ranking(SOURCE)
        rows, scores = _best(*self._found(view, query, limit, scope, clause, patient), limit)
        for vector, _, fingerprint, crc in rows:
            check_vector(fingerprint, vector, crc)
        if limit <= MOST_HELD:
            view.kept[VECTORS] = {row[1]: row[0] for row in rows}
        exact = {row[1]: score for row, score in zip(rows, scores.tolist(), strict=True)}
        return best_first(SOURCE, chunk_ids(view, exact), exact, limit)

    def of(self, view: View, ids: Sequence[ChunkId]) -> Vectors:
        """The vector of each of these chunks; NaN where there is none."""
        vectors = np.full((len(ids), self._dimensions), np.nan, dtype=np.float32)
        held: dict[int, bytes] = view.kept.get(VECTORS, {})
        places: list[int] = []
        blobs: list[bytes] = []
        others: list[int] = []
        for place, number in enumerate(numbers_of(view, ids)):
            if number in held:
                places.append(place)
                blobs.append(held[number])
            elif number is not None:
                others.append(place)
        rows = rows_of(
            view,
            [ids[place] for place in others],
            "c.vector, c.fingerprint, c.vector_crc",
            of_document=False,
        )
        for place, blob, fingerprint, crc in rows:
            if blob is not None:
                check_vector(fingerprint, blob, crc)
                places.append(others[place])
                blobs.append(blob)
        if places:
            vectors[places] = self._unpacked(blobs)
        return vectors

    def similarity(self, view: View, ids: Sequence[ChunkId], query: NDArray[np.float64]) -> Vector:
        """Cosine of each of these chunks; NaN where there is none."""
        scores = np.full(len(ids), np.nan, dtype=np.float32)
        rows = rows_of(view, ids, "c.vector, c.fingerprint, c.vector_crc", of_document=False)
        places: list[int] = []
        blobs: list[bytes] = []
        for place, blob, fingerprint, crc in rows:
            if blob is not None:
                check_vector(fingerprint, blob, crc)
                places.append(place)
                blobs.append(blob)
        if places:
            scores[places] = cosines(self._unpacked(blobs), query)
        return scores

    def _found(
        self,
        view: View,
        query: NDArray[np.float64],
        limit: int,
        scope: Scope,
        clause: Clause,
        patient: bool,
    ) -> Found:
        if not self._cache.loaded and self._are_few(view, clause):
            return self._in_sql(view, query, limit, clause)
        state = current_state(view)
        coded = Query(query)
        if state.slots * self._slot_bytes > self._budget:
            return self._streamed(view, state, coded, query, limit, scope, clause)
        codes = self._cache.at(view, state)
        if codes is None:
            if not patient:
                raise Behind
            return self._in_sql(view, query, limit, clause)
        view.kept[CODES] = codes
        within = matching(view, codes, scope, clause)
        rows = within.rows
        if rows is None:
            scores = score_all(coded, codes, within.sums)
        else:
            scores = score_rows(coded, codes, rows)
        return self._chosen(view, codes, scores, within, coded, query, limit)

    def _streamed(
        self,
        view: View,
        state: State,
        coded: Query,
        query: NDArray[np.float64],
        limit: int,
        scope: Scope,
        clause: Clause,
    ) -> Found:
        self._cache.forget()
        codes, scores = streamed(view, self._dimensions, state, coded)
        within = matching(view, codes, scope, clause)
        if within.rows is not None:
            scores = scores[within.rows]
        if within.inside is not None:
            scores[~within.inside] = NEVER
        return self._chosen(view, codes, scores, within, coded, query, limit)

    def _chosen(
        self,
        view: View,
        codes: QuantizedVectors,
        scores: Vector,
        within: Matching,
        coded: Query,
        query: NDArray[np.float64],
        limit: int,
    ) -> Found:
        """The best of the slots `within`, and some more, given their rough scores."""
        step = largest_step(codes)
        # What stands last may itself be one deviation off.
        slack = max(0.0, -coded.rough(-coded.deviation(step), step))
        wanted = limit
        if within.clause is not None:
            wanted = int(
                (limit + max(SPARE, limit // SPARE))
                / max(within.share, limit / max(limit, len(scores)))
            )
        while True:
            places, edge = best(scores, wanted, slack)
            rows, exact = self._exact(
                view, codes.chunks_at(within.slots(places)), query, within.clause
            )
            if len(rows) >= limit or edge <= NEVER:
                break
            wanted *= 4  # most of these were dead, or not what is asked for
        if edge > NEVER:
            bound = coded.rough(nth(exact, limit), step)
            if bound < edge:
                places = np.flatnonzero((scores >= bound) & (scores < edge))
                further = self._exact(
                    view, codes.chunks_at(within.slots(places)), query, within.clause
                )
                return rows + further[0], np.concatenate([exact, further[1]])
        return rows, exact

    def _exact(
        self,
        view: View,
        chunks: NDArray[np.int64],
        query: NDArray[np.float64],
        clause: Clause | None = None,
    ) -> Found:
        """Those of these chunks that have a vector and fulfil the clause, with their exact scores;
        0 is no chunk.
        """
        listed = json.dumps(chunks[chunks > 0].tolist())
        if clause is None:
            found = view.raw.execute(f"{_HELD} {_ANY}", (listed,))
        else:
            condition, values = clause.each
            found = view.raw.execute(f"{_HELD} {_IN} {condition}", (listed, *values))
        rows = found.fetchall()
        scores = cosines(self._unpacked([row[0] for row in rows]), query)
        if not np.isfinite(scores.sum()):
            raise altered("A vector")
        return rows, scores

    def _are_few(self, view: View, clause: Clause) -> bool:
        sql = f"select count(*) from (select 1 {_IN_SCOPE} {clause.sql} limit ?)"
        few = view.tuning.few_chunks
        return bool(view.raw.execute(sql, (*clause.values, few + 1)).get <= few)

    def _in_sql(self, view: View, query: NDArray[np.float64], limit: int, clause: Clause) -> Found:
        sql = (
            f"select c.id, vec_distance_cosine(c.vector, ?) {_IN_SCOPE} {clause.sql} "
            "and c.vector is not null"
        )
        rows = view.raw.execute(sql, (query.astype(STORED).tobytes(), *clause.values)).fetchall()
        chunks = np.array([chunk for chunk, _ in rows], dtype=np.int64)
        rough = 1.0 - np.array([distance for _, distance in rows], dtype=np.float32)
        return self._exact(view, chunks[_candidates(rough, limit, len(query))], query)

    def _unpacked(self, blobs: Sequence[bytes]) -> NDArray[np.float32]:
        return np.frombuffer(b"".join(blobs), dtype=STORED).reshape(-1, self._dimensions)


def _candidates(rough: Vector, limit: int, dimensions: int) -> NDArray[np.intp]:
    """The places of all that may be among the best `limit`, given how far a float32 score can be
    off.
    """
    if len(rough) <= limit:
        return np.arange(len(rough))
    slack = 1e-5 + dimensions * float(np.finfo(np.float32).eps)
    return np.flatnonzero(rough >= nth(rough, limit) - slack)


def _best(rows: list[Any], scores: Vector, limit: int) -> Found:
    """The best `limit`, and all that share the last score."""
    if len(rows) <= limit:
        return rows, scores
    inside = np.flatnonzero(scores >= nth(scores, limit))
    return [rows[place] for place in inside.tolist()], scores[inside]
