"""The application of random histories in Django: each process is an alias of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import django_site
from django.apps import apps
from django.db import connections, models, transaction
from django_adapter import DjangoAdapter

from semantic_core import SemanticCore

sys.path.insert(0, str(Path(__file__).parents[1] / "orm"))
import databases
from history_world import Application

Note = apps.get_model("django_site", "note")


class DjangoApplication(Application):
    """Django, with the kit's table of notes."""

    table = "kit_note"
    tag_column = "owner"

    def open(self, database: databases.Database, core: SemanticCore) -> Any:
        self.alias = django_site.added(django_site.settings_of(databases, database))
        connection = connections[self.alias]
        if self.table not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                editor.create_model(Note)
        options = {"using": self.alias}
        declared = {"source_fields": ["body"], "sync": "manual"}
        return core.bind(
            Note, adapter=DjangoAdapter, adapter_options=options, install=False, **declared
        )

    def close(self) -> None:
        django_site.removed(self.alias)

    def save(self, id: int, body: str) -> None:
        row = self._all.filter(id=id).first() or Note(id=id, owner="")
        row.body = body
        row.save(using=self.alias)

    def delete(self, id: int) -> None:
        self._all.filter(id=id).delete()

    def save_many(self, bodies: Mapping[int, str]) -> None:
        rows = [Note(id=id, owner="", body=body) for id, body in bodies.items()]
        self._all.bulk_create(
            rows, update_conflicts=True, unique_fields=["id"], update_fields=["body"]
        )

    def run(self, sql: str) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)

    def tag(self, id: int, text: str) -> None:
        self._all.filter(id=id).update(owner=text)

    def roll_back(self, body: str) -> None:
        with suppress(ZeroDivisionError), transaction.atomic(using=self.alias):
            self._all.update(body=body)
            _ = 1 // 0

    def rows(self) -> dict[str, str]:
        return {str(note.id): note.body for note in self._all}

    @property
    def _all(self) -> Any:
        return models.QuerySet(Note, using=self.alias)
