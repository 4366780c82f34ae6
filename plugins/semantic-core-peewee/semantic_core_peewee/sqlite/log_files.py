"""The files SQLite keeps beside a store while it is open: the write-ahead log and its index.

Nobody removes them while a connection to the store is open, as long as its locks hold. Locks are
dropped without a word when the process closes any other descriptor of one of these files: after a
plain ``open()`` (a copy of the folder, a checksum) or by a second SQLite library. The next process
that leaves then takes itself for the last one and removes the log, and what is written to the old
one afterwards is lost. So all connections of a process remember which files they began with.

Tested by tests/sqlite/test_sharing.py.
"""

from __future__ import annotations

import threading
from collections import Counter

from semantic_core_peewee.sqlite.single_library import Identity, identity

BESIDE = ("-wal", "-shm")
"""What is added to the path of a store."""
JOURNAL = "-journal"
OWN = ("", *BESIDE, JOURNAL, ".lock")
"""Added to the path of a store: every file that is its own."""
PART = ".part"
"""Added to the path of a copy until it is whole."""

_Files = tuple[Identity | None, ...]

# Garbage collection may close a connection while another is being opened.
_lock = threading.RLock()
_count: Counter[Identity] = Counter()
_noted: dict[Identity, _Files] = {}


def hold(store: Identity | None, path: str) -> bool:
    """Count a connection that has just read; the first one notes which files there are.

    False where there is no log: then there is nothing to release.
    """
    files = _files(path)
    if store is None or files[0] is None:
        return False
    with _lock:
        _count[store] += 1
        _noted.setdefault(store, files)
    return True


def release(store: Identity | None) -> None:
    """Count one connection less; before it is closed."""
    with _lock:
        if store is not None and _count[store] > 0:
            _count[store] -= 1
            if not _count[store]:
                _noted.pop(store, None)


def are_the_same(store: Identity | None, path: str) -> bool:
    """Whether these are still the files the connections of this process began with."""
    noted = None if store is None else _noted.get(store)
    return noted is None or noted == _files(path)


def forget() -> None:
    """In a forked child: the connections are the parent's."""
    global _lock
    _lock = threading.RLock()
    _count.clear()
    _noted.clear()


def _files(path: str) -> _Files:
    return tuple(identity(path + suffix) for suffix in BESIDE)
