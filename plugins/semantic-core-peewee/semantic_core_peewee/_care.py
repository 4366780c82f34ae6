"""What an operator does with a whole store: look for damage, give space back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apsw

from semantic_core_peewee._errors import UNREADABLE
from semantic_core_peewee._pool import View
from semantic_core_peewee._rows import (
    chunk_crc,
    document_crc,
    fingerprint_crc,
    metadata_of,
    text_hash,
    vector_crc,
)
from semantic_core_peewee._scope import attributes
from semantic_core_peewee._slot_check import disagreements
from semantic_core_peewee._transactions import transaction
from semantic_core_peewee._units import STORED

Look = Callable[[View, int], Iterator[str]]
MOST_NAMED = 20
"""Problems of one kind that are named one by one."""


def problems(view: View, dimensions: int) -> list[str]:
    """What is wrong with the file as one reader sees it, in words; [] if nothing is."""
    return _named(view, dimensions, (_structure, _texts, _passages, _attributes, disagreements))


def problems_of_words(view: View, dimensions: int) -> list[str]:
    """Where the index of words and the passages do not agree.

    Takes the write lock: FTS5 checks itself by a statement.
    """
    return _named(view, dimensions, (_words,))


def _named(view: View, dimensions: int, looks: Sequence[Look]) -> list[str]:
    found: list[str] = []
    for look in looks:
        named = list(_readable(look, view, dimensions))
        found += named[:MOST_NAMED]
        if len(named) > MOST_NAMED:
            found.append(f"... and {len(named) - MOST_NAMED:,} more of this kind")
    return found


def _readable(look: Look, view: View, dimensions: int) -> Iterator[str]:
    """What `look` finds; where it comes upon something else than was ever stored there, that."""
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


def _words(view: View, dimensions: int) -> Iterator[str]:
    try:
        view.raw.execute("insert into words (words, rank) values ('integrity-check', 1)")
    except apsw.CorruptError as error:
        yield f"the index of words does not agree with the passages: {error}"
    chunks, indexed = view.raw.execute(
        "select (select count(*) from chunk), (select count(*) from words_docsize)"
    ).get
    if chunks != indexed:
        yield f"{chunks:,} chunks, but {indexed:,} in the index of words"


def _texts(view: View, dimensions: int) -> Iterator[str]:
    rows = view.raw.execute(
        """select id, tenant, collection, key, crc, text, text_hash, characters, stamp, created_at,
        updated_at, title, media_type, language, metadata from document"""
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
        """select c.id, c.document, c.position, c.crc, c.vector, c.vector_crc, c.fingerprint_crc,
        c.generation = d.generation, c.kind, c.start, c."end", c.fingerprint, c.headings,
        c.metadata, c.text, c.lead, c.own
        from chunk as c left join document as d on d.id = c.document"""
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
    held = view.raw.execute("select count(*) from attribute").get
    wanted = 0
    for id, generation, metadata in view.raw.execute(
        "select id, generation, metadata from document"
    ).fetchall():
        expected = attributes(metadata_of(metadata))
        wanted += len(expected)
        rows = view.raw.execute(
            "select key, kind, value from attribute where document = ? and generation = ?",
            (id, generation),
        ).fetchall()
        as_kept = (
            (key, kind, int(value) if kind == "bool" else value) for key, kind, value in expected
        )
        if {json.dumps(row) for row in rows} != {json.dumps(row) for row in as_kept}:
            yield f"document {id}: filters do not see the metadata it has"
    if held != wanted:
        yield f"{held:,} values for filters, wanted {wanted:,}"


def compact(raw: Any) -> None:
    """Merge the index of words, rebuild the file without gaps, and empty the log."""
    with transaction(raw):
        raw.execute("insert into words (words) values ('optimize')")
    # The file is built anew beside itself: too large for memory.
    raw.execute("pragma temp_store = file")
    try:
        raw.execute("vacuum")
    finally:
        raw.execute("pragma temp_store = memory")
    raw.execute("pragma wal_checkpoint(truncate)").fetchall()
