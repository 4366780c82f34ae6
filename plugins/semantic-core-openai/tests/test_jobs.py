"""Batch jobs at the service: what is uploaded, what comes back, and what goes wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring
from semantic_core_openai.job_lines import state_of

from semantic_core.errors import ConfigError, EmbedderError, EmbedderUnavailable, InputError
from semantic_core.remote import (
    AnswerInvalid,
    ItemFailed,
    ItemUnavailable,
    JobFailed,
    JobTooLarge,
    JobUnknown,
    KeyRefused,
    RateLimited,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
)
from semantic_core.testing import FakeEmbeddings, TurningClock

KEY = "sk-key-of-this-test"
PASSAGES = {f"{number:032x}": f"passage number {number}" for number in range(6)}


def embedder(service: FakeEmbeddings, **options: Any) -> OpenAIEmbedder:
    given = {"model": "small", "dimensions": 64, "clock": TurningClock(0.0).clock, **options}
    return OpenAIEmbedder(OpenAIKeyring(KEY), base_url=service.url, **given)


def test_a_job_is_a_file_of_requests_and_a_batch_with_its_name(service: FakeEmbeddings) -> None:
    made = embedder(service, document_prefix="passage: ", encoding="base64")
    job = made.submit({"k1": "a text", "k2": ""}, "job-a")
    [there] = service.jobs
    file = service.state.files[there.input_file]
    first, second = map(json.loads, file.content.splitlines())
    assert file.name == "job-a.jsonl" and there.name == "job-a" and job == there.id
    body = {"model": "small", "encoding_format": "base64", "input": "passage: a text"}
    assert first == {"custom_id": "k1", "method": "POST", "url": "/v1/embeddings", "body": body}
    assert second["body"]["input"] == "passage: -"
    assert service.bodies[-1]["completion_window"] == "24h"


def test_results_are_those_of_calls_whatever_their_order(service: FakeEmbeddings) -> None:
    made = embedder(service)
    wanted = made.embed_documents(list(PASSAGES.values()))
    for shape in ("whole", "shuffled", "doubled", "foreign"):
        job = made.submit(PASSAGES, f"job-{shape}")
        service.finish(job, shape=shape)  # type: ignore[arg-type]
        found = dict(made.results(job))
        for key, vector in zip(PASSAGES, wanted, strict=True):
            assert np.allclose(found[key], vector, atol=1e-6)
    assert made.usage.job_texts == 6 * 2 + 12 + 12, "as they were read"


@pytest.mark.parametrize(
    ("shape", "kind", "passing"),
    [
        ("partial", ItemUnavailable, True),
        ("busy", ItemUnavailable, True),
        ("errors", ItemFailed, False),
        ("invalid", AnswerInvalid, False),
    ],
)
def test_a_text_without_a_vector_has_its_reason(
    shape: Any, kind: type[Exception], passing: bool, service: FakeEmbeddings
) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.finish(job, shape=shape)
    found = dict(made.results(job))
    errors = [found[key] for key in list(PASSAGES)[1::2]]
    assert all(type(error) is kind for error in errors) and len(found) == 6
    assert getattr(errors[0], "retryable", False) is passing
    state = made.state(job)
    assert (state.status, state.has_results) == ("COMPLETED", True)
    assert state.succeeded == (6 if shape == "invalid" else 3)
    assert made.usage.job_tokens == service.bill(KEY).job_tokens


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_job_that_ended_badly_says_so(status: Any, service: FakeEmbeddings) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.finish(job, status=status)
    state = made.state(job)
    assert (state.status, state.told) == ("FAILED", status.upper())
    assert state.expired is (status == "expired")
    with pytest.raises(JobFailed):
        list(made.results(job))
    assert made.find("job-a") == job, "there is no better one"
    made.clean_up(job)
    assert service.files == [] and made.find("job-a") is None


def test_the_results_of_an_expired_job_that_was_partly_done_can_be_read(
    service: FakeEmbeddings,
) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.finish(job, status="expired", shape="partial")
    state = made.state(job)
    assert (state.status, state.has_results, state.succeeded) == ("FAILED", True, 3)
    found = dict(made.results(job))
    assert sum(isinstance(result, np.ndarray) for result in found.values()) == 3


def test_too_many_tokens_in_progress_is_said_of_the_job_and_not_of_its_texts(
    service: FakeEmbeddings,
) -> None:
    service.enqueued_limit = 10
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    state = made.state(job)
    assert state.status == "FAILED" and state.throttled
    assert "Enqueued token limit reached" in state.reason
    assert service.bill(KEY).job_texts == 0


def test_a_state_that_is_not_known_counts_as_being_processed() -> None:
    state = state_of({"id": "b", "status": "thinking"})
    assert (state.status, state.told, state.has_results) == ("PROCESSING", "THINKING", False)


def test_a_job_is_found_on_any_page_and_one_that_failed_only_if_there_is_no_other(
    service: FakeEmbeddings,
) -> None:
    made = embedder(service)
    first = made.submit(PASSAGES, "job-a")
    service.finish(first, status="failed")
    second = made.submit(PASSAGES, "job-a")
    for number in range(110):
        made.submit({"k": "text"}, f"other-{number}")
    assert made.find("job-a") == second
    assert service.count("list") == 2
    service.finish(second, status="failed")
    assert made.find("job-a") == second, "the newer of the two"
    assert made.find("job") is None


def test_jobs_older_than_their_files_are_not_looked_at(service: FakeEmbeddings) -> None:
    made = embedder(service)
    made.submit(PASSAGES, "job-a")
    service.turn(31 * 24)
    for number in range(101):
        made.submit({"k": "text"}, f"other-{number}")
    service.requests.clear()
    assert made.find("job-a") is None and service.count("list") == 2
    assert made.find("nothing") is None and service.count("list") == 4


def test_a_job_that_was_created_without_an_answer_is_not_created_again(
    service: FakeEmbeddings,
) -> None:
    service.misbehave("create", "reset_after")
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    assert [one.id for one in service.jobs] == [job]


def test_a_job_that_was_refused_leaves_no_file(service: FakeEmbeddings) -> None:
    made = embedder(service)
    for fault, kind in (("throttled", RateLimited), ("bad_request", EmbedderError)):
        service.misbehave("create", fault)
        with pytest.raises(kind):
            made.submit(PASSAGES, "job-a")
        assert service.files == [] and service.jobs == []
    service.misbehave("create", "throttled")
    with pytest.raises(RateLimited, match="limit of jobs, or of tokens"):
        made.submit(PASSAGES, "job-a")


def test_a_job_that_cannot_be_is_refused_before_anything_is_sent(
    service: FakeEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = embedder(service)
    with pytest.raises(InputError, match="at least one text"):
        made.submit({}, "job-a")
    monkeypatch.setattr("semantic_core_openai.batches.JOB_ITEMS", 5)
    with pytest.raises(JobTooLarge, match="at most 5 texts"):
        made.submit(PASSAGES, "job-a")
    monkeypatch.setattr("semantic_core_openai.batches.JOB_BYTES", 100)
    with pytest.raises(JobTooLarge, match="and 100 bytes"):
        made.submit({"k": "text", "l": "text"}, "job-a")
    assert service.requests == []


@pytest.mark.parametrize("fault", ["unavailable", "cut_body", "reset", "not_found", "forbidden"])
def test_results_that_cannot_be_fetched_now_are_not_lost(
    fault: str, service: FakeEmbeddings
) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.finish(job)
    service.misbehave("download", fault, times=5)
    with pytest.raises((ResultsUnavailable, EmbedderUnavailable)) as raised:
        list(made.results(job))
    assert raised.value.retryable
    service.behave()
    made = embedder(service)
    assert len(dict(made.results(job))) == 6


def test_a_refused_key_never_means_that_a_job_is_gone(service: FakeEmbeddings) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.finish(job)
    for route, fault in (("job", "key_refused"), ("job", "forbidden"), ("download", "key_refused")):
        service.misbehave(route, fault)
        with pytest.raises(EmbedderError) as raised:
            list(made.results(job))
        assert isinstance(raised.value, KeyRefused)


def test_a_job_the_service_lists_and_does_not_know_is_asked_for_again(
    service: FakeEmbeddings,
) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.misbehave("job", "not_found")
    with pytest.raises(ServiceDown, match="lists job"):
        made.state(job)
    assert made.state(job).status == "SUBMITTED"


@pytest.mark.parametrize("job", ["batch_nobody", "../files", "", "a/b", "x" * 500])
def test_a_job_nobody_knows_is_unknown_and_no_part_of_an_address(
    job: str, service: FakeEmbeddings
) -> None:
    made = embedder(service)
    for ask in (made.state, made.cancel, lambda one: list(made.results(one))):
        with pytest.raises(JobUnknown):
            ask(job)
    assert all(".." not in request.path for request in service.requests)


def test_results_are_gone_when_their_files_are_older_than_the_service_keeps_them(
    service: FakeEmbeddings,
) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.finish(job)
    del service.state.files[service.jobs[0].output_file or ""]
    with pytest.raises(ResultsUnavailable):
        list(made.results(job))
    service.file_seconds = 1e9
    service.turn(31 * 24)
    with pytest.raises(ResultsGone, match="are gone"):
        list(made.results(job))
    service.file_seconds = 1.0
    service.turn(1)
    with pytest.raises(JobUnknown, match="none of its files"):
        made.state(job)


def test_a_job_that_ends_while_it_is_cancelled_is_no_error(service: FakeEmbeddings) -> None:
    made = embedder(service)
    job = made.submit(PASSAGES, "job-a")
    service.misbehave("cancel", "bad_request")
    with pytest.raises(EmbedderError):
        made.cancel(job)
    made.cancel(job)
    assert made.state(job).told == "CANCELLED"
    made.cancel(job)


def test_a_server_without_batch_jobs_says_so(service: FakeEmbeddings) -> None:
    service.absent = {"create", "list", "job", "upload"}
    with pytest.raises(ConfigError, match="has no batch jobs"):
        embedder(service).find("job-a")


def test_the_time_is_that_of_the_service(service: FakeEmbeddings) -> None:
    made = embedder(service)
    assert made.now() is None
    made.find("job-a")
    before = made.now() or 0.0
    service.turn(5)
    made.find("job-a")
    assert 5 * 3_600 - 5 < (made.now() or 0.0) - before < 5 * 3_600 + 5
