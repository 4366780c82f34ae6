"""The WordLlama embedder: a small English model that runs locally, without server, key or network.

A vector has 256 numbers. Importing this package is cheap: weights and tokenizer are read from the
installed ``wordllama`` wheel when the first text is embedded; the ``wordllama`` package itself is
never imported. Rooms: `embedder` (tokens and vectors) and `wheel` (the files of the model).

Tested by tests/test_plugin.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from semantic_core import hookimpl
from semantic_core.errors import ConfigError
from semantic_core_wordllama.embedder import WordLlamaEmbedder
from semantic_core_wordllama.wheel import DIMENSIONS

__all__ = ["WordLlamaEmbedder", "open_wordllama", "semantic_embedders"]

SEMANTIC_CORE_API = 1

MAX_CHARS = 1_200
"""Longest passage by default, in characters: about 200 words.

A vector is a mean over all words, so it is vague for longer passages; see the README.
"""
BATCH_SIZE = 512
"""Passages per call by default: the overhead of a call is small, and progress is visible."""


def open_wordllama(
    *,
    dimensions: Annotated[
        int, "numbers per vector: 256, or 128 or 64 for a smaller and less exact index"
    ] = DIMENSIONS[0],
    max_chars: Annotated[
        int,
        "longest passage, in characters; documents are split into passages of at most this length",
    ] = MAX_CHARS,
    batch_size: Annotated[int, "passages embedded in one call"] = BATCH_SIZE,
) -> WordLlamaEmbedder:
    """Create the embedder named "wordllama"; no file is read yet.

    Raises ConfigError for an invalid option.
    """
    counts = {"dimensions": dimensions, "max_chars": max_chars, "batch_size": batch_size}
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"wordllama: {name} must be an int of at least 1, got {value!r}.")
    if dimensions not in DIMENSIONS:
        sizes = ", ".join(map(str, DIMENSIONS))
        raise ConfigError(f"wordllama: dimensions must be one of {sizes}, got {dimensions}.")
    return WordLlamaEmbedder(dimensions=dimensions, max_chars=max_chars, batch_size=batch_size)


@hookimpl
def semantic_embedders() -> Mapping[str, Callable[..., WordLlamaEmbedder]]:
    """Provide the embedder "wordllama"."""
    return {"wordllama": open_wordllama}
