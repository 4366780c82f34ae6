"""The commands that plugins add to ``semantic-core``: which plugin offers each, and the names that
are offered in vain.

Only the table of a plugin is read here. The module of a command is imported when it is called.

Tested by tests/plugins/test_commands.py and tests/cli/test_plugged.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import attrs

from semantic_core._plugins.contracts import commands_fault
from semantic_core._plugins.dispatch import HookDispatch
from semantic_core._plugins.records import PluginInfo
from semantic_core._validation import one_line

HOOK = "semantic_commands"
"""The hook that offers commands."""
PROVIDES = "command"
"""The kind under which `PluginInfo.provides` lists the commands of a plugin."""


@attrs.frozen
class OfferedCommand:
    """A command of a plugin. target: ``"module:attribute"``. help: one line."""

    name: str
    target: str
    help: str
    plugin: PluginInfo


class Commands(NamedTuple):
    """What plugins offer.

    usable: by name, those that can be called. conflicts: by name, why it leads to no command.
    infos: every plugin that was found, with the commands it provides, and with the faults in what
    it offers.
    """

    usable: Mapping[str, OfferedCommand]
    conflicts: Mapping[str, str]
    infos: tuple[PluginInfo, ...]


def commands_of(
    dispatch: HookDispatch, infos: Sequence[PluginInfo], taken: Collection[str]
) -> Commands:
    """The commands that the plugins of a client offer. Every plugin is asked.

    infos: of every plugin that was found, in order. taken: the kernel's own commands, whose names
    no plugin gets.
    """
    known = {info.name: info for info in infos if info.hooks}
    offers: dict[str, list[OfferedCommand]] = defaultdict(list)
    for answer in dispatch.every(HOOK):
        plugin = known[answer.plugin]
        fault = one_line(answer.error) if answer.error else commands_fault(answer.value)
        if fault:
            known[plugin.name] = _broken(plugin, fault)
            continue
        for name, (target, help_line) in answer.value.items():
            offers[name].append(OfferedCommand(name, target, help_line, plugin))
    usable = {}
    conflicts = {}
    for name, claims in sorted(offers.items()):
        if name in taken:
            for claim in claims:
                _mark(known, claim, "that name is one of the kernel's own commands")
        elif len(claims) > 1:
            conflicts[name] = f"More than one plugin offers the command {name!r}: {_who(claims)}."
            for claim in claims:
                others = [other for other in claims if other is not claim]
                verb = "offers" if len(others) == 1 else "offer"
                _mark(known, claim, f"{_who(others)} {verb} one of that name, too")
        else:
            usable[name] = claims[0]
    completed = []
    for info in infos:
        if not info.hooks:  # it takes part in nothing
            completed.append(info)
            continue
        told = known[info.name]
        names = tuple(name for name, claim in usable.items() if claim.plugin.name == info.name)
        if names:
            told = attrs.evolve(told, provides={**told.provides, PROVIDES: names})
        completed.append(told)
    return Commands(usable, conflicts, tuple(completed))


def _mark(known: dict[str, PluginInfo], claim: OfferedCommand, why: str) -> None:
    """Record that a plugin offers a command in vain."""
    info = known[claim.plugin.name]
    cause = f"its command {claim.name!r} is not used, because {why}"
    remedy = f"Leave {info.name} out, or let it offer another name."
    if info.distribution:
        remedy = f"pip uninstall {info.distribution}"
    known[info.name] = attrs.evolve(
        info,
        status="conflict",
        cause=f"{info.cause}; {cause}" if info.cause else cause,
        remedy=info.remedy or remedy,
    )


def _broken(info: PluginInfo, fault: str) -> PluginInfo:
    """The info of a plugin whose answer cannot be used. Whatever else it takes part in is used."""
    remedy = f"Correct {HOOK}."
    if info.distribution:
        remedy = f"pip install --upgrade {info.distribution}"
    return attrs.evolve(
        info,
        status="broken",
        cause=f"none of its commands is used: {HOOK}: {fault}",
        remedy=remedy,
    )


def _who(claims: Sequence[OfferedCommand]) -> str:
    shown = []
    for claim in claims:
        shown.append(f"{claim.plugin.name} ({claim.plugin.distribution or 'given'})")
    return " and ".join(shown)
