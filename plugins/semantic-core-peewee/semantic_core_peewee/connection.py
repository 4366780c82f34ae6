"""The application's connection, as the index uses it: opened for a thread that has none, closed
again afterwards, and without a trace in the application's log of statements.

Tested by tests/orm/test_connections.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from semantic_core_peewee.commits import in_transaction
from semantic_core_peewee.tables import is_private

_statements = logging.getLogger("semantic_core.sql")
_of_thread = threading.local()


@contextmanager
def connected(database: Any) -> Iterator[None]:
    """A block in which this thread has a connection, which is left as it was found: open or closed.

    Two are not closed: one to a database in memory, which would be gone, and one on which a
    transaction was begun meanwhile.
    """
    if not database.is_closed():
        yield
        return
    database.connect()
    opened = database.connection()
    try:
        yield
    finally:
        # A generator that was not used up may end in another thread, whose connection is not the
        # one that was opened here.
        still_there = database._state.conn is opened
        if still_there and not in_transaction(database) and not is_private(database):
            database.close()


@contextmanager
def unlogged() -> Iterator[None]:
    """Within it, the statements of this thread are not written to Peewee's log.

    An application that counts its queries (``playhouse.test_utils.count_queries``, a debug page)
    counts its own. Those of the index are written to the logger "semantic_core.sql" instead.
    """
    before = getattr(_of_thread, "unlogged", False)
    _of_thread.unlogged = True
    try:
        yield
    finally:
        _of_thread.unlogged = before


def _is_of_the_application(record: logging.LogRecord) -> bool:
    if not getattr(_of_thread, "unlogged", False):
        return True
    _statements.log(record.levelno, record.msg, *(record.args or ()))
    return False


logging.getLogger("peewee").addFilter(_is_of_the_application)
