"""``semantic-core backup`` and ``semantic-core restore``: copy the index, and put a copy back.

Tested by tests/cli/test_setup.py.
"""

from __future__ import annotations

from pathlib import Path

import click

from semantic_core.cli._options import common, consent_option, file_of, opened
from semantic_core.cli._output import fitted, visible, write, write_json
from semantic_core.errors import StoreMisuse

AFTER_RESTORE = (
    "Start the processes that use the index. They compare the rows of models by themselves. "
    "To update ingested files, run semantic-core ingest again."
)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@common
def backup(path: Path, as_json: bool, db: str | None) -> None:
    """Copy the whole index to a new file at PATH, while other processes read and write.

    The copy is a complete index: use it with --db PATH, or restore it. Until it is complete it is
    called PATH.part.
    """
    with opened(db) as core:
        copy_to = getattr(core.store, "backup", None)
        if copy_to is None:
            raise StoreMisuse(
                f"{type(core.store).__name__} does not support backups.",
                hint="Back it up with its own tools.",
            )
        copy_to(path)
    _report(path, as_json)


@click.command()
@click.argument("backup", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@common
@consent_option("Replace the index? Everything written to it since the backup will be lost.")
def restore(backup: Path, as_json: bool, db: str | None) -> None:
    """Replace the index with a copy of BACKUP, completely or not at all.

    BACKUP itself is not changed. Stop the processes that use the index first: the command is
    refused while one has it open. The log files of the old index (-wal, -shm) are deleted.
    """
    from semantic_core._config import read_config

    index_file = file_of(read_config(overrides={"path": db}))
    with opened(str(backup)) as core:
        put_in_place = getattr(core.store, "put_in_place", None)
        if put_in_place is None or index_file is None:
            raise StoreMisuse(
                f"{type(core.store).__name__} does not support restoring backups.",
                hint="Restore it with its own tools.",
            )
        put_in_place(index_file)
    _report(index_file, as_json)
    if not as_json:
        write(fitted(AFTER_RESTORE))


def _report(file: Path, as_json: bool) -> None:
    """Print the path and size of a file that was written."""
    size = file.stat().st_size
    if as_json:
        write_json({"path": str(file), "bytes": size})
    else:
        write(f"{visible(str(file))}: {size:,} bytes.")
