"""From blocks to pieces: what belongs together stays together, and nothing gets lost between."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

import attrs

from semantic_core.types import Kind
from semantic_core_markdown._blocks import Block, Outline, outline, plain
from semantic_core_markdown._cuts import cut, first_line, trimmed

SOLID_LINES = 3
"""Code and tables of this many lines or more, fences included, are not mixed with text."""
LEAD_CHARS = 200
"""Longest paragraph that stays, when it ends in a colon, with the code, table or list it introduces."""
TINY_CHARS = 100
"""Text shorter than this goes with the code or table before or behind it: alone it would be found for what its headings say,
and then not say it."""
HEADER_CHARS = 200
"""How much of a table's first row the later parts of the table are given along."""

_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][\w-]*(?:\s[^>]*)?>", re.DOTALL)


@attrs.frozen
class Piece:
    """text[start:end], what most of it is, and the path of headings above it."""

    start: int
    end: int
    kind: Kind
    headings: tuple[str, ...]
    metadata: dict[str, str]


@attrs.define
class _Unit:
    """A block, or what is left of one, with its place in the text.

    light: nothing by itself (a heading, a thematic break, an anchor, a comment). solid: not to be mixed with text.
    leads: introduces what follows.
    """

    block: Block
    start: int
    end: int
    kind: Kind = "text"
    light: bool = False
    solid: bool = False
    leads: bool = False


@attrs.define
class _Part:
    """A stretch of a block that fits. of: the innermost block it is of. number: which cut of it, or None if it is whole."""

    of: Block
    start: int
    end: int
    number: int | None = None


def pieces(text: str, limit: int) -> Iterator[Piece]:
    """The text behind its front matter in pieces of at most `limit` characters, in order.

    Every character that is not white space is in exactly one. A heading begins the first piece of the section it opens; a
    section of nothing but headings goes with the first one below it.
    """
    structure = outline(text)
    path: list[tuple[int, str]] = []
    section: list[_Unit] = []
    for unit in _units(text, structure):
        if unit.block.kind == "heading":
            level = unit.block.level
            if (path and level <= path[-1][0]) or not all(held.light for held in section):
                yield from _Packer(text, structure.lines, limit, path).pack(section)
                section = []
            while path and path[-1][0] >= level:
                path.pop()
            path.append((level, plain(unit.block.says, structure.references)))
        section.append(unit)
    yield from _Packer(text, structure.lines, limit, path).pack(section)


def _units(text: str, structure: Outline) -> Iterator[_Unit]:
    """The blocks at the top, and between them the lines the parser keeps to itself: link reference definitions."""
    lines, line = structure.lines, 0
    for block in [*structure.blocks, Block("text", len(lines) - 1, len(lines) - 1)]:
        for part in (Block("text", line, block.first), block):
            if trimmed(text, lines[part.first], lines[part.last]) > lines[part.first]:
                yield _unit(text, part, lines)
        line = block.last


def _unit(text: str, block: Block, lines: list[int]) -> _Unit:
    start = lines[block.first]
    end = trimmed(text, start, lines[block.last])
    match block.kind:
        case "heading" | "rule":
            return _Unit(block, start, end, light=True)
        case "html" | "paragraph" if text[start] == "<" and end - start <= LEAD_CHARS:
            return _Unit(block, start, end, light=not _TAG.sub("", text[start:end]).strip())
        case "code" | "table":
            solid = bisect_left(lines, end) - block.first >= SOLID_LINES
            return _Unit(block, start, end, block.kind, solid=solid)
        case "list":
            return _Unit(block, start, end, "list")
    leads = block.kind == "paragraph" and end - start <= LEAD_CHARS and text[start:end].rstrip("*_").endswith((":", "："))
    return _Unit(block, start, end, leads=leads)


class _Packer:
    """Fills pieces with the units of one section."""

    def __init__(self, text: str, lines: list[int], limit: int, path: list[tuple[int, str]]) -> None:
        self._text, self._lines, self._limit = text, lines, limit
        self._tiny = max(1, min(TINY_CHARS, limit // 4))
        self._headings = tuple(words for _, words in path if words)
        self._done: list[Piece] = []
        self._held: list[_Unit] = []
        self._weight = 0  # characters in those that are not light
        self._solid = False  # whether one of them is

    def pack(self, units: list[_Unit]) -> list[Piece]:
        """The pieces, in order."""
        for unit in units:
            if self._joins(unit):
                self._hold(unit)
                continue
            along = self._release(unit)
            start = along[0].start if along else unit.start
            if unit.end - start <= self._limit:
                for held in (*along, unit):
                    self._hold(held)
            elif unit.end - unit.start > self._limit or unit.kind == "text":
                self._cut(unit, start)
            else:
                self._finish(along)
                self._hold(unit)
        self._finish(self._held)
        return self._done

    def _joins(self, unit: _Unit) -> bool:
        start = self._held[0].start if self._held else unit.start
        if unit.end - start > self._limit:
            return False
        if unit.light or not self._weight:
            return True
        if unit.solid:
            last = self._held[-1]
            only_lead = last.leads and self._weight == last.end - last.start
            return not self._solid and (only_lead or self._weight < self._tiny)
        return not self._solid

    def _hold(self, unit: _Unit) -> None:
        self._held.append(unit)
        self._weight += 0 if unit.light else unit.end - unit.start
        self._solid = self._solid or unit.solid

    def _release(self, unit: _Unit) -> list[_Unit]:
        """Lets go of what is held: gives what stands right in front of the unit and belongs to it, finishes the rest."""
        held, keep = self._held, len(self._held)
        if self._weight < self._tiny and not self._solid:
            keep = 0
        elif held[-1].leads and unit.kind != "text":
            keep -= 1
        while keep and held[keep - 1].light:
            keep -= 1
        self._held, self._weight, self._solid = [], 0, False
        self._finish(held[:keep])
        return held[keep:]

    def _finish(self, units: list[_Unit]) -> None:
        if not units:
            return
        start, end = units[0].start, units[-1].end
        content = [unit for unit in units if not unit.light]
        sizes: Counter[Kind] = Counter()
        for unit in [unit for unit in content if unit.solid] or content:
            sizes[unit.kind] += unit.end - unit.start
        kind = max(sizes, key=lambda kind: (sizes[kind], kind != "text")) if sizes else "text"
        before = self._done[-1] if self._done else None
        tiny = kind not in ("code", "table") and sizes.total() < self._tiny
        if before and before.kind in ("code", "table") and tiny and end - before.start <= self._limit:
            self._done[-1] = attrs.evolve(before, end=end)
            return
        languages = {unit.block.says for unit in units if unit.kind == "code"} if kind == "code" else set()
        self._add(start, end, kind, languages)

    def _add(self, start: int, end: int, kind: Kind, languages: set[str], header: str = "") -> None:
        start = first_line(self._text, start, end)
        known = {"language": next(iter(languages)) if len(languages) == 1 else "", "header": header}
        self._done.append(Piece(start, end, kind, self._headings, {key: value for key, value in known.items() if value}))

    def _cut(self, unit: _Unit, start: int) -> None:
        """The unit, with what stands in front of it from `start` on, in pieces. More may join the last one."""
        parts = list(self._parts(unit.block, start, unit.end))
        first = 0
        for number, part in enumerate(parts, 1):
            following = parts[number] if number < len(parts) else None
            if following and self._stay_together(parts[first], part, following):
                continue
            joined, head = parts[first:number], parts[first]
            only_code = all(held.of.kind == "code" for held in joined)
            kind: Kind = "code" if only_code else unit.kind
            if following or kind in ("code", "table"):
                languages = {held.of.says for held in joined} if only_code else set()
                header = self._header(head.of) if head.of.kind == "table" and head.number else ""
                self._add(head.start, part.end, kind, languages, header)
            else:
                self._hold(_Unit(unit.block, head.start, part.end, kind, light=unit.light))
            first = number

    def _stay_together(self, first: _Part, last: _Part, following: _Part) -> bool:
        cut_code = any(part.of.kind == "code" and part.number is not None for part in (last, following))
        return not cut_code and following.end - first.start <= self._limit

    def _parts(self, block: Block, start: int, end: int) -> Iterator[_Part]:
        """The largest blocks within that fit, the innermost ones cut where even they do not."""
        if end - start <= self._limit:
            yield _Part(block, start, end)
        elif block.inside:
            begins = [start, *(self._lines[child.first] for child in block.inside[1:]), end]
            for child, begin, stop in zip(block.inside, begins, begins[1:], strict=False):
                stop = trimmed(self._text, begin, stop)
                if stop > begin:
                    yield from self._parts(child, begin, stop)
        else:
            prose = block.kind in ("paragraph", "heading", "list")
            for number, (begin, stop) in enumerate(cut(self._text, start, end, self._limit, prose=prose)):
                yield _Part(block, begin, stop, number)

    def _header(self, table: Block) -> str:
        return self._text[self._lines[table.first] : self._lines[table.first + 1]].strip()[:HEADER_CHARS]
