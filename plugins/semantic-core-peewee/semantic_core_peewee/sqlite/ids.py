"""The ids of chunks: which ChunkId a row of the file has, and which row a ChunkId has.

A row number is never given twice and a document never changes its Ref, so what was read of either
stays true and may stay in memory.

Tested by tests/sqlite/test_text_search.py and tests/sqlite/test_vector_search.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from sys import intern
from typing import Any

import attrs

from semantic_core.types import ChunkId, Ranking, Ref
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.records import of_rows

_ROWS = "chunks"
_IDS = """select c.id, c.position, d.collection, d.key, d.tenant
    from json_each(?) as j
    cross join semantic_index_chunk as c
    cross join semantic_index_document as d
    where c.id = j.value and d.id = c.document"""
_NUMBERS = """select j.key, c.id
    from json_each(?) as j
    cross join semantic_index_document as d
    cross join semantic_index_chunk as c
    where d.generation = ? and d.tenant = j.value ->> 0
    and d.collection = j.value ->> 1 and d.key = j.value ->> 2
    and c.document = d.id and c.position = j.value ->> 3"""
_CHUNK = "cross join semantic_index_chunk as c where c.id = j.value"
_CHUNK_AND_DOCUMENT = """cross join semantic_index_chunk as c
    cross join semantic_index_document as d
    where c.id = j.value and d.id = c.document"""


def chunk_ids(view: View, chunks: Collection[int]) -> dict[int, ChunkId]:
    """The ids of these rows of the chunk table."""
    known = {} if view.shared is None else view.shared.ids
    found: dict[int, ChunkId] = {}
    for chunk in chunks:
        id = known.get(chunk)
        if id is not None:
            found[chunk] = id
    if len(found) < len(chunks):
        unknown = [chunk for chunk in chunks if chunk not in found]
        read = _made(view.raw.execute(_IDS, (json.dumps(unknown),)))
        if len(known) + len(read) > view.tuning.most_ids:
            known.clear()
        known.update(read)
        found.update(read)
    _numbers(view).met.append(found)
    return found


@attrs.frozen
class _Numbers:
    """The row numbers of the chunks that a transaction has met. met: those whose ids were read;
    known: the same, by id, as far as somebody has asked for numbers.
    """

    met: list[dict[int, ChunkId]] = attrs.field(factory=list)
    known: dict[ChunkId, int] = attrs.field(factory=dict)

    def by_id(self) -> dict[ChunkId, int]:
        """All of them."""
        while self.met:
            found = self.met.pop()
            self.known.update(zip(found.values(), found, strict=True))
        return self.known


def _numbers(view: View) -> _Numbers:
    numbers: _Numbers | None = view.kept.get(_ROWS)
    if numbers is None:
        numbers = view.kept[_ROWS] = _Numbers()
    return numbers


@of_rows
def _made(rows: Iterable[tuple[int, int, str, str, str]]) -> dict[int, ChunkId]:
    made: dict[int, ChunkId] = {}
    for chunk, position, collection, key, tenant in rows:
        ref = Ref(intern(collection), key, intern(tenant))
        made[chunk] = ChunkId(ref, position)
    return made


def best_first(
    source: str, ids: Mapping[int, ChunkId], scores: Mapping[int, float], limit: int
) -> Ranking:
    """The best `limit` of them; equal scores in order of ChunkId."""
    best = sorted([(-scores[chunk], id) for chunk, id in ids.items()])[:limit]
    return Ranking(source, tuple([id for _, id in best]), tuple([-score for score, _ in best]))


def rows_of(
    view: View, ids: Sequence[ChunkId], columns: str, *, of_document: bool = True
) -> list[tuple[Any, ...]]:
    """(place in `ids`, *columns of chunk c and document d) of the chunks that exist, in any order;
    all in one query.
    """
    places: dict[int, list[int]] = {}
    for place, number in enumerate(numbers_of(view, ids)):
        if number is not None:
            places.setdefault(number, []).append(place)
    joined = _CHUNK_AND_DOCUMENT if of_document else _CHUNK
    sql = f"select c.id, {columns} from json_each(?) as j {joined}"
    found: list[tuple[Any, ...]] = []
    for number, *row in view.raw.execute(sql, (json.dumps(list(places)),)):
        found += [(place, *row) for place in places[number]]
    return found


def numbers_of(view: View, ids: Sequence[ChunkId]) -> list[int | None]:
    """The row number of each of these chunks; None where there is none.

    Those this transaction has not met yet are looked up.
    """
    known = _numbers(view).by_id()
    numbers = [known.get(id) for id in ids]
    unknown: list[int] = []
    wanted: list[tuple[str, str, str, int]] = []
    for place, number in enumerate(numbers):
        if number is None:
            id = ids[place]
            unknown.append(place)
            wanted.append((id.ref.tenant, id.ref.collection, id.ref.key, id.position))
    if unknown:
        asked = (json.dumps(wanted, ensure_ascii=False), view.generation)
        for place, number in view.raw.execute(_NUMBERS, asked):
            numbers[unknown[place]] = known[ids[unknown[place]]] = number
    return numbers
