"""Opening a file: what is at the path is examined first, and changed only if it is a store of ours
or nothing is there yet; then it is migrated to the newest schema.

Tested by tests/sqlite/test_opening.py and tests/trust/test_disk.py.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import apsw

from semantic_core.errors import (
    SpaceMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreForeign,
    StoreMisuse,
    StoreReadOnly,
    StoreUnavailable,
    StoreVersion,
)
from semantic_core.types import INDEX_SUFFIX, WORDS_ONLY, Space
from semantic_core_peewee.sqlite.connection import (
    HAS_LOG,
    HAS_LOG_AT,
    LOCK,
    PART,
    Connection,
    Target,
    claim_file,
    release_file,
    translated,
)
from semantic_core_peewee.sqlite.errors import noting_errno
from semantic_core_peewee.sqlite.migrations import (
    APPLICATION_ID,
    PAGE_SIZE,
    migrate,
    newest,
    version_of,
)
from semantic_core_peewee.sqlite.records import row_crc

# A lock file beside the store, so that one process at a time creates or migrates it. It is removed
# afterwards.

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
    """Whether a process is creating or migrating this store."""
    return os.path.exists(path + LOCK)


@contextmanager
def sole(path: str, patience: float) -> Iterator[None]:
    """Within it no other process creates or migrates the store at `path`.

    patience: seconds to wait for another one. Raises StoreBusy, StoreReadOnly.
    """
    name = path + LOCK
    deadline = time.monotonic() + patience
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


def _patience(target: Target) -> float:
    """Seconds to wait for another process that makes or brings up this store."""
    return max(target.busy_timeout, target.tuning.least_wait)


def _leads_to(name: str, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.stat(name), os.fstat(descriptor))
    return False


# What is at a path: nothing yet, a store of ours, or a file that must not be touched.

_MAGIC = b"SQLite format 3\0"
_log = logging.getLogger("semantic_core.store")


def is_new(target: Target) -> bool:
    """Whether there is nothing at the path yet; raises if there is something that is not ours."""
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
            with sole(path, _patience(target)):
                _take_back(path)
        if os.path.getsize(path) == 0:
            return True
        _check_header(path)
    return False


def _take_back(path: str) -> None:
    """Let SQLite undo a first write that was interrupted, from the journal beside the file."""
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
    """Raise unless the header says that the file is ours and not of a newer release. A file of
    another program is never opened as a database.
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
    """Whether it is a copy of a store, which has no log, beside a log with pages: that is the log
    of the file that was here before.
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
    path = target.path
    log = f"{target.path}-wal"
    free = (f"{log}.of-the-former-file{number or ''}" for number in count())
    aside = next(name for name in free if not os.path.lexists(name))
    with sole(path, _patience(target)):
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
        "unless the other file still exists. Next time: semantic-core restore.",
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
    """The error for a file that a newer release has written."""
    return StoreVersion(
        f"The store {path!r} has schema {version}, this release knows up to {newest()}.",
        hint="pip install --upgrade semantic-core-peewee",
    )


# The rights of a new file: private, unless others may read the database it is made from.

PRIVATE = 0o600


def rights_for(path: str) -> int:
    """The rights a file at `path` is to have: those it has, else those of the database beside which
    it lies, else PRIVATE.

    SQLite gives the log and its index the rights of their file.
    """
    database = path.removesuffix(INDEX_SUFFIX)
    for known in dict.fromkeys((path, database)):
        with suppress(OSError):
            found = os.stat(known)
            if stat.S_ISREG(found.st_mode):
                return stat.S_IMODE(found.st_mode) & 0o666 | PRIVATE
    return PRIVATE


def make_file(path: str, rights: int) -> None:
    """Make an empty file with exactly these rights. Raises OSError, as where there is one."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE)
    os.close(descriptor)
    os.chmod(path, rights)


def prepare(target: Target, space: Space | None, multi_tenant: bool | None) -> tuple[Space, bool]:
    """Create the file if there is none, migrate it if it is older; return its space and tenancy.

    space: None takes that of the file, and creates none. Raises StoreForeign, StoreVersion,
    StoreCorrupt, SpaceMismatch, StoreMisuse (tenancy, second library), StoreReadOnly,
    StoreUnavailable, StoreBusy; then the file is as it was.
    """
    while True:
        claim = claim_file(target.path) if os.path.isfile(target.path) else None
        try:
            if is_new(target):
                if space is None:
                    raise StoreUnavailable(
                        f"There is no store at {target.path!r}.", hint="Check the path."
                    )
                with sole(target.path, _patience(target)):
                    if is_new(target):
                        _create(target, space, bool(multi_tenant))
            settled = _settle(target, space, multi_tenant)
        finally:
            release_file(claim)
        if settled is not None:
            return settled


def _create(target: Target, space: Space, multi_tenant: bool) -> None:
    """Write the first pages, in a rollback journal: then the main file alone is never empty or
    unmarked.
    """
    path = target.path
    there = os.path.exists(target.path)
    said = said_of(space, multi_tenant)
    try:
        with _refined(path), translated(path):
            if not there:
                with suppress(OSError):  # SQLite will say it better
                    make_file(path, rights_for(path))
            raw = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            try:
                with noting_errno(raw):
                    raw.set_busy_timeout(int(target.busy_timeout * 1000))
                    raw.execute(f"pragma page_size = {PAGE_SIZE}")
                    migrate(raw, said)
                    _use_log(raw, target)
            finally:
                raw.close(True)
    except BaseException:
        if not there:
            with suppress(OSError):
                os.unlink(path)
        raise


def said_of(space: Space, multi_tenant: bool) -> dict[str, str]:
    """The content of the meta table of a new store."""
    said = {
        "space": json.dumps(_space_record(space), sort_keys=True),
        "multi_tenant": json.dumps(multi_tenant),
        "generation": "1",
        "created_at": datetime.now(UTC).isoformat(),
    }
    return {**said, "crc": _crc(said)}


def _settle(
    target: Target, space: Space | None, multi_tenant: bool | None
) -> tuple[Space, bool] | None:
    """Migrate an existing file and compare it with what is wanted; None if it turns out to be
    empty.
    """
    path = target.path
    with _refined(path), translated(path):
        connection = Connection(target, writer=True)
        try:
            raw = connection.raw
            version = version_of(raw)
            if version == 0 and raw.pragma("application_id") != APPLICATION_ID:
                return None  # a creation that was cut off; opening it rolled it back
            if version > newest():
                raise newer_release(path, version)
            if version < newest() or (
                raw.pragma("journal_mode") != "wal" and not raw.readonly("main")
            ):
                if raw.readonly("main"):
                    raise StoreReadOnly(
                        (
                            f"The store {path!r} has schema {version}, wanted {newest()}, and it "
                            "cannot be written."
                        ),
                        hint="Make it writable once, or use a copy.",
                    )
                with sole(path, _patience(target)):
                    migrate(raw)
                    _use_log(raw, target)
            says = dict(raw.execute("select key, value from semantic_index_meta").fetchall())
        finally:
            connection.close()
    return agree(path, says, space, multi_tenant)


def _use_log(raw: Any, target: Target) -> None:
    path = target.path
    deadline = time.monotonic() + target.tuning.least_wait
    while True:
        try:
            mode = raw.pragma("journal_mode", "wal")
            break
        except apsw.BusyError:  # this one switch does not wait for readers by itself
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)
    if mode != "wal":
        raise StoreUnavailable(
            f"The store {path!r} needs a write-ahead log; its file system gave {mode!r}.",
            hint="Use a local disk.",
        )


def agree(
    path: str, says: dict[str, str], space: Space | None, multi_tenant: bool | None
) -> tuple[Space, bool]:
    """The space and tenancy a store has, if they are what is wanted.

    Raises StoreCorrupt, SpaceMismatch, StoreMisuse.
    """
    if says.get("crc") != _crc(says):
        raise StoreCorrupt(
            f"The store {path!r} does not say what it was made as.", hint="Restore a backup."
        )
    try:
        held = Space(**json.loads(says["space"]))
        tenancy = bool(json.loads(says["multi_tenant"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"The store {path!r} does not say what it holds.", hint="Restore a backup."
        ) from error
    if space is not None and held != space and held.model == WORDS_ONLY:
        raise SpaceMismatch(
            f"The store {path!r} was made without an embedder, the one in use makes {space}.",
            hint=(
                'Open it with embedder="none"; for meaning too, use another path, or remove the '
                "store, and ingest again."
            ),
        )
    if space is not None and held != space:
        raise SpaceMismatch(
            f"The store {path!r} holds vectors of {held}, the embedder in use makes {space}.",
            hint="Use that embedder, or another path; or remove the store and ingest again.",
        )
    if multi_tenant is not None and tenancy is not multi_tenant:
        names = {True: "multi-tenant", False: "single-tenant"}
        raise StoreMisuse(
            f"The store {path!r} is {names[tenancy]}, wanted {names[multi_tenant]}.",
            hint="A store stays what it was made as: leave multi_tenant out, or use another path.",
        )
    return held, tenancy


def _crc(says: dict[str, str]) -> str:
    """Checksum of what a store was made as, as text."""
    return str(
        row_crc(*(says.get(name) for name in ("space", "multi_tenant", "generation", "created_at")))
    )


def _space_record(space: Space) -> dict[str, Any]:
    return {
        "model": space.model,
        "dimensions": space.dimensions,
        "task": space.task,
        "revision": space.revision,
        "settings": dict(space.settings),
    }


@contextmanager
def _refined(path: str) -> Iterator[None]:
    """Within it, a file that cannot be opened because its folder is not writable raises
    StoreReadOnly.
    """
    try:
        yield
    except StoreUnavailable as error:
        folder = os.path.dirname(path)
        if (
            isinstance(error.__cause__, apsw.CantOpenError)
            and os.path.isdir(folder)
            and not os.access(folder, os.W_OK)
        ):
            raise StoreReadOnly(
                f"The store {path!r} needs a folder it can write to, {folder!r} is not.",
                hint="Give this user the right to write there, or use a copy elsewhere.",
            ) from error.__cause__
        raise
