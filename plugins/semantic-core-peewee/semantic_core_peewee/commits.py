"""When a Peewee database has committed: told after the fact, outside of any transaction, and never
for what was rolled back.

Peewee's own ``after_commit`` also tells of an inner block that was rolled back, raises into the
application what a callback raises, and says nothing of statements outside a block. So the three
methods every write goes through are wrapped on the database object. What goes past them
(``db.cursor()``, another program) is noted by triggers all the same and worked off with the next
commit that is heard.
"""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Callable
from typing import Any

import peewee

from semantic_core.errors import is_interruption

_log = logging.getLogger("semantic_core.orm")
_ATTRIBUTE = "_semantic_core_commits"
_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*([A-Za-z]+)", re.DOTALL)
_HARMLESS = frozenset(
    {
        "SELECT",
        "PRAGMA",
        "EXPLAIN",
        "SHOW",
        "DESCRIBE",
        "BEGIN",
        "START",
        "SAVEPOINT",
        "RELEASE",
        "SET",
        "VALUES",
    }
)
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"})
_DDL = frozenset({"ALTER", "DROP", "RENAME"})
_INNER_WRITE = re.compile(r"\b(?:insert|update|delete|replace|merge)\b", re.IGNORECASE)


def commits_of(database: Any) -> Commits:
    """The one listener of this database object."""
    with _making:
        found: Commits | None = database.__dict__.get(_ATTRIBUTE)
        if found is None:
            found = Commits(database)
            setattr(database, _ATTRIBUTE, found)
        return found


_making = threading.Lock()


def in_transaction(database: Any) -> bool:
    """Whether this thread's connection has a transaction open, as the driver knows it,
    however it was begun.
    """
    raw = database._state.conn
    if raw is None:
        return False
    if hasattr(raw, "in_transaction"):  # both SQLite libraries
        return bool(raw.in_transaction)
    if hasattr(raw, "info"):  # psycopg
        return int(raw.info.transaction_status) != 0
    if hasattr(raw, "server_status"):  # PyMySQL: the server says so with every answer
        return bool(raw.server_status & 1)
    return bool(database.in_transaction())


class Commits:
    """Hears what one database object does. Callbacks are methods, and go with their objects."""

    def __init__(self, database: Any) -> None:
        self._database: weakref.ref[Any] = weakref.ref(database)
        self._after: list[weakref.WeakMethod[Callable[[], None]]] = []
        self._before: list[weakref.WeakMethod[Callable[[], None]]] = []
        self._ddl: list[weakref.WeakMethod[Callable[[str], None]]] = []
        self._mine = threading.local()
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
        """Call this before every commit of a transaction that may have written, within it;
        single statements get one.
        """
        self._add(self._before, callback)

    def ddl(self, callback: Callable[[str], None]) -> None:
        """Call this with every ALTER, DROP or RENAME before it runs,
        on the connection that runs it.
        """
        self._add(self._ddl, callback)

    def _add(self, where: list[weakref.WeakMethod[Any]], callback: Callable[..., None]) -> None:
        with self._lock:
            where[:] = [each for each in where if each() not in (None, callback)]
            where.append(weakref.WeakMethod(callback))

    def _on_execute(self, sql: str, params: Any = None, *args: Any, **options: Any) -> Any:
        database = self._alive()
        word = _first_word(sql)
        telling = getattr(self._mine, "telling", False)
        if not telling:
            self._mine.committed_last = False
        if word in _HARMLESS or telling:
            return self._execute(sql, params, *args, **options)
        if self._before and word in _WRITES and not in_transaction(database):
            with database.atomic():
                return kept(database, self._on_execute(sql, params, *args, **options))
        if word in _DDL:
            for callback in self._living(self._ddl):
                callback(sql)
        if word in ("COMMIT", "END"):
            self._prepare()
        cursor = self._execute(sql, params, *args, **options)
        self._mine.ended = self.ended + (word in ("COMMIT", "END", "ROLLBACK"))
        if word == "ROLLBACK":
            self._wrote = self._wrote and in_transaction(database)
        elif word not in ("COMMIT", "END"):
            self._wrote = True
        if self._wrote and not in_transaction(database):
            cursor = kept(database, cursor)
            self._tell()
        return cursor

    def _on_commit(self) -> Any:
        self._prepare()
        self._mine.committed_last = True
        answer = self._commit()
        self._mine.ended = self.ended + 1
        if self._wrote:
            self._tell()
        return answer

    def _on_rollback(self) -> Any:
        if getattr(self._mine, "committed_last", False) and not in_transaction(self._alive()):
            # A signal handler raised once it was done: Peewee takes the commit for failed, and what
            # it says of a transaction that is over would hide what was raised.
            return None
        self._wrote = False
        answer = self._rollback()
        self._mine.ended = self.ended + 1
        return answer

    @property
    def ended(self) -> int:
        """How many transactions of this thread have ended;
        those ended past this object are not counted.
        """
        ended: int = getattr(self._mine, "ended", 0)
        return ended

    def _prepare(self) -> None:
        if not self._wrote or not in_transaction(self._alive()):
            return
        for callback in self._living(self._before):
            try:
                callback()
            except Exception:
                # The database gave the transaction up: there is nothing to commit.
                if not in_transaction(self._alive()):
                    raise
                _log.warning(
                    "Words could not be written with their rows; they follow.", exc_info=True
                )

    def _tell(self) -> None:
        self._wrote = False
        if getattr(self._mine, "telling", False):
            return
        self._mine.telling = True
        try:
            for callback in self._living(self._after):
                try:
                    callback()
                except Exception as error:
                    if is_interruption(error):
                        raise
                    # What was written is committed, and must not look as if it were not.
                    _log.warning(
                        "Pending changes could not be processed; they wait.", exc_info=True
                    )
        finally:
            self._mine.telling = False

    def _living(self, callbacks: list[weakref.WeakMethod[Any]]) -> list[Callable[..., None]]:
        return [callback for callback in [each() for each in callbacks] if callback is not None]

    def _alive(self) -> Any:
        database = self._database()
        if database is None:
            raise ReferenceError("The database object is gone.")
        return database

    @property
    def _wrote(self) -> bool:
        return getattr(self._mine, "wrote", False)

    @_wrote.setter
    def _wrote(self, wrote: bool) -> None:
        self._mine.wrote = wrote


def _first_word(sql: str) -> str:
    found = _WORD.match(sql)
    word = found[1].upper() if found else ""
    if word == "WITH":
        return "UPDATE" if _INNER_WRITE.search(sql) else "SELECT"
    if word == "ROLLBACK" and re.search(r"\bto\b", sql, re.IGNORECASE):
        return "SAVEPOINT"
    return word


def kept(database: Any, cursor: Any) -> Any:
    """The cursor with what its statement gave, kept:
    on SQLite it would be lost to the statements that follow.
    """
    return (
        Kept(cursor)
        if isinstance(database, peewee.SqliteDatabase) and not isinstance(cursor, Kept)
        else cursor
    )


class Kept:
    """A cursor of a finished SQLite statement: its rows,
    and what APSW tells of its connection only.
    """

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        connection = cursor.connection
        self.description = _description(cursor)
        self._rows = iter(cursor.fetchall())
        self.connection = (
            Numbers(connection) if hasattr(connection, "last_insert_rowid") else connection
        )

    def fetchone(self) -> Any:
        """The next row; None if there is none."""
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        """Up to so many rows."""
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        """The remaining rows."""
        return list(self._rows)

    def getdescription(self) -> Any:
        """As APSW's cursors have it."""
        return self.description

    def __iter__(self) -> Any:
        return self._rows

    def __next__(self) -> Any:
        return next(self._rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class Numbers:
    """An APSW connection that still tells what a statement changed, after others have run."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._changes = connection.changes()
        self._last = connection.last_insert_rowid()

    def changes(self) -> int:
        """Rows the statement changed."""
        return int(self._changes)

    def last_insert_rowid(self) -> int:
        """Number of the row it inserted."""
        return int(self._last)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _description(cursor: Any) -> Any:
    """Names of the columns; APSW refuses to tell once a statement without rows has ended."""
    try:
        return cursor.getdescription() if hasattr(cursor, "getdescription") else cursor.description
    except Exception as error:
        if type(error).__name__ != "ExecutionCompleteError":
            raise
        return ()
