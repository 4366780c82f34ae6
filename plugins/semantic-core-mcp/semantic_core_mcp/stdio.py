"""The protocol over standard input and standard output, for a client that starts the server.

Standard output carries the protocol and nothing else: from the moment that `take_streams` is called
until the process ends, whatever plugins and their child processes print goes to standard error.

Tested by tests/test_stdio.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

MOST_BYTES = 8 * 1024 * 1024
"""Longest message that is read. Longer ones are left out, and the client is told."""
AHEAD = 100
"""Most messages that are read before they are handled."""
TOO_LONG = f"A message can have at most {MOST_BYTES:,} bytes."
NO_MESSAGE = "This is no message of the protocol."
_READ = 65_536
"""Bytes that are read at once."""


class Streams(NamedTuple):
    """The file descriptors of the protocol."""

    incoming: int
    outgoing: int


def take_streams() -> Streams:
    """Keep standard input and standard output for the protocol, for the rest of the process.

    Everything else reads an empty input, and writes to standard error.
    """
    sys.stdout.flush()
    streams = Streams(os.dup(0), os.dup(1))
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return streams


async def serve_streams(server: Server[Any], streams: Streams) -> None:
    """Serve one client until it closes its end, or until a signal asks to stop."""
    from mcp.server.stdio import stdio_server

    incoming = _Incoming()
    outgoing = _Outgoing(streams.outgoing, incoming.end)
    incoming.begin(streams.incoming, outgoing)
    async with anyio.create_task_group() as tasks:
        if sys.platform != "win32":
            tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
        files: Any = (incoming, outgoing)
        async with stdio_server(*files) as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())
        tasks.cancel_scope.cancel()


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


class _Incoming:
    """The messages of the client, one a line.

    They are read in a thread that does not keep the process alive, because a read cannot be
    interrupted.
    """

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(AHEAD)
        self._loop = asyncio.get_running_loop()

    def begin(self, descriptor: int, outgoing: _Outgoing) -> None:
        """Start to read. outgoing: where the client is told of a line that is no message."""
        threading.Thread(target=self._read, args=(descriptor, outgoing), daemon=True).start()

    def end(self) -> None:
        """Nobody listens any more. Called in any thread."""
        self._loop.call_soon_threadsafe(self._forget)

    def _forget(self) -> None:
        while not self._lines.empty():
            self._lines.get_nowait()
        self._lines.put_nowait(None)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def _read(self, descriptor: int, outgoing: _Outgoing) -> None:
        for line in _lines_of(descriptor):
            error = _error_of(line)
            if error is not None:
                outgoing.send(json.dumps(error) + "\n")
            elif line.strip():
                self._put(line.decode("utf-8"))
        self._put(None)

    def _put(self, line: str | None) -> None:
        """Add a line; waits while enough of them are there."""
        with suppress(RuntimeError, CancelledError):  # the loop has ended
            asyncio.run_coroutine_threadsafe(self._lines.put(line), self._loop).result()


def _error_of(line: bytes) -> dict[str, Any] | None:
    """The answer to a line that is no message, which the protocol would leave unanswered; None for
    a message, and for an empty line.
    """
    from mcp.types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter

    error: dict[str, Any] = {"code": INVALID_REQUEST, "message": TOO_LONG}
    number: object = None
    if len(line) <= MOST_BYTES:
        try:
            if line.strip():
                jsonrpc_message_adapter.validate_json(line, by_name=False)
            return None
        except ValueError:
            error = {"code": PARSE_ERROR, "message": NO_MESSAGE}
            with suppress(ValueError, RecursionError, AttributeError):
                number = json.loads(line).get("id")
    if isinstance(number, bool) or not isinstance(number, int | str):
        number = None
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _lines_of(descriptor: int) -> Iterator[bytes]:
    """The lines that can be read; of one that is too long only so much that this can be seen."""
    line = bytearray()
    while True:
        try:
            read = os.read(descriptor, _READ)
        except OSError:
            return
        if not read:
            return
        *complete, rest = read.split(b"\n")
        for part in complete:
            line += part[: MOST_BYTES + 1 - len(line)]
            yield bytes(line)
            line.clear()
        line += rest[: MOST_BYTES + 1 - len(line)]


class _Outgoing:
    """The answers to the client, written in a thread that does not keep the process alive."""

    def __init__(self, descriptor: int, gone: Callable[[], None]) -> None:
        """gone: called once if the client does not read any more."""
        self._descriptor = descriptor
        self._gone = gone
        self._waiting: SimpleQueue[tuple[bytes, asyncio.Future[None] | None]] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._written = ""
        threading.Thread(target=self._write_all, daemon=True).start()

    async def write(self, text: str) -> None:
        """Add to what the next `flush` writes."""
        self._written += text

    async def flush(self) -> None:
        """Write, and return when it is written."""
        done = self._loop.create_future()
        text = self._written
        self._written = ""
        self._waiting.put((text.encode("utf-8", "backslashreplace"), done))
        await done

    def send(self, text: str) -> None:
        """Write as soon as possible. Called in any thread."""
        self._waiting.put((text.encode("utf-8"), None))

    def _write_all(self) -> None:
        broken = False
        while True:
            data, done = self._waiting.get()
            while data and not broken:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except OSError:
                    broken = True
                    self._gone()
            if done is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(_finish, done)


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
