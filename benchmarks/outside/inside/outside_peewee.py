"""Binds an index to every Peewee model that has text, as soon as its table is made."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import peewee
from outside_index import Counts, new_core
from semantic_core_peewee.adapter import PeeweeAdapter

from semantic_core import SemanticCore
from semantic_core.errors import SemanticCoreError

TEXT = (peewee.CharField, peewee.TextField)


class Binding:
    """The indexes of the models of all databases of this process."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._cores: weakref.WeakKeyDictionary[Any, SemanticCore] = weakref.WeakKeyDictionary()
        self._bound: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()
        self._number = itertools.count(1)

    def table_made(self, model: Any) -> None:
        """A table is there: its model gets an index, or the one it has gets its triggers back."""
        text = [field.name for field in model._meta.sorted_fields if isinstance(field, TEXT)]
        if not text or not model._meta.primary_key:
            return
        try:
            self._bind(model, text)
        except (SemanticCoreError, peewee.PeeweeException) as error:
            self._counts.not_bound(model, error)

    def _bind(self, model: Any, text: list[str]) -> None:
        database = model._meta.database
        if isinstance(database, peewee.Proxy):
            database = database.obj
        there = self._bound.setdefault(database, {})
        core = self._cores.get(database)
        if core is None:
            core = self._cores[database] = new_core(self._counts)
        known = there.get(model._meta.table_name)
        if known is not None and known.model is model:
            known.install()
            return
        if known is not None:  # another test has another model of a table of this name
            known.uninstall()
            known.coordinator.leave(known)
        adapter = there[model._meta.table_name] = core.bind(
            model,
            install=False,
            adapter=PeeweeAdapter,
            collection=f"{model._meta.table_name}.{next(self._number)}",
            source_fields=text,
            sync="inline",
        )
        adapter.install(backfill="now")
        self._counts.bound(model)


def bind(counts: Counts) -> None:
    """From here on every table that is made has an index."""
    binding = Binding(counts)
    made = peewee.Model.create_table.__func__

    def create_table(model: Any, *args: Any, **options: Any) -> Any:
        answer = made(model, *args, **options)
        binding.table_made(model)
        return answer

    peewee.Model.create_table = classmethod(create_table)
