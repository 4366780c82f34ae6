"""Reading documents, chunks and counts: what `Store.fetch`, `get`, `documents` and `stats` return.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_maintenance.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from semantic_core.types import ChunkId, Document, DocumentSummary, Page, Ref, StoredChunk
from semantic_core_peewee.sqlite.filters import Clause
from semantic_core_peewee.sqlite.ids import rows_of
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.records import (
    CHUNK_COLUMNS,
    DOCUMENT_COLUMNS,
    document_of,
    key_of,
    metadata_of,
    of_rows,
    stored_chunk,
)


def fetch(view: View, ids: Sequence[ChunkId]) -> list[StoredChunk]:
    """The chunks with these ids, in the order asked; those that are gone are left out."""
    found = {
        place: stored_chunk(ids[place].ref, row)
        for place, *row in rows_of(view, ids, CHUNK_COLUMNS)
    }
    return [found[place] for place in sorted(found)]


def get(view: View, ref: Ref) -> Document | None:
    """The document as it was handed over; None if there is none."""
    row = view.raw.execute(
        f"""select {DOCUMENT_COLUMNS}
            from semantic_index_document as d
            where d.generation = ? and d.tenant = ? and d.collection = ? and d.key = ?""",
        (view.generation, *key_of(ref)),
    ).fetchone()
    return None if row is None else document_of(ref, row)


def documents(view: View, scope: Clause, offset: int, limit: int) -> Page:
    """A slice of the documents in scope, in order of (collection, key), and how many there are."""
    listed = f"""select d.tenant, d.collection, d.key, d.title, d.media_type, d.language,
        d.metadata, d.characters,
        (select count(*) from semantic_index_chunk as c where c.document = d.id),
        (select count(*)
            from semantic_index_chunk as c
            where c.document = d.id and c.vector is null),
        d.created_at, d.updated_at
        from semantic_index_document as d
        where {scope.sql}
        order by d.collection, d.key limit ? offset ?"""
    rows = view.raw.execute(listed, (*scope.values, limit, offset))
    items = tuple([_summary(*row) for row in rows])
    counted = f"select count(*) from semantic_index_document as d where {scope.sql}"
    total = int(view.raw.execute(counted, scope.values).get)
    return Page(items, total)


@of_rows
def _summary(
    tenant: str,
    collection: str,
    key: str,
    title: str,
    media_type: str,
    language: str | None,
    metadata: str,
    characters: int,
    chunks: int,
    pending: int,
    created_at: str,
    updated_at: str,
) -> DocumentSummary:
    return DocumentSummary(
        Ref(collection, key, tenant),
        title,
        media_type,
        language,
        metadata_of(metadata),
        characters,
        chunks,
        pending,
        created_at,
        updated_at,
    )


class Counts(NamedTuple):
    """How much a tenant has. collections: documents in each. pending: chunks without a vector."""

    collections: dict[str, int]
    chunks: int
    pending: int


def counts(view: View, tenant: str | None) -> Counts:
    """What there is of a tenant; of all tenants for None."""
    mine = "generation = ?"
    values: tuple[Any, ...] = (view.generation,)
    if tenant is not None:
        mine = "generation = ? and tenant = ?"
        values = (view.generation, tenant)
    by_collection = f"""select collection, count(*)
        from semantic_index_document
        where {mine}
        group by collection
        order by collection"""
    collections = dict(view.raw.execute(by_collection, values).fetchall())
    listed = f"""select count(*)
        from semantic_index_chunk
        where document in (select id from semantic_index_document where {mine})"""
    chunks = int(view.raw.execute(listed, values).get)
    pending = int(view.raw.execute(f"{listed} and vector is null", values).get)
    return Counts(collections, chunks, pending)


def schema_version(view: View) -> int:
    """The last step of the schema this file has taken."""
    return int(view.raw.execute("select max(number) from semantic_index_migration").get)
