"""`AsyncBridge`: an event loop in a thread of its own, through which an adapter uses an ORM of
asyncio; `AfterCommit`: what tasks await after a commit.

The methods of an adapter are plain functions, called by many threads. The methods of an asyncio ORM
have to be awaited, in the one loop that its connection belongs to. A bridge has a loop and a
connection for that purpose, beside those of the application, which continues meanwhile.

Tested by tests/orm/test_aio.py, tests/blueprints/test_tortoise_kit.py.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from contextvars import Context, copy_context
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

from semantic_core.errors import StoreBusy, StoreMisuse, StoreUnavailable
from semantic_core.orm.log import log
from semantic_core.orm.worker import end_all_workers

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds after which a coroutine is cancelled, unless another timeout is given."""
CLOSING = 10.0
"""Seconds that `AsyncBridge.close` waits for the thread."""
AT_EXIT = 2.0
"""Seconds that the end of the process waits for all threads together."""

Step = Callable[[], Awaitable[object]]
"""Opens or closes a connection."""


class AsyncBridge:
    """Runs coroutines for synchronous code, in an event loop with a daemon thread of its own.

    name: of the thread, and of the bridge in messages. opening: awaited in that loop before the
    first coroutine, to open a connection. Context variables that it sets have these values in all
    coroutines; all others have the values of the code that created the bridge. closing: awaited
    when the bridge is closed. timeout: seconds for one coroutine; see `run`.

    The thread begins with the first `run`, also after `close` and in a child process after a fork.
    The child gets a loop and a connection of its own, and never touches those of its parent. The
    end of the process closes all bridges. Threads may share a bridge; their coroutines run
    concurrently.
    """

    def __init__(
        self,
        name: str,
        *,
        opening: Step | None = None,
        closing: Step | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self._opening = opening
        self._closing = closing
        self._context = copy_context()
        self._lock = threading.Lock()
        self._life: _Life | None = None
        _bridges.add(self)

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        return self._life is not None

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
        """Run a coroutine in the loop of this bridge and return its result.

        timeout: seconds until the coroutine is cancelled; None takes that of the bridge. Raises
        what the coroutine raises, with its traceback; StoreBusy after the timeout; StoreMisuse in a
        thread that runs an event loop, which would stand still, and for ever if it is the loop of
        this bridge; StoreUnavailable if the bridge is closed meanwhile.
        """
        seconds = self.timeout if timeout is None else timeout
        try:
            self._refuse_within_loop()
            future = self._submitted(coroutine)
        except Exception:  # not for an interruption: the coroutine may run already
            coroutine.close()
            raise
        try:
            return future.result(seconds)
        except CancelledError as error:
            raise StoreUnavailable(
                f"{self} was closed while a coroutine ran.",
                hint="Close it when nothing uses the database any more.",
            ) from error
        except TimeoutError as error:
            if future.done() and not future.cancelled() and future.exception() is error:
                raise  # raised by the coroutine
            future.cancel()
            raise StoreBusy(
                f"{self} got no answer from the database within {seconds:g} s.",
                hint="Look for a transaction that stays open, or give the bridge another timeout.",
            ) from error
        except BaseException:
            future.cancel()  # the wait was interrupted; does nothing if the coroutine raised
            raise

    def close(self, timeout: float = CLOSING) -> None:
        """Cancel what runs, close the connection, and end the thread. Without a thread, do nothing.

        timeout: seconds to wait at most. Raises what closing the connection raises, StoreMisuse
        within the loop of this bridge, and StoreBusy if the thread does not end in time.
        """
        with self._lock:
            life = self._life
            if life is not None and life.thread is threading.current_thread():
                raise StoreMisuse(
                    f"{self} cannot be closed within its own loop.",
                    hint="Close it in another thread.",
                )
            self._life = None
        if life is not None and not life.end(self._closing, timeout):
            raise StoreBusy(
                f"The thread of {self} did not end within {timeout:g} s.",
                hint="A coroutine blocks its event loop, for example with time.sleep().",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        """Let the thread end by itself, since nobody can use it any more."""
        life = getattr(self, "_life", None)
        if life is not None:
            life.begin_end(self._closing)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    __str__ = __repr__

    def _refuse_within_loop(self) -> None:
        """Raise StoreMisuse in a thread that runs an event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        life = self._life
        if life is not None and life.thread is threading.current_thread():
            raise StoreMisuse(
                f"{self} was called within its own loop, which would wait for itself for ever.",
                hint="Await the coroutine there.",
            )
        raise StoreMisuse(
            f"{self} was called in a thread that runs an event loop, and would stop that loop.",
            hint="Call it in another thread: await asyncio.to_thread(Article.search, ...), or "
            "await core.call(...) of an AsyncSemanticCore.",
        )

    def _submitted(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:  # so that `close` ends no loop between these two steps
            if _ending.is_set():
                raise StoreUnavailable(f"{self} is closed: the process is about to end.")
            if self._life is None:
                self._life = _Life(self.name, self._context.copy(), self._opening)
            life = self._life
            return asyncio.run_coroutine_threadsafe(life.call(coroutine), life.loop)

    def _forget_after_fork(self) -> None:
        """In a child process: give up the thread, which only the parent has."""
        self._lock = threading.Lock()
        if self._life is not None:
            _of_the_parent.append(self._life)
            self._life = None


class _Life:
    """A thread with a running loop, and the connection that was opened in it."""

    def __init__(self, name: str, context: Context, opening: Step | None) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._context = context
        self._opening = opening
        self._opened: asyncio.Task[object] | None = None
        self._raised: BaseException | None = None
        self.thread.start()

    async def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of the coroutine, after the connection is open."""
        try:
            await self._open()
            return await self.loop.create_task(coroutine, context=self._context.copy())
        finally:
            coroutine.close()  # does nothing unless it never began

    async def _open(self) -> None:
        """Open the connection, once. After a failure the next call tries again."""
        if self._opening is None:
            return
        if self._opened is None:
            self._opened = self.loop.create_task(_awaited(self._opening), context=self._context)
        opened = self._opened
        try:
            await asyncio.shield(opened)
        except BaseException:
            failed = opened.done() and (opened.cancelled() or opened.exception() is not None)
            if failed and self._opened is opened:
                self._opened = None
            raise

    def end(self, closing: Step | None, timeout: float) -> bool:
        """Close the connection and end the thread. Returns whether it ended in time; raises what
        closing raises.
        """
        self.begin_end(closing)
        self.thread.join(timeout)
        raised = self._raised
        if raised is not None:
            self._raised = None
            raise raised
        return not self.thread.is_alive()

    def begin_end(self, closing: Step | None) -> None:
        """Close the connection and end the thread, without waiting for that."""
        with suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self._create_end, closing)

    def _create_end(self, closing: Step | None) -> None:
        self._ending = self.loop.create_task(self._end(closing), context=self._context)

    async def _end(self, closing: Step | None) -> None:
        try:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            if closing is not None and self._opened is not None and not self._opened.cancelled():
                await closing()
            await self.loop.shutdown_asyncgens()
        except BaseException as error:  # noqa: BLE001 - raised again by `end`, in another thread
            self._raised = error
        finally:
            self.loop.stop()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()


async def _awaited(step: Step) -> object:
    return await step()


class AfterCommit:
    """Calls a blocking function in a thread for tasks that await it: what an adapter's `on_commit`
    gives to the transactions of an asyncio ORM.

    call: the function, usually `wake`. Tasks that commit while a call runs share the next one, so
    that a hundred commits at the same time cause a few calls, and each task continues when a call
    that began after its commit has ended. A task that is cancelled meanwhile does not disturb the
    others. The event loop never waits.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._waiting: list[asyncio.Future[None]] = []
        self._busy = False
        _after_commits.add(self)

    async def __call__(self) -> None:
        """Return when a call that began after this moment has ended. Raises what it raises."""
        done = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(done)
            start = not self._busy
            self._busy = True
        if start:
            threading.Thread(target=self._work, name="semantic-core-commit", daemon=True).start()
        await done

    def _work(self) -> None:
        """Call the function until no task waits for it."""
        while True:
            with self._lock:
                served = self._waiting
                self._waiting = []
                if not served:
                    self._busy = False
                    return
            raised: BaseException | None = None
            try:
                self._call()
            except BaseException as error:  # noqa: BLE001 - raised by the tasks that wait for it
                raised = error
            for done in served:
                try:
                    done.get_loop().call_soon_threadsafe(_settle, done, raised)
                except RuntimeError:  # its loop was closed, and the task with it
                    continue

    def _forget_after_fork(self) -> None:
        """In a child process: forget the tasks and the thread, which only the parent has."""
        self._lock = threading.Lock()
        self._waiting = []
        self._busy = False


def _settle(done: asyncio.Future[None], raised: BaseException | None) -> None:
    if done.done():  # its task was cancelled
        return
    if raised is None:
        done.set_result(None)
    else:
        done.set_exception(raised)


_bridges: WeakSet[AsyncBridge] = WeakSet()
_after_commits: WeakSet[AfterCommit] = WeakSet()
_of_the_parent: list[_Life] = []
"""In a child process: loops and connections of its parent, kept so that nothing closes them."""
_ending = threading.Event()
"""Set when the process is about to end."""


def _forget_after_fork() -> None:
    for bridge in _bridges:
        bridge._forget_after_fork()
    for after_commit in _after_commits:
        after_commit._forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


@atexit.register
def _close_before_the_interpreter() -> None:
    """Close all bridges. The workers, which use them, end first."""
    end_all_workers()
    _ending.set()
    until = monotonic() + AT_EXIT
    for bridge in list(_bridges):
        try:
            bridge.close(max(0.0, until - monotonic()))
        except Exception:  # noqa: BLE001
            # The process ends in any case, and the database closes what is left.
            log.debug("%s could not be closed.", bridge, exc_info=True)
