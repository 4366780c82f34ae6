"""The files SQLite keeps beside a store while it is open: the write-ahead log and its index.

Nobody removes them while a connection to the store is open, as long as its locks hold. Locks are
dropped without a word when the process closes any other descriptor of one of these files: after a
plain ``open()`` (a copy of the folder, a checksum) or by a second SQLite library. The next process
that leaves then takes itself for the last one and removes the log, and what is written to the old
one afterwards is lost. So all connections of a process remember which files they began with.
"""

from __future__ import annotations

import threading

from semantic_core_peewee._guard import Identity, identity

BESIDE = ("-wal", "-shm")
"""What is added to the path of a store."""
JOURNAL = "-journal"
OWN = ("", *BESIDE, JOURNAL, ".lock")
"""Added to the path of a store: every file that is its own."""

_Files = tuple[Identity | None, ...]

# Garbage collection may close a connection while another is being opened.
_lock = threading.RLock()
_held: dict[Identity, tuple[_Files, int]] = {}


def hold(store: Identity | None, path: str) -> bool:
    """Count a connection that has just read; the first one notes which files there are.

    False where there is no log: then there is nothing to release.
    """
    with _lock:
        files, count = _held.get(store, (_files(path), 0)) if store else ((None,), 0)
        if store is None or files[0] is None:
            return False
        _held[store] = (files, count + 1)
        return True


def release(store: Identity | None) -> None:
    """Count one connection less; before it is closed."""
    with _lock:
        if store in _held:
            files, count = _held[store]
            if count > 1:
                _held[store] = (files, count - 1)
            else:
                del _held[store]


def are_the_same(store: Identity | None, path: str) -> bool:
    """Whether these are still the files the connections of this process began with."""
    noted = _held.get(store) if store else None
    return noted is None or noted[0] == _files(path)


def forget() -> None:
    """In a forked child: the connections are the parent's."""
    global _lock
    _lock = threading.RLock()
    _held.clear()


def _files(path: str) -> _Files:
    return tuple(identity(path + suffix) for suffix in BESIDE)
