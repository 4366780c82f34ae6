"""What a batch changes in the file: noted row by row, written table by table,
slots and words along with it.

Words are kept right by telling FTS5 the old passage whenever a row goes: an ordinary DELETE would
leave its words behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from semantic_core_peewee import _slots
from semantic_core_peewee._pool import View
from semantic_core_peewee._rows import (
    Incoming,
    Key,
    Passage,
    chunk_crc,
    document_crc,
    fingerprint_crc,
    passage_of,
    vector_crc,
)
from semantic_core_peewee._slots import Added

_ADD_DOCUMENT = """insert into document (id, generation, tenant, collection, key, title, media_type,
    language, metadata, text_hash, stamp, crc, created_at, updated_at, characters, text)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CHANGE_DOCUMENT = """update document set title = ?, media_type = ?, language = ?, metadata = ?,
    text_hash = ?, stamp = ?, crc = ?, updated_at = ?, characters = ?, text = ? where id = ?"""
_ADD_CHUNK = """insert into chunk (id, generation, document, crc, fingerprint_crc, vector_crc,
    position, kind, start, "end",
    fingerprint, headings, metadata, text, lead, own, vector)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_WORDS = (
    "insert into words (rowid, passage) select id, passage from chunk where id between ? and ?"
)
"""Those of all chunks just written, as they were written."""
_DROP_WORDS = "insert into words (words, rowid, passage) values ('delete', ?, ?)"
_ADD_ATTRIBUTE = (
    "insert into attribute (generation, key, kind, value, document) values (?, ?, ?, ?, ?)"
)


@attrs.frozen
class Row:
    """A chunk as it is in the file."""

    id: int
    position: int
    vector: bytes | None
    content: tuple[Any, ...]

    @property
    def passage(self) -> str:
        """What FTS5 was given."""
        return passage_of(*self.content[-3:])


@attrs.frozen
class Held:
    """A document as it is in the file. stamp: of its last change or removal.
    id: None if it is not there.

    created, updated: when. content: as in `Incoming`.
    """

    id: int | None
    stamp: int | None
    created: str = ""
    updated: str = ""
    characters: int = 0
    content: tuple[Any, ...] = ()

    def is_newer_than(self, stamp: int | None) -> bool:
        """Whether a change of this stamp comes too late."""
        return stamp is not None and self.stamp is not None and self.stamp > stamp

    def marked(self, stamp: int | None) -> int | None:
        """The stamp after a change of this stamp."""
        return self.stamp if stamp is None else stamp


class Changes:
    """What a batch writes, table by table."""

    def __init__(self, view: View, dimensions: int) -> None:
        self._view, self._dimensions = view, dimensions
        self._homes: dict[tuple[str, str], int] = {}
        self.now = datetime.now(UTC).isoformat()
        self._document_id, self._chunk_id = (
            _last_id(view.raw, "document"),
            _last_id(view.raw, "chunk"),
        )
        self._clear()

    def _clear(self) -> None:
        self._written = self._chunk_id
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._added: list[Added] = []
        self._dropped: list[int] = []

    def _note(self, sql: str, *row: Any) -> None:
        self._many(sql, (row,))

    def _many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows.setdefault(sql, []).extend(rows)

    def add_document(self, given: Incoming, stamp: int | None) -> int:
        """A new document; its id."""
        self._document_id += 1
        generation = self._view.generation
        crc = document_crc(given.key, given.content, stamp, self.now, self.now, len(given.text))
        row = (*given.content, stamp, crc, self.now, self.now, len(given.text), given.text)
        self._note(_ADD_DOCUMENT, self._document_id, generation, *given.key, *row)
        self._add_attributes(self._document_id, given)
        return self._document_id

    def change_document(self, held: Held, given: Incoming, stamp: int | None) -> None:
        """Another content of a document that is there."""
        crc = document_crc(given.key, given.content, stamp, held.created, self.now, len(given.text))
        self._note(
            _CHANGE_DOCUMENT,
            *given.content,
            stamp,
            crc,
            self.now,
            len(given.text),
            given.text,
            held.id,
        )
        if held.content[3] != given.content[3]:
            self._note("delete from attribute where document = ?", held.id)
            self._add_attributes(held.id, given)

    def mark(self, key: Key, held: Held, stamp: int | None) -> None:
        """Another stamp of a document that stays as it is."""
        crc = document_crc(key, held.content, stamp, held.created, held.updated, held.characters)
        self._note("update document set stamp = ?, crc = ? where id = ?", stamp, crc, held.id)

    def drop_document(self, id: int) -> None:
        """A document that goes, after its chunks."""
        self._note("delete from attribute where document = ?", id)
        self._note("delete from document where id = ?", id)

    def add_chunks(self, document: int, key: Key, passages: Sequence[Passage]) -> None:
        """New chunks of the document with this key, and their words."""
        first = self._chunk_id + 1
        self._chunk_id += len(passages)
        generation = self._view.generation
        self._many(
            _ADD_CHUNK,
            [
                (id, generation, document, *_crcs(document, one), *one)
                for id, one in enumerate(passages, first)
            ],
        )
        with_vector = [
            (id, one.vector) for id, one in enumerate(passages, first) if one.vector is not None
        ]
        if with_vector:
            home = self._home(key)
            self._added += [Added(id, document, home, vector) for id, vector in with_vector]

    def change_vector(
        self, id: int, document: int, key: Key, fingerprint: str, vector: bytes | None
    ) -> None:
        """Another vector of a chunk that stays."""
        crc = vector_crc(fingerprint_crc(fingerprint), vector)
        self._note("update chunk set vector = ?, vector_crc = ? where id = ?", vector, crc, id)
        self._dropped.append(id)
        if vector is not None:
            self._added.append(Added(id, document, self._home(key), vector))

    def _home(self, key: Key) -> int:
        home = self._homes.get(key[:2])
        if home is None:
            home = self._homes[key[:2]] = _slots.home_of(self._view, *key[:2])
        return home

    def drop_chunk(self, row: Row) -> None:
        """A chunk that goes, and its words."""
        self._note(_DROP_WORDS, row.id, row.passage)
        self._note("delete from chunk where id = ?", row.id)
        if row.vector is not None:
            self._dropped.append(row.id)

    def _add_attributes(self, document: int | None, given: Incoming) -> None:
        generation = self._view.generation
        self._many(
            _ADD_ATTRIBUTE, [(generation, *attribute, document) for attribute in given.attributes]
        )

    def write(self) -> None:
        """Write what was noted: what goes before what comes,
        documents before what refers to them.
        """
        last = [sql for sql in (_ADD_DOCUMENT, _ADD_ATTRIBUTE, _ADD_CHUNK) if sql in self._rows]
        leaving = "delete from document where id = ?"
        order = [sql for sql in self._rows if sql not in last and sql != leaving]
        for sql in [*order, *([leaving] if leaving in self._rows else []), *last]:
            self._view.raw.executemany(sql, self._rows[sql])
        if self._chunk_id > self._written:
            self._view.raw.execute(_ADD_WORDS, (self._written + 1, self._chunk_id))
        if self._rows:
            _slots.write(self._view, self._dimensions, self._added, self._dropped)
        self._clear()


def _crcs(document: int, passage: Passage) -> tuple[int, int, int | None]:
    of_fingerprint = fingerprint_crc(passage.fingerprint)
    return (
        chunk_crc(document, passage[0], passage[1:10]),
        of_fingerprint,
        vector_crc(of_fingerprint, passage.vector),
    )


def _last_id(raw: Any, table: str) -> int:
    return raw.execute("select seq from sqlite_sequence where name = ?", (table,)).get or 0
