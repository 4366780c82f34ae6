"""The store keeps the rules of its own; see `rules`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from figures import record
from rules import RULES
from samples import quick_folder


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_store_keeps(rule: Callable[[Path], None]) -> None:
    with quick_folder() as folder:
        rule(folder.resolve())


def test_there_are_rules_and_their_names_say_them() -> None:
    assert all(rule.__doc__ and rule.__doc__.rstrip().endswith(".") for rule in RULES)
    assert len({rule.__name__ for rule in RULES}) == len(RULES) > 10
    record("rules", rules=len(RULES))
