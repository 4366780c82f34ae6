"""A core for the tests of applications: in memory, and never behind,
also within transactions that are rolled back.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from semantic_core._memory import MemoryStore
from semantic_core._sync import merged
from semantic_core.core import SemanticCore
from semantic_core.errors import EmbedderError
from semantic_core.orm._agreement import Agreement
from semantic_core.orm._hub import Hub
from semantic_core.protocols import Embedder, Follower, Outbox, Source
from semantic_core.types import (
    Document,
    Entry,
    IngestMode,
    IngestReport,
    Page,
    Ref,
    ReplaceReport,
    SearchResults,
    StoreStats,
)

MARK = "semantic-core-tests"
"""Collection of the state that says, in the application's database, how far a core has settled."""


class _Unstamped(MemoryStore):
    """Stamps do not count: numbers of tickets that were rolled back are given out again."""

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        return super().replace(batch)

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        return super().remove(refs)


class Undisputed(Agreement):
    """The test knows what it has done; the application's database is told nothing of an index that
    ends with the test.
    """

    @property
    def consumer(self) -> str:
        """See `Agreement`: nobody in particular."""
        return ""

    def check(self) -> str:
        """See `Agreement`."""
        return ""

    def acknowledge(self) -> None:
        """See `Agreement`."""

    def leave_copies_behind(self) -> None:
        """See `Agreement`: there are none."""

    def read(self, collection: str) -> None:
        """See `Agreement`."""


@attrs.define
class _Steps:
    """What a core has done for a database. done: per step, the refs that were worked off in it."""

    token: str = attrs.field(factory=lambda: secrets.token_hex(8))
    done: list[set[Ref]] = attrs.field(factory=list)
    known: set[str] = attrs.field(factory=set)


@attrs.define
class _Progress:
    """What a core and its front doors for tenants share. reading: refs read so far,
    of what is being worked off now.
    """

    steps: dict[int, _Steps] = attrs.field(factory=dict)
    reading: list[set[Ref]] = attrs.field(factory=list)
    failure: str = ""
    lock: Any = attrs.field(factory=threading.RLock)


class SettledCore(SemanticCore):
    """Works off what waits before it answers anything, so a test never waits: rows are found as
    soon as they are written.

    It does so within an open transaction too, and knows when a savepoint, or all of it, was rolled
    back since. Rows that were in a table before the first question are there as well. Nothing
    happens in the background, whatever an index says.
    """

    def __init__(self, embedder: Embedder, *, multi_tenant: bool = False) -> None:
        super().__init__(
            store=_Unstamped(embedder.space, multi_tenant=multi_tenant), embedder=embedder
        )
        self._progress = _Progress()
        self.closed = False

    def close(self) -> None:
        """See `SemanticCore.close`."""
        self.closed = True
        super().close()

    @property
    def last_failure(self) -> str:
        """Why passages have no vector yet, as the embedder said last; "" if all have one."""
        return self._progress.failure

    def settle(self) -> IngestReport:
        """Work off everything that waits, in this thread; what was done.

        Called by `search`, `get` and the like.
        """
        progress = self._progress
        with progress.lock:
            if progress.reading:  # in the middle of it
                return IngestReport()
            hubs = [follower for follower in self.followers if isinstance(follower, Hub)]
            report = merged(*(self._settle(hub) for hub in hubs if hub.outbox.exists()))
            progress.failure = ""
            try:
                return attrs.evolve(report, embedded=report.embedded + self.embed_pending())
            except EmbedderError as error:
                progress.failure = str(error)
                return report

    def _settle(self, hub: Hub) -> IngestReport:
        steps = self._progress.steps.setdefault(id(hub), _Steps())
        read: set[Ref] = set()
        self._progress.reading.append(read)
        try:
            standing, undone = self._undone(hub, steps)
            self._look_again(hub, undone)
            for name in hub.adapters.keys() - steps.known:
                adapter = hub.adapters[name]
                hub.comparison(adapter).begin("the rows that were there before")
                steps.known.add(name)
            report = hub.sync(None, mode="async")
        finally:
            self._progress.reading.pop()
        if read or undone:
            steps.done[standing:] = [read | undone]
            hub.outbox.set_state(MARK, self._mark, f"{steps.token} {len(steps.done)}")
        return report

    @property
    def _mark(self) -> str:
        return "settled tenants" if self.store.multi_tenant else "settled"

    def _undone(self, hub: Hub, steps: _Steps) -> tuple[int, set[Ref]]:
        """How many steps still stand in the database,
        and what was worked off in those that were rolled back.
        """
        token, _, number = (hub.outbox.get_state(MARK, self._mark) or "").partition(" ")
        standing = int(number) if token == steps.token else 0
        return standing, {ref for done in steps.done[standing:] for ref in done}

    def _look_again(self, hub: Hub, refs: set[Ref]) -> None:
        for name, adapter in hub.adapters.items():
            mine = sorted(ref for ref in refs if ref.collection == name)
            there = [
                document for document in adapter.documents(mine) if isinstance(document, Document)
            ]
            super().ingest(there, mode="async")
            self.store.remove(set(mine) - {document.ref for document in there})

    # --- what settles first -----------------------------------------------------------------------

    def sync(
        self,
        outbox: Outbox | None = None,
        sources: Mapping[str, Source] | None = None,
        *,
        limit: int | None = None,
        mode: IngestMode = "sync",
        progress: Callable[[Any], None] | None = None,
    ) -> IngestReport:
        """See `SemanticCore.sync`."""
        if outbox is None:
            return self.settle()
        noted = {name: self._noting(source) for name, source in (sources or {}).items()}
        return super().sync(outbox, noted, limit=limit, mode=mode)

    def _noting(self, source: Source) -> Source:
        def read(refs: Sequence[Ref]) -> Any:
            if self._progress.reading:
                self._progress.reading[-1].update(refs)
            return source(refs)

        return read

    def search(self, query: str, **options: Any) -> SearchResults:
        """See `SemanticCore.search`."""
        self.settle()
        return super().search(query, **options)

    def search_chunks(self, query: str, **options: Any) -> SearchResults:
        """See `SemanticCore.search_chunks`."""
        self.settle()
        return super().search_chunks(query, **options)

    def get(self, ref: Ref) -> Document | None:
        """See `SemanticCore.get`."""
        self.settle()
        return super().get(ref)

    def documents(self, **options: Any) -> Page:
        """See `SemanticCore.documents`."""
        self.settle()
        return super().documents(**options)

    def stats(self, *, all_tenants: bool = False) -> StoreStats:
        """See `SemanticCore.stats`."""
        self.settle()
        return super().stats(all_tenants=all_tenants)

    def follow(self, follower: Follower) -> None:
        """See `SemanticCore.follow`. What follows works nothing off by itself."""
        if isinstance(follower, Hub):
            follower.close()
            follower.agreement = Undisputed(self.store, follower.agreement.consumers)
        super().follow(follower)
