"""The estimate of Gemini's tokens, and its correction by a sample that the service counts.

The service does not publish a small tokenizer for its embedding models, so tokens are estimated by
kind of character. Where money matters, the service counts the tokens of a sample: see
`GeminiEmbedder.estimate`.

Tested by tests/test_estimate.py.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Final

from semantic_core.remote import TokenRule

RULE: Final = TokenRule(latin_word=7, latin_piece=4.5, other_piece=2.6, dense=0.8)
"""Tokens of the models' tokenizer, fitted to what the service counts."""

TEXTS: Final = 100
"""Most texts in a sample."""
CHARS: Final = 200_000
"""Most characters in a sample, to limit the size of the call."""


class Sample:
    """Estimates the tokens of many texts from all of them and a random sample.

    Equal texts count once. 8 bytes are remembered of each text.
    """

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._chosen: list[str] = []
        self._chance = Random(0)  # noqa: S311 - a fair choice, the same each time
        self._total = 0

    @property
    def count(self) -> int:
        """The number of different texts."""
        return len(self._seen)

    @property
    def texts(self) -> list[str]:
        """A random sample of at most `TEXTS` texts and `CHARS` characters.

        The first text is included whatever its length.
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
        """Add a text."""
        digest = blake2b(text.encode(), digest_size=8).digest()
        if digest in self._seen:
            return
        self._seen.add(digest)
        self._total += RULE.tokens(text)
        if len(self._chosen) < TEXTS:
            self._chosen.append(text)
            return
        place = self._chance.randrange(len(self._seen))
        if place < TEXTS:
            self._chosen[place] = text

    def tokens(self, counted: int | None) -> int:
        """The estimated tokens of all texts.

        counted: the exact number of tokens of `texts`, to correct the estimate; None if unknown.
        """
        if counted is None:
            return self._total
        return round(self._total * counted / sum(map(RULE.tokens, self.texts)))
