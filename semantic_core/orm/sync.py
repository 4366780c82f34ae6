"""`SyncCoordinator`: decides when the pending changes of a database are processed, and by whom.

There is one coordinator for each core and database. It owns the outbox, the indexes that read it,
the worker thread, and the agreement between index and outbox.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core._sync import merged
from semantic_core._validation import one_line
from semantic_core.errors import (
    ConfigError,
    SemanticCoreError,
    StoreBusy,
    StoreError,
    StoreMisuse,
    is_interruption,
)
from semantic_core.orm.agreement import Agreement
from semantic_core.orm.comparison import RowComparison
from semantic_core.orm.consumers import Consumers
from semantic_core.orm.contract import AdapterContract, in_one_connection
from semantic_core.orm.log import log
from semantic_core.orm.migrations import Reinstall, has_table
from semantic_core.orm.outbox import TRIGGERS, OutboxStatus, SqlOutbox
from semantic_core.orm.processing import (
    BATCH,
    PAUSE,
    Progress,
    compare_rows,
    embed_pending,
    latest_failures,
    process_changes,
)
from semantic_core.orm.scan import pages_of
from semantic_core.orm.worker import Worker
from semantic_core.protocols import Patient
from semantic_core.types import IngestMode, IngestReport

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

DROP = 30.0
"""Seconds between two searches for indexes that have stayed away for too long."""
SILENCE = 60.0
"""Seconds for which the same reason is not logged again."""
PATIENCE = 0.1
"""Seconds for which a commit waits for other writers of the index. Then its changes stay pending.
"""
REST = 2.0
"""Seconds for which the next commits do not wait for the index after one waited in vain, unless a
later attempt succeeds earlier. The worker thread keeps trying.
"""
LOOK_FOR_TRIGGERS = 5.0
"""Seconds between two checks whether triggers exist, on databases without a schema version."""

NOT_INSTALLED = "the index is not installed in the application's database"
NO_TRIGGERS = "triggers on {} are missing, so that changes go unseen"
OTHER_DECLARATION = "the index was installed last for another declaration than this process has"

_NEVER = float("-inf")


@attrs.frozen
class IndexStatus:
    """How far an index is behind its table.

    waiting: pending changes. taken: changes that are being processed now. aborted: changes given up
    after too many attempts; they stay in the outbox, see ``semantic-core outbox``. oldest: when the
    oldest pending change was made, in seconds since 1970; None if there is none.
    backfill: rows that wait to be compared with the index: existing rows before the first indexing,
    or all rows after index or database were restored. comparing: the reason; "" if none wait.
    last_error: of the latest attempt; "" if it succeeded. capturing: whether the triggers (or event
    listeners) exist.
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
    comparing: str = ""


class SyncCoordinator:
    """Processes the pending changes of one database. Threads may share it.

    core: where documents go. first: the adapter of one of its indexes, which gives the connection.
    last_error: of the latest attempt to process changes; "" if it succeeded.
    """

    def __init__(self, core: SemanticCore, first: AdapterContract) -> None:
        self.core = core
        self.database = first.database
        self.sql = first.sql
        self.outbox = SqlOutbox(self.sql, atomic=first.atomic)
        self.agreement = Agreement(core.store, Consumers(self.sql))
        self.reinstall = Reinstall()
        self.worker = Worker(self._work, first.release)
        self.adapters: Mapping[str, AdapterContract] = {}
        """Replaced as a whole by every change, since other threads may iterate over it."""
        self.last_error = ""
        self.owners_checked = False
        self._first = first
        self._closed = False
        self._stand_in: SemanticCore | None = None
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._paused: dict[str, int] = {}
        self._warned: set[str] = set()
        self._logged: dict[str, float] = {}
        self._captured: dict[str, int] = {}
        self._dropped_at = _NEVER
        self._rests_until = _NEVER
        self._installed = False
        self._behind_inline = False
        first.on_commit(self.wake)

    # --- its indexes ------------------------------------------------------------------------------

    def add(self, adapter: AdapterContract) -> None:
        """Add an index. Raises ConfigError if another index has the same collection."""
        collection = adapter.declaration.collection
        with self._lock:
            other = self.adapters.get(collection)
            if other is not None and other is not adapter:
                raise ConfigError(
                    f"{adapter} and {other} would share one collection.",
                    hint="Give one of them another collection=.",
                )
            self.adapters = {**self.adapters, collection: adapter}

    def leave(self, adapter: AdapterContract) -> None:
        """Remove an index: this coordinator does not process its changes any more."""
        collection = adapter.declaration.collection
        with self._lock:
            if self.adapters.get(collection) is adapter:
                remaining = dict(self.adapters)
                del remaining[collection]
                self.adapters = remaining

    def connected(self) -> AbstractContextManager[Any]:
        """See `AdapterContract.connected`; for the database of all its indexes."""
        return self._first.connected()

    @property
    def working(self) -> bool:
        """Whether this thread processes changes now. Then its own commits are no changes."""
        return bool(getattr(self._thread, "working", False))

    @property
    def elsewhere(self) -> bool:
        """Whether the connection leads to another database now, for example to that of a test run.
        Its rows are not processed here.
        """
        return self._first.database != self.database

    @property
    def closed(self) -> bool:
        """Whether its core was closed. Then commits have no effect here."""
        return self._closed

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A block in which the commits of this thread are no changes to process."""
        before = self.working
        self._thread.working = True
        try:
            yield
        finally:
            self._thread.working = before

    # --- index and outbox agree -------------------------------------------------------------------

    def agree(self) -> str:
        """Check whether outbox and index have the same history; if not, begin a new one. Returns
        the reason for a new one, else "".
        """
        if self.elsewhere:
            return ""
        if not self.owners_checked:
            self._check_owners()
        with self.at_work():
            why = self.agreement.check()
            for name in self.adapters:
                self.agreement.read(name)
            self.outbox.consumer = self.agreement.reader
            self.outbox.shared = self.agreement.others > 0
            if self.agreement.others and monotonic() - self._dropped_at > DROP:
                self._dropped_at = monotonic()
                self._drop_lost()
        return why

    def _check_owners(self) -> None:
        """Move indexes into memory whose documents another database owns."""
        for adapter in list(self.adapters.values()):
            self.move_if_foreign(adapter)
        self.owners_checked = True

    def move_if_foreign(self, adapter: AdapterContract) -> bool:
        """If another database owns the documents of this index, give the adapter an index in memory
        from now on. Returns whether that was so.
        """
        if adapter.same_transaction:
            return False
        with self.at_work():
            other = self.agreement.foreign_owner(adapter.declaration.collection)
        if not other:
            return False
        log.warning(
            "%s: the index at %r is that of another database, %r. For this one, %r, an index in "
            "memory is used as long as the process lasts. Give it one of its own to store it: "
            "path=, or SEMANTIC_CORE_PATH.",
            str(adapter),
            self.agreement.index.location,
            other,
            self.agreement.consumers.address(),
        )
        with self._lock:
            if self._stand_in is None:
                self._stand_in = self.core.in_memory()
        self.leave(adapter)
        adapter.core = self._stand_in
        return True

    @property
    def stand_in(self) -> SemanticCore | None:
        """The core in memory with the indexes that `move_if_foreign` moved; None without any."""
        return self._stand_in

    def _drop_lost(self) -> None:
        """Drop indexes that have stayed away for too long: their pending changes would pile up."""
        for lost in self.agreement.consumers.lost():
            if lost.consumer != self.outbox.consumer:
                log.warning(
                    "The index at %r has not been used for more than %.1f days: its pending "
                    "changes are dropped. When it comes back, it compares all rows.",
                    lost.location or "(in memory)",
                    lost.kept_for / 86_400,
                )
                self.agreement.consumers.drop(lost.consumer)

    def check_agreement(self) -> None:
        """`agree`, outside of transactions. Called before a search."""
        if self.working or self._first.in_transaction or not self.is_installed():
            return
        try:
            why = self.agree()
        except Exception:
            if self.is_gone():
                return  # `behind` gives the reason
            raise
        if why:
            self.compare_in_background()

    # --- what is known of an index ----------------------------------------------------------------

    def is_gone(self) -> bool:
        """Check whether the outbox was dropped after it had existed."""
        self._installed = self.outbox.exists()
        if not self._installed:
            log.warning(
                "The outbox does not exist in the application's database any more, and changes go "
                "unseen. To create it again and compare all rows: %s.",
                self._first.install_step,
            )
        return not self._installed

    def is_installed(self, *, check_again: bool = False) -> bool:
        """Whether the outbox exists. check_again: query the database even if it existed before."""
        self._installed = (self._installed and not check_again) or self.outbox.exists()
        return self._installed

    def comparison(self, adapter: AdapterContract) -> RowComparison:
        """The comparison of the rows of an index."""
        return RowComparison(adapter, self.outbox, self.agreement)

    def behind(self, adapter: AdapterContract, *, check_again: bool = False) -> str:
        """Why answers of this index may lack rows; "" if no row is known to be missing.

        check_again: look for triggers, even if that was done a moment ago.
        """
        if not self.is_installed():
            return f"{NOT_INSTALLED}: {adapter.install_step}"
        comparison = self.comparison(adapter)
        try:
            state = comparison.state
            if state is not None and state.declared != adapter.made_of:
                return f"{OTHER_DECLARATION}: {adapter.install_step}, or restart this process"
            unseen = self._unseen(adapter, check_again=check_again)
            if unseen:
                return unseen
            if state is None:
                return "the rows wait for their first indexing"
            if state.total < 0 and state.reason and not adapter.in_transaction:
                state = comparison.counted(state) or state
        except StoreError as error:
            return f"the index cannot be read: {error.message}"
        return state.reason

    def _unseen(self, adapter: AdapterContract, *, check_again: bool) -> str:
        """Why changes of its rows are not captured; "" if they are.

        The triggers are looked for after every change of the schema on SQLite, and every few
        seconds on other databases.
        """
        if adapter.capture != "triggers" or self.elsewhere:
            return ""
        if adapter.dialect == "sqlite":
            schema = int(adapter.execute("PRAGMA schema_version", ())[0][0])
        else:
            schema = int(monotonic() / LOOK_FOR_TRIGGERS)
        name = adapter.declaration.collection
        if self._captured.get(name) == schema and not check_again:
            return ""
        if adapter.capturing:
            self._captured[name] = schema
            return ""
        if adapter.installed and self.outbox.get_state(name, TRIGGERS):  # not removed on purpose
            self.reinstall.later(adapter)
        return f"{NO_TRIGGERS.format(adapter.table.name)}: {adapter.install_step}"

    def _is_outdated(self, name: str) -> bool:
        """Whether the documents of this collection are made for another declaration now."""
        return not self.agreement.is_for(name, self.adapters[name].made_of)

    def waiting(self, adapter: AdapterContract) -> int:
        """The number of pending changes of this index. Wakes the worker thread if there are any."""
        if not self.is_installed():
            return 0
        count = self.outbox.waiting(adapter.declaration.collection)
        if count and not (self.working or self._closed or self._first.in_transaction):
            self.catch_up()
        return count

    def status_of(self, adapter: AdapterContract, *, capturing: bool) -> IndexStatus:
        """How far this index is behind."""
        name = adapter.declaration.collection
        installed = self.is_installed(check_again=True)
        counts = OutboxStatus()
        if installed:
            counts = self.outbox.status({name}).get(name, counts)
        behind = self.behind(adapter, check_again=True)
        return IndexStatus(
            collection=name,
            model=adapter.model.__name__,
            capture=adapter.capture,
            sync=adapter.strategy,
            waiting=counts.waiting,
            backfill=self._rows_left(adapter) if behind and installed else 0,
            taken=counts.taken,
            aborted=counts.aborted,
            oldest=counts.oldest,
            last_error=self.last_error or counts.last_error,
            paused=name in self._paused,
            capturing=capturing,
            comparing=behind,
        )

    def _rows_left(self, adapter: AdapterContract) -> int:
        """The number of rows that are not compared yet; 0 without a table."""
        if not has_table(adapter):
            return 0
        rows = pages_of(adapter).count()
        try:
            state = self.comparison(adapter).state
        except StoreError:
            return rows
        if state is None:
            return rows
        return 0 if state.phase == "documents" else max(rows - state.rows, 0)

    # --- after a commit ---------------------------------------------------------------------------

    def wake(self) -> None:
        """Process the pending changes of a commit, or wake the worker thread.

        Never raises: the status has the error, and the changes stay pending.
        """
        if self._closed or self.working or self._first.in_transaction or self.elsewhere:
            return
        self.install_waiting()
        try:
            if not self.is_installed():  # migrations commit before there is an outbox
                return
        except Exception:  # noqa: BLE001
            # The commit may be of another application, and this database unavailable.
            log.debug("The outbox cannot be reached; changes stay pending.", exc_info=True)
            return
        active = self._active()
        inline = _with_strategy(active, "inline")
        if inline and monotonic() < self._rests_until:
            self.catch_up()
        elif inline and not self._process_inline(active, inline):
            return
        if _with_strategy(active, "background"):
            self.worker.wake()

    def _process_inline(
        self, active: Mapping[str, AdapterContract], inline: Collection[str]
    ) -> bool:
        """Process the changes of a commit in its thread. False if the outbox was dropped."""
        started = monotonic()
        try:
            with self._waiting_at_most(PATIENCE):
                # After a failure one change shows whether it is worth trying all.
                limits = (1, None) if self.last_error else (None,)
                report = merged(
                    *(self.sync(limit, collections=inline, compare=False) for limit in limits)
                )
            if report.failed:
                self.catch_up()  # tries the failed changes again
            elif not (report.added or report.updated or report.unchanged or report.removed):
                self._wait_for_worker(inline)
            if any(adapter.same_transaction for adapter in active.values()):
                embed_pending(self.core, BATCH)
        except Exception as error:
            if is_interruption(error):
                raise
            # The commit has happened and must not fail; `sync` has stored the error.
            if self.is_gone():
                return False
            self._log_once(error)
            if isinstance(error, StoreBusy) or monotonic() - started > PATIENCE:
                self.catch_up()
                self._rests_until = monotonic() + REST
        return True

    def _log_once(self, error: Exception) -> None:
        """Log why changes were not processed, but not the same reason at each of the next commits.

        An error of this package has a hint; of any other, the traceback is logged.
        """
        what = one_line(error)
        if self._logged.get(what, _NEVER) > monotonic() - SILENCE:
            return
        self._logged = {what: monotonic()}
        known = isinstance(error, SemanticCoreError)
        log.warning(
            "Pending changes could not be processed; they wait. %s",
            str(error) if known else what,
            exc_info=not known,
        )

    def _wait_for_worker(self, collections: Collection[str]) -> None:
        """There was no change to process after a commit. If the worker thread of this process has
        claimed it, wait a little.
        """
        if self.outbox.reads_without_lease or not self.worker.busy:
            return
        until = monotonic() + PATIENCE
        for name in sorted(collections):
            if self.outbox.due(name) and self.freshen(name, until - monotonic()):
                self.catch_up()

    def _waiting_at_most(self, seconds: float) -> AbstractContextManager[None]:
        """A block in which the store makes this thread wait no longer than that."""
        store = self.core.store
        return store.waiting_at_most(seconds) if isinstance(store, Patient) else nullcontext()

    def catch_up(self) -> None:
        """Let the worker thread process pending changes, if this database has one. While commits do
        not wait for the index, the thread keeps its own pace.
        """
        for adapter in self._active().values():
            if adapter.strategy != "manual" and adapter.shared_by_threads:
                self._behind_inline = True
                if monotonic() >= self._rests_until:
                    self.worker.wake()
                return

    def install_waiting(self) -> None:
        """Install the indexes that wait for it, see `Reinstall`. Never raises."""
        with self.at_work():
            self.reinstall.settle()

    def index_text(self, limit: int | None = None) -> None:
        """Within an open transaction of a database that contains its own index: index the changes
        of the transaction, without vectors.

        limit: changes to process at most; None for all. Indexes that are paused, or have
        sync="manual", are left out.
        """
        wanted: set[str] = set()
        for name, adapter in self._active().items():
            if adapter.same_transaction and adapter.strategy != "manual":
                wanted.add(name)
        if wanted and not self._closed and not self.working and self.is_installed():
            self.sync(limit, collections=wanted, compare=False, mode="async")

    # --- processing -------------------------------------------------------------------------------

    @in_one_connection
    def sync(
        self,
        limit: int | None = None,
        *,
        collections: Collection[str] | None = None,
        compare: bool = True,
        pending: bool = False,
        mode: IngestMode = "auto",
        progress: Progress | None = None,
        until: float | None = None,
    ) -> IngestReport:
        """Process up to `limit` pending changes (None: all) of these collections (None: all).

        compare: afterwards compare the rows that wait for it. pending: afterwards embed what has no
        vector; an unavailable embedder is a failure in the report. mode: as for
        `SemanticCore.ingest`; "async" may be used within a transaction. progress: called after each
        page of compared rows. until: when to stop, by `time.monotonic`.
        Raises what the store or the database raises; claimed changes are released first. Raises
        StoreMisuse within a transaction.
        """
        if self.elsewhere:
            return IngestReport()
        if mode != "async" and self._first.in_transaction:
            raise StoreMisuse(
                "Changes cannot be processed within an open transaction: the index would contain "
                "what may be rolled back.",
                hint="Call it after the commit.",
            )
        wanted = set(self.adapters)
        if collections is not None:
            wanted &= set(collections)
        report = IngestReport()
        try:
            with self.at_work():
                if wanted:
                    if self.agree():
                        self.compare_in_background()
                    wanted = {name for name in wanted if self._may_process(name)}
                if compare:
                    self._bring_back_triggers(wanted)
                if wanted:
                    report, left = self._process(wanted, limit, mode, until)
                    if compare and (left is None or left > 0):
                        report = merged(report, self._compare(wanted, left, mode, progress, until))
                if pending:
                    report = merged(report, embed_pending(self.core))
        except BaseException as error:
            self.last_error = f"{type(error).__name__}: {error}"
            raise
        report = latest_failures(report)
        self.last_error = report.failed[-1].reason if report.failed else ""
        self._rests_until = _NEVER
        return report

    def _bring_back_triggers(self, wanted: Collection[str]) -> None:
        """Install those of these indexes again whose triggers disappeared, for example because the
        database was restored.
        """
        unseen = [name for name in wanted if self._unseen(self.adapters[name], check_again=True)]
        if unseen:
            self.install_waiting()

    def _may_process(self, name: str) -> bool:
        """Whether this process may process the changes of a collection.

        If the index was installed for another declaration, the processes that have it process its
        changes: documents of this process would be of the wrong kind.
        """
        if name not in self.adapters:  # moved into memory a moment ago
            return False
        if not self._is_outdated(name):
            self._warned.discard(name)
            return True
        with self._lock:
            warned = name in self._warned
            self._warned.add(name)
        if not warned:
            adapter = self.adapters[name]
            log.warning(
                "%s: %s. Its changes wait for a process that has that declaration, or %s.",
                str(adapter),
                OTHER_DECLARATION,
                adapter.install_step,
            )
        return False

    def _process(
        self, wanted: Collection[str], limit: int | None, mode: IngestMode, until: float | None
    ) -> tuple[IngestReport, int | None]:
        """See `process_changes`."""
        return process_changes(
            self.core,
            self.outbox,
            self.agreement,
            {name: self.adapters[name] for name in wanted},
            compare=self._request_comparison,
            limit=limit,
            mode=mode,
            until=until,
        )

    def _request_comparison(self, collection: str) -> None:
        self.comparison(self.adapters[collection]).begin("the whole table was changed at once")
        self.agreement.leave_copies_behind()

    def _compare(
        self,
        wanted: Collection[str],
        limit: int | None,
        mode: IngestMode,
        progress: Progress | None,
        until: float | None,
    ) -> IngestReport:
        """See `compare_rows`; of those of these collections that wait for it."""
        names = self._unfinished(wanted)
        if not names:
            return IngestReport()
        return compare_rows(
            {name: self.comparison(self.adapters[name]) for name in names},
            self.agreement,
            limit=limit,
            mode=mode,
            progress=progress,
            until=until,
            must_end=self.worker.must_end,
        )

    def _unfinished(self, names: Iterable[str]) -> list[str]:
        """Those of these collections whose rows wait to be compared, sorted. Collections without a
        table are left out, so that they do not keep the others from being compared.
        """
        found: list[str] = []
        for name in sorted(names):
            adapter = self.adapters[name]
            if self.comparison(adapter).wanted and has_table(adapter):
                found.append(name)
        return found

    @in_one_connection
    def freshen(self, collection: str, timeout: float) -> int:
        """Process the pending changes of a collection, and wait for those that other workers hold.
        Returns how many are pending after at most `timeout` seconds.
        """
        until = monotonic() + timeout
        if not self.is_installed():
            return 0  # `behind` gives the reason
        while True:
            if not self._first.in_transaction:  # uncommitted changes are not processed
                try:
                    with self._waiting_at_most(max(until - monotonic(), PAUSE)):
                        self.sync(None, collections={collection}, until=until)
                except StoreBusy as error:
                    self._log_once(error)
            if (
                not self.outbox.due(collection)
                or monotonic() >= until
                or self._first.in_transaction
                or collection not in self.adapters
                or self._is_outdated(collection)
            ):
                return self.outbox.waiting(collection)
            sleep(PAUSE)

    @contextmanager
    def paused(self, collection: str) -> Iterator[None]:
        """A block in which the changes of this collection are processed on request alone."""
        with self._lock:
            self._paused[collection] = self._paused.get(collection, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._paused[collection] -= 1
                if not self._paused[collection]:
                    del self._paused[collection]

    def _active(self) -> dict[str, AdapterContract]:
        """The indexes that are not paused, by collection."""
        adapters = self.adapters
        return {name: each for name, each in adapters.items() if name not in self._paused}

    # --- the worker thread ------------------------------------------------------------------------

    def compare_in_background(self) -> None:
        """Let the worker thread compare rows, if an index is compared in the background."""
        if self._closed:
            return
        for adapter in self.adapters.values():
            if _compares_in_background(adapter):
                self.worker.wake()
                return

    @in_one_connection
    def _work(self) -> bool:
        """What the worker thread does. Returns whether it has to come back by itself."""
        active = self._active()
        background = _with_strategy(active, "background")
        if self.elsewhere or not self.is_installed():
            return bool(background)
        owed = _with_strategy(active, "inline") if self._behind_inline else set()
        if background or owed:
            self._behind_inline = False  # before the look, so that a request meanwhile counts
            try:
                self.sync(None, collections=background | owed, compare=False, pending=True)
            except BaseException:
                self._behind_inline = bool(owed)
                raise
            self._behind_inline = self._behind_inline or self._any_waiting(owed)
        compared = [name for name, each in active.items() if _compares_in_background(each)]
        unfinished = self._unfinished(compared)
        if unfinished:
            self.sync(None, collections=unfinished, pending=True)
        return bool(background or unfinished or self._behind_inline)

    def _any_waiting(self, names: Iterable[str]) -> bool:
        """Whether one of these collections has changes that this process may process."""
        for name in names:
            if name in self.adapters and not self._is_outdated(name) and self.outbox.waiting(name):
                return True
        return False

    def close(self) -> None:
        """Stop the worker thread, ignore commits from now on, and close the adapter."""
        self.stop()
        self._leave_outbox()
        try:
            self._first.close()
        except Exception:  # noqa: BLE001
            # The database may be gone; the store has to be closed nevertheless.
            log.warning("%s could not be closed.", self._first, exc_info=True)

    def stop(self) -> None:
        """Stop background work. The pending changes of the index stay in the outbox."""
        self._closed = True
        self.worker.stop()

    def _leave_outbox(self) -> None:
        """Drop an index in memory from the outbox, since it ends with its core."""
        if self.agreement.index.location or not self.outbox.consumer:
            return
        try:
            with self.at_work(), self._first.connected():
                if not self._first.in_transaction and self.outbox.exists():
                    self.agreement.consumers.drop(self.outbox.consumer)
        except Exception:  # noqa: BLE001
            # The database may be closed or gone; the index is dropped there after a while.
            log.debug(
                "An index in memory could not be dropped from the application's database.",
                exc_info=True,
            )


def _with_strategy(adapters: Mapping[str, AdapterContract], strategy: str) -> set[str]:
    return {name for name, adapter in adapters.items() if adapter.strategy == strategy}


def _compares_in_background(adapter: AdapterContract) -> bool:
    """Whether the worker thread may compare the rows of this index."""
    wanted = adapter.strategy != "manual" and adapter.backfill == "background"
    return wanted and not adapter.uninstalled and adapter.shared_by_threads


def coordinator_of(core: SemanticCore, adapter: AdapterContract) -> SyncCoordinator:
    """The coordinator of the adapter's database in this core, created by the first call. The
    adapter is added to it.

    Raises ConfigError if another index has the same collection.
    """
    collection = adapter.declaration.collection
    coordinator: SyncCoordinator | None = None
    with _creating:
        for follower in core.followers:
            if not isinstance(follower, SyncCoordinator):
                continue
            if follower.database == adapter.database:
                coordinator = coordinator or follower
                continue
            other = follower.adapters.get(collection)
            if other is not None:
                raise ConfigError(
                    f"{adapter} and {other}, of another database, would share one collection.",
                    hint="Give one of them another collection=.",
                )
        if coordinator is None:
            coordinator = SyncCoordinator(core, adapter)
            core.follow(coordinator)
    coordinator.add(adapter)
    return coordinator


_creating = threading.Lock()
