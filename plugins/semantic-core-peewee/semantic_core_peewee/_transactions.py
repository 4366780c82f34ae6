"""A write: all of it, or none of it, and the first error is the one that is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import apsw


@contextmanager
def transaction(raw: Any) -> Iterator[None]:
    """A write transaction that takes the write lock at once,
    so it never fails half-way for another writer.

    After an error it is rolled back, if SQLite has not done so already. An error of the rollback
    itself is not let in front of the first one; the caller closes a connection that is still in a
    transaction.
    """
    raw.execute("begin immediate")
    try:
        yield
        raw.execute("commit")
    except BaseException:
        if raw.in_transaction:
            with suppress(apsw.Error):
                raw.execute("rollback")
        raise
