"""The page of guarantees says what was measured, and names tests that are there."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from floor_plan import ROOT
from pages import for_each

from benchmarks.guarantees import LIMITS, PROMISES, TRUST, page
from benchmarks.reliability import FILE, PAGE, merged

EVERY = [promise for promises in PROMISES.values() for promise in promises]


def functions(path: Path) -> set[str]:
    """The tests of a file."""
    return {
        node.name
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }


def test_the_page_is_what_the_figures_make() -> None:
    assert PAGE.read_text("utf-8") == page(json.loads(FILE.read_text("utf-8"))), (
        "run `python -m benchmarks.reliability --page`"
    )


@for_each(sorted({promise.test for promise in EVERY}))
def test_every_promise_names_a_test_that_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert name in functions(ROOT / TRUST / file)


def test_no_promise_is_made_without_its_figure() -> None:
    report = json.loads(FILE.read_text("utf-8"))
    for name in report["figures"]:
        without = {
            **report,
            "figures": {other: held for other, held in report["figures"].items() if other != name},
        }
        if any(f"{{{name}[" in each.found for each in [*EVERY, *LIMITS]):
            with pytest.raises(KeyError, match=name):
                page(without)


def test_what_was_kept_is_what_was_promised() -> None:
    figures = json.loads(FILE.read_text("utf-8"))["figures"]
    for test, zeros in {
        "kill": ("lost", "ghost", "partial", "damaged"),
        "kill_together": ("lost", "ghost", "partial", "damaged"),
        "power_full": ("corrupt", "mixed", "lost", "most_lost"),
        "power_normal": ("corrupt", "mixed", "lost"),
        "io_faults": ("mixed", "masked", "damaged", "lost", "untrue", "wrong"),
        "bit_rot": ("served", "crashes"),
        "hostile_queries": ("errors", "in_statements"),
        "processes": ("lock_errors", "torn", "stale"),
        "tenants": ("leaks",),
    }.items():
        assert {name: figures[test][name] for name in zeros} == dict.fromkeys(zeros, 0), test
    least = {"model": ("steps", 20_000), "kill": ("kills", 100), "power_full": ("states", 4_000)}
    least |= {
        "hostile_queries": ("queries", 300_000),
        "bit_rot": ("found_percent", 99.9),
        "defects": ("killed", 20),
    }
    for test, (name, bound) in least.items():
        assert figures[test][name] >= bound, test
    assert figures["defects"]["killed"] == figures["defects"]["seeded"]


def test_the_operations_of_the_sweep_are_one() -> None:
    files = {
        "io_faults_a": {"points": 2, "soak": 1},
        "io_faults_b": {"points": 3, "soak": 1},
        "kill": {"kills": 1, "soak": 1},
    }
    assert merged(files) == {"io_faults": {"points": 5, "operations": 2}, "kill": {"kills": 1}}
