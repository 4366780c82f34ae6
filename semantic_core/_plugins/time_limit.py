"""Calls that may take only so long, each in a thread that is left alone when its time is over.

Python cannot stop a function. So the function runs in another thread, and the caller waits for it.
It gets a stand-in for the store: the caller, while it waits, does what the function asks of the
store, so that every read is of the caller's snapshot and transaction. When the time is over, the
stand-in refuses everything, and the thread ends on its own.

The threads are daemons: a function that never ends does not keep the process from ending.

Tested by tests/plugins/test_time_limits.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import cache
from inspect import getattr_static
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, NamedTuple

from semantic_core.errors import StoreMisuse, is_interruption

_MOST_IDLE = 16
"""Threads that wait for work, at most: more than there usually are searches at the same time."""
_IDLE = 60.0
"""Seconds that a thread waits for work before it ends."""


class TimeIsOver(Exception):
    """The function gave no answer in time. call: it may still be running."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call


class _Wish(NamedTuple):
    """What the function asks of the store."""

    work: Callable[[], Any]
    reply: SimpleQueue[_Outcome]


class _Outcome(NamedTuple):
    """What a function returned, or raised."""

    value: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class Call:
    """One call of a function in another thread. ended: whether the function has returned."""

    def __init__(self) -> None:
        self.ended = False
        self._inbox: SimpleQueue[_Wish | _Outcome] = SimpleQueue()
        self._over = False
        self._lock = Lock()

    def begin(self, function: Callable[[], Any]) -> None:
        """Start it, with the caller's context variables."""
        context = copy_context()

        def work() -> None:
            try:
                outcome = _Outcome(context.run(function))
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                outcome = _Outcome(error=error)
            self.ended = True
            self._inbox.put(outcome)

        _threads.run(work)

    def wait(self, seconds: float) -> Any:
        """What the function returns; it may raise anything. Raises TimeIsOver after `seconds`."""
        until = monotonic() + seconds
        try:
            while True:
                got = self._next(until)
                if isinstance(got, _Outcome):
                    return got.get()
                got.reply.put(_done(got.work))
        finally:
            self._end()

    def _next(self, until: float) -> _Wish | _Outcome:
        left = until - monotonic()
        try:
            if left > 0:
                return self._inbox.get(timeout=left)
        except Empty:
            pass
        raise TimeIsOver(self)

    def ask(self, work: Callable[[], Any]) -> Any:
        """Let the waiting caller do something. Raises StoreMisuse if it does not wait any more."""
        reply: SimpleQueue[_Outcome] = SimpleQueue()
        with self._lock:
            if self._over:
                raise _search_is_over()
            self._inbox.put(_Wish(work, reply))
        return reply.get().get()

    def _end(self) -> None:
        """Refuse every wish from now on, and those that wait."""
        with self._lock:
            self._over = True
            while not self._inbox.empty():
                left = self._inbox.get()
                if isinstance(left, _Wish):
                    left.reply.put(_Outcome(error=_search_is_over()))


def _done(work: Callable[[], Any]) -> _Outcome:
    try:
        return _Outcome(work())
    except BaseException as error:
        if is_interruption(error):
            raise
        return _Outcome(error=error)


def _search_is_over() -> StoreMisuse:
    return StoreMisuse(
        "The search that this store was given for is over.",
        hint="Read it within the call of the hook, and in the time that search_timeout sets.",
    )


class _StandIn:
    """A store as a function in another thread sees it: the caller does what it asks.

    It counts as an instance of the store's class, and is equal to the store.
    """

    def __init__(self, store: Any, call: Call) -> None:
        own = vars(self)
        own["_store"] = store
        own["_call"] = call
        for name, value in getattr(store, "__dict__", {}).items():
            if callable(value) and not name.startswith("_"):
                own[name] = self._asking(name)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The class of the store, for ``isinstance``."""
        return type(self._store)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._call.ask(lambda: getattr(self._store, name))

    def __setattr__(self, name: str, value: object) -> None:
        self._call.ask(lambda: setattr(self._store, name, value))

    def __eq__(self, other: object) -> bool:
        mine = self._store
        return bool(mine == (other._store if type(other) is type(self) else other))

    def __hash__(self) -> int:
        return hash(self._store)

    def __repr__(self) -> str:
        return repr(self._store)

    def snapshot(self) -> AbstractContextManager[None]:
        """The whole search reads one state."""
        return nullcontext()

    def _asking(self, name: str) -> Callable[..., Any]:
        def ask(*args: Any, **options: Any) -> Any:
            return self._call.ask(lambda: getattr(self._store, name)(*args, **options))

        return ask


def stand_in(store: Any, call: Call) -> Any:
    """The store for a function of this call."""
    kind: Any = type(store)
    return _stand_in_of(kind)(store, call)


@cache
def _stand_in_of(kind: Any) -> type[_StandIn]:
    """The class of stand-ins for stores of this class.

    It has every attribute itself, because protocols look for them in the class.
    """
    members: dict[str, Any] = {}
    for name in dir(kind):
        if name.startswith("_") or name == "snapshot":
            continue
        if isinstance(getattr_static(kind, name), property) or not callable(getattr(kind, name)):
            members[name] = property(_reader(name))
        else:
            members[name] = _method(name)
    return type(f"{kind.__name__}OfSearch", (_StandIn,), members)


def _reader(name: str) -> Callable[[Any], Any]:
    def read(self: Any) -> Any:
        return self._call.ask(lambda: getattr(self._store, name))

    return read


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        return self._call.ask(lambda: getattr(self._store, name)(*args, **options))

    method.__name__ = name
    return method


def call_within(
    seconds: float, function: Callable[[Mapping[str, Any]], Any], arguments: Mapping[str, Any]
) -> Any:
    """What ``function(arguments)`` returns, in another thread. It may raise anything.

    arguments: "store" becomes a stand-in. Raises TimeIsOver if it takes longer.
    """
    call = Call()
    given = dict(arguments)
    if "store" in given:
        given["store"] = stand_in(given["store"], call)
    call.begin(lambda: function(given))
    return call.wait(seconds)


class _Threads:
    """Threads that are used again, so that a call need not wait until one has started."""

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[Callable[[], None]]] = []
        self._lock = Lock()

    def run(self, work: Callable[[], None]) -> None:
        """Do this in a thread that has nothing else to do."""
        with self._lock:
            if self._idle:
                self._idle.pop().put(work)
                return
        name = "semantic-core retriever"
        Thread(target=self._serve, args=(work,), name=name, daemon=True).start()

    def _serve(self, work: Callable[[], None]) -> None:
        jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        while True:
            work()
            with self._lock:
                if len(self._idle) >= _MOST_IDLE:
                    return
                self._idle.append(jobs)
            del work  # what it refers to is not kept while the thread waits
            try:
                work = jobs.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if jobs in self._idle:
                        self._idle.remove(jobs)
                        return
                work = jobs.get()


_threads = _Threads()


def _begin_anew() -> None:
    """A forked process has none of the threads."""
    global _threads
    _threads = _Threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
