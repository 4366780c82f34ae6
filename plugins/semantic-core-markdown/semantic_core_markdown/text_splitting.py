"""Where to cut a text that is too long for one chunk.

Tested by tests/test_cuts.py.
"""

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
"""Most characters by which a cut moves back to keep a displayed character together."""
_JOINER = "\u200d"


def trimmed(text: str, start: int, end: int) -> int:
    """The end of text[start:end] without trailing white space; `start` if it is blank."""
    return start + len(text[start:end].rstrip())


def first_line(text: str, start: int, end: int) -> int:
    """Where the first line that is not blank begins, from `start` on.

    `start` itself if that is within this line.
    """
    if start < end and not text[start].isspace():
        return start
    visible = _VISIBLE.search(text, start, end)
    before = visible.start() if visible else end
    return max(start, text.rfind("\n", start, before) + 1, text.rfind("\r", start, before) + 1)


def cut(text: str, start: int, end: int, limit: int, *, prose: bool) -> Iterator[tuple[int, int]]:
    """Spans (start, end) of at most `limit` characters that cover text[start:end], in order.

    They leave out only white space, and are about equally long, so that the last one is not tiny.
    prose: cut after a sentence, else between words. Otherwise cut at blank lines, else at line
    ends, and include the indent of a line. Without any of these, cut anywhere.
    """
    patterns = (_SENTENCE, _WORD) if prose else (_BLANK_LINE, _LINE, _WORD)
    end = trimmed(text, start, end)
    while True:
        visible = _VISIBLE.search(text, start, end)
        if not visible:
            return
        begin = visible.start() if prose else first_line(text, start, end)
        left = end - begin
        if left <= limit:
            yield begin, end
            return
        count = _ceil_div(left, limit)
        start = _place(text, begin, _ceil_div(left, count), limit, patterns)
        stop = trimmed(text, begin, start)
        if stop > begin:
            yield begin, stop


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _place(
    text: str, start: int, share: int, limit: int, patterns: tuple[re.Pattern[str], ...]
) -> int:
    """Where the piece that begins at `start` ends, at best about `share` characters later.

    It ends after a match of the first pattern that is found in a suitable place.
    """
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
        later = pattern.search(text, high, most) if high < most else None
        if later and later.end() > start:
            return later.end()
    # There is only an early one; what follows it is as long as a piece by itself.
    for pattern in patterns[1:]:
        at = 0
        for found in pattern.finditer(text, start + 1, low):
            at = found.end()
        if at:
            return at
    return _between_characters(text, start, start + share)


def _between_characters(text: str, start: int, at: int) -> int:
    """The last place up to `at`, but after `start`, between two displayed characters.

    `at` itself if there is none nearby.
    """
    for place in range(at, max(start, at - _CLUSTER), -1):
        if not _is_joined(text, start, place):
            return place
    return at


def _is_joined(text: str, start: int, place: int) -> bool:
    """Whether the characters before and after a place are displayed as one."""
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
