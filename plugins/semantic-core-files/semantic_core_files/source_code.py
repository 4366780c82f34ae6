"""Source code: read as it is, and split at its definitions, so that a hit is a function or class
with its name.

The text is that of the file, so the place of a hit is its place in the file. Python's definitions
are found by its own tokenizer; those of other languages by the line that begins them and by
indentation, which well-formed code has.

Tested by tests/test_source_code.py.
"""

from __future__ import annotations

import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterator

import attrs

from semantic_core import Chunk, ChunkId, Document
from semantic_core_files.encodings import text_of
from semantic_core_files.parts import FilePart, FileSource, part_of
from semantic_core_files.programming_languages import (
    BY_MEDIA_TYPE,
    BY_SUFFIX,
    PREFIX,
    Language,
    comment_of,
    definition_of,
)

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
"""A line as the tokenizer counts them, with its end."""
_WORD = re.compile(r"\w")
_TYPE_ALONE = re.compile(r"[A-Za-z_][\w *&:<>,]{1,80}")
"""A line with nothing but a type, above the name of a function in C."""
_LONGEST_LINE = 400
"""A longer line is never the beginning of a definition: such code was made by a program."""
_BRIEF = 0.5
"""Neighbouring definitions are in one chunk while they fill less than this part of the limit."""
_MOST_HEADINGS = 4
_TITLE_CHARS = 200


@attrs.frozen
class Definition:
    """A definition. line: the one that names it, counted from 0. depth: its indentation, in
    columns. name: such as "parse" or "Reader". first: the line where the comments and decorators
    above it begin.
    """

    line: int
    depth: int
    name: str
    first: int


@attrs.frozen
class _Piece:
    """Lines that belong to one definition. path: the names around it, outermost first."""

    start: int
    end: int
    line: int
    path: tuple[str, ...]


def read(source: FileSource) -> list[FilePart]:
    """The file as one document, its text unchanged; an empty one too, as packages of Python have
    them. Raises FileUnreadable for a binary file.
    """
    language = BY_SUFFIX.get(source.suffix) or BY_MEDIA_TYPE.get(source.media_type)
    name = language.name if language else "plain"
    return [
        part_of(
            source,
            text_of(source, "source code", may_be_empty=True),
            title=source.name[:_TITLE_CHARS],
            media_type=f"{PREFIX}{name}",
            metadata={"programming_language": name},
        )
    ]


def split(document: Document, max_chars: int) -> list[Chunk] | None:
    """The chunks of source code; None for any other document.

    A chunk is a definition, its beginning, or several short ones; code that is longer than
    `max_chars` is cut at blank lines, else at line ends. Its headings are the names of the
    definitions around it, and its metadata has the language and the first line, from 1.
    """
    language = BY_MEDIA_TYPE.get(document.media_type)
    if language is None:
        return None
    text = document.text
    lines = _LINE.findall(text)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    chunks: list[Chunk] = []
    for piece in _joined(text, _pieces(text, lines, starts, language), max_chars):
        for start, end in _cut(text, piece.start, piece.end, max_chars):
            chunks.append(
                Chunk(
                    ChunkId(document.ref, len(chunks)),
                    text[start:end],
                    start,
                    end,
                    "code",
                    piece.path[-_MOST_HEADINGS:],
                    {"language": language.name, "line": bisect_right(starts, start)},
                )
            )
    return chunks


def definitions(text: str, language: Language) -> list[Definition]:
    """The definitions of a text, in order."""
    lines = _LINE.findall(text)
    found = list(_by_tokens(text) if language.by_tokens else _by_lines(lines, language))
    return [
        attrs.evolve(one, first=_first_line(lines, one, language))
        for one in sorted(found, key=_line_of)
    ]


def _line_of(definition: Definition) -> int:
    return definition.line


def _by_tokens(text: str) -> Iterator[Definition]:
    """The functions and classes of Python; as far as the text is Python.

    The tokenizer needs no correct program and no stack, unlike a parser.
    """
    word = ""
    line = 0
    depth = 0
    is_start = True
    source = io.StringIO(text)
    try:
        for token in tokenize.generate_tokens(source.readline):
            if word and token.type == tokenize.NAME:
                yield Definition(line, depth, token.string, line)
            word = ""
            if is_start and token.type == tokenize.NAME and token.string in ("def", "class"):
                word = token.string
                line = token.start[0] - 1
                depth = _indent(token.line)
            is_async = token.type == tokenize.NAME and token.string == "async" and is_start
            is_start = is_async or token.type in (
                tokenize.NEWLINE,
                tokenize.NL,
                tokenize.INDENT,
                tokenize.DEDENT,
                tokenize.COMMENT,
                tokenize.ENCODING,
            )
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # the rest is no Python; it is in the last definition


def _by_lines(lines: list[str], language: Language) -> Iterator[Definition]:
    pattern = definition_of(language)
    in_comment = False
    before = ""
    for number, line in enumerate(lines):
        bare = line.strip()
        was_in_comment = in_comment
        if language.block_comments:
            in_comment = _is_open(bare, in_comment)
        if not bare or was_in_comment or len(bare) > _LONGEST_LINE:
            before = ""
            continue
        first = number
        found = pattern.match(bare)
        if not found and language.types_above and _TYPE_ALONE.fullmatch(before):
            found = pattern.match(f"{before.strip()} {bare}") if line[0] == bare[0] else None
            first = number - 1
        names = [name for name in found.groupdict().values() if name] if found else []
        if names:
            yield Definition(number, _indent(line), " ".join(names[0].split()), first)
        before = line.rstrip()


def _is_open(line: str, is_open: bool) -> bool:
    """Whether a block comment is open behind a line. is_open: whether it was before."""
    end = line.rfind("*/")
    begin = line.rfind("/*")
    if begin > end:
        comment = line.find("//")
        return is_open or comment < 0 or comment > begin
    return is_open and end < 0


def _indent(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def _first_line(lines: list[str], definition: Definition, language: Language) -> int:
    """The first of the comments and decorators directly above a definition."""
    pattern = comment_of(language)
    line = definition.first
    while line:
        above = lines[line - 1]
        bare = above.strip()
        if not bare or _indent(above) < definition.depth or not pattern.match(bare):
            break
        line -= 1
    return line


def _pieces(text: str, lines: list[str], starts: list[int], language: Language) -> Iterator[_Piece]:
    """The text in pieces that begin where a definition begins or ends."""
    stack: list[Definition] = []
    begin = 0
    found = definitions(text, language)
    number = 0
    path: tuple[str, ...] = ()
    for line in range(len(lines)):
        is_beginning = number < len(found) and found[number].first <= line
        if is_beginning:
            definition = found[number]
            number += 1
            while stack and stack[-1].depth >= definition.depth:
                stack.pop()
        elif stack and _ends(line, lines, stack[-1]):
            while stack and _ends(line, lines, stack[-1]):
                stack.pop()
        else:
            continue
        if starts[line] > starts[begin]:
            yield _Piece(starts[begin], starts[line], begin, path)
            begin = line
        if is_beginning:
            stack.append(definition)
        path = tuple(one.name for one in stack)
    if len(lines) > begin:
        yield _Piece(starts[begin], starts[len(lines)], begin, path)


def _ends(number: int, lines: list[str], definition: Definition) -> bool:
    """Whether a line is behind a definition: indented less, or as much and no closing bracket."""
    line = lines[number]
    if number <= definition.line or not line.strip():
        return False
    indent = _indent(line)
    if indent != definition.depth:
        return indent < definition.depth
    return not line.lstrip().startswith(
        ("}", ")", "]", "end", "{", "else", "elif", "except", "finally", "where", "->", ":", "#")
    )


def _joined(text: str, pieces: Iterator[_Piece], max_chars: int) -> Iterator[_Piece]:
    """Neighbouring short pieces as one, as long as they are short together; and brackets at the
    end with what they end.
    """
    held: _Piece | None = None
    for piece in pieces:
        if held is None:
            held = piece
            continue
        together = piece.end - held.start
        if together <= max_chars and not _WORD.search(text, piece.start, piece.end):
            held = _Piece(held.start, piece.end, held.line, held.path)
            continue
        is_inside = piece.path[: len(held.path)] == held.path and len(held.path) > 0
        is_sibling = piece.path[:-1] == held.path[:-1]
        if together <= max_chars * _BRIEF and (is_inside or is_sibling):
            path = held.path if is_inside else held.path[:-1]
            held = _Piece(held.start, piece.end, held.line, path)
        else:
            yield held
            held = piece
    if held is not None:
        yield held


def _cut(text: str, start: int, end: int, limit: int) -> Iterator[tuple[int, int]]:
    """Spans of at most `limit` characters without blank lines at their edges, cut at blank lines,
    else at line ends, else anywhere.
    """
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start >= end:
            return
        line_start = text.rfind("\n", 0, start) + 1
        if not text[line_start:start].strip() and start - line_start <= limit // 2:
            start = line_start  # with the indent of its first line
        if end - start <= limit:
            yield start, end
            return
        window = text[start : start + limit]
        at = max(window.rfind("\n\n") + 1, window.rfind("\n \n") + 1)
        if at < limit // 3:
            at = window.rfind("\n") + 1
        if at < limit // 8:
            at = max(window.rfind(" ") + 1, window.rfind("\t") + 1)
        if at < 1:
            at = limit
        stop = start + at
        last = stop
        while last > start and text[last - 1].isspace():
            last -= 1
        yield start, last
        start = stop
