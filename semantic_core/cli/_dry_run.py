"""``ingest --dry-run``: what an ingest would do, found out without writing anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from semantic_core.cli._options import is_missing, opened
from semantic_core.cli._output import counted, fitted, note, visible, write, write_json
from semantic_core.cli._prune import vanished
from semantic_core.cli.ingest import write_failures
from semantic_core.cli.queue import estimate_text

if TYPE_CHECKING:
    from semantic_core._config import Settings
    from semantic_core.batch import Estimate
    from semantic_core.cli._reading import Reading
    from semantic_core.core import SemanticCore
    from semantic_core.types import Document

SAMPLE = 2_000_000
"""Characters that are really split; the chunks of the rest are estimated from these."""
MOST_NAMES = 20
"""Names listed of each kind; --json has all of them."""


def dry_run(
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
