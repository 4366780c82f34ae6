"""The order of everything one search can reach, worked out from the top as far as it is asked for.

It is made in looks of fixed depths. What a look finds that those before did not see stands behind
all of theirs, in the order fusion gives it. How deep a look goes never depends on the page that is
wanted:
so every page is a slice of one order, whatever retrievers and fusion do, as long as they answer the
same question alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import count, islice
from math import inf
from typing import TYPE_CHECKING

import attrs

from semantic_core._fusion import SOURCE
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
    left out, each once. spent: seconds by plugin that retrieves.
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
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._request, self._plugins, self._store, self._timed = request, plugins, store, timed
        self._per_document = per_document
        self._placed: list[Placed] = []
        self._further = self._all()

    def first(self, wanted: int) -> Sequence[Placed]:
        """The first so many; fewer only if there are no more."""
        self._placed += islice(self._further, max(0, wanted - len(self._placed)))
        return self._placed[:wanted]

    def _all(self) -> Iterator[Placed]:
        """Every one, look by look; a look is made when it is needed."""
        seen: set[ChunkId | Ref] = set()
        lowest = inf
        for depth in LOOKS:
            look = self._look(depth)
            ceiling = lowest  # what a later look finds never stands above by its score
            for id, score in zip(look.fused.ids, look.fused.scores, strict=True):
                key = id.ref if self._per_document else id
                if key not in seen:
                    seen.add(key)
                    placed = look.placed(id, min(score, ceiling))
                    lowest = min(lowest, placed.score)
                    yield placed
            if look.saw_everything:
                return

    def _look(self, depth: int) -> _Look:
        request = attrs.evolve(self._request, pool=depth)
        with self._timed("retrieve"):
            found = self._plugins.retrieve(request, self._store)
        self.reasons += [reason for reason in found.reasons if reason not in self.reasons]
        for plugin, spent in found.spent.items():
            self.spent[plugin] += spent
        rankings = [ranking for ranking in found.rankings if len(ranking)]
        fused = Ranking(SOURCE)
        if rankings:
            with self._timed("fuse"):
                fused = self._plugins.fuse(request, rankings, self._store)
        return _Look(fused, rankings, found.saw_everything)


class _Look:
    """What one look found. saw_everything: no lane has more to give."""

    def __init__(self, fused: Ranking, rankings: Sequence[Ranking], saw_everything: bool) -> None:
        self.fused, self.saw_everything = fused, saw_everything
        self._places = [
            (ranking, dict(zip(ranking.ids, count(), strict=False))) for ranking in rankings
        ]

    def placed(self, id: ChunkId, score: float) -> Placed:
        """A chunk of the order, with what each lane that listed it said."""
        ranks: dict[str, int] = {}
        scores: dict[str, float] = {}
        for ranking, places in self._places:
            place = places.get(id)
            if place is not None:
                ranks[ranking.source] = place + 1
                scores[ranking.source] = ranking.scores[place]
        return Placed(id, score, ranks, scores)
