"""`Meter`: an embedder counts with it what its calls cost, and the caller reads that.

Tested by tests/kernel/test_costs.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs


@attrs.define
class Spent:
    """What was paid for within a block of `Meter.metered`, as counted by the provider."""

    passages: int = 0
    tokens: int = 0


class Meter:
    """Counts what is paid for, by thread. An embedder that is `protocols.Metered` has one.

    The embedder calls `paid` in the thread of its caller as soon as it knows what an answer cost,
    also of one that cannot be used; its method ``metered`` is that of its meter.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def paid(self, passages: int, tokens: int) -> None:
        """Count passages that were paid for (a query is one), and their tokens all together."""
        for spent in self._blocks():
            spent.passages += passages
            spent.tokens += tokens

    @contextmanager
    def metered(self) -> Iterator[Spent]:
        """What is paid for in this thread until the end of the block. It grows meanwhile.

        Nested blocks each count everything.
        """
        spent = Spent()
        self._blocks().append(spent)
        try:
            yield spent
        finally:
            self._local.blocks = [each for each in self._blocks() if each is not spent]

    def _blocks(self) -> list[Spent]:
        if not hasattr(self._local, "blocks"):
            self._local.blocks = []
        blocks: list[Spent] = self._local.blocks
        return blocks
