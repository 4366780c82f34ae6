"""The ledger of money: what was paid, by day, tenant, collection, model and lane.

Amounts are whole numbers, see `PICO`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from semantic_core.batch import PICO, Cost, Rate
from semantic_core_peewee._pool import View

_ADD = """insert into cost (day, tenant, collection, model, lane, currency, passages, tokens,
    amount) values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update
    set passages = passages + excluded.passages,
    tokens = tokens + excluded.tokens, amount = amount + excluded.amount"""
_READ = """select day, tenant, collection, model, lane, passages, tokens, amount, currency from cost
    where day between ? and ? order by day, tenant, collection, model, lane, currency"""


def charge_results(
    view: View, rate: Rate, paid: Mapping[str, tuple[int, int]], tokens: Mapping[str, int]
) -> int:
    """Add what results cost; how many tokens that were. paid: (account, characters) of each, by
    fingerprint. tokens: of those its provider counted.
    """
    counts, told, untold = Counter[int](), Counter[int](), Counter[int]()
    for name, (account, characters) in paid.items():
        counts[account] += 1
        if name in tokens:
            told[account] += tokens[name]
        else:
            untold[account] += characters
    spent = {}
    for account, count in counts.items():
        owner = view.raw.execute(
            "select tenant, collection from account where id = ?", (account,)
        ).get
        spent[owner] = (count, told[account] + round(untold[account] * rate.tokens_per_character))
    charge(view, rate, spent)
    return sum(sum_ for _, sum_ in spent.values())


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
