"""Reindex, verify and repair: compares the index with the rows, and corrects it.

Corrections are pending changes and comparisons like any other; nothing is written past them.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from time import sleep

import attrs

from semantic_core._sync import merged
from semantic_core.orm.comparison import ReindexProgress, comparison_lease
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.processing import PAUSE, latest_failures
from semantic_core.orm.scan import add_changes, expected, indexed, without_row
from semantic_core.orm.sync import SyncCoordinator
from semantic_core.types import Document, Failure, IngestReport, Ref

SHOWN = 100
"""Refs of each kind of difference that a report names."""
DIFFERS = "differs"
"""The code of a failure: the index still differs from the row after a repair."""


@attrs.frozen
class VerifyReport:
    """How the index differs from its table.

    rows: rows that belong into the index. missing: of these, how many have no document. stale: how
    many have an outdated document. ghosts: documents without a row. failed: rows whose document
    cannot be built. keys: (kind, ref) of the first differences of each kind. waiting: pending
    changes; their rows do not count as different. comparing: why rows wait to be compared, "" if
    none do.
    """

    rows: int = 0
    missing: int = 0
    stale: int = 0
    ghosts: int = 0
    failed: int = 0
    waiting: int = 0
    keys: tuple[tuple[str, str], ...] = ()
    comparing: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing differs, and no rows wait to be compared."""
        differ = self.missing or self.stale or self.ghosts or self.failed
        return not (differ or self.comparing)


def reindex(
    adapter: AdapterContract,
    coordinator: SyncCoordinator,
    progress: Callable[[ReindexProgress], None] | None,
    *,
    resume: bool,
    batch: int,
) -> IngestReport:
    """See `BaseORMAdapter.reindex`."""
    coordinator.outbox.create()
    coordinator.agree()
    comparison = coordinator.comparison(adapter)
    name = adapter.declaration.collection
    if not resume:
        coordinator.agreement.begin_epoch()
    report = IngestReport()
    failed = 0
    with coordinator.at_work(), comparison_lease(coordinator.agreement) as lease:
        # Before it begins: a worker that saw it first would do it, and the report would miss that.
        lease.take()
        if not resume or not comparison.wanted:
            comparison.begin("all rows are looked at again")
        while comparison.wanted:
            if not lease.take():  # another thread or process compares the same rows
                sleep(PAUSE)
                continue
            done = comparison.step(batch)
            report = merged(report, done)
            failed += len(done.failed)
            state = comparison.state
            if progress is not None and state is not None:
                total = max(state.total, state.rows)
                progress(ReindexProgress(state.rows, total, failed, name))
    pending = coordinator.sync(None, collections={name})
    return latest_failures(merged(report, pending))


def verify(adapter: AdapterContract, coordinator: SyncCoordinator) -> VerifyReport:
    """See `BaseORMAdapter.verify`."""
    name = adapter.declaration.collection
    if not coordinator.is_installed(check_again=True):
        return VerifyReport(comparing=coordinator.behind(adapter))
    rows, found = differences(adapter, coordinator)
    counts: Counter[str] = Counter()
    keys: list[tuple[str, str]] = []
    for kind, ref in found:
        counts[kind] += 1
        if counts[kind] <= SHOWN:
            keys.append((kind, str(ref)))
    status = coordinator.outbox.status({name}).get(name)
    return VerifyReport(
        rows=rows,
        missing=counts["missing"],
        stale=counts["stale"],
        ghosts=counts["ghosts"],
        failed=counts["failed"],
        waiting=status.waiting + status.taken if status else 0,
        keys=tuple(keys),
        comparing=coordinator.behind(adapter, check_again=True),
    )


def differences(
    adapter: AdapterContract, coordinator: SyncCoordinator
) -> tuple[int, list[tuple[str, Ref | str]]]:
    """The number of rows that belong into the index, and (kind, ref) of each difference. For a row
    whose document cannot be built, the name of the row in place of the ref.
    """
    coordinator.agree()
    rows = 0
    unreadable: dict[str, None] = {}
    suspects: list[Ref] = []
    for made in expected(adapter):
        rows += 1
        if isinstance(made, Failure):
            unreadable[made.what] = None
        elif _difference(adapter, made.ref, made):
            suspects.append(made.ref)
    for refs in indexed(adapter, coordinator.outbox):
        suspects += without_row(adapter, refs)
    pending = _canonical_keys(adapter, coordinator.outbox.keys(adapter.declaration.collection))
    remaining: list[Ref] = []
    for ref in suspects:
        if ref.key not in pending and str(ref) not in unreadable:
            remaining.append(ref)
    # A row may have changed, and been processed, between the two reads: only what differs again
    # is a difference.
    now: dict[Ref, Document] = {}
    for document in adapter.documents(remaining):
        if isinstance(document, Document):
            now[document.ref] = document
    found: list[tuple[str, Ref | str]] = [("failed", what) for what in unreadable]
    for ref in remaining:
        kind = _difference(adapter, ref, now.get(ref))
        if kind:
            found.append((kind, ref))
    return rows, found


def _difference(adapter: AdapterContract, ref: Ref, wanted: Document | None) -> str:
    """The kind of difference between the stored document and the one that its row gives; "" if they
    are the same. wanted: None if no row gives one.
    """
    core = adapter.core.tenant(ref.tenant) if ref.tenant else adapter.core
    stored = core.unrestricted().get(ref)
    if wanted is None:
        return "" if stored is None else "ghosts"
    if stored is None:
        return "missing"
    return "" if _same(stored, wanted) else "stale"


def repair(adapter: AdapterContract, coordinator: SyncCoordinator) -> IngestReport:
    """See `BaseORMAdapter.repair`."""
    name = adapter.declaration.collection
    coordinator.outbox.create()
    _, found = differences(adapter, coordinator)
    refs = [ref for _, ref in found if isinstance(ref, Ref)]
    if refs:
        coordinator.agreement.begin_epoch()  # the rows are right, whatever the stamps are
        add_changes(adapter, coordinator.outbox, refs)
    report = coordinator.sync(None, collections={name})
    if not refs:
        return report
    failed = {failure.what for failure in report.failed}
    differ: list[Failure] = []
    _, left = differences(adapter, coordinator)
    for kind, ref in left:
        if kind != "failed" and str(ref) not in failed:
            differ.append(Failure(str(ref), DIFFERS, f"After the repair it is still {kind}."))
    return attrs.evolve(report, failed=(*report.failed, *differ))


def _canonical_keys(adapter: AdapterContract, keys: Iterable[str]) -> set[str]:
    """The keys of pending changes in the form that documents have. Unusable keys are left out."""
    found: set[str] = set()
    for key in keys:
        try:
            found.add(adapter.canonical(key) if key else key)
        except ValueError:
            continue
    return found


def _same(stored: Document, wanted: Document) -> bool:
    """Whether a stored document is the one that its row gives. A splitter may have read the title
    or metadata out of the text.
    """
    if stored.text != wanted.text:
        return False
    if wanted.title and stored.title != wanted.title:
        return False
    if not set(wanted.metadata.items()) <= set(stored.metadata.items()):
        return False
    return wanted.media_type != "text/plain" or len(stored.metadata) == len(wanted.metadata)
