"""Costs: `CostTracker` knows prices, budget and what was spent, and `MeteredEmbedder` pays for each
passage once.

Tested by tests/kernel/test_costs.py.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from semantic_core._jobs import OPEN, PICO, BatchJob, Budget, Estimate, PriceTier, Rate, Use
from semantic_core._metering import Spent
from semantic_core.errors import BudgetSpent, ConfigError, StoreError
from semantic_core.protocols import BatchQueue, Metered, Priced

if TYPE_CHECKING:
    from semantic_core.protocols import Embedder
    from semantic_core.types import Space, Vector, Vectors

logger = logging.getLogger("semantic_core.batch")

MILLION = 1_000_000
HOLD = 300.0
"""Seconds for which a run claims a passage that it embeds; renewed while a call takes longer."""
LOOK = 1.0
"""Seconds between two readings of the clock, which may be set forward meanwhile."""
SAMPLE = 1_000
"""Passages whose tokens are counted to estimate those of all pending passages."""
BATCH_SECONDS = 86_400.0
"""Seconds within which providers promise to finish a batch job."""
QUERIES = 100
QUERY_SECONDS = 60.0
"""The costs of queries are stored after this many queries, or this many seconds after the first of
them, so that most searches do not write.
"""


class CostTracker:
    """The prices of an embedder, a budget, and the ledger of costs; None for no ledger.

    Without prices nothing is counted, and nothing is refused. Raises ConfigError for a budget
    without a ledger.
    """

    def __init__(
        self,
        ledger: BatchQueue | None,
        embedder: Embedder,
        budget: Budget,
        clock: Callable[[], float],
    ) -> None:
        self._priced = embedder if isinstance(embedder, Priced) else None
        self._ledger = ledger
        self._metered = embedder if isinstance(embedder, Metered) else None
        self._model = embedder.space.model
        self._budget = budget
        self._clock = clock
        self._embedder = embedder
        self._queries = _Queries()
        if budget.limited and self._priced is not None and self._ledger is None:
            raise ConfigError(
                "A budget needs a ledger of costs, and the store keeps none.",
                hint='Name a file for one, ledger="jobs.ledger", or leave budget out.',
            )

    @property
    def prices(self) -> Priced | None:
        """The embedder if it has prices, else None."""
        return self._priced

    def rate(self, tier: Use, tokens_per_character: float = 0.0) -> Rate | None:
        """Today's rate for the ledger; None without prices."""
        if self._priced is None:
            return None
        price = self._priced.price("interactive" if tier == "query" else tier)
        pico = round(price * PICO / MILLION)
        return Rate(
            self._day(), self._model, tier, tokens_per_character, pico, self._priced.currency
        )

    def rate_of(self, job: BatchJob) -> Rate | None:
        """Today's rate for the results of a job; None without prices."""
        return self.rate("batch", job.tokens / max(1, job.characters))

    def cost(self, tokens: int, tier: PriceTier) -> Decimal:
        """The cost of this many tokens; 0 without prices."""
        if self._priced is None:
            return Decimal(0)
        return self._priced.price(tier) * tokens / MILLION

    def tokens(self, passages: Sequence[str]) -> int:
        """The number of tokens of these passages; 0 without prices."""
        if self._priced is None or not passages:
            return 0
        return self._priced.tokens(passages)

    def left(self, tier: PriceTier, *, force: bool = False, job: str = "") -> int | None:
        """Tokens that the budget still allows in this tier; None for no limit.

        force: ignore the soft limit. job: an open job that does not count.
        """
        limits = [limit for _, limit in self._limits(force) if limit]
        if not limits or self._priced is None or self._ledger is None:
            return None
        price = self._priced.price(tier)
        if not price:
            return None
        left = min(limits) - self.spent() - self._committed(job)
        return max(0, int(left * MILLION / price))

    def check(self, tokens: int, tier: PriceTier, *, force: bool = False, job: str = "") -> None:
        """Raise BudgetSpent if embedding this many tokens more would exceed the budget.

        force: ignore the soft limit. job: the job of these tokens, which does not count twice.
        """
        budget = self._budget
        if not budget.limited or self._priced is None or self._ledger is None:
            return
        cost = self.cost(tokens, tier)
        spent = self.spent()
        bound = self._committed(job)
        for name, limit in self._limits(force):
            if spent + bound + cost > limit:
                raise BudgetSpent(
                    f"This would cost about {cost:.4f}, and the {name} budget of {limit} "
                    f"{self._priced.currency} per {budget.per} does not allow it: {spent:.4f} are "
                    f"spent, {bound:.4f} belong to open jobs.",
                    hint="Texts are stored and found by full-text search; continue "
                    f"{_NEXT[budget.per]}, or raise the budget.",
                )

    def _limits(self, force: bool) -> list[tuple[str, Decimal]]:
        """(name, amount) of the limits that apply."""
        limits = []
        if self._budget.hard is not None:
            limits.append(("hard", self._budget.hard))
        if self._budget.soft is not None and not force:
            limits.append(("soft", self._budget.soft))
        return limits

    def spent(self) -> Decimal:
        """The amount spent in the current period of the budget."""
        spent = Decimal(0)
        if self._ledger is None or self._priced is None:
            return spent
        self.write_queries()
        today = self._day()
        since = {"day": today, "month": today[:8] + "01", "store": ""}[self._budget.per]
        for row in self._ledger.costs(since):
            if row.currency == self._priced.currency:
                spent += row.amount
        return spent

    def charge(self, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Store what was embedded without a job: (passages, tokens) by (tenant, collection)."""
        rate = self.rate("interactive")
        if rate is not None and self._ledger is not None and spent:
            self._ledger.charge(rate, spent)

    def metered(self) -> AbstractContextManager[Spent | None]:
        """Counts what is paid for within the block, in this thread; None if the embedder does not
        report it.
        """
        if self._metered is None:
            return nullcontext()
        return self._metered.metered()

    def pay_job(self, job: BatchJob, reported: Spent, passages: int) -> None:
        """Store what a job cost by now, including results that are not needed any more.

        reported: the part of the costs that the provider reported. passages: how many were paid
        for; those that were not reported cost the average.
        """
        rate = self.rate("batch")
        if rate is None or self._ledger is None:
            return
        known = reported if reported.passages else Spent(job.paid, job.paid_tokens)
        more = max(0, passages - known.passages)
        paid = known.passages + more
        tokens = known.tokens + job.tokens * more // max(1, job.sent)
        if (paid, tokens) != (job.paid, job.paid_tokens):
            self._ledger.pay_job(job.id, rate, paid, tokens)

    def reopen(self, job: BatchJob, now: float) -> bool:
        """Continue a job that was given up as lost, see `BatchQueue.reopen_job`.

        The estimate that was charged for its missing results is taken back; they are charged when
        they are known.
        """
        if self._ledger is None:
            return False
        left = max(0, job.sent - job.succeeded - job.failed)
        paid = job.paid - left
        tokens = job.paid_tokens - job.tokens * left // max(1, job.sent)
        return self._ledger.reopen_job(job.id, now, self.rate("batch"), paid, tokens)

    def charge_twin(self, job: BatchJob, reported: Spent, passages: int) -> None:
        """Store the cost of the twin of a job that was submitted twice; see `pay_job`."""
        rate = self.rate("batch")
        if rate is not None and self._ledger is not None:
            more = max(0, passages - reported.passages)
            tokens = reported.tokens + job.tokens * more // max(1, job.sent)
            self._ledger.charge(rate, {("", ""): (reported.passages + more, tokens)})

    def embed_query(self, text: str, tenant: str = "", collection: str = "") -> Vector:
        """The embedder's vector of a query. Its cost is counted in memory, and stored later."""
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
        """Store the costs of queries that are not stored yet. Raises StoreError."""
        rate = self.rate("query")
        if rate is not None and self._ledger is not None:
            self._queries.write(partial(self._ledger.charge, rate))

    def _note_query(self, owner: tuple[str, str], spent: Spent) -> None:
        if not self._queries.add(owner, spent, self._clock()):
            return
        try:
            self.write_queries()
        except StoreError as error:  # the search must not fail for it
            logger.warning("The costs of queries could not be stored; next try later: %s", error)

    def estimate(self, passages: int, characters: int, sample: Sequence[str]) -> Estimate:
        """The tokens, costs and time of passages with this many characters all together, if they
        are like the sample.
        """
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
        """What the open jobs, except one, are going to cost."""
        committed = Decimal(0)
        if self._ledger is None:
            return committed
        for job in self._ledger.jobs(OPEN, limit=10_000):
            if job.id != without:
                tokens = job.tokens * job.waiting // max(1, job.sent)
                committed += self.cost(tokens, "batch")
        return committed

    def _day(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).date().isoformat()


class _Queries:
    """Costs of queries in memory: (queries, tokens) by (tenant, collection)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent = dict[tuple[str, str], tuple[int, int]]()
        self._count = 0
        self._since = 0.0
        self._process = os.getpid()

    def add(self, owner: tuple[str, str], spent: Spent, now: float) -> bool:
        """Count a query. Returns whether it is time to store the costs."""
        with self._lock:
            self._clear_after_fork()
            if not self._count:
                self._since = now
            queries, tokens = self._spent.get(owner, (0, 0))
            self._spent[owner] = (queries + spent.passages, tokens + spent.tokens)
            self._count += spent.passages
            if self._count < QUERIES and 0.0 <= now - self._since < QUERY_SECONDS:
                return False
            self._count = 0
            return True

    def write(self, write: Callable[[Mapping[tuple[str, str], tuple[int, int]]], None]) -> None:
        """Store the costs with this function. If it raises, they stay in memory."""
        with self._lock:
            self._clear_after_fork()
            if self._spent:
                write(self._spent)
                self._spent = {}
                self._count = 0

    def _clear_after_fork(self) -> None:
        """Forget what the parent process counted; it stores that itself."""
        if self._process != os.getpid():
            self._spent = {}
            self._count = 0
            self._process = os.getpid()


_NEXT = {"day": "tomorrow", "month": "next month", "store": "with another store"}


class MeteredEmbedder:
    """Embeds passages with a paid embedder for one run: it claims them, checks the budget, and
    stores the costs.

    It has the methods of `Embedder` that a run needs. Two runs, or a run and a job, never pay for
    the same passage, because only one of them has claimed it.
    """

    def __init__(
        self,
        store: BatchQueue,
        embedder: Embedder,
        cost_tracker: CostTracker,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._cost_tracker = cost_tracker
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
        """Claim these passages, by fingerprint. Returns those that this run may embed; the others
        are claimed by another run or job.
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
        """Claim up to `limit` pending passages for this run, by fingerprint."""
        now = self._clock()
        taken = self._store.take(
            limit, now, now + HOLD, from_jobs=from_jobs, collections=collections
        )
        self._token = taken.token
        self._owners = {passage: taken.owners[name] for name, passage in taken.passages.items()}
        return taken.passages

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder.embed_documents`. Raises BudgetSpent before anything is sent."""
        tokens = self._cost_tracker.tokens(passages)
        self._cost_tracker.check(tokens, "interactive")
        with self._cost_tracker.metered() as spent:
            try:
                with self._renewed():
                    vectors = self._embedder.embed_documents(passages)
            finally:  # it was paid for, even if the call failed
                if spent is not None and spent.passages:
                    self._charge(passages, spent)
        if spent is None and self._cost_tracker.prices is not None:
            self._charge(passages, None)
        return vectors

    def embed_query(self, text: str) -> Vector:
        """See `CostTracker.embed_query`."""
        return self._cost_tracker.embed_query(text)

    def give_up(self, why: Mapping[str, str]) -> None:
        """Store why these passages, by fingerprint, have no vector. They are not pending any more
        until `BatchQueue.retry`.
        """
        now = self._clock()
        self._token, _ = self._store.hold(why.keys(), now, now + HOLD, self._token)
        self._store.settle(self._token, {}, why, None, now)

    def release(self) -> None:
        """Release the passages that this run has claimed."""
        if self._token:
            self._store.release(self._token)
            self._token = ""

    @contextmanager
    def _renewed(self) -> Iterator[None]:
        """Renew the claims within the block, however long the embedder takes."""
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
            except StoreError as error:  # there are two more tries before the claims end
                logger.warning("Claims of passages could not be renewed: %s", error)

    def _renew(self) -> None:
        now = self._clock()
        self._store.hold((), now, now + HOLD, self._token)

    def _charge(self, passages: Sequence[str], spent: Spent | None) -> None:
        """Store the costs by owner. spent: on all passages; None takes estimates instead."""
        by_owner: dict[tuple[str, str], list[str]] = {}
        for passage in passages:
            by_owner.setdefault(self._owners.get(passage, ("", "")), []).append(passage)
        counts = [len(theirs) for theirs in by_owner.values()]
        tokens = [self._cost_tracker.tokens(theirs) for theirs in by_owner.values()]
        if spent is not None:
            counts = _shared(spent.passages, counts)
            tokens = _shared(spent.tokens, tokens)
        shares = zip(by_owner, counts, tokens, strict=True)
        self._cost_tracker.charge({owner: (count, tokens) for owner, count, tokens in shares})


def _shared(whole: int, parts: Sequence[int]) -> list[int]:
    """Divide a whole number in proportion to these parts, with no loss by rounding."""
    total = max(1, sum(parts))
    ends = [whole * so_far // total for so_far in accumulate(parts)]
    ends[-1:] = [whole] if ends else []
    return [end - start for start, end in pairwise([0, *ends])]
