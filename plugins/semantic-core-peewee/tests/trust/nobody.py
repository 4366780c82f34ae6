"""Someone without rights: ``python nobody.py ACTION PATH`` tries it and prints the error as JSON.

Root is above all rights, so it steps down first; whoever runs this without being root stays who
they are.
"""

from __future__ import annotations

import json
import os
import sys

from samples import SPACE, item, quick_folder
from semantic_core_peewee import SqliteStore

from semantic_core import Ref
from semantic_core.errors import SemanticCoreError

NOBODY = 65_534


def step_down() -> None:
    """Be nobody, after everything that is needed has been loaded."""
    with quick_folder() as folder:
        store = SqliteStore(SPACE, folder / "warm.db")
        store.replace([item(Ref("n", "1"), "one")])
        store.close()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def attempt(action: str, path: str) -> None:
    """Open the store, and write to it if that is the action."""
    store = SqliteStore(SPACE, path)
    try:
        if action == "write":
            store.replace([item(Ref("n", "nobody"), "written by nobody")])
    finally:
        store.close()


if __name__ == "__main__":
    step_down()
    try:
        attempt(*sys.argv[1:])
        told = {"code": "", "message": "", "hint": "", "cause": ""}
    except SemanticCoreError as error:
        told = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "cause": type(error.__cause__).__name__ if error.__cause__ else "",
        }
    print(json.dumps(told))  # noqa: T201 - this is how it answers
