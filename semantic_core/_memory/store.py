"""MemoryStore: the store of first steps and tests,
and the reference every other store is compared with.

Written to be obviously right: every answer is read off the documents as they are, nothing is
derived beforehand but the words of a passage. A state is never changed, a write puts another in its
place: so a snapshot is one reference, readers never wait, and a write that raises has changed
nothing.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from math import log
from typing import TYPE_CHECKING, Annotated

import attrs

from semantic_core._jobs import QueueStats
from semantic_core._memory.queue import Chunked, MemoryQueue, Queue
from semantic_core._validation import Value, clip
from semantic_core.errors import StoreMisuse, TenantRefused, TenantRequired, VectorInvalid
from semantic_core.types import (
    ChunkId,
    Document,
    DocumentSummary,
    Entry,
    Outcome,
    Page,
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

    from semantic_core.protocols import Scores
    from semantic_core.types import Vector

    Direction = NDArray[np.float64]
    """float64, shape (dimensions,), length 1."""

K1 = 1.2
"""BM25: how soon a repeated word stops counting. Robertson and Zaragoza, "The Probabilistic
Relevance Framework" (2009).
"""
B = 0.75
"""BM25: how much a long passage pays for its length; same source."""
LEAST_IDF = 1e-6
"""Weight of a word in more than half of the passages, whose idf would fall below it;
as SQLite's FTS5 has it.
"""
MOST_WORDS = 32
"""Distinct words of a query that are looked for; the first ones."""
MOST_REPEATS = 3
"""How often a word repeated in the query counts, at most."""
SHORTEST = 1e-6
"""Length under which a vector has no direction."""
UNIT_TOLERANCE = 1e-6
"""A vector this close to length 1 is kept bit for bit."""

_WORD = re.compile(r"[^\W_]+")


@attrs.frozen(eq=False)
class _Row:
    """An entry as it is kept. number: grows with every row ever written, so it is its age.
    words: of the passage.
    """

    entry: Entry
    number: int
    words: Counter[str]


@attrs.frozen(eq=False)
class _Kept:
    document: Document
    rows: tuple[_Row, ...]
    created_at: str
    updated_at: str


@attrs.frozen(eq=False)
class _State:
    """All there is.

    stamps: of refs ever written or removed with one. checkpoints: by the name of their source.
    identity: which index it is.
    """

    documents: Mapping[Ref, _Kept] = attrs.field(factory=dict)
    stamps: Mapping[Ref, int] = attrs.field(factory=dict)
    written: int = 0
    queue: Queue = attrs.field(factory=Queue)
    checkpoints: Mapping[str, str] = attrs.field(factory=dict)
    identity: str = attrs.field(factory=lambda: secrets.token_hex(16))


def open_memory(
    space: Space,
    *,
    multi_tenant: Annotated[
        bool | None, "whether every call names a tenant; unset means no"
    ] = None,
) -> MemoryStore:
    """A new, empty store that is gone when the process ends."""
    return MemoryStore(space, multi_tenant=bool(multi_tenant))


class MemoryStore(MemoryQueue):
    """Store, TextScores, TitleSearch and BatchQueue in this process's memory.

    Searches read everything: made for thousands of chunks.
    """

    def __init__(self, space: Space, *, multi_tenant: bool = False) -> None:
        self._space = space
        self._multi_tenant = multi_tenant
        self._state = _State()
        self._writing = threading.RLock()
        self._pinned = threading.local()
        self._closed = False

    @property
    def space(self) -> Space:
        """Of the vectors kept here."""
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
            self._state = attrs.evolve(self._latest(), identity=secrets.token_hex(16))
            return self._state.identity

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
        """What this thread's writes advance: sources, and how."""
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
        given = [
            (document, [self._checked(entry) for entry in entries]) for document, entries in batch
        ]
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
                known |= {
                    entry.fingerprint: entry.vector for entry in entries if entry.vector is not None
                }
                rows = tuple(
                    _Row(_filled(entry, known), number, Counter(_words(entry.passage)))
                    for number, entry in enumerate(entries, start=written)
                )
                before = documents.get(ref)
                if before is not None and _content(document, rows) == _content(
                    before.document, before.rows
                ):
                    outcomes.append((ref, "unchanged"))
                    continue
                written += len(rows)
                documents[ref] = _Kept(document, rows, before.created_at if before else now, now)
                outcomes.append((ref, "updated" if before else "added"))
            # Passages that waited for a vector which came with another document.
            documents, _ = _fill(documents, known)
            self._state = attrs.evolve(
                state,
                documents=documents,
                stamps=marks,
                written=written,
                checkpoints=self._advanced(state),
            )
        return ReplaceReport(tuple(outcomes))

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        """See `Store.remove`.

        A stamp is remembered even if there was no such document: an older change may come yet.
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
                state, documents=documents, stamps=marks, checkpoints=self._advanced(state)
            )
        return len(state.documents) - len(documents)

    def known(self, fingerprints: Collection[str]) -> Mapping[str, Vector]:
        """See `Store.known`."""
        vectors = _vectors(self._reading())
        return {name: vectors[name].copy() for name in fingerprints if name in vectors}

    def nearest(self, vector: Vector, limit: int, scope: Scope) -> Ranking:
        """See `Store.nearest`. Scored in float64."""
        query = self._unit(vector)
        entries = [
            row.entry
            for kept in self._within(scope)
            for row in kept.rows
            if row.entry.vector is not None
        ]
        return _ranking(
            "vector", {entry.chunk.id: _cosine(entry, query) for entry in entries}, limit
        )

    def similarity(self, ids: Sequence[ChunkId], vector: Vector) -> Vector:
        """See `Store.similarity`."""
        import numpy as np

        query = self._unit(vector)
        rows = [self._row(id) for id in ids]
        return np.array(
            [np.nan if row is None else _cosine(row.entry, query) for _, row in rows],
            dtype=np.float32,
        )

    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TextSearch.words`.

        BM25 over the tenant's passages; words are compared casefolded and not stemmed.
        """
        score = self._bm25(text, scope.tenant)
        rows = [row for kept in self._within(scope) for row in kept.rows]
        scores = {row.entry.chunk.id: score(row) for row in rows}
        return _ranking("words", {id: value for id, value in scores.items() if value}, limit)

    def score(self, ids: Sequence[ChunkId], text: str) -> Scores:
        """See `TextScores.score`."""
        import numpy as np

        rows = [self._row(id)[1] for id in ids]
        of_tenant = {tenant: self._bm25(text, tenant) for tenant in {id.ref.tenant for id in ids}}
        scores = [
            np.nan if row is None else of_tenant[id.ref.tenant](row)
            for id, row in zip(ids, rows, strict=True)
        ]
        return np.array(scores, dtype=np.float64)

    def titled(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TitleSearch.titled`."""
        asked = _words(text)
        scores = {}
        for kept in self._within(scope):
            title = _words(kept.document.title)
            if asked and kept.rows and title[: len(asked)] == asked:
                scores[kept.rows[0].entry.chunk.id] = len(asked) / len(title)
        return _ranking("title", scores, limit)

    def fetch(self, ids: Sequence[ChunkId]) -> list[StoredChunk]:
        """See `Store.fetch`."""
        found = [self._row(id) for id in ids]
        return [
            StoredChunk(
                row.entry.chunk,
                kept.document.title,
                kept.document.metadata,
                row.entry.vector is None,
            )
            for kept, row in found
            if kept is not None and row is not None
        ]

    def get(self, ref: Ref) -> Document | None:
        """See `Store.get`."""
        state = self._reading()
        self._check_tenant(ref.tenant)
        kept = state.documents.get(ref)
        return kept.document if kept else None

    def documents(self, scope: Scope, offset: int = 0, limit: int = 100) -> Page:
        """See `Store.documents`."""
        found = sorted(self._within(scope), key=lambda kept: kept.document.ref)
        return Page(tuple(map(_summary, found[offset : offset + limit])), len(found))

    def stats(self, tenant: str | None = None) -> StoreStats:
        """See `Store.stats`. collections: documents in each."""
        state = self._reading()
        if tenant is not None:
            self._check_tenant(tenant)
        counted = [
            kept for ref, kept in state.documents.items() if tenant is None or ref.tenant == tenant
        ]
        return StoreStats(
            documents=len(counted),
            chunks=sum(len(kept.rows) for kept in counted),
            pending=sum(row.entry.vector is None for kept in counted for row in kept.rows),
            collections=dict(
                sorted(Counter(kept.document.ref.collection for kept in counted).items())
            ),
            space=self._space,
            multi_tenant=self._multi_tenant,
        )

    def pending(self, limit: int) -> Mapping[str, str]:
        """See `VectorQueue.pending`."""
        claims = self._queue().claims
        troubles = self._queue().troubles
        passages = {
            name: chunk.entry.passage
            for name, chunk in self._waiting().items()
            if not (name in claims and claims[name].until is None)
            and not (name in troubles and troubles[name].failed)
        }
        return dict(list(passages.items())[:limit])

    def fill(self, vectors: Mapping[str, Vector]) -> int:
        """See `VectorQueue.fill`."""
        self._reading()
        checked = {name: self._as_kept(vector) for name, vector in vectors.items()}
        with self._writing:
            state = self._latest()
            documents, filled = _fill(state.documents, checked)
            self._state = attrs.evolve(state, documents=documents)
        return filled

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """See `BatchQueue.queue_stats`."""
        if tenant is not None:
            self._check_tenant(tenant)
        return super().queue_stats(tenant)

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
        """See `Store.close`. What was kept is gone."""
        with self._writing:
            self._closed = True
            self._state = _State()

    def _latest(self) -> _State:
        if self._closed:
            raise StoreMisuse("wanted an open store, got one that is closed.", hint="Open another.")
        return self._state

    def _reading(self) -> _State:
        """What this thread reads: the state its snapshot holds, else the latest."""
        latest = self._latest()
        pinned: _State | None = getattr(self._pinned, "state", None)
        return pinned or latest

    def _queue(self) -> Queue:
        return self._reading().queue

    def _put_queue(self, queue: Queue) -> None:
        self._state = attrs.evolve(self._latest(), queue=queue)

    def _chunks(self) -> list[Chunked]:
        kept = self._reading().documents.values()
        return [
            Chunked(row.number, row.entry, document.updated_at)
            for document in kept
            for row in document.rows
        ]

    def _entries(self, ids: Sequence[ChunkId]) -> list[Entry | None]:
        rows = [self._row(id)[1] for id in ids]
        return [row.entry if row else None for row in rows]

    def _within(self, scope: Scope) -> list[_Kept]:
        state = self._reading()
        self._check_tenant(scope.tenant)
        return [
            kept
            for ref, kept in state.documents.items()
            if ref.tenant == scope.tenant
            and (scope.collections is None or ref.collection in scope.collections)
            and scope.filter.matches(kept.document.metadata)
        ]

    def _bm25(self, text: str, tenant: str) -> Callable[[_Row], float]:
        """What a row of this tenant scores for the words of a text: 0 if it has none of them."""
        asked = Counter(_words(text))
        rows = [row for kept in self._within(Scope(tenant)) for row in kept.rows]
        average = sum(row.words.total() for row in rows) / max(1, len(rows))
        weights: dict[str, float] = {}
        for word in list(asked)[:MOST_WORDS]:
            holders = sum(word in row.words for row in rows)
            idf = (
                max(LEAST_IDF, log((len(rows) - holders + 0.5) / (holders + 0.5)))
                if holders
                else 0.0
            )
            weights[word] = idf * min(MOST_REPEATS, asked[word])

        def score(row: _Row) -> float:
            found = sorted(weights.keys() & row.words.keys())
            if not found:
                return 0.0
            length = K1 * (1 - B + B * row.words.total() / average)
            counts = [(weights[word], row.words[word]) for word in found]
            return sum(weight * count * (K1 + 1) / (count + length) for weight, count in counts)

        return score

    def _row(self, id: ChunkId) -> tuple[_Kept | None, _Row | None]:
        state = self._reading()
        self._check_tenant(id.ref.tenant)
        kept = state.documents.get(id.ref)
        rows = kept.rows if kept else ()
        return kept, next((row for row in rows if row.entry.chunk.id == id), None)

    def _check_tenant(self, tenant: str) -> None:
        if self._multi_tenant and not tenant:
            raise TenantRequired(
                "This store keeps tenants apart: wanted a tenant, got none.", hint="Name one."
            )
        if tenant and not self._multi_tenant:
            raise TenantRefused(
                f"This store knows no tenants: wanted none, got {clip(tenant)}.",
                hint="Leave it out.",
            )

    def _checked(self, entry: Entry) -> Entry:
        return (
            entry
            if entry.vector is None
            else attrs.evolve(entry, vector=self._as_kept(entry.vector))
        )

    def _as_kept(self, vector: Vector) -> Vector:
        """A float32 copy of length 1."""
        import numpy as np

        unit = self._unit(vector)
        return np.array(
            vector if abs(float(unit @ vector) - 1) <= UNIT_TOLERANCE else unit, dtype=np.float32
        )

    def _unit(self, vector: Vector) -> Direction:
        """Where the vector points; VectorInvalid if it cannot be a vector of this store."""
        import numpy as np

        self._reading()
        given = np.asarray(vector, dtype=np.float64)
        wanted = f"wanted a vector of {self._space.dimensions} finite numbers and some length"
        hint = f"This store keeps vectors of {self._space}."
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


def _vectors(state: _State) -> dict[str, Vector]:
    rows = (row for kept in state.documents.values() for row in kept.rows)
    return {row.entry.fingerprint: row.entry.vector for row in rows if row.entry.vector is not None}


def _stamped(ref: Ref, marks: dict[Ref, int], stamps: Mapping[Ref, int] | None) -> bool:
    """Whether the change may be made; its stamp is then the mark of the ref."""
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
    documents: Mapping[Ref, _Kept], vectors: Mapping[str, Vector]
) -> tuple[dict[Ref, _Kept], int]:
    """The documents with every vector that was waited for, and how many chunks that were."""
    done = dict(documents)
    filled = 0
    for ref, kept in documents.items():
        takers = sum(
            row.entry.vector is None and row.entry.fingerprint in vectors for row in kept.rows
        )
        if takers:
            rows = tuple(attrs.evolve(row, entry=_filled(row.entry, vectors)) for row in kept.rows)
            done[ref] = attrs.evolve(kept, rows=rows)
            filled += takers
    return done, filled


def _content(document: Document, rows: Sequence[_Row]) -> object:
    """What makes two versions of a document the same; ``1``,
    ``1.0`` and ``True`` are three values.
    """
    entries = [row.entry for row in rows]
    vectors = [None if entry.vector is None else entry.vector.tobytes() for entry in entries]
    chunks = [
        (entry.chunk, _typed(entry.chunk.metadata), entry.passage, entry.fingerprint)
        for entry in entries
    ]
    return document, _typed(document.metadata), chunks, vectors


def _typed(metadata: Mapping[str, Value]) -> list[tuple[str, type, Value]]:
    return [(key, type(value), value) for key, value in metadata.items()]


def _cosine(entry: Entry, query: Direction) -> float:
    """Cosine of the entry's vector and a query of length 1; NaN if it has no vector.

    Equal vectors give equal bits.
    """
    import numpy as np

    if entry.vector is None:
        return float("nan")
    held = entry.vector.astype(np.float64)
    return float(np.clip((held * query).sum() / np.sqrt((held * held).sum()), -1.0, 1.0))


def _ranking(source: str, scores: Mapping[ChunkId, float], limit: int) -> Ranking:
    best = sorted(scores, key=lambda id: (-scores[id], id))[: max(0, limit)]
    return Ranking(source, tuple(best), tuple(scores[id] for id in best))


def _summary(kept: _Kept) -> DocumentSummary:
    document = kept.document
    return DocumentSummary(
        ref=document.ref,
        title=document.title,
        media_type=document.media_type,
        language=document.language,
        metadata=document.metadata,
        characters=len(document.text),
        chunks=len(kept.rows),
        pending=sum(row.entry.vector is None for row in kept.rows),
        created_at=kept.created_at,
        updated_at=kept.updated_at,
    )
