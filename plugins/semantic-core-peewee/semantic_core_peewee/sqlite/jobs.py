"""The ledger of batch jobs in the file: which pending passages a job claims, what came back,
    what it
cost, and the state of every chunk. `BatchQueue` says what each function must do.

A claim belongs to a fingerprint, so it outlives the rows of a text that is edited and comes back.
Within a job, claims are in the order of chunks, so that reading passages and writing vectors go
through the file from one end to the other.

Every statement that changes a job also asks for the status it starts from: of two callers that do
the same, one succeeds.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_jobs.py.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

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
from semantic_core.storage import spent_by_owner
from semantic_core.types import ChunkId, Failure, PendingChunk, Ref
from semantic_core_peewee.sqlite.ids import rows_of
from semantic_core_peewee.sqlite.pool import View
from semantic_core_peewee.sqlite.vector_rows import fill_waiting

# Pending passages, and who claims them.

MOST_TOKEN = 2**62

_CHUNKS = "semantic_index_chunk as c indexed by semantic_index_chunk_waiting"
_WAITING = "c.generation = :generation and c.vector is null and c.id > :after"
_CLAIMED = """select 1
    from semantic_index_claim as k
    where k.generation = c.generation and k.fingerprint = c.fingerprint"""
_TRIED = """select 1
    from semantic_index_trouble as t
    where t.generation = c.generation and t.fingerprint = c.fingerprint"""
# Most claims belong to a job and name the very chunk that is looked at. They are asked first: they
# lie side by side in the order of chunks, while those found by fingerprint lie anywhere.
_NO_JOBS_OWN = (
    "not exists (select 1 from semantic_index_claim as k where k.number = c.id and k.until is null)"
)
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
_COLLECTION = "(select d.collection from semantic_index_document as d where d.id = c.document)"
_NOT_LEFT_OUT = f"""(:without = '[]'
    or {_COLLECTION} not in (select j.value from json_each(:without) as j))"""
_AMONG = f"(:among is null or {_COLLECTION} in (select j.value from json_each(:among) as j))"
_PENDING = f"""select c.id, c.position, c.passage, c.fingerprint, o.collection, o.key, o.tenant
    from {_CHUNKS}
    cross join semantic_index_document as o
    where {_WAITING} and o.id = c.document
    order by c.id limit :limit"""
_ACCOUNTS = """insert into semantic_index_account (tenant, collection)
    select distinct tenant, collection
    from semantic_index_document
    where generation = ?
    on conflict do nothing"""
_CLAIM = f"""insert into semantic_index_claim (
        generation, fingerprint, holder, number, account, characters)
    select c.generation, c.fingerprint, :holder, c.id, a.id, length(c.passage)
    from {_CHUNKS}
    cross join semantic_index_document as o
    cross join semantic_index_account as a
    where {_WAITING} and {NOT_HELD} and {{kind}} and {_NOT_LEFT_OUT}
    and o.id = c.document and a.tenant = o.tenant
    and a.collection = o.collection
    order by c.id limit :limit
    on conflict do nothing"""
_CLAIM_FRESH = _CLAIM.format(kind=_NO_SUSPECT)
_CLAIM_SUSPECTS = _CLAIM.format(kind=_SUSPECT)
_COUNT = f"""select count(*)
    from (select distinct c.fingerprint
        from {_CHUNKS}
        where {_WAITING} and {_NOT_HELD_NOW} and {_NOT_FAILED}
        and {_NOT_LEFT_OUT} limit :limit)"""
_SIZE = f"""select count(*), total(size)
    from (select length(c.passage) as size
        from {_CHUNKS}
        where {_WAITING} and {_NOT_A_JOBS} and {_NOT_FAILED}
        group by c.fingerprint)"""
_SUSPECTS = f"""select t.most
    from semantic_index_trouble as t
    where t.generation = :generation and t.most is not null and not t.failed
    and exists (select 1
        from semantic_index_chunk as c
        where c.generation = t.generation and c.fingerprint = t.fingerprint
        and c.vector is null and {NOT_HELD} and {_NOT_LEFT_OUT})
    order by t.most desc limit 1"""
_PAGE = """select number, fingerprint, passage
    from (
        select k.number, k.fingerprint, coalesce(
            (select c.passage from semantic_index_chunk as c
                where c.id = k.number and c.fingerprint = k.fingerprint
                and c.vector is null and c.generation = k.generation),
            (select c.passage from semantic_index_chunk as c
                where c.generation = k.generation and c.fingerprint = k.fingerprint
                and c.vector is null limit 1)
        ) as passage
        from semantic_index_claim as k
        where k.holder = ? and k.number > ?
        order by k.number
    )
    where passage is not null
    limit ?"""


def pending(view: View, limit: int, after: int) -> list[PendingChunk]:
    """Up to `limit` chunks without a vector, the oldest first, all after this place."""
    values = {"generation": view.generation, "after": after, "limit": limit}
    chunks = []
    for place, position, passage, fingerprint, *ref in view.raw.execute(_PENDING, values):
        chunks.append(PendingChunk(place, ChunkId(Ref(*ref), position), passage, fingerprint))
    return chunks


class _Pending(NamedTuple):
    """A passage that waits for its vector."""

    fingerprint: str
    passage: str
    tenant: str
    collection: str


def _waiting(
    view: View, limit: int, free: str, collections: Collection[str] | None = None
) -> list[_Pending]:
    """Pending passages that are free in this sense, the oldest first."""
    found: dict[str, _Pending] = {}
    sql = f"""select c.fingerprint, c.passage, c.document
        from {_CHUNKS}
        where {_WAITING} and {free} and {_NOT_FAILED} and {_AMONG}
        order by c.id"""
    among = None if collections is None else _names(collections)
    rows = view.raw.execute(sql, {"generation": view.generation, "after": -1, "among": among})
    for fingerprint, passage, document in rows:
        if len(found) >= limit:
            break
        if fingerprint not in found:
            owner = view.raw.execute(
                "select tenant, collection from semantic_index_document where id = ?", (document,)
            ).get
            found[fingerprint] = _Pending(fingerprint, passage, *owner)
    return list(found.values())


def count_waiting(view: View, limit: int, now: float, without: Collection[str]) -> int:
    """How many different passages a job could claim, counted up to `limit`."""
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
    """How many different passages are pending, and their characters."""
    passages, characters = view.raw.execute(_SIZE, {"generation": view.generation, "after": -1}).get
    return int(passages), int(characters)


def suspects(view: View, without: Collection[str]) -> int | None:
    """How many passages of failed jobs may be in one job when they are tried again; None if there
    are none to try.
    """
    found = view.raw.execute(
        _SUSPECTS, {"generation": view.generation, "without": _names(without)}
    ).get
    return None if found is None else int(found)


def claim(
    view: View, holder: int, limit: int, most: int | None, without: Collection[str]
) -> tuple[int, int]:
    """Claim up to `limit` more passages for a job; return how many those were,
        and their characters.

    most: None for passages that never failed; else those that may be in a job of so many.
    """
    name_accounts(view)
    last = view.raw.execute(
        "select max(number) from semantic_index_claim where holder = ?", (holder,)
    ).get
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
    added = """select count(*), total(characters)
        from semantic_index_claim
        where holder = ? and number > ?"""
    count, characters = view.raw.execute(added, (holder, last)).get
    return int(count), int(characters)


def name_accounts(view: View) -> None:
    """Make an account for every tenant's collection that has none."""
    view.raw.execute(_ACCOUNTS, (view.generation,))


def page_of(view: View, id: str, after: int, limit: int) -> list[tuple[int, str, str]]:
    """(place, fingerprint, passage) of what a job claims and some chunk still waits for."""
    holder = number_of(view, id)
    return [tuple(row) for row in view.raw.execute(_PAGE, (holder, after, limit))]


def hold(
    view: View, fingerprints: Collection[str], now: float, until: float, token: str
) -> tuple[str, frozenset[str]]:
    """Claim for a time those of these passages that nobody claims; return the token and those."""
    holder = int(token) if token else -1 - secrets.randbelow(MOST_TOKEN)
    expire(view, now)
    view.raw.execute("update semantic_index_claim set until = ? where holder = ?", (until, holder))
    rows = [(view.generation, name, holder, until) for name in sorted(fingerprints)]
    view.raw.executemany(
        """insert into semantic_index_claim (
                generation, fingerprint, holder, number, account, characters, until)
            values (?, ?, ?, 0, 0, 0, ?)
            on conflict do nothing""",
        rows,
    )
    held = view.raw.execute(
        """select k.fingerprint
            from json_each(?) as j
            cross join semantic_index_claim as k
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
    """Claim for a time up to `limit` pending passages, and return them."""
    expire(view, now)
    passages: dict[str, str] = {}
    owners: dict[str, tuple[str, str]] = {}
    for one in _waiting(view, limit, _NOT_ANOTHERS if from_jobs else NOT_HELD, collections):
        passages[one.fingerprint] = one.passage
        owners[one.fingerprint] = (one.tenant, one.collection)
    if from_jobs:
        view.raw.executemany(_LET_GO, [(view.generation, name) for name in passages])
    token, _ = hold(view, passages, now, until, "")
    return Held(token, passages, owners)


def expire(view: View, now: float) -> None:
    """Drop the claims whose time is over, and those for longer than anybody may claim."""
    view.raw.execute(
        "delete from semantic_index_claim where until <= ? or until > ?", (now, now + LONGEST_HOLD)
    )


def held_by(view: View, id: str, fingerprints: Collection[str]) -> dict[str, tuple[int, int]]:
    """What a job, or the caller with this token, claims of these passages: (account, characters) by
    fingerprint.
    """
    # A token is the number of its claims itself; it is negative.
    holder = int(id) if id.startswith("-") else number_of(view, id)
    held: dict[str, tuple[int, int]] = {}
    rows = view.raw.execute(_HELD, (_names(fingerprints), view.generation, holder))
    for name, account, size in rows:
        held[name] = (account, size)
    return held


def release(view: View, token: str) -> None:
    """Drop the claims that `hold` and `take` made under this token."""
    view.raw.execute(
        "delete from semantic_index_claim where holder = ? and until is not null", (int(token),)
    )


def _names(names: Collection[str]) -> str:
    return json.dumps(sorted(names))


# What was paid, by day, tenant, collection, model and price tier. Amounts are whole numbers of
# `PICO` parts of the currency.

_ADD_COST = """insert into semantic_index_cost (
        day, tenant, collection, model, tier, currency, passages, tokens, amount)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict do update
    set passages = passages + excluded.passages,
    tokens = tokens + excluded.tokens, amount = amount + excluded.amount"""
_READ = """select day, tenant, collection, model, tier, passages, tokens, amount,
    currency
    from semantic_index_cost
    where day between ? and ?
    order by day, tenant, collection, model, tier, currency"""


def charge_results(
    view: View, rate: Rate, paid: Mapping[str, tuple[int, int]], tokens: Mapping[str, int]
) -> int:
    """Add what results cost; return how many tokens those were.

    paid: (account, characters) of each result by fingerprint. tokens: of those the provider
    counted.
    """
    spent = {}
    by_account = spent_by_owner(paid, tokens, rate.tokens_per_character)
    for account, amounts in by_account.items():
        owner = view.raw.execute(
            "select tenant, collection from semantic_index_account where id = ?", (account,)
        ).get
        spent[owner] = amounts
    charge(view, rate, spent)
    return sum(count for _, count in by_account.values())


def charge(view: View, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """Add (passages, tokens) by (tenant, collection) to the costs."""
    about = (rate.model, rate.tier, rate.currency)
    rows = []
    for owner, (count, tokens) in spent.items():
        rows.append((rate.day, *owner, *about, count, tokens, tokens * rate.pico))
    view.raw.executemany(_ADD_COST, rows)


def costs(view: View, since: str, until: str) -> list[Cost]:
    """What was paid from one day to another, both included."""
    found = view.raw.execute(_READ, (since, until))
    return [
        Cost(
            day, tenant, collection, model, tier, passages, tokens, Decimal(amount) / PICO, currency
        )
        for day, tenant, collection, model, tier, passages, tokens, amount, currency in found
    ]


_FIELDS = tuple(field.name for field in attrs.fields(BatchJob))
_COLUMNS = ", ".join(_FIELDS)
_OPEN = f"status in ({', '.join(f'{status!r}' for status in OPEN)})"
_ADD = f"""insert into semantic_index_batch_job ({_COLUMNS}, generation, most)
    values ({", ".join(f":{name}" for name in _FIELDS)}, :generation, :most)
    returning number"""
_FIND = f"select {_COLUMNS} from semantic_index_batch_job where id = ?"
_LIST = f"""select {_COLUMNS}
    from semantic_index_batch_job
    where {{part}}
    and (:statuses is null or status in (select value
        from json_each(:statuses)))
    and (:cleaned is null or cleaned = :cleaned)
    order by number desc limit :limit"""
_LIST_ALL = _LIST.format(part="1")
_LIST_OPEN = _LIST.format(part=_OPEN)
_LIST_UNCLEAN = _LIST.format(part="not cleaned")
_LEASE = """update semantic_index_batch_job
    set owner = :owner, leased_until = :until, updated_at = :now
    where id = :id and status = 'CREATED'
    and (owner in ('', :owner) or leased_until <= :now or leased_until > :latest)"""
_NOTE = f"""update semantic_index_batch_job set
    status = case
        when :status is null then status
        when :status = 'SUBMITTED' and status = 'PROCESSING' then status
        else :status end,
    submitted_at = case
        when :status is not null and submitted_at = 0 then :now
        else submitted_at end,
    provider_job = coalesce(:provider_job, provider_job),
    tokens = coalesce(:tokens, tokens),
    tries = coalesce(:tries, tries),
    error = coalesce(:error, error),
    answered_at = coalesce(:answered_at, answered_at),
    cancelled_at = coalesce(:cancelled_at, cancelled_at),
    leased_until = coalesce(:leased_until, leased_until),
    account = coalesce(:account, account),
    updated_at = :now
    where id = :id and {_OPEN}
    and (:provider_job is null or provider_job in ('', :provider_job))"""
_CLOSE = f"""update semantic_index_batch_job
    set status = :status, error = :error, ended_at = :now, updated_at = :now,
    cleaned = provider_job = ''
    where id = :id and {_OPEN} and (:status = 'FAILED' or provider_job <> '')
    returning number, sent"""
_HELD = """select k.fingerprint, k.account, k.characters
    from json_each(?) as j
    cross join semantic_index_claim as k
    where k.generation = ? and k.fingerprint = j.value and k.holder = ?"""
_LET_GO = "delete from semantic_index_claim where generation = ? and fingerprint = ?"
_SUCCEEDED = "delete from semantic_index_trouble where generation = ? and fingerprint = ?"
_GIVE_UP = """insert into semantic_index_trouble (
        generation, fingerprint, job, attempts, failed, error)
    values (?, ?, ?, 1, 1, ?)
    on conflict do update
    set job = excluded.job, failed = 1, error = excluded.error"""
_REOPEN = """update semantic_index_batch_job
    set status = 'PROCESSING', ended_at = 0.0, answered_at = 0.0,
    cancelled_at = 0.0, cleaned = 0, updated_at = :now
    where id = :id and status = 'FAILED' and provider_job <> ''
    returning number"""
_RECLAIM = """insert into semantic_index_claim (
        generation, fingerprint, holder, number, account, characters)
    select c.generation, c.fingerprint, :holder, c.id, a.id, length(c.passage)
    from semantic_index_trouble as t
    cross join semantic_index_chunk as c
    cross join semantic_index_document as o
    cross join semantic_index_account as a
    where t.generation = :generation and t.job = :id and t.failed
    and c.generation = t.generation and c.fingerprint = t.fingerprint
    and c.vector is null and o.id = c.document and a.tenant = o.tenant
    and a.collection = o.collection
    order by c.id
    on conflict do nothing"""
_FORGIVE = """delete from semantic_index_trouble
    where generation = :generation and job = :id and failed
    and exists (select 1
        from semantic_index_claim as k
        where k.generation = semantic_index_trouble.generation
        and k.fingerprint = semantic_index_trouble.fingerprint
        and k.holder = :holder)"""
_REMAINING = """insert into semantic_index_trouble (
        generation, fingerprint, job, attempts, most, failed, error)
    select k.generation, k.fingerprint, :id, 1, null, :fail or :attempts <= 1, :error
    from semantic_index_claim as k
    where k.holder = :holder
    on conflict do update set
    job = excluded.job,
    error = excluded.error,
    attempts = attempts + 1,
    most = case
        when :halve and attempts + 1 >= 2 and :sent > 1 then :most
        else most end,
    failed = case
        when :fail then 1
        when :halve then attempts + 1 >= 2 and :sent = 1
        else attempts + 1 >= :attempts end"""


def open_job(view: View, job: BatchJob, limit: int, without: Collection[str]) -> BatchJob | None:
    """The job with the passages it claims; None if there is nothing to claim."""
    expire(view, job.created_at)
    fields = {**attrs.asdict(job), "generation": view.generation, "most": None}
    holder = int(view.raw.execute(_ADD, fields).get)
    sent, characters = claim(view, holder, limit, None, without)
    if not sent:
        most = suspects(view, without)
        if most is not None:
            view.raw.execute(
                "update semantic_index_batch_job set most = ? where number = ?", (most, holder)
            )
            sent, characters = claim(view, holder, min(limit, most), most, without)
    if not sent:
        view.raw.execute("delete from semantic_index_batch_job where number = ?", (holder,))
        return None
    return _grown(view, job.id, sent, characters)


def extend_job(view: View, id: str, limit: int, without: Collection[str]) -> BatchJob | None:
    """The job with more passages than it had; None if there are no more for it."""
    row = view.raw.execute(
        """select number, most, sent
            from semantic_index_batch_job
            where id = ? and status = 'CREATED'""",
        (id,),
    ).fetchone()
    if row is None:
        return None
    holder, most, held = row
    room = limit if most is None else min(limit, most - held)
    sent, characters = claim(view, holder, room, most, without) if room > 0 else (0, 0)
    return _grown(view, id, sent, characters) if sent else None


def _grown(view: View, id: str, sent: int, characters: int) -> BatchJob | None:
    view.raw.execute(
        """update semantic_index_batch_job
            set sent = sent + ?, characters = characters + ?
            where id = ?""",
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
    if are_open:
        sql = _LIST_OPEN
    elif cleaned is False:
        sql = _LIST_UNCLEAN
    else:
        sql = _LIST_ALL
    return [_job(row) for row in view.raw.execute(sql, values)][::-1]


def number_of(view: View, id: str) -> int:
    """The number claims know the job by; 0 if there is no such job."""
    return int(
        view.raw.execute("select number from semantic_index_batch_job where id = ?", (id,)).get or 0
    )


def lease(view: View, id: str, owner: str, now: float, until: float) -> bool:
    """Lease a job to the process that submits it; return whether it is the owner's now."""
    latest = now + max(2 * (until - now), LONGEST_HOLD)
    values = {"id": id, "owner": owner, "now": now, "until": until, "latest": latest}
    view.raw.execute(_LEASE, values)
    return bool(view.raw.changes())


def note(view: View, id: str, now: float, fields: Mapping[str, Any]) -> bool:
    """Change these fields of a job that is open; return whether it was."""
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
    """Store the results of a job and drop its claims of those passages; return how many those were.

    Vectors go to the chunks that still wait for them; failures are recorded with their reasons.
    """
    generation = view.generation
    held = held_by(view, id, vectors.keys() | failures.keys())
    good = {name: vector for name, vector in vectors.items() if name in held}
    bad = []
    for name, why in failures.items():
        if name in held and name not in good:
            bad.append((generation, name, id, why))
    fill_waiting(view, dimensions, good)
    view.raw.executemany(_LET_GO, [(generation, name) for name in held])
    view.raw.executemany(_SUCCEEDED, [(generation, name) for name in good])
    view.raw.executemany(_GIVE_UP, bad)
    sums = (
        "update semantic_index_batch_job "
        "set succeeded = succeeded + ?, failed = failed + ?, updated_at = ? "
        "where id = ?"
    )
    view.raw.execute(sums, (len(good), len(bad), now, id))
    if rate is not None:
        paid = {}
        for name, about in held.items():
            if name in good or name in tokens:
                paid[name] = about
        spent = charge_results(view, rate, paid, tokens)
        view.raw.execute(
            """update semantic_index_batch_job
                set paid = paid + ?, paid_tokens = paid_tokens + ?
                where id = ?""",
            (len(paid), spent, id),
        )
    return len(held)


def pay(view: View, id: str, rate: Rate, passages: int, tokens: int) -> None:
    """Set what the job cost in all; the difference to what was paid before is added to the
    costs."""
    before = view.raw.execute(
        "select paid, paid_tokens from semantic_index_batch_job where id = ?", (id,)
    ).fetchone()
    if before is None or before == (passages, tokens):
        return
    charge(view, rate, {("", ""): (passages - before[0], tokens - before[1])})
    view.raw.execute(
        "update semantic_index_batch_job set paid = ?, paid_tokens = ? where id = ?",
        (passages, tokens, id),
    )


def reopen(view: View, id: str, now: float) -> bool:
    """Let a failed job go on, with those of its passages that are still pending."""
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
    """End the job with this status; return False if it had ended already."""
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
    view.raw.execute("delete from semantic_index_claim where holder = ?", (holder,))
    return True


def drop(view: View, id: str) -> bool:
    """Delete a job of which nothing was sent; return whether there was one."""
    row = view.raw.execute(
        (
            "delete from semantic_index_batch_job where id = ? and status = 'CREATED' "
            "and provider_job = '' "
            "returning number"
        ),
        (id,),
    ).fetchone()
    if row is not None:
        view.raw.execute("delete from semantic_index_claim where holder = ?", (row[0],))
    return row is not None


def clean(view: View, id: str, now: float) -> None:
    """Record that the provider stores nothing of the job any more."""
    view.raw.execute(
        "update semantic_index_batch_job set cleaned = 1, updated_at = ? where id = ?", (now, id)
    )


def retry(view: View, id: str | None) -> int:
    """Make failed passages pending again; return how many are in a chunk."""
    lost = """not exists (select 1
            from semantic_index_chunk as c
            where c.generation = semantic_index_trouble.generation
            and c.fingerprint = semantic_index_trouble.fingerprint
            and c.vector is null)"""
    view.raw.execute(
        f"delete from semantic_index_trouble where generation = ? and {lost}", (view.generation,)
    )
    view.raw.execute(
        """delete from semantic_index_trouble
            where generation = ? and failed and (? is null or job = ?)""",
        (view.generation, id, id),
    )
    return int(view.raw.changes())


# The state of chunks: READY, SUBMITTED, FAILED or PENDING, each derived from what is stored.

_IS_HELD = (
    "exists (select 1 from semantic_index_claim as k where k.generation = c.generation "
    "and k.fingerprint = c.fingerprint)"
)
_TROUBLE = (
    "(select t.error from semantic_index_trouble as t where t.generation = c.generation "
    "and t.fingerprint = c.fingerprint and t.failed)"
)
_STATE = f"c.vector is not null, {_IS_HELD}, {_TROUBLE}"
_MINE = """(:tenant is null or (select d.tenant
        from semantic_index_document as d
        where d.id = c.document) = :tenant)"""
_ALL = f"""select count(*)
    from semantic_index_chunk as c indexed by semantic_index_chunk_waiting
    where c.generation = :generation and c.vector is null and {_MINE}"""
_FREE = f"""select {_TROUBLE} is not null, count(*), count(distinct c.fingerprint),
    min(c.id)
    from semantic_index_chunk as c indexed by semantic_index_chunk_waiting
    where c.generation = :generation and c.vector is null and {NOT_HELD}
    and {_MINE}
    group by 1"""
_GIVEN_UP = f"""select d.tenant, d.collection, d.key, c.position, {_TROUBLE} as why
    from semantic_index_chunk as c indexed by semantic_index_chunk_waiting
    cross join semantic_index_document as d
    where c.generation = ? and c.vector is null and d.id = c.document
    and why is not null and not {_IS_HELD}
    order by c.id limit ?"""
_SINCE = """select d.updated_at
    from semantic_index_chunk as c
    join semantic_index_document as d on d.id = c.document
    where c.id = ?"""


def chunk_states(view: View, ids: Sequence[ChunkId]) -> list[tuple[ChunkStatus, str] | None]:
    """The state of each chunk, with the reason of a FAILED one; None where there is no chunk."""
    found: dict[int, tuple[ChunkStatus, str]] = {}
    for place, ready, held, trouble in rows_of(view, ids, _STATE):
        if ready:
            found[place] = ("READY", "")
        elif held:
            found[place] = ("SUBMITTED", "")
        elif trouble is None:
            found[place] = ("PENDING", "")
        else:
            found[place] = ("FAILED", trouble)
    return [found.get(place) for place in range(len(ids))]


def given_up(view: View, limit: int) -> list[Failure]:
    """Up to `limit` chunks of the state FAILED, the oldest first."""
    failures = []
    rows = view.raw.execute(_GIVEN_UP, (view.generation, limit))
    for tenant, collection, key, position, why in rows:
        id = ChunkId(Ref(collection, key, tenant), position)
        failures.append(Failure(str(id), "FAILED", why))
    return failures


def queue_stats(view: View, tenant: str | None, chunks: int) -> QueueStats:
    """Chunks by state. chunks: how many there are in all."""
    values = {"generation": view.generation, "tenant": tenant}
    failed = 0
    pending = 0
    passages = 0
    first = None
    for has_failed, count, distinct, oldest in view.raw.execute(_FREE, values):
        if has_failed:
            failed = count
        else:
            pending = count
            passages = distinct
            first = oldest
    waiting = int(view.raw.execute(_ALL, values).get)
    since = view.raw.execute(_SINCE, (first,)).get
    jobs = dict.fromkeys(STATUSES, 0)
    jobs.update(
        view.raw.execute("select status, count(*) from semantic_index_batch_job group by status")
    )
    return QueueStats(
        ready=chunks - waiting,
        pending=pending,
        submitted=waiting - pending - failed,
        failed=failed,
        passages=passages,
        oldest_at=datetime.fromisoformat(since).timestamp() if since else 0.0,
        jobs=jobs,
    )
