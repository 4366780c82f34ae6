"""The indexes that read an outbox: which there are, where they are, and how far each has
acknowledged what it read.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection
from typing import Any

import attrs

from semantic_core.orm.dialects import (
    CONSUMERS,
    OUTBOX,
    STATE,
    SUBSCRIPTIONS,
    SqlStatements,
    upsert,
)
from semantic_core.orm.tables import Dialect, Execute

KEPT_FOR = 7 * 86_400.0
"""Seconds an index may go unseen before its pending changes are dropped;
then it compares every row when it comes back.
"""
KEPT_IN_MEMORY = 900.0
"""The same for an index in memory, which ends with its process."""
MOST_MARK = 2**53
"""Marks are below this number, so that every database keeps them exactly."""

_OUTBOX_ID = "outbox"
"""The state, of no collection, that holds the identity of the outbox."""
_COLUMNS = "consumer, location, acknowledged, mark, seen_at, kept_for"


@attrs.frozen
class Consumer:
    """An index that reads this outbox.

    consumer: its identity. location: where it was last; "" for one in memory. acknowledged: the
    number of the latest of its writes that the outbox has heard of. mark: of that write. seen_at:
    when it was here last, seconds since 1970. kept_for: how long it may stay away, in seconds.
    """

    consumer: str
    location: str
    acknowledged: int
    mark: int
    seen_at: float
    kept_for: float


class Consumers(SqlStatements):
    """The table of indexes, beside the outbox. clock: seconds since 1970."""

    def __init__(
        self,
        execute: Execute,
        dialect: Dialect,
        placeholder: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(execute, dialect, placeholder)
        self._clock = clock

    def outbox_id(self) -> str:
        """The identity of this outbox; made at the first call.

        A copy of the database has the same.
        """
        found = f"SELECT value FROM {STATE} WHERE collection = '' AND name = {self._mark}"
        value = self._value(found, [_OUTBOX_ID])
        if value is None:
            insert = f"INSERT INTO {STATE} (collection, name, value) SELECT {self._marks(3)}"
            nowhere = " FROM DUAL" if self._dialect == "mysql" else ""
            there = (
                f"SELECT 1 FROM {STATE} there WHERE there.collection = '' "
                f"AND there.name = {self._mark}"
            )
            values = ["", _OUTBOX_ID, secrets.token_hex(8), _OUTBOX_ID]
            try:
                self._execute(f"{insert}{nowhere} WHERE NOT EXISTS ({there})", values)
            except Exception:
                # Else another was faster, and this is its answer.
                if self._value(found, [_OUTBOX_ID]) is None:
                    raise
            value = self._value(found, [_OUTBOX_ID])
        return str(value)

    def look(self, consumer: str) -> tuple[str, Consumer | None, int]:
        """The identity of the outbox, this index (None if it is not registered), and how many
        others there are: in one query, for it is asked before every piece of work."""
        columns = ", ".join(f"c.{column}" for column in _COLUMNS.split(", "))
        sql = (
            f"SELECT s.value, (SELECT COUNT(*) FROM {CONSUMERS} o "
            f"WHERE o.consumer <> {self._mark}), {columns} FROM {STATE} s LEFT JOIN {CONSUMERS} c "
            f"ON c.consumer = {self._mark} "
            f"WHERE s.collection = '' AND s.name = {self._mark}"
        )
        rows = self._execute(sql, [consumer, consumer, _OUTBOX_ID])
        if not rows:
            return (
                self.outbox_id(),
                self.get(consumer),
                len([each for each in self.every() if each.consumer != consumer]),
            )
        outbox_id, others, *found = rows[0]
        return str(outbox_id), None if found[0] is None else _consumer(found), int(others)

    def get(self, consumer: str) -> Consumer | None:
        """This index; None if it is not registered."""
        sql = f"SELECT {_COLUMNS} FROM {CONSUMERS} WHERE consumer = {self._mark}"
        rows = self._execute(sql, [consumer])
        return _consumer(rows[0]) if rows else None

    def every(self) -> list[Consumer]:
        """All that are registered, the one seen last first."""
        return [
            _consumer(row)
            for row in self._execute(
                f"SELECT {_COLUMNS} FROM {CONSUMERS} ORDER BY seen_at DESC", ()
            )
        ]

    def register(
        self,
        consumer: str,
        location: str,
        acknowledged: int,
        mark: int,
        collections: Collection[str] = (),
    ) -> None:
        """Let this index read these collections from now on, or say anew how far it is. What is
        noted from now on is kept for it.

        Another index that was at the same place is gone: it is dropped.
        """
        # First: whoever finds the index registered must find these.
        self.subscribe(consumer, collections)
        for other in self.every():
            if location and other.location == location and other.consumer != consumer:
                self.drop(other.consumer)
        kept_for = KEPT_FOR if location else KEPT_IN_MEMORY
        columns = tuple(_COLUMNS.split(", "))
        kept = ("location", "seen_at", "kept_for")
        values = [consumer, location, acknowledged, mark, self._clock(), kept_for]
        self._execute(upsert(self._dialect, CONSUMERS, columns, kept, self._mark), values)
        # A slower process must not take back what a faster one has said meanwhile.
        self.acknowledge(consumer, acknowledged, mark)

    def subscribe(self, consumer: str, collections: Collection[str]) -> None:
        """Keep the changes of these collections, too, for this index."""
        sql = upsert(
            self._dialect, SUBSCRIPTIONS, ("collection", "consumer"), ("consumer",), self._mark
        )
        for collection in sorted(collections):
            self._execute(sql, [collection, consumer])

    def unsubscribe(self, consumer: str, collection: str) -> None:
        """Keep the changes of this collection for this index no more."""
        self._execute(
            (
                f"DELETE FROM {SUBSCRIPTIONS} WHERE collection = {self._mark} "
                f"AND consumer = {self._mark}"
            ),
            [collection, consumer],
        )

    def acknowledge(self, consumer: str, acknowledged: int, mark: int) -> None:
        """Remember that the index has made this write of its own;
        an earlier one changes nothing.
        """
        self._execute(
            f"UPDATE {CONSUMERS} SET acknowledged = {self._mark}, mark = {self._mark}, seen_at = "
            f"{self._mark} WHERE consumer = {self._mark} AND acknowledged < {self._mark}",
            [acknowledged, mark, self._clock(), consumer, acknowledged],
        )

    def newest(self, consumer: str, collection: str) -> tuple[int, int] | None:
        """Number and mark of the newest ticket of a collection that waits for this index;
        None if none does.
        """
        rows = self._execute(
            f"SELECT id, mark FROM {OUTBOX} WHERE aborted < 2 AND consumer IN ('', {self._mark}) "
            f"AND collection = {self._mark} ORDER BY id DESC LIMIT 1",
            [consumer, collection],
        )
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def seen(self, consumer: Consumer, location: str) -> None:
        """Remember that the index was here, and where it is; written now and then only."""
        age = self._clock() - consumer.seen_at
        if location == consumer.location and -consumer.kept_for / 10 < age < consumer.kept_for / 10:
            return
        self._execute(
            (
                f"UPDATE {CONSUMERS} SET location = {self._mark}, seen_at = {self._mark} "
                f"WHERE consumer = {self._mark}"
            ),
            [location, self._clock(), consumer.consumer],
        )

    def lost(self) -> list[Consumer]:
        """Those that have been away for longer than they are kept for."""
        now = self._clock()
        return [each for each in self.every() if now - each.seen_at > each.kept_for]

    def drop(self, consumer: str) -> None:
        """Forget an index, and the pending changes that are for it alone."""
        self._execute(f"DELETE FROM {CONSUMERS} WHERE consumer = {self._mark}", [consumer])
        self._execute(f"DELETE FROM {SUBSCRIPTIONS} WHERE consumer = {self._mark}", [consumer])
        self._execute(f"DELETE FROM {OUTBOX} WHERE consumer = {self._mark}", [consumer])

    def holds(self, number: int, mark: int) -> bool:
        """Whether the outbox has a ticket with this mark;
        number: the one it had when it was last seen.
        """
        sql = f"SELECT 1 FROM {OUTBOX} WHERE id = {self._mark} AND mark = {self._mark}"
        if self._value(sql, [number, mark]) is not None:
            return True
        return self._value(f"SELECT 1 FROM {OUTBOX} WHERE mark = {self._mark}", [mark]) is not None

    def address(self) -> str:
        """Which database this is, as it calls itself: its file or name; "" for one in memory."""
        if self._dialect == "sqlite":
            rows = self._execute("PRAGMA database_list", ())
            return next((str(row[2] or "") for row in rows if row[1] == "main"), "")
        if self._dialect == "postgresql":
            return (
                f"{self._value('SELECT current_database()')}/"
                f"{self._value('SELECT current_schema()')}"
            )
        return str(self._value("SELECT DATABASE()"))

    def is_another(self, address: str, here: str) -> bool:
        """Whether there is a database at this address, and it is another one than that here."""
        if not address or address == here:
            return False
        if self._dialect == "sqlite":
            return os.path.isfile(address) and not (
                os.path.isfile(here) and os.path.samefile(address, here)
            )
        name, _, schema = address.partition("/")
        if self._dialect == "mysql":
            sql = f"SELECT 1 FROM information_schema.schemata WHERE schema_name = {self._mark}"
            return self._value(sql, [name]) is not None
        if name != here.partition("/")[0]:
            return (
                self._value(f"SELECT 1 FROM pg_database WHERE datname = {self._mark}", [name])
                is not None
            )
        return (
            self._value(f"SELECT 1 FROM pg_namespace WHERE nspname = {self._mark}", [schema])
            is not None
        )


def new_mark() -> int:
    """A random number that no other write has."""
    return secrets.randbelow(MOST_MARK - 1) + 1


def _consumer(row: Any) -> Consumer:
    consumer, location, acknowledged, mark, seen_at, kept_for = row
    return Consumer(
        str(consumer), str(location), int(acknowledged), int(mark), float(seen_at), float(kept_for)
    )
