"""Batch jobs under crashes: a worker dies, or another one comes in between,
at every call to the store and the provider.

A run is a history of one or two workers on a real store with a virtual clock. A plan says before
which calls, counted from 0, something happens: between two calls there is one state only, so these
are all the points there are.
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
from semantic_core.testing.stores.samples import Item, item, put
from semantic_core.types import Ref

Happening = Literal["crash", "lost", "jobs", "stall", "embed"]
"""The worker dies; the call is made and its answer lost (if it is one to the provider); or another
worker does its round of jobs, at once or ("stall") when the first one's lease is over, or embeds
what waits, before the first one goes on. Nothing happens to one who embeds: an answer that is paid
for and lost before it is stored has to be paid for again."""
Plan = tuple[tuple[int, Happening], ...]

HOUR = 3_600.0
ROUNDS = 14
"""Rounds after which every passage has its vector, or is stuck."""
RULES = BatchRules(job_size=4, page=2, claim_page=3, attempts=20, patience=9 * HOUR)
"""Small, so that a job of four passages takes several pages of each kind."""
CONSENTED: tuple[Shape, ...] = ("invalid", "gone")
"""Results that are paid for and give no vector:
those passages are given up until somebody asks for them again.
"""


class Crash(BaseException):
    """The process ends here."""


class ScheduleVerdict(NamedTuple):
    """What became of a run. faults: there must be none. points: calls there were. provider_points:
    of these, to the provider."""

    faults: tuple[str, ...]
    points: int
    provider_points: tuple[int, ...]


class World:
    """A store, a provider, a clock, and what is to happen when. store: empty,
    of the embedder's space.
    """

    def __init__(
        self, store: Any, embedder: JobEmbedder, plan: Plan, shape: Shape, number: int
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.shape = shape
        self.plan = dict(plan)
        # Who is silent for longer than his lease, submits all the same, and dies before he has said
        # so: nobody can know.
        self.may_double = len(plan) > 1 and plan[0][1] == "stall"
        self.now = 1_000_000.0
        self.points = 0
        self.faults: list[str] = []
        self.retried = 0
        self.provider_points: list[int] = []
        self.written = _written(store)
        self._number = number
        self._inside = self._embedding = False
        self.watched_store = _watched(store, (Store, BatchQueue), self.point)
        self.watched_embedder = _watched(
            embedder, (BatchEmbedder, Metered), self.point, provider=True
        )

    def item(self, key: str, *passages: str) -> Item:
        """A document without vectors; its passages are of this run alone,
        fingerprints those of the embedder's space.
        """
        return item(
            Ref("notes", key), *(f"{passage} {self._number}" for passage in passages), vectors=False
        )

    def manager(self) -> BatchManager:
        """A worker that has just begun."""
        return BatchManager(
            self.watched_store, self.watched_embedder, rules=RULES, clock=lambda: self.now
        )

    def point(self, to_provider: bool) -> bool:
        """Before a call: what the plan says happens; whether its answer is to be lost."""
        number = self.points
        self.points = self.points + 1
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
                self._inside = self._embedding = False
        return happening == "lost"

    def round(self) -> None:
        """What a worker does each time: submit and collect."""
        manager = self.manager()
        with suppress(EmbedderUnavailable):
            manager.flush_queue(1, force=True)
        with suppress(EmbedderUnavailable):
            manager.sync_status()


def embedder() -> JobEmbedder:
    """The one every run uses: with few numbers, since they mean nothing here."""
    return JobEmbedder(8)


def play(store: Any, plan: Plan, shape: Shape, number: int) -> ScheduleVerdict:
    """Play one history to its end, and judge it. number: of this run in this store."""
    world = World(store, embedder(), plan, shape, number)
    documents = [
        world.item("a", "one", "two"),
        world.item("b", "two", "three"),
        world.item("c", "four"),
    ]
    put(store, *documents)
    edited = world.item("a", "one anew", "two")
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
    store.remove([each.ref for each in last])
    return ScheduleVerdict(tuple(world.faults), world.points, tuple(world.provider_points))


def _written(store: Any) -> int:
    """Tokens in the ledger."""
    return sum(cost.tokens for cost in store.costs())


def _is_done(store: Any, documents: list[Item]) -> bool:
    states = store.chunk_states([id for each in documents for id in each.ids])
    return (
        all(state == ("READY", "") for state in states)
        and not store.jobs(OPEN)
        and not store.jobs(cleaned=False)
    )


def _no_two_jobs(world: World) -> None:
    running = [
        there
        for there in world.embedder.jobs.values()
        if there.state.status in ("SUBMITTED", "PROCESSING")
    ]
    passages = [passage for there in running for passage in there.passages.values()]
    if len(set(passages)) < len(passages):
        world.faults.append("double: a passage is in two jobs at once")
    if len({there.name for there in world.embedder.jobs.values()}) < len(world.embedder.jobs):
        world.faults.append("double: two jobs of one name")


def _judge(world: World, documents: list[Item]) -> None:
    store = world.store
    provider = world.embedder
    faults = world.faults
    ids = [id for each in documents for id in each.ids]
    passages = [entry.passage for each in documents for entry in each.entries]
    states = store.chunk_states(ids)
    for id, passage, state in zip(ids, passages, states, strict=True):
        if state is None or state[0] != "READY":
            faults.append(f"stuck: {id} is {state}")
            continue
        wanted = provider._vector(passage)
        if not abs(float(store.similarity([id], wanted)[0]) - 1.0) < 1e-5:
            faults.append(f"wrong: {id} has another passage's vector")
    most = (2 if world.retried or world.shape in CONSENTED else 1) + world.may_double
    faults += [
        f"paid twice: {passage!r}, {times} times"
        for passage, times in provider.billed.items()
        if times > most
    ]
    for job in store.jobs(OPEN):
        faults.append(f"stuck: job {job.id} is {job.status}")
    if provider.jobs and world.shape != "gone":  # a lost job is left to its provider
        faults.append(f"orphan: {len(provider.jobs)} jobs are left at the provider")
    written = _written(store) - world.written
    billed = sum(provider.tokens_billed.values())
    # The ledger says what the bill says, up to rounding.
    slack = 2 * ROUNDS
    if abs(written - billed) > slack:
        faults.append(f"ledger: {written} tokens, billed {billed}")


def _watched(
    thing: Any, protocols: tuple[Any, ...], point: Callable[[bool], bool], *, provider: bool = False
) -> Any:
    """The same thing with a point before every call of a protocol's method.
    provider: whether its answers can be lost.
    """

    def method(name: str) -> Callable[..., Any]:
        def call(_: Any, *args: Any, **named: Any) -> Any:
            lost = point(provider)
            answer = getattr(thing, name)(*args, **named)
            if lost and provider:
                raise EmbedderUnavailable("No answer came.")
            return answer

        return call

    quiet = {
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
    names = {name for protocol in protocols for name in dir(protocol) if not name.startswith("_")}
    members: dict[str, Any] = {name: method(name) for name in names - quiet}
    for name in names & quiet:
        value = getattr(thing, name)
        members[name] = (
            value if not callable(value) else (lambda _, *args, value=value: value(*args))
        )
    return type("Watched", (), members)()


EVERYWHERE: tuple[Happening, ...] = ("crash", "jobs", "stall", "embed")


def single_plans(quiet: ScheduleVerdict) -> Iterator[Plan]:
    """Every plan of one happening, for a run that went like this without any."""
    yield from (
        ((number, happening),) for number in range(quiet.points) for happening in EVERYWHERE
    )
    yield from (((number, "lost"),) for number in quiet.provider_points)


def double_plans(quiet: ScheduleVerdict) -> Iterator[Plan]:
    """Every plan of a happening and a crash, or a lost answer, some time after it."""
    for (first,) in single_plans(quiet):
        for number in range(first[0] + 1, quiet.points):
            yield (first, (number, "crash"))
            if number in quiet.provider_points:
                yield (first, (number, "lost"))


def play_all(
    open_store: Callable[[], Any], plans: Iterable[tuple[Plan, Shape]], *, fresh: int = 50
) -> int:
    """Play these plans, and fail with the first that goes wrong; how many there were.
    fresh: runs a store is used for.
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
            expect(not verdict.faults, f"plan {plan}, results {shape}: {'; '.join(verdict.faults)}")
            played += 1
    finally:
        if store is not None:
            store.close()
    return played
