"""What a benchmark gives back, and how it is shown: a table on the terminal,
the same figures as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from benchmarks._measure import Timing

SCALES = {"s": 1.0, "ms": 1e3, "us": 1e6}


@attrs.frozen
class Target:
    """A bound a figure should keep."""

    sign: Literal["<=", ">="]
    bound: float

    def met(self, value: float) -> bool:
        """Whether the value keeps it."""
        return value <= self.bound if self.sign == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {number(self.bound)}"


@attrs.frozen
class Figure:
    """One number.

    what: what was measured. unit: "ms", "MB/s", "x" for a ratio, "%". p99, least: of the runs, in
    the same unit, where they mean something. target: what is wanted of it, at full size. note: what
    a reader must know beside it.
    """

    what: str
    value: float
    unit: str
    p99: float | None = None
    least: float | None = None
    target: Target | None = None
    note: str = ""

    def __attrs_post_init__(self) -> None:
        for given in (self.value, self.p99, self.least):
            if given is not None and not math.isfinite(given):
                raise ValueError(f"{self.what}: wanted a finite figure, got {given}.")

    def json(self) -> dict[str, Any]:
        """As plain values; what is not there is left out."""
        held = {
            "what": self.what,
            "value": _rounded(self.value),
            "unit": self.unit,
            "p99": _rounded(self.p99),
            "least": _rounded(self.least),
            "target": str(self.target) if self.target else None,
            "met": self.target.met(self.value) if self.target else None,
            "note": self.note or None,
        }
        return {name: value for name, value in held.items() if value is not None}


def timed(
    what: str, timing: Timing, unit: str = "ms", *, target: Target | None = None, note: str = ""
) -> Figure:
    """The figure of a timing: median, with p99 and minimum beside it."""
    scale = SCALES[unit]
    return Figure(
        what, timing.median * scale, unit, timing.p99 * scale, timing.least * scale, target, note
    )


@attrs.frozen
class Report:
    """Everything one benchmark found out.

    figures: in the order they are shown. data: sizes and sources of what was measured. notes: what
    limits the figures.
    """

    figures: tuple[Figure, ...]
    data: Mapping[str, Any] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "data": dict(self.data),
            "notes": list(self.notes),
            "figures": [figure.json() for figure in self.figures],
        }


def show(name: str, report: Report, *, judge: bool) -> None:
    """Print a report. judge: say which targets are kept; they are meant for full sizes only."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 160)
    console.print(f"[bold]{name}[/]  {_facts(report.data)}", highlight=False, soft_wrap=True)
    table = Table(show_edge=False)
    table.add_column("what", overflow="fold")
    for column in ("median", "p99", "least"):
        table.add_column(column, justify="right")
    for column in ("unit", "target", "note"):
        table.add_column(column, overflow="fold")
    for figure in report.figures:
        target = str(figure.target or "")
        if judge and figure.target:
            target += "  kept" if figure.target.met(figure.value) else "  [bold red]missed[/]"
        spread = ["" if value is None else number(value) for value in (figure.p99, figure.least)]
        table.add_row(figure.what, number(figure.value), *spread, figure.unit, target, figure.note)
    console.print(table)
    for note in report.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    console.print()


def write(path: Path, name: str, facts: Mapping[str, Any], report: Report) -> None:
    """One benchmark into the file of all, instead of its last results.
    facts: when and on what it was measured.
    """
    held = results(path)
    held[name] = {**facts, **report.json()}
    content = json.dumps({"benchmarks": held}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(content, encoding="utf-8")
    unfinished.replace(path)


def results(path: Path) -> dict[str, Any]:
    """What is written down of each benchmark; {} if nothing is."""
    if not path.exists():
        return {}
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return held


def measured_at(path: Path, name: str) -> str | None:
    """The commit a benchmark was measured at; None if it was not."""
    held = results(path).get(name)
    return held["hardware"]["commit"] if held else None


def number(value: float) -> str:
    """Three significant digits, more for what is large."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _facts(data: Mapping[str, Any]) -> str:
    shown: Sequence[str] = [
        f"{name} {value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else f"{name} {value}"
        for name, value in data.items()
        if isinstance(value, int | float | str)
    ]
    return ", ".join(shown)
