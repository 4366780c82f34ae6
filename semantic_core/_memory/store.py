"""`MemoryStore`: the store for first steps and tests, and the reference for every other store.

It is written to be obviously correct: every answer is computed from the documents as they are, and
only the words of a passage are derived beforehand. For the same reason it shares no code for
vectors or BM25 with another store, and has its own constants. A state never changes, a write
replaces it: so a snapshot is one reference, readers never wait, and a write that raises has changed
nothing.

Tested by tests/memory/test_store.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from math import log
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import attrs

from semantic_core._jobs import (
    BatchJob,
    ChunkStatus,
    Cost,
    Held,
    JobStatus,
    QueueStats,
    Rate,
    Rest,
)
from semantic_core._memory.queue import Chunked, Contents, LedgerState, MemoryJobLedger
from semantic_core._memory.wordwise import (
    as_written,
    each_is_there,
    edits,
    most_frequent,
    stand_together,
)
from semantic_core._validation import Scalar, Value, clip
from semantic_core.analysis import analyser_mismatch
from semantic_core.errors import StoreMisuse, TenantRefused, TenantRequired, VectorInvalid
from semantic_core.filters import sort_key
from semantic_core.query_syntax import HEADINGS, TEXT, TITLE, TextConditions, TextTerm
from semantic_core.types import (
    ChunkId,
    Document,
    DocumentSummary,
    Entry,
    FacetCount,
    Failure,
    Outcome,
    Page,
    PendingChunk,
    Ranking,
    Ref,
    ReplaceReport,
    Scope,
    Space,
    StoredChunk,
    StoreStats,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser, Scores
    from semantic_core.types import Vector, Vectors

    Direction = NDArray[np.float64]
    """float64, shape (dimensions,), length 1."""

K1 = 1.2
"""BM25: how soon a repeated word stops adding to the score. Robertson and Zaragoza, "The
Probabilistic Relevance Framework" (2009).
"""
B = 0.75
"""BM25: how much the length of a passage lowers its score; same source."""
LEAST_IDF = 1e-6
"""Least idf of a word; words in more than half of the passages would have less. SQLite's FTS5 has
the same limit.
"""
_WHOLE_STORE = ""
"""The tenant whose revision changes with that of every other."""
MOST_WORDS = 32
"""Most distinct words of a query that are searched for; the first ones."""
MOST_REPEATS = 3
"""How many times a repeated word of the query counts, at most."""
SHORTEST = 1e-6
"""A shorter vector has no direction. The number is written here again, and not imported, because
this store is the reference for the others.
"""
UNIT_TOLERANCE = 1e-6
"""A vector this close to length 1 is stored bit for bit."""

_WORD = re.compile(r"[^\W_]+")


def _new_identity() -> str:
    return secrets.token_hex(16)


@attrs.frozen(eq=False)
class _Row:
    """An entry as it is stored. number: grows with every row that is written. words: of the
    passage.
    """

    entry: Entry
    number: int
    words: Counter[str]


@attrs.frozen(eq=False)
class _Stored:
    """A document as it is stored. created_at, updated_at: ISO 8601."""

    document: Document
    rows: tuple[_Row, ...]
    created_at: str
    updated_at: str


@attrs.frozen(eq=False)
class _State:
    """Everything in the store.

    stamps: of refs that were ever written or removed with one. checkpoints: by the name of their
    source. identity: which index it is. revisions: by tenant, "" for the whole store. analyser: of
    the words of all rows; None for the words of this store.
    """

    documents: Mapping[Ref, _Stored] = attrs.field(factory=dict)
    stamps: Mapping[Ref, int] = attrs.field(factory=dict)
    written: int = 0
    ledger: LedgerState = attrs.field(factory=LedgerState)
    checkpoints: Mapping[str, str] = attrs.field(factory=dict)
    identity: str = attrs.field(factory=_new_identity)
    revisions: Mapping[str, str] = attrs.field(factory=dict)
    analyser: Analyser | None = None


def open_memory(
    space: Space,
    *,
    multi_tenant: Annotated[
        bool | None, "whether every call names a tenant; unset means no"
    ] = None,
) -> MemoryStore:
    """A new, empty store that is gone when the process ends."""
    return MemoryStore(space, multi_tenant=bool(multi_tenant))


class MemoryStore:
    """Store, AnalysesText, TextScores, TextCounts, Facets, FieldOrder, TitleSearch, TextFilter,
    Vocabulary, Checkpoints and BatchQueue in the memory of this process.

    A search reads everything, so the store is made for thousands of chunks. The ledger of batch
    jobs is a `MemoryJobLedger`. Until it is given an analyser, words are runs of letters and digits
    in lower case.
    """

    def __init__(self, space: Space, *, multi_tenant: bool = False) -> None:
        self._space = space
        self._multi_tenant = multi_tenant
        self._state = _State()
        self._writing = threading.RLock()
        self._pinned = threading.local()
        self._closed = False
        self._ledger = MemoryJobLedger(self._contents())

    def _contents(self) -> Contents:
        """What the ledger uses of this store."""
        return Contents(
            writing=self._writing,
            read=self._ledger_state,
            write=self._put_ledger_state,
            chunks=self._chunks,
            fill=self.fill,
            checked=self._as_stored,
        )

    @property
    def space(self) -> Space:
        """Of the stored vectors."""
        return self._space

    @property
    def multi_tenant(self) -> bool:
        """Whether every call names a tenant."""
        return self._multi_tenant

    @property
    def identity(self) -> str:
        """See `Checkpoints`."""
        return self._reading().identity

    @property
    def location(self) -> str:
        """See `Checkpoints`: nowhere."""
        return ""

    def renew_identity(self) -> str:
        """See `Checkpoints.renew_identity`."""
        with self._writing:
            self._state = attrs.evolve(self._latest(), identity=_new_identity())
            return self._state.identity

    @property
    def text_analyser(self) -> str | None:
        """See `AnalysesText`."""
        analyser = self._reading().analyser
        return None if analyser is None else analyser.identity

    def use_analyser(self, analyser: Analyser) -> None:
        """See `AnalysesText.use_analyser`."""
        with self._writing:
            state = self._latest()
            made_with = state.analyser
            if made_with is None or not state.documents:
                self.reanalyse(analyser)
            elif made_with.identity != analyser.identity:
                raise analyser_mismatch(made_with.identity, analyser.identity)

    def reanalyse(self, analyser: Analyser) -> None:
        """See `AnalysesText.reanalyse`."""
        with self._writing:
            state = self._latest()
            documents = {}
            for ref, stored in state.documents.items():
                rows = []
                for row in stored.rows:
                    words = _counted(row.entry.passage, stored.document.language, analyser)
                    rows.append(attrs.evolve(row, words=words))
                documents[ref] = attrs.evolve(stored, rows=tuple(rows))
            self._state = attrs.evolve(state, documents=documents, analyser=analyser)

    def checkpoints(self) -> Mapping[str, str]:
        """See `Checkpoints.checkpoints`."""
        return dict(self._reading().checkpoints)

    def checkpoint(self, source: str) -> str | None:
        """See `Checkpoints.checkpoint`."""
        return self._reading().checkpoints.get(source)

    def update_checkpoint(
        self, source: str, change: Callable[[str | None], str | None]
    ) -> str | None:
        """See `Checkpoints.update_checkpoint`."""
        with self._writing:
            checkpoints = dict(self._latest().checkpoints)
            new = change(checkpoints.pop(source, None))
            if new is not None:
                checkpoints[source] = new
            self._state = attrs.evolve(self._latest(), checkpoints=checkpoints)
        return new

    @contextmanager
    def advancing(self, source: str, change: Callable[[str | None], str]) -> Iterator[None]:
        """See `Checkpoints.advancing`."""
        outer = self._advances()
        self._pinned.advances = (*outer, (source, change))
        try:
            yield
        finally:
            self._pinned.advances = outer

    def _advances(self) -> tuple[tuple[str, Callable[[str | None], str]], ...]:
        """The checkpoints that this thread's writes advance: (source, change)."""
        return getattr(self._pinned, "advances", ())

    def _advanced(self, state: _State) -> Mapping[str, str]:
        """The checkpoints after a write of this thread."""
        checkpoints = dict(state.checkpoints)
        for source, change in self._advances():
            checkpoints[source] = change(checkpoints.get(source))
        return checkpoints

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        """See `Store.replace`. The batch is read to its end before anything is written."""
        self._reading()
        given = []
        for document, entries in batch:
            given.append((document, list(map(self._checked, entries))))
        for document, _ in given:
            self._check_tenant(document.ref.tenant)
        with self._writing:
            state = self._latest()
            documents = dict(state.documents)
            marks = dict(state.stamps)
            written = state.written
            known = _vectors(state)
            now = datetime.now(UTC).isoformat()
            outcomes: list[tuple[Ref, Outcome]] = []
            for document, entries in given:
                ref = document.ref
                if not _stamped(ref, marks, stamps):
                    outcomes.append((ref, "stale"))
                    continue
                for entry in entries:
                    if entry.vector is not None:
                        known[entry.fingerprint] = entry.vector
                rows = []
                for number, entry in enumerate(entries, start=written):
                    words = _counted(entry.passage, document.language, state.analyser)
                    rows.append(_Row(_filled(entry, known), number, words))
                before = documents.get(ref)
                created_at = before.created_at if before else now
                new = _Stored(document, tuple(rows), created_at, now)
                if before is not None and _content(new) == _content(before):
                    outcomes.append((ref, "unchanged"))
                    continue
                written += len(rows)
                documents[ref] = new
                outcomes.append((ref, "updated" if before else "added"))
            # Pending passages whose vector came with another document.
            documents, _ = _fill(documents, known)
            self._state = attrs.evolve(
                state,
                documents=documents,
                stamps=marks,
                written=written,
                checkpoints=self._advanced(state),
                revisions=_revised(state, documents),
            )
        return ReplaceReport(tuple(outcomes))

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        """See `Store.remove`.

        A stamp is stored even if there was no such document, because an older change may follow.
        """
        self._reading()
        wanted = list(dict.fromkeys(refs))
        for ref in wanted:
            self._check_tenant(ref.tenant)
        with self._writing:
            state = self._latest()
            documents = dict(state.documents)
            marks = dict(state.stamps)
            for ref in wanted:
                if _stamped(ref, marks, stamps):
                    documents.pop(ref, None)
            self._state = attrs.evolve(
                state,
                documents=documents,
                stamps=marks,
                checkpoints=self._advanced(state),
                revisions=_revised(state, documents),
            )
        return len(state.documents) - len(documents)

    def known(self, fingerprints: Collection[str]) -> Mapping[str, Vector]:
        """See `Store.known`."""
        vectors = _vectors(self._reading())
        return {name: vectors[name].copy() for name in fingerprints if name in vectors}

    def nearest(self, vector: Vector, limit: int, scope: Scope) -> Ranking:
        """See `Store.nearest`. Scored in float64."""
        query = self._unit(vector)
        scores = {}
        for row in self._rows(scope):
            if row.entry.vector is not None:
                scores[row.entry.chunk.id] = _cosine(row.entry, query)
        return _ranking("vector", scores, limit)

    def similarity(self, ids: Sequence[ChunkId], vector: Vector) -> Vector:
        """See `Store.similarity`."""
        import numpy as np

        query = self._unit(vector)
        scores = []
        for id in ids:
            _, row = self._row(id)
            scores.append(np.nan if row is None else _cosine(row.entry, query))
        return np.array(scores, dtype=np.float32)

    def vectors(self, ids: Sequence[ChunkId]) -> Vectors:
        """See `ChunkVectors.vectors`."""
        import numpy as np

        found = np.full((len(ids), self._space.dimensions), np.nan, dtype=np.float32)
        for place, id in enumerate(ids):
            _, row = self._row(id)
            if row is not None and row.entry.vector is not None:
                found[place] = row.entry.vector
        return found

    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TextSearch.words`.

        BM25 over the tenant's passages; words are compared casefolded and not stemmed.
        """
        score = self._bm25(text, scope.tenant)
        scores = {}
        for row in self._rows(scope):
            value = score(row)
            if value:
                scores[row.entry.chunk.id] = value
        return _ranking("words", scores, limit)

    def score(self, ids: Sequence[ChunkId], text: str) -> Scores:
        """See `TextScores.score`."""
        import numpy as np

        of_tenant: dict[str, Callable[[_Row], float]] = {}
        scores = []
        for id in ids:
            _, row = self._row(id)
            tenant = id.ref.tenant
            if tenant not in of_tenant:
                of_tenant[tenant] = self._bm25(text, tenant)
            scores.append(np.nan if row is None else of_tenant[tenant](row))
        return np.array(scores, dtype=np.float64)

    def full_score(self, text: str, tenant: str = "") -> float:
        """See `TextScale.full_score`."""
        analyser = self._reading().analyser
        self._check_tenant(tenant)
        repeats = Counter(_wanted(text, analyser))
        rows = self._rows(Scope(tenant))
        full = 0.0
        for word in list(repeats)[:MOST_WORDS]:
            full += _idf(word, rows) * min(MOST_REPEATS, repeats[word])
        return full

    def count(self, text: str, scope: Scope) -> int:
        """See `TextCounts.count`."""
        return len(self._holding(text, scope))

    def facets(
        self, text: str | None, scope: Scope, fields: Mapping[str, int]
    ) -> Mapping[str, Sequence[FacetCount]]:
        """See `Facets.facets`."""
        documents = self._holding(text, scope)
        found: dict[str, Sequence[FacetCount]] = {}
        for field, limit in fields.items():
            counts = Counter[tuple[str, Scalar]]()
            for document in documents:
                counts.update({sort_key(value) for value in _values(document, field)})
            most_frequent = sorted(counts, key=lambda held: (-counts[held], held))
            found[field] = [FacetCount(held[1], counts[held]) for held in most_frequent[:limit]]
        return found

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
        """See `FieldOrder.ordered`."""
        choose = max if descending else min
        held: dict[Ref, tuple[str, Scalar]] = {}
        without: list[Ref] = []
        for document in self._holding(text, scope):
            values = _values(document, field)
            if values:
                held[document.ref] = choose(map(sort_key, values))
            else:
                without.append(document.ref)
        by_ref = sorted(held)
        refs = sorted(by_ref, key=lambda ref: held[ref], reverse=descending)
        return [*refs, *sorted(without)][offset : offset + limit]

    def _holding(self, text: str | None, scope: Scope) -> list[Document]:
        """The documents in scope that contain any word of the text; all in scope for None."""
        holds = None if text is None else self._bm25(text, scope.tenant)
        return [
            stored.document
            for stored in self._within(scope)
            if holds is None or any(map(holds, stored.rows))
        ]

    def titled(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TitleSearch.titled`."""
        wanted = _words(text)
        scores = {}
        for stored in self._within(scope):
            title = _words(stored.document.title)
            if wanted and stored.rows and title[: len(wanted)] == wanted:
                scores[stored.rows[0].entry.chunk.id] = len(wanted) / len(title)
        return _ranking("title", scores, limit)

    def meeting(self, refs: Collection[Ref], conditions: TextConditions) -> frozenset[Ref]:
        """See `TextFilter.meeting`."""
        documents = self._reading().documents
        found = set()
        for ref in refs:
            self._check_tenant(ref.tenant)
            stored = documents.get(ref)
            if stored is not None and conditions.met(partial(_holds, stored)):
                found.add(ref)
        return frozenset(found)

    def word_counts(self, words: Collection[str], scope: Scope) -> Mapping[str, int]:
        """See `Vocabulary.word_counts`: exact numbers of documents."""
        counts = self._document_counts(scope)
        return {word: max((counts[part] for part in _words(word)), default=0) for word in words}

    def words_like(self, beginning: str, limit: int, scope: Scope) -> Sequence[tuple[str, int]]:
        """See `Vocabulary.words_like`."""
        begun = beginning.casefold()
        found = Counter[str]()
        for word, count in self._document_counts(scope).items():
            if begun and word.startswith(begun):
                found[word] = count
        return most_frequent(found, limit)

    def words_near(
        self, word: str, distance: int, limit: int, scope: Scope
    ) -> Sequence[tuple[str, int]]:
        """See `Vocabulary.words_near`."""
        wanted = word.casefold()
        by_distance: dict[int, Counter[str]] = {}
        for other, count in self._document_counts(scope).items():
            apart = edits(wanted, other)
            if 0 < apart <= distance:
                by_distance.setdefault(apart, Counter())[other] = count
        found: list[tuple[str, int]] = []
        for apart in sorted(by_distance):
            found += most_frequent(by_distance[apart], limit - len(found))
        return found

    def _document_counts(self, scope: Scope) -> Counter[str]:
        """In how many documents of a scope each word is."""
        counts = Counter[str]()
        for stored in self._within(scope):
            words: set[str] = set()
            for row in stored.rows:
                words.update(_words(row.entry.passage))
            counts.update(words)
        return counts

    def fetch(self, ids: Sequence[ChunkId]) -> list[StoredChunk]:
        """See `Store.fetch`."""
        chunks = []
        for id in ids:
            stored, row = self._row(id)
            if stored is not None and row is not None:
                document = stored.document
                pending = row.entry.vector is None
                chunks.append(
                    StoredChunk(
                        row.entry.chunk,
                        document.title,
                        document.metadata,
                        pending,
                        stored.updated_at,
                    )
                )
        return chunks

    def get(self, ref: Ref) -> Document | None:
        """See `Store.get`."""
        state = self._reading()
        self._check_tenant(ref.tenant)
        stored = state.documents.get(ref)
        return stored.document if stored else None

    def documents(self, scope: Scope, offset: int = 0, limit: int = 100) -> Page:
        """See `Store.documents`."""
        documents = sorted(self._within(scope), key=attrgetter("document.ref"))
        return Page(tuple(map(_summary, documents[offset : offset + limit])), len(documents))

    def stats(self, tenant: str | None = None) -> StoreStats:
        """See `Store.stats`. collections: documents in each."""
        state = self._reading()
        if tenant is not None:
            self._check_tenant(tenant)
        collections = Counter[str]()
        chunks = 0
        pending = 0
        for ref, stored in state.documents.items():
            if tenant is None or ref.tenant == tenant:
                collections[ref.collection] += 1
                chunks += len(stored.rows)
                pending += sum(row.entry.vector is None for row in stored.rows)
        return StoreStats(
            documents=collections.total(),
            chunks=chunks,
            pending=pending,
            collections=dict(sorted(collections.items())),
            space=self._space,
            multi_tenant=self._multi_tenant,
        )

    def pending(self, limit: int, after: int = -1) -> Sequence[PendingChunk]:
        """See `VectorQueue.pending`."""
        chunks = []
        for number, entry, _ in sorted(self._chunks(), key=attrgetter("number")):
            if entry.vector is None and number > after:
                id = entry.chunk.id
                chunks.append(PendingChunk(number, id, entry.passage, entry.fingerprint))
        return chunks[:limit]

    def fill(self, vectors: Mapping[str, Vector]) -> int:
        """See `VectorQueue.fill`."""
        self._reading()
        checked = {name: self._as_stored(vector) for name, vector in vectors.items()}
        with self._writing:
            state = self._latest()
            documents, filled = _fill(state.documents, checked)
            revisions = _revised(state, documents)
            self._state = attrs.evolve(state, documents=documents, revisions=revisions)
        return filled

    def bulk_update_vectors(self, vectors: Mapping[str, Vector]) -> int:
        """The same as `fill`."""
        return self.fill(vectors)

    def waiting(self, limit: int, now: float, *, except_collections: Collection[str] = ()) -> int:
        """See `BatchQueue.waiting`."""
        return self._ledger.waiting(limit, now, except_collections=except_collections)

    def waiting_size(self) -> tuple[int, int]:
        """See `BatchQueue.waiting_size`."""
        return self._ledger.waiting_size()

    def open_job(
        self, job: BatchJob, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.open_job`."""
        return self._ledger.open_job(job, limit, except_collections=except_collections)

    def extend_job(
        self, job: str, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.extend_job`."""
        return self._ledger.extend_job(job, limit, except_collections=except_collections)

    def passages_of(
        self, job: str, after: int = -1, limit: int = 1_000
    ) -> Sequence[tuple[int, str, str]]:
        """See `BatchQueue.passages_of`."""
        return self._ledger.passages_of(job, after, limit)

    def jobs(
        self,
        statuses: Collection[JobStatus] | None = None,
        *,
        limit: int = 100,
        cleaned: bool | None = None,
    ) -> Sequence[BatchJob]:
        """See `BatchQueue.jobs`."""
        return self._ledger.jobs(statuses, limit=limit, cleaned=cleaned)

    def job(self, id: str) -> BatchJob | None:
        """See `BatchQueue.job`."""
        return self._ledger.job(id)

    def lease_job(self, job: str, owner: str, now: float, until: float) -> bool:
        """See `BatchQueue.lease_job`."""
        return self._ledger.lease_job(job, owner, now, until)

    def note_job(
        self, job: str, now: float, *, status: JobStatus | None = None, **fields: Any
    ) -> bool:
        """See `BatchQueue.note_job`."""
        return self._ledger.note_job(job, now, status=status, **fields)

    def settle(
        self,
        job: str,
        vectors: Mapping[str, Vector],
        failures: Mapping[str, str],
        rate: Rate | None,
        now: float,
        tokens: Mapping[str, int] = {},
    ) -> int:
        """See `BatchQueue.settle`."""
        return self._ledger.settle(job, vectors, failures, rate, now, tokens)

    def pay_job(self, job: str, rate: Rate, passages: int, tokens: int) -> None:
        """See `BatchQueue.pay_job`."""
        self._ledger.pay_job(job, rate, passages, tokens)

    def reopen_job(
        self, job: str, now: float, rate: Rate | None, passages: int, tokens: int
    ) -> bool:
        """See `BatchQueue.reopen_job`."""
        return self._ledger.reopen_job(job, now, rate, passages, tokens)

    def close_job(
        self, job: str, status: JobStatus, now: float, *, error: str, rest: Rest, attempts: int
    ) -> bool:
        """See `BatchQueue.close_job`."""
        return self._ledger.close_job(job, status, now, error=error, rest=rest, attempts=attempts)

    def clean_job(self, job: str, now: float) -> None:
        """See `BatchQueue.clean_job`."""
        self._ledger.clean_job(job, now)

    def drop_job(self, job: str) -> bool:
        """See `BatchQueue.drop_job`."""
        return self._ledger.drop_job(job)

    def hold(
        self, fingerprints: Collection[str], now: float, until: float, token: str = ""
    ) -> tuple[str, frozenset[str]]:
        """See `BatchQueue.hold`."""
        return self._ledger.hold(fingerprints, now, until, token)

    def take(
        self,
        limit: int,
        now: float,
        until: float,
        *,
        from_jobs: bool = False,
        collections: Collection[str] | None = None,
    ) -> Held:
        """See `BatchQueue.take`."""
        return self._ledger.take(limit, now, until, from_jobs=from_jobs, collections=collections)

    def held(self, holder: str, fingerprints: Collection[str]) -> frozenset[str]:
        """See `BatchQueue.held`."""
        return self._ledger.held(holder, fingerprints)

    def release(self, token: str) -> None:
        """See `BatchQueue.release`."""
        self._ledger.release(token)

    def retry(self, job: str | None = None) -> int:
        """See `BatchQueue.retry`."""
        return self._ledger.retry(job)

    def chunk_states(self, ids: Sequence[ChunkId]) -> Sequence[tuple[ChunkStatus, str] | None]:
        """See `BatchQueue.chunk_states`."""
        states = []
        for id in ids:
            _, row = self._row(id)
            states.append(self._ledger.state_of(row.entry) if row else None)
        return states

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """See `BatchQueue.given_up`."""
        return self._ledger.given_up(limit)

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """See `BatchQueue.queue_stats`."""
        if tenant is not None:
            self._check_tenant(tenant)
        return self._ledger.queue_stats(tenant)

    def charge(self, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """See `BatchQueue.charge`."""
        self._ledger.charge(rate, spent)

    def costs(self, since: str = "", until: str = "9") -> Sequence[Cost]:
        """See `BatchQueue.costs`."""
        return self._ledger.costs(since, until)

    def revision(self, tenant: str | None = None) -> str:
        """See `Store.revision`."""
        state = self._reading()
        if tenant is not None:
            self._check_tenant(tenant)
        return state.revisions.get(tenant or _WHOLE_STORE, "0")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Store.snapshot`. Writers do not wait for it."""
        outer = getattr(self._pinned, "state", None)
        self._pinned.state = self._reading()
        try:
            yield
        finally:
            self._pinned.state = outer

    def close(self) -> None:
        """See `Store.close`. The content is gone."""
        with self._writing:
            self._closed = True
            self._state = _State()

    def _latest(self) -> _State:
        if self._closed:
            raise StoreMisuse("wanted an open store, got one that is closed.", hint="Open another.")
        return self._state

    def _reading(self) -> _State:
        """The state that this thread reads: that of its snapshot, else the latest."""
        latest = self._latest()
        pinned: _State | None = getattr(self._pinned, "state", None)
        return pinned or latest

    def _ledger_state(self) -> LedgerState:
        return self._reading().ledger

    def _put_ledger_state(self, ledger: LedgerState) -> None:
        self._state = attrs.evolve(self._latest(), ledger=ledger)

    def _chunks(self) -> list[Chunked]:
        """All chunks, of all tenants."""
        chunks = []
        for stored in self._reading().documents.values():
            for row in stored.rows:
                chunks.append(Chunked(row.number, row.entry, stored.updated_at))
        return chunks

    def _within(self, scope: Scope) -> list[_Stored]:
        """The documents of a scope."""
        state = self._reading()
        self._check_tenant(scope.tenant)
        documents = []
        for ref, stored in state.documents.items():
            if not scope.names(ref) or not scope.filter.matches(stored.document.metadata):
                continue
            if scope.text.met(partial(_holds, stored)):
                documents.append(stored)
        return documents

    def _rows(self, scope: Scope) -> list[_Row]:
        """The rows of a scope."""
        rows: list[_Row] = []
        for stored in self._within(scope):
            rows += stored.rows
        return rows

    def _bm25(self, text: str, tenant: str) -> Callable[[_Row], float]:
        """The score of a row of this tenant for the words of a text; 0 if it has none of them."""
        repeats = Counter(_wanted(text, self._reading().analyser))
        rows = self._rows(Scope(tenant))
        average = sum(row.words.total() for row in rows) / max(1, len(rows))
        weights: dict[_Alternatives, float] = {}
        for word in list(repeats)[:MOST_WORDS]:
            weights[word] = _idf(word, rows) * min(MOST_REPEATS, repeats[word])

        def score(row: _Row) -> float:
            total = 0.0
            for word in sorted(weights):
                count = sum(row.words[term] for term in word)
                if not count:
                    continue
                length = K1 * (1 - B + B * row.words.total() / average)
                total += weights[word] * count * (K1 + 1) / (count + length)
            return total

        return score

    def _row(self, id: ChunkId) -> tuple[_Stored | None, _Row | None]:
        """A chunk with its document; (None, None) if there is no such document."""
        state = self._reading()
        self._check_tenant(id.ref.tenant)
        stored = state.documents.get(id.ref)
        for row in stored.rows if stored else ():
            if row.entry.chunk.id == id:
                return stored, row
        return stored, None

    def _check_tenant(self, tenant: str) -> None:
        if self._multi_tenant and not tenant:
            raise TenantRequired(
                "This store separates tenants: wanted a tenant, got none.", hint="Name one."
            )
        if tenant and not self._multi_tenant:
            raise TenantRefused(
                f"This store has no tenants: wanted none, got {clip(tenant)}.",
                hint="Leave it out.",
            )

    def _checked(self, entry: Entry) -> Entry:
        """The entry with its vector as it is stored."""
        if entry.vector is None:
            return entry
        return attrs.evolve(entry, vector=self._as_stored(entry.vector))

    def _as_stored(self, vector: Vector) -> Vector:
        """A float32 copy of length 1."""
        import numpy as np

        unit = self._unit(vector)
        is_unit = abs(float(unit @ vector) - 1) <= UNIT_TOLERANCE
        return np.array(vector if is_unit else unit, dtype=np.float32)

    def _unit(self, vector: Vector) -> Direction:
        """The direction of a vector; VectorInvalid if it cannot be a vector of this store."""
        import numpy as np

        self._reading()
        given = np.asarray(vector, dtype=np.float64)
        wanted = f"wanted a vector of {self._space.dimensions} finite numbers and some length"
        hint = f"This store has vectors of {self._space}."
        if given.shape != (self._space.dimensions,):
            raise VectorInvalid(f"{wanted}, got shape {given.shape}.", hint=hint)
        if not np.isfinite(given).all():
            raise VectorInvalid(f"{wanted}, got NaN or infinity.", hint=hint)
        length = float(np.linalg.norm(given))
        if length < SHORTEST:
            raise VectorInvalid(f"{wanted}, got length {length:.3g}.", hint=hint)
        unit: Direction = given / length
        return unit


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _counted(passage: str, language: str | None, analyser: Analyser | None) -> Counter[str]:
    """How often each word is in a passage."""
    if analyser is None:
        return Counter(_words(passage))
    return Counter(token.term for token in analyser.tokens(passage, language or None))


_Alternatives = tuple[str, ...]
"""The terms of a word of a query: a row contains the word as often as it contains any of them."""


def _wanted(text: str, analyser: Analyser | None) -> list[_Alternatives]:
    """The words of a query, with the alternatives of each."""
    if analyser is None:
        return [(word,) for word in _words(text)]
    terms: dict[int, set[str]] = {}
    for token in analyser.query_tokens(text):
        terms.setdefault(token.position, set()).add(token.term)
    return [tuple(sorted(each)) for each in terms.values()]


def _idf(word: _Alternatives, rows: Sequence[_Row]) -> float:
    """The weight of a word in BM25: the fewer rows contain it, the more."""
    holders = sum(any(term in row.words for term in word) for row in rows)
    return max(LEAST_IDF, log((len(rows) - holders + 0.5) / (holders + 0.5)))


def _holds(stored: _Stored, term: TextTerm) -> bool:
    """Whether the term is in the document, see `TextFilter`."""
    wanted = _words(term.text)
    document = stored.document
    passages = [_words(row.entry.passage) for row in stored.rows]
    if term.field == TITLE:
        places = [document.title]
    elif term.field == TEXT:
        places = [document.text]
    elif term.field == HEADINGS:
        places = [heading for row in stored.rows for heading in row.entry.chunk.headings]
    elif term.field:
        places = as_written(document.metadata.get(term.field, ()))
    else:
        there = {word for passage in passages for word in passage}
        if not wanted or not each_is_there(there, wanted, prefix=term.prefix):
            return False
        if len(wanted) == 1:
            return True
        places = [document.text]
        if any(stand_together(words, wanted, prefix=term.prefix) for words in passages):
            return True
    return any(stand_together(_words(place), wanted, prefix=term.prefix) for place in places)


def _vectors(state: _State) -> dict[str, Vector]:
    """All vectors by fingerprint."""
    vectors = {}
    for stored in state.documents.values():
        for row in stored.rows:
            if row.entry.vector is not None:
                vectors[row.entry.fingerprint] = row.entry.vector
    return vectors


def _stamped(ref: Ref, marks: dict[Ref, int], stamps: Mapping[Ref, int] | None) -> bool:
    """Whether a change is not older than the last one; its stamp is then the mark of the ref."""
    stamp = (stamps or {}).get(ref)
    if stamp is None:
        return True
    if marks.get(ref, stamp) > stamp:
        return False
    marks[ref] = stamp
    return True


def _filled(entry: Entry, vectors: Mapping[str, Vector]) -> Entry:
    """The entry with its vector, if it has none and there is one."""
    if entry.vector is not None or entry.fingerprint not in vectors:
        return entry
    return attrs.evolve(entry, vector=vectors[entry.fingerprint])


def _fill(
    documents: Mapping[Ref, _Stored], vectors: Mapping[str, Vector]
) -> tuple[dict[Ref, _Stored], int]:
    """The documents with these vectors for pending passages, and how many chunks got one."""
    done = dict(documents)
    filled = 0
    for ref, stored in documents.items():
        rows = []
        changed = 0
        for row in stored.rows:
            entry = _filled(row.entry, vectors)
            changed += entry is not row.entry
            rows.append(row if entry is row.entry else attrs.evolve(row, entry=entry))
        if changed:
            done[ref] = attrs.evolve(stored, rows=tuple(rows))
            filled += changed
    return done, filled


def _revised(state: _State, documents: Mapping[Ref, _Stored]) -> Mapping[str, str]:
    """The revisions after a write that leaves these documents."""
    changed = set()
    for ref in state.documents.keys() | documents.keys():
        if state.documents.get(ref) is not documents.get(ref):
            changed |= {ref.tenant, _WHOLE_STORE}
    return {**state.revisions, **{tenant: secrets.token_hex(8) for tenant in changed}}


def _content(stored: _Stored) -> object:
    """What is equal in two versions of a document that are the same; ``1``, ``1.0`` and ``True``
    are three values.
    """
    rows = []
    for row in stored.rows:
        entry = row.entry
        vector = None if entry.vector is None else entry.vector.tobytes()
        metadata = _typed(entry.chunk.metadata)
        rows.append((entry.chunk, metadata, entry.passage, entry.fingerprint, vector))
    return stored.document, _typed(stored.document.metadata), rows


def _values(document: Document, field: str) -> tuple[Scalar, ...]:
    """The values of a metadata field: the items of a list, () if the field is missing."""
    held = document.metadata.get(field, ())
    return held if isinstance(held, tuple) else (held,)


def _typed(metadata: Mapping[str, Value]) -> list[tuple[str, type, Value]]:
    return [(key, type(value), value) for key, value in metadata.items()]


def _cosine(entry: Entry, query: Direction) -> float:
    """Cosine of the entry's vector and a query of length 1; NaN if it has no vector.

    Equal vectors give equal bits.
    """
    import numpy as np

    if entry.vector is None:
        return float("nan")
    vector = entry.vector.astype(np.float64)
    length = np.sqrt((vector * vector).sum())
    return float(np.clip((vector * query).sum() / length, -1.0, 1.0))


def _ranking(source: str, scores: Mapping[ChunkId, float], limit: int) -> Ranking:
    """The best of these scores; equal scores are in order of ChunkId."""

    def best_first(id: ChunkId) -> tuple[float, ChunkId]:
        return (-scores[id], id)

    best = sorted(scores, key=best_first)[: max(0, limit)]
    return Ranking(source, tuple(best), tuple([scores[id] for id in best]))


def _summary(stored: _Stored) -> DocumentSummary:
    document = stored.document
    return DocumentSummary(
        ref=document.ref,
        title=document.title,
        media_type=document.media_type,
        language=document.language,
        metadata=document.metadata,
        characters=len(document.text),
        chunks=len(stored.rows),
        pending=sum(row.entry.vector is None for row in stored.rows),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
