"""Checkpoints: how far the index has followed each source of changes; and the identity of the
index. Both are rows of one small table, written in the transaction of the documents.

Tested by tests/sqlite/test_checkpoints.py.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from semantic_core.storage import changed

if TYPE_CHECKING:
    from semantic_core.storage import Advances, Change
    from semantic_core_peewee.sqlite.pool import View

IDENTITY = ""
"""The source under whose name the identity of the index is stored."""
_GET = "select value from semantic_index_checkpoint where source = ?"
_PUT = """insert into semantic_index_checkpoint (source, value)
    values (?, ?)
    on conflict do update
    set value = excluded.value
    where value <> excluded.value"""
_DROP = "delete from semantic_index_checkpoint where source = ?"
_RENEW = "update semantic_index_checkpoint set value = lower(hex(randomblob(16))) where source = ?"


def get(view: View, source: str) -> str | None:
    """The checkpoint of a source; None if there is none."""
    found: str | None = view.raw.execute(_GET, (source,)).get
    return found


def every(view: View) -> dict[str, str]:
    """All checkpoints; the identity is none of them."""
    found = view.raw.execute(
        "select source, value from semantic_index_checkpoint where source <> ?", (IDENTITY,)
    ).fetchall()
    return dict(found)


def advance(view: View, advances: Advances) -> None:
    """Update what this thread's writes advance, in the transaction that is open."""
    for source, change in advances.of_thread():
        update(view, source, change)


def update(view: View, source: str, change: Change) -> str | None:
    """Put what `change` makes of a checkpoint in its place; None removes it.

    An error of the change is raised in `errors_of_changes`.
    """
    there = get(view, source)
    new = changed(change, there)
    if new is None:
        view.raw.execute(_DROP, (source,))
    else:
        view.raw.execute(_PUT, (source, new))
    return new


def renew_identity(view: View) -> str:
    """Give the index another identity."""
    view.raw.execute(_RENEW, (IDENTITY,))
    return str(get(view, IDENTITY))


def location_of(path: str) -> str:
    """Where a file is: its host and its absolute path."""
    return f"{socket.gethostname()}:{os.path.realpath(path)}"
