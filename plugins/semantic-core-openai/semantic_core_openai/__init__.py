"""The embedder of OpenAI, and of every server with the same interface: Azure OpenAI, Ollama, vLLM,
the server of llama.cpp, LM Studio, Mistral, Voyage, Jina.

Importing it is cheap: the HTTP client and NumPy are imported when the first text is embedded.
Rooms: `embedder` and `batches` (the public classes), `options`, `keys`, `models` (dimensions,
limits and prices), `endpoint` (addresses and key), `service` (calls), `answers` (vectors),
`job_lines` (the files of a job), `errors`. The rest is `semantic_core.remote`.

Tested by tests/test_plugin.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from semantic_core import hookimpl
from semantic_core.remote import Clock, Price, Usage
from semantic_core_openai.batches import OpenAIBatchClient
from semantic_core_openai.embedder import OpenAIEmbedder
from semantic_core_openai.keys import OpenAIKeyring

__all__ = [
    "Clock",
    "OpenAIBatchClient",
    "OpenAIEmbedder",
    "OpenAIKeyring",
    "Price",
    "Usage",
    "semantic_embedders",
]

SEMANTIC_CORE_API = 1


@hookimpl
def semantic_embedders() -> Mapping[str, Callable[..., OpenAIEmbedder]]:
    """Provide the embedder "openai"."""
    return {"openai": OpenAIEmbedder}
