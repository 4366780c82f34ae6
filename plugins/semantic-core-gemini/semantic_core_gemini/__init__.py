"""The Gemini embedder: rate-limited calls with retries, and batch jobs at half the price.

Importing it is cheap: google-genai, the HTTP client and NumPy are imported when the first text is
embedded. Rooms: `embedder` and `batches` (the public classes), `options`, `keys`, `models`,
`pricing`, `tokens`, `job_lines` (the files of a job), `service` (calls to Google), `wire` (the key
on the wire), `errors`. All that is not Google's is in `semantic_core.remote`.

Tested by tests/test_plugin.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from semantic_core import hookimpl
from semantic_core.remote import Clock, Price, Usage
from semantic_core_gemini.batches import GeminiBatchClient
from semantic_core_gemini.embedder import GeminiEmbedder
from semantic_core_gemini.keys import GoogleKeyring
from semantic_core_gemini.pricing import PriceEstimate

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
    """Provide the embedder "gemini"."""
    return {"gemini": GeminiEmbedder}
