"""Runs as a process of its own: forks writers that are killed,
so that none of them has to start Python first.

Each line on standard input is a task; the writer's process id comes back in a line, then a dot for
every write it has finished, then, once it is dead, a line with how it ended.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import numpy as np  # noqa: F401 - loaded before the fork, as is all a store needs
from crash_history import SPACE, log_of, step
from semantic_core_peewee import SqliteStore


def write(task: dict[str, Any]) -> None:
    """Write one step after the other, until killed; a dot means: this one was acknowledged."""
    with log_of(task["pages"]):
        store = SqliteStore(SPACE, task["path"])
        number = task["first"]
        while True:
            step(task["seed"], number, task["prefix"]).apply(store)
            os.write(1, b".")
            number += 1


def look_after(task: dict[str, Any]) -> None:
    """Open, check and close the store again and again: closing it empties the log."""
    while True:
        store = SqliteStore(SPACE, task["path"])
        problems = store.check()
        store.close()
        if problems:
            raise AssertionError(problems)
        os.write(1, b".")


def back_up(task: dict[str, Any]) -> None:
    """Copy the store again and again, each time to the same new file."""
    store = SqliteStore(SPACE, task["path"])
    while True:
        store.backup(task["copy"])
        os.write(1, b".")
        os.unlink(task["copy"])


ROLES = {"write": write, "look after": look_after, "back up": back_up}


def main() -> None:
    """Serve tasks until standard input ends."""
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if not child:
            try:
                os.write(1, f"{os.getpid()}\n".encode())
                ROLES[task["role"]](task)
            except BaseException:  # noqa: BLE001
                # Whatever it was, it is told, and no forked copy of main() goes on.
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        os.write(1, f"\n{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
