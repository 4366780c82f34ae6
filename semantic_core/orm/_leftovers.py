"""What indexes that are no more have left behind: triggers, pending changes, state,
and documents nobody feeds any more.
"""

from __future__ import annotations

import logging
import re
from hashlib import sha256
from typing import TYPE_CHECKING

import attrs

from semantic_core.orm._dialects import OUTBOX, PLACES, STATE, placeholder_of, table_there
from semantic_core.orm.migrations import TriggerThere, triggers

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm._hub import Hub

TABLE = "table"
"""The state that says which table a collection is made from."""
PAGE = 1_000
"""Documents removed at a time."""
_NAMED = re.compile(r"\bSELECT (?:DISTINCT )?'((?:[^']|'')*)', ", re.IGNORECASE)
_log = logging.getLogger("semantic_core.orm")


@attrs.frozen
class Leftover:
    """What is there of a collection that no index of this application declares.

    collection: its name; where nothing names it any more, the eight hex digits its triggers share.
    table: what they are on, or it was made from; "" if that is not known. table_there: whether
    there is such a table. triggers, pending: how many there are. documents: in the index, of all
    tenants.
    """

    collection: str
    table: str
    table_there: bool
    triggers: int
    pending: int
    documents: int


@attrs.frozen
class Forgotten:
    """What was taken away. documents_left: those of tenants,
    which only their own front doors reach.
    """

    triggers: int
    pending: int
    documents: int
    documents_left: int


def declared_in(core: SemanticCore) -> set[str]:
    """The collections that indexes feed which are bound in this core."""
    return {name for follower in core.followers for name in getattr(follower, "adapters", {})}


def leftovers(hub: Hub) -> list[Leftover]:
    """What is left in the database of a hub, by collection."""
    if not hub.outbox.exists():
        return []
    mine = declared_in(hub.core)
    by_collection: dict[str, list[TriggerThere]] = {}
    marks = {_mark(name) for name in mine}
    for trigger in triggers(hub.execute, hub.dialect):
        if trigger.mark not in marks:
            by_collection.setdefault(_collection_of(trigger), []).append(trigger)
    tables = _tables(hub)
    pending = _counts(hub)
    documents = hub.core.stats(all_tenants=True).collections
    found = []
    for name in sorted({*by_collection, *tables, *pending} - mine):
        there = by_collection.get(name, [])
        table = next((each.table for each in there if each.table), tables.get(name, ""))
        found.append(
            Leftover(
                collection=name,
                table=table,
                table_there=bool(table) and _is_there(hub, table),
                triggers=len(there),
                pending=pending.get(name, 0),
                documents=documents.get(name, 0),
            )
        )
    return found


def forget(hub: Hub, collection: str, *, documents: bool = True) -> Forgotten:
    """Take away what is left of a collection: its triggers, pending changes and state,
    and its documents too.
    """
    from semantic_core.orm._ddl import drop

    mine = [
        each
        for each in triggers(hub.execute, hub.dialect)
        if collection in (_collection_of(each), each.mark)
    ]
    mine += [
        each
        for each in triggers(hub.execute, hub.dialect)
        if each.mark == _mark(collection) and each not in mine
    ]
    for trigger in mine:
        hub.execute(drop(hub.dialect, trigger.name), ())
    pending = _counts(hub).get(collection, 0)
    hub.outbox.forget(collection)
    if not hub.closed:
        hub.agreement.forget(collection)
    removed = left = 0
    if documents:
        removed, left = _remove_documents(hub.core, collection)
    return Forgotten(len(mine), pending, removed, left)


def forget_gone(hub: Hub) -> list[str]:
    """Forget collections whose table is gone, dropped or renamed, and that no index declares;
    which they were.
    """
    mine = declared_in(hub.core)
    gone = []
    for name, table in _tables(hub).items():
        if name not in mine and table and not _is_there(hub, table):
            done = forget(hub, name)
            gone.append(name)
            _log.info(
                "%s is forgotten: its table %s is gone, and no index declares it. Removed: %d "
                "triggers, %d pending changes, %d documents.",
                name,
                table,
                done.triggers,
                done.pending,
                done.documents,
            )
            if done.documents_left:
                _log.warning(
                    "%d documents of tenants are left in the collection %s.",
                    done.documents_left,
                    name,
                )
    return gone


def warn_of(hub: Hub) -> None:
    """Log what is left of indexes nobody declares; each such collection once in a process."""
    for each in leftovers(hub):
        key = (hub.database, each.collection)
        if each.triggers and key not in _told:
            _told.add(key)
            _log.warning(
                "%s has triggers on %s, and no index here declares it: every write there adds a "
                "change nobody works off. If its index is gone for good: "
                "semantic-core outbox forget %s",
                each.collection,
                each.table,
                each.collection,
            )


_told: set[object] = set()


def _remove_documents(core: SemanticCore, collection: str) -> tuple[int, int]:
    """How many were removed, and how many are left."""
    if core.store.multi_tenant:
        return 0, core.stats(all_tenants=True).collections.get(collection, 0)
    removed = 0
    while True:
        page = core.documents(limit=PAGE, collections=[collection])
        if not page:
            return removed, 0
        removed += core.remove(*(summary.ref for summary in page))


def _tables(hub: Hub) -> dict[str, str]:
    rows = hub.execute(f"SELECT collection, value FROM {STATE} WHERE name = '{TABLE}'", ())
    return {str(name): str(table) for name, table in rows}


def _counts(hub: Hub) -> dict[str, int]:
    found: dict[str, int] = {}
    for source in (OUTBOX, PLACES):
        rows = hub.execute(f"SELECT collection, COUNT(*) FROM {source} GROUP BY collection", ())
        for name, count in rows:
            found[str(name)] = found.get(str(name), 0) + (int(count) if source == OUTBOX else 0)
    return found


def _is_there(hub: Hub, table: str) -> bool:
    sql, params = table_there(hub.dialect, table, hub.placeholder or placeholder_of(hub.dialect))
    return bool(hub.execute(sql, params)[0][0])


def _collection_of(trigger: TriggerThere) -> str:
    found = _NAMED.search(trigger.text)
    name = found[1].replace("''", "'") if found else ""
    return name if name and _mark(name) == trigger.mark else trigger.mark


def _mark(collection: str) -> str:
    return sha256(collection.encode()).hexdigest()[:8]
