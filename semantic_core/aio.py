"""`AsyncSemanticCore`: the same front door for event loops.

Every call runs in a thread; nothing is written twice.

The library blocks by design: SQLite does, and so does an embedder. Here each call is handed to a
worker thread (anyio, so asyncio and trio alike), and the loop goes on. At most `threads` reads run
at a time, and beside them as many writes: a write never waits behind searches. Others wait their
turn in the loop.

Cancellation. A read that is cancelled (a search whose client has gone) is left to end in its
thread, and its answer is dropped; the awaiting task goes on at once. A write is never left half
watched: the awaiting task hears of its cancellation when the write has ended, and the write is
whole or not at all as always.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from semantic_core.core import SemanticCore, Where
from semantic_core.errors import ConfigError, InputError
from semantic_core.types import (
    ChunkId,
    Document,
    IngestMode,
    IngestReport,
    Mode,
    Page,
    Ref,
    SearchHit,
    SearchResults,
    StoredChunk,
    StoreStats,
)

if TYPE_CHECKING:
    from semantic_core._ingest import IngestProgress

T = TypeVar("T")

THREADS = 8
"""Reads that run at the same time, and as many writes, where the embedder is a service:
most of them wait for it.
"""


def usual_threads(core: SemanticCore) -> int:
    """Reads that run at the same time, unless said otherwise.

    Where the embedder runs in this process, all of a search is work for a processor. More of them
    than there are cores end no sooner, and hold up each other and every write, because each step
    waits for Python's lock; one more than that fills the gaps in which one waits for the disk.
    """
    if not getattr(core.embedder, "is_local", False):
        return THREADS
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return cores + 1


class AsyncSemanticCore:
    """A `SemanticCore` to be awaited. Methods and their errors are those of `SemanticCore`.

    core: the one to use, such as ``SemanticCore.from_config()``; it may be used directly as well.
    threads: reads that run at the same time, and as many writes beside them; None takes one more
    than there are cores where the embedder runs in this process (it says so with
    ``is_local = True``), else 8. Use it in an ``async with`` block, or `close` it. Raises
    ConfigError where anyio is not installed.
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
        """As `SemanticCore.from_config`; opening the store and loading plugins
        happen in a thread.
        """
        import anyio.to_thread

        return cls(
            await anyio.to_thread.run_sync(lambda: SemanticCore.from_config(config, **overrides)),
            threads=threads,
        )

    async def call(self, work: Callable[[], T], *, writes: bool = False) -> T:
        """Run any blocking call the same way, such as ``lambda: Article.search("loops")``.

        writes: whether it changes anything. It then does not wait behind reads, and a cancellation
        waits for its end.
        """
        limiter = self._writing if writes else self._reading
        return await self._run(work, abandon_on_cancel=not writes, limiter=limiter)

    def tenant(self, name: str) -> AsyncSemanticCore:
        """See `SemanticCore.tenant`. Shares the threads."""
        scoped = type(self)(self.core.tenant(name))
        scoped._reading = self._reading
        scoped._writing = self._writing
        return scoped

    async def ingest(
        self,
        *documents: Document | Iterable[Document],
        mode: IngestMode = "sync",
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> IngestReport:
        """See `SemanticCore.ingest`. progress is called in the thread."""
        return await self.call(
            lambda: self.core.ingest(*documents, mode=mode, progress=progress), writes=True
        )

    async def ingest_file(
        self,
        path: str | Path,
        *,
        collection: str = "files",
        key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: IngestMode = "sync",
    ) -> IngestReport:
        """See `SemanticCore.ingest_file`."""
        return await self.call(
            lambda: self.core.ingest_file(
                path, collection=collection, key=key, metadata=metadata, mode=mode
            ),
            writes=True,
        )

    async def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
    ) -> SearchResults:
        """See `SemanticCore.search`."""
        return await self.call(
            lambda: self.core.search(
                query, limit=limit, mode=mode, where=where, offset=offset, collections=collections
            )
        )

    async def search_chunks(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
    ) -> SearchResults:
        """See `SemanticCore.search_chunks`."""
        return await self.call(
            lambda: self.core.search_chunks(
                query, limit=limit, mode=mode, where=where, offset=offset, collections=collections
            )
        )

    async def context_window(
        self, hit: SearchHit | ChunkId, *, before: int = 1, after: int = 1
    ) -> list[StoredChunk]:
        """See `SemanticCore.context_window`."""
        return await self.call(lambda: self.core.context_window(hit, before=before, after=after))

    async def get(self, ref: Ref) -> Document | None:
        """See `SemanticCore.get`."""
        return await self.call(lambda: self.core.get(ref))

    async def remove(self, *refs: Ref) -> int:
        """See `SemanticCore.remove`."""
        return await self.call(lambda: self.core.remove(*refs), writes=True)

    async def documents(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        where: Where = None,
        collections: Sequence[str] | None = None,
    ) -> Page:
        """See `SemanticCore.documents`."""
        return await self.call(
            lambda: self.core.documents(
                offset=offset, limit=limit, where=where, collections=collections
            )
        )

    async def stats(self, *, all_tenants: bool = False) -> StoreStats:
        """See `SemanticCore.stats`."""
        return await self.call(lambda: self.core.stats(all_tenants=all_tenants))

    async def embed_pending(self, limit: int | None = None) -> int:
        """See `SemanticCore.embed_pending`."""
        return await self.call(lambda: self.core.embed_pending(limit), writes=True)

    async def sync(
        self, *, limit: int | None = None, progress: Callable[[Any], None] | None = None
    ) -> IngestReport:
        """See `SemanticCore.sync`, of everything bound to the core.
        progress is called in the thread that works.
        """
        return await self.call(lambda: self.core.sync(limit=limit, progress=progress), writes=True)

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
