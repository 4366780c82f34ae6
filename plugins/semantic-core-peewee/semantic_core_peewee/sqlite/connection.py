"""One connection to the file: how it is opened, what it may do, how its transactions end, and what
of the file no one else may touch while it is open.

APSW brings the SQLite library. A connection also notices when its file was moved, or its
write-ahead log removed, while it is open.

POSIX locks belong to the process, not to the handle. When another library (the one in Python's
``sqlite3``) or a plain ``open()`` (a copy of the folder, a checksum) closes one of the files, the
locks this process holds on it are gone without a word. Another process then writes into the middle
of an open transaction; or it takes itself for the last one and removes the log, and what is written
to the old log is lost. So the second library is refused while a store is open; a store is refused
while a second library has the file open, as far as that can be seen (``/proc`` on Linux); and all
connections of a process remember with which log they began.

Tested by tests/sqlite/test_sharing.py and tests/trust/test_disk.py.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import apsw
import attrs
import sqlite_vec

from semantic_core.errors import StoreMisuse, StoreReadOnly, StoreUnavailable
from semantic_core_peewee.sqlite.errors import SQLITE_ERRORS, remember_errno, translate
from semantic_core_peewee.sqlite.tuning import DEFAULT, Tuning

_SHARED = (
    "9p", "afs", "beegfs", "ceph", "cephfs", "cifs", "davfs", "davfs2", "drvfs",
    "gcsfuse", "glusterfs", "goofys", "gpfs", "grpcfuse", "juicefs", "lustre", "moosefs",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "rclone", "s3fs",
    "smb3", "smbfs", "smbnetfs", "sshfs", "vboxsf", "vmhgfs", "vmhgfs-fuse",
)  # fmt: skip
NETWORKED = frozenset([*_SHARED, *(f"fuse.{name}" for name in _SHARED)])
"""Kinds of file systems, as Linux names them, that other machines may share: their locks and shared
memory cannot be relied on.
"""
_TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def kind_of(path: str, table: str | None = None) -> str:
    """The kind of file system a path is on, such as "ext4"; "" where the system does not tell.
    table: as Linux has it.
    """
    if table is None:
        try:
            table = _TABLE.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    found = ""
    longest = -1
    for line in table.splitlines():
        about, _, source = line.partition(" - ")
        fields = about.split(" ")
        if len(fields) < 5 or not source:
            continue
        place = _ESCAPED.sub(_unescaped, fields[4])
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= longest:  # of two on one place the later one hides the other
            found = source.split(" ")[0]
            longest = len(place)
    return found


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))


def is_read_only(path: str) -> bool:
    """Whether the whole file system is mounted so that nobody here can write to it."""
    with suppress(OSError, AttributeError):  # not every system has it
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return False


# The files of a store, and which of them this process has open.

BESIDE = ("-wal", "-shm")
"""Added to the path of a store: its write-ahead log and the index of that, there while it is open.
"""
JOURNAL = "-journal"
LOCK = ".lock"
"""Added to the path of a store while a process creates or migrates it."""
OWN = ("", *BESIDE, JOURNAL, LOCK)
"""Added to the path of a store: every file that is its own."""
PART = ".part"
"""Added to the path of a copy until it is whole."""
Identity = tuple[int, int]
"""Device and inode: what locks hang on, whatever the path is spelled like."""
_Files = tuple[Identity | None, ...]

_ours: Counter[Identity] = Counter()
_inherited: set[Identity] = set()
_given_up: set[Identity] = set()
_reading: Counter[Identity] = Counter()
_logs: dict[Identity, _Files] = {}
# Garbage collection may close a connection of ours while another is being opened.
_lock = threading.RLock()
_watching = False


def identity_of(path: str) -> Identity | None:
    """Which file this path leads to; None if it leads to none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def claim_file(path: str) -> Identity | None:
    """Count one more connection of ours to an existing file; give it back with
    `release_file`.

    Raises StoreMisuse.
    """
    global _watching
    this = identity_of(path)
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


def release_file(this: Identity | None) -> None:
    """Count one connection less."""
    with _lock:
        if this is not None and _ours[this] > 0:
            _ours[this] -= 1


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
        if _ours.get(identity_of(path), 0):  # type: ignore[arg-type]
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
    if this not in {identity_of(f"/proc/self/fd/{name}") for name in names}:
        return False
    return this not in {identity_of(path) for path in _apsw_files()}


def _apsw_files() -> list[str]:
    """Files open through APSW, ours or not: one library, so no harm."""
    paths = []
    for connection in apsw.connections():
        try:
            paths.append(connection.filename)
        except apsw.Error:
            continue  # closed, or busy in another thread
    return paths


def note_log(store: Identity | None, path: str) -> bool:
    """Count a connection that has just read; the first one notes which log there is.

    False where there is none: then there is nothing to leave.
    """
    files = _log_of(path)
    if store is None or files[0] is None:
        return False
    with _lock:
        _reading[store] += 1
        _logs.setdefault(store, files)
    return True


def leave_log(store: Identity | None) -> None:
    """Count one connection less; before it is closed."""
    with _lock:
        if store is not None and _reading[store] > 0:
            _reading[store] -= 1
            if not _reading[store]:
                _logs.pop(store, None)


def has_its_log(store: Identity | None, path: str) -> bool:
    """Whether the log is still the one the connections of this process began with."""
    noted = None if store is None else _logs.get(store)
    return noted is None or noted == _log_of(path)


def _log_of(path: str) -> _Files:
    return tuple(identity_of(path + suffix) for suffix in BESIDE)


def forget_files() -> None:
    """In a forked child: the descriptors are the parent's, and so are its locks and connections;
    nothing is ours yet.
    """
    global _lock
    _lock = threading.RLock()
    _inherited.update(this for this, count in _ours.items() if count)
    _ours.clear()
    _reading.clear()
    _logs.clear()


# One connection.

Durability = Literal["full", "normal"]

OLDEST_SQLITE = (3, 51, 3)
"""Older libraries can corrupt a WAL file when two connections checkpoint at once."""
WRITER_CACHE = 64
"""MiB of pages the writing connection may keep."""
READER_CACHE = 16
"""MiB of pages each reading thread may keep."""
WAL_LIMIT = 64 * 1024 * 1024
"""Bytes the write-ahead log is cut back to after a checkpoint."""
CHECKPOINT = 4_000
"""Pages in the log from which on they are moved into the file: about WAL_LIMIT. Pages that change
in every transaction are then moved once in many; a large ingest is a quarter faster than with
SQLite's usual 1,000."""
HAS_LOG = b"\2\2"
"""What the file of a store that is open says of itself: that it has a write-ahead log. The copy
`backup` makes says something else, because it has none."""
HAS_LOG_AT = 18
_SYNCHRONOUS: dict[Durability, str] = {
    "full": "pragma synchronous = full",
    "normal": "pragma synchronous = normal",
}


@attrs.frozen
class Target:
    """What to connect to, and how. path: absolute. busy_timeout: seconds.
    identity: of the only file that will do.
    """

    path: str
    durability: Durability
    busy_timeout: float
    identity: Identity | None = None
    tuning: Tuning = DEFAULT


def check_library() -> None:
    """Raise StoreUnavailable if the SQLite library at hand is too old to be trusted with
    several writers.
    """
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnavailable(
            f"wanted SQLite {wanted} or newer, got {version}.", hint="pip install --upgrade apsw"
        )


class Connection:
    """An APSW connection with its claim on the file. raw: for statements; reads of one thread,
    or the one writer.
    """

    def __init__(self, target: Target, *, writer: bool) -> None:
        """Open an existing file. Raises StoreError."""
        self.path = target.path
        self.pid = os.getpid()
        self.raw: Any = None
        self._claim: Identity | None = None
        self._has_log = False
        self.identity = self._claim = claim_file(target.path)
        try:
            if target.identity is not None:
                self._check_identity(target.identity)
            self.raw = _opened_raw(target.path)
            _configure(self.raw, target, writer)
            self.raw.execute("pragma schema_version").fetchall()  # from here on it holds its locks
            self._has_log = note_log(self.identity, target.path)
            _opened.add(self)
        except SQLITE_ERRORS as error:
            if self.raw is not None:
                remember_errno(error, self.raw)
            self.close()
            raise translate(error, target.path) from error
        except BaseException:
            self.close()
            raise

    def check_place(self) -> None:
        """Raise StoreMisuse if the path leads to another file by now, or its log is another one:
        what is written would be lost, what is read is old.
        """
        self._check_identity(identity_of(self.path))
        self.check_log()
        if self._has_log and not self._says_it_has_a_log():
            raise StoreMisuse(
                f"The store {self.path!r} was overwritten with a backup while open.",
                hint="Close it everywhere, then put the backup in place: semantic-core restore.",
            )

    def check_log(self) -> None:
        """Raise StoreMisuse if the log this connection writes is not the store's any more."""
        if self._has_log and not has_its_log(self.identity, self.path):
            raise StoreMisuse(
                (
                    f"The log of the store {self.path!r} was removed while open: this process lost "
                    "its locks, by a plain open() of one of its files or a second SQLite library."
                ),
                hint="Close this store and open it again. Make copies with backup().",
            )

    def _says_it_has_a_log(self) -> bool:
        try:
            return bool(self.raw.read("main", 0, HAS_LOG_AT, 2)[1] == HAS_LOG)
        except apsw.Error:  # using it will say it better
            return True

    def _check_identity(self, wanted: Identity | None) -> None:
        if wanted != self.identity:
            raise StoreMisuse(
                f"The store {self.path!r} was moved, removed or replaced while open.",
                hint="Close this store and open it again.",
            )

    def close(self) -> None:
        """Close it, whatever state it is in. May be called twice."""
        if self._has_log and self.raw is not None:
            self._leave_log()
        raw = self.raw
        self.raw = None
        claim = self._claim
        self._claim = None
        try:
            if raw is not None:
                # Of a disk that fails: what was committed is safe, and the rest is undone.
                with suppress(apsw.Error):
                    raw.close(True)
        finally:
            release_file(claim)

    def _leave_log(self) -> None:
        try:
            self.check_place()
        except StoreMisuse:
            # Whatever lies at the path now is not to be touched.
            with suppress(apsw.Error):
                self.raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        finally:
            self._has_log = False
            leave_log(self.identity)

    def __del__(self) -> None:
        if self.pid == os.getpid():
            self.close()

    def abandon(self) -> None:
        """In a forked child: close the copy of what was open in the parent,
        so that SQLite counts its locks no more.

        The log stays: it is the parent's. A connection another thread of the parent was using can
        never be closed here; its file is refused in this process from now on.
        """
        raw = self.raw
        self.raw = None
        try:
            raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            raw.close(True)
        except apsw.Error:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(raw))  # not even garbage collection may try
            give_up(self.identity)


def _opened_raw(path: str) -> Any:
    """An APSW connection to an existing file; where nobody can write,
    one that needs neither locks nor files beside it.
    """
    if not is_read_only(path):
        return apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    with suppress(OSError):
        if os.path.getsize(f"{path}-wal"):
            raise StoreReadOnly(
                (
                    f"The store {path!r} is on a read-only file system, with a write-ahead log "
                    "that was never emptied."
                ),
                hint="Close the store where it can be written, or make the copy with backup().",
            )
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"{Path(path).as_uri()}?immutable=1", flags=flags)


_opened: weakref.WeakSet[Connection] = weakref.WeakSet()


def leave_to_parent() -> None:
    """In a forked child: let go of every connection the parent had open."""
    for connection in list(_opened):
        if connection.pid != os.getpid() and connection.raw is not None:
            connection.abandon()


def _configure(raw: Any, target: Target, writer: bool) -> None:
    raw.set_busy_timeout(int(target.busy_timeout * 1000))
    raw.enable_load_extension(True)
    raw.load_extension(sqlite_vec.loadable_path())
    raw.enable_load_extension(False)
    raw.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    raw.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
    raw.execute(f"pragma cache_size = {-1024 * (WRITER_CACHE if writer else READER_CACHE)}")
    # No copy of a text is left behind in a temporary file.
    raw.execute("pragma temp_store = memory")
    raw.execute(_SYNCHRONOUS[target.durability])
    raw.execute("pragma secure_delete = on")
    raw.execute(f"pragma journal_size_limit = {WAL_LIMIT}")
    raw.wal_autocheckpoint(CHECKPOINT)
    if not writer:
        raw.execute("pragma query_only = on")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Within it, errors of SQLite are raised as errors of ours."""
    try:
        yield
    except SQLITE_ERRORS as error:
        raise translate(error, path) from error


@contextmanager
def transaction(raw: Any) -> Iterator[None]:
    """A write transaction that takes the write lock at once, so that it never fails half-way
        because
    of another writer.

    After an error it is rolled back, unless SQLite has done so already. An error of the rollback
    itself does not replace the first one; the caller closes a connection that is still in a
    transaction.
    """
    raw.execute("begin immediate")
    try:
        yield
        raw.execute("commit")
    except BaseException:
        if raw.in_transaction:
            with suppress(apsw.Error):
                raw.execute("rollback")
        raise
