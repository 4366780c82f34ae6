"""Batch jobs: passages are uploaded, and vectors are assigned by their keys, whatever the service
does in between.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from fake_gemini import FakeGemini
from semantic_core_gemini import GeminiBatchClient, GeminiEmbedder, GoogleKeyring
from semantic_core_gemini.errors import (
    AnswerInvalid,
    ItemFailed,
    ItemUnavailable,
    JobFailed,
    JobTooLarge,
    JobUnknown,
    KeyRefused,
    RateLimited,
    RequestRefused,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
    ServiceTimeout,
)
from semantic_core_gemini.job_lines import INLINE_ITEMS

from semantic_core import Chunk, ChunkId, Entry, Ref
from semantic_core.errors import EmbedderError, InputError, JobLost, TextInvalid
from semantic_core.protocols import BatchEmbedder, Priced
from semantic_core.testing import TurningClock

KEY = "key-for-batches"
FEW = {f"few-{number}": f"text number {number}" for number in range(5)}
MANY = {f"many-{number}": f"text number {number}, of many" for number in range(INLINE_ITEMS + 50)}
BOTH = pytest.mark.parametrize("texts", [FEW, MANY], ids=["inline", "file"])


@pytest.fixture
def embedder(gemini: FakeGemini, turning: TurningClock) -> GeminiEmbedder:
    ring = GoogleKeyring("key-of-every-day", KEY)
    return GeminiEmbedder(ring, base_url=gemini.url, dimensions=128, clock=turning.clock, timeout=5)


@pytest.fixture
def client(embedder: GeminiEmbedder) -> GeminiBatchClient:
    return embedder.batch_client()


def as_lines(
    change: Callable[[list[dict[str, Any]]], Iterable[Any]],
) -> Callable[[Iterable[str]], Iterator[str]]:
    """Result lines made of changed results; what is text already goes as it is."""

    def rewrite(lines: Iterable[str]) -> Iterator[str]:
        for one in change([json.loads(line) for line in lines]):
            yield one if isinstance(one, str) else json.dumps(one)

    return rewrite


def test_it_is_what_the_kernel_calls_a_batch_embedder(embedder: GeminiEmbedder) -> None:
    assert isinstance(embedder, BatchEmbedder) and isinstance(embedder, Priced)


@BOTH
@pytest.mark.parametrize("token_count", [False, True])
def test_a_job_gives_the_vectors_a_call_gives_and_its_tokens_are_counted(
    token_count: bool, texts: dict[str, str], embedder: GeminiEmbedder, gemini: FakeGemini
) -> None:
    gemini.state.token_count = token_count
    job = embedder.submit(texts, "a job")
    assert embedder.state(job).status == "SUBMITTED"
    gemini.finish(job)
    state = embedder.state(job)
    assert (state.status, state.sent, state.succeeded, state.failed) == (
        "COMPLETED",
        len(texts),
        len(texts),
        0,
    )
    assert state.name == "a job" and state.has_results
    results = dict(embedder.results(job))
    assert results.keys() == texts.keys()
    wanted = embedder.embed_documents(list(texts.values()))
    assert np.allclose(np.stack([results[key] for key in texts]), wanted, atol=1e-6)  # type: ignore[arg-type]
    lengths = [float(np.linalg.norm(vector)) for vector in results.values()]  # type: ignore[arg-type]
    assert max(abs(length - 1) for length in lengths) < 1e-5
    bill = gemini.bill(KEY)
    assert (embedder.usage.job_texts, embedder.usage.job_tokens) == (
        bill.job_texts,
        bill.job_tokens,
    )


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_requests_of_a_job_have_the_form_of_the_model(model: str, gemini: FakeGemini) -> None:
    client = GeminiBatchClient(
        GoogleKeyring("d", KEY), base_url=gemini.url, dimensions=256, model=model
    )
    client.submit({"k": "some text", "blank": " "}, "a job")
    (body,) = gemini.bodies
    first, second = body["batch"]["inputConfig"]["requests"]["requests"]
    assert (first["metadata"], second["metadata"]) == ({"key": "k"}, {"key": "blank"})
    assert (first["request"]["model"], first["request"]["outputDimensionality"]) == (
        f"models/{model}",
        256,
    )
    typed = model == "gemini-embedding-001"
    assert first["request"].get("taskType") == ("RETRIEVAL_DOCUMENT" if typed else None)
    assert first["request"]["content"]["parts"][0]["text"] == (
        "some text" if typed else "title: none | text: some text"
    )
    assert second["request"]["content"]["parts"][0]["text"] == (
        "-" if typed else "title: none | text: -"
    )


def test_chunks_entries_pairs_and_mappings_are_taken(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    chunk = Chunk(ChunkId(Ref("notes", "1"), 0), "hello there", 0, 11)
    entry = Entry(chunk, "Title\nhello there", "f" * 32)
    keys = []
    for chunks in (
        [chunk],
        [entry],
        [("pair", "hello")],
        {"mapping": "hello"},
        iter([("again", "hello")]),
    ):
        job = client.create_embedding_job(chunks)
        gemini.finish(job)
        keys += dict(client.retrieve_results(job))
    assert keys == ["notes/1#0", "f" * 32, "pair", "mapping", "again"]


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ({}, InputError),
        ([("a", "x"), ("a", "y")], InputError),
        ([("", "x")], InputError),
        ([(5, "x")], InputError),
        (["text"], InputError),
        ([("a", "\ud800")], TextInvalid),
        ([("a", None)], TextInvalid),
    ],
)
def test_what_cannot_be_a_job_is_refused_before_anything_is_sent(
    chunks: Any, error: type[Exception], client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    with pytest.raises(error):
        client.create_embedding_job(chunks)
    assert gemini.requests == []


def test_a_job_has_a_size(client: GeminiBatchClient, gemini: FakeGemini) -> None:
    for limit in ({"most_items": 4}, {"most_bytes": 500}):
        with pytest.raises(JobTooLarge, match="at most"):
            client.create_embedding_job(FEW, **limit)
    assert gemini.requests == []


def test_the_same_texts_are_not_paid_for_twice(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    first = client.create_embedding_job(FEW)
    assert client.create_embedding_job(dict(FEW)) == first
    gemini.finish(first)
    assert client.create_embedding_job(FEW) == first
    assert client.create_embedding_job(dict(reversed(FEW.items()))) == first, "in any order"
    assert client.create_embedding_job({**FEW, "one": "more"}) != first
    assert client.create_embedding_job(FEW, "another name") != first


def test_other_texts_under_the_same_name_are_another_job(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    first = client.create_embedding_job(FEW, "nightly")
    second = client.create_embedding_job({"other": "text"}, "nightly")
    assert first != second
    assert client.create_embedding_job(FEW, "nightly") == first
    gemini.finish()
    assert dict(client.retrieve_results(second)).keys() == {"other"}
    assert client.find("nightly") in (first, second)
    assert client.find("night") is None and client.find("nightly sc-") is None


def test_a_job_that_failed_is_made_again(client: GeminiBatchClient, gemini: FakeGemini) -> None:
    first = client.create_embedding_job(FEW)
    gemini.finish(first, state="FAILED", error={"message": "broken"})
    second = client.create_embedding_job(FEW)
    assert second != first
    assert client.find(gemini.state.jobs[second].display_name) == second
    gemini.finish(second, state="EXPIRED")
    assert client.find(gemini.state.jobs[second].display_name) in (first, second)


def test_a_job_is_found_by_its_name_among_many(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.most_open_jobs = 0
    jobs = {name: client.submit({"k": name}, name) for name in map(str, range(230))}
    before = gemini.count("list")
    assert client.find("3") == jobs["3"] and gemini.count("list") - before == 3
    assert client.find("no such") is None


@BOTH
@pytest.mark.parametrize("fault", ["reset_after", "cut_body", "cut_json", "gateway_timeout"])
def test_an_answer_lost_after_the_job_was_made_does_not_make_a_second(
    fault: str, texts: dict[str, str], client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.misbehave("create", fault)
    try:
        job = client.submit(texts, "a job")
    except (ServiceDown, ServiceTimeout, AnswerInvalid):
        found = client.find("a job")
        job = found or client.submit(texts, "a job")
    assert len(gemini.state.jobs) == 1 and list(gemini.state.jobs) == [job]


def test_a_job_that_was_never_made_is_told_and_can_be_made_later(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.misbehave("create", "unavailable")
    with pytest.raises(ServiceDown):
        client.submit(FEW, "a job")
    assert gemini.count("create") == 1
    assert client.find("a job") is None
    assert client.submit(FEW, "a job") == client.find("a job")


@pytest.mark.parametrize(
    ("fault", "error"),
    [("bad_request", RequestRefused), ("key_refused", KeyRefused), ("throttled", RateLimited)],
)
def test_a_file_whose_job_is_refused_does_not_stay(
    fault: str, error: type[Exception], client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.misbehave("create", fault, times=100)
    with pytest.raises(error):
        client.submit(MANY, "a job")
    assert gemini.state.files == {} == gemini.state.jobs


@pytest.mark.parametrize(
    "fault", ["unavailable", "reset", "throttled_seconds", "no_upload_address", "cut_json"]
)
def test_an_upload_that_fails_is_made_again_from_the_beginning(
    fault: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.misbehave("upload", fault)
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    assert len(dict(client.results(job))) == len(MANY)


@pytest.mark.parametrize("fault", ["unavailable", "reset_after", "no_file"])
def test_a_piece_that_fails_is_sent_again(
    fault: str, client: GeminiBatchClient, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.genai._api_client.INITIAL_RETRY_DELAY", 0)
    gemini.misbehave("piece", fault, times=3 if fault == "unavailable" else 1)
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    assert len(dict(client.results(job))) == len(MANY)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("PENDING", "SUBMITTED"),
        ("QUEUED", "SUBMITTED"),
        ("PAUSED", "SUBMITTED"),
        ("RUNNING", "PROCESSING"),
        ("UPDATING", "PROCESSING"),
        ("CANCELLING", "PROCESSING"),
        ("SOMETHING_NEW", "PROCESSING"),
        ("", "PROCESSING"),
        ("SUCCEEDED", "COMPLETED"),
        ("PARTIALLY_SUCCEEDED", "COMPLETED"),
        ("FAILED", "FAILED"),
        ("CANCELLED", "FAILED"),
        ("EXPIRED", "FAILED"),
    ],
)
def test_every_state_has_a_meaning(
    state: str, status: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(FEW, "a job")
    gemini.finish(job, state=state, output=False)
    told = client.state(job)
    assert (told.status, client.get_job_status(job), told.has_results) == (status, status, False)
    wanted = JobFailed if status == "FAILED" else ResultsUnavailable
    with pytest.raises(wanted):
        client.retrieve_results(job)


def test_a_state_nobody_knows_is_logged(
    client: GeminiBatchClient, gemini: FakeGemini, caplog: pytest.LogCaptureFixture
) -> None:
    job = client.submit(FEW, "a job")
    gemini.finish(job, state="DREAMING", output=False)
    assert client.state(job).told == "DREAMING"
    assert "DREAMING" in caplog.text


@pytest.mark.parametrize(
    ("state", "verb"),
    [("FAILED", "failed"), ("EXPIRED", "expired"), ("CANCELLED", "was cancelled")],
)
def test_the_reason_of_a_failure_is_shown(
    state: str, verb: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    """google-genai leaves it out."""
    job = client.submit(FEW, "a job")
    gemini.finish(job, state=state, error={"code": 3, "message": "line 7 is\n no JSON"})
    assert client.state(job).reason == "line 7 is no JSON"
    with pytest.raises(JobFailed, match=f"{verb}: line 7 is no JSON"):
        client.retrieve_results(job)
    gemini.finish(job, state=state, error=None)
    with pytest.raises(JobFailed, match=f"{verb}; the service gave no reason"):
        client.retrieve_results(job)


@BOTH
def test_results_of_a_job_that_failed_half_way_can_be_read(
    texts: dict[str, str], client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(texts, "a job")
    gemini.finish(job, state="EXPIRED", output=True, rewrite=as_lines(lambda results: results[:2]))
    assert client.state(job).status == "FAILED" and client.state(job).has_results
    assert len(dict(client.retrieve_results(job))) == 2


@BOTH
def test_results_are_found_by_key_in_any_order_twice_or_missing(
    texts: dict[str, str], embedder: GeminiEmbedder, gemini: FakeGemini
) -> None:
    job = embedder.submit(texts, "a job")

    def jumbled(results: list[Any]) -> list[Any]:
        stranger = {**results[0], "key": "nobody's"}
        return [*reversed(results[2:]), results[3], stranger, results[3]]

    gemini.finish(job, rewrite=as_lines(jumbled))
    given = list(embedder.results(job))
    assert len(given) == len(texts) + 1
    found = dict(given)
    assert found.keys() == set(texts) - set(list(texts)[:2]) | {"nobody's"}
    wanted = dict(zip(texts, embedder.embed_documents(list(texts.values())), strict=True))
    assert all(np.allclose(found[key], wanted[key], atol=1e-6) for key in found if key in wanted)  # type: ignore[arg-type]


@BOTH
def test_what_is_wrong_with_one_result_concerns_no_other(
    texts: dict[str, str], client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(texts, "a job")
    keys = list(texts)

    def spoiled(results: list[Any]) -> list[Any]:
        results[0] = {"key": keys[0], "error": {"code": 3, "message": "no good"}}
        results[1]["response"]["embedding"]["values"][5] = float("nan")
        results[2]["response"]["embedding"]["values"].pop()
        results[3] = {"key": keys[3]}
        return results

    gemini.finish(job, rewrite=as_lines(spoiled))
    found = dict(client.results(job))
    assert [type(found[key]) for key in keys[:4]] == [
        ItemFailed,
        AnswerInvalid,
        AnswerInvalid,
        AnswerInvalid,
    ]
    assert "no good" in str(found[keys[0]])
    assert all(isinstance(found[key], np.ndarray) for key in keys[4:])
    assert found.keys() == texts.keys()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (3, ItemFailed),
        (None, ItemFailed),
        ("odd", ItemFailed),
        ({}, ItemFailed),
        *((code, ItemUnavailable) for code in (4, 8, 10, 13, 14, 429, 503)),
    ],
)
def test_a_text_that_failed_for_a_reason_that_passes_may_be_tried_again(
    code: object, kind: type[Exception], client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(FEW, "a job")
    error = {"code": code, "message": "so it is"}
    gemini.finish(
        job, rewrite=as_lines(lambda results: [{"key": results[0]["key"], "error": error}])
    )
    ((_, result),) = client.results(job)
    assert type(result) is kind and "so it is" in str(result)
    assert result.retryable is (kind is ItemUnavailable)


@pytest.mark.parametrize("texts", [FEW], ids=["inline"])
def test_a_result_without_a_key_is_never_matched_by_its_place(
    texts: dict[str, str],
    client: GeminiBatchClient,
    gemini: FakeGemini,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = client.submit(texts, "a job")
    gemini.finish(
        job, rewrite=as_lines(lambda results: [{"response": results[0]["response"]}, *results[1:]])
    )
    assert dict(client.results(job)).keys() == set(list(texts)[1:])
    assert "no key" in caplog.text


def test_lines_that_cannot_be_read_count_as_missing(
    client: GeminiBatchClient,
    gemini: FakeGemini,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("semantic_core.remote.json_lines.LONGEST_LINE", 10_000)
    job = client.submit(MANY, "a job")

    def broken(results: list[Any]) -> list[Any]:
        lines = [json.dumps(one) for one in results]
        return [
            lines[0],
            "{not JSON",
            "",
            "[1, 2]",
            "x" * 25_000,
            *lines[1:-1],
            lines[-1][:-40] + "\0",
        ]

    gemini.finish(job, rewrite=as_lines(broken))
    with caplog.at_level(logging.WARNING):
        assert dict(client.results(job)).keys() == set(list(MANY)[:-1])
    assert "4 lines of the results" in caplog.text


@pytest.mark.parametrize(
    "fault", ["unavailable", "reset", "cut_download", "throttled_seconds", "internal"]
)
def test_a_download_that_fails_is_made_again_from_the_beginning(
    fault: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    gemini.misbehave("download", fault, times=2)
    assert dict(client.results(job)).keys() == MANY.keys()


@pytest.mark.parametrize("fault", ["unavailable", "gateway_timeout", "cut_download", "html"])
def test_results_that_cannot_be_had_are_told_and_can_be_had_later(
    fault: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    gemini.misbehave("download", fault, times=1_000)
    with pytest.raises(ResultsUnavailable, match="cannot be fetched now") as raised:
        list(client.results(job))
    assert raised.value.retryable and gemini.count("create") == 1
    gemini.behave()


def test_a_download_can_be_had_again_after_the_service_was_left_alone(
    client: GeminiBatchClient, gemini: FakeGemini, turning: TurningClock
) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    gemini.misbehave("download", "unavailable", times=5)
    with pytest.raises(ResultsUnavailable):
        list(client.results(job))
    turning.turn(60)
    assert len(list(client.results(job))) == len(MANY)


@pytest.mark.parametrize("fault", ["not_found", "forbidden"])
def test_a_refusal_that_may_pass_does_not_throw_results_away(
    fault: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    """They are kept for two days, whatever the service says of them meanwhile."""
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    for route in ("download", "get_file"):
        gemini.misbehave(route, fault)
    with pytest.raises(ResultsUnavailable, match="cannot be fetched now") as raised:
        list(client.results(job))
    assert raised.value.retryable
    gemini.behave()
    assert len(dict(client.results(job))) == len(MANY)


def test_results_that_are_kept_longer_than_need_be_are_not_gone(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.state.ahead = -50 * 3_600
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    gemini.state.ahead = 0
    gemini.misbehave("download", "forbidden")
    with pytest.raises(ResultsUnavailable):
        list(client.results(job))
    assert len(dict(client.results(job))) == len(MANY)


def test_results_are_gone_when_the_service_has_kept_them_for_two_days(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.state.ahead = -50 * 3_600
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    gemini.turn(hours=50)
    with pytest.raises(ResultsGone, match="gone") as raised:
        list(client.results(job))
    assert not raised.value.retryable


@pytest.mark.parametrize("route", ["get", "list", "download"])
def test_a_key_that_is_refused_says_nothing_about_a_job_or_its_results(
    route: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    gemini.misbehave(route, "key_refused")
    if route == "list":
        gemini.misbehave("get", "not_found")
    with pytest.raises(KeyRefused) as raised:
        list(client.results(job))
    assert not isinstance(raised.value, JobLost)
    assert len(dict(client.results(job))) == len(MANY)


def test_a_key_that_was_revoked_loses_no_results(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    results = client.results(job)
    gemini.refused_keys.add(KEY)
    with pytest.raises(KeyRefused, match="API key not valid"):
        list(results)
    gemini.refused_keys.clear()
    assert len(dict(client.results(job))) == len(MANY)


def test_a_job_the_service_lists_is_not_unknown(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(FEW, "a job")
    for route, ask in (("get", client.state), ("cancel", client.cancel)):
        gemini.misbehave(route, "not_found")
        with pytest.raises(ServiceDown, match="lists job"):
            ask(job)
    assert client.state(job).status == "SUBMITTED"


def test_a_finished_job_that_names_no_results_is_asked_again_later(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(FEW, "a job")
    gemini.finish(job, output=False)
    with pytest.raises(ResultsUnavailable, match="names no results"):
        client.results(job)


@pytest.mark.parametrize(
    "job", ["batches/../files/f1", "batches/a?key=1", "", "files/f1", "batches/"]
)
def test_what_is_no_name_of_a_job_is_not_asked_for(
    job: str, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    for ask in (client.state, client.retrieve_results, client.cancel):
        with pytest.raises(JobUnknown):
            ask(job)
    assert gemini.requests == []


def test_a_job_is_unknown_only_when_the_list_of_all_does_not_have_it_either(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    for ask in (client.state, client.get_job_status, client.retrieve_results, client.cancel):
        listed = gemini.count("list")
        with pytest.raises(JobUnknown, match="deleted, or belongs to another project"):
            ask("batches/unknown")
        assert gemini.count("list") == listed + 1


@BOTH
def test_cleaning_up_leaves_nothing_and_may_be_done_twice(
    texts: dict[str, str], client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    other = client.submit(MANY, "another job")
    gemini.finish(other)
    before = gemini.uploads()
    job = client.submit(texts, "a job")
    gemini.finish(job)
    list(client.results(job))
    client.clean_up(job)
    assert list(gemini.state.jobs) == [other] and gemini.uploads() == before
    client.clean_up(job)
    assert len(dict(client.results(other))) == len(MANY)


def test_cleaning_up_finds_files_that_were_uploaded_in_vain(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.misbehave("create", "unavailable")
    with pytest.raises(ServiceDown):
        client.submit(MANY, "a job")
    assert len(gemini.uploads()) == 1, "the job may be there, and need it"
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    assert len(gemini.uploads()) == 2
    client.clean_up(job)
    assert gemini.uploads() == []


def test_a_file_the_service_does_not_let_go_of_does_not_stop_the_cleaning(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    """The real service refuses to delete the results of a job; the texts go first."""
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    (texts,) = gemini.uploads()
    results = gemini.state.jobs[job].output["responsesFile"]
    before = len(gemini.requests)
    client.clean_up(job)
    assert gemini.state.jobs == {} and list(gemini.state.files) == [results] != [texts]
    assert gemini.count("delete_file") == 2
    asked = len(gemini.requests)
    client.clean_up(job)
    assert gemini.count("delete_file") == 2, "what was refused is not asked for again"
    assert asked - before < 8


def test_results_that_can_be_deleted_are(client: GeminiBatchClient, gemini: FakeGemini) -> None:
    gemini.deletes_results = True
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    client.clean_up(job)
    assert gemini.state.files == {} == gemini.state.jobs


def test_a_refused_key_stops_the_cleaning(client: GeminiBatchClient, gemini: FakeGemini) -> None:
    job = client.submit(MANY, "a job")
    gemini.misbehave("delete_file", "key_refused")
    with pytest.raises(KeyRefused):
        client.clean_up(job)
    assert list(gemini.state.jobs) == [job]


@pytest.mark.parametrize("names_input", [False, True])
def test_cleaning_up_touches_no_file_of_another_job_of_that_name(
    names_input: bool, client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    gemini.names_input, gemini.deletes_results = names_input, True
    failed = client.submit(MANY, "nightly")
    gemini.finish(failed, state="FAILED")
    running = client.submit(MANY, "nightly")
    client.clean_up(failed)
    gemini.finish(running)
    assert len(dict(client.results(running))) == len(MANY)
    client.clean_up(running)
    assert gemini.state.files == {} == gemini.state.jobs


def test_files_that_are_gone_already_do_not_stop_the_cleaning(
    client: GeminiBatchClient, gemini: FakeGemini
) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    gemini.misbehave("delete_file", "forbidden")
    gemini.misbehave("delete_file", "not_found")
    client.clean_up(job)
    assert gemini.state.jobs == {}


def test_a_job_can_be_cancelled(client: GeminiBatchClient) -> None:
    job = client.submit(FEW, "a job")
    client.cancel(job)
    assert client.state(job).told == "CANCELLED"
    client.delete(job)
    client.delete(job)
    with pytest.raises(JobUnknown):
        client.state(job)


def test_a_job_that_waits_for_ever_is_just_submitted(
    client: GeminiBatchClient, turning: TurningClock
) -> None:
    job = client.submit(FEW, "a job")
    for _ in range(5):
        turning.turn(86_400)
        assert client.get_job_status(job) == "SUBMITTED"


def test_results_can_be_read_again(client: GeminiBatchClient, gemini: FakeGemini) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    halfway = client.results(job)
    next(halfway)
    halfway.close()  # type: ignore[attr-defined]
    assert len(dict(client.results(job))) == len(dict(client.results(job))) == len(MANY)


def test_jobs_of_other_keys_are_not_seen(gemini: FakeGemini) -> None:
    mine = GeminiBatchClient(GoogleKeyring("d", "mine"), base_url=gemini.url, dimensions=128)
    theirs = GeminiBatchClient(GoogleKeyring("d", "theirs"), base_url=gemini.url, dimensions=128)
    job = mine.submit(FEW, "a job")
    assert theirs.find("a job") is None
    with pytest.raises(JobUnknown, match="another project"):
        theirs.state(job)
    theirs.clean_up(job)
    assert mine.find("a job") == job
    gemini.projects = {"mine": "a project", "theirs": "a project"}
    job = mine.submit(FEW, "another job")
    assert theirs.find("another job") == job and theirs.state(job).status == "SUBMITTED"


def test_a_job_that_finds_no_room_is_told_at_once_and_leaves_nothing(
    client: GeminiBatchClient, gemini: FakeGemini, turning: TurningClock
) -> None:
    """The service names no pause: room comes when a job ends, which may take hours."""
    gemini.most_enqueued_tokens = 10
    with pytest.raises(RateLimited, match="submit smaller jobs"):
        client.submit(MANY, "a job")
    assert turning.slept == [] and gemini.count("create") == 1
    assert gemini.state.files == {} == gemini.state.jobs


class Full:
    """A disk without room."""

    def __init__(self, **_: object) -> None:
        self.closed = False

    def write(self, _: bytes) -> int:
        raise OSError(28, "No space left on device")

    def seek(self, *_: int) -> int:
        return 0

    def truncate(self) -> int:
        return 0

    def close(self) -> None:
        raise OSError(28, "No space left on device")

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_full_disk_is_told_as_such(
    client: GeminiBatchClient, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.submit(MANY, "a job")
    gemini.finish(job)
    monkeypatch.setattr("semantic_core.remote.job_results.TemporaryFile", Full)
    with pytest.raises(ResultsUnavailable, match="temporary folder.*No space left"):
        list(client.results(job))
    monkeypatch.setattr("semantic_core.remote.json_lines.SpooledTemporaryFile", Full)
    with pytest.raises(EmbedderError, match="temporary folder.*No space left"):
        client.submit(MANY, "another job")
