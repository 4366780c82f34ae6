"""A keyring has one key for interactive calls and one for batch jobs, and shows neither."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import pytest
from fake_gemini import FakeGemini
from google.genai import Client
from semantic_core_gemini import GeminiBatchClient, GeminiEmbedder, GoogleKeyring
from semantic_core_gemini.errors import BatchKeyMissing, KeyMalformed, KeyMissing

from semantic_core.errors import ConfigError
from semantic_core.remote import Secret

EVERY_DAY, BATCH = "AIza-every-day-0123456789", "AIza-batch-9876543210"


def test_both_spellings_give_the_same_keyring() -> None:
    rings = [
        GoogleKeyring(EVERY_DAY, BATCH),
        GoogleKeyring(default_key=EVERY_DAY, batch_key=BATCH),
        GoogleKeyring(default=EVERY_DAY, batch=BATCH),
        GoogleKeyring.from_env({"GEMINI_API_KEY": EVERY_DAY, "GEMINI_BATCH_KEY": f" {BATCH}\n"}),
        GoogleKeyring.from_env(
            {"GOOGLE_API_KEY": EVERY_DAY, "GEMINI_BATCH_KEY": BATCH, "GEMINI_API_KEY": " "}
        ),
    ]
    assert len(set(rings)) == 1
    assert rings[0].default_key == EVERY_DAY and rings[0].batch_key == BATCH
    assert rings[0].default_key.reveal() == EVERY_DAY
    assert GoogleKeyring(EVERY_DAY).batch_key is None


def test_the_environment_is_read_when_no_keyring_is_given(
    monkeypatch: pytest.MonkeyPatch, gemini: FakeGemini
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", EVERY_DAY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", f"{gemini.url}/")
    GeminiEmbedder(dimensions=128).embed_query("hello")
    assert gemini.requests == [("embed", EVERY_DAY)]


@pytest.mark.parametrize(
    "make", [GoogleKeyring, lambda: GoogleKeyring.from_env({}), GeminiEmbedder, GeminiBatchClient]
)
def test_without_a_key_nothing_is_made(make: Any) -> None:
    with pytest.raises(KeyMissing, match="GEMINI_API_KEY") as raised:
        make()
    assert isinstance(raised.value, ConfigError)


def test_a_batch_without_its_own_key_is_refused_before_anything_is_sent(gemini: FakeGemini) -> None:
    ring = GoogleKeyring(EVERY_DAY)
    embedder = GeminiEmbedder(ring, base_url=gemini.url)

    asks: list[Any] = [
        ring.for_batches,
        lambda: GeminiBatchClient(ring, base_url=gemini.url),
        embedder.batch_client,
        lambda: embedder.submit({"k": "text"}, "a job"),
        lambda: embedder.find("a job"),
        lambda: embedder.state("batches/b1"),
        lambda: embedder.results("batches/b1"),
        lambda: embedder.cancel("batches/b1"),
        lambda: embedder.clean_up("batches/b1"),
    ]
    for ask in asks:
        with pytest.raises(
            ValueError, match="Batch operations require a dedicated API key"
        ) as raised:
            ask()
        assert isinstance(raised.value, BatchKeyMissing) and isinstance(raised.value, ConfigError)
    assert gemini.requests == []


def test_each_price_tier_uses_its_own_key_and_never_the_other(gemini: FakeGemini) -> None:
    embedder = GeminiEmbedder(GoogleKeyring(EVERY_DAY, BATCH), base_url=gemini.url, dimensions=128)
    embedder.embed_query("a query")
    embedder.embed_documents(["a passage"])
    job = embedder.submit({"key": "a passage"}, "a job")
    gemini.finish(job)
    dict(embedder.results(job))
    embedder.find("a job")
    embedder.clean_up(job)
    interactive = {"embed", "count"}
    assert {key for route, key in gemini.requests if route in interactive} == {EVERY_DAY}
    assert {key for route, key in gemini.requests if route not in interactive} == {BATCH}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "   ",
        "two words",
        "ключ",
        "tab\tinside",
        "line\nbreak",
        12345,
        b"bytes",
        ["a"],
        "\x00null",
        "é" * 30,
    ],
)
@pytest.mark.parametrize("place", ["default_key", "batch_key", "default", "batch"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(key: Any, place: str) -> None:
    with pytest.raises(KeyMalformed) as raised:
        GoogleKeyring(
            **{"default_key" if place.startswith("batch") else "batch_key": EVERY_DAY, place: key}
        )
    told = f"{raised.value} {raised.value!r}"
    assert EVERY_DAY not in told and (len(str(key).strip()) < 5 or str(key) not in told)


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(KeyMalformed, match="twice"):
        GoogleKeyring(EVERY_DAY, default=BATCH)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GoogleKeyring(EVERY_DAY, EVERY_DAY),
        lambda: GoogleKeyring(default=EVERY_DAY, batch=Secret(f"{EVERY_DAY}")),
        lambda: GoogleKeyring(EVERY_DAY, batch=f" {EVERY_DAY}\n"),
        lambda: GoogleKeyring.from_env(
            {"GEMINI_API_KEY": EVERY_DAY, "GEMINI_BATCH_KEY": EVERY_DAY}
        ),
    ],
)
def test_one_key_does_not_stand_in_both_places(make: Any) -> None:
    """Quotas are a project's: it would keep nothing from anything."""
    with pytest.raises(KeyMalformed, match="the same key.*another project") as raised:
        make()
    assert EVERY_DAY not in str(raised.value)


def test_of_two_variables_the_one_google_genai_uses_counts_and_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch, gemini: FakeGemini, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", EVERY_DAY)
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza-of-google-0123456789")
    GeminiEmbedder(dimensions=128, base_url=gemini.url).embed_query("hello")
    assert gemini.requests == [("embed", "AIza-of-google-0123456789")]
    assert "API_KEY" not in caplog.text
    with Client(vertexai=False) as client:
        assert client._api_client.api_key == "AIza-of-google-0123456789"
    assert "Using GOOGLE_API_KEY" in caplog.text, "a client of somebody else may say it"


def test_a_keyring_shows_no_key_whatever_is_done_with_it() -> None:
    ring = GoogleKeyring(EVERY_DAY, BATCH)
    assert "AIza" not in (
        f"{ring} {ring!r} {ring.default_key} {ring.default_key!r} "
        f"{ring.default_key:>40} {vars(Secret)}"
    )
    assert "AIza" not in repr(attrs.asdict(ring)) and "AIza" not in json.dumps(
        attrs.asdict(ring), default=str
    )
    for unseen in (ring, ring.default_key, attrs.asdict(ring)):
        with pytest.raises(TypeError):
            json.dumps(unseen)
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(unseen)
    assert copy.deepcopy(ring) == ring == copy.copy(ring)
    assert ring.default_key != BATCH and ring.default_key != 5 and Secret("x") == Secret("x")


def test_a_keyring_does_not_change() -> None:
    ring = GoogleKeyring(EVERY_DAY)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ring.batch_key = Secret("new")  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ring.default_key._text = "new"
