"""Where Google's service expects the key, and the HTTP client that puts it there.

The google-genai client above it is created with a placeholder; see `semantic_core.remote.wire`.

Tested by tests/test_leaks.py and tests/test_proxy.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from semantic_core.remote import KeyPlace, Secret, http_client

if TYPE_CHECKING:
    import httpx2

PLACE: Final = KeyPlace(header="x-goog-api-key", prefix="", parameter="key")
"""The address of an upload, which the service answers with, may have the key."""
PLACEHOLDER: Final = "put-on-the-wire-later"
"""The key that the google-genai client is given."""
_DOWNLOAD: Final = ":download"


def is_download(path: str) -> bool:
    """Whether an answer to a request of this path is a file of results."""
    return path.endswith(_DOWNLOAD)


def keyed_client(
    secret: Secret, base_url: str, heard: Callable[[httpx2.Response], None]
) -> httpx2.Client:
    """An HTTP client for this host with this key. heard: called with each answer."""
    client = http_client(
        secret, base_url, PLACE, plugin="gemini", heard=heard, is_download=is_download
    )
    client.headers[PLACE.header] = PLACEHOLDER
    return client
