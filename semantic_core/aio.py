"""`AsyncSemanticCore`: the client for asyncio and trio.

Every call runs in a worker thread (of anyio), because SQLite and embedders block, and the event
loop continues. At most `threads` reads run at a time, and as many writes beside them, so a write
never waits for searches. Other calls wait in the event loop.

Cancellation: a read that is cancelled (a search whose user has left) ends in its thread, its answer
is dropped, and the awaiting task continues at once. For a write, the awaiting task is cancelled
when the write has ended; it is complete or has changed nothing, as always.

Tested by tests/kernel/test_aio.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from semantic_core.core import SemanticCore
from semantic_core.errors import ConfigError, InputError
from semantic_core.types import (
    Among,
    ChunkId,
    Completion,
    Document,
    IngestMode,
    IngestReport,
    Mode,
    Page,
    Passages,
    Ref,
    SearchHit,
    SearchResults,
    StoredChunk,
    StoreStats,
    Where,
)

if TYPE_CHECKING:
    from semantic_core._ingest import IngestProgress
    from semantic_core._typos import Typos
    from semantic_core.query_syntax import Syntax
    from semantic_core.ranking import RankingOptions

T = TypeVar("T")

THREADS = 8
"""Reads that run at the same time, and as many writes, if the embedder is a service, since most of
them wait for it.
"""


def usual_threads(core: SemanticCore) -> int:
    """The default number of reads that run at the same time.

    If the embedder runs in this process, a search computes all the time. More searches than cores
    are no faster, and slow down each other and every write, because each step waits for Python's
    lock; one more than cores uses the time in which another waits for the disk.
    """
    if not getattr(core.embedder, "is_local", False):
        return THREADS
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) + 1
    return (os.cpu_count() or 1) + 1


class AsyncSemanticCore:
    """A `SemanticCore` whose methods are awaited. Methods and errors are those of `SemanticCore`.

    core: the client to use, such as ``SemanticCore.from_config()``; it may be used directly as
    well. threads: reads that run at the same time, and as many writes beside them; None uses one
    more than there are cores if the embedder runs in this process (``is_local = True``), else 8.
    Use it in an ``async with`` block, or `close` it. Raises ConfigError if anyio is not installed.
    """

    def __init__(self, core: SemanticCore, *, threads: int | None = None) -> None:
        if threads is None:
            threads = usual_threads(core)
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            raise InputError(f"threads must be a whole number of at least 1, got {threads!r}.")
        try:
            import anyio
            import anyio.to_thread
        except ImportError as error:
            raise ConfigError(
                "AsyncSemanticCore needs anyio.", hint='pip install "semantic-core-kernel[async]"'
            ) from error
        self.core = core
        self._reading = anyio.CapacityLimiter(threads)
        self._writing = anyio.CapacityLimiter(threads)
        self._run = anyio.to_thread.run_sync

    @classmethod
    async def from_config(
        cls, config: str | Path | None = None, *, threads: int | None = None, **overrides: Any
    ) -> Self:
        """See `SemanticCore.from_config`. A thread opens the store and loads plugins."""
        import anyio.to_thread

        opens = partial(SemanticCore.from_config, config, **overrides)
        return cls(await anyio.to_thread.run_sync(opens), threads=threads)

    async def call(self, work: Callable[[], T], *, writes: bool = False) -> T:
        """Run any blocking call the same way, such as ``lambda: Article.search("loops")``.

        writes: whether it changes anything. Then it does not wait for reads, and a cancellation
        waits for its end.
        """
        limiter = self._writing if writes else self._reading
        return await self._run(work, abandon_on_cancel=not writes, limiter=limiter)

    def tenant(self, name: str) -> AsyncSemanticCore:
        """See `SemanticCore.tenant`. Shares the threads."""
        return self._of(self.core.tenant(name))

    def unrestricted(self) -> AsyncSemanticCore:
        """See `SemanticCore.unrestricted`. Shares the threads."""
        return self._of(self.core.unrestricted())

    def _of(self, core: SemanticCore) -> AsyncSemanticCore:
        """A client of the same index that shares the threads."""
        scoped = type(self)(core)
        scoped._reading = self._reading
        scoped._writing = self._writing
        return scoped

    async def ingest(
        self,
        *documents: Document | Iterable[Document],
        mode: IngestMode = "sync",
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> IngestReport:
        """See `SemanticCore.ingest`. progress is called in the worker thread."""
        work = partial(self.core.ingest, *documents, mode=mode, progress=progress)
        return await self.call(work, writes=True)

    async def ingest_file(
        self,
        path: str | Path,
        *,
        collection: str = "files",
        key: str | None = None,
        media_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: IngestMode = "sync",
    ) -> IngestReport:
        """See `SemanticCore.ingest_file`."""
        work = partial(
            self.core.ingest_file,
            path,
            collection=collection,
            key=key,
            media_type=media_type,
            metadata=metadata,
            mode=mode,
        )
        return await self.call(work, writes=True)

    async def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        among: Among = None,
        total: bool = False,
        facets: Sequence[str] | Mapping[str, int] | None = None,
        order_by: str | None = None,
        passages: Passages = "best",
        min_score: float = 0.0,
        ranking: RankingOptions | Mapping[str, Any] | None = None,
        syntax: Syntax = "plain",
        fields: Sequence[str] = (),
        typos: Typos = "suggest",
    ) -> SearchResults:
        """See `SemanticCore.search`."""
        work = partial(
            self.core.search,
            query,
            limit=limit,
            mode=mode,
            where=where,
            offset=offset,
            collections=collections,
            context=context,
            among=among,
            total=total,
            facets=facets,
            order_by=order_by,
            passages=passages,
            min_score=min_score,
            ranking=ranking,
            syntax=syntax,
            fields=fields,
            typos=typos,
        )
        return await self.call(work)

    async def search_chunks(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        among: Among = None,
        min_score: float = 0.0,
        ranking: RankingOptions | Mapping[str, Any] | None = None,
        syntax: Syntax = "plain",
        fields: Sequence[str] = (),
        typos: Typos = "suggest",
    ) -> SearchResults:
        """See `SemanticCore.search_chunks`."""
        work = partial(
            self.core.search_chunks,
            query,
            limit=limit,
            mode=mode,
            where=where,
            offset=offset,
            collections=collections,
            context=context,
            among=among,
            min_score=min_score,
            ranking=ranking,
            syntax=syntax,
            fields=fields,
            typos=typos,
        )
        return await self.call(work)

    async def complete(
        self,
        text: str,
        *,
        limit: int = 10,
        where: Where = None,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> tuple[Completion, ...]:
        """See `SemanticCore.complete`."""
        work = partial(
            self.core.complete,
            text,
            limit=limit,
            where=where,
            collections=collections,
            context=context,
        )
        return await self.call(work)

    async def similar(
        self,
        ref: Ref | SearchHit,
        *,
        limit: int = 10,
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> SearchResults:
        """See `SemanticCore.similar`."""
        work = partial(
            self.core.similar,
            ref,
            limit=limit,
            where=where,
            offset=offset,
            collections=collections,
            context=context,
        )
        return await self.call(work)

    async def context_window(
        self,
        hit: SearchHit | ChunkId,
        *,
        before: int = 1,
        after: int = 1,
        context: Mapping[str, Any] | None = None,
    ) -> list[StoredChunk]:
        """See `SemanticCore.context_window`."""
        work = partial(self.core.context_window, hit, before=before, after=after, context=context)
        return await self.call(work)

    async def get(self, ref: Ref, *, context: Mapping[str, Any] | None = None) -> Document | None:
        """See `SemanticCore.get`."""
        return await self.call(partial(self.core.get, ref, context=context))

    async def remove(self, *refs: Ref) -> int:
        """See `SemanticCore.remove`."""
        return await self.call(partial(self.core.remove, *refs), writes=True)

    async def documents(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        where: Where = None,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        among: Among = None,
    ) -> Page:
        """See `SemanticCore.documents`."""
        work = partial(
            self.core.documents,
            offset=offset,
            limit=limit,
            where=where,
            collections=collections,
            context=context,
            among=among,
        )
        return await self.call(work)

    async def stats(self, *, all_tenants: bool = False) -> StoreStats:
        """See `SemanticCore.stats`."""
        return await self.call(partial(self.core.stats, all_tenants=all_tenants))

    async def embed_pending(self, limit: int | None = None) -> int:
        """See `SemanticCore.embed_pending`."""
        return await self.call(partial(self.core.embed_pending, limit), writes=True)

    async def sync(
        self, *, limit: int | None = None, progress: Callable[[Any], None] | None = None
    ) -> IngestReport:
        """See `SemanticCore.sync`, of everything bound to the client. progress is called in the
        worker thread.
        """
        return await self.call(partial(self.core.sync, limit=limit, progress=progress), writes=True)

    async def close(self) -> None:
        """See `SemanticCore.close`."""
        await self.call(self.core.close, writes=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import anyio

        with anyio.CancelScope(shield=True):
            await self.close()

    def __repr__(self) -> str:
        return f"<AsyncSemanticCore of {self.core!r}>"
