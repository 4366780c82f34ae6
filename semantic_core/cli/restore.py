"""``semantic-core restore``: a backup put in the place of the index."""

from __future__ import annotations

from pathlib import Path

import click

from semantic_core.cli._options import common, consent_option, file_of, opened
from semantic_core.cli._output import fitted, visible, write, write_json
from semantic_core.errors import StoreMisuse

NEXT = (
    "Start the processes that use it. Rows of models that changed since the backup are compared by "
    "themselves; files are brought up by: semantic-core ingest."
)


@click.command()
@click.argument("backup", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@common
@consent_option("Replace the index? What was written to it since the backup is gone.")
def restore(backup: Path, as_json: bool, db: str | None) -> None:
    """Put a copy of BACKUP in the place of the index, whole or not at all; BACKUP stays.

    Stop the processes that use the index first: while one has it open, nothing is changed. The log
    the index left (-wal, -shm) goes with it.
    """
    from semantic_core._config import read_config

    place = file_of(read_config(overrides={"path": db}))
    with opened(str(backup)) as core:
        put_in_place = getattr(core.store, "put_in_place", None)
        if put_in_place is None or place is None:
            raise StoreMisuse(
                f"{type(core.store).__name__} restores no backups.",
                hint="Restore it with its own tools.",
            )
        put_in_place(place)
    size = place.stat().st_size
    if as_json:
        write_json({"path": str(place), "bytes": size})
    else:
        write(f"{visible(str(place))}: {size:,} bytes.")
        write(fitted(NEXT))
