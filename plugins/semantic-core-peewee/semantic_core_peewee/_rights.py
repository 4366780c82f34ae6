"""Who may read a new file of ours: nobody else, unless others may read what it was made from."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

PRIVATE = 0o600
BESIDE_A_DATABASE = ".semantic.db"
"""What the name of an index ends with that lies beside the database it is of."""


def rights_for(path: str) -> int:
    """The rights a file at `path` is to have: those it has, else those of the database beside which
    it lies, else PRIVATE.

    SQLite gives the log and its index the rights of their file.
    """
    database = path.removesuffix(BESIDE_A_DATABASE)
    for known in dict.fromkeys((path, database)):
        with suppress(OSError):
            found = os.stat(known)
            if stat.S_ISREG(found.st_mode):
                return stat.S_IMODE(found.st_mode) & 0o666 | PRIVATE
    return PRIVATE


def make_file(path: str, rights: int) -> None:
    """Make an empty file with exactly these rights. Raises OSError, as where there is one."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE)
    os.close(descriptor)
    os.chmod(path, rights)
