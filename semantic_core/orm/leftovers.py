"""What former indexes left: triggers, pending changes, state, and documents that no index updates.

Tested by tests/orm/test_leftovers.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import TYPE_CHECKING

import attrs

from semantic_core.orm.databases import (
    Followed,
    OrphanedOutbox,
    adapters_in,
    databases_of,
    owner_of,
)
from semantic_core.orm.dialects import OUTBOX, PLACES, STATE
from semantic_core.orm.index import SemanticIndex
from semantic_core.orm.log import log
from semantic_core.orm.migrations import ExistingTrigger, triggers
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import Dialect, Execute
from semantic_core.orm.trigger_ddl import drop

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm.base import BaseORMAdapter

TABLE = "table"
"""The state that names the table a collection is made from."""
PAGE = 1_000
"""Documents removed at a time."""
_COLLECTION = re.compile(r"\bSELECT (?:DISTINCT )?'((?:[^']|'')*)', ", re.IGNORECASE)
"""Where the text of a trigger names its collection."""


@attrs.frozen
class Leftover:
    """What is left of a collection that no index of this application declares.

    collection: its name, or the eight hex digits of its triggers if the name is not known. table:
    that the triggers are on, or that the collection was made from; "" if it is not known.
    table_there: whether that table exists. triggers, pending: how many triggers and pending changes
    there are. documents: in the index, of all tenants.
    """

    collection: str
    table: str
    table_there: bool
    triggers: int
    pending: int
    documents: int


@attrs.frozen
class Forgotten:
    """What was removed. documents_left: documents of tenants, which only `SemanticCore.tenant`
    reaches.
    """

    triggers: int
    pending: int
    documents: int
    documents_left: int


class NoIndexes(list["BaseORMAdapter"]):
    """The result of binding where no index is declared: an empty list.

    core: the core that follows what former indexes left, for the commands; None if nothing is left.
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

    If former indexes left an outbox or triggers, this logs a warning, and the commands
    ``semantic-core outbox status`` and ``forget`` find what is left through the core. Otherwise
    nothing happens. core: a function is called only if the core is needed. execute, dialect,
    placeholder: as for `Sql`. database: as `BaseORMAdapter.database` would give it. Raises what the
    database raises.
    """
    sql = Sql(execute, dialect, placeholder)
    outbox = SqlOutbox(sql)
    if not (outbox.exists() or triggers(execute, dialect)):
        return NoIndexes()
    chosen = core() if callable(core) else core
    if not any(each.database == database for each in databases_of(chosen)):
        orphaned = OrphanedOutbox(chosen, sql, database=database)
        chosen.follow(orphaned)
        if outbox.exists():
            forget_gone(orphaned)
        warn_of(orphaned)
    return NoIndexes(chosen)


def declared_for(followed: Followed) -> set[str]:
    """The collections of a database that an index of this process updates: one bound in the same
    core, in a core that stands in for it, or in a core of its own.
    """
    found = set(adapters_in(followed.core))
    for adapter in SemanticIndex.bound():
        coordinator = adapter._coordinator
        if coordinator is not None and coordinator.database == followed.database:
            found.add(adapter.declaration.collection)
    return found


def leftovers(followed: Followed) -> list[Leftover]:
    """What former indexes left in a database, sorted by collection."""
    declared = declared_for(followed)
    by_collection = _undeclared_triggers(followed, declared)
    outbox_exists = followed.outbox.exists()
    tables = _tables(followed) if outbox_exists else {}
    pending = _pending(followed) if outbox_exists else {}
    documents = followed.core.stats(all_tenants=True).collections
    found: list[Leftover] = []
    for name in sorted({*by_collection, *tables, *pending} - declared):
        existing = by_collection.get(name, [])
        table = _table_of(existing) or tables.get(name, "")
        owned = outbox_exists and not owner_of(followed, name)
        found.append(
            Leftover(
                collection=name,
                table=table,
                table_there=bool(table) and followed.sql.has_table(table),
                triggers=len(existing),
                pending=pending.get(name, 0),
                documents=documents.get(name, 0) if owned else 0,
            )
        )
    return found


def _undeclared_triggers(
    followed: Followed, declared: set[str]
) -> dict[str, list[ExistingTrigger]]:
    marks = {_mark(name) for name in declared}
    found: dict[str, list[ExistingTrigger]] = {}
    for trigger in triggers(followed.sql.execute, followed.sql.dialect):
        if trigger.mark not in marks:
            found.setdefault(_collection_of(trigger), []).append(trigger)
    return found


def _table_of(existing: list[ExistingTrigger]) -> str:
    for trigger in existing:
        if trigger.table:
            return trigger.table
    return ""


def forget(followed: Followed, collection: str, *, documents: bool = True) -> Forgotten:
    """Remove what is left of a collection: its triggers, pending changes and state, and its
    documents as well unless `documents` is False.

    If another database owns the documents, they stay.
    """
    removed_triggers = 0
    for trigger in triggers(followed.sql.execute, followed.sql.dialect):
        if collection in (_collection_of(trigger), trigger.mark) or (
            trigger.mark == _mark(collection)
        ):
            followed.sql.execute(drop(followed.sql.dialect, trigger.name), ())
            removed_triggers += 1
    if not followed.outbox.exists():  # it was dropped, and the triggers stayed
        return Forgotten(removed_triggers, 0, 0, 0)
    pending = _pending(followed).get(collection, 0)
    owned = not owner_of(followed, collection)
    followed.outbox.forget(collection)
    if owned and not followed.closed:
        followed.agreement.forget(collection)
    removed = 0
    left = 0
    if owned and documents:
        removed, left = _remove_documents(followed.core, collection)
    return Forgotten(removed_triggers, pending, removed, left)


def forget_gone(followed: Followed) -> list[str]:
    """Forget the collections whose table was dropped or renamed and that no index declares. Returns
    their names.
    """
    declared = declared_for(followed)
    gone: list[str] = []
    for name, table in _tables(followed).items():
        if name in declared or not table or followed.sql.has_table(table):
            continue
        done = forget(followed, name)
        gone.append(name)
        log.info(
            "%s is forgotten: its table %s does not exist any more, and no index declares it. "
            "Removed: %d triggers, %d pending changes, %d documents.",
            name,
            table,
            done.triggers,
            done.pending,
            done.documents,
        )
        if done.documents_left:
            log.warning(
                "%d documents of tenants are left in the collection %s.", done.documents_left, name
            )
    return gone


def warn_of(followed: Followed) -> None:
    """Log what is left of indexes that are not declared, each collection once in a process."""
    for leftover in leftovers(followed):
        key = (followed.database, leftover.collection)
        if leftover.triggers and key not in _warned:
            _warned.add(key)
            log.warning(
                "%s has triggers on %s, and no index here declares it: every write there adds a "
                "pending change that no process ever processes. If its index is gone for good: "
                "semantic-core outbox forget %s --app MODULE:NAME",
                leftover.collection,
                leftover.table,
                leftover.collection,
            )


_warned: set[object] = set()


def _remove_documents(core: SemanticCore, collection: str) -> tuple[int, int]:
    """How many documents were removed, and how many are left."""
    if core.store.multi_tenant:
        return 0, core.stats(all_tenants=True).collections.get(collection, 0)
    removed = 0
    while True:
        page = core.unrestricted().documents(limit=PAGE, collections=[collection])
        if not page:
            return removed, 0
        removed += core.remove(*(summary.ref for summary in page))


def _tables(followed: Followed) -> dict[str, str]:
    """The table that each collection with state was made from."""
    query = f"SELECT collection, value FROM {STATE} WHERE name = '{TABLE}'"
    return {str(name): str(table) for name, table in followed.sql.execute(query, ())}


def _pending(followed: Followed) -> dict[str, int]:
    """The number of pending changes of each collection that has changes or places."""
    found: dict[str, int] = {}
    for source in (OUTBOX, PLACES):
        query = f"SELECT collection, COUNT(*) FROM {source} GROUP BY collection"
        for name, count in followed.sql.execute(query, ()):
            found.setdefault(str(name), 0)
            if source == OUTBOX:
                found[str(name)] += int(count)
    return found


def _collection_of(trigger: ExistingTrigger) -> str:
    """The collection that the text of a trigger names; its mark if there is no such name."""
    found = _COLLECTION.search(trigger.text)
    name = found[1].replace("''", "'") if found else ""
    return name if name and _mark(name) == trigger.mark else trigger.mark


def _mark(collection: str) -> str:
    """The eight hex digits that the triggers of a collection share."""
    return sha256(collection.encode()).hexdigest()[:8]
