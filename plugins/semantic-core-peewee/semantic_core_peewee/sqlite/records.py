"""Documents, chunks and entries as rows of the file, and rows as those records again.

Every row has a checksum of what it holds, so that a file that was altered is noticed.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_maintenance.py.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from hashlib import blake2b
from itertools import islice
from json.encoder import encode_basestring
from typing import Any, NamedTuple, ParamSpec, TypeVar

import attrs

from semantic_core.errors import InputError
from semantic_core.storage import MOST_INT, as_stored, check_tenant
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref, StoredChunk
from semantic_core_peewee.sqlite.errors import UNREADABLE, altered, damaged
from semantic_core_peewee.sqlite.filters import attributes

Key = tuple[str, str, str]
"""(tenant, collection, key): how a document is found."""


class Passage(NamedTuple):
    """An entry as it is compared and written: the columns of a chunk, in their order."""

    position: int
    kind: str
    start: int
    end: int
    fingerprint: str
    headings: str
    metadata: str
    text: str
    lead: str
    own: str | None
    vector: bytes | None

    @property
    def content(self) -> tuple[Any, ...]:
        """All that makes two of them the same, but for the vector."""
        return self[1:10]


@attrs.frozen
class Incoming:
    """A document as it is compared and written. key: how it is found. content: title, media type,
    language, metadata and hash of the text.
    """

    ref: Ref
    key: Key
    content: tuple[str, str, str | None, str, str]
    text: str
    attributes: Sequence[tuple[str, str, Any]]
    passages: Sequence[Passage]


def key_of(ref: Ref) -> Key:
    """How a document is found."""
    return ref.tenant, ref.collection, ref.key


def address_of(tenant: str, collection: str, key: str) -> bytes:
    """What is remembered of a removed document: it can be compared, and not be read."""
    return blake2b("\0".join((tenant, collection, key)).encode("utf-8"), digest_size=16).digest()


def incoming(
    batch: Iterable[tuple[Document, Sequence[Entry]]], dimensions: int, multi_tenant: bool
) -> list[Incoming]:
    """The rows a batch becomes; it is read to its end.

    Raises InputError, VectorInvalid, TenantRequired, TenantRefused.
    """
    given: list[tuple[Document, list[Entry]]] = []
    every: list[Entry] = []
    for document, entries in batch:
        listed = list(entries)
        given.append((document, listed))
        every += listed
    for document, _ in given:
        if not isinstance(document, Document):
            raise InputError(
                f"replace takes pairs of a Document and its entries, got {type(document).__name__}."
            )
        check_tenant(document.ref.tenant, multi_tenant)
    passages = _passages(every, dimensions)
    rows: list[Incoming] = []
    for document, listed in given:
        mine = list(islice(passages, len(listed)))
        rows.append(_incoming(document, listed, mine))
    return rows


def _incoming(document: Document, entries: Sequence[Entry], passages: list[Passage]) -> Incoming:
    ref = document.ref
    for entry in entries:
        if entry.chunk.id.ref is not ref and entry.chunk.id.ref != ref:
            raise InputError(f"{ref}: an entry belongs to another document, {entry.chunk.id.ref}.")
    positions = [passage.position for passage in passages]
    if len(set(positions)) < len(positions):
        (twice, _), *_ = Counter(positions).most_common(1)
        raise InputError(f"{ref}: two entries have position {twice}.")
    passages.sort()
    content = (
        document.title,
        document.media_type,
        document.language,
        to_json(document.metadata),
        text_hash(document.text),
    )
    asked = attributes(document.metadata)
    return Incoming(ref, key_of(ref), content, document.text, asked, passages)


def _passages(entries: Sequence[Entry], dimensions: int) -> Iterator[Passage]:
    """The entries as passages. They are checked column by column: to check them one by one takes
    about as long as to write them.
    """
    vectors = as_stored([entry.vector for entry in entries], dimensions)
    if not entries:
        return iter(())
    chunks = [entry.chunk for entry in entries]
    numbers = (
        [chunk.id.position for chunk in chunks],
        [chunk.start for chunk in chunks],
        [chunk.end for chunk in chunks],
    )
    texts = (
        [entry.fingerprint for entry in entries],
        [chunk.text for chunk in chunks],
        [entry.passage for entry in entries],
    )
    kinds = [chunk.kind for chunk in chunks]
    are_numbers = all(map(_are_counts, numbers))
    are_texts = all(_are_text(column) for column in (kinds, *texts))
    if not (are_numbers and are_texts):
        _refuse(entries)
    fingerprints, said, passages = texts
    known: dict[tuple[str, ...], str] = {}
    headings = [_headings(chunk.headings, known) for chunk in chunks]
    metadata = [to_json(chunk.metadata) for chunk in chunks]
    leads, owns = zip(*map(_parts, said, passages), strict=True)
    positions, starts, ends = numbers
    columns = zip(
        positions,
        kinds,
        starts,
        ends,
        fingerprints,
        headings,
        metadata,
        said,
        leads,
        owns,
        vectors,
        strict=True,
    )
    return map(Passage._make, columns)


def _parts(text: str, passage: str) -> tuple[str, str | None]:
    """`lead` and `own` of a passage: most are the chunk's text with a lead before it, and the text
    is stored already.
    """
    if passage.endswith(text):
        return passage[: len(passage) - len(text)], None
    return "", passage


def passage_of(text: str, lead: str, own: str | None) -> str:
    """The passage these are the parts of."""
    return lead + text if own is None else own


def _are_counts(column: Sequence[int]) -> bool:
    return set(map(type, column)) == {int} and min(column) >= 0 and max(column) <= MOST_INT


def _are_text(column: Sequence[object]) -> bool:
    return set(map(type, column)) <= {str} or all(isinstance(field, str) for field in column)


def _refuse(entries: Iterable[Entry]) -> None:
    """Raise InputError for the first of these that cannot be stored."""
    for entry in entries:
        chunk = entry.chunk
        numbers = chunk.id.position, chunk.start, chunk.end
        if not _are_counts(numbers):
            raise InputError(
                f"{chunk.id}: position, start and end must be whole numbers from 0, got {numbers}."
            )
        for text in (chunk.kind, entry.fingerprint, chunk.text, entry.passage):
            if not isinstance(text, str):
                wanted = "kind, text, passage and fingerprint must be str"
                raise InputError(f"{chunk.id}: {wanted}, got {type(text).__name__}.")


def row_crc(*fields: str | int | None) -> int:
    """Checksum of the fields of a row."""
    return zlib.crc32("\0".join(map(str, fields)).encode("utf-8"))


def document_crc(
    key: Key,
    content: Sequence[str | None],
    stamp: int | None,
    created: str,
    updated: str,
    characters: int,
) -> int:
    """Checksum of a row of `document` and of what it is found by;
    its text is covered by the hash in its content.
    """
    return row_crc(*key, *content, stamp, created, updated, characters)


def chunk_crc(document: int, position: int, content: Sequence[str | int | None]) -> int:
    """Checksum of a row of `chunk` and of what it is found by; its vector has its own.

    It is `row_crc`, spelled out because it is taken of every passage.
    """
    kind, start, end, fingerprint, headings, metadata, text, lead, own = content
    of = f"{document}\0{position}\0{kind}\0{start}\0{end}\0{fingerprint}"
    return zlib.crc32(f"{of}\0{headings}\0{metadata}\0{text}\0{lead}\0{own}".encode())


def fingerprint_crc(fingerprint: str) -> int:
    """Checksum of a fingerprint: what it is looked up by."""
    return zlib.crc32(fingerprint.encode("utf-8", "surrogatepass"))


def vector_crc(of_fingerprint: int, vector: bytes | None) -> int | None:
    """Checksum of the bytes of a vector and of what it is found by; None if there is none."""
    return None if vector is None else zlib.crc32(vector, of_fingerprint)


def crcs_of(document: int, passage: Passage) -> tuple[int, int, int | None]:
    """The three checksums of a row of `chunk`: of what it says, its fingerprint and its vector."""
    of_fingerprint = fingerprint_crc(passage.fingerprint)
    of_content = chunk_crc(document, passage.position, passage.content)
    return of_content, of_fingerprint, vector_crc(of_fingerprint, passage.vector)


def check_vector(fingerprint: str, vector: bytes, crc: int) -> None:
    """Raise StoreCorrupt if a vector is not the one that was stored with this checksum."""
    if vector_crc(fingerprint_crc(fingerprint), vector) != crc:
        raise altered("A vector")


def text_hash(text: str) -> str:
    """32 hex digits naming a document's text."""
    return blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def to_json(value: object) -> str:
    """JSON in which ``1``, ``1.0`` and ``true`` are three values,
    and lists are what tuples become.
    """
    if not value:  # most passages have no headings or metadata of their own
        return "[]" if isinstance(value, tuple) else "{}"
    return _encode(value)


def _headings(headings: tuple[str, ...], known: dict[tuple[str, ...], str]) -> str:
    """`to_json` of what they nearly always are: a tuple of str,
    the same as that of the passage before.
    """
    try:
        found = known.get(headings)
        if found is None:
            found = known[headings] = f"[{', '.join(map(encode_basestring, headings))}]"
    except TypeError:
        return to_json(headings)
    return found


def metadata_of(text: str) -> Mapping[str, Any]:
    """Metadata as it was handed over: lists are tuples."""
    metadata: dict[str, Any] = json.loads(text)
    for key, value in metadata.items():
        if isinstance(value, list):
            metadata[key] = tuple(value)
    return metadata


P = ParamSpec("P")
R = TypeVar("R")


def of_rows(make: Callable[P, R]) -> Callable[P, R]:
    """Have `make` raise StoreCorrupt for a row no record can be made of: the file is damaged, and
    the caller did nothing wrong.
    """

    @wraps(make)
    def made(*args: P.args, **named: P.kwargs) -> R:
        try:
            return make(*args, **named)
        except UNREADABLE as error:
            raise damaged(error) from error

    return made


_DOCUMENT_SAYS = """d.title, d.media_type, d.language, d.metadata, d.text_hash, d.stamp,
    d.created_at, d.updated_at, d.characters"""
"""What the checksum of a document is of, in its order."""
CHUNK_COLUMNS = f"""d.id, c.position, c.crc, c.vector is null, c.kind, c.start, c."end",
    c.fingerprint, c.headings, c.metadata, c.text, c.lead, c.own, d.crc, {_DOCUMENT_SAYS}"""
"""The columns `stored_chunk` makes a record of."""


@of_rows
def stored_chunk(ref: Ref, row: Sequence[Any]) -> StoredChunk:
    """The record of a row of CHUNK_COLUMNS.

    Raises StoreCorrupt if its checksums say that it is another.
    """
    document, position, crc, pending, *content, of_document = row[:14]
    says = row[14:]
    if chunk_crc(document, position, content) != crc or row_crc(*key_of(ref), *says) != of_document:
        raise altered(f"A passage of {ref}, or what is known of that document,")
    kind, start, end, _, headings, metadata, text, *_ = content
    chunk = Chunk(
        ChunkId(ref, position),
        text,
        start,
        end,
        kind,
        tuple(json.loads(headings)),
        metadata_of(metadata),
    )
    title = says[0]
    updated_at = says[7]
    return StoredChunk(chunk, title, metadata_of(says[3]), bool(pending), updated_at)


DOCUMENT_COLUMNS = f"d.text, d.crc, {_DOCUMENT_SAYS}"
"""The columns `document_of` makes a record of."""


@of_rows
def document_of(ref: Ref, row: Sequence[Any]) -> Document:
    """The record of a row of DOCUMENT_COLUMNS.

    Raises StoreCorrupt if its checksums say that it is another.
    """
    text, crc, *says = row
    title, media_type, language, metadata, hash_of_text = says[:5]
    if row_crc(*key_of(ref), *says) != crc or text_hash(text) != hash_of_text:
        raise altered(f"The document {ref}")
    return Document(ref, text, title, media_type, metadata_of(metadata), language)
