"""Every way an answer can go wrong has one error and one way to go on; the meter shows what the
bill shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring
from semantic_core_openai.errors import failure_of, refusal_of

from semantic_core.errors import EmbedderUnavailable, SemanticCoreError
from semantic_core.remote import (
    AccessDenied,
    AnswerInvalid,
    KeyRefused,
    ModelUnknown,
    PassageRefused,
    PassageTooLong,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServiceDown,
    ServiceTimeout,
)
from semantic_core.testing import FakeEmbeddings, TurningClock

KEY = "sk-key-of-this-test"
TEXTS = ["bread and butter", "moons of a planet", "the tax of a year"]
ATTEMPTS = 5
ANSWERS = 2


@dataclass(frozen=True)
class Script:
    """What becomes of one fault. error: if it never ends; None: it is no fault to us. heals:
    whether the call succeeds if the fault comes once. calls: how often the service is asked if it
    never ends; 0: until patience ends. lost: whether what was asked may be on the bill unseen.
    """

    error: type[SemanticCoreError] | None
    heals: bool = True
    calls: int = ATTEMPTS
    lost: bool = False


LATER = Script(RateLimited, calls=0)
INVALID = Script(AnswerInvalid, calls=ANSWERS)
REFUSED = Script(PassageRefused, calls=5)
NONE = Script(None)
SCRIPTS: dict[str, Script] = {
    "throttled": LATER,
    "throttled_seconds": LATER,
    "throttled_date": LATER,
    "throttled_milliseconds": LATER,
    "throttled_words": LATER,
    "throttled_nonsense": LATER,
    "quota": Script(QuotaExhausted, heals=False, calls=1),
    "internal": Script(ServiceDown),
    "html": Script(ServiceDown),
    "unavailable": Script(ServiceDown),
    "unavailable_seconds": Script(ServiceDown),
    "gateway_timeout": Script(ServiceTimeout),
    "reset": Script(ServiceDown, lost=True),
    "reset_after": Script(ServiceDown, lost=True),
    "stall": Script(ServiceTimeout, lost=True),
    "drip": Script(ServiceTimeout, lost=True),
    "cut_body": Script(ServiceDown, lost=True),
    "garbled_gzip": Script(ServiceDown, lost=True),
    "redirect": Script(ServiceDown),
    "cut_json": INVALID,
    "empty": INVALID,
    "not_json": INVALID,
    "other_json": INVALID,
    "a_list": INVALID,
    "fewer": INVALID,
    "more": INVALID,
    "same_index": INVALID,
    "nan": INVALID,
    "infinite": INVALID,
    "zero": INVALID,
    "other_size": INVALID,
    "no_numbers": INVALID,
    "words_for_numbers": INVALID,
    "bad_base64": INVALID,
    "packed": NONE,
    "shuffled": NONE,
    "no_index": NONE,
    "no_usage": NONE,
    "base64": NONE,
    "bad_request": REFUSED,
    "echo_key": REFUSED,
    "too_long": Script(PassageRefused, calls=0),
    "key_refused": Script(KeyRefused, heals=False, calls=1),
    "forbidden": Script(AccessDenied, heals=False, calls=1),
    "not_found": Script(ModelUnknown, heals=False, calls=1),
}
"""How embedding answers to each fault. Refused requests are halved: 5 calls for 3 texts."""
SHORT = {"stall": 0.3, "drip": 0.3}
"""Seconds an answer may take where it takes for ever."""


def embedder(
    service: FakeEmbeddings, turning: TurningClock, *, timeout: float = 5.0, **options: object
) -> OpenAIEmbedder:
    return OpenAIEmbedder(
        OpenAIKeyring(KEY),
        base_url=service.url,
        model="small",
        dimensions=64,
        timeout=timeout,
        clock=turning.clock,
        **options,  # type: ignore[arg-type]
    )


def same_as_bill(made: OpenAIEmbedder, service: FakeEmbeddings) -> None:
    """What the meter says lies beside the bill: equal, but for what was sent and never answered."""
    bill, usage = service.bill(KEY), made.usage
    assert usage.texts <= bill.texts <= usage.texts + usage.lost_texts
    if not usage.lost_texts:
        assert usage.texts == bill.texts


def test_every_fault_has_its_script() -> None:
    assert SCRIPTS.keys() == set(FakeEmbeddings.faults()) and len(SCRIPTS) >= 44


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_fault_that_passes_is_lived_through(
    name: str, service: FakeEmbeddings, turning: TurningClock
) -> None:
    script, made = SCRIPTS[name], embedder(service, turning, timeout=SHORT.get(name, 5.0))
    wanted = embedder(service, turning).embed_documents(TEXTS)
    service.state.bills.clear()
    service.misbehave("embeddings", name)
    if script.heals:
        assert np.allclose(made.embed_documents(TEXTS), wanted, atol=1e-6)
    else:
        assert script.error
        with pytest.raises(script.error):
            made.embed_documents(TEXTS)
        assert np.allclose(made.embed_documents(TEXTS), wanted, atol=1e-6)
    assert service.pending_faults == 0
    assert bool(made.usage.lost_texts) is script.lost
    same_as_bill(made, service)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_fault_that_stays_becomes_one_error(
    name: str, service: FakeEmbeddings, turning: TurningClock
) -> None:
    script, made = SCRIPTS[name], embedder(service, turning, timeout=SHORT.get(name, 5.0) / 3)
    service.misbehave("embeddings", name, times=200)
    if script.error is None:
        assert made.embed_documents(TEXTS).shape == (3, 64)
        return
    with pytest.raises(script.error) as raised:
        made.embed_documents(TEXTS)
    assert type(raised.value) is script.error
    assert raised.value.retryable is issubclass(script.error, EmbedderUnavailable)
    if script.calls:
        assert service.count() == script.calls
    same_as_bill(made, service)


@pytest.mark.parametrize(
    ("name", "wait"),
    [
        ("throttled_seconds", 7.0),
        ("throttled_date", 6.0),
        ("throttled_milliseconds", 1.5),
        ("throttled_words", 62.5),
    ],
)
def test_a_pause_the_service_asks_for_is_kept(
    name: str, wait: float, service: FakeEmbeddings
) -> None:
    turning = TurningClock(share=0.0)
    service.misbehave("embeddings", name)
    embedder(service, turning).embed_documents(TEXTS)
    assert wait - 0.01 <= sum(turning.slept) <= wait + 1.01


def test_an_answer_without_usage_counts_as_estimated(
    service: FakeEmbeddings, turning: TurningClock
) -> None:
    made = embedder(service, turning)
    service.misbehave("embeddings", "no_usage")
    made.embed_documents(TEXTS)
    assert made.usage.tokens == made.tokens(TEXTS) > 0


def test_a_redirect_takes_neither_texts_nor_key_to_another_host(
    service: FakeEmbeddings, turning: TurningClock
) -> None:
    with FakeEmbeddings() as elsewhere:
        service.redirect_to = f"{elsewhere.url}/embeddings"
        service.misbehave("embeddings", "redirect", times=200)
        with pytest.raises(ServiceDown, match="302") as raised:
            embedder(service, turning).embed_documents(TEXTS)
        assert elsewhere.requests == [] and "final address" in raised.value.hint


MESSAGES = [
    (
        400,
        {"error": {"message": "This model's maximum context length is 8192 tokens, however you "
                   "requested 10000 tokens (10000 in your prompt).", "code": None}},
        (8192, 10000),
    ),
    (
        400,
        {"error": {"message": "Requested 309209 tokens, max 300000 tokens per request",
                   "type": "max_tokens_per_request", "code": "max_tokens_per_request"}},
        (300000, 309209),
    ),
    (
        400,
        {"object": "error", "message": "This model's maximum context length is 512 tokens. "
         "However, you requested 600 tokens in the input for embedding generation.", "code": 400},
        (512, 600),
    ),
    (
        413,
        {"error": "Input validation error: `inputs` must have less than 512 tokens. Given: 513",
         "error_type": "Validation"},
        (512, 513),
    ),
    (
        500,
        {"error": {"code": 500, "message": "input is too large to process. increase the physical "
                   "batch size", "type": "server_error"}},
        (None, None),
    ),
    (400, {"error": {"message": "the input length exceeds the context length"}}, (None, None)),
    (400, {"object": "error", "message": "Too many tokens overall, split into more batches."},
     (None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "numbers"), MESSAGES)
def test_too_long_is_understood_in_the_words_of_each_server(
    status: int, body: object, numbers: tuple[int | None, int | None]
) -> None:
    error = failure_of(refusal_of(status, {}, body), "Embedding", 0.0)
    assert isinstance(error, PassageTooLong) and (error.most, error.given) == numbers


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "Invalid input type."}, "Invalid input type"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ({"message": {"detail": [{"msg": "extra field"}]}}, "extra field"),
        ({"error": "model not loaded"}, "model not loaded"),
        (["a list"], "a list"),
        (None, "418"),
        ({}, "418"),
    ],
)
def test_the_message_of_an_error_is_found_in_any_form(body: object, words: str) -> None:
    error = failure_of(refusal_of(418, {}, body), "Embedding", 0.0)
    assert type(error) is RequestRefused and words in error.message


def test_a_request_nobody_accepts_is_not_halved_to_the_end(
    service: FakeEmbeddings, turning: TurningClock
) -> None:
    service.misbehave("embeddings", "bad_request", times=1_000)
    with pytest.raises(RequestRefused) as raised:
        embedder(service, turning).embed_documents([f"text {number}" for number in range(100)])
    assert not isinstance(raised.value, PassageRefused) and service.count() < 30


def test_nobody_there_is_the_service_being_down(turning: TurningClock) -> None:
    made = OpenAIEmbedder(
        base_url="http://127.0.0.1:1/v1", model="m", dimensions=8, clock=turning.clock
    )
    with pytest.raises(ServiceDown, match="no connection"):
        made.embed_documents(["x"])
    assert made.usage.lost_texts == 0, "it surely did not arrive"


def test_a_service_that_fails_again_and_again_is_left_alone(
    service: FakeEmbeddings, turning: TurningClock
) -> None:
    made = embedder(service, turning)
    service.misbehave("embeddings", "internal", times=ATTEMPTS)
    with pytest.raises(ServiceDown):
        made.embed_documents(TEXTS)
    with pytest.raises(EmbedderUnavailable, match="5 times in a row"):
        made.embed_query("a query")
    assert service.count() == ATTEMPTS
    turning.turn(31)
    assert made.embed_query("a query").shape == (64,)
