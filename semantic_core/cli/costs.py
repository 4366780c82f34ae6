"""``semantic-core costs``: what embedding has cost, by day, tenant, collection, model and tier;
queries are a tier.
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


def _day(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\d{4}-\d\d(-\d\d)?", value):
        raise click.BadParameter(
            f"{value!r} is no day such as 2026-01-31, nor a month such as 2026-01."
        )
    return value


@click.command()
@click.option(
    "--since",
    metavar="DAY",
    callback=_day,
    help="Not before this day (2026-01-31) or month (2026-01), UTC.",
)
@click.option("--until", metavar="DAY", callback=_day, help="Not after this day or month.")
@common
def costs(since: str | None, until: str | None, as_json: bool, db: str | None) -> None:
    """What embedding has cost, by this computer's own count;
    the provider's bill is the one that is paid.
    """
    with opened(db) as core:
        rows = core.batch_manager.costs(since or "", f"{until}~" if until else "9")
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row.currency] = totals.get(row.currency, Decimal(0)) + row.amount
    if as_json:
        from semantic_core.cli._records import cost_json

        write_json(
            {
                "costs": [cost_json(row) for row in rows],
                "totals": {name: str(sum_) for name, sum_ in totals.items()},
            }
        )
    elif not rows:
        write("Nothing was spent.")
    else:
        write(_table(rows, totals))


def _table(rows: Sequence[Cost], totals: dict[str, Decimal]) -> str:
    from rich.table import Table
    from rich.text import Text

    tenants = any(row.tenant for row in rows)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("day", *(("tenant",) if tenants else ()), "collection", "model", "tier"):
        table.add_column(name, overflow="fold")
    for name in ("passages", "tokens", "amount"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        about = [row.day, *((row.tenant,) if tenants else ()), row.collection, row.model, row.tier]
        numbers = [f"{row.passages:,}", f"{row.tokens:,}", f"{row.amount:,.6f} {row.currency}"]
        table.add_row(*map(Text, [*map(visible, about), *numbers]))
    for currency, total in totals.items():
        empty = [""] * (3 + tenants)
        table.add_row(
            *map(Text, ["total", *empty, "", "", f"{total:,.6f} {currency}"]), style="bold"
        )
    return render(table, width=table_width())
