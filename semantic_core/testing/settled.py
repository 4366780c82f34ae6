"""`SettledCore`, a core for the tests of applications: it is in memory and always up to date, also
within transactions that are rolled back.

`rebound` binds the indexes of an application to it while a test lasts.

Tested by tests/orm/test_pytest_plugin.py.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import attrs

from semantic_core._memory.store import MemoryStore
from semantic_core._sync import merged
from semantic_core.core import SemanticCore
from semantic_core.errors import EmbedderError
from semantic_core.orm import BaseORMAdapter, SemanticIndex
from semantic_core.orm.agreement import Agreement
from semantic_core.orm.sync import SyncCoordinator
from semantic_core.protocols import Embedder, Follower, Outbox, Source, Store
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
"""Under this collection the outbox in the application's database has the number of the last step
that a core has done. A rollback resets it together with the rows.
"""


Declared = tuple[type, SemanticIndex]
"""A model and an index declared on it."""


class _Unstamped(MemoryStore):
    """A store without stamps: a database gives the numbers of pending changes again after they were
    rolled back.
    """

    def replace(
        self,
        batch: Iterable[tuple[Document, Sequence[Entry]]],
        stamps: Mapping[Ref, int] | None = None,
    ) -> ReplaceReport:
        return super().replace(batch)

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int] | None = None) -> int:
        return super().remove(refs)


class Undisputed(Agreement):
    """An agreement without checks: the index ends with the test, so nothing about it is recorded in
    the application's database.
    """

    @property
    def consumer(self) -> str:
        """See `Agreement`. No consumer in particular."""
        return ""

    def check(self) -> str:
        """See `Agreement`."""
        return ""

    def acknowledge(self) -> None:
        """See `Agreement`."""

    def leave_copies_behind(self) -> None:
        """See `Agreement`. There are none."""

    def read(self, collection: str) -> None:
        """See `Agreement`."""


@attrs.define
class _Steps:
    """What a core has done for a database. token: names this core in the database. done: per step,
    the addresses whose changes it processed. known: names of the indexes whose rows it has read.
    """

    token: str = attrs.field(factory=partial(secrets.token_hex, 8))
    done: list[set[Ref]] = attrs.field(factory=list)
    known: set[str] = attrs.field(factory=set)


@attrs.define
class _Progress:
    """What a core shares with the same core for one tenant. steps: by database. reading: the
    addresses read so far by the sync that runs. failure: the last error of the embedder.
    """

    steps: dict[int, _Steps] = attrs.field(factory=dict)
    reading: list[set[Ref]] = attrs.field(factory=list)
    failure: str = ""
    lock: Any = attrs.field(factory=threading.RLock)


class SettledCore(SemanticCore):
    """A core in memory that processes all pending changes before it answers. So a test finds rows
    as soon as they are written, and never has to wait.

    This is true within an open transaction too; after a rollback, of a savepoint or of the whole
    transaction, the index is as before. Rows that were in a table before the first call are indexed
    as well. Nothing happens in the background, whatever the ``sync`` option of an index is.
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
        """The last error of the embedder, while passages have no vector; "" if all have one."""
        return self._progress.failure

    def settle(self) -> IngestReport:
        """Process all pending changes in this thread; returns a report of them.

        `search`, `get` and the other methods that read call it.
        """
        progress = self._progress
        with progress.lock:
            if progress.reading:  # called again by the sync that runs
                return IngestReport()
            reports: list[IngestReport] = []
            for follower in self.followers:
                if isinstance(follower, SyncCoordinator) and follower.outbox.exists():
                    reports.append(self._settle(follower))
            report = merged(*reports)
            progress.failure = ""
            try:
                return attrs.evolve(report, embedded=report.embedded + self.embed_pending())
            except EmbedderError as error:
                progress.failure = str(error)
                return report

    def _settle(self, coordinator: SyncCoordinator) -> IngestReport:
        if coordinator.working:  # this thread compares rows, as `reindex` does, and reads documents
            return IngestReport()
        steps = self._progress.steps.setdefault(id(coordinator), _Steps())
        read: set[Ref] = set()
        self._progress.reading.append(read)
        try:
            standing, undone = self._undone(coordinator, steps)
            self._look_again(coordinator, undone)
            for name in coordinator.adapters.keys() - steps.known:
                adapter = coordinator.adapters[name]
                comparison = coordinator.comparison(adapter)
                comparison.begin("the rows that were there before")
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
        """The number of steps that the database still has, and the addresses of those that were
        rolled back.
        """
        state = coordinator.outbox.get_state(MARK, self._mark) or ""
        token, _, number = state.partition(" ")
        standing = int(number) if token == steps.token else 0
        undone: set[Ref] = set()
        undone.update(*steps.done[standing:])
        return standing, undone

    def _look_again(self, coordinator: SyncCoordinator, refs: set[Ref]) -> None:
        for name, adapter in coordinator.adapters.items():
            mine = sorted(ref for ref in refs if ref.collection == name)
            gone = set(mine)
            documents: list[Document] = []
            for document in adapter.documents(mine):
                if isinstance(document, Document):
                    documents.append(document)
                    gone.discard(document.ref)
            super().ingest(documents, mode="async")
            self.store.remove(gone)

    # --- methods that settle first ----------------------------------------------------------------

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

    def get(self, ref: Ref, *, context: Mapping[str, Any] | None = None) -> Document | None:
        """See `SemanticCore.get`."""
        self.settle()
        return super().get(ref, context=context)

    def documents(self, **options: Any) -> Page:
        """See `SemanticCore.documents`."""
        self.settle()
        return super().documents(**options)

    def stats(self, *, all_tenants: bool = False) -> StoreStats:
        """See `SemanticCore.stats`."""
        self.settle()
        return super().stats(all_tenants=all_tenants)

    def follow(self, follower: Follower) -> None:
        """See `SemanticCore.follow`. The follower does not process changes by itself."""
        if isinstance(follower, SyncCoordinator):
            follower.close()
            follower.agreement = Undisputed(self.store, follower.agreement.consumers)
        super().follow(follower)


def has_tenants(index: SemanticIndex) -> bool:
    """Whether an index is declared with a tenant."""
    return index._declaration["tenant"] is not None


@contextmanager
def rebound(main: SettledCore) -> Iterator[None]:
    """Within this block, every index declared so far is bound to a `SettledCore`, or will be when
    the application binds it. Afterwards all indexes are bound as before.

    main: the core of indexes that are not bound yet, and of those that share the core of the index
    bound last. Indexes of another core get another `SettledCore`, and so do indexes with tenants if
    `main` has none. The block changes no database: an index that was bound before has its tables
    and triggers.
    """
    before: dict[Declared, BaseORMAdapter | None] = {}
    options: dict[Declared, dict[str, Any]] = {}
    own: dict[SemanticIndex, Any] = {}
    alive: dict[Declared, BaseORMAdapter] = {}
    last: Store | None = None
    for model, index in SemanticIndex.declared():
        declared = model, index
        adapter = index._bound.get(model)
        before[declared] = adapter
        options[declared] = index._options.get(model, {})
        own[index] = index._core
        if adapter is not None and _is_open(adapter):
            alive[declared] = adapter
            last = adapter.core.store
    multi_tenant = main.store.multi_tenant
    cores = {(id(None), multi_tenant): main, (id(last), multi_tenant): main}

    def core_for(index: SemanticIndex, adapter: BaseORMAdapter | None) -> SettledCore:
        store = adapter.core.store if adapter is not None else None
        tenants = has_tenants(index)
        if (id(store), tenants) not in cores:
            cores[id(store), tenants] = SettledCore(main.embedder, multi_tenant=tenants)
        return cores[id(store), tenants]

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
                index._bound[model] = then
                index._options[model] = options[model, index]
                then.coordinator.add(then)
        for core in cores.values():
            core.close()


def _is_open(adapter: BaseORMAdapter) -> bool:
    """Whether the core of an adapter is open and its database is known to the ORM.

    A `SettledCore` closes its coordinators at once, and itself in the end.
    """
    core = adapter.core
    try:
        hash((adapter.dialect, adapter.database))
    except Exception:  # noqa: BLE001
        # An ORM may raise any error for a database that it does not know any more.
        return False
    return not (core.closed if isinstance(core, SettledCore) else adapter.coordinator.closed)


def _copy(adapter: BaseORMAdapter, core: SettledCore) -> BaseORMAdapter:
    """The adapter of the same index in another core. It is not set up again: the copy has what the
    adapter found out when it was set up.
    """
    copy = object.__new__(_quiet(type(adapter)))
    members = dict(vars(adapter))
    for name in ("coordinator", "_capture"):
        members.pop(name, None)
    vars(copy).update(members, _connected=False)
    copy.core = core
    copy.coordinator.add(copy)
    return copy


@cache
def _quiet(adapter_class: type[BaseORMAdapter]) -> type[BaseORMAdapter]:
    """The same adapter class without commit listeners: no copy needs them, and ORMs do not remove
    them.
    """

    def on_commit(self: BaseORMAdapter, wake: Callable[[], None]) -> None:
        return

    return type(
        adapter_class.__name__,
        (adapter_class,),
        {"on_commit": on_commit, "__module__": adapter_class.__module__},
    )
