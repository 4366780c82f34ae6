"""One connection to the file: how it is opened, what it may do, and how its transactions end.

APSW brings the SQLite library with FTS5. A connection also notices when its file was moved, or its
write-ahead log removed, while it is open.

Tested by tests/sqlite/test_sharing.py and tests/trust/test_disk.py.
"""

from __future__ import annotations

import ctypes
import os
import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import apsw
import attrs
import sqlite_vec

from semantic_core.errors import StoreMisuse, StoreReadOnly, StoreUnavailable
from semantic_core_peewee.sqlite import log_files, single_library
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
    identity: single_library.Identity | None = None
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
        self._claim: single_library.Identity | None = None
        self._has_log = False
        self.identity = self._claim = single_library.claim(target.path)
        try:
            if target.identity is not None:
                self._check_identity(target.identity)
            self.raw = _opened_raw(target.path)
            _configure(self.raw, target, writer)
            self.raw.execute("pragma schema_version").fetchall()  # from here on it holds its locks
            self._has_log = log_files.hold(self.identity, target.path)
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
        self._check_identity(single_library.identity(self.path))
        self.check_log()
        if self._has_log and not self._says_it_has_a_log():
            raise StoreMisuse(
                f"The store {self.path!r} was overwritten with a backup while open.",
                hint="Close it everywhere, then put the backup in place: semantic-core restore.",
            )

    def check_log(self) -> None:
        """Raise StoreMisuse if the log this connection writes is not the store's any more."""
        if self._has_log and not log_files.are_the_same(self.identity, self.path):
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

    def _check_identity(self, wanted: single_library.Identity | None) -> None:
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
            single_library.release(claim)

    def _leave_log(self) -> None:
        try:
            self.check_place()
        except StoreMisuse:
            # Whatever lies at the path now is not to be touched.
            with suppress(apsw.Error):
                self.raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        finally:
            self._has_log = False
            log_files.release(self.identity)

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
            single_library.give_up(self.identity)


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
    make_vocabulary(raw)
    if not writer:
        raw.execute("pragma query_only = on")


_VOCABULARY = """create virtual table if not exists temp.{} using
    fts5vocab('main', 'semantic_index_words', '{}')"""


def make_vocabulary(raw: Any) -> None:
    """Give this connection the tables that say which words the full-text index holds, and where."""
    raw.execute(_VOCABULARY.format("semantic_index_word_count", "row"))
    raw.execute(_VOCABULARY.format("semantic_index_word_place", "instance"))


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
