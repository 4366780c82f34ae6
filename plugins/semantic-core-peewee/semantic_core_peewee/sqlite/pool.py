"""The connections of one store: one for each reading thread and one for writing. None is shared by
threads, and none is used in a forked child.

A signal handler may raise after any step of Python (a time limit, Ctrl-C in a notebook): also after
a counter was raised or a lock taken, and before the block that would undo it has begun. So nothing
is counted here. Whoever uses something is an object that only the ``with`` statement keeps; once it
is gone, its use is over, whether or not its end was called.

Tested by tests/sqlite/test_sharing.py, tests/sqlite/test_faults.py and
tests/trust/test_interruption.py.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw
import attrs

from semantic_core.errors import SemanticCoreError, StoreBusy, StoreCorrupt, StoreMisuse
from semantic_core.types import ChunkId
from semantic_core_peewee.sqlite import cpu_limiter
from semantic_core_peewee.sqlite.connection import (
    Connection,
    Target,
    forget_files,
    leave_to_parent,
    transaction,
)
from semantic_core_peewee.sqlite.errors import (
    SQLITE_ERRORS,
    UNREADABLE,
    damaged,
    is_damage,
    is_suspect,
    remember_errno,
    translate,
)
from semantic_core_peewee.sqlite.tuning import Tuning

# Uses that end by themselves when an exception cuts them off between two steps.

KEPT_SCOPES = 2
"""Scopes with keys whose documents are remembered."""
LOOK = 0.05
"""Seconds between two looks whether whoever is waited for is still there."""
ENDING = 5.0
"""Seconds a use may take to undo what it has begun, before others take it to be cut off."""


class Use:
    """One use, from the beginning of a ``with`` block to its end; for one block only.

    begin: makes it known; the block is given what it returns. end: undoes what `begin` did, or a
    part of it; may be called twice, and be cut off, too, so whoever comes next looks for what it
    has left. thread: whose it is. over: whether the block has ended.
    """

    _ended = True

    def __init__(self, begin: Callable[[Use], Any], end: Callable[[Use], None]) -> None:
        self._begin = begin
        self._end = end
        self.thread = threading.get_ident()
        self._pid = os.getpid()
        self.over = self._ended = False

    def __enter__(self) -> Any:
        try:
            return self._begin(self)
        except BaseException:
            self.finish()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over = True  # first: a frame of what cuts this off may keep it for long
        self.finish()

    def finish(self) -> None:
        """End it, if it has not ended."""
        self.over = True
        if not self._ended:
            self._end(self)
            self._ended = True

    def __del__(self) -> None:
        if not self._ended and self._pid == os.getpid():  # in a forked child all is new
            self.finish()


def is_on(known: weakref.ref[Use]) -> bool:
    """Whether a use has begun and is not over."""
    use = known()
    return use is not None and not use.over


class Uses:
    """The uses of something by one thread that have begun and are not over."""

    def __init__(self) -> None:
        self._begun: list[weakref.ref[Use]] = []

    def add(self, use: Use) -> None:
        """One more."""
        self._begun = [*(each for each in self._begun if is_on(each)), weakref.ref(use)]

    def __len__(self) -> int:
        return sum(map(is_on, self._begun))


class Sole:
    """What one at a time may have, of all threads."""

    def __init__(self) -> None:
        self._guard = threading.RLock()  # a signal handler may come in between
        self._holder: weakref.ref[Use] | None = None
        self._id = 0  # of the holder, which at its very end has no weak reference any more
        self._gate = threading.Lock()  # closed while somebody has it, as far as is known

    def use(self, patience: float) -> Use:
        """A block that is given whether it has it: whether it could be had within so many
        seconds.
        """
        return Use(lambda use: self.take(use, patience), self.give_back)

    def take(self, use: Use, patience: float) -> bool:
        """Wait for it, at most so many seconds; whether `use` has it now. A thread that has it
        already, by another use, does not wait for itself.
        """
        until = time.monotonic() + patience
        ending = 0
        ending_since = 0.0
        while True:
            with self._guard:
                holder = None if self._holder is None else self._holder()
                if holder is None or self._was_cut_off(holder, use, ending, ending_since):
                    self._gate.acquire(blocking=False)
                    self._holder = weakref.ref(use)
                    self._id = id(use)
                    return True
            if holder.thread == use.thread:
                return False
            if holder.over and ending != id(holder):
                ending = id(holder)
                ending_since = time.monotonic()
            del holder  # nobody but its block keeps a use
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._gate.acquire(timeout=min(left, LOOK))

    def _was_cut_off(self, holder: Use, use: Use, ending: int, since: float) -> bool:
        """Whether its block has ended, and what it had to undo goes on no more: its own thread has
        gone on, or has taken very long.
        """
        if not holder.over:
            return False
        waited = ending == id(holder) and time.monotonic() - since > ENDING
        return holder.thread == use.thread or waited

    def give_back(self, use: Use) -> None:
        """Let others have it; nothing if `use` has it not."""
        with self._guard:
            if self.has(use):
                self._holder = None
                with suppress(RuntimeError):  # a signal handler had it in between: it is open
                    self._gate.release()

    def has(self, use: Use) -> bool:
        """Whether it is `use` that has it, which may be ending for good."""
        return self._holder is not None and self._id == id(use)


# Connections, and the states they see.

GENERATION = "select cast(value as integer) from semantic_index_meta where key = 'generation'"
"""Reads the current generation; the first statement of every transaction, which fixes the state the
transaction sees.
"""


@attrs.frozen(eq=False)
class Shared:
    """What all readers of a store remember. ids: of chunks, by row. scopes: see `scope_clause`."""

    ids: dict[int, ChunkId] = attrs.field(factory=dict)
    scopes: deque[Any] = attrs.field(factory=lambda: deque(maxlen=KEPT_SCOPES))


@attrs.frozen(eq=False)
class View:
    """One state of the store: a connection within a transaction.

    generation: the current one. tuning: of the store. kept: what is worth remembering as long as
    the transaction lasts; shared: for all transactions, None where what is seen may be rolled back.
    """

    raw: Any
    generation: int
    tuning: Tuning
    kept: dict[str, Any] = attrs.field(factory=dict)
    shared: Shared | None = None


def check_open(view: View) -> None:
    """Nothing: to read this much raises what a closed or missing store raises."""


class Reader:
    """One thread's connection for reading, and the state of the store it sees.

    uses: nested uses; while there is one, a read transaction is open. lock: for uses and closing.
    shared: see `View`.
    """

    def __init__(self, shared: Shared) -> None:
        self.pid = os.getpid()
        self._shared = shared
        self.lock = threading.RLock()
        self.connection: Connection | None = None
        self.view: View | None = None
        self.uses = Uses()
        self.doomed = False
        self.suspect = False
        self._begun = 0

    def begin(self, target: Target) -> View:
        """Open the read transaction; from here on this thread sees one state."""
        self._begun += 1
        this = self._begun
        try:
            return self._begin(target)
        except apsw.Error:
            if self._begun == this:
                raise
        return self.begin(target)  # a signal handler read in between, and ended what was begun

    def _begin(self, target: Target) -> View:
        if self.connection is not None and _is_open(self.connection.raw):
            self.end()  # a use that was cut off left it
        connection = self.connection
        if connection is None:
            connection = self.connection = Connection(target, writer=False)
        connection.check_place()
        connection.raw.execute("begin")
        generation = int(connection.raw.execute(GENERATION).get)
        self.view = View(connection.raw, generation, target.tuning, shared=self._shared)
        return self.view

    def end(self) -> None:
        """Close the read transaction, and the connection too if it cannot be trusted any more or
        the store is closed.
        """
        self.view = None
        connection = self.connection  # a signal handler that reads may drop it
        if connection is not None:
            try:
                if connection.raw.in_transaction:
                    connection.raw.execute("rollback")
                # A query that nobody finished, and that something keeps, would keep its state.
                self.suspect = self.suspect or _is_open(connection.raw)
            except apsw.Error:
                self.suspect = True
        if self.suspect or self.doomed:
            self.drop()

    def drop(self) -> None:
        """Close the connection; the next use opens another."""
        connection = self.connection
        self.connection = None
        self.suspect = False
        if connection is not None:
            connection.close()


def _is_open(raw: Any) -> bool:
    """Whether a transaction is open, which may have read nothing yet, or a query under way."""
    return bool(raw.in_transaction or raw.txn_state("main") != apsw.SQLITE_TXN_NONE)


P = ParamSpec("P")
T = TypeVar("T")

CLOSING_WAIT = 1.0
"""Seconds `Pool.close` waits for others to leave the write-ahead log, so that it can be emptied."""
FORK_WAIT = 1.0
"""Seconds a fork waits for the other threads to finish what they read or write."""
_PAUSE = 0.001
"""Seconds between two looks whether they have."""


class _Token:
    """Lives in a thread's locals: its end is the end of the thread."""


class Pool:
    """Reading and writing by any number of threads. Every use after `close` raises StoreMisuse."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._closed = False
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._local = threading.local()
        self._readers: dict[int, tuple[Reader, object]] = {}
        self._shared = Shared()
        self._registry = threading.RLock()
        self._writing = Sole()
        self._writer: Connection | None = None
        self._distrusted = False

    @property
    def in_snapshot(self) -> bool:
        """Whether this thread reads, or has a snapshot."""
        return len(self._reader().uses) > 0

    @property
    def sees_one_state(self) -> bool:
        """Whether what this thread reads next is of a state that is fixed already."""
        return self.in_snapshot and self._reader().view is not None

    def read(self, work: Callable[Concatenate[View, P], T], *args: P.args, **named: P.kwargs) -> T:
        """What `work(view, ...)` makes of one state: of this thread's snapshot, else the latest.

        A sign of damage is looked at again through a fresh connection before it is believed.
        """
        fresh = not self._reader().uses
        try:
            return self._look(work, *args, **named)
        except StoreCorrupt:
            if not fresh:
                raise
        except SQLITE_ERRORS as error:
            if not (fresh and is_damage(error)):
                raise translate(error, self._target.path) from error
        try:
            return self._look(work, *args, **named)
        except SQLITE_ERRORS as error:
            raise translate(error, self._target.path) from error

    def _look(self, work: Callable[Concatenate[View, P], T], *args: P.args, **named: P.kwargs) -> T:
        """What `work` makes of this thread's read transaction; nested uses share the outermost."""
        reader = self._reader()
        with self._use(reader), self._watched(reader):
            view = reader.view
            if view is None or len(reader.uses) == 1:
                view = reader.begin(self._target)
            return work(view, *args, **named)

    @contextmanager
    def _watched(self, reader: Reader) -> Iterator[None]:
        """What goes wrong may mean that the connection cannot be trusted any more."""
        try:
            yield
        except StoreCorrupt:
            reader.suspect = True
            raise
        except SemanticCoreError:
            raise
        except apsw.TooBigError as error:  # nothing that large is ever written, or asked
            reader.suspect = True
            raise damaged(error) from error
        except SQLITE_ERRORS as error:
            if is_suspect(error) and reader.connection is not None:
                remember_errno(error, reader.connection.raw)
                reader.suspect = True
            raise
        except UNREADABLE as error:
            reader.suspect = True
            raise damaged(error) from error

    def search(
        self, work: Callable[Concatenate[View, P], T], *args: P.args, **named: P.kwargs
    ) -> T:
        """`read`, when this thread has its turn to search: see `cpu_limiter`."""
        with cpu_limiter.turns.one(first=self.sees_one_state):
            return self.read(work, *args, **named)

    def snapshot(self) -> AbstractContextManager[None]:
        """Within it, `read` of this thread sees one state.

        It begins when the thread has its turn: one that waits neither grows old nor keeps the log
        from being emptied.
        """
        reader = self._reader()

        def begin(use: Use) -> None:
            self._enter(reader, use)
            if len(reader.uses) == 1:
                with cpu_limiter.turns.one():
                    self._begin_snapshot(reader)

        return Use(begin, partial(self._end_use, reader))

    def _begin_snapshot(self, reader: Reader) -> None:
        try:
            reader.begin(self._target)
        except SQLITE_ERRORS as error:
            if reader.connection is not None:
                remember_errno(error, reader.connection.raw)
                reader.suspect = is_suspect(error)
            raise translate(error, self._target.path) from error

    def write(self, work: Callable[Concatenate[View, P], T], *args: P.args, **named: P.kwargs) -> T:
        """Do `work(view, ...)` in one write transaction.

        It may run twice (once on a fresh connection), so it must not consume input.

        Raises StoreError; then nothing has changed. StoreMisuse within this thread's own snapshot.
        """
        connection = self._opener()
        with self._sole_writer():
            try:
                return self._attempt(connection(), work, *args, **named)
            except StoreCorrupt:
                self._distrusted = True
            except SQLITE_ERRORS as error:
                if not is_damage(error):
                    raise translate(error, self._target.path) from error
            try:
                return self._attempt(connection(), work, *args, **named)
            except SQLITE_ERRORS as error:
                raise translate(error, self._target.path) from error

    @contextmanager
    def writer(self) -> Iterator[Callable[[], Connection]]:
        """Sole use of the writing connection, outside any transaction,
        as a function that opens it when it must be.
        """
        connection = self._opener()
        with self._sole_writer():
            yield connection

    def _opener(self) -> Callable[[], Connection]:
        patience = self.patience
        if patience == self._target.busy_timeout:
            return self._open_writer
        return partial(self._impatient, patience)

    def _sole_writer(self) -> Use:
        """Sole use of what is written through, by a thread that has no snapshot.

        Raises StoreBusy, StoreMisuse.
        """

        def begin(use: Use) -> None:
            self._refuse_closed()
            if self.in_snapshot:
                raise StoreMisuse(
                    "Writing within this thread's own snapshot would not be seen in it.",
                    hint="Leave it first.",
                )
            if not writing.take(use, patience):
                raise StoreBusy(
                    f"The store {self._target.path!r}: another thread has been writing for "
                    f"{patience:g} s.",
                    hint="Try again.",
                )
            self._refuse_closed()

        def end(use: Use) -> None:
            if writing.has(use):
                self._tidy_writer()
                writing.give_back(use)

        writing = self._writing
        patience = self.patience
        return Use(begin, end)

    def _tidy_writer(self) -> None:
        """As the next one wants to find it."""
        if self._writer is not None and self._writer.raw.in_transaction:
            self._drop_writer()
        if self._writer is not None:
            self._writer.raw.set_busy_timeout(int(self._target.busy_timeout * 1000))
        if self._closed:
            self._close_writer()

    @property
    def patience(self) -> float:
        """Seconds this thread waits for other writers."""
        return float(getattr(self._local, "patience", self._target.busy_timeout))

    @contextmanager
    def waiting_at_most(self, seconds: float) -> Iterator[None]:
        """Within it, this thread waits no longer than that for other writers."""
        self._reader()  # after a fork, the locals are other ones
        outer = self.patience
        self._local.patience = min(outer, max(0.0, seconds))
        try:
            yield
        finally:
            self._local.patience = outer

    def _impatient(self, patience: float) -> Connection:
        connection = self._open_writer()
        connection.raw.set_busy_timeout(int(patience * 1000))
        return connection

    def _attempt(
        self,
        connection: Connection,
        work: Callable[Concatenate[View, P], T],
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        connection.check_place()
        try:
            with transaction(connection.raw):
                generation = int(connection.raw.execute(GENERATION).get)
                view = View(connection.raw, generation, self._target.tuning)
                done = work(view, *args, **named)
            connection.check_log()
            return done
        except SemanticCoreError:
            raise
        except SQLITE_ERRORS as error:
            if is_suspect(error):
                remember_errno(error, connection.raw)
                self._distrusted = True
            raise
        except UNREADABLE as error:
            raise damaged(error) from error

    def _open_writer(self) -> Connection:
        if self._writer is None or self._distrusted:
            # The new one is there before the old one goes: without any, SQLite would recover what
            # is in the log, and a write that failed while it was made durable would come back
            # although its error has been raised.
            fresh = Connection(self._target, writer=True)
            try:
                fresh.raw.execute(GENERATION).fetchall()
            except BaseException:
                fresh.close()
                raise
            self._drop_writer()
            self._writer = fresh
        return self._writer

    def _drop_writer(self) -> None:
        connection = self._writer
        self._writer = None
        self._distrusted = False
        if connection is not None:
            connection.close()

    def renew(self) -> None:
        """Close the connections this thread reads and writes through; the next use opens others."""
        with self.writer():
            self._drop_writer()
            self._reader().drop()

    def close(self) -> None:
        """Let go of every connection; one in use by another thread goes when that use ends."""
        if self._pid != os.getpid():
            self.abandon()
        with self._registry:
            self._closed = True
            readers = [reader for reader, _ in self._readers.values()]
        for reader in readers:
            with reader.lock:
                reader.doomed = True
                if not reader.uses:
                    reader.drop()
        with self._writing.use(self._target.busy_timeout) as mine:
            if mine:
                self._close_writer()

    def _close_writer(self) -> None:
        if self._writer is not None:
            # Others may be reading; the last one to close the file empties the log.
            with suppress(apsw.Error, StoreMisuse):
                self._writer.check_place()
                self._writer.raw.set_busy_timeout(int(CLOSING_WAIT * 1000))
                self._writer.raw.execute("pragma wal_checkpoint(truncate)").fetchall()
        self._drop_writer()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreMisuse(f"The store {self._target.path!r} is closed.", hint="Open it again.")

    def _use(self, reader: Reader) -> Use:
        """For a block in which this thread reads through it."""
        return Use(partial(self._enter, reader), partial(self._end_use, reader))

    def _end_use(self, reader: Reader, use: Use) -> None:
        self._leave(reader)

    def _enter(self, reader: Reader, use: Use) -> None:
        if getattr(self._local, "orphaned", False):
            raise StoreMisuse(
                "A snapshot does not survive a fork.", hint="Open a new one in the child."
            )
        with reader.lock:
            self._refuse_closed()
            reader.uses.add(use)

    def _leave(self, reader: Reader) -> None:
        if reader.pid != os.getpid():  # forked within a snapshot: its connection is the parent's
            self._local.orphaned = len(reader.uses) > 0
            return
        with reader.lock:
            if not reader.uses:
                reader.end()

    def _reader(self) -> Reader:
        if self._pid != os.getpid():
            self.abandon()
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = Reader(self._shared)
            token = _Token()
            self._local.reader = reader
            self._local.token = token
            pool = weakref.ref(self)

            def ended(_: object) -> None:
                _thread_ended(pool, reader)

            end = weakref.ref(token, ended)
            with self._registry:
                self._readers[id(reader)] = (reader, end)
        return reader

    def hold_still(self, deadline: float) -> list[Callable[[], None]]:
        """Before a fork: close what is not in use, and let nobody begin until all that is given
        back was called.
        """
        held: list[Callable[[], None]] = []
        use = self._writing.use(_remaining(deadline))
        use.__enter__()
        if self._writing.has(use):
            held.append(use.finish)
            if not self._distrusted:
                self._drop_writer()
        if self._registry.acquire(timeout=_remaining(deadline)):
            held.append(self._registry.release)
        own = getattr(self._local, "reader", None)
        for reader, _ in list(self._readers.values()):
            while reader.lock.acquire(timeout=_remaining(deadline)):
                if not reader.uses:
                    reader.drop()
                    held.append(reader.lock.release)
                    break
                reader.lock.release()
                if reader is own or time.monotonic() >= deadline:
                    break  # a snapshot: it goes on in the parent
                time.sleep(_PAUSE)
        return held

    def abandon(self) -> None:
        """In a forked child: forget the parent's connections and begin with none."""
        leave_to_parent()
        inside = getattr(self._local, "reader", None)
        self._begin()
        self._local.orphaned = inside is not None and len(inside.uses) > 0


def _thread_ended(pool: weakref.ref[Pool], reader: Reader) -> None:
    if reader.pid != os.getpid():
        return
    owner = pool()
    if owner is not None:
        with owner._registry:
            owner._readers.pop(id(reader), None)
    with reader.lock:
        reader.drop()


def _remaining(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_forking = threading.local()


def _before_fork() -> None:
    """SQLite counts its locks per process: it would count those of a connection that is open now in
    the child as well, where nobody holds them. So as few as possible are."""
    deadline = time.monotonic() + FORK_WAIT
    _forking.held = [release for pool in list(_pools) for release in pool.hold_still(deadline)]


def _after_fork_in_parent() -> None:
    for release in getattr(_forking, "held", ()):
        release()
    _forking.held = []


def _after_fork_in_child() -> None:
    _forking.held = []
    forget_files()
    for pool in list(_pools):
        pool.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
