"""Replacing and removing documents: what a batch changes is worked out row by row, then written
table by table in the caller's transaction, with the vector index and the full-text index.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_maintenance.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core.types import Outcome, Ref
from semantic_core_peewee.sqlite import revisions, segments, text_segments, titles
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.records import (
    Incoming,
    Key,
    Passage,
    address_of,
    crcs_of,
    document_crc,
    fingerprint_crc,
    key_of,
    passage_of,
    vector_crc,
)
from semantic_core_peewee.sqlite.segments import Added
from semantic_core_peewee.sqlite.text_segments import ChunkText
from semantic_core_peewee.sqlite.vector_rows import fill_waiting, known_blobs

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser

LANGUAGE = 2
"""The place of the language in the content of a document."""
_ADD_DOCUMENT = """insert into semantic_index_document (
        id, generation, tenant, collection, key, title, media_type, language,
        metadata, text_hash, stamp, crc, created_at, updated_at, characters, text)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CHANGE_DOCUMENT = """update semantic_index_document
    set title = ?, media_type = ?, language = ?, metadata = ?, text_hash = ?,
    stamp = ?, crc = ?, updated_at = ?, characters = ?, text = ?
    where id = ?"""
_ADD_CHUNK = """insert into semantic_index_chunk (
        id, generation, document, crc, fingerprint_crc, vector_crc, position, kind,
        start, "end", fingerprint, headings, metadata, text, lead, own, vector)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_DROP_DOCUMENT = "delete from semantic_index_document where id = ?"
_ADD_ATTRIBUTE = """insert into semantic_index_attribute (generation, key, kind, value, document)
    values (?, ?, ?, ?, ?)"""


@attrs.frozen
class Row:
    """A chunk as it is in the file."""

    id: int
    position: int
    vector: bytes | None
    content: tuple[Any, ...]

    @property
    def passage(self) -> str:
        """The text that was indexed."""
        return passage_of(*self.content[-3:])


@attrs.frozen
class StoredDocument:
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

    def __init__(self, view: View, dimensions: int, analyser: Analyser) -> None:
        self._view = view
        self._dimensions = dimensions
        self._analyser = analyser
        self._homes: dict[tuple[str, str], int] = {}
        self.now = datetime.now(UTC).isoformat()
        self._document_id = _last_id(view.raw, "semantic_index_document")
        self._chunk_id = _last_id(view.raw, "semantic_index_chunk")
        self._clear()

    def _clear(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._added: list[Added] = []
        self._dropped: list[int] = []
        self._texts_added: list[ChunkText] = []
        self._texts_dropped: list[ChunkText] = []

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
        self._add_title(self._document_id, given)
        return self._document_id

    def change_document(self, held: StoredDocument, given: Incoming, stamp: int | None) -> None:
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
            self._note("delete from semantic_index_attribute where document = ?", held.id)
            self._add_attributes(held.id, given)
        if held.content[0] != given.content[0]:
            self._note(titles.DROP, held.id)
            self._add_title(held.id, given)

    def mark(self, key: Key, held: StoredDocument, stamp: int | None) -> None:
        """Another stamp of a document that stays as it is."""
        crc = document_crc(key, held.content, stamp, held.created, held.updated, held.characters)
        self._note(
            "update semantic_index_document set stamp = ?, crc = ? where id = ?",
            stamp,
            crc,
            held.id,
        )

    def drop_document(self, id: int) -> None:
        """A document that goes, after its chunks."""
        self._note("delete from semantic_index_attribute where document = ?", id)
        self._note(titles.DROP, id)
        self._note(_DROP_DOCUMENT, id)

    def add_chunks(self, document: int, given: Incoming, passages: Sequence[Passage]) -> None:
        """New chunks of this document."""
        if not passages:
            return
        home = self._home(given.key)
        language = given.content[LANGUAGE]
        first = self._chunk_id + 1
        self._chunk_id += len(passages)
        generation = self._view.generation
        rows = []
        for id, one in enumerate(passages, first):
            rows.append((id, generation, document, *crcs_of(document, one), *one))
            passage = passage_of(one.text, one.lead, one.own)
            self._texts_added.append(ChunkText(id, document, home, language, passage))
            if one.vector is not None:
                self._added.append(Added(id, document, home, one.vector))
        self._many(_ADD_CHUNK, rows)

    def change_vector(
        self, id: int, document: int, key: Key, fingerprint: str, vector: bytes | None
    ) -> None:
        """Another vector of a chunk that stays."""
        crc = vector_crc(fingerprint_crc(fingerprint), vector)
        self._note(
            "update semantic_index_chunk set vector = ?, vector_crc = ? where id = ?",
            vector,
            crc,
            id,
        )
        self._dropped.append(id)
        if vector is not None:
            self._added.append(Added(id, document, self._home(key), vector))

    def _home(self, key: Key) -> int:
        home = self._homes.get(key[:2])
        if home is None:
            home = self._homes[key[:2]] = segments.home_of(self._view, *key[:2])
        return home

    def drop_chunk(self, row: Row, held: StoredDocument) -> None:
        """A chunk of this document that goes, and its words in the index."""
        language = held.content[LANGUAGE]
        self._texts_dropped.append(ChunkText(row.id, held.id or 0, 0, language, row.passage))
        self._note("delete from semantic_index_chunk where id = ?", row.id)
        if row.vector is not None:
            self._dropped.append(row.id)

    def _add_attributes(self, document: int | None, given: Incoming) -> None:
        generation = self._view.generation
        rows = [(generation, *attribute, document) for attribute in given.attributes]
        self._many(_ADD_ATTRIBUTE, rows)

    def _add_title(self, document: int | None, given: Incoming) -> None:
        tenant = given.key[0]
        row = titles.row_of(self._view.generation, tenant, given.content[0], document or 0)
        if row is not None:
            self._note(titles.ADD, *row)

    def write(self) -> None:
        """Write the noted rows: what goes before what comes, documents before what refers to
        them.
        """
        last = (_DROP_DOCUMENT, _ADD_DOCUMENT, _ADD_ATTRIBUTE, titles.ADD, _ADD_CHUNK)
        order = [sql for sql in self._rows if sql not in last]
        for sql in (*order, *last):
            if sql in self._rows:
                self._view.raw.executemany(sql, self._rows[sql])
        text_segments.write(self._view, self._analyser, self._texts_added, self._texts_dropped)
        if self._rows:
            segments.write(self._view, self._dimensions, self._added, self._dropped)
        self._clear()


def _last_id(raw: Any, table: str) -> int:
    return raw.execute("select seq from sqlite_sequence where name = ?", (table,)).get or 0


_FIND = """select tenant, collection, key, id, stamp, created_at, updated_at,
    characters, title, media_type, language, metadata, text_hash
    from semantic_index_document
    where generation = ? and tenant = ? and collection = ? and key = ?"""
_PASSAGES = """select id, position, vector, kind, start, "end", fingerprint, headings,
    metadata, text, lead, own
    from semantic_index_chunk
    where document = ?"""
_REMEMBER_REMOVAL = """insert into semantic_index_removal (generation, address, stamp)
    values (?, ?, ?)
    on conflict do update
    set stamp = excluded.stamp"""
_REMOVAL = "select address, stamp from semantic_index_removal where generation = ? and address = ?"
_LEAVE_HOME = """delete from semantic_index_home as h
    where h.generation = ? and h.tenant = ? and h.collection = ?
    and not exists (select 1
        from semantic_index_document as d
        where d.generation = h.generation and d.tenant = h.tenant
        and d.collection = h.collection)"""
_ANY_REMOVAL = "select exists (select 1 from semantic_index_removal)"
_FORGET_REMOVAL = "delete from semantic_index_removal where generation = ? and address = ?"


_NOWHERE = StoredDocument(None, None)


def replace(
    view: View,
    dimensions: int,
    analyser: Analyser,
    given: Sequence[Incoming],
    stamps: Mapping[Ref, int],
) -> list[tuple[Ref, Outcome]]:
    """Store each document as given; return what became of each, in order."""
    waiting = set[str]()
    for one in given:
        waiting.update(passage.fingerprint for passage in one.passages if passage.vector is None)
    known = known_blobs(view, waiting)
    brought = dict[str, bytes]()
    changes = Changes(view, dimensions, analyser)
    outcomes: list[tuple[Ref, Outcome]] = []
    for group in _each_named_once(given):
        there = _find(view, [one.key for one in group])
        for one in group:
            held = there.get(one.key, _NOWHERE)
            stamp = stamps.get(one.ref)
            if held.is_newer_than(stamp):
                outcomes.append((one.ref, "stale"))
                continue
            for passage in one.passages:
                if passage.vector is not None:
                    brought[passage.fingerprint] = passage.vector
                    if waiting:
                        known[passage.fingerprint] = passage.vector
            outcomes.append((one.ref, _apply(view, changes, one, held, held.marked(stamp), known)))
        changes.write()
    written = {ref.tenant for ref, outcome in outcomes if outcome in ("added", "updated")}
    revisions.change(view, written)
    fill_waiting(view, dimensions, brought)
    return outcomes


def _each_named_once(given: Sequence[Incoming]) -> Iterator[Sequence[Incoming]]:
    """The batch in pieces none of which names a document twice: the second is compared with what
    the first was stored as.
    """
    begun = 0
    seen = set[Key]()
    for place, one in enumerate(given):
        if one.key in seen:
            yield given[begun:place]
            begun = place
            seen.clear()
        seen.add(one.key)
    yield given[begun:]


def _apply(
    view: View,
    changes: Changes,
    given: Incoming,
    held: StoredDocument,
    stamp: int | None,
    known: Mapping[str, bytes],
) -> Outcome:
    if held.id is None:
        if held.stamp is not None:
            view.raw.execute(_FORGET_REMOVAL, (view.generation, address_of(*given.key)))
        passages = given.passages
        if known:
            passages = [_with(one, one.vector or known.get(one.fingerprint)) for one in passages]
        changes.add_chunks(changes.add_document(given, stamp), given, passages)
        return "added"
    rows = {row.position: row for row in _rows_of(view, held.id)}
    wanted: list[tuple[Passage, Row | None, bytes | None]] = []
    is_same = held.content == given.content
    for passage in given.passages:
        row = rows.pop(passage.position, None)
        vector = _vector(passage, row, known)
        wanted.append((passage, row, vector))
        if row is None or row.vector != vector or row.content != passage.content:
            is_same = False
    if is_same and not rows:
        if stamp != held.stamp:
            changes.mark(given.key, held, stamp)
        return "unchanged"
    changes.change_document(held, given, stamp)
    for row in rows.values():
        changes.drop_chunk(row, held)
    written: list[Passage] = []
    same_language = held.content[LANGUAGE] == given.content[LANGUAGE]
    for passage, there, vector in wanted:
        # A passage that is still pending is written again, so that it goes to the end of the queue
        # with its document.
        stays = there is not None and there.content == passage.content and same_language
        if there is not None and stays and there.vector is not None:
            if there.vector != vector:
                changes.change_vector(there.id, held.id, given.key, passage.fingerprint, vector)
            continue
        if there is not None:
            changes.drop_chunk(there, held)
        written.append(_with(passage, vector))
    changes.add_chunks(held.id, given, written)
    return "updated"


def _with(passage: Passage, vector: bytes | None) -> Passage:
    return passage if vector is passage.vector else passage._replace(vector=vector)


def _vector(passage: Passage, row: Row | None, known: Mapping[str, bytes]) -> bytes | None:
    """The vector of a passage: its own, else that of its row, else a known one of its
    fingerprint.
    """
    if passage.vector is not None:
        return passage.vector
    held = row.vector if row is not None and row.content == passage.content else None
    return held or known.get(passage.fingerprint)


def remove(
    view: View,
    dimensions: int,
    analyser: Analyser,
    refs: Iterable[Ref],
    stamps: Mapping[Ref, int],
) -> int:
    """Remove these documents with all that belongs to them; return how many there were."""
    changes = Changes(view, dimensions, analyser)
    removed = 0
    left = set[tuple[str, str]]()
    wanted = list(dict.fromkeys(refs))
    there = _find(view, [key_of(ref) for ref in wanted])
    for ref in wanted:
        held = there.get(key_of(ref), _NOWHERE)
        stamp = stamps.get(ref)
        if held.is_newer_than(stamp):
            continue
        mark = held.marked(stamp)
        if mark is not None:
            view.raw.execute(_REMEMBER_REMOVAL, (view.generation, address_of(*key_of(ref)), mark))
        if held.id is not None:
            for row in _rows_of(view, held.id):
                changes.drop_chunk(row, held)
            changes.drop_document(held.id)
            left.add((ref.tenant, ref.collection))
            removed += 1
    changes.write()
    for tenant, collection in left:
        view.raw.execute(_LEAVE_HOME, (view.generation, tenant, collection))
    revisions.change(view, {tenant for tenant, _ in left})
    return removed


def _rows_of(view: View, document: int) -> list[Row]:
    """The chunks of a document."""
    found = view.raw.execute(_PASSAGES, (document,))
    return [Row(row[0], row[1], row[2], row[3:]) for row in found]


def _find(view: View, keys: Sequence[Key]) -> dict[Key, StoredDocument]:
    """Those of these documents that are stored, or were removed with a stamp."""
    wanted = [(view.generation, *key) for key in keys]
    found: dict[Key, StoredDocument] = {}
    if view.raw.execute(_ANY_REMOVAL).get:  # most stores have no stamps at all
        named = {address_of(*key): key for key in keys}
        asked = [(view.generation, address) for address in named]
        for address, stamp in view.raw.executemany(_REMOVAL, asked).fetchall():
            found[named[address]] = StoredDocument(None, stamp)
    for tenant, collection, name, *about in view.raw.executemany(_FIND, wanted).fetchall():
        id, stamp, created, updated, characters, *content = about
        found[tenant, collection, name] = StoredDocument(
            id, stamp, created, updated, characters, tuple(content)
        )
    return found
