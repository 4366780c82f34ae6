"""The kit's tables in Django: what its blueprint is checked with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import django_site
from django.apps import apps
from django.db import connections, models, transaction
from django_adapter import DjangoAdapter

from semantic_core.testing import DATABASE_LIMITS, AdapterHarness

KINDS = ("sqlite3", "postgresql")
KIT = ("tagging", "tag", "article", "author", "seat", "page", "parcel", "note", "book", "media")
OTHERS = (
    "trial_chapter",
    "trial_sensor",
    "trial_team",
    "trial_club_members",
    "trial_club_rivals",
    "trial_club",
)
OURS = (
    "semantic_outbox",
    "semantic_places",
    "semantic_consumers",
    "semantic_subscriptions",
    "semantic_state",
)


class DjangoHarness(AdapterHarness):
    """One database of the test project. keep: where databases come from and go to."""

    adapter = DjangoAdapter
    models = {name: apps.get_model("django_site", name) for name in KIT}

    def __init__(self, keep: Any) -> None:
        self._keep, self.database = keep, keep.borrow()
        self.limits = DATABASE_LIMITS[self.database.dialect]
        self.alias = django_site.added(django_site.settings_of(keep.servers, self.database))
        self.options = {"using": self.alias}

    @classmethod
    def prepare(cls, keep: Any, database: Any) -> None:
        """Create the tables in a database nobody has used."""
        alias = django_site.added(django_site.settings_of(keep.servers, database))
        django_site.create_tables(alias)
        django_site.removed(alias)

    def create(self, model: Any, **values: Any) -> Any:
        return models.QuerySet(model, using=self.alias).create(**values)

    def update(self, model: Any, key: Any, **values: Any) -> None:
        row = self._row(model, key)
        for name, value in values.items():
            setattr(row, name, value)
        row.save()

    def delete(self, model: Any, key: Any) -> None:
        self._row(model, key).delete()

    def _row(self, model: Any, key: Any) -> Any:
        return models.QuerySet(model, using=self.alias).get(pk=key)

    def transaction(self) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self.alias)

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def insert_many(self, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        models.QuerySet(model, using=self.alias).bulk_create(model(**row) for row in rows)

    def update_many(self, model: Any, keys: Sequence[Any], **values: Any) -> None:
        models.QuerySet(model, using=self.alias).filter(pk__in=keys).update(**values)

    def delete_many(self, model: Any, keys: Sequence[Any]) -> None:
        models.QuerySet(model, using=self.alias).filter(pk__in=keys).delete()

    def upsert(self, model: Any, **values: Any) -> None:
        rows = models.QuerySet(model, using=self.alias)
        changed = [name for name in values if name != "id"]
        rows.bulk_create(
            [model(**values)], update_conflicts=True, unique_fields=["id"], update_fields=changed
        )

    def query(self, model: Any, **values: Any) -> Any:
        return models.QuerySet(model, using=self.alias).filter(**values)

    def crash(self, work: Callable[[], None]) -> None:
        transaction.atomic(using=self.alias).__enter__()
        work()
        connections[self.alias].connection.close()
        del connections[self.alias]

    def leave_thread(self) -> None:
        connections[self.alias].close()

    def close(self) -> None:
        if self.database.kind != "sqlite3":
            for table in (*OTHERS, *(self.models[name]._meta.db_table for name in KIT), *OURS):
                if table in connections[self.alias].introspection.table_names():
                    self.sql(f"DELETE FROM {table}")
        django_site.removed(self.alias)
        self._keep.give_back(self.database)
