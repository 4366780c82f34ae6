"""A disk that remembers the order of things: what the files may look like when the power
goes at any moment.

Everything SQLite does to its files goes through a VFS that writes it down. What was synced is on
the disk; of the rest any 512-byte sectors may be there, the others hold what they held before, or
zeros or garbage where nothing was. A file made, removed or made again is so only once its folder
was synced; until then either may be true. Synced data stays.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
"""Bytes a disk writes as one."""
CHANCES = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How likely a sector that was not synced is there nevertheless."""
_IN_FOLDER = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
"""Files whose first sync also syncs the folder they were made in."""

Event = tuple[Any, ...]


class _File(apsw.VFSFile):
    def __init__(self, log: PowerLog, name: Any, flags: list[int]) -> None:
        self._log = log
        self._name = os.path.basename(
            name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        )
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        made = not (path and os.path.exists(path))
        super().__init__(log.BASE, name, flags)
        self._folder_waits = made and bool(flags[0] & _IN_FOLDER)
        if made:
            log.note("make", self._name)

    def xWrite(self, data: Any, offset: int) -> None:
        super().xWrite(data, offset)
        self._log.note("write", self._name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._log.note("truncate", self._name, size)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._log.note("sync", self._name)
        if self._folder_waits:
            self._log.note("sync folder")
            self._folder_waits = False


class PowerLog(apsw.VFS):
    """Passes everything on to the ordinary VFS, and keeps it in `events`."""

    NAME, BASE = "semantic-core-power-log", "unix"

    def __init__(self, watched: Sequence[Path]) -> None:
        self.events: list[Event] = []
        self._there = dict.fromkeys(watched, False)
        super().__init__(self.NAME, self.BASE)

    def note(self, *event: Any) -> None:
        """Keep an event, and before it what has become of files that are made and removed without
        SQLite.
        """
        for file, was_there in self._there.items():
            if file.exists() != was_there:
                self._there[file] = not was_there
                self.events.append(("remove" if was_there else "make", file.name))
        self.events.append(event)

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def xDelete(self, path: str, sync_folder: bool) -> None:
        super().xDelete(path, sync_folder)
        self.note("remove", os.path.basename(path))
        if sync_folder:
            self.note("sync folder")

    def mark(self, what: str, number: int) -> None:
        """Note what the caller knows at this moment: "begun" or "done", and of which write."""
        self.note(what, number)


@contextmanager
def logged(*watched: Path) -> Iterator[PowerLog]:
    """Within it every connection of this process goes through the log;
    all must be closed in it, too.

    watched: files that are made without SQLite.
    """
    usual = apsw.vfs_names()[0]
    log = PowerLog(watched)
    apsw.set_default_vfs(log.NAME)
    try:
        yield log
    finally:
        apsw.set_default_vfs(usual)
        log.unregister()


@dataclass
class _Content:
    """One file. synced: its bytes on the disk. waiting: writes and truncations since."""

    synced: bytearray = field(default_factory=bytearray)
    waiting: list[Event] = field(default_factory=list)


@dataclass
class Disk:
    """What is on the disk and what is on its way, event by event.
    folder: names that are sure to be there.
    """

    folder: dict[str, _Content] = field(default_factory=dict)
    changes: list[tuple[str, _Content | None]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """One more event happens."""
        kind, *rest = event
        if kind == "make":
            self.changes.append((rest[0], _Content()))
        elif kind == "remove":
            self.changes.append((rest[0], None))
        elif kind == "sync folder":
            self.folder = self._named(len(self.changes))
            self.changes.clear()
        elif kind in ("write", "truncate"):
            self._open(rest[0]).waiting.append(event)
        elif kind == "sync":
            content = self._open(rest[0])
            for waiting in content.waiting:
                _apply(content.synced, waiting, None, 1.0)
            content.waiting.clear()

    @property
    def is_settled(self) -> bool:
        """Whether everything that happened is on the disk:
        a power cut can then lead to one state only.
        """
        return not self.changes and not any(content.waiting for content in self.folder.values())

    def _open(self, name: str) -> _Content:
        return self._named(len(self.changes))[name]

    def _named(self, changes: int) -> dict[str, _Content]:
        named = dict(self.folder)
        for name, content in self.changes[:changes]:
            named.pop(name, None)
            if content is not None:
                named[name] = content
        return named

    def after_power_cut(self, rng: random.Random) -> dict[str, bytes]:
        """Files as they may be found: names and bytes."""
        chance = rng.choice(CHANCES)
        named = self._named(sum(rng.random() < 0.5 for _ in self.changes))
        found = {}
        for name, content in named.items():
            data = bytearray(content.synced)
            for waiting in content.waiting:
                _apply(data, waiting, rng, chance)
            found[name] = bytes(data)
        return found


def _apply(data: bytearray, event: Event, rng: random.Random | None, chance: float) -> None:
    """Do a write or a truncation; with rng each sector of it only by chance."""
    if event[0] == "truncate":
        if rng is None or rng.random() < chance:
            _resize(data, event[2], rng)
        return
    _, _, offset, given = event
    if rng is not None and rng.random() < chance / 2:
        # The length reaches the disk before the bytes do.
        _resize(data, max(len(data), offset + len(given)), rng)
    place = offset
    while place < offset + len(given):
        end = min(place - place % SECTOR + SECTOR, offset + len(given))
        if rng is None or rng.random() < chance:
            _resize(data, max(len(data), end), rng)
            data[place:end] = given[place - offset : end - offset]
        place = end


def _resize(data: bytearray, size: int, rng: random.Random | None) -> None:
    if size < len(data):
        del data[size:]
    elif size > len(data):
        more = size - len(data)
        data.extend(rng.randbytes(more) if rng is not None and rng.random() < 0.25 else bytes(more))


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Make the folder hold these files and no others."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
