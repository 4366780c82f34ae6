"""The adapter keeps the contract every adapter keeps, on every database,
and with the index in the same file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from semantic_core.testing import Check, adapter_checks

sys.path.insert(0, str(Path(__file__).parent))
from kit_harness import PeeweeHarness, SameFileHarness, emptied

SERVERS = ("postgresql", "mysql")
TREES = 3
"""Trees of transactions the kit plays on each; `test_random_trees.py` plays others,
of models with an owner.
"""
Databases = dict[str, list[Any]]


@pytest.fixture(scope="module")
def used_before() -> Iterator[Databases]:
    """Databases of servers that passed a check, to be used by the next:
    making one takes longer than most checks.
    """
    kept: Databases = {kind: [] for kind in SERVERS}
    yield kept
    for stack, database in kept["postgresql"] + kept["mysql"]:
        database.close()
        stack.close()


@pytest.fixture
def new_server(new_address: Callable[..., Any]) -> Callable[[str], tuple[ExitStack, Any]]:
    def make(kind: str) -> tuple[ExitStack, Any]:
        stack = ExitStack()
        return stack, stack.enter_context(new_address(kind))

    return make


@pytest.mark.parametrize("check", adapter_checks(trees=TREES), ids=str)
@pytest.mark.parametrize("kind", ["sqlite3", "apsw", "same file"])
def test_the_adapter_keeps_the_contract(
    kind: str, check: Check, open_database: Callable[..., Any]
) -> None:
    def opened() -> Any:
        # As an application with several threads opens it: a transaction that reads first keeps its
        # right to write.
        db = open_database("sqlite3" if kind == "sqlite3" else "apsw", lock_type="immediate")
        made = SameFileHarness if kind == "same file" else PeeweeHarness
        return made(db, "sqlite", db.close)

    check(opened)


@pytest.mark.parametrize("check", adapter_checks(trees=TREES), ids=str)
@pytest.mark.parametrize("kind", SERVERS)
def test_the_adapter_keeps_the_contract_on_a_server(
    kind: str,
    check: Check,
    used_before: Databases,
    new_server: Callable[[str], tuple[ExitStack, Any]],
) -> None:
    taken = []

    def opened() -> Any:
        taken.append(used_before[kind].pop() if used_before[kind] else new_server(kind))
        db = taken[-1][1]
        return PeeweeHarness(db, kind, lambda: emptied(db))

    try:
        check(opened)
    except pytest.skip.Exception:
        used_before[kind] += taken
        raise
    except BaseException:
        for stack, db in taken:
            db.close()
            stack.close()
        raise
    used_before[kind] += taken
