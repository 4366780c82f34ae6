"""The Pony blueprint keeps the adapters' contract: an ORM with an identity map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pony_harness import PonyHarness

from semantic_core.testing import Check, adapter_checks

TREES = 3
"""Random trees of transactions; the mini ORM plays many more."""


@pytest.mark.parametrize("kind", ["sqlite3"])
@pytest.mark.parametrize("check", adapter_checks(trees=TREES), ids=str)
def test_the_pony_adapter_keeps_the_contract(
    check: Check, kind: str, keep: Callable[[str, Any], Any]
) -> None:
    check(lambda: PonyHarness(keep(kind, PonyHarness)))
