"""Semantic search for entities of Pony ORM.

Copy this file into your project. Three lines make an entity searchable:

    search = SemanticIndex(["title", "content"])      # in the entity
    init_database(db)                                 # after db.generate_mapping(...)
    Article.search("how do I file a tax return?")     # wherever you need it

This is how the index stays up to date. `init_database` creates triggers on the tables of your
entities. A trigger writes each changed row into a table called the outbox, within the transaction
that changes the row. After the commit, the library reads the outbox, loads the rows and indexes
their text.

Pony has an identity map: in a `db_session`, a row is one object, with the values that were read
first. The index must see rows as they are now, so outside of a transaction this adapter works in a
session of its own. Objects that a search returns belong to that session, which has ended: the
attributes that were loaded can be read. `Article[row.id]` is the same row in your session.

The file is yours from now on: read it, change it.
"""

from contextlib import contextmanager
from functools import wraps
from pathlib import Path

from pony.orm import db_session, select
from pony.orm.core import EntityMeta, Query, local

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.orm import (
    BaseORMAdapter,
    Column,
    Relation,
    SemanticIndex,  # noqa: F401 - entities import it from here
    Through,
    build_table,
    dialect_named,
    may_change_tables,
    may_write,
    refused,
    usual_place,
)


class PonyAdapter(BaseORMAdapter):
    """Keeps the index of one entity up to date, and searches it.

    db: the `Database` of the entity, with its mapping generated.
    """

    def __init__(self, model, core, declaration, *, db, **options):
        self.db = db
        super().__init__(model, core, declaration, **options)

    # --- 1. What the index must know about Pony -------------------------------------------------

    @classmethod
    def serves(cls, model, db=None, **options):
        """Whether this adapter indexes the class: it is an entity of this database."""
        if not isinstance(model, EntityMeta) or model is model._database_.Entity:
            return False
        return db is None or model._database_ is db

    @property
    def dialect(self):
        """The SQL that the triggers are written in."""
        return dialect_named(self.db.provider.dialect)

    @property
    def database(self):
        """What identifies the database: entities of one database share an outbox."""
        return self.db

    def inspect(self, model):
        """Describe the table of an entity: its columns, its key and the ways to other tables."""
        columns = []
        relations = {}
        for attribute in model._attrs_:
            if attribute.reverse:
                relations[attribute.name] = _relation(attribute)
            else:
                columns.append(Column(attribute.name, attribute.column, attribute.py_type))
        key = [attribute.name for attribute in model._pk_attrs_]
        if not relations.keys().isdisjoint(key):
            raise ConfigError(
                f"The key of {model.__name__} is another entity, which this adapter does not read.",
                hint="Give it a key of its own, such as id = PrimaryKey(int, auto=True).",
            )
        # An entity derived from another one is stored in the table of that one. The name of the
        # class then tells their indexes apart.
        part = "" if model is model._root_ else model.__name__
        return build_table(model._table_, columns, key=key, relations=relations, part=part)

    # --- 2. Statements and rows -----------------------------------------------------------------

    @property
    def in_transaction(self):
        """Whether this thread has written something that is not committed yet."""
        cache = local.db2cache.get(self.db)
        return cache is not None and (cache.in_transaction or cache.modified)

    @contextmanager
    def _session(self):
        """A block in the transaction that is open, else in a session of its own.

        Pony has one session in a thread. It is put aside for the block, and with it the identity
        map, whose objects may be older than their rows.
        """
        if self.in_transaction:
            yield
            return
        outer = {name: getattr(local, name) for name in ("db_session", "db2cache")}
        depth = local.db_context_counter
        local.db_session = None
        local.db2cache = {}
        local.db_context_counter = 0
        try:
            with db_session:
                yield
        finally:
            local.db_session = outer["db_session"]
            local.db2cache = outer["db2cache"]
            local.db_context_counter = depth

    def execute(self, sql, params=()):
        """Run one statement: within the open transaction of this thread, else in one of its own."""
        with self._session():
            values = tuple(params) or None
            cursor = self.db._exec_sql(sql, values, start_transaction=may_write(sql))
            return cursor.fetchall() if cursor.description else []

    def load(self, keys):
        """The rows with these keys, as objects, in one query.

        A generator: the session stays open as long as documents are made of its rows, so that
        related rows can be read.
        """
        names = [attribute.name for attribute in self.model._pk_attrs_]
        # Pony reads long texts when they are asked for, which the end of a session would prevent.
        lazy = [attribute for attribute in self.model._attrs_ if attribute.lazy]
        with self._session():
            if len(names) > 1:  # Pony has no query for several keys of several columns
                for key in keys:
                    yield from self.model.select(**dict(zip(names, key, strict=True)))
                return
            # As a text, which Pony parses itself: the name is an attribute of the entity.
            yield from self.model.select(f"lambda row: row.{names[0]} in keys").prefetch(*lazy)

    def keys_of_query(self, query):
        """The primary keys of a query, for ``search(..., among=...)``, in one query.

        None for what is no query, which is then read as objects or keys: a query that was cut, by
        ``[:10]`` or ``limit(10)``, is a list for Pony.
        """
        if not isinstance(query, Query):
            return None
        entity = query._translator.expr_type
        if not (isinstance(entity, EntityMeta) and issubclass(entity, self.model)):
            raise refused(self, entity)
        names = [f"row.{attribute.name}" for attribute in self.model._pk_attrs_]
        # As a text, which Pony parses itself: the names are attributes of the entity.
        keys = names[0] if len(names) == 1 else f"({', '.join(names)})"
        with db_session:  # a session that is open already goes on
            return list(select(f"{keys} for row in query", {"query": query}, {}))

    def release(self):
        """Close the connection of this thread."""
        self.db.disconnect()

    @property
    def shared_by_threads(self):
        """Whether a worker thread would find the same rows. Not so in SQLite's memory."""
        return self.dialect != "sqlite" or self.db.provider.pool.filename != ":memory:"

    def on_commit(self, wake):
        """Have `wake` called after each commit. Pony has no event for it, so this follows the
        method that commits. It also follows the one that runs statements: triggers have to make way
        before a table changes."""
        provider = self.db.provider
        commit = provider.commit
        execute = provider.execute

        @wraps(commit)
        def commit_and_wake(connection, cache=None):
            commit(connection, cache)
            wake()

        @wraps(execute)
        def make_way_and_execute(cursor, sql, *values, **options):
            if may_change_tables(sql):
                self.before_statement(sql)
            return execute(cursor, sql, *values, **options)

        provider.commit = commit_and_wake
        provider.execute = make_way_and_execute

    @classmethod
    def usual_core(cls, *, db, usually=None, **options):
        """The index of entities that name none, unless the configuration says where it is: beside
        a SQLite file, and for the database of a server in the folder of your project."""

        def place():
            if db.provider.dialect != "SQLite":
                return usual_place(folder=Path(usually()["path"]).parent)
            name = db.provider.pool.filename
            return usual_place() if name == ":memory:" else usual_place(database_file=name)

        return SemanticCore.from_config(usually=place)


def _relation(attribute):
    """The way from the table of this attribute to that of the other entity."""
    reverse = attribute.reverse
    other = reverse.entity
    (own_key,) = attribute.entity._pk_columns_
    (their_key,) = other._pk_columns_
    if attribute.is_collection and reverse.is_collection:
        # The columns of the table in the middle that point here, and those that point there.
        (own,) = attribute.get_m2m_columns(is_reverse=False)
        (theirs,) = reverse.get_m2m_columns(is_reverse=True)
        through = Through(attribute.table, own=own, theirs=theirs)
        return Relation(other, own_key, their_key, through)
    if attribute.column:
        return Relation(other, attribute.column, their_key)
    return Relation(other, own_key, reverse.column)


# --- 3. Start-up ----------------------------------------------------------------------------------


def init_database(db, core=None, **options):
    """Make every entity that declares an index searchable. Call it once at start-up, after
    `db.generate_mapping(create_tables=True)`.

    core: the `SemanticCore` to use; None takes `PonyAdapter.usual_core`. options: install=False
    does not touch the database; backfill= says when existing rows are indexed.
    """
    return PonyAdapter.bind_all(core, db=db, **options)
