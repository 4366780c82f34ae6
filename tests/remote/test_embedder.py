"""What an author of an embedder need not write: everything but the calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event

import numpy as np
import pytest

from semantic_core.batch import JobState
from semantic_core.errors import InputError, TextInvalid
from semantic_core.protocols import BatchEmbedder, Embedder, Metered
from semantic_core.remote import (
    Clock,
    PassageRefused,
    Price,
    RemoteBatchEmbedder,
    RemoteEmbedder,
    RequestRefused,
    UsageMeter,
    text_to_send,
)
from semantic_core.testing import (
    Check,
    HashEmbedder,
    JobEmbedder,
    batch_embedder_checks,
    embedder_checks,
)
from semantic_core.types import Space, Vector

PRICE = Price("0.20", "0.10", "EUR", "2026-11-30", "a list of prices")


class Forms:
    """Texts as they are sent to a service whose model reads 2,000 characters."""

    space = Space("letters", 64, "retrieval")

    def query(self, text: str) -> str:
        return "query: " + text_to_send(text)[:2_000]

    def document(self, text: str) -> str:
        return "passage: " + text_to_send(text)[:2_000]


def bare(sent: str) -> str:
    return re.sub("^(query|passage): ", "", sent)


class LetterEmbedder(RemoteEmbedder):
    """An embedder as a plugin writes it: the calls alone."""

    def __init__(self, **options: int) -> None:
        sizes = {"batch_size": 8, "max_chars": 2_000, "call_texts": 4, "call_tokens": 10_000}
        super().__init__(
            Forms(),
            len,
            **{**sizes, "remembered_queries": 2, **options},  # type: ignore[arg-type]
            price=PRICE,
            clock=Clock(),
        )
        self.service = HashEmbedder(64)
        self.calls: list[list[str]] = []
        self.refused: set[str] = set()
        self.may_answer = Event()
        self.may_answer.set()

    def call_documents(self, texts: list[str], tokens: int, found: dict[int, Vector]) -> None:
        self.calls.append(texts)
        if self.refused & set(texts):
            raise RequestRefused("Refused.")
        vectors = self.service.embed_documents([bare(text) for text in texts])
        found.update(enumerate(vectors))
        self.meter.add(requests=1, texts=len(texts), tokens=tokens)

    def call_query(self, request: str) -> Vector:
        self.calls.append([request])
        assert self.may_answer.wait(20)
        self.meter.add(requests=1, texts=1, tokens=len(request))
        return self.service.embed_query(bare(request))

    def seconds(self, passages: int, tokens: int) -> float:
        return passages / 10

    def close(self) -> None:
        self.calls.clear()


class JobClient:
    """Jobs of a service, as a plugin writes them."""

    def __init__(self, meter: UsageMeter) -> None:
        self.service = JobEmbedder(dimensions=64)
        self.meter = meter

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        return self.service.submit(passages, name)

    def find(self, name: str) -> str | None:
        return self.service.find(name)

    def state(self, job: str) -> JobState:
        return self.service.state(job)

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        for name, result in self.service.results(job):
            self.meter.add(job_texts=1, job_tokens=7)
            yield name, result

    def cancel(self, job: str) -> None:
        self.service.cancel(job)

    def clean_up(self, job: str) -> None:
        self.service.clean_up(job)

    def now(self) -> float | None:
        return 12.5


class LetterJobs(LetterEmbedder, RemoteBatchEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.client = JobClient(self.meter)

    def batch_client(self) -> JobClient:
        return self.client


@pytest.mark.parametrize("made", [LetterEmbedder, LetterJobs])
@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_what_only_makes_calls_is_an_embedder(check: Check, made: type[LetterEmbedder]) -> None:
    check(made)


@pytest.mark.parametrize("check", batch_embedder_checks(), ids=str)
def test_with_a_client_for_jobs_it_takes_jobs(check: Check) -> None:
    def opened() -> tuple[LetterJobs, object]:
        made = LetterJobs()
        return made, made.client.service.finish

    check(opened)


def test_only_with_a_client_is_it_asked_for_jobs() -> None:
    made = LetterEmbedder()
    assert isinstance(made, Embedder) and isinstance(made, Metered)
    assert not isinstance(made, BatchEmbedder)
    assert isinstance(LetterJobs(), BatchEmbedder)
    assert LetterJobs().now() == 12.5


def test_equal_passages_are_sent_once_in_calls_of_the_given_size() -> None:
    made = LetterEmbedder()
    vectors = made.embed_documents(["one", "two", "one", "three", "four", "five"])
    assert [len(call) for call in made.calls] == [4, 1]
    assert vectors.shape == (6, 64) and vectors.dtype == np.float32
    assert np.array_equal(vectors[0], vectors[2])
    assert made.embed_documents([]).shape == (0, 64)


def test_one_refused_passage_costs_the_others_nothing_twice() -> None:
    made = LetterEmbedder()
    made.refused = {"passage: bad"}
    with pytest.raises(PassageRefused) as raised:
        made.embed_documents(["one", "bad", "three"])
    assert raised.value.places == (1,)
    paid = made.usage.texts
    made.embed_documents(["one", "three"])
    assert made.usage.texts == paid == 2


@pytest.mark.parametrize("text", ["a lone \ud800", None, 7, b"bytes"])
def test_what_is_no_text_is_refused_before_anything_is_sent(text: object) -> None:
    made = LetterEmbedder()
    for call in (lambda: made.embed_documents(["good", text]), lambda: made.embed_query(text)):  # type: ignore[list-item, arg-type]
        with pytest.raises(TextInvalid):
            call()
    assert made.calls == []


def test_one_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(InputError, match="got one str"):
        LetterEmbedder().embed_documents("text")


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_blank_text_is_sent_as_something(blank: str) -> None:
    made = LetterEmbedder()
    made.embed_documents([blank])
    made.embed_query(blank)
    assert made.calls == [["passage: -"], ["query: -"]]


def test_a_query_is_paid_for_once_by_threads_that_ask_together_and_while_it_is_remembered() -> None:
    made = LetterEmbedder(remembered_queries=1)
    made.may_answer.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(made.embed_query, "the same") for _ in range(4)]
        made.may_answer.set()
        answers = [future.result() for future in asked]
    assert len(made.calls) == 1 and all(np.array_equal(answers[0], other) for other in answers)
    made.embed_query("another")
    made.embed_query("the same")
    assert len(made.calls) == 3


def test_prices_estimates_and_usage_are_told() -> None:
    made = LetterEmbedder()
    assert (made.price("interactive"), made.price("batch")) == (Decimal("0.20"), Decimal("0.10"))
    assert made.currency == "EUR" and made.prices == PRICE
    assert made.tokens(["ab", ""]) == len("passage: ab") + len("passage: -")
    with made.metered() as spent:
        made.embed_documents(["ab"])
        made.embed_query("ab")
    assert (spent.passages, spent.tokens) == (2, len("passage: ab") + len("query: ab"))
    assert made.usage.requests == 2
    assert repr(made) == f"LetterEmbedder({Forms.space})"
