"""Checkpoints that advance with the writes of a thread, for `Checkpoints.advancing`.

Tested by tests/kernel/test_storage.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Change = Callable[[str | None], str | None]
"""Gets a checkpoint, None if there is none, and returns the new one, None to remove it."""


class Advances:
    """What the writes of each thread advance besides their documents."""

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def within(self, source: str, change: Change) -> Iterator[None]:
        """Within the block, `of_thread` of this thread names this source, too."""
        outer = self.of_thread()
        self._here.advances = (*outer, (source, change))
        try:
            yield
        finally:
            self._here.advances = outer

    def of_thread(self) -> tuple[tuple[str, Change], ...]:
        """(source, change) of each checkpoint that a write of this thread advances."""
        return getattr(self._here, "advances", ())


class ChangeFailed(Exception):
    """A change has raised an error of its own. It is none of the store's, whatever its type."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def errors_of_changes() -> Iterator[None]:
    """Within the block, an error of a change that `changed` has called is raised as it was."""
    try:
        yield
    except ChangeFailed as failed:
        raise failed.error from failed.error.__cause__


def changed(change: Change, checkpoint: str | None) -> str | None:
    """What the change makes of the checkpoint. Its errors pass through a transaction as none of the
    database's, see `errors_of_changes`.
    """
    try:
        return change(checkpoint)
    except Exception as error:
        raise ChangeFailed(error) from error
