"""Addresses of services, for plugins that send texts or keys to one."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from semantic_core.errors import ConfigError

__all__ = ["service_address"]


def service_address(option: str, address: str) -> str:
    """The address, if what is sent there can be read by nobody on the way: https:// to any host,
    http:// to this machine only.

    option: how a message names it, such as ``"gemini: base_url"``. Raises ConfigError for anything
    else; the message shows neither the name nor the password that stand in the address.
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
