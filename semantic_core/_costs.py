"""Money: what embedding costs, what may be spent, and what was; queries, too.

And the metered embedder, which pays for each passage once.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from semantic_core._jobs import OPEN, PICO, BatchJob, Budget, Estimate, PriceTier, Rate, Use
from semantic_core._metering import Spent
from semantic_core.errors import BudgetSpent, ConfigError, StoreError
from semantic_core.protocols import BatchQueue, Metered, Priced

if TYPE_CHECKING:
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Space, Vector, Vectors

logger = logging.getLogger("semantic_core.batch")

MILLION = 1_000_000
HOLD = 300.0
"""Seconds a passage is held for an embedding that is being made; renewed while a call takes longer.
"""
LOOK = 1.0
"""Seconds between two looks at the clock, which may be put forward meanwhile."""
SAMPLE = 1_000
"""Passages whose tokens are counted to estimate those of all that wait."""
BATCH_SECONDS = 86_400.0
"""What providers aim at for a job."""
QUERIES = 100
QUERY_SECONDS = 60.0
"""What queries cost is written down after so many, or so many seconds after the first of them: a
search does not wait for those who write.
"""


class CostTracker:
    """Prices of an embedder, a budget, and the ledger in a store.

    Without prices nothing is counted, and nothing refused.

    Raises ConfigError for a budget that could not be kept.
    """

    def __init__(
        self, store: Store, embedder: Embedder, budget: Budget, clock: Callable[[], float]
    ) -> None:
        self._priced = embedder if isinstance(embedder, Priced) else None
        self._ledger = store if isinstance(store, BatchQueue) else None
        self._metered = embedder if isinstance(embedder, Metered) else None
        self._model = embedder.space.model
        self._budget = budget
        self._clock = clock
        self._embedder = embedder
        self._queries = _Queries()
        if budget.limited and self._priced is not None and self._ledger is None:
            raise ConfigError(
                f"A budget needs a store that keeps a ledger; {type(store).__name__} does not.",
                hint="Use another store, or leave budget out.",
            )

    @property
    def prices(self) -> Priced | None:
        """Who knows them; None for an embedder that costs nothing."""
        return self._priced

    def rate(self, tier: Use, tokens_per_character: float = 0.0) -> Rate | None:
        """What is written into the ledger today; None without prices."""
        if self._priced is None:
            return None
        price = self._priced.price("interactive" if tier == "query" else tier)
        pico = round(price * PICO / MILLION)
        return Rate(
            self._day(), self._model, tier, tokens_per_character, pico, self._priced.currency
        )

    def rate_of(self, job: BatchJob) -> Rate | None:
        """Likewise for the results of a job."""
        return self.rate("batch", job.tokens / max(1, job.characters))

    def cost(self, tokens: int, tier: PriceTier) -> Decimal:
        """What so many tokens cost; 0 without prices."""
        return Decimal(0) if self._priced is None else self._priced.price(tier) * tokens / MILLION

    def tokens(self, passages: Sequence[str]) -> int:
        """How many tokens they have; 0 without prices."""
        return 0 if self._priced is None or not passages else self._priced.tokens(passages)

    def left(self, tier: PriceTier, *, force: bool = False, job: str = "") -> int | None:
        """Tokens the budget still allows in this tier; None for any number.

        force: past the soft limit. job: one under way that does not count.
        """
        budget = self._budget
        limits = [limit for limit in (budget.hard, None if force else budget.soft) if limit]
        if not limits or self._priced is None or self._ledger is None:
            return None
        price = self._priced.price(tier)
        if not price:
            return None
        left = min(limits) - self.spent() - self._committed(job)
        return max(0, int(left * MILLION / price))

    def check(self, tokens: int, tier: PriceTier, *, force: bool = False, job: str = "") -> None:
        """Raise BudgetSpent if embedding so many tokens more would be over the budget.
        force: the soft limit may be. job: the one the tokens are of; it does not count twice.
        """
        budget = self._budget
        if not budget.limited or self._priced is None or self._ledger is None:
            return
        cost = self.cost(tokens, tier)
        spent = self.spent()
        bound = self._committed(job)
        for name, limit in (("hard", budget.hard), ("soft", None if force else budget.soft)):
            if limit is not None and spent + bound + cost > limit:
                raise BudgetSpent(
                    f"This would cost about {cost:.4f}, and the {name} budget of {limit} "
                    f"{self._priced.currency} per {budget.per} does not allow it: {spent:.4f} are "
                    f"spent, {bound:.4f} belong to jobs under way.",
                    hint=(
                        "Texts are stored and found by words; go on "
                        f"{_NEXT[budget.per]}, or raise the budget."
                    ),
                )

    def spent(self) -> Decimal:
        """What was spent in the budget's period so far."""
        if self._ledger is None or self._priced is None:
            return Decimal(0)
        self.write_queries()
        since = {"day": self._day(), "month": self._day()[:8] + "01", "store": ""}[self._budget.per]
        return sum(
            (
                row.amount
                for row in self._ledger.costs(since)
                if row.currency == self._priced.currency
            ),
            Decimal(0),
        )

    def charge(self, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Write down what was embedded interactively: (passages,
        tokens) by (tenant, collection).
        """
        rate = self.rate("interactive")
        if rate is not None and self._ledger is not None and spent:
            self._ledger.charge(rate, spent)

    def metered(self) -> AbstractContextManager[Spent | None]:
        """Counts what is paid for within the block, in this thread; None where it is not told."""
        return nullcontext() if self._metered is None else self._metered.metered()

    def pay_job(self, job: BatchJob, told: Spent, passages: int) -> None:
        """Have the ledger say what a job cost by now, with what nobody has anything of: so many
        passages were paid for; of the first of them is told what they cost, the others are like the
        average one.
        """
        rate = self.rate("batch")
        if rate is None or self._ledger is None:
            return
        known = told if told.passages else Spent(job.paid, job.paid_tokens)
        more = max(0, passages - known.passages)
        paid = known.passages + more, known.tokens + job.tokens * more // max(1, job.sent)
        if paid != (job.paid, job.paid_tokens):
            self._ledger.pay_job(job.id, rate, *paid)

    def reopen(self, job: BatchJob, now: float) -> bool:
        """Let a job go on that was given up as lost, see `BatchQueue.reopen_job`. What was charged
        for what it had not given, by estimate, is taken back: it is charged when it is known.
        """
        if self._ledger is None:
            return False
        left = max(0, job.sent - job.succeeded - job.failed)
        paid = job.paid - left, job.paid_tokens - job.tokens * left // max(1, job.sent)
        return self._ledger.reopen_job(job.id, now, self.rate("batch"), *paid)

    def charge_twin(self, job: BatchJob, told: Spent, passages: int) -> None:
        """Write down what a job cost that was submitted twice: its twin, likewise."""
        rate = self.rate("batch")
        if rate is not None and self._ledger is not None:
            more = max(0, passages - told.passages)
            tokens = told.tokens + job.tokens * more // max(1, job.sent)
            self._ledger.charge(rate, {("", ""): (told.passages + more, tokens)})

    def embed_query(self, text: str, tenant: str = "", collection: str = "") -> Vector:
        """The embedder's vector of a query; what it cost is noted, and written down later."""
        if self._priced is None or self._ledger is None:
            return self._embedder.embed_query(text)
        with self.metered() as spent:
            try:
                vector = self._embedder.embed_query(text)
            finally:
                if spent is not None and spent.passages:
                    self._note_query((tenant, collection), spent)
        if spent is None:
            self._note_query((tenant, collection), Spent(1, self._priced.tokens([text])))
        return vector

    def write_queries(self) -> None:
        """Write down what queries cost that is not written down yet. Raises StoreError."""
        rate = self.rate("query")
        ledger = self._ledger
        if rate is not None and ledger is not None:
            self._queries.give(lambda spent: ledger.charge(rate, spent))

    def _note_query(self, owner: tuple[str, str], spent: Spent) -> None:
        if not self._queries.add(owner, spent, self._clock()):
            return
        try:
            self.write_queries()
        except StoreError as error:  # the search is not to fail for it
            logger.warning("What queries cost is written down later: %s", error)

    def estimate(self, passages: int, characters: int, sample: Sequence[str]) -> Estimate:
        """What so many passages of so many characters take, if they are like the sample."""
        if self._priced is None or not sample:
            return Estimate(passages, 0)
        tokens = round(self._priced.tokens(sample) * characters / max(1, sum(map(len, sample))))
        tiers: tuple[PriceTier, ...] = ("interactive", "batch")
        return Estimate(
            passages,
            tokens,
            {tier: self.cost(tokens, tier) for tier in tiers},
            self._priced.currency,
            {"interactive": self._priced.seconds(passages, tokens), "batch": BATCH_SECONDS},
        )

    def _committed(self, without: str = "") -> Decimal:
        """What jobs under way, but for this one, are going to cost."""
        jobs = self._ledger.jobs(OPEN, limit=10_000) if self._ledger is not None else ()
        return sum(
            (
                self.cost(job.tokens * job.waiting // max(1, job.sent), "batch")
                for job in jobs
                if job.id != without
            ),
            Decimal(0),
        )

    def _day(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).date().isoformat()


class _Queries:
    """What queries cost, in memory: (queries, tokens) by (tenant, collection)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent = dict[tuple[str, str], tuple[int, int]]()
        self._count = 0
        self._since = 0.0
        self._process = os.getpid()

    def add(self, owner: tuple[str, str], spent: Spent, now: float) -> bool:
        """Whether it is time to write them down."""
        with self._lock:
            self._begin_anew_after_a_fork()
            if not self._count:
                self._since = now
            queries, tokens = self._spent.get(owner, (0, 0))
            self._spent[owner] = (queries + spent.passages, tokens + spent.tokens)
            self._count += spent.passages
            if self._count < QUERIES and 0.0 <= now - self._since < QUERY_SECONDS:
                return False
            self._count = 0
            return True

    def give(self, write: Callable[[Mapping[tuple[str, str], tuple[int, int]]], None]) -> None:
        """Have them written down; they are kept if that raises."""
        with self._lock:
            self._begin_anew_after_a_fork()
            if self._spent:
                write(self._spent)
                self._spent = {}
                self._count = 0

    def _begin_anew_after_a_fork(self) -> None:
        """What the parent process has noted, it writes down itself."""
        if self._process != os.getpid():
            self._spent = {}
            self._count = 0
            self._process = os.getpid()


_NEXT = {"day": "tomorrow", "month": "next month", "store": "with another store"}


class MeteredEmbedder:
    """An embedder for one run, in front of one that is paid: what it is given is held, within the
    budget, and written down.

    Keeps `Embedder` as far as a run needs it. Two runs, or a run and a job, never pay for one
    passage: it is one's.
    """

    def __init__(
        self, store: BatchQueue, embedder: Embedder, till: CostTracker, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._till = till
        self._clock = clock
        self._owners: dict[str, tuple[str, str]] = {}
        self._token = ""

    @property
    def space(self) -> Space:
        """Of the embedder behind it."""
        return self._embedder.space

    @property
    def batch_size(self) -> int:
        """Of the embedder behind it."""
        return self._embedder.batch_size

    @property
    def max_chars(self) -> int:
        """Of the embedder behind it."""
        return self._embedder.max_chars

    def hold(
        self, passages: Mapping[str, str], owners: Mapping[str, tuple[str, str]]
    ) -> frozenset[str]:
        """Which of these passages, by fingerprint, are this run's to embed;
        the others are somebody's already.
        """
        if not passages:
            return frozenset()
        now = self._clock()
        self._token, held = self._store.hold(passages.keys(), now, now + HOLD, self._token)
        self._owners.update((passages[name], owners[name]) for name in held)
        return held

    def take(
        self, limit: int, *, from_jobs: bool = False, collections: Collection[str] | None = None
    ) -> Mapping[str, str]:
        """Passages that wait, now this run's."""
        now = self._clock()
        taken = self._store.take(
            limit, now, now + HOLD, from_jobs=from_jobs, collections=collections
        )
        self._token = taken.token
        self._owners = {passage: taken.owners[name] for name, passage in taken.passages.items()}
        return taken.passages

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder.embed_documents`. Raises BudgetSpent before anything is sent."""
        tokens = self._till.tokens(passages)
        self._till.check(tokens, "interactive")
        with self._till.metered() as spent:
            try:
                with self._renewed():
                    vectors = self._embedder.embed_documents(passages)
            finally:  # what was paid for is, whatever became of it
                if spent is not None and spent.passages:
                    self._charge(passages, spent)
        if spent is None and self._till.prices is not None:
            self._charge(passages, None)
        return vectors

    def embed_query(self, text: str) -> Vector:
        """See `CostTracker.embed_query`."""
        return self._till.embed_query(text)

    def give_up(self, why: Mapping[str, str]) -> None:
        """Note of these passages, by fingerprint, why they have no vector;
        they wait no more until `BatchQueue.retry`.
        """
        now = self._clock()
        self._token, _ = self._store.hold(why.keys(), now, now + HOLD, self._token)
        self._store.settle(self._token, {}, why, None, now)

    def release(self) -> None:
        """Let go of what is held."""
        if self._token:
            self._store.release(self._token)
            self._token = ""

    @contextmanager
    def _renewed(self) -> Iterator[None]:
        """Within it, what is held stays held, however long the embedder takes."""
        if not self._token:
            yield
            return
        done = threading.Event()
        self._renew()
        renewer = threading.Thread(
            target=self._renew_until, args=(done,), name="semantic-core-hold", daemon=True
        )
        renewer.start()
        try:
            yield
        finally:
            done.set()
            renewer.join()

    def _renew_until(self, done: threading.Event) -> None:
        renewed = self._clock()
        while not done.wait(min(LOOK, HOLD / 3)):
            if 0.0 <= self._clock() - renewed < HOLD / 3:
                continue
            renewed = self._clock()
            try:
                self._renew()
            except StoreError as error:  # there are two more tries before it ends
                logger.warning("What is being embedded could not be held for longer: %s", error)

    def _renew(self) -> None:
        now = self._clock()
        self._store.hold((), now, now + HOLD, self._token)

    def _charge(self, passages: Sequence[str], spent: Spent | None) -> None:
        """spent: on all of them; without it each costs what is estimated."""
        by_owner: dict[tuple[str, str], list[str]] = {}
        for passage in passages:
            by_owner.setdefault(self._owners.get(passage, ("", "")), []).append(passage)
        counts = [len(theirs) for theirs in by_owner.values()]
        tokens = [self._till.tokens(theirs) for theirs in by_owner.values()]
        if spent is not None:
            counts = _shared(spent.passages, counts)
            tokens = _shared(spent.tokens, tokens)
        shares = zip(by_owner, counts, tokens, strict=True)
        self._till.charge({owner: (count, tokens) for owner, count, tokens in shares})


def _shared(whole: int, parts: Sequence[int]) -> list[int]:
    """The whole number in shares like these parts, none lost to rounding."""
    total = max(1, sum(parts))
    ends = [whole * so_far // total for so_far in accumulate(parts)]
    ends[-1:] = [whole] if ends else []
    return [end - start for start, end in pairwise([0, *ends])]
