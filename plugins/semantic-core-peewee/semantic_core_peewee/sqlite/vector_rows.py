"""The vectors in the table of chunks: how they are read by fingerprint and how pending chunks get
theirs.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_vector_search.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from semantic_core_peewee.sqlite import revisions
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.records import check_vector, fingerprint_crc, vector_crc
from semantic_core_peewee.sqlite.segments import Added, home_of, write

_KNOWN = """select c.fingerprint, c.vector, c.vector_crc
    from json_each(?) as j
    cross join semantic_index_chunk as c
    where c.fingerprint_crc = j.value ->> 0 and c.fingerprint = j.value ->> 1
    and c.generation = ? and c.vector is not null
    order by c.id"""
_ANY_PENDING = """select exists (select 1
        from semantic_index_chunk
        where generation = ? and vector is null)"""
_PENDING = """select c.id, c.document, c.fingerprint, d.tenant, d.collection
    from json_each(?) as j
    cross join semantic_index_chunk as c
    cross join semantic_index_document as d
    where c.generation = ? and c.fingerprint = j.value and c.vector is null
    and d.id = c.document"""
_FILL = "update semantic_index_chunk set vector = ?, vector_crc = ? where id = ?"


def known_blobs(view: View, fingerprints: Collection[str]) -> dict[str, bytes]:
    """The stored vectors of these fingerprints.

    Raises StoreCorrupt if one is not what was stored.
    """
    if not fingerprints:
        return {}
    wanted = json.dumps([(fingerprint_crc(one), one) for one in fingerprints])
    found: dict[str, bytes] = {}
    for fingerprint, vector, crc in view.raw.execute(_KNOWN, (wanted, view.generation)):
        check_vector(fingerprint, vector, crc)
        found[fingerprint] = vector
    return found


def fill_waiting(view: View, dimensions: int, vectors: Mapping[str, bytes]) -> int:
    """Store these vectors with the pending chunks of their fingerprints; return how many those
    were.
    """
    raw = view.raw
    generation = view.generation
    if not vectors or not raw.execute(_ANY_PENDING, (generation,)).get:
        return 0
    pending = raw.execute(_PENDING, (json.dumps(list(vectors)), generation)).fetchall()
    if not pending:
        return 0
    crcs: dict[str, int | None] = {}
    homes: dict[tuple[str, str], int] = {}
    rows = []
    added = []
    for chunk, document, name, tenant, collection in pending:
        vector = vectors[name]
        if name not in crcs:
            crcs[name] = vector_crc(fingerprint_crc(name), vector)
        owner = (tenant, collection)
        if owner not in homes:
            homes[owner] = home_of(view, tenant, collection)
        rows.append((vector, crcs[name], chunk))
        added.append(Added(chunk, document, homes[owner], vector))
    raw.executemany(_FILL, rows)
    write(view, dimensions, added, ())
    revisions.change(view, {tenant for tenant, _ in homes})
    return len(rows)
