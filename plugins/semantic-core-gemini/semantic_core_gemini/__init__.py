"""Gemini embeddings: paced, tried again, checked, and at half price in batches.

The module is light: google-genai, the HTTP client and numpy are imported when the first text is
embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from semantic_core import hookimpl
from semantic_core_gemini.batches import GeminiBatchClient
from semantic_core_gemini.embedder import GeminiEmbedder
from semantic_core_gemini.keys import GoogleKeyring
from semantic_core_gemini.pacing import Clock
from semantic_core_gemini.pricing import Price, PriceEstimate
from semantic_core_gemini.usage import Usage

__all__ = [
    "Clock",
    "GeminiBatchClient",
    "GeminiEmbedder",
    "GoogleKeyring",
    "Price",
    "PriceEstimate",
    "Usage",
    "semantic_embedders",
]

SEMANTIC_CORE_API = 1


@hookimpl
def semantic_embedders() -> Mapping[str, Callable[..., GeminiEmbedder]]:
    """Offers "gemini"."""
    return {"gemini": GeminiEmbedder}
