"""One plugin that was found: what is known of it, the functions it takes part with,
or why it takes none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import attrs

from semantic_core.errors import PluginBroken

Status = Literal["ok", "conflict", "broken", "incompatible", "disabled"]
UNFIT: frozenset[Status] = frozenset({"broken", "incompatible"})
"""Of a plugin that takes part in nothing, and should."""
Origin = Literal["built in", "installed", "given"]


@attrs.frozen
class PluginInfo:
    """What is known of one plugin.

    name: of its entry point; of the class or module for one given as an object. version,
    distribution: "" if unknown.
    api_version: the hooks' version it is written for, 0 if it could not be asked. status: "ok";
    "conflict" (a store or embedder it offers is not used, because of the name; the rest is);
    "broken"; "incompatible" (another api_version); "disabled" (left out by a setting, not even
    imported).
    cause: why it is not ok, on one line; remedy: the command or step that mends it. Both "" when
    ok.
    hooks: those it takes part in. provides: {"store": names, "embedder": names} that can be asked
    for, and under "splitter", "retriever", "fusion", "reranker" its own name where it has that
    part.
    """

    name: str
    version: str = ""
    distribution: str = ""
    api_version: int = 0
    status: Status = "ok"
    cause: str = ""
    remedy: str = ""
    hooks: tuple[str, ...] = ()
    provides: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, hash=False)
    origin: Origin = "installed"


class Part(NamedTuple):
    """One function a plugin takes part with. options: as its ``@hookimpl`` says."""

    hook: str
    function: Callable[..., Any]
    options: Mapping[str, Any]


class Found(NamedTuple):
    """A plugin and its parts; no parts unless it is ok."""

    info: PluginInfo
    parts: tuple[Part, ...] = ()


class Unfit(PluginBroken):
    """Ends the examination of one plugin. message: the cause; hint: the step."""

    def __init__(
        self, cause: str, step: str, status: Status = "broken", api_version: int = 0
    ) -> None:
        super().__init__(cause, hint=step)
        self.status: Status = status
        self.api_version = api_version
