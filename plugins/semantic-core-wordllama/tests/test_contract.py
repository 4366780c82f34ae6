"""`WordLlamaEmbedder` keeps the contract of an embedder."""

from __future__ import annotations

import pytest
from semantic_core_wordllama import open_wordllama

from semantic_core.testing import Check, embedder_checks


@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_wordllama(check: Check) -> None:
    check(open_wordllama)
