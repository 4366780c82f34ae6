"""The ledger of batch jobs: opened with what they hold, noted, settled page by page, closed once.

See `BatchQueue`.

Every change of a job asks for the status it starts from, in the statement that makes it: of two who
do the same, one does.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from semantic_core.batch import (
    LONGEST_HOLD,
    OPEN,
    PICO,
    STATUSES,
    BatchJob,
    ChunkStatus,
    Cost,
    Held,
    JobStatus,
    QueueStats,
    Rate,
    Rest,
)
from semantic_core.types import ChunkId, Failure, Ref
from semantic_core_peewee.sqlite.ids import rows_of
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.vector_rows import fill_waiting

# Who holds which passage: the queue read past what is held, and claims made and given up.
#
# See `BatchQueue`.
#
# A claim is by fingerprint, so it outlives the rows of a text that is edited and comes back. Within
# a job they are in order of the chunks, so that reading passages and writing vectors both go
# through the file from one end to the other.

MOST_TOKEN = 2**62

_CHUNKS = "chunk as c indexed by chunk_waiting"
_WAITING = "c.generation = :generation and c.vector is null and c.id > :after"
_CLAIMED = (
    "select 1 from claim as k where k.generation = c.generation and k.fingerprint = c.fingerprint"
)
_TRIED = (
    "select 1 from trouble as t where t.generation = c.generation and t.fingerprint = c.fingerprint"
)
# Most of what is held, a job holds by the very chunk that is looked at. That is asked first: the
# claims of a job lie side by side in the order of chunks, while those by fingerprint lie anywhere.
_NO_JOBS_OWN = "not exists (select 1 from claim as k where k.number = c.id and k.until is null)"
NOT_HELD = f"{_NO_JOBS_OWN} and not exists ({_CLAIMED})"
"""That nobody holds the passage of chunk c."""
_NOT_HELD_NOW = (
    f"{_NO_JOBS_OWN} and not exists ({_CLAIMED} and (k.until is null"
    " or (k.until > :now and k.until <= :latest)))"
)
_NOT_A_JOBS = f"{_NO_JOBS_OWN} and not exists ({_CLAIMED} and k.until is null)"
_NOT_ANOTHERS = f"not exists ({_CLAIMED} and k.until is not null)"
_NOT_FAILED = f"not exists ({_TRIED} and t.failed)"
_NO_SUSPECT = f"not exists ({_TRIED} and (t.failed or t.most is not null))"
_SUSPECT = f"exists ({_TRIED} and not t.failed and t.most = :most)"
_NOT_LEFT_OUT = """(:without = '[]' or (select d.collection from document as d
    where d.id = c.document) not in (select j.value from json_each(:without) as j))"""
_AMONG = """(:among is null or (select d.collection from document as d where d.id = c.document)
    in (select j.value from json_each(:among) as j))"""
_ACCOUNTS = """insert into account (tenant, collection)
    select distinct tenant, collection from document where generation = ? on conflict do nothing"""
_CLAIM = f"""insert into claim (generation, fingerprint, holder, number, account, characters)
    select c.generation, c.fingerprint, :holder, c.id, a.id, length(c.passage)
    from {_CHUNKS} cross join document as o cross join account as a
    where {_WAITING} and {NOT_HELD} and {{kind}} and {_NOT_LEFT_OUT}
    and o.id = c.document and a.tenant = o.tenant and a.collection = o.collection
    order by c.id limit :limit on conflict do nothing"""  # noqa: S608 - ours
_CLAIM_FRESH = _CLAIM.format(kind=_NO_SUSPECT)
_CLAIM_SUSPECTS = _CLAIM.format(kind=_SUSPECT)
_COUNT = f"""select count(*) from (select distinct c.fingerprint from {_CHUNKS}
    where {_WAITING} and {_NOT_HELD_NOW} and {_NOT_FAILED} and {_NOT_LEFT_OUT} limit :limit)"""  # noqa: S608 - ours
_SIZE = f"""select count(*), total(size) from (select length(c.passage) as size from {_CHUNKS}
    where {_WAITING} and {_NOT_A_JOBS} and {_NOT_FAILED} group by c.fingerprint)"""  # noqa: S608 - ours
_SUSPECTS = f"""select t.most from trouble as t
    where t.generation = :generation and t.most is not null and not t.failed
    and exists (select 1 from chunk as c where c.generation = t.generation
    and c.fingerprint = t.fingerprint
        and c.vector is null and {NOT_HELD} and {_NOT_LEFT_OUT})
    order by t.most desc limit 1"""  # noqa: S608 - ours
_PAGE = """select number, fingerprint, passage from (
    select k.number, k.fingerprint, coalesce(
        (select c.passage from chunk as c where c.id = k.number and c.fingerprint = k.fingerprint
        and c.vector is null
            and c.generation = k.generation),
        (select c.passage from chunk as c where c.generation = k.generation
        and c.fingerprint = k.fingerprint
            and c.vector is null limit 1)) as passage
    from claim as k where k.holder = ? and k.number > ? order by k.number)
    where passage is not null limit ?"""


def waiting_passages(view: View, limit: int) -> dict[str, str]:
    """Up to `limit` passages without a vector by fingerprint, oldest first; not those of jobs,
    nor those given up.
    """
    return {name: passage for name, passage, _, _ in _waiting(view, limit, _NOT_A_JOBS)}


def _waiting(
    view: View, limit: int, free: str, collections: Collection[str] | None = None
) -> list[tuple[str, str, str, str]]:
    """(fingerprint, passage, tenant, collection) of those that wait."""
    found: dict[str, tuple[str, str, str, str]] = {}
    sql = f"""select c.fingerprint, c.passage, c.document from {_CHUNKS}
        where {_WAITING} and {free} and {_NOT_FAILED} and {_AMONG} order by c.id"""  # noqa: S608 - ours
    among = None if collections is None else _names(collections)
    rows = view.raw.execute(sql, {"generation": view.generation, "after": -1, "among": among})
    for fingerprint, passage, document in rows:
        if len(found) >= limit:
            break
        if fingerprint not in found:
            owner = view.raw.execute(
                "select tenant, collection from document where id = ?", (document,)
            ).get
            found[fingerprint] = (fingerprint, passage, *owner)
    return list(found.values())


def count_waiting(view: View, limit: int, now: float, without: Collection[str]) -> int:
    """How many different passages a job could hold, up to `limit`."""
    values = {
        "generation": view.generation,
        "after": -1,
        "limit": limit,
        "now": now,
        "latest": now + LONGEST_HOLD,
        "without": _names(without),
    }
    return int(view.raw.execute(_COUNT, values).get)


def waiting_size(view: View) -> tuple[int, int]:
    """How many different passages wait, and their characters."""
    passages, characters = view.raw.execute(_SIZE, {"generation": view.generation, "after": -1}).get
    return int(passages), int(characters)


def suspects(view: View, without: Collection[str]) -> int | None:
    """With how many others those of a failed job may be tried next, themselves counted;
    None if there are none.
    """
    found = view.raw.execute(
        _SUSPECTS, {"generation": view.generation, "without": _names(without)}
    ).get
    return None if found is None else int(found)


def claim(
    view: View, holder: int, limit: int, most: int | None, without: Collection[str]
) -> tuple[int, int]:
    """Hold up to `limit` more for a job; how many that were, and of how many characters.
    most: of what kind.
    """
    name_accounts(view)
    last = view.raw.execute("select max(number) from claim where holder = ?", (holder,)).get
    values = {
        "generation": view.generation,
        "holder": holder,
        "limit": limit,
        "without": _names(without),
    }
    values["after"] = last = -1 if last is None else last
    if most is None:
        view.raw.execute(_CLAIM_FRESH, values)
    else:
        view.raw.execute(_CLAIM_SUSPECTS, {**values, "most": most})
    added = "select count(*), total(characters) from claim where holder = ? and number > ?"
    count, characters = view.raw.execute(added, (holder, last)).get
    return int(count), int(characters)


def name_accounts(view: View) -> None:
    """Have an account for whoever has documents."""
    view.raw.execute(_ACCOUNTS, (view.generation,))


def page_of(view: View, holder: int, after: int, limit: int) -> list[tuple[int, str, str]]:
    """(place, fingerprint, passage) of what a job holds and somebody still waits for."""
    return [tuple(row) for row in view.raw.execute(_PAGE, (holder, after, limit))]


def hold(
    view: View, fingerprints: Collection[str], now: float, until: float, token: str
) -> tuple[str, frozenset[str]]:
    """Hold what nobody holds; the token, and what."""
    holder = int(token) if token else -1 - secrets.randbelow(MOST_TOKEN)
    expire(view, now)
    view.raw.execute("update claim set until = ? where holder = ?", (until, holder))
    rows = [(view.generation, name, holder, until) for name in sorted(fingerprints)]
    view.raw.executemany(
        """insert into claim (generation, fingerprint, holder, number, account, characters, until)
        values (?, ?, ?, 0, 0, 0, ?) on conflict do nothing""",
        rows,
    )
    held = view.raw.execute(
        """select k.fingerprint from json_each(?) as j cross join claim as k
        where k.generation = ? and k.fingerprint = j.value and k.holder = ?""",
        (_names(fingerprints), view.generation, holder),
    )
    return str(holder), frozenset(name for (name,) in held)


def take(
    view: View,
    limit: int,
    now: float,
    until: float,
    from_jobs: bool,
    collections: Collection[str] | None,
) -> Held:
    """The passages that wait, and hold them."""
    expire(view, now)
    rows = _waiting(view, limit, _NOT_ANOTHERS if from_jobs else NOT_HELD, collections)
    names = [name for name, *_ in rows]
    if from_jobs:
        drop = "delete from claim where generation = ? and fingerprint = ?"
        view.raw.executemany(drop, [(view.generation, name) for name in names])
    token, _ = hold(view, names, now, until, "")
    passages = {name: passage for name, passage, _, _ in rows}
    return Held(
        token, passages, {name: (tenant, collection) for name, _, tenant, collection in rows}
    )


def expire(view: View, now: float) -> None:
    """Let go of what was held for a time that is over, or for longer than anybody may."""
    view.raw.execute("delete from claim where until <= ? or until > ?", (now, now + LONGEST_HOLD))


def release(view: View, token: str) -> None:
    """Let go of what `hold` and `take` hold."""
    view.raw.execute("delete from claim where holder = ? and until is not null", (int(token),))


def _names(names: Collection[str]) -> str:
    return json.dumps(sorted(names))


# The ledger of money: what was paid, by day, tenant, collection, model and lane.
#
# Amounts are whole numbers, see `PICO`.

_ADD_COST = """insert into cost (day, tenant, collection, model, lane, currency, passages, tokens,
    amount) values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update
    set passages = passages + excluded.passages,
    tokens = tokens + excluded.tokens, amount = amount + excluded.amount"""
_READ = """select day, tenant, collection, model, lane, passages, tokens, amount, currency from cost
    where day between ? and ? order by day, tenant, collection, model, lane, currency"""


def charge_results(
    view: View, rate: Rate, paid: Mapping[str, tuple[int, int]], tokens: Mapping[str, int]
) -> int:
    """Add what results cost; how many tokens that were. paid: (account, characters) of each, by
    fingerprint. tokens: of those its provider counted.
    """
    counts = Counter[int]()
    told = Counter[int]()
    untold = Counter[int]()
    for name, (account, characters) in paid.items():
        counts[account] += 1
        if name in tokens:
            told[account] += tokens[name]
        else:
            untold[account] += characters
    spent = {}
    for account, count in counts.items():
        owner = view.raw.execute(
            "select tenant, collection from account where id = ?", (account,)
        ).get
        spent[owner] = (count, told[account] + round(untold[account] * rate.tokens_per_character))
    charge(view, rate, spent)
    return sum(sum_ for _, sum_ in spent.values())


def charge(view: View, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """Add (passages, tokens) by (tenant, collection)."""
    about = (rate.model, rate.tier, rate.currency)
    rows = [
        (rate.day, *owner, *about, count, tokens, tokens * rate.pico)
        for owner, (count, tokens) in spent.items()
    ]
    view.raw.executemany(_ADD_COST, rows)


def costs(view: View, since: str, until: str) -> list[Cost]:
    """The rows from one day to another."""
    found = view.raw.execute(_READ, (since, until))
    return [
        Cost(
            day, tenant, collection, model, lane, passages, tokens, Decimal(amount) / PICO, currency
        )
        for day, tenant, collection, model, lane, passages, tokens, amount, currency in found
    ]


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
    expire(view, job.created_at)
    fields = {**attrs.asdict(job), "generation": view.generation, "most": None}
    holder = int(view.raw.execute(_ADD, fields).get)
    sent, characters = claim(view, holder, limit, None, without)
    if not sent:
        most = suspects(view, without)
        if most is not None:
            view.raw.execute("update batch_job set most = ? where number = ?", (most, holder))
            sent, characters = claim(view, holder, min(limit, most), most, without)
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
    sent, characters = claim(view, holder, room, most, without) if room > 0 else (0, 0)
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
    name_accounts(view)
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


# In which state chunks are: READY, SUBMITTED, FAILED or PENDING, each derived from what is stored.
#
# See `BatchQueue`.

_IS_HELD = (
    "exists (select 1 from claim as k where k.generation = c.generation "
    "and k.fingerprint = c.fingerprint)"
)
_TROUBLE = (
    "(select t.error from trouble as t where t.generation = c.generation "
    "and t.fingerprint = c.fingerprint and t.failed)"
)
_STATE = f"c.vector is not null, {_IS_HELD}, {_TROUBLE}"
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
    and not {_IS_HELD} order by c.id limit ?"""  # noqa: S608 - ours
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
