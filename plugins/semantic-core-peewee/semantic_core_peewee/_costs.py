"""The ledger of money: what was paid, by day, tenant, collection, model and lane.

Amounts are whole numbers, see `PICO`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from semantic_core.batch import PICO, Cost, Rate
from semantic_core_peewee._pool import View

_ADD = """insert into cost (day, tenant, collection, model, lane, currency, passages, tokens,
    amount) values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update
    set passages = passages + excluded.passages,
    tokens = tokens + excluded.tokens, amount = amount + excluded.amount"""
_READ = """select day, tenant, collection, model, lane, passages, tokens, amount, currency from cost
    where day between ? and ? order by day, tenant, collection, model, lane, currency"""


def add_costs(view: View, rate: Rate, settled: Iterable[tuple[int, int]]) -> None:
    """Add what results cost. settled: (account, characters) of each."""
    sums: dict[int, tuple[int, int]] = {}
    for account, characters in settled:
        count, total = sums.get(account, (0, 0))
        sums[account] = (count + 1, total + characters)
    spent = {}
    for account, (count, characters) in sums.items():
        owner = view.raw.execute(
            "select tenant, collection from account where id = ?", (account,)
        ).get
        spent[owner] = (count, round(characters * rate.tokens_per_character))
    charge(view, rate, spent)


def charge(view: View, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """Add (passages, tokens) by (tenant, collection)."""
    about = (rate.model, rate.lane, rate.currency)
    rows = [
        (rate.day, *owner, *about, count, tokens, tokens * rate.pico)
        for owner, (count, tokens) in spent.items()
    ]
    view.raw.executemany(_ADD, rows)


def costs(view: View, since: str, until: str) -> list[Cost]:
    """The rows from one day to another."""
    found = view.raw.execute(_READ, (since, until))
    return [
        Cost(
            day, tenant, collection, model, lane, passages, tokens, Decimal(amount) / PICO, currency
        )
        for day, tenant, collection, model, lane, passages, tokens, amount, currency in found
    ]
