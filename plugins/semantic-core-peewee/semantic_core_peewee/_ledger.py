"""The ledger of batch jobs: opened with what they hold, noted, settled page by page, closed once.

See `BatchQueue`.

Every change of a job asks for the status it starts from, in the statement that makes it: of two who
do the same, one does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from semantic_core.batch import LONGEST_HOLD, OPEN, BatchJob, JobStatus, Rate, Rest
from semantic_core_peewee import _queue
from semantic_core_peewee._costs import charge, charge_results
from semantic_core_peewee._pool import View
from semantic_core_peewee._vector_rows import fill_waiting

_FIELDS = tuple(field.name for field in attrs.fields(BatchJob))
_COLUMNS = ", ".join(_FIELDS)
_OPEN = f"status in ({', '.join(f'{status!r}' for status in OPEN)})"
_ADD = f"""insert into batch_job ({_COLUMNS}, generation, most)
    values ({", ".join(f":{name}" for name in _FIELDS)}, :generation, :most) returning number"""  # noqa: S608 - ours
_FIND = f"select {_COLUMNS} from batch_job where id = ?"  # noqa: S608 - our own columns
# Our own columns.
_LIST = f"""select {_COLUMNS} from batch_job where {{part}}
    and (:statuses is null or status in (select value from json_each(:statuses)))
    and (:cleaned is null or cleaned = :cleaned) order by number desc limit :limit"""  # noqa: S608
_LIST_ALL, _LIST_OPEN, _LIST_UNCLEAN = (
    _LIST.format(part=part) for part in ("1", _OPEN, "not cleaned")
)
_LEASE = """update batch_job set owner = :owner, leased_until = :until, updated_at = :now
    where id = :id and status = 'CREATED' and (owner in ('', :owner)
    or leased_until <= :now or leased_until > :latest)"""
_NOTE = f"""update batch_job set
    status = case when :status is null or (:status = 'SUBMITTED' and status = 'PROCESSING')
    then status else :status end,
    submitted_at = case when :status is not null and submitted_at = 0 then :now else submitted_at
    end, provider_job = coalesce(:provider_job, provider_job), tokens = coalesce(:tokens, tokens),
    tries = coalesce(:tries, tries), error = coalesce(:error, error),
    answered_at = coalesce(:answered_at, answered_at),
    cancelled_at = coalesce(:cancelled_at, cancelled_at),
    leased_until = coalesce(:leased_until, leased_until), account = coalesce(:account, account),
    updated_at = :now
    where id = :id and {_OPEN} and (:provider_job is null or provider_job in ('', :provider_job))"""  # noqa: S608 - ours
_CLOSE = f"""update batch_job set status = :status, error = :error, ended_at = :now,
    updated_at = :now, cleaned = provider_job = '' where id = :id and {_OPEN}
    and (:status = 'FAILED' or provider_job <> '') returning number, sent"""  # noqa: S608 - our own statuses
_HELD = """select k.fingerprint, k.account, k.characters from json_each(?) as j
    cross join claim as k where k.generation = ? and k.fingerprint = j.value and k.holder = ?"""
_LET_GO = "delete from claim where generation = ? and fingerprint = ?"
_MEND = "delete from trouble where generation = ? and fingerprint = ?"
_GIVE_UP = """insert into trouble (generation, fingerprint, job, attempts, failed, error)
    values (?, ?, ?, 1, 1, ?)
    on conflict do update set job = excluded.job, failed = 1, error = excluded.error"""
_REOPEN = """update batch_job set status = 'PROCESSING', ended_at = 0.0, answered_at = 0.0,
    cancelled_at = 0.0, cleaned = 0, updated_at = :now
    where id = :id and status = 'FAILED' and provider_job <> '' returning number"""
_RECLAIM = """insert into claim (generation, fingerprint, holder, number, account, characters)
    select c.generation, c.fingerprint, :holder, c.id, a.id, length(c.passage)
    from trouble as t cross join chunk as c cross join document as o cross join account as a
    where t.generation = :generation and t.job = :id and t.failed
    and c.generation = t.generation and c.fingerprint = t.fingerprint and c.vector is null
    and o.id = c.document and a.tenant = o.tenant and a.collection = o.collection
    order by c.id on conflict do nothing"""
_FORGIVE = """delete from trouble where generation = :generation and job = :id and failed
    and exists (select 1 from claim as k where k.generation = trouble.generation
    and k.fingerprint = trouble.fingerprint and k.holder = :holder)"""
_REMAINING = """insert into trouble (generation, fingerprint, job, attempts, most, failed, error)
    select k.generation, k.fingerprint, :id, 1, null, :fail or :attempts <= 1, :error
    from claim as k where k.holder =
    :holder on conflict do update set job = excluded.job, error = excluded.error,
    attempts = attempts + 1, most = case when :halve and attempts + 1 >= 2 and :sent > 1 then :most
    else most end, failed = case when :fail then 1 when :halve then attempts + 1 >= 2 and :sent = 1
    else attempts + 1 >= :attempts end"""


def open_job(view: View, job: BatchJob, limit: int, without: Collection[str]) -> BatchJob | None:
    """The job with what it holds; None if there is nothing to hold."""
    _queue.expire(view, job.created_at)
    fields = {**attrs.asdict(job), "generation": view.generation, "most": None}
    holder = int(view.raw.execute(_ADD, fields).get)
    sent, characters = _queue.claim(view, holder, limit, None, without)
    if not sent:
        most = _queue.suspects(view, without)
        if most is not None:
            view.raw.execute("update batch_job set most = ? where number = ?", (most, holder))
            sent, characters = _queue.claim(view, holder, min(limit, most), most, without)
    if not sent:
        view.raw.execute("delete from batch_job where number = ?", (holder,))
        return None
    return _grown(view, job.id, sent, characters)


def extend_job(view: View, id: str, limit: int, without: Collection[str]) -> BatchJob | None:
    """The job with more than it held; None if there is no more for it."""
    row = view.raw.execute(
        "select number, most, sent from batch_job where id = ? and status = 'CREATED'", (id,)
    ).fetchone()
    if row is None:
        return None
    holder, most, held = row
    room = limit if most is None else min(limit, most - held)
    sent, characters = _queue.claim(view, holder, room, most, without) if room > 0 else (0, 0)
    return _grown(view, id, sent, characters) if sent else None


def _grown(view: View, id: str, sent: int, characters: int) -> BatchJob | None:
    view.raw.execute(
        "update batch_job set sent = sent + ?, characters = characters + ? where id = ?",
        (sent, characters, id),
    )
    return job_of(view, id)


def job_of(view: View, id: str) -> BatchJob | None:
    """The job; None if there is none."""
    row = view.raw.execute(_FIND, (id,)).fetchone()
    return None if row is None else _job(row)


def _job(row: Sequence[Any]) -> BatchJob:
    fields = dict(zip(_FIELDS, row, strict=True))
    return BatchJob(**{**fields, "cleaned": bool(fields["cleaned"])})


def jobs(
    view: View, statuses: Collection[JobStatus] | None, limit: int, cleaned: bool | None
) -> list[BatchJob]:
    """The latest jobs of these statuses, oldest first."""
    values = {
        "statuses": None if statuses is None else json.dumps(sorted(statuses)),
        "cleaned": cleaned,
        "limit": limit,
    }
    are_open = statuses is not None and set(statuses) <= set(OPEN)
    # The first two have an index.
    sql = _LIST_OPEN if are_open else _LIST_UNCLEAN if cleaned is False else _LIST_ALL
    return [_job(row) for row in view.raw.execute(sql, values)][::-1]


def number_of(view: View, id: str) -> int:
    """The number claims know the job by; 0 if there is no such job."""
    return int(view.raw.execute("select number from batch_job where id = ?", (id,)).get or 0)


def lease(view: View, id: str, owner: str, now: float, until: float) -> bool:
    """Whether the job is the owner's to submit."""
    latest = now + max(2 * (until - now), LONGEST_HOLD)
    values = {"id": id, "owner": owner, "now": now, "until": until, "latest": latest}
    view.raw.execute(_LEASE, values)
    return bool(view.raw.changes())


def note(view: View, id: str, now: float, fields: Mapping[str, Any]) -> bool:
    """Whether the job was open, so that this could be noted of it."""
    view.raw.execute(_NOTE, {**fields, "id": id, "now": now})
    return bool(view.raw.changes())


def settle(
    view: View,
    dimensions: int,
    id: str,
    vectors: Mapping[str, bytes],
    failures: Mapping[str, str],
    rate: Rate | None,
    now: float,
    tokens: Mapping[str, int],
) -> int:
    """Give results to those who wait for them, and let go of the passages;
    how many passages that were.
    """
    # A token is the number of its claims itself, and below 0.
    number = int(id) if id.startswith("-") else number_of(view, id)
    generation = view.generation
    names = json.dumps([*vectors, *failures])
    held = {
        name: (account, size)
        for name, account, size in view.raw.execute(_HELD, (names, generation, number))
    }
    if not held:
        return 0
    good = {name: vector for name, vector in vectors.items() if name in held}
    bad = {name: why for name, why in failures.items() if name in held and name not in good}
    fill_waiting(view, dimensions, good)
    view.raw.executemany(_LET_GO, [(generation, name) for name in held])
    view.raw.executemany(_MEND, [(generation, name) for name in good])
    view.raw.executemany(_GIVE_UP, [(generation, name, id, why) for name, why in bad.items()])
    sums = (
        "update batch_job set succeeded = succeeded + ?, failed = failed + ?, updated_at = ? "
        "where number = ?"
    )
    view.raw.execute(sums, (len(good), len(bad), now, number))
    if rate is not None:
        paid = {name: held[name] for name in held if name in good or name in tokens}
        spent = charge_results(view, rate, paid, tokens)
        view.raw.execute(
            "update batch_job set paid = paid + ?, paid_tokens = paid_tokens + ? where number = ?",
            (len(paid), spent, number),
        )
    return len(held)


def pay(view: View, id: str, rate: Rate, passages: int, tokens: int) -> None:
    """Have so much paid for the job, all together."""
    before = view.raw.execute(
        "select paid, paid_tokens from batch_job where id = ?", (id,)
    ).fetchone()
    if before is None or before == (passages, tokens):
        return
    charge(view, rate, {("", ""): (passages - before[0], tokens - before[1])})
    view.raw.execute(
        "update batch_job set paid = ?, paid_tokens = ? where id = ?", (passages, tokens, id)
    )


def reopen(view: View, id: str, now: float) -> bool:
    """Let a job that was given up go on, with what it held and is still wanted."""
    holder = view.raw.execute(_REOPEN, {"id": id, "now": now}).get
    if holder is None:
        return False
    _queue.name_accounts(view)
    view.raw.execute(_RECLAIM, {"id": id, "holder": holder, "generation": view.generation})
    view.raw.execute(_FORGIVE, {"id": id, "holder": holder, "generation": view.generation})
    return True


def close(
    view: View, id: str, status: JobStatus, now: float, error: str, rest: Rest, attempts: int
) -> bool:
    """End the job, unless it has ended."""
    row = view.raw.execute(
        _CLOSE, {"id": id, "status": status, "now": now, "error": error}
    ).fetchone()
    if row is None:
        return False
    holder, sent = row
    if rest != "free":
        values = {
            "id": id,
            "holder": holder,
            "sent": sent,
            "most": (sent + 1) // 2,
            "attempts": attempts,
        }
        reason = error or "No result came back."
        kind = {"fail": rest == "fail", "halve": rest == "halve", "error": reason}
        # The first failure of a whole job proves nothing, not even of a job of one.
        first = {"attempts": 2} if rest == "halve" else {}
        view.raw.execute(_REMAINING, {**values, **kind, **first})
    view.raw.execute("delete from claim where holder = ?", (holder,))
    return True


def drop(view: View, id: str) -> bool:
    """Forget a job of which nothing was sent."""
    row = view.raw.execute(
        (
            "delete from batch_job where id = ? and status = 'CREATED' and provider_job = '' "
            "returning number"
        ),
        (id,),
    ).fetchone()
    if row is not None:
        view.raw.execute("delete from claim where holder = ?", (row[0],))
    return row is not None


def clean(view: View, id: str, now: float) -> None:
    """The provider keeps nothing of it any more."""
    view.raw.execute("update batch_job set cleaned = 1, updated_at = ? where id = ?", (now, id))


def retry(view: View, id: str | None) -> int:
    """Let passages that were given up wait again; how many somebody waits for."""
    lost = """not exists (select 1 from chunk as c where c.generation = trouble.generation
        and c.fingerprint = trouble.fingerprint and c.vector is null)"""
    view.raw.execute(f"delete from trouble where generation = ? and {lost}", (view.generation,))  # noqa: S608 - ours
    view.raw.execute(
        "delete from trouble where generation = ? and failed and (? is null or job = ?)",
        (view.generation, id, id),
    )
    return int(view.raw.changes())
