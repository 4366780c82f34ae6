"""Options are refused with the name of the plugin and the value."""

from __future__ import annotations

from typing import Any

import pytest

from semantic_core.errors import ConfigError
from semantic_core.remote import positive_seconds, whole_number


@pytest.mark.parametrize("value", [0, -1, 1.0, "5", None, True])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"test: size must be an int of at least 1, got"):
        whole_number("test", "size", value)
    assert whole_number("test", "size", 5) == 5 and whole_number("test", "size", 0, least=0) == 0


@pytest.mark.parametrize("value", [0, -1, "5", None, True, float("inf"), float("nan")])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="test: timeout must be a number of seconds above 0"):
        positive_seconds("test", "timeout", value)
    assert positive_seconds("test", "timeout", 5) == 5.0
