"""What was used: counted as it is paid for, so that it can be laid beside the bill."""

from __future__ import annotations

from threading import Lock

import attrs

from semantic_core.batch import Meter as Blocks
from semantic_core_gemini.pricing import Price, PriceTier


@attrs.frozen
class Usage:
    """What one embedder used since it was made.

    requests: calls that were answered with vectors. texts, tokens: in them; tokens as the service
    counted, or estimated where it did not say. lost_texts: sent in calls whose answer never came;
    they may be on the bill, too.
    job_texts, job_tokens: results of batch jobs that were read; tokens as the service counted, 0
    where it did not say. A job read twice counts twice.
    """

    requests: int = 0
    texts: int = 0
    tokens: int = 0
    lost_texts: int = 0
    job_texts: int = 0
    job_tokens: int = 0

    def cost(self, price: Price) -> dict[PriceTier, str]:
        """What it costs at that price, per tier, as text with six decimals."""
        return {
            "interactive": f"{price.of(self.tokens):.6f}",
            "batch": f"{price.of(self.job_tokens, 'batch'):.6f}",
        }


class UsageMeter:
    """Adds up. Safe to use from several threads. blocks: of the calls that want to know what they
    cost.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._usage = Usage()
        self.blocks = Blocks()

    def add(self, **amounts: int) -> None:
        """Add to the fields of that name."""
        with self._lock:
            sums = {name: getattr(self._usage, name) + amount for name, amount in amounts.items()}
            self._usage = attrs.evolve(self._usage, **sums)
        paid = [
            amounts.get(name, 0) + amounts.get(f"job_{name}", 0) for name in ("texts", "tokens")
        ]
        if any(paid):
            self.blocks.paid(*paid)

    def read(self) -> Usage:
        """What was used up to now."""
        with self._lock:
            return self._usage
