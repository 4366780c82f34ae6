"""The contract of an ORM's adapter, as a list of checks."""

from __future__ import annotations

from semantic_core.testing import (
    _adapter_care,
    _adapter_events,
    _adapter_failures,
    _adapter_fields,
    _adapter_identity,
    _adapter_keys,
    _adapter_migrations,
    _adapter_related,
    _adapter_search,
    _adapter_setup,
    _adapter_tenants,
    _adapter_transactions,
    _adapter_workers,
    _adapter_writes,
)
from semantic_core.testing._adapter_trees import tree_check
from semantic_core.testing._check import Check, checks_in

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
        _adapter_transactions,
        _adapter_writes,
        _adapter_keys,
        _adapter_fields,
        _adapter_related,
        _adapter_tenants,
        _adapter_search,
        _adapter_care,
        _adapter_identity,
        _adapter_workers,
        _adapter_failures,
        _adapter_setup,
        _adapter_migrations,
        _adapter_events,
    ]
    return [*checks_in(*modules), tree_check(trees)]
