"""Django 5.2: copy this file into your project, call `keep_indexes()` in ``AppConfig.ready``.

README.md beside the original tells the rest.
"""

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

from django.apps import apps
from django.conf import settings
from django.core import mail
from django.db import DEFAULT_DB_ALIAS, connections, models, router, transaction
from django.db.backends.signals import connection_created
from django.db.models.signals import post_delete, post_migrate, post_save, pre_migrate

from semantic_core import SemanticCore
from semantic_core.orm import (
    BaseORMAdapter,
    Relation,
    SemanticIndex,  # noqa: F401 - for models
    Table,
    Through,
    bind_declared,
    follow_leftovers,
)
from semantic_core.orm.migrations import remove_triggers

WRITE_NOTHING = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "SET ", "PRAGMA")
"""How statements begin after which there is nothing new to index."""


class DjangoAdapter(BaseORMAdapter):
    """Keeps an index of a Django model. using: the alias of its database.

    A test run is another database under the same alias. Its rows never reach the index of the
    real one: while the connection leads there, the index is one in memory, with the same
    embedder, that is never behind.
    """

    placeholder = "%s"
    install_step = "run manage.py migrate"

    def __init__(self, *given, using=DEFAULT_DB_ALIAS, **options):
        self.using = using
        _first_names.setdefault(using, _name_of(using))
        super().__init__(*given, **options)

    # --- which database, which core --------------------

    @property
    def dialect(self):
        return connections[self.using].vendor

    @property
    def database(self):
        """The alias with the name of the database it leads to now; test runs change that name."""
        return self.using, _name_of(self.using)

    @property
    def core(self):
        """The core that was given, or one in memory while the connection leads elsewhere."""
        return _core_here(self._core, self.using)

    @core.setter
    def core(self, core):
        self._core = core
        _homes.setdefault(core, {}).setdefault(self.using, _name_of(self.using))

    @classmethod
    def usual_core(cls, *, using=DEFAULT_DB_ALIAS, usually=None, **options):
        """The core of indexes that name none.

        Its index is ``semantic-core.db`` in BASE_DIR, unless the configuration says where; in a
        test run it is in memory.
        """
        if hasattr(mail, "outbox") or _first_names.get(using, _name_of(using)) != _name_of(using):
            with SemanticCore.from_config(store="memory") as core:
                return _in_memory(core)
        folder = Path(getattr(settings, "BASE_DIR", "")).absolute()
        return SemanticCore.from_config(usually={"path": str(folder / "semantic-core.db")})

    @classmethod
    def serves(cls, model, using=DEFAULT_DB_ALIAS, **options):
        if model not in apps.get_models() or model._meta.proxy:
            return False
        return router.db_for_write(model) == using

    # --- what tables there are --------------------

    def inspect(self, model):
        """The table of a model, with the relations that lead from it and to it."""
        meta = model._meta.concrete_model._meta
        own = meta.local_concrete_fields
        links = {}
        for field in own:
            if field.is_relation:
                links[field.name] = Relation(
                    field.related_model, field.column, field.target_field.column
                )
        for field in meta.local_many_to_many:
            if isinstance(field, models.ManyToManyField):
                links[field.name] = self._through(field)
        for related in meta.related_objects:
            field = related.field
            if field.concrete and field.target_field in own:
                name = field.remote_field.get_accessor_name()
                links[name] = Relation(field.model, field.target_field.column, field.column)
            mine = related.model._meta.concrete_model is meta.model
            if mine and isinstance(field, models.ManyToManyField):
                links[related.get_accessor_name()] = self._through(field, backwards=True)
        bases = []
        for parent, field in meta.parents.items():
            if field in own:
                bases.append(Relation(parent, field.column, field.target_field.column))
        key = {field.attname: field.to_python for field in meta.pk_fields}
        columns = {field.attname: field.column for field in own}
        uuids = [field.column for field in own if isinstance(_target(field), models.UUIDField)]
        return Table(meta.db_table, key, columns, links, bases, uuids=uuids)

    def _through(self, field, backwards=False):
        """A many-to-many field with the table between, from its own side or from the other."""
        here = field.model._meta.get_field(field.m2m_target_field_name()).column
        there = field.related_model._meta.get_field(field.m2m_reverse_target_field_name()).column
        own = field.m2m_column_name()
        theirs = field.m2m_reverse_name()
        between = field.m2m_db_table()
        if backwards:
            return Relation(field.model, there, here, Through(between, theirs, own))
        return Relation(field.related_model, here, there, Through(between, own, theirs))

    # --- reading and writing --------------------

    @property
    def in_transaction(self):
        """What a TestCase wraps around a test does not count: its commits are worked off."""
        connection = connections[self.using]
        if connection.atomic_blocks:
            return not all(block._from_testcase for block in connection.atomic_blocks)
        return not connection.get_autocommit()

    def execute(self, sql, params=()):
        return _run(self.using, sql, params)

    @contextmanager
    def atomic(self):
        with _unlogged(connections[self.using]), transaction.atomic(using=self.using):
            yield

    @property
    def shared_by_threads(self):
        connection = connections[self.using]
        return connection.vendor != "sqlite" or not connection.is_in_memory_db()

    def load(self, keys):
        """Past the managers of the model, which may hide rows."""
        rows = models.QuerySet(self.model, using=self.using).filter(pk__in=keys)
        paths = [path.replace(".", "__") for path in self.related]
        with _unlogged(connections[self.using]):
            return list(rows.select_related(*paths) if paths else rows)

    def release(self):
        connections[self.using].close()

    # --- when something was committed --------------------

    def on_commit(self, wake):
        here = self.database

        def note(connection):
            """Have `wake` called after the commit.

            Once in a transaction; only a TestCase may look for the callback anew each time.
            """
            if self.database != here or self.coordinator.working:
                return
            listed = wake in [callback for _, callback, _ in connection.run_on_commit]
            # Without autocommit an outermost block begins with a SAVEPOINT, before it is counted.
            in_test = any(block._from_testcase for block in connection.atomic_blocks[:1])
            if listed and not in_test:
                return
            if connection.in_atomic_block or connection.autocommit:
                transaction.on_commit(wake, connection.alias, robust=True)

        def after(execute, sql, params, many, context):
            if self.database == here:
                self.before_statement(str(sql))
            result = execute(sql, params, many, context)
            connection = context["connection"]
            statement = str(sql).lstrip().upper()
            # An INSERT ... RETURNING is not over before its row is read: `saved` hears of it.
            over = connection.in_atomic_block or "RETURNING" not in statement
            if over and not statement.startswith(WRITE_NOTHING):
                note(connection)
            return result

        def saved(using, **sent):
            if using == self.using:
                note(connections[using])

        def watch(connection, **sent):
            if connection.alias == self.using and after not in connection.execute_wrappers:
                connection.execute_wrappers.append(after)

        connection_created.connect(watch, weak=False)
        post_save.connect(saved, weak=False)
        watch(connections[self.using])

    # --- capture="events" --------------------

    def connect(self):
        post_save.connect(self._heard)
        post_delete.connect(self._heard)

    def disconnect(self):
        post_save.disconnect(self._heard)
        post_delete.disconnect(self._heard)

    def _heard(self, instance, using, **sent):
        if using == self.using and isinstance(instance, self.model):
            self.changed(instance)


# --- binding, and migrations --------------------


def init_database(core=None, using=DEFAULT_DB_ALIAS, install=True, **options):
    """Bind every index that is declared on models of this database, and install it.

    core: None takes the one an index is bound to, else `DjangoAdapter.usual_core`.
    install: False touches no database. Where no index is declared any more, the commands find
    through what it gives what a former one left.
    """
    bound = bind_declared(DjangoAdapter, core, using=using, install=install, **options)
    if bound or not install:
        return bound
    return follow_leftovers(
        core or partial(DjangoAdapter.usual_core, using=using),
        partial(_run, using),
        connections[using].vendor,
        database=(using, _name_of(using)),
        placeholder=DjangoAdapter.placeholder,
    )


def keep_indexes(core=None, using=DEFAULT_DB_ALIAS):
    """Call it in ``AppConfig.ready``: models can be searched from then on.

    Touches no database: ``migrate`` installs what an index needs. Calling it again, also from
    another app, does no harm.
    """
    _kept[using] = core
    init_database(core, using=using, install=False)
    pre_migrate.connect(_before_migrations, dispatch_uid="semantic_core")
    post_migrate.connect(_after_migrations, dispatch_uid="semantic_core")


def _before_migrations(sender, using, plan, **sent):
    """Take the triggers away while tables change.

    On SQLite no table can be renamed while another one's trigger reads it; elsewhere a trigger
    would read a column that is gone. `install` sees that they went, and looks at every row again.
    """
    if plan and sender is _apps_with_models()[0]:
        for index in init_database(_kept.get(using), using=using, install=False):
            index.uninstall(forget=False)
            remove_triggers(index.execute, index.dialect)


def _after_migrations(sender, using, **sent):
    """Install the indexes of all models that have a table; each app is told, the last counts."""
    if sender is not _apps_with_models()[-1]:
        return
    there = connections[using].introspection.table_names()
    for index in init_database(_kept.get(using), using=using, install=False):
        if index.table.name in there:
            index.install()


def _apps_with_models():
    """The apps Django tells of migrations, in its order."""
    return [config for config in apps.get_app_configs() if config.models_module is not None]


# --- running statements --------------------


def _target(field):
    """The field itself; of a foreign key, what it points at in the end."""
    while field.is_relation:
        field = field.target_field
    return field


def _run(using, sql, params=()):
    with _unlogged(connections[using]), connections[using].cursor() as cursor:
        cursor.execute(sql, list(params) or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _unlogged(connection):
    """Who counts queries (assertNumQueries, a debug page) counts the application's own."""
    before = len(connection.queries_log)
    try:
        yield
    finally:
        while len(connection.queries_log) > before:
            connection.queries_log.pop()


# --- test runs --------------------

_kept = {}
"""Per alias the core that `keep_indexes` was given; None for the usual one."""
_first_names = {}
"""Per alias the name its database had when the first index was bound."""
_homes = WeakKeyDictionary()
"""Per core, and alias, the name of the database that core is for."""
_stand_ins = WeakKeyDictionary()
"""Per core, and database, the core in memory that is used there instead."""


def _name_of(using):
    return str(connections[using].settings_dict["NAME"])


def _core_here(core, using):
    """The core itself where it is at home, and its stand-in in any other database."""
    if using not in connections:  # an alias that came and went
        return core
    name = _name_of(using)
    if name == _homes[core][using]:
        return core
    stand_ins = _stand_ins.setdefault(core, {})
    if (using, name) not in stand_ins:
        stand_ins[using, name] = _in_memory(core)
    return stand_ins[using, name]


def _in_memory(core):
    """A core in memory that is never behind, with the same embedder; itself if it is one."""
    from semantic_core.testing import SettledCore

    if isinstance(core, SettledCore):
        return core
    return SettledCore(core.embedder, multi_tenant=core.store.multi_tenant)
