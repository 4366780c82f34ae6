"""Blocks to pieces: fills chunks with blocks that belong together, section by section.

A chunk never crosses the sections of two headings. Within a section, a heading stays with what is
below it, a lead-in stays with its code, table or list, and code and tables are not mixed with text.
Every character that is not white space is in exactly one piece.

Tested by tests/test_sections.py, tests/test_properties.py and tests/test_torture.py.
"""

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

SOLID_LINES = 3
"""Code and tables with at least this many lines, including fences, are not mixed with text."""
LEAD_CHARS = 200
"""Longest paragraph that counts as a lead-in if it ends in a colon, in characters."""
TINY_CHARS = 100
"""Text with fewer characters is joined with the code or table before or after it.

Alone it would be found because of its headings, and contain nothing about them.
"""

_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][\w-]*(?:\s[^>]*)?>", re.DOTALL)


@attrs.define
class PlacedBlock:
    """A block, or the rest of one, with its place in the text and how it may be grouped.

    light: without content of its own (a heading, a thematic break, an anchor, a comment). solid:
    not to be mixed with text. leads: a lead-in to what follows.
    """

    block: Block
    start: int
    end: int
    kind: Kind = "text"
    light: bool = False
    solid: bool = False
    leads: bool = False


def placed_blocks(text: str, at: int, blocks: Iterable[Block]) -> Iterator[PlacedBlock]:
    """The top-level blocks from `at` on, and the lines between them (link definitions)."""
    for block in blocks:
        if at < block.start:
            yield from _placed(text, Block("text", at, block.start))
        at = block.end
        yield from _placed(text, block)
    if at < len(text):
        yield from _placed(text, Block("text", at, len(text)))


def _placed(text: str, block: Block) -> Iterator[PlacedBlock]:
    """The block with its place, without trailing white space; nothing if it is blank."""
    content = text[block.start : block.end].rstrip()
    if not content:
        return
    kind = block.kind
    unit = PlacedBlock(block, block.start, block.start + len(content))
    if kind == "heading" or kind == "rule":
        unit.light = True
    elif kind == "list":
        unit.kind = "list"
    elif kind == "code" or kind == "table":
        unit.kind = kind
        unit.solid = _lines(content) >= SOLID_LINES
    elif kind != "text" and len(content) <= LEAD_CHARS:
        if content[0] == "<":
            unit.light = not _TAG.sub("", content).strip()
        else:
            unit.leads = kind == "paragraph" and content.rstrip("*_").endswith((":", "："))
    yield unit


def _lines(content: str) -> int:
    """The number of lines."""
    if "\r" in content:
        return 1 + len(LINE_END.findall(content))
    return 1 + content.count("\n")


HEADER_CHARS = 200
"""Most characters of a table's first row that its later parts have as metadata."""


@attrs.define
class Piece:
    """A chunk: text[start:end], the kind of most of it, and the headings above it."""

    start: int
    end: int
    kind: Kind
    headings: tuple[str, ...]
    metadata: dict[str, str]


@attrs.define
class _Part:
    """A part of a block that fits into a chunk.

    of: the innermost block that contains it. number: its number among the parts of that block;
    None if it is the whole block.
    """

    of: Block
    start: int
    end: int
    number: int | None = None

    @property
    def cut_code(self) -> bool:
        """Whether it is a part of code that had to be cut."""
        return self.number is not None and self.of.kind == "code"


def pieces(text: str, limit: int) -> Iterator[Piece]:
    """The text after its front matter in pieces of at most `limit` characters, in order.

    A heading begins the first piece of its section. A section of only headings is joined with the
    first section below it.
    """
    begin = body_start(text)
    structure = Outline(text, begin)
    packer = _Packer(text, limit)
    path: list[tuple[int, str]] = []
    section: list[PlacedBlock] = []
    only_light = True  # whether the section has no content yet
    for unit in placed_blocks(text, begin, structure.blocks()):
        block = unit.block
        if block.kind == "heading":
            level = block.level
            if section and (not only_light or (path and level <= path[-1][0])):
                yield from packer.pack(section, _headings(path))
                section = []
                only_light = True
            while path and path[-1][0] >= level:
                path.pop()
            path.append((level, plain(block.says, structure.references)))
        section.append(unit)
        only_light = only_light and unit.light
    yield from packer.pack(section, _headings(path))


def _headings(path: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    """The headings of a path of (level, heading), without empty ones."""
    return tuple(heading for _, heading in path if heading)


class _Packer:
    """Fills pieces with the blocks of a section, one section after the other."""

    def __init__(self, text: str, limit: int) -> None:
        self._text = text
        self._limit = limit
        self._tiny = max(1, min(TINY_CHARS, limit // 4))
        self._headings: tuple[str, ...] = ()
        self._done: list[Piece] = []
        self._clear_held()

    def _clear_held(self) -> None:
        """Begin a new group of blocks that may become a piece."""
        self._held: list[PlacedBlock] = []
        self._weight = 0  # characters of the blocks that are not light
        self._solid = False  # whether one of them is solid

    def pack(self, units: list[PlacedBlock], headings: tuple[str, ...]) -> list[Piece]:
        """The pieces of a section with these headings, in order."""
        self._headings = headings
        self._done = []
        fits = bool(units) and units[-1].end - units[0].start <= self._limit
        if fits and not any(unit.solid for unit in units):
            self._finish(units)
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
        self._clear_held()
        return self._done

    def _joins(self, unit: PlacedBlock) -> bool:
        """Whether the block may be added to those that are held."""
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

    def _hold(self, unit: PlacedBlock) -> None:
        """Add the block to those that will become the next piece."""
        self._held.append(unit)
        self._weight += 0 if unit.light else unit.end - unit.start
        self._solid = self._solid or unit.solid

    def _release(self, unit: PlacedBlock) -> list[PlacedBlock]:
        """Finish the held blocks, except those that belong to the next block; returns these."""
        held = self._held
        keep = len(self._held)
        if self._weight < self._tiny and not self._solid:
            keep = 0
        elif held[-1].leads and unit.kind != "text":
            keep -= 1
        while keep and held[keep - 1].light:
            keep -= 1
        self._clear_held()
        self._finish(held[:keep])
        return held[keep:]

    def _finish(self, units: list[PlacedBlock]) -> None:
        """Make a piece of these blocks, or add tiny text to the code or table before it."""
        if not units:
            return
        start = units[0].start
        end = units[-1].end
        content = [unit for unit in units if unit.solid]
        if not content:
            content = [unit for unit in units if not unit.light]
        kind = _main_kind(content)
        if self._done and kind != "code" and kind != "table":
            before = self._done[-1]
            tiny = sum(unit.end - unit.start for unit in content) < self._tiny
            if tiny and before.kind in ("code", "table") and end - before.start <= self._limit:
                before.end = end
                return
        languages = None
        if kind == "code":
            languages = {unit.block.says for unit in units if unit.kind == "code"}
        self._add(start, end, kind, languages)

    def _add(
        self, start: int, end: int, kind: Kind, languages: set[str] | None = None, header: str = ""
    ) -> None:
        """Add a piece. languages: those of its code. header: the first row of its table."""
        metadata = {}
        if languages and len(languages) == 1:
            (language,) = languages
            if language:
                metadata["language"] = language
        if header:
            metadata["header"] = header
        start = first_line(self._text, start, end)
        self._done.append(Piece(start, end, kind, self._headings, metadata))

    def _cut(self, unit: PlacedBlock, start: int) -> None:
        """Cut a block into pieces, together with what is before it from `start` on.

        The last piece is held, because more may be added to it.
        """
        parts: list[_Part] = []
        self._divide(unit.block, start, unit.end, parts)
        first = 0
        for number, part in enumerate(parts, 1):
            head = parts[first]
            following = parts[number] if number < len(parts) else None
            fits = following is not None and following.end - head.start <= self._limit
            if following and fits and not (part.cut_code or following.cut_code):
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
                rest = PlacedBlock(unit.block, head.start, part.end, kind, light=unit.light)
                self._hold(rest)

    def _divide(self, block: Block, start: int, end: int, parts: list[_Part]) -> None:
        """Append the largest inner blocks that fit to `parts`; cut innermost blocks that do not."""
        if end - start <= self._limit:
            parts.append(_Part(block, start, end))
            return
        inside = block.inside(self._text)
        if inside:
            begins = [start, *[child.start for child in inside[1:]], end]
            for child, begin, following in zip(inside, begins, begins[1:], strict=False):
                stop = trimmed(self._text, begin, following)
                if begin < stop <= begin + self._limit:
                    parts.append(_Part(child, begin, stop))
                elif begin < stop:
                    self._divide(child, begin, stop, parts)
            return
        prose = block.kind in ("paragraph", "heading", "list")
        spans = cut(self._text, start, end, self._limit, prose=prose)
        for number, (begin, stop) in enumerate(spans):
            parts.append(_Part(block, begin, stop, number))

    def _header(self, table: Block) -> str:
        """The first row of a table, cut to HEADER_CHARS characters."""
        if not table.says:
            line_end = LINE_END.search(self._text, table.start, table.end)
            end = line_end.start() if line_end else table.end
            table.says = self._text[table.start : end].strip()[:HEADER_CHARS]
        return table.says


def _main_kind(units: list[PlacedBlock]) -> Kind:
    """The kind with the most characters; of equals, one that is not text."""
    sizes: dict[Kind, int] = {}
    for unit in units:
        sizes[unit.kind] = sizes.get(unit.kind, 0) + unit.end - unit.start
    main: Kind = "text"
    most = -1
    for kind, size in sizes.items():
        if size > most or (size == most and main == "text"):
            main = kind
            most = size
    return main
