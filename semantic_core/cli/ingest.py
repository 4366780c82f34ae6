"""``semantic-core ingest``: add files and folders to the index, and report what was left out.

With ``--dry-run``, report what would be done, and the estimated cost, without writing anything.

Tested by tests/cli/test_ingest.py and tests/cli/test_bad_input.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import click

from semantic_core._parts import is_of_another_file
from semantic_core.cli._group import GAP, Interrupted
from semantic_core.cli._options import (
    collection_option,
    common,
    embedder_settings,
    file_of,
    is_missing,
    named,
    opened,
    tenant_option,
)
from semantic_core.cli._output import counted, fitted, note, visible, write, write_json
from semantic_core.cli.queue import estimate_text
from semantic_core.errors import FileUnreadable, InputError, SemanticCoreError
from semantic_core.types import INGEST_MODES, PART_OF, PATH, IngestMode, Ref

if TYPE_CHECKING:
    from semantic_core._config import Settings
    from semantic_core._files import FoundFile, FoundFiles
    from semantic_core._plugins.host import Plugins
    from semantic_core.batch import Estimate
    from semantic_core.cli._reading import Progress, Reading, Skipped
    from semantic_core.core import SemanticCore
    from semantic_core.protocols import Store
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
    from semantic_core._config import read_config
    from semantic_core._plugins.host import Plugins
    from semantic_core.cli._reading import Reading, closed_folders, skipped_files

    named("--collection", collection)
    closed = closed_folders(paths)
    settings = read_config(overrides={"path": db})
    plugins = Plugins.load(settings.values["plugins"])
    found = _found_files(plugins, paths, patterns)
    skipped = skipped_files(plugins, found.skipped, file_of(settings))
    if not found.files:
        _refuse_nothing(plugins, paths, patterns, closed, skipped)
    _refuse_equal_keys(found.files)
    reading = Reading(plugins, found.files, collection, tenant or "", closed)
    where = _Where(paths, collection, tenant, db)
    if dry_run:
        complete = _dry_run(reading, skipped, where, prune=prune, as_json=as_json)
    else:
        files = found.files
        complete = _ingest(reading, files, skipped, where, mode=mode, prune=prune, as_json=as_json)
    if not complete:
        context.exit(GAP)


@attrs.frozen
class _Where:
    """The paths to read, and the index that their documents are for."""

    paths: tuple[str, ...]
    collection: str
    tenant: str | None
    db: str | None


def _found_files(plugins: Plugins, paths: Sequence[str], patterns: Sequence[str]) -> FoundFiles:
    """The files at these paths, and those in the folders that match a pattern; without patterns,
    those that plugins read.
    """
    from semantic_core._files import find_files

    for path in paths:
        if "\0" in path or not path:
            raise InputError(f"A path must not be empty or contain a NUL character, got {path!r}.")
    return find_files([Path(path) for path in paths], patterns, suffixes=plugins.suffixes)


def _refuse_nothing(
    plugins: Plugins,
    paths: Sequence[str],
    patterns: Sequence[str],
    closed: Sequence[Failure],
    skipped: Sequence[Skipped],
) -> NoReturn:
    """Raise InputError, because there is no file to read; FileUnreadable if the folder cannot be
    opened.
    """
    if closed:
        raise FileUnreadable(closed[0].reason)
    where = ", ".join(map(repr, paths[:3]))
    if len(paths) > 3:
        where += ", …"
    if patterns:
        reason = f"no file matches {', '.join(patterns)}"
    else:
        reason = f"no file ends in {', '.join(sorted(plugins.suffixes))}"
    hint = "Choose other files with --pattern."
    if skipped:
        reason += f"; skipped: {', '.join(map(_skipped_text, skipped[:MOST_SUFFIXES]))}"
        hint = next((each.remedy for each in skipped if each.remedy), hint)
    raise InputError(f"There is nothing to ingest in {where}: {reason}.", hint=hint)


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
    skipped: Sequence[Skipped],
    where: _Where,
    *,
    mode: IngestMode,
    prune: bool,
    as_json: bool,
) -> bool:
    """Ingest the files and print the report; whether the work of this mode was completed."""
    from semantic_core.cli._reading import Progress

    with opened(where.db, where.tenant, create=True) as core, Progress(reading) as progress:
        _refuse_replacing(core.store, files, where)
        try:
            report = core.ingest(reading.documents(core.store), mode=mode, progress=progress)
            removed = _prune(core, where) if prune else 0
        except KeyboardInterrupt as error:
            raise Interrupted(_finished(progress, reading.total, "Interrupted")) from error
        except SemanticCoreError as error:
            if progress.files:
                finished = _finished(progress, reading.total, "Stopped")
                error.hint = f"{error.hint} {finished}".strip()
            raise
        warning = _coverage_text(core, where) if report.added or report.updated else ""
    failed = (*reading.failed, *report.failed)
    report = attrs.evolve(report, removed=report.removed + removed, failed=failed)
    if as_json:
        from semantic_core.cli._records import report_json, skipped_json

        write_json({**report_json(report), "skipped": skipped_json(skipped)})
    else:
        _write_report(report, reading, where.collection, mode)
        _write_skipped(skipped)
    _note_as_text(reading)
    if warning:
        note(fitted(warning))
    return report.complete if mode == "sync" else not report.failed


def _coverage_text(core: SemanticCore, where: _Where) -> str:
    """What the embedder does not cover of the collection, and what to do; "" if it covers it."""
    from semantic_core.cli._coverage import uncovered

    found = uncovered(core, [where.collection], where.tenant or "")
    return f"{found.message}. {found.remedy}" if found is not None else ""


def _refuse_replacing(store: Store, files: Sequence[FoundFile], where: _Where) -> None:
    """Raise InputError if a file would replace the document of another file that still exists."""
    for file in files:
        try:
            ref = Ref(where.collection, file.key, where.tenant or "")
        except InputError:  # the name is not valid text; this is reported when the file is read
            continue
        held = store.get(ref)
        # A part of another file is reported when this file is read: it concerns this file alone.
        if held is None or PART_OF in held.metadata:
            continue
        if is_of_another_file(held, file.path):
            raise InputError(
                f"{str(file.path)!r} would replace the document {file.key!r}, which was read "
                f"from {held.metadata[PATH]!r}.",
                hint=_TWO_FILES_HINT,
            )


def _prune(core: SemanticCore, where: _Where) -> int:
    """Remove documents whose files no longer exist; returns their number."""
    from semantic_core.cli._reading import vanished

    refs = vanished(core.store, where.paths, where.collection, where.tenant or "")
    return core.remove(*refs) if refs else 0


def _finished(progress: Progress, total: int, what: str) -> str:
    """How many files are in the index, and how to continue. what: "Interrupted" or "Stopped"."""
    if not progress.files:
        return f"{what} before the first files were finished. Run the same command to start again."
    return (
        f"{what}: {progress.files:,} of {total:,} files are in the index. Run the same command "
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


MOST_SUFFIXES = 10
"""Suffixes of skipped files that are listed; --json lists all of them."""


def _write_skipped(skipped: Sequence[Skipped]) -> None:
    """Print how many files of which suffix no plugin reads, a line each, and what would."""
    if skipped:
        write("Skipped, because no installed plugin reads them:")
    for each in skipped[:MOST_SUFFIXES]:
        remedy = f"  ({each.remedy})" if each.remedy else ""
        write(f"  {_skipped_text(each)}{remedy}")
    rest = skipped[MOST_SUFFIXES:]
    if rest:
        files = counted(sum(each.files for each in rest), "file")
        write(f"  and {files} with {len(rest):,} other suffixes; --json lists all of them.")


def _skipped_text(skipped: Skipped) -> str:
    return f"{counted(skipped.files, 'file')} {visible(skipped.suffix) or 'without a suffix'}"


def _note_as_text(reading: Reading) -> None:
    """Say on standard error which files were read as plain text for want of a plugin."""
    for suffix, files in sorted(reading.as_text.items()):
        remedy = reading.remedy(suffix)
        note(f"{counted(files, 'file')} {suffix} read as plain text; a plugin reads more: {remedy}")


# --dry-run

SAMPLE = 2_000_000
"""Characters that are actually split; the number of chunks of the rest is estimated from these."""
MOST_NAMES = 20
"""Names listed of each kind; --json lists all of them."""


def _dry_run(
    reading: Reading, skipped: Sequence[Skipped], where: _Where, *, prune: bool, as_json: bool
) -> bool:
    """Print what would be added, updated and removed; whether every file could be read."""
    from semantic_core._config import read_config
    from semantic_core.cli._reading import vanished

    settings = read_config(overrides={"path": where.db})
    with nullcontext() if is_missing(settings) else opened(where.db, where.tenant) as core:
        store = core.store if core is not None else None
        sample = _Sample(settings)
        outcomes: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": []}
        removed = []
        for together in reading.documents(store):
            removed += [ref.key for ref in together.obsolete]
            for document in together.documents:
                outcome = _outcome(store, document)
                outcomes[outcome].append(document.ref.key)
                if outcome != "unchanged":
                    sample.add(document)
        if prune and store is not None:
            refs = vanished(store, where.paths, where.collection, where.tenant or "")
            removed += [ref.key for ref in refs]
    unchanged = len(outcomes.pop("unchanged"))
    names = {**outcomes, "removed": removed}
    estimate = sample.estimate()
    if as_json:
        from semantic_core.cli._records import estimate_json, failures_json, skipped_json

        answer: dict[str, Any] = {"dry_run": True, **names, "unchanged": unchanged}
        answer["failed"] = failures_json(reading.failed)
        answer["characters"] = sample.characters
        answer["estimated_chunks"] = estimate.passages
        answer["estimate"] = estimate_json(estimate)
        answer["skipped"] = skipped_json(skipped)
        write_json(answer)
    else:
        _write_dry_run(names, unchanged, sample.characters, estimate)
        write_failures(reading.failed)
        _write_skipped(skipped)
    _note_as_text(reading)
    return not reading.failed


def _outcome(store: Store | None, document: Document) -> str:
    """ "added", "updated" or "unchanged".

    Compares text, media type, title and metadata of the file; everything a splitter or front matter
    adds follows from these. store: None if there is no index yet.
    """
    held = store.get(document.ref) if store is not None else None
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
