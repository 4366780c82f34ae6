"""Checks of options that embedders of services have in common.

Tested by tests/remote/test_options.py.
"""

from __future__ import annotations

from semantic_core.errors import ConfigError


def whole_number(plugin: str, option: str, value: object, *, least: int = 1) -> int:
    """The value. plugin: the name that the message begins with.

    Raises ConfigError unless it is an int of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{plugin}: {option} must be an int of at least {least}, got {value!r}.")
    return value


def positive_seconds(plugin: str, option: str, value: object) -> float:
    """The value as a float. Raises ConfigError unless it is a finite number above 0."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < float("inf")
    ):
        raise ConfigError(f"{plugin}: {option} must be a number of seconds above 0, got {value!r}.")
    return float(value)
