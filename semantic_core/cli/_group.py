"""The root group: commands imported when called,
and the one place where an error becomes words and an exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._output import complain, note, prepare_streams, settle, visible, write_json
from semantic_core.errors import SemanticCoreError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

GAP = 1
"""The work was done and left something out."""
REFUSED = 2
"""The work could not be done as asked."""
INTERRUPTED = 130
"""Ctrl-C."""
DEBUG = "SEMANTIC_CORE_DEBUG"
"""Set to 1, this environment variable shows tracebacks."""

_HINTS: Mapping[str, str] = {
    "TenantRequired": "Add --tenant NAME.",
    "TenantRefused": (
        "Leave --tenant out, or make a new index with multi_tenant = true in semantic-core.toml."
    ),
}
"""What to do about errors whose own hint speaks of Python."""


class Interrupted(Exception):
    """Ctrl-C, after which there is something to say."""


class Group(click.Group):
    """A group that shows its help when no command is named,
    and the nearest name when there is none of that name.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Ends with the help, on standard output, if there are none.

        Releases of click differ in that.
        """
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or a UsageError that says what was probably meant."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], names, n=1)
            meant = f" Did you mean {near[0]}?" if near else f" There are {', '.join(names)}."
            raise click.UsageError(f"No such command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands are named in a table: name -> (``"module:attribute"``,
    help in one line).
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order of a first day."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module."""
        if cmd_name not in self._lazy:
            return None
        module, attribute = self._lazy[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table: help imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """From the table: completing a command's name imports nothing."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=text)
            for name, (_, text) in self._lazy.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, say in one line what went wrong, and exit: 0 fine, 1 a gap, 2 refused,
        130 interrupted.
        """
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        prepare_streams()
        given = list(sys.argv[1:] if args is None else args)
        options = given[: given.index("--")] if "--" in given else given
        as_json = "--json" in options
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            code = result if isinstance(result, int) else 0
            settle()
        except Exception as error:  # noqa: BLE001
            # The end of the program: every error becomes words and a code.
            code = _told(error, as_json)
        sys.exit(code)


def _told(error: Exception, as_json: bool) -> int:
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if os.environ.get(DEBUG) == "1":
        from traceback import format_exception

        note("".join(format_exception(error)).rstrip())
    name, message, hint, code = _explained(error)
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


def _explained(error: Exception) -> tuple[str, str, str, int]:
    """Code, message, hint and exit code of what ended a command."""
    if isinstance(error, SemanticCoreError):
        return error.code, error.message, _HINTS.get(error.code, error.hint), REFUSED
    if isinstance(error, Interrupted | click.Abort):
        notes = getattr(error.__cause__, "__notes__", [])
        told = f"{' '.join(['Interrupted', *notes])}."
        return "Interrupted", str(error) or told, "", INTERRUPTED
    if isinstance(error, click.ClickException):
        path = (
            error.ctx.command_path
            if isinstance(error, click.UsageError) and error.ctx
            else "semantic-core"
        )
        return "UsageError", error.format_message(), f"{path} --help shows what it takes.", REFUSED
    if isinstance(error, OSError):
        where = f" {str(error.filename)!r}" if error.filename else ""
        return (
            type(error).__name__,
            f"Cannot read or write{where}: {error.strerror or error}.",
            "",
            REFUSED,
        )
    return (
        "Unexpected",
        f"This should not have happened: {type(error).__name__}: {error}",
        f"Please report it with what {DEBUG}=1 shows.",
        GAP,
    )
