"""The key is added below the client, for its own host only, and masked in what comes back."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from semantic_core.errors import ConfigError
from semantic_core.remote import KeyPlace, Secret, http_client, wire

KEY = "sk-0123456789-of-nobody"
SECRET = Secret(KEY)
BEARER = KeyPlace()


class Echo(BaseHTTPRequestHandler):
    """Answers with what it got; /redirect leads elsewhere, /endless never ends."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", "http://localhost:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
        if self.path.startswith("/long"):
            body = b" " * 5_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Debug", self.headers.get("Authorization", ""))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def echo() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.seen = []  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def url(echo: Any, path: str = "") -> str:
    return f"http://127.0.0.1:{echo.server_address[1]}{path}"


Opened = Callable[..., httpx2.Client]


@pytest.fixture
def opened(echo: Any) -> Iterator[Opened]:
    clients = []

    def make(secret: Secret | None = SECRET, place: KeyPlace = BEARER) -> httpx2.Client:
        clients.append(
            http_client(
                secret,
                url(echo),
                place,
                plugin="test",
                heard=lambda answer: None,
                is_download=lambda path: path == "/long/download",
            )
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("place", "header", "value"),
    [
        (KeyPlace(), "Authorization", f"Bearer {KEY}"),
        (KeyPlace("api-key", ""), "Api-Key", KEY),
    ],
)
def test_the_key_is_on_the_wire_and_nowhere_else(
    place: KeyPlace, header: str, value: str, echo: Any, opened: Opened
) -> None:
    client = opened(place=place)
    answer = client.get(url(echo, "/x"))
    [(_, headers)] = echo.seen
    assert {name.title(): text for name, text in headers.items()}[header] == value
    assert KEY not in f"{client.headers} {answer.request.headers} {answer.headers} {answer.text}"
    assert "***" in answer.text, "the service quoted it"


def test_a_service_without_keys_gets_none(echo: Any, opened: Opened) -> None:
    opened(None).get(url(echo, "/x"))
    assert "Authorization" not in echo.seen[0][1]


def test_another_host_gets_neither_key_nor_request(echo: Any, opened: Opened) -> None:
    client = opened()
    port = echo.server_address[1]
    for address in (f"http://localhost:{port}/x", f"https://127.0.0.1:{port}/x"):
        with pytest.raises(httpx2.UnsupportedProtocol, match="not sent to"):
            client.get(address)
    assert echo.seen == []


def test_a_redirect_is_not_followed(echo: Any, opened: Opened) -> None:
    assert opened().get(url(echo, "/redirect")).status_code == 302
    assert len(echo.seen) == 1


def test_a_masked_parameter_is_put_back_where_the_service_gave_it(
    echo: Any, opened: Opened
) -> None:
    client = opened(place=KeyPlace("X-Key", "", parameter="key"))
    client.get(url(echo, "/x?key=***&other=***"))
    assert parse_qs(urlsplit(echo.seen[0][0]).query) == {"key": [KEY], "other": ["***"]}


def test_an_answer_has_an_end_and_a_download_need_not(
    echo: Any, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1_000)
    client = opened()
    with pytest.raises(httpx2.RemoteProtocolError, match="longer than 1,000 bytes"):
        client.get(url(echo, "/long"))
    with client.stream("GET", url(echo, "/long/download")) as answer:
        assert sum(len(piece) for piece in answer.iter_bytes()) == 5_000


def test_the_loggers_of_the_client_mask_the_key(
    echo: Any, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    client = opened()
    client.get(url(echo, "/x"))
    logging.getLogger("httpcore2.http11").warning("quoting %s", KEY)
    assert KEY not in caplog.text and "quoting ***" in caplog.text


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks9://me:secret@127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigError, match="test: the socks9:// proxy") as raised:
        http_client(
            None,
            "https://somewhere.invalid",
            KeyPlace(),
            plugin="test",
            heard=lambda answer: None,
            is_download=lambda path: False,
        )
    assert "secret" not in str(raised.value)
