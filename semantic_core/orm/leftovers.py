"""What indexes that are no more have left behind: triggers, pending changes, state,
and documents nobody feeds any more.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import TYPE_CHECKING

import attrs

from semantic_core.orm.databases import Deserted, Followed, adapters_in, databases_of, owner_of
from semantic_core.orm.dialects import OUTBOX, PLACES, STATE, placeholder_of, table_there
from semantic_core.orm.migrations import TriggerThere, triggers
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.tables import Dialect, Execute

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm.base import BaseORMAdapter

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


def declared_for(database: Followed) -> set[str]:
    """The collections of a database that are fed by an index of this process: one bound in the same
    core, in one that stands in for it, or in a core of its own.
    """
    from semantic_core.orm.index import SemanticIndex

    elsewhere = [
        adapter.declaration.collection
        for adapter in SemanticIndex.bound()
        if adapter._coordinator is not None and adapter._coordinator.database == database.database
    ]
    return {*adapters_in(database.core), *elsewhere}


def leftovers(coordinator: Followed) -> list[Leftover]:
    """What is left in the database of a coordinator, by collection."""
    mine = declared_for(coordinator)
    by_collection: dict[str, list[TriggerThere]] = {}
    marks = {_mark(name) for name in mine}
    for trigger in triggers(coordinator.execute, coordinator.dialect):
        if trigger.mark not in marks:
            by_collection.setdefault(_collection_of(trigger), []).append(trigger)
    whole = coordinator.outbox.exists()
    tables = _tables(coordinator) if whole else {}
    pending = _counts(coordinator) if whole else {}
    documents = coordinator.core.stats(all_tenants=True).collections
    found = []
    for name in sorted({*by_collection, *tables, *pending} - mine):
        there = by_collection.get(name, [])
        table = next((each.table for each in there if each.table), tables.get(name, ""))
        found.append(
            Leftover(
                collection=name,
                table=table,
                table_there=bool(table) and _is_there(coordinator, table),
                triggers=len(there),
                pending=pending.get(name, 0),
                documents=documents.get(name, 0)
                if whole and not owner_of(coordinator, name)
                else 0,
            )
        )
    return found


def forget(coordinator: Followed, collection: str, *, documents: bool = True) -> Forgotten:
    """Take away what is left of a collection: its triggers, pending changes and state,
    and its documents too. Where the index is that of another database, nothing is taken from it.
    """
    from semantic_core.orm.trigger_ddl import drop

    mine = [
        each
        for each in triggers(coordinator.execute, coordinator.dialect)
        if collection in (_collection_of(each), each.mark)
    ]
    mine += [
        each
        for each in triggers(coordinator.execute, coordinator.dialect)
        if each.mark == _mark(collection) and each not in mine
    ]
    for trigger in mine:
        coordinator.execute(drop(coordinator.dialect, trigger.name), ())
    if not coordinator.outbox.exists():  # somebody dropped it, and left the triggers
        return Forgotten(len(mine), 0, 0, 0)
    pending = _counts(coordinator).get(collection, 0)
    mine_there = not owner_of(coordinator, collection)
    coordinator.outbox.forget(collection)
    if mine_there and not coordinator.closed:
        coordinator.agreement.forget(collection)
    removed = left = 0
    if mine_there and documents:
        removed, left = _remove_documents(coordinator.core, collection)
    return Forgotten(len(mine), pending, removed, left)


def forget_gone(coordinator: Followed) -> list[str]:
    """Forget collections whose table is gone, dropped or renamed, and that no index declares;
    which they were.
    """
    mine = declared_for(coordinator)
    gone = []
    for name, table in _tables(coordinator).items():
        if name not in mine and table and not _is_there(coordinator, table):
            done = forget(coordinator, name)
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


def warn_of(coordinator: Followed) -> None:
    """Log what is left of indexes nobody declares; each such collection once in a process."""
    for each in leftovers(coordinator):
        key = (coordinator.database, each.collection)
        if each.triggers and key not in _told:
            _told.add(key)
            _log.warning(
                "%s has triggers on %s, and no index here declares it: every write there adds a "
                "change nobody works off. If its index is gone for good: "
                "semantic-core outbox forget %s --app MODULE:NAME",
                each.collection,
                each.table,
                each.collection,
            )


class NoIndexes(list["BaseORMAdapter"]):
    """What binding gives where no index is declared: an empty list.

    core: the one that knows what former indexes left, for the commands; None if nothing is left.
    """

    def __init__(self, core: SemanticCore | None = None) -> None:
        super().__init__()
        self.core = core


def follow_leftovers(
    core: SemanticCore | Callable[[], SemanticCore],
    execute: Execute,
    dialect: Dialect,
    *,
    database: Hashable,
    placeholder: str = "",
) -> NoIndexes:
    """For adapters: call it where no index is declared on any model of a database.

    If former indexes left an outbox or triggers there, what is left is logged as a warning, and the
    commands see it through the core: ``semantic-core outbox status`` and ``forget``. Nothing
    happens if there is none. core: a function is called only if it is needed. execute, dialect,
    placeholder: as for `SqlOutbox`. database: as `BaseORMAdapter.database` would say. Raises what
    the database raises.
    """
    outbox = SqlOutbox(execute, dialect, placeholder=placeholder)
    if not (outbox.exists() or triggers(execute, dialect)):
        return NoIndexes()
    chosen = core() if callable(core) else core
    if not any(each.database == database for each in databases_of(chosen)):
        left = Deserted(chosen, execute, dialect, database=database, placeholder=placeholder)
        chosen.follow(left)
        if outbox.exists():
            forget_gone(left)
        warn_of(left)
    return NoIndexes(chosen)


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


def _tables(coordinator: Followed) -> dict[str, str]:
    rows = coordinator.execute(f"SELECT collection, value FROM {STATE} WHERE name = '{TABLE}'", ())
    return {str(name): str(table) for name, table in rows}


def _counts(coordinator: Followed) -> dict[str, int]:
    found: dict[str, int] = {}
    for source in (OUTBOX, PLACES):
        rows = coordinator.execute(
            f"SELECT collection, COUNT(*) FROM {source} GROUP BY collection", ()
        )
        for name, count in rows:
            found[str(name)] = found.get(str(name), 0) + (int(count) if source == OUTBOX else 0)
    return found


def _is_there(coordinator: Followed, table: str) -> bool:
    sql, params = table_there(
        coordinator.dialect, table, coordinator.placeholder or placeholder_of(coordinator.dialect)
    )
    return bool(coordinator.execute(sql, params)[0][0])


def _collection_of(trigger: TriggerThere) -> str:
    found = _NAMED.search(trigger.text)
    name = found[1].replace("''", "'") if found else ""
    return name if name and _mark(name) == trigger.mark else trigger.mark


def _mark(collection: str) -> str:
    return sha256(collection.encode()).hexdigest()[:8]
