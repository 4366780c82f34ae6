"""The proxy the environment names is used, whatever the variable is called."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring
from semantic_core_gemini.errors import RequestRefused, ServiceDown

from semantic_core.errors import ConfigError
from semantic_core.remote.wire import _proxy_for

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
HOST = "gemini.invalid"


class Proxy(ThreadingHTTPServer):
    """Refuses everything, and knows what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Refusing)
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Refusing(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_error(418)

    do_CONNECT = do_POST


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def embedder(base_url: str = f"https://{HOST}") -> GeminiEmbedder:
    return GeminiEmbedder(
        GoogleKeyring("a-key"),
        base_url=base_url,
        dimensions=128,
        patience=0.01,
        query_timeout=5,
    )


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_asked(
    variable: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    with pytest.raises((RequestRefused, ServiceDown)):
        embedder().embed_documents(["text"])
    assert len(proxy.asked) == 1 and HOST in proxy.asked[0]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_what_goes_to_this_machine_in_the_clear_goes_through_no_proxy(
    variable: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    with pytest.raises(ServiceDown):
        embedder("http://127.0.0.1:1").embed_documents(["text"])
    assert proxy.asked == []


def test_the_variable_of_the_scheme_goes_before_the_one_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    assert _proxy_for("https", HOST) == "http://all:1"
    monkeypatch.setenv("HTTPS_PROXY", "scheme:1")
    assert (_proxy_for("https", HOST), _proxy_for("http", HOST)) == (
        "http://scheme:1",
        "http://all:1",
    )
    monkeypatch.setenv("NO_PROXY", HOST)
    assert _proxy_for("https", HOST) is None


@pytest.mark.parametrize(
    ("address", "hint"), [("socks5://", "socksio"), ("socks4://", "must begin with http://")]
)
def test_a_proxy_that_cannot_be_used_is_a_mistake_of_the_settings(
    address: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", f"{address}user:secret-of-the-proxy@127.0.0.1:1")
    with pytest.raises(ConfigError, match=hint) as raised:
        embedder().embed_documents(["text"])
    told = f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"
    assert address in told and "secret-of-the-proxy" not in told
