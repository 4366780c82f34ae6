"""Semantic search for Django models. Written for Django 5.2; copy this file into your project.

Put it beside manage.py. Three lines make a model searchable:

    search = SemanticIndex(["title", "content"])      # in the model class
    keep_indexes()                                    # in AppConfig.ready()
    Article.search("how do I file a tax return?")     # wherever you need it

This is how the index stays up to date. `migrate` creates triggers on the tables of your models. A
trigger writes each changed row into a table called the outbox, within the transaction that changes
the row. After the commit, the library reads the outbox, loads the rows and indexes their text.

Why triggers, and not the signals of Django? Django sends no signal for `QuerySet.update()`,
`bulk_create()`, raw SQL or another program. A trigger sees all of them. And when a transaction is
rolled back, the rows in the outbox are rolled back with it.

The file is yours from now on: read it, change it. Its parts:

    1. What the index must know about Django      what every adapter has to say
    2. Connections, transactions, test runs       what makes it work in threads and in tests
    3. Commits                                    when there may be something to index
    4. Signals                                    for capture="events" only
    5. Start-up and migrations                    the functions you call
    6. Test databases                             why tests never touch the real index

README.md beside the original explains how to use it.
"""

from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.core import mail
from django.db import DEFAULT_DB_ALIAS, connections, models, router, transaction
from django.db.backends.signals import connection_created
from django.db.models.signals import post_delete, post_migrate, post_save, pre_migrate

from semantic_core import SemanticCore
from semantic_core.orm import (
    BaseORMAdapter,
    Column,
    CorePerDatabase,
    Relation,
    SemanticIndex,  # noqa: F401 - models import it from here
    Through,
    build_table,
    dialect_named,
    may_write,
    refused,
    table_name,
)
from semantic_core.orm.migrations import remove_triggers


class DjangoAdapter(BaseORMAdapter):
    """Keeps the index of one Django model up to date, and searches it.

    using: the alias of the database the model is in.
    """

    placeholder = "%s"  # Django marks parameters so, on every database.
    install_step = "run manage.py migrate"  # What error messages advise.

    def __init__(self, model, core, declaration, *, using=DEFAULT_DB_ALIAS, **options):
        self.using = using
        super().__init__(model, core, declaration, **options)

    # --- 1. What the index must know about Django ---------------------------------------------

    @classmethod
    def serves(cls, model, using=DEFAULT_DB_ALIAS, **options):
        """Whether this adapter indexes the model.

        An abstract model has no table. A proxy shares the table of its model, and is found through
        the index of that model. The router says which database the other models are in.
        """
        if model not in apps.get_models() or model._meta.proxy:
            return False
        return router.db_for_write(model) == using

    @property
    def dialect(self):
        """The SQL that the triggers are written in."""
        return dialect_named(connections[self.using].vendor)

    @property
    def database(self):
        """What identifies the database: models of one database share an outbox.

        The alias alone would not do, for a test run uses another database under the same alias.
        """
        return self.using, _database_name(self.using)

    def inspect(self, model):
        """Describe the table of a model: its columns, its key and the ways to other tables.

        The triggers are made from this description. Relations matter because a document may contain
        text of related rows ("author.name"): a change there must reach the outbox, too.
        """
        # A proxy has no fields of its own: its concrete model has them.
        meta = model._meta.concrete_model._meta
        fields = meta.local_concrete_fields
        return build_table(
            self._table_name(meta.db_table),
            [_column(field) for field in fields],
            key=[field.attname for field in meta.pk_fields],
            relations={**self._fields_that_lead_away(meta), **self._fields_that_lead_here(meta)},
            bases=self._parents(meta),
        )

    def _fields_that_lead_away(self, meta):
        """Foreign keys and many-to-many fields of this model, by name."""
        relations = {}
        for field in meta.local_concrete_fields:
            if field.is_relation:
                relations[field.name] = self._foreign_key(field)
        for field in meta.local_many_to_many:
            # Other packages have fields of their own kind here (tags, for instance), which have no
            # table in the middle that could be followed.
            if isinstance(field, models.ManyToManyField):
                relations[field.name] = self._many_to_many(field)
        return relations

    def _fields_that_lead_here(self, meta):
        """The same fields of other models, by the name they have on this side ("article_set")."""
        relations = {}
        for related in meta.related_objects:
            field = related.field
            name = related.get_accessor_name()
            if isinstance(field, models.ManyToManyField):
                # Django lists what leads to a parent here as well; it is listed with the parent.
                if related.model._meta.concrete_model is meta.model:
                    relations[name] = self._many_to_many(field).reversed(field.model)
            elif field.concrete and field.target_field in meta.local_concrete_fields:
                relations[name] = self._foreign_key(field).reversed(field.model)
        return relations

    def _parents(self, meta):
        """The tables of the parents in multi-table inheritance, whose columns belong to a row."""
        parents = []
        for parent, link in meta.parents.items():
            if link in meta.local_concrete_fields:
                parents.append(Relation(parent, link.column, link.target_field.column))
        return parents

    def _foreign_key(self, field):
        return Relation(field.related_model, field.column, field.target_field.column)

    def _many_to_many(self, field):
        own_key = field.model._meta.get_field(field.m2m_target_field_name())
        other_key = field.related_model._meta.get_field(field.m2m_reverse_target_field_name())
        through = Through(
            self._table_name(field.m2m_db_table()),
            own=field.m2m_column_name(),
            theirs=field.m2m_reverse_name(),
        )
        return Relation(field.related_model, own_key.column, other_key.column, through)

    def _table_name(self, name):
        return table_name(name, dialect=self.dialect)

    def execute(self, sql, params=()):
        """Run one statement on the connection that this thread has.

        It is the connection of the application on purpose: within a transaction the statement takes
        part in it, and is rolled back with it.
        """
        connection = connections[self.using]
        with _not_in_query_log(connection), connection.cursor() as cursor:
            # With None Django leaves percent signs in the statement alone.
            cursor.execute(sql, list(params) or None)
            if cursor.description is None:
                return []
            return cursor.fetchall()

    def load(self, keys):
        """The rows with these keys, as instances, in one query.

        The query set is made here because `Model.objects` may be a manager that hides rows, such as
        drafts. What belongs in the index is said by the declaration (`condition=`, `soft_delete=`).
        """
        rows = models.QuerySet(self.model, using=self.using).filter(pk__in=keys)
        # Related rows that the declaration reads are joined, so that no row asks for its own.
        paths = [path.replace(".", "__") for path in self.related]
        if paths:
            rows = rows.select_related(*paths)
        with _not_in_query_log(connections[self.using]):
            return list(rows)

    def keys_of_query(self, query):
        """The primary keys of a query set, for ``search(..., among=...)``, in one query.

        None for what is no query set, which is then read as rows or keys.
        """
        if isinstance(query, models.Manager):
            query = query.all()
        if not isinstance(query, models.QuerySet) or query._fields is not None:
            return None  # `values_list("pk", flat=True)` gives keys already
        concrete = query.model._meta.concrete_model
        if not issubclass(concrete, self.model._meta.concrete_model):
            raise refused(self, query.model)
        # The order decides which rows a slice has, and which one of several is distinct.
        if not query.query.is_sliced and not query.query.distinct_fields:
            query = query.order_by()
        return list(query.values_list("pk", flat=True))

    def on_commit(self, wake):
        """Have `wake` called after each commit. It reads the outbox and indexes what is new."""
        _CommitListener(self, wake).start()

    # --- 2. Connections, transactions, test runs ------------------------------------------------

    @property
    def in_transaction(self):
        """Whether a transaction is open. Nothing is indexed then, for it may be rolled back.

        Django's TestCase wraps each test in a transaction that is never committed. That one does
        not count, otherwise nothing would ever be indexed in a test.
        """
        connection = connections[self.using]
        if connection.atomic_blocks:
            return not all(block._from_testcase for block in connection.atomic_blocks)
        return not connection.get_autocommit()

    @contextmanager
    def atomic(self):
        """Several statements of the index as one transaction: one commit instead of many."""
        connection = connections[self.using]
        with _not_in_query_log(connection), transaction.atomic(using=self.using):
            yield

    @property
    def shared_by_threads(self):
        """Whether a worker thread would find the same rows. Not so in SQLite's memory."""
        connection = connections[self.using]
        return connection.vendor != "sqlite" or not connection.is_in_memory_db()

    def release(self):
        """Close the connection of a worker thread that has nothing to do."""
        connections[self.using].close()

    @property
    def core(self):
        """The index of the application; during a test run one in memory (part 6)."""
        if self.using not in connections:  # an alias that was removed while the process runs
            return self._core
        return _cores.core_for(self._core, self.using, _database_name(self.using))

    @core.setter
    def core(self, core):
        self._core = core
        _cores.add(core, self.using, _database_name(self.using))

    @classmethod
    def usual_core(cls, *, using=DEFAULT_DB_ALIAS, usually=None, **options):
        """The index of models that name none, unless the configuration says where it is.

        It is a file in BASE_DIR. The working folder would not do: a web server, a worker and
        manage.py may be started in three folders, and must all find the same index.
        """
        if _is_test_run(using):
            with SemanticCore.from_config(store="memory") as core:
                return _core_in_memory(core)
        folder = Path(getattr(settings, "BASE_DIR", "")).absolute()
        return SemanticCore.from_config(usually={"path": str(folder / "semantic-core.db")})

    # --- 4. Signals, for capture="events" only --------------------------------------------------

    def connect(self):
        """Listen to Django's signals, where a database may not have triggers.

        This sees `save()` and `delete()` of the model, and nothing else.
        """
        post_save.connect(self._row_changed)
        post_delete.connect(self._row_changed)

    def disconnect(self):
        post_save.disconnect(self._row_changed)
        post_delete.disconnect(self._row_changed)

    def _row_changed(self, instance, using, **sent):
        # Connected without a sender, because a proxy of the model sends its own class.
        if using == self.using and isinstance(instance, self.model):
            self.changed(instance)


def _column(field):
    """What the index must know about one field.

    UUIDs are named because they have several spellings, of which the index uses one.
    """
    target = field
    while target.is_relation:  # the value of a foreign key has the type of what it points at
        target = target.target_field
    python_type = UUID if isinstance(target, models.UUIDField) else object
    return Column(field.attname, field.column, python_type, parse=field.to_python)


def _database_name(using):
    return str(connections[using].settings_dict["NAME"])


@contextmanager
def _not_in_query_log(connection):
    """Leave the queries of the index out of `connection.queries`.

    `assertNumQueries` and debug pages then count the queries of the application, as before.
    """
    before = len(connection.queries_log)
    try:
        yield
    finally:
        while len(connection.queries_log) > before:
            connection.queries_log.pop()


# --- 3. Commits -----------------------------------------------------------------------------------


class _CommitListener:
    """Calls `wake` after the commits of one database.

    Django has no signal for "committed", only `transaction.on_commit()`, which must be called
    within each transaction. So every statement is watched: one that may have written asks for the
    call after its transaction.
    """

    def __init__(self, adapter, wake):
        self.adapter = adapter
        self.using = adapter.using
        self.wake = wake
        # A test run changes the database behind the alias. It has a listener of its own.
        self.database = adapter.database

    def start(self):
        """Watch this thread's connection, and every connection that is opened from now on."""
        # weak=False: nobody else holds this object, and a weak reference would be gone at once.
        connection_created.connect(self.connection_opened, weak=False)
        post_save.connect(self.row_saved, weak=False)
        self.connection_opened(connections[self.using])

    def connection_opened(self, connection, **sent):
        """Have every statement of a connection pass through `run_statement`."""
        if connection.alias != self.using:
            return
        if self.run_statement not in connection.execute_wrappers:
            connection.execute_wrappers.append(self.run_statement)

    def run_statement(self, execute, sql, params, many, context):
        """Run a statement of the application. See "Database instrumentation" in Django's manual."""
        connection = context["connection"]
        statement = str(sql)
        if self.adapter.database == self.database:
            # SQLite refuses to rename a table that a trigger reads. So triggers are removed before
            # such a statement, and come back with the commit.
            self.adapter.before_statement(statement)
        result = execute(sql, params, many, context)
        # Outside a transaction, INSERT ... RETURNING is not finished until its row is read, which
        # happens after this method. `row_saved` is called later, and asks then.
        finished = connection.in_atomic_block or "RETURNING" not in statement.upper()
        if finished and may_write(statement):
            self.wake_after_commit(connection)
        return result

    def row_saved(self, using, **sent):
        if using == self.using:
            self.wake_after_commit(connections[using])

    def wake_after_commit(self, connection):
        """Ask Django to call `wake` after the transaction; at once if none is open."""
        if self.adapter.database != self.database or self.adapter.processing:
            return
        callbacks = [callback for _, callback, _ in connection.run_on_commit]
        # One call after each transaction is enough. The transaction around a TestCase is special:
        # `captureOnCommitCallbacks` calls only what was asked for within its block, so each
        # statement asks again.
        in_test_case = any(block._from_testcase for block in connection.atomic_blocks[:1])
        if self.wake in callbacks and not in_test_case:
            return
        # With set_autocommit(False) and no atomic block, Django refuses `on_commit`. The change is
        # in the outbox all the same, and the next commit finds it.
        if connection.in_atomic_block or connection.autocommit:
            # robust: an error of the index must not stop the callbacks of the application.
            transaction.on_commit(self.wake, using=connection.alias, robust=True)


# --- 5. Start-up and migrations -------------------------------------------------------------------


def keep_indexes(core=None, using=DEFAULT_DB_ALIAS):
    """Make every model that declares an index searchable. Call it in ``AppConfig.ready``.

    It does not touch the database, which may not exist yet; `migrate` creates the outbox and the
    triggers. A second call, from another app, does no harm.

    core: the `SemanticCore` to use; None takes `DjangoAdapter.usual_core`.
    """
    _given_cores[using] = core
    init_database(core, using=using, install=False)
    # The dispatch_uid makes Django connect each receiver once, however many apps call this.
    pre_migrate.connect(_before_migrations, dispatch_uid="semantic_core")
    post_migrate.connect(_after_migrations, dispatch_uid="semantic_core")


def init_database(core=None, using=DEFAULT_DB_ALIAS, install=True, **options):
    """Bind every declared index of this database, and create its outbox and triggers.

    `keep_indexes` and `migrate` do so together. Call this function where you have no migrations, or
    in each process that uses capture="events".

    install: False does not touch the database.
    """
    return DjangoAdapter.bind_all(core, install=install, using=using, **options)


_given_cores = {}
"""Per alias the core that `keep_indexes` was called with."""


def _before_migrations(sender, using, plan, **sent):
    """Remove the triggers while the tables change.

    On SQLite, Django changes a column by making the table again under another name, and SQLite
    renames no table while a trigger of another table reads it. On other databases a trigger might
    read a column that is gone. Changes that go unnoticed meanwhile are not lost: `install` sees
    that triggers were missing, and compares every row with the index.
    """
    # Django sends the signal once for each app. The first one counts. An empty plan changes
    # nothing, and every row need not be compared.
    if plan and sender is _apps_with_models()[0]:
        for index in init_database(_given_cores.get(using), using=using, install=False):
            index.uninstall(forget=False)
            remove_triggers(index.execute, index.dialect)


def _after_migrations(sender, using, **sent):
    """Create the triggers again, once the tables of all apps are there."""
    if sender is not _apps_with_models()[-1]:
        return
    tables = connections[using].introspection.table_names()
    for index in init_database(_given_cores.get(using), using=using, install=False):
        # `migrate blog zero` leaves a model without its table.
        if index.table.name in tables:
            index.install()


def _apps_with_models():
    """The apps that Django sends the signals of migrations for, in its order."""
    return [config for config in apps.get_app_configs() if config.models_module is not None]


# --- 6. Test databases ----------------------------------------------------------------------------


def _core_in_memory(core):
    """What answers for a test database: an index in memory, with the same embedder.

    It processes pending changes before it answers, within the transaction of a TestCase too. So a
    test finds what it has just written.
    """
    # Imported here because an application in production has no need of it.
    from semantic_core.testing import SettledCore

    if isinstance(core, SettledCore):
        return core
    return SettledCore(core.embedder, multi_tenant=core.store.multi_tenant)


_cores = CorePerDatabase(_core_in_memory)
"""A test run creates another database under the same alias ("test_app" in place of "app"). Its rows
must not reach the index of the application, so each database has a core of its own."""


def _is_test_run(using):
    """Whether Django runs tests now."""
    # Django's test runner, and pytest-django, put an outbox for e-mails there.
    if hasattr(mail, "outbox"):
        return True
    return not _cores.is_first(using, _database_name(using))
