"""Documents, chunks and entries as rows of the tables, and rows as those records again.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import attrs

from semantic_core.errors import InputError
from semantic_core.storage import MOST_INT, as_stored, check_tenant
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref, StoredChunk
from semantic_core_postgres.filters import Attribute, attributes
from semantic_core_postgres.texts import decoded, digest_of, encoded


class Passage(NamedTuple):
    """An entry as it is compared and written. passage: the text that is indexed."""

    position: int
    kind: str
    start: int
    end: int
    fingerprint: str
    headings: str
    metadata: str
    text: str
    passage: str
    vector: bytes | None

    @property
    def content(self) -> tuple[Any, ...]:
        """All that makes two of them the same, but for the vector."""
        return self[1:9]


@attrs.frozen
class Incoming:
    """A document as it is compared and written. content: title, media type, language, metadata and
    hash of the text.
    """

    ref: Ref
    address: bytes
    content: tuple[str, str, str | None, str, str]
    text: str
    title: str
    characters: int
    attributes: Sequence[Attribute]
    passages: Sequence[Passage]


def address_of(ref: Ref) -> bytes:
    """What a document is found by: 16 bytes, because a ref may be longer than an index allows."""
    return digest_of(ref.tenant, ref.collection, ref.key)


def text_hash(text: str) -> str:
    """32 hex digits naming a document's text."""
    return blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


def incoming(
    batch: Iterable[tuple[Document, Sequence[Entry]]], dimensions: int, multi_tenant: bool
) -> list[Incoming]:
    """The rows that a batch becomes; it is read to its end.

    Raises InputError, VectorInvalid, TenantRequired, TenantRefused.
    """
    given: list[tuple[Document, list[Entry]]] = []
    every: list[Entry] = []
    for document, entries in batch:
        if not isinstance(document, Document):
            raise InputError(
                f"replace takes pairs of a Document and its entries, got {type(document).__name__}."
            )
        check_tenant(document.ref.tenant, multi_tenant)
        listed = list(entries)
        given.append((document, listed))
        every += listed
    vectors = iter(as_stored([entry.vector for entry in every], dimensions))
    rows = []
    for document, listed in given:
        rows.append(_incoming(document, listed, list(islice(vectors, len(listed)))))
    return rows


def _incoming(
    document: Document, entries: Sequence[Entry], vectors: Sequence[bytes | None]
) -> Incoming:
    ref = document.ref
    passages = []
    for entry, vector in zip(entries, vectors, strict=True):
        if entry.chunk.id.ref != ref:
            raise InputError(f"{ref}: an entry belongs to another document, {entry.chunk.id.ref}.")
        passages.append(_passage(entry, vector))
    positions = [passage.position for passage in passages]
    if len(set(positions)) < len(positions):
        (twice, _), *_ = Counter(positions).most_common(1)
        raise InputError(f"{ref}: two entries have position {twice}.")
    passages.sort(key=lambda passage: passage.position)
    title = encoded(document.title)
    content = (
        title,
        encoded(document.media_type),
        None if document.language is None else encoded(document.language),
        to_json(document.metadata),
        text_hash(document.text),
    )
    return Incoming(
        ref,
        address_of(ref),
        content,
        encoded(document.text),
        document.title,
        len(document.text),
        attributes(document.metadata),
        passages,
    )


def _passage(entry: Entry, vector: bytes | None) -> Passage:
    chunk = entry.chunk
    for number in (chunk.id.position, chunk.start, chunk.end):
        is_count = isinstance(number, int) and not isinstance(number, bool)
        if not is_count or not 0 <= number <= MOST_INT:
            raise InputError(
                f"{chunk.id}: position, start and end must be whole numbers from 0, got {number!r}."
            )
    for text in (chunk.kind, entry.fingerprint, chunk.text, entry.passage):
        if not isinstance(text, str):
            wanted = "kind, text, passage and fingerprint must be str"
            raise InputError(f"{chunk.id}: {wanted}, got {type(text).__name__}.")
    return Passage(
        chunk.id.position,
        encoded(chunk.kind),
        chunk.start,
        chunk.end,
        encoded(entry.fingerprint),
        to_json(chunk.headings),
        to_json(chunk.metadata),
        encoded(chunk.text),
        encoded(entry.passage),
        vector,
    )


# ensure_ascii: U+0000 is written as an escape, so that the column can hold it.
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode


def to_json(value: object) -> str:
    """JSON in which ``1``, ``1.0`` and ``true`` are three values,
    and lists are what tuples become.
    """
    if not value:
        return "[]" if isinstance(value, tuple) else "{}"
    return _encode(value)


def metadata_of(text: str) -> Mapping[str, Any]:
    """Metadata as it was given: lists are tuples."""
    metadata: dict[str, Any] = json.loads(text)
    for key, value in metadata.items():
        if isinstance(value, list):
            metadata[key] = tuple(value)
    return metadata


CHUNK_COLUMNS = """c.position, c.vector is null, c.kind, c.start_at, c.end_at, c.headings,
    c.metadata, c.text, d.title, d.metadata, d.updated_at"""
"""The columns that `stored_chunk` makes a record of."""


def stored_chunk(ref: Ref, row: Sequence[Any]) -> StoredChunk:
    """The record of a row of CHUNK_COLUMNS."""
    position, pending, kind, start, end, headings, metadata, text, title, of_document, at = row
    chunk = Chunk(
        ChunkId(ref, position),
        decoded(text),
        start,
        end,
        decoded(kind),  # type: ignore[arg-type]
        tuple(json.loads(headings)),
        metadata_of(metadata),
    )
    return StoredChunk(chunk, decoded(title), metadata_of(of_document), bool(pending), at)


DOCUMENT_COLUMNS = "d.text, d.title, d.media_type, d.metadata, d.language"
"""The columns that `document_of` makes a record of."""


def document_of(ref: Ref, row: Sequence[Any]) -> Document:
    """The record of a row of DOCUMENT_COLUMNS."""
    text, title, media_type, metadata, language = row
    return Document(
        ref,
        decoded(text),
        decoded(title),
        decoded(media_type),
        metadata_of(metadata),
        None if language is None else decoded(language),
    )
