"""From blocks to pieces: what belongs together stays together, and nothing gets lost between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from semantic_core.types import Kind
from semantic_core_markdown.blocks import LINE_END, Block
from semantic_core_markdown.headings import plain
from semantic_core_markdown.metadata import body_start
from semantic_core_markdown.outline import Outline
from semantic_core_markdown.text_splitting import cut, first_line, trimmed

# The blocks of a text as they are weighed against each other: what says something by itself,
# what goes with others.

SOLID_LINES = 3
"""Code and tables of this many lines or more, fences included, are not mixed with text."""
LEAD_CHARS = 200
"""Longest paragraph that stays, when it ends in a colon, with the code,
table or list it introduces.
"""
TINY_CHARS = 100
"""Text shorter than this goes with the code or table before or behind it: alone it would be found
for what its headings say, and then not say it."""

_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][\w-]*(?:\s[^>]*)?>", re.DOTALL)


@attrs.define
class Unit:
    """A block, or what is left of one, with its place in the text.

    light: nothing by itself (a heading, a thematic break, an anchor, a comment). solid: not to be
    mixed with text.
    leads: introduces what follows.
    """

    block: Block
    start: int
    end: int
    kind: Kind = "text"
    light: bool = False
    solid: bool = False
    leads: bool = False


def units_of(text: str, at: int, blocks: Iterable[Block]) -> Iterator[Unit]:
    """The blocks at the top, and between them the lines that are none:
    link reference definitions.
    """
    for block in blocks:
        if at < block.start and (between := _unit(text, Block("text", at, block.start))):
            yield between
        at = block.end
        if unit := _unit(text, block):
            yield unit
    if at < len(text) and (behind := _unit(text, Block("text", at, len(text)))):
        yield behind


def _unit(text: str, block: Block) -> Unit | None:
    """The block with its place; None if there is nothing but white space."""
    kind = block.kind
    start = block.start
    said = text[start : block.end].rstrip()
    if not said:
        return None
    end = start + len(said)
    if kind == "heading" or kind == "rule":
        return Unit(block, start, end, light=True)
    if kind == "list":
        return Unit(block, start, end, "list")
    if kind == "code" or kind == "table":
        return Unit(block, start, end, kind, solid=_lines(said) >= SOLID_LINES)
    if kind == "text" or len(said) > LEAD_CHARS:
        return Unit(block, start, end)
    if said[0] == "<":
        return Unit(block, start, end, light=not _TAG.sub("", said).strip())
    return Unit(
        block, start, end, leads=kind == "paragraph" and said.rstrip("*_").endswith((":", "："))
    )


def _lines(said: str) -> int:
    return 1 + (said.count("\n") if "\r" not in said else len(LINE_END.findall(said)))


HEADER_CHARS = 200
"""How much of a table's first row the later parts of the table are given along."""


@attrs.define
class Piece:
    """text[start:end], what most of it is, and the path of headings above it."""

    start: int
    end: int
    kind: Kind
    headings: tuple[str, ...]
    metadata: dict[str, str]


@attrs.define
class _Part:
    """A stretch of a block that fits. of: the innermost block it is of. number: which cut of it,
    or None if it is whole.
    """

    of: Block
    start: int
    end: int
    number: int | None = None

    @property
    def cut_code(self) -> bool:
        """Whether it is some lines of code that does not fit."""
        return self.number is not None and self.of.kind == "code"


def pieces(text: str, limit: int) -> Iterator[Piece]:
    """The text behind its front matter in pieces of at most `limit` characters, in order.

    Every character that is not white space is in exactly one. A heading begins the first piece of
    the section it opens; a section of nothing but headings goes with the first one below it.
    """
    begin = body_start(text)
    structure = Outline(text, begin)
    packer = _Packer(text, limit)
    path: list[tuple[int, str]] = []
    section: list[Unit] = []
    only_light = True
    for unit in units_of(text, begin, structure.blocks()):
        block = unit.block
        if block.kind == "heading":
            level = block.level
            if section and (not only_light or (path and level <= path[-1][0])):
                yield from packer.pack(section, tuple(words for _, words in path if words))
                section = []
                only_light = True
            while path and path[-1][0] >= level:
                path.pop()
            path.append((level, plain(block.says, structure.references)))
        section.append(unit)
        only_light = only_light and unit.light
    yield from packer.pack(section, tuple(words for _, words in path if words))


class _Packer:
    """Fills pieces with the units of one section after the other."""

    def __init__(self, text: str, limit: int) -> None:
        self._text = text
        self._limit = limit
        self._tiny = max(1, min(TINY_CHARS, limit // 4))
        self._headings: tuple[str, ...] = ()
        self._done: list[Piece] = []
        self._let_go()

    def _let_go(self) -> None:
        self._held: list[Unit] = []
        self._weight = 0  # characters in those that are not light
        self._solid = False  # whether one of them is

    def pack(self, units: list[Unit], headings: tuple[str, ...]) -> list[Piece]:
        """The pieces of a section with these headings above it, in order."""
        self._headings = headings
        self._done = []
        if (
            units
            and units[-1].end - units[0].start <= self._limit
            and not any(unit.solid for unit in units)
        ):
            self._finish(units)  # the short way for what needs no thought
            return self._done
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
        self._let_go()
        return self._done

    def _joins(self, unit: Unit) -> bool:
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

    def _hold(self, unit: Unit) -> None:
        self._held.append(unit)
        self._weight += 0 if unit.light else unit.end - unit.start
        self._solid = self._solid or unit.solid

    def _release(self, unit: Unit) -> list[Unit]:
        """Lets go of what is held: gives what stands right in front of the unit and belongs to it,
        finishes the rest.
        """
        held = self._held
        keep = len(self._held)
        if self._weight < self._tiny and not self._solid:
            keep = 0
        elif held[-1].leads and unit.kind != "text":
            keep -= 1
        while keep and held[keep - 1].light:
            keep -= 1
        self._let_go()
        self._finish(held[:keep])
        return held[keep:]

    def _finish(self, units: list[Unit]) -> None:
        if not units:
            return
        start = units[0].start
        end = units[-1].end
        content = [unit for unit in units if unit.solid] or [
            unit for unit in units if not unit.light
        ]
        kind = self._most(content)
        if self._done and kind != "code" and kind != "table":
            before = self._done[-1]
            tiny = sum([unit.end - unit.start for unit in content]) < self._tiny
            if tiny and before.kind in ("code", "table") and end - before.start <= self._limit:
                before.end = end
                return
        self._add(
            start,
            end,
            kind,
            {unit.block.says for unit in units if unit.kind == "code"} if kind == "code" else None,
        )

    def _most(self, units: list[Unit]) -> Kind:
        kinds = dict.fromkeys([unit.kind for unit in units], 0)
        if len(kinds) < 2:
            return units[0].kind if units else "text"
        for unit in units:
            kinds[unit.kind] += unit.end - unit.start
        return max(kinds, key=lambda kind: (kinds[kind], kind != "text"))

    def _add(
        self, start: int, end: int, kind: Kind, languages: set[str] | None = None, header: str = ""
    ) -> None:
        known = {}
        if languages and len(languages) == 1 and (language := next(iter(languages))):
            known["language"] = language
        if header:
            known["header"] = header
        self._done.append(
            Piece(first_line(self._text, start, end), end, kind, self._headings, known)
        )

    def _cut(self, unit: Unit, start: int) -> None:
        """The unit, with what stands in front of it from `start` on, in pieces.

        More may join the last one.
        """
        parts: list[_Part] = []
        self._divide(unit.block, start, unit.end, parts)
        first = 0
        for number, part in enumerate(parts, 1):
            head = parts[first]
            following = parts[number] if number < len(parts) else None
            if (
                following
                and following.end - head.start <= self._limit
                and not (part.cut_code or following.cut_code)
            ):
                continue
            joined = parts[first:number]
            first = number
            only_code = all(held.of.kind == "code" for held in joined)
            kind: Kind = "code" if only_code else unit.kind
            if following or kind in ("code", "table"):
                languages = {held.of.says for held in joined} if only_code else None
                header = self._header(head.of) if head.of.kind == "table" and head.number else ""
                self._add(head.start, part.end, kind, languages, header)
            else:
                self._hold(Unit(unit.block, head.start, part.end, kind, light=unit.light))

    def _divide(self, block: Block, start: int, end: int, parts: list[_Part]) -> None:
        """The largest blocks within that fit, the innermost ones cut where even they do not."""
        if end - start <= self._limit:
            parts.append(_Part(block, start, end))
        elif inside := block.inside(self._text):
            begins = [start, *[child.start for child in inside[1:]], end]
            for child, begin, behind in zip(inside, begins, begins[1:], strict=False):
                stop = trimmed(self._text, begin, behind)
                if begin < stop <= begin + self._limit:
                    parts.append(_Part(child, begin, stop))
                elif begin < stop:
                    self._divide(child, begin, stop, parts)
        else:
            prose = block.kind in ("paragraph", "heading", "list")
            for number, (begin, stop) in enumerate(
                cut(self._text, start, end, self._limit, prose=prose)
            ):
                parts.append(_Part(block, begin, stop, number))

    def _header(self, table: Block) -> str:
        if not table.says:
            end = LINE_END.search(self._text, table.start, table.end)
            table.says = self._text[table.start : end.start() if end else table.end].strip()[
                :HEADER_CHARS
            ]
        return table.says
