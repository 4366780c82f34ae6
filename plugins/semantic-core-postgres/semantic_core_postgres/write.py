"""Replacing and removing documents: what a batch changes is worked out document by document, then
written table by table in the caller's transaction, with the full-text index.

Documents are locked in the order of their addresses before they are compared, so of two writers of
one document the second sees what the first has written.

Tested by tests/test_contract.py and tests/test_writing.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from psycopg import errors as sql_errors

from semantic_core.storage import STORED
from semantic_core.types import Outcome, Ref
from semantic_core_postgres import text_index, totals
from semantic_core_postgres.records import Incoming, Passage, address_of
from semantic_core_postgres.text_index import IndexedText
from semantic_core_postgres.texts import decoded, encoded
from semantic_core_postgres.titles import words_of
from semantic_core_postgres.totals import Change

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser
    from semantic_core_postgres.pool import View

TRIES = 5
"""How often documents that another writer has just added are looked up again."""
LANGUAGE = 2
"""The place of the language in the content of a document."""
_FIND = """select d.tenant, d.address, d.id, d.present, d.stamp, d.created_at, d.title,
        d.media_type, d.language, d.metadata, d.text_hash
    from unnest(%s::text[], %s::bytea[]) as i (tenant, address)
    join {s}.document as d on d.tenant = i.tenant and d.address = i.address
    order by d.tenant, d.address
    for update of d"""
_STUB = """insert into {s}.document (tenant, address, present, collection, key, title, title_words,
        media_type, metadata, text_hash, text, characters, created_at, updated_at)
    select i.tenant, i.address, false, i.collection, i.key, '', '', '', '', '', '', 0, '', ''
    from unnest(%s::text[], %s::bytea[], %s::text[], %s::text[])
        as i (tenant, address, collection, key)
    order by i.tenant, i.address
    on conflict (tenant, address) do nothing
    returning tenant, address, id"""
_CHANGE_DOCUMENT = """update {s}.document set present = true, collection = %s, key = %s, title = %s,
        media_type = %s, language = %s, metadata = %s, text_hash = %s, title_words = %s, text = %s,
        characters = %s, stamp = %s, created_at = %s, updated_at = greatest(updated_at, %s)
    where tenant = %s and id = %s"""
_MARK = "update {s}.document set stamp = %s where tenant = %s and id = %s"
_ERASE = """update {s}.document set present = false, stamp = %s, collection = '', key = '',
        title = '', title_words = '', media_type = '', language = null, metadata = '',
        text_hash = '', text = '', characters = 0, created_at = ''
    where tenant = %s and id = %s"""
_DROP_DOCUMENTS = "delete from {s}.document where tenant = %s and id = any(%s::bigint[])"
_ADD_CHUNK = """insert into {s}.chunk (tenant, id, document, position, kind, start_at, end_at,
        fingerprint, headings, metadata, text, passage, vector, code)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::{v}.halfvec)"""
_CHANGE_VECTOR = """update {s}.chunk set vector = %s, code = %s::{v}.halfvec
    where tenant = %s and id = %s"""
_DROP_CHUNKS = "delete from {s}.chunk where tenant = %s and id = any(%s::bigint[])"
_CHUNKS = """select c.tenant, c.document, c.id, c.position, c.kind, c.start_at, c.end_at,
        c.fingerprint, c.headings, c.metadata, c.text, c.passage, c.vector
    from unnest(%s::text[], %s::bigint[]) as i (tenant, document)
    join {s}.chunk as c on c.tenant = i.tenant and c.document = i.document"""
_ADD_ATTRIBUTES = """insert into {s}.attribute (tenant, document, key, kind, value, number, written)
    values (%s, %s, %s, %s, %s, %s, %s)"""
_DROP_ATTRIBUTES = "delete from {s}.attribute where tenant = %s and document = any(%s::bigint[])"
_KNOWN = """select distinct on (fingerprint) fingerprint, vector from {s}.chunk
    where fingerprint = any(%s::text[]) and vector is not null
    order by fingerprint, id"""
_FILL = """update {s}.chunk as c set vector = g.vector, code = g.code::{v}.halfvec
    from unnest(%s::text[], %s::bytea[], %s::text[]) as g (fingerprint, vector, code)
    where c.fingerprint = g.fingerprint and c.vector is null
    returning c.tenant"""
_IDS = "select nextval(%s) from generate_series(1, %s)"

Address = tuple[str, bytes]
"""The tenant, as the columns spell it, and the address of a document."""


@attrs.frozen
class Row:
    """A chunk as it is stored."""

    id: int
    position: int
    content: tuple[Any, ...]
    vector: bytes | None


@attrs.frozen
class StoredDocument:
    """A document as it is stored. present: False if it was removed, or is new. stamp: of its last
    change or removal. content: as in `Incoming`.
    """

    id: int
    present: bool
    stamp: int | None
    created: str
    content: tuple[Any, ...]

    def is_newer_than(self, stamp: int | None) -> bool:
        """Whether a change of this stamp comes too late."""
        return stamp is not None and self.stamp is not None and self.stamp > stamp

    def marked(self, stamp: int | None) -> int | None:
        """The stamp after a change of this stamp."""
        return self.stamp if stamp is None else stamp


class Changes:
    """What a batch writes, table by table."""

    def __init__(self, view: View, analyser: Analyser) -> None:
        self._view = view
        self._analyser = analyser
        self.now = datetime.now(UTC).isoformat()
        self.tenants: set[str] = set()
        self._documents: list[tuple[Any, ...]] = []
        self._marks: list[tuple[Any, ...]] = []
        self._erased: list[tuple[Any, ...]] = []
        self._gone: defaultdict[str, list[int]] = defaultdict(list)
        self._new: list[tuple[str, int, str | None, Passage]] = []
        self._vectors: list[tuple[Any, ...]] = []
        self._dropped: defaultdict[str, list[int]] = defaultdict(list)
        self._attributes: list[tuple[Any, ...]] = []
        self._other_attributes: defaultdict[str, list[int]] = defaultdict(list)

    def write_document(
        self, tenant: str, held: StoredDocument, given: Incoming, stamp: int | None
    ) -> None:
        """The content of a document, new or changed."""
        self.tenants.add(tenant)
        ref = given.ref
        words = encoded(words_of(given.title))
        created = held.created if held.present else self.now
        self._documents.append(
            (
                encoded(ref.collection),
                encoded(ref.key),
                *given.content,
                words,
                given.text,
                given.characters,
                stamp,
                created,
                self.now,
                tenant,
                held.id,
            )
        )
        if not held.present or held.content[3] != given.content[3]:
            if held.present:
                self._other_attributes[tenant].append(held.id)
            for attribute in given.attributes:
                self._attributes.append((tenant, held.id, *attribute))

    def mark(self, tenant: str, held: StoredDocument, stamp: int | None) -> None:
        """Another stamp of a document that stays as it is."""
        self._marks.append((stamp, tenant, held.id))

    def remove_document(self, tenant: str, held: StoredDocument, stamp: int | None) -> None:
        """A document that goes. With a stamp, its address stays."""
        if held.present:
            self.tenants.add(tenant)
            self._other_attributes[tenant].append(held.id)
        if stamp is None:
            self._gone[tenant].append(held.id)
        else:
            self._erased.append((stamp, tenant, held.id))

    def add_chunk(self, tenant: str, document: int, language: str | None, passage: Passage) -> None:
        """A new chunk of a document. language: of the document, as the column spells it."""
        self._new.append((tenant, document, language, passage))

    def drop_chunk(self, tenant: str, row: Row) -> None:
        """A chunk that goes."""
        self._dropped[tenant].append(row.id)

    def change_vector(self, tenant: str, row: Row, vector: bytes | None) -> None:
        """Another vector of a chunk that stays."""
        self._vectors.append((vector, code_of(vector), tenant, row.id))

    def write(self) -> None:
        """Write it all: what goes before what comes."""
        view = self._view
        changes = {tenant: Change() for tenant in self.tenants}
        for tenant, chunks in sorted(self._dropped.items()):
            length = text_index.drop(view, tenant, chunks)
            view.run(_DROP_CHUNKS, (tenant, chunks))
            changes[tenant] = Change(-len(chunks), -length)
        for tenant, documents in sorted(self._other_attributes.items()):
            view.run(_DROP_ATTRIBUTES, (tenant, documents))
        view.many(_MARK, self._marks)
        view.many(_ERASE, self._erased)
        for tenant, documents in sorted(self._gone.items()):
            view.run(_DROP_DOCUMENTS, (tenant, documents))
        view.many(_CHANGE_DOCUMENT, self._documents)
        view.many(_ADD_ATTRIBUTES, self._attributes)
        view.many(_CHANGE_VECTOR, self._vectors)
        for tenant, added in self._add_chunks().items():
            before = changes.get(tenant, Change())
            changes[tenant] = Change(before.chunks + added.chunks, before.length + added.length)
        totals.add(view, changes)

    def _add_chunks(self) -> dict[str, Change]:
        """Write the new chunks and their words; what each tenant has more."""
        if not self._new:
            return {}
        view = self._view
        sequence = view.statements.name("chunk_id")
        ids = sorted(id for (id,) in view.rows(_IDS, (sequence, len(self._new))))
        rows = []
        texts = []
        counts: defaultdict[str, int] = defaultdict(int)
        for id, (tenant, document, language, one) in zip(ids, self._new, strict=True):
            rows.append((tenant, id, document, *one, code_of(one.vector)))
            language = None if language is None else decoded(language)
            passage = decoded(one.passage)
            texts.append(IndexedText(tenant, id, document, one.position, language, passage))
            counts[tenant] += 1
        view.many(_ADD_CHUNK, rows)
        lengths = text_index.add(view, self._analyser, texts)
        return {tenant: Change(count, lengths[tenant]) for tenant, count in counts.items()}


def code_of(vector: bytes | None) -> str | None:
    """A stored vector as pgvector reads it; None if there is none."""
    if vector is None:
        return None
    numbers = np.frombuffer(vector, dtype=STORED).tolist()
    return f"[{','.join(map(repr, numbers))}]"


def replace(
    view: View, analyser: Analyser, given: Sequence[Incoming], stamps: Mapping[Ref, int]
) -> list[tuple[Ref, Outcome]]:
    """Store each document as given; return what became of each, in order."""
    text_index.claim_analyser(view, analyser)
    waiting: set[str] = set()
    for one in given:
        waiting.update(passage.fingerprint for passage in one.passages if passage.vector is None)
    known = known_vectors(view, waiting)
    brought: dict[str, bytes] = {}
    outcomes: list[tuple[Ref, Outcome]] = []
    for group in _each_named_once(given):
        there = _locked(view, [one.ref for one in group])
        rows = _rows_of(view, there)
        changes = Changes(view, analyser)
        for one in group:
            address = (encoded(one.ref.tenant), one.address)
            held = there[address]
            stamp = stamps.get(one.ref)
            if held.is_newer_than(stamp):
                outcomes.append((one.ref, "stale"))
                continue
            for passage in one.passages:
                if passage.vector is not None:
                    brought[passage.fingerprint] = passage.vector
                    known[passage.fingerprint] = passage.vector
            mine = rows.get((address[0], held.id), {})
            outcome = _apply(changes, address[0], one, held, mine, held.marked(stamp), known)
            outcomes.append((one.ref, outcome))
        changes.write()
    fill_waiting(view, brought)
    return outcomes


def _each_named_once(given: Sequence[Incoming]) -> Iterator[Sequence[Incoming]]:
    """The batch in pieces none of which names a document twice: the second is compared with what
    the first was stored as.
    """
    begun = 0
    seen: set[bytes] = set()
    for place, one in enumerate(given):
        if one.address in seen:
            yield given[begun:place]
            begun = place
            seen.clear()
        seen.add(one.address)
    yield given[begun:]


def _apply(
    changes: Changes,
    tenant: str,
    given: Incoming,
    held: StoredDocument,
    rows: Mapping[int, Row],
    stamp: int | None,
    known: Mapping[str, bytes],
) -> Outcome:
    language = given.content[LANGUAGE]
    left = dict(rows)
    wanted: list[tuple[Passage, Row | None, bytes | None]] = []
    is_same = held.present and held.content == given.content
    for passage in given.passages:
        row = left.pop(passage.position, None)
        vector = _vector(passage, row, known)
        wanted.append((passage, row, vector))
        if row is None or row.vector != vector or row.content != passage.content:
            is_same = False
    if is_same and not left:
        if stamp != held.stamp:
            changes.mark(tenant, held, stamp)
        return "unchanged"
    changes.write_document(tenant, held, given, stamp)
    for row in left.values():
        changes.drop_chunk(tenant, row)
    same_language = held.present and held.content[LANGUAGE] == language
    for passage, there, vector in wanted:
        # A passage that is still pending is written again, so that it goes to the end of the queue
        # with its document.
        stays = there is not None and there.content == passage.content and same_language
        if there is not None and stays and there.vector is not None:
            if there.vector != vector:
                changes.change_vector(tenant, there, vector)
            continue
        if there is not None:
            changes.drop_chunk(tenant, there)
        changes.add_chunk(tenant, held.id, language, passage._replace(vector=vector))
    return "updated" if held.present else "added"


def _vector(passage: Passage, row: Row | None, known: Mapping[str, bytes]) -> bytes | None:
    """The vector of a passage: its own, else that of its row, else a known one of its
    fingerprint.
    """
    if passage.vector is not None:
        return passage.vector
    held = row.vector if row is not None and row.content == passage.content else None
    return held or known.get(passage.fingerprint)


def remove(view: View, analyser: Analyser, refs: Iterable[Ref], stamps: Mapping[Ref, int]) -> int:
    """Remove these documents with all that belongs to them; return how many there were."""
    wanted = list(dict.fromkeys(refs))
    stamped = [ref for ref in wanted if ref in stamps]
    there = _locked(view, stamped)
    there |= _found(view, [ref for ref in wanted if ref not in stamps])
    rows = _rows_of(view, there)
    changes = Changes(view, analyser)
    removed = 0
    for ref in wanted:
        address = (encoded(ref.tenant), address_of(ref))
        held = there.get(address)
        stamp = stamps.get(ref)
        if held is None or held.is_newer_than(stamp):
            continue
        for row in rows.get((address[0], held.id), {}).values():
            changes.drop_chunk(address[0], row)
        changes.remove_document(address[0], held, held.marked(stamp))
        removed += held.present
    changes.write()
    return removed


def _found(view: View, refs: Sequence[Ref]) -> dict[Address, StoredDocument]:
    """Those of these documents that are stored, or were removed with a stamp; locked."""
    if not refs:
        return {}
    tenants = [encoded(ref.tenant) for ref in refs]
    addresses = [address_of(ref) for ref in refs]
    found = {}
    for tenant, address, id, present, stamp, created, *content in view.rows(
        _FIND, (tenants, addresses)
    ):
        held = StoredDocument(id, present, stamp, created, tuple(content))
        found[tenant, bytes(address)] = held
    return found


def _locked(view: View, refs: Sequence[Ref]) -> dict[Address, StoredDocument]:
    """All of these documents; those that are not there get a row that says so."""
    there = _found(view, refs)
    for _ in range(TRIES):
        missing = []
        for ref in refs:
            if (encoded(ref.tenant), address_of(ref)) not in there:
                missing.append(ref)
        if not missing:
            return there
        names = (
            [encoded(ref.tenant) for ref in missing],
            [address_of(ref) for ref in missing],
            [encoded(ref.collection) for ref in missing],
            [encoded(ref.key) for ref in missing],
        )
        for tenant, address, id in view.rows(_STUB, names):
            there[tenant, bytes(address)] = StoredDocument(id, False, None, "", ())
        others = [ref for ref in missing if (encoded(ref.tenant), address_of(ref)) not in there]
        there |= _found(view, others)
    raise sql_errors.SerializationFailure("other transactions add and remove the same documents")


def _rows_of(
    view: View, documents: Mapping[Address, StoredDocument]
) -> dict[tuple[str, int], dict[int, Row]]:
    """The chunks of these documents, by (tenant, document) and position."""
    tenants = []
    ids = []
    for (tenant, _), held in documents.items():
        if held.present:
            tenants.append(tenant)
            ids.append(held.id)
    found: defaultdict[tuple[str, int], dict[int, Row]] = defaultdict(dict)
    if ids:
        for tenant, document, id, position, *content, vector in view.rows(_CHUNKS, (tenants, ids)):
            row = Row(id, position, tuple(content), None if vector is None else bytes(vector))
            found[tenant, document][position] = row
    return found


def known_vectors(view: View, fingerprints: Iterable[str]) -> dict[str, bytes]:
    """The stored vectors of these fingerprints, as the columns spell them."""
    listed = sorted(set(fingerprints))
    if not listed:
        return {}
    return {name: bytes(vector) for name, vector in view.rows(_KNOWN, (listed,))}


def fill_waiting(view: View, vectors: Mapping[str, bytes]) -> int:
    """Store these vectors with the pending chunks of their fingerprints; return how many those
    were.
    """
    if not vectors:
        return 0
    names = sorted(vectors)
    blobs = [vectors[name] for name in names]
    filled = view.rows(_FILL, (names, blobs, [code_of(blob) for blob in blobs]))
    totals.add(view, {tenant: Change() for tenant in {tenant for (tenant,) in filled}})
    return len(filled)
