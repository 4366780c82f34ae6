"""Totals of each tenant, and their revision: what every write adds, a row each, and the sum.

Writers only add rows, so none waits for another. The revision is the exclusive or of a random mark
of each row; it stays the same when rows are put together.

Tested by tests/test_contract.py and tests/test_writing.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import NamedTuple

from semantic_core_postgres.pool import View

WHOLE_STORE = ""
"""The tenant whose revision changes with that of every other."""
MOST_ROWS = 64
"""Rows of one tenant, about; of more, a writer puts them together."""

_ADD = "insert into {s}.total (tenant, mark, chunks, length) values (%s, %s, %s, %s)"
_SUM = """select coalesce(sum(chunks), 0)::bigint, coalesce(sum(length), 0)::bigint
    from {s}.total where tenant = %s"""
_REVISION = "select bit_xor(mark) from {s}.total where tenant = %s"
_TOGETHER = """with gone as (
        delete from {s}.total
        where (tenant, id) in (
            select tenant, id from {s}.total where tenant = %s order by id for update skip locked)
        returning mark, chunks, length)
    insert into {s}.total (tenant, mark, chunks, length)
    select %s, bit_xor(mark), sum(chunks), sum(length) from gone having count(*) > 0"""


class Change(NamedTuple):
    """What a write adds to a tenant's totals. length: in terms."""

    chunks: int = 0
    length: int = 0


def add(view: View, changes: Mapping[str, Change]) -> None:
    """Add to the totals of these tenants, and give them and the whole store new revisions."""
    if not changes:
        return
    rows = []
    for tenant, change in sorted(changes.items()):
        rows.append((tenant, _mark(), change.chunks, change.length))
    if WHOLE_STORE not in changes:
        rows.append((WHOLE_STORE, _mark(), 0, 0))
    view.many(_ADD, rows)
    if secrets.randbelow(MOST_ROWS) == 0:
        for tenant, *_ in rows:
            view.run(_TOGETHER, (tenant, tenant))


def _mark() -> int:
    return secrets.randbits(63)


def of(view: View, tenant: str) -> Change:
    """The totals of a tenant."""
    chunks, length = view.row(_SUM, (tenant,)) or (0, 0)
    return Change(int(chunks), int(length))


def revision(view: View, tenant: str) -> str:
    """The revision of a tenant; "0" before the first write."""
    return str(view.value(_REVISION, (tenant,)) or 0)
