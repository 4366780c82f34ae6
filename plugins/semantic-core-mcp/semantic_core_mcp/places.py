"""The URI of a document, by which an assistant cites it and a client reads it:
``semantic-core://documents/COLLECTION/KEY``, both percent-encoded.

Tested by tests/test_places.py.
"""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from semantic_core import Ref
from semantic_core.errors import InputError

SCHEME = "semantic-core://documents/"
TEMPLATE = f"{SCHEME}{{collection}}/{{key}}"
"""As RFC 6570 writes it, which escapes every "/" in a value."""


def uri_of(ref: Ref) -> str:
    """The URI of a document. It does not name the tenant, which the operator has fixed."""
    return f"{SCHEME}{quote(ref.collection, safe='')}/{quote(ref.key, safe='')}"


def ref_at(uri: str) -> Ref | None:
    """The document of a URI; None if no document can have it."""
    if not uri.startswith(SCHEME):
        return None
    parts = uri.removeprefix(SCHEME).partition("#")[0].split("/")
    if len(parts) != 2:
        return None
    try:
        collection, key = (unquote_to_bytes(part).decode("utf-8") for part in parts)
    except UnicodeDecodeError:
        return None
    return ref_of(collection, key)


def ref_of(collection: str, key: str) -> Ref | None:
    """The ref with these names; None if no document can have them."""
    try:
        return Ref(collection, key)
    except InputError:
        return None
