"""`Worker`: a thread of this process that processes pending changes, when woken and periodically.

Tested by tests/orm/test_base.py and tests/cli/test_models.py.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from weakref import WeakSet

from semantic_core._validation import one_line
from semantic_core.errors import SemanticCoreError
from semantic_core.orm.log import log

INTERVAL = 1.0
"""Seconds between two looks for changes of other programs."""
LONGEST_PAUSE = 60.0
"""The longest pause after repeated failures, in seconds."""
AT_EXIT = 5.0
"""Seconds for which a process that ends waits at most for its workers."""

_foreground = threading.Event()


@contextmanager
def in_foreground() -> Iterator[None]:
    """A block in which no worker of this process starts a thread, because the caller processes all
    changes itself and reports them. Threads that run already are not stopped.
    """
    before = _foreground.is_set()
    _foreground.set()
    try:
        yield
    finally:
        if not before:
            _foreground.clear()


class Worker:
    """Calls ``work()`` in a thread, when woken and every INTERVAL seconds, and ``release()`` after
    each call.

    work: returns whether it wants to be called again by itself; if not, the thread ends, and the
    next `wake` starts another. The first `wake` starts the thread, also in a child process after a
    fork. A failure is logged, and the pause doubles. busy: whether ``work()`` runs now.
    """

    def __init__(self, work: Callable[[], bool], release: Callable[[], None]) -> None:
        self._do = work
        self._release = release
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0
        self.busy = False
        _workers.add(self)

    def wake(self) -> None:
        """Call ``work()`` now. Starts the thread if this process has none. Within `in_foreground`,
        do nothing.
        """
        with self._lock:
            if self._stopped.is_set() or _foreground.is_set():
                return
            if self._thread is None or self._process != os.getpid() or not self._thread.is_alive():
                self._woken = threading.Event()
                self._process = os.getpid()
                self._thread = threading.Thread(
                    target=self._run, name="semantic-core-sync", daemon=True
                )
                self._thread.start()
            self._woken.set()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread after its current call; wait for that at most `timeout` seconds."""
        self.request_stop()
        with self._lock:
            thread = self._thread
            mine = self._process == os.getpid()
        if thread is not None and mine and thread is not threading.current_thread():
            thread.join(timeout)

    def request_stop(self) -> None:
        """End the thread after its current call, without waiting for it."""
        with self._lock:
            self._stopped.set()
            self._woken.set()

    def must_end(self) -> bool:
        """Whether the calling thread is this worker's, and has to stop."""
        return self._stopped.is_set() and threading.current_thread() is self._thread

    def _run(self) -> None:
        pause = INTERVAL
        while not self._stopped.is_set():
            self._woken.clear()
            self.busy = True
            again = True
            try:
                again = self._do()
                pause = INTERVAL
            except Exception as error:  # noqa: BLE001
                # The store or the database failed. The changes stay pending; the next call retries.
                pause = min(pause * 2, LONGEST_PAUSE)
                known = isinstance(error, SemanticCoreError)  # its text has a hint
                log.warning(
                    "The worker could not process pending changes; next attempt in %.0f s. %s",
                    pause,
                    str(error) if known else one_line(error),
                    exc_info=not known,
                )
            finally:
                self.busy = False
                self._release()
            if not again and self._ended():
                return
            self._woken.wait(pause)

    def _ended(self) -> bool:
        """Whether this thread may end, since it was not woken meanwhile."""
        with self._lock:
            if self._woken.is_set():
                return False
            self._thread = None
            return True


_workers: WeakSet[Worker] = WeakSet()


@atexit.register
def end_all_workers() -> None:
    """Stop all workers before the interpreter ends. A thread that the interpreter ends while it
    runs native code, an embedder's for example, may crash the whole process.
    """
    until = monotonic() + AT_EXIT
    workers = list(_workers)
    for worker in workers:
        worker.request_stop()
    for worker in workers:
        worker.stop(max(0.0, until - monotonic()))
