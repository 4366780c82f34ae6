"""API keys: one for calls, and possibly another for batch jobs. Neither is ever shown.

Tested by tests/test_keys.py and tests/test_leaks.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from semantic_core.remote import KeyMalformed, KeyMissing, Secret, as_secret, key_fault, read_key

__all__ = ["OpenAIKeyring"]

KEY_VARIABLE: Final = "OPENAI_API_KEY"


@attrs.frozen(init=False)
class OpenAIKeyring:
    """The keys of one tenant or application.

    There is no global keyring: every embedder has its own.

    default_key: for calls; None for a server without keys, such as one on this machine. batch_key:
    for batch jobs; without it, the default key is used for them too. Raises KeyMalformed for a
    value that cannot be a key; the message does not show it.
    """

    default_key: Secret | None
    batch_key: Secret | None

    def __init__(
        self,
        default_key: str | Secret | None = None,
        batch_key: str | Secret | None = None,
    ) -> None:
        faults = []
        for name, value in (("default_key", default_key), ("batch_key", batch_key)):
            if key_fault(value):
                faults.append(f"{name} {key_fault(value)}")
        secrets = [] if faults else [as_secret(default_key), as_secret(batch_key)]
        # So that no frame of a traceback contains a key.
        del default_key, batch_key, value
        if faults:
            raise KeyMalformed(
                f"{faults[0]}.", hint="A key is printable ASCII without white space."
            )
        self.__attrs_init__(default_key=secrets[0], batch_key=secrets[1])

    if TYPE_CHECKING:

        def __attrs_init__(self, **fields: Any) -> None: ...

    @classmethod
    def from_env(
        cls,
        key_variable: str = KEY_VARIABLE,
        batch_key_variable: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> OpenAIKeyring:
        """The keys in these environment variables.

        batch_key_variable: "" for none. A blank variable counts as not set. Raises KeyMissing for
        one that is named and not set.
        """
        variables = os.environ if environment is None else environment
        names = [name for name in (key_variable, batch_key_variable) if name]
        found = [read_key(variables, name) for name in names]
        del variables, environment  # as above
        for name, key in zip(names, found, strict=True):
            if key is None:
                raise KeyMissing(
                    f"The environment variable {name} has no key.",
                    hint=f"Set {name}, or pass keyring=OpenAIKeyring(...).",
                )
        return cls(*found)

    def for_batches(self) -> Secret | None:
        """The key for batch jobs; None for a server without keys."""
        return self.batch_key or self.default_key
