"""A thread of this process that works changes off: when it is woken, and now and then."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from time import monotonic
from weakref import WeakSet

from semantic_core._validation import one_line
from semantic_core.errors import SemanticCoreError

INTERVAL = 1.0
"""Seconds between two looks for changes other programs made."""
LONGEST_PAUSE = 60.0
"""Seconds it waits at most after one failure after another."""
AT_EXIT = 5.0
"""Seconds a process that ends waits at most for what its workers are in the middle of."""

_log = logging.getLogger("semantic_core.orm")


class Worker:
    """Calls ``work()`` when woken and every INTERVAL seconds;
    ``release()`` once there is nothing more to do.

    work: says whether it wants to be called again by itself; if not, the thread ends, and the next
    `wake` begins another. Starts with the first `wake`, also in a child process after a fork. A
    failure is logged, and the pause doubles. busy: whether it is at work right now.
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
        """Have it look now. Starts the thread if there is none in this process."""
        with self._lock:
            if self._stopped.is_set():
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
        """End the thread after what it is doing; waits for that `timeout` seconds at most."""
        self.tell_to_stop()
        with self._lock:
            thread = self._thread
            mine = self._process == os.getpid()
        if thread is not None and mine and thread is not threading.current_thread():
            thread.join(timeout)

    def tell_to_stop(self) -> None:
        """The same, without waiting."""
        with self._lock:
            self._stopped.set()
            self._woken.set()

    def must_end(self) -> bool:
        """Whether the thread that asks is this worker's, and was told to stop."""
        return self._stopped.is_set() and threading.current_thread() is self._thread

    def _run(self) -> None:
        pause = INTERVAL
        while not self._stopped.is_set():
            self._woken.clear()
            again = self.busy = True
            try:
                again = self._do()
                pause = INTERVAL
            except Exception as error:  # noqa: BLE001
                # Whatever the store or the database raised; the tickets wait, and it tries again.
                pause = min(pause * 2, LONGEST_PAUSE)
                known = isinstance(error, SemanticCoreError)  # says what to do by itself
                _log.warning(
                    "Changes could not be worked off; next try in %.0f s. %s",
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
        """Whether this thread may end: nobody has woken it meanwhile."""
        with self._lock:
            if self._woken.is_set():
                return False
            self._thread = None
            return True


_workers: WeakSet[Worker] = WeakSet()


@atexit.register
def _end_before_the_interpreter() -> None:
    """A thread the interpreter ends while it is in another language's code (an embedder's, say) may
    take the whole process down with it.
    """
    until = monotonic() + AT_EXIT
    workers = list(_workers)
    for worker in workers:
        worker.tell_to_stop()
    for worker in workers:
        worker.stop(max(0.0, until - monotonic()))
