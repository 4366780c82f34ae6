"""How a run of characters is read: words and identifiers, whole and in parts.

A run is what `RUN` finds in the classes of a text: words with the characters that join them, such
as "node.js", or characters of a script without spaces.

Tested by tests/test_runs.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

RUN = re.compile(r"w+(?:(?:\.|\+\+?|#)w+)*(?:\+\+?|#)?|[ij]+")
"""A run, in `characters.classes_of` a text. `bulk` finds the same runs without it."""
MOST_CHARS = 64
"""The longest run that is read as one. A longer one, such as an image in base64, is cut."""

_SPACES = re.compile(r"[/-]")
"""Joints that stand for a space, but in an address."""
_SPLIT = re.compile(r"[._@&+#/-]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a part begins in "CamelCase" and "HTTPServer"."""
_PLURAL = re.compile(r"[A-Z]+s")
_VERSION = re.compile(r"v?\d+(?:\.\d+)+", re.IGNORECASE)
_LANGUAGE = re.compile(r"[^\W\d_]+(?:\+\+|#)", re.ASCII)
"""The name of a programming language at the beginning of a run."""


class RunPiece(NamedTuple):
    """A word or an identifier in a run, with its parts.

    start, end: in the run. is_word: whether it is a word, which is stemmed; an identifier is
    spelled as it is. names: identifiers in it, such as the host of an address. parts: the words in
    it. Both are (start, end) in the run.
    """

    start: int
    end: int
    is_word: bool = True
    names: tuple[tuple[int, int], ...] = ()
    parts: tuple[tuple[int, int], ...] = ()


def cuts(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The pieces of a long run, (start, end), of at most MOST_CHARS characters."""
    for first in range(start, end, MOST_CHARS):
        yield first, min(end, first + MOST_CHARS)


def pieces(run: str) -> list[RunPiece]:
    """The words and identifiers of a run that is no run of ideographs, in order."""
    if run.isalnum():
        return [_word(run, 0, len(run))]
    if "@" in run or _is_address(run):
        return _identifier(run, 0, len(run), address=True)
    found = []
    start = 0
    for space in (*_SPACES.finditer(run), None):
        end = len(run) if space is None else space.start()
        if end > start:
            found += _between_spaces(run, start, end)
        if space is not None:
            start = space.end()
    return found


def _is_address(run: str) -> bool:
    """Whether this is the address of a page: "example.com/page"."""
    host, slash, _ = run.partition("/")
    return bool(slash) and "." in host


def _between_spaces(run: str, start: int, end: int) -> list[RunPiece]:
    text = run[start:end]
    if not any(letter in "._@&+#" for letter in text):
        return [_word(run, start, end)]
    return _identifier(run, start, end, address=False)


def _word(run: str, start: int, end: int) -> RunPiece:
    return RunPiece(start, end, parts=_humps(run[start:end], start))


def _humps(text: str, start: int) -> tuple[tuple[int, int], ...]:
    """The parts of a word in CamelCase, at least two letters each; () if there are none."""
    if text.islower() or text.isupper() or text[1:].islower() or _PLURAL.fullmatch(text):
        return ()
    places = [0]
    for hump in _HUMP.finditer(text):
        places.append(hump.start())
    places.append(len(text))
    parts = []
    for first, last in zip(places, places[1:], strict=False):
        if last - first > 1:
            parts.append((start + first, start + last))
    return tuple(parts) if len(places) > 2 else ()


def _identifier(run: str, start: int, end: int, *, address: bool) -> list[RunPiece]:
    """A piece with joints."""
    while start < end and run[start] in "_":
        start += 1
    while end > start and run[end - 1] in "_":
        end -= 1
    text = run[start:end]
    if not text:
        return []
    if text.isalnum() or not any(letter in "._@&+#/-" for letter in text):
        return [_word(run, start, end)]
    parts = []
    place = 0
    for joint in (*_SPLIT.finditer(text), None):
        last = len(text) if joint is None else joint.start()
        if last > place:
            part = (start + place, start + last)
            parts.append(part)
            humps = _humps(text[place:last], start + place)
            parts += humps
        if joint is not None:
            place = joint.end()
    singles = [run[first] for first, last in parts if last - first == 1]
    if len(singles) == len(parts) and "".join(singles).isalpha() and "." in text:
        return [RunPiece(start, end)]  # "U.S.A" is the word "USA"
    return [RunPiece(start, end, False, tuple(_names(text, start, address=address)), tuple(parts))]


def _names(text: str, start: int, *, address: bool) -> Iterator[tuple[int, int]]:
    """The identifiers in an identifier."""
    if address:
        at = text.rfind("@") + 1
        for place in (*_places(text, "/"), len(text)):
            if place > at and (at, place) != (0, len(text)):
                yield start + at, start + place
        return
    if _VERSION.fullmatch(text):
        for dot in _places(text, ".")[1:]:
            yield start, start + dot
        return
    language = _LANGUAGE.match(text)
    if language is not None and language.end() < len(text):
        yield start, start + language.end()


def _places(text: str, letter: str) -> list[int]:
    """Where a letter is in a text."""
    return [place for place, found in enumerate(text) if found == letter]
