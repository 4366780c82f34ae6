"""Bring every row of a table into the index, page by page in key order,
and take out what has no row.

Nothing is written into the application's database for it: the rows are read, the index is written,
and how far it got stands in the index itself. A row that changes meanwhile has a ticket with a
larger number than the page had when it was read, so the newer state wins whichever comes first.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from semantic_core._sync import merged
from semantic_core._validation import STALE
from semantic_core.errors import SemanticCoreError
from semantic_core.orm.agreement import FIRST_TIME, Agreement, Comparison, stamp_of
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.pending import placed
from semantic_core.types import Document, Failure, IngestMode, IngestReport, Ref

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm.outbox import SqlOutbox
    from semantic_core.orm.tables import Table


# Rows and documents, looked through page by page: which there are,
# and which are noted to be looked at again.

SCAN_PAGE = 1_000
"""Rows, or documents, looked at a time."""


def add_changes(adapter: AdapterContract, outbox: SqlOutbox, refs: Iterable[Ref]) -> None:
    """Note these for this index, whatever they are: each is read when it is worked off."""
    by_tenant: dict[str, list[str]] = {}
    for ref in refs:
        by_tenant.setdefault("" if adapter.places_rows else ref.tenant, []).append(ref.key)
    for tenant, keys in by_tenant.items():
        outbox.add(adapter.declaration.collection, keys, tenant, consumer=outbox.consumer)


def expected(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[Document | Failure]:
    """The document every row should have, of those that belong into the index;
    a Failure for one that cannot be made.
    """
    name = adapter.declaration.collection
    yield from nameless(adapter, outbox)
    after: str | None = None
    while True:
        keys = outbox.page(adapter.table, after, SCAN_PAGE)
        if not keys:
            return
        after = keys[-1]
        usable: list[str] = []
        for key in keys:
            try:
                usable.append(Ref(name, adapter.canonical(key)).key)
            except (ValueError, SemanticCoreError) as error:
                yield Failure(
                    f"{name}/{key}", "InputError", f"The key {key!r} cannot be used: {error}"
                )
        failed: list[Failure] = []

        def unreadable(key: str, error: Exception, into: list[Failure] = failed) -> None:
            into.append(adapter.unreadable(f"{name}/{key}", error))

        for key, instance in adapter.rows(usable, unreadable):
            made = adapter.made(key, instance)
            if isinstance(made, Failure) or (
                made and (made.ref.tenant or adapter.declaration.tenant is None)
            ):
                yield made
        yield from failed


def nameless(adapter: AdapterContract, outbox: SqlOutbox) -> list[Failure]:
    """What has to be said of rows whose key names nothing: at most one thing."""
    count = outbox.keyless(adapter.table)
    if not count:
        return []
    table = adapter.table.name
    rows = "1 row" if count == 1 else f"{count:,} rows"
    reason = (
        f"{rows} of {table} can be in no index: the primary key is NULL, or bytes in place of "
        "text. Give them keys."
    )
    return [Failure(f"{adapter.declaration.collection}: rows without a key", "InputError", reason)]


def indexed(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[list[Ref]]:
    """What the index holds, a page at a time."""
    for core in front_doors(adapter, outbox):
        offset = 0
        while True:
            page = core.documents(
                offset=offset, limit=SCAN_PAGE, collections=[adapter.declaration.collection]
            )
            if not page:
                break
            yield [summary.ref for summary in page]
            offset += len(page)


def front_doors(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[SemanticCore]:
    """The core as every tenant sees it that has rows, or had some that were noted."""
    if adapter.declaration.tenant is None:
        yield adapter.core
        return
    names = outbox.tenants(adapter.declaration.collection, adapter.table, adapter.tenant_column)
    for tenant in sorted({adapter.tenant_name(name) for name in names if name}):
        yield adapter.core.tenant(tenant)


PAGE = 500
"""Rows read at a time, and documents looked at."""
LEASE = 60.0
"""Seconds for which one process alone compares rows, between two pages."""

_log = logging.getLogger("semantic_core.orm")


@attrs.frozen
class ReindexProgress:
    """How far a comparison of all rows is.

    rows: looked at so far; total: rows of the table when it began; failed: rows left out.
    collection: whose rows.
    """

    rows: int
    total: int
    failed: int
    collection: str = ""


class RowComparison:
    """The comparison of one collection's rows; `step` does one page of it."""

    def __init__(self, adapter: AdapterContract, outbox: SqlOutbox, agreement: Agreement) -> None:
        self._adapter = adapter
        self._outbox = outbox
        self._agreement = agreement
        self._name = adapter.declaration.collection
        self._mode: IngestMode = "auto"

    @property
    def table(self) -> Table:
        """The table whose rows they are."""
        return self._adapter.table

    @property
    def state(self) -> Comparison | None:
        """How far it is; None if it has never been asked for."""
        return self._agreement.comparison(self._name)

    @property
    def wanted(self) -> bool:
        """Whether there is something left to do, and this declaration is the one it is for."""
        state = self.state
        if state is None:
            return True
        return state.declared == self.declared and state.phase != "done"

    @property
    def is_of_another(self) -> bool:
        """Whether the index was installed last for another declaration than this process has."""
        state = self.state
        return state is not None and state.declared != self.declared

    @property
    def declared(self) -> str:
        """Fingerprint of what documents are made of."""
        declaration = self._adapter.declaration
        return declaration.fingerprint + (".placed" if self._adapter.places_rows else "")

    def begin(self, why: str) -> Comparison:
        """Ask for it, from the first row on."""
        begun = self._agreement.ask_for(self._name, self.declared, why)
        if begun is None:
            raise LookupError(f"the comparison of {self._name} could not be begun")
        return begun

    def settle_if_empty(self) -> bool:
        """Where there is neither row nor document, there is nothing to compare: note that,
        and say whether it was so.
        """
        if self._outbox.page(self._adapter.table, None, 1) or any(
            True for _ in indexed(self._adapter, self._outbox)
        ):
            return False
        state = self.state or self.begin(FIRST_TIME)
        return self._agreement.put(
            self._name, state, Comparison(self.declared, "done", why=state.why)
        )

    def counted(self, state: Comparison) -> Comparison | None:
        """The same with how many rows there are; None if it was begun anew meanwhile."""
        if state.total >= 0:
            return state
        counted = attrs.evolve(state, total=self._outbox.count(self._adapter.table))
        return counted if self._agreement.put(self._name, state, counted) else None

    def step(self, limit: int = PAGE, mode: IngestMode = "auto") -> IngestReport:
        """One page; what was done.

        `state` says whether more follow. mode: as for `SemanticCore.ingest`.
        """
        self._mode = mode
        state = self.state
        if state is None:
            state = self.begin(FIRST_TIME)
        elif state.declared != self.declared:
            return IngestReport()  # another process has installed it anew meanwhile
        counted = self.counted(state)
        if counted is None:
            return IngestReport()
        state = counted
        if state.phase == "rows":
            return self._rows(state, limit)
        if state.phase == "documents":
            return self._documents(state)
        return IngestReport()

    # --- rows -------------------------------------------------------------------------------------

    def _rows(self, state: Comparison, limit: int) -> IngestReport:
        number = (
            self._outbox.last_number()
        )  # before the rows: whoever changes one after this has a larger one
        keys = self._outbox.page(self._adapter.table, state.after, limit)
        if not keys:
            self._agreement.put(
                self._name, state, attrs.evolve(state, phase="documents", total=state.rows)
            )
            unnamed = nameless(self._adapter, self._outbox)
            for failure in unnamed:
                _log.warning("%s: %s", str(self._adapter), failure.reason)
            return IngestReport(failed=tuple(unnamed))
        refs, failed = self._refs(keys, number)
        made = list(self._adapter.documents(refs))
        report = self._write(number, refs, made)
        for key, reason in failed.items():
            self._note(key, "", reason)
        by_name = {str(ref): ref for ref in refs}
        for failure in report.failed:
            if failure.what in by_name:
                ref = by_name[failure.what]
                self._note(ref.key, "" if self._adapter.places_rows else ref.tenant, failure.reason)
        after = attrs.evolve(state, after=keys[-1], rows=state.rows + len(keys))
        self._agreement.put(self._name, state, after)
        return report

    def _refs(self, keys: Sequence[str], number: int) -> tuple[list[Ref], dict[str, str]]:
        """The refs of these rows, in every tenant they may have a document at;
        and why there are none, per bad key.
        """
        failed: dict[str, str] = {}
        canonical: dict[str, None] = {}
        for key in keys:
            try:
                canonical[self._adapter.canonical(key)] = None
                Ref(self._name, self._adapter.canonical(key))
            except (ValueError, SemanticCoreError) as error:
                failed[key] = f"The key {key!r} cannot be used: {error}"
        usable = [key for key in canonical if key not in failed]
        if self._adapter.places_rows:
            tenants = placed(self._adapter, self._outbox, dict.fromkeys(usable, number))
            return [
                Ref(self._name, key, tenant) for key in usable for tenant in tenants[key]
            ], failed
        if self._adapter.declaration.tenant is None:
            return [Ref(self._name, key) for key in usable], failed
        owners = {key: self._adapter.tenant_of(row) for key, row in self._adapter.rows(usable)}
        return [Ref(self._name, key, owner) for key, owner in owners.items() if owner], failed

    def _note(self, key: str, tenant: str, reason: str) -> None:
        """What could not be indexed waits with its reason, like any change that failed."""
        self._outbox.add(self._name, [key], tenant, consumer=self._outbox.consumer)
        self._outbox.failed(self._outbox.of_key(self._name, key), reason)

    # --- documents --------------------------------------------------------------------------------

    def _documents(self, state: Comparison) -> IngestReport:
        """Take out what has no row, or whose row is another's or does not qualify."""
        report = IngestReport()
        number = self._outbox.last_number()
        for refs in list(indexed(self._adapter, self._outbox)):
            made = list(self._adapter.documents(refs))
            there = {item.what if isinstance(item, Failure) else str(item.ref) for item in made}
            gone = [ref for ref in refs if str(ref) not in there]
            if gone:
                report = merged(report, self._write(number, gone, []))
        done = attrs.evolve(state, phase="done", total=state.rows)
        self._agreement.put(self._name, state, done)
        return report

    # --- both -------------------------------------------------------------------------------------

    def _write(
        self, number: int, refs: Sequence[Ref], made: Sequence[Document | Failure]
    ) -> IngestReport:
        # After the rows were read: whatever of them is not in the index yet has its ticket here, or
        # was acknowledged.
        newest = self._agreement.consumers.newest(self._agreement.consumer, self._name)
        page = _Page(stamp_of(self._agreement.position.epoch, number), refs)
        with self._agreement.writing(lambda: newest):
            report = self._adapter.core.sync(
                page, {self._name: lambda wanted: made}, limit=len(refs) or 1, mode=self._mode
            )
        newer = [failure for failure in report.failed if failure.code == STALE]
        # What is newer than this page was written by a change that came after it, as it should be.
        failed = tuple(failure for failure in report.failed if failure not in newer)
        return attrs.evolve(report, failed=failed, unchanged=report.unchanged + len(newer))


class _Page:
    """Rows to look at, all of one age; keeps `protocols.Outbox`."""

    def __init__(self, stamp: int, refs: Sequence[Ref]) -> None:
        self._stamp = stamp
        self._refs = refs

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """See `Outbox.take`."""
        return [(self._stamp, ref) for ref in self._refs]

    def done(self, tickets: Collection[int]) -> None:
        """See `Outbox.done`: nothing is kept."""

    def failed(self, tickets: Collection[int], reason: str) -> None:
        """See `Outbox.failed`: the report says it."""


class Lease:
    """Who compares rows for an index: one thread of one process at a time,
    as the index itself remembers.

    A process that has died on this host holds nothing any more; one on another host holds it for
    LEASE seconds.
    """

    def __init__(self, agreement: Agreement, clock: Callable[[], float] = time.time) -> None:
        self._index = agreement.index
        self._source = f"{agreement.outbox_id}/"
        self._clock = clock
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"

    def take(self) -> bool:
        """Take it, or keep it for longer; False while another has it."""
        until = self._clock() + LEASE

        def change(there: str | None) -> str | None:
            return f"{self._owner} {until}" if self._is_free(there) else there

        return bool(self._index.update_checkpoint(self._source, change) == f"{self._owner} {until}")

    def leave(self) -> None:
        """Let others have it."""

        def change(there: str | None) -> str | None:
            return None if there is not None and there.startswith(self._owner) else there

        self._index.update_checkpoint(self._source, change)

    def is_of_this_process(self) -> bool:
        """Whether a thread of this process has it."""
        owner = (self._index.checkpoint(self._source) or "").rpartition(":")[0]
        return owner == self._owner.rpartition(":")[0]

    def _is_free(self, there: str | None) -> bool:
        owner, _, until = (there or "").partition(" ")
        if not owner or owner == self._owner:
            return True
        host, _, rest = owner.partition(":")
        if host == socket.gethostname() and not _is_alive(int(rest.partition(":")[0])):
            return True
        now = self._clock()
        return not now < float(until) <= now + 2 * LEASE


@contextmanager
def alone(agreement: Agreement) -> Iterator[Lease]:
    """Within it, this thread compares rows for this index as long as ``take()`` of what
    it gives says so.
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
    except OSError:  # it is there, and another user's
        return True
    return True
