"""`PerProcess`: a connection that is opened when it is first needed, and never shared with a fork.

Tested by tests/remote/test_per_process.py.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Opened = TypeVar("Opened")


class PerProcess(Generic[Opened]):
    """Something open, such as an HTTP client, of which each process has its own.

    open: opens it, when it is first needed. close: closes it, only in the process that opened it:
    in `close`, or when this object is not used any more. So what is opened must not refer to this
    object, nor to what owns it: then neither could ever be freed. Safe to use from several threads.
    """

    def __init__(self, open: Callable[[], Opened], close: Callable[[Opened], None]) -> None:
        self._open = open
        self._close = close
        self._lock = Lock()
        self._opened: Opened | None = None
        self._process = 0
        self._closing: weakref.finalize[..., PerProcess[Opened]] | None = None

    def get(self) -> Opened:
        """What this process has opened; opens it if there is nothing."""
        opened = self._of_this_process()
        if opened is not None:
            return opened
        with self._lock:
            opened = self._of_this_process()
            if opened is None:
                opened = self._opened = self._open()
                self._process = os.getpid()
                self._closing = weakref.finalize(self, _end, self._close, opened, self._process)
            return opened

    def close(self) -> None:
        """Close it, if it is open. `get` opens another one."""
        with self._lock:
            if self._closing is not None:
                self._closing()
            self._opened = None

    def _of_this_process(self) -> Opened | None:
        return self._opened if self._process == os.getpid() else None


def _end(close: Callable[[Opened], None], opened: Opened, process: int) -> None:
    if process == os.getpid():
        close(opened)
