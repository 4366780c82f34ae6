"""The adapter of Peewee: SQLite through either library, PostgreSQL,
MySQL and MariaDB, pooled or not.

========================================  ==========================================================
``capture="triggers"`` (default)          sees every write to the table: ``save``, ``insert_many``,
                                          ``Model.update()``, raw SQL, other programs
``capture="events"``                      sees ``save``, ``create`` and ``delete_instance`` of the
                                          model itself; never ``insert_many``, ``bulk_create``,
                                          ``bulk_update``, ``Model.update()``, ``Model.delete()``,
                                          cascades, raw SQL, changes of related rows, other programs
========================================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import peewee

from semantic_core.errors import ConfigError
from semantic_core.orm import Backfill, BaseORMAdapter, Dialect, Strategy, Table
from semantic_core_peewee.commits import commits_of, in_transaction
from semantic_core_peewee.connection import connected, unlogged
from semantic_core_peewee.tables import (
    database_of,
    dialect_of,
    is_private,
    is_there,
    key_fields,
    plain_database,
    table_of,
)

if TYPE_CHECKING:
    from semantic_core import SemanticCore

MOST_AT_ONCE = 1_000
"""Rows whose words are written within the transaction that changes them;
those of more follow right after it.
"""
BUSY_TIMEOUT = 5_000
"""Milliseconds a statement waits for another connection, where the application has said nothing;
as in Python's sqlite3.
"""
MOST_VALUES = 30_000
"""Values one query may name; SQLite takes 32,766, PostgreSQL 65,535."""
_EXCEPTIONS: Any = peewee.__dict__["__exception_wrapper__"]
"""Makes Peewee's errors of the drivers'."""


class PeeweeAdapter(BaseORMAdapter):
    """Keeps an index of a Peewee model. database: the one the model is bound to, if none is given.

    Changes are worked off on the connections of that database object. On SQLite with
    ``sync="background"``, its transactions begin IMMEDIATE unless a lock_type was given. Raises
    ConfigError for a database that cannot be followed.
    """

    def __init__(
        self, model: Any, core: SemanticCore, *args: Any, database: Any = None, **options: Any
    ) -> None:
        self._database = plain_database(database_of(model) if database is None else database)
        self._dialect = dialect_of(self._database)
        self._tables: dict[type, Table] = {}
        self.same_transaction = getattr(core.store, "database", None) is self._database
        super().__init__(model, core, *args, **options)
        if self.strategy == "background" and self._dialect == "sqlite":
            self._share_with_a_worker()

    @property
    def dialect(self) -> Dialect:
        """Of the database."""
        return self._dialect

    @property
    def database(self) -> Hashable:
        """The Peewee database object itself."""
        database: Hashable = self._database
        return database

    @classmethod
    def serves(cls, model: Any, *, database: Any = None, **options: Any) -> bool:
        """Whether it is a Peewee model bound to this database (None: to any).

        A base of others is if it has a table.
        """
        if (
            not isinstance(model, type)
            or not issubclass(model, peewee.Model)
            or model is peewee.Model
        ):
            return False
        bound = database_of(model)
        if bound is None or (database is not None and bound is not plain_database(database)):
            return False
        if not type.__subclasses__(model):
            return True
        with connected(plain_database(bound)):
            return is_there(plain_database(bound), model)

    def inspect(self, model: Any) -> Table:
        """See `BaseORMAdapter`."""
        if model not in self._tables:
            self._tables[model] = table_of(model, self._dialect)
        return self._tables[model]

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """See `BaseORMAdapter`."""
        with self.connected():
            return run_sql(self._database, self._dialect, sql, params)

    def load(self, keys: Sequence[Any]) -> Iterable[Any]:
        """See `BaseORMAdapter`.

        Not through ``Model.select``, which an application may have narrowed.
        """
        size = MOST_VALUES // len(self.table.key)
        with self.connected():
            for start in range(0, len(keys), size):
                query = self._query(keys[start : start + size])
                with unlogged():
                    rows = query.execute(self._database)
                yield from rows

    def on_commit(self, wake: Callable[[], None]) -> None:
        """See `BaseORMAdapter`."""
        commits_of(self._database).after(wake)
        commits_of(self._database).ddl(self.before_statement)
        if self.same_transaction:
            commits_of(self._database).before(self._write_words)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread's connection has a transaction open, begun by Peewee or by hand."""
        return in_transaction(self._database)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """See `BaseORMAdapter`. Within a transaction of the application, it is a part of that."""
        with self.connected():
            if in_transaction(self._database):
                yield
            else:
                with self._database.atomic():
                    yield

    @property
    def shared_by_threads(self) -> bool:
        """See `BaseORMAdapter`."""
        return not is_private(self._database)

    def install(self, *, backfill: Backfill | None = None) -> bool:
        """See `BaseORMAdapter`. Raises ConfigError while the model has no table."""
        with self.connected(), unlogged():
            if not is_there(self._database, self.model):
                raise ConfigError(
                    f"{self.model.__name__} has no table {self.table.name!r} yet.",
                    hint=(
                        f"Create it first: db.create_tables([{self.model.__name__}]), then "
                        "init_database(db)."
                    ),
                )
            if self._dialect == "sqlite":
                _wait_for_others(self._database)
            return super().install(backfill=backfill)

    def connect(self) -> None:
        """Wrap ``save`` and ``delete_instance`` of the model."""
        saved = self.model.save  # type: ignore[attr-defined]
        deleted = self.model.delete_instance  # type: ignore[attr-defined]

        @wraps(saved)
        def save(instance: Any, *args: Any, **options: Any) -> Any:
            if type(instance) is not self.model:
                return saved(instance, *args, **options)
            with self._database.atomic():
                answer = saved(instance, *args, **options)
                self.changed(instance)
            return answer

        @wraps(deleted)
        def delete_instance(instance: Any, *args: Any, **options: Any) -> Any:
            if type(instance) is not self.model:
                return deleted(instance, *args, **options)
            with self._database.atomic():
                self.changed(instance)
                return deleted(instance, *args, **options)

        self._wrapped = {"save": save, "delete_instance": delete_instance}
        for name, wrapper in self._wrapped.items():
            setattr(self.model, name, wrapper)

    def disconnect(self) -> None:
        """Take the wrappers off, as far as nobody has wrapped them in turn."""
        for name, wrapper in self._wrapped.items():
            if self.model.__dict__.get(name) is wrapper:
                setattr(self.model, name, wrapper.__wrapped__)

    def connected(self) -> AbstractContextManager[Any]:
        """See `BaseORMAdapter`. A connection that is open already is used, and stays open."""
        return connected(self._database)

    def release(self) -> None:
        """Close this thread's connection, or give it back to its pool."""
        if (
            not self._database.is_closed()
            and not in_transaction(self._database)
            and not is_private(self._database)
        ):
            self._database.close()

    def _share_with_a_worker(self) -> None:
        """Have transactions begin IMMEDIATE, if nothing else was asked for.

        One that reads first and writes later is refused by SQLite when another connection has
        written in between; that must not happen to an application because of its index.
        """
        if is_private(self._database):
            raise ConfigError(
                f"{self} is in memory, where another thread finds another database.",
                hint='Use sync="inline" or "manual".',
            )
        if self._database._lock_type is None:
            self._database._lock_type = "immediate"

    def _usual_strategy(self) -> Strategy:
        return "inline" if is_private(self._database) else super()._usual_strategy()

    def _write_words(self) -> None:
        self.coordinator.write_words(MOST_AT_ONCE)

    def _query(self, keys: Sequence[Any]) -> Any:
        sources: dict[str, Any] = {"": self.model}
        joins = []
        for path in self.related:
            parent, _, name = path.rpartition(".")
            source = sources[parent]
            field = getattr(source, name)
            there = sources[path] = field.rel_model.alias()
            joins.append((source, there, field == getattr(there, field.rel_field.name), name))
        query = peewee.ModelSelect(self.model, [*sources.values()])
        for source, there, condition, name in joins:
            query = query.switch(source).join(
                there, peewee.JOIN.LEFT_OUTER, on=condition, attr=name
            )
        return query.where(self._is_one_of(keys))

    def _is_one_of(self, keys: Sequence[Any]) -> Any:
        fields = key_fields(self.model)
        if len(fields) == 1:
            return fields[0].in_(list(keys))
        rows = [
            tuple(field.db_value(part) for field, part in zip(fields, key, strict=True))
            for key in keys
        ]
        listed = (
            peewee.ValuesList(rows)
            if self._dialect == "sqlite"
            else peewee.EnclosedNodeList(
                [
                    peewee.EnclosedNodeList([peewee.Value(part, unpack=False) for part in row])
                    for row in rows
                ]
            )
        )
        return peewee.Expression(peewee.EnclosedNodeList(fields), peewee.OP.IN, listed)


def _wait_for_others(database: Any) -> None:
    """Have writes wait for those of a worker's connection, where they would fail at once."""
    if not is_private(database) and database.execute_sql("PRAGMA busy_timeout").fetchone()[0] == 0:
        database.pragma("busy_timeout", BUSY_TIMEOUT, permanent=True)


def run_sql(
    database: Any, dialect: Dialect, sql: str, params: Sequence[Any] = ()
) -> Sequence[Sequence[Any]]:
    """Run one statement on a connected database and give its rows."""
    if params:
        with unlogged():
            cursor = database.execute_sql(sql, tuple(params))
    else:
        with _EXCEPTIONS:  # without parameters no driver reads a percent sign as a mark
            cursor = database.cursor()
            cursor.execute(sql)
    with _EXCEPTIONS:
        if dialect != "sqlite" and cursor.description is None:
            return []
        return cursor.fetchall()  # type: ignore[no-any-return]
