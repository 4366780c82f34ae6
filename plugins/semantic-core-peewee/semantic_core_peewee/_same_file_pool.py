"""The connections of an index in the application's file: its own within its transactions,
else those of the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import apsw
import sqlite_vec

from semantic_core.errors import SemanticCoreError, StoreMisuse
from semantic_core_peewee._commits import commits_of
from semantic_core_peewee._connection import Target
from semantic_core_peewee._errors import SQLITE_ERRORS, UNREADABLE, damaged, translate
from semantic_core_peewee._pool import Pool, View
from semantic_core_peewee._reader import GENERATION
from semantic_core_peewee._renamed import Renamed, renamed_name

T = TypeVar("T")

_SAVEPOINT = "semantic_index"
_VOCABULARY = (
    "create virtual table if not exists temp.word_count using fts5vocab('main', '{}', 'row')",
    "create virtual table if not exists temp.word_place using fts5vocab('main', '{}', 'instance')",
)


class SameFilePool(Pool):
    """A `Pool` that takes part in the transactions of the application."""

    def __init__(self, target: Target, database: Any) -> None:
        self._application, self._here = database, threading.local()
        self._commits = commits_of(database)
        super().__init__(target)

    @property
    def in_snapshot(self) -> bool:
        """Whether this thread sees one state: of a snapshot,
        or of the application's transaction.
        """
        return self._open_transaction() is not None or super().in_snapshot

    @property
    def sees_one_state(self) -> bool:
        """See `Pool.sees_one_state`."""
        return self._open_transaction() is not None or super().sees_one_state

    @property
    def uncommitted(self) -> bool:
        """Whether this thread sees changes of the index that nobody else does yet."""
        raw = self._open_transaction()
        return raw is not None and getattr(self._here, "wrote", None) == (
            id(raw),
            self._commits.ended,
        )

    def current(self) -> Any:
        """See `Pool.current`."""
        view: View | None = getattr(self._here, "view", None)
        return super().current() if view is None else view.raw

    def _look(self, work: Callable[[View], T]) -> T:
        """Within a transaction of the application: of the state it sees."""
        raw = self._open_transaction()
        if raw is None or super().in_snapshot:
            return super()._look(work)
        outer = getattr(self._here, "view", None)
        with self._told():
            view: View = outer or self._view(raw)
            self._here.view = view
            try:
                return work(view)
            finally:
                self._here.view = outer

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Pool.snapshot`. A transaction of the application is one already."""
        if self._open_transaction() is None:
            with super().snapshot():
                yield
        else:
            self._refuse_closed()
            yield

    def write(self, work: Callable[[View], T]) -> T:
        """See `Pool.write`. Within a transaction of the application, it is a part of it."""
        raw = self._open_transaction()
        if raw is None:
            return super().write(work)
        if super().in_snapshot:
            raise StoreMisuse(
                "Writing within this thread's own snapshot would not be seen in it.",
                hint="Leave it first.",
            )
        try:
            with self._told():
                view = self._view(raw)
                self._here.wrote = (id(raw), self._commits.ended)
                with _savepoint(raw):
                    return work(view)
        except SQLITE_ERRORS as error:
            raise translate(error, self._target.path) from error

    def _open_transaction(self) -> Any:
        """The application's connection in this thread while it has a transaction open;
        else None.
        """
        raw = self._application._state.conn
        return raw if raw is not None and raw.in_transaction else None

    def _view(self, raw: Any) -> View:
        self._refuse_closed()
        if getattr(self._here, "ready", None) is not raw:
            _load_vectors(raw)
            self._here.ready = raw
        connection = Renamed(raw)
        for statement in _VOCABULARY:
            # Each time: a rollback takes it along.
            connection.execute(statement.format(renamed_name("words")))
        return View(connection, int(connection.execute(GENERATION).get))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (SemanticCoreError, *SQLITE_ERRORS):
            raise
        except UNREADABLE as error:
            raise damaged(error) from error


@contextmanager
def _savepoint(raw: Any) -> Iterator[None]:
    """All of it or none of it, within a transaction; the first error is the one that is told."""
    raw.execute(f"savepoint {_SAVEPOINT}")
    try:
        yield
    except BaseException:
        if raw.in_transaction:  # else SQLite has given it up as a whole
            with suppress(apsw.Error):
                raw.execute(f"rollback to {_SAVEPOINT}")
                raw.execute(f"release {_SAVEPOINT}")
        raise
    raw.execute(f"release {_SAVEPOINT}")


def _load_vectors(raw: Any) -> None:
    """Have sqlite-vec on the application's connection;
    whether it may load others stays as it was.
    """
    allowed = raw.config(apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, -1)
    raw.enable_load_extension(True)
    try:
        raw.load_extension(sqlite_vec.loadable_path())
    finally:
        raw.enable_load_extension(bool(allowed))
