"""`FakeEmbeddings` answers in OpenAI's wire form, bills what it does, and misbehaves on command."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest

from semantic_core.errors import InputError
from semantic_core.testing import FakeEmbeddings, HashEmbedder
from semantic_core.testing.fake_embeddings import faults

KEY = "sk-key-of-this-test"
TEXTS = ["bread and butter", "moons of a planet"]


@pytest.fixture
def service() -> Iterator[FakeEmbeddings]:
    with FakeEmbeddings(16) as fake:
        yield fake


@pytest.fixture
def client(service: FakeEmbeddings) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=service.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=1.0
    ) as made:
        yield made


def embed(client: httpx2.Client, texts: Any = TEXTS, **more: Any) -> httpx2.Response:
    return client.post("/embeddings", json={"model": "m", "input": texts, **more})


def submitted(client: httpx2.Client, texts: list[str], name: str = "a job", **more: Any) -> Any:
    lines = [
        json.dumps(
            {
                "custom_id": str(number),
                "method": "POST",
                "url": "/v1/embeddings",
                "body": {"model": "m", "input": text},
            }
        )
        for number, text in enumerate(texts)
    ]
    content = "\n".join(lines).encode()
    form = {"data": {"purpose": "batch"}, "files": {"file": ("x.jsonl", content)}}
    file = client.post("/files", **form).json()
    body = {
        "input_file_id": file["id"],
        "endpoint": "/v1/embeddings",
        "completion_window": "24h",
        "metadata": {"name": name},
    }
    return client.post("/batches", json={**body, **more})


def lines_of(client: httpx2.Client, file: str) -> list[Any]:
    content = client.get(f"/files/{file}/content").content
    return [json.loads(line) for line in content.splitlines()]


def test_a_call_is_answered_with_vectors_usage_and_a_bill(
    service: FakeEmbeddings, client: httpx2.Client
) -> None:
    answer = embed(client).json()
    assert [one["index"] for one in answer["data"]] == [0, 1]
    wanted = HashEmbedder(16).embed_documents(TEXTS)
    assert np.allclose([one["embedding"] for one in answer["data"]], wanted, atol=1e-6)
    assert answer["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    bill = service.bill(KEY)
    assert (bill.calls, bill.texts, bill.tokens, bill.passages[TEXTS[0]]) == (1, 2, 9, 1)
    [request] = service.requests
    assert (request.route, request.key, request.path) == ("embeddings", KEY, "/v1/embeddings")


def test_a_request_may_ask_for_base64_for_fewer_dimensions_and_for_one_text(
    client: httpx2.Client,
) -> None:
    [one] = embed(client, "bread", dimensions=8, encoding_format="base64").json()["data"]
    numbers = np.frombuffer(base64.b64decode(one["embedding"]), dtype="<f4")
    assert np.allclose(numbers, HashEmbedder(8).embed_query("bread"), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "texts", "words"),
    [
        ({}, [], "input"),
        ({}, [""], "must not be empty"),
        ({}, [5], "must not be empty"),
        ({"most_inputs": 1}, TEXTS, "at most 1 inputs"),
        ({"most_tokens": 3}, TEXTS, "maximum context length is 3 tokens, however you requested 4"),
        ({"call_tokens": 5}, TEXTS, "Requested 9 tokens, max 5 tokens per request"),
        ({"poison": "butter"}, TEXTS, "not accepted"),
    ],
)
def test_what_the_real_ones_refuse_is_refused_and_costs_nothing(
    change: dict[str, Any], texts: Any, words: str, service: FakeEmbeddings, client: httpx2.Client
) -> None:
    for name, value in change.items():
        setattr(service, name, value)
    answer = embed(client, texts)
    assert answer.status_code == 400 and words in answer.json()["error"]["message"]
    assert service.bill(KEY).texts == 0


def test_keys_and_dimensions_and_routes_can_be_refused(
    service: FakeEmbeddings, client: httpx2.Client
) -> None:
    service.shortens = False
    assert embed(client, dimensions=8).status_code == 400
    service.keys = {"another"}
    assert embed(client).status_code == 401
    service.keys = set()
    service.absent = {"embeddings"}
    assert embed(client).status_code == 404
    assert client.get("/nothing").status_code == 404


@pytest.mark.parametrize("name", FakeEmbeddings.faults())
def test_each_fault_spoils_one_answer_and_no_more(
    name: str,
    service: FakeEmbeddings,
    client: httpx2.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faults, "STALL_SECONDS", 0.3)
    good = embed(client).json()
    service.misbehave("embeddings", name)
    client.timeout = httpx2.Timeout(0.2 if name in ("stall", "drip") else 5.0)
    try:
        answer = embed(client)
        spoiled: Any = answer.json() if answer.status_code == 200 else answer.status_code
    except (httpx2.HTTPError, ValueError):
        spoiled = None
    assert (spoiled == good) is (name == "packed")
    assert service.pending_faults == 0 and embed(client).json() == good


def test_a_fault_may_be_for_one_key_and_be_taken_back(
    service: FakeEmbeddings, client: httpx2.Client
) -> None:
    service.misbehave("embeddings", "throttled_seconds", key="another")
    assert embed(client).status_code == 200
    service.misbehave("embeddings", "throttled_seconds")
    limited = embed(client)
    assert limited.status_code == 429 and limited.headers["Retry-After"] == "7"
    service.behave()
    assert service.pending_faults == 0 and service.count(key=KEY) == 2
    with pytest.raises(InputError, match="route must be one of embeddings"):
        service.misbehave("embedding", "reset")
    with pytest.raises(InputError, match="fault must be one of throttled"):
        service.misbehave("embeddings", "earthquake")


def test_a_job_goes_from_its_file_to_its_results(
    service: FakeEmbeddings, client: httpx2.Client
) -> None:
    job = submitted(client, TEXTS).json()
    assert (job["status"], job["metadata"], job["output_file_id"]) == (
        "validating",
        {"name": "a job"},
        None,
    )
    service.start_jobs()
    assert client.get(f"/batches/{job['id']}").json()["status"] == "in_progress"
    assert service.finish() == 1 and service.finish() == 0
    done = client.get(f"/batches/{job['id']}").json()
    assert done["status"] == "completed"
    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    lines = lines_of(client, done["output_file_id"])
    wanted = embed(client).json()["data"]
    for line, one in zip(lines, wanted, strict=True):
        assert line["response"]["body"]["data"][0]["embedding"] == one["embedding"]
    assert [line["custom_id"] for line in lines] == ["0", "1"]
    bill = service.bill(KEY)
    assert (bill.job_texts, bill.job_tokens) == (2, 9)


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        ("whole", ["0", "1", "2"], []),
        ("shuffled", ["2", "0", "1"], []),
        ("doubled", ["0", "1", "2", "2", "1", "0"], []),
        ("partial", ["0", "2"], ["1"]),
        ("errors", ["0", "2"], ["1"]),
        ("busy", ["0", "2"], ["1"]),
        ("invalid", ["0", "1", "2"], []),
        ("foreign", ["0", "1", "2", "0", "1", "2"], []),
    ],
)
def test_results_have_the_shape_that_was_asked_for(
    shape: Any, good: list[str], bad: list[str], service: FakeEmbeddings, client: httpx2.Client
) -> None:
    job = submitted(client, ["a", "b", "c"]).json()
    service.finish(shape=shape)
    done = client.get(f"/batches/{job['id']}").json()
    found = [line["custom_id"] for line in lines_of(client, done["output_file_id"])]
    assert found == good
    assert bool(done["error_file_id"]) is bool(bad)
    if bad:
        assert [line["custom_id"] for line in lines_of(client, done["error_file_id"])] == bad
    assert service.bill(KEY).job_texts == 3 - len(bad)


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_job_may_end_without_results(
    status: Any, service: FakeEmbeddings, client: httpx2.Client
) -> None:
    job = submitted(client, TEXTS).json()
    service.finish(job["id"], status=status)
    done = client.get(f"/batches/{job['id']}").json()
    assert (done["status"], done["output_file_id"]) == (status, None)
    assert done[f"{status}_at"] > 0 and service.bill(KEY).job_texts == 0


def test_too_many_tokens_in_jobs_make_a_job_fail_that_was_accepted(
    service: FakeEmbeddings, client: httpx2.Client
) -> None:
    service.enqueued_limit = 10
    first, second = submitted(client, TEXTS).json(), submitted(client, TEXTS).json()
    assert second["status"] == "validating"
    failed = client.get(f"/batches/{second['id']}").json()
    assert failed["status"] == "failed"
    assert failed["errors"]["data"][0]["code"] == "token_limit_exceeded"
    assert client.get(f"/batches/{first['id']}").json()["status"] == "validating"
    service.finish()
    assert client.get("/batches").json()["data"][0]["id"] == second["id"], "the newest first"


def test_jobs_and_files_are_an_accounts(service: FakeEmbeddings, client: httpx2.Client) -> None:
    job = submitted(client, TEXTS).json()
    stranger = {"Authorization": "Bearer sk-of-a-stranger"}
    colleague = {"api-key": "sk-of-a-colleague", "Authorization": ""}
    service.accounts = {KEY: "ours", "sk-of-a-colleague": "ours"}
    job = submitted(client, TEXTS).json()
    for headers, status in ((stranger, 404), (colleague, 200)):
        assert client.get(f"/batches/{job['id']}", headers=headers).status_code == status
        file = f"/files/{job['input_file_id']}"
        assert client.get(file, headers=headers).status_code == status
    assert client.get("/batches", headers=stranger).json()["data"] == []


def test_files_are_deleted_and_forgotten(service: FakeEmbeddings, client: httpx2.Client) -> None:
    first = submitted(client, TEXTS).json()["input_file_id"]
    assert client.delete(f"/files/{first}").json()["deleted"] is True
    assert client.delete(f"/files/{first}").status_code == 404
    submitted(client, TEXTS)
    service.turn(29 * 24)
    assert len(service.files) == 1
    service.turn(2 * 24)
    assert service.files == []


def test_a_job_that_is_not_one_is_refused(service: FakeEmbeddings, client: httpx2.Client) -> None:
    assert submitted(client, []).status_code == 400
    assert submitted(client, TEXTS, completion_window="1h").status_code == 400
    assert submitted(client, TEXTS, input_file_id="file-nobody").status_code == 404
    service.job_items = 1
    assert submitted(client, TEXTS).status_code == 400
    assert client.post("/files", data={"purpose": "other"}).status_code == 400
    assert service.jobs == []


def test_cancelling_ends_a_job_that_has_not_ended(
    service: FakeEmbeddings, client: httpx2.Client
) -> None:
    job = submitted(client, TEXTS).json()
    assert client.post(f"/batches/{job['id']}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/batches/{job['id']}/cancel").status_code == 409


def test_the_list_has_pages(client: httpx2.Client) -> None:
    ids = [submitted(client, ["a"], f"job {number}").json()["id"] for number in range(5)]
    first = client.get("/batches", params={"limit": 3}).json()
    rest = client.get("/batches", params={"limit": 3, "after": first["last_id"]}).json()
    assert [job["id"] for job in first["data"] + rest["data"]] == ids[::-1]
    assert first["has_more"] and not rest["has_more"]


def test_results_may_be_late_and_the_clock_is_told(
    service: FakeEmbeddings, client: httpx2.Client
) -> None:
    job = submitted(client, TEXTS).json()
    service.finish()
    service.late_results = 1
    file = client.get(f"/batches/{job['id']}").json()["output_file_id"]
    assert client.get(f"/files/{file}/content").status_code == 503
    assert client.get(f"/files/{file}/content").status_code == 200
    before = client.get("/batches").headers["Date"]
    service.turn(48)
    assert client.get("/batches").headers["Date"] != before
