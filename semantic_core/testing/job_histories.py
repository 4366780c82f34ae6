"""Random histories of batch jobs and their costs. Two processes do what users and workers do, in
any order, and may die at any call. The provider behaves as real providers do.

In the end no passage is lost, only passages for which it is documented were paid for twice, and the
costs in the ledger are those of the bill, to the token.

Tested by tests/batch/test_histories.py.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from semantic_core._jobs import OPEN
from semantic_core._metering import Meter
from semantic_core.batch import BatchRules
from semantic_core.core import SemanticCore
from semantic_core.errors import EmbedderError, EmbedderUnavailable, JobLost
from semantic_core.protocols import BatchEmbedder, BatchQueue, Embedder, Metered, Store
from semantic_core.testing.check import expect
from semantic_core.testing.job_embedder import JobEmbedder, Shape
from semantic_core.types import ChunkId, Document, Ref, Vector

HOUR = 3_600.0
"""Seconds."""
KEPT = 48 * HOUR
"""How long a provider stores the results of a job."""
STEPS = 14
"""Actions of a history."""
ROUNDS = 80
"""Most rounds of healing after the actions, two hours each."""
CRASHES = 0.35
"""Probability that the process of an action dies."""
TWICE = 0.2
"""Probability that the other process does something during an action."""
LOST = 0.2
"""Probability that an answer about jobs is lost during an action."""
BLIND = 0.15
"""Probability that the provider once does not find an existing job during an action."""
LAST_POINT = 30
"""Something may happen before one of so many calls of an action."""
SHAPES: tuple[Shape, ...] = (
    "whole",
    "shuffled",
    "doubled",
    "partial",
    "errors",
    "cut",
    "late",
    "busy",
)
RULES = BatchRules(job_size=4, page=2, claim_page=3, attempts=20, patience=9 * HOUR)


class Died(BaseException):
    """The process ends here."""


class Provider(JobEmbedder):
    """A provider with two accounts, one key each; neither sees the jobs of the other. It stores
    results for 48 hours, has a clock, and bills other numbers of tokens than it estimates.
    """

    def __init__(self, choice: random.Random) -> None:
        super().__init__(8)
        self.characters_a_token = choice.choice((2, 3, 5))
        self.enqueued_limit = choice.choice((None, None, 12, 30))
        self.account = "one"
        self.time = 1_000_000.0
        self.blind = False
        self.owners: dict[str, str] = {}
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.paid: dict[str, int] = {}
        self.lost: set[str] = set()

    def now(self) -> float:
        """See `BatchEmbedder`."""
        return self.time

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """See `BatchEmbedder.submit`."""
        job = super().submit(passages, name)
        self.owners[job] = self.account
        self.begun[job] = self.time
        return job

    def find(self, name: str) -> str | None:
        """See `BatchEmbedder.find`. It finds jobs of this account alone."""
        jobs = self.jobs
        self.jobs = {}
        for job, there in jobs.items():
            if self.owners[job] == self.account:
                self.jobs[job] = there
        try:
            return super().find(name)
        finally:
            self.jobs = jobs

    def clean_up(self, job: str) -> None:
        """See `BatchEmbedder.clean_up`. It removes jobs of this account alone."""
        if self.owners.get(job) == self.account:
            super().clean_up(job)

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """See `BatchEmbedder.results`. They exist for 48 hours."""
        self._there(job)
        if job in self.lost:
            raise JobLost("The results were removed.")
        yield from super().results(job)

    def finish(self, shape: Shape = "whole", *, job: str | None = None) -> int:
        """See `JobEmbedder.finish`."""
        before = self.tokens_billed["batch"]
        for name in list(self.jobs) if job is None else [job]:
            if super().finish(shape, job=name):
                self.paid[name] = self.tokens_billed["batch"] - before
                self.ended[name] = self.time
            before = self.tokens_billed["batch"]
        return 0

    def go_on(self, hours: float) -> list[str]:
        """Advance the clock; returns the passages whose results were removed since."""
        self.time += hours * HOUR
        passages: list[str] = []
        for job, ended_at in self.ended.items():
            stored = job in self.jobs and job not in self.lost
            if stored and self.time - ended_at > KEPT:
                self.lost.add(job)
                passages += self.jobs[job].passages.values()
        return passages

    def _there(self, job: str) -> Any:
        blind = self.blind
        self.blind = False
        if blind or self.owners.get(job) != self.account:
            raise JobLost("404")
        return super()._there(job)


SPACE = Provider(random.Random(0)).space
"""The space of every `Provider`."""


class Process:
    """A process that may die: every call to the store and the provider goes through
    `History.point`.

    wrote: tokens outside of jobs that it added to the ledger. paid: tokens outside of jobs that it
    was billed for. embedded: passages whose vectors it has not stored yet.
    """

    def __init__(self, history: History, store: Any, provider: Provider) -> None:
        self.history = history
        self.provider = provider
        self.store = store
        self.dead = False
        self.paid = 0
        self.wrote = 0
        self.embedded: list[str] = []
        self.meter = Meter()
        embedder = _through(
            provider,
            (Embedder, BatchEmbedder, Metered),
            self._of_provider,
            ("account", "now"),
            metered=self.meter.metered,
        )
        self.core = SemanticCore(
            store=_through(store, (Store, BatchQueue), self._of_store),
            embedder=embedder,
            plugins=[],
            max_chars=200,
            batch=RULES,
        )
        self.core.batch_manager._clock = self.core.batch_manager.cost_tracker._clock = history.clock

    def _of_store(self, name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        happening = self.history.point(self)
        answer = call()
        if name == "charge" and args[0].tier != "batch":
            self.wrote += sum(tokens for _, tokens in args[1].values())
        elif name == "fill":
            self.embedded = []
        if happening == "after":
            self.die()
        return answer

    def _of_provider(self, name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        happening = self.history.point(self, job=name not in ("embed_documents", "embed_query"))
        if name == "cancel":
            self.history.judge_cancelling(args[0])
        before = self._at_once()
        self.provider._meter = self.meter
        answer = call()
        if name == "results":
            answer = self._counting(answer)
        if name in ("embed_documents", "embed_query"):  # otherwise another process paid meanwhile
            self.paid += self._at_once() - before
        if name == "embed_documents":
            self.embedded += args[0]
        if happening == "after":
            self.die()
        if happening == "lost":
            raise EmbedderUnavailable("No answer came.")
        return answer

    def _counting(self, results: Iterator[Any]) -> Iterator[Any]:
        while True:
            self.provider._meter = self.meter
            result = next(results, None)
            if result is None:
                return
            yield result

    def _at_once(self) -> int:
        return self.provider.tokens_billed["interactive"] + self.provider.tokens_billed["query"]

    def die(self) -> None:
        """End the process. What it has paid for and not stored is lost."""
        self.dead = True
        raise Died


class HistoryVerdict(NamedTuple):
    """The outcome of a history. faults: what is wrong; a correct history has none. points: calls.
    crashes: processes that died. tokens: on the bill. twice: passages that were paid for again, as
    is documented. died_with: tokens of answers that a process had not stored when it died.
    """

    faults: tuple[str, ...]
    points: int
    crashes: int
    tokens: int
    twice: int
    died_with: int


class History:
    """One history, which `seed` determines. store: empty, in the space of `Provider`."""

    def __init__(self, store: Any, seed: int) -> None:
        self.choice = random.Random(seed)
        self.store = store
        self.provider = Provider(self.choice)
        self.ahead = self.choice.choice((0.0, 0.0, 100 * HOUR, -100 * HOUR))
        self.points = 0
        self.crashes = 0
        self.died_with = 0
        self.may_twice: Counter[str] = Counter()
        self.texts: dict[str, str] = {}
        self.faults: list[str] = []
        self.unwanted: set[str] = set()
        self.estimated: set[str] = set()
        self._plan: dict[int, str] = {}
        self._calls = 0
        self._job_calls = 0
        self._number = 0
        self._depth = 0
        self.processes = [self._process(), self._process()]

    def clock(self) -> float:
        """The clock of the machine, in seconds; it may differ from the provider's."""
        return self.provider.time + self.ahead

    def play(self) -> HistoryVerdict:
        """Play all actions, then the healing, and judge what there is in the end."""
        for _ in range(STEPS):
            self._action(self.choice.randrange(2))
            for passage in self.provider.go_on(self.choice.choice((0.0, 0.1, 2, 2, 9, 30))):
                self.may_twice[passage] += 1
        rounds = self._heal()
        if rounds == ROUNDS:
            self.faults.append(f"stuck: {self._left()}")
        self._judge()
        tokens = sum(self.provider.tokens_billed.values())
        twice = sum(times - 1 for times in self.provider.billed.values())
        return HistoryVerdict(
            tuple(self.faults), self.points, self.crashes, tokens, twice, self.died_with
        )

    def point(self, process: Process, *, job: bool = False) -> str:
        """Called before every call of a process. Returns what happens to the call: "after", the
        process dies; "lost", its answer is lost; "", nothing. job: whether it is about jobs.
        """
        if process.dead:
            raise Died
        self.points += 1
        self._calls += 1
        self._job_calls += job
        happening = self._plan.pop(self._calls, "")
        if happening == "before":
            process.die()
        if happening == "other" and not self._depth:
            plan = self._plan
            calls = self._calls
            self._depth += 1
            self._action(1 - self.processes.index(process))
            self._depth -= 1
            self._plan = plan
            self._calls = calls
        is_lost = job and happening == "lost"
        return happening if happening == "after" or is_lost else ""

    def judge_cancelling(self, provider_job: str) -> None:
        """Record a fault if a worker cancels a job that is not late and that no user cancelled."""
        young = self.provider.time - self.provider.begun[provider_job] < RULES.deadline
        for job in self.store.jobs(OPEN, limit=1_000):
            if job.provider_job == provider_job and young and job.id not in self.unwanted:
                self.faults.append(f"cancelled: {provider_job}, which was healthy")

    def _process(self) -> Process:
        return Process(self, self.store, self.provider)

    def _action(self, number: int) -> None:
        choice = self.choice
        process = self.processes[number]
        self._plan = {}
        self._calls = 0
        for likely, happenings in (
            (CRASHES, ("before", "after")),
            (TWICE, ("other",)),
            (LOST, ("lost",)),
        ):
            if choice.random() < likely:
                self._plan[choice.randint(1, LAST_POINT)] = choice.choice(happenings)
        self.provider.blind = choice.random() < BLIND
        names: list[str] = []
        for name, often in ACTIONS.items():
            names += [name] * often
        with suppress(EmbedderError, Died):
            getattr(self, f"_do_{choice.choice(names)}")(process)
        if process.dead:
            self._bury(number)
        self.provider.blind = False

    def _bury(self, number: int) -> None:
        process = self.processes[number]
        self.crashes += 1
        self.died_with += process.paid - process.wrote
        self.may_twice.update(process.embedded)
        self.processes[number] = self._process()

    def _new_text(self) -> str:
        self._number += 1
        return f"text {self._number}" + " and more" * self.choice.randrange(4)

    def _put(self, process: Process, key: str, mode: Any) -> None:
        try:
            process.core.ingest(Document(Ref("notes", key), self._new_text()), mode=mode)
        finally:
            self._look_up(key)

    def _look_up(self, key: str) -> None:
        """Read what is stored: a process that died may have written the document or not."""
        there = self.store.get(Ref("notes", key))
        if there is None:
            self.texts.pop(key, None)
        else:
            self.texts[key] = there.text

    def _do_ingest(self, process: Process) -> None:
        for _ in range(self.choice.randint(1, 5)):
            self._put(process, f"{self._number}", "async")

    def _do_ingest_now(self, process: Process) -> None:
        self._put(process, f"{self._number}", "sync")

    def _do_edit(self, process: Process) -> None:
        if self.texts:
            self._put(process, self.choice.choice(sorted(self.texts)), "async")

    def _do_remove(self, process: Process) -> None:
        if self.texts:
            key = self.choice.choice(sorted(self.texts))
            try:
                process.core.remove(Ref("notes", key))
            finally:
                self._look_up(key)

    def _do_flush(self, process: Process) -> None:
        process.core.batch_manager.flush_queue(1, force=self.choice.random() < 0.8)

    def _do_sync(self, process: Process) -> None:
        process.core.batch_manager.sync_status()

    def _do_retry(self, process: Process) -> None:
        process.core.batch_manager.retry()

    def _do_cancel(self, process: Process) -> None:
        jobs = [job for job in self.store.jobs(OPEN) if job.account == self.provider.account]
        if jobs:
            job = self.choice.choice(jobs)
            self.unwanted.add(job.id)
            held = self._in_jobs()
            try:
                process.core.batch_manager.cancel(job)
            finally:
                if self.provider.account != job.account:  # the other account cannot cancel it
                    self.may_twice.update(held)
                    self.estimated.add(job.provider_job)

    def _do_embed(self, process: Process) -> None:
        process.core.embed_pending(self.choice.choice((1, 3, None)))

    def _do_embed_from_jobs(self, process: Process) -> None:
        before = self._in_jobs()
        try:
            process.core.embed_pending(2, from_jobs=True)
        finally:  # the other process may have made a job meanwhile
            self.may_twice.update(before | self._in_jobs())

    def _in_jobs(self) -> set[str]:
        """The passages of all jobs, also of those that are being submitted."""
        held: set[str] = set()
        for provider_job in self.provider.jobs.values():
            held.update(provider_job.passages.values())
        for job in self.store.jobs(OPEN):
            for _, _, passage in self.store.passages_of(job.id):
                held.add(passage)
        return held

    def _do_query(self, process: Process) -> None:
        # A thread reads one state during a search; the other process would be in the same thread.
        for call, happening in list(self._plan.items()):
            if happening == "other":
                del self._plan[call]
        process.core.search(f"question {self.choice.randrange(9)}", mode="vector")

    def _do_finish(self, process: Process) -> None:
        self.provider.finish(self.choice.choice(SHAPES))

    def _do_start(self, process: Process) -> None:
        self.provider.start()

    def _do_expire(self, process: Process) -> None:
        self.provider.expire()

    def _do_change_key(self, process: Process) -> None:
        if not self._depth:  # a key does not change during an action
            self.provider.account = "two" if self.provider.account == "one" else "one"

    def _do_set_the_clock(self, process: Process) -> None:
        if not self._depth:  # during an action it could shorten a hold
            self.ahead = self.choice.choice((0.0, 200 * HOUR, -200 * HOUR))

    def _heal(self) -> int:
        """Let both workers run without any error until all is done; returns the number of rounds,
        ROUNDS if something is never done.
        """
        self._plan = {}
        self.ahead = 0.0
        for number in range(ROUNDS):
            self.provider.account = ("one", "two")[number // 2 % 2]
            self._plan = {}
            for process in self.processes:
                manager = process.core.batch_manager
                with suppress(EmbedderError):
                    manager.sync_status()
                    manager.flush_queue(1, force=True)
            self.provider.finish()
            for passage in self.provider.go_on(2):
                self.may_twice[passage] += 1
            if number % 4 == 3:
                manager.retry()
            if not self._left():
                return number
        return ROUNDS

    def _left(self) -> str:
        """What is not done yet, as a text; "" if all is done."""
        ids = [ChunkId(Ref("notes", key), 0) for key in self.texts]
        left: list[str] = []
        for id, state in zip(ids, self.store.chunk_states(ids), strict=True):
            if state != ("READY", ""):
                left.append(f"{id} is {state}")
        for job in self.store.jobs(OPEN):
            left.append(f"job {job.id} is {job.status}: {job.error}")
        for job in self.store.jobs(cleaned=False):
            left.append(f"job {job.id} is not cleaned")
        return "; ".join(left)

    def _judge(self) -> None:
        """Record every fault that there is in the end."""
        provider = self.provider
        faults = self.faults
        for process in self.processes:
            process.core.batch_manager.costs()  # adds its last queries to the ledger
        for key, text in self.texts.items():
            id = ChunkId(Ref("notes", key), 0)
            similarity = float(self.store.similarity([id], provider._vector(text))[0])
            if not abs(similarity - 1.0) < 1e-5:
                faults.append(f"wrong: {key} has another text's vector")
        for passage, times in provider.billed.items():
            if times > 1 + self.may_twice[passage]:
                faults.append(f"paid twice: {passage!r}, {times} times")
        orphans = set(provider.jobs) - provider.lost
        if orphans:
            faults.append(f"orphan: {sorted(orphans)} are left at the provider")
        self._judge_costs()

    def _judge_costs(self) -> None:
        """Record a fault where the ledger differs from the bill."""
        provider = self.provider
        faults = self.faults
        ledger: Counter[str] = Counter()
        for cost in self.store.costs():
            ledger[cost.tier] += cost.tokens
        at_once = provider.tokens_billed["interactive"] + provider.tokens_billed["query"]
        written = ledger["interactive"] + ledger["query"]
        if written != at_once - self.died_with:
            faults.append(f"ledger: {written} tokens at once, billed {at_once - self.died_with}")
        by_name = {job.provider_job: job.paid_tokens for job in self.store.jobs(limit=10_000)}
        estimated = provider.lost | self.estimated
        billed = 0
        for job in provider.paid.keys() | estimated:
            billed += by_name.get(job, 0) if job in estimated else provider.paid[job]
        if ledger["batch"] != billed:
            jobs = f"by the provider {provider.paid}, in the ledger {by_name}"
            faults.append(f"ledger: {ledger['batch']} tokens in jobs, billed {billed}: {jobs}")


ACTIONS: Mapping[str, int] = {
    "ingest": 4,
    "ingest_now": 2,
    "edit": 2,
    "remove": 1,
    "flush": 4,
    "sync": 4,
    "retry": 1,
    "cancel": 1,
    "embed": 2,
    "embed_from_jobs": 1,
    "query": 2,
    "finish": 4,
    "start": 1,
    "expire": 1,
    "change_key": 1,
    "set_the_clock": 1,
}
"""The actions and their weights."""


def _through(
    thing: Any,
    protocols: tuple[Any, ...],
    act: Callable[[str, Callable[[], Any], tuple[Any, ...]], Any],
    more: tuple[str, ...] = (),
    **own: Any,
) -> Any:
    """An object with the members of these protocols, taken from `thing`. `act` makes the calls.

    more: further members. own: members with another value.
    """

    def method(name: str) -> Callable[..., Any]:
        def call(_: Any, *args: Any, **named: Any) -> Any:
            return act(name, partial(getattr(thing, name), *args, **named), args)

        return call

    def attribute(name: str) -> property:
        def value(_: Any) -> Any:
            return getattr(thing, name)

        return property(value)

    def close(_: Any) -> None:
        return

    names = set(more)
    for protocol in protocols:
        names.update(dir(protocol))
    members: dict[str, Any] = {}
    for name in names:
        if name.startswith("_"):
            continue
        quiet = name in QUIET or not callable(getattr(thing, name))
        members[name] = attribute(name) if quiet else method(name)
    members["close"] = close
    for name, value in own.items():
        members[name] = staticmethod(value)
    return type("Through", (), members)()


QUIET = {"price", "tokens", "seconds", "metered", "snapshot", "account", "now"}
"""Members that are used without a point before them."""


def play_histories(open_store: Callable[[], Any], seeds: Iterable[int]) -> Counter[str]:
    """Play the histories of these seeds and fail with the first that has a fault; returns the sums
    of their outcomes.
    """
    totals: Counter[str] = Counter()
    for seed in seeds:
        store = open_store()
        verdict = History(store, seed).play()
        store.close()
        faults = "; ".join(verdict.faults)
        expect(not faults, f"history {seed}: expected no fault, found {faults}")
        totals.update(verdict._asdict() | {"faults": 0, "histories": 1})
    return totals
