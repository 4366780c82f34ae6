"""``semantic-core reindex`` and ``semantic-core verify``: rebuild and check indexes of models.

Tested by tests/cli/test_models.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._app import (
    adapters_of,
    app_and_json,
    application,
    index_option,
    note_indexes_in_memory,
    require_tables,
)
from semantic_core.cli._group import GAP
from semantic_core.cli._output import counted, is_terminal, note, styled, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.orm import BaseORMAdapter, ReindexProgress, VerifyReport
    from semantic_core.types import IngestReport

MOST_FAILURES = 20
"""Failures that are listed; --json lists all of them."""


@click.command()
@index_option
@click.option(
    "--restart",
    is_flag=True,
    help="Start at the first row, even if an earlier run was interrupted.",
)
@app_and_json
@click.pass_context
def reindex(
    context: click.Context, indexes: tuple[str, ...], restart: bool, app: str | None, as_json: bool
) -> None:
    """Read every row of the models, update their indexes, and remove documents without a row.

    Search keeps working. Unchanged text is not embedded again. An interrupted run is continued.
    """
    from semantic_core.cli._coverage import uncovered
    from semantic_core.cli._records import report_json

    with application(app) as core:
        adapters = adapters_of(core, indexes)
        note_indexes_in_memory(core, adapters)
        require_tables(adapters)
        reports = {}
        for adapter in adapters:
            with row_progress() as progress:
                report = adapter.reindex(progress=progress, resume=not restart)
            reports[adapter.declaration.collection] = report
        warning = uncovered(core, list(reports))
    if as_json:
        write_json({name: report_json(report) for name, report in reports.items()})
    else:
        for name, report in reports.items():
            write(f"{visible(name)}: {report_text(report)}.")
            note_failures(report)
    if warning is not None:
        note(f"{warning.message}. {warning.remedy}")
    if not all(report.complete for report in reports.values()):
        context.exit(GAP)


@click.command()
@index_option
@click.option("--repair", is_flag=True, help="Repair what differs.")
@app_and_json
@click.pass_context
def verify(
    context: click.Context, indexes: tuple[str, ...], repair: bool, app: str | None, as_json: bool
) -> None:
    """Compare every row of the models with their indexes, and report what differs.

    Exit code 1 if something differs and was not repaired.
    """
    with application(app) as core:
        adapters = adapters_of(core, indexes)
        note_indexes_in_memory(core, adapters)
        require_tables(adapters)
        found = _verified(adapters)
        after = found
        if repair:
            for adapter in adapters:
                if not found[adapter.declaration.collection].sound:
                    adapter.repair()
            after = _verified(adapters)
    if as_json:
        write_json(_verify_json(found, after if repair else None))
    else:
        for name, report in found.items():
            write(f"{visible(name)}: {_verify_text(report)}.")
            for kind, ref in report.keys:
                note(f"  {kind}: {visible(ref)}")
            if repair and not report.sound:
                left = after[name]
                write("  repaired" if left.sound else f"  still: {_verify_text(left)}")
    if not all(report.sound for report in after.values()):
        context.exit(GAP)


def _verified(adapters: Sequence[BaseORMAdapter]) -> dict[str, VerifyReport]:
    """The comparison of each model with its index, by collection."""
    return {adapter.declaration.collection: adapter.verify() for adapter in adapters}


def _verify_json(
    found: Mapping[str, VerifyReport], after: Mapping[str, VerifyReport] | None
) -> dict[str, dict[str, Any]]:
    """The reports by collection. after: those of a second comparison, if repairs were made."""
    import attrs

    answer = {}
    for name, report in found.items():
        answer[name] = {**attrs.asdict(report), "sound": report.sound}
        if after is not None:
            answer[name]["repaired"] = after[name].sound
    return answer


@contextmanager
def row_progress() -> Iterator[Callable[[ReindexProgress], None]]:
    """Shows the progress of reading rows: a bar in a terminal, otherwise a line now and then."""
    if not is_terminal(sys.stderr):
        yield _ProgressLines()
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


EVERY = 10.0
"""Seconds between two lines of progress if there is no terminal."""


class _ProgressLines:
    """Prints a line of progress every few seconds, for logs."""

    def __init__(self) -> None:
        self._next = monotonic() + EVERY

    def __call__(self, progress: ReindexProgress) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + EVERY
            note(
                f"{visible(progress.collection)}: {progress.rows:,} of "
                f"{counted(progress.total, 'row')}"
            )


def note_failures(report: IngestReport) -> None:
    """Print what failed and why, a line each, at most MOST_FAILURES."""
    for failure in report.failed[:MOST_FAILURES]:
        note(f"  {visible(failure.what)}: {visible(failure.reason)}")


def report_text(report: IngestReport) -> str:
    """What was done, such as "3 added, 1 removed"."""
    counts = {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "failed": len(report.failed),
        "without a vector yet": report.pending,
    }
    return _listed(counts) or "nothing to do"


def _verify_text(report: VerifyReport) -> str:
    """What differs, such as "200 rows, 1 missing; 3 changes pending"."""
    counts = {
        "missing": report.missing,
        "outdated": report.stale,
        "without a row": report.ghosts,
        "failed": report.failed,
    }
    differences = _listed(counts) or "nothing differs"
    text = f"{counted(report.rows, 'row')}, {differences}"
    if report.comparing:
        text += f"; {visible(report.comparing)}"
    if report.waiting:
        text += f"; {counted(report.waiting, 'change')} pending"
    return text


def _listed(counts: Mapping[str, int]) -> str:
    """Counts that are not 0, such as "3 added, 1 updated"; "" if there is none."""
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
