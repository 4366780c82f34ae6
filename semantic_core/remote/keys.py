"""`Secret`, a key that does not show itself, and the checks of a key.

Tested by tests/remote/test_keys.py and plugins/semantic-core-gemini/tests/test_leaks.py.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NoReturn

MASK: Final = "***"
"""The text that replaces a key."""
SHORTEST_MASKED: Final = 8
"""Shortest key that is masked, in characters; keys of services are longer."""


class Secret:
    """A key that does not show itself: not in repr, str, format, JSON, pickles or attrs.asdict.

    It equals a Secret or a str with the same text. `reveal()` returns the text.
    """

    __slots__ = ("__weakref__", "_text")
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """The key itself. Do not hold it in a variable longer than for a call."""
        return self._text

    def mask(self, text: str) -> str:
        """The text with ``***`` in place of the key.

        A key of fewer than SHORTEST_MASKED characters, as in a test, is not masked, because it
        could be part of an ordinary word.
        """
        return text.replace(self._text, MASK) if len(self._text) >= SHORTEST_MASKED else text

    def account(self, person: str) -> str:
        """A hash of the key, which tells whether two jobs were made with the same one.

        person: up to 16 ASCII characters that are the service's own.
        """
        key = self._text.encode()
        return blake2b(key, digest_size=8, person=person.encode()).hexdigest()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("A Secret is immutable.")

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Secret | str):
            text = other._text if isinstance(other, Secret) else other
            return hmac.compare_digest(self._text.encode(), text.encode("utf-8", "surrogatepass"))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A Secret cannot be pickled; read the key from the environment in the other process."
        )


def key_fault(key: object) -> str:
    """What is wrong with a key, without showing any of it; "" if it is valid, or None."""
    if key is None:
        return ""
    if isinstance(key, Secret):
        key = key.reveal()
    if not isinstance(key, str):
        return f"must be a str, got {type(key).__name__}"
    if not key.strip():
        return "is empty"
    if not re.fullmatch("[!-~]+", key.strip()):
        return f"contains a character that no key has (of {len(key)} characters)"
    return ""


def read_key(variables: Mapping[str, str], *names: str) -> Secret | None:
    """The key in the first of these variables that is set and not blank; None if there is none."""
    for name in names:
        text = variables.get(name, "").strip()
        if text:
            return Secret(text)
    return None


def as_secret(key: str | Secret | None) -> Secret | None:
    """The key as a Secret, without white space around it; None if there is none."""
    return key if key is None or isinstance(key, Secret) else Secret(key.strip())
