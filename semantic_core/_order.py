"""The order of everything one search can reach, worked out from the top as far as it is asked for.

It is made in looks of fixed depths. What a look finds that those before did not see stands behind
all of theirs, in the order fusion gives it. How deep a look goes never depends on the page that is
wanted:
so every page is a slice of one order, whatever retrievers and fusion do, as long as they answer the
same question alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import attrs

from semantic_core.types import ChunkId, Ranking, Ref, SearchRequest

if TYPE_CHECKING:
    from semantic_core._plugins import Plugins
    from semantic_core.protocols import Store

LOOKS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
"""Candidates each lane gives at most, look by look. A document of more chunks than the last may
crowd out others."""


@attrs.frozen
class Placed:
    """A chunk in its place. ranks, scores: of the lanes that listed it in the
    look that found it.
    """

    id: ChunkId
    score: float
    ranks: Mapping[str, int]
    scores: Mapping[str, float]


class Order:
    """The order of one request. per_document: the best chunk of each document;
    otherwise every chunk.

    timed: gives a context in which the step of that name is timed. reasons: why retrievers were
    left out, each once.
    """

    def __init__(
        self,
        request: SearchRequest,
        plugins: Plugins,
        store: Store,
        timed: Callable[[str], AbstractContextManager[None]],
        *,
        per_document: bool,
    ) -> None:
        self.reasons: list[str] = []
        self._request, self._plugins, self._store, self._timed = request, plugins, store, timed
        self._per_document = per_document
        self._placed: list[Placed] = []
        self._seen: set[ChunkId | Ref] = set()
        self._depths: Iterator[int] = iter(LOOKS)
        self._ended = False

    def first(self, count: int) -> Sequence[Placed]:
        """The first so many; fewer only if there are no more."""
        while len(self._placed) < count and not self._ended:
            depth = next(self._depths, None)
            if depth is None:
                self._ended = True
            else:
                self._look(depth)
        return self._placed[:count]

    def _look(self, depth: int) -> None:
        request = attrs.evolve(self._request, pool=depth)
        with self._timed("retrieve"):
            rankings, reasons = self._plugins.retrieve(request, self._store)
        self.reasons += [reason for reason in reasons if reason not in self.reasons]
        self._ended = all(len(ranking) < depth for ranking in rankings)
        rankings = [ranking for ranking in rankings if len(ranking)]
        with self._timed("fuse"):
            if rankings:
                self._append(self._plugins.fuse(request, rankings, self._store), rankings)

    def _append(self, fused: Ranking, rankings: Sequence[Ranking]) -> None:
        """Put what is new behind what is there, and never above it by its score."""
        ceiling = min((placed.score for placed in self._placed), default=None)
        found = {ranking.source: _places(ranking) for ranking in rankings}
        for id, score in zip(fused.ids, fused.scores, strict=True):
            key = id.ref if self._per_document else id
            if key in self._seen:
                continue
            self._seen.add(key)
            listed = {source: places[id] for source, places in found.items() if id in places}
            self._placed.append(
                Placed(
                    id,
                    score if ceiling is None else min(score, ceiling),
                    {source: place for source, (place, _) in listed.items()},
                    {source: given for source, (_, given) in listed.items()},
                )
            )


def _places(ranking: Ranking) -> Mapping[ChunkId, tuple[int, float]]:
    """The place, from 1, and the score of each id."""
    pairs = zip(ranking.ids, ranking.scores, strict=True)
    return {id: (place, score) for place, (id, score) in enumerate(pairs, 1)}
