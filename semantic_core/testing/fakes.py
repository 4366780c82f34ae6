"""Stand-ins that keep their contract: an embedder without a model, an outbox without a database."""

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

_WORD = re.compile(r"\w+")
_WORD_WEIGHT = 4
_TRIGRAM_WEIGHT = 2
"""Even, so that the odd mark on bucket 0 can never be cancelled:
no text has a vector of no length.
"""


class HashEmbedder:
    """An embedder in which texts with the same words and letters are near;
    the same vector on every machine, no network.

    dimensions, batch_size, max_chars: as an embedder has them; a larger batch is refused
    (EmbedderError), a longer text is read up to max_chars.

    calls: how often `embed_documents` was called. texts: every passage it was given, in order.
    queries: every query.
    fail_with: an error that both methods raise for as long as it is set; what was asked meanwhile
    is not recorded.
    """

    is_local = True
    """It runs in this process."""

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
        """Model "hash", so many dimensions."""
        return self._space

    @property
    def batch_size(self) -> int:
        """Texts one call takes at most."""
        return self._batch_size

    @property
    def max_chars(self) -> int:
        """Longest passage read whole."""
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
        for trigram, times in Counter(
            map("".join, zip(read, read[1:], read[2:], strict=False))
        ).items():
            features[f"\0{trigram}"] += _TRIGRAM_WEIGHT * times
        # Whole numbers up to the one division at the end: no order of adding, no machine can change
        # the result.
        buckets = np.zeros(self._space.dimensions, dtype=np.int64)
        buckets[0] = 1
        for feature, weight in features.items():
            place, sign = _bucket(feature, self._space.dimensions)
            buckets[place] += sign * weight
        vector: Vector = (buckets / np.sqrt(float((buckets * buckets).sum()))).astype(np.float32)
        return vector


@lru_cache(maxsize=65_536)
def _bucket(feature: str, dimensions: int) -> tuple[int, int]:
    number = int.from_bytes(
        blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
    return (number >> 1) % dimensions, 1 if number & 1 else -1


class MemoryOutbox:
    """An outbox in memory, to test what processes pending changes.

    `put` adds a pending change, as an application does when it changes a row. attempts: how often a
    change is taken before it is given up. waiting, leased, given_up: refs by the number of their
    change; changes given up are not taken again. reasons: of the last failure, by number.
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
        """Add a pending change; return its number."""
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
        """Take back every lease, as an outbox does after a worker died."""
        with self._lock:
            self.waiting.update(self.leased)
            self.leased.clear()


# An embedder for the tests of applications: similar strings are near,
# and it fails on request like a provider does.

Failing = Literal["rate_limit", "timeout", "half"]
_SHORTEST = 3
_LONGEST = 5
"""Characters of the n-grams a word is taken apart into: three still tell words apart,
six hardly ever meet again.
"""
_SIMILAR_WORD_WEIGHT = 4
_GRAM_WEIGHT = 2
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
        self._failing = how
        self._answers_left = after
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
            features[marked] += _SIMILAR_WORD_WEIGHT
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
