"""Where the index of a database is stored if neither the application nor the configuration says.

Tested by tests/orm/test_places.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

SUFFIX = ".semantic.db"
"""How the file of an index ends that is named after a database."""
_NOT_IN_A_FILE_NAME = re.compile(r"[^\w.-]")


def usual_place(
    *,
    database_file: str | Path | None = None,
    database_name: str = "",
    folder: Path | None = None,
) -> dict[str, Any]:
    """Settings for `SemanticCore.from_config`: where the index of this database is stored.

    database_file: the file of a SQLite database; the index is beside it, as "<file>.semantic.db".
    database_name: the name of a database on a server; the index is "<name>.semantic.db" in the
    folder. folder: for such an index; None takes the working folder. Without a file and a name it
    is a database in memory, and its index is in memory too.
    """
    if database_file is not None:
        return {"path": Path(f"{database_file}{SUFFIX}").absolute()}
    if not database_name:
        return {"store": "memory"}
    file_name = _NOT_IN_A_FILE_NAME.sub("_", database_name)
    return {"path": (folder or Path.cwd()) / f"{file_name}{SUFFIX}"}
