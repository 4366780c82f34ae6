"""Prices are data; a user may pass another."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from semantic_core.errors import ConfigError
from semantic_core.remote import MILLION, Price, price_of

PRICES = {"small": Price("0.02", 0.01, as_of=date(2026, 1, 2), source="a page")}


def test_a_price_is_that_of_a_million_tokens_and_exact() -> None:
    assert PRICES["small"].of(MILLION) == Decimal("0.02")
    assert PRICES["small"].of(3, "batch") == Decimal("0.00000003")


def test_a_price_that_was_given_comes_before_a_known_one() -> None:
    assert price_of("test", PRICES, "small") is PRICES["small"]
    mine = Price(1, 2, "EUR")
    assert price_of("test", PRICES, "small", mine) is mine
    fields = {"interactive": "1", "batch": 0.5, "as_of": "2026-11-20", "currency": "EUR"}
    made = price_of("test", PRICES, "unknown", fields)
    assert (made.interactive, made.currency, made.as_of) == (1, "EUR", date(2026, 11, 20))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "test: the price of 'unknown' is not known"),
        ({"interactive": 1}, "fields interactive, batch"),
        ({"interactive": 1, "batch": 1, "tax": 1}, "got interactive, batch, tax"),
        ({"interactive": -1, "batch": 1}, "at least 0, got -1"),
        ({"interactive": True, "batch": 1}, "got True"),
        ({"interactive": "much", "batch": 1}, "got 'much'"),
        ({"interactive": 1, "batch": 1, "as_of": "soon"}, "price.as_of must be a day"),
    ],
)
def test_what_is_no_price_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        price_of("test", PRICES, "unknown", given)
