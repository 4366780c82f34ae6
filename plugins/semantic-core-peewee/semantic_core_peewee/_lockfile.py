"""A file beside the store that lets one process at a time make it or bring it up.

It is gone when that is done.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from semantic_core.errors import StoreBusy, StoreReadOnly

SUFFIX = ".lock"
LEAST_WAIT = 10.0
"""Seconds to wait for another process to finish, at least; it takes milliseconds."""
PAUSE = 0.01
"""Seconds between two attempts."""

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        with suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            return True
        return False
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False


def is_taken(path: str) -> bool:
    """Whether somebody is at work on this store."""
    return os.path.exists(path + SUFFIX)


@contextmanager
def sole(path: str, patience: float) -> Iterator[None]:
    """Within it no other process makes or brings up the store at `path`.

    Raises StoreBusy, StoreReadOnly.
    """
    name = path + SUFFIX
    deadline = time.monotonic() + max(patience, LEAST_WAIT)
    while True:
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreReadOnly(
                f"The folder of {path!r} cannot be written: {error.strerror}.",
                hint="Give this user the right to write there, or use another path.",
            ) from error
        if _try_lock(descriptor) and _leads_to(name, descriptor):
            break
        os.close(descriptor)  # taken, or removed by the one who had it: begin again
        if time.monotonic() > deadline:
            raise StoreBusy(
                f"The store {path!r} is being made by another process.", hint="Try again."
            )
        time.sleep(PAUSE)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(name)
        os.close(descriptor)


def _leads_to(name: str, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.stat(name), os.fstat(descriptor))
    return False
