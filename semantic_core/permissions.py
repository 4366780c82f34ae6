"""`Permissions`: a plugin that shows each user only the documents they may read.

::

    from semantic_core import SemanticCore
    from semantic_core.permissions import Permissions

    core = SemanticCore(plugins=["*", Permissions("readers")])
    core.search("salaries", context={"user": "ann", "groups": ["staff"]})

Tested by tests/plugins/test_permissions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from semantic_core._validation import check_metadata_key, clip
from semantic_core.errors import AccessRefused, InputError
from semantic_core.hookspecs import hookimpl
from semantic_core.types import Where

NAMES = (list, tuple, set, frozenset)
"""What may hold several names in a context."""


class Permissions:
    """Shows a document to those whom its metadata names.

    field: the key of the metadata that has the names of readers, users and groups alike, for
    example ``metadata={"readers": ["ann", "staff"]}``. A document without it is shown to nobody.
    who: the keys of the context with the names of whoever asks; a value is a name or a list of
    names. The first one is required: a call without it raises AccessRefused.
    everyone: a name that stands for all users, as a reader of documents that everyone may see; None
    if there is none.
    rule: instead of all that, a function that gets the context and returns the conditions, as for
    ``where``; None shows everything. If it raises KeyError, the call raises AccessRefused with the
    key that is missing; if it raises anything else, HookFailed.

    It applies to searches, `get`, `documents` and `context_window`, before any limit.
    """

    def __init__(
        self,
        field: str = "readers",
        *,
        who: tuple[str, ...] = ("user", "groups"),
        everyone: str | None = None,
        rule: Callable[[Mapping[str, Any]], Where] | None = None,
    ) -> None:
        self._field = check_metadata_key(field)
        self._who = tuple([who] if isinstance(who, str) else who)
        if not self._who:
            raise InputError("who must name at least one key of the context, got none.")
        if everyone is not None and not isinstance(everyone, str):
            raise InputError(f"everyone must be a name or None, got {clip(everyone)}.")
        if rule is not None and not callable(rule):
            raise InputError(f"rule must be a function of the context, got {clip(rule)}.")
        self._everyone = everyone
        self._rule = rule or self._readers

    @hookimpl
    def semantic_restrict(self, context: Mapping[str, Any]) -> Where:
        """The conditions for whoever asks."""
        try:
            return self._rule(context)
        except KeyError as error:
            missing = str(error.args[0]) if error.args else ""
            raise AccessRefused(
                f"Nothing is shown, because the call does not say who asks: {missing!r} is not in "
                "the context.",
                hint=(
                    f'Pass it: search(..., context={{"{missing}": ...}}); on the command line '
                    f"--as {missing}=NAME. For maintenance, use core.unrestricted()."
                ),
            ) from error

    def _readers(self, context: Mapping[str, Any]) -> Where:
        """The documents that name somebody of the context, or everyone."""
        names = _names(self._who[0], context[self._who[0]])
        for key in self._who[1:]:
            if key in context:
                names += _names(key, context[key])
        if self._everyone is not None:
            names.append(self._everyone)
        return {self._field: {"in": names}}


def _names(key: str, value: object) -> list[str]:
    """The names in a value of the context. Raises AccessRefused for anything else, because what is
    no name must not match anything by accident.
    """
    names = list(value) if isinstance(value, NAMES) else [value]
    for name in names:
        if not isinstance(name, str) or not name:
            raise AccessRefused(
                f"Nothing is shown, because the context has no name as {key!r}: wanted a name or a "
                f"list of names, got {type(name).__name__}."
            )
    return [str(name) for name in names]
