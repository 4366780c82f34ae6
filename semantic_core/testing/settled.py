"""A core for the tests of applications: in memory, and never behind,
also within transactions that are rolled back.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import attrs

from semantic_core._memory.store import MemoryStore
from semantic_core._sync import merged
from semantic_core.core import SemanticCore
from semantic_core.errors import EmbedderError
from semantic_core.orm import BaseORMAdapter, SemanticIndex
from semantic_core.orm.agreement import Agreement
from semantic_core.orm.sync import SyncCoordinator
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
            coordinators = [
                follower for follower in self.followers if isinstance(follower, SyncCoordinator)
            ]
            report = merged(
                *(
                    self._settle(coordinator)
                    for coordinator in coordinators
                    if coordinator.outbox.exists()
                )
            )
            progress.failure = ""
            try:
                return attrs.evolve(report, embedded=report.embedded + self.embed_pending())
            except EmbedderError as error:
                progress.failure = str(error)
                return report

    def _settle(self, coordinator: SyncCoordinator) -> IngestReport:
        steps = self._progress.steps.setdefault(id(coordinator), _Steps())
        read: set[Ref] = set()
        self._progress.reading.append(read)
        try:
            standing, undone = self._undone(coordinator, steps)
            self._look_again(coordinator, undone)
            for name in coordinator.adapters.keys() - steps.known:
                adapter = coordinator.adapters[name]
                coordinator.comparison(adapter).begin("the rows that were there before")
                steps.known.add(name)
            report = coordinator.sync(None, mode="async")
        finally:
            self._progress.reading.pop()
        if read or undone:
            steps.done[standing:] = [read | undone]
            coordinator.outbox.set_state(MARK, self._mark, f"{steps.token} {len(steps.done)}")
        return report

    @property
    def _mark(self) -> str:
        return "settled tenants" if self.store.multi_tenant else "settled"

    def _undone(self, coordinator: SyncCoordinator, steps: _Steps) -> tuple[int, set[Ref]]:
        """How many steps still stand in the database,
        and what was worked off in those that were rolled back.
        """
        token, _, number = (coordinator.outbox.get_state(MARK, self._mark) or "").partition(" ")
        standing = int(number) if token == steps.token else 0
        return standing, {ref for done in steps.done[standing:] for ref in done}

    def _look_again(self, coordinator: SyncCoordinator, refs: set[Ref]) -> None:
        for name, adapter in coordinator.adapters.items():
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
        if isinstance(follower, SyncCoordinator):
            follower.close()
            follower.agreement = Undisputed(self.store, follower.agreement.consumers)
        super().follow(follower)


# Declared indexes are bound to another core while a test lasts, and put back.


def has_tenants(index: SemanticIndex) -> bool:
    """Whether an index names the tenants of its rows."""
    return index._said["tenant"] is not None


@contextmanager
def rebound(main: SettledCore) -> Iterator[None]:
    """Within it, every index declared so far is bound to another core, or will be;
    afterwards all is as it was before.

    main: for indexes that are not bound yet, and those of the core that was bound last. Those of
    another core, or with tenants where it has none, get one of their own. Touches no database: what
    was bound before has its tables and triggers.
    """
    before = {(model, index): index._bound.get(model) for model, index in SemanticIndex.declared()}
    options = {(model, index): index._options.get(model, {}) for model, index in before}
    own = {index: index._core for _, index in before}
    alive = {
        declared: adapter
        for declared, adapter in before.items()
        if adapter is not None and _is_open(adapter)
    }
    last = next((adapter.core.store for adapter in reversed(alive.values())), None)
    cores = {(id(store), main.store.multi_tenant): main for store in (None, last)}

    def core_for(index: SemanticIndex, adapter: BaseORMAdapter | None) -> SettledCore:
        key = id(adapter.core.store if adapter is not None else None), has_tenants(index)
        if key not in cores:
            cores[key] = SettledCore(main.embedder, multi_tenant=key[1])
        return cores[key]

    try:
        for model, index in before:
            adapter = alive.get((model, index))
            index._core = core_for(index, adapter)
            if adapter is not None:
                adapter.coordinator.leave(adapter)
                index._bound[model] = _copy(adapter, index._core)
        yield
    finally:
        for index, given in own.items():
            index._core = given
        for model, index in SemanticIndex.declared():
            now = index._bound.get(model)
            then = before.get((model, index))
            if now is None or now is then or not isinstance(now.core, SettledCore):
                continue
            now.coordinator.leave(now)
            if now._connected:
                now.disconnect()
            index._bound.pop(model)
            if then is not None:
                index._bound[model], index._options[model] = then, options[model, index]
                then.coordinator.add(then)
        for core in cores.values():
            core.close()


def _is_open(adapter: BaseORMAdapter) -> bool:
    """Whether the core of an adapter is in use, and its database there.

    A `SettledCore` closes its coordinators at once, and itself in the end.
    """
    core = adapter.core
    try:
        hash((adapter.dialect, adapter.database))
    except Exception:  # noqa: BLE001
        # Whatever an ORM raises for a database it does not know any more.
        return False
    return not (core.closed if isinstance(core, SettledCore) else adapter.coordinator._closed)


def _copy(adapter: BaseORMAdapter, core: SettledCore) -> BaseORMAdapter:
    """The same index, kept in another core.

    What only a setting up finds out, the adapter has found out already.
    """
    copy = object.__new__(_quiet(type(adapter)))
    made = {
        name: value
        for name, value in vars(adapter).items()
        if name not in ("coordinator", "_capture")
    }
    vars(copy).update(made, _connected=False)
    copy.core = core
    copy.coordinator.add(copy)
    return copy


@cache
def _quiet(adapter_class: type[BaseORMAdapter]) -> type[BaseORMAdapter]:
    """The same adapter, which asks its ORM to be told of no commit: nobody would listen,
    and ORMs forget no listener.
    """

    def on_commit(self: BaseORMAdapter, wake: Callable[[], None]) -> None:
        return

    return type(
        adapter_class.__name__,
        (adapter_class,),
        {"on_commit": on_commit, "__module__": adapter_class.__module__},
    )
