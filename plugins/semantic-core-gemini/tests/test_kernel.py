"""The kernel's batch manager with this embedder: passages are pending, are submitted as a job, and
get their vectors when it has ended.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fake_gemini import Bill, FakeGemini
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring

from semantic_core import Document, Ref, SemanticCore
from semantic_core.testing import TurningClock

SUBJECTS = ("bread is baked at home", "planets move around a star", "taxes are due in spring")
DOCUMENTS = [
    Document(Ref("notes", f"{number:03}"), f"{SUBJECTS[number % 3]}, note {number}")
    for number in range(150)
]


def embedder(gemini: FakeGemini, *keys: str) -> GeminiEmbedder:
    return GeminiEmbedder(
        GoogleKeyring(*keys), base_url=gemini.url, dimensions=128, clock=TurningClock().clock
    )


def test_an_import_goes_through_a_job_and_the_ledger_says_what_the_bill_says(
    gemini: FakeGemini,
) -> None:
    made = embedder(gemini, "every-day-key", "batch-key")
    with SemanticCore(store="memory", embedder=made) as core:
        assert core.ingest(*DOCUMENTS, mode="async").pending == 150
        assert gemini.requests == [] and core.search("bread", mode="text")
        (job,) = core.batch_manager.flush_queue(min_size=30)
        assert (job.status, job.sent) == ("SUBMITTED", 150)
        assert gemini.state.jobs[job.provider_job].display_name == job.name
        gemini.finish(job.provider_job)
        (done,) = core.batch_manager.sync_status()
        assert (done.status, done.succeeded, done.failed) == ("COMPLETED", 150, 0)
        assert core.search("a planet", mode="vector")[0].text.startswith("planets")
        billed = gemini.bill("batch-key")
        paid = sum(cost.tokens for cost in core.batch_manager.costs())
        assert billed.job_texts == 150 == made.usage.job_texts
        asked = gemini.bill("every-day-key")
        assert asked.texts == 1 and paid == billed.job_tokens + asked.tokens
        assert "batch-key" not in made.account and len(made.account) == 16
        assert done.cleaned and gemini.state.jobs == {} and gemini.uploads() == []
        asked = len(gemini.requests)
        assert core.batch_manager.sync_status() == ()
        assert len(gemini.requests) == asked, "what ended is not asked for again"


def test_what_was_embedded_asked_and_taken_from_a_job_costs_what_the_service_counts(
    gemini: FakeGemini,
) -> None:
    made = embedder(gemini, "every-day-key", "batch-key")
    with SemanticCore(store="memory", embedder=made) as core:
        core.ingest(*DOCUMENTS[:20])
        core.ingest(*DOCUMENTS, mode="async")
        core.batch_manager.flush_queue()
        assert core.embed_pending(from_jobs=True) == 130
        for _ in range(3):  # the second and the third are answered from memory
            assert core.search("a planet", collections=["notes"])
        gemini.finish()
        core.batch_manager.sync_status()
        found = {
            (cost.tier, cost.collection): (cost.passages, cost.tokens)
            for cost in core.batch_manager.costs()
        }
    at_once, jobs = gemini.bill("every-day-key"), gemini.bill("batch-key")
    assert found[("query", "notes")][0] == 1
    assert found[("interactive", "notes")][0] == 150 == at_once.texts - 1
    assert found[("batch", "")] == (130, jobs.job_tokens) == (jobs.job_texts, jobs.job_tokens)
    assert found[("interactive", "notes")][1] + found[("query", "notes")][1] == at_once.tokens


def test_a_machine_whose_clock_is_days_ahead_cancels_no_job(gemini: FakeGemini) -> None:
    made = embedder(gemini, "every-day-key", "batch-key")
    with SemanticCore(store="memory", embedder=made) as core:
        core.ingest(*DOCUMENTS, mode="async")
        (job,) = core.batch_manager.flush_queue()
        core.batch_manager._clock = lambda: time.time() + 100 * 24 * 3_600
        (seen,) = core.batch_manager.sync_status()
        assert (seen.status, seen.cancelled_at) == ("SUBMITTED", 0.0)
        gemini.turn(73)  # by the service's own clock it takes too long
        (late,) = core.batch_manager.sync_status()
        assert late.cancelled_at > job.submitted_at


def test_a_key_of_another_project_loses_no_job(gemini: FakeGemini, tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with SemanticCore(path=path, embedder=embedder(gemini, "d", "batch-key")) as core:
        core.ingest(*DOCUMENTS, mode="async")
        (job,) = core.batch_manager.flush_queue()
    gemini.finish()
    with SemanticCore(path=path, embedder=embedder(gemini, "d", "key-of-another")) as core:
        (unseen,) = core.batch_manager.sync_status()
        assert unseen.status in ("SUBMITTED", "PROCESSING")
        assert "submitted with another key" in unseen.error
        assert core.batch_manager.queue_stats().failed == 0
    with SemanticCore(path=path, embedder=embedder(gemini, "d", "batch-key")) as core:
        (done,) = core.batch_manager.sync_status()
        assert (done.status, done.succeeded) == ("COMPLETED", 150)
    assert gemini.bill("batch-key").job_texts == 150 and gemini.bill("key-of-another") == Bill()


@pytest.mark.parametrize("limit", [1_500, 4_000])
def test_an_import_goes_through_however_few_tokens_may_be_under_way(
    limit: int, gemini: FakeGemini
) -> None:
    gemini.most_enqueued_tokens = limit
    made = embedder(gemini, "every-day-key", "batch-key")
    with SemanticCore(store="memory", embedder=made) as core:
        core.ingest(*DOCUMENTS, mode="async")
        core.ingest(
            *(Document(Ref("more", str(number)), f"word {number} " * 20) for number in range(150)),
            mode="async",
        )
        for _ in range(30):
            core.batch_manager.flush_queue(force=True)
            gemini.finish()
            core.batch_manager.sync_status()
        assert core.batch_manager.queue_stats().ready == 300
    assert gemini.bill("batch-key").job_texts == 300 and gemini.state.jobs == {}


def test_a_job_has_no_more_tokens_than_the_embedder_says(
    gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semantic_core_gemini.embedder.JOB_TOKENS", 400)
    made = embedder(gemini, "every-day-key", "batch-key")
    with SemanticCore(store="memory", embedder=made) as core:
        core.ingest(*DOCUMENTS, mode="async")
        jobs = core.batch_manager.flush_queue()
        assert len(jobs) > 2 and sum(job.sent for job in jobs) == 150
        assert max(job.tokens for job in gemini.state.jobs.values()) <= 420
        assert max(job.tokens for job in jobs) <= 400


def test_without_a_key_for_batches_nothing_is_sent_and_the_texts_still_wait(
    gemini: FakeGemini,
) -> None:
    with SemanticCore(store="memory", embedder=embedder(gemini, "every-day-key")) as core:
        core.ingest(*DOCUMENTS[:20], mode="async")
        with pytest.raises(ValueError, match="Batch operations require a dedicated API key"):
            core.batch_manager.flush_queue(force=True)
        assert gemini.requests == [] and core.batch_manager.queue_stats().pending == 20


@pytest.mark.parametrize("state", ["FAILED", "EXPIRED", "CANCELLED"])
def test_texts_of_a_job_that_ended_badly_wait_again(state: str, gemini: FakeGemini) -> None:
    with SemanticCore(
        store="memory", embedder=embedder(gemini, "every-day-key", "batch-key")
    ) as core:
        core.ingest(*DOCUMENTS[:20], mode="async")
        (job,) = core.batch_manager.flush_queue(force=True)
        gemini.finish(job.provider_job, state=state, error={"message": "no room in the oven"})
        (ended,) = core.batch_manager.sync_status()
        assert ended.status == "FAILED" and "no room in the oven" in ended.error
        assert gemini.bill("batch-key").job_texts == 0


def test_the_one_text_a_job_refuses_is_left_out_with_its_reason(gemini: FakeGemini) -> None:
    def refusing(lines: Any) -> Any:
        for number, line in enumerate(lines):
            yield (
                line if number else line.split('"response"')[0] + '"error": {"message": "no good"}}'
            )

    with SemanticCore(
        store="memory", embedder=embedder(gemini, "every-day-key", "batch-key")
    ) as core:
        core.ingest(*DOCUMENTS[:20], mode="async")
        (job,) = core.batch_manager.flush_queue(force=True)
        gemini.finish(job.provider_job, rewrite=refusing)
        (done,) = core.batch_manager.sync_status()
        assert done.succeeded == 19
        stats = core.batch_manager.queue_stats()
        assert (stats.ready, stats.pending + stats.failed) == (19, 1)
