"""The contracts of embedders, stores, outboxes and sources. A class that has these members
implements one; it inherits from nothing.

An optional ability is a protocol of its own, and callers test for it with ``isinstance``. A store
may also be `TextSearch`, `AnalysesText`, `TextScores`, `TextScale`, `TextCounts`, `Facets`,
`FieldOrder`, `TitleSearch`, `TextFilter`, `Vocabulary`, `ChunkVectors`, `VectorQueue`,
`BatchQueue`, `Checkpoints`, `Transactional` and `Patient`; an embedder may also be `CoversTexts`,
`BatchEmbedder`, `Priced` and `Metered`; an analyser, `BulkAnalyser`. The checks of
`semantic_core.testing` prove that a class keeps its contract; every rule they check is stated here.

Tested by tests/contracts/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from semantic_core._jobs import (
    BatchJob,
    ChunkStatus,
    Cost,
    Held,
    JobState,
    JobStatus,
    PriceTier,
    QueueStats,
    Rate,
    Rest,
)
from semantic_core.types import (
    ChunkId,
    Document,
    Entry,
    FacetCount,
    Failure,
    IngestReport,
    Page,
    PendingChunk,
    Ranking,
    Ref,
    ReplaceReport,
    Scope,
    Space,
    StoredChunk,
    StoreStats,
    Token,
    Word,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semantic_core._metering import Spent
    from semantic_core.query_syntax import TextConditions
    from semantic_core.types import Vector, Vectors

    Scores = NDArray[np.float64]
    """One score for each of n chunks: float64, shape (n,)."""


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors of one space.

    space: the identity of the vectors. It is known without loading a model, and embedders that are
    made in the same way have equal spaces.
    batch_size: the most texts in one call. max_chars: the longest passage that is embedded whole,
    in characters. Both are above 0.

    A text always has the same vector, alone or together with others. Every text has one, also ""
    and blanks. Callers may change the arrays that they get. Errors: EmbedderUnavailable if the same
    call may succeed later, else EmbedderError.

    is_local: optional attribute. True if the embedder computes in this process instead of calling
    another one. Then an ingest calls it in its own thread, and an index of models processes changes
    right after the commit.
    """

    @property
    def space(self) -> Space: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_chars(self) -> int: ...

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """The vectors of these passages, in the same order: float32 of shape
        (len(passages), dimensions), each row of length 1. For [] the shape is (0, dimensions).
        """
        ...

    def embed_query(self, text: str) -> Vector:
        """The vector of a query: float32 of shape (dimensions,), of length 1.

        If the text is longer than the model can read, it is the vector of the part that is read.
        """
        ...


@runtime_checkable
class CoversTexts(Embedder, Protocol):
    """An embedder that can say how well it covers texts: whether their language and script are
    among those that it was made for.

    languages: ISO 639-1 codes of the languages it was made for; empty if that is not known.
    """

    @property
    def languages(self) -> Collection[str]: ...

    def coverage(self, texts: Sequence[str]) -> Sequence[float]:
        """How well each of these texts is covered, in the same order: 1 as well as the texts that
        the embedder was made for, 0 not at all.

        It needs no vectors, costs nothing and takes less time than `embed_documents`. A text
        without letters is covered: 1. `semantic_core.coverage` computes it from tokens.
        """
        ...


@runtime_checkable
class BatchEmbedder(Embedder, Protocol):
    """An embedder that also accepts batch jobs: many passages at a lower price, whose vectors
    arrive later.

    Passages, results and errors are assigned to each other by fingerprint. The vectors are in the
    same space as those of `embed_documents`.

    Every method raises ConfigError before anything is sent if batch jobs are not set up, for
    example because their API key is missing; EmbedderUnavailable if the same call may succeed
    later; and JobLost if the provider does not know the job, or not any more.

    These attributes are optional; they say what the provider allows. job_items, job_tokens: the
    most passages, and the most tokens, in one job; `submit` sees to the bytes of a job itself.
    open_jobs, open_tokens: the most jobs that have not ended, and the most tokens in all of them.
    job_seconds: after so many seconds a job that has not ended is late, and is cancelled.
    results_kept: for how many seconds the provider keeps the results of a job that has ended.
    account: a str that
    identifies the account which jobs belong to, such as a hash of the API key, never the key
    itself; a job of another account is not treated as lost because this account cannot see it. now:
    a function that returns the time of the provider's clock, in seconds since 1970, or None while
    it is unknown; if there is one, the deadlines of jobs are measured by it and not by the clock of
    this computer.
    """

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """Submit a new job with these passages under this name; returns the provider's id of it.

        passages: by fingerprint. They are read from the store during the iteration, so iterate
        once, by ``items()``, and keep none of them. There may be fewer than ``len`` says. Raises
        InputError if the provider does not accept so many passages, or one of them, and
        EmbedderThrottled if it does not accept so many at the moment; in both cases nothing was
        submitted. After any other error the job may exist; the caller uses `find` before it submits
        again.
        """
        ...

    def find(self, name: str) -> str | None:
        """The provider's id of the job that was submitted under this name; None if there is none.

        If there are several, one that has not failed is preferred.
        """
        ...

    def state(self, job: str) -> JobState:
        """The state of the job. A state that the embedder does not know counts as PROCESSING."""
        ...

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """The results of the job one by one, as (fingerprint, vector or the error instead of it).

        They may come in any order, twice, or not at all, and can be read again. Raises
        EmbedderUnavailable, at the beginning or in the middle, if they are not available now.
        """
        ...

    def cancel(self, job: str) -> None:
        """Ask the provider to end the job.

        It may still end with results; those cost money, and are to be read.
        """
        ...

    def clean_up(self, job: str) -> None:
        """Delete the job and its files at the provider. It is no error if they are deleted
        already.
        """
        ...


@runtime_checkable
class Priced(Protocol):
    """An embedder that costs money."""

    @property
    def currency(self) -> str:
        """ISO 4217, such as "USD"."""
        ...

    def price(self, tier: PriceTier) -> Decimal:
        """The price of a million tokens in this tier, in `currency`."""
        ...

    def tokens(self, passages: Sequence[str]) -> int:
        """An estimate of the number of tokens in all these passages, without a call to the
        provider.
        """
        ...

    def seconds(self, passages: int, tokens: int) -> float:
        """An estimate of the seconds that it takes to embed so many in the interactive tier."""
        ...


@runtime_checkable
class Metered(Priced, Protocol):
    """An embedder whose provider reports how many tokens an answer cost. The tokens of an embedder
    without this protocol are estimated by `Priced.tokens`.
    """

    def metered(self) -> AbstractContextManager[Spent]:
        """Within the block, count the passages and tokens that calls of this thread pay for.

        The count grows with every answer, also with one after which the call raises. Answers from a
        cache are not counted. The results of a job are counted one by one, each before it is
        yielded, whenever they are read. `semantic_core.batch.Meter` implements this.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """Saves documents, chunks and vectors, and finds the nearest vectors.

    Tenants: with a scope or ref without a tenant every method of a multi-tenant store raises
    TenantRequired; with one that has a tenant every method of a single-tenant store raises
    TenantRefused. A tenant never reads, counts or changes documents of another. Refs are compared
    exactly, by code point.

    Threads: all methods can be called from several threads, and a write is visible to the next read
    of every thread. A write that raises has changed nothing, also if the iterable it was given
    raised in the middle.

    Vectors: one of another size, with a value that is not finite, or with a length of nearly 0
    raises VectorInvalid, in an entry and as a query. One whose length is not 1 is either normalized
    or refused in the same way.

    A store that outlives its process keeps everything when it is closed, also the stamps and
    whether it is multi-tenant. Opened with another space, it raises SpaceMismatch, which names both
    spaces, and is not changed.
    """

    @property
    def space(self) -> Space:
        """The space of all its vectors; fixed when the store was created."""
        ...

    @property
    def multi_tenant(self) -> bool:
        """Whether every document has a tenant; fixed when the store was created."""
        ...

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        """Write documents, each with exactly these entries. No other method writes documents.

        The whole batch is one transaction. Everything that a document had before is replaced: its
        chunks, its words and its vectors. A document may have no entries. If a document is given
        twice in a batch, the later one counts. The report has an outcome for each document that was
        given, in the same order.

        An entry without a vector gets the vector that the store has for its fingerprint, from
        another document or from the version that is replaced. If there is none, it is stored
        without a vector and can be found by full-text search only, until any document with the same
        fingerprint brings the vector, in this call or a later one.

        "unchanged": document and entries equal the stored ones in every field; nothing is written,
        and updated_at stays. ``1``, ``1.0`` and ``True`` in metadata are different values, and are
        returned as they were given. An update keeps created_at.

        stamps: by ref, the order of the change. If the stored stamp of a document, or of its
        removal, is larger, the document is not changed and is reported as "stale"; an equal stamp
        is accepted. The stamp is stored also if the outcome is "unchanged". A document without a
        stamp is always written, and the stored stamp stays.

        Raises VectorInvalid before anything is written.
        """
        ...

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        """Remove documents with everything that belongs to them. Returns how many were removed; a
        ref that is given twice counts once.

        stamps: as for `replace`. The stamp of a removal is stored even if there is no such
        document, so that an older version that arrives later is "stale". A document with a larger
        stamp stays and is not counted.
        """
        ...

    def known(self, fingerprints: Collection[str]) -> Mapping[str, Vector]:
        """The stored vectors of these fingerprints, as copies. Fingerprints without a vector are
        left out.

        A vector does not change on the way: given back to `replace`, it makes the outcome
        "unchanged".
        """
        ...

    def nearest(self, vector: Vector, limit: int, scope: Scope) -> Ranking:
        """The chunks whose vectors are nearest to this one, best first. Source "vector"; a score is
        the cosine similarity, from -1 to 1. Equal scores are in order of ChunkId.

        The scope is applied before the limit. A smaller limit gives the beginning of the same list,
        0 an empty one. Chunks without a vector are not found. Raises VectorInvalid for the query.
        """
        ...

    def similarity(self, ids: Sequence[ChunkId], vector: Vector) -> Vector:
        """The cosine similarity of each of these chunks to the vector, in the same order: float32
        of shape (len(ids),). NaN for a chunk that does not exist or has no vector. Raises
        VectorInvalid for the query.
        """
        ...

    def fetch(self, ids: Sequence[ChunkId]) -> list[StoredChunk]:
        """The chunks with these ids, in the same order and with all their fields. Those that do not
        exist any more are left out.
        """
        ...

    def get(self, ref: Ref) -> Document | None:
        """The document exactly as it was given, with the same types in its metadata; None if there
        is none.
        """
        ...

    def documents(self, scope: Scope, offset: int = 0, limit: int = 100) -> Page:
        """A page of the documents in scope, in order of (collection, key) by code point, and the
        number of all documents in scope.

        After the end, or with limit 0, the page is empty and the number is the same. Times are in
        ISO 8601, and updated_at never goes back.
        """
        ...

    def stats(self, tenant: str | None = None) -> StoreStats:
        """How much there is of this tenant; None for the whole store, which is for its operator.

        Documents without chunks are counted, too; collections without documents are left out. With
        None, collections of the same name are counted together for all tenants. In a single-tenant
        store "" and None mean the same.
        """
        ...

    def revision(self, tenant: str | None = None) -> str:
        """A short text that every commit changes which changes documents, chunks or vectors of this
        tenant; None: of any. Equal texts, read by whatever processes, stand for equal content.

        It
        is cheap enough to be asked before every search. Writes that change nothing need not change
        it. In a single-tenant store "" and None mean the same. Raises TenantRefused for a tenant in
        a single-tenant store.
        """
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Within the block, all reads of this thread see the same state, whatever others commit.

        A nested block sees the state of the outer one. A snapshot ends with its block, also after
        an error. Writers in other threads may have to wait until then.
        """
        ...

    def close(self) -> None:
        """Close files and connections.

        May be called again; every other method then raises StoreMisuse.
        """
        ...


@runtime_checkable
class Checkpoints(Protocol):
    """A store that has an identity, and remembers which changes of each source it contains.

    A checkpoint is a short text that is stored under the name of a source, in the same transaction
    as the changes that it is about. Therefore a store that was restored from a backup shows how old
    it is. Checkpoints are kept as long as the documents, and in the same place.

    identity: a random text that is made when the store is created. A copy of the store has the same
    one, until `renew_identity`. location: host and path of the store, always the same text for the
    same place; "" for a store that is gone when its process ends.
    """

    @property
    def identity(self) -> str: ...
    @property
    def location(self) -> str: ...

    def renew_identity(self) -> str:
        """Give the store a new identity, and return it; for a copy that becomes its own index."""
        ...

    def checkpoints(self) -> Mapping[str, str]:
        """All checkpoints, by the name of the source; empty in a new store."""
        ...

    def checkpoint(self, source: str) -> str | None:
        """The checkpoint of this source; None if there is none."""
        ...

    def update_checkpoint(
        self, source: str, change: Callable[[str | None], str | None]
    ) -> str | None:
        """Read a checkpoint, change it and store it, in one transaction. Returns the new one; None
        if it was removed.

        change: gets the current checkpoint (None if there is none) and returns the new one, or None
        to remove it. It may be called twice. If it raises, nothing has changed.
        """
        ...

    def advancing(
        self, source: str, change: Callable[[str | None], str]
    ) -> AbstractContextManager[None]:
        """Within the block, each `replace` and `remove` of this thread also updates the checkpoint,
        in the transaction of the write.

        change: as for `update_checkpoint`. A write that raises does not change the checkpoint; one
        that changes no document does update it. Nested blocks update the checkpoints of several
        sources together.
        """
        ...


@runtime_checkable
class Transactional(Protocol):
    """A store whose writes may be part of a transaction that the application ends."""

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this when what the current thread has written is committed, in the thread that
        commits; never if it is rolled back. Without an open transaction, call it now.
        """
        ...


@runtime_checkable
class Patient(Protocol):
    """A store whose writers may have to wait for each other, at most as long as a caller allows."""

    def waiting_at_most(self, seconds: float) -> AbstractContextManager[None]:
        """Within the block, a write of this thread that cannot begin within so many seconds raises
        StoreBusy and changes nothing. Of nested blocks, the shortest time counts.
        """
        ...


@runtime_checkable
class Analyser(Protocol):
    """Splits texts into the terms of a full-text index, the same way for documents and queries.

    identity: names the analyser, its version and its settings, in one line. Analysers with the same
    identity return the same tokens in every process; a store refuses an analyser with another
    identity than that of its index.

    language: an ISO 639 code such as "en" or "pt-BR"; None if it is not known, then the analyser
    may detect it. Every text is accepted, also "" and lone surrogates. Safe to share by threads.
    """

    @property
    def identity(self) -> str: ...

    def tokens(self, text: str, language: str | None = None) -> Sequence[Token]:
        """The terms of a document's text, in order of position; no term is empty."""
        ...

    def query_tokens(self, text: str, language: str | None = None) -> Sequence[Token]:
        """The terms to look for, in order of position. Terms of one position are alternatives: a
        text that contains any of them contains the word.
        """
        ...


class AnalysedTexts(NamedTuple):
    """The terms of several texts, one text after the other.

    counts: how many terms each text has: int64 of shape (n,). terms: the number in `vocabulary` of
    each term, in the order of the texts: int32 of shape (sum of counts,). vocabulary: every word
    with its term, each pair once; the same term may belong to several words.
    """

    counts: NDArray[np.int64]
    terms: NDArray[np.int32]
    vocabulary: Sequence[Word]


@runtime_checkable
class BulkAnalyser(Analyser, Protocol):
    """An analyser with a fast way to analyse many texts at once."""

    def analyse(self, texts: Sequence[str], languages: Sequence[str | None]) -> AnalysedTexts:
        """What `tokens` returns for each text, with its language, without the places."""
        ...


@runtime_checkable
class TextSearch(Protocol):
    """A store with full-text search."""

    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        """The chunks whose passages contain at least one of these words, best first, ranked by BM25
        or a better method. Source "words".

        Upper and lower case make no difference, and a chunk needs no vector. The scope is applied
        before the limit. Words of a replaced version or a removed document are not found.
        Every text is a valid query, because nothing in it is read as query syntax; a text without
        words finds nothing. A lone surrogate may raise TextInvalid.
        """
        ...


@runtime_checkable
class AnalysesText(TextSearch, Protocol):
    """A store whose full-text index is made with an `Analyser` that it is given.

    An index keeps the identity of the analyser it was made with, also when it is closed. Until
    `use_analyser` is called, the store uses the analyser it was created with; without one,
    `semantic_core.analysis.WordAnalyser`.
    """

    @property
    def text_analyser(self) -> str | None:
        """The identity of the analyser that the stored index was made with; None if nothing was
        written yet, so that any analyser may be chosen.
        """
        ...

    def use_analyser(self, analyser: Analyser) -> None:
        """Analyse texts and queries with this analyser from now on.

        Raises AnalyserMismatch (`semantic_core.analysis.analyser_mismatch`) if the stored index was
        made with another identity; nothing is changed then.
        """
        ...

    def reanalyse(self, analyser: Analyser) -> None:
        """Make the full-text index of all passages, of all tenants, anew with this analyser, in one
        transaction, and use it from now on.

        Needs no embedder, because the index is derived from the stored passages; documents and
        vectors stay as they are. If it raises, the old index is as it was. Another process that has
        the store open gets AnalyserMismatch from its next write or text search, until it is given
        this analyser.
        """
        ...


@runtime_checkable
class ChunkVectors(Protocol):
    """A store that gives the vectors of chunks.

    With it, the candidates of a hybrid search are compared with each other: the best say what the
    query means, and candidates that are like good ones are raised. Without it, these steps are left
    out.
    """

    def vectors(self, ids: Sequence[ChunkId]) -> Vectors:
        """The stored vector of each of these chunks, in the same order: float32 of shape
        (len(ids), dimensions), as a copy. NaN for a chunk that does not exist or has no vector.
        """
        ...


@runtime_checkable
class TextScores(TextSearch, Protocol):
    """A store that knows the full-text score of any chunk.

    With it, each candidate of a hybrid search gets its exact full-text score, whichever retriever
    returned it. Without it, a candidate that `words` did not return within the limit counts as a
    chunk that contains none of the words.
    """

    def score(self, ids: Sequence[ChunkId], text: str) -> Scores:
        """The score that `words` gives to each of these chunks for the text, in the same order:
        float64 of shape (len(ids),).

        0.0 for a chunk that contains none of the words, above 0 for all others, NaN for a chunk
        that does not exist. The chunks may be in any collection, and need no vector; the tenant is
        the one of each id. Texts are accepted and refused as by `words`.
        """
        ...


@runtime_checkable
class TextScale(TextSearch, Protocol):
    """A store that knows how high full-text scores of a query are if a passage contains all of it.

    With it, scores of full-text search mean the same for every query: a search knows whether its
    words were found, or only the least bad. Without it, the best candidate counts as a full match.
    """

    def full_score(self, text: str, tenant: str = "") -> float:
        """The score that `words` gives to a passage of average length which contains each word of
        the text once.

        For BM25 it is the sum of the weights (idf) of the words, each as often as it counts in
        `words`. A word that no passage contains is rarer than any other. 0.0 for a text without
        words, else above 0. tenant: "" in a single-tenant store.
        Texts are accepted and refused as by `words`.
        """
        ...


@runtime_checkable
class TextCounts(TextSearch, Protocol):
    """A store that counts the documents that contain the words of a query.

    With it, a search knows its total. Without it, the total is read from the ranking of `words` as
    far as that goes.
    """

    def count(self, text: str, scope: Scope) -> int:
        """The number of different documents in scope that `words` finds for the text if its limit
        is large enough; 0 for a text without words.

        It is exact, and that of the present state. Texts are accepted and refused as by `words`.
        """
        ...


@runtime_checkable
class Facets(Protocol):
    """A store that counts the documents of a search by the values of their metadata."""

    def facets(
        self, text: str | None, scope: Scope, fields: Mapping[str, int]
    ) -> Mapping[str, Sequence[FacetCount]]:
        """For each of these metadata fields, how many of the documents have each value: the most
        frequent values first, equal numbers in the order of `semantic_core.filters.sort_key`.

        text: the documents that `count` counts; None for all in scope. fields: the most values that
        are wanted of each. A document whose value is a list counts for each of its items once; one
        without the field counts for none. ``1``, ``True`` and ``"1"`` are three values; ``1`` and
        ``1.0`` are one. The numbers are exact. A field that no document has gives an empty list.
        """
        ...


@runtime_checkable
class FieldOrder(Protocol):
    """A store that lists the documents of a search in the order of a metadata field."""

    def ordered(
        self,
        text: str | None,
        scope: Scope,
        field: str,
        *,
        descending: bool,
        limit: int,
        offset: int = 0,
    ) -> Sequence[Ref]:
        """The documents that `count` counts (text None: all in scope), in the order of this field
        of their metadata, `limit` of them after the first `offset`.

        Values are in the order of `semantic_core.filters.sort_key`; descending is the reverse of
        it. A list stands for its smallest item, descending for its largest. Documents without the
        field, or with an empty list, come last in both orders. Equal ones are in order of Ref.
        """
        ...


@runtime_checkable
class TitleSearch(Protocol):
    """A store that finds documents by their titles.

    With it, a document whose title equals the query comes first in a hybrid search. Without it, a
    title counts only as a part of the passage.
    """

    def titled(self, text: str, limit: int, scope: Scope) -> Ranking:
        """The first chunk of each document whose title is the text or begins with it, best first.
        Source "title".

        The score is the number of words in the text divided by the number of words in the title:
        1.0 if both have the same words, 0.5 if the title has twice as many. The title has to begin
        with the words of the text, in the same order; upper and lower case, punctuation and white
        space make no difference. Equal scores are in order of ChunkId. The scope is applied before
        the limit. A text without words finds nothing, and a title without words is never found. A
        document without chunks is not found, and a document whose first passage does not begin with
        its title need not be found.
        """
        ...


@runtime_checkable
class TextFilter(Protocol):
    """A store that applies the conditions of `Scope.text`, in every method that takes a scope.

    A term is in a document if each of its words is in one of the document's passages, and they
    stand one after the other in one of these passages or in the text of the document. With the
    field "title" they stand in its title, with "text" in its text, with "headings" in a heading of
    one of its chunks, else in a value of that metadata key; a word that is in the title only beyond
    what its passages have of it need not be found. Words are those of full-text search, so a term
    of one word without a field is in the documents that `words` finds for it. A term is also found
    where punctuation or white space stands between its words. A prefix fits every word that begins
    so, itself included.

    Without this ability a search with such conditions raises InputError.
    """

    def meeting(self, refs: Collection[Ref], conditions: TextConditions) -> frozenset[Ref]:
        """Those of these documents that meet the conditions; a document that does not exist meets
        none.
        """
        ...


@runtime_checkable
class Vocabulary(Protocol):
    """A store that knows the words of its documents: for completion and for typing errors.

    A word is given as people write it, in lower case; accents may be left out. Only documents in
    scope count: a word that is in none of them is never given. `Scope.text` may be left aside by a
    store that is no `TextFilter`.
    """

    def word_counts(self, words: Collection[str], scope: Scope) -> Mapping[str, int]:
        """In how many documents in scope each of these words is, for every word that was asked for.

        0 if full-text search finds no document by it, and only then. A store may count passages
        instead of documents, or estimate what is not 0.
        """
        ...

    def words_like(self, beginning: str, limit: int, scope: Scope) -> Sequence[tuple[str, int]]:
        """Up to `limit` words that begin so, itself included if it is a word, as (word, count): the
        most frequent first, then by code point. Count as in `word_counts`.

        Upper and lower case make no difference. "" is the beginning of no word.
        """
        ...

    def words_near(
        self, word: str, distance: int, limit: int, scope: Scope
    ) -> Sequence[tuple[str, int]]:
        """Up to `limit` words at most so many edits away from this one, as (word, count): the
        nearest first, then the most frequent, then by code point. The word itself is not given.

        distance: 1 or 2. An edit inserts, deletes or replaces a letter, or swaps two neighbours
        (optimal string alignment).
        """
        ...


@runtime_checkable
class VectorQueue(Protocol):
    """A store that can be asked which chunks still want a vector.

    The entries without one *are* the queue. `semantic_core.batch.SeparateLedger` makes a
    `BatchQueue` of it.
    """

    def pending(self, limit: int, after: int = -1) -> Sequence[PendingChunk]:
        """Up to `limit` chunks without a vector, of all tenants, the one that has waited longest
        first; all of a place above `after`, which is the last place of the page before.

        Empty at the end. A place stays the same while its chunk waits.
        """
        ...

    def fill(self, vectors: Mapping[str, Vector]) -> int:
        """Give these vectors to every chunk of that fingerprint which has none,
        in every document and tenant.

        Returns how many chunks were filled. A vector whose text has changed meanwhile finds no
        taker: its fingerprint is gone; nor does one for chunks that have theirs. All or nothing:
        one bad vector raises VectorInvalid, and none of the others is taken.
        """
        ...


@runtime_checkable
class BatchQueue(VectorQueue, Protocol):
    """A store that keeps the ledger of batch jobs: who holds which passage,
    what became of it, what it cost.

    A passage is held by its fingerprint, whether or not a text has it at the moment, by one holder
    at a time: a job, or for a limited time somebody who embeds it right now. The state of a chunk
    is derived, in this order: READY (it has a vector), SUBMITTED (its passage is held), FAILED
    (given up), else PENDING.

    Every method is one transaction, and a change of a job applies only if it is in the state the
    method is for: of two who do the same, one does it. Jobs belong to the whole store, of all
    tenants. now, until: seconds since 1970, the caller's clock; what was held or leased until more
    than `LONGEST_HOLD` (a lease: or twice its length) from now was so by a clock that was wrong,
    and counts as ended. Raises StoreError; then nothing has
    changed.
    """

    def waiting(self, limit: int, now: float, *, except_collections: Collection[str] = ()) -> int:
        """How many different passages a job could hold now, counted up to `limit`."""
        ...

    def waiting_size(self) -> tuple[int, int]:
        """How many different passages wait, and of how many characters all together: without those
        a job holds, and those given up.

        Reads all of them.
        """
        ...

    def open_job(
        self, job: BatchJob, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """Put the job into the ledger, with up to `limit` waiting passages held by it,
        those that wait longest first.

        The job comes back with sent and characters filled in; None, and nothing written, if no
        passage waits. Passages of a job that failed whole more than once (see `close_job`) are held
        only when no others wait, so many as may be tried together, and no others with them.
        """
        ...

    def extend_job(
        self, job: str, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """Hold up to `limit` more in a CREATED job; None if no more wait for this kind of job."""
        ...

    def passages_of(
        self, job: str, after: int = -1, limit: int = 1_000
    ) -> Sequence[tuple[int, str, str]]:
        """A page of the passages the job holds, as (place, fingerprint, passage), in order of
        places, all above `after`.

        Those that no text without a vector has any more are left out. Empty at the end.
        """
        ...

    def jobs(
        self,
        statuses: Collection[JobStatus] | None = None,
        *,
        limit: int = 100,
        cleaned: bool | None = None,
    ) -> Sequence[BatchJob]:
        """The jobs of these statuses (None: of all), oldest first;
        of more than `limit`, the latest.
        """
        ...

    def job(self, id: str) -> BatchJob | None:
        """The job; None if there is none."""
        ...

    def lease_job(self, job: str, owner: str, now: float, until: float) -> bool:
        """Whether the CREATED job is this owner's to submit until then:
        nobody else's lease of it runs.
        """
        ...

    def note_job(
        self,
        job: str,
        now: float,
        *,
        status: JobStatus | None = None,
        provider_job: str | None = None,
        tokens: int | None = None,
        tries: int | None = None,
        error: str | None = None,
        answered_at: float | None = None,
        cancelled_at: float | None = None,
        leased_until: float | None = None,
        account: str | None = None,
    ) -> bool:
        """Note what is given of an open job; False, and nothing changes, if it has ended, or is
        another job of its provider.

        A status goes forward only, from CREATED over SUBMITTED to PROCESSING; with the first
        SUBMITTED, submitted_at is now.
        """
        ...

    def settle(
        self,
        job: str,
        vectors: Mapping[str, Vector],
        failures: Mapping[str, str],
        rate: Rate | None,
        now: float,
        tokens: Mapping[str, int] = {},
    ) -> int:
        """Give the job's results to the chunks that wait for them; how many passages were settled.

        job: also the token of `hold` or `take`. Only passages it still holds count: each once, and
        it is held no more. Others are left alone. failures: why there is no vector; the passage is
        given up with that reason. rate: adds what the results cost to the ledger, and to what was
        paid for the job. tokens: of each that was paid for, a vector or not, as its provider
        counted; a vector that is not in it costs by its characters. All or nothing: VectorInvalid.
        """
        ...

    def close_job(
        self, job: str, status: JobStatus, now: float, *, error: str, rest: Rest, attempts: int
    ) -> bool:
        """End an open job, COMPLETED or FAILED; False if it had ended already. rest: what becomes
        of the passages it still holds.

        "free": they wait again. "again": likewise, but those that were in `attempts` jobs in vain
        are given up, with the error. "halve": likewise, the first time; from the second on they may
        be tried only with half as many others as were in this job, and one that was alone is given
        up. "fail": they are given up.
        """
        ...

    def pay_job(self, job: str, rate: Rate, passages: int, tokens: int) -> None:
        """Have the ledger say that so much was paid for the job, all together: what that is more
        (or less) than until now is nobody's. To do it again changes nothing.
        """
        ...

    def reopen_job(
        self, job: str, now: float, rate: Rate | None, passages: int, tokens: int
    ) -> bool:
        """Let a FAILED job that was submitted go on, PROCESSING; False if it is none. It holds
        again those of its passages that were given up with it, and that somebody waits for.

        rate, passages, tokens: what was paid for it, see `pay_job`; without a rate that stays.
        """
        ...

    def clean_job(self, job: str, now: float) -> None:
        """Note that the provider keeps nothing of the job any more."""
        ...

    def drop_job(self, job: str) -> bool:
        """Forget a CREATED job of which nothing was sent; its passages wait again.

        False if it is another's or further.
        """
        ...

    def hold(
        self, fingerprints: Collection[str], now: float, until: float, token: str = ""
    ) -> tuple[str, frozenset[str]]:
        """Hold those of these passages nobody holds, for an embedding about to be made; a token,
        and which ones.

        token: of an earlier call, to add to it; what it holds lasts until the new time. They need
        not be in any document yet.
        """
        ...

    def take(
        self,
        limit: int,
        now: float,
        until: float,
        *,
        from_jobs: bool = False,
        collections: Collection[str] | None = None,
    ) -> Held:
        """Up to `limit` passages that wait, longest first, each once, and hold them. from_jobs:
        also those jobs hold, which are theirs no more. collections: only of these."""
        ...

    def held(self, holder: str, fingerprints: Collection[str]) -> frozenset[str]:
        """Those of these passages that this job holds, or this token of `hold` or `take`."""
        ...

    def release(self, token: str) -> None:
        """Let go of what `hold` or `take` holds."""
        ...

    def retry(self, job: str | None = None) -> int:
        """Let passages that were given up wait again (of this job; None: all); how many."""
        ...

    def chunk_states(self, ids: Sequence[ChunkId]) -> Sequence[tuple[ChunkStatus, str] | None]:
        """The state of each chunk, and why it was given up (else "");
        None for one that is not there.
        """
        ...

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """Chunks of the state FAILED, in order of their age: what is ``str(ChunkId)``."""
        ...

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """Chunks by state, of this tenant (None: of all); jobs of the whole store."""
        ...

    def charge(self, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Add to the ledger: (passages, tokens) by (tenant, collection)."""
        ...

    def costs(self, since: str = "", until: str = "9") -> Sequence[Cost]:
        """The ledger from one day to another, both included, in order of day, tenant,
        collection, model, tier.
        """
        ...


@runtime_checkable
class Outbox(Protocol):
    """The pending changes of a database: the refs of rows that were written or deleted, without any
    values.
    """

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """Lease up to `limit` pending changes to the caller, as (number, ref); empty if none is
        pending. A later change has a larger number.
        """
        ...

    def done(self, numbers: Collection[int]) -> None:
        """Delete these changes, because they are processed. Other changes of the same refs stay."""
        ...

    def failed(self, numbers: Collection[int], reason: str) -> None:
        """Release these changes, so that they are taken again later. reason: the error, for people
        to read. The outbox decides after how many failures a change is given up.
        """
        ...


class Source(Protocol):
    """A function that reads the documents of a collection as they are now."""

    def __call__(self, refs: Sequence[Ref]) -> Iterable[Document | Failure]:
        """The documents of these refs. A ref without one was deleted, and is removed from the
        index.

        If a row exists but its document cannot be made, return a Failure whose ``what`` is
        ``str(ref)``. Then the index keeps the document that it has, and the change stays pending.
        """
        ...


@runtime_checkable
class Follower(Protocol):
    """What processes the changes of one database for a core."""

    def sync(
        self,
        limit: int | None = None,
        *,
        pending: bool = False,
        progress: Callable[[Any], None] | None = None,
    ) -> IngestReport:
        """Process up to `limit` pending changes; None for all.

        pending: whether to embed passages without a vector afterwards. progress: called with a
        `semantic_core.orm.ReindexProgress` while rows are compared with the index.
        """
        ...

    def close(self) -> None:
        """End the background thread, if there is one. May be called again."""
        ...
