"""``where``: conditions on metadata, as a `Filter` that every store compiles for itself.

A caller writes a mapping. All its conditions must hold::

    {"lang": "en"}                              equal
    {"lang": ["en", "de"]}                      one of these
    {"year": {"gte": 2020, "lt": 2024}}         within
    {"lang": {"ne": "en"}}                      not equal, or the key is missing
    {"lang": {"not_in": ["en", "de"]}}          none of these, or the key is missing
    {"draft": {"exists": False}}                the key is missing

A metadata value that is a list meets a condition when one of its items does. Text, numbers and
booleans are three kinds: ``1`` equals ``1.0``, neither equals ``True`` nor ``"1"``. Text is ordered
by code point.

A date or datetime stands for its text in ISO 8601, in metadata and in conditions::

    {"created": {"gte": date(2026, 1, 1), "lte": date(2026, 1, 31)}}    in January

A datetime with a time zone is compared in UTC, one without as it is; do not mix the two in one key.
Compared in order, a date is the whole day and a datetime is a moment: ``lte`` of a date includes
every time on that day, ``gt`` of a date begins with the next day. A stored date is its midnight.
Equal means the same text, so a date does not equal a datetime.

`Filter.matches` is the reference for every store.

Tested by tests/kernel/test_filters.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any, Literal

import attrs

from semantic_core._validation import (
    Scalar,
    Value,
    check_metadata_key,
    check_scalar,
    clip,
    iso_text,
)
from semantic_core.errors import FilterInvalid, InputError

Operator = Literal["in", "not_in", "gt", "gte", "lt", "lte", "exists"]

MAX_CONDITIONS = 32
"""Most conditions of one filter."""
MAX_VALUES = 1_000
"""Most values of one condition."""

_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_WORDS = ("eq", "ne", "in", "not_in", *_ORDERED, "exists")
_LISTS = (list, tuple, set, frozenset)


def kind(value: Scalar) -> str:
    """``"text"``, ``"bool"`` or ``"number"``. Values of different kinds are not equal, and have no
    order.
    """
    if isinstance(value, str):
        return "text"
    return "bool" if isinstance(value, bool) else "number"


def sort_key(value: Scalar) -> tuple[str, Scalar]:
    """What values of metadata are sorted by: booleans first, then numbers, then text by code
    point.
    """
    return kind(value), value


@attrs.frozen
class Condition:
    """A condition on one key.

    The operators "in" and "not_in" take any number of values, "exists" one bool, the others exactly
    one value.
    """

    key: str
    operator: Operator
    values: tuple[Scalar, ...]

    def matches(self, metadata: Mapping[str, Value]) -> bool:
        """Whether a document with this metadata meets the condition."""
        if self.operator == "exists":
            return (self.key in metadata) is self.values[0]
        held = metadata.get(self.key, ())
        items: tuple[Scalar, ...] = held if isinstance(held, tuple) else (held,)
        if self.operator in ("in", "not_in"):
            wanted = {(kind(value), value) for value in self.values}
            return any((kind(item), item) in wanted for item in items) is (self.operator == "in")
        bound = self.values[0]
        compare = _ORDERED[self.operator]
        return any(kind(item) == kind(bound) and compare(item, bound) for item in items)


@attrs.frozen
class Filter:
    """Conditions that must all hold. Without conditions every document matches."""

    conditions: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def matches(self, metadata: Mapping[str, Value]) -> bool:
        """Whether a document with this metadata may be found."""
        return all(condition.matches(metadata) for condition in self.conditions)

    @classmethod
    def parse(cls, where: Mapping[str, object] | Filter | None) -> Filter:
        """The filter of a ``where`` mapping. None and {} match every document. Raises
        FilterInvalid.
        """
        if where is None:
            return cls()
        if isinstance(where, Filter):
            return where
        if not isinstance(where, Mapping):
            raise FilterInvalid(
                f'where must be a mapping such as {{"lang": "en"}}, got {type(where).__name__}.'
            )
        conditions: list[Condition] = []
        for key, wanted in where.items():
            conditions += _conditions(key, wanted)
        if len(conditions) > MAX_CONDITIONS:
            raise FilterInvalid(
                f"where holds {len(conditions)} conditions, the most is {MAX_CONDITIONS}."
            )
        return cls(tuple(conditions))


def _conditions(key: object, wanted: object) -> list[Condition]:
    try:
        name = check_metadata_key(key)
        if not isinstance(wanted, Mapping):
            word = "in" if isinstance(wanted, _LISTS) else "eq"
            return [_condition(name, word, wanted)]
        if not wanted:
            raise FilterInvalid(
                f"where[{name!r}] is empty; wanted a value, a list, or one of {', '.join(_WORDS)}."
            )
        return [_condition(name, word, value) for word, value in wanted.items()]
    except FilterInvalid:
        raise
    except InputError as error:
        raise FilterInvalid(error.message, hint=error.hint) from error


def _condition(key: str, word: object, wanted: object) -> Condition:
    where = f"where[{key!r}]"
    if word not in _WORDS:
        raise FilterInvalid(
            f"{where}: unknown operator {clip(word)}; there are {', '.join(_WORDS)}."
        )
    if word == "exists":
        if not isinstance(wanted, bool):
            raise FilterInvalid(f"{where}: exists takes True or False, got {clip(wanted)}.")
        return Condition(key, "exists", (wanted,))
    if word in ("in", "not_in"):
        if not isinstance(wanted, _LISTS):
            raise FilterInvalid(f"{where}: {word} takes a list, got {clip(wanted)}.")
        if len(wanted) > MAX_VALUES:
            raise FilterInvalid(f"{where}: {len(wanted)} values, the most is {MAX_VALUES}.")
        values = tuple(check_scalar(where, value) for value in wanted)
        return Condition(key, word, values)  # type: ignore[arg-type]
    value = check_scalar(where, wanted)
    if isinstance(wanted, date) and word in _ORDERED:
        return _in_time(key, word, wanted)  # type: ignore[arg-type]
    if word in ("eq", "ne"):
        return Condition(key, "in" if word == "eq" else "not_in", (value,))
    if isinstance(value, bool):
        raise FilterInvalid(f"{where}: {word} orders text or numbers, got {value!r}.")
    return Condition(key, word, (value,))  # type: ignore[arg-type]


def _in_time(key: str, word: Operator, moment: date) -> Condition:
    """A condition on the order of a date or datetime.

    A date is the beginning of the text of every time on it, and smaller than all of them. So the
    end of a day is the beginning of the next.
    """
    text = iso_text(moment)
    if isinstance(moment, datetime):
        is_midnight = text[10:19] == "T00:00:00" and not moment.microsecond
        if is_midnight and word in ("gte", "lt"):
            text = text[:10]  # of a stored date, too
    elif word in ("gt", "lte"):
        word = "gte" if word == "gt" else "lt"
        # The last day that Python knows has none after it; this text comes after all of its times.
        text = "9999-12-32" if moment == date.max else iso_text(moment + timedelta(days=1))
    return Condition(key, word, (text,))
