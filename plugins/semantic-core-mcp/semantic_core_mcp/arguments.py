"""The arguments of tools: how they are described to an assistant, and how they are checked.

Both come from the same record, so that a tool accepts exactly what it describes.

Tested by tests/test_arguments.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from semantic_core import Filter
from semantic_core.errors import FilterInvalid
from semantic_core_mcp.limits import MOST_CONDITIONS, MOST_WHERE

_SHOWN = 40
"""Characters of a wrong value that a message repeats."""


class BadArguments(ValueError):
    """A call that cannot be carried out, in a sentence for the assistant."""


@attrs.frozen
class Text:
    """A text of at most `most` characters. choices: the only ones; () for any. default: None if it
    may be left out; "" never, then it is required.
    """

    name: str
    about: str
    most: int
    required: bool = False
    default: str | None = None
    choices: Sequence[str] = ()

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        described: dict[str, Any] = {"type": "string", "description": self.about}
        if self.choices:
            described["enum"] = list(self.choices)
        else:
            described |= {"minLength": 1, "maxLength": self.most}
        if self.default is not None:
            described["default"] = self.default
        return described

    def checked(self, value: object) -> str:
        """The value itself. Raises BadArguments."""
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                choices = ", ".join(self.choices)
                raise BadArguments(f"{self.name} must be one of {choices}, got {_shown(value)}.")
            return value
        if not isinstance(value, str):
            raise BadArguments(f"{self.name} must be a text, got {_shown(value)}.")
        if not value.strip():
            raise BadArguments(f"{self.name} must not be empty.")
        if len(value) > self.most:
            raise BadArguments(
                f"{self.name} must have at most {self.most:,} characters, got {len(value):,}."
            )
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise BadArguments(f"{self.name} must be valid Unicode, got half a pair.") from None
        return value


@attrs.frozen
class Number:
    """A whole number within bounds. default: None if it is required."""

    name: str
    about: str
    least: int
    most: int
    default: int | None = None

    @property
    def required(self) -> bool:
        """Whether a call must have it."""
        return self.default is None

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        described: dict[str, Any] = {
            "type": "integer",
            "description": self.about,
            "minimum": self.least,
            "maximum": self.most,
        }
        if self.default is not None:
            described["default"] = self.default
        return described

    def checked(self, value: object) -> int:
        """The value as an int: 3.0 is 3. Raises BadArguments."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not self.least <= value <= self.most:  # type: ignore[operator]
            raise BadArguments(
                f"{self.name} must be a whole number from {self.least:,} to {self.most:,}, "
                f"got {_shown(value)}."
            )
        return value  # type: ignore[return-value]


@attrs.frozen
class Conditions:
    """Conditions on metadata. keys: the only ones that they may name."""

    name: str
    about: str
    keys: Sequence[str]
    required: bool = False
    default: None = None

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        return {
            "type": "object",
            "description": f"{self.about} Keys: {', '.join(self.keys)}.",
            "propertyNames": {"enum": list(self.keys)},
            "maxProperties": MOST_CONDITIONS,
        }

    def checked(self, value: object) -> Filter:
        """The filter. Raises BadArguments."""
        if not isinstance(value, dict):
            raise BadArguments(f"{self.name} must be an object, got {_shown(value)}.")
        if len(value) > MOST_CONDITIONS or len(json.dumps(value)) > MOST_WHERE:
            raise BadArguments(
                f"{self.name} must have at most {MOST_CONDITIONS} keys and {MOST_WHERE:,} "
                "characters."
            )
        try:
            conditions = Filter.parse(value)
        except FilterInvalid as error:
            raise BadArguments(f"{self.name}: {error.message}") from error
        for condition in conditions.conditions:
            if condition.key not in self.keys:
                raise BadArguments(
                    f"{self.name} can name {', '.join(self.keys)}, got {_shown(condition.key)}."
                )
        return conditions


Parameter = Text | Number | Conditions


def schema_of(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The JSON schema of the arguments of a tool."""
    return {
        "type": "object",
        "properties": {parameter.name: parameter.schema() for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.required],
        "additionalProperties": False,
    }


def checked(parameters: Sequence[Parameter], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments of a call, with the defaults of those that were left out; null is left out.

    Raises BadArguments for one that is unknown, missing or wrong.
    """
    given = given or {}
    names = [parameter.name for parameter in parameters]
    for name in given:
        if name not in names:
            known = ", ".join(names) or "none"
            raise BadArguments(f"There is no argument {_shown(name)}; there is: {known}.")
    arguments: dict[str, Any] = {}
    for parameter in parameters:
        value = given.get(parameter.name)
        if value is not None:
            arguments[parameter.name] = parameter.checked(value)
        elif parameter.required:
            raise BadArguments(f"{parameter.name} is missing.")
        else:
            arguments[parameter.name] = parameter.default
    return arguments


def _shown(value: object) -> str:
    """The value as a message repeats it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
