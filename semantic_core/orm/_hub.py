"""One per core and database: the outbox, the indexes it feeds, and when they are worked off.

Longer than the house limit because what happens to changes, and when, is told in one place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING

import attrs

from semantic_core._sync import merged
from semantic_core.errors import ConfigError, StoreMisuse
from semantic_core.orm._contract import AdapterContract
from semantic_core.orm._reinstall import Reinstall
from semantic_core.orm._tickets import Tickets
from semantic_core.orm._worker import Worker
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.types import Failure, IngestMode, IngestReport

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

BATCH = 1_000
"""Tickets taken at a time."""
PAUSE = 0.02
"""Seconds between two looks at tickets another worker holds."""

_log = logging.getLogger("semantic_core.orm")


@attrs.frozen
class IndexStatus:
    """How far an index is behind its table.

    waiting: changes to be worked off. backfill: rows noted by `install` or `reindex`. taken: being worked off right now.
    aborted: given up after many tries; kept, see ``semantic-core outbox``. oldest: when the oldest waiting change was made,
    in seconds since 1970; None if none waits. last_error: of the latest attempt that failed; "" since one succeeded.
    capturing: whether its triggers (or events) are there.
    """

    collection: str
    model: str
    capture: str
    sync: str
    waiting: int
    backfill: int
    taken: int
    aborted: int
    oldest: float | None
    last_error: str
    paused: bool
    capturing: bool


class Hub:
    """Works off the changes of one database. Safe to share between threads."""

    def __init__(self, core: SemanticCore, first: AdapterContract) -> None:
        self.core = core
        self.database = first.database
        self._first = first
        self.execute, self.dialect, self.placeholder = first.execute, first.dialect, first.placeholder
        self._closed = False
        self.adapters: Mapping[str, AdapterContract] = {}  # never changed, only replaced: others go through it meanwhile
        self.outbox = SqlOutbox(first.execute, first.dialect, placeholder=first.placeholder)
        self.worker = Worker(self._work, first.release)
        self._paused: dict[str, int] = {}
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._last_error = ""
        self._outbox_seen = False
        self.reinstall = Reinstall()
        first.on_commit(self.wake)

    def add(self, adapter: AdapterContract) -> None:
        """Let an index join. Raises ConfigError if another of that collection is here."""
        collection = adapter.declaration.collection
        with self._lock:
            other = self.adapters.get(collection)
            if other is not None and other is not adapter:
                raise ConfigError(
                    f"{adapter} and {other} would share one collection.", hint="Give one of them another collection=."
                )
            self.adapters = {**self.adapters, collection: adapter}

    def leave(self, adapter: AdapterContract) -> None:
        """Let an index go: its changes are another's business from now on."""
        with self._lock:
            if self.adapters.get(adapter.declaration.collection) is adapter:
                self.adapters = {name: each for name, each in self.adapters.items() if each is not adapter}

    @property
    def working(self) -> bool:
        """Whether this thread is working changes off right now: then what it writes is no change itself."""
        return bool(getattr(self._mine, "working", False))

    @property
    def elsewhere(self) -> bool:
        """Whether the connection leads to another database now, that of a test run: its rows are no business of this hub."""
        return self._first.database != self.database

    def wake(self) -> None:
        """Something was committed. Never raises: what goes wrong stands in the status, and the tickets wait."""
        if self._closed or self.working or self._first.in_transaction or self.elsewhere:
            return
        self.install_waiting()
        if not self._may_work():
            return
        active = [adapter for name, adapter in self.adapters.items() if name not in self._paused]
        inline = {adapter.declaration.collection for adapter in active if adapter.strategy == "inline"}
        if inline:
            try:
                self.sync(None, collections=inline, backfill=False)
                if any(adapter.same_transaction for adapter in active):
                    self._embed_pending(BATCH)
            except Exception:  # noqa: BLE001 - the application's commit has happened and must not fail; `sync` keeps the reason
                if not self._outbox_went():
                    _log.warning("Changes could not be worked off; they wait.", exc_info=True)
        if any(adapter.strategy == "background" for adapter in active):
            self.worker.wake()

    def install_waiting(self) -> None:
        """Install the indexes that wait for it; see `Reinstall`. Never raises."""
        nested, self._mine.working = self.working, True
        try:
            self.reinstall.settle()
        finally:
            self._mine.working = nested

    def _may_work(self) -> bool:
        """Whether there is an outbox to work off. Before it is made (a first migration) nothing is said; once it was there,
        its loss is said once."""
        try:
            there = self._outbox_seen or self.outbox.exists()
        except Exception:  # noqa: BLE001 - the application's commit has happened and must not fail
            _log.warning("The outbox cannot be reached; changes wait.", exc_info=True)
            return False
        self._outbox_seen = there
        return there

    def _outbox_went(self) -> bool:
        """Whether the outbox is gone that was there before: says so, once."""
        try:
            self._outbox_seen = self.outbox.exists()
        except Exception:  # noqa: BLE001 - asked because something failed; that is what is told then
            return False
        if not self._outbox_seen:
            _log.warning(
                "The tables of the outbox are gone, so changes are not noted any more. "
                "init_database(...) makes them anew and compares every row."
            )
        return not self._outbox_seen

    def write_words(self, limit: int | None = None) -> None:
        """Within an open transaction of a database that holds its own index: index what it changed, vectors apart.

        limit: changes; None takes all. Those of indexes that are paused, or worked off by hand, are left.
        """
        wanted = {
            name
            for name, adapter in self.adapters.items()
            if adapter.same_transaction and adapter.strategy != "manual" and name not in self._paused
        }
        if wanted and not self._closed and not self.working and self._may_work():
            self.sync(limit, collections=wanted, backfill=False, mode="async")

    def sync(
        self,
        limit: int | None = None,
        *,
        collections: Collection[str] | None = None,
        backfill: bool = True,
        pending: bool = False,
        mode: IngestMode = "auto",
    ) -> IngestReport:
        """Work off waiting changes of these collections (None: all), at most `limit` of them (None: all).

        backfill: rows noted by `install` and `reindex` too. pending: then embed what has no vector yet; an embedder that is
        away is a failure in the report. mode: as for `SemanticCore.ingest`; "async" may be used within a transaction.
        Raises what the store or the database raises; tickets are given back then. StoreMisuse within a transaction.
        """
        if self.elsewhere:
            return IngestReport()
        if mode != "async" and self._first.in_transaction:
            raise StoreMisuse(
                "Changes cannot be worked off within an open transaction: the index would hold what may be rolled back.",
                hint="Call it after the commit.",
            )
        wanted = set(self.adapters if collections is None else collections) & set(self.adapters)
        sources = {name: self.adapters[name].documents for name in wanted}
        report, left = IngestReport(), limit
        nested, self._mine.working = self.working, True
        try:
            while wanted and (left is None or left > 0):
                tickets = Tickets(self.outbox, {name: self.adapters[name] for name in wanted}, backfill)
                try:
                    done = self.core.sync(tickets, sources, limit=BATCH if left is None else min(left, BATCH), mode=mode)
                except BaseException:
                    tickets.give_back()
                    raise
                report = merged(report, done)
                if not tickets.taken:
                    break
                left = None if left is None else left - tickets.taken
            if pending:
                report = merged(report, self._embed_pending())
        except BaseException as error:
            self._last_error = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._mine.working = nested
        self._last_error = report.failed[-1].reason if report.failed else ""
        return report

    def freshen(self, collection: str, timeout: float) -> int:
        """Work off what waits in a collection, and wait for what others hold; how much is left after `timeout` seconds."""
        until = monotonic() + timeout
        while True:
            if not self._first.in_transaction:  # what is not committed yet is nobody's business
                self.sync(None, collections={collection}, backfill=False)
            counts = self.outbox.status({collection}).get(collection)
            left = 0 if counts is None else counts.taken
            if not left or monotonic() >= until or self._first.in_transaction:
                return 0 if counts is None else counts.taken + counts.waiting
            sleep(PAUSE)

    @contextmanager
    def paused(self, collection: str) -> Iterator[None]:
        """Within it, nothing of this collection is worked off unasked."""
        with self._lock:
            self._paused[collection] = self._paused.get(collection, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._paused[collection] -= 1
                if not self._paused[collection]:
                    del self._paused[collection]

    def status_of(self, adapter: AdapterContract, *, capturing: bool) -> IndexStatus:
        """How far this index is behind."""
        name = adapter.declaration.collection
        there = self.outbox.exists()
        counts = self.outbox.status({name}).get(name) if there else None
        return IndexStatus(
            collection=name,
            model=adapter.model.__name__,
            capture=adapter.capture,
            sync=adapter.strategy,
            waiting=counts.waiting if counts else 0,
            backfill=counts.backfill if counts else 0,
            taken=counts.taken if counts else 0,
            aborted=counts.aborted if counts else 0,
            oldest=counts.oldest if counts else None,
            last_error=self._last_error or (counts.last_error if counts else ""),
            paused=name in self._paused,
            capturing=capturing,
        )

    def close(self) -> None:
        """Stop the worker thread, and hear no more commits."""
        self._closed = True
        self.worker.stop()

    def _work(self) -> None:
        active = {
            name for name, adapter in self.adapters.items() if name not in self._paused and adapter.strategy == "background"
        }
        if active and self.outbox.exists():
            self.sync(None, collections=active, pending=True)

    def _embed_pending(self, limit: int | None = None) -> IngestReport:
        """What has no vector yet: embedded now, or by the embedder's batch jobs where those are wanted."""
        from semantic_core.errors import BudgetSpent, EmbedderError
        from semantic_core.protocols import VectorQueue

        if not isinstance(self.core.store, VectorQueue):
            return IngestReport()
        try:
            if self.core.batch_manager.takes_jobs:
                self.core.batch_manager.work()
                return IngestReport()
            return IngestReport(embedded=self.core.embed_pending(limit))
        except (EmbedderError, BudgetSpent) as error:
            return IngestReport(failed=(Failure("pending vectors", error.code, str(error)),))


def hub_of(core: SemanticCore, adapter: AdapterContract) -> Hub:
    """The hub of the adapter's database in this core; made at the first call. Raises ConfigError, see `Hub.add`."""
    collection = adapter.declaration.collection
    with _making:
        hubs: Sequence[Hub] = [each for each in core.followers if isinstance(each, Hub)]
        elsewhere = [each.adapters.get(collection) for each in hubs if each.database != adapter.database]
        for other in filter(None, elsewhere):
            raise ConfigError(
                f"{adapter} and {other}, of another database, would share one collection.",
                hint="Give one of them another collection=.",
            )
        hub = next((each for each in hubs if each.database == adapter.database), None)
        if hub is None:
            hub = Hub(core, adapter)
            core.follow(hub)
    hub.add(adapter)
    return hub


_making = threading.Lock()
