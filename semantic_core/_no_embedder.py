"""`WordsOnly` takes the place of an embedder in an index without one, which has only full-text
search.

Tested by tests/kernel/test_no_embedder.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from semantic_core.types import WORDS_ONLY, Space

if TYPE_CHECKING:
    from semantic_core.types import Vector, Vectors

MAX_CHARS = 1_000
"""Longest passage, in characters: short enough to be read at a glance."""
BATCH = 1_024
"""Most passages of a call."""


class WordsOnly:
    """No embedder. Every passage has the same vector of a single number, which no search uses."""

    is_local = True

    @property
    def space(self) -> Space:
        """The space of an index without an embedder. It does not match the space of any other."""
        return Space(WORDS_ONLY, 1)

    @property
    def batch_size(self) -> int:
        """See `Embedder`."""
        return BATCH

    @property
    def max_chars(self) -> int:
        """See `Embedder`."""
        return MAX_CHARS

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        import numpy as np

        return np.ones((len(passages), 1), dtype=np.float32)

    def embed_query(self, text: str) -> Vector:
        """See `Embedder`."""
        import numpy as np

        return np.ones(1, dtype=np.float32)
