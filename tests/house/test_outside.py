"""The tool that runs other people's test suites reads their results correctly, and hides no
difference.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.outside._applications import APPLICATIONS, PYTEST, Application
from benchmarks.outside._environment import INSIDE
from benchmarks.outside._outcomes import Difference, Run, corrected, differences, read_run
from benchmarks.outside._page import (
    BEGIN,
    END,
    PAGE,
    RESULTS,
    remembered,
    row_of,
    with_table,
    write,
)

SUITE = """
import unittest


class Story(unittest.TestCase):
    def test_good(self):
        pass

    def test_bad(self):
        self.assertEqual(1, 2)

    def test_broken(self):
        raise RuntimeError("broken")

    @unittest.skip("not today")
    def test_skipped(self):
        pass

    @unittest.expectedFailure
    def test_known_to_fail(self):
        self.fail()

    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)

    def test_good_until_it_is_tidied_up(self):
        self.addCleanup(self.fail, "untidy")


if __name__ == "__main__":
    unittest.main()
"""
OUTCOMES = {
    "test_good": "passed",
    "test_bad": "failed",
    "test_broken": "error",
    "test_skipped": "skipped",
    "test_known_to_fail": "passed",
    "test_parts": "failed",
    "test_good_until_it_is_tidied_up": "failed",
}
SHOP = Application(
    name="shop",
    version="1.0",
    orm="peewee",
    bound="its goods",
    requires=(),
    start=("unittest", "shop"),
)


def record_of(folder: Path, *start: str) -> Run:
    """A suite run by the runner that applications are run by, without an index."""
    record = folder / "record.jsonl"
    command = [sys.executable, str(INSIDE / "outside_run.py"), str(record), "none", *start]
    subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=60)
    return read_run(record)


@pytest.mark.parametrize("runner", ["script", "unittest", "pytest"])
def test_every_outcome_is_read_from_either_runner(runner: str, tmp_path: Path) -> None:
    script = tmp_path / "suite_of_shop.py"
    script.write_text(SUITE, encoding="utf-8")
    start = {
        "script": (str(script),),
        "unittest": ("unittest", "suite_of_shop"),
        "pytest": ("pytest", "-q", "-p", "no:cacheprovider", "suite_of_shop.py"),
    }[runner]
    run = record_of(tmp_path, *start)
    found = {
        test.replace("::", ".").rpartition(".")[2]: outcome
        for test, outcome in run.outcomes.items()
    }
    wanted = dict(OUTCOMES)
    if runner == "pytest":  # it tells these as it sees them
        wanted |= {"test_broken": "failed", "test_known_to_fail": "skipped"}
    assert found == wanted
    assert "broken" in next(
        detail for test, detail in run.details.items() if test.endswith("test_broken")
    )
    assert run.index is None


@pytest.mark.slow
def test_a_suite_of_pytest_is_run_without_the_settings_of_the_clone_it_lies_in(
    tmp_path: Path,
) -> None:
    settings = '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n'
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    suite = tmp_path / "sources" / "shop"
    suite.mkdir(parents=True)
    text = "import warnings\n\n\ndef test_warns():\n    warnings.warn('old', stacklevel=1)\n"
    (suite / "shop_test.py").write_text(text, encoding="utf-8")
    assert record_of(suite, *PYTEST, "shop_test.py").outcomes == {
        "shop_test.py::test_warns": "passed"
    }
    assert record_of(suite, *PYTEST, "shop_test.py::test_warns").passed == 1


def test_of_a_test_told_of_twice_the_worse_counts(tmp_path: Path) -> None:
    lines = [
        {"test": "a", "outcome": "error", "detail": "untidy"},
        {"test": "a", "outcome": "passed", "detail": ""},
        {"summary": {"models": ["shop.Goods"], "indexed": 3, "removed": 1, "refused": {}}},
    ]
    record = tmp_path / "record.jsonl"
    record.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    run = read_run(record)
    assert run.outcomes == {"a": "error"} and run.details == {"a": "untidy"}
    assert (run.passed, run.failed) == (0, 1)
    assert read_run(record, leave_out=["a"]).outcomes == {}
    assert run.index is not None and run.index["indexed"] == 3


def test_what_ended_otherwise_is_found_in_both_directions() -> None:
    without = Run(
        {
            "same": "passed",
            "harmed": "passed",
            "gone": "passed",
            "mended": "failed",
            "broken": "failed",
        }
    )
    indexed = Run(
        {"same": "passed", "harmed": "failed", "mended": "passed", "broken": "error"},
        {"harmed": "4 != 1"},
    )
    assert differences(without, indexed) == [
        Difference("gone", "passed", "missing"),
        Difference("harmed", "passed", "failed", "4 != 1"),
        Difference("mended", "failed", "passed"),
    ]


def test_what_a_test_gave_by_chance_is_corrected_and_nothing_else() -> None:
    first = Run(
        {"chance": "failed", "harmed": "failed", "other": "passed"},
        {"chance": "late"},
        {"indexed": 3},
    )
    again = Run({"chance": "passed", "harmed": "failed", "unknown": "passed"}, {"harmed": "4 != 1"})
    run = corrected(first, again)
    assert run.outcomes == {"chance": "passed", "harmed": "failed", "other": "passed"}
    assert run.details == {"chance": "", "harmed": "4 != 1"}
    assert run.index == {"indexed": 3}


def test_as_many_passed_is_not_enough_when_they_are_others() -> None:
    without, indexed = Run({"a": "passed", "b": "failed"}), Run({"a": "failed", "b": "passed"})
    assert without.passed == indexed.passed
    row = row_of(SHOP, "2024-05-06", without, indexed, ["a", "c"])
    assert row.differing == ("a", "b")
    assert row.once == ("c",)
    assert "`c` (shop)" in with_table(f"{BEGIN}{END}", [row])


def test_a_run_of_one_application_keeps_the_rows_of_the_others(tmp_path: Path) -> None:
    page, path = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    index = {"models": ["shop.Goods"], "indexed": 1_234, "removed": 0, "refused": {}}
    write(
        [row_of(SHOP, "2024-05-06", Run({"a": "passed"}), Run({"a": "passed"}, {}, index))],
        page=page,
        path=path,
    )
    other = Application("till", "2", "django", "its sums", (), ("runtests.py",))
    write([row_of(other, "2024-05-07", Run({}), Run({}))], page=page, path=path)
    text = page.read_text(encoding="utf-8")
    assert "| shop 1.0 | 2024-05-06 | 1 | 1 | 0 | 0 | 1 | 1,234 | its goods |" in text
    assert "| till 2 | 2024-05-07 | 0 | 0 | 0 | 0 | 0 | 0 | its sums |" in text
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="has no"):
        with_table("# A page", [])


def test_the_page_shows_what_was_measured() -> None:
    rows = remembered(RESULTS)
    assert rows.keys() <= {each.name for each in APPLICATIONS}
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text, rows.values()) == text


def test_no_application_is_harmed_in_the_results_we_show() -> None:
    for row in remembered(RESULTS).values():
        assert row.passed_indexed == row.passed - len(row.explained), row.name
        assert row.rows > 0 and row.models > 0, "the index was not at work"
