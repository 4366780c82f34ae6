"""The records of batch jobs, of the queue and of money: frozen,
and re-exported by `semantic_core.batch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import attrs

from semantic_core.errors import ConfigError

JobStatus = Literal["CREATED", "SUBMITTED", "PROCESSING", "COMPLETED", "FAILED"]
OPEN: tuple[JobStatus, ...] = ("CREATED", "SUBMITTED", "PROCESSING")
"""Statuses of jobs that hold passages."""
STATUSES: tuple[JobStatus, ...] = (*OPEN, "COMPLETED", "FAILED")

ChunkStatus = Literal["READY", "PENDING", "SUBMITTED", "FAILED"]
Rest = Literal["free", "again", "halve", "fail"]
"""What becomes of the passages a job still holds when it ends, see `BatchQueue.close_job`."""
PriceTier = Literal["interactive", "batch"]
Use = Literal["interactive", "batch", "query"]
"""What is paid for, as the ledger tells it: passages in either tier, and queries, at the
interactive price.
"""
Freshness = Literal["now", "1h", "24h"]
FRESHNESS: Mapping[Freshness, float] = {"now": 0.0, "1h": 3_600.0, "24h": 86_400.0}
"""How long a text may wait for its vector, in seconds, by goal."""

LONGEST_HOLD = 7_200.0
"""Seconds: a hold or a lease that would end later than so long from now was made by a clock that
was wrong, and counts as ended.
"""
PICO = 10**12
"""Parts of one unit of currency the ledger counts in,
so that what a token costs is a whole number.
"""


@attrs.frozen
class JobState:
    """Where a job is, as its provider tells.

    status: SUBMITTED, PROCESSING, COMPLETED (all that succeeded can be read) or FAILED (failed,
    cancelled or expired).
    told: the provider's own word for it; of one that took too long it ends with "expired". reason:
    why it failed; "" if it did not, or if nobody said. sent, succeeded, failed: passages, None
    where it does not tell. has_results: whether anything can be read, of a FAILED job too.
    name: what it was submitted under, "" where it does not tell.
    """

    status: Literal["SUBMITTED", "PROCESSING", "COMPLETED", "FAILED"]
    told: str = ""
    reason: str = ""
    sent: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    has_results: bool = False
    name: str = ""

    @property
    def expired(self) -> bool:
        """Whether it failed for lack of time: nothing is wrong with its passages."""
        return self.status == "FAILED" and self.told.lower().endswith("expired")


@attrs.frozen
class BatchJob:
    """A job in the ledger of the store.

    Times are seconds since 1970, 0.0 while it has not happened.

    id: UUID, ours. name: what the provider is told it is called, the same after a crash.
    provider_job: its name there, "" until that is known. sent: different passages in it. succeeded,
    failed: of these, so far; the rest of a job that has ended waits again. characters, tokens: of
    all its passages; tokens are an estimate, 0 without prices. error: what went wrong last, "" if
    nothing did. tries: attempts to submit it. answered_at: since when its results are to be had, or
    its provider does not know it. owner, leased_until: who is submitting it. cleaned: whether there
    is nothing of it to be removed at the provider any more. account: what it was submitted with,
    see `BatchEmbedder`. paid, paid_tokens: what the ledger of costs has of it.
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
        """Passages it still holds, 0 once it has ended."""
        return self.sent - self.succeeded - self.failed if self.status in OPEN else 0


@attrs.frozen
class QueueStats:
    """Chunks by state, and jobs by status. jobs: every status, 0 included.

    ready: with a vector. submitted: held by a job, or being embedded just now. failed: given up
    until `retry`.
    pending: the others; of these, passages: different ones, oldest_at: since when the oldest waits,
    0.0 if none does.
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
    """Passages taken out of the queue for a while. token: gives them back. owners: whose each is,
    (tenant, collection).
    """

    token: str
    passages: Mapping[str, str]
    owners: Mapping[str, tuple[str, str]]


@attrs.frozen
class Rate:
    """What the results of a job cost. day: ISO 8601, UTC.
    pico: PICO parts of the currency a token costs.
    """

    day: str
    model: str
    tier: Use
    tokens_per_character: float
    pico: int
    currency: str


@attrs.frozen
class Cost:
    """What was paid on one day: for whose texts or queries, for which model, in which tier
    ("query" for queries). amount: in `currency`.

    tokens: as the provider counted, else by estimate. passages: queries in the tier "query".
    tenant, collection: "" of what nobody has anything of, and of a query in several collections.
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
    """A Decimal of what a person writes: "5", 5, 0.5.

    Raises ConfigError for anything else, and for 0 and below.
    """
    if given is None:
        return None
    if isinstance(given, str | int | float | Decimal) and not isinstance(given, bool):
        try:
            amount = Decimal(str(given))
        except ArithmeticError:
            amount = Decimal("NaN")
        if amount.is_finite() and amount > 0:
            return amount
    raise ConfigError(f"budget: soft and hard are numbers above 0, got {given!r}.")


@attrs.frozen
class Budget:
    """What may be spent on embedding, in the currency of the embedder's prices;
    None for any amount.

    soft: ends a run unless it is forced. hard: ends every run. per: "day" (UTC), "month", or
    "store" for ever.
    """

    soft: Decimal | None = attrs.field(default=None, converter=_amount)
    hard: Decimal | None = attrs.field(default=None, converter=_amount)
    per: Literal["day", "month", "store"] = "day"

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.soft is not None or self.hard is not None

    @classmethod
    def of(cls, given: object) -> Budget:
        """A Budget of what settings say: its fields as a table; None or {} for none.

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
    """Goals by collection, of what settings say; "" is that of all others. Raises ConfigError."""
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
    """What embedding some passages takes. amounts: by tier, in `currency`;
    empty where nothing has a price.

    seconds: by tier; the batch tier's is the goal of its provider, not a promise.
    """

    passages: int
    tokens: int
    amounts: Mapping[PriceTier, Decimal] = attrs.field(factory=dict, hash=False)
    currency: str = ""
    seconds: Mapping[PriceTier, float] = attrs.field(factory=dict, hash=False)
