"""`FamilyIndex`: what modelsearch calls to add, delete and rebuild. The triggers have reported most
of it already.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.db import models
from modelsearch.backends.base import BaseIndex

from semantic_core.orm import BaseORMAdapter
from semantic_core_wagtail.families import families, top_of
from semantic_core_wagtail.following import index_of

log = logging.getLogger("semantic_core_wagtail")
PAGE = 1_000
"""Documents removed at a time."""


class FamilyIndex(BaseIndex):  # type: ignore[misc]
    """The index of one family of models, as modelsearch knows it."""

    def __init__(self, backend: Any, model: type[models.Model]) -> None:
        super().__init__(backend)
        self.top = top_of(model)

    @property
    def adapter(self) -> BaseORMAdapter:
        """The index as Semantic Core has it."""
        return index_of(self.top)

    def get_key(self) -> str:
        """See `BaseIndex`. The collection of its documents."""
        return f"modelsearch.{self.top._meta.label_lower}"

    def __str__(self) -> str:
        return self.get_key()

    def refresh(self) -> None:
        """Process pending changes, those of other programs too."""
        self.adapter.freshen()

    def reset(self) -> None:
        """Remove all documents. `update_index` brings them back."""
        core = self.adapter.core
        while page := core.documents(limit=PAGE, collections=[self.get_key()]):
            core.remove(*(summary.ref for summary in page))

    def add_items(self, model: type[models.Model], items: Iterable[Any]) -> None:
        """Note that these objects may have changed in a way that no trigger sees, such as the text
        of a method that reads a file. They are indexed after the commit.
        """
        if top_of(model) in families():
            self._note(list(items))

    def delete_item(self, item: Any) -> None:
        """Note that this object may be gone. The row decides: as long as it is there, and
        `get_indexed_objects` has it, it is found; and if the transaction is rolled back, too.
        """
        self._note([item])

    def _note(self, items: list[Any]) -> None:
        adapter = self.adapter
        # Before the first `migrate` there is no table for it, and `install` reads all rows.
        if items and adapter.coordinator.is_installed():
            adapter.changed(*items)


class FamilyRebuilder:
    """Compares all rows of a family with its index, for ``manage.py update_index``."""

    def __init__(self, index: FamilyIndex) -> None:
        self.index = index

    def start(self) -> FamilyIndex:
        """Install the triggers where they are missing, index what differs, and remove documents
        without a row. Unchanged objects cost a comparison, and are not embedded again. Objects that
        cannot be indexed are logged.
        """
        adapter = self.index.adapter
        adapter.install(backfill="off")
        if adapter.coordinator.closed:  # a test: its index follows by itself, unless it was reset
            was_reset = not adapter.core.documents(limit=1, collections=[self.index.get_key()])
            return self.index if was_reset else _Rebuilt(self.index)
        report = adapter.reindex(resume=False)
        for failure in report.failed:
            log.error("%s was not indexed: %s", failure.what, failure.reason)
        return _Rebuilt(self.index)

    def finish(self) -> None:
        """Nothing is left to do."""


class _Rebuilt(FamilyIndex):
    """The index after a rebuild. It does not index again what modelsearch lists afterwards."""

    def __init__(self, index: FamilyIndex) -> None:
        super().__init__(index.backend, index.top)

    def add_items(self, model: type[models.Model], items: Iterable[Any]) -> None:
        """See `FamilyRebuilder.start`, which has indexed them."""
