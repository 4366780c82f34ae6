"""Metadata of a Markdown document: its front matter (YAML), title and language.

Front matter may come from anybody, so its nesting and size are measured before it is built: libyaml
overruns the stack on deep nesting, and a few hundred bytes of aliases can stand for gigabytes. What
cannot be understood stays text.

Tested by tests/test_front_matter.py and tests/test_describe.py.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import attrs

from semantic_core.types import Document
from semantic_core_markdown.headings import plain
from semantic_core_markdown.outline import Outline

MAX_CHARS = 64_000
"""Longest front matter that is read, in characters."""
MAX_VALUES = 2_000
"""Most values in front matter; an alias counts as often as its values."""
MAX_NESTING = 20
"""Deepest nesting of values."""
MAX_KEY = 128
"""Longest metadata key, in characters; longer ones are cut."""

_OPENS = re.compile(r"\ufeff?---[ \t]*(?:\r\n?|\n)")
_CLOSES = re.compile(r"(?<=[\r\n])(?:---|\.\.\.)[ \t]*(?:\r\n?|\n|\Z)")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")

Value = str | bool | int | float | list[str]


def body_start(text: str) -> int:
    """Where the text after the front matter begins; 0 without valid front matter."""
    found = _find(text)
    return found[1] if found and read(found[0]) is not None else 0


def front_matter(text: str) -> dict[str, Value]:
    """The values of the front matter; {} without one, or if it is not valid.

    Nested mappings become keys with dots (``author.name``). A list becomes a list of str, with
    nested values as JSON. Dates and times are ISO 8601. Numbers that are too large for a store
    become text. Empty and binary values are left out.
    """
    found = _find(text)
    return dict(read(found[0]) or {}) if found else {}


def language_tag(value: object) -> str | None:
    """The value as a BCP 47 language tag; None if it is none.

    YAML 1.1 reads ``no``, the tag of Norwegian, as False.
    """
    if value is False:
        return "no"
    tag = value.strip().replace("_", "-") if isinstance(value, str) else ""
    return tag if _LANGUAGE_TAG.fullmatch(tag) else None


def _find(text: str) -> tuple[str, int] | None:
    """(the YAML, where the text after it begins); None without front matter."""
    opening = _OPENS.match(text)
    if not opening:
        return None
    limit = opening.end() + MAX_CHARS
    closing = _CLOSES.search(text, opening.end(), limit)
    if not closing:
        return None
    cut_off = closing.end() == limit < len(text) and text[limit - 1] not in "\r\n"
    if cut_off:
        return None
    return text[opening.end() : closing.start()], closing.end()


@lru_cache(maxsize=16)
def read(source: str) -> Mapping[str, Value] | None:
    """The values of a YAML mapping, flattened; None if it is not a valid mapping, or too large.

    The last results are cached, because a document is described and then split.
    """
    import yaml  # type: ignore[import-untyped]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if not _reasonable(yaml.parse(source, Loader=loader)):
            return None
        loaded = yaml.load(source, Loader=loader)  # noqa: S506 - a safe loader
        if not isinstance(loaded, dict):
            return None
        values: dict[str, Value] = {}
        for key, value in _flat(loaded, ""):
            values.setdefault(key, value)
        return values
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError):
        # Constructors of PyYAML raise the last four for invalid tags, dates and numbers, such as
        # !!int x and 2024-13-45.
        return None


def _reasonable(events: Iterable[Any]) -> bool:
    """Whether nesting, and the number of values with aliases expanded, are within the limits."""
    import yaml

    open_nodes: list[tuple[str | None, int]] = [(None, 0)]  # (anchor, values within so far)
    sizes: dict[str, int] = {}
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > MAX_NESTING:
                return False
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor = event.anchor
            size = 1
        elif isinstance(event, yaml.AliasEvent):
            # An unknown anchor is that of a collection which contains this alias.
            anchor = None
            size = sizes.get(event.anchor, MAX_VALUES + 1)
        else:
            continue
        if anchor:
            sizes[anchor] = size
        outer, before = open_nodes[-1]
        open_nodes[-1] = (outer, before + size)
        if before + size > MAX_VALUES:
            return False
    return True


def _flat(mapping: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Value]]:
    """(key with dots, value) of each value in a nested mapping."""
    for key, value in mapping.items():
        printable = "".join(char if char.isprintable() else " " for char in _as_text(key)[:MAX_KEY])
        name = f"{prefix}{' '.join(printable.split())}"[:MAX_KEY]
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
            continue
        converted = _value(value)
        if name and converted is not None:
            yield name, converted


def _value(value: object) -> Value | None:
    """A YAML value as metadata; None to leave it out."""
    if isinstance(value, set):
        return sorted(map(_as_text, value))
    if isinstance(value, list | tuple):
        texts = []
        for item in value:
            if item is not None and not isinstance(item, bytes):
                texts.append(_as_text(item))
        return texts
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return None if value is None or isinstance(value, bytes) else _as_text(value)


def _as_text(value: object) -> str:
    """A value as text: a scalar as in YAML, anything else as JSON."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half a surrogate pair, "\\ud800"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list | tuple | set):
        return json.dumps(_as_json(value), ensure_ascii=False)
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _as_json(value: Any) -> Any:
    """A YAML value that the json module can write."""
    if isinstance(value, dict):
        return {_as_text(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, set):
        return sorted(map(_as_text, value))
    return value if isinstance(value, bool | int | float | None) else _as_text(value)


_MAYBE_TITLE = re.compile(r"(?:\A|[\r\n\ufeff]) {0,3}(?:#[ \t]|=+[ \t]*(?:[\r\n]|\Z))")
"""Matches in every text that has a heading of level 1."""


def describe(document: Document) -> Document:
    """The document with metadata, title and language; what the caller gave takes precedence.

    The same object if nothing was added.
    """
    values = front_matter(document.text)
    metadata = {**values, **document.metadata}
    title = document.title
    if not title.strip():
        given = values.get("title")
        title = " ".join(str(given).split()) if isinstance(given, str | int | float) else ""
        title = title or first_heading(document.text)
    language = document.language
    language = language or language_tag(values.get("language")) or language_tag(values.get("lang"))
    same = title == document.title and language == document.language
    if same and metadata == document.metadata:
        return document
    return attrs.evolve(document, title=title, language=language, metadata=metadata)


def first_heading(text: str) -> str:
    """The first top-level heading of level 1 that is not empty, as plain text; "" without one."""
    begin = body_start(text)
    if not _MAYBE_TITLE.search(text, max(0, begin - 1)):
        return ""
    structure = Outline(text, begin)
    for block in structure.blocks():
        if block.level == 1:
            heading = plain(block.says, structure.references)
            if heading:
                return heading
    return ""
