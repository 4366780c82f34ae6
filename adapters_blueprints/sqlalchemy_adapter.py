"""SQLAlchemy 2: copy this file into your project, call `init_database(engine)` once at start-up.

README.md beside the original tells the rest.
"""

from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from uuid import UUID
from weakref import WeakSet, ref

import sqlalchemy
from sqlalchemy import Engine, event, inspect, select, tuple_
from sqlalchemy.orm import Session, joinedload

from semantic_core import SemanticCore
from semantic_core.orm import (
    BaseORMAdapter,
    Relation,
    SemanticIndex,  # noqa: F401 - for models
    Table,
    Through,
    bind_declared,
)
from semantic_core.orm.migrations import make_way

DIALECTS = {"mariadb": "mysql"}
"""Names of SQLAlchemy's that an index knows by another name."""
OURS = ("sqlite", "postgresql", "mysql")
"""The SQL an index can speak."""


class SQLAlchemyAdapter(BaseORMAdapter):
    """Keeps an index of a mapped class. engine: of its database. base: see `serves`."""

    def __init__(self, *given, engine, base=object, **options):
        self.engine = engine
        super().__init__(*given, **options)

    @property
    def database(self):
        return self.engine

    @property
    def dialect(self):
        return _dialect_of(self.engine)

    @classmethod
    def serves(cls, model, base=object, **options):
        """Whether it is a mapped class; with `base`, one that derives from that."""
        if not issubclass(model, base):
            return False
        return getattr(inspect(model, raiseerr=False), "is_mapper", False)

    @classmethod
    def usual_core(cls, *, engine, usually=None, **options):
        """The core of indexes that name none, unless the configuration says where they lie.

        Beside a SQLite file; for a database in memory, in memory; for a server, in the project's
        folder, named after the database.
        """
        name = engine.url.database or ""
        if engine.dialect.name != "sqlite":
            folder = Path(usually()["path"]).parent
            return SemanticCore.from_config(usually={"path": folder / f"{name}.semantic.db"})
        if name in ("", ":memory:") or name.startswith("file:"):
            return SemanticCore.from_config(usually={"store": "memory"})
        return SemanticCore.from_config(usually={"path": Path(f"{name}.semantic.db").absolute()})

    # --- what tables there are ----------------------------------------------------------------

    def inspect(self, model):
        """The table of a mapped class, with the relationships that lead from it."""
        mapper = inspect(model)
        table = mapper.local_table
        names = {}
        for column in table.columns:
            if mapper.c.contains_column(column):
                names[column] = mapper.get_property_by_column(column).key
        key = {}
        for column in table.primary_key:
            kind = column.type.python_type
            key[names[column]] = getattr(kind, "fromisoformat", kind)
        links = {}
        for relationship in mapper.relationships:
            other = relationship.mapper.class_
            if relationship.secondary is None:
                here, there = relationship.local_remote_pairs[0]
                if here.table is table:
                    links[relationship.key] = Relation(other, here.name, there.name)
                continue
            secondary = relationship.secondary
            mine = relationship.parent.local_table is table
            if mine and isinstance(secondary, sqlalchemy.Table):
                here, own = relationship.synchronize_pairs[0]
                there, theirs = relationship.secondary_synchronize_pairs[0]
                between = Through(secondary.fullname, own.name, theirs.name)
                links[relationship.key] = Relation(other, here.name, there.name, between)
        bases = []
        parent = None if mapper.concrete else mapper.inherits
        if parent is not None:
            shared = zip(table.primary_key, parent.local_table.primary_key, strict=False)
            for here, there in shared:
                if here is not there:
                    bases.append(Relation(parent.class_, here.name, there.name))
        columns = {name: column.name for column, name in names.items()}
        part = model.__name__ if mapper.single else ""
        uuids = [column.name for column in names if _holds_uuids(column.type)]
        return Table(table.fullname, key, columns, links, bases, part, uuids)

    # --- reading and writing ------------------------------------------------------------------

    @property
    def in_transaction(self):
        return self._current is not None

    @property
    def _current(self):
        """The connection of a transaction that is open here; None if there is none.

        It is used while there is one, so a pool of a single connection is enough.
        """
        for connection in reversed(_open_connections()):
            if connection.engine.pool is self.engine.pool:
                return connection
        return None

    def execute(self, sql, params=()):
        current = self._current
        block = nullcontext(current) if current is not None else self.engine.begin()
        with block as connection:
            return _run(connection, sql, params)

    @contextmanager
    def atomic(self):
        """One transaction for the statements within; a part of the one that is open already."""
        if self.in_transaction:
            yield
        else:
            with self.engine.begin():
                yield

    @property
    def shared_by_threads(self):
        in_memory = (None, "", ":memory:")
        return self.dialect != "sqlite" or self.engine.url.database not in in_memory

    def load(self, keys):
        """In a session of its own, so rows are detached; the first step of each path is loaded."""
        columns = inspect(self.model).primary_key
        wanted = columns[0] if len(columns) == 1 else tuple_(*columns)
        first_steps = {path.partition(".")[0] for path in self.related}
        along = [joinedload(getattr(self.model, name)) for name in first_steps]
        chosen = select(self.model).where(wanted.in_(keys)).options(*along)
        with Session(self._current or self.engine) as session:
            yield from session.scalars(chosen).unique()

    # --- when something was committed ---------------------------------------------------------

    def on_commit(self, wake):
        @event.listens_for(Session, "after_commit")
        def committed(session):
            session.info[wake] = True

        @event.listens_for(Session, "after_transaction_end")
        def ended(session, transaction):
            if transaction.parent is None and session.info.pop(wake, False):
                wake()

        @event.listens_for(self.engine, "commit")
        def commits(connection):
            """What a migration took away comes back within the migration's own transaction."""
            self.coordinator.install_waiting()

        _listening.add(self)

    # --- capture="events" ---------------------------------------------------------------------

    def connect(self):
        event.listen(Session, "after_flush", self._flushed)

    def disconnect(self):
        event.remove(Session, "after_flush", self._flushed)

    def _flushed(self, session, context):
        rows = []
        for row in (*session.new, *session.dirty, *session.deleted):
            if isinstance(row, self.model):
                rows.append(row)
        mapper = inspect(self.model)

        def execute(sql, params):
            return _run(session.connection({"mapper": mapper}), sql, params)

        self.changed(*rows, execute=execute)


def init_database(engine, core=None, **options):
    """Bind every index that is declared on mapped classes, and install it.

    base: binds those of one declarative base only. install: False touches no database. An index
    whose table is not there yet is installed when it is.
    """
    return bind_declared(SQLAlchemyAdapter, core, engine=engine, **options)


def _holds_uuids(kind):
    """Whether a column of this type holds UUIDs: one of SQLAlchemy, or of the application's own
    that says so by its python_type."""
    try:
        return isinstance(kind, sqlalchemy.Uuid) or kind.python_type is UUID
    except NotImplementedError:
        return False


def _dialect_of(engine):
    return DIALECTS.get(engine.dialect.name, engine.dialect.name)


def _run(connection, sql, params):
    result = connection.exec_driver_sql(sql, tuple(params))
    return result.all() if result.returns_rows else []


# --- which transactions are open, and what migrations do in them ------------------------------

_begun = ContextVar("connections on which this thread, or task, began a transaction", default=())
_listening = WeakSet()
"""An adapter of each engine that is bound."""


def _open_connections():
    """The connections of this thread, or task, that have a transaction open, the oldest first."""
    alive = [reference() for reference in _begun.get()]
    return [each for each in alive if each is not None and each.in_transaction()]


@event.listens_for(Engine, "begin")
def _note_begin(connection):
    _begun.set((*map(ref, _open_connections()), ref(connection)))


@event.listens_for(Engine, "before_cursor_execute")
def _make_way(connection, cursor, statement, parameters, context, executemany):
    """Triggers go before a statement they would break, also in a program that binds no index."""
    first_word = statement.lstrip()[:5].upper()
    dialect = _dialect_of(connection.engine)
    if first_word not in ("ALTER", "DROP ", "RENAM") or dialect not in OURS:
        return
    adapters = [each for each in _listening if each.engine.pool is connection.engine.pool]
    for adapter in adapters:
        adapter.before_statement(statement)

    def execute(sql, params):
        return _run(connection, sql, params)

    if not adapters:
        make_way(statement, execute, dialect)
