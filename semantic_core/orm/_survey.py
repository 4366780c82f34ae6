"""Rows and documents, looked through page by page: which there are,
and which are noted to be looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from semantic_core.errors import SemanticCoreError
from semantic_core.orm._contract import AdapterContract
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.types import Document, Failure, Ref

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

PAGE = 1_000
"""Rows, or documents, looked at a time."""


def note(adapter: AdapterContract, outbox: SqlOutbox, refs: Iterable[Ref]) -> None:
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
        keys = outbox.page(adapter.table, after, PAGE)
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
                offset=offset, limit=PAGE, collections=[adapter.declaration.collection]
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
