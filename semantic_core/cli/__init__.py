"""The command line: ``semantic-core``.

One module per command. Importing this package, or showing its help, loads none of them: each is
imported when it is called. Shared modules: `_group` (commands, errors and exit codes), `_options`
(options and opening the index), `_output` (standard output and standard error), `_app` (``--app``),
`_reading` (files and progress), `_records` (JSON), `_render` (search results in a terminal).

Tested by tests/cli/test_frame.py and tests/house/test_docs.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from semantic_core.cli._group import LazyGroup
from semantic_core.cli._output import nothing_follows

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("semantic_core.cli.init:init", "Write a settings file for this folder."),
    "ingest": ("semantic_core.cli.ingest:ingest", "Add files and folders to the index."),
    "search": ("semantic_core.cli.search:search", "Search the index."),
    "documents": (
        "semantic_core.cli.documents:documents",
        "List, show and delete indexed documents.",
    ),
    "stats": ("semantic_core.cli.stats:stats", "Show index statistics."),
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
        "Print the adapter for Django or SQLAlchemy.",
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
Every command takes --json. Commands about an index take --db PATH,
commands about an application's models take --app MODULE:NAME.
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
