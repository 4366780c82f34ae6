"""Reindex, verify and repair: the rows say what the index should hold,
and the usual road takes it there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from time import sleep

import attrs

from semantic_core._sync import merged
from semantic_core.orm.comparison import ReindexProgress, alone, expected, indexed, note
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.sync import PAUSE, SyncCoordinator, once
from semantic_core.types import Document, Failure, IngestReport, Ref

SHOWN = 100
"""Keys a report names of each kind."""
DIFFERS = "differs"
"""Code of a failure: a row the index still differs from after a repair."""


@attrs.frozen
class VerifyReport:
    """How the index differs from its table.

    rows: rows that belong into the index. missing, stale, ghosts: how many have no document, have
    another one than their row gives, and how many documents have no row. failed: rows no document
    can be made of. keys: (kind, ref) of the first of each kind. waiting: changes not processed yet,
    whose rows are not counted as different. comparing: why the index is known to be behind its
    table as a whole, "" if it is not.
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
        """Whether nothing differs, and nothing is known to be missing."""
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
    if not resume or not comparison.wanted:
        comparison.begin("all rows are looked at again")
    report = IngestReport()
    failed = 0
    with coordinator.at_work(), alone(coordinator.agreement) as lease:
        while comparison.wanted:
            if not lease.take():  # another thread or process is at it, and does the same
                sleep(PAUSE)
                continue
            done = comparison.step(batch)
            report = merged(report, done)
            failed = failed + len(done.failed)
            state = comparison.state
            if progress is not None and state is not None:
                progress(ReindexProgress(state.rows, max(state.total, state.rows), failed, name))
    return once(merged(report, coordinator.sync(None, collections={name})))


def verify(adapter: AdapterContract, coordinator: SyncCoordinator) -> VerifyReport:
    """See `BaseORMAdapter.verify`."""
    outbox = coordinator.outbox
    name = adapter.declaration.collection
    if not coordinator.is_installed(anew=True):
        return VerifyReport(comparing=coordinator.behind(adapter))
    rows, found = differences(adapter, coordinator)
    counts = Counter(kind for kind, _ in found)
    shown: Counter[str] = Counter()
    keys = []
    for kind, ref in found:
        shown[kind] += 1
        if shown[kind] <= SHOWN:
            keys.append((kind, str(ref)))
    status = outbox.status({name}).get(name)
    left = status.waiting + status.taken if status else 0
    return VerifyReport(
        rows=rows,
        missing=counts["missing"],
        stale=counts["stale"],
        ghosts=counts["ghosts"],
        failed=counts["failed"],
        waiting=left,
        keys=tuple(keys),
        comparing=coordinator.behind(adapter, anew=True),
    )


def differences(
    adapter: AdapterContract, coordinator: SyncCoordinator
) -> tuple[int, list[tuple[str, Ref | str]]]:
    """How many rows belong into the index, and (kind, ref) of each that is not as it should be; of
    a row no document can be made of, what it is called."""
    outbox = coordinator.outbox
    coordinator.agree()
    rows = 0
    failed = list[tuple[str, Ref | str]]()
    suspects = list[Ref]()
    for made in expected(adapter, outbox):
        rows += 1
        if isinstance(made, Failure):
            failed.append(("failed", made.what))
        elif _fault(adapter, made.ref, made):
            suspects.append(made.ref)
    for refs in indexed(adapter, outbox):
        wanted = {
            made.what if isinstance(made, Failure) else str(made.ref)
            for made in adapter.documents(refs)
        }
        suspects += [ref for ref in refs if str(ref) not in wanted]
    waiting = set(_canonical(adapter, outbox.keys(adapter.declaration.collection)))
    suspects = [ref for ref in suspects if ref.key not in waiting]
    unreadable = {what for _, what in failed}
    suspects = [ref for ref in suspects if str(ref) not in unreadable]
    # A row may have changed, and been worked off, between the two looks: only what differs again is
    # a difference.
    now = {made.ref: made for made in adapter.documents(suspects) if isinstance(made, Document)}
    judged = ((_fault(adapter, ref, now.get(ref)), ref) for ref in suspects)
    return rows, [*failed, *((kind, ref) for kind, ref in judged if kind)]


def _fault(adapter: AdapterContract, ref: Ref, wanted: Document | None) -> str:
    held = (adapter.core.tenant(ref.tenant) if ref.tenant else adapter.core).get(ref)
    if wanted is None:
        return "" if held is None else "ghosts"
    if held is None:
        return "missing"
    return "" if _same(held, wanted) else "stale"


def repair(adapter: AdapterContract, coordinator: SyncCoordinator) -> IngestReport:
    """See `BaseORMAdapter.repair`."""
    name = adapter.declaration.collection
    coordinator.outbox.create()
    found = [ref for _, ref in differences(adapter, coordinator)[1] if isinstance(ref, Ref)]
    if found:
        coordinator.agreement.begin_epoch()  # whatever the stamps say: the rows are right
        note(adapter, coordinator.outbox, found)
    report = coordinator.sync(None, collections={name})
    told = {failure.what for failure in report.failed}
    left = [] if not found else differences(adapter, coordinator)[1]
    differ = [
        Failure(str(ref), DIFFERS, f"After the repair it is still {kind}.")
        for kind, ref in left
        if kind != "failed" and str(ref) not in told
    ]
    return attrs.evolve(report, failed=(*report.failed, *differ))


def _canonical(adapter: AdapterContract, keys: Iterable[str]) -> Iterator[str]:
    """The keys of tickets as documents have them; those that cannot be used are nobody's."""
    for key in keys:
        try:
            yield adapter.canonical(key) if key else key
        except ValueError:
            continue


def _same(held: Document, wanted: Document) -> bool:
    """Whether a stored document is that of the row;
    a splitter may have read a title or metadata out of its text.
    """
    given = set(wanted.metadata.items()) <= set(held.metadata.items())
    exact = wanted.media_type != "text/plain" or len(held.metadata) == len(wanted.metadata)
    return (
        held.text == wanted.text
        and given
        and exact
        and (held.title == wanted.title or not wanted.title)
    )
