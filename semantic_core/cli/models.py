"""``semantic-core reindex`` and ``semantic-core verify``:
the indexes of an application's models, row by row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

from semantic_core.cli._app import (
    adapters_of,
    application,
    index_option,
    of_app,
    tell_of_memory,
)
from semantic_core.cli._group import GAP
from semantic_core.cli._output import counted, is_terminal, note, styled, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.orm import BaseORMAdapter, ReindexProgress, VerifyReport
    from semantic_core.types import IngestReport

EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


@click.command()
@index_option
@click.option(
    "--restart",
    is_flag=True,
    help="Begin with the first row, though an earlier run was interrupted.",
)
@of_app
@click.pass_context
def reindex(
    context: click.Context, indexes: tuple[str, ...], restart: bool, app: str | None, as_json: bool
) -> None:
    """Bring every row of the models into their indexes again, and take out what has no row.

    Search works meanwhile. What has not changed is not embedded again. An interrupted run goes on
    where it was.
    """
    from semantic_core.cli._records import report_json

    with application(app) as core:
        adapters = adapters_of(core, indexes)
        tell_of_memory(core, adapters)
        done = {
            adapter.declaration.collection: _reindexed(adapter, restart) for adapter in adapters
        }
    if as_json:
        write_json({name: report_json(report) for name, report in done.items()})
    else:
        for name, report in done.items():
            write(f"{visible(name)}: {told(report)}.")
            for failure in report.failed[:20]:
                note(f"  {visible(failure.what)}: {visible(failure.reason)}")
    if any(not report.complete for report in done.values()):
        context.exit(GAP)


@click.command()
@index_option
@click.option("--repair", is_flag=True, help="Mend what differs.")
@of_app
@click.pass_context
def verify(
    context: click.Context, indexes: tuple[str, ...], repair: bool, app: str | None, as_json: bool
) -> None:
    """Compare every row of the models with their indexes. Exit code 1 if something differs,
    and was not repaired.
    """
    import attrs

    with application(app) as core:
        adapters = adapters_of(core, indexes)
        tell_of_memory(core, adapters)
        found = {adapter.declaration.collection: adapter.verify() for adapter in adapters}
        if repair:
            for adapter in adapters:
                if not found[adapter.declaration.collection].sound:
                    adapter.repair()
            after = {adapter.declaration.collection: adapter.verify() for adapter in adapters}
    if as_json:
        write_json(
            {
                name: {
                    **attrs.asdict(report),
                    "sound": report.sound,
                    **({"repaired": after[name].sound} if repair else {}),
                }
                for name, report in found.items()
            }
        )
    else:
        for name, report in found.items():
            write(f"{visible(name)}: {_compared(report)}.")
            for kind, ref in report.keys:
                note(f"  {kind}: {visible(ref)}")
            if repair and not report.sound:
                write(
                    f"  {'repaired' if after[name].sound else f'still: {_compared(after[name])}'}"
                )
    if not all(report.sound for report in (after if repair else found).values()):
        context.exit(GAP)


def _reindexed(adapter: BaseORMAdapter, restart: bool) -> IngestReport:
    with row_progress() as show:
        return adapter.reindex(progress=show, resume=not restart)


@contextmanager
def row_progress() -> Iterator[Callable[[ReindexProgress], None]]:
    """What shows how far a comparison of rows is: a bar in a terminal, else a line now and then."""
    if not is_terminal(sys.stderr):
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, no_color=not styled(sys.stderr), highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as bar:

        def show(progress: ReindexProgress) -> None:
            if progress.collection not in tasks:
                tasks[progress.collection] = bar.add_task(visible(progress.collection), total=None)
            bar.update(tasks[progress.collection], completed=progress.rows, total=progress.total)

        yield show


class _Lines:
    """A line every few seconds, for logs."""

    def __init__(self) -> None:
        self._next = monotonic() + EVERY

    def __call__(self, progress: ReindexProgress) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + EVERY
            note(
                f"{visible(progress.collection)}: {progress.rows:,} of "
                f"{counted(progress.total, 'row')}"
            )


def told(report: IngestReport) -> str:
    """What was done, in a line."""
    parts = [("added", report.added), ("updated", report.updated), ("unchanged", report.unchanged)]
    parts += [
        ("removed", report.removed),
        ("failed", len(report.failed)),
        ("without a vector yet", report.pending),
    ]
    return ", ".join(f"{count:,} {what}" for what, count in parts if count) or "nothing to do"


def _compared(report: VerifyReport) -> str:
    parts = [
        ("missing", report.missing),
        ("stale", report.stale),
        ("without a row", report.ghosts),
        ("failed", report.failed),
    ]
    wrong = ", ".join(f"{count:,} {what}" for what, count in parts if count)
    waiting = f"; {counted(report.waiting, 'change')} waiting" if report.waiting else ""
    return f"{counted(report.rows, 'row')}, {wrong or 'nothing differs'}{waiting}"
