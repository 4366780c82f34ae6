"""``semantic-core stats``: documents, passages, collections and size of the index.

Tested by tests/cli/test_search.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semantic_core.cli._options import common, opened, tenant_option
from semantic_core.cli._output import fitted, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.types import StoreStats


@click.command()
@tenant_option
@common
def stats(tenant: str | None, as_json: bool, db: str | None) -> None:
    """Show the number of documents and passages, the collections, the vector space and the size.

    Without --tenant, the documents of all tenants are counted.
    """
    with opened(db, tenant) as core:
        counts = core.stats(all_tenants=tenant is None)
    if as_json:
        from semantic_core.cli._records import stats_json

        write_json(stats_json(counts))
        return
    for name, value in _lines(counts):
        write(fitted(f"{visible(name).ljust(13)} {visible(value)}", indent=14))


def _lines(counts: StoreStats) -> list[tuple[str, str]]:
    """(name, value) of each line that is printed."""
    lines = [("documents", f"{counts.documents:,}")]
    for collection, count in counts.collections.items():
        lines.append((f"  {collection}", f"{count:,}"))
    lines.append(("passages", f"{counts.chunks:,}"))
    if counts.pending:
        pending = f"{counts.pending:,} without a vector; ingest again to embed them"
        lines.append(("pending", pending))
    lines.append(("space", str(counts.space)))
    lines.append(("tenants", "separated" if counts.multi_tenant else "one"))
    if counts.bytes:
        lines.append(("size", size(counts.bytes)))
    for name, detail in counts.details.items():
        is_whole_number = type(detail) is int
        lines.append((name, f"{detail:,}" if is_whole_number else str(detail)))
    return lines


_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Bytes in a readable unit: 512 bytes, 1.5 MB. One KB is 1,000 bytes."""
    amount = float(count)
    unit = 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount = amount / 1000
        unit = unit + 1
    return f"{count:,} bytes" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"
