"""``semantic-core backup``: a copy of the index, as it is at one moment."""

from __future__ import annotations

from pathlib import Path

import click

from semantic_core.cli._options import common, opened
from semantic_core.cli._output import visible, write, write_json
from semantic_core.errors import StoreMisuse


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@common
def backup(path: Path, as_json: bool, db: str | None) -> None:
    """Copy the whole index into the new file PATH; others may go on reading and writing meanwhile.

    The copy is an index like any other: use it with --db PATH, or put it in the place of a lost one
    with `restore`. Until it is whole it is called PATH.part.
    """
    with opened(db) as core:
        copy = getattr(core.store, "backup", None)
        if copy is None:
            raise StoreMisuse(
                f"{type(core.store).__name__} makes no backups.",
                hint="Back it up with its own tools.",
            )
        copy(path)
    size = path.stat().st_size
    if as_json:
        write_json({"path": str(path), "bytes": size})
    else:
        write(f"{visible(str(path))}: {size:,} bytes.")
