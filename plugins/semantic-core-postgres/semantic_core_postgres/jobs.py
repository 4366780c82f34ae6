"""The ledger of batch jobs: which pending passages a job claims, what came back, what it cost, and
the state of every chunk. `BatchQueue` says what each function must do.

A claim belongs to a fingerprint, so it outlives the rows of a text that is edited and comes back.
Those who write the ledger do so one at a time, see `lock`; who writes documents does not wait for
them.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

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
from semantic_core_postgres.pool import View
from semantic_core_postgres.read import rows_of
from semantic_core_postgres.texts import decoded, digest_of, encoded
from semantic_core_postgres.write import fill_waiting

MOST_TOKEN = 2**62

Owned = tuple[tuple[str, str], int]
"""The tenant and collection of a passage, and its characters."""

_CLAIMED = "select 1 from {s}.claim as k where k.fingerprint = c.fingerprint"
_TRIED = "select 1 from {s}.trouble as t where t.fingerprint = c.fingerprint"
NOT_HELD = f"not exists ({_CLAIMED})"
"""That nobody holds the passage of chunk c."""
_NOT_HELD_NOW = (
    f"not exists ({_CLAIMED} and (k.until is null"
    " or (k.until > %(now)s and k.until <= %(latest)s)))"
)
_NOT_A_JOBS = f"not exists ({_CLAIMED} and k.until is null)"
_NOT_ANOTHERS = f"not exists ({_CLAIMED} and k.until is not null)"
_NOT_FAILED = f"not exists ({_TRIED} and t.failed)"
_NO_SUSPECT = f"not exists ({_TRIED} and (t.failed or t.most is not null))"
_SUSPECT = f"exists ({_TRIED} and not t.failed and t.most = %(most)s)"
_COLLECTION = (
    "(select d.collection from {s}.document as d where d.tenant = c.tenant and d.id = c.document)"
)
_NOT_LEFT_OUT = f"(%(without)s::text[] = '{{{{}}}}' or {_COLLECTION} <> all(%(without)s::text[]))"
_AMONG = f"(%(among)s::text[] is null or {_COLLECTION} = any(%(among)s::text[]))"
_PENDING = """select c.id, c.position, c.passage, c.fingerprint, d.collection, d.key, d.tenant
    from {s}.chunk as c
    join {s}.document as d on d.tenant = c.tenant and d.id = c.document
    where c.vector is null and c.id > %s
    order by c.id limit %s"""
_FREE = """select c.fingerprint, min(c.id) as id
    from {s}.chunk as c
    where c.vector is null and FREE
    group by c.fingerprint
    order by 2 limit %(limit)s"""
_CLAIM = f"""insert into {{s}}.claim (fingerprint, holder, number, tenant, collection, characters)
    select f.fingerprint, %(holder)s, f.id, d.tenant, d.collection, length(c.passage)
    from ({_FREE}) as f
    join {{s}}.chunk as c on c.id = f.id and c.vector is null
    join {{s}}.document as d on d.tenant = c.tenant and d.id = c.document
    on conflict do nothing"""
_CLAIM_FRESH = _CLAIM.replace("FREE", f"{NOT_HELD} and {_NO_SUSPECT} and {_NOT_LEFT_OUT}")
_CLAIM_SUSPECTS = _CLAIM.replace("FREE", f"{NOT_HELD} and {_SUSPECT} and {_NOT_LEFT_OUT}")
_WAITING = f"""select f.fingerprint, c.passage, d.tenant, d.collection
    from ({_FREE}) as f
    join {{s}}.chunk as c on c.id = f.id and c.vector is null
    join {{s}}.document as d on d.tenant = c.tenant and d.id = c.document
    order by f.id"""
_COUNT = f"""select count(*)
    from (select distinct c.fingerprint
        from {{s}}.chunk as c
        where c.vector is null and {_NOT_HELD_NOW} and {_NOT_FAILED} and {_NOT_LEFT_OUT}
        limit %(limit)s) as each"""
_SIZE = f"""select count(*), coalesce(sum(size), 0)
    from (select min(length(c.passage)) as size
        from {{s}}.chunk as c
        where c.vector is null and {_NOT_A_JOBS} and {_NOT_FAILED}
        group by c.fingerprint) as each"""
_SUSPECTS = f"""select t.most
    from {{s}}.trouble as t
    where t.most is not null and not t.failed
    and exists (select 1
        from {{s}}.chunk as c
        where c.fingerprint = t.fingerprint and c.vector is null
        and {NOT_HELD} and {_NOT_LEFT_OUT})
    order by t.most desc limit 1"""
_PAGE = """select number, fingerprint, passage
    from (
        select k.number, k.fingerprint,
            (select c.passage from {s}.chunk as c
                where c.fingerprint = k.fingerprint and c.vector is null limit 1) as passage
        from {s}.claim as k
        where k.holder = %s and k.number > %s) as page
    where passage is not null
    order by number
    limit %s"""


def lock(view: View) -> None:
    """Wait until nobody else writes the ledger, until the end of the transaction."""
    name = f"semantic-core {view.statements.schema} ledger"
    view.run("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))


def pending(view: View, limit: int, after: int) -> list[PendingChunk]:
    """Up to `limit` chunks without a vector, the oldest first, all after this place.

    Of two who write at a time, the one with the smaller places may commit later. Then these are
    found when the pages are read from the beginning again.
    """
    chunks = []
    for place, position, passage, fingerprint, *ref in view.rows(_PENDING, (after, limit)):
        id = ChunkId(Ref(*map(decoded, ref)), position)
        chunks.append(PendingChunk(place, id, decoded(passage), decoded(fingerprint)))
    return chunks


class _Pending(NamedTuple):
    """A passage that waits for its vector; every text as the columns spell it."""

    fingerprint: str
    passage: str
    tenant: str
    collection: str


def _waiting(
    view: View, limit: int, free: str, collections: Collection[str] | None
) -> list[_Pending]:
    """Pending passages that are free in this sense, the oldest first."""
    among = None if collections is None else _names(collections)
    sql = _WAITING.replace("FREE", f"{free} and {_NOT_FAILED} and {_AMONG}")
    rows = view.rows(sql, {"limit": limit, "among": among})
    return [_Pending(*row) for row in rows]


def count_waiting(view: View, limit: int, now: float, without: Collection[str]) -> int:
    """How many different passages a job could claim, counted up to `limit`."""
    values = {
        "limit": limit,
        "now": now,
        "latest": now + LONGEST_HOLD,
        "without": _names(without),
    }
    return int(view.value(_COUNT, values))


def waiting_size(view: View) -> tuple[int, int]:
    """How many different passages are pending, and their characters."""
    passages, characters = view.row(_SIZE) or (0, 0)
    return int(passages), int(characters)


def suspects(view: View, without: Collection[str]) -> int | None:
    """How many passages of failed jobs may be in one job when they are tried again; None if there
    are none to try.
    """
    found = view.value(_SUSPECTS, {"without": _names(without)})
    return None if found is None else int(found)


def claim(
    view: View, holder: int, limit: int, most: int | None, without: Collection[str]
) -> tuple[int, int]:
    """Claim up to `limit` more passages for a job; return how many those were,
    and their characters.

    most: None for passages that never failed; else those that may be in a job of so many.
    """
    values = {"holder": holder, "limit": limit, "without": _names(without), "most": most}
    sql = _CLAIM_FRESH if most is None else _CLAIM_SUSPECTS
    added = f"""with added as ({sql} returning characters)
        select count(*), coalesce(sum(characters), 0) from added"""
    count, characters = view.row(added, values) or (0, 0)
    return int(count), int(characters)


def page_of(view: View, id: str, after: int, limit: int) -> list[tuple[int, str, str]]:
    """(place, fingerprint, passage) of what a job claims and some chunk still waits for."""
    page = []
    rows = view.rows(_PAGE, (number_of(view, id), after, limit))
    for number, fingerprint, passage in rows:
        page.append((number, decoded(fingerprint), decoded(passage)))
    return page


def hold(
    view: View, fingerprints: Collection[str], now: float, until: float, token: str
) -> tuple[str, frozenset[str]]:
    """Claim for a time those of these passages that nobody claims; return the token and those."""
    holder = int(token) if token else -1 - secrets.randbelow(MOST_TOKEN)
    names = _names(fingerprints)
    expire(view, now)
    view.run("update {s}.claim set until = %s where holder = %s", (until, holder))
    view.run(
        """insert into {s}.claim (
                fingerprint, holder, number, tenant, collection, characters, until)
            select f, %s, 0, '', '', 0, %s from unnest(%s::text[]) as f
            on conflict do nothing""",
        (holder, until, names),
    )
    return str(holder), frozenset(held_by(view, str(holder), fingerprints))


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
    found = _waiting(view, limit, _NOT_ANOTHERS if from_jobs else NOT_HELD, collections)
    for one in found:
        name = decoded(one.fingerprint)
        passages[name] = decoded(one.passage)
        owners[name] = (decoded(one.tenant), decoded(one.collection))
    if from_jobs:
        view.run(_LET_GO, (_names(passages),))
    token, _ = hold(view, passages, now, until, "")
    return Held(token, passages, owners)


def expire(view: View, now: float) -> None:
    """Drop the claims whose time is over, and those for longer than anybody may claim."""
    view.run("delete from {s}.claim where until <= %s or until > %s", (now, now + LONGEST_HOLD))


def held_by(view: View, id: str, fingerprints: Collection[str]) -> dict[str, Owned]:
    """What a job, or the caller with this token, claims of these passages, by fingerprint."""
    # A token is the number of its claims itself; it is negative.
    holder = int(id) if id.startswith("-") else number_of(view, id)
    held = {}
    rows = view.rows(_HELD, (holder, _names(fingerprints)))
    for name, tenant, collection, characters in rows:
        held[decoded(name)] = ((decoded(tenant), decoded(collection)), characters)
    return held


def release(view: View, token: str) -> None:
    """Drop the claims that `hold` and `take` made under this token."""
    view.run("delete from {s}.claim where holder = %s and until is not null", (int(token),))


def _names(names: Collection[str]) -> list[str]:
    return sorted(encoded(name) for name in names)


# What was paid, by day, tenant, collection, model and price tier. Amounts are whole numbers of
# `PICO` parts of the currency.

_ADD_COST = """insert into {s}.cost as c (
        address, day, tenant, collection, model, tier, currency, passages, tokens, amount)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (address) do update
    set passages = c.passages + excluded.passages,
    tokens = c.tokens + excluded.tokens, amount = c.amount + excluded.amount"""
_READ = """select day, tenant, collection, model, tier, passages, tokens, amount, currency
    from {s}.cost
    where day between %s and %s
    order by day, tenant, collection, model, tier, currency"""


def charge_results(
    view: View, rate: Rate, paid: Mapping[str, Owned], tokens: Mapping[str, int]
) -> int:
    """Add what results cost; return how many tokens those were. tokens: of those that the provider
    counted.
    """
    spent = spent_by_owner(paid, tokens, rate.tokens_per_character)
    charge(view, rate, spent)
    return sum(count for _, count in spent.values())


def charge(view: View, rate: Rate, spent: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """Add (passages, tokens) by (tenant, collection) to the costs."""
    about = (encoded(rate.model), encoded(rate.tier), encoded(rate.currency))
    rows = []
    for (tenant, collection), (count, tokens) in sorted(spent.items()):
        named = (encoded(rate.day), encoded(tenant), encoded(collection), *about)
        amount = Decimal(tokens * rate.pico)
        rows.append((digest_of(*named), *named, count, tokens, amount))
    view.many(_ADD_COST, rows)


def costs(view: View, since: str, until: str) -> list[Cost]:
    """What was paid from one day to another, both included."""
    found = []
    for day, tenant, collection, model, tier, passages, tokens, amount, currency in view.rows(
        _READ, (encoded(since), encoded(until))
    ):
        found.append(
            Cost(
                decoded(day),
                decoded(tenant),
                decoded(collection),
                decoded(model),
                decoded(tier),  # type: ignore[arg-type]
                passages,
                tokens,
                amount / PICO,
                decoded(currency),
            )
        )
    return found


_FIELDS = tuple(field.name for field in attrs.fields(BatchJob))
_COLUMNS = ", ".join(_FIELDS)
_OPEN = f"status in ({', '.join(f'{status!r}' for status in OPEN)})"
_ADD = f"""insert into {{s}}.batch_job ({_COLUMNS})
    values ({", ".join(f"%({name})s" for name in _FIELDS)})
    returning number"""
_FIND = f"select {_COLUMNS} from {{s}}.batch_job where id = %s"
_LIST = f"""select {_COLUMNS}
    from {{s}}.batch_job
    where (%(statuses)s::text[] is null or status = any(%(statuses)s::text[]))
    and (%(cleaned)s::boolean is null or cleaned = %(cleaned)s)
    order by number desc limit %(limit)s"""
_LEASE = """update {s}.batch_job
    set owner = %(owner)s, leased_until = %(until)s, updated_at = %(now)s
    where id = %(id)s and status = 'CREATED'
    and (owner in ('', %(owner)s) or leased_until <= %(now)s or leased_until > %(latest)s)"""
_NOTE = f"""update {{s}}.batch_job set
    status = case
        when %(status)s::text is null then status
        when %(status)s::text = 'SUBMITTED' and status = 'PROCESSING' then status
        else %(status)s::text end,
    submitted_at = case
        when %(status)s::text is not null and submitted_at = 0 then %(now)s
        else submitted_at end,
    provider_job = coalesce(%(provider_job)s, provider_job),
    tokens = coalesce(%(tokens)s, tokens),
    tries = coalesce(%(tries)s, tries),
    error = coalesce(%(error)s, error),
    answered_at = coalesce(%(answered_at)s, answered_at),
    cancelled_at = coalesce(%(cancelled_at)s, cancelled_at),
    leased_until = coalesce(%(leased_until)s, leased_until),
    account = coalesce(%(account)s, account),
    updated_at = %(now)s
    where id = %(id)s and {_OPEN}
    and (%(provider_job)s::text is null or provider_job in ('', %(provider_job)s::text))"""
_CLOSE = f"""update {{s}}.batch_job
    set status = %(status)s, error = %(error)s, ended_at = %(now)s, updated_at = %(now)s,
    cleaned = (provider_job = '')
    where id = %(id)s and {_OPEN} and (%(status)s::text = 'FAILED' or provider_job <> '')
    returning number, sent"""
_HELD = """select fingerprint, tenant, collection, characters
    from {s}.claim
    where holder = %s and fingerprint = any(%s::text[])"""
_LET_GO = "delete from {s}.claim where fingerprint = any(%s::text[])"
_SUCCEEDED = "delete from {s}.trouble where fingerprint = any(%s::text[])"
_GIVE_UP = """insert into {s}.trouble (fingerprint, job, attempts, failed, error)
    values (%s, %s, 1, true, %s)
    on conflict (fingerprint) do update
    set job = excluded.job, failed = true, error = excluded.error"""
_REOPEN = """update {s}.batch_job
    set status = 'PROCESSING', ended_at = 0.0, answered_at = 0.0,
    cancelled_at = 0.0, cleaned = false, updated_at = %s
    where id = %s and status = 'FAILED' and provider_job <> ''
    returning number"""
_RECLAIM = """insert into {s}.claim (fingerprint, holder, number, tenant, collection, characters)
    select c.fingerprint, %s, c.id, d.tenant, d.collection, length(c.passage)
    from (select c.fingerprint, min(c.id) as id
        from {s}.trouble as t
        join {s}.chunk as c on c.fingerprint = t.fingerprint and c.vector is null
        where t.job = %s and t.failed
        group by c.fingerprint) as f
    join {s}.chunk as c on c.id = f.id and c.vector is null
    join {s}.document as d on d.tenant = c.tenant and d.id = c.document
    on conflict do nothing"""
_FORGIVE = """delete from {s}.trouble as t
    where t.job = %s and t.failed
    and exists (select 1
        from {s}.claim as k where k.fingerprint = t.fingerprint and k.holder = %s)"""
_REMAINING = """insert into {s}.trouble as t (fingerprint, job, attempts, most, failed, error)
    select k.fingerprint, %(id)s, 1, null, %(fail)s or %(attempts)s <= 1, %(error)s
    from {s}.claim as k
    where k.holder = %(holder)s
    on conflict (fingerprint) do update set
    job = excluded.job,
    error = excluded.error,
    attempts = t.attempts + 1,
    most = case
        when %(halve)s and t.attempts + 1 >= 2 and %(sent)s > 1 then %(most)s
        else t.most end,
    failed = case
        when %(fail)s then true
        when %(halve)s then t.attempts + 1 >= 2 and %(sent)s = 1
        else t.attempts + 1 >= %(attempts)s end"""


def open_job(view: View, job: BatchJob, limit: int, without: Collection[str]) -> BatchJob | None:
    """The job with the passages it claims; None if there is nothing to claim."""
    expire(view, job.created_at)
    holder = int(view.value(_ADD, _spelled(attrs.asdict(job))))
    sent, characters = claim(view, holder, limit, None, without)
    if not sent:
        most = suspects(view, without)
        if most is not None:
            view.run("update {s}.batch_job set most = %s where number = %s", (most, holder))
            sent, characters = claim(view, holder, min(limit, most), most, without)
    if not sent:
        view.run("delete from {s}.batch_job where number = %s", (holder,))
        return None
    return _grown(view, job.id, sent, characters)


def extend_job(view: View, id: str, limit: int, without: Collection[str]) -> BatchJob | None:
    """The job with more passages than it had; None if there are no more for it."""
    row = view.row(
        "select number, most, sent from {s}.batch_job where id = %s and status = 'CREATED'",
        (encoded(id),),
    )
    if row is None:
        return None
    holder, most, held = row
    room = limit if most is None else min(limit, most - held)
    sent, characters = claim(view, holder, room, most, without) if room > 0 else (0, 0)
    return _grown(view, id, sent, characters) if sent else None


def _grown(view: View, id: str, sent: int, characters: int) -> BatchJob | None:
    view.run(
        """update {s}.batch_job set sent = sent + %s, characters = characters + %s
            where id = %s""",
        (sent, characters, encoded(id)),
    )
    return job_of(view, id)


def job_of(view: View, id: str) -> BatchJob | None:
    """The job; None if there is none."""
    row = view.row(_FIND, (encoded(id),))
    return None if row is None else _job(row)


def _spelled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a job as the columns spell them."""
    return {
        name: encoded(value) if isinstance(value, str) else value for name, value in fields.items()
    }


def _job(row: Sequence[Any]) -> BatchJob:
    fields: dict[str, Any] = {}
    for name, value in zip(_FIELDS, row, strict=True):
        fields[name] = decoded(value) if isinstance(value, str) else value
    return BatchJob(**fields)


def jobs(
    view: View, statuses: Collection[JobStatus] | None, limit: int, cleaned: bool | None
) -> list[BatchJob]:
    """The latest jobs of these statuses, oldest first."""
    asked = None if statuses is None else sorted(statuses)
    values = {"statuses": asked, "cleaned": cleaned, "limit": limit}
    return [_job(row) for row in view.rows(_LIST, values)][::-1]


def number_of(view: View, id: str) -> int:
    """The number claims know the job by; 0 if there is no such job."""
    found = view.value("select number from {s}.batch_job where id = %s", (encoded(id),))
    return int(found or 0)


def lease(view: View, id: str, owner: str, now: float, until: float) -> bool:
    """Lease a job to the process that submits it; return whether it is the owner's now."""
    latest = now + max(2 * (until - now), LONGEST_HOLD)
    values = {"id": id, "owner": owner, "now": now, "until": until, "latest": latest}
    return view.run(_LEASE, _spelled(values)).rowcount > 0


def note(view: View, id: str, now: float, fields: Mapping[str, Any]) -> bool:
    """Change these fields of a job that is open; return whether it was."""
    return view.run(_NOTE, _spelled({**fields, "id": id, "now": now})).rowcount > 0


def settle(
    view: View,
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
    held = held_by(view, id, vectors.keys() | failures.keys())
    good = {name: vector for name, vector in vectors.items() if name in held}
    bad = []
    for name, why in failures.items():
        if name in held and name not in good:
            bad.append((encoded(name), encoded(id), encoded(why)))
    fill_waiting(view, {encoded(name): vector for name, vector in good.items()})
    view.run(_LET_GO, (_names(held),))
    view.run(_SUCCEEDED, (_names(good),))
    view.many(_GIVE_UP, bad)
    view.run(
        """update {s}.batch_job
            set succeeded = succeeded + %s, failed = failed + %s, updated_at = %s
            where id = %s""",
        (len(good), len(bad), now, encoded(id)),
    )
    if rate is not None:
        paid = {}
        for name, about in held.items():
            if name in good or name in tokens:
                paid[name] = about
        spent = charge_results(view, rate, paid, tokens)
        view.run(
            """update {s}.batch_job set paid = paid + %s, paid_tokens = paid_tokens + %s
                where id = %s""",
            (len(paid), spent, encoded(id)),
        )
    return len(held)


def pay(view: View, id: str, rate: Rate, passages: int, tokens: int) -> None:
    """Set what the job cost in all; the difference to what was paid before is added to the
    costs.
    """
    before = view.row("select paid, paid_tokens from {s}.batch_job where id = %s", (encoded(id),))
    if before is None or before == (passages, tokens):
        return
    charge(view, rate, {("", ""): (passages - before[0], tokens - before[1])})
    view.run(
        "update {s}.batch_job set paid = %s, paid_tokens = %s where id = %s",
        (passages, tokens, encoded(id)),
    )


def reopen(view: View, id: str, now: float) -> bool:
    """Let a failed job go on, with those of its passages that are still pending."""
    holder = view.value(_REOPEN, (now, encoded(id)))
    if holder is None:
        return False
    view.run(_RECLAIM, (holder, encoded(id)))
    view.run(_FORGIVE, (encoded(id), holder))
    return True


def close(
    view: View, id: str, status: JobStatus, now: float, error: str, rest: Rest, attempts: int
) -> bool:
    """End the job with this status; return False if it had ended already."""
    row = view.row(_CLOSE, _spelled({"id": id, "status": status, "now": now, "error": error}))
    if row is None:
        return False
    holder, sent = row
    if rest != "free":
        values = {
            "id": id,
            "holder": holder,
            "sent": sent,
            "most": (sent + 1) // 2,
            # The first failure of a whole job proves nothing, not even of a job of one.
            "attempts": 2 if rest == "halve" else attempts,
            "fail": rest == "fail",
            "halve": rest == "halve",
            "error": error or "No result came back.",
        }
        view.run(_REMAINING, _spelled(values))
    view.run("delete from {s}.claim where holder = %s", (holder,))
    return True


def drop(view: View, id: str) -> bool:
    """Delete a job of which nothing was sent; return whether there was one."""
    holder = view.value(
        """delete from {s}.batch_job where id = %s and status = 'CREATED' and provider_job = ''
            returning number""",
        (encoded(id),),
    )
    if holder is not None:
        view.run("delete from {s}.claim where holder = %s", (holder,))
    return holder is not None


def clean(view: View, id: str, now: float) -> None:
    """Record that the provider stores nothing of the job any more."""
    view.run(
        "update {s}.batch_job set cleaned = true, updated_at = %s where id = %s",
        (now, encoded(id)),
    )


def retry(view: View, id: str | None) -> int:
    """Make failed passages pending again; return how many are in a chunk."""
    view.run(
        """delete from {s}.trouble as t
            where not exists (select 1
                from {s}.chunk as c where c.fingerprint = t.fingerprint and c.vector is null)"""
    )
    asked = None if id is None else encoded(id)
    return view.run(
        "delete from {s}.trouble where failed and (%(id)s::text is null or job = %(id)s)",
        {"id": asked},
    ).rowcount


# The state of chunks: READY, SUBMITTED, FAILED or PENDING, each derived from what is stored.

_IS_HELD = f"exists ({_CLAIMED})"
_TROUBLE = "(select t.error from {s}.trouble as t where t.fingerprint = c.fingerprint and t.failed)"
_MINE = "(%(tenant)s::text is null or c.tenant = %(tenant)s)"
_ALL = f"select count(*) from {{s}}.chunk as c where c.vector is null and {_MINE}"
_STATES = f"""select {_TROUBLE} is not null, count(*), count(distinct c.fingerprint), min(c.id)
    from {{s}}.chunk as c
    where c.vector is null and {NOT_HELD} and {_MINE}
    group by 1"""
_GIVEN_UP = f"""select d.tenant, d.collection, d.key, c.position, {_TROUBLE}
    from {{s}}.chunk as c
    join {{s}}.document as d on d.tenant = c.tenant and d.id = c.document
    where c.vector is null and not {_IS_HELD} and exists ({_TRIED} and t.failed)
    order by c.id limit %s"""
_SINCE = """select d.updated_at
    from {s}.chunk as c
    join {s}.document as d on d.tenant = c.tenant and d.id = c.document
    where c.id = %s and c.vector is null"""


def chunk_states(view: View, ids: Sequence[ChunkId]) -> list[tuple[ChunkStatus, str] | None]:
    """The state of each chunk, with the reason of a FAILED one; None where there is no chunk."""
    found: dict[int, tuple[ChunkStatus, str]] = {}
    columns = f"c.vector is not null, {_IS_HELD}, {_TROUBLE}"
    for place, ready, held, trouble in rows_of(view, ids, columns):
        if ready:
            found[place] = ("READY", "")
        elif held:
            found[place] = ("SUBMITTED", "")
        elif trouble is None:
            found[place] = ("PENDING", "")
        else:
            found[place] = ("FAILED", decoded(trouble))
    return [found.get(place) for place in range(len(ids))]


def given_up(view: View, limit: int) -> list[Failure]:
    """Up to `limit` chunks of the state FAILED, the oldest first."""
    failures = []
    for tenant, collection, key, position, why in view.rows(_GIVEN_UP, (limit,)):
        ref = Ref(decoded(collection), decoded(key), decoded(tenant))
        failures.append(Failure(str(ChunkId(ref, position)), "FAILED", decoded(why)))
    return failures


def queue_stats(view: View, tenant: str | None, chunks: int) -> QueueStats:
    """Chunks by state. chunks: how many there are in all."""
    values = {"tenant": None if tenant is None else encoded(tenant)}
    failed = 0
    pending = 0
    passages = 0
    first = None
    for has_failed, count, distinct, oldest in view.rows(_STATES, values):
        if has_failed:
            failed = count
        else:
            pending = count
            passages = distinct
            first = oldest
    waiting = int(view.value(_ALL, values))
    since = None if first is None else view.value(_SINCE, (first,))
    jobs = dict.fromkeys(STATUSES, 0)
    jobs.update(view.rows("select status, count(*) from {s}.batch_job group by status"))
    return QueueStats(
        ready=chunks - waiting,
        pending=pending,
        submitted=waiting - pending - failed,
        failed=failed,
        passages=passages,
        oldest_at=datetime.fromisoformat(since).timestamp() if since else 0.0,
        jobs=jobs,
    )
