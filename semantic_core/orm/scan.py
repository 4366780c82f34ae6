"""The table scan: all rows of a table, and all documents of its index, a page at a time.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from semantic_core.errors import SemanticCoreError
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.paging import KeysetPages
from semantic_core.types import Document, Failure, Ref

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

SCAN_PAGE = 1_000
"""Rows, or documents, read at a time."""


def pages_of(adapter: AdapterContract) -> KeysetPages:
    """The keys of the rows of an index's table."""
    return KeysetPages(adapter.sql, adapter.table)


def expected(adapter: AdapterContract) -> Iterator[Document | Failure]:
    """The document of every row that belongs into the index; a Failure for each row whose document
    cannot be built.
    """
    yield from rows_without_key(adapter)
    pages = pages_of(adapter)
    keys = pages.page(None, SCAN_PAGE)
    while keys:
        yield from _expected_of(adapter, keys)
        keys = pages.page(keys[-1], SCAN_PAGE)


def _expected_of(adapter: AdapterContract, keys: Iterable[str]) -> Iterator[Document | Failure]:
    name = adapter.declaration.collection
    usable: list[str] = []
    for key in keys:
        try:
            usable.append(Ref(name, adapter.canonical(key)).key)
        except (ValueError, SemanticCoreError) as error:
            reason = f"The key {key!r} cannot be used: {error}"
            yield Failure(f"{name}/{key}", "InputError", reason)
    errors: dict[str, Exception] = {}
    without_tenants = adapter.declaration.tenant is None
    for key, instance in adapter.rows(usable, errors.__setitem__):
        made = adapter.made(key, instance)
        if made is None:
            continue
        if isinstance(made, Failure) or without_tenants or made.ref.tenant:
            yield made
    for key, raised in errors.items():
        yield adapter.unreadable(f"{name}/{key}", raised)


def rows_without_key(adapter: AdapterContract) -> list[Failure]:
    """One Failure for all rows whose key identifies no row; [] if there are none."""
    count = pages_of(adapter).count_without_key()
    if not count:
        return []
    rows = "1 row" if count == 1 else f"{count:,} rows"
    reason = (
        f"{rows} of {adapter.table.name} can be in no index: the primary key is NULL, or bytes in "
        "place of text. Give them keys."
    )
    return [Failure(f"{adapter.declaration.collection}: rows without a key", "InputError", reason)]


def indexed(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[list[Ref]]:
    """The refs of all documents in the index, a page at a time."""
    collections = [adapter.declaration.collection]
    for client in tenant_cores(adapter, outbox):
        core = client.unrestricted()
        offset = 0
        while True:
            page = core.documents(offset=offset, limit=SCAN_PAGE, collections=collections)
            if not page:
                break
            yield [summary.ref for summary in page]
            offset += len(page)


def without_row(adapter: AdapterContract, refs: Sequence[Ref]) -> list[Ref]:
    """Those of these documents that no row gives."""
    wanted: set[str] = set()
    for made in adapter.documents(refs):
        wanted.add(made.what if isinstance(made, Failure) else str(made.ref))
    return [ref for ref in refs if str(ref) not in wanted]


def tenant_cores(adapter: AdapterContract, outbox: SqlOutbox) -> Iterator[SemanticCore]:
    """The core for each tenant that has rows, pending changes or places; the core itself for an
    index without tenants.
    """
    if adapter.declaration.tenant is None:
        yield adapter.core
        return
    names = set(outbox.tenants(adapter.declaration.collection))
    if adapter.tenant_column is not None:
        names.update(pages_of(adapter).tenants(adapter.tenant_column))
    for tenant in sorted({adapter.tenant_name(name) for name in names if name}):
        yield adapter.core.tenant(tenant)


def add_changes(adapter: AdapterContract, outbox: SqlOutbox, refs: Iterable[Ref]) -> None:
    """Add a pending change for each of these documents, for this index alone."""
    by_tenant: dict[str, list[str]] = {}
    for ref in refs:
        tenant = "" if adapter.places_rows else ref.tenant
        by_tenant.setdefault(tenant, []).append(ref.key)
    for tenant, keys in by_tenant.items():
        outbox.add(adapter.declaration.collection, keys, tenant, consumer=outbox.consumer)
