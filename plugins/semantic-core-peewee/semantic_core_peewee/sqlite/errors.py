"""Errors of SQLite and APSW, translated into errors of the product here and nowhere else.

Tested by tests/trust/test_errors.py and tests/sqlite/test_faults.py.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

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
"""What SQLite may raise: its own codes, and errors about text or numbers that Python and SQLite
cannot exchange.
"""

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What Python raises for a row that holds what was never stored: NULL instead of a text, or JSON
that ends too early.
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


class Kind(NamedTuple):
    """What an error becomes: our class, what is wrong, what to do."""

    raised: type[SemanticCoreError]
    matter: str
    hint: str

    def error(self, cause: BaseException, path: str) -> SemanticCoreError:
        """Our error about this file."""
        message = f"The store {path!r}: {self.matter} ({type(cause).__name__}: {cause})."
        return self.raised(message, hint=self.hint)


_KINDS: Mapping[int, Kind] = {
    apsw.SQLITE_BUSY: Kind(
        StoreBusy, "another writer holds it", "Try again, or raise busy_timeout."
    ),
    apsw.SQLITE_LOCKED: Kind(StoreBusy, "another statement holds it", "Try again."),
    apsw.SQLITE_PROTOCOL: Kind(StoreBusy, "its locks are contended", "Try again."),
    apsw.SQLITE_FULL: Kind(StoreFull, "there is no space left", _FREE),
    apsw.SQLITE_READONLY: Kind(StoreReadOnly, "it cannot be written", _RIGHTS),
    apsw.SQLITE_PERM: Kind(StoreReadOnly, "it may not be written", _RIGHTS),
    apsw.SQLITE_CANTOPEN: Kind(
        StoreUnavailable,
        "it cannot be opened",
        "Check the path, its rights, and the open-file limit.",
    ),
    apsw.SQLITE_IOERR: Kind(
        StoreUnavailable,
        "reading or writing it failed",
        "Check the disk and its connection.",
    ),
    apsw.SQLITE_NOTADB: Kind(StoreForeign, "it is not an SQLite database", "Choose another path."),
    apsw.SQLITE_CORRUPT: Kind(StoreCorrupt, "its content contradicts itself", _DOCTOR),
    apsw.SQLITE_CONSTRAINT: Kind(StoreCorrupt, "its tables contradict each other", _DOCTOR),
    apsw.SQLITE_TOOBIG: Kind(
        TextInvalid,
        "a text is too long for it",
        "Cut the document into several.",
    ),
    apsw.SQLITE_MISUSE: Kind(StoreMisuse, "it was used after being closed", "Open it again."),
    apsw.SQLITE_NOMEM: Kind(
        StoreError, "there was not enough memory", "Try again with less at once."
    ),
    apsw.SQLITE_INTERRUPT: Kind(StoreError, "the operation was interrupted", "Try again."),
}
"""By primary result code: our class, what is wrong, what to do."""

_CLASSES: Mapping[type[Exception], Kind] = {
    apsw.ThreadingViolationError: Kind(
        StoreMisuse,
        "a connection was used by two threads at once",
        "Use one store object.",
    ),
    apsw.ConnectionClosedError: Kind(
        StoreMisuse, "it was used after being closed", "Open it again."
    ),
    apsw.CursorClosedError: Kind(StoreMisuse, "it was used after being closed", "Open it again."),
    apsw.ForkingViolationError: Kind(
        StoreMisuse,
        "a connection crossed a fork",
        "Use the store object again in the child.",
    ),
    UnicodeDecodeError: Kind(StoreCorrupt, "it holds bytes that are no text", _DOCTOR),
    UnicodeEncodeError: Kind(
        InputError,
        "a text holds a lone surrogate",
        "Decode the source with errors='replace'.",
    ),
    OverflowError: Kind(InputError, "a number does not fit into 64 bits", "Use a smaller one."),
}
"""Errors that carry no result code."""

_MOVED = Kind(
    StoreMisuse,
    "it was moved, removed or replaced while open",
    "Close this store and open it again.",
)
_OTHER = Kind(StoreError, "SQLite refused", "Please report this.")
_MISSING = ("no such column", "no such table")
_DAMAGE = {apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB}
_SUSPECT = {apsw.SQLITE_IOERR, apsw.SQLITE_FULL, apsw.SQLITE_NOMEM, *_DAMAGE}


def result_code(error: BaseException) -> int:
    """SQLite's primary result code; 0 if the error carries none."""
    return int(getattr(error, "result", 0)) & 0xFF


def is_suspect(error: BaseException) -> bool:
    """Whether the connection that raised it must be closed, because it cannot be trusted any
    more."""
    return result_code(error) in _SUSPECT or _misses_what_is_ours(error)


def is_damage(error: BaseException) -> bool:
    """Whether it reports a damaged file; believed only if a new connection raises it, too."""
    return result_code(error) in _DAMAGE or _misses_what_is_ours(error)


def _misses_what_is_ours(error: BaseException) -> bool:
    """Whether a table or column was missing: all are ours, so the file is damaged."""
    return result_code(error) == apsw.SQLITE_ERROR and str(error).startswith(_MISSING)


def remember_errno(error: BaseException, raw: Any) -> None:
    """Note the system's error number while the connection still has it: a full disk may be
    reported as an I/O error.
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
    return _kind_of(error).error(error, path)


def _kind_of(error: BaseException) -> Kind:
    if getattr(error, "extendedresult", 0) in (_DB_MOVED, _DELETED):
        return _MOVED
    for known, kind in _CLASSES.items():
        if isinstance(error, known):
            return kind
    code = result_code(error)
    if _misses_what_is_ours(error):
        code = apsw.SQLITE_CORRUPT
    if code == apsw.SQLITE_IOERR and _has_no_space(error):
        code = apsw.SQLITE_FULL
    return _KINDS.get(code, _OTHER)


def _has_no_space(error: BaseException) -> bool:
    """Whether `remember_errno` noted that the disk or a quota is full."""
    notes = getattr(error, "__notes__", ())
    numbers = {note.removeprefix(_ERRNO) for note in notes if note.startswith(_ERRNO)}
    return not numbers.isdisjoint(_NO_SPACE)
