"""The options of embedder and batch client: their defaults and their checks.

Tested by tests/test_plugin.py and tests/test_embedder.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from semantic_core.addresses import service_address
from semantic_core.errors import ConfigError
from semantic_core.remote import Clock, Price, positive_seconds, price_of, whole_number
from semantic_core_gemini.keys import GoogleKeyring
from semantic_core_gemini.models import DIMENSIONS, MOST_TEXTS, Recipe, form_of, model_named
from semantic_core_gemini.pricing import PRICES
from semantic_core_gemini.service import Reach, base_url_in_use

PLUGIN: Final = "gemini"
"""The name that messages begin with."""
MODEL: Final = "gemini-embedding-001"
TASK: Final = "retrieval"
SIZE: Final = 768
"""Numbers per vector by default: a quarter of the full size, with a small loss of quality."""
MAX_CHARS: Final = 2_000
"""Longest passage by default, in characters: about 400 words.

No model reads fewer tokens than this.
"""
TEXTS_PER_MINUTE: Final = 3_000
TOKENS_PER_MINUTE: Final = 1_000_000
"""The limits of the first paid tier for a project.

The service counts each text as a request, even if one call contains several.
"""


@attrs.frozen
class Common:
    """The checked options that interactive calls and batch jobs share."""

    keyring: GoogleKeyring
    recipe: Recipe
    reach: Reach
    clock: Clock
    price: Price


def common(
    keyring: GoogleKeyring | None,
    *,
    model: str,
    dimensions: int,
    task: str,
    timeout: float,
    patience: float,
    base_url: str,
    api_version: str,
    price: Price | Mapping[str, object] | None,
    clock: Clock | None,
) -> Common:
    """Check these options. Raises ConfigError for an invalid one, KeyMissing without a key."""
    known = model_named(model)
    form_of(known, task)
    whole_number(PLUGIN, "dimensions", dimensions)
    if dimensions not in DIMENSIONS:
        raise ConfigError(
            f"gemini: dimensions must be from {DIMENSIONS.start} to "
            f"{DIMENSIONS.stop - 1}, got {dimensions}."
        )
    if keyring is not None and not isinstance(keyring, GoogleKeyring):
        raise ConfigError(f"gemini: keyring must be a GoogleKeyring, got {type(keyring).__name__}.")
    address = service_address("gemini: base_url", base_url_in_use(base_url))
    reach = Reach(
        address,
        api_version,
        positive_seconds(PLUGIN, "timeout", timeout),
        positive_seconds(PLUGIN, "patience", patience),
    )
    keys = keyring if keyring is not None else GoogleKeyring.from_env()
    return Common(
        keyring=keys,
        recipe=Recipe(known, task, dimensions),
        reach=reach,
        clock=clock or Clock(),
        price=price_of(PLUGIN, PRICES, known.name, price),
    )


def passage_limits(recipe: Recipe, max_chars: int, batch_size: int) -> None:
    """Check `max_chars` against the model's limit, and `batch_size` against that of the service.

    Raises ConfigError.
    """
    whole_number(PLUGIN, "max_chars", max_chars)
    whole_number(PLUGIN, "batch_size", batch_size)
    if batch_size > MOST_TEXTS:
        raise ConfigError(f"gemini: batch_size must be at most {MOST_TEXTS}, got {batch_size}.")
    if max_chars > recipe.model.tokens:
        raise ConfigError(
            f"gemini: max_chars must be at most {recipe.model.tokens} with "
            f"{recipe.model.name}, got {max_chars}.",
            hint="The model reads this many tokens, and in some scripts a character is a token.",
        )
