"""The protocol over HTTP, for clients that connect to a running server.

By default it listens to this machine only. A page in a browser could otherwise reach it under a
name of its own (DNS rebinding), so the names of the server (``Host``) and of pages (``Origin``) are
checked. On other addresses it listens only with a token.

Tested by tests/test_http.py.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core.errors import ConfigError
from semantic_core_mcp.tokens import VARIABLE, Door

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

PATH = "/mcp"
"""Where the protocol is spoken."""
LOCAL = "127.0.0.1"
"""The address that is listened to if no other is given."""
PORT = 8765
"""The port that is listened to if no other is given."""
MOST_BODY = 1024 * 1024
"""Longest request, in bytes."""
MOST_CONNECTIONS = 100
"""Most clients at the same time."""
_GRACE = 3
"""Seconds that answers have when the server is stopped."""


@attrs.frozen
class Address:
    """Where a server listens. host: an IP address, or "localhost". port: 0 for any that is free.
    names: further names of this server, with their port, as clients write them. pages: origins of
    pages that may connect.
    """

    host: str = LOCAL
    port: int = PORT
    names: Sequence[str] = ()
    pages: Sequence[str] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host == "localhost" or ip_address(self.host).is_loopback


def check(address: Address, token: str | None) -> None:
    """Raise ConfigError for an address that may not be listened to."""
    try:
        local = address.is_local
    except ValueError:
        raise ConfigError(
            f"--host must be an IP address or localhost, got {address.host!r}.",
            hint="0.0.0.0 listens to every interface.",
        ) from None
    if local:
        return
    if token is None:
        raise ConfigError(
            f"{address.host} can be reached from other machines, and there is no token.",
            hint=f"Set {VARIABLE} or --token-file, or leave --host out.",
        )
    if ip_address(address.host).is_unspecified and not address.names:
        raise ConfigError(
            f"{address.host} has no name by which other machines call it.",
            hint="Name it with --allowed-host, for example --allowed-host search.example:8765.",
        )


def listen(address: Address) -> socket.socket:
    """A socket that listens there. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"Cannot listen to {address.host} port {address.port}: {reason}.",
            hint="Choose another --port.",
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """The URL of a socket that listens."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}{PATH}"


def app_of(server: Server[Any], address: Address, port: int, token: str | None) -> Door:
    """The application behind a port, as ASGI calls it."""
    from mcp.server.transport_security import TransportSecuritySettings

    hosts = [f"{LOCAL}:{port}", f"localhost:{port}", f"[::1]:{port}"]
    if not address.is_local and not ip_address(address.host).is_unspecified:
        shown = f"[{address.host}]" if ":" in address.host else address.host
        hosts.append(f"{shown}:{port}")
    pages = [f"http://{host}" for host in hosts]
    settings = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*hosts, *address.names],
        allowed_origins=[*pages, *address.pages],
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MOST_BODY,
        transport_security=settings,
    )
    return Door(app, token)


def serve_http(
    server: Server[Any],
    address: Address,
    listening: socket.socket,
    token: str | None,
    ready: Callable[[], None],
) -> None:
    """Serve until a signal asks to stop. ready: called when clients can connect."""
    import uvicorn

    class Announced(uvicorn.Server):
        """A server that says when it is there."""

        async def main_loop(self) -> None:
            ready()
            await super().main_loop()

    app: Any = app_of(server, address, listening.getsockname()[1], token)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        ws="none",
        lifespan="on",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )
    running = Announced(config)

    def stop(_number: int, _frame: object) -> None:
        running.should_exit = True

    with _signals_to(stop):
        running.run(sockets=[listening])


@contextmanager
def _signals_to(stop: Callable[[int, object], None]) -> Iterator[None]:
    """A block in which a signal to stop calls this, and does not end the process. uvicorn hears
    signals itself, but not before it has started, and raises them once more at its end.
    """
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
