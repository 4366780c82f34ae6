"""Reading files for ``ingest``: documents one at a time, progress, and files that vanished.

Tested by tests/cli/test_reading.py and tests/cli/test_ingest.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from semantic_core._files import FoundFile, read_document
from semantic_core.cli._output import is_terminal, styled
from semantic_core.errors import FileUnreadable, SemanticCoreError
from semantic_core.types import Document, Failure, Ref

if TYPE_CHECKING:
    from semantic_core._ingest import IngestProgress
    from semantic_core.core import SemanticCore
    from semantic_core.types import DocumentSummary


class Reading:
    """Iterates over the documents of these files, reading each when it is asked for.

    A file that cannot be read becomes a failure instead of a document.

    closed: failures known already, of folders that cannot be opened. failed: what was left out so
    far. bytes_read, characters: of the files read so far. total, total_bytes: of all files.
    seconds: spent reading.
    """

    def __init__(
        self, files: Sequence[FoundFile], collection: str, closed: Sequence[Failure] = ()
    ) -> None:
        self._files = files
        self._collection = collection
        self.failed: list[Failure] = list(closed)
        self.total = len(files)
        self.total_bytes = sum(_size(file) for file in files)
        self.bytes_read = 0
        self.characters = 0
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Document]:
        for file in self._files:
            started = perf_counter()
            document = self._read(file)
            self.bytes_read += _size(file)
            self.seconds += perf_counter() - started
            if document is not None:
                self.characters += len(document.text)
                yield document

    def _read(self, file: FoundFile) -> Document | None:
        try:
            return read_document(file.path, Ref(self._collection, file.key))
        except SemanticCoreError as error:
            self.failed.append(Failure(str(file.path), error.code, str(error)))
            return None

    def estimated_characters(self) -> int:
        """Estimated characters of all files, with as many per byte as in the files read so far."""
        if not self.bytes_read:
            return self.total_bytes
        left = max(0, self.total_bytes - self.bytes_read)
        return self.characters + round(left * self.characters / self.bytes_read)


def closed_folders(paths: Sequence[str]) -> list[Failure]:
    """A failure for each folder at or below these paths that cannot be opened.

    Files in them are left out, which has to be reported. Hidden folders are skipped.
    """
    failures: list[Failure] = []

    def add_failure(error: OSError) -> None:
        folder = str(error.filename)
        reason = f"Cannot open the folder {folder!r}: {error.strerror}."
        failures.append(Failure(folder, FileUnreadable.__name__, reason))

    for path in paths:
        if os.path.isdir(path):
            for _, folders, _ in os.walk(path, onerror=add_failure):
                folders[:] = [name for name in folders if not name.startswith(".")]
    return failures


def estimated_chunks(chunks: int, characters: int, all_characters: int) -> int:
    """Estimated number of chunks in all, at the rate of the characters processed so far."""
    if not characters:
        return chunks
    remaining = max(0, all_characters - characters)
    return chunks + round(remaining * chunks / characters)


class Progress:
    """Shows the progress of an ingest, as a bar on standard error if it is a terminal.

    It is called after each group of documents. documents, chunks: finished so far; these are in
    the index even if the ingest is interrupted.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._bar: Any = None
        self._task: Any = None
        self.documents = 0
        self.chunks = 0
        self._started = monotonic()

    def __enter__(self) -> Self:
        if is_terminal(sys.stderr):
            self._bar, self._task = _bar()
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __call__(self, progress: IngestProgress) -> None:
        self.documents = progress.documents
        self.chunks = progress.chunks
        if self._bar is not None and progress.chunks:
            total = estimated_chunks(
                progress.chunks, progress.characters, self._reading.estimated_characters()
            )
            self._bar.update(
                self._task,
                completed=progress.chunks,
                total=max(total, 1),
                done=f"{progress.chunks:,} of about {total:,} passages",
                left=time_left(monotonic() - self._started, progress.chunks, total),
            )

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def time_left(elapsed: float, chunks: int, total: int) -> str:
    """The remaining time at the speed so far, such as "2 min left"; "" while it is unknown."""
    if not chunks or total <= chunks:
        return ""
    seconds = elapsed * (total - chunks) / chunks
    if seconds < 90:
        return f"{max(1, round(seconds))} s left"
    return f"{round(seconds / 60)} min left" if seconds < 5400 else f"{seconds / 3600:.1f} h left"


def _bar() -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, no_color=not styled(sys.stderr), highlight=False)
    bar = Bar(
        BarColumn(bar_width=None),
        TextColumn("{task.fields[done]}"),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
        expand=True,
    )
    return bar, bar.add_task("ingest", total=None, done="reading", left="")


def _size(file: FoundFile) -> int:
    try:
        return file.path.stat().st_size
    except (OSError, ValueError):
        return 0


# Documents whose files no longer exist


def vanished(core: SemanticCore, paths: Sequence[str], collection: str) -> list[Ref]:
    """The documents that were read from these folders and whose files no longer exist.

    A file that exists but is not read any more (another --pattern, no permission) does not count,
    nor does one in a folder that cannot be opened.
    """
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    gone = []
    for summary in _documents(core, collection):
        for folder in folders:
            if _came_from(summary, folder) and _is_gone(folder / summary.ref.key):
                gone.append(summary.ref)
                break
    return gone


_PAGE = 500
"""Documents read from the store at a time."""


def _documents(core: SemanticCore, collection: str) -> Iterator[DocumentSummary]:
    """All documents of a collection, page by page."""
    offset = 0
    while True:
        page = core.documents(offset=offset, limit=_PAGE, collections=[collection])
        yield from page
        offset += len(page)
        if offset >= page.total or not len(page):
            return


def _came_from(summary: DocumentSummary, folder: Path) -> bool:
    """Whether this document was read from this folder, by the path in its metadata."""
    path = summary.metadata.get("path")
    if not isinstance(path, str):
        return False
    return os.path.abspath(path) == os.path.abspath(folder / summary.ref.key)


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False
