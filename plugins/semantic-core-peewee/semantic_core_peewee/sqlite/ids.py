"""From rows of the file to the ids the product speaks, and back.

A number is never given twice, and a document never changes its address: what was read of either
stays true.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from sys import intern
from typing import Any

from semantic_core.types import ChunkId, Ranking, Ref
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.records import of_rows

_ROWS = "chunks"
_IDS = """select c.id, c.position, d.collection, d.key, d.tenant from json_each(?) as j
    cross join semantic_index_chunk as c cross join semantic_index_document as d
    where c.id = j.value and d.id = c.document"""
_NUMBERS = """select j.key, c.id from json_each(?) as j cross join semantic_index_document as d
    cross join semantic_index_chunk as c where d.generation = ? and d.tenant = j.value ->> 0
    and d.collection = j.value ->> 1 and d.key = j.value ->> 2
    and c.document = d.id and c.position = j.value ->> 3"""
_CHUNK = "cross join semantic_index_chunk as c where c.id = j.value"
_CHUNK_AND_DOCUMENT = """cross join semantic_index_chunk as c
    cross join semantic_index_document as d where c.id = j.value and d.id = c.document"""


def chunk_ids(view: View, chunks: Collection[int]) -> dict[int, ChunkId]:
    """The ids of these rows of `chunk`."""
    known = {} if view.ids is None else view.ids
    found = {chunk: id for chunk in chunks if (id := known.get(chunk)) is not None}
    if len(found) < len(chunks):
        unknown = json.dumps([chunk for chunk in chunks if chunk not in found])
        read = _made(view.raw.execute(_IDS, (unknown,)))
        if len(known) + len(read) > view.tuning.most_ids:
            known.clear()
        known.update(read)
        found.update(read)
    view.kept.setdefault(_ROWS, {}).update(zip(found.values(), found, strict=True))
    return found


@of_rows
def _made(rows: Iterable[tuple[int, int, str, str, str]]) -> dict[int, ChunkId]:
    return {
        chunk: ChunkId(Ref(intern(collection), key, intern(tenant)), position)
        for chunk, position, collection, key, tenant in rows
    }


def best_first(
    source: str, ids: Mapping[int, ChunkId], scores: Mapping[int, float], limit: int
) -> Ranking:
    """The best `limit` of them; equal scores in order of ChunkId."""
    best = sorted([(-scores[chunk], id) for chunk, id in ids.items()])[:limit]
    return Ranking(source, tuple([id for _, id in best]), tuple([-score for score, _ in best]))


def rows_of(
    view: View, ids: Sequence[ChunkId], columns: str, *, of_document: bool = True
) -> Iterator[tuple[Any, ...]]:
    """(place in `ids`, *columns of chunk c, and of document d) of those that are there, in any
    order; one query for all.
    """
    numbers = numbers_of(view, ids)
    places: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        if number is not None:
            places.setdefault(number, []).append(place)
    found = view.raw.execute(
        (
            f"select c.id, {columns} from json_each(?) as j "
            f"{_CHUNK_AND_DOCUMENT if of_document else _CHUNK}"
        ),
        (json.dumps(list(places)),),
    )
    return ((place, *row) for number, *row in found for place in places[number])


def numbers_of(view: View, ids: Sequence[ChunkId]) -> list[int | None]:
    """The row of `chunk` of each of these ids; None where there is none.

    Those this transaction has not met yet are looked up.
    """
    known: dict[ChunkId, int] = view.kept.setdefault(_ROWS, {})
    numbers = [known.get(id) for id in ids]
    unknown = [place for place, number in enumerate(numbers) if number is None]
    if unknown:
        wanted = [
            (id.ref.tenant, id.ref.collection, id.ref.key, id.position)
            for id in map(ids.__getitem__, unknown)
        ]
        asked = (json.dumps(wanted, ensure_ascii=False), view.generation)
        for place, number in view.raw.execute(_NUMBERS, asked):
            numbers[unknown[place]] = known[ids[unknown[place]]] = number
    return numbers
