"""What answers cost, told while they come: what an embedder counts with, and a ledger reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs


@attrs.define
class Spent:
    """What was paid for within a block of `Meter.metered`, as the provider counted."""

    passages: int = 0
    tokens: int = 0


class Meter:
    """Counts what is paid for, by thread. An embedder that is `protocols.Metered` has one.

    It calls `paid` in the thread it was called in, as soon as it knows what an answer cost, of use
    or not; its own ``metered`` is that of its meter.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def paid(self, passages: int, tokens: int) -> None:
        """So many passages (a query is one) were paid for, of so many tokens all together."""
        for spent in self._blocks():
            spent.passages += passages
            spent.tokens += tokens

    @contextmanager
    def metered(self) -> Iterator[Spent]:
        """What is paid for in this thread, from here to the end of the block; it grows meanwhile.

        Blocks within each other each have all of it.
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
