"""``queue`` and ``costs``, with an embedder for batch jobs that is found as a plugin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from semantic_core.cli import cli
from semantic_core.testing import JobEmbedder

PLUGIN = """
from semantic_core_peewee.sqlite.store import SqliteStore
from semantic_core import hookimpl
from semantic_core.protocols import Store, TextSearch, VectorQueue
from semantic_core.testing import JobEmbedder

PROVIDER = JobEmbedder()

@hookimpl
def semantic_embedders():
    return {"jobs": lambda: PROVIDER}

class Shelf:  # the store "sqlite" without its ledger
    def __init__(self, space, path, multi_tenant=None):
        store = SqliteStore(space, path, multi_tenant=multi_tenant)
        for name in {*dir(Store), *dir(TextSearch), *dir(VectorQueue)}:
            if not name.startswith("_"):
                setattr(self, name, getattr(store, name))

@hookimpl
def semantic_stores():
    return {"shelf": Shelf}
"""


@pytest.fixture(autouse=True)
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobEmbedder]:
    """A folder with twelve notes as the working folder; what the provider of the plugin is."""
    site = tmp_path / "site"
    (site / "jobs_plugin-1.0.dist-info").mkdir(parents=True)
    (site / "jobs_plugin.py").write_text(PLUGIN)
    (site / "jobs_plugin-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: jobs_plugin\nVersion: 1.0\n"
    )
    (site / "jobs_plugin-1.0.dist-info/entry_points.txt").write_text(
        "[semantic_core]\njobs_plugin = jobs_plugin\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "jobs")
    (tmp_path / "notes").mkdir()
    for number in range(12):
        (tmp_path / f"notes/{number:02}.txt").write_text(
            f"Beans and peas climb, says note {number}."
        )
    import jobs_plugin

    yield jobs_plugin.PROVIDER
    del sys.modules["jobs_plugin"]


def call(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == code, result.output
    return result


def answer(*args: str, code: int = 0) -> Any:
    return json.loads(call(*args, "--json", code=code).stdout)


def test_a_folder_goes_through_the_queue(provider: JobEmbedder) -> None:
    report = answer("ingest", "notes", "--mode", "async")
    assert (report["added"], report["pending"], report["embedded"]) == (12, 12, 0)
    assert answer("search", "peas")["hits"]
    told = answer("queue", "status")
    assert (told["pending"], told["ready"], told["jobs"]) == (12, 0, []) and told["estimate"][
        "tokens"
    ] > 0
    [job] = answer("queue", "flush")["jobs"]
    assert (job["status"], job["sent"], job["ended_at"], job["created_at"][10]) == (
        "SUBMITTED",
        12,
        None,
        "T",
    )
    provider.finish()
    [job] = answer("queue", "sync")["jobs"]
    assert (job["status"], job["succeeded"], job["cleaned"]) == ("COMPLETED", 12, True)
    [cost, asked] = sorted(answer("costs")["costs"], key=lambda row: row["tier"])
    assert (asked["tier"], asked["passages"]) == ("query", 1)
    assert (cost["collection"], cost["tier"], cost["passages"], cost["tokens"]) == (
        "files",
        "batch",
        12,
        job["tokens"],
    )
    total = Decimal(cost["amount"]) + Decimal(asked["amount"])
    assert Decimal(answer("costs")["totals"]["USD"]) == total
    assert answer("costs", "--since", "2999-01")["costs"] == []


def test_a_store_without_a_ledger_goes_through_the_queue_as_well(
    provider: JobEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_STORE", "shelf")
    monkeypatch.setenv("SEMANTIC_CORE_PATH", "notes.shelf")
    call("ingest", "notes", "--mode", "async")
    assert answer("queue", "status")["pending"] == 12
    [job] = answer("queue", "flush")["jobs"]
    assert (job["status"], job["sent"]) == ("SUBMITTED", 12)
    provider.finish()
    call("worker", "--once")
    [job] = answer("queue", "status")["jobs"]
    assert (job["status"], job["succeeded"], job["cleaned"]) == ("COMPLETED", 12, True)
    [cost] = answer("costs")["costs"]
    assert (cost["collection"], cost["passages"]) == ("files", 12)
    assert (tmp_path / "notes.shelf.ledger").exists()
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "jobs_plugin")
    assert "ledger=" in call("queue", "status", code=2).stderr


def test_words_for_people(provider: JobEmbedder) -> None:
    told = call("ingest", "notes", "--mode", "async").stdout
    assert "12 passages without a vector" in told and "queue status" in told
    told = call("queue", "status").stdout
    assert "pending" in told and "12" in told and "USD now" in told
    assert (
        "No job was submitted. Pending: 12 passages."
        in call("queue", "flush", "--min-size", "99").stdout
    )
    dry = call("queue", "flush", "--dry-run").stdout
    assert (
        dry.startswith("Dry run: nothing was submitted. 12 passages, about ")
        and "USD in batch jobs" in dry
    )
    assert "SUBMITTED" in call("queue", "flush").stdout
    provider.finish("errors")
    call("queue", "sync")
    result = call("queue", "status", code=1)
    assert (
        "given up: files/01.txt#0: It was refused." in result.stderr
        and "queue retry" in result.stderr
    )
    assert "COMPLETED" in result.stdout
    assert call("queue", "retry").stdout == "Queued 6 passages again.\n"
    assert call("queue", "retry").stdout == "No passage was given up.\n"
    assert call("queue", "sync").stdout == "There is no open job.\n"
    assert "total" in call("costs").stdout


def test_an_index_that_cost_nothing_says_so() -> None:
    call("ingest", "notes", "--mode", "async")
    assert call("costs").stdout == "There are no costs.\n"
    assert call("queue", "flush", "--min-size", "0", "--db", "none.db", code=2).stderr.startswith(
        "error: There is no index"
    )


def test_a_job_is_cancelled_by_the_beginning_of_its_id(provider: JobEmbedder) -> None:
    call("ingest", "notes", "--mode", "async")
    [job] = answer("queue", "flush")["jobs"]
    [cancelled] = answer("queue", "cancel", job["id"][:8])["jobs"]
    assert cancelled["cancelled_at"]
    [ended] = answer("queue", "sync", code=1)["jobs"]
    assert (ended["status"], ended["error"]) == ("FAILED", "CANCELLED")
    assert answer("queue", "status")["pending"] == 12
    assert "No job begins with" in call("queue", "cancel", "zzz", code=2).stderr


def test_following_ends_with_the_last_job(provider: JobEmbedder) -> None:
    call("ingest", "notes", "--mode", "async")
    call("queue", "flush", "--job-size", "5")
    asked: list[str] = []

    def before(method: str) -> None:
        asked.append(method)
        if asked.count("state") == 4:  # the second look
            provider.finish()

    provider.before = before
    result = call("queue", "sync", "--follow", "--interval", "0.01")
    assert (
        result.stdout.count("COMPLETED") == 3 and "3 open jobs, 0 of 12 passages" in result.stderr
    )


def test_a_job_that_cannot_be_sent_yet_is_told(provider: JobEmbedder) -> None:
    from semantic_core.errors import EmbedderUnavailable

    def away(method: str) -> None:
        if method == "submit":
            raise EmbedderUnavailable("The service is overloaded.")

    call("ingest", "notes", "--mode", "async")
    provider.before = away
    result = call("queue", "flush", code=1)
    assert "CREATED" in result.stdout and "overloaded" in result.stdout


def test_what_a_job_holds_that_was_never_sent_is_told_and_can_be_let_go(
    provider: JobEmbedder,
) -> None:
    from semantic_core.errors import EmbedderUnavailable

    def away(method: str) -> None:
        if method == "submit":
            raise EmbedderUnavailable("The service is overloaded.")

    call("ingest", "notes", "--mode", "async")
    provider.before = away
    call("queue", "flush", code=1)
    result = call("queue", "flush", code=1)
    assert "CREATED" in result.stdout and "overloaded" in result.stdout
    assert "Not submitted yet: 1 job with 12 passages" in result.stderr
    assert "queue cancel JOB" in call("queue", "status").stderr
    [job] = answer("queue", "flush", code=1)["jobs"]
    provider.before = lambda method: None
    [ended] = answer("queue", "cancel", job["id"])["jobs"]
    assert (ended["status"], answer("queue", "status")["pending"]) == ("FAILED", 12)
    assert "queue sync" in call("queue", "flush").stderr


def test_a_worker_tells_why_a_job_is_not_sent(provider: JobEmbedder) -> None:
    from semantic_core.errors import EmbedderUnavailable

    def away(method: str) -> None:
        if method == "submit":
            raise EmbedderUnavailable("The service is overloaded.")

    call("ingest", "notes", "--mode", "async")
    provider.before = away
    call("queue", "flush", code=1)
    told = call("worker", "--once").stdout
    assert "created, 0 of 12 passages: The service is overloaded." in told


def test_a_worker_that_runs_once_tells_what_it_left(provider: JobEmbedder) -> None:
    from semantic_core.errors import EmbedderError

    call("ingest", "notes", "--mode", "async")
    told = call("worker", "--once").stderr
    assert "12 passages pending, too few for a batch job" in told and "queue flush" in told
    provider.jobs_set_up = False
    embed = provider.embed_documents

    def picky(passages: Any) -> Any:
        if any("note 3." in passage for passage in passages):
            raise EmbedderError("It is refused.")
        return embed(passages)

    provider.embed_documents = picky  # type: ignore[method-assign]
    told = call("worker", "--once").stderr
    assert "1 passage given up; see: semantic-core queue status" in told
    assert len(provider.billed) == 11 and max(provider.billed.values()) == 1
    assert call("worker", "--once").exit_code == 0


def test_jobs_that_fill_all_places_are_told(provider: JobEmbedder, tmp_path: Path) -> None:
    (tmp_path / "semantic-core.toml").write_text("[batch]\nopen_jobs = 2\n")
    call("ingest", "notes", "--mode", "async")
    call("queue", "flush", "--job-size", "5")
    assert "Pending: 2 passages. 2 jobs running" in call("queue", "flush").stdout


def test_no_key_for_jobs_is_one_line(provider: JobEmbedder) -> None:
    call("ingest", "notes", "--mode", "async")
    provider.jobs_set_up = False
    assert (
        call("queue", "flush", code=2).stderr.splitlines()[0]
        == "error: Batch jobs need a key of their own."
    )


def test_a_dry_run_tells_tokens_price_and_time(provider: JobEmbedder) -> None:
    told = answer("ingest", "notes", "--dry-run")
    estimate = told["estimate"]
    report = answer("ingest", "notes")
    billed = provider.tokens_billed["interactive"]
    assert (
        abs(estimate["tokens"] - billed) <= 0.05 * billed
        and report["embedded"] == estimate["passages"] == 12
    )
    assert estimate["currency"] == "USD" and estimate["seconds"]["batch"] == 86_400
    call("documents", "delete", "00.txt")
    assert "USD now" in call("ingest", "notes", "--dry-run").stdout


def test_auto_and_a_budget_come_from_the_settings(provider: JobEmbedder, tmp_path: Path) -> None:
    settings = '[freshness]\n"*" = "24h"\n[budget]\nhard = 0.000001\n'
    (tmp_path / "semantic-core.toml").write_text(settings)
    assert answer("ingest", "notes", "--mode", "auto")["pending"] == 12
    error = answer("queue", "flush", "--force", code=2)["error"]
    assert error["code"] == "BudgetSpent" and "hard budget" in error["message"]
    assert answer("queue", "status")["pending"] == 12


@pytest.mark.parametrize(
    "day", ["yesterday", "2026", "2026-1-1", "'; drop table semantic_index_cost"]
)
def test_a_day_nobody_can_mean_is_refused(day: str) -> None:
    call("ingest", "notes", "--mode", "async")
    assert "is not a day such as" in call("costs", "--since", day, code=2).stderr
