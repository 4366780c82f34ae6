"""The adapter of the smallest possible ORM passes the checks for adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
from mini_harness import MiniHarness

from semantic_core.testing import Check, adapter_checks

*QUICK, TREES = adapter_checks()


@pytest.mark.parametrize("check", [*QUICK, pytest.param(TREES, marks=pytest.mark.slow)], ids=str)
def test_the_mini_adapter_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    check(lambda: MiniHarness(tmp_path))
