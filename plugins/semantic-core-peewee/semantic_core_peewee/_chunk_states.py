"""In which state chunks are: READY, SUBMITTED, FAILED or PENDING, each derived from what is stored.

See `BatchQueue`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from semantic_core.batch import STATUSES, ChunkStatus, QueueStats
from semantic_core.types import ChunkId, Failure, Ref
from semantic_core_peewee._ids import rows_of
from semantic_core_peewee._pool import View
from semantic_core_peewee._queue import NOT_HELD

_HELD = (
    "exists (select 1 from claim as k where k.generation = c.generation "
    "and k.fingerprint = c.fingerprint)"
)
_TROUBLE = (
    "(select t.error from trouble as t where t.generation = c.generation "
    "and t.fingerprint = c.fingerprint and t.failed)"
)
_STATE = f"c.vector is not null, {_HELD}, {_TROUBLE}"
_MINE = (
    "(:tenant is null or (select d.tenant from document as d where d.id = c.document) = :tenant)"
)
_ALL = f"""select count(*) from chunk as c indexed by chunk_waiting
    where c.generation = :generation and c.vector is null and {_MINE}"""  # noqa: S608 - ours
_FREE = f"""select {_TROUBLE} is not null, count(*), count(distinct c.fingerprint), min(c.id)
    from chunk as c indexed by chunk_waiting
    where c.generation = :generation and c.vector is null and {NOT_HELD} and {_MINE} group by 1"""  # noqa: S608 - ours
_GIVEN_UP = f"""select d.tenant, d.collection, d.key, c.position, {_TROUBLE} as why
    from chunk as c indexed by chunk_waiting cross join document as d
    where c.generation = ? and c.vector is null and d.id = c.document and why is not null
    and not {_HELD} order by c.id limit ?"""  # noqa: S608 - ours
_SINCE = (
    "select d.updated_at from chunk as c join document as d on d.id = c.document where c.id = ?"
)


def chunk_states(view: View, ids: Sequence[ChunkId]) -> list[tuple[ChunkStatus, str] | None]:
    """The state of each, with the reason of a FAILED one."""
    found: dict[int, tuple[ChunkStatus, str]] = {}
    for place, ready, held, trouble in rows_of(view, ids, _STATE):
        state: ChunkStatus = (
            "READY"
            if ready
            else "SUBMITTED"
            if held
            else "PENDING"
            if trouble is None
            else "FAILED"
        )
        found[place] = (state, trouble if state == "FAILED" else "")
    return [found.get(place) for place in range(len(ids))]


def given_up(view: View, limit: int) -> list[Failure]:
    """Chunks of the state FAILED, oldest first."""
    return [
        Failure(str(ChunkId(Ref(collection, key, tenant), position)), "FAILED", why)
        for tenant, collection, key, position, why in view.raw.execute(
            _GIVEN_UP, (view.generation, limit)
        )
    ]


def queue_stats(view: View, tenant: str | None, chunks: int) -> QueueStats:
    """Chunks by state. chunks: how many there are in all."""
    values = {"generation": view.generation, "tenant": tenant}
    free = {bool(row[0]): row[1:] for row in view.raw.execute(_FREE, values)}
    failed, (pending, passages, first) = free.get(True, (0,))[0], free.get(False, (0, 0, None))
    waiting = int(view.raw.execute(_ALL, values).get)
    since = view.raw.execute(_SINCE, (first,)).get if pending else None
    jobs = dict.fromkeys(STATUSES, 0)
    jobs.update(view.raw.execute("select status, count(*) from batch_job group by status"))
    return QueueStats(
        ready=chunks - waiting,
        pending=pending,
        submitted=waiting - pending - failed,
        failed=failed,
        passages=passages,
        oldest_at=datetime.fromisoformat(since).timestamp() if since else 0.0,
        jobs=jobs,
    )
