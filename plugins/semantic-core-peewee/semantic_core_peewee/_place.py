"""What is at a path: nothing yet, a store of ours, or something that is left alone."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from itertools import count
from pathlib import Path

import apsw

from semantic_core.errors import (
    StoreBusy,
    StoreForeign,
    StoreMisuse,
    StoreUnavailable,
    StoreVersion,
)
from semantic_core_peewee._connection import HAS_LOG, HAS_LOG_AT, Target, translated
from semantic_core_peewee._lockfile import is_taken, sole
from semantic_core_peewee._log_files import PART
from semantic_core_peewee._migrations import APPLICATION_ID, newest, version_of

_MAGIC = b"SQLite format 3\0"
_log = logging.getLogger("semantic_core.store")


def is_new(target: Target) -> bool:
    """Whether there is nothing yet; raises if there is something that is not ours."""
    path = target.path
    if path.endswith(PART):
        raise StoreMisuse(
            f"{path!r} is what is left of a copy that was not finished.",
            hint="Remove it, and make the backup again.",
        )
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            raise StoreUnavailable(
                f"There is no folder {folder!r} for the store.", hint="Create it first."
            ) from error
        return _not_beside_a_log(path)
    except OSError as error:
        raise StoreUnavailable(
            f"The store {path!r} cannot be reached: {error.strerror}.", hint="Check the path."
        ) from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise StoreUnavailable(f"The store {path!r} is {what}.", hint="Give the path of a file.")
    if found.st_size == 0:
        return _not_beside_a_log(path)
    if _is_copy_beside_a_log(path):
        _set_log_aside(target)
    try:
        _check_header(path)
    except StoreForeign:
        # Somebody is making the file just now, or was cut off: judge it when that is over.
        if is_taken(path):
            with sole(path, target.busy_timeout):
                _take_back(path)
        if os.path.getsize(path) == 0:
            return True
        _check_header(path)
    return False


def _take_back(path: str) -> None:
    """Let SQLite undo a first write that was cut off;
    what is left of that is in the journal beside the file.
    """
    if _has_pages(f"{path}-journal"):
        with suppress(apsw.Error):  # whatever is wrong, the header will say it
            raw = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                version_of(raw)
            finally:
                raw.close(True)


def _not_beside_a_log(path: str) -> bool:
    """True: an empty place to begin in.

    A log with pages beside an empty file is what a careless copy leaves.
    """
    log = f"{path}-wal"
    if _has_pages(log):
        raise StoreVersion(
            f"The store {path!r} is empty, but {log!r} beside it is not: an incomplete copy.",
            hint=(
                "Copy a store with backup(), or all of its files at once; remove "
                "what is left of this one."
            ),
        )
    return True


def _check_header(path: str) -> None:
    """Raise unless the file says it is ours, and not of a newer release;
    no file of others is opened as a database.
    """
    # In this order: a file has no log before its header says that it has one.
    has_log = _has_pages(f"{path}-wal")
    header = _header(path)
    if not any(header) and _has_pages(f"{path}-journal"):
        return  # a first write that a power cut interrupted; SQLite takes it back
    if not header.startswith(_MAGIC):
        raise StoreForeign(f"{path!r} is not an SQLite database.", hint="Choose another path.")
    version, application = (int.from_bytes(header[place : place + 4], "big") for place in (60, 68))
    if application != APPLICATION_ID:
        raise StoreForeign(
            f"{path!r} is the SQLite database of another program.", hint="Choose another path."
        )
    if has_log:
        version = _version_in_log(path, version)
    if version > newest():
        raise newer_release(path, version)


def _is_copy_beside_a_log(path: str) -> bool:
    """Whether it is a copy of ours, which has no log, and a log with pages lies beside it: then
    that is of the file that was here before.
    """
    has_log = _has_pages(f"{path}-wal")  # in this order, see `_check_header`
    if not has_log:
        return False
    header = _header(path)
    is_ours = header.startswith(_MAGIC) and int.from_bytes(header[68:72], "big") == APPLICATION_ID
    return is_ours and header[HAS_LOG_AT : HAS_LOG_AT + 2] != HAS_LOG


def _set_log_aside(target: Target) -> None:
    """Keep the log of the former file under another name, where nobody takes it for a part of this
    one. Raises StoreMisuse if a process still has the former file open, or the log cannot be moved.
    """
    path, log = target.path, f"{target.path}-wal"
    free = (f"{log}.of-the-former-file{number or ''}" for number in count())
    aside = next(name for name in free if not os.path.lexists(name))
    with sole(path, target.busy_timeout):
        if not _is_copy_beside_a_log(path):
            return
        try:
            refuse_in_use(path)
            os.rename(log, aside)
        except (StoreBusy, OSError) as error:
            raise StoreMisuse(
                f"{path!r} is a backup, and {log!r} beside it is the log of another file.",
                hint=(
                    f"Remove {log!r} and {path + '-shm'!r} while no process has the index open; "
                    "next time: semantic-core restore."
                ),
            ) from error
        with suppress(FileNotFoundError):
            os.unlink(f"{path}-shm")
    _log.warning(
        "%r is a backup that was put beside the log of another file. That log is %r now; remove it "
        "unless the other file is kept, too. Next time: semantic-core restore.",
        path,
        aside,
    )


def refuse_in_use(path: str) -> None:
    """Raise StoreBusy if any process has the store open: it holds a lock as long as it has."""
    if not os.path.exists(path):
        return
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
    try:
        with translated(path):
            file = apsw.VFSFile("", path, flags)
            try:
                file.xLock(apsw.SQLITE_LOCK_SHARED)
                file.xLock(apsw.SQLITE_LOCK_EXCLUSIVE)
                file.xUnlock(apsw.SQLITE_LOCK_NONE)
            finally:
                file.xClose()
    except StoreBusy as error:
        raise StoreBusy(
            f"The store {path!r} is open in a process.",
            hint="Stop the processes that use it, and try again.",
        ) from error


def _header(path: str) -> bytes:
    """The first 100 bytes; fewer if there are fewer.

    Read by SQLite's own means: a plain open() would drop its locks.
    """
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    try:
        file = apsw.VFSFile("", path, flags)
        try:
            return bytes(file.xRead(min(file.xFileSize(), 100), 0))
        finally:
            file.xClose()
    except apsw.Error as error:
        raise StoreUnavailable(
            f"The store {path!r} cannot be read: {error}.", hint="Check its rights."
        ) from error


def _version_in_log(path: str, version: int) -> int:
    """The version with what was written last; looked at without moving the log into the file."""
    with suppress(apsw.Error):  # whatever is wrong, opening the file will say it better
        raw = apsw.Connection(
            Path(path).as_uri() + "?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            return version_of(raw)
        finally:
            raw.close(True)
    return version


def _has_pages(log: str) -> bool:
    with suppress(OSError):
        return os.path.getsize(log) > 0
    return False


def newer_release(path: str, version: int) -> StoreVersion:
    return StoreVersion(
        f"The store {path!r} has schema {version}, this release knows up to {newest()}.",
        hint="pip install --upgrade semantic-core-peewee",
    )
