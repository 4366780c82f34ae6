"""Batch jobs under crashes: at any call to the store or the provider a worker may die, or another
worker may run.

A run is a history of one or two workers on a real store, with a virtual clock. A plan says before
which calls, counted from 0, something happens. Between two calls there is one state only, so these
are all points at which something can happen.

Tested by tests/batch/test_schedules.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from semantic_core._jobs import OPEN
from semantic_core.batch import BatchManager, BatchRules
from semantic_core.errors import EmbedderUnavailable
from semantic_core.protocols import BatchEmbedder, BatchQueue, Metered, Store
from semantic_core.testing.check import expect
from semantic_core.testing.job_embedder import JobEmbedder, Shape
from semantic_core.testing.stores.samples import Item, ids_of, item, put
from semantic_core.types import Ref

Happening = Literal["crash", "lost", "jobs", "stall", "embed"]
"""What happens before a call. "crash": the worker dies. "lost": the call is made and its answer is
lost, if it is a call to the provider. "jobs": another worker submits and collects jobs first.
"stall": likewise, after the lease of this worker is over. "embed": another worker embeds pending
passages first; nothing happens to that one, because an answer that was paid for and is lost before
it is stored has to be paid for again."""
Plan = tuple[tuple[int, Happening], ...]
"""What happens before which calls."""

HOUR = 3_600.0
"""Seconds."""
ROUNDS = 14
"""A passage that has no vector after these rounds will never have one."""
RULES = BatchRules(job_size=4, page=2, claim_page=3, attempts=20, patience=9 * HOUR)
"""Small, so that a job of four passages takes several pages of each kind."""
CONSENTED: tuple[Shape, ...] = ("invalid", "gone")
"""Results that are paid for and give no vector. Their passages fail until somebody calls `retry`.
"""


class Crash(BaseException):
    """The worker process ends here."""


class ScheduleVerdict(NamedTuple):
    """The outcome of a run. faults: what is wrong; a correct run has none. points: number of calls.
    provider_points: which of these calls went to the provider.
    """

    faults: tuple[str, ...]
    points: int
    provider_points: tuple[int, ...]


class World:
    """A store, a provider, a clock and a plan. store: empty, in the space of the embedder."""

    def __init__(
        self, store: Any, embedder: JobEmbedder, plan: Plan, shape: Shape, number: int
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.shape = shape
        self.plan = dict(plan)
        # A worker that stalls beyond its lease, submits a job nevertheless and dies before it has
        # recorded that: no other worker can know of the job.
        self.may_double = len(plan) > 1 and plan[0][1] == "stall"
        self.now = 1_000_000.0
        self.points = 0
        self.faults: list[str] = []
        self.retried = 0
        self.provider_points: list[int] = []
        self.written = _written(store)
        self._number = number
        self._inside = False
        self._embedding = False
        self.watched_store = _watched(store, (Store, BatchQueue), self.point)
        self.watched_embedder = _watched(
            embedder, (BatchEmbedder, Metered), self.point, provider=True
        )

    def item(self, key: str, *passages: str) -> Item:
        """A document without vectors. No other run has the same passages."""
        own = [f"{passage} {self._number}" for passage in passages]
        return item(Ref("notes", key), *own, vectors=False)

    def clock(self) -> float:
        """The present time, in seconds."""
        return self.now

    def manager(self) -> BatchManager:
        """The batch manager of a worker that has just started."""
        return BatchManager(
            self.watched_store, self.watched_embedder, rules=RULES, clock=self.clock
        )

    def point(self, to_provider: bool) -> bool:
        """Called before every call: does what the plan says. Returns whether the answer is lost."""
        number = self.points
        self.points += 1
        if to_provider:
            self.provider_points.append(number)
        happening = None if self._embedding else self.plan.get(number)
        if happening == "crash":
            raise Crash
        if happening in ("jobs", "stall", "embed") and not self._inside:
            self._inside = True
            try:
                self.now += 2 * HOUR if happening == "stall" else 0.0
                if happening == "embed":
                    self._embedding = True
                    self.manager().embed()
                else:
                    self.round()
            except Crash:
                pass
            finally:
                self._inside = False
                self._embedding = False
        return happening == "lost"

    def round(self) -> None:
        """What a worker does repeatedly: submit jobs and collect results."""
        manager = self.manager()
        with suppress(EmbedderUnavailable):
            manager.flush_queue(1, force=True)
        with suppress(EmbedderUnavailable):
            manager.sync_status()


def embedder() -> JobEmbedder:
    """The embedder of every run. It has few dimensions, because the vectors do not matter."""
    return JobEmbedder(8)


def play(store: Any, plan: Plan, shape: Shape, number: int) -> ScheduleVerdict:
    """Play one history to its end and judge it. number: distinguishes the runs in this store."""
    world = World(store, embedder(), plan, shape, number)
    documents = [
        world.item("a", "one", "two"),
        world.item("b", "two", "three"),
        world.item("c", "four"),
    ]
    put(store, *documents)
    edited = world.item("a", "one edited", "two")
    removed = documents[2]
    last = [edited, documents[1]]
    for round_number in range(ROUNDS):
        try:
            world.round()
        except Crash:
            world.now += 60.0
        if round_number == 0:  # while the first job runs
            put(store, edited)
            store.remove([removed.ref])
        if not world.may_double:
            _no_two_jobs(world)
        world.embedder.finish(shape if round_number < 2 else "whole")
        world.now += 2 * HOUR
        if round_number >= ROUNDS // 2:
            world.retried += store.retry()
        if round_number > 1 and _is_done(store, last):
            break
    _judge(world, last)
    store.remove([edited.ref, documents[1].ref])
    return ScheduleVerdict(tuple(world.faults), world.points, tuple(world.provider_points))


def _written(store: Any) -> int:
    """Tokens in the ledger."""
    return sum(cost.tokens for cost in store.costs())


def _is_done(store: Any, documents: list[Item]) -> bool:
    """Whether every chunk has its vector and no job is left, here and at the provider."""
    states = store.chunk_states(ids_of(documents))
    if set(states) != {("READY", "")}:
        return False
    return not store.jobs(OPEN) and not store.jobs(cleaned=False)


def _no_two_jobs(world: World) -> None:
    """Record a fault for a passage in two running jobs, or two jobs of one name."""
    passages: set[str] = set()
    names: set[str] = set()
    for job in world.embedder.jobs.values():
        if job.name in names:
            world.faults.append("double: two jobs of one name")
        names.add(job.name)
        if job.state.status not in ("SUBMITTED", "PROCESSING"):
            continue
        for passage in job.passages.values():
            if passage in passages:
                world.faults.append("double: a passage is in two jobs at once")
            passages.add(passage)


def _judge(world: World, documents: list[Item]) -> None:
    """Record every fault that is left in the end."""
    store = world.store
    provider = world.embedder
    faults = world.faults
    for each in documents:
        states = store.chunk_states(each.ids)
        for id, passage, state in zip(each.ids, each.passages, states, strict=True):
            if state is None or state[0] != "READY":
                faults.append(f"stuck: {id} is {state}")
                continue
            similarity = float(store.similarity([id], provider._vector(passage))[0])
            if not abs(similarity - 1.0) < 1e-5:
                faults.append(f"wrong: {id} has another passage's vector")
    most = (2 if world.retried or world.shape in CONSENTED else 1) + world.may_double
    for passage, times in provider.billed.items():
        if times > most:
            faults.append(f"paid twice: {passage!r}, {times} times")
    for job in store.jobs(OPEN):
        faults.append(f"stuck: job {job.id} is {job.status}")
    if provider.jobs and world.shape != "gone":  # a lost job is left to its provider
        faults.append(f"orphan: {len(provider.jobs)} jobs are left at the provider")
    written = _written(store) - world.written
    billed = sum(provider.tokens_billed.values())
    slack = 2 * ROUNDS  # for rounding
    if abs(written - billed) > slack:
        faults.append(f"ledger: {written} tokens, billed {billed}")


QUIET = {
    "space",
    "multi_tenant",
    "batch_size",
    "max_chars",
    "currency",
    "price",
    "tokens",
    "seconds",
    "metered",
}
"""Members that are used without a point before them."""


def _watched(
    thing: Any, protocols: tuple[Any, ...], point: Callable[[bool], bool], *, provider: bool = False
) -> Any:
    """An object with the members of these protocols, taken from `thing`. `point` is called before
    every method, with `provider`: whether it is the provider, so that an answer can be lost.
    """

    def method(name: str) -> Callable[..., Any]:
        def call(_: Any, *args: Any, **named: Any) -> Any:
            lost = point(provider)
            answer = getattr(thing, name)(*args, **named)
            if lost and provider:
                raise EmbedderUnavailable("No answer came.")
            return answer

        return call

    members: dict[str, Any] = {}
    for protocol in protocols:
        for name in dir(protocol):
            if name in QUIET:
                value = getattr(thing, name)
                members[name] = staticmethod(value) if callable(value) else value
            elif not name.startswith("_"):
                members[name] = method(name)
    return type("Watched", (), members)()


EVERYWHERE: tuple[Happening, ...] = ("crash", "jobs", "stall", "embed")
"""What may happen before every call, to the store and to the provider."""


def single_plans(quiet: ScheduleVerdict) -> Iterator[Plan]:
    """Every plan with one happening. quiet: the outcome of a run in which nothing happens."""
    for number in range(quiet.points):
        for happening in EVERYWHERE:
            yield ((number, happening),)
    for number in quiet.provider_points:
        yield ((number, "lost"),)


def double_plans(quiet: ScheduleVerdict) -> Iterator[Plan]:
    """Every plan with a happening, and a crash or a lost answer after it. quiet: see
    `single_plans`.
    """
    for (first,) in single_plans(quiet):
        for number in range(first[0] + 1, quiet.points):
            yield (first, (number, "crash"))
            if number in quiet.provider_points:
                yield (first, (number, "lost"))


def play_all(
    open_store: Callable[[], Any], plans: Iterable[tuple[Plan, Shape]], *, fresh: int = 50
) -> int:
    """Play these plans and fail with the first run that has a fault; returns the number of runs.

    plans: with the shape in which results of jobs come back. fresh: runs before a new store is
    opened.
    """
    played = 0
    store = None
    try:
        for plan, shape in plans:
            if played % fresh == 0:
                if store is not None:
                    store.close()
                store = open_store()
            verdict = play(store, plan, shape, played)
            faults = "; ".join(verdict.faults)
            expect(not faults, f"plan {plan}, results {shape}: expected no fault, found {faults}")
            played += 1
    finally:
        if store is not None:
            store.close()
    return played
