"""What has happened, as the hook ``semantic_event`` gets it: one record for each kind of event.

An event is announced after the fact: `Written` and `Removed` after the commit, in the thread that
did the work, whether an application called `ingest` or `remove`, or a changed row was processed. It
is announced to the plugins of the client that did it; other processes announce what they do.

Tested by tests/kernel/test_events.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from semantic_core.types import ChunkId, Mode, Ref, Space


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class Written:
    """Documents were added or changed. A document that was given again unchanged is in neither.

    added, updated: their refs. at: the time, in UTC.
    """

    added: tuple[Ref, ...] = ()
    updated: tuple[Ref, ...] = ()
    at: datetime = attrs.field(factory=_now)


@attrs.frozen(kw_only=True)
class Removed:
    """Documents were removed. refs: of those that existed. at: the time, in UTC."""

    refs: tuple[Ref, ...]
    at: datetime = attrs.field(factory=_now)


@attrs.frozen(kw_only=True)
class Searched:
    """A search was answered.

    query: as it was typed. tenant, collections: where it looked; "" and None as in a `Scope`. mode:
    the one that was used. hits: what was found, best first. degraded, reason: as in the results.
    milliseconds: the whole time. context: what the application gave with the search.
    at: the time, in UTC.
    """

    query: str
    tenant: str = ""
    collections: tuple[str, ...] | None = None
    mode: Mode
    hits: tuple[ChunkId, ...] = ()
    degraded: bool = False
    reason: str = ""
    milliseconds: float
    context: Mapping[str, Any] = attrs.field(factory=dict, hash=False, repr=False)
    at: datetime = attrs.field(factory=_now)


@attrs.frozen(kw_only=True)
class Embedded:
    """Passages were embedded, and their vectors are stored.

    passages: how many. space: of the embedder. at: the time, in UTC.
    """

    passages: int
    space: Space
    at: datetime = attrs.field(factory=_now)


@attrs.frozen(kw_only=True)
class Failed:
    """Something could not be done.

    step: "ingest", "search" or "embed". what: the document, the query or the passage it is about,
    as text. code: the name of the error class. reason: its message. at: the time, in UTC.
    """

    step: str
    what: str
    code: str
    reason: str
    at: datetime = attrs.field(factory=_now)


Event = Written | Removed | Searched | Embedded | Failed
"""What a listener gets; tell them apart with ``match`` or ``isinstance``."""
