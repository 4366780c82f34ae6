"""``semantic-core ingest``: add files and folders to the index, and report what was left out.

With ``--dry-run``, report what would be done, and the estimated cost, without writing anything.

Tested by tests/cli/test_ingest.py and tests/cli/test_bad_input.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from semantic_core.cli._group import GAP, Interrupted
from semantic_core.cli._options import (
    collection_option,
    common,
    embedder_settings,
    is_missing,
    named,
    opened,
    tenant_option,
)
from semantic_core.cli._output import counted, fitted, note, visible, write, write_json
from semantic_core.cli._reading import vanished
from semantic_core.cli.queue import estimate_text
from semantic_core.errors import FileUnreadable, InputError, SemanticCoreError
from semantic_core.types import INGEST_MODES, IngestMode, Ref

if TYPE_CHECKING:
    from semantic_core._config import Settings
    from semantic_core._files import FoundFile
    from semantic_core.batch import Estimate
    from semantic_core.cli._reading import Progress, Reading
    from semantic_core.core import SemanticCore
    from semantic_core.types import Document, Failure, IngestReport


MOST_FAILURES = 20
"""Failures that are listed; --json lists all of them."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--pattern",
    "patterns",
    metavar="GLOB",
    multiple=True,
    help="Which files of a folder to read, for example '*.md'; repeatable.",
)
@collection_option
@tenant_option
@click.option(
    "--mode",
    type=click.Choice(INGEST_MODES),
    default="sync",
    show_default=True,
    help=(
        "Embed now (sync), leave it to queue and worker (async), or decide by the freshness "
        "settings (auto)."
    ),
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be added and updated, and the estimated cost; write nothing.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Also remove documents whose files no longer exist in the given folders.",
)
@common
@click.pass_context
def ingest(
    context: click.Context,
    paths: tuple[str, ...],
    patterns: tuple[str, ...],
    collection: str,
    tenant: str | None,
    mode: IngestMode,
    dry_run: bool,
    prune: bool,
    as_json: bool,
    db: str | None,
) -> None:
    """Add the file, or the files of the folder, at PATH to the index.

    Unchanged files are not embedded again. Run the same command again to update the index, or to
    continue after an interruption.

    \b
      semantic-core ingest ./notes
      semantic-core ingest ./docs --pattern "*.md" --collection docs --prune
    """
    from semantic_core.cli._reading import Reading, closed_folders

    named("--collection", collection)
    closed = closed_folders(paths)
    files = found_files(paths, patterns, closed)
    reading = Reading(files, collection, closed)
    if dry_run:
        complete = _dry_run(reading, paths, collection, tenant, prune=prune, as_json=as_json, db=db)
    else:
        complete = _ingest(
            reading,
            files,
            paths,
            collection,
            tenant,
            mode=mode,
            prune=prune,
            as_json=as_json,
            db=db,
        )
    if not complete:
        context.exit(GAP)


def found_files(
    paths: Sequence[str], patterns: Sequence[str], closed: Sequence[Failure]
) -> list[FoundFile]:
    """The files at these paths, and those in the folders that match a pattern.

    closed: folders that cannot be opened. Raises InputError if there is no file, or if two files
    would be the same document; FileUnreadable if the only folder cannot be opened.
    """
    from semantic_core._files import DEFAULT_PATTERNS, find_files

    for path in paths:
        if "\0" in path or not path:
            raise InputError(f"A path must not be empty or contain a NUL character, got {path!r}.")
    files = find_files([Path(path) for path in paths], patterns)
    if not files and closed:
        raise FileUnreadable(closed[0].reason)
    if not files:
        wanted = ", ".join(patterns or DEFAULT_PATTERNS)
        where = ", ".join(map(repr, paths[:3]))
        if len(paths) > 3:
            where += ", …"
        raise InputError(
            f"There is nothing to ingest in {where}: no file matches {wanted}.",
            hint="Choose other files with --pattern.",
        )
    _refuse_equal_keys(files)
    return files


_TWO_FILES_HINT = "Ingest the folder that contains both, or each into its own --collection."


def _refuse_equal_keys(files: Sequence[FoundFile]) -> None:
    """Raise InputError if two of these files would be the same document."""
    by_key: dict[str, FoundFile] = {}
    for file in files:
        other = by_key.setdefault(file.key, file)
        if other is not file:
            both = f"{str(other.path)!r} and {str(file.path)!r}"
            raise InputError(
                f"Two files would be one document, {file.key!r}: {both}.", hint=_TWO_FILES_HINT
            )


def _ingest(
    reading: Reading,
    files: Sequence[FoundFile],
    paths: Sequence[str],
    collection: str,
    tenant: str | None,
    *,
    mode: IngestMode,
    prune: bool,
    as_json: bool,
    db: str | None,
) -> bool:
    """Ingest the files and print the report; whether the work of this mode was completed."""
    from semantic_core.cli._reading import Progress

    with opened(db, tenant, create=True) as core, Progress(reading) as progress:
        _refuse_replacing(core, files, collection)
        try:
            report = core.ingest(reading, mode=mode, progress=progress)
            removed = _prune(core, paths, collection) if prune else 0
        except KeyboardInterrupt as error:
            raise Interrupted(_finished(progress, reading.total, "Interrupted")) from error
        except SemanticCoreError as error:
            if progress.documents:
                finished = _finished(progress, reading.total, "Stopped")
                error.hint = f"{error.hint} {finished}".strip()
            raise
    report = attrs.evolve(report, removed=removed, failed=(*reading.failed, *report.failed))
    if as_json:
        from semantic_core.cli._records import report_json

        write_json(report_json(report))
    else:
        _write_report(report, reading, collection, mode)
    return report.complete if mode == "sync" else not report.failed


def _refuse_replacing(core: SemanticCore, files: Sequence[FoundFile], collection: str) -> None:
    """Raise InputError if a file would replace the document of another file that still exists."""
    for file in files:
        try:
            ref = Ref(collection, file.key)
        except InputError:  # the name is not valid text; this is reported when the file is read
            continue
        held = core.get(ref)
        read_from = held.metadata.get("path") if held is not None else None
        if (
            not isinstance(read_from, str)
            or not os.path.isfile(read_from)
            or not os.path.isfile(file.path)
        ):
            continue
        if not os.path.samefile(read_from, file.path):
            raise InputError(
                f"{str(file.path)!r} would replace the document {file.key!r}, which was read "
                f"from {read_from!r}.",
                hint=_TWO_FILES_HINT,
            )


def _prune(core: SemanticCore, paths: Sequence[str], collection: str) -> int:
    """Remove documents whose files no longer exist; returns their number."""
    from semantic_core.cli._reading import vanished

    refs = vanished(core, paths, collection)
    return core.remove(*refs) if refs else 0


def _finished(progress: Progress, total: int, what: str) -> str:
    """How many files are in the index, and how to continue. what: "Interrupted" or "Stopped"."""
    if not progress.documents:
        return f"{what} before the first files were finished. Run the same command to start again."
    return (
        f"{what}: {progress.documents:,} of {total:,} files are in the index. Run the same command "
        "to continue."
    )


def _write_report(
    report: IngestReport, reading: Reading, collection: str, mode: IngestMode
) -> None:
    """Print what was done, the time of each step, the failures, and what is still pending."""
    outcomes = {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "left out": len(report.failed),
    }
    done = _listed(outcomes) or "nothing to do"
    write(fitted(f"Collection {visible(collection)}: {done}."))
    repeated = report.chunks - report.embedded - report.reused - report.pending
    passages = {"embedded": report.embedded, "reused": report.reused, "repeated": repeated}
    details = _listed(passages)
    write(fitted(f"{counted(report.chunks, 'passage')}{': ' if details else ''}{details}."))
    times = [f"read {reading.seconds:.1f}"]
    total = reading.seconds
    for step, seconds in report.timings.items():
        if step != "total":
            times.append(f"{step} {seconds:.1f}")
            total += seconds
    total = report.timings.get("total", total)
    write(fitted(f"{total:.1f} s ({', '.join(times)})."))
    write_failures(report.failed)
    if report.pending:
        pending = (
            f"{counted(report.pending, 'passage')} without a vector: full-text search finds "
            "them, semantic search does not."
        )
        advice = "See: semantic-core queue status."
        if mode == "sync":
            advice = "Run the same command again to embed them."
        write(fitted(f"{pending} {advice}"))


def _listed(counts: Mapping[str, int]) -> str:
    """Counts above 0, such as "3 added, 1 updated"; "" if there is none."""
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count > 0)


def write_failures(failures: Sequence[Failure]) -> None:
    """Print what was left out and why, a line each, at most MOST_FAILURES."""
    if failures:
        write("Left out:")
    for failure in failures[:MOST_FAILURES]:
        what = "" if failure.what in failure.reason else f"{visible(failure.what)}: "
        write(fitted(f"  {what}{visible(failure.reason)}", indent=4))
    if len(failures) > MOST_FAILURES:
        write(f"  and {len(failures) - MOST_FAILURES:,} more; --json lists all of them.")


# --dry-run

SAMPLE = 2_000_000
"""Characters that are actually split; the number of chunks of the rest is estimated from these."""
MOST_NAMES = 20
"""Names listed of each kind; --json lists all of them."""


def _dry_run(
    reading: Reading,
    paths: Sequence[str],
    collection: str,
    tenant: str | None,
    *,
    prune: bool,
    as_json: bool,
    db: str | None,
) -> bool:
    """Print what would be added, updated and removed; whether every file could be read."""
    from semantic_core._config import read_config

    settings = read_config(overrides={"path": db})
    with nullcontext() if is_missing(settings) else opened(db, tenant) as core:
        sample = _Sample(settings)
        outcomes: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": []}
        for document in reading:
            outcome = _outcome(core, document)
            outcomes[outcome].append(document.ref.key)
            if outcome != "unchanged":
                sample.add(document)
        removed = []
        if prune and core is not None:
            removed = [ref.key for ref in vanished(core, paths, collection)]
    unchanged = len(outcomes.pop("unchanged"))
    names = {**outcomes, "removed": removed}
    estimate = sample.estimate()
    if as_json:
        from semantic_core.cli._records import estimate_json, failures_json

        answer: dict[str, Any] = {"dry_run": True, **names, "unchanged": unchanged}
        answer["failed"] = failures_json(reading.failed)
        answer["characters"] = sample.characters
        answer["estimated_chunks"] = estimate.passages
        answer["estimate"] = estimate_json(estimate)
        write_json(answer)
    else:
        _write_dry_run(names, unchanged, sample.characters, estimate)
        write_failures(reading.failed)
    return not reading.failed


def _outcome(core: SemanticCore | None, document: Document) -> str:
    """ "added", "updated" or "unchanged".

    Compares text, media type, title and metadata of the file; everything a splitter or front matter
    adds follows from these. core: None if there is no index yet.
    """
    held = core.get(document.ref) if core is not None else None
    if held is None:
        return "added"
    same = (held.text, held.media_type) == (document.text, document.media_type)
    same = same and (not document.title or held.title == document.title)
    same = same and document.metadata.items() <= held.metadata.items()
    return "unchanged" if same else "updated"


class _Sample:
    """Splits the first documents in memory, to estimate how many chunks all of them have.

    Nothing is embedded. characters: of all documents that were added.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._documents: list[Document] = []
        self._held = 0
        self.characters = 0

    def add(self, document: Document) -> None:
        """Count a document, and hold it for splitting until there are SAMPLE characters."""
        self.characters += len(document.text)
        if not self._documents or self._held + len(document.text) <= SAMPLE:
            self._documents.append(document)
            self._held += len(document.text)

    def estimate(self) -> Estimate:
        """The passages of all documents that were added, and the cost of embedding them."""
        from semantic_core.batch import Estimate
        from semantic_core.core import SemanticCore

        if not self._held:
            return Estimate(0, 0)
        with SemanticCore(store="memory", **embedder_settings(self._settings)) as scratch:
            chunks = scratch.ingest(self._documents, mode="async").chunks
            passages = round(chunks * self.characters / self._held)
            return scratch.batch_manager.estimate_like(passages)


def _write_dry_run(
    names: Mapping[str, Sequence[str]], unchanged: int, characters: int, estimate: Estimate
) -> None:
    write("Dry run: nothing was written.")
    for what, keys in names.items():
        if keys:
            write(f"{what.capitalize()}: {counted(len(keys), 'document')}")
        for key in keys[:MOST_NAMES]:
            write(f"  {visible(key)}")
        if len(keys) > MOST_NAMES:
            write(f"  and {len(keys) - MOST_NAMES:,} more; --json lists all of them.")
    if unchanged:
        write(f"Unchanged: {counted(unchanged, 'document')}")
    if characters:
        passages = counted(estimate.passages, "passage")
        write(f"To read: {counted(characters, 'character')}, about {passages}.")
        if estimate.amounts:
            write(fitted(f"To embed: {estimate_text(estimate)}"))
    elif not any(names.values()):
        note("There is nothing to do.")
