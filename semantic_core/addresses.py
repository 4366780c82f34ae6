"""Checks of addresses, for plugins that send texts or keys to a service.

Tested by tests/kernel/test_addresses.py.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from semantic_core.errors import ConfigError

__all__ = ["service_address"]


def service_address(option: str, address: str) -> str:
    """The address itself, if nobody else can read what is sent there: https:// to any host, http://
    to this machine only.

    option: its name in messages, such as ``"gemini: base_url"``. Raises ConfigError for any other
    address; the message shows no user name or password of the address.
    """
    try:
        parts = urlsplit(address)
        scheme = parts.scheme
        host = parts.hostname or ""
        _ = parts.port
    except (ValueError, TypeError, AttributeError):
        scheme = ""
        host = ""
    if scheme not in ("https", "http") or not host:
        raise ConfigError(
            f"{option} must begin with https:// (or http:// for this machine) and name a host."
        )
    if scheme == "http" and not _is_this_machine(host):
        raise ConfigError(
            f"{option} would send keys and texts to {host} as they are: http:// is for this "
            "machine only.",
            hint=f"Write https://{host}.",
        )
    return address


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
