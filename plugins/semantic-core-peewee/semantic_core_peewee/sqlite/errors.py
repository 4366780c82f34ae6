"""Every error of SQLite and APSW becomes one of ours here, and nowhere else."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import apsw

from semantic_core.errors import (
    InputError,
    SemanticCoreError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreMisuse,
    StoreReadOnly,
    StoreUnavailable,
    TextInvalid,
)

SQLITE_ERRORS = (apsw.Error, UnicodeError, OverflowError)
"""What may come out of SQLite: its own codes, and text or numbers that Python and SQLite cannot
hand to each other.
"""

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What Python says of a row that holds what was never stored: NULL where a text was,
JSON that ends too early.
"""

_ERRNO = "system errno "
_NO_SPACE = {str(errno.ENOSPC), str(errno.EDQUOT), str(errno.EFBIG)}
_DB_MOVED = apsw.SQLITE_READONLY_DBMOVED
_DELETED = apsw.SQLITE_IOERR_DELETE_NOENT

_DOCTOR = (
    "Run `semantic-core doctor`; restore a backup if it finds damage. Nothing "
    "was deleted or rebuilt."
)
_FREE = "Free some space and try again; searching still works."
_RIGHTS = "Give this user the right to write the file and its folder, or use a copy."

Kind = tuple[type[SemanticCoreError], str, str]
_KINDS: Mapping[int, Kind] = {
    apsw.SQLITE_BUSY: (StoreBusy, "another writer holds it", "Try again, or raise busy_timeout."),
    apsw.SQLITE_LOCKED: (StoreBusy, "another statement holds it", "Try again."),
    apsw.SQLITE_PROTOCOL: (StoreBusy, "its locks are contended", "Try again."),
    apsw.SQLITE_FULL: (StoreFull, "there is no space left", _FREE),
    apsw.SQLITE_READONLY: (StoreReadOnly, "it cannot be written", _RIGHTS),
    apsw.SQLITE_PERM: (StoreReadOnly, "it may not be written", _RIGHTS),
    apsw.SQLITE_CANTOPEN: (
        StoreUnavailable,
        "it cannot be opened",
        "Check the path, its rights, and the open-file limit.",
    ),
    apsw.SQLITE_IOERR: (
        StoreUnavailable,
        "reading or writing it failed",
        "Check the disk and its connection.",
    ),
    apsw.SQLITE_NOTADB: (StoreForeign, "it is not an SQLite database", "Choose another path."),
    apsw.SQLITE_CORRUPT: (StoreCorrupt, "its content contradicts itself", _DOCTOR),
    apsw.SQLITE_CONSTRAINT: (StoreCorrupt, "its tables contradict each other", _DOCTOR),
    apsw.SQLITE_TOOBIG: (
        TextInvalid,
        "a text is too long for it",
        "Cut the document into several.",
    ),
    apsw.SQLITE_MISUSE: (StoreMisuse, "it was used after being closed", "Open it again."),
    apsw.SQLITE_NOMEM: (StoreError, "there was not enough memory", "Try again with less at once."),
    apsw.SQLITE_INTERRUPT: (StoreError, "the operation was interrupted", "Try again."),
}
"""Primary result code: our class, what is the matter, what to do."""

_CLASSES: Mapping[type[Exception], Kind] = {
    apsw.ThreadingViolationError: (
        StoreMisuse,
        "a connection was used by two threads at once",
        "Use one store object.",
    ),
    apsw.ConnectionClosedError: (StoreMisuse, "it was used after being closed", "Open it again."),
    apsw.CursorClosedError: (StoreMisuse, "it was used after being closed", "Open it again."),
    apsw.ForkingViolationError: (
        StoreMisuse,
        "a connection crossed a fork",
        "Use the store object again in the child.",
    ),
    UnicodeDecodeError: (StoreCorrupt, "it holds bytes that are no text", _DOCTOR),
    UnicodeEncodeError: (
        InputError,
        "a text holds a lone surrogate",
        "Decode the source with errors='replace'.",
    ),
    OverflowError: (InputError, "a number does not fit into 64 bits", "Use a smaller one."),
}
"""Errors that carry no result code."""

_MISSING = ("no such column", "no such table")
_DAMAGE = {apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB}
_SUSPECT = {apsw.SQLITE_IOERR, apsw.SQLITE_FULL, apsw.SQLITE_NOMEM, *_DAMAGE}


def result_code(error: BaseException) -> int:
    """SQLite's primary result code; 0 if the error carries none."""
    return int(getattr(error, "result", 0)) & 0xFF


def is_suspect(error: BaseException) -> bool:
    """Whether the connection that raised it must be closed:
    what it says afterwards cannot be trusted.
    """
    return result_code(error) in _SUSPECT or _misses_what_is_ours(error)


def is_damage(error: BaseException) -> bool:
    """Whether it says that the file is damaged; true only if a fresh connection says so too."""
    return result_code(error) in _DAMAGE or _misses_what_is_ours(error)


def _misses_what_is_ours(error: BaseException) -> bool:
    """Whether a statement found a table or column missing: all are ours, so it is the file that
    does not say so any more.
    """
    return result_code(error) == apsw.SQLITE_ERROR and str(error).startswith(_MISSING)


def remember_errno(error: BaseException, raw: Any) -> None:
    """Note why the operating system refused, while the connection still knows:
    a full disk may come as an I/O error.
    """
    if result_code(error) == apsw.SQLITE_IOERR:
        error.add_note(f"{_ERRNO}{raw.system_errno}")


@contextmanager
def noting_errno(raw: Any) -> Iterator[None]:
    """Within it, errors of this connection are noted with `remember_errno`."""
    try:
        yield
    except SQLITE_ERRORS as error:
        remember_errno(error, raw)
        raise


def damaged(error: BaseException) -> StoreCorrupt:
    """Our error for one of UNREADABLE; raise it ``from`` that one."""
    return StoreCorrupt(
        f"A row holds what was never stored there ({type(error).__name__}).", hint=_DOCTOR
    )


def altered(what: str) -> StoreCorrupt:
    """Our error for a row whose checksum says that it is not what was stored."""
    return StoreCorrupt(f"{what} is not what was stored.", hint=_DOCTOR)


def translate(error: BaseException, path: str) -> SemanticCoreError:
    """Our error for one of SQLITE_ERRORS; raise it ``from`` that one."""
    code = result_code(error)
    noted = {
        note.removeprefix(_ERRNO)
        for note in getattr(error, "__notes__", ())
        if note.startswith(_ERRNO)
    }
    if _misses_what_is_ours(error):
        code = apsw.SQLITE_CORRUPT
    if code == apsw.SQLITE_IOERR and noted & _NO_SPACE:
        code = apsw.SQLITE_FULL
    if getattr(error, "extendedresult", 0) in (_DB_MOVED, _DELETED):
        made: Kind = (
            StoreMisuse,
            "it was moved, removed or replaced while open",
            "Close this store and open it again.",
        )
    else:
        by_class = next(
            (kind for known, kind in _CLASSES.items() if isinstance(error, known)), None
        )
        made = by_class or _KINDS.get(code) or (StoreError, "SQLite refused", "Please report this.")
    raised, matter, hint = made
    return raised(f"The store {path!r}: {matter} ({type(error).__name__}: {error}).", hint=hint)
