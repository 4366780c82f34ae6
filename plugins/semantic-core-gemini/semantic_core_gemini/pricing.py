"""Google's prices per million tokens, with date and source, and the estimated price of an import.

Prices change more often than this package; pass your own (`Price`) where it matters.

Tested by tests/test_estimate.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import attrs

from semantic_core.batch import PriceTier
from semantic_core.remote import MILLION, Price

__all__ = ["MILLION", "PRICES", "Price", "PriceEstimate", "PriceTier"]

_PAGE = "https://ai.google.dev/gemini-api/docs/pricing"

PRICES: Final[Mapping[str, Price]] = {
    "gemini-embedding-001": Price("0.15", "0.075", as_of=date(2026, 4, 25), source=_PAGE),
    "gemini-embedding-2": Price("0.20", "0.10", as_of=date(2026, 3, 11), source=_PAGE),
}
"""Prices of text input in the paid tier, by dated copies of that page; a batch costs half."""


@attrs.frozen
class PriceEstimate:
    """The estimated cost of embedding some texts.

    texts: number of different texts. tokens: in all of them. counted: number of texts in the sample
    whose tokens the service counted; 0 if it was not asked. price: for both tiers. seconds: with
    interactive calls, by this embedder's rate limit.
    """

    texts: int
    tokens: int
    counted: int
    price: Price
    seconds: float

    def cost(self, tier: PriceTier = "interactive") -> Decimal:
        """The cost in this tier, in ``price.currency``."""
        return self.price.of(self.tokens, tier)
