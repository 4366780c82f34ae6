"""The outbox: pending changes, in the application's own database,
written by the transaction that changes the row.

A ticket (one pending change) is an address, never a state: whoever takes it reads the row as it is
then. So a rollback takes the ticket along, a crash loses nothing, and doing the work twice does no
harm.

Several indexes may read one outbox. A trigger writes one ticket, for nobody in particular. As long
as one index reads its collection, it takes that ticket as it is. Once there are more, whoever comes
first gives each of them a copy of its own (`distribute`), so that each has its own leases, tries
and reasons, and none waits for another.
"""

from __future__ import annotations

import json
import random as _random
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from hashlib import sha256
from typing import Any

import attrs

from semantic_core.errors import InputError
from semantic_core.orm.dialects import (
    CHUNK,
    CONSUMERS,
    OUTBOX,
    PLACES,
    STATE,
    SUBSCRIPTIONS,
    TABLES,
    SqlStatements,
    chunks,
    key_text,
    layout,
    literal,
    split_name,
    table_identifier,
    tables_there,
    tenant_text,
    upsert,
)
from semantic_core.orm.tables import Dialect, Execute, Table
from semantic_core.types import Ref

# The rows of a table by their keys, page after page in key order, with keys in their text form.

_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("integer", "tinyint", "smallint", "mediumint", "int", "bigint", "year"), int),
    **dict.fromkeys(("real", "float", "double"), float),
    "decimal": Decimal,
    **dict.fromkeys(
        ("blob", "binary", "varbinary", "tinyblob", "mediumblob", "longblob"), bytes.fromhex
    ),
}
"""Per type of a column (SQLite: of its values), what makes of a key's text a value that compares as
the column does.
"""


class KeysetPages(SqlStatements):
    """Keyset paging: never OFFSET over the table,
    and rows that come or go meanwhile move no page.
    """

    def count(self, table: Table) -> int:
        """How many rows the table has."""
        return int(self._value(f"SELECT COUNT(*) FROM {self._plain_table(table)}"))

    def keyless(self, table: Table) -> int:
        """How many of them have a key that names nothing, as SQLite allows: NULL, which is on no
        page, or bytes in a column of text, by which no row is found.
        """
        conditions = [f"t0.{self._name(column)} IS NULL" for column in table.key_columns]
        if self._dialect == "sqlite":
            conditions += [
                f"typeof(t0.{self._name(table.columns[attribute])}) = 'blob'"
                for attribute, parse in table.key.items()
                if _is_text(parse)
            ]
        without = " OR ".join(conditions)
        return int(
            self._value(f"SELECT COUNT(*) FROM {self._plain_table(table)} t0 WHERE {without}")
        )

    def page(self, table: Table, after: str | None, limit: int) -> list[str]:
        """Up to `limit` keys, as tickets have them, in the table's key order;
        after: the last key of the page before.
        """
        where, params = self._between(table, after, None)
        rows = self._execute(
            f"SELECT {self._key(table)} FROM {self._table(table.name)} t0 {where} "
            f"ORDER BY {self._order(table)} LIMIT {self._mark}",
            [*params, limit],
        )
        return [str(row[0]) for row in rows]

    def _order(self, table: Table) -> str:
        """The key columns, by their table: a name alone would be that of the text form,
        which sorts otherwise.
        """
        return ", ".join(f"t0.{self._name(column)}" for column in table.key_columns)

    def _tenants_of(self, table: Table, column: str) -> str:
        """A query, without parameters, for the tenants that have rows."""
        return (
            f"SELECT DISTINCT {tenant_text(self._dialect, 't0', column)} FROM "
            f"{self._plain_table(table)} t0"
        )

    def _plain_table(self, table: Table) -> str:
        return table_identifier(self._dialect, table.name)

    def _key(self, table: Table) -> str:
        return self._formatted(key_text(self._dialect, "t0", table.key_columns))

    def _tenant(self, column: str | None) -> str:
        return self._formatted(tenant_text(self._dialect, "t0", column))

    def _between(self, table: Table, after: str | None, last: str | None) -> tuple[str, list[Any]]:
        """A WHERE for the keys after `after` up to and with `last`, None for no bound,
        and its parameters.
        """
        conditions = [f"t0.{self._name(column)} IS NOT NULL" for column in table.key_columns]
        params: list[Any] = []
        for key, comparison in ((after, ">"), (last, "<=")):
            if key is not None:
                marks, values = self._bound(table, key)
                conditions.append(f"({self._order(table)}) {comparison} ({', '.join(marks)})")
                params += values
        return f"WHERE {' AND '.join(conditions)}", params

    def _bound(self, table: Table, key: str) -> tuple[list[str], list[Any]]:
        """A key as marks and values that compare as its columns do, not as text."""
        columns = table.key_columns
        texts = [key] if len(columns) == 1 else json.loads(key)
        types = [self._type(table, column) for column in columns]
        if self._dialect == "postgresql":
            return [f"CAST(CAST({self._mark} AS text) AS {kind})" for kind in types], texts
        return [self._mark] * len(columns), [
            _FROM_TEXT.get(kind, str)(text) for kind, text in zip(types, texts, strict=True)
        ]

    def _type(self, table: Table, column: str) -> str:
        """The type of a key column, in words of the database."""
        if self._dialect == "sqlite":
            name = self._name(column)
            sql = (
                f"SELECT typeof({name}) FROM {self._table(table.name)} ORDER BY {name} DESC LIMIT 1"
            )
            return str(self._value(sql))
        if self._dialect == "postgresql":
            where = self._formatted(literal(self._dialect, self._plain_table(table)))
            sql = (
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
                f"WHERE attrelid = CAST({where} AS regclass) AND attname = {self._mark}"
            )
            return str(self._value(sql, [column]))
        schema, name = split_name(self._dialect, table.name)
        sql = (
            "SELECT data_type FROM information_schema.columns "
            f"WHERE table_schema = COALESCE({self._mark}, DATABASE()) AND table_name = "
            f"{self._mark} AND column_name = {self._mark}"
        )
        return str(self._value(sql, [schema or None, name, column])).lower()


def _is_text(parse: Callable[[str], Any]) -> bool:
    """Whether a key parsed so is text, also where it looks like bytes in hex."""
    try:
        return isinstance(parse("0" * 32), str)
    except Exception:  # noqa: BLE001 - parsers are the ORM's own, and so is what they raise
        return False


# What an index has to remember besides its tickets: where rows were put,
# and a few words per collection.

TRIGGERS = "triggers"
"""The state that says which triggers there were after the last install; none after they were taken
away on purpose.
"""


class OutboxState(KeysetPages):
    """Places and state, in tables beside the outbox. consumer: the index whose places they are."""

    consumer: str = ""

    def places(self, collection: str, keys: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """Per key, the tenants its row was put at, each with the stamp of that;
        keys never put anywhere are left out.
        """
        found: dict[str, dict[str, int]] = {}
        for chunk in chunks(dict.fromkeys(keys)):
            rows = self._execute(
                f"SELECT row_key, tenant, stamp FROM {PLACES} "
                f"WHERE collection = {self._mark} AND owner IN ({self._marks(len(chunk))})",
                [collection, *(_address(self.consumer, collection, key) for key in chunk)],
            )
            for key, tenant, stamp in rows:
                found.setdefault(key, {})[tenant] = int(stamp)
        return found

    def put_place(self, collection: str, key: str, tenant: str, stamp: int) -> None:
        """Remember that a row was put at this tenant. The stamp of a place never gets smaller."""
        columns = ("address", "owner", "collection", "row_key", "tenant", "stamp")
        sql = upsert(self._dialect, PLACES, columns, ("stamp",), self._mark)
        owner = _address(self.consumer, collection, key)
        address = _address(self.consumer, collection, key, tenant)
        self._execute(sql, [address, owner, collection, key, tenant, stamp])

    def forget_places(self, collection: str, keys: Iterable[str]) -> None:
        """Forget where the rows with these keys were put."""
        for chunk in chunks(dict.fromkeys(keys)):
            self._execute(
                (
                    f"DELETE FROM {PLACES} WHERE collection = {self._mark} "
                    f"AND owner IN ({self._marks(len(chunk))})"
                ),
                [collection, *(_address(self.consumer, collection, key) for key in chunk)],
            )

    def tenants(self, collection: str, table: Table, tenant_column: str | None) -> list[str]:
        """The names of tenants, as text, that have a row, a place or a ticket;
        "" among them where there is none.
        """
        found = {
            row[0]
            for source in (OUTBOX, PLACES)
            for row in self._execute(
                f"SELECT DISTINCT tenant FROM {source} WHERE collection = {self._mark}",
                [collection],
            )
        }
        if tenant_column is not None:
            found |= {row[0] for row in self._execute(self._tenants_of(table, tenant_column), ())}
        return sorted(found)

    def collections(self) -> list[str]:
        """The collections something is remembered of: those with an index that is installed."""
        rows = self._execute(
            f"SELECT DISTINCT collection FROM {STATE} WHERE collection <> '' ORDER BY collection",
            (),
        )
        return [str(row[0]) for row in rows]

    def get_state(self, collection: str, name: str) -> str | None:
        """What was set under this name; None if nothing was."""
        sql = f"SELECT value FROM {STATE} WHERE collection = {self._mark} AND name = {self._mark}"
        value = self._value(sql, [collection, name])
        return None if value is None else str(value)

    def set_state(self, collection: str, name: str, value: str) -> None:
        """Remember a value under this name."""
        sql = upsert(self._dialect, STATE, ("collection", "name", "value"), ("value",), self._mark)
        self._execute(sql, [collection, name, value])

    def drop_state(self, name: str) -> None:
        """Forget what was set under this name, of every collection."""
        self._execute(f"DELETE FROM {STATE} WHERE name = {self._mark}", [name])


def _address(*names: str) -> str:
    """One short name for several, the same for no others."""
    return sha256("".join(f"{len(name)}:{name}" for name in names).encode()).hexdigest()


LEASE = 60.0
"""Seconds a worker has for the tickets it took, before others may take them too."""
MAX_ATTEMPTS = 8
"""Tries before a ticket is aborted: with the delays below,
the last one comes about two minutes after the first.
"""
BASE_DELAY = 1.0
"""Longest pause after the first failure, in seconds; it doubles with each one."""
MAX_DELAY = 600.0
"""Longest pause at all, in seconds."""
MAX_ERROR = 500
"""Characters kept of the reason of a failure."""
SLACK = 60.0
"""Seconds by which clocks may differ: what is to be tried again later than any pause lasts was
written by a clock that was wrong, and counts as due."""
MAX_TRIES = 20
"""Attempts to get hold of tickets that other workers take at the same moment."""


_TICKET = "id, collection, row_key, tenant, mark"
"""The columns a `PendingChange` is made of."""


@attrs.frozen
class PendingChange:
    """The address of something that changed.

    number: what `done` and `failed` take, and the stamp of the work: whoever took a ticket later
    has the larger one.
    key: the row's key as text, as the database casts it; a JSON array of texts for a composite key;
    "" for the whole table.
    tenant: "" where no column of the row names it. mark: random; the same in every copy of this
    ticket, and in no other.
    """

    number: int
    collection: str
    key: str
    tenant: str
    mark: int = 0


@attrs.frozen
class AbortedChange:
    """A ticket that was given up. error: of its last failure. created_at: seconds since 1970."""

    number: int
    collection: str
    key: str
    tenant: str
    attempts: int
    error: str
    created_at: float


@attrs.frozen
class OutboxStatus:
    """The tickets of one collection, counted.

    waiting: changes, those among them that pause after a failure. taken: leased to a worker.
    aborted: given up. oldest: when the oldest one not aborted was written, seconds since 1970; None
    if there is none. last_error: of the failure that is newest among the tickets still here; "" if
    none.
    """

    waiting: int = 0
    taken: int = 0
    aborted: int = 0
    oldest: float | None = None
    last_error: str = ""


class SqlOutbox(OutboxState):
    """Keeps `semantic_core.protocols.Outbox` in SQLite, PostgreSQL, MySQL or MariaDB.

    execute: runs one statement with its parameters on the application's connection and gives its
    rows. Without parameters, the statement is run as it is written. placeholder: how it marks a
    parameter; "" means "?" on SQLite, "%s" elsewhere.
    consumer: identity of the index that reads it; "" reads what no index has for itself. shared: an
    attribute; False once it is known that no other index reads it, which spares a look.
    lease: seconds; base_delay, max_delay: seconds. clock: seconds since 1970. random: from 0 to 1,
    spreads the pauses.
    atomic: a block whose statements are one transaction. `add` belongs into the application's
    transaction; the rest is meant to run outside of one, each statement committed.
    """

    def __init__(
        self,
        execute: Execute,
        dialect: Dialect,
        *,
        placeholder: str = "",
        consumer: str = "",
        atomic: Callable[[], AbstractContextManager[Any]] = nullcontext,
        lease: float = LEASE,
        max_attempts: int = MAX_ATTEMPTS,
        base_delay: float = BASE_DELAY,
        max_delay: float = MAX_DELAY,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = _random.random,
    ) -> None:
        super().__init__(execute, dialect, placeholder)
        if lease <= 0 or max_attempts < 1 or base_delay < 0 or max_delay < 0:
            raise InputError(
                "lease must be above 0, max_attempts at least 1 and the delays not negative, got "
                f"lease={lease!r}, max_attempts={max_attempts!r}, base_delay={base_delay!r}, "
                f"max_delay={max_delay!r}."
            )
        self._lease = lease
        self._max_attempts = max_attempts
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._clock = clock
        self._random = random
        self.atomic = atomic
        self.consumer = consumer
        self.shared = True

    @property
    def looks_only(self) -> bool:
        """Whether `claim` without a lease really takes none here."""
        return self._dialect == "sqlite"

    def create(self) -> None:
        """Make the tables, if they are not there; any number of processes may do so at once.

        MySQL commits the transaction this is called in.
        """
        there = self._tables()
        if there == len(TABLES):
            return
        for statement in layout(self._dialect, int(self._clock())):
            self._execute(statement, ())
        if there:  # some were dropped: what the others say of them is not true any more
            self._execute(f"DELETE FROM {STATE}", ())
            self._execute(f"DELETE FROM {CONSUMERS}", ())
            self._execute(f"DELETE FROM {SUBSCRIPTIONS}", ())

    def exists(self) -> bool:
        """Whether the tables are there."""
        return self._tables() == len(TABLES)

    def _tables(self) -> int:
        return int(self._value(tables_there(self._dialect, self._mark), TABLES))

    def forget(self, collection: str) -> None:
        """Delete all there is of a collection: tickets, places, state."""
        for table in (OUTBOX, PLACES, SUBSCRIPTIONS, STATE):
            self._execute(f"DELETE FROM {table} WHERE collection = {self._mark}", [collection])

    # --- writing tickets --------------------------------------------------------------------------

    def add(
        self,
        collection: str,
        keys: Iterable[str],
        tenant: str = "",
        *,
        consumer: str = "",
        execute: Execute | None = None,
    ) -> None:
        """A ticket for each of these keys.

        consumer: the one index it is for; "" means every index. execute: of the transaction it is
        to be part of.
        """
        run = execute or self._execute
        for chunk in chunks(keys):
            rows = ", ".join([f"({self._marks(4)})"] * len(chunk))
            run(
                f"INSERT INTO {OUTBOX} (collection, row_key, tenant, consumer) VALUES {rows}",
                [value for key in chunk for value in (collection, key, tenant, consumer)],
            )

    def last_number(self) -> int:
        """The largest number a ticket has had so far, of those anybody can see. Read before rows,
        it is an age for them: whoever changes one of them afterwards has a larger number."""
        if self._dialect == "sqlite":
            return int(self._value(f"SELECT seq FROM sqlite_sequence WHERE name = '{OUTBOX}'") or 0)
        if self._dialect == "postgresql":
            sequence = f"pg_get_serial_sequence('{OUTBOX}', 'id')"
            last = f"SELECT pg_sequence_last_value(CAST({sequence} AS regclass))"
            return int(self._value(last) or 0)
        # The dictionary's copy of AUTO_INCREMENT may be old; a ticket's own number is not.
        self._execute(
            f"INSERT INTO {OUTBOX} (collection, row_key, tenant, aborted) VALUES ('', '', '', 2)",
            (),
        )
        number = int(self._value(f"SELECT MAX(id) FROM {OUTBOX} WHERE aborted = 2") or 0)
        self._execute(f"DELETE FROM {OUTBOX} WHERE aborted = 2 AND id <= {self._mark}", [number])
        return number

    # --- working them off -------------------------------------------------------------------------

    def claim(
        self, limit: int, *, collections: Collection[str] | None = None, lease: bool = True
    ) -> list[PendingChange]:
        """Up to `limit` tickets, the oldest first; nobody else gets them while the lease lasts.

        collections: whose; None for all. lease: False only looks, and writes nothing: two who look
        at once do the same work, which does no harm; SQLite only, elsewhere there is always a
        lease. Read the rows after this call and outside of an older transaction: then whoever has
        the larger number has read the newer state.
        """
        return self._claim(limit, collections, whole=True, lease=lease)

    def distribute(self) -> None:
        """Give each registered index its own copy of what is for all of them;
        nothing to do while there is but one.

        Tickets are looked at before the indexes are: one that registers in between has yet to look
        at its rows, and finds there what these tickets speak of. Done twice at once, there are two
        copies, which do no harm.
        """
        after = -1
        while True:
            due, params = self._due()
            rows = self._execute(
                f"SELECT id, collection, row_key, tenant, mark, created_at FROM {OUTBOX} "
                f"WHERE aborted = 0 AND consumer = '' AND id > {self._mark} AND {due} ORDER BY id "
                f"LIMIT {CHUNK // 2}",
                [after, *params],
            )
            if not rows:
                return
            readers: dict[str, list[str]] = {}
            for collection, consumer in self._execute(
                f"SELECT collection, consumer FROM {SUBSCRIPTIONS}", ()
            ):
                readers.setdefault(str(collection), []).append(str(consumer))
            several = [row for row in rows if len(readers.get(str(row[1]), ())) > 1]
            columns = "collection, row_key, tenant, mark, created_at, consumer"
            copies = [
                (*row[1:], consumer) for row in several for consumer in sorted(readers[str(row[1])])
            ]
            with self.atomic():
                for chunk in chunks(copies, CHUNK // 2):
                    values = ", ".join([f"({self._marks(6)})"] * len(chunk))
                    sql = f"INSERT INTO {OUTBOX} ({columns}) VALUES {values}"
                    self._execute(sql, [value for copy in chunk for value in copy])
                self.done([int(row[0]) for row in several])
            after = int(rows[-1][0])

    def _due(self) -> tuple[str, list[Any]]:
        """A condition for tickets nobody has now, and its parameters."""
        now = self._clock()
        longest = max(self._lease, self._max_delay) + SLACK
        return f"(ready_at <= {self._mark} OR ready_at > {self._mark})", [now, now + longest]

    def _mine(self) -> tuple[str, list[Any]]:
        """A condition for tickets this index may take: its own,
        and those for all that no other index reads.
        """
        if not self.consumer:
            return "consumer = ''", []
        others = (
            f"EXISTS (SELECT 1 FROM {SUBSCRIPTIONS} others "
            f"WHERE others.collection = {OUTBOX}.collection AND others.consumer <> {self._mark})"
        )
        return f"(consumer = {self._mark} OR (consumer = '' AND NOT {others}))", [
            self.consumer,
            self.consumer,
        ]

    def take(self, limit: int) -> list[tuple[int, Ref]]:
        """Like `claim`, as refs; tickets of whole tables are left,
        those no ref can be made of have failed.
        """
        found: list[tuple[int, Ref]] = []
        for ticket in self._claim(limit, None, whole=False, lease=True):
            try:
                found.append((ticket.number, Ref(ticket.collection, ticket.key, ticket.tenant)))
            except InputError as error:
                self.failed([ticket.number], str(error))
        return found

    def done(self, tickets: Collection[int]) -> None:
        """Delete these tickets.

        A change made during the work has a ticket of its own, which stays.
        """
        for chunk in chunks(sorted(tickets)):
            self._execute(f"DELETE FROM {OUTBOX} WHERE id IN ({self._marks(len(chunk))})", chunk)

    def failed(self, tickets: Collection[int], reason: str) -> None:
        """Give these tickets back, to be taken again after a growing pause;
        the `max_attempts`-th time they are aborted.
        """
        for chunk in chunks(sorted(tickets)):
            inside = f"id IN ({self._marks(len(chunk))}) AND aborted = 0"
            counted = self._execute(f"SELECT DISTINCT attempts FROM {OUTBOX} WHERE {inside}", chunk)
            for attempts in sorted((int(row[0]) for row in counted), reverse=True):
                pause = self._random() * min(
                    self._max_delay, self._base_delay * 2.0 ** min(attempts, 60)
                )
                self._execute(
                    f"UPDATE {OUTBOX} SET attempts = attempts + 1, claim = '', ready_at = "
                    f"{self._mark}, error = {self._mark}, aborted = {self._mark} WHERE {inside} "
                    f"AND attempts = {self._mark}",
                    [
                        self._clock() + pause,
                        _storable(reason),
                        int(attempts + 1 >= self._max_attempts),
                        *chunk,
                        attempts,
                    ],
                )

    def give_back(self, tickets: Collection[int]) -> None:
        """Let others take these tickets at once; no failure is counted."""
        for chunk in chunks(sorted(tickets)):
            self._execute(
                (
                    f"UPDATE {OUTBOX} SET claim = '', ready_at = 0 WHERE aborted = 0 "
                    f"AND id IN ({self._marks(len(chunk))})"
                ),
                chunk,
            )

    def _claim(
        self, limit: int, collections: Collection[str] | None, *, whole: bool, lease: bool
    ) -> list[PendingChange]:
        if limit < 1 or (collections is not None and not collections):
            return []
        if self.consumer and self.shared:
            self.distribute()
        due, params = self._due()
        mine, owner = self._mine()
        where = f"aborted = 0 AND {due} AND {mine}"
        params = [*params, *owner]
        if collections is not None:
            where += f" AND collection IN ({self._marks(len(collections))})"
            params += sorted(collections)
        if not whole:
            where += " AND row_key <> ''"
        if not lease and self._dialect == "sqlite":
            looked_at = (
                f"SELECT {_TICKET} FROM {OUTBOX} WHERE {where} ORDER BY id LIMIT {self._mark}"
            )
            rows = self._execute(looked_at, [*params, limit])
        else:
            found = self._claim_at_once if self._dialect == "postgresql" else self._claim_in_turns
            rows = found(where, params, limit, secrets.token_hex(16))
        tickets = [
            PendingChange(int(number), name, key, tenant, int(mark))
            for number, name, key, tenant, mark in rows
        ]
        return sorted(tickets, key=lambda ticket: ticket.number)

    def _claim_at_once(
        self, where: str, params: list[Any], limit: int, token: str
    ) -> Sequence[Sequence[Any]]:
        """Claimed tickets get new numbers: those of transactions that were open at once are not in
        the order of commits.
        """
        return self._execute(
            f"WITH free AS MATERIALIZED (SELECT id FROM {OUTBOX} WHERE {where} ORDER BY id "
            f"LIMIT {self._mark} FOR UPDATE SKIP LOCKED) UPDATE {OUTBOX} "
            f"SET id = nextval(pg_get_serial_sequence('{OUTBOX}', 'id')), claim = {self._mark}, "
            f"ready_at = {self._mark} FROM free WHERE {OUTBOX}.id = free.id "
            f"RETURNING {OUTBOX}.id, collection, row_key, tenant, mark",
            [*params, limit, token, self._clock() + self._lease],
        )

    def _claim_in_turns(
        self, where: str, params: list[Any], limit: int, token: str
    ) -> Sequence[Sequence[Any]]:
        """Look without a lock, then mark by number what is still free:
        an application's transaction never waits for it.
        """
        free = f"SELECT id FROM {OUTBOX} WHERE {where} ORDER BY id LIMIT {self._mark}"
        due, times = self._due()
        claimed: list[Sequence[Any]] = []
        for _ in range(MAX_TRIES):
            ids = [row[0] for row in self._execute(free, [*params, limit - len(claimed)])]
            for chunk in chunks(ids):
                inside = f"id IN ({self._marks(len(chunk))})"
                self._execute(
                    f"UPDATE {OUTBOX} SET claim = {self._mark}, ready_at = {self._mark} "
                    f"WHERE {inside} AND aborted = 0 AND {due}",
                    [token, self._clock() + self._lease, *chunk, *times],
                )
                mine = f"SELECT {_TICKET} FROM {OUTBOX} WHERE claim = {self._mark} AND {inside}"
                claimed += self._execute(mine, [token, *chunk])
            if claimed or not ids:
                break
        return self._renumbered(claimed) if self._dialect == "mysql" and claimed else claimed

    def _renumbered(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """See `_claim_at_once`.

        On SQLite there is one writer at a time, so numbers are in the order of commits anyway.
        """
        token = secrets.token_hex(16)
        kept = "collection, row_key, tenant, consumer, mark, attempts, ready_at, error, created_at"
        for chunk in chunks(row[0] for row in rows):
            inside = f"id IN ({self._marks(len(chunk))})"
            copies = self._execute(f"SELECT {kept} FROM {OUTBOX} WHERE {inside} ORDER BY id", chunk)
            if copies:
                values = ", ".join([f"({self._marks(10)})"] * len(copies))
                self._execute(
                    f"INSERT INTO {OUTBOX} ({kept}, claim) VALUES {values}",
                    [value for copy in copies for value in (*copy, token)],
                )
            self._execute(f"DELETE FROM {OUTBOX} WHERE {inside}", chunk)
        return self._execute(f"SELECT {_TICKET} FROM {OUTBOX} WHERE claim = {self._mark}", [token])

    # --- looking at them --------------------------------------------------------------------------

    def status(self, collections: Collection[str] | None = None) -> Mapping[str, OutboxStatus]:
        """Counts per collection; those asked for are all in it,
        with None those that have a ticket.
        """
        where, params = self._of(collections)
        due, times = self._due()
        taken = f"(claim <> '' AND NOT {due})"
        counted = self._execute(
            f"SELECT collection, SUM(CASE WHEN aborted = 0 AND NOT {taken} THEN 1 ELSE 0 END), "
            f"SUM(CASE WHEN aborted = 0 AND {taken} THEN 1 ELSE 0 END), SUM(CASE WHEN aborted = 1 "
            f"THEN 1 ELSE 0 END), MIN(CASE WHEN aborted = 0 THEN created_at END) FROM {OUTBOX} "
            f"WHERE {where} GROUP BY collection",
            [*times, *times, *params],
        )
        errors = self._execute(
            f"SELECT collection, error FROM {OUTBOX} WHERE id IN "
            f"(SELECT MAX(id) FROM {OUTBOX} WHERE error <> '' AND {where} GROUP BY collection)",
            params,
        )
        last = {row[0]: row[1] for row in errors}
        found = dict.fromkeys(collections or (), OutboxStatus())
        for name, waiting, leased, aborted, oldest in counted:
            counts = int(waiting), int(leased), int(aborted)
            found[name] = OutboxStatus(*counts, oldest=oldest, last_error=last.get(name, ""))
        return found

    def waiting(self, collection: str) -> int:
        """How many tickets of this collection are for this index and not given up,
        those being worked off too.
        """
        where, params = self._of([collection])
        return int(
            self._value(f"SELECT COUNT(*) FROM {OUTBOX} WHERE aborted = 0 AND {where}", params) or 0
        )

    def due(self, collection: str) -> int:
        """How many of those can be worked off now, or are; the rest pauses after a failure."""
        where, params = self._of([collection])
        due, times = self._due()
        sql = (
            f"SELECT COUNT(*) FROM {OUTBOX} WHERE aborted = 0 AND {where} "
            f"AND (claim <> '' OR {due})"
        )
        return int(self._value(sql, [*params, *times]) or 0)

    def keys(self, collection: str) -> Iterator[str]:
        """The keys of all its tickets that are not aborted, those being worked off too;
        once for each ticket.
        """
        where, params = self._of([collection])
        rows = self._execute(f"SELECT row_key FROM {OUTBOX} WHERE aborted = 0 AND {where}", params)
        return (row[0] for row in rows)

    def of_key(self, collection: str, key: str) -> list[int]:
        """The numbers of the tickets of this key that are this index's own and not given up."""
        rows = self._execute(
            f"SELECT id FROM {OUTBOX} WHERE aborted = 0 AND consumer = {self._mark} "
            f"AND collection = {self._mark} AND row_key = {self._mark}",
            [self.consumer, collection, key],
        )
        return [int(row[0]) for row in rows]

    def aborted(
        self, collections: Collection[str] | None = None, limit: int = 100
    ) -> list[AbortedChange]:
        """The first `limit` tickets that were given up."""
        where, params = self._of(collections)
        rows = self._execute(
            f"SELECT id, collection, row_key, tenant, attempts, error, created_at FROM {OUTBOX} "
            f"WHERE aborted = 1 AND {where} ORDER BY id LIMIT {self._mark}",
            [*params, limit],
        )
        return [AbortedChange(*row) for row in rows]

    def retry(
        self, numbers: Collection[int] | None = None, collections: Collection[str] | None = None
    ) -> int:
        """Let aborted tickets be taken again, with all their tries; how many.

        None: whatever number, or collection.
        """
        change = f"UPDATE {OUTBOX} SET aborted = 0, attempts = 0, ready_at = 0, claim = ''"
        return self._change_aborted(change, numbers, collections)

    def drop(
        self, numbers: Collection[int] | None = None, collections: Collection[str] | None = None
    ) -> int:
        """Delete aborted tickets: their changes are not looked at again; how many.

        None: whatever number, or collection.
        """
        return self._change_aborted(f"DELETE FROM {OUTBOX}", numbers, collections)

    def _change_aborted(
        self, change: str, numbers: Collection[int] | None, collections: Collection[str] | None
    ) -> int:
        where, params = self._of(collections)
        rows = self._execute(f"SELECT id FROM {OUTBOX} WHERE aborted = 1 AND {where}", params)
        found = [row[0] for row in rows if numbers is None or row[0] in numbers]
        for chunk in chunks(found):
            self._execute(
                f"{change} WHERE aborted = 1 AND id IN ({self._marks(len(chunk))})", chunk
            )
        return len(found)

    def _of(self, collections: Collection[str] | None) -> tuple[str, list[Any]]:
        """A condition for the tickets of these collections that are for this index or for all,
        and its parameters.
        """
        where = f"consumer IN ('', {self._mark})"
        params: list[Any] = [self.consumer]
        if collections is None:
            return where, params
        if not collections:
            return "1 = 0", []
        return f"{where} AND collection IN ({self._marks(len(collections))})", [
            *params,
            *sorted(collections),
        ]


def _storable(reason: str) -> str:
    """The beginning of a reason, as every database takes it."""
    return reason.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:MAX_ERROR]
