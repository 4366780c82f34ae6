"""Checkpoints: how far the index has followed each source of changes; and the identity of the
index. Both are rows of one small table, written in the transaction of the documents.

Tested by tests/sqlite/test_checkpoints.py.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

Change = Callable[[str | None], str | None]


class Advances:
    """What the writes of each thread advance besides their documents."""

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def within(self, source: str, change: Change) -> Iterator[None]:
        """Within it, `write` of this thread updates this source."""
        outer = self._of_thread()
        self._here.advances = (*outer, (source, change))
        try:
            yield
        finally:
            self._here.advances = outer

    @property
    def any(self) -> bool:
        """Whether a write of this thread advances anything."""
        return bool(self._of_thread())

    def write(self, view: View) -> None:
        """Update what this thread's writes advance, in the transaction that is open."""
        for source, change in self._of_thread():
            update(view, source, change)

    def _of_thread(self) -> tuple[tuple[str, Change], ...]:
        return getattr(self._here, "advances", ())


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


class ChangeFailed(Exception):
    """A change has raised an error of its own. It is none of the file's, whatever its type."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def errors_of_changes() -> Iterator[None]:
    """Within it, an error of a change comes out as it was raised."""
    try:
        yield
    except ChangeFailed as failed:
        raise failed.error from failed.error.__cause__


def update(view: View, source: str, change: Change) -> str | None:
    """Put what `change` makes of a checkpoint in its place; None removes it.

    Raises ChangeFailed.
    """
    there = get(view, source)
    try:
        new = change(there)
    except Exception as error:
        raise ChangeFailed(error) from error
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
