"""Reindex, verify and repair: each finds addresses and notes them; the usual road does the rest, so no order is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from semantic_core._sync import merged
from semantic_core.orm._contract import AdapterContract
from semantic_core.orm._hub import Hub
from semantic_core.orm._survey import expected, indexed, note, note_ghosts
from semantic_core.types import Document, Failure, IngestReport, Ref

BATCH = 1_000
"""Rows noted, and worked off, at a time."""
SHOWN = 100
"""Keys a report names of each kind."""

_CURSOR = "reindex"
"""The state that says after which row an interrupted reindex goes on."""


@attrs.frozen
class ReindexProgress:
    """How far a reindex is. rows: worked off so far; total: rows of the table when it began; failed: rows left out."""

    rows: int
    total: int
    failed: int


@attrs.frozen
class VerifyReport:
    """How the index differs from its table.

    rows: rows that belong into the index. missing, stale, ghosts: how many have no document, have another one than their
    row gives, and how many documents have no row. failed: rows no document can be made of. keys: (kind, ref) of the first of
    each kind. waiting: changes not worked off yet, whose rows are not counted as different.
    """

    rows: int = 0
    missing: int = 0
    stale: int = 0
    ghosts: int = 0
    failed: int = 0
    waiting: int = 0
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing differs."""
        return not (self.missing or self.stale or self.ghosts or self.failed)


def reindex(
    adapter: AdapterContract, hub: Hub, progress: Callable[[ReindexProgress], None] | None, *, resume: bool, batch: int
) -> IngestReport:
    """See `BaseORMAdapter.reindex`."""
    outbox, name = hub.outbox, adapter.declaration.collection
    outbox.create()
    total = outbox.count(adapter.table)
    after = outbox.get_state(name, _CURSOR) or None if resume else None
    report, rows = IngestReport(), 0
    while True:
        last = outbox.add_table(name, adapter.table, tenant_column=adapter.tenant_column, after=after, limit=batch)
        done = hub.sync(None, collections={adapter.declaration.collection})
        report, rows = merged(report, done), rows + done.added + done.updated + done.unchanged + done.removed
        if progress is not None:
            progress(ReindexProgress(rows, total, len(report.failed)))
        if last is None:
            break
        after = last
        outbox.set_state(name, _CURSOR, last)
    outbox.set_state(name, _CURSOR, "")
    if note_ghosts(adapter, outbox):
        report = merged(report, hub.sync(None, collections={adapter.declaration.collection}))
    return report


def verify(adapter: AdapterContract, hub: Hub) -> VerifyReport:
    """See `BaseORMAdapter.verify`."""
    outbox, name = hub.outbox, adapter.declaration.collection
    rows, found = differences(adapter, hub)
    counts = Counter(kind for kind, _ in found)
    shown: Counter[str] = Counter()
    keys = []
    for kind, ref in found:
        shown[kind] += 1
        if shown[kind] <= SHOWN:
            keys.append((kind, str(ref)))
    status = outbox.status({name}).get(name)
    left = status.waiting + status.backfill + status.taken if status else 0
    return VerifyReport(rows, counts["missing"], counts["stale"], counts["ghosts"], counts["failed"], left, tuple(keys))


def differences(adapter: AdapterContract, hub: Hub) -> tuple[int, list[tuple[str, Ref]]]:
    """How many rows belong into the index, and (kind, ref) of each that is not as it should be."""
    outbox = hub.outbox
    rows, failed, suspects = 0, [], []
    for made in expected(adapter, outbox):
        rows += 1
        if isinstance(made, Failure):
            failed.append(("failed", Ref(adapter.declaration.collection, made.what.partition("/")[2])))
        elif _fault(adapter, made.ref, made):
            suspects.append(made.ref)
    for refs in indexed(adapter, outbox):
        wanted = {made.what if isinstance(made, Failure) else str(made.ref) for made in adapter.documents(refs)}
        suspects += [ref for ref in refs if str(ref) not in wanted]
    waiting = {adapter.canonical(key) for key in outbox.keys(adapter.declaration.collection) if key}
    suspects = [ref for ref in suspects if ref.key not in waiting]
    # A row may have changed, and been worked off, between the two looks: only what differs again is a difference.
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


def repair(adapter: AdapterContract, hub: Hub) -> IngestReport:
    """See `BaseORMAdapter.repair`."""
    note(adapter, hub.outbox, [ref for kind, ref in differences(adapter, hub)[1] if kind != "failed"])
    return hub.sync(None, collections={adapter.declaration.collection})


def _same(held: Document, wanted: Document) -> bool:
    """Whether a stored document is that of the row; a splitter may have read a title or metadata out of its text."""
    given = set(wanted.metadata.items()) <= set(held.metadata.items())
    exact = wanted.media_type != "text/plain" or len(held.metadata) == len(wanted.metadata)
    return held.text == wanted.text and given and exact and (held.title == wanted.title or not wanted.title)
