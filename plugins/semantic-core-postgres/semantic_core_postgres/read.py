"""Reading documents, chunks and counts: what `Store.fetch`, `get`, `documents` and `stats` return.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from semantic_core.types import ChunkId, Document, DocumentSummary, Page, Ref, StoredChunk
from semantic_core_postgres.filters import Clause
from semantic_core_postgres.pool import View
from semantic_core_postgres.records import (
    CHUNK_COLUMNS,
    DOCUMENT_COLUMNS,
    address_of,
    document_of,
    metadata_of,
    stored_chunk,
)
from semantic_core_postgres.texts import decoded, encoded


def rows_of(view: View, ids: Sequence[ChunkId], columns: str) -> list[tuple[Any, ...]]:
    """(place in `ids`, *columns of chunk c and document d) of the chunks that exist, in any order;
    all in one query.
    """
    if not ids:
        return []
    tenants = []
    addresses = []
    positions = []
    for id in ids:
        tenants.append(encoded(id.ref.tenant))
        addresses.append(address_of(id.ref))
        positions.append(id.position)
    return view.rows(
        f"""select i.place - 1, {columns}
            from unnest(%s::text[], %s::bytea[], %s::bigint[])
                with ordinality as i (tenant, address, position, place)
            join {{s}}.document as d on d.tenant = i.tenant and d.address = i.address
            join {{s}}.chunk as c on c.tenant = i.tenant and c.document = d.id
                and c.position = i.position""",
        (tenants, addresses, positions),
    )


def fetch(view: View, ids: Sequence[ChunkId]) -> list[StoredChunk]:
    """The chunks with these ids, in the order asked; those that are gone are left out."""
    found = {}
    for place, *row in rows_of(view, ids, CHUNK_COLUMNS):
        found[place] = stored_chunk(ids[place].ref, row)
    return [found[place] for place in sorted(found)]


def get(view: View, ref: Ref) -> Document | None:
    """The document as it was given; None if there is none."""
    row = view.row(
        f"""select {DOCUMENT_COLUMNS} from {{s}}.document as d
            where d.tenant = %s and d.address = %s and d.present""",
        (encoded(ref.tenant), address_of(ref)),
    )
    return None if row is None else document_of(ref, row)


def documents(view: View, scope: Clause, offset: int, limit: int) -> Page:
    """A page of the documents in scope, in order of (collection, key), and how many there are."""
    listed = f"""select d.tenant, d.collection, d.key, d.title, d.media_type, d.language,
        d.metadata, d.characters,
        (select count(*) from {{s}}.chunk as c where c.tenant = d.tenant and c.document = d.id),
        (select count(*) from {{s}}.chunk as c
            where c.tenant = d.tenant and c.document = d.id and c.vector is null),
        d.created_at, d.updated_at
        from {{s}}.document as d
        where {scope.sql}
        order by d.collection, d.key limit %s offset %s"""
    items = []
    for row in view.rows(listed, (*scope.values, limit, offset)):
        tenant, collection, key, title, media_type, language, metadata, *rest = row
        items.append(
            DocumentSummary(
                Ref(decoded(collection), decoded(key), decoded(tenant)),
                decoded(title),
                decoded(media_type),
                None if language is None else decoded(language),
                metadata_of(metadata),
                *rest,
            )
        )
    counted = f"select count(*) from {{s}}.document as d where {scope.sql}"
    return Page(tuple(items), int(view.value(counted, scope.values)))


class Counts(NamedTuple):
    """How much a tenant has. collections: documents in each. pending: chunks without a vector."""

    collections: Mapping[str, int]
    chunks: int
    pending: int


def counts(view: View, tenant: str | None) -> Counts:
    """What there is of a tenant; of all tenants for None."""
    asked = None if tenant is None else encoded(tenant)
    of_tenant = "%(tenant)s::text is null or tenant = %(tenant)s"
    values = {"tenant": asked}
    collections = {}
    by_collection = f"""select collection, count(*) from {{s}}.document
        where present and ({of_tenant}) group by collection order by collection"""
    for name, count in view.rows(by_collection, values):
        collections[decoded(name)] = count
    chunks = view.value(f"select count(*) from {{s}}.chunk where {of_tenant}", values)
    pending = view.value(
        f"select count(*) from {{s}}.chunk where vector is null and ({of_tenant})", values
    )
    return Counts(collections, int(chunks), int(pending))
