"""Frozen records of batch jobs, the queue and costs, which `semantic_core.batch` exports.

Tested by tests/batch/test_manager.py and tests/kernel/test_costs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import attrs

from semantic_core.errors import ConfigError

JobStatus = Literal["CREATED", "SUBMITTED", "PROCESSING", "COMPLETED", "FAILED"]
OPEN: tuple[JobStatus, ...] = ("CREATED", "SUBMITTED", "PROCESSING")
"""Statuses of jobs that have claims of passages."""
STATUSES: tuple[JobStatus, ...] = (*OPEN, "COMPLETED", "FAILED")

ChunkStatus = Literal["READY", "PENDING", "SUBMITTED", "FAILED"]
Rest = Literal["free", "again", "halve", "fail"]
"""What becomes of the passages without a result when a job ends, see `BatchQueue.close_job`."""
PriceTier = Literal["interactive", "batch"]
Use = Literal["interactive", "batch", "query"]
"""What is paid for: passages in either price tier, and queries, at the interactive price."""
Freshness = Literal["now", "1h", "24h"]
FRESHNESS: tuple[Freshness, ...] = ("now", "1h", "24h")
"""How long a text may wait for its vector."""

LONGEST_HOLD = 7_200.0
"""Seconds. A claim or a lease that ends later than this from now was made by a wrong clock, and
counts as ended.
"""
PICO = 10**12
"""The ledger counts in this part of one unit of currency, so that the cost of a token is a whole
number.
"""


@attrs.frozen
class JobState:
    """The state of a job, as its provider reports it.

    status: SUBMITTED, PROCESSING, COMPLETED (all that succeeded can be read) or FAILED (failed,
    cancelled or expired).
    told: the provider's own word for the state; it ends with "expired" for a job that took too
    long. reason: why it failed; "" if it did not, or if the reason is unknown. sent, succeeded,
    failed: passages, None if the provider does not report them. has_results: whether results can be
    read, also of a FAILED job. name: the name it was submitted with, "" if it is not reported.
    throttled: whether it failed because too much was in progress at the provider, and not because
    of its passages; nothing of it was processed.
    """

    status: Literal["SUBMITTED", "PROCESSING", "COMPLETED", "FAILED"]
    told: str = ""
    reason: str = ""
    sent: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    has_results: bool = False
    name: str = ""
    throttled: bool = False

    @property
    def expired(self) -> bool:
        """Whether it failed for lack of time, and not because of its passages."""
        return self.status == "FAILED" and self.told.lower().endswith("expired")


@attrs.frozen
class BatchJob:
    """A job in the ledger of the store.

    Times are seconds since 1970, 0.0 for what has not happened.

    id: our UUID. name: the name it is submitted with, the same after a crash. provider_job: its
    name at the provider, "" until it is known. sent: different passages in it. succeeded, failed:
    of these, so far; the others are pending again when the job has ended. characters, tokens: of
    all its passages; tokens are an estimate, 0 without prices. error: the last error, "" if there
    is none. tries: attempts to submit it. answered_at: since when its results are available, or its
    provider does not know it. owner, leased_until: the process that submits it. cleaned: whether
    nothing of it is left at the provider. account: what it was submitted with, see `BatchEmbedder`.
    paid, paid_tokens: its part of the ledger of costs.
    """

    id: str
    name: str
    status: JobStatus = "CREATED"
    provider_job: str = ""
    sent: int = 0
    succeeded: int = 0
    failed: int = 0
    characters: int = 0
    tokens: int = 0
    tries: int = 0
    error: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    submitted_at: float = 0.0
    answered_at: float = 0.0
    cancelled_at: float = 0.0
    ended_at: float = 0.0
    owner: str = ""
    leased_until: float = 0.0
    cleaned: bool = False
    account: str = ""
    paid: int = 0
    paid_tokens: int = 0

    @property
    def waiting(self) -> int:
        """Passages without a result, 0 if the job has ended."""
        if self.status not in OPEN:
            return 0
        return self.sent - self.succeeded - self.failed


@attrs.frozen
class QueueStats:
    """Chunks by state, and jobs by status. jobs: every status, 0 included.

    ready: with a vector. submitted: in a job, or being embedded now. failed: given up until
    `retry`. pending: the others; of these, passages: different ones, oldest_at: since when the
    oldest is pending, 0.0 if there is none.
    """

    ready: int = 0
    pending: int = 0
    submitted: int = 0
    failed: int = 0
    passages: int = 0
    oldest_at: float = 0.0
    jobs: Mapping[JobStatus, int] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Held:
    """Passages that a run has claimed. token: releases them. owners: each (tenant, collection)."""

    token: str
    passages: Mapping[str, str]
    owners: Mapping[str, tuple[str, str]]


@attrs.frozen
class Rate:
    """The price of a token. day: ISO 8601, UTC. pico: the price, in units of 1/PICO of the
    currency.
    """

    day: str
    model: str
    tier: Use
    tokens_per_character: float
    pico: int
    currency: str


@attrs.frozen
class Cost:
    """The cost of one day by owner, model and tier ("query" for queries). amount: in `currency`.

    tokens: as counted by the provider, else estimated. passages: queries in the tier "query".
    tenant, collection: "" for results that were not needed any more, and for a query in several
    collections.
    """

    day: str
    tenant: str
    collection: str
    model: str
    tier: Use
    passages: int
    tokens: int
    amount: Decimal
    currency: str


def _amount(given: object) -> Decimal | None:
    """The Decimal of a setting such as "5", 5 or 0.5.

    Raises ConfigError for anything else, and for 0 and below.
    """
    if given is None:
        return None
    try:
        amount = Decimal(str(given))
    except ArithmeticError:
        amount = Decimal("NaN")
    if amount.is_finite() and amount > 0:
        return amount
    raise ConfigError(f"budget: soft and hard are numbers above 0, got {given!r}.")


@attrs.frozen
class Budget:
    """The most to spend on embedding, in the currency of the embedder's prices; None for no limit.

    soft: ends a run unless it is forced. hard: ends every run. per: "day" (UTC), "month", or
    "store" for ever.
    """

    soft: Decimal | None = attrs.field(default=None, converter=_amount)
    hard: Decimal | None = attrs.field(default=None, converter=_amount)
    per: Literal["day", "month", "store"] = "day"

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.soft is not None or self.hard is not None

    @classmethod
    def of(cls, given: object) -> Budget:
        """The budget of a setting, which is a table of its fields; None or {} for no limits.

        Raises ConfigError.
        """
        if given is None or isinstance(given, Budget):
            return given or cls()
        fields = [field.name for field in attrs.fields(cls)]
        if not isinstance(given, Mapping) or not set(given) <= set(fields):
            raise ConfigError(f"budget must be a table with {', '.join(fields)}, got {given!r}.")
        if given.get("per", "day") not in ("day", "month", "store"):
            raise ConfigError(f'budget: per is "day", "month" or "store", got {given["per"]!r}.')
        made = cls(**given)
        if made.soft is not None and made.hard is not None and made.soft > made.hard:
            raise ConfigError(
                f"budget: soft must not be above hard, got {made.soft} and {made.hard}."
            )
        return made


def freshness_goals(given: object) -> Mapping[str, Freshness]:
    """The freshness of each collection in a setting; "" is for all others. Raises ConfigError."""
    goals = {"": given} if isinstance(given, str) else given or {}
    if not isinstance(goals, Mapping) or not all(
        isinstance(name, str) and goal in FRESHNESS for name, goal in goals.items()
    ):
        wanted = ", ".join(FRESHNESS)
        raise ConfigError(
            f"freshness must be one of {wanted}, or a table of them by collection, got {given!r}."
        )
    return {"" if name == "*" else name: goal for name, goal in goals.items()}


@attrs.frozen
class Estimate:
    """Tokens, costs and time to embed some passages. amounts: by tier, in `currency`; empty without
    prices.

    seconds: by tier; for batch jobs it is the goal of the provider, not a promise.
    """

    passages: int
    tokens: int
    amounts: Mapping[PriceTier, Decimal] = attrs.field(factory=dict, hash=False)
    currency: str = ""
    seconds: Mapping[PriceTier, float] = attrs.field(factory=dict, hash=False)
