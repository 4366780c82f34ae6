"""Passages to vectors: every passage once, full batches,
and a gap that is said aloud instead of an exception.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
"""Single passages refused in a row, with none accepted yet,
after which the embedder counts as away.
"""
HARMLESS = "semantic core"
"""A passage no embedder refuses that accepts any."""


class PassageEmbedder:
    """Embeds passages for one run.

    away: why the embedder is not asked any more in this run, None while it is; cause: the error
    itself. embedded: passages it was given and answered. A passage it refuses is found by halving
    its batch; the rest of the batch is not lost. Of an answer with a vector that is none, the
    others are kept.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._counts = not isinstance(embedder, WordsOnly)
        self._refused_in_a_row = 0
        self._proven = False
        self.away: Failure | None = None
        self.cause: Exception | None = None
        self.refused: dict[str, Failure] = {}
        self.embedded = 0

    @property
    def batch_size(self) -> int:
        """Passages one call takes at most."""
        return max(1, self._embedder.batch_size)

    def embed(self, passages: Sequence[str]) -> list[Vector | None]:
        """One vector per passage, in order; None where there is none,
        see `away` and `refused` for the reason.
        """
        if not passages or self.away:
            return [None] * len(passages)
        try:
            vectors = self._checked(passages, self._embedder.embed_documents(passages))
        except Exception as error:
            if is_interruption(error):
                raise
            # Third-party code; the reason goes into the report.
            return self._divided(passages, error)
        self.embedded += len(passages) if self._counts else 0
        self._refused_in_a_row = 0
        return vectors

    def check_accepts_any(self) -> None:
        """Raise the embedder's error unless it accepts passages at all: it has in this run, or
        does so now. Where it does, what it refused is refused for its own sake.
        """
        if self.embedded == 0 and not self._proven:
            checked_vectors(self._embedder.embed_documents([HARMLESS]), 1, self._embedder.space)
            self._proven = True
            self.away = None
            self.cause = None

    def _checked(self, passages: Sequence[str], given: Any) -> list[Vector | None]:
        space = self._embedder.space
        try:
            return list(checked_vectors(given, len(passages), space))
        except EmbeddingInvalid:
            if not hasattr(given, "__len__") or len(given) != len(passages):
                raise
            found: list[Vector | None] = []
            refused: dict[str, Failure] = {}
            for passage, vector in zip(passages, given, strict=True):
                try:
                    found.append(checked_vectors([vector], 1, space)[0])
                except EmbeddingInvalid as error:
                    found.append(None)
                    refused[passage] = _failure("", error)
            if all(vector is None for vector in found):
                raise
            self.refused |= refused
            return found

    def _divided(self, passages: Sequence[str], error: Exception) -> list[Vector | None]:
        if _is_no_passages_fault(error):
            self._ask_no_more(error)
            return [None] * len(passages)
        if len(passages) > 1:
            middle = len(passages) // 2
            return [*self.embed(passages[:middle]), *self.embed(passages[middle:])]
        self.refused[passages[0]] = _failure("", error)
        self._refused_in_a_row += 1
        if self.embedded == 0 and not self._proven and self._refused_in_a_row >= GIVE_UP:
            self._ask_no_more(error)
        return [None]

    def _ask_no_more(self, error: Exception) -> None:
        self.away = _failure("embedder", error)
        self.cause = error


class EmbeddingLine:
    """Batches on their way through the embedder, in order, one at a time.

    aside: in a thread of their own, so that the run goes on meanwhile. most: passages under way at
    which `put` waits. Its length is how many passages are under way, and ``name in line`` says
    whether one of that name is. A run of a single batch needs no thread.
    """

    def __init__(self, passages: PassageEmbedder, *, aside: bool, most: int) -> None:
        self._passages = passages
        self._aside = aside
        self._most = most
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: dict[str, None] = {}
        self._batches: deque[tuple[list[str], Future[list[Vector | None]]]] = deque()
        self._done: dict[str, Vector | None] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, name: str) -> bool:
        return name in self._under_way

    def put(self, batch: Mapping[str, str], *, last: bool = False) -> None:
        """Send passages by name. last: nothing else is to be done meanwhile,
        so none needs a thread for it.
        """
        names = list(batch)
        texts = list(batch.values())
        if not self._aside or (last and not self._batches):
            self._done.update(zip(names, self._passages.embed(texts), strict=True))
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "semantic-core-embed")
        while self._batches and len(self._under_way) + len(names) > self._most:
            self._take()
        self._under_way.update(dict.fromkeys(names))
        self._batches.append((names, self._thread.submit(self._passages.embed, texts)))

    def finished(self, *, everything: bool) -> Mapping[str, Vector | None]:
        """The vectors that have come since the last call, by name.
        everything: waits for those under way.
        """
        while self._batches and (everything or self._batches[0][1].done()):
            self._take()
        done = self._done
        self._done = {}
        return done

    def close(self) -> None:
        """Drop what has not begun; what has ends in its own time."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> None:
        names, future = self._batches.popleft()
        self._done.update(zip(names, future.result(), strict=True))
        for name in names:
            del self._under_way[name]


def _is_no_passages_fault(error: Exception) -> bool:
    """Whether any other passage would have met the same error."""
    return isinstance(error, ConfigError | StoreError) or getattr(error, "retryable", False) is True


def _failure(what: str, error: Exception) -> Failure:
    return Failure(what, type(error).__name__, described(error))


def embed_pending(
    store: Store,
    embedder: Embedder,
    limit: int | None = None,
    *,
    take: Callable[[int], Mapping[str, str]] | None = None,
    done: Callable[[], None] | None = None,
    give_up: Callable[[Mapping[str, str]], None] | None = None,
) -> int:
    """Give stored passages that have no vector theirs, up to `limit` of them (None: all);
    how many chunks were filled.

    A passage the embedder refuses does not stop the others.

    take: where to take them from, instead of the store's queue. done: called when those that were
    taken have theirs. give_up: called with why each refused passage has none, by fingerprint;
    without it they stay in the queue, and are named by an EmbedderError at the end. Raises
    EmbedderError as soon as the embedder accepts nothing any more; what was filled until then
    stays. StoreMisuse: the store has no queue.
    """
    if not isinstance(store, VectorQueue):
        raise StoreMisuse(
            f"{type(store).__name__} keeps no queue of passages without a vector.",
            hint="Ingest them again.",
        )
    run = PassageEmbedder(embedder)
    refused: dict[str, str] = {}  # those that stay in the queue
    filled = given = 0
    while limit is None or given < limit:
        size = run.batch_size if limit is None else min(run.batch_size, limit - given)
        waiting = (take or store.pending)(size + len(refused))
        passages = {name: text for name, text in waiting.items() if name not in refused}
        if not passages:
            break
        vectors = dict(zip(passages, run.embed(list(passages.values())), strict=True))
        found = {name: vector for name, vector in vectors.items() if vector is not None}
        filled += store.fill(found) if found else 0
        cause = run.cause
        why = {
            name: run.refused[passage].reason
            for name, passage in passages.items()
            if name not in found and passage in run.refused
        }
        if why and (cause is None or not _is_no_passages_fault(cause)):
            _settle_refused(run, why, give_up, refused)
        if run.cause is not None:
            raise run.cause
        given += len(passages)
        if done is not None:
            done()
    if refused:
        name, reason = next(iter(refused.items()))
        raise EmbedderError(
            f"Passages that are refused: {len(refused)}, one of them {name}: {reason}",
            hint="The others have their vectors. Change these texts, or remove them.",
        )
    return filled


def _settle_refused(
    run: PassageEmbedder,
    why: Mapping[str, str],
    give_up: Callable[[Mapping[str, str]], None] | None,
    refused: dict[str, str],
) -> None:
    """Give these passages up, if it is them the embedder refuses. Raises its error if it is not."""
    run.check_accepts_any()
    if give_up is None:
        refused.update(why)
        return
    logger.warning("Passages given up: %d, one of them for: %s", len(why), next(iter(why.values())))
    give_up(why)
