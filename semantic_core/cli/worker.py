"""``semantic-core worker``: works off what waits for as long as it runs: changes of models,
vectors, batch jobs.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

from semantic_core.cli._app import adapters_of, application, of_app, tell_of_memory
from semantic_core.cli._group import GAP
from semantic_core.cli._options import db_option, opened
from semantic_core.cli._output import counted, note, visible, write, write_json
from semantic_core.cli.models import row_progress
from semantic_core.errors import BudgetSpent, EmbedderError, InputError, SemanticCoreError
from semantic_core.protocols import BatchQueue
from semantic_core.types import Failure, IngestReport

if TYPE_CHECKING:
    from semantic_core.batch import BatchJob
    from semantic_core.core import SemanticCore
    from semantic_core.orm import ReindexProgress

LONGEST_PAUSE = 60.0
"""Seconds it waits at most after one failure after another."""


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="Work off what waits now, and end. Exit code 1 if something was left.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@db_option
@of_app
@click.pass_context
def worker(
    context: click.Context,
    once: bool,
    interval: float,
    app: str | None,
    as_json: bool,
    db: str | None,
) -> None:
    """Work off what waits: changes of an application's models,
    passages without a vector, batch jobs.

    With --app that of its models and its index, otherwise that of the index --db or the settings
    name. Any number of workers may run; none gets in another's way. SIGTERM and Ctrl-C end it after
    the batch it is at.
    """
    if app and db:
        raise InputError("--app names an application with an index of its own; leave --db out.")
    with application(app) if app else opened(db) as core:
        if app:
            tell_of_memory(core, adapters_of(core))
        if once:
            with row_progress() as show:
                report, jobs = _round(core, show)
            _tell(report, jobs, 0.0, as_json)
            if not as_json:
                _note_left(core)
            if report.failed or report.pending:
                context.exit(GAP)
            return
        with _until_told() as stop:
            if not as_json:
                note(f"Looking for work every {interval:g} s; Ctrl-C ends it.")
            _run(core, stop, interval, as_json)
    if not as_json:
        note("Ended; nothing was left half done.")


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    before = {
        name: signal.signal(name, lambda *_: stop.set()) for name in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _run(core: SemanticCore, stop: threading.Event, interval: float, as_json: bool) -> None:
    pause = interval
    seen: dict[str, BatchJob] = {}
    while not stop.is_set():
        started = monotonic()
        try:
            report, jobs = _round(core)
        except Exception as error:  # noqa: BLE001
            # The database or the store is away; the work waits, and it tries again.
            pause = min(pause * 2, LONGEST_PAUSE)
            reason = (
                str(error)
                if isinstance(error, SemanticCoreError)
                else f"{type(error).__name__}: {error}"
            )
            if as_json:
                write_json({"error": reason, "retry_in_s": pause})
            else:
                note(f"{visible(reason)} Next try in {pause:g} s.")
        else:
            news = [job for job in jobs if _state(seen.get(job.id)) != _state(job)]
            seen |= {job.id: job for job in jobs}
            if (
                news
                or report.failed
                or report.added
                or report.updated
                or report.removed
                or report.embedded
            ):
                _tell(report, news, monotonic() - started, as_json)
            pause = min(pause * 2, LONGEST_PAUSE) if report.failed else interval
        stop.wait(pause)


def _round(
    core: SemanticCore, progress: Callable[[ReindexProgress], None] | None = None
) -> tuple[IngestReport, list[BatchJob]]:
    """One look: changes of models first, then vectors and jobs; the jobs that were touched."""
    manager = core.batch_manager
    report = core.sync(progress=progress) if core.followers else IngestReport()
    try:
        jobs = list(manager.work())
    except (EmbedderError, BudgetSpent) as error:
        left = Failure("pending vectors", error.code, str(error))
        known = any(failure.what == left.what for failure in report.failed)
        return report if known else _with(report, left), []
    return report, jobs


def _note_left(core: SemanticCore) -> None:
    """What waits for a job, and what was given up."""
    if not isinstance(core.store, BatchQueue):
        return
    stats = core.batch_manager.queue_stats()
    if stats.passages and stats.jobs.get("CREATED"):
        note(f"{counted(stats.passages, 'passage')} wait until the job before them is taken.")
    elif stats.passages:
        note(
            f"{counted(stats.passages, 'passage')} wait for a job to be worth it; "
            "semantic-core queue flush makes one now."
        )
    if stats.failed:
        note(f"{counted(stats.failed, 'passage')} given up: semantic-core queue status says why.")


def _with(report: IngestReport, failure: Failure) -> IngestReport:
    import attrs

    return attrs.evolve(report, failed=(*report.failed, failure))


def _state(job: BatchJob | None) -> tuple[object, ...]:
    return () if job is None else (job.status, job.succeeded, job.failed, job.error)


def _tell(report: IngestReport, jobs: list[BatchJob], seconds: float, as_json: bool) -> None:
    if as_json:
        from semantic_core.cli._records import report_json

        told_jobs = [
            {
                "id": job.id,
                "status": job.status,
                "sent": job.sent,
                "succeeded": job.succeeded,
                "failed": job.failed,
                "error": job.error,
            }
            for job in jobs
        ]
        write_json({**report_json(report), "jobs": told_jobs})
        return
    from semantic_core.cli.models import told

    lines = [] if jobs and told(report) == told(IngestReport()) else [told(report)]
    lines += [
        (
            f"job {job.id[:8]}: {job.status.lower()}, {job.succeeded:,} of "
            f"{counted(job.sent, 'passage')}"
        )
        + (f", {job.failed:,} failed" if job.failed else "")
        + (f": {visible(job.error)}" if job.error else "")
        for job in jobs
    ]
    for line in lines:
        write(line + (f" ({seconds:.1f} s)" if seconds else ""))
    for failure in report.failed[:20]:
        note(f"  {visible(failure.what)}: {visible(failure.reason)}")
