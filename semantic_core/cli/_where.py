"""``--where year>=2020``: conditions as they are typed, made into a filter.

What is typed has no type: ``year=2020`` means the number and the text. An ordering means numbers if
a number was typed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from semantic_core._checks import Scalar
from semantic_core.errors import FilterInvalid
from semantic_core.filters import Filter

_CONDITION = re.compile(
    r"\s*(?P<key>[^!=<>\s][^!=<>]*?)\s*(?P<operator>!=|>=|<=|=|>|<)\s*(?P<value>.*?)\s*", re.DOTALL
)
_NUMBER = re.compile(r"[+-]?(\d+|\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ORDERED = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def parse_where(conditions: Sequence[str]) -> Filter | None:
    """The filter that all of these mean together; None for none. Raises FilterInvalid."""
    parsed = [condition for text in conditions for condition in _parsed(text).conditions]
    return Filter(tuple(parsed)) if parsed else None


def _parsed(text: str) -> Filter:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise FilterInvalid(
            f"--where wants KEY=VALUE, got {text!r}.",
            hint="The operators are = != > >= < <=; quote the condition in a shell.",
        )
    key, operator, value = match["key"], match["operator"], match["value"]
    if operator in _ORDERED:
        return Filter.parse({key: {_ORDERED[operator]: _number(value, otherwise=value)}})
    return Filter.parse({key: {"in" if operator == "=" else "not_in": _meanings(value)}})


def _meanings(value: str) -> list[Scalar]:
    """Everything a program may have stored that a person would type so."""
    meanings: list[Scalar] = [value]
    if value.lower() in ("true", "false"):
        meanings.append(value.lower() == "true")
    number = _number(value, otherwise=value)
    return meanings if isinstance(number, str) else [*meanings, number]


def _number(value: str, *, otherwise: Scalar) -> Scalar:
    """The number that was typed, if every store can hold it."""
    if not _NUMBER.fullmatch(value):
        return otherwise
    number = int(value) if value.lstrip("+-").isdigit() else float(value)
    return number if abs(number) < 2**63 else otherwise
