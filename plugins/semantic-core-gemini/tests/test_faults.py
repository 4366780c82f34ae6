"""Every way an answer can go wrong has one error of ours and one way to go on;
the meter shows what the bill shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from fake_gemini import FAULTS, FakeGemini
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring
from semantic_core_gemini.errors import (
    AccessDenied,
    AnswerInvalid,
    KeyRefused,
    ModelUnknown,
    PassageRefused,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServiceDown,
    ServiceTimeout,
)

from semantic_core.errors import EmbedderUnavailable, SemanticCoreError
from semantic_core.remote import wire
from semantic_core.testing import TurningClock

TEXTS = ["bread and butter", "moons of a planet", "the tax of a year"]
ATTEMPTS = 5
ANSWERS = 2


@dataclass(frozen=True)
class Script:
    """What becomes of one fault. error: if it never ends; None: it is no fault to us. heals:
    whether the call succeeds if the fault comes once.

    calls: how often the service is asked if it never ends. lost: whether what was asked may be on
    the bill unseen.
    """

    error: type[SemanticCoreError] | None
    heals: bool = True
    calls: int = ATTEMPTS
    lost: bool = False


LATER = {"error": RateLimited, "calls": 0}
SCRIPTS: dict[str, Script] = {
    "throttled": Script(**LATER),
    "throttled_seconds": Script(**LATER),
    "throttled_date": Script(**LATER),
    "throttled_past": Script(**LATER),
    "throttled_info": Script(**LATER),
    "throttled_nonsense": Script(**LATER),
    "quota_of_the_day": Script(QuotaExhausted, heals=False, calls=1),
    "internal": Script(ServiceDown),
    "html": Script(ServiceDown),
    "unavailable": Script(ServiceDown),
    "unavailable_seconds": Script(ServiceDown),
    "gateway_timeout": Script(ServiceTimeout),
    "request_timeout": Script(ServiceTimeout),
    "reset": Script(ServiceDown, lost=True),
    "reset_after": Script(ServiceDown, lost=True),
    "stall": Script(ServiceTimeout, lost=True),
    "drip": Script(ServiceTimeout, lost=True),
    "cut_body": Script(ServiceDown, lost=True),
    "cut_json": Script(AnswerInvalid, calls=ANSWERS),
    "empty": Script(AnswerInvalid, calls=ANSWERS),
    "not_json": Script(AnswerInvalid, calls=ANSWERS),
    "other_json": Script(AnswerInvalid, calls=ANSWERS),
    "a_list": Script(AnswerInvalid, calls=ANSWERS),
    "garbled_gzip": Script(ServiceDown, lost=True),
    "packed": Script(None),
    "endless": Script(ServiceDown, lost=True),
    "fewer": Script(AnswerInvalid, calls=ANSWERS),
    "more": Script(AnswerInvalid, calls=ANSWERS),
    "nan": Script(AnswerInvalid, calls=ANSWERS),
    "infinite": Script(AnswerInvalid, calls=ANSWERS),
    "huge_numbers": Script(AnswerInvalid, calls=ANSWERS),
    "zero": Script(AnswerInvalid, calls=ANSWERS),
    "tiny": Script(AnswerInvalid, calls=ANSWERS),
    "other_size": Script(AnswerInvalid, calls=ANSWERS),
    "no_numbers": Script(AnswerInvalid, calls=ANSWERS),
    "words_for_numbers": Script(AnswerInvalid, calls=ANSWERS),
    "bad_request": Script(PassageRefused, heals=True, calls=5),
    "too_large": Script(PassageRefused, heals=True, calls=5),
    "teapot": Script(PassageRefused, heals=True, calls=5),
    "key_refused": Script(KeyRefused, heals=False, calls=1),
    "forbidden": Script(AccessDenied, heals=False, calls=1),
    "not_found": Script(ModelUnknown, heals=False, calls=1),
    "redirect": Script(ServiceDown),
    "echo_key": Script(PassageRefused, heals=True, calls=5),
    "echo_key_garbled": Script(AnswerInvalid, calls=ANSWERS),
    "echo_key_packed": Script(ServiceDown),
}
"""How embedding answers to each fault that an answer to it can have. Refused requests are halved:
5 calls for 3 texts.
"""
SHORT = {"stall": 0.4, "drip": 0.4}
"""Seconds an answer may take where it takes for ever."""
ELSEWHERE = {"no_name", "no_file", "no_upload_address", "cut_download"}


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1 << 20)


def embedder(gemini: FakeGemini, turning: TurningClock, **options: object) -> GeminiEmbedder:
    given = {
        "dimensions": 128,
        "base_url": gemini.url,
        "clock": turning.clock,
        "timeout": 5.0,
        **options,
    }
    return GeminiEmbedder(GoogleKeyring("key-of-this-test"), **given)  # type: ignore[arg-type]


def same_as_bill(made: GeminiEmbedder, gemini: FakeGemini) -> None:
    """What the meter says lies beside the bill: equal, but for what was sent and never answered."""
    bill, usage = gemini.bill("key-of-this-test"), made.usage
    assert usage.texts <= bill.texts <= usage.texts + usage.lost_texts
    if not usage.lost_texts:
        assert usage.texts == bill.texts


def test_every_fault_has_its_script() -> None:
    assert SCRIPTS.keys() | ELSEWHERE == FAULTS.keys()
    assert len(SCRIPTS) >= 40


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_fault_that_passes_is_lived_through(
    name: str, gemini: FakeGemini, turning: TurningClock
) -> None:
    script, made = SCRIPTS[name], embedder(gemini, turning, timeout=SHORT.get(name, 5.0))
    wanted = embedder(gemini, turning).embed_documents(TEXTS)
    gemini.state.bills.clear()
    gemini.misbehave("embed", name)
    if script.heals:
        assert np.allclose(made.embed_documents(TEXTS), wanted, atol=1e-6)
    else:
        assert script.error
        with pytest.raises(script.error):
            made.embed_documents(TEXTS)
        assert np.allclose(made.embed_documents(TEXTS), wanted, atol=1e-6)
    assert gemini.pending_faults == 0
    assert bool(made.usage.lost_texts) is script.lost
    same_as_bill(made, gemini)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_fault_that_stays_becomes_one_error(
    name: str, gemini: FakeGemini, turning: TurningClock
) -> None:
    script, made = SCRIPTS[name], embedder(gemini, turning, timeout=SHORT.get(name, 5.0) / 3)
    gemini.misbehave("embed", name, times=200)
    if script.error is None:
        assert made.embed_documents(TEXTS).shape == (3, 128)
        return
    with pytest.raises(script.error) as raised:
        made.embed_documents(TEXTS)
    assert type(raised.value) is script.error
    assert raised.value.retryable is issubclass(script.error, EmbedderUnavailable)
    assert (
        raised.value.message.endswith(".")
        or "Embedding" in raised.value.message
        or script.error is PassageRefused
    )
    if script.calls:
        assert gemini.count("embed") == script.calls
    same_as_bill(made, gemini)


@pytest.mark.parametrize(
    ("name", "wait"),
    [
        ("throttled_seconds", 7.0),
        ("throttled_info", 7.5),
        ("throttled_date", 6.0),
        ("throttled_past", 0.0),
    ],
)
def test_a_pause_the_service_asks_for_is_kept(name: str, wait: float, gemini: FakeGemini) -> None:
    turning = TurningClock(share=0.0)
    made = embedder(gemini, turning)
    gemini.misbehave("embed", name)
    made.embed_documents(TEXTS)
    assert wait - 0.01 <= sum(turning.slept) <= wait + 1.01


def test_a_pause_is_kept_by_every_embedder_of_the_process_with_that_key(
    gemini: FakeGemini,
) -> None:
    turning = TurningClock()
    told, other = embedder(gemini, turning, patience=5), embedder(gemini, turning)
    stranger = GeminiEmbedder(
        GoogleKeyring("another-key"), base_url=gemini.url, clock=turning.clock, dimensions=128
    )
    gemini.misbehave("embed", "throttled_seconds")
    with pytest.raises(RateLimited):
        told.embed_documents(TEXTS)
    stranger.embed_documents(TEXTS)
    assert turning.slept == [], "it is another key's"
    other.embed_documents(TEXTS)
    assert 7 <= sum(turning.slept) <= (7 + 1) * 1.5


def test_being_told_to_wait_is_no_failure(gemini: FakeGemini) -> None:
    made = embedder(gemini, TurningClock(share=0.0))
    gemini.misbehave("embed", "throttled_seconds", times=4 * ATTEMPTS)
    assert made.embed_documents(TEXTS).shape == (3, 128)
    assert made.embed_query("and now a query").shape == (128,)


def test_waiting_ends_with_patience(gemini: FakeGemini, turning: TurningClock) -> None:
    made = embedder(gemini, turning, patience=30)
    gemini.misbehave("embed", "throttled_seconds", times=100)
    before = turning.now()
    with pytest.raises(RateLimited) as raised:
        made.embed_documents(TEXTS)
    assert turning.now() - before <= 30
    assert raised.value.retry_after == 7.0


def test_a_query_waits_less_than_documents(gemini: FakeGemini, turning: TurningClock) -> None:
    made = embedder(gemini, turning, query_timeout=6)
    gemini.misbehave("embed", "throttled_seconds")
    with pytest.raises(RateLimited):
        made.embed_query("now, please")
    assert turning.slept == []


def test_waits_between_failures_grow_and_are_random(gemini: FakeGemini) -> None:
    longest, none = TurningClock(share=1.0), TurningClock(share=0.0)
    for turning in (longest, none):
        gemini.misbehave("embed", "unavailable", times=4)
        embedder(gemini, turning).embed_documents(TEXTS)
    assert longest.slept == [2.0, 4.0, 8.0, 16.0]
    assert sum(none.slept) == 0.0


def test_the_reason_the_service_gives_is_told_and_kept_as_the_cause(
    gemini: FakeGemini, turning: TurningClock
) -> None:
    gemini.misbehave("embed", "forbidden")
    with pytest.raises(KeyRefused, match="The caller does not have permission") as raised:
        embedder(gemini, turning).embed_documents(TEXTS)
    assert type(raised.value.__cause__).__name__ == "ClientError"


def test_an_answer_is_not_quoted_in_whole(gemini: FakeGemini, turning: TurningClock) -> None:
    gemini.misbehave("embed", "cut_json", times=2)
    with pytest.raises(AnswerInvalid) as raised:
        embedder(gemini, turning).embed_documents(TEXTS)
    assert (
        len(str(raised.value)) < 300
        and raised.value.__cause__ is None
        and raised.value.__suppress_context__
    )


def test_nobody_there_is_the_service_being_down(turning: TurningClock) -> None:
    made = GeminiEmbedder(GoogleKeyring("k"), base_url="http://127.0.0.1:1", clock=turning.clock)
    with pytest.raises(ServiceDown, match="no connection"):
        made.embed_documents(["x"])
    assert made.usage.lost_texts == 0, "it surely did not arrive"


def test_a_mistake_of_ours_stays_what_it_is(gemini: FakeGemini, turning: TurningClock) -> None:
    made = embedder(gemini, turning)
    made._passages._embed = lambda *_: [][0]
    with pytest.raises(IndexError):
        made.embed_documents(TEXTS)


def test_a_refused_key_is_not_taken_for_a_refused_text(
    gemini: FakeGemini, turning: TurningClock
) -> None:
    """It comes with status 400, as a bad text does."""
    gemini.refused_keys.add("key-of-this-test")
    with pytest.raises(KeyRefused, match="API key not valid"):
        embedder(gemini, turning).embed_documents([str(number) for number in range(50)])
    assert gemini.count("embed") == 1


def test_a_request_nobody_accepts_is_not_halved_to_the_end(
    gemini: FakeGemini, turning: TurningClock
) -> None:
    gemini.misbehave("embed", "bad_request", times=1_000)
    with pytest.raises(RequestRefused) as raised:
        embedder(gemini, turning).embed_documents([f"text {number}" for number in range(100)])
    assert not isinstance(raised.value, PassageRefused)
    assert gemini.count("embed") < 30
