"""`GeminiEmbedder` keeps the contract of an embedder, with both models and through the real
google-genai client.
"""

from __future__ import annotations

import pytest
from fake_gemini import FakeGemini
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring

from semantic_core.testing import Check, embedder_checks


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_gemini(check: Check, model: str, gemini: FakeGemini) -> None:
    check(
        lambda: GeminiEmbedder(
            GoogleKeyring("a-key"), model=model, dimensions=256, base_url=gemini.url
        )
    )
