"""`AsyncSemanticCore`: the same answers, an event loop that is never blocked,
and cancellations that leave nothing half done.
"""

from __future__ import annotations

import inspect
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from semantic_core import Document, Ref, SemanticCore
from semantic_core.aio import AsyncSemanticCore
from semantic_core.errors import ConfigError, InputError
from semantic_core.testing import HashEmbedder

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Slow(HashEmbedder):
    """Waits where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def _wait(self) -> None:
        self.entered.set()
        assert self.go_on.wait(10)

    def embed_query(self, text: str) -> Any:
        self._wait()
        return super().embed_query(text)

    def embed_documents(self, passages: Sequence[str]) -> Any:
        self._wait()
        return super().embed_documents(passages)


def opened(embedder: HashEmbedder | None = None, **options: Any) -> SemanticCore:
    return SemanticCore(store="memory", embedder=embedder or HashEmbedder(), plugins=[], **options)


LOOPS = Document(
    Ref("notes", "1"), "for and while repeat a block", title="Loops", metadata={"lang": "en"}
)


async def test_every_call_gives_what_the_blocking_one_gives() -> None:
    async with AsyncSemanticCore(opened()) as core:
        report = await core.ingest(LOOPS)
        assert report.added == 1
        found = await core.search("repeat", where={"lang": "en"})
        assert found.hits == core.core.search("repeat", where={"lang": "en"}).hits
        assert (await core.search_chunks("repeat")).hits == core.core.search_chunks("repeat").hits
        assert await core.context_window(found[0]) == core.core.context_window(found[0])
        assert await core.get(LOOPS.ref) == LOOPS
        assert (await core.documents()).total == 1
        assert (await core.stats()).documents == 1
        assert await core.embed_pending() == 0
        assert (await core.sync()).complete
        assert await core.call(lambda: core.core.search("repeat")[0].ref.key) == "1"
        assert await core.remove(LOOPS.ref) == 1


async def test_a_client_of_one_tenant_is_async_too() -> None:
    async with AsyncSemanticCore(opened(multi_tenant=True)) as core:
        await core.tenant("acme").ingest(LOOPS)
        assert len(await core.tenant("acme").search("repeat")) == 1
        assert len(await core.tenant("beta").search("repeat")) == 0


async def test_the_loop_goes_on_while_a_search_waits() -> None:
    slow = Slow()
    async with AsyncSemanticCore(opened(slow)) as core:
        await core.ingest(LOOPS)
        slow.entered.clear()
        slow.go_on.clear()
        turns = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(core.search, "repeat")
            while not slow.entered.is_set():
                await anyio.sleep(0.001)
            for _ in range(20):
                await anyio.sleep(0)
                turns += 1
            assert slow.entered.is_set() and turns == 20
            slow.go_on.set()


async def test_a_slow_embedder_stops_the_loop_only_where_it_is_called_directly() -> None:
    """How long the loop stands still: as long as the embedder works, or much less in a thread."""

    class Late(HashEmbedder):
        def embed_query(self, text: str) -> Any:
            time.sleep(0.3)
            return super().embed_query(text)

    worst = 0.0

    async def watch(done: anyio.Event) -> None:
        nonlocal worst
        while not done.is_set():
            before = time.monotonic()
            await anyio.sleep(0.001)
            worst = max(worst, time.monotonic() - before)

    async def lag(call: Callable[[], Any]) -> float:
        nonlocal worst
        worst, done = 0.0, anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch, done)
            await anyio.sleep(0.01)
            answer = call()
            if inspect.isawaitable(answer):
                await answer
            await anyio.sleep(0.01)
            done.set()
        return worst

    async with AsyncSemanticCore(opened(Late())) as core:
        await core.ingest(LOOPS)
        directly = await lag(lambda: core.core.search("repeat"))
        # Machines pause by themselves.
        in_a_thread = min([await lag(lambda: core.search("repeat")) for _ in range(3)])
    assert directly >= 0.3 and in_a_thread < directly / 2


async def test_no_more_calls_run_at_once_than_threads_were_asked_for() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    async with AsyncSemanticCore(opened(), threads=2) as core, anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(core.call, work)
    assert most == 2


async def test_a_cancelled_search_lets_its_caller_go_at_once() -> None:
    slow = Slow()
    core = AsyncSemanticCore(opened(slow))
    slow.go_on.clear()
    with anyio.move_on_after(0.05) as scope:
        await core.search("repeat")
    assert scope.cancelled_caught and not slow.go_on.is_set()
    slow.go_on.set()
    await core.close()


async def test_a_cancelled_write_has_ended_when_its_caller_hears_of_it() -> None:
    slow = Slow()
    core = AsyncSemanticCore(opened(slow))
    slow.go_on.clear()
    threading.Timer(0.1, slow.go_on.set).start()
    with anyio.move_on_after(0.02) as scope:
        await core.ingest(LOOPS)
    assert slow.go_on.is_set() and scope.cancel_called
    assert core.core.get(LOOPS.ref) == LOOPS
    await core.close()


async def test_errors_come_through_as_they_are() -> None:
    async with AsyncSemanticCore(opened()) as core:
        with pytest.raises(InputError, match="empty"):
            await core.search("  ")
    with pytest.raises(InputError, match="at least 1"):
        AsyncSemanticCore(core.core, threads=0)


async def test_it_is_opened_by_the_settings(tmp_path: Any) -> None:
    config = tmp_path / "semantic-core.toml"
    config.write_text('store = "memory"\n')
    core = await AsyncSemanticCore.from_config(config, embedder=HashEmbedder(), plugins=[])
    assert type(core.core.store).__name__ == "MemoryStore"
    await core.close()


async def test_it_has_every_method_that_reaches_the_store() -> None:
    blocking = {
        name
        for name, value in vars(SemanticCore).items()
        if inspect.isfunction(value) and name[0] != "_"
    }
    not_awaited = {"plugins", "bind", "follow", "in_memory"}
    assert blocking - not_awaited <= {name for name in vars(AsyncSemanticCore) if name[0] != "_"}


async def test_without_anyio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    core = opened()
    monkeypatch.setitem(sys.modules, "anyio", None)
    with pytest.raises(ConfigError, match=r"semantic-core-kernel\[async\]"):
        AsyncSemanticCore(core)


async def test_a_write_never_waits_behind_searches() -> None:
    slow = Slow()
    async with AsyncSemanticCore(opened(slow), threads=1) as core:
        await core.ingest(LOOPS)
        slow.entered.clear()
        slow.go_on.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(core.search, "repeat")
            while not slow.entered.is_set():
                await anyio.sleep(0.001)
            with anyio.fail_after(5):
                assert await core.remove(LOOPS.ref) == 1
            slow.go_on.set()
