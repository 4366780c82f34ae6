"""`sync` processes pending changes: it reads their rows as they are now, and ingests or removes
them.

A pending change is the address of a row, without any values.

Tested by tests/kernel/test_sync.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

import attrs

from semantic_core._validation import STALE, STALE_REASON, described
from semantic_core.errors import is_interruption
from semantic_core.types import Document, Failure, IngestReport, Ref

if TYPE_CHECKING:
    from semantic_core._announcer import Announcer
    from semantic_core.protocols import Outbox, Source, Store

_COUNTS = ("added", "updated", "unchanged", "removed", "chunks", "embedded", "reused", "pending")
"""The fields of an `IngestReport` that are counts."""


def sync(
    outbox: Outbox,
    sources: Mapping[str, Source],
    store: Store,
    ingest: Callable[[Iterable[Document], Mapping[Ref, int]], IngestReport],
    announcer: Announcer,
    *,
    limit: int,
) -> IngestReport:
    """Process up to `limit` pending changes.

    sources: per collection, a callable that reads its documents. ingest: takes documents and
    stamps. announcer: tells listeners of removals. The stamp of a document is the largest number of
    its changes, so a slow worker never restores an older state: a write that the store refuses for
    that reason has failed, with the code "stale". If a collection cannot be read, its changes have
    failed with the reason, and the others are processed. Raises StoreError; then the changes become
    free when their lease ends.
    """
    by_ref: dict[Ref, list[int]] = {}
    for number, ref in outbox.take(limit):
        by_ref.setdefault(ref, []).append(number)
    stamps: dict[Ref, int] = {}
    by_collection: dict[str, list[Ref]] = {}
    for ref, numbers in by_ref.items():
        stamps[ref] = max(numbers)
        by_collection.setdefault(ref.collection, []).append(ref)
    report = IngestReport()
    for collection, refs in by_collection.items():
        try:
            documents, unread = _read(sources, collection, refs)
        except Exception as error:
            if is_interruption(error):
                raise
            # Raised by the application's reader; the reason is stored with the changes.
            reason = described(error)
            numbers = list(chain.from_iterable(by_ref[ref] for ref in refs))
            outbox.failed(numbers, reason)
            failure = Failure(collection, type(error).__name__, reason)
            report = attrs.evolve(report, failed=(*report.failed, failure))
            continue
        done = ingest(documents.values(), stamps) if documents else IngestReport()
        failures = [*unread, *done.failed]
        reasons = {failure.what: failure.reason for failure in failures}
        gone = [ref for ref in refs if ref not in documents and str(ref) not in reasons]
        existing = announcer.removing(gone)
        removed = store.remove(gone, stamps) if gone else 0
        announcer.removed(existing)
        if removed < len(gone):
            for ref in gone:
                if store.get(ref) is not None:
                    failures.append(Failure(str(ref), STALE, STALE_REASON))
                    reasons[str(ref)] = STALE_REASON
        processed: list[int] = []
        for ref in refs:
            if str(ref) in reasons:
                outbox.failed(by_ref[ref], reasons[str(ref)])
            else:
                processed += by_ref[ref]
        outbox.done(processed)
        report = merged(report, attrs.evolve(done, failed=tuple(failures), removed=removed))
    return report


def _read(
    sources: Mapping[str, Source], collection: str, refs: list[Ref]
) -> tuple[dict[Ref, Document], list[Failure]]:
    """The documents that exist among these refs, and failures of those that could not be read."""
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
    """The sum of reports."""
    counts = Counter[str]()
    failed: list[Failure] = []
    timings: dict[str, float] = {}
    for report in reports:
        for name in _COUNTS:
            counts[name] += getattr(report, name)
        failed += report.failed
        for step, seconds in report.timings.items():
            timings[step] = timings.get(step, 0.0) + seconds
    return IngestReport(failed=tuple(failed), timings=timings, **counts)
