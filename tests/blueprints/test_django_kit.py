"""The Django blueprint keeps the adapters' contract on every database it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django_harness import KINDS, DjangoHarness

from semantic_core.testing import Check, adapter_checks

TREES = 3
"""Random trees of transactions on each database; the mini ORM plays many more."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", adapter_checks(trees=TREES), ids=str)
def test_the_django_adapter_keeps_the_contract(
    check: Check, kind: str, keep: Callable[[str, Any], Any]
) -> None:
    check(lambda: DjangoHarness(keep(kind, DjangoHarness)))
