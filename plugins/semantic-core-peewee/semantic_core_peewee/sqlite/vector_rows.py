"""The vectors in the table of chunks: reading and filling."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.records import check_vector, fingerprint_crc, vector_crc
from semantic_core_peewee.sqlite.segments import Added, home_of, write

_ANY_WAIT = (
    "select exists (select 1 from semantic_index_chunk where generation = ? and vector is null)"
)
_WAIT = """select c.id, c.document, c.fingerprint, d.tenant, d.collection
    from json_each(?) as j cross join semantic_index_chunk as c
    cross join semantic_index_document as d
    where c.generation = ? and c.fingerprint = j.value and c.vector is null and d.id = c.document"""
_FILL = "update semantic_index_chunk set vector = ?, vector_crc = ? where id = ?"


def known_blobs(view: View, fingerprints: Collection[str]) -> dict[str, bytes]:
    """The vectors there are for these fingerprints.

    Raises StoreCorrupt if one is not what was stored.
    """
    if not fingerprints:
        return {}
    rows = view.raw.execute(
        """select c.fingerprint, c.vector, c.vector_crc from json_each(?) as j
            cross join semantic_index_chunk as c
        where c.fingerprint_crc = j.value ->> 0 and c.fingerprint = j.value ->> 1
        and c.generation = ? and c.vector is not null order by c.id""",
        (json.dumps([(fingerprint_crc(one), one) for one in fingerprints]), view.generation),
    )
    found: dict[str, bytes] = {}
    for fingerprint, vector, crc in rows:
        check_vector(fingerprint, vector, crc)
        found[fingerprint] = vector
    return found


def fill_waiting(view: View, dimensions: int, vectors: Mapping[str, bytes]) -> int:
    """Give these vectors to the chunks of their fingerprint that have none;
    how many chunks that were.
    """
    raw = view.raw
    generation = view.generation
    if not vectors or not raw.execute(_ANY_WAIT, (generation,)).get:
        return 0
    rows = raw.execute(_WAIT, (json.dumps(list(vectors)), generation)).fetchall()
    if not rows:
        return 0
    crcs = {name: vector_crc(fingerprint_crc(name), vectors[name]) for _, _, name, _, _ in rows}
    raw.executemany(_FILL, [(vectors[name], crcs[name], chunk) for chunk, _, name, _, _ in rows])
    homes = {owner: home_of(view, *owner) for owner in {(row[3], row[4]) for row in rows}}
    added = [
        Added(chunk, document, homes[tenant, collection], vectors[name])
        for chunk, document, name, tenant, collection in rows
    ]
    write(view, dimensions, added, ())
    return len(rows)
