"""Semantic search for models of Tortoise ORM, on SQLite and on PostgreSQL through asyncpg.

Copy this file into your project. Three lines make a model searchable:

    search = SemanticIndex(["title", "content"])      # in the model
    await init_database()                             # after Tortoise.init() and the tables
    await core.call(lambda: Article.search("..."))    # core: an AsyncSemanticCore

This is how the index stays up to date. `init_database` creates triggers on the tables of your
models. A trigger writes each changed row into a table called the outbox, within the transaction
that changes the row. After the commit, the library reads the outbox, loads the rows and indexes
their text.

The library is synchronous, and Tortoise is not. The adapter therefore has an event loop in a thread
of its own, with its own connection: the `AsyncBridge`. Your loop never waits for the index.

The file is yours from now on: read it, change it.
"""

import asyncio
from functools import wraps
from pathlib import Path
from weakref import WeakKeyDictionary

from tortoise.backends.base.config_generator import expand_db_url
from tortoise.connection import get_connections
from tortoise.models import Model
from tortoise.query_utils import Prefetch
from tortoise.queryset import QuerySet
from tortoise.signals import Signals

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.orm import (
    BaseORMAdapter,
    Column,
    Relation,
    SemanticIndex,  # noqa: F401 - models import it from here
    Through,
    build_table,
    dialect_named,
    may_change_tables,
    may_write,
    refused,
    table_name,
    usual_place,
)
from semantic_core.orm.aio import AfterCommit, AsyncBridge

ENGINES = ("tortoise.backends.sqlite", "tortoise.backends.asyncpg")
"""The engines of Tortoise that this adapter is tested with."""
STATEMENTS = (
    "execute_insert",
    "execute_many",
    "execute_query",
    "execute_query_dict",
    "execute_script",
)
"""What runs statements on a connection. Outside of a transaction they are committed at once."""
SIGNALS = (Signals.post_save, Signals.pre_delete)

_bridges = WeakKeyDictionary()
"""The bridge to the database of each connection."""


class TortoiseAdapter(BaseORMAdapter):
    """Keeps the index of one model up to date, and searches it.

    client: the application's connection, as `get_connections().get("default")` gives it.
    """

    def __init__(self, model, core, declaration, *, client, **options):
        self.client = client
        self.bridge = _bridge_to(client)
        super().__init__(model, core, declaration, **options)

    # --- 1. What the index must know about Tortoise ---------------------------------------------

    @classmethod
    def serves(cls, model, client=None, **options):
        """Whether this adapter indexes the class: it is a model of this connection."""
        if not issubclass(model, Model) or model._meta.abstract:
            return False
        return client is None or model._meta.default_connection == client.connection_name

    @property
    def dialect(self):
        """The SQL that the triggers are written in."""
        return dialect_named(self.client.capabilities.dialect)

    @property
    def placeholder(self):
        """How the driver marks a parameter: asyncpg numbers them, $1, $2 and so on."""
        return "?" if self.dialect == "sqlite" else "$1"

    @property
    def database(self):
        """What identifies the database: models of one connection share an outbox."""
        return self.client

    def inspect(self, model):
        """Describe the table of a model: its columns, its key and the ways to other tables."""
        meta = model._meta
        columns = []
        for name, column in meta.fields_db_projection.items():
            columns.append(Column(name, column, meta.fields_map[name].field_type))
        relations = {}
        for name in meta.fk_fields | meta.o2o_fields:
            field = meta.fields_map[name]
            own = _column(model, field.source_field)
            theirs = _column(field.related_model, field.to_field_instance.model_field_name)
            relations[name] = Relation(field.related_model, own, theirs)
        for name in meta.backward_fk_fields | meta.backward_o2o_fields:
            field = meta.fields_map[name]
            own = _column(model, field.to_field_instance.model_field_name)
            theirs = _column(field.related_model, field.relation_field)
            relations[name] = Relation(field.related_model, own, theirs, many=True)
        for name in meta.m2m_fields:
            field = meta.fields_map[name]
            middle = table_name(field.through, field.through_schema, dialect=self.dialect)
            through = Through(middle, own=field.backward_key, theirs=field.forward_key)
            theirs = field.related_model._meta.db_pk_column
            relations[name] = Relation(field.related_model, meta.db_pk_column, theirs, through)
        name = table_name(meta.db_table, meta.schema, dialect=self.dialect)
        return build_table(name, columns, key=[meta.pk_attr], relations=relations)

    # --- 2. Statements and rows, through the bridge ---------------------------------------------

    def execute(self, sql, params=()):
        """Run one statement on the connection of the bridge."""
        return self.bridge.run(self._fetch(sql, params))

    async def _fetch(self, sql, params):
        connection = get_connections().get(self.client.connection_name)
        _, rows = await connection.execute_query(sql, list(params))
        return [tuple(row) for row in rows]

    def load(self, keys):
        """The rows with these keys, past any manager that hides rows.

        A relation cannot be loaded while a row is read, so all that the declaration reads is loaded
        here, also for several rows.
        """
        return self.bridge.run(self._rows(keys))

    async def _rows(self, keys):
        return await _with_related(QuerySet(self.model), self.prefetched).filter(pk__in=keys)

    def keys_of_query(self, query):
        """The primary keys of a query, for ``search(..., among=...)``, in one query. It runs on the
        connection of the index, so it sees what is committed.

        None for what is no query, which is then read as rows or keys.
        """
        if not isinstance(query, QuerySet):
            return None
        if not issubclass(query.model, self.model):
            raise refused(self, query.model)
        return self.bridge.run(_keys(query))

    def close(self):
        """End the bridge. The next statement begins a new one."""
        self.bridge.close()

    @classmethod
    def usual_core(cls, *, client, usually=None, **options):
        """The index of models that name none, unless the configuration says where it is: beside a
        SQLite file, and for the database of a server in the folder of your project."""

        def place():
            if client.capabilities.dialect == "sqlite":
                return usual_place(database_file=client.filename)
            folder = Path(usually()["path"]).parent
            return usual_place(database_name=client.database, folder=folder)

        return SemanticCore.from_config(usually=place)

    # --- 3. Commits and events ------------------------------------------------------------------

    def on_commit(self, wake):
        """Have `wake` called after each commit, in a thread, while the task that committed waits.

        Tortoise has no event for a commit. So this follows the two ways in which the application's
        connection commits: a statement outside of a transaction, and the end of a transaction.
        """
        committed = AfterCommit(wake)
        for name in STATEMENTS:
            setattr(self.client, name, self._followed(getattr(self.client, name), committed))
        begin = self.client._in_transaction

        def in_transaction():
            return _Followed(begin(), committed)

        self.client._in_transaction = in_transaction

    def _followed(self, run, committed):
        """A method that runs a statement, and afterwards waits for the index if it may have
        written. Before a statement that changes tables, triggers make way."""

        @wraps(run)
        async def statement(query, *values):
            if may_change_tables(query):
                await asyncio.to_thread(self.before_statement, query)
            result = await run(query, *values)
            if may_write(query):
                await committed()
            return result

        return statement

    def connect(self):
        """Listen to saves and deletes of instances, for capture="events" only."""
        for signal in SIGNALS:
            self.model.register_listener(signal, self._on_change)

    def disconnect(self):
        for signal in SIGNALS:
            self.model._listeners[signal][self.model].remove(self._on_change)

    async def _on_change(self, sender, instance, *sent):
        # The connection comes after `created` when a row is saved, and first when it is deleted.
        using = sent[1] if isinstance(sent[0], bool) else sent[0]
        statements = []

        def collect(sql, params):
            statements.append((sql, list(params)))

        self.changed(instance, execute=collect)
        for sql, params in statements:  # within the transaction that writes the row
            await using.execute_query(sql, params)


def _column(model, attribute):
    return model._meta.fields_db_projection[attribute]


async def _keys(query):
    """The primary keys of the rows of a query, on the connection of this loop."""
    query = query._clone()
    query._db = None  # a connection that was named belongs to the loop of the application
    query._fields_for_select = ()  # of `only`
    return await query.values_list(query.model._meta.pk_attr, flat=True)


def _with_related(query, paths):
    """The query with the related rows of these paths, such as "author" and "author.mentor"."""
    first_steps = {}
    for path in paths:
        name, _, further = path.partition(".")
        deeper = first_steps.setdefault(name, [])
        if further:
            deeper.append(further)
    for name, deeper in first_steps.items():
        related = query.model._meta.fields_map[name].related_model
        query = query.prefetch_related(Prefetch(name, _with_related(QuerySet(related), deeper)))
    return query


class _Followed:
    """A transaction; after its end, the index is brought up to date."""

    def __init__(self, transaction, committed):
        self.transaction = transaction
        self.committed = committed

    async def __aenter__(self):
        return await self.transaction.__aenter__()

    async def __aexit__(self, *error):
        await self.transaction.__aexit__(*error)
        await self.committed()


# --- 4. Start-up ----------------------------------------------------------------------------------


def _bridge_to(client):
    """The bridge to the database of this connection, with a connection of its own."""
    if client in _bridges:
        return _bridges[client]
    kind = type(client)
    name = client.connection_name
    settings = get_connections().db_config[name]
    if isinstance(settings, str):
        settings = expand_db_url(settings)
    if settings["engine"] not in ENGINES:
        raise ConfigError(
            f"This adapter does not know the engine {settings['engine']!r} of Tortoise.",
            hint=f"Engines that work: {', '.join(ENGINES)}.",
        )
    if settings["credentials"].get("file_path") == ":memory:":
        raise ConfigError(
            "A SQLite database in memory belongs to one connection, and the index needs another.",
            hint="Use a file, in tests one of a temporary folder.",
        )

    async def opening():
        own = kind(connection_name=name, **settings["credentials"])
        await own.create_connection(with_db=True)
        get_connections().set(name, own)

    async def closing():
        await get_connections().get(name).close()

    _bridges[client] = AsyncBridge(f"semantic-core-{name}", opening=opening, closing=closing)
    return _bridges[client]


async def init_database(core=None, connection="default", **options):
    """Make every model that declares an index searchable. Call it once at start-up, after
    `Tortoise.init()` and when the tables exist.

    core: the `SemanticCore` to use; None creates it from the settings. connection: the name of the
    connection, for an application with several. options: install=False does not touch the database;
    backfill= says when existing rows are indexed.
    """
    client = get_connections().get(connection)
    return await asyncio.to_thread(TortoiseAdapter.bind_all, core, client=client, **options)
