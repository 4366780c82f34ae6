"""Which words of a passage are words of the query: case, accents and common English endings aside.

This marks what a reader looks for; it takes no part in finding. A mark too many or too few changes
no answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

_VOWELS = frozenset("aeiouy")
_COMMON = """a an and are as at be been but by can could did do does for from had has have how i
if in into is it its me my no not of on or our shall should so some such than that the their them
then there these they this those to too us was we were what when where which who whom whose why will
with would you your"""
_STOP_WORDS = frozenset(_COMMON.split())
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts written without spaces between words: there a word is looked for as a string."""


def fold(word: str) -> str:
    """The word without case and accents."""
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return "".join(char for char in spread if not unicodedata.combining(char))


def stem(word: str) -> str:
    """What the forms of an English word share: "repeat" for repeating, repeated, repeats.

    Other words come back folded.
    """
    folded = fold(word)
    return _ending_off(folded) if folded.isascii() and folded.isalpha() else folded


def _ending_off(word: str) -> str:
    if len(word) > 3:
        if word.endswith(("ies", "ied")):
            word = word[:-3] + "y"
        elif word.endswith("es") and word[:-2].endswith(("s", "x", "z", "ch", "sh")):
            word = word[:-2]
        elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
    for ending in ("ing", "ed"):
        left = word.removesuffix(ending)
        if (
            left != word
            and len(left) > 1
            and not left.endswith("e")
            and not _VOWELS.isdisjoint(left)
        ):
            word = left[:-1] if left[-1] == left[-2] and left[-1] not in "lsz" else left
            break
    return word[:-1] if len(word) > 2 and word.endswith("e") else word


def words(text: str) -> Iterator[tuple[int, int]]:
    """Where each word is, as (start, end): letters and digits with the accents that
    belong to them.
    """
    start: int | None = None
    for place, char in enumerate(text):
        if char.isalnum() or (start is not None and unicodedata.category(char)[0] == "M"):
            start = place if start is None else start
        elif start is not None:
            yield start, place
            start = None
    if start is not None:
        yield start, len(text)


def wanted(query: str) -> frozenset[str]:
    """The stems worth marking.

    Words such as "how" and "to" count only in a query that has no others.
    """
    found = [query[start:end] for start, end in words(query)]
    telling = [word for word in found if fold(word) not in _STOP_WORDS]
    return frozenset(stem(word) for word in telling or found)


def matches(stems: Iterable[str], text: str) -> list[tuple[int, int]]:
    """Where the text holds a word of these stems, as (start, end), in order, without overlap."""
    plain = frozenset(stems)
    unspaced = [word for word in plain if _UNSPACED.search(word)]
    found = []
    for start, end in words(text):
        word = text[start:end]
        if stem(word) in plain:
            found.append((start, end))
        elif unspaced and _UNSPACED.search(word):
            found += [(start + at, start + at + length) for at, length in _inside(unspaced, word)]
    return found


def _inside(wanted_words: Iterable[str], word: str) -> Iterator[tuple[int, int]]:
    """Places of the wanted words in an unspaced run, longest first, without overlap:
    (offset, length).
    """
    pattern = "|".join(re.escape(each) for each in sorted(wanted_words, key=len, reverse=True))
    for match in re.finditer(pattern, word.casefold()):
        if match.end() <= len(word):
            yield match.start(), match.end() - match.start()
