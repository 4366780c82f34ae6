"""Embeds passages: each one once, in full batches. A failure is reported and raises no error.

Tested by tests/kernel/test_ingest.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semantic_core._no_embedder import WordsOnly
from semantic_core._validation import described
from semantic_core._vectors import checked_vectors
from semantic_core.errors import (
    ConfigError,
    EmbedderError,
    EmbeddingInvalid,
    StoreError,
    StoreMisuse,
    is_interruption,
)
from semantic_core.protocols import VectorQueue
from semantic_core.types import Failure

if TYPE_CHECKING:
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Vector

logger = logging.getLogger("semantic_core.batch")

GIVE_UP = 8
"""After this many single passages refused in a row, and none accepted, the embedder counts as
unavailable.
"""
HARMLESS = "semantic core"
"""A passage that every embedder accepts, if it accepts any."""


class PassageEmbedder:
    """Embeds passages for one run.

    A passage that the embedder refuses is found by halving its batch, so the others get their
    vectors. If an answer has an invalid vector, the other vectors are used.

    unavailable: why the embedder is not called any more in this run, else None; cause: the error
    itself. refused: reasons by passage. embedded: how many passages the embedder answered.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._counts = not isinstance(embedder, WordsOnly)
        self._refused_in_a_row = 0
        self._proven = False
        self.unavailable: Failure | None = None
        self.cause: Exception | None = None
        self.refused: dict[str, Failure] = {}
        self.embedded = 0

    @property
    def batch_size(self) -> int:
        """Most passages of one call."""
        return max(1, self._embedder.batch_size)

    def embed(self, passages: Sequence[str]) -> list[Vector | None]:
        """One vector per passage, in order; None for a passage without one, see `unavailable` and
        `refused` for the reason.
        """
        if not passages or self.unavailable:
            return [None] * len(passages)
        try:
            vectors = self._checked(passages, self._embedder.embed_documents(passages))
        except Exception as error:
            if is_interruption(error):
                raise
            # Raised by third-party code; the reason is reported.
            return self._divided(passages, error)
        self.embedded += len(passages) if self._counts else 0
        self._refused_in_a_row = 0
        return vectors

    def check_accepts_any(self) -> None:
        """Raise the embedder's error if it accepts no passage at all, neither before in this run
        nor now. If it does accept one, refused passages are themselves the reason.
        """
        if self.embedded == 0 and not self._proven:
            checked_vectors(self._embedder.embed_documents([HARMLESS]), 1, self._embedder.space)
            self._proven = True
            self.unavailable = None
            self.cause = None

    def _checked(self, passages: Sequence[str], given: Any) -> list[Vector | None]:
        space = self._embedder.space
        try:
            return list(checked_vectors(given, len(passages), space))
        except EmbeddingInvalid:
            if not hasattr(given, "__len__") or len(given) != len(passages):
                raise
            vectors: list[Vector | None] = []
            refused: dict[str, Failure] = {}
            for passage, vector in zip(passages, given, strict=True):
                try:
                    vectors.append(checked_vectors([vector], 1, space)[0])
                except EmbeddingInvalid as error:
                    vectors.append(None)
                    refused[passage] = _failure("", error)
            if all(vector is None for vector in vectors):
                raise
            self.refused |= refused
            return vectors

    def _divided(self, passages: Sequence[str], error: Exception) -> list[Vector | None]:
        if _concerns_all_passages(error):
            self._stop_calling(error)
            return [None] * len(passages)
        if len(passages) > 1:
            middle = len(passages) // 2
            return [*self.embed(passages[:middle]), *self.embed(passages[middle:])]
        self.refused[passages[0]] = _failure("", error)
        self._refused_in_a_row += 1
        if self.embedded == 0 and not self._proven and self._refused_in_a_row >= GIVE_UP:
            self._stop_calling(error)
        return [None]

    def _stop_calling(self, error: Exception) -> None:
        self.unavailable = _failure("embedder", error)
        self.cause = error


def _concerns_all_passages(error: Exception) -> bool:
    """Whether any other passage would have caused the same error."""
    retryable = getattr(error, "retryable", False) is True
    return retryable or isinstance(error, ConfigError | StoreError)


def _failure(what: str, error: Exception) -> Failure:
    return Failure(what, type(error).__name__, described(error))


class PendingPassages:
    """The passages of a store's chunks without a vector, in one pass over the queue.

    except_for: fingerprints to leave out.
    """

    def __init__(self, store: VectorQueue, except_for: Collection[str]) -> None:
        self._store = store
        self._except_for = except_for
        self._last = -1

    def take(self, limit: int) -> Mapping[str, str]:
        """The next passages by fingerprint, each once, up to `limit`; {} at the end."""
        passages: dict[str, str] = {}
        while len(passages) < limit:
            page = self._store.pending(limit - len(passages), self._last)
            if not page:
                break
            self._last = page[-1].place
            for chunk in page:
                if chunk.fingerprint not in self._except_for:
                    passages[chunk.fingerprint] = chunk.passage
        return passages


def embed_pending(
    store: Store | VectorQueue,
    embedder: Embedder,
    limit: int | None = None,
    *,
    take: Callable[[int], Mapping[str, str]] | None = None,
    done: Callable[[], None] | None = None,
    filled_some: Callable[[int], None] | None = None,
    give_up: Callable[[Mapping[str, str]], None] | None = None,
) -> int:
    """Embed up to `limit` stored passages without a vector (None: all). Returns how many chunks got
    a vector.

    A passage that the embedder refuses does not stop the others.

    take: returns the next passages, instead of the store's queue. done: called after a batch is
    stored. filled_some: called with how many chunks of a batch got a vector. give_up: called with
    the reasons for refused passages, by fingerprint; without it they stay in the queue, and an
    EmbedderError names one at the end. Raises EmbedderError as soon as the embedder accepts nothing
    any more; vectors stored until then stay. Raises StoreMisuse for a store without a queue.
    """
    if not isinstance(store, VectorQueue):
        raise StoreMisuse(
            f"{type(store).__name__} has no queue of passages without a vector.",
            hint="Ingest the documents again.",
        )
    run = PassageEmbedder(embedder)
    refused: dict[str, str] = {}  # those that stay in the queue
    if take is None:
        take = PendingPassages(store, refused).take
    filled = 0
    given = 0
    while limit is None or given < limit:
        size = run.batch_size if limit is None else min(run.batch_size, limit - given)
        passages = take(size)
        if not passages:
            break
        vectors: dict[str, Vector] = {}
        why: dict[str, str] = {}
        answers = run.embed(list(passages.values()))
        for (name, passage), vector in zip(passages.items(), answers, strict=True):
            if vector is not None:
                vectors[name] = vector
            elif passage in run.refused:
                why[name] = run.refused[passage].reason
        chunks = store.fill(vectors) if vectors else 0
        filled += chunks
        if chunks and filled_some is not None:
            filled_some(chunks)
        cause = run.cause
        if why and (cause is None or not _concerns_all_passages(cause)):
            _settle_refused(run, why, give_up, refused)
        if run.cause is not None:
            raise run.cause
        given += len(passages)
        if done is not None:
            done()
    if refused:
        name, reason = next(iter(refused.items()))
        raise EmbedderError(
            f"Passages that the embedder refused: {len(refused)}, one of them {name}: {reason}",
            hint="The others have their vectors. Change these texts, or remove them.",
        )
    return filled


def _settle_refused(
    run: PassageEmbedder,
    why: Mapping[str, str],
    give_up: Callable[[Mapping[str, str]], None] | None,
    refused: dict[str, str],
) -> None:
    """Give these passages up if they are the reason. Raises the embedder's error if not."""
    run.check_accepts_any()
    if give_up is None:
        refused.update(why)
        return
    logger.warning("Passages given up: %d, one of them for: %s", len(why), next(iter(why.values())))
    give_up(why)
