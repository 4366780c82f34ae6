"""What became of the tests of one run, and how two runs differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import attrs

_WORST_LAST = ("skipped", "passed", "failed", "error")
"""A test may be told of twice: it passed, and what it left behind was not cleaned up."""


@attrs.frozen
class Run:
    """One run of a suite. outcomes: test -> passed, failed, error or skipped.
    details: test -> the end of its traceback.

    index: what the index did meanwhile; None for a run without one, or one that was ended before
    its summary.
    """

    outcomes: Mapping[str, str]
    details: Mapping[str, str] = attrs.field(factory=dict)
    index: Mapping[str, Any] | None = None

    @property
    def passed(self) -> int:
        """Tests that passed."""
        return Counter(self.outcomes.values())["passed"]

    @property
    def failed(self) -> int:
        """Tests that did not, in whichever way; skipped ones are neither."""
        counts = Counter(self.outcomes.values())
        return counts["failed"] + counts["error"]


@attrs.frozen
class Difference:
    """A test that ended otherwise with the index. "missing" is one that was not run."""

    test: str
    without: str
    indexed: str
    detail: str = ""


def read_run(path: Path, *, leave_out: Collection[str] = ()) -> Run:
    """A record as `inside/outside_record.py` writes it.

    Of a test that is told of twice the worse counts.

    leave_out: names of tests.
    """
    outcomes: dict[str, str] = {}
    details: dict[str, str] = {}
    index = None
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        if "summary" in told:
            index = told["summary"]
            continue
        test, outcome = told["test"], told["outcome"]
        if test in leave_out:
            continue
        if test in outcomes and _WORST_LAST.index(outcome) <= _WORST_LAST.index(outcomes[test]):
            continue
        outcomes[test], details[test] = outcome, told["detail"]
    return Run(outcomes, details, index)


def corrected(run: Run, again: Run) -> Run:
    """The run with the outcomes of tests that were run again, by themselves."""
    told = {test: outcome for test, outcome in again.outcomes.items() if test in run.outcomes}
    details = {test: again.details.get(test, "") for test in told}
    return attrs.evolve(run, outcomes={**run.outcomes, **told}, details={**run.details, **details})


def differences(without: Run, indexed: Run) -> list[Difference]:
    """Every test that passed without the index and not with it, or the other way round; by name."""
    found = []
    for test in sorted({*without.outcomes, *indexed.outcomes}):
        before = without.outcomes.get(test, "missing")
        after = indexed.outcomes.get(test, "missing")
        if (before == "passed") != (after == "passed"):
            found.append(Difference(test, before, after, indexed.details.get(test, "")))
    return found
