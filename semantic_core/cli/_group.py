"""Command groups: commands are imported when called, errors become a message and an exit code.

Tested by tests/cli/test_frame.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stderr
from difflib import get_close_matches
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._output import (
    answers_alone,
    complain,
    note,
    prepare_streams,
    settle,
    visible,
    write_json,
)
from semantic_core.errors import PluginConflict, SemanticCoreError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from semantic_core._plugins.commands import Commands

GAP = 1
"""Exit code: the work was done, but something was left out or a problem was found."""
REFUSED = 2
"""Exit code: the work could not be done as requested."""
INTERRUPTED = 130
"""Exit code: interrupted with Ctrl-C."""
DEBUG = "SEMANTIC_CORE_DEBUG"
"""Environment variable that shows tracebacks if it is 1."""
NOT_USED = "The plugin {name} is {status} and not used; see: semantic-core plugins list"
"""What is said of a plugin that cannot take part."""

_HINTS: Mapping[str, str] = {
    "TenantRequired": "Add --tenant NAME.",
    "TenantRefused": (
        "Omit --tenant, or create a new index with multi_tenant = true in semantic-core.toml."
    ),
}
"""Hints, by error code, for errors whose own hint is about Python code."""


class Interrupted(Exception):
    """Ctrl-C, with a message about what was finished and how to continue."""


class Group(click.Group):
    """A group that shows its help if no command is given, and the nearest name for a wrong one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added."""
        return list(self.commands)

    def other_commands(self) -> Sequence[str]:
        """Names that are looked up only if a name is none of `list_commands`."""
        return ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help on standard output and exit if there are no arguments.

        Releases of click differ in this.
        """
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command. Raises UsageError with the nearest name for an unknown one."""
        names = self.list_commands(ctx)
        unknown = args[0] not in names and not args[0].startswith("-")
        if unknown and not ctx.resilient_parsing:
            names = [*names, *self.other_commands()]
            unknown = args[0] not in names
        if unknown and not ctx.resilient_parsing:
            advice = self.advice(args[0], names)
            raise click.UsageError(f"No such command {args[0]!r}. {advice}", ctx)
        return super().resolve_command(ctx, args)

    def advice(self, name: str, names: Sequence[str]) -> str:
        """What to do about a name that is none of these."""
        near = get_close_matches(name, names, n=1)
        return f"Did you mean {near[0]}?" if near else f"Commands: {', '.join(names)}."


class LazyGroup(Group):
    """A group whose commands are imported when they are called.

    lazy: command name -> (``"module:attribute"``, help in one line). plugged: whether plugins add
    commands. They are asked for the help, and for a name that is not in the table.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, tuple[str, str]],
        plugged: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy
        self._plugged = plugged
        self._offered: Commands | None = None
        self._called = ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table. The commands of plugins are not among them."""
        return list(self._lazy)

    def other_commands(self) -> Sequence[str]:
        """The names of the commands that plugins offer, and of those that several of them do."""
        offered = self._from_plugins()
        if offered is None:
            return ()
        self._note_unfit(offered)
        return [*offered.usable, *offered.conflicts]

    def advice(self, name: str, names: Sequence[str]) -> str:
        """How to install the plugin of ours that adds this command; else the nearest name."""
        from semantic_core._plugins.distributions import OUR_COMMANDS, installs

        if self._plugged and name in OUR_COMMANDS:
            return f"Install it: {installs(name)}"
        return super().advice(name, names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module.

        Raises PluginConflict for a name that several plugins offer, and PluginBroken for a command
        of a plugin that cannot be imported.
        """
        if cmd_name in self._lazy:
            module, attribute = self._lazy[cmd_name][0].split(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        offered = self._from_plugins(quietly=ctx.resilient_parsing)
        if offered is None:
            return None
        if cmd_name in offered.conflicts and not ctx.resilient_parsing:
            raise PluginConflict(
                offered.conflicts[cmd_name],
                hint="Uninstall one, or name the other in SEMANTIC_CORE_PLUGINS.",
            )
        if cmd_name not in offered.usable:
            return None
        from semantic_core.cli._plugged import imported

        self._called = offered.usable[cmd_name].plugin.name
        try:
            return imported(offered.usable[cmd_name])
        except SemanticCoreError:
            if ctx.resilient_parsing:  # completion has nothing to say of it
                return None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from the tables, so that the help imports none of them."""
        rows = [(name, text) for name, (_, text) in self._lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        offered = self._from_plugins(report=True)
        if offered is None:
            return
        self._note_unfit(offered)
        rows = []
        for name, command in offered.usable.items():
            rows.append(
                (visible(name), f"{visible(command.help)} [{visible(command.plugin.name)}]")
            )
        if rows:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(rows)
        for conflict in offered.conflicts.values():
            note(visible(conflict))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names from the tables, so that completion imports none of them."""
        from click.shell_completion import CompletionItem

        texts = {name: text for name, (_, text) in self._lazy.items()}
        offered = self._from_plugins(quietly=True)
        if offered is not None:
            for name, command in offered.usable.items():
                texts[name] = command.help
        names = []
        for name, text in texts.items():
            if name.startswith(incomplete):
                names.append(CompletionItem(name, help=text))
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def _from_plugins(self, *, report: bool = False, quietly: bool = False) -> Commands | None:
        """What plugins offer, asked once for each run; None if they add no commands here, or cannot
        be searched.

        report: tell of settings that cannot be read; a command that needs them does so itself.
        quietly: write nothing, for the completion of a shell.
        """
        if self._plugged and self._offered is None:
            from semantic_core.cli._plugged import offered_commands

            with redirect_stderr(StringIO()) if quietly else nullcontext():
                try:
                    self._offered = offered_commands(report=report)
                except SemanticCoreError as error:
                    complain(error.message, error.hint)
        return self._offered

    def _note_unfit(self, offered: Commands) -> None:
        """Write a line to standard error for each plugin that cannot take part."""
        from semantic_core._plugins.records import UNFIT

        for info in offered.infos:
            if info.status in UNFIT:
                note(NOT_USED.format(name=visible(info.name), status=info.status))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, print an error in one line, and exit.

        Exit codes: 0, GAP, REFUSED or INTERRUPTED.
        """
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        prepare_streams()
        self._offered = None
        self._called = ""
        given = list(sys.argv[1:] if args is None else args)
        options = given[: given.index("--")] if "--" in given else given
        as_json = "--json" in options
        # From here on, because a command of a plugin is imported to be found.
        with answers_alone() if as_json else nullcontext():
            try:
                result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
                code = result if isinstance(result, int) else 0
                settle()
            except Exception as error:  # noqa: BLE001
                # The end of the program: every error becomes a message and an exit code.
                code = _report(error, as_json, self._called)
        sys.exit(code)


def _report(error: Exception, as_json: bool, plugin: str) -> int:
    """Print an error; returns the exit code. plugin: whose command it was; "" for our own."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if os.environ.get(DEBUG) == "1":
        from traceback import format_exception

        note("".join(format_exception(error)).rstrip())
    name, message, hint, code = _description(error, plugin)
    try:
        if code == INTERRUPTED:
            note(visible(message))
        else:
            complain(message, hint)
        if as_json:
            write_json({"error": {"code": name, "message": message, "hint": hint}})
        settle()
    except OSError:
        settle(quietly=True)
    return code


def _description(error: Exception, plugin: str) -> tuple[str, str, str, int]:
    """(error code, message, hint, exit code) of the error that ended a command.

    plugin: whose command it was; "" for our own.
    """
    if isinstance(error, SemanticCoreError):
        return error.code, error.message, _HINTS.get(error.code, error.hint), REFUSED
    if isinstance(error, Interrupted | click.Abort):
        message = str(error)
        if not message:
            notes = getattr(error.__cause__, "__notes__", [])
            message = f"{' '.join(['Interrupted', *notes])}."
        return "Interrupted", message, "", INTERRUPTED
    if isinstance(error, click.ClickException):
        command = "semantic-core"
        if isinstance(error, click.UsageError) and error.ctx:
            command = error.ctx.command_path
        hint = f"{command} --help shows the usage."
        return "UsageError", error.format_message(), hint, REFUSED
    if isinstance(error, OSError):
        where = f" {str(error.filename)!r}" if error.filename else ""
        message = f"Cannot read or write{where}: {error.strerror or error}."
        return type(error).__name__, message, "", REFUSED
    whose = f"the plugin {plugin!r}" if plugin else "semantic-core or in a plugin"
    return (
        "Unexpected",
        f"This is a bug in {whose}: {type(error).__name__}: {error}",
        f"Please report it, with the traceback that {DEBUG}=1 shows. semantic-core doctor names "
        "plugins that change semantic-core.",
        GAP,
    )
