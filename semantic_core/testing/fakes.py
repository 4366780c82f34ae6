"""Stand-ins for tests that follow their contracts: two embedders without a model, and an outbox
without a database.

Tested by tests/contracts/test_contract.py and tests/orm/test_pytest_plugin.py.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import Literal, get_args

import numpy as np

from semantic_core.errors import EmbedderError, EmbedderUnavailable, InputError
from semantic_core.types import Ref, Space, Vector, Vectors

Failing = Literal["rate_limit", "timeout", "half"]
"""How a `SimilarEmbedder` can fail, see `SimilarEmbedder.failing`."""

_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 4
_PART_WEIGHT = 2
"""Weights of a word and of a part of a word. They are even, so that the odd number in bucket 0
never becomes 0: every vector has a length.
"""
_SHORTEST = 3
_LONGEST = 5
"""Characters of the parts that `SimilarEmbedder` makes of a word. Three characters still
distinguish words, and parts of six rarely occur in two words.
"""


class HashEmbedder:
    """An embedder for tests in which texts with the same words and letters have similar vectors.
    It needs no model and no network, and gives the same vector on every machine.

    dimensions: of the vectors. batch_size: passages in a call at most; more raise EmbedderError.
    max_chars: characters of a text that it reads; it ignores the rest.

    calls: number of calls of `embed_documents`. texts: all passages it got, in order. queries: all
    queries. fail_with: an error that both methods raise as long as it is set; calls that raise are
    not recorded.
    """

    is_local = True
    """The embedder runs in this process."""

    def __init__(
        self, dimensions: int = 64, *, batch_size: int = 32, max_chars: int = 2_000
    ) -> None:
        self._space = Space("hash", dimensions)
        self._batch_size = batch_size
        self._max_chars = max_chars
        self.calls = 0
        self.texts: list[str] = []
        self.queries: list[str] = []
        self.fail_with: Exception | None = None

    @property
    def space(self) -> Space:
        """The space of the model "hash" with these dimensions."""
        return self._space

    @property
    def batch_size(self) -> int:
        """The most passages in a call."""
        return self._batch_size

    @property
    def max_chars(self) -> int:
        """The most characters of a text that are read."""
        return self._max_chars

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder.embed_documents`."""
        if self.fail_with is not None:
            raise self.fail_with
        if len(passages) > self._batch_size:
            raise EmbedderError(
                f"wanted at most {self._batch_size} passages in a call, got {len(passages)}."
            )
        self.calls += 1
        self.texts.extend(passages)
        rows = [self._vector(passage) for passage in passages]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self._space.dimensions)

    def embed_query(self, text: str) -> Vector:
        """See `Embedder.embed_query`."""
        if self.fail_with is not None:
            raise self.fail_with
        self.queries.append(text)
        return self._vector(text)

    def _vector(self, text: str) -> Vector:
        read = text[: self._max_chars].casefold()
        features: Counter[str] = Counter()
        for word, times in Counter(_WORD.findall(read)).items():
            features[word] += _WORD_WEIGHT * times
        letters = zip(read, read[1:], read[2:], strict=False)
        for trigram, times in Counter(map("".join, letters)).items():
            features[f"\0{trigram}"] += _PART_WEIGHT * times
        return _hashed(features, self._space.dimensions)


class SimilarEmbedder(HashEmbedder):
    """An embedder for tests in which texts with similar words have similar vectors: inflections,
    compounds and typing errors too. It needs no model and no network, and gives the same vector on
    every machine.

    Vectors are made of hashed parts of words, so it does not know what words mean: "car" and
    "automobile" are not similar. calls, texts, queries, fail_with: see `HashEmbedder`.
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
        """Within this block, the embedder fails as a provider does. after: calls of
        `embed_documents` that still succeed.

        how: "rate_limit" (429) and "timeout" raise EmbedderUnavailable, for passages and for
        queries. "half" answers a call with vectors for the first half of its passages only, which
        breaks the contract of an embedder. Any other value raises InputError.
        """
        if how not in get_args(Failing):
            raise InputError(f"how must be one of {', '.join(get_args(Failing))}, got {how!r}.")
        before = self._failing, self._answers_left
        self._failing = how
        self._answers_left = after
        try:
            yield
        finally:
            self._failing, self._answers_left = before

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """See `Embedder.embed_documents`."""
        if self._failing is not None and self._answers_left <= 0:
            self._fail()
            return super().embed_documents(passages)[: len(passages) // 2]
        self._answers_left -= 1
        return super().embed_documents(passages)

    def embed_query(self, text: str) -> Vector:
        """See `Embedder.embed_query`."""
        if self._answers_left <= 0:
            self._fail()
        return super().embed_query(text)

    def _fail(self) -> None:
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
                    features[marked[start : start + size]] += _PART_WEIGHT
        return _hashed(features, self._space.dimensions)


def _hashed(features: Counter[str], dimensions: int) -> Vector:
    """The vector of length 1 that these weighted features give. It is the same on every machine:
    all numbers are whole up to the last division, so the order of additions does not matter.
    """
    buckets = np.zeros(dimensions, dtype=np.int64)
    buckets[0] = 1
    for feature, weight in features.items():
        place, sign = _bucket(feature, dimensions)
        buckets[place] += sign * weight
    length = np.sqrt(float((buckets * buckets).sum()))
    vector: Vector = (buckets / length).astype(np.float32)
    return vector


@lru_cache(maxsize=65_536)
def _bucket(feature: str, dimensions: int) -> tuple[int, int]:
    """The dimension that a feature counts in, and its sign."""
    encoded = feature.encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big")
    return (number >> 1) % dimensions, 1 if number & 1 else -1


class MemoryOutbox:
    """An outbox in memory, to test what processes pending changes.

    attempts: how often a pending change is handed out before it is given up. Call `put` in place of
    a change in an application.

    waiting, leased: addresses by the number of the pending change. reasons: why a pending change
    failed last. given_up: pending changes that are not handed out again.
    """

    def __init__(self, *, attempts: int = 5) -> None:
        self._attempts = attempts
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._taken: Counter[int] = Counter()
        self.waiting: dict[int, Ref] = {}
        self.leased: dict[int, Ref] = {}
        self.given_up: dict[int, Ref] = {}
        self.reasons: dict[int, str] = {}

    def put(self, ref: Ref) -> int:
        """Add a pending change of this document; returns its number."""
        with self._lock:
            number = next(self._numbers)
            self.waiting[number] = ref
            return number

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """See `Outbox.take`."""
        with self._lock:
            taken = sorted(self.waiting.items())[:limit]
            for number, ref in taken:
                del self.waiting[number]
                self.leased[number] = ref
                self._taken[number] += 1
            return taken

    def done(self, numbers: Collection[int]) -> None:
        """See `Outbox.done`."""
        with self._lock:
            for number in numbers:
                self.leased.pop(number, None)
                self.reasons.pop(number, None)

    def failed(self, numbers: Collection[int], reason: str) -> None:
        """See `Outbox.failed`."""
        with self._lock:
            for number in numbers:
                if number in self.leased:
                    back = self.waiting if self._taken[number] < self._attempts else self.given_up
                    back[number] = self.leased.pop(number)
                    self.reasons[number] = reason

    def expire(self) -> None:
        """End every lease, as an outbox does after a worker died."""
        with self._lock:
            self.waiting.update(self.leased)
            self.leased.clear()
