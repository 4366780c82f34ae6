"""The smallest useful adapters for Django and SQLAlchemy: what an author has to write.

The blueprints do the same and more: many-to-many relations, inheritance, every kind of commit, open
transactions, migrations, test runs.
"""

from uuid import UUID

import sqlalchemy.orm
from django.db import connections, models, transaction
from django.db.models.signals import post_delete, post_save
from sqlalchemy import event, select

from semantic_core.orm import BaseORMAdapter, Column, Relation, build_table, dialect_named


class MinimalDjangoAdapter(BaseORMAdapter):
    """Models with foreign keys; processes changes after each saved or deleted instance."""

    placeholder = "%s"

    def __init__(self, model, core, declaration, *, using="default", **options):
        self.using = using
        super().__init__(model, core, declaration, **options)

    @classmethod
    def serves(cls, model, **options):
        return issubclass(model, models.Model)

    @property
    def dialect(self):
        return dialect_named(connections[self.using].vendor)

    @property
    def database(self):
        return self.using

    @property
    def in_transaction(self):
        return connections[self.using].in_atomic_block

    def inspect(self, model):
        columns = []
        relations = {}
        for field in model._meta.local_concrete_fields:
            python_type = UUID if isinstance(field, models.UUIDField) else object
            columns.append(Column(field.attname, field.column, python_type, field.to_python))
            if field.is_relation:
                target = field.target_field
                relations[field.name] = Relation(field.related_model, field.column, target.column)
        key = [field.attname for field in model._meta.pk_fields]
        return build_table(model._meta.db_table, columns, key=key, relations=relations)

    def execute(self, sql, params=()):
        with connections[self.using].cursor() as cursor:
            cursor.execute(sql, list(params) or None)
            return cursor.fetchall() if cursor.description else []

    def load(self, keys):
        return models.QuerySet(self.model, using=self.using).filter(pk__in=keys)

    def release(self):
        connections[self.using].close()

    def on_commit(self, wake):
        def changed(using, **sent):
            if using == self.using:
                transaction.on_commit(wake, using=using)

        post_save.connect(changed, weak=False)
        post_delete.connect(changed, weak=False)


class MinimalSQLAlchemyAdapter(BaseORMAdapter):
    """Mapped classes with relationships; processes changes after each transaction of a session."""

    def __init__(self, model, core, declaration, *, engine, **options):
        self.engine = engine
        super().__init__(model, core, declaration, **options)

    @classmethod
    def serves(cls, model, **options):
        return getattr(sqlalchemy.inspect(model, raiseerr=False), "is_mapper", False)

    @property
    def dialect(self):
        return dialect_named(self.engine.dialect.name)

    @property
    def database(self):
        return self.engine

    def inspect(self, model):
        mapper = sqlalchemy.inspect(model)
        columns = []
        for attribute in mapper.column_attrs:
            column = attribute.columns[0]
            columns.append(Column(attribute.key, column.name, column.type.python_type))
        relations = {}
        for relationship in mapper.relationships:
            if relationship.secondary is None:
                own, theirs = relationship.local_remote_pairs[0]
                other = relationship.mapper.class_
                relations[relationship.key] = Relation(other, own.name, theirs.name)
        key = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        return build_table(mapper.local_table.name, columns, key=key, relations=relations)

    def execute(self, sql, params=()):
        with self.engine.begin() as connection:
            result = connection.exec_driver_sql(sql, tuple(params))
            return result.all() if result.returns_rows else []

    def load(self, keys):
        key = sqlalchemy.inspect(self.model).primary_key[0]
        with sqlalchemy.orm.Session(self.engine) as session:
            yield from session.scalars(select(self.model).where(key.in_(keys)))

    def on_commit(self, wake):
        @event.listens_for(sqlalchemy.orm.Session, "after_transaction_end")
        def transaction_ended(session, ended):
            if ended.parent is None:
                wake()
