"""What the retrievers of one search gave, and what of a plugin's ranking may count:
nothing out of the scope, nothing that is not in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from semantic_core.protocols import Store
from semantic_core.types import ChunkId, Ranking, Scope


class Retrieved(NamedTuple):
    """The rankings of one look.

    reasons: why a plugin was left out, or ids of its ranking. saw_everything: no retriever has
    more to give. spent: seconds by plugin, the kernel's own left out.
    """

    rankings: Sequence[Ranking]
    reasons: Sequence[str]
    saw_everything: bool
    spent: Mapping[str, float]


def held(ranking: Ranking, scope: Scope, store: Store, known: Set[ChunkId]) -> tuple[Ranking, str]:
    """The ranking without what is out of the scope, and what that was; without what is gone,
    which is nobody's fault: the service behind a retriever may lag.

    known: ids that need not be looked up, because the kernel's own retrievers found them.
    """
    outside = {id: why for id in ranking.ids if (why := _outside(id, scope))}
    doubtful = [id for id in ranking.ids if id not in outside and id not in known]
    found = store.fetch(doubtful) if doubtful else ()
    there = {stored.chunk.id: stored.metadata for stored in found}
    for id, metadata in there.items():
        if not scope.filter.matches(metadata):
            outside[id] = "that where leaves out"
    gone = {id for id in doubtful if id not in there}
    kept = [
        (id, score)
        for id, score in zip(ranking.ids, ranking.scores, strict=True)
        if id not in outside and id not in gone
    ]
    left = Ranking(ranking.source, tuple(id for id, _ in kept), tuple(score for _, score in kept))
    if not outside:
        return left, ""
    # Not how many there are: that would tell one tenant of another's documents.
    return (
        left,
        f"wanted ids within the scope, got some {' and '.join(sorted({*outside.values()}))}",
    )


def _outside(id: ChunkId, scope: Scope) -> str:
    """Why an id is not within tenant and collections; "" if it is."""
    if id.ref.tenant != scope.tenant:
        return "of another tenant"
    if scope.collections is not None and id.ref.collection not in scope.collections:
        return "of another collection"
    return ""
