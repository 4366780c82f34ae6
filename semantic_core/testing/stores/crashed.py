"""Checks of a persistent store with several processes: what one has written outlives its crash, and
others see it at once.

Tested by plugins/semantic-core-peewee/tests/sqlite/test_contract.py and
plugins/semantic-core-peewee/tests/sqlite/test_crash_kit_bites.py.
"""

from __future__ import annotations

import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import sleep
from typing import NamedTuple

from semantic_core.testing.check import Check, fail, same, skip
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    OpenStore,
    contents,
    item,
    put,
)

PATIENCE = 60.0
"""Seconds in which another process must have done its work; it needs a fraction of one."""
DONE = b"done\n"


@Check
def what_was_written_outlives_a_crash(open_store: OpenStore) -> None:
    """A write that has returned is there when its process ends without closing the store
    (``os._exit``): documents, passages, vectors, removals, stamps and the revision.
    """
    items = [item("1", "first zorbak", "its tail", title="Title"), item("2", "second")]
    gone = item("3", "gone")

    def write(tell: Callable[[], None]) -> None:
        store = open_store(SPACE)
        put(store, *items, gone, stamps={gone.ref: 5})
        store.remove([gone.ref], stamps={gone.ref: 7})
        tell()
        os._exit(0)

    with _process(write) as child:
        child.wait()
    with closing(open_store(SPACE)) as store:
        stored = [summary.ref for summary in store.documents(EVERYTHING)]
        same(stored, [each.ref for each in items], "documents after the crash")
        same(put(store, gone, stamps={gone.ref: 6}), ["stale"], "outcome of an older stamp")
        same(put(store, *items), ["unchanged", "unchanged"], "outcomes of the same write again")
        before = contents(store, *items)
        revision = store.revision()
    with closing(open_store(SPACE)) as store:
        same(contents(store, *items), before, "contents after opening it once more")
        same(store.revision(), revision, "revision after opening it once more")


@Check
def another_process_reads_and_writes_at_once(open_store: OpenStore) -> None:
    """While one process has the store open, another can open it, reads what was written, and
    writes; the first one reads that in turn.
    """
    first = item("1", "of the first process")
    second = item("2", "of the second process")

    def work(tell: Callable[[], None]) -> None:
        store = open_store(SPACE)
        put(store, first)
        tell()  # the store stays open
        _wait_for(lambda: store.get(second.ref) is not None)
        tell()
        os._exit(0)

    with _process(work) as child:
        child.wait()
        with closing(open_store(SPACE)) as store:
            found = store.get(first.ref)
            same(found, first.document, "the document of the other process, which is still open")
            revision = store.revision()
            put(store, second)
            if store.revision() == revision:
                fail("The revision is the same after a write, with two processes.")
            child.wait()


class _Child(NamedTuple):
    """A process that works on the store. pipe: where it tells what it has done."""

    pid: int
    pipe: int

    def wait(self) -> None:
        """Wait until it tells that the next step is done. Fails if it ends without, or takes too
        long.
        """
        told = b""
        while not told.endswith(b"\n"):
            ready, _, _ = select.select([self.pipe], [], [], PATIENCE)
            if not ready:
                fail(f"The other process was not done within {PATIENCE:.0f} s.")
            read = os.read(self.pipe, 65_536)
            if not read:
                fail(f"The other process ended before it was done. {told.decode(errors='replace')}")
            told += read
        if not told.endswith(DONE):
            fail(f"The other process failed: {told.decode(errors='replace').strip()}")


@contextmanager
def _process(work: Callable[[Callable[[], None]], None]) -> Iterator[_Child]:
    """Run `work` in another process, which has no store open when it begins.

    It is a fork, because what opens the store is a function of the author's test. Whatever happens,
    the process has ended after the block.
    """
    if not hasattr(os, "fork"):
        skip("This system starts no process as a copy of this one.")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forks beside threads. The child opens a store of its own and exits.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        _run(work, reading, writing)
    os.close(writing)
    try:
        yield _Child(pid, reading)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _run(work: Callable[[Callable[[], None]], None], reading: int, writing: int) -> None:
    """The life of the other process, which never returns."""
    try:
        os.close(reading)
        work(lambda: _tell(writing, DONE))
    except BaseException:  # noqa: BLE001 - told to the parent, which reports it
        _tell(writing, traceback.format_exc().replace("\n", " | ").encode()[-4_000:] + b"\n")
    finally:
        os._exit(1)


def _tell(pipe: int, what: bytes) -> None:
    os.write(pipe, what)


def _wait_for(holds: Callable[[], bool]) -> None:
    """Return when it holds. The process is killed if it never does."""
    while not holds():
        sleep(0.005)
