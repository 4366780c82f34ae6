"""This thread's connection of a Peewee database: opened where there is none,
and then closed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from semantic_core_peewee._commits import in_transaction
from semantic_core_peewee._peewee_tables import is_private


@contextmanager
def connected(database: Any) -> Iterator[None]:
    """A block in which this thread has a connection. It is left as it was found: open, or closed.

    Two things stay open: a database in memory, which would be gone, and a transaction that was
    begun meanwhile.
    """
    if not database.is_closed():
        yield
        return
    database.connect()
    opened = database.connection()
    try:
        yield
    finally:
        # A generator that nobody used up may end in another thread, whose connection is none of its
        # business.
        still_there = database._state.conn is opened
        if still_there and not in_transaction(database) and not is_private(database):
            database.close()
