"""The index an application's models are bound to while its own tests run: in memory,
with counts of what it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from semantic_core import SemanticCore
from semantic_core._memory.store import MemoryStore
from semantic_core.testing import SimilarEmbedder
from semantic_core.types import Document, Entry, Ref, ReplaceReport


class Counts:
    """What happened in all indexes of this process."""

    def __init__(self) -> None:
        self.models: set[str] = set()
        self.indexed = 0
        self.removed = 0
        self.refused: dict[str, str] = {}

    def bound(self, model: type) -> None:
        """A model has an index."""
        self.models.add(f"{model.__module__}.{model.__qualname__}")

    def not_bound(self, model: type, error: Exception) -> None:
        """A model could not be bound."""
        reason = f"{type(error).__name__}: {error}"
        self.refused[f"{model.__module__}.{model.__qualname__}"] = reason

    def told(self) -> dict[str, Any]:
        """For the last line of the record."""
        return {
            "models": sorted(self.models),
            "indexed": self.indexed,
            "removed": self.removed,
            "refused": self.refused,
        }


class _CountingStore(MemoryStore):
    def __init__(self, counts: Counts, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counts = counts

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        given = list(batch)
        self._counts.indexed += len(given)
        return super().replace(given, stamps)

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        given = list(refs)
        self._counts.removed += len(given)
        return super().remove(given, stamps)


def new_core(counts: Counts) -> SemanticCore:
    """An empty index. Changes are processed right after the commit,
    by the thread that committed.
    """
    embedder = SimilarEmbedder(64)
    return SemanticCore(store=_CountingStore(counts, embedder.space), embedder=embedder)
