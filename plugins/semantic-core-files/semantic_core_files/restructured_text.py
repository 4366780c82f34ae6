"""Reads reStructuredText (RST) as Markdown: sections become headings, code becomes code, marks
within a line are dropped.

What a directive does needs the program that knows it, so its content is read as text.

Tested by tests/test_restructured_text.py.
"""

from __future__ import annotations

import re

from semantic_core_files import markdown_text
from semantic_core_files.encodings import text_of
from semantic_core_files.parts import FilePart, FileSource, part_of, words

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+\s*$")
_DIRECTIVE = re.compile(r"(\s*)\.\.\s+(?:([\w:+.-]+)::(?:\s+(.*))?)?$")
_COMMENT = re.compile(r"\s*\.\.(?:\s|$)")
_TARGET = re.compile(r"\s*(?:\.\.\s+_[^:]+:|__\s)")
_NOTE = re.compile(r"\s*\.\.\s+(\[[^\]]+\])\s+(.*)$")
_OPTION = re.compile(r"\s*:[\w -]+:(?:\s|$)")
_FIELD = re.compile(r":([A-Za-z][\w -]{0,40}):\s+(.*)$")
_ROLE_WITH_TARGET = re.compile(r":[\w:+.-]+:`([^`<]*?)\s*<[^`>]*>`")
_ROLE = re.compile(r":[\w:+.-]+:`[~!]?([^`]*)`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]+>`__?")
_REFERENCE = re.compile(r"`([^`]+)`__?(?=\W|$)|\b([A-Za-z0-9-]+)_(?=[\s.,;:)]|$)")
_STRONG = re.compile(r"\*\*(\S[^*\n]*)\*\*")
_CODE_DIRECTIVES = frozenset({"code-block", "code", "sourcecode", "highlight", "parsed-literal"})
_SKIPPED = words(
    "image raw index toctree include literalinclude highlight contents meta "
    "currentmodule module default-role role tags target-notes sectnum"
)
"""Directives whose content is no text of the document."""
_NO_ARGUMENT = frozenset({"figure", "only", "class", "container", "ifconfig"})
"""Directives whose content is text, and what stands beside their name is none."""
_METADATA = {
    "author": "author",
    "authors": "author",
    "date": "published",
    "revised": "modified",
    "version": "version",
    "status": "status",
}
_MOST_DEPTH = 6


def read(source: FileSource) -> list[FilePart]:
    """The file as one document. Raises FileUnreadable for a binary one."""
    lines = text_of(source, "reStructuredText file").expandtabs(8).splitlines()
    reader = _Reader(lines)
    reader.read()
    return [
        part_of(
            source,
            markdown_text.joined(reader.blocks),
            title=reader.title or source.stem,
            metadata=reader.metadata,
        )
    ]


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        self._styles: list[str] = []
        self._paragraph: list[str] = []
        self.blocks: list[str] = []
        self.title = ""
        self.metadata: dict[str, object] = {}

    def read(self) -> None:
        """Read all lines into blocks."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip():
                self._flush()
                self._at += 1
            elif not self._paragraph and (self._section() or self._marked(line)):
                continue
            else:
                self._paragraph.append(line)
                self._at += 1
                if line.rstrip().endswith("::"):
                    self._literal(len(line) - len(line.lstrip()))
        self._flush()

    def _line(self, ahead: int) -> str:
        place = self._at + ahead
        return self._lines[place].rstrip() if place < len(self._lines) else ""

    def _section(self) -> bool:
        """Read a title with its lines above and below, if here is one."""
        first = self._line(0)
        second = self._line(1)
        third = self._line(2)
        over = _ADORNMENT.match(first)
        if over and second.strip() and third == first and len(first) >= len(second.strip()):
            self._heading(f"{first[0]}{first[0]}", second.strip())
            self._at += 3
            return True
        is_title = not first.startswith((" ", "..")) and bool(_ADORNMENT.match(second))
        if is_title and not over and len(second) >= min(len(first), 4) and len(second) > 2:
            self._heading(second[0], first.strip())
            self._at += 2
            return True
        if over and len(first) >= 4 and not second:  # a line between two parts
            self._at += 1
            return True
        return False

    def _heading(self, style: str, title: str) -> None:
        if style not in self._styles:
            self._styles.append(style)
        text = _inline(title)
        if not self.title:
            self.title = text
        level = min(self._styles.index(style) + 1, _MOST_DEPTH)
        self.blocks.append(markdown_text.heading(level, text))

    def _marked(self, line: str) -> bool:
        """Read a directive, comment, target, note or field, if here is one."""
        if _TARGET.match(line):
            self._at += 1
            return True
        directive = _DIRECTIVE.match(line)
        if directive:
            self._directive(directive[1], (directive[2] or "").lower(), directive[3] or "")
            return True
        note = _NOTE.match(line)
        if note:
            self._at += 1
            self._paragraph = [f"{note[1]} {note[2]}"]
            return True
        if _COMMENT.match(line):
            self._at += 1
            self._indented(len(line) - len(line.lstrip()))
            return True
        field = _FIELD.match(line)
        if field and len(self.blocks) <= 1 and field[1].lower() in _METADATA:
            self.metadata[_METADATA[field[1].lower()]] = field[2].strip()
            self._at += 1
            return True
        return False

    def _directive(self, indent: str, name: str, argument: str) -> None:
        self._at += 1
        if not name:  # a comment
            self._indented(len(indent))
            return
        if name in _CODE_DIRECTIVES:
            body = self._indented(len(indent))
            while body and (_OPTION.match(body[0]) or not body[0].strip()):
                body.pop(0)
            self.blocks.append(markdown_text.code("\n".join(body), argument.strip()))
            return
        if name in _SKIPPED:
            self._indented(len(indent))
            return
        if argument and name not in _NO_ARGUMENT:
            self.blocks.append(markdown_text.paragraph(_inline(argument)))
        while self._at < len(self._lines) and _OPTION.match(self._line(0)):
            self._at += 1

    def _literal(self, indent: int) -> None:
        """Read a literal block, which follows a paragraph that ends in "::"."""
        self._paragraph[-1] = re.sub(r"\s*::\s*$", ":", self._paragraph[-1])
        if self._paragraph[-1].strip() == ":":
            self._paragraph.pop()
        if self._line(0).strip():  # the paragraph goes on: no literal block
            return
        self._flush()
        body = self._indented(indent)
        self.blocks.append(markdown_text.code("\n".join(body)))

    def _indented(self, indent: int) -> list[str]:
        """Take the lines that are indented deeper, without the indent that they share."""
        taken: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                break
            taken.append(line)
            self._at += 1
        while taken and not taken[-1].strip():
            taken.pop()
        depths = [len(line) - len(line.lstrip()) for line in taken if line.strip()]
        shared = min(depths, default=0)
        return [line[shared:] for line in taken]

    def _flush(self) -> None:
        if not self._paragraph:
            return
        lines = self._paragraph
        self._paragraph = []
        text = "\n".join(lines)
        if re.match(r"\s*(?:\+[-=+]{3,}|={2,}\s+={2,})", text):  # a table drawn with characters
            self.blocks.append(markdown_text.code(text))
        elif re.match(r"\s*(?:[-*+•]|\(?(?:\d+|#)[.)])\s", text):
            self.blocks.append(_inline(re.sub(r"^(\s*)(?:\*|•|\+)\s", r"\1- ", text, flags=re.M)))
        elif re.match(r"\s*>>> ", text):
            self.blocks.append(markdown_text.code(text, "pycon"))
        else:
            self.blocks.append(markdown_text.paragraph(_inline(text)))


def _inline(text: str) -> str:
    """A text without the marks of roles, links and references."""
    text = _ROLE_WITH_TARGET.sub(r"\1", text)
    text = _ROLE.sub(r"`\1`", text)
    text = _LINK.sub(r"\1", text)
    text = _REFERENCE.sub(lambda found: found[1] or found[2], text)
    return _STRONG.sub(r"\1", text.replace("``", "`"))
