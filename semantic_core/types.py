"""The records that travel through the product: frozen, and validated where they are made, so
nothing inside checks again.

Identity and content are two things. A `Ref` says *which* document; a fingerprint says *what* text
an embedder is given. Offsets count characters (code points) of ``Document.text``. Scores are
bigger-is-better everywhere.

Tested by tests/kernel/test_types.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import total_ordering
from typing import TYPE_CHECKING, Any, Literal, overload

import attrs

from semantic_core._validation import (
    Value,
    check_count,
    check_metadata,
    check_name,
    check_text,
    check_unicode,
    clip,
)
from semantic_core.errors import InputError
from semantic_core.filters import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    """float32, shape (dimensions,), length 1."""
    Vectors = NDArray[np.float32]
    """float32, shape (n, dimensions), rows of length 1."""
else:  # the names can be imported without numpy being
    Vector = Vectors = object

Mode = Literal["hybrid", "vector", "text"]
MODES: tuple[Mode, ...] = ("hybrid", "vector", "text")
IngestMode = Literal["sync", "async", "auto"]
INGEST_MODES: tuple[IngestMode, ...] = ("sync", "async", "auto")
Kind = Literal["text", "code", "table", "list"]

WORDS_ONLY = "none"
"""Name of an index without an embedder: ``embedder="none"``, and the model of its space."""
MAX_DIMENSIONS = 65_536
"""Most numbers a vector may have."""

_EMPTY: Mapping[str, Value] = {}


def _sorted(settings: object) -> Mapping[str, str]:
    if not isinstance(settings, Mapping):
        raise InputError(f"Space.settings must be a mapping, got {type(settings).__name__}.")
    told = {check_unicode("A key of Space.settings", key): value for key, value in settings.items()}
    return {key: check_unicode(f"Space.settings[{key!r}]", told[key]) for key in sorted(told)}


@total_ordering
@attrs.frozen(unsafe_hash=True, cache_hash=True)
class Ref:
    """Which document: row 5 of two collections, or of two tenants, never meet.

    collection: what it is one of ("article", "notes"). key: its name in there, unique.
    tenant: whose it is; "" in a single-tenant store, never "" in a multi-tenant one. All are
    compared exactly.
    """

    collection: str
    key: str
    tenant: str = ""

    def __attrs_post_init__(self) -> None:
        check_name("Ref.collection", self.collection)
        check_name("Ref.key", self.key)
        check_name("Ref.tenant", self.tenant, empty=True)

    def __lt__(self, other: Ref) -> bool:
        if not isinstance(other, Ref):
            return NotImplemented
        mine = (self.collection, self.key, self.tenant)
        return mine < (other.collection, other.key, other.tenant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.tenant, self.collection, self.key) if part)


@attrs.frozen(init=False)
class Document:
    """A text to be found, with what is known about it.

    text: the whole text; "" is allowed and is found by its title alone.
    title: what a person calls it. media_type: decides who splits it ("text/plain",
    "text/markdown").
    metadata: what a ``where`` can ask for: str, bool, finite float, int within 64 bits, or a list
    of str.
    language: BCP 47 tag if known, else None.

    ``Document(source_id="5", content="...", metadata={"model": "Article"})`` means
    ``Document(Ref("Article", "5"), "...")``; without a ``model`` the collection is "documents".
    """

    ref: Ref
    text: str
    title: str
    media_type: str
    metadata: Mapping[str, Value] = attrs.field(hash=False)
    language: str | None

    def __init__(
        self,
        ref: Ref | None = None,
        text: str | None = None,
        title: str = "",
        media_type: str = "text/plain",
        metadata: Mapping[str, Any] = _EMPTY,
        language: str | None = None,
        *,
        source_id: object = None,
        content: str | None = None,
    ) -> None:
        if (ref is None) == (source_id is None) or (text is None) == (content is None):
            raise InputError("A Document takes a Ref and a text, or source_id= and content=.")
        checked = check_metadata(metadata)
        if ref is None:
            ref = Ref(str(checked.get("model", "documents")), str(source_id))
        if not isinstance(ref, Ref):
            raise InputError(
                f'Document.ref must be a Ref such as Ref("notes", "1"), got {clip(ref)}.'
            )
        if language is not None:
            check_name("Document.language", language)
        self.__attrs_init__(
            ref=ref,
            text=check_text("Document.text", content if text is None else text),
            title=check_text("Document.title", title),
            media_type=check_name("Document.media_type", media_type),
            metadata=checked,
            language=language,
        )

    if TYPE_CHECKING:

        def __attrs_init__(self, **fields: Any) -> None: ...


@total_ordering
@attrs.frozen(unsafe_hash=True, cache_hash=True)
class ChunkId:
    """Which chunk: the document and the place in it, from 0.

    Ordered, so ties sort the same everywhere.
    """

    ref: Ref
    position: int

    def __lt__(self, other: ChunkId) -> bool:
        if not isinstance(other, ChunkId):
            return NotImplemented
        if self.ref is other.ref or self.ref == other.ref:
            return self.position < other.position
        return self.ref < other.ref

    def __str__(self) -> str:
        return f"{self.ref}#{self.position}"


@attrs.frozen
class Chunk:
    """A passage of a document: ``document.text[start:end] == text``.

    kind: "text", "code", "table" or "list". headings: the path of headings above it, outermost
    first.
    metadata: what the splitter knows of this passage, such as ``{"language": "python"}`` of code;
    not asked by ``where``.
    """

    id: ChunkId
    text: str
    start: int
    end: int
    kind: Kind = "text"
    headings: tuple[str, ...] = ()
    metadata: Mapping[str, Value] = attrs.field(
        default=_EMPTY, converter=check_metadata, hash=False
    )


@attrs.frozen
class Space:
    """The full identity of an embedding space.

    Vectors of two spaces never mix; a store refuses another.

    model: its published name. dimensions: how many numbers a vector has. task: what the vectors are
    made for, "" for any.
    revision: of the weights. settings: everything else that changes a vector (a prefix, a
    truncation). The model "none" is that of an index without an embedder.
    """

    model: str
    dimensions: int
    task: str = ""
    revision: str = ""
    settings: Mapping[str, str] = attrs.field(factory=dict, converter=_sorted, hash=False)

    def __attrs_post_init__(self) -> None:
        check_name("Space.model", self.model)
        check_count("Space.dimensions", self.dimensions, 1, MAX_DIMENSIONS)
        check_name("Space.task", self.task, empty=True)
        check_name("Space.revision", self.revision, empty=True)

    def __str__(self) -> str:
        if self.model == WORDS_ONLY:
            return "none (words only)"
        rest = [
            self.task,
            self.revision,
            *(f"{key}={value}" for key, value in self.settings.items()),
        ]
        return f"{self.model} ({', '.join([f'{self.dimensions} dimensions', *filter(None, rest)])})"


@attrs.frozen(eq=False)
class Entry:
    """A chunk on its way into a store.

    passage: what is embedded and what words are searched in: context (title, headings) and text.
    fingerprint: 32 hex digits naming (space, passage); the key of a vector.
    vector: float32 of length 1, or None while it is still to be embedded.
    """

    chunk: Chunk
    passage: str
    fingerprint: str
    vector: Vector | None = None


@attrs.frozen
class PendingChunk:
    """A stored chunk without a vector, see `VectorQueue.pending`.

    place: in the queue, from 0; a chunk that begins to wait has a larger one than all that wait.
    passage, fingerprint: of its `Entry`.
    """

    place: int
    id: ChunkId
    passage: str
    fingerprint: str


@attrs.frozen
class Scope:
    """Where to look. Applied inside the search, before the limit.

    tenant: "" in a single-tenant store. collections: only these; None = all, () = none.
    filter: conditions on the documents' metadata.
    """

    tenant: str = ""
    collections: tuple[str, ...] | None = None
    filter: Filter = Filter()


@attrs.frozen(eq=False)
class SearchRequest:
    """What is asked of every retriever.

    text: the query as typed. vector: of the query, or None when none could be made (then words
    alone answer).
    mode: what may be used. limit, offset: the slice the caller wants. pool: candidates each
    retriever gives at most; a search asks with growing pools, each new candidate behind all earlier
    ones. An answer should not hang on limit and offset: then pages are slices of one order.
    """

    text: str
    scope: Scope
    mode: Mode
    limit: int
    offset: int
    pool: int
    vector: Vector | None = None


@attrs.frozen
class Ranking:
    """Chunks in order, best first. source: who found them ("vector", "words", ...).
    scores: bigger is better.
    """

    source: str
    ids: tuple[ChunkId, ...] = ()
    scores: tuple[float, ...] = ()

    def __attrs_post_init__(self) -> None:
        if len(self.ids) != len(self.scores):
            raise InputError(
                f"A Ranking has a score for every id, got {len(self.ids)} ids, "
                f"{len(self.scores)} scores."
            )

    def __len__(self) -> int:
        return len(self.ids)


@attrs.frozen
class StoredChunk:
    """A chunk as a store gives it back, with what is known of its document.
    pending: it has no vector yet.
    """

    chunk: Chunk
    title: str
    metadata: Mapping[str, Value] = attrs.field(hash=False)
    pending: bool = False


@attrs.frozen
class SearchHit:
    """One answer.

    score: never rises from one hit to the next, on any page; comparable within one query only. In a
    hybrid answer from 0 to 1, where 0.5 is the middle of the candidates, however many retrievers
    found some; in a text or vector answer what that retriever gave it (BM25; cosine from -1 to 1).
    A plugin that fuses or reranks may have another measure or order.
    ranks: its place per retriever that listed it, from 1. scores: what each of these gave it.
    metadata: of the document. start, end: characters of the document's text.
    """

    ref: Ref
    position: int
    title: str
    headings: tuple[str, ...]
    text: str
    start: int
    end: int
    score: float
    ranks: Mapping[str, int] = attrs.field(hash=False)
    scores: Mapping[str, float] = attrs.field(hash=False)
    kind: Kind = "text"
    metadata: Mapping[str, Value] = attrs.field(default=_EMPTY, hash=False)

    @property
    def id(self) -> ChunkId:
        """Which chunk it is."""
        return ChunkId(self.ref, self.position)


@attrs.frozen
class SearchResults(Sequence[SearchHit]):
    """Hits, best first, and how they were found.

    mode: what was really used. degraded: it is less than what was asked; reason says why, ""
    otherwise.
    timings: milliseconds per step ("embed", "retrieve", "fuse", "fetch", "rerank", "total"), and
    of each plugin that retrieves ("retrieve by NAME", a part of "retrieve").
    """

    query: str
    hits: tuple[SearchHit, ...]
    mode: Mode
    degraded: bool = False
    reason: str = ""
    timings: Mapping[str, float] = attrs.field(factory=dict, hash=False)

    @overload
    def __getitem__(self, index: int) -> SearchHit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SearchHit, ...]: ...
    def __getitem__(self, index: int | slice) -> SearchHit | tuple[SearchHit, ...]:
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[SearchHit]:
        return iter(self.hits)


@attrs.frozen
class DocumentSummary:
    """A document in a list: all but its text. characters: length of the text.
    pending: chunks without a vector yet.
    """

    ref: Ref
    title: str
    media_type: str
    language: str | None
    metadata: Mapping[str, Value] = attrs.field(hash=False)
    characters: int
    chunks: int
    pending: int
    created_at: str
    updated_at: str


@attrs.frozen
class Page(Sequence[DocumentSummary]):
    """A slice of a list in order of (tenant, collection, key). total: how many there are in all."""

    items: tuple[DocumentSummary, ...]
    total: int

    @overload
    def __getitem__(self, index: int) -> DocumentSummary: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[DocumentSummary, ...]: ...
    def __getitem__(self, index: int | slice) -> DocumentSummary | tuple[DocumentSummary, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


@attrs.frozen
class StoreStats:
    """How much there is. pending: chunks without a vector. bytes: size on disk,
    0 where that means nothing.

    collections: documents in each; one without any is not named. details: what only this store
    knows, as words and numbers.
    """

    documents: int
    chunks: int
    pending: int
    collections: Mapping[str, int] = attrs.field(hash=False)
    space: Space
    multi_tenant: bool
    bytes: int = 0
    details: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


Outcome = Literal["added", "updated", "unchanged", "stale"]


@attrs.frozen
class ReplaceReport:
    """What became of each document handed over, in order.

    "stale": a newer stamp was there already; nothing changed.
    """

    outcomes: tuple[tuple[Ref, Outcome], ...] = ()

    def count(self, outcome: Outcome) -> int:
        """How many documents had this outcome."""
        return sum(1 for _, given in self.outcomes if given == outcome)


@attrs.frozen
class Failure:
    """Something that was left out. what: a ref or a path, as text.
    code: name of the error class.
    """

    what: str
    code: str
    reason: str


@attrs.frozen
class IngestReport:
    """What an ingest did.

    added, updated, unchanged, removed: documents. failed: those left out, each with its reason.
    chunks: passages seen. embedded: passages the embedder was given. reused: passages whose vector
    was there already.
    pending: passages stored without a vector (words find them). timings: seconds per step.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: tuple[Failure, ...] = ()
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    pending: int = 0
    timings: Mapping[str, float] = attrs.field(factory=dict, hash=False)

    @property
    def complete(self) -> bool:
        """Whether everything handed over can now be found by words and by meaning."""
        return not self.failed and not self.pending
