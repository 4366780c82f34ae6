"""PostgresStore: documents, a full-text index and vectors in a schema of a PostgreSQL database.

It is a `Store` with `TextSearch`, `TextScores`, `TextCounts`, `Facets`, `FieldOrder`,
`TitleSearch`, `TextFilter`, `Vocabulary`, `VectorQueue` and `Checkpoints`; its job ledger makes it
a `BatchQueue`.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from semantic_core.analysis import WordAnalyser
from semantic_core.errors import ConfigError, InputError
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
from semantic_core_postgres import (
    DEFAULT_PARTITIONS,
    DEFAULT_POOL,
    DEFAULT_SCHEMA,
    DEFAULT_TIMEOUT,
    checkpoints,
    jobs,
    matches,
    read,
    text_index,
    titles,
    totals,
    write,
)
from semantic_core_postgres.errors import translated
from semantic_core_postgres.filters import Clause, compile_scope
from semantic_core_postgres.job_store import PostgresJobLedger
from semantic_core_postgres.migrations import version_of
from semantic_core_postgres.opening import check_schema, find_extension, prepare
from semantic_core_postgres.pool import Statements, Transactions, View
from semantic_core_postgres.records import incoming
from semantic_core_postgres.text_conditions import met, with_words
from semantic_core_postgres.text_search import TextIndex
from semantic_core_postgres.texts import decoded, encoded
from semantic_core_postgres.vector_search import EFFORTS, VectorSearch
from semantic_core_postgres.vocabulary import ScopedWords

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser, Scores
    from semantic_core.query_syntax import TextConditions
    from semantic_core.types import Vector, Vectors

T = TypeVar("T")

MOST_PARTITIONS = 1_024
RecallTarget = Literal["usual", "high", "exact"]


class PostgresStore:
    """One schema, any number of threads, processes and hosts. See `open_postgres` for the options.

    A store object may be used by all threads of a process, and after a fork by the child as well.
    """

    def __init__(
        self,
        space: Space,
        dsn: str = "",
        *,
        schema: str = DEFAULT_SCHEMA,
        multi_tenant: bool | None = None,
        recall_target: RecallTarget = "usual",
        pool_size: int = DEFAULT_POOL,
        timeout: float = DEFAULT_TIMEOUT,
        partitions: int = DEFAULT_PARTITIONS,
        analyser: Analyser | None = None,
    ) -> None:
        if not isinstance(space, Space):
            raise ConfigError(
                f"space must be the Space of an embedder, got {type(space).__name__}."
            )
        if multi_tenant is not None and not isinstance(multi_tenant, bool):
            raise ConfigError(f"multi_tenant must be true, false or unset, got {multi_tenant!r}.")
        if recall_target not in EFFORTS:
            raise ConfigError(f"recall_target must be {', '.join(EFFORTS)}, got {recall_target!r}.")
        if not isinstance(pool_size, int) or isinstance(pool_size, bool) or pool_size < 1:
            raise ConfigError(f"pool_size must be a whole number from 1, got {pool_size!r}.")
        if not isinstance(timeout, int | float) or isinstance(timeout, bool) or timeout <= 0:
            raise ConfigError(f"timeout must be a number of seconds above 0, got {timeout!r}.")
        if not isinstance(partitions, int) or not 1 <= partitions <= MOST_PARTITIONS:
            raise ConfigError(
                f"partitions must be a whole number from 1 to {MOST_PARTITIONS:,}, got "
                f"{partitions!r}."
            )
        self._schema = check_schema(schema)
        make_pool = partial(_pool, dsn, pool_size, float(timeout))
        self._transactions = Transactions(make_pool, Statements(self._schema, "public"))
        try:
            extension = self._transactions.write(find_extension)
            self._transactions.bind(Statements(self._schema, extension))
            self._space, self._multi_tenant = prepare(
                self._transactions, space, multi_tenant, partitions
            )
        except BaseException:
            self._transactions.close()
            raise
        dimensions = self._space.dimensions
        self._ledger = PostgresJobLedger(self._transactions, dimensions, self._multi_tenant)
        self._text = TextIndex(analyser or WordAnalyser())
        self._vectors = VectorSearch(dimensions, EFFORTS[recall_target])
        self._advances = Advances()

    @property
    def space(self) -> Space:
        """The space of the stored vectors."""
        return self._space

    @property
    def multi_tenant(self) -> bool:
        """Whether every call names a tenant; an index stays what it was made as."""
        return self._multi_tenant

    @property
    def identity(self) -> str:
        """See `Checkpoints`. Read each time: a restored database may have another."""
        return str(self._transactions.read(checkpoints.get, checkpoints.IDENTITY))

    @property
    def location(self) -> str:
        """See `Checkpoints`: host, port, database and schema."""
        return self._transactions.read(_location)

    def renew_identity(self) -> str:
        """See `Checkpoints.renew_identity`."""
        return self._transactions.write(checkpoints.renew_identity)

    def checkpoints(self) -> Mapping[str, str]:
        """See `Checkpoints.checkpoints`."""
        return self._transactions.read(checkpoints.every)

    def checkpoint(self, source: str) -> str | None:
        """See `Checkpoints.checkpoint`."""
        return self._transactions.read(checkpoints.get, source)

    def update_checkpoint(
        self, source: str, change: Callable[[str | None], str | None]
    ) -> str | None:
        """See `Checkpoints.update_checkpoint`."""
        with errors_of_changes():
            return self._transactions.write(checkpoints.update, source, change)

    def advancing(
        self, source: str, change: Callable[[str | None], str]
    ) -> AbstractContextManager[None]:
        """See `Checkpoints.advancing`."""
        return self._advances.within(source, change)

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        """See `Store.replace`. The batch is read to its end and checked before anything is locked.

        Chunks of a changed document that are the same as before keep their rows. Raises InputError
        (VectorInvalid), TenantRequired, TenantRefused, StoreError (StoreBusy, StoreFull,
        StoreReadOnly, StoreMisuse in a snapshot).
        """
        given = incoming(batch, self._space.dimensions, self._multi_tenant)
        marks = check_stamps(stamps)

        def work(view: View) -> list[tuple[Ref, Outcome]]:
            outcomes = write.replace(view, self._text.analyser, given, marks)
            checkpoints.advance(view, self._advances)
            return outcomes

        with errors_of_changes():
            return ReplaceReport(tuple(self._transactions.write(work)))

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        """See `Store.remove`. With a stamp, a hash of the ref of a removed document stays."""
        wanted = [check_ref(ref, self._multi_tenant) for ref in refs]
        marks = check_stamps(stamps)
        if not wanted and not self._advances.of_thread():
            self._transactions.check_open()
            return 0

        def work(view: View) -> int:
            removed = write.remove(view, self._text.analyser, wanted, marks)
            checkpoints.advance(view, self._advances)
            return removed

        with errors_of_changes():
            return self._transactions.write(work)

    def known(self, fingerprints: Collection[str]) -> Mapping[str, Vector]:
        """See `Store.known`."""
        asked = {encoded(fingerprint) for fingerprint in fingerprints}
        found = self._transactions.read(write.known_vectors, asked)
        return {decoded(name): from_blob(blob) for name, blob in found.items()}

    def pending(self, limit: int, after: int = -1) -> Sequence[PendingChunk]:
        """See `VectorQueue.pending`."""
        count = check_count("limit", limit)
        last = -1 if after == -1 else check_count("after", after)
        return self._transactions.read(jobs.pending, count, last)

    def fill(self, vectors: Mapping[str, Vector]) -> int:
        """See `VectorQueue.fill`. Raises VectorInvalid before anything is written."""
        blobs = stored_by_name(vectors, self._space.dimensions)
        spelled = {encoded(name): blob for name, blob in blobs.items()}
        return self._transactions.write(write.fill_waiting, spelled)

    # The members of `BatchQueue`.
    waiting = OfLedger(PostgresJobLedger.waiting)
    waiting_size = OfLedger(PostgresJobLedger.waiting_size)
    open_job = OfLedger(PostgresJobLedger.open_job)
    extend_job = OfLedger(PostgresJobLedger.extend_job)
    passages_of = OfLedger(PostgresJobLedger.passages_of)
    jobs = OfLedger(PostgresJobLedger.jobs)
    job = OfLedger(PostgresJobLedger.job)
    lease_job = OfLedger(PostgresJobLedger.lease_job)
    note_job = OfLedger(PostgresJobLedger.note_job)
    settle = OfLedger(PostgresJobLedger.settle)
    pay_job = OfLedger(PostgresJobLedger.pay_job)
    reopen_job = OfLedger(PostgresJobLedger.reopen_job)
    close_job = OfLedger(PostgresJobLedger.close_job)
    clean_job = OfLedger(PostgresJobLedger.clean_job)
    drop_job = OfLedger(PostgresJobLedger.drop_job)
    hold = OfLedger(PostgresJobLedger.hold)
    take = OfLedger(PostgresJobLedger.take)
    held = OfLedger(PostgresJobLedger.held)
    release = OfLedger(PostgresJobLedger.release)
    retry = OfLedger(PostgresJobLedger.retry)
    chunk_states = OfLedger(PostgresJobLedger.chunk_states)
    given_up = OfLedger(PostgresJobLedger.given_up)
    queue_stats = OfLedger(PostgresJobLedger.queue_stats)
    charge = OfLedger(PostgresJobLedger.charge)
    costs = OfLedger(PostgresJobLedger.costs)

    def nearest(self, vector: Vector, limit: int, scope: Scope) -> Ranking:
        """See `Store.nearest`. Scores are float32 cosines, computed from the stored vectors.

        Exact where the scope has at most 5,000 chunks, and with recall_target "exact"; else by the
        index of pgvector. Raises VectorInvalid.
        """
        query = self._vectors.query(vector)
        most = check_count("limit", limit)

        def work(view: View) -> Ranking:
            return self._vectors.nearest(view, query, most, self._clause(view, scope))

        return self._transactions.read(work)

    def similarity(self, ids: Sequence[ChunkId], vector: Vector) -> Vector:
        """See `Store.similarity`. The same numbers `nearest` gives. Raises VectorInvalid."""
        query = self._vectors.query(vector)
        wanted = check_ids(ids, self._multi_tenant)
        return self._transactions.read(self._vectors.similarity, wanted, query)

    def vectors(self, ids: Sequence[ChunkId]) -> Vectors:
        """See `ChunkVectors.vectors`."""
        return self._transactions.read(self._vectors.of, check_ids(ids, self._multi_tenant))

    @property
    def text_analyser(self) -> str | None:
        """See `AnalysesText.text_analyser`."""
        return self._transactions.read(text_index.analyser_of)

    def use_analyser(self, analyser: Analyser) -> None:
        """See `AnalysesText.use_analyser`."""
        self._transactions.read(text_index.check_analyser, analyser)
        self._text.analyser = analyser

    def reanalyse(self, analyser: Analyser) -> None:
        """See `AnalysesText.reanalyse`. Nobody writes documents as long as it takes."""
        self._transactions.write(text_index.rebuild, analyser)
        self._text.analyser = analyser

    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TextSearch.words`. BM25 with the numbers of SQLite's FTS5, over the terms of the
        analyser.

        The first 2,000 characters and, of these, the 32 rarest words are looked for; a repeated
        word counts up to three times. Raises QueryTooLarge above 100,000 characters;
        AnalyserMismatch.
        """
        most = check_count("limit", limit)

        def work(view: View) -> Ranking:
            return self._text.words(view, text, most, self._clause(view, scope))

        return self._transactions.read(work)

    def score(self, ids: Sequence[ChunkId], text: str) -> Scores:
        """See `TextScores.score`. The same numbers `words` gives."""
        return self._transactions.read(self._text.score, check_ids(ids, self._multi_tenant), text)

    def full_score(self, text: str, tenant: str = "") -> float:
        """See `TextScale.full_score`. Of the words that `words` looks for."""
        mine = encoded(check_tenant(tenant, self._multi_tenant))
        return self._transactions.read(self._text.full_score, text, mine)

    def titled(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `TitleSearch.titled`. A text of more than 2,000 characters is no title."""
        most = check_count("limit", limit)

        def work(view: View) -> Ranking:
            return titles.titled(view, text, most, self._clause(view, scope))

        return self._transactions.read(work)

    def meeting(self, refs: Collection[Ref], conditions: TextConditions) -> frozenset[Ref]:
        """See `TextFilter.meeting`."""
        wanted = [check_ref(ref, self._multi_tenant) for ref in refs]
        return self._transactions.read(met, wanted, conditions, self._text)

    def word_counts(self, words: Collection[str], scope: Scope) -> Mapping[str, int]:
        """See `Vocabulary.word_counts`."""
        return self._in_words(scope, lambda known: known.counts(words))

    def words_like(self, beginning: str, limit: int, scope: Scope) -> Sequence[tuple[str, int]]:
        """See `Vocabulary.words_like`."""
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
            return ask(ScopedWords(view, self._text, self._clause(view, scope)))

        return self._transactions.read(work)

    def count(self, text: str, scope: Scope) -> int:
        """See `TextCounts.count`. The words that are looked for are those of `words`."""
        return self._matched(text, scope, lambda view, documents: len(documents))

    def facets(
        self, text: str | None, scope: Scope, fields: Mapping[str, int]
    ) -> Mapping[str, Sequence[FacetCount]]:
        """See `Facets.facets`."""
        wanted = {field: check_count("limit", limit) for field, limit in fields.items()}

        def work(view: View, documents: list[int]) -> Mapping[str, Sequence[FacetCount]]:
            return matches.facets(view, encoded(scope.tenant), documents, wanted)

        return self._matched(text, scope, work)

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
        most = check_count("limit", limit)
        first = check_count("offset", offset)

        def work(view: View, documents: list[int]) -> Sequence[Ref]:
            return matches.ordered(
                view,
                encoded(scope.tenant),
                documents,
                field=field,
                descending=descending,
                limit=most,
                offset=first,
            )

        return self._matched(text, scope, work)

    def _matched(self, text: str | None, scope: Scope, work: Callable[[View, list[int]], T]) -> T:
        """What `work` makes of the documents in scope that contain a word of the text."""

        def on_documents(view: View) -> T:
            clause = self._clause(view, scope)
            return work(view, matches.holding(view, self._text, text, clause))

        return self._transactions.read(on_documents)

    def fetch(self, ids: Sequence[ChunkId]) -> list[StoredChunk]:
        """See `Store.fetch`."""
        return self._transactions.read(read.fetch, check_ids(ids, self._multi_tenant))

    def get(self, ref: Ref) -> Document | None:
        """See `Store.get`."""
        return self._transactions.read(read.get, check_ref(ref, self._multi_tenant))

    def documents(self, scope: Scope, offset: int = 0, limit: int = 100) -> Page:
        """See `Store.documents`. Order is by code point."""
        first = check_count("offset", offset)
        most = check_count("limit", limit)

        def work(view: View) -> Page:
            return read.documents(view, self._clause(view, scope), first, most)

        return self._transactions.read(work)

    def stats(self, tenant: str | None = None) -> StoreStats:
        """See `Store.stats`. bytes: of the tables and indexes of the whole schema.

        details: schema, server, pgvector, version, replica, lag_seconds.
        """
        asked = None if tenant is None else check_tenant(tenant, self._multi_tenant)
        return self._transactions.read(self._stats, asked)

    def revision(self, tenant: str | None = None) -> str:
        """See `Store.revision`. One small query."""
        asked = totals.WHOLE_STORE
        if tenant is not None:
            asked = encoded(check_tenant(tenant, self._multi_tenant))
        return self._transactions.read(totals.revision, asked)

    def snapshot(self) -> AbstractContextManager[None]:
        """See `Store.snapshot`. Writers go on; writing from within it raises StoreMisuse."""
        return self._transactions.snapshot()

    def close(self) -> None:
        """See `Store.close`."""
        self._transactions.close()

    def _clause(self, view: View, scope: Scope) -> Clause:
        if not isinstance(scope, Scope):
            raise InputError(f"scope must be a Scope, got {type(scope).__name__}.")
        check_tenant(scope.tenant, self._multi_tenant)
        clause = compile_scope(scope)
        return with_words(view, clause, scope.text, self._text) if scope.text else clause

    def _stats(self, view: View, tenant: str | None) -> StoreStats:
        counts = read.counts(view, tenant)
        is_replica, lag = view.row(
            """select pg_is_in_recovery(),
                extract(epoch from now() - pg_last_xact_replay_timestamp())"""
        ) or (False, None)
        details: dict[str, Any] = {
            "schema": self._schema,
            "server": view.value("show server_version"),
            "pgvector": view.value("select extversion from pg_extension where extname = 'vector'"),
            "version": version_of(view),
            "replica": bool(is_replica),
            "lag_seconds": float(lag or 0.0) if is_replica else 0.0,
        }
        size = view.value(
            """select coalesce(sum(pg_total_relation_size(c.oid)), 0)
                from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
                where n.nspname = %s and c.relkind = 'r'""",
            (self._schema,),
        )
        return StoreStats(
            documents=sum(counts.collections.values()),
            chunks=counts.chunks,
            pending=counts.pending,
            collections=counts.collections,
            space=self._space,
            multi_tenant=self._multi_tenant,
            bytes=int(size),
            details=details,
        )


def _pool(dsn: str, size: int, timeout: float) -> ConnectionPool[Any]:
    """Connections to the server. Statements are not prepared: a plan that was made for one scope
    would be kept for others. Raises ConfigError, StoreUnavailable.
    """
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Without its cause, which quotes the text, with the password in it.
        raise ConfigError(
            "dsn is no address of a PostgreSQL database.",
            hint="Write postgresql://user@host:5432/database, or leave it out.",
        ) from None
    wait = int(timeout * 1_000)
    options = f"-c lock_timeout={wait} -c application_name=semantic-core"
    arguments = {"autocommit": True, "prepare_threshold": None, "options": options}
    with translated():
        psycopg.connect(dsn, connect_timeout=max(2, int(timeout))).close()
        return ConnectionPool(
            dsn, kwargs=arguments, min_size=0, max_size=size, timeout=timeout, open=True
        )


def _location(view: View) -> str:
    info = view.raw.info
    where = info.hostaddr or info.host
    return f"{where}:{info.port}/{info.dbname}/{view.statements.schema}"
