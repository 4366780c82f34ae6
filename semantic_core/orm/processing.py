"""How pending changes and compared rows reach the core: in batches, with limits and retries.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import TYPE_CHECKING

import attrs

from semantic_core._sync import merged
from semantic_core._validation import STALE
from semantic_core.errors import BudgetSpent, EmbedderError
from semantic_core.orm.agreement import Agreement
from semantic_core.orm.comparison import PAGE, ReindexProgress, RowComparison, comparison_lease
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.log import log
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.pending import ClaimedChanges
from semantic_core.protocols import VectorQueue
from semantic_core.types import Failure, IngestMode, IngestReport

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

BATCH = 1_000
"""Pending changes claimed at a time."""
LONGEST_WAIT = 60.0
"""Seconds for which a thread waits at most while another thread of this process compares rows."""
PAUSE = 0.02
"""Seconds between two looks at what another thread or process holds."""
MOST_REFUSALS = 4
"""How often a store may refuse changes of one document as stale before that is a failure."""

Progress = Callable[[ReindexProgress], None]


def process_changes(
    core: SemanticCore,
    outbox: SqlOutbox,
    agreement: Agreement,
    adapters: Mapping[str, AdapterContract],
    *,
    compare: Callable[[str], None],
    limit: int | None,
    mode: IngestMode,
    until: float | None,
) -> tuple[IngestReport, int | None]:
    """Process the pending changes of these indexes. Returns the report, and how many more changes
    `limit` allows (None: any number).

    compare: called with the name of a collection whose table was changed as a whole. until: when to
    stop, by `time.monotonic`.
    """
    sources = {name: adapter.documents for name, adapter in adapters.items()}
    lease = any(adapter.strategy != "inline" for adapter in adapters.values())
    size = BATCH if until is None else PAGE // 5
    report = IngestReport()
    left = limit
    refused: Counter[str] = Counter()
    while left is None or left > 0:
        retry_stale = max(refused.values(), default=0) < MOST_REFUSALS
        changes = ClaimedChanges(
            outbox, agreement, adapters, compare=compare, lease=lease, retry_stale=retry_stale
        )
        batch = size if left is None else min(left, size)
        try:
            with changes.writing():
                done = core.sync(changes, sources, limit=batch, mode=mode)
        except BaseException:
            changes.give_back()
            raise
        stale = [failure.what for failure in done.failed if failure.code == STALE]
        refused.update(stale)
        if any(refused[what] > 1 for what in stale):
            # No newer change of this outbox is in the way: the stamp came from elsewhere.
            agreement.begin_epoch()
        if retry_stale:
            done = _without_stale(done)
        report = merged(report, done)
        _log_failures(done, changes.count)
        last_batch = not lease and changes.count < size  # further changes are the next commit's
        if not changes.count or last_batch or _is_over(until):
            break
        left = None if left is None else left - changes.count
    return report, left


def compare_rows(
    comparisons: Mapping[str, RowComparison],
    agreement: Agreement,
    *,
    limit: int | None,
    mode: IngestMode,
    progress: Progress | None,
    until: float | None,
    must_end: Callable[[], bool],
) -> IngestReport:
    """Compare the rows of these collections, page by page, unless another process does.

    limit: documents to write at most; None for all. until: when to stop, by `time.monotonic`.
    must_end: whether this thread has to stop.
    """
    report = IngestReport()
    left = limit
    patient_until = monotonic() + LONGEST_WAIT
    with comparison_lease(agreement) as lease:
        for name, comparison in comparisons.items():
            failed = 0
            while comparison.wanted and (left is None or left > 0) and not must_end():
                if _is_over(until):
                    return report
                if not lease.take():
                    if not lease.is_of_this_process() or monotonic() >= patient_until:
                        return report  # another process compares them
                    sleep(PAUSE)
                    continue
                patient_until = monotonic() + LONGEST_WAIT
                done = comparison.step(PAGE if left is None else min(left, PAGE), mode)
                report = merged(report, done)
                failed += len(done.failed)
                if left is not None:
                    left -= done.added + done.updated + done.unchanged
                if progress is not None:
                    _report_progress(comparison, progress, failed, name)
    return report


def _report_progress(comparison: RowComparison, progress: Progress, failed: int, name: str) -> None:
    state = comparison.state
    if state is not None and (state.rows or state.phase == "done"):
        progress(ReindexProgress(state.rows, max(state.total, state.rows), failed, name))


def embed_pending(core: SemanticCore, limit: int | None = None) -> IngestReport:
    """Embed what has no vector yet, or submit it to the embedder's batch jobs if those are used. An
    unavailable embedder is a failure in the report.
    """
    if not isinstance(core.store, VectorQueue):
        return IngestReport()
    try:
        if core.batch_manager.takes_jobs:
            core.batch_manager.work()
            return IngestReport()
        return IngestReport(embedded=core.embed_pending(limit))
    except (EmbedderError, BudgetSpent) as error:
        return IngestReport(failed=(Failure("pending vectors", error.code, str(error)),))


def latest_failures(report: IngestReport) -> IngestReport:
    """The report with the latest failure of each row alone."""
    by_row = {failure.what: failure for failure in report.failed}
    return attrs.evolve(report, failed=tuple(by_row.values()))


def _without_stale(report: IngestReport) -> IngestReport:
    failed = tuple(failure for failure in report.failed if failure.code != STALE)
    return attrs.evolve(report, failed=failed)


def _is_over(until: float | None) -> bool:
    return until is not None and monotonic() >= until


def _log_failures(report: IngestReport, changes: int) -> None:
    if report.failed:
        first = report.failed[0]
        log.warning(
            "%d of %d changes could not be indexed; they are tried again. The first: %s: %s",
            len(report.failed),
            changes,
            first.what,
            first.reason,
        )
