"""`BatchManager`: pending passages become jobs, jobs become vectors, and nothing is paid twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import attrs
import pytest

from semantic_core import Document, Ref, SemanticCore, _costs, _ingest
from semantic_core._jobs import JobState
from semantic_core._memory.store import MemoryStore
from semantic_core.batch import BatchJob, BatchManager, BatchRules, Budget, QueueStats
from semantic_core.errors import (
    BudgetSpent,
    ConfigError,
    EmbedderError,
    EmbedderThrottled,
    EmbedderUnavailable,
    InputError,
    JobLost,
    TenantRefused,
)
from semantic_core.protocols import BatchEmbedder, BatchQueue, Embedder, Priced
from semantic_core.testing import HashEmbedder, JobEmbedder
from semantic_core.types import ChunkId

HOUR = 3_600.0


class Office:
    """A core in memory, an embedder that takes jobs, and a clock one can turn."""

    def __init__(self, *, rules: BatchRules | None = None, **options: Any) -> None:
        self.now = 1_000_000_000.0
        self.embedder: JobEmbedder = options.pop("embedder", None) or JobEmbedder()
        self.core = SemanticCore(
            store="memory", embedder=self.embedder, plugins=[], max_chars=100, **options
        )
        self.manager = self.core.batch_manager
        self.manager._clock = self.manager.cost_tracker._clock = lambda: self.now
        self.manager._ticks = lambda: self.now
        self.manager.rules = rules or BatchRules()

    def ingest(self, *texts: str, mode: Any = "async", collection: str = "notes") -> Any:
        return self.core.ingest(
            [Document(Ref(collection, text), text) for text in texts], mode=mode
        )

    def state(self, text: str, collection: str = "notes") -> Any:
        [state] = self.manager.chunk_states([ChunkId(Ref(collection, text), 0)])
        return state

    def wait(self, hours: float) -> None:
        self.now += hours * HOUR


@pytest.fixture
def office() -> Office:
    return Office()


def texts(count: int, word: str = "beans") -> list[str]:
    return [f"{word} number {number}" for number in range(count)]


def test_what_is_stored_asynchronously_is_found_by_words_at_once_and_by_meaning_when_its_job_is_done(  # noqa: E501
    office: Office,
) -> None:
    report = office.ingest("tomatoes want sun", "carrots want sand")
    assert (report.added, report.pending, report.embedded) == (2, 2, 0)
    assert office.core.search("tomatoes", mode="text")[0].ref.key == "tomatoes want sun"
    assert len(office.core.search("tomatoes", mode="vector")) == 0
    assert office.state("tomatoes want sun") == ("PENDING", "")
    [job] = office.manager.flush_queue(1)
    assert (job.status, job.sent, job.provider_job) == ("SUBMITTED", 2, "jobs/1")
    assert office.state("tomatoes want sun") == ("SUBMITTED", "")
    office.embedder.start()
    assert [job.status for job in office.manager.sync_status()] == ["PROCESSING"]
    office.embedder.finish("shuffled")
    [job] = office.manager.sync_status()
    assert (job.status, job.succeeded, job.failed, job.error, job.cleaned) == (
        "COMPLETED",
        2,
        0,
        "",
        True,
    )
    assert office.core.search("tomatoes want", mode="vector")[0].ref.key == "tomatoes want sun"
    assert office.embedder.jobs == {} and office.manager.sync_status() == ()


def test_a_job_that_ends_well_is_read_once_and_warns_of_nothing(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.finish()
    office.embedder.before = asked.append
    [job] = office.manager.sync_status()
    assert job.cleaned and caplog.records == [] and asked.count("results") == 1


def test_a_hundred_that_wait_are_submitted_in_thirties(office: Office) -> None:
    office.ingest(*texts(29))
    assert office.manager.flush_queue(min_size=30, job_size=30) == ()
    office.ingest(*texts(100))
    jobs = office.manager.flush_queue(min_size=30, job_size=30)
    assert [job.sent for job in jobs] == [30, 30, 30, 10]
    assert office.manager.flush_queue(1, force=True) == ()


def test_fewer_than_the_least_wait_unless_it_is_forced(office: Office) -> None:
    office.ingest(*texts(9))
    assert office.manager.flush_queue() == ()
    assert [job.sent for job in office.manager.flush_queue(force=True)] == [9]
    assert office.manager.flush_queue(0, force=True) == ()
    office.ingest("one more")
    assert [job.sent for job in office.manager.flush_queue(0)] == [1]


@pytest.mark.parametrize(("least", "size"), [(-1, None), (1.5, None), (1, 0), (1, "many")])
def test_a_flush_of_numbers_nobody_can_mean_is_refused(
    office: Office, least: Any, size: Any
) -> None:
    office.ingest(*texts(3))
    with pytest.raises(InputError):
        office.manager.flush_queue(least, job_size=size)
    assert office.manager.jobs() == []


def test_an_embedder_may_read_the_passages_of_a_job_as_any_mapping() -> None:
    class Looking(JobEmbedder):
        def submit(self, passages: Any, name: str) -> str:
            assert len(passages) == len(list(passages)) == 3 and passages.get("none") is None
            return super().submit({each: passages[each] for each in passages}, name)

    office = Office(embedder=Looking())
    office.ingest(*texts(3))
    [job] = office.manager.flush_queue(1)
    assert sorted(office.embedder.jobs[job.provider_job].passages.values()) == texts(3)


def test_the_tokens_of_a_job_are_those_of_all_its_passages(office: Office) -> None:
    office.ingest(*texts(3))
    office.embedder.before = _raising("submit", EmbedderUnavailable("503"))
    [job] = office.manager.flush_queue(1)
    office.core.remove(Ref("notes", texts(3)[0]))
    office.embedder.before = lambda method: None
    office.wait(1)
    [again] = office.manager.flush_queue(1)
    assert (again.status, again.sent, again.tokens) == ("SUBMITTED", 3, job.tokens)


def test_who_submits_a_job_that_another_has_submitted_removes_his_own(office: Office) -> None:
    office.ingest(*texts(3))
    store: Any = office.core.store
    submit = office.embedder.submit

    def overtaken(passages: Any, name: str) -> str:
        made = submit(passages, name)
        [job] = office.manager.jobs()
        store.note_job(job.id, office.now, status="SUBMITTED", provider_job="jobs/theirs")
        return made

    office.embedder.submit = overtaken  # type: ignore[method-assign]
    [job] = office.manager.flush_queue(1)
    assert (job.provider_job, office.embedder.jobs) == ("jobs/theirs", {})


def test_a_pause_doubles_until_it_lasts_an_hour(office: Office) -> None:
    office.ingest(*texts(3))
    office.embedder.before = _raising("submit", EmbedderUnavailable("503"))
    pauses = []
    for _ in range(8):
        [job] = office.manager.flush_queue(1)
        pauses.append(job.leased_until - office.now)
        office.now = job.leased_until
    assert pauses == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]


def test_how_long_a_provider_keeps_results_is_known_from_its_embedder(office: Office) -> None:
    assert office.manager.results_kept is None
    office.embedder.results_kept = 3_600  # type: ignore[attr-defined]
    assert office.manager.results_kept == 3_600.0


def test_a_name_is_told_to_the_provider_that_is_found_after_a_crash(office: Office) -> None:
    office.ingest(*texts(2))
    [job] = office.manager.flush_queue(1)
    assert (
        job.name == f"semantic-core-{job.id}" and office.embedder.find(job.name) == job.provider_job
    )
    office.embedder.before = lambda method: None
    assert office.manager.job(job.id[:6]).id == job.id
    with pytest.raises(InputError, match="No job begins with 'zzz'"):
        office.manager.job("zzz")


def test_an_answer_that_is_lost_makes_no_second_job(office: Office) -> None:
    office.ingest(*texts(3))
    submit = JobEmbedder.submit

    class Lost(JobEmbedder):
        lost = False

        def submit(self, passages: Any, name: str) -> str:
            made = submit(self, passages, name)
            if not self.lost:
                self.lost = True
                raise EmbedderUnavailable("No answer came.")
            return made

    office = Office(embedder=Lost())
    office.ingest(*texts(3))
    [job] = office.manager.flush_queue(1)
    assert (job.status, job.error, job.tries) == ("CREATED", "No answer came.", 1)
    assert [each.status for each in office.manager.sync_status()] == ["CREATED"]  # it is too soon
    office.wait(0.1)
    [job] = office.manager.sync_status()
    assert (job.status, job.error, len(office.embedder.jobs)) == ("SUBMITTED", "", 1)


def test_a_job_that_is_taken_over_has_one_submitter(office: Office) -> None:
    office.ingest(*texts(3))
    office.embedder.before = _raising("submit", EmbedderUnavailable("503"))
    [job] = office.manager.flush_queue(1)
    office.wait(1)
    store: Any = office.core.store
    others: list[bool] = []
    office.embedder.before = lambda method: others.append(
        store.lease_job(job.id, "another process", office.now, office.now + 60)
    )
    office.manager.flush_queue(1)
    assert len(office.embedder.jobs) == 1 and not any(others)


def test_a_provider_that_is_away_is_said_before_anything_is_held(office: Office) -> None:
    office.ingest(*texts(3))

    def away(method: str) -> None:
        raise EmbedderUnavailable("The service does not answer.")

    office.embedder.before = away
    with pytest.raises(EmbedderUnavailable):
        office.manager.flush_queue(1)
    assert office.manager.jobs() == [] and office.manager.queue_stats().pending == 3


def test_a_job_that_cannot_be_searched_for_is_postponed(office: Office) -> None:
    office.ingest(*texts(3))
    office.embedder.before = _raising("submit", EmbedderUnavailable("503"))
    [job] = office.manager.flush_queue(1)
    office.embedder.before = _raising("find", EmbedderUnavailable("504"))
    office.wait(1)
    [again] = office.manager.flush_queue(1)
    assert (again.id, again.status, again.error, again.tries) == (job.id, "CREATED", "504", 2)


def test_no_key_for_jobs_is_said_before_any_work(office: Office) -> None:
    office.ingest(*texts(3))
    office.embedder.jobs_set_up = False
    with pytest.raises(ConfigError, match="key of their own"):
        office.manager.flush_queue(1)
    with pytest.raises(ConfigError, match="key of their own"):
        office.manager.flush_queue(10)  # not only when there are enough
    assert office.manager.jobs() == [] and not office.manager.takes_jobs
    assert office.core.embed_pending() == 3
    assert office.manager.flush_queue(10) == ()


def test_who_has_too_few_passages_for_a_job_does_not_ask_the_provider(office: Office) -> None:
    office.ingest(*texts(3))
    assert office.manager.takes_jobs
    office.embedder.before = _raising("find", EmbedderUnavailable("503"))
    assert office.manager.flush_queue(10) == ()


def test_an_embedder_or_a_store_without_the_ability_says_what_to_do() -> None:
    office = Office(embedder=HashEmbedder())
    office.ingest(*texts(2))
    assert office.manager.sync_status() == () and not office.manager.takes_jobs
    with pytest.raises(
        ConfigError, match="HashEmbedder does not support batch jobs.*embed_pending"
    ):
        office.manager.flush_queue(1)

    class Bare(MemoryStore):
        open_job = None

    manager = BatchManager(Bare(JobEmbedder().space), JobEmbedder())
    with pytest.raises(ConfigError, match="Bare keeps no ledger of batch jobs.*Name a file"):
        manager.queue_stats()
    assert not manager.takes_jobs
    with pytest.raises(ConfigError, match="A budget needs a ledger of costs"):
        BatchManager(Bare(JobEmbedder().space), JobEmbedder(), budget=Budget(hard=1))


def test_passages_without_a_result_are_tried_again_and_given_up_at_last(office: Office) -> None:
    office.ingest(*texts(4))
    for _ in range(2):
        office.manager.flush_queue(1)
        office.embedder.finish("partial")
        office.manager.sync_status()
    assert office.manager.queue_stats().ready == 3
    office.manager.flush_queue(1)
    job = next(iter(office.embedder.jobs.values()))
    job.passages, kept = {}, job.passages
    office.embedder.finish()
    [ended] = office.manager.sync_status()
    assert ended.error == "1 of 1 passages got no vector from it."
    assert office.manager.queue_stats().failed == 1
    assert [failure.reason for failure in office.manager.given_up()] == [ended.error]
    assert office.manager.retry() == 1
    assert list(kept) == [chunk.fingerprint for chunk in office.core.store.pending(9)]


def test_a_passage_the_provider_refuses_is_named_with_its_reason(office: Office) -> None:
    office.ingest(*texts(4))
    office.manager.flush_queue(1)
    office.embedder.finish("errors")
    [job] = office.manager.sync_status()
    assert (job.status, job.succeeded, job.failed) == ("COMPLETED", 2, 2)
    assert office.state("beans number 1") == ("FAILED", "It was refused.")
    assert office.core.embed_pending() == 0 and office.manager.flush_queue(1) == ()
    assert office.manager.retry(job.id) == 2 and office.core.embed_pending() == 2


def test_a_bad_vector_fails_alone(office: Office) -> None:
    office.ingest(*texts(4))
    office.manager.flush_queue(1)
    office.embedder.finish("invalid")
    [job] = office.manager.sync_status()
    assert (job.succeeded, job.failed) == (2, 2)
    assert "not finite" in office.state("beans number 3")[1]


def test_one_passage_that_fails_the_whole_job_is_found_by_halving(office: Office) -> None:
    office.ingest(*texts(40), "poison")
    office.embedder.poison = {"poison"}
    for _ in range(20):
        office.manager.flush_queue(1)
        office.embedder.finish()
        office.manager.sync_status()
        office.wait(1)
    stats = office.manager.queue_stats()
    assert (stats.ready, stats.failed, stats.pending) == (40, 1, 0)
    assert office.state("poison") == ("FAILED", "FAILED One of the requests cannot be read.")
    assert max(office.embedder.billed.values()) == 1


def test_a_provider_that_is_full_gets_smaller_jobs_and_the_rest_goes_on() -> None:
    office = Office()
    office.embedder.enqueued_limit = 200  # tokens; a passage has 4
    office.ingest(*texts(1_000))
    [first, second] = office.manager.flush_queue(1)
    assert (first.status, first.sent) == ("SUBMITTED", 31)
    assert (second.status, second.error[:3]) == ("CREATED", "429")
    uploads: list[str] = []
    office.embedder.before = uploads.append
    assert [job.id for job in office.manager.flush_queue(1)] == [second.id]
    assert "submit" not in uploads  # nothing is sent again while the provider is full
    office.ingest(*texts(50, "peas"))
    for _ in range(200):
        office.embedder.finish()
        office.manager.sync_status()
        office.manager.flush_queue(1)
        office.wait(0.01)
    stats = office.manager.queue_stats()
    assert (stats.ready, stats.pending, stats.submitted) == (1_050, 0, 0)
    assert max(office.embedder.billed.values()) == 1


def test_what_a_full_provider_refused_is_sent_as_soon_as_others_have_ended(office: Office) -> None:
    office.embedder.enqueued_limit = 200
    office.ingest(*texts(1_000))
    assert [job.status for job in office.manager.flush_queue(1)] == ["SUBMITTED", "CREATED"]
    office.embedder.finish()
    offered: list[int] = []
    submit = office.embedder.submit

    def noted(passages: Any, name: str) -> str:
        offered.append(len(passages))
        return submit(passages, name)

    office.embedder.submit = noted  # type: ignore[method-assign]
    office.manager.sync_status()
    offered.clear()
    assert "SUBMITTED" in [job.status for job in office.manager.flush_queue(1)]
    refused = offered[: offered.index(31) + 1]
    assert refused == sorted(set(refused), reverse=True)  # no size is offered twice


def test_a_job_that_is_there_although_it_was_refused_for_now_is_not_divided(
    office: Office,
) -> None:
    office.ingest(*texts(8))
    submit = office.embedder.submit

    def lost(passages: Any, name: str) -> str:
        submit(passages, name)
        raise EmbedderThrottled("429")

    office.embedder.submit = lost  # type: ignore[method-assign]
    [job] = office.manager.flush_queue(1)
    assert (job.status, job.sent, job.provider_job) == ("SUBMITTED", 8, "jobs/1")
    assert list(office.embedder.jobs) == ["jobs/1"]


def test_a_provider_that_takes_nothing_now_is_asked_less_and_less_often() -> None:
    office = Office()
    office.embedder.enqueued_limit = 0
    office.ingest(*texts(8))
    [job] = office.manager.flush_queue(1)
    assert (job.status, job.sent, office.manager.queue_stats().pending) == ("CREATED", 1, 7)
    asked: list[str] = []
    office.embedder.before = asked.append
    for _ in range(24 * 60):
        assert [each.id for each in office.manager.flush_queue(1)] == [job.id]
        office.wait(1 / 60)
    assert 24 <= asked.count("submit") <= 32
    office.embedder.enqueued_limit = None
    office.wait(1)
    assert sum(job.sent for job in office.manager.flush_queue(1)) == 8


def test_a_job_has_no_more_tokens_than_it_may_have() -> None:
    office = Office(rules=BatchRules(job_tokens=20))
    office.ingest(*texts(12))
    office.core.store.drop_job = _none_dissolved  # type: ignore[attr-defined]
    assert [job.tokens for job in office.manager.flush_queue(1)] == [20, 20, 8]
    office.ingest("x" * 100)
    assert [job.sent for job in office.manager.flush_queue(1)] == [1]
    office = Office()
    office.embedder.job_tokens = 20  # type: ignore[attr-defined]
    office.ingest(*texts(12))
    assert [job.tokens for job in office.manager.flush_queue(1)] == [20, 20, 8]


def _none_dissolved(job: str) -> bool:
    raise AssertionError("A job was made larger than was to be expected.")


def test_jobs_of_passages_of_very_different_sizes_have_no_more_tokens_than_they_may_have() -> None:
    office = Office(rules=BatchRules(job_tokens=50))
    office.ingest(*texts(100), *(f"{number} {'x' * 90}" for number in range(20)))
    jobs = office.manager.flush_queue(1)
    assert max(job.tokens for job in jobs) <= 50 and sum(job.sent for job in jobs) == 120
    assert len(jobs) <= 25  # 880 tokens


def test_no_more_jobs_are_under_way_than_may_be() -> None:
    office = Office(rules=BatchRules(job_size=5, open_jobs=3))
    office.ingest(*texts(40))
    assert len(office.manager.flush_queue(1)) == 3 and office.manager.flush_queue(1) == ()
    assert office.manager.queue_stats().pending == 25
    office.embedder.finish()
    office.manager.sync_status()
    assert len(office.manager.flush_queue(1)) == 3


def test_jobs_have_no_more_passages_than_their_provider_takes() -> None:
    office = Office()
    office.embedder.job_items = 5  # type: ignore[attr-defined]
    office.ingest(*texts(12))
    assert [job.sent for job in office.manager.flush_queue(1)] == [5, 5, 2]


def test_no_more_jobs_are_open_than_their_provider_takes() -> None:
    office = Office(rules=BatchRules(job_size=5))
    office.embedder.open_jobs = 2  # type: ignore[attr-defined]
    office.ingest(*texts(40))
    assert len(office.manager.flush_queue(1)) == 2 and office.manager.flush_queue(1) == ()
    office.embedder.finish()
    office.manager.sync_status()
    assert len(office.manager.flush_queue(1)) == 2


def test_all_open_jobs_together_have_no_more_tokens_than_their_provider_takes() -> None:
    office = Office(rules=BatchRules(job_size=5))
    office.embedder.open_tokens = office.embedder.enqueued_limit = 50  # type: ignore[attr-defined]
    office.ingest(*texts(40))
    for _ in range(20):
        office.manager.flush_queue(1)
        office.embedder.finish()
        office.manager.sync_status()
    stats = office.manager.queue_stats()
    assert (stats.ready, stats.failed) == (40, 0)
    assert max(job.tries for job in office.manager.jobs()) == 0, "none was refused"
    assert max(office.embedder.billed.values()) == 1


def test_a_job_is_late_when_its_provider_says_so() -> None:
    office = Office()
    office.embedder.job_seconds = 5 * HOUR  # type: ignore[attr-defined]
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.wait(4.9)
    assert office.manager.sync_status()[0].cancelled_at == 0.0
    office.wait(0.2)
    assert office.manager.sync_status()[0].cancelled_at > 0.0


@pytest.mark.parametrize("throttled", [True, False])
def test_a_passage_alone_is_not_given_up_because_its_provider_was_full(throttled: bool) -> None:
    office = Office()
    office.ingest("beans climb")
    for _ in range(4):
        for job in office.manager.flush_queue(1):
            office.embedder.jobs[job.provider_job].state = JobState(
                "FAILED", "FAILED", "Enqueued token limit reached.", throttled=throttled
            )
        office.manager.sync_status()
    assert office.state("beans climb")[0] == ("PENDING" if throttled else "FAILED")


@pytest.mark.parametrize("others", [True, False])
def test_a_job_for_which_there_is_no_room_gets_smaller_only_if_no_other_is_under_way(
    others: bool,
) -> None:
    office = Office(rules=BatchRules(job_size=8))
    if others:
        office.ingest(*texts(8, "peas"))
        office.manager.flush_queue(1)
    office.ingest(*texts(8))
    sizes = []
    for _ in range(3):
        jobs = office.manager.flush_queue(1)
        sizes.append(max(job.sent for job in jobs))
        for job in jobs:
            office.embedder.jobs[job.provider_job].state = JobState("FAILED", throttled=True)
        office.manager.sync_status()
    assert sizes == ([8, 8, 8] if others else [8, 8, 4])


def test_a_worker_pauses_for_longer_each_time_its_provider_was_full() -> None:
    office = Office(rules=BatchRules(flush_size=1))
    office.ingest("beans climb")
    made = 0
    for _ in range(12 * 60):  # minutes
        for job in office.manager.work():
            there = office.embedder.jobs.get(job.provider_job)
            if there is not None and job.status == "SUBMITTED":
                made += 1
                there.state = JobState("FAILED", "FAILED", "Full.", throttled=True)
        office.wait(1 / 60)
    assert 15 <= made <= 22, "of 720 rounds"
    assert office.state("beans climb")[0] == "PENDING"


def test_a_worker_makes_few_jobs_of_a_stream_of_texts(office: Office) -> None:
    office.now = time.time()
    for minute in range(50):
        office.ingest(*texts(10, f"beans of minute {minute}"))
        office.manager.work()
        office.wait(1 / 60)
    assert office.manager.jobs() == []
    office.ingest(*texts(500, "peas"))
    assert [job.sent for job in office.manager.work()] == [1_000]
    office.ingest("one more")
    office.wait(2)
    assert [job.sent for job in office.manager.work()][1:] == [1]


def test_a_budget_counts_the_job_it_checks_once() -> None:
    office = Office(budget={"hard": "0.00002"})  # forty tokens in jobs
    office.ingest(*texts(10))
    assert [job.sent for job in office.manager.flush_queue(1)] == [10]


def test_a_job_is_as_large_as_the_budget_allows_and_the_rest_follows_the_next_day() -> None:
    office = Office(budget={"hard": "0.00002"})
    office.ingest(*texts(25))
    for ready in (10, 20, 25):
        with suppress(BudgetSpent):
            office.manager.flush_queue(1)
        office.embedder.finish()
        office.manager.sync_status()
        assert office.manager.queue_stats().ready == ready
        with suppress(BudgetSpent):
            assert office.manager.flush_queue(1) == ()
        office.wait(24)


@pytest.mark.parametrize(
    "batch", [{"job_size": 0}, {"job_tokens": "many"}, {"open_jobs": 1.5}, {"size": 1}, 5]
)
def test_rules_nobody_can_mean_are_refused(batch: Any) -> None:
    with pytest.raises(ConfigError, match="batch"):
        BatchRules.of(batch)
    assert BatchRules.of({"job_size": 5, "poll": 1.5}).job_size == 5
    assert BatchRules.of(BatchRules(job_size=5)).job_size == 5


def test_a_provider_that_takes_less_gets_smaller_jobs() -> None:
    office = Office(embedder=JobEmbedder(job_limit=7))
    office.ingest(*texts(25))
    office.manager.flush_queue(1)
    assert sorted(len(there.passages) for there in office.embedder.jobs.values()) == [6, 6, 6, 7]


def test_expired_and_failed_jobs_go_back_to_the_queue_unpaid(office: Office) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.expire()
    [job] = office.manager.sync_status()
    assert (job.status, job.error) == ("FAILED", "EXPIRED It took too long.")
    assert office.manager.queue_stats().pending == 3 and not office.embedder.billed


def test_a_cancelled_job_gives_back_what_it_held(office: Office) -> None:
    office.ingest(*texts(3))
    for _ in range(3):  # a job that was cancelled is no try
        [job] = office.manager.flush_queue(1)
        assert office.manager.cancel(job.id).cancelled_at == office.now
        [ended] = office.manager.sync_status()
        assert (ended.status, office.manager.queue_stats().pending) == ("FAILED", 3)
        assert office.manager.cancel(ended).status == "FAILED"


def test_a_job_is_cancelled_once(office: Office) -> None:
    office.ingest(*texts(3))
    [job] = office.manager.flush_queue(1)
    office.embedder.cancel = lambda job: None  # type: ignore[method-assign]
    first = office.manager.cancel(job).cancelled_at
    office.wait(1)
    assert office.manager.cancel(job).cancelled_at == first == office.now - HOUR


def test_a_job_cancelled_before_it_was_sent_never_is(office: Office) -> None:
    office.ingest(*texts(3))

    def fails(method: str) -> None:
        if method == "submit":
            raise EmbedderUnavailable("away")

    office.embedder.before = fails
    [job] = office.manager.flush_queue(1)
    office.embedder.before = lambda method: None
    ended = office.manager.cancel(job)
    assert (ended.status, ended.error) == ("FAILED", "Cancelled before it was submitted.")
    assert office.embedder.jobs == {} and office.manager.queue_stats().pending == 3


def test_what_a_cancelled_job_had_done_is_collected(office: Office) -> None:
    office.ingest(*texts(3))
    [job] = office.manager.flush_queue(1)
    office.embedder.finish()
    office.manager.cancel(job)
    [ended] = office.manager.sync_status()
    assert (ended.status, ended.succeeded) == ("COMPLETED", 3)


def test_a_job_that_never_ends_is_cancelled_and_at_last_given_up(office: Office) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.start()
    office.embedder.cancel = lambda job: None  # type: ignore[method-assign]
    office.wait(71)
    assert not office.manager.sync_status()[0].cancelled_at
    office.wait(2)
    assert office.manager.sync_status()[0].cancelled_at == office.now
    office.wait(25)
    [job] = office.manager.sync_status()
    assert job.status == "FAILED" and "had not ended after 98 h" in job.error
    assert office.manager.queue_stats().pending == 3


@pytest.mark.parametrize("seen", [True, False])
def test_results_that_cannot_be_fetched_are_not_paid_again_without_being_asked(
    office: Office, seen: bool
) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    if seen:
        office.embedder.start()
        office.manager.sync_status()
    office.embedder.finish("late")
    office.embedder.results = _unreadable  # type: ignore[method-assign]
    for _ in range(6):
        office.wait(11)
        [job] = office.manager.sync_status()
    assert (job.status, office.manager.queue_stats().failed) == ("FAILED", 3)
    assert (
        "could not be fetched for 55 h: 503" in job.error and "may have been paid for" in job.error
    )
    assert office.manager.flush_queue(1) == () and office.manager.retry() == 3


def test_jobs_that_never_end_are_tried_as_often_as_others(office: Office) -> None:
    office.ingest(*texts(3))
    for failed in (0, 0, 3):
        office.manager.flush_queue(1)
        office.embedder.start()
        for hours in (73, 25):
            office.wait(hours)
            office.embedder.cancel = lambda job: None  # type: ignore[method-assign]
            [job] = office.manager.sync_status()
        assert (job.status, office.manager.queue_stats().failed) == ("FAILED", failed)


def test_a_failed_job_whose_results_came_late_is_not_lost(office: Office) -> None:
    office.ingest(*texts(6))
    [job] = office.manager.flush_queue(1)
    there = office.embedder.jobs[job.provider_job]
    there.state = JobState("FAILED", "EXPIRED", has_results=True)
    there.shape = "cut"
    for status in ("PROCESSING", "FAILED"):
        office.manager.sync_status()
        assert office.manager.job(job.id).status == status
        office.wait(60)
    assert office.manager.job(job.id).cleaned and office.embedder.jobs == {}


def test_results_are_late_from_the_answer_on_that_has_them(office: Office) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    hidden, office.embedder.jobs = office.embedder.jobs, {}
    office.manager.sync_status()
    office.wait(40)
    office.embedder.jobs = hidden
    office.embedder.finish()
    office.embedder.results = _unreadable  # type: ignore[method-assign]
    for _ in range(5):
        [job] = office.manager.sync_status()
        assert job.status == "PROCESSING"
        office.wait(11)


def _unreadable(job: str) -> Any:
    raise EmbedderUnavailable("503")
    yield


@pytest.mark.parametrize("lost", ["the job", "its results"])
def test_a_job_its_provider_has_forgotten_is_not_paid_again_without_being_asked(
    office: Office, lost: str
) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.finish("gone")
    if lost == "the job":
        office.embedder.jobs.clear()
    for _ in range(6):
        [job] = office.manager.sync_status()
        assert job.status in ("SUBMITTED", "PROCESSING") and job.error
        office.wait(9)
    [job] = office.manager.sync_status()
    assert job.status == "FAILED" and office.manager.queue_stats().failed == 3
    assert office.manager.flush_queue(1) == () and office.core.embed_pending() == 0
    billed = office.embedder.tokens_billed["batch"]
    assert sum(cost.tokens for cost in office.manager.costs()) == billed


@pytest.mark.parametrize("method", ["state", "results"])
@pytest.mark.parametrize("error", [JobLost("404"), EmbedderError("403, the key is refused.")])
def test_one_answer_that_there_is_no_such_job_loses_nothing_that_is_paid_for(
    office: Office, method: str, error: Exception
) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.finish()
    office.embedder.before = _raising(method, error)
    [job] = office.manager.sync_status()
    assert (job.ended_at, len(office.embedder.jobs)) == (0.0, 1)
    assert str(error) in job.error or "lists job jobs/1, and does not know it" in job.error
    office.embedder.before = lambda method: None
    office.wait(1)
    [job] = office.manager.sync_status()
    assert (job.status, job.succeeded, job.error) == ("COMPLETED", 3, "")


@pytest.mark.parametrize("answer", ["lists it", "does not say"])
def test_a_job_that_may_be_listed_is_not_lost(office: Office, answer: str) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.start()

    def unknown(method: str) -> None:
        if method == "state":
            raise JobLost("404")
        if method == "find" and answer == "does not say":
            raise EmbedderUnavailable("503")

    office.embedder.before = unknown
    for _ in range(2):
        [job] = office.manager.sync_status()
        assert (job.status, job.answered_at) == ("SUBMITTED", 0.0)
        office.wait(49)


def test_a_job_that_is_found_again_is_given_all_its_time_again(office: Office) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.start()
    for _ in range(6):
        office.embedder.before = _raising("state", JobLost("404"))
        office.manager.sync_status()
        office.embedder.before = lambda method: None
        [job] = office.manager.sync_status()
        assert (job.status, job.error, job.answered_at) == ("PROCESSING", "", 0.0)
        office.wait(10)


def test_a_job_given_up_as_lost_is_left_to_its_provider(office: Office) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.finish()
    office.embedder.before = _raising("results", JobLost("404"))
    office.manager.sync_status()
    office.wait(49)
    [job] = office.manager.sync_status()
    assert (job.status, job.cleaned, len(office.embedder.jobs)) == ("FAILED", False, 1)
    office.wait(49)  # until then it is looked for
    office.manager.sync_status()
    job = office.manager.job(job.id)
    assert (job.status, job.cleaned, len(office.embedder.jobs)) == ("FAILED", True, 1)
    assert office.manager.sync_status() == ()


def test_a_failed_job_that_its_provider_still_has_is_not_continued(office: Office) -> None:
    office.ingest(*texts(3), "poison")
    office.embedder.poison = {"poison"}
    office.manager.flush_queue(1)
    office.embedder.finish()
    office.embedder.before = _raising("clean_up", EmbedderUnavailable("503"))
    [failed] = office.manager.sync_status()
    office.wait(1)
    office.manager.sync_status()
    assert office.manager.job(failed.id) == failed and not failed.cleaned


def test_what_a_provider_never_lets_be_removed_is_left_to_it_in_the_end(office: Office) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    office.embedder.finish()
    office.embedder.before = _raising("clean_up", EmbedderError("400, it cannot be deleted."))
    for hours in (1, 46, 3):
        assert office.manager.sync_status() == () or not office.manager.jobs()[0].cleaned
        office.wait(hours)
    office.manager.sync_status()
    assert office.manager.jobs()[0].cleaned


def test_an_error_that_passes_is_tried_again_as_often_as_it_may_be(office: Office) -> None:
    office.ingest(*texts(4))
    for count in (4, 2, 1):
        [job] = office.manager.flush_queue(1)
        assert job.sent == count
        office.embedder.finish("busy")
        [job] = office.manager.sync_status()
    assert office.manager.queue_stats().ready == 4
    office.ingest("never")
    for _ in range(3):
        [job] = office.manager.flush_queue(1)
        there = office.embedder.jobs[job.provider_job]
        there.passages = {"first": "of another", **there.passages}
        office.embedder.finish("busy")
        [job] = office.manager.sync_status()
    reason = "1 of 1 passages got no vector from it: 14 UNAVAILABLE"
    assert office.state("never") == ("FAILED", reason)


def test_a_job_that_expired_is_tried_again_at_the_same_size(office: Office) -> None:
    office.ingest(*texts(40))
    for _ in range(3):
        assert [job.sent for job in office.manager.flush_queue(1)] == [40]
        office.embedder.expire()
        office.manager.sync_status()
    assert office.manager.queue_stats().failed == 40


def test_the_results_of_a_job_that_expired_are_collected_and_the_rest_is_tried_again(
    office: Office,
) -> None:
    office.ingest(*texts(6))
    [job] = office.manager.flush_queue(1)
    there = office.embedder.jobs[job.provider_job]
    there.state = JobState("FAILED", "EXPIRED", succeeded=3, has_results=True)
    there.shape = "partial"
    [ended] = office.manager.sync_status()
    assert (ended.status, ended.error, ended.succeeded) == ("FAILED", "EXPIRED", 3)
    stats = office.manager.queue_stats()
    assert (stats.ready, stats.pending, stats.failed) == (3, 3, 0)
    assert sum(cost.passages for cost in office.manager.costs()) == 3


def test_a_cancelled_job_with_some_results_counts_as_no_try(office: Office) -> None:
    office.ingest(*texts(12))
    ready = 0
    for size in (12, 6, 3):
        [job] = office.manager.flush_queue(1)
        assert job.sent == size
        office.manager.cancel(job)
        there = office.embedder.jobs[job.provider_job]
        there.state = JobState("FAILED", "CANCELLED", has_results=True)
        there.shape = "partial"
        office.manager.sync_status()
        ready += (size + 1) // 2
        stats = office.manager.queue_stats()
        assert (stats.ready, stats.pending, stats.failed) == (ready, 12 - ready, 0)


def test_results_that_break_off_are_read_again(office: Office) -> None:
    office.ingest(*texts(6))
    office.manager.rules = attrs.evolve(office.manager.rules, page=2)
    office.manager.flush_queue(1)
    office.embedder.finish("cut")
    [job] = office.manager.sync_status()
    assert (job.status, job.succeeded, job.error) == ("PROCESSING", 2, "The answer broke off.")
    [job] = office.manager.sync_status()
    assert (job.status, job.succeeded, max(office.embedder.billed.values())) == ("COMPLETED", 6, 1)


def test_text_edited_while_its_job_runs_waits_again_and_the_late_vector_finds_no_taker(
    office: Office,
) -> None:
    office.core.ingest(Document(Ref("notes", "1"), "first version"), mode="async")
    office.manager.flush_queue(1)
    office.core.ingest(Document(Ref("notes", "1"), "second version"), mode="async")
    office.embedder.finish()
    office.manager.sync_status()
    assert (
        office.manager.queue_stats().pending == 1
        and len(office.core.search("first", mode="vector")) == 0
    )
    assert [job.sent for job in office.manager.flush_queue(1)] == [1]


@pytest.mark.parametrize("way", ["ingest", "embed_pending", "another document"])
def test_a_passage_a_job_holds_is_not_embedded_by_anyone_else(office: Office, way: str) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    if way == "ingest":
        assert office.ingest(*texts(3), mode="sync").pending == 3
    elif way == "embed_pending":
        assert office.core.embed_pending() == 0
    else:
        office.core.ingest([Document(Ref("other", "1"), "beans number 1")], mode="sync")
    assert office.embedder.calls == 0
    office.embedder.finish()
    office.manager.sync_status()
    assert office.core.stats().pending == 0 and max(office.embedder.billed.values()) == 1


def test_one_may_insist(office: Office) -> None:
    office.ingest(*texts(3))
    office.manager.flush_queue(1)
    assert office.core.embed_pending(from_jobs=True) == 3
    office.embedder.finish()
    [job] = office.manager.sync_status()
    assert (job.status, job.succeeded, job.error) == (
        "COMPLETED",
        0,
        "3 of 3 passages got no vector from it.",
    )
    paid = sum(office.embedder.tokens_billed.values())
    assert sum(cost.tokens for cost in office.manager.costs()) == paid


def test_two_who_embed_at_once_share_what_waits() -> None:
    inside: list[Callable[[], Any]] = []

    class Slow(JobEmbedder):
        def embed_documents(self, passages: Any) -> Any:
            if inside:
                inside.pop()()
            return super().embed_documents(passages)

    office = Office(embedder=Slow(batch_size=4))
    office.ingest(*texts(10))
    inside.append(lambda: office.core.embed_pending(4))
    assert office.core.embed_pending() == 6
    inside.append(lambda: office.ingest("new text", *texts(3, "peas"), mode="sync"))
    office.ingest("new text", *texts(6, "peas"), mode="sync")
    assert max(office.embedder.billed.values()) == 1 and office.core.stats().pending == 0


def test_what_is_being_embedded_stays_held_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_costs, "HOLD", 0.3)
    other: list[int] = []

    class Slow(JobEmbedder):
        def embed_documents(self, passages: Any) -> Any:
            time.sleep(0.9)
            if not other:
                other.append(0)
                other[0] = office.core.embed_pending()
            return super().embed_documents(passages)

    office = Office(embedder=Slow())
    office.manager._clock = office.manager.cost_tracker._clock = time.time
    office.ingest(*texts(5))
    assert (office.core.embed_pending(), other) == (5, [0])
    assert max(office.embedder.billed.values()) == 1


def test_what_is_being_embedded_stays_held_when_the_clock_is_put_forward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_costs, "LOOK", 0.02)
    other: list[int] = []
    renewed = threading.Event()

    class Slow(JobEmbedder):
        def embed_documents(self, passages: Any) -> Any:
            if not other:
                other.append(0)
                hold = office.core.store.hold

                def noted(*given: Any) -> Any:
                    answer = hold(*given)
                    renewed.set()
                    return answer

                office.core.store.hold = noted
                for _ in range(3):
                    renewed.clear()
                    office.now += 0.9 * _costs.HOLD
                    assert renewed.wait(30)
                other[0] = office.core.embed_pending()
            return super().embed_documents(passages)

    office = Office(embedder=Slow())
    office.ingest(*texts(5))
    assert (office.core.embed_pending(), other) == (5, [0])
    assert max(office.embedder.billed.values()) == 1


def test_a_renewal_that_is_under_way_ends_before_the_passages_are_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_costs, "LOOK", 0.01)
    events: list[str] = []
    renewing = threading.Event()

    class Slow(JobEmbedder):
        def embed_documents(self, passages: Any) -> Any:
            office.now += 0.9 * _costs.HOLD
            assert renewing.wait(30)
            return super().embed_documents(passages)

    office = Office(embedder=Slow())
    store: Any = office.core.store
    hold, release = store.hold, store.release

    def slow_hold(*given: Any) -> Any:
        if threading.current_thread().name == "semantic-core-hold" and not events:
            renewing.set()
            time.sleep(0.2)
            events.append("renewed")
        return hold(*given)

    def noted_release(token: str) -> None:
        events.append("released")
        release(token)

    store.hold, store.release = slow_hold, noted_release
    office.ingest(*texts(3))
    assert office.core.embed_pending() == 3
    assert events[0] == "renewed" and "released" in events


@pytest.mark.parametrize("chunks", [1, 3, 40])
def test_what_is_paid_for_is_stored_before_more_is_paid_for(
    chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ingest, "GROUP_CHUNKS", 10)

    class Careful(JobEmbedder):
        def embed_documents(self, passages: Any) -> Any:
            stored = office.manager.queue_stats().ready if self.billed else 0
            assert stored == len(self.billed)
            return super().embed_documents(passages)

    office = Office(embedder=Careful(batch_size=8))
    documents = [
        Document(
            Ref("notes", str(number)),
            "\n\n".join(f"{'beans ' * 12} {number} {chunk}" for chunk in range(chunks)),
        )
        for number in range(80 // chunks)
    ]
    report = office.core.ingest(documents)
    assert (report.added, report.pending, report.failed) == (len(documents), 0, ())
    assert report.embedded == report.chunks == len(office.embedder.billed) >= 78
    assert max(office.embedder.billed.values()) == 1
    assert office.core.ingest(documents).unchanged == len(documents)


@pytest.mark.parametrize("kind", ["refused", "spoiled"])
def test_a_passage_that_gets_no_vector_is_given_up_and_its_neighbours_are_paid_for_once(
    kind: str,
) -> None:
    office = Office(embedder=JobEmbedder(batch_size=100))
    office.ingest(*texts(300))
    setattr(office.embedder, kind, {"beans number 20"})
    assert (office.core.embed_pending(), office.core.embed_pending()) == (299, 0)
    assert max(office.embedder.billed.values()) == 1
    [failure] = office.manager.given_up()
    assert failure.what == "notes/beans number 20#0"
    assert ("refused" if kind == "refused" else "not finite") in failure.reason
    billed = office.embedder.tokens_billed["interactive"]
    assert sum(cost.tokens for cost in office.manager.costs()) == billed
    setattr(office.embedder, kind, set())
    assert (office.manager.retry(), office.core.embed_pending()) == (1, 1)


def test_a_refused_passage_is_nobody_elses_while_it_is_given_up(office: Office) -> None:
    office.ingest("stone", *texts(3))
    office.embedder.refused = {"stone"}
    store: Any = office.core.store
    settle = store.settle
    taken: list[str] = []

    def overtaken(*given: Any) -> Any:
        taken.extend(store.take(9, office.now, office.now + 9).passages.values())
        return settle(*given)

    store.settle = overtaken
    assert office.core.embed_pending() == 3
    assert taken == [] and office.state("stone")[0] == "FAILED"


def test_an_embedder_that_accepts_nothing_gives_nothing_up(office: Office) -> None:
    office.ingest(*texts(3))

    def refuse(passages: Any) -> Any:
        raise EmbedderError("The key is refused.")

    office.embedder.embed_documents = refuse  # type: ignore[method-assign]
    with pytest.raises(EmbedderError, match="The key is refused"):
        office.core.embed_pending()
    stats = office.manager.queue_stats()
    assert (stats.pending, stats.failed) == (3, 0)


def test_many_refused_passages_in_front_of_the_queue_do_not_stop_it(office: Office) -> None:
    office.ingest(*texts(40, "stones"), *texts(40))
    office.embedder.refused = set(texts(40, "stones"))
    assert office.core.embed_pending() == 40
    assert office.manager.queue_stats().failed == 40 and max(office.embedder.billed.values()) == 1


def test_a_refused_passage_is_given_up_where_nothing_is_paid_too() -> None:
    class Picky(HashEmbedder):
        def embed_documents(self, passages: Any) -> Any:
            if "stone" in passages:
                raise EmbedderError("One of the texts is refused.")
            return super().embed_documents(passages)

    office = Office(embedder=Picky())
    office.ingest("stone", *texts(3))
    assert (office.core.embed_pending(), office.core.embed_pending()) == (3, 0)
    assert office.state("stone") == ("FAILED", "One of the texts is refused.")

    class Bare(MemoryStore):
        settle = None

    core = SemanticCore(store=Bare(office.embedder.space), embedder=office.embedder, plugins=[])
    core.ingest([Document(Ref("notes", text), text) for text in ("stone", "a", "b")], mode="async")
    with pytest.raises(EmbedderError, match="refused: 1, .*One of the texts is refused"):
        core.embed_pending()
    assert core.stats().pending == 1


def test_equal_passages_are_in_a_job_once(office: Office) -> None:
    office.core.ingest(
        [Document(Ref("notes", str(key)), "the same text") for key in range(5)], mode="async"
    )
    assert [job.sent for job in office.manager.flush_queue(1)] == [1]
    office.embedder.finish()
    office.manager.sync_status()
    assert office.manager.queue_stats().ready == 5 and office.embedder.billed == {
        "the same text": 1
    }


@pytest.mark.parametrize(
    ("freshness", "collection", "pending"),
    [
        (None, "notes", 0),
        ("now", "notes", 0),
        ("1h", "notes", 3),
        ("24h", "notes", 3),
        ({"*": "24h", "news": "now"}, "notes", 3),
        ({"*": "24h", "news": "now"}, "news", 0),
        ({"news": "24h"}, "notes", 0),
    ],
)
def test_auto_goes_by_the_freshness_wanted(freshness: Any, collection: str, pending: int) -> None:
    office = Office(freshness=freshness)
    assert office.ingest(*texts(3), mode="auto", collection=collection).pending == pending


def test_auto_goes_by_size_where_nothing_is_wanted(office: Office) -> None:
    report = office.ingest(*texts(2_500), mode="auto")
    assert 0 < report.embedded <= 1_000 and report.pending == 2_500 - report.embedded
    office = Office(embedder=HashEmbedder())
    assert office.ingest(*texts(2_500), mode="auto").pending == 0  # nobody would take a job


def test_a_flush_leaves_collections_alone_that_are_to_be_fresh_sooner() -> None:
    office = Office(freshness={"*": "24h", "tickets": "1h"})
    office.ingest(*texts(3), collection="notes")
    office.ingest(*texts(2, "peas"), collection="tickets")
    assert [job.sent for job in office.manager.flush_queue(1)] == [3]
    assert [job.sent for job in office.manager.flush_queue(1, force=True)] == [2]
    office.manager.work()
    assert not office.embedder.tokens_billed["interactive"], "a job has them"


def test_jobs_are_for_the_collections_that_may_wait_where_others_may_not() -> None:
    office = Office(freshness={"*": "1h", "archive": "24h"})
    office.ingest(*texts(3), collection="notes")
    office.ingest(*texts(2, "peas"), collection="archive")
    assert [job.sent for job in office.manager.flush_queue(1)] == [2]
    office.manager.work()
    assert (office.manager.queue_stats().ready, office.manager.queue_stats().submitted) == (3, 2)


def test_one_round_of_work_embeds_what_is_urgent_and_submits_the_rest() -> None:
    office = Office(freshness={"*": "24h", "tickets": "1h"})
    office.ingest(*texts(3), collection="notes")
    office.ingest(*texts(2, "peas"), collection="tickets")
    office.now = office.manager.queue_stats().oldest_at + 1
    assert office.manager.work() == ()  # three are too few yet
    assert (
        office.embedder.tokens_billed["interactive"] > 0,
        office.manager.queue_stats().pending,
    ) == (True, 3)
    office.wait(1.1)
    assert [job.sent for job in office.manager.work()] == [3]
    office.embedder.finish()
    assert office.manager.work() == ()  # it asked the provider just now
    office.wait(0.01)
    assert [job.status for job in office.manager.work()] == ["COMPLETED"]
    assert office.manager.queue_stats().ready == 5


def test_one_round_of_work_without_jobs_embeds_everything() -> None:
    office = Office(embedder=HashEmbedder())
    office.ingest(*texts(3))
    assert office.manager.work() == () and office.manager.queue_stats().ready == 3


def test_what_was_spent_is_recorded_by_day_collection_and_tier(office: Office) -> None:
    office.ingest("x" * 40, mode="sync", collection="fast")
    office.ingest(*("y" * 80, "z" * 20), collection="slow")
    office.manager.flush_queue(1)
    office.embedder.finish()
    office.wait(24)
    office.manager.sync_status()
    found = [
        (cost.day, cost.collection, cost.tier, cost.passages, cost.tokens, cost.amount)
        for cost in office.manager.costs()
    ]
    assert found == [
        ("2001-09-09", "fast", "interactive", 1, 10, Decimal("0.00001")),
        ("2001-09-10", "slow", "batch", 2, 25, Decimal("0.0000125")),
    ]
    assert sum(cost.tokens for cost in office.manager.costs()) == sum(
        office.embedder.tokens_billed.values()
    )
    assert office.manager.costs("2001-09-11") == []


def test_an_estimate_tells_tokens_money_and_time_of_what_waits(office: Office) -> None:
    told = [
        f"{number}: " + "beans climb and peas climb " * (1 + number % 3) for number in range(1_500)
    ]
    office.ingest(*told)
    estimate = office.manager.estimate()
    wanted = office.embedder.tokens([text.strip() for text in told])
    assert estimate.passages == 1_500 and abs(estimate.tokens - wanted) <= 0.05 * wanted
    assert estimate.amounts["batch"] * 2 == estimate.amounts["interactive"] > 0
    assert estimate.currency == "USD" and estimate.seconds["interactive"] == 4.7
    assert hash(estimate) == hash(office.manager.estimate())
    assert Office(embedder=HashEmbedder()).manager.estimate().amounts == {}


def test_a_spent_budget_stops_an_ingest_and_keeps_the_texts() -> None:
    office = Office(budget={"hard": "0.0001"})  # a hundred tokens
    report = office.ingest(*("x" * 80 + str(number) for number in range(64)), mode="sync")
    assert (report.added, report.embedded, report.pending) == (64, 0, 64)
    [failure] = report.failed
    assert failure.code == "BudgetSpent" and "hard budget of 0.0001 USD per day" in failure.reason
    assert "tomorrow" in failure.reason and office.embedder.calls == 0
    office.embedder._batch_size = 4
    with pytest.raises(BudgetSpent):
        office.core.embed_pending()
    assert 0 < office.manager.queue_stats().ready <= 4
    office.wait(24)
    assert office.core.embed_pending(4) == 4


def test_a_soft_budget_can_be_forced_and_a_hard_one_cannot() -> None:
    office = Office(budget={"soft": "0.000001", "hard": "0.0001", "per": "store"})
    office.ingest(*texts(10))
    with pytest.raises(BudgetSpent, match="soft budget.*per store"):
        office.manager.flush_queue(1)
    assert office.manager.jobs() == [] and office.manager.queue_stats().pending == 10
    assert len(office.manager.flush_queue(1, force=True)) == 1
    office.ingest(*texts(100, "peas"))
    with pytest.raises(BudgetSpent, match="hard budget.*belong to open jobs"):
        office.manager.flush_queue(1, force=True)
    office.wait(24 * 400)
    with pytest.raises(BudgetSpent, match="with another store"):
        office.manager.flush_queue(1, force=True)


@pytest.mark.parametrize(
    "budget",
    [
        {"hard": -1},
        {"hard": "much"},
        {"hard": True},
        {"hard": 0},
        {"per": "hour"},
        {"soft": 2, "hard": 1},
        {"max": 1},
        5,
    ],
)
def test_a_budget_nobody_can_mean_is_refused(budget: Any) -> None:
    with pytest.raises(ConfigError, match="budget"):
        Office(budget=budget)


@pytest.mark.parametrize("freshness", ["soon", {"notes": "2h"}, {5: "now"}, 5, ["now"]])
def test_a_freshness_nobody_can_mean_is_refused(freshness: Any) -> None:
    with pytest.raises(ConfigError, match="freshness must be one of now, 1h, 24h"):
        Office(freshness=freshness)


def test_a_tenant_has_no_jobs_of_its_own() -> None:
    core = SemanticCore(store="memory", embedder=JobEmbedder(), plugins=[], multi_tenant=True)
    core.tenant("ann").ingest(Document(Ref("notes", "1"), "hers"), mode="async")
    with pytest.raises(TenantRefused, match="batch jobs are of all tenants"):
        _ = core.tenant("ann").batch_manager
    assert (
        core.batch_manager.queue_stats("ann").pending == 1
        and core.batch_manager.queue_stats("bob").pending == 0
    )


def test_a_job_counts_what_it_waits_for_and_nothing_has_happened_to_a_new_one() -> None:
    new = BatchJob("id", "name")
    numbers = {name: value for name, value in attrs.asdict(new).items() if type(value) is not str}
    assert not any(numbers.values()) and new.status == "CREATED"
    begun = attrs.evolve(new, sent=9, succeeded=4, failed=2)
    assert begun.waiting == 3 and attrs.evolve(begun, status="FAILED").waiting == 0
    assert not any(attrs.astuple(QueueStats()))


def test_errors_that_may_pass_are_noted_and_others_raised(office: Office) -> None:
    office.ingest(*texts(2))
    office.manager.flush_queue(1)
    for error in (EmbedderUnavailable("503"), EmbedderError("The key was refused.")):
        office.embedder.before = _raising("state", error)
        [job] = office.manager.sync_status()
        assert (job.status, job.error) == ("SUBMITTED", str(error))
    office.embedder.before = _raising("state", ConfigError("There is no key."))
    with pytest.raises(ConfigError):
        office.manager.sync_status()
    office.embedder.before = lambda method: None
    office.embedder.finish()
    office.embedder.before = _raising("clean_up", EmbedderUnavailable("503"))
    assert not office.manager.sync_status()[0].cleaned
    office.embedder.before = lambda method: None
    office.manager.sync_status()
    assert office.manager.jobs()[0].cleaned and office.embedder.jobs == {}


def test_a_refused_submission_is_raised_and_tried_again_later(office: Office) -> None:
    office.ingest(*texts(2))
    office.embedder.before = _raising("submit", EmbedderError("The key was refused."))
    with pytest.raises(EmbedderError, match="refused"):
        office.manager.flush_queue(1)
    assert office.manager.jobs()[0].error == "The key was refused."
    office.embedder.before = lambda method: None
    office.wait(1)
    assert [job.status for job in office.manager.sync_status()] == ["SUBMITTED"]


def test_a_job_nobody_waits_for_any_more_is_not_sent(office: Office) -> None:
    office.ingest("gone soon")

    def edit(method: str) -> None:
        office.core.remove(Ref("notes", "gone soon"))

    hold = office.core.store.open_job
    office.core.store.open_job = lambda *given, **named: (hold(*given, **named), edit(""))[0]  # type: ignore[method-assign]
    assert (
        office.manager.flush_queue(1) == ()
        and office.embedder.jobs == {}
        and office.manager.jobs() == []
    )


def _raising(method: str, error: Exception) -> Callable[[str], None]:
    def before(called: str) -> None:
        if called == method:
            raise error

    return before


def test_the_stand_in_has_every_ability_it_claims() -> None:
    embedder = JobEmbedder()
    assert (
        isinstance(embedder, Embedder)
        and isinstance(embedder, BatchEmbedder)
        and isinstance(embedder, Priced)
    )
    assert isinstance(MemoryStore(embedder.space), BatchQueue)
    with pytest.raises(JobLost):
        embedder.state("jobs/9")
