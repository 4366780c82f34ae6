"""Reading files for ``ingest``: documents of one file at a time, progress, the files that no plugin
reads, and files that vanished.

Tested by tests/cli/test_reading.py and tests/cli/test_ingest.py.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from semantic_core._files import FoundFile, suffixes_of
from semantic_core._parts import TWO_FILES_HINT, Together, file_key, listed, with_obsolete
from semantic_core.cli._output import is_terminal, styled
from semantic_core.errors import FileUnreadable, InputError, PluginConflict, SemanticCoreError
from semantic_core.types import PATH, Document, Failure, Ref, Scope

if TYPE_CHECKING:
    from semantic_core._ingest import IngestProgress
    from semantic_core._plugins.host import Plugins
    from semantic_core.protocols import Store
    from semantic_core.types import DocumentSummary


class Reading:
    """The documents of these files, each file read when it is asked for.

    A file that cannot be read becomes a failure instead of documents.

    closed: failures known already, of folders that cannot be opened. failed: what was left out so
    far. as_text: how many files were read as plain text although another distribution of ours would
    read them, by suffix. bytes_read, characters: of the files read so far. total, total_bytes: of
    all files. seconds: spent reading.
    """

    def __init__(
        self,
        plugins: Plugins,
        files: Sequence[FoundFile],
        collection: str,
        tenant: str = "",
        closed: Sequence[Failure] = (),
    ) -> None:
        self._plugins = plugins
        self._files = files
        self._collection = collection
        self._tenant = tenant
        self._taken: dict[Ref, Path] = {}
        self._ends: list[int] = []
        self._conflicts: dict[str, list[str]] = {}
        self._failed: list[Failure] = list(closed)
        self.as_text: Counter[str] = Counter()
        self.total = len(files)
        self.total_bytes = sum(_size(file) for file in files)
        self.bytes_read = 0
        self.characters = 0
        self.seconds = 0.0

    @property
    def failed(self) -> list[Failure]:
        """What was left out so far. A conflict of plugins is in it once, with the number of files
        that it keeps from being read.
        """
        conflicts = []
        for reason, paths in self._conflicts.items():
            more = len(paths) - 1
            what = f"{paths[0]} and {more:,} more" if more else paths[0]
            conflicts.append(Failure(what, PluginConflict.__name__, reason))
        return [*self._failed, *conflicts]

    def documents(self, store: Store | None) -> Iterator[Together]:
        """The documents of each file that can be read. store: the index they are for; None if there
        is none yet.
        """
        for file in self._files:
            started = perf_counter()
            together = self._read(file, store)
            self.bytes_read += _size(file)
            self.seconds += perf_counter() - started
            if together is None:
                continue
            for document in together.documents:
                self._taken[document.ref] = file.path
                self.characters += len(document.text)
            before = self._ends[-1] if self._ends else 0
            self._ends.append(before + len(together.documents))
            yield together

    def remedy(self, suffix: str) -> str:
        """The command that installs a plugin which reads files of this suffix; "" for none."""
        return self._plugins.remedy(suffix)

    def files_of(self, documents: int) -> int:
        """The number of files that so many documents came from; the last may not be complete."""
        return bisect_right(self._ends, documents)

    def _read(self, file: FoundFile, store: Store | None) -> Together | None:
        path = str(file.path)
        try:
            ref = Ref(self._collection, file.key, self._tenant)
            documents = self._plugins.read(file.path, ref)
        except PluginConflict as error:
            self._conflicts.setdefault(str(error), []).append(path)
            return None
        except SemanticCoreError as error:
            self._failed.append(Failure(path, error.code, str(error)))
            return None
        try:
            self._refuse_taken(file, documents)
            together = Together(documents) if store is None else with_obsolete(store, documents)
        except InputError as error:
            self._failed.append(Failure(path, error.code, str(error)))
            return None
        name = file.path.name
        if self._plugins.suffixes.isdisjoint(suffixes_of(name)) and self._plugins.remedy(name):
            self.as_text[shown_suffix(file.path)] += 1
        return together

    def _refuse_taken(self, file: FoundFile, documents: Sequence[Document]) -> None:
        """Raise InputError if another file of this run has a document with one of these keys."""
        for document in documents:
            other = self._taken.get(document.ref)
            if other is not None:
                raise InputError(
                    f"Two files would be one document, {document.ref.key!r}: {str(other)!r} and "
                    f"{str(file.path)!r}.",
                    hint=TWO_FILES_HINT,
                )

    def estimated_characters(self) -> int:
        """Estimated characters of all files, with as many per byte as in the files read so far."""
        if not self.bytes_read:
            return self.total_bytes
        left = max(0, self.total_bytes - self.bytes_read)
        return self.characters + round(left * self.characters / self.bytes_read)


def shown_suffix(path: Path) -> str:
    """The suffix of a file as users know it, such as ".pdf"; "" if it has none."""
    return path.suffix.lower()


@attrs.frozen
class Skipped:
    """Files of the given folders that no plugin reads. suffix: of all of them, "" for none. files:
    how many. remedy: the command that installs a plugin for them; "" if we know none.
    """

    suffix: str
    files: int
    remedy: str


def skipped_files(plugins: Plugins, paths: Sequence[Path], index: Path | None) -> list[Skipped]:
    """What was skipped, by suffix, the most files first.

    index: the file of the index, which is not counted, nor are its other files beside it.
    """
    beside = os.path.abspath(index) if index is not None else None
    counts: Counter[str] = Counter()
    for path in paths:
        if beside is None or not os.path.abspath(path).startswith(beside):
            counts[shown_suffix(path)] += 1
    skipped = []
    for suffix, files in sorted(counts.items(), key=_most_first):
        skipped.append(Skipped(suffix, files, plugins.remedy(suffix)))
    return skipped


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    suffix, files = counted
    return -files, suffix


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

    It is called after each group of documents. files, chunks: finished so far; these are in the
    index even if the ingest is interrupted.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._bar: Any = None
        self._task: Any = None
        self.files = 0
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
        self.files = self._reading.files_of(progress.documents)
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


def vanished(store: Store, paths: Sequence[str], collection: str, tenant: str) -> list[Ref]:
    """The documents that were read from these folders and whose files no longer exist, with those
    of the parts of these files.

    A file that exists but is not read any more (another --pattern, no permission) does not count,
    nor does one in a folder that cannot be opened.
    """
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    gone = []
    for summary in listed(store, Scope(tenant, (collection,))):
        key = file_key(summary)
        for folder in folders:
            if _came_from(summary, folder / key) and _is_gone(folder / key):
                gone.append(summary.ref)
                break
    return gone


def _came_from(summary: DocumentSummary, file: Path) -> bool:
    """Whether this document was read from this file, by the path in its metadata."""
    path = summary.metadata.get(PATH)
    if not isinstance(path, str):
        return False
    return os.path.abspath(path) == os.path.abspath(file)


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False
