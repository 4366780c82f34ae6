"""``semantic-core costs``: the cost of embedding by day, tenant, collection, model and price tier.

Tested by tests/cli/test_queue.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from semantic_core.cli._options import common, opened
from semantic_core.cli._output import render, table_width, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.batch import Cost


def _read_day(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\d{4}-\d\d(-\d\d)?", value):
        raise click.BadParameter(
            f"{value!r} is not a day such as 2026-01-31 or a month such as 2026-01."
        )
    return value


@click.command()
@click.option(
    "--since",
    metavar="DAY",
    callback=_read_day,
    help="From this day (2026-01-31) or month (2026-01) on, in UTC.",
)
@click.option(
    "--until", metavar="DAY", callback=_read_day, help="Up to and including this day or month."
)
@common
def costs(since: str | None, until: str | None, as_json: bool, db: str | None) -> None:
    """Show the cost of embedding, as counted on this computer.

    The bill of the provider may differ.
    """
    with opened(db) as core:
        rows = core.batch_manager.costs(since or _FIRST, f"{until}{_AFTER}" if until else _LAST)
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row.currency] = totals.get(row.currency, Decimal(0)) + row.amount
    if as_json:
        from semantic_core.cli._records import cost_json

        sums = {currency: str(total) for currency, total in totals.items()}
        write_json({"costs": [cost_json(row) for row in rows], "totals": sums})
    elif not rows:
        write("There are no costs.")
    else:
        write(_table(rows, totals))


# Days are compared as texts, so these bounds sort around "2026-01-31".
_FIRST = ""
_LAST = "9"
_AFTER = "~"


def _table(rows: Sequence[Cost], totals: dict[str, Decimal]) -> str:
    from rich.table import Table
    from rich.text import Text

    has_tenants = any(row.tenant for row in rows)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    names = ["day", "collection", "model", "tier"]
    if has_tenants:
        names.insert(1, "tenant")
    for name in names:
        table.add_column(name, overflow="fold")
    for name in ("passages", "tokens", "amount"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = [row.day, visible(row.collection), visible(row.model), row.tier]
        if has_tenants:
            cells.insert(1, visible(row.tenant))
        amount = f"{row.amount:,.6f} {row.currency}"
        cells += [f"{row.passages:,}", f"{row.tokens:,}", amount]
        table.add_row(*map(Text, cells))
    for currency, total in totals.items():
        cells = ["total", *[""] * (len(names) - 1), "", "", f"{total:,.6f} {currency}"]
        table.add_row(*map(Text, cells), style="bold")
    return render(table, width=table_width())
