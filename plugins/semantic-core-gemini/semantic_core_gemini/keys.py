"""Keys: one for every day, one for batches, and neither ever seen."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from semantic_core_gemini.errors import BatchKeyMissing, KeyMalformed, KeyMissing

__all__ = ["GoogleKeyring", "Secret"]

KEY_VARIABLE: Final = "GEMINI_API_KEY"
KEY_VARIABLES: Final = ("GOOGLE_API_KEY", KEY_VARIABLE)
"""Environment variables the key for every day is read from; the first that is set counts, as it
does for google-genai.
"""
BATCH_KEY_VARIABLE: Final = "GEMINI_BATCH_KEY"
MASK: Final = "***"
"""What stands wherever a key would."""
SHORTEST_MASKED: Final = 8
"""Characters; a real key has 39 or more."""
_NO_BATCH_KEY = "Batch operations require a dedicated API key"


class Secret:
    """A key that does not show itself: not in repr, str, format, JSON, pickles or attrs.asdict.

    It is equal to a Secret, or a str, of the same text. `reveal()` gives the text.
    """

    __slots__ = ("__weakref__", "_text")
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """The key itself. Do not keep it in a variable longer than a call."""
        return self._text

    def mask(self, text: str) -> str:
        """The text with ``***`` wherever the key stands in it.

        A text too short to be a key (in a test, say) is not looked for: it would be found within
        ordinary words.
        """
        return text.replace(self._text, MASK) if len(self._text) >= SHORTEST_MASKED else text

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("A Secret does not change.")

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
            "A Secret cannot be pickled; read the key from the environment on the other side."
        )


def _fault(key: object) -> str:
    """What is wrong with a key, without a letter of it; "" if nothing is."""
    if isinstance(key, Secret):
        key = key.reveal()
    if not isinstance(key, str):
        return f"must be a str, got {type(key).__name__}"
    if not key.strip():
        return "is empty"
    if not (key.strip().isascii() and key.strip().isprintable()) or any(
        mark.isspace() for mark in key.strip()
    ):
        return f"holds a character no key has (of {len(key)} characters)"
    return ""


def _read(variables: Mapping[str, str], *names: str) -> Secret | None:
    return next(
        (Secret(variables[name].strip()) for name in names if variables.get(name, "").strip()), None
    )


def _kept(key: str | Secret | None) -> Secret | None:
    return key if key is None or isinstance(key, Secret) else Secret(key.strip())


@attrs.frozen(init=False)
class GoogleKeyring:
    """The keys of one tenant or application.

    Nothing global: every embedder is given the keyring it uses.

    default_key: for queries and for documents embedded at once. batch_key: for batch jobs; None
    allows none. Quotas are a project's, not a key's: only a key of another project keeps a large
    import from using up the quota the application lives on. ``default=`` and ``batch=`` are
    accepted, too. Raises KeyMissing without a default key, KeyMalformed for what cannot be a key
    and for one key in both places; neither shows it.
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
        faults = [
            f"{name} {_fault(one)}"
            for name, two in given.items()
            for one in two
            if one is not None and _fault(one)
        ]
        twice = [name for name, two in given.items() if None not in two]
        kept = {
            name: _kept(two[0] if two[0] is not None else two[1])
            for name, two in given.items()
            if not faults
        }
        # So that no frame of a traceback holds a key in the clear.
        del default_key, batch_key, default, batch, given
        if faults:
            raise KeyMalformed(
                f"{faults[0]}.", hint="A key is printable ASCII without white space."
            )
        if twice:
            raise KeyMalformed(f"{twice[0]} was given twice, under both of its names.")
        if kept["default_key"] is None:
            raise KeyMissing(
                "No Gemini API key was given.", hint=f"Set {KEY_VARIABLE}, or pass default_key."
            )
        if kept["default_key"] == kept["batch_key"]:
            raise KeyMalformed(
                "default_key and batch_key are the same key.",
                hint="Jobs take a key of another project, which has a quota of its own.",
            )
        self.__attrs_init__(default_key=kept["default_key"], batch_key=kept["batch_key"])

    if TYPE_CHECKING:

        def __attrs_init__(self, **fields: Any) -> None: ...

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> GoogleKeyring:
        """The keys in GOOGLE_API_KEY (or GEMINI_API_KEY) and GEMINI_BATCH_KEY;
        a blank one counts as not set.

        Raises KeyMissing if there is none for every day.
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
                    f"Set {BATCH_KEY_VARIABLE} or pass batch_key: the default key is "
                    "never used for batches."
                ),
            )
        return self.batch_key
