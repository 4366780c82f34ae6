"""One thread's way of reading: a connection of its own, and one state of the store at a time."""

from __future__ import annotations

import os
import threading
from typing import Any

import apsw
import attrs

from semantic_core.types import ChunkId
from semantic_core_peewee._connection import Connection, Target
from semantic_core_peewee._uses import Uses

GENERATION = "select cast(value as integer) from meta where key = 'generation'"
"""The generation in force; asked first in every transaction, which also fixes the state it sees."""


@attrs.frozen(eq=False)
class View:
    """One state of the store: a connection within a transaction.

    generation: the one in force. kept: whatever is worth keeping as long as the transaction lasts.
    ids: of chunks by row, met by any transaction; None where what is seen may be undone.
    """

    raw: Any
    generation: int
    kept: dict[str, Any] = attrs.field(factory=dict)
    ids: dict[int, ChunkId] | None = None


class Reader:
    """What one thread reads through. uses: nested ones; while there is one, a read transaction is
    open. lock: for uses and closing.

    ids: shared by all readers of a store, see `View`.
    """

    def __init__(self, ids: dict[int, ChunkId]) -> None:
        self.pid, self._ids = os.getpid(), ids
        self.lock = threading.RLock()
        self.connection: Connection | None = None
        self.view: View | None = None
        self.uses = Uses()
        self.doomed = False
        self.suspect = False
        self._begun = 0

    def begin(self, target: Target) -> View:
        """Open the read transaction; from here on this thread sees one state."""
        self._begun += 1
        this = self._begun
        try:
            return self._begin(target)
        except apsw.Error:
            if self._begun == this:
                raise
        return self.begin(target)  # a signal handler read in between, and ended what was begun

    def _begin(self, target: Target) -> View:
        if self.connection is not None and _is_open(self.connection.raw):
            self.end()  # a use that was cut off left it
        connection = self.connection
        if connection is None:
            connection = self.connection = Connection(target, writer=False)
        connection.check_place()
        connection.raw.execute("begin")
        generation = int(connection.raw.execute(GENERATION).get)
        self.view = View(connection.raw, generation, ids=self._ids)
        return self.view

    def end(self) -> None:
        """Close the read transaction, and the connection too if it cannot be trusted any more or
        the store is closed.
        """
        self.view = None
        connection = self.connection  # a signal handler that reads may drop it
        if connection is not None:
            try:
                if connection.raw.in_transaction:
                    connection.raw.execute("rollback")
                # A query that nobody finished, and that something keeps, would keep its state.
                self.suspect = self.suspect or _is_open(connection.raw)
            except apsw.Error:
                self.suspect = True
        if self.suspect or self.doomed:
            self.drop()

    def drop(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self.connection, self.suspect = self.connection, None, False
        if connection is not None:
            connection.close()


def _is_open(raw: Any) -> bool:
    """Whether a transaction is open, which may have read nothing yet, or a query under way."""
    return bool(raw.in_transaction or raw.txn_state("main") != apsw.SQLITE_TXN_NONE)
