"""Binds an index to every Django model that has text, as soon as a test database is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connections, models, router
from django.db.backends.base.creation import BaseDatabaseCreation
from django.test.testcases import TransactionTestCase
from django_adapter import DjangoAdapter
from outside_index import Counts, new_core

from semantic_core.errors import SemanticCoreError

TEXT = (models.CharField, models.TextField)


def bind(counts: Counts) -> None:
    """From here on the models of every test database are bound,
    and processed before a test is undone.
    """
    adapters: dict[str, Any] = {}
    _after_database_is_made(lambda connection: _bind_all(connection, counts, adapters))
    _before_test_is_undone(adapters)


def _bind_all(connection: Any, counts: Counts, adapters: dict[str, Any]) -> None:
    alias = connection.alias
    core = new_core(counts)
    there = set(connection.introspection.table_names())
    for model in apps.get_models():
        meta = model._meta
        text = [field.name for field in meta.local_concrete_fields if isinstance(field, TEXT)]
        if not text or meta.proxy or meta.swapped or meta.db_table not in there:
            continue
        if not router.allow_migrate_model(alias, model):
            continue
        try:
            adapter = adapters[alias] = core.bind(
                model,
                install=False,
                adapter=DjangoAdapter,
                adapter_options={"using": alias},
                source_fields=text,
                sync="inline",
            )
            # Rows that migrations made; a thread that compared them would wait for tests that keep
            # the database locked.
            adapter.install(backfill="now")
            counts.bound(model)
        except (SemanticCoreError, DatabaseError) as error:
            counts.not_bound(model, error)


def _after_database_is_made(call: Callable[[Any], None]) -> None:
    made = BaseDatabaseCreation.create_test_db

    def create_test_db(self: Any, *args: Any, **options: Any) -> Any:
        answer = made(self, *args, **options)
        call(self.connection)
        return answer

    BaseDatabaseCreation.create_test_db = create_test_db


def _before_test_is_undone(adapters: dict[str, Any]) -> None:
    """A TestCase never commits, so what it wrote is processed here, while it is still there."""
    undone = TransactionTestCase._post_teardown

    def post_teardown(self: Any) -> Any:
        for alias in self._databases_names(include_mirrors=False):
            adapter, connection = adapters.get(alias), connections[alias]
            usable = connection.connection is not None and not connection.needs_rollback
            if adapter is not None and usable:
                adapter.coordinator.sync(compare=False)
        return undone(self)

    TransactionTestCase._post_teardown = post_teardown
