"""The index in the application's own SQLite file: rows and their full-text index are one
transaction, through one APSW connection.

Within a transaction of the application, the store uses the application's connection: it sees what
the transaction has written, and a rollback undoes both. Outside of one, the store uses connections
of its own to the same file.

Tested by tests/orm/test_same_file.py and tests/orm/test_same_file_store.py.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import apsw
import attrs
import sqlite_vec
from playhouse.apsw_ext import APSWDatabase

from semantic_core.errors import ConfigError, SemanticCoreError, StoreMisuse
from semantic_core.types import Ranking, Scope, Space
from semantic_core_peewee.adapter import connected
from semantic_core_peewee.commits import commits_of
from semantic_core_peewee.sqlite import DEFAULT_BUSY_TIMEOUT
from semantic_core_peewee.sqlite.connection import (
    Connection,
    Target,
    check_library,
    claim_file,
    identity_of,
    release_file,
    transaction,
    translated,
)
from semantic_core_peewee.sqlite.errors import SQLITE_ERRORS, UNREADABLE, damaged, translate
from semantic_core_peewee.sqlite.migrations import APPLICATION_ID, STEPS, newest, take
from semantic_core_peewee.sqlite.opening import agree, newer_release, said_of
from semantic_core_peewee.sqlite.pool import GENERATION, Pool, View
from semantic_core_peewee.sqlite.store import SqliteStore
from semantic_core_peewee.sqlite.text_search import TextIndex
from semantic_core_peewee.sqlite.tuning import DEFAULT, Tuning
from semantic_core_peewee.sqlite.vector_search import VectorIndex
from semantic_core_peewee.tables import file_of, is_private, plain_database

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser


P = ParamSpec("P")
T = TypeVar("T")

_SAVEPOINT = "semantic_index"


class SameFilePool(Pool):
    """A `Pool` that takes part in the transactions of the application."""

    def __init__(self, target: Target, database: Any) -> None:
        self._application = database
        self._here = threading.local()
        self._commits = commits_of(database)
        self._commits.after(self._committed)
        super().__init__(target)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this when the application's transaction in this thread is committed, never if it is
        rolled back; now if there is none.
        """
        if self._open_transaction() is None:
            call()
            return
        waiting: list[tuple[int, Callable[[], None]]] = getattr(self._here, "waiting", [])
        waiting.append((self._commits.ended, call))
        self._here.waiting = waiting

    def _committed(self) -> None:
        """Make the calls that waited for this commit; those of transactions that were rolled back
        are dropped.
        """
        waiting = getattr(self._here, "waiting", [])
        self._here.waiting = []
        for number, call in waiting:
            if number == self._commits.ended - 1:
                call()

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

    def read(self, work: Callable[Concatenate[View, P], T], *args: P.args, **named: P.kwargs) -> T:
        """See `Pool.read`. Within a transaction of the application: of the state it sees."""
        raw = self._open_transaction()
        if raw is None or super().in_snapshot:
            return super().read(work, *args, **named)
        outer = getattr(self._here, "view", None)
        with self._errors_translated():
            view: View = outer or self._view(raw)
            self._here.view = view
            try:
                return work(view, *args, **named)
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

    def write(self, work: Callable[Concatenate[View, P], T], *args: P.args, **named: P.kwargs) -> T:
        """See `Pool.write`. Within a transaction of the application: as a part of it."""
        raw = self._open_transaction()
        if raw is None:
            return super().write(work, *args, **named)
        if super().in_snapshot:
            raise StoreMisuse(
                "Writing within this thread's own snapshot would not be seen in it.",
                hint="Leave it first.",
            )
        with self._errors_translated():
            view = self._view(raw)
            self._here.wrote = (id(raw), self._commits.ended)
            with _savepoint(raw):
                return work(view, *args, **named)

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
        return View(raw, int(raw.execute(GENERATION).get), self._target.tuning)

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except SemanticCoreError:
            raise
        except SQLITE_ERRORS as error:
            raise translate(error, self._target.path) from error
        except UNREADABLE as error:
            raise damaged(error) from error


@contextmanager
def _savepoint(raw: Any) -> Iterator[None]:
    """All of it or none of it, within a transaction; the first error is the one that is raised."""
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


class SameFileStore(SqliteStore):
    """A `SqliteStore` in the file of a Peewee database, in tables called semantic_index_...

    database: an APSWDatabase on a file with a write-ahead log. Raises StoreMisuse for another kind,
    and if it has a transaction open; ConfigError, SpaceMismatch, StoreVersion and what opening a
    store raises.
    """

    def __init__(
        self,
        space: Space,
        database: Any,
        *,
        multi_tenant: bool | None = None,
        busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
        analyser: Analyser | None = None,
        tuning: Tuning = DEFAULT,
    ) -> None:
        if not isinstance(space, Space):
            raise ConfigError(
                f"space must be the Space of an embedder, got {type(space).__name__}."
            )
        check_library()
        self.database = plain_database(database)
        self._target = Target(_path_of(self.database), "full", busy_timeout, tuning=tuning)
        self._claim = claim_file(self._target.path)
        try:
            with connected(self.database):
                _check_connection(self.database)
            # It may have come into being just now.
            self._claim = self._claim or claim_file(self._target.path)
            self._space, self._multi_tenant = _prepare(self._target, space, multi_tenant)
        except BaseException:
            release_file(self._claim)
            raise
        self._target = attrs.evolve(self._target, identity=identity_of(self._target.path))
        self._application_pool = SameFilePool(self._target, self.database)
        self._begin(self._application_pool, analyser)

    def nearest(self, vector: Any, limit: int, scope: Scope) -> Ranking:
        """See `SqliteStore.nearest`. Within a transaction that has changed the index, nothing of
        what it sees is remembered.
        """
        if not self._application_pool.uncommitted:
            return super().nearest(vector, limit, scope)
        aside = copy.copy(self)
        aside._vectors = VectorIndex(self._space.dimensions, 0)
        return SqliteStore.nearest(aside, vector, limit, scope)

    @property
    def _index(self) -> TextIndex:
        """Within a transaction that has changed the index, one that remembers nothing of what it
        sees.
        """
        if not self._application_pool.uncommitted:
            return self._text
        return TextIndex(self._text.analyser, self._target.tuning.text_memory)

    def after_commit(self, call: Callable[[], None]) -> None:
        """See `Transactional.after_commit`."""
        self._application_pool.after_commit(call)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Refused: the index is a part of the application's file."""
        raise StoreMisuse(
            f"The index is a part of {self._target.path!r}, not a file of its own.",
            hint="Back that file up as a whole.",
        )

    def put_in_place(self, path: str | os.PathLike[str]) -> None:
        """Refused like `backup`."""
        self.backup(path)

    def close(self) -> None:
        """See `Store.close`. The application's connections stay as they are."""
        super().close()
        claim = self._claim
        self._claim = None
        release_file(claim)


def _path_of(database: Any) -> str:
    kind = type(database).__name__
    if not isinstance(database, APSWDatabase):
        raise StoreMisuse(
            "An index in the application's own file goes through one SQLite library, APSW; the "
            f"database is a {kind}. Two libraries on one file destroy each "
            "other's locks and lose rows.",
            hint=(
                "Use playhouse.apsw_ext.APSWDatabase; or leave same_file out, and the index has a "
                "file of its own."
            ),
        )
    if is_private(database):
        raise StoreMisuse("A database in memory has no file to share.", hint="Leave same_file out.")
    return os.path.realpath(file_of(database))


def _check_connection(database: Any) -> None:
    raw = database.connection()
    if raw.in_transaction:
        raise StoreMisuse(
            "The database has a transaction open.",
            hint="Set the index up before the first transaction.",
        )
    mode = raw.pragma("journal_mode")
    if mode != "wal":
        raise StoreMisuse(
            (
                "An index in the application's own file needs a write-ahead log, this one has "
                f"journal_mode={mode}."
            ),
            hint='Open it as APSWDatabase(path, pragmas={"journal_mode": "wal"}).',
        )


def _prepare(target: Target, space: Space, multi_tenant: bool | None) -> tuple[Space, bool]:
    """Create the tables if there are none, migrate them if they are older; return their space and
    tenancy.
    """
    with translated(target.path):
        connection = Connection(target, writer=True)
        try:
            raw = connection.raw
            if raw.pragma("application_id") == APPLICATION_ID:
                raise StoreMisuse(
                    f"{target.path!r} is an index of its own, not an application's database.",
                    hint="Open it by its path; or name the application's database.",
                )
            version = _version_of(raw)
            if version > newest():
                raise newer_release(target.path, version)
            if version < newest():
                with transaction(raw):
                    _take_steps(raw, said_of(space, bool(multi_tenant)))
            says = dict(raw.execute("select key, value from semantic_index_meta").fetchall())
        finally:
            connection.close()
    return agree(target.path, says, space, multi_tenant)


def _version_of(raw: Any) -> int:
    has_index = raw.execute(
        "select 1 from sqlite_schema where name = 'semantic_index_migration'"
    ).get
    if not has_index:
        return 0
    return int(raw.execute("select max(number) from semantic_index_migration").get)


def _take_steps(raw: Any, said: Mapping[str, str]) -> None:
    version = _version_of(raw)  # looked at inside: another process may have been faster
    for step in STEPS:
        if step.number <= version:
            continue
        take(raw, step)
        if step.number == 1:
            raw.executemany(
                "insert into semantic_index_meta (key, value) values (?, ?)", list(said.items())
            )
        row = (step.number, step.name, datetime.now(UTC).isoformat())
        raw.execute(
            "insert into semantic_index_migration (number, name, applied_at) values (?, ?, ?)", row
        )
