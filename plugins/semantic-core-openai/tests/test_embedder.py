"""What is sent, how it is packed and cut, and that nothing is paid for twice."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import InputError, TextInvalid
from semantic_core.remote import AnswerInvalid, PassageRefused
from semantic_core.testing import FakeEmbeddings, TurningClock

KEY = "sk-key-of-every-day"


def embedder(service: FakeEmbeddings, **options: Any) -> OpenAIEmbedder:
    given = {"model": "small", "dimensions": 64, "clock": TurningClock().clock, **options}
    return OpenAIEmbedder(OpenAIKeyring(KEY), base_url=service.url, **given)


def sent(service: FakeEmbeddings) -> list[list[str]]:
    """The texts of each call."""
    return [body["input"] for body in service.bodies]


def test_a_request_says_model_and_texts_and_nothing_that_a_server_may_not_know(
    service: FakeEmbeddings,
) -> None:
    embedder(service).embed_documents(["a text"])
    assert service.bodies == [{"model": "small", "input": ["a text"]}]
    [request] = service.requests
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_dimensions_are_sent_where_they_shorten_a_known_model(service: FakeEmbeddings) -> None:
    for options, wanted in (
        ({"model": "text-embedding-3-small", "dimensions": 64}, {"dimensions": 64}),
        ({"send_dimensions": True}, {"dimensions": 64}),
        ({"encoding": "base64"}, {"encoding_format": "base64"}),
    ):
        service.bodies.clear()
        assert embedder(service, **options).embed_documents(["a"]).shape == (1, 64)
        assert {**service.bodies[0], "model": "", "input": []} == {
            "model": "",
            "input": [],
            **wanted,
        }


def test_prefixes_and_fields_are_those_of_queries_and_passages(service: FakeEmbeddings) -> None:
    made = embedder(
        service,
        query_prefix="query: ",
        document_prefix="passage: ",
        query_fields={"input_type": "query"},
        document_fields={"input_type": "document", "output_dimension": 64},
    )
    made.embed_query("bread")
    made.embed_documents(["bread"])
    first, second = service.bodies
    assert first == {"model": "small", "input": ["query: bread"], "input_type": "query"}
    assert second["input"] == ["passage: bread"]
    assert (second["input_type"], second["output_dimension"]) == ("document", 64)


def test_spaces_differ_by_all_that_changes_a_vector(service: FakeEmbeddings) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"dimensions": 32},
        {"model": "large"},
        {"query_prefix": "query: "},
        {"document_prefix": "query: "},
        {"query_fields": {"task": "q"}},
        {"document_fields": {"task": "q"}},
    ]
    assert len({embedder(service, **given).space for given in options}) == len(options)
    same = embedder(service, max_chars=99, batch_size=7, encoding="base64", max_tokens=99)
    assert same.space == embedder(service).space
    assert str(same.space) == "small (64 dimensions, retrieval, form=1)"


def test_base64_and_numbers_are_the_same_vectors(service: FakeEmbeddings) -> None:
    texts = ["one", "two words", "and three words"]
    packed = embedder(service, encoding="base64").embed_documents(texts)
    assert np.allclose(packed, embedder(service).embed_documents(texts), atol=1e-6)
    assert packed.dtype == np.float32 and np.abs(np.linalg.norm(packed, axis=1) - 1).max() < 1e-6


def test_a_call_has_at_most_so_many_texts_and_tokens(service: FakeEmbeddings) -> None:
    rows = embedder(service, batch_size=100).embed_documents([f"text {n}" for n in range(250)])
    assert rows.shape == (250, 64)
    assert [len(texts) for texts in sent(service)] == [100, 100, 50]
    service.bodies.clear()
    made = embedder(service, call_tokens=1_000)
    texts = [f"{number} " + "several plain words here " * 20 for number in range(50)]
    made.embed_documents(texts)
    assert max(made.tokens(call) for call in sent(service)) <= 1_000
    assert [text for call in sent(service) for text in call] == texts


def test_equal_passages_are_paid_for_once(service: FakeEmbeddings) -> None:
    rows = embedder(service).embed_documents(["same", "other", "same", "same"])
    assert service.bill(KEY).texts == 2
    assert np.array_equal(rows[0], rows[2]) and not np.array_equal(rows[0], rows[1])


def test_a_call_that_is_too_long_is_split(service: FakeEmbeddings) -> None:
    service.call_tokens = 60
    texts = [f"number {number} " + "word " * 15 for number in range(12)]  # 21 or 22 tokens each
    assert embedder(service).embed_documents(texts).shape == (12, 64)
    assert service.bill(KEY).texts == 12, "each was paid for once"


@pytest.mark.parametrize("most", [40, 200])
def test_a_text_that_is_too_long_is_cut_alone_and_in_company(
    most: int, service: FakeEmbeddings
) -> None:
    service.most_tokens = most
    long = "how to bake bread at home " * 100
    made = embedder(service)
    alone = made.embed_documents([long])[0]
    among = made.embed_documents(["short", long, "also short"])[1]
    assert np.allclose(alone, among, atol=1e-6)
    assert np.allclose(alone, made.embed_query(long), atol=1e-6)
    read = max((text for call in sent(service) for text in call if text in long), key=len)
    assert len(read) == len(long), "it was tried whole"
    assert service.count() < 20


def test_a_text_that_is_known_to_be_too_long_is_cut_before_it_is_sent(
    service: FakeEmbeddings,
) -> None:
    service.most_tokens, service.characters_a_token = 100, 5
    embedder(service, max_tokens=100).embed_documents(["word " * 1_000, "図書館" * 500])
    assert service.count() == 1


def test_a_refused_text_is_found_and_the_others_are_paid_for_once(service: FakeEmbeddings) -> None:
    service.poison = "POISON"
    texts = [f"text {number}" + (" POISON" if number in (13, 77) else "") for number in range(100)]
    made = embedder(service)
    with pytest.raises(PassageRefused, match="refuses 2 of 100 texts, the first at") as raised:
        made.embed_documents(texts)
    assert raised.value.places == (13, 77) and "POISON" not in str(raised.value)
    assert service.bill(KEY).texts == 98
    calls = service.count()
    rows = made.embed_documents([text for text in texts if "POISON" not in text])
    assert rows.shape == (98, 64) and service.count() == calls, "nothing was asked again"


def test_a_vector_that_does_not_count_costs_the_others_of_its_answer_nothing(
    service: FakeEmbeddings,
) -> None:
    service.blank = "BLANK"
    texts = [f"text {number}" + (" BLANK" if number == 13 else "") for number in range(100)]
    made = embedder(service)
    with pytest.raises(AnswerInvalid, match="1 of 100 texts have no valid vector") as raised:
        made.embed_documents(texts)
    assert raised.value.places == (13,)
    assert service.bill(KEY).texts == 101 == made.usage.texts, "the one is asked for once more"


def test_the_kernel_stores_all_but_the_refused_text_and_pays_once(service: FakeEmbeddings) -> None:
    service.poison = "POISON"
    made = embedder(service, price={"interactive": 1, "batch": 1})
    with SemanticCore(store="memory", embedder=made, plugins=[]) as core:
        documents = [Document(Ref("n", str(number)), f"text {number}") for number in range(40)]
        report = core.ingest(*documents, Document(Ref("n", "bad"), "POISON in here"))
        assert (report.added, report.pending, report.embedded) == (41, 1, 40)
        assert service.bill(KEY).texts == 40 == made.usage.texts
        assert core.search("text 7", mode="vector")[0].ref.key == "7"


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u00a0"])
def test_a_blank_text_has_a_vector(text: str, service: FakeEmbeddings) -> None:
    """The service refuses an empty one: what stands for it is sent."""
    made = embedder(service)
    assert np.array_equal(made.embed_documents([text, "-"])[0], made.embed_documents(["-"])[0])
    assert made.embed_query(text).shape == (64,)


@pytest.mark.parametrize("text", [None, 5, b"bytes", "a \ud800 b"])
def test_what_is_no_text_is_refused_before_anything_is_sent(
    text: Any, service: FakeEmbeddings
) -> None:
    made = embedder(service)
    for ask in (made.embed_query, lambda one: made.embed_documents(["fine", one])):
        with pytest.raises(TextInvalid):
            ask(text)
    with pytest.raises(InputError, match="sequence of str"):
        made.embed_documents("one text")
    assert service.requests == []


def test_queries_are_remembered(service: FakeEmbeddings) -> None:
    made = embedder(service, remembered_queries=2)
    first = made.embed_query("how to bake")
    first[:] = 0.0
    assert np.linalg.norm(made.embed_query("how to bake")) > 0.9
    assert service.bill(KEY).texts == 1
    for text in ("a", "b", "how to bake"):
        made.embed_query(text)
    assert service.bill(KEY).texts == 4


def test_a_query_asked_by_many_at_once_is_paid_for_once(service: FakeEmbeddings) -> None:
    made = embedder(service)
    barrier, rows = threading.Barrier(8), []

    def ask() -> None:
        barrier.wait(10)
        rows.append(made.embed_query("the same for all"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(rows) == 8 and service.bill(KEY).texts == 1


def test_calls_stay_within_the_rate_limit(service: FakeEmbeddings) -> None:
    turning = TurningClock()
    made = embedder(service, clock=turning.clock, requests_per_minute=60, batch_size=1)
    made.embed_documents([f"text {number}" for number in range(30)])
    assert 20 < sum(turning.slept) < 30
    assert made.seconds(30, 0) == pytest.approx(sum(turning.slept), abs=2)


def test_what_is_used_is_what_is_billed(service: FakeEmbeddings) -> None:
    service.characters_a_token = 3
    made = embedder(service)
    made.embed_documents(["bread and butter", "moons"])
    made.embed_query("a query")
    bill = service.bill(KEY)
    assert (made.usage.texts, made.usage.tokens) == (bill.texts, bill.tokens) == (3, 6 + 2 + 3)


def test_the_connections_of_one_that_is_not_used_any_more_are_closed(
    service: FakeEmbeddings,
) -> None:
    made = embedder(service)
    made.embed_documents(["a text"])
    client = made._service._http.get()
    gone = weakref.ref(made._service)
    del made
    gc.collect()
    assert gone() is None and client.is_closed
