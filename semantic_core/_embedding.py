"""Passages to vectors: every passage once, full batches,
and a gap that is said aloud instead of an exception.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from semantic_core._interruption import is_interruption
from semantic_core._vectors import checked_vectors
from semantic_core._words_only import WordsOnly
from semantic_core.errors import SemanticCoreError, StoreMisuse
from semantic_core.protocols import VectorQueue
from semantic_core.types import Failure

if TYPE_CHECKING:
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Vector

GIVE_UP = 8
"""Single passages refused in a row, with none accepted yet,
after which the embedder counts as away.
"""


class PassageEmbedder:
    """Embeds passages for one run.

    away: why the embedder is not asked any more in this run, "" while it is. embedded: passages it
    was given and answered. A passage it refuses is found by halving its batch; the rest of the
    batch is not lost.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._counts = not isinstance(embedder, WordsOnly)
        self._refused_in_a_row = 0
        self.away: Failure | None = None
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
            vectors = checked_vectors(
                self._embedder.embed_documents(passages), len(passages), self._embedder.space
            )
        except Exception as error:
            if is_interruption(error):
                raise
            # Third-party code; the reason goes into the report.
            return self._divided(passages, error)
        self.embedded += len(passages) if self._counts else 0
        self._refused_in_a_row = 0
        return list(vectors)

    def _divided(self, passages: Sequence[str], error: Exception) -> list[Vector | None]:
        if isinstance(error, SemanticCoreError) and error.retryable:
            self.away = _failure("embedder", error)
            return [None] * len(passages)
        if len(passages) > 1:
            middle = len(passages) // 2
            return [*self.embed(passages[:middle]), *self.embed(passages[middle:])]
        self.refused[passages[0]] = _failure("", error)
        self._refused_in_a_row += 1
        if self.embedded == 0 and self._refused_in_a_row >= GIVE_UP:
            self.away = _failure("embedder", error)
        return [None]


class EmbeddingLine:
    """Batches on their way through the embedder, in order, one at a time.

    aside: in a thread of their own, so that the run goes on meanwhile. most: passages under way at
    which `put` waits. Its length is how many passages are under way, and ``name in line`` says
    whether one of that name is. A run of a single batch needs no thread.
    """

    def __init__(self, passages: PassageEmbedder, *, aside: bool, most: int) -> None:
        self._passages, self._aside, self._most = passages, aside, most
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
        names, texts = list(batch), list(batch.values())
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
        done, self._done = self._done, {}
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


def _failure(what: str, error: Exception) -> Failure:
    reason = (
        str(error) if isinstance(error, SemanticCoreError) else f"{type(error).__name__}: {error}"
    )
    return Failure(what, type(error).__name__, reason)


def embed_pending(
    store: Store,
    embedder: Embedder,
    limit: int | None = None,
    *,
    take: Callable[[int], Mapping[str, str]] | None = None,
    done: Callable[[], None] | None = None,
) -> int:
    """Give stored passages that have no vector theirs, up to `limit` of them (None: all);
    how many chunks were filled.

    take: where to take them from, instead of the store's queue. done: called when those that were
    taken have theirs. Raises EmbedderError as soon as the embedder does; what was filled until then
    stays. StoreMisuse: the store has no queue.
    """
    if not isinstance(store, VectorQueue):
        raise StoreMisuse(
            f"{type(store).__name__} keeps no queue of passages without a vector.",
            hint="Ingest them again.",
        )
    filled = given = 0
    while limit is None or given < limit:
        size = embedder.batch_size if limit is None else min(embedder.batch_size, limit - given)
        passages = (take or store.pending)(size)
        if not passages:
            break
        vectors = checked_vectors(
            embedder.embed_documents(list(passages.values())), len(passages), embedder.space
        )
        filled += store.fill(dict(zip(passages, vectors, strict=True)))
        given += len(passages)
        if done is not None:
            done()
    return filled
