"""Marked text and snippets: pure functions from a text and the places of matches in it.

Marked text is escaped for HTML unless it is asked for without, so that a document cannot bring a
tag into a page.

Tested by tests/kernel/test_highlights.py.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from html import escape as html_escape

Span = tuple[int, int]
"""Start and end of a match in a text, in characters."""

BEFORE = "<mark>"
"""What stands before a match in HTML."""
AFTER = "</mark>"
"""What stands after a match in HTML."""
SNIPPET = 240
"""Most characters of a snippet, without marks: about two lines of a page."""
FRAGMENTS = 2
"""Most pieces of a snippet."""
ELLIPSIS = "…"

_SPACES = re.compile(r"\s+")
_LEAD = 0.25
"""Part of a piece that stands before its first match, at most."""
_SNAP = 24
"""Most characters that an end of a piece moves so that it does not cut a word."""
_JOINER = "\u200d"
_MODIFIERS = ("\U0001f3fb", "\U0001f3ff")
_TAGS = ("\U000e0020", "\U000e007f")
_INDICATORS = ("\U0001f1e6", "\U0001f1ff")
_JAMO_FIRST = ("\u1100", "\u115f")
_JAMO_FOLLOWING = ("\u1160", "\u11ff")


class SafeText(str):
    """Text that is HTML already: templates of Django, Jinja and others do not escape it again."""

    __slots__ = ()

    def __html__(self) -> str:
        """The text itself, for templates."""
        return str(self)


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans in order, those that overlap or touch as one; empty ones left out."""
    kept: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if kept and start <= kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]))
        else:
            kept.append((start, end))
    return tuple(kept)


def marked(
    text: str,
    spans: Iterable[Span],
    *,
    before: str = BEFORE,
    after: str = AFTER,
    escape: bool = True,
) -> str:
    """The text with each span between `before` and `after`, which are inserted as they are.

    escape: whether the text is escaped for HTML; the result is then a `SafeText`.
    """
    answer = "".join(_pieces(text, 0, len(text), merged(spans), (before, after), escape=escape))
    return SafeText(answer) if escape else answer


def snippet(
    text: str,
    spans: Iterable[Span],
    *,
    max_chars: int = SNIPPET,
    fragments: int = FRAGMENTS,
    before: str = BEFORE,
    after: str = AFTER,
    escape: bool = True,
) -> str:
    """The best pieces of a text, marked, on one line: those with the most different matches.

    "…" stands where text is left out. Without matches it is the beginning of the text. max_chars:
    of all pieces together, marks and "…" not counted. fragments: the most pieces. escape: as for
    `marked`.
    """
    wanted = merged(spans)
    parts = []
    end = 0
    for start, end in fragments_of(text, wanted, max_chars=max_chars, fragments=fragments):
        inside = merged((max(first, start), min(last, end)) for first, last in wanted)
        pieces = _pieces(text, start, end, inside, (before, after), escape=escape, one_line=True)
        piece = "".join(pieces).strip()
        parts.append(f"{ELLIPSIS} {piece}" if text[:start].strip() else piece)
    if text[end:].strip():
        parts.append(ELLIPSIS)
    answer = " ".join(parts)
    return SafeText(answer) if escape else answer


def fragments_of(
    text: str, spans: Sequence[Span], *, max_chars: int = SNIPPET, fragments: int = FRAGMENTS
) -> tuple[Span, ...]:
    """The places of the pieces of a snippet, in order; see `snippet`. spans: as from `merged`."""
    if len(text) <= max_chars:
        return ((0, len(text)),) if text else ()
    if not spans:
        return ((0, _end(text, 1, max_chars)),)
    one = [_best(text, spans, max_chars, frozenset(), ())]
    several: list[Span] = []
    seen: frozenset[str] = frozenset()
    for _ in range(fragments):
        piece = _best(text, spans, max_chars // fragments, seen, several)
        added = _found(text, spans, piece) - seen
        if not added:
            break
        several.append(piece)
        seen |= added
    chosen = several if len(seen) > len(_found(text, spans, one[0])) else one
    return merged(chosen)


def _best(
    text: str, spans: Sequence[Span], size: int, seen: frozenset[str], taken: Sequence[Span]
) -> Span:
    """The piece with the most different matches that are not seen yet, apart from those taken."""
    best = (0, 0)
    best_rating = (-1, -1)
    for first, _ in spans:
        piece = _around(text, spans, first, size)
        if any(piece[0] < end and start < piece[1] for start, end in taken):
            continue
        found = _found(text, spans, piece)
        inside = bisect_left(spans, (piece[1], 0)) - bisect_left(spans, (piece[0], 0))
        rating = (len(found - seen), inside)
        if rating > best_rating:
            best = piece
            best_rating = rating
    return best


def _around(text: str, spans: Sequence[Span], first: int, size: int) -> Span:
    """A piece of at most `size` characters that begins shortly before a match."""
    last = first
    for start, end in spans[bisect_left(spans, (first, 0)) :]:
        if end > first + size:
            break
        last = end if start >= first else last
    spare = max(0, size - (last - first))
    start = max(0, first - min(int(size * _LEAD), spare // 2))
    if start <= _SNAP and last <= size:
        start = 0
    if start:
        start = _start(text, start, first)
    return start, _end(text, max(last, first + 1), start + size)


def _found(text: str, spans: Sequence[Span], piece: Span) -> frozenset[str]:
    """The different matches of a piece, as they are written, in lower case."""
    start = bisect_left(spans, (piece[0], 0))
    stop = bisect_left(spans, (piece[1], 0))
    inside = [span for span in spans[start:stop] if span[1] <= piece[1]]
    return frozenset(text[start:end].casefold() for start, end in inside)


def _start(text: str, start: int, latest: int) -> int:
    """The first beginning of a word from here on; else of a letter as readers see it."""
    for place in range(start, min(latest, start + _SNAP) + 1):
        if text[place - 1].isspace() and not text[place : place + 1].isspace():
            return place
    while start < latest and not is_boundary(text, start):
        start += 1
    return start


def _end(text: str, earliest: int, end: int) -> int:
    """The last end of a word up to here; else of a letter as readers see it."""
    if end >= len(text):
        return len(text)
    for place in range(end, max(earliest, end - _SNAP) - 1, -1):
        if text[place].isspace() and not text[place - 1].isspace():
            return place
    place = end
    while place > earliest and not is_boundary(text, place):
        place -= 1
    return place if is_boundary(text, place) else end


def is_boundary(text: str, place: int) -> bool:
    """Whether a text may be cut here without cutting what readers see as one letter: not before
    marks, within a sequence of emoji, a flag, or a syllable of Hangul.

    Source: Unicode Standard Annex 29, "Text Segmentation", section 3, without its rarest rules.
    """
    if not 0 < place < len(text):
        return True
    left = text[place - 1]
    right = text[place]
    if unicodedata.category(right) in ("Mn", "Mc", "Me") or _JOINER in (left, right):
        return False
    if _within(right, _MODIFIERS) or _within(right, _TAGS):
        return False
    if _within(right, _JAMO_FOLLOWING):
        return not (_within(left, _JAMO_FIRST) or _within(left, _JAMO_FOLLOWING))
    if left == "\r" and right == "\n":
        return False
    if not (_within(left, _INDICATORS) and _within(right, _INDICATORS)):
        return True
    before = place
    while before > 0 and _within(text[before - 1], _INDICATORS):
        before -= 1
    return (place - before) % 2 == 0


def _within(char: str, ends: tuple[str, str]) -> bool:
    return ends[0] <= char <= ends[1]


def _pieces(
    text: str,
    start: int,
    end: int,
    spans: Sequence[Span],
    signs: tuple[str, str],
    *,
    escape: bool,
    one_line: bool = False,
) -> Iterator[str]:
    """The text between two places, with the signs around each span."""

    def written(first: int, last: int) -> str:
        piece = text[first:last]
        if one_line:
            piece = _SPACES.sub(" ", piece)
        return html_escape(piece) if escape else piece

    place = start
    for first, last in spans:
        yield written(place, first)
        yield signs[0]
        yield written(first, last)
        yield signs[1]
        place = last
    yield written(place, end)
