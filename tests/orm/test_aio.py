"""Synchronous code uses an ORM of asyncio through a bridge: a loop and a connection of its own,
errors as they were raised, no deadlock, and no thread that is left over.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from semantic_core.errors import StoreBusy, StoreMisuse, StoreUnavailable
from semantic_core.orm.aio import AfterCommit, AsyncBridge

connection: ContextVar[str] = ContextVar("connection", default="none")
tenant: ContextVar[str] = ContextVar("tenant", default="none")


async def answer(value: Any = 42) -> Any:
    return value


async def failing() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError("in the coroutine")


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


# --- running --------------------------------------------------------------------------------------


def test_a_coroutine_runs_in_a_thread_with_a_loop_of_its_own() -> None:
    async def where() -> tuple[threading.Thread, asyncio.AbstractEventLoop]:
        return threading.current_thread(), asyncio.get_running_loop()

    with AsyncBridge("bridge") as bridge:
        thread, loop = bridge.run(where())
        assert thread is not threading.current_thread()
        assert thread.daemon and thread.name == "bridge"
        assert bridge.run(where()) == (thread, loop)


def test_a_bridge_that_nobody_used_has_no_thread() -> None:
    before = threading.active_count()
    with AsyncBridge("unused") as bridge:
        assert not bridge.running and threading.active_count() == before


def test_threads_share_it_and_their_coroutines_run_at_the_same_time() -> None:
    async def meet(barrier: asyncio.Barrier) -> int:
        return await barrier.wait()

    async def barrier_of(count: int) -> asyncio.Barrier:
        return asyncio.Barrier(count)

    found: list[int] = []
    with AsyncBridge("shared") as bridge:
        barrier = bridge.run(barrier_of(4))
        threads = [
            threading.Thread(target=lambda: found.append(bridge.run(meet(barrier), timeout=10)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(found) == [0, 1, 2, 3]


def test_an_error_keeps_its_traceback() -> None:
    with AsyncBridge("errors") as bridge:
        with pytest.raises(ZeroDivisionError, match="in the coroutine") as caught:
            bridge.run(failing())
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names[-1] == "failing" and "run" in names
        assert bridge.run(answer()) == 42


def test_a_timeout_cancels_the_coroutine() -> None:
    ended = threading.Event()

    async def long() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    with AsyncBridge("slow", timeout=0.05) as bridge:
        with pytest.raises(StoreBusy, match=r"within 0.05 s") as caught:
            bridge.run(long())
        assert caught.value.hint and ended.wait(5)
        assert bridge.run(answer(), timeout=5) == 42


def test_a_timeout_of_the_coroutine_is_its_own() -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(30)

    with AsyncBridge("own") as bridge, pytest.raises(TimeoutError) as caught:
        bridge.run(impatient())
    assert not isinstance(caught.value, StoreBusy)


def test_an_interrupted_wait_cancels_the_coroutine() -> None:
    began = threading.Event()
    ended = threading.Event()

    async def long() -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    def interrupt() -> None:
        began.wait(5)
        time.sleep(0.05)  # until the main thread waits for the result
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with AsyncBridge("interrupted") as bridge:
            threading.Thread(target=interrupt).start()
            with pytest.raises(KeyboardInterrupt):
                bridge.run(long())
            assert ended.wait(5)
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- where it is refused --------------------------------------------------------------------------


def test_a_call_within_its_own_loop_is_refused_instead_of_waiting_for_ever() -> None:
    with AsyncBridge("own loop") as bridge:

        async def inner() -> Any:
            return bridge.run(answer())

        with pytest.raises(StoreMisuse, match="within its own loop"):
            bridge.run(inner(), timeout=5)

        async def close() -> None:
            bridge.close()

        with pytest.raises(StoreMisuse, match="closed within its own loop"):
            bridge.run(close(), timeout=5)


def test_a_call_that_would_stop_the_loop_of_the_application_is_refused_with_what_to_do() -> None:
    with AsyncBridge("other loop") as bridge:

        async def view() -> Any:
            with pytest.raises(StoreMisuse, match="would stop that loop") as caught:
                bridge.run(answer())
            assert "asyncio.to_thread" in caught.value.hint
            return await asyncio.to_thread(lambda: bridge.run(answer()))

        assert asyncio.run(view()) == 42


def test_a_refused_coroutine_is_closed() -> None:
    """Or Python would warn that it was never awaited."""
    with AsyncBridge("closed") as bridge:
        refused: list[Coroutine[Any, Any, Any]] = []

        async def view() -> None:
            refused.append(answer())
            with pytest.raises(StoreMisuse):
                bridge.run(refused[0])

        asyncio.run(view())
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        refused[0].send(None)


# --- opening and closing --------------------------------------------------------------------------


class Connections:
    """Opens and closes; knows how often, and in which thread."""

    def __init__(self, fails: int = 0) -> None:
        self.opened: list[str] = []
        self.closed = 0
        self.fails = fails

    async def open(self) -> None:
        await asyncio.sleep(0)
        if self.fails:
            self.fails -= 1
            raise ConnectionRefusedError("no server")
        self.opened.append(threading.current_thread().name)
        connection.set(f"number {len(self.opened)}")

    async def close(self) -> None:
        assert connection.get() == f"number {len(self.opened)}"
        self.closed += 1


async def which() -> tuple[str, str]:
    return connection.get(), tenant.get()


def test_the_connection_is_opened_once_and_seen_by_every_coroutine() -> None:
    connections = Connections()
    token = tenant.set("acme")
    try:
        bridge = AsyncBridge("mine", opening=connections.open, closing=connections.close)
    finally:
        tenant.reset(token)
    seen: list[tuple[str, str]] = []
    with bridge:
        threads = [threading.Thread(target=lambda: seen.append(bridge.run(which()))) for _ in "123"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert seen == [("number 1", "acme")] * 3  # variables of the code that created the bridge
    assert connections.opened == ["mine"] and connections.closed == 1


def test_what_a_coroutine_sets_ends_with_it() -> None:
    async def sets() -> None:
        tenant.set("changed")

    with AsyncBridge("context") as bridge:
        bridge.run(sets())
        assert bridge.run(which()) == ("none", "none")


def test_a_connection_that_failed_to_open_is_tried_again() -> None:
    connections = Connections(fails=1)
    with AsyncBridge("retried", opening=connections.open, closing=connections.close) as bridge:
        with pytest.raises(ConnectionRefusedError, match="no server"):
            bridge.run(answer())
        assert bridge.run(which())[0] == "number 1"
    assert connections.closed == 1


def test_closing_leaves_no_thread_and_the_next_call_opens_anew() -> None:
    connections = Connections()
    bridge = AsyncBridge("again", opening=connections.open, closing=connections.close)
    assert bridge.run(which())[0] == "number 1"
    bridge.close()
    assert threads_named("again") == [] and not bridge.running
    bridge.close()
    assert bridge.run(which())[0] == "number 2"
    bridge.close()
    assert threads_named("again") == [] and connections.closed == 2


def test_closing_ends_what_still_runs_and_its_caller_learns_of_it() -> None:
    began = threading.Event()
    raised: list[BaseException] = []

    async def long() -> None:
        began.set()
        await asyncio.sleep(30)

    def wait() -> None:
        try:
            bridge.run(long())
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    bridge = AsyncBridge("ended")
    thread = threading.Thread(target=wait)
    thread.start()
    assert began.wait(5)
    bridge.close()
    thread.join(5)
    assert isinstance(raised[0], StoreUnavailable) and "was closed" in str(raised[0])
    assert threads_named("ended") == []


def test_what_closing_raises_is_raised_after_the_thread_has_ended() -> None:
    async def close() -> None:
        raise ConnectionResetError("the server is gone")

    async def open_one() -> None:
        return None

    bridge = AsyncBridge("reset", opening=open_one, closing=close)
    bridge.run(answer())
    with pytest.raises(ConnectionResetError, match="the server is gone"):
        bridge.close()
    assert threads_named("reset") == []


def test_a_thread_that_does_not_end_is_told() -> None:
    release = threading.Event()

    async def blocks() -> None:
        release.wait(10)

    bridge = AsyncBridge("stuck")
    with pytest.raises(StoreBusy):
        bridge.run(blocks(), timeout=0.05)
    with pytest.raises(StoreBusy, match="did not end within 0.05 s"):
        bridge.close(0.05)
    release.set()
    for thread in threads_named("stuck"):
        thread.join(5)
    assert threads_named("stuck") == []


def test_a_bridge_that_nobody_holds_any_more_ends_by_itself() -> None:
    connections = Connections()
    bridge = AsyncBridge("forgotten", opening=connections.open, closing=connections.close)
    bridge.run(answer())
    (thread,) = threads_named("forgotten")
    del bridge
    thread.join(5)
    assert not thread.is_alive() and connections.closed == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork.")
def test_a_forked_child_has_a_loop_and_a_connection_of_its_own() -> None:
    program = """
import os, sys, threading
from semantic_core.orm.aio import AfterCommit, AsyncBridge

async def pid():
    return os.getpid()

async def opening():
    opened.append(os.getpid())

opened = []
bridge = AsyncBridge("forked", opening=opening)
assert bridge.run(pid()) == os.getpid()
child = os.fork()
if not child:
    fine = bridge.run(pid(), timeout=10) == os.getpid() and opened[-1] == os.getpid()
    bridge.close()
    left = [thread.name for thread in threading.enumerate() if thread.name == "forked"]
    os._exit(0 if fine and not left else 1)
assert os.waitpid(child, 0)[1] == 0
assert bridge.run(pid()) == os.getpid() and opened == [os.getpid()]
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_end_of_the_process_closes_it_and_says_nothing() -> None:
    program = """
import asyncio, sys
from semantic_core.orm.aio import AsyncBridge

async def opening():
    pass

async def closing():
    await asyncio.sleep(0)
    print("closed")

async def answer():
    return 42

bridge = AsyncBridge("at exit", opening=opening, closing=closing)
print(bridge.run(answer()))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("42\nclosed\n", "")


# --- after commits --------------------------------------------------------------------------------


def test_tasks_that_commit_at_the_same_time_share_a_call() -> None:
    calls: list[int] = []
    all_wait = threading.Event()

    def work() -> None:
        calls.append(len(calls))
        all_wait.wait(10)

    async def story() -> None:
        after_commit = AfterCommit(work)
        tasks = [asyncio.create_task(after_commit()) for _ in range(50)]
        await asyncio.sleep(0.01)
        all_wait.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())
    assert calls in ([0], [0, 1])


def test_a_call_that_began_before_the_commit_does_not_count() -> None:
    """It may have read the outbox before the change was there."""
    began = threading.Event()
    release = threading.Event()
    calls: list[int] = []

    def work() -> None:
        calls.append(len(calls))
        began.set()
        release.wait(10)

    async def story() -> None:
        after_commit = AfterCommit(work)
        first = asyncio.create_task(after_commit())
        await asyncio.to_thread(began.wait, 5)
        second = asyncio.create_task(after_commit())
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(first, second)

    asyncio.run(story())
    assert calls == [0, 1]


def test_the_loop_goes_on_while_a_call_runs() -> None:
    async def story() -> int:
        ticks = 0
        waiting = asyncio.create_task(AfterCommit(lambda: time.sleep(0.1))())
        while not waiting.done():
            ticks += 1
            await asyncio.sleep(0.005)
        return ticks

    assert asyncio.run(story()) >= 5


def test_a_cancelled_task_does_not_disturb_the_others() -> None:
    release = threading.Event()

    complaints: list[Any] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        after_commit = AfterCommit(lambda: release.wait(10))
        first = asyncio.create_task(after_commit())
        second = asyncio.create_task(after_commit())
        await asyncio.sleep(0.01)
        first.cancel()
        release.set()
        await second
        assert first.cancelled()

    asyncio.run(story())
    assert complaints == []


def test_what_the_call_raises_reaches_the_tasks_and_the_next_one_is_called_again() -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("once")

    async def story() -> None:
        after_commit = AfterCommit(work)
        with pytest.raises(ZeroDivisionError, match="once"):
            await after_commit()
        await after_commit()

    asyncio.run(story())
    assert len(calls) == 2


def test_a_loop_that_was_closed_meanwhile_disturbs_nobody() -> None:
    release = threading.Event()
    after_commit = AfterCommit(lambda: release.wait(10))

    async def leaves() -> None:
        waiting = asyncio.create_task(after_commit())
        await asyncio.sleep(0.01)
        waiting.cancel()

    asyncio.run(leaves())
    release.set()
    asyncio.run(after_commit())
    for thread in threads_named("semantic-core-commit"):
        thread.join(5)
    assert threads_named("semantic-core-commit") == []
