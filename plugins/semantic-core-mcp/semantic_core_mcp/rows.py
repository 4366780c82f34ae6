"""The rows behind documents: what is in the index is shown only as far as its row still says so.

The index follows the rows after each commit, so for a moment it may know a row that is deleted, has
another tenant, or whose readers have changed. Such a row is left out until the index has followed.

Tested by tests/test_models.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from semantic_core import Document, Ref
from semantic_core.orm import BaseORMAdapter


@attrs.frozen
class SourceRow:
    """Which row a document is made of. key: as text; a JSON array for a composite key."""

    model: str
    table: str
    key: str


class Rows:
    """The rows of the models that are served, by the collection of their index."""

    def __init__(self, adapters: Iterable[BaseORMAdapter] = ()) -> None:
        self._adapters = {adapter.declaration.collection: adapter for adapter in adapters}

    def row_of(self, ref: Ref) -> SourceRow | None:
        """The row of a document; None for a document that is made of no row."""
        adapter = self._adapters.get(ref.collection)
        if adapter is None:
            return None
        return SourceRow(adapter.model.__name__, adapter.table.name, ref.key)

    def current(self, refs: Iterable[Ref]) -> Mapping[Ref, Document]:
        """The documents of those rows that exist and belong into the index, as they are now.

        Refs of documents that are made of no row are left out.
        """
        wanted: dict[str, list[Ref]] = defaultdict(list)
        for ref in refs:
            if ref.collection in self._adapters:
                wanted[ref.collection].append(ref)
        found: dict[Ref, Document] = {}
        for collection, of_collection in wanted.items():
            adapter = self._adapters[collection]
            with adapter.connected():
                for made in adapter.documents(of_collection):
                    if isinstance(made, Document):
                        found[made.ref] = made
        return found

    def agrees(
        self, ref: Ref, metadata: Mapping[str, Any], current: Mapping[Ref, Document], text: str = ""
    ) -> bool:
        """Whether what the index says of a document is what its row says now; always True for a
        document that is made of no row.

        metadata: as the index has it; what plugins restrict by. current: what `current` returned.
        text: a passage; "" for none.
        """
        adapter = self._adapters.get(ref.collection)
        if adapter is None:
            return True
        document = current.get(ref)
        if document is None:
            return False
        for name in adapter.declaration.metadata_fields:
            if document.metadata.get(name) != metadata.get(name):
                return False
        return text in document.text
