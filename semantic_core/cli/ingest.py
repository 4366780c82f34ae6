"""``semantic-core ingest``: files and folders, one at a time, into the index;
what was left out is said with its reason.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from semantic_core.cli._group import GAP, Interrupted
from semantic_core.cli._options import (
    collection_option,
    common,
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
"""Failures listed; --json has all of them."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--pattern",
    "patterns",
    metavar="GLOB",
    multiple=True,
    help="Which files of a folder, such as '*.md'; repeatable.",
)
@collection_option
@tenant_option
@click.option(
    "--mode",
    type=click.Choice(INGEST_MODES),
    default="sync",
    show_default=True,
    help=(
        "Embed now (sync), leave the vectors to queue and worker (async), or one or the other as "
        "the settings say (auto)."
    ),
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be added and updated, and what it costs; write nothing.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Also remove documents whose files have vanished from the folders given.",
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
    """Make the files at PATH, and in the folders at PATH, findable.

    Unchanged files cost nothing, so running it again brings the index up to date, and goes on after
    an interruption.

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
        complete = describe(reading, paths, collection, tenant, prune=prune, as_json=as_json, db=db)
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
    """The files these paths mean.

    InputError: there are none, or two of them would be one document.
    """
    from semantic_core._files import DEFAULT_PATTERNS, find_files

    for path in paths:
        if "\0" in path or not path:
            raise InputError(f"A path must not be empty or hold a NUL character, got {path!r}.")
    files = find_files([Path(path) for path in paths], patterns)
    if not files and closed:
        raise FileUnreadable(closed[0].reason)
    if not files:
        wanted = ", ".join(patterns or DEFAULT_PATTERNS)
        where = ", ".join(repr(path) for path in paths[:3]) + (", …" if len(paths) > 3 else "")
        raise InputError(
            f"There is nothing to ingest in {where}: no file matches {wanted}.",
            hint="Name others with --pattern.",
        )
    doubled = [key for key, count in Counter(file.key for file in files).items() if count > 1]
    if doubled:
        both = " and ".join(repr(str(file.path)) for file in files if file.key == doubled[0])
        raise InputError(
            f"Two files would be one document, {doubled[0]!r}: {both}.",
            hint="Ingest the folder that holds both, or each into its own --collection.",
        )
    return files


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
    """Whether everything was done that was to be done in this mode."""
    from semantic_core.cli._reading import Progress

    with opened(db, tenant, create=True) as core, Progress(reading) as progress:
        _refuse_namesakes(core, files, collection)
        try:
            report = core.ingest(reading, mode=mode, progress=progress)
            removed = _prune(core, paths, collection) if prune else 0
        except KeyboardInterrupt as error:
            raise Interrupted(_kept(progress, reading.total, "Interrupted")) from error
        except SemanticCoreError as error:
            if progress.documents:
                error.hint = f"{error.hint} {_kept(progress, reading.total, 'Stopped')}".strip()
            raise
    report = attrs.evolve(report, removed=removed, failed=(*reading.failed, *report.failed))
    if as_json:
        from semantic_core.cli._records import report_json

        write_json(report_json(report))
    else:
        _write_report(report, reading, collection, mode)
    return report.complete if mode == "sync" else not report.failed


def _refuse_namesakes(core: SemanticCore, files: Sequence[FoundFile], collection: str) -> None:
    """InputError if a document of this collection was read from another file of the same key,
    which is still there.
    """
    for file in files:
        try:
            ref = Ref(collection, file.key)
        except InputError:  # its name is no text; reading it says so
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
                (
                    f"{str(file.path)!r} would replace the document {file.key!r}, which was read "
                    f"from {read_from!r}."
                ),
                hint="Ingest the folder that holds both, or each into its own --collection.",
            )


def _prune(core: SemanticCore, paths: Sequence[str], collection: str) -> int:
    from semantic_core.cli._reading import vanished

    refs = vanished(core, paths, collection)
    return core.remove(*refs) if refs else 0


def _kept(progress: Progress, total: int, what: str) -> str:
    if not progress.documents:
        return f"{what} before the first files were finished. The same command starts anew."
    return (
        f"{what}: {progress.documents:,} of {total:,} files were finished and are kept. The same "
        "command goes on from there."
    )


def _write_report(
    report: IngestReport, reading: Reading, collection: str, mode: IngestMode
) -> None:
    outcomes = {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "left out": len(report.failed),
    }
    told = (
        ", ".join(f"{count:,} {what}" for what, count in outcomes.items() if count)
        or "nothing to do"
    )
    write(fitted(f"Collection {visible(collection)}: {told}."))
    repeats = report.chunks - report.embedded - report.reused - report.pending
    passages = {"embedded": report.embedded, "known already": report.reused, "repeated": repeats}
    of_these = ", ".join(f"{count:,} {what}" for what, count in passages.items() if count > 0)
    write(fitted(f"{counted(report.chunks, 'passage')}{': ' if of_these else ''}{of_these}."))
    steps = {
        "read": reading.seconds,
        **{step: spent for step, spent in report.timings.items() if step != "total"},
    }
    spent = ", ".join(f"{step} {seconds:.1f}" for step, seconds in steps.items())
    write(fitted(f"{report.timings.get('total', sum(steps.values())):.1f} s ({spent})."))
    write_failures(report.failed)
    if report.pending:
        told = (
            f"{counted(report.pending, 'passage')} without a vector: words find "
            "them, meaning does not."
        )
        how = (
            "Run the same command again to embed them."
            if mode == "sync"
            else "See: semantic-core queue status."
        )
        write(fitted(f"{told} {how}"))


def write_failures(failures: Sequence[Failure]) -> None:
    """What was left out, one line each, at most MOST_FAILURES."""
    if failures:
        write("Left out:")
    for failure in failures[:MOST_FAILURES]:
        what = "" if failure.what in failure.reason else f"{visible(failure.what)}: "
        write(fitted(f"  {what}{visible(failure.reason)}", indent=4))
    if len(failures) > MOST_FAILURES:
        write(f"  and {len(failures) - MOST_FAILURES:,} more; --json lists all of them.")


# ``ingest --dry-run``: what an ingest would do, found out without writing anything.

SAMPLE = 2_000_000
"""Characters that are really split; the chunks of the rest are estimated from these."""
MOST_NAMES = 20
"""Names listed of each kind; --json has all of them."""


def describe(
    reading: Reading,
    paths: Sequence[str],
    collection: str,
    tenant: str | None,
    *,
    prune: bool,
    as_json: bool,
    db: str | None,
) -> bool:
    """Say what would be added, updated and removed; whether every file could be read."""
    from semantic_core._config import read_config

    settings = read_config(overrides={"path": db})
    with nullcontext() if is_missing(settings) else opened(db, tenant) as core:
        sample = _Sample(settings)
        outcomes: defaultdict[str, list[str]] = defaultdict(list)
        for document in reading:
            outcome = _outcome(core, document)
            outcomes[outcome].append(document.ref.key)
            if outcome != "unchanged":
                sample.add(document)
        removed = (
            [ref.key for ref in vanished(core, paths, collection)]
            if prune and core is not None
            else []
        )
    names = {"added": outcomes["added"], "updated": outcomes["updated"], "removed": removed}
    estimate = sample.estimate()
    if as_json:
        from semantic_core.cli._records import estimate_json, failures_json

        answer: dict[str, Any] = {"dry_run": True, **names, "unchanged": len(outcomes["unchanged"])}
        failed = failures_json(reading.failed)
        told = {"characters": sample.characters, "estimated_chunks": estimate.passages}
        write_json({**answer, "failed": failed, **told, "estimate": estimate_json(estimate)})
    else:
        _write(names, len(outcomes["unchanged"]), sample.characters, estimate)
        write_failures(reading.failed)
    return not reading.failed


def _outcome(core: SemanticCore | None, document: Document) -> str:
    """Compared by what was handed over; what a splitter or a front matter adds
    follows from the text.
    """
    held = core.get(document.ref) if core is not None else None
    if held is None:
        return "added"
    same = (held.text, held.media_type) == (document.text, document.media_type)
    same = same and (not document.title or held.title == document.title)
    same = same and document.metadata.items() <= held.metadata.items()
    return "unchanged" if same else "updated"


class _Sample:
    """Splits the first documents in memory, without embedding them,
    to know how many chunks a text gives.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._documents: list[Document] = []
        self._held = 0
        self.characters = 0

    def add(self, document: Document) -> None:
        self.characters += len(document.text)
        if not self._documents or self._held + len(document.text) <= SAMPLE:
            self._documents.append(document)
            self._held += len(document.text)

    def estimate(self) -> Estimate:
        """Passages of all the documents added, and what embedding them takes."""
        from semantic_core.batch import Estimate
        from semantic_core.core import SemanticCore

        if not self._held:
            return Estimate(0, 0)
        wanted = {
            key: self._settings.values[key]
            for key in ("embedder", "embedder_options", "max_chars", "plugins")
        }
        with SemanticCore(store="memory", **wanted) as scratch:
            chunks = scratch.ingest(self._documents, mode="async").chunks
            return scratch.batch_manager.estimate_like(round(chunks * self.characters / self._held))


def _write(
    names: dict[str, list[str]], unchanged: int, characters: int, estimate: Estimate
) -> None:
    write("Dry run: nothing was written.")
    for what, keys in names.items():
        if keys:
            write(f"{what.capitalize()}: {counted(len(keys), 'document')}")
        for key in _first(keys):
            write(f"  {visible(key)}")
        if len(keys) > MOST_NAMES:
            write(f"  and {len(keys) - MOST_NAMES:,} more; --json lists all of them.")
    if unchanged:
        write(f"Unchanged: {counted(unchanged, 'document')}")
    if characters:
        write(
            f"To read: {counted(characters, 'character')}, about "
            f"{counted(estimate.passages, 'passage')}."
        )
        if estimate.amounts:
            write(fitted(f"To embed: {estimate_text(estimate)}"))
    elif not any(names.values()):
        note("There is nothing to do.")


def _first(keys: Sequence[str]) -> Iterator[str]:
    yield from keys[:MOST_NAMES]
