"""Tokens without a tokenizer: how many a text has, about; texts put together into calls;
texts cut to what a model reads.

The service does not publish the tokenizer of its embedding models as something small. So tokens are
estimated by kind of character, and where money is at stake the estimate is set right by the
service's own count of a sample: see `GeminiEmbedder.estimate`. Without that count it is right
within a fifth or so for prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from random import Random
from typing import Final

LATIN_WORD: Final = 7
"""Letters of a common Latin word that is one token; of a longer one, `LATIN_PIECE` letters are."""
LATIN_PIECE: Final = 4.5
OTHER_PIECE: Final = 2.6
"""Letters to a token in words of other alphabets."""
DENSE: Final = 0.8
"""Tokens to a character where there are no spaces between words: Chinese, Japanese, Korean."""
MOST_CHARS_A_TOKEN: Final = 16
"""On average, in any text worth embedding; what comes after so many is not looked at,
however long a text is.
"""
SURE: Final = 0.9
"""Part of a model's limit a text is cut to, since the estimate is one."""

_DENSE = (
    "\u1100-\u11ff\u2e80-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_LATIN = "A-Za-z\u00c0-\u024f"
_PIECES = re.compile(
    rf"([{_LATIN}]+)|([{_DENSE}])|(\d)|([^\W\d_{_LATIN}{_DENSE}]+)|(\n+)|([^\w\s]|_)"
)


def estimated(text: str) -> int:
    """How many tokens a text has, about; at least 1."""
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
    """The text, or as much of its beginning as surely has at most `most` tokens.

    Cut between characters.
    """
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
        low, high = (middle, high) if estimated(text[:middle]) <= room else (low, middle - 1)
    return text[: max(1, low)]


def packed(costs: Sequence[int], most_items: int, most_tokens: int) -> Iterator[range]:
    """Runs of consecutive places, each of at most so many items and tokens;
    one that is over alone goes alone.
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


# How many tokens many texts have, told from all of them about, and from a few of them exactly.

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
