"""A server that runs and is connected to: by whom, under which name, and with which token."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from semantic_core_mcp import http as over
from semantic_core_mcp.http import MOST_BODY, Address
from semantic_core_mcp.tokens import VARIABLE, token_of
from serving import over_http, process

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import ConfigError

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105
EVERYWHERE = "0.0.0.0"  # noqa: S104
WORDS = {"SEMANTIC_CORE_EMBEDDER": "none"}
CALL = {
    "jsonrpc": "2.0",
    "id": 3,
    "method": "tools/call",
    "params": {"name": "search", "arguments": {"query": "beans"}},
}
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-06-18",
}


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "notes.db"
    with SemanticCore(path=path, embedder=None, plugins=["sqlite"]) as core:
        core.ingest(Document(Ref("notes", "1"), "Beans climb the wall."))
    return path


@pytest.fixture(scope="module")
def url(notes: Path) -> Iterator[str]:
    """A server for everybody on this machine."""
    with over_http("--db", str(notes), variables=WORDS) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(notes: Path) -> Iterator[str]:
    """A server with a token."""
    with over_http("--db", str(notes), variables={**WORDS, VARIABLE: TOKEN}) as found:
        yield found


def posted(
    url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, **more: str
) -> tuple[int, bytes]:
    """Status and body of one request."""
    place = urlsplit(url)
    assert place.hostname and place.port
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    try:
        content = json.dumps(CALL).encode() if body is None else body
        sent = {**HEADERS, **(headers or {})}
        connection.request(more.get("method", "POST"), more.get("path", "/mcp"), content, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def talk(
    url: str,
    do: Callable[[Client], Coroutine[Any, Any, None]],
    *,
    mode: str = "auto",
    headers: Mapping[str, str] | None = None,
) -> None:
    async def main() -> None:
        async with (
            httpx2.AsyncClient(headers=dict(headers or {})) as web,
            Client(streamable_http_client(url, http_client=web), mode=mode) as client,
        ):
            await do(client)

    asyncio.run(main())


async def find_beans(client: Client) -> None:
    answer = await client.call_tool("search", {"query": "beans"})
    assert [hit["key"] for hit in answer.structured_content["hits"]] == ["1"]
    listed = await client.list_resources()
    assert [each.name for each in listed.resources] == ["notes/1"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_connects_and_searches(mode: str, url: str) -> None:
    talk(url, find_beans, mode=mode)


def test_calls_side_by_side_each_get_their_own_answer(url: str) -> None:
    async def do(client: Client) -> None:
        async def one(number: int) -> None:
            given = {"query": "beans", "limit": 20 if number % 2 else 0}
            answer = await client.call_tool("search", given)
            assert answer.is_error is (number % 2 == 0)

        await asyncio.gather(*[one(number) for number in range(30)])

    talk(url, do)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_connects_with_the_token(mode: str, guarded: str) -> None:
    talk(guarded, find_beans, mode=mode, headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"bearer {TOKEN.upper()}"},
        {"X-Authorization": f"Bearer {TOKEN}"},
        {"Authorization": "Bearer \xff\xfe"},
    ],
)
def test_without_the_token_nothing_is_answered(given: Mapping[str, str], guarded: str) -> None:
    for method, path in (("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("POST", "/x")):
        status, body = posted(guarded, given, method=method, path=path)
        assert (status, body) == (401, b"A token is needed.\n")
    assert posted(guarded, {"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_page_that_calls_the_server_by_a_name_of_its_own_is_refused(url: str) -> None:
    port = urlsplit(url).port
    assert posted(url)[0] == 200
    assert posted(url, {"Host": f"localhost:{port}"})[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1:1", f"127.0.0.1.evil:{port}"):
        for age in ("2025-06-18", "2026-07-28"):
            status, body = posted(url, {"Host": host, "MCP-Protocol-Version": age})
            assert (status, body) == (421, b"Invalid Host header"), (host, age)


def test_a_page_of_another_origin_is_refused(url: str) -> None:
    port = urlsplit(url).port
    assert posted(url, {"Origin": f"http://127.0.0.1:{port}"})[0] == 200
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        f"https://localhost:{port}",
    ):
        for age in ("2025-06-18", "2026-07-28"):
            status, body = posted(url, {"Origin": origin, "MCP-Protocol-Version": age})
            assert (status, body) == (403, b"Invalid Origin header"), (origin, age)


def test_only_messages_are_answered(url: str) -> None:
    for method in ("GET", "DELETE", "PUT", "OPTIONS"):
        status, body = posted(url, method=method)
        assert (status, body) == (405, b"Send each message with POST.\n")
    assert posted(url, path="/")[0] == 404
    assert posted(url, {"Content-Type": "text/plain"})[0] == 400
    assert posted(url, body=b"\x00\xff" * 100)[0] == 400
    assert posted(url, body=b"[")[0] == 400
    status, body = posted(url, body=b" " * (MOST_BODY + 1))
    assert (status, body) == (413, b"Request body too large")
    assert posted(url)[0] == 200


def test_no_answer_names_the_software_that_gave_it(url: str) -> None:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
    connection.request("POST", "/mcp", json.dumps(CALL), HEADERS)
    headers = {name.lower() for name, _ in connection.getresponse().getheaders()}
    connection.close()
    assert "server" not in headers


# What the operator may open


@pytest.mark.parametrize(
    ("address", "token", "told"),
    [
        (Address(EVERYWHERE), None, "0.0.0.0 can be reached from other machines"),
        (Address("::"), None, ":: can be reached from other machines"),
        (Address("192.0.2.7"), None, "192.0.2.7 can be reached from other machines"),
        (Address(EVERYWHERE), TOKEN, "0.0.0.0 has no name by which other machines call it"),
        (Address("search.example"), TOKEN, "--host must be an IP address or localhost"),
        (Address(""), TOKEN, "--host must be an IP address or localhost"),
    ],
)
def test_other_machines_are_let_in_with_a_token_and_a_name_only(
    address: Address, token: str | None, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        over.check(address, token)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.10"])
def test_this_machine_needs_no_token(host: str) -> None:
    over.check(Address(host), None)


def test_other_machines_are_let_in_with_a_token_and_a_name() -> None:
    over.check(Address(EVERYWHERE, names=("search.example:8765",)), TOKEN)
    over.check(Address("192.0.2.7"), TOKEN)


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Cannot listen to 127.0.0.1 port {port}: "):
            over.listen(Address(port=port))
    with pytest.raises(ConfigError, match="Cannot listen to 192.0.2.7"):
        over.listen(Address("192.0.2.7", 0))


def test_a_token_is_read_from_a_file_or_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert token_of(None) is None
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert token_of(None) == TOKEN
    (folder / "token").write_text(f"{TOKEN}2\n")
    assert token_of("token") == f"{TOKEN}2"
    with pytest.raises(ConfigError, match="'none' cannot be read: No such file"):
        token_of("none")
    (folder / "token").write_bytes(b"\xff\xfe\x00" * 20)
    with pytest.raises(ConfigError, match="'token' cannot be read: it is no text"):
        token_of("token")


GUESSED = ("", " ", "short", "x" * 15, "two words of a token", "tökentökentöken")


@pytest.mark.parametrize("token", GUESSED)
def test_a_token_that_can_be_guessed_or_not_sent_is_refused_without_being_shown(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, token)
    with pytest.raises(ConfigError) as caught:
        token_of(None)
    assert f"{VARIABLE} must hold a token" in caught.value.message
    assert not token.strip() or token not in str(caught.value)


def test_ctrl_c_ends_it_well(notes: Path) -> None:
    running = process("--http", "--port", "0", "--db", str(notes), variables=WORDS)
    assert running.stderr
    line = running.stderr.readline()
    assert line.startswith(b"Serving over HTTP at http://127.0.0.1:")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (0, b"", b"")


def test_the_token_of_a_server_is_in_no_line_of_it(notes: Path) -> None:
    variables = {**WORDS, VARIABLE: TOKEN}
    running = process("--http", "--port", "0", "--db", str(notes), variables=variables)
    assert running.stderr
    line = running.stderr.readline().decode()
    running.terminate()
    _, err = running.communicate(timeout=20)
    assert TOKEN not in f"{line}{err.decode()}"
    assert os.environ.get(VARIABLE) is None
