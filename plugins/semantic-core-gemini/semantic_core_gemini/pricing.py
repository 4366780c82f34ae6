"""What texts cost, as data with a date and a source, and what an import is going to cost.

A price changes more often than this package does: pass your own (`Price`) where it matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final, Literal

import attrs

from semantic_core.errors import ConfigError

__all__ = [
    "PRICES",
    "Price",
    "PriceEstimate",
    "PriceTier",
    "price_of",
]

PriceTier = Literal["interactive", "batch"]

_PAGE = "https://ai.google.dev/gemini-api/docs/pricing"
MILLION = 1_000_000


def _amount(value: object) -> Decimal:
    """A Decimal of what a person writes: "0.15", 0.15, 1.

    Raises ConfigError for anything else, and below 0.
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
    """What a million tokens cost. interactive: at once. batch: in a job that may take a day.

    as_of: the day for which `source` gave these numbers; today for those that are given.
    """

    interactive: Decimal = attrs.field(converter=_amount)
    batch: Decimal = attrs.field(converter=_amount)
    currency: str = "USD"
    as_of: date = attrs.field(factory=date.today)
    source: str = "given"

    def of(self, tokens: int, tier: PriceTier = "interactive") -> Decimal:
        """The price of so many tokens, in `currency`, unrounded."""
        return (self.interactive if tier == "interactive" else self.batch) * tokens / MILLION


PRICES: Final[Mapping[str, Price]] = {
    "gemini-embedding-001": Price("0.15", "0.075", as_of=date(2026, 4, 25), source=_PAGE),
    "gemini-embedding-2": Price("0.20", "0.10", as_of=date(2026, 3, 11), source=_PAGE),
}
"""Text input of the paid tier, per million tokens, as dated copies of that page gave it.
A batch is half of it.
"""


def price_of(model: str, given: Price | Mapping[str, object] | None = None) -> Price:
    """The price of a model; `given` goes first: a Price, or its fields as settings write them.

    Raises ConfigError for fields that are none, and for a model without a known price.
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
                f"gemini: a price has the fields {wanted}, got {', '.join(map(str, fields))}."
            ) from error
    if model not in PRICES:
        raise ConfigError(f"gemini: no price is known of {model!r}.", hint="Pass price=.")
    return PRICES[model]


@attrs.frozen
class PriceEstimate:
    """What embedding some texts takes, before any of it is sent to be embedded.

    texts: how many different ones. tokens: of them. counted: texts of the sample the service
    counted; 0 if it was not asked.
    price: for both tiers. seconds: at the pace set for this embedder, interactively.
    """

    texts: int
    tokens: int
    counted: int
    price: Price
    seconds: float

    def cost(self, tier: PriceTier = "interactive") -> Decimal:
        """What it costs in that tier, in ``price.currency``."""
        return self.price.of(self.tokens, tier)
