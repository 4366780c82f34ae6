"""The HTTP transport: the only layer that knows the key, and adds it to requests.

A client above it, such as a provider's SDK, is given no key. What that client stores, logs or
raises (requests with headers, answers that quote them, local variables of its frames) therefore
contains none. Answers are read completely here, within limits of time and size; only downloads are
streamed.

Importing this module loads the HTTP client.

Tested by tests/remote/test_wire.py, plugins/semantic-core-gemini/tests/test_leaks.py and
plugins/semantic-core-gemini/tests/test_proxy.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakValueDictionary

import httpx2

from semantic_core.errors import ConfigError
from semantic_core.remote.key_place import KeyPlace
from semantic_core.remote.keys import MASK, Secret

MOST_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of an answer; a hundred vectors of the largest size are about 7 MB."""
CONNECT_SECONDS: Final = 10.0
_TALKATIVE: Final = ("connection", "http11", "http2", "proxy", "socks")
"""Loggers of httpcore2 that log the headers of answers, which could quote a key."""


class _Masking(logging.Filter):
    """Masks the keys in use in log records."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: WeakValueDictionary[int, Secret] = WeakValueDictionary()

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove keys from the record, and let it pass."""
        message = record.getMessage()
        masked = message
        for secret in list(self.secrets.values()):
            masked = secret.mask(masked)
        if masked != message:
            record.msg = masked
            record.args = ()
        return True


_masking = _Masking()


class KeyedTransport(httpx2.BaseTransport):
    """Adds the key to requests, only for the host it belongs to, and masks it in answers.

    Requests to any other host are refused, with or without a key. secret: None for a service
    without keys. place: where the key goes in a request. is_download: whether the answer to a
    request of this path may be of any length, and is streamed. plugin: the name that messages
    begin with. inner: the transport that sends; by default that of httpx2, through the proxy that
    the environment names.
    """

    def __init__(
        self,
        secret: Secret | None,
        base_url: str,
        place: KeyPlace,
        is_download: Callable[[str], bool],
        plugin: str,
        inner: httpx2.BaseTransport | None = None,
    ) -> None:
        self._secret = secret
        self._place = place
        self._is_download = is_download
        address = urlsplit(base_url)
        self._home = (
            address.scheme,
            address.hostname,
            address.port or {"https": 443, "http": 80}.get(address.scheme),
        )
        self._inner = inner or _transport(address.scheme, address.hostname or "", plugin)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer. Raises copies of httpx2's errors, without the frames that contain the key."""
        answer = self._answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _answer(self, request: httpx2.Request) -> httpx2.Response | Exception:
        try:
            response = self._inner.handle_request(self._keyed(request))
            headers = [(name, self._masked(value)) for name, value in response.headers.raw]
            is_download = self._is_download(request.url.path)
            if is_download and response.status_code == httpx2.codes.OK:
                return httpx2.Response(
                    response.status_code, headers=headers, stream=_Download(response, self._copy_of)
                )
            body = self._masked(_whole(response, request))
            return httpx2.Response(response.status_code, headers=_of_body(headers), content=body)
        except Exception as error:  # noqa: BLE001 - it is raised as a copy
            return self._copy_of(error)

    def _keyed(self, request: httpx2.Request) -> httpx2.Request:
        url = request.url
        port = url.port or {"https": 443, "http": 80}.get(url.scheme)
        if (url.scheme, url.host, port) != self._home:
            raise httpx2.UnsupportedProtocol(f"The key is not sent to {url.host}.")
        if self._secret is None:
            return request
        named = self._place.parameter
        if named and url.params.get(named) == MASK:  # from an answer, and masked there
            url = url.copy_set_param(named, self._secret.reveal())
        headers = httpx2.Headers(request.headers)
        headers[self._place.header] = f"{self._place.prefix}{self._secret.reveal()}"
        return httpx2.Request(
            request.method,
            url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )

    def _masked(self, text: bytes) -> bytes:
        if self._secret is None or self._secret.reveal().encode() not in text:
            return text
        return self._secret.mask(text.decode("latin-1")).encode("latin-1")

    def _copy_of(self, error: Exception) -> Exception:
        """A copy of an error, with the same type and text, without traceback and context."""
        text = str(error) if self._secret is None else self._secret.mask(str(error))
        kind = type(error) if isinstance(error, httpx2.TransportError) else httpx2.TransportError
        return kind(text or type(error).__name__)


class _Download(httpx2.SyncByteStream):
    """The body of a download, piece by piece; its errors are raised as copies, too."""

    def __init__(
        self, response: httpx2.Response, copy_of: Callable[[Exception], Exception]
    ) -> None:
        self._response = response
        self._copy_of = copy_of

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._response.stream)  # type: ignore[arg-type]
        while True:
            piece = self._next(pieces)
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        self._response.close()

    def _next(self, pieces: Iterator[bytes]) -> bytes | Exception | None:
        try:
            return next(pieces, None)
        except Exception as error:  # noqa: BLE001 - it is raised as a copy
            return self._copy_of(error)


def _whole(response: httpx2.Response, request: httpx2.Request) -> bytes:
    """The whole body, decompressed.

    Raises ReadTimeout if it takes longer than the timeout, even if bytes keep coming.
    """
    seconds = request.extensions.get("timeout", {}).get("read")
    until = None if seconds is None else time.monotonic() + seconds
    body = bytearray()
    try:
        for piece in response.stream:  # type: ignore[union-attr]
            body += piece
            if len(body) > MOST_BYTES:
                raise httpx2.RemoteProtocolError(f"The answer is longer than {MOST_BYTES:,} bytes.")
            if until is not None and time.monotonic() > until:
                raise httpx2.ReadTimeout(f"The answer took longer than {seconds} seconds.")
    finally:
        response.close()
    raw = httpx2.Response(response.status_code, headers=response.headers, content=bytes(body))
    return raw.content


def _of_body(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that still apply to a body after it was read and decompressed."""
    gone = (b"content-length", b"transfer-encoding", b"content-encoding")
    return [(name, value) for name, value in headers if name.lower() not in gone]


def _transport(scheme: str, host: str, plugin: str) -> httpx2.HTTPTransport:
    """The transport that sends. Raises ConfigError for a proxy that cannot be used.

    http:// is only for this machine and uses no proxy, which could read the key.
    """
    proxy = _proxy_for(scheme, host) if scheme == "https" else None
    try:
        # Certificates are loaded only for https, because that is slow.
        return httpx2.HTTPTransport(verify=scheme == "https", proxy=proxy)
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        if proxy is None:
            raise
        hint = (
            "Install socksio (pip install socksio), or use an http:// proxy."
            if isinstance(error, ImportError)
            else "Its URL must begin with http://, https://, socks5:// or socks5h://."
        )
    # Only the scheme is shown, because the URL of a proxy may contain a password.
    raise ConfigError(
        f"{plugin}: the {urlsplit(proxy).scheme}:// proxy in {scheme.upper()}_PROXY or ALL_PROXY "
        "cannot be used.",
        hint=hint,
    )


def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy of the environment for this host: that of the scheme, else ALL_PROXY."""
    proxies = getproxies()
    proxy = None if proxy_bypass(host) else proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def http_client(
    secret: Secret | None,
    base_url: str,
    place: KeyPlace,
    *,
    plugin: str,
    heard: Callable[[httpx2.Response], None],
    is_download: Callable[[str], bool],
    inner: httpx2.BaseTransport | None = None,
) -> httpx2.Client:
    """An HTTP client for this host with this key. heard: called with each answer.

    It follows no redirects, which could send the texts to another host. The other arguments are
    those of `KeyedTransport`. Raises ConfigError for a proxy that cannot be used.
    """
    if secret is not None:
        _masking.secrets[id(secret)] = secret
    for name in _TALKATIVE:
        logging.getLogger(f"httpcore2.{name}").addFilter(_masking)
    return httpx2.Client(
        transport=KeyedTransport(secret, base_url, place, is_download, plugin, inner),
        timeout=httpx2.Timeout(60.0, connect=CONNECT_SECONDS),
        trust_env=False,
        event_hooks={"response": [heard]},
    )
