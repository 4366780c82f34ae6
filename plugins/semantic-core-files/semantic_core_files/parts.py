"""What goes into a reader and what comes out of it, as plain data that travels between processes.

Tested by tests/test_parts.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import attrs

from semantic_core.errors import FileUnreadable
from semantic_core.types import PART_OF, PARTS
from semantic_core_files import limits

MARKDOWN = "text/markdown"
PLAIN = "text/plain"

Scalar = str | int | float | bool
Value = Scalar | Sequence[str]

_OF_THE_KERNEL = frozenset({"path", PART_OF, PARTS})
"""Metadata that the kernel writes itself; a column of that name gets a line behind it."""
_MOST_KEY = 128
"""The longest key that metadata may have."""
_MOST_VALUE = 10_000
"""The longest value of a metadata field that is kept, in characters."""
_MOST_INT = 2**63 - 1
# Surrogates cannot be stored; the others are shown by nothing.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SPACES = re.compile(r"\s+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


@attrs.frozen
class FileSource:
    """A file to read. name: without folders. media_type: as the caller gave it; "" if unknown.
    depth: how many files it is inside of; an attachment of a message has 1.
    """

    data: bytes = attrs.field(repr=False)
    name: str
    media_type: str = ""
    depth: int = 0

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        head, dot, _ = self.name.rpartition(".")
        return head if dot and head else self.name

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot; "" if there is none."""
        head, dot, tail = self.name.rpartition(".")
        return f".{tail.lower()}" if dot and head else ""


@attrs.frozen
class FilePart:
    """A document of a file. part: "" for the document of the file itself, otherwise a name that is
    unique within the file.
    """

    text: str
    part: str = ""
    title: str = ""
    media_type: str = MARKDOWN
    metadata: Mapping[str, Value] = attrs.field(factory=dict)
    language: str | None = None


def part_of(
    source: FileSource,
    text: str,
    *,
    part: str = "",
    title: str = "",
    media_type: str = MARKDOWN,
    metadata: Mapping[str, Any] | None = None,
    language: str | None = None,
) -> FilePart:
    """A document made of what was found in a file: characters that cannot be stored are left out,
    and so are fields of metadata that are empty. Raises FileUnreadable if the text is too long.
    """
    check_size(source, len(text))
    return FilePart(
        without_unwanted(text),
        part=part,
        title=one_line(title),
        media_type=media_type,
        metadata=_fields(metadata or {}),
        language=language_tag(language),
    )


def check_size(source: FileSource, chars: int) -> None:
    """Raise FileUnreadable if a file has more text than one file may have."""
    if chars > limits.MAX_TEXT_CHARS:
        raise FileUnreadable(
            f"{source.name!r} has {chars:,} characters of text, the most is "
            f"{limits.MAX_TEXT_CHARS:,}.",
            hint="Split it into several files.",
        )


def without_unwanted(text: str) -> str:
    """The text with line ends as newlines, without control characters and lone surrogates."""
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: object, most: int = 500) -> str:
    """A text in one line, with single spaces, cut to `most` characters."""
    plain = _SPACES.sub(" ", without_unwanted(str(text)).replace("\x85", " ")).strip()
    return plain if len(plain) <= most else f"{plain[: most - 1].rstrip()}…"


def language_tag(value: object) -> str | None:
    """A language tag such as "en-GB"; None if the value is none."""
    text = str(value).strip() if value else ""
    return text.replace("_", "-") if _LANGUAGE.fullmatch(text) else None


def part_name(
    name: str, taken: Mapping[str, object] | frozenset[str] | set[str] = frozenset()
) -> str:
    """A name that a part can have: one line, not too long, and none of those taken."""
    plain = one_line(_CONTROL.sub(" ", name), 10_000) or "part"
    if len(plain) > limits.MAX_NAME_CHARS:
        digest = sha256(plain.encode("utf-8")).hexdigest()[:16]
        plain = f"{plain[: limits.MAX_NAME_CHARS - 17]}~{digest}"
    unique = plain
    number = 1
    while unique in taken:
        number += 1
        unique = f"{plain} ({number})"
    return unique


def _fields(found: Mapping[str, Any]) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for name, value in found.items():
        key = one_line(_CONTROL.sub(" ", str(name)), _MOST_KEY)
        kept = _value(value)
        if key and kept is not None:
            fields[f"{key}_" if key in _OF_THE_KERNEL else key] = kept
    return fields


def _value(value: object) -> Value | None:
    """The value as metadata can have it; None if there is nothing to keep."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_MOST_INT <= value <= _MOST_INT else str(value)
    if isinstance(value, float):
        is_finite = value == value and value not in (float("inf"), float("-inf"))
        return value if is_finite else None
    if isinstance(value, str):
        return one_line(value, _MOST_VALUE) or None
    if isinstance(value, Sequence):
        items = [one_line(item, _MOST_VALUE) for item in value]
        return [item for item in items if item] or None
    return None
