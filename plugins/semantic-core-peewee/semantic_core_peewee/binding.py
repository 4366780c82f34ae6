"""`init_database`: one call at start-up binds every index that is declared on models of a database.

Tested by tests/orm/test_binding.py.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import peewee

from semantic_core import IngestReport, SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.orm import Backfill, SemanticIndex, project_folder, usual_place
from semantic_core.orm.migrations import remove_triggers
from semantic_core_peewee.adapter import PeeweeAdapter, connected
from semantic_core_peewee.tables import dialect_of, file_of, is_private, plain_database

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

    core: stores the indexes that name none. None makes one, and takes the same at the next call: in
    "<database file>.semantic.db" beside a SQLite file; in "<database name>.semantic.db" beside the
    package of the models otherwise, unless the configuration says where; in memory for a database
    in memory. same_file: store the index in tables of the application's own SQLite file, in its
    transactions; the database must be an APSWDatabase. install: create the outbox and the triggers
    too, which costs a few queries if they exist. backfill: when existing rows are indexed:
    "background" (a thread; the default), "now" or "off".
    settings: of `SemanticCore.from_config` for the core that is made (embedder=...,
    multi_tenant=True). Returns the core.

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
            PeeweeAdapter.bind_all(chosen, install=install, backfill=backfill, database=database)
        return chosen


@contextmanager
def migrating(db: Any) -> Iterator[None]:
    """Within it, a migration may change the tables of this database however it likes: its triggers
    are removed.

    For migrations that bypass Peewee's database object (another connection, another program). What
    `playhouse.migrate` does through the object itself is noticed without it. Afterwards the
    triggers of all bound indexes are created again, and every row and document is compared. Raises
    what the database raises.
    """
    database = plain_database(db)
    adapters = _captured_by_triggers(database)
    if database.is_closed():
        database.connect(reuse_if_open=True)
    remove_triggers(PeeweeAdapter.for_database(database=database).execute, dialect_of(database))
    try:
        yield
    finally:
        for adapter in adapters:
            adapter.install()


def _captured_by_triggers(database: peewee.Database) -> list[PeeweeAdapter]:
    """The bound indexes of this database that have triggers."""
    found = []
    for adapter in SemanticIndex.bound():
        if not isinstance(adapter, PeeweeAdapter) or adapter.database is not database:
            continue
        if adapter.capture == "triggers":
            found.append(adapter)
    return found


# --- the core of a database -----------------------------------------------------------------------


@attrs.frozen
class _BoundDatabase:
    """The core that was made for a database.

    It follows that core, so that it is forgotten when the core is closed.
    """

    core: weakref.ref[SemanticCore]
    settings: dict[str, Any]
    database: weakref.ref[peewee.Database]

    def sync(
        self, limit: int | None = None, *, pending: bool = False, progress: Any = None
    ) -> IngestReport:
        """Nothing is pending here."""
        return IngestReport()

    def close(self) -> None:
        """The next `init_database` makes another core."""
        database = self.database()
        with _lock:
            if database is not None and _cores.get(database) is self:
                del _cores[database]


def _core_of(database: peewee.Database, same_file: bool, settings: dict[str, Any]) -> SemanticCore:
    wanted = {**settings, "same_file": True} if same_file else dict(settings)
    bound = _cores.get(database)
    core = None if bound is None else bound.core()
    if bound is not None and core is not None:
        if wanted and wanted != bound.settings:
            raise ConfigError(
                "This database has been initialised with other settings.",
                hint="Close that core first, or pass core=.",
            )
        return core
    core = _new_core(database, same_file, settings)
    bound = _BoundDatabase(weakref.ref(core), wanted, weakref.ref(database))
    _cores[database] = bound
    core.follow(bound)
    return core


def _new_core(database: peewee.Database, same_file: bool, settings: dict[str, Any]) -> SemanticCore:
    if not same_file:
        return SemanticCore.from_config(usually=partial(_place_of, database), **settings)
    options = {**settings.pop("store_options", {}), "database": database}
    return SemanticCore.from_config(store="sqlite", store_options=options, **settings)


def _place_of(database: peewee.Database) -> dict[str, Any]:
    """Where the index is stored if the configuration does not say."""
    if is_private(database):
        return usual_place()
    if isinstance(database, peewee.SqliteDatabase):
        return usual_place(database_file=file_of(database))
    models = []
    for model, _ in SemanticIndex.declared():
        if PeeweeAdapter.serves(model, database=database):
            models.append(model)
    return usual_place(database_name=str(database.database), folder=project_folder(models))
