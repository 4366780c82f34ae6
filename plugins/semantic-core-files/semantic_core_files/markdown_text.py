"""Blocks of Markdown: paragraphs that cannot be read as something else, headings, code, tables.

Tested by tests/test_markdown_text.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What would begin another block than a paragraph, or change the one above it.
_BLOCK = re.compile(
    r"(?P<mark>#{1,6}(?=\s|$)|>|<|`{3,}|~{3,}|[-+*](?=\s|$)"
    r"|(?:[-=_*|:][-=_*|: \t]*)$)"
)
_FENCES = re.compile(r"^\s*(`{3,})", re.MULTILINE)
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")


def paragraph(text: str) -> str:
    """Lines of text as a paragraph, with a backslash where a line would mean something else."""
    lines = []
    for line in text.split("\n"):
        stripped = line.strip()
        if _BLOCK.match(stripped):
            stripped = f"\\{stripped}"
        lines.append(stripped)
    return "\n".join(lines)


def heading(level: int, text: str) -> str:
    """A heading of level 1 to 6, in one line; "" for an empty text."""
    line = " ".join(text.split())
    if not line:
        return ""
    # A run of # at the end would be taken for the end of the heading.
    if line.endswith("#"):
        line = f"{line[:-1]}\\#"
    return f"{'#' * min(max(level, 1), 6)} {line}"


def code(text: str, language: str = "") -> str:
    """A fenced block; "" for blank text."""
    body = text.strip("\n").rstrip()
    if not body.strip():
        return ""
    longest = max((len(found) for found in _FENCES.findall(body)), default=2)
    fence = "`" * max(3, longest + 1)
    named = language if _LANGUAGE.fullmatch(language) else ""
    return f"{fence}{named}\n{body}\n{fence}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its header; "" if no cell has text.

    Rows are filled up to the longest; columns and rows without any text are left out.
    """
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        return ""
    width = max(len(row) for row in filled)
    used = [False] * width
    for row in filled:
        for place, cell in enumerate(row):
            if cell.strip():
                used[place] = True
    lines = []
    for number, row in enumerate(filled):
        cells = []
        for place in range(width):
            if used[place]:
                cells.append(_cell(row[place]) if place < len(row) else "")
        lines.append(f"| {' | '.join(cells)} |")
        if number == 0:
            lines.append(f"|{'---|' * len(cells)}")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def joined(blocks: Sequence[str]) -> str:
    """Blocks with a blank line between them, and a newline at the end; empty ones are left out."""
    kept = [block for block in blocks if block.strip()]
    return "\n\n".join(kept) + "\n" if kept else ""
