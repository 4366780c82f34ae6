"""What is sent, how it is packed, and that nothing is paid for twice."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from fake_gemini import FakeGemini
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring
from semantic_core_gemini.errors import (
    AnswerInvalid,
    PassageRefused,
    QuotaExhausted,
    RateLimited,
    ServiceDown,
)
from semantic_core_gemini.tokens import RULE

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import InputError, TextInvalid
from semantic_core.testing import TurningClock

KEY = "key-of-every-day"


def embedder(
    gemini: FakeGemini, turning: TurningClock | None = None, **options: Any
) -> GeminiEmbedder:
    given = {
        "dimensions": 128,
        "base_url": gemini.url,
        "clock": (turning or TurningClock()).clock,
        **options,
    }
    return GeminiEmbedder(GoogleKeyring(given.pop("key", KEY)), **given)


def sent(gemini: FakeGemini) -> list[list[str]]:
    """The texts of each call."""
    return [
        [one["content"]["parts"][0]["text"] for one in body["requests"]] for body in gemini.bodies
    ]


@pytest.mark.parametrize(
    ("task", "query", "document"),
    [
        ("retrieval", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"),
        ("question_answering", "QUESTION_ANSWERING", "RETRIEVAL_DOCUMENT"),
        ("fact_checking", "FACT_VERIFICATION", "RETRIEVAL_DOCUMENT"),
        ("code_retrieval", "CODE_RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"),
        ("similarity", "SEMANTIC_SIMILARITY", "SEMANTIC_SIMILARITY"),
        ("classification", "CLASSIFICATION", "CLASSIFICATION"),
        ("clustering", "CLUSTERING", "CLUSTERING"),
    ],
)
def test_the_first_model_is_asked_with_task_types(
    task: str, query: str, document: str, gemini: FakeGemini
) -> None:
    made = embedder(gemini, task=task)
    made.embed_query("a text")
    made.embed_documents(["a text"])
    assert [body["requests"][0]["taskType"] for body in gemini.bodies] == [query, document]
    assert sent(gemini) == [["a text"], ["a text"]]
    assert {body["requests"][0]["outputDimensionality"] for body in gemini.bodies} == {128}


@pytest.mark.parametrize(
    ("task", "query", "document"),
    [
        ("retrieval", "task: search result | query: {x}", "title: none | text: {x}"),
        ("question_answering", "task: question answering | query: {x}", "title: none | text: {x}"),
        ("fact_checking", "task: fact checking | query: {x}", "title: none | text: {x}"),
        ("code_retrieval", "task: code retrieval | query: {x}", "title: none | text: {x}"),
        (
            "similarity",
            "task: sentence similarity | query: {x}",
            "task: sentence similarity | query: {x}",
        ),
        (
            "classification",
            "task: classification | query: {x}",
            "task: classification | query: {x}",
        ),
        ("clustering", "task: clustering | query: {x}", "task: clustering | query: {x}"),
    ],
)
def test_the_second_model_is_asked_in_words(
    task: str, query: str, document: str, gemini: FakeGemini
) -> None:
    made = embedder(gemini, model="gemini-embedding-2", task=task)
    made.embed_query("{x}")
    made.embed_documents(["{x}"])
    assert sent(gemini) == [[query], [document]]
    assert all("taskType" not in body["requests"][0] for body in gemini.bodies)


def test_spaces_differ_by_all_that_changes_a_vector(gemini: FakeGemini) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"dimensions": 256},
        {"model": "gemini-embedding-2"},
        {"task": "similarity"},
    ]
    assert len({embedder(gemini, **given).space for given in options}) == 4
    assert (
        embedder(gemini, key="another-key", max_chars=99, batch_size=7).space
        == embedder(gemini).space
    )
    assert str(embedder(gemini).space) == "gemini-embedding-001 (128 dimensions, retrieval, form=1)"


@pytest.mark.parametrize("dimensions", [128, 768, 1536, 3072])
def test_vectors_have_length_one_in_every_size(dimensions: int, gemini: FakeGemini) -> None:
    """The service brings only the full size to length 1; so does the fake."""
    rows = embedder(gemini, dimensions=dimensions).embed_documents(
        ["one", "two words", "and three words"]
    )
    assert rows.shape == (3, dimensions) and np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-6


def test_a_call_has_at_most_a_hundred_texts(gemini: FakeGemini) -> None:
    rows = embedder(gemini).embed_documents([f"text {number}" for number in range(250)])
    assert rows.shape == (250, 128)
    assert [len(texts) for texts in sent(gemini)] == [100, 100, 50]


def test_a_call_has_at_most_so_many_tokens(gemini: FakeGemini) -> None:
    texts = [f"{number} " + "several plain words here " * 60 for number in range(100)]
    embedder(gemini).embed_documents(texts)
    sizes = [sum(map(RULE.tokens, call)) for call in sent(gemini)]
    assert max(sizes) <= 20_000 and len(sizes) == 2
    assert [text for call in sent(gemini) for text in call] == texts


def test_a_small_allowance_makes_small_calls(gemini: FakeGemini) -> None:
    turning = TurningClock()
    embedder(gemini, turning, texts_per_minute=60).embed_documents(
        [f"text {number}" for number in range(30)]
    )
    assert [len(texts) for texts in sent(gemini)] == [10, 10, 10]
    assert 20 < sum(turning.slept) < 30


def test_equal_passages_are_paid_for_once(gemini: FakeGemini) -> None:
    rows = embedder(gemini).embed_documents(["same", "other", "same", "same"])
    assert gemini.bill(KEY).texts == 2
    assert np.array_equal(rows[0], rows[2]) and not np.array_equal(rows[0], rows[1])


def test_a_refused_text_is_found_and_the_others_are_paid_for_once(gemini: FakeGemini) -> None:
    gemini.poison = "POISON"
    texts = [f"text {number}" + (" POISON" if number in (13, 77) else "") for number in range(100)]
    made = embedder(gemini)
    with pytest.raises(
        PassageRefused, match="refuses 2 of 100 texts, the first at position 13"
    ) as raised:
        made.embed_documents(texts)
    assert raised.value.places == (13, 77)
    assert "POISON" not in str(raised.value)
    assert gemini.bill(KEY).texts == 98
    calls = gemini.count("embed")
    assert calls <= 30
    with pytest.raises(PassageRefused):
        made.embed_documents(texts)
    rows = made.embed_documents([text for text in texts if "POISON" not in text])
    assert rows.shape == (98, 128)
    assert (gemini.count("embed"), gemini.bill(KEY).texts) == (calls, 98), "nothing was asked again"


def test_a_vector_that_does_not_count_costs_the_others_of_its_answer_nothing(
    gemini: FakeGemini, turning: TurningClock
) -> None:
    gemini.blank = "BLANK"
    texts = [f"text {number}" + (" BLANK" if number == 13 else "") for number in range(100)]
    made = embedder(gemini, clock=turning.clock)
    with pytest.raises(
        AnswerInvalid, match="1 of 100 texts have no valid vector, the first at position 13"
    ) as raised:
        made.embed_documents(texts)
    assert raised.value.places == (13,) and "BLANK" not in str(raised.value)
    assert gemini.bill(KEY).texts == 101 == made.usage.texts, "the one is asked for once more"
    others = [text for text in texts if "BLANK" not in text]
    with pytest.raises(AnswerInvalid):
        made.embed_documents(texts[:50])
    assert made.embed_documents(others).shape == (99, 128)
    assert gemini.bill(KEY).texts == 101, "nothing was asked again"
    gemini.blank = ""
    turning.turn(61)
    assert made.embed_documents(texts[13:14]).shape == (1, 128)


def test_the_kernel_stores_all_but_the_text_without_a_vector_that_counts(
    gemini: FakeGemini,
) -> None:
    gemini.blank = "BLANK"
    made = embedder(gemini)
    with SemanticCore(store="memory", embedder=made) as core:
        documents = [Document(Ref("n", str(number)), f"text {number}") for number in range(40)]
        report = core.ingest(*documents, Document(Ref("n", "bad"), "BLANK in here"))
        assert (report.pending, report.embedded) == (1, 40)
        assert gemini.bill(KEY).texts == 42 == made.usage.texts


def test_what_an_answer_brought_is_kept_although_the_next_call_fails(
    gemini: FakeGemini, turning: TurningClock
) -> None:
    made = embedder(gemini, clock=turning.clock)
    gemini.misbehave("embed", "nan")
    gemini.misbehave("embed", "quota_of_the_day")
    texts = [f"text {number}" for number in range(10)]
    with pytest.raises(QuotaExhausted):
        made.embed_documents(texts)
    assert made.embed_documents(texts).shape == (10, 128)
    assert gemini.bill(KEY).texts == 11


def test_the_kernel_stores_all_but_the_refused_text_and_pays_once(gemini: FakeGemini) -> None:
    gemini.poison = "POISON"
    made = embedder(gemini)
    with SemanticCore(store="memory", embedder=made) as core:
        documents = [Document(Ref("n", str(number)), f"text {number}") for number in range(40)]
        report = core.ingest(*documents, Document(Ref("n", "bad"), "POISON in here"))
        assert (report.added, report.pending, report.embedded) == (41, 1, 40)
        assert gemini.bill(KEY).texts == 40 == made.usage.texts
        assert core.search("text 7", mode="vector")[0].ref.key == "7"


def test_what_was_paid_for_before_a_failure_is_not_paid_for_again(gemini: FakeGemini) -> None:
    made, texts = embedder(gemini), [f"text {number}" for number in range(250)]
    gemini.misbehave("embed", "bad_request", times=0)
    made.embed_documents(texts[:1])
    gemini.state.bills.clear()
    for _ in range(2):
        gemini.misbehave("embed", "packed")  # the first two calls go well
    gemini.misbehave("embed", "forbidden")
    with pytest.raises(Exception, match="permission"):
        made.embed_documents(texts)
    assert gemini.bill(KEY).texts == 200
    assert made.embed_documents(texts).shape == (250, 128)
    assert gemini.bill(KEY).texts == 250


def test_what_is_kept_has_a_limit(gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semantic_core.remote.passages.KEPT", 120)
    made, texts = embedder(gemini), [f"text {number}" for number in range(250)]
    gemini.misbehave("embed", "packed")
    gemini.misbehave("embed", "packed")
    gemini.misbehave("embed", "forbidden")
    with pytest.raises(Exception, match="permission"):
        made.embed_documents(texts)
    assert len(made._passages._kept) == 120
    made.embed_documents(texts)
    assert len(made._passages._kept) == 0 and gemini.bill(KEY).texts == 330


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u00a0"])
def test_a_blank_text_has_a_vector(text: str, gemini: FakeGemini) -> None:
    """The service refuses it: what stands for it is sent."""
    for model in ("gemini-embedding-001", "gemini-embedding-2"):
        made = embedder(gemini, model=model)
        assert np.array_equal(made.embed_documents([text, "-"])[0], made.embed_documents(["-"])[0])
        assert made.embed_query(text).shape == (128,)


@pytest.mark.parametrize("text", [None, 5, b"bytes", "a \ud800 b"])
def test_what_is_no_text_is_refused_before_anything_is_sent(text: Any, gemini: FakeGemini) -> None:
    made = embedder(gemini)
    for ask in (
        made.embed_query,
        lambda one: made.embed_documents(["fine", one]),
        lambda one: made.estimate([one]),
    ):
        with pytest.raises(TextInvalid):
            ask(text)
    assert gemini.requests == []
    with pytest.raises(InputError, match="sequence of str"):
        made.embed_documents("one text")


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
@pytest.mark.parametrize("piece", ["word ", "долго ", "図書館", "😀", "3.14159 ", "x"])
def test_no_text_is_cut_by_the_service_unseen(piece: str, model: str, gemini: FakeGemini) -> None:
    made = embedder(gemini, model=model)
    gemini.state.cheap_vectors = True
    made.embed_documents([piece * 20_000, piece * 5_000])
    made.embed_query(piece * 20_000)
    assert gemini.bill(KEY).cut == 0
    whole = (piece * 2_000)[: made.max_chars]
    if piece != "😀":  # may be four tokens: so many of them are more than the first model reads
        made.embed_documents([whole])
        assert sent(gemini)[-1][0].endswith(whole), "a passage of max_chars is read whole"


def test_queries_are_remembered_by_all_that_changes_their_vector(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    first = made.embed_query("how to bake")
    first[:] = 0.0
    assert np.linalg.norm(made.embed_query("how to bake")) > 0.9
    assert gemini.bill(KEY).texts == 1
    made.embed_documents(["how to bake"])
    assert gemini.bill(KEY).texts == 2, "a passage is another text to the model"
    for options in ({"task": "similarity"}, {"dimensions": 256}, {"model": "gemini-embedding-2"}):
        embedder(gemini, **options).embed_query("how to bake")  # type: ignore[arg-type]
    assert gemini.bill(KEY).texts == 5


def test_the_queries_used_last_are_remembered(gemini: FakeGemini) -> None:
    made = embedder(gemini, remembered_queries=3)
    for text in ("a", "b", "c", "a", "d", "a", "c", "d"):
        made.embed_query(text)
    assert gemini.bill(KEY).texts == 4
    made.embed_query("b")
    assert gemini.bill(KEY).texts == 5


def test_a_query_asked_by_many_at_once_is_paid_for_once(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    barrier, rows = threading.Barrier(12), []

    def ask() -> None:
        barrier.wait(10)
        rows.append(made.embed_query("the same for all"))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(rows) == 12 and gemini.bill(KEY).texts == 1
    assert all(np.array_equal(row, rows[0]) for row in rows)
    assert len({id(row) for row in rows}) == 12


def test_a_failed_query_is_not_remembered(gemini: FakeGemini) -> None:
    made = embedder(gemini, TurningClock(share=0.0))
    gemini.misbehave("embed", "unavailable", times=5)
    with pytest.raises(ServiceDown):
        made.embed_query("again")
    made._service._calls._breaker._failures = 0
    assert made.embed_query("again").shape == (128,)


def test_many_threads_get_the_right_vectors(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    texts = [f"text of number {number}" for number in range(60)]
    wanted = embedder(gemini).embed_documents(texts)
    wrong: list[int] = []

    def work(start: int) -> None:
        for place in range(start, 60, 6):
            if not np.allclose(made.embed_documents([texts[place]])[0], wanted[place], atol=1e-6):
                wrong.append(place)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == [] and made.usage.texts == 60


def test_a_tenant_that_is_throttled_does_not_hold_up_another(gemini: FakeGemini) -> None:
    turning = TurningClock()
    loud, quiet = (
        embedder(gemini, turning, key="loud-tenant", patience=5),
        embedder(gemini, turning, key="quiet-tenant"),
    )
    gemini.misbehave("embed", "throttled_seconds", times=100, key="loud-tenant")
    for _ in range(3):
        with pytest.raises(RateLimited):
            loud.embed_documents(["a text"])
        assert quiet.embed_documents(["a text"]).shape == (1, 128)
    assert turning.slept == []


def test_a_search_without_the_service_is_answered_by_words(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    with SemanticCore(store="memory", embedder=made) as core:
        core.ingest(
            Document(Ref("n", "1"), "bread is baked"), Document(Ref("n", "2"), "planets move")
        )
        gemini.misbehave("embed", "throttled_seconds", times=100)
        answer = core.search("bread")
        assert answer.degraded and "429" in answer.reason and answer[0].ref.key == "1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_makes_connections_of_its_own(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    made.embed_documents(["in the parent"])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            rows = made.embed_documents(["in the child"])
            os.write(writing, b"ok" if rows.shape == (1, 128) else b"no")
        finally:
            os._exit(0)
    os.close(writing)
    assert os.read(reading, 2) == b"ok"
    os.close(reading)
    os.waitpid(child, 0)
    assert made.embed_documents(["in the parent again"]).shape == (1, 128)


def test_it_can_be_used_after_it_was_closed(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    made.embed_documents(["before"])
    made.close()
    assert made.embed_documents(["after"]).shape == (1, 128)
    made.close()


def test_the_connections_of_one_that_is_not_used_any_more_are_closed(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    made.embed_documents(["a text"])
    client = made._service._clients.get()[1]
    gone = weakref.ref(made._service)
    del made
    gc.collect()
    assert gone() is None and client.is_closed


def test_both_versions_of_the_interface_work(gemini: FakeGemini) -> None:
    rows = [
        embedder(gemini, api_version=version).embed_documents(["x"]) for version in ("v1", "v1beta")
    ]
    assert np.array_equal(*rows)
