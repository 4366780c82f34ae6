"""The token that a client over HTTP has to send: where it is read from, and how it is compared.

It never stands on the command line, where every user of the machine can read it.

Tested by tests/test_http.py.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from semantic_core.errors import ConfigError

VARIABLE = "SEMANTIC_MCP_TOKEN"
"""Environment variable with the token."""
LEAST = 16
"""Fewest characters of a token: a shorter one can be guessed."""

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
"""An application as ASGI defines it."""


def token_of(file: str | None) -> str | None:
    """The token of a file, else of the environment; None if there is none. Raises ConfigError."""
    where = VARIABLE
    token = os.environ.get(VARIABLE)
    if file is not None:
        where = f"The file {file!r}"
        try:
            token = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"The token file {file!r} cannot be read: {reason}.") from error
    if token is None:
        return None
    token = token.strip()
    if len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{where} must hold a token of at least {LEAST} printable ASCII characters without "
            "spaces.",
            hint='Make one: python -c "import secrets; print(secrets.token_urlsafe())"',
        )
    return token


class Door:
    """Lets requests with the right token through to an application, and POST only.

    The protocol sends each message in a POST of its own here: there is no stream to open with GET,
    and no session to end with DELETE. token: None lets every client in.
    """

    def __init__(self, app: App, token: str | None) -> None:
        self._app = app
        self._wanted = None if token is None else f"Bearer {token}".encode()

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            return
        elif not self._admits(scope):
            await _refuse(send, 401, "A token is needed.", (b"www-authenticate", b"Bearer"))
        elif scope["method"] != "POST":
            await _refuse(send, 405, "Send each message with POST.", (b"allow", b"POST"))
        else:
            await self._app(scope, receive, send)

    def _admits(self, scope: Message) -> bool:
        if self._wanted is None:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._wanted)


async def _refuse(
    send: Callable[[Message], Awaitable[None]], status: int, why: str, header: tuple[bytes, bytes]
) -> None:
    body = f"{why}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        header,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
