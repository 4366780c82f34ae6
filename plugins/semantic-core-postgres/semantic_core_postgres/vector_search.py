"""Vector search: pgvector finds candidates, whose exact cosines are then computed here.

A scope with few chunks is compared whole, so the answer is exact. In a larger one the HNSW index of
pgvector is searched, which goes on until enough chunks of the scope were found; if it gives up
before, the scope is compared whole after all.

Tested by tests/test_contract.py and tests/test_searching.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from semantic_core.storage import STORED, as_query, cosines
from semantic_core.types import ChunkId, Ranking, Ref
from semantic_core_postgres.migrations import MOST_INDEXED
from semantic_core_postgres.read import rows_of
from semantic_core_postgres.texts import decoded
from semantic_core_postgres.write import code_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Vector, Vectors
    from semantic_core_postgres.filters import Clause
    from semantic_core_postgres.pool import View

    Query = NDArray[np.float64]

SOURCE = "vector"
MARGIN = 2e-3
"""How much further than the last candidate another may be and still be better: a halfvec has 11
bits, so a cosine of it differs by less than 2 ** -10.
"""
_SCOPE = """from {s}.chunk as c
    join {s}.document as d on d.tenant = c.tenant and d.id = c.document
    where c.tenant = %s and c.vector is not null"""
_READ = """select c.position, d.tenant, d.collection, d.key, c.vector
    from {s}.chunk as c
    join {s}.document as d on d.tenant = c.tenant and d.id = c.document
    where c.tenant = %s and c.id = any(%s::bigint[])"""


@attrs.frozen
class Effort:
    """How much is done for a search.

    few_chunks: a scope with at most so many is compared whole. candidates: how many chunks the
    index looks at for one search, at least. spare: candidates for each hit that is wanted.
    most_scanned: chunks that the index looks at before it gives up.
    """

    few_chunks: int = 5_000
    candidates: int = 100
    spare: int = 2
    most_scanned: int = 40_000


EFFORTS: dict[str, Effort] = {
    "usual": Effort(),
    "high": Effort(few_chunks=20_000, candidates=400, spare=4, most_scanned=200_000),
    "exact": Effort(few_chunks=2**31 - 1),
}


class VectorSearch:
    """The vector search of one store."""

    def __init__(self, dimensions: int, effort: Effort) -> None:
        self._dimensions = dimensions
        self._effort = effort

    def query(self, vector: object) -> Query:
        """A query of length 1. Raises VectorInvalid."""
        return as_query(vector, self._dimensions)

    def nearest(self, view: View, query: Query, limit: int, clause: Clause) -> Ranking:
        """See `Store.nearest`."""
        if limit <= 0:
            return Ranking(SOURCE)
        chunks: list[int] | None = None
        if self._dimensions <= MOST_INDEXED and not self._is_small(view, clause):
            chunks = self._by_index(view, query, limit, clause)
        if chunks is None:
            chunks = self._whole(view, query, limit, clause)
        return self._ranked(view, query, limit, clause.tenant, chunks)

    def similarity(self, view: View, ids: Sequence[ChunkId], query: Query) -> Vector:
        """See `Store.similarity`."""
        scores = np.full(len(ids), np.nan, dtype=np.float32)
        places = []
        blobs = []
        for place, blob in rows_of(view, ids, "c.vector"):
            if blob is not None:
                places.append(place)
                blobs.append(blob)
        if blobs:
            scores[places] = cosines(self._matrix(blobs), query)
        return scores

    def of(self, view: View, ids: Sequence[ChunkId]) -> Vectors:
        """See `ChunkVectors.vectors`."""
        vectors = np.full((len(ids), self._dimensions), np.nan, dtype=np.float32)
        for place, blob in rows_of(view, ids, "c.vector"):
            if blob is not None:
                vectors[place] = np.frombuffer(blob, dtype=STORED)
        return vectors

    def _is_small(self, view: View, clause: Clause) -> bool:
        """Whether the scope has few chunks."""
        most = self._effort.few_chunks
        count = view.value(
            f"select count(*) from (select 1 {_SCOPE} and {clause.sql} limit %s) as few",
            (clause.tenant, *clause.values, most + 1),
        )
        return int(count) <= most

    def _by_index(self, view: View, query: Query, limit: int, clause: Clause) -> list[int] | None:
        """Candidates by the index; None if it found too few."""
        wanted = max(self._effort.spare * limit, self._effort.candidates)
        seen = min(wanted, 1_000)
        settings = (
            ("hnsw.iterative_scan", "relaxed_order"),
            ("hnsw.ef_search", str(seen)),
            ("hnsw.max_scan_tuples", str(max(self._effort.most_scanned, 4 * wanted))),
        )
        for name, value in settings:
            view.run("select set_config(%s, %s, true)", (name, value))
        among = f" and {clause.sql}" if clause.narrows else ""
        values: tuple[Any, ...] = clause.values if clause.narrows else ()
        found = view.rows(
            f"select c.id {_SCOPE}{among} "
            "order by c.code operator({v}.<=>) %s::{v}.halfvec limit %s",
            (clause.tenant, *values, self._code(query), wanted),
        )
        return [id for (id,) in found] if len(found) >= limit else None

    def _whole(self, view: View, query: Query, limit: int, clause: Clause) -> list[int]:
        """Every chunk of the scope that may be among the best."""
        found = view.rows(
            f"""with scoped as materialized (
                    select c.id, c.code operator({{v}}.<=>) %s::{{v}}.halfvec as far
                    {_SCOPE} and {clause.sql}),
                edge as (
                    select max(far) + {MARGIN} as far
                    from (select far from scoped order by far limit %s) as best)
                select s.id from scoped as s, edge as e where s.far <= e.far""",
            (self._code(query), clause.tenant, *clause.values, limit),
        )
        return [id for (id,) in found]

    def _ranked(
        self, view: View, query: Query, limit: int, tenant: str, chunks: Sequence[int]
    ) -> Ranking:
        """The best of these chunks; equal scores in the order of ChunkId."""
        ids = []
        blobs = []
        for position, of_tenant, collection, key, blob in view.rows(_READ, (tenant, list(chunks))):
            ref = Ref(decoded(collection), decoded(key), decoded(of_tenant))
            ids.append(ChunkId(ref, position))
            blobs.append(blob)
        if not ids:
            return Ranking(SOURCE)
        scores = cosines(self._matrix(blobs), query)
        order = np.argsort(-scores, kind="stable")
        if len(order) > limit:
            worst = scores[order[limit - 1]]
            order = order[scores[order] >= worst]
        best = sorted([(-float(scores[place]), ids[place]) for place in order.tolist()])[:limit]
        return Ranking(SOURCE, tuple([id for _, id in best]), tuple([-score for score, _ in best]))

    def _matrix(self, blobs: Sequence[bytes]) -> NDArray[np.float32]:
        return np.frombuffer(b"".join(blobs), dtype=STORED).reshape(-1, self._dimensions)

    def _code(self, query: Query) -> str | None:
        return code_of(query.astype(STORED).tobytes())
