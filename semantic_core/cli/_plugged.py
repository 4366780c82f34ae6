"""The commands of plugins: found for the help and for names that are not ours, and each imported
when it is called.

Our own commands come first and are found without this module, so that a plugin can neither slow
them down nor take their place.

Tested by tests/cli/test_plugged.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import NamedTuple

import click

from semantic_core._config import Settings, read_config
from semantic_core._plugins.commands import Commands, OfferedCommand
from semantic_core._plugins.discovery import (
    ALL_INSTALLED,
    built_in,
    installed,
    wanted_by_environment,
)
from semantic_core._plugins.distributions import lacking
from semantic_core._plugins.host import Plugins
from semantic_core._plugins.options import GivenOptions
from semantic_core._plugins.probe import Probe, probe_all
from semantic_core._validation import named, one_line
from semantic_core.cli import COMMANDS
from semantic_core.cli._output import answers_alone, complain
from semantic_core.errors import PluginBroken, SemanticCoreError


class ListedPlugins(NamedTuple):
    """All plugins, with those that the settings disable, and the commands they add.

    sources: where each of their options was set, by plugin and option. probes: how each was
    imported in another process, if that was asked for.
    """

    plugins: Plugins
    commands: Commands
    sources: Mapping[tuple[str, str], str]
    probes: Sequence[Probe] = ()


def listed_plugins(
    db: str | None = None, *, isolated: bool = False, report: bool = True
) -> ListedPlugins:
    """All plugins as the settings have them; all that are installed if the settings cannot be read.

    isolated: import each in another process before. report: whether to say on standard error that
    the settings cannot be read. What a plugin prints when it is imported goes to standard error.
    """
    with redirect_stdout(sys.stderr):
        probes: Sequence[Probe] = ()
        sources: Mapping[tuple[str, str], str] = {}
        try:
            settings = read_config(overrides={"path": db})
            if isolated:
                probes = probes_of(settings.values["plugins"])
            plugins = _of_settings(settings, causes(probes))
            sources = settings.of_plugins
        except SemanticCoreError as error:
            if report:
                complain(error.message, error.hint)
            if isolated:
                probes = probes_of(None)
            plugins = Plugins.load(refuse=False, dead=causes(probes))
        return ListedPlugins(plugins, plugins.commands(COMMANDS), sources, probes)


def _of_settings(settings: Settings, dead: Mapping[str, str]) -> Plugins:
    names = settings.values["plugins"]
    options = settings.values["plugin_options"]
    if names is None or settings.sources["plugins"].startswith("environment"):
        return Plugins.load(options=options, refuse=False, dead=dead)
    if not names:
        own = built_in()
        reserved = [record.info.name for record in own]
        return Plugins([*installed((), reserved, GivenOptions(options)), *own])
    return Plugins.load(names, options, refuse=False, dead=dead)


def probes_of(names: Sequence[str] | None) -> Sequence[Probe]:
    """A probe of each plugin that a command would import. names: those in the settings, if they
    name any.
    """
    wanted = wanted_by_environment() if names is None else names
    if wanted is not None and ALL_INSTALLED in wanted:
        wanted = None
    return probe_all(wanted)


def causes(probes: Sequence[Probe]) -> Mapping[str, str]:
    """Why plugins must not be imported here, by name."""
    return {probe.plugin: probe.cause for probe in probes if probe.cause}


def offered_commands(*, report: bool) -> Commands:
    """The commands that plugins add; nothing that is printed meanwhile gets to standard output.

    report: as for `listed_plugins`.
    """
    with answers_alone():
        return listed_plugins(report=report).commands


def imported(offered: OfferedCommand) -> click.Command:
    """The command of a plugin. Raises PluginBroken, which names the plugin and the cause."""
    module, _, attribute = offered.target.partition(":")
    what = f"The command {offered.name!r} of the plugin {offered.plugin.name!r}"
    home = offered.plugin.distribution
    upgrade = f"pip install --upgrade {home}" if home else ""
    try:
        with answers_alone():
            found = getattr(import_module(module), attribute, None)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        needed = error.name or module
        hint = upgrade if module.startswith(needed) else lacking(needed, home)
        message = f"{what} needs the module {needed!r}, which is not installed."
        raise PluginBroken(message, hint=hint) from error
    except BaseException as error:  # an import may do anything, call sys.exit() too
        message = f"{what} cannot be imported: {one_line(error)}"
        raise PluginBroken(message, hint=upgrade) from error
    if not isinstance(found, click.Command):
        raise PluginBroken(
            f"{what} must be a click.Command, and {offered.target} is {named(found)}.",
            hint=upgrade,
        )
    return found
