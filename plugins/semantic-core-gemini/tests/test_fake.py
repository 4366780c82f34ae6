"""The stand-in service speaks what the real google-genai client speaks,
in both versions of the interface.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fake_gemini import FAULTS, FakeGemini, tokens_of
from google.genai import Client, errors, types

MODEL = "gemini-embedding-001"


@pytest.fixture(params=["v1", "v1beta"])
def client(gemini: FakeGemini, request: pytest.FixtureRequest) -> Iterator[Client]:
    options = types.HttpOptions(base_url=gemini.url, api_version=request.param, timeout=5_000)
    with Client(api_key="plain", vertexai=False, http_options=options) as made:
        yield made


def content(text: str) -> Any:
    return types.Content(role="user", parts=[types.Part(text=text)])


def created(client: Client, src: Any, name: str = "a job") -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return client.batches.create_embeddings(model=MODEL, src=src, config={"display_name": name})


def test_texts_become_vectors_and_are_billed(client: Client, gemini: FakeGemini) -> None:
    answer = client.models.embed_content(
        model=MODEL,
        contents=["one", "two"],
        config={"output_dimensionality": 128, "task_type": "RETRIEVAL_DOCUMENT"},
    )
    assert [len(one.values or []) for one in answer.embeddings or []] == [128, 128]
    bill = gemini.bill("plain")
    assert (bill.requests, bill.texts, bill.tokens) == (1, 2, tokens_of("one") + tokens_of("two"))
    assert answer.usage_metadata is None or answer.usage_metadata.prompt_token_count == bill.tokens


def test_the_second_model_gives_one_vector_for_a_list_of_str(client: Client) -> None:
    """A trap of google-genai: it makes one content of them. The plugin hands over contents."""
    together = client.models.embed_content(model="gemini-embedding-2", contents=["one", "two"])
    apart = client.models.embed_content(
        model="gemini-embedding-2", contents=[content("one"), content("two")]
    )
    assert (len(together.embeddings or []), len(apart.embeddings or [])) == (1, 2)


def test_one_text_alone_has_a_route_too(gemini: FakeGemini) -> None:
    request = {"content": {"parts": [{"text": "one"}]}, "outputDimensionality": 128}
    answer = httpx2.post(
        f"{gemini.url}/v1beta/models/{MODEL}:embedContent",
        json=request,
        headers={"x-goog-api-key": "plain"},
    )
    assert len(answer.json()["embedding"]["values"]) == 128


def test_tokens_are_counted_for_nothing(client: Client, gemini: FakeGemini) -> None:
    assert client.models.count_tokens(model=MODEL, contents=["how many"]).total_tokens == tokens_of(
        "how many"
    )
    assert gemini.bill("plain").tokens == 0


def test_a_file_goes_up_in_pieces_becomes_a_job_and_comes_down(
    client: Client, gemini: FakeGemini
) -> None:
    request = {
        "model": f"models/{MODEL}",
        "content": {"parts": [{"text": "x" * 5_000}]},
        "outputDimensionality": 128,
    }
    lines = b"".join(
        json.dumps({"key": f"k{number}", "request": request}).encode() + b"\n"
        for number in range(2_000)
    )
    assert len(lines) > 8 * 1024 * 1024
    file = client.files.upload(
        file=io.BytesIO(lines),
        config=types.UploadFileConfig(mime_type="application/jsonl", display_name="input"),
    )
    assert file.name and file.size_bytes == len(lines) and gemini.count("piece") == 2
    with pytest.raises(errors.ClientError):
        client.files.download(file=file.name)
    gemini.state.cheap_vectors, gemini.most_enqueued_tokens = True, 0
    job = created(client, {"file_name": file.name})
    assert client.batches.get(name=job.name).state == types.JobState.JOB_STATE_PENDING
    gemini.finish(job.name)
    done = client.batches.get(name=job.name)
    assert done.state == types.JobState.JOB_STATE_SUCCEEDED and done.dest and done.dest.file_name
    results = client.files.download(file=done.dest.file_name).splitlines()
    assert [json.loads(line)["key"] for line in results] == [
        f"k{number}" for number in range(2_000)
    ]
    assert gemini.bill("plain").job_texts == 2_000
    client.files.delete(name=file.name)
    with pytest.raises(errors.ClientError, match="cannot be more than 40 characters") as raised:
        client.files.delete(name=done.dest.file_name)
    assert raised.value.code == 400 and raised.value.status == "INVALID_ARGUMENT"
    client.batches.delete(name=job.name)
    with pytest.raises(errors.ClientError):
        client.files.get(name=file.name)
    assert [one.name for one in client.batches.list()] == []


def test_a_small_job_carries_its_texts_itself(client: Client, gemini: FakeGemini) -> None:
    config = types.EmbedContentConfig(output_dimensionality=128)
    job = created(
        client,
        {"inlined_requests": {"contents": [content("one"), content("two")], "config": config}},
    )
    gemini.finish(job.name)
    answers = client.batches.get(name=job.name).dest.inlined_embed_content_responses
    assert [len(one.response.embedding.values) for one in answers] == [128, 128]


def test_jobs_and_files_are_listed_page_by_page_and_only_to_their_owner(
    client: Client, gemini: FakeGemini
) -> None:
    names = {
        created(client, {"inlined_requests": {"contents": [content("x")]}}, f"job {number}").name
        for number in range(7)
    }
    assert {one.name for one in client.batches.list(config={"page_size": 3})} == names
    assert gemini.count("list") == 3
    other = Client(
        api_key="other", vertexai=False, http_options=types.HttpOptions(base_url=gemini.url)
    )
    assert list(other.batches.list()) == [] == list(other.files.list())
    with pytest.raises(errors.ClientError) as raised:
        other.batches.get(name=next(iter(names)))
    assert raised.value.code == 404
    other.close()


def test_names_are_as_long_as_those_of_the_real_service(client: Client, gemini: FakeGemini) -> None:
    file = client.files.upload(
        file=io.BytesIO(b'{"key": "k", "request": {"content": {"parts": [{"text": "x"}]}}}\n'),
        config=types.UploadFileConfig(mime_type="application/jsonl"),
    )
    job = created(client, {"file_name": file.name}).name
    gemini.finish(job)
    result = client.batches.get(name=job).dest.file_name
    assert len(job.removeprefix("batches/")) == 36
    assert result == f"files/batch-{job.removeprefix('batches/')}"
    assert client.files.get(name=result).source == types.FileSource.GENERATED
    gemini.deletes_results = True
    client.files.delete(name=result)


def test_a_key_sees_what_other_keys_of_its_project_made(client: Client, gemini: FakeGemini) -> None:
    gemini.projects = {"plain": "a project", "sister": "a project"}
    name = created(client, {"inlined_requests": {"contents": [content("x")]}}).name
    file = client.files.upload(
        file=io.BytesIO(b"x"), config=types.UploadFileConfig(mime_type="application/jsonl")
    )
    options = types.HttpOptions(base_url=gemini.url)
    with (
        Client(api_key="sister", vertexai=False, http_options=options) as sister,
        Client(api_key="stranger", vertexai=False, http_options=options) as stranger,
    ):
        assert sister.batches.get(name=name).name == name
        assert [one.name for one in sister.batches.list()] == [name]
        for code, ask in (
            (404, lambda: stranger.batches.get(name=name)),
            (403, lambda: stranger.files.get(name=file.name)),
        ):
            with pytest.raises(errors.ClientError) as raised:
                ask()
            assert raised.value.code == code


def test_a_project_has_so_many_tokens_under_way_and_no_pause_is_named(
    client: Client, gemini: FakeGemini
) -> None:
    gemini.projects = {"plain": "a project", "sister": "a project"}
    gemini.most_enqueued_tokens = 3 * tokens_of("x " * 100)
    source = {"inlined_requests": {"contents": [content("x " * 100)] * 2}}
    job = created(client, source).name
    options = types.HttpOptions(base_url=gemini.url)
    with Client(api_key="sister", vertexai=False, http_options=options) as sister:
        with pytest.raises(errors.ClientError) as raised:
            created(sister, source)
        assert (raised.value.code, raised.value.status) == (429, "RESOURCE_EXHAUSTED")
        assert "retry-after" not in raised.value.response.headers
        assert list(gemini.state.jobs) == [job], "what is refused is not there"
        gemini.finish(job)
        created(sister, source)


def test_a_project_has_a_hundred_jobs_under_way(client: Client, gemini: FakeGemini) -> None:
    source = {"inlined_requests": {"contents": [content("x")]}}
    jobs = [created(client, source).name for _ in range(100)]
    with pytest.raises(errors.ClientError) as raised:
        created(client, source)
    assert raised.value.code == 429
    gemini.finish(jobs[0])
    created(client, source)


def test_files_are_gone_after_two_days(client: Client, gemini: FakeGemini) -> None:
    file = client.files.upload(
        file=io.BytesIO(b"x"), config=types.UploadFileConfig(mime_type="application/jsonl")
    )
    gemini.turn(hours=47)
    assert client.files.get(name=file.name).name == file.name
    gemini.turn(hours=2)
    with pytest.raises(errors.ClientError, match="may not exist") as raised:
        client.files.get(name=file.name)
    assert raised.value.code == 403


@pytest.mark.parametrize("token_count", [False, True])
def test_results_tell_their_tokens_in_one_of_two_ways(
    token_count: bool, client: Client, gemini: FakeGemini
) -> None:
    gemini.state.token_count = token_count
    job = created(client, {"inlined_requests": {"contents": [content("one")]}}).name
    gemini.finish(job)
    told = httpx2.get(f"{gemini.url}/v1beta/{job}", headers={"x-goog-api-key": "plain"}).json()
    (answer,) = told["metadata"]["output"]["inlinedResponses"]["inlinedResponses"]
    tokens = tokens_of("one")
    assert {name: value for name, value in answer["response"].items() if name != "embedding"} == (
        {"tokenCount": str(tokens)}
        if token_count
        else {"usageMetadata": {"promptTokenCount": tokens}}
    )


def test_a_job_can_be_cancelled(client: Client) -> None:
    job = created(client, {"inlined_requests": {"contents": [content("x")]}})
    client.batches.cancel(name=job.name)
    assert client.batches.get(name=job.name).state == types.JobState.JOB_STATE_CANCELLED


def test_a_key_it_does_not_know_is_refused_with_status_400(
    client: Client, gemini: FakeGemini
) -> None:
    gemini.refused_keys.add("plain")
    with pytest.raises(errors.ClientError, match="API key not valid") as raised:
        client.models.embed_content(model=MODEL, contents=["x"])
    assert raised.value.code == 400


def test_more_than_a_hundred_texts_and_an_empty_one_are_refused(client: Client) -> None:
    for texts in (["x"] * 101, [""]):
        with pytest.raises(errors.ClientError, match="at most 100|empty"):
            client.models.embed_content(model=MODEL, contents=[content(text) for text in texts])


def test_the_failure_of_a_job_is_told_by_the_service_and_left_out_by_the_client(
    client: Client, gemini: FakeGemini
) -> None:
    """Why the plugin asks for a job directly."""
    job = created(client, {"inlined_requests": {"contents": [content("x")]}})
    gemini.finish(job.name, state="FAILED", error={"code": 3, "message": "line 7 is bad"})
    assert client.batches.get(name=job.name).error is None
    told = httpx2.get(f"{gemini.url}/v1beta/{job.name}", headers={"x-goog-api-key": "plain"}).json()
    assert told["error"]["message"] == "line 7 is bad"


def test_it_misbehaves_on_command_as_often_as_told(client: Client, gemini: FakeGemini) -> None:
    gemini.misbehave("embed", "unavailable", times=2)
    gemini.misbehave("embed", "throttled", key="somebody else")
    for _ in range(2):
        with pytest.raises(errors.ServerError):
            client.models.embed_content(model=MODEL, contents=["x"])
    assert client.models.embed_content(model=MODEL, contents=["x"]).embeddings
    assert gemini.pending_faults == 1
    gemini.behave()
    assert gemini.pending_faults == 0


def test_there_are_at_least_forty_ways_to_misbehave() -> None:
    assert len(FAULTS) >= 40
