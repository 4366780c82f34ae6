"""SqliteStore: documents, a full-text index and a vector index in one SQLite file.

It is a `Store` with `TextSearch`, `TextScores`, `TextCounts`, `Facets`, `FieldOrder`,
`TitleSearch`, `TextFilter`, `Vocabulary`, `VectorQueue` and `Checkpoints`; its job ledger makes it
a `BatchQueue`.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_maintenance.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import apsw
import attrs

from semantic_core.analysis import WordAnalyser
from semantic_core.errors import ConfigError, InputError, StoreCorrupt
from semantic_core.storage import (
    Advances,
    OfLedger,
    check_count,
    check_ids,
    check_ref,
    check_stamps,
    check_tenant,
    errors_of_changes,
    from_blob,
    stored_by_name,
)
from semantic_core.types import (
    INDEX_FILE,
    ChunkId,
    Document,
    Entry,
    FacetCount,
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
from semantic_core_peewee.sqlite import (
    DEFAULT_BUSY_TIMEOUT,
    backup,
    checkpoints,
    cpu_limiter,
    jobs,
    maintenance,
    matches,
    read,
    revisions,
    segments,
    text_segments,
    titles,
    write,
)
from semantic_core_peewee.sqlite.connection import (
    NETWORKED,
    OWN,
    Durability,
    Target,
    check_library,
    identity_of,
    kind_of,
    translated,
)
from semantic_core_peewee.sqlite.filters import Clause
from semantic_core_peewee.sqlite.job_store import SqliteJobLedger
from semantic_core_peewee.sqlite.migrations import newest
from semantic_core_peewee.sqlite.opening import prepare
from semantic_core_peewee.sqlite.pool import Pool, View, check_open
from semantic_core_peewee.sqlite.records import incoming
from semantic_core_peewee.sqlite.selective_scopes import scope_clause
from semantic_core_peewee.sqlite.text_conditions import met, with_words
from semantic_core_peewee.sqlite.text_merging import Merger
from semantic_core_peewee.sqlite.text_scopes import rows_in_scope
from semantic_core_peewee.sqlite.text_search import TextIndex
from semantic_core_peewee.sqlite.tuning import DEFAULT, Tuning
from semantic_core_peewee.sqlite.vector_rows import fill_waiting, known_blobs
from semantic_core_peewee.sqlite.vector_search import Behind, VectorIndex
from semantic_core_peewee.sqlite.vocabulary import ScopedWords

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser, Scores
    from semantic_core.query_syntax import TextConditions
    from semantic_core.types import Vector, Vectors

T = TypeVar("T")

MOST_WAIT = 86_400
"""Seconds."""
_ATTEMPTS = 3
"""How often a search may find that another thread is ahead of it, before it is answered the slow
way.
"""


class SqliteStore:
    """One file, any number of threads and processes. See `open_sqlite` for the options.

    A store object may be used by all threads of a process, and after a fork by the child as well.
    """

    def __init__(
        self,
        space: Space,
        path: str | os.PathLike[str] = INDEX_FILE,
        *,
        multi_tenant: bool | None = None,
        durability: Durability = "full",
        busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
        analyser: Analyser | None = None,
        tuning: Tuning = DEFAULT,
    ) -> None:
        if not isinstance(space, Space):
            raise ConfigError(
                f"space must be the Space of an embedder, got {type(space).__name__}."
            )
        if multi_tenant is not None and not isinstance(multi_tenant, bool):
            raise ConfigError(f"multi_tenant must be true, false or unset, got {multi_tenant!r}.")
        check_library()
        target = _target(path, durability, busy_timeout)
        self._target = attrs.evolve(target, tuning=tuning)
        self._space, self._multi_tenant = prepare(self._target, space, multi_tenant)
        self._target = attrs.evolve(self._target, identity=identity_of(self._target.path))
        self._begin(Pool(self._target), analyser)

    def _begin(self, pool: Pool, analyser: Analyser | None) -> None:
        """Set up what a store holds besides its target, space and tenancy."""
        dimensions = self._space.dimensions
        self._pool = pool
        self._ledger = SqliteJobLedger(pool, dimensions, self._multi_tenant)
        self._text = TextIndex(analyser or WordAnalyser(), self._target.tuning.text_memory)
        self._merger = Merger(pool)
        self._vectors = VectorIndex(dimensions, vector_memory(self._target.tuning))
        self._advances = Advances()

    @property
    def path(self) -> Path:
        """Where the file is; absolute."""
        return Path(self._target.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is the store's own, there or not. While it is open, a plain ``open()`` of
        one drops SQLite's locks.
        """
        return tuple(Path(self._target.path + suffix) for suffix in OWN)

    @property
    def space(self) -> Space:
        """The space of the stored vectors."""
        return self._space

    @property
    def multi_tenant(self) -> bool:
        """Whether every call names a tenant; a file stays what it was made as."""
        return self._multi_tenant

    @property
    def identity(self) -> str:
        """See `Checkpoints`. Read from the file each time: a restored one may have another."""
        return str(self._pool.read(checkpoints.get, checkpoints.IDENTITY))

    @property
    def location(self) -> str:
        """See `Checkpoints`: host and path of the file."""
        return checkpoints.location_of(self._target.path)

    def renew_identity(self) -> str:
        """See `Checkpoints.renew_identity`."""
        return self._pool.write(checkpoints.renew_identity)

    def checkpoints(self) -> Mapping[str, str]:
        """See `Checkpoints.checkpoints`."""
        return self._pool.read(checkpoints.every)

    def checkpoint(self, source: str) -> str | None:
        """See `Checkpoints.checkpoint`."""
        return self._pool.read(checkpoints.get, source)

    def update_checkpoint(
        self, source: str, change: Callable[[str | None], str | None]
    ) -> str | None:
        """See `Checkpoints.update_checkpoint`."""
        with errors_of_changes():
            return self._pool.write(checkpoints.update, source, change)

    def advancing(
        self, source: str, change: Callable[[str | None], str]
    ) -> AbstractContextManager[None]:
        """See `Checkpoints.advancing`."""
        return self._advances.within(source, change)

    def waiting_at_most(self, seconds: float) -> AbstractContextManager[None]:
        """See `Patient`: no longer than busy_timeout in any case."""
        return self._pool.waiting_at_most(seconds)

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        """See `Store.replace`. The batch is read to its end and checked before the file is locked.

        Chunks of a changed document that are the same as before keep their rows. Raises InputError
        (VectorInvalid), TenantRequired, TenantRefused, StoreError (StoreBusy, StoreFull,
        StoreReadOnly, StoreMisuse in a snapshot).
        """
        given = incoming(batch, self._space.dimensions, self._multi_tenant)
        marks = check_stamps(stamps)
        size = self._space.dimensions

        def work(view: View) -> list[tuple[Ref, Outcome]]:
            outcomes = write.replace(view, size, self._text.analyser, given, marks)
            checkpoints.advance(view, self._advances)
            return outcomes

        with errors_of_changes():
            return ReplaceReport(tuple(self._writing(work)))

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        """See `Store.remove`.

        Text, index entries and vectors are overwritten in the file; a stamp is remembered with a
        hash of its ref.
        """
        wanted = [check_ref(ref, self._multi_tenant) for ref in refs]
        marks = check_stamps(stamps)
        if not wanted and not self._advances.of_thread():
            self._pool.read(check_open)
            return 0

        def work(view: View) -> int:
            size = self._space.dimensions
            removed = write.remove(view, size, self._text.analyser, wanted, marks)
            checkpoints.advance(view, self._advances)
            return removed

        with errors_of_changes():
            return self._writing(work)

    def _writing(self, work: Callable[[View], T]) -> T:
        """What `work` returns, done in a write transaction; if it has written a segment of the
        full-text index, segments are merged where that is due.
        """
        sealed = False

        def noted(view: View) -> T:
            nonlocal sealed
            result = work(view)
            sealed = text_segments.SEALED in view.kept
            return result

        result = self._pool.write(noted)
        if sealed:
            self._merger.wake(inline=self._target.tuning.merge_inline)
        return result

    def known(self, fingerprints: Collection[str]) -> Mapping[str, Vector]:
        """See `Store.known`."""
        blobs = self._pool.read(known_blobs, fingerprints)
        return {fingerprint: from_blob(blob) for fingerprint, blob in blobs.items()}

    def pending(self, limit: int, after: int = -1) -> Sequence[PendingChunk]:
        """See `VectorQueue.pending`."""
        count = check_count("limit", limit)
        last = -1 if after == -1 else check_count("after", after)
        return self._pool.read(jobs.pending, count, last)

    def fill(self, vectors: Mapping[str, Vector]) -> int:
        """See `VectorQueue.fill`. Raises VectorInvalid before anything is written."""
        size = self._space.dimensions
        return self._pool.write(fill_waiting, size, stored_by_name(vectors, size))

    def bulk_update_vectors(self, vectors: Mapping[str, Vector]) -> int:
        """Store vectors by fingerprint, as `fill` does; return how many chunks got theirs."""
        return self.fill(vectors)

    # The members of `BatchQueue`.
    waiting = OfLedger(SqliteJobLedger.waiting)
    waiting_size = OfLedger(SqliteJobLedger.waiting_size)
    open_job = OfLedger(SqliteJobLedger.open_job)
    extend_job = OfLedger(SqliteJobLedger.extend_job)
    passages_of = OfLedger(SqliteJobLedger.passages_of)
    jobs = OfLedger(SqliteJobLedger.jobs)
    job = OfLedger(SqliteJobLedger.job)
    lease_job = OfLedger(SqliteJobLedger.lease_job)
    note_job = OfLedger(SqliteJobLedger.note_job)
    settle = OfLedger(SqliteJobLedger.settle)
    pay_job = OfLedger(SqliteJobLedger.pay_job)
    reopen_job = OfLedger(SqliteJobLedger.reopen_job)
    close_job = OfLedger(SqliteJobLedger.close_job)
    clean_job = OfLedger(SqliteJobLedger.clean_job)
    drop_job = OfLedger(SqliteJobLedger.drop_job)
    hold = OfLedger(SqliteJobLedger.hold)
    take = OfLedger(SqliteJobLedger.take)
    held = OfLedger(SqliteJobLedger.held)
    release = OfLedger(SqliteJobLedger.release)
    retry = OfLedger(SqliteJobLedger.retry)
    chunk_states = OfLedger(SqliteJobLedger.chunk_states)
    given_up = OfLedger(SqliteJobLedger.given_up)
    queue_stats = OfLedger(SqliteJobLedger.queue_stats)
    charge = OfLedger(SqliteJobLedger.charge)
    costs = OfLedger(SqliteJobLedger.costs)

    def nearest(self, vector: Vector, limit: int, scope: Scope) -> Ranking:
        """See `Store.nearest`. Exact; scores are float32 cosines. Raises VectorInvalid."""
        query = self._vectors.query(vector)
        most = check_count("limit", limit)
        self._built_for(scope)

        def work(view: View, patient: bool) -> Ranking:
            clause = self._clause(view, scope)
            return self._vectors.nearest(view, query, most, scope, clause, patient=patient)

        with cpu_limiter.turns.one(first=self._pool.sees_one_state):
            for _ in range(_ATTEMPTS):
                try:
                    return self._pool.read(work, self._pool.in_snapshot)
                except Behind:
                    continue
            return self._pool.read(work, True)

    def similarity(self, ids: Sequence[ChunkId], vector: Vector) -> Vector:
        """See `Store.similarity`. The same numbers `nearest` gives. Raises VectorInvalid."""
        query = self._vectors.query(vector)
        wanted = check_ids(ids, self._multi_tenant)
        return self._pool.read(self._vectors.similarity, wanted, query)

    def vectors(self, ids: Sequence[ChunkId]) -> Vectors:
        """See `ChunkVectors.vectors`. Within a snapshot, those that `nearest` compared are not read
        again.
        """
        wanted = check_ids(ids, self._multi_tenant)
        return self._pool.read(self._vectors.of, wanted)

    @property
    def text_analyser(self) -> str | None:
        """See `AnalysesText.text_analyser`."""
        return self._pool.read(text_segments.state_of).analyser or None

    def use_analyser(self, analyser: Analyser) -> None:
        """See `AnalysesText.use_analyser`. A file of an earlier release gets its index now."""
        text_segments.check_analyser(self._pool.read(text_segments.state_of), analyser)
        self._text.analyser = analyser
        self._built()

    def reanalyse(self, analyser: Analyser) -> None:
        """See `AnalysesText.reanalyse`. Needs the write lock for as long as it takes: about a
        second for 50,000 passages.
        """

        def work(view: View) -> None:
            text_segments.rebuild(view, analyser)

        self._writing(work)
        self._text.analyser = analyser

    @property
    def _index(self) -> TextIndex:
        """The full-text index, for reading."""
        return self._text

    def _built(self) -> None:
        """Make the full-text index if there is none yet: in a file of an earlier release."""
        if not self._pool.read(self._index.is_built):
            self.reanalyse(self._text.analyser)

    def _built_for(self, scope: Scope) -> None:
        """The same, if it is needed for the conditions of a scope."""
        if isinstance(scope, Scope) and scope.text:
            self._built()

    def _search_text(self, work: Callable[[View], T]) -> T:
        """What `work` makes of one state with a full-text index; see `_built`."""

        def checked(view: View) -> tuple[T] | None:
            return (work(view),) if self._index.is_built(view) else None

        found = self._pool.search(checked)
        if found is None:
            self.reanalyse(self._text.analyser)
            return self._pool.search(work)
        return found[0]

    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TextSearch.words`. BM25 with the numbers of FTS5, over the terms of the analyser.

        The first 2,000 characters and, of these, the 32 rarest words are looked for; a repeated
        word counts up to three times. In a store of more than 10,000 chunks, words in more than
        half of them are looked for only if there are no others, and then the four rarest. Equal
        scores by ChunkId, a thousand at a time: of more, those written first stand before the
        others. Raises QueryTooLarge above 100,000 characters; AnalyserMismatch.
        """
        most = check_count("limit", limit)

        def work(view: View) -> Ranking:
            return self._index.words(view, text, most, scope, self._clause(view, scope))

        return self._search_text(work)

    def score(self, ids: Sequence[ChunkId], text: str) -> Scores:
        """See `TextScores.score`. The same numbers `words` gives, up to rounding."""
        wanted = check_ids(ids, self._multi_tenant)
        return self._search_text(lambda view: self._index.score(view, wanted, text))

    def full_score(self, text: str, tenant: str = "") -> float:
        """See `TextScale.full_score`. Of the words that `words` looks for."""
        check_tenant(tenant, self._multi_tenant)
        return self._search_text(lambda view: self._index.full_score(view, text))

    def titled(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TitleSearch.titled`.

        Accents are ignored; a text of more than 2,000 characters is no title. Where more than 2,000
        documents may be called so, those with the shortest titles are looked at.
        """
        most = check_count("limit", limit)

        def work(view: View) -> Ranking:
            clause = self._clause(view, scope)
            return titles.titled(view, text, most, clause, scope.tenant)

        return self._search_text(work)

    def meeting(self, refs: Collection[Ref], conditions: TextConditions) -> frozenset[Ref]:
        """See `TextFilter.meeting`."""
        wanted = [check_ref(ref, self._multi_tenant) for ref in refs]
        return self._search_text(lambda view: met(view, wanted, conditions, self._index))

    def word_counts(self, words: Collection[str], scope: Scope) -> Mapping[str, int]:
        """See `Vocabulary.word_counts`: exact numbers of passages."""
        return self._in_words(scope, lambda known: known.counts(words))

    def words_like(self, beginning: str, limit: int, scope: Scope) -> Sequence[tuple[str, int]]:
        """See `Vocabulary.words_like`. Where not all documents are in scope, the 2,000 most
        frequent words of the store that begin so are looked for.
        """
        most = check_count("limit", limit)
        return self._in_words(scope, lambda known: known.like(beginning, most))

    def words_near(
        self, word: str, distance: int, limit: int, scope: Scope
    ) -> Sequence[tuple[str, int]]:
        """See `Vocabulary.words_near`. A word of more than 64 letters has none."""
        most = check_count("limit", limit)
        return self._in_words(scope, lambda known: known.near(word, distance, most))

    def _in_words(self, scope: Scope, ask: Callable[[ScopedWords], T]) -> T:
        """What is asked of the words in a scope."""

        def work(view: View) -> T:
            version = self._index.version(view)
            marks = rows_in_scope(view, version, scope, self._clause(view, scope))
            return ask(ScopedWords(view, self._index, version, marks))

        return self._search_text(work)

    def count(self, text: str, scope: Scope) -> int:
        """See `TextCounts.count`. The words that are looked for are those of `words`."""
        return self._matched(text, scope, lambda view, documents: len(documents))

    def facets(
        self, text: str | None, scope: Scope, fields: Mapping[str, int]
    ) -> Mapping[str, Sequence[FacetCount]]:
        """See `Facets.facets`."""
        wanted = {field: check_count("limit", limit) for field, limit in fields.items()}
        return self._matched(
            text, scope, lambda view, documents: matches.facets(view, documents, wanted)
        )

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
        order = partial(
            matches.ordered,
            field=field,
            descending=descending,
            limit=check_count("limit", limit),
            offset=check_count("offset", offset),
        )
        return self._matched(text, scope, order)

    def _matched(
        self, text: str | None, scope: Scope, work: Callable[[View, NDArray[np.int64]], T]
    ) -> T:
        """What `work` makes of the documents in scope that contain a word of the text."""

        def on_documents(view: View) -> T:
            clause = self._clause(view, scope)
            return work(view, matches.holding(view, self._index, text, scope, clause))

        return self._search_text(on_documents)

    def fetch(self, ids: Sequence[ChunkId]) -> list[StoredChunk]:
        """See `Store.fetch`."""
        wanted = check_ids(ids, self._multi_tenant)
        return self._pool.read(read.fetch, wanted)

    def get(self, ref: Ref) -> Document | None:
        """See `Store.get`."""
        wanted = check_ref(ref, self._multi_tenant)
        return self._pool.read(read.get, wanted)

    def documents(self, scope: Scope, offset: int = 0, limit: int = 100) -> Page:
        """See `Store.documents`. Order is by code point."""
        first = check_count("offset", offset)
        most = check_count("limit", limit)
        self._built_for(scope)

        def work(view: View) -> Page:
            return read.documents(view, self._clause(view, scope), first, most)

        return self._pool.read(work)

    def stats(self, tenant: str | None = None) -> StoreStats:
        """See `Store.stats`. collections: documents in each. bytes: of the file and its log.

        details: path, file_bytes, wal_bytes, page_size, journal_mode, durability, file_system,
        sqlite, sqlite_vec, schema, matrix_bytes, words_bytes (of quantized vectors and of posting
        lists in this process's memory).
        """
        asked = None if tenant is None else check_tenant(tenant, self._multi_tenant)
        return self._pool.read(self._stats, asked)

    def revision(self, tenant: str | None = None) -> str:
        """See `Store.revision`. One small read of the file."""
        asked = revisions.WHOLE_STORE
        if tenant is not None:
            asked = check_tenant(tenant, self._multi_tenant)
        return self._pool.read(revisions.get, asked)

    def snapshot(self) -> AbstractContextManager[None]:
        """See `Store.snapshot`. Writers go on; writing from within it raises StoreMisuse.

        Do not keep it open for long: the write-ahead log cannot be emptied meanwhile.
        """
        return self._pool.snapshot()

    def close(self) -> None:
        """See `Store.close`.

        Moves the write-ahead log into the file; a thread still at work ends on its own.
        """
        self._merger.close()
        self._pool.close()
        self._vectors.forget()
        self._text.forget()

    def check(self) -> list[str]:
        """What is wrong with the file, a line each; [] if it is sound. Reads everything.

        Compares SQLite's own structure, the values for filters, the codes of vectors, the full-text
        index, and the checksum of every text and vector, while others write. What looks damaged is
        read again through new connections.
        """
        if not self._problems():
            return []
        self._pool.renew()
        return self._problems()

    def _problems(self) -> list[str]:
        size = self._space.dimensions
        try:
            return self._pool.read(maintenance.problems, size, self._text.analyser)
        except StoreCorrupt as error:
            return [error.message]

    def notes(self) -> list[str]:
        """What an operator should know though nothing is wrong, each in a line;
        [] if there is nothing.
        """
        self._pool.read(check_open)
        kind = kind_of(self._target.path)
        if kind not in NETWORKED:
            return []
        return [
            (
                f"the file is on a network file system ({kind}): used from two machines it is "
                "lost; put it on a local disk"
            )
        ]

    def repair(self) -> list[str]:
        """Rebuild what is derived (full-text index, filters, vector index) and check again; return
        what is still wrong, [] if nothing is.

        Documents, passages and vectors are only read, no embedder is asked. Needs the write lock
        for as long as it takes.
        """
        size = self._space.dimensions
        self._pool.write(maintenance.rebuild, size, self._text.analyser)
        self._vectors.forget()
        self._text.forget()
        return self.check()

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the whole store as it is now into a new file; until it is whole, it is called
        PATH.part.

        Raises InputError if that is there already, StoreError.
        """
        into = os.path.abspath(os.fspath(path))
        self._pool.read(backup.back_up, into)

    def put_in_place(self, path: str | os.PathLike[str]) -> None:
        """Put a copy of this store where another one was; what that one held is gone, its log too.

        Raises StoreBusy if a process has it open, StoreForeign if it is not ours, InputError if it
        is this one, StoreError.
        """
        target = _target(path, "full", DEFAULT_BUSY_TIMEOUT)
        self._pool.read(backup.put_in_place, target)

    def compact(self) -> None:
        """Give free space back and leave no trace of what was removed, the log included. Only that
        something was removed with a stamp stays known: by a fingerprint of its address, which
        cannot be read, so that an older change does not bring it back.

        Needs room for a second copy.
        """
        self._pool.write(segments.close_gaps, self._space.dimensions)
        self._pool.write(text_segments.rebuild, self._text.analyser)
        with self._pool.writer() as connection, translated(self._target.path):
            writing = connection()
            writing.check_place()
            maintenance.compact(writing.raw)

    def _clause(self, view: View, scope: Scope) -> Clause:
        if not isinstance(scope, Scope):
            raise InputError(f"scope must be a Scope, got {type(scope).__name__}.")
        check_tenant(scope.tenant, self._multi_tenant)
        clause = scope_clause(view, scope)
        return with_words(view, clause, scope.text, self._index) if scope.text else clause

    def _stats(self, view: View, tenant: str | None) -> StoreStats:
        counts = read.counts(view, tenant)
        file_bytes = _size(self._target.path)
        log_bytes = _size(f"{self._target.path}-wal")
        details: dict[str, Any] = {
            "path": self._target.path,
            "file_bytes": file_bytes,
            "wal_bytes": log_bytes,
            "page_size": view.raw.pragma("page_size"),
            "journal_mode": view.raw.pragma("journal_mode"),
            "durability": self._target.durability,
            "file_system": kind_of(self._target.path) or "unknown",
            "sqlite": apsw.sqlite_lib_version(),
            "sqlite_vec": view.raw.execute("select vec_version()").get,
            "schema": read.schema_version(view),
            "matrix_bytes": self._vectors.memory,
            "words_bytes": self._text.memory,
        }
        return StoreStats(
            documents=sum(counts.collections.values()),
            chunks=counts.chunks,
            pending=counts.pending,
            collections=counts.collections,
            space=self._space,
            multi_tenant=self._multi_tenant,
            bytes=file_bytes + log_bytes,
            details=details,
        )


def ensure_schema_compatibility(path: str | os.PathLike[str]) -> int:
    """Bring the schema of an existing store up to this release, if it is older;
    the version it has then.

    Opening a store does the same. Raises StoreVersion if it is newer, StoreForeign if it is no
    store of ours, StoreUnavailable if there is none, StoreReadOnly if it is older and cannot be
    written.
    """
    check_library()
    prepare(_target(path, "full", DEFAULT_BUSY_TIMEOUT), None, None)
    return newest()


def _target(path: object, durability: object, busy_timeout: object) -> Target:
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"path must be a str or a Path, got {type(path).__name__}.")
    spelled = os.fsdecode(path)
    if not spelled or spelled.startswith((":memory:", "file:")) or "\0" in spelled:
        hint = 'store="memory" keeps everything in memory.' if "memory" in spelled else ""
        raise ConfigError(f"path must lead to a file, got {spelled!r}.", hint=hint)
    if durability not in ("full", "normal"):
        raise ConfigError(f'durability must be "full" or "normal", got {durability!r}.')
    if (
        isinstance(busy_timeout, bool)
        or not isinstance(busy_timeout, int | float)
        or not 0 <= busy_timeout <= MOST_WAIT
    ):
        raise ConfigError(
            f"busy_timeout must be a number of seconds from 0 to {MOST_WAIT:,}, got "
            f"{busy_timeout!r}."
        )
    return Target(os.path.realpath(spelled), durability, float(busy_timeout))


def vector_memory(tuning: Tuning) -> int:
    """Bytes of quantized vectors a store may hold in memory: half of what the machine has."""
    if tuning.vector_memory is not None:
        return tuning.vector_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # not every system has it
        return 2 * 1024**3


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
