"""`SeparateLedger`: the batch jobs of a store that keeps no ledger, in another store beside it.

The other store has a copy of every passage that waits in the first one, so that its own ledger
serves both. The first store has the documents and gets the vectors. It is asked anew whenever
passages are counted, claimed or sent, so a copy that is out of date does no harm.

Tested by tests/batch/test_separate.py.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from semantic_core._jobs import BatchJob, ChunkStatus, Held, QueueStats, Rate
from semantic_core.errors import ConfigError
from semantic_core.protocols import BatchQueue, Store, VectorQueue
from semantic_core.types import Chunk, ChunkId, Document, Entry, Failure, PendingChunk, Ref

if TYPE_CHECKING:
    from semantic_core.types import Vector

PAGE = 2_000
"""Chunks read from a queue, or copied, at a time."""


@runtime_checkable
class QueueingStore(Store, VectorQueue, Protocol):
    """What a store must be for its ledger to be elsewhere."""


@runtime_checkable
class LedgerStore(Store, BatchQueue, Protocol):
    """What a store must be to keep the ledger of another one."""


@attrs.define
class Waiting:
    """A passage that waits in the first store: its chunks, and the place of the first of them."""

    place: int
    chunks: list[ChunkId]


class SeparateLedger:
    """The methods of `BatchQueue` for a store that is only a `VectorQueue`.

    store: has the documents. ledger: an empty store of the same space and tenancy that is a
    `BatchQueue`, or the one it was before; nothing else is kept in it. Every process that uses the
    store must use the same ledger. Raises ConfigError if the two do not fit.

    A result is stored in this order: its vector into the first store; then the end of the claim and
    the cost into the ledger, in one transaction. After a crash in between it is read again, its
    vector finds no taker, and it is paid for once.

    To count passages or to open a job reads the whole queue of the first store.
    """

    def __init__(self, store: Store, ledger: Store) -> None:
        if not isinstance(store, QueueingStore):
            raise ConfigError(
                f"{type(store).__name__} has no queue of chunks without a vector, so it can have "
                "no ledger of batch jobs.",
                hint="It needs the methods pending and fill of protocols.VectorQueue.",
            )
        if not isinstance(ledger, LedgerStore):
            raise ConfigError(
                f"A ledger is a store that is a BatchQueue, got {type(ledger).__name__}.",
                hint="Name a file, or give a SqliteStore or a MemoryStore.",
            )
        if (store.space, store.multi_tenant) != (ledger.space, ledger.multi_tenant):
            raise ConfigError(
                f"The ledger is for {_kind(ledger)}; the store is for {_kind(store)}.",
                hint="Every store needs a ledger of its own.",
            )
        self._store = store
        self._ledger = ledger
        self._refreshing = threading.RLock()
        self._waiting: Mapping[str, Waiting] = {}
        self._jobs_seen: set[str] = set()
        # These concern the ledger alone.
        self.extend_job = ledger.extend_job
        self.jobs = ledger.jobs
        self.job = ledger.job
        self.lease_job = ledger.lease_job
        self.note_job = ledger.note_job
        self.pay_job = ledger.pay_job
        self.close_job = ledger.close_job
        self.clean_job = ledger.clean_job
        self.drop_job = ledger.drop_job
        self.hold = ledger.hold
        self.held = ledger.held
        self.release = ledger.release
        self.charge = ledger.charge
        self.costs = ledger.costs
        self.close = ledger.close

    def pending(self, limit: int, after: int = -1) -> Sequence[PendingChunk]:
        """See `VectorQueue.pending`."""
        return self._store.pending(limit, after)

    def fill(self, vectors: Mapping[str, Vector]) -> int:
        """See `VectorQueue.fill`."""
        filled = self._store.fill(vectors)
        self._forget(vectors)
        return filled

    def waiting(self, limit: int, now: float, *, except_collections: Collection[str] = ()) -> int:
        """See `BatchQueue.waiting`."""
        self._refresh()
        return self._ledger.waiting(limit, now, except_collections=except_collections)

    def waiting_size(self) -> tuple[int, int]:
        """See `BatchQueue.waiting_size`."""
        self._refresh()
        return self._ledger.waiting_size()

    def open_job(
        self, job: BatchJob, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.open_job`."""
        self._refresh()
        return self._ledger.open_job(job, limit, except_collections=except_collections)

    def passages_of(
        self, job: str, after: int = -1, limit: int = 1_000
    ) -> Sequence[tuple[int, str, str]]:
        """See `BatchQueue.passages_of`."""
        while True:
            page = self._ledger.passages_of(job, after, limit)
            if not page:
                return page
            waiting = self._still_waiting({fingerprint for _, fingerprint, _ in page})
            there = [row for row in page if row[1] in waiting]
            if there:
                return there
            after = page[-1][0]

    def settle(
        self,
        job: str,
        vectors: Mapping[str, Vector],
        failures: Mapping[str, str],
        rate: Rate | None,
        now: float,
        tokens: Mapping[str, int] = {},
    ) -> int:
        """See `BatchQueue.settle`. The two stores are written one after the other, as the class
        says.
        """
        good = {name: vectors[name] for name in self._ledger.held(job, vectors.keys())}
        if good:
            if job not in self._jobs_seen:  # which chunks wait for it may be unknown here
                self._refresh()
                self._jobs_seen.add(job)
            self._store.fill(good)
            self._forget(good)
        return self._ledger.settle(job, vectors, failures, rate, now, tokens)

    def reopen_job(
        self, job: str, now: float, rate: Rate | None, passages: int, tokens: int
    ) -> bool:
        """See `BatchQueue.reopen_job`."""
        self._refresh()
        return self._ledger.reopen_job(job, now, rate, passages, tokens)

    def take(
        self,
        limit: int,
        now: float,
        until: float,
        *,
        from_jobs: bool = False,
        collections: Collection[str] | None = None,
    ) -> Held:
        """See `BatchQueue.take`. Reads the whole queue only if the copies do not suffice."""

        def taken() -> Held:
            return self._ledger.take(
                limit, now, until, from_jobs=from_jobs, collections=collections
            )

        held = taken()
        names = held.passages.keys()
        if len(names) == limit and self._still_waiting(names) == names:
            return held
        self._ledger.release(held.token)
        self._refresh()
        return taken()

    def retry(self, job: str | None = None) -> int:
        """See `BatchQueue.retry`."""
        self._refresh()
        return self._ledger.retry(job)

    def chunk_states(self, ids: Sequence[ChunkId]) -> Sequence[tuple[ChunkStatus, str] | None]:
        """See `BatchQueue.chunk_states`."""
        is_pending = {stored.chunk.id: stored.pending for stored in self._store.fetch(ids)}
        self._refresh()
        of_copies = self._ledger.chunk_states([_copy_id(id) for id in ids])
        states: list[tuple[ChunkStatus, str] | None] = []
        for id, of_copy in zip(ids, of_copies, strict=True):
            if id not in is_pending:
                states.append(None)
            elif not is_pending[id]:
                states.append(("READY", ""))
            else:
                states.append(of_copy or ("PENDING", ""))
        return states

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """See `BatchQueue.given_up`."""
        self._refresh()
        names = {}
        for passage in self._waiting.values():
            for id in passage.chunks:
                names[str(_copy_id(id))] = str(id)
        failures = []
        for failure in self._ledger.given_up(limit):
            if failure.what in names:
                failures.append(attrs.evolve(failure, what=names[failure.what]))
        return failures

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """See `BatchQueue.queue_stats`. oldest_at: since when the passage is in the ledger."""
        stored = self._store.stats(tenant)
        self._refresh()
        stats = self._ledger.queue_stats(tenant)
        return attrs.evolve(stats, ready=stored.chunks - stored.pending)

    def _refresh(self) -> None:
        """Bring the copies in line with the queue of the first store."""
        with self._refreshing:
            copied = {chunk.id.ref: chunk.fingerprint for chunk in _every(self._ledger)}
            waiting: dict[str, Waiting] = {}
            new = []
            for chunk in _every(self._store):
                passage = waiting.setdefault(chunk.fingerprint, Waiting(chunk.place, []))
                passage.chunks.append(chunk.id)
                if copied.pop(_copy_id(chunk.id).ref, None) != chunk.fingerprint:
                    new.append(chunk)
                if len(new) >= PAGE:
                    self._copy(new)
                    new = []
            self._copy(new)
            self._ledger.remove(copied)
            self._waiting = waiting

    def _copy(self, chunks: Sequence[PendingChunk]) -> None:
        """Put copies of these chunks into the ledger's store."""
        if not chunks:
            return
        self._ledger.replace([_copy(chunk) for chunk in chunks])
        # A copy that another process made while its result was settled has kept the vector.
        known = self._ledger.known({chunk.fingerprint for chunk in chunks})
        if known:
            self._store.fill(known)
            there = [one for one in chunks if one.fingerprint in known]
            self._ledger.remove([_copy_id(one.id).ref for one in there])

    def _forget(self, fingerprints: Iterable[str]) -> None:
        """Remove the copies of these passages, as far as they are known here."""
        refs = []
        for name in fingerprints:
            if name in self._waiting:
                refs += [_copy_id(id).ref for id in self._waiting[name].chunks]
        self._ledger.remove(refs)

    def _still_waiting(self, fingerprints: Collection[str]) -> Collection[str]:
        """Those of these passages that wait in the first store now."""
        places = [self._waiting[name].place for name in fingerprints if name in self._waiting]
        missing = set(fingerprints)
        if places and len(places) == len(missing):
            last = max(places)
            for chunk in _every(self._store, min(places) - 1, page=len(places)):
                missing.discard(chunk.fingerprint)
                if chunk.place >= last:
                    break
        if not missing:
            return fingerprints
        self._refresh()
        return fingerprints & self._waiting.keys()


def _every(queue: VectorQueue, after: int = -1, page: int = PAGE) -> Iterator[PendingChunk]:
    """The chunks of a queue from this place on, read in pages."""
    chunks = queue.pending(page, after)
    while chunks:
        yield from chunks
        chunks = queue.pending(page, chunks[-1].place)


def _copy_id(id: ChunkId) -> ChunkId:
    """The id of the copy of a chunk: the only one of its document, of the same owner.

    The key is a hash, because a key with a position could be too long.
    """
    key = blake2b(f"{id.position} {id.ref.key}".encode(), digest_size=16).hexdigest()
    return ChunkId(Ref(id.ref.collection, key, id.ref.tenant), 0)


def _copy(chunk: PendingChunk) -> tuple[Document, Sequence[Entry]]:
    id = _copy_id(chunk.id)
    entry = Entry(Chunk(id, "", 0, 0), chunk.passage, chunk.fingerprint)
    return Document(id.ref, ""), [entry]


def _kind(store: Store) -> str:
    tenancy = "multi-tenant" if store.multi_tenant else "single-tenant"
    return f"{store.space}, {tenancy}"
