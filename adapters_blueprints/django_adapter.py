"""Django 5.2: copy this file into your project; README.md says what calls `init_database()`, and what it does not do."""

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, models, router, transaction
from django.db.backends.signals import connection_created
from django.db.models.signals import ModelSignal, post_delete, post_save

from semantic_core.orm import BaseORMAdapter, Relation, SemanticIndex, Table, Through, bind_declared  # noqa: F401 - for models


class DjangoAdapter(BaseORMAdapter):
    placeholder, database, dialect = "%s", property(lambda me: me.using), property(lambda me: connections[me.using].vendor)

    def __init__(self, *given, using=DEFAULT_DB_ALIAS, **options):
        self.using = using
        super().__init__(*given, **options)

    @property
    def in_transaction(self):  # what a TestCase wraps around a test does not count, so its commits can be worked off
        blocks = connections[self.using].atomic_blocks
        return not (all(b._from_testcase for b in blocks) if blocks else connections[self.using].get_autocommit())

    @classmethod
    def serves(cls, model, using=DEFAULT_DB_ALIAS, **options):
        return model in apps.get_models() and not model._meta.proxy and router.db_for_write(model) == using

    def inspect(self, model):
        own = (meta := model._meta.concrete_model._meta).local_concrete_fields
        back = [r.field for r in meta.related_objects if r.field.concrete and r.field.target_field in own]
        links = {f.name: Relation(f.related_model, f.column, f.target_field.column) for f in own if f.is_relation}
        links |= {f.remote_field.get_accessor_name(): Relation(f.model, f.target_field.column, f.column) for f in back}
        links |= {f.name: self._through(f) for f in meta.local_many_to_many if isinstance(f, models.ManyToManyField)}
        for r in meta.related_objects:
            if r.many_to_many and r.model._meta.concrete_model is meta.model and isinstance(r.field, models.ManyToManyField):
                links[r.get_accessor_name()] = self._through(r.field, backwards=True)
        bases = [Relation(parent, f.column, f.target_field.column) for parent, f in meta.parents.items() if f in own]
        key, columns = {f.attname: f.to_python for f in meta.pk_fields}, {f.attname: f.column for f in own}
        return Table(meta.db_table, key, columns, links, bases)

    def _through(self, field, backwards=False):
        here = field.model._meta.get_field(field.m2m_target_field_name()).column
        there = field.related_model._meta.get_field(field.m2m_reverse_target_field_name()).column
        own, theirs = field.m2m_column_name(), field.m2m_reverse_name()
        if backwards:
            return Relation(field.model, there, here, Through(field.m2m_db_table(), theirs, own))
        return Relation(field.related_model, here, there, Through(field.m2m_db_table(), own, theirs))

    def execute(self, sql, params=()):
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, list(params) or None)
            return cursor.fetchall() if cursor.description else []

    def load(self, keys):  # past the managers, which may hide rows
        related = [path.replace(".", "__") for path in self.related] or [None]
        return models.QuerySet(self.model, using=self.using).select_related(*related).filter(pk__in=keys)

    def on_commit(self, wake):
        def noted(c):  # once in a transaction; a TestCase may look for it anew each time
            known = wake in [f for _, f, _ in c.run_on_commit] and not c.atomic_blocks[0]._from_testcase
            if not (known or self.hub.working) and (c.in_atomic_block or c.autocommit):
                transaction.on_commit(wake, c.alias, robust=True)

        def after(execute, sql, params, many, context):
            result, c = execute(sql, params, many, context), context["connection"]
            if not str(sql).lstrip().upper().startswith("SELECT") and (c.in_atomic_block or "RETURNING" not in str(sql)):
                noted(c)
            return result

        def watch(connection, **sent):
            if connection.alias == self.using and after not in connection.execute_wrappers:
                connection.execute_wrappers.append(after)

        connection_created.connect(watch, weak=False)
        # An INSERT ... RETURNING is not over before its row is read.
        post_save.connect(lambda using, **sent: using == self.using and noted(connections[using]), weak=False)
        watch(connections[self.using])

    def connect(self, act=ModelSignal.connect):
        for signal in (post_save, post_delete):
            act(signal, self._heard)

    def disconnect(self):
        self.connect(ModelSignal.disconnect)

    def _heard(self, instance, using, **sent):
        if using == self.using and isinstance(instance, self.model):
            self.changed(instance)

    def release(self):
        connections[self.using].close()


def init_database(core=None, using=DEFAULT_DB_ALIAS, **options):
    return bind_declared(DjangoAdapter, core, using=using, **options)
