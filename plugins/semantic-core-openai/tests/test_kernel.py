"""The kernel's batch manager with this embedder: what it costs is what is billed, and budgets
hold.
"""

from __future__ import annotations

from typing import Any

import pytest
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring

from semantic_core import Document, Ref, SemanticCore
from semantic_core.batch import BatchRules, Budget
from semantic_core.errors import BudgetSpent
from semantic_core.testing import FakeEmbeddings, TurningClock

KEY = "sk-key-of-this-test"
SUBJECTS = ("bread is baked at home", "planets move around a star", "taxes are due in spring")
DOCUMENTS = [
    Document(Ref("notes", f"{number:03}"), f"{SUBJECTS[number % 3]}, note {number}")
    for number in range(150)
]
PRICE = {"interactive": "1000000", "batch": "500000"}
"""A token costs one, and a half in a job."""


def embedder(service: FakeEmbeddings, key: str = KEY, **options: Any) -> OpenAIEmbedder:
    given = {"price": PRICE, "clock": TurningClock().clock, **options}
    return OpenAIEmbedder(
        OpenAIKeyring(key), base_url=service.url, model="small", dimensions=64, **given
    )


def test_an_import_goes_through_a_job_and_the_ledger_says_what_the_bill_says(
    service: FakeEmbeddings,
) -> None:
    service.characters_a_token = 3
    made = embedder(service)
    with SemanticCore(store="memory", embedder=made, plugins=[]) as core:
        assert core.ingest(*DOCUMENTS, mode="async").pending == 150
        assert service.requests == [] and core.search("bread", mode="text")
        (job,) = core.batch_manager.flush_queue(min_size=30)
        assert (job.status, job.sent) == ("SUBMITTED", 150)
        service.finish()
        (done,) = core.batch_manager.sync_status()
        assert (done.status, done.succeeded, done.failed) == ("COMPLETED", 150, 0)
        assert core.search("a planet", mode="vector")[0].text.startswith("planets")
        costs = {cost.tier: cost for cost in core.batch_manager.costs()}
        bill = service.bill(KEY)
        assert bill.job_texts == 150 and costs["batch"].tokens == bill.job_tokens
        assert costs["query"].tokens == bill.tokens
        assert costs["batch"].amount * 2 == bill.job_tokens
        assert done.cleaned and service.files == []


def test_budgets_hold_for_calls_and_for_jobs_at_half_the_price(service: FakeEmbeddings) -> None:
    made = embedder(service, batch_size=50)
    tokens = made.tokens([document.text for document in DOCUMENTS])
    with SemanticCore(
        store="memory",
        embedder=made,
        plugins=[],
        budget=Budget(hard=tokens * 3 // 4),
    ) as core:
        report = core.ingest(*DOCUMENTS)
        assert (report.pending, report.embedded) == (50, 100)
        with pytest.raises(BudgetSpent):
            core.embed_pending()
        spent = sum(cost.amount for cost in core.batch_manager.costs())
        assert spent <= tokens * 3 // 4 and service.bill(KEY).tokens == spent
    service.state.bills.clear()
    with SemanticCore(
        store="memory",
        embedder=embedder(service),
        plugins=[],
        budget=Budget(hard=tokens * 3 // 4),
    ) as core:
        core.ingest(*DOCUMENTS, mode="async")
        core.batch_manager.flush_queue()
        service.finish()
        core.batch_manager.sync_status()
        assert core.batch_manager.queue_stats().ready == 150, "a job costs half"
        assert service.bill(KEY).texts == 0


@pytest.mark.parametrize("limit", [300, 900])
def test_an_import_goes_through_however_few_tokens_may_be_in_progress(
    limit: int, service: FakeEmbeddings
) -> None:
    service.enqueued_limit = limit
    with SemanticCore(store="memory", embedder=embedder(service), plugins=[]) as core:
        core.ingest(*DOCUMENTS, mode="async")
        for _ in range(40):
            core.batch_manager.flush_queue(force=True)
            service.start_jobs()
            core.batch_manager.sync_status()
            service.finish()
            core.batch_manager.sync_status()
            if core.batch_manager.queue_stats().ready == 150:
                break
        stats = core.batch_manager.queue_stats()
        assert (stats.ready, stats.failed) == (150, 0)
    bill = service.bill(KEY)
    assert bill.job_texts == 150 and set(bill.passages.values()) == {1}


def test_with_the_limit_as_an_option_no_job_fails_for_it(service: FakeEmbeddings) -> None:
    service.enqueued_limit = 1_000
    made = embedder(service, open_tokens=800)
    with SemanticCore(store="memory", embedder=made, plugins=[]) as core:
        core.ingest(*DOCUMENTS, mode="async")
        for _ in range(10):
            core.batch_manager.flush_queue(force=True)
            service.finish()
            core.batch_manager.sync_status()
        assert core.batch_manager.queue_stats().ready == 150
        assert {job.status for job in core.batch_manager.jobs()} == {"COMPLETED"}


def test_a_key_of_another_account_loses_no_job(service: FakeEmbeddings) -> None:
    with SemanticCore(embedder=embedder(service), plugins=[], store="memory") as core:
        core.ingest(*DOCUMENTS, mode="async")
        core.batch_manager.flush_queue()
        service.finish()
        mine = core.batch_manager._provider
        core.batch_manager._provider = embedder(service, "sk-key-of-another")
        (unseen,) = core.batch_manager.sync_status()
        assert unseen.status in ("SUBMITTED", "PROCESSING")
        assert "submitted with another key" in unseen.error
        core.batch_manager._provider = mine
        (done,) = core.batch_manager.sync_status()
        assert (done.status, done.succeeded) == ("COMPLETED", 150)
    assert service.bill("sk-key-of-another").job_texts == 0


def test_jobs_are_of_the_size_the_service_takes(service: FakeEmbeddings) -> None:
    made = embedder(service)
    assert made.job_items == 50_000 and made.open_tokens >= made.job_tokens
    assert made.job_seconds == 25 * 3_600 and made.results_kept == 30 * 86_400
    service.job_items = 40
    rules = BatchRules(job_size=40)
    with SemanticCore(store="memory", embedder=made, plugins=[]) as core:
        core.batch_manager.rules = rules
        core.ingest(*DOCUMENTS, mode="async")
        assert [job.sent for job in core.batch_manager.flush_queue()] == [40, 40, 40, 30]


def test_a_server_without_batch_jobs_embeds_at_once(service: FakeEmbeddings) -> None:
    service.absent = {"create", "list", "job", "upload"}
    made = OpenAIEmbedder(base_url=service.url, model="small", dimensions=64)
    with SemanticCore(store="memory", embedder=made, plugins=[]) as core:
        core.ingest(*DOCUMENTS[:20], mode="async")
        assert not core.batch_manager.takes_jobs
        core.batch_manager.work()
        assert core.batch_manager.queue_stats().ready == 20
