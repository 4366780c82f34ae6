"""Prices per million tokens, with date and source, and the estimated price of an import.

Prices change more often than this package; pass your own (`Price`) where it matters.

Tested by tests/test_estimate.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final, Literal

import attrs

from semantic_core.errors import ConfigError

__all__ = ["PRICES", "Price", "PriceEstimate", "PriceTier", "price_of"]

PriceTier = Literal["interactive", "batch"]

_PAGE = "https://ai.google.dev/gemini-api/docs/pricing"
MILLION = 1_000_000


def _amount(value: object) -> Decimal:
    """A price such as "0.15", 0.15 or 1 as a Decimal.

    Raises ConfigError for anything else, and for a number below 0.
    """
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        try:
            amount = Decimal(str(value))
        except ArithmeticError:
            amount = Decimal("NaN")
        if amount.is_finite() and amount >= 0:
            return amount
    raise ConfigError(f"gemini: a price must be a number of at least 0, got {value!r}.")


@attrs.frozen
class Price:
    """The price of a million tokens. interactive: in calls. batch: in jobs, which may take a day.

    as_of: the day on which `source` gave these numbers; today by default.
    """

    interactive: Decimal = attrs.field(converter=_amount)
    batch: Decimal = attrs.field(converter=_amount)
    currency: str = "USD"
    as_of: date = attrs.field(factory=date.today)
    source: str = "given"

    def of(self, tokens: int, tier: PriceTier = "interactive") -> Decimal:
        """The price of this many tokens, in `currency`, not rounded."""
        per_million = self.interactive if tier == "interactive" else self.batch
        return per_million * tokens / MILLION


PRICES: Final[Mapping[str, Price]] = {
    "gemini-embedding-001": Price("0.15", "0.075", as_of=date(2026, 4, 25), source=_PAGE),
    "gemini-embedding-2": Price("0.20", "0.10", as_of=date(2026, 3, 11), source=_PAGE),
}
"""Prices of text input in the paid tier, by dated copies of that page; a batch costs half."""


def price_of(model: str, given: Price | Mapping[str, object] | None = None) -> Price:
    """The price of a model. given: one to use instead, as a Price or its fields from the settings.

    Raises ConfigError for unknown fields, and for a model without a known price.
    """
    if isinstance(given, Price):
        return given
    if given is not None:
        fields = dict(given)
        if isinstance(fields.get("as_of"), str):
            try:
                fields["as_of"] = date.fromisoformat(str(fields["as_of"]))
            except ValueError as error:
                raise ConfigError(
                    "gemini: price.as_of must be a day such as 2026-11-20, got "
                    f"{fields['as_of']!r}."
                ) from error
        try:
            return Price(**fields)  # type: ignore[arg-type]
        except TypeError as error:
            wanted = ", ".join(field.name for field in attrs.fields(Price))
            raise ConfigError(
                f"gemini: a price has the fields {wanted}; got {', '.join(map(str, fields))}."
            ) from error
    if model not in PRICES:
        raise ConfigError(f"gemini: the price of {model!r} is not known.", hint="Pass price=.")
    return PRICES[model]


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
