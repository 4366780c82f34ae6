"""Documents whose files are gone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.types import DocumentSummary, Ref

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
