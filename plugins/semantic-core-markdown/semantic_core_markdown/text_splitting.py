"""Where a text that is too long for one chunk is cut."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_SENTENCE = re.compile(
    r"(?<=[.!?…])[\"'”’»)\]*_`]*\s+"  # the end of a sentence, with what closes behind it
    r"|(?<=[。！？])[」』”’）]*"
    r"|(?<=\n)[ \t>]*\r?\n"  # a blank line, in a quote too
)
_WORD = re.compile(r"\s+|(?<=[，、；：\u200b])")
_BLANK_LINE = re.compile(r"(?:(?<=\n)|(?<=\r)(?!\n))[ \t]*(?:\r\n?|\n)")
_LINE = re.compile(r"\r\n?|\n")
_VISIBLE = re.compile(r"\S")
_CLUSTER = 32
"""How far a cut goes back, at most, to keep together what is drawn as one character."""
_JOINER = "\u200d"


def trimmed(text: str, start: int, end: int) -> int:
    """The end of text[start:end] without the white space behind it;
    `start` if there is nothing else.
    """
    return start + len(text[start:end].rstrip())


def first_line(text: str, start: int, end: int) -> int:
    """Where, from `start` on, the first line begins that is not blank; within a line,
    `start` itself.
    """
    if start < end and not text[start].isspace():
        return start
    visible = _VISIBLE.search(text, start, end)
    before = visible.start() if visible else end
    return max(start, text.rfind("\n", start, before) + 1, text.rfind("\r", start, before) + 1)


def cut(text: str, start: int, end: int, limit: int, *, prose: bool) -> Iterator[tuple[int, int]]:
    """Spans (start, end) of at most `limit` characters that cover text[start:end] but for white
    space, in order.

    Pieces come out about equally long, so that no crumb is left at the end. prose: cut behind a
    sentence, else between words; otherwise at blank lines, else at line ends, and the indent of a
    line is kept. Anywhere if there is none.
    """
    end = trimmed(text, start, end)
    while visible := _VISIBLE.search(text, start, end):
        begin = visible.start() if prose else first_line(text, start, end)
        left = end - begin
        if left <= limit:
            yield begin, end
            return
        share = -(-left // -(-left // limit))
        start = _place(
            text, begin, share, limit, (_SENTENCE, _WORD) if prose else (_BLANK_LINE, _LINE, _WORD)
        )
        stop = trimmed(text, begin, start)
        if stop > begin:
            yield begin, stop


def _place(
    text: str, start: int, share: int, limit: int, patterns: tuple[re.Pattern[str], ...]
) -> int:
    """Where the piece that begins at `start` ends: behind the first of the patterns that is there,
    at best about `share` characters on."""
    low = start + share // 2
    high = start + share + limit // 8
    most = start + limit
    high = min(high, most)
    for pattern in patterns:
        at = 0
        for found in pattern.finditer(text, low, high):
            at = found.end()
        if at > start:
            return at
        if (
            high < most
            and (found_later := pattern.search(text, high, most))
            and found_later.end() > start
        ):
            return found_later.end()
    # Only an early one: what follows it is as long as a piece by itself.
    for pattern in patterns[1:]:
        at = 0
        for found in pattern.finditer(text, start + 1, low):
            at = found.end()
        if at:
            return at
    return _between_characters(text, start, start + share)


def _between_characters(text: str, start: int, at: int) -> int:
    """The last place up to `at`, but behind `start`, that parts nothing drawn as one;
    `at` itself if there is none near.
    """
    for place in range(at, max(start, at - _CLUSTER), -1):
        if not _is_joined(text, start, place):
            return place
    return at


def _is_joined(text: str, start: int, place: int) -> bool:
    before = text[place - 1]
    after = text[place]
    if before == _JOINER or after == _JOINER or before + after == "\r\n":
        return True
    if _is_flag_half(before) and _is_flag_half(after):
        first = place
        while first > start and _is_flag_half(text[first - 1]):
            first -= 1
        return (place - first) % 2 == 1
    return (
        unicodedata.category(after).startswith("M")
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= after <= "\U000e007f"  # tags, as in the flag of Scotland
        or "\u1160" <= after <= "\u11ff"  # vowels and finals of decomposed Hangul
    )


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
