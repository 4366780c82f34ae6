"""`PeeweeAdapter`: the index of a Peewee model, on SQLite (through either library), PostgreSQL,
MySQL and MariaDB, with or without a pool.

========================================  ==========================================================
``capture="triggers"`` (default)          sees every write to the table: ``save``, ``insert_many``,
                                          ``Model.update()``, raw SQL, other programs
``capture="events"``                      sees ``save``, ``create`` and ``delete_instance`` of the
                                          model itself; never ``insert_many``, ``bulk_create``,
                                          ``bulk_update``, ``Model.update()``, ``Model.delete()``,
                                          cascades, raw SQL, changes of related rows, other programs
========================================  ==========================================================

Tested by tests/orm/test_kit.py, tests/orm/test_models.py and tests/orm/test_connections.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import peewee

from semantic_core.errors import ConfigError
from semantic_core.orm import (
    Backfill,
    BaseORMAdapter,
    Declaration,
    Dialect,
    Strategy,
    Table,
    refused,
)
from semantic_core_peewee.commits import commits_of, in_transaction
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
"""Rows whose text is indexed within the transaction that changes them; those of more rows follow
right after the commit.
"""
BUSY_TIMEOUT = 5_000
"""Milliseconds a statement waits for another connection, where the application sets nothing; the
default of Python's sqlite3.
"""
MOST_VALUES = 30_000
"""Values one query may contain; SQLite allows 32,766, PostgreSQL 65,535."""
_EXCEPTIONS: Any = peewee.__dict__["__exception_wrapper__"]
"""Turns errors of the drivers into Peewee's."""
_statements = logging.getLogger("semantic_core.sql")
_of_thread = threading.local()


class PeeweeAdapter(BaseORMAdapter):
    """Keeps the index of a Peewee model up to date, and searches it.

    database: None takes the one the model is bound to. Pending changes are processed on connections
    of that database object. On SQLite with ``sync="background"``, its transactions begin IMMEDIATE
    unless the application has set a lock_type. Raises ConfigError for a database that cannot be
    followed.
    """

    def __init__(
        self,
        model: Any,
        core: SemanticCore,
        declaration: Declaration,
        *,
        database: Any = None,
        **options: Any,
    ) -> None:
        self._database = plain_database(database_of(model) if database is None else database)
        self._dialect = dialect_of(self._database)
        self._tables: dict[type, Table] = {}
        store = getattr(core, "store", None)
        self.same_transaction = getattr(store, "database", None) is self._database
        super().__init__(model, core, declaration, **options)
        if self.strategy == "background" and self._dialect == "sqlite":
            self._begin_immediate()

    # --- what the index must know about Peewee ----------------------------------------------------

    @classmethod
    def serves(cls, model: Any, *, database: Any = None, **options: Any) -> bool:
        """Whether it is a Peewee model bound to this database; None asks for any database.

        A model that others derive from counts only if it has a table.
        """
        if not isinstance(model, type) or not issubclass(model, peewee.Model):
            return False
        bound = database_of(model)
        if model is peewee.Model or bound is None:
            return False
        if database is not None and bound is not plain_database(database):
            return False
        if not type.__subclasses__(model):
            return True
        with connected(plain_database(bound)):
            return is_there(plain_database(bound), model)

    @property
    def dialect(self) -> Dialect:
        """The SQL dialect of the database."""
        return self._dialect

    @property
    def database(self) -> Hashable:
        """The Peewee database object itself."""
        database: Hashable = self._database
        return database

    def inspect(self, model: Any) -> Table:
        """The table of a model, which is described once."""
        if model not in self._tables:
            self._tables[model] = table_of(model, self._dialect)
        return self._tables[model]

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement on this thread's connection, and return its rows."""
        with self.connected():
            return run_sql(self._database, self._dialect, sql, params)

    def load(self, keys: Sequence[Any]) -> Iterable[Any]:
        """The rows with these keys, joined with the related rows that the declaration reads.

        ``Model.select`` is not used, because an application may have narrowed it.
        """
        size = MOST_VALUES // len(self.table.key)
        with self.connected():
            for start in range(0, len(keys), size):
                query = self._query(keys[start : start + size])
                with unlogged():
                    rows = query.execute(self._database)
                yield from rows

    def _query(self, keys: Sequence[Any]) -> Any:
        sources: dict[str, Any] = {"": self.model}
        joins = []
        for path in self.related:
            parent, _, name = path.rpartition(".")
            source = sources[parent]
            field = getattr(source, name)
            other = field.rel_model.alias()
            sources[path] = other
            condition = field == getattr(other, field.rel_field.name)
            joins.append((source, other, condition, name))
        query = peewee.ModelSelect(self.model, list(sources.values()))
        for source, other, condition, name in joins:
            query = query.switch(source)
            query = query.join(other, peewee.JOIN.LEFT_OUTER, on=condition, attr=name)
        return query.where(self._is_one_of(keys))

    def _is_one_of(self, keys: Sequence[Any]) -> Any:
        fields = key_fields(self.model)
        if len(fields) == 1:
            return fields[0].in_(list(keys))
        rows = []
        for key in keys:
            parts = zip(fields, key, strict=True)
            rows.append(tuple(field.db_value(part) for field, part in parts))
        return peewee.Expression(peewee.EnclosedNodeList(fields), peewee.OP.IN, self._listed(rows))

    def _listed(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """A list of composite keys, as the right side of IN."""
        if self._dialect == "sqlite":
            return peewee.ValuesList(rows)
        listed = []
        for row in rows:
            values = [peewee.Value(part, unpack=False) for part in row]
            listed.append(peewee.EnclosedNodeList(values))
        return peewee.EnclosedNodeList(listed)

    def keys_of_query(self, query: Any) -> Iterable[Any] | None:
        """The primary keys of a query, in one statement on this thread's connection."""
        if not isinstance(query, peewee.SelectBase):
            return None
        if isinstance(query, peewee.ModelSelect) and not issubclass(query.model, self.model):
            raise refused(self, query.model)
        keys = self._select_keys(query)
        fields = key_fields(self.model)
        with self.connected():
            # What peewee does with each row takes longer than the database.
            rows = self._database.execute(keys.tuples()).fetchall()
        if len(fields) > 1:
            return [tuple(map(_python_value, fields, row)) for row in rows]
        if _is_plain(fields[0]):
            return [key for (key,) in rows]
        return [fields[0].python_value(key) for (key,) in rows]

    def _select_keys(self, query: Any) -> Any:
        """The same query with the columns of the key in place of its own."""
        fields = key_fields(self.model)
        is_model_select = isinstance(query, peewee.ModelSelect)
        is_cut = query._limit is not None or query._offset is not None
        if is_model_select and not (is_cut or query._distinct):
            return query.select(*fields).order_by()
        # What LIMIT, DISTINCT and UNION are about stays as it is, and the keys are read of that.
        inner = query.alias("among")
        columns = [getattr(inner.c, field.column_name) for field in fields]
        return peewee.Select([inner], columns).bind(self._database)

    def on_commit(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after each commit of the database object that may have written."""
        commits = commits_of(self._database)
        commits.after(wake)
        commits.ddl(self.before_statement)
        if self.same_transaction:
            commits.before(self._index_text)

    def _index_text(self) -> None:
        self.coordinator.index_text(MOST_AT_ONCE)

    # --- connections, transactions, threads -------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        """Whether this thread's connection has a transaction open, begun by Peewee or by SQL."""
        return in_transaction(self._database)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """The statements within are one transaction, or part of the one that is open already."""
        with self.connected():
            if in_transaction(self._database):
                yield
            else:
                with self._database.atomic():
                    yield

    @property
    def shared_by_threads(self) -> bool:
        """Whether another thread finds the same rows; not so in a database in memory."""
        return not is_private(self._database)

    def connected(self) -> AbstractContextManager[Any]:
        """A block in which this thread has a connection; one that is open is used and left open."""
        return connected(self._database)

    def release(self) -> None:
        """Close this thread's connection, or return it to its pool."""
        database = self._database
        if database.is_closed() or in_transaction(database) or is_private(database):
            return
        database.close()

    def install(self, *, backfill: Backfill | None = None) -> bool:
        """See `BaseORMAdapter.install`. Raises ConfigError while the model has no table."""
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

    def _usual_strategy(self) -> Strategy:
        return "inline" if is_private(self._database) else super()._usual_strategy()

    def _begin_immediate(self) -> None:
        """Have transactions begin IMMEDIATE, unless the application has chosen a lock type.

        SQLite refuses the write of a transaction that began with a read if another connection, such
        as the worker's, has written since. That must not happen to an application because of its
        index.
        """
        if is_private(self._database):
            raise ConfigError(
                f"{self} is in memory, where another thread finds another database.",
                hint='Use sync="inline" or "manual".',
            )
        if self._database._lock_type is None:
            self._database._lock_type = "immediate"

    # --- capture="events" -------------------------------------------------------------------------

    def connect(self) -> None:
        """Wrap ``save`` and ``delete_instance`` of the model."""
        saved = self.model.save  # type: ignore[attr-defined]
        deleted = self.model.delete_instance  # type: ignore[attr-defined]

        @wraps(saved)
        def save(instance: Any, *args: Any, **options: Any) -> Any:
            if type(instance) is not self.model:  # of a model that derives from it
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
        """Remove the wrappers, unless somebody has wrapped them in turn."""
        for name, wrapper in self._wrapped.items():
            if self.model.__dict__.get(name) is wrapper:
                setattr(self.model, name, wrapper.__wrapped__)


def _wait_for_others(database: Any) -> None:
    """Have writes wait for a worker's connection, where they would fail at once."""
    if is_private(database):
        return
    timeout = database.execute_sql("PRAGMA busy_timeout").fetchone()[0]
    if timeout == 0:
        database.pragma("busy_timeout", BUSY_TIMEOUT, permanent=True)


# --- the application's connection, as the index uses it -------------------------------------------


def run_sql(
    database: Any, dialect: Dialect, sql: str, params: Sequence[Any] = ()
) -> Sequence[Sequence[Any]]:
    """Run one statement on a connected database, and return its rows; [] where it has none."""
    if params:
        with unlogged():
            cursor = database.execute_sql(sql, tuple(params))
    else:
        with _EXCEPTIONS:  # without parameters no driver takes a percent sign for a placeholder
            cursor = database.cursor()
            cursor.execute(sql)
    with _EXCEPTIONS:
        if dialect != "sqlite" and cursor.description is None:
            return []
        return cursor.fetchall()  # type: ignore[no-any-return]


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


def _is_plain(field: peewee.Field) -> bool:
    """Whether the database gives the values of this field as Python has them."""
    kind = type(field)
    is_number = kind.adapt is peewee.IntegerField.adapt
    return is_number and kind.python_value is peewee.Field.python_value


def _python_value(field: Any, value: Any) -> Any:
    return field.python_value(value)
