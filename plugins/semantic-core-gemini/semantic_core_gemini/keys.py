"""API keys: one for calls, one for batch jobs. Neither is ever shown.

Tested by tests/test_keys.py and tests/test_leaks.py.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from semantic_core_gemini.errors import BatchKeyMissing, KeyMalformed, KeyMissing

__all__ = ["GoogleKeyring", "Secret"]

KEY_VARIABLE: Final = "GEMINI_API_KEY"
KEY_VARIABLES: Final = ("GOOGLE_API_KEY", KEY_VARIABLE)
"""Environment variables of the default key; the first that is set is used, as in google-genai."""
BATCH_KEY_VARIABLE: Final = "GEMINI_BATCH_KEY"
MASK: Final = "***"
"""The text that replaces a key."""
SHORTEST_MASKED: Final = 8
"""Shortest key that is masked, in characters; a real key has 39 or more."""
_NO_BATCH_KEY = "Batch operations require a dedicated API key"


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


def _fault(key: object) -> str:
    """What is wrong with a key, without showing any of it; "" if it is valid."""
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


def _read(variables: Mapping[str, str], *names: str) -> Secret | None:
    """The key in the first of these variables that is set and not blank; None if there is none."""
    for name in names:
        text = variables.get(name, "").strip()
        if text:
            return Secret(text)
    return None


def _as_secret(key: str | Secret | None) -> Secret | None:
    return key if key is None or isinstance(key, Secret) else Secret(key.strip())


@attrs.frozen(init=False)
class GoogleKeyring:
    """The keys of one tenant or application.

    There is no global keyring: every embedder has its own.

    default_key: for queries and for documents that are embedded in calls. batch_key: for batch
    jobs; None disables them. A quota belongs to a project, not to a key: use a batch key of another
    project, so that a large import does not use up the quota of the application. ``default=`` and
    ``batch=`` are accepted, too. Raises KeyMissing without a default key, KeyMalformed for a value
    that cannot be a key, and for the same key in both places; neither shows it.
    """

    default_key: Secret
    batch_key: Secret | None

    def __init__(
        self,
        default_key: str | Secret | None = None,
        batch_key: str | Secret | None = None,
        *,
        default: str | Secret | None = None,
        batch: str | Secret | None = None,
    ) -> None:
        given = {"default_key": (default_key, default), "batch_key": (batch_key, batch)}
        faults = []
        twice = []
        secrets: dict[str, Secret | None] = {}
        for name, values in given.items():
            faults += [f"{name} {_fault(value)}" for value in values if _fault(value)]
            if None not in values:
                twice.append(name)
            if not faults:
                secrets[name] = _as_secret(values[1] if values[0] is None else values[0])
        # So that no frame of a traceback contains a key.
        del default_key, batch_key, default, batch, given, name, values
        if faults:
            raise KeyMalformed(
                f"{faults[0]}.", hint="A key is printable ASCII without white space."
            )
        if twice:
            raise KeyMalformed(f"{twice[0]} was given twice, under both of its names.")
        if secrets["default_key"] is None:
            raise KeyMissing(
                "No Gemini API key was given.", hint=f"Set {KEY_VARIABLE}, or pass default_key."
            )
        if secrets["default_key"] == secrets["batch_key"]:
            raise KeyMalformed(
                "default_key and batch_key are the same key.",
                hint="Use a key of another project for jobs; each project has its own quota.",
            )
        self.__attrs_init__(default_key=secrets["default_key"], batch_key=secrets["batch_key"])

    if TYPE_CHECKING:

        def __attrs_init__(self, **fields: Any) -> None: ...

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> GoogleKeyring:
        """The keys in GOOGLE_API_KEY (or GEMINI_API_KEY) and GEMINI_BATCH_KEY.

        A blank variable counts as not set. Raises KeyMissing without a default key.
        """
        variables = os.environ if environment is None else environment
        found = [_read(variables, *KEY_VARIABLES), _read(variables, BATCH_KEY_VARIABLE)]
        del variables, environment  # as above
        return cls(*found)

    def for_batches(self) -> Secret:
        """The key for batches.

        Raises BatchKeyMissing (a ConfigError and a ValueError) if there is none.
        """
        if self.batch_key is None:
            raise BatchKeyMissing(
                _NO_BATCH_KEY,
                hint=(
                    f"Set {BATCH_KEY_VARIABLE} or pass batch_key; the default key is "
                    "never used for batch jobs."
                ),
            )
        return self.batch_key
