"""Runs calls in a few threads: a slow one delays no other, and a flood of them waits for nothing.

Tested by tests/test_misuse.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 4
"""Calls that run at the same time."""
WAITING = 100
"""Most calls that run or wait; further ones are refused."""
SECONDS = 60.0
"""Longest time for a call. An embedder that is a service has shorter limits of its own."""


class TooMany(Exception):
    """More calls are waiting than is reasonable."""


class CallThreads:
    """The threads of one server. Close it when no call can come any more."""

    def __init__(
        self, threads: int = THREADS, waiting: int = WAITING, seconds: float = SECONDS
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="semantic-core-mcp")
        self._most = waiting
        self._seconds = seconds
        self._running = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns. If the caller is cancelled, work that has not begun never begins,
        and the result of other work is dropped.

        Raises TooMany, and TimeoutError.
        """
        if self._running >= self._most:
            raise TooMany
        loop = asyncio.get_running_loop()
        self._running += 1
        try:
            future = loop.run_in_executor(self._executor, work)
            return await asyncio.wait_for(future, self._seconds)
        finally:
            self._running -= 1

    def close(self) -> None:
        """Drop what waits, and wait for what runs."""
        self._executor.shutdown(cancel_futures=True)
