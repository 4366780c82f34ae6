"""`sync` processes pending changes: it reads their rows as they are now, and ingests or removes
them.

A pending change is the address of a row, without any values.

Tested by tests/test_sync.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from semantic_core._validation import STALE, STALE_REASON
from semantic_core.errors import SemanticCoreError, is_interruption
from semantic_core.types import Document, Failure, IngestReport, Ref

if TYPE_CHECKING:
    from semantic_core.protocols import Outbox, Source, Store


def sync(
    outbox: Outbox,
    sources: Mapping[str, Source],
    store: Store,
    ingest: Callable[[Iterable[Document], Mapping[Ref, int]], IngestReport],
    *,
    limit: int,
) -> IngestReport:
    """Process up to `limit` pending changes.

    sources: per collection, a callable that reads its documents. ingest: takes documents and
    stamps. The stamp of a document is the largest number of its changes, so a slow worker never
    restores an older state: a write that the store refuses for that reason has failed, with the
    code "stale". If a collection cannot be read, its changes have failed with the reason, and the
    others are processed. Raises StoreError; then the changes become free when their lease ends.
    """
    by_ref: dict[Ref, list[int]] = {}
    for number, ref in outbox.take(limit):
        by_ref.setdefault(ref, []).append(number)
    stamps = {ref: max(numbers) for ref, numbers in by_ref.items()}
    report = IngestReport()
    for collection in dict.fromkeys(ref.collection for ref in by_ref):
        refs = [ref for ref in by_ref if ref.collection == collection]
        numbers = [number for ref in refs for number in by_ref[ref]]
        try:
            documents, unread = _read(sources, collection, refs)
        except Exception as error:
            if is_interruption(error):
                raise
            # Raised by the application's reader; the reason is stored with the changes.
            reason = (
                str(error)
                if isinstance(error, SemanticCoreError)
                else f"{type(error).__name__}: {error}"
            )
            outbox.failed(numbers, reason)
            report = attrs.evolve(
                report, failed=(*report.failed, Failure(collection, type(error).__name__, reason))
            )
            continue
        done = ingest(documents.values(), stamps) if documents else IngestReport()
        done = attrs.evolve(done, failed=(*unread, *done.failed))
        failed = {failure.what: failure.reason for failure in done.failed}
        gone = [ref for ref in refs if ref not in documents and str(ref) not in failed]
        removed = store.remove(gone, stamps) if gone else 0
        if removed < len(gone):
            kept = [ref for ref in gone if store.get(ref) is not None]
            done = attrs.evolve(done, failed=(*done.failed, *(_refused(ref) for ref in kept)))
            failed |= {str(ref): STALE_REASON for ref in kept}
        for ref in refs:
            if str(ref) in failed:
                outbox.failed(by_ref[ref], failed[str(ref)])
        outbox.done([number for ref in refs if str(ref) not in failed for number in by_ref[ref]])
        report = merged(report, attrs.evolve(done, removed=removed))
    return report


def _refused(ref: Ref) -> Failure:
    return Failure(str(ref), STALE, STALE_REASON)


def _read(
    sources: Mapping[str, Source], collection: str, refs: list[Ref]
) -> tuple[dict[Ref, Document], list[Failure]]:
    """The documents there are among these refs,
    and what was said of those that could not be made.
    """
    if collection not in sources:
        raise LookupError(f"no source is given for the collection {collection!r}")
    wanted = set(refs)
    documents = {}
    unread = []
    for answer in sources[collection](refs):
        if isinstance(answer, Failure):
            unread.append(answer)
        elif answer.ref in wanted:
            documents[answer.ref] = answer
    return documents, unread


def merged(*reports: IngestReport) -> IngestReport:
    """All reports as one."""
    timings: dict[str, float] = {}
    for report in reports:
        for step, spent in report.timings.items():
            timings[step] = timings.get(step, 0.0) + spent
    return IngestReport(
        added=sum(report.added for report in reports),
        updated=sum(report.updated for report in reports),
        unchanged=sum(report.unchanged for report in reports),
        removed=sum(report.removed for report in reports),
        failed=tuple(failure for report in reports for failure in report.failed),
        chunks=sum(report.chunks for report in reports),
        embedded=sum(report.embedded for report in reports),
        reused=sum(report.reused for report in reports),
        pending=sum(report.pending for report in reports),
        timings=timings,
    )
