"""Values of rows as the index keeps them: text to search in, metadata to ask for.

Text: any value is written as a person would read it; None is nothing; a list is a line per item.
Metadata: dates and times become ISO 8601 text (those with a time zone in UTC, so that they sort),
decimals numbers, UUIDs and enumerations their value, JSON objects JSON text; None is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from semantic_core._checks import INT64, Value
from semantic_core.errors import InputError

FieldPath = str | Callable[[Any], object]
"""A field: its name, a dotted path through related rows ("author.name"),
or a callable given the instance.
"""


IsRow = Callable[[object], bool]
"""Whether a value is a row: one thing, though it may be iterable, as pydantic's models are."""


def never(value: object) -> bool:
    """An `IsRow` for where no rows are."""
    return False


def read(instance: object, field: FieldPath, is_row: IsRow = never) -> list[Any]:
    """The values a field of an instance has: one, none if something on the way is None, many
    through a to-many relation.
    """
    if callable(field):
        return _unfolded(field(instance), is_row)
    found = [instance]
    for name in field.split("."):
        found = [value for each in found for value in _unfolded(_attribute(each, name), is_row)]
    return found


def _attribute(instance: object, name: str) -> object:
    if isinstance(instance, Mapping):
        return instance.get(name)
    try:
        return getattr(instance, name)
    except Exception as error:
        # How Django and Peewee tell that a related row is gone.
        if type(error).__name__.endswith("DoesNotExist"):
            return None
        raise


def _unfolded(value: object, is_row: IsRow) -> list[Any]:
    """None is nothing; several are several; a related manager or query is asked for its rows."""
    if value is None:
        return []
    if is_row(value):
        return [value]
    every = getattr(value, "all", None)
    if callable(every) and not isinstance(value, type) and hasattr(value, "filter"):
        value = every()
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not isinstance(
        value, Iterable
    ):
        return [value]
    return [item for item in value if item is not None]


def as_text(value: object) -> str:
    """The value as text to be searched; "" for None."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bytes | bytearray | memoryview):
        raise InputError(
            f"A field holds {type(value).__name__}, and only text can be searched.",
            hint="Map a callable that decodes it.",
        )
    if isinstance(plain, Mapping | list | tuple):
        return "\n".join(
            filter(None, map(as_text, plain.values() if isinstance(plain, Mapping) else plain))
        )
    return str(plain)


def as_metadata(values: list[Any]) -> Value | None:
    """What a ``where`` can ask for: one value as it is, several as text each; None for nothing."""
    if not values:
        return None
    if len(values) > 1:
        return tuple(str(scalar(value)) for value in values)
    return scalar(values[0])


def scalar(value: object) -> str | bool | int | float:
    """One value of a row, or of a ``where``, as it is kept. Raises InputError for bytes."""
    plain = _plain(value)
    if isinstance(plain, bytes | bytearray | memoryview):
        raise InputError(
            f"Metadata cannot be {type(value).__name__}.",
            hint="Map a callable that makes text of it.",
        )
    if isinstance(plain, bool | str):
        return plain
    if isinstance(plain, int):
        return plain if plain in INT64 else str(plain)
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else str(plain)
    if isinstance(plain, Mapping | list | tuple):
        return json.dumps(plain, default=str, ensure_ascii=False, sort_keys=True)
    return str(plain)


def _plain(value: object) -> object:
    """The value without its wrapping."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo is not None else value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return (
            int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
        )
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value


def uuid_text(text: str) -> str:
    """A UUID in its usual spelling, of however a database or a person writes it: without dashes, as
    bytes in hex. What is none stays as it is.
    """
    try:
        return str(UUID(text.removeprefix("\\x")))
    except ValueError:
        return text
