"""`RotatedFile`: lines in a file that is rotated, with several processes writing into it.

The rotation is that of `logging.handlers.RotatingFileHandler`, which is made for one process: two
would rename each other's files. Here a lock is held while a line is written, and a file that
another process has renamed is opened anew.

Tested by tests/test_rotation.py.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from typing import Any, NoReturn, cast

try:
    import fcntl
except ImportError:  # Windows: one process at a time writes
    fcntl = None  # type: ignore[assignment]

OWNER_ONLY = 0o600
"""Rights of the files: queries are nobody else's business."""


class RotatedFile:
    """A file to which lines are added. path: of the file. max_bytes: size at which it is renamed.
    backups: renamed files that are kept. If one of the two is 0, it is never renamed.
    """

    def __init__(self, path: str, *, max_bytes: int, backups: int) -> None:
        self._handler = _Handler(path, max_bytes, backups)
        weakref.finalize(self, self._handler.close)

    def write(self, line: str) -> None:
        """Add a line. Raises OSError if the file cannot be written; nothing is lost from it."""
        self._handler.handle(logging.makeLogRecord({"msg": line.replace("\n", " "), "args": ()}))

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        self._handler.close()


class _Handler(RotatingFileHandler):
    def __init__(self, path: str, max_bytes: int, backups: int) -> None:
        if not backups:
            max_bytes = 0
        super().__init__(
            path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", delay=True
        )

    def _open(self) -> io.TextIOWrapper:
        # The handler closes it.
        opened = open(  # noqa: SIM115
            self.baseFilename, self.mode, encoding=self.encoding, opener=_private
        )
        return cast(io.TextIOWrapper, opened)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line under the lock. Raises OSError."""
        with _locked(f"{self.baseFilename}.lock"):
            self._reopen_if_renamed()
            super().emit(record)

    def _reopen_if_renamed(self) -> None:
        """Let go of a file that has another name by now."""
        stream: Any = self.stream
        if stream is None:
            return
        try:
            named = os.stat(self.baseFilename)
        except FileNotFoundError:
            named = None
        if named is None or not os.path.samestat(os.fstat(stream.fileno()), named):
            stream.close()
            self.stream = None

    def handleError(self, record: logging.LogRecord) -> NoReturn:
        """Raise the error instead of printing it: the kernel reports it with the plugin's name."""
        error = sys.exc_info()[1]
        raise OSError(f"The audit log cannot be written: {error}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, OWNER_ONLY)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock of a log, which other processes wait for."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
