"""PostgresJobLedger: the members of `BatchQueue`, each a transaction with a function of `jobs`.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from semantic_core.batch import (
    BatchJob,
    ChunkStatus,
    Cost,
    Held,
    JobStatus,
    QueueStats,
    Rate,
    Rest,
)
from semantic_core.errors import StoreMisuse
from semantic_core.storage import check_ids, check_tenant, stored_by_name
from semantic_core.types import ChunkId, Failure
from semantic_core_postgres import jobs, read
from semantic_core_postgres.pool import Transactions, View

if TYPE_CHECKING:
    from semantic_core.types import Vector


P = ParamSpec("P")
T = TypeVar("T")
Q = ParamSpec("Q")
R = TypeVar("R")


class PostgresJobLedger:
    """The batch jobs of one store, in the same schema as its documents.

    Each method is one transaction; `BatchQueue` says what it must do.
    """

    def __init__(self, transactions: Transactions, dimensions: int, multi_tenant: bool) -> None:
        self._transactions = transactions
        self._dimensions = dimensions
        self._multi_tenant = multi_tenant

    def _write(self, work: Callable[Concatenate[View, Q], R], *args: Q.args, **more: Q.kwargs) -> R:
        """What `work` returns, in a transaction that nobody else writes the ledger beside."""

        def locked(view: View) -> R:
            jobs.lock(view)
            return work(view, *args, **more)

        return self._transactions.write(locked)

    def waiting(self, limit: int, now: float, *, except_collections: Collection[str] = ()) -> int:
        """See `BatchQueue.waiting`."""
        return self._transactions.read(jobs.count_waiting, limit, now, except_collections)

    def waiting_size(self) -> tuple[int, int]:
        """See `BatchQueue.waiting_size`."""
        return self._transactions.read(jobs.waiting_size)

    def open_job(
        self, job: BatchJob, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.open_job`."""
        return self._write(jobs.open_job, job, limit, except_collections)

    def extend_job(
        self, job: str, limit: int, *, except_collections: Collection[str] = ()
    ) -> BatchJob | None:
        """See `BatchQueue.extend_job`."""
        return self._write(jobs.extend_job, job, limit, except_collections)

    def passages_of(
        self, job: str, after: int = -1, limit: int = 1_000
    ) -> Sequence[tuple[int, str, str]]:
        """See `BatchQueue.passages_of`."""
        return self._transactions.read(jobs.page_of, job, after, limit)

    def jobs(
        self,
        statuses: Collection[JobStatus] | None = None,
        *,
        limit: int = 100,
        cleaned: bool | None = None,
    ) -> Sequence[BatchJob]:
        """See `BatchQueue.jobs`."""
        return self._transactions.read(jobs.jobs, statuses, limit, cleaned)

    def job(self, id: str) -> BatchJob | None:
        """See `BatchQueue.job`."""
        return self._transactions.read(jobs.job_of, id)

    def lease_job(self, job: str, owner: str, now: float, until: float) -> bool:
        """See `BatchQueue.lease_job`."""
        return self._write(jobs.lease, job, owner, now, until)

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
        """See `BatchQueue.note_job`."""
        fields: dict[str, Any] = {
            "status": status,
            "provider_job": provider_job,
            "tokens": tokens,
            "tries": tries,
            "error": error,
            "answered_at": answered_at,
            "cancelled_at": cancelled_at,
            "leased_until": leased_until,
            "account": account,
        }
        return self._write(jobs.note, job, now, fields)

    def settle(
        self,
        job: str,
        vectors: Mapping[str, Vector],
        failures: Mapping[str, str],
        rate: Rate | None,
        now: float,
        tokens: Mapping[str, int] = {},
    ) -> int:
        """See `BatchQueue.settle`. Raises VectorInvalid before anything is written."""
        given = stored_by_name(vectors, self._dimensions)
        if job.startswith("-"):
            _token(job)
        return self._write(jobs.settle, job, given, failures, rate, now, tokens)

    def pay_job(self, job: str, rate: Rate, passages: int, tokens: int) -> None:
        """See `BatchQueue.pay_job`."""
        self._write(jobs.pay, job, rate, passages, tokens)

    def reopen_job(
        self, job: str, now: float, rate: Rate | None, passages: int, tokens: int
    ) -> bool:
        """See `BatchQueue.reopen_job`."""

        def work(view: View) -> bool:
            reopened = jobs.reopen(view, job, now)
            if reopened and rate is not None:
                jobs.pay(view, job, rate, passages, tokens)
            return reopened

        return self._write(work)

    def close_job(
        self, job: str, status: JobStatus, now: float, *, error: str, rest: Rest, attempts: int
    ) -> bool:
        """See `BatchQueue.close_job`."""
        return self._write(jobs.close, job, status, now, error, rest, attempts)

    def clean_job(self, job: str, now: float) -> None:
        """See `BatchQueue.clean_job`."""
        self._write(jobs.clean, job, now)

    def drop_job(self, job: str) -> bool:
        """See `BatchQueue.drop_job`."""
        return self._write(jobs.drop, job)

    def hold(
        self, fingerprints: Collection[str], now: float, until: float, token: str = ""
    ) -> tuple[str, frozenset[str]]:
        """See `BatchQueue.hold`."""
        names = frozenset(fingerprints)
        return self._write(jobs.hold, names, now, until, _token(token))

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
        return self._write(jobs.take, limit, now, until, from_jobs, collections)

    def held(self, holder: str, fingerprints: Collection[str]) -> frozenset[str]:
        """See `BatchQueue.held`."""
        asked = _token(holder) if holder.startswith("-") else holder
        return frozenset(self._transactions.read(jobs.held_by, asked, fingerprints))

    def release(self, token: str) -> None:
        """See `BatchQueue.release`."""
        self._write(jobs.release, _token(token))

    def retry(self, job: str | None = None) -> int:
        """See `BatchQueue.retry`."""
        return self._write(jobs.retry, job)

    def chunk_states(self, ids: Sequence[ChunkId]) -> Sequence[tuple[ChunkStatus, str] | None]:
        """See `BatchQueue.chunk_states`."""
        wanted = check_ids(ids, self._multi_tenant)
        return self._transactions.read(jobs.chunk_states, wanted)

    def given_up(self, limit: int = 100) -> Sequence[Failure]:
        """See `BatchQueue.given_up`."""
        return self._transactions.read(jobs.given_up, limit)

    def queue_stats(self, tenant: str | None = None) -> QueueStats:
        """See `BatchQueue.queue_stats`."""
        mine = None if tenant is None else check_tenant(tenant, self._multi_tenant)

        def work(view: View) -> QueueStats:
            return jobs.queue_stats(view, mine, read.counts(view, mine).chunks)

        return self._transactions.read(work)

    def charge(self, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """See `BatchQueue.charge`."""
        self._write(jobs.charge, rate, spent)

    def costs(self, since: str = "", until: str = "9") -> Sequence[Cost]:
        """See `BatchQueue.costs`."""
        return self._transactions.read(jobs.costs, since, until)


def _token(token: str) -> str:
    if token and not (token.startswith("-") and token[1:].isdecimal()):
        raise StoreMisuse(f"A token is what hold or take gave, got {token[:60]!r}.")
    return token
