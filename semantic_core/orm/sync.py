"""One per core and database: the outbox, the indexes it feeds,
and when pending changes are processed.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core._sync import merged
from semantic_core._validation import STALE, one_line
from semantic_core.errors import (
    ConfigError,
    SemanticCoreError,
    StoreBusy,
    StoreError,
    StoreMisuse,
    is_interruption,
)
from semantic_core.orm.agreement import Agreement
from semantic_core.orm.comparison import PAGE, ReindexProgress, RowComparison, alone
from semantic_core.orm.consumers import Consumers
from semantic_core.orm.contract import AdapterContract, in_one_connection
from semantic_core.orm.migrations import Reinstall, is_there
from semantic_core.orm.outbox import TRIGGERS, SqlOutbox
from semantic_core.orm.pending import Tickets
from semantic_core.orm.worker import Worker
from semantic_core.protocols import Patient
from semantic_core.types import Failure, IngestMode, IngestReport

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

BATCH = 1_000
"""Tickets taken at a time."""
LONGEST_WAIT = 60.0
"""Seconds at most for which a thread waits while another one of this process compares rows."""
PAUSE = 0.02
"""Seconds between two looks at tickets another worker holds."""
DROP = 30.0
"""Seconds between two looks for indexes that have been away for too long."""
MOST_REFUSALS = 4
"""How often a store may refuse changes of one document as stale before that is a failure
like any other.
"""
SILENCE = 60.0
"""Seconds for which the same reason is not logged again."""
PATIENCE = 0.1
"""Seconds a commit waits for other writers of the index; what it cannot process then waits."""
REST = 2.0
"""Seconds for which the next commits are spared an index that was waited for in vain, unless it
works again sooner; the worker thread tries meanwhile.
"""

LOOK_FOR_TRIGGERS = 5.0
"""Seconds between two looks whether triggers are still there, where that cannot be told sooner."""
NOT_INSTALLED = "the index is not installed in the application's database"
NO_TRIGGERS = "triggers on {} are missing, so that changes go unseen"
OTHER_DECLARATION = "the index was installed last for another declaration than this process has"

Progress = Callable[[ReindexProgress], None]

_log = logging.getLogger("semantic_core.orm")


@attrs.frozen
class IndexStatus:
    """How far an index is behind its table.

    waiting: changes to be worked off. backfill: rows that wait to be compared with the index: those
    there were before it, or all of them after one of the two was restored; comparing says why.
    taken: being worked off right now.
    aborted: given up after many tries; kept, see ``semantic-core outbox``. oldest: when the oldest
    waiting change was made, in seconds since 1970; None if none waits. last_error: of the latest
    attempt that failed; "" since one succeeded.
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
    comparing: str = ""


class SyncCoordinator:
    """Works off the changes of one database. Safe to share between threads."""

    def __init__(self, core: SemanticCore, first: AdapterContract) -> None:
        self.core = core
        self.database = first.database
        self._first = first
        self.execute = first.execute
        self.dialect = first.dialect
        self.placeholder = first.placeholder
        self._closed = False
        self.adapters: Mapping[
            str, AdapterContract
        ] = {}  # never changed, only replaced: others go through it meanwhile
        self.outbox = SqlOutbox(
            first.execute, first.dialect, placeholder=first.placeholder, atomic=first.atomic
        )
        self.agreement = Agreement(
            core.store, Consumers(first.execute, first.dialect, first.placeholder)
        )
        self.worker = Worker(self._work, first.release)
        self.at_home = False
        self._twin: SemanticCore | None = None
        self._paused: dict[str, int] = {}
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._told: set[str] = set()
        self._logged: dict[str, float] = {}
        self._captured: dict[str, int] = {}
        self.last_error = ""  # of the latest attempt to process changes; "" if it succeeded
        self.reinstall = Reinstall()
        self._dropped_at = float("-inf")
        self._installed = self._behind_inline = False
        self._rests_until = float("-inf")
        first.on_commit(self.wake)

    def add(self, adapter: AdapterContract) -> None:
        """Let an index join. Raises ConfigError if another of that collection is here."""
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
        """Let an index go: its changes are another's business from now on."""
        with self._lock:
            if self.adapters.get(adapter.declaration.collection) is adapter:
                self.adapters = {
                    name: each for name, each in self.adapters.items() if each is not adapter
                }

    def connected(self) -> AbstractContextManager[Any]:
        """See `AdapterContract.connected`; of the database all its indexes live in."""
        return self._first.connected()

    @property
    def working(self) -> bool:
        """Whether this thread is working changes off right now:
        then what it writes is no change itself.
        """
        return bool(getattr(self._mine, "working", False))

    @property
    def elsewhere(self) -> bool:
        """Whether the connection leads to another database now, that of a test run:
        its rows are no business of this coordinator.
        """
        return self._first.database != self.database

    @property
    def closed(self) -> bool:
        """Whether its core was closed: it hears of no commit any more."""
        return self._closed

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Within it, what this thread commits is no change that has to be processed."""
        nested, self._mine.working = self.working, True
        try:
            yield
        finally:
            self._mine.working = nested

    # --- what is known of each other --------------------------------------------------------------

    def agree(self) -> str:
        """See whether outbox and index belong to one history, and begin anew if not;
        then the reason, else "".
        """
        if self.elsewhere:
            return ""
        if not self.at_home:
            self._check_home()
        with self.at_work():
            why = self.agreement.check()
            for name in self.adapters:
                self.agreement.read(name)
            self.outbox.consumer, self.outbox.shared = (
                self.agreement.reader,
                self.agreement.others > 0,
            )
            if self.agreement.others and monotonic() - self._dropped_at > DROP:
                self._dropped_at = monotonic()
                self._drop_lost()
        return why

    def _check_home(self) -> None:
        """Have those indexes in memory whose file is that of another database."""
        for adapter in list(self.adapters.values()):
            self.keep_own(adapter)
        self.at_home = True

    def keep_own(self, adapter: AdapterContract) -> bool:
        """If the index is that of another database, have this adapter's in memory from now on;
        whether that was so.
        """
        if adapter.same_transaction:
            return False
        with self.at_work():
            other = self.agreement.stranger(adapter.declaration.collection)
        if not other:
            return False
        _log.warning(
            "%s: the index at %r is that of another database, %r. For this one, %r, an index in "
            "memory is kept as long as the process lasts. Give it one of its own to keep it: "
            "path=, or SEMANTIC_CORE_PATH.",
            str(adapter),
            self.agreement.index.location,
            other,
            self.agreement.consumers.address(),
        )
        with self._lock:
            if self._twin is None:
                self._twin = self.core.in_memory()
        self.leave(adapter)
        adapter.core = self._twin
        return True

    @property
    def stand_in(self) -> SemanticCore | None:
        """The core in memory that keeps what `keep_own` moved; None if nothing was."""
        return self._twin

    def _drop_lost(self) -> None:
        """Forget indexes that have been away for too long:
        their pending changes would grow without end.
        """
        for lost in self.agreement.consumers.lost():
            if lost.consumer != self.outbox.consumer:
                _log.warning(
                    "The index at %r has been away for more than %.1f days: its pending changes "
                    "are dropped. When it comes back, it compares all rows.",
                    lost.location or "(in memory)",
                    lost.kept_for / 86_400,
                )
                self.agreement.consumers.drop(lost.consumer)

    def look(self) -> None:
        """`agree`, outside of transactions; called before a search answers."""
        if self.working or self._first.in_transaction or not self.is_installed():
            return
        try:
            why = self.agree()
        except Exception:
            if self.is_gone():
                return  # `behind` says so
            raise
        if why:
            self.compare_in_background()

    def is_gone(self) -> bool:
        """Whether somebody dropped the outbox, which was there before."""
        self._installed = self.outbox.exists()
        if not self._installed:
            _log.warning(
                "The outbox is gone from the application's database, and changes go unseen. To "
                "have it made anew, and all rows compared: %s.",
                self._first.install_step,
            )
        return not self._installed

    def is_installed(self, *, anew: bool = False) -> bool:
        """Whether the outbox is there. anew: ask again, though it was there before."""
        self._installed = (self._installed and not anew) or self.outbox.exists()
        return self._installed

    def comparison(self, adapter: AdapterContract) -> RowComparison:
        """The comparison of an index's rows."""
        return RowComparison(adapter, self.outbox, self.agreement)

    def behind(self, adapter: AdapterContract, *, anew: bool = False) -> str:
        """What of this index is not in its answers yet, for whoever reads them;
        "" if nothing is known to be missing. anew: look for triggers, however lately that was done.
        """
        if not self.is_installed():
            return f"{NOT_INSTALLED}: {adapter.install_step}"
        comparison = self.comparison(adapter)
        try:
            state = comparison.state
            if state is not None and state.declared != comparison.declared:
                return f"{OTHER_DECLARATION}: {adapter.install_step}, or restart this process"
            unseen = self._unseen(adapter, anew=anew)
            if unseen:
                return unseen
            if state is None:
                return "the rows wait for their first indexing"
            if state.total < 0 and state.reason and not adapter.in_transaction:
                state = comparison.counted(state) or state
        except StoreError as error:
            return f"the index cannot be read: {error.message}"
        return state.reason

    def _unseen(self, adapter: AdapterContract, *, anew: bool) -> str:
        """Why changes of its rows are not noted; "" if they are, as far as was looked lately.

        On SQLite that is asked again after every change of the schema, elsewhere now and then.
        """
        if adapter.capture != "triggers" or self.elsewhere:
            return ""
        if adapter.dialect == "sqlite":
            schema = int(adapter.execute("PRAGMA schema_version", ())[0][0])
        else:
            schema = int(monotonic() / LOOK_FOR_TRIGGERS)
        name = adapter.declaration.collection
        if self._captured.get(name) == schema and not anew:
            return ""
        if adapter.capturing:
            self._captured[name] = schema
            return ""
        if adapter.installed and self.outbox.get_state(name, TRIGGERS):  # not taken away on purpose
            self.reinstall.later(adapter)
        return f"{NO_TRIGGERS.format(adapter.table.name)}: {adapter.install_step}"

    def _is_outdated(self, name: str) -> bool:
        """Whether documents of this collection are made otherwise now than this process would."""
        declared = self.comparison(self.adapters[name]).declared
        return not self.agreement.is_for(name, declared)

    def compare_in_background(self) -> None:
        """Let the worker thread compare rows, if some are to be, and an index lets it."""
        if not self._closed and any(
            self._compares_by_itself(adapter) for adapter in self.adapters.values()
        ):
            self.worker.wake()

    def _compares_by_itself(self, adapter: AdapterContract) -> bool:
        wanted = (
            adapter.strategy != "manual"
            and adapter.backfill == "background"
            and not adapter.uninstalled
        )
        return wanted and adapter.shared_by_threads

    # --- when pending changes are processed -------------------------------------------------------

    def wake(self) -> None:
        """Something was committed.

        Never raises: what goes wrong stands in the status, and the tickets wait.
        """
        if self._closed or self.working or self._first.in_transaction or self.elsewhere:
            return
        self.install_waiting()
        try:
            if not self.is_installed():  # migrations commit before there is an outbox
                return
        except Exception:  # noqa: BLE001
            # Perhaps another application's commit, and this database is away.
            _log.debug("The outbox cannot be reached; changes wait.", exc_info=True)
            return
        active = [adapter for name, adapter in self.adapters.items() if name not in self._paused]
        inline = {
            adapter.declaration.collection for adapter in active if adapter.strategy == "inline"
        }
        if inline and monotonic() < self._rests_until:
            self.catch_up()
        elif inline:
            started = monotonic()
            try:
                with self._waiting_at_most(PATIENCE):
                    # After a failure one change shows whether all that wait are worth a try.
                    limits = (1, None) if self.last_error else (None,)
                    report = merged(
                        *(self.sync(most, collections=inline, compare=False) for most in limits)
                    )
                if report.failed:
                    self.catch_up()  # what failed is tried again
                elif not (report.added or report.updated or report.unchanged or report.removed):
                    self._wait_for_others(inline)
                if any(adapter.same_transaction for adapter in active):
                    self._embed_pending(BATCH)
            except Exception as error:
                if is_interruption(error):
                    raise
                # The application's commit has happened and must not fail; `sync` keeps the reason.
                if self.is_gone():
                    return
                self._tell_once(error)
                if isinstance(error, StoreBusy) or monotonic() - started > PATIENCE:
                    self.catch_up()
                    self._rests_until = monotonic() + REST
        if any(adapter.strategy == "background" for adapter in active):
            self.worker.wake()

    def _tell_once(self, error: Exception) -> None:
        """Log why changes were not processed; the same reason not again at the next commits.

        Errors of our own say what to do; of others, the traceback says where they come from.
        """
        what = one_line(error)
        if self._logged.get(what, float("-inf")) > monotonic() - SILENCE:
            return
        self._logged = {what: monotonic()}
        known = isinstance(error, SemanticCoreError)
        _log.warning(
            "Pending changes could not be processed; they wait. %s",
            str(error) if known else what,
            exc_info=not known,
        )

    def _wait_for_others(self, collections: Collection[str]) -> None:
        """Nothing was left to process for this commit: if this process's own worker thread has
        taken its changes, wait a little for that.
        """
        if self.outbox.looks_only or not self.worker.busy:
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
        """Let the worker thread process what waits, where one works for this database;
        while commits are spared the index, it tries when it likes.
        """
        active = [adapter for name, adapter in self.adapters.items() if name not in self._paused]
        if any(adapter.strategy != "manual" and adapter.shared_by_threads for adapter in active):
            self._behind_inline = True
            if monotonic() >= self._rests_until:
                self.worker.wake()

    def install_waiting(self) -> None:
        """Install the indexes that wait for it; see `Reinstall`. Never raises."""
        with self.at_work():
            self.reinstall.settle()

    def write_words(self, limit: int | None = None) -> None:
        """Within an open transaction of a database that holds its own index:
        index what it changed, vectors apart.

        limit: changes; None takes all. Those of indexes that are paused, or worked off by hand, are
        left.
        """
        wanted = {
            name
            for name, adapter in self.adapters.items()
            if adapter.same_transaction
            and adapter.strategy != "manual"
            and name not in self._paused
        }
        if wanted and not self._closed and not self.working and self.is_installed():
            self.sync(limit, collections=wanted, compare=False, mode="async")

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
        """Process the pending changes of these collections (None: all),
        at most `limit` of them (None: all).

        compare: then also compare the rows that wait for it. pending: then embed what has no vector
        yet; an embedder that is unavailable is a failure in the report. mode: as for
        `SemanticCore.ingest`; "async" may be used within a transaction.
        progress: called after each page of rows that were compared. until: by `time.monotonic`,
        when to stop. Raises what the store or the database raises; tickets are given back then.
        StoreMisuse within a transaction.
        """
        if self.elsewhere:
            return IngestReport()
        if mode != "async" and self._first.in_transaction:
            raise StoreMisuse(
                (
                    "Changes cannot be worked off within an open transaction: the index would hold "
                    "what may be rolled back."
                ),
                hint="Call it after the commit.",
            )
        wanted = set(self.adapters if collections is None else collections) & set(self.adapters)
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
                    report = merged(report, self._embed_pending())
        except BaseException as error:
            self.last_error = f"{type(error).__name__}: {error}"
            raise
        report = once(report)
        self.last_error = report.failed[-1].reason if report.failed else ""
        self._rests_until = float("-inf")
        return report

    def _bring_back_triggers(self, wanted: Collection[str]) -> None:
        """Install those of these indexes again whose triggers went, a restored database's, say."""
        if [name for name in wanted if self._unseen(self.adapters[name], anew=True)]:
            self.install_waiting()

    def _may_process(self, name: str) -> bool:
        """Whether changes of this collection are this coordinator's business.

        Those of an index that was installed for another declaration are left to the processes
        that have it: their documents would be of the wrong kind.
        """
        if name not in self.adapters:  # it is kept in memory since a moment ago
            return False
        if not self._is_outdated(name):
            self._told.discard(name)
            return True
        with self._lock:
            told = name in self._told
            self._told.add(name)
        if not told:
            adapter = self.adapters[name]
            _log.warning(
                "%s: %s. Its changes wait for a process that has that declaration, or %s.",
                str(adapter),
                OTHER_DECLARATION,
                adapter.install_step,
            )
        return False

    def _process(
        self, wanted: Collection[str], limit: int | None, mode: IngestMode, until: float | None
    ) -> tuple[IngestReport, int | None]:
        """Pending changes; and how many more may be processed."""
        sources = {name: self.adapters[name].documents for name in wanted}
        adapters = {name: self.adapters[name] for name in wanted}
        lease = any(adapter.strategy != "inline" for adapter in adapters.values())
        size = BATCH if until is None else PAGE // 5
        report = IngestReport()
        left = limit
        refused: Counter[str] = Counter()
        while left is None or left > 0:
            again = max(refused.values(), default=0) < MOST_REFUSALS
            tickets = Tickets(
                self.outbox,
                self.agreement,
                adapters,
                compare=self._compare_all,
                lease=lease,
                again=again,
            )
            try:
                with tickets.writing():
                    done = self.core.sync(
                        tickets, sources, limit=size if left is None else min(left, size), mode=mode
                    )
            except BaseException:
                tickets.give_back()
                raise
            refused.update(failure.what for failure in done.failed if failure.code == STALE)
            if any(count > 1 for count in refused.values()):
                # Not overtaken by a newer change: what stands in the way was never one of this
                # outbox.
                self.agreement.begin_epoch()
            if again:
                done = attrs.evolve(
                    done, failed=tuple(each for each in done.failed if each.code != STALE)
                )
            report = merged(report, done)
            _tell_failures(done, tickets.taken)
            looked_through = (
                not lease and tickets.taken < size
            )  # what comes now is the next commit's
            if not tickets.taken or looked_through or (until is not None and monotonic() >= until):
                break
            left = None if left is None else left - tickets.taken
        return report, left

    def _compare_all(self, collection: str) -> None:
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
        """Compare the rows of these collections that wait for it, page by page,
        unless another process is at it.
        """
        names = self._unfinished(wanted)
        report = IngestReport()
        left = limit
        if not names:
            return report
        patient_until = monotonic() + LONGEST_WAIT
        with alone(self.agreement) as lease:
            for name in names:
                comparison = self.comparison(self.adapters[name])
                failed = 0
                while (
                    comparison.wanted and (left is None or left > 0) and not self.worker.must_end()
                ):
                    if until is not None and monotonic() >= until:
                        return report
                    if not lease.take():
                        if not lease.is_of_this_process() or monotonic() >= patient_until:
                            return report  # another is at it
                        sleep(PAUSE)
                        continue
                    patient_until = monotonic() + LONGEST_WAIT
                    done = comparison.step(PAGE if left is None else min(left, PAGE), mode)
                    report = merged(report, done)
                    failed = failed + len(done.failed)
                    left = (
                        None if left is None else left - done.added - done.updated - done.unchanged
                    )
                    state = comparison.state
                    if (
                        progress is not None
                        and state is not None
                        and (state.rows or state.phase == "done")
                    ):
                        progress(
                            ReindexProgress(state.rows, max(state.total, state.rows), failed, name)
                        )
        return report

    def _unfinished(self, names: Iterable[str]) -> list[str]:
        """Those of these collections whose rows are to be compared, by name.

        One whose table is not there stops no other.
        """
        wanted = [name for name in sorted(names) if self.comparison(self.adapters[name]).wanted]
        return [name for name in wanted if is_there(self.adapters[name])]

    def waiting(self, adapter: AdapterContract) -> int:
        """How many changes of this index wait; whoever works for it is told."""
        if not self.is_installed():
            return 0
        count = self.outbox.waiting(adapter.declaration.collection)
        if count and not (self.working or self._closed or self._first.in_transaction):
            self.catch_up()
        return count

    @in_one_connection
    def freshen(self, collection: str, timeout: float) -> int:
        """Process what waits in a collection, and wait for what others hold;
        how much is left after `timeout` seconds.
        """
        until = monotonic() + timeout
        if not self.is_installed():
            return 0  # `behind` says so
        while True:
            if not self._first.in_transaction:  # what is not committed yet is nobody's business
                try:
                    with self._waiting_at_most(max(until - monotonic(), PAUSE)):
                        self.sync(None, collections={collection}, until=until)
                except StoreBusy as error:
                    self._tell_once(error)
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
        there = self.is_installed(anew=True)
        counts = self.outbox.status({name}).get(name) if there else None
        behind = self.behind(adapter, anew=True)
        return IndexStatus(
            collection=name,
            model=adapter.model.__name__,
            capture=adapter.capture,
            sync=adapter.strategy,
            waiting=counts.waiting if counts else 0,
            backfill=self._rows_left(adapter) if behind and there else 0,
            taken=counts.taken if counts else 0,
            aborted=counts.aborted if counts else 0,
            oldest=counts.oldest if counts else None,
            last_error=self.last_error or (counts.last_error if counts else ""),
            paused=name in self._paused,
            capturing=capturing,
            comparing=behind,
        )

    def _rows_left(self, adapter: AdapterContract) -> int:
        """How many rows a comparison has not looked at yet."""
        rows = self.outbox.count(adapter.table)
        try:
            state = self.comparison(adapter).state
        except StoreError:
            return rows
        if state is not None and state.phase == "documents":
            return 0
        return rows if state is None else max(rows - state.rows, 0)

    def close(self) -> None:
        """Stop the worker thread, and hear no more commits."""
        self.stop()
        self._leave()

    def stop(self) -> None:
        """End what works in the background; what the outbox keeps for the index stays."""
        self._closed = True
        self.worker.stop()

    def _leave(self) -> None:
        """An index in memory ends here: nothing has to be kept for it."""
        if self.agreement.index.location or not self.outbox.consumer:
            return
        try:
            with self.at_work(), self._first.connected():
                if not self._first.in_transaction and self.outbox.exists():
                    self.agreement.consumers.drop(self.outbox.consumer)
        except Exception:  # noqa: BLE001
            # The database may be closed, or gone; the index is forgotten there after a while.
            _log.debug(
                "The application's database could not be told that an index in memory has ended.",
                exc_info=True,
            )

    @in_one_connection
    def _work(self) -> bool:
        """What the worker thread does when it is woken, and now and then;
        whether it has to come back by itself.
        """
        active = {
            name: adapter for name, adapter in self.adapters.items() if name not in self._paused
        }
        background = {name for name, adapter in active.items() if adapter.strategy == "background"}
        if self.elsewhere or not self.is_installed():
            return bool(background)
        inline = {name for name, adapter in active.items() if adapter.strategy == "inline"}
        owed = inline if self._behind_inline else set()
        if background or owed:
            self._behind_inline = False  # before the look: what is told meanwhile counts
            try:
                self.sync(None, collections=background | owed, compare=False, pending=True)
            except BaseException:
                self._behind_inline = bool(owed)
                raise
            self._behind_inline = self._behind_inline or any(
                self.outbox.waiting(name)
                for name in owed
                if name in self.adapters and not self._is_outdated(name)
            )
        unfinished = self._unfinished(
            name for name, adapter in active.items() if self._compares_by_itself(adapter)
        )
        if unfinished:
            self.sync(None, collections=unfinished, pending=True)
        return bool(background or unfinished or self._behind_inline)

    def _embed_pending(self, limit: int | None = None) -> IngestReport:
        """What has no vector yet: embedded now, or by the embedder's batch jobs where
        those are wanted.
        """
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


def _tell_failures(report: IngestReport, changes: int) -> None:
    if report.failed:
        first = report.failed[0]
        _log.warning(
            "%d of %d changes could not be indexed; they are tried again. The first: %s: %s",
            len(report.failed),
            changes,
            first.what,
            first.reason,
        )


def once(report: IngestReport) -> IngestReport:
    """The report with one failure for each row, the latest."""
    by_row = {failure.what: failure for failure in report.failed}
    return attrs.evolve(report, failed=tuple(by_row.values()))


def coordinator_of(core: SemanticCore, adapter: AdapterContract) -> SyncCoordinator:
    """The coordinator of the adapter's database in this core; made at the first call.

    Raises ConfigError, see `SyncCoordinator.add`.
    """
    collection = adapter.declaration.collection
    with _making:
        coordinators: Sequence[SyncCoordinator] = [
            each for each in core.followers if isinstance(each, SyncCoordinator)
        ]
        elsewhere = [
            each.adapters.get(collection)
            for each in coordinators
            if each.database != adapter.database
        ]
        for other in filter(None, elsewhere):
            raise ConfigError(
                f"{adapter} and {other}, of another database, would share one collection.",
                hint="Give one of them another collection=.",
            )
        coordinator = next(
            (each for each in coordinators if each.database == adapter.database), None
        )
        if coordinator is None:
            coordinator = SyncCoordinator(core, adapter)
            core.follow(coordinator)
    coordinator.add(adapter)
    return coordinator


_making = threading.Lock()
