"""A guard: one file is opened by one SQLite library per process.

POSIX locks belong to the process, not to the handle: when a second SQLite library (the one in
Python's ``sqlite3``) closes the same file, the locks this one holds are gone, another process
writes into the middle of an open transaction, and rows vanish without an error. So the second
library is refused while a store is open, and a store is refused while a second library has the file
open, as far as that can be seen (``/proc`` on Linux).

Tested by tests/sqlite/test_sharing.py and tests/trust/test_disk.py.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from urllib.parse import unquote, urlsplit

import apsw

from semantic_core.errors import StoreMisuse

Identity = tuple[int, int]
"""Device and inode: what locks hang on, whatever the path is spelled like."""

_ours: Counter[Identity] = Counter()
_inherited: set[Identity] = set()
_given_up: set[Identity] = set()
# Garbage collection may close a connection of ours while another is being claimed.
_lock = threading.RLock()
_watching = False


def identity(path: str) -> Identity | None:
    """Which file this path leads to; None if it leads to none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def claim(path: str) -> Identity | None:
    """Count one more connection of ours to an existing file; give it back with `release`.

    Raises StoreMisuse.
    """
    global _watching
    this = identity(path)
    if this is None:
        return None
    if this in _given_up:
        raise StoreMisuse(
            (
                f"{path!r} was in use by another thread when this process was forked off, so its "
                "locks cannot be trusted here."
            ),
            hint="Fork while no other thread uses the store, or start processes by spawn.",
        )
    with _lock:
        if not _watching:
            # Stays for the life of the process: hooks cannot be taken off.
            sys.addaudithook(_refuse_second_library)
            _watching = True
        if not _ours[this] and this not in _inherited and _is_open_elsewhere(this):
            raise StoreMisuse(
                (
                    f"{path!r} is already open in this process, by another SQLite "
                    "library or a plain open()."
                ),
                hint=(
                    "Close it there first. Two libraries on one file destroy each "
                    "other's locks and lose rows."
                ),
            )
        _ours[this] += 1
    return this


def release(this: Identity | None) -> None:
    """Count one connection less."""
    with _lock:
        if this is not None and _ours[this] > 0:
            _ours[this] -= 1


def forget() -> None:
    """In a forked child: the descriptors are the parent's, and so are its locks;
    nothing is ours yet.
    """
    global _lock
    _lock = threading.RLock()
    _inherited.update(this for this, count in _ours.items() if count)
    _ours.clear()


def give_up(this: Identity | None) -> None:
    """In a forked child: refuse this file from now on,
    because the parent's locks on it are counted here for ever.
    """
    if this is not None:
        _given_up.add(this)


def _refuse_second_library(event: str, arguments: tuple[object, ...]) -> None:
    if event != "sqlite3.connect" or not arguments:
        return
    try:
        spelled = os.fsdecode(arguments[0])  # type: ignore[arg-type]
    except TypeError:
        return
    spellings = (
        [spelled, unquote(urlsplit(spelled).path)] if spelled.startswith("file:") else [spelled]
    )
    for path in spellings:
        if _ours.get(identity(path), 0):  # type: ignore[arg-type]
            raise StoreMisuse(
                (
                    f"{path!r} is open as a Semantic Core store in this process, so "
                    "sqlite3 must not open it."
                ),
                hint="Use the store, its backup() to get a copy, or another process.",
            )


def _is_open_elsewhere(this: Identity) -> bool:
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return False
    if this not in {identity(f"/proc/self/fd/{name}") for name in names}:
        return False
    return this not in {identity(path) for path in _apsw_files()}


def _apsw_files() -> list[str]:
    """Files open through APSW, ours or not: one library, so no harm."""
    paths = []
    for connection in apsw.connections():
        try:
            paths.append(connection.filename)
        except apsw.Error:
            continue  # closed, or busy in another thread
    return paths
