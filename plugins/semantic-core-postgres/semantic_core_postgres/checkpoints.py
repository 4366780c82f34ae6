"""Checkpoints: how far the index has followed each source of changes; and the identity of the
index. Both are rows of one small table, written in the transaction of the documents.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from semantic_core_postgres.texts import decoded, encoded

if TYPE_CHECKING:
    from semantic_core_postgres.pool import View

IDENTITY = ""
"""The source under whose name the identity of the index is stored."""
_GET = "select value from {s}.checkpoint where source = %s"
_PUT = """insert into {s}.checkpoint as c (source, value)
    values (%s, %s)
    on conflict (source) do update
    set value = excluded.value
    where c.value <> excluded.value"""

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
        for source, change in sorted(self._of_thread(), key=lambda one: one[0]):
            update(view, source, change)

    def _of_thread(self) -> tuple[tuple[str, Change], ...]:
        return getattr(self._here, "advances", ())


def get(view: View, source: str) -> str | None:
    """The checkpoint of a source; None if there is none."""
    found = view.value(_GET, (encoded(source),))
    return None if found is None else decoded(found)


def every(view: View) -> dict[str, str]:
    """All checkpoints; the identity is none of them."""
    found = view.rows("select source, value from {s}.checkpoint where source <> %s", (IDENTITY,))
    return {decoded(source): decoded(value) for source, value in found}


class ChangeFailed(Exception):
    """A change has raised an error of its own. It is none of the server's, whatever its type."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def errors_of_changes() -> Iterator[None]:
    """Within it, an error of a change is raised as it was."""
    try:
        yield
    except ChangeFailed as failed:
        raise failed.error from failed.error.__cause__


def update(view: View, source: str, change: Change) -> str | None:
    """Put what `change` makes of a checkpoint in its place; None removes it. Writers of one source
    wait for each other.

    Raises ChangeFailed.
    """
    name = f"semantic-core {view.statements.schema} checkpoint {source}"
    view.run("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (encoded(name),))
    there = get(view, source)
    try:
        new = change(there)
    except Exception as error:
        raise ChangeFailed(error) from error
    if new is None:
        view.run("delete from {s}.checkpoint where source = %s", (encoded(source),))
    else:
        view.run(_PUT, (encoded(source), encoded(new)))
    return new


def renew_identity(view: View) -> str:
    """Give the index another identity."""
    identity = secrets.token_hex(16)
    view.run(_PUT, (IDENTITY, identity))
    return identity
