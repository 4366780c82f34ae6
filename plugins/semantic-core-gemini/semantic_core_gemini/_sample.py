"""How many tokens many texts have, told from all of them about, and from a few of them exactly."""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Final

from semantic_core_gemini._tokens import estimated

TEXTS: Final = 100
"""Texts the service counts to set an estimate right."""
CHARS: Final = 200_000
"""Most characters of them together, to keep that call small."""


class Sample:
    """Texts seen one by one; equal ones count once. count: how many there were.

    Of each, 8 bytes are remembered.
    """

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._chosen: list[str] = []
        self._chance = Random(0)  # noqa: S311 - a fair choice, the same each time
        self._total = 0

    @property
    def count(self) -> int:
        """How many different texts there were."""
        return len(self._seen)

    @property
    def texts(self) -> list[str]:
        """Some of them, each with the same chance; at most `TEXTS` and,
        but for the first, `CHARS`.
        """
        chars = 0
        chosen: list[str] = []
        for text in self._chosen:
            chars += len(text)
            if chosen and chars > CHARS:
                break
            chosen.append(text)
        return chosen

    def add(self, text: str) -> None:
        """See one more."""
        digest = blake2b(text.encode(), digest_size=8).digest()
        if digest in self._seen:
            return
        self._seen.add(digest)
        self._total += estimated(text)
        if len(self._chosen) < TEXTS:
            self._chosen.append(text)
        elif (place := self._chance.randrange(len(self._seen))) < TEXTS:
            self._chosen[place] = text

    def tokens(self, counted: int | None) -> int:
        """Tokens of all of them. counted: those `texts` really have, which sets the whole right;
        None if nobody knows.
        """
        if counted is None:
            return self._total
        return round(self._total * counted / sum(map(estimated, self.texts)))
