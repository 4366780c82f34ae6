"""The options, checked once where they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from semantic_core.addresses import service_address
from semantic_core.errors import ConfigError
from semantic_core_gemini.keys import GoogleKeyring
from semantic_core_gemini.models import DIMENSIONS, MOST_TEXTS, Recipe, form_of, model_named
from semantic_core_gemini.pacing import Clock
from semantic_core_gemini.pricing import Price, price_of
from semantic_core_gemini.service import Reach, base_url_in_use

MODEL: Final = "gemini-embedding-001"
TASK: Final = "retrieval"
SIZE: Final = 768
"""Numbers per vector by default: a quarter of the room of the full size, for little loss."""
MAX_CHARS: Final = 2_000
"""Longest passage by default: about 400 words,
and never more tokens than any of the models reads.
"""
TEXTS_PER_MINUTE: Final = 3_000
TOKENS_PER_MINUTE: Final = 1_000_000
"""What the first paid tier allows a project. The service counts each text as one request,
also within a call.
"""


@attrs.frozen
class Common:
    """What both tiers need."""

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
    """These options, checked.

    Raises ConfigError on one that cannot be worked with, KeyMissing without a key.
    """
    known = model_named(model)
    form_of(known, task)
    whole("dimensions", dimensions)
    if dimensions not in DIMENSIONS:
        raise ConfigError(
            f"gemini: dimensions must be from {DIMENSIONS.start} to "
            f"{DIMENSIONS.stop - 1}, got {dimensions}."
        )
    if keyring is not None and not isinstance(keyring, GoogleKeyring):
        raise ConfigError(f"gemini: keyring must be a GoogleKeyring, got {type(keyring).__name__}.")
    address = service_address("gemini: base_url", base_url_in_use(base_url))
    reach = Reach(address, api_version, seconds("timeout", timeout), seconds("patience", patience))
    keys = keyring if keyring is not None else GoogleKeyring.from_env()
    return Common(
        keys, Recipe(known, task, dimensions), reach, clock or Clock(), price_of(known.name, price)
    )


def whole(name: str, value: object, *, least: int = 1) -> None:
    """Raises ConfigError unless it is an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"gemini: {name} must be an int of at least {least}, got {value!r}.")


def seconds(name: str, value: object) -> float:
    """As a float. Raises ConfigError unless it is a number above 0."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < float("inf")
    ):
        raise ConfigError(f"gemini: {name} must be a number of seconds above 0, got {value!r}.")
    return float(value)


def passage_limits(recipe: Recipe, max_chars: int, batch_size: int) -> None:
    """Raises ConfigError for passages the model would not read whole,
    and for more in a call than the service takes.
    """
    whole("max_chars", max_chars)
    whole("batch_size", batch_size)
    if batch_size > MOST_TEXTS:
        raise ConfigError(f"gemini: batch_size must be at most {MOST_TEXTS}, got {batch_size}.")
    if max_chars > recipe.model.tokens:
        raise ConfigError(
            (
                f"gemini: max_chars must be at most {recipe.model.tokens} with "
                f"{recipe.model.name}, got {max_chars}."
            ),
            hint="It reads so many tokens, and in some scripts a character is a token.",
        )
