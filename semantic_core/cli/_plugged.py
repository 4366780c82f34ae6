"""The commands of plugins: found for the help and for names that are not ours, and each imported
when it is called.

Our own commands come first and are found without this module, so that a plugin can neither slow
them down nor take their place.

Tested by tests/cli/test_plugged.py.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib import import_module

import click

from semantic_core._config import read_config
from semantic_core._plugins.commands import Commands, OfferedCommand
from semantic_core._plugins.discovery import built_in, installed
from semantic_core._plugins.distributions import lacking
from semantic_core._plugins.host import Plugins
from semantic_core._validation import named, one_line
from semantic_core.cli import COMMANDS
from semantic_core.cli._output import answers_alone, complain
from semantic_core.errors import PluginBroken, SemanticCoreError


def plugins_and_commands(db: str | None = None, *, report: bool = True) -> tuple[Plugins, Commands]:
    """All plugins, with those that the settings disable, and the commands they add.

    What a plugin prints when it is imported goes to standard error. If the settings cannot be read,
    all plugins are used. report: whether to say so on standard error.
    """
    with redirect_stdout(sys.stderr):
        plugins = _all_plugins(db, report)
        return plugins, plugins.commands(COMMANDS)


def offered_commands(*, report: bool) -> Commands:
    """The commands that plugins add; nothing that is printed meanwhile gets to standard output.

    report: as for `plugins_and_commands`.
    """
    with answers_alone():
        return plugins_and_commands(report=report)[1]


def _all_plugins(db: str | None, report: bool) -> Plugins:
    try:
        settings = read_config(overrides={"path": db})
        names = settings.values["plugins"]
        if names is None or settings.sources["plugins"].startswith("environment"):
            return Plugins.load(refuse=False)
        if not names:
            own = built_in()
            reserved = [record.info.name for record in own]
            return Plugins([*installed((), reserved), *own])
        return Plugins.load(names, refuse=False)
    except SemanticCoreError as error:
        if report:
            complain(error.message, error.hint)
        return Plugins.load(refuse=False)


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
