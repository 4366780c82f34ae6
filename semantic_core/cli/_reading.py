"""Files becoming documents one at a time, and how far that is."""

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
    from semantic_core.types import DocumentSummary, Ref


class Reading:
    """The documents of these files, read when they are asked for.

    A file that cannot be read is a failure and no document.

    failed: what was left out so far, beginning with closed. bytes_read, characters: of the files
    read so far.
    total, total_bytes: of all files. seconds: spent reading.
    """

    def __init__(
        self, files: Sequence[FoundFile], collection: str, closed: Sequence[Failure] = ()
    ) -> None:
        self._files = files
        self._collection = collection
        self.failed: list[Failure] = list(closed)
        self.total = len(files)
        self.total_bytes = sum(_size(file) for file in files)
        self.bytes_read = self.characters = 0
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
        """Characters of all files: those read, and for the others as many a byte as so far."""
        if not self.bytes_read:
            return self.total_bytes
        left = max(0, self.total_bytes - self.bytes_read)
        return self.characters + round(left * self.characters / self.bytes_read)


def closed_folders(paths: Sequence[str]) -> list[Failure]:
    """The folders at and below these paths that may not be looked into:
    what is in them is left out, and must be said.
    """
    failures: list[Failure] = []

    def note(error: OSError) -> None:
        what = str(error.filename)
        failures.append(
            Failure(what, FileUnreadable.__name__, f"Cannot look into {what!r}: {error.strerror}.")
        )

    for path in filter(os.path.isdir, paths):
        for _, folders, _ in os.walk(path, onerror=note):
            folders[:] = [name for name in folders if not name.startswith(".")]
    return failures


def estimated_chunks(chunks: int, characters: int, all_characters: int) -> int:
    """Chunks there will be, if the characters left hold as many as those so far."""
    if not characters:
        return chunks
    return chunks + round(max(0, all_characters - characters) * chunks / characters)


class Progress:
    """How far an ingest is; a bar on standard error if a person looks at it.

    Called after each group of documents.

    documents, chunks: finished so far, which an interruption leaves in the index.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._bar: Any = None
        self._task: Any = None
        self.documents = self.chunks = 0
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
                told=f"{progress.chunks:,} of about {total:,} passages",
                left=time_left(monotonic() - self._started, progress.chunks, total),
            )

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def time_left(elapsed: float, chunks: int, total: int) -> str:
    """ "2 min left" at the speed so far; "" while nothing is known."""
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
        TextColumn("{task.fields[told]}"),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
        expand=True,
    )
    return bar, bar.add_task("ingest", total=None, told="reading", left="")


def _size(file: FoundFile) -> int:
    try:
        return file.path.stat().st_size
    except (OSError, ValueError):
        return 0


# Documents whose files are gone.

_PAGE = 500
"""Documents asked for at a time."""


def vanished(core: SemanticCore, paths: Sequence[str], collection: str) -> list[Ref]:
    """The documents of this collection that were read from these folders and whose files are not
    there any more.

    A file that is there and is not read any more (another --pattern, no permission) has not
    vanished. Nor has one in a folder that may not be looked into.
    """
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    return [
        summary.ref
        for summary in _documents(core, collection)
        if any(
            _came_from(summary, folder) and _is_gone(folder / summary.ref.key) for folder in folders
        )
    ]


def _documents(core: SemanticCore, collection: str) -> Iterator[DocumentSummary]:
    offset = 0
    while True:
        page = core.documents(offset=offset, limit=_PAGE, collections=[collection])
        yield from page
        offset += len(page)
        if offset >= page.total or not len(page):
            return


def _came_from(summary: DocumentSummary, folder: Path) -> bool:
    """Whether this document is the file of its key in this folder:
    the path it was read from says so.
    """
    path = summary.metadata.get("path")
    return isinstance(path, str) and os.path.abspath(path) == os.path.abspath(
        folder / summary.ref.key
    )


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False
