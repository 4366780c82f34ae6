"""What an embedder, a splitter and a store are. Write a class with these members; inherit nothing.

Abilities that may be lacking are protocols of their own, asked for with ``isinstance``:
`TextSearch`, `TextScores`, `TitleSearch`, `VectorQueue` and `BatchQueue` of a store,
`BatchEmbedder` and `Priced` of an embedder. `semantic_core.testing` proves that a class keeps its
contract; every rule it holds is written here.

Tested by tests/contracts/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

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
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semantic_core._metering import Spent
    from semantic_core.types import Vector, Vectors

    Scores = NDArray[np.float64]
    """float64, shape (n,)."""


@runtime_checkable
class Embedder(Protocol):
    """Turns text into vectors of one space.

    space: identity of the vectors; cheap to ask, before any model is loaded, and the same for
    another made the same way.
    batch_size: texts one call takes at most. max_chars: longest passage it reads whole, characters.
    Both above 0. A text has the same vector each time, alone or beside others; no text raises, ""
    and blanks neither. An answer belongs to its receiver. Raises EmbedderUnavailable when trying
    again later may help, EmbedderError otherwise.

    is_local: need not be there. True says that it computes in this process instead of waiting for
    another: then a run asks it in its own thread, and an index may follow its table at once.
    """

    @property
    def space(self) -> Space: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_chars(self) -> int: ...

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """float32 of shape (len(passages), dimensions), rows of length 1, in the order given.

        [] gives (0, dimensions).
        """
        ...

    def embed_query(self, text: str) -> Vector:
        """float32 of shape (dimensions,), of length 1.

        Of a text longer than the model reads, what it can.
        """
        ...


@runtime_checkable
class BatchEmbedder(Embedder, Protocol):
    """An embedder that also takes jobs of many passages, cheap and slow.

    Everything is keyed by fingerprint.

    Its vectors are those of `embed_documents`: one space. Every method raises ConfigError before
    anything is sent if jobs are not set up (no key of their own), EmbedderUnavailable when trying
    again later may help, JobLost for a job the provider does not know (any more).

    job_tokens: need not be there. Tokens one job may have, at most. account: need not be there. A
    str that tells what jobs are submitted with, such as a hash of the key, and does not tell the
    key itself: a job of another account is not taken for lost where this one does not see it. now:
    need not be there. A function that gives the seconds since 1970 by the provider's clock, None
    while that is not known; where it is, no computer's own clock ends a job.
    results_kept: need not be there. Seconds results are kept for once a job is done.
    """

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """A new job of these passages, called `name` at the provider;
        the provider's own name of it.

        passages are read from the store while they are iterated: go through them once, by
        ``items()``, and keep none. Fewer may come than ``len`` says. Raises InputError if the
        provider does not take so many, or one of them: then nothing was sent; EmbedderThrottled if
        it does not take so many for now. After any other error the job may be there all the same;
        `find` is asked before the next try.
        """
        ...

    def find(self, name: str) -> str | None:
        """The job submitted under this name; None if there is none.

        One that has not failed goes before one that has.
        """
        ...

    def state(self, job: str) -> JobState:
        """Where the job is. A state nobody knows counts as PROCESSING."""
        ...

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """(fingerprint, vector or why there is none), one by one; any order, some twice,
        some missing, as they come.

        Raises EmbedderUnavailable, at the beginning or half-way, when they cannot be had now. May
        be read again.
        """
        ...

    def cancel(self, job: str) -> None:
        """Ask the provider to end the job.

        It may end all the same with results, which are to be paid and read.
        """
        ...

    def clean_up(self, job: str) -> None:
        """Remove the job and its files from the provider. What is gone already is no error."""
        ...


@runtime_checkable
class Priced(Protocol):
    """An embedder that costs money."""

    @property
    def currency(self) -> str:
        """ISO 4217, such as "USD"."""
        ...

    def price(self, tier: PriceTier) -> Decimal:
        """What a million tokens cost, interactively or in a job."""
        ...

    def tokens(self, passages: Sequence[str]) -> int:
        """How many tokens these passages have, all together, about.

        Asks nobody and costs nothing.
        """
        ...

    def seconds(self, passages: int, tokens: int) -> float:
        """How long embedding so many takes interactively, about."""
        ...


@runtime_checkable
class Metered(Priced, Protocol):
    """An embedder whose provider tells what its answers cost. Where it is missing, tokens are
    estimated by `Priced.tokens`.
    """

    def metered(self) -> AbstractContextManager[Spent]:
        """Within it, what is paid for by calls of this thread is counted as it comes: passages and
        tokens of every answer that was paid for, whatever is raised, and none of what is answered
        from memory.

        The results of a job count one by one, each before it is given, in every reading. `Meter`
        does the work.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """Keeps documents, chunks and vectors, and finds the nearest.

    Every method refuses a scope or ref without tenant in a multi-tenant store (TenantRequired) and
    one with a tenant in a single-tenant store (TenantRefused); no tenant reads, counts or changes
    what is another's. Addresses are compared exactly, by code point. Safe to call from several
    threads: a write is in the next answer of every other. A write that raises has changed nothing,
    also when the batch it reads raises half-way.

    A vector is refused with VectorInvalid, as entry and as query, if it is of another size, not
    finite, or of no length to speak of. One of another length than 1 counts by its direction, or is
    refused likewise.

    One that outlives its process keeps everything when closed, stamps too; opened with another
    space it raises SpaceMismatch, naming both, and stays as it is. That it keeps tenants apart is
    not forgotten.
    """

    @property
    def space(self) -> Space:
        """Where its vectors live; fixed when the store was made."""
        ...

    @property
    def multi_tenant(self) -> bool:
        """Whether it keeps tenants apart; fixed when the store was made."""
        ...

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        """Make each document be exactly these entries; the only way to write.

        One transaction for the whole batch.

        Whatever the document had before is gone: chunks, words, vectors. A document may have no
        entries. One given twice in a batch ends as the later one. The report has an outcome for
        each document given, in order.

        An entry without a vector is kept and is found by words only, until its vector comes: it
        takes the one the store has for its fingerprint, be it of another document or of the version
        this one replaces; and one that waits takes the vector that comes with any other document of
        the same fingerprint, in this call or a later one.

        "unchanged": document and entries were there already, in every field; nothing is written,
        times stay. ``1``, ``1.0`` and ``True`` in metadata are three values, and come back as they
        were given. An update keeps created_at.

        stamps: per ref, the order of the change. A document whose stored stamp (or that of its
        removal) is larger is left alone and reported "stale"; an equal one applies. The stamp is
        stored even where the outcome is "unchanged". A ref without one always applies, and leaves
        the stored stamp as it is.

        Raises VectorInvalid before anything is written.
        """
        ...

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        """Remove documents with all that belongs to them; how many were there,
        one named twice counted once.

        stamps: as for `replace`. A removal's stamp is stored even if there was no such document, so
        that an older version which arrives late is "stale"; a document of a larger stamp stays, and
        does not count.
        """
        ...

    def known(self, fingerprints: Collection[str]) -> Mapping[str, Vector]:
        """The vectors already here for these fingerprints, as copies; others are left out.

        Handed back with `replace` they are the same: the outcome is "unchanged".
        """
        ...

    def nearest(self, vector: Vector, limit: int, scope: Scope) -> Ranking:
        """The chunks of highest cosine similarity, best first, source "vector", scores in [-1, 1].

        Ties by ChunkId.

        The scope holds before the limit; a smaller limit gives the beginning of the same list, 0
        nothing. Chunks without a vector are not found. Raises VectorInvalid for the query.
        """
        ...

    def similarity(self, ids: Sequence[ChunkId], vector: Vector) -> Vector:
        """Cosine similarity of these chunks, float32 of shape (len(ids),).

        NaN where there is no such chunk or vector.

        Raises VectorInvalid for the query.
        """
        ...

    def fetch(self, ids: Sequence[ChunkId]) -> list[StoredChunk]:
        """The chunks with these ids, all their fields, in the order asked;
        those that are gone are left out.
        """
        ...

    def get(self, ref: Ref) -> Document | None:
        """The document exactly as it was handed over, types of metadata too;
        None if there is none.
        """
        ...

    def documents(self, scope: Scope, offset: int = 0, limit: int = 100) -> Page:
        """A slice of the documents in scope in order of (collection, key), by code point,
        with the total of all in scope.

        Past the end, or with limit 0, the slice is empty and the total the same. Times are ISO
        8601, updated_at never goes back.
        """
        ...

    def stats(self, tenant: str | None = None) -> StoreStats:
        """How much there is for this tenant; None counts the whole store, for its operator.

        collections: how many documents each has, those without chunks included; a collection of no
        documents is left out. With None, collections of one name in several tenants are counted as
        one. In a single-tenant store "" and None are the same.
        """
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Within it, all reads of this thread see one state, whatever others commit.

        An inner one sees the outer's state.

        It ends with its block, by an error too. Writers of other threads may be made to wait until
        then.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections.

        May be called twice; any other call afterwards raises StoreMisuse.
        """
        ...


@runtime_checkable
class Checkpoints(Protocol):
    """A store that knows which index it is, and how far it has followed each source of changes.

    A checkpoint is a short text under the name of a source, written in the transaction of the write
    it speaks of. So a store that is restored from a copy says of itself how old it is. Kept as long
    as the documents are, and with them.

    identity: random text, made with the store; a copy of the store has the same, until
    `renew_identity`. location: where the store is (host and path), the same text for the same
    place; "" for one that is gone when its process ends.
    """

    @property
    def identity(self) -> str: ...
    @property
    def location(self) -> str: ...

    def renew_identity(self) -> str:
        """Become another index than the one this is a copy of; the new identity."""
        ...

    def checkpoints(self) -> Mapping[str, str]:
        """All checkpoints by the name of their source; empty in a new store."""
        ...

    def checkpoint(self, source: str) -> str | None:
        """The checkpoint of this source; None if there is none."""
        ...

    def update_checkpoint(
        self, source: str, change: Callable[[str | None], str | None]
    ) -> str | None:
        """Put what `change` makes of the checkpoint in its place, in one transaction; the new one.

        change: given the checkpoint there is (None: none), gives the new one; None removes it. It
        may be called twice. If it raises, nothing has changed.
        """
        ...

    def advancing(
        self, source: str, change: Callable[[str | None], str]
    ) -> AbstractContextManager[None]:
        """Within it, each `replace` and `remove` of this thread updates the checkpoint too,
        in its own transaction.

        A write that raises leaves the checkpoint as it was; one that changes no document updates it
        all the same. Several sources may be advanced at once, by blocks within each other.
        """
        ...


@runtime_checkable
class Patient(Protocol):
    """A store whose writers may have to wait for each other, and can be told for how long."""

    def waiting_at_most(self, seconds: float) -> AbstractContextManager[None]:
        """Within it, a write of this thread that cannot begin within so many seconds raises
        StoreBusy, and changes nothing.

        Blocks within each other: the shortest time counts.
        """
        ...


@runtime_checkable
class TextSearch(Protocol):
    """A store that finds words."""

    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        """The chunks that hold any of the words, best first by BM25 or better, source "words".

        Words are those of the passage, with or without a vector; upper and lower case are one. The
        scope holds before the limit. Words of a version that was replaced, or of a document that
        was removed, are not found.
        Any text is a legal query: it is never read as syntax. No word in it, no hits. A lone
        surrogate may be refused with TextInvalid.
        """
        ...


@runtime_checkable
class TextScores(TextSearch, Protocol):
    """A store that can say what `words` gives any chunk.

    With it, each candidate of a hybrid search has its true score by words, whoever found it. Where
    it is missing, a candidate that `words` did not list within the limit counts as one without any
    of the words.
    """

    def score(self, ids: Sequence[ChunkId], text: str) -> Scores:
        """What `words` gives these chunks for the text,
        float64 of shape (len(ids),), in that order.

        0.0 for one that `words` would not list, whatever the limit: it holds none of the words.
        More than 0 for every other. NaN where there is no such chunk. The chunks may be of any
        collection, with or without a vector; the tenant is that of each id. What is a legal text,
        and what is refused, is as for `words`.
        """
        ...


@runtime_checkable
class TitleSearch(Protocol):
    """A store that finds documents by their titles.

    With it, the document that is called exactly like the query comes first in a hybrid search.
    Where it is missing, a title counts as part of the passage only.
    """

    def titled(self, text: str, limit: int, scope: Scope) -> Ranking:
        """The documents whose title is the text or begins with it, each by its first chunk.

        Source "title", best first. The score is the share of the title's words that the text has:
        1.0 where title and text are the same words, 0.5 where the title has twice as many. Upper
        and lower case, punctuation and white space make no difference; the words must stand at the
        beginning, in the same order. Ties by ChunkId. The scope holds before the limit. No word in
        the text, or a title without one: no hits. A document without chunks is not found, nor need
        one be whose first passage does not begin with its title.
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
    """Pending changes: the addresses of documents whose rows changed, without any values."""

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """Lease up to `limit` pending changes to the caller, as (number, ref). A later change has a
        larger number.
        """
        ...

    def done(self, numbers: Collection[int]) -> None:
        """Delete these changes, since they are processed. Others of the same ref stay."""
        ...

    def failed(self, numbers: Collection[int], reason: str) -> None:
        """Release these changes, to be taken again later. The outbox decides when to give up."""
        ...


class Source(Protocol):
    """Where the documents of a collection come from, as they are now."""

    def __call__(self, refs: Sequence[Ref]) -> Iterable[Document | Failure]:
        """The documents that exist among these refs; the rest are gone. A Failure (what:
        ``str(ref)``) for one that exists and cannot be made: its document stays as it was, and its
        change stays pending.
        """
        ...


@runtime_checkable
class Follower(Protocol):
    """What feeds a core with the changes of one database."""

    def sync(
        self,
        limit: int | None = None,
        *,
        pending: bool = False,
        progress: Callable[[Any], None] | None = None,
    ) -> IngestReport:
        """Process up to `limit` pending changes (None: all); pending: then embed what has no vector
        yet. progress: called while rows are compared with the index, with a
        `semantic_core.orm.ReindexProgress`."""
        ...

    def close(self) -> None:
        """End what works in the background. May be called twice."""
        ...
