"""What a Markdown document says of itself."""

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

# YAML between two lines of dashes at the top of a file, as metadata.
#
# Front matter is somebody else's file: it is measured before it is built, since libyaml overruns
# the stack on deep nesting and a few hundred bytes of aliases can stand for gigabytes. What cannot
# be understood stays text.

MAX_CHARS = 64_000
"""Longest front matter that is read, in characters."""
MAX_VALUES = 2_000
"""Most values it may hold, each alias counted with all it stands for."""
MAX_DEPTH = 20
"""Deepest nesting."""
MAX_KEY = 128
"""Longest metadata key, in characters; longer ones are cut."""

_OPENS = re.compile(r"\ufeff?---[ \t]*(?:\r\n?|\n)")
_CLOSES = re.compile(r"(?<=[\r\n])(?:---|\.\.\.)[ \t]*(?:\r\n?|\n|\Z)")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")

Value = str | bool | int | float | list[str]


def body_start(text: str) -> int:
    """Where the text behind the front matter begins; 0 without one,
    and with one that cannot be understood.
    """
    found = _find(text)
    return found[1] if found and read(found[0]) is not None else 0


def front_matter(text: str) -> dict[str, Value]:
    """What the front matter says; {} without one. Never raises, whatever is written there.

    Nested mappings give keys with dots (``author.name``). A list gives a list of str, its nested
    parts as JSON. Dates and times are ISO 8601. Numbers too large for a store are their digits.
    Empty values and binary ones are left out.
    """
    found = _find(text)
    return dict(read(found[0]) or {}) if found else {}


def language_tag(value: object) -> str | None:
    """A BCP 47 tag if the value looks like one, else None.

    ``no`` is Norwegian, which YAML 1.1 reads as False.
    """
    tag = (
        "no"
        if value is False
        else value.strip().replace("_", "-")
        if isinstance(value, str)
        else ""
    )
    return tag if _LANGUAGE_TAG.fullmatch(tag) else None


def _find(text: str) -> tuple[str, int] | None:
    """(the YAML, where the text behind it begins)."""
    opening = _OPENS.match(text)
    if not opening:
        return None
    limit = opening.end() + MAX_CHARS
    closing = _CLOSES.search(text, opening.end(), limit)
    if not closing or (closing.end() == limit < len(text) and text[limit - 1] not in "\r\n"):
        return None
    return text[opening.end() : closing.start()], closing.end()


@lru_cache(maxsize=16)
def read(source: str) -> Mapping[str, Value] | None:
    """The values of a YAML mapping, flat; None if it is no mapping, is broken, or is too much.
    Kept, since a document is described and then split."""
    import yaml  # type: ignore[import-untyped]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if not _reasonable(yaml.parse(source, Loader=loader)):
            return None
        loaded = yaml.load(source, Loader=loader)  # noqa: S506 - it is the safe one
        if not isinstance(loaded, dict):
            return None
        values: dict[str, Value] = {}
        for key, value in _flat(loaded, ""):
            values.setdefault(key, value)
        return values
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError):
        # The last four are how its constructors fail on tags, dates and numbers that do not fit:
        # !!int x, 2024-13-45.
        return None


def _reasonable(events: Iterable[Any]) -> bool:
    """Whether building the values is bounded: the nesting,
    and the number of values with aliases written out.
    """
    import yaml

    open_nodes: list[tuple[str | None, int]] = [(None, 0)]  # (anchor, values within so far)
    sizes: dict[str, int] = {}
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > MAX_DEPTH:
                return False
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor = event.anchor
            size = 1
        elif isinstance(event, yaml.AliasEvent):
            # Unknown yet: it stands within itself.
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
    for key, value in mapping.items():
        word = "".join(char if char.isprintable() else " " for char in _word(key)[:MAX_KEY])
        name = f"{prefix}{' '.join(word.split())}"[:MAX_KEY]
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
            continue
        converted = _value(value)
        if name and converted is not None:
            yield name, converted


def _value(value: object) -> Value | None:
    if isinstance(value, set):
        return sorted(map(_word, value))
    if isinstance(value, list | tuple):
        return [_word(item) for item in value if item is not None and not isinstance(item, bytes)]
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return None if value is None or isinstance(value, bytes) else _word(value)


def _word(value: object) -> str:
    """A value as text: of a scalar as it is written in YAML, of anything else as JSON."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # "\\ud800" in quotes is half a character
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list | tuple | set):
        return json.dumps(_plain(value), ensure_ascii=False)
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_word(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set):
        return sorted(map(_word, value))
    return value if isinstance(value, bool | int | float | None) else _word(value)


_MAYBE_TITLE = re.compile(r"(?:\A|[\r\n\ufeff]) {0,3}(?:#[ \t]|=+[ \t]*(?:[\r\n]|\Z))")
"""A text without this has no heading of level 1."""


def describe(document: Document) -> Document:
    """The document with what was found; what the caller gave stays as it is.

    The same object if nothing was added.
    """
    said = front_matter(document.text)
    metadata = {**said, **document.metadata}
    title = document.title
    if not title.strip():
        named = said.get("title")
        title = " ".join(str(named).split()) if isinstance(named, str | int | float) else ""
        title = title or first_heading(document.text)
    language = (
        document.language or language_tag(said.get("language")) or language_tag(said.get("lang"))
    )
    if title == document.title and language == document.language and metadata == document.metadata:
        return document
    return attrs.evolve(document, title=title, language=language, metadata=metadata)


def first_heading(text: str) -> str:
    """The first heading of level 1 at the top that says anything, as plain text;
    "" if there is none.
    """
    begin = body_start(text)
    if not _MAYBE_TITLE.search(text, max(0, begin - 1)):
        return ""
    structure = Outline(text, begin)
    said = (
        plain(block.says, structure.references) for block in structure.blocks() if block.level == 1
    )
    return next(filter(None, said), "")
