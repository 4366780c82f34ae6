"""The application's connection, as the index uses it: opened where this thread has none, and then
closed again; and without a trace in the application's log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from semantic_core_peewee.commits import in_transaction
from semantic_core_peewee.tables import is_private

_ours = logging.getLogger("semantic_core.sql")
_mine = threading.local()


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


@contextmanager
def unlogged() -> Iterator[None]:
    """Within it, what this thread executes stays out of the log of Peewee's statements.

    An application that counts its queries (``playhouse.test_utils.count_queries``, a debug page)
    counts its own. Those of the index are told to the logger "semantic_core.sql" instead.
    """
    before = getattr(_mine, "unlogged", False)
    _mine.unlogged = True
    try:
        yield
    finally:
        _mine.unlogged = before


def _is_the_applications(record: logging.LogRecord) -> bool:
    if not getattr(_mine, "unlogged", False):
        return True
    _ours.log(record.levelno, record.msg, *(record.args or ()))
    return False


logging.getLogger("peewee").addFilter(_is_the_applications)
