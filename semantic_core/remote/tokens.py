"""`TokenRule`: token estimates without a tokenizer, and what depends on them: packing calls,
cutting texts.

Most services publish no small tokenizer for their embedding models. So tokens are estimated by kind
of character; for prose the error is about a fifth.

Tested by tests/remote/test_tokens.py and plugins/semantic-core-gemini/tests/test_estimate.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

MOST_CHARS_A_TOKEN: Final = 16
"""Most characters per token, on average; a text is cut to this before its tokens are estimated."""

_DENSE = (
    "\u1100-\u11ff\u2e80-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_PICTURES = "\u2600"
"""From here on a mark counts as two tokens."""
_LATIN = "A-Za-z\u00c0-\u024f"
_PIECES = re.compile(
    rf"([{_LATIN}]+)|([{_DENSE}])|(\d)|([^\W\d_{_LATIN}{_DENSE}]+)|(\n+)|([^\w\s]|_)"
)


@attrs.frozen
class TokenRule:
    """How many tokens of one tokenizer a text has, estimated by kind of character.

    latin_word: most letters of a word in Latin script that counts as one token. latin_piece:
    letters per token in a longer one. other_piece: letters per token in words of other alphabets.
    dense: tokens per character in scripts without spaces: Chinese, Japanese, Korean. digit: tokens
    per digit. sure: the share of a model's limit that a text is cut to, because tokens are only
    estimated.
    """

    latin_word: float
    latin_piece: float
    other_piece: float
    dense: float
    digit: float = 1.0
    sure: float = 0.9

    def tokens(self, text: str) -> int:
        """The estimated number of tokens of a text, at least 1."""
        total = 0.0
        for latin, dense, digit, other, lines, mark in _PIECES.findall(text):
            if latin:
                total += 1 if len(latin) <= self.latin_word else len(latin) / self.latin_piece
            elif other:
                total += max(1.0, len(other) / self.other_piece)
            elif dense:
                total += self.dense
            elif mark:
                total += 1 if mark < _PICTURES else 2
            elif digit:
                total += self.digit
            else:
                total += bool(lines)
        return max(1, round(total))

    def shortened(self, text: str, most: int) -> str:
        """The text, or as much of its beginning as has at most `most` tokens."""
        if len(text.encode()) <= most:  # no token is shorter than a byte
            return text
        text = text[: most * MOST_CHARS_A_TOKEN]
        room = int(most * self.sure)
        if self.tokens(text) <= room:
            return text
        low = 0
        high = len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.tokens(text[:middle]) <= room:
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
