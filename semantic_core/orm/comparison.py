"""`RowComparison`: compares all rows of a table with the index, page by page in key order.

Rows that differ are indexed, and documents without a row are removed. The comparison writes nothing
into the application's database: its progress is a checkpoint in the index. A row that changes
meanwhile has a pending change with a larger number than its page had when it was read, so the newer
state of the row wins in either order.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import attrs

from semantic_core._sync import merged
from semantic_core._validation import STALE
from semantic_core.errors import SemanticCoreError
from semantic_core.orm.agreement import FIRST_TIME, Agreement, Comparison, stamp_of
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.log import log
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.paging import KeysetPages
from semantic_core.orm.pending import placed
from semantic_core.orm.scan import indexed, pages_of, rows_without_key, without_row
from semantic_core.orm.tables import Table
from semantic_core.types import Document, Failure, IngestMode, IngestReport, Ref

PAGE = 500
"""Rows read and compared at a time."""
LEASE = 60.0
"""Seconds for which one process alone compares rows, from one page to the next."""


@attrs.frozen
class ReindexProgress:
    """The progress of a comparison of all rows.

    rows: compared so far. total: rows of the table at the beginning. failed: rows that could not be
    indexed. collection: of the documents.
    """

    rows: int
    total: int
    failed: int
    collection: str = ""


class RowComparison:
    """The comparison of the rows of one collection. `step` does one page of it."""

    def __init__(self, adapter: AdapterContract, outbox: SqlOutbox, agreement: Agreement) -> None:
        self._adapter = adapter
        self._outbox = outbox
        self._agreement = agreement
        self._name = adapter.declaration.collection
        self._mode: IngestMode = "auto"

    @property
    def table(self) -> Table:
        """The table whose rows are compared."""
        return self._adapter.table

    @property
    def state(self) -> Comparison | None:
        """The progress; None if the comparison was never requested."""
        return self._agreement.comparison(self._name)

    @property
    def wanted(self) -> bool:
        """Whether rows or documents are left to compare, for the declaration of this process."""
        state = self.state
        if state is None:
            return True
        return state.declared == self._adapter.made_of and state.phase != "done"

    @property
    def is_of_another(self) -> bool:
        """Whether the index was installed last for another declaration than this process has."""
        state = self.state
        return state is not None and state.declared != self._adapter.made_of

    @cached_property
    def _pages(self) -> KeysetPages:
        return pages_of(self._adapter)

    def begin(self, why: str) -> Comparison:
        """Request a comparison of all rows. why: the reason, which answers and status give."""
        begun = self._agreement.ask_for(self._name, self._adapter.made_of, why)
        if begun is None:
            raise LookupError(f"the comparison of {self._name} could not be begun")
        return begun

    def settle_if_empty(self) -> bool:
        """If there is neither a row nor a document, mark the comparison as done. Returns whether
        that was so.
        """
        if self._pages.page(None, 1):
            return False
        for _ in indexed(self._adapter, self._outbox):
            return False
        state = self.state or self.begin(FIRST_TIME)
        done = Comparison(self._adapter.made_of, "done", why=state.why)
        return self._agreement.put(self._name, state, done)

    def counted(self, state: Comparison) -> Comparison | None:
        """The state with the number of rows; None if the comparison began again meanwhile."""
        if state.total >= 0:
            return state
        counted = attrs.evolve(state, total=self._pages.count())
        return counted if self._agreement.put(self._name, state, counted) else None

    def step(self, limit: int = PAGE, mode: IngestMode = "auto") -> IngestReport:
        """Compare one page of at most `limit` rows. `wanted` shows whether more pages follow.

        mode: as for `SemanticCore.ingest`.
        """
        self._mode = mode
        state = self.state
        if state is None:
            state = self.begin(FIRST_TIME)
        elif state.declared != self._adapter.made_of:
            return IngestReport()  # another process installed another declaration meanwhile
        counted = self.counted(state)
        if counted is None:
            return IngestReport()
        if counted.phase == "rows":
            return self._compare_rows(counted, limit)
        if counted.phase == "documents":
            return self._remove_documents(counted)
        return IngestReport()

    # --- rows -------------------------------------------------------------------------------------

    def _compare_rows(self, state: Comparison, limit: int) -> IngestReport:
        # Before the rows: a change of a row after this has a larger number.
        number = self._outbox.last_number()
        keys = self._pages.page(state.after, limit)
        if not keys:
            return self._finish_rows(state)
        refs, failed = self._refs(keys, number)
        made = list(self._adapter.documents(refs))
        report = self._write(number, refs, made)
        for key, reason in failed.items():
            self._add_failed(key, "", reason)
        by_name = {str(ref): ref for ref in refs}
        for failure in report.failed:
            ref = by_name.get(failure.what)
            if ref is not None:
                tenant = "" if self._adapter.places_rows else ref.tenant
                self._add_failed(ref.key, tenant, failure.reason)
        after = attrs.evolve(state, after=keys[-1], rows=state.rows + len(keys))
        self._agreement.put(self._name, state, after)
        return report

    def _finish_rows(self, state: Comparison) -> IngestReport:
        documents = attrs.evolve(state, phase="documents", total=state.rows)
        self._agreement.put(self._name, state, documents)
        failures = rows_without_key(self._adapter)
        for failure in failures:
            log.warning("%s: %s", str(self._adapter), failure.reason)
        return IngestReport(failed=tuple(failures))

    def _refs(self, keys: Sequence[str], number: int) -> tuple[list[Ref], dict[str, str]]:
        """The refs of these rows, at every tenant that they may have a document at, and the reason
        for each key that has none.
        """
        name = self._name
        failed: dict[str, str] = {}
        usable: dict[str, None] = {}
        for key in keys:
            try:
                canonical = self._adapter.canonical(key)
                Ref(name, canonical)
            except (ValueError, SemanticCoreError) as error:
                failed[key] = f"The key {key!r} cannot be used: {error}"
            else:
                usable[canonical] = None
        refs: list[Ref] = []
        if self._adapter.places_rows:
            tenants = placed(self._adapter, self._outbox, dict.fromkeys(usable, number))
            for key in usable:
                for tenant in tenants[key]:
                    refs.append(Ref(name, key, tenant))
        elif self._adapter.declaration.tenant is None:
            refs = [Ref(name, key) for key in usable]
        else:
            for key, row in self._adapter.rows(usable):
                tenant = self._adapter.tenant_of(row)
                if tenant:
                    refs.append(Ref(name, key, tenant))
        return refs, failed

    def _add_failed(self, key: str, tenant: str, reason: str) -> None:
        """Add a pending change that has failed, for a row that could not be indexed."""
        self._outbox.add(self._name, [key], tenant, consumer=self._outbox.consumer)
        self._outbox.failed(self._outbox.of_key(self._name, key), reason)

    # --- documents --------------------------------------------------------------------------------

    def _remove_documents(self, state: Comparison) -> IngestReport:
        """Remove documents without a row, and those whose row belongs to another tenant or does not
        belong into the index.
        """
        report = IngestReport()
        number = self._outbox.last_number()
        for refs in list(indexed(self._adapter, self._outbox)):
            gone = without_row(self._adapter, refs)
            if gone:
                report = merged(report, self._write(number, gone, []))
        done = attrs.evolve(state, phase="done", total=state.rows)
        self._agreement.put(self._name, state, done)
        return report

    def _write(
        self, number: int, refs: Sequence[Ref], made: Sequence[Document | Failure]
    ) -> IngestReport:
        # After the rows were read: a change that is not in the index yet is still pending here, or
        # was acknowledged.
        newest = self._agreement.consumers.newest(self._agreement.consumer, self._name)
        stamp = stamp_of(self._agreement.position.epoch, number)
        with self._agreement.writing(lambda: newest):
            report = self._adapter.core.sync(
                _Page(stamp, refs),
                {self._name: lambda wanted: made},
                limit=len(refs) or 1,
                mode=self._mode,
            )
        # A document that is newer than this page was written by a later change: no failure.
        failed = tuple(failure for failure in report.failed if failure.code != STALE)
        newer = len(report.failed) - len(failed)
        return attrs.evolve(report, failed=failed, unchanged=report.unchanged + newer)


class _Page:
    """One page of rows with one stamp. Implements `protocols.Outbox`."""

    def __init__(self, stamp: int, refs: Sequence[Ref]) -> None:
        self._stamp = stamp
        self._refs = refs

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """See `Outbox.take`."""
        return [(self._stamp, ref) for ref in self._refs]

    def done(self, numbers: Collection[int]) -> None:
        """See `Outbox.done`: a page stores nothing."""

    def failed(self, numbers: Collection[int], reason: str) -> None:
        """See `Outbox.failed`: the report has the failure."""


class Lease:
    """The right to compare rows for an index, which one thread of one process has at a time. It is
    a checkpoint in the index.

    A lease of a process of this host that has ended is free at once; one of another host after
    LEASE seconds. clock: gives seconds since 1970.
    """

    def __init__(self, agreement: Agreement, clock: Callable[[], float] = time.time) -> None:
        self._index = agreement.index
        self._source = f"{agreement.outbox_id}/"
        self._clock = clock
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"

    def take(self) -> bool:
        """Take or extend the lease. False while another thread or process has it."""
        mine = f"{self._owner} {self._clock() + LEASE}"

        def change(held: str | None) -> str | None:
            return mine if self._is_free(held) else held

        return bool(self._index.update_checkpoint(self._source, change) == mine)

    def leave(self) -> None:
        """Release the lease."""

        def change(held: str | None) -> str | None:
            return None if held is not None and held.startswith(self._owner) else held

        self._index.update_checkpoint(self._source, change)

    def is_of_this_process(self) -> bool:
        """Whether a thread of this process has the lease."""
        owner = (self._index.checkpoint(self._source) or "").rpartition(":")[0]
        return owner == self._owner.rpartition(":")[0]

    def _is_free(self, held: str | None) -> bool:
        owner, _, until = (held or "").partition(" ")
        if not owner or owner == self._owner:
            return True
        host, _, rest = owner.partition(":")
        process = rest.partition(":")[0]
        if host == socket.gethostname() and not _is_alive(int(process)):
            return True
        now = self._clock()
        return not now < float(until) <= now + 2 * LEASE


@contextmanager
def comparison_lease(agreement: Agreement) -> Iterator[Lease]:
    """A block with a lease, which is released at its end. The block may compare rows while
    ``take()`` returns True.
    """
    lease = Lease(agreement)
    try:
        yield lease
    finally:
        lease.leave()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process exists and belongs to another user
        return True
    return True
