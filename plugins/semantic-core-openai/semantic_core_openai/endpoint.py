"""`Endpoint`: the addresses of a service, and where it expects the key.

Tested by tests/test_plugin.py and tests/test_keys.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlencode, urlsplit

import attrs

from semantic_core.addresses import service_address
from semantic_core.errors import ConfigError
from semantic_core.remote import KeyPlace

BASE_URL: Final = "https://api.openai.com/v1"
BASE_URL_VARIABLE: Final = "OPENAI_BASE_URL"
"""Environment variable for another address; the SDK of OpenAI reads it, too."""
BEARER: Final = KeyPlace("Authorization", "Bearer ")
AZURE: Final = KeyPlace("api-key", "")


@attrs.frozen
class Endpoint:
    """The address of a service.

    base_url: what all its addresses begin with, without a slash at the end. api_version: the
    parameter ``api-version`` of Azure, "" for none; with it the key goes into the header
    ``api-key``. given: whether the user named the address in an option.
    """

    base_url: str
    api_version: str
    given: bool

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own service."""
        return urlsplit(self.base_url).hostname == urlsplit(BASE_URL).hostname

    @property
    def is_this_machine(self) -> bool:
        """Whether it runs on this machine."""
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def key_place(self) -> KeyPlace:
        """Where the key goes."""
        return AZURE if self.api_version else BEARER

    def address(self, path: str, parameters: Mapping[str, str] = {}) -> str:
        """The whole address of a path such as "embeddings"."""
        asked = dict(parameters)
        if self.api_version:
            asked["api-version"] = self.api_version
        return f"{self.base_url}/{path}{'?' if asked else ''}{urlencode(asked)}"


def endpoint_of(base_url: str, api_version: str) -> Endpoint:
    """The endpoint of these options. base_url: "" for that of the environment, else OpenAI's.

    Raises ConfigError for an address whose texts and keys others could read.
    """
    if not isinstance(api_version, str):
        raise ConfigError(f"openai: api_version must be a str, got {api_version!r}.")
    address = base_url or os.environ.get(BASE_URL_VARIABLE, "") or BASE_URL
    checked = service_address("openai: base_url", address)
    if urlsplit(checked).query or urlsplit(checked).fragment:
        raise ConfigError(
            "openai: base_url must end with a path, got one with a query or a fragment.",
            hint="The version of Azure's interface is the option api_version.",
        )
    return Endpoint(checked.rstrip("/"), api_version, given=bool(base_url))
