"""From rows of the file to the ids the product speaks, and back."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from semantic_core.types import ChunkId, Ranking, Ref
from semantic_core_peewee._pool import View
from semantic_core_peewee._rows import of_rows


def chunk_ids(view: View, chunks: Collection[int]) -> dict[int, ChunkId]:
    """The ids of these rows of `chunk`."""
    rows = view.raw.execute(
        """select c.id, d.collection, d.key, d.tenant, c.position
        from json_each(?) as j cross join chunk as c indexed by chunk_owner cross join document as d
        where c.id = j.value and d.id = c.document""",
        (json.dumps(list(chunks)),),
    )
    return ids_of(rows)


@of_rows
def ids_of(rows: Iterable[tuple[int, str, str, str, int]]) -> dict[int, ChunkId]:
    """The ids of chunks, given as (row of `chunk`, collection, key, tenant, position)."""
    return {row: ChunkId(Ref(collection, key, tenant), position) for row, collection, key, tenant, position in rows}


def best_first(source: str, ids: Mapping[int, ChunkId], scores: Mapping[int, float], limit: int) -> Ranking:
    """The best `limit` of them; equal scores in order of ChunkId."""
    best = sorted(ids, key=lambda chunk: (-scores[chunk], ids[chunk]))[:limit]
    return Ranking(source, tuple(ids[chunk] for chunk in best), tuple(scores[chunk] for chunk in best))


def rows_of(view: View, ids: Sequence[ChunkId], columns: str) -> Iterator[tuple[Any, ...]]:
    """(place in `ids`, *columns of chunk c and document d) of those that are there, in any order; one query for all."""
    wanted = [(id.ref.tenant, id.ref.collection, id.ref.key, id.position) for id in ids]
    rows: Iterator[tuple[Any, ...]] = view.raw.execute(
        f"""select j.key, {columns} from json_each(?) as j cross join document as d cross join chunk as c
        where d.generation = ? and d.tenant = j.value ->> 0 and d.collection = j.value ->> 1 and d.key = j.value ->> 2
        and c.document = d.id and c.position = j.value ->> 3""",  # noqa: S608 - columns are named by this package
        (json.dumps(wanted, ensure_ascii=False), view.generation),
    )
    return rows
