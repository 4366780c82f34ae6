"""The models that are known: their dimensions, limits and prices. Any other model needs options.

Prices change more often than this package; pass your own (`Price`) where it matters.

Tested by tests/test_plugin.py and tests/test_kernel.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

import attrs

from semantic_core.remote import Price, TokenRule

RULE: Final = TokenRule(
    latin_word=9, latin_piece=5.0, other_piece=2.2, dense=1.1, digit=0.5, sure=0.9
)
"""Tokens of OpenAI's tokenizer, estimated; other servers have other tokenizers, which make about as
many.
"""


@attrs.frozen
class KnownModel:
    """A model. dimensions: of its whole vectors. shortens: whether it has shorter ones too. tokens:
    its limit for a text.
    """

    name: str
    dimensions: int
    shortens: bool
    tokens: int = 8_192


MODELS: Final[Mapping[str, KnownModel]] = {
    "text-embedding-3-small": KnownModel("text-embedding-3-small", 1_536, True),
    "text-embedding-3-large": KnownModel("text-embedding-3-large", 3_072, True),
    "text-embedding-ada-002": KnownModel("text-embedding-ada-002", 1_536, False),
}
"""OpenAI's embedding models. Their vectors cannot be compared with each other's."""

_PAGE: Final = "https://developers.openai.com/api/docs/pricing"
PRICES: Final[Mapping[str, Price]] = {
    "text-embedding-3-small": Price("0.02", "0.01", as_of=date(2026, 7, 3), source=_PAGE),
    "text-embedding-3-large": Price("0.13", "0.065", as_of=date(2026, 5, 1), source=_PAGE),
    "text-embedding-ada-002": Price("0.10", "0.05", as_of=date(2026, 5, 1), source=_PAGE),
}
"""Prices by dated reports of that page; a batch costs half."""
FREE: Final = Price(0, 0, source="a server on this machine")
