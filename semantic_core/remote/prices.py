"""`Price`: the price of a million tokens, with its date and source.

Prices change more often than a package; an embedder lets its users pass their own.

Tested by tests/remote/test_prices.py and plugins/semantic-core-gemini/tests/test_estimate.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import attrs

from semantic_core._jobs import PriceTier
from semantic_core.errors import ConfigError

MILLION: Final = 1_000_000


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
    raise ConfigError(f"A price must be a number of at least 0, got {value!r}.")


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


def price_of(
    plugin: str,
    prices: Mapping[str, Price],
    model: str,
    given: Price | Mapping[str, object] | None = None,
) -> Price:
    """The price of a model. given: one to use instead, as a Price or its fields from the settings.

    plugin: the name that messages begin with. prices: those that are known, by model. Raises
    ConfigError for unknown fields, and for a model without a known price.
    """
    if isinstance(given, Price):
        return given
    if given is not None:
        return _price_from(plugin, given)
    if model not in prices:
        raise ConfigError(
            f"{plugin}: the price of {model!r} is not known.",
            hint="Give it: price = {interactive = 0.1, batch = 0.05}, per million tokens.",
        )
    return prices[model]


def _price_from(plugin: str, given: Mapping[str, object]) -> Price:
    """The price of these fields. Raises ConfigError."""
    fields = dict(given)
    if isinstance(fields.get("as_of"), str):
        try:
            fields["as_of"] = date.fromisoformat(str(fields["as_of"]))
        except ValueError as error:
            raise ConfigError(
                f"{plugin}: price.as_of must be a day such as 2026-11-20, got {fields['as_of']!r}."
            ) from error
    try:
        return Price(**fields)  # type: ignore[arg-type]
    except TypeError as error:
        wanted = ", ".join(field.name for field in attrs.fields(Price))
        raise ConfigError(
            f"{plugin}: a price has the fields {wanted}; got {', '.join(map(str, fields))}."
        ) from error
