"""``semantic-core queue``: passages that wait for their vectors,
and the batch jobs made of them.
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
"""Jobs, and passages given up, that are listed; --json has more."""
LISTED = 1_000
"""Likewise with --json."""
UNSENT: tuple[JobStatus, ...] = ("CREATED",)
SENT: tuple[JobStatus, ...] = ("SUBMITTED", "PROCESSING")


@click.group(cls=Group)
def queue() -> None:
    """Passages that wait for their vectors, and the batch jobs made of them."""


@queue.command()
@common
@click.pass_context
def status(context: click.Context, as_json: bool, db: str | None) -> None:
    """How much waits, which jobs there are, and what was given up.
    Exit code 1 if something was given up.
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

        told = {**queue_json(stats), "estimate": estimate_json(estimate)}
        write_json(
            {**told, "jobs": [job_json(job) for job in jobs], "given_up": failures_json(failures)}
        )
    else:
        _write_status(stats, estimate, jobs, failures, kept)
    if stats.failed:
        context.exit(GAP)


@queue.command()
@click.option(
    "--min-size",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Do nothing if fewer passages wait.",
)
@click.option(
    "--force", is_flag=True, help="However few wait, of every collection, and past the soft budget."
)
@click.option("--job-size", type=click.IntRange(min=1), help="Passages in a job, at most.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost; submit nothing.")
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
    """Submit what waits to the embedder's provider, as batch jobs.
    Exit code 1 if one could not be sent yet.
    """
    with opened(db) as core:
        manager = core.batch_manager
        if dry_run:
            _tell_estimate(manager.estimate(), as_json)
            return
        made = manager.flush_queue(min_size, force, job_size=job_size)
        unsent = manager.jobs(UNSENT, limit=LISTED)
        jobs = list({job.id: job for job in (*made, *unsent)}.values())
        why = "" if jobs or as_json else _why_no_job(manager, min_size)
        behind = manager.queue_stats().passages
        kept = manager.results_kept
    if why:
        write(f"No job was made. {why}")
        return
    well = _tell_jobs(jobs, as_json)
    if not as_json:
        _note_next_steps(jobs, kept, behind)
    if not well:
        context.exit(GAP)


@queue.command()
@click.option("--follow", is_flag=True, help="Look again and again, until every job has ended.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.01),
    default=60.0,
    show_default=True,
    help="Seconds between two looks.",
)
@common
@click.pass_context
def sync(
    context: click.Context, follow: bool, interval: float, as_json: bool, db: str | None
) -> None:
    """Ask how the jobs are, and bring in the results of those that are done.
    Exit code 1 if one failed.
    """
    with opened(db) as core:
        jobs = (
            _follow(core.batch_manager, interval, as_json)
            if follow
            else core.batch_manager.sync_status()
        )
    if not jobs and not as_json:
        write("There is no open job.")
        return
    if not _tell_jobs(jobs, as_json):
        context.exit(GAP)


@queue.command()
@click.argument("job", required=False)
@common
def retry(job: str | None, as_json: bool, db: str | None) -> None:
    """Let passages that were given up (in JOB, or in any) wait again. They are paid for again; a
    lost job that is at its provider after all goes on instead.
    """
    with opened(db) as core:
        found = core.batch_manager.adopt_lost()
        count = core.batch_manager.retry(job)
    if as_json:
        write_json({"retried": count, "found": [each.id for each in found]})
        return
    for each in found:
        write(f"Job {each.id[:8]} is at its provider after all; it goes on, with its passages.")
    if count or not found:
        write(f"{counted(count, 'passage')} wait again." if count else "No passage was given up.")


@queue.command()
@click.argument("job")
@common
def cancel(job: str, as_json: bool, db: str | None) -> None:
    """End JOB (the beginning of its id is enough). What it has done is still collected;
    the rest waits again.
    """
    with opened(db) as core:
        ended = core.batch_manager.cancel(job)
    _tell_jobs([ended], as_json)


def _why_no_job(manager: BatchManager, min_size: int) -> str:
    waiting = manager.queue_stats().passages
    most = manager.rules.open_jobs
    if not waiting:
        return "Nothing waits."
    under_way = len(manager.jobs(SENT, limit=most))
    if under_way >= most:
        return (
            f"{counted(waiting, 'passage')} wait; {counted(under_way, 'job')} are under way, and "
            "more may not be: semantic-core queue sync."
        )
    return f"{counted(waiting, 'passage')} wait; --force submits fewer than {min_size}."


def _note_next_steps(jobs: Sequence[BatchJob], kept: float | None, behind: int) -> None:
    """What is left to do with jobs that are open. kept: seconds results are kept for. behind:
    passages in no job.
    """
    unsent = [job for job in jobs if job.status in UNSENT]
    if unsent:
        held = counted(sum(job.sent for job in unsent), "passage")
        note(
            fitted(
                f"{held} of {counted(len(unsent), 'job')} not sent yet. The next flush, sync or "
                "worker tries again; semantic-core queue cancel JOB lets them wait for another."
                + (f" {counted(behind, 'passage')} wait behind them." if behind else "")
            )
        )
    sent = [job for job in jobs if job.status in SENT]
    if sent:
        until = "Providers keep them for a few days only."
        if kept is not None:
            first = datetime.fromtimestamp(min(job.submitted_at for job in sent) + kept, UTC)
            until = (
                f"They are kept for {kept / 3_600:.0f} hours once a job is done: none is gone "
                f"before {first:%Y-%m-%d %H:%M} UTC."
            )
        note(fitted(f"Results are brought in by semantic-core queue sync, or a worker. {until}"))


def _follow(manager: BatchManager, interval: float, as_json: bool) -> Sequence[BatchJob]:
    """All jobs there were, when they have ended."""
    from semantic_core.cli._reading import time_left

    seen: dict[str, BatchJob] = {}
    started = time()
    told = ""
    try:
        while True:
            seen.update((job.id, job) for job in manager.sync_status())
            open_jobs = [job for job in seen.values() if job.waiting]
            done = sum(job.succeeded + job.failed for job in seen.values())
            sent = sum(job.sent for job in seen.values())
            line = f"{counted(len(open_jobs), 'open job')}, {done:,} of {sent:,} passages"
            if open_jobs and line != told and not as_json:
                left = time_left(time() - started, done, sent)
                note(f"{line}{', ' if left else ''}{left}")
            told = line
            if not open_jobs:
                return list(seen.values())
            sleep(interval)
    except KeyboardInterrupt as error:
        raise Interrupted("The jobs go on without you; the same command looks again.") from error


def _tell_jobs(jobs: Sequence[BatchJob], as_json: bool) -> bool:
    """Whether all is well with them."""
    if as_json:
        from semantic_core.cli._records import job_json

        write_json({"jobs": [job_json(job) for job in jobs]})
    else:
        write(_table(jobs))
    return not any(job.error or job.status == "FAILED" for job in jobs)


def _tell_estimate(estimate: Estimate, as_json: bool) -> None:
    if as_json:
        from semantic_core.cli._records import estimate_json

        write_json({"dry_run": True, "estimate": estimate_json(estimate)})
    else:
        write(f"Dry run: nothing was submitted. {estimate_text(estimate)}")


def estimate_text(estimate: Estimate) -> str:
    """What embedding takes, as a sentence."""
    told = f"{counted(estimate.passages, 'passage')}"
    if not estimate.amounts:
        return f"{told}; they cost nothing but time."
    tiers = {"interactive": "at once", "batch": "in jobs"}
    prices = ", ".join(
        f"{money(amount, estimate.currency)} {tiers[tier]}"
        for tier, amount in estimate.amounts.items()
    )
    minutes = {tier: max(1, round(seconds / 60)) for tier, seconds in estimate.seconds.items()}
    times = ", ".join(f"about {_span(minutes[tier])} {tiers[tier]}" for tier in minutes)
    return f"{told}, about {counted(estimate.tokens, 'token')}: {prices}; {times}."


def money(amount: Any, currency: str) -> str:
    """An amount as a person reads it: two digits that count, at least two behind the point."""
    digits = 2 if amount >= 1 or not amount else max(2, 1 - amount.adjusted())
    return f"{amount:,.{digits}f} {currency}"


def _span(minutes: int) -> str:
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
        note("Once the cause is mended: semantic-core queue retry.")


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
        numbers = [f"{number:,}" for number in (job.sent, job.succeeded, job.failed)]
        age = _span(round(max(0.0, time() - job.created_at) / 60))
        state = "CANCELLING" if job.cancelled_at and job.waiting else job.status
        table.add_row(*map(Text, [job.id[:8], state, *numbers, age, visible(job.error)]))
    return render(table, width=table_width())
