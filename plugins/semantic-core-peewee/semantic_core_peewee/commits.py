"""When a Peewee database has committed: callbacks run after the commit, outside of any transaction,
and never for what was rolled back.

Peewee's own ``after_commit`` is not enough: it also runs for an inner block that was rolled back,
raises the errors of a callback into the application, and does not run for statements outside a
block. So the three methods that every write goes through are wrapped on the database object. What
bypasses them (``db.cursor()``, another program) is seen by triggers all the same, and processed
with the next commit that is noticed.

Tested by tests/orm/test_commits.py.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from itertools import islice
from typing import Any

import peewee

from semantic_core.errors import is_interruption
from semantic_core.orm import CHANGES_TABLES, WRITES_NOTHING, WRITES_ROWS, first_word

_log = logging.getLogger("semantic_core.orm")
_ATTRIBUTE = "_semantic_core_commits"
_ENDS = ("COMMIT", "END")
"""First words of statements that commit a transaction."""
_making = threading.Lock()


def commits_of(database: Any) -> Commits:
    """The one listener of this database object, which is made when it is first asked for."""
    with _making:
        found: Commits | None = database.__dict__.get(_ATTRIBUTE)
        if found is None:
            found = Commits(database)
            setattr(database, _ATTRIBUTE, found)
        return found


def in_transaction(database: Any) -> bool:
    """Whether this thread's connection has a transaction open, however it was begun.

    The driver is asked, because Peewee does not know of a transaction that SQL began.
    """
    connection = database._state.conn
    if connection is None:
        return False
    if hasattr(connection, "in_transaction"):  # both SQLite libraries
        return bool(connection.in_transaction)
    if hasattr(connection, "info"):  # psycopg
        return int(connection.info.transaction_status) != 0
    if hasattr(connection, "server_status"):  # PyMySQL: the server says so with every answer
        return bool(connection.server_status & 1)
    return bool(database.in_transaction())


class Commits:
    """Runs callbacks when one database object commits.

    Callbacks are methods, held by weak references: they are forgotten with their objects.
    """

    def __init__(self, database: Any) -> None:
        self._database: weakref.ref[Any] = weakref.ref(database)
        self._after: list[weakref.WeakMethod[Callable[[], None]]] = []
        self._before: list[weakref.WeakMethod[Callable[[], None]]] = []
        self._ddl: list[weakref.WeakMethod[Callable[[str], None]]] = []
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._execute = database.execute_sql
        self._commit = database.commit
        self._rollback = database.rollback
        database.execute_sql = self._on_execute
        database.commit = self._on_commit
        database.rollback = self._on_rollback

    def after(self, callback: Callable[[], None]) -> None:
        """Call this after every commit that may have written, in the thread that committed."""
        self._add(self._after, callback)

    def before(self, callback: Callable[[], None]) -> None:
        """Call this before every commit of a transaction that may have written, within it.

        A single statement that writes gets a transaction for it.
        """
        self._add(self._before, callback)

    def ddl(self, callback: Callable[[str], None]) -> None:
        """Call this with every ALTER, DROP or RENAME before it runs, in the thread that runs it."""
        self._add(self._ddl, callback)

    def _add(self, where: list[weakref.WeakMethod[Any]], callback: Callable[..., None]) -> None:
        with self._lock:
            where[:] = [each for each in where if each() not in (None, callback)]
            where.append(weakref.WeakMethod(callback))

    # --- what replaces the methods of the database ------------------------------------------------

    def _on_execute(self, sql: str, params: Any = None, *args: Any, **options: Any) -> Any:
        database = self._alive()
        word = first_word(sql)
        notifying = getattr(self._of_thread, "notifying", False)
        if not notifying:
            self._of_thread.committed_last = False
        writes_nothing = word in WRITES_NOTHING and word != "ROLLBACK"
        if writes_nothing or notifying:
            return self._execute(sql, params, *args, **options)
        if self._before and word in WRITES_ROWS and not in_transaction(database):
            with database.atomic():
                return read_out(database, self._on_execute(sql, params, *args, **options))
        if word in CHANGES_TABLES:
            for callback in self._living(self._ddl):
                callback(sql)
        if word in _ENDS:
            self._prepare()
        cursor = self._execute(sql, params, *args, **options)
        if word == "ROLLBACK":
            self._of_thread.ended = self.ended + 1
            self._wrote = self._wrote and in_transaction(database)
        elif word in _ENDS:
            self._of_thread.ended = self.ended + 1
        else:
            self._wrote = True
        if self._wrote and not in_transaction(database):
            cursor = read_out(database, cursor)
            self._notify()
        return cursor

    def _on_commit(self) -> Any:
        self._prepare()
        self._of_thread.committed_last = True
        answer = self._commit()
        self._of_thread.ended = self.ended + 1
        if self._wrote:
            self._notify()
        return answer

    def _on_rollback(self) -> Any:
        committed = getattr(self._of_thread, "committed_last", False)
        if committed and not in_transaction(self._alive()):
            # A signal handler raised right after the commit. Peewee takes the commit for failed and
            # rolls back; the error of a rollback without a transaction would hide the signal's.
            return None
        self._wrote = False
        answer = self._rollback()
        self._of_thread.ended = self.ended + 1
        return answer

    @property
    def ended(self) -> int:
        """How many transactions of this thread have ended through this object."""
        ended: int = getattr(self._of_thread, "ended", 0)
        return ended

    # --- running the callbacks --------------------------------------------------------------------

    def _prepare(self) -> None:
        if not self._wrote or not in_transaction(self._alive()):
            return
        for callback in self._living(self._before):
            try:
                callback()
            except Exception:
                # The database has rolled the transaction back: there is nothing left to commit.
                if not in_transaction(self._alive()):
                    raise
                _log.warning(
                    "Text could not be indexed within its transaction; it is indexed after it.",
                    exc_info=True,
                )

    def _notify(self) -> None:
        self._wrote = False
        if getattr(self._of_thread, "notifying", False):
            return
        self._of_thread.notifying = True
        try:
            for callback in self._living(self._after):
                try:
                    callback()
                except Exception as error:
                    if is_interruption(error):
                        raise
                    # What was written is committed, and an error would look as if it were not.
                    _log.warning("Changes could not be processed; they wait.", exc_info=True)
        finally:
            self._of_thread.notifying = False

    def _living(self, callbacks: list[weakref.WeakMethod[Any]]) -> list[Callable[..., None]]:
        found = [reference() for reference in callbacks]
        return [callback for callback in found if callback is not None]

    def _alive(self) -> Any:
        database = self._database()
        if database is None:
            raise ReferenceError("The database object is gone.")
        return database

    @property
    def _wrote(self) -> bool:
        return getattr(self._of_thread, "wrote", False)

    @_wrote.setter
    def _wrote(self, wrote: bool) -> None:
        self._of_thread.wrote = wrote


# --- cursors of statements that are finished before the application reads them --------------------


def read_out(database: Any, cursor: Any) -> Any:
    """A cursor with all that its statement returned.

    On SQLite the rows of a cursor would be lost to the statements that the callbacks run; other
    cursors are returned as they are.
    """
    if isinstance(cursor, FinishedCursor) or not isinstance(database, peewee.SqliteDatabase):
        return cursor
    return FinishedCursor(cursor)


class FinishedCursor:
    """A cursor of a finished SQLite statement: its rows, and what only APSW's connection knows."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        connection = cursor.connection
        self.description = _description(cursor)
        self._rows = iter(cursor.fetchall())
        if hasattr(connection, "last_insert_rowid"):
            connection = ConnectionAfterStatement(connection)
        self.connection = connection

    def fetchone(self) -> Any:
        """The next row; None if there is none."""
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        """The next rows, `size` at most."""
        return list(islice(self._rows, size))

    def fetchall(self) -> list[Any]:
        """The remaining rows."""
        return list(self._rows)

    def getdescription(self) -> Any:
        """The description, under the name that APSW's cursors have for it."""
        return self.description

    def __iter__(self) -> Any:
        return self._rows

    def __next__(self) -> Any:
        return next(self._rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class ConnectionAfterStatement:
    """An APSW connection that still knows what a statement changed, after others have run."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._changes = connection.changes()
        self._last = connection.last_insert_rowid()

    def changes(self) -> int:
        """How many rows the statement changed."""
        return int(self._changes)

    def last_insert_rowid(self) -> int:
        """The rowid of the row it inserted."""
        return int(self._last)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _description(cursor: Any) -> Any:
    """The names of the columns. APSW raises once a statement without rows has ended."""
    try:
        return cursor.getdescription() if hasattr(cursor, "getdescription") else cursor.description
    except Exception as error:
        if type(error).__name__ != "ExecutionCompleteError":
            raise
        return ()
