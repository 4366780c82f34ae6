"""The search index your ORM keeps by itself: find rows by meaning and by words.

::

    from semantic_core import Document, Ref, SemanticCore

    with SemanticCore(path="notes.db") as core:
        core.ingest(Document(Ref("notes", "1"), "for and while repeat a block", title="Loops"))
        for hit in core.search("how to repeat something"):
            print(hit.ref.key, hit.score)

Tested by tests/kernel/test_core.py and tests/house/test_light_import.py.
"""

from typing import TYPE_CHECKING

from semantic_core._plugins.records import OptionInfo, PluginInfo
from semantic_core.errors import SemanticCoreError
from semantic_core.filters import Condition, Filter
from semantic_core.hookspecs import API_VERSION, hookimpl
from semantic_core.types import (
    Chunk,
    ChunkId,
    Document,
    DocumentSummary,
    Entry,
    Failure,
    IngestReport,
    Page,
    Ranking,
    Ref,
    ReplaceReport,
    Scope,
    SearchHit,
    SearchRequest,
    SearchResults,
    Space,
    StoredChunk,
    StoreStats,
)

if TYPE_CHECKING:
    from semantic_core._ingest import IngestProgress
    from semantic_core.aio import AsyncSemanticCore
    from semantic_core.core import SemanticCore

__all__ = [
    "API_VERSION",
    "AsyncSemanticCore",
    "Chunk",
    "ChunkId",
    "Condition",
    "Document",
    "DocumentSummary",
    "Entry",
    "Failure",
    "Filter",
    "IngestProgress",
    "IngestReport",
    "OptionInfo",
    "Page",
    "PluginInfo",
    "Ranking",
    "Ref",
    "ReplaceReport",
    "Scope",
    "SearchHit",
    "SearchRequest",
    "SearchResults",
    "SemanticCore",
    "SemanticCoreError",
    "Space",
    "StoreStats",
    "StoredChunk",
    "hookimpl",
]

_LATER = {"AsyncSemanticCore": "aio", "IngestProgress": "_ingest", "SemanticCore": "core"}
"""Names whose modules are imported when first asked for:
a plugin that is only listed needs none of the flows.
"""

if not TYPE_CHECKING:  # a checker that saw this would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        globals()[name] = value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
