"""An embedder that ships inside a wheel: no server, no key, no network.

The vectors are those of WordLlama (256 numbers a text, English). The module is light: weights and
tokenizer are read from the installed ``wordllama`` wheel when the first text is embedded, and the
``wordllama`` package itself is never imported.
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
"""Longest passage by default, about 200 words. A mean over more blurs, over fewer knows too little:
see the README.
"""
BATCH_SIZE = 512
"""Passages one call takes: enough that a call costs nothing, few enough that progress is seen."""


def open_wordllama(
    *,
    dimensions: Annotated[
        int, "numbers per vector: 256, or 128 or 64 for a smaller and less exact index"
    ] = DIMENSIONS[0],
    max_chars: Annotated[
        int, "longest passage in characters; documents are cut into passages no longer"
    ] = MAX_CHARS,
    batch_size: Annotated[int, "passages embedded in one call"] = BATCH_SIZE,
) -> WordLlamaEmbedder:
    """The embedder named "wordllama"; nothing is read yet.

    Raises ConfigError on an option it cannot work with.
    """
    for name, value in (
        ("dimensions", dimensions),
        ("max_chars", max_chars),
        ("batch_size", batch_size),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"wordllama: {name} must be an int of at least 1, got {value!r}.")
    if dimensions not in DIMENSIONS:
        raise ConfigError(
            "wordllama: dimensions must be one of "
            f"{', '.join(map(str, DIMENSIONS))}, got {dimensions}."
        )
    return WordLlamaEmbedder(dimensions=dimensions, max_chars=max_chars, batch_size=batch_size)


@hookimpl
def semantic_embedders() -> Mapping[str, Callable[..., WordLlamaEmbedder]]:
    """Offers "wordllama"."""
    return {"wordllama": open_wordllama}
