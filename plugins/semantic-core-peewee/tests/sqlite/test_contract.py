"""The store keeps the contract every store keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from semantic_core_peewee import SqliteStore

from semantic_core import Space
from semantic_core.testing import Check, store_checks


@pytest.mark.parametrize("check", store_checks(persistent=True), ids=str)
def test_the_store_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    def opened(space: Space, name: str = "index", **options: Any) -> SqliteStore:
        return SqliteStore(space, tmp_path / f"{name}.db", **options)

    check(opened)
