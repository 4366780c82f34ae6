"""`Consumers`: the indexes that read an outbox, where each is, and how far it has read.

An index that reads an outbox is one of its consumers. The table of consumers stands beside the
outbox, in the application's database.

Tested by tests/orm/test_outbox.py, tests/orm/test_agreement.py.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import attrs

from semantic_core.orm.dialects import CONSUMERS, OUTBOX, STATE, SUBSCRIPTIONS
from semantic_core.orm.sql import Sql

KEPT_FOR = 7 * 86_400.0
"""Seconds for which an index may stay away before its pending changes are deleted. When it comes
back later, it compares all rows.
"""
KEPT_IN_MEMORY = 900.0
"""The same for an index in memory, which ends with its process."""
MOST_MARK = 2**53
"""Marks are below this number, so that every database stores them exactly."""

_OUTBOX_ID = "outbox"
"""The state, of no collection, that holds the identity of the outbox."""
_COLUMNS = ("consumer", "location", "acknowledged", "mark", "seen_at", "kept_for")
_LISTED = ", ".join(_COLUMNS)


@attrs.frozen
class Consumer:
    """An index that reads this outbox.

    consumer: its identity. location: where it was last; "" for one in memory. acknowledged: the
    number of its latest write that the outbox knows of. mark: of that write. seen_at: when it was
    here last, in seconds since 1970. kept_for: how long it may stay away, in seconds.
    """

    consumer: str
    location: str
    acknowledged: int
    mark: int
    seen_at: float
    kept_for: float


class Consumers:
    """The table of the indexes that read an outbox. clock: gives seconds since 1970."""

    def __init__(self, sql: Sql, clock: Callable[[], float] = time.time) -> None:
        self.sql = sql
        self._clock = clock

    def outbox_id(self) -> str:
        """The identity of this outbox, created by the first call.

        A copy of the database has the same identity.
        """
        param = self.sql.param
        query = f"SELECT value FROM {STATE} WHERE collection = '' AND name = {param}"
        value = self.sql.value(query, [_OUTBOX_ID])
        if value is None:
            insert = f"INSERT INTO {STATE} (collection, name, value) SELECT {self.sql.params(3)}"
            from_dual = " FROM DUAL" if self.sql.dialect == "mysql" else ""
            existing = (
                f"SELECT 1 FROM {STATE} there WHERE there.collection = '' AND there.name = {param}"
            )
            try:
                self.sql.execute(
                    f"{insert}{from_dual} WHERE NOT EXISTS ({existing})",
                    ["", _OUTBOX_ID, secrets.token_hex(8), _OUTBOX_ID],
                )
            except Exception:
                # Another process may have inserted it first. Then its value counts.
                if self.sql.value(query, [_OUTBOX_ID]) is None:
                    raise
            value = self.sql.value(query, [_OUTBOX_ID])
        return str(value)

    def lookup(self, consumer: str) -> tuple[str, Consumer | None, int]:
        """The identity of the outbox, this index (None if it is not registered), and the number of
        other indexes. One query, since it runs before every claim.
        """
        param = self.sql.param
        columns = ", ".join(f"c.{column}" for column in _COLUMNS)
        rows = self.sql.execute(
            "SELECT s.value, "
            f"(SELECT COUNT(*) FROM {CONSUMERS} o WHERE o.consumer <> {param}), "
            f"{columns} FROM {STATE} s "
            f"LEFT JOIN {CONSUMERS} c ON c.consumer = {param} "
            f"WHERE s.collection = '' AND s.name = {param}",
            [consumer, consumer, _OUTBOX_ID],
        )
        if not rows:
            outbox_id = self.outbox_id()
            others = [each for each in self.every() if each.consumer != consumer]
            return outbox_id, self.get(consumer), len(others)
        outbox_id, count, *found = rows[0]
        known = None if found[0] is None else _consumer(found)
        return str(outbox_id), known, int(count)

    def get(self, consumer: str) -> Consumer | None:
        """This index; None if it is not registered."""
        query = f"SELECT {_LISTED} FROM {CONSUMERS} WHERE consumer = {self.sql.param}"
        rows = self.sql.execute(query, [consumer])
        return _consumer(rows[0]) if rows else None

    def every(self) -> list[Consumer]:
        """All registered indexes, the one seen last first."""
        query = f"SELECT {_LISTED} FROM {CONSUMERS} ORDER BY seen_at DESC"
        return [_consumer(row) for row in self.sql.execute(query, ())]

    def register(
        self,
        consumer: str,
        location: str,
        acknowledged: int,
        mark: int,
        collections: Collection[str] = (),
    ) -> None:
        """Register an index as a reader of these collections, or update how far it has read. From
        now on pending changes are stored for it.

        Another index at the same location has been replaced by this one, and is dropped.
        """
        # First, since whoever finds the index registered must find its subscriptions.
        self.subscribe(consumer, collections)
        for other in self.every():
            if location and other.location == location and other.consumer != consumer:
                self.drop(other.consumer)
        kept_for = KEPT_FOR if location else KEPT_IN_MEMORY
        updated = ("location", "seen_at", "kept_for")
        values = [consumer, location, acknowledged, mark, self._clock(), kept_for]
        self.sql.upsert(CONSUMERS, _COLUMNS, updated, values)
        # A slower process must not undo what a faster one acknowledged meanwhile.
        self.acknowledge(consumer, acknowledged, mark)

    def subscribe(self, consumer: str, collections: Collection[str]) -> None:
        """Store the changes of these collections for this index as well."""
        columns = ("collection", "consumer")
        for collection in sorted(collections):
            self.sql.upsert(SUBSCRIPTIONS, columns, ("consumer",), [collection, consumer])

    def unsubscribe(self, consumer: str, collection: str) -> None:
        """Store the changes of this collection for this index no longer."""
        param = self.sql.param
        self.sql.execute(
            f"DELETE FROM {SUBSCRIPTIONS} WHERE collection = {param} AND consumer = {param}",
            [collection, consumer],
        )

    def acknowledge(self, consumer: str, acknowledged: int, mark: int) -> None:
        """Store that the index made this write. An earlier one changes nothing."""
        param = self.sql.param
        self.sql.execute(
            f"UPDATE {CONSUMERS} "
            f"SET acknowledged = {param}, mark = {param}, seen_at = {param} "
            f"WHERE consumer = {param} AND acknowledged < {param}",
            [acknowledged, mark, self._clock(), consumer, acknowledged],
        )

    def newest(self, consumer: str, collection: str) -> tuple[int, int] | None:
        """Number and mark of the newest change of a collection that is pending for this index; None
        if there is none.
        """
        param = self.sql.param
        rows = self.sql.execute(
            f"SELECT id, mark FROM {OUTBOX} "
            f"WHERE aborted < 2 AND consumer IN ('', {param}) "
            f"AND collection = {param} ORDER BY id DESC LIMIT 1",
            [consumer, collection],
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def seen(self, consumer: Consumer, location: str) -> None:
        """Store that the index was here, and its location. Written only from time to time."""
        age = abs(self._clock() - consumer.seen_at)
        if location == consumer.location and age < consumer.kept_for / 10:
            return
        param = self.sql.param
        self.sql.execute(
            f"UPDATE {CONSUMERS} SET location = {param}, seen_at = {param} "
            f"WHERE consumer = {param}",
            [location, self._clock(), consumer.consumer],
        )

    def lost(self) -> list[Consumer]:
        """The indexes that have stayed away for longer than they are kept for."""
        now = self._clock()
        return [each for each in self.every() if now - each.seen_at > each.kept_for]

    def drop(self, consumer: str) -> None:
        """Delete an index, and the pending changes that belong to it alone."""
        for table in (CONSUMERS, SUBSCRIPTIONS, OUTBOX):
            delete = f"DELETE FROM {table} WHERE consumer = {self.sql.param}"
            self.sql.execute(delete, [consumer])

    def holds(self, number: int, mark: int) -> bool:
        """Whether the outbox has a change with this mark. number: its number when it was seen last,
        which is looked up first.
        """
        param = self.sql.param
        by_number = f"SELECT 1 FROM {OUTBOX} WHERE id = {param} AND mark = {param}"
        if self.sql.value(by_number, [number, mark]) is not None:
            return True
        return self._exists(f"SELECT 1 FROM {OUTBOX} WHERE mark = {param}", [mark])

    def address(self) -> str:
        """The database as it calls itself: its file or its name; "" for one in memory."""
        if self.sql.dialect == "sqlite":
            for row in self.sql.execute("PRAGMA database_list", ()):
                if row[1] == "main":
                    return str(row[2] or "")
            return ""
        if self.sql.dialect == "postgresql":
            database = self.sql.value("SELECT current_database()")
            schema = self.sql.value("SELECT current_schema()")
            return f"{database}/{schema}"
        return str(self.sql.value("SELECT DATABASE()"))

    def is_another(self, address: str, here: str) -> bool:
        """Whether there is a database at `address`, and it is not the one at `here`."""
        if not address or address == here:
            return False
        param = self.sql.param
        if self.sql.dialect == "sqlite":
            if not os.path.isfile(address):
                return False
            return not (os.path.isfile(here) and os.path.samefile(address, here))
        name, _, schema = address.partition("/")
        if self.sql.dialect == "mysql":
            query = f"SELECT 1 FROM information_schema.schemata WHERE schema_name = {param}"
            return self._exists(query, [name])
        if name != here.partition("/")[0]:
            return self._exists(f"SELECT 1 FROM pg_database WHERE datname = {param}", [name])
        return self._exists(f"SELECT 1 FROM pg_namespace WHERE nspname = {param}", [schema])

    def _exists(self, query: str, params: Sequence[Any]) -> bool:
        return self.sql.value(query, params) is not None


def new_mark() -> int:
    """A random number that no other write has."""
    return secrets.randbelow(MOST_MARK - 1) + 1


def _consumer(row: Any) -> Consumer:
    consumer, location, acknowledged, mark, seen_at, kept_for = row
    return Consumer(
        consumer=str(consumer),
        location=str(location),
        acknowledged=int(acknowledged),
        mark=int(mark),
        seen_at=float(seen_at),
        kept_for=float(kept_for),
    )
