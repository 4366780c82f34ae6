"""Command groups: commands are imported when called, errors become a message and an exit code.

Tested by tests/cli/test_frame.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from importlib import import_module
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
from semantic_core.errors import SemanticCoreError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

GAP = 1
"""Exit code: the work was done, but something was left out or a problem was found."""
REFUSED = 2
"""Exit code: the work could not be done as requested."""
INTERRUPTED = 130
"""Exit code: interrupted with Ctrl-C."""
DEBUG = "SEMANTIC_CORE_DEBUG"
"""Environment variable that shows tracebacks if it is 1."""

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
        if args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], names, n=1)
            advice = f"Did you mean {near[0]}?" if near else f"Commands: {', '.join(names)}."
            raise click.UsageError(f"No such command {args[0]!r}. {advice}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands are imported when they are called.

    lazy: command name -> (``"module:attribute"``, help in one line).
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module."""
        if cmd_name not in self._lazy:
            return None
        module, attribute = self._lazy[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from the table, so that the help imports none of them."""
        rows = [(name, text) for name, (_, text) in self._lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names from the table, so that completion imports none of them."""
        from click.shell_completion import CompletionItem

        names = []
        for name, (_, text) in self._lazy.items():
            if name.startswith(incomplete):
                names.append(CompletionItem(name, help=text))
        return names + click.Command.shell_complete(self, ctx, incomplete)

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
                code = _report(error, as_json)
        sys.exit(code)


def _report(error: Exception, as_json: bool) -> int:
    """Print an error; returns the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if os.environ.get(DEBUG) == "1":
        from traceback import format_exception

        note("".join(format_exception(error)).rstrip())
    name, message, hint, code = _description(error)
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


def _description(error: Exception) -> tuple[str, str, str, int]:
    """(error code, message, hint, exit code) of the error that ended a command."""
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
    return (
        "Unexpected",
        f"This is a bug in semantic-core or in a plugin: {type(error).__name__}: {error}",
        f"Please report it, with the traceback that {DEBUG}=1 shows. semantic-core doctor names "
        "plugins that change semantic-core.",
        GAP,
    )
