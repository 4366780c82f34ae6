"""The page of known limits says what the harnesses say,
and no check is skipped without a row on it.
"""

from __future__ import annotations

import re
from pathlib import Path
from unittest import SkipTest

import pytest
from known_limits import ADAPTERS, PAGE, ROOT, own_limits, page
from mini_harness import MiniHarness

from semantic_core.testing import (
    AdapterHarness,
    Capability,
    Limit,
    adapter_checks,
    limits_table,
)


def test_the_page_says_what_the_harnesses_say() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "run: python tests/orm/known_limits.py"


def test_every_harness_of_this_repository_is_on_the_page() -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for folder in ("plugins", "tests")
        for file in (ROOT / folder).rglob("*_harness.py")
        if file.name != "mini_harness.py"
    }
    assert found == {file for file, _ in ADAPTERS.values()}


def test_a_limit_of_several_adapters_is_one_row() -> None:
    limit = Limit("It has none.", "Use a | b.")
    table = limits_table(
        {"A on SQLite": {Capability.BULK: limit}, "B": {Capability.BULK: limit}, "C": {}}
    )
    assert table.splitlines()[2:] == ["| `BULK` | A on SQLite, B | It has none. | Use a \\| b. |"]


def test_limits_are_read_without_running_the_harness() -> None:
    source = (
        "import no_such_orm\nLIMITS = {Capability.EVENTS: Limit('No events.', 'Use triggers.')}\n"
    )
    assert own_limits(source) == {Capability.EVENTS: Limit("No events.", "Use triggers.")}
    assert own_limits("x = 1") == {}


def test_a_check_is_skipped_with_the_reason_of_the_limit(tmp_path: Path) -> None:
    class Limited(MiniHarness):
        limits = {
            **MiniHarness.limits,
            Capability.BULK: Limit("It writes row by row.", "Write row by row."),
        }

    (check,) = (each for each in adapter_checks() if str(each) == "rows_inserted_in_bulk_are_seen")
    with pytest.raises(SkipTest, match=r"^BULK: It writes row by row\.$"):
        check(lambda: Limited(tmp_path))


@pytest.mark.slow
def test_what_only_a_missing_capability_needs_is_not_asked_for(tmp_path: Path) -> None:
    class Poor(MiniHarness):
        """All that a capability can be missing for is missing."""

        limits = dict.fromkeys(Capability, Limit("It has none.", "None is needed."))
        insert_many = update_many = delete_many = upsert = crash = None

        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self.models = {name: self.models[name] for name in ("author", "article", "note")}

    done = 0
    for check in adapter_checks(trees=2):
        try:
            check(lambda: Poor(tmp_path))
            done += 1
        except SkipTest as skipped:
            assert str(skipped).endswith("It has none.")
    assert done > 60


def test_the_page_on_plugins_has_the_tables_of_the_kit() -> None:
    """As the docstring has them, which a harness is written from as well."""
    told = " ".join(
        (ROOT / "guides/test_your_plugin.md").read_text("utf-8").replace("`", "").split()
    )
    rows = re.findall(r"^ *(\w+) +(kit_\w+) ", AdapterHarness.__doc__ or "", re.MULTILINE)
    assert len(rows) == 10
    assert [row for row in rows if f"| {row[0]} | {row[1]} |" not in told] == []
