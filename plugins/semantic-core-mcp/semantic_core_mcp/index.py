"""The index as one user sees it: the operator has fixed the tenant, who asks, and the collections,
and no call can change that.

Every reading method of the core is called here and nowhere else in this package.

Tested by tests/test_leaks.py and tests/test_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from semantic_core import (
    ChunkId,
    Document,
    DocumentSummary,
    Filter,
    Ref,
    SearchHit,
    SemanticCore,
    StoredChunk,
)
from semantic_core.types import Mode
from semantic_core_mcp.limits import MOST_COLLECTIONS, REACH
from semantic_core_mcp.places import ref_of
from semantic_core_mcp.rows import Rows, SourceRow


@attrs.frozen
class Found:
    """What a search found. more: whether there are further hits. mode: which was used. reason: why
    the answer is less than was asked for, in the words of the core; "" if it is not.
    """

    hits: tuple[SearchHit, ...]
    more: bool
    mode: Mode
    reason: str


class VisibleIndex:
    """The documents that one user may see.

    core: restricted to the tenant already, if the index has tenants. context: who asks, for the
    plugins that restrict what is shown. collections: only these; None means all. rows: of the
    models that are served. shown: the keys of metadata that are shown and may be filtered by.
    """

    def __init__(
        self,
        core: SemanticCore,
        *,
        context: Mapping[str, Any] | None = None,
        collections: Sequence[str] | None = None,
        rows: Rows | None = None,
        shown: Sequence[str] = (),
    ) -> None:
        self._core = core
        self._context = dict(context or {})
        self._collections = None if collections is None else tuple(collections)
        self._rows = rows or Rows()
        self.shown = tuple(dict.fromkeys(shown))

    def check(self) -> None:
        """Raise the error that every call would meet: no tenant, or nobody who asks."""
        self._core.documents(limit=1, collections=self._collections, context=self._context)

    def search(
        self,
        query: str,
        *,
        limit: int,
        offset: int = 0,
        mode: Mode = "hybrid",
        where: Filter | None = None,
        collection: str | None = None,
    ) -> Found:
        """The best `limit` documents after `offset` better ones, each with its best passage.

        Hits whose row has changed since it was indexed do not count.
        """
        wanted = offset + limit + 1
        size = wanted
        seen = 0
        hits: list[SearchHit] = []
        while True:
            results = self._core.search(
                query,
                limit=size,
                offset=seen,
                mode=mode,
                where=where,
                collections=self._narrowed(collection),
                context=self._context,
            )
            current = self._rows.current(hit.ref for hit in results)
            for hit in results:
                if self._rows.agrees(hit.ref, hit.metadata, current, hit.text):
                    hits.append(hit)
            seen += len(results)
            if len(hits) >= wanted or len(results) < size or seen >= 2 * REACH:
                break
        return Found(
            tuple(hits[offset : offset + limit]),
            len(hits) >= wanted,
            results.mode,
            results.reason if results.degraded else "",
        )

    def get(self, ref: Ref) -> Document | None:
        """The document, made of its row as it is now if it is made of one; None if there is none
        that this user may see.
        """
        if not self._includes(ref):
            return None
        stored = self._core.get(ref, context=self._context)
        if stored is None:
            return None
        current = self._rows.current([stored.ref])
        if not self._rows.agrees(stored.ref, stored.metadata, current):
            return None
        return current.get(stored.ref, stored)

    def window(self, ref: Ref, position: int, before: int, after: int) -> Sequence[StoredChunk]:
        """A passage with its neighbours, in the order of the document; () if there is none that
        this user may see.
        """
        if not self._includes(ref):
            return ()
        chunks = self._core.context_window(
            ChunkId(ref, position), before=before, after=after, context=self._context
        )
        current = self._rows.current(chunk.chunk.id.ref for chunk in chunks[:1])
        seen = []
        for chunk in chunks:
            if self._rows.agrees(chunk.chunk.id.ref, chunk.metadata, current, chunk.chunk.text):
                seen.append(chunk)
        return seen if any(chunk.chunk.id.position == position for chunk in seen) else ()

    def collections(self) -> tuple[Mapping[str, int], bool]:
        """The number of documents that this user may see in each collection, without those of which
        they may see none; and whether there are more collections than are listed.
        """
        names = self._collections
        if names is None:
            names = tuple(sorted(self._core.stats().collections))
        found: dict[str, int] = {}
        for name in names:
            page = self._core.documents(limit=1, collections=[name], context=self._context)
            if not page.total:
                continue
            if len(found) == MOST_COLLECTIONS:
                return found, True
            found[name] = page.total
        return found, False

    def documents(self, offset: int, limit: int) -> tuple[Sequence[DocumentSummary], bool]:
        """A part of the list of documents that this user may see, and whether it goes on."""
        page = self._core.documents(
            offset=offset, limit=limit, collections=self._collections, context=self._context
        )
        current = self._rows.current(summary.ref for summary in page)
        seen = []
        for summary in page:
            if self._rows.agrees(summary.ref, summary.metadata, current):
                seen.append(summary)
        return seen, offset + len(page) < page.total

    def row_of(self, ref: Ref) -> SourceRow | None:
        """The row that a document is made of; None if it is made of none."""
        return self._rows.row_of(ref)

    def _includes(self, ref: Ref) -> bool:
        return self._collections is None or ref.collection in self._collections

    def _narrowed(self, collection: str | None) -> Sequence[str] | None:
        """The collections to search. One that the operator left out is as empty as one that does
        not exist.
        """
        if collection is None:
            return self._collections
        ref = ref_of(collection, "any")
        return (collection,) if ref is not None and self._includes(ref) else ()
