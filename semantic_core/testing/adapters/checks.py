"""The contract of an ORM adapter, as a list of checks.

Tested by tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from semantic_core.testing.adapters import (
    among,
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
"""Number of random trees of transactions by default."""


def adapter_checks(*, trees: int = TREES) -> list[Check]:
    """The rules that every ORM adapter follows.

    Parametrize a test with them and call each with a function that opens a harness::

        @pytest.mark.parametrize("check", adapter_checks(), ids=str)
        def test_adapter(check, tmp_path):
            check(lambda: MyHarness(tmp_path))

    See `AdapterHarness` for what you have to supply. Checks of a `Capability` that the harness
    declares to be missing are skipped with the reason.

    trees: number of random trees of transactions that the last check plays. The check writes the
    number to standard output.
    """
    modules = [
        transactions,
        writes,
        keys,
        fields,
        related,
        tenants,
        search,
        among,
        care,
        identity,
        workers,
        failures,
        setup,
        migrations,
        events,
    ]
    return [*checks_in(*modules), tree_check(trees)]
