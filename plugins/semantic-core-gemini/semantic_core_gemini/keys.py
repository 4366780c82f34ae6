"""API keys: one for calls, one for batch jobs. Neither is ever shown.

Tested by tests/test_keys.py and tests/test_leaks.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from semantic_core.remote import Secret, as_secret, key_fault, read_key
from semantic_core_gemini.errors import BatchKeyMissing, KeyMalformed, KeyMissing

__all__ = ["GoogleKeyring"]

KEY_VARIABLE: Final = "GEMINI_API_KEY"
KEY_VARIABLES: Final = ("GOOGLE_API_KEY", KEY_VARIABLE)
"""Environment variables of the default key; the first that is set is used, as in google-genai."""
BATCH_KEY_VARIABLE: Final = "GEMINI_BATCH_KEY"
_NO_BATCH_KEY = "Batch operations require a dedicated API key"


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
            faults += [f"{name} {key_fault(value)}" for value in values if key_fault(value)]
            if None not in values:
                twice.append(name)
            if not faults:
                secrets[name] = as_secret(values[1] if values[0] is None else values[0])
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
        found = [read_key(variables, *KEY_VARIABLES), read_key(variables, BATCH_KEY_VARIABLE)]
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
