"""`AuditLog`, the plugin: it listens to events and writes each as one line.

Tested by tests/test_audit.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Annotated, Any

import attrs

from semantic_core import ChunkId, Ref, Space, hookimpl
from semantic_core.errors import ConfigError
from semantic_core.events import Embedded, Event, Failed, Removed, Searched, Written
from semantic_core_audit.rotation import RotatedFile

KINDS = {kind.__name__: kind for kind in (Written, Removed, Searched, Embedded, Failed)}
"""Every kind of event, by the name it has in the log."""
MAX_BYTES = 10_000_000
BACKUPS = 9
MOST_CHARS = 1_000
"""Longest query, and longest value of a context, in the log, in characters."""
CUT = "…"


class AuditLog:
    """Writes what happens to an index into a file, one JSON object a line.

    path: the file; None writes nothing. events: the kinds that are written. context: the keys of
    ``search(..., context={...})`` whose values are written; others may be secret. queries: whether
    the text of a query is written; False writes its length instead. max_bytes: size at which the
    file is renamed to PATH.1, PATH.1 to PATH.2 and so on. backups: how many of these are kept. If
    one of the two is 0, the file grows without end.

    Several threads and processes may write into the same file. It can be read by its owner only.
    Raises ConfigError for an option of the wrong kind.
    """

    def __init__(
        self,
        *,
        path: Annotated[str | None, "file of the log; unset: nothing is written"] = None,
        events: Annotated[Sequence[str], "kinds of events that are written"] = tuple(KINDS),
        context: Annotated[Sequence[str], "keys of the context that are written"] = ("user",),
        queries: Annotated[bool, "whether the texts of queries are written"] = True,
        max_bytes: Annotated[int, "size at which the file is rotated, in bytes"] = MAX_BYTES,
        backups: Annotated[int, "rotated files that are kept"] = BACKUPS,
    ) -> None:
        names = _names("events", events)
        unknown = [name for name in names if name not in KINDS]
        if unknown:
            raise ConfigError(
                f"events of the audit log: there is no event {unknown[0]!r}.",
                hint=f"There are {', '.join(KINDS)}.",
            )
        for name, value in (("max_bytes", max_bytes), ("backups", backups)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ConfigError(f"{name} must be a whole number from 0, got {value!r}.")
        if not isinstance(queries, bool):
            raise ConfigError(f"queries must be true or false, got {queries!r}.")
        if path is not None and not isinstance(path, str | os.PathLike):
            raise ConfigError(f"path of the audit log must be a path, got {path!r}.")
        self._kinds = tuple(KINDS[name] for name in names)
        self._context = _names("context", context)
        self._queries = queries
        self._file = None
        if path is not None:
            self._file = RotatedFile(os.fspath(path), max_bytes=max_bytes, backups=backups)

    @hookimpl
    def semantic_event(self, event: Event) -> None:
        """Write the event. Raises OSError if the file cannot be written."""
        if self._file is None or not isinstance(event, self._kinds):
            return
        self._file.write(json.dumps(self._line(event), ensure_ascii=False))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _line(self, event: Event) -> dict[str, Any]:
        """The event as JSON: its time and kind first, then its fields; empty ones are left out."""
        line: dict[str, Any] = {
            "at": event.at.isoformat(timespec="milliseconds"),
            "event": type(event).__name__,
        }
        for field in attrs.fields(type(event)):
            value = getattr(event, field.name)
            if field.name == "context":
                value = {key: _cut(value[key]) for key in self._context if key in value}
            elif field.name == "query":
                value = _cut(value) if self._queries else f"{len(value)} characters"
            elif field.name == "what" and isinstance(event, Failed) and event.step == "search":
                value = _cut(value) if self._queries else ""
            elif field.name == "at":
                continue
            shown = _shown(value)
            if shown not in ("", None, [], {}, False):
                line[field.name] = shown
        return line


def _shown(value: Any) -> Any:
    """A value of an event as JSON has it."""
    if isinstance(value, Ref):
        shown = {"collection": value.collection, "key": value.key}
        return {**shown, "tenant": value.tenant} if value.tenant else shown
    if isinstance(value, ChunkId):
        return {**_shown(value.ref), "position": value.position}
    if isinstance(value, Space):
        return str(value)
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    return value


def _cut(value: object) -> Any:
    """A value that an application gave, as text if JSON has no such value, at most MOST_CHARS."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_cut(item) for item in value]
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MOST_CHARS else text[:MOST_CHARS] + CUT


def _names(option: str, given: object) -> tuple[str, ...]:
    """A list of names, or one with commas. Raises ConfigError."""
    if isinstance(given, str):
        given = [name.strip() for name in given.split(",") if name.strip()]
    if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise ConfigError(f"{option} must be a list of names, got {given!r}.")
    return tuple(given)
