"""Who holds which passage: the queue read past what is held, and claims made and given up.

See `BatchQueue`.

A claim is by fingerprint, so it outlives the rows of a text that is edited and comes back. Within a
job they are in order of the chunks, so that reading passages and writing vectors both go through
the file from one end to the other.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection

from semantic_core.batch import LONGEST_HOLD, Held
from semantic_core_peewee._pool import View

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
_CLAIM_FRESH, _CLAIM_SUSPECTS = _CLAIM.format(kind=_NO_SUSPECT), _CLAIM.format(kind=_SUSPECT)
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
