"""How `MemoryStore` compares words: whether they stand one after the other, and how many edits are
between two of them. Written to be obviously correct.

Tested by tests/memory/test_wordwise.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from semantic_core._validation import Value


def stand_together(words: Sequence[str], wanted: Sequence[str], *, prefix: bool) -> bool:
    """Whether the wanted words stand one after the other among these. prefix: the last one need
    only begin so. No words stand nowhere.
    """
    if not wanted:
        return False
    for start in range(len(words) - len(wanted) + 1):
        found = words[start : start + len(wanted)]
        last = found[-1].startswith(wanted[-1]) if prefix else found[-1] == wanted[-1]
        if last and list(found[:-1]) == list(wanted[:-1]):
            return True
    return False


def each_is_there(words: Iterable[str], wanted: Sequence[str], *, prefix: bool) -> bool:
    """Whether each of the wanted words is somewhere among these. prefix: of the last one, at least
    a word that begins so.
    """
    there = set(words)
    whole = wanted[:-1] if prefix else wanted
    if not there.issuperset(whole):
        return False
    return not prefix or any(word.startswith(wanted[-1]) for word in there)


def as_written(value: Value) -> list[str]:
    """The texts of a metadata value: of a list, each item."""
    if isinstance(value, tuple):
        return list(value)
    return [value if isinstance(value, str) else str(value).lower()]


def edits(one: str, other: str) -> int:
    """The number of edits that make one word of the other: a letter inserted, deleted or replaced,
    or two neighbours swapped.

    Optimal string alignment: no part is edited twice. Source: Boytsov, "Indexing methods for
    approximate dictionary searching" (2011), section 2.1.
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        row = [place]
        for column, wanted in enumerate(other, start=1):
            replaced = last[column - 1] + (letter != wanted)
            least = min(replaced, last[column] + 1, row[column - 1] + 1)
            swapped = place > 1 and column > 1
            if swapped and letter == other[column - 2] and one[place - 2] == wanted:
                least = min(least, before[column - 2] + 1)
            row.append(least)
        before = last
        last = row
    return last[-1]


def most_frequent(counts: Counter[str], limit: int) -> list[tuple[str, int]]:
    """The first `limit` of these words, the most frequent first, then by code point."""

    def first(pair: tuple[str, int]) -> tuple[int, str]:
        word, count = pair
        return (-count, word)

    return sorted(counts.items(), key=first)[: max(0, limit)]
