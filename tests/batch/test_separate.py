"""A store that is only a `Store` and a `VectorQueue` gets batch jobs, costs and budgets from a
ledger beside it, in memory or in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
import semantic_core_peewee.sqlite
from semantic_core_peewee.sqlite.store import SqliteStore

from semantic_core import SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core.batch import BatchManager, SeparateLedger
from semantic_core.errors import BudgetSpent, ConfigError
from semantic_core.protocols import BatchQueue, Store, VectorQueue
from semantic_core.testing import HashEmbedder, JobEmbedder, job_histories
from semantic_core.testing.check import checks_in
from semantic_core.testing.job_histories import play_histories
from semantic_core.testing.stores import batches, queue, reopened, schedules
from semantic_core.testing.stores.schedules import play, play_all, single_plans
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref, Space

HISTORIES = 40
QUEUE_ONLY = {*dir(Store), *dir(VectorQueue)}
"""What the smallest store with a queue has."""


class QueueOnly:
    """Another store, of which only the members of `Store` and `VectorQueue` are left."""

    def __init__(self, store: Any) -> None:
        for name in QUEUE_ONLY:
            if not name.startswith("_"):
                setattr(self, name, getattr(store, name))


def queue_only(store: Any) -> Any:
    """The store as the smallest with a queue."""
    return QueueOnly(store)


class Pair:
    """A store and its ledger as one object, for checks of stores that are a `BatchQueue`."""

    def __init__(self, main: Any, ledger: Any) -> None:
        self.main = main
        self.ledger = ledger
        self.separate = SeparateLedger(main, ledger)
        for name in {*dir(Store), *dir(BatchQueue)}:
            if not name.startswith("_"):
                owner = main if hasattr(Store, name) else self.separate
                setattr(self, name, getattr(owner, name))

    def close(self) -> None:
        self.separate.close()
        self.main.close()


def in_memory(space: Space, name: str = "index", **options: Any) -> Pair:
    return Pair(queue_only(MemoryStore(space, **options)), MemoryStore(space, **options))


class InFiles:
    """Opens pairs of files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, space: Space, name: str = "index", **options: Any) -> Pair:
        main = SqliteStore(space, self.folder / f"{name}.db", durability="normal", **options)
        ledger = SqliteStore(space, self.folder / f"{name}.ledger", durability="normal", **options)
        return Pair(queue_only(main), ledger)


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="semantic_core.batch")


@pytest.mark.parametrize("check", checks_in(batches, queue), ids=str)
def test_a_ledger_in_memory_keeps_the_contract(check: Any) -> None:
    check(in_memory)


@pytest.mark.parametrize("check", checks_in(batches, queue, reopened), ids=str)
def test_a_ledger_in_a_file_keeps_the_contract(check: Any, tmp_path: Path) -> None:
    try:
        check(InFiles(tmp_path))
    except SkipTest as reason:
        assert "names no files" in str(reason) or "no checkpoints" in str(reason)


# --- crashes --------------------------------------------------------------------------------------


class World(schedules.World):
    """A world whose plans count the calls to the first store and those to its ledger. Each worker
    has an object of its own, as a process has.
    """

    def manager(self) -> BatchManager:
        main = schedules._watched(self.store.main, (Store, VectorQueue), self.point)
        ledger = schedules._watched(self.store.ledger, (Store, BatchQueue), self.point)
        return BatchManager(
            main,
            self.watched_embedder,
            ledger=SeparateLedger(main, ledger),
            rules=schedules.RULES,
            clock=self.clock,
        )


def opened() -> Pair:
    return in_memory(schedules.embedder().space)


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "World", World)


@pytest.mark.slow
@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("happening", ["crash, or the answer is lost", "jobs", "stall", "embed"])
def test_whatever_happens_at_any_call_nothing_is_lost_or_paid_for_twice(happening: str) -> None:
    quiet = play(opened(), (), "whole", 0)
    assert quiet.faults == ()
    plans = [(plan, "shuffled") for plan in single_plans(quiet) if plan[0][1] in happening]
    assert play_all(opened, plans, fresh=1) >= quiet.points > 150


def through_both(thing: Any, protocols: Any, act: Any, more: Any = (), **own: Any) -> Any:
    """Like `job_histories._through`, with the calls to the first store and to its ledger."""
    if not isinstance(thing, Pair):
        return through(thing, protocols, act, more, **own)
    main = through(thing.main, (Store, VectorQueue), act)
    return Pair(main, through(thing.ledger, (Store, BatchQueue), act))


through = job_histories._through


@pytest.mark.slow
def test_in_any_history_the_ledger_is_the_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_histories, "_through", through_both)
    monkeypatch.setattr(job_histories, "LAST_POINT", 60)

    def open_pair() -> Pair:
        return in_memory(job_histories.SPACE)

    totals = play_histories(open_pair, range(HISTORIES))
    assert totals["crashes"] > HISTORIES / 4 and totals["twice"] > 0


def fill_last(self: SeparateLedger, job: str, vectors: Any, *results: Any) -> int:
    """The cost and the end of the claim are written before the vector."""
    good = {name: vectors[name] for name in self._ledger.held(job, vectors.keys())}
    self._forget(good)
    settled = self._ledger.settle(job, vectors, *results)
    self._store.fill(good)
    return settled


def charge_each_reading(self: SeparateLedger, job: str, vectors: Any, *results: Any) -> int:
    """Each reading of a result is charged."""
    _, rate, _, tokens = results
    if rate is not None:
        self._ledger.charge(rate, {("", ""): (len(tokens), sum(tokens.values()))})
    return settle(self, job, vectors, *results)


def fill_without_asking(self: SeparateLedger, job: str, vectors: Any, *results: Any) -> int:
    """What a job does not hold is filled as well."""
    self._store.fill(vectors)
    return settle(self, job, vectors, *results)


settle = SeparateLedger.settle


@pytest.mark.slow
@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("broken", [fill_last, charge_each_reading])
def test_a_ledger_that_writes_in_another_order_or_twice_is_found_out(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeparateLedger, "settle", broken)
    with pytest.raises(AssertionError, match="paid twice|ledger"):
        quiet = play(opened(), (), "whole", 0)
        play_all(opened, [(plan, "whole") for plan in single_plans(quiet)], fresh=1)


def sends_what_is_gone(self: SeparateLedger, *page: Any) -> Any:
    return self._ledger.passages_of(*page)


def counts_copies(self: SeparateLedger, tenant: str | None = None) -> Any:
    self._refresh()
    return self._ledger.queue_stats(tenant)


def names_copies(self: SeparateLedger, limit: int = 100) -> Any:
    self._refresh()
    return self._ledger.given_up(limit)


def does_nothing(self: SeparateLedger, *_: Any) -> None:
    return


BROKEN = {
    "settle": (fill_without_asking, "a_result_is_settled_once"),
    "passages_of": (sends_what_is_gone, "passages_come_page_by_page"),
    "queue_stats": (counts_copies, "a_vector_that_came_another_way_counts"),
    "given_up": (names_copies, "a_failure_is_stored_with_its_reason"),
    "_refresh": (does_nothing, "a_job_holds_what_has_waited_longest"),
}
"""By method: a wrong one, and the rule that it breaks."""


@pytest.mark.parametrize("method", BROKEN)
def test_a_ledger_with_one_method_wrong_is_found_out(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, rule = BROKEN[method]
    [check] = [check for check in checks_in(batches) if str(check) == rule]
    check(in_memory)
    monkeypatch.setattr(SeparateLedger, method, wrong)
    with pytest.raises(AssertionError):
        check(in_memory)


# --- a crash between the two writes ---------------------------------------------------------------


class Stopped(Exception):
    """The process ends here."""


class Stopping:
    """A store that stops its process before or after its n-th call of these methods."""

    def __init__(self, store: Any, steps: Iterator[int], last: int, names: Any) -> None:
        for name in dir(type(store)) if not isinstance(store, QueueOnly) else vars(store):
            if not name.startswith("_"):
                value = getattr(store, name)
                setattr(self, name, value if name not in names else self._until(value, steps, last))

    def _until(self, call: Callable[..., Any], steps: Iterator[int], last: int) -> Any:
        def called(*args: Any, **named: Any) -> Any:
            if next(steps) == last:
                raise Stopped
            answer = call(*args, **named)
            if next(steps) == last:
                raise Stopped
            return answer

        return called


WRITES = ("fill", "remove", "replace", "settle", "pay_job", "close_job")


def test_a_crash_between_the_two_writes_loses_nothing_and_charges_nothing_twice(
    tmp_path: Path,
) -> None:
    for last in count():
        folder = tmp_path / str(last)
        folder.mkdir()
        provider = JobEmbedder(8)
        space = provider.space
        pair = InFiles(folder)(space)
        with SemanticCore(store=pair, embedder=provider, plugins=[]) as core:
            core.ingest(*documents(5), mode="async")
            core.batch_manager.flush_queue(1)
            provider.finish()
        steps = count()
        pair = InFiles(folder)(space)
        main = Stopping(pair.main, steps, last, WRITES)
        crashing = Pair(main, Stopping(pair.ledger, steps, last, WRITES))
        core = SemanticCore(store=crashing, embedder=provider, plugins=[])
        stopped = False
        try:
            core.batch_manager.sync_status()
        except Stopped:
            stopped = True
        core.close()
        with SemanticCore(store=InFiles(folder)(space), embedder=provider, plugins=[]) as core:
            core.batch_manager.sync_status()
            assert core.stats().pending == 0
            assert core.batch_manager.flush_queue(1, force=True) == ()
            charged = sum(cost.tokens for cost in core.batch_manager.costs())
            assert charged == sum(provider.tokens_billed.values()) > 0
            assert set(provider.billed.values()) == {1}
            hits = core.search("text number 3", mode="vector").hits
            assert hits[0].ref == Ref("notes", "3")
        if not stopped:
            break
    assert last > 8


def documents(number: int, tenant: str = "") -> list[Document]:
    return [Document(Ref("notes", f"{n}", tenant), f"text number {n}") for n in range(number)]


# --- what changes while a job runs ----------------------------------------------------------------


@pytest.fixture
def provider() -> JobEmbedder:
    return JobEmbedder(8)


def core_of(provider: JobEmbedder, *, multi_tenant: bool = False, **options: Any) -> SemanticCore:
    main = MemoryStore(provider.space, multi_tenant=multi_tenant)
    ledger = MemoryStore(provider.space, multi_tenant=multi_tenant)
    core = SemanticCore(
        store=queue_only(main), embedder=provider, ledger=ledger, plugins=[], **options
    )
    assert isinstance(core.ledger, SeparateLedger) and not isinstance(core.store, BatchQueue)
    return core


def test_a_text_edited_or_removed_while_its_job_runs_blocks_nothing(provider: JobEmbedder) -> None:
    core = core_of(provider)
    core.ingest(*documents(4), mode="async")
    [job] = core.batch_manager.flush_queue(1)
    core.ingest(Document(Ref("notes", "1"), "quite another text"), mode="async")
    core.remove(Ref("notes", "2"))
    provider.finish()
    [job] = core.batch_manager.sync_status()
    assert (job.status, job.succeeded) == ("COMPLETED", 4)
    stats = core.batch_manager.queue_stats()
    assert (stats.ready, stats.pending, stats.submitted, stats.failed) == (2, 1, 0, 0)
    [job] = core.batch_manager.flush_queue(1, force=True)
    assert [*provider.jobs[job.provider_job].passages.values()] == ["quite another text"]
    provider.finish()
    core.batch_manager.sync_status()
    [hit] = core.search("quite another text", mode="vector", limit=1).hits
    assert hit.ref == Ref("notes", "1") and hit.score > 0
    assert core.stats().pending == 0


def test_what_is_gone_when_a_job_is_sent_is_not_sent(provider: JobEmbedder) -> None:
    core = core_of(provider)
    core.ingest(*documents(4), mode="async")
    assert core.ledger is not None and core.ledger.waiting(9, 0.0) == 4
    submit = provider.submit

    def edited_first(passages: Any, name: str) -> str:
        core.ingest(Document(Ref("notes", "1"), "quite another text"), mode="async")
        core.remove(Ref("notes", "2"))
        return submit(passages, name)

    provider.submit = edited_first  # type: ignore[method-assign]
    job = core.batch_manager.flush_queue(1)[0]
    sent = [*provider.jobs[job.provider_job].passages.values()]
    assert sent == ["text number 0", "text number 3"]


def test_no_copy_of_a_passage_is_left_when_nothing_waits(provider: JobEmbedder) -> None:
    core = core_of(provider)
    core.ingest(*documents(4), mode="async")
    core.batch_manager.flush_queue(1)
    core.remove(Ref("notes", "2"))
    provider.finish()
    core.batch_manager.sync_status()
    assert core.batch_manager.queue_stats().ready == 3
    assert isinstance(core.ledger, SeparateLedger)
    assert core.ledger._ledger.stats().documents == 0


def test_a_vector_that_stayed_in_the_ledger_reaches_the_store(provider: JobEmbedder) -> None:
    core = core_of(provider)
    core.ingest(*documents(2), mode="async")
    assert isinstance(core.ledger, SeparateLedger)
    first, second = core.ledger.pending(9)
    left = ChunkId(Ref("notes", "left by a process that died"), 0)
    vector = provider.embed_documents([first.passage])[0]
    entry = Entry(Chunk(left, "", 0, 0), first.passage, first.fingerprint, vector)
    core.ledger._ledger.replace([(Document(left.ref, ""), [entry])])
    assert core.ledger.waiting(9, 0.0) == 1
    assert core.ledger.pending(9) == [second]
    [hit] = core.search(first.passage, mode="vector", limit=1).hits
    assert hit.id == first.id


def test_a_long_queue_is_embedded_without_reading_it_again_for_every_batch(
    provider: JobEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    refresh = SeparateLedger._refresh

    def counted(ledger: SeparateLedger) -> None:
        reads.append(1)
        refresh(ledger)

    monkeypatch.setattr(SeparateLedger, "_refresh", counted)
    monkeypatch.setattr(JobEmbedder, "batch_size", 4)
    core = core_of(provider)
    core.ingest(*documents(60), mode="async")
    assert core.embed_pending() == 60
    assert len(reads) <= 3
    assert sum(cost.passages for cost in core.batch_manager.costs()) == 60


def test_the_costs_are_those_of_each_tenant(provider: JobEmbedder) -> None:
    core = core_of(provider, multi_tenant=True)
    for tenant, number in (("ann", 1), ("bob", 3)):
        core.tenant(tenant).ingest(*documents(number), mode="async")
        core.tenant(tenant).ingest(Document(Ref("news", "1"), f"news of {tenant}"), mode="async")
    core.batch_manager.flush_queue(1)
    provider.finish()
    core.batch_manager.sync_status()
    counts = {(cost.tenant, cost.collection): cost.passages for cost in core.batch_manager.costs()}
    of_ann = {("ann", "notes"): 1, ("ann", "news"): 1}
    assert counts == {**of_ann, ("bob", "notes"): 3, ("bob", "news"): 1}
    assert core.batch_manager.queue_stats("ann").ready == 2


def test_a_refused_passage_is_given_up_under_its_own_name(provider: JobEmbedder) -> None:
    core = core_of(provider)
    core.ingest(*documents(2), mode="async")
    core.batch_manager.flush_queue(1)
    provider.finish("errors")
    core.batch_manager.sync_status()
    names = {f"{Ref('notes', str(number))}#0" for number in range(2)}
    given_up = core.batch_manager.given_up()
    assert given_up and {failure.what for failure in given_up} <= names
    assert core.batch_manager.retry() == len(given_up)
    assert core.batch_manager.given_up() == []


def test_a_budget_holds(provider: JobEmbedder) -> None:
    core = core_of(provider, budget={"hard": Decimal("0.00000001")})
    core.ingest(*documents(4), mode="async")
    with pytest.raises(BudgetSpent):
        core.embed_pending()
    assert core.stats().pending == 4


# --- how it is opened -----------------------------------------------------------------------------


class Shelves:
    """A plugin with a store that has a file and no ledger."""

    @hookimpl
    def semantic_stores(self) -> Any:
        return {"shelf": open_shelf}


def open_shelf(space: Space, *, path: str, multi_tenant: bool | None = None) -> Any:
    return queue_only(SqliteStore(space, path, multi_tenant=multi_tenant))


def shelf(embedder: Any, path: Path, *more: Any, **options: Any) -> SemanticCore:
    plugins = [Shelves(), *more]
    return SemanticCore(store="shelf", path=path, embedder=embedder, plugins=plugins, **options)


def test_the_ledger_is_a_file_beside_that_of_the_store(
    provider: JobEmbedder, tmp_path: Path
) -> None:
    place = tmp_path / "notes.shelf"
    with shelf(provider, place, semantic_core_peewee.sqlite) as core:
        core.ingest(*documents(3), mode="async")
        core.batch_manager.flush_queue(1)
        assert (tmp_path / "notes.shelf.ledger").exists()
    provider.finish()
    with shelf(provider, place, semantic_core_peewee.sqlite) as core:
        core.batch_manager.sync_status()
        assert core.stats().pending == 0
        assert sum(cost.passages for cost in core.batch_manager.costs()) == 3


def test_an_embedder_that_costs_nothing_needs_no_ledger(tmp_path: Path) -> None:
    with shelf(HashEmbedder(), tmp_path / "notes.shelf", semantic_core_peewee.sqlite) as core:
        assert core.ledger is None
        core.ingest(*documents(3), mode="async")
        assert core.embed_pending() == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.shelf"]


def test_without_a_place_for_a_ledger_the_jobs_say_how_to_name_one(
    provider: JobEmbedder, tmp_path: Path
) -> None:
    with shelf(provider, tmp_path / "notes.shelf") as core:
        assert core.ledger is None and not core.batch_manager.takes_jobs
        assert core.search("text").hits == ()
        with pytest.raises(ConfigError, match="QueueOnly keeps no ledger.*ledger="):
            core.batch_manager.flush_queue(1)


def test_a_ledger_that_does_not_fit_is_refused(provider: JobEmbedder, tmp_path: Path) -> None:
    space = provider.space
    with pytest.raises(ConfigError, match="MemoryStore keeps its ledger itself"):
        SemanticCore(store="memory", embedder=provider, ledger=tmp_path / "a.ledger", plugins=[])
    for ledger, why in (
        (queue_only(MemoryStore(space)), "A ledger is a store that is a BatchQueue, got QueueOnly"),
        (MemoryStore(Space("another", 8)), "The ledger is for another"),
        (MemoryStore(space, multi_tenant=True), "multi-tenant; the store is for .* single-tenant"),
    ):
        with pytest.raises(ConfigError, match=why):
            SeparateLedger(queue_only(MemoryStore(space)), ledger)
    main = queue_only(MemoryStore(space))
    del main.__dict__["pending"]
    with pytest.raises(ConfigError, match="QueueOnly has no queue of chunks"):
        SeparateLedger(main, MemoryStore(space))


def test_a_store_is_closed_again_if_its_ledger_is_refused(provider: JobEmbedder) -> None:
    closed = []

    class Noting:
        @hookimpl
        def semantic_stores(self) -> Any:
            return {"noting": self.open}

        def open(self, space: Space, *, multi_tenant: bool | None = None) -> Any:
            store = queue_only(MemoryStore(space))
            store.close = lambda: closed.append(store)
            return store

    another = MemoryStore(Space("another", 8))
    with pytest.raises(ConfigError, match="The ledger is for another"):
        SemanticCore(store="noting", embedder=provider, ledger=another, plugins=[Noting()])
    assert len(closed) == 1


def test_a_ledger_named_in_settings_lies_beside_the_settings(
    provider: JobEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "semantic-core.toml").write_text('path = "notes.shelf"\nledger = "jobs.db"\n')
    with SemanticCore.from_config(
        folder / "semantic-core.toml",
        store="shelf",
        embedder=provider,
        plugins=[Shelves(), semantic_core_peewee.sqlite],
    ) as core:
        assert isinstance(core.ledger, SeparateLedger)
    assert (folder / "jobs.db").exists() and not (folder / "notes.shelf.ledger").exists()
