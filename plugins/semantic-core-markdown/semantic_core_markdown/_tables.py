"""What makes a table of two lines."""

from __future__ import annotations


def makes_table(head: str, dashes: str) -> bool:
    """Whether the second line, without its indent,
    is a row of dashes with as many columns as the first has cells.
    """
    columns = _columns(dashes)
    return columns > 0 and columns == _cells(head)


def _columns(line: str) -> int:
    """How many columns a delimiter row has; 0 if it is none."""
    if len(line) < 2 or line.strip("|-: \t") or (line[0] == "-" and line[1] in " \t"):
        return 0
    cells = [cell.strip(" \t") for cell in line.split("|")]
    if not cells[0]:
        del cells[0]
    if cells and not cells[-1]:
        del cells[-1]
    return len(cells) if all(_is_delimiter(cell) for cell in cells) else 0


def _is_delimiter(cell: str) -> bool:
    dashes = cell.removeprefix(":").removesuffix(":")
    return bool(dashes) and not dashes.strip("-")


def _cells(line: str) -> int:
    """How many cells a header row has; 0 if it has no bar. A bar behind a backslash is text."""
    line = line.strip()
    if "|" not in line:
        return 0
    bars = line.count("|") - line.count("\\|")
    return bars + 1 - line.startswith("|") - (line.endswith("|") and not line.endswith("\\|"))
