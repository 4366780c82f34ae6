"""What is sent to a service cannot be read by anybody on the way."""

from __future__ import annotations

import pytest

from semantic_core.addresses import service_address
from semantic_core.errors import ConfigError


@pytest.mark.parametrize(
    "address",
    [
        "https://embed.example/v1",
        "https://embed.example:8443",
        "http://localhost:8080",
        "http://models.localhost",
        "http://127.3.2.1",
        "http://[::1]:9/v1",
    ],
)
def test_https_and_this_machine_are_allowed(address: str) -> None:
    assert service_address("base_url", address) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://embed.example",
        "http://127.0.0.1.example",
        "http://localhost@embed.example",
        "http://10.0.0.1",
        "http://2130706433",
        "http://[::2]",
        "ftp://embed.example",
        "embed.example",
        "https://",
        "https://embed.example:port",
        "http://[::1",
        "",
        None,
    ],
)
def test_everything_else_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="^base_url "):
        service_address("base_url", address)


def test_the_refusal_shows_no_password() -> None:
    with pytest.raises(ConfigError) as caught:
        service_address("base_url", "http://me:canary@embed.example/?key=canary")
    assert "embed.example" in str(caught.value) and "canary" not in str(caught.value)
