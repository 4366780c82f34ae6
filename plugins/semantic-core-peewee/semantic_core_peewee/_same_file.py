"""The index in the application's own SQLite file: rows and words in one transaction,
through one APSW connection.

Within a transaction of the application, everything goes through its connection: what it has written
is seen, and a rollback takes it all along. Outside of one, the store uses connections of its own to
the same file, as it always does.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
from playhouse.apsw_ext import APSWDatabase

from semantic_core.errors import ConfigError, StoreMisuse
from semantic_core.types import ChunkId, Ranking, Scope, Space
from semantic_core_peewee import _guard
from semantic_core_peewee._checkpoints import Advances
from semantic_core_peewee._connected import connected
from semantic_core_peewee._connection import Connection, Target, check_library, translated
from semantic_core_peewee._migrations import STEPS, newest, take
from semantic_core_peewee._opening import agree, said_of
from semantic_core_peewee._peewee_tables import file_of, is_private, plain_database
from semantic_core_peewee._place import newer_release
from semantic_core_peewee._renamed import Renamed, renamed_name
from semantic_core_peewee._same_file_pool import SameFilePool
from semantic_core_peewee._schema import PeeweeDatabase
from semantic_core_peewee._transactions import transaction
from semantic_core_peewee._vectors import VectorLane
from semantic_core_peewee._word_counts import WordCounts
from semantic_core_peewee.store import DEFAULT_BUSY_TIMEOUT, SqliteStore, memory_budget

if TYPE_CHECKING:
    from semantic_core.protocols import Scores


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
    ) -> None:
        if not isinstance(space, Space):
            raise ConfigError(
                f"space must be the Space of an embedder, got {type(space).__name__}."
            )
        check_library()
        self.database = plain_database(database)
        self._target = Target(_path_of(self.database), "full", busy_timeout, wrap=Renamed)
        self._claim = _guard.claim(self._target.path)
        try:
            with connected(self.database):
                _check_connection(self.database)
            # It may have come into being just now.
            self._claim = self._claim or _guard.claim(self._target.path)
            self._space, self._multi_tenant = _prepare(self._target, space, multi_tenant)
        except BaseException:
            _guard.release(self._claim)
            raise
        self._target = attrs.evolve(self._target, identity=_guard.identity(self._target.path))
        self._pool: SameFilePool = SameFilePool(self._target, self.database)
        self._database = PeeweeDatabase(self._target.path, self._pool)
        self._counts, self._lane = WordCounts(), VectorLane(space.dimensions, memory_budget())
        self._advances = Advances()

    def nearest(self, vector: Any, limit: int, scope: Scope) -> Ranking:
        """See `SqliteStore.nearest`."""
        return SqliteStore.nearest(self._unlearned(), vector, limit, scope)

    def words(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `SqliteStore.words`."""
        return SqliteStore.words(self._unlearned(), text, limit, scope)

    def score(self, ids: Sequence[ChunkId], text: str) -> Scores:
        """See `SqliteStore.score`."""
        return SqliteStore.score(self._unlearned(), ids, text)

    def titled(self, text: str, limit: int, scope: Scope) -> Ranking:
        """See `SqliteStore.titled`."""
        return SqliteStore.titled(self._unlearned(), text, limit, scope)

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
        claim, self._claim = self._claim, None
        _guard.release(claim)

    def _unlearned(self) -> SqliteStore:
        """This store; within a transaction that has changed the index,
        one that remembers nothing of what it sees.
        """
        if not self._pool.uncommitted:
            return self
        aside = copy.copy(self)
        aside._counts, aside._lane = WordCounts(), VectorLane(self._space.dimensions, 0)
        return aside


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
    """Make the tables if there are none, bring them up if they are older;
    the space and tenancy they have.
    """
    with translated(target.path):
        connection = Connection(target, writer=True)
        try:
            raw = connection.raw
            version = _version_of(raw)
            if version > newest():
                raise newer_release(target.path, version)
            if version < newest():
                with transaction(raw):
                    _take_steps(raw, said_of(space, bool(multi_tenant)))
            says = dict(raw.execute("select key, value from meta").fetchall())
        finally:
            connection.close()
    return agree(target.path, says, space, multi_tenant)


def _version_of(raw: Any) -> int:
    there = raw.execute(
        "select 1 from sqlite_master where name = ?", (renamed_name("migration"),)
    ).get
    return int(raw.execute("select max(number) from migration").get) if there else 0


def _take_steps(raw: Any, said: Mapping[str, str]) -> None:
    version = _version_of(raw)  # looked at inside: another process may have been faster
    for step in STEPS:
        if step.number <= version:
            continue
        take(raw, step)
        if step.number == 1:
            raw.executemany("insert into meta (key, value) values (?, ?)", list(said.items()))
        row = (step.number, step.name, datetime.now(UTC).isoformat())
        raw.execute("insert into migration (number, name, applied_at) values (?, ?, ?)", row)
