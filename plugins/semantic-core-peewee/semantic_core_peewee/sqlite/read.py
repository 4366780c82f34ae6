"""Reading records back.

The lists and counts of an administrator are Peewee queries; the hot reads are plain SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import SQL, fn

from semantic_core.types import ChunkId, DocumentSummary, Page, Ref, StoredChunk
from semantic_core.types import Document as DocumentRecord
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
from semantic_core_peewee.sqlite.schema import Chunk, Document, Migration, PeeweeDatabase


def fetch(view: View, ids: Sequence[ChunkId]) -> list[StoredChunk]:
    """The chunks with these ids, in the order asked; those that are gone are left out."""
    found = {
        place: stored_chunk(ids[place].ref, row)
        for place, *row in rows_of(view, ids, CHUNK_COLUMNS)
    }
    return [found[place] for place in sorted(found)]


def get(view: View, ref: Ref) -> DocumentRecord | None:
    """The document as it was handed over; None if there is none."""
    # Our own columns.
    row = view.raw.execute(
        f"""select {DOCUMENT_COLUMNS} from document as d
        where d.generation = ? and d.tenant = ? and d.collection = ? and d.key = ?""",  # noqa: S608
        (view.generation, *key_of(ref)),
    ).fetchone()
    return None if row is None else document_of(ref, row)


def documents(view: View, database: PeeweeDatabase, scope: Clause, offset: int, limit: int) -> Page:
    """A slice of the documents in scope in order of (collection, key), with the total."""
    one = Document.alias("d")
    chunks = Chunk.select(fn.COUNT(SQL("*"))).where(Chunk.document == one.id)
    waiting = chunks.where(Chunk.vector.is_null())
    inside = SQL(scope.sql, scope.values)
    listed = (
        one.select(
            one.tenant, one.collection, one.key, one.title, one.media_type, one.language,
            one.metadata,
            one.characters, chunks, waiting, one.created_at, one.updated_at,
        )
        .where(inside)
        .order_by(one.collection, one.key)
        .offset(offset)
        .limit(limit)
    )  # fmt: skip
    items = [_summary(*row) for row in listed.tuples().execute(database)]
    (total,) = next(iter(one.select(fn.COUNT(one.id)).where(inside).tuples().execute(database)))
    return Page(tuple(items), total)


@of_rows
def _summary(tenant: str, collection: str, key: str, *rest: Any) -> DocumentSummary:
    title, media_type, language, metadata, characters, chunks, pending, created_at, updated_at = (
        rest
    )
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


def counts(
    view: View, database: PeeweeDatabase, tenant: str | None
) -> tuple[dict[str, int], int, int]:
    """(documents per collection, chunks, chunks without a vector) of a tenant;
    of all tenants for None.
    """
    mine = Document.generation == view.generation
    if tenant is not None:
        mine = mine & (Document.tenant == tenant)
    listed = (
        Document.select(Document.collection, fn.COUNT(Document.id))
        .where(mine)
        .group_by(Document.collection)
    )
    collections = dict(sorted(listed.tuples().execute(database)))
    inside = Chunk.document.in_(Document.select(Document.id).where(mine))
    chunks = Chunk.select(fn.COUNT(Chunk.id)).where(inside)
    waiting = chunks.where(Chunk.vector.is_null())
    return collections, *(
        next(iter(query.tuples().execute(database)))[0] for query in (chunks, waiting)
    )


def steps_taken(database: PeeweeDatabase) -> dict[int, str]:
    """The migrations this file has been through: number and name."""
    return dict(
        Migration.select(Migration.number, Migration.name)
        .order_by(Migration.number)
        .tuples()
        .execute(database)
    )
