"""``semantic-core queue``: passages that are pending for their vectors, and batch jobs.

Tested by tests/cli/test_queue.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from time import sleep, time
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._group import GAP, Group, Interrupted
from semantic_core.cli._options import common, opened
from semantic_core.cli._output import (
    counted,
    fitted,
    note,
    render,
    table_width,
    visible,
    write,
    write_json,
)

if TYPE_CHECKING:
    from semantic_core.batch import BatchJob, BatchManager, Estimate, JobStatus, QueueStats
    from semantic_core.types import Failure

SHOWN = 20
"""Jobs, and passages that were given up, that are listed."""
LISTED = 1_000
"""The same with --json."""
UNSENT: tuple[JobStatus, ...] = ("CREATED",)
SENT: tuple[JobStatus, ...] = ("SUBMITTED", "PROCESSING")


@click.group(cls=Group)
def queue() -> None:
    """Manage pending passages and batch jobs."""


@queue.command(short_help="Show pending passages and batch jobs.")
@common
@click.pass_context
def status(context: click.Context, as_json: bool, db: str | None) -> None:
    """Show pending passages, batch jobs, and passages that were given up.

    Exit code 1 if passages were given up.
    """
    with opened(db) as core:
        manager = core.batch_manager
        stats = manager.queue_stats()
        estimate = manager.estimate()
        most = LISTED if as_json else SHOWN
        jobs = manager.jobs(limit=most)
        failures = manager.given_up(most)
        kept = manager.results_kept
    if as_json:
        from semantic_core.cli._records import estimate_json, failures_json, job_json, queue_json

        answer = {**queue_json(stats), "estimate": estimate_json(estimate)}
        answer["jobs"] = [job_json(job) for job in jobs]
        answer["given_up"] = failures_json(failures)
        write_json(answer)
    else:
        _write_status(stats, estimate, jobs, failures, kept)
    if stats.failed:
        context.exit(GAP)


@queue.command(short_help="Submit pending passages as batch jobs.")
@click.option(
    "--min-size",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Do nothing if fewer passages are pending.",
)
@click.option(
    "--force", is_flag=True, help="Ignore --min-size, the freshness settings and the soft budget."
)
@click.option("--job-size", type=click.IntRange(min=1), help="Maximum number of passages per job.")
@click.option("--dry-run", is_flag=True, help="Show the estimated cost; submit nothing.")
@common
@click.pass_context
def flush(
    context: click.Context,
    min_size: int,
    force: bool,
    job_size: int | None,
    dry_run: bool,
    as_json: bool,
    db: str | None,
) -> None:
    """Submit pending passages to the provider of the embedding model, as batch jobs.

    Exit code 1 if a job could not be submitted yet.
    """
    with opened(db) as core:
        manager = core.batch_manager
        if dry_run:
            _write_estimate(manager.estimate(), as_json)
            return
        made = manager.flush_queue(min_size, force, job_size=job_size)
        unsent = manager.jobs(UNSENT, limit=LISTED)
        by_id: dict[str, BatchJob] = {}
        for job in (*made, *unsent):
            by_id[job.id] = job
        jobs = list(by_id.values())
        reason = "" if jobs or as_json else _why_no_job(manager, min_size)
        behind = manager.queue_stats().passages
        kept = manager.results_kept
    if reason:
        write(f"No job was submitted. {reason}")
        return
    without_error = _write_jobs(jobs, as_json)
    if not as_json:
        _note_next_steps(jobs, kept, behind)
    if not without_error:
        context.exit(GAP)


@queue.command(short_help="Check open jobs, and store finished results.")
@click.option("--follow", is_flag=True, help="Check repeatedly until every job has ended.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.01),
    default=60.0,
    show_default=True,
    help="Seconds between two checks.",
)
@common
@click.pass_context
def sync(
    context: click.Context, follow: bool, interval: float, as_json: bool, db: str | None
) -> None:
    """Check the status of open jobs, and store the results of finished jobs.

    Exit code 1 if a job failed.
    """
    with opened(db) as core:
        jobs: Sequence[BatchJob]
        if follow:
            jobs = _follow(core.batch_manager, interval, as_json)
        else:
            jobs = core.batch_manager.sync_status()
    if not jobs and not as_json:
        write("There is no open job.")
        return
    if not _write_jobs(jobs, as_json):
        context.exit(GAP)


@queue.command(short_help="Retry passages that were given up.")
@click.argument("job", required=False)
@common
def retry(job: str | None, as_json: bool, db: str | None) -> None:
    """Put passages that were given up, in JOB or in all jobs, back into the queue.

    They will be paid for again. If a job that was considered lost still exists at its provider, it
    is continued instead.
    """
    with opened(db) as core:
        found = core.batch_manager.adopt_lost()
        count = core.batch_manager.retry(job)
    if as_json:
        write_json({"retried": count, "found": [each.id for each in found]})
        return
    for each in found:
        write(f"Job {each.id[:8]} still exists at its provider; it continues with its passages.")
    if count:
        write(f"Queued {counted(count, 'passage')} again.")
    elif not found:
        write("No passage was given up.")


@queue.command(short_help="Cancel a batch job.")
@click.argument("job")
@common
def cancel(job: str, as_json: bool, db: str | None) -> None:
    """Cancel JOB; the beginning of its id is enough.

    Finished results are still stored; the other passages are queued again.
    """
    with opened(db) as core:
        ended = core.batch_manager.cancel(job)
    _write_jobs([ended], as_json)


def _why_no_job(manager: BatchManager, min_size: int) -> str:
    """Why `flush` submitted nothing, and what to do."""
    pending = manager.queue_stats().passages
    most = manager.rules.open_jobs
    if not pending:
        return "No passage is pending."
    pending_text = f"Pending: {counted(pending, 'passage')}."
    running = len(manager.jobs(SENT, limit=most))
    if running >= most:
        return (
            f"{pending_text} {counted(running, 'job')} running, which is the maximum; wait "
            "until one has ended: semantic-core queue sync."
        )
    return f"{pending_text} Use --force to submit fewer than {min_size}."


def _note_next_steps(jobs: Sequence[BatchJob], kept: float | None, behind: int) -> None:
    """Print what is left to do with open jobs.

    kept: seconds the provider keeps the results of a finished job; None if unknown. behind: number
    of passages that are in no job.
    """
    unsent = []
    sent = []
    for job in jobs:
        if job.status in UNSENT:
            unsent.append(job)
        elif job.status in SENT:
            sent.append(job)
    if unsent:
        held = counted(sum(job.sent for job in unsent), "passage")
        text = (
            f"Not submitted yet: {counted(len(unsent), 'job')} with {held}. The next flush, sync "
            "or worker tries again; semantic-core queue cancel JOB puts its passages back into "
            "the queue."
        )
        if behind:
            text += f" {counted(behind, 'more passage')} pending."
        note(fitted(text))
    if sent:
        until = "Providers keep results only for a few days."
        if kept is not None:
            first = datetime.fromtimestamp(min(job.submitted_at for job in sent) + kept, UTC)
            until = (
                f"The provider keeps them for {kept / 3_600:.0f} hours after a job is finished; "
                f"none expires before {first:%Y-%m-%d %H:%M} UTC."
            )
        note(fitted(f"semantic-core queue sync, or a worker, fetches the results. {until}"))


def _follow(manager: BatchManager, interval: float, as_json: bool) -> Sequence[BatchJob]:
    """Check the open jobs until all have ended; returns all of them."""
    from semantic_core.cli._reading import time_left

    seen: dict[str, BatchJob] = {}
    started = time()
    printed = ""
    try:
        while True:
            for job in manager.sync_status():
                seen[job.id] = job
            open_jobs = 0
            done = 0
            sent = 0
            for job in seen.values():
                open_jobs += 1 if job.waiting else 0
                done += job.succeeded + job.failed
                sent += job.sent
            line = f"{counted(open_jobs, 'open job')}, {done:,} of {sent:,} passages"
            if open_jobs and line != printed and not as_json:
                left = time_left(time() - started, done, sent)
                note(f"{line}{', ' if left else ''}{left}")
            printed = line
            if not open_jobs:
                return list(seen.values())
            sleep(interval)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "Interrupted. The jobs continue; run the same command to check them again."
        ) from error


def _write_jobs(jobs: Sequence[BatchJob], as_json: bool) -> bool:
    """Print the jobs; whether none of them has an error."""
    if as_json:
        from semantic_core.cli._records import job_json

        write_json({"jobs": [job_json(job) for job in jobs]})
    else:
        write(_table(jobs))
    return not any(job.error or job.status == "FAILED" for job in jobs)


def _write_estimate(estimate: Estimate, as_json: bool) -> None:
    if as_json:
        from semantic_core.cli._records import estimate_json

        write_json({"dry_run": True, "estimate": estimate_json(estimate)})
    else:
        write(f"Dry run: nothing was submitted. {estimate_text(estimate)}")


_TIERS = {"interactive": "now", "batch": "in batch jobs"}
"""The price tiers of an estimate, as they are printed."""


def estimate_text(estimate: Estimate) -> str:
    """The cost and duration of embedding, as a sentence."""
    passages = counted(estimate.passages, "passage")
    if not estimate.amounts:
        return f"{passages}, free of charge."
    parts = []
    for tier, amount in estimate.amounts.items():
        parts.append(f"{money(amount, estimate.currency)} {_TIERS[tier]}")
    prices = ", ".join(parts)
    parts = []
    for tier, seconds in estimate.seconds.items():
        minutes = max(1, round(seconds / 60))
        parts.append(f"about {_duration(minutes)} {_TIERS[tier]}")
    times = ", ".join(parts)
    return f"{passages}, about {counted(estimate.tokens, 'token')}: {prices}; {times}."


def money(amount: Any, currency: str) -> str:
    """An amount of money with two significant digits, and at least two decimals."""
    digits = 2 if amount >= 1 or not amount else max(2, 1 - amount.adjusted())
    return f"{amount:,.{digits}f} {currency}"


def _duration(minutes: int) -> str:
    """A duration in minutes, or in hours from 90 minutes on."""
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.0f} h"


def _write_status(
    stats: QueueStats,
    estimate: Estimate,
    jobs: Sequence[BatchJob],
    failures: Sequence[Failure],
    kept: float | None,
) -> None:
    for name in ("ready", "pending", "submitted", "failed"):
        write(f"{name:<10} {getattr(stats, name):>12,}")
    if stats.pending:
        write(fitted(f"To embed: {estimate_text(estimate)}"))
    if jobs:
        write()
        write(_table(jobs))
        _note_next_steps(jobs, kept, stats.passages)
    for failure in failures:
        note(fitted(f"given up: {visible(failure.what)}: {visible(failure.reason)}", indent=4))
    if failures:
        note("After the cause is fixed: semantic-core queue retry.")


def _table(jobs: Sequence[BatchJob]) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("job", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("sent", "done", "failed", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("error", overflow="fold")
    for job in jobs:
        state = "CANCELLING" if job.cancelled_at and job.waiting else job.status
        cells = [job.id[:8], state, f"{job.sent:,}", f"{job.succeeded:,}", f"{job.failed:,}"]
        cells.append(_duration(round(max(0.0, time() - job.created_at) / 60)))
        cells.append(visible(job.error))
        table.add_row(*map(Text, cells))
    return render(table, width=table_width())
