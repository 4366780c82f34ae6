"""Token estimates without a tokenizer, and what depends on them: packing calls, cutting texts.

The service does not publish a small tokenizer for its embedding models. So tokens are estimated by
kind of character; for prose the error is about a fifth. Where money matters, the service counts the
tokens of a sample to correct the estimate: see `GeminiEmbedder.estimate`.

Tested by tests/test_estimate.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from random import Random
from typing import Final

LATIN_WORD: Final = 7
"""Most letters of a word in Latin script that counts as one token."""
LATIN_PIECE: Final = 4.5
"""Letters per token in a longer one."""
OTHER_PIECE: Final = 2.6
"""Letters per token in words of other alphabets."""
DENSE: Final = 0.8
"""Tokens per character in scripts without spaces: Chinese, Japanese, Korean."""
MOST_CHARS_A_TOKEN: Final = 16
"""Most characters per token, on average; a text is cut to this before its tokens are estimated."""
SURE: Final = 0.9
"""The share of a model's limit that a text is cut to, because tokens are only estimated."""

_DENSE = (
    "\u1100-\u11ff\u2e80-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_LATIN = "A-Za-z\u00c0-\u024f"
_PIECES = re.compile(
    rf"([{_LATIN}]+)|([{_DENSE}])|(\d)|([^\W\d_{_LATIN}{_DENSE}]+)|(\n+)|([^\w\s]|_)"
)


def estimated(text: str) -> int:
    """The estimated number of tokens of a text, at least 1."""
    total = 0.0
    for latin, dense, digit, other, lines, mark in _PIECES.findall(text):
        if latin:
            total += 1 if len(latin) <= LATIN_WORD else len(latin) / LATIN_PIECE
        elif other:
            total += max(1.0, len(other) / OTHER_PIECE)
        elif dense:
            total += DENSE
        elif mark:
            total += 1 if mark < "\u2600" else 2
        else:
            total += bool(digit or lines)
    return max(1, round(total))


def shortened(text: str, most: int) -> str:
    """The text, or as much of its beginning as has at most `most` tokens."""
    if len(text.encode()) <= most:  # no token is shorter than a byte
        return text
    text = text[: most * MOST_CHARS_A_TOKEN]
    room = int(most * SURE)
    if estimated(text) <= room:
        return text
    low = 0
    high = len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if estimated(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[: max(1, low)]


def packed(costs: Sequence[int], most_items: int, most_tokens: int) -> Iterator[range]:
    """Split consecutive items into ranges of at most `most_items` items and `most_tokens` tokens.

    costs: tokens of each item. An item with more tokens is in a range of its own.
    """
    start = 0
    total = 0
    for place, cost in enumerate(costs):
        if place > start and (place - start >= most_items or total + cost > most_tokens):
            yield range(start, place)
            start = place
            total = 0
        total += cost
    if costs:
        yield range(start, len(costs))


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
        self._total += estimated(text)
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
        return round(self._total * counted / sum(map(estimated, self.texts)))
