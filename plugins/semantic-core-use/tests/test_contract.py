"""`UseEmbedder` keeps the contract of an embedder."""

from __future__ import annotations

import pytest
from semantic_core_use import UseEmbedder, open_use

from semantic_core.testing import Check, embedder_checks


@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_use(check: Check, embedder: UseEmbedder) -> None:
    # Loading the vocabulary takes half a second, and two embedders share nothing that it says.
    made = iter((embedder,))
    check(lambda: next(made, None) or open_use())
