"""The lowest layer: it alone knows the key in the clear, and puts it on the wire.

The google-genai client above it is made with a placeholder. What it, or the HTTP client below it,
keeps, logs or raises (a request with its headers, an answer that quotes them, the local variables
of their frames) therefore holds no key: nothing has to be cleaned later on. Answers are read here
in whole, within a time and a size; only downloads are streamed.
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
from semantic_core_gemini.keys import MASK, Secret

KEY_HEADER: Final = "x-goog-api-key"
PLACEHOLDER: Final = "put-on-the-wire-later"
"""What the client above believes to be its key."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Longest answer read into memory; a hundred vectors of the largest size are about 7 MB."""
CONNECT_SECONDS: Final = 10.0
_DOWNLOAD: Final = ":download"
_TALKATIVE: Final = ("connection", "http11", "http2", "proxy", "socks")
"""Loggers below httpcore2 that write the headers of answers down:
a service that quotes a key would have it logged.
"""


class _Masking(logging.Filter):
    """Masks the keys in use in what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: WeakValueDictionary[int, Secret] = WeakValueDictionary()

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass, without keys."""
        told = record.getMessage()
        masked = told
        for secret in list(self.secrets.values()):
            masked = secret.mask(masked)
        if masked != told:
            record.msg = masked
            record.args = ()
        return True


_masking = _Masking()


class KeyedTransport(httpx2.BaseTransport):
    """Sends requests with the key, and only to the host it belongs to; masks it in what comes back.

    inner: what does the sending; by default the one of httpx2, through the proxy the environment
    names.
    """

    def __init__(
        self, secret: Secret, base_url: str, inner: httpx2.BaseTransport | None = None
    ) -> None:
        self._secret = secret
        address = urlsplit(base_url)
        self._home = (
            address.scheme,
            address.hostname,
            address.port or {"https": 443, "http": 80}.get(address.scheme),
        )
        self._inner = inner or _transport(address.scheme, address.hostname or "")

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer. Raises what httpx2 raises, made anew:
        without the frames in which the key was.
        """
        answer = self._answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Let go of the connections."""
        self._inner.close()

    def _answer(self, request: httpx2.Request) -> httpx2.Response | Exception:
        try:
            response = self._inner.handle_request(self._keyed(request))
            headers = [(name, self._masked(value)) for name, value in response.headers.raw]
            if request.url.path.endswith(_DOWNLOAD) and response.status_code == httpx2.codes.OK:
                return httpx2.Response(
                    response.status_code, headers=headers, stream=_Download(response, self._renewed)
                )
            body = self._masked(_whole(response, request))
            return httpx2.Response(response.status_code, headers=_of_body(headers), content=body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes on: see `_renewed`
            return self._renewed(error)

    def _keyed(self, request: httpx2.Request) -> httpx2.Request:
        url = request.url
        port = url.port or {"https": 443, "http": 80}.get(url.scheme)
        if (url.scheme, url.host, port) != self._home:
            raise httpx2.UnsupportedProtocol(f"The key is not sent to {url.host}.")
        if url.params.get("key") == MASK:  # an address the service handed out, masked on its way up
            url = url.copy_set_param("key", self._secret.reveal())
        headers = httpx2.Headers(request.headers)
        headers[KEY_HEADER] = self._secret.reveal()
        return httpx2.Request(
            request.method,
            url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )

    def _masked(self, text: bytes) -> bytes:
        return (
            self._secret.mask(text.decode("latin-1")).encode("latin-1")
            if self._secret.reveal().encode() in text
            else text
        )

    def _renewed(self, error: Exception) -> Exception:
        """An error of the same kind and text, without traceback and context."""
        text = self._secret.mask(str(error))
        kind = type(error) if isinstance(error, httpx2.TransportError) else httpx2.TransportError
        return kind(text or type(error).__name__)


class _Download(httpx2.SyncByteStream):
    """The body of a download, piece by piece; its errors are made anew, too."""

    def __init__(
        self, response: httpx2.Response, renewed: Callable[[Exception], Exception]
    ) -> None:
        self._response = response
        self._renewed = renewed

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
        except Exception as error:  # noqa: BLE001 - goes on, made anew
            return self._renewed(error)


def _whole(response: httpx2.Response, request: httpx2.Request) -> bytes:
    """The body, unpacked.

    ReadTimeout if it takes longer than a read may, however steadily it drips.
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
    return httpx2.Response(
        response.status_code, headers=response.headers, content=bytes(body)
    ).content


def _of_body(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that are still true of a body that was read and unpacked."""
    gone = (b"content-length", b"transfer-encoding", b"content-encoding")
    return [(name, value) for name, value in headers if name.lower() not in gone]


def _transport(scheme: str, host: str) -> httpx2.HTTPTransport:
    """What does the sending. Raises ConfigError for a proxy that cannot be used.

    http:// is for this machine, and goes through no proxy: it could read the key.
    """
    proxy = _proxy_for(scheme, host) if scheme == "https" else None
    try:
        # Certificates are loaded for https only: that takes longer than anything else here.
        return httpx2.HTTPTransport(verify=scheme == "https", proxy=proxy)
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        if proxy is None:
            raise
        hint = (
            "Install socksio (pip install socksio), or name a proxy of the kind http://."
            if isinstance(error, ImportError)
            else "It must begin with http://, https://, socks5:// or socks5h://."
        )
    # A proxy may carry a password: only its kind is told.
    raise ConfigError(
        f"gemini: the proxy in {scheme.upper()}_PROXY or ALL_PROXY, of the kind "
        f"{urlsplit(proxy).scheme}://, cannot be used.",
        hint=hint,
    )


def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy the environment names for that host: the one of the scheme, else the one of all."""
    proxies = getproxies()
    proxy = None if proxy_bypass(host) else proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def http_client(
    secret: Secret, base_url: str, heard: Callable[[httpx2.Response], None]
) -> httpx2.Client:
    """An HTTP client for that host, with that key. heard: called with each answer.

    It follows no redirects: they could lead the texts elsewhere.
    """
    _masking.secrets[id(secret)] = secret
    for name in _TALKATIVE:
        logging.getLogger(f"httpcore2.{name}").addFilter(_masking)
    return httpx2.Client(
        transport=KeyedTransport(secret, base_url),
        timeout=httpx2.Timeout(60.0, connect=CONNECT_SECONDS),
        headers={KEY_HEADER: PLACEHOLDER},
        trust_env=False,
        event_hooks={"response": [heard]},
    )
