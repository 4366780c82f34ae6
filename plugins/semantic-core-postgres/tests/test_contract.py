"""The store keeps the contract every store keeps."""

from __future__ import annotations

import pytest
from postgres_server import Opener

from semantic_core.testing import Check, store_checks


@pytest.mark.parametrize("check", store_checks(persistent=True), ids=str)
def test_the_store_keeps_the_contract(check: Check, opener: Opener) -> None:
    check(opener)
