"""The part of a long passage that is worth a reader's few lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_MOST_MARKS = 200
"""Marks looked at when the best part of a passage is chosen;
a passage with more shows them anywhere.
"""

Span = tuple[int, int]
"""Start and end in a text."""


def excerpt(text: str, marks: Sequence[Span], room: int) -> tuple[str, list[Span]]:
    """At most `room` characters of the text, where it holds the most different marked words;
    "…" where it was cut.

    marks: (start, end) in the text, in order. Returns the piece and the marks in it.
    """
    if len(text) <= room:
        return text, list(marks)
    start = _best_start(text, marks[:_MOST_MARKS], room)
    end = min(len(text), start + room)
    if end < len(text) and not text[end].isspace():
        end = max(text.rfind(" ", start + room // 2, end), 0) or end
    head, tail = "…" * (start > 0), "…" * (end < len(text))
    body, shift = text[start:end].rstrip(), len(head) - start
    kept = [(a + shift, b + shift) for a, b in marks if a >= start and b <= start + len(body)]
    return head + body + tail, kept


def _best_start(text: str, marks: Sequence[Span], room: int) -> int:
    """Where to begin: at a sentence, else a word, shortly before the mark with the most different
    marks behind it.
    """
    best, value = 0, (0, 0)
    for first, _ in marks:
        begin = max(0, min(first - room // 5, len(text) - room))
        within = [text[a:b].casefold() for a, b in marks if a >= begin and b <= begin + room]
        if (len(set(within)), len(within)) > value:
            best, value = begin, (len(set(within)), len(within))
    if best == 0:
        return 0
    limit = next((a for a, _ in marks if a >= best), best + room // 5)
    sentence = _SENTENCE.search(text, best, limit + 1)
    if sentence and sentence.end() <= limit:
        return sentence.end()
    word = text.find(" ", best, limit)
    return word + 1 if word >= 0 else best
