"""Files as documents: `find_files` finds them, `read_document` decodes one.

Tested by tests/kernel/test_files.py.
"""

from __future__ import annotations

import codecs
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol
from weakref import WeakSet

import attrs

from semantic_core._validation import MAX_TEXT
from semantic_core.errors import FileUnreadable
from semantic_core.types import Document, Ref

DEFAULT_PATTERNS: tuple[str, ...] = ("*.md", "*.markdown", "*.mdown", "*.txt", "*.text", "*.rst")
"""The files of a folder that are read by default. A file that is named itself is always read."""

_MEDIA_TYPES = {".md": "text/markdown", ".markdown": "text/markdown", ".mdown": "text/markdown"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOST_BYTES = 4 * MAX_TEXT


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


def find_files(paths: Sequence[Path | str], patterns: Sequence[str] = ()) -> list[FoundFile]:
    """The named files, and the files below the named folders that match a pattern, sorted, each
    once.

    patterns: globs for the file name, or for the path below the folder if they contain a "/"; ()
    means DEFAULT_PATTERNS. Hidden files and folders are left out, and so are links: their target is
    found by itself or is outside. Raises FileUnreadable if a path does not exist.
    """
    found: dict[Path, FoundFile] = {}
    for path in map(Path, paths):
        if path.is_dir():
            for file in _below(path, tuple(patterns) or DEFAULT_PATTERNS):
                found.setdefault(file.path.resolve(), file)
        elif path.exists() or path.is_symlink():
            found.setdefault(path.resolve(), FoundFile(path, path.name))
        else:
            raise FileUnreadable(
                f"There is no file or folder {str(path)!r}.", hint="Check the spelling of the path."
            )
    return sorted(found.values())


def _below(folder: Path, patterns: tuple[str, ...]) -> list[FoundFile]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            key = path.relative_to(folder).as_posix()
            wanted = any(fnmatch(key if "/" in pattern else name, pattern) for pattern in patterns)
            if wanted and not name.startswith(".") and not path.is_symlink():
                found.append(FoundFile(path, key))
    return found


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


def read_document(
    path: Path | str,
    ref: Ref,
    *,
    metadata: Mapping[str, Any] | None = None,
) -> Document:
    """Read a file as a document: decoded text, title from the file name, media type from its
    suffix, path as metadata.

    The encoding is UTF-8, or UTF-16/32 with a byte order mark. Raises FileUnreadable for any other
    file: missing, no regular file, no permission, of an index that is open here, binary, another
    encoding, too large.
    """
    path = Path(path)
    media_type = _MEDIA_TYPES.get(path.suffix.lower(), "text/plain")
    title = "" if media_type == "text/markdown" else path.stem
    shown = path.as_posix().encode("utf-8", "replace").decode("utf-8")
    return Document(
        ref,
        _decoded(path, _bytes(path)),
        title=title,
        media_type=media_type,
        metadata={**(metadata or {}), "path": shown},
    )


def _bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        is_in_use = any(_is_same(status, file) for file in _in_use())
        if S_ISREG(status.st_mode) and status.st_size <= _MOST_BYTES and not is_in_use:
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
    raise FileUnreadable(
        f"{str(path)!r} has {status.st_size:,} bytes, the most is {_MOST_BYTES:,}."
    )


def _is_same(status: os.stat_result, file: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(status, file.stat())
    return False


def _decoded(path: Path, data: bytes) -> str:
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    if encoding == "utf-8" and b"\0" in data:
        raise FileUnreadable(
            f"{str(path)!r} looks binary: it contains a zero byte at {data.index(0):,}.",
            hint="Extract its text first.",
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileUnreadable(
            (
                f"{str(path)!r} is not {encoding.upper()}: byte 0x{data[error.start]:02X} at "
                f"{error.start:,}."
            ),
            hint=f"Convert it first, for example: iconv -f LATIN1 -t UTF-8 {path.name!r}",
        ) from error
