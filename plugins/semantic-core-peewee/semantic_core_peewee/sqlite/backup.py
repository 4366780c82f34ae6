"""Backups: a copy of a whole store is written beside its place, checked, made durable, and only
then renamed.

A copy has no write-ahead log, and its header says so; whoever opens it first adds one. So a log
beside a copy is known to belong to another file.

Tested by tests/sqlite/test_backup.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import apsw

from semantic_core.errors import InputError, StoreError, StoreMisuse, StoreVersion
from semantic_core_peewee.sqlite.connection import (
    BESIDE,
    JOURNAL,
    PART,
    Target,
    identity_of,
    translated,
)
from semantic_core_peewee.sqlite.errors import noting_errno
from semantic_core_peewee.sqlite.opening import is_new, make_file, refuse_in_use, rights_for, sole
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.tuning import DEFAULT


def back_up(view: View, path: str) -> None:
    """Copy the whole store, as it is at one moment, into a new file; writers go on.

    Raises InputError, StoreError.
    """
    _refuse_what_is_there(path)
    folder = os.path.dirname(path)
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder!r} is no folder to write to.", hint="Choose another path.")
    with sole(path, DEFAULT.least_wait):
        _refuse_what_is_there(path)
        with _made_aside(view.raw, path) as part:
            os.rename(part, path)


def put_in_place(view: View, target: Target) -> None:
    """Put a copy of the whole store where another one was, or none; what was there is gone.

    Raises StoreBusy if any process has the other one open, StoreForeign if it is of another
    program, InputError, StoreError; then everything is as it was.
    """
    path = target.path
    with suppress(StoreVersion, StoreMisuse):  # whatever is wrong with what is there: it goes
        is_new(target)
    if os.path.exists(path) and identity_of(path) == identity_of(view.raw.filename):
        raise InputError(
            f"{path!r} is the backup itself.", hint="Name the index to replace with --db."
        )
    with sole(path, DEFAULT.least_wait):
        refuse_in_use(path)
        with _made_aside(view.raw, path) as part:
            refuse_in_use(path)
            os.replace(part, path)
            # Not before: a copy beside the log of another file is refused, the other file without
            # its log would have lost something.
            for suffix in (*BESIDE, JOURNAL):
                with suppress(FileNotFoundError):
                    os.unlink(path + suffix)


@contextmanager
def _made_aside(source: Any, path: str) -> Iterator[str]:
    """A checked, durable copy beside `path`, to be renamed within; what is left is removed."""
    part = path + PART
    _remove(part)  # of one that was cut off
    try:
        make_file(part, rights_for(path))
    except OSError as error:
        raise InputError(
            f"{path!r} cannot be written: {error.strerror}.", hint="Choose another path."
        ) from error
    try:
        with translated(path):
            _copy(source, part)
            verdict = _verdict(part)
            if verdict != "ok":  # also said of a page that could not be read just now
                verdict = _verdict(part)
        if verdict != "ok":
            raise StoreError(
                f"The copy {path!r} is not sound: {verdict}.",
                hint="Run `semantic-core doctor` on the store.",
            )
        _make_durable(part)
        yield part
        _make_durable(os.path.dirname(path))
    finally:
        _remove(part)


def _copy(source: Any, part: str) -> None:
    copy = apsw.Connection(part)
    try:
        with noting_errno(copy):
            with copy.backup("main", source, "main") as backup:
                backup.step(-1)
            copy.pragma("journal_mode", "delete")
    finally:
        copy.close(True)


def _verdict(path: str) -> str:
    """What SQLite says of a file, asked through a fresh connection: "ok", or what is wrong."""
    copy = apsw.Connection(path)
    try:
        with noting_errno(copy):
            return str(copy.execute("pragma quick_check(1)").get)
    finally:
        copy.close(True)


def _make_durable(path: str) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    with suppress(OSError):  # not every system opens folders
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(part: str) -> None:
    for suffix in ("", *BESIDE, JOURNAL):
        with suppress(FileNotFoundError):
            os.unlink(part + suffix)


def _refuse_what_is_there(path: str) -> None:
    if os.path.lexists(path):
        raise InputError(
            f"{path!r} is there already; a backup goes into a new file.",
            hint="Choose another path.",
        )
