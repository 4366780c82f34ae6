"""`init_database`: one call at start-up binds every index that is declared on
models of a database.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import peewee

from semantic_core import IngestReport, SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.orm import (
    Backfill,
    SemanticIndex,
    bind_declared,
    follow_leftovers,
    project_folder,
)
from semantic_core.orm.migrations import remove_triggers
from semantic_core_peewee.adapter import PeeweeAdapter, run_sql
from semantic_core_peewee.connection import connected
from semantic_core_peewee.sqlite.opening import BESIDE_A_DATABASE
from semantic_core_peewee.tables import dialect_of, file_of, is_private, plain_database

SUFFIX = BESIDE_A_DATABASE
"""What the file of an index is called: after that of the application,
or after the database where that is no file.
"""
_NO_NAME = re.compile(r"[^\w.-]")
"""What is not put into the name of a file."""

_lock = threading.RLock()
_cores: weakref.WeakKeyDictionary[peewee.Database, _BoundDatabase] = weakref.WeakKeyDictionary()


def init_database(
    db: Any,
    core: SemanticCore | None = None,
    *,
    same_file: bool = False,
    install: bool = True,
    backfill: Backfill | None = None,
    **settings: Any,
) -> SemanticCore:
    """Bind every `SemanticIndex` declared on models of this database; call it once at start-up,
    after the tables exist.

    core: keeps the indexes that name none. None makes one, and takes the same at the next call: in
    "<database file>.semantic.db" beside a SQLite file, in "<database name>.semantic.db" beside the
    package of the models otherwise, unless the configuration says where; in memory for a database
    in memory. same_file: keep the index in tables of the application's own SQLite file, in its
    transactions; the database must be an APSWDatabase. install: make outbox and triggers too, which
    costs a few queries if they are there. backfill: when rows that are there already are indexed:
    "background" (a thread; the default), "now" or "off".
    settings: of `SemanticCore.from_config` for the core that is made (embedder=...,
    multi_tenant=True). Gives the core.

    Where no index is declared and a former one left triggers, a warning names the command that
    removes them. Calling it again binds models that were declared meanwhile, and costs little; safe
    from any thread. Raises ConfigError (a model without table or key, a database that cannot be
    followed), StoreMisuse (same_file through another SQLite library), and what opening a store
    raises.
    """
    database = plain_database(db)
    if core is not None and (settings or same_file):
        raise ConfigError(
            "init_database takes a core, or settings to make one, not both.",
            hint="Leave one of them out.",
        )
    with _lock:
        chosen = core or _core_of(database, same_file, settings)
        with connected(database):
            bound = bind_declared(
                PeeweeAdapter, chosen, install=install, backfill=backfill, database=database
            )
            if install and not bound:
                run = partial(_run, database)
                follow_leftovers(chosen, run, dialect_of(database), database=database)
        return chosen


def _run(
    database: peewee.Database, sql: str, params: Sequence[Any] = ()
) -> Sequence[Sequence[Any]]:
    with connected(database):
        return run_sql(database, dialect_of(database), sql, params)


@contextmanager
def migrating(db: Any) -> Iterator[None]:
    """Within it, the tables of this database may be changed however a migration likes:
    no trigger of ours is there.

    For migrations that go past Peewee's database object (another connection, another program), and
    wherever one wants to be sure; what `playhouse.migrate` does through the object itself is
    noticed anyway. Afterwards the triggers of all indexes that are bound are put back, and every
    row and document is looked at again. Raises what the database raises.
    """
    database = plain_database(db)
    adapters = [adapter for adapter in _bound_to(database) if adapter.capture == "triggers"]
    dialect = dialect_of(database)

    def execute(sql: str, params: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if database.is_closed():
            database.connect(reuse_if_open=True)
        return run_sql(database, dialect, sql, params)

    remove_triggers(execute, dialect)
    try:
        yield
    finally:
        for adapter in adapters:
            adapter.install()


def _bound_to(database: peewee.Database) -> list[PeeweeAdapter]:
    """The indexes declared on models of this database that are bound."""
    return [
        adapter
        for adapter in SemanticIndex.bound()
        if isinstance(adapter, PeeweeAdapter) and adapter.database is database
    ]


@attrs.frozen
class _BoundDatabase:
    """The core that was made for a database.

    It follows that core, to be forgotten when it is closed.
    """

    core: weakref.ref[SemanticCore]
    settings: dict[str, Any]
    database: weakref.ref[peewee.Database]

    def sync(
        self, limit: int | None = None, *, pending: bool = False, progress: Any = None
    ) -> IngestReport:
        """Nothing waits here."""
        return IngestReport()

    def close(self) -> None:
        """The next `init_database` makes another one."""
        database = self.database()
        with _lock:
            if database is not None and _cores.get(database) is self:
                del _cores[database]


def _core_of(database: peewee.Database, same_file: bool, settings: dict[str, Any]) -> SemanticCore:
    kept = _cores.get(database)
    core = kept.core() if kept is not None else None
    wanted = {**settings, **({"same_file": True} if same_file else {})}
    if core is not None and kept is not None:
        if wanted and wanted != kept.settings:
            raise ConfigError(
                "This database has been initialised with other settings.",
                hint="Close that core first, or hand over core=.",
            )
        return core
    if same_file:
        options = {**settings.pop("store_options", {}), "database": database}
        core = SemanticCore.from_config(store="sqlite", store_options=options, **settings)
    else:
        core = SemanticCore.from_config(usually=partial(_usual_place, database), **settings)
    kept = _cores[database] = _BoundDatabase(weakref.ref(core), wanted, weakref.ref(database))
    core.follow(kept)
    return core


def _usual_place(database: peewee.Database) -> dict[str, Any]:
    if not isinstance(database, peewee.SqliteDatabase):
        models = [
            model
            for model, _ in SemanticIndex.declared()
            if PeeweeAdapter.serves(model, database=database)
        ]
        return {
            "path": project_folder(models) / f"{_NO_NAME.sub('_', str(database.database))}{SUFFIX}"
        }
    if is_private(database):
        return {"store": "memory"}
    return {"path": file_of(database) + SUFFIX}
