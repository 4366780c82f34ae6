"""``semantic-core worker``: process pending changes, pending vectors and batch jobs.

Tested by tests/cli/test_models.py and tests/cli/test_queue.py.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from semantic_core._validation import described
from semantic_core.cli._app import (
    adapters_of,
    app_and_json,
    application,
    note_indexes_in_memory,
    require_outbox,
    require_tables,
)
from semantic_core.cli._group import GAP
from semantic_core.cli._options import db_option, opened
from semantic_core.cli._output import counted, note, visible, write, write_json
from semantic_core.cli.models import note_failures, report_text, row_progress
from semantic_core.errors import BudgetSpent, EmbedderError, InputError
from semantic_core.types import Failure, IngestReport

if TYPE_CHECKING:
    from semantic_core.batch import BatchJob
    from semantic_core.core import SemanticCore
    from semantic_core.orm import BaseORMAdapter, ReindexProgress

LONGEST_PAUSE = 60.0
"""Most seconds between two attempts after repeated failures."""


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="Process what is pending now, and exit; exit code 1 if something is left.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="Seconds between two checks.",
)
@db_option
@app_and_json
@click.pass_context
def worker(
    context: click.Context,
    once: bool,
    interval: float,
    app: str | None,
    as_json: bool,
    db: str | None,
) -> None:
    """Run a worker that processes pending changes of models, passages without a vector, and jobs.

    With --app it works for the models of an application, without it for the index that --db or
    the settings name. You can run any number of workers at the same time. SIGTERM and Ctrl-C stop
    the worker after its current batch.
    """
    if app and db:
        raise InputError("--app names an application with its own index.", hint="Omit --db.")
    adapters: Sequence[BaseORMAdapter] = ()
    with _in_foreground(app) if app else opened(db) as core:
        if app:
            adapters = adapters_of(core)
            note_indexes_in_memory(core, adapters)
            require_outbox(adapters)
            if once:
                require_tables(adapters)
        if once:
            with row_progress() as progress:
                report, jobs = _round(core, progress)
            _report(report, jobs, 0.0, as_json)
            paused = _paused_changes(adapters)
            if not as_json:
                _note_left(core)
                _note_paused(paused)
            if report.failed or report.pending or paused:
                context.exit(GAP)
            return
        with _stop_signals() as stop:
            if not as_json:
                note(f"Checking for work every {interval:g} s; stop with Ctrl-C.")
            _run(core, stop, interval, as_json)
    if not as_json:
        note("Stopped after the current batch.")


@contextmanager
def _in_foreground(app: str) -> Iterator[SemanticCore]:
    """The core of an application without background threads, so that this command processes and
    reports all changes itself.
    """
    from semantic_core.orm.worker import in_foreground

    with in_foreground(), application(app) as core:
        yield core


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def set_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    on_terminate = signal.signal(signal.SIGTERM, set_stop)
    on_interrupt = signal.signal(signal.SIGINT, set_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, on_terminate)
        signal.signal(signal.SIGINT, on_interrupt)


def _run(core: SemanticCore, stop: threading.Event, interval: float, as_json: bool) -> None:
    """Process what is pending, again and again, until `stop` is set."""
    pause = interval
    seen: dict[str, BatchJob] = {}
    while not stop.is_set():
        started = monotonic()
        try:
            report, jobs = _round(core)
        except Exception as error:  # noqa: BLE001
            # The database or the store is unavailable; the changes stay pending.
            pause = min(pause * 2, LONGEST_PAUSE)
            _report_error(error, pause, as_json)
        else:
            news = []
            for job in jobs:
                if _state(seen.get(job.id)) != _state(job):
                    news.append(job)
                seen[job.id] = job
            done = report.added or report.updated or report.removed or report.embedded
            if news or report.failed or done:
                _report(report, news, monotonic() - started, as_json)
            pause = min(pause * 2, LONGEST_PAUSE) if report.failed else interval
        stop.wait(pause)


def _report_error(error: Exception, pause: float, as_json: bool) -> None:
    reason = described(error)
    if as_json:
        write_json({"error": reason, "retry_in_s": pause})
    else:
        note(f"{visible(reason)} Next attempt in {pause:g} s.")


def _round(
    core: SemanticCore, progress: Callable[[ReindexProgress], None] | None = None
) -> tuple[IngestReport, list[BatchJob]]:
    """Process pending changes of models, then vectors and jobs; the jobs that were processed."""
    manager = core.batch_manager
    report = core.sync(progress=progress) if core.followers else IngestReport()
    try:
        jobs = list(manager.work())
    except (EmbedderError, BudgetSpent) as error:
        left = Failure("pending vectors", error.code, str(error))
        if not any(failure.what == left.what for failure in report.failed):
            report = _with(report, left)
        return report, []
    return report, jobs


def _note_left(core: SemanticCore) -> None:
    """Print how many passages are pending for a job, or were given up."""
    if core.ledger is None:
        return
    stats = core.batch_manager.queue_stats()
    if stats.passages and stats.jobs.get("CREATED"):
        note(
            f"{counted(stats.passages, 'passage')} pending until the provider accepts the previous "
            "job."
        )
    elif stats.passages:
        note(
            f"{counted(stats.passages, 'passage')} pending, too few for a batch job; "
            "semantic-core queue flush submits them now."
        )
    if stats.failed:
        note(f"{counted(stats.failed, 'passage')} given up; see: semantic-core queue status.")


def _paused_changes(adapters: Sequence[BaseORMAdapter]) -> dict[str, str]:
    """What is said of each index with changes that are not processed because they failed."""
    told = {}
    for adapter in adapters:
        state = adapter.status()
        parts = []
        if state.waiting and state.last_error:
            parts.append(f"{counted(state.waiting, 'change')} pending after a failure")
        if state.aborted:
            parts.append(f"{counted(state.aborted, 'change')} given up")
        if parts:
            told[state.collection] = ", ".join(parts)
    return told


def _note_paused(paused: Mapping[str, str]) -> None:
    for collection, text in paused.items():
        note(f"{visible(collection)}: {text}; see: semantic-core outbox status.")


def _with(report: IngestReport, failure: Failure) -> IngestReport:
    import attrs

    return attrs.evolve(report, failed=(*report.failed, failure))


def _state(job: BatchJob | None) -> tuple[object, ...]:
    """What is reported of a job if it changes; () for None."""
    return () if job is None else (job.status, job.succeeded, job.failed, job.error)


def _report(report: IngestReport, jobs: list[BatchJob], seconds: float, as_json: bool) -> None:
    """Print what was done. seconds: how long it took; 0 is not printed."""
    if as_json:
        from semantic_core.cli._records import report_json

        write_json({**report_json(report), "jobs": [_job_json(job) for job in jobs]})
        return
    lines = [_job_text(job) for job in jobs]
    done = report_text(report)
    if not jobs or done != report_text(IngestReport()):
        lines.insert(0, done)
    duration = f" ({seconds:.1f} s)" if seconds else ""
    for line in lines:
        write(f"{line}{duration}")
    note_failures(report)


def _job_json(job: BatchJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": job.status,
        "sent": job.sent,
        "succeeded": job.succeeded,
        "failed": job.failed,
        "error": job.error,
    }


def _job_text(job: BatchJob) -> str:
    sent = counted(job.sent, "passage")
    text = f"job {job.id[:8]}: {job.status.lower()}, {job.succeeded:,} of {sent}"
    if job.failed:
        text += f", {job.failed:,} failed"
    if job.error:
        text += f": {visible(job.error)}"
    return text
