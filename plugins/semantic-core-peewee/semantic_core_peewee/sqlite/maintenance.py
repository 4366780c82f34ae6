"""Checking, repairing and compacting a whole store.

A check reads everything and compares: SQLite's own structure, the checksums of documents and
chunks, the values for filters, the vector index and the full-text index. A repair rebuilds what is
derived from documents and chunks; no embedder is asked.

Tested by tests/sqlite/test_maintenance.py and tests/sqlite/test_repair.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import apsw

from semantic_core.storage import STORED
from semantic_core_peewee.sqlite import segments, text_check, text_segments, titles
from semantic_core_peewee.sqlite.errors import UNREADABLE
from semantic_core_peewee.sqlite.filters import attributes
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.records import (
    chunk_crc,
    document_crc,
    fingerprint_crc,
    metadata_of,
    text_hash,
    vector_crc,
)
from semantic_core_peewee.sqlite.segments import (
    VECTORS,
    Added,
    blocks_of,
    segments_since,
    slots_of,
    state_of,
)

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser
    from semantic_core_peewee.sqlite.pool import View


_ADD = """insert into semantic_index_attribute (generation, key, kind, value, document)
    values (?, ?, ?, ?, ?)"""


def rebuild(view: View, dimensions: int, analyser: Analyser) -> None:
    """Rebuild the full-text index, the values for filters and the vector index; texts and vectors
    stay as they are.
    """
    view.raw.execute("delete from semantic_index_attribute")
    for id, generation, metadata in view.raw.execute(
        "select id, generation, metadata from semantic_index_document"
    ).fetchall():
        rows = [(generation, *attribute, id) for attribute in attributes(metadata_of(metadata))]
        view.raw.executemany(_ADD, rows)
    segments.rebuild(view, dimensions)
    # After the vector index: that makes the homes.
    text_segments.rebuild(view, analyser)
    titles.rebuild(view)


def disagreements(view: View, dimensions: int) -> Iterator[str]:
    """Yield each disagreement of the vector index and the vectors, as a line. Reads all of both."""
    state = state_of(view)
    held = dict[int, tuple[int, int, bytes]]()
    dead = 0
    for number, slots in segments_since(view, dimensions, -1):
        first = number * view.tuning.segment
        for offset, slot in enumerate(slots[: max(0, state.slots - first)]):
            dead += int(slot["chunk"] == 0)
            if slot["chunk"]:
                held[int(slot["chunk"])] = (
                    first + offset,
                    int(slot["document"]),
                    slot.tobytes(),
                )
    places = dict(
        view.raw.execute(
            "select chunk, place from semantic_index_slot where generation = ?", (view.generation,)
        )
    )
    if dead != state.dead or len(held) + dead != state.slots:
        yield (
            f"{state.slots:,} slots of which {state.dead:,} dead were noted, but {len(held):,} are "
            f"taken and {dead:,} dead"
        )
    for block in blocks_of(Added(*row) for row in view.raw.execute(VECTORS, (view.generation,))):
        for one, slot in zip(block, slots_of(block, dimensions), strict=True):
            place, _, data = held.pop(one.chunk, (None, 0, b""))
            if place is None or places.pop(one.chunk, None) != place:
                yield f"chunk {one.chunk}: its vector cannot be found by scanning"
            elif data != slot.tobytes():
                yield f"chunk {one.chunk}: its slot is not the one of its vector"
    for chunk in (*held, *places):
        yield f"chunk {chunk}: it has a slot but no vector"


Look = Callable[[View, int], Iterator[str]]
MOST_NAMED = 20
"""Problems of one kind that are named one by one."""


def problems(view: View, dimensions: int, analyser: Analyser) -> list[str]:
    """What is wrong with the file as one reader sees it, a line each; [] if nothing is."""

    def words(view: View, dimensions: int) -> Iterator[str]:
        return text_check.problems(view, analyser)

    def called(view: View, dimensions: int) -> Iterator[str]:
        return titles.problems(view)

    looks = (_structure, _texts, _passages, _attributes, disagreements, words, called)
    return _named(view, dimensions, looks)


def _named(view: View, dimensions: int, looks: Sequence[Look]) -> list[str]:
    found: list[str] = []
    for look in looks:
        named = list(_readable(look, view, dimensions))
        found += named[:MOST_NAMED]
        if len(named) > MOST_NAMED:
            found.append(f"... and {len(named) - MOST_NAMED:,} more of this kind")
    return found


def _readable(look: Look, view: View, dimensions: int) -> Iterator[str]:
    """Yield what `look` finds; also that a row holds what was never stored there."""
    try:
        yield from look(view, dimensions)
    except (*UNREADABLE, apsw.TooBigError) as error:
        yield f"a row holds what was never stored there ({type(error).__name__})"


def _structure(view: View, dimensions: int) -> Iterator[str]:
    for (line,) in view.raw.execute(f"pragma integrity_check({MOST_NAMED})"):
        if line != "ok":
            yield f"SQLite: {line}"
    for table, row, parent, _ in view.raw.execute("pragma foreign_key_check"):
        yield f"row {row} of {table} belongs to a {parent} that is not there"


def _texts(view: View, dimensions: int) -> Iterator[str]:
    rows = view.raw.execute(
        """select id, tenant, collection, key, crc, text, text_hash, characters, stamp,
            created_at, updated_at, title, media_type, language, metadata
            from semantic_index_document"""
    )
    for (
        id,
        tenant,
        collection,
        key,
        crc,
        text,
        said,
        characters,
        stamp,
        created,
        updated,
        *about,
    ) in rows:
        if text_hash(str(text)) != said or len(str(text)) != characters:
            yield f"document {id}: the text is not the one that was stored"
        if (
            document_crc(
                (tenant, collection, key), (*about, said), stamp, created, updated, characters
            )
            != crc
        ):
            yield f"document {id}: what is known of it is not what was stored"


def _passages(view: View, dimensions: int) -> Iterator[str]:
    rows = view.raw.execute(
        """select c.id, c.document, c.position, c.crc, c.vector, c.vector_crc,
            c.fingerprint_crc, c.generation = d.generation, c.kind, c.start, c."end",
            c.fingerprint, c.headings, c.metadata, c.text, c.lead, c.own
            from semantic_index_chunk as c
            left join semantic_index_document as d on d.id = c.document"""
    )
    for (
        id,
        document,
        position,
        crc,
        vector,
        of_vector,
        looked_up,
        same_generation,
        *content,
    ) in rows:
        of_fingerprint = fingerprint_crc(content[3])
        if chunk_crc(document, position, content) != crc or of_fingerprint != looked_up:
            yield f"chunk {id}: the passage is not the one that was stored"
        if vector is not None and (
            vector_crc(of_fingerprint, vector) != of_vector
            or len(vector) != dimensions * STORED.itemsize
        ):
            yield f"chunk {id}: the vector is not the one that was stored"
        if not same_generation:
            yield f"chunk {id}: it is of another generation than its document"


def _attributes(view: View, dimensions: int) -> Iterator[str]:
    held = view.raw.execute("select count(*) from semantic_index_attribute").get
    wanted = 0
    for id, generation, metadata in view.raw.execute(
        "select id, generation, metadata from semantic_index_document"
    ).fetchall():
        expected = attributes(metadata_of(metadata))
        wanted += len(expected)
        rows = view.raw.execute(
            """select key, kind, value
                from semantic_index_attribute
                where document = ? and generation = ?""",
            (id, generation),
        ).fetchall()
        stored = set(map(json.dumps, rows))
        if stored != {_as_stored(*attribute) for attribute in expected}:
            yield f"document {id}: filters do not see the metadata it has"
    if held != wanted:
        yield f"{held:,} values for filters, wanted {wanted:,}"


def _as_stored(key: str, kind: str, value: Any) -> str:
    """A value for filters as its row is compared: SQLite stores a bool as a number."""
    return json.dumps((key, kind, int(value) if kind == "bool" else value))


def compact(raw: Any) -> None:
    """Rebuild the file without gaps, and empty the log."""
    # The new file is built beside the old one, because it may be too large for memory.
    raw.execute("pragma temp_store = file")
    try:
        raw.execute("vacuum")
    finally:
        raw.execute("pragma temp_store = memory")
    raw.execute("pragma wal_checkpoint(truncate)").fetchall()
