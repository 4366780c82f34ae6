"""A disk that fails when told to: SQLite's own table of file operations,
with one that may refuse put before each.

A refusal is what an operating system gives, a result code and an errno, so nothing but SQLite
decides what comes of it; an exception from a VFS written in Python would show even where SQLite
gets over the failure by itself. The structures are those of ``sqlite3_vfs`` and
``sqlite3_io_methods`` in SQLite's header, which never change their beginning.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apsw

_int, _pointer = ctypes.c_int, ctypes.c_void_p

_METHODS = (
    ("xClose", (_pointer,)),
    ("xRead", (_pointer, _pointer, _int, ctypes.c_int64)),
    ("xWrite", (_pointer, _pointer, _int, ctypes.c_int64)),
    ("xTruncate", (_pointer, ctypes.c_int64)),
    ("xSync", (_pointer, _int)),
    ("xFileSize", (_pointer, _pointer)),
    ("xLock", (_pointer, _int)),
    ("xUnlock", (_pointer, _int)),
    ("xCheckReservedLock", (_pointer, _pointer)),
    ("xFileControl", (_pointer, _int, _pointer)),
    ("xSectorSize", (_pointer,)),
    ("xDeviceCharacteristics", (_pointer,)),
    ("xShmMap", (_pointer, _int, _int, _int, _pointer)),
    ("xShmLock", (_pointer, _int, _int, _int)),
    ("xShmBarrier", (_pointer,)),
    ("xShmUnmap", (_pointer, _int)),
    ("xFetch", (_pointer, ctypes.c_int64, _int, _pointer)),
    ("xUnfetch", (_pointer, ctypes.c_int64, _pointer)),
)


class _Methods(ctypes.Structure):
    _fields_ = [("iVersion", _int), *((name, _pointer) for name, _ in _METHODS)]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", _int),
        ("szOsFile", _int),
        ("mxPathname", _int),
        ("pNext", _pointer),
        ("zName", ctypes.c_char_p),
        ("pAppData", _pointer),
        ("xOpen", _pointer),
        ("xDelete", _pointer),
    ]


# Names as they are: SQLite keeps the pointers.
_OPEN = (_pointer, _pointer, _pointer, _int, _pointer)
_DELETE = (_pointer, _pointer, _int)

KINDS = {
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "size": apsw.SQLITE_IOERR_FSTAT,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "map": apsw.SQLITE_IOERR_SHMMAP,
}
"""What can fail, and the result code SQLite's own file layer has for it."""
_FAILING = {
    "xRead": "read",
    "xWrite": "write",
    "xTruncate": "truncate",
    "xSync": "sync",
    "xFileSize": "size",
    "xShmMap": "map",
}


@dataclass
class Fault:
    """Which call fails. at: its number, from 0; None only counts.
    ever: and every call after it, too.

    full: for want of space, so only what needs some fails. calls: kinds of those seen. hits: of
    those that failed.
    """

    at: int | None = None
    ever: bool = False
    full: bool = False
    calls: list[str] = field(default_factory=list)
    hits: list[str] = field(default_factory=list)

    def fails(self, kind: str) -> int:
        """The result code for this call; 0 to let it through."""
        if self.full and kind not in ("write", "map"):
            return 0
        number = len(self.calls)
        self.calls.append(kind)
        if self.at is None or not (number == self.at or (self.ever and number > self.at)):
            return 0
        self.hits.append(kind)
        return self.code(kind)

    def code(self, kind: str) -> int:
        """SQLite's extended result code for a call of this kind that fails."""
        return apsw.SQLITE_FULL if self.full and kind == "write" else KINDS[kind]


class _Guard(NamedTuple):
    """A file operation of a table of ours: the addresses of the original, and of the function that
    may refuse.
    """

    table: _Methods
    name: str
    original: int
    refusing: int


class FaultyDisk:
    """All files SQLite opens in this process while it is `attached`.

    fault: what their calls meet; None is a sound disk, and is asked nothing.
    """

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self._kept: list[Any] = []
        self._guards: list[_Guard] = []
        self._tables: dict[int, _Methods] = {}
        self._vfs = _vfs()

    @property
    def fault(self) -> Fault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._fault = fault
        for guard in self._guards:
            self._set(guard)

    def _set(self, guard: _Guard) -> None:
        """Have SQLite call the original while the disk is sound."""
        address = guard.original if self.fault is None else guard.refusing
        setattr(guard.table, guard.name, address)

    def _refuses(self, kind: str) -> int:
        if self.fault is None:
            return 0
        code = self.fault.fails(kind)
        if code:
            ctypes.set_errno(errno.ENOSPC if self.fault.full else errno.EIO)
        return code

    def _guarded(self, kind: str, original: int, arguments: tuple[Any, ...]) -> int:
        """The address of a function that may refuse, and else is the original."""
        shape = ctypes.CFUNCTYPE(_int, *arguments, use_errno=True)
        behind: Callable[..., int] = shape(original)
        made = shape(lambda *given: self._refuses(kind) or behind(*given))
        self._kept.append(made)
        return ctypes.cast(made, _pointer).value or 0

    def _table(self, address: int) -> _Methods:
        """Our copy of a table of file operations."""
        if address not in self._tables:
            table = _Methods.from_buffer_copy(_Methods.from_address(address))
            for name, arguments in _METHODS:
                original = getattr(table, name)
                if name in _FAILING and original:
                    refusing = self._guarded(_FAILING[name], original, arguments)
                    guard = _Guard(table, name, original, refusing)
                    self._guards.append(guard)
                    self._set(guard)
            self._tables[address] = table
            self._tables[ctypes.addressof(table)] = table
        return self._tables[address]

    @contextmanager
    def attached(self) -> Iterator[FaultyDisk]:
        """Within it files are opened through this; close all of them before it ends."""
        usual_open, usual_delete = self._vfs.xOpen, self._vfs.xDelete
        shape = ctypes.CFUNCTYPE(_int, *_OPEN, use_errno=True)
        behind = shape(usual_open)

        def opened(vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
            refused = self._refuses("open")
            if refused:
                # No table: SQLite is not to close it.
                ctypes.c_void_p.from_address(file).value = None
                return refused
            code = behind(vfs, name, file, flags, out)
            place = ctypes.c_void_p.from_address(file)
            if place.value:
                place.value = ctypes.addressof(self._table(place.value))
            return code

        made = shape(opened)
        self._kept.append(made)
        self._vfs.xOpen = ctypes.cast(made, _pointer).value
        self._vfs.xDelete = self._guarded("delete", usual_delete, _DELETE)
        try:
            yield self
        finally:
            self._vfs.xOpen, self._vfs.xDelete = usual_open, usual_delete


def _vfs() -> _Vfs:
    """SQLite's default VFS, where it lies in memory."""
    address = ctypes.c_void_p()
    connection = apsw.Connection(
        os.devnull + "-none", flags=apsw.SQLITE_OPEN_MEMORY | apsw.SQLITE_OPEN_READWRITE
    )
    try:
        connection.file_control("main", apsw.SQLITE_FCNTL_VFS_POINTER, ctypes.addressof(address))
    finally:
        connection.close()
    assert address.value is not None
    return _Vfs.from_address(address.value)
