"""Usage: texts and tokens counted as the service bills them.

Tested by tests/remote/test_usage.py and plugins/semantic-core-gemini/tests/test_jobs.py.
"""

from __future__ import annotations

from threading import Lock

import attrs

from semantic_core._jobs import PriceTier
from semantic_core._metering import Meter as Blocks
from semantic_core.remote.prices import Price


@attrs.frozen
class Usage:
    """What one embedder has used since it was created.

    requests: calls that were answered with vectors. texts, tokens: in these calls; tokens are
    counted by the service, or estimated if it did not report them. lost_texts: texts in calls
    without an answer; they may be billed as well. job_texts, job_tokens: results of batch jobs that
    were read; tokens are 0 if the service did not report them. A job that is read twice counts
    twice.
    """

    requests: int = 0
    texts: int = 0
    tokens: int = 0
    lost_texts: int = 0
    job_texts: int = 0
    job_tokens: int = 0

    def cost(self, price: Price) -> dict[PriceTier, str]:
        """The cost at this price, per tier, as text with six decimals."""
        return {
            "interactive": f"{price.of(self.tokens):.6f}",
            "batch": f"{price.of(self.job_tokens, 'batch'):.6f}",
        }


class UsageMeter:
    """Adds up usage. Safe to use from several threads.

    blocks: meters of the ``with`` blocks that want to know their own usage.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._usage = Usage()
        self.blocks = Blocks()

    def add(self, **amounts: int) -> None:
        """Add these amounts to the fields of `Usage` with these names."""
        with self._lock:
            sums = {name: getattr(self._usage, name) + amount for name, amount in amounts.items()}
            self._usage = attrs.evolve(self._usage, **sums)
        texts = amounts.get("texts", 0) + amounts.get("job_texts", 0)
        tokens = amounts.get("tokens", 0) + amounts.get("job_tokens", 0)
        if texts or tokens:
            self.blocks.paid(texts, tokens)

    def read(self) -> Usage:
        """The usage up to now."""
        with self._lock:
            return self._usage
