"""No key is ever seen: not in an error, its causes or its traceback with all local variables, not
in a log, not in a repr.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring

from semantic_core.testing import FakeEmbeddings, TurningClock

KEYS = ("sk-every-day-1b2c3d4e5f", "sk-for-batches-6g7h8i9j")
OURS = ("semantic_core", "semantic_core_openai", "httpx2", "httpcore2", "tenacity", "h11", "json")
DEPTH = 7
SLOW = {"stall", "drip"}
ROUTES = ("embeddings", "list", "upload", "create", "job", "cancel", "file", "download")


class Everything(logging.Handler):
    """Keeps every record, as text, with the errors in it."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args!r} {record.__dict__!r}")


@pytest.fixture(autouse=True)
def log() -> Iterator[Everything]:
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
    elif not isinstance(value, type) and type(value).__module__.partition(".")[0] in OURS:
        if "testing" in type(value).__module__:
            return
        yield repr(value)
        yield from strings(getattr(value, "__dict__", {}), seen, depth + 1)
        if hasattr(value, "headers") and hasattr(value.headers, "raw"):
            yield from strings(value.headers.raw, seen, depth + 1)


def leaks(error: BaseException) -> list[str]:
    """Texts with a key in an error, all its causes, and the variables of all frames of ours."""
    found: list[str] = []
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        found += [str(one), repr(one), "".join(traceback.format_exception_only(one))]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] in OURS:
                found += list(strings(dict(frame.f_locals), set()))
    return [text[:200] for text in found if any(key in text for key in KEYS)]


def embedder(service: FakeEmbeddings, **options: Any) -> OpenAIEmbedder:
    given = {"timeout": 1.0, "clock": TurningClock().clock, **options}
    return OpenAIEmbedder(
        OpenAIKeyring(*KEYS), base_url=service.url, model="small", dimensions=64, **given
    )


def asks(made: OpenAIEmbedder, job: str) -> dict[str, Callable[[], object]]:
    """Everything public that speaks to the service, by a route it takes."""
    return {
        "embeddings": lambda: made.embed_documents(["one", "two", "three"]),
        "list": lambda: made.find("a job"),
        "upload": lambda: made.submit({"k": "text"}, "another"),
        "create": lambda: made.submit({"k": "text"}, "another"),
        "job": lambda: made.state(job),
        "cancel": lambda: made.cancel(made.submit({"k": "text"}, "one more")),
        "file": lambda: made.state(job),
        "download": lambda: list(made.results(job)),
    }


@pytest.mark.parametrize("route", ROUTES)
def test_no_error_on_any_route_shows_a_key(route: str, service: FakeEmbeddings) -> None:
    job = embedder(service).submit({"k": "text"}, "a job")
    service.finish(job)
    probes = 0
    for name in FakeEmbeddings.faults(route):
        if name in SLOW and route != "embeddings":
            continue
        service.behave()
        service.misbehave(route, name, times=30)
        made = embedder(service, timeout=0.1 if name in SLOW else 1.0)
        try:
            asks(made, job)[route]()
        except Exception as error:  # noqa: BLE001 - every one is looked at
            probes += 1
            assert leaks(error) == [], name
    assert probes >= 15


def test_no_connection_shows_no_key(service: FakeEmbeddings) -> None:
    made = OpenAIEmbedder(
        OpenAIKeyring(*KEYS),
        base_url="http://127.0.0.1:1/v1",
        model="m",
        dimensions=8,
        clock=TurningClock().clock,
    )
    for ask in asks(made, "batch_1").values():
        with pytest.raises(Exception, match="connection|row") as raised:
            ask()
        assert leaks(raised.value) == []


def test_nothing_one_holds_shows_a_key(service: FakeEmbeddings) -> None:
    made = embedder(service)
    made.embed_documents(["text"])
    made.find("nothing")
    for held in (made, made.batch_client(), made.usage, made.prices, made._service._http.get()):
        assert [
            text[:200] for text in strings(held, set()) if any(key in text for key in KEYS)
        ] == []


def test_another_host_is_never_given_the_key(service: FakeEmbeddings) -> None:
    made = embedder(service)
    with FakeEmbeddings() as elsewhere:
        with pytest.raises(Exception, match="not sent to") as raised:
            made._service._http.get().get(f"{elsewhere.url}/batches")
        assert elsewhere.requests == [] and leaks(raised.value) == []


def test_the_search_finds_a_key_where_there_is_one(
    service: FakeEmbeddings, log: Everything
) -> None:
    """A client of httpx2 by itself, with the key in its headers, fails the probe."""
    import httpx2

    service.misbehave("embeddings", "reset")
    with httpx2.Client(headers={"Authorization": f"Bearer {KEYS[0]}"}) as client:
        with pytest.raises(httpx2.HTTPError) as raised:
            client.post(f"{service.url}/embeddings", json={})
        assert leaks(raised.value)
    log.lines.clear()
