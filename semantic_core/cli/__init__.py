"""The command line.

Importing it, and asking for its help, loads no command: each is imported when it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from semantic_core.cli._group import LazyGroup
from semantic_core.cli._output import nothing_follows

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("semantic_core.cli.init:init", "Write a settings file to start from."),
    "ingest": ("semantic_core.cli.ingest:ingest", "Make files and folders findable."),
    "search": ("semantic_core.cli.search:search", "Find passages by meaning and by words."),
    "documents": (
        "semantic_core.cli.documents:documents",
        "List, show and delete what is in the index.",
    ),
    "stats": ("semantic_core.cli.stats:stats", "How much there is."),
    "queue": (
        "semantic_core.cli.queue:queue",
        "Passages that wait for their vectors, and batch jobs of them.",
    ),
    "costs": ("semantic_core.cli.costs:costs", "What embedding has cost."),
    "reindex": (
        "semantic_core.cli.models:reindex",
        "Bring every row of an application's models into their indexes again.",
    ),
    "verify": (
        "semantic_core.cli.models:verify",
        "Compare every row of an application's models with their indexes.",
    ),
    "outbox": (
        "semantic_core.cli.outbox:outbox",
        "Changes of models that wait to be worked off, or were given up.",
    ),
    "worker": (
        "semantic_core.cli.worker:worker",
        "Work off changes of models for as long as it runs.",
    ),
    "blueprint": (
        "semantic_core.cli.blueprint:blueprint",
        "Print the adapter for Django or SQLAlchemy.",
    ),
    "plugins": (
        "semantic_core.cli.plugins:plugins",
        "What is installed, what it offers, what is broken.",
    ),
    "config": (
        "semantic_core.cli.config:config",
        "The settings in force, and where they come from.",
    ),
    "backup": ("semantic_core.cli.backup:backup", "Copy the index while it is in use."),
    "restore": (
        "semantic_core.cli.restore:restore",
        "Put a backup in the place of the index.",
    ),
    "doctor": (
        "semantic_core.cli.doctor:doctor",
        "Check the installation, the settings and the index.",
    ),
}
"""Every command: where it is, and what the help says of it."""

EPILOG = """\b
Exit codes: 0 fine, 1 something was left out or is wrong, 2 it could not be
done, 130 interrupted. Every command takes --json; those about an index take
--db PATH, those about an application's models --app MODULE:NAME.
\b
Completion in bash (zsh and fish likewise), in ~/.bashrc:
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
    help="Show the version.",
)
def cli() -> None:
    """Search your own text by meaning and by words, in one file, offline.

    \b
      semantic-core ingest ./notes
      semantic-core search "how to repeat something"
    """


def main() -> None:
    """The console script: runs what the arguments say and ends the process with its exit code."""
    try:
        cli.main(prog_name="semantic-core")
    finally:
        if "--json" in sys.argv:
            nothing_follows()
