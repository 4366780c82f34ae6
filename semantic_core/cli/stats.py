"""``semantic-core stats``: how much there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semantic_core.cli._options import common, opened, tenant_option
from semantic_core.cli._output import fitted, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.types import StoreStats

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


@click.command()
@tenant_option
@common
def stats(tenant: str | None, as_json: bool, db: str | None) -> None:
    """How many documents and passages there are, in which collections, and in which space.

    Without --tenant the whole index is counted, of all tenants.
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
    pending = (
        f"{counts.pending:,} without a vector: ingest again to embed them" if counts.pending else ""
    )
    lines = [
        ("documents", f"{counts.documents:,}"),
        *((f"  {name}", f"{count:,}") for name, count in counts.collections.items()),
        ("passages", f"{counts.chunks:,}"),
        *([("pending", pending)] if pending else []),
        ("space", str(counts.space)),
        ("tenants", "kept apart" if counts.multi_tenant else "one"),
        *([("size", size(counts.bytes))] if counts.bytes else []),
    ]
    return lines + [
        (name, f"{value:,}" if type(value) is int else str(value))
        for name, value in counts.details.items()
    ]


def size(count: int) -> str:
    """Bytes as a person says them: 512 bytes, 1.5 MB."""
    amount = float(count)
    unit = 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount = amount / 1000
        unit = unit + 1
    return f"{count:,} bytes" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"
