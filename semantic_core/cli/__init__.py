"""The command line: ``semantic-core``.

One module per command. Importing this package, or showing its help, loads none of them: each is
imported when it is called. Shared modules: `_group` (commands, errors and exit codes), `_options`
(options and opening the index), `_output` (standard output and standard error), `_app` (``--app``),
`_reading` (files and progress), `_records` (JSON), `_render` (search results in a terminal),
`_plugged` (the commands of plugins).

A plugin that adds a command builds it from the names in ``__all__``: the options that our own
commands have, `opened` and `application` that open the index they name, and the functions that
write results. Errors and exit codes are the business of the group.

Tested by tests/cli/test_frame.py and tests/house/test_docs.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from semantic_core.cli._group import GAP, REFUSED, Group, LazyGroup
from semantic_core.cli._output import (
    counted,
    note,
    nothing_follows,
    visible,
    write,
    write_json,
)

if TYPE_CHECKING:
    from semantic_core.cli._app import adapters_of, app_option, application, searchable
    from semantic_core.cli._options import (
        as_option,
        collections_option,
        db_option,
        json_option,
        opened,
        tenant_option,
        where_option,
    )

__all__ = [
    "COMMANDS",
    "EPILOG",
    "GAP",
    "REFUSED",
    "Group",
    "adapters_of",
    "app_option",
    "application",
    "as_option",
    "cli",
    "collections_option",
    "counted",
    "db_option",
    "json_option",
    "main",
    "note",
    "opened",
    "searchable",
    "tenant_option",
    "visible",
    "where_option",
    "write",
    "write_json",
]

_LATER = {
    "adapters_of": "_app",
    "app_option": "_app",
    "application": "_app",
    "as_option": "_options",
    "collections_option": "_options",
    "db_option": "_options",
    "json_option": "_options",
    "opened": "_options",
    "searchable": "_app",
    "tenant_option": "_options",
    "where_option": "_options",
}
"""Names whose modules are imported when first asked for: the help needs none of them."""

if not TYPE_CHECKING:  # a checker that saw this would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        globals()[name] = value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("semantic_core.cli.init:init", "Write a settings file for this folder."),
    "ingest": ("semantic_core.cli.ingest:ingest", "Add files and folders to the index."),
    "search": ("semantic_core.cli.search:search", "Search the index."),
    "similar": ("semantic_core.cli.similar:similar", "Show documents like a document."),
    "complete": ("semantic_core.cli.similar:complete", "Complete what somebody types."),
    "documents": (
        "semantic_core.cli.documents:documents",
        "List, show and delete indexed documents.",
    ),
    "stats": ("semantic_core.cli.stats:stats", "Show index statistics."),
    "reanalyse": (
        "semantic_core.cli.reanalyse:reanalyse",
        "Make the full-text index anew, for another analyser or other languages.",
    ),
    "queue": ("semantic_core.cli.queue:queue", "Manage pending passages and batch jobs."),
    "costs": ("semantic_core.cli.costs:costs", "Show embedding costs."),
    "reindex": (
        "semantic_core.cli.models:reindex",
        "Rebuild the indexes of an application's models.",
    ),
    "verify": (
        "semantic_core.cli.models:verify",
        "Compare an application's models with their indexes.",
    ),
    "outbox": ("semantic_core.cli.outbox:outbox", "Manage pending changes of models."),
    "worker": (
        "semantic_core.cli.worker:worker",
        "Run a worker that processes pending changes.",
    ),
    "blueprint": (
        "semantic_core.cli.blueprint:blueprint",
        "Print the adapter for Django, Pony, SQLAlchemy or Tortoise.",
    ),
    "plugins": (
        "semantic_core.cli.plugins:plugins",
        "List plugins, show their options, write and test new ones.",
    ),
    "config": (
        "semantic_core.cli.config:config",
        "Show the settings, or confirm a settings file.",
    ),
    "backup": ("semantic_core.cli.backup:backup", "Copy the index while it is in use."),
    "restore": ("semantic_core.cli.backup:restore", "Replace the index with a backup."),
    "doctor": (
        "semantic_core.cli.doctor:doctor",
        "Check the installation, the settings and the index.",
    ),
}
"""Every command: ``"module:attribute"``, and its line in the help."""

EPILOG = """\b
Exit codes: 0 everything was done; 1 something was left out, or a problem
was found; 2 it could not be done; 130 interrupted.
The commands above take --json; those about an index take --db PATH,
those about an application's models take --app MODULE:NAME.
\b
Shell completion for bash (zsh and fish likewise), in ~/.bashrc:
  eval "$(_SEMANTIC_CORE_COMPLETE=bash_source semantic-core)"
"""


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"semantic-core {version('semantic-core-kernel')}")
        context.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    plugged=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Semantic and full-text search over your documents and database models.

    \b
      semantic-core ingest ./notes
      semantic-core search "how to repeat something"
    """


def main() -> None:
    """The console script: run the command line and exit with its exit code."""
    try:
        cli.main(prog_name="semantic-core")
    finally:
        if "--json" in sys.argv:
            nothing_follows()
