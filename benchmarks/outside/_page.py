"""The table of guides/outside.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from benchmarks.outside._applications import Application
from benchmarks.outside._environment import ROOT
from benchmarks.outside._outcomes import Run, differences

PAGE = ROOT / "guides" / "outside.md"
RESULTS = Path(__file__).with_name("results.json")
BEGIN, END = "<!-- outside -->", "<!-- end of outside -->"
COLUMNS = (
    "application",
    "date",
    "passed without the index",
    "passed with the index",
    "failed without the index",
    "failed with the index",
    "models bound",
    "rows indexed",
    "what is bound",
)


@attrs.frozen
class Row:
    """One line of the table.

    differing: tests that ended otherwise with the index. explained: those of them we expect. once:
    tests that did so among the others, and not by themselves.
    """

    name: str
    version: str
    date: str
    passed: int
    passed_indexed: int
    failed: int
    failed_indexed: int
    models: int
    rows: int
    bound: str
    differing: tuple[str, ...] = attrs.field(converter=tuple, default=())
    explained: tuple[str, ...] = attrs.field(converter=tuple, default=())
    once: tuple[str, ...] = attrs.field(converter=tuple, default=())

    def line(self) -> str:
        """As it stands on the page."""
        counts = (
            self.passed,
            self.passed_indexed,
            self.failed,
            self.failed_indexed,
            self.models,
            self.rows,
        )
        cells = (
            f"{self.name} {self.version}",
            self.date,
            *(f"{count:,}" for count in counts),
            self.bound,
        )
        return f"| {' | '.join(cells)} |"


def row_of(
    application: Application, date: str, without: Run, indexed: Run, suspected: Iterable[str] = ()
) -> Row:
    """What two runs come to. suspected: tests that ended otherwise before they were run again."""
    index: Mapping[str, Any] = indexed.index or {"models": [], "indexed": 0}
    differing = [each.test for each in differences(without, indexed)]
    return Row(
        name=application.name,
        version=application.version,
        date=date,
        passed=without.passed,
        passed_indexed=indexed.passed,
        failed=without.failed,
        failed_indexed=indexed.failed,
        models=len(index["models"]),
        rows=index["indexed"],
        bound=application.bound,
        differing=[test for test in differing if test not in application.explained],
        explained=[test for test in differing if test in application.explained],
        once=[test for test in suspected if test not in differing],
    )


def remembered(path: Path = RESULTS) -> dict[str, Row]:
    """The rows of earlier runs, by application."""
    if not path.exists():
        return {}
    return {told["name"]: Row(**told) for told in json.loads(path.read_text(encoding="utf-8"))}


def write(rows: Iterable[Row], *, page: Path = PAGE, path: Path = RESULTS) -> None:
    """Put rows into the file of results and the table of the page;
    those of other applications stay.
    """
    known = remembered(path) | {row.name: row for row in rows}
    told = [attrs.asdict(row) for row in known.values()]
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    page.write_text(with_table(page.read_text(encoding="utf-8"), known.values()), encoding="utf-8")


def with_table(text: str, rows: Iterable[Row]) -> str:
    """The page with the table of these rows between its marks. Raises ValueError if it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page has no {BEGIN} ... {END}.")
    head = f"| {' | '.join(COLUMNS)} |"
    rule = "|---" * len(COLUMNS) + "|"
    shown = list(rows)
    table = "\n".join((head, rule, *(row.line() for row in shown)))
    once = [f"`{test}` ({row.name})" for row in shown for test in row.once]
    if once:
        named = ", ".join(once)
        table += f"\n\nEnded differently in the full run, but not when run alone: {named}."
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"
