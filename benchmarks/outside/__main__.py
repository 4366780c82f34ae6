"""``python -m benchmarks.outside [application ...] [--limit SECONDS]``;
all applications without a name.

Ends with 1 if a test that passes without the index does not pass with it.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections import Counter
from pathlib import Path

from benchmarks.outside._applications import APPLICATIONS, Application
from benchmarks.outside._environment import CACHE, interpreter_of, run, source_of
from benchmarks.outside._outcomes import Run, corrected, differences, read_run
from benchmarks.outside._page import PAGE, Row, row_of, write

LIMIT = 1_800.0


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, show it, write it down."""
    parser = _parser()
    given = parser.parse_args(arguments)
    unknown = set(given.names) - {each.name for each in APPLICATIONS}
    if unknown:
        parser.error(f"no application is called {', '.join(sorted(unknown))}")
    chosen = [each for each in APPLICATIONS if not given.names or each.name in given.names]
    harmed = False
    for application in chosen:
        row = _twice(application, given.limit)
        if row is not None:
            write([row])
            harmed = harmed or bool(row.differing)
    print(f"\nThe table is in {PAGE.name}; records and logs are in {CACHE.name}/records.")
    return int(harmed)


def _twice(application: Application, limit: float) -> Row | None:
    """Its suite without the index and with it; None where its tests are not at hand."""
    print(f"\n{application.name} {application.version}", flush=True)
    folder = source_of(application)
    if folder is None:
        print(
            f"  left out: its source distribution has no tests; {application.checkout}=FOLDER "
            "names a checkout"
        )
        return None
    python = interpreter_of(application)
    runs = []
    for indexed in (False, True):
        record, seconds = run(application, folder, python, indexed=indexed, limit=limit)
        told = read_run(record, leave_out=application.unsteady)
        print(
            f"  {'with' if indexed else 'without'} the index: {_counted(told)}, {seconds:.0f} s",
            flush=True,
        )
        runs.append(told)
    suspected = [each.test for each in differences(*runs)]
    without, indexed_run = _again(application, folder, python, runs, limit)
    _show(without, indexed_run)
    return row_of(application, datetime.date.today().isoformat(), without, indexed_run, suspected)


def _again(
    application: Application, folder: Path, python: Path, runs: list[Run], limit: float
) -> list[Run]:
    """Tests that ended otherwise are run once more, by themselves, both ways; then it counts."""
    tests = [each.test for each in differences(*runs) if each.test not in application.explained]
    if not tests:
        return runs
    print(f"  once more, by themselves: {len(tests):,} that ended otherwise", flush=True)
    found = []
    for indexed, first in zip((False, True), runs, strict=True):
        record, _ = run(application, folder, python, indexed=indexed, limit=limit, only=tests)
        found.append(corrected(first, read_run(record)))
    return found


def _counted(told: Run) -> str:
    counts = Counter(told.outcomes.values())
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))


def _show(without: Run, indexed: Run) -> None:
    if indexed.index is not None:
        told = indexed.index
        print(
            f"  {len(told['models'])} models bound, {told['indexed']:,} rows indexed, "
            f"{told['removed']:,} removed"
        )
        for model, reason in told["refused"].items():
            print(f"  not bound: {model}: {reason.splitlines()[0]}")
    for each in differences(without, indexed):
        print(f"  {each.test}: {each.without} without, {each.indexed} with the index")
        print("".join(f"      {line}\n" for line in each.detail.splitlines()[-6:]), end="")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outside", description=__doc__)
    names = [each.name for each in APPLICATIONS]
    parser.add_argument("names", nargs="*", metavar="application", help=", ".join(names))
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help="seconds a run may take (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
