"""No key is ever seen: not in an error, its causes or its traceback with all local variables,
not in a log, not in a repr.

Every public way to fail is walked, with logging at its most talkative, and everything that can be
reached is searched.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import pytest
from fake_gemini import FAULTS, FakeGemini
from semantic_core_gemini import GeminiBatchClient, GeminiEmbedder, GoogleKeyring
from semantic_core_gemini.errors import KeyMalformed
from semantic_core_gemini.wire import keyed_client

from semantic_core.remote import wire
from semantic_core.testing import TurningClock

KEYS = ("AIzaSy-every-day-1b2c3d4e5f", "AIzaSy-for-batches-6g7h8i9j")
TEXTS = ["one", "two", "three"]
OURS = (
    "semantic_core",
    "semantic_core_gemini",
    "google",
    "httpx2",
    "httpcore2",
    "pydantic",
    "tenacity",
    "ssl",
    "socket",
    "h11",
    "json",
)
DEPTH = 7
SLOW = {"stall", "drip", "endless"}
"""Faults that take their time, tried on one way to the service."""
KINDS = {
    "echo_key",
    "echo_key_garbled",
    "echo_key_packed",
    "reset",
    "cut_body",
    "cut_json",
    "forbidden",
    "not_found",
}
KINDS |= {
    "throttled",
    "quota_of_the_day",
    "unavailable",
    "html",
    "redirect",
    "bad_request",
    "garbled_gzip",
}
"""One fault of each kind."""


PROBES: list[int] = []
"""How many errors were searched, by route."""


class Everything(logging.Handler):
    """Keeps every record, as text, with the errors in it."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args!r} {record.__dict__!r}")


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Everything]:
    monkeypatch.setattr(wire, "MOST_BYTES", 1 << 20)
    handler, root = Everything(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)
    assert not [line for line in handler.lines if any(key in line for key in KEYS)]


def strings(value: object, seen: set[int], depth: int = 0) -> Iterator[str]:
    """Every text that can be reached from a value: in containers, attributes, and by repr."""
    if id(value) in seen or depth > DEPTH:
        return
    seen.add(id(value))
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray):
        yield bytes(value).decode("latin-1")
    elif isinstance(value, dict):
        for key, inside in list(value.items()):
            yield from strings(key, seen, depth + 1)
            yield from strings(inside, seen, depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for inside in list(value):
            yield from strings(inside, seen, depth + 1)
    elif not isinstance(value, type) and type(value).__module__.split(".")[0] not in (
        "builtins",
        "threading",
        "fake_gemini",
    ):
        yield from _repr(value)
        yield from strings(getattr(value, "__dict__", {}), seen, depth + 1)
        if hasattr(value, "headers") and hasattr(value.headers, "raw"):
            yield from strings(value.headers.raw, seen, depth + 1)


def fitting(route: str) -> set[str]:
    """Every fault where texts are embedded; elsewhere one of each kind."""
    fit = {name for name, fault in FAULTS.items() if fault.route in ("", route)}
    return fit if route == "embed" else (fit & KINDS) | {name for name in fit if FAULTS[name].route}


def _repr(value: object) -> Iterator[str]:
    with suppress(AttributeError):  # one that was still being made when the error came
        yield repr(value)


def frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def visible(error: BaseException) -> Iterator[str]:
    """Everything somebody who is handed an error can get to see: all causes,
    all frames but those of the tests.
    """
    chain: list[BaseException] = [error]
    for one in chain:
        chain += [
            other
            for other in (one.__cause__, one.__context__)
            if other is not None and other not in chain
        ]
        yield from strings([str(one), repr(one), one.args, vars(one)], set())
        yield "".join(traceback.format_exception(one))
        for frame in frames(one.__traceback__):
            if str(frame.f_globals.get("__name__", "")).split(".")[0] in OURS:
                # The hidden text of a Secret is in a slot: to get at it one has to ask for it by
                # name.
                yield from strings(dict(frame.f_locals), set())


def leaks(error: BaseException) -> list[str]:
    return [text[:200] for text in visible(error) if any(key in text for key in KEYS)]


def embedder(gemini: FakeGemini, turning: TurningClock, **options: Any) -> GeminiEmbedder:
    given = {
        "dimensions": 128,
        "timeout": 1.0,
        "base_url": gemini.url,
        "clock": turning.clock,
        **options,
    }
    return GeminiEmbedder(GoogleKeyring(*KEYS), **given)


def asks(made: GeminiEmbedder) -> dict[str, Callable[[], object]]:
    """Everything public that speaks to the service, by the route it takes first."""
    batches = made.batch_client()
    many = {f"k{number}": f"text {number}" for number in range(150)}
    return {
        "embed": lambda: made.embed_documents(TEXTS),
        "embed query": lambda: made.embed_query("a query"),
        "count": lambda: made.estimate(TEXTS),
        "list": lambda: batches.find("a job"),
        "create": lambda: made.submit({"k": "text"}, "a job"),
        "upload": lambda: made.submit(many, "a job"),
        "piece": lambda: made.submit(many, "a job"),
        "get": lambda: batches.state("batches/b1"),
        "get results": lambda: list(batches.retrieve_results("batches/b1")),
        "cancel": lambda: batches.cancel("batches/b1"),
        "delete": lambda: batches.delete("batches/b1"),
    }


@pytest.mark.parametrize("route", list(asks(GeminiEmbedder(GoogleKeyring("a", "b")))))
def test_no_error_on_any_route_shows_a_key(
    route: str, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.genai._api_client.INITIAL_RETRY_DELAY", 0)
    probes = 0
    for name in fitting(route) - (set() if route == "embed" else SLOW):
        with_fault = embedder(gemini, TurningClock(), timeout=0.1 if name in SLOW else 1.0)
        gemini.behave()
        gemini.misbehave(route.split()[0], name, times=30)
        try:
            asks(with_fault)[route]()
        except Exception as error:  # noqa: BLE001 - every one is looked at
            probes += 1
            assert leaks(error) == [], name
    PROBES.append(probes)
    assert probes >= 9


def test_results_that_cannot_be_fetched_show_no_key(
    gemini: FakeGemini, turning: TurningClock
) -> None:
    made = embedder(gemini, turning)
    job = made.submit({f"k{number}": f"text {number}" for number in range(150)}, "a job")
    gemini.finish(job)
    probes = 0
    for name in (
        fitting("download") - {name for name, fault in FAULTS.items() if fault.billed} - SLOW
    ):
        gemini.behave()
        gemini.misbehave("download", name, times=30)
        try:
            list(embedder(gemini, TurningClock()).results(job))
        except Exception as error:  # noqa: BLE001 - every one is looked at
            probes += 1
            assert leaks(error) == [], name
    assert probes >= 10


def test_no_connection_shows_no_key(turning: TurningClock) -> None:
    made = GeminiEmbedder(GoogleKeyring(*KEYS), base_url="http://127.0.0.1:1", clock=turning.clock)
    for ask in asks(made).values():
        with pytest.raises(Exception, match="connection|resting|row") as raised:
            ask()
        assert leaks(raised.value) == []


def test_another_host_is_never_given_the_key(gemini: FakeGemini) -> None:
    client = keyed_client(GoogleKeyring(*KEYS).default_key, gemini.url, lambda answer: None)
    with FakeGemini() as elsewhere, client:
        with pytest.raises(Exception, match="not sent to") as raised:
            client.get(f"{elsewhere.url}/v1beta/batches")
        assert elsewhere.requests == [] and leaks(raised.value) == []


def test_an_upload_address_that_holds_the_key_is_of_use_and_masked(
    gemini: FakeGemini, turning: TurningClock
) -> None:
    gemini.key_in_upload_url = True
    made = embedder(gemini, turning)
    made.submit({f"k{number}": f"text {number}" for number in range(150)}, "a job")
    assert gemini.query_keys == [KEYS[1]]


def test_nothing_one_holds_shows_a_key(gemini: FakeGemini, turning: TurningClock) -> None:
    made = embedder(gemini, turning)
    made.embed_documents(TEXTS)
    made.find("nothing")
    client = made._service._clients.get()[0]
    for held in (
        made,
        made.batch_client(),
        made.usage,
        made.prices,
        client,
        client._api_client,
        client._api_client._http_options,
    ):
        assert [
            text[:200] for text in strings(held, set()) if any(key in text for key in KEYS)
        ] == []


@pytest.mark.parametrize("key", [f"{KEYS[0]} with a blank", f"{KEYS[0]}\n{KEYS[1]}", f"ё{KEYS[0]}"])
def test_a_malformed_key_is_in_no_frame_of_ours(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", key)
    for make in (GoogleKeyring.from_env, GeminiEmbedder, GeminiBatchClient):
        with pytest.raises(KeyMalformed) as raised:
            make()
        assert leaks(raised.value) == []
    given = {"default_key": key}
    with pytest.raises(KeyMalformed) as raised:
        GoogleKeyring(**given)
    assert leaks(raised.value) == []


def test_a_missing_key_shows_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_BATCH_KEY", KEYS[1])
    with pytest.raises(Exception, match="GEMINI_API_KEY") as raised:
        GeminiEmbedder()
    assert leaks(raised.value) == []


def test_the_search_finds_a_key_where_there_is_one(gemini: FakeGemini, log: Everything) -> None:
    """The client of google-genai by itself, with its own key, fails every probe:
    the search would see it.
    """
    from google.genai import Client, types

    with Client(
        api_key=KEYS[0], vertexai=False, http_options=types.HttpOptions(base_url=gemini.url)
    ) as client:
        gemini.misbehave("embed", "echo_key")
        gemini.misbehave("embed", "reset")
        for _ in range(2):
            with pytest.raises(Exception) as raised:
                client.models.embed_content(model="gemini-embedding-001", contents=["x"])
            assert leaks(raised.value)
    # That client writes its key down as well, unless one of ours happens to be alive and masks it.
    log.lines.clear()
