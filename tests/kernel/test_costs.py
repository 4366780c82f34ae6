"""The ledger of costs has what was paid, for which tenant and collection, as the provider counted
it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from semantic_core import Document, Ref, SemanticCore, _costs
from semantic_core.errors import EmbedderError, StoreBusy
from semantic_core.testing import HashEmbedder, JobEmbedder

HOUR = 3_600.0


class Shop:
    """A core in memory, with an embedder whose provider counts otherwise than it estimates."""

    def __init__(self, **options: Any) -> None:
        self.now = 1_000_000_000.0
        self.hidden: dict[str, Any] = {}
        self.embedder = JobEmbedder(8)
        self.embedder.characters_a_token = 3
        self.core = SemanticCore(
            store="memory", embedder=self.embedder, plugins=[], max_chars=100, **options
        )
        self.manager = self.core.batch_manager
        self.manager._clock = self.manager.cost_tracker._clock = lambda: self.now

    def ingest(self, *texts: str, tenant: str = "", mode: Any = "async") -> None:
        self.core.ingest(*(Document(Ref("notes", text, tenant), text) for text in texts), mode=mode)

    def ledger(self) -> dict[str, int]:
        """Tokens by tier."""
        found: Counter[str] = Counter()
        for cost in self.manager.costs():
            found[cost.tier] += cost.tokens
        return dict(found)

    def bill(self) -> dict[str, int]:
        """Likewise, of the provider."""
        return {tier: tokens for tier, tokens in self.embedder.tokens_billed.items() if tokens}


@pytest.fixture
def shop() -> Shop:
    return Shop()


def texts(count: int) -> list[str]:
    return [f"text number {number}" + " and more" * (number % 3) for number in range(count)]


def test_what_is_charged_is_what_the_provider_counted(shop: Shop) -> None:
    shop.ingest(*texts(40), mode="sync")
    shop.ingest(*(f"{text} later" for text in texts(30)))
    shop.manager.flush_queue()
    shop.embedder.finish()
    shop.manager.sync_status()
    shop.core.search("text", collections=["notes"])
    assert shop.ledger() == shop.bill()
    assert set(shop.bill()) == {"interactive", "batch", "query"}


def test_queries_stand_apart_each_with_its_tenant() -> None:
    shop = Shop(multi_tenant=True)
    for tenant in ("ann", "bob"):
        shop.ingest("a text", tenant=tenant, mode="sync")
    for _ in range(3):
        shop.core.tenant("ann").search("beans", collections=["notes"])
    shop.core.tenant("bob").search("peas and more peas")
    asked = [
        (cost.tenant, cost.collection, cost.passages, cost.tokens)
        for cost in shop.manager.costs()
        if cost.tier == "query"
    ]
    assert asked == [("ann", "notes", 3, 6), ("bob", "", 1, 6)]
    assert shop.ledger() == shop.bill()


def test_a_call_for_the_passages_of_several_tenants_is_shared_by_them_whole() -> None:
    shop = Shop(multi_tenant=True)
    for tenant, words in (("ann", 1), ("bob", 9), ("eve", 3)):
        shop.ingest(f"of {tenant}" + " text" * words, tenant=tenant)
    shop.core.embed_pending()
    found = {cost.tenant: (cost.passages, cost.tokens) for cost in shop.manager.costs()}
    assert [found[name][0] for name in ("ann", "bob", "eve")] == [1, 1, 1]
    assert found["bob"][1] > found["eve"][1] > found["ann"][1] > 0
    assert shop.ledger() == shop.bill()


def test_queries_are_written_down_after_so_many_or_after_a_while(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Counter[str]()
    charge = shop.core.store.charge  # type: ignore[attr-defined]
    monkeypatch.setattr(
        shop.core.store,
        "charge",
        lambda rate, spent: (written.update([rate.tier]), charge(rate, spent)),
    )
    for _ in range(_costs.QUERIES - 1):
        shop.core.search("beans")
    assert written["query"] == 0, "a search waits for no writer"
    shop.core.search("beans")
    assert written["query"] == 1
    shop.core.search("beans")
    shop.now += _costs.QUERY_SECONDS + 1
    shop.core.search("beans")
    assert written["query"] == 2 and shop.ledger() == shop.bill()


def test_what_queries_cost_is_kept_while_the_store_is_busy_and_no_search_fails(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(rate: object, spent: object) -> None:
        raise StoreBusy("Somebody writes.")

    with monkeypatch.context() as patch:
        patch.setattr(shop.core.store, "charge", busy)
        for _ in range(2 * _costs.QUERIES):
            shop.core.search("beans")
        with pytest.raises(StoreBusy):
            shop.manager.costs()
    assert shop.ledger() == shop.bill()


def test_a_child_process_does_not_write_down_what_its_parent_asked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.core.search("beans")
    with monkeypatch.context() as patch:
        patch.setattr(_costs.os, "getpid", lambda: -1)
        assert shop.ledger() == {}


def test_the_last_queries_are_written_down_when_the_index_is_closed(shop: Shop) -> None:
    shop.core.search("beans")
    charged = []
    shop.core.store.charge = lambda rate, spent: charged.append((rate.tier, spent))  # type: ignore[attr-defined]
    shop.core.close()
    assert charged == [("query", {("", ""): (1, 2)})]


def test_an_answer_of_no_use_was_paid_for(shop: Shop) -> None:
    shop.embedder.spoiled = {"text number 1 and more"}
    shop.ingest(*texts(5))
    shop.core.embed_pending()
    shop.embedder.refused = {"text number 7 and more"}
    shop.ingest(*texts(9))
    shop.core.embed_pending()
    assert shop.manager.queue_stats().failed == 2
    assert shop.ledger() == shop.bill()


def test_an_embedder_that_tells_no_counts_is_charged_by_estimate() -> None:
    class Silent(HashEmbedder):
        currency = "USD"

        def price(self, tier: str) -> int:
            return 1

        def tokens(self, passages: Any) -> int:
            return 7 * len(passages)

        def seconds(self, passages: int, tokens: int) -> float:
            return 1.0

    with SemanticCore(store="memory", embedder=Silent(8), plugins=[]) as core:
        core.ingest(*(Document(Ref("notes", text), text) for text in texts(3)))
        core.search("beans")
        found = [(cost.tier, cost.tokens) for cost in core.batch_manager.costs()]
    assert found == [("query", 7), ("interactive", 21)]


def test_a_job_whose_passages_were_taken_from_it_is_charged_for_both(shop: Shop) -> None:
    shop.ingest(*texts(12))
    shop.manager.flush_queue()
    assert shop.core.embed_pending(5, from_jobs=True) == 5
    shop.embedder.finish()
    for _ in range(2):
        shop.manager.sync_status()
    assert shop.ledger() == shop.bill()
    assert shop.embedder.billed.total() == 17
    nobodys = [
        cost for cost in shop.manager.costs() if cost.tier == "batch" and not cost.collection
    ]
    assert [cost.passages for cost in nobodys] == [5]


@pytest.mark.parametrize("shape", ["invalid", "doubled", "cut", "shuffled", "foreign", "busy"])
def test_results_cost_what_they_cost_in_whatever_shape_they_come(shop: Shop, shape: Any) -> None:
    shop.manager.rules = _pages_of(3)
    shop.ingest(*texts(20))
    shop.manager.flush_queue()
    shop.embedder.finish(shape)
    for _ in range(3):
        shop.manager.sync_status()
        shop.now += HOUR
    assert shop.ledger()["batch"] == shop.bill()["batch"]


def _pages_of(count: int) -> Any:
    from semantic_core.batch import BatchRules

    return BatchRules(page=count)


def test_a_job_that_was_cancelled_and_done_all_the_same_is_in_the_ledger(shop: Shop) -> None:
    shop.ingest(*texts(12))
    (job,) = shop.manager.flush_queue()
    cancel = shop.embedder.cancel
    shop.embedder.cancel = lambda job: shop.embedder.finish()  # type: ignore[method-assign]
    shop.now += 73 * HOUR
    shop.manager.sync_status()
    shop.embedder.cancel = cancel  # type: ignore[method-assign]
    shop.manager.sync_status()
    assert shop.manager.job(job.id).status == "COMPLETED"
    assert shop.ledger() == shop.bill()


def lost_job(shop: Shop) -> Any:
    """A job whose results are done, and were out of sight for longer than anybody's patience."""
    shop.ingest(*texts(12))
    (job,) = shop.manager.flush_queue()
    shop.embedder.finish()
    shop.hidden, shop.embedder.jobs = shop.embedder.jobs, {}
    shop.manager.sync_status()
    shop.now += 49 * HOUR
    shop.manager.sync_status()
    assert shop.manager.job(job.id).status == "FAILED" and shop.manager.queue_stats().failed == 12
    return shop.manager.job(job.id)


@pytest.mark.parametrize("by", ["sync", "retry", "retry of the job"])
def test_a_lost_job_that_is_there_again_goes_on_and_is_not_bought_again(
    shop: Shop, by: str
) -> None:
    job = lost_job(shop)
    shop.embedder.jobs = shop.hidden
    if by == "sync":
        shop.manager.sync_status()
    else:
        assert shop.manager.retry(job.id if by == "retry of the job" else None) == 0
        shop.manager.sync_status()
    assert shop.manager.flush_queue(1, force=True) == ()
    assert shop.manager.job(job.id).status == "COMPLETED"
    assert shop.manager.queue_stats().ready == 12 and shop.embedder.billed.total() == 12
    assert shop.ledger() == shop.bill()


def test_a_lost_job_that_stays_away_is_bought_again_when_asked(shop: Shop) -> None:
    lost_job(shop)
    assert shop.manager.retry() == 12
    shop.manager.flush_queue()
    shop.embedder.finish()
    shop.manager.sync_status()
    assert shop.manager.queue_stats().ready == 12


def test_what_was_embedded_meanwhile_is_left_out_when_a_lost_job_goes_on(shop: Shop) -> None:
    job = lost_job(shop)
    shop.manager.retry()
    assert shop.core.embed_pending(5) == 5
    shop.embedder.jobs = shop.hidden
    shop.manager.sync_status()
    assert shop.manager.job(job.id).status == "COMPLETED"
    assert shop.ledger() == shop.bill()


def test_a_job_of_another_key_is_left_alone_and_said_so(shop: Shop) -> None:
    shop.embedder.account = "one"  # type: ignore[attr-defined]
    shop.ingest(*texts(12))
    (job,) = shop.manager.flush_queue()
    assert job.account == "one"
    jobs, shop.embedder.jobs = shop.embedder.jobs, {}
    shop.embedder.account = "another"  # type: ignore[attr-defined]
    for _ in range(9):
        shop.now += 48 * HOUR
        (seen,) = shop.manager.sync_status()
        assert seen.status == "SUBMITTED" and not seen.cancelled_at
        assert "submitted with another key" in seen.error
    assert shop.manager.flush_queue(1, force=True) == () and shop.embedder.billed.total() == 0
    shop.embedder.account, shop.embedder.jobs = "one", jobs  # type: ignore[attr-defined]
    shop.embedder.finish()
    (done,) = shop.manager.sync_status()
    assert done.status == "COMPLETED" and shop.ledger() == shop.bill()


def test_a_new_key_that_sees_the_jobs_goes_on_with_them(shop: Shop) -> None:
    shop.embedder.account = "old"  # type: ignore[attr-defined]
    shop.ingest(*texts(12))
    shop.manager.flush_queue()
    shop.embedder.account = "new"  # type: ignore[attr-defined]
    shop.embedder.finish()
    (done,) = shop.manager.sync_status()
    assert done.status == "COMPLETED" and shop.embedder.jobs == {}


def test_a_job_begun_with_another_key_is_not_sent_again_and_holds_nothing_up(shop: Shop) -> None:
    shop.embedder.account = "one"  # type: ignore[attr-defined]
    shop.ingest(*texts(12))

    def die(method: str) -> None:
        if method == "submit":
            raise KeyboardInterrupt

    shop.embedder.before = die
    with pytest.raises(KeyboardInterrupt):
        shop.manager.flush_queue()
    shop.embedder.before = lambda method: None
    shop.embedder.account = "another"  # type: ignore[attr-defined]
    shop.now += 2 * HOUR
    shop.ingest("something new")
    flushed = shop.manager.flush_queue(1)
    assert sorted((job.status, job.sent) for job in flushed) == [("CREATED", 12), ("SUBMITTED", 1)]
    (held,) = (job for job in flushed if job.status == "CREATED")
    assert "begun with another key" in held.error
    shop.embedder.account = "one"  # type: ignore[attr-defined]
    assert shop.manager.sync_status()[0].status == "SUBMITTED", "at once, with the key of it"
    shop.embedder.account = "another"  # type: ignore[attr-defined]
    shop.embedder.jobs.clear()
    assert shop.manager.cancel(held).status == "FAILED"  # the way out
    assert shop.manager.queue_stats().pending == 12


def test_a_job_that_was_cancelled_is_ended_by_the_key_that_may_have_submitted_it(
    shop: Shop,
) -> None:
    """Another key cannot see whether it is there, and nobody would remove it any more."""
    shop.embedder.account = "one"  # type: ignore[attr-defined]
    shop.ingest(*texts(12))
    submit = shop.embedder.submit

    def die(passages: Mapping[str, str], name: str) -> str:
        submit(passages, name)
        raise KeyboardInterrupt

    shop.embedder.submit = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        shop.manager.flush_queue()
    shop.embedder.submit = submit  # type: ignore[method-assign]
    (begun,) = shop.manager.jobs()
    assert shop.manager.cancel(begun).status == "CREATED", "who has it may be at work"
    there, shop.embedder.jobs = shop.embedder.jobs, {}
    shop.embedder.account = "another"  # type: ignore[attr-defined]
    shop.now += 2 * HOUR
    (held,) = shop.manager.flush_queue(1)
    assert held.status == "CREATED" and "begun with another key" in held.error
    shop.embedder.account, shop.embedder.jobs = "one", there  # type: ignore[attr-defined]
    shop.manager.sync_status()
    shop.manager.sync_status()
    assert shop.embedder.jobs == {}
    assert shop.manager.job(begun.id).status == "FAILED"
    assert shop.manager.queue_stats().pending == 12


def test_a_job_that_was_refused_for_now_may_be_sent_with_another_key(shop: Shop) -> None:
    shop.embedder.account = "one"  # type: ignore[attr-defined]
    shop.embedder.enqueued_limit = 30
    shop.ingest(*texts(12))
    refused = shop.manager.flush_queue()[-1]
    assert refused.status == "CREATED" and shop.manager.job(refused.id).account == ""
    shop.embedder.account, shop.embedder.enqueued_limit = "another", None  # type: ignore[attr-defined]
    shop.now += 2 * HOUR
    shop.manager.flush_queue(1)
    assert shop.manager.job(refused.id).account == "another"


@pytest.mark.parametrize("hours", [100, -100])
def test_a_provider_that_tells_the_time_is_believed_and_not_this_machine(
    shop: Shop, hours: int
) -> None:
    provider_now = shop.now
    shop.embedder.now = lambda: provider_now  # type: ignore[attr-defined]
    shop.ingest(*texts(12))
    shop.manager.flush_queue()
    shop.now += hours * HOUR  # this machine's clock is set
    provider_now += HOUR
    (job,) = shop.manager.sync_status()
    assert job.status == "SUBMITTED" and not job.cancelled_at
    provider_now += 72 * HOUR
    (job,) = shop.manager.sync_status()
    assert job.cancelled_at == provider_now


def test_nothing_is_judged_before_the_provider_has_told_the_time(shop: Shop) -> None:
    shop.ingest(*texts(12))
    shop.manager.flush_queue()
    shop.embedder.now = lambda: None  # type: ignore[attr-defined]

    def away(method: str) -> None:
        raise EmbedderError("No answer.")

    shop.embedder.before = away
    shop.now += 1_000 * HOUR
    (job,) = shop.manager.sync_status()
    assert job.status == "SUBMITTED" and not job.cancelled_at


def test_a_cancelled_job_that_cannot_be_seen_just_now_is_not_given_up(shop: Shop) -> None:
    shop.ingest(*texts(12))
    (job,) = shop.manager.flush_queue()
    shop.embedder.finish()
    shop.manager.cancel(job)

    def away(method: str) -> None:
        if method == "state":
            raise EmbedderError("No answer.")

    shop.embedder.before = away
    shop.now += 30 * HOUR
    shop.manager.sync_status()
    shop.embedder.before = lambda method: None
    (done,) = shop.manager.sync_status()
    assert done.status == "COMPLETED" and shop.manager.queue_stats().ready == 12
