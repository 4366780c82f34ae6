"""The records that travel through the product: frozen, and validated where they are made, so
nothing inside checks again.

Identity and content are separate. A `Ref` says *which* document, a fingerprint *what* text an
embedder gets. Offsets count characters (code points) of ``Document.text``. Higher scores are better
everywhere. An invalid value raises InputError.

Tested by tests/kernel/test_types.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import total_ordering
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, overload

import attrs

from semantic_core._decoding import decoded
from semantic_core._validation import (
    Scalar,
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
from semantic_core.highlights import (
    AFTER,
    BEFORE,
    FRAGMENTS,
    SNIPPET,
    Span,
    marked,
    snippet,
)
from semantic_core.query_syntax import NO_CONDITIONS, ParsedQuery, TextConditions
from semantic_core.ranking import DEFAULT_RANKING, RankingOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    """One vector: float32, shape (dimensions,), length 1."""
    Vectors = NDArray[np.float32]
    """Several vectors: float32, shape (n, dimensions), each row of length 1."""
else:  # so that both names can be imported without importing numpy
    Vector = Vectors = object

Mode = Literal["hybrid", "vector", "text"]
MODES: tuple[Mode, ...] = ("hybrid", "vector", "text")
IngestMode = Literal["sync", "async", "auto"]
INGEST_MODES: tuple[IngestMode, ...] = ("sync", "async", "auto")
Kind = Literal["text", "code", "table", "list"]

WORDS_ONLY = "none"
"""The name that stands for no embedder, as in ``embedder="none"``; also the model of the space of
such an index.
"""
INDEX_FILE = "semantic-core.db"
"""The file of an index where no path is set."""
INDEX_SUFFIX = ".semantic.db"
"""What is added to the name of a database for the file of its index."""
PART = "#"
"""Between the key of a file's document and the name of a part of the file, in the key of the part.
"""
PATH = "path"
"""In the metadata of each document that was read from a file: the path of the file."""
PART_OF = "part_of"
"""In the metadata of a part of a file: the key of the file's document."""
PARTS = "parts"
"""In the metadata of a file's document: the number of its parts, if there are any."""
LEAST_SNIPPET = 20
"""Fewest characters that a snippet may be asked to have."""
MAX_DIMENSIONS = 65_536
"""The most dimensions that a vector may have."""

Where = Mapping[str, Any] | Filter | None
"""Conditions on metadata, see `semantic_core.filters`; None for none."""

Passages = Literal["best", "all"]
PASSAGES: tuple[Passages, ...] = ("best", "all")

_EMPTY: Mapping[str, Value] = {}


def _sorted(settings: object) -> Mapping[str, str]:
    if not isinstance(settings, Mapping):
        raise InputError(f"Space.settings must be a mapping, got {type(settings).__name__}.")
    given = {
        check_unicode("A key of Space.settings", key): value for key, value in settings.items()
    }
    return {key: check_unicode(f"Space.settings[{key!r}]", given[key]) for key in sorted(given)}


@total_ordering
@attrs.frozen(unsafe_hash=True, cache_hash=True)
class Ref:
    """The identity of a document.

    collection: the group it belongs to, such as "notes". key: its name, unique within collection
    and tenant. tenant: the customer it belongs to; always "" in a single-tenant store, never "" in
    a multi-tenant one. All three are compared exactly: upper and lower case differ.
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


Among = Mapping[str, Iterable[object]] | Iterable[object] | None
"""The documents that a search is limited to: refs, {collection: keys}, or keys; None for all."""


@attrs.frozen(init=False)
class Document:
    """A text to be found, with its title, metadata and media type.

    text: the whole text; a document whose text is "" can be found by its title only.
    title: "" if it has none. media_type: decides which plugin splits the text, for example
    "text/markdown".
    metadata: what ``where`` can filter by; a value is a str, a bool, a finite float, an int of at
    most 64 bits, a date, or a list of str. A date or datetime is stored as text in ISO 8601, see
    `semantic_core.filters`.
    language: a BCP 47 tag such as "en"; None if it is not known.

    ``Document(source_id="5", content="...", metadata={"model": "Article"})`` is another way to
    write a document with ``Ref("Article", "5")`` and this text and metadata; without ``model`` the
    collection is "documents".
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


@attrs.frozen(eq=False)
class FileContent:
    """A file, as a reader gets it; see the hook ``semantic_readers``.

    data: the bytes of the file. name: its name without folders, such as "report.pdf". ref: the
    identity of the document that it becomes. media_type: as the caller gave it; "" if unknown.
    """

    data: bytes = attrs.field(repr=False)
    name: str
    ref: Ref
    media_type: str = ""

    @property
    def stem(self) -> str:
        """The name without its last suffix, such as "report"; a title for a file that has none."""
        return PurePath(self.name).stem

    def text(self) -> str:
        """The bytes decoded as UTF-8, or as UTF-16 or UTF-32 if they begin with its byte order
        mark. Raises FileUnreadable for a file that is binary or in another encoding.
        """
        return decoded(self.name, self.data)

    def document(
        self,
        text: str,
        *,
        part: str = "",
        title: str = "",
        media_type: str = "text/plain",
        metadata: Mapping[str, Any] = _EMPTY,
        language: str | None = None,
    ) -> Document:
        """A document of this file. part: "" for the document of the file itself; for a part of it,
        such as an attachment, a name that is unique within the file. Raises TextInvalid, InputError
        as `Document` does.
        """
        ref = self.ref
        if part:
            ref = Ref(ref.collection, f"{ref.key}{PART}{part}", ref.tenant)
        return Document(ref, text, title, media_type, metadata, language)


@total_ordering
@attrs.frozen(unsafe_hash=True, cache_hash=True)
class ChunkId:
    """The identity of a chunk: its document, and its position among the chunks of it, from 0.

    Ids are ordered by ref and position, so that chunks with equal scores have the same order
    everywhere.
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
    """A part of a document's text: ``document.text[start:end] == text``.

    kind: "text", "code", "table" or "list". headings: the headings above the chunk, outermost
    first; () if there are none.
    metadata: what the splitter found out about this chunk, such as ``{"language": "python"}`` for
    code. ``where`` does not filter by it.
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
    """The identity of a vector space. Vectors of two spaces are never mixed; a store refuses to be
    opened with another space than its own.

    model: the published name of the embedding model; "none" in an index without an embedder.
    dimensions: the number of values in a vector. task: what the vectors are made for, "" for
    anything. revision: the version of the weights, "" if the model has only one. settings:
    everything else that changes a vector, such as a prefix of each text.
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
    """A chunk in the form in which a store gets it.

    passage: the text of the chunk with its context (title and headings), which is embedded and
    indexed for full-text search.
    fingerprint: a hash of vector space, tenant and passage, 32 hex digits; the key of the vector.
    vector: None if the passage is not embedded yet.
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
    """The part of an index that a search looks at. It is applied before the limit.

    tenant: "" in a single-tenant store. collections: only these; None for all, () for none.
    filter: conditions on the metadata of the documents; the empty filter lets all pass.
    keys: by collection, the only keys that are looked at, however many; None for all. Collections
    that it does not name are not looked at.
    text: conditions on the words of the documents, which only a store that is a `TextFilter` is
    asked for.
    """

    tenant: str = ""
    collections: tuple[str, ...] | None = None
    filter: Filter = Filter()
    keys: Mapping[str, frozenset[str]] | None = attrs.field(default=None, hash=False, repr=False)
    text: TextConditions = NO_CONDITIONS

    def names(self, ref: Ref) -> bool:
        """Whether a document with this ref may be in the scope; its metadata decides the rest."""
        if ref.tenant != self.tenant:
            return False
        if self.collections is not None and ref.collection not in self.collections:
            return False
        return self.keys is None or ref.key in self.keys.get(ref.collection, ())


@attrs.frozen(eq=False)
class SearchRequest:
    """A search, as every retriever gets it.

    text: the words to rank by: the query as it was typed, without the signs of its syntax if it was
    read as such. vector: the vector of the query; None if there is none, and the
    answer comes from full-text search alone.
    mode: which searches to use. limit, offset: the page that the caller wants, in hits. pool: the
    most candidates to return.

    context: what the application gave with the search, such as ``{"user": "ann"}``; {} if nothing.
    The kernel does not read it; plugins do.
    parsed: the query as it was understood; None for plain words. Its conditions are in the scope.

    total: whether `SearchResults.total` is wanted. facets: how many values of which metadata fields
    are wanted, for `SearchResults.facets`. order_by: a metadata field, with "-" before it for the
    reverse; "" for the order of relevance.
    min_score: hits with a lower score are left out. ranking: how the candidates are ranked.
    coverage: how well the embedder covers the query, from 0 to 1; see `protocols.CoversTexts`.
    marker: finds the words of the query in texts, in any form; None outside a search.

    If a page needs more candidates, a retriever is asked again with a larger pool, and its new
    candidates are put behind all earlier ones. A ranking must not depend on limit and offset; then
    pages are slices of one order.
    """

    text: str
    scope: Scope
    mode: Mode
    limit: int
    offset: int
    pool: int
    vector: Vector | None = None
    context: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    total: bool = False
    facets: Mapping[str, int] = attrs.field(factory=dict)
    order_by: str = ""
    min_score: float = 0.0
    ranking: RankingOptions = DEFAULT_RANKING
    coverage: float = 1.0
    parsed: ParsedQuery | None = None
    marker: Marker | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def query(self) -> ParsedQuery:
        """The query as it was understood. Where middleware has changed the text, it is that."""
        if self.parsed is None or self.parsed.words != self.text:
            return ParsedQuery(self.text, self.text)
        return self.parsed


class Token(NamedTuple):
    """A term of a text, as a full-text index spells it.

    start, end: the place of its word in the text, in characters. position: the number of that word
    among the words of the text, from 0. One word may have several terms, which share its position,
    such as "node.js" and its parts.
    """

    term: str
    start: int
    end: int
    position: int


class Word(NamedTuple):
    """A word as people write it, in lower case and without accents, and the term that an index
    has for it: "searches" and "search".
    """

    surface: str
    term: str


@attrs.frozen
class Ranking:
    """Chunks, best first. source: the name of the retriever, such as "vector" or "words".
    scores: one for each id; higher is better.

    A fusion may say how it came to the order. parts: by step, what it did to each id, see
    `SearchHit.parts`. seconds: by step, the time it took; ``results.timings`` shows it.
    """

    source: str
    ids: tuple[ChunkId, ...] = ()
    scores: tuple[float, ...] = ()
    parts: Mapping[str, tuple[float, ...]] = attrs.field(factory=dict, eq=False, repr=False)
    seconds: Mapping[str, float] = attrs.field(factory=dict, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.ids) != len(self.scores):
            raise InputError(
                f"A Ranking has a score for every id, got {len(self.ids)} ids, "
                f"{len(self.scores)} scores."
            )
        for step, values in self.parts.items():
            if len(values) != len(self.ids):
                raise InputError(
                    f"A Ranking has a value of each step for every id, got {len(self.ids)} ids, "
                    f"{len(values)} values of {clip(step)}."
                )

    def __len__(self) -> int:
        return len(self.ids)


class FacetCount(NamedTuple):
    """A value of a metadata field, and the number of documents that have it."""

    value: Scalar
    documents: int


@attrs.frozen
class StoredChunk:
    """A chunk as a store returns it, with title and metadata of its document.
    pending: whether it has no vector yet. updated_at: when the document was last changed, in ISO
    8601.
    """

    chunk: Chunk
    title: str
    metadata: Mapping[str, Value] = attrs.field(hash=False)
    pending: bool = False
    updated_at: str = ""


class Marker(Protocol):
    """What finds the words of a query in texts; see `semantic_core.marking.QueryMarker`."""

    def spans(self, text: str) -> tuple[Span, ...]:
        """The places of the words of the query, in order, without overlap."""
        ...

    def words(self, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words of the query that are in the text, and those that are not."""
        ...


HitField = Literal["text", "title"]


@attrs.frozen
class SearchHit:
    """One chunk that a search found.

    score: how well it answers the query, from 0 (neither its meaning nor its words) to 1, in every
    mode; never higher than that of the hit before it, on any page, unless hits are ordered by a
    field. It does not depend on the other candidates, but for one thing: hits whose order differs
    from that of their scores share the mean of these. It is
    1 - (1 - meaning) * (1 - wording) * (1 - title). meaning: the square of the cosine. wording:
    1 - exp(-score / full), where score is that of full-text search, and full the one of an average
    passage with every word of the query. title: the part of the title that the query covers, if the
    title begins with it. With `Recency` it falls with age. Scores of two queries can be compared as
    far as cosines of the embedding model can. A plugin that fuses or reranks may use other scores,
    or another order.
    parts: by step, what it added to the sum that decides the order; for "recency", what the score
    was multiplied with. {} if the fusion does not say.
    ranks: its place in the ranking of each retriever that returned it, from 1. scores: the score
    that each of these retrievers gave it.
    metadata: of the document. updated_at: when the document was last changed, in ISO 8601; "" if
    the store does not know. start, end: the place of the chunk in the document's text, in
    characters.
    marker: finds the words of the query, for `matches`, `highlight`, `snippet` and `explain`; None
    for a hit that no search of the kernel made: nothing is marked then.
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
    updated_at: str = ""
    parts: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    marker: Marker | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def id(self) -> ChunkId:
        """The identity of the chunk."""
        return ChunkId(self.ref, self.position)

    def matches(self, of: HitField = "text") -> tuple[Span, ...]:
        """Where words of the query are, as (start, end) in characters of the hit's text or title,
        in order, without overlap; in whatever form they stand there. () if only the meaning
        matches.
        """
        return self.marker.spans(self._field(of)) if self.marker is not None else ()

    def highlight(
        self,
        of: HitField = "text",
        *,
        before: str = BEFORE,
        after: str = AFTER,
        escape: bool = True,
    ) -> str:
        """The hit's text or title with the words of the query between `before` and `after`.

        escape: whether it is escaped for HTML, all but `before` and `after`; templates then insert
        it as it is.
        """
        text = self._field(of)
        return marked(text, self.matches(of), before=before, after=after, escape=escape)

    def snippet(
        self,
        *,
        max_chars: int = SNIPPET,
        fragments: int = FRAGMENTS,
        before: str = BEFORE,
        after: str = AFTER,
        escape: bool = True,
    ) -> str:
        """The pieces of the hit's text with the most words of the query, on one line, marked as by
        `highlight`; the beginning of the text if only its meaning matches.

        max_chars: of all pieces together, from 20. fragments: the most pieces, from 1. Raises
        InputError.
        """
        return snippet(
            self.text,
            self.matches(),
            max_chars=check_count("max_chars", max_chars, LEAST_SNIPPET),
            fragments=check_count("fragments", fragments, 1),
            before=before,
            after=after,
            escape=escape,
        )

    def explain(self) -> tuple[str, ...]:
        """Why it was found, a line for each reason: rank and score of every retriever, the words of
        the query that are in its title or text, and those that are not.
        """
        lines = []
        for source, rank in self.ranks.items():
            lines.append(f"{source}: rank {rank:,}, score {self.scores.get(source, 0.0):#.4g}")
        if self.marker is not None:
            there, missing = self.marker.words("\n".join([self.title, *self.headings, self.text]))
            lines.append(f"words found: {', '.join(there) or 'none, its meaning is near'}")
            if there and missing:
                lines.append(f"words not found: {', '.join(missing)}")
            in_title, _ = self.marker.words(self.title)
            if in_title:
                lines.append(f"in the title: {', '.join(in_title)}")
        return tuple(lines)

    def _field(self, of: HitField) -> str:
        if of not in ("text", "title"):
            raise InputError(f'of must be "text" or "title", got {clip(of)}.')
        return self.title if of == "title" else self.text


@attrs.frozen
class SearchResults(Sequence[SearchHit]):
    """Hits, best first, and how they were found.

    query: as it was typed. did_you_mean: the query with words that no document has replaced by
    near ones that some have; None if nothing is to be replaced. corrected: likewise, if it was
    searched for instead of the query; None if the query itself was.
    mode: the mode that was used, which may be another than the one that was asked for. degraded:
    whether the answer is less complete than it was asked for. reason: why; "" if it is not
    degraded.
    timings: milliseconds for each step ("embed", "retrieve", "fuse", "fetch", "rerank", "total"),
    for each retriever of a plugin ("retrieve by NAME", a part of "retrieve"), for steps of the
    fusion ("fuse by STEP", such as "fuse by feedback"; a part of "fuse"), and for each
    middleware ("middleware NAME", without the searches that it made).

    total: how many documents match, on all pages together; None if it was not asked for. In a text
    or hybrid answer these are the documents in scope that hold a word of the query. In a vector
    answer they are all documents in scope, since every vector has a distance to the query.
    total_is_exact: whether all pages together have exactly so many documents. It is True for a text
    answer, of a store that counts. In a hybrid answer it is False, because documents that match by
    their meaning alone are listed too; in a vector answer, because documents without a vector are
    counted, but not listed. With a `SearchRequest.min_score` the total counts, in every mode, the
    documents that reach it, and is exact up to 10,000.

    facets: for each field that was asked for, how many of these documents have each value, the most
    frequent values first; {} if none was asked for.
    """

    query: str
    hits: tuple[SearchHit, ...]
    mode: Mode
    degraded: bool = False
    reason: str = ""
    timings: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    total: int | None = None
    total_is_exact: bool = False
    facets: Mapping[str, Sequence[FacetCount]] = attrs.field(factory=dict, hash=False)
    did_you_mean: str | None = None
    corrected: str | None = None

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
class Completion:
    """What somebody who types may want to type.

    text: the whole of it: what was typed, with its last word completed, or a title. kind: "word" or
    "title". documents: how many have the word, about; of a title 1. ref: of the document with the
    title; None for a word.
    """

    text: str
    kind: Literal["word", "title"]
    documents: int
    ref: Ref | None = None


@attrs.frozen
class DocumentSummary:
    """A document in a list: everything but its text.

    characters: the length of the text. chunks: how many it has. pending: how many of these have no
    vector yet. created_at, updated_at: times in ISO 8601.
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
    """A part of a list of documents, in order of (tenant, collection, key). total: the number of
    documents in the whole list.
    """

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
    """How much is in a store.

    pending: chunks without a vector. bytes: the size on disk; 0 if the store is not on disk.
    collections: the number of documents in each; collections without documents are left out.
    details: further figures of this kind of store.
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
    """The outcome for each document that was given, in the same order.

    "stale": the store has a newer stamp of this document, so nothing was changed.
    """

    outcomes: tuple[tuple[Ref, Outcome], ...] = ()

    def count(self, outcome: Outcome) -> int:
        """The number of documents with this outcome."""
        return sum(1 for _, given in self.outcomes if given == outcome)


@attrs.frozen
class Failure:
    """Something that could not be processed and was left out. what: a ref or a path, as text.
    code: the name of the error class. reason: the message of the error.
    """

    what: str
    code: str
    reason: str


@attrs.frozen
class IngestReport:
    """What an ingest did.

    added, updated, unchanged, removed: numbers of documents. failed: what was left out, and why.
    chunks: the chunks of all documents that were given. embedded: passages that were sent to the
    embedder. reused: passages whose vector was in the store already.
    pending: passages stored without a vector; full-text search finds them. timings: seconds for
    each step.
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
        """Whether everything that was given is stored and has its vectors."""
        return not self.failed and not self.pending
