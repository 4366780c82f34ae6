"""The contract of an ORM's adapter, as a list of checks."""

from __future__ import annotations

from semantic_core.testing.adapters import (
    care,
    events,
    failures,
    fields,
    identity,
    keys,
    migrations,
    related,
    search,
    setup,
    tenants,
    transactions,
    workers,
    writes,
)
from semantic_core.testing.adapters.trees import tree_check
from semantic_core.testing.check import Check, checks_in

TREES = 40
"""Random trees of transactions played by default."""


def adapter_checks(*, trees: int = TREES) -> list[Check]:
    """What every adapter keeps, whatever happens to the rows.

    Give each to pytest, with what opens a harness::

        @pytest.mark.parametrize("check", adapter_checks(), ids=str)
        def test_adapter(check, tmp_path):
            check(lambda: MyHarness(tmp_path))

    See `AdapterHarness` for what it has to supply. What it says it is without (`Capability`) is
    skipped with its reason.
    trees: random trees of transactions the last check plays; it writes how many they were to
    standard output.
    """
    modules = [
        transactions,
        writes,
        keys,
        fields,
        related,
        tenants,
        search,
        care,
        identity,
        workers,
        failures,
        setup,
        migrations,
        events,
    ]
    return [*checks_in(*modules), tree_check(trees)]
