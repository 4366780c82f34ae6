"""SQLAlchemy 2: copy this file into your project, and call `init_database(engine)` once at start-up (see README.md)."""

from contextlib import nullcontext
from contextvars import ContextVar
from weakref import ref

import sqlalchemy
from sqlalchemy import Engine, event, inspect, select, tuple_
from sqlalchemy.orm import Session, joinedload

from semantic_core.orm import BaseORMAdapter, Relation, SemanticIndex, Table, Through, bind_declared  # noqa: F401 - for models

_begun = ContextVar("connections on which this thread, or task, began a transaction", default=())


@event.listens_for(Engine, "begin")
def _note(connection):
    _begun.set((*[each for each in _begun.get() if (c := each()) and c.in_transaction()], ref(connection)))


class SQLAlchemyAdapter(BaseORMAdapter):
    def __init__(self, *given, engine, base=object, **options):
        self.engine = engine
        super().__init__(*given, **options)

    database = property(lambda self: self.engine)
    dialect = property(lambda self: {"mariadb": "mysql"}.get(self.engine.dialect.name, self.engine.dialect.name))

    @property
    def _current(self):  # where a transaction is open its connection is used, so a pool of one connection is enough
        open_ones = [c for each in _begun.get() if (c := each()) and c.in_transaction()]
        return next((c for c in reversed(open_ones) if c.engine.pool is self.engine.pool), None)

    in_transaction = property(lambda self: self._current is not None)

    @classmethod
    def serves(cls, model, base=object, **options):
        return issubclass(model, base) and getattr(inspect(model, raiseerr=False), "is_mapper", False)

    def inspect(self, model):
        mapper, table = inspect(model), inspect(model).local_table
        parent = None if mapper.concrete else mapper.inherits
        names = {c: mapper.get_property_by_column(c).key for c in table.columns if mapper.c.contains_column(c)}
        key = {names[c]: getattr(c.type.python_type, "fromisoformat", c.type.python_type) for c in table.primary_key}
        pairs = [(r, *r.local_remote_pairs[0]) for r in mapper.relationships if r.secondary is None]
        links = {r.key: Relation(r.mapper.class_, c.name, there.name) for r, c, there in pairs if c.table is table}
        for r in mapper.relationships:
            if isinstance(r.secondary, sqlalchemy.Table) and r.parent.local_table is table:
                (here, own), (there, theirs) = r.synchronize_pairs[0], r.secondary_synchronize_pairs[0]
                through = Through(r.secondary.fullname, own.name, theirs.name)
                links[r.key] = Relation(r.mapper.class_, here.name, there.name, through)
        joined = zip(table.primary_key, parent.local_table.primary_key if parent else (), strict=False)
        bases = [Relation(parent.class_, c.name, there.name) for c, there in joined if c is not there]
        columns, part = {name: c.name for c, name in names.items()}, model.__name__ if mapper.single else ""
        return Table(table.fullname, key, columns, links, bases, part)

    def execute(self, sql, params=()):
        with nullcontext(self._current) if self.in_transaction else self.engine.begin() as connection:
            result = connection.exec_driver_sql(sql, tuple(params))
            return result.all() if result.returns_rows else []

    def load(self, keys):
        columns, along = inspect(self.model).primary_key, {path.partition(".")[0] for path in self.related}
        chosen = select(self.model).where(columns[0].in_(keys) if len(columns) == 1 else tuple_(*columns).in_(keys))
        with Session(self._current or self.engine) as session:
            yield from session.scalars(chosen.options(*[joinedload(getattr(self.model, name)) for name in along])).unique()

    def on_commit(self, wake):
        event.listen(Session, "after_commit", lambda session: session.info.update({wake: True}))

        @event.listens_for(Session, "after_transaction_end")
        def ended(session, transaction):
            if transaction.parent is None and session.info.pop(wake, False):
                wake()

    def connect(self):
        event.listen(Session, "after_flush", self._flushed)

    def disconnect(self):
        event.remove(Session, "after_flush", self._flushed)

    def _flushed(self, session, context):
        rows = [row for row in (*session.new, *session.dirty, *session.deleted) if isinstance(row, self.model)]
        of = {"mapper": inspect(self.model)}
        self.changed(*rows, execute=lambda sql, params: session.connection(of).exec_driver_sql(sql, tuple(params)) and [])


def init_database(engine, core=None, **options):  # base=Base binds the models of one declarative base only
    return bind_declared(SQLAlchemyAdapter, core, engine=engine, **options)
