"""Retrievers of plugins: a slow one is cut off and named, one that fails again and again is left
alone for a while, and both have the store of the search.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from textwrap import dedent
from threading import Event
from time import monotonic, sleep
from typing import Any

import pytest

from semantic_core import ChunkId, Document, Ranking, Ref, SearchRequest, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core._plugins import breaker, time_limit
from semantic_core._plugins.breaker import FAILURES, PAUSE, CircuitBreaker
from semantic_core._plugins.guard import Guard
from semantic_core.errors import InputError, StoreMisuse
from semantic_core.protocols import Store, TextSearch, VectorQueue
from semantic_core.testing import HashEmbedder
from semantic_core.types import SearchResults

LIMIT = 0.05
Find = Callable[[SearchRequest, Any], Ranking | None]


class Slow:
    """A plugin with a retriever that does what a function does."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.asked = 0

    @hookimpl
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        self.asked += 1
        return self.find(request, store)


NOTES = [Document(Ref("notes", str(number)), f"Beans climb {number}.") for number in range(5)]


def opened(*plugins: object, limit: float = LIMIT, store: Any = "memory") -> SemanticCore:
    core = SemanticCore(
        store=store, embedder=HashEmbedder(), plugins=list(plugins), search_timeout=limit
    )
    core.ingest(NOTES)
    return core


@contextmanager
def hanging() -> Iterator[Slow]:
    """A retriever that hangs until the block ends."""
    release = Event()

    def hangs(request: SearchRequest, store: Any) -> None:
        release.wait(60)

    try:
        yield Slow(hangs)
    finally:
        release.set()


def test_a_retriever_that_hangs_is_cut_off_and_named() -> None:
    with hanging() as slow:
        core = opened(slow)
        started = monotonic()
        results = core.search("beans")
        assert monotonic() - started < 5
    assert len(results) == 5
    assert results.degraded
    assert results.reason == "plugin Slow: no answer within 0.05 s"
    assert results.timings["retrieve by Slow"] >= LIMIT * 1000


def test_the_others_are_asked_all_the_same() -> None:
    class Quick:
        @hookimpl
        def semantic_retrieve(self) -> Ranking:
            return Ranking("quick", (ChunkId(Ref("notes", "3"), 0),), (1.0,))

    with hanging() as slow:
        results = opened(slow, Quick()).search("beans")
    assert results.reason.count("plugin") == 1
    assert any("quick" in hit.ranks for hit in results)


def test_one_search_waits_for_a_plugin_once_however_deep_it_goes() -> None:
    with hanging() as slow:
        core = SemanticCore(
            store="memory", embedder=HashEmbedder(), plugins=[slow], search_timeout=LIMIT
        )
        core.ingest(Document(Ref("notes", str(n)), "Beans climb.") for n in range(350))
        results = core.search("beans", limit=320)
    assert len(results) == 320
    assert slow.asked == 1
    assert results.reason == "plugin Slow: no answer within 0.05 s"


def test_without_a_limit_a_retriever_runs_in_the_thread_of_the_search() -> None:
    threads: list[str] = []

    def find(request: SearchRequest, store: Any) -> None:
        threads.append(threading.current_thread().name)

    opened(Slow(find), limit=0).search("beans")
    opened(Slow(find), limit=5).search("beans")
    assert threads[0] == threading.current_thread().name
    assert threads[1].startswith("semantic-core")


@pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), "10", None, True])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(InputError, match="search_timeout"):
        opened(limit=limit)


def test_a_setting_sets_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "semantic-core.toml"
    file.write_text('store = "memory"\nembedder = "none"\nsearch_timeout = 0.05\n')
    with hanging() as slow, SemanticCore.from_config(file, plugins=[slow]) as core:
        core.ingest(NOTES)
        assert core.search("beans").reason == "plugin Slow: no answer within 0.05 s"


def test_context_variables_and_the_request_are_those_of_the_caller() -> None:
    asking: ContextVar[str] = ContextVar("asking", default="nobody")
    seen: list[str] = []

    def find(request: SearchRequest, store: Any) -> None:
        seen.append(f"{asking.get()} {request.context['user']}")

    core = opened(Slow(find), limit=5)
    token = asking.set("ann")
    core.search("beans", context={"user": "bob"})
    asking.reset(token)
    assert seen == ["ann bob"]


def test_a_person_may_interrupt_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    def alarm(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        with hanging() as slow:
            core = opened(slow, limit=30)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                core.search("beans")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(opened().search("beans")) == 5


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), RecursionError("deep")])
def test_whatever_a_retriever_raises_in_its_thread_is_its_reason(error: BaseException) -> None:
    def find(request: SearchRequest, store: Any) -> None:
        raise error

    results = opened(Slow(find), limit=5).search("beans")
    assert len(results) == 5
    assert results.reason.startswith(f"plugin Slow: {type(error).__name__}")


def test_a_slow_retriever_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        dedent(
            """
            import time
            from semantic_core import Document, Ref, SemanticCore, hookimpl

            class Slow:
                @hookimpl
                def semantic_retrieve(self):
                    time.sleep(60)

            plugins = [Slow()]
            core = SemanticCore(store="memory", embedder=None, plugins=plugins, search_timeout=0.05)
            core.ingest(Document(Ref("notes", "1"), "Beans climb."))
            print(core.search("beans").reason)
            core.close()
            """
        )
    )
    started = monotonic()
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "plugin Slow: no answer within 0.05 s\n"
    assert monotonic() - started < 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    core = opened(Slow(lambda request, store: Ranking("none")), limit=5)
    core.search("beans")  # now a thread waits for work, which the child will not have
    child = os.fork()
    if not child:
        os._exit(0 if not core.search("beans").degraded else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Rerankers


class Reranker:
    """A reranker that does what a function does, and only reorders."""

    def __init__(self, rerank: Callable[[Any, Any], Any]) -> None:
        self.rerank = rerank
        self.asked = 0

    @hookimpl(orders_only=True)
    def semantic_rerank(self, hits: Any, store: Any) -> Any:
        self.asked += 1
        return self.rerank(hits, store)


class Filter:
    """A reranker that may remove hits, and takes its time."""

    @hookimpl
    def semantic_rerank(self, hits: Any) -> Any:
        sleep(2 * LIMIT)
        return hits[1:]


def test_a_reranker_that_only_reorders_is_cut_off_and_then_left_alone() -> None:
    release = Event()
    plugin = Reranker(lambda hits, store: release.wait(60))
    try:
        core = opened(plugin)
        plain = [hit.ref for hit in opened().search("beans")]
        found = [core.search("beans") for _ in range(FAILURES + 2)]
    finally:
        release.set()
    assert all([hit.ref for hit in results] == plain for results in found)
    assert [results.reason for results in found[:FAILURES]] == [
        "plugin Reranker: no answer within 0.05 s"
    ] * FAILURES
    assert "not asked" in found[-1].reason
    assert plugin.asked == FAILURES


def test_one_that_works_orders_the_hits_and_reads_the_store() -> None:
    def reverses(hits: Any, store: Any) -> Any:
        assert isinstance(store, MemoryStore)
        assert len(store.fetch([hit.id for hit in hits])) == len(hits)
        return hits[::-1]

    plain = [hit.ref for hit in opened().search("beans")]
    results = opened(Reranker(reverses), limit=5).search("beans")
    assert [hit.ref for hit in results] == plain[::-1] and not results.degraded


def test_one_that_may_remove_hits_is_waited_for() -> None:
    results = opened(Filter()).search("beans")
    assert len(results) == 4 and not results.degraded


# The store


class Recording(MemoryStore):
    """Tells which threads read it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.readers: set[str] = set()

    def words(self, *args: Any) -> Any:
        self.readers.add(threading.current_thread().name)
        return super().words(*args)

    def documents(self, *args: Any) -> Any:
        self.readers.add(threading.current_thread().name)
        return super().documents(*args)


def test_reads_of_a_retriever_are_of_the_snapshot_of_the_search() -> None:
    totals: list[int] = []

    def find(request: SearchRequest, store: Any) -> Ranking:
        totals.append(store.documents(request.scope, 0, 1).total)
        writer = threading.Thread(
            target=core.ingest, args=(Document(Ref("notes", "new"), "Peas."),)
        )
        writer.start()
        writer.join()
        totals.append(store.documents(request.scope, 0, 1).total)
        with store.snapshot():
            totals.append(store.documents(request.scope, 0, 1).total)
        found = store.words("beans", request.pool, request.scope)
        return Ranking("again", found.ids, found.scores)

    store = Recording(HashEmbedder().space)
    core = opened(Slow(find), limit=5, store=store)
    results = core.search("beans")
    assert not results.degraded and all("again" in hit.ranks for hit in results)
    assert totals == [5, 5, 5]
    assert core.documents(limit=1).total == 6
    assert store.readers == {threading.current_thread().name}


def test_a_stand_in_passes_for_the_store() -> None:
    checks: dict[str, bool] = {}

    def find(request: SearchRequest, store: Any) -> None:
        checks["its class"] = isinstance(store, Recording)
        checks["protocols"] = all(
            isinstance(store, kind) for kind in (Store, TextSearch, VectorQueue)
        )
        checks["equal"] = (
            store == core.store and core.store == store and hash(store) == hash(core.store)
        )
        checks["attributes"] = store.space == core.store.space and store.readers == set()
        checks["name"] = repr(store) == repr(core.store)
        with pytest.raises(AttributeError):
            store.no_such_thing  # noqa: B018
        with pytest.raises(AttributeError):
            store.__enter__  # noqa: B018

    store = Recording(HashEmbedder().space)
    core = opened(Slow(find), limit=5, store=store)
    store.readers.clear()
    results = core.search("zebra", mode="vector")
    assert not results.degraded, results.reason
    assert checks and all(checks.values()), checks


def test_methods_that_only_one_store_object_has_are_there_too() -> None:
    inner = MemoryStore(HashEmbedder().space)

    class Wrapped:
        def __init__(self) -> None:
            for name in {*dir(Store), *dir(TextSearch)}:
                if not name.startswith("_"):
                    setattr(self, name, getattr(inner, name))

    seen: list[bool] = []

    def find(request: SearchRequest, store: Any) -> Ranking:
        seen.append(isinstance(store, TextSearch))
        found = store.words("beans", request.pool, request.scope)
        return Ranking("again", found.ids, found.scores)

    results = opened(Slow(find), limit=5, store=Wrapped()).search("beans")
    assert seen == [True] and all("again" in hit.ranks for hit in results)


def test_an_error_of_the_store_reaches_the_retriever_that_caused_it() -> None:
    def find(request: SearchRequest, store: Any) -> None:
        with pytest.raises(AttributeError):
            store.words(None, -1, None)
        store.words(None, -1, None)

    results = opened(Slow(find), limit=5).search("beans")
    assert len(results) == 5 and "plugin Slow: AttributeError" in results.reason


def test_the_store_is_refused_to_a_retriever_whose_search_is_over() -> None:
    release, refused = Event(), Event()

    def find(request: SearchRequest, store: Any) -> None:
        release.wait(60)
        try:
            store.words("beans", 10, request.scope)
        except StoreMisuse:
            refused.set()

    core = opened(Slow(find))
    assert "no answer" in core.search("beans").reason
    release.set()
    assert refused.wait(5)


def test_what_waits_for_the_store_when_the_time_is_over_is_refused_too() -> None:
    outcomes: list[str] = []
    ended = Event()

    def find(request: SearchRequest, store: Any) -> None:
        def read() -> None:
            try:
                store.documents(request.scope, 0, 1)
                outcomes.append("read")
            except StoreMisuse:
                outcomes.append("refused")

        readers = [threading.Thread(target=read) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        ended.set()

    class Sluggish(MemoryStore):
        def documents(self, *args: Any) -> Any:
            sleep(0.03)
            return super().documents(*args)

    core = opened(Slow(find), store=Sluggish(HashEmbedder().space))
    assert "no answer" in core.search("beans").reason
    assert ended.wait(5)
    assert len(outcomes) == 8 and "refused" in outcomes


def test_threads_are_used_again_and_are_few() -> None:
    names: set[int] = set()

    def find(request: SearchRequest, store: Any) -> None:
        names.add(threading.get_ident())

    core = opened(Slow(find), limit=5)
    for _ in range(50):
        core.search("beans")
    # One that is still on its way back when the next search asks is joined by another.
    assert len(names) < 10


def test_a_thread_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "_IDLE", 0.01)
    monkeypatch.setattr(time_limit, "_threads", time_limit._Threads())
    used: list[threading.Thread] = []

    def find(request: SearchRequest, store: Any) -> None:
        used.append(threading.current_thread())

    core = opened(Slow(find), limit=5)
    core.search("beans")
    used[0].join(5)
    assert not used[0].is_alive()
    core.search("beans")
    assert len(used) == 2


def test_many_searches_at_once_each_have_their_own_answer() -> None:
    def find(request: SearchRequest, store: Any) -> Ranking:
        found = store.words(request.text, request.pool, request.scope)
        return Ranking("again", found.ids, found.scores)

    core = opened(Slow(find), limit=30)
    wrong: list[str] = []

    def search(number: int) -> None:
        for _ in range(10):
            results = core.search(f"climb {number}", mode="text")
            if results.degraded or results[0].ref.key != str(number):
                wrong.append(results.reason or results[0].ref.key)

    threads = [threading.Thread(target=search, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# The circuit breaker


def fails(request: SearchRequest, store: Any) -> None:
    raise ConnectionError("no route")


def reasons(core: SemanticCore, searches: int) -> list[str]:
    found: list[SearchResults] = [core.search("beans") for _ in range(searches)]
    assert all(len(results) == 5 for results in found)
    return [results.reason for results in found]


@pytest.mark.parametrize("limit", [0, 5])
def test_a_retriever_that_fails_again_and_again_is_not_asked_for_a_while(limit: float) -> None:
    plugin = Slow(fails)
    told = reasons(opened(plugin, limit=limit), FAILURES + 2)
    assert plugin.asked == FAILURES
    assert told[:FAILURES] == ["plugin Slow: ConnectionError: no route"] * FAILURES
    assert (
        told[FAILURES:]
        == [
            "plugin Slow: not asked, because it failed 3 times in a row; it is tried again every "
            "30 s (the last time: ConnectionError: no route)"
        ]
        * 2
    )


def test_one_that_breaks_its_contract_has_failed_and_one_that_answers_has_not() -> None:
    answers: list[Any] = ["rubbish", "rubbish", Ranking("slow"), None, "rubbish", "rubbish"]
    plugin = Slow(lambda request, store: answers.pop(0))
    told = reasons(opened(plugin, limit=5), 6)
    assert [bool(reason) for reason in told] == [True, True, False, False, True, True]
    assert plugin.asked == 6


def test_after_the_pause_one_search_tries_and_the_retriever_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breaker, "PAUSE", 0.05)
    answers: list[Any] = ["rubbish"] * FAILURES
    plugin = Slow(lambda request, store: answers.pop(0) if answers else Ranking("slow"))
    core = opened(plugin, limit=5)
    reasons(core, FAILURES)
    sleep(0.06)
    assert reasons(core, 3) == ["", "", ""]


def test_calls_that_never_end_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "PAUSE", 0.0)
    with hanging() as slow:
        told = reasons(opened(slow), FAILURES + 3)
        assert slow.asked == FAILURES
    assert told[-1] == "plugin Slow: not asked, because its earlier calls have not ended"


def test_each_plugin_and_each_client_has_a_breaker_of_its_own() -> None:
    class Well(Slow):
        pass

    sick, well = Slow(fails), Well(lambda request, store: Ranking("well"))
    core = opened(sick, well, limit=5)
    reasons(core, FAILURES + 1)
    assert (sick.asked, well.asked) == (FAILURES, FAILURES + 1)
    reasons(opened(sick, limit=5), 1)
    assert sick.asked == FAILURES + 1


def test_the_breaker_lets_one_try_through_after_each_pause() -> None:
    now = [0.0]
    guard = CircuitBreaker(lambda: now[0])
    for _ in range(FAILURES):
        assert guard.may_ask()
        guard.failed("no route")
    assert not guard.may_ask()
    now[0] = PAUSE - 0.1
    assert not guard.may_ask()
    now[0] = PAUSE
    assert [guard.may_ask(), guard.may_ask()] == [True, False]
    guard.failed("no route")
    now[0] = 2 * PAUSE - 0.1
    assert not guard.may_ask()
    now[0] = 2 * PAUSE
    assert guard.may_ask()
    guard.worked()
    assert all(guard.may_ask() for _ in range(10))
    guard.failed("no route")
    assert guard.may_ask()


def test_a_try_whose_end_nobody_tells_is_made_again_after_the_pause() -> None:
    now = [0.0]
    guard = CircuitBreaker(lambda: now[0])
    for _ in range(FAILURES):
        guard.failed("no route")
    for turn in range(1, 4):
        now[0] = turn * PAUSE
        assert [guard.may_ask(), guard.may_ask()] == [True, False]


def test_a_trace_tells_what_was_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_TRACE", "1")
    with hanging() as slow:
        opened(slow).search("beans")
    sleep(0.05)  # the retriever ends, and its own line is written
    lines = [
        line for line in capsys.readouterr().err.splitlines() if "semantic_retrieve Slow" in line
    ]
    assert "-> raised TimeoutError: no answer within 0.05 s (" in lines[0]
    assert "-> None (" in lines[1]


def test_an_answer_that_was_judged_wrong_counts_like_an_error() -> None:
    guard = Guard(0)
    for _ in range(FAILURES):
        assert guard._breakers["sick"].may_ask()
        guard.judge("sick", "wanted a Ranking, got list")
    assert not guard._breakers["sick"].may_ask()
    guard.judge("sick", "")
    assert guard._breakers["sick"].may_ask()
