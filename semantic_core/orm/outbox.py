"""The outbox: a table of pending changes in the application's own database.

A pending change is written by the transaction that changes the row. It holds the address of the row
and none of its values: whoever processes it reads the row as it is then. So a rollback removes the
pending change as well, a crash loses none, and processing one twice does no harm.

Several indexes may read one outbox. A trigger writes one pending change, which belongs to no index
in particular. While one index alone reads the collection, it takes that change as it is. With more
readers, the first that claims changes gives each reader a copy (`SqlOutbox.distribute`), so that
each index has its own leases, attempts and errors.

Tested by tests/orm/test_outbox.py.
"""

from __future__ import annotations

import random as _random
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from operator import attrgetter
from typing import Any

import attrs

from semantic_core.errors import InputError
from semantic_core.orm.dialects import (
    CONSUMERS,
    OUTBOX,
    PLACES,
    STATE,
    SUBSCRIPTIONS,
    TABLES,
    layout,
    outbox_tables_query,
)
from semantic_core.orm.sql import CHUNK, Sql, chunks
from semantic_core.orm.tables import Execute
from semantic_core.types import Ref

LEASE = 60.0
"""Seconds for which claimed changes belong to one worker."""
MAX_ATTEMPTS = 8
"""Attempts before a change is aborted. With the delays below, the last attempt comes about two
minutes after the first.
"""
BASE_DELAY = 1.0
"""The longest pause after the first failure, in seconds. It doubles with each further failure."""
MAX_DELAY = 600.0
"""The longest pause after any failure, in seconds."""
MAX_ERROR = 500
"""Characters of an error that are stored."""
SLACK = 60.0
"""Seconds by which clocks may differ. A change that is due later than any pause lasts was written
with a wrong clock, and counts as due.
"""
MAX_TRIES = 20
"""Attempts of one claim to get changes that other workers take at the same moment."""

TRIGGERS = "triggers"
"""The state that names the triggers which the last installation left; "" after they were removed on
purpose.
"""

_CHANGE = "id, collection, row_key, tenant, mark"
"""The columns of a `PendingChange`."""
_COPIED = "collection, row_key, tenant, mark, created_at"
"""The columns of a pending change that the copy for another index has as well."""
_RENUMBERED = "collection, row_key, tenant, consumer, mark, attempts, ready_at, error, created_at"
"""The columns that stay when a pending change gets a new number."""


@attrs.frozen
class PendingChange:
    """The address of a row that changed.

    number: identifies the change for `SqlOutbox.done` and `SqlOutbox.failed`. It is the stamp of
    the document as well: a change that was claimed later has a larger number. key: the row's key as
    text, as the database casts it; a JSON array of texts for a composite key; "" for the whole
    table. tenant: "" if no column of the row names it. mark: a random number, the same in every
    copy of this change and in no other change.
    """

    number: int
    collection: str
    key: str
    tenant: str
    mark: int = 0


@attrs.frozen
class AbortedChange:
    """A change that was given up after too many failures.

    error: of its last failure. created_at: seconds since 1970.
    """

    number: int
    collection: str
    key: str
    tenant: str
    attempts: int
    error: str
    created_at: float


@attrs.frozen
class OutboxStatus:
    """The changes of one collection, counted.

    waiting: pending changes, those that pause after a failure included. taken: leased to a worker.
    aborted: given up. oldest: when the oldest change that is not aborted was written, in seconds
    since 1970; None if there is none. last_error: of the newest change with an error; "" if none
    has one.
    """

    waiting: int = 0
    taken: int = 0
    aborted: int = 0
    oldest: float | None = None
    last_error: str = ""


class SqlOutbox:
    """Implements `semantic_core.protocols.Outbox` in SQLite, PostgreSQL, MySQL or MariaDB.

    sql: the application's connection. consumer: identity of the index that reads the outbox; ""
    reads the changes that belong to no index in particular. shared: an attribute; False once it is
    known that no other index reads the outbox, which saves a query for each claim.
    lease, base_delay, max_delay: seconds. clock: gives seconds since 1970. random: gives a number
    from 0 to 1, which spreads the pauses.
    atomic: gives a block whose statements are one transaction. `add` is meant for the application's
    transaction. All else is meant to run outside of one, each statement committed by itself.
    """

    def __init__(
        self,
        sql: Sql,
        *,
        consumer: str = "",
        atomic: Callable[[], AbstractContextManager[Any]] = nullcontext,
        lease: float = LEASE,
        max_attempts: int = MAX_ATTEMPTS,
        base_delay: float = BASE_DELAY,
        max_delay: float = MAX_DELAY,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = _random.random,
    ) -> None:
        if lease <= 0 or max_attempts < 1 or base_delay < 0 or max_delay < 0:
            raise InputError(
                "lease must be above 0, max_attempts at least 1 and the delays not negative, "
                f"got lease={lease!r}, max_attempts={max_attempts!r}, "
                f"base_delay={base_delay!r}, max_delay={max_delay!r}."
            )
        self.sql = sql
        self.atomic = atomic
        self.consumer = consumer
        self.shared = True
        self._lease = lease
        self._max_attempts = max_attempts
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._clock = clock
        self._random = random

    @property
    def reads_without_lease(self) -> bool:
        """Whether ``claim(lease=False)`` takes no lease on this database."""
        return self.sql.dialect == "sqlite"

    # --- the tables -------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the tables if they do not exist. Several processes may do so at once.

        MySQL commits the transaction in which this is called.
        """
        existing = self._count_tables()
        if existing == len(TABLES):
            return
        for statement in layout(self.sql.dialect, int(self._clock())):
            self.sql.execute(statement, ())
        if existing:  # some were dropped, so the contents of the others are out of date
            self.sql.execute(f"DELETE FROM {STATE}", ())
            self.sql.execute(f"DELETE FROM {CONSUMERS}", ())
            self.sql.execute(f"DELETE FROM {SUBSCRIPTIONS}", ())

    def exists(self) -> bool:
        """Whether all tables exist."""
        return self._count_tables() == len(TABLES)

    def _count_tables(self) -> int:
        query = outbox_tables_query(self.sql.dialect, self.sql.param)
        return int(self.sql.value(query, TABLES))

    def forget(self, collection: str) -> None:
        """Delete everything that belongs to a collection: pending changes, places and state."""
        for table in (OUTBOX, PLACES, SUBSCRIPTIONS, STATE):
            delete = f"DELETE FROM {table} WHERE collection = {self.sql.param}"
            self.sql.execute(delete, [collection])

    # --- adding pending changes -------------------------------------------------------------------

    def add(
        self,
        collection: str,
        keys: Iterable[str],
        tenant: str = "",
        *,
        consumer: str = "",
        execute: Execute | None = None,
    ) -> None:
        """Add a pending change for each of these keys.

        consumer: the one index that the changes belong to; "" means every index. execute: of the
        transaction that they become part of; None uses the outbox's own connection.
        """
        run = self.sql.execute if execute is None else self.sql.numbered(execute)
        for chunk in chunks(keys):
            values = self.sql.rows_of_params(4, len(chunk))
            params: list[str] = []
            for key in chunk:
                params += (collection, key, tenant, consumer)
            run(
                f"INSERT INTO {OUTBOX} (collection, row_key, tenant, consumer) VALUES {values}",
                params,
            )

    def last_number(self) -> int:
        """The largest number that a visible pending change has had so far.

        Read it before reading rows: a change of one of the rows afterwards has a larger number.
        """
        sql = self.sql
        if sql.dialect == "sqlite":
            last = f"SELECT seq FROM sqlite_sequence WHERE name = '{OUTBOX}'"
            return int(sql.value(last) or 0)
        if sql.dialect == "postgresql":
            sequence = f"pg_get_serial_sequence('{OUTBOX}', 'id')"
            last = f"SELECT pg_sequence_last_value(CAST({sequence} AS regclass))"
            return int(sql.value(last) or 0)
        # MySQL's dictionary may hold an old AUTO_INCREMENT; the number of a new row is right.
        sql.execute(
            f"INSERT INTO {OUTBOX} (collection, row_key, tenant, aborted) VALUES ('', '', '', 2)",
            (),
        )
        number = int(sql.value(f"SELECT MAX(id) FROM {OUTBOX} WHERE aborted = 2") or 0)
        sql.execute(f"DELETE FROM {OUTBOX} WHERE aborted = 2 AND id <= {sql.param}", [number])
        return number

    # --- claiming and finishing them --------------------------------------------------------------

    def claim(
        self, limit: int, *, collections: Collection[str] | None = None, lease: bool = True
    ) -> list[PendingChange]:
        """Claim up to `limit` pending changes, the oldest first. No other worker gets them while
        the lease lasts.

        collections: whose changes; None for all. lease: False reads the changes and writes nothing;
        two workers that do so at once do the same work, which does no harm. SQLite alone supports
        that; elsewhere there is always a lease. Read the rows after this call and outside of an
        older transaction: then a larger number means a newer state of the row.
        """
        return self._claim(limit, collections, whole=True, lease=lease)

    def take(self, limit: int) -> list[tuple[int, Ref]]:
        """Like `claim`, as (number, ref). Changes of whole tables are left in the outbox, and
        changes whose key makes no ref have failed.
        """
        found: list[tuple[int, Ref]] = []
        for change in self._claim(limit, None, whole=False, lease=True):
            try:
                found.append((change.number, Ref(change.collection, change.key, change.tenant)))
            except InputError as error:
                self.failed([change.number], str(error))
        return found

    def done(self, numbers: Collection[int]) -> None:
        """Delete these changes, since they are processed.

        A change made meanwhile has a number of its own and stays.
        """
        for chunk in chunks(sorted(numbers)):
            marks = self.sql.params(len(chunk))
            self.sql.execute(f"DELETE FROM {OUTBOX} WHERE id IN ({marks})", chunk)

    def failed(self, numbers: Collection[int], reason: str) -> None:
        """Release these changes, to be claimed again after a growing pause. A change that fails for
        the `max_attempts`-th time is aborted.
        """
        param = self.sql.param
        for chunk in chunks(sorted(numbers)):
            among = f"id IN ({self.sql.params(len(chunk))}) AND aborted = 0"
            counts = self.sql.values(f"SELECT DISTINCT attempts FROM {OUTBOX} WHERE {among}", chunk)
            for attempts in sorted(map(int, counts), reverse=True):
                longest = self._base_delay * 2.0 ** min(attempts, 60)
                pause = self._random() * min(self._max_delay, longest)
                aborted = attempts + 1 >= self._max_attempts
                self.sql.execute(
                    f"UPDATE {OUTBOX} SET attempts = attempts + 1, claim = '', "
                    f"ready_at = {param}, error = {param}, aborted = {param} "
                    f"WHERE {among} AND attempts = {param}",
                    [self._clock() + pause, _storable(reason), int(aborted), *chunk, attempts],
                )

    def give_back(self, numbers: Collection[int]) -> None:
        """Release these changes, to be claimed again at once. No failure is counted."""
        for chunk in chunks(sorted(numbers)):
            self.sql.execute(
                f"UPDATE {OUTBOX} SET claim = '', ready_at = 0 "
                f"WHERE aborted = 0 AND id IN ({self.sql.params(len(chunk))})",
                chunk,
            )

    def distribute(self) -> None:
        """Give each registered index its own copy of the changes that belong to all of them. With
        one index there is nothing to do.

        The changes are read before the list of indexes. An index that registers in between has yet
        to compare all rows, which covers these changes. If two processes distribute at once, there
        are two copies, which do no harm.
        """
        after = -1
        while True:
            due, params = self._due()
            rows = self.sql.execute(
                f"SELECT id, {_COPIED} FROM {OUTBOX} WHERE aborted = 0 AND consumer = '' "
                f"AND id > {self.sql.param} AND {due} ORDER BY id LIMIT {CHUNK // 2}",
                [after, *params],
            )
            if not rows:
                return
            self._copy_for_readers(rows, self._readers())
            after = int(rows[-1][0])

    def _readers(self) -> dict[str, list[str]]:
        """The indexes that read each collection, sorted."""
        readers: dict[str, list[str]] = {}
        rows = self.sql.execute(f"SELECT collection, consumer FROM {SUBSCRIPTIONS}", ())
        for collection, consumer in rows:
            readers.setdefault(str(collection), []).append(str(consumer))
        for consumers in readers.values():
            consumers.sort()
        return readers

    def _copy_for_readers(
        self, rows: Sequence[Sequence[Any]], readers: Mapping[str, Sequence[str]]
    ) -> None:
        """Replace those of these changes that have several readers by one copy for each reader."""
        copies: list[tuple[Any, ...]] = []
        replaced: list[int] = []
        for number, collection, *rest in rows:
            consumers = readers.get(str(collection), ())
            if len(consumers) > 1:
                replaced.append(int(number))
                for consumer in consumers:
                    copies.append((collection, *rest, consumer))
        with self.atomic():
            for chunk in chunks(copies, CHUNK // 2):
                values = self.sql.rows_of_params(6, len(chunk))
                params: list[Any] = []
                for copy in chunk:
                    params += copy
                insert = f"INSERT INTO {OUTBOX} ({_COPIED}, consumer) VALUES {values}"
                self.sql.execute(insert, params)
            self.done(replaced)

    def _due(self) -> tuple[str, list[Any]]:
        """A condition, with its parameters: no worker has the change, and no pause lasts."""
        now = self._clock()
        longest = max(self._lease, self._max_delay) + SLACK
        param = self.sql.param
        return f"(ready_at <= {param} OR ready_at > {param})", [now, now + longest]

    def _mine(self) -> tuple[str, list[Any]]:
        """A condition, with its parameters: this index may claim the change. It may claim its own
        changes, and those of no index in particular if no other index reads the collection.
        """
        if not self.consumer:
            return "consumer = ''", []
        param = self.sql.param
        others = (
            f"EXISTS (SELECT 1 FROM {SUBSCRIPTIONS} others "
            f"WHERE others.collection = {OUTBOX}.collection AND others.consumer <> {param})"
        )
        condition = f"(consumer = {param} OR (consumer = '' AND NOT {others}))"
        return condition, [self.consumer, self.consumer]

    def _claim(
        self, limit: int, collections: Collection[str] | None, *, whole: bool, lease: bool
    ) -> list[PendingChange]:
        nothing_wanted = collections is not None and not collections
        if limit < 1 or nothing_wanted:
            return []
        if self.consumer and self.shared:
            self.distribute()
        due, times = self._due()
        mine, owner = self._mine()
        where = f"aborted = 0 AND {due} AND {mine}"
        params = [*times, *owner]
        if collections is not None:
            where += f" AND collection IN ({self.sql.params(len(collections))})"
            params += sorted(collections)
        if not whole:
            where += " AND row_key <> ''"
        token = secrets.token_hex(16)
        if not lease and self.reads_without_lease:
            rows = self.sql.execute(
                f"SELECT {_CHANGE} FROM {OUTBOX} WHERE {where} ORDER BY id LIMIT {self.sql.param}",
                [*params, limit],
            )
        elif self.sql.dialect == "postgresql":
            rows = self._claim_at_once(where, params, limit, token)
        else:
            rows = self._claim_in_turns(where, params, limit, token)
        changes: list[PendingChange] = []
        for number, collection, key, tenant, mark in rows:
            changes.append(PendingChange(int(number), collection, key, tenant, int(mark)))
        return sorted(changes, key=attrgetter("number"))

    def _claim_at_once(
        self, where: str, params: list[Any], limit: int, token: str
    ) -> Sequence[Sequence[Any]]:
        """Claim in one statement. Claimed changes get new numbers, since the numbers of concurrent
        transactions are not in the order of their commits.
        """
        param = self.sql.param
        return self.sql.execute(
            "WITH free AS MATERIALIZED ("
            f"SELECT id FROM {OUTBOX} WHERE {where} "
            f"ORDER BY id LIMIT {param} FOR UPDATE SKIP LOCKED) "
            f"UPDATE {OUTBOX} "
            f"SET id = nextval(pg_get_serial_sequence('{OUTBOX}', 'id')), "
            f"claim = {param}, ready_at = {param} "
            f"FROM free WHERE {OUTBOX}.id = free.id "
            f"RETURNING {OUTBOX}.id, collection, row_key, tenant, mark",
            [*params, limit, token, self._clock() + self._lease],
        )

    def _claim_in_turns(
        self, where: str, params: list[Any], limit: int, token: str
    ) -> Sequence[Sequence[Any]]:
        """Read numbers without a lock, then claim those that are still free. So no transaction of
        the application ever waits for a claim.
        """
        param = self.sql.param
        free = f"SELECT id FROM {OUTBOX} WHERE {where} ORDER BY id LIMIT {param}"
        due, times = self._due()
        claimed: list[Sequence[Any]] = []
        for _ in range(MAX_TRIES):
            ids = self.sql.values(free, [*params, limit - len(claimed)])
            for chunk in chunks(ids):
                among = f"id IN ({self.sql.params(len(chunk))})"
                self.sql.execute(
                    f"UPDATE {OUTBOX} SET claim = {param}, ready_at = {param} "
                    f"WHERE {among} AND aborted = 0 AND {due}",
                    [token, self._clock() + self._lease, *chunk, *times],
                )
                mine = f"SELECT {_CHANGE} FROM {OUTBOX} WHERE claim = {param} AND {among}"
                claimed += self.sql.execute(mine, [token, *chunk])
            if claimed or not ids:
                break
        if claimed and self.sql.dialect == "mysql":
            return self._renumbered(claimed)
        return claimed

    def _renumbered(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Claimed changes under new numbers, see `_claim_at_once`. SQLite needs none: it has one
        writer at a time, so its numbers are in the order of commits.
        """
        token = secrets.token_hex(16)
        for chunk in chunks(row[0] for row in rows):
            among = f"id IN ({self.sql.params(len(chunk))})"
            copies = self.sql.execute(
                f"SELECT {_RENUMBERED} FROM {OUTBOX} WHERE {among} ORDER BY id", chunk
            )
            if copies:
                values = self.sql.rows_of_params(10, len(copies))
                params: list[Any] = []
                for copy in copies:
                    params += (*copy, token)
                insert = f"INSERT INTO {OUTBOX} ({_RENUMBERED}, claim) VALUES {values}"
                self.sql.execute(insert, params)
            self.sql.execute(f"DELETE FROM {OUTBOX} WHERE {among}", chunk)
        claimed = f"SELECT {_CHANGE} FROM {OUTBOX} WHERE claim = {self.sql.param}"
        return self.sql.execute(claimed, [token])

    # --- counting and listing them ----------------------------------------------------------------

    def status(self, collections: Collection[str] | None = None) -> Mapping[str, OutboxStatus]:
        """The counts per collection. Each collection that is asked for has an entry; None gives
        those that have a change.
        """
        where, params = self._of(collections)
        due, times = self._due()
        taken = f"(claim <> '' AND NOT {due})"
        counted = self.sql.execute(
            "SELECT collection, "
            f"SUM(CASE WHEN aborted = 0 AND NOT {taken} THEN 1 ELSE 0 END), "
            f"SUM(CASE WHEN aborted = 0 AND {taken} THEN 1 ELSE 0 END), "
            "SUM(CASE WHEN aborted = 1 THEN 1 ELSE 0 END), "
            "MIN(CASE WHEN aborted = 0 THEN created_at END) "
            f"FROM {OUTBOX} WHERE {where} GROUP BY collection",
            [*times, *times, *params],
        )
        errors = self.sql.execute(
            f"SELECT collection, error FROM {OUTBOX} WHERE id IN "
            f"(SELECT MAX(id) FROM {OUTBOX} "
            f"WHERE error <> '' AND {where} GROUP BY collection)",
            params,
        )
        last = {row[0]: row[1] for row in errors}
        found = dict.fromkeys(collections or (), OutboxStatus())
        for name, waiting, leased, aborted, oldest in counted:
            found[name] = OutboxStatus(
                waiting=int(waiting),
                taken=int(leased),
                aborted=int(aborted),
                oldest=oldest,
                last_error=last.get(name, ""),
            )
        return found

    def waiting(self, collection: str) -> int:
        """The number of changes of this collection that this index has to process, leased ones
        included and aborted ones not.
        """
        where, params = self._of([collection])
        count = f"SELECT COUNT(*) FROM {OUTBOX} WHERE aborted = 0 AND {where}"
        return int(self.sql.value(count, params) or 0)

    def due(self, collection: str) -> int:
        """How many of the `waiting` changes can be processed now, or are leased. The others pause
        after a failure.
        """
        where, params = self._of([collection])
        due, times = self._due()
        count = (
            f"SELECT COUNT(*) FROM {OUTBOX} WHERE aborted = 0 AND {where} "
            f"AND (claim <> '' OR {due})"
        )
        return int(self.sql.value(count, [*params, *times]) or 0)

    def keys(self, collection: str) -> Iterator[str]:
        """The keys of the `waiting` changes, once for each change."""
        where, params = self._of([collection])
        query = f"SELECT row_key FROM {OUTBOX} WHERE aborted = 0 AND {where}"
        return iter(self.sql.values(query, params))

    def of_key(self, collection: str, key: str) -> list[int]:
        """The numbers of the changes of this key that belong to this index alone and are not
        aborted.
        """
        param = self.sql.param
        ids = self.sql.values(
            f"SELECT id FROM {OUTBOX} WHERE aborted = 0 AND consumer = {param} "
            f"AND collection = {param} AND row_key = {param}",
            [self.consumer, collection, key],
        )
        return list(map(int, ids))

    def aborted(
        self, collections: Collection[str] | None = None, limit: int = 100
    ) -> list[AbortedChange]:
        """The first `limit` aborted changes. collections: whose changes; None for all."""
        where, params = self._of(collections)
        rows = self.sql.execute(
            "SELECT id, collection, row_key, tenant, attempts, error, created_at "
            f"FROM {OUTBOX} WHERE aborted = 1 AND {where} "
            f"ORDER BY id LIMIT {self.sql.param}",
            [*params, limit],
        )
        return [AbortedChange(*row) for row in rows]

    def retry(
        self, numbers: Collection[int] | None = None, collections: Collection[str] | None = None
    ) -> int:
        """Make aborted changes pending again, with all their attempts. Returns how many.

        numbers, collections: which changes; None for all.
        """
        change = f"UPDATE {OUTBOX} SET aborted = 0, attempts = 0, ready_at = 0, claim = ''"
        return self._change_aborted(change, numbers, collections)

    def drop(
        self, numbers: Collection[int] | None = None, collections: Collection[str] | None = None
    ) -> int:
        """Delete aborted changes: their rows are not indexed again. Returns how many.

        numbers, collections: which changes; None for all.
        """
        return self._change_aborted(f"DELETE FROM {OUTBOX}", numbers, collections)

    def _change_aborted(
        self, change: str, numbers: Collection[int] | None, collections: Collection[str] | None
    ) -> int:
        where, params = self._of(collections)
        aborted = f"SELECT id FROM {OUTBOX} WHERE aborted = 1 AND {where}"
        ids = self.sql.values(aborted, params)
        if numbers is not None:
            ids = [each for each in ids if each in numbers]
        for chunk in chunks(ids):
            among = f"id IN ({self.sql.params(len(chunk))})"
            self.sql.execute(f"{change} WHERE aborted = 1 AND {among}", chunk)
        return len(ids)

    def _of(self, collections: Collection[str] | None) -> tuple[str, list[Any]]:
        """A condition, with its parameters: the change is of one of these collections, and belongs
        to this index or to no index in particular.
        """
        where = f"consumer IN ('', {self.sql.param})"
        params: list[Any] = [self.consumer]
        if collections is None:
            return where, params
        if not collections:
            return "1 = 0", []
        where += f" AND collection IN ({self.sql.params(len(collections))})"
        return where, [*params, *sorted(collections)]

    # --- places: the tenants at which a row has documents -----------------------------------------

    def places(self, collection: str, keys: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """Per key, the tenants at which the row has, or had, a document, each with the stamp of
        that document. Keys without any are left out.
        """
        found: dict[str, dict[str, int]] = {}
        for chunk in chunks(dict.fromkeys(keys)):
            rows = self.sql.execute(
                f"SELECT row_key, tenant, stamp FROM {PLACES} WHERE {self._owned(len(chunk))}",
                [collection, *self._owners(collection, chunk)],
            )
            for key, tenant, stamp in rows:
                found.setdefault(key, {})[tenant] = int(stamp)
        return found

    def put_place(self, collection: str, key: str, tenant: str, stamp: int) -> None:
        """Store that a row has a document at this tenant. A stored stamp never decreases."""
        columns = ("address", "owner", "collection", "row_key", "tenant", "stamp")
        owner = _address(self.consumer, collection, key)
        address = _address(self.consumer, collection, key, tenant)
        values = [address, owner, collection, key, tenant, stamp]
        self.sql.upsert(PLACES, columns, ("stamp",), values)

    def forget_places(self, collection: str, keys: Iterable[str]) -> None:
        """Delete the places of the rows with these keys."""
        for chunk in chunks(dict.fromkeys(keys)):
            self.sql.execute(
                f"DELETE FROM {PLACES} WHERE {self._owned(len(chunk))}",
                [collection, *self._owners(collection, chunk)],
            )

    def tenants(self, collection: str) -> list[str]:
        """The names of the tenants that have a place or a pending change, sorted; "" among them
        for changes without a tenant.
        """
        found: set[str] = set()
        for source in (OUTBOX, PLACES):
            query = f"SELECT DISTINCT tenant FROM {source} WHERE collection = {self.sql.param}"
            found.update(self.sql.values(query, [collection]))
        return sorted(found)

    def _owned(self, count: int) -> str:
        """A condition: the place belongs to one of `count` rows of a collection."""
        return f"collection = {self.sql.param} AND owner IN ({self.sql.params(count)})"

    def _owners(self, collection: str, keys: Iterable[str]) -> list[str]:
        return [_address(self.consumer, collection, key) for key in keys]

    # --- state: named values per collection -------------------------------------------------------

    def collections(self) -> list[str]:
        """The collections that have state: those with an installed index."""
        query = (
            f"SELECT DISTINCT collection FROM {STATE} WHERE collection <> '' ORDER BY collection"
        )
        return list(map(str, self.sql.values(query)))

    def get_state(self, collection: str, name: str) -> str | None:
        """The value stored under this name; None if there is none."""
        param = self.sql.param
        query = f"SELECT value FROM {STATE} WHERE collection = {param} AND name = {param}"
        value = self.sql.value(query, [collection, name])
        return None if value is None else str(value)

    def set_state(self, collection: str, name: str, value: str) -> None:
        """Store a value under this name."""
        columns = ("collection", "name", "value")
        self.sql.upsert(STATE, columns, ("value",), [collection, name, value])

    def drop_state(self, name: str) -> None:
        """Delete the values under this name, of every collection."""
        self.sql.execute(f"DELETE FROM {STATE} WHERE name = {self.sql.param}", [name])


def _address(*names: str) -> str:
    """A hash of several names, different for any other names."""
    lengths_and_names = [f"{len(name)}:{name}" for name in names]
    return sha256("".join(lengths_and_names).encode()).hexdigest()


def _storable(reason: str) -> str:
    """The beginning of a reason, in a form that every database accepts."""
    return reason.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:MAX_ERROR]
