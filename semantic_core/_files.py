"""Files: `find_files` finds those to ingest, `read_bytes` reads one.

Tested by tests/kernel/test_files.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol
from weakref import WeakSet

import attrs

from semantic_core._validation import MAX_TEXT
from semantic_core.errors import FileUnreadable

MOST_BYTES = 4 * MAX_TEXT
"""Largest file that is read, in bytes: the longest document, if every character has four."""


class HasStore(Protocol):
    """An object that has a store open, as `SemanticCore` does."""

    store: Any


_open: WeakSet[HasStore] = WeakSet()
# Reentrant, because garbage collection may close one while another is being opened.
_lock = threading.RLock()


@attrs.frozen(order=True)
class FoundFile:
    """A file to read. key: its path below the folder it was found in, with "/"; the file's name if
    it was named itself.
    """

    path: Path
    key: str


@attrs.frozen
class FoundFiles:
    """The files that were found. files: those to read, sorted, each once. skipped: the other files
    of the folders; () if patterns chose.
    """

    files: tuple[FoundFile, ...]
    skipped: tuple[Path, ...] = ()


def suffixes_of(name: str) -> tuple[str, ...]:
    """Every suffix of a file name, in lower case, the longest first: ".tar.gz" and ".gz"; () if
    there is none. The dot of a hidden file begins no suffix.
    """
    lower = name.lower()
    places = [place for place, char in enumerate(lower) if char == "." and place > 0]
    return tuple(lower[place:] for place in places)


def find_files(
    paths: Sequence[Path | str], patterns: Sequence[str] = (), *, suffixes: Collection[str] = ()
) -> FoundFiles:
    """The named files, and the files below the named folders that match a pattern.

    patterns: globs for the file name, or for the path below the folder if they contain a "/". ()
    means the files with one of these suffixes, and the others are skipped. Hidden files and folders
    are left out, and so are links: their target is found by itself or is outside. Raises
    FileUnreadable if a path does not exist.
    """
    found: dict[Path, FoundFile] = {}
    skipped: dict[str, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            for file in _below(path):
                if _wanted(file, patterns, suffixes):
                    found.setdefault(file.path.resolve(), file)
                elif not patterns:
                    skipped.setdefault(os.path.abspath(file.path), file.path)
        elif path.exists() or path.is_symlink():
            found.setdefault(path.resolve(), FoundFile(path, path.name))
        else:
            raise FileUnreadable(
                f"There is no file or folder {str(path)!r}.", hint="Check the spelling of the path."
            )
    for file in found.values():
        skipped.pop(os.path.abspath(file.path), None)
    return FoundFiles(tuple(sorted(found.values())), tuple(sorted(skipped.values())))


def _below(folder: Path) -> Iterator[FoundFile]:
    """The files below a folder that are neither hidden nor links."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and not path.is_symlink():
                yield FoundFile(path, path.relative_to(folder).as_posix())


def _wanted(file: FoundFile, patterns: Sequence[str], suffixes: Collection[str]) -> bool:
    name = file.path.name
    if not patterns:
        return any(suffix in suffixes for suffix in suffixes_of(name))
    return any(fnmatch(file.key if "/" in pattern else name, pattern) for pattern in patterns)


def files_of(store: object) -> tuple[Path, ...]:
    """The files of a store, () if it has none. While the store is open, they must not be opened by
    anything else, not even to read.
    """
    return tuple(getattr(store, "files", ()))


def keep_closed(core: HasStore) -> None:
    """From now on, this process reads no file of the client's store as a document."""
    with _lock:
        _open.add(core)


def release(core: HasStore) -> None:
    """The client's store is closed, so its files may be read again."""
    with _lock:
        _open.discard(core)


def _in_use() -> list[Path]:
    with _lock:
        files: list[Path] = []
        for core in _open:
            files += files_of(core.store)
        return files


def shown(path: Path) -> str:
    """A path as text for metadata and messages, also if it is no valid Unicode."""
    return path.as_posix().encode("utf-8", "replace").decode("utf-8")


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises FileUnreadable for one that is missing, no regular file, not permitted, too large, or of
    an index that is open in this process.
    """
    try:
        status = path.stat()
        is_in_use = any(_is_same(status, file) for file in _in_use())
        if S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES and not is_in_use:
            return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FileUnreadable(f"Cannot read {str(path)!r}: {reason}.") from error
    if is_in_use:
        raise FileUnreadable(
            f"{str(path)!r} is a file of the index itself.",
            hint="Leave it out, or keep the index in another folder.",
        )
    if not S_ISREG(status.st_mode):
        raise FileUnreadable(f"{str(path)!r} is no regular file.")
    raise FileUnreadable(f"{str(path)!r} has {status.st_size:,} bytes, the most is {MOST_BYTES:,}.")


def _is_same(status: os.stat_result, file: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(status, file.stat())
    return False
