"""Rows and documents, looked through page by page: which there are, and which are noted to be looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from semantic_core.orm._contract import AdapterContract
from semantic_core.orm._values import canonical_tenant
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.types import Document, Failure, Ref

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

PAGE = 1_000
"""Rows, or documents, looked at a time."""


def note_all(adapter: AdapterContract, outbox: SqlOutbox) -> None:
    """Note every row, to be worked off after the changes."""
    outbox.add_table(adapter.declaration.collection, adapter.table, tenant_column=adapter.tenant_column)


def note_ghosts(adapter: AdapterContract, outbox: SqlOutbox) -> int:
    """Note every document that has no row; how many there are."""
    count = 0
    for refs in indexed(adapter, outbox):
        there = {key for key, _ in adapter.rows(ref.key for ref in refs)}
        gone = [ref for ref in refs if ref.key not in there]
        note(adapter, outbox, gone)
        count += len(gone)
    return count


def note(adapter: AdapterContract, outbox: SqlOutbox, refs: Iterable[Ref]) -> None:
    """Note these, whatever they are: each is read when it is worked off."""
    by_tenant: dict[str, list[str]] = {}
    for ref in refs:
        by_tenant.setdefault("" if adapter.places_rows else ref.tenant, []).append(ref.key)
    for tenant, keys in by_tenant.items():
        outbox.add(adapter.declaration.collection, keys, tenant)


def expected(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[Document | Failure]:
    """The document every row should have, of those that belong into the index; a Failure for one that cannot be made."""
    after: str | None = None
    while True:
        keys = outbox.page(adapter.table, after, PAGE)
        if not keys:
            return
        after = keys[-1]
        for key, instance in adapter.rows(map(adapter.canonical, keys)):
            made = adapter.made(key, instance)
            if isinstance(made, Failure) or (made and (made.ref.tenant or adapter.declaration.tenant is None)):
                yield made


def indexed(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[list[Ref]]:
    """What the index holds, a page at a time."""
    for core in _front_doors(adapter, outbox):
        offset = 0
        while True:
            page = core.documents(offset=offset, limit=PAGE, collections=[adapter.declaration.collection])
            if not page:
                break
            yield [summary.ref for summary in page]
            offset += len(page)


def _front_doors(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[SemanticCore]:
    """The core as every tenant sees it that has rows, or had some that were noted."""
    if adapter.declaration.tenant is None:
        yield adapter.core
        return
    names = outbox.tenants(adapter.declaration.collection, adapter.table, adapter.tenant_column)
    for tenant in sorted({canonical_tenant(name) for name in names if name}):
        yield adapter.core.tenant(tenant)
