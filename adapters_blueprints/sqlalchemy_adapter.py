"""Semantic search for SQLAlchemy models. Written for SQLAlchemy 2, SQLModel and Flask-SQLAlchemy.

Copy this file into your project. Three lines make a model searchable:

    search = SemanticIndex(["title", "content"])      # in the mapped class
    init_database(engine)                             # once at start-up
    Article.search("how do I file a tax return?")     # wherever you need it

This is how the index stays up to date. `init_database` creates triggers on the tables of your
models. A trigger writes each changed row into a table called the outbox, within the transaction
that changes the row. After the commit, the library reads the outbox, loads the rows and indexes
their text.

Why triggers, and not the events of SQLAlchemy? A session sends no event for `session.execute(
update(...))`, for a bulk insert, for a statement of a plain connection or for another program. A
trigger sees all of them. And when a transaction is rolled back, the rows in the outbox are rolled
back with it.

The file is yours from now on: read it, change it. Its parts:

    1. What the index must know about SQLAlchemy  what every adapter has to say
    2. Transactions and threads                   what makes it work within a transaction
    3. Events of a session                        for capture="events" only
    4. Start-up                                   the function you call
    5. Open transactions                          which connection the index has to use
    6. Migrations                                 how triggers make way for them

README.md beside the original explains how to use it.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from uuid import UUID
from weakref import WeakSet, ref

import sqlalchemy
from sqlalchemy import CompoundSelect, Engine, SelectBase, event, inspect, select, tuple_
from sqlalchemy.orm import Query, Session, aliased, joinedload

from semantic_core import SemanticCore
from semantic_core.orm import (
    BaseORMAdapter,
    Column,
    Relation,
    SemanticIndex,  # noqa: F401 - models import it from here
    Through,
    build_table,
    dialect_named,
    may_change_tables,
    refused,
    table_name,
    usual_place,
)
from semantic_core.orm.migrations import make_way

IN_MEMORY = (None, "", ":memory:")
"""What the URL of a SQLite database in memory has in place of a file."""
SUPPORTED = ("sqlite", "postgresql", "mysql", "mariadb")
"""What SQLAlchemy calls the databases that an index can follow."""


class SQLAlchemyAdapter(BaseORMAdapter):
    """Keeps the index of one mapped class up to date, and searches it.

    engine: of the database the class is in. It must be a plain engine, not an async one.
    base: see `serves`.
    """

    def __init__(self, model, core, declaration, *, engine, base=object, **options):
        self.engine = engine
        super().__init__(model, core, declaration, **options)

    # --- 1. What the index must know about SQLAlchemy -------------------------------------------

    @classmethod
    def serves(cls, model, base=object, **options):
        """Whether this adapter indexes the class: it is mapped, and derives from `base`.

        A mapped class does not know its engine. If you have two engines, give the declarative base
        that belongs to each.
        """
        if not issubclass(model, base):
            return False
        return getattr(inspect(model, raiseerr=False), "is_mapper", False)

    @property
    def dialect(self):
        """The SQL that the triggers are written in."""
        return dialect_named(self.engine.dialect.name)

    @property
    def database(self):
        """What identifies the database: models of one engine share an outbox."""
        return self.engine

    def inspect(self, model):
        """Describe the table of a class: its columns, its key and the ways to other tables.

        The triggers are made from this description. Relations matter because a document may contain
        text of related rows ("author.name"): a change there must reach the outbox, too.
        """
        mapper = inspect(model)
        table = mapper.local_table
        columns = {}
        for column in table.columns:
            # A child in its parent's table does not map the columns of its siblings.
            if mapper.c.contains_column(column):
                columns[column] = _column(mapper, column)
        return build_table(
            self._table_name(table),
            columns.values(),
            key=[columns[column].attribute for column in table.primary_key],
            relations=self._relations(mapper),
            bases=self._parents(mapper),
            # In single-table inheritance several classes share a table. The name of the class then
            # tells their indexes apart.
            part=model.__name__ if mapper.single else "",
        )

    def _relations(self, mapper):
        """The relationships that begin at a column of this table, by name."""
        relations = {}
        for relationship in mapper.relationships:
            if relationship.secondary is not None:
                # A relationship of a parent belongs to the table of the parent.
                inherited = relationship.parent.local_table is not mapper.local_table
                if not inherited and isinstance(relationship.secondary, sqlalchemy.Table):
                    relations[relationship.key] = self._many_to_many(relationship)
                continue
            # SQLAlchemy gives the pairs of columns that are equal in both rows. "local" is the side
            # of this class, whichever of the two has the foreign key.
            local, remote = relationship.local_remote_pairs[0]
            if local.table is mapper.local_table:
                other = relationship.mapper.class_
                # Several rows, even if they are joined by another column than the primary key.
                many = True if relationship.uselist else None
                relations[relationship.key] = Relation(other, local.name, remote.name, many=many)
        return relations

    def _many_to_many(self, relationship):
        """Two pairs: from this table to the one in the middle, and from the other table to it."""
        here, own = relationship.synchronize_pairs[0]
        there, theirs = relationship.secondary_synchronize_pairs[0]
        middle = self._table_name(relationship.secondary)
        through = Through(middle, own=own.name, theirs=theirs.name)
        return Relation(relationship.mapper.class_, here.name, there.name, through)

    def _parents(self, mapper):
        """The table of the parent in joined-table inheritance, whose columns belong to a row."""
        if mapper.inherits is None or mapper.concrete:
            return []
        parent = mapper.inherits
        parents = []
        pairs = zip(mapper.local_table.primary_key, parent.local_table.primary_key, strict=False)
        for own, above in pairs:
            # In single-table inheritance both are the same column: there is no second table.
            if own is not above:
                parents.append(Relation(parent.class_, own.name, above.name))
        return parents

    def _table_name(self, table):
        return table_name(table.name, table.schema, dialect=self.dialect)

    def execute(self, sql, params=()):
        """Run one statement: within the open transaction of this thread, else in one of its own.

        Taking part in the open transaction is necessary. A second connection would not see its
        changes, and a pool with a single connection would have none to give.
        """
        connection = self._open_connection
        if connection is not None:
            return _run(connection, sql, params)
        with self.engine.begin() as connection:
            return _run(connection, sql, params)

    def load(self, keys):
        """The rows with these keys, as instances, in one query.

        They are loaded in a session of their own, so they are detached afterwards. If your session
        loaded them, the index would expire, flush or replace objects you are working with.
        """
        primary_key = inspect(self.model).primary_key
        wanted = primary_key[0] if len(primary_key) == 1 else tuple_(*primary_key)
        query = select(self.model).where(wanted.in_(keys))
        # Related rows that the declaration reads are joined, so that no row asks for its own.
        # "author.mentor.name" joins the author; the mentor is loaded when it is read.
        first_steps = {path.partition(".")[0] for path in self.related}
        for name in first_steps:
            query = query.options(joinedload(getattr(self.model, name)))
        with Session(self._open_connection or self.engine) as session:
            # A generator: the session stays open as long as documents are made of its rows.
            yield from session.scalars(query).unique()

    def keys_of_query(self, query):
        """The primary keys of a ``select()``, for ``search(..., among=...)``, in one query.

        None for what is no query, which is then read as rows or keys.
        """
        if isinstance(query, Query):
            query = query.statement
        if not isinstance(query, SelectBase):
            return None
        with Session(self._open_connection or self.engine) as session:
            rows = session.execute(self._select_keys(query)).all()
        return [tuple(row) if len(row) > 1 else row[0] for row in rows]

    def _select_keys(self, query):
        """The same query with the columns of the primary key in place of its own."""
        first = query.selects[0] if isinstance(query, CompoundSelect) else query
        entity = first.column_descriptions[0].get("entity")
        if entity is None or not issubclass(inspect(entity).mapper.class_, self.model):
            raise refused(self, entity or "columns")
        mapper = inspect(entity).mapper
        names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        # Whatever a LIMIT, DISTINCT or UNION is about stays as it is, and is read as a table.
        if first is not query or query._has_row_limiting_clause or query._distinct:
            entity = aliased(mapper.class_, query.subquery())
            return select(*[getattr(entity, name) for name in names])
        keys = [getattr(entity, name) for name in names]
        return query.with_only_columns(*keys, maintain_column_froms=True).order_by(None)

    def on_commit(self, wake):
        """Have `wake` called after each commit. It reads the outbox and indexes what is new."""

        @event.listens_for(Session, "after_commit")
        def session_committed(session):
            # The connection is not back in the pool yet, and `wake` needs one: a full pool would
            # wait for ever. So this only leaves a mark.
            session.info[wake] = True

        @event.listens_for(Session, "after_transaction_end")
        def transaction_ended(session, transaction):
            # The end of a SAVEPOINT is no commit; a transaction without a parent is the outermost.
            if transaction.parent is None and session.info.pop(wake, False):
                wake()

        @event.listens_for(self.engine, "commit")
        def about_to_commit(connection):
            # If a migration ran in this transaction, its triggers come back within it.
            self.before_commit()

        _adapters.add(self)

    # --- 2. Transactions and threads ------------------------------------------------------------

    @property
    def _open_connection(self):
        """The connection of a transaction that this thread has open; None if there is none."""
        for connection in reversed(_open_connections()):
            # Engines that share a pool (`engine.execution_options(...)`) share a database.
            if connection.engine.pool is self.engine.pool:
                return connection
        return None

    @property
    def in_transaction(self):
        """Whether a transaction is open. Nothing is indexed then, for it may be rolled back."""
        return self._open_connection is not None

    @contextmanager
    def atomic(self):
        """Several statements of the index as one transaction: one commit instead of many."""
        if self.in_transaction:
            yield
        else:
            with self.engine.begin():
                yield

    @property
    def shared_by_threads(self):
        """Whether a worker thread would find the same rows. Not so in SQLite's memory."""
        return self.dialect != "sqlite" or self.engine.url.database not in IN_MEMORY

    @classmethod
    def usual_core(cls, *, engine, usually=None, **options):
        """The index of models that name none, unless the configuration says where it is.

        It is stored beside a SQLite file, and for the database of a server in the folder of your
        project. The working folder would not do: a web server and a worker may be started in two
        folders, and must find the same index.
        """

        def place():
            name = engine.url.database
            if engine.dialect.name != "sqlite":
                folder = Path(usually()["path"]).parent
                return usual_place(database_name=name or "", folder=folder)
            if name in IN_MEMORY or name.startswith("file:"):
                return usual_place()
            return usual_place(database_file=name)

        return SemanticCore.from_config(usually=place)

    # --- 3. Events of a session, for capture="events" only --------------------------------------

    def connect(self):
        """Listen to the flushes of sessions, where a database may not have triggers.

        This sees instances that a session adds, changes or deletes, and nothing else.
        """
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
            # On the session's own connection: the outbox is written within its transaction.
            return _run(session.connection({"mapper": mapper}), sql, params)

        self.changed(*rows, execute=execute)


def _column(mapper, column):
    """What the index must know about one column."""
    attribute = mapper.get_property_by_column(column).key
    kind = column.type
    if isinstance(kind, sqlalchemy.Uuid):
        # `Uuid(as_uuid=False)` is a column of UUIDs whose values are texts in Python.
        return Column(attribute, column.name, UUID, parse=None if kind.as_uuid else str)
    try:
        return Column(attribute, column.name, kind.python_type)
    except NotImplementedError:
        # A type of your own that does not say what its values are.
        return Column(attribute, column.name)


def _run(connection, sql, params):
    # exec_driver_sql gives the statement to the driver as it is, colons and all.
    result = connection.exec_driver_sql(sql, tuple(params))
    return result.all() if result.returns_rows else []


# --- 4. Start-up ----------------------------------------------------------------------------------


def init_database(engine, core=None, **options):
    """Make every model that declares an index searchable. Call it once at start-up.

    It creates the outbox and the triggers. A second call binds classes that were defined meanwhile.
    The tables may be created later: an index is installed when its table is there.

    core: the `SemanticCore` to use; None takes `SQLAlchemyAdapter.usual_core`.
    options: base= binds the models of one declarative base only; install=False does not touch the
    database; backfill= says when existing rows are indexed.
    """
    return SQLAlchemyAdapter.bind_all(core, engine=engine, **options)


# --- 5. Open transactions -------------------------------------------------------------------------

_begun = ContextVar("connections on which this thread, or task, began a transaction", default=())
"""Weak references, the oldest first. SQLAlchemy does not tell which connections are in use here,
and the index must use the one whose transaction is open, see `SQLAlchemyAdapter.execute`."""


def _open_connections():
    """The connections that have a transaction open in this thread, or asyncio task."""
    connections = [reference() for reference in _begun.get()]
    return [each for each in connections if each is not None and each.in_transaction()]


@event.listens_for(Engine, "begin")
def _remember_begin(connection):
    still_open = [ref(each) for each in _open_connections()]
    _begun.set((*still_open, ref(connection)))


# --- 6. Migrations --------------------------------------------------------------------------------

_adapters = WeakSet()
"""One adapter of each database that is bound."""


@event.listens_for(Engine, "before_cursor_execute")
def _before_statement(connection, cursor, statement, parameters, context, executemany):
    """Remove triggers before a statement that changes their table.

    On SQLite, Alembic changes a column by making the table again under another name, and SQLite
    renames no table while a trigger of another table reads it. On other databases a trigger might
    read a column that is gone. The triggers come back at the commit, see `before_commit`.

    This listens to every engine, because `alembic upgrade` may import your models without calling
    `init_database`, and must not fail either.
    """
    if not may_change_tables(statement):
        return
    bound = [each for each in _adapters if each.engine.pool is connection.engine.pool]
    for adapter in bound:
        adapter.before_statement(statement)
    name = connection.engine.dialect.name
    if bound or name not in SUPPORTED:
        return

    def execute(sql, params):
        return _run(connection, sql, params)

    make_way(statement, execute, dialect_named(name))
