"""An embedder for the tests of applications: similar strings are near,
and it fails on request like a provider does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np

from semantic_core.errors import EmbedderUnavailable, InputError
from semantic_core.testing._fakes import HashEmbedder, _bucket
from semantic_core.types import Space, Vector, Vectors

Failing = Literal["rate_limit", "timeout", "half"]
_WORD = re.compile(r"\w+")
_SHORTEST, _LONGEST = 3, 5
"""Characters of the n-grams a word is taken apart into: three still tell words apart,
six hardly ever meet again.
"""
_WORD_WEIGHT, _GRAM_WEIGHT = 4, 2
"""Even, so that the odd mark on bucket 0 can never be cancelled:
no text has a vector of no length.
"""


class SimilarEmbedder(HashEmbedder):
    """Texts with similar words are near: inflections, compounds and typing errors too.

    No model, no network, no chance.

    Vectors are made of hashed parts of words, so it knows nothing of meaning: "car" and
    "automobile" are strangers. The same vector on every machine. calls, texts, queries, fail_with:
    as `HashEmbedder` has them.
    """

    is_local = True

    def __init__(
        self, dimensions: int = 512, *, batch_size: int = 32, max_chars: int = 2_000
    ) -> None:
        super().__init__(dimensions, batch_size=batch_size, max_chars=max_chars)
        self._space = Space("similar", dimensions)
        self._failing: Failing | None = None
        self._answers_left = 0

    @contextmanager
    def failing(self, how: Failing = "rate_limit", *, after: int = 0) -> Iterator[None]:
        """Within it, the embedder fails as a provider does, after `after` calls of
        `embed_documents` that still succeed.

        how: "rate_limit" (429) and "timeout" raise EmbedderUnavailable, for passages and for
        queries; "half" answers a call with vectors for the first half of its passages only, which
        breaks the contract of an embedder.
        """
        if how not in get_args(Failing):
            raise InputError(f"how must be one of {', '.join(get_args(Failing))}, got {how!r}.")
        before = self._failing, self._answers_left
        self._failing, self._answers_left = how, after
        try:
            yield
        finally:
            self._failing, self._answers_left = before

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder.embed_documents`."""
        if self._failing is not None and self._answers_left <= 0:
            self._stumble()
            return super().embed_documents(passages)[: len(passages) // 2]
        self._answers_left -= 1
        return super().embed_documents(passages)

    def embed_query(self, text: str) -> Vector:
        """See `Embedder.embed_query`."""
        if self._answers_left <= 0:
            self._stumble()
        return super().embed_query(text)

    def _stumble(self) -> None:
        if self._failing == "rate_limit":
            raise EmbedderUnavailable(
                "429: too many requests, says the test.", hint="It was asked to fail."
            )
        if self._failing == "timeout":
            raise EmbedderUnavailable(
                "The provider did not answer in time, says the test."
            ) from TimeoutError()

    def _vector(self, text: str) -> Vector:
        read = text[: self._max_chars].casefold()
        features: Counter[str] = Counter()
        for word in _WORD.findall(read) or [read]:
            marked = f"<{word}>"
            features[marked] += _WORD_WEIGHT
            for size in range(_SHORTEST, _LONGEST + 1):
                for start in range(len(marked) - size + 1):
                    features[marked[start : start + size]] += _GRAM_WEIGHT
        # Whole numbers up to the one division at the end: no order of adding, no machine can change
        # the result.
        buckets = np.zeros(self._space.dimensions, dtype=np.int64)
        buckets[0] = 1
        for feature, weight in features.items():
            place, sign = _bucket(feature, self._space.dimensions)
            buckets[place] += sign * weight
        vector: Vector = (buckets / np.sqrt(float((buckets * buckets).sum()))).astype(np.float32)
        return vector
